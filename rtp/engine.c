/*
 * engine - workers started and stopped, commands sent and taken back, what the workers tell
 *
 * Commands reach a worker in the order they were given. A stream that is connected to one on another worker has to move: its
 * sockets leave the one and join the other, with everything the kernel holds for them. That takes one round trip, during
 * which all other commands wait, so that none overtakes.
 */
#include "codecs.h"
#include "dtls.h"
#include "ear.h"
#include "filter.h"
#include "inband.h"
#include "engine_inner.h"
#include "fax.h"
#include "forking.h"
#include "kernel.h"
#include "mouth.h"
#include "outside.h"
#include "plan.h"
#include "detection.h"
#include "injection.h"
#include "listener.h"
#include "recorder.h"
#include "tap.h"
#include "tapping.h"
#include "tcp.h"
#include "source.h"
#include "tones.h"

#include <arpa/inet.h>
#include <assert.h>
#include <core/log.h>
#include <core/loop.h>
#include <core/srtp_suites.h>
#include <pbx/calls.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_WORKERS 64u
#define BACK_FROM_LOW 5u /* free ports are plenty again at one in five */
#define LOW 10u          /* and low at one in ten */

struct rtp_engine rtp_engine;
static uint64_t cpu_us_before[MOST_WORKERS], asked_at_us[MOST_WORKERS];

/* ---- commands ---- */

struct rtp_command *rtp_command_new(uint32_t kind, struct rtp_stream *stream)
{
	struct rtp_command *command = calloc(1, sizeof *command);

	if (command)
		*command = (struct rtp_command){ .kind = kind, .settles = true, .session = &stream->session, .stream = stream->id };
	return command;
}

void rtp_command_free(struct rtp_command *command)
{
	if (!command)
		return;
	rtp_plan_free(command->plan);
	free(command->route);
	free(command->route_back);
	rtp_ear_free(command->ear);
	rtp_mouth_free(command->mouth);
	rtp_filter_free(command->filter);
	rtp_inband_free(command->inband);
	if (command->kind == RTP_DIGITS)
		rtp_dtmf_release((struct rtp_digits *)command);
	free(command);
}

static struct rtp_stream *stream_of(struct rtp_session *session)
{
	return (struct rtp_stream *)session; /* its first member */
}

static void post(struct rtp_command *command, uint32_t worker)
{
	rtp_worker_send(&rtp_engine.workers[worker], command);
}

/* Where a command is obeyed. */
static uint32_t worker_of(const struct rtp_command *command)
{
	return command->mix ? rtp_mix_worker(command->mix) : stream_of(command->session)->worker;
}

/* The stream that has to be on that worker before, and may be on another one; NULL: none has to. */
static struct rtp_stream *mover_of(const struct rtp_command *command)
{
	if (command->kind == RTP_MIX_ENTER)
		return stream_of(command->session);
	return command->kind == RTP_CONNECT ? stream_of(command->peer) : NULL;
}

/* The peer, or who comes into a room, leaves its worker; when that has come back it joins the other. */
static bool starts_move(struct rtp_command *command)
{
	struct rtp_stream *mover = mover_of(command);

	if (!mover || mover->worker == worker_of(command))
		return false;
	struct rtp_command *leave = rtp_command_new(RTP_LEAVE, mover);

	if (!leave) {
		core_log(PBX_LOG_ERROR, RTP_OWNER, NULL, "connect_failed", "reason=memory");
		return false;
	}
	core_busy(1);
	rtp_engine.moving = command;
	post(leave, mover->worker);
	return true;
}

static void dispatch(struct rtp_command *command)
{
	if (!starts_move(command))
		post(command, worker_of(command));
}

void rtp_engine_send(struct rtp_command *command)
{
	if (command->settles)
		core_busy(1);
	if (rtp_engine.moving)
		rtp_queue_push(&rtp_engine.held, &command->node);
	else
		dispatch(command);
}

static void finish_move(struct rtp_command *leave)
{
	struct rtp_command *awaits = rtp_engine.moving;
	struct rtp_stream *mover = mover_of(awaits);
	uint32_t worker = worker_of(awaits);
	struct rtp_node *node;

	rtp_engine.worker_streams[mover->worker]--;
	rtp_engine.worker_streams[worker]++;
	mover->worker = worker;
	leave->kind = RTP_JOIN; /* the same command goes on */
	post(leave, worker);
	rtp_engine.moving = NULL;
	post(awaits, worker);
	while (!rtp_engine.moving && (node = rtp_queue_pop(&rtp_engine.held)))
		dispatch((struct rtp_command *)node);
}

