/*
 * requests - records as people ask for them: pages, one with its legs and events, notes on it, CSV
 */
#include "output.h"
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 50
#define EXPORT_PAGE 500
#define EVENTS_MOST 5000

struct pbx_json *segment_json(const struct cdr *cdr, const struct segment *segment)
{
	const struct pbx_jsons *json = cdr->json;
	struct pbx_json *object = json->new_object();

	(void)json->set_text(object, "id", segment->id);
	(void)json->set_text(object, "call_id", segment->call_id);
	(void)json->set_text(object, "linked_id", segment->linked_id);
	(void)json->set_integer(object, "sequence", segment->sequence);
	(void)json->set_text(object, "direction", segment->direction);
	(void)json->set_text(object, "from_number", segment->from_number);
	(void)json->set_text(object, "from_name", segment->from_name);
	(void)json->set_text(object, "to_number", segment->to_number);
	(void)json->set_text(object, "dialled", segment->dialled);
	(void)json->set_text(object, "device", segment->device);
	(void)json->set_time(object, "started_at", segment->started_us);
	(void)json->set_time(object, "answered_at", segment->answered_us);
	(void)json->set_time(object, "ended_at", segment->ended_us);
	(void)json->set_text(object, "state", segment->ended_us ? "ended" : "in_progress");
	(void)json->set_text(object, "disposition", segment->disposition[0] ? segment->disposition : NULL);
	(void)json->set_text(object, "cause", segment->cause[0] ? segment->cause : NULL);
	(void)json->set_text(object, "hangup_by", segment->hangup_by[0] ? segment->hangup_by : NULL);
	(void)json->set_integer(object, "sip_code", segment->sip_code);
	(void)json->set_integer(object, "q850_cause", segment->q850_cause);
	(void)json->set_integer(object, "ring_ms", segment->ring_ms);
	(void)json->set_integer(object, "duration_ms", segment->duration_ms);
	(void)json->set_integer(object, "billsec_ms", segment->billsec_ms);
	(void)json->set_integer(object, "hold_ms", segment->hold_ms);
	(void)json->set_integer(object, "park_ms", segment->park_ms);
	(void)json->set_integer(object, "pdd_ms", segment->pdd_ms);
	(void)json->set_text(object, "trunk_id", segment->trunk_id[0] ? segment->trunk_id : NULL);
	(void)json->set_text(object, "trunk_from", segment->trunk_id[0] ? segment->trunk_from : NULL);
	(void)json->set_text(object, "trunk_to", segment->trunk_id[0] ? segment->trunk_to : NULL);
	(void)json->set_text(object, "account_code", segment->account_code[0] ? segment->account_code : NULL);
	(void)json->set_text(object, "user_field", segment->user_field[0] ? segment->user_field : NULL);
	(void)json->set(object, "fields", fields_json(cdr, segment));
	return object;
}

static struct pbx_json *row_json(const struct cdr *cdr, const struct pbx_rows *rows, uint32_t row)
{
	struct segment segment;
	struct pbx_json *object;
	const char *notes = pbx_cell_text(rows, row, COLUMN_NOTES);

	segment_from_row(&segment, rows, row);
	object = segment_json(cdr, &segment);
	(void)cdr->json->set_text(object, "notes", notes[0] ? notes : NULL);
	(void)cdr->json->set_boolean(object, "legal_hold", pbx_cell_int(rows, row, COLUMN_LEGAL_HOLD) != 0);
	return object;
}

/* What goes along with a query. */
struct asked {
	struct cdr *cdr;
	pbx_request request;
	int64_t limit;
	/* export */
	struct filter filter;
	char after[48];
	bool waiting, gone;
	/* events */
	struct pbx_json *items, *calls;
	uint32_t next_call;
};

struct seen_event {
	int64_t seq;
	const struct pbx_json *item;
};

static struct asked *asked_new(struct cdr *cdr, pbx_request request)
{
	struct asked *asked = calloc(1, sizeof *asked);

