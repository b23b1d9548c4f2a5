/*
 * requests - rooms and who is in them, as people see and change them by REST and pbxctl
 *
 * A user who is limited to an extension sees the conferences that the extension is in, mutes itself, and runs those it moderates.
 */
#include "conference.h"
#include <string.h>

/* ---- how things are ------------------------------------------------------------------------ */

static const char *state_name(enum member_state state)
{
	static const char *const names[] = { "entering_pin", "invited", "waiting", "saying_name", "joining", "in", "leaving" };

	return names[state];
}

static struct pbx_json *describe_member(const struct member *member)
{
	const struct conference *conference = member->room->conference;
	const struct pbx_jsons *json = conference->json;
	struct pbx_room_member voice = { .size = sizeof voice, .level_cdbov = -12700 };
	struct pbx_json *object = json->new_object();

	(void)conference->rooms->member(member->leg, &voice); /* it is not in yet: silent */
	(void)json->set_text(object, "id", member->id);
	(void)json->set_text(object, "extension", member->number);
	(void)json->set_text(object, "name", member->name);
	(void)json->set_text(object, "state", state_name(member->state));
	(void)json->set_boolean(object, "moderator", member->moderator);
	(void)json->set_boolean(object, "muted", member->muted);
	(void)json->set_boolean(object, "deaf", member->deaf);
	(void)json->set_boolean(object, "on_hold", voice.away);
	(void)json->set_boolean(object, "talking", voice.talking);
	(void)json->set_number(object, "energy_dbov", voice.level_cdbov / 100.0);
	(void)json->set_number(object, "talk_volume_db", member->talk_cdb / 100.0);
	(void)json->set_number(object, "hear_volume_db", member->hear_cdb / 100.0);
	(void)json->set_time(object, "joined_at", member->joined_wall_us);
	(void)json->set_text(object, "call_id", member->call_id);
	return object;
}

static struct pbx_json *describe(const struct room *room)
{
	static const char *const origins[] = { "dynamic", "stored", "settings" };
	const struct pbx_jsons *json = room->conference->json;
	const struct rules *rules = &room->rules;
	struct pbx_json *object = json->new_object();

	(void)json->set_text(object, "room", rules->number);
	(void)json->set_text(object, "name", rules->name);
	(void)json->set_text(object, "origin", origins[room->origin]);
	(void)json->set_boolean(object, "has_pin", rules->pin[0]);
	(void)json->set_boolean(object, "has_moderator_pin", rules->moderator_pin[0]);
	(void)json->set_integer(object, "max_participants", rules->max_participants);
	(void)json->set_integer(object, "max_duration_s", rules->max_duration_s);
	(void)json->set_boolean(object, "wait_for_moderator", rules->wait_for_moderator);
	(void)json->set_boolean(object, "end_when_moderator_leaves", rules->end_when_moderator_leaves);
	(void)json->set_boolean(object, "start_muted", rules->start_muted);
	(void)json->set_boolean(object, "moh_when_alone", rules->moh_when_alone);
	(void)json->set_boolean(object, "announce", rules->announce);
	(void)json->set_boolean(object, "announce_count", rules->announce_count);
	(void)json->set_boolean(object, "announce_names", rules->announce_names);
	(void)json->set_boolean(object, "dtmf_passthrough", rules->dtmf_passthrough);
	(void)json->set_boolean(object, "record", rules->record);
	(void)json->set_text(object, "language", rules->language);
	(void)json->set_text(object, "music_class", rules->music_class);
	(void)json->set_boolean(object, "active", room->session[0]);
	(void)json->set_boolean(object, "locked", room->locked);
	(void)json->set_boolean(object, "recording", room->recording);
	(void)json->set_integer(object, "participants", room_in(room));
	(void)json->set_text(object, "conference_id", room->session[0] ? room->session : NULL);
	(void)json->set_time(object, "started_at", room->session[0] ? room->started_wall_us : 0);
	(void)json->set_text(object, "speaker", room->speaker[0] ? room->speaker : NULL);
	return object;
}

