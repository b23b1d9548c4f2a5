/*
 * hotline - dial *57, say who you are, leave a message, hear it, and talk to who else is there
 *
 * A caller gives a PIN, records a message, hears it back and comes into a room. How loud the caller is, and whether the line beeps, is found out beside
 * the call. What is left is a row and a sound file; REST and pbxctl show, annotate and delete it. Written against the installed headers alone.
 */
#include <math.h>
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/detect.h>
#include <pbx/metrics.h>
#include <pbx/prompts.h>
#include <pbx/recorder.h>
#include <pbx/requests.h>
#include <pbx/rooms.h>
#include <pbx/secrets.h>
#include <pbx/store.h>
#include <pbx/tap.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "1.0.0"
#endif

struct settings {
	const char *pin;
	const char *greeting;
	uint32_t message_s;
};

struct hotline {
	PBX_INSTANCE(struct settings);
	const struct pbx_calls *calls;
	const struct pbx_rooms *rooms;
	const struct pbx_taps *taps;
	const struct pbx_detector *detector;
	const struct pbx_recorder *recorder;
	const struct pbx_store *store;
	const struct pbx_bus *bus;
	const struct pbx_metrics *metrics;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	const struct pbx_secrets *secrets;
	pbx_room room;
	struct caller *callers;
};

enum { METRIC_MESSAGES, METRIC_CALLERS };

enum phase { ASKED, RECORDS, LISTENS, TALKS };

struct caller {
	struct caller *next;
	struct hotline *hotline;
	pbx_leg leg;
	pbx_call call;
	char id[27], number[64], path[4096];
	enum phase phase;
	bool gone, is_recorded; /* the leg has ended; the file is being made */
	pbx_tap tap;
	struct pbx_tap_reader *reader;
	pbx_detection detection;
	double energy;
	uint64_t samples;
	uint32_t beeps;
};

static double loudness_db(const struct caller *caller)
{
	return caller->samples ? 10 * log10(caller->energy / (double)caller->samples / (32768.0 * 32768.0) + 1e-10) : -100;
}

static void count_callers(const struct hotline *hotline)
{
	double count = 0;

	for (const struct caller *caller = hotline->callers; caller; caller = caller->next)
		count++;
	(void)hotline->metrics->set(hotline->host, METRIC_CALLERS, NULL, count);
}

static void caller_free(struct caller *caller)
{
	struct hotline *hotline = caller->hotline;
	struct caller **at = &hotline->callers;

	while (*at != caller)
		at = &(*at)->next;
	*at = caller->next;
	free(caller);
	count_callers(hotline);
}

/* ---- beside the call ------------------------------------------------------------------------------------ */

static void on_sound(void *self, pbx_tap tap)
{
	struct caller *caller = self;
	int16_t block[160];
	uint64_t at_us;

	(void)tap;
	while (caller->hotline->taps->read(caller->reader, block, &at_us) == PBX_OK)
		for (uint32_t i = 0; i < 160; i++, caller->samples++)
			caller->energy += block[i] * block[i];
}

static void on_found(void *self, pbx_detection detection, const struct pbx_detected *found)
{
	struct caller *caller = self;

	(void)detection;
	if (found->what == PBX_DETECT_BEEP)
		caller->beeps++;
}

static void listen(struct caller *caller)
{
	struct hotline *hotline = caller->hotline;
	const struct pbx_tap_spec sound = { .size = sizeof sound, .what = PBX_TAP_SAYS };
	const struct pbx_tap_watcher watcher = { .size = sizeof watcher, .ready = on_sound };
	const struct pbx_detect_spec beeps = { .size = sizeof beeps, .what = PBX_DETECT_BEEP };
	const struct pbx_detect_watcher finder = { .size = sizeof finder, .found = on_found };

	if (hotline->taps->open(hotline->host, caller->leg, &sound, &watcher, caller, &caller->tap) != PBX_OK ||
	    hotline->taps->reader(caller->tap, &caller->reader) != PBX_OK ||
	    hotline->detector->start(hotline->host, caller->leg, &beeps, &finder, caller, &caller->detection) != PBX_OK)
		pbx_warn(hotline->host, "not_listened_to", "number=%s", caller->number);
}

