/* webhooks/webhooks.h - what the plugin's files share. All of it: [loop].
 *
 * A subscription follows the event log with a cursor of its own. An event that it wants becomes a delivery: a row first, and only then is the
 * event acknowledged, so neither a crash nor a dead endpoint loses one. A delivery is sent when its turn has come (in order within one
 * linked_id, at most `concurrency` at once), tried again with growing pauses, and after a day set aside as dead. When MOST_QUEUED are
 * waiting the subscription stops acknowledging: the log itself is then the queue, and memory stays bounded. */
#pragma once
#include <pbx/bus.h>
#include <pbx/fetch.h>
#include <pbx/metrics.h>
#include <pbx/requests.h>
#include <pbx/secrets.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define MOST_SUBSCRIPTIONS 200u
#define MOST_QUEUED 1000u
#define MOST_HEADERS 20u
#define SECRET_LENGTH 32u
#define ROTATION_US ((int64_t)24 * 3600 * 1000000) /* how long the secret before the last is still signed with */

struct webhook_settings {
	uint32_t timeout_s, connect_timeout_s, concurrency, give_up_h, retention_days;
	bool allow_http;
};

struct webhooks;
struct subscription;

/* One event on its way to one endpoint. */
struct delivery {
	struct delivery *next;
	struct subscription *subscription;
	int64_t seq; /* of the event; with the subscription's id it names the delivery */
	char event_id[27], type[64], linked_id[27];
	char *body;
	uint32_t attempts;
	int64_t created_us, due_us; /* when it is to be sent (again) */
	pbx_transfer transfer;      /* under way, or none */
};

struct subscription {
	struct subscription *next;
	struct webhooks *webhooks;
	char id[27], url[2048], description[256];
	char *events;                 /* patterns, "call.*,queue.*" */
	char *sealed, *sealed_before; /* secrets; before the last rotation, or NULL */
	int64_t rotated_us;
	struct pbx_json *headers, *match, *omit; /* {name: value}, {pointer: value}, [names]; NULL: none */
	char extension[64];                      /* only events about it; "" for all */
	bool legacy_signature;
	char state[12];   /* "active", "paused", "disabled" */
	char reason[256]; /* why it is disabled */
	int64_t created_us, updated_us, failing_since_us, last_success_us;
	uint64_t delivered, failed;
	/* running */
	pbx_subscription follower;
	struct delivery *queue; /* in order of seq */
	uint32_t queued, under_way;
	int64_t oldest_unacknowledged;
	uint32_t keeping; /* rows on their way to the table */
	pbx_timer timer;  /* the next due delivery */
	bool removed;
};

struct webhooks {
	PBX_INSTANCE(struct webhook_settings);
	const struct pbx_bus *bus;
	const struct pbx_fetch *fetch;
	const struct pbx_store *store;
	const struct pbx_secrets *secrets;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	const struct pbx_timers *timers;
	const struct pbx_metrics *metrics;
	struct subscription *subscriptions;
	uint32_t count;
	bool is_draining; /* a successor has read the table and sends what waits */
};

#define METRIC_DELIVERIES 0u
#define METRIC_QUEUED 1u
#define METRIC_LAG 2u

/* ---- subscriptions.c: rows and memory ---- */
struct subscription *subscription_new(struct webhooks *webhooks);
void subscription_free(struct subscription *subscription);
struct subscription *subscription_find(struct webhooks *webhooks, const char *id);
void subscription_add(struct webhooks *webhooks, struct subscription *subscription);
void subscription_take_out(struct webhooks *webhooks, struct subscription *subscription);
int subscription_store(struct subscription *subscription, pbx_rows_fn done, void *self);
int subscriptions_load(struct webhooks *webhooks); /* PBX_ELATER; host->ready when subscriptions and waiting deliveries are read */
void subscription_disable(struct subscription *subscription, const char *reason);
char *webhooks_copy(const char *text); /* NULL stays NULL */

/* ---- filter.c: does a subscription want an event, and what of it? ---- */
bool filter_wants(const struct subscription *subscription, const struct pbx_event *event);
struct pbx_json *filter_envelope(const struct subscription *subscription, const struct pbx_event *event); /* NULL: no memory */
const struct pbx_json *filter_pointer(const struct webhooks *webhooks, const struct pbx_json *json, const char *pointer); /* RFC 6901 */
int filter_check_headers(const struct webhooks *webhooks, const struct pbx_json *headers, struct pbx_diag *diag);

/* ---- sign.c ---- */
#define SIGNATURE_HEADERS 8u
struct signed_headers {
	char lines[SIGNATURE_HEADERS][256];
	const char *list[SIGNATURE_HEADERS + MOST_HEADERS];
	char own[MOST_HEADERS][1024];
	uint32_t count;
};
/* All headers of a delivery, signatures among them. PBX_OK, PBX_EIO (the secret does not open). */
int sign_headers(const struct delivery *delivery, struct signed_headers *ret_headers);

/* ---- deliver.c ---- */
int deliver_start(struct subscription *subscription); /* begins to follow and to send */
void deliver_stop(struct subscription *subscription); /* stops both; what waits stays in the table */
void deliver_wake(struct subscription *subscription); /* sends what is due */
struct delivery *delivery_queue(struct subscription *subscription, int64_t seq, const char *event_id, const char *type,
				const char *linked_id, const char *body, int64_t created_us); /* NULL: no memory, or it waits already */
void delivery_free(struct delivery *delivery);
int deliver_test(struct subscription *subscription, pbx_request request); /* one request at once; the answer tells what came back */

/* ---- edit.c: what people change ---- */
void webhooks_on_create(void *self, pbx_request request);
void webhooks_on_change(void *self, pbx_request request);
void webhooks_on_rotate(void *self, pbx_request request);
void webhooks_on_pause(void *self, pbx_request request);
void webhooks_on_resume(void *self, pbx_request request);
void webhooks_on_remove(void *self, pbx_request request);

/* ---- requests.c: what people look at, and again ---- */
struct pbx_json *subscription_describe(const struct subscription *subscription);
struct subscription *asked_subscription(struct webhooks *webhooks, pbx_request request); /* NULL: it has been refused */
void webhooks_on_list(void *self, pbx_request request);
void webhooks_on_show(void *self, pbx_request request);
void webhooks_on_deliveries(void *self, pbx_request request);
void webhooks_on_redeliver(void *self, pbx_request request);
void webhooks_on_replay(void *self, pbx_request request);
void webhooks_on_test(void *self, pbx_request request);
