/*
 * milliwatt - dial *55 and hear a tone of known pitch, to judge a line by
 *
 * What telephone companies call a milliwatt line. The tone is a file that we write when we are loaded and when the pitch is set
 * anew; a caller hears it once, then we hang up. Every test of a line leaves a row. Written as a stranger would: against the
 * installed headers and nothing else. Built with -DVERSION_2 it sounds the octave too.
 */
#include <math.h>
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/metrics.h>
#include <pbx/requests.h>
#include <pbx/store.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef VERSION_2
#define VERSION "2.0.0"
#define OCTAVE 1
#else
#define VERSION "1.0.0"
#define OCTAVE 0
#endif
#define RATE_HZ 8000u
#define PEAK 4000.0

struct settings {
	uint32_t frequency_hz, duration_s;
};

struct milliwatt {
	PBX_INSTANCE(struct settings);
	const struct pbx_calls *calls;
	const struct pbx_store *store;
	const struct pbx_bus *bus;
	const struct pbx_metrics *metrics;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	struct tone *tone;    /* what callers hear */
	struct visit *visits; /* who hears it now */
};

enum { METRIC_TESTS };

/* ---- the tone: written in the pool, used on the loop ---------------------------------------------------- */

struct tone {
	uint32_t frequency_hz, duration_s;
	bool is_first, failed;
	char path[4096];
};

static struct tone *tone_new(struct milliwatt *milliwatt, const struct settings *settings)
{
	const char *folder = milliwatt->host->data_dir(milliwatt->host);
	struct tone *tone = folder ? calloc(1, sizeof *tone) : NULL;

	if (!tone)
		return NULL;
	tone->frequency_hz = settings->frequency_hz;
	tone->duration_s = settings->duration_s;
	/* The folder is shared with other versions of us: the name says whose it is. */
	(void)snprintf(tone->path, sizeof tone->path, "%s/%s-%uhz-%us.wav", folder, VERSION, tone->frequency_hz, tone->duration_s);
	return tone;
}

static void put_le(unsigned char *at, uint32_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (unsigned char)(value >> 8 * i);
}

static bool write_wav(const struct tone *tone, FILE *file)
{
	uint32_t samples = tone->duration_s * RATE_HZ;
	unsigned char head[44] = "RIFF----WAVEfmt ", frame[2];

	put_le(head + 4, 36 + 2 * samples, 4);
	put_le(head + 16, 16, 4); /* size of the format */
	put_le(head + 20, 1, 2);  /* PCM */
	put_le(head + 22, 1, 2);  /* mono */
	put_le(head + 24, RATE_HZ, 4);
	put_le(head + 28, 2 * RATE_HZ, 4);
	put_le(head + 32, 2, 2); /* bytes a frame */
	put_le(head + 34, 16, 2);
	memcpy(head + 36, "data", 4);
	put_le(head + 40, 2 * samples, 4);
	bool ok = fwrite(head, sizeof head, 1, file) == 1;
	for (uint32_t i = 0; ok && i < samples; i++) {
		double phase = 2 * M_PI * tone->frequency_hz * i / RATE_HZ;

		put_le(frame, (uint32_t)(int32_t)lrint(PEAK * (sin(phase) + OCTAVE * sin(2 * phase))), 2);
		ok = fwrite(frame, sizeof frame, 1, file) == 1;
	}
	return ok;
}

/* [work] */
static void tone_write(void *job)
{
	struct tone *tone = job;
	char part[sizeof tone->path + 8];

	if (access(tone->path, R_OK) == 0)
		return; /* from an earlier start */
	(void)snprintf(part, sizeof part, "%s.part", tone->path);
	FILE *file = fopen(part, "wb");
	bool ok = file && write_wav(tone, file);
	if (file && fclose(file) != 0)
		ok = false;
	tone->failed = !ok || rename(part, tone->path) != 0;
}

