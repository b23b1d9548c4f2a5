/* tests/bench/relay_bench.c - what one of our workers charges for relaying a packet
 *
 * The counterpart of a bare epoll loop over the same sockets, packets and pace: M streams, connected in pairs on one worker; one 172-byte
 * packet to each every 20 ms, spread over the frame as phones are that know nothing of each other (--slices 20: in handfuls, one each ms). Prints the CPU time of the worker for each packet it relayed, its memory for each
 * bridged call, and with --play the same for a player's packets instead.
 *
 * --floor measures the bare loop instead: the same sockets, packets and pace through epoll, recvfrom and sendto. The quotient of the two is
 * what counts.
 *
 * With --wire ROOM the packets come over a wire from another network namespace (ROOM, the path of one) and leave by a second wire, as kernel.py
 * lays them; one stream of each pair is sent to. Then --kernel has the kernel relay them, and --nothing only sends. What counts there is
 * total_us, the CPU time of the whole process: the kernel's work for a packet is done on the account of whoever sent it.
 *
 * relay_bench [streams=1000] [seconds=5] [first_port=30000] [--wire ROOM] [--delay] [--slices 200] [--from PORT --to FILE]
 *             [--play | --floor | --kernel | --nothing | --srtp | --mix | --fork | --tcp | --pair A,B --plugins FOLDER]
 *
 * --delay tells how long packets take until they are back, with --nothing without anybody between. --to sends to the addresses in a file
 * ("address port" a line) of somebody else's relay, --from that port. --srtp measures ciphers instead. --mix: all streams
 * are in one room in which three speak; a packet out is then a party for 20 ms. --fork: what each says is sent on to a recorder, too (a packet out is
 * then one relayed and one sent on). --tcp: one of each pair comes by ICE over TCP. --pair A,B --plugins FOLDER: the two of each pair speak different
 * codecs, and are transcoded. */
#include "by_tcp.h"
#include "codec_set.h"
#include "delay.h"
#include "floor.h"
#include "guard.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <core/loop.h>
#include <core/owner.h>
#include <rtp/engine.h>
#include <rtp/g711.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define HALL_0 "10.77.0.1" /* kernel.py lays the wires */
#define ROOM_0 "10.77.0.2"
#define ROOM_1 "10.77.1.2"

enum { SPEAKERS = 3, PACKET = 172, MOST_PACKET = 12 + CODED_MOST_BYTES, BATCH = 64, ESTABLISHED_S = 2 };

static int count = 1000, seconds = 5;
static long slices = 200; /* of 20 ms: what is sent at once is a slice's share of the streams */
static uint16_t first_port = 30000;
static bool play, mix, bare, kernel, nothing, delay, srtp, fork_all, by_tcp;
static uint16_t from_port;
static uint32_t workers = 1;
static double took_s;
static const char *to_file, *plugins, *pair_names;
static struct coded pair[2]; /* ptime_ms 0: all speak PCMU */
static const char *room;     /* NULL: on the loopback */
static core_stream *streams;
static struct core_addr *addresses;
static struct mmsghdr *messages;
static uint8_t (*packets)[MOST_PACKET];
static struct iovec *vectors;

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

/* The namespace that we were in; -1: there is no other. */
static int enter_room(void)
{
	if (!room)
		return -1;
	int hall = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd = open(room, O_RDONLY | O_CLOEXEC);

	must(hall >= 0 && fd >= 0 && setns(fd, CLONE_NEWNET) == 0, room);
	(void)close(fd);
	return hall;
}

static void leave_room(int hall)
{
	if (hall < 0)
		return;
	must(setns(hall, CLONE_NEWNET) == 0, "hall");
	(void)close(hall);
}

/* What is relayed goes to the second wire, where it is dropped at once. */
static struct core_addr other_end(const struct core_addr *far)
{
	struct core_addr addr = *far;

	if (room)
		addr.in4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(ROOM_1), .sin_port = htons(9) };
	return addr;
}

/* Sends every stream's packets and is the far end of all of them; what comes back overflows, cheaply. */
static int generator(struct core_addr *ret_addr)
{
	int hall = enter_room(), fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), small = 4096;
	socklen_t size = sizeof *ret_addr;

	leave_room(hall);
	ret_addr->in4 = (struct sockaddr_in){ .sin_family = AF_INET,
					      .sin_addr.s_addr = inet_addr(room ? ROOM_0 : "127.0.0.1"),
					      .sin_port = htons(from_port) };
	must(fd >= 0 && bind(fd, &ret_addr->sa, sizeof ret_addr->in4) == 0 && getsockname(fd, &ret_addr->sa, &size) == 0, "generator");
	if (!delay)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	return fd;
}

