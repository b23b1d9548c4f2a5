/* core/settings.h - options declared once; from files and store to the structures their owners read. All of it: [loop].
 *
 * /etc/pbx/pbx.yml, then the .yml files of conf.d in order of name, pin what they say. What they leave out comes from the store (revisions with undo), the rest
 * are defaults. ${env:NAME}, ${NAME} and ${file:PATH} are replaced in values; secret://name comes from $CREDENTIALS_DIRECTORY/name or
 * secrets.d/name beside the file. A change is all or nothing. */
#pragma once
#include <pbx/json.h>

/* NULL: defaults only. A file that cannot be read or is not YAML is told by the first declare, which has words for it. PBX_OK, PBX_ENOMEM. */
int core_settings_init(const char *file);
void core_settings_fini(void);

/* What files and store say of one section, before anything is put in for ${…} and secret://: bytes for another process of ours, owned; they
 * may hold secrets. NULL: no memory. */
char *core_settings_pack(const char *section, size_t *ret_length);
/* In the place of core_settings_init, in that process. PBX_OK, PBX_EINVAL (core_settings_pack has not made this), PBX_ENOMEM. */
int core_settings_unpack(const char *bytes, size_t length);

/* Declares a section. size: of the structure the rows describe. Declaring a section that a file already fills checks it at once.
 * PBX_OK, PBX_EINVAL and diag ("pbx.yml:12:3: calls.ring_z: unknown setting, did you mean ring_s?"), PBX_EEXIST, PBX_ENOMEM. */
int core_settings_declare(const char *section, const struct pbx_table *rows, uint32_t size, struct pbx_diag *diag);
void core_settings_undeclare(const char *section);
/* A newer copy of the owner takes the section over, beside the older one: same results as declare, PBX_ENOENT; on failure all stays as it was.
 * The older copy keeps reading its own block if it holds a reference. */
int core_settings_redeclare(const char *section, const struct pbx_table *rows, uint32_t size, struct pbx_diag *diag);
/* The current values: immutable, valid until the second change after this one. NULL: not declared. */
const void *core_settings_get(const char *section);
/* Keeps a block that core_settings_get or an offer gave, for as long as somebody reads it: an old instance that drains. Gives it back. */
const void *core_settings_ref(const void *block);
void core_settings_unref(const void *block); /* NULL is fine */

/* Who is asked before new values of a section become current; PBX_OK: accepted. Without one, core_owner_apply_settings (host.h) is
 * asked. One per section, a later one replaces it, accept NULL takes it away; the section need not be declared yet. When another section
 * refuses afterwards, the old block is offered again. PBX_OK, PBX_ENOMEM. */
int core_settings_on_change(const char *section, int (*accept)(void *context, const void *proposed, struct pbx_diag *diag), void *context);

/* Who knows whether a section's values fit one another; asked whenever they are read, also to check a file only, so before the section is declared
 * is the time to say it. One per section, a later one replaces it, NULL takes it away. PBX_OK, PBX_ENOMEM. */
int core_settings_on_check(const char *section, int (*check)(const void *settings, struct pbx_diag *diag));

/* Reads the files again and applies what changed. All or nothing: a section that looks like a misspelt one is a mistake as any other. What nobody
 * reads now is a warning, in the log too. PBX_OK, PBX_EINVAL and diag, what an owner refused with, PBX_ENOMEM. */
int core_settings_reload(struct pbx_diag *diag);
/* The same; told, owned, NULL without memory: {changed: [{path, from, to, restart}], warnings: [text]}. */
int core_settings_reload_told(struct pbx_diag *diag, struct pbx_json **ret_told);
/* The section's owner begins to work by what is current: from now on this is in force of the options that act at a restart. Who declares a section
 * begins then; this is for who declares it before the stored values are known. */
void core_settings_begin(const char *section);
/* Options that have another value than the one in force: [{path, in_force, value, by}], `by` says what it takes. Owned; NULL: no memory. */
struct pbx_json *core_settings_waiting(void);
/* Checks a file (NULL: ours) without applying. Every problem is a line in problems (array of texts), best cure first. */
int core_settings_check(const char *file, struct pbx_json **ret_problems);
/* Stored values and revisions are loaded once the store is up. */
void core_settings_attach_store(void (*done)(void *context, int result), void *context);
/* Before or after core_store_fini: changes that wait are cancelled, later ones refused (PBX_ESTATE). */
void core_settings_detach_store(void);
/* Sets "section.name" to a text as a person writes it (NULL: back to the default): 30, true, udp:0.0.0.0:5060, "a, b" or [a, b] for a list,
 * [{name: x}] for objects. Changes wait for each other. done(context, result, diag, revision, changed), changed as of a reload. Pinned by a file:
 * PBX_EPERM and the file's line. */
typedef void (*core_settings_done_fn)(void *context, int result, const struct pbx_diag *diag, int64_t revision,
				      const struct pbx_json *changed);
void core_settings_set(const char *actor, const char *path, const char *value, core_settings_done_fn done, void *context);
/* Takes a revision back (a new revision with the old values). Both: done may be called before they return. */
void core_settings_undo(const char *actor, int64_t revision, core_settings_done_fn done, void *context);

/* The last `most` revisions, newest first: [{revision, time, actor, undoes, path, from, to}], a line for each path; null: the default.
 * json NULL: the store did not answer. taken by the callee. */
void core_settings_history(uint32_t most, void (*done)(void *context, struct pbx_json *taken), void *context);

struct pbx_json *core_settings_show(
	const char *
		prefix); /* [{path, value, in_force, origin: default|file|store, pinned: "file:line", type, unit, help, …}], secrets as "(set)";
			      * in_force: only where value waits for a restart */
/* What somebody may have meant who wrote this path, or this section: a path, or a section. Owned, NULL: nothing is near. */
char *core_setting_meant(const char *path);
struct pbx_json *core_settings_diff(void);   /* what reload would change: [{path, from, to, restart}], or [{problem}] */
struct pbx_json *core_settings_schema(void); /* JSON Schema 2020-12 of everything declared */
char *core_settings_manual(void);            /* reference in Markdown, made from the rows; free() */
