/* rooms.c - "pbx.rooms/1": many legs hear each other, and guests in a conversation of two
 *
 *   a room of its own      members are legs that the room's owner controls; charged to it like a leg
 *   a conversation         the room of a bridge, there while the bridge has guests. The two of the bridge are no members: they are the
 *                          bridge's, and only their media are mixed instead of relayed
 *
 * Who is in a room says what it wants to be there (its part); what the media driver is told follows from that and from whether the leg
 * holds. A leg leaves by itself when it ends or somebody else decides about it, and its owner hears so. */
#include "calls_inner.h"
#include "host.h"
#include "overlap.h"
#include "prompts.h"
#include <stdlib.h>

#define LEAST_GAIN_CDB (-4000)

static struct core_handles room_table;
static uint64_t last_tag;

void core_rooms_init(void)
{
	core_handles_init(&room_table, 'O');
}

static struct core_room *find_room(pbx_room room)
{
	return core_handle_find(&room_table, room.id);
}

static bool can_mix(void)
{
	return core_media && core_media->mix_open;
}

/* ---- what the driver is told ---- */

static bool is_away(const struct core_leg *leg)
{
	return leg->holds_us || leg->held_by_us;
}

static bool is_in(const struct core_room *room, const struct core_leg *leg)
{
	return leg->room == room || (leg->bridge && leg->bridge->room == room);
}

static int enter_mix(const struct core_room *room, struct core_leg *leg, const struct core_mix_part *part)
{
	if (!leg->has_stream || !leg->configured)
		return PBX_OK;

	int err = core_media->mix_enter(room->mix, leg->stream, part);
	leg->in_mix = leg->in_mix || err == PBX_OK;
	return err;
}

static void leave_mix(struct core_leg *leg)
{
	if (leg->in_mix && leg->has_stream)
		(void)core_media->mix_leave(leg->stream);
	leg->in_mix = false;
}

static int settle_member(const struct core_room *room, struct core_leg *leg)
{
	const struct core_leg *to = core_leg_alive(leg->part.to);
	struct core_mix_part part = {
		.talks = leg->part.role & PBX_ROOM_TALKS && !is_away(leg),
		.hears = leg->part.role & PBX_ROOM_HEARS && !is_away(leg),
		.talk_gain_cdb = leg->part.talk_gain_cdb,
		.hear_gain_cdb = leg->part.hear_gain_cdb,
	};

	if (to && to != leg && to->has_stream && is_in(room, to) && !is_away(leg))
		part.to = to->stream;
	return enter_mix(room, leg, &part);
}

/* A phone that holds and brings music of its own has said that it sends, and only sends. */
static int settle_talker(const struct core_room *room, struct core_leg *leg)
{
	const struct core_mix_part part = {
		.talks = !is_away(leg) || (leg->brings_music && !leg->held_by_us),
		.hears = !is_away(leg),
	};

	return enter_mix(room, leg, &part);
}

static int settle_all(struct core_room *room)
{
	int err = PBX_OK;

	for (int i = 0; room->bridge && i < 2 && err == PBX_OK; i++)
		err = settle_talker(room, room->bridge->legs[i]);
	for (struct core_leg *leg = room->members; leg && err == PBX_OK; leg = leg->next_in_room)
		err = settle_member(room, leg);
	return err;
}

/* Without memory somebody hears what was before, until the next change. */
static void note(const struct core_room *room, int err)
{
	if (err != PBX_OK)
		core_log(PBX_LOG_ERROR, "calls", NULL, "room_not_settled", "room=%s result=%d", room->name, err);
}

void core_room_settle(struct core_leg *leg)
{
	note(leg->room, settle_member(leg->room, leg));
}

void core_room_settle_bridge(struct core_bridge *bridge)
{
	note(bridge->room, settle_all(bridge->room));
}

/* ---- making and ending ---- */

