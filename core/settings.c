/*
 * settings - sections, what is current in them, and changes that happen wholly or not at all
 *
 * A change (other files, other stored values) is made in three steps. Every section's block is built anew and read to its last
 * value; sections in which nothing differs are left alone; the owners of the others are asked one after the other. Only when the last
 * has agreed do the new blocks become current. When one refuses, those that had agreed are handed their old block again.
 *
 * How a section's block comes about is told in settings_build.c. What a file says about a section nobody has declared yet is kept, since plugins declare later;
 * settings_unknown.c tells which section nobody ever asked for, and settings_waiting.c which change waits for a restart.
 */
#include "settings.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "auto.h"
#include "host.h"
#include "json_auto.h"
#include "log.h"
#include "settings_internal.h"

/* The plugin host stands above us: it is linked into the daemon, and not into the tests of what stands beside us. */
#pragma weak core_owner_apply_settings

struct acceptor {
	char *section;
	int (*accept)(void *context, const void *proposed, struct pbx_diag *diag);
	void *context;
	struct acceptor *next;
};

static char *main_file;
static struct core_files *files;
static struct pbx_diag files_wrong; /* of the first reading; text "" when it was fine */
static struct core_stored *stored;
static struct core_section *sections;
static struct acceptor *acceptors;
static void (*on_applied)(const char *actor, int64_t revision, const struct pbx_json *changed);

/* ---- finding ---------------------------------------------------------------------------------- */

const struct core_section *core_sections(void)
{
	return sections;
}

static struct core_section *find_section(const char *name, size_t length)
{
	for (struct core_section *section = sections; section; section = section->next)
		if (strncmp(section->name, name, length) == 0 && !section->name[length])
			return section;
	return NULL;
}

const struct core_section *core_section_find(const char *name)
{
	return find_section(name, strlen(name));
}

/* Which declared path looks like this one? Owned text or NULL. */
static char *near_path(const char *path)
{
	const char **paths = NULL, *meant = NULL;
	uint32_t count = 0, size = 0;
	char *copy;

	for (const struct core_section *section = sections; section; section = section->next)
		size += section->count;
	paths = calloc(size + 1, sizeof *paths);
	for (const struct core_section *section = sections; paths && section; section = section->next)
		for (uint32_t i = 0; i < section->count; i++) {
			char *text = NULL;

			if (asprintf(&text, "%s.%s", section->name, section->rows[i].name) > 0)
				paths[count++] = text;
		}
	if (paths)
		meant = core_did_you_mean(path, paths, count);
	copy = meant ? strdup(meant) : NULL;
	for (uint32_t i = 0; i < count; i++)
		free((char *)(uintptr_t)paths[i]);
	free(paths);
	return copy;
}

/* The section that was meant: nearly the same name, or one of its words ("second" of first_second). Not the wrong name itself. */
static const struct core_section *near_section(const char *name)
{
	struct core_section_names names;
	const size_t length = strlen(name);

	core_sections_name(&names);
	const char *meant = core_did_you_mean(name, names.names, names.count);
	for (uint32_t i = 0; !meant && length > 1 && i < names.count; i++) {
		const char *at = strstr(names.names[i], name);
		bool begins = at && (at == names.names[i] || at[-1] == '_');

		if (begins && (!at[length] || at[length] == '_'))
			meant = names.names[i];
	}
	return meant ? core_section_find(meant) : NULL;
}

/* A section's option of this name, as a path. NULL: it has none. */
static char *option_of(const struct core_section *section, const char *name)
{
	char *text = NULL;

	for (uint32_t i = 0; i < section->count; i++)
		if (strcmp(section->rows[i].name, name) == 0)
			return asprintf(&text, "%s.%s", section->name, name) > 0 ? text : NULL;
	return NULL;
}

