/* core/owner.h - who a thing belongs to, so that it can be taken back
 *
 * Every part of the daemon (core, sip, media, api) and every plugin instance is an owner with a struct pbx_host of its own.
 * Whatever an owner registers carries a struct core_charge; when the owner stops, each charge is revoked. All of it: [loop]. */
#pragma once
#include <pbx/plugin.h>

struct core_charge {
	struct pbx_host *owner;                     /* NULL when not charged */
	const char *kind;                           /* "timer", "route hook", "leg": named when an unload is refused */
	bool holds;                                 /* keeps the owner from being unloaded (a leg does, a timer does not) */
	void (*revoke)(struct core_charge *charge); /* takes the thing back; must lead to core_charge_remove */
	struct core_charge *next, *prev;
};

/* Puts a thing on the owner's account. The charge is embedded in the thing. */
void core_charge_add(struct pbx_host *owner, struct core_charge *charge, const char *kind, bool holds,
		     void (*revoke)(struct core_charge *charge));
/* Takes it off again; does nothing when it is not charged. */
void core_charge_remove(struct core_charge *charge);

/* A callback into an owner's code goes between these two: its time is charged to the owner, and a crash report names it. They nest. */
void core_enter(struct pbx_host *owner);
void core_leave(void);
#define CORE_INTO(owner, call) (core_enter(owner), (call), core_leave())

/* The owner whose code runs now, and its name; the daemon's own ("core") when none does. Never NULL. */
struct pbx_host *core_current_owner(void);
const char *core_owner_name(const struct pbx_host *owner); /* [any] */
void *core_owner_self(const struct pbx_host *owner);       /* its instance */

/* The daemon's own account: for what no part owns. */
struct pbx_host *core_self(void);
