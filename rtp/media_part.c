/*
 * media_part - the media's card: settings, metrics, events, and what an operator may see of streams and ports
 *
 * Starting it starts the engine and makes it the core's media driver.
 */
#include "engine.h"
#include "nat.h"
#include "speech.h"
#include "tcp.h"

#include <core/bus.h>
#include <core/metrics.h>
#include <core/address_text.h>
#include <core/parts.h>
#include <core/srtp_suites.h>
#include <core/status.h>
#include <pbx/requests.h>
#include <stdlib.h>
#include <string.h>

struct media_part {
	PBX_INSTANCE(struct rtp_settings);
	const struct pbx_jsons *json;
	const struct pbx_requests *requests;
	const struct pbx_metrics *metrics;
	struct rtp_totals counted;           /* as of the last scrape */
	struct rtp_door_totals door_counted; /* likewise */
};

static struct media_part *part; /* there is one engine: its observers have no context */

enum family {
	FAILED,
	PACKETS,
	FOREIGN,
	LOST,
	DISCARDED,
	CONCEALED,
	MALFORMED,
	FORGED,
	TICKS,
	SESSIONS,
	PORTS,
	BUSY,
	SOURCES,
	LISTENERS,
	DECODERS,
	RTCP,
	DROPPED,
	BY_KERNEL,
	IN_KERNEL,
	INTERFACES,
	FORKS,
	FORK_PACKETS,
	FORK_FAILED,
	UNSENT,
	CONNECTIONS,
	LET_IN,
	REFUSED
};

/* ---- events ---- */

static void publish(const char *type, struct pbx_json *taken)
{
	(void)core_bus_publish(part->host, type, "", "", taken); /* the event log says itself what it cannot store */
}

static struct pbx_json *ports_json(const struct rtp_ports_count *count)
{
	struct pbx_json *data = part->json->new_object();

	if (!data)
		return NULL;
	(void)part->json->set_integer(data, "total", count->total);
	(void)part->json->set_integer(data, "free", count->free);
	(void)part->json->set_integer(data, "used", count->used);
	(void)part->json->set_integer(data, "quarantined", count->quarantined);
	return data;
}

static void on_ports_low(const struct rtp_ports_count *count)
{
	pbx_warn(part->host, "ports_low", "free=%u total=%u", count->free, count->total);
	publish("media.ports_low", ports_json(count));
}

/* "" for none. */
static void set_host(struct pbx_json *object, const char *name, const struct core_addr *addr)
{
	char text[64] = "";

	if (addr->sa.sa_family)
		core_address_print_host(addr, text, sizeof text);
	(void)part->json->set_text(object, name, text); /* no memory shows as a member missing */
}

static void on_outside(const struct rtp_outside *now, const struct core_addr *before)
{
	struct pbx_json *data = part->json->new_object();

	if (data) {
		set_host(data, "address", &now->address);
		set_host(data, "before", before);
		(void)part->json->set_text(data, "state", rtp_outside_state_name(now->state));
		(void)part->json->set_text(data, "server", now->server);
	}
	publish("media.outside_changed", data);
}

static const char *reason_of(uint32_t why)
{
	static const char *const reasons[] = { [CORE_MEDIA_ICE_FAILED] = "ice_failed",
					       [CORE_MEDIA_CONSENT_LOST] = "consent_lost",
					       [CORE_MEDIA_DTLS_FAILED] = "dtls_failed",
					       [CORE_MEDIA_WRONG_PEER] = "dtls_wrong_certificate" };

	return reasons[why];
}

static void on_failed(uint32_t why)
{
	(void)part->metrics->add(part->host, FAILED, reason_of(why), 1);
}

static const struct rtp_observer observer = { .failed = on_failed, .ports_low = on_ports_low };

/* ---- metrics ---- */