	if (!asked) {
		(void)cdr->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return NULL;
	}
	asked->cdr = cdr;
	asked->request = request;
	return asked;
}

static bool refused(struct asked *asked, const struct pbx_rows *rows)
{
	if (rows->status == PBX_OK)
		return false;
	(void)asked->cdr->requests->fail(asked->request, 503, "store_unavailable", NULL, "the records cannot be read now: %s", rows->error);
	free(asked);
	return true;
}

static void run(struct asked *asked, const char *sql, const struct pbx_value *params, uint32_t count, pbx_rows_fn done)
{
	if (asked->cdr->store->run(asked->cdr->host, sql, params, count, done, asked) == PBX_OK)
		return;
	(void)asked->cdr->requests->fail(asked->request, 503, "store_unavailable", NULL, "the store takes nothing now; try again");
	free(asked);
}

/* ---- pages ---------------------------------------------------------------------------- */

static void on_page(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	struct cdr *cdr = asked->cdr;
	struct pbx_json *answer, *items;
	bool more = rows->count > asked->limit;

	if (refused(asked, rows))
		return;
	answer = cdr->json->new_object();
	items = cdr->json->new_array();
	for (uint32_t row = 0; row < rows->count && row < asked->limit; row++)
		(void)cdr->json->append(items, row_json(cdr, rows, row));
	(void)cdr->json->set(answer, "items", items);
	(void)cdr->json->set_text(answer, "next_cursor", more ? pbx_cell_text(rows, (uint32_t)asked->limit - 1, 0) : NULL);
	(void)cdr->requests->reply(asked->request, 200, answer);
	free(asked);
}

/* Ids begin with the call's ULID: their order is the order of time. */
void cdr_on_list(void *self, pbx_request request)
{
	struct cdr *cdr = self;
	const char *accept = cdr->requests->http_header(request, "Accept"), *cursor = cdr->requests->text(request, "cursor");
	const char *sort = cdr->requests->text(request, "sort");
	bool oldest_first = sort && strcmp(sort, "started_at") == 0;
	struct filter filter;
	struct asked *asked;
	char sql[4096];

	if (accept && strstr(accept, "text/csv")) {
		cdr_on_export(self, request);
		return;
	}
	if (filter_make(cdr, request, &filter) != PBX_OK || !(asked = asked_new(cdr, request)))
		return;
	asked->limit = cdr->requests->integer(request, "limit", PAGE_DEFAULT);
	if (cursor)
		filter_add(&filter, oldest_first ? "id > $" : "id < $", pbx_v_text(cursor));
	(void)snprintf(sql, sizeof sql, "SELECT %s FROM cdr_segments%s ORDER BY id%s LIMIT %lld", segment_columns, filter.sql,
		       oldest_first ? "" : " DESC", (long long)asked->limit + 1);
	run(asked, sql, filter.params, filter.count, on_page);
}

/* ---- one ------------------------------------------------------------------------------ */

static bool found_one(struct asked *asked, const struct pbx_rows *rows)
{
	struct cdr *cdr = asked->cdr;
	const char *own = cdr->requests->own_account(asked->request);

	struct segment segment;

	if (rows->count > 0) {
		segment_from_row(&segment, rows, 0);
		if (!own[0] || segment_is_of(&segment, own))
			return true;
	}
	(void)cdr->requests->fail(asked->request, 404, "not_found", "id", "there is no such record");
	free(asked);
	return false;
}

/* By its own id or by its call's: one of two that a call has, or more, it is not. Legs and events are of all that met, so there any does. */
static void ask_one(struct cdr *cdr, pbx_request request, pbx_rows_fn done)
{
	struct asked *asked = asked_new(cdr, request);
	const struct pbx_value params[] = { pbx_v_text(cdr->requests->text(request, "id")) };
	char sql[1024];

	if (!asked)
		return;
	(void)snprintf(sql, sizeof sql, "SELECT %s FROM cdr_segments WHERE id = $1 OR call_id = $1 ORDER BY id LIMIT 2", segment_columns);
	run(asked, sql, params, 1, done);
}

