/* prompts_part.c - prompts' card: where their files are, which language is spoken, which file a prompt is played from, and who speaks free text */
#include "prompts_site.h"
#include "json.h"
#include "parts.h"
#include "request.h"
#include "speech.h"

struct prompts_settings {
	const char *language, *speech;
	uint32_t speech_cache_mib;
	struct pbx_list folders;
};

struct prompts_part {
	PBX_INSTANCE(struct prompts_settings);
};

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct prompts_settings, language, .initial_text = "en", .least = 2, .most = CORE_MOST_LANGUAGE - 1,
		 .help = "Language of prompts for who has none of their own: a folder's name, as en or de-AT"),
	PBX_LIST(struct prompts_settings, folders, .initial_text = PBX_DATA_DIR "/sounds, " PBX_SHARE_DIR "/sounds",
		 .help = "Folders with prompts, LANGUAGE/ID.wav in each; the first that has one wins, so a site's own stands first"),
	PBX_TEXT(struct prompts_settings, speech, .initial_text = "auto", .most = 500,
		 .help = "What speaks free text: auto (flite for English, espeak-ng for all else, if they are installed), off, or a "
			 "command that reads "
			 "the text from its standard input and writes a sound file: my-engine -l {language} -o {file}"),
	PBX_UINT(struct prompts_settings, speech_cache_mib, .initial = 100, .least = 1, .most = 100000, .unit = "MiB",
		 .help = "Spoken texts are kept up to so much; what was heard longest ago goes first. A minute of speech takes 2 MiB"),
};

/* ---- which file ---- */

static void on_find(void *self, pbx_request request)
{
	const struct pbx_requests *requests = &core_requests_service;
	const struct pbx_jsons *json = &core_json_service;
	const char *id = requests->text(request, "id"), *language = requests->text(request, "language");
	char path[4096];
	struct pbx_json *answer;

	(void)self;
	if (core_prompts_service.find(language ? language : "", id, 16000, path, sizeof path) != PBX_OK) {
		(void)requests->fail(request, 404, "no_such_prompt", "id", "no folder of prompts.folders has a file for %s", id);
		return;
	}
	answer = json->new_object();
	(void)json->set_text(answer, "id", id);
	(void)json->set_text(answer, "file", path);
	(void)requests->reply(request, 200, answer);
}

static const struct pbx_arg find_args[] = {
	{ .name = "id",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .most = CORE_MOST_PROMPT_ID,
	  .help = "The prompt, as slot_empty" },
	{ .name = "language",
	  .type = PBX_TYPE_TEXT,
	  .most = CORE_MOST_LANGUAGE - 1,
	  .help = "In which language; left out: that of prompts.language" },
};

static struct pbx_host *host;

struct pbx_host *core_prompts_host(void)
{
	return host;
}

/* ---- speaking ---- */

static void on_spoken(void *self, struct core_speech *speech, int result, const struct pbx_diag *diag)
{
	const struct pbx_requests *requests = &core_requests_service;
	const struct pbx_jsons *json = &core_json_service;
	pbx_request request = { (uint64_t)(uintptr_t)self };
	const char *file = requests->text(request, "file");
	struct pbx_json *answer = result == PBX_OK && !file ? json->new_object() : NULL;

	if (result == PBX_OK && file) {
		core_prompts_copy(request, core_speech_path(speech), file);
	} else if (answer) {
		(void)json->set_text(answer, "file", core_speech_path(speech));
		(void)requests->reply(request, 200, answer);
	} else {
		(void)requests->fail(request, 503, "not_spoken", NULL, "%s", diag->text[0] ? diag->text : "there is no memory");
	}
	core_speech_free(speech);
}

