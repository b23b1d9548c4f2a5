/*
 * room - everybody in a conference shows whether somebody records it (RFC 7866 6.1)
 *
 * Whoever is recorded in a room has the voices of all in the file. So a party that comes in is told what holds there, all are told when that changes, and
 * one that leaves is told that it is over, unless it is recorded by itself.
 */
#include "call_recording.h"

struct telling {
	const struct plugin *plugin;
	uint32_t recording; /* PBX_RECORDING_… */
};

static void look_at(void *context, const struct pbx_room_member *member)
{
	struct telling *telling = context;
	const struct active *active = active_of_leg(telling->plugin, member->leg);

	uint32_t recording = active ? record_shown(active) : PBX_RECORDING_OFF;

	if (recording != PBX_RECORDING_OFF && telling->recording != PBX_RECORDING_ON)
		telling->recording = recording;
}

static void show(void *context, const struct pbx_room_member *member)
{
	const struct telling *telling = context;

	(void)telling->plugin->calls->set_recorded(member->leg, telling->recording); /* or it has just gone */
}

static uint32_t recording_of(const struct plugin *plugin, pbx_room room)
{
	struct telling telling = { .plugin = plugin, .recording = PBX_RECORDING_OFF };

	(void)plugin->rooms->members(room, look_at, &telling); /* nobody is in a room that has gone */
	return telling.recording;
}

static void tell_all(const struct plugin *plugin, pbx_room room)
{
	struct telling telling = { .plugin = plugin, .recording = recording_of(plugin, room) };

	(void)plugin->rooms->members(room, show, &telling);
}

bool room_tell(const struct plugin *plugin, pbx_leg leg)
{
	struct pbx_room_member member = { .size = sizeof member };

	if (plugin->rooms->member(leg, &member) != PBX_OK || !member.room.id)
		return false;
	tell_all(plugin, member.room);
	return true;
}

void room_entered(const struct plugin *plugin, pbx_leg leg)
{
	struct pbx_room_member member = { .size = sizeof member };

	if (plugin->rooms->member(leg, &member) == PBX_OK && member.room.id) /* no guest of a conversation, and it is there still */
		(void)plugin->calls->set_recorded(leg, recording_of(plugin, member.room));
}

void room_left(const struct plugin *plugin, pbx_leg leg, const char *room_id)
{
	struct pbx_room_member elsewhere = { .size = sizeof elsewhere };
	pbx_room room;
	pbx_leg peer;

	if (leg.id && !active_of_leg(plugin, leg) && plugin->calls->peer(leg, &peer) != PBX_OK &&
	    plugin->rooms->member(leg, &elsewhere) != PBX_OK)
		(void)plugin->calls->set_recorded(leg, PBX_RECORDING_OFF);
	if (plugin->rooms->find(room_id, &room) == PBX_OK)
		tell_all(plugin, room);
}
