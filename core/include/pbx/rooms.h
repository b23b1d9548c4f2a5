/* pbx/rooms.h - many parties hear each other: conferences, and a third party in a conversation of two
 * Served by the core as "pbx.rooms/1". All of it: [loop].
 *
 * A room mixes the voices of its members; each hears the others, at the highest rate that any of them speaks. A member stays controlled by
 * who put it there: its keys, its hold, its end are told to its controller as ever, and what is played to it alone (pbx_calls.play, say,
 * music) it hears instead of the room until that is over. While it holds us it neither speaks nor hears. It leaves when it ends, and when
 * it is controlled, routed, dialled for or bridged by anybody but the room's owner. Keys do not reach other members. */
#pragma once
#include <pbx/calls.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_ROOM_TALKS 1u /* heard by everybody in the room */
#define PBX_ROOM_HEARS 2u /* hears everybody */
#define PBX_ROOM_BOTH 3u

#define PBX_ROOM_MOST_GAIN_CDB 2000 /* louder; softer: as far as -4000 */

/* What a member does in its room. */
struct pbx_room_part {
	uint32_t size;
	uint32_t role; /* PBX_ROOM_…; 0: neither (muted and deaf) */
	pbx_leg to;    /* without TALKS: the member that hears it alone (a whisper; with HEARS: a coach). None: nobody does */
	int32_t talk_gain_cdb, hear_gain_cdb; /* hundredths of a decibel: how loud it is heard, how loud it hears */
};

/* Grows at its end: who asks for members is told how long theirs is by .size. */
struct pbx_room_member {
	uint32_t size;
	pbx_leg leg;
	uint32_t role;
	pbx_leg to;
	int32_t talk_gain_cdb, hear_gain_cdb;
	bool talking;        /* speaks now, as far as its line is louder than its background */
	int32_t level_cdbov; /* of the newest 20 ms, as RFC 6465 has it: 0 is full scale, -12700 silence */
	bool away;           /* it holds us, or we hold it */
	pbx_room room;       /* where; none: a guest of a conversation */
};

#define PBX_ROOM_UNGATED 1u /* members are heard when they do not speak, too: their background, whispers, music */

struct pbx_room_spec {
	uint32_t size;
	const char *name;     /* for events and logs: "2000" */
	const char *language; /* of what is played into it; NULL or "": the default's */
	uint32_t flags;       /* PBX_ROOM_UNGATED */
};

/* What the owner of a room hears of it. Any function may be NULL. size = sizeof the caller's structure. */
struct pbx_room_watch {
	uint32_t size;
	/* Somebody else holds the floor: has spoken for a while, and louder than who did before. */
	void (*speaker)(void *self, pbx_room room, pbx_leg leg);
	/* A member has begun to speak, or has been silent for 400 ms. */
	void (*talking)(void *self, pbx_room room, pbx_leg leg, bool on);
	/* It is in the room no more, and nobody has called remove(): it has ended, was taken elsewhere, or the conversation it attended is over. */
	void (*left)(void *self, pbx_room room, pbx_leg leg);
	/* What was played into the room is over by itself, or cannot be played. */
	void (*played)(void *self, pbx_room room);
};

struct pbx_rooms {
	struct pbx_header header;

	/* An empty room. Charged to the caller. PBX_OK, PBX_ENOMEM, PBX_ENOTSUP (media cannot mix). */
	int (*open)(struct pbx_host *host, const struct pbx_room_spec *spec, const struct pbx_room_watch *watch, void *self,
		    pbx_room *ret_room);
	/* Members stay whose they are and hear nothing. left is not called. PBX_OK, PBX_ENOENT. */
	int (*close)(pbx_room room);
	/* Another owner: a new version of a plugin takes over what the old one began. Its members are to be taken by control() next, which leaves
	 * them where they are: nobody hears a gap. PBX_OK, PBX_ENOENT, PBX_ESTATE (a conversation that is attended). */
	int (*adopt)(struct pbx_host *host, pbx_room room, const struct pbx_room_watch *watch, void *self);

	/* An answered leg that the room's owner controls comes in. What plays to it goes on and wins. PBX_OK, PBX_ENOENT (room or leg),
	 * PBX_ESTATE (not answered, or controlled by somebody else), PBX_EBUSY (it is in a room), PBX_EINVAL (part), PBX_ENOMEM. */
	int (*add)(pbx_room room, pbx_leg leg, const struct pbx_room_part *part);
	/* Within 20 ms, without a click. Of guests, too. PBX_OK, PBX_ENOENT (it is in no room), PBX_EINVAL, PBX_ENOMEM. */
	int (*change)(pbx_leg leg, const struct pbx_room_part *part);
	/* It hears nothing from now on. PBX_OK, PBX_ENOENT (it is in no room). */
	int (*remove)(pbx_leg leg);

	/* Everybody in the room hears it; what was played before stops. played when over. PBX_OK, PBX_ENOENT, PBX_EINVAL (no such prompt, tone or
	 * words), PBX_ENOMEM. */
	int (*play)(pbx_room room, const char *prompt);
	int (*tone)(pbx_room room, const char *tone);
	int (*say)(pbx_room room, const struct pbx_say *parts, uint32_t count);
	int (*stop_media)(pbx_room room); /* played is not called */

	/* Calls each(context, member) for everybody in the room, in the order of coming. member is borrowed; each may change nothing.
	 * PBX_OK, PBX_ENOENT. */
	int (*members)(pbx_room room, void (*each)(void *context, const struct pbx_room_member *member), void *context);
	/* One of them. ret_member->size says how much of it you know. PBX_OK, PBX_ENOENT (the leg is in no room). */
	int (*member)(pbx_leg leg, struct pbx_room_member *ret_member);

	/* ---- a third party in a conversation of two --------------------------------------------------------------------- */

	/* `guest`, answered and ours, joins two bridged parties: with HEARS it listens, with .to one of them it whispers to that one, with
	 * BOTH it barges in. The two talk on without a gap, and nothing is renegotiated with them; when the last guest has left they are
	 * relayed as before. Several guests may attend. When the conversation ends, or the one it is about has left it, the guest hears
	 * nothing and left is called (room: none). talking and speaker are not. change() and remove() are for guests as for members.
	 * PBX_OK, PBX_ENOENT, PBX_ESTATE (target is in no conversation, guest is not answered or not ours), PBX_EBUSY (guest is in a room),
	 * PBX_EINVAL, PBX_ENOTSUP, PBX_ENOMEM. */
	int (*attend)(struct pbx_host *host, pbx_leg guest, pbx_leg target, const struct pbx_room_part *part,
		      const struct pbx_room_watch *watch, void *self);

	/* The room with an id as room.entered shows it. PBX_OK, PBX_ENOENT (also the id of a conversation with guests). */
	int (*find)(const char *room_id, pbx_room *ret_room);
};

PBX_SERVICE(pbx_rooms, "pbx.rooms/1")

#ifdef __cplusplus
}
#endif