/* ---- the call --------------------------------------------------------------------------------------------- */

static void leave(struct caller *caller, uint32_t cause)
{
	(void)caller->hotline->calls->hangup(caller->leg, cause); /* or it is gone: as good */
}

/* duration_ms NULL: there is no message yet. */
static void tell(const struct caller *caller, const char *event, const uint64_t *duration_ms)
{
	const struct hotline *hotline = caller->hotline;
	struct pbx_json *data = hotline->json->new_object();

	(void)hotline->json->set_text(data, "message_id", caller->id);
	(void)hotline->json->set_text(data, "number", caller->number);
	if (duration_ms) {
		(void)hotline->json->set_integer(data, "duration_ms", (int64_t)*duration_ms);
		(void)hotline->json->set_number(data, "loudness_db", loudness_db(caller));
		(void)hotline->json->set_integer(data, "beeps", caller->beeps);
	}
	(void)hotline->bus->publish(hotline->host, event, caller->call, data); /* without memory the log has it */
}

static void keep(const struct caller *caller, uint64_t duration_ms)
{
	const struct hotline *hotline = caller->hotline;
	const struct pbx_value row[] = {
		pbx_v_text(caller->id),
		pbx_v_text(caller->number),
		PBX_V_INT((int64_t)duration_ms),
		PBX_V_INT(hotline->host->wall_us(hotline->host)),
		PBX_V_NUMBER(loudness_db(caller)),
		PBX_V_INT(caller->beeps),
	};

	(void)hotline->store->record(
		hotline->host,
		"INSERT INTO hotline_messages (id, number, duration_ms, left_at, loudness_db, beeps) VALUES ($1, $2, $3, $4, $5, $6)"
		" ON CONFLICT (id) DO NOTHING",
		row, sizeof row / sizeof row[0], NULL, NULL);
	tell(caller, "hotline.left", &duration_ms);
	(void)hotline->metrics->add(hotline->host, METRIC_MESSAGES, NULL, 1);
}

static void on_recorded(void *self, pbx_recording recording, const struct pbx_record_result *result)
{
	struct caller *caller = self;

	(void)recording;
	caller->is_recorded = false;
	if (result->error != PBX_OK)
		pbx_warn(caller->hotline->host, "message_lost", "path=%s error=%d", caller->path, result->error);
	if (result->duration_ms)
		keep(caller, result->duration_ms);
	if (caller->gone) {
		caller_free(caller);
		return;
	}
	caller->phase = LISTENS;
	if (!result->duration_ms || caller->hotline->calls->play(caller->leg, caller->path) != PBX_OK)
		leave(caller, PBX_CAUSE_FAILURE);
}

static void record(struct caller *caller)
{
	struct hotline *hotline = caller->hotline;
	const struct pbx_record_spec spec = {
		.size = sizeof spec,
		.what = PBX_RECORD_SAYS,
		.path = caller->path,
		.format = "wav",
		.most_ms = hotline->settings->message_s * 1000,
		.stop_keys = "#",
	};
	const struct pbx_record_watcher watcher = { .size = sizeof watcher, .done = on_recorded };
	pbx_recording recording;

	caller->phase = RECORDS;
	listen(caller);
	caller->is_recorded = hotline->recorder->record(hotline->host, caller->leg, &spec, &watcher, caller, &recording) == PBX_OK;
	if (caller->is_recorded)
		tell(caller, "hotline.recording", NULL);
	else
		leave(caller, PBX_CAUSE_FAILURE);
}

