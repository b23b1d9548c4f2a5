/* tests/rtp/test_tcp.c - peers that come to the door by TCP: who is let in, what goes by a connection, and what becomes of a leg when it breaks
 *
 * A peer is an agent of ICE with a socket for datagrams and a connection; either may be cut. It controls, as a browser that has called does. */
#include "../check_main.h"
#include "rig.h"
#include <core/gate.h>
#include <errno.h>
#include <rtp/engine_inner.h>
#include <rtp/ice.h>
#include <rtp/octets.h>
#include <rtp/tcp.h>
#include <unistd.h>

struct peer {
	struct phone phone; /* its datagrams, and its counterpart */
	int fd;             /* -1: no connection */
	bool udp_cut, is_over;
	struct core_ice_name own, ours;
	struct rtp_ice *ice;
	struct rtp_frames in;
	struct rtp_frame_rest out;
	uint32_t packets; /* of RTP, that came by the connection */
	uint8_t said;     /* the first octet of what the newest one holds */
	uint64_t looked_at_ms;
};

static struct peer alice;
static struct phone bob;

static struct core_addr door_addr(void)
{
	return (struct core_addr){ .in4 = { .sin_family = AF_INET,
					    .sin_port = htons((uint16_t)rig_settings.ice_tcp_port),
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
				   .transport = CORE_BY_TCP };
}

/* Another one in each process, below what the kernel hands out by itself: nobody takes it between our look and the engine's bind(). */
static void choose_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	bool is_free = false;

	for (uint32_t tries = 0; !is_free; tries++) {
		ck_assert_uint_lt(tries, 100);
		rig_settings.ice_tcp_port = 7000 + ((uint32_t)getpid() + tries * 97) % 1000;
		addr.sin_port = htons((uint16_t)rig_settings.ice_tcp_port);
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		is_free = bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0;
		(void)close(fd);
	}
}

static struct rtp_door_totals door(void)
{
	struct rtp_door_totals totals;

	rtp_door_totals(&totals);
	return totals;
}

/* ---- a peer ---- */

static int dial(void)
{
	const struct core_addr to = door_addr();
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, &to.sa, sizeof to.in4), 0);
	return fd;
}

static bool send_it(void *context, uint8_t component, const struct core_addr *to, const uint8_t *data, size_t size)
{
	struct peer *peer = context;

	ck_assert_uint_eq(component, 1);
	if (to->transport == CORE_BY_TCP)
		return peer->fd >= 0 && rtp_frame_send(peer->fd, &peer->out, data, size);
	if (!peer->udp_cut)
		phone_send_raw(&peer->phone, data, size);
	return true;
}

static void take(struct peer *peer, const uint8_t *data, size_t bytes, const struct core_addr *from)
{
	if (bytes > 0 && data[0] <= 3) {
		if (peer->ice)
			(void)rtp_ice_take(peer->ice, 1, data, bytes, from, rig_now_ms());
		return;
	}
	if (bytes < 13 || (data[1] & 0x7f) >= 64) /* a report */
		return;
	peer->packets += from->transport == CORE_BY_TCP;
	peer->said = data[12];
}

static void take_connection(struct peer *peer)
{
	const struct core_addr from = door_addr();
	const uint8_t *data;
	size_t room, bytes;

	if (peer->fd < 0)
		return;
	uint8_t *at = rtp_frames_room(&peer->in, &room);
	ssize_t got = recv(peer->fd, at, room, MSG_DONTWAIT);

	if (got == 0 || (got < 0 && errno != EAGAIN)) {
		(void)close(peer->fd);
		peer->fd = -1;
		peer->is_over = true;
		return;
	}
	rtp_frames_put(&peer->in, got > 0 ? (size_t)got : 0);
	while (rtp_frames_take(&peer->in, &data, &bytes) == RTP_FRAME_WHOLE)
		take(peer, data, bytes, &from);
}

static void take_datagrams(struct peer *peer)
{
	uint8_t data[2048];
	ssize_t got;

	while ((got = recv(peer->phone.rtp_fd, data, sizeof data, MSG_DONTWAIT)) > 0)
		if (!peer->udp_cut)
			take(peer, data, (size_t)got, &peer->phone.pbx);
}

