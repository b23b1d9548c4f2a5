/*
 * cdr - every call leaves a record: who, whom, when, how long, with what result
 *
 * Follows the event log with a cursor of its own (segments.c), so that neither a crash nor a database that was away loses a record; a
 * row is there from the first second of a call (rows.c). What was open when the PBX died is closed by the
 * call.ended that the core tells of it at its next start.
 */
#include "output.h"

static const struct pbx_setting settings[] = {
	PBX_UINT(struct cdr_settings, retention_days, .initial = 365, .least = 0, .most = 36500, .unit = "days",
		 .help = "Records older than this are removed, but for those on legal hold; 0 keeps all"),
	PBX_UINT(struct cdr_settings, anonymise_days, .initial = 0, .least = 0, .most = 36500, .unit = "days",
		 .help = "Records older than this lose names, devices, fields, legs and the last four digits of numbers; 0: never"),
	PBX_BOOL(struct cdr_settings, legs, .initial = 1, .help = "Keep a row with media figures for every leg too"),
	PBX_BOOL(struct cdr_settings, csv, .initial = 0,
		 .help = "Append each record to the CSV file of the day its call began, cdr_2026-11-22.csv"),
	PBX_LIST(struct cdr_settings, csv_fields, .initial_text = "",
		 .help = "Columns of the CSV files, in order, by their names in `pbxctl cdr export`, or fields.NAME for a field of yours; "
			 "empty: all"),
	PBX_BOOL(struct cdr_settings, jsonl, .initial = 0,
		 .help = "Append each record as a line of JSON to the file of the day, cdr_2026-11-22.jsonl"),
	PBX_TEXT(struct cdr_settings, directory, .initial_text = "",
		 .help = "Where the daily files are, an absolute path; empty: cdr/ in the data folder"),
	PBX_UINT(struct cdr_settings, files_days, .initial = 0, .least = 0, .most = 36500, .unit = "days",
		 .help = "Daily files older than this are removed; 0 keeps all"),
	PBX_TEXT(struct cdr_settings, http_url, .initial_text = "",
		 .help = "POST each record as JSON to this address; a private one must be named in fetch.allow"),
	PBX_SECRET(struct cdr_settings, http_token, .initial_text = "", .most = 500, .help = "Sent along as a bearer token"),
	PBX_UINT(struct cdr_settings, http_parallel, .initial = 4, .least = 1, .most = 64,
		 .help = "Requests at once; 1 keeps the order of records"),
	PBX_UINT(struct cdr_settings, http_timeout_s, .initial = 10, .least = 1, .most = 120, .unit = "s",
		 .help = "The service has so long to answer"),
	PBX_TEXT(struct cdr_settings, syslog, .initial_text = "",
		 .help = "Send each record to syslog as JSON: local, local:/path, udp:host:514, tcp:host:601"),
	PBX_CHOICE(struct cdr_settings, syslog_facility, .initial_text = "local0",
		   .choices = PBX_CHOICES("local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
		   .help = "Its facility"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "segments",
	  "CREATE TABLE cdr_segments (id TEXT PRIMARY KEY, call_id TEXT NOT NULL, linked_id TEXT NOT NULL, sequence INTEGER NOT NULL,"
	  " direction TEXT NOT NULL, from_number TEXT NOT NULL, from_name TEXT NOT NULL, to_number TEXT NOT NULL, dialled TEXT NOT NULL,"
	  " device TEXT NOT NULL, started_at INTEGER NOT NULL, answered_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, disposition TEXT "
	  "NOT NULL,"
	  " cause TEXT NOT NULL, hangup_by TEXT NOT NULL, sip_code INTEGER NOT NULL, q850_cause INTEGER NOT NULL, ring_ms INTEGER NOT NULL,"
	  " duration_ms INTEGER NOT NULL, billsec_ms INTEGER NOT NULL, hold_ms INTEGER NOT NULL, park_ms INTEGER NOT NULL, parked_at "
	  "INTEGER NOT NULL,"
	  " account_code TEXT NOT NULL DEFAULT '', user_field TEXT NOT NULL DEFAULT '', notes TEXT NOT NULL DEFAULT '',"
	  " anonymised INTEGER NOT NULL DEFAULT 0);"
	  "CREATE INDEX cdr_segments_linked ON cdr_segments (linked_id);"
	  "CREATE INDEX cdr_segments_call ON cdr_segments (call_id);"
	  "CREATE INDEX cdr_segments_started ON cdr_segments (started_at);"
	  "CREATE INDEX cdr_segments_from ON cdr_segments (from_number, started_at);"
	  "CREATE INDEX cdr_segments_to ON cdr_segments (to_number, started_at);"
	  "CREATE INDEX cdr_segments_open ON cdr_segments (ended_at);"
	  "CREATE TABLE cdr_legs (id TEXT PRIMARY KEY, call_id TEXT NOT NULL, linked_id TEXT NOT NULL, ended_at INTEGER NOT NULL, data "
	  "TEXT NOT NULL);"
	  "CREATE INDEX cdr_legs_linked ON cdr_legs (linked_id)" },
	{ 2, "post-dial delay and legal hold",
	  "ALTER TABLE cdr_segments ADD COLUMN pdd_ms INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE cdr_segments ADD COLUMN legal_hold INTEGER NOT NULL DEFAULT 0" },
	{ 3, "trunks",
	  "ALTER TABLE cdr_segments ADD COLUMN trunk_id TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE cdr_segments ADD COLUMN trunk_from TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE cdr_segments ADD COLUMN trunk_to TEXT NOT NULL DEFAULT ''" },
	{ 4, "the caller's account",
	  "ALTER TABLE cdr_segments ADD COLUMN from_account TEXT NOT NULL DEFAULT '';"
	  "CREATE INDEX cdr_segments_account ON cdr_segments (from_account, started_at)" },
	{ 5, "fields of others", "ALTER TABLE cdr_segments ADD COLUMN fields TEXT NOT NULL DEFAULT ''" },
};

static const struct pbx_metric metrics[] = {
	[METRIC_RECORDS] = { .name = "pbx_cdr_records_total",
			     .kind = PBX_METRIC_COUNTER,
			     .help = "Records closed",
			     .labels = "disposition" },
	[METRIC_OUTPUT] = { .name = "pbx_cdr_output_records_total",
			    .kind = PBX_METRIC_COUNTER,
			    .help = "Records to csv, jsonl, http and syslog: sent, refused by the service; and attempts that failed",
			    .labels = "output,result" },
	[METRIC_WAITING] = { .name = "pbx_cdr_output_waiting",
			     .kind = PBX_METRIC_GAUGE,
			     .help = "Records at hand that wait for an output; more may wait in the event log",
			     .labels = "output" },
};

#define SEGMENT_FIELDS                                                                                                                     \
	{ "id", PBX_TYPE_TEXT, "Id of the record" }, { "call_id", PBX_TYPE_TEXT, "Id of the call" },                                       \
		{ "linked_id", PBX_TYPE_TEXT, "The same for all records of calls that met" },                                              \
		{ "sequence", PBX_TYPE_INT, "Which record of its call" }, { "direction", PBX_TYPE_TEXT, "internal, inbound, outbound" },   \
		{ "from_number", PBX_TYPE_TEXT, "Who called" }, { "from_name", PBX_TYPE_TEXT, "Their name" },                              \
		{ "to_number", PBX_TYPE_TEXT, "Who was reached" }, { "dialled", PBX_TYPE_TEXT, "What was dialled" },                       \
		{ "device", PBX_TYPE_TEXT, "The caller's phone" }, { "started_at", PBX_TYPE_TIME, "When it began" },                       \
		{ "answered_at", PBX_TYPE_TIME, "When it was answered, or null" },                                                         \
		{ "ended_at", PBX_TYPE_TIME, "When it ended, or null" }, { "state", PBX_TYPE_TEXT, "in_progress, ended" },                 \
		{ "disposition", PBX_TYPE_TEXT, "answered, busy, no_answer, cancelled, declined, failed; null until there is an answer" }, \
		{ "cause", PBX_TYPE_TEXT, "normal_clearing, not_found, transferred, system_restart…" },                                    \
		{ "hangup_by", PBX_TYPE_TEXT, "caller, callee, system" }, { "sip_code", PBX_TYPE_INT, "Final SIP response" },              \
		{ "q850_cause", PBX_TYPE_INT, "ITU-T Q.850 cause" }, { "ring_ms", PBX_TYPE_INT, "From ringing to answer" },                \
		{ "duration_ms", PBX_TYPE_INT, "From begin to end" }, { "billsec_ms", PBX_TYPE_INT, "From answer to end" },                \
		{ "pdd_ms", PBX_TYPE_INT, "From dialling to the first sign of the other side" },                                           \
		{ "trunk_id", PBX_TYPE_TEXT, "Trunk over which the called party was reached, else the one the caller came by, or null" },  \
		{ "trunk_from", PBX_TYPE_TEXT, "The calling number as it went over that trunk, or null" },                                 \
		{ "trunk_to", PBX_TYPE_TEXT, "The called number as it went over that trunk, or null" },                                    \
		{ "account_code", PBX_TYPE_TEXT, "Yours; given while the call lasts it goes along to all outputs" },                       \
		{ "user_field", PBX_TYPE_TEXT, "Yours, likewise" },                                                                        \
		{ "fields", PBX_TYPE_OBJECT, "Yours by name, noted while the call lasted (PATCH /calls/{id})" },                           \
		{ "hold_ms", PBX_TYPE_INT, "Of it on hold" },                                                                              \
	{                                                                                                                                  \
		"park_ms", PBX_TYPE_INT, "Of it parked"                                                                                    \
	}

static const struct pbx_field created_fields[] = { SEGMENT_FIELDS };
static const struct pbx_field record_fields[] = {
	SEGMENT_FIELDS,
	{ "notes", PBX_TYPE_TEXT, "Yours" },
	{ "legal_hold", PBX_TYPE_BOOL, "Neither removed nor anonymised" },
};
static const struct pbx_event_type events[] = { { "cdr.created", "A record is complete", PBX_TABLE(created_fields) } };

#define FILTER_ARGS                                                                                                                        \
	{ .name = "from",                                                                                                                  \
	  .type = PBX_TYPE_TEXT,                                                                                                           \
	  .flags = PBX_ARG_QUERY,                                                                                                          \
	  .help = "Began at or after: 2026-11-22 or 2026-11-22T15:04:05Z" },                                                               \
		{ .name = "to", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .help = "Began before" },                                   \
		{ .name = "number",                                                                                                        \
		  .type = PBX_TYPE_TEXT,                                                                                                   \
		  .flags = PBX_ARG_QUERY,                                                                                                  \
		  .most = 60,                                                                                                              \
		  .help = "Part of a number on either side" },                                                                             \
		{ .name = "extension", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .most = 60, .help = "Exact number on either side" }, \
		{ .name = "direction",                                                                                                     \
		  .type = PBX_TYPE_CHOICE,                                                                                                 \
		  .flags = PBX_ARG_QUERY,                                                                                                  \
		  .choices = PBX_CHOICES("internal", "inbound", "outbound"),                                                               \
		  .help = "Direction" },                                                                                                   \
		{ .name = "disposition",                                                                                                   \
		  .type = PBX_TYPE_CHOICE,                                                                                                 \
		  .flags = PBX_ARG_QUERY,                                                                                                  \
		  .choices = PBX_CHOICES("answered", "busy", "no_answer", "cancelled", "declined", "failed"),                              \
		  .help = "Result" },                                                                                                      \
		{ .name = "state",                                                                                                         \
		  .type = PBX_TYPE_CHOICE,                                                                                                 \
		  .flags = PBX_ARG_QUERY,                                                                                                  \
		  .choices = PBX_CHOICES("in_progress", "ended"),                                                                          \
		  .help = "Goes on, or is over" },                                                                                         \
		{ .name = "min_duration_s",                                                                                                \
		  .type = PBX_TYPE_INT,                                                                                                    \
		  .flags = PBX_ARG_QUERY,                                                                                                  \
		  .least = 0,                                                                                                              \
		  .most = 864000,                                                                                                          \
		  .help = "Talked at least so many seconds" },                                                                             \
		{ .name = "trunk_id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .most = 63, .help = "Calls over this trunk" },        \
		{ .name = "field",                                                                                                         \
		  .type = PBX_TYPE_TEXT,                                                                                                   \
		  .flags = PBX_ARG_QUERY,                                                                                                  \
		  .most = PBX_MOST_FIELD_NAME + 1 + PBX_MOST_FIELD_VALUE,                                                                  \
		  .help = "Has this field, or this text in it: case, case=4711" },                                                         \
		{ .name = "call_id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .most = 40, .help = "Records of this call" },          \
		{ .name = "linked_id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .most = 40, .help = "Records of calls that met" },   \
	{                                                                                                                                  \
		.name = "q", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .most = 60, .help = "Part of a number, name or note"           \
	}

static const struct pbx_arg list_args[] = {
	FILTER_ARGS,
	{ .name = "limit", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .least = 1, .most = 500, .help = "At most so many (50)" },
	{ .name = "sort",
	  .type = PBX_TYPE_CHOICE,
	  .flags = PBX_ARG_QUERY,
	  .choices = PBX_CHOICES("started_at", "-started_at"),
	  .help = "Oldest first, or newest first (-started_at)" },
	{ .name = "cursor", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .most = 48, .help = "next_cursor of the page before" },
};
static const struct pbx_arg export_args[] = { FILTER_ARGS };
static const struct pbx_arg id_arg[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = 48, .help = "Id of the record, or of a call" }
};
static const struct pbx_arg change_args[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = 48, .help = "Id of the record" },
	{ .name = "account_code", .type = PBX_TYPE_TEXT, .most = 80, .help = "For billing" },
	{ .name = "user_field", .type = PBX_TYPE_TEXT, .most = 255, .help = "Whatever you need" },
	{ .name = "notes", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_LINES, .most = 2000, .help = "For people" },
	{ .name = "legal_hold", .type = PBX_TYPE_BOOL, .help = "Keep it from removal and anonymising until this is taken back" },
};