static bool is_pin(void *self, pbx_leg leg, const char *keys)
{
	const struct caller *caller = self;
	const char *pin = caller->hotline->settings->pin;

	(void)leg;
	return strlen(keys) == strlen(pin) && caller->hotline->secrets->equal(keys, pin, strlen(pin));
}

static void on_typed(void *self, pbx_leg leg, const struct pbx_collected *collected)
{
	struct caller *caller = self;

	if (collected->reason == PBX_COLLECTED_HANGUP)
		return;
	if (collected->reason != PBX_COLLECTED_DONE && collected->reason != PBX_COLLECTED_TERMINATED)
		leave(caller, PBX_CAUSE_REJECTED);
	else if (caller->hotline->calls->tone(leg, "beep") != PBX_OK)
		leave(caller, PBX_CAUSE_FAILURE);
}

static void on_answered(void *self, pbx_leg leg)
{
	struct caller *caller = self;
	struct hotline *hotline = caller->hotline;
	const struct pbx_say greeting = { .kind = PBX_SAY_TEXT, .text = hotline->settings->greeting };
	const struct pbx_collect wish = {
		.size = sizeof wish,
		.flags = PBX_COLLECT_SECRET,
		.prompt = &greeting,
		.prompt_count = 1,
		.least = 4,
		.most = 8,
		.tries = 3,
		.accept = is_pin,
		.done = on_typed,
	};

	if (hotline->calls->collect(leg, &wish, caller) != PBX_OK)
		leave(caller, PBX_CAUSE_FAILURE);
}

static void on_media_done(void *self, pbx_leg leg)
{
	struct caller *caller = self;
	const struct pbx_room_part part = { .size = sizeof part, .role = PBX_ROOM_BOTH };

	switch (caller->phase) {
	case ASKED: /* the beep is over */
		record(caller);
		break;
	case LISTENS:
		caller->phase = TALKS;
		if (caller->hotline->rooms->add(caller->hotline->room, leg, &part) != PBX_OK)
			leave(caller, PBX_CAUSE_FAILURE);
		break;
	default:
		break;
	}
}

static void caller_end(struct caller *caller)
{
	struct hotline *hotline = caller->hotline;

	(void)hotline->taps->close(caller->tap);
	(void)hotline->detector->stop(caller->detection);
	caller->gone = true;
	if (!caller->is_recorded)
		caller_free(caller);
}

static void on_ended(void *self, pbx_leg leg, uint32_t cause)
{
	(void)leg, (void)cause;
	caller_end(self);
}

static void on_lost(void *self, pbx_leg leg)
{
	(void)leg;
	caller_end(self);
}

static const struct pbx_controller controller = {
	.size = sizeof controller,
	.answered = on_answered,
	.media_done = on_media_done,
	.lost = on_lost,
	.ended = on_ended,
};

static void on_dialled(void *self, pbx_leg leg)
{
	struct hotline *hotline = self;
	struct pbx_leg_info info = { .size = sizeof info };
	struct caller *caller = calloc(1, sizeof *caller);

	if (!caller || hotline->calls->info(leg, &info) != PBX_OK) {
		free(caller);
		return;
	}
	*caller = (struct caller){ .next = hotline->callers, .hotline = hotline, .leg = leg, .call = info.call };
	hotline->callers = caller;
	hotline->host->ulid(hotline->host, caller->id);
	(void)snprintf(caller->number, sizeof caller->number, "%s", info.number);
	(void)snprintf(caller->path, sizeof caller->path, "%s/%s.wav", hotline->host->data_dir(hotline->host), caller->id);
	count_callers(hotline);
	if (hotline->calls->control(hotline->host, leg, &controller, caller) != PBX_OK)
		caller_free(caller);
	else if (hotline->calls->answer(leg) != PBX_OK)
		leave(caller, PBX_CAUSE_FAILURE);
}

/* ---- REST and pbxctl ------------------------------------------------------------------------------------------ */