static void on_tone_written(void *self, void *job, int status)
{
	struct milliwatt *milliwatt = self;
	struct tone *tone = job;
	bool is_first = tone->is_first;
	int result = status != PBX_OK ? status : tone->failed ? PBX_EIO : PBX_OK;

	if (result == PBX_OK) {
		struct pbx_json *data = milliwatt->json->new_object();

		(void)milliwatt->json->set_integer(data, "frequency_hz", tone->frequency_hz);
		free(milliwatt->tone);
		milliwatt->tone = tone;
		if (!is_first) /* while we load nobody may be told yet */
			(void)milliwatt->bus->publish(milliwatt->host, "milliwatt.tuned", (pbx_call){ 0 }, data);
		else
			milliwatt->json->free(data);
	} else {
		pbx_warn(milliwatt->host, "tone_not_written", "path=%s", tone->path);
		free(tone);
	}
	if (is_first)
		milliwatt->host->ready(milliwatt->host, result, "the tone cannot be written");
}

/* ---- a test of a line ----------------------------------------------------------------------------------- */

struct visit {
	struct visit *next;
	struct milliwatt *milliwatt;
	char number[64];
	uint32_t frequency_hz;
	uint64_t answered_at_ms;
};

static void visit_record(const struct visit *visit, uint64_t heard_ms)
{
	const struct milliwatt *milliwatt = visit->milliwatt;
	struct pbx_json *data = milliwatt->json->new_object();
	char id[27];

	milliwatt->host->ulid(milliwatt->host, id);
	const struct pbx_value row[] = {
		pbx_v_text(id),
		pbx_v_text(visit->number),
		PBX_V_INT(visit->frequency_hz),
		PBX_V_INT((int64_t)heard_ms),
		PBX_V_INT(milliwatt->host->wall_us(milliwatt->host)),
#ifdef VERSION_2
		PBX_V_INT(OCTAVE),
#endif
	};
	(void)milliwatt->store->record(milliwatt->host,
#ifdef VERSION_2
				       "INSERT INTO milliwatt_tests (id, number, frequency_hz, heard_ms, ended_at, octave)"
				       " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
#else
				       "INSERT INTO milliwatt_tests (id, number, frequency_hz, heard_ms, ended_at) VALUES ($1, $2, $3, $4, "
				       "$5)"
				       " ON CONFLICT (id) DO NOTHING",
#endif
				       row, sizeof row / sizeof row[0], NULL, NULL); /* the host logs what fails */
	(void)milliwatt->json->set_text(data, "number", visit->number);
	(void)milliwatt->json->set_integer(data, "frequency_hz", visit->frequency_hz);
	(void)milliwatt->json->set_integer(data, "heard_ms", (int64_t)heard_ms);
	(void)milliwatt->bus->publish(milliwatt->host, "milliwatt.tested", (pbx_call){ 0 }, data);
	(void)milliwatt->metrics->add(milliwatt->host, METRIC_TESTS, NULL, 1);
}

static void on_answered(void *self, pbx_leg leg)
{
	struct visit *visit = self;
	struct milliwatt *milliwatt = visit->milliwatt;

	visit->answered_at_ms = milliwatt->host->now_ms(milliwatt->host);
	visit->frequency_hz = milliwatt->tone->frequency_hz;
	if (milliwatt->calls->play(leg, milliwatt->tone->path) != PBX_OK)
		(void)milliwatt->calls->hangup(leg, PBX_CAUSE_FAILURE); /* or it is gone: as good */
}

static void on_media_done(void *self, pbx_leg leg)
{
	const struct visit *visit = self;

	(void)visit->milliwatt->calls->hangup(leg, PBX_CAUSE_NORMAL); /* or it is gone: as good */
}

static void visit_end(struct visit *visit)
{
	struct visit **at = &visit->milliwatt->visits;

	if (visit->answered_at_ms)
		visit_record(visit, visit->milliwatt->host->now_ms(visit->milliwatt->host) - visit->answered_at_ms);
	while (*at != visit)
		at = &(*at)->next;
	*at = visit->next;
	free(visit);
}

static void on_ended(void *self, pbx_leg leg, uint32_t cause)
{
	(void)leg, (void)cause;
	visit_end(self);
}

static void on_lost(void *self, pbx_leg leg)
{
	(void)leg;
	visit_end(self);
}

