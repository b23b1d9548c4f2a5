/* core/media_driver.h - the seam between call control and the media workers. All of it: [loop].
 *
 * A stream is one leg's RTP association: its sockets, its own SSRC, sequence and timestamps, its statistics. Commands go to the stream's
 * worker when the callback that gave them is over and take effect in order; what happens comes back as core_media_on_… on the loop. */
#pragma once
#include <pbx/calls.h>
#include <pbx/fax.h>
#include <pbx/fork.h>
#include <pbx/media.h>
#include <pbx/quality.h>
#include <pbx/detect.h>
#include <pbx/inject.h>
#include <pbx/recorder.h>
#include <pbx/tap.h>
#include "media_desc.h"
#include <pbx/audio.h>

typedef struct core_stream {
	uint64_t id;
} core_stream;

/* How keys travel. */
#define CORE_DIGITS_EVENTS 0u /* RFC 4733, when dtmf_type is agreed */
#define CORE_DIGITS_TONES 1u  /* in the sound, G.711 */
#define CORE_DIGITS_INFO 2u   /* by signalling */

/* What negotiation found. Copied. */
struct core_stream_config {
	struct core_addr rtp, rtcp; /* the peer, as SDP says; AF_UNSPEC: send nothing until it is learned */
	bool rtcp_mux;
	uint8_t xr;        /* CORE_XR_… that the peer wants to be told */
	uint8_t level_id;  /* header extension in which both tell how loud a packet is (RFC 6464); 0: none */
	uint8_t direction; /* ours: CORE_SEND we may send, CORE_RECV we accept */
	uint8_t codec_count;
	uint8_t receive_types[CORE_MOST_CODECS]; /* payload type of codecs[i] in what arrives (the same unless the peer renumbered) */
	uint8_t dtmf_type, dtmf_receive_type;    /* telephone-event; 0: not agreed */
	bool flashes;                            /* the peer takes a hook flash as an event, too */
	uint8_t digits;                          /* CORE_DIGITS_…: the way of keys to it; tones are listened to as well */
	uint8_t dscp;                            /* of what we send, 1 to 63; 0: as media.dscp says */
	uint16_t ptime_ms;                       /* of what we send */
	struct core_crypto send_crypto, receive_crypto; /* suite CORE_SRTP_NONE: plain RTP, both or none of them */
	/* DTLS-SRTP instead of such keys; hash CORE_HASH_NONE: no. own_dtls.setup is ours: CORE_SETUP_ACTIVE or CORE_SETUP_PASSIVE. */
	struct core_dtls own_dtls, peer_dtls;
	struct core_ice_name own_ice; /* ufrag "": no ICE, the peer is where SDP says */
	struct core_ice peer_ice;
	bool ice_lite;        /* what we are */
	bool ice_controlling; /* RFC 8445 6.1.1, as offer and answer have it */
	bool renegotiated;    /* a new offer/answer: the source may be learned anew (rtp_relay card, media.nat) */
	/* .on: UDPTL arrives and leaves instead of RTP, as the peer takes it. translates: a peer with G.711 is talked to by a gateway; without, a peer
	 * with T.38 gets the datagrams as they are, and one with audio nothing. */
	struct core_t38 t38;
	bool translates;
	/* What may arrive, first is what we send; payload types as the peer numbers them for sending to it. Last, so that a copy can be as long as it. */
	struct core_codec codecs[CORE_MOST_CODECS];
};

/* The peer's own judgement: VoIP metrics of RTCP XR (RFC 3611 4.7), scaled as there. */
struct core_voip {
	bool told;
	uint8_t lost_256, discarded_256, burst_density_256, gap_density_256; /* shares in 1/256 */
	uint16_t burst_ms, gap_ms, round_trip_ms, end_delay_ms;
	uint8_t r, mos_lq_tenths, mos_cq_tenths; /* 127: not known */
	uint16_t buffer_ms;                      /* nominal */
};

/* Why a stream cannot go on. */
#define CORE_MEDIA_ICE_FAILED 1u   /* no way to the peer was found */
#define CORE_MEDIA_CONSENT_LOST 2u /* it does not answer any more (RFC 7675) */
#define CORE_MEDIA_DTLS_FAILED 3u  /* no handshake */
#define CORE_MEDIA_WRONG_PEER 4u   /* a handshake, with somebody whose certificate is not the one that SDP announced */

