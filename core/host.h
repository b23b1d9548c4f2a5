/* core/host.h - loads plugins, gives them services, takes back what they had. All of it: [loop]. */
#pragma once
#include <pbx/json.h>
#include "owner.h"

int core_host_init(void);
void core_host_fini(void);

/* Makes a service of the daemon available to every owner. table begins with struct pbx_header and lives as long as the daemon.
 * PBX_OK, PBX_EEXIST. */
int core_host_offer(const char *id, const void *table);
/* A service for the daemon's own use, as `size` bytes that the host keeps current, functions NULL while nobody offers it ("pbx.music/1").
 * Several providers ("pbx.directory/1"): core_host_each_service walks them. Never NULL. */
const void *core_host_service(const char *id, uint32_t size);
void core_host_each_service(const char *id, uint32_t size, void (*each)(void *context, const void *table), void *context);
/* The same with whom to charge for what is taken from it (NULL: the daemon's own). table is good until each returns; what it points at, as
 * long as the owner is charged. */
void core_host_each_provider(const char *id, uint32_t size, void (*each)(void *context, struct pbx_host *owner, const void *table),
			     void *context);
uint64_t core_host_offers(void); /* another number whenever somebody begins or ceases to offer something */

/* Takes a linked-in part aboard: its settings must have been declared. started: its name is logged. PBX_OK or the part's error. */
int core_host_add_part(const struct pbx_plugin *part, void *instance_or_null);
/* The program that tries plugin files (core/probe.c) and how long it may take. Not said, or NULL: pbx-plugin-probe beside our own program, as
 * in a build folder, else the installed one, and 5 s. */
void core_host_use_probe(const char *path, uint32_t within_ms);
/* Every .so of the search path gets its place in the list, and nothing is loaded. path: directories, later ones win; kept for load and reload by
 * name. disable: names to leave out. PBX_OK, PBX_ENOMEM. */
int core_host_find_all(const char *const *path, uint32_t path_count, const struct pbx_list *disable);
/* The same, and then: check, order by needs, load, start. Those that fail are marked; the rest start. done when all have settled. */
int core_host_load_all(const char *const *path, uint32_t path_count, const struct pbx_list *disable, void (*done)(void *context),
		       void *context);
/* Where plugins are looked for from now on, when they are loaded or reloaded by name; those that run stay. path: as above, copied. PBX_OK,
 * PBX_ENOMEM: it is as it was. */
int core_host_use_path(const char *const *path, uint32_t count);
void core_host_stop_all(void (*done)(void *context), void *context);

#define CORE_PLUGIN_FOUND 1u
#define CORE_PLUGIN_LOADED 2u
#define CORE_PLUGIN_RUNNING 3u
#define CORE_PLUGIN_DRAINING 4u
#define CORE_PLUGIN_FAILED 5u
#define CORE_PLUGIN_DISABLED 6u

/* Where in a text a plugin's name is: all of "hotline", and that part of "hotline.so" and "/home/me/hotline.so". */
const char *core_plugin_name_in(const char *said, int *ret_length);
/* name: "hotline", or "hotline.so" as its file is called. done(context, result, diag) follows. reload and upgrade are one thing: a fresh copy of
 * the file beside the old one. */
typedef void (*core_plugin_done_fn)(void *context, int result, const struct pbx_diag *diag);
void core_plugin_load(const char *name, core_plugin_done_fn done, void *context);
void core_plugin_unload(const char *name, core_plugin_done_fn done, void *context); /* PBX_EBUSY: diag names the holders */
void core_plugin_reload(const char *name, core_plugin_done_fn done, void *context);
#define CORE_KNOWN_NOT 0u
#define CORE_KNOWN_PART 1u   /* linked in */
#define CORE_KNOWN_PLUGIN 2u /* one that runs */
#define CORE_KNOWN_IDLE 3u   /* one that does not: disabled, failed, on its way, or only a file in the search path */
/* What is behind a name; one of the above. Looks into the folders. */
uint32_t core_host_knows(const char *name);
/* The names of all parts and plugins that were found; they live as long as the host. */
void core_host_each_name(void (*each)(void *context, const char *name), void *context);
/* [{name, version, summary, state, reason, file, holds, loop_ms, needs, offers, instances}] */
struct pbx_json *core_plugin_list(void);

/* Offers new settings to the owner of a section (its .reload). PBX_OK: accepted and current. */
int core_owner_apply_settings(const char *section, const void *block, struct pbx_diag *diag);