static const struct pbx_metric metrics[] = {
	[FAILED] = { "pbx_media_failures_total", PBX_METRIC_COUNTER, "Streams that ICE or DTLS gave up, by cause", "reason", NULL },
	[PACKETS] = { "pbx_rtp_packets_total", PBX_METRIC_COUNTER, "RTP packets received and sent", "dir", NULL },
	[FOREIGN] = { "pbx_rtp_foreign_total", PBX_METRIC_COUNTER, "Packets dropped because they came from somebody else", NULL, NULL },
	[DISCARDED] = { "pbx_rtp_discarded_total", PBX_METRIC_COUNTER,
			"RTP packets left out by a jitter buffer: too late, or too many at once", NULL, NULL },
	[CONCEALED] = { "pbx_rtp_concealed_seconds_total", PBX_METRIC_COUNTER, "Sound made up where packets did not come in time", NULL,
			NULL },
	[LOST] = { "pbx_rtp_lost_total", PBX_METRIC_COUNTER, "RTP packets that did not arrive", NULL, NULL },
	[MALFORMED] = { "pbx_rtp_malformed_total", PBX_METRIC_COUNTER, "Packets that were no RTP or RTCP as agreed", NULL, NULL },
	[FORGED] = { "pbx_srtp_auth_failures_total", PBX_METRIC_COUNTER, "SRTP packets dropped: not authentic, or played again", NULL,
		     NULL },
	[TICKS] = { "pbx_media_ticks_missed_total", PBX_METRIC_COUNTER,
		    "Ticks (5 ms) of media workers' clocks that were left out after a stall of more than 200 ms: what plays and is mixed "
		    "stood still",
		    NULL, NULL },
	[SESSIONS] = { "pbx_rtp_sessions", PBX_METRIC_GAUGE, "Open RTP streams", NULL, NULL },
	[PORTS] = { "pbx_rtp_ports", PBX_METRIC_GAUGE, "Pairs of ports by state", "state", NULL },
	[BUSY] = { "pbx_rtp_worker_busy_ratio", PBX_METRIC_GAUGE, "Share of a core that a media worker has used since the last scrape",
		   "worker", NULL },
	[SOURCES] = { "pbx_media_sources", PBX_METRIC_GAUGE, "Shared sources that are open", NULL, NULL },
	[DECODERS] = { "pbx_media_decoders", PBX_METRIC_GAUGE, "Shared sources that are being decoded: one each, however many listen", NULL,
		       NULL },
	[RTCP] = { "pbx_rtcp_packets_total", PBX_METRIC_COUNTER, "RTCP packets received and sent; a compound has several", "dir,type",
		   NULL },
	[DROPPED] = { "pbx_rtp_dropped_total", PBX_METRIC_COUNTER, "Datagrams that the kernel dropped because a media worker read too late",
		      NULL, NULL },
	[BY_KERNEL] = { "pbx_rtp_kernel_packets_total", PBX_METRIC_COUNTER, "RTP packets relayed by the program in the kernel", NULL,
			NULL },
	[IN_KERNEL] = { "pbx_rtp_kernel_streams", PBX_METRIC_GAUGE, "RTP streams whose packets the kernel relays now", NULL, NULL },
	[INTERFACES] = { "pbx_rtp_kernel_interfaces", PBX_METRIC_GAUGE, "Interfaces on which the kernel relays; 0: it does not", NULL,
			 NULL },
	[FORKS] = { "pbx_media_forks", PBX_METRIC_GAUGE, "Streams sent on to recorders elsewhere", NULL, NULL },
	[FORK_PACKETS] = { "pbx_media_fork_packets_total", PBX_METRIC_COUNTER, "RTP packets sent on to recorders elsewhere", NULL, NULL },
	[FORK_FAILED] = { "pbx_media_fork_failed_total", PBX_METRIC_COUNTER,
			  "RTP packets to recorders elsewhere that our own system would not send", NULL, NULL },
	[UNSENT] = { "pbx_rtp_unsent_total", PBX_METRIC_COUNTER,
		     "Packets left out because a peer's TCP connection had no room for them: it reads too slowly, or the way is too narrow",
		     NULL, NULL },
	[CONNECTIONS] = { "pbx_ice_tcp_connections", PBX_METRIC_GAUGE,
			  "TCP connections for media (media.ice_tcp_port): open, or still to prove whose they are (waiting)", "state",
			  NULL },
	[LET_IN] = { "pbx_ice_tcp_accepted_total", PBX_METRIC_COUNTER, "TCP connections for media that have proved whose they are", NULL,
		     NULL },
	[REFUSED] = { "pbx_ice_tcp_refused_total", PBX_METRIC_COUNTER,
		      "TCP connections for media that were closed before they were used: crowded (too many), late, no_check (the first "
		      "frame is no check of ICE), "
		      "stranger (it names no stream of ours), forged (without its password), unwanted (banned)",
		      "reason", NULL },
	[LISTENERS] = { "pbx_media_listeners", PBX_METRIC_GAUGE, "Legs that hear a shared source", NULL, NULL },
};

static void add_since(uint32_t family, const char *labels, uint64_t now, uint64_t before)
{
	(void)part->metrics->add(part->host, family, labels, (double)(now > before ? now - before : 0));
}

static void scrape_ports(void)
{
	struct rtp_ports_count count;

	rtp_engine_ports(&count);
	(void)part->metrics->set(part->host, PORTS, "free", count.free);
	(void)part->metrics->set(part->host, PORTS, "used", count.used);
	(void)part->metrics->set(part->host, PORTS, "quarantined", count.quarantined);
}

static void scrape_rtcp(const struct rtp_totals *now)
{
	static const char *const types[RTP_RTCP_TYPES] = {
		[RTP_RTCP_SR] = "sr",   [RTP_RTCP_RR] = "rr",      [RTP_RTCP_SDES] = "sdes",
		[RTP_RTCP_BYE] = "bye", [RTP_RTCP_APP] = "app",    [RTP_RTCP_FEEDBACK] = "feedback",
		[RTP_RTCP_XR] = "xr",   [RTP_RTCP_OTHER] = "other"
	};
	char labels[24];

	for (uint32_t type = 0; type < RTP_RTCP_TYPES; type++) {
		(void)snprintf(labels, sizeof labels, "in,%s", types[type]);
		add_since(RTCP, labels, now->rtcp_in[type], part->counted.rtcp_in[type]);
		(void)snprintf(labels, sizeof labels, "out,%s", types[type]);
		add_since(RTCP, labels, now->rtcp_out[type], part->counted.rtcp_out[type]);
	}
}

