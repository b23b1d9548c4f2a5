/*
 * upgrade - recordings that last go over to the version of us that takes our place, without a gap
 */
#include "call_recording.h"
#include <stdlib.h>

/* What lasts goes on being told to active, which is a copy of what the other version has. PBX_OK, PBX_ENOENT, PBX_ENOMEM. */
static int adopt(struct active *active, const struct active *given)
{
	struct plugin *plugin = active->plugin;
	int err = active->has_file ? plugin->recorder->adopt(plugin->host, active->recording, &record_watcher, active) : PBX_OK;

	if (err == PBX_OK)
		err = remote_adopt(active, given);
	if (err == PBX_OK && given->siprec && !(active->siprec = siprec_take(active, given->siprec)) && !active->has_file)
		err = PBX_ENOMEM;
	return err;
}

int record_take(struct plugin *plugin, const struct active *given)
{
	struct active *active = malloc(sizeof *active);

	if (!active)
		return PBX_ENOMEM;
	*active = *given;
	active->plugin = plugin;
	active->siprec = NULL;
	active->limit = (pbx_timer){ 0 };
	int err = adopt(active, given);

	if (err != PBX_OK) {
		if (active->limit.id)
			(void)plugin->timers->stop(active->limit);
		free(active);
		return err;
	}
	active->next = plugin->active;
	plugin->active = active;
	record_remember_group(plugin, active);
	record_count(plugin);
	return PBX_OK;
}

/* It is the successor's now. */
static void let_go(struct active *active)
{
	if (active->siprec)
		siprec_let_go(active->siprec);
	active->siprec = NULL;
	if (active->limit.id)
		(void)active->plugin->timers->stop(active->limit);
	record_free(active);
}

/* Those that are being put away stay with us: the files are ours until they are done. */
void record_hand_over(struct plugin *plugin)
{
	struct active *next;

	plugin->draining = true;
	for (struct active *active = plugin->active; active; active = next) {
		next = active->next;
		if (!active->ended && plugin->successor->take && plugin->successor->take(plugin->successor->self, active) == PBX_OK)
			let_go(active);
	}
}
