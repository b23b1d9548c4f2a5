/*
 * remote - recordings that are only elsewhere: what no file does for them
 *
 * They are as long as they last without their pauses, end when they are as long as may be, and with the leg they belong to: while a recorder is sent it a fork tells of
 * that, while none takes it an event does.
 */
#include "call_recording.h"
#include <stdlib.h>
#include <string.h>

uint64_t record_lasts_ms(const struct active *active)
{
	uint64_t now_ms = active->plugin->host->now_ms(active->plugin->host);
	uint64_t paused_ms = active->paused_ms + (active->paused ? now_ms - active->paused_at_ms : 0);

	return now_ms - active->began_at_ms - paused_ms;
}

void record_over(struct active *active)
{
	struct plugin *plugin = active->plugin;
	struct pbx_record_result result = { .size = sizeof result, .how = PBX_RECORDED_STOPPED, .duration_ms = record_lasts_ms(active) };

	result.paused_ms = plugin->host->now_ms(plugin->host) - active->began_at_ms - result.duration_ms;
	active->ended = true;
	active->discarded = active->recorder[0] ? NULL : "failed";
	if (active->limit.id)
		(void)plugin->timers->stop(active->limit);
	siprec_free(active->siprec);
	active->siprec = NULL;
	record_show(active);
	record_count(plugin);
	record_stored(active, &result, "", "");
}

static void on_limit(void *self, pbx_timer timer)
{
	struct active *active = self;

	(void)timer;
	active->limit = (pbx_timer){ 0 };
	record_over(active);
}

int remote_begin(struct active *active)
{
	struct plugin *plugin = active->plugin;
	struct pbx_leg_info info = { .size = sizeof info };
	uint64_t most_ms = (uint64_t)plugin->settings->max_duration_s * 1000;
	int err = plugin->calls->info(active->leg, &info);

	if (err != PBX_OK)
		return err;
	(void)snprintf(active->leg_id, sizeof active->leg_id, "%s", info.id);
	return most_ms ? plugin->timers->start(plugin->host, most_ms, 0, on_limit, active, &active->limit) : PBX_OK;
}

struct active *remote_go_on(struct active *file)
{
	struct plugin *plugin = file->plugin;
	struct active *active = malloc(sizeof *active);

	if (!active)
		return file;
	*active = *file;
	plugin->host->ulid(plugin->host, active->id);
	active->started_us = plugin->host->wall_us(plugin->host);
	active->began_at_ms = active->paused_at_ms = plugin->host->now_ms(plugin->host);
	active->paused_ms = 0;
	active->has_file = active->ended = false;
	active->path[0] = '\0';
	(void)snprintf(active->format, sizeof active->format, "none");
	if (remote_begin(active) != PBX_OK) { /* the leg has ended: so has the session */
		free(active);
		return file;
	}
	file->siprec = NULL;
	siprec_move(active->siprec, active);
	active->next = plugin->active;
	plugin->active = active;
	row_begin(active);
	if (active->recorder[0])
		row_recorder(active);
	record_publish(plugin, "recording.started", active, NULL);
	return active;
}

/* The limit of what another version has begun. PBX_OK, PBX_ENOMEM. */
int remote_adopt(struct active *active, const struct active *given)
{
	struct plugin *plugin = active->plugin;
	uint64_t lasts_ms = plugin->host->now_ms(plugin->host) - given->began_at_ms;
	uint64_t most_ms = (uint64_t)plugin->settings->max_duration_s * 1000;

	if (!given->limit.id || !most_ms)
		return PBX_OK;
	return plugin->timers->start(plugin->host, most_ms > lasts_ms ? most_ms - lasts_ms : 0, 0, on_limit, active, &active->limit);
}

void record_leg_ended(struct plugin *plugin, const char *leg_id)
{
	struct active *active = plugin->active;

	while (active && (active->has_file || active->ended || strcmp(active->leg_id, leg_id) != 0))
		active = active->next;
	if (active)
		record_over(active);
}