static void live(struct peer *peer)
{
	rig_round();
	take_connection(peer);
	take_datagrams(peer);
	if (!peer->ice || rig_now_ms() - peer->looked_at_ms < 100)
		return;
	peer->looked_at_ms = rig_now_ms();
	rtp_ice_look_after(peer->ice, rig_settings.consent_s * 1000, rig_now_ms());
}

/* As rig_until, while Alice lives. */
#define until(condition)                                                                                                                   \
	do {                                                                                                                               \
		uint64_t give_up_at_ms_ = rig_now_ms() + 20000;                                                                            \
		while (!(condition)) {                                                                                                     \
			ck_assert_msg(rig_now_ms() < give_up_at_ms_, "never came: " #condition);                                           \
			live(&alice);                                                                                                      \
		}                                                                                                                          \
	} while (0)

/* ---- a call: Alice by ICE, Bob by plain RTP ---- */

static void name_them(struct peer *peer, char generation)
{
	memset(&peer->own, 0, sizeof peer->own);
	memset(&peer->ours, 0, sizeof peer->ours);
	memset(peer->own.ufrag, generation, 4);
	memset(peer->own.pwd, generation, 24);
	memset(peer->ours.ufrag, generation - 32, 8);
	memset(peer->ours.pwd, generation - 32, 24);
}

static void configure(struct peer *peer)
{
	struct core_stream_config config;

	phone_config(&peer->phone, "PCMU", &config);
	config.rtp = config.rtcp = (struct core_addr){ 0 };
	config.rtcp_mux = true;
	config.own_ice = peer->ours;
	config.peer_ice.name = peer->own;
	ck_assert_int_eq(rtp_driver.configure(peer->phone.stream, &config), PBX_OK);
}

/* by_udp, by_tcp: which candidates of ours it knows. */
static void make_agent(struct peer *peer, bool by_udp, bool by_tcp)
{
	struct core_stream_config config = { .rtcp_mux = true, .own_ice = peer->own, .peer_ice.name = peer->ours, .ice_controlling = true };
	struct core_ice ice = { 0 };

	ck_assert_uint_eq(rtp_driver.ice(peer->phone.stream, &ice), CORE_ICE_FULL);
	for (uint8_t i = 0; i < ice.candidate_count; i++)
		if (ice.candidates[i].component == 1 && (ice.candidates[i].addr.transport == CORE_BY_TCP ? by_tcp : by_udp))
			config.peer_ice.candidates[config.peer_ice.candidate_count++] = ice.candidates[i];
	rtp_ice_free(peer->ice);
	peer->ice = rtp_ice_new(&config);
	rtp_ice_start(peer->ice, send_it, peer, rig_now_ms());
}

static void open_stream(struct peer *peer)
{
	phone_init(&peer->phone, AF_INET);
	peer->fd = -1;
	name_them(peer, 'a');
	ck_assert_int_eq(rtp_driver.open(1, AF_INET, &peer->phone.stream, &peer->phone.pbx), PBX_OK);
	ck_assert_int_eq(rtp_driver.ice_named(peer->phone.stream, &peer->ours), PBX_OK);
}

static void begin(void)
{
	choose_port();
	rig_start();
	memset(&alice, 0, sizeof alice);
	open_stream(&alice);
	phone_init(&bob, AF_INET);
	phone_call(&bob, 1, "PCMU");
	configure(&alice);
	ck_assert_int_eq(rtp_driver.connect(alice.phone.stream, bob.stream), PBX_OK);
	core_loop_settle();
}

static void end(void)
{
	phone_fini(&alice.phone);
	phone_fini(&bob);
	core_loop_settle();
	rig_until(rtp_engine.closing == 0);
	ck_assert_uint_eq(door().open + door().waiting, 0);
	rtp_ice_free(alice.ice);
	if (alice.fd >= 0)
		(void)close(alice.fd);
	rig_stop();
}

static bool is_by_tcp(void)
{
	return rig_stats(alice.phone.stream).remote.transport == CORE_BY_TCP;
}

static void say_by_tcp(struct peer *peer, uint8_t filled_with)
{
	uint8_t packet[172] = { 0x80, 0 };

	(void)rtp_put16(packet + 2, peer->phone.sequence++);
	(void)rtp_put32(packet + 4, peer->phone.timestamp);
	(void)rtp_put32(packet + 8, peer->phone.ssrc);
	memset(packet + 12, filled_with, 160);
	peer->phone.timestamp += 160;
	until(rtp_frame_send(peer->fd, &peer->out, packet, sizeof packet));
}

/* Both ways by the connection. */
static void check_they_talk(void)
{
	struct heard_packet packet;

	alice.said = 0;
	say_by_tcp(&alice, 0x11);
	ck_assert(phone_hear(&bob, &packet, 5000));
	ck_assert_uint_eq(packet.payload[0], 0x11);
	phone_say(&bob, 0x22);
	until(alice.said == 0x22);
}

static void begin_by_tcp(void)
{
	begin();
	alice.fd = dial();
	make_agent(&alice, false, true);
	until(is_by_tcp() && rtp_ice_state(alice.ice) == RTP_ICE_CONNECTED);
}

START_TEST(a_peer_without_udp_talks_by_its_connection)
{
	begin_by_tcp();
	check_they_talk();
	ck_assert_uint_ge(alice.packets, 1);
	struct rtp_door_totals totals = door();

	ck_assert_uint_eq(totals.let_in, 1);
	ck_assert_uint_eq(totals.open, 1);
	ck_assert_uint_eq(totals.waiting, 0);
	ck_assert_int_eq(rig_heard.first_packets, 2); /* hers and his */
	end();
}
END_TEST

START_TEST(we_say_where_the_door_is_below_where_datagrams_go)
{
	struct core_ice ice = { 0 };
	uint32_t doors = 0, least = UINT32_MAX;

	begin();
	ck_assert_uint_eq(rtp_driver.ice(alice.phone.stream, &ice), CORE_ICE_FULL);
	for (uint8_t i = 0; i < ice.candidate_count; i++)
		if (ice.candidates[i].addr.transport == CORE_BY_UDP && ice.candidates[i].priority < least)
			least = ice.candidates[i].priority;
	for (uint8_t i = 0; i < ice.candidate_count; i++) {
		if (ice.candidates[i].addr.transport == CORE_BY_UDP)
			continue;
		const struct core_addr where = door_addr();

		doors++;
		ck_assert(rtp_addr_same(&ice.candidates[i].addr, &where));
		ck_assert_uint_eq(ice.candidates[i].component, 1);
		ck_assert_uint_lt(ice.candidates[i].priority, least);
	}
	ck_assert_uint_eq(doors, 1);
	end();
}
END_TEST

START_TEST(an_address_in_front_of_a_nat_has_the_door_too)
{
	struct core_ice ice = { 0 };
	uint32_t mapped = 0;

	rig_settings.external_ip = "192.0.2.9";
	begin();
	ck_assert_uint_eq(rtp_driver.ice(alice.phone.stream, &ice), CORE_ICE_FULL);
	for (uint8_t i = 0; i < ice.candidate_count; i++)
		mapped += ice.candidates[i].addr.transport == CORE_BY_TCP && ice.candidates[i].kind == CORE_CANDIDATE_SERVER_REFLEXIVE &&
			  ntohl(ice.candidates[i].addr.in4.sin_addr.s_addr) == 0xc0000209;
	ck_assert_uint_eq(mapped, 1);
	end();
}
END_TEST

/* ---- the door ---- */

static size_t frame_check(uint8_t *ret_frame, const char *ours, const char *pwd)
{
	static const uint8_t id[RTP_STUN_ID_BYTES] = { 7 };
	struct rtp_stun_key *key = rtp_stun_key_new(pwd);
	struct rtp_stun_text text;

	rtp_stun_begin(&text, RTP_STUN_REQUEST, id);
	rtp_stun_add_username(&text, ours, alice.own.ufrag);
	rtp_stun_add_priority(&text, 1000);
	rtp_stun_add_role(&text, true, 5);
	size_t size = rtp_stun_finish(&text, key);

	rtp_stun_key_free(key);
	memcpy(rtp_put16(ret_frame, (uint16_t)size), text.data, size);
	return 2 + size;
}

static void wait_until_closed(int fd)
{
	char octet;
	ssize_t got = -1;

	until((got = recv(fd, &octet, 1, MSG_DONTWAIT)) == 0 || (got < 0 && errno != EAGAIN));
	(void)close(fd);
}

static void expect_refused(const void *data, size_t size, uint32_t why)
{
	uint64_t before = door().refused[why];
	int fd = dial();

	ck_assert_int_eq(send(fd, data, size, MSG_NOSIGNAL), (ssize_t)size);
	until(door().refused[why] == before + 1);
	wait_until_closed(fd);
}

START_TEST(whoever_cannot_say_whose_peer_it_is_is_shown_out_and_counted)
{
	static const uint8_t nothing[2], long_one[] = { 2, 1 }, http[] = "GET / HTTP/1.1\r\n\r\n", tls[] = { 22, 3, 1, 2, 0, 1 };
	uint8_t frame[500], indication[500];

	begin();
	size_t size = frame_check(frame, "zzzzzzzz", alice.ours.pwd);

	expect_refused(frame, size, RTP_DOOR_STRANGER);
	size = frame_check(frame, "AAAAAAA", alice.ours.pwd); /* the beginning of a name is none */
	expect_refused(frame, size, RTP_DOOR_STRANGER);
	size = frame_check(frame, alice.ours.ufrag, alice.own.pwd);
	expect_refused(frame, size, RTP_DOOR_FORGED);
	size = frame_check(frame, alice.ours.ufrag, alice.ours.pwd);
	memcpy(indication, frame, size);
	indication[40] ^= 1; /* and no right checksum */
	expect_refused(indication, size, RTP_DOOR_NO_CHECK);
	expect_refused(nothing, sizeof nothing, RTP_DOOR_NO_CHECK);
	expect_refused(long_one, sizeof long_one, RTP_DOOR_NO_CHECK);
	expect_refused(http, sizeof http - 1, RTP_DOOR_NO_CHECK);
	expect_refused(tls, sizeof tls, RTP_DOOR_NO_CHECK);
	ck_assert_uint_eq(door().let_in, 0);
	ck_assert_uint_eq(rtp_read(&rtp_stream_find(alice.phone.stream)->session.counters.foreign), 0);
	end();
}
END_TEST

START_TEST(the_door_is_there_in_ipv6_too)
{
	struct core_ice ice = { 0 };
	struct core_addr local, where = { 0 };
	core_stream six;

	begin();
	ck_assert_int_eq(rtp_driver.open(1, AF_INET6, &six, &local), PBX_OK);
	ck_assert_uint_eq(rtp_driver.ice(six, &ice), CORE_ICE_FULL);
	for (uint8_t i = 0; i < ice.candidate_count; i++)
		if (ice.candidates[i].addr.transport == CORE_BY_TCP)
			where = ice.candidates[i].addr;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, &where.sa, sizeof where.in6), 0);
	ck_assert_int_eq(send(fd, "\0", 2, MSG_NOSIGNAL), 2);
	wait_until_closed(fd);
	ck_assert_uint_eq(door().refused[RTP_DOOR_NO_CHECK], 1);
	ck_assert_int_eq(rtp_driver.close(six), PBX_OK);
	end();
}
END_TEST

