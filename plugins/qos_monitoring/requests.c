/*
 * requests - what people ask about quality: calls that last, history, alerts, summaries, thresholds
 *
 * An answer is made of the rows as they come: a column is a member of that name, one that ends in _time or _at is a time. A user sees the legs of
 * their own account.
 */
#include "qos.h"
#include <stdlib.h>
#include <string.h>

#define DAY_US ((int64_t)86400 * 1000000)
#define PARAMS 6u
#define ALERTS_DEFAULT 50
#define HISTORY_DEFAULT 100
#define HISTORY_MOST 10000
#define DAYS_DEFAULT 7

#define FIGURES                                                                                                                            \
	"direction, source, start_time, end_time, duration_seconds, packets_sent, packets_received, packets_lost, packets_out_of_order,"   \
	" packets_discarded, packets_duplicate, packet_loss_percentage, jitter_avg_ms, jitter_max_ms, latency_avg_ms, latency_max_ms,"     \
	" rtt_ms, mos_lq AS mos_score, mos_cq, r_factor, burst_density, gap_density, quality_rating, model, codec, extension, trunk,"      \
	" remote_ip, srtp, transport"

struct asked {
	struct qos *qos;
	pbx_request request;
	char sql[2400];
	struct pbx_value params[PARAMS];
	uint32_t count;
	struct pbx_json *answer; /* so far */
	char call_id[40];
};

static struct asked *asked_new(struct qos *qos, pbx_request request, const char *sql)
{
	struct asked *asked = calloc(1, sizeof *asked);

	if (!asked) {
		(void)qos->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return NULL;
	}
	asked->qos = qos;
	asked->request = request;
	(void)snprintf(asked->sql, sizeof asked->sql, "%s", sql);
	return asked;
}

static void add_text(struct asked *asked, const char *sql)
{
	size_t at = strlen(asked->sql);

	(void)snprintf(asked->sql + at, sizeof asked->sql - at, "%s", sql);
}

/* One more condition: "start_time >= $", the $ is its parameter. The first is behind WHERE. */
static void add_condition(struct asked *asked, const char *condition, struct pbx_value value)
{
	char text[200];
	const char *dollar = strchr(condition, '$');

	asked->params[asked->count++] = value;
	(void)snprintf(text, sizeof text, "%s%.*s$%u%s", strstr(asked->sql, " WHERE ") ? " AND " : " WHERE ", (int)(dollar - condition),
		       condition, asked->count, dollar + 1);
	add_text(asked, text);
}

/* Who is limited to an account. */
static void add_own(struct asked *asked, const char *condition)
{
	const char *own = asked->qos->requests->own_account(asked->request);

	if (own[0])
		add_condition(asked, condition, pbx_v_text(own));
}

static void asked_free(struct asked *asked)
{
	asked->qos->json->free(asked->answer);
	free(asked);
}

static bool failed(struct asked *asked, const struct pbx_rows *rows)
{
	if (rows->status == PBX_OK)
		return false;
	(void)asked->qos->requests->fail(asked->request, 503, "store_unavailable", NULL, "the records cannot be read now: %s", rows->error);
	asked_free(asked);
	return true;
}

