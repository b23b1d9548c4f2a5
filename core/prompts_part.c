/* prompts_part.c - prompts' card: where their files are, which language is spoken, and which file a prompt is played from */
#include "prompts.h"
#include "json.h"
#include "parts.h"
#include "request.h"

struct prompts_settings {
	const char *language;
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

static const struct pbx_command commands[] = {
	{ .words = "prompts find",
	  .handle = on_find,
	  .help = "Shows which file a prompt is played from",
	  .args = PBX_TABLE(find_args),
	  .columns = "id,file" },
};

/* ---- life ---- */

static int prompts_start(void *self)
{
	const struct prompts_part *part = self;

	return core_prompts_set(part->settings->folders.items, part->settings->folders.count, part->settings->language);
}

static int prompts_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	const struct prompts_settings *wanted = proposed;

	(void)self;
	(void)diag;
	return core_prompts_set(wanted->folders.items, wanted->folders.count, wanted->language);
}

static void prompts_stop(void *self)
{
	(void)self;
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
	.commands = PBX_TABLE(commands),
	.start = prompts_start,
	.reload = prompts_reload,
	.stop = prompts_stop,
};
