/*
 * requests - recordings as people ask for them: lists, one, tags, legal hold, deletion; begin, pause and end of those that last
 */
#include "call_recording.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_DEFAULT 50
#define PARAMS 12u

/* ---- asking the store ---- */

static struct asked *asked_new(struct plugin *plugin, pbx_request request)
{
	struct asked *asked = calloc(1, sizeof *asked);

	if (!asked) {
		(void)plugin->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return NULL;
	}
	asked->plugin = plugin;
	asked->request = request;
	(void)snprintf(asked->actor, sizeof asked->actor, "%s", plugin->requests->actor(request));
	return asked;
}

static void run(struct asked *asked, const char *sql, const struct pbx_value *params, uint32_t count, pbx_rows_fn done)
{
	struct plugin *plugin = asked->plugin;

	if (plugin->store->run(plugin->host, sql, params, count, done, asked) == PBX_OK)
		return;
	(void)plugin->requests->fail(asked->request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
	free(asked);
}

static bool refused(struct asked *asked, const struct pbx_rows *rows)
{
	if (rows->status == PBX_OK)
		return false;
	(void)asked->plugin->requests->fail(asked->request, 503, "store_unavailable", NULL, "recordings cannot be read now: %s",
					    rows->error);
	free(asked);
	return true;
}

static void on_row(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;

	if (refused(asked, rows))
		return;
	if (rows->count == 0) {
		(void)asked->plugin->requests->fail(asked->request, 404, "not_found", "id", "there is no such recording");
		free(asked);
		return;
	}
	row_read(rows, 0, &asked->row);
	asked->found(asked, rows);
}

void ask_row(struct plugin *plugin, pbx_request request, void (*found)(struct asked *asked, const struct pbx_rows *rows))
{
	struct asked *asked = asked_new(plugin, request);

	if (!asked)
		return;
	asked->found = found;
	const struct pbx_value id = pbx_v_text(plugin->requests->text(request, "id"));

	run(asked, "SELECT " ROW_COLUMNS " FROM call_recordings WHERE id = $1", &id, 1, on_row);
}

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;

	if (!refused(asked, rows))
		asked->found(asked, rows);
}

void ask_rows(struct plugin *plugin, pbx_request request, const struct pbx_json *ids,
	      void (*found)(struct asked *asked, const struct pbx_rows *rows))
{
	char sql[2048] = "SELECT " ROW_COLUMNS " FROM call_recordings WHERE id IN (";
	struct asked *asked = asked_new(plugin, request);
	struct pbx_value values[MOST_ASKED];
	uint32_t count = plugin->json->count(ids);
	size_t used = strlen(sql);

	if (!asked)
		return;
	asked->found = found;
	for (uint32_t i = 0; i < count && i < MOST_ASKED; i++) {
		values[i] = pbx_v_text(plugin->json->text(plugin->json->at(ids, i)));
		used += (size_t)snprintf(sql + used, sizeof sql - used, "%s$%u", i ? ", " : "", i + 1);
	}
	(void)snprintf(sql + used, sizeof sql - used, ") ORDER BY id");
	run(asked, sql, values, count, on_rows);
}

/* A user has the calls that were theirs; every try is noted. */
bool may_have(struct plugin *plugin, pbx_request request, const struct row *row, const char *action)
{
	const char *own = plugin->requests->own_account(request), *actor = plugin->requests->actor(request);
	bool may = !own[0] || strcmp(own, row->from) == 0 || strcmp(own, row->to) == 0;
	char text[64];

	(void)snprintf(text, sizeof text, "%s%s", action, may ? "" : " refused");
	row_note_access(plugin, row->id, actor, text);
	if (!may)
		(void)plugin->requests->fail(request, 403, "not_yours", NULL, "this call was not yours");
	return may;
}

/* ---- lists ---- */

struct filter {
	char sql[1024];
	struct pbx_value params[PARAMS];
	uint32_t count;
	char texts[PARAMS][128];
};