START_TEST(the_first_frame_may_come_in_any_two_pieces)
{
	uint8_t frame[500];

	rig_settings.ice_tcp_connections = rig_settings.ice_tcp_per_address = 1000;
	begin();
	size_t size = frame_check(frame, alice.ours.ufrag, alice.ours.pwd);

	for (size_t cut = 1; cut < size; cut++) {
		uint64_t before = door().let_in;
		int fd = dial();
		struct rtp_frames answer = { 0 };
		const uint8_t *data;
		size_t room, bytes;

		ck_assert_int_eq(send(fd, frame, cut, MSG_NOSIGNAL), (ssize_t)cut);
		rig_until(door().waiting == 1);
		ck_assert_int_eq(send(fd, frame + cut, size - cut, MSG_NOSIGNAL), (ssize_t)(size - cut));
		rig_until(door().let_in == before + 1);
		rig_until(rtp_frames_missing(&answer) == 0 || ({
				  uint8_t *at = rtp_frames_room(&answer, &room);
				  ssize_t got = recv(fd, at, room, MSG_DONTWAIT);

				  rtp_frames_put(&answer, got > 0 ? (size_t)got : 0);
				  false;
			  }));
		ck_assert_uint_eq(rtp_frames_take(&answer, &data, &bytes), RTP_FRAME_WHOLE);
		ck_assert_uint_eq(rtp_get16(data), RTP_STUN_SUCCESS);
		(void)close(fd);
		rig_until(door().open == 0);
	}
	end();
}
END_TEST

