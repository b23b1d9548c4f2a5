/* pbx/fork.h - what a leg's party says or hears, sent on as RTP to somebody beside the call
 * Served by the core as "pbx.fork/1". All of it: [loop].
 *
 * For recorders and monitors elsewhere (RFC 7866). A fork belongs to a leg and lasts as long as that does: hold, transfer, parking, another codec
 * or a conference change nothing about it. The media worker sends each packet once more, as it was after SRTP was taken off and in the codec the
 * party uses, from a port of the fork's own and with an SSRC and a sequence of its own; nothing is decoded, so a relayed call stays a relayed call,
 * and the call never waits for whoever listens. What was lost or overtaken on its way to us is so in the fork, too.
 *
 * SAYS is what arrives from the party, whatever becomes of it here: also while nobody hears it (muted in a room, talking to a machine). Keys go along
 * as they come (telephone-event is among the codecs then, tones are in the sound). While a secret is asked for (PBX_COLLECT_SECRET), and a second
 * longer, nothing is sent, as recordings are silent then. A party that is held has, as a rule, nothing to say, and music on hold is not what it says:
 * a conversation is best told by SAYS of each of its legs.
 * HEARS is what is sent to the party, whoever speaks: another party, the sum of a room without its own voice, prompts, tones, an injected voice; and,
 * where .music says so, shared sources (music while it is held). For a member of a room, SAYS and HEARS of its leg are all there is to hear.
 *
 * Open it, write an SDP line from local(), and aim() it when the other side has answered. A fork is for one recorder: another one takes a fork of its
 * own, for it would know neither where an SRTP sequence has wrapped nor what came before.
 *
 *	const struct pbx_fork_spec spec = { .size = sizeof spec, .what = PBX_FORK_SAYS };
 *	struct pbx_fork_local local = { .size = sizeof local };
 *	err = source->forks->open(source->host, leg, &spec, &watcher, source, &source->fork);
 *	if (err == PBX_OK)
 *		err = source->forks->local(source->fork, &local);
 *	…
 *	const struct pbx_fork_target target = { .size = sizeof target, .address = "192.0.2.7", .rtp_port = 40000 };
 *	err = source->forks->aim(source->fork, &target); */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbx_fork {
	uint64_t id;
} pbx_fork;

#define PBX_FORK_SAYS 1u  /* the party */
#define PBX_FORK_HEARS 2u /* what is sent to it */

/* Copied. */
struct pbx_fork_spec {
	uint32_t size;
	uint32_t what;       /* PBX_FORK_… */
	uint32_t ip_version; /* of whom it will be sent to: 4 or 6; 0: as the leg's */
	uint32_t beep_s;     /* the party and who it talks to hear a beep (1400 Hz, 200 ms) each so many seconds; 0: none. G.711 only */
	/* Of its RTCP, at most 255 octets: the same for all that is heard of a person (RFC 7866 8.1); NULL or "": made up. */
	const char *cname;
	bool srtp;  /* with keys of its own, for a=crypto (RFC 4568) */
	bool music; /* HEARS: shared sources, too */
};

/* A row of a list. */
struct pbx_fork_codec {
	const char *name; /* "PCMU", "opus", "telephone-event" */
	const char *fmtp; /* value of a=fmtp without the payload type; "" none */
	uint32_t clock_hz, channels, payload_type;
	uint32_t zero; /* reserved */
};

/* What its SDP line says. Borrowed until the next local() or close() of the fork. */
struct pbx_fork_local {
	uint32_t size;
	uint32_t rtp_port, rtcp_port;
	uint32_t ptime_ms;   /* of the leg; 0: not known */
	const char *address; /* as media.external_ip, or bind, has it */
	const struct pbx_fork_codec *codecs;
	uint32_t codec_count; /* what may come now, in its numbers, most likely first; 0: nothing does (the leg has gone over to fax) */
	const char *crypto;   /* value of a=crypto, "1 AES_CM_128_HMAC_SHA1_80 inline:…"; NULL: none. A secret: not for logs */
};

struct pbx_fork_target {
	uint32_t size;
	uint32_t rtp_port, rtcp_port; /* rtcp_port 0: rtp_port + 1 */
	uint32_t dscp;                /* 1 to 63; 0: as media.dscp says */
	const char *address;          /* in digits, of the fork's ip_version */
};

struct pbx_fork_watcher {
	uint32_t size;
	/* Other codecs than local() told: what comes from now on is in those. NULL: nobody asks. [loop] */
	void (*changed)(void *self, pbx_fork fork);
	/* The leg has ended, nothing is sent any more. The fork is there until close(). NULL: nobody asks. [loop] */
	void (*ended)(void *self, pbx_fork fork);
};

struct pbx_fork_state {
	uint32_t size;
	uint32_t ssrc; /* of what it sends */
	bool ended, aimed;
	uint64_t leg;             /* pbx_leg.id */
	uint64_t packets, octets; /* sent; octets of payload */
	uint64_t failed;          /* that our own system would not send */
	uint64_t reports;         /* RTCP from where it is aimed. Counted and not believed: with SRTP, not even decrypted */
	uint64_t junk;            /* and what else came to its RTCP port: too short, no RTCP, from elsewhere */
};

struct pbx_forks {
	struct pbx_header header;

	/* Takes a pair of ports; sends nothing yet. The leg has media already (it was answered, or given progress). Any number at a time. Charged to the
	 * host, which is not unloaded while it lasts; closed with it. PBX_OK, PBX_EINVAL (spec), PBX_ENOENT (leg has ended), PBX_ESTATE (it has no media),
	 * PBX_ENOSPC (no ports), PBX_EIO (no socket), PBX_ENOTSUP (this media cannot), PBX_ENOMEM. */
	int (*open)(struct pbx_host *host, pbx_leg leg, const struct pbx_fork_spec *spec, const struct pbx_fork_watcher *watcher,
		    void *self, pbx_fork *ret_fork);
	/* ret_local->size says how much of it you know. PBX_OK, PBX_ENOENT (also: it has ended). */
	int (*local)(pbx_fork fork, struct pbx_fork_local *ret_local);
	/* Where to, from now on; NULL: nothing is sent, no report either, until it is aimed again (a pause), and then its sequence goes on where it was.
	 * PBX_OK, PBX_EINVAL (target), PBX_ENOENT (also: it has ended), PBX_ENOMEM. */
	int (*aim)(pbx_fork fork, const struct pbx_fork_target *target);
	/* ret_state->size says how much of it you know. PBX_OK, PBX_ENOENT. */
	int (*state)(pbx_fork fork, struct pbx_fork_state *ret_state);
	/* Another instance goes on with it: charge and watcher are its own from now on (an upgrade). What `changed` or `ended` would have told before,
	 * local() and state() tell. PBX_OK, PBX_ENOENT. */
	int (*adopt)(struct pbx_host *host, pbx_fork fork, const struct pbx_fork_watcher *watcher, void *self);
	/* Says goodbye by RTCP. The watcher is not called any more. PBX_OK, PBX_ENOENT. */
	int (*close)(pbx_fork fork);
	/* 1.1 and later append here. */
};

PBX_SERVICE(pbx_forks, "pbx.fork/1")

#ifdef __cplusplus
}
#endif
