/*
 * fax - numbers that receive faxes, and faxes that are sent
 *
 * fax.h has the picture. receive.c answers the numbers of inboxes, send.c calls and tries again, pages.c knows TIFF and PDF, rows.c the store and the
 * events, requests.c what people ask. Modems and T.38 are the core's (pbx/fax.h).
 */
#include "fax.h"
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

static const struct pbx_setting inbox_rows[] = {
	PBX_TEXT(struct inbox_row, number, .flags = PBX_SETTING_NEEDED, .least = 1, .most = 31, .help = "The number that receives"),
	PBX_TEXT(struct inbox_row, name, .initial_text = "", .most = 63, .help = "Whose it is, for people"),
	PBX_TEXT(struct inbox_row, station, .initial_text = "", .most = 20, .help = "What the sender's machine shows; empty: fax.station"),
};

static const struct pbx_setting settings[] = {
	PBX_OBJECTS(struct fax_settings, inboxes, .fields = PBX_TABLE(inbox_rows), .object_size = sizeof(struct inbox_row),
		    .help = "Numbers that receive faxes"),
	PBX_TEXT(struct fax_settings, station, .initial_text = "", .most = 20,
		 .help = "Our number as the other machine shows it: digits, blanks, +"),
	PBX_TEXT(struct fax_settings, header, .initial_text = "", .most = 50,
		 .help = "Printed at the top of each page that is sent; empty: nothing"),
	PBX_BOOL(struct fax_settings, ecm, .initial = 1, .help = "Correct errors where the other machine can (T.30 annex A)"),
	PBX_BOOL(struct fax_settings, t38, .initial = 1,
		 .help = "Offer T.38 to callers who may have it (media.t38, and t38 of extensions and trunks); off: take it when it is "
			 "offered"),
	PBX_UINT(struct fax_settings, bit_rate, .initial = 14400, .least = 4800, .most = 14400, .unit = "bit/s",
		 .help = "The fastest to be tried"),
	PBX_UINT(struct fax_settings, attempts, .initial = 3, .least = 1, .most = 20,
		 .help = "How often a fax is sent until it is given up"),
	PBX_UINT(struct fax_settings, retry_s, .initial = 300, .least = 1, .most = 86400, .unit = "s", .help = "Between two attempts"),
	PBX_UINT(struct fax_settings, ring_s, .initial = 60, .least = 10, .most = 300, .unit = "s",
		 .help = "How long the other side may ring"),
	PBX_UINT(struct fax_settings, most_mib, .initial = 20, .least = 1, .most = 100, .unit = "MiB",
		 .help = "The longest file that is taken to be sent"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "faxes",
	  "CREATE TABLE fax_faxes (id TEXT PRIMARY KEY, direction TEXT NOT NULL, state TEXT NOT NULL, inbox TEXT NOT NULL,"
	  " from_number TEXT NOT NULL, to_number TEXT NOT NULL, station TEXT NOT NULL DEFAULT '', pages INTEGER NOT NULL DEFAULT 0,"
	  " bit_rate INTEGER NOT NULL DEFAULT 0, ecm INTEGER NOT NULL DEFAULT 0, t38 INTEGER NOT NULL DEFAULT 0,"
	  " attempts INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', path TEXT NOT NULL, created_at INTEGER NOT NULL,"
	  " finished_at INTEGER NOT NULL DEFAULT 0)" },
};

static const struct pbx_metric metrics[] = {
	[METRIC_FAXES] = { .name = "pbx_faxes_total",
			   .kind = PBX_METRIC_COUNTER,
			   .help = "Faxes by result: received, not_received, sent, not_sent",
			   .labels = "result" },
	[METRIC_PAGES] = { .name = "pbx_fax_pages_total",
			   .kind = PBX_METRIC_COUNTER,
			   .help = "Pages received and sent",
			   .labels = "direction" },
};

#define WHO_FIELDS                                                                                                                         \
	{ "inbox", PBX_TYPE_TEXT, "The number that received it" }, { "from", PBX_TYPE_TEXT, "Who called" },                                \
		{ "to", PBX_TYPE_TEXT, "Who was called" }, { "station", PBX_TYPE_TEXT, "How the other machine calls itself" },             \
		{ "pages", PBX_TYPE_INT, "Pages that have arrived" }, { "bit_rate", PBX_TYPE_INT, "How fast, in bit/s" },                  \
		{ "t38", PBX_TYPE_BOOL, "It went by T.38" },                                                                               \
	{                                                                                                                                  \
		"reason", PBX_TYPE_TEXT, "What went wrong; empty: nothing"                                                                 \
	}
