/*
 * conference - dial a room number and talk with everyone in it
 *
 * conference.h has the picture. rooms.c knows which rooms there are, members.c who is in them, keys.c what they type, invite.c whom a room
 * calls, telling.c what the world learns, requests.c what people ask. The mixing is the core's (pbx/rooms.h). On an upgrade running
 * conferences move to the new version, and nobody hears it.
 */
#include "conference.h"
#include <stdlib.h>

#define ROOM_BOOL(member, yes, text) PBX_BOOL(struct room_row, member, .initial = yes, .help = text)

static const struct pbx_setting room_rows[] = {
	PBX_TEXT(struct room_row, number, .flags = PBX_SETTING_NEEDED, .least = 1, .most = 31,
		 .help = "Number of the room, one of conference.numbers"),
	PBX_TEXT(struct room_row, name, .initial_text = "", .most = 63, .help = "Shown to who is invited; empty: the number"),
	PBX_SECRET(struct room_row, pin, .initial_text = "", .most = PIN_MOST,
		   .help = "Digits that everybody is asked for; empty: nobody is"),
	PBX_SECRET(struct room_row, moderator_pin, .initial_text = "", .most = PIN_MOST,
		   .help = "Digits that make whoever types them a moderator; empty: there are none"),
	PBX_TEXT(struct room_row, language, .initial_text = "", .most = 15, .help = "Of what is said there; empty: conference.language"),
	PBX_TEXT(struct room_row, music_class, .initial_text = "", .most = 40, .help = "Of the music there; empty: conference.music_class"),
	PBX_UINT(struct room_row, max_participants, .initial = 0, .least = 0, .most = 500,
		 .help = "How many may be in; moderators come in beyond it; 0: conference.max_participants"),
	PBX_UINT(struct room_row, max_duration_s, .initial = 0, .least = 0, .most = 604800, .unit = "s",
		 .help = "A conference ends after so long; 0: conference.max_duration_s"),
	ROOM_BOOL(wait_for_moderator, 0, "Music for everybody until a moderator is there"),
	ROOM_BOOL(end_when_moderator_leaves, 0, "The conference ends when its last moderator leaves"),
	ROOM_BOOL(start_muted, 0, "Who comes in is muted"),
	ROOM_BOOL(moh_when_alone, 1, "Music for who is alone"),
	ROOM_BOOL(announce_count, 0, "Who comes in hears how many are there"),
	ROOM_BOOL(announce, 1, "A tone when somebody comes or goes"),
	ROOM_BOOL(announce_names, 0,
		  "Who comes in says their name first; it is heard instead of the tone. Who does not is announced by number"),
	ROOM_BOOL(dtmf_passthrough, 0, "Keys reach the other members, and are ours only behind a *"),
	ROOM_BOOL(record, 0, "Its conferences are recorded from the first who comes to the last who goes (plugin call_recording)"),
};

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct conference_settings, numbers, .initial_text = "2XXX", .least = 1, .most = 40, .flags = PBX_SETTING_RESTART,
		 .help = "Numbers of rooms, as a pattern: X any digit, [5-7] one of these"),
	PBX_BOOL(struct conference_settings, allow_dynamic, .initial = 1, .flags = PBX_SETTING_RESTART,
		 .help = "A number without a room is one as soon as it is dialled"),
	PBX_OBJECTS(struct conference_settings, rooms, .fields = PBX_TABLE(room_rows), .object_size = sizeof(struct room_row),
		    .help = "Rooms with rules of their own"),
	PBX_UINT(struct conference_settings, max_participants, .initial = 50, .least = 2, .most = 500,
		 .help = "How many may be in a room; moderators come in beyond it"),
	PBX_UINT(struct conference_settings, max_duration_s, .initial = 0, .least = 0, .most = 604800, .unit = "s",
		 .help = "A conference ends after so long; 0: it does not"),
	PBX_UINT(struct conference_settings, pin_timeout_s, .initial = 10, .least = 2, .most = 60, .unit = "s",
		 .help = "How long one may think between the digits of a PIN"),
	PBX_UINT(struct conference_settings, ring_s, .initial = 45, .least = 5, .most = 300, .unit = "s",
		 .help = "How long the phone of who is invited rings"),
	PBX_BOOL(
		struct conference_settings, reject_early, .initial = 0,
		.help = "A full or locked room is busy (486), instead of being answered to say so; not where moderators may still come in"),
	PBX_BOOL(struct conference_settings, announce, .initial = 1, .help = "A tone when somebody comes or goes"),
	PBX_BOOL(struct conference_settings, announce_names, .initial = 0,
		 .help = "Who comes in says their name first; it is heard instead of the tone. Who does not is announced by number"),
	PBX_BOOL(struct conference_settings, announce_count, .initial = 0, .help = "Who comes in hears how many are there"),
	PBX_BOOL(struct conference_settings, moh_when_alone, .initial = 1, .help = "Music for who is alone in a room"),
	PBX_TEXT(struct conference_settings, music_class, .initial_text = "", .most = 40,
		 .help = "Of that music; empty: the default class"),
	PBX_TEXT(struct conference_settings, language, .initial_text = "", .most = 15, .help = "Of what is said; empty: each caller's own"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "rooms and conferences",
	  "CREATE TABLE conference_rooms (number TEXT PRIMARY KEY, name TEXT NOT NULL, pin TEXT NOT NULL, moderator_pin TEXT NOT NULL,"
	  " language TEXT NOT NULL, music_class TEXT NOT NULL, max_participants INTEGER NOT NULL, max_duration_s INTEGER NOT NULL,"
	  " flags INTEGER NOT NULL, created_at INTEGER NOT NULL);"
	  "CREATE TABLE conference_sessions (id TEXT PRIMARY KEY, room TEXT NOT NULL, started_at INTEGER NOT NULL,"
	  " ended_at INTEGER NOT NULL, peak INTEGER NOT NULL);"
	  "CREATE TABLE conference_participants (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, extension TEXT NOT NULL,"
	  " call_id TEXT NOT NULL, joined_at INTEGER NOT NULL, left_at INTEGER NOT NULL, reason TEXT NOT NULL);"
	  "CREATE INDEX conference_participants_session ON conference_participants (session_id)" },
};