static void on_say(void *self, pbx_request request)
{
	const struct pbx_requests *requests = &core_requests_service;
	const struct prompts_part *part = self;
	const char *language = requests->text(request, "language");
	struct pbx_diag diag = { .text = "there is no memory" };
	struct core_speech *speech;
	int err = core_speech_new(language ? language : "", requests->text(request, "text"), &speech, &diag);

	if (err == PBX_OK && !core_speech_maker()) {
		core_speech_free(speech);
		pbx_diag_set(&diag, "", "there is nobody who makes sound files");
		err = PBX_ENOTSUP;
	}
	if (err == PBX_OK && core_speech_maker()(part->host, speech, on_spoken, (void *)(uintptr_t)request.id) == PBX_OK)
		return; /* on_spoken answers */
	if (err == PBX_OK)
		core_speech_free(speech);
	(void)requests->fail(request, err == PBX_EINVAL ? 422 : 503, "not_spoken", err == PBX_EINVAL ? "text" : NULL, "%s", diag.text);
}

static const struct pbx_arg say_args[] = {
	{ .name = "text",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED | PBX_ARG_LINES,
	  .most = PBX_MOST_TEXT,
	  .help = "What is to be said" },
	{ .name = "language",
	  .type = PBX_TYPE_TEXT,
	  .most = CORE_MOST_LANGUAGE - 1,
	  .help = "In which language; left out: that of prompts.language" },
	{ .name = "file",
	  .type = PBX_TYPE_TEXT,
	  .most = 4000,
	  .help = "Where the sound is to be put, if anywhere else; pbxd may write there" },
};

#define LANGUAGE(where, flags_)                                                                                                            \
	{                                                                                                                                  \
		.name = "language", .type = PBX_TYPE_TEXT, .flags = (flags_) | (where), .least = 2, .most = CORE_MOST_LANGUAGE - 1,        \
		.help = "In which language; left out: that of prompts.language"                                                            \
	}
#define PROMPT(help_)                                                                                                                      \
	{                                                                                                                                  \
		.name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = CORE_MOST_PROMPT_ID - 1,               \
		.help = "The prompt, as slot_empty" help_                                                                                  \
	}
#define TEXT                                                                                                                               \
	{                                                                                                                                  \
		.name = "text", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED | PBX_ARG_LINES, .least = 1, .most = PBX_MOST_TEXT,       \
		.help = "What is to be said"                                                                                               \
	}
static const struct pbx_arg list_args[] = { LANGUAGE(PBX_ARG_QUERY, 0) };
static const struct pbx_arg route_args[] = { LANGUAGE(0, PBX_ARG_REQUIRED), PROMPT("") };
static const struct pbx_arg speak_route_args[] = { LANGUAGE(0, PBX_ARG_REQUIRED), PROMPT(""), TEXT };
static const struct pbx_arg put_args[] = {
	PROMPT("; one of your own may have any id"),
	{ .name = "file",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .least = 2,
	  .most = 4000,
	  .help = "Path of a sound file that pbxd may read" },
	LANGUAGE(0, 0),
};
static const struct pbx_arg speak_args[] = { PROMPT("; one of your own may have any id"), TEXT, LANGUAGE(0, 0) };
static const struct pbx_arg restore_args[] = { PROMPT(""), LANGUAGE(0, 0) };

static const struct pbx_field listed_fields[] = {
	{ "id", PBX_TYPE_TEXT, "The prompt" },
	{ "file", PBX_TYPE_TEXT, "What is heard" },
	{ "own", PBX_TYPE_BOOL, "It is this site's own" },
};
static const struct pbx_field changed_fields[] = {
	{ "id", PBX_TYPE_TEXT, "The prompt" },
	{ "language", PBX_TYPE_TEXT, "In which language" },
	{ "file", PBX_TYPE_TEXT, "What is heard from now on" },
};
static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/prompts",
	  .handle = core_prompts_on_list,
	  .scope = "prompts:read",
	  .summary = "Prompts of a language, and what is heard for each",
	  .args = PBX_TABLE(list_args),
	  .reply = PBX_TABLE(listed_fields) },
	{ .method = "GET",
	  .path = "/prompts/{language}/{id}/audio",
	  .handle = core_prompts_on_audio,
	  .scope = "prompts:read",
	  .summary = "The sound file that is heard",
	  .args = PBX_TABLE(route_args) },
	{ .method = "PUT",
	  .path = "/prompts/{language}/{id}",
	  .handle = core_prompts_on_put,
	  .scope = "prompts:write",
	  .summary = "Put a recording of your own in its place: the body is a sound file. It is cut and levelled",
	  .flags = PBX_ROUTE_WRITES | PBX_ROUTE_RAW_BODY,
	  .args = PBX_TABLE(route_args),
	  .reply = PBX_TABLE(changed_fields) },
	{ .method = "POST",
	  .path = "/prompts/{language}/{id}/speak",
	  .handle = core_prompts_on_speak,
	  .scope = "prompts:write",
	  .summary = "Have a text spoken in its place",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(speak_route_args),
	  .reply = PBX_TABLE(changed_fields) },
	{ .method = "DELETE",
	  .path = "/prompts/{language}/{id}",
	  .handle = core_prompts_on_restore,
	  .scope = "prompts:write",
	  .summary = "Take your own away: what was delivered is heard again",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(route_args) },
};

