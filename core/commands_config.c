/* core/commands_config.c - settings seen, set, compared, taken back: `pbxctl config …` and /config */
#include "auto.h"
#include "commands_internal.h"
#include "settings.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pbx_requests *const requests = &core_requests_service;

/* A change waits for the store; the handle is all we keep of who asked. */
struct pending {
	pbx_request request;
};

static struct pending *pending_new(pbx_request request)
{
	struct pending *pending = malloc(sizeof *pending);

	if (pending)
		pending->request = request;
	else
		(void)requests->fail(request, 503, "no_memory", NULL, "out of memory"); /* or they have gone */
	return pending;
}

/* "1 setting waits for a restart", "2 settings wait …": NULL: none does, or no memory. Owned. */
static char *waiting_sentence(const struct pbx_json *waiting)
{
	const uint32_t count = core_json_count(waiting);
	char *text = NULL;
	size_t size;
	FILE *out = count ? open_memstream(&text, &size) : NULL;

	if (!out)
		return NULL;
	(void)fprintf(out, "%u setting%s for a restart:", count, count == 1 ? " waits" : "s wait");
	for (const struct pbx_json *one = core_json_first(waiting); one; one = core_json_next(one)) {
		AUTO(text) char *in_force = core_json_print(core_json_get(one, "in_force"));

		(void)fprintf(out, "%s %s (%s is in force, until %s)", one == core_json_first(waiting) ? "" : ",",
			      core_json_text(core_json_get(one, "path")), in_force ? in_force : "the old value",
			      core_json_text(core_json_get(one, "by")));
	}
	return fclose(out) == 0 ? text : (free(text), NULL);
}

/* What a person reads of a change: how much is new, and what of all settings waits. */
static int set_sentence(struct pbx_json *json, const struct pbx_json *changed, const struct pbx_json *waiting)
{
	AUTO(text) char *waits = waiting_sentence(waiting);
	const uint32_t count = core_json_count(changed);
	AUTO(text) char *text = NULL;
	char what[64] = "nothing has changed";

	if (count)
		(void)snprintf(what, sizeof what, "%u setting%s a new value", count, count == 1 ? " has" : "s have");
	if (asprintf(&text, "%s%s%s", what, waits ? "; " : "", waits ? waits : "") < 0) {
		text = NULL;
		return PBX_ENOMEM;
	}
	return core_json_set_text(json, "sentence", text);
}

/* {sentence, [revision,] changed, waiting}; revision 0: there is none. NULL: no memory. */
static struct pbx_json *told_json(int64_t revision, const struct pbx_json *changed)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	AUTO(json) struct pbx_json *waiting = core_settings_waiting();

	if (!json || !waiting || set_sentence(json, changed, waiting) != PBX_OK ||
	    (revision && core_json_set_integer(json, "revision", revision) != PBX_OK) ||
	    core_json_set(json, "changed", core_json_copy(changed)) != PBX_OK || core_json_set(json, "waiting", TAKE(waiting)) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static void on_changed(void *context, int result, const struct pbx_diag *diag, int64_t revision, const struct pbx_json *changed)
{
	struct pending *pending = context;

	if (result == PBX_OK)
		core_reply_object(pending->request, told_json(revision, changed));
	else
		core_reply_refusal(pending->request, result, diag);
	free(pending);
}

void core_config_check(void *self, pbx_request request)
{
	struct pbx_json *problems = NULL;
	const char *file = requests->text(request, "file");

	(void)self;
	int err = core_settings_check(file && *file ? file : NULL, &problems);
	AUTO(json) struct pbx_json *json = core_json_object();

	if (!json || !problems || core_json_set_boolean(json, "ok", err == PBX_OK && core_json_count(problems) == 0) != PBX_OK) {
		core_json_free(problems);
		core_reply_object(request, NULL);
	} else if (core_json_set(json, "problems", problems) == PBX_OK) {
		core_reply_object(request, TAKE(json));
	} else {
		core_reply_object(request, NULL);
	}
}

/* {items, sentence}; without a sentence of its own, about what waits for a restart, and with neither only the items. */
static void reply_with_sentence(pbx_request request, struct pbx_json *taken, const char *sentence)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	AUTO(json) struct pbx_json *waiting = core_settings_waiting();
	AUTO(text) char *waits = waiting_sentence(waiting);
	bool whole = core_json_set(json, "items", taken) == PBX_OK;

	sentence = sentence ? sentence : waits;
	if (sentence)
		whole = whole && core_json_set_text(json, "sentence", sentence) == PBX_OK;
	core_reply_object(request, whole ? TAKE(json) : NULL);
}

