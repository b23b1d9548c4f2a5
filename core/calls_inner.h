/* core/calls_inner.h - what the files of call control share: calls, legs, dials and bridges, and how they hand things to each other
 *
 * Nobody outside core/calls*.c, leg*.c, dial*.c, bridge.c, transfer.c and route.c includes this. All of it: [loop].
 *
 * Memory: a leg, dial or call that is over stays at its address until a posted function has said the last word about it, so code may hold a
 * pointer until it returns to the loop, and checks `state` or `over` after every call that leaves this folder. */
#pragma once
#include <pbx/detect.h>
#include "calls.h"
#include "handle.h"
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "prompts.h"
#include "rest.h"
#include "timer.h"
#include <pbx/json.h>
#include <pbx/rooms.h>
#include <string.h>
#include <strings.h>

#define CORE_MOST_FORWARDS 5u
#define CORE_MOST_HOPS 70u         /* as often as a call may come back to us: Max-Forwards (RFC 3261 8.1.1.6) */
#define CORE_LONELY_MS 10000u      /* a leg that nobody decides about is hung up after so long */
#define CORE_UPDATE_RETRY_MS 2100u /* re-INVITE glare, RFC 3261 14.1 */
#define CORE_KEYS_GAP_MS 3000u     /* a longer pause begins a key sequence anew */
#define CORE_MOST_KEYS 8u
#define CORE_CALL_SOURCE 80u
#define CORE_FLASH_MS 100u
#define CORE_KEY_MS 100u      /* how long a key is pressed when nobody says how long */
#define CORE_SAME_KEY_MS 500u /* what a phone that presses keys in two ways needs for the second at most */

struct core_leg;
struct core_collect;
struct core_dial;
struct core_branch;
struct core_bridge;

struct core_calls_settings {
	uint32_t limit, ring_s, max_duration_s, no_audio_s;
	bool media_started, digit_starts;
	const char *country, *moh_mode;
	struct pbx_list moh_phones;
};

struct core_call {
	pbx_call handle;
	struct core_call *next_by_id;
	char id[27], linked_id[27];
	struct core_leg *legs, *last_leg; /* oldest first */
	uint32_t legs_made;
	uint32_t dials;        /* under way on behalf of this call */
	bool answer_at_bridge; /* click to call: the first leg's answer is not the call's */
	const char *direction; /* "internal", "inbound", "outbound" */
	char from_number[64], from_name[128], from_account[64], dialled[128], to_number[64], to_name[128];
	uint64_t started_at_ms, ringing_at_ms, answered_at_ms;
	int64_t started_wall_us;
	uint64_t hold_ms;
	uint32_t sip_code, cause;
	bool is_beyond_limit; /* taken in to see whether it is an emergency; if not, routing's verdict is refused with 503 */
	struct core_call *next_beyond, **at_beyond; /* of those that were taken in so; at_beyond NULL: it was not */
	char source[CORE_CALL_SOURCE];              /* whose share of them it has */
	bool callee_said;                           /* sip_code is the callee's own answer, not ours */
	const char *hangup_by;                      /* "caller", "callee", "system"; NULL: not known yet */
	const char *reason;                         /* in words for call.ended; NULL: derived from sip_code and cause */
	struct pbx_json *fields;                    /* of others (calls_notes.c), an object of texts; owned, NULL: none */
	uint32_t told;                              /* events that others have written into it */
	pbx_timer limit_timer;
};

/* Audio that should be there, one way. */
struct core_audio_watch {
	uint64_t since_ms; /* the newest packet seen, or when one was first expected; 0: none is */
	uint64_t last_at_ms;
	bool missing; /* and told */
};

#define CORE_MOST_HISTORY 5u

struct core_history {
	uint32_t count;
	struct {
		char number[64];
		uint32_t reason;
	} entries[CORE_MOST_HISTORY]; /* newest first */
};

