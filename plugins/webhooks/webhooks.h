/* webhooks/webhooks.h - what the plugin's files share. All of it: [loop].
 *
 * A subscription follows the event log with a cursor of its own. An event that it wants becomes a delivery: a row first, and only then is the
 * event acknowledged, so neither a crash nor a dead endpoint loses one. One delivery, or several when the subscription gathers, travel as a
 * shipment: one request, tried again as it is with growing pauses, and after a day set aside as dead. Shipments that carry the same call's
 * events go one after the other; else up to `concurrency` are under way at once. When MOST_QUEUED deliveries wait, the subscription stops
 * acknowledging: the log itself is then the queue, and memory stays bounded. */
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
#define MOST_TOGETHER 100u /* events in one request */
#define MOST_HEADERS 20u
#define SECRET_SIZE 76u
#define ROTATION_US ((int64_t)24 * 3600 * 1000000) /* how long the keys before the last are still signed with */
#define LINE_BUCKETS 64u

struct webhook_settings {
	uint32_t timeout_s, connect_timeout_s, concurrency, give_up_h, retention_days;
	bool allow_http;
	struct pbx_list http_hosts;
	struct pbx_objects subscriptions; /* struct subscription_settings */
};

/* A subscription that the settings pin: it is theirs to change. */
struct subscription_settings {
	const char *name, *url, *description, *extension, *queue, *trunk, *secret;
	const char *oauth_token_url, *oauth_client_id, *oauth_client_secret, *oauth_scope, *oauth_audience, *oauth_auth;
	const char *client_certificate, *client_key, *ca; /* PEM */
	struct pbx_list events, omit, match;
	struct pbx_objects headers; /* struct header_settings */
	bool enabled, legacy_signature, ed25519;
	uint32_t batch_events, batch_ms, batch_bytes;
};
struct header_settings {
	const char *name, *value;
};

struct webhooks;
struct subscription;
struct shipment;

/* What people have said about a subscription; subscriptions.c knows each member's column. Texts are NULL when there is none. "sealed": as
 * pbx.secrets/1 keeps it, under the subscription's context. */
struct config {
	char *name; /* of one that the settings pin; NULL: people have made it */
	char *url, *description;
	char *events; /* patterns, "call.*,queue.*" */
	char *extension, *queue, *trunk;
	struct pbx_json *headers, *match, *omit; /* {name: value} (sealed in the table), {pointer: value}, [names]; NULL: none */
	bool legacy_signature, ed25519;
	char *secret, *secret_before; /* sealed; before the last rotation */
	char *key, *key_before;       /* Ed25519, sealed */
	int64_t rotated_us;
	char *client_certificate, *client_key, *ca;                                                                /* PEM; the key sealed */
	char *oauth_token_url, *oauth_client_id, *oauth_client_secret, *oauth_scope, *oauth_audience, *oauth_auth; /* the secret sealed */
	uint32_t batch_events, batch_ms, batch_bytes; /* gathered until one of them is reached; 1 event: not gathered */
	char *state, *reason;                         /* "active", "paused", "disabled", and then why */
	int64_t created_us, updated_us, failing_since_us;
	int64_t replay_end_seq;  /* events up to this one are told anew, for a replay began when the webhook was there; 0: none */
	int64_t replay_until_us; /* of them nothing later than that; 0: all */
};

/* The deliveries of one call: only one shipment carries some of them. */
struct line {
	struct line *next; /* in its bucket */
	char linked_id[27];
	uint32_t deliveries;
	struct shipment *held_by;
};

/* One event on its way to one endpoint. */
struct delivery {
	struct delivery *next;
	int64_t seq;    /* of the event; with the subscription's id it names the delivery */
	int64_t number; /* of the delivery, gap-free within the subscription */
	char event_id[27], type[64];
	struct line *line; /* NULL: it is about no call */
	char *body;
	size_t body_size;
	uint32_t attempts;
	int64_t happened_us, created_us; /* the event, and when we took it */
	bool kept;                       /* its row is safe */
	struct shipment *shipment;
};

