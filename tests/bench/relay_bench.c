/* tests/bench/relay_bench.c - what one of our workers charges for relaying a packet
 *
 * The counterpart of a bare epoll loop over the same sockets, packets and pace: M streams, connected in pairs on one worker; one 172-byte
 * packet to each every 20 ms, spread over the frame. Prints the CPU time of the worker for each packet it relayed, its memory for each
 * bridged call, and with --play the same for a player's packets instead.
 *
 * --floor measures the bare loop instead: the same sockets, packets and pace through epoll, recvfrom and sendto. The quotient of the two is
 * what counts.
 *
 * relay_bench [streams=1000] [seconds=5] [first_port=30000] [--play | --floor] */
#include "floor.h"
#include <arpa/inet.h>
#include <core/loop.h>
#include <rtp/engine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PACKET = 172, BATCH = 64, SLICES = 20 };

static int count = 1000, seconds = 5;
static uint16_t first_port = 30000;
static bool play, bare;
static core_stream *streams;
static struct core_addr *addresses;
static struct mmsghdr *messages;
static uint8_t (*packets)[PACKET];
static struct iovec *vectors;

/* The driver tells call control; here nobody controls a call. */
void core_media_on_play_done(core_stream stream, uint64_t tag, uint32_t how)
{
	(void)stream, (void)tag, (void)how;
}

void core_media_on_digit(core_stream stream, char digit, uint32_t duration_ms)
{
	(void)stream, (void)digit, (void)duration_ms;
}

void core_media_on_silence(core_stream stream, uint32_t for_ms)
{
	(void)stream, (void)for_ms;
}

void core_media_on_first_packet(core_stream stream)
{
	(void)stream;
}

void core_media_on_source_changed(core_stream stream, const struct core_addr *remote)
{
	(void)stream, (void)remote;
}

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	perror(what);
	exit(1);
}

static long resident_kib(void)
{
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	must(file && fscanf(file, "%*d %ld", &pages) == 1, "statm");
	(void)fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Sends every stream's packets and is the far end of all of them; what comes back overflows, cheaply. */
static int generator(struct core_addr *ret_addr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), small = 4096;
	socklen_t size = sizeof *ret_addr;

	ret_addr->in4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	must(fd >= 0 && bind(fd, &ret_addr->sa, sizeof ret_addr->in4) == 0 && getsockname(fd, &ret_addr->sa, &size) == 0, "generator");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	return fd;
}

static void open_streams(const struct core_addr *far)
{
	struct core_stream_config config = { .rtp = *far,
					     .direction = CORE_SEND | CORE_RECV,
					     .codec_count = 1,
					     .ptime_ms = 20,
					     .codecs = { { .name = "PCMU", .clock_hz = 8000, .channels = 1 } } };

	for (int i = 0; i < count; i++) {
		must(rtp_driver.open((uint64_t)i / 2, AF_INET, &streams[i], &addresses[i]) == PBX_OK, "open");
		must(rtp_driver.configure(streams[i], &config) == PBX_OK, "configure");
		if (!play && i % 2)
			must(rtp_driver.connect(streams[i - 1], streams[i]) == PBX_OK, "connect");
		if (play)
			must(rtp_driver.play(streams[i], &(struct core_play){ .kind = CORE_PLAY_TONE, .text = "dial" }) == PBX_OK, "play");
	}
	core_loop_settle();
}

static void prepare_packets(void)
{
	for (int i = 0; i < count; i++) {
		memset(packets[i], 0xff, PACKET);
		memcpy(packets[i], "\x80\x00\x00\x00\x00\x00\x00\x00", 8);
		memcpy(packets[i] + 8, &i, sizeof i);
		vectors[i] = (struct iovec){ packets[i], PACKET };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &addresses[i].in4, .msg_namelen = sizeof addresses[i].in4, .msg_iov = &vectors[i], .msg_iovlen = 1
		};
	}
}