struct core_leg {
	pbx_leg handle;
	struct core_call *call;
	struct core_leg *next, *prev; /* in its call */
	uint32_t state, direction;
	bool is_caller;
	struct core_leg *next_by_account, **by_account; /* calls_index.c */
	char account[64], id[40];
	char number[64], name[128], dialled[128], device[128], address[64], instance[128], peer[64];
	char shown[64]; /* outbound: the number that it is shown */
	char music_class[64], argument[64], referred_by[64], language[16];
	uint32_t max_forwards, forwarded;
	bool withheld;                         /* the party does not want to be shown: number is "", who it is stands in asserted_ */
	char *asserted_number, *asserted_name; /* owned; NULL: "" */
	char *endpoint;                        /* outbound: where it was called; owned, NULL: "" */
	struct core_history *history;          /* by whom it was sent here before; owned, NULL: nobody */
	char *headers;                         /* of its INVITE, for those that are sent on its behalf; owned, NULL: none */
	pbx_leg came_from;                     /* whose INVITE came back to us as this one */

	const struct core_leg_driver *driver;
	void *dialog;

	core_stream stream;
	struct core_leg *next_by_stream;
	struct core_addr local_addr;
	/* At rest, see the functions below: */
	struct core_rest *remote, *local; /* what each side said last: core_media_desc */
	struct core_rest *config;         /* core_stream_config */
	struct core_rest *keys;           /* what we do about SRTP here: core_keys, of core_keys_make() */
	struct core_rest *ice;            /* what we are in ICE here, once somebody has asked for it: core_ice */
	bool has_stream, configured, has_keys;
	uint8_t failed_count;
	bool failed_stays;         /* its party takes nothing else: it is offered and answered all the same */
	struct core_codec *failed; /* amid this leg (leg_codec.c); owned, NULL: none */
	bool keys_unheeded;        /* the media driver does not listen for them (heed_keys) */
	bool is_web;               /* it is reached over a WebSocket: a browser, which takes nothing but DTLS and ICE */
	bool answer_said;          /* local went out in a 183 or 200 */
	bool late_offer;           /* our 200 carries an offer: the answer is in the ACK */
	bool updating, update_due;
	bool again_due;              /* core_leg_say_again, and it could not be then */
	uint8_t record_wish;         /* CORE_RECORD_…; 0: none yet */
	bool fax_asks;               /* it has offered T.38, and its partner is being asked */
	bool fax_asked;              /* we have offered it T.38 */
	bool fax_due;                /* and shall do so again: it was busy */
	bool fax_calls;              /* it is a fax machine, which has called (CNG) */
	pbx_detection fax_detection; /* that listens for one; 0: none */
	struct core_addr fax_from;   /* of that offer */
	struct core_t38 fax_wish;
	pbx_timer update_timer;
	uint64_t play_tag;                            /* of what plays now; 0: nothing that anybody waits for */
	uint32_t play_for;                            /* CORE_PLAY_FOR_… */
	pbx_source play_source;                       /* of what plays now; 0: no shared source */
	struct core_rest *stats;                      /* core_stream_stats, when it is closed */
	struct core_audio *audio;                     /* who changes what is said and heard here (audio.c); NULL: nobody */
	struct core_audio_watch audio_from, audio_to; /* of its party, to it */
	pbx_timer audio_timer;                        /* while it is answered */

	struct pbx_controller controller;
	void *self;
	struct core_charge charge; /* .owner is the controller's host; NULL: no plugin decides about this leg */
	pbx_timer timeout, lonely;
	struct core_collect *collect; /* that its keys go to (collect.c); NULL: they go to the controller */

	struct core_branch *branch; /* outbound, until a dial is decided */
	struct core_dial *dials;    /* under way on behalf of this leg */
	struct core_bridge *bridge;
	bool may_not_transfer; /* while it is in this bridge */
	bool referring;        /* it has sent its partner elsewhere and waits for the outcome */
	bool is_offered;       /* answered, and being handed to a claim: reject() means "not with me" */
	uint32_t refused_code;
	bool arriving;      /* what it dialled has not been routed yet */
	pbx_leg transferor; /* while it is offered: who has sent it there by REFER */
	bool driver_knows;  /* it has refused or ended the dialog already */

	struct core_room *room; /* whose member or guest it is */
	struct core_leg *next_in_room;
	struct pbx_room_part part;
	struct pbx_room_watch guest_watch; /* of a guest: who hears that it has left */
	void *guest_self;
	bool in_mix;