struct asking {
	struct hotline *hotline;
	pbx_request request;
};

static struct pbx_json *message_json(const struct pbx_jsons *json, const struct pbx_rows *rows, uint32_t row)
{
	struct pbx_json *item = json->new_object();

	(void)json->set_text(item, "id", pbx_cell_text(rows, row, 0));
	(void)json->set_text(item, "number", pbx_cell_text(rows, row, 1));
	(void)json->set_integer(item, "duration_ms", pbx_cell_int(rows, row, 2));
	(void)json->set_time(item, "left_at", pbx_cell_int(rows, row, 3));
	(void)json->set_number(item, "loudness_db", pbx_cell(rows, row, 4)->as.number);
	(void)json->set_integer(item, "beeps", pbx_cell_int(rows, row, 5));
	(void)json->set_text(item, "note", pbx_cell_text(rows, row, 6));
	return item;
}

#define COLUMNS "id, number, duration_ms, left_at, loudness_db, beeps, note"

static void on_list_rows(void *self, const struct pbx_rows *rows)
{
	struct asking *asking = self;
	const struct pbx_jsons *json = asking->hotline->json;
	struct pbx_json *answer = json->new_object(), *items = json->new_array();

	for (uint32_t i = 0; rows->status == PBX_OK && i < rows->count; i++)
		(void)json->append(items, message_json(json, rows, i));
	(void)json->set(answer, "items", items);
	if (rows->status == PBX_OK) {
		(void)asking->hotline->requests->reply(asking->request, 200, answer);
	} else {
		json->free(answer);
		(void)asking->hotline->requests->fail(asking->request, 503, "store_away", NULL,
						      "the database does not answer, try again later");
	}
	free(asking);
}

static void on_one_row(void *self, const struct pbx_rows *rows)
{
	struct asking *asking = self;

	if (rows->status != PBX_OK)
		(void)asking->hotline->requests->fail(asking->request, 503, "store_away", NULL,
						      "the database does not answer, try again later");
	else if (rows->count == 0)
		(void)asking->hotline->requests->fail(asking->request, 404, "no_such_message", "id", "there is no such message");
	else
		(void)asking->hotline->requests->reply(asking->request, 200, message_json(asking->hotline->json, rows, 0));
	free(asking);
}

static void on_deleted(void *self, const struct pbx_rows *rows)
{
	struct asking *asking = self;
	char path[4096];

	if (rows->status != PBX_OK) {
		(void)asking->hotline->requests->fail(asking->request, 503, "store_away", NULL,
						      "the database does not answer, try again later");
	} else if (rows->count == 0) {
		(void)asking->hotline->requests->fail(asking->request, 404, "no_such_message", "id", "there is no such message");
	} else {
		(void)snprintf(path, sizeof path, "%s/%s.wav", asking->hotline->host->data_dir(asking->hotline->host),
			       pbx_cell_text(rows, 0, 0));
		(void)unlink(path);
		(void)asking->hotline->requests->reply(asking->request, 204, NULL);
	}
	free(asking);
}

static void ask(struct hotline *hotline, pbx_request request, const char *sql, const struct pbx_value *params, uint32_t count,
		pbx_rows_fn done)
{
	struct asking *asking = calloc(1, sizeof *asking);

	if (asking)
		*asking = (struct asking){ hotline, request };
	if (asking && hotline->store->run(hotline->host, sql, params, count, done, asking) == PBX_OK)
		return;
	free(asking);
	(void)hotline->requests->fail(request, 503, "busy", NULL, "too much is going on, try again later");
}

static void on_list(void *self, pbx_request request)
{
	ask(self, request, "SELECT " COLUMNS " FROM hotline_messages ORDER BY id", NULL, 0, on_list_rows);
}