START_TEST(a_slow_one_is_not_waited_for_and_a_silent_crowd_keeps_nobody_out)
{
	uint8_t frame[500];
	int slow, silent[40];

	begin();
	size_t size = frame_check(frame, alice.ours.ufrag, alice.ours.pwd);

	slow = dial();
	ck_assert_int_eq(send(slow, frame, size - 1, MSG_NOSIGNAL), (ssize_t)size - 1);
	rig_until(door().waiting == 1);
	for (uint32_t i = 0; i < 40; i++) {
		silent[i] = dial();
		rig_until(door().waiting + door().refused[RTP_DOOR_CROWDED] == i + 2);
	}
	ck_assert_uint_eq(door().waiting, 32); /* of one host; those that came first have made room, the slow one before all others */
	wait_until_closed(slow);
	alice.fd = dial();
	make_agent(&alice, false, true);
	until(is_by_tcp());
	check_they_talk();
	until(door().refused[RTP_DOOR_LATE] == 31); /* after five seconds */
	ck_assert_uint_eq(door().waiting, 0);
	check_they_talk();
	for (uint32_t i = 0; i < 40; i++)
		(void)close(silent[i]);
	end();
}
END_TEST

/* ---- who is not wanted ---- */

static bool is_banned;
static uint32_t asked;