	bool holds_us, held_by_us;
	bool brings_music; /* it holds us, and what it sends meanwhile is for its peer (RFC 7088) */
	uint64_t hold_since_ms;
	char typed[CORE_MOST_KEYS + 1];
	uint64_t typed_at_ms;
	char key; /* that it typed last, how (CORE_DIGITS_…), and when that was heard */
	uint8_t key_way;
	char key_down; /* whose beginning was told, and whose end was not yet; 0: none */
	uint64_t key_at_ms;

	/* What is due when the present callback is over: the controller hears that it is answered; what a controller has left playing stops,
	 * unless the next one wants the same; its end is told, and it is freed. */
	struct core_post_node answered, inherited, last_word;

	uint64_t started_at_ms, ringing_at_ms, answered_at_ms;
	uint32_t end_sip_code, end_cause;
	bool ended_by_peer;
	char end_text[64];
};

/* What a leg remembers of its media; all zero while nothing has been said or agreed on. */
static inline struct core_media_desc core_leg_remote(const struct core_leg *leg)
{
	struct core_media_desc remote;

	core_rest_read(leg->remote, &remote, sizeof remote);
	return remote;
}

static inline struct core_media_desc core_leg_local(const struct core_leg *leg)
{
	struct core_media_desc local;

	core_rest_read(leg->local, &local, sizeof local);
	return local;
}

static inline struct core_stream_config core_leg_config(const struct core_leg *leg)
{
	struct core_stream_config config;

	core_rest_read(leg->config, &config, sizeof config);
	return config;
}

#define CORE_PLAY_FOR_CONTROLLER 1u
#define CORE_PLAY_FOR_HOLD 2u
#define CORE_PLAY_FOR_RINGBACK 3u
#define CORE_PLAY_FOR_COLLECT 4u

static inline void core_text_copy(char *to, size_t size, const char *from)
{
	size_t length = from ? strlen(from) : 0;

	if (length > size - 1)
		length = size - 1;
	if (length)
		memcpy(to, from, length);
	to[length] = '\0';
}

#define CORE_TEXT(array, from) core_text_copy((array), sizeof(array), (from))

/* ---- calls.c ---- */
struct pbx_host *core_calls_host(void); /* whom our events, metrics and timers are charged to */
void core_calls_set_part(struct pbx_host *host,
			 const struct core_calls_settings *const *settings); /* settings: where the current ones are found */
const struct core_calls_settings *core_calls_settings(void);
/* incoming: who calls may have an emergency, so some are taken in beyond calls.limit, of each caller a few; NULL: nobody calls, we do. PBX_ENOSPC,
 * PBX_ENOMEM, PBX_ESTATE (draining). */
int core_call_new(const struct core_incoming *incoming, struct core_call **ret_call);
void core_call_drop(struct core_call *call); /* one that never had a leg: no event tells of it */
struct core_call *core_call_find(pbx_call call);
void core_call_check(struct core_call *call); /* ends and frees it when nothing is left of it */
void core_call_ringing(struct core_call *call, const struct core_leg *leg, bool early_media);
void core_call_answered(struct core_call *call, const struct core_leg *leg, const char *by_number, const char *by_name);
void core_call_link(struct core_call *a, struct core_call *b);
struct core_handles *core_calls_table(void);

/* ---- calls_index.c ---- */
void core_call_index(struct core_call *call);
void core_call_unindex(struct core_call *call);
struct core_call *core_call_named(const char *call_id); /* NULL: there is none */
struct core_leg *core_leg_named(const char *leg_id);    /* NULL: there is none that lives */
void core_leg_set_account(struct core_leg *leg, const char *account);
void core_leg_unindex(struct core_leg *leg);
/* The living legs of an account, one after the other; after: NULL for the first. NULL: no more. */
struct core_leg *core_legs_of_account(const char *account, struct core_leg *after);

