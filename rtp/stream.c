/*
 * stream - the media driver: what call control asks for, turned into commands
 *
 * Everything here happens at once for the loop: a handle is valid or stale, ports are taken or given back, a configuration is
 * remembered. The worker follows a moment later, in the same order. Memory that a worker knows is freed when the command that
 * took it away from there has come back.
 */
#include "codecs.h"
#include "dtls.h"
#include "ear.h"
#include "engine_inner.h"
#include "detection.h"
#include "estimate.h"
#include "fax.h"
#include "filter.h"
#include "forking.h"
#include "inband.h"
#include "injection.h"
#include "listener.h"
#include "mouth.h"
#include "outside.h"
#include "plan.h"
#include "probe.h"
#include "recorder.h"
#include "source.h"
#include "tapping.h"
#include "tcp.h"

#include <core/loop.h>
#include <core/random.h>
#include <core/srtp_suites.h>
#include <stdlib.h>
#include <string.h>

struct rtp_stream *rtp_stream_find(core_stream stream)
{
	return core_handle_find(&rtp_engine.streams, stream.id);
}

/* ---- groups: the streams of a call share a worker ---- */

static struct rtp_stream **bucket_of(uint64_t group)
{
	return &rtp_engine.groups[(group * 0x9e3779b97f4a7c15u) >> 54];
}

uint32_t rtp_engine_choose_worker(uint64_t group)
{
	uint32_t best = 0;

	for (const struct rtp_stream *other = *bucket_of(group); other; other = other->group_next) {
		if (other->group == group)
			return other->worker;
	}
	for (uint32_t i = 1; i < rtp_engine.worker_count; i++)
		best = rtp_engine.worker_streams[i] < rtp_engine.worker_streams[best] ? i : best;
	return best;
}

static void add_to_group(struct rtp_stream *stream)
{
	stream->group_next = *bucket_of(stream->group);
	*bucket_of(stream->group) = stream;
}

static void remove_from_group(struct rtp_stream *stream)
{
	struct rtp_stream **at = bucket_of(stream->group);

	while (*at && *at != stream)
		at = &(*at)->group_next;
	if (*at)
		*at = stream->group_next;
}

/* ---- open and close ---- */

static const struct core_stream_config unconfigured;

static void stream_forget(struct rtp_stream *stream)
{
	if (stream->config != &unconfigured)
		free((void *)(uintptr_t)stream->config);
	stream->config = &unconfigured;
}

/* A configuration has room for 24 codecs of 128 octets and most have one or two, so only those are kept: it is never to be copied as a whole. NULL: no
 * memory. */
static struct core_stream_config *config_copy(const struct core_stream_config *config)
{
	size_t size = offsetof(struct core_stream_config, codecs) + config->codec_count * sizeof config->codecs[0];
	struct core_stream_config *copy = malloc(size);

	if (copy)
		memcpy(copy, config, size);
	return copy;
}

static void stream_free(struct rtp_stream *stream)
{
	if (!stream)
		return;
	rtp_sockets_close(&stream->session);
	rtp_plan_free(stream->session.plan);
	rtp_ear_free(stream->session.ear);
	rtp_mouth_free(stream->session.mouth);
	rtp_filter_free(stream->session.filter);
	rtp_inband_free(stream->session.inband);
	free(stream->session.route);
	stream_forget(stream);
	free(stream);
}

static struct rtp_stream *stream_new(uint64_t group)
{
	struct rtp_stream *stream = calloc(1, sizeof *stream);
	uint32_t random[3];

	if (!stream)
		return NULL;
	core_random(random, sizeof random);
	stream->group = group;
	stream->config = &unconfigured;
	stream->session.rtp_fd = stream->session.rtcp_fd = -1;
	stream->session.sender = (struct rtp_sender){ .ssrc = random[0] ? random[0] : 1,          /* 0 means "any" to libsrtp2 */
						      .sequence = (uint16_t)(random[1] & 0x7fff), /* lower half: RFC 3711 3.3.1 */
						      .timestamp = random[2],
						      .khz = 8 };
	return stream;
}

/* Gives the session to its worker; from here on it is not ours. */
static int start_stream(struct rtp_stream *stream)
{
	stream->id = core_handle_new(&rtp_engine.streams, stream);
	if (stream->id == 0)
		return PBX_ENOMEM;
	stream->session.stream = stream->id;
	struct rtp_command *join = rtp_command_new(RTP_JOIN, stream);

	if (!join) {
		core_handle_free(&rtp_engine.streams, stream->id);
		return PBX_ENOMEM;
	}
	stream->worker = rtp_engine_choose_worker(stream->group);
	rtp_engine.worker_streams[stream->worker]++;
	add_to_group(stream);
	rtp_engine_send(join);
	return PBX_OK;
}