char *core_setting_meant(const char *path)
{
	const char *option = strchr(path, '.');
	AUTO(text) char *name = strndup(path, strcspn(path, "."));
	const struct core_section *section = name && !core_section_find(name) ? near_section(name) : NULL;
	char *meant = option ? near_path(path) : NULL;

	if (!meant && section && option)
		meant = option_of(section, option + 1);
	if (!meant && section)
		meant = strdup(section->name);
	for (section = sections; !meant && section && option && option[1]; section = section->next)
		meant = option_of(section, option + 1);
	for (section = sections; !meant && section && !option; section = section->next) /* an option without its section */
		meant = option_of(section, path);
	return meant;
}

int core_setting_find(const char *path, const struct core_section **ret_section, const struct pbx_setting **ret_row, struct pbx_diag *diag)
{
	const size_t length = strcspn(path, ".");
	const struct core_section *section = find_section(path, length);
	AUTO(text) char *meant = NULL;

	for (uint32_t i = 0; section && path[length] && i < section->count; i++)
		if (strcmp(section->rows[i].name, path + length + 1) == 0) {
			*ret_section = section;
			*ret_row = &section->rows[i];
			return PBX_OK;
		}
	meant = core_setting_meant(path);
	pbx_diag_set(diag, path, "%.200s: unknown setting%s%s%s%s%s", path, meant ? ", did you mean " : "", meant ? meant : "",
		     meant ? "?" : "", meant && !strchr(meant, '.') ? " See: pbxctl config show " : "",
		     meant && !strchr(meant, '.') ? meant : "");
	return PBX_ENOENT;
}

const struct core_node *core_setting_pinned(const char *path)
{
	return files ? core_node_find(files->root, path) : NULL;
}

const char *core_setting_stored(const char *path)
{
	return core_stored_find(stored, path);
}

/* ---- stored values ------------------------------------------------------------------------------ */

struct core_stored *core_stored_copy(bool *ret_no_memory)
{
	struct core_stored *copy = NULL;

	for (const struct core_stored *one = stored; one; one = one->next)
		copy = core_stored_put(copy, one->path, one->value, ret_no_memory);
	return copy;
}

const struct core_stored *core_stored_all(void)
{
	return stored;
}

/* ---- a change ----------------------------------------------------------------------------------------- */

static void drop_proposals(void)
{
	for (struct core_section *section = sections; section; section = section->next) {
		core_block_unref(section->proposed);
		section->proposed = NULL;
	}
}

static bool is_same(const struct core_section *section)
{
	const void *old = core_block_data(section->current), *new = core_block_data(section->proposed);

	for (uint32_t i = 0; i < section->count; i++)
		if (!core_value_same(&section->rows[i], old, new))
			return false;
	return true;
}

/* Blocks for all sections in which something differs. On a problem there is no proposal left. */
static int propose(const struct core_files *said, const struct core_stored *kept, struct core_problems *problems)
{
	for (struct core_section *section = sections; section; section = section->next) {
		section->proposed = core_section_build(section, said, kept, problems);
		if (section->proposed && is_same(section)) {
			core_block_unref(section->proposed);
			section->proposed = NULL;
		}
	}
	if (problems->count || problems->no_memory)
		drop_proposals();
	return core_problems_result(problems);
}

/* Which paths a proposal changes, as each(context, section, row). */
static void each_difference(void (*each)(void *context, const struct core_section *section, const struct pbx_setting *row), void *context)
{
	for (const struct core_section *section = sections; section; section = section->next)
		for (uint32_t i = 0; section->proposed && i < section->count; i++)
			if (!core_value_same(&section->rows[i], core_block_data(section->current), core_block_data(section->proposed)))
				each(context, section, &section->rows[i]);
}

/* Without memory the list is shorter: the change is right all the same. */
static void add_difference(void *context, const struct core_section *section, const struct pbx_setting *row)
{
	struct pbx_json *one = core_json_object();
	char path[300];

	(void)snprintf(path, sizeof path, "%.150s.%s", section->name, row->name);
	(void)core_json_set_text(one, "path", path);
	(void)core_json_set(one, "from", core_value_json(row, core_block_data(section->current)));
	(void)core_json_set(one, "to", core_value_json(row, core_block_data(section->proposed)));
	(void)core_json_set_boolean(one, "restart",
				    core_value_waits(row, core_block_data(section->in_force), core_block_data(section->proposed)));
	(void)core_json_append(context, one);
}

