/* pbx/inject.h - a voice that a plugin makes, heard by one party
 * Served by the core as "pbx.inject/1".
 *
 * For voice bots, whispered hints, beeps over a conversation. The plugin writes samples at its own rate into a ring, from whatever thread it
 * makes them on; the media worker takes them by the leg's clock, a packet at a time, and says them in the leg's codec, instead of
 * what the party would hear or over it. Nobody else hears them. What is not there in time is silence, and counted. While an injection is
 * open the leg is decoded and encoded, not relayed. One a leg.
 *
 *	const struct pbx_inject_spec spec = { .size = sizeof spec, .how = PBX_INJECT_ALONE, .rate_hz = 16000 };
 *	err = bot->injections->open(bot->host, leg, &spec, &watcher, bot, &bot->injection);
 *	if (err == PBX_OK)
 *		err = bot->injections->writer(bot->injection, &bot->writer);
 *	…
 *	written += bot->injections->write(bot->writer, samples + written, count - written);    the rest when there is room again
 *	bot->injections->flush(bot->writer);                                                   the caller has begun to speak */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbx_injection {
	uint64_t id;
} pbx_injection;
struct pbx_inject_writer; /* the ring, seen by who fills it */

#define PBX_INJECT_ALONE 1u /* the party hears this and nothing else, silence in between */
#define PBX_INJECT_OVER 2u  /* mixed into what it hears, which is under_gain_cdb softer meanwhile */

/* Copied. */
struct pbx_inject_spec {
	uint32_t size;
	uint32_t how;           /* PBX_INJECT_… */
	uint32_t rate_hz;       /* 8000, 16000, 24000, 32000 or 48000; 0: 8000 */
	uint32_t room_ms;       /* of the ring, 100 to 60000; 0: 5000 */
	int32_t gain_cdb;       /* of what is written, hundredths of a decibel, -6000 to 2000 */
	int32_t under_gain_cdb; /* OVER: of all else while it sounds, -6000 to 0 */
};

struct pbx_inject_watcher {
	uint32_t size;
	/* All that was written has been said (or flushed): each time the ring has run dry. NULL: nobody asks. [loop] */
	void (*drained)(void *self, pbx_injection injection);
	/* The leg has ended: the injection is there until close(), and nobody hears it. NULL: nobody asks. [loop] */
	void (*ended)(void *self, pbx_injection injection);
};

struct pbx_inject_state {
	uint32_t size;
	bool ended;
	uint64_t leg;        /* pbx_leg.id */
	uint32_t waiting_ms; /* in the ring */
	uint64_t said_ms;
	uint64_t silent_ms;  /* since it first spoke: there was nothing to say */
	uint64_t flushed_ms; /* written, and never said */
	uint32_t drained;    /* how often it ran dry */
};

struct pbx_injections {
	struct pbx_header header;

	/* From now on. The leg has media already. Charged to the host, which is not unloaded while it lasts; closed with it. PBX_OK,
	 * PBX_EINVAL (spec), PBX_ENOENT (leg has ended), PBX_ESTATE (it has no media), PBX_EBUSY (another one is there), PBX_ENOTSUP (this media cannot),
	 * PBX_ENOMEM. [loop] */
	int (*open)(struct pbx_host *host, pbx_leg leg, const struct pbx_inject_spec *spec, const struct pbx_inject_watcher *watcher,
		    void *self, pbx_injection *ret_injection);
	/* What waits is not said any more; the party hears what it would have heard without. No thread may write any more. PBX_OK, PBX_ENOENT. [loop] */
	int (*close)(pbx_injection injection);
	/* Good until close(). PBX_OK, PBX_ENOENT. [loop] */
	int (*writer)(pbx_injection injection, struct pbx_inject_writer **ret_writer);
	/* ret_state->size says how much of it you know. PBX_OK, PBX_ENOENT. [loop] */
	int (*state)(pbx_injection injection, struct pbx_inject_state *ret_state);

	/* Samples that found room, of `count`. Locks nothing, waits for nothing. One thread at a time. [any] */
	uint32_t (*write)(struct pbx_inject_writer *writer, const int16_t *samples, uint32_t count);
	/* What was written until now is not said any more, from the next packet on. The thread that writes. [any] */
	void (*flush)(struct pbx_inject_writer *writer);
	/* 1.1 and later append here. */
};

PBX_SERVICE(pbx_injections, "pbx.inject/1")

#ifdef __cplusplus
}
#endif
