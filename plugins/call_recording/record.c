/*
 * record - recordings that last: begun by rule, key or request, paused, ended, and what is told of it
 *
 * A conversation is one recording, of one leg; when that leg goes and others of the same call talk on (a transfer), the next conversation is
 * recorded as well, as another part of the same group.
 */
#include "call_recording.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct active *active_of_leg(const struct plugin *plugin, pbx_leg leg)
{
	struct active *active = plugin->active;

	while (active && (active->ended || active->leg.id != leg.id))
		active = active->next;
	return active;
}

/* The one of this call, or of the calls that are linked to it. */
struct active *active_of_call(const struct plugin *plugin, const char *call_id)
{
	struct active *active = plugin->active;

	while (active && (active->ended || (strcmp(active->call_id, call_id) != 0 && strcmp(active->group_id, call_id) != 0)))
		active = active->next;
	return active;
}

static struct active *active_around(const struct plugin *plugin, pbx_leg leg)
{
	struct active *active = active_of_leg(plugin, leg);
	pbx_leg peer;

	if (!active && plugin->calls->peer(leg, &peer) == PBX_OK)
		active = active_of_leg(plugin, peer);
	return active;
}

void record_count(const struct plugin *plugin)
{
	uint32_t count = 0, sessions = 0;

	for (const struct active *active = plugin->active; active; active = active->next) {
		count += !active->ended;
		sessions += siprec_is_up(active->siprec);
	}
	(void)plugin->metrics->set(plugin->host, METRIC_ACTIVE, NULL, count);
	(void)plugin->metrics->set(plugin->host, METRIC_SESSIONS, NULL, sessions);
}

void record_free(struct active *active)
{
	struct active **at = &active->plugin->active;

	while (*at && *at != active)
		at = &(*at)->next;
	if (*at)
		*at = active->next;
	siprec_free(active->siprec);
	free(active);
}

void record_free_all(struct plugin *plugin)
{
	while (plugin->active)
		record_free(plugin->active);
	while (plugin->groups) {
		struct group *group = plugin->groups;

		plugin->groups = group->next;
		free(group);
	}
}

/* ---- telling ---- */

void record_publish(struct plugin *plugin, const char *type, const struct active *active, const struct pbx_record_result *result)
{
	struct pbx_json *data = plugin->json->new_object();
	pbx_call call = { 0 };

	(void)plugin->calls->find_call(active->call_id, &call); /* it may be over */
	(void)plugin->json->set_text(data, "recording_id", active->id);
	(void)plugin->json->set_text(data, "recorded_call_id", active->call_id);
	(void)plugin->json->set_text(data, "group_id", active->group_id);
	(void)plugin->json->set_text(data, "from", active->from);
	(void)plugin->json->set_text(data, "to", active->to);
	(void)plugin->json->set_text(data, "reason", active->trigger);
	(void)plugin->json->set_text(data, "path", active->path);
	(void)plugin->json->set_text(data, "recorder", active->recorder);
	if (result) {
		(void)plugin->json->set_integer(data, "duration_ms", (int64_t)result->duration_ms);
		(void)plugin->json->set_integer(data, "size_bytes", (int64_t)result->size_bytes);
		(void)plugin->json->set_integer(data, "gaps_ms", (int64_t)result->gaps_ms);
		(void)plugin->json->set_text(data, "outcome", active->discarded ? active->discarded : "");
	}
	(void)plugin->bus->publish(plugin->host, type, call, data); /* the event log says itself what it cannot store */
}

/* ---- names ---- */

/* Whatever a caller says about itself becomes part of a name, never of a path. */
static void add_part(char *path, size_t size, const char *text)
{
	static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+_-";
	size_t at = strlen(path), most = at + 32;

	if (!text[0])
		text = "unknown";
	for (; *text && at + 1 < size && at < most; text++)
		path[at++] = strchr(allowed, *text) ? *text : '_';
	path[at] = '\0';
}

