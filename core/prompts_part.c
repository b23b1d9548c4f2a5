/* prompts_part.c - prompts' card: where their files are, which language is spoken, which file a prompt is played from, and who speaks free text */
#include "prompts.h"
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

/* ---- speaking ---- */

static void on_spoken(void *self, struct core_speech *speech, int result, const struct pbx_diag *diag)
{
	const struct pbx_requests *requests = &core_requests_service;
	const struct pbx_jsons *json = &core_json_service;
	pbx_request request = { (uint64_t)(uintptr_t)self };
	struct pbx_json *answer = result == PBX_OK ? json->new_object() : NULL;

	if (answer) {
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
	{ .name = "text", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = PBX_MOST_TEXT, .help = "What is to be said" },
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
	{ .words = "prompts say",
	  .handle = on_say,
	  .help = "Has a text spoken and shows the sound file of it, as a call would hear it",
	  .args = PBX_TABLE(say_args),
	  .columns = "file" },
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
	.commands = PBX_TABLE(commands),
	.settings_check = prompts_check,
	.start = prompts_start,
	.reload = prompts_reload,
	.stop = prompts_stop,
};
