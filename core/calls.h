/* core/calls.h - calls, legs, dials, bridges and routing inside the daemon; serves "pbx.calls/1", "pbx.route/1", "pbx.media/1", "pbx.rooms/1". All of it: [loop].
 *
 * calls.c     calls: begin, end, limits, draining        leg.c        legs: states, what the driver tells, who decides
 * leg_verbs.c what a controller may do with a leg          leg_media.c  a leg's stream: offers, answers
 * leg_look.c  what is to be seen of legs                   leg_update.c hold, another offer amid a call
 * leg_answer.c ringing, the answer, a refusal
 * leg_play.c  what it is played, the keys sent to it       media.c      sources and probes for plugins
 * leg_digits.c the keys that its party presses
 * dial.c      ringing targets, first answer wins           dial_group.c one target: routed, resolved, forwarded
 *                                                          dial_branch.c one device of it
 * bridge.c    two legs talk, hold and music, keys          transfer.c   blind and attended
 * rooms.c     many legs talk, guests in a conversation
 * route.c     the chain of hooks                           plan.c       the number plan: patterns, claims, conflicts
 * negotiate.c offer and answer in terms of media_desc.h    cause.c      Q.850 and SIP
 * calls_events.c, calls_requests.c, calls_part.c  events; REST and commands (calls_playback.c: what plays); settings and metrics
 * calls_notes.c  what others say of a call: fields for its record, events of their own
 * calls_open.c, calls_recover.c  which calls last, written down; after a crash, their ends */
#pragma once
#include <pbx/rooms.h>
#include <pbx/route.h>
#include "leg_driver.h"
#include "media_driver.h"

int core_calls_init(void);
void core_calls_fini(void);

/* No new calls from now on; idle(context) when the last has ended, or after deadline_ms, when those left have been hung up (cause NORMAL). */
void core_calls_drain(uint64_t deadline_ms, void (*idle)(void *context), void *context);
bool core_calls_draining(void);

/* What a crash cut off is told of as ended (calls_recover.c), then done(context): only after it may new calls come. From then on, the calls that last
 * are written down for the next time. To be called once the bus has its store; an error is logged and tried again by the next start.
 * The store's end while it runs: done is not called. */
void core_calls_recover(void (*done)(void *context), void *context);

struct core_calls_stats {
	uint32_t calls, legs, bridges, dials;
	uint64_t started, answered, failed;
};
void core_calls_stats(struct core_calls_stats *ret_stats);

struct pbx_json *core_calls_list(void);                /* [{call_id, linked_id, state, from, to, since, legs: […]}] */
struct pbx_json *core_calls_show(const char *call_id); /* NULL: no such call */
/* What the legs that have not ended would say in leg.ended now, about their audio. Owned; NULL: no memory. */
struct pbx_json *core_calls_legs_so_far(const char *call_id);

bool core_field_name_is_good(const char *name); /* of a call's field: PBX_MOST_FIELD_NAME letters, digits, _ - . */

/* A REST or command hang-up of a whole call. PBX_OK, PBX_ENOENT. */
int core_call_hangup(const char *call_id, uint32_t cause);

extern const struct pbx_calls core_calls_service;
extern const struct pbx_routing core_route_service;
extern const struct pbx_media core_media_service;
extern const struct pbx_rooms core_rooms_service;
extern const struct pbx_audio core_audio_service;
extern const struct pbx_quality core_quality_service;
extern const struct pbx_recorder core_recorder_service;
extern const struct pbx_faxes core_faxes_service;
extern const struct pbx_taps core_taps_service;
extern const struct pbx_forks core_forks_service;
extern const struct pbx_injections core_injections_service;
extern const struct pbx_detector core_detector_service;

/* What stands in the way of a dialled number. Texts are borrowed until the callback returns. */
struct core_plan_row {
	const char *kind;    /* "claim" of a pattern, "number" somebody has reserved, "hook" that is asked about every number */
	const char *owner;   /* plugin or part */
	const char *pattern; /* or the number, or the hook's name */
	const char *help;    /* what a user gets; "" when its owner says nothing */
	uint32_t order;      /* of the chain; 0: a reserved number, whose owner answers in a hook */
};
/* Every claim and every reserved number; plan.c: claims of one order in the order in which they are tried. */
void core_plan_each(void (*each)(void *context, const struct core_plan_row *row), void *context);
/* Every hook of the chain, in order; route.c. */
void core_route_each(void (*each)(void *context, const struct core_plan_row *row), void *context);

