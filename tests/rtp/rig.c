/* tests/rtp/rig.c - see rig.h. Call control's side of the driver is the test itself. */
#include "rig.h"

#include <arpa/inet.h>
#include <core/host.h>
#include <math.h>
#include <poll.h>
#include <rtp/level.h>
#include <rtp/engine_inner.h>
#include <rtp/g711.h>
#include <rtp/source.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rtp_settings rig_settings = { .bind = "127.0.0.1",
				     .external_ip = "",
				     .bind6 = "::1",
				     .external_ip6 = "",
				     .workers = 2,
				     .nat = "auto",
				     .dscp = 46,
				     .ice = "full",
				     .consent_s = 25,
				     .ice_tcp_connections = 100,
				     .ice_tcp_per_address = 100,
				     .country = "us",
				     .transcode = "auto",
				     .jitter_buffer = { .enabled = true,
							.adaptive = true,
							.initial_length_ms = 50,
							.min_length_ms = 20,
							.max_length_ms = 200,
							.max_drift_ms = 30 },
				     .prefer = "remote" };
struct rig_heard rig_heard;

/* ---- what call control would hear ---- */

void core_media_on_play_done(core_stream stream, uint64_t tag, uint32_t how)
{
	ck_assert_uint_ne(stream.id, 0);
	rig_heard.plays++;
	rig_heard.tag = tag;
	rig_heard.how = how;
}

void core_media_on_digit(core_stream stream, char digit, uint32_t duration_ms, uint32_t way)
{
	size_t length = strlen(rig_heard.digits);

	ck_assert_uint_ne(stream.id, 0);
	ck_assert_uint_lt(length + 1, sizeof rig_heard.digits);
	rig_heard.digits[length] = digit;
	rig_heard.duration_ms = duration_ms;
	rig_heard.way = way;
}

void core_media_on_key_down(core_stream stream, char digit, uint32_t way)
{
	ck_assert_uint_ne(stream.id, 0);
	ck_assert_int_lt(rig_heard.keys_down + 1, (int)sizeof rig_heard.downs);
	rig_heard.downs[rig_heard.keys_down++] = digit;
	rig_heard.down_way = way;
}

void core_media_on_silence(core_stream stream, uint32_t for_ms)
{
	ck_assert_uint_ne(stream.id, 0);
	rig_heard.silences++;
	rig_heard.silent_ms = for_ms;
}

void core_media_on_first_packet(core_stream stream)
{
	ck_assert_uint_ne(stream.id, 0);
	rig_heard.first_packets++;
}

void core_media_on_mix_speaker(core_stream stream)
{
	ck_assert_uint_ne(stream.id, 0);
	rig_heard.speakers++;
	rig_heard.speaker = stream;
}

void core_media_on_mix_talking(core_stream stream, bool on)
{
	ck_assert_uint_ne(stream.id, 0);
	rig_heard.talking += on ? 1 : -1;
}

void core_media_on_mix_played(core_mix mix, uint64_t tag, uint32_t how)
{
	ck_assert_uint_ne(mix.id, 0);
	rig_heard.plays++;
	rig_heard.tag = tag;
	rig_heard.how = how;
}

void core_media_on_source_changed(core_stream stream, const struct core_addr *remote)
{
	ck_assert_uint_ne(stream.id, 0);
	rig_heard.sources++;
	rig_heard.source = *remote;
}

void core_media_on_failed(core_stream stream, uint32_t why)
{
	ck_assert_uint_ne(stream.id, 0);
	rig_heard.failures++;
	rig_heard.why = why;
}

void core_media_on_codec_failed(core_stream stream, const struct core_codec *codec, bool encodes)
{
	ck_assert_uint_ne(stream.id, 0);
	rig_heard.codecs_failed++;
	rig_heard.failed_encodes = encodes;
	memcpy(rig_heard.failed_codec, codec->name, sizeof rig_heard.failed_codec);
}

static void on_ports_low(const struct rtp_ports_count *count)
{
	ck_assert_uint_lt(count->free, count->total);
	rig_heard.ports_low++;
}

/* ---- what the plugin host would say ---- */

const struct pbx_codecs *rig_codecs;