static const struct pbx_field output_fields[] = {
	{ "output", PBX_TYPE_TEXT, "csv, jsonl, http, syslog" },
	{ "state", PBX_TYPE_TEXT, "off, working, failing" },
	{ "waiting", PBX_TYPE_INT, "Records at hand; more may wait in the event log" },
	{ "sent", PBX_TYPE_INT, "Since the start" },
	{ "last_sent_at", PBX_TYPE_TIME, "Or null" },
	{ "failing_since", PBX_TYPE_TIME, "Or null" },
	{ "reason", PBX_TYPE_TEXT, "Why it fails, or null" },
};

static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/cdr",
	  .handle = cdr_on_list,
	  .scope = "cdr:read",
	  .summary = "Call records, newest first; all of them as CSV with Accept: text/csv",
	  .args = PBX_TABLE(list_args),
	  .reply = PBX_TABLE(record_fields) },
	{ .method = "GET",
	  .path = "/cdr/{id}",
	  .handle = cdr_on_show,
	  .scope = "cdr:read",
	  .summary = "One record",
	  .args = PBX_TABLE(id_arg),
	  .reply = PBX_TABLE(record_fields) },
	{ .method = "PATCH",
	  .path = "/cdr/{id}",
	  .handle = cdr_on_change,
	  .scope = "cdr:write",
	  .summary = "Account code, notes, legal hold",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(change_args),
	  .reply = PBX_TABLE(record_fields) },
	{ .method = "GET",
	  .path = "/cdr/{id}/legs",
	  .handle = cdr_on_legs,
	  .scope = "cdr:read",
	  .summary = "Every leg with its media figures",
	  .args = PBX_TABLE(id_arg) },
	{ .method = "GET",
	  .path = "/cdr/{id}/events",
	  .handle = cdr_on_events,
	  .scope = "cdr:read",
	  .summary = "Everything that happened in it",
	  .args = PBX_TABLE(id_arg) },
	{ .method = "GET",
	  .path = "/cdr/outputs",
	  .handle = cdr_on_outputs,
	  .scope = "cdr:outputs",
	  .summary = "Daily files, HTTP and syslog: whether records arrive there",
	  .reply = PBX_TABLE(output_fields) },
};