static const struct pbx_controller controller = {
	.size = sizeof controller,
	.answered = on_answered,
	.media_done = on_media_done,
	.lost = on_lost,
	.ended = on_ended,
};

static void on_dial(void *self, pbx_leg leg)
{
	struct milliwatt *milliwatt = self;
	struct pbx_leg_info info = { .size = sizeof info };
	struct visit *visit = calloc(1, sizeof *visit);

	if (!visit || milliwatt->calls->info(leg, &info) != PBX_OK) {
		free(visit);
		return; /* the caller gets 500 */
	}
	*visit = (struct visit){ .next = milliwatt->visits, .milliwatt = milliwatt };
	milliwatt->visits = visit;
	(void)snprintf(visit->number, sizeof visit->number, "%s", info.number);
	if (milliwatt->calls->control(milliwatt->host, leg, &controller, visit) != PBX_OK)
		visit_end(visit);
	else if (milliwatt->calls->answer(leg) != PBX_OK)
		(void)milliwatt->calls->hangup(leg, PBX_CAUSE_FAILURE); /* or it is gone: as good */
}

/* ---- who has tested --------------------------------------------------------------------------------------- */

struct question {
	const struct milliwatt *milliwatt;
	pbx_request request;
};

static struct pbx_json *list_rows(const struct pbx_jsons *json, const struct pbx_rows *rows)
{
	struct pbx_json *answer = json->new_object(), *items = json->new_array();

	for (uint32_t i = 0; i < rows->count; i++) {
		struct pbx_json *item = json->new_object();

		(void)json->set_text(item, "number", pbx_cell_text(rows, i, 0));
		(void)json->set_integer(item, "frequency_hz", pbx_cell_int(rows, i, 1));
		(void)json->set_integer(item, "heard_ms", pbx_cell_int(rows, i, 2));
		(void)json->set_time(item, "ended_at", pbx_cell_int(rows, i, 3));
		(void)json->append(items, item);
	}
	(void)json->set(answer, "items", items);
	return answer;
}

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct question *question = self;
	const struct pbx_requests *requests = question->milliwatt->requests;

	if (rows->status == PBX_OK)
		(void)requests->reply(question->request, 200, list_rows(question->milliwatt->json, rows)); /* or they have gone */
	else
		(void)requests->fail(question->request, 503, "store_away", NULL, "the database does not answer, try again later");
	free(question);
}

static void on_list(void *self, pbx_request request)
{
	struct milliwatt *milliwatt = self;
	const struct pbx_value limit = PBX_V_INT(milliwatt->requests->integer(request, "limit", 50));
	struct question *question = calloc(1, sizeof *question);

	if (question)
		*question = (struct question){ milliwatt, request };
	if (question &&
	    milliwatt->store->run(milliwatt->host,
				  "SELECT number, frequency_hz, heard_ms, ended_at FROM milliwatt_tests ORDER BY id DESC LIMIT $1", &limit,
				  1, on_rows, question) == PBX_OK)
		return;
	free(question);
	(void)milliwatt->requests->fail(request, 503, "no_memory", NULL, "out of memory, try again later");
}

/* ---- the card ----------------------------------------------------------------------------------------------- */

static int milliwatt_load(void *self)
{
	struct milliwatt *milliwatt = self;
	struct pbx_host *host = milliwatt->host;

	milliwatt->calls = pbx_calls(host);
	milliwatt->store = pbx_store(host);
	milliwatt->bus = pbx_bus(host);
	milliwatt->metrics = pbx_metrics(host);
	milliwatt->requests = pbx_requests(host);
	milliwatt->json = pbx_jsons(host);
	struct tone *tone = tone_new(milliwatt, milliwatt->settings);
	if (!tone)
		return PBX_ENOMEM;
	tone->is_first = true;
	int err = host->work(host, tone_write, on_tone_written, tone);
	if (err != PBX_OK)
		free(tone);
	return err == PBX_OK ? PBX_ELATER : err;
}

static int milliwatt_start(void *self)
{
	struct milliwatt *milliwatt = self;

	return milliwatt->calls->claim(milliwatt->host, "*55", on_dial, milliwatt);
}

