/*
 * rooms - which rooms there are: of the settings, of the store, and those that are made by dialling
 */
#include "conference.h"
#include <stdlib.h>
#include <string.h>

#define COPY(array, text) ((void)snprintf((array), sizeof(array), "%s", (text) ? (text) : ""))

static bool are_digits(const char *text)
{
	return text[strspn(text, "0123456789")] == '\0';
}

static const struct room_row *row_at(const struct conference_settings *settings, uint32_t at)
{
	return (const struct room_row *)((const char *)settings->rooms.rows + (size_t)at * settings->rooms.row_size);
}

static int check_row(const struct conference_settings *settings, uint32_t at, struct pbx_diag *diag)
{
	const struct room_row *row = row_at(settings, at);
	char field[64];

	(void)snprintf(field, sizeof field, "conference.rooms[%u].pin", at);
	if (!are_digits(row->pin) || !are_digits(row->moderator_pin)) {
		pbx_diag_set(diag, field, "the PIN of room %s has to be digits, for it is typed on a phone", row->number);
		return PBX_EINVAL;
	}
	if (row->pin[0] && strcmp(row->pin, row->moderator_pin) == 0) {
		pbx_diag_set(diag, field, "room %s has one PIN for everybody and for moderators: nobody would be a moderator", row->number);
		return PBX_EINVAL;
	}
	if ((row->wait_for_moderator || row->end_when_moderator_leaves) && !row->moderator_pin[0]) {
		pbx_diag_set(diag, field, "room %s waits for a moderator and has no moderator_pin", row->number);
		return PBX_EINVAL;
	}
	(void)snprintf(field, sizeof field, "conference.rooms[%u].number", at);
	for (uint32_t other = 0; other < at; other++)
		if (strcmp(row_at(settings, other)->number, row->number) == 0) {
			pbx_diag_set(diag, field, "room %s is there twice", row->number);
			return PBX_EINVAL;
		}
	return PBX_OK;
}

static bool is_pattern(const char *numbers)
{
	size_t literal = strspn(numbers, "0123456789*#");

	return numbers[literal] && numbers[strspn(numbers, "0123456789*#XZN[].-")] == '\0' &&
	       (!strchr(numbers, '-') || strchr(numbers, '['));
}

int rooms_check(const struct conference_settings *settings, struct pbx_diag *diag)
{
	int err = is_pattern(settings->numbers) ? PBX_OK : PBX_EINVAL;

	if (err != PBX_OK)
		pbx_diag_set(diag, "conference.numbers",
			     "'%s' is no pattern: 2XXX are the numbers from 2000 to 2999, 20[0-4]X those to 2049", settings->numbers);
	for (uint32_t at = 0; at < settings->rooms.count && err == PBX_OK; at++)
		err = check_row(settings, at, diag);
	return err;
}

/* ---- one room ------------------------------------------------------------------------- */

struct rules rules_usual(const struct conference_settings *settings, const char *number)
{
	struct rules rules = {
		.max_participants = settings->max_participants,
		.max_duration_s = settings->max_duration_s,
		.moh_when_alone = settings->moh_when_alone,
		.announce_count = settings->announce_count,
		.announce = settings->announce,
		.announce_names = settings->announce_names,
	};

	COPY(rules.number, number);
	COPY(rules.name, number);
	COPY(rules.language, settings->language);
	COPY(rules.music_class, settings->music_class);
	return rules;
}

void room_number(const struct conference *conference, const char *argument, char ret_number[NUMBER_TEXT])
{
	const char *numbers = conference->settings->numbers;

	(void)snprintf(ret_number, NUMBER_TEXT, "%.*s%s", (int)strspn(numbers, "0123456789*#"), numbers, argument);
}

struct room *room_find(struct conference *conference, const char *number)
{
	struct room *room = conference->first;

	while (room && (room->gone || strcmp(room->rules.number, number) != 0))
		room = room->next;
	return room;
}

struct room *room_new(struct conference *conference, const struct rules *rules, enum room_origin origin)
{
	struct room *room = calloc(1, sizeof *room), **end = &conference->first;

	if (!room)
		return NULL;
	room->conference = conference;
	room->rules = *rules;
	room->origin = origin;
	while (*end)
		end = &(*end)->next;
	*end = room;
	return room;
}

static void room_free(struct room *room)
{
	struct room **at = &room->conference->first;

	while (*at != room)
		at = &(*at)->next;
	*at = room->next;
	names_forget(room);
	free(room);
}