static void on_return(struct rtp_command *command)
{
	if (command->kind >= RTP_FAX_COMMANDS) {
		rtp_fax_returned(command);
		return;
	}
	if (command->kind >= RTP_LISTEN_COMMANDS) {
		rtp_listener_returned(command);
		return;
	}
	if (command->kind >= RTP_RECORD_COMMANDS) {
		rtp_recorder_returned(command);
		return;
	}
	if (command->kind >= RTP_SOURCE_COMMANDS) {
		rtp_source_returned(command);
		return;
	}
	switch (command->kind) {
	case RTP_LEAVE:
		finish_move(command);
		return;
	case RTP_PLAY:
		rtp_stream_played((struct rtp_play *)command);
		return;
	case RTP_UNFORK:
	case RTP_FORK_NEWS:
		core_busy(-1);
		rtp_forking_returned(command);
		return;
	case RTP_TCP:
		rtp_door_returned(command);
		return;
	case RTP_UNTAP:
		core_busy(-1);
		command->tap->untapped(command);
		return;
	case RTP_LINE_ENTER:
	case RTP_LINE_LEAVE:
		rtp_fax_line_returned(command);
		return;
	case RTP_MIX_PLAY:
		rtp_mix_played((struct rtp_play *)command);
		return;
	case RTP_INJECT:
		rtp_injection_returned(command);
		break;
	case RTP_MIX_LEAVE:
		free(command->member);
		break;
	case RTP_MIX_END:
		rtp_mix_ended(command->mix);
		break;
	case RTP_CLOSE:
		rtp_stream_closed(stream_of(command->session));
		break;
	default:
		break;
	}
	if (command->settles)
		core_busy(-1);
	rtp_command_free(command);
}

/* ---- what the workers tell ---- */

static void on_source_changed(struct rtp_stream *stream, const struct rtp_event *event)
{
	stream->learned = event->remote;
	core_media_on_source_changed((core_stream){ stream->id }, &event->remote);
}

static void on_failed(struct rtp_stream *stream, uint32_t why)
{
	if (rtp_engine.observer.failed)
		rtp_engine.observer.failed(why);
	core_media_on_failed((core_stream){ stream->id }, why);
}

static void on_event(const struct rtp_event *event)
{
	core_stream name = { event->stream };
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return;
	switch (event->kind) {
	case RTP_EVENT_FIRST_PACKET:
		core_media_on_first_packet(name);
		break;
	case RTP_EVENT_DIGIT:
		core_media_on_digit(name, event->digit, event->for_ms, event->by_tone ? CORE_DIGITS_TONES : CORE_DIGITS_EVENTS);
		break;
	case RTP_EVENT_KEY_DOWN:
		core_media_on_key_down(name, event->digit, event->by_tone ? CORE_DIGITS_TONES : CORE_DIGITS_EVENTS);
		break;
	case RTP_EVENT_TALKING:
		core_media_on_mix_talking(name, event->for_ms != 0);
		break;
	case RTP_EVENT_SPEAKER:
		core_media_on_mix_speaker(name);
		break;
	case RTP_EVENT_DRAINED:
		rtp_injection_drained(stream);
		break;
	case RTP_EVENT_SOURCE_CHANGED:
		on_source_changed(stream, event);
		break;
	case RTP_EVENT_CONNECTED:
		stream->learned = event->remote;
		break;
	case RTP_EVENT_CODEC:
		rtp_coding_fails(stream, event);
		break;
	case RTP_EVENT_FAILED:
		on_failed(stream, event->for_ms);
		break;
	default:
		core_media_on_silence(name, event->for_ms);
		break;
	}
}

static void drain(void)
{
	struct rtp_event event;
	struct rtp_node *node;

	for (uint32_t i = 0; i < rtp_engine.worker_count; i++) {
		while (rtp_ring_take(&rtp_engine.workers[i].events, &event))
			on_event(&event);
	}
	while ((node = rtp_queue_pop(&rtp_engine.common.returns)))
		on_return((struct rtp_command *)node);
}

/* The loop has run its callbacks of this round. */
static void call_workers(void)
{
	for (uint32_t i = 0; i < rtp_engine.worker_count; i++)
		rtp_worker_call(&rtp_engine.workers[i]);
}

static void on_round(void)
{
	drain(); /* it may send more */
	call_workers();
}

/* ---- starting and stopping ---- */

static uint32_t how_many_workers(const struct rtp_settings *settings)
{
	long cores = settings->workers ? (long)settings->workers : sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : cores > (long)MOST_WORKERS ? MOST_WORKERS : (uint32_t)cores;
}