static void on_get(void *self, pbx_request request)
{
	struct hotline *hotline = self;
	const struct pbx_value id = pbx_v_text(hotline->requests->text(request, "id"));

	ask(hotline, request, "SELECT " COLUMNS " FROM hotline_messages WHERE id = $1", &id, 1, on_one_row);
}

static void on_note(void *self, pbx_request request)
{
	struct hotline *hotline = self;
	const struct pbx_value params[] = { pbx_v_text(hotline->requests->text(request, "id")),
					    pbx_v_text(hotline->requests->text(request, "note")) };

	ask(hotline, request, "UPDATE hotline_messages SET note = $2 WHERE id = $1 RETURNING " COLUMNS, params, 2, on_one_row);
}

static void on_delete(void *self, pbx_request request)
{
	struct hotline *hotline = self;
	const struct pbx_value id = pbx_v_text(hotline->requests->text(request, "id"));

	ask(hotline, request, "DELETE FROM hotline_messages WHERE id = $1 RETURNING id", &id, 1, on_deleted);
}

/* ---- the card ----------------------------------------------------------------------------------------------- */

static int hotline_load(void *self)
{
	struct hotline *hotline = self;
	struct pbx_host *host = hotline->host;

	hotline->calls = pbx_calls(host);
	hotline->rooms = pbx_rooms(host);
	hotline->taps = pbx_taps(host);
	hotline->detector = pbx_detector(host);
	hotline->recorder = pbx_recorder(host);
	hotline->store = pbx_store(host);
	hotline->bus = pbx_bus(host);
	hotline->metrics = pbx_metrics(host);
	hotline->requests = pbx_requests(host);
	hotline->json = pbx_jsons(host);
	hotline->secrets = pbx_secrets(host);
	return host->data_dir(host) ? PBX_OK : PBX_EIO;
}

static int hotline_start(void *self)
{
	struct hotline *hotline = self;
	const struct pbx_room_spec spec = { .size = sizeof spec, .name = "hotline" };
	int err = hotline->rooms->open(hotline->host, &spec, NULL, NULL, &hotline->room);

	return err == PBX_OK ? hotline->calls->claim(hotline->host, "*57", on_dialled, self) : err;
}

static void hotline_stop(void *self)
{
	struct hotline *hotline = self;

	while (hotline->callers) {
		hotline->callers->is_recorded = false; /* nobody will tell */
		caller_end(hotline->callers);
	}
}

static int hotline_settings_check(const void *settings, struct pbx_diag *diag)
{
	const struct settings *proposed = settings;

	if (strspn(proposed->pin, "0123456789") == strlen(proposed->pin))
		return PBX_OK;
	pbx_diag_set(diag, "pin", "a PIN is typed on a phone: digits only");
	return PBX_EINVAL;
}

static const struct pbx_setting settings[] = {
	PBX_SECRET(struct settings, pin, .initial_text = "1234", .least = 4, .most = 8, .help = "What callers of *57 type"),
	PBX_TEXT(struct settings, greeting, .initial_text = "Welcome. Please type your PIN.", .least = 1, .most = PBX_MOST_TEXT,
		 .help = "What they hear first"),
	PBX_UINT(struct settings, message_s, .initial = 60, .least = 2, .most = 600, .unit = "s", .help = "How long a message may be"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "messages",
	  "CREATE TABLE hotline_messages (id TEXT PRIMARY KEY, number TEXT NOT NULL, duration_ms INTEGER NOT NULL, left_at INTEGER NOT "
	  "NULL,"
	  " loudness_db DOUBLE PRECISION NOT NULL, beeps INTEGER NOT NULL)" },
	{ 2, "notes", "ALTER TABLE hotline_messages ADD COLUMN note TEXT NOT NULL DEFAULT ''" },
};

static const struct pbx_metric metrics[] = {
	[METRIC_MESSAGES] = { .name = "pbx_hotline_messages_total", .kind = PBX_METRIC_COUNTER, .help = "Messages left" },
	[METRIC_CALLERS] = { .name = "pbx_hotline_callers", .kind = PBX_METRIC_GAUGE, .help = "Callers at the moment" },
};

