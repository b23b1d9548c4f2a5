/* pbx/calls.h - legs, the calls they belong to, and what a controller may do with them
 * Served by the core as "pbx.calls/1". All of it: [loop].
 *
 * A leg is one party's dialog with the PBX: new, ringing, answered, ended. A call is the legs that belong together.
 * A leg has exactly one controller: the state machine that hears what happens to the leg and decides what comes next. */
#pragma once
#include <pbx/plugin.h>
#include <string.h>

struct pbx_say; /* pbx/prompts.h */

#ifdef __cplusplus
extern "C" {
#endif

/* Why a leg ends: ITU-T Q.850 values, as carried in Reason headers (RFC 3326). */
#define PBX_CAUSE_NOT_FOUND 1u /* unallocated number: 404 */
#define PBX_CAUSE_NORMAL 16u
#define PBX_CAUSE_BUSY 17u        /* 486 */
#define PBX_CAUSE_NO_RESPONSE 18u /* 408 */
#define PBX_CAUSE_NO_ANSWER 19u   /* 480 */
#define PBX_CAUSE_REJECTED 21u    /* 403, 603 */
#define PBX_CAUSE_ANSWERED_ELSEWHERE 26u
#define PBX_CAUSE_OFFLINE 20u        /* subscriber absent: 480 */
#define PBX_CAUSE_INVALID_NUMBER 28u /* 484 */
#define PBX_CAUSE_CONGESTION 34u     /* 503 */
#define PBX_CAUSE_FAILURE 41u        /* 500 */
#define PBX_CAUSE_NOT_ACCEPTABLE 88u /* 488, no common codec */
#define PBX_CAUSE_TIMER 102u         /* media or session timed out */

#define PBX_LEG_NEW 1u
#define PBX_LEG_RINGING 2u
#define PBX_LEG_ANSWERED 3u
#define PBX_LEG_ENDED 4u

#define PBX_INBOUND 1u  /* they called us */
#define PBX_OUTBOUND 2u /* we called them */

/* What is known of a leg. Texts are borrowed until the callback returns; never NULL, "" when unknown. */
struct pbx_leg_info {
	uint32_t size;
	pbx_leg leg;
	pbx_call call;
	uint32_t state, direction;
	const char *id;                         /* "01J…-2": the call's id and the leg's number in it; in events and records */
	const char *call_id;                    /* ULID of the call */
	const char *linked_id;                  /* ULID that survives transfers, parking and pick-up */
	const char *number, *name;              /* the party on this leg */
	const char *dialled;                    /* inbound: what they dialled */
	const char *account;                    /* authenticated user ("1001"), "" when none */
	const char *endpoint;                   /* outbound: where we called */
	bool holds_us, held_by_us;              /* the party holds us; we hold the party */
	pbx_bridge bridge;                      /* none when alone */
	uint64_t started_at_ms, answered_at_ms; /* 0: not yet */
	const char *device;                     /* user agent */
	const char *music_class;                /* what this party's held peer hears; "" for default */
	const char *
		argument; /* inbound, claimed number: what the pattern's open end matched ("1004" of *761004); the number for a range or X, Z, N, [ ]; "" for an exact number */
	const char *referred_by; /* number of who transferred this party to where it is now; "" when nobody did */
	pbx_leg transferor; /* in dialled() of a leg that was transferred: who did. Hung up when that went well, unless controlled by then */
	const char *peer;   /* the SIP system it belongs to (pbx/sip.h): a trunk's name; "" for a device of ours */
	const char *protocol_id, *local_tag,
		*remote_tag; /* its dialog, as Replaces names it (RFC 3891): Call-ID, our tag, the party's; "" not yet */
	bool withheld;       /* the party does not want to be shown (RFC 3323): number is "", name "Anonymous" */
	const char
		*asserted_number; /* with withheld: who it is nevertheless, for rights and for those the law lets know; "" when unknown */
	uint32_t record_wish; /* PBX_RECORDING_…: what its phone asks of whoever might record it (RFC 7866 a=recordpref); 0: nothing */
};

/* A conversation and a recording of it. */
#define PBX_RECORDING_OFF 1u
#define PBX_RECORDING_ON 2u
#define PBX_RECORDING_PAUSED 3u
#define PBX_RECORDING_AS_YOU_LIKE 4u /* a wish only: there is none, whatever was wished before */

#define PBX_MEDIA_FINISHED 1u /* played to its end */
#define PBX_MEDIA_STOPPED 2u  /* replaced or stopped */
#define PBX_MEDIA_FAILED 3u   /* the file is missing or cannot be decoded */

/* Who decides about a leg. Any function may be NULL. size = sizeof the plugin's structure. self is what control() was
 * given. ended is the last word about a leg; lost says that somebody else took it, and is the last word too; when the plugin is
 * stopped there is no last word (pbx/plugin.h, stop). */
struct pbx_controller {
	uint32_t size;
	void (*answered)(void *self, pbx_leg leg);
	void (*digit)(void *self, pbx_leg leg, char digit, uint32_t duration_ms); /* 0-9 * # A-D, from RFC 4733, INFO or tones, once each */
	void (*media_done)(void *self, pbx_leg leg);    /* what play or tone began has finished by itself, or cannot be played */
	void (*timeout)(void *self, pbx_leg leg);       /* set_timeout has passed */
	void (*hold)(void *self, pbx_leg leg, bool on); /* the party put us on hold, or took us off */
	void (*transfer)(void *self, pbx_leg leg, const char *target); /* the party asks to be replaced by target */
	void (*lost)(void *self, pbx_leg leg);
	void (*ended)(void *self, pbx_leg leg, uint32_t cause);
	void (*media_lost)(void *self, pbx_leg leg); /* no packet for media.timeout_s: hang up, unless this is set and knows better */
	/* `by`, an answered party, is to take this leg's place: a transfer with Replaces (RFC 3891), attended, that ends at us. Take it by
	 * control, bridge or route and answer PBX_OK: this leg is hung up then, ended follows. PBX_ENOSPC and PBX_EBUSY (the transferor is told
	 * 486), PBX_EPERM (403) or another error: both legs stay where they were. NULL: `by` is sent to the number that this leg had dialled. */
	int (*replaced)(void *self, pbx_leg leg, pbx_leg by);
	void (*flash)(void *self,
		      pbx_leg leg); /* the party has pressed its hook for a moment: no key, and no answer to what is collected */
	/* A key goes down: digit follows at its end, with the same key, unless the leg ends or is taken from us before, or what sounded like a key was too
	 * short for one. Not for keys that are collected. */
	void (*digit_down)(void *self, pbx_leg leg, char digit);
};

/* Rings targets. text in every target: a number ("1001", goes through routing), an account's devices ("aor:1001") or a URI ("sip:…"). */
#define PBX_DIAL_ALL 1u   /* all at once, each after its delay_ms */
#define PBX_DIAL_ORDER 2u /* one after the other */
/* One after the other, but the next one only when the last could not take the call: no response, a broken transport, or one of the codes
 * that pbx_route_answer.failover_codes names (408, 500, 502, 503, 504 unless told otherwise). What a callee decides (busy, declined) ends
 * it, and so does early media that the caller has heard. */
#define PBX_DIAL_FAILOVER 3u

#define PBX_DIAL_CONNECT 1u    /* when answered, answer `from` and bridge the two; control of both passes to the bridge */
#define PBX_DIAL_NO_FORWARD 2u /* ignore forwarding of the dialled accounts and 3xx answers */
#define PBX_DIAL_RINGBACK 4u   /* `from` is answered already: play it the ring-back tone (or music) while we ring */
#define PBX_DIAL_NO_WAITING 8u /* a busy account counts as busy even when it takes a second call */

/* May grow at its end: whoever gives targets says how long theirs are, see PBX_TARGETS. */
struct pbx_dial_target {
	const char *text;
	uint32_t delay_ms; /* ALL: starts so much later (staggered) */
	uint32_t ring_ms;  /* 0: the plan's */
	/* With peer, text is a number as that SIP system (pbx/sip.h) wants to see it, or a URI of it. */
	const char *peer;                        /* its name; NULL: none */
	const char *caller_number, *caller_name; /* shown to this target; NULL: the plan's */
	uint32_t flags;                          /* PBX_TARGET_… */
};

#define PBX_TARGET_WITHHELD 1u  /* the caller does not want to be shown (RFC 3323) */
#define PBX_TARGET_EMERGENCY 2u /* no limit of the peer holds */

/* In a plan or an answer: where the targets are, how many, and how long each. */
#define PBX_TARGETS(first, count) .targets = (first), .target_count = (count), .target_size = (uint32_t)sizeof *(first)

/* Target number `at`, whatever the length of those given; what they do not have reads as zero. [any] */
static inline struct pbx_dial_target pbx_dial_target_at(const struct pbx_dial_target *targets, uint32_t target_size, uint32_t at)
{
	struct pbx_dial_target target;

	memset(&target, 0, sizeof target);
	memcpy(&target, (const char *)targets + (size_t)at * target_size, target_size < sizeof target ? target_size : sizeof target);
	return target;
}

struct pbx_dial_plan {
	uint32_t size;
	uint32_t strategy, flags;
	const struct pbx_dial_target *targets;
	uint32_t target_count;
	uint32_t target_size; /* sizeof(struct pbx_dial_target) where the targets were made; without it nothing is dialled */
	uint32_t ring_ms;     /* give up after; 0: the setting calls.ring_s */
	const char *caller_number, *caller_name; /* shown to the targets; NULL: those of `from` */
	const char *music_class;                 /* with RINGBACK: music instead of the tone; NULL: tone */
};

#define PBX_DIALLED_ANSWERED 1u
#define PBX_DIALLED_BUSY 2u
#define PBX_DIALLED_NO_ANSWER 3u
#define PBX_DIALLED_DECLINED 4u
#define PBX_DIALLED_OFFLINE 5u /* no device is registered */
#define PBX_DIALLED_NOT_FOUND 6u
#define PBX_DIALLED_FAILED 7u
#define PBX_DIALLED_CANCELLED 8u /* by us, or `from` hung up */

struct pbx_dial_result {
	uint32_t size;
	uint32_t outcome;         /* PBX_DIALLED_… */
	uint32_t sip_code, cause; /* the best answer by RFC 3261 16.7 */
	pbx_leg winner;           /* ANSWERED: controlled by us now, or bridged (CONNECT) */
};

struct pbx_dialler {
	uint32_t size;
	void (*ringing)(void *self, pbx_dial dial);                                    /* once: the first device rings */
	void (*done)(void *self, pbx_dial dial, const struct pbx_dial_result *result); /* always, exactly once, last */
};

/* What is asked of a party's keys. Copied. A try is over when enough or wrong keys were typed, or none in time; a wrong answer is told so and asked for
 * again, as often as tries allows. Keys come the same by RFC 4733, INFO or tones. */
#define PBX_COLLECT_HEAR_OUT 1u /* keys stop nothing, and those pressed while a prompt plays do not count */
#define PBX_COLLECT_SECRET 2u   /* a PIN, a card: what the party says meanwhile and for a second after is silence in recordings of it */
#define PBX_MOST_COLLECTED 64u  /* keys in one try */

#define PBX_COLLECTED_DONE 1u       /* `most` keys, or a pattern that nothing longer fits */
#define PBX_COLLECTED_TERMINATED 2u /* a terminator was pressed: .terminator */
#define PBX_COLLECTED_TIMEOUT 3u    /* it is enough, and nothing more came for next_ms */
#define PBX_COLLECTED_NOTHING 4u    /* no key, and no silence is left */
#define PBX_COLLECTED_TOO_FEW 5u    /* less than `least` in the last try */
#define PBX_COLLECTED_INVALID 6u    /* no pattern fits what was typed in the last try, or it was not accepted */
#define PBX_COLLECTED_HANGUP 7u     /* the leg has ended; ended of its controller follows */
#define PBX_COLLECTED_STOPPED 8u    /* stop_collect, another collect, or somebody else decides about the leg now */

struct pbx_collected {
	uint32_t size;
	uint32_t reason;        /* PBX_COLLECTED_… */
	const char *keys;       /* of the last try, without its terminator; "" for none. Wiped after the callback: they may be a PIN */
	char terminator;        /* 0: none */
	uint32_t wrong, silent; /* tries that went wrong, and that were silent, the last one included */
};

struct pbx_collect {
	uint32_t size;
	uint32_t flags; /* PBX_COLLECT_… */
	/* What is heard first, and before the next try after a wrong answer or after none (no parts: the prompt again). Parts as for say; none at
	 * all: what plays now goes on. What cannot be played is a beep. A key stops what plays. */
	const struct pbx_say *prompt, *invalid, *nothing;
	uint32_t prompt_count, invalid_count, nothing_count;
	uint32_t least, most;    /* keys; most 0: PBX_MOST_COLLECTED. What is typed beyond most belongs to the next try */
	uint32_t first_ms;       /* time for the first key, from the end of what is heard; 0: 10 s */
	uint32_t next_ms;        /* between two keys; 0: 3 s */
	uint32_t tries;          /* so many wrong answers end it; 0: one */
	uint32_t silences;       /* so many silences end it; 0: silence is a wrong answer */
	const char *terminators; /* keys that end a try; NULL: "#", "": none. One that a pattern has at its place counts as a key */
	const char
		*patterns; /* what may be typed, separated by commas: keys, X any digit, Z 1-9, N 2-9, [5-7*], and '.' at the end for one or
				   * more digits ("1,2,*,1XXX"). A try ends at once when nothing can fit any more, or nothing longer. NULL: anything */
	/* Whether it may be that; false: a wrong answer. Asked of each try that is right so far. NULL: yes. It must not touch the leg. */
	bool (*accept)(void *self, pbx_leg leg, const char *keys);
	/* Always, exactly once, unless the plugin is stopped; the collection is over by then, and another may begin. */
	void (*done)(void *self, pbx_leg leg, const struct pbx_collected *collected);
};

/* How far play, say, or what a collection asks has come. Grows at its end. */
struct pbx_media_state {
	uint32_t size;
	uint32_t position_ms; /* in all that is said, as though it were one file; as of the newest packet */
	uint32_t length_ms;   /* 0: it is still being read */
	bool paused;
	int32_t gain_cdb; /* hundredths of a decibel */
};

#define PBX_MEDIA_LEAST_GAIN_CDB (-4000)
#define PBX_MEDIA_MOST_GAIN_CDB 2000

/* What others say of a call: fields that end in its record (set_field) and events of their own (tell). Names are letters, digits, _ - and . after a
 * letter; values UTF-8 on one line. Lengths in bytes. */
#define PBX_MOST_FIELDS 16u
#define PBX_MOST_FIELD_NAME 32u
#define PBX_MOST_FIELD_VALUE 255u
#define PBX_MOST_TOLD_NAME 64u
#define PBX_MOST_TOLD_DATA 4096u /* printed as JSON */
#define PBX_MOST_TOLD 1000u      /* events in one call, of all who tell together */

/* A claimed number was dialled. The leg is new and ours to control() or refuse; left alone when we return, it gets 500. */
typedef void (*pbx_dialled_fn)(void *self, pbx_leg leg);

struct pbx_calls {
	struct pbx_header header;

	/* ---- reaching us -------------------------------------------------------------- */

	/* "Who dials this talks to us": exact ("*43"), a range ("70-79"), or a pattern: X any digit, Z 1-9, N 2-9, [5-7], and as
	 * last character '.' for one or more of anything. Placed among the feature codes (pbx/route.h has the full form).
	 * PBX_OK, PBX_EINVAL (bad pattern), PBX_EEXIST (somebody has a number of it; the log names both), PBX_ENOMEM. */
	int (*claim)(struct pbx_host *host, const char *pattern, pbx_dialled_fn dialled, void *self);

	/* ---- control ------------------------------------------------------------------ */

	/* We decide about this leg from now on; whoever did before hears lost. The leg leaves its bridge (the other side does
	 * not end by that: its controller hears of it). PBX_OK, PBX_ENOENT, PBX_ENOMEM. */
	int (*control)(struct pbx_host *host, pbx_leg leg, const struct pbx_controller *controller, void *self);

	/* ---- verbs: PBX_OK, PBX_ENOENT (leg has ended), PBX_ESTATE (cannot be done in this state), PBX_ENOMEM ------------ */

	int (*ring)(pbx_leg leg);     /* 180 to an inbound leg */
	int (*progress)(pbx_leg leg); /* 183 with media: the caller may hear us before the answer */
	/* 200; answered is called when the media is up. Already answered: PBX_OK, nothing happens. PBX_ENOTSUP: we speak nothing of what it
	 * offered, it has been refused with 488. PBX_ENOSPC: no port or descriptor is left for its media, refused with 503 */
	int (*answer)(pbx_leg leg);
	/* 300-699 to an unanswered inbound leg. In dialled() also for a leg that was answered before and is being sent to us: who transferred it
	 * is told the code and keeps it. */
	int (*reject)(pbx_leg leg, uint32_t sip_code);
	int (*hangup)(pbx_leg leg, uint32_t cause); /* any state: BYE, CANCEL or a refusal. ended follows */

	/* Sends the leg to a number as though its party had dialled it: transfer, forwarding, end of a menu. Control passes
	 * to routing. */
	int (*route)(pbx_leg leg, const char *number);

	/* Also PBX_EINVAL (no such prompt or tone). What played before stops. media_done when over. */
	int (*play)(pbx_leg leg, const char *prompt); /* a prompt's name, or an absolute path of a WAV file */
	int (*tone)(
		pbx_leg leg,
		const char *
			tone); /* "dial", "ringback", "busy", "congestion", "sit", "beep", "confirm" in the leg's country; until stopped, but sit, beep and confirm end */
	int (*listen)(pbx_leg leg, pbx_source source); /* hears a shared source (pbx/media.h) from where it is now */
	int (*music)(pbx_leg leg,
		     const char *music_class); /* hears hold music; NULL: the default class. PBX_ENOTSUP: nobody offers music */
	int (*stop_media)(pbx_leg leg);        /* silence; media_done is not called */
	int (*echo)(pbx_leg leg);              /* hears itself until stopped */
	int (*send_digits)(pbx_leg leg,
			   const char *digits); /* the way the leg understands: RFC 4733, tones or INFO; 100 ms each, 50 ms apart */
	int (*set_timeout)(pbx_leg leg, uint32_t after_ms); /* one a leg; 0 clears it */
	int (*hold)(pbx_leg leg, bool on);                  /* we hold this party: re-INVITE inactive / sendrecv, its peer hears music */

	/* ---- dialling ----------------------------------------------------------------- */

	/* Rings what the plan says on behalf of `from` (none: we call by ourselves). `from` ending cancels the dial.
	 * PBX_OK, PBX_EINVAL (empty plan, or one without target_size), PBX_ENOENT (from has ended), PBX_ENOSPC (calls.limit), PBX_ENOMEM. */
	int (*dial)(struct pbx_host *host, pbx_leg from, const struct pbx_dial_plan *plan, const struct pbx_dialler *dialler, void *self,
		    pbx_dial *ret_dial);
	int (*cancel)(pbx_dial dial); /* done follows with CANCELLED. PBX_OK, PBX_ENOENT */

	/* ---- bridges ------------------------------------------------------------------ */

	/* Two answered legs talk; control of both passes to the bridge, which ends the one when the other hangs up. Their
	 * calls get one linked_id. PBX_OK, PBX_ENOENT, PBX_ESTATE (a leg is not answered), PBX_ENOMEM. */
	int (*bridge)(struct pbx_host *host, pbx_leg a, pbx_leg b, pbx_bridge *ret_bridge);
	/* The other member of a leg's two-party bridge. PBX_OK, PBX_ENOENT. */
	int (*peer)(pbx_leg leg, pbx_leg *ret_peer);
	/* Calls typed(self, leg) when a bridged party types these keys ("##"), which the other side then does not hear as a
	 * command but as tones. PBX_OK, PBX_EEXIST (somebody has them), PBX_EINVAL, PBX_ENOMEM. */
	int (*keys)(struct pbx_host *host, const char *keys, pbx_dialled_fn typed, void *self);

	/* ---- looking ------------------------------------------------------------------ */

	/* PBX_OK, PBX_ENOENT. Set size before: ret_info->size = sizeof *ret_info. */
	int (*info)(pbx_leg leg, struct pbx_leg_info *ret_info);
	/* The leg or call with an id as events show it. PBX_OK, PBX_ENOENT. */
	int (*find_leg)(const char *leg_id, pbx_leg *ret_leg);
	int (*find_call)(const char *call_id, pbx_call *ret_call);
	/* Calls each(context, leg) for every living leg (of one call, or of all: call none), oldest first. each may end legs. */
	void (*each)(pbx_call call, void (*each)(void *context, pbx_leg leg), void *context);
	/* A name for records and displays: changes what the other side of a bridge or dial is told. PBX_OK, PBX_ENOENT */
	int (*set_identity)(pbx_leg leg, const char *number, const char *name);
	/* What this party's peers hear when held, over all else; NULL: back to the rules. PBX_OK, PBX_ENOENT */
	int (*set_music)(pbx_leg leg, const char *music_class);

	/* ---- saying: as play, but several prompts, numbers, dates… one after the other as one sound (pbx/prompts.h) ------- */

	/* In the party's language; media_done when the last one is over. Also PBX_EINVAL: there are no words for a part, or no such prompt;
	 * PBX_ENOTSUP: a PBX_SAY_TEXT, and no engine speaks the language. */
	int (*say)(pbx_leg leg, const struct pbx_say *parts, uint32_t count);
	/* What this party is spoken to in, over its account's language; NULL: back to that. PBX_OK, PBX_ENOENT. */
	int (*set_language)(pbx_leg leg, const char *language);

	/* ---- picking up ---------------------------------------------------------------- */

	/* The leg that has rung longest on somebody's behalf: at a number, or at any account of a pickup group; NULL: anywhere.
	 * PBX_OK, PBX_ENOENT (nothing rings there). */
	int (*find_ringing)(const char *number, const char *group, pbx_leg *ret_leg);
	/* `by`, which is answered if it is not yet, talks to who calls on `ringing`; control of both passes to the bridge, and the phones
	 * that rang hear that somebody else has answered (RFC 3326). Who may is for the asker to decide. PBX_OK, PBX_ENOENT, PBX_ESTATE (it
	 * does not ring any more), PBX_ENOTSUP (no codec in common): `by` is as it was then. */
	int (*pickup)(pbx_leg by, pbx_leg ringing);

	/* ---- counting ------------------------------------------------------------------ */

	/* How many calls that last an account has made: by dialling, or by having them made for its phone. */
	uint32_t (*calls_made)(const char *account);

	/* ---- rights --------------------------------------------------------------------- */

	/* Whether this bridged party may send its peer elsewhere (REFER; refused with 403). Holds until it leaves the bridge.
	 * PBX_OK, PBX_ENOENT, PBX_ESTATE (it is in no bridge). */
	int (*set_transfer)(pbx_leg leg, bool may);

	/* ---- keys ----------------------------------------------------------------------- */

	/* Asks a controlled leg for keys; until that is over, digit of its controller is not called, nor media_done for what is heard. Plays as
	 * play and say do, so either of them takes the prompt's place: time counts from then. PBX_OK, PBX_ENOENT, PBX_ESTATE (nobody controls it,
	 * or it hears nothing yet), PBX_EINVAL (done is missing, a pattern is none, least is over most, or there are no words for a part),
	 * PBX_ENOTSUP (a PBX_SAY_TEXT, and no engine speaks the language), PBX_ENOMEM; done is not called then. */
	int (*collect)(pbx_leg leg, const struct pbx_collect *wish, void *self);
	/* Ends it and what it plays: done says STOPPED before this returns. PBX_OK, PBX_ENOENT (it has ended), PBX_ESTATE (nothing is collected). */
	int (*stop_collect)(pbx_leg leg);

	/* ---- conferences ----------------------------------------------------------------- */

	/* From its next message on the party is told whether we are the focus of a conference (RFC 4579 5.1: isfocus in Contact); before answer() in the
	 * answer. PBX_OK, PBX_ENOENT, PBX_ENOTSUP (its signalling has no word for that). */
	int (*set_focus)(pbx_leg leg, bool on);

	/* ---- what plays, on its way: what play or say began, or what a collection asks ------------------------------------- */

	/* Within a packet and without a click; several prompts are one sound. All: PBX_OK, PBX_ENOENT (leg has ended), PBX_ESTATE (nothing plays, or a
	 * tone, music or an echo does), PBX_ENOTSUP (media cannot), PBX_ENOMEM. */
	int (*pause_media)(pbx_leg leg);  /* silence; what is paused already stays so */
	int (*resume_media)(pbx_leg leg); /* goes on with the next sample */
	/* On, or back when negative; paused or not. Not further back than the beginning; beyond the end it is over, and media_done follows. */
	int (*seek_media)(pbx_leg leg, int32_t by_ms);
	/* Of this play alone. Also PBX_EINVAL: not within PBX_MEDIA_LEAST_GAIN_CDB and PBX_MEDIA_MOST_GAIN_CDB. */
	int (*set_volume)(pbx_leg leg, int32_t gain_cdb);
	/* Set size before: ret_state->size = sizeof *ret_state. */
	int (*media_state)(pbx_leg leg, struct pbx_media_state *ret_state);

	/* ---- hook flash -------------------------------------------------------------------------------------------------- */

	/* To a party that takes it: RFC 4733 event 16 where its SDP says so, or INFO. PBX_OK, PBX_ENOENT, PBX_ESTATE (no media yet),
	 * PBX_ENOTSUP (it has no word for that), PBX_ENOMEM. */
	int (*send_flash)(pbx_leg leg);

	/* ---- being recorded (RFC 7866 6) --------------------------------------------------- */

	/* PBX_RECORDING_…: what is done to what the party says and hears, for phones that show it; at once in a call that is answered. Whoever records
	 * says so, and when it is over; a leg that ends need not be told. PBX_OK (also for phones that do not want to know), PBX_ENOENT, PBX_EINVAL,
	 * PBX_ENOTSUP (its signalling has no word for that). */
	int (*set_recorded)(pbx_leg leg, uint32_t recording);

	/* ---- what others say of a call ----------------------------------------------------- */

	/* An event of this name in the call's history, by us: call.user_event {name, by, data}. For names that only your users know, as a script's; those
	 * that you know are declared in .events and published with the call (pbx/bus.h). taken: an object, NULL for none. PBX_OK, PBX_ENOENT (the
	 * call has ended), PBX_EINVAL (name, or no object), PBX_ENOSPC (data is too long, or the call has PBX_MOST_TOLD), PBX_ENOMEM. */
	int (*tell)(struct pbx_host *host, pbx_call call, const char *name, struct pbx_json *taken);
	/* Sets a field of the call; NULL or "" takes it away. It shows while the call lasts and ends in its records, those after a transfer too; account_code
	 * and user_field are columns of theirs. Told by call.fields_set when it changes. PBX_OK, PBX_ENOENT (the call has ended), PBX_EINVAL (name or
	 * value), PBX_ENOSPC (it has PBX_MOST_FIELDS), PBX_ENOMEM. */
	int (*set_field)(struct pbx_host *host, pbx_call call, const char *name, const char *value);
	/* Its value, whoever set it; borrowed until the callback returns. NULL: it has none of that name, or has ended. */
	const char *(*field)(pbx_call call, const char *name);
};

PBX_SERVICE(pbx_calls, "pbx.calls/1")

#ifdef __cplusplus
}
#endif