static int driver_open(uint64_t group, int family, core_stream *ret_stream, struct core_addr *ret_local)
{
	if (!rtp_engine.running)
		return PBX_EIO;
	struct rtp_stream *stream = stream_new(group);

	if (!stream)
		return PBX_ENOMEM;
	int err = rtp_sockets_open(stream, family == AF_INET6 ? AF_INET6 : AF_INET);

	if (err != PBX_OK) {
		stream_free(stream);
		return err;
	}
	err = start_stream(stream);
	if (err != PBX_OK) {
		rtp_ports_give_back(rtp_engine.ports, RTP_PORTS_CALL, stream->port, core_now_ms());
		stream_free(stream);
		return err;
	}
	struct rtp_ports_count count;

	rtp_engine_ports(&count); /* says so when they run low */
	stream->local = rtp_sockets_advertised(family == AF_INET6 ? AF_INET6 : AF_INET, stream->port);
	*ret_local = stream->local;
	*ret_stream = (core_stream){ stream->id };
	return PBX_OK;
}

/* What they needed for each other they need no more; without memory it stays until later. */
void rtp_stream_unlink(struct rtp_stream *stream)
{
	struct rtp_stream *peer = stream->peer;

	if (!peer)
		return;
	rtp_fax_part(stream);
	peer->peer = NULL;
	stream->peer = NULL;
	(void)rtp_coding_settle(peer, NULL, false);
}

static int driver_close(core_stream name)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	struct rtp_command *command = rtp_command_new(RTP_CLOSE, stream);

	if (!command)
		return PBX_ENOMEM;
	rtp_door_forget(stream);
	rtp_play_cancel_awaiting(stream);
	rtp_recorder_leave(stream);
	rtp_listener_leave(stream);
	rtp_injection_leave(stream);
	rtp_forkings_leave(stream);
	rtp_fax_leave(stream);
	rtp_mix_take_out(stream);
	rtp_stream_unlink(stream);
	remove_from_group(stream);
	core_handle_free(&rtp_engine.streams, stream->id);
	rtp_engine.closing++;
	rtp_engine_send(command);
	return PBX_OK;
}

void rtp_stream_closed(struct rtp_stream *stream)
{
	rtp_totals_add(&rtp_engine.gone, &stream->session);
	rtp_engine.worker_streams[stream->worker]--;
	rtp_engine.closing--;
	rtp_sockets_close(&stream->session);
	rtp_ports_give_back(rtp_engine.ports, RTP_PORTS_CALL, stream->port, core_now_ms());
	stream_free(stream);
}

/* ---- configure and connect ---- */

const struct core_stream_config *rtp_stream_config(const struct rtp_stream *stream)
{
	return stream->configured ? stream->config : NULL;
}

/* Both ways between two streams, as they are configured now. */
static int add_routes(struct rtp_command *command, const struct rtp_stream *a, const struct rtp_stream *b)
{
	command->route = malloc(sizeof *command->route);
	command->route_back = malloc(sizeof *command->route_back);
	if (!command->route || !command->route_back)
		return PBX_ENOMEM;
	rtp_route_make(rtp_stream_config(a), rtp_stream_config(b), command->route);
	rtp_route_make(rtp_stream_config(b), rtp_stream_config(a), command->route_back);
	if (rtp_coding_carries(a, b)) {
		rtp_route_close(rtp_stream_config(a), command->route);
		rtp_route_close(rtp_stream_config(b), command->route_back);
	}
	return PBX_OK;
}

static int send_routes(uint32_t kind, struct rtp_stream *a, struct rtp_stream *b)
{
	struct rtp_command *command = rtp_command_new(kind, a);

	if (!command)
		return PBX_ENOMEM;
	command->peer = &b->session;
	a->transcoded = b->transcoded = rtp_coding_is_transcoded(a);
	if (add_routes(command, a, b) != PBX_OK) {
		rtp_command_free(command);
		return PBX_ENOMEM;
	}
	rtp_engine_send(command);
	return PBX_OK;
}

int rtp_stream_reroute(struct rtp_stream *stream)
{
	return stream->peer ? send_routes(RTP_ROUTE, stream, stream->peer) : PBX_OK;
}

static uint8_t driver_suites(uint8_t *ret_suites, uint8_t size, const char **ret_policy)
{
	const struct pbx_list *wanted = &rtp_engine.settings->srtp_suites;
	uint8_t count = 0;

	*ret_policy = rtp_engine.settings->srtp;
	for (uint32_t i = 0; i < wanted->count && count < size; i++)
		ret_suites[count++] = core_srtp_find(wanted->items[i], strlen(wanted->items[i])); /* checked with the settings */
	return count;
}

