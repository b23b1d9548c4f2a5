/* trace_part.c - the card of the trace: settings "trace", routes, commands, metrics */
#include "metrics.h"
#include "parts.h"
#include "trace_hep.h"
#include "trace_inner.h"
#include "trace_rung.h"
#include <sys/socket.h>
#include <unistd.h>

struct trace_part {
	PBX_INSTANCE(struct core_trace_settings);
	uint64_t messages_told, overwritten_told;
	int collector; /* a socket; -1: none */
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
	PBX_UINT(struct core_trace_settings, keep_days, .initial = 7, .least = 0, .most = 3650, .unit = "days",
		 .help = "For how long the messages of a call are kept after its end; 0: only as long as they are in memory"),
	PBX_UINT(struct core_trace_settings, keep_mib, .initial = 1024, .least = 1, .most = 1048576, .unit = "MiB",
		 .help = "How much the kept messages may take in the store; beyond it the oldest go"),
	PBX_TEXT(struct core_trace_settings, hep, .initial_text = "", .most = 63,
		 .help = "Where each message is also sent as HEP3 over UDP (Homer), as 192.0.2.9:9060; empty: nowhere"),
	PBX_UINT(struct core_trace_settings, hep_node, .initial = 1, .least = 0, .most = UINT32_MAX,
		 .help = "By what number the collector knows us (capture agent id)"),
	PBX_SECRET(struct core_trace_settings, hep_password, .initial_text = "", .most = 63,
		   .help = "What the collector wants to be told (authentication key)"),
};

/* ---- metrics -------------------------------------------------------------------------- */

static const struct pbx_metric metrics[] = {
	[CORE_TRACE_MESSAGES] = { "pbx_trace_messages_total", PBX_METRIC_COUNTER, "Signalling messages traced", NULL, NULL },
	[CORE_TRACE_OVERWRITTEN] = { "pbx_trace_overwritten_total", PBX_METRIC_COUNTER, "Traced messages that newer ones have overwritten",
				     NULL, NULL },
	[CORE_TRACE_RING] = { "pbx_trace_ring_bytes", PBX_METRIC_GAUGE, "Memory in which traced messages stand", NULL, NULL },
	[CORE_TRACE_KEPT] = { "pbx_trace_calls_total", PBX_METRIC_COUNTER,
			      "Calls that have ended and whose messages were kept, or lost because the store was away", "result", NULL },
	[CORE_TRACE_HEP] = { "pbx_trace_hep_total", PBX_METRIC_COUNTER, "Messages for the HEP collector", "result", NULL },
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

/* ---- the collector -------------------------------------------------------------------- */

static void send_to_collector(void *context, const struct core_trace_message *message)
{
	static unsigned char packet[65000];
	const struct trace_part *trace = context;
	size_t size = core_hep_encode(message, trace->settings->hep_node, trace->settings->hep_password, packet, sizeof packet);
	bool sent = size && send(trace->collector, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;

	core_trace_count(CORE_TRACE_HEP, sent ? "sent" : "lost", 1);
}

static void close_collector(struct trace_part *trace)
{
	core_trace_live_tap(NULL, NULL);
	if (trace->collector >= 0)
		(void)close(trace->collector);
	trace->collector = -1;
}

static int open_collector(struct trace_part *trace, const struct core_trace_settings *wanted, struct pbx_diag *diag)
{
	struct core_addr address;

	close_collector(trace);
	if (!wanted->hep[0])
		return PBX_OK;
	if (!core_trace_address_read(wanted->hep, &address) || address.in4.sin_port == 0) {
		pbx_diag_set(diag, "hep", "trace.hep: '%s' is no address with a port: write it as 192.0.2.9:9060 or [2001:db8::9]:9060",
			     wanted->hep);
		return PBX_EINVAL;
	}
	if (core_hep_open(&address, &trace->collector) != PBX_OK) {
		pbx_diag_set(diag, "hep", "trace.hep: %s cannot be reached from here: there is no route, or no descriptor left",
			     wanted->hep);
		return PBX_EINVAL;
	}
	core_trace_live_tap(send_to_collector, trace);
	return PBX_OK;
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
	struct pbx_diag diag = { 0 };
	int err;

	part = trace;
	trace->collector = -1;
	err = core_trace_live_start();
	if (err == PBX_OK)
		err = core_trace_keep_start();
	if (err == PBX_OK && open_collector(trace, trace->settings, &diag) != PBX_OK)
		pbx_error(trace->host, "hep_not_open", "reason=\"%s\"", diag.text); /* calls are worth more than their trace */
	return err == PBX_OK ? core_metrics_on_scrape(trace->host, on_scrape, trace) : err;
}

static void trace_stop(void *self)
{
	core_trace_keep_stop();
	close_collector(self);
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
	return open_collector(self, proposed, diag); /* the others are read when they are needed */
}

/* ---- the card ------------------------------------------------------------------------- */

static const struct pbx_arg watch_args[] = {
	{ .name = "who",
	  .type = PBX_TYPE_TEXT,
	  .most = 63,
	  .help = "An account, a number, a peer (a trunk by its name), an address, or sip:NAME of somebody outside; what belongs to their "
		  "calls is shown, too",
	  .completes = "extension" },
	{ .name = "method", .type = PBX_TYPE_TEXT, .most = 15, .help = "Only this method and the responses to it, as INVITE" },
	{ .name = "call", .type = PBX_TYPE_TEXT, .most = 63, .help = "Only this call, or this SIP Call-ID", .completes = "call" },
	{ .name = "recent", .type = PBX_TYPE_INT, .least = 0, .most = 10000, .help = "First, so many of the last messages that fit" },
	{ .name = "full", .type = PBX_TYPE_BOOL, .help = "With each message as it was, secrets masked" },
};

static const struct pbx_arg call_args[] = {
	{ .name = "id",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .most = 127,
	  .help = "Id of a call, also of one that is over, of a leg or record of it, or a SIP Call-ID",
	  .completes = "call" },
};
static const struct pbx_arg show_args[] = {
	{ .name = "id",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .most = 127,
	  .help = "Id of a call, also of one that is over, of a leg or record of it, or a SIP Call-ID" },
	{ .name = "full", .type = PBX_TYPE_BOOL, .flags = PBX_ARG_QUERY, .help = "With each message as it was, secrets masked" },
};
static const struct pbx_field trace_fields[] = {
	{ "id", PBX_TYPE_TEXT, "As it was asked for" },
	{ "ladder", PBX_TYPE_OBJECTS,
	  "The messages, oldest first: time, offset_ms, direction (in, out), transport, peer, remote, local, call_id, sip_call_id, method, "
	  "status, line, repeat, sdp, size, text" },
};

static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/calls/{id}/trace",
	  .handle = core_trace_show,
	  .scope = "trace:read",
	  .summary = "The SIP messages of a call, live or over",
	  .args = PBX_TABLE(show_args),
	  .reply = PBX_TABLE(trace_fields) },
	{ .method = "GET",
	  .path = "/calls/{id}/pcap",
	  .handle = core_trace_pcap,
	  .scope = "trace:read",
	  .summary = "The SIP messages of a call as a capture file",
	  .args = PBX_TABLE(call_args) },
};

static const struct pbx_command commands[] = {
	{ .words = "calls pcap",
	  .handle = core_trace_pcap,
	  .help = "Write a call's SIP messages as a capture file: calls pcap ID > FILE",
	  .args = PBX_TABLE(call_args) },
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
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.load = trace_load,
	.start = trace_start,
	.reload = trace_reload,
	.stop = trace_stop,
	.unload = trace_unload,
};