static int room_new(uint64_t group, bool gated, struct core_room **ret_room)
{
	struct core_room *room = calloc(1, sizeof *room);

	if (!room)
		return PBX_ENOMEM;
	int err = core_media->mix_open(group, gated, &room->mix);
	if (err != PBX_OK) {
		free(room);
		return err;
	}
	room->handle.id = core_handle_new(&room_table, room);
	if (!room->handle.id) {
		(void)core_media->mix_close(room->mix);
		free(room);
		return PBX_ENOMEM;
	}
	core_ulid(room->id);
	*ret_room = room;
	return PBX_OK;
}

static void room_free(struct core_room *room)
{
	core_charge_remove(&room->charge);
	core_handle_free(&room_table, room->handle.id);
	(void)core_media->mix_close(room->mix);
	free(room);
}

/* Nobody is told; the room may be empty then. */
static void take_out(struct core_leg *leg)
{
	struct core_room *room = leg->room;
	struct core_leg **at = &room->members;

	while (*at != leg)
		at = &(*at)->next_in_room;
	*at = leg->next_in_room;
	leg->next_in_room = NULL;
	leg->room = NULL;
	leave_mix(leg);
	core_event_room("room.left", room, leg);
}

/* The last guest has left: the two of the bridge are relayed again. */
static void end_visit(struct core_room *room)
{
	struct core_bridge *bridge = room->bridge;

	bridge->room = NULL;
	core_bridge_settle(bridge);
	if (!bridge->connected)
		for (int i = 0; i < 2; i++)
			leave_mix(bridge->legs[i]);
	bridge->legs[0]->in_mix = bridge->legs[1]->in_mix = false; /* connected, they have left it */
	room_free(room);
}

static void after_leaving(struct core_room *room, pbx_leg gone)
{
	if (room->bridge && !room->members)
		end_visit(room);
	else
		for (struct core_leg *leg = room->members; leg; leg = leg->next_in_room)
			if (leg->part.to.id == gone.id)
				core_room_settle(leg); /* it whispers to nobody */
}

static void tell_left(struct core_leg *leg, struct pbx_host *owner, const struct pbx_room_watch *watch, void *self, pbx_room room)
{
	if (owner && watch->left)
		CORE_INTO(owner, watch->left(self, room, leg->handle));
}

/* A conversation, as long as it has guests: it is nobody's. */
static bool is_visit(const struct core_room *room)
{
	return !room->charge.owner;
}

static void leave(struct core_leg *leg, bool tells)
{
	struct core_room *room = leg->room;
	bool is_guest = room && is_visit(room);

	if (!room)
		return;

	struct pbx_host *owner = is_guest ? leg->charge.owner : room->charge.owner;
	const struct pbx_room_watch watch = is_guest ? leg->guest_watch : room->watch;
	void *self = is_guest ? leg->guest_self : room->self;
	pbx_room handle = is_guest ? (pbx_room){ 0 } : room->handle;

	take_out(leg);
	after_leaving(room, leg->handle);
	if (tells)
		tell_left(leg, owner, &watch, self, handle);
}

void core_room_leave(struct core_leg *leg)
{
	leave(leg, true);
}

void core_room_leave_quietly(struct core_leg *leg)
{
	leave(leg, false);
}

void core_room_leave_unless(struct core_leg *leg, const struct pbx_host *host)
{
	const struct core_room *room = leg->room;

	if (room && host != (is_visit(room) ? leg->charge.owner : room->charge.owner))
		leave(leg, true);
}

struct core_room *core_room_cut_off(struct core_bridge *bridge)
{
	struct core_room *room = bridge->room;

	if (!room)
		return NULL;
	bridge->room = NULL;
	room->bridge = NULL;
	for (int i = 0; i < 2; i++)
		leave_mix(bridge->legs[i]);
	return room;
}

void core_room_send_home(struct core_room *room)
{
	if (!room)
		return;
	while (room->members) /* each may end another one, or take it elsewhere */
		leave(room->members, true);
	room_free(room);
}

static void close_room(struct core_room *room)
{
	while (room->members)
		take_out(room->members);
	room_free(room);
}

