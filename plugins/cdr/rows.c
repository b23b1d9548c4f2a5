/*
 * rows - records to tables, journalled while the database is away
 */
#include "cdr.h"
#include <stdlib.h>
#include <string.h>

struct safe {
	struct cdr *cdr;
	int64_t seq;
};

/* The row is in the table or in the journal: the event that made it need not come again. */
static void on_safe(void *self, const struct pbx_rows *rows)
{
	struct safe *safe = self;

	if (rows->status == PBX_OK)
		place_safe(safe->cdr, safe->seq);
	else if (rows->status != PBX_ECANCELLED)
		pbx_error(safe->cdr->host, "record_not_written", "error=\"%s\"", rows->error);
	free(safe);
}

static void record(struct cdr *cdr, const char *sql, const struct pbx_value *params, uint32_t count, int64_t seq)
{
	struct safe *safe = seq ? malloc(sizeof *safe) : NULL;

	if (safe)
		*safe = (struct safe){ cdr, seq };
	int err = cdr->store->record(cdr->host, sql, params, count, safe ? on_safe : NULL, safe);
	if (err != PBX_OK) {
		pbx_error(cdr->host, "record_not_written", "error=%d", err);
		free(safe);
	}
}

const char segment_columns[] =
	"id, call_id, linked_id, sequence, direction, from_number, from_name, to_number, dialled, device, started_at,"
	" answered_at, ended_at, disposition, cause, hangup_by, sip_code, q850_cause, ring_ms, duration_ms, billsec_ms,"
	" hold_ms, park_ms, parked_at, account_code, user_field, notes, pdd_ms, legal_hold,"
	" trunk_id, trunk_from, trunk_to, from_account, fields";

void row_write(struct cdr *cdr, const struct segment *segment, int64_t seq)
{
	const struct pbx_value params[] = {
		pbx_v_text(segment->id),           pbx_v_text(segment->call_id),
		pbx_v_text(segment->linked_id),    PBX_V_INT(segment->sequence),
		pbx_v_text(segment->direction),    pbx_v_text(segment->from_number),
		pbx_v_text(segment->from_name),    pbx_v_text(segment->to_number),
		pbx_v_text(segment->dialled),      pbx_v_text(segment->device),
		PBX_V_INT(segment->started_us),    PBX_V_INT(segment->answered_us),
		PBX_V_INT(segment->ended_us),      pbx_v_text(segment->disposition),
		pbx_v_text(segment->cause),        pbx_v_text(segment->hangup_by),
		PBX_V_INT(segment->sip_code),      PBX_V_INT(segment->q850_cause),
		PBX_V_INT(segment->ring_ms),       PBX_V_INT(segment->duration_ms),
		PBX_V_INT(segment->billsec_ms),    PBX_V_INT(segment->hold_ms),
		PBX_V_INT(segment->park_ms),       PBX_V_INT(segment->parked_us),
		PBX_V_INT(segment->pdd_ms),        pbx_v_text(segment->account_code),
		pbx_v_text(segment->user_field),   pbx_v_text(segment->trunk_id),
		pbx_v_text(segment->trunk_from),   pbx_v_text(segment->trunk_to),
		pbx_v_text(segment->from_account), pbx_v_text(segment->fields ? segment->fields : ""),
	};

	record(cdr,
	       "INSERT INTO cdr_segments (id, call_id, linked_id, sequence, direction, from_number, from_name, to_number, dialled, device, "
	       "started_at,"
	       " answered_at, ended_at, disposition, cause, hangup_by, sip_code, q850_cause, ring_ms, duration_ms, billsec_ms, hold_ms, "
	       "park_ms, parked_at, pdd_ms, account_code, user_field, trunk_id, trunk_from, trunk_to, from_account, fields)"
	       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, "
	       "$25, $26, $27, $28, $29, $30, $31, $32)"
	       " ON CONFLICT (id) DO UPDATE SET linked_id = $3, direction = $5, to_number = $8, answered_at = $12, ended_at = $13, "
	       "disposition = $14, "
	       "cause = $15,"
	       " hangup_by = $16, sip_code = $17, q850_cause = $18, ring_ms = $19, duration_ms = $20, billsec_ms = $21, hold_ms = $22, "
	       "park_ms = $23, parked_at = $24, pdd_ms = $25, trunk_id = $28, trunk_from = $29, trunk_to = $30",
	       params, sizeof params / sizeof params[0], seq);
}

