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
#include "estimate.h"
#include "filter.h"
#include "inband.h"
#include "kernel.h"
#include "mouth.h"
#include "octets.h"
#include "plan.h"
#include "probe.h"
#include "recorder.h"
#include "source.h"

#include <arpa/inet.h>
#include <assert.h>
#include <core/log.h>
#include <core/loop.h>
#include <core/prompts.h>
#include <core/srtp_suites.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/ip.h>
#include <pbx/calls.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_BIND_TRIES 16 /* ports of ours that somebody else sits on */
#define MOST_DIGITS 256u

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

/* ---- sockets ---- */

static struct core_addr addr_of(int family, const char *host, uint16_t port)
{
	struct core_addr addr = { 0 };

	if (family == AF_INET) {
		addr.in4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
		(void)inet_pton(AF_INET, host, &addr.in4.sin_addr); /* checked with the settings; empty: any */
	} else {
		addr.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		(void)inet_pton(AF_INET6, host, &addr.in6.sin6_addr);
	}
	return addr;
}

static void set_dscp(int fd, int family)
{
	int class = (int)rtp_engine.settings->dscp << 2;

	/* A kernel that will not mark still sends. */
	if (family == AF_INET)
		(void)setsockopt(fd, IPPROTO_IP, IP_TOS, &class, sizeof class);
	else
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);
}

static int bound_socket(int family, uint16_t port)
{
	const char *host = family == AF_INET ? rtp_engine.settings->bind : rtp_engine.settings->bind6;
	struct core_addr addr = addr_of(family, host, port);
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), only = 1;

	if (fd < 0)
		return -1;
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only); /* IPv4 has sockets of its own */
	set_dscp(fd, family);
	if (bind(fd, &addr.sa, rtp_addr_size(&addr)) == 0)
		return fd;
	int why = errno;

	(void)close(fd);
	errno = why;
	return -1;
}

static void close_sockets(struct rtp_session *session)
{
	if (session->rtp_fd >= 0)
		(void)close(session->rtp_fd);
	if (session->rtcp_fd >= 0)
		(void)close(session->rtcp_fd);
	session->rtp_fd = session->rtcp_fd = -1;
}

/* A pair of ports that is free with us and with the kernel. */
static int take_ports(struct rtp_stream *stream, int family)
{
	struct rtp_session *session = &stream->session;

	for (int tries = 0; tries < MOST_BIND_TRIES; tries++) {
		int err = rtp_ports_take(rtp_engine.ports, core_now_ms(), &stream->port);

		if (err != PBX_OK)
			return err;
		session->port = stream->port;
		session->handover.place = rtp_kernel_place(stream->port);
		session->rtp_fd = bound_socket(family, stream->port);
		session->rtcp_fd = session->rtp_fd >= 0 ? bound_socket(family, (uint16_t)(stream->port + 1)) : -1;
		if (session->rtcp_fd >= 0)
			return PBX_OK;
		int why = errno;

		close_sockets(session);
		rtp_ports_give_back(rtp_engine.ports, stream->port, core_now_ms());
		if (why != EADDRINUSE)
			return PBX_EIO;
	}
	return PBX_EIO;
}

/* The address that a packet to the outside world would leave from. */
static struct core_addr default_route(int family)
{
	struct core_addr far = addr_of(family, family == AF_INET ? "192.0.2.1" : "2001:db8::1", 9), here = { 0 };
	socklen_t size = sizeof here;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, &far.sa, rtp_addr_size(&far)) < 0 || getsockname(fd, &here.sa, &size) < 0)
		here = addr_of(family, family == AF_INET ? "127.0.0.1" : "::1", 0);
	if (fd >= 0)
		(void)close(fd);
	return here;
}

static bool is_any(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? addr->in4.sin_addr.s_addr == INADDR_ANY : IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
}

/* What SDP shall say: the external address, else the bound one, else the default route's. */
static struct core_addr advertised(int family, uint16_t port)
{
	const struct rtp_settings *settings = rtp_engine.settings;
	const char *external = family == AF_INET ? settings->external_ip : settings->external_ip6;
	const char *bound = family == AF_INET ? settings->bind : settings->bind6;
	struct core_addr addr = addr_of(family, external && *external ? external : bound, port);