void core_config_show(void *self, pbx_request request)
{
	const char *prefix = requests->text(request, "prefix");

	(void)self;
	prefix = prefix ? prefix : "";
	struct pbx_json *shown = core_settings_show(prefix);
	AUTO(text) char *meant = *prefix && shown && !core_json_count(shown) ? core_setting_meant(prefix) : NULL;
	AUTO(text) char *sentence = NULL;

	if (*prefix && shown && !core_json_count(shown) &&
	    asprintf(&sentence, "%.200s: no setting begins like this%s%s%s", prefix, meant ? ", did you mean " : "", meant ? meant : "",
		     meant ? "?" : "") < 0)
		sentence = NULL;
	reply_with_sentence(request, shown, sentence);
}

void core_config_get(void *self, pbx_request request)
{
	const char *path = requests->text(request, "path");
	AUTO(json) struct pbx_json *shown = core_settings_show(path);

	(void)self;
	if (!shown) {
		core_reply_object(request, NULL);
		return;
	}
	for (const struct pbx_json *item = core_json_first(shown); item; item = core_json_next(item)) {
		const char *name = core_json_text(core_json_get(item, "path"));

		if (name && !strcmp(name, path)) {
			core_reply_object(request, core_json_copy(item));
			return;
		}
	}
	(void)requests->fail(request, 404, "no_setting", "path", "%s: there is no such setting, `config show` lists them", path);
}

void core_config_set(void *self, pbx_request request)
{
	const char *path = requests->text(request, "path");
	const char *value = requests->text(request, "value");
	struct pending *pending = pending_new(request);

	(void)self;
	if (pending)
		core_settings_set(requests->actor(request), path, value, on_changed, pending);
}

void core_config_unset(void *self, pbx_request request)
{
	struct pending *pending = pending_new(request);

	(void)self;
	if (pending)
		core_settings_set(requests->actor(request), requests->text(request, "path"), NULL, on_changed, pending);
}

void core_config_diff(void *self, pbx_request request)
{
	(void)self;
	reply_with_sentence(request, core_settings_diff(), NULL);
}

void core_config_reload(void *self, pbx_request request)
{
	struct pbx_diag diag = { 0 };
	AUTO(json) struct pbx_json *told = NULL;

	(void)self;
	int err = core_settings_reload_told(&diag, &told);
	if (err == PBX_EINVAL) { /* the files are wrong, not the request */
		(void)requests->fail(request, 409, "files_wrong", diag.field[0] ? diag.field : NULL, "%s", diag.text);
		return;
	}
	if (err != PBX_OK) {
		core_reply_refusal(request, err, &diag);
		return;
	}
	AUTO(json) struct pbx_json *json = told_json(0, core_json_get(told, "changed"));
	if (json && core_json_set(json, "warnings", core_json_copy(core_json_get(told, "warnings"))) != PBX_OK) {
		core_reply_object(request, NULL);
		return;
	}
	core_reply_object(request, TAKE(json));
}

void core_config_undo(void *self, pbx_request request)
{
	struct pending *pending = pending_new(request);

	(void)self;
	if (pending)
		core_settings_undo(requests->actor(request), requests->integer(request, "revision", 0), on_changed, pending);
}

static void on_history(void *context, struct pbx_json *taken)
{
	struct pending *pending = context;
	const struct pbx_diag diag = { .text = "the store does not answer" };

	if (taken)
		core_reply_items(pending->request, taken);
	else
		core_reply_refusal(pending->request, PBX_EIO, &diag);
	free(pending);
}

void core_config_revisions(void *self, pbx_request request)
{
	struct pending *pending = pending_new(request);

	(void)self;
	if (pending)
		core_settings_history((uint32_t)requests->integer(request, "limit", 50), on_history, pending);
}

void core_config_schema(void *self, pbx_request request)
{
	(void)self;
	core_reply_object(request, core_settings_schema());
}

void core_config_manual(void *self, pbx_request request)
{
	AUTO(text) char *manual = core_settings_manual();

	(void)self;
	if (!manual) {
		core_reply_object(request, NULL);
		return;
	}
	if (requests->begin(request, "text/markdown; charset=utf-8", NULL, NULL, NULL) == PBX_OK) {
		(void)requests->write(request, manual, strlen(manual)); /* a first piece is always taken */
		(void)requests->end(request);
	}
}
