/*
 * settings_waiting - what was changed and waits for a restart
 *
 * Most options act when they are changed. Those that say PBX_SETTING_RESTART (where we listen, which database) are read once, when their owner begins. A
 * section keeps the block its owner began with, so that whoever asks is told both values until the owner begins anew.
 */
#include "host.h"
#include "json.h"
#include "settings.h"
#include "settings_internal.h"

/* The plugin host stands above us. */
#pragma weak core_host_knows

static bool has_restart(const struct pbx_setting *row)
{
	const struct pbx_setting *fields = row->fields.rows;

	for (uint32_t i = 0; row->type == PBX_TYPE_OBJECTS && i < row->fields.count; i++)
		if (fields[i].flags & PBX_SETTING_RESTART)
			return true;
	return false;
}

/* One more or one less of objects that have such a field waits, too. */
static bool fields_wait(const struct pbx_setting *row, const struct pbx_objects *a, const struct pbx_objects *b)
{
	const struct pbx_setting *fields = row->fields.rows;

	if (a->count != b->count)
		return true;
	for (uint32_t i = 0; i < a->count; i++)
		for (uint32_t j = 0; j < row->fields.count; j++)
			if ((fields[j].flags & PBX_SETTING_RESTART) &&
			    !core_value_same(&fields[j], (const char *)a->rows + (size_t)i * a->row_size,
					     (const char *)b->rows + (size_t)i * b->row_size))
				return true;
	return false;
}

bool core_value_waits(const struct pbx_setting *row, const void *in_force, const void *wanted)
{
	if (row->flags & PBX_SETTING_RESTART)
		return !core_value_same(row, in_force, wanted);
	return has_restart(row) &&
	       fields_wait(row, (const void *)((const char *)in_force + row->offset), (const void *)((const char *)wanted + row->offset));
}

static void say_cure(struct pbx_json *one, const char *section)
{
	char text[128];

	(void)snprintf(text, sizeof text, "pbxctl plugin reload %.63s", section);
	(void)core_json_set_text(one, "by", core_host_knows && core_host_knows(section) == CORE_KNOWN_PLUGIN ? text : "a restart of pbxd");
}

void core_section_waiting(const struct core_section *section, struct pbx_json *list)
{
	const void *in_force = core_block_data(section->in_force), *current = core_block_data(section->current);

	for (uint32_t i = 0; i < section->count; i++) {
		const struct pbx_setting *row = &section->rows[i];
		char path[300];

		if (!core_value_waits(row, in_force, current))
			continue;
		struct pbx_json *one = core_json_object();
		(void)snprintf(path, sizeof path, "%.150s.%s", section->name, row->name);
		(void)core_json_set_text(one, "path", path);
		(void)core_json_set(one, "in_force", core_value_json(row, in_force));
		(void)core_json_set(one, "value", core_value_json(row, current));
		say_cure(one, section->name);
		(void)core_json_append(list, one); /* without memory the list is shorter */
	}
}

struct pbx_json *core_settings_waiting(void)
{
	struct pbx_json *list = core_json_array();

	for (const struct core_section *section = core_sections(); list && section; section = section->next)
		core_section_waiting(section, list);
	return list;
}