static const char *extension_of(const char *format)
{
	return strcmp(format, "ogg-opus") == 0 ? "opus" : format;
}

static void make_path(struct active *active)
{
	time_t now = (time_t)(active->started_us / 1000000);
	char when[40], name[PATH_SIZE / 2] = "", folder[16];
	struct tm tm;

	(void)gmtime_r(&now, &tm);
	(void)strftime(folder, sizeof folder, "%Y/%m/%d", &tm);
	(void)strftime(when, sizeof when, "%Y%m%d_%H%M%S", &tm);
	add_part(name, sizeof name, active->from);
	strncat(name, "_to_", sizeof name - strlen(name) - 1);
	add_part(name, sizeof name, active->to);
	(void)snprintf(active->path, sizeof active->path, "%s/%s_%s_%.8s.%s", folder, name, when, active->id + ID_SIZE - 1 - 8,
		       extension_of(active->format));
}

/* ---- phones that show it (RFC 7866 6) ---- */

/* A leg that has gone need not know. */
static void show(const struct plugin *plugin, pbx_leg leg, uint32_t recording)
{
	if (leg.id)
		(void)plugin->calls->set_recorded(leg, recording);
}

/* Without a file it is recorded as long as somebody elsewhere does. */
uint32_t record_shown(const struct active *active)
{
	if (active->ended || (!active->has_file && !siprec_is_up(active->siprec)))
		return PBX_RECORDING_OFF;
	return active->paused ? PBX_RECORDING_PAUSED : PBX_RECORDING_ON;
}

/* To the party and whoever it talks to now. */
void record_show(struct active *active)
{
	const struct plugin *plugin = active->plugin;
	uint32_t recording = record_shown(active);
	pbx_leg peer = active->told;

	if (room_tell(plugin, active->leg))
		return;
	if (!active->ended && plugin->calls->peer(active->leg, &peer) == PBX_OK && peer.id != active->told.id) {
		show(plugin, active->told, PBX_RECORDING_OFF);
		active->told = peer;
	}
	show(plugin, active->leg, recording);
	show(plugin, active->told, recording);
}

void record_tell(struct plugin *plugin, pbx_leg one, pbx_leg other)
{
	struct active *active = active_of_leg(plugin, one);

	if (!active)
		active = active_of_leg(plugin, other);
	if (!active) {
		show(plugin, one, PBX_RECORDING_OFF);
		show(plugin, other, PBX_RECORDING_OFF);
		return;
	}
	if (active->siprec)
		siprec_meet(active->siprec, active->leg.id == one.id ? other : one);
	record_show(active);
}

static void part(struct plugin *plugin, pbx_leg one, pbx_leg other)
{
	const struct active *active = active_of_leg(plugin, one);

	if (active && active->siprec)
		siprec_part(active->siprec, other);
}

void record_part(struct plugin *plugin, pbx_leg one, pbx_leg other)
{
	part(plugin, one, other);
	part(plugin, other, one);
}

/* ---- beginning ---- */

void record_remember_group(struct plugin *plugin, const struct active *active)
{
	struct group *group = calloc(1, sizeof *group);

	if (!group)
		return; /* what follows a transfer is judged by the rules alone */
	memcpy(group->group_id, active->group_id, ID_SIZE);
	memcpy(group->call_id, active->call_id, ID_SIZE);
	group->next = plugin->groups;
	plugin->groups = group;
}

static bool is_of_group(const struct plugin *plugin, const struct conversation *conversation)
{
	for (const struct group *group = plugin->groups; group; group = group->next)
		if (strcmp(group->group_id, conversation->group_id) == 0 || strcmp(group->call_id, conversation->call_id) == 0 ||
		    strcmp(group->call_id, conversation->other_call_id) == 0)
			return true;
	return false;
}

