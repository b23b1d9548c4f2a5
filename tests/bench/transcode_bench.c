/* tests/bench/transcode_bench.c - what a leg in one codec costs that is heard in another, beside what the codecs themselves charge
 *
 * For each pair: packets of a voice go through all that a worker does with them (session, jitter buffer, decoder, concealment's memory,
 * resampler, encoder, header), but for the system calls; and the same packets through the codecs' decode and encode with speexdsp's resampler
 * between, where rates differ, called in a bare loop. Both take turns, on a clock that moves when told; CPU is the thread's own, and of all
 * rounds the cheapest counts, for others use the machine. What the network adds is relay_bench's to tell (--pair).
 *
 * transcode_bench PLUGINS [rounds=5] [CODEC...]   prints for each pair: CPU µs of 20 ms one way and the other, bare and ours */
#include "codec_set.h"
#include <arpa/inet.h>
#include <rtp/codecs.h>
#include <rtp/ear.h>
#include <rtp/mouth.h>
#include <rtp/plan.h>
#include <rtp/worker.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define STEP_MS 10u
#define ROUND_MS 3000u
#define FIFO_SAMPLES (2 * RTP_MOST_FRAME_SAMPLES)

static const char *const usual[] = { "PCMU", "PCMA", "L16/16000", "G722", "G726-32", "GSM", "G729", "iLBC", "speex/8000", "opus", NULL };
static uint64_t sent; /* packets, since a path began */

