/* core/commands_config.c - settings seen, set, compared, taken back: `pbxctl config …` and /config */
#include "commands_internal.h"
#include "settings.h"
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

static void on_changed(void *context, int result, const struct pbx_diag *diag, int64_t revision)
{
	struct pending *pending = context;
	struct pbx_json *json = result == PBX_OK ? core_json_object() : NULL;

	if (result != PBX_OK)
		core_reply_refusal(pending->request, result, diag);
	else if (!json || core_json_set_integer(json, "revision", revision) != PBX_OK)
		core_reply_object(pending->request, (core_json_free(json), NULL));
	else
		core_reply_object(pending->request, json);
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

void core_config_show(void *self, pbx_request request)
{
	const char *prefix = requests->text(request, "prefix");

	(void)self;
	core_reply_items(request, core_settings_show(prefix ? prefix : ""));
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
	core_reply_items(request, core_settings_diff());
}

void core_config_reload(void *self, pbx_request request)
{
	struct pbx_diag diag = { 0 };

	(void)self;
	int err = core_settings_reload(&diag);
	if (err == PBX_OK)
		(void)requests->reply(request, 204, NULL);
	else
		core_reply_refusal(request, err, &diag);
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
