/*
 * settings_store - the settings no file pins: kept in the store as revisions, changed one after the other, undone
 *
 * A change is first tried on the owners, then written; when it cannot be written the owners get the old values back, so that what holds
 * and what is stored never differ for longer than a statement takes. Changes wait for each other in a queue. Another node that writes
 * the same revision number first wins: ours is taken back, what it wrote is read, and the person is told to look again.
 */
#include <stdlib.h>
#include <string.h>
#include "auto.h"
#include "bus.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "secrets.h"
#include "settings.h"
#include "settings_internal.h"
#include "store.h"

#define MOST_WAITING 256u
#define MOST_CHANGES 64u /* in one revision: an undo brings as many as the revision had */

struct one_change {
	char *path;
	char *value, *old; /* as typed; NULL: the default */
	bool secret;
};

struct pending {
	struct pending *next;
	char *actor;
	int64_t undoes; /* 0: none */
	struct one_change changes[MOST_CHANGES];
	uint32_t count;
	struct core_stored *before; /* to go back to */
	struct pbx_json *changed;   /* [{path, from, to, restart}] */
	core_settings_done_fn done;
	void *context;
};

struct loading {
	void (*done)(void *context, int result);
	void *context;
	struct core_stored *values;
};

static struct pending *queue, *active;
static uint32_t waiting;
static bool attached;
static int64_t last_revision;

static void run_next(void);

/* ---- secrets in the store --------------------------------------------------------------------- */

static bool has_secret(const struct pbx_setting *row)
{
	const struct pbx_setting *fields = row->fields.rows;

	if (row->type == PBX_TYPE_SECRET)
		return true;
	for (uint32_t i = 0; row->type == PBX_TYPE_OBJECTS && i < row->fields.count; i++)
		if (has_secret(&fields[i]))
			return true;
	return false;
}

static char *seal(const char *path, const char *value)
{
	char context[300];

	(void)snprintf(context, sizeof context, "settings.%.200s", path);
	return core_secrets_seal(value, context);
}

static char *unseal(const char *path, const char *value)
{
	char context[300];

	(void)snprintf(context, sizeof context, "settings.%.200s", path);
	return core_secrets_open(value, context);
}

/* ---- one change's life -------------------------------------------------------------------------- */

static void pending_free(struct pending *pending)
{
	if (!pending)
		return;
	for (uint32_t i = 0; i < pending->count; i++) {
		free(pending->changes[i].path);
		core_secrets_wipe(pending->changes[i].value);
		core_secrets_wipe(pending->changes[i].old);
	}
	core_stored_free(pending->before);
	core_json_free(pending->changed);
	free(pending->actor);
	free(pending);
}

static void finish(int result, const struct pbx_diag *diag, int64_t revision)
{
	struct pending *pending = active;

	active = NULL;
	pending->done(pending->context, result, diag, revision, result == PBX_OK ? pending->changed : NULL);
	pending_free(pending);
	run_next();
}

static bool add_change(struct pending *pending, const char *path, const char *value)
{
	struct one_change *change = &pending->changes[pending->count];

	*change = (struct one_change){ .path = strdup(path), .value = value ? strdup(value) : NULL };
	pending->count++;
	return change->path && (!value || change->value);
}

/* A file's word stands above the store's. */
static int refuse_pinned(const char *path, struct pbx_diag *diag)
{
	const struct core_node *pinned = core_setting_pinned(path);

	if (!pinned)
		return PBX_OK;
	pbx_diag_set(diag, path, "%.150s: pinned by %.200s:%u, change it there", path, pinned->place.file, pinned->key_place.line);
	return PBX_EPERM;
}

/* Looks at the changes one by one, and finds what they replace. */
static int examine(struct pending *pending, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < pending->count; i++) {
		struct one_change *change = &pending->changes[i];
		const struct core_section *section;
		const struct pbx_setting *row;
		const char *old = core_setting_stored(change->path);
		int err = core_setting_find(change->path, &section, &row, diag);

		if (err == PBX_OK)
			err = refuse_pinned(change->path, diag);
		if (err == PBX_OK && change->value)
			err = core_setting_check(change->path, change->value, diag);
		if (err == PBX_OK && old && !(change->old = strdup(old)))
			err = PBX_ENOMEM;
		if (err != PBX_OK)
			return err;
		change->secret = has_secret(row);
	}
	return PBX_OK;
}

