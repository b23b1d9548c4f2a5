/*
 * people - how everybody is: one state of a person, out of all that is known
 *
 *   do not disturb > in a call > in a meeting > chosen (REST, *30) > published by a phone > not registered > idle for long > idle > available
 *
 * What ends falls back to the next that still holds. Activity is a call of one's own, a message sent, a phone that registers anew, PUBLISH, a choice and whatever one
 * asks by REST; a registration that
 * is merely refreshed is none, or nobody would ever be away.
 */
#include "presence.h"
#include <stdlib.h>
#include <string.h>

const char *const status_names[STATUS_COUNT + 1] = {
	"available", "busy", "away", "do_not_disturb", "in_call", "in_meeting", "offline", NULL
};

uint32_t status_of(const char *name)
{
	uint32_t status = 0;

	while (status < STATUS_COUNT && strcmp(status_names[status], name) != 0)
		status++;
	return status;
}

struct person *person_find(const struct presence *presence, const char *number)
{
	struct person *person = presence->people[number_bucket(number)];

	while (person && strcmp(person->number, number) != 0)
		person = person->next;
	return person;
}

static struct person *person_get(struct presence *presence, const char *number)
{
	struct person *person = person_find(presence, number);
	struct person **bucket = &presence->people[number_bucket(number)];

	if (person)
		return person;
	person = calloc(1, sizeof *person + strlen(number) + 1);
	if (!person)
		return NULL;
	memcpy(person->number, number, strlen(number) + 1);
	person->presence = presence;
	person->chosen = person->published = STATUS_NONE;
	person->status = STATUS_OFFLINE;
	person->away_s = person->offline_s = IDLE_UNSET;
	person->active_at_ms = presence->host->now_ms(presence->host);
	person->next = *bucket;
	*bucket = person;
	return person;
}

void people_free(struct presence *presence)
{
	for (uint32_t i = 0; i < LINE_BUCKETS; i++)
		for (struct person *person = presence->people[i], *next; person; person = next) {
			next = person->next;
			free(person);
		}
}

/* ---- one state ------------------------------------------------------------------------ */

static bool is_in_call(const struct presence *presence, const char *number)
{
	const struct line *line = line_find(presence, number);

	for (const struct line_call *call = line ? line->calls : NULL; call; call = call->next)
		if (line_is_live(call) && strcmp(call->state, "confirmed") == 0)
			return true;
	return false;
}

static bool has_dnd(const struct presence *presence, const char *number)
{
	struct pbx_account account = { .size = sizeof account };

	return presence->directory->find && presence->directory->find(presence->directory->self, number, &account) == PBX_OK && account.dnd;
}

uint32_t person_away_s(const struct person *person)
{
	return person->away_s == IDLE_UNSET ? person->presence->settings->auto_away_s : person->away_s;
}

uint32_t person_offline_s(const struct person *person)
{
	return person->offline_s == IDLE_UNSET ? person->presence->settings->auto_offline_s : person->offline_s;
}

/* *ret_source: why; *ret_next_ms: when idleness alone makes it another one, 0: never. */
static uint32_t compose(const struct person *person, const char **ret_source, uint64_t *ret_next_ms)
{
	const struct presence *presence = person->presence;
	uint64_t idle_ms = presence->host->now_ms(presence->host) - person->active_at_ms;
	uint64_t away_ms = person_away_s(person) * 1000ull, offline_ms = person_offline_s(person) * 1000ull;

	*ret_next_ms = 0;
	*ret_source = "dnd";
	if (has_dnd(presence, person->number))
		return STATUS_DND;
	*ret_source = "call";
	if (is_in_call(presence, person->number))
		return STATUS_IN_CALL;
	*ret_source = person->chosen == STATUS_IN_MEETING ? "manual" : "published";
	if (person->chosen == STATUS_IN_MEETING || person->published == STATUS_IN_MEETING)
		return STATUS_IN_MEETING;
	*ret_source = "manual";
	if (person->chosen != STATUS_NONE)
		return person->chosen;
	*ret_source = "published";
	if (person->published != STATUS_NONE)
		return person->published;
	*ret_source = "registration";
	if (!presence->location->is_registered(person->number))
		return STATUS_OFFLINE;
	*ret_source = "idle";
	if (offline_ms && idle_ms >= offline_ms)
		return STATUS_OFFLINE;
	if (offline_ms)
		*ret_next_ms = offline_ms - idle_ms;
	if (away_ms && idle_ms >= away_ms)
		return STATUS_AWAY;
	if (away_ms && (!*ret_next_ms || away_ms - idle_ms < *ret_next_ms))
		*ret_next_ms = away_ms - idle_ms;
	*ret_source = "registration";
	return STATUS_AVAILABLE;
}

