/* trace_part.c - the card of the trace: settings "trace", routes, commands, metrics */
#include "metrics.h"
#include "parts.h"
#include "trace_inner.h"

struct trace_part {
	PBX_INSTANCE(struct core_trace_settings);
	uint64_t messages_told, overwritten_told;
};

static struct trace_part *part;

struct pbx_host *core_trace_host(void)
{
	return part ? part->host : NULL;
}

const struct core_trace_settings *core_trace_settings(void)
{
	return part ? part->settings : NULL;
}

static const struct pbx_setting settings[] = {
	PBX_BOOL(struct core_trace_settings, capture, .initial = 1, .flags = PBX_SETTING_RESTART,
		 .help = "Whether SIP messages are traced at all"),
	PBX_UINT(struct core_trace_settings, memory_mib, .initial = 16, .least = 1, .most = 4096, .unit = "MiB",
		 .flags = PBX_SETTING_RESTART, .help = "Memory for the messages of the last while; the oldest are overwritten"),
};

/* ---- metrics -------------------------------------------------------------------------- */

static const struct pbx_metric metrics[] = {
	[CORE_TRACE_MESSAGES] = { "pbx_trace_messages_total", PBX_METRIC_COUNTER, "Signalling messages traced", NULL, NULL },
	[CORE_TRACE_OVERWRITTEN] = { "pbx_trace_overwritten_total", PBX_METRIC_COUNTER, "Traced messages that newer ones have overwritten",
				     NULL, NULL },
	[CORE_TRACE_RING] = { "pbx_trace_ring_bytes", PBX_METRIC_GAUGE, "Memory in which traced messages stand", NULL, NULL },
};

void core_trace_count(uint32_t metric, const char *labels, uint64_t by)
{
	if (part)
		(void)core_metrics_service.add(part->host, metric, labels, (double)by); /* a number too few harms no call */
}

static void on_scrape(void *self)
{
	struct trace_part *trace = self;
	struct core_trace_stats stats;

	core_trace_stats(&stats);
	core_trace_count(CORE_TRACE_MESSAGES, NULL, stats.messages - trace->messages_told);
	core_trace_count(CORE_TRACE_OVERWRITTEN, NULL, stats.overwritten - trace->overwritten_told);
	trace->messages_told = stats.messages;
	trace->overwritten_told = stats.overwritten;
	(void)core_metrics_service.set(trace->host, CORE_TRACE_RING, NULL, (double)stats.used_bytes);
}

/* ---- life ----------------------------------------------------------------------------- */

static int trace_load(void *self)
{
	const struct trace_part *trace = self;

	return trace->settings->capture ? core_trace_init(trace->settings->memory_mib * 1048576u) : PBX_OK;
}

static int trace_start(void *self)
{
	struct trace_part *trace = self;
	int err;

	part = trace;
	err = core_trace_live_start();
	return err == PBX_OK ? core_metrics_on_scrape(trace->host, on_scrape, trace) : err;
}

static void trace_stop(void *self)
{
	(void)self;
	core_trace_live_stop();
	part = NULL;
}

static void trace_unload(void *self)
{
	(void)self;
	core_trace_fini();
}

static int trace_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	(void)self, (void)proposed, (void)diag;
	return PBX_OK; /* each is read when it is needed */
}

/* ---- the card ------------------------------------------------------------------------- */

static const struct pbx_arg watch_args[] = {
	{ .name = "who", .type = PBX_TYPE_TEXT, .most = 63, .help = "An account, a number or an address; what belongs to their calls is shown, too",
	  .completes = "extension" },
	{ .name = "method", .type = PBX_TYPE_TEXT, .most = 15, .help = "Only this method and the responses to it, as INVITE" },
	{ .name = "call", .type = PBX_TYPE_TEXT, .most = 63, .help = "Only this call, or this SIP Call-ID", .completes = "call" },
	{ .name = "recent", .type = PBX_TYPE_INT, .least = 0, .most = 10000, .help = "First, so many of the last messages that fit" },
	{ .name = "full", .type = PBX_TYPE_BOOL, .help = "With each message as it was, secrets masked" },
};

static const struct pbx_command commands[] = {
	{ .words = "trace",
	  .handle = core_trace_stream,
	  .help = "Show SIP messages as they come and go, as a ladder",
	  .args = PBX_TABLE(watch_args) },
};

const struct pbx_plugin trace_part = {
	PBX_PLUGIN_HEADER,
	.name = "trace",
	.version = PBX_VERSION,
	.summary = "Trace: every SIP message, by call",
	.instance_size = sizeof(struct trace_part),
	PBX_SETTINGS(struct core_trace_settings, settings),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.load = trace_load,
	.start = trace_start,
	.reload = trace_reload,
	.stop = trace_stop,
	.unload = trace_unload,
};
