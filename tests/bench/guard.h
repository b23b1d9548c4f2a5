/* tests/bench/guard.h - what SRTP costs: packets of 20 ms of G.711, sealed and opened again */
#pragma once

/* Prints the CPU time of sealing one and of opening one, for each suite. Exits when that fails. */
void guard_measure(void);