/* ---- who may ---------------------------------------------------------------------------------- */

static bool may_see(const struct conference *conference, pbx_request request, struct room *room)
{
	const char *own = conference->requests->own_account(request);

	return !own[0] || member_find(room, own);
}

static bool may_run(const struct conference *conference, pbx_request request, struct room *room)
{
	const char *own = conference->requests->own_account(request);
	const struct member *member = own[0] ? member_find(room, own) : NULL;

	return !own[0] || (member && member->moderator);
}

static void refuse(const struct conference *conference, pbx_request request)
{
	(void)conference->requests->fail(request, 403, "not_allowed", NULL, "only its moderators run this conference");
}

/* NULL: has been refused. */
static struct room *asked_room(struct conference *conference, pbx_request request)
{
	const char *number = conference->requests->text(request, "room");
	struct room *room = room_find(conference, number);

	if (room && may_see(conference, request, room))
		return room;
	(void)conference->requests->fail(request, 404, "not_found", "room", "there is no room %.40s", number);
	return NULL;
}

static struct room *run_room(struct conference *conference, pbx_request request)
{
	struct room *room = asked_room(conference, request);

	if (!room || may_run(conference, request, room))
		return room;
	refuse(conference, request);
	return NULL;
}

/* A member that the asker may change; itself always. */
static struct member *asked_member(struct conference *conference, pbx_request request)
{
	struct room *room = asked_room(conference, request);
	const char *who = conference->requests->text(request, "participant"), *own = conference->requests->own_account(request);
	struct member *member = room ? member_find(room, who) : NULL;

	if (room && !member)
		(void)conference->requests->fail(request, 404, "not_found", "participant", "%.40s is not in room %s", who,
						 room->rules.number);
	if (!member || may_run(conference, request, room) || strcmp(member->number, own) == 0)
		return member;
	refuse(conference, request);
	return NULL;
}

/* ---- rooms --------------------------------------------------------------------------------------- */

static void on_list(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct pbx_json *answer = conference->json->new_object(), *items = conference->json->new_array();

	for (struct room *room = conference->first; room; room = room->next)
		if (!room->gone && may_see(conference, request, room))
			(void)conference->json->append(items, describe(room));
	(void)conference->json->set(answer, "items", items);
	(void)conference->requests->reply(request, 200, answer);
}

static void on_show(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct room *room = asked_room(conference, request);

	if (room)
		(void)conference->requests->reply(request, 200, describe(room));
}

static bool take_text(const struct conference *conference, pbx_request request, const char *name, char *text, size_t size)
{
	const struct pbx_requests *requests = conference->requests;

	if (requests->has(request, name))
		(void)snprintf(text, size, "%s", requests->text(request, name));
	return text[strspn(text, "0123456789")] == '\0';
}

/* What the body says over what was. False: has been refused. */
static bool take_rules(struct conference *conference, pbx_request request, struct rules *rules)
{
	const struct pbx_requests *requests = conference->requests;
	struct {
		const char *name;
		bool *value;
	} flags[] = {
		{ "wait_for_moderator", &rules->wait_for_moderator },
		{ "end_when_moderator_leaves", &rules->end_when_moderator_leaves },
		{ "start_muted", &rules->start_muted },
		{ "moh_when_alone", &rules->moh_when_alone },
		{ "announce", &rules->announce },
		{ "announce_count", &rules->announce_count },
		{ "announce_names", &rules->announce_names },
		{ "dtmf_passthrough", &rules->dtmf_passthrough },
		{ "record", &rules->record },
	};

	(void)take_text(conference, request, "name", rules->name, sizeof rules->name);
	(void)take_text(conference, request, "language", rules->language, sizeof rules->language);
	(void)take_text(conference, request, "music_class", rules->music_class, sizeof rules->music_class);
	rules->max_participants = (uint32_t)requests->integer(request, "max_participants", rules->max_participants);
	rules->max_duration_s = (uint32_t)requests->integer(request, "max_duration_s", rules->max_duration_s);
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		*flags[i].value = requests->boolean(request, flags[i].name, *flags[i].value);
	if (!take_text(conference, request, "pin", rules->pin, sizeof rules->pin) ||
	    !take_text(conference, request, "moderator_pin", rules->moderator_pin, sizeof rules->moderator_pin)) {
		(void)requests->fail(request, 422, "no_digits", "pin", "a PIN is digits, for it is typed on a phone");
		return false;
	}
	if (rules->pin[0] && strcmp(rules->pin, rules->moderator_pin) == 0) {
		(void)requests->fail(request, 422, "same_pin", "moderator_pin", "with the same PIN nobody would be a moderator");
		return false;
	}
	if ((rules->wait_for_moderator || rules->end_when_moderator_leaves) && !rules->moderator_pin[0]) {
		(void)requests->fail(request, 422, "no_moderator_pin", "moderator_pin", "without a moderator_pin there is no moderator");
		return false;
	}
	return true;
}

