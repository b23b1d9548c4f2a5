/* tests/rtp/test_forking.c - the life of a fork: what SDP is told of it, reports, other codecs, other workers, and each of its ends */
#include "../check_main.h"
#include "forked.h"

#include <arpa/inet.h>
#include <core/owner_internal.h>
#include <rtp/octets.h>
#include <unistd.h>

static const struct pbx_fork_spec says = { .what = PBX_FORK_SAYS }, hears = { .what = PBX_FORK_HEARS };
static struct forked forked;
static struct heard_packet last;

static void begin(struct pbx_fork_spec spec)
{
	forked_open(&forked, spec);
	forked_aim(&forked);
	last = (struct heard_packet){ 0 };
}

static void is_row(const struct pbx_fork_codec *row, const char *name, uint32_t clock_hz, uint32_t type)
{
	ck_assert_str_eq(row->name, name);
	ck_assert_uint_eq(row->clock_hz, clock_hz);
	ck_assert_uint_eq(row->channels, 1);
	ck_assert_uint_eq(row->payload_type, type);
}

static uint32_t ports_used(void)
{
	struct rtp_ports_count count;

	rtp_engine_ports(&count);
	return count.used;
}

START_TEST(sdp_is_told_what_may_come_in_the_party_s_numbers)
{
	struct core_stream_config config;
	struct pbx_fork_local local;
	struct forked other;

	forked_call("PCMU PCMA", "PCMU");
	phone_config(&alice, "L16 PCMU", &config);
	config.receive_types[0] = 97; /* we have numbered it otherwise than she has */
	config.dtmf_receive_type = 96;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	begin(says);
	local = forked_local(&forked);
	ck_assert_str_eq(local.address, "127.0.0.1");
	ck_assert_uint_eq(local.rtp_port % 2, 0);
	ck_assert_uint_eq(local.rtcp_port, local.rtp_port + 1);
	ck_assert_uint_eq(local.ptime_ms, 20);
	ck_assert_uint_eq(local.codec_count, 3);
	is_row(&local.codecs[0], "L16", 16000, 97);
	is_row(&local.codecs[1], "PCMU", 8000, 0);
	is_row(&local.codecs[2], "telephone-event", 16000, 96);
	ck_assert_str_eq(local.codecs[2].fmtp, "0-15");
	forked_open(&other, hears);
	local = forked_local(&other);
	is_row(&local.codecs[0], "L16", 16000, 117);
	is_row(&local.codecs[2], "telephone-event", 16000, 101);
	forked_close(&other);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

static void reconfigure(const char *codecs, bool fax)
{
	struct core_stream_config config;

	phone_config(&alice, codecs, &config);
	config.t38.on = fax;
	alice.type = config.codecs[0].payload_type;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	core_loop_settle();
}

START_TEST(other_codecs_are_told_once_and_only_to_who_has_asked)
{
	struct forked never_asked;

	forked_call("PCMU PCMA", "PCMU PCMA");
	begin(says);
	forked_open(&never_asked, says);
	ck_assert_uint_eq(forked_local(&forked).codec_count, 3);
	reconfigure("PCMU PCMA", false);
	ck_assert_int_eq(forked.changed, 0);
	reconfigure("PCMA", false);
	ck_assert_int_eq(forked.changed, 1);
	is_row(&forked_local(&forked).codecs[0], "PCMA", 8000, 8);
	phone_say(&alice, 3);
	ck_assert_uint_eq(forked_next(&forked, &last).type, 8);
	reconfigure("PCMA", true);
	ck_assert_int_eq(forked.changed, 2);
	ck_assert_uint_eq(forked_local(&forked).codec_count, 0);
	ck_assert_int_eq(never_asked.changed, 0);
	forked_close(&never_asked);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

START_TEST(it_lasts_as_long_as_the_leg_and_is_there_until_it_is_closed)
{
	struct pbx_fork_local local = { .size = sizeof local };
	struct pbx_fork_state state = { .size = sizeof state };

	forked_call("PCMU", "PCMU");
	begin(says);
	phone_say(&alice, 1);
	(void)forked_next(&forked, &last);
	ck_assert_uint_eq(ports_used(), 3);
	ck_assert_int_eq(rtp_driver.close(alice.stream), PBX_OK);
	alice.stream.id = 0;
	ck_assert_int_eq(forked.ended, 0); /* not from within */
	core_loop_settle();
	ck_assert_int_eq(forked.ended, 1);
	ck_assert_uint_eq(ports_used(), 1);
	ck_assert(forked_state(&forked).ended);
	ck_assert(!forked_state(&forked).aimed);
	ck_assert_uint_eq(forked_state(&forked).packets, 1);
	ck_assert_int_eq(rtp_driver.fork_local(forked.fork, &local), PBX_ENOENT);
	ck_assert_int_eq(rtp_driver.fork_aim(forked.fork, NULL), PBX_ENOENT);
	forked_close(&forked);
	ck_assert_int_eq(rtp_driver.fork_close(forked.fork), PBX_ENOENT);
	ck_assert_int_eq(rtp_driver.fork_state(forked.fork, &state), PBX_ENOENT);
	forked_hang_up();
}
END_TEST

START_TEST(closed_while_packets_flow_it_is_gone_and_the_call_goes_on)
{
	struct heard_packet packet;
	struct forked others[4];

	forked_call("PCMU", "PCMU");
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 4; i++) {
			forked_open(&others[i], i % 2 ? hears : says);
			forked_aim(&others[i]);
		}
		for (uint8_t i = 0; i < 8; i++) {
			phone_say(&alice, i);
			phone_say(&bob, i);
			if (i % 2)
				forked_close(&others[i / 2]);
			rig_round();
		}
	}
	rig_until(rig_stats(bob.stream).packets_out == 160);
	(void)phone_forget(&recorder);
	(void)phone_forget(&bob);
	phone_say(&alice, 9);
	ck_assert_uint_eq(phone_must_hear(&bob).payload[0], 9);
	ck_assert(!phone_hear(&recorder, &packet, 0));
	ck_assert_uint_eq(ports_used(), 2);
	ck_assert_uint_eq(rig_stats(bob.stream).packets_out, 161);
	forked_hang_up();
}
END_TEST

