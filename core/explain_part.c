/* explain_part.c - the card of the explanations: `calls explain`, `calls show`, `registrations explain`, and their routes */
#include "explain_part.h"
#include "parts.h"

struct explain_part {
	struct pbx_host *host;
	const void *settings; /* it has none */
};

static struct pbx_host *part_host;

struct pbx_host *core_explain_host(void)
{
	return part_host;
}

/* ---- the card ------------------------------------------------------------------------- */

static const struct pbx_arg call_args[] = {
	{ .name = "id",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .most = 127,
	  .help = "Id of a call, also of one that is over, of a leg or record of it, or a SIP Call-ID",
	  .completes = "call" },
};
static const struct pbx_arg aor_args[] = {
	{ .name = "aor",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .most = 63,
	  .help = "The account, as 1001",
	  .completes = "extension" },
};

#define FOUND                                                                                                                              \
	{ "verdict", PBX_TYPE_TEXT, "failed, one_way, bad_sound, under_way or good" },                                                     \
		{ "rule", PBX_TYPE_TEXT, "Which rule has found it, a word for programs" },                                                 \
		{ "sentence", PBX_TYPE_TEXT, "What it was, for people" },                                                                  \
	{                                                                                                                                  \
		"evidence", PBX_TYPE_LIST, "What it rests on: messages, counts, decisions"                                                 \
	}
static const struct pbx_field call_fields[] = {
	{ "call_id", PBX_TYPE_TEXT, "The call, or the Call-ID that was asked for" },
	FOUND,
	{ "also", PBX_TYPE_OBJECTS, "What else was found: rule, verdict, sentence" },
};
static const struct pbx_field registration_fields[] = { { "aor", PBX_TYPE_TEXT, "The account" }, FOUND };

static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/calls/{id}/explain",
	  .handle = core_explain_call,
	  .scope = "calls:read",
	  .summary = "Why a call failed, was one-way or sounded bad, in a sentence",
	  .args = PBX_TABLE(call_args),
	  .reply = PBX_TABLE(call_fields) },
	{ .method = "GET",
	  .path = "/registrations/{aor}/explain",
	  .handle = core_explain_phone,
	  .scope = "registrations:read",
	  .summary = "Why an account's phone does not register, in a sentence",
	  .args = PBX_TABLE(aor_args),
	  .reply = PBX_TABLE(registration_fields) },
};

static const struct pbx_command commands[] = {
	{ .words = "calls explain",
	  .handle = core_explain_call,
	  .help = "Say in a sentence why a call failed, was one-way or sounded bad",
	  .args = PBX_TABLE(call_args) },
	{ .words = "calls show",
	  .handle = core_explain_show,
	  .help = "One call, live or over: its legs, its messages as a ladder, and what became of it",
	  .args = PBX_TABLE(call_args) },
	{ .words = "registrations explain",
	  .handle = core_explain_phone,
	  .help = "Say in a sentence why a phone does not register",
	  .args = PBX_TABLE(aor_args) },
};

static int explain_start(void *self)
{
	const struct explain_part *part = self;

	part_host = part->host;
	return PBX_OK;
}

static void explain_stop(void *self)
{
	(void)self;
	core_explain_forget_askers();
	part_host = NULL;
}

const struct pbx_plugin explain_part = {
	PBX_PLUGIN_HEADER,
	.name = "explain",
	.version = PBX_VERSION,
	.summary = "Why calls and registrations fail, in a sentence",
	.instance_size = sizeof(struct explain_part),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.start = explain_start,
	.stop = explain_stop,
};
