/* prompts_site.c - a site's own prompts, by REST and pbxctl: what there is, heard, recorded elsewhere and put in place, spoken anew, taken away
 *
 * They lie in the first folder of prompts.folders, as those that are put there by hand, so the next call hears them. Whatever is put in place is cut and levelled as
 * every prompt is; that and the disk are work for the pool. */
#include "prompts_site.h"
#include "auto.h"
#include "bus.h"
#include "json.h"
#include "loop.h"
#include "request.h"
#include "speech.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096u

/* One prompt on its way. */
struct change {
	struct pbx_host *host;
	pbx_request request;
	char language[CORE_MOST_LANGUAGE], id[CORE_MOST_PROMPT_ID], folder[PATH_BYTES - 256];
	const char *how; /* for the event */
	char *bytes;     /* owned: a sound file; NULL: that at source */
	size_t size;
	char source[PATH_BYTES]; /* to be read; or where a spoken text is to be put */
	int result;
	struct pbx_diag diag;
};

static void change_free(struct change *change)
{
	if (!change)
		return;
	free(change->bytes);
	free(change);
}
AUTO_FREES(change)

static void refuse(pbx_request request, int result, const struct pbx_diag *diag)
{
	uint32_t status = result == PBX_EINVAL ? 415 : result == PBX_ENOENT ? 404 : 503;
	const char *code = result == PBX_EINVAL ? "not_a_sound" : result == PBX_ENOENT ? "no_such_prompt" : "not_kept";

	(void)core_requests_service.fail(request, status, code, diag->field[0] ? diag->field : NULL, "%s",
					 diag->text[0] ? diag->text : "there is no memory");
}

/* NULL: has been refused. */
static struct change *change_new(struct pbx_host *host, pbx_request request, const char *how)
{
	const struct pbx_requests *requests = &core_requests_service;
	const char *language = requests->text(request, "language"), *id = requests->text(request, "id"),
		   *folder = core_prompts_own_folder();

	language = language ? language : core_prompts_default_language();
	if (!core_prompts_is_id(id) || !core_prompts_is_language(language)) {
		(void)requests->fail(request, 422, "not_a_prompt", core_prompts_is_id(id) ? "language" : "id",
				     "an id is small letters, digits, - and _; a language is a folder's name, as en or de-AT");
		return NULL;
	}
	struct change *change = folder && core_speech_shaper() ? calloc(1, sizeof *change) : NULL;

	if (!change) {
		(void)requests->fail(request, 503, "not_kept", NULL, "%s",
				     folder ? "there is no memory" : "prompts.folders names no folder");
		return NULL;
	}
	change->host = host;
	change->request = request;
	change->how = how;
	(void)snprintf(change->language, sizeof change->language, "%s", language);
	(void)snprintf(change->id, sizeof change->id, "%s", id);
	(void)snprintf(change->folder, sizeof change->folder, "%s", folder);
	return change;
}

static void run(struct change *change, pbx_work_fn work, void (*done)(void *context, void *job, int status))
{
	if (core_work(change->host, work, done, change->host, change) == PBX_OK)
		return;
	change->diag.text[0] = '\0';
	refuse(change->request, PBX_ENOMEM, &change->diag);
	change_free(change);
}

/* ---- in place ---- [work] */

/* What a prompt of this name may lie in, the one that we write first. */
static const char *const places[] = { "%s/%s/%s.wav", "%s/%s/8k/%s.wav", "%s/%s/%s.flac", "%s/%s/%s.ogg", "%s/%s/%s.mp3" };
#define PLACES (sizeof places / sizeof places[0])

static bool place(const struct change *change, size_t at, char ret_path[PATH_BYTES])
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	int length = snprintf(ret_path, PATH_BYTES, places[at], change->folder, change->language, change->id);
#pragma GCC diagnostic pop

	return length > 0 && (size_t)length < PATH_BYTES;
}

/* How many were there. */
static uint32_t take_away(const struct change *change, size_t from)
{
	char path[PATH_BYTES];
	uint32_t gone = 0;

	for (size_t at = from; at < PLACES; at++)
		gone += place(change, at, path) && unlink(path) == 0;
	return gone;
}

static int disk(struct change *change, const char *path)
{
	pbx_diag_set(&change->diag, "prompts.folders", "%s: %s", path, strerror(errno));
	return PBX_EIO;
}

static int write_bytes(struct change *change, int file, const char *path)
{
	FILE *out = fdopen(file, "wb");

	if (!out) {
		(void)close(file);
		return PBX_ENOMEM;
	}
	bool written = fwrite(change->bytes, 1, change->size, out) == change->size;

	return fclose(out) == 0 && written ? PBX_OK : disk(change, path);
}

