/*
 * requests - who waits where, as people see and change it, by REST and by pbxctl
 */
#include "lot.h"
#include <string.h>

static const char *state_name(enum slot_state state)
{
	static const char *const names[] = { "free", "reserved", "occupied", "retrieving", "comeback" };

	return names[state];
}

static struct pbx_json *describe(const struct slot *slot)
{
	const struct parking *parking = slot->parking;
	const struct pbx_jsons *json = parking->json;
	struct pbx_json *object = json->new_object();

	(void)json->set_integer(object, "slot", slot->number);
	(void)json->set_text(object, "lot", slot->lot);
	(void)json->set_text(object, "state", state_name(slot->state));
	(void)json->set_text(object, "caller", slot->caller);
	(void)json->set_text(object, "caller_name", slot->caller_name);
	(void)json->set_text(object, "parker", slot->parker);
	(void)json->set_text(object, "call_id", slot->call_id);
	(void)json->set_time(object, "parked_at", slot->parked_wall_us);
	if (slot->parked_wall_us) /* else it is reserved: nobody waits yet */
		(void)json->set_integer(object, "parked_s", (int64_t)((parking->host->now_ms(parking->host) - slot->parked_at_ms) / 1000));
	else
		(void)json->set_text(object, "parked_s", NULL);
	(void)json->set_integer(object, "comebacks", slot->comebacks);
	return object;
}

/* Who is limited to an account sees and does what its phone may. */
static bool may_use(const struct parking *parking, pbx_request request, const struct slot *slot)
{
	const char *own = parking->requests->own_account(request);

	return !own[0] || lot_permits(parking, slot->lot, own);
}

static void refuse(const struct parking *parking, pbx_request request, const char *field, const char *why)
{
	(void)parking->requests->fail(request, 403, "not_allowed", field, "%s", why);
}

void parking_on_list(void *self, pbx_request request)
{
	struct parking *parking = self;
	struct pbx_json *answer = parking->json->new_object(), *items = parking->json->new_array();

	for (uint32_t i = 0; i < parking->slot_count; i++)
		if (parking->slots[i].state != SLOT_FREE && may_use(parking, request, &parking->slots[i]))
			(void)parking->json->append(items, describe(&parking->slots[i]));
	(void)parking->json->set(answer, "items", items);
	(void)parking->requests->reply(request, 200, answer);
}

/* The occupied slot a request names; NULL when it has been refused. */
static struct slot *asked_slot(struct parking *parking, pbx_request request)
{
	uint32_t number = (uint32_t)parking->requests->integer(request, "slot", 0);
	struct slot *slot = lot_find(parking, number);

	if (slot && slot_has_call(slot) && may_use(parking, request, slot))
		return slot;
	(void)parking->requests->fail(request, 404, "not_found", "slot", slot ? "nobody waits in slot %u" : "there is no slot %u", number);
	return NULL;
}

/* ---- parking -------------------------------------------------------------------------- */

struct leg_search {
	const struct parking *parking;
	const char *parker; /* who parks the other; NULL: whom the caller talks with */
	pbx_leg found;
};

static bool is_number(const struct parking *parking, pbx_leg leg, const char *number)
{
	struct pbx_leg_info info = { .size = sizeof info };

	return parking->calls->info(leg, &info) == PBX_OK && strcmp(info.number, number) == 0;
}

/* Of two who talk: the one named, else the one whom this call's caller talks with, parks the other. */
static void look_for_parker(void *context, pbx_leg leg)
{
	struct leg_search *search = context;
	const struct parking *parking = search->parking;
	pbx_leg peer;

	if (search->found.id || parking->calls->peer(leg, &peer) != PBX_OK)
		return;
	if (!search->parker || is_number(parking, peer, search->parker))
		search->found = peer; /* legs come oldest first: this one is the caller's */
	else if (is_number(parking, leg, search->parker))
		search->found = leg;
}

void parking_on_park(void *self, pbx_request request)
{
	struct parking *parking = self;
	const struct pbx_requests *requests = parking->requests;
	const char *call_id = requests->text(request, "call_id");
	const char *own = requests->own_account(request);
	struct leg_search search = { .parking = parking, .parker = own[0] ? own : requests->text(request, "parker") };
	uint32_t number = (uint32_t)requests->integer(request, "slot", 0);
	struct slot *slot = NULL;
	pbx_call call;

	if (requests->has(request, "parker") && own[0] && strcmp(own, requests->text(request, "parker")) != 0) {
		refuse(parking, request, "parker", "you park what you talk to yourself");
		return;
	}
	slot = number ? lot_find(parking, number) : NULL;
	if (own[0] && !lot_permits(parking, slot ? slot->lot : lot_of(parking, own), own)) {
		refuse(parking, request, "slot", "this lot is for others");
		return;
	}
	if (parking->calls->find_call(call_id, &call) != PBX_OK) {
		(void)requests->fail(request, 404, "not_found", "call_id", "there is no call %s", call_id);
		return;
	}
	parking->calls->each(call, look_for_parker, &search);
	if (!search.found.id) {
		(void)requests->fail(request, 409, "not_talking", "call_id", "nobody in this call can park the other now");
		return;
	}
	switch (park_peer(parking, search.found, number, &slot)) {
	case PBX_OK:
		(void)requests->created(request, "/parking", describe(slot));
		break;
	case PBX_ENOSPC:
		(void)requests->fail(request, 409, "lot_full", NULL, "every slot is taken");
		break;
	case PBX_EBUSY:
		(void)requests->fail(request, 409, "slot_taken", "slot", "slot %u is taken", number);
		break;
	case PBX_EINVAL:
		(void)requests->fail(request, 400, "no_such_slot", "slot", "there is no slot %u", number);
		break;
	default:
		(void)requests->fail(request, 409, "not_talking", "call_id", "the call has ended");
	}
}

/* ---- fetching and dropping ------------------------------------------------------------ */

void parking_on_fetch(void *self, pbx_request request)
{
	struct parking *parking = self;
	const char *own = parking->requests->own_account(request), *extension = parking->requests->text(request, "extension");
	struct slot *slot = asked_slot(parking, request);

	if (!slot)
		return;
	if (own[0] && strcmp(own, extension) != 0) {
		refuse(parking, request, "extension", "you fetch to your own extension");
		return;
	}
	switch (slot_bring(slot, extension)) {
	case PBX_OK:
		(void)parking->requests->reply(request, 202, describe(slot));
		break;
	case PBX_ESTATE:
		(void)parking->requests->fail(request, 409, "being_fetched", "slot", "somebody is fetching slot %u already", slot->number);
		break;
	default:
		(void)parking->requests->fail(request, 503, "not_rung", "extension", "the extension cannot be rung now");
	}
}

void parking_on_drop(void *self, pbx_request request)
{
	struct parking *parking = self;
	struct slot *slot = asked_slot(parking, request);

	const char *own = parking->requests->own_account(request);

	if (!slot)
		return;
	if (own[0] && strcmp(own, slot->parker) != 0) {
		refuse(parking, request, "slot", "somebody else has parked this call");
		return;
	}
	(void)slot_drop(slot); /* gone by itself this moment: as good */
	(void)parking->requests->reply(request, 204, NULL);
}
