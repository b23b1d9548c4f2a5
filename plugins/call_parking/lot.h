/* call_parking/lot.h - what the plugin's files share. All of it: [loop].
 *
 *   free ──▶ reserved (*74 dialled: the slot is spoken) ──▶ occupied (the call is transferred there), or free (hung up, 60 s)
 *
 *                park                    fetch dialled
 *   free ─────────────────▶ occupied ─────────────────▶ retrieving ──▶ free (bridged)
 *    ▲                        │    ▲                        │
 *    │ caller hangs up        │    └── fetcher hangs up ────┘
 *    ├────────────────────────┤    ▲
 *    │             recall due │    │ nobody answered, parked again
 *    │                        ▼    │
 *    └────────────────────── comeback ──▶ free (the parker answers, or who is called at comeback_to) */
#pragma once
#include <pbx/bus.h>
#include <pbx/directory.h>
#include <pbx/lamps.h>
#include <pbx/messages.h>
#include <pbx/metrics.h>
#include <pbx/parking.h>
#include <pbx/prompts.h>
#include <pbx/requests.h>
#include <pbx/route.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define MOST_SLOTS 1000u
#define PARTY_TEXT 128u
#define LOT_TEXT 41u
#define RESERVED_MS 60000u /* for so long a slot is kept for who has asked for one and not yet sent the call */

enum slot_state { SLOT_FREE, SLOT_RESERVED, SLOT_OCCUPIED, SLOT_RETRIEVING, SLOT_COMEBACK };

/* One range of slots with its own music and rules. */
struct lot_settings {
	const char *name, *music_class, *groups, *comeback_to, *retrieve_transfer;
	uint32_t range_start, range_end;
};

struct parking_settings {
	uint32_t range_start, range_end, timeout_s, comeback_ring_s, max_comebacks;
	const char *slot_choice, *music_class, *comeback_to, *courtesy_tone, *keys, *code_park, *code_fetch, *groups, *retrieve_transfer,
		*message;
	bool announce;
	struct pbx_objects lots; /* struct lot_settings */
};

struct parking;

/* Between two versions of us during an upgrade: who waits, and since when. Offered as "call_parking.slots/1". */
struct parked {
	uint32_t size;
	pbx_leg leg;
	uint32_t slot, recall_ms, comebacks; /* recall_ms: from now */
	uint64_t parked_at_ms;
	int64_t parked_wall_us;
	const char *parker;
};
struct parking_slots {
	struct pbx_header header;
	void *self;
	/* Takes control of the leg. PBX_OK, PBX_EINVAL (no such slot), PBX_EBUSY (taken), PBX_ENOENT (leg has ended). */
	int (*take)(void *self, const struct parked *parked);
};

struct slot {
	struct parking *parking;
	uint32_t number;
	char lot[LOT_TEXT], music_class[LOT_TEXT];
	enum slot_state state;
	pbx_leg leg, fetcher, asker; /* who waits; who comes to fetch; who has reserved it */
	pbx_leg leaver;              /* who has parked, and hears the slot now */
	uint32_t beeps;              /* courtesy tones that still sound: then the two are bridged */
	pbx_dial dial;               /* the comeback, or a fetch by REST */
	bool sent_on;                /* the comeback: not to the parker any more, but to comeback_to */
	pbx_timer recall;
	uint32_t recall_ms, comebacks;
	uint64_t parked_at_ms, recall_at_ms;
	int64_t parked_wall_us;
	pbx_call call;
	char call_id[32], parker[PARTY_TEXT], caller[PARTY_TEXT], caller_name[PARTY_TEXT];
};

struct parking {
	PBX_INSTANCE(struct parking_settings);
	const struct pbx_calls *calls;
	const struct pbx_routing *routing;
	const struct pbx_store *store;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	const struct pbx_bus *bus;
	const struct pbx_lamps *lamps;
	const struct pbx_timers *timers;
	const struct pbx_metrics *metrics;
	const struct pbx_directory *directory; /* functions NULL without accounts */
	const struct pbx_messages *messages;   /* functions NULL where nobody carries messages */
	const struct parking_slots *successor; /* call_parking.slots/1: our own, or after an upgrade the next one's */
	struct pbx_parking service;
	struct parking_slots slots_service;
	struct slot *slots; /* in order of number within each lot, the default lot first */
	uint32_t slot_count, last_used;
};

#define METRIC_OCCUPIED 0u
#define METRIC_PARKED 1u