static int offer(const struct core_section *section, struct core_block *block, struct pbx_diag *diag)
{
	int err;

	for (const struct acceptor *one = acceptors; one; one = one->next)
		if (strcmp(one->section, section->name) == 0)
			return one->accept(one->context, core_block_data(block), diag);
	if (!core_owner_apply_settings)
		return PBX_OK;
	err = core_owner_apply_settings(section->name, core_block_data(block), diag);
	return err == PBX_ENOENT ? PBX_OK : err; /* nobody runs with it: nobody to ask */
}

/* Those before `refused` had agreed. */
static void take_back(const struct core_section *refused)
{
	for (const struct core_section *section = sections; section != refused; section = section->next) {
		struct pbx_diag diag = { 0 };

		if (section->proposed && offer(section, section->current, &diag) != PBX_OK)
			core_log(PBX_LOG_ERROR, "core", NULL, "old_settings_refused", "section=%s reason=\"%s\"", section->name, diag.text);
	}
}

static int offer_all(struct pbx_diag *diag)
{
	for (const struct core_section *section = sections; section; section = section->next) {
		struct pbx_diag why = { 0 };
		int err = section->proposed ? offer(section, section->proposed, &why) : PBX_OK;

		if (err == PBX_OK)
			continue;
		pbx_diag_set(diag, why.field[0] ? why.field : section->name, "%.96s refused: %.300s", section->name,
			     why.text[0] ? why.text : "it gave no reason");
		take_back(section);
		drop_proposals();
		return err;
	}
	return PBX_OK;
}

static void make_current(void)
{
	for (struct core_section *section = sections; section; section = section->next) {
		if (!section->proposed)
			continue;
		core_block_unref(section->previous);
		section->previous = section->current;
		section->current = section->proposed;
		section->proposed = NULL;
	}
}

/* On success said and kept are what the current blocks were made of; ret_changed may be NULL. */
static int change(const struct core_files *said, const struct core_stored *kept, struct pbx_diag *diag, struct pbx_json **ret_changed)
{
	struct core_problems problems = { .diag = diag };
	struct pbx_json *changed;
	int err = propose(said, kept, &problems);

	if (err != PBX_OK)
		return err;
	err = offer_all(diag);
	if (err != PBX_OK)
		return err;
	if (ret_changed) {
		changed = core_json_array();
		each_difference(add_difference, changed);
		*ret_changed = changed;
	}
	make_current();
	return PBX_OK;
}

int core_stored_apply(struct core_stored *taken, struct pbx_diag *diag, struct pbx_json **ret_changed)
{
	int err = change(files, taken, diag, ret_changed);

	core_stored_free(err == PBX_OK ? stored : taken);
	if (err == PBX_OK)
		stored = taken;
	return err;
}

/* Whoever had the daemon read its files by a signal has nothing but the log. */
static void log_reload(const struct pbx_json *changed, const struct pbx_json *warnings)
{
	for (const struct pbx_json *one = core_json_first(warnings); one; one = core_json_next(one))
		core_log(PBX_LOG_WARN, "core", NULL, "setting_ignored", "%s", core_json_text(one));
	for (const struct pbx_json *one = core_json_first(changed); one; one = core_json_next(one))
		if (core_json_boolean(core_json_get(one, "restart"), false))
			core_log(PBX_LOG_NOTICE, "core", NULL, "setting_waits", "path=%s reason=\"it acts at a restart\"",
				 core_json_text(core_json_get(one, "path")));
}

