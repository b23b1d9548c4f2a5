/*
 * bus.c - what happened, told to whoever wants to know
 *
 * An event is published, gets its number, and waits in a queue until the current callback is over. Then each goes to the
 * subscribers whose pattern it matches, in order, and on to the log. Until the log has found where its numbers continue,
 * events wait without one.
 */
#include <assert.h>
#include <ctype.h>
#include <string.h>
#include "bus_internal.h"
#include "handle.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "overlap.h"

#define WAITING_MOST 65536u /* events that wait for a number */

/* One owner's .events: the names of their types, and their numbers. */
struct declared {
	struct declared *next;
	struct pbx_host *owner;
	struct pbx_table events;
	struct {
		const char *name;
		uint32_t number;
	} types[];
};

static struct {
	bool open;
	struct declared *declared;
	char *types[BUS_TYPES]; /* by number, from 1; a type keeps its number while we run */
	uint32_t type_count;
	struct core_handles subscriptions;
	struct bus_event *first, *last; /* not delivered yet */
	uint32_t waiting;
	uint64_t published;
	struct core_post_node drain;
	bool (*call_ids)(pbx_call call, const char **ret_call_id, const char **ret_linked_id);
} bus;

/* ---- events ---- */

static const char *put_text(char **at, const char *text)
{
	const char *copy = *at;

	*at = stpcpy(*at, text) + 1;
	return copy;
}

struct bus_event *bus_event_new(const struct bus_texts *texts, struct pbx_json *taken)
{
	size_t size =
		strlen(texts->id) + strlen(texts->type) + strlen(texts->owner) + strlen(texts->call_id) + strlen(texts->linked_id) + 5;
	struct bus_event *event = calloc(1, sizeof *event + size);

	if (!event)
		return NULL;
	char *at = event->texts;

	event->refs = 1;
	event->data = taken;
	event->event = (struct pbx_event){
		.size = sizeof event->event,
		.id = put_text(&at, texts->id),
		.type = put_text(&at, texts->type),
		.owner = put_text(&at, texts->owner),
		.call_id = put_text(&at, texts->call_id),
		.linked_id = put_text(&at, texts->linked_id),
		.data = taken,
	};
	return event;
}

struct bus_event *bus_event_ref(struct bus_event *event)
{
	event->refs++;
	return event;
}

void bus_event_unref(struct bus_event *event)
{
	if (!event || --event->refs > 0)
		return;
	core_json_free(event->data);
	free(event);
}

/* ---- patterns ---- */

static bool glob(const char *pattern, const char *end, const char *type)
{
	while (pattern < end && *pattern != '*')
		if (*pattern++ != *type++)
			return false;
	if (pattern == end)
		return *type == '\0';
	for (;; type++) {
		if (glob(pattern + 1, end, type))
			return true;
		if (!*type)
			return false;
	}
}

bool bus_pattern_matches(const char *pattern, const char *type)
{
	while (*pattern) {
		const char *end = strchrnul(pattern, ',');

		if (glob(pattern, end, type))
			return true;
		pattern = *end ? end + 1 : end;
	}
	return false;
}

/* Words of [a-z0-9_.*], at most four stars each, separated by single commas. */
bool bus_pattern_is_good(const char *pattern)
{
	uint32_t length = 0, stars = 0;

	for (; pattern && *pattern; pattern++) {
		if (*pattern == ',') {
			if (length == 0)
				return false;
			length = stars = 0;
			continue;
		}
		if (!islower((unsigned char)*pattern) && !isdigit((unsigned char)*pattern) && !strchr("_.*", *pattern))
			return false;
		if (*pattern == '*' && ++stars > 4)
			return false;
		length++;
	}
	return pattern && length > 0;
}

/* ---- what may be published ---- */

static struct pbx_event_type type_at(const struct pbx_table *events, uint32_t at)
{
	struct pbx_event_type type = { 0 };

	core_copy_overlap(&type, sizeof type, (const char *)events->rows + (size_t)at * events->row_size, events->row_size);
	return type;
}

/* 0: it gets none, and patterns are compared with its name. */
static uint32_t type_number(const char *name)
{
	uint32_t number = 1;

	while (number <= bus.type_count && strcmp(bus.types[number], name) != 0)
		number++;
	if (number <= bus.type_count)
		return number;
	if (number == BUS_TYPES || !(bus.types[number] = strdup(name)))
		return 0;
	return ++bus.type_count;
}

/* Who has declared an event of that name; those of the same name are versions of one plugin. NULL: nobody. */
static const char *declared_by(const struct pbx_host *owner, const char *name)
{
	for (const struct declared *declared = bus.declared; declared; declared = declared->next)
		for (uint32_t i = 0; i < declared->events.count; i++)
			if (strcmp(core_owner_name(declared->owner), core_owner_name(owner)) != 0 &&
			    strcmp(type_at(&declared->events, i).name, name) == 0)
				return core_owner_name(declared->owner);
	return NULL;
}

