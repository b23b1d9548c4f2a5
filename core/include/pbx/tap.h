/* pbx/tap.h - what a leg says and hears, as samples, for somebody who listens beside the call
 * Served by the core as "pbx.tap/1".
 *
 * For transcription, voice bots, analysis. A tap belongs to a leg and lasts as long as that does: hold, transfer, parking, another codec or a
 * conference change nothing about it. The media worker copies packets and does nothing else, so a relayed call stays a relayed call; a thread
 * of the core decodes them, puts each where it belongs in time (silence where nothing came) and fills a ring with blocks. They are there
 * late_ms and some 20 ms after they were said. Who reads too slowly loses whole blocks, which are counted and show as a gap in their times; the call
 * never waits.
 *
 * On the loop: open a tap with a watcher, and take blocks with read() until PBX_ELATER whenever ready() is called. On a thread of one's own:
 * without ready(), fetch the reader once, give it to the thread, and have that read() and wait() in turn; the thread must have let go of the
 * reader before close(), so also in the plugin's stop().
 *
 *	static void on_ready(void *self, pbx_tap tap)
 *	{
 *		struct bot *bot = self;
 *		int16_t block[320];
 *		uint64_t at_us;
 *
 *		while (bot->taps->read(bot->reader, block, &at_us) == PBX_OK)
 *			listen_to(bot, block, 320);
 *	}
 *	const struct pbx_tap_spec spec = { .size = sizeof spec, .what = PBX_TAP_SAYS, .rate_hz = 16000, .block_ms = 20 };
 *	const struct pbx_tap_watcher watcher = { .size = sizeof watcher, .ready = on_ready };
 *	err = bot->taps->open(bot->host, leg, &spec, &watcher, bot, &bot->tap);
 *	if (err == PBX_OK)
 *		err = bot->taps->reader(bot->tap, &bot->reader); */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbx_tap {
	uint64_t id;
} pbx_tap;
struct pbx_tap_reader; /* the tap's ring, seen by who reads it */

#define PBX_TAP_SAYS 1u  /* the party. One channel */
#define PBX_TAP_HEARS 2u /* what is sent to it, whoever speaks: another party, prompts, an injected voice. One channel */
#define PBX_TAP_MIXED 3u /* both in one channel */
#define PBX_TAP_APART 4u /* both: samples of two channels in turn, what it says first */

/* Copied. */
struct pbx_tap_spec {
	uint32_t size;
	uint32_t what;     /* PBX_TAP_… */
	uint32_t rate_hz;  /* 8000 to 48000, a whole number of kHz, whatever the leg's codec is; 0: 8000 */
	uint32_t block_ms; /* 10 to 200; 0: 20. A block is rate_hz / 1000 * block_ms samples of each channel */
	uint32_t room_ms;  /* of the ring, block_ms to 20000; 0: 2000 */
	uint32_t late_ms;  /* how late a packet may be and still find its place, and so how old a block is: 20 to 500; 0: 80 */
	bool music;        /* HEARS: shared sources (music while it is held) as well; without: silence there */
};

struct pbx_tap_watcher {
	uint32_t size;
	/* There is a block, or there are some; called again when more have come after that. NULL: a thread reads. [loop] */
	void (*ready)(void *self, pbx_tap tap);
	/* The leg has ended, or the plugin of its codec was taken away: what is in the ring is the last. The tap is there until close(). [loop] */
	void (*ended)(void *self, pbx_tap tap);
};

struct pbx_tap_state {
	uint32_t size;
	bool ended;
	uint64_t leg;        /* pbx_leg.id */
	uint32_t waiting_ms; /* in the ring */
	uint64_t made_ms;    /* since it began, dropped ones too */
	uint64_t dropped_ms; /* found no room in the ring: the reader was late */
	uint64_t lost;       /* packets that our own thread was too late for */
};

struct pbx_taps {
	struct pbx_header header;

	/* Begins now. The leg has media already (it was answered, or given progress). Any number at a time. Charged to the host, which is not unloaded
	 * while it lasts; closed with it. PBX_OK, PBX_EINVAL (spec), PBX_ENOENT (leg has ended), PBX_ESTATE (it has no media), PBX_ENOTSUP (this
	 * media cannot), PBX_ENOMEM. [loop] */
	int (*open)(struct pbx_host *host, pbx_leg leg, const struct pbx_tap_spec *spec, const struct pbx_tap_watcher *watcher, void *self,
		    pbx_tap *ret_tap);
	/* Neither ready nor ended is called any more, and the reader is gone. PBX_OK, PBX_ENOENT. [loop] */
	int (*close)(pbx_tap tap);
	/* Good until close(). PBX_OK, PBX_ENOENT. [loop] */
	int (*reader)(pbx_tap tap, struct pbx_tap_reader **ret_reader);
	/* ret_state->size says how much of it you know. PBX_OK, PBX_ENOENT. [loop] */
	int (*state)(pbx_tap tap, struct pbx_tap_state *ret_state);

	/* The oldest block; ret_at_us: when its first sample came, CLOCK_MONOTONIC. Locks nothing, waits for nothing. PBX_OK, PBX_ELATER (there is none
	 * yet), PBX_ENOENT (it has ended and that was all). One thread at a time. [any] */
	int (*read)(struct pbx_tap_reader *reader, int16_t *ret_samples, uint64_t *ret_at_us);
	/* Until there is a block, at most so long. As read(). Not on the loop. [any] */
	int (*wait)(struct pbx_tap_reader *reader, uint32_t most_ms);
	/* 1.1 and later append here. */
};

PBX_SERVICE(pbx_taps, "pbx.tap/1")

#ifdef __cplusplus
}
#endif