/* ---- calls_notes.c ---- what others say of it; by: who, as events show it. diag may be NULL ---- */
/* changes: an object of texts, null or "" for those that go; all or none. PBX_OK (also when nothing changes), PBX_EINVAL, PBX_ENOSPC (too many),
 * PBX_ENOMEM. */
int core_call_set_fields(struct core_call *call, const char *by, const struct pbx_json *changes, struct pbx_diag *diag);
/* Of an INVITE: what cannot be is left out, and the log says why. */
void core_call_take_fields(struct core_call *call, const char *by, const struct pbx_json *fields);
const char *core_call_field(const struct core_call *call, const char *name); /* borrowed; NULL: it has none of that name */
/* An event of somebody's own; taken: an object, NULL for none. PBX_OK, PBX_EINVAL (name), PBX_ENOSPC (too long, or too many of them), PBX_ENOMEM. */
int core_call_tell(struct core_call *call, const char *by, const char *name, struct pbx_json *taken, struct pbx_diag *diag);
/* pbx_calls.tell, set_field and field. */
int core_calls_tell(struct pbx_host *host, pbx_call handle, const char *name, struct pbx_json *taken);
int core_calls_set_field(struct pbx_host *host, pbx_call handle, const char *name, const char *value);
const char *core_calls_field(pbx_call handle, const char *name);

/* ---- calls_open.c ---- writes down which calls last, from now on */
void core_calls_open_start(void);
void core_calls_open_stop(void);

/* ---- leg.c ---- */
extern struct core_handles core_leg_table;
int core_leg_new(struct core_call *call, uint32_t direction, struct core_leg **ret_leg);
struct core_leg *core_leg_find(pbx_leg leg);  /* living or saying its last word; NULL */
struct core_leg *core_leg_alive(pbx_leg leg); /* NULL when ended */
/* For who works on what it says and hears. PBX_OK, PBX_ENOENT (ended), PBX_ESTATE (it has no media yet). */
int core_leg_with_stream(pbx_leg handle, const struct core_leg **ret_leg);
void core_leg_end(struct core_leg *leg, uint32_t sip_code, uint32_t cause, bool by_peer,
		  const char *text); /* tells the driver unless by_peer */
void core_leg_answered_now(struct core_leg *leg);
void core_leg_lose_controller(struct core_leg *leg);
/* Nobody's any more: leaves bridge, dials, branch and controller. The other side of a bridge is returned, on its own now. */
struct core_leg *core_leg_let_go(struct core_leg *leg);
/* After letting go: a controller that heard lost may have ended the leg, or have done something of its own with it. */
bool core_leg_is_free(const struct core_leg *leg);
void core_leg_watch(struct core_leg *leg); /* hangs it up after a while unless somebody takes it */
void core_legs_fini(void);
const struct core_leg_driver *core_leg_driver(void);
void core_leg_media_digit(struct core_leg *leg, char digit, uint32_t duration_ms, uint32_t way);
void core_leg_key_down(struct core_leg *leg, char digit, uint32_t way); /* it begins */

/* The prompts of what is said, in order. */
struct core_spoken {
	const char *prompts[PBX_MOST_SAID];
	char text[PBX_MOST_SAID * CORE_MOST_PROMPT_ID];
	uint32_t count;
	size_t used;
	bool too_long;
};
int core_spoken_compose(const char *language, const struct pbx_say *parts, uint32_t count, struct core_spoken *ret_spoken); /* PBX_EINVAL */

/* ---- leg_answer.c ---- other: the leg it will talk to, whose codecs are preferred; NULL */
bool core_leg_is_waiting(const struct core_leg *leg);                      /* it came to us, and has neither been answered nor refused */
int core_leg_progress(struct core_leg *leg, const struct core_leg *other); /* 183 with media */
int core_leg_answer(struct core_leg *leg, const struct core_leg *other);
void core_leg_refuse(struct core_leg *leg, uint32_t sip_code, uint32_t cause, const char *text);
void core_leg_rings(struct core_leg *leg);

/* Tells a party with whom it is connected now. */
void core_leg_tell_identity(const struct core_leg *to, const struct core_leg *about);