/* condition holds "$" where the parameter's number goes. */
static void add(struct filter *filter, const char *condition, struct pbx_value value)
{
	size_t at = strlen(filter->sql);

	if (filter->count == PARAMS)
		return;
	filter->params[filter->count++] = value;
	at += (size_t)snprintf(filter->sql + at, sizeof filter->sql - at, " AND ");
	for (const char *from = condition; *from && at + 8 < sizeof filter->sql; from++)
		at += (size_t)snprintf(filter->sql + at, sizeof filter->sql - at, *from == '$' ? "$%u" : "%c",
				       *from == '$' ? filter->count : (unsigned)*from);
}

/* The text stays with the filter. */
static void add_text(struct filter *filter, const char *condition, const char *before, const char *text, const char *after)
{
	if (!text || !text[0] || filter->count == PARAMS)
		return;
	char *kept = filter->texts[filter->count];

	(void)snprintf(kept, sizeof filter->texts[0], "%s%.100s%s", before, text, after);
	add(filter, condition, pbx_v_text(kept));
}

static void make_filter(const struct plugin *plugin, pbx_request request, struct filter *filter)
{
	const struct pbx_requests *requests = plugin->requests;

	memset(filter, 0, sizeof *filter);
	if (requests->has(request, "from"))
		add(filter, "started_at >= $", PBX_V_INT(requests->integer(request, "from", 0)));
	if (requests->has(request, "to"))
		add(filter, "started_at < $", PBX_V_INT(requests->integer(request, "to", 0)));
	add_text(filter, "(from_number = $ OR to_number = $)", "", requests->text(request, "extension"), "");
	add_text(filter, "(from_number = $ OR to_number = $)", "", requests->own_account(request), "");
	add_text(filter, "(call_id = $ OR group_id = $)", "", requests->text(request, "call_id"), "");
	add_text(filter, "(',' || tags || ',') LIKE $", "%,", requests->text(request, "tag"), ",%");
	add_text(filter, "(from_number LIKE $ OR to_number LIKE $ OR path LIKE $)", "%", requests->text(request, "q"), "%");
	add_text(filter, "id < $", "", requests->text(request, "cursor"), "");
}

static void on_page(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	const struct plugin *plugin = asked->plugin;

	if (refused(asked, rows))
		return;
	struct pbx_json *answer = plugin->json->new_object(), *items = plugin->json->new_array();
	bool more = rows->count > asked->limit;

	for (uint32_t at = 0; at < rows->count && at < asked->limit; at++)
		(void)plugin->json->append(items, row_json(plugin, rows, at));
	(void)plugin->json->set(answer, "items", items);
	(void)plugin->json->set_text(answer, "next_cursor", more ? pbx_cell_text(rows, (uint32_t)asked->limit - 1, 0) : NULL);
	(void)plugin->requests->reply(asked->request, 200, answer);
	free(asked);
}

/* Newest first: ids rise with time. */
void on_list(void *self, pbx_request request)
{
	struct plugin *plugin = self;
	struct asked *asked = asked_new(plugin, request);
	struct filter filter;
	char sql[2048];

	if (!asked)
		return;
	asked->limit = plugin->requests->integer(request, "limit", PAGE_DEFAULT);
	make_filter(plugin, request, &filter);
	(void)snprintf(sql, sizeof sql,
		       "SELECT " ROW_COLUMNS
		       " FROM call_recordings WHERE deleted_at IS NULL AND outcome IN ('stored', 'cut_short', 'stored_remotely')%s"
		       " ORDER BY id DESC LIMIT %lld",
		       filter.sql, (long long)asked->limit + 1);
	run(asked, sql, filter.params, filter.count, on_page);
}

static struct pbx_json *items(const struct plugin *plugin, struct pbx_json *taken)
{
	struct pbx_json *answer = plugin->json->new_object();