void room_forget_if_over(struct room *room)
{
	if (!room->members && (room->origin == ROOM_DYNAMIC || room->gone))
		room_free(room);
}

uint32_t room_in(const struct room *room)
{
	uint32_t count = 0;

	for (const struct member *member = room->members; member; member = member->next)
		count += member->state == MEMBER_IN;
	return count;
}

bool room_has_moderator(const struct room *room)
{
	for (const struct member *member = room->members; member; member = member->next)
		if (member->moderator && (member->state == MEMBER_IN || member->state == MEMBER_COUNT || member->state == MEMBER_NAME))
			return true;
	return false;
}

void rooms_free(struct conference *conference)
{
	while (conference->first) {
		struct room *room = conference->first;

		while (room->members) {
			struct member *member = room->members;

			room->members = member->next;
			name_leaves(member);
			free(member);
		}
		room_free(room);
	}
}

/* ---- of the settings ------------------------------------------------------------------ */

static struct rules rules_of_row(const struct conference_settings *settings, const struct room_row *row)
{
	struct rules rules = rules_usual(settings, row->number);

	if (row->name[0])
		COPY(rules.name, row->name);
	if (row->language[0])
		COPY(rules.language, row->language);
	if (row->music_class[0])
		COPY(rules.music_class, row->music_class);
	COPY(rules.pin, row->pin);
	COPY(rules.moderator_pin, row->moderator_pin);
	if (row->max_participants)
		rules.max_participants = row->max_participants;
	if (row->max_duration_s)
		rules.max_duration_s = row->max_duration_s;
	rules.wait_for_moderator = row->wait_for_moderator;
	rules.end_when_moderator_leaves = row->end_when_moderator_leaves;
	rules.start_muted = row->start_muted;
	rules.moh_when_alone = row->moh_when_alone;
	rules.announce_count = row->announce_count;
	rules.announce = row->announce;
	rules.announce_names = row->announce_names;
	rules.dtmf_passthrough = row->dtmf_passthrough;
	rules.record = row->record;
	return rules;
}

static bool is_row(const struct conference_settings *settings, const char *number)
{
	for (uint32_t at = 0; at < settings->rooms.count; at++)
		if (strcmp(row_at(settings, at)->number, number) == 0)
			return true;
	return false;
}

int rooms_take_settings(struct conference *conference, const struct conference_settings *settings)
{
	for (struct room *room = conference->first, *next; room; room = next) {
		next = room->next;
		if (room->origin != ROOM_OF_SETTINGS || is_row(settings, room->rules.number))
			continue;
		room->gone = true;
		room_forget_if_over(room);
	}
	for (uint32_t at = 0; at < settings->rooms.count; at++) {
		const struct rules rules = rules_of_row(settings, row_at(settings, at));
		struct room *room = room_find(conference, rules.number);

		if (!room)
			room = room_new(conference, &rules, ROOM_OF_SETTINGS);
		if (!room)
			return PBX_ENOMEM;
		room->rules = rules; /* who is in stays in */
		room->origin = ROOM_OF_SETTINGS;
	}
	return PBX_OK;
}

/* ---- of the store ---------------------------------------------------------------------- */

#define FLAGS_WAIT 1
#define FLAGS_END 2
#define FLAGS_MUTED 4
#define FLAGS_MUSIC 8
#define FLAGS_COUNT 16
#define FLAGS_ANNOUNCE 32
#define FLAGS_RECORD 64
#define FLAGS_NAMES 128
#define FLAGS_PASSES 256

static void open_pin(const struct conference *conference, const char *sealed, const char *number, char ret_pin[PIN_MOST + 1])
{
	char *pin = sealed[0] ? conference->secrets->open(sealed, number) : NULL;

	(void)snprintf(ret_pin, PIN_MOST + 1, "%s", pin ? pin : "");
	conference->secrets->wipe(pin);
}

