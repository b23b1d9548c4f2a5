/*
 * members - coming into a room, being there, and going
 *
 * A member is the controller of its leg from the dialled number to the last word, and is in the core's mixing room only while its state
 * is IN. What it alone hears (prompts, the music of who is alone) it hears over the room.
 */
#include "conference.h"
#include <stdlib.h>
#include <string.h>

#define COPY(array, text) ((void)snprintf((array), sizeof(array), "%s", (text)))
#define LEAVING_MS 10000u /* who hears why, but never comes to the end of it */

struct member *member_of(struct conference *conference, pbx_leg leg)
{
	for (struct room *room = conference->first; room; room = room->next)
		for (struct member *member = room->members; member; member = member->next)
			if (member->leg.id == leg.id)
				return member;
	return NULL;
}

struct member *member_find(struct room *room, const char *who)
{
	for (struct member *member = room->members; member; member = member->next)
		if (member->state != MEMBER_LEAVING && (strcmp(member->id, who) == 0 || strcmp(member->number, who) == 0))
			return member;
	return NULL;
}

static uint32_t present(const struct room *room)
{
	uint32_t count = 0;

	for (const struct member *member = room->members; member; member = member->next)
		count += member->state == MEMBER_IN || member->state == MEMBER_COUNT || member->state == MEMBER_WAITING ||
			 member->state == MEMBER_NAME;
	return count;
}

/* ---- what it hears and says ------------------------------------------------------------- */

static struct pbx_room_part part_of(const struct member *member)
{
	return (struct pbx_room_part){
		.size = sizeof(struct pbx_room_part),
		.role = (member->muted ? 0 : PBX_ROOM_TALKS) | (member->deaf ? 0 : PBX_ROOM_HEARS),
		.talk_gain_cdb = member->talk_cdb,
		.hear_gain_cdb = member->hear_cdb,
	};
}

void member_settle(struct member *member)
{
	const struct pbx_room_part part = part_of(member);

	if (member->state == MEMBER_IN)
		(void)member->room->conference->rooms->change(member->leg, &part); /* it has just left: as good */
	roster_changed(member->room);
}

void member_set_muted(struct member *member, bool muted)
{
	if (member->muted == muted)
		return;
	member->muted = muted;
	member_settle(member);
	tell_changed(member);
}

static const char *music_of(const struct room *room)
{
	return room->rules.music_class[0] ? room->rules.music_class : NULL;
}

/* Music for who is alone, none for who is not. */
static void settle_music(struct room *room)
{
	const struct conference *conference = room->conference;
	uint32_t in = room_in(room);

	for (struct member *member = room->members; member; member = member->next) {
		if (member->state != MEMBER_IN)
			continue;
		if (in == 1 && room->rules.moh_when_alone)
			(void)conference->calls->music(member->leg, music_of(room)); /* nobody offers music: silence */
		else if (in == 2)
			(void)conference->calls->stop_media(member->leg);
	}
}

void member_go_on(struct member *member)
{
	struct room *room = member->room;

	if (member->state == MEMBER_WAITING || (member->state == MEMBER_IN && room_in(room) == 1 && room->rules.moh_when_alone))
		(void)room->conference->calls->music(member->leg, music_of(room));
}

/* It comes, or has gone: a name, or a tone for the ears only. */
static void announce(const struct member *member, bool comes)
{
	const struct room *room = member->room;

	if (room->rules.announce_names)
		name_announce(member, comes);
	else if (room->rules.announce && room_in(room) > 0)
		(void)room->conference->rooms->tone(room->mix, "beep");
}

/* ---- a session --------------------------------------------------------------------------- */

static void on_limit(void *self, pbx_timer timer)
{
	struct room *room = self;

	(void)timer;
	room->limit = (pbx_timer){ 0 };
	room_end(room, "ended");
}

static int session_begin(struct room *room)
{
	struct conference *conference = room->conference;
	struct pbx_host *host = conference->host;
	const struct pbx_room_spec spec = { .size = sizeof spec, .name = room->rules.number, .language = room->rules.language };
	int err = conference->rooms->open(host, &spec, &conference_watch, conference, &room->mix);

	if (err != PBX_OK)
		return err;
	host->ulid(host, room->session);
	room->started_wall_us = host->wall_us(host);
	room->peak = 0;
	room->locked = room->all_muted = false;
	if (room->rules.max_duration_s)
		(void)conference->timers->start(host, room->rules.max_duration_s * 1000ull, 0, on_limit, room, &room->limit);
	tell_started(room);
	return PBX_OK;
}