void rtp_cname_make(char ret_cname[RTP_CNAME_SIZE])
{
	unsigned char random[12];

	arc4random_buf(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		(void)snprintf(ret_cname + 2 * i, 3, "%02x", random[i]);
}

static int check_ip(const char *name, const char *text, int family, struct pbx_diag *diag)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (!text || !*text || inet_pton(family, text, address) == 1)
		return PBX_OK;
	pbx_diag_set(diag, name, "'%s' is no IPv%c address", text, family == AF_INET ? '4' : '6');
	return PBX_EINVAL;
}

static int check_delays(const struct rtp_jitter_settings *delays, struct pbx_diag *diag)
{
	if (delays->min_length_ms <= delays->initial_length_ms && delays->initial_length_ms <= delays->max_length_ms)
		return PBX_OK;
	pbx_diag_set(diag, "jitter_buffer.initial_length_ms", "%u ms is not between min_length_ms (%u) and max_length_ms (%u)",
		     delays->initial_length_ms, delays->min_length_ms, delays->max_length_ms);
	return PBX_EINVAL;
}

static int check_settings(const struct rtp_settings *settings, struct pbx_diag *diag)
{
	int err = check_ip("bind", settings->bind, AF_INET, diag);

	if (err == PBX_OK)
		err = check_ip("external_ip", settings->external_ip, AF_INET, diag);
	if (err == PBX_OK)
		err = check_ip("bind6", settings->bind6, AF_INET6, diag);
	if (err == PBX_OK)
		err = check_ip("external_ip6", settings->external_ip6, AF_INET6, diag);
	if (err != PBX_OK)
		return err;
	if (settings->port_max < settings->port_min + 2) {
		pbx_diag_set(diag, "port_max", "no pair of ports between %u and %u", settings->port_min, settings->port_max);
		return PBX_EINVAL;
	}
	for (uint32_t i = 0; i < settings->srtp_suites.count; i++)
		if (!core_srtp_find(settings->srtp_suites.items[i], strlen(settings->srtp_suites.items[i]))) {
			pbx_diag_set(diag, "srtp_suites", "no crypto suite is called '%s'", settings->srtp_suites.items[i]);
			return PBX_EINVAL;
		}
	err = rtp_outside_check(settings->stun_server, diag);
	if (err == PBX_OK)
		err = check_delays(&settings->jitter_buffer, diag);
	if (err != PBX_OK)
		return err;
	err = rtp_codecs_check(&settings->codecs, diag);
	if (err != PBX_OK)
		return err;
	return rtp_tones_check(&settings->tones, settings->country, diag);
}

static void take_settings(const struct rtp_settings *settings)
{
	rtp_engine.settings = settings;
	rtp_tones_use(&settings->tones);
	rtp_ear_configure(&settings->jitter_buffer);
	rtp_mouth_configure(settings->dtx);
	rtp_codecs_add_noise(settings->dtx);
	rtp_codecs_order(settings->codecs.count ? &settings->codecs : NULL);
	rtp_engine.nat = strcmp(settings->nat, "off") == 0      ? RTP_NAT_OFF
			 : strcmp(settings->nat, "strict") == 0 ? RTP_NAT_STRICT
								: RTP_NAT_AUTO;
	rtp_write(&rtp_engine.common.traffic_class, settings->dscp << 2);
	rtp_write(&rtp_engine.common.timeout_ms, settings->timeout_s * 1000);
	rtp_write(&rtp_engine.common.hold_timeout_ms, settings->hold_timeout_s * 1000);
	rtp_write(&rtp_engine.common.consent_ms, settings->consent_s * 1000);
}

/* Where the kernel will not, workers relay: no reason to bother anybody. */
static void on_kernel_started(void *context, int result, const struct pbx_diag *diag)
{
	(void)context;
	if (result == PBX_OK)
		core_log(PBX_LOG_INFO, RTP_OWNER, NULL, "kernel_relay_started", "interfaces=%u", rtp_kernel_interfaces());
	else
		core_log(PBX_LOG_INFO, RTP_OWNER, NULL, "kernel_relay_not_started", "reason=\"%s\"", diag->text);
}

static void start_kernel(const struct rtp_settings *settings)
{
	struct rtp_kernel_wish wish = { .port_min = (uint16_t)settings->port_min, .port_max = (uint16_t)settings->port_max };
	struct pbx_diag diag = { 0 };

	if (!settings->kernel_relay || strcmp(settings->kernel_relay, "off") == 0)
		return;
	int err = rtp_kernel_start(&wish, on_kernel_started, NULL, &diag);
	if (err != PBX_OK)
		on_kernel_started(NULL, err, &diag);
}