static const struct pbx_field left[] = {
	{ "message_id", PBX_TYPE_TEXT, "Its id" },
	{ "number", PBX_TYPE_TEXT, "Who left it" },
	{ "duration_ms", PBX_TYPE_INT, "Its length" },
	{ "loudness_db", PBX_TYPE_NUMBER, "Mean level, dB of full scale" },
	{ "beeps", PBX_TYPE_INT, "Beeps heard on the line" },
};
static const struct pbx_field recording[] = { { "message_id", PBX_TYPE_TEXT, "Its id" }, { "number", PBX_TYPE_TEXT, "Who leaves it" } };
static const struct pbx_event_type events[] = {
	{ "hotline.recording", "Somebody begins to leave a message", PBX_TABLE(recording) },
	{ "hotline.left", "Somebody has left a message", PBX_TABLE(left) },
};

static const struct pbx_field message[] = {
	{ "id", PBX_TYPE_TEXT, "Its id" },
	{ "number", PBX_TYPE_TEXT, "Who left it" },
	{ "duration_ms", PBX_TYPE_INT, "Its length" },
	{ "left_at", PBX_TYPE_TIME, "When" },
	{ "loudness_db", PBX_TYPE_NUMBER, "Mean level, dB of full scale" },
	{ "beeps", PBX_TYPE_INT, "Beeps heard on the line" },
	{ "note", PBX_TYPE_TEXT, "What somebody noted about it" },
};
static const struct pbx_arg id_args[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Which" },
};
static const struct pbx_arg note_args[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Which" },
	{ .name = "note",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED | PBX_ARG_REST,
	  .help = "What there is to say",
	  .least = 0,
	  .most = 200 },
};
#define MESSAGES "/hotline/messages"
static const struct pbx_route routes[] = {
	{ "GET", MESSAGES, on_list, "hotline:read", "Messages, oldest first", 0, { NULL, 0, 0 }, PBX_TABLE(message) },
	{ "GET", MESSAGES "/{id}", on_get, "hotline:read", "A message", 0, PBX_TABLE(id_args), PBX_TABLE(message) },
	{ "PUT", MESSAGES "/{id}", on_note, "hotline:write", "Notes something about a message", PBX_ROUTE_WRITES, PBX_TABLE(note_args),
	  PBX_TABLE(message) },
	{ "DELETE",
	  MESSAGES "/{id}",
	  on_delete,
	  "hotline:write",
	  "Deletes a message",
	  PBX_ROUTE_WRITES,
	  PBX_TABLE(id_args),
	  { NULL, 0, 0 } },
};
static const struct pbx_command commands[] = {
	{ "hotline list", on_list, "Messages, oldest first", { NULL, 0, 0 }, "id,number,duration_ms,left_at,note", 0 },
	{ "hotline note", on_note, "Notes something about a message", PBX_TABLE(note_args), NULL, 0 },
	{ "hotline delete", on_delete, "Deletes a message", PBX_TABLE(id_args), NULL, 0 },
};

PBX_PLUGIN(hotline)
= {
	PBX_PLUGIN_HEADER,
	.name = "hotline",
	.version = VERSION,
	.summary = "Dial *57 and leave a message",
	.needs = PBX_NEEDS("pbx.bus/1", "pbx.calls/1", "pbx.detect/1", "pbx.json/1", "pbx.metrics/1", "pbx.prompts/1", "pbx.recorder/1",
			   "pbx.requests/1", "pbx.rooms/1", "pbx.secrets/1", "pbx.store/1", "pbx.tap/1"),
	.instance_size = sizeof(struct hotline),
	PBX_SETTINGS(struct settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = hotline_load,
	.start = hotline_start,
	.stop = hotline_stop,
	.settings_check = hotline_settings_check,
};
