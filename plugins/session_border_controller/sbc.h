/* session_border_controller/sbc.h - what the files of the plugin share. All of it: [loop].
 *
 *   network.c    addresses and networks as text and bytes
 *   lists.c      who is let in and who is kept out: networks in the store, and in a trie that is asked for each packet
 *   sources.c    what single addresses have done: how many requests a second, how many offences
 *   kernel.c     bans handed to the kernel, by a helper that may
 *   country.c    which country an address is in, and who is heard from there
 *   admission.c  how many calls there are, of whom, and what they weigh
 *   security_log.c  offences for fail2ban's filter of another system
 *   guard.c      signalling's questions (pbx/border.h), answered
 *   requests.c   REST and pbxctl
 */
#pragma once
#include <pbx/border.h>
#include <pbx/bus.h>
#include <pbx/io.h>
#include <pbx/location.h>
#include <pbx/metrics.h>
#include <pbx/requests.h>
#include <pbx/store.h>
#include <pbx/timers.h>
#include <maxminddb.h>

struct sbc_settings {
	bool enabled, drop_silently;
	const char *malformed, *security_log, *kernel_bans;
	const char *country_database, *country_guards, *country_unknown;
	struct pbx_list countries_allowed, countries_denied;
	uint32_t rate_limit, network_rate_limit;
	uint32_t ban_after, ban_window_s, ban_seconds;
	struct pbx_list scanners, emergency_numbers;
	uint32_t max_headers, max_bytes;
	uint32_t max_calls, max_cps, max_bandwidth;
	uint32_t account_calls, account_cps, peer_calls, peer_cps;
	uint32_t retry_after_s;
};

/* ---- network.c ------------------------------------------------------------------------ */

#define NETWORK_TEXT 64u

struct network {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint32_t bits;     /* how many of the 128 count */
};

/* "192.0.2.7", "192.0.2.0/24", "2001:db8::/32"; bits behind the mask are cleared. False: it is none. */
bool network_parse(const char *text, struct network *ret_network);
void network_print(const struct network *network, char ret_text[NETWORK_TEXT]);
void network_print_host(const uint8_t address[16], char ret_text[NETWORK_TEXT]);
bool network_is_ipv4(const uint8_t address[16]);
/* The network of so many bits around an address. */
struct network network_around(const uint8_t address[16], uint32_t bits);
/* What one customer of a network has, as a rule: the address itself, and /64 of IPv6. */
struct network network_of_host(const uint8_t address[16]);

/* ---- lists.c -------------------------------------------------------------------------- */

#define LIST_ALLOW 0u
#define LIST_DENY 1u
#define LISTS 2u
#define MOST_ENTRIES 20000u
#define MOST_BANS 10000u /* so many are kept out, and nobody is banned any more: room is left for people */

struct entry {
	struct entry *next, **at;
	struct network network;
	uint32_t list;      /* LIST_… */
	int64_t expires_us; /* 0: never */
	int64_t created_us;
	char reason[24]; /* "manual", or the offence */
	char note[128], created_by[64];
};

struct node {
	struct node *child[2];
	struct entry *entry[LISTS];
};

struct lists {
	struct node *ipv4, *ipv6;
	struct entry *entries;
	uint32_t count[LISTS];
};

struct sbc;
int lists_load(struct sbc *sbc); /* as pbx_plugin.load */
void lists_free(struct lists *lists);
/* The entry that decides about an address: an allowing one before a denying one, the smaller network before the larger. NULL: none. */
const struct entry *lists_find(const struct sbc *sbc, const uint8_t address[16]);
const struct entry *lists_at(const struct sbc *sbc, const struct network *network, uint32_t list); /* exactly this one */
/* Adds a copy and keeps it in the store; who is denied loses what connections stand. PBX_OK, PBX_EEXIST (the network is in that list; an expiry is moved when the new one is later),
 * PBX_ENOSPC, PBX_ENOMEM. */
int lists_add(struct sbc *sbc, const struct entry *wanted);
int lists_remove(struct sbc *sbc, const struct network *network, uint32_t list); /* PBX_OK, PBX_ENOENT */
/* Lets go of what has expired. */
void lists_sweep(struct sbc *sbc);

/* ---- sources.c ------------------------------------------------------------------------ */

struct source;
struct sources {
	struct source *places;
	uint64_t secret;
};

int sources_init(struct sources *sources); /* PBX_OK, PBX_ENOMEM */
void sources_fini(struct sources *sources);
/* One more request from there. False: it is one too many of this address (IPv6: of its /64), or of the network around it (/24, /48). */
bool sources_allow(struct sbc *sbc, const uint8_t address[16]);
/* It did something that phones do not do; after so many it is banned. weight 1; ban_after and more: at once. */
void sources_offend(struct sbc *sbc, const uint8_t address[16], const char *reason, uint32_t weight);
/* Whether this is the first such event of the address within a minute. */
bool sources_is_news(struct sbc *sbc, const uint8_t address[16]);

/* ---- kernel.c ------------------------------------------------------------------------- */

struct kernel {
	int descriptor; /* 0: there is no connection */
	pbx_io_watch watch;
	char *text; /* lines on their way */
	size_t used, size;
	uint64_t again_at_ms;
};

/* An entry was added, or its end was moved; one is gone. Nothing happens without a connection. */
void kernel_ban(struct sbc *sbc, const struct entry *entry);
void kernel_forgive(struct sbc *sbc, const struct entry *entry);
void kernel_tell_all(struct sbc *sbc); /* who is let in has changed */
void kernel_second(struct sbc *sbc);   /* connects, or parts, as is set */
void kernel_free(struct sbc *sbc);