static bool driver_fingerprint(struct core_dtls *ret_dtls)
{
	memset(ret_dtls, 0, sizeof *ret_dtls);
	if (rtp_engine.running)
		rtp_dtls_fingerprint(ret_dtls);
	return rtp_engine.running;
}

static int driver_configure(core_stream name, const struct core_stream_config *config)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	if (config->codec_count > CORE_MOST_CODECS)
		return PBX_EINVAL;
	struct rtp_command *command = rtp_command_new(RTP_CONFIGURE, stream);

	struct core_stream_config *kept = config_copy(config);

	if (command)
		command->plan = calloc(1, sizeof *command->plan);
	if (!command || !command->plan || !kept) {
		rtp_command_free(command);
		free(kept);
		return PBX_ENOMEM;
	}
	rtp_plan_make(config, rtp_engine.nat, command->plan);
	uint8_t suites[CORE_MOST_CRYPTOS];
	const char *policy;
	int err = rtp_plan_protect(command->plan, config, rtp_stream_config(stream), stream->session.sender.ssrc);

	if (err == PBX_OK)
		err = rtp_plan_associate(command->plan, config, rtp_stream_config(stream), suites,
					 driver_suites(suites, CORE_MOST_CRYPTOS, &policy));
	if (err != PBX_OK) {
		rtp_command_free(command);
		free(kept);
		return err;
	}
	if (!stream->configured || !rtp_addr_same(&stream->config->rtp, &config->rtp))
		stream->learned = (struct core_addr){ 0 };
	bool renews = stream->configured && rtp_coding_differs(stream->config, config);

	if (config->dscp != stream->config->dscp)
		rtp_sockets_mark(&stream->session, stream->local.sa.sa_family, config->dscp);
	if (renews)
		stream->failed = 0;
	stream_forget(stream);
	stream->config = kept;
	stream->configured = true;
	err = rtp_coding_settle(stream, command, renews);
	command->plan->number = ++stream->plans;
	rtp_recorder_learn(stream);
	rtp_listener_learn(stream);
	rtp_engine_send(command);
	rtp_forkings_learn(stream);
	rtp_door_configured(stream);
	rtp_fax_settle(stream);
	if (err == PBX_OK)
		err = rtp_mix_reconfigured(stream);
	if (err != PBX_OK || !stream->peer)
		return err;
	err = rtp_coding_settle(stream->peer, NULL, false);
	return err == PBX_OK ? rtp_stream_reroute(stream) : err;
}

/* From the loop's point of view they are a pair from here on. */
static int link_peers(struct rtp_stream *a, struct rtp_stream *b)
{
	rtp_mix_take_out(a);
	rtp_mix_take_out(b);
	rtp_stream_unlink(a);
	rtp_stream_unlink(b);
	a->peer = b;
	b->peer = a;
	int err = rtp_coding_settle(a, NULL, false);

	return err == PBX_OK ? rtp_coding_settle(b, NULL, false) : err;
}

static int driver_connect(core_stream first, core_stream second)
{
	struct rtp_stream *a = rtp_stream_find(first), *b = rtp_stream_find(second);

	if (!a || !b)
		return PBX_ENOENT;
	if (a == b)
		return PBX_EINVAL;
	int err = a->peer == b ? PBX_OK : link_peers(a, b);

	if (err == PBX_OK)
		err = send_routes(RTP_CONNECT, a, b);
	if (err == PBX_OK)
		rtp_fax_settle(a);
	return err;
}

int rtp_stream_tell(struct rtp_stream *stream, uint32_t kind, bool held)
{
	struct rtp_command *command = rtp_command_new(kind, stream);

	if (!command)
		return PBX_ENOMEM;
	command->held = held;
	rtp_engine_send(command);
	return PBX_OK;
}

/* What stood there before comes back with the command. */
static int driver_set_filter(core_stream name, const struct core_filter *filter)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	const struct core_filter before = stream->filter_wanted;

	stream->filter_wanted = filter ? *filter : (struct core_filter){ 0 };
	int err = rtp_coding_refilter(stream);

	if (err != PBX_OK)
		stream->filter_wanted = before;
	if (err != PBX_OK || !stream->peer)
		return err;
	err = rtp_coding_settle(stream->peer, NULL, false);
	return err == PBX_OK ? rtp_stream_reroute(stream) : err;
}

static int driver_heed_keys(core_stream name, bool on)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	bool before = stream->keys_unheeded;

	stream->keys_unheeded = !on;
	int err = rtp_coding_settle(stream, NULL, false);

	if (err != PBX_OK)
		stream->keys_unheeded = before;
	return err;
}

