/* dns_srv_failover/dns.h - what the plugin's files share. All of it: [loop].
 *
 *   resolve.c   a host, port and transport to an ordered list (RFC 3263): walks over answers, waiting for those that are not there yet
 *   order.c     chance by weight (RFC 2782)
 *   question.c  one question at a time for each name and type, whoever waits for it; old answers while nobody gives new ones (RFC 8767)
 *   cache.c     answers, for as long as they hold
 *   channel.c   c-ares on pbx.io and pbx.timers
 *   hosts.c     /etc/hosts
 *   enum.c      a number to a SIP address (RFC 6116); enum_rule.c: what one record makes of it
 *   answer.c    the bytes of an answer
 *   target.c    which addresses answered lately; asks the others by OPTIONS
 *   requests.c  what people ask */
#pragma once
#include "answer.h"
#include <ares.h>
#include <pbx/bus.h>
#include <pbx/io.h>
#include <pbx/metrics.h>
#include <pbx/requests.h>
#include <pbx/sip_resolver.h>
#include <pbx/timers.h>

#define DNS_ADDRESS 46u
#define DNS_TRANSPORT 8u
#define DNS_BUCKETS 512u
#define DNS_MOST_KNOWN 4096u     /* answers in the cache; beyond it the one unused for longest goes */
#define DNS_MOST_TARGETS 1024u   /* the same for addresses */
#define DNS_FORGET_MS 86400000u  /* an address that nobody was given for so long is no longer asked */
#define DNS_MOST_UNDER_WAY 1000u /* resolutions */
#define DNS_MOST_CANDIDATES 32u
#define DNS_MOST_ANSWERS 48u /* that one resolution may need */
#define DNS_MOST_SOCKETS 64u

struct dns_settings {
	struct pbx_list servers, transports, enum_domains;
	uint32_t timeout_ms, tries, check_interval_s, max_failures, serve_stale_s, min_ttl_s, max_ttl_s;
	bool use_naptr, ipv6;
};

enum {
	METRIC_QUESTIONS,
	METRIC_LOOKUPS,
	METRIC_HITS,
	METRIC_STALE,
	METRIC_SECONDS,
	METRIC_DOWN,
	METRIC_FAILOVERS,
};

/* An answer and how long it holds; never changed but for its times. Shared. */
struct known {
	uint32_t refs;
	struct known *next;          /* in its bucket */
	struct known *newer, *older; /* by last use */
	char name[DNS_NAME];
	uint16_t type;
	int result; /* PBX_OK, PBX_ENOENT, PBX_ETIMEOUT, PBX_EIO */
	uint64_t expires_at_ms, stale_until_ms;
	uint64_t ask_again_at_ms; /* past its time and asked for in vain: not before this once more */
	uint32_t count;
	struct dns_record records[];
};

struct cache {
	struct known *buckets[DNS_BUCKETS];
	struct known *newest, *oldest;
	uint32_t count;
};

struct watched {
	pbx_io_watch watch;
	ares_socket_t socket;
	struct dns *dns;
	bool used;
};

struct question;
struct resolution;
struct enum_search;
/* An answer that was waited for: the taker's own reference; NULL: no memory. */
typedef void (*dns_take_fn)(void *context, struct known *known);

enum target_state { TARGET_UP, TARGET_SUSPECT, TARGET_DOWN }; /* worse is more */

/* An address that was handed out. */
struct target {
	struct target *next; /* in its bucket */
	struct target *newer, *older;
	struct dns *dns;
	char address[DNS_ADDRESS], transport[DNS_TRANSPORT], name[DNS_NAME], domain[DNS_NAME];
	uint32_t port;
	enum target_state state;
	uint32_t failures; /* in a row */
	uint64_t tries, failed_tries;
	int64_t since_wall_us; /* in this state */
	uint64_t down_at_ms, used_at_ms;
	bool is_asked; /* a probe is under way */
	pbx_timer timer;
};

struct dns {
	PBX_INSTANCE(struct dns_settings);
	const struct pbx_io *io;
	const struct pbx_timers *timers;
	const struct pbx_bus *bus;
	const struct pbx_jsons *json;
	const struct pbx_requests *requests;
	const struct pbx_metrics *metrics;
	const struct pbx_sip_probe *probe; /* functions NULL where nobody offers it */
	struct pbx_sip_resolver service;

	ares_channel channel;
	struct watched watched[DNS_MOST_SOCKETS];
	pbx_timer due;
	struct cache cache;
	struct question *questions;
	struct resolution *resolutions;
	struct enum_search *enum_searches;
	uint32_t under_way; /* of both */
	bool stopping, has_library;