static void revoke_room(struct core_charge *charge)
{
	close_room((struct core_room *)((char *)charge - offsetof(struct core_room, charge)));
}

void core_rooms_fini(void)
{
	uint32_t at = 0;
	struct core_room *room;

	while ((room = core_handles_next(&room_table, &at))) {
		if (room->bridge)
			room->bridge->room = NULL;
		core_charge_remove(&room->charge);
		core_handle_free(&room_table, room->handle.id);
		free(room);
	}
	core_handles_fini(&room_table);
}

/* ---- the service: rooms ---- */

static void take_watch(const struct pbx_room_watch *watch, struct pbx_room_watch *ret_watch)
{
	memset(ret_watch, 0, sizeof *ret_watch);
	if (watch)
		core_copy_overlap(ret_watch, sizeof *watch, watch, watch->size);
}

static int room_open(struct pbx_host *host, const struct pbx_room_spec *spec, const struct pbx_room_watch *watch, void *self,
		     pbx_room *ret_room)
{
	struct pbx_room_spec whole = { 0 };
	struct core_room *room;

	core_copy_overlap(&whole, sizeof whole, spec, spec->size);
	if (!can_mix())
		return PBX_ENOTSUP;
	int err = room_new(++last_tag, !(whole.flags & PBX_ROOM_UNGATED), &room);
	if (err != PBX_OK)
		return err;
	CORE_TEXT(room->name, whole.name);
	CORE_TEXT(room->language, whole.language);
	take_watch(watch, &room->watch);
	room->self = self;
	core_charge_add(host, &room->charge, "room", false, revoke_room);
	*ret_room = room->handle;
	return PBX_OK;
}

static int room_close(pbx_room handle)
{
	struct core_room *room = find_room(handle);

	if (!room || is_visit(room))
		return PBX_ENOENT;
	close_room(room);
	return PBX_OK;
}

static int room_adopt(struct pbx_host *host, pbx_room handle, const struct pbx_room_watch *watch, void *self)
{
	struct core_room *room = find_room(handle);

	if (!room)
		return PBX_ENOENT;
	if (is_visit(room))
		return PBX_ESTATE;
	core_charge_remove(&room->charge);
	take_watch(watch, &room->watch);
	room->self = self;
	core_charge_add(host, &room->charge, "room", false, revoke_room);
	return PBX_OK;
}

/* ---- the service: members ---- */

static int take_part(const struct pbx_room_part *part, struct pbx_room_part *ret_part)
{
	struct pbx_room_part whole = { 0 };

	core_copy_overlap(&whole, sizeof whole, part, part->size);
	if (whole.role > PBX_ROOM_BOTH || whole.talk_gain_cdb > PBX_ROOM_MOST_GAIN_CDB || whole.hear_gain_cdb > PBX_ROOM_MOST_GAIN_CDB)
		return PBX_EINVAL;
	if (whole.talk_gain_cdb < LEAST_GAIN_CDB)
		whole.talk_gain_cdb = LEAST_GAIN_CDB;
	if (whole.hear_gain_cdb < LEAST_GAIN_CDB)
		whole.hear_gain_cdb = LEAST_GAIN_CDB;
	*ret_part = whole;
	return PBX_OK;
}

/* Last in the list, and in the mix. */
static int put_in(struct core_room *room, struct core_leg *leg, const struct pbx_room_part *part)
{
	struct core_leg **end = &room->members;

	while (*end)
		end = &(*end)->next_in_room;
	leg->part = *part;
	leg->room = room;
	*end = leg;
	int err = settle_member(room, leg);
	if (err == PBX_OK) {
		core_event_room("room.entered", room, leg);
		return PBX_OK;
	}
	*end = NULL;
	leg->room = NULL;
	return err;
}

static bool is_answered(const struct core_leg *leg)
{
	return leg->state == PBX_LEG_ANSWERED && leg->has_stream;
}