static bool lets_in(const struct core_addr *from, const char *transport)
{
	ck_assert_str_eq(transport, "tcp");
	ck_assert_int_eq(from->sa.sa_family, AF_INET);
	asked++;
	return !is_banned;
}

START_TEST(whoever_guards_the_border_is_asked_before_anything_is_read)
{
	begin();
	asked = 0;
	is_banned = true;
	core_gate_set_guard(lets_in);
	int fd = dial();

	wait_until_closed(fd);
	ck_assert_uint_eq(asked, 1);
	ck_assert_uint_eq(door().refused[RTP_DOOR_UNWANTED], 1);
	ck_assert_uint_eq(door().waiting, 0);
	is_banned = false;
	alice.fd = dial();
	make_agent(&alice, false, true);
	until(is_by_tcp());
	check_they_talk();
	core_gate_set_guard(NULL);
	end();
}
END_TEST

START_TEST(a_ban_shows_out_who_is_there_already)
{
	begin_by_tcp();
	int silent = dial();

	until(door().waiting == 1);
	core_gate_set_guard(lets_in);
	is_banned = false;
	core_gate_review();
	check_they_talk();
	is_banned = true;
	core_gate_review();
	wait_until_closed(silent);
	until(alice.is_over);
	until(door().open == 0);
	ck_assert_uint_eq(door().refused[RTP_DOOR_UNWANTED], 2);
	core_gate_review(); /* nobody is left */
	ck_assert_uint_eq(door().refused[RTP_DOOR_UNWANTED], 2);
	core_gate_set_guard(NULL);
	end();
}
END_TEST

START_TEST(there_is_an_end_to_how_many_one_address_may_have)
{
	uint8_t frame[500];
	int fds[4];

	rig_settings.ice_tcp_per_address = 3;
	begin();
	size_t size = frame_check(frame, alice.ours.ufrag, alice.ours.pwd);

	for (int i = 0; i < 3; i++) {
		fds[i] = dial();
		ck_assert_int_eq(send(fds[i], frame, size, MSG_NOSIGNAL), (ssize_t)size);
		rig_until(door().let_in == (uint64_t)i + 1);
	}
	fds[3] = dial();
	rig_until(door().refused[RTP_DOOR_CROWDED] == 1);
	wait_until_closed(fds[3]);
	(void)close(fds[0]);
	rig_until(door().open == 2);
	fds[0] = dial();
	rig_until(door().waiting == 1);
	for (int i = 0; i < 3; i++)
		(void)close(fds[i]);
	rig_until(door().open + door().waiting == 0);
	end();
}
END_TEST