struct shipment {
	struct shipment *next;
	struct subscription *subscription;
	char id[27]; /* webhook-id: the event's, or one of its own for several */
	struct delivery *deliveries[MOST_TOGETHER];
	uint32_t count;
	char *body; /* owned when several, else the delivery's */
	size_t body_size;
	uint32_t attempts;
	int64_t due_us;
	bool is_batch;
	bool under_way, renewed_token; /* under_way: being sent, or waiting for an access token */
	pbx_transfer transfer;
};

/* Deliveries that are over, though the log may tell of their events again: it has not heard of them yet, or had not when we were killed. The
 * endpoint hears of them once, under one number. */
struct ended {
	int64_t *seqs;
	uint32_t count;
	int64_t last; /* the highest of them */
};

typedef void (*token_fn)(void *self, int status, const char *error);

/* An access token of the endpoint's authority, only ever in memory. */
struct token {
	char *value;
	int64_t expires_us;
	pbx_transfer asking;
	struct token_waiter *waiters;
};

struct subscription {
	struct subscription *next;
	struct webhooks *webhooks;
	char id[27];
	struct config config;
	int64_t last_success_us;
	uint64_t delivered, failed;
	/* running */
	pbx_subscription follower;
	struct delivery *queue, *last; /* in order of seq */
	struct shipment *shipments;
	struct line *lines[LINE_BUCKETS];
	uint32_t queued, under_way;
	int64_t seen_seq, last_number;
	int64_t acknowledged_seq; /* by this process; the log tells of nothing up to it again, unless it is asked */
	int64_t may_acknowledge;  /* everything up to it is safe or unwanted; 0: acknowledged already */
	uint32_t keeping;         /* rows on their way to the table */
	int64_t refused_seq;      /* the first that the store did not take: from there the log is read again; 0: none */
	struct ended ended;
	int64_t held_until_us; /* the endpoint asked us to wait */
	struct token token;
	pbx_timer timer, again; /* the next due shipment; reading the log again */
	bool changing;          /* a change is on its way to the table */
	bool leaving;           /* the settings have it no more: nothing is sent until its rows are gone */
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
	struct trial *trials;
	bool is_started, is_draining; /* draining: a successor has read the table and sends what waits */
	bool pinning_waits;           /* the settings are to be looked at again when what is being changed has been */
	pbx_timer pinning_timer;      /* or after the store has refused something */
};

#define METRIC_DELIVERIES 0u
#define METRIC_QUEUED 1u
#define METRIC_LAG 2u
#define METRIC_TOKENS 3u

int64_t webhooks_now_us(const struct webhooks *webhooks);

/* ---- config.c: members, columns, copies ---- */
int config_copy(const struct webhooks *webhooks, const struct config *from, struct config *ret_config); /* PBX_OK, PBX_ENOMEM */
void config_free(const struct webhooks *webhooks, struct config *config);
int config_set(char **member, const char *text); /* "" and NULL: none. PBX_OK, PBX_ENOMEM */
int config_store(struct webhooks *webhooks, const char *id, const struct config *config, pbx_rows_fn done, void *self);
bool config_is_same(const struct webhooks *webhooks, const struct config *a, const struct config *b); /* updated_us apart */
const char *config_select(void);                                                                      /* SELECT …: id and every column */
/* PBX_OK, PBX_ENOMEM, PBX_EIO (what was sealed does not open; the rest is there) */
int config_take_row(struct webhooks *webhooks, const char *id, const struct pbx_rows *rows, uint32_t row, struct config *ret_config);

/* ---- subscriptions.c: rows and memory ---- */
struct subscription *subscription_new(struct webhooks *webhooks);
void subscription_free(struct subscription *subscription);
void subscription_release(struct subscription *subscription); /* frees it when it is removed and nothing comes back to it any more */
struct subscription *subscription_find(struct webhooks *webhooks, const char *id);
void subscription_add(struct webhooks *webhooks, struct subscription *subscription);
void subscription_take_out(struct webhooks *webhooks, struct subscription *subscription);
/* From the next request on it is as *config says, which takes what was before; what failed has another chance at once. It follows nothing then. */
void subscription_apply(struct subscription *subscription, struct config *config);
void subscription_let_go(struct subscription *subscription); /* its rows are gone; its place in the log is forgotten */
bool subscription_is_active(const struct subscription *subscription);
int subscriptions_load(struct webhooks *webhooks); /* PBX_ELATER; host->ready when subscriptions and waiting deliveries are read */
void subscription_disable(struct subscription *subscription, const char *reason);
void subscription_failing(struct subscription *subscription, bool failing); /* since when is kept, so that restarts do not begin anew */