void core_host_each_provider(const char *id, uint32_t size, void (*each)(void *context, struct pbx_host *owner, const void *table),
			     void *context)
{
	ck_assert_str_eq(id, "pbx.codec/1");
	ck_assert_uint_eq(size, sizeof *rig_codecs);
	if (rig_codecs)
		each(context, NULL, rig_codecs);
}

uint64_t core_host_offers(void)
{
	return 1;
}

/* ---- the engine ---- */

uint64_t rig_now_ms(void)
{
	return core_now_us() / 1000;
}

static uint64_t last_round_ms, stood_still_ms;

static void note_round(void)
{
	uint64_t now_ms = rig_now_ms();

	if (last_round_ms && now_ms - last_round_ms > stood_still_ms)
		stood_still_ms = now_ms - last_round_ms;
	last_round_ms = now_ms;
}

uint64_t rig_stood_still_ms(void)
{
	note_round();
	return stood_still_ms;
}

bool rig_must_measure_again(void)
{
	static unsigned times;

	times = rig_stood_still_ms() > 60 ? times + 1 : 0;
	return times % 20;
}

void rig_round(void)
{
	struct pollfd fd = { .fd = uv_backend_fd(core_loop_uv()), .events = POLLIN };

	(void)poll(&fd, 1, 1);
	core_loop_step();
	note_round();
}

/* A range of its own for each process, so that tests may run side by side, and none of those that tests/e2e/ports.py hands out; a port that is taken is
 * passed over by the engine. */
static void choose_ports(void)
{
	if (rig_settings.port_max != 0)
		return;
	rig_settings.port_min = 40000 + (uint32_t)getpid() % 200 * 100;
	rig_settings.port_max = rig_settings.port_min + 100;
}

void rig_start(void)
{
	static const struct rtp_observer observer = { .ports_low = on_ports_low };
	struct pbx_diag diag = { 0 };

	choose_ports();
	memset(&rig_heard, 0, sizeof rig_heard);
	ck_assert_int_eq(core_loop_init(false), PBX_OK);
	ck_assert_msg(rtp_engine_start(&rig_settings, &observer, &diag) == PBX_OK, "%s: %s", diag.field, diag.text);
	core_loop_settle(); /* a program for the kernel is loaded in the pool */
	last_round_ms = stood_still_ms = 0;
}

void rig_stop(void)
{
	struct rtp_ports_count ports;
	struct rtp_totals totals;

	core_loop_settle();
	rtp_engine_ports(&ports);
	rtp_engine_totals(&totals);
	ck_assert_uint_eq(ports.used, 0);
	ck_assert_uint_eq(totals.streams, 0);
	ck_assert_uint_eq(totals.sources, 0);
	ck_assert_uint_eq(totals.listeners, 0);
	rtp_engine_stop();
	core_loop_fini();
}

struct core_stream_stats rig_stats(core_stream stream)
{
	struct core_stream_stats stats;

	ck_assert_int_eq(rtp_driver.stats(stream, &stats), PBX_OK);
	return stats;
}

void rig_play(core_stream stream, uint32_t kind, const char *text, uint64_t tag)
{
	const struct core_play play = { .kind = kind, .text = text, .tag = tag, .prompts = &text, .prompt_count = 1 };

	ck_assert_int_eq(rtp_driver.play(stream, &play), PBX_OK);
}

void rig_obeyed(uint64_t group)
{
	core_stream last;
	struct core_addr local;

	ck_assert_int_eq(rtp_driver.open(group, AF_INET, &last, &local), PBX_OK);
	ck_assert_int_eq(rtp_driver.close(last), PBX_OK);
	rig_until(rtp_engine.closing == 0); /* commands are done in order, and a CLOSE comes back */
}

/* ---- phones ---- */