static int room_add(pbx_room handle, pbx_leg leg_handle, const struct pbx_room_part *part)
{
	struct core_room *room = find_room(handle);
	struct core_leg *leg = core_leg_alive(leg_handle);
	struct pbx_room_part whole;

	if (!room || is_visit(room) || !leg)
		return PBX_ENOENT;
	if (leg->room)
		return PBX_EBUSY;
	if (!is_answered(leg) || leg->charge.owner != room->charge.owner)
		return PBX_ESTATE;
	int err = take_part(part, &whole);

	return err == PBX_OK ? put_in(room, leg, &whole) : err;
}

static int room_change(pbx_leg handle, const struct pbx_room_part *part)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg || !leg->room)
		return PBX_ENOENT;
	int err = take_part(part, &leg->part);

	return err == PBX_OK ? settle_member(leg->room, leg) : err;
}

static int room_remove(pbx_leg handle)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg || !leg->room)
		return PBX_ENOENT;
	core_room_leave_quietly(leg);
	return PBX_OK;
}

static struct pbx_room_member describe(const struct core_leg *leg)
{
	struct core_mix_voice voice = { .level_cdbov = -12700 };

	if (leg->in_mix && leg->has_stream)
		(void)core_media->mix_voice(leg->stream, &voice); /* on its way in: silent so far */
	return (struct pbx_room_member){
		.size = sizeof(struct pbx_room_member),
		.leg = leg->handle,
		.role = leg->part.role,
		.to = leg->part.to,
		.talk_gain_cdb = leg->part.talk_gain_cdb,
		.hear_gain_cdb = leg->part.hear_gain_cdb,
		.talking = voice.talking && leg->part.role & PBX_ROOM_TALKS && !is_away(leg),
		.level_cdbov = voice.level_cdbov,
		.away = is_away(leg),
		.room = leg->room->bridge ? (pbx_room){ 0 } : leg->room->handle,
	};
}

static int room_members(pbx_room handle, void (*each)(void *context, const struct pbx_room_member *member), void *context)
{
	const struct core_room *room = find_room(handle);

	if (!room)
		return PBX_ENOENT;
	for (const struct core_leg *leg = room->members; leg; leg = leg->next_in_room) {
		const struct pbx_room_member member = describe(leg);

		each(context, &member);
	}
	return PBX_OK;
}

static int room_member(pbx_leg handle, struct pbx_room_member *ret_member)
{
	const struct core_leg *leg = core_leg_alive(handle);

	if (!leg || !leg->room)
		return PBX_ENOENT;
	struct pbx_room_member member = describe(leg);

	member.size = (uint32_t)core_overlap(ret_member->size, sizeof member);
	memcpy(ret_member, &member, member.size);
	return PBX_OK;
}

static int room_find(const char *room_id, pbx_room *ret_room)
{
	const struct core_room *room;
	uint32_t at = 0;

	while ((room = core_handles_next(&room_table, &at))) {
		if (room->bridge || strcmp(room->id, room_id) != 0)
			continue;
		*ret_room = room->handle;
		return PBX_OK;
	}
	return PBX_ENOENT;
}

/* ---- the service: what everybody hears ---- */

static int play_into(pbx_room handle, struct core_play *play)
{
	struct core_room *room = find_room(handle);

	if (!room)
		return PBX_ENOENT;
	play->tag = ++last_tag;
	play->language = room->language;
	int err = core_media->mix_play(room->mix, play);
	if (err == PBX_OK)
		room->play_tag = play->tag;
	return err;
}

static int room_play(pbx_room handle, const char *prompt)
{
	return play_into(handle, &(struct core_play){ .kind = CORE_PLAY_FILE, .prompts = &prompt, .prompt_count = 1 });
}

static int room_tone(pbx_room handle, const char *tone)
{
	return play_into(handle, &(struct core_play){ .kind = CORE_PLAY_TONE, .text = tone });
}

