/* core/bus.h - events, their log in the store, and followers; serves "pbx.bus/1". All of it: [loop]. */
#pragma once
#include <pbx/bus.h>
#include <pbx/store.h>

int core_bus_init(void);
/* Hands what is published to the store. At the end of the day: flush, then the store's fini, then this module's. */
void core_bus_flush(void);
void core_bus_fini(void); /* best after core_store_fini: what is not written then never will be */
/* Finds the last number and the followers' positions; events published before wait for it. */
void core_bus_attach_store(void (*done)(void *context, int result), void *context);
/* Types an owner may publish. The host calls it with each descriptor's table. PBX_OK, PBX_EEXIST (diag names who has one), PBX_ENOMEM. */
int core_bus_declare(struct pbx_host *owner, const struct pbx_table *events, struct pbx_diag *diag);
void core_bus_undeclare(struct pbx_host *owner);

/* As pbx_bus.publish, for the daemon's parts, with ids as text ("" for none). */
int core_bus_publish(struct pbx_host *owner, const char *type, const char *call_id, const char *linked_id, struct pbx_json *taken);

/* The same for what happened earlier, at wall_us, and could not be told then. */
int core_bus_publish_at(struct pbx_host *owner, const char *type, const char *call_id, const char *linked_id, int64_t wall_us,
			struct pbx_json *taken);

/* Looking into the log. Of one call, oldest first: rows of type, wall_us, linked_id, data. PBX_OK, PBX_ENOMEM, PBX_ENOSPC. */
int core_bus_read_call(struct pbx_host *owner, const char *call_id, pbx_rows_fn done, void *self);
/* Calls with an event `begins` behind seq and none of type `ends`: rows of call_id. The same results. */
int core_bus_read_unended(struct pbx_host *owner, int64_t seq, const char *begins, const char *ends, pbx_rows_fn done, void *self);

bool bus_pattern_is_good(const char *pattern); /* whether subscribe takes it */

/* How the ids of a call are found: core/calls sets it. Borrowed texts; false: there is no such call. */
void core_bus_set_call_ids(bool (*find)(pbx_call call, const char **ret_call_id, const char **ret_linked_id));

/* Forgets the events from before an instant; the last one is always kept, for its number. done may be NULL; it may be called before this
 * returns when the store takes no more questions. */
void core_bus_prune(int64_t before_wall_us, void (*done)(void *context, int result, int64_t forgotten), void *context);

/* As pbx_bus.subscribe, and hears of an event when it is safe in the log: for whoever tells others outside, who must not know of what a crash
 * can take back, its number with it. PBX_OK, PBX_EINVAL, PBX_ENOMEM. */
int core_bus_subscribe_stored(struct pbx_host *host, const char *pattern, pbx_event_fn fn, void *self, pbx_subscription *ret_subscription);

struct core_bus_stats {
	int64_t last_seq, stored_seq;
	uint64_t published;
	uint32_t subscribers, followers;
};
void core_bus_stats(struct core_bus_stats *ret_stats);

extern const struct pbx_bus core_bus_service;