static void on_one(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;

	if (refused(asked, rows) || !found_one(asked, rows))
		return;
	if (rows->count > 1)
		(void)asked->cdr->requests->fail(
			asked->request, 409, "several_records", "id",
			"this call has several records: `cdr list --call_id` and its id shows them, choose one of their ids");
	else
		(void)asked->cdr->requests->reply(asked->request, 200, row_json(asked->cdr, rows, 0));
	free(asked);
}

void cdr_on_show(void *self, pbx_request request)
{
	ask_one(self, request, on_one);
}

/* ---- notes on it ---------------------------------------------------------------------- */

static void on_changed(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	const struct pbx_requests *requests = asked->cdr->requests;
	const char *id = requests->text(asked->request, "id"); /* NULL: the asker has gone */

	if (refused(asked, rows))
		return;
	if (rows->changed > 0 && id) {
		segments_note(asked->cdr, id, requests->text(asked->request, "account_code"), requests->text(asked->request, "user_field"));
		ask_one(asked->cdr, asked->request, on_one);
	} else {
		(void)requests->fail(asked->request, 404, "not_found", "id", "there is no such record");
	}
	free(asked);
}

void cdr_on_change(void *self, pbx_request request)
{
	struct cdr *cdr = self;
	const struct pbx_requests *requests = cdr->requests;
	struct asked *asked = asked_new(cdr, request);
	const struct pbx_value params[] = { pbx_v_text(requests->text(request, "id")), pbx_v_text(requests->text(request, "account_code")),
					    pbx_v_text(requests->text(request, "user_field")), pbx_v_text(requests->text(request, "notes")),
					    requests->has(request, "legal_hold")
						    ? PBX_V_INT(requests->boolean(request, "legal_hold", false))
						    : PBX_V_NULL };

	if (asked)
		run(asked,
		    "UPDATE cdr_segments SET account_code = COALESCE($2, account_code), user_field = COALESCE($3, user_field),"
		    " notes = COALESCE($4, notes), legal_hold = COALESCE($5, legal_hold) WHERE id = $1",
		    params, 5, on_changed);
}

/* ---- its legs and events -------------------------------------------------------------- */

/* They tell which account a call came from, which who is called by somebody withheld is not to learn (RFC 3323). */
static bool found_one_with_parts(struct asked *asked, const struct pbx_rows *rows)
{
	const struct pbx_requests *requests = asked->cdr->requests;
	const char *own = requests->own_account(asked->request);
	struct segment segment;

	if (!found_one(asked, rows))
		return false;
	segment_from_row(&segment, rows, 0);
	if (!own[0] || segment.from_number[0] || strcmp(segment.from_account, own) == 0)
		return true;
	(void)requests->fail(asked->request, 403, "withheld", NULL,
			     "the caller does not want to be shown, and this would tell who it was; who may see all records may ask");
	free(asked);
	return false;
}

static void reply_items(struct asked *asked, struct pbx_json *items)
{
	struct pbx_json *answer = asked->cdr->json->new_object();

	(void)asked->cdr->json->set(answer, "items", items);
	(void)asked->cdr->requests->reply(asked->request, 200, answer);
	free(asked);
}

static void on_legs(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	const struct pbx_jsons *json = asked->cdr->json;
	struct pbx_json *items;

	if (refused(asked, rows))
		return;
	items = json->new_array();
	for (uint32_t row = 0; row < rows->count; row++) {
		const struct pbx_value *cell = pbx_cell(rows, row, 0);
		struct pbx_json *leg = cell->type == PBX_VALUE_TEXT ? json->parse(cell->as.bytes, cell->length, NULL) : NULL;

		if (leg)
			(void)json->append(items, leg);
	}
	reply_items(asked, items);
}

static void on_one_for_legs(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;

	if (refused(asked, rows) || !found_one_with_parts(asked, rows))
		return;
	const struct pbx_value params[] = { pbx_v_text(pbx_cell_text(rows, 0, 2)) };
	run(asked, "SELECT data FROM cdr_legs WHERE linked_id = $1 ORDER BY id", params, 1, on_legs);
}