#define COLUMNS "started_at,from_number,to_number,state,disposition,billsec_ms,hangup_by,id"
static const struct pbx_command commands[] = {
	{ .words = "cdr list",
	  .handle = cdr_on_list,
	  .help = "Call records, newest first",
	  .args = PBX_TABLE(list_args),
	  .columns = COLUMNS },
	{ .words = "cdr tail", .handle = cdr_on_tail, .help = "Records as calls end, until Ctrl-C" },
	{ .words = "cdr show", .handle = cdr_on_show, .help = "One record", .args = PBX_TABLE(id_arg) },
	{ .words = "cdr events",
	  .handle = cdr_on_events,
	  .help = "Everything that happened in a call",
	  .args = PBX_TABLE(id_arg),
	  .columns = "time,type,data" },
	{ .words = "cdr legs", .handle = cdr_on_legs, .help = "Every leg with its media figures", .args = PBX_TABLE(id_arg) },
	{ .words = "cdr set",
	  .handle = cdr_on_change,
	  .help = "Account code, notes and legal hold of a record",
	  .args = PBX_TABLE(change_args),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "cdr outputs",
	  .handle = cdr_on_outputs,
	  .help = "Daily files, HTTP and syslog: whether records arrive there",
	  .columns = "output,state,waiting,sent,last_sent_at,failing_since,reason" },
	{ .words = "cdr export", .handle = cdr_on_export, .help = "Records as CSV", .args = PBX_TABLE(export_args) },
};