int core_bus_declare(struct pbx_host *owner, const struct pbx_table *events, struct pbx_diag *diag)
{
	if (events->count == 0)
		return PBX_OK;

	for (uint32_t i = 0; i < events->count; i++) {
		const char *name = type_at(events, i).name, *other = declared_by(owner, name);

		if (other) {
			pbx_diag_set(diag, NULL, "its event \"%s\" is declared by %s already", name, other);
			return PBX_EEXIST;
		}
	}
	struct declared *declared = calloc(1, sizeof *declared + events->count * sizeof declared->types[0]);

	if (!declared)
		return PBX_ENOMEM;
	*declared = (struct declared){ .next = bus.declared, .owner = owner, .events = *events };
	for (uint32_t i = 0; i < events->count; i++) {
		declared->types[i].name = type_at(events, i).name;
		declared->types[i].number = type_number(declared->types[i].name);
	}
	bus.declared = declared;
	return PBX_OK;
}

void core_bus_undeclare(struct pbx_host *owner)
{
	for (struct declared **at = &bus.declared; *at;) {
		struct declared *declared = *at;

		if (declared->owner == owner) {
			*at = declared->next;
			free(declared);
		} else {
			at = &declared->next;
		}
	}
}

static bool may_publish(const struct pbx_host *owner, const char *name, uint32_t *ret_type)
{
	for (const struct declared *declared = bus.declared; declared; declared = declared->next)
		for (uint32_t i = 0; declared->owner == owner && i < declared->events.count; i++)
			if (strcmp(declared->types[i].name, name) == 0) {
				*ret_type = declared->types[i].number;
				return true;
			}
	return false;
}

/* ---- delivery ---- */

bool bus_wants(struct bus_subscription *subscription, const struct bus_event *event)
{
	uint8_t *wants = &subscription->wants[event->type];

	if (event->type == 0)
		return bus_pattern_matches(subscription->pattern, event->event.type);
	if (!*wants)
		*wants = bus_pattern_matches(subscription->pattern, event->event.type) ? BUS_WANTED : BUS_NOT_WANTED;
	return *wants == BUS_WANTED;
}

static bool hears(struct bus_subscription *subscription, const struct bus_event *event, bool stored)
{
	return !subscription->follower && subscription->stored == stored && bus_wants(subscription, event);
}

/* Who is told may subscribe and unsubscribe: who has come wants only what is published later. */
static void deliver(const struct bus_event *event, bool stored)
{
	struct bus_subscription *subscription;
	uint32_t at = 0;

	while ((subscription = core_handles_next(&bus.subscriptions, &at)))
		if (event->ordinal > subscription->since && hears(subscription, event, stored))
			CORE_INTO(subscription->owner, subscription->fn(subscription->self, &event->event));
}

void bus_tell_stored(struct bus_event *event)
{
	if (!event->told)
		deliver(event, true);
}

/* What had been published when this round began; the rest has its own. */
static void on_drain(void *context)
{
	uint64_t until = bus.published;

	(void)context;
	while (bus.first && bus.first->ordinal <= until) {
		struct bus_event *event = bus.first;

		bus.first = event->next;
		if (!bus.first)
			bus.last = NULL;
		event->next = NULL;
		bus.waiting--;
		if (!event->told)
			deliver(event, false);
		bus_log_append(event);
	}
	bus_log_flush();
}

void bus_release(void)
{
	for (struct bus_event *event = bus.first; event; event = event->next)
		if (event->event.seq == 0)
			event->event.seq = bus_log_next_seq();
	if (bus.first)
		core_post_node(core_self(), &bus.drain, on_drain, NULL);
}

void bus_number_again(void)
{
	for (struct bus_event *event = bus.first; event; event = event->next)
		event->event.seq = bus_log_next_seq();
}

/* The next in line to be told and written. */
static void queue(struct bus_event *event)
{
	event->ordinal = ++bus.published;
	if (bus_log_has_numbers()) {
		event->event.seq = bus_log_next_seq();
		core_post_node(core_self(), &bus.drain, on_drain, NULL);
	}
	event->next = NULL;
	if (bus.last)
		bus.last->next = event;
	else
		bus.first = event;
	bus.last = event;
	bus.waiting++;
}

void bus_place_again(struct bus_event *event)
{
	event->told = true;
	queue(event);
}

static int publish(struct pbx_host *owner, const char *type, const char *call_id, const char *linked_id, int64_t wall_us,
		   struct pbx_json *taken)
{
	uint32_t number = 0;
	char id[27];