static void stored(struct conference *conference, pbx_request request, struct room *room, bool is_new)
{
	char location[64];

	if (room_store(room) != PBX_OK) {
		(void)conference->requests->fail(request, 503, "not_stored", NULL, "the room cannot be stored now");
		return;
	}
	(void)snprintf(location, sizeof location, "/conferences/%s", room->rules.number);
	if (is_new)
		(void)conference->requests->created(request, location, describe(room));
	else
		(void)conference->requests->reply(request, 200, describe(room));
}

static bool is_ours(const struct conference *conference, const char *number)
{
	const char *owner;

	return conference->routing->owner(number, &owner) == PBX_OK && strcmp(owner, conference->host->name(conference->host)) == 0;
}

static void on_create(void *self, pbx_request request)
{
	struct conference *conference = self;
	const char *number = conference->requests->text(request, "room");
	struct room *room = room_find(conference, number);
	struct rules rules = rules_usual(conference->settings, number);

	if (room && room->origin != ROOM_DYNAMIC) {
		(void)conference->requests->fail(request, 409, "exists", "room", "room %s exists", number);
		return;
	}
	if (!is_ours(conference, number)) {
		(void)conference->requests->fail(request, 422, "not_a_room_number", "room",
						 "rooms have the numbers %s (conference.numbers)", conference->settings->numbers);
		return;
	}
	if (!take_rules(conference, request, &rules))
		return;
	if (!room)
		room = room_new(conference, &rules, ROOM_STORED);
	if (!room) {
		(void)conference->requests->fail(request, 503, "no_memory", NULL, "there is no memory for another room");
		return;
	}
	room->rules = rules;
	room->origin = ROOM_STORED;
	stored(conference, request, room, true);
}

static void on_update(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct room *room = run_room(conference, request);

	if (!room)
		return;
	if (room->origin != ROOM_STORED) {
		(void)conference->requests->fail(request, 409, "not_stored", "room", "room %s is of the settings, or dynamic",
						 room->rules.number);
		return;
	}
	struct rules rules = room->rules;

	if (!take_rules(conference, request, &rules))
		return;
	room->rules = rules;
	stored(conference, request, room, false);
}

static void on_delete(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct room *room = run_room(conference, request);

	if (!room)
		return;
	if (room->origin != ROOM_STORED || room_unstore(room) != PBX_OK) {
		(void)conference->requests->fail(request, 409, "not_stored", "room", "room %s is of the settings, or dynamic",
						 room->rules.number);
		return;
	}
	room->gone = true;
	room_end(room, "ended");
	room_forget_if_over(room);
	(void)conference->requests->reply(request, 204, NULL);
}

/* ---- who is there ---------------------------------------------------------------------------------- */

static void on_participants(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct room *room = asked_room(conference, request);
	struct pbx_json *answer, *items;

	if (!room)
		return;
	answer = conference->json->new_object();
	items = conference->json->new_array();
	for (const struct member *member = room->members; member; member = member->next)
		(void)conference->json->append(items, describe_member(member));
	(void)conference->json->set(answer, "items", items);
	(void)conference->requests->reply(request, 200, answer);
}

