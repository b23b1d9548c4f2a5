/*
 * qos_monitoring - every call gets loss, jitter, delay and a MOS that means something; what is bad is told of while it lasts
 *
 * Answered legs are looked at both ways every few seconds (watch.c), held against thresholds (alerts.c) and written down (rows.c); phones add what they
 * themselves say (report.c); people ask (requests.c). Figures come from pbx.quality/1, which counts and knows the E-model; nothing here touches a packet.
 */
#include "qos.h"

static const struct pbx_setting settings[] = {
	PBX_NUMBER(struct qos_settings, mos_min, .initial_number = 3.5, .least_number = 1, .most_number = 5,
		   .help = "A MOS below this raises low_mos"),
	PBX_NUMBER(struct qos_settings, packet_loss_max, .initial_number = 2, .least_number = 0, .most_number = 100, .unit = "%",
		   .help = "More loss than this raises high_packet_loss"),
	PBX_NUMBER(struct qos_settings, jitter_max, .initial_number = 50, .least_number = 0, .most_number = 1000, .unit = "ms",
		   .help = "More jitter than this raises high_jitter"),
	PBX_NUMBER(struct qos_settings, latency_max, .initial_number = 300, .least_number = 0, .most_number = 5000, .unit = "ms",
		   .help = "A longer round trip than this raises high_latency"),
	PBX_UINT(struct qos_settings, sample_s, .initial = 5, .least = 1, .most = 60, .unit = "s", .help = "How often a leg is looked at"),
	PBX_UINT(struct qos_settings, retention_days, .initial = 90, .least = 0, .most = 36500, .unit = "days",
		 .help = "Records and alerts older than this are removed; 0 keeps all"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "records, alerts, thresholds",
	  "CREATE TABLE qos_metrics (id TEXT PRIMARY KEY, call_id TEXT NOT NULL, leg TEXT NOT NULL, direction TEXT NOT NULL, source TEXT "
	  "NOT NULL,"
	  " start_time INTEGER NOT NULL, end_time INTEGER NOT NULL, duration_seconds DOUBLE PRECISION NOT NULL,"
	  " packets_sent INTEGER NOT NULL, packets_received INTEGER NOT NULL, packets_lost INTEGER NOT NULL,"
	  " packets_out_of_order INTEGER NOT NULL, packets_discarded INTEGER NOT NULL, packets_duplicate INTEGER NOT NULL,"
	  " packet_loss_percentage DOUBLE PRECISION, jitter_avg_ms DOUBLE PRECISION, jitter_max_ms DOUBLE PRECISION,"
	  " latency_avg_ms DOUBLE PRECISION, latency_max_ms DOUBLE PRECISION, rtt_ms DOUBLE PRECISION, mos_lq DOUBLE PRECISION,"
	  " mos_cq DOUBLE PRECISION, r_factor DOUBLE PRECISION, burst_density DOUBLE PRECISION, gap_density DOUBLE PRECISION,"
	  " quality_rating TEXT, model TEXT, codec TEXT, extension TEXT, trunk TEXT, remote_ip TEXT, subnet TEXT, srtp TEXT,"
	  " hour INTEGER NOT NULL, counts INTEGER NOT NULL, series TEXT NOT NULL);"
	  "CREATE INDEX qos_metrics_call ON qos_metrics (call_id);"
	  "CREATE INDEX qos_metrics_start ON qos_metrics (start_time);"
	  "CREATE INDEX qos_metrics_extension ON qos_metrics (extension, start_time);"
	  "CREATE TABLE qos_alerts (id TEXT PRIMARY KEY, call_id TEXT NOT NULL, leg_id TEXT NOT NULL, direction TEXT NOT NULL, type TEXT "
	  "NOT NULL,"
	  " severity TEXT NOT NULL, value DOUBLE PRECISION NOT NULL, threshold DOUBLE PRECISION NOT NULL, message TEXT NOT NULL,"
	  " raised_at INTEGER NOT NULL, cleared_at INTEGER, acknowledged_at INTEGER, acknowledged_by TEXT);"
	  "CREATE INDEX qos_alerts_call ON qos_alerts (call_id);"
	  "CREATE INDEX qos_alerts_raised ON qos_alerts (raised_at);"
	  "CREATE TABLE qos_thresholds (name TEXT PRIMARY KEY, value DOUBLE PRECISION NOT NULL)" },
	{ 2, "by UDP or TCP", "ALTER TABLE qos_metrics ADD COLUMN transport TEXT" },
};