struct core_stream_stats {
	uint64_t packets_in, bytes_in, packets_out, bytes_out, lost, foreign, malformed, late;
	uint64_t forged;    /* SRTP packets that did not authenticate, or came twice */
	uint64_t unsent;    /* packets that a peer's connection had no room for: it reads too slowly, or the way is too narrow */
	uint64_t dropped;   /* datagrams that the kernel dropped because we were late to read them, RTCP among them */
	uint64_t by_kernel; /* of packets_in: relayed by the program in the kernel (media.kernel_relay) */
	bool in_kernel;     /* what arrives is relayed there now */
	uint8_t suite;      /* CORE_SRTP_… */
	uint32_t jitter_us, round_trip_us; /* RFC 3550; 0: not known */
	char codec[20];
	bool transcoded;                /* between it and the peer it has, or had last, samples are decoded and encoded anew */
	struct core_addr local, remote; /* remote.transport: by datagrams, or by a connection of the peer's */
	uint32_t worker, receive_ssrc, send_ssrc;
	uint64_t last_packet_at_ms;

	/* How it arrives: RFC 3611's bursts (4.7.2), of what has been judged; runs are of packets lost directly one behind the other. */
	uint64_t duplicates, discarded; /* discarded: by our jitter buffer, because they came too late */
	uint32_t buffer_us;             /* that it keeps back; 0: there is none, packets are relayed */
	uint32_t judged, judged_lost, runs, bursts, burst_lost, burst_packets;
	uint32_t clock_hz, ptime_ms; /* of the codec; ptime: of what we send */
	uint64_t reports_in, reports_out;

	/* Where it is decoded: sound made up for what did not come, and the jitter buffer's delay as it should be, and at most. */
	uint64_t concealed_ms;
	uint32_t buffer_target_us, most_buffer_us;

	bool tells_level;   /* the peer says how loud its packets are (RFC 6464) */
	int32_t level_dbov; /* the loudest of the last second in which some came */

	/* How what we send arrives, as the peer's reports say. reported_at_ms 0: it has said nothing yet. */
	uint64_t reported_at_ms, reported_packets; /* when, and how many we had sent by then */
	uint32_t peer_lost, peer_highest, peer_jitter_us;
	bool peer_deaf; /* it reports, and says that nothing of ours arrives */
	struct core_voip peer_voip;
};

#define CORE_TRANSCODE_AUTO 0u   /* only where two legs cannot agree */
#define CORE_TRANSCODE_NEVER 1u  /* a call whose legs cannot agree fails */
#define CORE_TRANSCODE_ALWAYS 2u /* each leg has what it likes best */

#define CORE_FAX_OFF 0u     /* no T.38 */
#define CORE_FAX_PASS 1u    /* where both legs take it */
#define CORE_FAX_GATEWAY 2u /* and to and from G.711 where one does not */

struct core_codec_policy {
	uint32_t transcode;
	bool prefers_own; /* in answers: our order, not the offer's */
	uint32_t t38;     /* CORE_FAX_…, for whom nobody says otherwise */
	bool hears_faxes; /* a gateway begins when a fax machine is heard, too */
};

/* What a stream plays to its peer. */
#define CORE_PLAY_FILE 1u /* prompts, one after the other without a gap, once */
#define CORE_PLAY_TONE 2u /* name (pbx_calls.tone), with the cadence of the country in settings */
#define CORE_PLAY_SOURCE 3u
#define CORE_PLAY_ECHO 4u
struct core_play {
	uint32_t kind;
	const char *text; /* TONE */
	pbx_source source;
	uint64_t tag;               /* comes back in on_play_done */
	const char *const *prompts; /* FILE: ids or absolute paths, at most PBX_MOST_SAID */
	uint32_t prompt_count;
	const char *language; /* of the prompts; "": the default's */
};

/* What is done to a FILE on its way. */
#define CORE_STEER_PAUSE 1u
#define CORE_STEER_RESUME 2u
#define CORE_STEER_SEEK 3u /* amount: ms, back when negative */
#define CORE_STEER_GAIN 4u /* amount: hundredths of a decibel */

/* A mix: streams that hear each other's sum. */
typedef struct core_mix {
	uint64_t id;
} core_mix;

struct core_mix_part {
	bool talks, hears;
	core_stream to; /* without talks: who hears it alone; none: nobody */
	int32_t talk_gain_cdb, hear_gain_cdb;
};