static void scrape_door(void)
{
	static const char *const reasons[RTP_DOOR_REASONS] = {
		[RTP_DOOR_CROWDED] = "crowded",   [RTP_DOOR_LATE] = "late",     [RTP_DOOR_NO_CHECK] = "no_check",
		[RTP_DOOR_STRANGER] = "stranger", [RTP_DOOR_FORGED] = "forged", [RTP_DOOR_UNWANTED] = "unwanted"
	};
	struct rtp_door_totals now;

	rtp_door_totals(&now);
	(void)part->metrics->set(part->host, CONNECTIONS, "open", now.open);
	(void)part->metrics->set(part->host, CONNECTIONS, "waiting", now.waiting);
	add_since(LET_IN, NULL, now.let_in, part->door_counted.let_in);
	for (uint32_t why = 0; why < RTP_DOOR_REASONS; why++)
		add_since(REFUSED, reasons[why], now.refused[why], part->door_counted.refused[why]);
	part->door_counted = now;
}

static void on_scrape(void *self)
{
	struct rtp_totals now;
	char label[12];

	(void)self;
	rtp_engine_totals(&now);
	add_since(PACKETS, "in", now.packets_in, part->counted.packets_in);
	add_since(PACKETS, "out", now.packets_out, part->counted.packets_out);
	add_since(FOREIGN, NULL, now.foreign, part->counted.foreign);
	add_since(LOST, NULL, now.lost, part->counted.lost);
	add_since(DISCARDED, NULL, now.discarded, part->counted.discarded);
	(void)part->metrics->add(
		part->host, CONCEALED, NULL,
		now.concealed_ms > part->counted.concealed_ms ? (double)(now.concealed_ms - part->counted.concealed_ms) / 1000 : 0);
	add_since(MALFORMED, NULL, now.malformed, part->counted.malformed);
	add_since(FORGED, NULL, now.forged, part->counted.forged);
	add_since(TICKS, NULL, now.ticks_missed, part->counted.ticks_missed);
	add_since(DROPPED, NULL, now.dropped, part->counted.dropped);
	add_since(UNSENT, NULL, now.unsent, part->counted.unsent);
	add_since(BY_KERNEL, NULL, now.by_kernel, part->counted.by_kernel);
	add_since(FORK_PACKETS, NULL, now.fork_packets, part->counted.fork_packets);
	add_since(FORK_FAILED, NULL, now.fork_failed, part->counted.fork_failed);
	(void)part->metrics->set(part->host, FORKS, NULL, now.forks);
	(void)part->metrics->set(part->host, IN_KERNEL, NULL, now.in_kernel);
	(void)part->metrics->set(part->host, INTERFACES, NULL, now.kernel_interfaces);
	(void)part->metrics->set(part->host, SESSIONS, NULL, now.streams);
	(void)part->metrics->set(part->host, SOURCES, NULL, now.sources);
	(void)part->metrics->set(part->host, LISTENERS, NULL, now.listeners);
	(void)part->metrics->set(part->host, DECODERS, NULL, now.decoders);
	scrape_rtcp(&now);
	scrape_door();
	for (uint32_t i = 0; i < now.workers; i++) {
		(void)snprintf(label, sizeof label, "%u", i);
		(void)part->metrics->set(part->host, BUSY, label, rtp_engine_take_busy(i));
	}
	part->counted = now;
	scrape_ports();
}

/* ---- what an operator sees ---- */

static void set_counts(struct pbx_json *leg, const struct core_stream_stats *stats)
{
	(void)part->json->set_integer(leg, "packets_in", (int64_t)stats->packets_in);
	(void)part->json->set_integer(leg, "packets_out", (int64_t)stats->packets_out);
	(void)part->json->set_integer(leg, "bytes_in", (int64_t)stats->bytes_in);
	(void)part->json->set_integer(leg, "bytes_out", (int64_t)stats->bytes_out);
	(void)part->json->set_integer(leg, "lost", (int64_t)stats->lost);
	(void)part->json->set_integer(leg, "late", (int64_t)stats->late);
	(void)part->json->set_integer(leg, "foreign", (int64_t)stats->foreign);
	(void)part->json->set_integer(leg, "malformed", (int64_t)stats->malformed);
	(void)part->json->set_integer(leg, "forged", (int64_t)stats->forged);
	(void)part->json->set_integer(leg, "dropped", (int64_t)stats->dropped);
	(void)part->json->set_integer(leg, "unsent", (int64_t)stats->unsent);
	(void)part->json->set_integer(leg, "by_kernel", (int64_t)stats->by_kernel);
	(void)part->json->set_boolean(leg, "in_kernel", stats->in_kernel);
	(void)part->json->set_integer(leg, "jitter_us", stats->jitter_us);
	(void)part->json->set_integer(leg, "discarded", (int64_t)stats->discarded);
	(void)part->json->set_integer(leg, "concealed_ms", (int64_t)stats->concealed_ms);
	if (stats->tells_level)
		(void)part->json->set_integer(leg, "level_dbov", stats->level_dbov);
	(void)part->json->set_integer(leg, "buffer_us", stats->buffer_us);
	(void)part->json->set_integer(leg, "buffer_target_us", stats->buffer_target_us);
	(void)part->json->set_integer(leg, "most_buffer_us", stats->most_buffer_us);
	(void)part->json->set_integer(leg, "round_trip_us", stats->round_trip_us);
	(void)part->json->set_integer(leg, "worker", stats->worker);
	(void)part->json->set_integer(leg, "duplicates", (int64_t)stats->duplicates);
	(void)part->json->set_integer(leg, "bursts", stats->bursts);
	(void)part->json->set_integer(leg, "burst_lost", stats->burst_lost);
	(void)part->json->set_integer(leg, "reports_in", (int64_t)stats->reports_in);
	(void)part->json->set_integer(leg, "reports_out", (int64_t)stats->reports_out);
	(void)part->json->set_integer(leg, "peer_lost", stats->peer_lost);
	(void)part->json->set_integer(leg, "peer_jitter_us", stats->peer_jitter_us);
	(void)part->json->set_boolean(leg, "peer_deaf", stats->peer_deaf);
}