/* The kernel's part is not measured here: packets go nowhere (the linker has sendto lead here). */
ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size);
ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size)
{
	(void)fd, (void)data, (void)flags, (void)to, (void)to_size;
	sent++;
	return (ssize_t)size;
}

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static double cpu_us(void)
{
	struct timespec used;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

/* ---- the codecs alone ---- */

struct bare {
	const struct coded *in;
	struct rtp_coder decoder, encoder;
	struct rtp_resamplers between;
	uint32_t out_samples, waiting, at;
	int16_t fifo[FIFO_SAMPLES];
};

static void bare_open(struct bare *bare, const struct coded *in, const struct coded *out)
{
	memset(bare, 0, sizeof *bare);
	bare->in = in;
	must(rtp_coder_open(&in->codec, false, 0, NULL, NULL, &bare->decoder) == PBX_OK, in->codec.name);
	must(rtp_coder_open(&out->codec, true, out->ptime_ms, NULL, NULL, &bare->encoder) == PBX_OK, out->codec.name);
	must(rtp_resamplers_open(&bare->between, bare->decoder.row.rate_hz, true, rtp_rate_bit(bare->encoder.row.rate_hz)) == PBX_OK,
	     "resampler");
	bare->out_samples = bare->encoder.row.rate_hz / 1000 * out->ptime_ms;
}

static void bare_close(struct bare *bare)
{
	rtp_coder_close(&bare->decoder);
	rtp_coder_close(&bare->encoder);
	rtp_resamplers_close(&bare->between);
}

static void bare_packet(struct bare *bare)
{
	int16_t samples[RTP_MOST_FRAME_SAMPLES];
	uint8_t payload[PBX_CODEC_MOST_BYTES];
	uint32_t at = bare->at++ % CODED_PACKETS, count = bare->decoder.row.rate_hz / 1000 * bare->in->ptime_ms;

	if (bare->in->packets[at].bytes > 0)
		(void)bare->decoder.row.decode(bare->decoder.state, bare->in->packets[at].octets, bare->in->packets[at].bytes, samples,
					       RTP_MOST_FRAME_SAMPLES);
	bare->waiting += rtp_resample(&bare->between, bare->encoder.row.rate_hz, samples, count, bare->fifo + bare->waiting,
				      FIFO_SAMPLES - bare->waiting);
	while (bare->waiting >= bare->out_samples) {
		(void)bare->encoder.row.encode(bare->encoder.state, bare->fifo, bare->out_samples, payload, sizeof payload);
		bare->waiting -= bare->out_samples;
		memmove(bare->fifo, bare->fifo + bare->out_samples, bare->waiting * sizeof *bare->fifo);
	}
}

static double bare_round(struct bare *bare)
{
	double began_us = cpu_us();

	for (uint32_t ms = 0; ms < ROUND_MS; ms += bare->in->ptime_ms)
		bare_packet(bare);
	return (cpu_us() - began_us) * 20 / ROUND_MS;
}

/* ---- the whole path ---- */

struct path {
	const struct coded *in, *out;
	struct rtp_common common;
	struct rtp_worker worker;
	struct rtp_session from, to;
	struct rtp_plan plans[2];
	struct rtp_route routes[2];
	struct core_addr addrs[2];
	uint64_t now_ms;
	uint32_t packets;
};

static void no_wake(void)
{
}

static void session_open(struct path *path, int which, struct rtp_session *session, const struct coded *coded,
			 struct core_stream_config *ret_config)
{
	path->addrs[which].in4 = (struct sockaddr_in){ .sin_family = AF_INET,
						       .sin_port = htons((uint16_t)(4000 + 2 * which)),
						       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	*ret_config = (struct core_stream_config){ .rtp = path->addrs[which],
						   .rtcp = path->addrs[which],
						   .rtcp_mux = true,
						   .direction = CORE_SEND | CORE_RECV,
						   .ptime_ms = (uint16_t)coded->ptime_ms,
						   .codec_count = 1,
						   .codecs = { coded->codec },
						   .receive_types = { coded->codec.payload_type } };
	rtp_plan_make(ret_config, RTP_NAT_AUTO, &path->plans[which]);
	session->worker = &path->worker;
	session->rtp_fd = session->rtcp_fd = -1;
	session->stream = (uint64_t)which + 1;
	session->sender.ssrc = 7;
	session->route = &path->routes[which];
	(void)rtp_session_configure(session, &path->plans[which]);
}

static void path_open(struct path *path, const struct coded *in, const struct coded *out)
{
	struct core_stream_config configs[2];
	uint32_t rates;

	memset(path, 0, sizeof *path);
	path->in = in;
	path->out = out;
	path->common.wake = no_wake;
	rtp_queue_init(&path->common.returns);
	path->worker.common = &path->common;
	path->worker.epoll_fd = path->worker.command_fd = path->worker.timer_fd = path->worker.road_fd = -1;
	path->now_ms = 1000;
	session_open(path, 0, &path->from, in, &configs[0]);
	session_open(path, 1, &path->to, out, &configs[1]);
	path->from.peer = &path->to;
	path->to.peer = &path->from;
	rtp_route_make(&configs[0], &configs[1], &path->routes[0]);
	rtp_route_make(&configs[1], &configs[0], &path->routes[1]);
	rates = rtp_codecs_rates(configs[0].codecs, 1);
	must(rtp_ear_new(&configs[0], 0, NULL, NULL, &path->from.ear) == PBX_OK, "ear");
	must(rtp_mouth_new(&configs[1], 0, out->ptime_ms, rates, NULL, NULL, &path->to.mouth) == PBX_OK, "mouth");
}

static void path_close(struct path *path)
{
	rtp_ear_free(path->from.ear);
	rtp_mouth_free(path->to.mouth);
}

static void path_hear(struct path *path)
{
	const struct coded *in = path->in;
	uint32_t at = path->packets % CODED_PACKETS, timestamp_be = htonl(path->packets * in->ticks), ssrc_be = htonl(9);
	uint16_t sequence_be = htons((uint16_t)path->packets);
	uint8_t *data = path->worker.data;

	path->packets++;
	if (in->packets[at].bytes == 0)
		return;
	data[0] = 0x80;
	data[1] = in->codec.payload_type;
	memcpy(data + 2, &sequence_be, 2);
	memcpy(data + 4, &timestamp_be, 4);
	memcpy(data + 8, &ssrc_be, 4);
	memcpy(data + RTP_HEADER_BYTES, in->packets[at].octets, in->packets[at].bytes);
	rtp_session_take(&path->from, false, data, RTP_HEADER_BYTES + in->packets[at].bytes, &path->addrs[0]);
}

static double path_round(struct path *path)
{
	double began_us = cpu_us();

	sent = 0;
	for (uint32_t ms = 0; ms < ROUND_MS; ms += STEP_MS) {
		path->now_ms += STEP_MS;
		path->worker.now_ms = path->now_ms;
		path->worker.now_us = path->now_ms * 1000;
		if (ms % path->in->ptime_ms == 0)
			path_hear(path);
		if (ms % path->out->ptime_ms == 0)
			(void)rtp_player_step(&path->to);
	}
	double used_us = (cpu_us() - began_us) * 20 / ROUND_MS;

	must(sent > 0, "nothing was sent");
	return used_us;
}

/* ---- pairs ---- */

struct cost {
	double bare_us, path_us;
};

static struct cost measure(const struct coded *in, const struct coded *out, int rounds)
{
	static struct bare bare;
	static struct path path;
	struct cost cost = { 1e9, 1e9 };

	bare_open(&bare, in, out);
	path_open(&path, in, out);
	(void)bare_round(&bare);
	(void)path_round(&path);
	for (int i = 0; i < rounds; i++) {
		double bare_us = bare_round(&bare), path_us = path_round(&path);

		cost.bare_us = bare_us < cost.bare_us ? bare_us : cost.bare_us;
		cost.path_us = path_us < cost.path_us ? path_us : cost.path_us;
	}
	bare_close(&bare);
	path_close(&path);
	return cost;
}

int main(int argc, char **argv)
{
	static struct coded coded[RTP_MOST_CODECS];
	const char *const *names = argc > 3 ? (const char *const *)argv + 3 : usual;
	int count = 0, rounds = argc > 2 ? atoi(argv[2]) : 5;

	must(argc > 1 && rounds > 0, "usage: transcode_bench PLUGINS [rounds=5] [CODEC...]");
	rtp_g711_init();
	codec_set_load(argv[1]);
	for (; names[count] && count < (int)RTP_MOST_CODECS; count++) {
		struct core_codec codec = codec_set_find(names[count]);

		coded_make(&coded[count], &codec);
	}
	for (int a = 0; a < count; a++)
		for (int b = a + 1; b < count; b++) {
			struct cost there = measure(&coded[a], &coded[b], rounds), back = measure(&coded[b], &coded[a], rounds);

			printf("pair %s %s bare_us %.2f ours_us %.2f bare_back_us %.2f ours_back_us %.2f\n", names[a], names[b],
			       there.bare_us, there.path_us, back.bare_us, back.path_us);
			(void)fflush(stdout);
		}
	rtp_codecs_fini();
	return 0;
}