	if (is_any(&addr))
		addr = default_route(family);
	if (family == AF_INET)
		addr.in4.sin_port = htons(port);
	else
		addr.in6.sin6_port = htons(port);
	return addr;
}

/* ---- open and close ---- */

static void stream_free(struct rtp_stream *stream)
{
	if (!stream)
		return;
	close_sockets(&stream->session);
	rtp_plan_free(stream->session.plan);
	rtp_ear_free(stream->session.ear);
	rtp_mouth_free(stream->session.mouth);
	rtp_filter_free(stream->session.filter);
	rtp_inband_free(stream->session.inband);
	free(stream->session.route);
	free(stream);
}

static struct rtp_stream *stream_new(uint64_t group)
{
	struct rtp_stream *stream = calloc(1, sizeof *stream);

	if (!stream)
		return NULL;
	stream->group = group;
	stream->session.rtp_fd = stream->session.rtcp_fd = -1;
	stream->session.sender = (struct rtp_sender){ .ssrc = arc4random_uniform(UINT32_MAX) + 1u,      /* 0 means "any" to libsrtp2 */
						      .sequence = (uint16_t)arc4random_uniform(0x8000), /* lower half: RFC 3711 3.3.1 */
						      .timestamp = arc4random(),
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
	int err = take_ports(stream, family == AF_INET6 ? AF_INET6 : AF_INET);

	if (err != PBX_OK) {
		stream_free(stream);
		return err;
	}
	err = start_stream(stream);
	if (err != PBX_OK) {
		rtp_ports_give_back(rtp_engine.ports, stream->port, core_now_ms());
		stream_free(stream);
		return err;
	}
	struct rtp_ports_count count;

	rtp_engine_ports(&count); /* says so when they run low */
	stream->local = advertised(family == AF_INET6 ? AF_INET6 : AF_INET, stream->port);
	*ret_local = stream->local;
	*ret_stream = (core_stream){ stream->id };
	return PBX_OK;
}

/* It goes the way of those that were played, so that its end is told after this callback and not within. */
static void cancel_awaiting(struct rtp_stream *stream)
{
	struct rtp_play *play = stream->awaiting;

	if (!play)
		return;
	stream->awaiting = NULL;
	rtp_sound_forget(play->sounds[play->sound_at], play);
	play->how = PBX_MEDIA_STOPPED;
	rtp_queue_push(&rtp_engine.common.returns, &play->command.node);
	rtp_engine.common.wake();
}

/* What they needed for each other they need no more; without memory it stays until later. */
void rtp_stream_unlink(struct rtp_stream *stream)
{
	struct rtp_stream *peer = stream->peer;

	if (!peer)
		return;
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
	cancel_awaiting(stream);
	rtp_recorder_leave(stream);
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
	close_sockets(&stream->session);
	rtp_ports_give_back(rtp_engine.ports, stream->port, core_now_ms());
	stream_free(stream);
}

/* ---- configure and connect ---- */

static const struct core_stream_config *config_of(const struct rtp_stream *stream)
{
	return stream->configured ? &stream->config : NULL;
}

/* Both ways between two streams, as they are configured now. */
static int add_routes(struct rtp_command *command, const struct rtp_stream *a, const struct rtp_stream *b)
{
	command->route = malloc(sizeof *command->route);
	command->route_back = malloc(sizeof *command->route_back);
	if (!command->route || !command->route_back)
		return PBX_ENOMEM;
	rtp_route_make(config_of(a), config_of(b), command->route);
	rtp_route_make(config_of(b), config_of(a), command->route_back);
	if (rtp_coding_carries(a, b)) {
		rtp_route_close(config_of(a), command->route);
		rtp_route_close(config_of(b), command->route_back);
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

/* ---- ICE: where a stream may be reached ---- */

#define HOST_PREFERENCE 126u /* RFC 8445 5.1.2.2 */
#define MAPPED_PREFERENCE 100u

static void add_candidates(struct core_ice *ice, const struct core_addr *addr, uint8_t kind)
{
	uint32_t preference = kind == CORE_CANDIDATE_HOST ? HOST_PREFERENCE : MAPPED_PREFERENCE;

	for (uint8_t component = 1; component <= 2; component++) {
		struct core_candidate *added = &ice->candidates[ice->candidate_count++];

		*added = (struct core_candidate){ .addr = *addr,
						  .priority = preference << 24 | 0xffffu << 8 | (256u - component),
						  .component = component,
						  .kind = kind };
		added->addr.in4.sin_port =
			htons((uint16_t)(ntohs(addr->in4.sin_port) + component - 1)); /* the same place in both families */
	}
}

/* Our own address, and the one in front of our NAT where the settings name it. A lite agent has but the one that everybody reaches (2.5). */
static uint32_t driver_ice(core_stream name, struct core_ice *ret_ice)
{
	const struct rtp_stream *stream = rtp_stream_find(name);
	const char *role = rtp_engine.running ? rtp_engine.settings->ice : "off";

	if (!stream || strcmp(role, "off") == 0)
		return CORE_ICE_OFF;
	int family = stream->local.sa.sa_family;
	struct core_addr own = addr_of(family, family == AF_INET ? rtp_engine.settings->bind : rtp_engine.settings->bind6, stream->port);
	bool lite = strcmp(role, "lite") == 0;

	if (is_any(&own))
		own = default_route(family);
	own.in4.sin_port = htons(stream->port);
	ret_ice->candidate_count = 0;
	if (lite || rtp_addr_same_host(&own, &stream->local)) {
		add_candidates(ret_ice, &stream->local, CORE_CANDIDATE_HOST);
	} else {
		add_candidates(ret_ice, &own, CORE_CANDIDATE_HOST);
		add_candidates(ret_ice, &stream->local, CORE_CANDIDATE_SERVER_REFLEXIVE);
	}
	return lite ? CORE_ICE_LITE : CORE_ICE_FULL;
}

static int driver_configure(core_stream name, const struct core_stream_config *config)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	if (config->codec_count > CORE_MOST_CODECS)
		return PBX_EINVAL;
	struct rtp_command *command = rtp_command_new(RTP_CONFIGURE, stream);

	if (command)
		command->plan = calloc(1, sizeof *command->plan);
	if (!command || !command->plan) {
		rtp_command_free(command);
		return PBX_ENOMEM;
	}
	rtp_plan_make(config, rtp_engine.nat, command->plan);
	uint8_t suites[CORE_MOST_CRYPTOS];
	const char *policy;
	int err = rtp_plan_protect(command->plan, config, config_of(stream), stream->session.sender.ssrc);

	if (err == PBX_OK)
		err = rtp_plan_associate(command->plan, config, config_of(stream), suites,
					 driver_suites(suites, CORE_MOST_CRYPTOS, &policy));
	if (err != PBX_OK) {
		rtp_command_free(command);
		return err;
	}
	if (!stream->configured || !rtp_addr_same(&stream->config.rtp, &config->rtp))
		stream->learned = (struct core_addr){ 0 };
	bool renews = stream->configured && rtp_coding_differs(&stream->config, config);

	stream->config = *config;
	stream->configured = true;
	err = rtp_coding_settle(stream, command, renews);
	command->plan->number = ++stream->plans;
	rtp_recorder_learn(stream);
	rtp_engine_send(command);
	if (err == PBX_OK)
		err = rtp_mix_reconfigured(stream);
	if (err != PBX_OK || !stream->peer)
		return err;
	err = rtp_coding_settle(stream->peer, NULL, false);
	return err == PBX_OK ? send_routes(RTP_ROUTE, stream, stream->peer) : err;
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

	return err == PBX_OK ? send_routes(RTP_CONNECT, a, b) : err;
}

static int send_simple(struct rtp_stream *stream, uint32_t kind, bool held)
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
	return err == PBX_OK ? send_routes(RTP_ROUTE, stream, stream->peer) : err;
}

static int driver_disconnect(core_stream name)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	int err = send_simple(stream, RTP_DISCONNECT, false);

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
	return send_simple(stream, RTP_HOLD, held);
}