static void session_end(struct room *room)
{
	struct conference *conference = room->conference;

	(void)conference->timers->stop(room->limit);
	(void)conference->rooms->close(room->mix);
	tell_ended(room, "left");
	room->session[0] = room->speaker[0] = '\0';
	room->mix = (pbx_room){ 0 };
	room->limit = (pbx_timer){ 0 };
	room->locked = room->recording = false;
	room->recorded = (pbx_leg){ 0 };
	names_forget(room);
}

/* ---- in, and out again ------------------------------------------------------------------- */

/* It hears the room from here on. */
static void come_in(struct member *member)
{
	struct room *room = member->room;
	struct conference *conference = room->conference;
	const struct pbx_room_part part = part_of(member);
	int err = room->session[0] ? PBX_OK : session_begin(room);

	if (err == PBX_OK) {
		announce(member, true);
		err = conference->rooms->add(room->mix, member->leg, &part);
	}
	if (err != PBX_OK) {
		pbx_error(conference->host, "not_joined", "room=%s result=%d", room->rules.number, err);
		(void)conference->calls->hangup(member->leg, PBX_CAUSE_FAILURE);
		return;
	}
	member->state = MEMBER_IN;
	member->joined_wall_us = conference->host->wall_us(conference->host);
	if (room_in(room) > room->peak)
		room->peak = room_in(room);
	tell_joined(member);
	settle_music(room);
	if (room->rules.record)
		(void)room_record(room, true); /* failing, it was logged */
	if (member->replaces.id)
		(void)conference->calls->hangup(member->replaces, PBX_CAUSE_NORMAL);
	member->replaces = (pbx_leg){ 0 };
}

/* How many are there already, when the room wants it said. */
void member_named(struct member *member)
{
	struct room *room = member->room;
	const struct pbx_say count[] = {
		{ .kind = PBX_SAY_PROMPT, .text = "conference_count" },
		{ .kind = PBX_SAY_NUMBER, .number = room_in(room) },
	};

	(void)room->conference->calls->stop_media(member->leg);
	member->state = MEMBER_COUNT;
	if (!room->rules.announce_count || room_in(room) == 0 || room->conference->calls->say(member->leg, count, 2) != PBX_OK)
		come_in(member);
}

/* Says its name first, when the room wants to hear it. */
static void enter(struct member *member)
{
	if (name_is_asked(member))
		name_ask(member);
	else
		member_named(member);
}

static void admit_waiting(struct room *room)
{
	for (struct member *member = room->members; member; member = member->next)
		if (member->state == MEMBER_WAITING)
			enter(member);
}

void member_admit(struct member *member)
{
	struct room *room = member->room;

	if (!member->moderator && room->locked) {
		member_send_off(member, "conference_locked", "refused");
	} else if (!member->moderator && present(room) >= room->rules.max_participants) {
		member_send_off(member, "conference_full", "refused");
	} else if (!member->moderator && room->rules.wait_for_moderator && !room_has_moderator(room)) {
		member->state = MEMBER_WAITING;
		member_go_on(member);
	} else {
		enter(member);
		if (member->moderator)
			admit_waiting(room);
	}
}

void member_send_off(struct member *member, const char *prompt, const char *reason)
{
	const struct conference *conference = member->room->conference;
	bool was_in = member->state == MEMBER_IN;

	if (member->state == MEMBER_LEAVING)
		return;
	member->state = MEMBER_LEAVING;
	member->reason = reason;
	if (was_in) {
		(void)conference->rooms->remove(member->leg);
		room_record_goes_on(member->room, member->leg);
		settle_music(member->room);
	}
	(void)conference->calls->set_timeout(member->leg, LEAVING_MS);
	if (!prompt || conference->calls->play(member->leg, prompt) != PBX_OK)
		(void)conference->calls->hangup(member->leg, PBX_CAUSE_NORMAL);
}

void room_end(struct room *room, const char *reason)
{
	for (struct member *member = room->members; member; member = member->next)
		member_send_off(member, "conference_ended", reason);
}

void room_set_locked(struct room *room, bool locked)
{
	if (room->locked == locked)
		return;
	room->locked = locked;
	tell_locked(room);
}

