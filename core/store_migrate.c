/*
 * store_migrate.c - brings a component's tables up to date, step by step
 *
 * What has run is remembered in schema_version with the checksum of its text: a step that has changed since is refused,
 * because the tables out there were made by the old text. Each step is one transaction whose first statement is the row
 * that remembers it, so that of two daemons starting on one database the second waits, sees that the row is there, and
 * looks again.
 */
#include <assert.h>
#include <openssl/evp.h>
#include <string.h>
#include "log.h"
#include "loop.h"
#include "overlap.h"
#include "owner.h"
#include "store_engine.h"

#define STATEMENTS_MOST 512u /* of one step */

static const char *const make_versions = "CREATE TABLE IF NOT EXISTS schema_version (component TEXT NOT NULL, version INTEGER NOT NULL, "
					 "name TEXT NOT NULL, checksum TEXT NOT NULL, "
					 "applied_at INTEGER NOT NULL, PRIMARY KEY (component, version))";

struct migration {
	char *component;
	struct pbx_table rows;
	uint32_t at;         /* the next step to look at */
	char (*known)[65];   /* checksum of each step that has run, "" when it has not */
	uint32_t looked_for; /* a step that somebody else may have run at the same time: one more look was taken */
	void (*done)(void *context, int result, const struct pbx_diag *diag);
	void *context;
};

static void migration_free(struct migration *migration)
{
	if (!migration)
		return;
	free(migration->component);
	free(migration->known);
	free(migration);
}
AUTO_FREES(migration)

/* A row as we know it, whatever its size is to the one who wrote it. */
static struct pbx_migration step_at(const struct migration *migration, uint32_t at)
{
	struct pbx_migration step = { 0 };
	const char *row = (const char *)migration->rows.rows + (size_t)at * migration->rows.row_size;

	core_copy_overlap(&step, sizeof step, row, migration->rows.row_size);
	return step;
}

static void end(struct migration *migration, int result, const struct pbx_diag *diag)
{
	const struct pbx_diag none = { 0 };

	migration->done(migration->context, result, diag ? diag : &none);
	migration_free(migration);
}

static void end_at_step(struct migration *migration, int result, const char *error)
{
	struct pbx_diag diag = { 0 };
	struct pbx_migration step = step_at(migration, migration->at);

	pbx_diag_set(&diag, migration->component, "step %u %s: %s", step.number, step.name, error);
	end(migration, result, &diag);
}