/* Tries the changes on the owners. */
static int try_changes(struct pending *pending, struct pbx_diag *diag)
{
	bool no_memory = false;
	struct core_stored *candidate = core_stored_copy(&no_memory);

	pending->before = core_stored_copy(&no_memory);
	for (uint32_t i = 0; i < pending->count; i++)
		candidate = core_stored_put(candidate, pending->changes[i].path, pending->changes[i].value, &no_memory);
	if (no_memory) {
		core_stored_free(candidate);
		return PBX_ENOMEM;
	}
	return core_stored_apply(candidate, diag, &pending->changed);
}

static void take_back(struct pending *pending)
{
	struct pbx_diag diag = { 0 };

	if (core_stored_apply(TAKE(pending->before), &diag, NULL) != PBX_OK)
		core_log(PBX_LOG_ERROR, "core", NULL, "old_settings_refused", "reason=\"%s\"", diag.text);
}

/* ---- writing ---------------------------------------------------------------------------------------- */

static void load(struct loading *loading);

/* Another node was first: told when what it wrote holds here, so that who looks again sees it. */
static void on_others_read(void *context, int result)
{
	struct pbx_diag diag = { 0 };

	(void)context;
	if (result != PBX_OK)
		core_log(PBX_LOG_WARN, "core", NULL, "stored_settings_not_read", "result=%d", result);
	pbx_diag_set(&diag, active->changes[0].path, "settings were changed elsewhere at the same moment: look again, then repeat");
	finish(PBX_EBUSY, &diag, 0);
}

static void read_others_changes(void)
{
	struct loading *loading = calloc(1, sizeof *loading);

	if (!loading) {
		on_others_read(NULL, PBX_ENOMEM);
		return;
	}
	loading->done = on_others_read;
	load(loading);
}

static void tell_bus(const char *actor, int64_t revision, const struct pbx_json *changed)
{
	struct pbx_json *data = core_json_object(), *paths = core_json_array();

	for (const struct pbx_json *one = core_json_first(changed); one; one = core_json_next(one))
		(void)core_json_append_text(paths, core_json_text(core_json_get(one, "path")));
	(void)core_json_set_integer(data, "revision", revision);
	(void)core_json_set_text(data, "actor", actor);
	(void)core_json_set(data, "paths", paths);
	/* The change holds whether or not it can be told; the bus says itself what is wrong with an event. */
	(void)core_bus_publish(core_self(), "settings.changed", "", "", data);
}

static void on_written(void *context, const struct pbx_rows *rows)
{
	struct pending *pending = context;
	struct pbx_diag diag = { 0 };

	if (rows->status == PBX_OK) {
		last_revision++;
		tell_bus(pending->actor, last_revision, pending->changed);
		finish(PBX_OK, &diag, last_revision);
		return;
	}
	take_back(pending);
	if (rows->status == PBX_EEXIST) {
		read_others_changes();
	} else {
		pbx_diag_set(&diag, pending->changes[0].path, "not stored, nothing has changed: %.300s", rows->error);
		finish(rows->status, &diag, 0);
	}
}

/* The statements of one revision, with what their parameters point at. */
struct writing {
	struct pbx_statement statements[1 + 2 * MOST_CHANGES];
	struct pbx_value params[4 + 9 * MOST_CHANGES];
	char *sealed[2 * MOST_CHANGES];
	uint32_t statement_count, param_count, sealed_count;
	bool failed;
};

static void add_statement(struct writing *writing, const char *sql, uint32_t params)
{
	writing->statements[writing->statement_count++] =
		(struct pbx_statement){ .sql = sql, .params = &writing->params[writing->param_count], .param_count = params };
}

static void add_param(struct writing *writing, struct pbx_value value)
{
	writing->params[writing->param_count++] = value;
}

static const char *written_value(struct writing *writing, const struct one_change *change, const char *value)
{
	char *sealed;

	if (!value || !change->secret)
		return value;
	sealed = seal(change->path, value);
	writing->failed |= !sealed;
	writing->sealed[writing->sealed_count++] = sealed;
	return sealed;
}

