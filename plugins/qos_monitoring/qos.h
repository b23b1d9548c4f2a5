/* qos_monitoring/qos.h - what the plugin's files share. All of it: [loop].
 *
 * An answered leg is looked at every sample_s seconds, both ways (pbx/quality.h); what a sample says is a point of its series and is held against the
 * thresholds. At its end, and each minute before that, a row for each way goes into qos_metrics. */
#pragma once
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/metrics.h>
#include <pbx/notifier.h>
#include <pbx/quality.h>
#include <pbx/requests.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define QOS_WAYS 2u     /* PBX_FROM_PARTY - 1, PBX_TO_PARTY - 1 */
#define QOS_POINTS 512u /* of a series; a longer call has them twice as far apart */
#define QOS_ALERT_TYPES 5u
#define QOS_BUCKETS 1024u
#define QOS_GONE 256u /* dialogs that have ended, for reports that come after BYE */

struct qos_settings {
	double mos_min, packet_loss_max, jitter_max, latency_max;
	uint32_t sample_s, retention_days;
};

/* What is too bad. */
struct qos_thresholds {
	double mos_min, packet_loss_max, jitter_max, latency_max;
};

struct qos_point {
	int64_t at_us;
	double mos, loss_percent, jitter_ms, round_trip_ms; /* mos 0: nothing came */
};

/* One way of a leg. */
struct qos_way {
	struct pbx_leg_way last; /* the newest look, its texts kept below */
	bool has_last;
	char codec[20], remote[64], srtp[32], transport[8];
	struct qos_point *points; /* owned; NULL: none yet */
	uint32_t point_count, point_room, every, skipped;
	double jitter_sum, jitter_most, trip_sum, trip_most;
	uint32_t samples, trips;
	double mos; /* of the newest sample; 0: nothing came */
	bool missing;
	struct {
		bool raised, over; /* raised once a leg, type and way; over: and has become better */
		uint32_t good;     /* samples in a row that were clearly better */
		char id[27];
	} alerts[QOS_ALERT_TYPES];
};

struct qos_leg {
	struct qos_leg *next, *prev;
	struct qos_leg *next_by_id;
	pbx_leg leg;
	char id[48], call_id[32], extension[64], trunk[64], device[128], dialog[128];
	int64_t started_us, written_us;
	struct qos_way ways[QOS_WAYS];
};

struct qos_gone {
	char dialog[128], leg_id[48], call_id[32], extension[64], trunk[64];
};

struct qos {
	PBX_INSTANCE(struct qos_settings);
	const struct pbx_store *store;
	const struct pbx_bus *bus;
	const struct pbx_jsons *json;
	const struct pbx_requests *requests;
	const struct pbx_timers *timers;
	const struct pbx_metrics *metrics;
	const struct pbx_calls *calls;
	const struct pbx_quality *quality;
	const struct pbx_notifier *notifier;
	struct qos_leg *legs, *by_id[QOS_BUCKETS];
	uint32_t leg_count;
	struct qos_thresholds set; /* by REST; below 0: the settings hold */
	struct qos_gone gone[QOS_GONE];
	uint32_t gone_next;
	uint64_t alerts_raised;
	pbx_timer sampling;
};

/* Of a way as a whole, as it is written and told. A figure below 0 is not known. */
struct qos_record {
	char id[64]; /* LEG/from, LEG/to, LEG/phone */
	const char *direction, *codec, *remote, *srtp, *model, *source, *transport;
	int64_t started_us, ended_us; /* 0: goes on */
	int64_t packets_sent, packets_received, lost, out_of_order, discarded, duplicates;
	double loss_percent, jitter_avg_ms, jitter_max_ms, latency_avg_ms, latency_max_ms, mos_lq, mos_cq, r, burst_density, gap_density,
		rtt_ms;
	char *series; /* owned JSON; NULL: none */
};

/* families of metrics */
#define QOS_METRIC_MOS 0u
#define QOS_METRIC_LOSS 1u
#define QOS_METRIC_JITTER 2u
#define QOS_METRIC_TRIP 3u
#define QOS_METRIC_ALERTS 4u
#define QOS_METRIC_LEGS 5u
#define QOS_METRIC_REPORTS 6u

/* ---- watch.c ---- */
int qos_watch_start(struct qos *qos);
const struct qos_leg *qos_leg_find(struct qos *qos, const char *leg_id); /* NULL: it is not watched */
void qos_watch_clear(struct qos *qos);
/* What a living leg's way has come to. Give series back with free(). */
void qos_record_of(const struct qos *qos, const struct qos_leg *leg, uint32_t way, struct qos_record *ret_record);
void qos_on_sample(void *self, pbx_timer timer);

/* ---- alerts.c ---- */
struct qos_thresholds qos_thresholds(const struct qos *qos);
extern const char *const qos_alert_types[QOS_ALERT_TYPES];
#define QOS_LOW_MOS 0u
#define QOS_HIGH_LOSS 1u
#define QOS_HIGH_JITTER 2u
#define QOS_HIGH_LATENCY 3u
#define QOS_ONE_WAY 4u
/* A sample, or with is_whole the figures of the whole way; below 0: not known. */
void qos_judge(struct qos *qos, struct qos_leg *leg, uint32_t way, double mos, double loss_percent, double jitter_ms, double round_trip_ms,
	       bool is_whole);
void qos_alert(struct qos *qos, struct qos_leg *leg, uint32_t way, uint32_t type, double value, double threshold);
void qos_alert_over(struct qos *qos, struct qos_leg *leg, uint32_t way, uint32_t type);
const char *qos_rating(double mos); /* "excellent" … "bad"; NULL: below 1 */

/* ---- rows.c ---- */
void qos_write(struct qos *qos, const struct qos_record *record, const struct qos_gone *of);
struct pbx_json *qos_record_json(const struct qos *qos, const struct qos_record *record, const struct qos_gone *of);
/* As an event tells it: what nobody knows is not there. */
struct pbx_json *qos_report_json(const struct qos *qos, const struct qos_record *record);
int qos_load_thresholds(struct qos *qos); /* PBX_ELATER: host->ready when done */
void qos_store_threshold(struct qos *qos, const char *name, double value);
void qos_on_retire(void *self, pbx_timer timer);

/* ---- phones.c: RFC 6035 ---- */
/* One report of a phone; PBX_OK, PBX_EINVAL. */
int qos_on_published(void *self, const struct pbx_publication *publication);

/* ---- requests.c ---- */
void qos_on_metrics(void *self, pbx_request request);
void qos_on_alerts(void *self, pbx_request request);
void qos_on_history(void *self, pbx_request request);
void qos_on_statistics(void *self, pbx_request request);
void qos_on_call(void *self, pbx_request request);
void qos_on_summary(void *self, pbx_request request);
void qos_on_clear(void *self, pbx_request request);
void qos_on_acknowledge(void *self, pbx_request request);
void qos_on_show_thresholds(void *self, pbx_request request);
void qos_on_set_thresholds(void *self, pbx_request request);
void qos_on_export(void *self, pbx_request request);