static void add_leg(void *list, const struct rtp_stream_info *info)
{
	struct pbx_json *leg = part->json->new_object();
	struct core_media_owner owner;
	char text[64];

	if (!leg)
		return;
	core_media_find_owner((core_stream){ info->stream }, &owner);
	(void)part->json->set_text(leg, "leg_id", owner.leg_id);
	(void)part->json->set_text(leg, "call_id", owner.call_id);
	(void)part->json->set_text(leg, "number", owner.number);
	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)info->stream);
	(void)part->json->set_text(leg, "stream", text);
	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)info->peer);
	(void)part->json->set_text(leg, "peer", info->peer ? text : "");
	rtp_addr_text(&info->stats.local, text, sizeof text);
	(void)part->json->set_text(leg, "local", text);
	rtp_addr_text(&info->stats.remote, text, sizeof text);
	(void)part->json->set_text(leg, "remote", text);
	(void)part->json->set_text(leg, "transport", info->stats.remote.transport == CORE_BY_TCP ? "tcp" : "udp");
	(void)part->json->set_text(leg, "codec", info->stats.codec);
	(void)part->json->set_boolean(leg, "transcoded", info->stats.transcoded);
	(void)part->json->set_text(leg, "srtp", core_srtp_name(info->stats.suite));
	(void)part->json->set_boolean(leg, "playing", info->playing);
	(void)part->json->set_boolean(leg, "held", info->held);
	set_counts(leg, &info->stats);
	(void)part->json->append(list, leg);
}

static void on_streams(void *self, pbx_request request)
{
	const struct media_part *media = self;
	struct pbx_json *list = media->json->new_array();

	if (list)
		rtp_engine_each(add_leg, list);
	(void)media->requests->reply(request, 200, list); /* an asker who has gone misses nothing */
}

static void on_ports(void *self, pbx_request request)
{
	const struct media_part *media = self;
	struct rtp_ports_count count;

	rtp_engine_ports(&count);
	(void)media->requests->reply(request, 200, ports_json(&count));
}

/* ---- how those outside see us ---- */

static struct pbx_json *outside_json(void)
{
	struct pbx_json *json = part->json->new_object();
	struct rtp_outside outside;

	if (!json)
		return NULL;
	rtp_outside_get(&outside);
	(void)part->json->set_text(json, "state", rtp_outside_state_name(outside.state));
	(void)part->json->set_text(json, "server", outside.server);
	set_host(json, "address", &outside.address);
	(void)part->json->set_time(json, "since", outside.since_wall_us);
	(void)part->json->set_time(json, "told", outside.told_wall_us);
	(void)part->json->set_integer(json, "dropped", (int64_t)outside.dropped);
	return json;
}

static struct pbx_json *tell_outside(void *self)
{
	(void)self;
	return outside_json();
}

static void on_show_outside(void *self, pbx_request request)
{
	const struct media_part *media = self;

	(void)media->requests->reply(request, 200, outside_json());
}

struct nat_wish {
	pbx_request request;
	char server[RTP_OUTSIDE_SERVER];
};

static void set_address(struct pbx_json *object, const char *name, const struct core_addr *addr)
{
	char text[64] = "";

	if (addr->sa.sa_family)
		core_address_print(addr, text, sizeof text);
	(void)part->json->set_text(object, name, text);
}

static void on_nat_found(void *context, const struct rtp_nat_finding *finding)
{
	struct nat_wish *wish = context;
	const struct pbx_requests *requests = part->requests;
	struct pbx_json *json = finding->result == PBX_OK ? part->json->new_object() : NULL;

	if (json) {
		(void)part->json->set_text(json, "nat_type", rtp_nat_type(finding));
		(void)part->json->set_text(json, "mapping", rtp_nat_kind_name(finding->mapping));
		(void)part->json->set_text(json, "filtering", rtp_nat_kind_name(finding->filtering));
		set_address(json, "local", &finding->local);
		set_address(json, "mapped", &finding->mapped);
		set_address(json, "server", &finding->server);
		set_address(json, "other", &finding->other);
		(void)requests->reply(wish->request, 200, json);
	} else if (finding->result == PBX_ENOENT) {
		(void)requests->fail(wish->request, 422, "no_such_host", "server", "there is no host %.200s", wish->server);
	} else if (finding->result == PBX_ETIMEOUT) {
		(void)requests->fail(wish->request, 503, "no_answer", "server",
				     "%.200s does not answer: it is no STUN server, or a firewall lets no UDP out", wish->server);
	} else {
		(void)requests->fail(wish->request, 503, "no_finding", "server", "%.200s has told no address", wish->server);
	}
	free(wish);
}