struct core_mix_voice {
	bool talking;
	int32_t level_cdbov;
};

/* Who changes what is said and heard at a stream: a plugin's filter, as long as today's. */
struct core_filter {
	struct pbx_audio_filter table;
	void *context;
	struct pbx_host *owner; /* is not unloaded before its states are closed */
};

#define CORE_ICE_OFF 0u
#define CORE_ICE_LITE 1u
#define CORE_ICE_FULL 2u

struct core_media_driver {
	/* Takes ports and a worker: streams of one group (a call) share a worker. ret_local: what SDP shall say. family AF_INET or AF_INET6: what
	 * the peer speaks. PBX_OK, PBX_ENOSPC (no ports or descriptors left), PBX_ENOMEM, PBX_EIO. */
	int (*open)(uint64_t group, int family, core_stream *ret_stream, struct core_addr *ret_local);
	int (*configure)(core_stream stream, const struct core_stream_config *config);
	/* From here on what one sends the other hears: packet by packet when the codec agrees, transcoded when not. On another worker, b moves to a's.
	 * Playing on either side goes on and wins over the relay until it ends or is stopped. */
	int (*connect)(core_stream a, core_stream b); /* they leave the mix they are in */
	int (*disconnect)(core_stream stream);        /* both sides of its connection */
	/* Plays towards the peer; what played before is replaced without a gap (its on_play_done says STOPPED). */
	int (*play)(core_stream stream, const struct core_play *play);
	int (*stop)(core_stream stream);
	/* Digits as RFC 4733 events, or as tones where those are the way; CORE_FLASH alone, as an event. PBX_ENOTSUP: not this way. */
	int (*send_digits)(core_stream stream, const char *digits, uint32_t each_ms, uint32_t gap_ms);
	/* A held stream has its own time-out (media.hold_timeout_s). */
	int (*set_held)(core_stream stream, bool held);
	/* As of the last tick (at most 100 ms ago). PBX_OK, PBX_ENOENT. */
	int (*stats)(core_stream stream, struct core_stream_stats *ret_stats);
	/* As pbx_quality.estimate, with structures of today's size. */
	void (*estimate)(const struct pbx_way_figures *figures, struct pbx_way_score *ret_score);
	int (*close)(core_stream stream); /* ports go into quarantine. A stale stream: PBX_ENOENT */
	/* Codecs that we offer, best first, static payload types filled in; telephone-event last. */
	uint8_t (*codecs)(struct core_codec *ret_codecs, uint8_t size);
	/* Suites of SRTP, best first, and what a leg does about them unless its account or peer says otherwise: "off", "optional", "required". */
	uint8_t (*suites)(uint8_t *ret_suites, uint8_t size, const char **ret_policy);
	/* What our certificate looks like, for SDP; false: no DTLS here. An offer that has gone out stays good over a renewal. */
	bool (*fingerprint)(struct core_dtls *ret_dtls);
	/* What we are in ICE: CORE_ICE_OFF, _LITE or _FULL, and where a stream may be reached. */
	uint32_t (*ice)(core_stream stream, struct core_ice *ret_ice);
	/* As pbx/media.h, with specs of today's size; owner is charged. */
	int (*source_open)(struct pbx_host *owner, const struct pbx_source_spec *spec, pbx_source *ret_source);
	int (*source_update)(pbx_source source, const struct pbx_source_spec *spec);
	int (*source_close)(pbx_source source);
	int (*source_listeners)(pbx_source source, uint32_t *ret_listeners);
	int (*source_state)(pbx_source source, struct pbx_source_state *ret_state); /* all of it */
	int (*probe)(struct pbx_host *host, const char *path, void (*done)(void *self, int result, const struct pbx_file_info *info),
		     void *self);
	/* Codecs that we take when they are offered, as above: all it can decode and encode. NULL: those of codecs. */
	uint8_t (*codecs_taken)(struct core_codec *ret_codecs, uint8_t size);
	/* Our parameters in answer to an offered codec. PBX_OK, PBX_ENOENT (none of ours), PBX_ENOTSUP (not with its parameters). NULL: any
	 * are agreeable. */
	int (*codec_answer)(const struct core_codec *offered, char *ret_fmtp, uint32_t size);
	/* What the settings say about agreeing on codecs. NULL: CORE_TRANSCODE_AUTO, the offer's order. */
	void (*codec_policy)(struct core_codec_policy *ret_policy);