static void changed(const struct conference *conference, pbx_request request, const struct member *member)
{
	(void)conference->requests->reply(request, 200, describe_member(member));
}

static void set_muted(struct conference *conference, pbx_request request, bool muted)
{
	struct member *member = asked_member(conference, request);

	if (!member)
		return;
	member_set_muted(member, muted);
	changed(conference, request, member);
}

static void on_mute(void *self, pbx_request request)
{
	set_muted(self, request, true);
}

static void on_unmute(void *self, pbx_request request)
{
	set_muted(self, request, false);
}

static void set_deaf(struct conference *conference, pbx_request request, bool deaf)
{
	struct member *member = asked_member(conference, request);

	if (!member)
		return;
	member->deaf = deaf;
	member_settle(member);
	changed(conference, request, member);
}

static void on_deaf(void *self, pbx_request request)
{
	set_deaf(self, request, true);
}

static void on_undeaf(void *self, pbx_request request)
{
	set_deaf(self, request, false);
}

static void on_volume(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct member *member = asked_member(conference, request);

	if (!member)
		return;
	member->talk_cdb = (int32_t)conference->requests->integer(request, "talk_db", member->talk_cdb / 100) * 100;
	member->hear_cdb = (int32_t)conference->requests->integer(request, "hear_db", member->hear_cdb / 100) * 100;
	member_settle(member);
	changed(conference, request, member);
}

static void on_kick(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct member *member = asked_member(conference, request);

	if (!member)
		return;
	member_send_off(member, "kicked", "kicked");
	(void)conference->requests->reply(request, 204, NULL);
}

/* ---- the whole room --------------------------------------------------------------------------------- */

static void set_locked(struct conference *conference, pbx_request request, bool locked)
{
	struct room *room = run_room(conference, request);

	if (!room)
		return;
	if (!room->session[0]) {
		(void)conference->requests->fail(request, 409, "not_active", "room", "nobody is in room %s", room->rules.number);
		return;
	}
	room_set_locked(room, locked);
	(void)conference->requests->reply(request, 200, describe(room));
}

static void on_lock(void *self, pbx_request request)
{
	set_locked(self, request, true);
}

static void on_unlock(void *self, pbx_request request)
{
	set_locked(self, request, false);
}

static void on_record(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct room *room = run_room(conference, request);

	if (!room)
		return;
	int err = room_record(room, conference->requests->boolean(request, "on", false));

	if (err == PBX_OK)
		(void)conference->requests->reply(request, 200, describe(room));
	else if (err == PBX_ESTATE)
		(void)conference->requests->fail(request, 409, "not_active", "room", "nobody is in room %s", room->rules.number);
	else if (err == PBX_EPERM)
		(void)conference->requests->fail(request, 409, "not_recorded", NULL,
						 "the settings of call_recording allow no recording of room %s (enabled, rules)",
						 room->rules.number);
	else
		(void)conference->requests->fail(request, 503, "not_recorded", NULL, "%s",
						 err == PBX_ENOTSUP ? "the plugin call_recording does not run"
								    : "the recording does not begin now");
}

static void mute_all(struct conference *conference, pbx_request request, bool muted)
{
	struct room *room = run_room(conference, request);

	if (!room)
		return;
	room_mute_all(room, muted);
	(void)conference->requests->reply(request, 200, describe(room));
}

static void on_mute_all(void *self, pbx_request request)
{
	mute_all(self, request, true);
}

static void on_unmute_all(void *self, pbx_request request)
{
	mute_all(self, request, false);
}

static void on_end(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct room *room = run_room(conference, request);

	if (!room)
		return;
	room_end(room, "ended");
	(void)conference->requests->reply(request, 204, NULL);
}

static void on_invite(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct room *room = run_room(conference, request);
	const struct pbx_requests *requests = conference->requests;

	if (!room)
		return;
	if (!room->session[0]) {
		(void)requests->fail(request, 409, "not_active", "room", "nobody is in room %s to invite somebody", room->rules.number);
		return;
	}
	int err = invite(room, requests->text(request, "number"), requests->boolean(request, "confirm", true),
			 requests->boolean(request, "moderator", false), (pbx_leg){ 0 });

	if (err == PBX_OK)
		(void)requests->reply(request, 202, describe(room));
	else
		(void)requests->fail(request, 503, "not_called", "number", "the number cannot be called now");
}