int core_settings_reload_told(struct pbx_diag *diag, struct pbx_json **ret_told)
{
	AUTO(json) struct pbx_json *told = core_json_object();
	struct core_problems problems = { .diag = diag }, warnings = { .list = core_json_array() };
	struct core_files *said = core_files_read(main_file, &problems);
	struct pbx_json *changed = NULL;

	if (said)
		core_sections_unknown(said, &problems, &warnings, &warnings);
	int err = core_problems_result(&problems);
	if (err == PBX_OK)
		err = change(said, stored, diag, &changed);
	if (err != PBX_OK) {
		core_json_free(warnings.list);
		core_files_free(said);
		return err;
	}
	core_files_free(files);
	files = said;
	files_wrong = (struct pbx_diag){ 0 };
	log_reload(changed, warnings.list);
	if (on_applied && core_json_count(changed))
		on_applied("reload", 0, changed);

	bool has_changed = core_json_set(told, "changed", changed) == PBX_OK;
	bool has_warnings = core_json_set(told, "warnings", warnings.list) == PBX_OK;
	*ret_told = has_changed && has_warnings ? TAKE(told) : NULL;
	return PBX_OK;
}

int core_settings_reload(struct pbx_diag *diag)
{
	AUTO(json) struct pbx_json *told = NULL;

	return core_settings_reload_told(diag, &told);
}

void core_settings_on_applied(void (*fn)(const char *actor, int64_t revision, const struct pbx_json *changed))
{
	on_applied = fn;
}

/* ---- looking at files without using them ------------------------------------------------------------------ */

int core_settings_check(const char *file, struct pbx_json **ret_problems)
{
	struct core_problems problems = { .list = core_json_array() };
	struct core_files *said;

	if (!problems.list)
		return PBX_ENOMEM;
	said = core_files_read(file ? file : main_file, &problems);
	if (said) {
		for (const struct core_section *section = sections; section; section = section->next)
			core_block_unref(core_section_build(section, said, stored, &problems));
		core_sections_unknown(said, &problems, &problems, NULL);
		core_files_free(said);
	}
	if (problems.no_memory) {
		core_json_free(problems.list);
		return PBX_ENOMEM;
	}
	*ret_problems = problems.list;
	return PBX_OK;
}

struct pbx_json *core_settings_diff(void)
{
	struct pbx_diag diag = { 0 };
	struct core_problems problems = { .diag = &diag };
	struct core_files *said = core_files_read(main_file, &problems);
	struct pbx_json *list = core_json_array();

	if (said && propose(said, stored, &problems) == PBX_OK)
		each_difference(add_difference, list);
	drop_proposals();
	core_files_free(said);
	if (problems.count) {
		struct pbx_json *one = core_json_object();

		(void)core_json_set_text(one, "problem", diag.text);
		(void)core_json_append(list, one);
	}
	return list;
}

/* ---- sections come and go ---------------------------------------------------------------------------------- */

static void section_free(struct core_section *section)
{
	if (!section)
		return;
	core_rows_free(section->rows, section->count);
	core_block_unref(section->current);
	core_block_unref(section->previous);
	core_block_unref(section->in_force);
	free(section->name);
	free(section);
}

/* Rows copied and a first block built; NULL: problems tells. */
static struct core_section *section_new(const char *name, const struct pbx_table *rows, uint32_t size, struct core_problems *problems)
{
	struct core_section *section = calloc(1, sizeof *section);

	if (section) {
		section->name = strdup(name);
		section->size = size;
		section->rows = core_rows_copy(rows, size, name, problems);
		section->count = section->rows ? rows->count : 0;
	}
	if (!section || !section->name)
		problems->no_memory = true;
	else if (section->rows)
		section->current = core_section_build(section, files, stored, problems);
	if (section && section->current) {
		section->in_force = core_block_ref(section->current);
		return section;
	}
	section_free(section);
	return NULL;
}

static int new_section(const char *name, const struct pbx_table *rows, uint32_t size, struct pbx_diag *diag,
		       struct core_section **ret_section)
{
	struct core_problems problems = { .diag = diag };
	struct core_section *section;

	assert(files);
	if (files_wrong.text[0]) {
		pbx_diag_set(diag, files_wrong.field, "%s", files_wrong.text);
		return PBX_EINVAL;
	}
	section = section_new(name, rows, size, &problems);
	if (!section)
		return core_problems_result(&problems);
	*ret_section = section;
	return PBX_OK;
}