	/* ---- mixing; NULL where it cannot be done ---- */

	/* An empty mix on the worker of a group. gated: who does not speak is not heard. PBX_OK, PBX_ENOMEM. */
	int (*mix_open)(uint64_t group, bool gated, core_mix *ret_mix);
	int (*mix_close)(core_mix mix); /* who is in it hears nothing */
	/* Comes in, or has another part there. It leaves its connection or another mix; on another worker, it moves. What it plays goes on and
	 * wins. PBX_OK, PBX_ENOENT, PBX_ENOMEM. */
	int (*mix_enter)(core_mix mix, core_stream stream, const struct core_mix_part *part);
	int (*mix_leave)(core_stream stream); /* PBX_OK also when it is in none */
	/* Everybody hears it (FILE, TONE); core_media_on_mix_played with its tag. */
	int (*mix_play)(core_mix mix, const struct core_play *play);
	int (*mix_stop)(core_mix mix);
	int (*mix_voice)(core_stream stream, struct core_mix_voice *ret_voice); /* PBX_ENOENT: it is in none */

	/* ---- filters ---- */

	/* From here on what the stream's party says and hears goes through it; NULL: through none. Copied. PBX_OK, PBX_ENOENT, PBX_ENOMEM. NULL where
	 * media cannot. */
	int (*set_filter)(core_stream stream, const struct core_filter *filter);
	/* As pbx/recorder.h, with specs of today's size and states as they come; leg is for its state alone. PBX_EINVAL, PBX_ENOTSUP, PBX_ENOMEM,
	 * PBX_ENOENT. */
	int (*record)(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_record_spec *spec,
		      const struct pbx_record_watcher *watcher, void *self, pbx_recording *ret_recording);
	int (*record_pause)(pbx_recording recording, uint32_t how);
	int (*record_resume)(pbx_recording recording);
	int (*record_stop)(pbx_recording recording);
	int (*record_state)(pbx_recording recording, struct pbx_record_state *ret_state); /* all of it */
	int (*record_adopt)(struct pbx_host *owner, pbx_recording recording, const struct pbx_record_watcher *watcher, void *self);
	int (*record_recover)(struct pbx_host *host, const char *path, void (*done)(void *self, const struct pbx_record_result *result),
			      void *self);
	/* The stream's party has typed a key, however it came. */
	void (*record_key)(core_stream stream, char key);
	/* What the party says from now on is silence in recordings of the stream, those that begin meanwhile included, and left out of its forks; off:
	 * from a second later on it is heard again, for a key that is held may still sound. PBX_OK, PBX_ENOENT, PBX_ENOMEM. */
	int (*record_mask)(core_stream stream, bool on);
	/* What streams' sockets are bound to: an address of ours, or 0.0.0.0 or :: for all of them. True: what open() says is another's, in front of a NAT. NULL:
	 * what open() says is for everybody. */
	bool (*bound)(int family, struct core_addr *ret_bound);
	/* Our address as those outside see it, where a STUN server tells it; without a port. NULL, false: nobody does. */
	bool (*outside)(int family, struct core_addr *ret_address);
	/* Whether call control wants to hear of keys that come as tones; it does at the beginning. Off: they are listened for only where they must be
	 * turned into something else on their way. NULL: they always are. PBX_OK, PBX_ENOENT, PBX_ENOMEM. */
	int (*heed_keys)(core_stream stream, bool on);

	/* ---- listening and speaking beside a call; NULL where media cannot ---- */

