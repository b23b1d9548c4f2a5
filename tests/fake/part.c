/* tests/fake/part.c - stands in for sip/: accounts, the phones registered for them, a route to them; and hears every event
 *
 * Its card is a struct pbx_plugin like everybody's. Its directory stands beside that of a plugin under test; only what a test names is in it. */
#include "fake_internal.h"
#include "json.h"
#include "loop.h"
#include <pbx/bus.h>
#include <pbx/location.h>
#include <pbx/route.h>
#include <stdlib.h>
#include <string.h>

struct account {
	struct account *next;
	char user[64], name[80];
	struct pbx_account says;
};

struct contact {
	struct contact *next;
	char id[40], aor[64], uri[128];
	int64_t registered_wall_us;
};

struct event {
	struct event *next;
	int64_t seq;
	char *type, *owner, *call_id, *linked_id;
	struct pbx_json *data;
};

static struct part {
	PBX_INSTANCE(void);
	const struct pbx_routing *routing;
	const struct pbx_bus *bus;
	struct account *accounts;
	struct contact *contacts;
	uint32_t contacts_made;
	struct event *events, **events_end;
} part;

void *fake_part_instance(void)
{
	return &part;
}

struct pbx_host *fake_part_host(void)
{
	return part.host;
}

/* ---- accounts ---- */

static struct account *find_account(const char *user)
{
	struct account *account = part.accounts;

	while (account && strcmp(account->user, user))
		account = account->next;
	return account;
}

struct pbx_account *fake_account(struct fake_pbx *pbx, const char *who)
{
	struct account *account = find_account(who);

	(void)pbx;
	if (account)
		return &account->says;
	account = calloc(1, sizeof *account);
	ck_assert_ptr_nonnull(account);
	(void)snprintf(account->user, sizeof account->user, "%s", who);
	(void)snprintf(account->name, sizeof account->name, "Name of %s", who);
	account->says = (struct pbx_account){ .size = sizeof account->says,
					      .number = account->user,
					      .name = account->name,
					      .email = "",
					      .language = "",
					      .music_class = "",
					      .pickup_group = "",
					      .outbound_caller_id = "",
					      .may_call_outside = true };
	account->next = part.accounts;
	part.accounts = account;
	return &account->says;
}

static int directory_find(void *self, const char *user, struct pbx_account *ret_account)
{
	const struct account *account = find_account(user);

	(void)self;
	if (!account)
		return PBX_ENOENT;
	*ret_account = account->says;
	return PBX_OK;
}

static int directory_digest(void *self, const char *user, const char *realm, uint32_t algorithm, char ret_ha1[65])
{
	(void)self, (void)realm, (void)algorithm, (void)ret_ha1;
	return find_account(user) ? PBX_ENOTSUP : PBX_ENOENT;
}

struct password_answer {
	void (*done)(void *context, int result);
	int result;
};

static void answer_password(void *context, void *data)
{
	const struct password_answer *answer = data;

	answer->done(context, answer->result);
	free(data);
}

static int directory_check_password(void *self, const char *user, const char *password, void (*done)(void *context, int result),
				    void *context)
{
	struct password_answer *answer = malloc(sizeof *answer);

	(void)self, (void)password;
	ck_assert_ptr_nonnull(answer);
	*answer = (struct password_answer){ done, find_account(user) ? PBX_EPERM : PBX_ENOENT };
	return core_post(part.host, answer_password, context, answer, free);
}

static void directory_each(void *self, void (*each)(void *context, const struct pbx_account *account), void *context)
{
	(void)self;
	for (const struct account *account = part.accounts; account; account = account->next)
		each(context, &account->says);
}

static const struct pbx_directory directory = {
	.header = PBX_HEADER(struct pbx_directory),
	.find = directory_find,
	.digest = directory_digest,
	.check_password = directory_check_password,
	.each = directory_each,
};

/* ---- contacts ---- */

static struct pbx_contact as_pbx_contact(const struct contact *contact)
{
	return (struct pbx_contact){
		.size = sizeof(struct pbx_contact),
		.id = contact->id,
		.aor = contact->aor,
		.uri = contact->uri,
		.received = "192.0.2.7:5060",
		.transport = "udp",
		.user_agent = "Fake phone",
		.instance = "",
		.path = "",
		.q_milli = 1000,
		.registered_wall_us = contact->registered_wall_us,
		.expires_wall_us = contact->registered_wall_us + 3600000000,
	};
}

