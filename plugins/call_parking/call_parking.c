/*
 * call_parking - put a call into a numbered slot and fetch it from any phone; forgotten, it comes back
 *
 * lot.h has the picture. lot.c knows the slots, dialled.c the numbers and keys that lead here, park.c who waits, attended.c who asks for a slot first,
 * fetch.c who fetches, comeback.c what was forgotten, words.c what parkers hear, telling.c what the world learns, requests.c what people ask.
 * A slot claims its number in the number plan, so a lot that overlaps another feature's numbers does not start. On an upgrade the waiting calls move
 * to the new version.
 */
#include "lot.h"
#include <string.h>

#define NUMBER(member, initial_value, text)                                                                                                \
	PBX_UINT(struct parking_settings, member, .initial = initial_value, .least = 1, .most = 999999, .flags = PBX_SETTING_RESTART,      \
		 .help = text)

#define RETRIEVE_TRANSFER(type)                                                                                                            \
	PBX_CHOICE(type, retrieve_transfer, .initial_text = "both", .choices = PBX_CHOICES("both", "retriever", "parked", "none"),         \
		   .help = "Who may transfer the call on after it was fetched")

static const struct pbx_setting lot_rows[] = {
	PBX_TEXT(struct lot_settings, name, .flags = PBX_SETTING_NEEDED, .least = 1, .most = 40, .help = "Name of the lot"),
	PBX_UINT(struct lot_settings, range_start, .flags = PBX_SETTING_NEEDED, .least = 1, .most = 999999, .help = "First slot"),
	PBX_UINT(struct lot_settings, range_end, .flags = PBX_SETTING_NEEDED, .least = 1, .most = 999999, .help = "Last slot"),
	PBX_TEXT(struct lot_settings, groups, .initial_text = "", .most = 200,
		 .help = "Pickup groups whose extensions may park and fetch here, as \"sales, support\"; empty: everybody"),
	PBX_TEXT(struct lot_settings, music_class, .initial_text = "", .most = 40,
		 .help = "Music of those who wait; empty: the default class"),
	PBX_TEXT(struct lot_settings, comeback_to, .initial_text = "", .most = 50,
		 .help = "Where a call goes when the parker does not answer; empty: as from the default lot"),
	RETRIEVE_TRANSFER(struct lot_settings),
};

static const struct pbx_setting settings[] = {
	NUMBER(range_start, 70, "First slot of the default lot"),
	NUMBER(range_end, 79, "Last slot of the default lot"),
	PBX_OBJECTS(struct parking_settings, lots, .fields = PBX_TABLE(lot_rows), .object_size = sizeof(struct lot_settings),
		    .flags = PBX_SETTING_RESTART, .help = "Further lots with slots and music of their own"),
	PBX_UINT(struct parking_settings, timeout_s, .initial = 120, .least = 5, .most = 86400, .unit = "s",
		 .help = "After so long the parker's phone rings"),
	PBX_UINT(struct parking_settings, comeback_ring_s, .initial = 30, .least = 5, .most = 600, .unit = "s",
		 .help = "How long it rings then"),
	PBX_TEXT(struct parking_settings, comeback_to, .initial_text = "", .most = 50,
		 .help = "Number the call goes to when the parker does not answer, {parker} in it being the parker's (*{parker}); nobody "
			 "there, "
			 "or empty: it is parked again"),
	PBX_UINT(struct parking_settings, max_comebacks, .initial = 3, .least = 1, .most = 100,
		 .help = "How often it comes back before it is given up"),
	PBX_CHOICE(struct parking_settings, slot_choice, .initial_text = "first", .choices = PBX_CHOICES("first", "next"),
		   .help = "Which free slot is taken: the lowest, or the one after the last taken"),
	PBX_TEXT(struct parking_settings, music_class, .initial_text = "", .most = 40, .flags = PBX_SETTING_RESTART,
		 .help = "Music of those who wait; empty: the default class"),
	PBX_TEXT(struct parking_settings, groups, .initial_text = "", .most = 200,
		 .help = "Pickup groups whose extensions may use the default lot, as \"sales, support\"; empty: everybody"),
	RETRIEVE_TRANSFER(struct parking_settings),
	PBX_CHOICE(struct parking_settings, message, .initial_text = "unheard", .choices = PBX_CHOICES("unheard", "always", "never"),
		   .help = "Send the slot as a text message (SIP MESSAGE) to who parks: when that phone hung up before it was said, "
			   "always, never"),
	PBX_BOOL(struct parking_settings, announce, .initial = 1,
		 .help = "Say the slot to who parks, and why not to who parks or fetches in vain; off: tones and codes only"),
	PBX_CHOICE(struct parking_settings, courtesy_tone, .initial_text = "none",
		   .choices = PBX_CHOICES("none", "caller", "parked", "both"), .help = "Who hears a beep when a call is fetched"),
	PBX_TEXT(struct parking_settings, keys, .initial_text = "", .most = 8, .flags = PBX_SETTING_RESTART,
		 .help = "Keys that park the other party during a call, as ##; empty: none"),
	PBX_TEXT(struct parking_settings, code_park, .initial_text = "*74", .most = 10, .flags = PBX_SETTING_RESTART,
		 .help = "Number that a call is transferred to in order to park it"),
	PBX_TEXT(struct parking_settings, code_fetch, .initial_text = "*75", .most = 10, .flags = PBX_SETTING_RESTART,
		 .help = "Dialled before a slot's number to fetch, as the slot's number alone does"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "slots",
	  "CREATE TABLE call_parking_slots (slot INTEGER PRIMARY KEY, lot TEXT NOT NULL, call_id TEXT NOT NULL, parker TEXT NOT NULL,"
	  " caller TEXT NOT NULL, parked_at INTEGER NOT NULL, timeout_at INTEGER NOT NULL, comebacks INTEGER NOT NULL)" },
};

