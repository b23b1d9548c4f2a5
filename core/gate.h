/* core/gate.h - who may connect: between doors that are not for SIP (media by TCP) and whoever guards the border (pbx/border.h). All of it: [loop] */
#pragma once
#include "media_desc.h"

/* Signalling, which knows the guard. lets_in: whether somebody may be there, as transport ("tcp"). NULL: nobody is asked any more. */
void core_gate_set_guard(bool (*lets_in)(const struct core_addr *from, const char *transport));
/* True without a guard. */
bool core_gate_lets_in(const struct core_addr *from, const char *transport);

/* A door that is to ask again about all who are there, since the guard has changed its mind. One today; NULL: none. */
void core_gate_set_door(void (*review)(void));
void core_gate_review(void);