static uint32_t location_each(const char *aor, void (*each)(void *context, const struct pbx_contact *contact), void *context)
{
	uint32_t count = 0;

	for (const struct contact *contact = part.contacts; contact; contact = contact->next) {
		struct pbx_contact as = as_pbx_contact(contact);

		if (aor && strcmp(aor, contact->aor))
			continue;
		count++;
		if (each)
			each(context, &as);
	}
	return count;
}

static bool location_is_registered(const char *aor)
{
	return location_each(aor, NULL, NULL) > 0;
}

static void tell(const char *type, const struct contact *contact, const char *reason)
{
	struct pbx_json *data = core_json_object();

	(void)core_json_set_text(data, "id", contact->id); /* no memory here ends a test anyway */
	(void)core_json_set_text(data, "aor", contact->aor);
	(void)core_json_set_text(data, "contact", contact->uri);
	if (reason)
		(void)core_json_set_text(data, "reason", reason);
	ck_assert_int_eq(part.bus->publish(part.host, type, (pbx_call){ 0 }, data), PBX_OK);
}

/* Removes those that fit; NULL fits all. */
static int remove_contacts(const char *aor, const char *id)
{
	int result = PBX_ENOENT;

	for (struct contact **at = &part.contacts; *at;) {
		struct contact *contact = *at;

		if ((aor && strcmp(aor, contact->aor)) || (id && strcmp(id, contact->id))) {
			at = &contact->next;
			continue;
		}
		*at = contact->next;
		tell("registration.removed", contact, "unregistered");
		free(contact);
		result = PBX_OK;
	}
	return result;
}

static int location_remove(struct pbx_host *host, const char *id)
{
	(void)host;
	return remove_contacts(NULL, id);
}

static int location_remove_all(struct pbx_host *host, const char *aor)
{
	(void)host;
	return remove_contacts(aor, NULL);
}

static uint32_t location_count(void)
{
	return location_each(NULL, NULL, NULL);
}

const struct pbx_location fake_location_service = {
	.header = PBX_HEADER(struct pbx_location),
	.each = location_each,
	.is_registered = location_is_registered,
	.remove = location_remove,
	.remove_all = location_remove_all,
	.count = location_count,
};

void fake_registered(struct fake_pbx *pbx, const char *who)
{
	struct contact *contact = calloc(1, sizeof *contact), **at = &part.contacts;

	ck_assert_ptr_nonnull(contact);
	(void)fake_account(pbx, who);
	(void)snprintf(contact->id, sizeof contact->id, "contact-%u", ++part.contacts_made);
	(void)snprintf(contact->aor, sizeof contact->aor, "%s", who);
	(void)snprintf(contact->uri, sizeof contact->uri, "sip:%s@phone%u.fake", who, part.contacts_made);
	contact->registered_wall_us = core_wall_us();
	while (*at)
		at = &(*at)->next;
	*at = contact;
	tell("registration.added", contact, NULL);
	fake_settle(pbx);
}

void fake_unregistered(struct fake_pbx *pbx, const char *who)
{
	ck_assert_int_eq(remove_contacts(who, NULL), PBX_OK);
	fake_settle(pbx);
}

/* ---- routing: an account of the test's own, by its name ---- */

static int route(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	static char aor[72];
	static struct pbx_dial_target target = { .text = aor };
	const struct account *account = find_account(request->number);

	(void)self, (void)query;
	if (!account)
		return PBX_OK;
	(void)snprintf(aor, sizeof aor, "aor:%s", account->user);
	ret_answer->verdict = PBX_ROUTE_TARGETS;
	ret_answer->targets = &target;
	ret_answer->target_count = 1;
	ret_answer->target_size = sizeof *ret_answer->targets;
	ret_answer->owner_number = account->says.number;
	ret_answer->owner_name = account->says.name;
	ret_answer->max_calls = account->says.max_calls;
	return PBX_OK;
}

/* ---- events ---- */

