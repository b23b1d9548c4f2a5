/* core/store.h - one asynchronous interface over SQLite and PostgreSQL; serves "pbx.store/1". [loop] unless noted. */
#pragma once
#include <pbx/store.h>

struct core_store_config {
	const char *engine;      /* "sqlite", "postgresql" */
	const char *file;        /* sqlite */
	const char *url;         /* postgresql: libpq connection string; a secret */
	const char *journal_dir; /* records written while the engine is away */
	uint32_t readers, pool;  /* sqlite reader threads; PostgreSQL connections */
	uint32_t statement_timeout_ms;
};

/* Opens and returns at once; up(context, PBX_OK) when the engine answers first, or an error when it never can (bad file, bad URL). */
int core_store_init(const struct core_store_config *config, void (*up)(void *context, int result, const char *reason), void *context);
/* Writes out what waits (at most wait_ms), closes, frees. What was asked is answered before it returns: records are in the journal, the rest
 * hears PBX_ECANCELLED. Callbacks may not ask for more then (PBX_ENOSPC). */
void core_store_fini(uint32_t wait_ms);

int core_store_run(struct pbx_host *owner, const char *sql, const struct pbx_value *params, uint32_t count, pbx_rows_fn done, void *self);
int core_store_batch(struct pbx_host *owner, const struct pbx_statement *statements, uint32_t count, pbx_rows_fn done, void *self);
int core_store_record(struct pbx_host *owner, const char *sql, const struct pbx_value *params, uint32_t count, pbx_rows_fn done,
		      void *self);
bool core_store_is_up(void);

/* Runs the steps of `component` that have not run, each in a transaction, and records them in schema_version(component, version, name, checksum,
 * applied_at). A step whose text has changed since it ran is refused: PBX_EEXIST, diag names the step. */
void core_store_migrate(const char *component, const struct pbx_table *migrations,
			void (*done)(void *context, int result, const struct pbx_diag *diag), void *context);

/* journalled: records that are not in their tables yet, journal_bytes: what they take on disk; both are about now, the others about ever. */
struct core_store_stats {
	uint64_t queries, errors, waiting, journalled, journal_bytes, reconnects;
	bool up, disk_full;
};
void core_store_stats(struct core_store_stats *ret_stats);

extern const struct pbx_store core_store_service;