void record_forget_group(struct plugin *plugin, const char *call_id)
{
	for (struct group **at = &plugin->groups, *group; (group = *at) != NULL;) {
		if (strcmp(group->call_id, call_id) != 0) {
			at = &group->next;
			continue;
		}
		*at = group->next;
		free(group);
	}
}

static struct active *active_new(struct plugin *plugin, const struct conversation *conversation, const char *trigger, const char *rule)
{
	struct active *active = calloc(1, sizeof *active);

	if (!active)
		return NULL;
	active->plugin = plugin;
	plugin->host->ulid(plugin->host, active->id);
	memcpy(active->call_id, conversation->call_id, ID_SIZE);
	memcpy(active->group_id, conversation->group_id, ID_SIZE);
	memcpy(active->from, conversation->from, TEXT_SIZE);
	memcpy(active->to, conversation->to, TEXT_SIZE);
	memcpy(active->trunk, conversation->trunk, TEXT_SIZE);
	(void)snprintf(active->direction, sizeof active->direction, "%s", conversation->direction);
	(void)snprintf(active->trigger, sizeof active->trigger, "%s", trigger);
	(void)snprintf(active->rule, sizeof active->rule, "%s", rule);
	(void)snprintf(active->format, sizeof active->format, "%s", plugin->settings->format);
	active->started_us = plugin->host->wall_us(plugin->host);
	active->began_at_ms = plugin->host->now_ms(plugin->host);
	active->has_file = conversation->ways.file;
	if (active->has_file)
		make_path(active);
	else
		(void)snprintf(active->format, sizeof active->format, "none");
	return active;
}

static void announce(struct plugin *plugin, const struct conversation *conversation)
{
	if (!plugin->settings->announce)
		return;
	(void)plugin->calls->play(conversation->caller, plugin->settings->announcement); /* a missing prompt is logged by the media */
	if (conversation->called.id != conversation->caller.id)
		(void)plugin->calls->play(conversation->called, plugin->settings->announcement);
}

static int begin_file(struct active *active, const struct conversation *conversation)
{
	struct plugin *plugin = active->plugin;
	const struct recording_settings *settings = plugin->settings;
	char path[2 * PATH_SIZE];

	(void)snprintf(path, sizeof path, "%s/%s", plugin->storage, active->path);
	bool is_called = active->leg.id != conversation->caller.id;
	const struct pbx_record_spec spec = {
		.size = sizeof spec,
		.what = PBX_RECORD_BOTH,
		.flags = (settings->stereo && !conversation->is_mixed ? PBX_RECORD_STEREO : 0) |
			 (is_called ? PBX_RECORD_SWAPPED : 0), /* the caller is on the left */
		.path = path,
		.format = settings->format,
		.rate_hz = (uint32_t)strtoul(settings->rate, NULL, 10), /* "auto": 0 */
		.most_ms = settings->max_duration_s * 1000,
		.least_free_mb = settings->min_free_mb,
		.beep_s = settings->beep_s,
	};

	return plugin->recorder->record(plugin->host, active->leg, &spec, &record_watcher, active, &active->recording);
}

int record_begin(struct plugin *plugin, const struct conversation *conversation, pbx_leg leg, const char *trigger, const char *rule,
		 struct active **ret_active)
{
	struct active *active = active_new(plugin, conversation, trigger, rule);

	if (!active)
		return PBX_ENOMEM;
	active->leg = leg;
	int err = active->has_file ? begin_file(active, conversation) : remote_begin(active);

	if (err != PBX_OK) {
		pbx_error(plugin->host, "recording_not_begun", "call_id=%s result=%d", active->call_id, err);
		free(active);
		return err;
	}
	active->by_rule = strcmp(trigger, "rule") == 0 || strcmp(trigger, "transfer") == 0;
	active->next = plugin->active;
	plugin->active = active;
	record_remember_group(plugin, active);
	row_begin(active);
	record_publish(plugin, "recording.started", active, NULL);
	announce(plugin, conversation);
	if (conversation->ways.recorders->count && siprec_begin(active, conversation) != PBX_OK)
		pbx_error(plugin->host, "recording_not_sent", "recording_id=%s reason=memory", active->id);
	record_count(plugin);
	record_show(active);
	if (ret_active)
		*ret_active = active;
	return PBX_OK;
}