/* negotiate.c: pure functions over descriptions, tested by table. */

/* Our offer: the wanted codecs (the other side's, in its order, when known) then what we can do ourselves, without doubles; dynamic types numbered. */
void core_offer_make(const struct core_media_desc *wanted, const struct core_codec *own, uint8_t own_count, const struct core_addr *local,
		     uint8_t direction, struct core_media_desc *ret_offer);
/* Our answer to an offer: the offerer's codecs we can serve (`may`: what the other side agreed to, then our own), the offerer's numbers and order, mirrored
 * direction. Fills the configuration of our stream too. PBX_OK, PBX_ENOTSUP (nothing in common). */
int core_answer_make(const struct core_media_desc *offer, const struct core_codec *may, uint8_t may_count, const struct core_addr *local,
		     uint8_t direction, struct core_media_desc *ret_answer, struct core_stream_config *ret_config);
/* What we may send and receive after the peer answered our offer. PBX_OK, PBX_ENOTSUP. */
int core_answer_apply(const struct core_media_desc *offer, const struct core_media_desc *answer, struct core_stream_config *ret_config);

/* Nowhere to send to (RFC 2543's hold), and no ICE that would find out where. */
bool core_desc_is_nowhere(const struct core_media_desc *desc);

/* negotiate_keys.c: SRTP, by keys in SDP (RFC 4568) or by DTLS (RFC 5763), beside the above. */

/* What one of our sides does about SRTP. */
struct core_keys {
	bool required;         /* no stream without it */
	bool offers_dtls;      /* our offers have the fingerprint instead of keys */
	uint8_t count;         /* 0: no SRTP */
	struct core_dtls dtls; /* our certificate; CORE_HASH_NONE: no DTLS */
	struct core_crypto own[CORE_MOST_CRYPTOS];
};

/* Adds keys or fingerprint to our offer. One that has to be protected says so by its profile, any other leaves the choice to the peer
 * (RFC 8643). */
void core_keys_offer(const struct core_keys *keys, struct core_media_desc *offer);
/* Whether an offer can be answered at all: not SRTP where there is to be none, nor plain RTP where it must be SRTP. */
bool core_keys_suffice(const struct core_keys *keys, const struct core_media_desc *offer);
/* Chooses DTLS where the offer's profile says so, else the first of its keys whose suite we have; fills our answer and the stream's
 * configuration. before: what the stream has, whose handshake goes on when the peer's certificate is the same; NULL: nothing.
 * PBX_OK (protected, or plain where both may), PBX_ENOTSUP. */
int core_keys_answer(const struct core_keys *keys, const struct core_stream_config *before, const struct core_media_desc *offer,
		     struct core_media_desc *answer, struct core_stream_config *config);
/* What the peer chose of our offer. PBX_OK, PBX_EPERM (a key we did not offer, or none where there must be one). */
int core_keys_agree(const struct core_media_desc *offer, const struct core_media_desc *answer, struct core_stream_config *config);

/* negotiate_ice.c: ICE (RFC 8839), beside the above. own: what we are and where; its name "" means none. before: what the stream has, whose
 * roles stay; NULL: nothing. Nothing can fail: without ICE on both sides the stream goes where the media line says. */
bool core_ice_is_on(const struct core_ice_name *name);
bool core_ice_same(const struct core_ice_name *a, const struct core_ice_name *b); /* false: a restart */
void core_ice_name_make(struct core_ice_name *ret_name);                          /* one that nobody can guess */
/* must_share: the peer takes RTP and RTCP on one port or not at all. */
void core_ice_offer(const struct core_ice *own, bool must_share, struct core_media_desc *offer);
void core_ice_answer(const struct core_ice *own, const struct core_stream_config *before, const struct core_media_desc *offer,
		     struct core_media_desc *answer, struct core_stream_config *config);
void core_ice_agree(const struct core_stream_config *before, const struct core_media_desc *offer, const struct core_media_desc *answer,
		    struct core_stream_config *config);
/* Candidates that come late (RFC 8838). True: one of them is news. */
bool core_ice_add(struct core_ice *ice, const struct core_ice *more);

bool core_codec_same(const struct core_codec *a,
		     const struct core_codec *b);         /* name, clock, channels: never by number (fmtp: codec's own) */
bool core_codec_is_ours(const struct core_codec *codec);  /* one that we speak, or that goes with speech (keys, noise) */
bool core_codec_is_noise(const struct core_codec *codec); /* CN: comfort noise (RFC 3389) */