void cdr_on_legs(void *self, pbx_request request)
{
	ask_one(self, request, on_one_for_legs);
}

static void on_event(void *self, const struct pbx_event *event)
{
	struct asked *asked = self;
	const struct pbx_jsons *json = asked->cdr->json;
	struct pbx_json *item = json->new_object();

	(void)json->set_integer(item, "seq", event->seq);
	(void)json->set_text(item, "id", event->id);
	(void)json->set_text(item, "type", event->type);
	(void)json->set_time(item, "time", event->wall_us);
	(void)json->set_text(item, "call_id", event->call_id);
	(void)json->set(item, "data", json->copy(event->data));
	(void)json->append(asked->items, item);
}

static int by_seq(const void *a, const void *b)
{
	const struct seen_event *one = a, *other = b;

	return one->seq < other->seq ? -1 : one->seq > other->seq;
}

/* Events came call by call; they are told as they happened. */
static struct pbx_json *in_order(struct asked *asked)
{
	const struct pbx_jsons *json = asked->cdr->json;
	uint32_t count = json->count(asked->items);
	struct seen_event *seen = calloc(count + 1u, sizeof *seen);
	struct pbx_json *sorted = json->new_array();

	for (uint32_t i = 0; seen && i < count; i++)
		seen[i] = (struct seen_event){ json->integer(json->get(json->at(asked->items, i), "seq"), 0), json->at(asked->items, i) };
	if (seen)
		qsort(seen, count, sizeof *seen, by_seq);
	for (uint32_t i = 0; seen && i < count; i++)
		(void)json->append(sorted, json->copy(seen[i].item));
	free(seen);
	json->free(asked->items);
	asked->items = NULL;
	return sorted;
}

static void replay_next(struct asked *asked);

static void events_unavailable(struct asked *asked)
{
	(void)asked->cdr->requests->fail(asked->request, 503, "store_unavailable", NULL, "the event log cannot be read now");
	asked->cdr->json->free(asked->items);
	asked->cdr->json->free(asked->calls);
	free(asked);
}

static void on_replayed(void *self, int result, int64_t last_seq)
{
	struct asked *asked = self;

	(void)last_seq;
	if (result == PBX_OK)
		replay_next(asked);
	else
		events_unavailable(asked);
}

/* One call after the other. */
static void replay_next(struct asked *asked)
{
	struct cdr *cdr = asked->cdr;
	uint32_t told = cdr->json->count(asked->items);

	if (asked->next_call == cdr->json->count(asked->calls) || told >= EVENTS_MOST) {
		cdr->json->free(asked->calls);
		reply_items(asked, in_order(asked));
		return;
	}
	const char *call_id = cdr->json->text(cdr->json->at(asked->calls, asked->next_call++));
	if (cdr->bus->replay_call(cdr->host, call_id, EVENTS_MOST - told, on_event, on_replayed, asked) != PBX_OK)
		events_unavailable(asked);
}

static void on_calls(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	const struct pbx_jsons *json = asked->cdr->json;

	if (refused(asked, rows))
		return;
	asked->items = json->new_array();
	asked->calls = json->new_array();
	for (uint32_t row = 0; row < rows->count; row++)
		(void)json->append_text(asked->calls, pbx_cell_text(rows, row, 0));
	replay_next(asked);
}

/* Of all calls that met; one that went into another has legs and no record. */
static void on_one_for_events(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;

	if (refused(asked, rows) || !found_one_with_parts(asked, rows))
		return;
	const struct pbx_value params[] = { pbx_v_text(pbx_cell_text(rows, 0, 2)) };
	run(asked,
	    "SELECT call_id FROM cdr_segments WHERE linked_id = $1 UNION SELECT call_id FROM cdr_legs WHERE linked_id = $1 UNION SELECT $1",
	    params, 1, on_calls);
}

void cdr_on_events(void *self, pbx_request request)
{
	ask_one(self, request, on_one_for_events);
}

/* ---- CSV, page by page, as fast as the asker takes it ---------------------- */

