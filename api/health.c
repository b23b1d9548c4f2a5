/*
 * health.c - is the PBX alive, can it take calls, what does it count, what can it be asked
 *
 * /healthz is answered here by the loop, so an answer within a second says that the loop turns. /readyz tells a load balancer whether to
 * send calls: a database that is away is no reason not to (calls go on, records are journalled) and shows as "degraded"; a PBX that is
 * being stopped is one.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "calls.h"
#include "exchange.h"
#include "metrics.h"
#include "request.h"
#include "store.h"

#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

void api_health(struct api_exchange *exchange)
{
	static const char ok[] = "{\"status\":\"ok\"}";

	exchange_answer(exchange, 200, "application/json", ok, sizeof ok - 1);
}

void api_ready(struct api *api, struct api_exchange *exchange)
{
	struct core_store_stats store;
	char text[256];

	core_store_stats(&store);
	bool draining = core_calls_draining(), takes_calls = !draining && api->users_ready;
	const char *status = draining ? "draining" : !takes_calls ? "starting" : store.up && !store.disk_full ? "ready" : "degraded";

	int length = snprintf(text, sizeof text, "{\"status\":\"%s\",\"store\":\"%s\",\"journalled\":%llu,\"draining\":%s}", status,
			      store.disk_full ? "disk_full"
			      : store.up      ? "up"
					      : "away",
			      (unsigned long long)store.journalled, draining ? "true" : "false");
	if (!takes_calls)
		exchange_set_header(exchange, "Retry-After", "5");
	exchange_answer(exchange, takes_calls ? 200 : 503, "application/json", text, (size_t)length);
}

void api_on_metrics(void *self, pbx_request request)
{
	const struct api *api = self;
	AUTO(text) char *text = core_metrics_text();

	if (!text) {
		(void)api->requests->fail(request, 503, "no_memory", NULL, "out of memory, try again later");
		return;
	}
	/* The asker may leave between the pieces: then there is nobody to tell. */
	(void)api->requests->begin(request, METRICS_TYPE, NULL, NULL, NULL);
	(void)api->requests->write(request, text, strlen(text));
	(void)api->requests->end(request);
}

void api_on_openapi(void *self, pbx_request request)
{
	const struct api *api = self;
	struct pbx_json *document = core_requests_openapi();

	if (document)
		(void)api->requests->reply(request, 200, document);
	else
		(void)api->requests->fail(request, 503, "no_memory", NULL, "out of memory, try again later");
}
