/* pbx/parking.h - slots where a leg waits until somebody fetches it
 * Offered as "pbx.parking/1" by whichever plugin runs the lot. All of it: [loop]. */
#pragma once
#include <pbx/calls.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pbx_parking {
	struct pbx_header header;
	void *self;

	/* Parks a leg: it hears music until fetched, or until recall_ms (0: the lot's) have passed and the number `parker` rings.
	 * *ret_slot: in, the slot wanted or 0 for any; out, the slot it got. The lot takes control of the leg.
	 * PBX_OK, PBX_ENOSPC (lot is full), PBX_EBUSY (slot is taken), PBX_EINVAL (no such slot), PBX_ENOENT (leg has ended). */
	int (*park)(void *self, pbx_leg leg, const char *parker, uint32_t recall_ms, uint32_t *ret_slot);

	/* The leg in a slot; control stays with the lot. PBX_OK, PBX_ENOENT (slot is free). */
	int (*find)(void *self, uint32_t slot, pbx_leg *ret_leg);
};

PBX_SERVICE(pbx_parking, "pbx.parking/1")

#ifdef __cplusplus
}
#endif
