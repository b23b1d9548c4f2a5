/*
 * rows - recordings in the store: opened when they begin, closed when the file is whole
 */
#include "call_recording.h"
#include <string.h>

static void take(char *into, size_t size, const struct pbx_rows *rows, uint32_t at, uint32_t column)
{
	(void)snprintf(into, size, "%s", pbx_cell_text(rows, at, column));
}

/* In the order of ROW_COLUMNS. */
void row_read(const struct pbx_rows *rows, uint32_t at, struct row *ret_row)
{
	struct row row = { .started_us = pbx_cell_int(rows, at, 3),
			   .ended_us = pbx_cell_int(rows, at, 4),
			   .size_bytes = pbx_cell_int(rows, at, 14),
			   .channels = (uint32_t)pbx_cell_int(rows, at, 12) };

	take(row.id, sizeof row.id, rows, at, 0);
	take(row.call_id, sizeof row.call_id, rows, at, 1);
	take(row.from, sizeof row.from, rows, at, 6);
	take(row.to, sizeof row.to, rows, at, 7);
	take(row.format, sizeof row.format, rows, at, 11);
	take(row.sha256, sizeof row.sha256, rows, at, 15);
	take(row.path, sizeof row.path, rows, at, 16);
	take(row.file_key, sizeof row.file_key, rows, at, 17);
	row.legal_hold = pbx_cell_int(rows, at, 21) != 0;
	row.deleted_us = pbx_cell_int(rows, at, 22);
	take(row.outcome, sizeof row.outcome, rows, at, 24);
	take(row.pauses, sizeof row.pauses, rows, at, 25);
	take(row.recorder, sizeof row.recorder, rows, at, 26);
	*ret_row = row;
}

static void set_tags(const struct plugin *plugin, struct pbx_json *object, const char *tags)
{
	struct pbx_json *list = plugin->json->new_array();
	char copy[512], *rest = copy, *tag;

	(void)snprintf(copy, sizeof copy, "%s", tags);
	while ((tag = strsep(&rest, ",")) != NULL)
		if (*tag)
			(void)plugin->json->append_text(list, tag);
	(void)plugin->json->set(object, "tags", list);
}

/* ---- pauses: "at:for:how at:for:how" ---- */

void row_write_pauses(const struct pbx_record_result *result, char ret_text[PAUSES_SIZE])
{
	size_t used = 0;

	*ret_text = '\0';
	for (uint32_t i = 0; i < result->mark_count && used + 48 < PAUSES_SIZE; i++)
		used += (size_t)snprintf(ret_text + used, PAUSES_SIZE - used, "%s%llu:%llu:%u", used ? " " : "",
					 (unsigned long long)result->marks[i].at_ms, (unsigned long long)result->marks[i].for_ms,
					 result->marks[i].how);
}

static uint32_t read_pauses(const char *text, struct pbx_record_mark ret_marks[PBX_RECORD_MOST_MARKS])
{
	unsigned long long at_ms, for_ms;
	unsigned how;
	uint32_t count = 0;
	int length;

	for (; count < PBX_RECORD_MOST_MARKS && sscanf(text, "%llu:%llu:%u%n", &at_ms, &for_ms, &how, &length) == 3; text += length)
		ret_marks[count++] = (struct pbx_record_mark){ .at_ms = at_ms, .for_ms = for_ms, .how = how };
	return count;
}

uint32_t row_marks(const struct row *row, struct pbx_record_mark ret_marks[PBX_RECORD_MOST_MARKS])
{
	return read_pauses(row->pauses, ret_marks);
}

static void set_pauses(const struct plugin *plugin, struct pbx_json *object, const char *text)
{
	struct pbx_record_mark marks[PBX_RECORD_MOST_MARKS];
	struct pbx_json *list = plugin->json->new_array();
	uint32_t count = read_pauses(text, marks);

	for (uint32_t i = 0; i < count; i++) {
		struct pbx_json *pause = plugin->json->new_object();

		(void)plugin->json->set_integer(pause, "at_ms", (int64_t)marks[i].at_ms);
		(void)plugin->json->set_integer(pause, "for_ms", (int64_t)marks[i].for_ms);
		(void)plugin->json->set_boolean(pause, "left_out", marks[i].how == PBX_PAUSE_CUT);
		(void)plugin->json->append(list, pause);
	}
	(void)plugin->json->set(object, "pauses", list);
}

/* ---- as an answer has it ---- */

struct pbx_json *row_json(const struct plugin *plugin, const struct pbx_rows *rows, uint32_t at)
{
	static const struct {
		const char *name;
		uint32_t column;
	} texts[] = { { "id", 0 },          { "call_id", 1 },  { "group_id", 2 }, { "from", 6 },    { "to", 7 },
		      { "direction", 8 },   { "reason", 9 },   { "trunk", 10 },   { "format", 11 }, { "sha256", 15 },
		      { "deleted_by", 23 }, { "outcome", 24 }, { "recorder", 26 } },
	  numbers[] = { { "duration_ms", 5 }, { "channels", 12 },  { "sample_rate", 13 },
			{ "size_bytes", 14 }, { "paused_ms", 18 }, { "gaps_ms", 19 } },
	  times[] = { { "started_at", 3 }, { "ended_at", 4 }, { "deleted_at", 22 } };
	const struct pbx_jsons *json = plugin->json;
	struct pbx_json *object = json->new_object();

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		const char *text = pbx_cell_text(rows, at, texts[i].column);

