/* sip_trunk/sip_trunk.h - what the plugin's files share. All of it: [loop]. */
#pragma once
#include <pbx/bus.h>
#include <pbx/directory.h>
#include <pbx/metrics.h>
#include <pbx/prompts.h>
#include <pbx/requests.h>
#include <pbx/route.h>
#include <pbx/secrets.h>
#include <pbx/sip.h>
#include <pbx/store.h>
#include <pbx/timers.h>
#include <regex.h>

#define MOST_TARGETS 16u /* trunks that one call may try */
#define MOST_CODES 16u
#define WINDOW 100u /* attempts that health looks back on */
#define ID_SIZE 64u

/* ---- what administrators say: one row each, in columns.c --------------------------------- */

/* A row begins with its id. Texts have room for the longest; lists are texts separated by commas. */
struct trunk_config {
	char id[ID_SIZE], name[128];
	bool enabled, registration_required, trusted;
	char host[256], transport[8], outbound_proxy[256];
	uint32_t port;
	char username[128], auth_username[128], auth_realm[128], password[512], from_user[128], from_domain[128];
	char token[40]; /* in our Contact: made with the trunk, known to the provider only */
	uint32_t registration_expire_s, keep_alive_interval_s, max_channels, max_calls_per_second, priority;
	char codec_preferences[256], allowed_ips[512], number_format[16], caller_id[64], caller_id_policy[16], show[64], headers[512];
	char preset[64], certificate[256], caller_format[16], srtp[12], dtmf[12];
	bool bulk_registration;
	char session_timers[8];
	uint32_t session_expires_s;
	uint32_t sip_dscp, rtp_dscp, crlf_keepalive_s;
	char t38[12];
};

struct outbound_route {
	char id[ID_SIZE], name[128], pattern[256], trunks[512], prepend[32], callers[512], hours[256];
	bool enabled, failover;
	uint32_t strip, priority;
	char preset[64], pins[512], least_class[16];
};

struct inbound_route {
	char id[ID_SIZE], trunk_id[ID_SIZE], did[64], destination[64], description[128];
	uint32_t strip_prefix;
};

/* The declaration of one member: as an argument of requests, and as a column of the table. */
struct column {
	struct pbx_arg arg; /* first: the tables are handed out as arguments */
	uint32_t offset, size;
	const char *initial;                                   /* NULL: "" or 0 */
	bool hidden;                                           /* neither shown nor asked for: behind those that are */
	int (*check)(const char *text, struct pbx_diag *diag); /* of a secret, before it is sealed; NULL: anything goes */
};

#define KIND_TRUNK 0u
#define KIND_OUTBOUND 1u
#define KIND_INBOUND 2u
#define KINDS 3u

struct sip_trunk;

struct kind {
	const char *table, *what, *path; /* "sip_trunk_trunks", "trunk", "/sip-trunks" */
	const char *preset;              /* what its presets are called in their files: "trunk"; NULL: it has none */
	struct pbx_table columns;
	size_t size;
	/* What only the whole can tell. PBX_OK, PBX_EINVAL. */
	int (*check)(struct sip_trunk *plugin, void *row, struct pbx_diag *diag);
	/* It is stored: row NULL, it is gone. */
	void (*changed)(struct sip_trunk *plugin, const char *id, const void *row);
};
extern const struct kind kinds[KINDS];
#define TRUNK_COLUMNS 40u
#define OUTBOUND_COLUMNS 14u
#define INBOUND_COLUMNS 6u
extern const struct column trunk_columns[TRUNK_COLUMNS], outbound_columns[OUTBOUND_COLUMNS], inbound_columns[INBOUND_COLUMNS];

/* ---- a trunk at work ------------------------------------------------------------------- */

#define STATUS_UNREGISTERED 0u
#define STATUS_REGISTERED 1u
#define STATUS_DEGRADED 2u
#define STATUS_FAILED 3u
#define STATUS_DISABLED 4u

#define HEALTH_HEALTHY 0u
#define HEALTH_WARNING 1u
#define HEALTH_CRITICAL 2u
#define HEALTH_DOWN 3u