/* ---- playing ---- */

static void on_listener_revoked(struct core_charge *charge)
{
	struct rtp_play *play = (struct rtp_play *)((char *)charge - offsetof(struct rtp_play, charge));

	core_charge_remove(charge);
	(void)rtp_driver.stop((core_stream){ play->command.stream }); /* or it is gone: as good */
}

static int prepare_echo(struct rtp_stream *stream, struct rtp_play *play)
{
	play->echo = malloc(sizeof *play->echo);
	if (!play->echo)
		return PBX_ENOMEM;
	rtp_route_make(config_of(stream), config_of(stream), play->echo);
	return PBX_OK;
}

static int prepare_prompts(struct rtp_play *play, const struct core_play *wanted)
{
	char path[4096];

	play->sounds = calloc(wanted->prompt_count ? wanted->prompt_count : 1, sizeof(struct rtp_sound *));
	if (!play->sounds)
		return PBX_ENOMEM;
	for (; play->sound_count < wanted->prompt_count; play->sound_count++) {
		const char *prompt = wanted->prompts[play->sound_count];
		struct rtp_sound *sound;

		if (core_prompts_find(wanted->language, prompt, RTP_SOUND_HZ, path, sizeof path) != PBX_OK) {
			core_log(PBX_LOG_WARN, RTP_OWNER, NULL, "prompt_missing", "prompt=\"%s\" language=%s", prompt,
				 wanted->language ? wanted->language : "");
			return PBX_EINVAL;
		}
		sound = rtp_sound_open(path);
		if (!sound)
			return PBX_ENOMEM;
		play->sounds[play->sound_count] = sound;
	}
	return play->sound_count ? PBX_OK : PBX_EINVAL;
}