static void send_slice(int fd, long slice)
{
	long from = (long)count * (slice % SLICES) / SLICES, upto = (long)count * (slice % SLICES + 1) / SLICES;

	for (long i = from; i < upto; i++) {
		uint16_t sequence_be = htons((uint16_t)(slice / SLICES));
		uint32_t timestamp_be = htonl((uint32_t)(slice / SLICES * 160));

		memcpy(packets[i] + 2, &sequence_be, 2);
		memcpy(packets[i] + 4, &timestamp_be, 4);
	}
	while (from < upto) {
		int sent = sendmmsg(fd, messages + from, (unsigned)(upto - from < BATCH ? upto - from : BATCH), 0);

		from += sent > 0 ? sent : 1;
	}
}

static void run(int fd)
{
	struct timespec next;

	(void)clock_gettime(CLOCK_MONOTONIC, &next);
	for (long slice = 0; slice < 50L * SLICES * seconds; slice++) {
		if (!play)
			send_slice(fd, slice);
		next.tv_nsec += 20000000 / SLICES;
		if (next.tv_nsec >= 1000000000)
			next.tv_nsec -= 1000000000, next.tv_sec++;
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	(void)usleep(200000);
}

static void report(double busy, long before_kib, long after_kib)
{
	struct rtp_totals totals;
	double cpu_us;

	rtp_engine_totals(&totals);
	cpu_us = busy * (seconds + 0.2) * 1e6;
	printf("streams %d in %llu out %llu foreign %llu cpu_us_per_packet %.2f kib_per_call %.1f\n", count,
	       (unsigned long long)totals.packets_in, (unsigned long long)totals.packets_out, (unsigned long long)totals.foreign,
	       cpu_us / (double)totals.packets_out, (double)(after_kib - before_kib) * 2 / count);
}

static void allocate(void)
{
	size_t many = (size_t)count;

	streams = calloc(many, sizeof *streams);
	addresses = calloc(many, sizeof *addresses);
	messages = calloc(many, sizeof *messages);
	packets = calloc(many, sizeof *packets);
	vectors = calloc(many, sizeof *vectors);
	must(streams && addresses && messages && packets && vectors, "memory");
}

static int measure_floor(const struct core_addr *far, int fd)
{
	unsigned long long passed;

	floor_start(count, far, addresses);
	prepare_packets();
	run(fd);
	double used_s = floor_stop(&passed);
	printf("streams %d out %llu cpu_us_per_packet %.2f\n", count, passed, used_s * 1e6 / (double)passed);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct rtp_observer nobody;
	struct core_addr far = { 0 };
	struct rlimit files;

	play = argc > 1 && strcmp(argv[argc - 1], "--play") == 0;
	bare = argc > 1 && strcmp(argv[argc - 1], "--floor") == 0;
	argc -= play || bare;
	count = argc > 1 ? atoi(argv[1]) & ~1 : count;
	seconds = argc > 2 ? atoi(argv[2]) : seconds;
	first_port = argc > 3 ? (uint16_t)atoi(argv[3]) : first_port;
	must(count >= 2 && seconds >= 1, "usage: relay_bench [streams] [seconds] [first_port] [--play]");
	(void)getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	allocate();
	if (bare) {
		int bare_fd = generator(&far);

		return measure_floor(&far, bare_fd);
	}

	struct rtp_settings settings = { .bind = "127.0.0.1",
					 .external_ip = "",
					 .bind6 = "::1",
					 .external_ip6 = "",
					 .port_min = first_port,
					 .port_max = (uint32_t)first_port + 2u * (uint32_t)count + 64,
					 .workers = 1,
					 .nat = "auto",
					 .dscp = 46,
					 .country = "us" };

	must(core_loop_init(false) == PBX_OK && rtp_engine_start(&settings, &nobody, NULL) == PBX_OK, "engine");
	long before_kib = resident_kib();
	int fd = generator(&far);

	open_streams(&far);
	prepare_packets();
	long after_kib = resident_kib();

	(void)rtp_engine_take_busy(0);
	run(fd);
	report(rtp_engine_take_busy(0), before_kib, after_kib);
	for (int i = 0; i < count; i++)
		(void)rtp_driver.close(streams[i]);
	core_loop_settle();
	rtp_engine_stop();
	core_loop_fini();
	return 0;
}