/* A page as lines. An owned text, or NULL: no memory. */
static char *page_lines(const struct cdr *cdr, const struct pbx_rows *rows, size_t *ret_size)
{
	char *lines = NULL;
	FILE *out = open_memstream(&lines, ret_size);

	if (!out)
		return NULL;
	for (uint32_t row = 0; row < rows->count; row++) {
		struct pbx_json *object = row_json(cdr, rows, row);

		csv_write_record(out, csv_columns, cdr->json, object);
		cdr->json->free(object);
	}
	if (fclose(out) == 0)
		return lines;
	free(lines);
	return NULL;
}

static int write_page(struct asked *asked, const struct pbx_rows *rows)
{
	size_t size = 0;
	char *lines = rows->status == PBX_OK ? page_lines(asked->cdr, rows, &size) : NULL;
	int err = rows->status != PBX_OK ? rows->status : lines ? PBX_OK : PBX_ENOMEM;

	if (err == PBX_OK && size > 0 && !asked->gone)
		err = asked->cdr->requests->write(asked->request, lines, size);
	free(lines);
	return err;
}

static void export_next(struct asked *asked);

static void on_export_page(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	int err = write_page(asked, rows);

	asked->waiting = false;
	if (asked->gone) {
		free(asked);
		return;
	}
	if (err != PBX_OK && err != PBX_EBUSY)
		pbx_warn(asked->cdr->host, "export_cut_short", "after=%s error=\"%s\"", asked->after[0] ? asked->after : "-", rows->error);
	if (rows->count < EXPORT_PAGE || (err != PBX_OK && err != PBX_EBUSY)) {
		(void)asked->cdr->requests->end(asked->request);
		free(asked);
		return;
	}
	(void)snprintf(asked->after, sizeof asked->after, "%s", pbx_cell_text(rows, rows->count - 1, 0));
	if (err == PBX_OK)
		export_next(asked); /* busy: on_drained goes on */
}

static void export_next(struct asked *asked)
{
	struct filter filter = asked->filter;
	char sql[4096];

	if (asked->after[0])
		filter_add(&filter, "id > $", pbx_v_text(asked->after));
	(void)snprintf(sql, sizeof sql, "SELECT %s FROM cdr_segments%s ORDER BY id LIMIT %d", segment_columns, filter.sql, EXPORT_PAGE);
	asked->waiting = asked->cdr->store->run(asked->cdr->host, sql, filter.params, filter.count, on_export_page, asked) == PBX_OK;
	if (!asked->waiting) {
		(void)asked->cdr->requests->end(asked->request);
		free(asked);
	}
}

static void on_drained(void *self, pbx_request request)
{
	struct asked *asked = self;

	(void)request;
	if (!asked->waiting)
		export_next(asked);
}

static void on_gone(void *self, pbx_request request)
{
	struct asked *asked = self;

	(void)request;
	asked->gone = true;
	if (!asked->waiting)
		free(asked); /* else on_export_page does */
}

void cdr_on_export(void *self, pbx_request request)
{
	struct cdr *cdr = self;
	struct asked *asked = asked_new(cdr, request);

	if (!asked)
		return;
	if (filter_make(cdr, request, &asked->filter) != PBX_OK ||
	    cdr->requests->begin(request, "text/csv; charset=utf-8", on_drained, on_gone, asked) != PBX_OK) {
		free(asked);
		return;
	}
	char head[1024] = "";
	FILE *out = fmemopen(head, sizeof head, "w");

	if (out) {
		csv_write_head(out, csv_columns);
		(void)fclose(out);
	}
	(void)cdr->requests->write(request, head, strlen(head));
	export_next(asked);
}

/* ---- where else records go ------------------------------------------------------------ */

void cdr_on_outputs(void *self, pbx_request request)
{
	struct cdr *cdr = self;
	struct pbx_json *answer = cdr->json->new_object();

	(void)cdr->json->set(answer, "items", outputs_json(cdr->outputs));
	(void)cdr->requests->reply(request, 200, answer);
}