START_TEST(a_stream_takes_only_so_many)
{
	uint8_t frame[500];
	int fds[RTP_TCP_MOST + 1];

	begin();
	size_t size = frame_check(frame, alice.ours.ufrag, alice.ours.pwd);

	for (uint32_t i = 0; i <= RTP_TCP_MOST; i++) {
		fds[i] = dial();
		ck_assert_int_eq(send(fds[i], frame, size, MSG_NOSIGNAL), (ssize_t)size);
		rig_until(door().let_in == i + 1);
	}
	wait_until_closed(fds[RTP_TCP_MOST]);
	ck_assert_uint_eq(door().open, RTP_TCP_MOST);
	for (uint32_t i = 0; i < RTP_TCP_MOST; i++)
		(void)close(fds[i]);
	end();
}
END_TEST

START_TEST(who_checks_before_its_answer_is_here_waits_for_it)
{
	choose_port();
	rig_start();
	memset(&alice, 0, sizeof alice);
	open_stream(&alice);
	phone_init(&bob, AF_INET);
	phone_call(&bob, 1, "PCMU");
	alice.fd = dial();
	make_agent(&alice, false, true);
	until(door().waiting == 1 && door().let_in == 0);
	live(&alice);
	ck_assert_uint_eq(door().open, 0);
	configure(&alice);
	ck_assert_int_eq(rtp_driver.connect(alice.phone.stream, bob.stream), PBX_OK);
	until(is_by_tcp());
	check_they_talk();
	end();
}
END_TEST

START_TEST(a_stream_that_ends_takes_all_along_that_waits_and_talks)
{
	uint8_t frame[500];
	int fd;

	begin_by_tcp();
	name_them(&alice, 'b');
	ck_assert_int_eq(rtp_driver.ice_named(alice.phone.stream, &alice.ours), PBX_OK);
	size_t size = frame_check(frame, alice.ours.ufrag, alice.ours.pwd);

	fd = dial();
	ck_assert_int_eq(send(fd, frame, size, MSG_NOSIGNAL), (ssize_t)size);
	rig_until(door().waiting == 1);
	ck_assert_int_eq(rtp_driver.close(alice.phone.stream), PBX_OK);
	alice.phone.stream.id = 0;
	wait_until_closed(fd);
	until(alice.is_over);
	end();
}
END_TEST

/* ---- what goes by it ---- */

START_TEST(odd_frames_harm_nobody_and_two_in_a_segment_are_two)
{
	static uint8_t much[2 + 65535], two[2 * 174];
	struct heard_packet packet;

	begin_by_tcp();
	uint64_t malformed = rig_stats(alice.phone.stream).malformed;

	ck_assert_int_eq(send(alice.fd, much, 2, MSG_NOSIGNAL), 2); /* a frame of nothing */
	(void)rtp_put16(much, 65535);
	for (size_t sent = 0; sent < sizeof much;) {
		ssize_t part = send(alice.fd, much + sent, sizeof much - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += part > 0 ? (size_t)part : 0;
		live(&alice);
	}
	for (uint32_t i = 0; i < 2; i++) {
		uint8_t *at = rtp_put16(two + i * 174, 172);

		at[0] = 0x80;
		(void)rtp_put16(at + 2, alice.phone.sequence++);
		(void)rtp_put32(at + 4, alice.phone.timestamp += 160);
		(void)rtp_put32(at + 8, alice.phone.ssrc);
		memset(at + 12, 0x31 + (int)i, 160);
	}
	ck_assert_int_eq(send(alice.fd, two, sizeof two, MSG_NOSIGNAL), sizeof two);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert(phone_hear(&bob, &packet, 5000));
		ck_assert_uint_eq(packet.payload[0], 0x31 + i);
	}
	ck_assert_uint_eq(rig_stats(alice.phone.stream).malformed, malformed + 1);
	check_they_talk();
	end();
}
END_TEST

