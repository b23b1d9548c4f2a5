/* calls_part.c - call control's card: settings "calls", metrics, and the tables of events, routes and commands */
#include "calls_part.h"
#include "metrics.h"
#include "parts.h"

struct calls_part {
	PBX_INSTANCE(struct core_calls_settings);
};

static const struct pbx_setting settings[] = {
	PBX_UINT(struct core_calls_settings, limit, .initial = 1000, .least = 0, .most = 100000,
		 .help = "Calls at once, 0 for no limit; more get 503, but for emergency numbers"),
	PBX_UINT(struct core_calls_settings, ring_s, .initial = 30, .least = 5, .most = 600, .unit = "s",
		 .help = "How long a phone rings when nothing else is said"),
	PBX_UINT(struct core_calls_settings, max_duration_s, .initial = 7200, .least = 0, .most = 604800, .unit = "s",
		 .help = "An answered call is ended after so long, 0 for never"),
	PBX_UINT(struct core_calls_settings, no_audio_s, .initial = 4, .least = 0, .most = 3600, .unit = "s",
		 .help = "When nothing is heard of an answered party for so long, leg.audio_missing is published; 0: never"),
	PBX_BOOL(struct core_calls_settings, media_started, .initial = 0,
		 .help = "media.started tells the first packet of each leg: two more events a call, for who wants to see media begin"),
	PBX_BOOL(struct core_calls_settings, digit_starts, .initial = 0,
		 .help = "dtmf.start tells the beginning of each key outside of conversations: two events a key, for who acts before it is "
			 "let go"),
	PBX_TEXT(struct core_calls_settings, country, .initial_text = "us", .least = 2, .most = 2,
		 .help = "Whose tones are heard, ISO 3166 in small letters"),
	PBX_CHOICE(struct core_calls_settings, moh_mode, .initial_text = "local", .choices = PBX_CHOICES("local", "phone_uri", "off"),
		   .help = "What a held party hears: our music, what the phone that holds has sent to it (its own music server, RFC 7088), "
			   "nothing"),
	PBX_LIST(struct core_calls_settings, moh_phones, .initial_text = "",
		 .help = "Accounts, or beginnings of User-Agent, whose phones bring music with moh_mode phone_uri; empty: all"),
};

/* ---- metrics ---- */

#define CALLS_TOTAL 0u
#define ACTIVE_CALLS 1u
#define ACTIVE_LEGS 2u
#define SETUP_SECONDS 3u
#define DURATION_SECONDS 4u
#define POST_DIAL_SECONDS 5u

static const struct pbx_metric metrics[] = {
	[CALLS_TOTAL] = { "pbx_calls_total", PBX_METRIC_COUNTER, "Calls that have ended", "status,direction", NULL },
	[ACTIVE_CALLS] = { "pbx_active_calls", PBX_METRIC_GAUGE, "Calls now", NULL, NULL },
	[ACTIVE_LEGS] = { "pbx_active_legs", PBX_METRIC_GAUGE, "Legs now", NULL, NULL },
	[SETUP_SECONDS] = { "pbx_call_setup_seconds", PBX_METRIC_HISTOGRAM, "From a call's start to its answer", NULL,
			    "0.1,0.5,1,2,5,10,20,30,60,120" },
	[DURATION_SECONDS] = { "pbx_call_duration_seconds", PBX_METRIC_HISTOGRAM, "From a call's answer to its end", NULL,
			       "5,15,30,60,180,300,600,1800,3600,7200" },
	[POST_DIAL_SECONDS] = { "pbx_post_dial_delay_seconds", PBX_METRIC_HISTOGRAM, "From a call's start to the first ring", NULL,
				"0.01,0.05,0.1,0.25,0.5,1,2,5,10" },
};

static struct calls_part *part;

static void observe(uint32_t family, uint64_t ms)
{
	if (part)
		(void)core_metrics_service.observe(part->host, family, NULL, (double)ms / 1000.0); /* a number too few harms no call */
}

void core_metric_post_dial(uint64_t ms)
{
	observe(POST_DIAL_SECONDS, ms);
}

void core_metric_answered(uint64_t setup_ms)
{
	observe(SETUP_SECONDS, setup_ms);
}

void core_metric_ended(const char *disposition, const char *direction, uint64_t talk_ms)
{
	char labels[64];

	if (!part)
		return;
	(void)snprintf(labels, sizeof labels, "%s,%s", disposition, direction);
	(void)core_metrics_service.add(part->host, CALLS_TOTAL, labels, 1);
	if (talk_ms)
		observe(DURATION_SECONDS, talk_ms);
}

static void on_scrape(void *self)
{
	const struct calls_part *calls = self;
	struct core_calls_stats stats;

	core_calls_stats(&stats);
	(void)core_metrics_service.set(calls->host, ACTIVE_CALLS, NULL, stats.calls);
	(void)core_metrics_service.set(calls->host, ACTIVE_LEGS, NULL, stats.legs);
}

/* ---- life ---- */

static int calls_start(void *self)
{
	struct calls_part *calls = self;

	part = calls;
	core_calls_set_part(calls->host, &calls->settings);
	return core_metrics_on_scrape(calls->host, on_scrape, calls);
}

static void calls_stop(void *self)
{
	(void)self;
	part = NULL;
	core_calls_set_part(NULL, NULL);
}

static int calls_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	(void)self;
	(void)proposed;
	(void)diag;
	return PBX_OK; /* each is read when it is needed */
}

const struct pbx_plugin calls_part = {
	PBX_PLUGIN_HEADER,
	.name = "calls",
	.version = PBX_VERSION,
	.summary = "Calls, legs, dials, bridges and routing",
	.instance_size = sizeof(struct calls_part),
	PBX_SETTINGS(struct core_calls_settings, settings),
	.routes = PBX_TABLE(core_calls_routes),
	.commands = PBX_TABLE(core_calls_commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(core_calls_event_types),
	.start = calls_start,
	.stop = calls_stop,
	.reload = calls_reload,
};