/* By itself, since people change account_code and user_field of a row, too (cdr set): what this did not change it leaves alone. */
void row_write_fields(struct cdr *cdr, const struct segment *segment, bool account_code, bool user_field, int64_t seq)
{
	const struct pbx_value params[] = {
		pbx_v_text(segment->id),
		pbx_v_text(segment->fields ? segment->fields : ""),
		account_code ? pbx_v_text(segment->account_code) : PBX_V_NULL,
		user_field ? pbx_v_text(segment->user_field) : PBX_V_NULL,
	};

	record(cdr,
	       "UPDATE cdr_segments SET fields = $2, account_code = COALESCE($3, account_code), user_field = COALESCE($4, user_field)"
	       " WHERE id = $1",
	       params, sizeof params / sizeof params[0], seq);
}

void row_remove(struct cdr *cdr, const char *id, int64_t seq)
{
	const struct pbx_value params[] = { pbx_v_text(id) };

	record(cdr, "DELETE FROM cdr_segments WHERE id = $1", params, 1, seq);
}

struct telling {
	struct cdr *cdr;
	char call_id[32];
};

static void on_last(void *self, const struct pbx_rows *rows)
{
	struct telling *telling = self;
	struct segment segment;

	if (rows->status == PBX_OK && rows->count > 0) {
		segment_from_row(&segment, rows, 0);
		told_or_tell(telling->cdr, &segment);
	} else if (rows->status != PBX_ECANCELLED) {
		place_told(telling->cdr, telling->call_id); /* there is nothing to tell, or it cannot be read */
	}
	if (rows->status != PBX_OK && rows->status != PBX_ECANCELLED)
		pbx_error(telling->cdr->host, "record_not_told", "call_id=%s error=\"%s\"", telling->call_id, rows->error);
	free(telling);
}

static void tell_last(struct cdr *cdr, const char *call_id)
{
	const struct pbx_value params[] = { pbx_v_text(call_id) };
	struct telling *telling = malloc(sizeof *telling);
	char sql[1024];

	if (telling) {
		*telling = (struct telling){ .cdr = cdr };
		(void)snprintf(telling->call_id, sizeof telling->call_id, "%s", call_id);
		(void)snprintf(sql, sizeof sql,
			       "SELECT %s FROM cdr_segments WHERE call_id = $1 AND ended_at > 0 ORDER BY sequence DESC LIMIT 1",
			       segment_columns);
		if (cdr->store->run(cdr->host, sql, params, 1, on_last, telling) == PBX_OK)
			return;
	}
	place_told(cdr, call_id);
	pbx_error(cdr->host, "record_not_told", "call_id=%s error=\"the store takes nothing now\"", call_id);
	free(telling);
}

void row_close_unseen(struct cdr *cdr, const struct segment *closing, int64_t seq)
{
	const struct pbx_value params[] = {
		pbx_v_text(closing->call_id),   PBX_V_INT(closing->ended_us),    pbx_v_text(closing->disposition),
		pbx_v_text(closing->cause),     pbx_v_text(closing->hangup_by),  PBX_V_INT(closing->sip_code),
		PBX_V_INT(closing->q850_cause), PBX_V_INT(closing->duration_ms), PBX_V_INT(closing->billsec_ms),
	};

	/* One that is closed already may not be told of: the crash may have come before it was. */
	place_await(cdr, seq, closing->call_id);
	record(cdr,
	       "UPDATE cdr_segments SET ended_at = $2, disposition = $3, cause = $4, hangup_by = $5, sip_code = $6, q850_cause = $7,"
	       " duration_ms = $8, billsec_ms = $9 WHERE call_id = $1 AND ended_at = 0",
	       params, sizeof params / sizeof params[0], seq);
	tell_last(cdr, closing->call_id);
}