static const struct pbx_metric metrics[] = {
	[METRIC_OCCUPIED] = { .name = "pbx_parking_occupied", .kind = PBX_METRIC_GAUGE, .help = "Slots where somebody waits" },
	[METRIC_PARKED] = { .name = "pbx_parking_parked_total", .kind = PBX_METRIC_COUNTER, .help = "Calls parked" },
};

static const struct pbx_field park_fields[] = {
	{ "lot", PBX_TYPE_TEXT, "Name of the lot" },
	{ "slot", PBX_TYPE_INT, "Number of the slot" },
	{ "parked_by", PBX_TYPE_TEXT, "Who parked" },
	{ "caller", PBX_TYPE_TEXT, "Who waits" },
	{ "retrieved_by", PBX_TYPE_TEXT, "call.retrieved: who fetched" },
	{ "parked_ms", PBX_TYPE_INT, "call.retrieved: how long it waited" },
	{ "comeback", PBX_TYPE_INT, "call.park_timeout: how often it has come back" },
};
static const struct pbx_field lamp_fields[] = {
	{ "slot", PBX_TYPE_INT, "Number of the slot" },
	{ "state", PBX_TYPE_TEXT, "confirmed while somebody waits, else terminated (RFC 4235)" },
	{ "caller", PBX_TYPE_TEXT, "Who waits, or null" },
	{ "caller_name", PBX_TYPE_TEXT, "Their name, or null" },
};
static const struct pbx_event_type events[] = {
	{ "call.parked", "A call was put into a slot", PBX_TABLE(park_fields) },
	{ "call.retrieved", "A parked call was fetched, or its parker answered", PBX_TABLE(park_fields) },
	{ "call.park_timeout", "A parked call was forgotten and comes back", PBX_TABLE(park_fields) },
	{ "call.park_abandoned", "Whoever waited hung up", PBX_TABLE(park_fields) },
	{ "parking.slot", "A slot was taken or became free", PBX_TABLE(lamp_fields) },
};

static const struct pbx_arg slot_arg[] = {
	{ .name = "slot", .type = PBX_TYPE_INT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 999999, .help = "Number of the slot" },
};
static const struct pbx_arg park_args[] = {
	{ .name = "call_id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Id of the call", .completes = "call" },
	{ .name = "slot", .type = PBX_TYPE_INT, .least = 1, .most = 999999, .help = "Which slot; left out: a free one" },
	{ .name = "parker", .type = PBX_TYPE_TEXT, .most = 50, .help = "Which party parks the other; left out: the one who was called" },
};
static const struct pbx_arg fetch_args[] = {
	{ .name = "slot", .type = PBX_TYPE_INT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 999999, .help = "Number of the slot" },
	{ .name = "extension",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .most = 50,
	  .help = "Who is rung to take the call",
	  .completes = "extension" },
};
static const struct pbx_field slot_fields[] = {
	{ "slot", PBX_TYPE_INT, "Number of the slot" },
	{ "lot", PBX_TYPE_TEXT, "Name of its lot" },
	{ "state", PBX_TYPE_TEXT, "reserved, occupied, retrieving, comeback" },
	{ "caller", PBX_TYPE_TEXT, "Who waits" },
	{ "caller_name", PBX_TYPE_TEXT, "Their name" },
	{ "parker", PBX_TYPE_TEXT, "Who parked" },
	{ "call_id", PBX_TYPE_TEXT, "Id of the call" },
	{ "parked_at", PBX_TYPE_TIME, "Since when; null while the slot is only reserved" },
	{ "parked_s", PBX_TYPE_INT, "For how long; null likewise" },
	{ "comebacks", PBX_TYPE_INT, "How often it came back" },
};

static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/parking",
	  .handle = parking_on_list,
	  .scope = "parking:read",
	  .summary = "Who waits where",
	  .reply = PBX_TABLE(slot_fields) },
	{ .method = "POST",
	  .path = "/parking",
	  .handle = parking_on_park,
	  .scope = "parking:write",
	  .summary = "Park a party of a call",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(park_args),
	  .reply = PBX_TABLE(slot_fields) },
	{ .method = "POST",
	  .path = "/parking/{slot}/retrieve",
	  .handle = parking_on_fetch,
	  .scope = "parking:write",
	  .summary = "Ring an extension and connect it with who waits",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(fetch_args),
	  .reply = PBX_TABLE(slot_fields) },
	{ .method = "DELETE",
	  .path = "/parking/{slot}",
	  .handle = parking_on_drop,
	  .scope = "parking:write",
	  .summary = "Hang up on who waits",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(slot_arg) },
};

