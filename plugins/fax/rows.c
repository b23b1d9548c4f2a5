/*
 * rows - faxes in the store, and what the world learns of them
 */
#include "fax.h"
#include <string.h>

void row_begin(struct job *job, const char *state)
{
	struct plugin *plugin = job->plugin;
	const struct pbx_value values[] = {
		pbx_v_text(job->id),
		pbx_v_text(job->sends ? "out" : "in"),
		pbx_v_text(state),
		pbx_v_text(job->inbox),
		pbx_v_text(job->from),
		pbx_v_text(job->to),
		PBX_V_INT(job->attempts),
		PBX_V_INT(plugin->host->wall_us(plugin->host)),
		pbx_v_text(strrchr(job->path, '/') + 1),
	};

	(void)plugin->store->record(
		plugin->host,
		"INSERT INTO fax_faxes (id, direction, state, inbox, from_number, to_number, attempts, created_at, path)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
		" ON CONFLICT (id) DO UPDATE SET state = excluded.state, attempts = excluded.attempts",
		values, sizeof values / sizeof values[0], NULL, NULL); /* an error is logged by the store */
}

void row_end(struct job *job, const char *state, const struct pbx_fax_result *result)
{
	struct plugin *plugin = job->plugin;
	const struct pbx_value values[] = {
		pbx_v_text(job->id),      pbx_v_text(state),           pbx_v_text(result->station),
		PBX_V_INT(result->pages), PBX_V_INT(result->bit_rate), PBX_V_INT(result->ecm),
		PBX_V_INT(result->t38),   pbx_v_text(result->reason),  PBX_V_INT(plugin->host->wall_us(plugin->host)),
	};

	(void)plugin->store->record(
		plugin->host,
		"UPDATE fax_faxes SET state = $2, station = $3, pages = $4, bit_rate = $5, ecm = $6, t38 = $7, reason = $8,"
		" finished_at = $9 WHERE id = $1",
		values, sizeof values / sizeof values[0], NULL, NULL);
}

void row_wait(struct job *job, const char *reason)
{
	const struct pbx_value values[] = { pbx_v_text(job->id), pbx_v_text(reason) };

	(void)job->plugin->store->record(job->plugin->host, "UPDATE fax_faxes SET state = 'waiting', reason = $2 WHERE id = $1", values, 2,
					 NULL, NULL);
}

struct pbx_json *row_json(const struct plugin *plugin, const struct pbx_rows *rows, uint32_t at)
{
	static const char *const texts[] = { "id", "direction", "state", "inbox", "from", "to", "station" }, *const numbers[] = {
		"pages", "bit_rate"
	};
	const struct pbx_jsons *json = plugin->json;
	struct pbx_json *object = json->new_object();

	for (uint32_t i = 0; i < 7; i++)
		(void)json->set_text(object, texts[i], pbx_cell_text(rows, at, i));
	for (uint32_t i = 0; i < 2; i++)
		(void)json->set_integer(object, numbers[i], pbx_cell_int(rows, at, 7 + i));
	(void)json->set_boolean(object, "ecm", pbx_cell_int(rows, at, 9) != 0);
	(void)json->set_boolean(object, "t38", pbx_cell_int(rows, at, 10) != 0);
	(void)json->set_integer(object, "attempts", pbx_cell_int(rows, at, 11));
	(void)json->set_text(object, "reason", pbx_cell_text(rows, at, 12));
	(void)json->set_time(object, "created_at", pbx_cell_int(rows, at, 14));
	if (pbx_cell_int(rows, at, 15))
		(void)json->set_time(object, "finished_at", pbx_cell_int(rows, at, 15));
	return object;
}

void row_tell(struct job *job, const char *type, const struct pbx_fax_result *result)
{
	struct plugin *plugin = job->plugin;
	const struct pbx_jsons *json = plugin->json;
	struct pbx_json *data = json->new_object();

	(void)json->set_text(data, "fax_id", job->id);
	(void)json->set_text(data, "direction", job->sends ? "out" : "in");
	(void)json->set_text(data, "inbox", job->inbox);
	(void)json->set_text(data, "from", job->from);
	(void)json->set_text(data, "to", job->to);
	(void)json->set_text(data, "station", result->station);
	(void)json->set_integer(data, "pages", result->pages);
	(void)json->set_integer(data, "bit_rate", result->bit_rate);
	(void)json->set_boolean(data, "t38", result->t38);
	(void)json->set_text(data, "reason", result->reason);
	(void)plugin->bus->publish(plugin->host, type, (pbx_call){ 0 }, data); /* the event log says itself what it cannot store */
}

void row_page(struct job *job, uint32_t pages)
{
	struct plugin *plugin = job->plugin;
	const struct pbx_fax_result so_far = { .size = sizeof so_far, .reason = "", .station = "", .pages = pages };
	const struct pbx_value values[] = { pbx_v_text(job->id), PBX_V_INT(pages) };

	(void)plugin->store->record(plugin->host, "UPDATE fax_faxes SET pages = $2 WHERE id = $1", values, 2, NULL, NULL);
	row_tell(job, "fax.page", &so_far);
}