static int prepare_tone(struct rtp_play *play, const char *name)
{
	struct rtp_sound *sound = name ? rtp_sound_tone(rtp_engine.settings->country, name) : NULL;

	if (!sound)
		return PBX_EINVAL;
	play->sounds = malloc(sizeof(struct rtp_sound *));
	if (!play->sounds) {
		rtp_sound_unref(sound);
		return PBX_ENOMEM;
	}
	play->sounds[play->sound_count++] = sound;
	return PBX_OK;
}

int rtp_play_prepare(struct rtp_play *play, const struct core_play *wanted)
{
	if (wanted->kind == CORE_PLAY_FILE)
		return prepare_prompts(play, wanted);
	return wanted->kind == CORE_PLAY_TONE ? prepare_tone(play, wanted->text) : PBX_EINVAL;
}

/* Finds what is to be played. */
static int prepare(struct rtp_stream *stream, struct rtp_play *play, const struct core_play *wanted)
{
	switch (wanted->kind) {
	case CORE_PLAY_FILE:
	case CORE_PLAY_TONE:
		return rtp_play_prepare(play, wanted);
	case CORE_PLAY_SOURCE:
		return rtp_source_join(wanted->source, play, on_listener_revoked);
	case CORE_PLAY_ECHO:
		return prepare_echo(stream, play);
	default:
		return PBX_EINVAL;
	}
}

void rtp_play_free(struct rtp_play *play)
{
	for (uint32_t i = 0; i < play->sound_count; i++)
		rtp_sound_unref(play->sounds[i]);
	free(play->sounds);
	rtp_source_part(play);
	free(play->echo);
	free(play);
}

static void begin_play(struct rtp_stream *stream, struct rtp_play *play)
{
	play->repeats = play->sound_count && play->sounds[0]->repeats;
	stream->playing = play;
	stream->speaks = stream->speaks || play->kind != CORE_PLAY_ECHO;
	(void)rtp_coding_settle(stream, NULL, false); /* without a mouth it fails when its turn comes */
	rtp_engine_send(&play->command);
}

/* Begins when each of the sounds can be played; waits for one after the other. PBX_OK, or what is wrong with one of them. */
static int begin_when_ready(struct rtp_stream *stream, struct rtp_play *play)
{
	for (; play->sound_at < play->sound_count; play->sound_at++) {
		struct rtp_sound *sound = play->sounds[play->sound_at];

		if (!sound->ready) {
			stream->awaiting = play;
			rtp_sound_await(sound, play);
			return PBX_OK;
		}
		if (sound->result != PBX_OK)
			return sound->result;
	}
	begin_play(stream, play);
	return PBX_OK;
}

static int driver_play(core_stream name, const struct core_play *wanted)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	struct rtp_play *play = calloc(1, sizeof *play);

	if (!play)
		return PBX_ENOMEM;
	play->command = (struct rtp_command){ .kind = RTP_PLAY, .session = &stream->session, .stream = stream->id };
	play->kind = wanted->kind;
	play->tag = wanted->tag;
	int err = prepare(stream, play, wanted);

	if (err != PBX_OK) {
		rtp_play_free(play);
		return err;
	}
	cancel_awaiting(stream);
	err = begin_when_ready(stream, play);
	if (err != PBX_OK)
		rtp_play_free(play);
	return err;
}