void row_write_leg(struct cdr *cdr, const struct pbx_event *event)
{
	const struct pbx_jsons *json = cdr->json;
	const char *leg_id = json->text(json->get(event->data, "leg_id"));
	char *data = json->print(event->data);
	const struct pbx_value params[] = { pbx_v_text(leg_id), pbx_v_text(event->call_id), pbx_v_text(event->linked_id),
					    PBX_V_INT(event->wall_us), pbx_v_text(data ? data : "{}") };

	if (leg_id)
		record(cdr,
		       "INSERT INTO cdr_legs (id, call_id, linked_id, ended_at, data) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO "
		       "NOTHING",
		       params, 5, 0);
	json->free_text(data);
}

/* ---- after a crash or an absence -------------------------------------------------------------------- */

/* A record that is open in the table goes on: the event log tells how, also when its call ended while we were away, or died with the PBX. */
static void on_open_rows(void *self, const struct pbx_rows *rows)
{
	struct cdr *cdr = self;
	struct segment segment;

	for (uint32_t row = 0; row < rows->count; row++) {
		segment_from_row(&segment, rows, row);
		segments_resume(cdr, &segment, pbx_cell_int(rows, row, SEGMENT_COLUMNS));
	}
	cdr->host->ready(cdr->host, rows->status, rows->error);
}

int rows_restore(struct cdr *cdr)
{
	char sql[2048];

	(void)snprintf(
		sql, sizeof sql,
		"SELECT %s, COALESCE((SELECT SUM(e.billsec_ms) FROM cdr_segments e WHERE e.call_id = s.call_id AND e.ended_at > 0), 0)"
		" FROM cdr_segments s WHERE s.ended_at = 0",
		segment_columns);
	int err = cdr->store->run(cdr->host, sql, NULL, 0, on_open_rows, cdr);
	return err == PBX_OK ? PBX_ELATER : err;
}

/* ---- old records ---------------------------------------------------------------------- */

#define DAY_US ((int64_t)86400 * 1000000)
#define MASKED(number) "SUBSTR(" number ", 1, CASE WHEN LENGTH(" number ") > 4 THEN LENGTH(" number ") - 4 ELSE 0 END) || 'xxxx'"
#define LEG_NOT_HELD "linked_id NOT IN (SELECT linked_id FROM cdr_segments WHERE legal_hold = 1)"

void rows_retire(struct cdr *cdr)
{
	int64_t now_us = cdr->host->wall_us(cdr->host);
	struct pbx_value params[] = { PBX_V_INT(now_us - (int64_t)cdr->settings->retention_days * DAY_US) };

	if (cdr->settings->retention_days > 0) {
		(void)cdr->store->run(cdr->host, "DELETE FROM cdr_segments WHERE legal_hold = 0 AND started_at < $1", params, 1, NULL,
				      NULL);
		(void)cdr->store->run(cdr->host, "DELETE FROM cdr_legs WHERE ended_at < $1 AND " LEG_NOT_HELD, params, 1, NULL, NULL);
	}
	if (cdr->settings->anonymise_days > 0) {
		params[0] = PBX_V_INT(now_us - (int64_t)cdr->settings->anonymise_days * DAY_US);
		(void)cdr->store->run(cdr->host,
				      "UPDATE cdr_segments SET anonymised = 1, from_name = '', from_account = '', device = '', dialled = "
				      "'', fields = '', from_number "
				      "= " MASKED("from_number") ", to_number = " MASKED("to_number") ", trunk_from = " MASKED(
					      "trunk_from") ", trunk_to = " MASKED("trunk_to") " WHERE anonymised = 0 AND legal_hold = 0 "
											       "AND "
											       "started_at < $1",
				      params, 1, NULL, NULL);
		/* Legs hold numbers, names and addresses of their own. */
		(void)cdr->store->run(cdr->host, "DELETE FROM cdr_legs WHERE ended_at < $1 AND " LEG_NOT_HELD, params, 1, NULL, NULL);
	}
}