static const struct pbx_metric metrics[] = {
	[METRIC_ACTIVE] = { .name = "pbx_conferences_active", .kind = PBX_METRIC_GAUGE, .help = "Conferences in which somebody is" },
	[METRIC_PARTICIPANTS] = { .name = "pbx_conference_participants", .kind = PBX_METRIC_GAUGE, .help = "Who is in a conference" },
	[METRIC_JOINS] = { .name = "pbx_conference_joins_total", .kind = PBX_METRIC_COUNTER, .help = "Who has ever come in" },
};

#define ROOM_FIELDS                                                                                                                        \
	{ "room", PBX_TYPE_TEXT, "Number of the room" }, { "name", PBX_TYPE_TEXT, "Its name" },                                            \
	{                                                                                                                                  \
		"conference_id", PBX_TYPE_TEXT, "Of this conference, from the first who comes to the last who goes"                        \
	}
#define MEMBER_FIELDS                                                                                                                      \
	ROOM_FIELDS, { "participant_id", PBX_TYPE_TEXT, "Of who is in it" }, { "number", PBX_TYPE_TEXT, "Its number" },                    \
		{ "participant_name", PBX_TYPE_TEXT, "Its name" }, { "moderator", PBX_TYPE_BOOL, "Is a moderator" },                       \
	{                                                                                                                                  \
		"muted", PBX_TYPE_BOOL, "Is not heard"                                                                                     \
	}

static const struct pbx_field started_fields[] = { ROOM_FIELDS };
static const struct pbx_field ended_fields[] = {
	ROOM_FIELDS,
	{ "duration_ms", PBX_TYPE_INT, "How long it lasted" },
	{ "peak", PBX_TYPE_INT, "How many were in at most" },
	{ "reason", PBX_TYPE_TEXT, "left: the last has left" },
};
static const struct pbx_field locked_fields[] = { ROOM_FIELDS, { "locked", PBX_TYPE_BOOL, "Only moderators come in" } };
static const struct pbx_field member_fields[] = { MEMBER_FIELDS };
static const struct pbx_field left_fields[] = {
	MEMBER_FIELDS,
	{ "reason", PBX_TYPE_TEXT, "left, kicked, ended, transferred, media_timeout" },
	{ "duration_ms", PBX_TYPE_INT, "How long it was in" },
};
static const struct pbx_event_type events[] = {
	{ "conference.started", "The first has come in", PBX_TABLE(started_fields) },
	{ "conference.participant_joined", "Somebody has come in", PBX_TABLE(member_fields) },
	{ "conference.participant_left", "Somebody has left", PBX_TABLE(left_fields) },
	{ "conference.participant_muted", "Somebody is muted, or is no more", PBX_TABLE(member_fields) },
	{ "conference.locked", "A room is locked, or open again", PBX_TABLE(locked_fields) },
	{ "conference.ended", "The last has left", PBX_TABLE(ended_fields) },
};

