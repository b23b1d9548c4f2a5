/* tests/rtp/test_kernel.c - established calls relayed by the kernel, in a house of network namespaces
 *
 * Where namespaces or the program are not permitted this says so, and tests that calls go on without. */
#include "../check_main.h"
#include "house.h"

#include <arpa/inet.h>
#include <core/owner.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <rtp/engine_inner.h>
#include <rtp/kernel.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct phone alice, bob;
static struct heard_packet last_at_bob, last_at_alice;
static bool permitted;

/* One packet, heard at the other end as the next in order: whoever relayed it. */
static void say_next(struct phone *from, struct phone *to, struct heard_packet *last, uint8_t filled_with)
{
	phone_say(from, filled_with);
	struct heard_packet packet = phone_must_hear(to);

	ck_assert_uint_eq(packet.payload[0], filled_with);
	ck_assert_uint_eq(packet.payload[159], filled_with);
	ck_assert_uint_eq(packet.bytes, 160);
	ck_assert_uint_eq(packet.ssrc, rig_stats(to->stream).send_ssrc);
	if (last->bytes) {
		ck_assert_uint_eq(packet.sequence, (uint16_t)(last->sequence + 1));
		ck_assert_uint_eq(packet.timestamp, last->timestamp + 160);
		ck_assert(!packet.marker);
	}
	*last = packet;
}

static void talk(int packets)
{
	for (int i = 0; i < packets; i++) {
		say_next(&alice, &bob, &last_at_bob, (uint8_t)i);
		say_next(&bob, &alice, &last_at_alice, (uint8_t)(i + 100));
	}
}

static bool in_kernel(const struct phone *phone)
{
	return rig_stats(phone->stream).in_kernel;
}

static bool both_in_kernel(void)
{
	return in_kernel(&alice) && in_kernel(&bob);
}

static uint64_t by_kernel(const struct phone *phone)
{
	return rig_stats(phone->stream).by_kernel;
}

static void open_house(void)
{
	permitted = house_build();
	rig_settings.bind = "0.0.0.0";
	rig_settings.bind6 = "::";
	rig_settings.kernel_relay = "auto";
	rig_start();
	permitted = permitted && rtp_kernel_interfaces() == 2;
	if (!permitted)
		fprintf(stderr, "THE KERNEL RELAY IS NOT PERMITTED HERE: only the fall back is tested\n");
}

static void call(int family)
{
	house_phone(&alice, 0, family);
	house_phone(&bob, 1, family);
	house_call(&alice, 0, "PCMU");
	house_call(&bob, 1, "PCMU");
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
	core_loop_settle();
	memset(&last_at_alice, 0, sizeof last_at_alice);
	memset(&last_at_bob, 0, sizeof last_at_bob);
}

static void established(int family)
{
	call(family);
	talk(70);
	rig_until(both_in_kernel());
}

static void hang_up(void)
{
	rig_hang_up(&alice, &bob);
}

/* Opens the house; where it may not be, the one thing that can be tested is that calls go on. True: that was done instead. */
static bool not_here(void)
{
	open_house();
	if (permitted)
		return false;
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	phone_call(&alice, 1, "PCMU");
	phone_call(&bob, 1, "PCMU");
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
	core_loop_settle();
	talk(80);
	ck_assert(!in_kernel(&alice));
	ck_assert_uint_eq(by_kernel(&alice), 0);
	hang_up();
	return true;
}

static void goes_by_the_kernel(int family)
{
	if (not_here())
		return;
	established(family);
	uint64_t before = by_kernel(&alice), heard = rig_stats(alice.stream).packets_in;

	talk(50);
	rig_until(by_kernel(&alice) == before + 50 && by_kernel(&bob) >= 50);
	ck_assert_uint_eq(rig_stats(alice.stream).packets_in, heard + 50);
	ck_assert_uint_eq(rig_stats(bob.stream).packets_out, rig_stats(alice.stream).packets_in);
	ck_assert_uint_eq(rig_stats(alice.stream).bytes_in, (heard + 50) * 172);
	ck_assert_uint_eq(rig_stats(alice.stream).lost, 0);
	ck_assert_uint_eq(rig_stats(alice.stream).late, 0);
	hang_up();
}

START_TEST(established_calls_go_by_the_kernel)
{
	goes_by_the_kernel(AF_INET);
}
END_TEST

