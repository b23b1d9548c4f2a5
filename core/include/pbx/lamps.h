/* pbx/lamps.h - lamps that are no telephone line: parking slots, queues, a door that is open
 * Served by the core as "pbx.lamps/1". All of it: [loop].
 *
 * Who knows the state of a number lights its lamp; whoever shows lamps (phones subscribe to package "dialog") reads it here. The two need not know of each
 * other, and may come and go in any order. A lamp is out again when its owner goes. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_LAMP_OFF 0u
#define PBX_LAMP_BLINKS 1u /* shown as a call that rings ("early", RFC 4235) */
#define PBX_LAMP_ON 2u     /* shown as a call that lasts ("confirmed") */

/* Borrowed; texts may be NULL for "". */
struct pbx_lamp {
	uint32_t size;
	uint32_t state;          /* PBX_LAMP_… */
	const char *number;      /* what phones watch, and dial when the key is pressed */
	const char *remote;      /* number of who is there */
	const char *remote_name; /* and their name */
};

typedef void (*pbx_lamp_fn)(void *self, const struct pbx_lamp *lamp);

struct pbx_lamps {
	struct pbx_header header;

	/* PBX_OK, PBX_EINVAL, PBX_EEXIST (another owner lights this number), PBX_ENOMEM. */
	int (*light)(struct pbx_host *host, const struct pbx_lamp *lamp);
	/* changed(self, lamp) whenever one is another; texts are never NULL. One listener of an owner. PBX_OK, PBX_ENOMEM. */
	int (*listen)(struct pbx_host *host, pbx_lamp_fn changed, void *self);
	/* each(context, lamp) for one that is known, or for all: number NULL. How many there were. */
	uint32_t (*each)(const char *number, pbx_lamp_fn each, void *context);
};

PBX_SERVICE(pbx_lamps, "pbx.lamps/1")

#ifdef __cplusplus
}
#endif
