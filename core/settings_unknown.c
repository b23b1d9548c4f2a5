/*
 * settings_unknown - sections of a file that nobody has declared
 *
 * A misspelt section does worse than nothing: its options fall back to their defaults. So whatever looks like the name of a section or a plugin is a mistake. A
 * section of a plugin that does not run (disabled, failed, not loaded yet) is none, and one of a plugin that is not there at all may be meant for later.
 */
#include <string.h>
#include "host.h"
#include "settings_internal.h"

/* The plugin host stands above us. */
#pragma weak core_host_knows
#pragma weak core_host_each_name

static void add_name(void *context, const char *name)
{
	struct core_section_names *names = context;

	if (names->count < CORE_MOST_SECTION_NAMES)
		names->names[names->count++] = name;
}

void core_sections_name(struct core_section_names *ret_names)
{
	ret_names->count = 0;
	for (const struct core_section *section = core_sections(); section; section = section->next)
		add_name(ret_names, section->name);
}

void core_sections_unknown(const struct core_files *said, struct core_problems *problems, struct core_problems *strange,
			   struct core_problems *idle)
{
	struct core_section_names names;

	core_sections_name(&names);
	if (core_host_each_name)
		core_host_each_name(add_name, &names); /* those that do not run, too */
	for (const struct core_node *node = said->root->child; node; node = node->next) {
		const uint32_t known = core_host_knows ? core_host_knows(node->key) : CORE_KNOWN_NOT;

		if (core_section_find(node->key))
			continue;
		if (known == CORE_KNOWN_IDLE && idle)
			core_problem(idle, &node->key_place, node->key,
				     "nobody reads this section: the plugin does not run, see `plugin list`");
		if (known == CORE_KNOWN_IDLE)
			continue;

		const char *meant = core_did_you_mean(node->key, names.names, names.count);
		if (known != CORE_KNOWN_NOT)
			core_problem(strange, &node->key_place, node->key, "nobody reads this section: %s has no settings", node->key);
		else if (meant)
			core_problem(problems, &node->key_place, node->key, "unknown section, did you mean %s?", meant);
		else
			core_problem(strange, &node->key_place, node->key,
				     "unknown section: no part and no plugin of plugins.path has this name");
	}
}