static const struct pbx_field event_fields[] = {
	{ "fax_id", PBX_TYPE_TEXT, "Which fax" },
	{ "direction", PBX_TYPE_TEXT, "in or out" },
	WHO_FIELDS,
};
static const struct pbx_event_type events[] = {
	{ "fax.page", "A page has gone over, while the fax lasts; .pages so far", PBX_TABLE(event_fields) },
	{ "fax.received", "Pages have come; with a reason, not all of them", PBX_TABLE(event_fields) },
	{ "fax.sent", "All pages have arrived", PBX_TABLE(event_fields) },
	{ "fax.failed", "A fax was not received, or is given up", PBX_TABLE(event_fields) },
};

/* ---- what people may ask ---- */

static const struct pbx_field row_fields[] = {
	{ "id", PBX_TYPE_TEXT, "The fax" },
	{ "direction", PBX_TYPE_TEXT, "in or out" },
	{ "state", PBX_TYPE_TEXT, "receiving, received, incomplete; sending, waiting (for another attempt), sent, cancelled; failed" },
	WHO_FIELDS,
	{ "ecm", PBX_TYPE_BOOL, "Errors were corrected" },
	{ "attempts", PBX_TYPE_INT, "How often it was sent" },
	{ "created_at", PBX_TYPE_TEXT, "When it began" },
	{ "finished_at", PBX_TYPE_TEXT, "When it was over" },
};
static const struct pbx_field inbox_fields[] = {
	{ "number", PBX_TYPE_TEXT, "The number that receives" },
	{ "name", PBX_TYPE_TEXT, "Whose it is" },
	{ "station", PBX_TYPE_TEXT, "What the sender's machine shows" },
};
static const struct pbx_field sent_fields[] = { { "id", PBX_TYPE_TEXT, "The fax" } };

#define ID_ARG                                                                                                                             \
	{                                                                                                                                  \
		.name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = 26, .help = "Id of the fax"                        \
	}
#define TO_ARG(where)                                                                                                                      \
	{                                                                                                                                  \
		.name = "to", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED | (where), .least = 1, .most = 63,                          \
		.help = "The number to be called"                                                                                          \
	}
#define FROM_ARG(where)                                                                                                                    \
	{                                                                                                                                  \
		.name = "from", .type = PBX_TYPE_TEXT, .flags = (where), .most = 63,                                                       \
		.help = "The number that is shown; users: always their own"                                                                \
	}

static const char *const formats[] = { "tiff", "pdf", NULL };
static const struct pbx_arg list_args[] = {
	{ .name = "inbox", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .most = 31, .help = "Only those of this number" },
	{ .name = "state", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .most = 12, .help = "Only those in this state" },
	{ .name = "limit",
	  .type = PBX_TYPE_INT,
	  .flags = PBX_ARG_QUERY,
	  .least = 1,
	  .most = 1000,
	  .help = "At most so many, newest first" },
};
static const struct pbx_arg id_args[] = { ID_ARG };
static const struct pbx_arg file_args[] = {
	ID_ARG,
	{ .name = "format",
	  .type = PBX_TYPE_CHOICE,
	  .flags = PBX_ARG_QUERY,
	  .choices = formats,
	  .help = "tiff, as it came (the default), or pdf" },
};
static const struct pbx_arg send_args[] = { TO_ARG(PBX_ARG_QUERY), FROM_ARG(PBX_ARG_QUERY) };
static const struct pbx_arg send_file_args[] = {
	TO_ARG(0),
	{ .name = "file",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .least = 2,
	  .most = 4000,
	  .help = "Path of a TIFF or PDF that pbxd may read" },
	FROM_ARG(0),
};

#define ROUTE(verb, where, function, who, text, ...)                                                                                       \
	{                                                                                                                                  \
		.method = (verb), .path = (where), .handle = (function), .scope = (who), .summary = (text), __VA_ARGS__                    \
	}