static void on_idle(void *self, pbx_timer timer)
{
	struct person *person = self;

	(void)timer;
	person->idle = (pbx_timer){ 0 };
	person_settle(person);
}

static void tell(const struct person *person, uint32_t old)
{
	const struct presence *presence = person->presence;
	struct pbx_json *data = presence->json->new_object();

	(void)presence->json->set_text(data, "extension", person->number);
	(void)presence->json->set_text(data, "old", status_names[old]);
	(void)presence->json->set_text(data, "new", status_names[person->status]);
	(void)presence->json->set_text(data, "message", person->message);
	(void)presence->json->set_text(data, "source", person->source);
	(void)presence->bus->publish(presence->host, "presence.changed", (pbx_call){ 0 }, data);
	(void)presence->notifier->changed(presence->host, "presence", person->number); /* nobody may be watching */
}

void person_settle(struct person *person)
{
	struct presence *presence = person->presence;
	uint32_t old = person->status;
	uint64_t next_ms;

	person->status = compose(person, &person->source, &next_ms);
	(void)presence->timers->stop(person->idle); /* a first one has none */
	person->idle = (pbx_timer){ 0 };
	if (next_ms && presence->timers->start(presence->host, next_ms, 0, on_idle, person, &person->idle) != PBX_OK)
		pbx_warn(presence->host, "idle_not_watched", "extension=%s reason=no_memory", person->number);
	if (person->status != old || person->message_changed)
		tell(person, old);
	person->message_changed = false;
}

void person_is_active(struct person *person)
{
	person->active_at_ms = person->presence->host->now_ms(person->presence->host);
	person_settle(person);
}

void people_call_changed(struct presence *presence, const char *number, bool own)
{
	struct person *person = person_get(presence, number);

	if (person && own)
		person->active_at_ms = presence->host->now_ms(presence->host);
	if (person)
		person_settle(person);
}

/* ---- what is chosen -------------------------------------------------------------------- */

static void on_until(void *self, pbx_timer timer)
{
	struct person *person = self;

	(void)timer;
	person->until = (pbx_timer){ 0 };
	(void)person_choose(person->presence, person->number, STATUS_NONE, "", 0);
}

static void arm_until(struct person *person)
{
	struct presence *presence = person->presence;
	int64_t left_us = person->until_us - presence->host->wall_us(presence->host);

	(void)presence->timers->stop(person->until); /* a first one has none */
	person->until = (pbx_timer){ 0 };
	if (person->until_us && presence->timers->start(presence->host, left_us > 0 ? (uint64_t)left_us / 1000 : 0, 0, on_until, person,
							&person->until) != PBX_OK)
		pbx_warn(presence->host, "choice_without_end", "extension=%s reason=no_memory", person->number);
}

static void store_choice(const struct person *person)
{
	const struct presence *presence = person->presence;
	const struct pbx_value params[] = {
		pbx_v_text(person->number),  pbx_v_text(person->chosen == STATUS_NONE ? "" : status_names[person->chosen]),
		pbx_v_text(person->message), pbx_v_text("manual"),
		PBX_V_INT(person->until_us), PBX_V_INT(presence->host->wall_us(presence->host))
	};

	if (presence->store->record(
		    presence->host,
		    "INSERT INTO presence_state (extension, status, message, source, until, changed_at) VALUES ($1,$2,$3,$4,$5,$6) "
		    "ON CONFLICT (extension) DO UPDATE SET status = $2, message = $3, source = $4, until = $5, changed_at = $6",
		    params, 6, NULL, NULL) != PBX_OK)
		pbx_warn(presence->host, "choice_not_stored", "extension=%s", person->number);
}

int person_choose(struct presence *presence, const char *number, uint32_t status, const char *message, int64_t until_us)
{
	struct person *person = person_get(presence, number);

	if (!person)
		return PBX_ENOMEM;
	person->message_changed = strcmp(person->message, message) != 0;
	(void)snprintf(person->message, sizeof person->message, "%s", message);
	person->chosen = status;
	person->until_us = status == STATUS_NONE ? 0 : until_us;
	arm_until(person);
	store_choice(person);
	person_is_active(person);
	return PBX_OK;
}