/* ---- leg_media.c ---- */
extern const struct core_media_driver *core_media;
struct core_leg *core_leg_of_stream(core_stream stream); /* NULL: stale */
int core_leg_open_stream(struct core_leg *leg, int family);
void core_leg_close_stream(struct core_leg *leg);
void core_audio_leg_ends(struct core_leg *leg); /* audio.c: its stream is about to be closed */
/* Fresh keys for a leg of this account or peer ("" for none), as their policy and the media driver's suites are. is_web: our offers are for a
 * browser. */
void core_keys_make(const struct core_leg_driver *driver, const char *account, const char *peer, bool is_web, struct core_keys *ret_keys);
/* Our offer; remembered as what it was told. */
int core_leg_make_offer(struct core_leg *leg, const struct core_leg *other, uint8_t direction, struct core_media_desc *ret_offer);
int core_leg_take_answer(struct core_leg *leg, const struct core_media_desc *answer);
/* The answer to what the leg has said, preferring what other agreed to; or our offer when there was none. Opens and configures the stream; the
 * answer is remembered. */
int core_leg_make_answer(struct core_leg *leg, const struct core_leg *other, uint8_t direction, bool renegotiated,
			 struct core_media_desc *ret_answer);
void core_leg_forget_media(struct core_leg *leg);
void core_leg_media_fini(void);

/* ---- leg_update.c ---- */
int core_leg_update(struct core_leg *leg); /* re-INVITE with what the hold flags say; retries by itself */
void core_leg_update_later(struct core_leg *leg, uint64_t after_ms);
/* What was said last once more as an offer, with what the driver has to say besides; as soon as may be, and not amid a fax. */
void core_leg_say_again(struct core_leg *leg);
/* What a party says of being recorded; told when it says another thing amid a call. */
void core_leg_note_wish(struct core_leg *leg, const struct core_media_desc *said);
void core_leg_on_update_timer(void *self, pbx_timer timer);                        /* what was put off is tried again */
void core_leg_note_hold(struct core_leg *leg, const struct core_media_desc *said); /* whether the peer holds us from now on */

/* ---- leg_look.c: as in pbx_calls ---- */
int core_look_peer(pbx_leg handle, pbx_leg *ret_peer);
int core_look_info(pbx_leg handle, struct pbx_leg_info *ret_info);
int core_look_find_leg(const char *leg_id, pbx_leg *ret_leg);
int core_look_find_call(const char *call_id, pbx_call *ret_call);
void core_look_each(pbx_call call, void (*tell)(void *context, pbx_leg leg), void *context);
uint32_t core_look_calls_made(const char *account);

/* ---- leg_play.c ---- */
int core_leg_send_digits(struct core_leg *leg, const char *digits, uint32_t each_ms); /* the way that the leg understands */
int core_leg_send_flash(struct core_leg *leg);                                        /* likewise; PBX_ENOTSUP: it does not */
int core_leg_play(struct core_leg *leg, uint32_t kind, const char *text, pbx_source source, uint32_t play_for);
/* In the party's language. */
int core_leg_play_prompts(struct core_leg *leg, const char *const *prompts, uint32_t count, uint32_t play_for);
void core_leg_language(const struct core_leg *leg, char ret_language[16]); /* set for it, or its account's; "": the default */
int core_leg_play_music(struct core_leg *leg, const char *music_class, uint32_t play_for);
void core_leg_stop_play(struct core_leg *leg);
/* As core_media_driver.steer and played_so_far; PBX_ESTATE also when it hears nothing. */
int core_leg_steer(struct core_leg *leg, uint32_t how, int32_t amount);
int core_leg_played_so_far(const struct core_leg *leg, struct pbx_media_state *ret_state);
void core_leg_leave_play(struct core_leg *leg); /* another decides: sounds stop now, a shared source when nobody asks for it at once */

/* ---- collect.c ---- */
int core_collect_begin(struct core_leg *leg, const struct pbx_collect *wish, void *self); /* pbx_calls.collect */
bool core_collect_digit(struct core_leg *leg, char digit);                                /* false: nobody collects */
void core_collect_key_down(struct core_leg *leg);                                         /* its prompt falls silent at once */
void core_collect_played(struct core_leg *leg, uint64_t tag, uint32_t how);               /* what had this tag is over */
bool core_collect_is_secret(const struct core_leg *leg);                                  /* a PIN is being typed */
void core_collect_end(struct core_leg *leg, uint32_t reason);                             /* tells so, if anything is collected */
void core_collect_drop(struct core_leg *leg);                                             /* without a word */

