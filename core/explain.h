/* core/explain.h - why a call failed, was one-way or sounded bad: one sentence with its evidence, made by rules. [loop].
 *
 * explain_case.c   what events and messages say about a call         explain_say.c           sentences with names in braces
 * explain_calls.c  the rules about calls and their sentences         explain_who.c           what the rules' conditions ask and name
 * explain_sound.c  the rules about audio                             explain_registration.c  the rules about phones that do not register
 * explain_stray.c  the rules about what never became a call
 * explain.c        which rules hold, and their evidence              explain_search.c        their REGISTERs in the ring
 * explain_ask.c    a call is asked about                             explain_part.c          the card: routes and commands
 *
 * A case is filled from the event log and the trace, both as they were recorded; the rules ask nobody else. So yesterday's call is explained as
 * a live one is, and a test needs neither phone nor daemon. */
#pragma once
#include "trace_ladder.h"

struct pbx_json;

/* ---- explain_say.c ---- */

#define CORE_MOST_WORDS 24u

/* What the names in a sentence stand for. */
struct core_words {
	uint32_t count;
	struct {
		const char *name;
		char is[256];
	} items[CORE_MOST_WORDS];
};

/* The name is borrowed for ever: a literal. A name that is there already means something else from now on. */
void core_word(struct core_words *words, const char *name, const char *format, ...) PBX_PRINTF(3, 4);
/* "{who} was busy" with who put in. False: the sentence has a name that stands for nothing; it is shown as it is. */
bool core_words_say(const struct core_words *words, const char *sentence, char *ret_text, size_t size);
/* "2 h 5 min", "3 min 20 s", "12.4 s" */
void core_say_duration(int64_t ms, char ret_text[32]);

/* ---- explain_case.c ---- */

#define CORE_CASE_LEGS 24u

struct core_case_leg {
	char id[40], number[64], trunk[64], endpoint[256], device[128], reason[64], codec[20];
	char told[64], came[64], local[64]; /* audio: where its SDP asked for it, where it came from, our side */
	bool inbound, rang, answered, ended, by_peer, has_media, was_held;
	uint32_t sip_code;
	int64_t talk_ms, packets_in, packets_out, lost, foreign;
	double jitter_ms, heard_percent; /* heard_: as it reports of what we sent it */
	int64_t heard_lost, fell_silent_ms;
	bool deaf; /* it reported that nothing of ours came */
	/* of its dialog, borrowed from the ladder; NULL: not in the trace */
	const struct core_ladder_item *invite, *reply; /* the first INVITE; the last final response to it */
	const struct core_ladder_item *described;      /* the last SDP of theirs */
	uint32_t invites;                              /* how often the INVITE went over the wire */
	char agent[96], address[64];
};

struct core_case {
	char call_id[128];
	bool known, ended, answered; /* known: there is a call.started */
	char from[64], to[64], dialled[128], direction[16], disposition[16], cause[32], hangup_by[16], address[64], device[128], trunk[64];
	char linked_id[40];
	int64_t started_us, ended_us, duration_ms, billsec_ms, ring_ms;
	uint32_t sip_code;
	struct {
		char number[64], by[64], reason[128];
		uint32_t sip_code;            /* 0: nobody has refused */
	} refused;                            /* by routing, the last time */
	char forwards[256], forwarded_to[64]; /* "1002 to 1003 (busy), 1003 to …" */
	uint32_t forward_count;
	struct {
		char by[64], to[64], type[16];
		bool failed;
	} transfer; /* the last one */
	struct core_case_leg legs[CORE_CASE_LEGS];
	uint32_t leg_count;
	const struct core_ladder *ladder; /* borrowed; may be NULL */
	/* what the rule that is being asked says */
	struct core_words words;
	const struct core_case_leg *leg;
	const struct core_ladder_item *message;
};

struct core_case *core_case_new(const char *call_id); /* NULL: no memory */
void core_case_free(struct core_case *about);
AUTO_FREES(core_case)
/* One event of the call, in their order. data may be NULL. */
void core_case_add_event(struct core_case *about, const char *type, int64_t wall_us, const struct pbx_json *data);
/* The call's messages, after the events. They are borrowed while the case lives. */
void core_case_set_ladder(struct core_case *about, const struct core_ladder *ladder);

/* ---- explain_who.c: for conditions ---- */

/* "1002's phone (Yealink T46 at 192.0.2.7:5060)", "trunk carrier (203.0.113.9:5060)" */
void core_case_name_leg(const struct core_case *about, const struct core_case_leg *leg, char *ret_text, size_t size);
/* Makes this leg the one that the sentence is about: {who} {number} {address} {endpoint} {answer} {reason} {invites} {offered} {described}
 * (codecs, ours and theirs), and of its audio {talked} {packets} {local} {told} {came}. */
void core_case_blame(struct core_case *about, const struct core_case_leg *leg);
const struct core_case_leg *core_case_caller(const struct core_case *about);                       /* NULL: none */
const struct core_case_leg *core_case_callee(const struct core_case *about);                       /* whose refusal decided; NULL: none */
const struct core_case_leg *core_case_by_reason(const struct core_case *about, const char *begin); /* the leg whose end says so; NULL */
/* Who spoke credentials in this dialog, and whether any were spoken. */
const char *core_case_user_of(const struct core_case *about, const struct core_ladder_item *invite);

/* ---- the rules ---- */

#define CORE_FAILED "failed"       /* the call, or something in it, did not come about */
#define CORE_ONE_WAY "one_way"     /* somebody was not heard */
#define CORE_BAD_SOUND "bad_sound" /* or badly */
#define CORE_GOOD "good"
#define CORE_OPEN "under_way"

struct core_rule {
	const char *name, *verdict;
	bool (*holds)(struct core_case *about); /* and says what the names in the sentence stand for */
	const char *sentence;
};

extern const struct core_rule core_call_rules[];  /* the first that holds; they end with one that always does */
extern const struct core_rule core_stray_rules[]; /* of messages that never became a call: the same */
extern const struct core_rule core_sound_rules[]; /* each leg's that hold: core_case.leg is the leg. The last has no name */

/* ---- explain.c ---- */

#define CORE_MOST_FINDINGS 8u

struct core_finding {
	const char *rule, *verdict;
	char sentence[640];
	struct pbx_json *evidence; /* texts; NULL: no memory */
};

struct core_findings {
	uint32_t count; /* at least 1; the first is the one that matters */
	struct core_finding items[CORE_MOST_FINDINGS];
};

struct core_findings *core_explain(struct core_case *about); /* NULL: no memory */
void core_findings_free(struct core_findings *findings);
AUTO_FREES(core_findings)
/* Sets verdict, rule, sentence, evidence, and also: [{rule, verdict, sentence}] for what else was found. PBX_OK, PBX_ENOMEM. */
int core_findings_tell(struct core_findings *findings, struct pbx_json *json);