void rtp_stream_sound_ready(struct rtp_play *play)
{
	core_stream name = { play->command.stream };
	struct rtp_stream *stream = rtp_stream_find(name);

	if (play->room) {
		rtp_mix_sound_ready(play);
		return;
	}
	assert(stream && stream->awaiting == play); /* a closed stream has stopped waiting */
	stream->awaiting = NULL;
	if (begin_when_ready(stream, play) == PBX_OK)
		return;
	uint64_t tag = play->tag;

	rtp_play_free(play);
	(void)rtp_driver.stop(name); /* what it should have replaced */
	core_media_on_play_done(name, tag, PBX_MEDIA_FAILED);
}

void rtp_stream_played(struct rtp_play *play)
{
	core_stream name = { play->command.stream };
	struct rtp_stream *stream = rtp_stream_find(name);
	uint64_t tag = play->tag;
	uint32_t how = play->how;

	if (stream && stream->playing == play)
		stream->playing = NULL;
	rtp_play_free(play);
	if (stream)
		core_media_on_play_done(name, tag, how);
}

static int driver_stop(core_stream name)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	cancel_awaiting(stream);
	return send_simple(stream, RTP_STOP, false);
}

static int driver_send_digits(core_stream name, const char *digits, uint32_t each_ms, uint32_t gap_ms)
{
	struct rtp_stream *stream = rtp_stream_find(name);
	size_t count = strlen(digits);

	if (!stream)
		return PBX_ENOENT;
	if (count == 0 || count > MOST_DIGITS || strspn(digits, "0123456789*#ABCDabcd") != count || each_ms > 8000)
		return PBX_EINVAL;
	if (!stream->configured)
		return PBX_ENOTSUP;
	bool by_tone = stream->config.digits == CORE_DIGITS_TONES;

	if (!by_tone && (stream->config.digits != CORE_DIGITS_EVENTS || stream->config.dtmf_type == 0))
		return PBX_ENOTSUP;
	struct rtp_digits *command = calloc(1, sizeof *command + count + 1);

	if (!command || (by_tone && rtp_dtmf_prepare_tones(command) != PBX_OK)) {
		free(command);
		return PBX_ENOMEM;
	}
	if (by_tone) {
		stream->speaks = true;
		(void)rtp_coding_settle(stream, NULL, false); /* without a mouth they are not heard */
	}
	command->command = (struct rtp_command){ .kind = RTP_DIGITS, .session = &stream->session, .stream = stream->id };
	command->each_ms = each_ms;
	command->gap_ms = gap_ms;
	for (size_t i = 0; i < count; i++)
		command->text[i] = (char)toupper((unsigned char)digits[i]);
	rtp_engine_send(&command->command);
	return PBX_OK;
}

/* ---- looking ---- */

/* As they lie in the block: RFC 3611 4.7 from its third word on. */
static void read_voip(const struct rtp_counters *counters, struct core_voip *ret_voip)
{
	uint64_t words[RTP_VOIP_WORDS];
	uint8_t block[sizeof words];

	for (size_t i = 0; i < RTP_VOIP_WORDS; i++)
		words[i] = rtp_read(&counters->voip[i]);
	memcpy(block, words, sizeof block);
	*ret_voip = (struct core_voip){ .told = rtp_read(&counters->voip_told),
					.lost_256 = block[0],
					.discarded_256 = block[1],
					.burst_density_256 = block[2],
					.gap_density_256 = block[3],
					.burst_ms = rtp_get16(block + 4),
					.gap_ms = rtp_get16(block + 6),
					.round_trip_ms = rtp_get16(block + 8),
					.end_delay_ms = rtp_get16(block + 10),
					.r = block[16],
					.mos_lq_tenths = block[18],
					.mos_cq_tenths = block[19],
					.buffer_ms = rtp_get16(block + 22) };
}

