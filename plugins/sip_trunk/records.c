/*
 * records - trunks and routes in memory, so that a call never waits for the database; read once at the start
 */
#include "sip_trunk.h"
#include <stdlib.h>
#include <string.h>

int outbound_compile(regex_t *regex, const char *pattern, struct pbx_diag *diag)
{
	char anchored[300], reason[128];

	(void)snprintf(anchored, sizeof anchored, "^(%s)", pattern[0] == '^' ? pattern + 1 : pattern);
	int failure = pattern[0] ? regcomp(regex, anchored, REG_EXTENDED | REG_NOSUB) : REG_BADPAT;
	if (failure == 0)
		return PBX_OK;
	(void)regerror(failure, pattern[0] ? regex : NULL, reason, sizeof reason);
	pbx_diag_set(diag, "pattern", "'%.120s' is no pattern: %s; write an extended regular expression, 1[2-9][0-9]{9}", pattern, reason);
	return PBX_EINVAL;
}

const void *record_find(const struct sip_trunk *plugin, uint32_t kind, const char *id)
{
	const struct record *record = plugin->records[kind];

	while (record && strcmp((const char *)record->row, id) != 0)
		record = record->next;
	return record ? record->row : NULL;
}

static uint32_t priority_of(uint32_t kind, const void *row)
{
	return kind == KIND_TRUNK      ? ((const struct trunk_config *)row)->priority
	       : kind == KIND_OUTBOUND ? ((const struct outbound_route *)row)->priority
				       : 0;
}

static void record_free(struct record *record)
{
	if (record->has_regex)
		regfree(&record->regex);
	explicit_bzero(record->row, sizeof record->row[0]);
	free(record);
}

void record_drop(struct sip_trunk *plugin, uint32_t kind, const char *id)
{
	struct record **at = &plugin->records[kind], *gone;

	while (*at && strcmp((const char *)(*at)->row, id) != 0)
		at = &(*at)->next;
	gone = *at;
	if (!gone)
		return;
	*at = gone->next;
	record_free(gone);
}

int record_place(struct sip_trunk *plugin, uint32_t kind, const void *row)
{
	struct record *record = calloc(1, sizeof *record + kinds[kind].size), **at = &plugin->records[kind];
	struct pbx_diag diag;

	if (!record)
		return PBX_ENOMEM;
	memcpy(record->row, row, kinds[kind].size);
	if (kind == KIND_OUTBOUND)
		record->has_regex = outbound_compile(&record->regex, ((const struct outbound_route *)row)->pattern, &diag) == PBX_OK;
	record_drop(plugin, kind, row);
	uint32_t priority = priority_of(kind, row);
	while (*at && (priority_of(kind, (*at)->row) < priority ||
		       (priority_of(kind, (*at)->row) == priority && strcmp((const char *)(*at)->row, row) < 0)))
		at = &(*at)->next;
	record->next = *at;
	*at = record;
	return PBX_OK;
}

void records_clear(struct sip_trunk *plugin)
{
	for (uint32_t kind = 0; kind < KINDS; kind++) {
		while (plugin->records[kind]) {
			struct record *record = plugin->records[kind];

			plugin->records[kind] = record->next;
			record_free(record);
		}
		free(plugin->select_sql[kind]);
		free(plugin->upsert_sql[kind]);
		plugin->select_sql[kind] = plugin->upsert_sql[kind] = NULL;
	}
}

/* ---- the store ------------------------------------------------------------------------ */

static const char *column_name(const struct kind *kind, uint32_t at)
{
	return ((const struct column *)kind->columns.rows)[at].arg.name;
}

/* The statements of a kind, from its columns. */
static int make_sql(struct sip_trunk *plugin, uint32_t which)
{
	const struct kind *kind = &kinds[which];
	char names[1024] = "", places[512] = "", sets[2048] = "";

	for (uint32_t i = 0; i < kind->columns.count; i++) {
		size_t a = strlen(names), b = strlen(places), c = strlen(sets);

		(void)snprintf(names + a, sizeof names - a, "%s%s", i ? ", " : "", column_name(kind, i));
		(void)snprintf(places + b, sizeof places - b, "%s$%u", i ? ", " : "", i + 1);
		if (i > 0)
			(void)snprintf(sets + c, sizeof sets - c, "%s%s = $%u", i > 1 ? ", " : "", column_name(kind, i), i + 1);
	}
	if (asprintf(&plugin->select_sql[which], "SELECT %s FROM %s", names, kind->table) < 0)
		plugin->select_sql[which] = NULL;
	if (asprintf(&plugin->upsert_sql[which], "INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (%s) DO UPDATE SET %s", kind->table, names,
		     places, column_name(kind, 0), sets) < 0)
		plugin->upsert_sql[which] = NULL;
	return plugin->select_sql[which] && plugin->upsert_sql[which] ? PBX_OK : PBX_ENOMEM;
}

static int load_kind(struct sip_trunk *plugin);

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct sip_trunk *plugin = self;
	const struct kind *kind = &kinds[plugin->loading];
	void *row = malloc(kind->size);
	int err = rows->status != PBX_OK ? rows->status : row ? PBX_OK : PBX_ENOMEM;

	for (uint32_t i = 0; err == PBX_OK && i < rows->count; i++) {
		row_read(kind, row, rows, i);
		err = record_place(plugin, plugin->loading, row);
	}
	free(row);
	if (err == PBX_OK && ++plugin->loading < KINDS) {
		err = load_kind(plugin);
		if (err == PBX_OK)
			return;
	}
	plugin->host->ready(plugin->host, err, err == PBX_ENOMEM ? "there is no memory for the trunks" : rows->error);
}

static int load_kind(struct sip_trunk *plugin)
{
	return plugin->store->run(plugin->host, plugin->select_sql[plugin->loading], NULL, 0, on_rows, plugin);
}

int records_load(struct sip_trunk *plugin)
{
	for (uint32_t kind = 0; kind < KINDS; kind++)
		if (make_sql(plugin, kind) != PBX_OK)
			return PBX_ENOMEM;
	int err = load_kind(plugin);
	return err == PBX_OK ? PBX_ELATER : err;
}

void records_apply(struct sip_trunk *plugin)
{
	for (const struct record *record = plugin->records[KIND_TRUNK]; record; record = record->next)
		trunk_changed(plugin, (const char *)record->row, record->row);
}