static void add_written_change(struct writing *writing, const struct one_change *change, int64_t revision)
{
	const char *old = written_value(writing, change, change->old), *value = written_value(writing, change, change->value);

	add_statement(writing, "INSERT INTO settings_changes (revision, path, old_value, new_value, sealed) VALUES ($1, $2, $3, $4, $5)",
		      5);
	add_param(writing, PBX_V_INT(revision));
	add_param(writing, pbx_v_text(change->path));
	add_param(writing, pbx_v_text(old));
	add_param(writing, pbx_v_text(value));
	add_param(writing, PBX_V_INT(change->secret));
	if (value) {
		add_statement(
			writing,
			"INSERT INTO settings_values (path, value, sealed, revision) VALUES ($1, $2, $3, $4) "
			"ON CONFLICT (path) DO UPDATE SET value = excluded.value, sealed = excluded.sealed, revision = excluded.revision",
			4);
		add_param(writing, pbx_v_text(change->path));
		add_param(writing, pbx_v_text(value));
		add_param(writing, PBX_V_INT(change->secret));
		add_param(writing, PBX_V_INT(revision));
	} else {
		add_statement(writing, "DELETE FROM settings_values WHERE path = $1", 1);
		add_param(writing, pbx_v_text(change->path));
	}
}

static int write_revision(struct pending *pending)
{
	struct writing *writing = calloc(1, sizeof *writing);
	int err = PBX_EIO;

	if (!writing)
		return PBX_ENOMEM;
	add_statement(writing, "INSERT INTO settings_revisions (revision, made_at, actor, undoes) VALUES ($1, $2, $3, $4)", 4);
	add_param(writing, PBX_V_INT(last_revision + 1));
	add_param(writing, PBX_V_INT(core_wall_us()));
	add_param(writing, pbx_v_text(pending->actor));
	add_param(writing, pending->undoes ? PBX_V_INT(pending->undoes) : PBX_V_NULL);
	for (uint32_t i = 0; i < pending->count; i++)
		add_written_change(writing, &pending->changes[i], last_revision + 1);
	if (!writing->failed)
		err = core_store_batch(core_self(), writing->statements, writing->statement_count, on_written, pending);
	for (uint32_t i = 0; i < writing->sealed_count; i++)
		free(writing->sealed[i]);
	free(writing);
	return err;
}

static void make_change(void)
{
	struct pbx_diag diag = { 0 };
	int err = examine(active, &diag);

	if (err == PBX_OK)
		err = try_changes(active, &diag);
	if (err == PBX_OK) {
		err = write_revision(active);
		if (err != PBX_OK) {
			take_back(active);
			pbx_diag_set(&diag, active->changes[0].path, "not stored, nothing has changed");
		}
	}
	if (err != PBX_OK)
		finish(err, &diag, 0);
}

static void on_old_values(void *context, const struct pbx_rows *rows)
{
	struct pbx_diag diag = { 0 };
	int err = rows->status;

	(void)context;
	if (err != PBX_OK)
		pbx_diag_set(&diag, "revision", "the store did not answer: %.300s", rows->error);
	else if (!rows->count || rows->count > MOST_CHANGES)
		err = PBX_ENOENT;
	if (err == PBX_ENOENT)
		pbx_diag_set(&diag, "revision", "there is no revision %lld", (long long)active->undoes);
	for (uint32_t i = 0; err == PBX_OK && i < rows->count; i++) {
		const char *path = pbx_cell_text(rows, i, 0),
			   *old = pbx_cell(rows, i, 1)->type == PBX_VALUE_TEXT ? pbx_cell_text(rows, i, 1) : NULL;
		char *opened = old && pbx_cell_int(rows, i, 2) ? unseal(path, old) : NULL;

		if (old && pbx_cell_int(rows, i, 2) && !opened) {
			pbx_diag_set(&diag, path, "%.200s: its old value cannot be opened, the installation's key is another", path);
			err = PBX_EIO;
		} else if (!add_change(active, path, opened ? opened : old)) {
			err = PBX_ENOMEM;
		}
		core_secrets_wipe(opened);
	}
	if (err != PBX_OK)
		finish(err, &diag, 0);
	else
		make_change();
}

