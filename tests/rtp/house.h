/* tests/rtp/house.h - a house of network namespaces: the PBX in the hall, a phone in each of two rooms, wires (veth) between
 *
 * For what the loopback cannot show. A socket stays where it was made, so one process has them all. */
#pragma once
#include "rig.h"

/* Moves the calling thread, and those it starts from now on, into a new hall with both wires up. False, and why is printed: not permitted here. */
bool house_build(void);
/* Sockets of a phone in room 0 or 1, with addresses of that family; it knows where the PBX is on its wire. */
void house_phone(struct phone *phone, int room, int family);
/* Opens a stream for it, as phone_call does. */
void house_call(struct phone *phone, int room, const char *codecs);
/* Octets of what a shell command says in the hall, without the last newline. */
void house_ask(char *ret_text, size_t size, const char *command);