static const struct pbx_metric metrics[] = {
	[QOS_METRIC_MOS] = { "pbx_call_quality_mos", PBX_METRIC_HISTOGRAM, "MOS (listening) of legs that have ended, each way", "direction",
			     "1.5,2,2.5,3.1,3.6,4,4.3" },
	[QOS_METRIC_LOSS] = { "pbx_call_packet_loss_ratio", PBX_METRIC_HISTOGRAM, "Share of packets that were lost on legs that have ended",
			      "direction", "0.001,0.005,0.01,0.02,0.05,0.1,0.2" },
	[QOS_METRIC_JITTER] = { "pbx_call_jitter_seconds", PBX_METRIC_HISTOGRAM, "Mean jitter of legs that have ended", "direction",
				"0.001,0.005,0.01,0.02,0.03,0.05,0.1" },
	[QOS_METRIC_TRIP] = { "pbx_call_round_trip_seconds", PBX_METRIC_HISTOGRAM, "Round trip between us and parties whose leg has ended",
			      NULL, "0.01,0.025,0.05,0.1,0.2,0.3,0.5,1" },
	[QOS_METRIC_ALERTS] = { "pbx_quality_alerts_total", PBX_METRIC_COUNTER, "Alerts raised", "type", NULL },
	[QOS_METRIC_LEGS] = { "pbx_quality_watched_legs", PBX_METRIC_GAUGE, "Answered legs that are looked at", NULL, NULL },
	[QOS_METRIC_REPORTS] = { "pbx_quality_phone_reports_total", PBX_METRIC_COUNTER, "Reports of phones (RFC 6035)", "result", NULL },
};

#define RECORD_FIELDS                                                                                                                      \
	{ "call_id", PBX_TYPE_TEXT, "The call" }, { "leg_id", PBX_TYPE_TEXT, "The leg" },                                                  \
		{ "direction", PBX_TYPE_TEXT, "from: what the party said as it reached us; to: what it heard" },                           \
		{ "source", PBX_TYPE_TEXT, "rtp: counted by us, rtcp: as the party reported, phone: its own report (RFC 6035)" },          \
		{ "start_time", PBX_TYPE_TIME, "Answered" }, { "end_time", PBX_TYPE_TIME, "Ended, or null" },                              \
		{ "duration_seconds", PBX_TYPE_NUMBER, "In between" }, { "packets_sent", PBX_TYPE_INT, "By us" },                          \
		{ "packets_received", PBX_TYPE_INT, "By us" }, { "packets_lost", PBX_TYPE_INT, "On the way" },                             \
		{ "packets_out_of_order", PBX_TYPE_INT, "Overtaken" },                                                                     \
		{ "packets_discarded", PBX_TYPE_INT, "Too late for the phone, as it reports" },                                            \
		{ "packets_duplicate", PBX_TYPE_INT, "That came twice" }, { "packet_loss_percentage", PBX_TYPE_NUMBER, "Or null" },        \
		{ "jitter_avg_ms", PBX_TYPE_NUMBER, "RFC 3550, mean of the samples" },                                                     \
		{ "jitter_max_ms", PBX_TYPE_NUMBER, "The highest" }, { "latency_avg_ms", PBX_TYPE_NUMBER, "Half the round trip" },         \
		{ "latency_max_ms", PBX_TYPE_NUMBER, "The highest" },                                                                      \
		{ "rtt_ms", PBX_TYPE_NUMBER, "Round trip between us and the party, the newest" },                                          \
		{ "mos_score", PBX_TYPE_NUMBER, "MOS for who listens; null: nothing came" },                                               \
		{ "mos_cq", PBX_TYPE_NUMBER, "With delay, for who converses" }, { "r_factor", PBX_TYPE_NUMBER, "0 to 100" },               \
		{ "burst_density", PBX_TYPE_NUMBER, "Share lost in bursts (RFC 3611)" },                                                   \
		{ "gap_density", PBX_TYPE_NUMBER, "And between them" },                                                                    \
		{ "quality_rating", PBX_TYPE_TEXT, "excellent, good, fair, poor, bad" },                                                   \
		{ "model", PBX_TYPE_TEXT, "G.107, G.107.1, G.107.2, or phone" }, { "codec", PBX_TYPE_TEXT, "The codec" },                  \
		{ "extension", PBX_TYPE_TEXT, "Whose leg, or null" }, { "trunk", PBX_TYPE_TEXT, "Or which system's" },                     \
		{ "remote_ip", PBX_TYPE_TEXT, "Its address" }, { "srtp", PBX_TYPE_TEXT, "Crypto suite, or null" },                         \
	{                                                                                                                                  \
		"transport", PBX_TYPE_TEXT, "udp, or tcp: a browser's connection, where what is lost on the way is late instead"           \
	}
