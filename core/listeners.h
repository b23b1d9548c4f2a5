/* core/listeners.h - owners that want to hear of changes: a function and its self, charged to who gave it. All of it: [loop].
 *
 * What a listener is told is its list's affair: functions are kept as core_listener_fn and cast back by who tells. */
#pragma once
#include "owner.h"

typedef void (*core_listener_fn)(void);

struct core_listener {
	struct core_charge charge; /* first: a charge is its listener */
	struct core_listener *next, **list;
	core_listener_fn changed;
	void *self;
};

/* kind: for the owner's account, "listener of lamps". PBX_OK, PBX_ENOMEM. */
int core_listeners_add(struct core_listener **list, struct pbx_host *owner, const char *kind, core_listener_fn changed, void *self);

/* Calls each listener's function, of type `type`, with its self and what follows. A listener may go while it is told. */
#define CORE_LISTENERS_TELL(list, type, ...)                                                                                               \
	for (struct core_listener *told_ = (list), *after_; told_ && (after_ = told_->next, true); told_ = after_)                         \
	CORE_INTO(told_->charge.owner, ((type)told_->changed)(told_->self, __VA_ARGS__))
