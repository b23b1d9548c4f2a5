/* pbx/recordings.h - conversations that are kept: who runs one asks for its recording, and need not know where and how long
 * Offered as "pbx.recordings/1" by the plugin that keeps them. All of it: [loop]. */
#pragma once
#include <pbx/calls.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pbx_recordings {
	struct pbx_header header;
	void *self;

	/* Records what a member of a room says and hears, both in one channel: with one member the whole room is recorded. room: what is called, as
	 * callers know it ("2000"). group: what belongs together, a ULID; NULL: the leg's call. reason: a word for lists ("conference"). It
	 * ends with the leg. PBX_OK, PBX_EPERM (nothing is recorded here, or a rule forbids it), PBX_EEXIST (the leg is recorded already),
	 * PBX_ENOENT (leg has ended), PBX_ESTATE, PBX_ENOTSUP, PBX_ENOMEM. */
	int (*begin_room)(void *self, pbx_leg leg, const char *room, const char *group, const char *reason);
	/* PBX_OK, PBX_ENOENT (it is not recorded), PBX_EPERM (a rule records it). */
	int (*end)(void *self, pbx_leg leg);
};

PBX_SERVICE(pbx_recordings, "pbx.recordings/1")

#ifdef __cplusplus
}
#endif