/* The stricter wish of the two parties counts; 0: neither has one. */
static uint32_t wish_of_parties(const struct plugin *plugin, const struct conversation *conversation)
{
	struct pbx_leg_info caller = { .size = sizeof caller }, called = { .size = sizeof called };

	if (!conversation->heeds || plugin->calls->info(conversation->caller, &caller) != PBX_OK ||
	    plugin->calls->info(conversation->called, &called) != PBX_OK)
		return 0;
	if (caller.record_wish == PBX_RECORDING_OFF || called.record_wish == PBX_RECORDING_OFF)
		return PBX_RECORDING_OFF;
	return caller.record_wish == PBX_RECORDING_PAUSED ? caller.record_wish : called.record_wish;
}

static void pause_by_wish(struct active *active)
{
	active->by_wish = !active->paused && record_pause(active, true) == PBX_OK;
}

static void begin_by_rule(struct plugin *plugin, const struct conversation *conversation, pbx_leg leg, const char *rule)
{
	uint32_t wish = wish_of_parties(plugin, conversation);
	struct active *active = NULL;

	if (wish == PBX_RECORDING_OFF)
		pbx_notice(plugin->host, "recording_declined", "call_id=%s rule=%s", conversation->call_id, rule);
	else if (record_begin(plugin, conversation, leg, "rule", rule, &active) == PBX_OK) /* failing, it was logged */
		active->heeds = conversation->heeds;
	if (active && wish == PBX_RECORDING_PAUSED)
		pause_by_wish(active);
}

void record_wished(struct plugin *plugin, pbx_leg leg, const char *wish)
{
	struct active *active = active_around(plugin, leg);

	if (!active || !active->heeds)
		return;
	if (strcmp(wish, "off") == 0)
		(void)record_stop(active); /* or it ends just now */
	else if (strcmp(wish, "pause") == 0)
		pause_by_wish(active);
	else if (active->by_wish && record_pause(active, false) == PBX_OK)
		active->by_wish = false;
}

/* Whoever pauses or goes on by hand meanwhile has the last word. */
void record_held(struct plugin *plugin, pbx_leg by, bool on)
{
	struct active *active = active_around(plugin, by);

	if (!active)
		return;
	if (on)
		active->holds++;
	else if (active->holds > 0)
		active->holds--;
	if (on && active->holds == 1 && strcmp(plugin->settings->hold_mode, "pause") == 0)
		active->by_hold = !active->paused && record_pause(active, true) == PBX_OK;
	else if (!on && active->holds == 0 && active->by_hold)
		(void)record_pause(active, false); /* it ends just now */
}

static void ask_rules(struct plugin *plugin, struct conversation *conversation)
{
	const char *rule;
	pbx_leg leg;
	uint32_t wish = policy_of(plugin, conversation, &rule, &leg);

	if (wish == WISH_ALWAYS)
		begin_by_rule(plugin, conversation, leg, rule);
	else if (wish == WISH_ON_DEMAND && is_of_group(plugin, conversation))
		(void)record_begin(plugin, conversation, leg, "transfer", rule, NULL);
}

/* Whether anything may be recorded that nobody asks for: most have no rule, and then no call is looked at. */
static bool has_wishes(const struct plugin *plugin)
{
	const struct recording_settings *settings = plugin->settings;

	return settings->enabled && (settings->auto_record || settings->rules.count || plugin->groups);
}

void record_consider(struct plugin *plugin, pbx_leg one, pbx_leg other)
{
	struct conversation conversation;

	if (has_wishes(plugin) && !active_of_leg(plugin, one) && !active_of_leg(plugin, other) &&
	    conversation_of(plugin, one, other, &conversation) == PBX_OK)
		ask_rules(plugin, &conversation);
}

