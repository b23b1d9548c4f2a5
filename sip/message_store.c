/*
 * message_store.c - messages that wait for somebody to register
 *
 * The table holds them; in memory there is a number for each recipient, so that ten thousand phones that refresh their registration ask the
 * store nothing. The same small table counts what an account sends within a minute.
 */
#include "bus.h"
#include "json.h"
#include "location.h"
#include "loop.h"
#include "message.h"
#include "store.h"
#include "timer.h"
#include <stdlib.h>
#include <string.h>

#define CHAINS 256u
#define AT_ONCE 20 /* sent to a phone that has come back; the next ones when these have arrived */
#define SWEEP_MS 60000u

struct person {
	struct person *next;
	uint32_t waiting;
	uint32_t sent; /* within that minute */
	uint64_t minute;
	char name[64];
};

static struct {
	struct pbx_host *host;
	struct person *persons[CHAINS];
	pbx_timer sweep;
	pbx_subscription registrations;
} waiting;

/* ---- who waits, who sends --------------------------------------------------------------- */

static struct person **chain_of(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return &waiting.persons[(hash ^ hash >> 15) % CHAINS];
}

static struct person *person_find(const char *name)
{
	struct person *person = *chain_of(name);

	while (person && strcmp(person->name, name) != 0)
		person = person->next;
	return person;
}

static struct person *person_get(const char *name)
{
	struct person *person = person_find(name), **chain = chain_of(name);

	if (person)
		return person;
	person = calloc(1, sizeof *person);
	if (!person)
		return NULL;
	(void)snprintf(person->name, sizeof person->name, "%s", name);
	person->next = *chain;
	*chain = person;
	return person;
}

static void one_less(const char *name)
{
	struct person *person = person_find(name);

	if (person && person->waiting)
		person->waiting--;
}

bool ua_message_may_send(const char *account)
{
	uint64_t minute = core_now_ms() / 60000;
	struct person *person = person_get(account);

	if (!person)
		return false;
	if (person->minute != minute) {
		person->minute = minute;
		person->sent = 0;
	}
	return person->sent++ < ua_messages_part->settings->per_minute;
}

static void forget_idle_persons(void)
{
	uint64_t minute = core_now_ms() / 60000;

	for (uint32_t i = 0; i < CHAINS; i++)
		for (struct person **at = &waiting.persons[i]; *at;) {
			struct person *person = *at;

			if (person->waiting || person->minute == minute) {
				at = &person->next;
			} else {
				*at = person->next;
				free(person);
			}
		}
}

/* ---- keeping ---------------------------------------------------------------------------- */

static void on_kept(void *self, const struct pbx_rows *rows)
{
	struct ua_message *message = self;

	if (rows->status != PBX_OK) {
		pbx_error(waiting.host, "message_not_stored", "reason=%s", rows->error);
		one_less(message->to);
	}
	ua_message_kept(message, rows->status);
}

int ua_message_keep(struct ua_message *message)
{
	const struct ua_message_settings *settings = ua_messages_part->settings;
	struct person *person = person_get(message->to);
	const struct pbx_value params[] = {
		pbx_v_text(message->id),           pbx_v_text(message->from),
		pbx_v_text(message->from_name),    pbx_v_text(message->to),
		pbx_v_text(message->content_type), { .type = PBX_VALUE_BYTES, .length = message->size, .as.bytes = message->body },
		PBX_V_INT(message->sent_wall_us),  PBX_V_INT(core_wall_us() + (int64_t)settings->keep_h * 3600000000),
	};
	int err;

	if (!person)
		return PBX_ENOMEM;
	if (person->waiting >= settings->most_waiting)
		return PBX_ENOSPC;
	err = core_store_record(waiting.host,
				"INSERT INTO messages (id, sender, sender_name, recipient, content_type, body, created_at, expires_at) "
				"VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
				params, 8, on_kept, message);
	if (err == PBX_OK)
		person->waiting++;
	return err == PBX_OK ? PBX_OK : PBX_ENOMEM;
}

/* ---- delivering ------------------------------------------------------------------------- */

static void on_waiting_rows(void *self, const struct pbx_rows *rows)
{
	(void)self;
	if (rows->status != PBX_OK) {
		pbx_warn(waiting.host, "messages_not_read", "reason=%s", rows->error);
		return;
	}
	for (uint32_t row = 0; row < rows->count; row++) {
		const struct pbx_value *body = pbx_cell(rows, row, 5);
		const struct pbx_message message = {
			.size = sizeof message,
			.id = pbx_cell_text(rows, row, 0),
			.from = pbx_cell_text(rows, row, 1),
			.from_name = pbx_cell_text(rows, row, 2),
			.to = pbx_cell_text(rows, row, 3),
			.content_type = pbx_cell_text(rows, row, 4),
			.body = body->as.bytes,
			.body_size = body->type == PBX_VALUE_BYTES ? body->length : 0,
			.sent_wall_us = pbx_cell_int(rows, row, 6),
		};

		if (!ua_message_under_way(message.id))
			ua_message_deliver_stored(&message);
	}
}