static const struct pbx_field record_fields[] = { RECORD_FIELDS };
static const struct pbx_field alert_fields[] = {
	{ "id", PBX_TYPE_TEXT, "The alert" },
	{ "call_id", PBX_TYPE_TEXT, "The call" },
	{ "leg_id", PBX_TYPE_TEXT, "The leg" },
	{ "direction", PBX_TYPE_TEXT, "from the party, to the party" },
	{ "type", PBX_TYPE_TEXT, "low_mos, high_packet_loss, high_jitter, high_latency, one_way_audio" },
	{ "severity", PBX_TYPE_TEXT, "warning, error" },
	{ "value", PBX_TYPE_NUMBER, "What it was" },
	{ "threshold", PBX_TYPE_NUMBER, "What it should have been" },
	{ "message", PBX_TYPE_TEXT, "In words" },
	{ "raised_at", PBX_TYPE_TIME, "When" },
	{ "cleared_at", PBX_TYPE_TIME, "When it was good again, or the call over; or null" },
	{ "acknowledged_at", PBX_TYPE_TIME, "Or null" },
	{ "acknowledged_by", PBX_TYPE_TEXT, "Or null" },
};
static const struct pbx_field summary_fields[] = {
	{ "name", PBX_TYPE_TEXT, "The extension, trunk, codec, network or hour (UTC)" },
	{ "calls", PBX_TYPE_INT, "Calls" },
	{ "average_mos", PBX_TYPE_NUMBER, "Of both ways of each leg; null: none lasted five seconds" },
	{ "lowest_mos", PBX_TYPE_NUMBER, "The worst" },
	{ "average_packet_loss", PBX_TYPE_NUMBER, "In percent" },
	{ "average_jitter_ms", PBX_TYPE_NUMBER, "Mean jitter" },
	{ "average_rtt_ms", PBX_TYPE_NUMBER, "Mean round trip" },
	{ "bad_ways", PBX_TYPE_INT, "Poor or bad" },
};
static const struct pbx_field statistics_fields[] = {
	{ "total_calls", PBX_TYPE_INT, "Calls with a record" },
	{ "average_mos", PBX_TYPE_NUMBER, "Null when there was no call: never an estimate" },
	{ "average_packet_loss", PBX_TYPE_NUMBER, "In percent" },
	{ "average_jitter_ms", PBX_TYPE_NUMBER, "Mean jitter" },
	{ "average_rtt_ms", PBX_TYPE_NUMBER, "Mean round trip" },
	{ "excellent", PBX_TYPE_INT, "Ways with a MOS of 4.3 and more" },
	{ "good", PBX_TYPE_INT, "4.0 and more" },
	{ "fair", PBX_TYPE_INT, "3.6 and more" },
	{ "poor", PBX_TYPE_INT, "3.1 and more" },
	{ "bad", PBX_TYPE_INT, "Less" },
	{ "calls_with_issues", PBX_TYPE_INT, "Calls that raised an alert" },
	{ "total_alerts", PBX_TYPE_INT, "Alerts" },
	{ "issue_percentage", PBX_TYPE_NUMBER, "Of calls, or null" },
	{ "active_legs", PBX_TYPE_INT, "Looked at now" },
	{ "days", PBX_TYPE_INT, "How far back" },
};
static const struct pbx_field threshold_fields[] = {
	{ "mos_min", PBX_TYPE_NUMBER, "Least MOS" },
	{ "packet_loss_max", PBX_TYPE_NUMBER, "Most loss, in percent" },
	{ "jitter_max", PBX_TYPE_NUMBER, "Most jitter, in ms" },
	{ "latency_max", PBX_TYPE_NUMBER, "Longest round trip, in ms" },
};
static const struct pbx_field changed_fields[] = { { "changed", PBX_TYPE_INT, "How many alerts" } };
static const struct pbx_field call_fields[] = {
	{ "call_id", PBX_TYPE_TEXT, "The call" },
	{ "legs", PBX_TYPE_OBJECTS, "Both ways of each leg, with their series" },
	{ "alerts", PBX_TYPE_OBJECTS, "Its alerts" },
};

