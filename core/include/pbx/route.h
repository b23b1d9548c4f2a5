/* pbx/route.h - from a dialled number to who answers for it
 * Served by the core as "pbx.route/1". All of it: [loop].
 *
 * A request travels along a chain of hooks ordered by number until one does not pass. Claims (exact numbers and patterns)
 * are hooks that the number plan keeps apart: two claims on one number are refused, naming both owners. */
#pragma once
#include <pbx/calls.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The documented order. Equal numbers: by plugin name. */
#define PBX_ORDER_EMERGENCY 100u
#define PBX_ORDER_SCREEN 150u   /* bans, call screening, fraud */
#define PBX_ORDER_CODES 200u    /* feature codes: pbx_calls.claim */
#define PBX_ORDER_FEATURES 300u /* slots, queues, rooms, menus */
#define PBX_ORDER_EXTENSIONS 400u
#define PBX_ORDER_PERMISSION 450u /* from here on a call leaves the house */
#define PBX_ORDER_TRUNKS 500u
#define PBX_ORDER_LAST 900u /* the core's own: 404 */

/* What is asked. Borrowed until answered. */
struct pbx_route_request {
	uint32_t size;
	pbx_leg leg;           /* none: asked by a dial or by explain */
	const char *number;    /* as dialled, visual separators removed */
	const char *caller;    /* calling number, "" when withheld */
	const char *account;   /* authenticated account of the caller, "" when none */
	int64_t wall_us;       /* when: now, or what explain was told */
	bool explaining;       /* only say what would happen: change nothing */
	uint32_t forwarded;    /* how often this call was forwarded so far */
	const char *peer;      /* the SIP system the call comes from (pbx/sip.h), "" when it comes from none */
	const char *forwarder; /* number of who forwarded the call last: their rights count then, not the caller's; "" when nobody did */
	bool arriving;         /* with peer: number is what came over the line; nobody here has looked at it or chosen it yet */
};

#define PBX_ROUTE_PASS 0u
#define PBX_ROUTE_TARGETS 1u /* ring these endpoints */
#define PBX_ROUTE_FORWARD 2u /* ask again for another number */
#define PBX_ROUTE_CONTROL 3u /* give the leg to dialled(self, leg) */
#define PBX_ROUTE_REJECT 4u
/* The number is another one here (a DID that belongs to an extension): the walk goes on behind this hook with `to`. Nobody is told of a
 * forward, and it does not count as one. */
#define PBX_ROUTE_RENUMBER 5u

#define PBX_FORWARD_UNCONDITIONAL 1u /* reasons of Diversion (RFC 5806) */
#define PBX_FORWARD_BUSY 2u
#define PBX_FORWARD_NO_ANSWER 3u
#define PBX_FORWARD_OFFLINE 4u
#define PBX_FORWARD_DND 5u

struct pbx_route_answer {
	uint32_t size;
	uint32_t verdict;
	/* TARGETS */
	const struct pbx_dial_target *targets;
	uint32_t target_count;
	uint32_t target_size;                            /* as in struct pbx_dial_plan; without it the answer is none */
	uint32_t ring_ms;                                /* 0: calls.ring_s */
	const char *busy_to, *no_answer_to, *offline_to; /* forward there in that case; NULL: the caller gets the answer */
	const char *owner_number, *owner_name;           /* who is being called, for displays, records and Diversion */
	uint32_t max_calls;                              /* calls this owner may have at once; beyond it is busy. 0: no limit */
	/* FORWARD, RENUMBER */
	const char *to;
	uint32_t reason; /* PBX_FORWARD_… */
	/* CONTROL */
	pbx_dialled_fn dialled;
	void *self;
	/* REJECT */
	uint32_t sip_code;
	const char *text; /* said by explain and in the log: "1001 may not call outside" */
	/* TARGETS */
	uint32_t strategy;              /* PBX_DIAL_ALL (0 too), PBX_DIAL_ORDER or PBX_DIAL_FAILOVER */
	uint32_t failover_code_count;   /* at most 16 */
	const uint32_t *failover_codes; /* FAILOVER: the next target is tried after these; none: 408, 500, 502, 503, 504 */
	/* REJECT */
	uint32_t cause; /* ITU-T Q.850; 0: what sip_code means */
};

/* Answers at once by filling ret_answer and returning PBX_OK, or returns PBX_ELATER and calls pbx_routing.answer within 5 s. */
typedef int (*pbx_hook_fn)(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer);

/* Whether the open end of a claimed pattern names something that exists ("*761004": is 1004 known?). */
typedef bool (*pbx_accept_fn)(void *self, const char *argument);

struct pbx_claim {
	uint32_t size;
	const char *pattern; /* as pbx_calls.claim */
	uint32_t order;      /* PBX_ORDER_CODES or PBX_ORDER_FEATURES; 0: CODES */
	const char *help;    /* what a user gets: "Park the call" */
	pbx_dialled_fn dialled;
	pbx_accept_fn accept; /* NULL: all. With it, patterns may overlap: the longest literal beginning is tried first */
	void *self;
};

struct pbx_route_step {
	uint32_t size;
	uint32_t order;
	const char *owner, *hook; /* plugin, and the claim's pattern or hook's name */
	uint32_t verdict;
	const char *text; /* in words */
	uint64_t took_us; /* from the question to the answer */
};

struct pbx_routing {
	struct pbx_header header;

	/* PBX_OK, PBX_EINVAL, PBX_EEXIST (diag names the owner), PBX_ENOMEM. */
	int (*claim)(struct pbx_host *host, const struct pbx_claim *claim, struct pbx_diag *diag);
	/* Gives a claim back while we go on. PBX_OK, PBX_ENOENT. */
	int (*unclaim)(struct pbx_host *host, const char *pattern);

	/* Marks a number as ours in the plan without routing it: an account whose number our hook answers. Same errors. */
	int (*reserve)(struct pbx_host *host, const char *number, struct pbx_diag *diag);
	int (*unreserve)(struct pbx_host *host, const char *number);
	/* Who has a number (claim or reservation). PBX_OK, PBX_ENOENT. The text is borrowed until the callback returns. */
	int (*owner)(const char *number, const char **ret_owner);

	/* Puts a hook into the chain. name is shown by explain. PBX_OK, PBX_EINVAL, PBX_ENOMEM. */
	int (*hook)(struct pbx_host *host, uint32_t order, const char *name, pbx_hook_fn fn, void *self);
	/* The late answer. PBX_OK, PBX_ENOENT (nobody waits any more). */
	int (*answer)(pbx_route_query query, const struct pbx_route_answer *answer);

	/* Walks the chain without a call: step() for each hook, then done() with the final verdict. PBX_OK, PBX_ENOMEM. */
	int (*explain)(struct pbx_host *host, const struct pbx_route_request *request,
		       void (*step)(void *self, const struct pbx_route_step *step),
		       void (*done)(void *self, const struct pbx_route_answer *verdict), void *self);
};

PBX_SERVICE(pbx_routing, "pbx.route/1")

#ifdef __cplusplus
}
#endif