/* Shaped beside its place, then moved there. */
static int put(struct change *change, const char *from)
{
	char made[PATH_BYTES], path[PATH_BYTES];

	if (!place(change, 0, path) || snprintf(made, sizeof made, "%s.new", path) >= (int)sizeof made)
		return PBX_ENOSPC;
	int err = core_speech_shaper()(from, made, &change->diag);

	if (err == PBX_OK && rename(made, path) != 0)
		err = disk(change, path);
	if (err != PBX_OK)
		(void)unlink(made); /* or it has never been there */
	else
		(void)take_away(change, 1); /* they would be heard instead, by some */
	return err;
}

static int put_bytes(struct change *change)
{
	char raw[PATH_BYTES];

	(void)snprintf(raw, sizeof raw, "%s/.new-XXXXXX", change->folder);
	int file = mkstemp(raw), err = file < 0 ? disk(change, raw) : write_bytes(change, file, raw);

	if (err == PBX_OK)
		err = put(change, raw);
	if (file >= 0)
		(void)unlink(raw);
	return err;
}

static void put_in_place(void *job)
{
	struct change *change = job;
	char folder[PATH_BYTES];

	(void)mkdir(change->folder, 0750); /* they are there, or the file tells */
	(void)snprintf(folder, sizeof folder, "%s/%s", change->folder, change->language);
	(void)mkdir(folder, 0750);
	change->result = change->bytes ? put_bytes(change) : put(change, change->source);
}

/* ---- told ---- */

static void tell_changed(const struct change *change)
{
	struct pbx_json *data = core_json_service.new_object();

	(void)core_json_service.set_text(data, "language", change->language);
	(void)core_json_service.set_text(data, "prompt", change->id);
	(void)core_json_service.set_text(data, "how", change->how);
	(void)core_bus_publish(change->host, "prompt.changed", "", "", data); /* the event log says itself what it cannot store */
}

static void on_changed(void *context, void *job, int status)
{
	struct change *change = job;

	(void)context;
	if (status == PBX_OK && change->result != PBX_OK) {
		refuse(change->request, change->result, &change->diag);
	} else if (status == PBX_OK) {
		char path[PATH_BYTES];
		struct pbx_json *answer = core_json_service.new_object();

		(void)place(change, 0, path);
		(void)core_json_service.set_text(answer, "id", change->id);
		(void)core_json_service.set_text(answer, "language", change->language);
		(void)core_json_service.set_text(answer, "file", path);
		(void)core_requests_service.reply(change->request, 200, answer);
		tell_changed(change);
	}
	change_free(change);
}

/* ---- recorded elsewhere ---- */

void core_prompts_on_put(void *self, pbx_request request)
{
	(void)self;
	struct change *change = change_new(core_prompts_host(), request, "recorded");
	const char *file = core_requests_service.text(request, "file");
	size_t size = 0;
	const char *bytes = file ? NULL : core_requests_service.raw(request, &size);

	if (!change)
		return;
	if (file)
		(void)snprintf(change->source, sizeof change->source, "%s", file);
	else if (size > 0)
		change->bytes = malloc(size);
	if (!file && !change->bytes) {
		(void)core_requests_service.fail(request, size ? 503 : 400, size ? "not_kept" : "empty", NULL,
						 size ? "there is no memory" : "the request has no body: send the sound file itself");
		change_free(change);
		return;
	}
	if (bytes)
		memcpy(change->bytes, bytes, size);
	change->size = size;
	run(change, put_in_place, on_changed);
}

/* ---- spoken ---- */

static void has_one(void *context, const char *id, const char *path, bool is_own)
{
	(void)id, (void)path, (void)is_own;
	*(bool *)context = true;
}

/* In a language that has prompts it is our trouble; else nobody knows the language. */
static void refuse_speech(const struct change *change, const struct pbx_diag *diag)
{
	bool has_prompts = false;

	core_prompts_each(change->language, has_one, &has_prompts);
	if (has_prompts)
		(void)core_requests_service.fail(change->request, 503, "not_spoken", NULL, "%s",
						 diag->text[0] ? diag->text : "there is no memory");
	else
		(void)core_requests_service.fail(change->request, 404, "no_such_language", "language",
						 "there are no prompts in %s, and nobody speaks it", change->language);
}

static void on_spoken(void *self, struct core_speech *speech, int result, const struct pbx_diag *diag)
{
	struct change *change = self;

	(void)snprintf(change->source, sizeof change->source, "%s", core_speech_path(speech));
	core_speech_free(speech);
	if (result == PBX_OK) {
		run(change, put_in_place, on_changed);
		return;
	}
	refuse_speech(change, diag);
	change_free(change);
}

void core_prompts_on_speak(void *self, pbx_request request)
{
	(void)self;
	AUTO(change) struct change *change = change_new(core_prompts_host(), request, "spoken");
	struct core_speech *speech = NULL;

	if (!change)
		return;
	int err = core_speech_new(change->language, core_requests_service.text(request, "text"), &speech, &change->diag);

	if (err == PBX_OK)
		err = core_speech_maker()(change->host, speech, on_spoken, change);
	if (err == PBX_OK) {
		(void)TAKE(change);
		return;
	}
	core_speech_free(speech);
	if (err == PBX_EINVAL)
		(void)core_requests_service.fail(request, 422, "not_spoken", "text", "%s", change->diag.text);
	else
		refuse_speech(change, &change->diag);
}