	(void)plugin->json->set(answer, "items", taken);
	return answer;
}

static struct pbx_json *active_json(const struct active *active)
{
	const struct plugin *plugin = active->plugin;
	struct pbx_record_state state = { .size = sizeof state };
	struct pbx_json *object = plugin->json->new_object();
	struct siprec_state sent = { .recorder = NULL };

	if (active->has_file) {
		(void)plugin->recorder->state(active->recording, &state); /* over: zeros */
	} else {
		state.paused = active->paused;
		state.duration_ms = record_lasts_ms(active);
	}
	if (active->siprec)
		siprec_state(active->siprec, &sent);
	(void)plugin->json->set_text(object, "id", active->id);
	(void)plugin->json->set_text(object, "call_id", active->call_id);
	(void)plugin->json->set_text(object, "from", active->from);
	(void)plugin->json->set_text(object, "to", active->to);
	(void)plugin->json->set_text(object, "reason", active->trigger);
	(void)plugin->json->set_time(object, "started_at", active->started_us);
	(void)plugin->json->set_boolean(object, "paused", state.paused);
	(void)plugin->json->set_integer(object, "duration_ms", (int64_t)state.duration_ms);
	(void)plugin->json->set_number(object, "level_left_db", state.level_cdb[0] / 100.0);
	(void)plugin->json->set_number(object, "level_right_db", state.level_cdb[1] / 100.0);
	(void)plugin->json->set_text(object, "recorder", sent.recorder);
	(void)plugin->json->set_text(object, "recorder_state", sent.state);
	(void)plugin->json->set_integer(object, "recorder_packets", (int64_t)sent.packets);
	return object;
}

void on_active(void *self, pbx_request request)
{
	struct plugin *plugin = self;
	const char *own = plugin->requests->own_account(request);
	struct pbx_json *list = plugin->json->new_array();

	for (const struct active *active = plugin->active; active; active = active->next)
		if (!active->ended && (!own[0] || strcmp(own, active->from) == 0 || strcmp(own, active->to) == 0))
			(void)plugin->json->append(list, active_json(active));
	(void)plugin->requests->reply(request, 200, items(plugin, list));
}

static void show(struct asked *asked, const struct pbx_rows *rows)
{
	if (may_have(asked->plugin, asked->request, &asked->row, "show"))
		(void)asked->plugin->requests->reply(asked->request, 200, row_json(asked->plugin, rows, 0));
	free(asked);
}

void on_show(void *self, pbx_request request)
{
	ask_row(self, request, show);
}

static void on_access_rows(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	const struct pbx_jsons *json = asked->plugin->json;

	if (refused(asked, rows))
		return;
	struct pbx_json *list = json->new_array();

	for (uint32_t at = 0; at < rows->count; at++) {
		struct pbx_json *item = json->new_object();

		(void)json->set_text(item, "actor", pbx_cell_text(rows, at, 0));
		(void)json->set_text(item, "action", pbx_cell_text(rows, at, 1));
		(void)json->set_time(item, "at", pbx_cell_int(rows, at, 2));
		(void)json->append(list, item);
	}
	(void)asked->plugin->requests->reply(asked->request, 200, items(asked->plugin, list));
	free(asked);
}

void on_accesses(void *self, pbx_request request)
{
	struct plugin *plugin = self;
	struct asked *asked = asked_new(plugin, request);

	if (!asked)
		return;
	const struct pbx_value id = pbx_v_text(plugin->requests->text(request, "id"));

	run(asked, "SELECT actor, action, at FROM call_recording_access WHERE recording_id = $1 ORDER BY id", &id, 1, on_access_rows);
}

/* ---- changing ---- */

static void on_changed(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;

	if (refused(asked, rows))
		return;
	(void)asked->plugin->requests->reply(asked->request, 204, NULL);
	free(asked);
}

static void remove_file(void *job)
{
	struct asked *asked = job;

	asked->result = unlink(asked->path) == 0 ? PBX_OK : PBX_EIO; /* it may be gone already: as good */
}