START_TEST(a_peer_that_does_not_read_costs_packets_and_nobody_waits)
{
	struct heard_packet packet;
	uint32_t sent = 0;

	begin_by_tcp();
	check_they_talk();
	while (rig_stats(alice.phone.stream).unsent < 50) { /* nobody reads at Alice's end */
		phone_say(&bob, 0x33);
		rig_round();
		ck_assert_uint_lt(++sent, 100000);
	}
	say_by_tcp(&alice, 0x44); /* her own way is free all the time */
	ck_assert(phone_hear(&bob, &packet, 5000));
	uint32_t before = alice.packets;

	until(alice.packets > before + 10); /* she reads on: frames are where they should be */
	until((phone_say(&bob, 0x55), alice.said == 0x55));
	ck_assert_uint_ge(rig_stats(alice.phone.stream).packets_out, sent);
	end();
}
END_TEST

/* ---- ways change ---- */

START_TEST(datagrams_are_preferred_and_the_connection_is_there_when_they_end)
{
	rig_settings.consent_s = 8;
	begin();
	alice.fd = dial();
	make_agent(&alice, true, true);
	until(rig_stats(alice.phone.stream).remote.in4.sin_port == alice.phone.rtp.in4.sin_port && !is_by_tcp());
	until(rtp_ice_state(alice.ice) == RTP_ICE_CONNECTED && door().open == 1);
	alice.udp_cut = true; /* from here on a firewall lets none through */
	until(is_by_tcp());   /* she has nominated it when she had heard nothing for four seconds */
	check_they_talk();
	end();
}
END_TEST

START_TEST(a_connection_that_breaks_amid_a_frame_leaves_the_other_way)
{
	struct heard_packet packet;

	begin();
	alice.udp_cut = true;
	alice.fd = dial();
	make_agent(&alice, true, true);
	until(is_by_tcp() && rtp_ice_state(alice.ice) == RTP_ICE_CONNECTED);
	alice.udp_cut = false;
	until((phone_say(&bob, 0x21), alice.said == 0x21));
	until(rtp_ice_knows(alice.ice, 1, &alice.phone.pbx)); /* both work */
	ck_assert_int_eq(send(alice.fd, "\0\377half", 6, MSG_NOSIGNAL), 6);
	const struct core_addr there = door_addr();

	(void)close(alice.fd);
	alice.fd = -1;
	rtp_ice_forget(alice.ice, &there, rig_now_ms());
	until(!is_by_tcp() && door().open == 0);
	until((phone_say(&bob, 0x66), alice.said == 0x66)); /* by datagrams */
	phone_say(&alice.phone, 0x77);
	ck_assert(phone_hear(&bob, &packet, 5000));
	ck_assert_uint_eq(packet.payload[0], 0x77);
	end();
}
END_TEST

START_TEST(the_only_connection_may_come_again)
{
	begin_by_tcp();
	(void)close(alice.fd);
	until(door().open == 0);
	ck_assert(!is_by_tcp());
	ck_assert_int_eq(rig_heard.failures, 0);
	const struct core_addr there = door_addr();

	rtp_ice_forget(alice.ice, &there, rig_now_ms());
	memset(&alice.in, 0, sizeof alice.in);
	alice.fd = dial();
	make_agent(&alice, false, true);
	until(is_by_tcp());
	check_they_talk();
	end();
}
END_TEST

START_TEST(a_leg_whose_connection_never_comes_again_is_lost_in_time)
{
	begin_by_tcp();
	struct rtp_settings quick = rig_settings;
	struct pbx_diag diag;

	quick.consent_s = 1; /* less than the settings allow */
	ck_assert_int_eq(rtp_engine_configure(&quick, &diag), PBX_OK);
	(void)close(alice.fd);
	alice.fd = -1;
	rig_until(rig_heard.failures > 0);
	ck_assert_uint_eq(rig_heard.why, CORE_MEDIA_CONSENT_LOST);
	end();
}
END_TEST

