/* core/rest.h - plain values at rest: their zeros are not kept
 *
 * What a leg remembers of offers and answers has room for 24 codecs, for ICE and for keys, 4 KiB each; nearly every call has three codecs and nothing
 * else, some 150 octets. So such a value is worked with on the stack and laid to rest in between. Values are worth their octets: no pointers to what
 * they own. What is let go of is wiped, for there may be keys in it. [any], each rest in one thread at a time. */
#pragma once
#include <stddef.h>

struct core_rest; /* owned; NULL: all octets are zero */

/* Keeps the value (at most 8 KiB) in the place of what was kept. PBX_OK, PBX_ENOMEM (what was stays). A place never becomes smaller: what was
 * kept before can always be put back, and what replaces it seldom needs memory. */
int core_rest_keep(struct core_rest **rest, const void *value, size_t size);
/* size: as it was kept. */
void core_rest_read(const struct core_rest *rest, void *ret_value, size_t size);
void core_rest_drop(struct core_rest **rest); /* *rest is NULL then */