static void on_nat(void *self, pbx_request request)
{
	const struct media_part *media = self;
	const char *server = media->requests->text(request, "server");
	struct nat_wish *wish = calloc(1, sizeof *wish);
	struct pbx_diag diag = { .text = "" };
	int err = wish ? PBX_OK : PBX_ENOMEM;

	server = server && *server ? server : media->settings->stun_server;
	if (err == PBX_OK && rtp_outside_check(server, &diag) != PBX_OK) {
		(void)media->requests->fail(request, 422, "not_a_server", "server", "%s", diag.text);
		free(wish);
		return;
	}
	if (err == PBX_OK && !*server) {
		(void)media->requests->fail(request, 422, "no_server", "server",
					    "whom to ask? name a STUN server (RFC 5780), or set media.stun_server");
		free(wish);
		return;
	}
	if (err == PBX_OK) {
		wish->request = request;
		(void)snprintf(wish->server, sizeof wish->server, "%s", server);
		err = rtp_nat_find(media->host, server, on_nat_found, wish);
	}
	if (err == PBX_OK)
		return;
	free(wish);
	(void)media->requests->fail(request, 503, err == PBX_EBUSY ? "busy" : "no_memory", NULL, "%s",
				    err == PBX_EBUSY ? "somebody else is asking just now: a few seconds later it works" : "no memory");
}

static const struct pbx_field outside_fields[] = {
	{ "state", PBX_TYPE_TEXT,
	  "off: there is no media.stun_server; asking: for the first time; known; no_answer, no_such_host, refused: what was known before, "
	  "if "
	  "anything, is still told" },
	{ "server", PBX_TYPE_TEXT, "media.stun_server" },
	{ "address", PBX_TYPE_TEXT, "What those outside are told; empty: it is not known" },
	{ "since", PBX_TYPE_TIME, "Since when it is this one" },
	{ "told", PBX_TYPE_TIME, "When the server has said so last" },
	{ "dropped", PBX_TYPE_INT, "Datagrams that were no answer to our question" },
};

static const struct pbx_arg nat_args[] = {
	{ .name = "server", .type = PBX_TYPE_TEXT, .most = RTP_OUTSIDE_SERVER - 1, .help = "STUN server; left out: media.stun_server" },
};

static const struct pbx_field nat_fields[] = {
	{ "nat_type", PBX_TYPE_TEXT, "none, full_cone, restricted_cone, port_restricted, symmetric, unknown (RFC 3489)" },
	{ "mapping", PBX_TYPE_TEXT,
	  "Whether the NAT shows us under one address and port to all: none (no NAT), endpoint_independent, address_dependent, "
	  "address_and_port_dependent, unknown (the server has no second address)" },
	{ "filtering", PBX_TYPE_TEXT, "Whom it lets in: endpoint_independent (everybody), and the same words" },
	{ "local", PBX_TYPE_TEXT, "Where we asked from" },
	{ "mapped", PBX_TYPE_TEXT, "Where the server saw us" },
	{ "server", PBX_TYPE_TEXT, "Whom we asked" },
	{ "other", PBX_TYPE_TEXT, "Its second address" },
};

static const struct pbx_field port_fields[] = {
	{ "total", PBX_TYPE_INT, "Pairs of ports in the range" },
	{ "free", PBX_TYPE_INT, "Pairs that may be taken" },
	{ "used", PBX_TYPE_INT, "Pairs that a stream has" },
	{ "quarantined", PBX_TYPE_INT, "Pairs that rest after use" },
};

static const struct pbx_field leg_fields[] = {
	{ "leg_id", PBX_TYPE_TEXT, "The leg whose stream it is; empty: it has just ended" },
	{ "call_id", PBX_TYPE_TEXT, "Its call" },
	{ "number", PBX_TYPE_TEXT, "The party" },
	{ "stream", PBX_TYPE_TEXT, "The stream" },
	{ "peer", PBX_TYPE_TEXT, "The stream it is connected to" },
	{ "local", PBX_TYPE_TEXT, "Our address and port, as SDP says" },
	{ "remote", PBX_TYPE_TEXT, "Where we send" },
	{ "transport", PBX_TYPE_TEXT, "udp, or tcp: by a connection that the peer has opened (media.ice_tcp_port)" },
	{ "codec", PBX_TYPE_TEXT, "What we send" },
	{ "transcoded", PBX_TYPE_BOOL, "Its peer has another codec: samples are decoded and encoded anew" },
	{ "srtp", PBX_TYPE_TEXT, "Crypto suite; empty: plain RTP" },
	{ "playing", PBX_TYPE_BOOL, "It hears a prompt, a tone or music from us" },
	{ "held", PBX_TYPE_BOOL, "It is on hold" },
	{ "packets_in", PBX_TYPE_INT, "Packets received" },
	{ "packets_out", PBX_TYPE_INT, "Packets sent" },
	{ "bytes_in", PBX_TYPE_INT, "Octets received" },
	{ "bytes_out", PBX_TYPE_INT, "Octets sent" },
	{ "lost", PBX_TYPE_INT, "Packets that did not arrive" },
	{ "late", PBX_TYPE_INT, "Packets that were overtaken" },
	{ "foreign", PBX_TYPE_INT, "Packets from somebody else, dropped" },
	{ "malformed", PBX_TYPE_INT, "Packets that were not as agreed, dropped" },
	{ "forged", PBX_TYPE_INT, "SRTP packets that were not authentic or came twice, dropped" },
	{ "dropped", PBX_TYPE_INT, "Datagrams that the kernel dropped because we read too late, RTCP among them" },
	{ "unsent", PBX_TYPE_INT, "Packets left out because the peer's TCP connection had no room for them" },
	{ "by_kernel", PBX_TYPE_INT, "Of the packets received: relayed by the program in the kernel" },
	{ "in_kernel", PBX_TYPE_BOOL, "What it receives is relayed by the program in the kernel now" },
	{ "jitter_us", PBX_TYPE_INT, "Interarrival jitter of what we receive" },
	{ "discarded", PBX_TYPE_INT, "Packets that the jitter buffer left out: they came too late, or too many at once" },
	{ "level_dbov", PBX_TYPE_INT,
	  "How loud the party was in the last second, by its own word (RFC 6464, browsers); -127 is silence: its microphone is off" },
	{ "concealed_ms", PBX_TYPE_INT, "Sound that was made up in place of packets that did not come, where it is decoded" },
	{ "buffer_us", PBX_TYPE_INT, "Delay of the jitter buffer now; 0: it is not decoded" },
	{ "buffer_target_us", PBX_TYPE_INT, "The delay that the network asks for" },
	{ "most_buffer_us", PBX_TYPE_INT, "The longest delay there was" },
	{ "round_trip_us", PBX_TYPE_INT, "From us to the peer and back; 0: not known" },
	{ "worker", PBX_TYPE_INT, "The media worker" },
	{ "duplicates", PBX_TYPE_INT, "Packets that came twice" },
	{ "bursts", PBX_TYPE_INT, "Bursts of loss (RFC 3611)" },
	{ "burst_lost", PBX_TYPE_INT, "Packets lost in them" },
	{ "reports_in", PBX_TYPE_INT, "RTCP received: compounds, or single packets" },
	{ "reports_out", PBX_TYPE_INT, "RTCP sent" },
	{ "peer_lost", PBX_TYPE_INT, "Lost of what we send, as the peer reports" },
	{ "peer_jitter_us", PBX_TYPE_INT, "Jitter of what we send, as it reports" },
	{ "peer_deaf", PBX_TYPE_BOOL, "It reports that nothing of ours arrives" },
};