static int start_workers(uint32_t count)
{
	rtp_engine.workers = calloc(count, sizeof *rtp_engine.workers);
	rtp_engine.worker_streams = calloc(count, sizeof *rtp_engine.worker_streams);
	if (!rtp_engine.workers || !rtp_engine.worker_streams)
		return PBX_ENOMEM;
	while (rtp_engine.worker_count < count) {
		int err = rtp_worker_start(&rtp_engine.workers[rtp_engine.worker_count], rtp_engine.worker_count, &rtp_engine.common);

		if (err != PBX_OK)
			return err;
		rtp_engine.worker_count++;
	}
	return PBX_OK;
}

int rtp_engine_start(const struct rtp_settings *settings, const struct rtp_observer *observer, struct pbx_diag *diag)
{
	assert(!rtp_engine.running);
	int err = check_settings(settings, diag);

	if (err != PBX_OK)
		return err;
	memset(&rtp_engine, 0, sizeof rtp_engine);
	rtp_engine.observer = *observer;
	rtp_engine.common.wake = core_loop_wake;
	rtp_queue_init(&rtp_engine.common.returns);
	rtp_queue_init(&rtp_engine.held);
	core_handles_init(&rtp_engine.streams, 'M');
	core_handles_init(&rtp_engine.rooms, 'X');
	rtp_tapping_init();
	rtp_injections_init();
	rtp_forkings_init();
	rtp_detections_init();
	rtp_faxes_start(&rtp_engine.common);
	rtp_cname_make(rtp_engine.common.cname);
	rtp_g711_init();
	take_settings(settings);
	if (rtp_srtp_init() != PBX_OK) {
		pbx_diag_set(diag, "srtp", "OpenSSL or libsrtp2 does not pass its self-test");
		return PBX_EIO;
	}
	if (rtp_dtls_init() != PBX_OK) {
		pbx_diag_set(diag, "srtp", "OpenSSL cannot make a certificate for DTLS");
		rtp_srtp_fini();
		return PBX_EIO;
	}
	core_loop_set_last(on_round);
	rtp_engine.running = true;
	start_kernel(settings);
	rtp_engine.ports = rtp_ports_new((uint16_t)settings->port_min, (uint16_t)settings->port_max, settings->quarantine_s * 1000);
	err = rtp_engine.ports ? start_workers(how_many_workers(settings)) : PBX_ENOMEM;
	if (err == PBX_OK)
		err = rtp_sources_start(&rtp_engine.common);
	if (err == PBX_OK)
		err = rtp_recorder_start(&rtp_engine.common);
	if (err == PBX_OK)
		err = rtp_listener_start(&rtp_engine.common);
	if (err == PBX_OK)
		err = rtp_door_open(settings, diag);
	if (err != PBX_OK)
		rtp_engine_stop();
	return err;
}

int rtp_engine_configure(const struct rtp_settings *settings, struct pbx_diag *diag)
{
	int err = check_settings(settings, diag);

	if (err != PBX_OK)
		return err;
	take_settings(settings);
	rtp_ports_set_quarantine(rtp_engine.ports, settings->quarantine_s * 1000);
	return PBX_OK;
}

static void close_streams(void)
{
	uint32_t at = 0;
	struct rtp_stream *stream;

	while ((stream = core_handles_next(&rtp_engine.streams, &at)))
		(void)rtp_driver.close((core_stream){ stream->id });
	while (rtp_engine.closing > 0) { /* workers answer at once; nobody talks any more */
		call_workers();
		drain();
		(void)usleep(200);
	}
}

void rtp_engine_stop(void)
{
	if (!rtp_engine.running)
		return;
	rtp_mixes_close();
	if (rtp_engine.worker_count > 0)
		close_streams();
	rtp_door_close();
	rtp_recorder_stop();
	rtp_faxes_stop();
	rtp_listener_stop();
	rtp_sources_stop();
	for (uint32_t i = 0; i < rtp_engine.worker_count; i++)
		rtp_worker_stop(&rtp_engine.workers[i]);
	drain();
	rtp_kernel_stop();
	core_loop_set_last(NULL);
	rtp_sounds_fini();
	rtp_ports_free(rtp_engine.ports);
	free(rtp_engine.workers);
	free(rtp_engine.worker_streams);
	rtp_codecs_fini();
	core_handles_fini(&rtp_engine.streams);
	core_handles_fini(&rtp_engine.rooms);
	rtp_forkings_fini();
	rtp_dtls_fini();
	rtp_srtp_fini();
	rtp_engine.running = false;
}

/* ---- looking ---- */

