/* tests/fake/notifier.c - stands in for subscriptions: a watcher is asked for by the test, and what its package writes is handed to it
 *
 * pbx.notifier/1 with no phone behind it: no expiry, no rate; what the plugin says has changed is counted. */
#include "fake_internal.h"
#include "owner.h"
#include <stdlib.h>
#include <string.h>

struct package {
	struct package *next;
	struct core_charge charge;
	struct pbx_event_package offer;
	void *self;
	char name[64];
};

struct change {
	struct change *next;
	uint32_t count;
	char package[64], resource[64];
};

struct list {
	struct list *next;
	struct core_charge charge;
	char name[64], members[1024];
};

struct telling {
	struct telling *next;
	char account[64], event[64], body[1024];
};

static struct package *packages;
static struct change *changes;
static struct list *lists;
static struct telling *tellings; /* newest first */

static struct package *find(const char *name)
{
	struct package *package = packages;

	while (package && strcmp(package->name, name))
		package = package->next;
	return package;
}

static void revoke_package(struct core_charge *charge)
{
	struct package *package = (struct package *)((char *)charge - offsetof(struct package, charge)), **at = &packages;

	core_charge_remove(charge);
	while (*at != package)
		at = &(*at)->next;
	*at = package->next;
	free(package);
}

static int offer_package(struct pbx_host *host, const struct pbx_event_package *offered, void *self)
{
	struct package *package = find(offered->name);

	if (package)
		revoke_package(&package->charge);
	package = calloc(1, sizeof *package);
	ck_assert_ptr_nonnull(package);
	package->offer = *offered;
	package->self = self;
	(void)snprintf(package->name, sizeof package->name, "%s", offered->name);
	core_charge_add(host, &package->charge, "event package", false, revoke_package);
	package->next = packages;
	packages = package;
	return PBX_OK;
}

static struct change *change_of(const char *name, const char *resource)
{
	struct change *change = changes;

	while (change && (strcmp(change->package, name) || strcmp(change->resource, resource)))
		change = change->next;
	return change;
}

static int changed(struct pbx_host *host, const char *name, const char *resource)
{
	struct change *change = change_of(name, resource);
	const struct package *package = find(name);

	if (!package || package->charge.owner != host)
		return PBX_ENOENT;
	if (!change) {
		change = calloc(1, sizeof *change);
		ck_assert_ptr_nonnull(change);
		(void)snprintf(change->package, sizeof change->package, "%s", name);
		(void)snprintf(change->resource, sizeof change->resource, "%s", resource);
		change->next = changes;
		changes = change;
	}
	change->count++;
	return PBX_OK;
}

/* Somebody else always watches: plugins that do their work for watchers only do it. */
static uint32_t watchers(const char *package, const char *resource)
{
	(void)resource;
	return find(package) ? 1 : 0;
}

static void each(const char *package, const char *resource, void (*fn)(void *context, const struct pbx_watch_info *info), void *context)
{
	(void)package, (void)resource, (void)fn, (void)context; /* and it is no account that a test could know */
}

static void revoke_list(struct core_charge *charge)
{
	struct list *list = (struct list *)((char *)charge - offsetof(struct list, charge)), **at = &lists;

	core_charge_remove(charge);
	while (*at != list)
		at = &(*at)->next;
	*at = list->next;
	free(list);
}

static int set_list(struct pbx_host *host, const char *name, const struct pbx_table *members)
{
	struct list *list = lists;

	while (list && strcmp(list->name, name))
		list = list->next;
	if (list)
		revoke_list(&list->charge);
	if (!members || !members->count)
		return PBX_OK;
	list = calloc(1, sizeof *list);
	ck_assert_ptr_nonnull(list);
	(void)snprintf(list->name, sizeof list->name, "%s", name);
	for (uint32_t i = 0; i < members->count; i++) {
		const struct pbx_list_member *member = (const struct pbx_list_member *)members->rows + i;
		size_t used = strlen(list->members);

		(void)snprintf(list->members + used, sizeof list->members - used, "%s%s %s", i ? "," : "", member->resource,
			       member->display);
	}
	core_charge_add(host, &list->charge, "resource list", false, revoke_list);
	list->next = lists;
	lists = list;
	return PBX_OK;
}