static void deliver_to(const char *recipient)
{
	const struct person *person = person_find(recipient);
	const struct pbx_value params[] = { pbx_v_text(recipient), PBX_V_INT(core_wall_us()), PBX_V_INT(AT_ONCE) };

	if (person && person->waiting && ua_location_service.is_registered(recipient))
		(void)core_store_run(waiting.host,
				     "SELECT id, sender, sender_name, recipient, content_type, body, created_at FROM messages "
				     "WHERE recipient = $1 AND expires_at > $2 ORDER BY id LIMIT $3",
				     params, 3, on_waiting_rows, NULL); /* refused: the next refresh asks again */
}

static void on_registration(void *self, const struct pbx_event *event)
{
	(void)self;
	deliver_to(core_json_text(core_json_get(event->data, "aor")));
}

static void on_forgotten(void *self, const struct pbx_rows *rows)
{
	char recipient[64];

	if (rows->status != PBX_OK)
		pbx_warn(waiting.host, "message_not_forgotten", "reason=%s", rows->error); /* it will be sent twice */
	(void)snprintf(recipient, sizeof recipient, "%s", rows->count ? pbx_cell_text(rows, 0, 0) : "");
	ua_message_forgotten(self);
	if (recipient[0])
		deliver_to(recipient); /* there may be more than were sent at once */
}

void ua_message_forget(struct ua_message *message)
{
	const struct pbx_value params[] = { pbx_v_text(message->id) };

	one_less(message->to);
	message->forgetting = core_store_run(waiting.host, "DELETE FROM messages WHERE id = $1 RETURNING recipient", params, 1,
					     on_forgotten, message) == PBX_OK; /* refused: it is sent twice */
}

struct removal {
	pbx_rows_fn done;
	void *self;
};

static void on_removed(void *self, const struct pbx_rows *rows)
{
	struct removal *removal = self;

	if (rows->status == PBX_OK && rows->count == 1)
		one_less(pbx_cell_text(rows, 0, 0));
	removal->done(removal->self, rows);
	free(removal);
}

int ua_message_remove(const char *id, const char *account, pbx_rows_fn done, void *self)
{
	const struct pbx_value params[] = { pbx_v_text(id), pbx_v_text(account) };
	struct removal *removal = malloc(sizeof *removal);
	int err;

	if (!removal)
		return PBX_ENOMEM;
	*removal = (struct removal){ done, self };
	err = core_store_run(waiting.host, "DELETE FROM messages WHERE id = $1 AND ($2 = '' OR recipient = $2) RETURNING recipient", params,
			     2, on_removed, removal);
	if (err != PBX_OK)
		free(removal);
	return err;
}

/* ---- the end of their time -------------------------------------------------------------- */

static void on_expired(void *self, const struct pbx_rows *rows)
{
	(void)self;
	for (uint32_t row = 0; rows->status == PBX_OK && row < rows->count; row++) {
		one_less(pbx_cell_text(rows, row, 1));
		pbx_notice(waiting.host, "message_expired", "id=%s to=%s", pbx_cell_text(rows, row, 0), pbx_cell_text(rows, row, 1));
	}
}

static void on_sweep(void *self, pbx_timer timer)
{
	const struct pbx_value params[] = { PBX_V_INT(core_wall_us()) };

	(void)self, (void)timer;
	forget_idle_persons();
	(void)core_store_run(waiting.host, "DELETE FROM messages WHERE expires_at <= $1 RETURNING id, recipient", params, 1, on_expired,
			     NULL); /* refused: the next sweep */
}

/* ---- life ------------------------------------------------------------------------------- */

static void on_counted(void *self, const struct pbx_rows *rows)
{
	(void)self;
	for (uint32_t row = 0; rows->status == PBX_OK && row < rows->count; row++) {
		struct person *person = person_get(pbx_cell_text(rows, row, 0));

		if (!person)
			continue;
		person->waiting += (uint32_t)pbx_cell_int(rows, row, 1);
		deliver_to(person->name);
	}
}

int ua_message_store_open(struct ua_messages *messages)
{
	int err;

	memset(&waiting, 0, sizeof waiting);
	waiting.host = messages->host;
	err = core_bus_service.subscribe(waiting.host, "registration.added,registration.refreshed", on_registration, messages,
					 &waiting.registrations);
	if (err == PBX_OK)
		err = core_timer_start(waiting.host, SWEEP_MS, SWEEP_MS, on_sweep, messages, &waiting.sweep);
	if (err == PBX_OK)
		err = core_store_run(waiting.host, "SELECT recipient, COUNT(*) FROM messages GROUP BY recipient", NULL, 0, on_counted,
				     NULL);
	return err;
}

void ua_message_store_close(void)
{
	for (uint32_t i = 0; i < CHAINS; i++)
		while (waiting.persons[i]) {
			struct person *person = waiting.persons[i];

			waiting.persons[i] = person->next;
			free(person);
		}
	memset(&waiting, 0, sizeof waiting);
}
