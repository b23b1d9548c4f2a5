/*
 * figures - what trunks did: metrics for the moment, and a row for each trunk and day for reports
 *
 * Tries of outgoing calls come from signalling, one by one; channels and seconds from the events of legs, which name their trunk in both
 * directions. A row may be written again and again: it only adds up.
 */
#include "sip_trunk.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_US INT64_C(86400000000)

const struct pbx_metric trunk_metrics[METRICS] = {
	[METRIC_ATTEMPTS] = { .name = "pbx_trunk_attempts_total",
			      .kind = PBX_METRIC_COUNTER,
			      .help = "Tries of outgoing calls: answered, refused by the callee or given up, failed by the trunk",
			      .labels = "trunk,result" },
	[METRIC_ARRIVALS] = { .name = "pbx_trunk_arrivals_total",
			      .kind = PBX_METRIC_COUNTER,
			      .help = "Calls that came in",
			      .labels = "trunk" },
	[METRIC_CHANNELS] = { .name = "pbx_trunk_channels",
			      .kind = PBX_METRIC_GAUGE,
			      .help = "Calls now, in both directions",
			      .labels = "trunk" },
	[METRIC_UP] = { .name = "pbx_trunk_up",
			.kind = PBX_METRIC_GAUGE,
			.help = "1: registered, or its provider answers",
			.labels = "trunk" },
	[METRIC_REGISTRATIONS] = { .name = "pbx_trunk_registrations_total",
				   .kind = PBX_METRIC_COUNTER,
				   .help = "REGISTERs: accepted, failed",
				   .labels = "trunk,result" },
	[METRIC_SETUP] = { .name = "pbx_trunk_setup_seconds",
			   .kind = PBX_METRIC_HISTOGRAM,
			   .help = "From the INVITE to the first ringing, or the answer",
			   .labels = "trunk",
			   .buckets = "0.1,0.25,0.5,1,2,4,8,16" },
	[METRIC_FAILOVERS] = { .name = "pbx_trunk_failovers_total",
			       .kind = PBX_METRIC_COUNTER,
			       .help = "Calls that went on to another trunk",
			       .labels = "trunk" },
};

/* A thousand trunks fill a family: what has no place in it is not counted, and the rows of the day still are. */
static void count(const struct sip_trunk *plugin, uint32_t metric, const char *trunk_id, const char *result)
{
	char labels[ID_SIZE + 16];

	(void)snprintf(labels, sizeof labels, "%s%s%s", trunk_id, result ? "," : "", result ? result : "");
	(void)plugin->metrics->add(plugin->host, metric, labels, 1);
}

struct day {
	int64_t attempts, answered, failed, pdd_ms, inbound, seconds;
};

static void add_to_day(const struct sip_trunk *plugin, const char *trunk_id, const struct day *more)
{
	const struct pbx_value params[] = {
		pbx_v_text(trunk_id),      PBX_V_INT(plugin->host->wall_us(plugin->host) / DAY_US),
		PBX_V_INT(more->attempts), PBX_V_INT(more->answered),
		PBX_V_INT(more->failed),   PBX_V_INT(more->pdd_ms),
		PBX_V_INT(more->inbound),  PBX_V_INT(more->seconds),
	};

	(void)plugin->store->run(
		plugin->host,
		"INSERT INTO sip_trunk_stats (trunk_id, day, attempts, answered, failed, pdd_ms_sum, inbound, seconds)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (trunk_id, day) DO UPDATE SET"
		" attempts = sip_trunk_stats.attempts + $3, answered = sip_trunk_stats.answered + $4, failed = sip_trunk_stats.failed + $5,"
		" pdd_ms_sum = sip_trunk_stats.pdd_ms_sum + $6, inbound = sip_trunk_stats.inbound + $7,"
		" seconds = sip_trunk_stats.seconds + $8",
		params, sizeof params / sizeof params[0], NULL, NULL); /* a count that is lost is logged by the store */
}

void figures_attempt(const struct trunk *trunk, bool answered, bool failed, uint32_t pdd_ms)
{
	const struct sip_trunk *plugin = trunk->plugin;
	const struct day more = { .attempts = 1, .answered = answered, .failed = failed, .pdd_ms = pdd_ms };

	count(plugin, METRIC_ATTEMPTS, trunk->is.id, answered ? "answered" : failed ? "failed" : "refused");
	if (!failed)
		(void)plugin->metrics->observe(plugin->host, METRIC_SETUP, trunk->is.id, pdd_ms / 1000.0); /* as in count() */
	add_to_day(plugin, trunk->is.id, &more);
}

