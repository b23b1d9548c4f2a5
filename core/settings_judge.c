/*
 * settings_judge - whether values fit one another that each are in range
 *
 * A minimum above a maximum, two listeners of one name: no row can say that, its owner can. It is asked whenever a section is read, by whoever
 * asks for it: at the start, by a check of a file that is not used, before a change. So a mistake is told at its line and before anything
 * depends on it.
 */
#include "settings.h"
#include "settings_internal.h"
#include <stdlib.h>
#include <string.h>

struct judge {
	char *section;
	int (*check)(const void *settings, struct pbx_diag *diag);
	struct judge *next;
};

static struct judge *judges;

static void judge_free(struct judge *judge)
{
	if (judge)
		free(judge->section);
	free(judge);
}

static struct judge **judge_at(const char *section)
{
	struct judge **at = &judges;

	while (*at && strcmp((*at)->section, section) != 0)
		at = &(*at)->next;
	return at;
}

int core_settings_on_check(const char *section, int (*check)(const void *settings, struct pbx_diag *diag))
{
	struct judge **at = judge_at(section), *old = *at, *judge = NULL;

	if (check) {
		judge = calloc(1, sizeof *judge);
		if (!judge || !(judge->section = strdup(section))) {
			judge_free(judge);
			return PBX_ENOMEM;
		}
		judge->check = check;
		judge->next = old ? old->next : NULL;
	}
	if (old || judge)
		*at = judge ? judge : old->next;
	judge_free(old);
	return PBX_OK;
}

void core_judge(const struct core_section *section, const struct core_node *map, const void *values, struct core_problems *problems)
{
	const struct judge *judge = *judge_at(section->name);
	struct pbx_diag diag = { 0 };
	const struct core_node *node;
	char path[300];

	if (!judge || judge->check(values, &diag) == PBX_OK)
		return;
	node = map && diag.field[0] ? core_node_find(map, diag.field) : NULL;
	(void)snprintf(path, sizeof path, "%.150s%s%.140s", section->name, diag.field[0] ? "." : "", diag.field);
	core_problem(problems, node ? &node->place : map ? &map->key_place : NULL, path, "%s", diag.text);
}

void core_judges_free(void)
{
	while (judges) {
		struct judge *next = judges->next;

		judge_free(judges);
		judges = next;
	}
}