START_TEST(so_do_those_over_ipv6)
{
	goes_by_the_kernel(AF_INET6);
}
END_TEST

static void on_started(void *context, int result, const struct pbx_diag *diag)
{
	(void)context;
	ck_assert_msg(result == PBX_OK, "%s", diag->text);
}

/* As kernels before 6.6 have it. */
static void start_with_filters(void)
{
	struct rtp_kernel_wish wish = { .by_filter = true,
					.port_min = (uint16_t)rig_settings.port_min,
					.port_max = (uint16_t)rig_settings.port_max };

	ck_assert_int_eq(rtp_kernel_start(&wish, on_started, NULL, NULL), PBX_OK);
	core_loop_settle();
}

/* No stream is open. */
static void change_to_filters(void)
{
	rtp_kernel_stop();
	core_loop_settle();
	start_with_filters();
}

/* Those of ours that stand at its door. */
static int filters_in_hall(void)
{
	char text[20];

	house_ask(text, sizeof text,
		  "all=$(tc filter show dev hall0 ingress) && echo \"$all\" | awk '/kernel_relay/ { n++ } END { print n + 0 }'");
	return atoi(text);
}

START_TEST(kernels_that_have_only_filters_do_it_by_filter)
{
	if (not_here())
		return;
	change_to_filters();
	ck_assert_int_eq(filters_in_hall(), 1);
	established(AF_INET);
	uint64_t before = by_kernel(&alice);

	talk(10);
	rig_until(by_kernel(&alice) == before + 10);
	hang_up();
	ck_assert_int_eq(filters_in_hall(), 0);
}
END_TEST