static void load_row(struct conference *conference, const struct pbx_rows *rows, uint32_t at)
{
	struct rules rules = rules_usual(conference->settings, pbx_cell_text(rows, at, 0));
	int64_t flags = pbx_cell_int(rows, at, 8);

	COPY(rules.name, pbx_cell_text(rows, at, 1));
	open_pin(conference, pbx_cell_text(rows, at, 2), rules.number, rules.pin);
	open_pin(conference, pbx_cell_text(rows, at, 3), rules.number, rules.moderator_pin);
	COPY(rules.language, pbx_cell_text(rows, at, 4));
	COPY(rules.music_class, pbx_cell_text(rows, at, 5));
	rules.max_participants = (uint32_t)pbx_cell_int(rows, at, 6);
	rules.max_duration_s = (uint32_t)pbx_cell_int(rows, at, 7);
	rules.wait_for_moderator = flags & FLAGS_WAIT;
	rules.end_when_moderator_leaves = flags & FLAGS_END;
	rules.start_muted = flags & FLAGS_MUTED;
	rules.moh_when_alone = flags & FLAGS_MUSIC;
	rules.announce_count = flags & FLAGS_COUNT;
	rules.announce = flags & FLAGS_ANNOUNCE;
	rules.announce_names = flags & FLAGS_NAMES;
	rules.dtmf_passthrough = flags & FLAGS_PASSES;
	rules.record = flags & FLAGS_RECORD;
	if (!room_find(conference, rules.number)) /* the settings' own wins */
		(void)room_new(conference, &rules, ROOM_STORED);
}

static void on_loaded(void *self, const struct pbx_rows *rows)
{
	struct conference *conference = self;

	for (uint32_t at = 0; rows->status == PBX_OK && at < rows->count; at++)
		load_row(conference, rows, at);
	if (rows->status != PBX_ECANCELLED)
		conference->host->ready(conference->host, rows->status, rows->error);
}

int rooms_load(struct conference *conference)
{
	int err = conference->store->run(conference->host,
					 "SELECT number, name, pin, moderator_pin, language, music_class, max_participants, max_duration_s,"
					 " flags FROM conference_rooms ORDER BY number",
					 NULL, 0, on_loaded, conference);

	return err == PBX_OK ? PBX_ELATER : err;
}

int room_store(struct room *room)
{
	struct conference *conference = room->conference;
	const struct rules *rules = &room->rules;
	char *pin = rules->pin[0] ? conference->secrets->seal(rules->pin, rules->number) : NULL;
	char *moderator_pin = rules->moderator_pin[0] ? conference->secrets->seal(rules->moderator_pin, rules->number) : NULL;
	int64_t flags = (rules->wait_for_moderator ? FLAGS_WAIT : 0) | (rules->end_when_moderator_leaves ? FLAGS_END : 0) |
			(rules->start_muted ? FLAGS_MUTED : 0) | (rules->moh_when_alone ? FLAGS_MUSIC : 0) |
			(rules->announce_count ? FLAGS_COUNT : 0) | (rules->announce ? FLAGS_ANNOUNCE : 0) |
			(rules->record ? FLAGS_RECORD : 0) | (rules->announce_names ? FLAGS_NAMES : 0) |
			(rules->dtmf_passthrough ? FLAGS_PASSES : 0);
	const struct pbx_value params[] = {
		pbx_v_text(rules->number),
		pbx_v_text(rules->name),
		pbx_v_text(pin ? pin : ""),
		pbx_v_text(moderator_pin ? moderator_pin : ""),
		pbx_v_text(rules->language),
		pbx_v_text(rules->music_class),
		PBX_V_INT(rules->max_participants),
		PBX_V_INT(rules->max_duration_s),
		PBX_V_INT(flags),
		PBX_V_INT(conference->host->wall_us(conference->host)),
	};
	int err = (rules->pin[0] && !pin) || (rules->moderator_pin[0] && !moderator_pin) ? PBX_ENOMEM : PBX_OK;

	if (err == PBX_OK)
		err = conference->store->record(
			conference->host,
			"INSERT INTO conference_rooms (number, name, pin, moderator_pin, language, music_class, max_participants,"
			" max_duration_s, flags, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (number) DO"
			" UPDATE SET name = $2, pin = $3, moderator_pin = $4, language = $5, music_class = $6, max_participants = $7,"
			" max_duration_s = $8, flags = $9",
			params, 10, NULL, NULL);
	conference->secrets->wipe(pin);
	conference->secrets->wipe(moderator_pin);
	return err;
}

int room_unstore(struct room *room)
{
	struct conference *conference = room->conference;
	const struct pbx_value params[] = { pbx_v_text(room->rules.number) };

	return conference->store->record(conference->host, "DELETE FROM conference_rooms WHERE number = $1", params, 1, NULL, NULL);
}