		(void)json->set_text(object, texts[i].name, text[0] ? text : NULL);
	}
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		(void)json->set_integer(object, numbers[i].name, pbx_cell_int(rows, at, numbers[i].column));
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		(void)json->set_time(object, times[i].name, pbx_cell_int(rows, at, times[i].column));
	(void)json->set_boolean(object, "legal_hold", pbx_cell_int(rows, at, 21) != 0);
	set_tags(plugin, object, pbx_cell_text(rows, at, 20));
	set_pauses(plugin, object, pbx_cell_text(rows, at, 25));
	return object;
}

void row_file_name(const struct row *row, struct form form, char *ret_name, size_t size)
{
	const char *dot = strrchr(row->path, '.');
	const char *side = form.side == SIDE_LEFT ? "_caller" : form.side == SIDE_RIGHT ? "_called" : form.side == SIDE_MIX ? "_mix" : "";

	(void)snprintf(ret_name, size, "%.*s%s.%s", (int)(dot ? dot - row->path : (long)strlen(row->path)), row->path, side,
		       form.format == FORM_AS_IS ? (dot ? dot + 1 : row->format) : convert_extension(form.format));
}

int row_open(const struct plugin *plugin, const struct row *row, struct stored *stored)
{
	stored->is_sealed = row->file_key[0];
	return stored->is_sealed && file_key_open(plugin, row, stored->key) != PBX_OK ? PBX_EPERM : PBX_OK;
}

void row_begin(const struct active *active)
{
	struct plugin *plugin = active->plugin;
	const struct pbx_value values[] = {
		pbx_v_text(active->id),    pbx_v_text(active->call_id), pbx_v_text(active->group_id),  PBX_V_INT(active->started_us),
		pbx_v_text(active->from),  pbx_v_text(active->to),      pbx_v_text(active->direction), pbx_v_text(active->trigger),
		pbx_v_text(active->trunk), pbx_v_text(active->format),  pbx_v_text(active->path),
	};

	(void)plugin->store->record(
		plugin->host,
		"INSERT INTO call_recordings (id, call_id, group_id, started_at, from_number, to_number, direction, reason,"
		" trunk, format, path) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING",
		values, sizeof values / sizeof values[0], NULL, NULL); /* an error is logged by the store */
}

/* At once: who has it is to be known after a crash, too. */
void row_recorder(const struct active *active)
{
	struct plugin *plugin = active->plugin;
	const struct pbx_value values[] = { pbx_v_text(active->id), pbx_v_text(active->recorder) };

	(void)plugin->store->record(plugin->host, "UPDATE call_recordings SET recorder = $2 WHERE id = $1", values,
				    sizeof values / sizeof values[0], NULL, NULL);
}

void row_end(struct plugin *plugin, const char *id, const struct pbx_record_result *result, const char *sha256, const char *file_key,
	     const char *outcome, const char *pauses)
{
	const struct pbx_value values[] = {
		pbx_v_text(id),
		PBX_V_INT(plugin->host->wall_us(plugin->host)),
		PBX_V_INT((int64_t)result->duration_ms),
		PBX_V_INT(result->channels),
		PBX_V_INT(result->rate_hz),
		PBX_V_INT((int64_t)result->size_bytes),
		pbx_v_text(sha256),
		pbx_v_text(file_key),
		PBX_V_INT((int64_t)result->paused_ms),
		PBX_V_INT((int64_t)result->gaps_ms),
		pbx_v_text(outcome),
		pbx_v_text(pauses),
	};

	(void)plugin->store->record(
		plugin->host,
		"UPDATE call_recordings SET ended_at = $2, duration_ms = $3, channels = $4, sample_rate = $5, size_bytes = $6,"
		" sha256 = $7, file_key = $8, paused_ms = $9, gaps_ms = $10, outcome = $11, pauses = $12 WHERE id = $1",
		values, sizeof values / sizeof values[0], NULL, NULL);
}

void row_note_access(struct plugin *plugin, const char *id, const char *who, const char *action)
{
	char ulid[ID_SIZE];

	plugin->host->ulid(plugin->host, ulid);
	const struct pbx_value values[] = { pbx_v_text(ulid), pbx_v_text(id), pbx_v_text(who), pbx_v_text(action),
					    PBX_V_INT(plugin->host->wall_us(plugin->host)) };

	(void)plugin->store->record(plugin->host,
				    "INSERT INTO call_recording_access (id, recording_id, actor, action, at) VALUES ($1, $2, $3, $4, $5)"
				    " ON CONFLICT (id) DO NOTHING",
				    values, sizeof values / sizeof values[0], NULL, NULL);
}