static void copy(void *job)
{
	struct change *change = job;

	change->result = core_speech_shaper()(change->source, change->folder, &change->diag);
}

static void on_copied(void *context, void *job, int status)
{
	struct change *change = job;

	(void)context;
	if (status == PBX_OK && change->result != PBX_OK) {
		refuse(change->request, change->result, &change->diag);
	} else if (status == PBX_OK) {
		struct pbx_json *answer = core_json_service.new_object();

		(void)core_json_service.set_text(answer, "file", change->folder);
		(void)core_requests_service.reply(change->request, 200, answer);
	}
	change_free(change);
}

void core_prompts_copy(pbx_request request, const char *from, const char *to)
{
	struct change *change = calloc(1, sizeof *change);

	if (!change) {
		refuse(request, PBX_ENOMEM, &(struct pbx_diag){ .text = "" });
		return;
	}
	change->host = core_prompts_host();
	change->request = request;
	(void)snprintf(change->source, sizeof change->source, "%s", from);
	(void)snprintf(change->folder, sizeof change->folder, "%s", to);
	run(change, copy, on_copied);
}

/* ---- taken away ---- */

static void restore(void *job)
{
	struct change *change = job;

	change->result = take_away(change, 0) ? PBX_OK : PBX_ENOENT;
	if (change->result != PBX_OK)
		pbx_diag_set(&change->diag, "id", "this site has no %s of its own in %s", change->id, change->language);
}

static void on_restored(void *context, void *job, int status)
{
	struct change *change = job;

	(void)context;
	if (status == PBX_OK && change->result == PBX_OK) {
		(void)core_requests_service.reply(change->request, 204, NULL);
		tell_changed(change);
	} else if (status == PBX_OK) {
		refuse(change->request, change->result, &change->diag);
	}
	change_free(change);
}

void core_prompts_on_restore(void *self, pbx_request request)
{
	(void)self;
	struct change *change = change_new(core_prompts_host(), request, "restored");

	if (change)
		run(change, restore, on_restored);
}

/* ---- heard ---- */

static void read_file(void *job)
{
	struct change *change = job;
	FILE *file = fopen(change->source, "rbe");
	long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;

	change->bytes = size > 0 ? malloc((size_t)size) : NULL;
	change->size = change->bytes && fseek(file, 0, SEEK_SET) == 0 ? fread(change->bytes, 1, (size_t)size, file) : 0;
	change->result = change->size > 0 ? PBX_OK : PBX_EIO;
	if (change->result != PBX_OK)
		(void)disk(change, change->source);
	if (file)
		(void)fclose(file);
}

static const char *type_of(const char *path)
{
	const char *ending = strrchr(path, '.');

	return strcmp(ending, ".flac") == 0  ? "audio/flac"
	       : strcmp(ending, ".ogg") == 0 ? "audio/ogg"
	       : strcmp(ending, ".mp3") == 0 ? "audio/mpeg"
					     : "audio/wav";
}

static void on_read(void *context, void *job, int status)
{
	struct change *change = job;
	const struct pbx_requests *requests = &core_requests_service;

	(void)context;
	if (status == PBX_OK && change->result != PBX_OK) {
		refuse(change->request, change->result, &change->diag);
	} else if (status == PBX_OK && requests->begin(change->request, type_of(change->source), NULL, NULL, NULL) == PBX_OK) {
		(void)requests->write(change->request, change->bytes, change->size);
		(void)requests->end(change->request);
	}
	change_free(change);
}

void core_prompts_on_audio(void *self, pbx_request request)
{
	(void)self;
	struct change *change = change_new(core_prompts_host(), request, "");

	if (!change)
		return;
	if (core_prompts_find(change->language, change->id, 16000, change->source, sizeof change->source) == PBX_OK) {
		run(change, read_file, on_read);
		return;
	}
	pbx_diag_set(&change->diag, "id", "no folder of prompts.folders has a file for %s", change->id);
	refuse(request, PBX_ENOENT, &change->diag);
	change_free(change);
}

/* ---- what there is ---- */

static void add_prompt(void *context, const char *id, const char *path, bool is_own)
{
	struct pbx_json *item = core_json_service.new_object();

	(void)core_json_service.set_text(item, "id", id);
	(void)core_json_service.set_text(item, "file", path);
	(void)core_json_service.set_boolean(item, "own", is_own);
	(void)core_json_service.append(context, item);
}

void core_prompts_on_list(void *self, pbx_request request)
{
	const char *language = core_requests_service.text(request, "language");
	struct pbx_json *list = core_json_service.new_array();

	(void)self;
	core_prompts_each(language ? language : core_prompts_default_language(), add_prompt, list);
	(void)core_requests_service.reply(request, 200, list);
}