static void on_file_removed(void *self, void *job, int status)
{
	struct asked *asked = job;
	struct plugin *plugin = self;

	if (status != PBX_OK) {
		free(asked);
		return;
	}
	const struct pbx_value values[] = { pbx_v_text(asked->row.id), PBX_V_INT(plugin->host->wall_us(plugin->host)),
					    pbx_v_text(asked->actor) };
	struct active gone = { .plugin = plugin, .discarded = "deleted" };

	memcpy(gone.id, asked->row.id, ID_SIZE);
	memcpy(gone.call_id, asked->row.call_id, ID_SIZE);
	memcpy(gone.from, asked->row.from, TEXT_SIZE);
	memcpy(gone.to, asked->row.to, TEXT_SIZE);
	memcpy(gone.path, asked->row.path, PATH_SIZE);
	forms_forget(plugin, asked->row.id);
	record_publish(plugin, "recording.deleted", &gone, NULL);
	run(asked, "UPDATE call_recordings SET deleted_at = $2, deleted_by = $3 WHERE id = $1", values, 3, on_changed);
}

static void delete_it(struct asked *asked, const struct pbx_rows *rows)
{
	struct plugin *plugin = asked->plugin;
	const struct row *row = &asked->row;

	(void)rows;
	if (row->legal_hold)
		(void)plugin->requests->fail(asked->request, 409, "legal_hold", "id", "it is on legal hold: take that off first");
	else if (!row->ended_us)
		(void)plugin->requests->fail(asked->request, 409, "lasts", "id", "it is being recorded: stop it first");
	else if (row->deleted_us)
		(void)plugin->requests->fail(asked->request, 404, "not_found", "id", "it has been deleted");
	else if (may_have(plugin, asked->request, row, "delete")) {
		(void)snprintf(asked->path, sizeof asked->path, "%s/%s", plugin->storage, row->path);
		if (plugin->host->work(plugin->host, remove_file, on_file_removed, asked) == PBX_OK)
			return;
		(void)plugin->requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
	}
	free(asked);
}

void on_delete(void *self, pbx_request request)
{
	ask_row(self, request, delete_it);
}

/* Kept as "a,b", and looked for between commas. */
static bool join_tags(const struct plugin *plugin, pbx_request request, char *ret_tags, size_t size)
{
	const struct pbx_json *tags = plugin->requests->json(request, "tags");

	*ret_tags = '\0';
	for (uint32_t i = 0; i < plugin->json->count(tags); i++) {
		const char *tag = plugin->json->text(plugin->json->at(tags, i));

		if (!tag || !tag[0] || strlen(tag) > 40 || strpbrk(tag, ",%_") || strlen(ret_tags) + strlen(tag) + 2 > size)
			return false;
		if (*ret_tags)
			strncat(ret_tags, ",", size - strlen(ret_tags) - 1);
		strncat(ret_tags, tag, size - strlen(ret_tags) - 1);
	}
	return true;
}

static void tag_it(struct asked *asked, const struct pbx_rows *rows)
{
	struct plugin *plugin = asked->plugin;
	char tags[512];

	(void)rows;
	if (!join_tags(plugin, asked->request, tags, sizeof tags)) {
		(void)plugin->requests->fail(asked->request, 422, "bad_tag", "tags",
					     "a tag has 1 to 40 characters, none of them , %% or _, and all together 500");
		free(asked);
	} else if (may_have(plugin, asked->request, &asked->row, "tags")) {
		const struct pbx_value values[] = { pbx_v_text(asked->row.id), pbx_v_text(tags) };

		run(asked, "UPDATE call_recordings SET tags = $2 WHERE id = $1", values, 2, on_changed);
	} else {
		free(asked);
	}
}

void on_tags(void *self, pbx_request request)
{
	ask_row(self, request, tag_it);
}

