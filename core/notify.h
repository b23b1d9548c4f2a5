/* core/notify.h - telling systemd how we are. [any] */
#pragma once
#include <stdint.h>

/* sd_notify with one line, "READY=1"; nothing happens when no service manager listens. */
void core_notify(const char *state);
/* How often the watchdog wants to hear from us; 0: never. */
uint64_t core_notify_watchdog_ms(void);