START_TEST(it_goes_along_to_another_worker)
{
	rig_start();
	phone_init(&recorder, AF_INET);
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	phone_call(&bob, 1, "PCMU");
	phone_call(&alice, 2, "PCMU");
	ck_assert_uint_ne(rig_stats(alice.stream).worker, rig_stats(bob.stream).worker);
	begin(says);
	phone_say(&alice, 1);
	(void)forked_next(&forked, &last);
	ck_assert_int_eq(rtp_driver.connect(bob.stream, alice.stream), PBX_OK); /* she moves */
	core_loop_settle();
	ck_assert_uint_eq(rig_stats(alice.stream).worker, rig_stats(bob.stream).worker);
	for (uint8_t i = 0; i < 20; i++) {
		phone_say(&alice, i);
		ck_assert_uint_eq(forked_next(&forked, &last).payload[0], i);
	}
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

static void on_news(void *self, pbx_fork fork)
{
	(void)fork;
	++*(int *)self;
}

START_TEST(a_successor_takes_it_over)
{
	const struct pbx_fork_watcher watcher = { .size = sizeof watcher, .changed = on_news, .ended = on_news };
	int news = 0;

	forked_call("PCMU PCMA", "PCMU");
	begin(says);
	(void)forked_local(&forked);
	ck_assert_int_eq(rtp_driver.fork_adopt(core_self(), forked.fork, &watcher, &news), PBX_OK);
	reconfigure("PCMA", false);
	ck_assert_int_eq(news, 1);
	ck_assert_int_eq(forked.changed, 0);
	phone_say(&alice, 1);
	(void)forked_next(&forked, &last);
	ck_assert_int_eq(rtp_driver.close(alice.stream), PBX_OK);
	alice.stream.id = 0;
	core_loop_settle();
	ck_assert_int_eq(news, 2);
	ck_assert_int_eq(forked.ended, 0);
	forked_close(&forked);
	ck_assert_int_eq(rtp_driver.fork_adopt(core_self(), forked.fork, &watcher, &news), PBX_ENOENT);
	forked_hang_up();
}
END_TEST

START_TEST(whose_plugin_is_stopped_is_closed)
{
	const struct pbx_fork_spec spec = { .size = sizeof spec, .what = PBX_FORK_SAYS, .cname = "" };
	const struct pbx_fork_watcher watcher = { .size = sizeof watcher, .changed = on_news, .ended = on_news };
	struct pbx_fork_state state = { .size = sizeof state };
	struct core_owner plugin, successor;
	pbx_fork forks[2];
	char holds[100];
	int news = 0;

	forked_call("PCMU", "PCMU");
	core_owner_init(&plugin, "call_recording", NULL);
	core_owner_init(&successor, "call_recording", NULL);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(rtp_driver.fork_open(&plugin.host, alice.stream, (pbx_leg){ 7 }, &spec, &watcher, &news, &forks[i]),
				 PBX_OK);
	ck_assert_uint_eq(core_owner_holds(&plugin, holds, sizeof holds), 2);
	ck_assert_int_eq(rtp_driver.fork_adopt(&successor.host, forks[1], &watcher, &news), PBX_OK);
	ck_assert_uint_eq(core_owner_holds(&plugin, holds, sizeof holds), 1);
	core_owner_revoke_all(&plugin);
	ck_assert_int_eq(rtp_driver.fork_state(forks[0], &state), PBX_ENOENT);
	ck_assert_int_eq(rtp_driver.fork_state(forks[1], &state), PBX_OK);
	core_loop_settle();
	ck_assert_uint_eq(ports_used(), 3);
	ck_assert_int_eq(rtp_driver.close(alice.stream), PBX_OK); /* stopped while it ends: nobody is told */
	alice.stream.id = 0;
	core_owner_revoke_all(&successor);
	core_loop_settle();
	ck_assert_int_eq(news, 0);
	ck_assert_uint_eq(ports_used(), 1);
	core_owner_fini(&plugin);
	core_owner_fini(&successor);
	forked_hang_up();
}
END_TEST

static bool is_free(uint32_t port)
{
	const struct sockaddr_in here = { .sin_family = AF_INET,
					  .sin_port = htons((uint16_t)port),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool bound = bind(fd, (const struct sockaddr *)&here, sizeof here) == 0;

	(void)close(fd);
	return bound;
}

#define PAIRS 12u

/* Below those that the system gives to whoever does not care. */
static void choose_ports_that_nobody_has(void)
{
	uint32_t first = 9000 + (uint32_t)getpid() % 200 * 2 * PAIRS;

	for (uint32_t port = first; port < first + 2 * PAIRS; port++) {
		if (!is_free(port))
			first = (port + 2) & ~1u;
	}
	rig_settings.port_min = first;
	rig_settings.port_max = first + 2 * PAIRS;
}

START_TEST(without_ports_there_is_none)
{
	const struct pbx_fork_spec spec = { .size = sizeof spec, .what = PBX_FORK_SAYS, .cname = "" };
	const struct pbx_fork_watcher watcher = { .size = sizeof watcher };
	pbx_fork forks[PAIRS];
	uint32_t open = 0;
	int err;

	choose_ports_that_nobody_has();
	rig_settings.quarantine_s = 600;
	forked_call("PCMU", "PCMU");
	while ((err = rtp_driver.fork_open(core_self(), alice.stream, (pbx_leg){ 7 }, &spec, &watcher, NULL, &forks[open])) == PBX_OK)
		ck_assert_uint_lt(++open, PAIRS);
	ck_assert_int_eq(err, PBX_ENOSPC);
	ck_assert_uint_eq(open, PAIRS - 2); /* the phones have two */
	ck_assert_int_gt(rig_heard.ports_low, 0);
	while (open > 0)
		ck_assert_int_eq(rtp_driver.fork_close(forks[--open]), PBX_OK);
	core_loop_settle();

	struct rtp_ports_count ports;
	struct core_addr local;
	core_stream stream;

	rig_until((rtp_engine_ports(&ports), ports.used == 2));
	ck_assert_uint_eq(ports.quarantined, PAIRS - 2);
	ck_assert_int_eq(rtp_driver.open(9, AF_INET, &stream, &local), PBX_ENOSPC); /* what forks have left rests from calls, */
	while (open < PAIRS - 2)                                                    /* and from forks it does not */
		ck_assert_int_eq(rtp_driver.fork_open(core_self(), alice.stream, (pbx_leg){ 7 }, &spec, &watcher, NULL, &forks[open++]),
				 PBX_OK);
	while (open > 0)
		ck_assert_int_eq(rtp_driver.fork_close(forks[--open]), PBX_OK);
	forked_hang_up();
}
END_TEST

START_TEST(targets_that_cannot_be_reached_are_refused)
{
	static const struct pbx_fork_target bad[] = { { .address = "recorder.example.net", .rtp_port = 4000 },
						      { .address = "::1", .rtp_port = 4000 },
						      { .address = "192.0.2.7" },
						      { .address = "192.0.2.7", .rtp_port = 65536 },
						      { .address = "192.0.2.7", .rtp_port = 65535 },
						      { .address = "192.0.2.7", .rtp_port = 4000, .rtcp_port = 70000 },
						      { .address = "192.0.2.7", .rtp_port = 4000, .dscp = 64 } };
	const struct pbx_fork_target good = { .address = "::1", .rtp_port = 65535, .rtcp_port = 4001, .dscp = 63 };

	forked_call("PCMU", "PCMU");
	forked_open(&forked, says);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_int_eq(rtp_driver.fork_aim(forked.fork, &bad[i]), PBX_EINVAL);
	ck_assert(!forked_state(&forked).aimed);
	forked_close(&forked);
	forked_open(&forked, (struct pbx_fork_spec){ .what = PBX_FORK_SAYS, .ip_version = 6 });
	ck_assert_str_eq(forked_local(&forked).address, "::1");
	ck_assert_int_eq(rtp_driver.fork_aim(forked.fork, &good), PBX_OK);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

/* ---- RTCP ---- */

static size_t hear_report(uint8_t *ret_data, size_t size)
{
	ssize_t got;

	rig_until((got = recv(recorder.rtcp_fd, ret_data, size, MSG_DONTWAIT)) > 0);
	return (size_t)got;
}

START_TEST(reports_tell_what_was_sent_and_who_is_heard)
{
	uint8_t data[600];

	forked_call("PCMU", "PCMU");
	begin((struct pbx_fork_spec){ .what = PBX_FORK_SAYS, .cname = "1001@example.net" });
	for (uint8_t i = 0; i < 10; i++) {
		phone_say(&alice, i);
		(void)forked_next(&forked, &last);
	}
	size_t size = hear_report(data, sizeof data);

	ck_assert_uint_eq(data[0], 0x80);
	ck_assert_uint_eq(data[1], 200);
	ck_assert_uint_eq(rtp_get32(data + 4), forked_state(&forked).ssrc);
	ck_assert_uint_ge(rtp_get32(data + 16) - last.timestamp, 0);
	ck_assert_uint_le(rtp_get32(data + 16) - last.timestamp, 8 * 20000);
	ck_assert_uint_eq(rtp_get32(data + 20), 10);
	ck_assert_uint_eq(rtp_get32(data + 24), 1600);
	ck_assert_uint_eq(data[28 + 1], 202);
	ck_assert_mem_eq(data + 28 + 8,
			 "\1\x10"
			 "1001@example.net",
			 18);
	ck_assert_uint_eq(size % 4, 0);
	forked_close(&forked);
	size = hear_report(data, sizeof data);
	ck_assert_uint_eq(data[size - 7], 203);
	ck_assert_uint_eq(rtp_get32(data + size - 4), last.ssrc);
	forked_hang_up();
}
END_TEST

START_TEST(the_longest_name_fits)
{
	char name[256];
	uint8_t data[600];

	memset(name, 'n', 255);
	name[255] = '\0';
	forked_call("PCMU", "PCMU");
	begin((struct pbx_fork_spec){ .what = PBX_FORK_SAYS, .cname = name });
	forked_close(&forked);
	size_t size = hear_report(data, sizeof data); /* it has sent nothing: RR, SDES, BYE */

	ck_assert_uint_eq(data[1], 201);
	ck_assert_ptr_nonnull(memmem(data, size, name, 255));
	ck_assert_uint_eq(data[size - 7], 203);
	forked_hang_up();
}
END_TEST

static void tell(int fd, const void *data, size_t size)
{
	struct core_addr to = { .in4 = { .sin_family = AF_INET,
					 .sin_port = htons((uint16_t)forked_local(&forked).rtcp_port),
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };

	ck_assert_int_eq(sendto(fd, data, size, 0, &to.sa, sizeof to.in4), (ssize_t)size);
}

START_TEST(what_comes_back_is_counted_and_never_believed)
{
	static const uint8_t good[] = { 0x80, 201, 0, 1, 1, 2, 3, 4, 0x80, 202, 0, 0 }, cut[] = { 0x80, 201, 0, 7, 1, 2, 3, 4 },
			     strange[] = { 0x80, 77, 0, 1, 1, 2, 3, 4 }, old[] = { 0x40, 201, 0, 1, 1, 2, 3, 4 }, few[] = { 0x80, 201 };
	const struct sockaddr_in elsewhere = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
	uint8_t huge[3000] = { 0x80, 201, 2, 0xed };
	int stranger = socket(AF_INET, SOCK_DGRAM, 0);

	ck_assert_int_eq(bind(stranger, (const struct sockaddr *)&elsewhere, sizeof elsewhere), 0);
	forked_call("PCMU", "PCMU");
	begin(says);
	tell(recorder.rtcp_fd, good, sizeof good);
	rig_until(forked_state(&forked).reports == 1);
	tell(recorder.rtcp_fd, cut, sizeof cut);
	tell(recorder.rtcp_fd, strange, sizeof strange);
	tell(recorder.rtcp_fd, old, sizeof old);
	tell(recorder.rtcp_fd, few, sizeof few);
	rig_until(forked_state(&forked).junk == 4);
	tell(recorder.rtcp_fd, huge, sizeof huge);
	rig_until(forked_state(&forked).junk == 5);
	tell(stranger, good, sizeof good); /* forged */
	rig_until(forked_state(&forked).junk == 6);
	ck_assert_uint_eq(forked_state(&forked).reports, 1);
	phone_say(&alice, 1);
	ck_assert_uint_eq(forked_next(&forked, &last).payload[0], 1);
	for (int i = 0; i < 5000; i++) /* a flood fills no memory, and nobody notices */
		tell(stranger, good, sizeof good);
	phone_say(&alice, 2);
	ck_assert_uint_eq(forked_next(&forked, &last).payload[0], 2);
	(void)close(stranger);
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

START_TEST(who_wants_a_beep_has_it_heard_by_those_who_talk)
{
	struct heard_packet packet;
	bool beeps = false;

	forked_call("PCMU", "PCMU");
	begin((struct pbx_fork_spec){ .what = PBX_FORK_SAYS, .beep_s = 1 });
	for (uint64_t begun = rig_now_ms(), at_ms = 0; !beeps; at_ms += 20) {
		rig_until(rig_now_ms() >= begun + at_ms);
		ck_assert_uint_lt(at_ms, 10000);
		phone_say(&alice, 0xff);
		packet = phone_must_hear(&bob);
		for (size_t i = 0; i < packet.bytes; i++)
			beeps = beeps || packet.payload[i] != 0xff;
		ck_assert_uint_eq(forked_next(&forked, &last).payload[9], 0xff); /* it is no word of hers */
	}
	forked_close(&forked);
	forked_hang_up();
}
END_TEST

CHECK_MAIN("forking", sdp_is_told_what_may_come_in_the_party_s_numbers, other_codecs_are_told_once_and_only_to_who_has_asked,
	   it_lasts_as_long_as_the_leg_and_is_there_until_it_is_closed, closed_while_packets_flow_it_is_gone_and_the_call_goes_on,
	   it_goes_along_to_another_worker, a_successor_takes_it_over, whose_plugin_is_stopped_is_closed, without_ports_there_is_none,
	   targets_that_cannot_be_reached_are_refused, reports_tell_what_was_sent_and_who_is_heard, the_longest_name_fits,
	   what_comes_back_is_counted_and_never_believed, who_wants_a_beep_has_it_heard_by_those_who_talk)
