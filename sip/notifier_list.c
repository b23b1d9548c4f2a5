/*
 * notifier_list.c - lists that phones watch as one (RFC 4662): who is in them, and the document in many parts
 *
 * A page of fifty lamps is one subscription. Its NOTIFY is multipart/related: a table of contents (RLMI), then the members' own documents; all of them at
 * first, then those that have changed. A list that changes keeps its watchers, and they get it in full.
 */
#include "notifier_internal.h"
#include <stdlib.h>
#include <string.h>

struct ua_list *ua_list_find(const char *name)
{
	struct ua_list *list = ua_notifier.lists;

	while (list && strcmp(list->name, name) != 0)
		list = list->next;
	return list;
}

static void list_free(struct ua_list *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		free(list->resources[i]);
		free(list->displays[i]);
	}
	free(list->resources);
	free(list->displays);
	free(list);
}

/* ---- whose list, and who watches it ----------------------------------------------------- */

struct moving {
	const char *name;
	struct ua_list *from, *to;
};

static bool watches_it(const struct ua_watch *watch, const struct moving *moving)
{
	return watch->of_list && watch->list == moving->from && strcmp(watch->resource, moving->name) == 0;
}

static void end_watch(struct ua_watch *watch, void *context)
{
	if (watches_it(watch, context))
		ua_watch_end(watch, "deactivated");
}

static void move_watch(struct ua_watch *watch, void *context)
{
	const struct moving *moving = context;

	if (!watches_it(watch, moving))
		return;
	if (ua_watch_point(watch, moving->to))
		ua_watch_want(watch, true);
	else
		ua_watch_end(watch, "deactivated"); /* no memory: the phone subscribes again */
}

static void list_remove(struct ua_list *list)
{
	struct ua_list **at = &ua_notifier.lists;

	core_charge_remove(&list->charge);
	while (*at != list)
		at = &(*at)->next;
	*at = list->next;
	list_free(list);
}

static void revoke_list(struct core_charge *charge)
{
	struct ua_list *list = (struct ua_list *)((char *)charge - offsetof(struct ua_list, charge));
	struct moving moving = { list->name, list, NULL };

	ua_watches_each(NULL, end_watch, &moving);
	list_remove(list);
}

static struct ua_list *list_new(const char *name, const struct pbx_table *members)
{
	struct ua_list *list = calloc(1, sizeof *list + strlen(name) + 1);

	if (!list)
		return NULL;
	memcpy(list->name, name, strlen(name) + 1);
	list->resources = calloc(members->count, sizeof *list->resources);
	list->displays = calloc(members->count, sizeof *list->displays);
	for (uint32_t i = 0; list->resources && list->displays && i < members->count; i++) {
		const struct pbx_list_member *member = (const void *)((const char *)members->rows + (size_t)i * members->row_size);

		list->count = i + 1;
		list->resources[i] = strdup(member->resource);
		list->displays[i] = strdup(member->display ? member->display : "");
		if (!list->resources[i] || !list->displays[i])
			break;
		if (i + 1 == members->count)
			return list;
	}
	list_free(list);
	return NULL;
}

int ua_list_set(struct pbx_host *host, const char *name, const struct pbx_table *members)
{
	struct ua_list *old = name ? ua_list_find(name) : NULL, *list = NULL;

	if (!name || !name[0] || (members && (members->count > UA_MOST_MEMBERS || members->row_size < sizeof(struct pbx_list_member))))
		return PBX_EINVAL;
	if (old && strcmp(core_owner_name(old->charge.owner), core_owner_name(host)) != 0)
		return PBX_EEXIST;
	if (members && members->count && !(list = list_new(name, members)))
		return PBX_ENOMEM;
	if (list) {
		struct moving moving = { list->name, old, list };

		core_charge_add(host, &list->charge, "resource list", false, revoke_list);
		list->next = ua_notifier.lists;
		ua_notifier.lists = list;
		ua_watches_each(NULL, move_watch, &moving); /* with old NULL: those that a crash has left */
	}
	if (old)
		revoke_list(&old->charge); /* who watches it still, when there is no other */
	return PBX_OK;
}

