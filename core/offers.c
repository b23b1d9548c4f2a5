/* core/offers.c - what core/ itself serves to plugins; the rest comes from its parts and from plugins */
#include "bus.h"
#include "calls.h"
#include "fetch.h"
#include "host.h"
#include "io.h"
#include "json.h"
#include "lamps.h"
#include "metrics.h"
#include "mwi.h"
#include "parts.h"
#include "program.h"
#include "prompts.h"
#include "request.h"
#include "secrets.h"
#include "store.h"
#include "timer.h"

int core_offer_services(void)
{
	static const struct {
		const char *id;
		const void *table;
	} services[] = {
		{ "pbx.timers/1", &core_timers_service },     { "pbx.io/1", &core_io_service },
		{ "pbx.json/1", &core_json_service },         { "pbx.secrets/1", &core_secrets_service },
		{ "pbx.fetch/1", &core_fetch_service },       { "pbx.store/1", &core_store_service },
		{ "pbx.bus/1", &core_bus_service },           { "pbx.requests/1", &core_requests_service },
		{ "pbx.metrics/1", &core_metrics_service },   { "pbx.calls/1", &core_calls_service },
		{ "pbx.route/1", &core_route_service },       { "pbx.media/1", &core_media_service },
		{ "pbx.rooms/1", &core_rooms_service },       { "pbx.prompts/1", &core_prompts_service },
		{ "pbx.lamps/1", &core_lamps_service },       { "pbx.mwi/1", &core_mwi_service },
		{ "pbx.audio/1", &core_audio_service },       { "pbx.quality/1", &core_quality_service },
		{ "pbx.recorder/1", &core_recorder_service }, { "pbx.tap/1", &core_taps_service },
		{ "pbx.inject/1", &core_injections_service }, { "pbx.detect/1", &core_detector_service },
		{ "pbx.fax/1", &core_faxes_service },         { "pbx.programs/1", &core_programs_service },
		{ "pbx.fork/1", &core_forks_service },
	};

	for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
		if (core_host_offer(services[i].id, services[i].table) != PBX_OK)
			return PBX_EEXIST;
	return PBX_OK;
}