/* Whether keys fit patterns as pbx_collect has them. */
#define CORE_KEYS_FIT 1u        /* they do */
#define CORE_KEYS_FIT_LONGER 2u /* they would, with more keys */
uint32_t core_keys_fit(const char *patterns, const char *keys);
bool core_keys_are_patterns(const char *patterns);

int core_leg_configure(struct core_leg *leg, struct core_stream_config *config); /* what was agreed on, to its stream */
/* leg_codec.c: what has failed amid this leg is taken out of desc. False: no speech would be left, and nothing is. */
bool core_leg_leave_out_failed(const struct core_leg *leg, struct core_media_desc *desc);
void core_leg_fax_policy(const struct core_leg *leg, char ret_says[12]); /* the account's word or the peer's on T.38; "": none */
struct core_codec_policy core_media_policy(void);

/* ---- leg_fax.c ---- */
void core_fax_on_offer(struct core_leg *leg, const struct core_media_desc *offer);               /* of T.38: it is answered, now or later */
void core_fax_on_answer(struct core_leg *leg, int result, const struct core_media_desc *answer); /* to ours */
/* The answer to an offer of nothing but T.38, which a leg begins with; other: who it will talk to, or NULL. Its stream turns.
 * PBX_ENOTSUP (it may not have T.38, or other does not speak G.711). */
int core_fax_answer_first(struct core_leg *leg, const struct core_leg *other, struct core_media_desc *ret_answer);
void core_fax_listen(struct core_bridge *bridge); /* its parties talk: fax machines are listened for, where that is wanted */
void core_fax_alone(struct core_leg *leg);        /* the partner whom we asked on its behalf has gone */
void core_fax_back(struct core_leg *leg);         /* it speaks again: so is its partner to do */
/* Offers T.38 to who may have it, at once or when an exchange that is under way is over. PBX_OK, PBX_ENOTSUP, PBX_ESTATE, PBX_ENOMEM. */
int core_fax_ask(struct core_leg *leg);

/* ---- dial.c ---- */
struct core_dial_wish {
	struct pbx_host *host; /* NULL: routing itself */
	struct core_leg *from;
	const struct pbx_dial_plan *plan;
	const struct pbx_dialler *dialler;
	void *self;
	pbx_leg transferor;              /* a blind transfer */
	bool answer_at_bridge;           /* without from: the first answer is not the call's (click to call) */
	const char *account;             /* whose permission counts; NULL: from's */
	const char *call_from, *call_to; /* without from: what the call is said to be; NULL: caller and first target */
	const char *instance;            /* only this device of the account that the number is, see struct core_incoming; NULL or "": all */
};
int core_dial_start(const struct core_dial_wish *wish, pbx_dial *ret_dial);
int core_dial_cancel(pbx_dial dial);
const struct core_call *core_dial_call(pbx_dial dial); /* NULL: stale */
void core_dial_leg_ringing(struct core_leg *leg, bool early_media);
void core_dial_leg_answered(struct core_leg *leg);
void core_dial_leg_redirected(struct core_leg *leg, const char *const *targets, uint32_t count, uint32_t reason);
void core_dial_leg_over(struct core_leg *leg);
void core_dial_from_gone(struct core_leg *from, const struct pbx_host *but); /* cancels its dials, but those of one host */
uint32_t core_dial_count(void);
/* `from` gets another number or name (NULL: keeps it): what its dials show under the old one they show under the new. */
void core_dials_rename(const struct core_leg *from, const char *number, const char *name);
void core_dials_init(void);
void core_dials_fini(void);
int core_leg_route(struct core_leg *leg, const char *number, pbx_leg transferor);