static int driver_stats(core_stream name, struct core_stream_stats *ret_stats)
{
	const struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	const struct rtp_counters *counters = &stream->session.counters;

	*ret_stats = (struct core_stream_stats){
		.packets_in = rtp_read(&counters->packets_in),
		.bytes_in = rtp_read(&counters->bytes_in),
		.packets_out = rtp_read(&counters->packets_out),
		.bytes_out = rtp_read(&counters->bytes_out),
		.lost = rtp_read(&counters->lost),
		.foreign = rtp_read(&counters->foreign),
		.malformed = rtp_read(&counters->malformed),
		.forged = rtp_read(&counters->forged),
		.suite = (uint8_t)(stream->config.peer_dtls.hash ? rtp_read(&counters->suite) : stream->config.send_crypto.suite),
		.transcoded = stream->transcoded,
		.late = rtp_read(&counters->late),
		.dropped = rtp_session_dropped(&stream->session),
		.by_kernel = rtp_read(&counters->by_kernel),
		.in_kernel = rtp_read(&counters->in_kernel),
		.jitter_us = rtp_read(&counters->jitter_us),
		.concealed_ms = rtp_read(&counters->concealed_ms),
		.buffer_target_us = rtp_read(&counters->buffer_target_us),
		.most_buffer_us = rtp_read(&counters->most_buffer_us),
		.round_trip_us = rtp_read(&counters->round_trip_us),
		.local = stream->local,
		.worker = stream->worker,
		.remote = stream->learned.sa.sa_family != AF_UNSPEC ? stream->learned : stream->config.rtp,
		.receive_ssrc = rtp_read(&counters->receive_ssrc),
		.send_ssrc = stream->session.sender.ssrc,
		.last_packet_at_ms = rtp_read(&counters->last_packet_at_ms),
		.duplicates = rtp_read(&counters->duplicates),
		.discarded = rtp_read(&counters->discarded),
		.buffer_us = rtp_read(&counters->buffer_us),
		.judged = rtp_read(&counters->judged),
		.judged_lost = rtp_read(&counters->judged_lost),
		.runs = rtp_read(&counters->runs),
		.bursts = rtp_read(&counters->bursts),
		.burst_lost = rtp_read(&counters->burst_lost),
		.burst_packets = rtp_read(&counters->burst_packets),
		.clock_hz = stream->config.codec_count ? stream->config.codecs[0].clock_hz : 0,
		.ptime_ms = stream->config.ptime_ms,
		.reports_in = rtp_read(&counters->reports_in),
		.reports_out = rtp_read(&counters->reports_out),
		.reported_at_ms = rtp_read(&counters->reported_at_ms),
		.reported_packets = rtp_read(&counters->reported_packets),
		.peer_lost = rtp_read(&counters->peer_lost),
		.peer_highest = rtp_read(&counters->peer_highest),
		.peer_jitter_us = rtp_read(&counters->peer_jitter_us),
		.peer_deaf = rtp_read(&counters->peer_deaf),
	};
	read_voip(counters, &ret_stats->peer_voip);
	(void)snprintf(ret_stats->codec, sizeof ret_stats->codec, "%s", rtp_config_codec(&stream->config));
	return PBX_OK;
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
						  .prefers_own = strcmp(rtp_engine.settings->prefer, "local") == 0 };
}

const struct core_media_driver rtp_driver = {
	.open = driver_open,
	.configure = driver_configure,
	.connect = driver_connect,
	.disconnect = driver_disconnect,
	.play = driver_play,
	.stop = driver_stop,
	.send_digits = driver_send_digits,
	.set_held = driver_set_held,
	.stats = driver_stats,
	.estimate = rtp_estimate,
	.close = driver_close,
	.codecs = driver_codecs,
	.codecs_taken = driver_codecs_taken,
	.codec_answer = rtp_codec_answer,
	.codec_policy = driver_codec_policy,
	.suites = driver_suites,
	.fingerprint = driver_fingerprint,
	.ice = driver_ice,
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
	.mix_open = rtp_mix_driver_open,
	.mix_close = rtp_mix_driver_close,
	.mix_enter = rtp_mix_driver_enter,
	.mix_leave = rtp_mix_driver_leave,
	.mix_play = rtp_mix_driver_play,
	.mix_stop = rtp_mix_driver_stop,
	.mix_voice = rtp_mix_driver_voice,
	.set_filter = driver_set_filter,
};