void record_consider_room(struct plugin *plugin, pbx_leg leg, const char *room)
{
	struct conversation conversation;
	const struct active *active = active_of_leg(plugin, leg);

	if (active && active->siprec)
		siprec_enter(active->siprec, room);
	if (has_wishes(plugin) && !active && conversation_in_room(plugin, leg, room, &conversation) == PBX_OK)
		ask_rules(plugin, &conversation);
}

/* PBX_EPERM: a rule forbids it. PBX_ESTATE: the leg talks to nobody. PBX_EEXIST: it is recorded. */
int record_on_demand(struct plugin *plugin, pbx_leg leg, const char *trigger, struct active **ret_active)
{
	struct conversation conversation;
	const char *rule;
	pbx_leg peer, recorded;

	if (!plugin->settings->enabled)
		return PBX_EPERM;
	if (plugin->calls->peer(leg, &peer) != PBX_OK || conversation_of(plugin, leg, peer, &conversation) != PBX_OK)
		return PBX_ESTATE;
	if (active_of_leg(plugin, leg) || active_of_leg(plugin, peer))
		return PBX_EEXIST;
	if (policy_of(plugin, &conversation, &rule, &recorded) == WISH_NEVER)
		return PBX_EPERM;
	return record_begin(plugin, &conversation, leg, trigger, rule, ret_active);
}

/* ---- "pbx.recordings/1" ---- */

static int begin_room(void *self, pbx_leg leg, const char *room, const char *group, const char *reason)
{
	struct plugin *plugin = self;
	struct conversation conversation;
	const char *rule;
	pbx_leg recorded;

	if (!plugin->settings->enabled)
		return PBX_EPERM;
	if (active_of_leg(plugin, leg))
		return PBX_EEXIST;
	int err = conversation_in_room(plugin, leg, room, &conversation);

	if (err != PBX_OK)
		return err;
	if (policy_of(plugin, &conversation, &rule, &recorded) == WISH_NEVER && rule[0])
		return PBX_EPERM;
	conversation.is_mixed = true;
	if (group)
		(void)snprintf(conversation.group_id, sizeof conversation.group_id, "%s", group);
	return record_begin(plugin, &conversation, leg, reason, rule, NULL);
}

static int end_recording(void *self, pbx_leg leg)
{
	struct active *active = active_of_leg(self, leg);

	if (!active)
		return PBX_ENOENT;
	return active->by_rule ? PBX_EPERM : record_stop(active);
}

const struct pbx_recordings record_service = { .header = PBX_HEADER(struct pbx_recordings),
					       .begin_room = begin_room,
					       .end = end_recording };

/* ---- while it lasts ---- */

static int pause_file(const struct active *active, bool on)
{
	const struct plugin *plugin = active->plugin;
	bool cuts = strcmp(plugin->settings->pause_mode, "cut") == 0;

	return on ? plugin->recorder->pause(active->recording, cuts ? PBX_PAUSE_CUT : PBX_PAUSE_SILENCE)
		  : plugin->recorder->resume(active->recording);
}

static void count_pause(struct active *active, bool on)
{
	uint64_t now_ms = active->plugin->host->now_ms(active->plugin->host);

	if (on)
		active->paused_at_ms = now_ms;
	else
		active->paused_ms += now_ms - active->paused_at_ms;
}

int record_pause(struct active *active, bool on)
{
	struct plugin *plugin = active->plugin;
	int err = active->has_file ? pause_file(active, on) : active->paused == on ? PBX_ESTATE : PBX_OK;

	if (err != PBX_OK)
		return err;
	active->paused = on;
	active->by_wish = active->by_hold = false;
	count_pause(active, on);
	if (active->siprec)
		siprec_pause(active->siprec, on);
	record_show(active);
	record_publish(plugin, on ? "recording.paused" : "recording.resumed", active, NULL);
	return PBX_OK;
}