	if (!may_publish(owner, type, &number)) {
		core_log(PBX_LOG_ERROR, core_owner_name(owner), NULL, "event_undeclared", "type=%s", type);
		core_json_free(taken);
		return PBX_EINVAL;
	}
	core_ulid(id);

	const struct bus_texts texts = { id, type, core_owner_name(owner), call_id, linked_id };
	bool full = bus_log_is_full() || bus.waiting >= WAITING_MOST;
	struct bus_event *event = full ? NULL : bus_event_new(&texts, taken);

	if (!event) {
		core_log(PBX_LOG_ERROR, core_owner_name(owner), NULL, "event_lost", "type=%s", type);
		core_json_free(taken);
		return PBX_ENOMEM;
	}

	event->type = number;
	event->event.at_ms = core_now_ms();
	event->event.wall_us = wall_us;
	queue(event);
	return PBX_OK;
}

int core_bus_publish(struct pbx_host *owner, const char *type, const char *call_id, const char *linked_id, struct pbx_json *taken)
{
	core_assert_loop();
	return publish(owner, type, call_id ? call_id : "", linked_id ? linked_id : "", core_wall_us(), taken);
}

int core_bus_publish_at(struct pbx_host *owner, const char *type, const char *call_id, const char *linked_id, int64_t wall_us,
			struct pbx_json *taken)
{
	core_assert_loop();
	return publish(owner, type, call_id ? call_id : "", linked_id ? linked_id : "", wall_us, taken);
}

/* ---- subscriptions ---- */

static void on_revoke(struct core_charge *charge)
{
	bus_subscription_remove((struct bus_subscription *)(void *)((char *)charge - offsetof(struct bus_subscription, charge)));
}

int bus_subscription_add(struct pbx_host *owner, const char *pattern, pbx_event_fn fn, void *self,
			 struct bus_subscription **ret_subscription)
{
	if (!bus_pattern_is_good(pattern))
		return PBX_EINVAL;

	struct bus_subscription *subscription = calloc(1, sizeof *subscription);

	if (!subscription)
		return PBX_ENOMEM;
	subscription->pattern = strdup(pattern);
	subscription->id = subscription->pattern ? core_handle_new(&bus.subscriptions, subscription) : 0;
	if (!subscription->id) {
		free(subscription->pattern);
		free(subscription);
		return PBX_ENOMEM;
	}
	subscription->owner = owner;
	subscription->fn = fn;
	subscription->self = self;
	subscription->since = bus.published;
	core_charge_add(owner, &subscription->charge, "subscription", false, on_revoke);
	*ret_subscription = subscription;
	return PBX_OK;
}

void bus_subscription_remove(struct bus_subscription *subscription)
{
	if (subscription->follower)
		bus_follow_end(subscription);
	core_handle_free(&bus.subscriptions, subscription->id);
	core_charge_remove(&subscription->charge);
	free(subscription->pattern);
	free(subscription);
}

struct bus_subscription *bus_subscription_find(pbx_subscription subscription)
{
	return core_handle_find(&bus.subscriptions, subscription.id);
}

static int subscribe(struct pbx_host *host, const char *pattern, pbx_event_fn fn, void *self, pbx_subscription *ret_subscription)
{
	struct bus_subscription *subscription;
	int err = bus_subscription_add(host, pattern, fn, self, &subscription);

	if (err == PBX_OK)
		*ret_subscription = (pbx_subscription){ subscription->id };
	return err;
}

int core_bus_subscribe_stored(struct pbx_host *host, const char *pattern, pbx_event_fn fn, void *self, pbx_subscription *ret_subscription)
{
	int err = subscribe(host, pattern, fn, self, ret_subscription);

	if (err == PBX_OK)
		bus_subscription_find(*ret_subscription)->stored = true;
	return err;
}

static int unsubscribe(pbx_subscription handle)
{
	struct bus_subscription *subscription = bus_subscription_find(handle);

	if (!subscription)
		return PBX_ENOENT;
	bus_subscription_remove(subscription);
	return PBX_OK;
}

/* ---- what is declared, as JSON ---- */

static const char *type_name(uint32_t type)
{
	static const char *const names[] = { "", "bool", "int", "number", "text", "choice", "list", "object", "objects", "secret", "time" };

	return type < sizeof names / sizeof names[0] ? names[type] : "";
}

static struct pbx_json *field_json(const struct pbx_field *field)
{
	struct pbx_json *json = core_json_object();

	if (core_json_set_text(json, "name", field->name) != PBX_OK || core_json_set_text(json, "type", type_name(field->type)) != PBX_OK ||
	    core_json_set_text(json, "help", field->help) != PBX_OK) {
		core_json_free(json);
		return NULL;
	}
	return json;
}