struct trunk {
	struct trunk *next; /* by priority, then id */
	struct sip_trunk *plugin;
	struct trunk_config is;
	bool has_peer;
	char routes[512]; /* of Service-Route */
	/* registration.c */
	pbx_sip_client registrar;
	pbx_timer register_timer;
	bool wants_registration, has_binding, refresh_failed, is_leaving, has_moved, flow_broke;
	uint32_t wanted_s, retry_s, too_brief;
	uint32_t flow_timer_s; /* as its registrar said (RFC 5626 10.3); 0: it did not */
	int64_t registered_us; /* when the binding began, or its connection was made anew */
	int64_t bound_until_us, next_attempt_us;
	uint32_t sip_code; /* of the last REGISTER */
	char reason[96];
	/* health.c */
	pbx_sip_client prober;
	pbx_timer probe_timer;
	bool alive_known, is_down, told_down, probing;
	uint32_t misses, round_trip_ms;
	int64_t last_check_us;
	uint32_t total_calls, successful_calls, failed_calls, consecutive_failures, failover_count;
	uint8_t window[WINDOW]; /* 1: the trunk has failed */
	uint32_t window_count, window_at, setup_count, setup_at;
	uint32_t setup_ms[WINDOW];
	int64_t last_success_us, last_failure_us, last_failover_us;
};

struct sip_trunk_settings {
	const char *country_code, *area_code, *national_prefix, *international_prefix;
	struct pbx_list emergency_numbers, failover_codes, presets;
	uint32_t register_jitter_s, retry_least_s, retry_most_s, refused_hold_s;
};

/* A row in memory. */
struct record {
	struct record *next;
	regex_t regex; /* of an outbound route */
	bool has_regex;
	max_align_t row[];
};

#define MOST_PASSES 64u

/* A caller has typed the PIN of a route, and is on the way back to it. */
struct pass {
	pbx_leg leg;
	char route_id[ID_SIZE];
};

struct asking; /* pins.c */

struct sip_trunk {
	PBX_INSTANCE(struct sip_trunk_settings);
	const struct pbx_sip *sip;
	const struct pbx_calls *calls;
	const struct pbx_routing *routing;
	const struct pbx_store *store;
	const struct pbx_secrets *secrets;
	const struct pbx_timers *timers;
	const struct pbx_requests *requests;
	const struct pbx_directory *directory;
	const struct pbx_jsons *json;
	const struct pbx_bus *bus;
	const struct pbx_metrics *metrics;
	struct record *records[KINDS]; /* by priority where there is one, then by id */
	uint32_t loading;
	char *select_sql[KINDS], *upsert_sql[KINDS];
	struct trunk *trunks;
	bool started;
	struct asking *askings; /* callers who are being asked for a PIN */
	struct pass passes[MOST_PASSES];
	uint32_t pass_at;
	/* What a hook's answer points to until the core has read it. */
	struct pbx_dial_target targets[MOST_TARGETS];
	char numbers[MOST_TARGETS][96], caller_ids[MOST_TARGETS][64], renumbered[96], text[256];
	uint32_t codes[MOST_CODES];
};

int record_place(struct sip_trunk *plugin, uint32_t kind, const void *row); /* adds or replaces. PBX_OK, PBX_ENOMEM */
void record_drop(struct sip_trunk *plugin, uint32_t kind, const char *id);

/* ---- columns.c: rows as text, values and JSON ---- */
void row_init(const struct kind *kind, void *row);
void row_read(const struct kind *kind, void *row, const struct pbx_rows *rows, uint32_t at);
void row_values(const struct kind *kind, const void *row, struct pbx_value *ret_values); /* as many as there are columns */
struct pbx_json *row_json(const struct sip_trunk *plugin, const struct kind *kind, const void *row);
/* What a request says, over what the row was; secrets are sealed. PBX_OK, PBX_EINVAL, PBX_ENOMEM. */
int row_take(const struct sip_trunk *plugin, const struct kind *kind, void *row, pbx_request request, struct pbx_diag *diag);
/* The same of a preset's values. */
int row_preset(const struct sip_trunk *plugin, const struct kind *kind, void *row, const struct pbx_json *values, struct pbx_diag *diag);
/* A secret of a row, opened; secrets->wipe gives it back. NULL: there is none, or it is damaged. */
char *row_secret(const struct sip_trunk *plugin, const struct kind *kind, const void *row, const char *sealed);
/* The items of a list text as texts in memory of the caller's; how many. */
uint32_t list_split(const char *list, char *buffer, size_t size, const char **ret_items, uint32_t most);

/* ---- records.c: rows in memory and in the store ---- */
int records_load(struct sip_trunk *plugin); /* PBX_ELATER; host->ready when done */
void records_clear(struct sip_trunk *plugin);
const void *record_find(const struct sip_trunk *plugin, uint32_t kind, const char *id); /* NULL */
void records_apply(struct sip_trunk *plugin);                                           /* all of them, at the start */
int outbound_compile(regex_t *regex, const char *pattern, struct pbx_diag *diag);