/* ---- bridge.c ---- */
struct core_bridge {
	pbx_bridge handle;
	char id[27];
	struct core_leg *legs[2];
	bool connected;
	struct core_room *room; /* of its guests; NULL: there are none, and the two are relayed */
};
int core_bridge_make(struct core_leg *a, struct core_leg *b, pbx_bridge *ret_bridge);
struct core_leg *core_bridge_peer(const struct core_leg *leg);
struct core_leg *core_bridge_dissolve(struct core_leg *leg); /* the other one, NULL when there was no bridge */
void core_bridge_settle(struct core_bridge *bridge);         /* brings media to what the hold flags ask for */
void core_hold_changed(struct core_leg *leg, bool was);      /* events, and music for the other side */
bool core_bridge_digit(struct core_leg *leg, char digit);    /* a key sequence was completed */
int core_keys_add(struct pbx_host *host, const char *keys, pbx_dialled_fn typed, void *self);
uint32_t core_bridge_count(void);
void core_bridges_init(void);
void core_bridges_fini(void);

/* ---- rooms.c ---- */
struct core_room {
	pbx_room handle;
	char id[27], name[64], language[16];
	struct core_charge charge; /* .owner: whose it is; NULL: a conversation with guests */
	struct pbx_room_watch watch;
	void *self;
	core_mix mix;
	uint64_t play_tag;          /* of what plays into it; 0: nothing that anybody waits for */
	struct core_leg *members;   /* in order of coming; of a conversation: the guests */
	struct core_bridge *bridge; /* whose conversation it is; NULL: a room of its own */
};
void core_room_leave(struct core_leg *leg); /* its owner hears of it; fine when it is in none */
void core_room_leave_quietly(struct core_leg *leg);
void core_room_leave_unless(struct core_leg *leg, const struct pbx_host *host); /* who takes control of it owns the room, too */
void core_room_settle(struct core_leg *leg);                                    /* it holds, or does no more */
void core_room_settle_bridge(struct core_bridge *bridge);                       /* of a conversation with guests: all who are in it */
/* A conversation is over for its guests: cut off from the bridge that ends, and told so once nothing of the bridge is left. NULL: no guests. */
struct core_room *core_room_cut_off(struct core_bridge *bridge);
void core_room_send_home(struct core_room *room);
void core_rooms_init(void);
void core_rooms_fini(void);

/* ---- transfer.c ---- */
void core_transfer_progress(pbx_leg transferor, uint32_t sip_code);
/* The moved leg's way has ended: well (code 200) or not. true: it talks to the transferor again. */
bool core_transfer_over(pbx_leg transferor, struct core_leg *moved, const char *target, uint32_t sip_code);

/* PBX_OK: `by` stands where `old` stood, who is to be hung up now. */
int core_leg_put_in_place(struct core_leg *old, struct core_leg *by);
uint32_t core_transfer_code(int err); /* what who asked for it is told */

/* ---- pickup.c ---- */
/* A new leg that names another by Replaces (RFC 3891): takes its place, or is refused. */
void core_leg_replace(struct core_leg *leg, pbx_leg replaced, bool early_only);
int core_leg_pick_up(struct core_leg *by, const struct core_leg *ringing);          /* pbx_calls.pickup */
int core_leg_find_ringing(const char *number, const char *group, pbx_leg *ret_leg); /* pbx_calls.find_ringing */
bool core_accounts_share_group(const char *one, const char *other);

/* ---- route.c ---- */
struct core_walk_wish {
	pbx_leg leg;
	const char *number, *caller, *account, *peer, *forwarder;
	int64_t wall_us;
	bool explaining, arriving;
	uint32_t forwarded;
	void (*step)(void *context, const struct pbx_route_step *step);                      /* may be NULL */
	void (*forward)(void *context, const char *number, const char *to, uint32_t reason); /* may be NULL */
	/* owner: whose hook gave the verdict. argument: what a claim's open end matched. */
	void (*done)(void *context, const struct pbx_route_answer *verdict, struct pbx_host *owner, const char *argument);
	void *context;
};
int core_walk_start(const struct core_walk_wish *wish, pbx_route_query *ret_query);
void core_walk_cancel(pbx_route_query query); /* done is not called */
void core_route_init(void);
void core_route_fini(void);

