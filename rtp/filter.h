/* rtp/filter.h - a plugin's filter at one stream (pbx/audio.h), with a state that is open
 *
 * Made on the loop, lives in its session, is used by the ear and the mouth of it, comes back to be freed: its plugin is not unloaded before. */
#pragma once
#include <core/media_driver.h>

struct rtp_filter {
	struct core_filter from;
	uint32_t rate_hz;
	void *state;
};

/* PBX_OK, or what the plugin answers. [loop] */
int rtp_filter_new(const struct core_filter *from, uint32_t rate_hz, struct rtp_filter **ret_filter);
void rtp_filter_free(struct rtp_filter *filter); /* NULL is fine. [loop] */

/* Whole pieces of 10 ms at that rate go through it. NULL: through none. [media] */
bool rtp_filter_takes(const struct rtp_filter *filter, uint32_t rate_hz);
void rtp_filter_said(struct rtp_filter *filter, int16_t *samples, uint32_t count);
void rtp_filter_heard(struct rtp_filter *filter, int16_t *samples, uint32_t count);