int person_idles(struct presence *presence, const char *number, uint32_t away_s, uint32_t offline_s)
{
	const struct pbx_value params[] = { pbx_v_text(number), PBX_V_INT(away_s), PBX_V_INT(offline_s) };
	struct person *person = person_get(presence, number);

	if (!person)
		return PBX_ENOMEM;
	person->away_s = away_s;
	person->offline_s = offline_s;
	person_settle(person);
	if (presence->store->record(presence->host,
				    "INSERT INTO presence_idle (extension, away_s, offline_s) VALUES ($1,$2,$3) "
				    "ON CONFLICT (extension) DO UPDATE SET away_s = $2, offline_s = $3",
				    params, 3, NULL, NULL) != PBX_OK)
		pbx_warn(presence->host, "idle_times_not_stored", "extension=%s", number);
	return PBX_OK;
}

int person_publish(struct presence *presence, const char *number, uint32_t status)
{
	struct person *person = person_get(presence, number);

	if (!person)
		return PBX_ENOMEM;
	person->published = status;
	person_is_active(person);
	return PBX_OK;
}

/* ---- what happens ---------------------------------------------------------------------- */

static void on_registration(void *self, const struct pbx_event *event)
{
	struct presence *presence = self;
	const char *aor = presence->json->text(presence->json->get(event->data, "aor"));

	if (aor)
		people_call_changed(presence, aor, strcmp(event->type, "registration.added") == 0);
}

static void on_extension_changed(void *self, const struct pbx_event *event)
{
	struct presence *presence = self;
	const char *number = presence->json->text(presence->json->get(event->data, "extension"));

	if (number)
		people_call_changed(presence, number, false);
}

static void on_message(void *self, const struct pbx_event *event)
{
	struct presence *presence = self;
	const char *number = presence->json->text(presence->json->get(event->data, "from"));
	struct person *person = number ? person_find(presence, number) : NULL;

	if (person)
		person_is_active(person);
}

/* By REST, so in a page of ours: they are at their desk. */
static void on_asked(void *self, const char *account)
{
	struct person *person = person_find(self, account);

	if (person)
		person_is_active(person);
}

static void meet(void *context, const struct pbx_account *account)
{
	people_call_changed(context, account->number, false);
}

int people_start(struct presence *presence)
{
	pbx_subscription subscription;
	int err = presence->bus->subscribe(presence->host, "registration.added,registration.removed", on_registration, presence,
					   &subscription);

	if (err == PBX_OK)
		err = presence->bus->subscribe(presence->host, "extension.created,extension.changed", on_extension_changed, presence,
					       &subscription);
	if (err == PBX_OK)
		err = presence->bus->subscribe(presence->host, "message.received", on_message, presence, &subscription);
	if (err == PBX_OK && presence->requests->on_asked)
		err = presence->requests->on_asked(presence->host, on_asked, presence);
	if (err == PBX_OK && presence->directory->each)
		presence->directory->each(presence->directory->self, meet, presence);
	return err;
}

static void on_idle_rows(void *self, const struct pbx_rows *rows)
{
	struct presence *presence = self;

	for (uint32_t row = 0; rows->status == PBX_OK && row < rows->count; row++) {
		struct person *person = person_get(presence, pbx_cell_text(rows, row, 0));

		if (!person)
			continue;
		person->away_s = (uint32_t)pbx_cell_int(rows, row, 1);
		person->offline_s = (uint32_t)pbx_cell_int(rows, row, 2);
	}
	if (rows->status != PBX_OK || mailboxes_load(presence) != PBX_ELATER)
		presence->host->ready(presence->host, rows->status == PBX_OK ? PBX_ENOMEM : rows->status, rows->error);
}

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct presence *presence = self;

	for (uint32_t row = 0; rows->status == PBX_OK && row < rows->count; row++) {
		struct person *person = person_get(presence, pbx_cell_text(rows, row, 0));
		uint32_t status = status_of(pbx_cell_text(rows, row, 1));

		if (!person)
			continue;
		person->chosen = status < STATUS_COUNT ? status : STATUS_NONE;
		(void)snprintf(person->message, sizeof person->message, "%s", pbx_cell_text(rows, row, 2));
		person->until_us = pbx_cell_int(rows, row, 3);
		arm_until(person);
	}
	if (rows->status != PBX_OK || presence->store->run(presence->host, "SELECT extension, away_s, offline_s FROM presence_idle", NULL,
							   0, on_idle_rows, presence) != PBX_OK)
		presence->host->ready(presence->host, rows->status == PBX_OK ? PBX_ENOMEM : rows->status, rows->error);
}

int people_load(struct presence *presence)
{
	int err = presence->store->run(presence->host, "SELECT extension, status, message, until FROM presence_state", NULL, 0, on_rows,
				       presence);

	return err == PBX_OK ? PBX_ELATER : err;
}
