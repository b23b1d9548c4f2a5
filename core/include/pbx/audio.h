/* pbx/audio.h - what a party says and hears, changed on its way
 * Served by the core as "pbx.audio/1".
 *
 * A filter stands at one leg: all that its party says goes through it before anybody hears it (the other party, a conference, a recording),
 * and all that the party is to hear goes through it last. A leg with a filter is decoded and encoded, not relayed. One filter a leg. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Copied. context is what attach was given. */
struct pbx_audio_filter {
	uint32_t size;
	/* A state for samples at rate_hz (8000 to 48000): called when the leg's sound begins to be looked at, and again with another codec; then
	 * two are open for a moment. PBX_OK, PBX_ENOMEM. [loop] */
	int (*open)(void *context, uint32_t rate_hz, void **ret_state);
	/* No thread uses it any more. Also called while our plugin is being stopped, before unload(). [loop] */
	void (*close)(void *state);
	/* In place; count is a whole number of 10 ms, at most 120. Allocates nothing, locks nothing, waits for nothing. Either may be NULL. [media] */
	void (*said)(void *state, int16_t *samples, uint32_t count);
	void (*heard)(void *state, int16_t *samples, uint32_t count);
	/* It was detached, replaced by another one, or the leg has ended: nothing is opened any more, what is open is closed soon. Not called when our
	 * plugin is being stopped. NULL: nobody asks. [loop] */
	void (*gone)(void *context);
};

struct pbx_audio {
	struct pbx_header header;

	/* Puts a filter at a leg whose media is up; one that stands there already makes room. With the context that stands there, its states
	 * are opened anew. Charged to the caller. PBX_OK, PBX_EINVAL (no open or close), PBX_ENOENT (leg has ended), PBX_ESTATE (no media yet),
	 * PBX_ENOTSUP (this media cannot), PBX_ENOMEM. [loop] */
	int (*attach)(struct pbx_host *host, pbx_leg leg, const struct pbx_audio_filter *filter, void *context);
	/* PBX_OK, PBX_ENOENT (leg has ended, or no filter of ours stands there). [loop] */
	int (*detach)(struct pbx_host *host, pbx_leg leg);
	/* 1.1 and later append here. */
};

PBX_SERVICE(pbx_audio, "pbx.audio/1")

#ifdef __cplusplus
}
#endif