static int tell(struct pbx_host *host, const char *account, const char *event, const char *content_type, const char *body)
{
	struct telling *telling = calloc(1, sizeof *telling);

	(void)host, (void)content_type;
	ck_assert_ptr_nonnull(telling);
	(void)snprintf(telling->account, sizeof telling->account, "%s", account);
	(void)snprintf(telling->event, sizeof telling->event, "%s", event);
	(void)snprintf(telling->body, sizeof telling->body, "%s", body);
	telling->next = tellings;
	tellings = telling;
	return fake_location_service.is_registered(account) ? PBX_OK : PBX_ENOENT;
}

const struct pbx_notifier fake_notifier_service = {
	.header = PBX_HEADER(struct pbx_notifier),
	.package = offer_package,
	.changed = changed,
	.watchers = watchers,
	.each = each,
	.set_list = set_list,
	.tell = tell,
};

void fake_notifier_fini(void)
{
	for (struct change *change = changes, *next; change; change = next) {
		next = change->next;
		free(change);
	}
	for (struct telling *telling = tellings, *next; telling; telling = next) {
		next = telling->next;
		free(telling);
	}
	changes = NULL;
	tellings = NULL;
	ck_assert_ptr_null(packages);
	ck_assert_ptr_null(lists);
}

/* ---- what a test asks ---------------------------------------------------------------------- */

static struct pbx_watch_info info_of(const char *package, const char *watcher, const char *resource, const char *type, const char *body)
{
	return (struct pbx_watch_info){ .size = sizeof(struct pbx_watch_info),
					.watch = { 1 },
					.package = package,
					.resource = resource,
					.watcher = watcher,
					.device = "Fake phone",
					.content_type = find(package)->offer.content_types.items[0],
					.body = body,
					.body_type = type,
					.expires_s = 3600,
					.domain = "pbx.test" };
}

int fake_subscribe(struct fake_pbx *pbx, const char *package, const char *watcher, const char *resource, const char *body)
{
	const struct package *asked = find(package);
	int err = PBX_OK;

	ck_assert_msg(asked != NULL, "nobody offers package %s", package);
	const struct pbx_watch_info info =
		info_of(package, watcher, resource, body ? asked->offer.content_types.items[0] : "", body ? body : "");
	if (asked->offer.subscribed)
		CORE_INTO(asked->charge.owner, err = asked->offer.subscribed(asked->self, &info));
	fake_settle(pbx);
	return err;
}

const char *fake_document(struct fake_pbx *pbx, const char *package, const char *watcher, const char *resource, uint64_t *stamp)
{
	const struct package *asked = find(package);
	struct pbx_document document = { .size = sizeof document };
	int err = PBX_OK;

	(void)pbx;
	ck_assert_msg(asked != NULL, "nobody offers package %s", package);
	const struct pbx_watch_info info = info_of(package, watcher, resource, "", "");
	CORE_INTO(asked->charge.owner, err = asked->offer.write(asked->self, &info, stamp ? *stamp : 0, &document));
	if (err != PBX_OK)
		return NULL;
	if (stamp)
		*stamp = document.stamp;
	return fake_format("%s%s%s", document.head, document.tail ? "0" : "", document.tail ? document.tail : "");
}

int fake_publish(struct fake_pbx *pbx, const char *package, const char *account, uint32_t what, const char *body)
{
	const struct package *asked = find(package);
	int err = PBX_ENOTSUP;

	ck_assert_msg(asked != NULL, "nobody offers package %s", package);
	const struct pbx_publication publication = { .size = sizeof publication,
						     .what = what,
						     .resource = account,
						     .tag = "tag",
						     .content_type = body[0] ? asked->offer.content_types.items[0] : "",
						     .body = body,
						     .expires_s = 3600 };
	if (asked->offer.published)
		CORE_INTO(asked->charge.owner, err = asked->offer.published(asked->self, &publication));
	fake_settle(pbx);
	return err;
}

uint32_t fake_changes(struct fake_pbx *pbx, const char *package, const char *resource)
{
	const struct change *change = change_of(package, resource);

	(void)pbx;
	return change ? change->count : 0;
}

const char *fake_list(struct fake_pbx *pbx, const char *name)
{
	const struct list *list = lists;

	(void)pbx;
	while (list && strcmp(list->name, name))
		list = list->next;
	return list ? fake_format("%s", list->members) : NULL;
}

const char *fake_told(struct fake_pbx *pbx, const char *account)
{
	const struct telling *telling = tellings;

	(void)pbx;
	while (telling && strcmp(telling->account, account))
		telling = telling->next;
	return telling ? fake_format("%s: %s", telling->event, telling->body) : NULL;
}