static int socket_on(int family, uint16_t port, struct core_addr *ret_addr)
{
	socklen_t size = sizeof *ret_addr;
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	ck_assert_int_ge(fd, 0);
	*ret_addr = (struct core_addr){ 0 };
	if (family == AF_INET)
		ret_addr->in4 =
			(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	else
		ret_addr->in6 =
			(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	if (bind(fd, &ret_addr->sa, rtp_addr_size(ret_addr)) == 0 && getsockname(fd, &ret_addr->sa, &size) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

void phone_init(struct phone *phone, int family)
{
	*phone = (struct phone){
		.rtp_fd = -1, .rtcp_fd = -1, .ssrc = (uint32_t)random(), .timestamp = (uint32_t)random(), .sequence = (uint16_t)random()
	};
	while (phone->rtcp_fd < 0) {
		if (phone->rtp_fd >= 0)
			(void)close(phone->rtp_fd);
		phone->rtp_fd = socket_on(family, 0, &phone->rtp);
		phone->rtcp_fd = socket_on(family, (uint16_t)(ntohs(phone->rtp.in4.sin_port) + 1), &phone->rtcp);
	}
}

void phone_fini(struct phone *phone)
{
	if (phone->stream.id)
		ck_assert_int_eq(rtp_driver.close(phone->stream), PBX_OK);
	(void)close(phone->rtp_fd);
	(void)close(phone->rtcp_fd);
}

static uint8_t static_type(const char *name)
{
	return strcmp(name, "PCMU") == 0   ? 0
	       : strcmp(name, "PCMA") == 0 ? 8
	       : strcmp(name, "G722") == 0 ? 9
	       : strcmp(name, "L16") == 0  ? 117
	       : strcmp(name, "CN") == 0   ? 13
					   : 98;
}

void phone_config(const struct phone *phone, const char *codecs, struct core_stream_config *ret_config)
{
	char text[100], *rest = text, *name;

	(void)snprintf(text, sizeof text, "%s", codecs);
	*ret_config = (struct core_stream_config){ .rtp = phone->rtp,
						   .rtcp = phone->rtcp,
						   .direction = CORE_SEND | CORE_RECV,
						   .dtmf_type = 101,
						   .dtmf_receive_type = 101,
						   .ptime_ms = 20,
						   .renegotiated = true };
	while ((name = strsep(&rest, " "))) {
		struct core_codec *codec = &ret_config->codecs[ret_config->codec_count];

		*codec = (struct core_codec){ .clock_hz = strcmp(name, "L16") == 0 ? 16000 : 8000,
					      .channels = 1,
					      .payload_type = static_type(name) };
		(void)snprintf(codec->name, sizeof codec->name, "%s", name);
		ret_config->receive_types[ret_config->codec_count++] = codec->payload_type;
	}
}

void phone_call(struct phone *phone, uint64_t group, const char *codecs)
{
	struct core_stream_config config;

	ck_assert_int_eq(rtp_driver.open(group, phone->rtp.sa.sa_family, &phone->stream, &phone->pbx), PBX_OK);
	phone_config(phone, codecs, &config);
	phone->type = config.codecs[0].payload_type;
	ck_assert_int_eq(rtp_driver.configure(phone->stream, &config), PBX_OK);
	core_loop_settle();
}

void phone_send_raw(const struct phone *phone, const void *data, size_t size)
{
	ck_assert_int_eq(sendto(phone->rtp_fd, data, size, 0, &phone->pbx.sa, rtp_addr_size(&phone->pbx)), (ssize_t)size);
}

void phone_send_type(struct phone *phone, uint8_t type, bool marker, const void *payload, size_t bytes)
{
	uint8_t packet[1600] = { 0x80, (uint8_t)(type | (marker ? 0x80 : 0)) };
	uint16_t sequence_be = htons(phone->sequence++);
	uint32_t timestamp_be = htonl(phone->timestamp), ssrc_be = htonl(phone->ssrc);

	memcpy(packet + 2, &sequence_be, 2);
	memcpy(packet + 4, &timestamp_be, 4);
	memcpy(packet + 8, &ssrc_be, 4);
	memcpy(packet + 12, payload, bytes);
	phone_send_raw(phone, packet, bytes + 12);
}

void phone_send(struct phone *phone, const void *payload, size_t bytes)
{
	phone_send_type(phone, phone->type, false, payload, bytes);
	phone->timestamp += (uint32_t)bytes;
}

void phone_say(struct phone *phone, uint8_t filled_with)
{
	uint8_t payload[160];

	memset(payload, filled_with, sizeof payload);
	phone_send(phone, payload, sizeof payload);
}

static bool take_packet(const struct phone *phone, struct heard_packet *ret_packet)
{
	uint8_t data[1600];
	ssize_t size = recv(phone->rtp_fd, data, sizeof data, 0);
	struct rtp_packet packet;

	if (size < 0)
		return false;
	ck_assert(rtp_packet_parse(data, (size_t)size, &packet));
	*ret_packet = (struct heard_packet){ .type = packet.type,
					     .marker = packet.marker,
					     .level = rtp_level_read(data, phone->level_id),
					     .sequence = packet.sequence,
					     .timestamp = packet.timestamp,
					     .ssrc = packet.ssrc,
					     .bytes = packet.payload_bytes,
					     .at_us = core_now_us() };
	memcpy(ret_packet->payload, packet.payload, packet.payload_bytes);
	return true;
}

bool phone_hear(const struct phone *phone, struct heard_packet *ret_packet, int timeout_ms)
{
	uint64_t until_ms = rig_now_ms() + (uint64_t)timeout_ms;

	while (!take_packet(phone, ret_packet)) {
		struct pollfd fds[] = { { .fd = phone->rtp_fd, .events = POLLIN },
					{ .fd = uv_backend_fd(core_loop_uv()), .events = POLLIN } };

		if (rig_now_ms() >= until_ms)
			return false;
		(void)poll(fds, 2, 5);
		core_loop_step();
		note_round();
	}
	return true;
}

struct heard_packet phone_must_hear(const struct phone *phone)
{
	struct heard_packet packet;

	ck_assert_msg(phone_hear(phone, &packet, 30000), "nothing was heard");
	return packet;
}

int phone_forget(const struct phone *phone)
{
	struct heard_packet packet;
	int count = 0;

	while (take_packet(phone, &packet))
		count++;
	return count;
}

void rig_call(struct phone *alice, const char *alice_codecs, struct phone *bob, const char *bob_codecs)
{
	rig_start();
	phone_init(alice, AF_INET);
	phone_init(bob, AF_INET);
	phone_call(alice, 1, alice_codecs);
	phone_call(bob, 1, bob_codecs);
	ck_assert_int_eq(rtp_driver.connect(alice->stream, bob->stream), PBX_OK);
	core_loop_settle();
}

void rig_hang_up(struct phone *alice, struct phone *bob)
{
	phone_fini(alice);
	phone_fini(bob);
	rig_stop();
}

/* ---- ears ---- */

double share_of(const int16_t *samples, size_t count, double hz)
{
	double turn = 2 * cos(2 * M_PI * hz / 8000), before = 0, last = 0, all = 0;

	for (size_t i = 0; i < count; i++) {
		double now = samples[i] + turn * last - before;

		before = last;
		last = now;
		all += (double)samples[i] * samples[i];
	}
	double power = last * last + before * before - turn * last * before;

	return all > 0 ? power * 2 / ((double)count * all) : 0;
}

double level_dbfs(const int16_t *samples, size_t count)
{
	double all = 0;

	for (size_t i = 0; i < count; i++)
		all += (double)samples[i] * samples[i];
	return 10 * log10(2 * all / (double)count / (32768.0 * 32768.0) + 1e-12);
}

void phone_record(const struct phone *phone, uint32_t law, int16_t *ret_samples, size_t count)
{
	struct heard_packet packet;

	for (size_t done = 0; done < count;) {
		ck_assert_msg(phone_hear(phone, &packet, 30000), "silence after %zu samples", done);
		for (size_t i = 0; i < packet.bytes && done < count; i++)
			ret_samples[done++] = rtp_g711_decode(law, packet.payload[i]);
	}
}

void make_wav(char ret_path[64], double hz, int rate_hz, int channels, double seconds)
{
	SF_INFO info = { .samplerate = rate_hz, .channels = channels, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16 };

	(void)snprintf(ret_path, 64, "/tmp/rtp-test-XXXXXX.wav");
	int fd = mkstemps(ret_path, 4);
	SNDFILE *file = sf_open_fd(fd, SFM_WRITE, &info, 1);

	ck_assert_ptr_nonnull(file);
	for (long at = 0; at < lround(seconds * rate_hz); at++) {
		int16_t frame[2];

		frame[0] = frame[1] = (int16_t)lrint(8000 * sin(2 * M_PI * hz * (double)at / rate_hz));
		ck_assert_int_eq(sf_writef_short(file, frame, 1), 1);
	}
	ck_assert_int_eq(sf_close(file), 0);
}