void room_mute_all(struct room *room, bool muted)
{
	room->all_muted = muted;
	for (struct member *member = room->members; member; member = member->next)
		if (!member->moderator && member->state != MEMBER_LEAVING)
			member_set_muted(member, muted);
}

static void member_free(struct member *member)
{
	struct member **at = &member->room->members;

	while (*at != member)
		at = &(*at)->next;
	*at = member->next;
	name_leaves(member);
	free(member);
}

/* The leg is gone, one way or another. */
static void gone(struct member *member, const char *reason)
{
	struct room *room = member->room;
	bool was_in = member->joined_wall_us != 0, was_moderator = member->moderator;

	if (!member->reason)
		member->reason = reason;
	member->state = MEMBER_LEAVING;
	if (was_in)
		tell_left(member);
	room_record_goes_on(room, member->leg);
	if (was_in) {
		announce(member, false);
		settle_music(room);
	}
	member_free(member);
	if (was_in && was_moderator && room->rules.end_when_moderator_leaves && !room_has_moderator(room))
		room_end(room, "ended");
	if (!room->members && room->session[0])
		session_end(room);
	room_forget_if_over(room);
}

/* ---- the controller ---------------------------------------------------------------------- */

static void begin(struct member *member)
{
	const struct rules *rules = &member->room->rules;

	if (member->state == MEMBER_INVITED)
		invitation_ask(member);
	else if (rules->pin[0] || rules->moderator_pin[0])
		pin_ask(member);
	else
		member_admit(member);
}

static void on_answered(void *self, pbx_leg leg)
{
	struct member *member = member_of(self, leg);

	if (member && member->state == MEMBER_PIN)
		begin(member);
}

static void on_digit(void *self, pbx_leg leg, char digit, uint32_t duration_ms)
{
	struct member *member = member_of(self, leg);

	(void)duration_ms;
	if (member && member->state == MEMBER_IN)
		keys_typed(member, digit);
	else if (member && member->state == MEMBER_NAME)
		name_typed(member, digit);
}

static void on_media_done(void *self, pbx_leg leg)
{
	struct conference *conference = self;
	struct member *member = member_of(self, leg);

	if (!member)
		return;
	switch (member->state) {
	case MEMBER_LEAVING:
		(void)conference->calls->hangup(leg, PBX_CAUSE_NORMAL);
		break;
	case MEMBER_NAME:
		name_listen(member);
		break;
	case MEMBER_COUNT:
		come_in(member);
		break;
	default:
		member_go_on(member);
	}
}

static void on_timeout(void *self, pbx_leg leg)
{
	const struct conference *conference = self;

	(void)conference->calls->hangup(leg, PBX_CAUSE_NORMAL); /* a prompt without an end */
}

static void on_lost(void *self, pbx_leg leg)
{
	const struct pbx_calls *calls = ((const struct conference *)self)->calls;
	struct member *member = member_of(self, leg);

	if (member) {
		gone(member, "transferred");
		(void)calls->set_focus(leg, false);
	}
}

static void on_ended(void *self, pbx_leg leg, uint32_t cause)
{
	struct member *member = member_of(self, leg);

	if (member)
		gone(member, cause == PBX_CAUSE_TIMER ? "media_timeout" : "left");
}

/* It asks that somebody else be here in its place. */
static void on_transfer(void *self, pbx_leg leg, const char *target)
{
	struct member *member = member_of(self, leg);

	if (member && member->state == MEMBER_IN)
		(void)invite(member->room, target, false, member->moderator, leg); /* cannot be called: it stays itself */
}

static int on_replaced(void *self, pbx_leg leg, pbx_leg by)
{
	struct member *member = member_of(self, leg), *other;

	if (!member || member->state != MEMBER_IN)
		return PBX_ESTATE;
	return member_bring(member->room, by, member->moderator, false, &other);
}

static const struct pbx_controller controller = {
	.size = sizeof controller,
	.answered = on_answered,
	.digit = on_digit,
	.media_done = on_media_done,
	.timeout = on_timeout,
	.transfer = on_transfer,
	.lost = on_lost,
	.ended = on_ended,
	.replaced = on_replaced,
};

/* ---- coming --------------------------------------------------------------------------------- */