START_TEST(ice_that_begins_anew_has_a_connection_of_its_own)
{
	begin_by_tcp();
	check_they_talk();
	int before = alice.fd;

	name_them(&alice, 'c');
	ck_assert_int_eq(rtp_driver.ice_named(alice.phone.stream, &alice.ours), PBX_OK);
	configure(&alice);
	core_loop_settle();
	phone_say(&bob, 0x23); /* the old way serves on until there is a new one */
	until(alice.said == 0x23);
	memset(&alice.in, 0, sizeof alice.in);
	alice.fd = dial();
	make_agent(&alice, false, true);
	until(door().open == 2);
	until(rtp_ice_state(alice.ice) == RTP_ICE_CONNECTED);
	check_they_talk();
	(void)close(before);
	until(door().open == 1);
	check_they_talk();
	end();
}
END_TEST

START_TEST(a_leg_that_moves_to_another_worker_takes_its_connection_along)
{
	struct phone carol;
	struct heard_packet packet;

	begin_by_tcp();
	phone_init(&carol, AF_INET);
	phone_call(&carol, 2, "PCMU"); /* of another call: on the other worker */
	ck_assert_uint_ne(rig_stats(carol.stream).worker, rig_stats(alice.phone.stream).worker);
	ck_assert_int_eq(rtp_driver.connect(carol.stream, alice.phone.stream), PBX_OK);
	rig_until(rig_stats(carol.stream).worker == rig_stats(alice.phone.stream).worker);
	alice.said = 0;
	until((phone_say(&carol, 0x51), alice.said == 0x51));
	say_by_tcp(&alice, 0x52);
	ck_assert(phone_hear(&carol, &packet, 5000));
	ck_assert_uint_eq(packet.payload[0], 0x52);
	phone_fini(&carol);
	end();
}
END_TEST

START_TEST(without_ice_there_is_no_connection)
{
	struct core_stream_config config;

	begin_by_tcp();
	phone_config(&alice.phone, "PCMU", &config);
	ck_assert_int_eq(rtp_driver.configure(alice.phone.stream, &config), PBX_OK);
	until(alice.is_over);
	end();
}
END_TEST

START_TEST(a_port_that_somebody_has_is_named)
{
	const struct core_addr where = (choose_port(), door_addr());
	struct pbx_diag diag = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, &where.sa, sizeof where.in4), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(core_loop_init(false), PBX_OK);
	rig_settings.port_min = 20000;
	rig_settings.port_max = 20100;
	static const struct rtp_observer nobody;

	ck_assert_int_eq(rtp_engine_start(&rig_settings, &nobody, &diag), PBX_EIO);
	ck_assert_str_eq(diag.field, "ice_tcp_port");
	ck_assert_ptr_nonnull(strstr(diag.text, "Address already in use"));
	rtp_engine_stop();
	core_loop_fini();
	(void)close(fd);
}
END_TEST

CHECK_MAIN("tcp", a_peer_without_udp_talks_by_its_connection, we_say_where_the_door_is_below_where_datagrams_go,
	   an_address_in_front_of_a_nat_has_the_door_too, whoever_cannot_say_whose_peer_it_is_is_shown_out_and_counted,
	   the_door_is_there_in_ipv6_too, the_first_frame_may_come_in_any_two_pieces,
	   a_slow_one_is_not_waited_for_and_a_silent_crowd_keeps_nobody_out, whoever_guards_the_border_is_asked_before_anything_is_read,
	   a_ban_shows_out_who_is_there_already, there_is_an_end_to_how_many_one_address_may_have, a_stream_takes_only_so_many,
	   who_checks_before_its_answer_is_here_waits_for_it, a_stream_that_ends_takes_all_along_that_waits_and_talks,
	   odd_frames_harm_nobody_and_two_in_a_segment_are_two, a_peer_that_does_not_read_costs_packets_and_nobody_waits,
	   datagrams_are_preferred_and_the_connection_is_there_when_they_end, a_connection_that_breaks_amid_a_frame_leaves_the_other_way,
	   the_only_connection_may_come_again, a_leg_whose_connection_never_comes_again_is_lost_in_time,
	   ice_that_begins_anew_has_a_connection_of_its_own, a_leg_that_moves_to_another_worker_takes_its_connection_along,
	   without_ice_there_is_no_connection, a_port_that_somebody_has_is_named)