static const struct pbx_field event_fields[] = {
	{ "language", PBX_TYPE_TEXT, "In which language" },
	{ "prompt", PBX_TYPE_TEXT, "Its id" },
	{ "how", PBX_TYPE_TEXT, "recorded, spoken, restored" },
};
static const struct pbx_event_type events[] = {
	{ "prompt.changed", "This site hears another recording of a prompt from now on", PBX_TABLE(event_fields) },
};

static const struct pbx_command commands[] = {
	{ .words = "prompts find",
	  .handle = on_find,
	  .help = "Shows which file a prompt is played from",
	  .args = PBX_TABLE(find_args),
	  .columns = "id,file" },
	{ .words = "prompts say",
	  .handle = on_say,
	  .help = "Has a text spoken and shows the sound file of it, as a call would hear it",
	  .args = PBX_TABLE(say_args),
	  .columns = "file" },
	{ .words = "prompts list",
	  .handle = core_prompts_on_list,
	  .help = "Prompts of a language, and what is heard for each",
	  .args = PBX_TABLE(list_args),
	  .columns = "id,own,file" },
	{ .words = "prompts put",
	  .handle = core_prompts_on_put,
	  .help = "Puts a recording of your own in the place of a prompt",
	  .args = PBX_TABLE(put_args) },
	{ .words = "prompts speak",
	  .handle = core_prompts_on_speak,
	  .help = "Has a text spoken in the place of a prompt",
	  .args = PBX_TABLE(speak_args) },
	{ .words = "prompts restore",
	  .handle = core_prompts_on_restore,
	  .help = "Takes your own away: what was delivered is heard again",
	  .args = PBX_TABLE(restore_args) },
};

/* ---- life ---- */

static int use(const struct prompts_part *part, const struct prompts_settings *wanted)
{
	const char *data_dir = part->host->data_dir(part->host);
	char folder[2048];

	(void)snprintf(folder, sizeof folder, "%s/speech", data_dir ? data_dir : "");
	int err = core_speech_set(wanted->speech, data_dir ? folder : NULL, wanted->speech_cache_mib);

	return err == PBX_OK ? core_prompts_set(wanted->folders.items, wanted->folders.count, wanted->language) : err;
}

static int prompts_start(void *self)
{
	const struct prompts_part *part = self;

	host = part->host;
	return use(part, part->settings);
}

static int prompts_check(const void *proposed, struct pbx_diag *diag)
{
	const struct prompts_settings *wanted = proposed;

	return core_speech_check(wanted->speech, diag);
}

static int prompts_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	(void)diag;
	return use(self, proposed);
}

static void prompts_stop(void *self)
{
	(void)self;
	core_speech_fini();
	core_prompts_fini();
}

const struct pbx_plugin prompts_part = {
	PBX_PLUGIN_HEADER,
	.name = "prompts",
	.version = PBX_VERSION,
	.summary = "Prompts: which file says what in which language",
	.needs = PBX_NEEDS("pbx.json/1", "pbx.requests/1"),
	.instance_size = sizeof(struct prompts_part),
	PBX_SETTINGS(struct prompts_settings, settings),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.events = PBX_TABLE(events),
	.settings_check = prompts_check,
	.start = prompts_start,
	.reload = prompts_reload,
	.stop = prompts_stop,
};