static int member_new(struct room *room, const struct pbx_leg_info *info, enum member_state state, struct member **ret_member)
{
	struct conference *conference = room->conference;
	struct member *member = calloc(1, sizeof *member), **end = &room->members;

	if (!member)
		return PBX_ENOMEM;
	member->room = room;
	member->leg = info->leg;
	member->state = state;
	member->muted = room->rules.start_muted || room->all_muted;
	conference->host->ulid(conference->host, member->id);
	COPY(member->number, info->number);
	COPY(member->name, info->name);
	COPY(member->call_id, info->call_id);
	while (*end)
		end = &(*end)->next;
	*end = member;
	int err = conference->calls->control(conference->host, member->leg, &controller, conference);

	if (err != PBX_OK) {
		member_free(member);
		room_forget_if_over(room);
		return err;
	}
	(void)conference->calls->set_language(member->leg, room->rules.language[0] ? room->rules.language : NULL);
	(void)conference->calls->set_focus(member->leg, true); /* or its phone is not told */
	*ret_member = member;
	return PBX_OK;
}

int member_bring(struct room *room, pbx_leg leg, bool moderator, bool confirm, struct member **ret_member)
{
	struct pbx_leg_info info = { .size = sizeof info };
	struct member *member;
	int err = room->conference->calls->info(leg, &info);

	if (err == PBX_OK)
		err = member_new(room, &info, confirm ? MEMBER_INVITED : MEMBER_PIN, &member);
	if (err != PBX_OK)
		return err;
	member->moderator = moderator;
	*ret_member = member;
	if (confirm)
		begin(member);
	else
		member_admit(member);
	return PBX_OK;
}

static struct room *room_dialled(struct conference *conference, const char *number)
{
	struct room *room = room_find(conference, number);
	const struct rules rules = rules_usual(conference->settings, number);

	return room || !conference->settings->allow_dynamic ? room : room_new(conference, &rules, ROOM_DYNAMIC);
}

/* Refused before the answer, when the caller could not be a moderator anyway. */
static bool is_refused_early(const struct room *room)
{
	return room->conference->settings->reject_early && !room->rules.moderator_pin[0] &&
	       (room->locked || present(room) >= room->rules.max_participants);
}

void conference_on_dialled(void *self, pbx_leg leg)
{
	struct conference *conference = self;
	struct pbx_leg_info info = { .size = sizeof info };
	struct member *member;

	char number[NUMBER_TEXT];

	if (conference->calls->info(leg, &info) != PBX_OK)
		return;
	room_number(conference, info.argument, number);
	struct room *room = room_dialled(conference, number);

	if (!room || is_refused_early(room)) {
		(void)conference->calls->reject(leg, room ? 486 : 404);
		return;
	}
	bool talks_already = info.state == PBX_LEG_ANSWERED;
	int err = member_new(room, &info, MEMBER_PIN, &member);

	if (err == PBX_OK && !talks_already)
		err = conference->calls->answer(leg);
	else if (err == PBX_OK)
		begin(member);
	if (err != PBX_OK)
		(void)conference->calls->hangup(leg, PBX_CAUSE_FAILURE);
}

/* ---- what the room tells ------------------------------------------------------------------------ */

static void on_talking(void *self, pbx_room mix, pbx_leg leg, bool on)
{
	struct member *member = member_of(self, leg);

	(void)mix;
	if (member)
		member->talking = on;
}

static void on_speaker(void *self, pbx_room mix, pbx_leg leg)
{
	const struct member *member = member_of(self, leg);

	(void)mix;
	if (member)
		COPY(member->room->speaker, member->id);
}

const struct pbx_room_watch conference_watch = { .size = sizeof conference_watch, .talking = on_talking, .speaker = on_speaker };

/* ---- an upgrade ----------------------------------------------------------------------------------- */

static int take_member(struct room *room, const struct carried_member *carried)
{
	struct pbx_leg_info info = { .size = sizeof info };
	struct conference *conference = room->conference;
	struct member *member;
	int err = conference->calls->info(carried->leg, &info);

	if (err == PBX_OK)
		err = member_new(room, &info, (enum member_state)carried->state, &member);
	if (err != PBX_OK)
		return err;
	COPY(member->id, carried->id);
	member->moderator = carried->moderator;
	member->muted = carried->muted;
	member->deaf = carried->deaf;
	member->talk_cdb = carried->talk_cdb;
	member->hear_cdb = carried->hear_cdb;
	member->joined_wall_us = carried->joined_wall_us;
	member->asked_name = member->state != MEMBER_PIN && member->state != MEMBER_INVITED && member->state != MEMBER_WAITING;
	member->spoken_name = carried->spoken_name ? strdup(carried->spoken_name) : NULL;
	if (member->state == MEMBER_LEAVING)
		(void)conference->calls->hangup(member->leg, PBX_CAUSE_NORMAL);
	else if (member->state == MEMBER_PIN || member->state == MEMBER_INVITED)
		begin(member); /* what it was being told has stopped */
	else if (member->state == MEMBER_COUNT || member->state == MEMBER_NAME)
		come_in(member);
	else if (member->state == MEMBER_WAITING)
		member_go_on(member);
	return PBX_OK;
}