static void run(struct asked *asked, pbx_rows_fn done)
{
	if (asked->qos->store->run(asked->qos->host, asked->sql, asked->params, asked->count, done, asked) == PBX_OK)
		return;
	(void)asked->qos->requests->fail(asked->request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
	asked_free(asked);
}

/* ---- rows as JSON ---- */

static bool ends_in(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length > end_length && strcmp(name + length - end_length, end) == 0;
}

static void set_cell(const struct qos *qos, struct pbx_json *object, const char *name, const struct pbx_value *cell)
{
	const struct pbx_jsons *json = qos->json;

	if (strcmp(name, "series") == 0 && cell->type == PBX_VALUE_TEXT)
		(void)json->set(object, name, json->parse(cell->as.bytes, cell->length, NULL));
	else if (ends_in(name, "_time") || ends_in(name, "_at"))
		(void)json->set_time(object, name, cell->type == PBX_VALUE_INT ? cell->as.integer : 0);
	else if (cell->type == PBX_VALUE_INT)
		(void)json->set_integer(object, name, cell->as.integer);
	else if (cell->type == PBX_VALUE_NUMBER)
		(void)json->set_number(object, name, (double)(int64_t)(cell->as.number * 1000 + 0.5) / 1000);
	else
		(void)json->set_text(object, name, cell->type == PBX_VALUE_TEXT ? cell->as.bytes : NULL);
}

static struct pbx_json *row_json(const struct qos *qos, const struct pbx_rows *rows, uint32_t row)
{
	struct pbx_json *object = qos->json->new_object();

	for (uint32_t column = 0; column < rows->columns; column++)
		set_cell(qos, object, rows->names[column], pbx_cell(rows, row, column));
	return object;
}

static struct pbx_json *rows_json(const struct qos *qos, const struct pbx_rows *rows)
{
	struct pbx_json *list = qos->json->new_array();

	for (uint32_t row = 0; row < rows->count; row++)
		(void)qos->json->append(list, row_json(qos, rows, row));
	return list;
}

static void on_items(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	const struct pbx_jsons *json = asked->qos->json;
	struct pbx_json *answer;

	if (failed(asked, rows))
		return;
	answer = json->new_object();
	(void)json->set_integer(answer, "count", rows->count);
	(void)json->set(answer, "items", rows_json(asked->qos, rows));
	(void)asked->qos->requests->reply(asked->request, 200, answer);
	asked_free(asked);
}

/* ---- calls that last ---- */

static struct pbx_json *living(const struct qos *qos, const struct qos_leg *leg, uint32_t way, bool with_series)
{
	struct qos_gone of = { 0 };
	struct qos_record record;
	struct pbx_json *object;

	qos_record_of(qos, leg, way, &record);
	(void)snprintf(of.leg_id, sizeof of.leg_id, "%s", leg->id);
	(void)snprintf(of.call_id, sizeof of.call_id, "%s", leg->call_id);
	(void)snprintf(of.extension, sizeof of.extension, "%s", leg->extension);
	(void)snprintf(of.trunk, sizeof of.trunk, "%s", leg->trunk);
	object = qos_record_json(qos, &record, &of);
	(void)qos->json->set_boolean(object, "audio_missing", leg->ways[way].missing);
	if (leg->ways[way].mos > 0)
		(void)qos->json->set_number(object, "mos_now", (double)(int64_t)(leg->ways[way].mos * 100 + 0.5) / 100);
	else
		(void)qos->json->set_text(object, "mos_now", NULL);
	if (with_series && record.series)
		(void)qos->json->set(object, "series", qos->json->parse(record.series, strlen(record.series), NULL));
	free(record.series);
	return object;
}

static bool is_visible(const struct qos *qos, pbx_request request, const struct qos_leg *leg)
{
	const char *own = qos->requests->own_account(request);

	return !own[0] || strcmp(own, leg->extension) == 0;
}

void qos_on_metrics(void *self, pbx_request request)
{
	struct qos *qos = self;
	struct pbx_json *answer = qos->json->new_object(), *list = qos->json->new_array();

	for (const struct qos_leg *leg = qos->legs; leg; leg = leg->next)
		for (uint32_t i = 0; i < QOS_WAYS && is_visible(qos, request, leg); i++)
			(void)qos->json->append(list, living(qos, leg, i, false));
	(void)qos->json->set_integer(answer, "count", qos->json->count(list));
	(void)qos->json->set(answer, "items", list);
	(void)qos->requests->reply(request, 200, answer);
}

/* ---- one call ---- */

static bool is_living(struct qos *qos, const char *leg_id)
{
	return qos_leg_find(qos, leg_id) != NULL;
}

static void on_call_alerts(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	struct qos *qos = asked->qos;

	if (failed(asked, rows))
		return;
	(void)qos->json->set(asked->answer, "alerts", rows_json(qos, rows));
	(void)qos->requests->reply(asked->request, 200, asked->answer);
	asked->answer = NULL;
	asked_free(asked);
}

static void add_living_of(struct asked *asked, struct pbx_json *legs)
{
	struct qos *qos = asked->qos;

	for (const struct qos_leg *leg = qos->legs; leg; leg = leg->next)
		for (uint32_t i = 0; i < QOS_WAYS && strcmp(leg->call_id, asked->call_id) == 0 && is_visible(qos, asked->request, leg); i++)
			(void)qos->json->append(legs, living(qos, leg, i, true));
}

static void on_call_rows(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	struct qos *qos = asked->qos;
	struct pbx_json *legs;

	if (failed(asked, rows))
		return;
	legs = qos->json->new_array();
	for (uint32_t row = 0; row < rows->count; row++) /* the newest of a leg that lasts is in memory */
		if (!is_living(qos, pbx_cell_text(rows, row, 0)) || strcmp(pbx_cell_text(rows, row, 2), "phone") == 0)
			(void)qos->json->append(legs, row_json(qos, rows, row));
	add_living_of(asked, legs);
	if (qos->json->count(legs) == 0) {
		qos->json->free(legs);
		(void)qos->requests->fail(asked->request, 404, "no_such_call", "id", "nothing is known of the quality of call %s",
					  asked->call_id);
		asked_free(asked);
		return;
	}
	asked->answer = qos->json->new_object();
	(void)qos->json->set_text(asked->answer, "call_id", asked->call_id);
	(void)qos->json->set(asked->answer, "legs", legs);
	(void)snprintf(asked->sql, sizeof asked->sql, "SELECT * FROM qos_alerts WHERE call_id = $1 ORDER BY raised_at");
	asked->count = 1;
	asked->params[0] = pbx_v_text(asked->call_id);
	run(asked, on_call_alerts);
}

void qos_on_call(void *self, pbx_request request)
{
	struct qos *qos = self;
	struct asked *asked = asked_new(qos, request, "SELECT leg AS leg_id, " FIGURES ", series FROM qos_metrics");

	if (!asked)
		return;
	const char *id = qos->requests->text(request, "id");
	(void)snprintf(asked->call_id, sizeof asked->call_id, "%.*s", (int)strcspn(id, "-"), id); /* of a leg or record: CALL-n */
	add_condition(asked, "call_id = $", pbx_v_text(asked->call_id));
	add_own(asked, "extension = $");
	add_text(asked, " ORDER BY id");
	run(asked, on_call_rows);
}

/* ---- history, alerts ---- */

static void add_limit(struct asked *asked, int64_t otherwise)
{
	char text[40];

	(void)snprintf(text, sizeof text, " LIMIT %lld", (long long)asked->qos->requests->integer(asked->request, "limit", otherwise));
	add_text(asked, text);
}

static void add_filters(struct asked *asked)
{
	const struct pbx_requests *requests = asked->qos->requests;
	double min_mos = asked->qos->json->number(requests->json(asked->request, "min_mos"), -1);
	double max_mos = asked->qos->json->number(requests->json(asked->request, "max_mos"), -1);

	if (min_mos >= 0)
		add_condition(asked, "mos_lq >= $", PBX_V_NUMBER(min_mos));
	if (max_mos >= 0)
		add_condition(asked, "mos_lq <= $", PBX_V_NUMBER(max_mos));
	if (requests->text(asked->request, "extension"))
		add_condition(asked, "extension = $", pbx_v_text(requests->text(asked->request, "extension")));
	if (requests->text(asked->request, "trunk"))
		add_condition(asked, "trunk = $", pbx_v_text(requests->text(asked->request, "trunk")));
	add_own(asked, "extension = $");
}

static bool is_mos(const struct qos *qos, pbx_request request, const char *name)
{
	double mos = qos->json->number(qos->requests->json(request, name), 1);

	if (mos >= 1 && mos <= 5)
		return true;
	(void)qos->requests->fail(request, 400, "out_of_range", name, "%s is a MOS, from 1 to 5", name);
	return false;
}

/* The legs that the request describes, newest first. */
static void ask_history(struct qos *qos, pbx_request request, uint32_t limit, pbx_rows_fn done)
{
	struct asked *asked;

	if (!is_mos(qos, request, "min_mos") || !is_mos(qos, request, "max_mos"))
		return;
	asked = asked_new(qos, request, "SELECT call_id, leg AS leg_id, " FIGURES " FROM qos_metrics WHERE end_time > 0");
	if (!asked)
		return;
	add_filters(asked);
	add_text(asked, " ORDER BY start_time DESC, id DESC");
	add_limit(asked, limit);
	run(asked, done);
}

void qos_on_history(void *self, pbx_request request)
{
	ask_history(self, request, HISTORY_DEFAULT, on_items);
}

void qos_on_alerts(void *self, pbx_request request)
{
	struct asked *asked = asked_new(self, request, "SELECT * FROM qos_alerts");

	if (!asked)
		return;
	if (asked->qos->requests->boolean(request, "open", false))
		add_text(asked, " WHERE acknowledged_at IS NULL");
	add_own(asked, "leg_id IN (SELECT leg FROM qos_metrics WHERE extension = $)");
	add_text(asked, " ORDER BY raised_at DESC, id DESC");
	add_limit(asked, ALERTS_DEFAULT);
	run(asked, on_items);
}

static void on_changed(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	const struct pbx_jsons *json = asked->qos->json;
	struct pbx_json *answer;

	if (failed(asked, rows))
		return;
	if (rows->changed == 0 && asked->call_id[0]) {
		(void)asked->qos->requests->fail(asked->request, 404, "no_such_alert", "id", "there is no alert %s", asked->call_id);
		asked_free(asked);
		return;
	}
	answer = json->new_object();
	(void)json->set_integer(answer, "changed", rows->changed);
	(void)asked->qos->requests->reply(asked->request, 200, answer);
	asked_free(asked);
}

void qos_on_clear(void *self, pbx_request request)
{
	struct asked *asked = asked_new(self, request, "DELETE FROM qos_alerts");

	if (asked)
		run(asked, on_changed);
}

void qos_on_acknowledge(void *self, pbx_request request)
{
	struct asked *asked = asked_new(self, request, "UPDATE qos_alerts SET acknowledged_at = $1, acknowledged_by = $2 WHERE id = $3");

	if (!asked)
		return;
	(void)snprintf(asked->call_id, sizeof asked->call_id, "%s", asked->qos->requests->text(request, "id"));
	asked->params[0] = PBX_V_INT(asked->qos->host->wall_us(asked->qos->host));
	asked->params[1] = pbx_v_text(asked->qos->requests->actor(request));
	asked->params[2] = pbx_v_text(asked->call_id);
	asked->count = 3;
	run(asked, on_changed);
}

/* ---- sums ---- */

static int64_t since_us(const struct qos *qos, pbx_request request)
{
	return qos->host->wall_us(qos->host) - qos->requests->integer(request, "days", DAYS_DEFAULT) * DAY_US;
}

#define COUNTED(figure) "CASE WHEN counts = 1 THEN " figure " END"
#define RATED(rating) "SUM(CASE WHEN counts = 1 AND quality_rating = '" rating "' THEN 1 ELSE 0 END) AS " rating

static void on_statistics(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	struct qos *qos = asked->qos;
	struct pbx_json *answer;

	if (failed(asked, rows))
		return;
	answer = row_json(qos, rows, 0);
	int64_t total = qos->json->integer(qos->json->get(answer, "total_calls"), 0);
	int64_t with_issues = qos->json->integer(qos->json->get(answer, "calls_with_issues"), 0);

	if (total > 0)
		(void)qos->json->set_number(answer, "issue_percentage", (double)(with_issues * 1000 / total) / 10);
	else
		(void)qos->json->set_text(answer, "issue_percentage", NULL);
	(void)qos->json->set_integer(answer, "active_legs", qos->leg_count);
	(void)qos->json->set_integer(answer, "days", qos->requests->integer(asked->request, "days", DAYS_DEFAULT));
	(void)qos->requests->reply(asked->request, 200, answer);
	asked_free(asked);
}

void qos_on_statistics(void *self, pbx_request request)
{
	struct qos *qos = self;
	struct asked *asked =
		asked_new(
			qos, request,
			"SELECT COUNT(DISTINCT call_id) AS total_calls, AVG(" COUNTED("mos_lq") ") AS average_mos, AVG(" COUNTED(
				"packet_"
				"loss_"
				"percent"
				"age") ") AS average_packet_loss, AVG(" COUNTED("jitter_avg_ms") ") AS average_jitter_ms, "
												 "AVG(" COUNTED(
													 "rtt_ms") ") AS "
														   "average_"
														   "rtt_ms,"
														   " " RATED("excellent") ", " RATED("good") ", " RATED(
															   "fair") ","
																   " " RATED(
																	   "po"
																	   "o"
																	   "r") ", " RATED("bad") ", (SELECT COUNT(DISTINCT a.call_id) FROM qos_alerts a WHERE a.raised_at >= $1) AS calls_with_issues,"
																				  " (SELECT COUNT(*) FROM qos_alerts b WHERE b.raised_at >= $1) AS total_alerts FROM qos_metrics q");

	if (!asked)
		return;
	asked->params[asked->count++] = PBX_V_INT(since_us(qos, request));
	add_text(asked, " WHERE q.end_time > 0 AND q.start_time >= $1");
	add_own(asked, "q.extension = $");
	run(asked, on_statistics);
}

void qos_on_summary(void *self, pbx_request request)
{
	struct qos *qos = self;
	const char *by = qos->requests->text(request, "group_by"); /* one of the choices: names of columns */
	struct asked *asked;
	char sql[900];

	by = by ? by : "extension";
	(void)snprintf(
		sql, sizeof sql,
		"SELECT %s AS name, COUNT(DISTINCT call_id) AS calls, AVG(" COUNTED("mos_lq") ") AS average_mos, MIN(" COUNTED(
			"mo"
			"s_"
			"l"
			"q") ") AS lowest_mos, AVG(" COUNTED("packet_loss_percentage") ") AS average_packet_loss, AVG(" COUNTED("jitter_"
																"avg_ms") ") AS "
																	  "average_jitter_ms, "
																	  "AVG(" COUNTED(
																		  "rtt_"
																		  "ms") ") AS average_rtt_ms, SUM(CASE WHEN counts = 1 AND mos_lq < "
																			"3.6 THEN 1 ELSE 0 END) AS bad_ways"
																			" FROM qos_metrics WHERE %s IS NOT NULL AND end_time > 0",
		by, by);
	asked = asked_new(qos, request, sql);
	if (!asked)
		return;
	add_condition(asked, "start_time >= $", PBX_V_INT(since_us(qos, request)));
	add_own(asked, "extension = $");
	add_text(asked, " GROUP BY ");
	add_text(asked, by);
	add_text(asked, " ORDER BY 3, 1"); /* the worst first */
	run(asked, on_items);
}

/* ---- thresholds ---- */

static void reply_thresholds(struct qos *qos, pbx_request request)
{
	struct qos_thresholds thresholds = qos_thresholds(qos);
	struct pbx_json *answer = qos->json->new_object();

	(void)qos->json->set_number(answer, "mos_min", thresholds.mos_min);
	(void)qos->json->set_number(answer, "packet_loss_max", thresholds.packet_loss_max);
	(void)qos->json->set_number(answer, "jitter_max", thresholds.jitter_max);
	(void)qos->json->set_number(answer, "latency_max", thresholds.latency_max);
	(void)qos->requests->reply(request, 200, answer);
}

void qos_on_show_thresholds(void *self, pbx_request request)
{
	reply_thresholds(self, request);
}

void qos_on_set_thresholds(void *self, pbx_request request)
{
	static const struct {
		const char *name;
		double least, most;
	} ranges[] = { { "mos_min", 1, 5 }, { "packet_loss_max", 0, 100 }, { "jitter_max", 0, 1000 }, { "latency_max", 0, 5000 } };
	struct qos *qos = self;
	double values[sizeof ranges / sizeof ranges[0]];

	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
		values[i] = qos->json->number(qos->requests->json(request, ranges[i].name), -1);
		if (qos->requests->has(request, ranges[i].name) && (values[i] < ranges[i].least || values[i] > ranges[i].most)) {
			(void)qos->requests->fail(request, 400, "out_of_range", ranges[i].name, "%s is between %g and %g", ranges[i].name,
						  ranges[i].least, ranges[i].most);
			return;
		}
	}
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
		if (qos->requests->has(request, ranges[i].name))
			qos_store_threshold(qos, ranges[i].name, values[i]);
	reply_thresholds(qos, request);
}