static int room_say(pbx_room handle, const struct pbx_say *parts, uint32_t count)
{
	const struct core_room *room = find_room(handle);
	struct core_spoken spoken;

	if (!room)
		return PBX_ENOENT;
	int err = core_spoken_compose(room->language, parts, count, &spoken);
	if (err != PBX_OK)
		return err;
	return play_into(handle, &(struct core_play){ .kind = CORE_PLAY_FILE, .prompts = spoken.prompts, .prompt_count = spoken.count });
}

static int room_stop_media(pbx_room handle)
{
	struct core_room *room = find_room(handle);

	if (!room)
		return PBX_ENOENT;
	room->play_tag = 0;
	return core_media->mix_stop(room->mix);
}

/* ---- the service: guests ---- */

/* The room of a conversation, which is mixed from now on. */
static int open_visit(struct core_bridge *bridge)
{
	struct core_room *room;
	int err = room_new(bridge->legs[0]->call->handle.id, false, &room);

	if (err != PBX_OK)
		return err;
	CORE_TEXT(room->name, bridge->id);
	room->bridge = bridge;
	bridge->room = room;
	err = settle_all(room);
	if (err != PBX_OK) {
		bridge->connected = false;
		end_visit(room);
		return err;
	}
	bridge->connected = false;
	return PBX_OK;
}

static int room_attend(struct pbx_host *host, pbx_leg guest, pbx_leg target, const struct pbx_room_part *part,
		       const struct pbx_room_watch *watch, void *self)
{
	struct core_leg *leg = core_leg_alive(guest), *about = core_leg_alive(target);
	struct pbx_room_part whole;

	if (!leg || !about)
		return PBX_ENOENT;
	if (!can_mix())
		return PBX_ENOTSUP;
	if (leg->room)
		return PBX_EBUSY;
	if (!is_answered(leg) || leg->charge.owner != host || !about->bridge)
		return PBX_ESTATE;
	int err = take_part(part, &whole);
	if (err == PBX_OK && !about->bridge->room)
		err = open_visit(about->bridge);
	if (err != PBX_OK)
		return err;

	struct core_room *room = about->bridge->room;
	take_watch(watch, &leg->guest_watch);
	leg->guest_self = self;
	err = put_in(room, leg, &whole);
	if (err != PBX_OK && !room->members)
		end_visit(room);
	return err;
}

/* ---- what the workers tell ---- */

void core_media_on_mix_speaker(core_stream stream)
{
	const struct core_leg *leg = core_leg_of_stream(stream);
	const struct core_room *room = leg ? leg->room : NULL;

	if (room && room->charge.owner && room->watch.speaker)
		CORE_INTO(room->charge.owner, room->watch.speaker(room->self, room->handle, leg->handle));
}

void core_media_on_mix_talking(core_stream stream, bool on)
{
	const struct core_leg *leg = core_leg_of_stream(stream);
	const struct core_room *room = leg ? leg->room : NULL;

	if (room && room->charge.owner && room->watch.talking)
		CORE_INTO(room->charge.owner, room->watch.talking(room->self, room->handle, leg->handle, on));
}

void core_media_on_mix_played(core_mix mix, uint64_t tag, uint32_t how)
{
	struct core_room *room;
	uint32_t at = 0;

	while ((room = core_handles_next(&room_table, &at)))
		if (room->mix.id == mix.id)
			break;
	if (!room || room->play_tag != tag)
		return;
	room->play_tag = 0;
	if (how != PBX_MEDIA_STOPPED && room->charge.owner && room->watch.played)
		CORE_INTO(room->charge.owner, room->watch.played(room->self, room->handle));
}

const struct pbx_rooms core_rooms_service = {
	.header = PBX_HEADER(struct pbx_rooms),
	.open = room_open,
	.close = room_close,
	.adopt = room_adopt,
	.add = room_add,
	.change = room_change,
	.remove = room_remove,
	.play = room_play,
	.tone = room_tone,
	.say = room_say,
	.stop_media = room_stop_media,
	.members = room_members,
	.member = room_member,
	.attend = room_attend,
	.find = room_find,
};