#define COLUMNS "slot,lot,state,caller,caller_name,parker,parked_s,comebacks"
static const struct pbx_command commands[] = {
	{ .words = "parking list", .handle = parking_on_list, .help = "Who waits where", .columns = COLUMNS },
	{ .words = "parking park",
	  .handle = parking_on_park,
	  .help = "Park a party of a call",
	  .args = PBX_TABLE(park_args),
	  .columns = COLUMNS },
	{ .words = "parking fetch",
	  .handle = parking_on_fetch,
	  .help = "Ring an extension and connect it with who waits",
	  .args = PBX_TABLE(fetch_args),
	  .columns = COLUMNS },
	{ .words = "parking drop", .handle = parking_on_drop, .help = "Hang up on who waits", .args = PBX_TABLE(slot_arg) },
};

/* ---- pbx.parking/1 -------------------------------------------------------------------- */

static int service_park(void *self, pbx_leg leg, const char *parker, uint32_t recall_ms, uint32_t *ret_slot)
{
	struct slot *slot;
	int err = slot_park(self, leg, parker, recall_ms, *ret_slot, &slot);

	if (err == PBX_OK)
		*ret_slot = slot->number;
	return err;
}

static int service_find(void *self, uint32_t number, pbx_leg *ret_leg)
{
	const struct slot *slot = lot_find(self, number);

	if (!slot || !slot_has_call(slot))
		return PBX_ENOENT;
	*ret_leg = slot->leg;
	return PBX_OK;
}

static int slots_take(void *self, const struct parked *parked)
{
	return slot_take(self, parked);
}

static const void *parking_offer(void *self, const char *id)
{
	struct parking *parking = self;

	if (strcmp(id, "call_parking.slots/1") == 0) {
		parking->slots_service =
			(struct parking_slots){ .header = PBX_HEADER(struct parking_slots), .self = self, .take = slots_take };
		return &parking->slots_service;
	}
	parking->service =
		(struct pbx_parking){ .header = PBX_HEADER(struct pbx_parking), .self = self, .park = service_park, .find = service_find };
	return &parking->service;
}

/* ---- life ----------------------------------------------------------------------------- */

static int parking_load(void *self)
{
	struct parking *parking = self;
	struct pbx_host *host = parking->host;
	struct pbx_diag diag = { .text = "" };

	parking->calls = pbx_calls(host);
	parking->routing = pbx_routing(host);
	parking->store = pbx_store(host);
	parking->requests = pbx_requests(host);
	parking->json = pbx_jsons(host);
	parking->bus = pbx_bus(host);
	parking->lamps = pbx_lamps(host);
	parking->timers = pbx_timers(host);
	parking->metrics = pbx_metrics(host);
	parking->directory = pbx_directory(host);
	parking->messages = pbx_messages(host);
	parking->successor = host->service(host, "call_parking.slots/1", sizeof *parking->successor);
	int err = lot_make(parking, &diag);
	if (err == PBX_EINVAL)
		pbx_error(host, "lots_refused", "reason=\"%s\"", diag.text);
	return err;
}

static int parking_start(void *self)
{
	struct parking *parking = self;
	int err = dialled_start(parking);

	for (uint32_t i = 0; i < parking->slot_count; i++)
		slot_light(&parking->slots[i]);

	/* Whoever waited when the PBX stopped waits no more; a version before us hands over whom it has. */
	if (err == PBX_OK)
		err = parking->store->record(parking->host, "DELETE FROM call_parking_slots", NULL, 0, NULL, NULL);
	return err;
}

static int parking_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	(void)self;
	return lot_check(proposed, diag);
}

static void parking_drain(void *self)
{
	park_hand_over(self);
}

static void parking_unload(void *self)
{
	lot_free(self);
}

PBX_PLUGIN(call_parking)
= {
	PBX_PLUGIN_HEADER,
	.name = "call_parking",
	.version = "1.0.0",
	.summary = "Park a call in a slot, fetch it from any phone",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.route/1", "pbx.store/1", "pbx.requests/1", "pbx.json/1", "pbx.bus/1", "pbx.lamps/1",
			   "pbx.timers/1", "pbx.metrics/1", "pbx.directory/1?", "pbx.messages/1?", "call_parking.slots/1?"),
	.offers = PBX_OFFERS("pbx.parking/1", "call_parking.slots/1"),
	.instance_size = sizeof(struct parking),
	PBX_SETTINGS(struct parking_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = parking_load,
	.start = parking_start,
	.reload = parking_reload,
	.drain = parking_drain,
	.unload = parking_unload,
	.offer = parking_offer,
};