static const struct pbx_field alert_event_fields[] = {
	{ "alert_id", PBX_TYPE_TEXT, "The alert" },
	{ "leg_id", PBX_TYPE_TEXT, "The leg" },
	{ "direction", PBX_TYPE_TEXT, "from the party, to the party" },
	{ "type", PBX_TYPE_TEXT, "low_mos, high_packet_loss, high_jitter, high_latency, one_way_audio" },
	{ "severity", PBX_TYPE_TEXT, "warning, error" },
	{ "value", PBX_TYPE_NUMBER, "What it is" },
	{ "threshold", PBX_TYPE_NUMBER, "What it should be" },
	{ "message", PBX_TYPE_TEXT, "In words" },
	{ "extension", PBX_TYPE_TEXT, "Whose leg" },
	{ "trunk", PBX_TYPE_TEXT, "Or which system's" },
};
static const struct pbx_field report_event_fields[] = {
	{ "leg_id", PBX_TYPE_TEXT, "The leg" },
	{ "call_id", PBX_TYPE_TEXT, "The call" },
	{ "extension", PBX_TYPE_TEXT, "Whose leg" },
	{ "trunk", PBX_TYPE_TEXT, "Or which system's" },
	{ "from", PBX_TYPE_OBJECT, "What the party said, as GET /qos/history has it, without what is not known" },
	{ "to", PBX_TYPE_OBJECT, "What it heard, the same way" },
};
static const struct pbx_event_type events[] = {
	{ "quality.alert", "Something is too bad, told while it lasts: once for each leg, direction and type",
	  PBX_TABLE(alert_event_fields) },
	{ "quality.report", "How a leg that has ended sounded, both ways", PBX_TABLE(report_event_fields) },
};

#define LIMIT(most_, otherwise)                                                                                                            \
	{                                                                                                                                  \
		.name = "limit", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .least = 1, .most = (most_),                                \
		.help = "At most so many (" otherwise ")"                                                                                  \
	}
#define DAYS                                                                                                                               \
	{                                                                                                                                  \
		.name = "days", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .least = 1, .most = 36500, .help = "How far back (7)"        \
	}
static const struct pbx_arg history_args[] = {
	LIMIT(10000, "100"),
	{ .name = "min_mos", .type = PBX_TYPE_NUMBER, .flags = PBX_ARG_QUERY, .help = "Only with this MOS or more, 1 to 5" },
	{ .name = "max_mos", .type = PBX_TYPE_NUMBER, .flags = PBX_ARG_QUERY, .help = "Only with this MOS or less, 1 to 5" },
	{ .name = "extension",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_QUERY,
	  .most = 63,
	  .help = "Of this extension",
	  .completes = "extension" },
	{ .name = "trunk", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .most = 63, .help = "Of this trunk" },
};
static const struct pbx_arg alerts_args[] = {
	LIMIT(1000, "50"),
	{ .name = "open", .type = PBX_TYPE_BOOL, .flags = PBX_ARG_QUERY, .help = "Only those that nobody has acknowledged" },
};
static const struct pbx_arg days_args[] = { DAYS };
static const struct pbx_arg summary_args[] = {
	{ .name = "group_by",
	  .type = PBX_TYPE_CHOICE,
	  .flags = PBX_ARG_QUERY,
	  .choices = PBX_CHOICES("extension", "trunk", "codec", "subnet", "hour"),
	  .help = "What makes a line (extension)" },
	DAYS,
};
static const struct pbx_arg call_args[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = 39, .help = "The call's id", .completes = "call" },
};
static const struct pbx_arg alert_args[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = 39, .help = "The alert's id" },
};
static const struct pbx_arg threshold_args[] = {
	{ .name = "mos_min", .type = PBX_TYPE_NUMBER, .help = "Least MOS, 1 to 5" },
	{ .name = "packet_loss_max", .type = PBX_TYPE_NUMBER, .help = "Most loss in percent, 0 to 100" },
	{ .name = "jitter_max", .type = PBX_TYPE_NUMBER, .help = "Most jitter in ms, 0 to 1000" },
	{ .name = "latency_max", .type = PBX_TYPE_NUMBER, .help = "Longest round trip in ms, 0 to 5000" },
};