static const struct pbx_route routes[] = {
	ROUTE("GET", "/faxes", on_list, "fax:read", "Faxes, newest first; a user sees those of their own number",
	      .args = PBX_TABLE(list_args), .reply = PBX_TABLE(row_fields)),
	ROUTE("GET", "/faxes/inboxes", on_inboxes, "fax:read", "Numbers that receive faxes", .reply = PBX_TABLE(inbox_fields)),
	ROUTE("GET", "/faxes/{id}", on_show, "fax:read", "One fax", .args = PBX_TABLE(id_args), .reply = PBX_TABLE(row_fields)),
	ROUTE("GET", "/faxes/{id}/file", on_file, "fax:read", "Its pages", .args = PBX_TABLE(file_args)),
	ROUTE("POST", "/faxes", on_send, "fax:write", "Send the pages of a TIFF or PDF, which is the body", .args = PBX_TABLE(send_args),
	      .flags = PBX_ROUTE_WRITES | PBX_ROUTE_RAW_BODY, .reply = PBX_TABLE(sent_fields)),
	ROUTE("DELETE", "/faxes/{id}", on_delete, "fax:write", "Delete a fax and its pages; one that is under way is given up",
	      .args = PBX_TABLE(id_args), .flags = PBX_ROUTE_WRITES),
};

static const struct pbx_command commands[] = {
	{ .words = "fax list",
	  .handle = on_list,
	  .help = "Faxes, newest first",
	  .args = PBX_TABLE(list_args),
	  .columns = "id,direction,state,from,to,pages,t38,reason" },
	{ .words = "fax show", .handle = on_show, .help = "One fax", .args = PBX_TABLE(id_args) },
	{ .words = "fax inboxes", .handle = on_inboxes, .help = "Numbers that receive faxes", .columns = "number,name,station" },
	{ .words = "fax send", .handle = on_send_file, .help = "Send the pages of a TIFF or PDF", .args = PBX_TABLE(send_file_args) },
	{ .words = "fax delete", .handle = on_delete, .help = "Delete a fax and its pages", .args = PBX_TABLE(id_args) },
};

/* ---- life ---- */

static int fax_load(void *self)
{
	struct plugin *plugin = self;
	struct pbx_host *host = plugin->host;

	plugin->calls = pbx_calls(host);
	plugin->routing = pbx_routing(host);
	plugin->faxes = pbx_faxes(host);
	plugin->store = pbx_store(host);
	plugin->requests = pbx_requests(host);
	plugin->json = pbx_jsons(host);
	plugin->bus = pbx_bus(host);
	plugin->timers = pbx_timers(host);
	plugin->metrics = pbx_metrics(host);
	plugin->programs = pbx_programs(host);
	plugin->folder = host->data_dir(host);
	(void)TIFFSetErrorHandler(NULL); /* what a file has wrong is said in our words */
	(void)TIFFSetWarningHandler(NULL);
	return plugin->folder ? PBX_OK : PBX_EIO;
}

static int fax_start(void *self)
{
	struct plugin *plugin = self;
	struct pbx_diag diag = { 0 };
	int err = inboxes_claim(plugin, &plugin->settings->inboxes, &diag);

	if (err != PBX_OK) {
		pbx_error(plugin->host, "inbox_not_claimed", "result=%d reason=\"%s\"", err, diag.text);
		return err;
	}
	return send_start(plugin);
}

/* Somebody else may still refuse these settings: numbers that are no inbox any more are given back when it is decided. */
static int fax_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	struct plugin *plugin = self;
	const struct fax_settings *wanted = proposed;
	int err = inboxes_claim(plugin, &wanted->inboxes, diag);

	if (err == PBX_OK)
		err = plugin->host->post(plugin->host, inboxes_give_back, NULL, NULL);
	return err;
}

static void fax_drain(void *self)
{
	send_drain(self);
}

static void fax_unload(void *self)
{
	struct plugin *plugin = self;

	jobs_free(plugin);
	for (struct claimed *claimed = plugin->claimed, *next; claimed; claimed = next) {
		next = claimed->next;
		free(claimed);
	}
}

PBX_PLUGIN(fax)
= {
	PBX_PLUGIN_HEADER,
	.name = "fax",
	.version = "1.0.0",
	.summary = "Numbers that receive faxes, and faxes that are sent",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.route/1", "pbx.fax/1", "pbx.store/1", "pbx.requests/1", "pbx.json/1", "pbx.bus/1",
			   "pbx.timers/1", "pbx.metrics/1", "pbx.programs/1"),
	.instance_size = sizeof(struct plugin),
	PBX_SETTINGS(struct fax_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = fax_load,
	.start = fax_start,
	.reload = fax_reload,
	.drain = fax_drain,
	.unload = fax_unload,
};
