/* core/dial_inner.h - a dial as dial.c, dial_group.c and dial_branch.c see it: [loop]
 *
 * A dial has a group for each target of its plan. A group is routed (a number), resolved (an account) or taken as it is (a URI) into branches;
 * each branch is one outbound leg. A group that got no answer may begin again elsewhere (forwarding). */
#pragma once
#include "calls_inner.h"

#define CORE_GROUP_WAITING 0u
#define CORE_GROUP_ROUTING 1u
#define CORE_GROUP_RINGING 2u
#define CORE_GROUP_OVER 3u

#define CORE_DIALLED_HANDED_OVER 100u /* a claim has taken `from`; plugins are told CANCELLED */
#define CORE_MOST_BRANCHES 64u        /* devices rung by one dial */
#define CORE_MOST_GROUPS 64u
#define CORE_MOST_FAILOVER_CODES 16u

struct core_group;

struct core_branch {
	struct core_branch *next;
	struct core_group *group;
	struct core_leg *leg;
	bool started, over, heard; /* heard: `from` has heard its early media */
	bool spare;                /* another flow of a device whose first flow is tried already (RFC 5626) */
	uint32_t reg_id, q_milli, unanswered;
	char contact_id[27], instance[128];
	uint32_t delay_ms, ring_ms, flags;
	pbx_timer delay, ring;
	char uri[512], received[64], transport[16], path[512], account[64], peer[64], caller_number[64], caller_name[128];
	bool has_caller;
};

struct core_final {
	uint32_t sip_code, cause; /* 0: none yet */
	bool callee_said;
};

struct core_group {
	struct core_group *next;
	struct core_dial *dial;
	uint32_t state;
	char text[256], peer[64]; /* peer: text is a number of that SIP system */
	uint32_t delay_ms, ring_ms, answer_ring_ms, max_calls, strategy;
	uint32_t failover_codes[CORE_MOST_FAILOVER_CODES], failover_code_count;
	pbx_timer delay, ring;
	pbx_route_query walk;
	char owner_number[64], owner_name[128], busy_to[64], no_answer_to[64], offline_to[64];
	struct {
		char number[64];
		uint32_t reason;
	} diversions[CORE_MOST_FORWARDS + 1]; /* oldest first */
	uint32_t forwarded;
	struct core_branch *branches;
	bool offline;
	struct core_final best;
};

struct core_dial {
	pbx_dial handle;
	struct pbx_host *host; /* NULL: routing's own, or its owner has stopped */
	struct core_charge charge;
	bool is_routing, arriving;
	struct core_leg *from;
	struct core_dial *next_of_from;
	struct core_call *call;
	uint32_t strategy, flags, ring_ms;
	char caller_number[64], caller_name[128], music_class[64], account[64];
	struct core_group *groups;
	uint32_t branch_count, group_count;
	struct pbx_dialler dialler;
	void *self;
	pbx_timer ring;
	pbx_leg transferor;
	char target[128], instance[128]; /* instance: of the account that is dialled only this device, or "" */
	struct core_leg *early;          /* the branch `from` hears before the answer */
	bool ringing_told, over;
	bool picked_up; /* somebody else has taken `from`: the phones that ring have missed nothing */
	struct core_final best;
	struct pbx_dial_result result;
	struct core_post_node beginning, done;
};

/* ---- dial.c ---- */
void core_dial_finish(struct core_dial *dial, uint32_t outcome, const struct core_final *final, struct core_leg *winner);
void core_dial_check(struct core_dial *dial); /* starts what is next, or finishes */
void core_dial_hand_over(struct core_group *group, const struct pbx_route_answer *verdict, struct pbx_host *owner, const char *argument);
void core_dial_drop_early(struct core_dial *dial, const struct core_leg *leg);  /* `from` no longer hears it */
bool core_final_better(const struct core_final *a, const struct core_final *b); /* RFC 3261 16.7 */

/* ---- dial_group.c ---- */
struct core_group *core_group_new(struct core_dial *dial, const char *text, uint32_t delay_ms, uint32_t ring_ms);
void core_group_aim(struct core_group *group, const struct pbx_dial_target *target); /* at the peer that the target names, if any */
void core_group_start(struct core_group *group);                                     /* after its delay */
void core_group_stop(struct core_group *group, uint32_t cause, const struct core_leg *but);
bool core_group_may_fail_over(const struct core_group *group, uint32_t sip_code);        /* the next target may be tried after this */
void core_group_branchless(struct core_group *group, uint32_t sip_code, uint32_t cause); /* over before anything rang */
void core_group_free(struct core_group *group);
void core_group_branch_over(struct core_branch *branch, const struct core_final *final);
void core_group_redirect(struct core_branch *branch, const char *const *targets, uint32_t count, uint32_t reason);
void core_group_branch_late(struct core_branch *branch); /* has rung for as long as it may */

/* ---- dial_branch.c ---- */
struct core_branch *core_branch_add(struct core_group *group, const char *uri,
				    const struct pbx_dial_target *target); /* NULL: limit, memory */
void core_branch_start(struct core_branch *branch);
void core_branch_quiet(struct core_branch *branch);                /* over; nothing is told of it any more */
void core_branch_stop(struct core_branch *branch, uint32_t cause); /* ends its leg; the leg says no more to us */
/* Of the flows of one device one is called: the first that answers what we ask it, else the first. */
void core_branch_choose_flow(struct core_branch *branch);
/* A device whose flow is dead is tried by another one of its flows; one that has spoken needs no other. False: there is none. */
bool core_branch_try_other_flow(struct core_branch *branch, uint32_t sip_code);
void core_uri_user(const char *uri, char ret_user[64]); /* 1001 of "sip:1001@192.0.2.1;…" */