static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/media/legs",
	  .handle = on_streams,
	  .scope = "media:read",
	  .summary = "Open RTP streams with their counts",
	  .reply = PBX_TABLE(leg_fields) },
	{ .method = "GET",
	  .path = "/media/ports",
	  .handle = on_ports,
	  .scope = "media:read",
	  .summary = "Pairs of RTP ports by state",
	  .reply = PBX_TABLE(port_fields) },
	{ .method = "GET",
	  .path = "/media/outside",
	  .handle = on_show_outside,
	  .scope = "media:read",
	  .summary = "Our address as those outside see it, as media.stun_server tells it",
	  .reply = PBX_TABLE(outside_fields) },
	{ .method = "POST",
	  .path = "/media/nat-detect",
	  .handle = on_nat,
	  .scope = "media:write",
	  .summary = "What kind of NAT we are behind (RFC 5780); takes up to twelve seconds. A diagnosis: nothing else goes by it",
	  .args = PBX_TABLE(nat_args),
	  .reply = PBX_TABLE(nat_fields) },
};

static const struct pbx_command commands[] = {
	{ .words = "media streams",
	  .handle = on_streams,
	  .help = "Shows open RTP streams",
	  .columns =
		  "number,leg_id,stream,peer,local,remote,transport,codec,srtp,packets_in,packets_out,lost,jitter_us,foreign,in_kernel" },
	{ .words = "media ports",
	  .handle = on_ports,
	  .help = "Shows how many RTP ports are free",
	  .columns = "total,free,used,quarantined" },
	{ .words = "media outside",
	  .handle = on_show_outside,
	  .help = "Shows our address as those outside see it, as media.stun_server tells it" },
	{ .words = "media nat",
	  .handle = on_nat,
	  .help = "Finds out what kind of NAT we are behind (RFC 5780), in up to twelve seconds",
	  .args = PBX_TABLE(nat_args) },
};

static const struct pbx_field outside_event_fields[] = {
	{ "address", PBX_TYPE_TEXT, "What those outside are told from now on; empty: it is not known" },
	{ "before", PBX_TYPE_TEXT, "What they were told" },
	{ "state", PBX_TYPE_TEXT, "known, no_answer, no_such_host, refused" },
	{ "server", PBX_TYPE_TEXT, "media.stun_server" },
};

