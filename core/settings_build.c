/*
 * settings_build - one section's values, each from where it is said: a file, else the store, else the row's default
 *
 * What a file says wrongly is a problem, at its line. A stored value that no longer fits is logged and passed over: a plugin was upgraded,
 * and is to work all the same.
 */
#include "settings.h"
#include <stdlib.h>
#include <string.h>
#include "log.h"
#include "settings_internal.h"

/* ---- what is stored ------------------------------------------------------------------------------ */

void core_stored_free(struct core_stored *list)
{
	while (list) {
		struct core_stored *next = list->next;

		if (list->value)
			explicit_bzero(list->value, strlen(list->value));
		free(list->value);
		free(list->path);
		free(list);
		list = next;
	}
}

static struct core_stored *stored_remove(struct core_stored *list, const char *path)
{
	for (struct core_stored **at = &list; *at; at = &(*at)->next) {
		struct core_stored *one = *at;

		if (strcmp(one->path, path) != 0)
			continue;
		*at = one->next;
		one->next = NULL;
		core_stored_free(one);
		break;
	}
	return list;
}

struct core_stored *core_stored_put(struct core_stored *list, const char *path, const char *value, bool *ret_no_memory)
{
	struct core_stored *one;

	list = stored_remove(list, path);
	if (!value)
		return list;
	one = calloc(1, sizeof *one);
	if (one) {
		one->path = strdup(path);
		one->value = strdup(value);
	}
	if (!one || !one->path || !one->value) {
		core_stored_free(one);
		*ret_no_memory = true;
		return list;
	}
	one->next = list;
	return one;
}

const char *core_stored_find(const struct core_stored *list, const char *path)
{
	for (; list; list = list->next)
		if (strcmp(list->path, path) == 0)
			return list->value;
	return NULL;
}

/* ---- what was typed ------------------------------------------------------------------------------ */

/* A list or objects may be typed as YAML; every other text is taken as it is. */
static struct core_node *typed_node(const struct pbx_setting *row, const char *path, const char *value, struct core_problems *problems)
{
	const bool yaml = (row->type == PBX_TYPE_LIST || row->type == PBX_TYPE_OBJECTS) && value[strspn(value, " \t\n")] == '[';

	return core_node_typed(value, yaml, path, problems);
}

static bool read_typed(const struct core_reading *reading, const struct pbx_setting *row, const char *path, const char *value, void *base)
{
	struct core_node *node = typed_node(row, path, value, reading->problems);
	const bool fine = node && core_value_read(reading, row, node, path, base);

	core_node_free(node);
	return fine;
}

int core_setting_check(const char *path, const char *value, struct pbx_diag *diag)
{
	struct core_problems problems = { .diag = diag };
	const struct core_section *section;
	const struct pbx_setting *row;
	struct core_block *scratch;
	int err = core_setting_find(path, &section, &row, diag);

	if (err != PBX_OK)
		return err;
	scratch = core_block_new(section->size);
	if (!scratch)
		return PBX_ENOMEM;
	(void)read_typed(&(struct core_reading){ &problems, core_settings_directory(), scratch }, row, path, value,
			 core_block_data(scratch));
	core_block_unref(scratch);
	return core_problems_result(&problems);
}

/* ---- the block ------------------------------------------------------------------------------------ */

static bool read_stored(const struct core_reading *reading, const struct pbx_setting *row, const char *path, const char *value, void *base)
{
	struct pbx_diag diag = { 0 };
	struct core_problems quiet = { .diag = &diag };

	if (read_typed(&(struct core_reading){ &quiet, reading->directory, reading->block }, row, path, value, base))
		return true;
	reading->problems->no_memory |= quiet.no_memory;
	core_log(PBX_LOG_WARN, "core", NULL, "stored_setting_ignored", "path=%s reason=\"%s\"", path, diag.text);
	return false;
}

static void read_row(const struct core_reading *reading, const struct core_section *section, const struct pbx_setting *row,
		     const struct core_node *map, const struct core_stored *kept, void *base)
{
	const struct core_node *node = map ? core_node_find(map, row->name) : NULL;
	const char *value;
	char path[300];

	(void)snprintf(path, sizeof path, "%.150s.%s", section->name, row->name);
	if (node) {
		(void)core_value_read(reading, row, node, path, base);
		return;
	}
	value = core_stored_find(kept, path);
	if (value && read_stored(reading, row, path, value, base))
		return;
	if (row->flags & PBX_SETTING_NEEDED)
		core_problem(reading->problems, map ? &map->key_place : NULL, path, "is needed, it has no default");
	else if (!core_value_default(reading->block, row, base))
		reading->problems->no_memory = true;
}

struct core_block *core_section_build(const struct core_section *section, const struct core_files *said, const struct core_stored *kept,
				      struct core_problems *problems)
{
	const struct core_node *map = core_node_find(said->root, section->name);
	struct core_block *block = core_block_new(section->size);
	const struct core_reading reading = { problems, said->directory, block };
	const uint32_t before = problems->count;

	if (!block) {
		problems->no_memory = true;
		return NULL;
	}
	if (map && map->kind != CORE_NODE_MAP && map->kind != CORE_NODE_NONE)
		core_problem(problems, &map->place, section->name, "this is a section: a mapping has to stand here");
	if (map && map->kind == CORE_NODE_MAP)
		core_rows_check_keys(section->rows, section->count, map, section->name, problems);
	for (uint32_t i = 0; i < section->count; i++)
		read_row(&reading, section, &section->rows[i], map && map->kind == CORE_NODE_MAP ? map : NULL, kept,
			 core_block_data(block));
	if (problems->count == before && !problems->no_memory)
		core_judge(section, map, core_block_data(block), problems);
	if (problems->count == before && !problems->no_memory)
		return block;
	core_block_unref(block);
	return NULL;
}