static int driver_disconnect(core_stream name)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	int err = rtp_stream_tell(stream, RTP_DISCONNECT, false);

	if (err != PBX_OK)
		return err;
	rtp_stream_unlink(stream);
	return rtp_coding_settle(stream, NULL, false);
}

static int driver_set_held(core_stream name, bool held)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	stream->held = held;
	return rtp_stream_tell(stream, RTP_HOLD, held);
}

static uint8_t driver_codecs(struct core_codec *ret_codecs, uint8_t size)
{
	return rtp_codecs_list(ret_codecs, size, true);
}

static uint8_t driver_codecs_taken(struct core_codec *ret_codecs, uint8_t size)
{
	return rtp_codecs_list(ret_codecs, size, false);
}

static void driver_codec_policy(struct core_codec_policy *ret_policy)
{
	const char *transcode = rtp_engine.settings->transcode;

	*ret_policy = (struct core_codec_policy){ .transcode = strcmp(transcode, "never") == 0    ? CORE_TRANSCODE_NEVER
							       : strcmp(transcode, "always") == 0 ? CORE_TRANSCODE_ALWAYS
												  : CORE_TRANSCODE_AUTO,
						  .prefers_own = strcmp(rtp_engine.settings->prefer, "local") == 0,
						  .hears_faxes = rtp_engine.settings->fax_detect,
						  .t38 = strcmp(rtp_engine.settings->t38, "off") == 0    ? CORE_FAX_OFF
							 : strcmp(rtp_engine.settings->t38, "pass") == 0 ? CORE_FAX_PASS
													 : CORE_FAX_GATEWAY };
}

const struct core_media_driver rtp_driver = {
	.open = driver_open,
	.configure = driver_configure,
	.connect = driver_connect,
	.disconnect = driver_disconnect,
	.play = rtp_stream_play,
	.stop = rtp_stream_stop,
	.send_digits = rtp_stream_send_digits,
	.set_held = driver_set_held,
	.stats = rtp_stream_stats,
	.estimate = rtp_estimate,
	.close = driver_close,
	.codecs = driver_codecs,
	.codecs_taken = driver_codecs_taken,
	.codec_answer = rtp_codec_answer,
	.codec_policy = driver_codec_policy,
	.suites = driver_suites,
	.fingerprint = driver_fingerprint,
	.ice = rtp_sockets_ice,
	.ice_named = rtp_door_named,
	.bound = rtp_sockets_bound,
	.outside = rtp_outside_address,
	.source_open = rtp_source_open,
	.source_update = rtp_source_update,
	.source_close = rtp_source_close,
	.source_listeners = rtp_source_listeners,
	.source_state = rtp_source_state,
	.probe = rtp_probe,
	.record = rtp_record,
	.record_pause = rtp_record_pause,
	.record_resume = rtp_record_resume,
	.record_stop = rtp_record_stop,
	.record_state = rtp_record_state,
	.record_adopt = rtp_record_adopt,
	.record_recover = rtp_record_recover_later,
	.record_key = rtp_record_key,
	.record_mask = rtp_record_mask,
	.tap_open = rtp_tapping_open,
	.tap_close = rtp_tapping_close,
	.tap_reader = rtp_tapping_reader,
	.tap_state = rtp_tapping_state,
	.detect_start = rtp_detection_start,
	.detect_stop = rtp_detection_stop,
	.fork_open = rtp_forking_open,
	.fork_local = rtp_forking_local,
	.fork_aim = rtp_forking_aim,
	.fork_state = rtp_forking_state,
	.fork_adopt = rtp_forking_adopt,
	.fork_close = rtp_forking_close,
	.inject_open = rtp_injection_open,
	.inject_close = rtp_injection_close,
	.inject_writer = rtp_injection_writer,
	.inject_state = rtp_injection_state,
	.mix_open = rtp_mix_driver_open,
	.mix_close = rtp_mix_driver_close,
	.mix_enter = rtp_mix_driver_enter,
	.mix_leave = rtp_mix_driver_leave,
	.mix_play = rtp_mix_driver_play,
	.mix_stop = rtp_mix_driver_stop,
	.mix_voice = rtp_mix_driver_voice,
	.set_filter = driver_set_filter,
	.heed_keys = driver_heed_keys,
	.fax_begin = rtp_fax_begin,
	.fax_stop = rtp_fax_stop,
	.fax_pages = rtp_fax_pages,
	.fax_ends_at = rtp_fax_ends_at,
	.steer = rtp_stream_steer,
	.played_so_far = rtp_stream_played_so_far,
};