static const struct pbx_event_type events[] = {
	{ "media.outside_changed", "Our address as those outside see it is another one, or the STUN server does not tell it any more",
	  PBX_TABLE(outside_event_fields) },
	{ "media.ports_low", "Fewer than one in ten pairs of ports is free", PBX_TABLE(port_fields) },
};

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct rtp_settings, bind, .initial_text = "0.0.0.0", .flags = PBX_SETTING_RESTART,
		 .help = "IPv4 address that RTP sockets are bound to"),
	PBX_TEXT(struct rtp_settings, external_ip, .initial_text = "",
		 .help = "IPv4 address in SDP, but for those in sip.local_networks; empty: the one bound to, or the one that is on the way "
			 "to "
			 "them"),
	PBX_TEXT(struct rtp_settings, bind6, .initial_text = "::", .flags = PBX_SETTING_RESTART,
		 .help = "IPv6 address that RTP sockets are bound to"),
	PBX_TEXT(struct rtp_settings, external_ip6, .initial_text = "",
		 .help = "IPv6 address in SDP, but for those in sip.local_networks; empty: the one bound to, or the one that is on the way "
			 "to "
			 "them"),
	PBX_TEXT(struct rtp_settings, stun_server, .initial_text = "", .most = RTP_OUTSIDE_SERVER - 1,
		 .help = "STUN server, as stun.example.net or 192.0.2.7:3478, that tells us the address that those outside see us under, "
			 "for a "
			 "NAT without a "
			 "fixed address: it is told in Contact and SDP where sip.external_address and external_ip are empty. The NAT has "
			 "to pass "
			 "our ports on under the same numbers. Empty: nobody is asked"),
	PBX_UINT(struct rtp_settings, stun_interval_s, .initial = 60, .least = 1, .most = 86400, .unit = "s",
		 .help = "How often it is asked whether the address has changed"),
	PBX_UINT(struct rtp_settings, port_min, .initial = 10000, .least = 1024, .most = 65532, .flags = PBX_SETTING_RESTART,
		 .help = "First port for RTP"),
	PBX_UINT(struct rtp_settings, port_max, .initial = 20000, .least = 1026, .most = 65535, .flags = PBX_SETTING_RESTART,
		 .help = "RTP ports end before this one"),
	PBX_UINT(struct rtp_settings, quarantine_s, .initial = 10, .least = 0, .most = 600, .unit = "s",
		 .help = "How long ports rest after a call"),
	PBX_UINT(struct rtp_settings, workers, .initial = 0, .least = 0, .most = 64, .flags = PBX_SETTING_RESTART,
		 .help = "Media threads; 0: one for each core"),
	PBX_CHOICE(struct rtp_settings, nat, .initial_text = "auto", .choices = PBX_CHOICES("auto", "strict", "off"),
		   .help = "Whom we believe besides SDP's address: another address (auto), another port of it (strict), nobody (off)"),
	PBX_UINT(struct rtp_settings, timeout_s, .initial = 60, .least = 0, .most = 86400, .unit = "s",
		 .help = "A call ends after so long without a packet; 0: never"),
	PBX_UINT(struct rtp_settings, hold_timeout_s, .initial = 300, .least = 0, .most = 86400, .unit = "s",
		 .help = "The same while on hold; 0: never"),
	PBX_UINT(struct rtp_settings, dscp, .initial = 46, .least = 0, .most = 63,
		 .help = "Differentiated services code point of RTP packets"),
	PBX_CHOICE(struct rtp_settings, kernel_relay, .initial_text = "auto", .choices = PBX_CHOICES("auto", "off"),
		   .flags = PBX_SETTING_RESTART,
		   .help = "Whether the kernel relays established calls that need nothing else (auto: where it lets us; see "
			   "pbxd-kernel-relay.conf) or pbxd relays each packet (off). Packets it relays pass no firewall rules"),
	PBX_CHOICE(struct rtp_settings, srtp, .initial_text = "optional", .choices = PBX_CHOICES("off", "optional", "required", "dtls"),
		   .help = "Encrypted media: no (off), with whoever can (optional; offered where signalling is encrypted too), no call "
			   "without it (required), the same with keys by DTLS in what is offered (dtls). Browsers are always offered DTLS "
			   "unless "
			   "off. Accounts and trunks may say otherwise"),
	PBX_LIST(struct rtp_settings, srtp_suites,
		 .initial_text = "AES_CM_128_HMAC_SHA1_80,AEAD_AES_128_GCM,AEAD_AES_256_GCM,AES_256_CM_HMAC_SHA1_80",
		 .help = "Crypto suites that are offered and taken, best first"),
	PBX_LIST(struct rtp_settings, codecs, .initial_text = "opus,G722,PCMA,PCMU",
		 .help = "Codecs that we offer, best first: names as in SDP, L16/16000 where there are several. Others that we have are "
			 "taken "
			 "when the other side offers them; -NAME: never"),
	PBX_CHOICE(struct rtp_settings, transcode, .initial_text = "auto", .choices = PBX_CHOICES("auto", "never", "always"),
		   .help = "Between legs: only where they cannot agree on a codec (auto), not at all, so that such a call fails (never), "
			   "each leg "
			   "has the codec it likes best (always)"),
	PBX_CHOICE(struct rtp_settings, prefer, .initial_text = "remote", .choices = PBX_CHOICES("remote", "local"),
		   .help = "Whose order of codecs counts in an answer: the offer's (remote) or media.codecs (local)"),
	PBX_BOOL(struct rtp_settings, dtx, .initial = 0,
		 .help = "Where we encode, send no sound while nobody speaks, but how the noise is (CN, RFC 3389), to who agrees; calls "
			 "that begin "
			 "from then on. Opus, G.729 and Speex describe silence themselves: settings of their plugins"),
	PBX_CHOICE(struct rtp_settings, t38, .initial_text = "gateway", .choices = PBX_CHOICES("off", "pass", "gateway"),
		   .help = "Fax by T.38: no (off), where both parties take it (pass), to and from G.711 where one does not, too (gateway). "
			   "Accounts and trunks may say otherwise"),
	PBX_BOOL(struct rtp_settings, fax_detect, .initial = 0,
		 .help = "Listen for fax machines in calls with who may have a gateway (t38: gateway), and offer it T.38 when one answers; "
			 "off: a "
			 "gateway begins when a party asks for T.38. Such calls are not relayed by the kernel"),
	PBX_CHOICE(
		struct rtp_settings, ice, .initial_text = "full", .choices = PBX_CHOICES("off", "lite", "full"),
		.help = "How peers that speak ICE are found: not (off), by answering them (lite: for a server that everybody reaches), by "
			"asking too (full). Browsers need one of the latter"),
	PBX_UINT(struct rtp_settings, consent_s, .initial = 25, .least = 4, .most = 30, .unit = "s",
		 .help = "A call with ICE ends when its peer has not answered for so long"),
	PBX_UINT(struct rtp_settings, ice_tcp_port, .initial = 0, .least = 0, .most = 65535, .flags = PBX_SETTING_RESTART,
		 .help = "TCP port, one for all calls, for the media of browsers whose network lets no UDP out (ICE over TCP, RFC 6544); "
			 "0: none. The firewall has to "
			 "let it in, and a NAT in front of external_ip pass it on under the same number. 443 gets through most networks, "
			 "if nothing else listens there"),
	PBX_UINT(struct rtp_settings, ice_tcp_connections, .initial = 2000, .least = 1, .most = 100000,
		 .help = "How many connections that port has at most; a call needs one or two"),
	PBX_UINT(struct rtp_settings, ice_tcp_per_address, .initial = 200, .least = 1, .most = 100000,
		 .help = "How many of them from one address (IPv6: one /64), behind which there may be a whole office"),
	PBX_BOOL(struct rtp_settings, jitter_buffer.enabled, .initial = 1,
		 .help = "Where legs are decoded, wait for packets that are late; off: for min_length_ms only, whatever the network is "
			 "like"),
	PBX_UINT(struct rtp_settings, jitter_buffer.initial_length_ms, .initial = 50, .least = 10, .most = RTP_JITTER_MOST_MS, .unit = "ms",
		 .help = "How long at the beginning, before the network is known"),
	PBX_UINT(struct rtp_settings, jitter_buffer.min_length_ms, .initial = 20, .least = 10, .most = RTP_JITTER_MOST_MS, .unit = "ms",
		 .help = "How long at least"),
	PBX_UINT(struct rtp_settings, jitter_buffer.max_length_ms, .initial = 200, .least = 10, .most = RTP_JITTER_MOST_MS, .unit = "ms",
		 .help = "How long at most; what comes later is lost"),
	PBX_UINT(struct rtp_settings, jitter_buffer.max_drift_ms, .initial = 30, .least = 10, .most = 500, .unit = "ms",
		 .help = "A delay that is too long by so much is made shorter, a period of the voice at a time"),
	PBX_BOOL(struct rtp_settings, jitter_buffer.adaptive, .initial = 1,
		 .help = "As long as 97 of 100 packets need; off: initial_length_ms"),
	PBX_BOOL(struct rtp_settings, jitter_buffer.passthrough, .initial = 0,
		 .help = "Also between legs that could be relayed: they are decoded, and leave evenly; calls that begin from then on"),
	PBX_TEXT(struct rtp_settings, country, .initial_text = "us",
		 .help = "Whose call progress tones, as two letters: us, uk, de, fr, in, jp and forty others of ITU-T E.180"),
	PBX_LIST(struct rtp_settings, tones, .initial_text = "",
		 .help = "Tones of your own, before those we know: COUNTRY NAME CADENCE, as ie busy 425/500 0/500; names are dial, "
			 "ringback, "
			 "busy, congestion, waiting, sit; a cadence is Hz/ms, two frequencies with +, ! before it: once"),
};

