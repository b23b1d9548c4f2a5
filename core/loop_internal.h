/* core/loop_internal.h - what loop.c, clock.c and work.c know of each other */
#pragma once
#include <stdbool.h>
#include <stdint.h>

int core_clock_init(bool is_virtual); /* starts the watchdog on a real clock. PBX_OK, PBX_EIO */
void core_clock_fini(void);
void core_clock_update(void);        /* a round begins */
void core_clock_waits(bool waiting); /* between rounds, when a waiter may call back at any time. [loop] */
bool core_clock_is_virtual(void);
void core_clock_set_ms(uint64_t now_ms);

uint32_t core_jobs(void); /* of all owners, in the pool or not told yet */
