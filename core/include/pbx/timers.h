/* pbx/timers.h - later
 * Served by the core as "pbx.timers/1". All of it: [loop]. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*pbx_timer_fn)(void *self, pbx_timer timer);

struct pbx_timers {
	struct pbx_header header;

	/* fn(self, timer) once after after_ms, then every repeat_ms (0: once). PBX_OK, PBX_ENOMEM. */
	int (*start)(struct pbx_host *host, uint64_t after_ms, uint64_t repeat_ms, pbx_timer_fn fn, void *self, pbx_timer *ret_timer);
	/* PBX_OK, PBX_ENOENT (it has fired or was stopped). */
	int (*stop)(pbx_timer timer);
};

PBX_SERVICE(pbx_timers, "pbx.timers/1")

#ifdef __cplusplus
}
#endif
