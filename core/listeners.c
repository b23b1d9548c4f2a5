/* listeners.c - lists of those who want to hear of changes */
#include "listeners.h"
#include <stdlib.h>

static void revoke(struct core_charge *charge)
{
	struct core_listener *listener = (struct core_listener *)charge, **at = listener->list;

	core_charge_remove(charge);
	while (*at != listener)
		at = &(*at)->next;
	*at = listener->next;
	free(listener);
}

int core_listeners_add(struct core_listener **list, struct pbx_host *owner, const char *kind, core_listener_fn changed, void *self)
{
	struct core_listener *listener = calloc(1, sizeof *listener);

	if (!listener)
		return PBX_ENOMEM;
	listener->list = list;
	listener->changed = changed;
	listener->self = self;
	core_charge_add(owner, &listener->charge, kind, false, revoke);
	listener->next = *list;
	*list = listener;
	return PBX_OK;
}