#define GET(path_, handle_, summary_, args_, reply_)                                                                                       \
	{                                                                                                                                  \
		.method = "GET", .path = (path_), .handle = (handle_), .scope = "qos:read", .summary = (summary_),                         \
		.args = PBX_TABLE(args_), .reply = PBX_TABLE(reply_)                                                                       \
	}
static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/qos/metrics",
	  .handle = qos_on_metrics,
	  .scope = "qos:read",
	  .summary = "Quality of calls that last, both ways of each leg",
	  .reply = PBX_TABLE(record_fields) },
	GET("/qos/history", qos_on_history, "Legs that have ended, newest first", history_args, record_fields),
	GET("/qos/alerts", qos_on_alerts, "Alerts, newest first", alerts_args, alert_fields),
	GET("/qos/statistics", qos_on_statistics, "Averages and shares", days_args, statistics_fields),
	GET("/qos/summary", qos_on_summary, "The same for each extension, trunk, codec, network or hour; the worst first", summary_args,
	    summary_fields),
	GET("/qos/call/{id}", qos_on_call, "One call, living or over, with its series", call_args, call_fields),
	GET("/qos/export", qos_on_export, "Legs that have ended as CSV", history_args, record_fields),
	{ .method = "GET",
	  .path = "/qos/thresholds",
	  .handle = qos_on_show_thresholds,
	  .scope = "qos:read",
	  .summary = "What raises alerts",
	  .reply = PBX_TABLE(threshold_fields) },
	{ .method = "POST",
	  .path = "/qos/thresholds",
	  .handle = qos_on_set_thresholds,
	  .scope = "qos:write",
	  .summary = "Change what raises alerts, from now on and over restarts",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(threshold_args),
	  .reply = PBX_TABLE(threshold_fields) },
	{ .method = "POST",
	  .path = "/qos/alerts/{id}:acknowledge",
	  .handle = qos_on_acknowledge,
	  .scope = "qos:write",
	  .summary = "Somebody looks after it",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(alert_args),
	  .reply = PBX_TABLE(changed_fields) },
	{ .method = "POST",
	  .path = "/qos/clear-alerts",
	  .handle = qos_on_clear,
	  .scope = "qos:write",
	  .summary = "Remove all alerts",
	  .flags = PBX_ROUTE_WRITES,
	  .reply = PBX_TABLE(changed_fields) },
};