/* ---- plan.c ---- */
struct core_claim_match {
	struct pbx_host *owner;
	const char *pattern, *help, *argument;
	pbx_dialled_fn dialled;
	void *self;
};
bool core_plan_match(const char *number, uint32_t order, struct core_claim_match *ret_match);
int core_plan_claim(struct pbx_host *host, const struct pbx_claim *claim, struct pbx_diag *diag);
int core_plan_unclaim(struct pbx_host *host, const char *pattern);
int core_plan_reserve(struct pbx_host *host, const char *number, struct pbx_diag *diag);
int core_plan_unreserve(struct pbx_host *host, const char *number);
int core_plan_owner(const char *number, const char **ret_owner);
void core_plan_fini(void);

/* ---- leg_quality.c ---- */
void core_leg_watch_audio(struct core_leg *leg); /* it has been answered */
/* One way of a leg as these statistics have it. Texts are good until the next time. */
void core_leg_way(const struct core_leg *leg, const struct core_stream_stats *stats, uint32_t direction, struct pbx_leg_way *ret_way);
int core_quality_score(const struct pbx_leg_way *before, const struct pbx_leg_way *now,
		       struct pbx_way_score *ret_score); /* as pbx_quality.score */

/* ---- calls_events.c ---- */
void core_event_call_unproven(const struct core_call *call, const char *device, const char *address); /* call.started of what is none */
void core_event_call_started(const struct core_call *call, const struct core_leg *leg);
void core_event_call_ringing(const struct core_call *call, const struct core_leg *leg, bool early_media);
void core_event_call_answered(const struct core_call *call, const struct core_leg *leg, const char *number, const char *name);
void core_event_call_forwarded(const struct core_call *call, const char *from, const char *to, const char *reason);
void core_event_call_refused(const struct core_call *call, const char *number, const char *owner, uint32_t sip_code, const char *why);
void core_event_hold(const struct core_leg *by, const struct core_leg *held, bool on, uint64_t hold_ms);
void core_event_record_wish(const struct core_leg *leg); /* a phone has changed its mind */
void core_event_transfer(const struct core_leg *moved, const char *type, const char *transferor, const char *target, const char *result);
void core_event_call_linked(const struct core_call *call, const struct core_call *other);
int core_event_fields_set(const struct core_call *call, const char *by, struct pbx_json *taken);
int core_event_user(const struct core_call *call, const char *by, const char *name, struct pbx_json *taken);
void core_event_picked_up(const struct core_leg *caller, const struct core_leg *by, const struct core_leg *ringing);
void core_event_call_ended(const struct core_call *call);
void core_event_digit(const struct core_leg *leg, char digit, uint32_t duration_ms, uint32_t way); /* CORE_DIGITS_… */
void core_event_digit_down(const struct core_leg *leg, char digit, uint32_t way);
void core_event_flash(const struct core_leg *leg, uint32_t way);
void core_event_media(const struct core_leg *leg, const struct core_stream_stats *stats); /* it has begun */
void core_event_media_moved(const struct core_leg *leg, const struct core_addr *from);
void core_event_media_timeout(const struct core_leg *leg, uint32_t for_ms);
void core_event_media_failed(const struct core_leg *leg, const char *reason);
void core_event_leg(const char *type, const struct core_leg *leg);
void core_event_leg_ended(const struct core_leg *leg);
void core_event_room(const char *type, const struct core_room *room, const struct core_leg *leg);
void core_event_codec_failed(const struct core_leg *leg, const struct core_codec *codec, bool encodes);
/* type leg.audio_missing or leg.audio_back, way from_party or to_party. */
void core_event_audio(const struct core_leg *leg, const char *type, const char *way, uint64_t for_ms,
		      const struct core_stream_stats *stats);
/* How a living leg sounds, for people; owned, NULL: it has no audio. */
struct pbx_json *core_leg_audio_json(const struct core_leg *leg);
void core_event_bridge(const char *type, const struct core_bridge *bridge);
const char *core_call_disposition(const struct core_call *call);
const char *core_call_reason(const struct core_call *call);
const char *core_forward_name(uint32_t reason);