int record_stop(struct active *active)
{
	active->stopped = true;
	if (active->has_file)
		return active->plugin->recorder->stop(active->recording);
	record_over(active);
	return PBX_OK;
}

/* A party of ours has typed the keys: begins, or ends what no rule wants. A beep says that it was understood. */
void record_key_record(void *self, pbx_leg leg)
{
	struct plugin *plugin = self;
	struct pbx_leg_info info = { .size = sizeof info };
	struct active *active = active_around(plugin, leg);
	int err;

	if (plugin->calls->info(leg, &info) != PBX_OK || !info.account[0])
		return; /* whoever calls from outside has no say */
	if (active)
		err = active->by_rule ? PBX_EPERM : record_stop(active);
	else
		err = record_on_demand(plugin, leg, "key", NULL);
	pbx_info(plugin->host, "record_key", "account=%s result=%d", info.account, err);
	if (err == PBX_OK)
		(void)plugin->calls->tone(leg, "beep"); /* or it has gone */
}

void record_key_pause(void *self, pbx_leg leg)
{
	struct plugin *plugin = self;
	struct active *active = active_around(plugin, leg);
	struct pbx_leg_info info = { .size = sizeof info };

	if (!active || plugin->calls->info(leg, &info) != PBX_OK || !info.account[0])
		return;
	if (record_pause(active, !active->paused) == PBX_OK)
		(void)plugin->calls->tone(leg, "beep");
}

/* ---- the end ---- */

static const char *why_discarded(const struct plugin *plugin, const struct pbx_record_result *result)
{
	if (result->duration_ms == 0)
		return result->error == PBX_OK ? "empty" : "failed";
	return result->duration_ms < (uint64_t)plugin->settings->min_duration_s * 1000 ? "too_short" : NULL;
}

static void on_done(void *self, pbx_recording recording, const struct pbx_record_result *result)
{
	struct active *active = self;
	struct active *shown = active;
	struct plugin *plugin = active->plugin;

	(void)recording;
	active->ended = true;
	if (active->siprec && !active->stopped && (result->how == PBX_RECORDED_DISK_FULL || result->how == PBX_RECORDED_FAILED))
		shown = remote_go_on(active);
	siprec_free(active->siprec);
	active->siprec = NULL;
	row_write_pauses(result, active->pauses);
	active->discarded = why_discarded(plugin, result);
	record_show(shown);
	record_count(plugin);
	if (result->how == PBX_RECORDED_DISK_FULL || result->how == PBX_RECORDED_FAILED) {
		pbx_error(plugin->host, "recording_failed", "recording_id=%s path=\"%s\" result=%d duration_ms=%llu", active->id,
			  result->path, result->error, (unsigned long long)result->duration_ms);
		record_publish(plugin, "recording.failed", active, result);
	}
	finish_begin(active, result);
}

const struct pbx_record_watcher record_watcher = { .size = sizeof record_watcher, .done = on_done };

void record_stored(struct active *active, const struct pbx_record_result *result, const char *sha256, const char *sealed_key)
{
	struct plugin *plugin = active->plugin;
	const char *kept = !active->has_file ? "stored_remotely" : result->error == PBX_OK ? "stored" : "cut_short";
	const char *outcome = active->discarded ? active->discarded : kept;

	row_end(plugin, active->id, result, sha256, sealed_key, outcome, active->pauses);
	(void)plugin->metrics->add(plugin->host, METRIC_RECORDED, outcome, 1);
	(void)plugin->metrics->add(plugin->host, METRIC_SECONDS, NULL, (double)result->duration_ms / 1000);
	(void)plugin->metrics->add(plugin->host, METRIC_GAPS, NULL, (double)result->gaps_ms / 1000);
	record_publish(plugin, "recording.stopped", active, result);
	record_free(active);
}