static void fork_stream(core_stream stream, const struct core_addr *to)
{
	const struct pbx_fork_spec spec = { .size = sizeof spec, .what = PBX_FORK_SAYS, .cname = "" };
	const struct pbx_fork_watcher nobody = { .size = sizeof nobody };
	char address[INET_ADDRSTRLEN];
	const struct pbx_fork_target target = { .size = sizeof target,
						.address = inet_ntop(AF_INET, &to->in4.sin_addr, address, sizeof address),
						.rtp_port = ntohs(to->in4.sin_port) };
	pbx_fork fork;

	must(rtp_driver.fork_open(core_self(), stream, (pbx_leg){ 0 }, &spec, &nobody, NULL, &fork) == PBX_OK, "fork");
	must(rtp_driver.fork_aim(fork, &target) == PBX_OK, "aim");
}

static void open_streams(const struct core_addr *far)
{
	struct core_stream_config config = { .rtp = *far,
					     .direction = CORE_SEND | CORE_RECV,
					     .codec_count = 1,
					     .ptime_ms = 20,
					     .codecs = { { .name = "PCMU", .clock_hz = 8000, .channels = 1 } } };

	const struct core_addr other = other_end(far);
	core_mix conference;

	if (mix)
		must(rtp_driver.mix_open(1, true, &conference) == PBX_OK, "mix");
	for (int i = 0; i < count; i++) {
		config.rtp = i % 2 ? other : *far;
		if (pair[0].ptime_ms)
			config.codecs[0] = pair[i % 2].codec;
		config.receive_types[0] = config.codecs[0].payload_type;
		must(rtp_driver.open((uint64_t)i / 2, AF_INET, &streams[i], &addresses[i]) == PBX_OK, "open");
		if (room)
			addresses[i].in4.sin_addr.s_addr = inet_addr(HALL_0);
		if (by_tcp && i % 2 == 0) {
			struct core_stream_config connected = config;

			by_tcp_configure(i, streams[i], &connected);
			must(rtp_driver.configure(streams[i], &connected) == PBX_OK, "configure");
		} else {
			must(rtp_driver.configure(streams[i], &config) == PBX_OK, "configure");
		}
		if (mix)
			must(rtp_driver.mix_enter(conference, streams[i], &(struct core_mix_part){ .talks = true, .hears = true }) ==
				     PBX_OK,
			     "mix");
		else if (!play && i % 2)
			must(rtp_driver.connect(streams[i - 1], streams[i]) == PBX_OK, "connect");
		if (play)
			must(rtp_driver.play(streams[i], &(struct core_play){ .kind = CORE_PLAY_TONE, .text = "dial" }) == PBX_OK, "play");
		if (fork_all)
			fork_stream(streams[i], far);
	}
	core_loop_settle();
	if (by_tcp)
		by_tcp_connect();
}

static void prepare_packets(void)
{
	if (room) { /* every second stream: the other is where it goes */
		count /= 2;
		for (int i = 1; i < count; i++)
			addresses[i] = addresses[2 * i];
	}
	for (int i = 0; i < count; i++) {
		memset(packets[i], 0xff, PACKET);
		if (mix && i < SPEAKERS) /* a square wave; the others are silent */
			for (int at = 12; at < PACKET; at++)
				packets[i][at] = at / (4 + i) % 2 ? 0x9f : 0x1f;
		memcpy(packets[i], "\x80\x00\x00\x00\x00\x00\x00\x00", 8);
		memcpy(packets[i] + 8, &i, sizeof i);
		vectors[i] = (struct iovec){ packets[i], PACKET };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &addresses[i].in4, .msg_namelen = sizeof addresses[i].in4, .msg_iov = &vectors[i], .msg_iovlen = 1
		};
	}
}

/* The next of its codec. */
static void fill_coded(long i, uint16_t sequence)
{
	const struct coded *coded = &pair[i % 2];
	uint32_t at = sequence % CODED_PACKETS;

	packets[i][1] = coded->codec.payload_type;
	memcpy(packets[i] + 12, coded->packets[at].octets, coded->packets[at].bytes);
	vectors[i].iov_len = 12 + coded->packets[at].bytes;
}