static void run_next(void)
{
	struct pbx_value revision;

	if (active || !queue)
		return;
	active = queue;
	queue = queue->next;
	active->next = NULL;
	waiting--;
	if (!active->undoes) {
		make_change();
		return;
	}
	revision = PBX_V_INT(active->undoes);
	if (core_store_run(core_self(), "SELECT path, old_value, sealed FROM settings_changes WHERE revision = $1 ORDER BY path", &revision,
			   1, on_old_values, NULL) != PBX_OK)
		finish(PBX_EIO, &(struct pbx_diag){ .text = "the store takes no more questions" }, 0);
}

static void enqueue(struct pending *taken)
{
	struct pending **end = &queue;

	while (*end)
		end = &(*end)->next;
	*end = taken;
	waiting++;
	run_next();
}

/* NULL: told already. */
static struct pending *pending_new(const char *actor, core_settings_done_fn done, void *context)
{
	struct pbx_diag diag = { 0 };
	struct pending *pending = NULL;
	int err = PBX_ENOMEM;

	if (!attached) {
		pbx_diag_set(&diag, "", "settings cannot be stored: the store is not there");
		err = PBX_ESTATE;
	} else if (waiting >= MOST_WAITING) {
		pbx_diag_set(&diag, "", "too many changes are waiting");
		err = PBX_ENOSPC;
	} else if ((pending = calloc(1, sizeof *pending)) && (pending->actor = strdup(actor))) {
		pending->done = done;
		pending->context = context;
		return pending;
	}
	free(pending);
	done(context, err, &diag, 0, NULL);
	return NULL;
}

void core_settings_set(const char *actor, const char *path, const char *value, core_settings_done_fn done, void *context)
{
	struct pending *pending = pending_new(actor, done, context);

	if (!pending)
		return;
	if (add_change(pending, path, value)) {
		enqueue(pending);
		return;
	}
	done(context, PBX_ENOMEM, &(struct pbx_diag){ .text = "no memory" }, 0, NULL);
	pending_free(pending);
}

void core_settings_undo(const char *actor, int64_t revision, core_settings_done_fn done, void *context)
{
	struct pending *pending;

	if (revision < 1) {
		done(context, PBX_ENOENT, &(struct pbx_diag){ .field = "revision", .text = "revisions are numbered from 1" }, 0, NULL);
		return;
	}
	pending = pending_new(actor, done, context);
	if (!pending)
		return;
	pending->undoes = revision;
	enqueue(pending);
}

/* ---- loading --------------------------------------------------------------------------------------------- */

/* All at once; when an owner refuses, one by one, so that a single bad one does not take the others with it. */
static void apply_loaded(struct core_stored *taken)
{
	struct pbx_diag diag = { 0 };
	bool no_memory = false;
	struct core_stored *whole = NULL;

	for (const struct core_stored *one = taken; one; one = one->next)
		whole = core_stored_put(whole, one->path, one->value, &no_memory);
	if (core_stored_apply(whole, &diag, NULL) == PBX_OK) {
		core_stored_free(taken);
		return;
	}
	for (const struct core_stored *one = taken; one; one = one->next) {
		struct core_stored *more = core_stored_put(core_stored_copy(&no_memory), one->path, one->value, &no_memory);

		if (core_stored_apply(more, &diag, NULL) != PBX_OK)
			core_log(PBX_LOG_WARN, "core", NULL, "stored_setting_refused", "path=%s reason=\"%s\"", one->path, diag.text);
	}
	core_stored_free(taken);
}

static void loading_done(struct loading *loading, int result)
{
	core_stored_free(loading->values);
	loading->done(loading->context, result);
	free(loading);
}

static void on_revision(void *context, const struct pbx_rows *rows)
{
	struct loading *loading = context;

	if (rows->status == PBX_OK) {
		last_revision = rows->count ? pbx_cell_int(rows, 0, 0) : 0;
		apply_loaded(TAKE(loading->values));
	}
	loading_done(loading, rows->status);
}