static const void *cdr_offer(void *self, const char *id)
{
	struct cdr *cdr = self;

	(void)id;
	cdr->handover = (struct cdr_handover){ .header = PBX_HEADER(struct cdr_handover), .self = self, .each = segments_each };
	return &cdr->handover;
}

/* ---- life ----------------------------------------------------------------------------- */

static int cdr_load(void *self)
{
	struct cdr *cdr = self;

	cdr->store = pbx_store(cdr->host);
	cdr->bus = pbx_bus(cdr->host);
	cdr->json = pbx_jsons(cdr->host);
	cdr->requests = pbx_requests(cdr->host);
	cdr->timers = pbx_timers(cdr->host);
	cdr->metrics = pbx_metrics(cdr->host);
	cdr->fetch = pbx_fetcher(cdr->host);
	cdr->outputs = outputs_new(cdr);
	if (!cdr->outputs)
		return PBX_ENOMEM;
	cdr->predecessor = cdr->host->service(cdr->host, "cdr.calls/5", sizeof *cdr->predecessor);
	return cdr->predecessor && cdr->predecessor->each ? PBX_OK : rows_restore(cdr);
}

static void on_retire(void *self, pbx_timer timer)
{
	(void)timer;
	rows_retire(self);
	files_retire(self);
}

static int cdr_start(void *self)
{
	struct cdr *cdr = self;
	pbx_timer timer;

	/* In the same callback it ends to follow and we begin: no event is told twice, none is missed, and what it knows is not in all
	 * rows yet. */
	cdr->told.before_us = cdr->predecessor && cdr->predecessor->each ? 0 : cdr->host->wall_us(cdr->host);
	segments_take_over(cdr);
	int err = cdr->bus->follow(cdr->host, "records", "call.*,bridge.entered,leg.started,leg.ended", segments_on_event, cdr,
				   &cdr->follower);

	if (err == PBX_OK)
		err = place_start(cdr);
	if (err == PBX_OK)
		err = cdr->timers->start(cdr->host, 60000, 3600000, on_retire, cdr, &timer);
	if (err == PBX_OK)
		err = outputs_apply(cdr->outputs);
	return err;
}

