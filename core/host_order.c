/* core/host_order.c - who comes first: each plugin after those that offer what it needs
 *
 * An optional need orders too, but never refuses: it is given up when a circle can be opened by that. Within those rules the order is that of the
 * names, so that two starts are alike. */
#include "host_internal.h"
#include <stdlib.h>
#include <string.h>

#define MOST_CIRCLE 16u

struct field {
	struct core_instance **instances;
	uint32_t count, placed; /* [0, placed) are in order */
	bool heeds_optional;
};

static bool provides(const struct core_instance *instance, const char *id)
{
	return strchr(id, '/') ? core_card_offers(&instance->card, id) : !strcmp(instance->card.name, id);
}

/* One not yet placed that provides what the need names. */
static const struct core_instance *waits_for(const struct field *field, const struct core_instance *instance, const char *need)
{
	char id[96];
	bool optional;

	if (!core_need_parse(need, id, sizeof id, &optional) || (optional && !field->heeds_optional))
		return NULL;
	for (uint32_t i = field->placed; i < field->count; i++)
		if (field->instances[i] != instance && provides(field->instances[i], id))
			return field->instances[i];
	return NULL;
}

static const struct core_instance *waits(const struct field *field, const struct core_instance *instance)
{
	for (const char *const *need = instance->card.needs; need && *need; need++) {
		const struct core_instance *other = waits_for(field, instance, *need);

		if (other)
			return other;
	}
	return NULL;
}

/* Moves index to the end of what is placed, keeping the others' order. */
static void place(struct field *field, uint32_t index)
{
	struct core_instance *instance = field->instances[index];

	memmove(&field->instances[field->placed + 1], &field->instances[field->placed], (index - field->placed) * sizeof *field->instances);
	field->instances[field->placed++] = instance;
}

static bool place_next(struct field *field)
{
	for (uint32_t i = field->placed; i < field->count; i++) {
		if (!waits(field, field->instances[i])) {
			place(field, i);
			return true;
		}
	}
	return false;
}

/* "b needs c, c needs b": from who waits along whom it waits for, until one comes again. */
static void describe_circle(const struct field *field, const struct core_instance *from, char *ret_text, size_t size)
{
	const struct core_instance *at = from;
	size_t used = 0;

	/* Walk as often as there are others: then we are inside a circle, not on the way to it. */
	for (uint32_t i = field->placed; i < field->count; i++)
		at = waits(field, at);
	const struct core_instance *first = at;
	for (uint32_t i = 0; i < MOST_CIRCLE && used < size; i++) {
		const struct core_instance *next = waits(field, at);
		int written = snprintf(ret_text + used, size - used, "%s%s needs %s", i ? ", " : "", at->card.name, next->card.name);

		used += written > 0 ? (size_t)written : 0;
		at = next;
		if (at == first)
			break;
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct core_instance *const *)a)->card.name, (*(struct core_instance *const *)b)->card.name);
}

void core_order(struct core_instance **instances, uint32_t count, uint32_t *ret_ready, struct core_refusal *refused)
{
	struct field field = { .instances = instances, .count = count };
	char circle[320];

	qsort((void *)instances, count, sizeof *instances, by_name);
	while (field.placed < count) {
		field.heeds_optional = true;
		if (place_next(&field))
			continue;
		field.heeds_optional = false; /* one that only misses what it can do without goes first */
		if (!place_next(&field))
			break;
	}
	*ret_ready = field.placed;
	for (uint32_t i = field.placed; i < count; i++) {
		describe_circle(&field, instances[i], circle, sizeof circle);
		core_refuse(&refused[i], PBX_EINVAL, "remove one of them, or have a need made optional", "they need each other: %s",
			    circle);
	}
}
