/* leg_look.c - "pbx.calls/1": what is to be seen of legs and calls, by whoever has no part in them too */
#include "calls_inner.h"
#include "overlap.h"
#include <stdlib.h>

int core_look_peer(pbx_leg handle, pbx_leg *ret_peer)
{
	const struct core_leg *leg = core_leg_alive(handle);
	const struct core_leg *other = leg ? core_bridge_peer(leg) : NULL;

	if (!other)
		return PBX_ENOENT;
	*ret_peer = other->handle;
	return PBX_OK;
}

int core_look_info(pbx_leg handle, struct pbx_leg_info *ret_info)
{
	const struct core_leg *leg = core_leg_find(handle);

	if (!leg)
		return PBX_ENOENT;

	uint32_t size = (uint32_t)core_overlap(ret_info->size, sizeof *ret_info);
	struct pbx_leg_info known = {
		.size = size,
		.leg = leg->handle,
		.call = leg->call->handle,
		.state = leg->state,
		.direction = leg->direction,
		.id = leg->id,
		.call_id = leg->call->id,
		.linked_id = leg->call->linked_id,
		.number = leg->number,
		.name = leg->name,
		.dialled = leg->dialled,
		.account = leg->account,
		.endpoint = leg->endpoint ? leg->endpoint : "",
		.holds_us = leg->holds_us,
		.held_by_us = leg->held_by_us,
		.bridge = leg->bridge ? leg->bridge->handle : (pbx_bridge){ 0 },
		.started_at_ms = leg->started_at_ms,
		.answered_at_ms = leg->answered_at_ms,
		.device = leg->device,
		.music_class = leg->music_class,
		.argument = leg->argument,
		.referred_by = leg->referred_by,
		.peer = leg->peer,
		.transferor = leg->transferor,
		.protocol_id = "",
		.local_tag = "",
		.remote_tag = "",
		.withheld = leg->withheld,
		.asserted_number = leg->asserted_number ? leg->asserted_number : "",
		.record_wish = leg->record_wish,
	};
	if (leg->dialog && leg->driver->name_dialog && !leg->driver_knows && leg->state != PBX_LEG_ENDED)
		leg->driver->name_dialog(leg->dialog, &known.protocol_id, &known.local_tag, &known.remote_tag);
	memcpy(ret_info, &known, size);
	return PBX_OK;
}

int core_look_find_leg(const char *leg_id, pbx_leg *ret_leg)
{
	const struct core_leg *leg = core_leg_named(leg_id);

	if (!leg)
		return PBX_ENOENT;
	*ret_leg = leg->handle;
	return PBX_OK;
}

int core_look_find_call(const char *call_id, pbx_call *ret_call)
{
	const struct core_call *call = core_call_named(call_id);

	if (!call)
		return PBX_ENOENT;
	*ret_call = call->handle;
	return PBX_OK;
}

static int by_age(const void *a, const void *b)
{
	const struct core_leg *one = core_leg_find(*(const pbx_leg *)a), *two = core_leg_find(*(const pbx_leg *)b);
	int calls = strcmp(one->call->id, two->call->id); /* ULIDs rise with time */

	if (calls != 0)
		return calls;
	return one->started_at_ms < two->started_at_ms ? -1 : one->started_at_ms > two->started_at_ms;
}

/* Those that live when we begin: what is told may end legs and make others. */
static void tell_each(const pbx_leg *legs, uint32_t count, void (*tell)(void *context, pbx_leg leg), void *context)
{
	for (uint32_t i = 0; i < count; i++)
		if (core_leg_alive(legs[i]))
			tell(context, legs[i]);
}

static void each_of_call(const struct core_call *call, void (*tell)(void *context, pbx_leg leg), void *context)
{
	pbx_leg *legs = call ? calloc(call->legs_made, sizeof *legs) : NULL;
	uint32_t count = 0;

	for (const struct core_leg *leg = legs ? call->legs : NULL; leg; leg = leg->next)
		if (leg->state != PBX_LEG_ENDED)
			legs[count++] = leg->handle;
	tell_each(legs, count, tell, context);
	free(legs);
}

void core_look_each(pbx_call call, void (*tell)(void *context, pbx_leg leg), void *context)
{
	uint32_t most = core_handles_count(&core_leg_table), count = 0, at = 0;
	const struct core_leg *leg;

	if (call.id) {
		each_of_call(core_call_find(call), tell, context);
		return;
	}
	pbx_leg *legs = calloc(most ? most : 1, sizeof *legs);
	if (!legs)
		return;
	while (count < most && (leg = core_handles_next(&core_leg_table, &at)))
		if (leg->state != PBX_LEG_ENDED)
			legs[count++] = leg->handle;
	qsort(legs, count, sizeof *legs, by_age);
	tell_each(legs, count, tell, context);
	free(legs);
}

uint32_t core_look_calls_made(const char *account)
{
	struct core_leg *leg = NULL;
	uint32_t count = 0;

	while ((leg = core_legs_of_account(account, leg)))
		count += leg->is_caller;
	return count;
}