static struct pbx_json *fields_json(const struct pbx_table *fields)
{
	struct pbx_json *list = core_json_array();
	int err = list ? PBX_OK : PBX_ENOMEM;

	for (uint32_t i = 0; i < fields->count && err == PBX_OK; i++) {
		struct pbx_field field = { 0 };

		core_copy_overlap(&field, sizeof field, (const char *)fields->rows + (size_t)i * fields->row_size, fields->row_size);
		err = core_json_append(list, field_json(&field));
	}
	if (err == PBX_OK)
		return list;
	core_json_free(list);
	return NULL;
}

static struct pbx_json *type_json(const struct declared *declared, uint32_t at)
{
	struct pbx_event_type type = type_at(&declared->events, at);
	struct pbx_json *json = core_json_object();

	if (core_json_set_text(json, "name", type.name) != PBX_OK ||
	    core_json_set_text(json, "owner", core_owner_name(declared->owner)) != PBX_OK ||
	    core_json_set_text(json, "help", type.help) != PBX_OK || core_json_set(json, "fields", fields_json(&type.fields)) != PBX_OK) {
		core_json_free(json);
		return NULL;
	}
	return json;
}

/* Two instances of one plugin declare the same: once is enough. */
static bool is_listed(const struct pbx_json *list, const char *name)
{
	for (const struct pbx_json *type = core_json_first(list); type; type = core_json_next(type))
		if (strcmp(core_json_text(core_json_get(type, "name")), name) == 0)
			return true;
	return false;
}

static struct pbx_json *types(void)
{
	struct pbx_json *list = core_json_array();
	int err = list ? PBX_OK : PBX_ENOMEM;

	for (const struct declared *declared = bus.declared; declared; declared = declared->next)
		for (uint32_t i = 0; i < declared->events.count && err == PBX_OK; i++)
			if (!is_listed(list, type_at(&declared->events, i).name))
				err = core_json_append(list, type_json(declared, i));
	if (err == PBX_OK)
		return list;
	core_json_free(list);
	return NULL;
}

/* ---- life ---- */

int core_bus_init(void)
{
	memset(&bus, 0, sizeof bus);
	core_handles_init(&bus.subscriptions, 'E');
	int err = bus_log_init();
	if (err == PBX_OK)
		err = bus_follow_init();
	bus.open = err == PBX_OK;
	return err;
}

void core_bus_flush(void)
{
	if (bus.open)
		bus_log_flush();
}

void core_bus_fini(void)
{
	struct bus_subscription *subscription;
	uint32_t at = 0;

	if (!bus.open)
		return;
	core_unpost(&bus.drain);
	while ((subscription = core_handles_next(&bus.subscriptions, &at)))
		bus_subscription_remove(subscription);
	for (struct bus_event *event; (event = bus.first);) {
		bus.first = event->next;
		bus_event_unref(event);
	}
	while (bus.declared)
		core_bus_undeclare(bus.declared->owner);
	bus_follow_fini();
	bus_log_fini();
	while (bus.type_count)
		free(bus.types[bus.type_count--]);
	core_handles_fini(&bus.subscriptions);
	bus.open = false;
}

void core_bus_set_call_ids(bool (*find)(pbx_call call, const char **ret_call_id, const char **ret_linked_id))
{
	bus.call_ids = find;
}

void core_bus_stats(struct core_bus_stats *ret_stats)
{
	*ret_stats = (struct core_bus_stats){
		.last_seq = bus_log_last_seq(),
		.stored_seq = bus_log_stored_seq(),
		.published = bus.published,
		.subscribers = core_handles_count(&bus.subscriptions),
		.followers = bus_follow_count(),
	};
}

/* ---- the service ---- */

static int publish_for(struct pbx_host *host, const char *type, pbx_call call, struct pbx_json *taken)
{
	const char *call_id = "", *linked_id = "";

	if (call.id && bus.call_ids && !bus.call_ids(call, &call_id, &linked_id))
		core_log(PBX_LOG_DEBUG, core_owner_name(host), NULL, "event_call_gone", "type=%s", type);
	return publish(host, type, call_id, linked_id, core_wall_us(), taken);
}

const struct pbx_bus core_bus_service = {
	.header = PBX_HEADER(struct pbx_bus),
	.publish = publish_for,
	.subscribe = subscribe,
	.follow = bus_follow,
	.acknowledge = bus_acknowledge,
	.rewind = bus_rewind,
	.unsubscribe = unsubscribe,
	.forget = bus_forget,
	.replay = bus_replay,
	.types = types,
	.replay_call = bus_replay_call,
};