static void on_values(void *context, const struct pbx_rows *rows)
{
	struct loading *loading = context;
	bool no_memory = false;

	for (uint32_t i = 0; rows->status == PBX_OK && i < rows->count; i++) {
		const char *path = pbx_cell_text(rows, i, 0), *value = pbx_cell_text(rows, i, 1);
		char *opened = pbx_cell_int(rows, i, 2) ? unseal(path, value) : NULL;

		if (pbx_cell_int(rows, i, 2) && !opened)
			core_log(PBX_LOG_WARN, "core", NULL, "stored_setting_ignored", "path=%s reason=\"sealed under another key\"", path);
		else
			loading->values = core_stored_put(loading->values, path, opened ? opened : value, &no_memory);
		core_secrets_wipe(opened);
	}
	if (rows->status != PBX_OK || no_memory) {
		loading_done(loading, no_memory ? PBX_ENOMEM : rows->status);
		return;
	}
	if (core_store_run(core_self(), "SELECT COALESCE(MAX(revision), 0) FROM settings_revisions", NULL, 0, on_revision, loading) !=
	    PBX_OK)
		loading_done(loading, PBX_EIO);
}

static void load(struct loading *loading)
{
	if (core_store_run(core_self(), "SELECT path, value, sealed FROM settings_values ORDER BY path", NULL, 0, on_values, loading) !=
	    PBX_OK)
		loading_done(loading, PBX_EIO);
}

static void on_attached(void *context, int result)
{
	struct loading *first = context;

	attached = result == PBX_OK;
	if (attached)
		core_settings_on_applied(tell_bus);
	first->done(first->context, result);
	free(first);
}

void core_settings_attach_store(void (*done)(void *context, int result), void *context)
{
	struct loading *loading = calloc(1, sizeof *loading), *told = calloc(1, sizeof *told);

	if (!loading || !told) {
		free(loading);
		free(told);
		done(context, PBX_ENOMEM);
		return;
	}
	told->done = done;
	told->context = context;
	loading->done = on_attached;
	loading->context = told;
	load(loading);
}

/* ---- history ------------------------------------------------------------------------------------------------ */

struct asking {
	void (*done)(void *context, struct pbx_json *taken);
	void *context;
};

static void set_history_value(struct pbx_json *one, const char *name, const struct pbx_value *cell, bool sealed)
{
	(void)core_json_set_text(one, name, cell->type != PBX_VALUE_TEXT ? NULL : sealed ? "(set)" : cell->as.bytes);
}

static void on_history(void *context, const struct pbx_rows *rows)
{
	struct asking *asking = context;
	struct pbx_json *list = rows->status == PBX_OK ? core_json_array() : NULL;

	for (uint32_t i = 0; list && i < rows->count; i++) {
		const bool sealed = pbx_cell_int(rows, i, 7) != 0;
		struct pbx_json *one = core_json_object();

		(void)core_json_set_integer(one, "revision", pbx_cell_int(rows, i, 0));
		(void)core_json_set_time(one, "time", pbx_cell_int(rows, i, 1));
		(void)core_json_set_text(one, "actor", pbx_cell_text(rows, i, 2));
		if (pbx_cell(rows, i, 3)->type == PBX_VALUE_INT)
			(void)core_json_set_integer(one, "undoes", pbx_cell_int(rows, i, 3));
		(void)core_json_set_text(one, "path", pbx_cell_text(rows, i, 4));
		set_history_value(one, "from", pbx_cell(rows, i, 5), sealed);
		set_history_value(one, "to", pbx_cell(rows, i, 6), sealed);
		(void)core_json_append(list, one);
	}
	asking->done(asking->context, list);
	free(asking);
}

void core_settings_history(uint32_t most, void (*done)(void *context, struct pbx_json *taken), void *context)
{
	struct asking *asking = calloc(1, sizeof *asking);
	const struct pbx_value limit = PBX_V_INT(most);

	if (asking) {
		asking->done = done;
		asking->context = context;
		if (core_store_run(core_self(),
				   "SELECT r.revision, r.made_at, r.actor, r.undoes, c.path, c.old_value, c.new_value, c.sealed "
				   "FROM settings_revisions r JOIN settings_changes c ON c.revision = r.revision "
				   "ORDER BY r.revision DESC, c.path LIMIT $1",
				   &limit, 1, on_history, asking) == PBX_OK)
			return;
	}
	free(asking);
	done(context, NULL);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

void core_settings_detach_store(void)
{
	const struct pbx_diag diag = { .text = "the daemon stops" };

	attached = false;
	core_settings_on_applied(NULL);
	while (queue) {
		struct pending *pending = queue;

		queue = pending->next;
		waiting--;
		pending->done(pending->context, PBX_ECANCELLED, &diag, 0, NULL);
		pending_free(pending);
	}
	last_revision = 0;
}
