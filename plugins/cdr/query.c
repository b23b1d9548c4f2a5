/*
 * query - the question a request asks of the records, as SQL with parameters; and a row as a record again
 */
#include "cdr.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void take(char *into, size_t size, const struct pbx_rows *rows, uint32_t row, uint32_t column)
{
	(void)snprintf(into, size, "%s", pbx_cell_text(rows, row, column));
}
#define TAKE(member, column) take(segment->member, sizeof segment->member, rows, row, column)

void segment_from_row(struct segment *segment, const struct pbx_rows *rows, uint32_t row)
{
	TAKE(id, 0), TAKE(call_id, 1), TAKE(linked_id, 2);
	segment->sequence = (uint32_t)pbx_cell_int(rows, row, 3);
	TAKE(direction, 4), TAKE(from_number, 5), TAKE(from_name, 6), TAKE(to_number, 7), TAKE(dialled, 8), TAKE(device, 9);
	segment->started_us = pbx_cell_int(rows, row, 10);
	segment->answered_us = pbx_cell_int(rows, row, 11);
	segment->ended_us = pbx_cell_int(rows, row, 12);
	TAKE(disposition, 13), TAKE(cause, 14), TAKE(hangup_by, 15);
	segment->sip_code = pbx_cell_int(rows, row, 16);
	segment->q850_cause = pbx_cell_int(rows, row, 17);
	segment->ring_ms = pbx_cell_int(rows, row, 18);
	segment->duration_ms = pbx_cell_int(rows, row, 19);
	segment->billsec_ms = pbx_cell_int(rows, row, 20);
	segment->hold_ms = pbx_cell_int(rows, row, 21);
	segment->park_ms = pbx_cell_int(rows, row, 22);
	segment->parked_us = pbx_cell_int(rows, row, 23);
	TAKE(account_code, 24), TAKE(user_field, 25);
	segment->pdd_ms = pbx_cell_int(rows, row, 27);
	TAKE(trunk_id, 29), TAKE(trunk_from, 30), TAKE(trunk_to, 31), TAKE(from_account, 32);
	segment->fields = pbx_cell_text(rows, row, 33);
}

bool segment_is_of(const struct segment *segment, const char *account)
{
	return strcmp(segment->from_account, account) == 0 || strcmp(segment->from_number, account) == 0 ||
	       strcmp(segment->to_number, account) == 0;
}

/* ---- WHERE ---------------------------------------------------------------------------- */

/* condition holds one "$" where the parameter's number goes; a second "$" gets the same number. */
void filter_add(struct filter *filter, const char *condition, struct pbx_value value)
{
	size_t at = strlen(filter->sql);

	if (filter->count == FILTER_PARAMS)
		return;
	filter->params[filter->count++] = value;
	at += (size_t)snprintf(filter->sql + at, sizeof filter->sql - at, "%s", at ? " AND " : " WHERE ");
	for (const char *from = condition; *from && at + 8 < sizeof filter->sql; from++)
		at += (size_t)snprintf(filter->sql + at, sizeof filter->sql - at, *from == '$' ? "$%u" : "%c",
				       *from == '$' ? filter->count : (unsigned)*from);
}

/* The text stays with the filter. */
static void add_text(struct filter *filter, const char *condition, const char *before, const char *text, const char *after)
{
	char *kept = filter->texts[filter->count];

	if (filter->count == FILTER_PARAMS)
		return;
	(void)snprintf(kept, sizeof filter->texts[0], "%s%.*s%s", before, (int)CDR_TEXT - 1, text, after);
	filter_add(filter, condition, pbx_v_text(kept));
}