/* ---- CSV ---- */

/* RFC 4180: in quotes, and a quote twice. */
static void put_text(FILE *out, const char *text)
{
	(void)fputc('"', out);
	for (; *text; text++)
		(void)fputs(*text == '"' ? "\"\"" : (const char[]){ *text, '\0' }, out);
	(void)fputc('"', out);
}

static void put_cell(FILE *out, const struct pbx_value *cell)
{
	if (cell->type == PBX_VALUE_INT)
		(void)fprintf(out, "%lld", (long long)cell->as.integer);
	else if (cell->type == PBX_VALUE_NUMBER)
		(void)fprintf(out, "%.3f", cell->as.number);
	else if (cell->type == PBX_VALUE_TEXT)
		put_text(out, cell->as.bytes);
}

static void on_export(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	const struct pbx_requests *requests = asked->qos->requests;
	char *text = NULL;
	size_t size = 0;
	FILE *out;

	if (failed(asked, rows))
		return;
	out = open_memstream(&text, &size);
	for (uint32_t column = 0; out && column < rows->columns; column++)
		(void)fprintf(out, "%s%s", column ? "," : "", rows->names[column]);
	for (uint32_t row = 0; out && row < rows->count; row++)
		for (uint32_t column = 0; column < rows->columns; column++) {
			(void)fputs(column ? "," : "\r\n", out);
			put_cell(out, pbx_cell(rows, row, column));
		}
	if (out)
		(void)fputs("\r\n", out);
	if (!out || fclose(out) != 0)
		(void)requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
	else if (requests->begin(asked->request, "text/csv; charset=utf-8", NULL, NULL, NULL) == PBX_OK) {
		(void)requests->write(asked->request, text, size); /* who has gone misses nothing; who is slow gets it in time */
		(void)requests->end(asked->request);
	}
	free(text);
	asked_free(asked);
}

void qos_on_export(void *self, pbx_request request)
{
	ask_history(self, request, HISTORY_MOST, on_export);
}