void figures_state(const struct trunk *trunk)
{
	const struct sip_trunk *plugin = trunk->plugin;
	uint32_t status = trunk_status(trunk);
	bool is_up = status == STATUS_REGISTERED || status == STATUS_DEGRADED;

	(void)plugin->metrics->set(plugin->host, METRIC_UP, trunk->is.id, is_up); /* as in count() */
}

static void on_leg(void *self, const struct pbx_event *event)
{
	struct sip_trunk *plugin = self;
	const struct pbx_jsons *json = plugin->json;
	const char *trunk_id = json->text(json->get(event->data, "trunk_id"));
	const char *direction = json->text(json->get(event->data, "direction"));
	bool began = strcmp(event->type, "leg.started") == 0, arrives = began && direction && strcmp(direction, "inbound") == 0;

	if (!trunk_id || !trunk_find(plugin, trunk_id))
		return;
	(void)plugin->metrics->set(plugin->host, METRIC_CHANNELS, trunk_id, trunk_channels(trunk_find(plugin, trunk_id)));
	if (arrives)
		count(plugin, METRIC_ARRIVALS, trunk_id, NULL);
	const struct day more = { .inbound = arrives, .seconds = began ? 0 : json->integer(json->get(event->data, "talk_ms"), 0) / 1000 };
	if (more.inbound || more.seconds)
		add_to_day(plugin, trunk_id, &more);
}

int figures_start(struct sip_trunk *plugin)
{
	pbx_subscription subscription;

	return plugin->bus->subscribe(plugin->host, "leg.started,leg.ended", on_leg, plugin, &subscription);
}

/* ---- days ----------------------------------------------------------------------------- */

struct question {
	struct sip_trunk *plugin;
	pbx_request request;
};

static struct pbx_json *day_json(const struct sip_trunk *plugin, const struct pbx_rows *rows, uint32_t row)
{
	static const char *const names[] = { "attempts", "answered", "failed", "inbound", "seconds" };
	const struct pbx_jsons *json = plugin->json;
	struct pbx_json *object = json->new_object();
	time_t day_s = (time_t)(pbx_cell_int(rows, row, 0) * 86400);
	int64_t went_through = pbx_cell_int(rows, row, 1) - pbx_cell_int(rows, row, 3);
	char date[16] = "";
	struct tm utc;

	if (gmtime_r(&day_s, &utc))
		(void)strftime(date, sizeof date, "%Y-%m-%d", &utc);
	(void)json->set_text(object, "day", date);
	for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++)
		(void)json->set_integer(object, names[i], pbx_cell_int(rows, row, i + 1));
	(void)json->set_number(object, "average_setup_time",
			       went_through > 0 ? (double)pbx_cell_int(rows, row, 6) / (double)went_through / 1000.0 : 0);
	return object;
}

static void on_days(void *self, const struct pbx_rows *rows)
{
	struct question *question = self;
	struct sip_trunk *plugin = question->plugin;
	struct pbx_json *list = rows->status == PBX_OK ? plugin->json->new_array() : NULL;

	for (uint32_t i = 0; list && i < rows->count; i++)
		(void)plugin->json->append(list, day_json(plugin, rows, i));
	if (list)
		(void)plugin->requests->reply(question->request, 200, list); /* the asker may have left */
	else
		(void)plugin->requests->fail(question->request, 503, "store_unavailable", NULL, "cannot be read now: %s", rows->error);
	free(question);
}

void trunk_statistics(void *self, pbx_request request)
{
	struct sip_trunk *plugin = self;
	const char *id = plugin->requests->text(request, "trunk_id");
	int64_t today = plugin->host->wall_us(plugin->host) / DAY_US;
	const struct pbx_value params[] = { pbx_v_text(id), PBX_V_INT(today - plugin->requests->integer(request, "days", 30)) };
	struct question *question = record_find(plugin, KIND_TRUNK, id) ? malloc(sizeof *question) : NULL;

	if (!record_find(plugin, KIND_TRUNK, id)) {
		(void)plugin->requests->fail(request, 404, "not_found", "trunk_id", "there is no trunk %s", id);
		return;
	}
	if (question) {
		*question = (struct question){ plugin, request };
		if (plugin->store->run(plugin->host,
				       "SELECT day, attempts, answered, failed, inbound, seconds, pdd_ms_sum FROM sip_trunk_stats"
				       " WHERE trunk_id = $1 AND day > $2 ORDER BY day DESC",
				       params, 2, on_days, question) == PBX_OK)
			return;
	}
	free(question);
	(void)plugin->requests->fail(request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
}
