/*
 * telling - what the world learns of a slot: events, lamps, a row for displays, a gauge
 */
#include "lot.h"
#include <string.h>

struct pbx_json *slot_facts(const struct slot *slot)
{
	const struct pbx_jsons *json = slot->parking->json;
	struct pbx_json *data = json->new_object();

	(void)json->set_text(data, "lot", slot->lot);
	(void)json->set_integer(data, "slot", slot->number);
	(void)json->set_text(data, "parked_by", slot->parker);
	(void)json->set_text(data, "caller", slot->caller);
	return data;
}

void slot_tell(const struct slot *slot, const char *type, struct pbx_json *data)
{
	(void)slot->parking->bus->publish(slot->parking->host, type, slot->call, data);
}

void slot_light(const struct slot *slot)
{
	const struct parking *parking = slot->parking;
	bool waiting = slot_has_call(slot);
	char number[16];

	(void)snprintf(number, sizeof number, "%u", slot->number);
	const struct pbx_lamp lamp = {
		.size = sizeof lamp,
		.state = waiting ? PBX_LAMP_ON : PBX_LAMP_OFF,
		.number = number,
		.remote = waiting ? slot->caller : "",
		.remote_name = waiting ? slot->caller_name : "",
	};
	if (parking->lamps->light(parking->host, &lamp) != PBX_OK)
		pbx_warn(parking->host, "slot_without_lamp", "slot=%u",
			 slot->number); /* another plugin has it, or no memory: calls are parked all the same */
}

/* For lamps (RFC 4235): confirmed while somebody waits, terminated when the slot is free. */
void slot_tell_lamp(const struct slot *slot)
{
	const struct pbx_jsons *json = slot->parking->json;
	struct pbx_json *data = json->new_object();
	bool waiting = slot_has_call(slot);

	(void)json->set_integer(data, "slot", slot->number);
	(void)json->set_text(data, "state", waiting ? "confirmed" : "terminated");
	(void)json->set_text(data, "caller", waiting ? slot->caller : NULL);
	(void)json->set_text(data, "caller_name", waiting ? slot->caller_name : NULL);
	slot_tell(slot, "parking.slot", data);
	slot_light(slot);
}

void parking_count(struct parking *parking, double by)
{
	(void)parking->metrics->add(parking->host, METRIC_OCCUPIED, NULL, by);
}

/* ---- the row, for displays and after a failover --------------------------------------- */

void slot_store_row(const struct slot *slot)
{
	const struct pbx_value params[] = { PBX_V_INT(slot->number),
					    pbx_v_text(slot->lot),
					    pbx_v_text(slot->call_id),
					    pbx_v_text(slot->parker),
					    pbx_v_text(slot->caller),
					    PBX_V_INT(slot->parked_wall_us),
					    PBX_V_INT(slot->parked_wall_us + (int64_t)slot->recall_ms * 1000),
					    PBX_V_INT(slot->comebacks) };

	(void)slot->parking->store->record(
		slot->parking->host,
		"INSERT INTO call_parking_slots (slot, lot, call_id, parker, caller, parked_at, timeout_at, comebacks)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (slot) DO UPDATE SET lot = $2, call_id = $3,"
		" parker = $4, caller = $5, parked_at = $6, timeout_at = $7, comebacks = $8",
		params, 8, NULL, NULL);
}

void slot_remove_row(const struct slot *slot)
{
	const struct pbx_value params[] = { PBX_V_INT(slot->number) };

	(void)slot->parking->store->record(slot->parking->host, "DELETE FROM call_parking_slots WHERE slot = $1", params, 1, NULL, NULL);
}

void slot_tell_retrieved(const struct slot *slot, const char *by)
{
	struct pbx_json *data = slot_facts(slot);
	uint64_t now_ms = slot->parking->host->now_ms(slot->parking->host);

	(void)slot->parking->json->set_text(data, "retrieved_by", by);
	(void)slot->parking->json->set_integer(data, "parked_ms", (int64_t)(now_ms - slot->parked_at_ms));
	slot_tell(slot, "call.retrieved", data);
}
