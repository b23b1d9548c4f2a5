/* core/bus.h - events, their log in the store, and followers; serves "pbx.bus/1". All of it: [loop]. */
#pragma once
#include <pbx/bus.h>

int core_bus_init(void);
void core_bus_fini(void);
/* Finds the last number and the followers' positions; events published before wait for it. */
void core_bus_attach_store(void (*done)(void *context, int result), void *context);
/* Types an owner may publish. The host calls it with each descriptor's table. */
int core_bus_declare(struct pbx_host *owner, const struct pbx_table *events);
void core_bus_undeclare(struct pbx_host *owner);

/* As pbx_bus.publish, for the daemon's parts, with ids as text ("" for none). */
int core_bus_publish(struct pbx_host *owner, const char *type, const char *call_id, const char *linked_id, struct pbx_json *taken);

struct core_bus_stats { int64_t last_seq, stored_seq; uint64_t published; uint32_t subscribers, followers; };
void core_bus_stats(struct core_bus_stats *ret_stats);

extern const struct pbx_bus core_bus_service;