int members_take(struct conference *conference, const struct carried_room *carried)
{
	struct room *room = room_find(conference, carried->rules->number);

	if (!room)
		room = room_new(conference, carried->rules, ROOM_DYNAMIC);
	if (!room)
		return PBX_ENOMEM;
	room->locked = carried->locked;
	room->all_muted = carried->all_muted;
	room->mix = carried->mix;
	COPY(room->session, carried->session);
	room->started_wall_us = carried->started_wall_us;
	room->peak = carried->peak;
	room->recording = carried->recording;
	room->recorded = carried->recorded;
	int err = room->mix.id ? conference->rooms->adopt(conference->host, room->mix, &conference_watch, conference) : PBX_OK;

	if (err != PBX_OK)
		return err;
	if (room->session[0])
		(void)conference->metrics->add(conference->host, METRIC_ACTIVE, NULL, 1);
	if (room->session[0] && room->rules.max_duration_s) {
		uint64_t so_far_ms = (uint64_t)(conference->host->wall_us(conference->host) - room->started_wall_us) / 1000;
		uint64_t in_all_ms = room->rules.max_duration_s * 1000ull;

		(void)conference->timers->start(conference->host, in_all_ms > so_far_ms ? in_all_ms - so_far_ms : 1, 0, on_limit, room,
						&room->limit);
	}
	for (uint32_t i = 0; i < carried->member_count; i++)
		if (take_member(room, &carried->members[i]) == PBX_OK && carried->members[i].joined_wall_us)
			(void)conference->metrics->add(conference->host, METRIC_PARTICIPANTS, NULL, 1);
	if (room_in(room) == 1)
		settle_music(room);
	return PBX_OK;
}

static void hand_over(struct room *room)
{
	const struct conference *conference = room->conference;
	struct carried_room carried = {
		.size = sizeof carried,
		.rules = &room->rules,
		.dynamic = room->origin == ROOM_DYNAMIC,
		.locked = room->locked,
		.all_muted = room->all_muted,
		.mix = room->mix,
		.session = room->session,
		.started_wall_us = room->started_wall_us,
		.peak = room->peak,
		.recording = room->recording,
		.recorded = room->recorded,
	};
	uint32_t count = 0;

	for (const struct member *member = room->members; member; member = member->next)
		count++;
	struct carried_member *members = calloc(count ? count : 1, sizeof *members);
	struct member *left = room->members;

	if (!members)
		return; /* they stay with us until they have ended */
	for (const struct member *member = room->members; member; member = member->next)
		members[carried.member_count++] = (struct carried_member){
			.leg = member->leg,
			.state = member->state,
			.id = member->id,
			.moderator = member->moderator,
			.muted = member->muted,
			.deaf = member->deaf,
			.talk_cdb = member->talk_cdb,
			.hear_cdb = member->hear_cdb,
			.joined_wall_us = member->joined_wall_us,
			.spoken_name = member->spoken_name,
		};
	carried.members = members;
	room->members = NULL; /* that they are lost to us is no news */
	if (conference->successor->take(conference->successor->self, &carried) == PBX_OK) {
		(void)conference->timers->stop(room->limit);
		if (room->session[0])
			(void)conference->metrics->add(conference->host, METRIC_ACTIVE, NULL, -1);
		room->session[0] = '\0';
		room->mix = (pbx_room){ 0 };
		while (left) {
			struct member *member = left;

			left = member->next;
			if (member->joined_wall_us)
				(void)conference->metrics->add(conference->host, METRIC_PARTICIPANTS, NULL, -1);
			free(member->spoken_name);
			free(member);
		}
	} else {
		room->members = left;
	}
	free(members);
}

void members_hand_over(struct conference *conference)
{
	if (!conference->successor->take || conference->successor->self == conference)
		return;
	for (struct room *room = conference->first; room; room = room->next)
		if (room->members)
			hand_over(room);
}