static const struct pbx_command commands[] = {
	{ .words = "qos live",
	  .handle = qos_on_metrics,
	  .help = "Quality of calls that last",
	  .columns = "call_id,extension,trunk,direction,transport,codec,packet_loss_percentage,jitter_avg_ms,rtt_ms,mos_score,mos_now" },
	{ .words = "qos history",
	  .handle = qos_on_history,
	  .help = "Legs that have ended, newest first",
	  .args = PBX_TABLE(history_args),
	  .columns = "start_time,extension,trunk,direction,codec,duration_seconds,packet_loss_percentage,jitter_avg_ms,rtt_ms,mos_score,"
		     "call_id" },
	{ .words = "qos call", .handle = qos_on_call, .help = "One call with its series", .args = PBX_TABLE(call_args) },
	{ .words = "qos alerts",
	  .handle = qos_on_alerts,
	  .help = "Alerts, newest first",
	  .args = PBX_TABLE(alerts_args),
	  .columns = "raised_at,type,message,cleared_at,acknowledged_by,id" },
	{ .words = "qos acknowledge",
	  .handle = qos_on_acknowledge,
	  .help = "Somebody looks after an alert",
	  .args = PBX_TABLE(alert_args),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "qos clear", .handle = qos_on_clear, .help = "Remove all alerts", .flags = PBX_ROUTE_WRITES },
	{ .words = "qos statistics", .handle = qos_on_statistics, .help = "Averages and shares", .args = PBX_TABLE(days_args) },
	{ .words = "qos summary",
	  .handle = qos_on_summary,
	  .help = "Averages for each extension, trunk, codec, network or hour",
	  .args = PBX_TABLE(summary_args),
	  .columns = "name,calls,average_mos,lowest_mos,average_packet_loss,average_jitter_ms,average_rtt_ms,bad_ways" },
	{ .words = "qos thresholds", .handle = qos_on_show_thresholds, .help = "What raises alerts" },
	{ .words = "qos set",
	  .handle = qos_on_set_thresholds,
	  .help = "Change what raises alerts",
	  .args = PBX_TABLE(threshold_args),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "qos export", .handle = qos_on_export, .help = "Legs that have ended as CSV", .args = PBX_TABLE(history_args) },
};

/* ---- life ---- */

static int qos_load(void *self)
{
	struct qos *qos = self;

	qos->store = pbx_store(qos->host);
	qos->bus = pbx_bus(qos->host);
	qos->json = pbx_jsons(qos->host);
	qos->requests = pbx_requests(qos->host);
	qos->timers = pbx_timers(qos->host);
	qos->metrics = pbx_metrics(qos->host);
	qos->calls = pbx_calls(qos->host);
	qos->quality = pbx_quality(qos->host);
	qos->notifier = pbx_notifier(qos->host);
	return qos_load_thresholds(qos);
}

/* Reports are taken, and not handed on: they are in the history. */
static int nobody_may(void *self, const struct pbx_watch_info *info)
{
	(void)self;
	(void)info;
	return PBX_EPERM;
}

static int nothing_to_write(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document)
{
	(void)self;
	(void)info;
	(void)since;
	(void)ret_document;
	return PBX_ENOENT;
}

static int qos_start(void *self)
{
	static const char *const types[] = { "application/vq-rtcpxr" };
	static const struct pbx_event_package package = { .size = sizeof package,
							  .name = "vq-rtcpxr",
							  .content_types = { types, 1 },
							  .takes_reports = true,
							  .subscribed = nobody_may,
							  .write = nothing_to_write,
							  .published = qos_on_published };
	struct qos *qos = self;
	pbx_timer timer;
	int err = qos_watch_start(qos);

	if (err == PBX_OK)
		err = qos->timers->start(qos->host, 60000, 3600000, qos_on_retire, qos, &timer);
	if (err == PBX_OK && qos->notifier->package)
		err = qos->notifier->package(qos->host, &package, qos);
	return err;
}

static int qos_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	(void)self;
	(void)proposed;
	(void)diag;
	return PBX_OK; /* each is read when it is needed */
}

static void qos_unload(void *self)
{
	qos_watch_clear(self);
}

PBX_PLUGIN(qos_monitoring)
= {
	PBX_PLUGIN_HEADER,
	.name = "qos_monitoring",
	.version = "1.0.0",
	.summary = "Loss, jitter, delay and MOS of every call, with alerts while it lasts",
	.needs = PBX_NEEDS("pbx.store/1", "pbx.bus/1", "pbx.json/1", "pbx.requests/1", "pbx.timers/1", "pbx.metrics/1", "pbx.calls/1",
			   "pbx.quality/1", "pbx.notifier/1?"),
	.instance_size = sizeof(struct qos),
	PBX_SETTINGS(struct qos_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = qos_load,
	.start = qos_start,
	.reload = qos_reload,
	.unload = qos_unload,
};