int core_settings_declare(const char *name, const struct pbx_table *rows, uint32_t size, struct pbx_diag *diag)
{
	struct core_section *section, **end = &sections;
	int err;

	if (core_section_find(name)) {
		pbx_diag_set(diag, name, "the section %s is declared already", name);
		return PBX_EEXIST;
	}
	err = new_section(name, rows, size, diag, &section);
	if (err != PBX_OK)
		return err;
	while (*end)
		end = &(*end)->next;
	*end = section;
	return PBX_OK;
}

static void unlink_section(struct core_section *section)
{
	struct core_section **at = &sections;

	while (*at != section)
		at = &(*at)->next;
	*at = section->next;
	section_free(section);
}

int core_settings_redeclare(const char *name, const struct pbx_table *rows, uint32_t size, struct pbx_diag *diag)
{
	struct core_section *old = find_section(name, strlen(name)), *section;
	int err;

	if (!old) {
		pbx_diag_set(diag, name, "the section %s is not declared", name);
		return PBX_ENOENT;
	}
	err = new_section(name, rows, size, diag, &section);
	if (err != PBX_OK)
		return err;
	section->previous = core_block_ref(old->current);
	section->next = old->next;
	old->next = section;
	unlink_section(old);
	return PBX_OK;
}

void core_settings_undeclare(const char *name)
{
	struct core_section *section = find_section(name, strlen(name));

	if (section)
		unlink_section(section);
}

void core_settings_begin(const char *name)
{
	struct core_section *section = find_section(name, strlen(name));

	if (!section)
		return;
	core_block_unref(section->in_force);
	section->in_force = core_block_ref(section->current);
}

const void *core_settings_get(const char *name)
{
	const struct core_section *section = core_section_find(name);

	return section ? core_block_data(section->current) : NULL;
}

const void *core_settings_ref(const void *block)
{
	return block ? core_block_data(core_block_ref(core_block_of(block))) : NULL;
}

void core_settings_unref(const void *block)
{
	if (block)
		core_block_unref(core_block_of(block));
}

/* ---- who is asked -------------------------------------------------------------------------------------------- */

static void remove_acceptor(const char *section)
{
	for (struct acceptor **at = &acceptors; *at; at = &(*at)->next) {
		struct acceptor *one = *at;

		if (strcmp(one->section, section) != 0)
			continue;
		*at = one->next;
		free(one->section);
		free(one);
		return;
	}
}

int core_settings_on_change(const char *section, int (*accept)(void *context, const void *proposed, struct pbx_diag *diag), void *context)
{
	struct acceptor *one;

	if (!accept) {
		remove_acceptor(section);
		return PBX_OK;
	}
	one = calloc(1, sizeof *one);
	if (!one || !(one->section = strdup(section))) {
		free(one);
		return PBX_ENOMEM;
	}
	remove_acceptor(section);
	one->accept = accept;
	one->context = context;
	one->next = acceptors;
	acceptors = one;
	return PBX_OK;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

int core_settings_init(const char *file)
{
	struct core_problems problems = { .diag = &files_wrong };

	assert(!files);
	files_wrong = (struct pbx_diag){ 0 };
	main_file = file ? strdup(file) : NULL;
	if (file && !main_file)
		return PBX_ENOMEM;
	files = core_files_read(main_file, &problems);
	if (!files && problems.count) /* told by the first declare; until then there are defaults */
		files = core_files_read(NULL, &(struct core_problems){ 0 });
	return files ? PBX_OK : PBX_ENOMEM;
}

const char *core_settings_directory(void)
{
	return files->directory;
}

void core_settings_adopt(struct core_files *taken_files, struct core_stored *taken_stored)
{
	assert(!files);
	files = taken_files;
	stored = taken_stored;
}

void core_settings_fini(void)
{
	while (sections)
		unlink_section(sections);
	while (acceptors)
		remove_acceptor(acceptors->section);
	core_judges_free();
	core_stored_free(stored);
	stored = NULL;
	core_files_free(files);
	files = NULL;
	free(main_file);
	main_file = NULL;
	on_applied = NULL;
}