	/* As pbx/tap.h and pbx/inject.h, with specs and watchers of today's size and sense, and states as they come; leg is for its state alone. */
	int (*tap_open)(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_tap_spec *spec,
			const struct pbx_tap_watcher *watcher, void *self, pbx_tap *ret_tap);
	int (*tap_close)(pbx_tap tap);
	int (*tap_reader)(pbx_tap tap, struct pbx_tap_reader **ret_reader);
	int (*tap_state)(pbx_tap tap, struct pbx_tap_state *ret_state);
	int (*inject_open)(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_inject_spec *spec,
			   const struct pbx_inject_watcher *watcher, void *self, pbx_injection *ret_injection);
	int (*inject_close)(pbx_injection injection);
	int (*inject_writer)(pbx_injection injection, struct pbx_inject_writer **ret_writer);
	int (*inject_state)(pbx_injection injection, struct pbx_inject_state *ret_state);
	/* As pbx/detect.h, with specs and watchers of today's size. */
	int (*detect_start)(struct pbx_host *owner, core_stream stream, const struct pbx_detect_spec *spec,
			    const struct pbx_detect_watcher *watcher, void *self, pbx_detection *ret_detection);
	int (*detect_stop)(pbx_detection detection);
	/* As pbx/fork.h, with specs, targets and watchers of today's size, and states as they come; leg is for its state alone. */
	int (*fork_open)(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_fork_spec *spec,
			 const struct pbx_fork_watcher *watcher, void *self, pbx_fork *ret_fork);
	int (*fork_local)(pbx_fork fork, struct pbx_fork_local *ret_local); /* all of it but size */
	int (*fork_aim)(pbx_fork fork, const struct pbx_fork_target *target);
	int (*fork_state)(pbx_fork fork, struct pbx_fork_state *ret_state); /* all of it but size */
	int (*fork_adopt)(struct pbx_host *owner, pbx_fork fork, const struct pbx_fork_watcher *watcher, void *self);
	int (*fork_close)(pbx_fork fork);

	/* ---- fax; NULL where media cannot ---- */

	/* As pbx/fax.h, with specs of today's size; owner is charged. PBX_EINVAL, PBX_ENOENT, PBX_ESTATE, PBX_ENOTSUP, PBX_ENOMEM, PBX_EIO. */
	int (*fax_begin)(struct pbx_host *owner, core_stream stream, const struct pbx_fax_spec *spec, const struct pbx_fax_watcher *watcher,
			 void *self, pbx_fax *ret_fax);
	int (*fax_stop)(pbx_fax fax);
	int (*fax_pages)(pbx_fax fax, uint32_t *ret_pages);
	bool (*fax_ends_at)(core_stream stream); /* it sends or receives a fax of ours */

	/* ---- what plays, on its way; NULL where media cannot ---- */

	/* The FILE with that tag, heard or still being read. PBX_OK, PBX_ENOENT, PBX_ESTATE (it is over, or no FILE), PBX_ENOMEM. */
	int (*steer)(core_stream stream, uint64_t tag, uint32_t how, int32_t amount);
	int (*played_so_far)(core_stream stream, uint64_t tag, struct pbx_media_state *ret_state); /* all of it but size */

	/* Descriptions of the stream have this name from now on. A peer that connects (CORE_BY_TCP) may come by it before its own description does. PBX_OK,
	 * PBX_ENOENT, PBX_ENOMEM. NULL: nobody connects. */
	int (*ice_named)(core_stream stream, const struct core_ice_name *name);
};

void core_media_set_driver(const struct core_media_driver *driver);

/* From the workers, on the loop. Stale streams are ignored. */
void core_media_on_play_done(core_stream stream, uint64_t tag, uint32_t how);                 /* PBX_MEDIA_FINISHED, STOPPED, FAILED */
void core_media_on_digit(core_stream stream, char digit, uint32_t duration_ms, uint32_t way); /* CORE_DIGITS_EVENTS, _TONES */
void core_media_on_key_down(core_stream stream, char digit, uint32_t way);                    /* on_digit follows at its end */
void core_media_on_silence(core_stream stream, uint32_t for_ms);                              /* media.timeout_s without a packet */
void core_media_on_first_packet(core_stream stream);
void core_media_on_mix_speaker(core_stream stream);
void core_media_on_mix_talking(core_stream stream, bool on);
void core_media_on_mix_played(core_mix mix, uint64_t tag, uint32_t how);
/* An encoder (else a decoder) does nothing but fail; something else stands in its place as far as there is something. Told as long as it lasts. */
void core_media_on_codec_failed(core_stream stream, const struct core_codec *codec, bool encodes);
void core_media_on_failed(core_stream stream, uint32_t why);                           /* CORE_MEDIA_… */
void core_media_on_source_changed(core_stream stream, const struct core_addr *remote); /* NAT rebinding was followed */

/* Whose a stream is, for who shows it; texts are "" when its leg has just ended. Borrowed until the callback returns. */
struct core_media_owner {
	const char *leg_id, *call_id, *number;
};
void core_media_find_owner(core_stream stream, struct core_media_owner *ret_owner);