/* ---- trunks.c: trunks at work ---- */
struct trunk *trunk_find(const struct sip_trunk *plugin, const char *id); /* NULL */
int trunk_check(struct sip_trunk *plugin, void *row, struct pbx_diag *diag);
void trunk_changed(struct sip_trunk *plugin, const char *id, const void *row);
int trunk_publish_peer(struct trunk *trunk, struct pbx_diag *diag);
uint32_t trunk_status(const struct trunk *trunk);
uint32_t trunk_health(const struct trunk *trunk);
uint32_t trunk_channels(const struct trunk *trunk);
#define TRUNK_READY 0u
#define TRUNK_DOWN 1u
#define TRUNK_FULL 2u
uint32_t trunk_readiness(const struct trunk *trunk); /* whether it may take a call */
void trunk_tell(struct trunk *trunk, const char *event, uint32_t sip_code, const char *reason);
struct pbx_json *trunk_json(const struct trunk *trunk);
struct pbx_json *trunk_health_json(const struct trunk *trunk);
void trunks_clear(struct sip_trunk *plugin);

/* ---- registration.c ---- */
void registration_start(struct trunk *trunk, uint32_t after_ms);
void registration_move(struct trunk *trunk);                      /* our address outside is another one: the registrar is told */
void registration_stop(struct trunk *trunk, bool tell_registrar); /* Expires: 0 when there is a binding */
void registration_flow_failed(void *self, const char *peer, const char *address); /* self: the plugin */
/* ---- health.c ---- */
void health_start(struct trunk *trunk);
void health_stop(struct trunk *trunk);
void health_probe(struct trunk *trunk);
void health_attempted(void *self, const struct pbx_sip_attempt *attempt); /* self: the plugin */
double health_success_rate(const struct trunk *trunk);
uint32_t health_setup_ms(const struct trunk *trunk);

/* ---- numbers.c: pure ---- */
/* "+12125551212" of a dialled number; false: it is none of the public network (a short code). */
bool number_e164(const struct sip_trunk_settings *settings, const char *dialled, char *ret_number, size_t size);
/* As a trunk wants it: "as_dialled", "e164" (12125551212), "plus_e164", "national". */
void number_format(const struct sip_trunk_settings *settings, const char *format, const char *number, char *ret_number, size_t size);
/* "2125551212", "1212555XXXX", "1212555." */
bool did_matches(const char *pattern, const char *number);
/* "mon-fri 08:00-18:00, sat 09:00-13:00"; "" always. */
bool hours_good(const char *hours);
bool hours_hold(const char *hours, int64_t wall_us);

/* ---- routing.c ---- */
int routing_start(struct sip_trunk *plugin);
/* Why an outbound route is not for this call, in words; NULL: it is. */
const char *outbound_misfit(const struct record *record, const struct pbx_route_request *request);
/* ---- dry_run.c: POST /outbound-routes/test ---- */
void outbound_test(void *self, pbx_request request);
/* ---- pins.c: routes that ask for one ---- */
bool pin_is_typed(struct sip_trunk *plugin, const struct pbx_route_request *request, const char *route_id); /* and takes the pass back */
int pin_ask(struct sip_trunk *plugin, const struct pbx_route_request *request, const char *route_id, struct pbx_route_answer *ret_answer);
int pins_check(const char *pins, struct pbx_diag *diag);
void pins_clear(struct sip_trunk *plugin);
/* ---- presets.c ---- */
/* done(context, result, values, diag): PBX_OK and the values of a preset for this kind, borrowed; PBX_ENOENT, PBX_EINVAL, PBX_EIO: diag
 * says why; PBX_ECANCELLED. PBX_OK, PBX_ENOMEM. */
int preset_find(struct sip_trunk *plugin, const struct kind *kind, const char *name,
		void (*done)(void *context, int result, const struct pbx_json *values, const struct pbx_diag *diag), void *context);
void preset_list(void *self, pbx_request request);
/* ---- figures.c: metrics, and a row for each trunk and day ---- */
enum {
	METRIC_ATTEMPTS,
	METRIC_ARRIVALS,
	METRIC_CHANNELS,
	METRIC_UP,
	METRIC_REGISTRATIONS,
	METRIC_SETUP,
	METRIC_FAILOVERS,
	METRICS,
};
extern const struct pbx_metric trunk_metrics[METRICS];
int figures_start(struct sip_trunk *plugin);
void figures_state(const struct trunk *trunk); /* it may have changed */
void figures_attempt(const struct trunk *trunk, bool answered, bool failed, uint32_t pdd_ms);
void trunk_statistics(void *self, pbx_request request);
/* ---- requests.c ---- */
#define SIP_TRUNK_ROUTES 24u
#define SIP_TRUNK_COMMANDS 24u
extern const struct pbx_route trunk_routes[SIP_TRUNK_ROUTES];
extern const struct pbx_command trunk_commands[SIP_TRUNK_COMMANDS];