	struct target *targets[DNS_BUCKETS], *newest_target, *oldest_target;
	uint32_t target_count, down_count;
	uint64_t chance; /* state of dns_random */
	uint64_t lookups, hits, stale, failovers;
};

/* ---- order.c ---- */
uint32_t dns_random(struct dns *dns, uint32_t most); /* 0 to most, both included */
/* Puts SRV records into the order to try them in: by priority, then chance by weight. */
void dns_order_srv(struct dns *dns, const struct dns_record **records, uint32_t count);
void dns_shuffle(struct dns *dns, const struct dns_record **records, uint32_t count);

/* ---- cache.c ---- */
uint32_t dns_hash(const char *text, uint32_t number);
struct known *known_new(const char *name, uint16_t type, int result, uint32_t count); /* NULL: no memory */
struct known *known_ref(struct known *known);
void known_unref(struct known *known);
struct known *cache_find(struct dns *dns, const char *name, uint16_t type); /* borrowed; whatever its age; NULL */
void cache_put(struct dns *dns, struct known *known);                       /* in place of what was there; takes a reference of its own */
uint32_t cache_flush(struct dns *dns, const char *name);                    /* NULL: all. How many went */
bool known_is_fresh(const struct dns *dns, const struct known *known);
bool known_may_serve_stale(const struct dns *dns, const struct known *known);

/* ---- channel.c ---- */
/* A channel for these settings. PBX_OK, PBX_EINVAL and diag (servers), PBX_ENOMEM. */
int channel_open(struct dns *dns, const struct dns_settings *settings, ares_channel *ret_channel, struct pbx_diag *diag);
void channel_replace(struct dns *dns, ares_channel channel); /* what was asked of the old one is asked of the new one; NULL: fails */
void channel_ask(struct dns *dns, const char *name, uint16_t type, ares_callback done, void *context);

/* ---- hosts.c ---- */
#define HOSTS_MOST 8u
struct hosts_job {
	struct question *question;
	char name[DNS_NAME];
	uint16_t type;
	uint32_t count;
	uint8_t addresses[HOSTS_MOST][16];
};
void hosts_read(void *job); /* [work] fills in count and addresses from /etc/hosts */

/* ---- question.c ---- */
#define QUESTION_NOW 0   /* *ret_known is the answer, a reference for the caller */
#define QUESTION_LATER 1 /* take(context, …) follows, perhaps before this returns */
/* The answer for a name and type, from the cache or asked for. Negative: PBX_ENOMEM. */
int question_ask(struct dns *dns, dns_take_fn take, void *context, const char *name, uint16_t type, struct known **ret_known);
void questions_forget_waiters(struct dns *dns);

/* ---- resolve.c ---- */
int dns_resolve(void *self, const struct pbx_sip_where *where, void (*done)(void *context, int result, const struct pbx_table *candidates),
		void *context);
void resolutions_cancel(struct dns *dns);

/* ---- enum.c ---- */
/* domain: where it was found, or looked for last; uri: "" unless result is PBX_OK. Else PBX_EINVAL (no number of E.164), PBX_ENOENT, PBX_ETIMEOUT,
 * PBX_EIO, PBX_ENOMEM, PBX_ECANCELLED. All borrowed. */
typedef void (*enum_fn)(void *context, int result, const char *number, const char *domain, const char *uri);
/* done() follows exactly once, perhaps before this returns. PBX_OK, PBX_ENOMEM, PBX_ENOSPC. */
int enum_find(struct dns *dns, const char *number, enum_fn done, void *context);
void enum_cancel(struct dns *dns);

/* ---- target.c ---- */
struct target *target_find(struct dns *dns, const char *address, uint32_t port, const char *transport);
/* An address that is handed out now. NULL: no memory. */
struct target *target_use(struct dns *dns, const struct pbx_sip_candidate *candidate);
void dns_report(void *self, const char *address, uint32_t port, const char *transport, uint32_t outcome);
const char *target_state_name(enum target_state state);
void targets_free(struct dns *dns);

/* ---- requests.c ---- */
void dns_on_records(void *self, pbx_request request);
void dns_on_targets(void *self, pbx_request request);
void dns_on_statistics(void *self, pbx_request request);
void dns_on_lookup(void *self, pbx_request request);
void dns_on_enum(void *self, pbx_request request);
void dns_on_flush(void *self, pbx_request request);
