/* core/timer.h - timers on the loop's clock, real or virtual; serves "pbx.timers/1". All of it: [loop]. */
#pragma once
#include <pbx/timers.h>

int core_timer_start(struct pbx_host *owner, uint64_t after_ms, uint64_t repeat_ms, pbx_timer_fn fn, void *self, pbx_timer *ret_timer);
int core_timer_stop(pbx_timer timer); /* PBX_OK, PBX_ENOENT. {0} is fine */
uint64_t core_timer_next_ms(void);    /* when the earliest fires, UINT64_MAX: none; for the loop */
void core_timer_fire(uint64_t now_ms);
uint32_t core_timer_count(void); /* tests: nothing may be left */
void core_timers_drop(void);     /* the loop's end: no timer is left, the table goes */

extern const struct pbx_timers core_timers_service;