static void on_play(void *self, pbx_request request)
{
	struct conference *conference = self;
	struct room *room = run_room(conference, request);

	if (!room)
		return;
	if (!room->session[0] || conference->rooms->play(room->mix, conference->requests->text(request, "prompt")) != PBX_OK)
		(void)conference->requests->fail(request, 409, "not_played", "prompt", "nobody is in the room, or there is no such prompt");
	else
		(void)conference->requests->reply(request, 202, describe(room));
}

/* ---- tables -------------------------------------------------------------------------------------------- */

#define ROOM_ARG                                                                                                                           \
	{                                                                                                                                  \
		.name = "room", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 31, .help = "Number of the room"     \
	}
#define PARTICIPANT_ARG                                                                                                                    \
	{                                                                                                                                  \
		.name = "participant", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 63,                           \
		.help = "Id of who is in the room, or extension"                                                                           \
	}
#define FLAG_ARG(flag_name, text)                                                                                                          \
	{                                                                                                                                  \
		.name = flag_name, .type = PBX_TYPE_BOOL, .help = text                                                                     \
	}
#define RULE_ARGS                                                                                                                          \
	{ .name = "name", .type = PBX_TYPE_TEXT, .most = 63, .help = "Shown to who is invited" },                                          \
		{ .name = "pin", .type = PBX_TYPE_TEXT, .most = PIN_MOST, .help = "Asked of everybody; empty: nobody is asked" },          \
		{ .name = "moderator_pin", .type = PBX_TYPE_TEXT, .most = PIN_MOST, .help = "Makes whoever types it a moderator" },        \
		{ .name = "max_participants", .type = PBX_TYPE_INT, .least = 2, .most = 500, .help = "Moderators come in beyond it" },     \
		{ .name = "max_duration_s", .type = PBX_TYPE_INT, .least = 0, .most = 604800, .help = "Ends after so long; 0: never" },    \
		FLAG_ARG("wait_for_moderator", "Music until a moderator is there"),                                                        \
		FLAG_ARG("end_when_moderator_leaves", "Ends when the last moderator leaves"),                                              \
		FLAG_ARG("start_muted", "Who comes in is muted"), FLAG_ARG("moh_when_alone", "Music for who is alone"),                    \
		FLAG_ARG("announce", "A tone when somebody comes or goes"),                                                                \
		FLAG_ARG("announce_names", "Who comes in says their name, which is heard instead of the tone"),                            \
		FLAG_ARG("dtmf_passthrough", "Keys reach the others, and are ours only behind a *"),                                       \
		FLAG_ARG("announce_count", "Who comes in hears how many are there"), FLAG_ARG("record", "Conferences are recorded"),       \
		{ .name = "language", .type = PBX_TYPE_TEXT, .most = 15, .help = "Of what is said" },                                      \
	{                                                                                                                                  \
		.name = "music_class", .type = PBX_TYPE_TEXT, .most = 40, .help = "Of the music"                                           \
	}

static const struct pbx_arg room_args[] = { ROOM_ARG };
static const struct pbx_arg record_args[] = {
	ROOM_ARG,
	{ .name = "on", .type = PBX_TYPE_BOOL, .flags = PBX_ARG_REQUIRED, .help = "Begin to record, or end it" },
};
static const struct pbx_arg rules_args[] = { ROOM_ARG, RULE_ARGS };
static const struct pbx_arg member_args[] = { ROOM_ARG, PARTICIPANT_ARG };
static const struct pbx_arg volume_args[] = {
	ROOM_ARG,
	PARTICIPANT_ARG,
	{ .name = "talk_db", .type = PBX_TYPE_INT, .least = -12, .most = 12, .help = "How loud it is heard" },
	{ .name = "hear_db", .type = PBX_TYPE_INT, .least = -12, .most = 12, .help = "How loud it hears" },
};
static const struct pbx_arg invite_args[] = {
	ROOM_ARG,
	{ .name = "number", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 31, .help = "Who is called" },
	FLAG_ARG("confirm", "Comes in by pressing 1 (the default), so that no mailbox does"),
	FLAG_ARG("moderator", "Comes in as a moderator"),
};
static const struct pbx_arg play_args[] = {
	ROOM_ARG,
	{ .name = "prompt", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 63, .help = "Id of a prompt" },
};

