/* core/host_internal.h - plugins, their instances and the services between them; for host*.c and core_part. [loop]
 *
 * A plugin is a name; an instance is one loaded copy of its file. There is one instance while all is quiet, and two while an upgrade
 * lasts: the current one, and one that finishes what it began. */
#pragma once
#include "card.h"
#include "host.h"
#include "json_auto.h"
#include "owner_internal.h"

struct core_plugin;
struct core_instance;
/* instance NULL: it could not be, and refusal says why. */
typedef void (*core_life_fn)(void *context, struct core_plugin *plugin, struct core_instance *instance, const struct core_refusal *refusal);

struct core_instance {
	struct core_owner owner; /* first: a struct pbx_host * is its instance */
	struct core_instance *next;
	struct core_plugin *plugin;
	struct pbx_plugin card; /* as much of the descriptor as we know; the rest is zero */
	const struct pbx_plugin *descriptor;
	struct core_instance_head *self;
	bool self_is_borrowed; /* a part brought its own memory */
	uint32_t state;        /* CORE_PLUGIN_LOADED, RUNNING, DRAINING */
	uint64_t order;        /* rises with each start */
	char unnamed[64];      /* a service it has asked for that its .needs does not name; "": none */
	void *library;         /* NULL: a linked-in part */
	char *copy;            /* the private file library was loaded from */
	char *data_dir;
	const void *settings_held;
	bool has_section, is_loaded, is_started, is_retiring;
	uint64_t reported_us; /* of owner.self_us, to the metric */

	/* while it comes up, drains or goes: what runs next */
	uint64_t number; /* no other instance has it, ever */
	bool waits_for_ready;
	struct core_refusal refusal;
	pbx_timer timer;
	core_life_fn then;
	void *then_context;
	void (*gone)(void *context);
	void *gone_context;
};

struct core_plugin {
	struct core_plugin *next; /* by name */
	char *name, *file;        /* file NULL: linked in */
	uint32_t state;
	struct core_refusal refusal;   /* FAILED: why */
	bool is_busy;                  /* being loaded, reloaded or unloaded */
	struct core_instance *current; /* NULL: none */
	struct core_instance *instances;
};

static inline struct core_instance *core_instance_of(struct pbx_host *host)
{
	return (struct core_instance *)host;
}

/* ---- host.c: names ---- */
struct core_plugin *core_plugins(void);
struct core_plugin *core_plugin_find(const char *name);
struct core_plugin *core_plugin_add(const char *name, const char *file_or_null); /* finds or makes; NULL: no memory */
struct core_instance *core_instance_new(struct core_plugin *plugin, const struct pbx_plugin *descriptor, void *memory_or_null);
void core_instance_free(struct core_instance *instance); /* library and copy, too */
const char *core_plugin_state_name(uint32_t state);
char *core_host_base_dir(void); /* of all plugins' data; owned, NULL: none */
/* One line in the log, the state and the reason for `plugin list`, an event. */
void core_plugin_failed(struct core_plugin *plugin, const struct core_refusal *refusal);

/* ---- services.c: who offers what to whom ---- */
/* Offers what the instance's card names. PBX_OK, PBX_ENOMEM, PBX_EINVAL and refusal. */
int core_services_offer(struct core_instance *instance, struct core_refusal *refusal);
void core_services_withdraw(struct core_instance *instance); /* consumers get the next provider, or NULLs */
void core_services_leave(struct core_instance *instance);    /* frees the tables it holds */
bool core_services_has(const char *id);
const void *core_services_for(struct pbx_host *host, const char *id, uint32_t size);
void core_services_fini(void);
/* "pbx.music/1?" is the need of "pbx.music/1", and optional. */
bool core_need_parse(const char *need, char *ret_id, size_t size, bool *ret_optional);
bool core_card_offers(const struct pbx_plugin *card, const char *id);
/* The first thing the card needs and nobody has, or NULL. The text is in the card. */
const char *core_need_missing(const struct pbx_plugin *card);

/* ---- host_load.c: from a file to an instance ---- */
#define CORE_PROBE_MS 5000u
/* Has a copy of the file tried by a program of its own (dlopen, descriptor, settings, check; core/probe.c), then loads it here; done
 * follows. The loop never waits for any of it. PBX_OK, PBX_ENOMEM: then done is not called. */
int core_load_file(struct core_plugin *plugin, core_life_fn done, void *context);
void core_load_fini(void); /* removes the folder of copies */

/* ---- host_order.c: who comes first ---- */
/* Sorts instances so that each comes after those of them that it needs. Those that need each other are moved behind *ret_ready, and refused[i]
 * names the circle. */
void core_order(struct core_instance **instances, uint32_t count, uint32_t *ret_ready, struct core_refusal *refused);

/* ---- host_life.c: load, start, drain, stop, unload ---- */
/* Brings a loaded instance up; it replaces plugin->current, if any, at the moment it starts. then() follows, maybe before this returns. When
 * it is told a refusal the instance is gone, and what it would have replaced runs on. */
void core_life_begin(struct core_instance *instance, core_life_fn then, void *context);
/* Gives up one that is still coming up. */
void core_life_cancel(struct core_instance *instance);
/* Stops it and lets it go; gone(context) when its code is unloaded. */
void core_life_end(struct core_instance *instance, void (*gone)(void *context), void *context);
/* What pbx_host.ready does. */
void core_life_ready(struct pbx_host *host, int result, const char *reason);

/* ---- host_batch.c: the search path ---- */
char *core_batch_find_file(const char *name); /* in the last folder that has NAME.so; owned. NULL: none has */
bool core_batch_searches(const char *dir);    /* it is a folder of the search path, however it is written */
void core_batch_stop(void);                   /* the load of all goes no further */
bool core_batch_is_over(void);
void core_batch_fini(void);

/* ---- host_list.c ---- */
/* As core_owner_holds, of the first of its instances that holds anything. */
uint32_t core_plugin_holds(const struct core_plugin *plugin, char *ret_text, size_t size);

/* ---- host_manage.c ---- */
/* Stops what still runs and waits for it, a few seconds at most. false: somebody's code is still at work in the pool. */
bool core_manage_fini(void);

/* ---- commands.c: metrics and events of the host's own ---- */
void core_part_tell(const char *event, const struct core_plugin *plugin, const char *version, const char *reason);
void core_part_report_time(struct core_instance *instance);
