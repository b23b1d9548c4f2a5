/* core/handle.h - generation-checked names for things that may be gone
 *
 * A table maps a 64-bit id (32 bits generation, 8 bits kind, 24 bits place) to a pointer. An id never names another thing later:
 * a place that runs out of generations is retired. Not thread-safe: a table belongs to one thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct core_handles {
	struct core_handle_slot *slots;
	uint32_t size, used, free_head;
	uint8_t kind;
};

void core_handles_init(struct core_handles *handles, uint8_t kind); /* kinds: a letter, 'L' leg, 'T' timer… */
void core_handles_fini(struct core_handles *handles);
uint64_t core_handle_new(struct core_handles *handles, void *thing);     /* 0: no memory, or 16M in use */
void *core_handle_find(const struct core_handles *handles, uint64_t id); /* NULL: stale, foreign or none */
void core_handle_free(struct core_handles *handles, uint64_t id);        /* a stale id is fine */
uint32_t core_handles_count(const struct core_handles *handles);
/* Walks what is there; start with *at = 0. NULL at the end. Freeing while walking is fine. */
void *core_handles_next(const struct core_handles *handles, uint32_t *at);
