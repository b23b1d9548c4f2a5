/*
 * phone_keys - the phone's own keys for do not disturb and forwarding, one state with ours (package "as-feature-event")
 *
 * A phone subscribes to its account and is told how it stands, whoever changed it: a code, REST, another phone. A key that is pressed comes as the body of a
 * SUBSCRIBE, and is a change like any other (edit.c). The NOTIFY that follows at once already shows what is being stored, or the key's lamp would blink; a
 * change that is refused is told back.
 */
#include "extensions.h"
#include "feature_event.h"
#include <dlfcn.h>
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>

#define PACKAGE "as-feature-event"

static const char *const types[] = { FEATURE_TYPE };

/* ---- what the phone is told -------------------------------------------------------------- */

/* The last change that waits to be stored, or NULL. */
static const struct edit *waiting_edit(const struct extensions *extensions, const char *number)
{
	const struct edit *found = NULL;

	for (const struct edit *edit = extensions->storing; edit; edit = edit->next)
		if (strcmp(edit->account.number, number) == 0 && !edit->removes)
			found = edit;
	return found;
}

static int write_document(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document)
{
	struct extensions *extensions = self;
	const struct account *account = account_find(extensions, info->resource);
	const struct edit *edit = waiting_edit(extensions, info->resource);
	struct feature_state state = { .number = info->resource };

	(void)since;
	if (!account)
		return PBX_ENOENT;
	state.dnd = edit ? edit->account.dnd : account->dnd;
	for (uint32_t kind = 0; kind < FEATURE_FORWARDS; kind++)
		state.forward[kind] = edit ? edit->account.forward[kind] : account->forward[kind];
	free(extensions->key_document);
	extensions->key_document = feature_event_write(&state);
	ret_document->head = extensions->key_document;
	ret_document->tail = NULL;
	ret_document->content_type = FEATURE_MANY;
	return extensions->key_document ? PBX_OK : PBX_ENOMEM;
}

void phone_keys_changed(struct extensions *extensions, const struct edit *edit)
{
	if (edit->account.dnd != edit->before.dnd || memcmp(edit->account.forward, edit->before.forward, sizeof edit->before.forward) != 0)
		(void)extensions->notifier->changed(extensions->host, PACKAGE, edit->account.number); /* nobody may be watching */
}

/* ---- what the phone says ----------------------------------------------------------------- */

static void on_done(struct edit *edit, int result, const struct pbx_diag *diag)
{
	struct extensions *extensions = edit->extensions;

	if (result == PBX_OK)
		return;
	pbx_notice(extensions->host, "key_refused", "extension=%s reason=\"%s\"", edit->account.number, diag->text);
	phone_keys_changed(extensions, edit);
}

static int press(struct extensions *extensions, const struct account *account, const struct feature_change *change)
{
	struct edit *edit = edit_new(extensions, account, NULL);

	if (!edit)
		return PBX_ENOMEM;
	edit->done = on_done;
	if (change->what == FEATURE_DND)
		edit->account.dnd = change->on;
	else if (!change->on)
		edit->account.forward[change->what][0] = '\0';
	else if (change->number[0])
		memcpy(edit->account.forward[change->what], change->number, sizeof change->number);
	edit_run(edit);
	return PBX_OK;
}

static int on_subscribed(void *self, const struct pbx_watch_info *info)
{
	struct extensions *extensions = self;
	const struct account *account = account_find(extensions, info->resource);
	struct feature_change change;

	if (!account)
		return PBX_ENOENT;
	if (strcmp(info->watcher, info->resource) != 0)
		return PBX_EPERM; /* one's own keys */
	if (!info->body[0])
		return PBX_OK;
	if (strcasecmp(info->body_type, FEATURE_TYPE) != 0 || feature_event_read(info->body, &change) != PBX_OK)
		return PBX_EINVAL;
	return press(extensions, account, &change);
}

int phone_keys_start(struct extensions *extensions)
{
	const struct pbx_event_package package = {
		.size = sizeof package,
		.name = PACKAGE,
		.content_types = { types, 1 },
		.subscribed = on_subscribed,
		.write = write_document,
	};
	/* libxml2 has tables that it frees at the end of the process only: it stays when we are unloaded. */
	void *library = dlopen("libxml2.so.2", RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);

	if (library)
		(void)dlclose(library);
	return extensions->notifier->package(extensions->host, &package, extensions);
}
