/*
 * health - whether a trunk can be relied on: OPTIONS now and then, and what became of the last hundred calls
 *
 * Any answer to OPTIONS but 408 and 503 means that somebody is there; three misses in a row mean that nobody is, one answer that they are
 * back. A callee who is busy or does not exist is no failure of the trunk.
 */
#include "sip_trunk.h"
#include <string.h>

#define MISSES 3u
#define FAILURES 5u /* calls in a row */
#define PROBE_MS 4000u

static void told_state(struct trunk *trunk, uint32_t sip_code, const char *reason)
{
	bool down = trunk->is_down || trunk->consecutive_failures >= FAILURES;

	if (down == trunk->told_down)
		return;
	trunk->told_down = down;
	trunk_tell(trunk, down ? "trunk.down" : "trunk.up", sip_code, reason);
}

static void on_options(void *self, pbx_sip_client client, const struct pbx_sip_response *response)
{
	struct trunk *trunk = self;
	struct pbx_host *host = trunk->plugin->host;
	bool alive = response->from_peer && response->sip_code != 408 && response->sip_code != 503;

	(void)client;
	trunk->probing = false;
	trunk->last_check_us = host->wall_us(host);
	if (alive) {
		trunk->alive_known = true;
		trunk->misses = 0;
		trunk->is_down = false;
		trunk->round_trip_ms = response->took_ms;
		if (trunk->told_down)
			trunk->consecutive_failures = 0;
	} else if (++trunk->misses >= MISSES) {
		trunk->is_down = true;
	}
	told_state(trunk, response->sip_code, alive ? "OPTIONS answered" : response->from_peer ? response->phrase : "OPTIONS unanswered");
	figures_state(trunk);
}

void health_probe(struct trunk *trunk)
{
	struct sip_trunk *plugin = trunk->plugin;
	const struct pbx_sip_request wish = { .size = sizeof wish,
					      .method = "OPTIONS",
					      .contact_params = "",
					      .headers = "Accept: application/sdp\n",
					      .timeout_ms = PROBE_MS };

	if (!trunk->has_peer || trunk->probing)
		return;
	if (!trunk->prober.id && plugin->sip->open(plugin->host, trunk->is.id, &trunk->prober) != PBX_OK)
		return; /* the next round asks */
	trunk->probing = plugin->sip->send(trunk->prober, &wish, on_options, trunk) == PBX_OK;
}

static void on_round(void *self, pbx_timer timer)
{
	(void)timer;
	health_probe(self);
}

void health_start(struct trunk *trunk)
{
	struct pbx_host *host = trunk->plugin->host;
	uint64_t every_ms = (uint64_t)trunk->is.keep_alive_interval_s * 1000;

	if (trunk->plugin->timers->start(host, 0, every_ms, on_round, trunk, &trunk->probe_timer) != PBX_OK)
		pbx_error(host, "out_of_memory", "trunk=%s", trunk->is.id);
}

void health_stop(struct trunk *trunk)
{
	(void)trunk->plugin->timers->stop(trunk->probe_timer); /* none may run */
	if (trunk->prober.id)
		(void)trunk->plugin->sip->close(trunk->prober); /* what was under way is not heard of */
	trunk->probe_timer = (pbx_timer){ 0 };
	trunk->prober = (pbx_sip_client){ 0 };
	trunk->probing = trunk->alive_known = trunk->is_down = false;
	trunk->misses = 0;
}

/* ---- calls ---------------------------------------------------------------------------- */

double health_success_rate(const struct trunk *trunk)
{
	uint32_t failed = 0;

	for (uint32_t i = 0; i < trunk->window_count; i++)
		failed += trunk->window[i];
	return trunk->window_count ? 1.0 - (double)failed / trunk->window_count : 1.0;
}

uint32_t health_setup_ms(const struct trunk *trunk)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < trunk->setup_count; i++)
		sum += trunk->setup_ms[i];
	return trunk->setup_count ? (uint32_t)(sum / trunk->setup_count) : 0;
}

static void window_add(struct trunk *trunk, bool failed)
{
	trunk->window[trunk->window_at] = failed;
	trunk->window_at = (trunk->window_at + 1) % WINDOW;
	trunk->window_count += trunk->window_count < WINDOW;
}

static void setup_add(struct trunk *trunk, uint32_t ms)
{
	trunk->setup_ms[trunk->setup_at] = ms;
	trunk->setup_at = (trunk->setup_at + 1) % WINDOW;
	trunk->setup_count += trunk->setup_count < WINDOW;
}

/* What the callee or the caller decides says nothing about the trunk; neither do calls that we do not let through. */
static bool is_failure(const struct pbx_sip_attempt *attempt)
{
	uint32_t code = attempt->sip_code;

	return !attempt->answered_by_peer || code == 408 || code == 403 || code == 401 || code == 407 || (code >= 500 && code < 600);
}

static bool is_failover_code(const struct sip_trunk *plugin, uint32_t code)
{
	char text[12];

	(void)snprintf(text, sizeof text, "%u", code);
	for (uint32_t i = 0; i < plugin->settings->failover_codes.count; i++)
		if (strcmp(plugin->settings->failover_codes.items[i], text) == 0)
			return true;
	return false;
}

static bool another_is_ready(const struct trunk *trunk)
{
	for (const struct trunk *other = trunk->plugin->trunks; other; other = other->next)
		if (other != trunk && trunk_readiness(other) == TRUNK_READY)
			return true;
	return false;
}

void health_attempted(void *self, const struct pbx_sip_attempt *attempt)
{
	struct sip_trunk *plugin = self;
	struct trunk *trunk = trunk_find(plugin, attempt->peer);
	bool failed = is_failure(attempt), answered = attempt->sip_code >= 200 && attempt->sip_code < 300;
	uint32_t pdd_ms = attempt->ring_ms ? attempt->ring_ms : attempt->took_ms;

	if (!trunk)
		return;
	trunk->total_calls++;
	window_add(trunk, failed);
	figures_attempt(trunk, answered, failed, failed ? 0 : pdd_ms);
	if (failed) {
		trunk->failed_calls++;
		trunk->consecutive_failures++;
		trunk->last_failure_us = plugin->host->wall_us(plugin->host);
		if (is_failover_code(plugin, attempt->sip_code) && !attempt->early && another_is_ready(trunk)) {
			trunk->failover_count++;
			trunk->last_failover_us = trunk->last_failure_us;
			(void)plugin->metrics->add(plugin->host, METRIC_FAILOVERS, trunk->is.id, 1); /* as in figures.c */
			trunk_tell(trunk, "trunk.failover", attempt->sip_code, attempt->address);
		}
	} else {
		trunk->consecutive_failures = 0;
		setup_add(trunk, pdd_ms);
		if (answered) {
			trunk->successful_calls++;
			trunk->last_success_us = plugin->host->wall_us(plugin->host);
		}
	}
	told_state(trunk, attempt->sip_code, failed ? "calls fail" : "a call went through");
	figures_state(trunk);
}
