/* rtp/tapping.h - taps of plugins (pbx/tap.h) on streams. All of it: [loop]. */
#pragma once
#include <core/media_driver.h>

void rtp_tapping_init(void);

/* Of the driver. */
int rtp_tapping_open(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_tap_spec *spec,
		     const struct pbx_tap_watcher *watcher, void *self, pbx_tap *ret_tap);
int rtp_tapping_close(pbx_tap tap);
int rtp_tapping_reader(pbx_tap tap, struct pbx_tap_reader **ret_reader);
int rtp_tapping_state(pbx_tap tap, struct pbx_tap_state *ret_state);