/* ---- lot.c: which slots there are ---- */
int lot_make(struct parking *parking, struct pbx_diag *diag); /* from the settings. PBX_EINVAL: ranges overlap or are too long */
int lot_check(const struct parking_settings *settings, struct pbx_diag *diag);
struct slot *lot_find(struct parking *parking, uint32_t number);   /* NULL: no such slot */
struct slot *lot_choose(struct parking *parking, const char *lot); /* a free one by slot_choice; NULL: full */
/* The lot where this number's calls wait: one of its group's before one that is open to all. "default" when it may use none. Borrowed. */
const char *lot_of(const struct parking *parking, const char *number);
bool lot_permits(const struct parking *parking, const char *lot, const char *number); /* to park and fetch there */
struct lot_settings lot_rules(const struct parking *parking, const char *lot);        /* as the settings are now */
void lot_free(struct parking *parking);

static inline bool slot_has_call(const struct slot *slot)
{
	return slot->leg.id != 0;
}

/* ---- park.c: who waits ---- */
void slot_begin(struct slot *slot, const char *parker); /* of whoever had it before nothing is left. parker NULL: nobody */
/* number 0: any. PBX_OK, PBX_ENOSPC, PBX_EBUSY, PBX_EINVAL, PBX_ENOENT. */
int slot_park(struct parking *parking, pbx_leg leg, const char *parker, uint32_t recall_ms, uint32_t number, struct slot **ret_slot);
int slot_take(struct parking *parking, const struct parked *parked); /* as parking_slots.take */
int slot_drop(struct slot *slot);                                    /* hangs up on who waits. PBX_ENOENT: nobody is there */
void slot_vacate(struct slot *slot);
void slot_play_music(const struct slot *slot);
struct slot *parking_slot_of(struct parking *parking, pbx_leg leg); /* where it waits, fetches or asks; NULL */
void park_hand_over(struct parking *parking);                       /* gives every waiting leg to the successor */

/* ---- comeback.c: forgotten ---- */
void slot_wait_on(struct slot *slot); /* waits with music, and the recall is wound up anew */
void slot_arm_recall(struct slot *slot, uint32_t after_ms);

/* ---- fetch.c ---- */
void slot_fetch(struct slot *slot, pbx_leg fetcher);      /* a new leg has dialled a slot where somebody waits */
int slot_bring(struct slot *slot, const char *extension); /* rings the extension and connects. PBX_ESTATE: nobody is there */
bool slot_can_be_fetched(const struct slot *slot);
void slot_limit_transfers(const struct slot *slot, pbx_leg parked, pbx_leg retriever); /* of two who talk now, as retrieve_transfer says */
void fetch_on_media_done(void *self, pbx_leg leg);                                     /* of who waits, too */

/* ---- attended.c: a slot is asked for, spoken, and the call sent after ---- */
void attended_begin(struct parking *parking, pbx_leg asker, const char *number);

/* ---- words.c: what a parker hears, or reads ---- */
int words_say_slot(const struct parking *parking, pbx_leg leg, uint32_t number); /* media_done follows. As pbx_calls.say */
void words_leave(struct slot *slot, pbx_leg parker);         /* a parker hears the slot, then is hung up; gone before, it gets a message */
void words_write(const struct slot *slot, const char *when); /* a message to the parker, when the setting `message` says so */
void words_refuse(struct parking *parking, pbx_leg leg, uint32_t sip_code); /* a new leg hears why, without an answer, then gets the code */

/* ---- telling.c: events, the row, the gauge ---- */
struct pbx_json *slot_facts(const struct slot *slot);
void slot_tell(const struct slot *slot, const char *type, struct pbx_json *data); /* data is taken */
void slot_light(const struct slot *slot);                                         /* its lamp, as it is now */
void slot_tell_lamp(const struct slot *slot);
void slot_tell_retrieved(const struct slot *slot, const char *by);
void slot_store_row(const struct slot *slot);
void slot_remove_row(const struct slot *slot);
void parking_count(struct parking *parking, double by);

/* ---- dialled.c: numbers and keys ---- */
int dialled_start(struct parking *parking);
int park_peer(struct parking *parking, pbx_leg parker, uint32_t number,
	      struct slot **ret_slot); /* parks who talks with `parker`, who then hears where */

/* ---- requests.c ---- */
void parking_on_list(void *self, pbx_request request);
void parking_on_park(void *self, pbx_request request);
void parking_on_fetch(void *self, pbx_request request);
void parking_on_drop(void *self, pbx_request request);