/* ---- life ----------------------------------------------------------------------------- */

static int take(void *self, const struct carried_room *room)
{
	return members_take(self, room);
}

static const void *conference_offer(void *self, const char *id)
{
	struct conference *conference = self;

	(void)id;
	conference->rooms_service = (struct conference_rooms){ .header = PBX_HEADER(struct conference_rooms), .self = self, .take = take };
	return &conference->rooms_service;
}

static int conference_load(void *self)
{
	struct conference *conference = self;
	struct pbx_host *host = conference->host;

	conference->calls = pbx_calls(host);
	conference->rooms = pbx_rooms(host);
	conference->routing = pbx_routing(host);
	conference->store = pbx_store(host);
	conference->recorder = pbx_recorder(host);
	conference->recordings = pbx_recordings(host);
	conference->requests = pbx_requests(host);
	conference->json = pbx_jsons(host);
	conference->bus = pbx_bus(host);
	conference->timers = pbx_timers(host);
	conference->metrics = pbx_metrics(host);
	conference->secrets = pbx_secrets(host);
	conference->notifier = pbx_notifier(host);
	conference->successor = host->service(host, "conference.rooms/1", sizeof *conference->successor);
	int err = rooms_take_settings(conference, conference->settings);

	names_sweep(conference);
	return err == PBX_OK ? rooms_load(conference) : err;
}

static bool is_room(void *self, const char *argument)
{
	struct conference *conference = self;
	char number[NUMBER_TEXT];

	room_number(conference, argument, number);
	return conference->settings->allow_dynamic || room_find(conference, number);
}

static int conference_start(void *self)
{
	struct conference *conference = self;
	struct pbx_diag diag = { .text = "" };
	const struct pbx_claim claim = {
		.size = sizeof claim,
		.pattern = conference->settings->numbers,
		.order = PBX_ORDER_FEATURES,
		.help = "A conference",
		.dialled = conference_on_dialled,
		.accept = is_room,
		.self = conference,
	};
	int err = conference->routing->claim(conference->host, &claim, &diag);

	if (err != PBX_OK)
		pbx_error(conference->host, "number_not_claimed", "pattern=%s reason=\"%s\"", claim.pattern, diag.text);
	return err == PBX_OK ? roster_start(conference) : err;
}

static int conference_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	(void)diag; /* they fit one another: settings_check has looked */
	return rooms_take_settings(self, proposed);
}

static int conference_settings_check(const void *values, struct pbx_diag *diag)
{
	return rooms_check(values, diag);
}

static void conference_drain(void *self)
{
	invitations_cancel(self);
	members_hand_over(self);
}

static void conference_unload(void *self)
{
	struct conference *conference = self;

	rooms_free(conference);
	free(conference->document);
}

PBX_PLUGIN(conference)
= {
	PBX_PLUGIN_HEADER,
	.name = "conference",
	.version = "1.0.0",
	.summary = "Dial a room number and talk with everyone in it",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.rooms/1", "pbx.route/1", "pbx.store/1", "pbx.requests/1", "pbx.json/1", "pbx.bus/1",
			   "pbx.timers/1", "pbx.metrics/1", "pbx.secrets/1", "pbx.notifier/1", "pbx.recorder/1", "pbx.recordings/1?",
			   "conference.rooms/1?"),
	.offers = PBX_OFFERS("conference.rooms/1"),
	.instance_size = sizeof(struct conference),
	PBX_SETTINGS(struct conference_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(conference_routes),
	.commands = PBX_TABLE(conference_commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = conference_load,
	.start = conference_start,
	.reload = conference_reload,
	.drain = conference_drain,
	.unload = conference_unload,
	.offer = conference_offer,
	.settings_check = conference_settings_check,
};