static const struct pbx_field room_fields[] = {
	{ "room", PBX_TYPE_TEXT, "Number of the room" },
	{ "name", PBX_TYPE_TEXT, "Its name" },
	{ "origin", PBX_TYPE_TEXT, "settings, stored, or dynamic: made by who dialled first" },
	{ "has_pin", PBX_TYPE_BOOL, "Everybody is asked for a PIN" },
	{ "has_moderator_pin", PBX_TYPE_BOOL, "There are moderators" },
	{ "max_participants", PBX_TYPE_INT, "Moderators come in beyond it" },
	{ "max_duration_s", PBX_TYPE_INT, "Ends after so long; 0: never" },
	{ "active", PBX_TYPE_BOOL, "Somebody is in" },
	{ "locked", PBX_TYPE_BOOL, "Only moderators come in" },
	{ "recording", PBX_TYPE_BOOL, "The conference is being recorded" },
	{ "participants", PBX_TYPE_INT, "How many are in" },
	{ "conference_id", PBX_TYPE_TEXT, "Of this conference, while it lasts" },
	{ "started_at", PBX_TYPE_TIME, "Since when" },
	{ "speaker", PBX_TYPE_TEXT, "Id of who speaks, or spoke last" },
};
static const struct pbx_field member_fields[] = {
	{ "id", PBX_TYPE_TEXT, "Id of the participant" },
	{ "extension", PBX_TYPE_TEXT, "Number" },
	{ "name", PBX_TYPE_TEXT, "Name" },
	{ "state", PBX_TYPE_TEXT, "entering_pin, invited, waiting, saying_name, joining, in, leaving" },
	{ "moderator", PBX_TYPE_BOOL, "Is a moderator" },
	{ "muted", PBX_TYPE_BOOL, "Is not heard" },
	{ "deaf", PBX_TYPE_BOOL, "Hears nobody" },
	{ "on_hold", PBX_TYPE_BOOL, "Has put the conference on hold" },
	{ "talking", PBX_TYPE_BOOL, "Speaks now" },
	{ "energy_dbov", PBX_TYPE_NUMBER, "How loud its line is, -127 to 0" },
	{ "talk_volume_db", PBX_TYPE_NUMBER, "How much louder it is heard" },
	{ "hear_volume_db", PBX_TYPE_NUMBER, "How much louder it hears" },
	{ "joined_at", PBX_TYPE_TIME, "Since when it is in" },
	{ "call_id", PBX_TYPE_TEXT, "Id of its call" },
};

#define READS(at, fn, arguments, fields, text)                                                                                             \
	{                                                                                                                                  \
		.method = "GET", .path = "/conferences" at, .handle = fn, .scope = "conference:read", .summary = text, .args = arguments,  \
		.reply = PBX_TABLE(fields)                                                                                                 \
	}
#define WRITES(verb, at, fn, arguments, fields, text)                                                                                      \
	{                                                                                                                                  \
		.method = verb, .path = "/conferences" at, .handle = fn, .scope = "conference:write", .summary = text,                     \
		.flags = PBX_ROUTE_WRITES, .args = PBX_TABLE(arguments), .reply = PBX_TABLE(fields)                                        \
	}
#define NO_ARGS                                                                                                                            \
	{                                                                                                                                  \
		NULL, 0, 0                                                                                                                 \
	}