/* ---- filter.c: does a subscription want an event, and what of it? ---- */
bool filter_wants(const struct subscription *subscription, const struct pbx_event *event);
struct pbx_json *filter_envelope(const struct subscription *subscription, const struct pbx_event *event,
				 int64_t number); /* NULL: no memory */
const struct pbx_json *filter_pointer(const struct webhooks *webhooks, const struct pbx_json *json, const char *pointer); /* RFC 6901 */
bool filter_is_pattern(const char *pattern);                                                                              /* of events */
int filter_check_header(const char *name, const char *value, struct pbx_diag *diag);
int filter_check_headers(const struct webhooks *webhooks, const struct pbx_json *headers, struct pbx_diag *diag);
bool filter_is_private_header(const char *name); /* its value is not shown */

/* ---- keys.c: making and opening what must stay secret ---- */
char *keys_seal(const struct webhooks *webhooks, const char *id, const char *text);   /* owned; NULL: no memory */
char *keys_open(const struct webhooks *webhooks, const char *id, const char *sealed); /* wipe it. NULL: damaged, or NULL given */
/* A random secret in the form of Standard Webhooks, "whsec_" and base64. PBX_OK, PBX_EIO. */
int keys_new_secret(char ret_secret[SECRET_SIZE]);
int keys_new_ed25519(const struct webhooks *webhooks, const char *id, char **ret_sealed);                /* PBX_OK, PBX_EIO */
int keys_public(const struct webhooks *webhooks, const char *id, const char *sealed, char ret_text[64]); /* "whpk_…" */
int keys_sign(const struct webhooks *webhooks, const char *id, const char *sealed, const void *data, size_t size,
	      uint8_t ret_signature[64]);
/* The bytes that a secret stands for: of "whsec_…" what follows, decoded; of any other text its characters. Returns how many. */
size_t keys_bytes(const char *secret, uint8_t *ret_bytes, size_t size);
/* Do certificate and key belong together, and are they good today? PBX_OK, PBX_EINVAL and diag. */
int keys_check_identity(const char *certificate, const char *key, struct pbx_diag *diag);
int keys_check_authorities(const char *pem, struct pbx_diag *diag);
int64_t keys_certificate_until_us(const char *pem); /* 0: cannot be told */

/* ---- sign.c ---- */
#define SIGNATURE_HEADERS 9u
struct signed_headers {
	char lines[SIGNATURE_HEADERS][512];
	const char *list[SIGNATURE_HEADERS + MOST_HEADERS + 1];
	char own[MOST_HEADERS][1024];
	char *authorization; /* wipe it */
	uint32_t count;
};
/* All headers of a shipment, signatures and access token among them; sign_done when sent. PBX_OK, PBX_EIO (a secret does not open). */
int sign_headers(const struct shipment *shipment, const char *type, struct signed_headers *ret_headers);
void sign_done(struct signed_headers *headers);

/* ---- token.c: OAuth2 client credentials ---- */
bool token_is_wanted(const struct subscription *subscription);
bool token_is_good(const struct subscription *subscription);
void token_drop(struct subscription *subscription);
void token_cancel(struct subscription *subscription); /* a question under way is of no use any more: those who wait hear PBX_ECANCELLED */
/* Asks for one, unless that is under way. fn(self, PBX_OK or why not, "" or a sentence) follows, later. PBX_OK, or why it cannot be asked. */
int token_want(struct subscription *subscription, token_fn fn, void *self);
void token_free(struct subscription *subscription); /* those who wait hear nothing */

/* ---- queue.c: deliveries that wait ---- */
struct delivery *queue_find(const struct subscription *subscription, int64_t seq);
/* seq, number, texts, body and times are copied from `like`; *body is copied. NULL: no memory. */
struct delivery *queue_add(struct subscription *subscription, const struct delivery *like, const char *linked_id, const char *body);
void queue_remove(struct subscription *subscription, struct delivery *delivery);
void queue_note_ended(struct subscription *subscription, int64_t seq); /* without memory for it, it may come twice */
bool queue_has_ended(const struct subscription *subscription, int64_t seq);
void queue_forget_ended(struct subscription *subscription);
void queue_free(struct subscription *subscription);
int queue_keep(struct subscription *subscription, const struct delivery *delivery, pbx_rows_fn done, void *self);
void queue_outcome(const struct subscription *subscription, const struct delivery *delivery, const char *state,
		   const struct pbx_fetch_result *result);