void ua_lists_free(void)
{
	while (ua_notifier.lists)
		list_remove(ua_notifier.lists);
}

/* ---- the document ---------------------------------------------------------------------- */

static void escape(FILE *out, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			(void)fputs("&lt;", out);
			break;
		case '&':
			(void)fputs("&amp;", out);
			break;
		case '"':
			(void)fputs("&quot;", out);
			break;
		default:
			if ((uint8_t)*text >= ' ')
				(void)fputc(*text, out);
		}
}

/* One member in the table of contents: an instance that is active, or one that is not for this watcher. */
static void list_member(FILE *out, const struct ua_point *point, uint32_t number, bool active)
{
	const char *domain = ua_notifier.ua->settings->domain;

	(void)fputs("<resource uri=\"sip:", out);
	escape(out, point->state->name);
	(void)fprintf(out, "@%s\">", domain);
	if (point->display && point->display[0]) {
		(void)fputs("<name>", out);
		escape(out, point->display);
		(void)fputs("</name>", out);
	}
	if (active)
		(void)fprintf(out, "<instance id=\"%u\" state=\"active\" cid=\"%u@%s\"/>", number, number, domain);
	else
		(void)fprintf(out, "<instance id=\"%u\" state=\"terminated\" reason=\"rejected\"/>", number);
	(void)fputs("</resource>\n", out);
}

static bool may_see(const struct ua_point *point)
{
	const struct ua_package *package = point->state->package;
	struct pbx_watch_info info;
	int err = PBX_OK;

	ua_watch_info(point->watch, point->state->name, &info);
	if (package->offer.subscribed)
		CORE_INTO(package->charge.owner, err = package->offer.subscribed(package->self, &info));
	return err == PBX_OK;
}

static void list_body(FILE *contents, FILE *parts, struct ua_watch *watch, bool full)
{
	for (uint32_t i = 0; i < watch->point_count; i++) {
		struct ua_point *point = &watch->points[i];
		const struct ua_written *written;
		char *text = NULL;

		if (!full && !point->dirty)
			continue;
		written = may_see(point) ? ua_document_of(point) : NULL;
		if (written && written->result == PBX_OK)
			text = ua_document_text(point, written);
		list_member(contents, point, i + 1, text != NULL);
		point->dirty = false;
		if (!text)
			continue;
		(void)fprintf(parts, "--part\r\nContent-ID: <%u@%s>\r\nContent-Type: %s\r\n\r\n%s\r\n", i + 1,
			      ua_notifier.ua->settings->domain, written->own_type ? written->own_type : watch->content_type, text);
		ua_document_told(point, written);
		free(text);
	}
}

char *ua_list_document(struct ua_watch *watch, const char **ret_type)
{
	bool full = watch->full || watch->sent == 0;
	char *contents = NULL, *parts = NULL, *body = NULL;
	size_t contents_size, parts_size;
	FILE *one = open_memstream(&contents, &contents_size), *two = open_memstream(&parts, &parts_size);

	*ret_type = "multipart/related;type=\"application/rlmi+xml\";start=\"<list@pbx>\";boundary=\"part\"";
	if (one && two)
		list_body(one, two, watch, full);
	if (one)
		(void)fclose(one);
	if (two)
		(void)fclose(two);
	if (contents && parts &&
	    asprintf(&body,
		     "--part\r\nContent-ID: <list@pbx>\r\nContent-Type: application/rlmi+xml;charset=\"UTF-8\"\r\n\r\n"
		     "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<list xmlns=\"urn:ietf:params:xml:ns:rlmi\" uri=\"sip:%s@%s\" "
		     "version=\"%u\" fullState=\"%s\">\n%s</list>\r\n%s--part--\r\n",
		     watch->resource, ua_notifier.ua->settings->domain, watch->list_version, full ? "true" : "false", contents, parts) < 0)
		body = NULL;
	watch->list_version++;
	free(contents);
	free(parts);
	return body;
}