void rtp_totals_add(struct rtp_totals *totals, const struct rtp_session *session)
{
	const struct rtp_counters *counters = &session->counters;

	totals->packets_in += rtp_read(&counters->packets_in);
	totals->packets_out += rtp_read(&counters->packets_out);
	totals->lost += rtp_read(&counters->lost);
	totals->foreign += rtp_read(&counters->foreign);
	totals->malformed += rtp_read(&counters->malformed);
	totals->forged += rtp_read(&counters->forged);
	totals->by_kernel += rtp_read(&counters->by_kernel);
	totals->in_kernel += rtp_read(&counters->in_kernel);
	totals->discarded += rtp_read(&counters->discarded);
	totals->concealed_ms += rtp_read(&counters->concealed_ms);
	totals->dropped += rtp_session_dropped(session);
	totals->unsent += rtp_read(&counters->unsent);
}

static void add_rtcp(struct rtp_totals *totals)
{
	for (uint32_t i = 0; i < rtp_engine.worker_count; i++)
		for (uint32_t type = 0; type < RTP_RTCP_TYPES; type++) {
			totals->rtcp_in[type] += rtp_read(&rtp_engine.workers[i].rtcp_in[type]);
			totals->rtcp_out[type] += rtp_read(&rtp_engine.workers[i].rtcp_out[type]);
		}
}

void rtp_engine_totals(struct rtp_totals *ret_totals)
{
	uint32_t at = 0;
	struct rtp_stream *stream;
	struct rtp_source_totals sources;

	rtp_sources_totals(&sources);
	*ret_totals = rtp_engine.gone;
	ret_totals->kernel_interfaces = rtp_kernel_interfaces();
	ret_totals->workers = rtp_engine.worker_count;
	ret_totals->sources = sources.sources;
	ret_totals->decoders = sources.running;
	ret_totals->listeners = sources.listeners;
	ret_totals->streams = core_handles_count(&rtp_engine.streams);
	rtp_forkings_add(ret_totals);
	add_rtcp(ret_totals);
	for (uint32_t i = 0; i < rtp_engine.worker_count; i++)
		ret_totals->ticks_missed += rtp_read(&rtp_engine.workers[i].ticks_missed);
	while ((stream = core_handles_next(&rtp_engine.streams, &at)))
		rtp_totals_add(ret_totals, &stream->session);
}

/* Says once that ports run low, and again only after there were plenty. */
static void watch_ports(const struct rtp_ports_count *count)
{
	bool low = count->free * LOW < count->total;

	if (low && !rtp_engine.was_low && rtp_engine.observer.ports_low)
		rtp_engine.observer.ports_low(count);
	if (low || count->free * BACK_FROM_LOW >= count->total)
		rtp_engine.was_low = low;
}

void rtp_engine_ports(struct rtp_ports_count *ret_count)
{
	rtp_ports_count(rtp_engine.ports, core_now_ms(), ret_count);
	watch_ports(ret_count);
}

double rtp_engine_take_busy(uint32_t worker)
{
	uint64_t now_us = core_now_us(), cpu_us = rtp_worker_cpu_us(&rtp_engine.workers[worker]);
	uint64_t used_us = cpu_us - cpu_us_before[worker], passed_us = now_us - asked_at_us[worker];

	cpu_us_before[worker] = cpu_us;
	asked_at_us[worker] = now_us;
	return passed_us ? (double)used_us / (double)passed_us : 0;
}

void rtp_engine_each(void (*each)(void *context, const struct rtp_stream_info *info), void *context)
{
	uint32_t at = 0;
	struct rtp_stream *stream;

	while ((stream = core_handles_next(&rtp_engine.streams, &at))) {
		struct rtp_stream_info info = { .stream = stream->id,
						.group = stream->group,
						.peer = stream->peer ? stream->peer->id : 0,
						.playing = stream->playing || stream->awaiting,
						.held = stream->held };

		if (rtp_driver.stats((core_stream){ stream->id }, &info.stats) == PBX_OK)
			each(context, &info);
	}
}

void rtp_addr_text(const struct core_addr *addr, char *ret_text, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";

	*ret_text = 0;
	if (addr->sa.sa_family == AF_INET && inet_ntop(AF_INET, &addr->in4.sin_addr, host, sizeof host))
		(void)snprintf(ret_text, size, "%s:%u", host, ntohs(addr->in4.sin_port));
	else if (addr->sa.sa_family == AF_INET6 && inet_ntop(AF_INET6, &addr->in6.sin6_addr, host, sizeof host))
		(void)snprintf(ret_text, size, "[%s]:%u", host, ntohs(addr->in6.sin6_port));
}
