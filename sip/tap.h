/* sip/tap.h - every message that Sofia reads or writes goes to the trace (core/trace.h). [loop]. */
#pragma once
#include "ua.h"

/* Whether this library calls us for its messages; told at the start. */
bool ua_tap_is_in_place(void);
/* A message was delivered: says once, as an error, when the trace has not seen any. */
void ua_tap_check(const struct ua *ua);