static void on_event(void *self, const struct pbx_event *event)
{
	struct event *kept = calloc(1, sizeof *kept);

	(void)self;
	ck_assert_ptr_nonnull(kept);
	*kept = (struct event){ .seq = event->seq,
				.type = strdup(event->type),
				.owner = strdup(event->owner),
				.call_id = strdup(event->call_id),
				.linked_id = strdup(event->linked_id),
				.data = core_json_copy(event->data) };
	*part.events_end = kept;
	part.events_end = &kept->next;
}

static bool fits(const char *type, const char *pattern)
{
	size_t length = strlen(pattern);

	return length && pattern[length - 1] == '*' ? !strncmp(type, pattern, length - 1) : !strcmp(type, pattern);
}

static struct pbx_json *event_json(const struct event *event)
{
	struct pbx_json *json = core_json_object();

	(void)core_json_set_integer(json, "seq", event->seq); /* no memory here ends a test anyway */
	(void)core_json_set_text(json, "type", event->type);
	(void)core_json_set_text(json, "owner", event->owner);
	(void)core_json_set_text(json, "call_id", event->call_id);
	(void)core_json_set_text(json, "linked_id", event->linked_id);
	if (event->data)
		(void)core_json_set(json, "data", core_json_copy(event->data));
	return json;
}

const char *fake_events(struct fake_pbx *pbx, const char *pattern)
{
	struct pbx_json *list = core_json_array();

	(void)pbx;
	for (const struct event *event = part.events; event; event = event->next)
		if (fits(event->type, pattern))
			(void)core_json_append(list, event_json(event)); /* as above */
	const char *text = fake_keep(core_json_print(list));
	core_json_free(list);
	return text;
}

uint32_t fake_event_count(struct fake_pbx *pbx, const char *pattern)
{
	uint32_t count = 0;

	(void)pbx;
	for (const struct event *event = part.events; event; event = event->next)
		count += fits(event->type, pattern);
	return count;
}

const char *fake_event(struct fake_pbx *pbx, const char *pattern)
{
	const struct event *newest = NULL;

	(void)pbx;
	for (const struct event *event = part.events; event; event = event->next)
		if (fits(event->type, pattern))
			newest = event;
	ck_assert_msg(newest != NULL, "no event %s", pattern);
	return newest->data ? fake_keep(core_json_print(newest->data)) : "{}";
}

/* ---- the card ---- */

static int part_start(void *self)
{
	pbx_subscription all;
	int err;

	(void)self;
	part.routing = pbx_routing(part.host);
	part.bus = pbx_bus(part.host);
	if (!part.events)
		part.events_end = &part.events;
	err = part.bus->subscribe(part.host, "*", on_event, &part, &all);
	return err != PBX_OK ? err : part.routing->hook(part.host, PBX_ORDER_EXTENSIONS, "accounts", route, &part);
}

static const void *part_offer(void *self, const char *id)
{
	(void)self;
	return strcmp(id, "pbx.directory/1") ? NULL : &directory;
}

static const struct pbx_event_type events[] = {
	{ .name = "registration.added", .help = "A phone has registered" },
	{ .name = "registration.removed", .help = "A phone has gone" },
};

const struct pbx_plugin fake_part = {
	PBX_PLUGIN_HEADER,
	.name = "fake",
	.version = PBX_VERSION,
	.summary = "Phones, accounts and ears of the tests",
	.needs = PBX_NEEDS("pbx.bus/1", "pbx.route/1", "pbx.sip/1", "pbx.lamps/1", "pbx.mwi/1"),
	.offers = PBX_OFFERS("pbx.directory/1"),
	.instance_size = sizeof(struct part),
	.events = PBX_TABLE(events),
	.start = part_start,
	.offer = part_offer,
};

void fake_part_fini(void)
{
	for (struct account *next; part.accounts; part.accounts = next) {
		next = part.accounts->next;
		free(part.accounts);
	}
	for (struct contact *next; part.contacts; part.contacts = next) {
		next = part.contacts->next;
		free(part.contacts);
	}
	for (struct event *next; part.events; part.events = next) {
		next = part.events->next;
		free(part.events->type);
		free(part.events->owner);
		free(part.events->call_id);
		free(part.events->linked_id);
		core_json_free(part.events->data);
		free(part.events);
	}
	part = (struct part){ 0 };
}
