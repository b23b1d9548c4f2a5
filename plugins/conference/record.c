/*
 * record - a conference is recorded as one of its members hears it, and says
 *
 * Who keeps recordings is another plugin (pbx/recordings.h). A recording lasts as long as its member's leg; when that leaves the room, the next part is
 * another member's, in the same group.
 */
#include "conference.h"

static const struct member *first_in(const struct room *room)
{
	const struct member *member = room->members;

	while (member && member->state != MEMBER_IN)
		member = member->next;
	return member;
}

static int begin(struct room *room)
{
	const struct pbx_recordings *recordings = room->conference->recordings;
	const struct member *member = first_in(room);

	if (!recordings->begin_room)
		return PBX_ENOTSUP;
	if (!member)
		return PBX_ESTATE;
	int err = recordings->begin_room(recordings->self, member->leg, room->rules.number, room->session, "conference");

	if (err == PBX_OK)
		room->recorded = member->leg;
	return err == PBX_EEXIST ? PBX_OK : err; /* a rule has this member recorded: as good */
}

static void end(struct room *room)
{
	const struct pbx_recordings *recordings = room->conference->recordings;

	if (room->recorded.id && recordings->end)
		(void)recordings->end(recordings->self, room->recorded); /* it has ended with its leg, or by its limit */
	room->recorded = (pbx_leg){ 0 };
}

int room_record(struct room *room, bool on)
{
	if (room->recording == on)
		return PBX_OK;
	int err = on ? begin(room) : PBX_OK;

	if (err != PBX_OK) {
		pbx_warn(room->conference->host, "not_recorded", "room=%s result=%d", room->rules.number, err);
		return err;
	}
	if (!on)
		end(room);
	room->recording = on;
	if (room_in(room) > 0)
		(void)room->conference->rooms->play(room->mix, on ? "conference_recorded" : "conference_not_recorded"); /* or silently */
	return PBX_OK;
}

void room_record_goes_on(struct room *room, pbx_leg without)
{
	if (!room->recording || room->recorded.id != without.id)
		return;
	end(room);
	if (first_in(room) && begin(room) != PBX_OK)
		room->recording = false;
}
