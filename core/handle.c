/* core/handle.c - generation-checked names
 *
 * An id is generation (32 bits), kind (8), place (24). A place is used again after it was freed, with the next generation, so
 * that old ids do not fit any more; after the last generation it is never used again. */
#include "handle.h"
#include <assert.h>
#include <stdlib.h>

#define MOST_PLACES (1u << 24)
#define NO_PLACE UINT32_MAX
#define FIRST_SIZE 16u

struct core_handle_slot {
	void *thing; /* NULL: free, or retired */
	uint32_t generation;
	uint32_t next_free;
};

void core_handles_init(struct core_handles *handles, uint8_t kind)
{
	*handles = (struct core_handles){ .kind = kind, .free_head = NO_PLACE };
}

void core_handles_fini(struct core_handles *handles)
{
	free(handles->slots);
	core_handles_init(handles, handles->kind);
}

/* Doubles the table and threads the new places onto the free list, lowest first. */
static bool grow(struct core_handles *handles)
{
	uint32_t size = handles->size ? handles->size * 2 : FIRST_SIZE;

	if (size > MOST_PLACES)
		return false;
	struct core_handle_slot *slots = realloc(handles->slots, size * sizeof *slots);
	if (!slots)
		return false;

	for (uint32_t place = size; place-- > handles->size;) {
		slots[place] = (struct core_handle_slot){ .generation = 1, .next_free = handles->free_head };
		handles->free_head = place;
	}
	handles->slots = slots;
	handles->size = size;
	return true;
}

uint64_t core_handle_new(struct core_handles *handles, void *thing)
{
	assert(thing);

	if (handles->free_head == NO_PLACE && !grow(handles))
		return 0;
	uint32_t place = handles->free_head;
	struct core_handle_slot *slot = &handles->slots[place];

	handles->free_head = slot->next_free;
	handles->used++;
	slot->thing = thing;
	return (uint64_t)slot->generation << 32 | (uint64_t)handles->kind << 24 | place;
}

static struct core_handle_slot *find_slot(const struct core_handles *handles, uint64_t id)
{
	uint32_t place = (uint32_t)id & (MOST_PLACES - 1);

	if (place >= handles->size || (uint8_t)(id >> 24) != handles->kind)
		return NULL;
	struct core_handle_slot *slot = &handles->slots[place];
	return slot->thing && slot->generation == (uint32_t)(id >> 32) ? slot : NULL;
}

void *core_handle_find(const struct core_handles *handles, uint64_t id)
{
	const struct core_handle_slot *slot = find_slot(handles, id);

	return slot ? slot->thing : NULL;
}

void core_handle_free(struct core_handles *handles, uint64_t id)
{
	struct core_handle_slot *slot = find_slot(handles, id);

	if (!slot)
		return;
	slot->thing = NULL;
	handles->used--;
	if (slot->generation == UINT32_MAX)
		return;
	slot->generation++;
	slot->next_free = handles->free_head;
	handles->free_head = (uint32_t)id & (MOST_PLACES - 1);
}

uint32_t core_handles_count(const struct core_handles *handles)
{
	return handles->used;
}

void *core_handles_next(const struct core_handles *handles, uint32_t *at)
{
	while (*at < handles->size) {
		void *thing = handles->slots[(*at)++].thing;

		if (thing)
			return thing;
	}
	return NULL;
}