static uint8_t traffic_class_of_next(const struct phone *phone)
{
	char data[1600], control[64];
	struct iovec place = { data, sizeof data };
	struct msghdr message = { .msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct pollfd ready = { .fd = phone->rtp_fd, .events = POLLIN };

	ck_assert_int_eq(poll(&ready, 1, 30000), 1);
	ck_assert_int_gt(recvmsg(phone->rtp_fd, &message, 0), 0);
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	ck_assert_ptr_nonnull(header);
	return *CMSG_DATA(header);
}

START_TEST(packets_of_the_kernel_are_marked_as_ours)
{
	if (not_here())
		return;
	established(AF_INET);
	phone_say(&alice, 1);
	ck_assert_uint_eq(traffic_class_of_next(&bob), 46 << 2);
	hang_up();
}
END_TEST

START_TEST(loss_and_order_are_kept_and_counted)
{
	struct core_stream_stats stats;

	if (not_here())
		return;
	established(AF_INET);
	uint64_t before = by_kernel(&alice);

	alice.sequence = (uint16_t)(alice.sequence + 2); /* two are lost */
	alice.timestamp += 320;
	phone_say(&alice, 5);
	ck_assert_uint_eq(phone_must_hear(&bob).sequence, (uint16_t)(last_at_bob.sequence + 3));
	alice.sequence = (uint16_t)(alice.sequence - 2); /* and one of them was only late */
	phone_say(&alice, 4);
	ck_assert_uint_eq(phone_must_hear(&bob).sequence, (uint16_t)(last_at_bob.sequence + 2));
	rig_until(by_kernel(&alice) == before + 2);
	alice.sequence--; /* the same once more */
	alice.timestamp -= 160;
	phone_say(&alice, 4);
	ck_assert_uint_eq(phone_must_hear(&bob).sequence, (uint16_t)(last_at_bob.sequence + 2));
	rig_until(by_kernel(&alice) == before + 3);
	stats = rig_stats(alice.stream);
	ck_assert_uint_eq(stats.duplicates, 1);
	ck_assert_uint_eq(stats.lost, 1);
	ck_assert_uint_eq(stats.late, 1);
	hang_up();
}
END_TEST

START_TEST(keys_are_heard_and_keep_their_place)
{
	const uint8_t end[] = { 5, 0x8a, 0x03, 0x20 }; /* key 5, end, 100 ms */

	if (not_here())
		return;
	established(AF_INET);
	phone_send_type(&alice, 101, true, end, sizeof end);
	struct heard_packet packet = phone_must_hear(&bob);

	ck_assert_uint_eq(packet.type, 101);
	ck_assert_uint_eq(packet.sequence, (uint16_t)(last_at_bob.sequence + 1));
	ck_assert_uint_eq(packet.timestamp, last_at_bob.timestamp + 160);
	last_at_bob.sequence++;
	rig_until(strcmp(rig_heard.digits, "5") == 0);
	talk(20);
	rig_until(both_in_kernel());
	ck_assert_uint_eq(rig_stats(alice.stream).lost, 0);
	hang_up();
}
END_TEST

static void speak_by_tones(struct phone *phone)
{
	const struct core_stream_config *now = rtp_stream_find(phone->stream)->config;
	struct core_stream_config config = { 0 };

	memcpy(&config, now, offsetof(struct core_stream_config, codecs) + now->codec_count * sizeof now->codecs[0]);
	config.digits = CORE_DIGITS_TONES;
	ck_assert_int_eq(rtp_driver.configure(phone->stream, &config), PBX_OK);
}

START_TEST(keys_as_tones_stay_with_the_worker_only_while_somebody_wants_them)
{
	if (not_here())
		return;
	call(AF_INET);
	speak_by_tones(&alice);
	speak_by_tones(&bob);
	talk(70);
	ck_assert(!in_kernel(&alice));
	ck_assert_int_eq(rtp_driver.heed_keys(alice.stream, false), PBX_OK);
	ck_assert_int_eq(rtp_driver.heed_keys(bob.stream, false), PBX_OK);
	core_loop_settle();
	talk(70);
	rig_until(both_in_kernel());
	ck_assert_int_eq(rtp_driver.heed_keys(alice.stream, true), PBX_OK);
	core_loop_settle();
	ck_assert(!in_kernel(&alice));
	hang_up();
}
END_TEST

START_TEST(what_is_sent_on_to_a_recorder_goes_by_the_worker)
{
	const struct pbx_fork_spec spec = { .size = sizeof spec, .what = PBX_FORK_SAYS, .cname = "" };
	const struct pbx_fork_watcher watcher = { .size = sizeof watcher };
	pbx_fork fork;

	if (not_here())
		return;
	established(AF_INET);
	ck_assert_int_eq(rtp_driver.fork_open(core_self(), alice.stream, (pbx_leg){ 7 }, &spec, &watcher, NULL, &fork), PBX_OK);
	rig_until(!in_kernel(&alice) && !in_kernel(&bob));
	uint64_t before = by_kernel(&alice);

	talk(80); /* no number is missing, none comes twice */
	rig_obeyed(1);
	ck_assert(!in_kernel(&alice) && !in_kernel(&bob));
	ck_assert_uint_eq(by_kernel(&alice), before);
	ck_assert_int_eq(rtp_driver.fork_close(fork), PBX_OK);
	talk(10);
	rig_until(both_in_kernel());
	hang_up();
}
END_TEST

START_TEST(a_player_cuts_in_without_a_gap_in_the_numbers)
{
	if (not_here())
		return;
	established(AF_INET);
	for (int i = 0; i < 5; i++)
		phone_say(&alice, 9); /* on their way while the player begins */
	rig_play(bob.stream, CORE_PLAY_TONE, "dial", 7);
	struct heard_packet packet = last_at_bob, before;

	for (int i = 0; i < 30; i++) {
		before = packet;
		packet = phone_must_hear(&bob);
		ck_assert_uint_eq(packet.sequence, (uint16_t)(before.sequence + 1));
		ck_assert_int_ge((int32_t)(packet.timestamp - before.timestamp), 160);
		ck_assert_uint_eq(packet.ssrc, before.ssrc);
	}
	ck_assert(!both_in_kernel());
	ck_assert_int_eq(rtp_driver.stop(bob.stream), PBX_OK);
	rig_obeyed(1);
	while (phone_forget(&bob) > 0)
		rig_round();
	for (int i = 0; i < 70; i++) {
		phone_say(&alice, 1);
		before = packet;
		packet = phone_must_hear(&bob);
		ck_assert_int_gt((int16_t)(packet.sequence - before.sequence), 0);
	}
	last_at_bob = packet;
	rig_until(in_kernel(&alice));
	say_next(&alice, &bob, &last_at_bob, 3);
	hang_up();
}
END_TEST

START_TEST(hold_and_resume_fall_back_and_return)
{
	struct core_stream_config config;

	if (not_here())
		return;
	established(AF_INET);
	phone_config(&bob, "PCMU", &config);
	config.direction = CORE_RECV;
	ck_assert_int_eq(rtp_driver.configure(bob.stream, &config), PBX_OK);
	rig_obeyed(1);
	ck_assert(!both_in_kernel());
	uint64_t sent = rig_stats(bob.stream).packets_out, in = rig_stats(alice.stream).packets_in;

	phone_say(&alice, 1);
	rig_until(rig_stats(alice.stream).packets_in == in + 1);
	ck_assert_uint_eq(rig_stats(bob.stream).packets_out, sent); /* he is not to hear us */
	config.direction = CORE_SEND | CORE_RECV;
	ck_assert_int_eq(rtp_driver.configure(bob.stream, &config), PBX_OK);
	rig_obeyed(1);
	memset(&last_at_bob, 0, sizeof last_at_bob);
	talk(70);
	rig_until(both_in_kernel());
	hang_up();
}
END_TEST

START_TEST(another_source_is_foreign_and_another_ssrc_begins_anew)
{
	struct phone mallory;

	if (not_here())
		return;
	established(AF_INET);
	house_phone(&mallory, 0, AF_INET);
	mallory.pbx = alice.pbx;
	mallory.ssrc = alice.ssrc;
	mallory.sequence = alice.sequence;
	phone_say(&mallory, 66);
	rig_until(rig_stats(alice.stream).foreign == 1);
	phone_fini(&mallory);
	alice.ssrc++;
	alice.sequence = 7;
	phone_say(&alice, 1);
	struct heard_packet packet = phone_must_hear(&bob);

	ck_assert_uint_eq(packet.payload[0], 1);
	ck_assert(packet.marker);
	ck_assert_uint_eq(packet.ssrc, last_at_bob.ssrc);
	ck_assert_uint_eq(packet.sequence, (uint16_t)(last_at_bob.sequence + 1));
	last_at_bob = packet;
	talk(70);
	rig_until(both_in_kernel());
	ck_assert_uint_eq(rig_stats(alice.stream).lost, 0);
	hang_up();
}
END_TEST

START_TEST(other_sizes_and_extensions_go_by_the_worker)
{
	uint8_t packet[12 + 8 + 160] = { 0x90, 0 }, payload[240] = { 0 };

	if (not_here())
		return;
	established(AF_INET);
	uint64_t before = by_kernel(&alice);
	uint16_t sequence_be = htons(alice.sequence++);
	uint32_t timestamp_be = htonl(alice.timestamp), ssrc_be = htonl(alice.ssrc);

	alice.timestamp += 160;
	memcpy(packet + 2, &sequence_be, 2);
	memcpy(packet + 4, &timestamp_be, 4);
	memcpy(packet + 8, &ssrc_be, 4);
	packet[15] = 1; /* an extension of one word */
	phone_send_raw(&alice, packet, sizeof packet);
	struct heard_packet heard = phone_must_hear(&bob);

	ck_assert_uint_eq(heard.bytes, 160);
	ck_assert_uint_eq(heard.sequence, (uint16_t)(last_at_bob.sequence + 1));
	ck_assert_uint_eq(by_kernel(&alice), before);
	phone_send(&alice, payload, sizeof payload); /* 30 ms: cut to 20 */
	ck_assert_uint_eq(phone_must_hear(&bob).bytes, 160);
	rig_until(!in_kernel(&alice));
	hang_up();
}
END_TEST

START_TEST(silence_is_noticed_only_when_it_is_silent)
{
	struct pbx_diag diag;

	rig_settings.timeout_s = 0;
	if (not_here())
		return;
	established(AF_INET); /* which takes as long as it takes, and nobody speaks */
	talk(1);
	rig_settings.timeout_s = 3; /* longer than a machine stands still */
	ck_assert_int_eq(rtp_engine_configure(&rig_settings, &diag), PBX_OK);
	for (uint64_t until_ms = rig_now_ms() + 3500; rig_now_ms() < until_ms;)
		talk(1);
	ck_assert_msg(rig_heard.silences == 0, "silent for %u ms", rig_heard.silent_ms);
	rig_until(rig_heard.silences == 2);
	hang_up();
}
END_TEST

START_TEST(reports_tell_what_the_kernel_sent)
{
	uint8_t report[300] = { 0 };
	struct pollfd ready = { .events = POLLIN };

	if (not_here())
		return;
	established(AF_INET);
	talk(30);
	rig_until(by_kernel(&alice) == 30);
	ready.fd = bob.rtcp_fd;
	ck_assert_int_eq(poll(&ready, 1, 30000), 1);
	ck_assert_int_ge(recv(bob.rtcp_fd, report, sizeof report, 0), 52);
	ck_assert_uint_eq(report[1], 200);
	uint32_t packets_be, octets_be;

	memcpy(&packets_be, report + 20, 4);
	memcpy(&octets_be, report + 24, 4);
	ck_assert_uint_eq(ntohl(packets_be), 100);
	ck_assert_uint_eq(ntohl(octets_be), 16000);
	hang_up();
}
END_TEST

/* ---- the network changes ---- */

static void change(const char *command)
{
	char text[20];

	house_ask(text, sizeof text, command);
}

static uint32_t source_of_next(const struct phone *phone)
{
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	struct pollfd ready = { .fd = phone->rtp_fd, .events = POLLIN };
	char data[1600];

	ck_assert_int_eq(poll(&ready, 1, 30000), 1);
	ck_assert_int_gt(recvfrom(phone->rtp_fd, data, sizeof data, 0, (struct sockaddr *)&from, &size), 0);
	return ntohl(from.sin_addr.s_addr) & 0xff;
}

START_TEST(packets_follow_a_route_that_changes)
{
	if (not_here())
		return;
	established(AF_INET);
	phone_say(&alice, 1);
	ck_assert_uint_eq(source_of_next(&bob), 1);
	uint32_t before = rtp_kernel_generation();

	change("ip addr add 10.77.1.9/24 dev hall1 && ip route replace 10.77.1.0/24 dev hall1 src 10.77.1.9");
	rig_until(rtp_kernel_generation() != before);
	uint64_t relayed = by_kernel(&alice), until_ms = rig_now_ms() + 30000;

	do { /* ten times a second the flow is looked at */
		phone_say(&alice, 2);
		ck_assert_int_lt((int64_t)rig_now_ms(), (int64_t)until_ms);
	} while (source_of_next(&bob) != 9);
	rig_until(in_kernel(&alice));
	phone_say(&alice, 3);
	ck_assert_uint_eq(source_of_next(&bob), 9);
	rig_until(by_kernel(&alice) > relayed);
	ck_assert_uint_eq(rig_stats(alice.stream).lost, 0);
	hang_up();
}
END_TEST

START_TEST(interfaces_come_and_go)
{
	if (not_here())
		return;
	change("ip link set hall1 down");
	rig_until(rtp_kernel_interfaces() == 1);
	change("ip link set hall1 up");
	rig_until(rtp_kernel_interfaces() == 2);
	established(AF_INET);
	change("ip link del hall1");
	rig_until(rtp_kernel_interfaces() == 1);
	rig_until(!in_kernel(&alice)); /* there is no way to bob */
	hang_up();
}
END_TEST

/* ---- death ---- */

/* A daemon with a call in the kernel, until it is killed. Its phones are ours. */
static pid_t start_daemon(bool by_filter)
{
	int pipes[2];
	char said;

	ck_assert_int_eq(pipe(pipes), 0);
	pid_t pid = fork();

	if (pid == 0) {
		rig_start();
		if (by_filter)
			change_to_filters();
		house_call(&alice, 0, "PCMU");
		house_call(&bob, 1, "PCMU");
		ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
		core_loop_settle();
		talk(70);
		rig_until(both_in_kernel());
		talk(10);
		ck_assert_int_eq(write(pipes[1], &alice.pbx, sizeof alice.pbx), (ssize_t)sizeof alice.pbx);
		for (;;)
			rig_round();
	}
	(void)close(pipes[1]);
	ck_assert_int_eq(read(pipes[0], &alice.pbx, sizeof alice.pbx), (ssize_t)sizeof alice.pbx);
	ck_assert_int_le(read(pipes[0], &said, 0), 0);
	(void)close(pipes[0]);
	return pid;
}

/* Sends a packet of the call to where the daemon was. True: nobody is there, so it was not relayed on the way. */
static bool is_refused(void)
{
	uint8_t packet[172] = { 0x80 };
	uint16_t sequence_be = htons(alice.sequence++);
	uint32_t timestamp_be = htonl(alice.timestamp), ssrc_be = htonl(alice.ssrc);

	memcpy(packet + 2, &sequence_be, 2);
	memcpy(packet + 4, &timestamp_be, 4);
	memcpy(packet + 8, &ssrc_be, 4);
	return send(alice.rtp_fd, packet, sizeof packet, 0) < 0 && errno == ECONNREFUSED; /* as the packet before was told */
}

static void killed(bool by_filter)
{
	int status;

	if (not_here())
		return;
	rig_stop();
	house_phone(&alice, 0, AF_INET);
	house_phone(&bob, 1, AF_INET);
	pid_t pid = start_daemon(by_filter);

	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(connect(alice.rtp_fd, &alice.pbx.sa, sizeof alice.pbx.in4), 0);
	rig_start();
	rig_until(is_refused());
	(void)phone_forget(&bob);
	rig_until(is_refused());
	ck_assert_int_eq(phone_forget(&bob), 0);
	(void)close(alice.rtp_fd);
	(void)close(alice.rtcp_fd);
	(void)close(bob.rtp_fd);
	(void)close(bob.rtcp_fd);
	established(AF_INET);
	hang_up();
}

START_TEST(nothing_goes_on_after_a_sudden_death)
{
	killed(false);
}
END_TEST

START_TEST(nor_where_there_are_only_filters)
{
	killed(true);
	if (!permitted)
		return;
	ck_assert_int_eq(filters_in_hall(), 1); /* the dead one's: the next to want its place takes it */
	ck_assert_int_eq(core_loop_init(false), PBX_OK);
	start_with_filters();
	ck_assert_int_eq(filters_in_hall(), 1);
	rtp_kernel_stop();
	core_loop_fini();
	ck_assert_int_eq(filters_in_hall(), 0);
}
END_TEST

START_TEST(two_capabilities_are_enough)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct few[2] = { { .effective = 1u << CAP_NET_ADMIN, .permitted = 1u << CAP_NET_ADMIN },
						 { .effective = CAP_TO_MASK(CAP_BPF), .permitted = CAP_TO_MASK(CAP_BPF) } };

	int status = 0;

	if (not_here())
		return;
	rig_stop();
	pid_t pid = fork(); /* threads of its own have what it has */

	if (pid == 0) {
		if ((int)syscall(SYS_capset, &header, few) != 0)
			_exit(2);
		rig_start();
		_exit(rtp_kernel_interfaces() == 2 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(stopped_while_it_is_loaded_it_leaves_nothing)
{
	struct pbx_diag diag = { 0 };
	struct rtp_observer observer = { 0 };

	if (not_here())
		return;
	rig_stop();
	ck_assert_int_eq(core_loop_init(false), PBX_OK);
	for (int rounds = 0; rounds < 6; rounds++) { /* before the job has begun, while it runs, and when it is done and not told */
		ck_assert_int_eq(rtp_engine_start(&rig_settings, &observer, &diag), PBX_OK);
		(void)usleep((useconds_t)rounds * 1000);
		rtp_engine_stop();
		ck_assert_uint_eq(rtp_kernel_interfaces(), 0);
		ck_assert_ptr_null(rtp_kernel_place((uint16_t)rig_settings.port_min));
		core_loop_settle();
		ck_assert_uint_eq(rtp_kernel_interfaces(), 0);
	}
	core_loop_fini();
}
END_TEST

START_TEST(an_ordinary_user_relays_as_before)
{
	ck_assert_int_eq(getuid() == 0 ? setuid(65534) : 0, 0);
	ck_assert(not_here());
	ck_assert_uint_eq(rtp_kernel_interfaces(), 0);
}
END_TEST

CHECK_MAIN("kernel", established_calls_go_by_the_kernel, so_do_those_over_ipv6, kernels_that_have_only_filters_do_it_by_filter,
	   packets_of_the_kernel_are_marked_as_ours, loss_and_order_are_kept_and_counted, keys_are_heard_and_keep_their_place,
	   keys_as_tones_stay_with_the_worker_only_while_somebody_wants_them, what_is_sent_on_to_a_recorder_goes_by_the_worker,
	   a_player_cuts_in_without_a_gap_in_the_numbers, hold_and_resume_fall_back_and_return,
	   another_source_is_foreign_and_another_ssrc_begins_anew, other_sizes_and_extensions_go_by_the_worker,
	   silence_is_noticed_only_when_it_is_silent, reports_tell_what_the_kernel_sent, nothing_goes_on_after_a_sudden_death,
	   nor_where_there_are_only_filters, packets_follow_a_route_that_changes, interfaces_come_and_go, two_capabilities_are_enough,
	   stopped_while_it_is_loaded_it_leaves_nothing, an_ordinary_user_relays_as_before)