/* ---- life ---- */

static int media_start(void *self)
{
	struct pbx_diag diag = { 0 };

	part = self;
	part->json = pbx_jsons(part->host);
	part->requests = pbx_requests(part->host);
	part->metrics = pbx_metrics(part->host);
	int err = rtp_engine_start(part->settings, &observer, &diag);

	if (err == PBX_OK)
		err = core_metrics_on_scrape(part->host, on_scrape, part);
	if (err != PBX_OK) {
		pbx_error(part->host, "media_not_started", "result=%d field=%s reason=\"%s\"", err, diag.field, diag.text);
		rtp_engine_stop();
		return err;
	}
	err = core_status_add("outside", tell_outside, part);
	if (err != PBX_OK) {
		rtp_engine_stop();
		return err;
	}
	rtp_outside_configure(part->host, part->settings->stun_server, part->settings->stun_interval_s, on_outside);
	core_media_set_driver(&rtp_driver);
	core_speech_set_maker(rtp_speech_speak);
	core_speech_set_shaper(rtp_speech_shape_file);
	return PBX_OK;
}

static int media_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	const struct media_part *media = self;
	const struct rtp_settings *wanted = proposed;
	int err = rtp_engine_configure(wanted, diag);

	if (err == PBX_OK)
		rtp_outside_configure(media->host, wanted->stun_server, wanted->stun_interval_s, on_outside);
	return err;
}

static void media_stop(void *self)
{
	(void)self;
	core_status_remove("outside");
	rtp_nat_stop();
	rtp_outside_stop();
	rtp_engine_stop(); /* the driver stays known: a leg that ends after us gets PBX_ENOENT */
}

const struct pbx_plugin media_part = {
	PBX_PLUGIN_HEADER,
	.name = "media",
	.version = PBX_VERSION,
	.summary = "RTP: ports, relay, players, digits",
	.needs = PBX_NEEDS("pbx.json/1", "pbx.requests/1", "pbx.metrics/1"),
	.instance_size = sizeof(struct media_part),
	PBX_SETTINGS(struct rtp_settings, settings),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.start = media_start,
	.reload = media_reload,
	.stop = media_stop,
};