static int cdr_check(void *self, struct pbx_diag *diag)
{
	const struct cdr *cdr = self;

	return outputs_check(cdr->settings, diag);
}

/* The new settings are in force when this runs. */
static void on_reloaded(void *self, void *data)
{
	struct cdr *cdr = self;
	int err = outputs_apply(cdr->outputs);

	(void)data;
	if (err != PBX_OK)
		pbx_error(cdr->host, "outputs_not_changed", "error=%d", err);
}

static int cdr_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	struct cdr *cdr = self;
	int err = outputs_check(proposed, diag);

	return err == PBX_OK ? cdr->host->post(cdr->host, on_reloaded, NULL, NULL) : err;
}

/* What is on its way and not acknowledged is sent by whoever comes after us. */
static void cdr_stop(void *self)
{
	struct cdr *cdr = self;

	told_end(cdr);
	tails_end(cdr);
	outputs_stop(cdr->outputs);
}

static void cdr_unload(void *self)
{
	struct cdr *cdr = self;

	told_fini(cdr);
	segments_clear(cdr);
	outputs_free(cdr->outputs);
}

PBX_PLUGIN(cdr)
= {
	PBX_PLUGIN_HEADER,
	.name = "cdr",
	.version = "1.0.0",
	.summary = "Call records that stay right through hold, park and transfer",
	.needs = PBX_NEEDS("pbx.store/1", "pbx.bus/1", "pbx.json/1", "pbx.requests/1", "pbx.timers/1", "pbx.metrics/1", "pbx.fetch/1",
			   "cdr.calls/5?"),
	.offers = PBX_OFFERS("cdr.calls/5"),
	.instance_size = sizeof(struct cdr),
	PBX_SETTINGS(struct cdr_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.check = cdr_check,
	.load = cdr_load,
	.start = cdr_start,
	.reload = cdr_reload,
	.drain = cdr_stop,
	.stop = cdr_stop,
	.unload = cdr_unload,
	.offer = cdr_offer,
};