/* Callers hear the old tone until the new one is written. */
static int milliwatt_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	struct milliwatt *milliwatt = self;
	struct tone *tone = tone_new(milliwatt, proposed);

	if (tone && milliwatt->host->work(milliwatt->host, tone_write, on_tone_written, tone) == PBX_OK)
		return PBX_OK;
	free(tone);
	pbx_diag_set(diag, "", "out of memory");
	return PBX_ENOMEM;
}

/* The legs we still control end now, and nobody calls us any more to say so. */
static void milliwatt_stop(void *self)
{
	struct milliwatt *milliwatt = self;

	while (milliwatt->visits)
		visit_end(milliwatt->visits);
}

static void milliwatt_unload(void *self)
{
	struct milliwatt *milliwatt = self;

	free(milliwatt->tone);
}

static const struct pbx_setting settings[] = {
	PBX_UINT(struct settings, frequency_hz, .initial = 1000, .least = 200, .most = 1700, .unit = "Hz", .help = "Pitch of the tone"),
	PBX_UINT(struct settings, duration_s, .initial = 60, .least = 1, .most = 600, .unit = "s", .help = "How long it sounds"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "tests",
	  "CREATE TABLE milliwatt_tests (id TEXT PRIMARY KEY, number TEXT NOT NULL, frequency_hz INTEGER NOT NULL, heard_ms INTEGER NOT "
	  "NULL,"
	  " ended_at INTEGER NOT NULL)" },
#ifdef VERSION_2
	{ 2, "octave", "ALTER TABLE milliwatt_tests ADD COLUMN octave INTEGER NOT NULL DEFAULT 0" },
#endif
};

static const struct pbx_metric metrics[] = {
	[METRIC_TESTS] = { .name = "pbx_milliwatt_tests_total", .kind = PBX_METRIC_COUNTER, .help = "Lines tested" },
};

static const struct pbx_field tested[] = {
	{ "number", PBX_TYPE_TEXT, "Who listened" },
	{ "frequency_hz", PBX_TYPE_INT, "Pitch of the tone" },
	{ "heard_ms", PBX_TYPE_INT, "For how long" },
};
static const struct pbx_field tuned[] = { { "frequency_hz", PBX_TYPE_INT, "Pitch of the tone" } };
static const struct pbx_event_type events[] = {
	{ "milliwatt.tested", "Somebody has tested a line", PBX_TABLE(tested) },
	{ "milliwatt.tuned", "The tone has a new pitch from now on", PBX_TABLE(tuned) },
};

static const struct pbx_arg list_args[] = {
	{ .name = "limit", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .least = 1, .most = 500, .help = "At most so many (50)" },
};
static const struct pbx_field list_reply[] = {
	{ "number", PBX_TYPE_TEXT, "Who listened" },
	{ "frequency_hz", PBX_TYPE_INT, "Pitch of the tone" },
	{ "heard_ms", PBX_TYPE_INT, "For how long" },
	{ "ended_at", PBX_TYPE_TIME, "Until when" },
};
static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/milliwatt/tests",
	  .handle = on_list,
	  .scope = "milliwatt:read",
	  .summary = "Lines tested, newest first",
	  .args = PBX_TABLE(list_args),
	  .reply = PBX_TABLE(list_reply) },
};
static const struct pbx_command commands[] = {
	{ .words = "milliwatt list",
	  .handle = on_list,
	  .help = "Lines tested, newest first",
	  .args = PBX_TABLE(list_args),
	  .columns = "number,frequency_hz,heard_ms,ended_at" },
};

PBX_PLUGIN(milliwatt)
= {
	PBX_PLUGIN_HEADER,
	.name = "milliwatt",
	.version = VERSION,
	.summary = "Dial *55 and hear a tone of known pitch",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.store/1", "pbx.bus/1", "pbx.metrics/1", "pbx.requests/1", "pbx.json/1"),
	.instance_size = sizeof(struct milliwatt),
	PBX_SETTINGS(struct settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = milliwatt_load,
	.start = milliwatt_start,
	.reload = milliwatt_reload,
	.stop = milliwatt_stop,
	.unload = milliwatt_unload,
};