/* ---- country.c ------------------------------------------------------------------------ */

#define COUNTRY_TEXT 3u

/* A database in memory of our own: who writes over the file, or takes its disk away, does no harm. */
struct country_database {
	MMDB_s mmdb;
	int descriptor;
};

struct country {
	struct country_database *database; /* NULL: there is none that can be used */
	char path[512];                    /* it was read from there, */
	uint64_t identity[4];              /* and was this file */
	bool at_work;
	uint32_t seconds; /* since the file was looked at */
	char state[200];  /* "off", what it is, or why there is none */
	uint64_t refused;
};

/* Two letters, "" where nobody knows. */
void country_of(const struct sbc *sbc, const uint8_t address[16], char ret_country[COUNTRY_TEXT]);
/* Whether such a request is heard from there. */
bool country_allows(const struct sbc *sbc, const uint8_t address[16], const char *method, char ret_country[COUNTRY_TEXT]);
void country_second(struct sbc *sbc); /* reads the database when it is wanted or has changed */
void country_free(struct sbc *sbc);
int country_check(const struct sbc_settings *settings, struct pbx_diag *diag); /* as pbx_plugin.settings_check */

/* ---- admission.c ---------------------------------------------------------------------- */

#define MOST_CODECS 16u

/* A call that was let in, and who keeps count of it from now on: between two versions of us during an upgrade. Offered as
 * "session_border_controller.calls/1". Borrowed. */
struct sbc_counted {
	uint32_t size;
	uint64_t id, bits_per_s;
	const char *party;
};

struct sbc_calls {
	struct pbx_header header;
	void *self;
	int (*take)(void *self, const struct sbc_counted *call); /* PBX_OK, PBX_ENOMEM */
};

struct admitted;
struct party;
struct admission {
	struct admitted *calls[1024]; /* by id */
	struct party *parties[256];   /* accounts and peers that call, or just did */
	struct party *total;          /* everybody */
	uint64_t bits_per_s, admitted_ever, rejected_ever;
	struct {
		char name[20];
		uint64_t count;
	} codecs[MOST_CODECS];
};

int admission_init(struct admission *admission);
void admission_fini(struct admission *admission);
/* PBX_OK; PBX_ENOSPC and which limit it is: "calls", "cps", "bandwidth", "account_calls", "account_cps", "peer_calls", "peer_cps"; PBX_ENOMEM. */
int admission_enter(struct sbc *sbc, const struct pbx_border_source *source, const struct pbx_border_call *call, const char **ret_limit);
void admission_leave(struct sbc *sbc, uint64_t id);             /* an unknown id is fine */
int admission_take(void *self, const struct sbc_counted *call); /* as sbc_calls.take */
void admission_hand_over(struct sbc *sbc);
uint32_t admission_calls(const struct admission *admission); /* now */
/* Forgets parties that have been quiet. */
void admission_sweep(struct sbc *sbc);

/* ---- security_log.c ------------------------------------------------------------------- */

/* One line more, when there is a file for it. event as Asterisk names it: "InvalidPassword", "FailedACL". */
void security_log_add(struct sbc *sbc, const uint8_t address[16], uint32_t port, const char *transport, const char *event,
		      const char *user);
void security_log_free(struct sbc *sbc);

/* ---- the plugin ----------------------------------------------------------------------- */

/* Why something was dropped; rows of drop_names. */
#define DROP_DENIED 0u
#define DROP_RATE 1u
#define DROP_SCANNER 2u
#define DROP_MALFORMED 3u
#define DROP_COUNTRY 4u
#define DROPS 5u
extern const char *const drop_names[DROPS];

#define METRIC_DROPPED 0u
#define METRIC_REJECTED 1u
#define METRIC_ENTRIES 2u
#define METRIC_CALLS 3u
#define METRIC_BANDWIDTH 4u
#define METRIC_BANS 5u

struct sbc {
	PBX_INSTANCE(struct sbc_settings);
	const struct pbx_border *border;
	const struct pbx_store *store;
	const struct pbx_timers *timers;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	const struct pbx_bus *bus;
	const struct pbx_metrics *metrics;
	const struct pbx_location *location;
	const struct pbx_io *io;
	const struct sbc_calls *successor; /* our own, or after an upgrade the next one's */
	struct sbc_calls calls_service;
	struct lists lists;
	struct sources sources;
	struct admission admission;
	struct kernel kernel;
	char kernel_path[108], kernel_state[200]; /* whose socket; "off", "on", or why it is not */
	struct country country;
	uint64_t dropped[DROPS], told[DROPS]; /* ever, and how many of them the metrics know */
	uint64_t rate_violations, bans;
	char *log_text; /* lines that wait to be appended */
	size_t log_size;
	bool log_at_work;
	uint32_t events_left; /* this second: a flood of events helps nobody */
};

/* Who is not enabled is asked nothing, and only hears of the ends of calls it had let in. PBX_OK, or as pbx/border.h. */
int sbc_guard(struct sbc *sbc, bool enabled); /* guard.c */
/* Connections from there that the lists do not let in are closed. */
void sbc_review(struct sbc *sbc, const struct network *network); /* guard.c */
/* Publishes an event unless there were too many this second. data is taken. */
void sbc_tell(struct sbc *sbc, const char *type, struct pbx_json *taken);

#define SBC_ROUTES 8u
#define SBC_COMMANDS 8u
extern const struct pbx_route sbc_routes[SBC_ROUTES];
extern const struct pbx_command sbc_commands[SBC_COMMANDS];
