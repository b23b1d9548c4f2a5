/* core/check_sections.c - who has a section declares it, and what does not fit is said */
#include "check_sections.h"
#include "host_internal.h"
#include "settings.h"
#include "settings_internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_good(const struct pbx_plugin *card)
{
	struct pbx_diag diag = { 0 };

	if (card->settings.count == 0 || (core_settings_on_check(card->name, card->settings_check) == PBX_OK &&
					  core_settings_declare(card->name, &card->settings, card->settings_size, &diag) == PBX_OK))
		return true;
	(void)fprintf(stderr, "%s\n", diag.text[0] ? diag.text : "out of memory");
	return false;
}

/* In the child. The library stays: none of its code is run any more. */
static bool is_good_in(const struct core_plugin *plugin)
{
	const struct pbx_plugin *descriptor;
	struct core_refusal refusal = { 0 };

	if (core_card_check_file(plugin->file, &refusal) != PBX_OK || !core_card_open(plugin->file, plugin->name, &descriptor, &refusal)) {
		(void)fprintf(stderr, "%s: %s; %s\n", plugin->file, refusal.reason, refusal.cure);
		return false;
	}
	const struct pbx_plugin card = core_card_of(descriptor);

	return is_good(&card);
}

static bool child_finds_good(const struct core_plugin *plugin)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(is_good_in(plugin) ? EXIT_SUCCESS : EXIT_FAILURE);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (child < 0)
		(void)fprintf(stderr, "%s: not tried: %s\n", plugin->file, strerror(errno));
	else if (WIFSIGNALED(status))
		(void)fprintf(stderr, "%s: it ended with signal %d (%s) when it was loaded\n", plugin->file, WTERMSIG(status),
			      strsignal(WTERMSIG(status)));
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* Misspelt sections, and those of nobody. */
static bool names_are_good(void)
{
	AUTO(json) struct pbx_json *problems = NULL;

	if (core_settings_check(NULL, &problems) != PBX_OK)
		return false;
	for (uint32_t i = 0; i < core_json_count(problems); i++)
		(void)fprintf(stderr, "%s\n", core_json_text(core_json_at(problems, i)));
	return core_json_count(problems) == 0;
}

bool core_check_sections(const struct pbx_plugin *const *parts, uint32_t count, const struct pbx_list *path, const struct pbx_list *disable)
{
	bool good = true;

	for (uint32_t i = 0; i < count; i++)
		good &= is_good(parts[i]);
	bool parts_are_good = good; /* else their names are not known */
	if (core_host_find_all(path->items, path->count, disable) != PBX_OK)
		return false;
	for (const struct core_plugin *plugin = core_plugins(); plugin; plugin = plugin->next)
		if (plugin->state == CORE_PLUGIN_FOUND && core_setting_pinned(plugin->name))
			good &= child_finds_good(plugin);
	if (parts_are_good)
		good &= names_are_good();
	core_host_fini();
	return good;
}