const struct pbx_route conference_routes[CONFERENCE_ROUTES] = {
	READS("", on_list, NO_ARGS, room_fields, "Rooms, and how they are"),
	READS("/{room}", on_show, PBX_TABLE(room_args), room_fields, "A room"),
	READS("/{room}/participants", on_participants, PBX_TABLE(room_args), member_fields, "Who is in a room"),
	WRITES("POST", "", on_create, rules_args, room_fields, "Make a room"),
	WRITES("PUT", "/{room}", on_update, rules_args, room_fields, "Change a room; what is left out stays"),
	WRITES("DELETE", "/{room}", on_delete, room_args, room_fields, "Take a room away, and end its conference"),
	WRITES("POST", "/{room}/lock", on_lock, room_args, room_fields, "Let only moderators in from now on"),
	WRITES("POST", "/{room}/unlock", on_unlock, room_args, room_fields, "Let everybody in"),
	WRITES("POST", "/{room}/record", on_record, record_args, room_fields, "Record the conference, or end that; everybody is told"),
	WRITES("POST", "/{room}/mute-all", on_mute_all, room_args, room_fields, "Mute all but moderators"),
	WRITES("POST", "/{room}/unmute-all", on_unmute_all, room_args, room_fields, "Unmute them"),
	WRITES("POST", "/{room}/end", on_end, room_args, room_fields, "End the conference"),
	WRITES("POST", "/{room}/invite", on_invite, invite_args, room_fields, "Call somebody into the conference"),
	WRITES("POST", "/{room}/play", on_play, play_args, room_fields, "Play a prompt that everybody hears"),
	WRITES("POST", "/{room}/participants/{participant}/mute", on_mute, member_args, member_fields, "Mute one"),
	WRITES("POST", "/{room}/participants/{participant}/unmute", on_unmute, member_args, member_fields, "Unmute one"),
	WRITES("POST", "/{room}/participants/{participant}/deaf", on_deaf, member_args, member_fields, "Let one hear nothing"),
	WRITES("POST", "/{room}/participants/{participant}/undeaf", on_undeaf, member_args, member_fields, "Let one hear again"),
	WRITES("POST", "/{room}/participants/{participant}/volume", on_volume, volume_args, member_fields, "Louder or softer, either way"),
	WRITES("POST", "/{room}/participants/{participant}/kick", on_kick, member_args, member_fields, "Remove one"),
};

#define COMMAND(text_words, fn, arguments, text, shown)                                                                                    \
	{                                                                                                                                  \
		.words = "conference " text_words, .handle = fn, .help = text, .args = PBX_TABLE(arguments), .columns = shown              \
	}
#define ROOM_COLUMNS "room,name,origin,participants,locked,started_at"
#define MEMBER_COLUMNS "id,extension,name,state,moderator,muted,talking,energy_dbov"

const struct pbx_command conference_commands[CONFERENCE_COMMANDS] = {
	{ .words = "conference list", .handle = on_list, .help = "Rooms, and how they are", .columns = ROOM_COLUMNS },
	COMMAND("show", on_participants, room_args, "Who is in a room", MEMBER_COLUMNS),
	COMMAND("add", on_create, rules_args, "Make a room", ROOM_COLUMNS),
	COMMAND("set", on_update, rules_args, "Change a room; what is left out stays", ROOM_COLUMNS),
	COMMAND("remove", on_delete, room_args, "Take a room away, and end its conference", NULL),
	COMMAND("lock", on_lock, room_args, "Let only moderators in from now on", ROOM_COLUMNS),
	COMMAND("unlock", on_unlock, room_args, "Let everybody in", ROOM_COLUMNS),
	COMMAND("record", on_record, record_args, "Record a conference, or end that", ROOM_COLUMNS),
	COMMAND("mute", on_mute, member_args, "Mute one", MEMBER_COLUMNS),
	COMMAND("unmute", on_unmute, member_args, "Unmute one", MEMBER_COLUMNS),
	COMMAND("kick", on_kick, member_args, "Remove one", NULL),
	COMMAND("invite", on_invite, invite_args, "Call somebody into the conference", ROOM_COLUMNS),
	COMMAND("end", on_end, room_args, "End a conference", NULL),
};