static void send_slice(int fd, long slice)
{
	static uint16_t sequence;
	long from = (long)count * (slice % slices) / slices, upto = (long)count * (slice % slices + 1) / slices;

	for (long i = from; i < upto; i++) {
		uint16_t sequence_be = htons(sequence);
		uint32_t timestamp_be = htonl(sequence * (pair[0].ptime_ms ? pair[i % 2].ticks : 160u));

		if (pair[0].ptime_ms)
			fill_coded(i, sequence);
		memcpy(packets[i] + 2, &sequence_be, 2);
		memcpy(packets[i] + 4, &timestamp_be, 4);
		if (delay)
			delay_stamp(packets[i]);
	}
	sequence = (uint16_t)(sequence + (slice % slices == slices - 1));
	for (; by_tcp && from < upto; from++) {
		if (from % 2 == 0)
			by_tcp_send((int)from, packets[from], vectors[from].iov_len);
		else
			(void)sendmmsg(fd, messages + from, 1, 0);
	}
	while (from < upto) {
		int sent = sendmmsg(fd, messages + from, (unsigned)(upto - from < BATCH ? upto - from : BATCH), 0);

		from += sent > 0 ? sent : 1;
	}
}

static void run(int fd, long for_s)
{
	struct timespec next;
	uint64_t began_us = core_now_us();

	(void)clock_gettime(CLOCK_MONOTONIC, &next);
	for (long slice = 0; slice < 50 * slices * for_s; slice++) {
		if (!play)
			send_slice(fd, slice);
		next.tv_nsec += 20000000 / slices;
		if (next.tv_nsec >= 1000000000)
			next.tv_nsec -= 1000000000, next.tv_sec++;
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	took_s = (double)(core_now_us() - began_us) / 1e6;
	(void)usleep(200000);
}

/* Of all workers, as a share of one core. */
static double take_busy(void)
{
	double busy = 0;

	for (uint32_t i = 0; i < workers; i++)
		busy += rtp_engine_take_busy(i);
	return busy;
}

static double process_us(void)
{
	struct rusage used;

	(void)getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void report(double busy, double total_us, unsigned long long before, long kib)
{
	struct rtp_totals totals;

	rtp_engine_totals(&totals);
	unsigned long long out = totals.packets_out - before;

	printf("streams %d in %llu out %llu foreign %llu dropped %llu by_kernel %llu ", count, (unsigned long long)totals.packets_in, out,
	       (unsigned long long)totals.foreign, (unsigned long long)totals.dropped, (unsigned long long)totals.by_kernel);
	printf("cpu_us_per_packet %.2f total_us %.0f kib_per_call %.1f took_s %.2f\n", busy * (took_s + 0.2) * 1e6 / (double)out, total_us,
	       (double)kib, took_s);
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

static void read_addresses(void)
{
	FILE *file = fopen(to_file, "r");
	char host[40];
	unsigned port;

	must(file, to_file);
	for (int i = 0; i < count; i++) {
		must(fscanf(file, "%39s %u", host, &port) == 2, to_file);
		addresses[i].in4 = (struct sockaddr_in){ .sin_family = AF_INET,
							 .sin_addr.s_addr = inet_addr(host),
							 .sin_port = htons((uint16_t)port) };
	}
	(void)fclose(file);
}

static void measure_floor(const struct core_addr *far, int fd)
{
	const struct core_addr here = { .in4 = { .sin_addr.s_addr = inet_addr(room ? HALL_0 : "127.0.0.1") } }, other = other_end(far);
	unsigned long long passed = 0;
	double used_s = 0;
	bool floors = false;

	if (to_file) {
		read_addresses();
	} else if (nothing) {
		for (int i = 0; i < count; i++)
			addresses[i].in4 = (struct sockaddr_in){ .sin_family = AF_INET,
								 .sin_addr = here.in4.sin_addr,
								 .sin_port = delay ? far->in4.sin_port : htons(first_port) };
	} else {
		floors = true;
		floor_start(count, &here, &other, addresses);
	}
	prepare_packets();
	double before_us = process_us();

	run(fd, seconds);
	double total_us = process_us() - before_us;

	if (floors)
		used_s = floor_stop(&passed);
	printf("streams %d out %llu cpu_us_per_packet %.2f total_us %.0f\n", count, passed, passed ? used_s * 1e6 / (double)passed : 0,
	       total_us);
}

/* "G722,opus": what the first and the second of each pair speak. */
static void prepare_pair(void)
{
	char names[2][40];

	must(plugins && sscanf(pair_names, "%39[^,],%39s", names[0], names[1]) == 2, "--pair A,B --plugins FOLDER");
	rtp_g711_init();
	codec_set_load(plugins);
	for (int i = 0; i < 2; i++) {
		struct core_codec codec = codec_set_find(names[i]);

		coded_make(&pair[i], &codec);
		must(pair[i].ptime_ms == 20, "packets of 20 ms");
		for (uint32_t at = 0; at < CODED_PACKETS; at++)
			must(pair[i].packets[at].bytes > 0, "a packet each 20 ms");
	}
}

static void measure_engine(const struct core_addr *far, int fd)
{
	static const struct rtp_observer nobody;
	struct rtp_settings settings = { .jitter_buffer = { .enabled = true,
							    .adaptive = true,
							    .initial_length_ms = 50,
							    .min_length_ms = 20,
							    .max_length_ms = 200,
							    .max_drift_ms = 30 },
					 .bind = room ? "0.0.0.0" : "127.0.0.1",
					 .external_ip = room ? HALL_0 : "",
					 .bind6 = "::1",
					 .external_ip6 = "",
					 .port_min = first_port,
					 .port_max = (uint32_t)first_port + (fork_all ? 4u : 2u) * (uint32_t)count + 64,
					 .workers = workers,
					 .nat = "auto",
					 .dscp = 46,
					 .country = "us",
					 .kernel_relay = kernel ? "auto" : "off",
					 .ice = by_tcp ? "lite" : "off",
					 .consent_s = 30,
					 .ice_tcp_port = by_tcp ? first_port : 0,
					 .ice_tcp_connections = (uint32_t)count,
					 .ice_tcp_per_address = (uint32_t)count };
	struct rtp_totals totals;
	int opened = count;

	must(core_loop_init(false) == PBX_OK && rtp_engine_start(&settings, &nobody, NULL) == PBX_OK, "engine");
	if (pair_names)
		prepare_pair();
	if (by_tcp)
		by_tcp_start(count, first_port);
	long before_kib = resident_kib();

	open_streams(far);
	prepare_packets();
	long grown_kib = resident_kib() - before_kib;

	if (room)
		run(fd, ESTABLISHED_S);
	rtp_engine_totals(&totals);
	(void)take_busy();
	double before_us = process_us();

	run(fd, seconds);
	double total_us = process_us() - before_us;

	report(take_busy(), total_us, totals.packets_out, grown_kib * 2 / opened);
	for (int i = 0; i < opened; i++)
		(void)rtp_driver.close(streams[i]);
	core_loop_settle();
	if (by_tcp)
		by_tcp_stop();
	rtp_engine_stop();
	core_loop_fini();
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "wire", required_argument, NULL, 'w' },
		{ "from", required_argument, NULL, 'm' },
		{ "to", required_argument, NULL, 't' },
		{ "workers", required_argument, NULL, 'c' },
		{ "play", no_argument, NULL, 'p' },
		{ "mix", no_argument, NULL, 'x' },
		{ "floor", no_argument, NULL, 'f' },
		{ "kernel", no_argument, NULL, 'k' },
		{ "nothing", no_argument, NULL, 'n' },
		{ "delay", no_argument, NULL, 'd' },
		{ "srtp", no_argument, NULL, 's' },
		{ "pair", required_argument, NULL, 'a' },
		{ "plugins", required_argument, NULL, 'l' },
		{ "fork", no_argument, NULL, 'o' },
		{ "slices", required_argument, NULL, 'i' },
		{ "tcp", no_argument, NULL, 'T' },
		{ 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		room = option == 'w' ? optarg : room;
		play |= option == 'p';
		mix |= option == 'x';
		bare |= option == 'f';
		kernel |= option == 'k';
		nothing |= option == 'n' || option == 't';
		delay |= option == 'd';
		srtp |= option == 's';
		fork_all |= option == 'o';
		by_tcp |= option == 'T';
		workers = option == 'c' ? (uint32_t)atoi(optarg) : workers;
		from_port = option == 'm' ? (uint16_t)atoi(optarg) : from_port;
		slices = option == 'i' ? atol(optarg) : slices;
		to_file = option == 't' ? optarg : to_file;
		pair_names = option == 'a' ? optarg : pair_names;
		plugins = option == 'l' ? optarg : plugins;
		must(option != '?', "options");
	}
	count = argc > optind ? atoi(argv[optind]) & ~1 : count;
	seconds = argc > optind + 1 ? atoi(argv[optind + 1]) : seconds;
	first_port = argc > optind + 2 ? (uint16_t)atoi(argv[optind + 2]) : first_port;
	must(count >= 2 && seconds >= 1 && slices >= 1 && slices <= 2000, "usage: see the beginning of relay_bench.c");
}

int main(int argc, char **argv)
{
	struct core_addr far = { 0 };
	struct rlimit files;

	read_options(argc, argv);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	if (srtp) {
		guard_measure();
		return 0;
	}
	allocate();
	int fd = generator(&far);

	if (delay)
		delay_start(fd);

	if (bare || nothing)
		measure_floor(&far, fd);
	else
		measure_engine(&far, fd);
	if (delay)
		delay_stop();
	return 0;
}