/* "2026-11-22", "2026-11-22T15:04:05Z" or with an offset; UTC when none is told. */
static bool parse_time(const char *text, int64_t *ret_us)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%d", &tm);
	int64_t offset_s = 0;

	if (rest && (*rest == 'T' || *rest == ' '))
		rest = strptime(rest + 1, "%H:%M:%S", &tm);
	if (rest && *rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (rest && *rest == 'Z')
		rest++;
	if (rest && (*rest == '+' || *rest == '-')) {
		int hours, minutes;

		if (sscanf(rest + 1, "%2d:%2d", &hours, &minutes) != 2)
			return false;
		offset_s = (hours * 3600 + minutes * 60) * (*rest == '-' ? -1 : 1);
		rest += strlen(rest);
	}
	if (!rest || *rest)
		return false;
	*ret_us = ((int64_t)timegm(&tm) - offset_s) * 1000000;
	return true;
}

static int add_time(struct cdr *cdr, pbx_request request, struct filter *filter, const char *name, const char *condition)
{
	const char *text = cdr->requests->text(request, name);
	int64_t us;

	if (!text)
		return PBX_OK;
	if (!parse_time(text, &us)) {
		(void)cdr->requests->fail(request, 400, "invalid", name, "%s is \"%s\"; it looks like 2026-11-22 or 2026-11-22T15:04:05Z",
					  name, text);
		return PBX_EINVAL;
	}
	filter_add(filter, condition, PBX_V_INT(us));
	return PBX_OK;
}

static int add_field(struct cdr *cdr, pbx_request request, struct filter *filter)
{
	const char *asked = cdr->requests->text(request, "field");
	int err = asked ? fields_sought(cdr->json, asked, filter->field) : PBX_OK;

	if (asked && err == PBX_OK)
		filter_add(filter, "REPLACE(fields, $, '') <> fields",
			   pbx_v_text(filter->field)); /* an exact search that both databases know */
	if (err != PBX_OK)
		(void)cdr->requests->fail(request, 422, "invalid", "field",
					  "\"%.60s\" is no name of a field, nor case=4711: a name and its text", asked);
	return err;
}

int filter_make(struct cdr *cdr, pbx_request request, struct filter *ret_filter)
{
	static const struct {
		const char *name, *condition;
	} equals[] = {
		{ "direction", "direction = $" }, { "disposition", "disposition = $" },
		{ "linked_id", "linked_id = $" }, { "call_id", "call_id = $" },
		{ "trunk_id", "trunk_id = $" },   { "extension", "(from_number = $ OR to_number = $)" },
	};
	const struct pbx_requests *requests = cdr->requests;
	const char *own = requests->own_account(request), *text;

	memset(ret_filter, 0, sizeof *ret_filter);
	if (add_time(cdr, request, ret_filter, "from", "started_at >= $") != PBX_OK ||
	    add_time(cdr, request, ret_filter, "to", "started_at < $") != PBX_OK || add_field(cdr, request, ret_filter) != PBX_OK)
		return PBX_EINVAL;
	for (size_t i = 0; i < sizeof equals / sizeof equals[0]; i++)
		if ((text = requests->text(request, equals[i].name)) != NULL)
			add_text(ret_filter, equals[i].condition, "", text, "");
	if ((text = requests->text(request, "state")) != NULL)
		filter_add(ret_filter, strcmp(text, "ended") == 0 ? "ended_at > $" : "ended_at = $", PBX_V_INT(0));
	if ((text = requests->text(request, "number")) != NULL)
		add_text(ret_filter, "(from_number LIKE $ OR to_number LIKE $ OR dialled LIKE $)", "%", text, "%");
	if ((text = requests->text(request, "q")) != NULL)
		add_text(ret_filter, "(from_number LIKE $ OR from_name LIKE $ OR to_number LIKE $ OR notes LIKE $)", "%", text, "%");
	if (requests->has(request, "min_duration_s"))
		filter_add(ret_filter, "billsec_ms >= $", PBX_V_INT(requests->integer(request, "min_duration_s", 0) * 1000));
	if (own[0])
		add_text(ret_filter, "(from_account = $ OR from_number = $ OR to_number = $)", "", own, ""); /* as segment_is_of() */
	return PBX_OK;
}