static int checksum(const char *text, char ret_hex[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int length = 0;

	if (EVP_Digest(text, strlen(text), digest, &length, EVP_sha256(), NULL) != 1)
		return PBX_ENOMEM;
	for (unsigned int i = 0; i < 32; i++)
		(void)snprintf(ret_hex + (size_t)i * 2, 3, "%02x", digest[i]);
	return PBX_OK;
}

/* ---- one step ---- */

/* The statements of a step; texts are owned by the array. */
struct script {
	struct pbx_statement statements[STATEMENTS_MOST];
	char *texts[STATEMENTS_MOST];
	uint32_t count;
};

static void script_free(struct script *script)
{
	if (!script)
		return;
	for (uint32_t i = 0; i < script->count; i++)
		free(script->texts[i]);
	free(script);
}
AUTO_FREES(script)

static int script_add(struct script *script, char *taken)
{
	if (script->count == STATEMENTS_MOST) {
		free(taken);
		return PBX_ENOSPC;
	}
	script->texts[script->count] = taken;
	script->statements[script->count++].sql = taken;
	return PBX_OK;
}

static int script_split(struct script *script, const char *sql)
{
	bool no_memory = false;
	int err = PBX_OK;

	for (char *text; err == PBX_OK && (text = store_sql_next(&sql, store_engine_has_types(), &no_memory));)
		err = script_add(script, text);
	return no_memory ? PBX_ENOMEM : err;
}

static void next_step(struct migration *migration);
static void look(struct migration *migration);

static void on_step(void *self, const struct pbx_rows *rows)
{
	struct migration *migration = self;
	struct pbx_migration step = step_at(migration, migration->at);

	if (rows->status == PBX_EEXIST && migration->looked_for != step.number) {
		migration->looked_for = step.number;
		look(migration);
		return;
	}
	if (rows->status != PBX_OK) {
		end_at_step(migration, rows->status == PBX_EEXIST ? PBX_EINVAL : rows->status, rows->error);
		return;
	}
	core_log(PBX_LOG_NOTICE, "core", NULL, "schema_changed", "component=%s step=%u name=%s", migration->component, step.number,
		 step.name);
	migration->at++;
	next_step(migration);
}

static int ask_step(struct migration *migration, const struct pbx_migration *step, const char *sum)
{
	AUTO(script) struct script *script = calloc(1, sizeof *script);
	const struct pbx_value params[] = { pbx_v_text(migration->component), PBX_V_INT(step->number), pbx_v_text(step->name),
					    pbx_v_text(sum), PBX_V_INT(core_wall_us()) };
	char *insert = strdup("INSERT INTO schema_version (component, version, name, checksum, applied_at) VALUES ($1, $2, $3, $4, $5)");

	if (!script || !insert) {
		free(insert);
		return PBX_ENOMEM;
	}
	(void)script_add(script, insert); /* the first one has room */
	script->statements[0].params = params;
	script->statements[0].param_count = 5;

	int err = script_split(script, step->sql);
	if (err != PBX_OK)
		return err;

	struct store_job *job = store_job_new(script->statements, script->count);
	if (job)
		job->once = true;
	return store_ask(core_self(), job, on_step, migration);
}

/* Runs the first step that has not run; ends when all have. */
static void next_step(struct migration *migration)
{
	for (; migration->at < migration->rows.count; migration->at++) {
		struct pbx_migration step = step_at(migration, migration->at);
		const char *known = migration->known[migration->at];
		char sum[65];

		int err = checksum(step.sql, sum);
		if (err == PBX_OK && *known && strcmp(known, sum) == 0)
			continue;
		if (err == PBX_OK && *known) {
			end_at_step(migration, PBX_EEXIST,
				    "its text has changed since it ran: put it back, and make the change a new step");
			return;
		}
		if (err == PBX_OK)
			err = ask_step(migration, &step, sum);
		if (err != PBX_OK)
			end_at_step(migration, err, "there was no memory for it, or it has too many statements");
		return;
	}
	end(migration, PBX_OK, NULL);
}

/* ---- what has run ---- */

static void note_known(struct migration *migration, int64_t version, const char *sum)
{
	for (uint32_t i = 0; i < migration->rows.count; i++) {
		if (step_at(migration, i).number == version) {
			(void)snprintf(migration->known[i], sizeof migration->known[i], "%s", sum);
			return;
		}
	}
	core_log(PBX_LOG_WARN, "core", NULL, "schema_newer", "component=%s step=%lld", migration->component, (long long)version);
}

static void on_versions(void *self, const struct pbx_rows *rows)
{
	struct migration *migration = self;
	struct pbx_diag diag = { 0 };

	if (rows->status != PBX_OK) {
		pbx_diag_set(&diag, migration->component, "%s", rows->error);
		end(migration, rows->status, &diag);
		return;
	}
	for (uint32_t i = 0; i < rows->count; i++)
		note_known(migration, pbx_cell_int(rows, i, 0), pbx_cell_text(rows, i, 1));
	migration->at = 0;
	next_step(migration);
}

static void look(struct migration *migration)
{
	const struct pbx_value component = pbx_v_text(migration->component);
	struct pbx_diag diag = { 0 };
	int err = core_store_run(core_self(), "SELECT version, checksum FROM schema_version WHERE component = $1 ORDER BY version",
				 &component, 1, on_versions, migration);

	if (err != PBX_OK) {
		pbx_diag_set(&diag, migration->component, "the store takes no more questions");
		end(migration, err, &diag);
	}
}

/* Another daemon may have made the table in the same moment; then it is there, which is all we want. */
static void on_made(void *self, const struct pbx_rows *rows)
{
	struct migration *migration = self;
	struct pbx_diag diag = { 0 };

	if (rows->status == PBX_OK || rows->status == PBX_EEXIST) {
		look(migration);
		return;
	}
	pbx_diag_set(&diag, migration->component, "%s", rows->error);
	end(migration, rows->status, &diag);
}

static struct migration *migration_new(const char *component, const struct pbx_table *migrations)
{
	AUTO(migration) struct migration *migration = calloc(1, sizeof *migration);

	if (!migration)
		return NULL;
	migration->rows = *migrations;
	migration->component = strdup(component);
	migration->known = calloc(migrations->count ? migrations->count : 1, sizeof *migration->known);
	return migration->component && migration->known ? TAKE(migration) : NULL;
}

static bool is_rising(const struct migration *migration)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i < migration->rows.count; i++) {
		struct pbx_migration step = step_at(migration, i);

		if (step.number <= last || !step.name || !step.sql)
			return false;
		last = step.number;
	}
	return true;
}

void core_store_migrate(const char *component, const struct pbx_table *migrations,
			void (*done)(void *context, int result, const struct pbx_diag *diag), void *context)
{
	struct migration *migration = migration_new(component, migrations);
	struct pbx_diag diag = { 0 };
	bool no_memory = false;

	if (!migration) {
		pbx_diag_set(&diag, component, "no memory");
		done(context, PBX_ENOMEM, &diag);
		return;
	}
	migration->done = done;
	migration->context = context;
	if (!is_rising(migration)) {
		pbx_diag_set(&diag, component, "its steps are not numbered in rising order, or one has no name or text");
		end(migration, PBX_EINVAL, &diag);
		return;
	}

	const char *script = make_versions;
	char *sql = store_sql_next(&script, store_engine_has_types(), &no_memory);
	int err = sql ? core_store_run(core_self(), sql, NULL, 0, on_made, migration) : PBX_ENOMEM;
	free(sql);
	if (err != PBX_OK) {
		pbx_diag_set(&diag, component, "the store takes no more questions");
		end(migration, err, &diag);
	}
}
