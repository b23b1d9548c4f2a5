/*
 * lists - pages of lamps that phones watch as one (RFC 4662)
 *
 * A key module with fifty lamps subscribes once, to the name of a list of presence.lists. Who may not watch a member is told so in its place. A list is set
 * anew, and all of it told, only when members or their names are others.
 */
#include "presence.h"
#include <stdlib.h>
#include <string.h>

#define MOST_MEMBERS 200u

/* A list as we have set it. */
struct set_list {
	struct set_list *next;
	char *said; /* members and their names, one a line; NULL: it is not set */
	char name[];
};

static const struct list_settings *list_at(const struct presence_settings *settings, uint32_t i)
{
	return (const struct list_settings *)((const char *)settings->lists.rows + (size_t)i * settings->lists.row_size);
}

static bool has_list(const struct presence_settings *settings, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(list_at(settings, i)->name, name) == 0)
			return true;
	return false;
}

int lists_check(const struct presence *presence, const struct presence_settings *settings, struct pbx_diag *diag)
{
	char field[48];

	for (uint32_t i = 0; i < settings->lists.count; i++) {
		const struct list_settings *list = list_at(settings, i);

		(void)snprintf(field, sizeof field, "presence.lists[%u].name", i);
		if (!list->name[0] || list->name[strspn(list->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")]) {
			pbx_diag_set(diag, field, "a list is dialled by its name: letters, digits, - _ and .");
			return PBX_EINVAL;
		}
		if (is_account(presence, list->name)) {
			pbx_diag_set(diag, field, "%.40s is an extension; phones that watch it mean that one", list->name);
			return PBX_EINVAL;
		}
		if (has_list(settings, i, list->name)) {
			pbx_diag_set(diag, field, "there are two lists %.40s", list->name);
			return PBX_EINVAL;
		}
		(void)snprintf(field, sizeof field, "presence.lists[%u].members", i);
		if (list->members.count == 0 || list->members.count > MOST_MEMBERS) {
			pbx_diag_set(diag, field, "a list has 1 to %u members", MOST_MEMBERS);
			return PBX_EINVAL;
		}
	}
	return PBX_OK;
}

static struct set_list *set_list_get(struct presence *presence, const char *name)
{
	struct set_list *set = presence->set_lists;

	while (set && strcmp(set->name, name) != 0)
		set = set->next;
	if (set)
		return set;
	set = calloc(1, sizeof *set + strlen(name) + 1);
	if (!set)
		return NULL;
	memcpy(set->name, name, strlen(name) + 1);
	set->next = presence->set_lists;
	presence->set_lists = set;
	return set;
}

/* Owned; NULL: no memory. */
static char *say_members(const struct pbx_list_member *members, uint32_t count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (uint32_t i = 0; out && i < count; i++)
		(void)fprintf(out, "%s %s\n", members[i].resource, members[i].display);
	if (out)
		(void)fclose(out);
	return text;
}

static int set_one(struct presence *presence, const struct list_settings *list)
{
	struct pbx_list_member members[MOST_MEMBERS];
	char names[MOST_MEMBERS][NAME_SIZE];
	const struct pbx_table table = { members, list->members.count, sizeof members[0] };
	struct set_list *set = set_list_get(presence, list->name);
	int err;

	for (uint32_t i = 0; i < table.count; i++) {
		account_name(presence, list->members.items[i], names[i]);
		members[i] = (struct pbx_list_member){ list->members.items[i], names[i] };
	}
	char *said = set ? say_members(members, table.count) : NULL;
	if (!said)
		return PBX_ENOMEM;
	err = set->said && strcmp(set->said, said) == 0 ? PBX_OK : presence->notifier->set_list(presence->host, list->name, &table);
	free(set->said);
	set->said = err == PBX_OK ? said : NULL;
	if (err != PBX_OK)
		free(said);
	return err;
}

static void set_list_free(struct set_list *set)
{
	free(set->said);
	free(set);
}

void lists_apply(void *self, void *data)
{
	struct presence *presence = self;
	const struct presence_settings *settings = presence->settings;
	struct set_list **at = &presence->set_lists, *set;

	(void)data;
	while ((set = *at) != NULL) {
		if (has_list(settings, settings->lists.count, set->name)) {
			at = &set->next;
			continue;
		}
		(void)presence->notifier->set_list(presence->host, set->name, NULL); /* it was ours */
		*at = set->next;
		set_list_free(set);
	}
	for (uint32_t i = 0; i < settings->lists.count; i++) {
		const struct list_settings *list = list_at(settings, i);
		int err = set_one(presence, list);

		if (err != PBX_OK)
			pbx_error(presence->host, "list_not_set", "list=%s reason=%s", list->name,
				  err == PBX_EEXIST ? "another_plugin_has_it" : "no_memory");
	}
}

void lists_free(struct presence *presence)
{
	for (struct set_list *set = presence->set_lists, *next; set; set = next) {
		next = set->next;
		set_list_free(set);
	}
}

/* Somebody who is in a list may have another name now. */
static void on_extension(void *self, const struct pbx_event *event)
{
	struct presence *presence = self;
	const char *number = presence->json->text(presence->json->get(event->data, "extension"));
	const struct presence_settings *settings = presence->settings;
	bool is_member = false;

	for (uint32_t i = 0; number && i < settings->lists.count; i++) {
		const struct pbx_list *members = &list_at(settings, i)->members;

		for (uint32_t member = 0; member < members->count; member++)
			is_member = is_member || strcmp(members->items[member], number) == 0;
	}
	if (is_member && presence->set_lists)
		lists_apply(presence, NULL);
}

int lists_start(struct presence *presence)
{
	struct pbx_diag diag = { .text = "" };
	pbx_subscription subscription;

	if (lists_check(presence, presence->settings, &diag) == PBX_OK)
		lists_apply(presence, NULL);
	else /* no reason to have no lamps at all */
		pbx_error(presence->host, "lists_not_set", "setting=%s reason=\"%s\"", diag.field, diag.text);
	return presence->bus->subscribe(presence->host, "extension.created,extension.changed,extension.removed", on_extension, presence,
					&subscription);
}