static void hold_it(struct asked *asked, const struct pbx_rows *rows)
{
	struct plugin *plugin = asked->plugin;
	bool on = plugin->requests->boolean(asked->request, "hold", true);
	const struct pbx_value values[] = { pbx_v_text(asked->row.id), PBX_V_INT(on) };

	(void)rows;
	row_note_access(plugin, asked->row.id, asked->actor, on ? "hold" : "hold taken off");
	run(asked, "UPDATE call_recordings SET legal_hold = $2 WHERE id = $1", values, 2, on_changed);
}

void on_hold(void *self, pbx_request request)
{
	ask_row(self, request, hold_it);
}

/* ---- those that last ---- */

struct finding {
	const struct plugin *plugin;
	pbx_leg leg;
};

/* The first leg of the call that talks to somebody; ours rather than another's. */
static void look_at_leg(void *context, pbx_leg leg)
{
	struct finding *finding = context;
	struct pbx_leg_info info = { .size = sizeof info };
	pbx_leg peer;

	if (finding->plugin->calls->peer(leg, &peer) != PBX_OK || finding->plugin->calls->info(leg, &info) != PBX_OK)
		return;
	if (!finding->leg.id || info.account[0])
		finding->leg = leg;
}

static int begin(struct plugin *plugin, const char *call_id)
{
	struct finding finding = { .plugin = plugin };
	pbx_call call;
	int err = plugin->calls->find_call(call_id, &call);

	if (err != PBX_OK)
		return err;
	plugin->calls->each(call, look_at_leg, &finding);
	return finding.leg.id ? record_on_demand(plugin, finding.leg, "request", NULL) : PBX_ESTATE;
}

static int act(struct plugin *plugin, const char *call_id, const char *action)
{
	struct active *active = active_of_call(plugin, call_id);

	if (strcmp(action, "start") == 0)
		return active ? PBX_EEXIST : begin(plugin, call_id);
	if (!active)
		return PBX_ENOENT;
	if (strcmp(action, "stop") == 0)
		return record_stop(active);
	return record_pause(active, strcmp(action, "pause") == 0);
}

static void refuse_action(const struct plugin *plugin, pbx_request request, int err)
{
	if (err == PBX_ENOENT)
		(void)plugin->requests->fail(request, 404, "not_found", "call_id", "there is no such call, or it is not being recorded");
	else if (err == PBX_EPERM)
		(void)plugin->requests->fail(request, 403, "forbidden", "call_id", "a rule says that this call is never recorded");
	else if (err == PBX_ESTATE)
		(void)plugin->requests->fail(request, 409, "state", "action", "it is so already, or nobody talks to anybody in this call");
	else if (err == PBX_EEXIST)
		(void)plugin->requests->fail(request, 409, "state", "action", "it is being recorded");
	else
		(void)plugin->requests->fail(request, 503, "failed", NULL, "it cannot be recorded now (%d)", err);
}

static bool is_own_call(const struct plugin *plugin, pbx_request request, const char *call_id)
{
	const char *own = plugin->requests->own_account(request);
	const struct active *active = active_of_call(plugin, call_id);

	return !own[0] || (active && (strcmp(own, active->from) == 0 || strcmp(own, active->to) == 0));
}

void on_action(void *self, pbx_request request)
{
	struct plugin *plugin = self;
	const char *call_id = plugin->requests->text(request, "call_id"), *action = plugin->requests->text(request, "action");

	if (!is_own_call(plugin, request, call_id)) {
		(void)plugin->requests->fail(request, 403, "not_yours", "call_id", "this call is not yours, or not being recorded");
		return;
	}
	int err = act(plugin, call_id, action);
	const struct active *active = active_of_call(plugin, call_id);

	if (err != PBX_OK)
		refuse_action(plugin, request, err);
	else
		(void)plugin->requests->reply(request, 200, active ? active_json(active) : plugin->json->new_object());
}
