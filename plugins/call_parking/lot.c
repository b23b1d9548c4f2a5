/*
 * lot - which slots there are, and which is the next free one
 */
#include "lot.h"
#include <stdlib.h>
#include <string.h>

static struct lot_settings lot_at(const struct parking_settings *settings, uint32_t index)
{
	if (index == 0)
		return (struct lot_settings){
			.name = "default",
			.music_class = settings->music_class,
			.groups = settings->groups,
			.comeback_to = settings->comeback_to,
			.retrieve_transfer = settings->retrieve_transfer,
			.range_start = settings->range_start,
			.range_end = settings->range_end,
		};
	return *(const struct lot_settings *)((const char *)settings->lots.rows + (size_t)(index - 1) * settings->lots.row_size);
}

int lot_check(const struct parking_settings *settings, struct pbx_diag *diag)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i <= settings->lots.count; i++) {
		struct lot_settings lot = lot_at(settings, i);

		if (lot.range_start > lot.range_end) {
			pbx_diag_set(diag, "call_parking.range_start", "lot %s begins at %u and ends at %u", lot.name, lot.range_start,
				     lot.range_end);
			return PBX_EINVAL;
		}
		total += lot.range_end - lot.range_start + 1;
		for (uint32_t j = 0; j < i; j++) {
			struct lot_settings other = lot_at(settings, j);

			if (lot.range_start <= other.range_end && other.range_start <= lot.range_end) {
				pbx_diag_set(diag, "call_parking.lots", "lots %s and %s share slots", lot.name, other.name);
				return PBX_EINVAL;
			}
		}
	}
	if (total > MOST_SLOTS) {
		pbx_diag_set(diag, "call_parking.lots", "%u slots are more than %u", total, MOST_SLOTS);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

int lot_make(struct parking *parking, struct pbx_diag *diag)
{
	const struct parking_settings *settings = parking->settings;
	int err = lot_check(settings, diag);

	if (err != PBX_OK)
		return err;
	parking->slots = calloc(MOST_SLOTS, sizeof *parking->slots);
	if (!parking->slots)
		return PBX_ENOMEM;
	for (uint32_t i = 0; i <= settings->lots.count; i++) {
		struct lot_settings lot = lot_at(settings, i);

		for (uint32_t number = lot.range_start; number <= lot.range_end; number++) {
			struct slot *slot = &parking->slots[parking->slot_count++];

			*slot = (struct slot){ .parking = parking, .number = number };
			(void)snprintf(slot->lot, sizeof slot->lot, "%s", lot.name);
			(void)snprintf(slot->music_class, sizeof slot->music_class, "%s", lot.music_class);
		}
	}
	parking->last_used = parking->slot_count - 1;
	return PBX_OK;
}

void lot_free(struct parking *parking)
{
	free(parking->slots);
	parking->slots = NULL;
	parking->slot_count = 0;
}

struct slot *lot_find(struct parking *parking, uint32_t number)
{
	for (uint32_t i = 0; i < parking->slot_count; i++)
		if (parking->slots[i].number == number)
			return &parking->slots[i];
	return NULL;
}

struct slot *lot_choose(struct parking *parking, const char *lot)
{
	uint32_t first = strcmp(parking->settings->slot_choice, "next") == 0 ? parking->last_used + 1 : 0;

	for (uint32_t i = 0; i < parking->slot_count; i++) {
		uint32_t at = (first + i) % parking->slot_count;
		struct slot *slot = &parking->slots[at];

		if (slot->state == SLOT_FREE && strcmp(slot->lot, lot) == 0) {
			parking->last_used = at;
			return slot;
		}
	}
	return NULL;
}

/* ---- who may use it ------------------------------------------------------------------- */

static bool is_listed(const char *list, const char *group)
{
	size_t length = strlen(group);

	while (*list) {
		size_t item = strcspn(list, ", ");

		if (item && item == length && strncmp(list, group, length) == 0)
			return true;
		list += item + (list[item] != '\0');
	}
	return false;
}

/* Whether a number's pickup group is on a lot's list. */
static bool is_of_group(const struct parking *parking, const char *groups, const char *number)
{
	const struct pbx_directory *directory = parking->directory;
	struct pbx_account account = { .size = sizeof account };

	return number && number[0] && directory->find && directory->find(directory->self, number, &account) == PBX_OK &&
	       is_listed(groups, account.pickup_group);
}

struct lot_settings lot_rules(const struct parking *parking, const char *name)
{
	struct lot_settings lot = lot_at(parking->settings, 0);

	for (uint32_t i = 1; i <= parking->settings->lots.count && strcmp(lot.name, name) != 0; i++)
		lot = lot_at(parking->settings, i);
	if (!lot.comeback_to[0])
		lot.comeback_to = parking->settings->comeback_to;
	return lot;
}

bool lot_permits(const struct parking *parking, const char *name, const char *number)
{
	struct lot_settings lot = lot_rules(parking, name);

	return !lot.groups[0] || is_of_group(parking, lot.groups, number);
}

const char *lot_of(const struct parking *parking, const char *number)
{
	const char *open = NULL;

	for (uint32_t i = 0; i <= parking->settings->lots.count; i++) {
		struct lot_settings lot = lot_at(parking->settings, i);

		if (lot.groups[0] && is_of_group(parking, lot.groups, number))
			return lot.name;
		if (!lot.groups[0] && !open)
			open = lot.name;
	}
	return open ? open : "default";
}