/* ---- follow.c: from the event log to the queue ---- */
int follow_start(struct subscription *subscription); /* begins to follow and to send */
void follow_stop(struct subscription *subscription); /* stops both; what waits stays in the table */
void follow_acknowledge(struct subscription *subscription);

/* ---- shipment.c: what travels together ---- */
/* The next that may go, or NULL: then *ret_at_us is when there may be one, unless something changes (INT64_MAX: never). */
struct shipment *shipment_next(struct subscription *subscription, int64_t *ret_at_us);
void shipment_free(struct shipment *shipment); /* its deliveries stay in the queue */
const char *shipment_type(const struct shipment *shipment);

/* ---- deliver.c: until the endpoint has it ---- */
void deliver_wake(struct subscription *subscription); /* sends what is due */

/* ---- post.c: the request itself ---- */
typedef void (*post_fn)(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result);
int post_start(struct webhooks *webhooks, const struct shipment *shipment, post_fn done, void *self, pbx_transfer *ret_transfer);
/* Certificate, key and authorities of the subscription; *ret_key is owned, for post_forget. PBX_OK, PBX_EIO. */
int post_identity(const struct subscription *subscription, struct pbx_fetch_spec *spec, char **ret_key);
const char *post_words(const struct pbx_fetch_result *result, char *ret_text, size_t size); /* what came of it */

/* ---- try.c ---- */
int try_now(struct subscription *subscription, pbx_request request); /* one request at once; the answer tells what came back */
void try_free_all(struct webhooks *webhooks);

/* ---- pinned.c: the subscriptions that stand in the settings ---- */
int pinned_check(const void *settings, struct pbx_diag *diag); /* pbx_plugin.settings_check */
/* Brings table and memory to what the settings say, by and by; as often as one likes. */
void pinned_follow(struct webhooks *webhooks);
void pinned_follow_if_waiting(struct webhooks *webhooks); /* a change of a subscription has ended */
struct subscription *pinned_find(struct webhooks *webhooks, const char *name);
bool pinned_is_off(const struct subscription *subscription); /* the settings say enabled: false */

/* ---- arguments.c: what a request says about a subscription ---- */
/* What is wrong with an endpoint, and a word for it, as far as settings and text tell; NULL: nothing. */
const char *arguments_url_wrong(const struct webhook_settings *settings, const char *url, const char **ret_code);
int arguments_take(struct webhooks *webhooks, const char *id, pbx_request request, struct config *config); /* PBX_EINVAL: refused */

/* ---- edit.c: what people change ---- */
void webhooks_on_create(void *self, pbx_request request);
void webhooks_on_change(void *self, pbx_request request);
void webhooks_on_rotate(void *self, pbx_request request);
void webhooks_on_pause(void *self, pbx_request request);
void webhooks_on_resume(void *self, pbx_request request);
void webhooks_on_remove(void *self, pbx_request request);

/* ---- requests.c: what people look at ---- */
struct pbx_json *subscription_describe(const struct subscription *subscription);
struct subscription *asked_subscription(struct webhooks *webhooks, pbx_request request); /* NULL: it has been refused */
struct asked {                                                                           /* somebody who waits for the store */
	struct webhooks *webhooks;
	pbx_request request;
	char id[27];
	int64_t seq, until_us;
};
struct asked *asked_new(struct webhooks *webhooks, pbx_request request, const char *id); /* NULL: it has been refused */
void asked_fail(struct asked *asked, const char *why);                                   /* 503; frees it */
void webhooks_on_list(void *self, pbx_request request);
void webhooks_on_show(void *self, pbx_request request);
void webhooks_on_keys(void *self, pbx_request request);
void webhooks_on_deliveries(void *self, pbx_request request);
void webhooks_on_test(void *self, pbx_request request);

/* ---- again.c: sending once more ---- */
void webhooks_on_redeliver_id(void *self, pbx_request request);
void webhooks_on_redeliver(void *self, pbx_request request);
void webhooks_on_replay(void *self, pbx_request request);
