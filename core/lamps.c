/*
 * lamps.c - lamps that are no telephone line: who lights them, and who wants to know
 *
 * A lamp belongs to the owner that lights it and goes out with it. A fresh version of the same plugin takes its lamps over by lighting them. There are some
 * dozens, so one list is enough.
 */
#include "lamps.h"
#include "listeners.h"
#include <stdlib.h>
#include <string.h>

#define MOST_TEXT 128u

struct lamp {
	struct lamp *next;
	struct core_charge charge;
	uint32_t state;
	char number[64], remote[MOST_TEXT], remote_name[MOST_TEXT];
};

static struct lamp *lamps;
static struct core_listener *listeners;

static struct pbx_lamp shown(const struct lamp *lamp)
{
	return (struct pbx_lamp){ .size = sizeof(struct pbx_lamp),
				  .state = lamp->state,
				  .number = lamp->number,
				  .remote = lamp->remote,
				  .remote_name = lamp->remote_name };
}

static void tell(const struct lamp *lamp)
{
	const struct pbx_lamp told = shown(lamp);

	CORE_LISTENERS_TELL(listeners, pbx_lamp_fn, &told);
}

static void revoke_lamp(struct core_charge *charge)
{
	struct lamp *lamp = (struct lamp *)((char *)charge - offsetof(struct lamp, charge)), **at = &lamps;

	core_charge_remove(charge);
	while (*at != lamp)
		at = &(*at)->next;
	*at = lamp->next;
	lamp->state = PBX_LAMP_OFF;
	tell(lamp);
	free(lamp);
}

static struct lamp *find(const char *number)
{
	struct lamp *lamp = lamps;

	while (lamp && strcmp(lamp->number, number) != 0)
		lamp = lamp->next;
	return lamp;
}

static struct lamp *lamp_new(const char *number)
{
	struct lamp *lamp = calloc(1, sizeof *lamp);

	if (!lamp)
		return NULL;
	(void)snprintf(lamp->number, sizeof lamp->number, "%s", number);
	lamp->next = lamps;
	lamps = lamp;
	return lamp;
}

static int light(struct pbx_host *host, const struct pbx_lamp *wanted)
{
	struct lamp *lamp;

	if (!wanted || !wanted->number || !wanted->number[0] || strlen(wanted->number) >= sizeof lamp->number ||
	    wanted->state > PBX_LAMP_ON)
		return PBX_EINVAL;
	lamp = find(wanted->number);
	if (lamp && lamp->charge.owner != host && strcmp(core_owner_name(lamp->charge.owner), core_owner_name(host)) != 0)
		return PBX_EEXIST;
	if (!lamp && !(lamp = lamp_new(wanted->number)))
		return PBX_ENOMEM;
	if (lamp->charge.owner != host) {
		core_charge_remove(&lamp->charge); /* a new one has none */
		core_charge_add(host, &lamp->charge, "lamp", false, revoke_lamp);
	}
	lamp->state = wanted->state;
	(void)snprintf(lamp->remote, sizeof lamp->remote, "%s", wanted->remote ? wanted->remote : "");
	(void)snprintf(lamp->remote_name, sizeof lamp->remote_name, "%s", wanted->remote_name ? wanted->remote_name : "");
	tell(lamp);
	return PBX_OK;
}

static int listen_to_lamps(struct pbx_host *host, pbx_lamp_fn changed, void *self)
{
	return core_listeners_add(&listeners, host, "listener of lamps", (core_listener_fn)changed, self);
}

static uint32_t each_lamp(const char *number, pbx_lamp_fn each, void *context)
{
	uint32_t count = 0;

	for (struct lamp *lamp = lamps, *next; lamp; lamp = next) {
		const struct pbx_lamp told = shown(lamp);

		next = lamp->next;
		if (number && strcmp(number, lamp->number) != 0)
			continue;
		each(context, &told);
		count++;
	}
	return count;
}

const struct pbx_lamps core_lamps_service = {
	.header = PBX_HEADER(struct pbx_lamps),
	.light = light,
	.listen = listen_to_lamps,
	.each = each_lamp,
};
