/* tests/rtp/test_outside.c - our address as a STUN server tells it, and what kind of NAT it finds: on a clock that moves when told, a server of
 * the test's own behind real sockets */
#include "../check_main.h"
#include <arpa/inet.h>
#include <core/io.h>
#include <core/loop.h>
#include <core/owner_internal.h>
#include <core/timer.h>
#include <rtp/nat.h>
#include <rtp/session.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_S 60u

static struct core_owner owner;
static int server; /* a socket on 127.0.0.1 */
static char server_name[32];
static uint32_t told;
static struct rtp_outside last;
static struct core_addr last_before;

static struct core_addr addr_of(const char *host, uint16_t port)
{
	struct core_addr addr;

	memset(&addr, 0, sizeof addr);
	addr.in4.sin_family = AF_INET;
	addr.in4.sin_port = htons(port);
	ck_assert_int_eq(inet_pton(AF_INET, host, &addr.in4.sin_addr), 1);
	return addr;
}

static struct core_addr address_of(int fd)
{
	struct core_addr addr;
	socklen_t size = sizeof addr.in6;

	memset(&addr, 0, sizeof addr);
	ck_assert_int_eq(getsockname(fd, &addr.sa, &size), 0);
	return addr;
}

static int open_socket(const char *host, uint16_t port)
{
	const struct core_addr addr = addr_of(host, port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, &addr.sa, sizeof addr.in4), 0);
	return fd;
}

static void on_changed(const struct rtp_outside *now, const struct core_addr *before)
{
	told++;
	last = *now;
	last_before = *before;
}

static void setup(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	core_owner_init(&owner, "media", NULL);
	server = open_socket("127.0.0.1", 0);
	(void)snprintf(server_name, sizeof server_name, "127.0.0.1:%u", ntohs(address_of(server).in4.sin_port));
	told = 0;
	memset(&last, 0, sizeof last);
}

static void teardown(void)
{
	rtp_nat_stop();
	rtp_outside_stop();
	core_loop_settle();
	core_owner_fini(&owner);
	ck_assert_uint_eq(core_timer_count(), 0);
	(void)close(server);
	core_loop_fini();
}

static void begin(void)
{
	rtp_outside_configure(&owner.host, server_name, INTERVAL_S, on_changed);
	core_loop_settle(); /* the pool has read the name */
}

/* A question as it came to a server's socket. */
struct question {
	struct core_addr from;
	uint8_t bytes[1500];
	size_t size;
	struct rtp_stun is;
};

/* False: there is none. */
static bool next_question(int fd, struct question *ret_question)
{
	socklen_t length = sizeof ret_question->from.in6;

	memset(&ret_question->from, 0, sizeof ret_question->from);
	ssize_t size = recvfrom(fd, ret_question->bytes, sizeof ret_question->bytes, 0, &ret_question->from.sa, &length);
	if (size < 0)
		return false;
	ret_question->size = (size_t)size;
	ck_assert(rtp_stun_parse(ret_question->bytes, ret_question->size, &ret_question->is)); /* with a FINGERPRINT */
	ck_assert_uint_eq(ret_question->is.type, RTP_STUN_REQUEST);
	ck_assert_uint_eq(ret_question->is.integrity_at, 0);
	return true;
}

static void send_to(int fd, const struct question *question, const void *bytes, size_t size)
{
	ck_assert_int_eq(sendto(fd, bytes, size, 0, &question->from.sa, sizeof question->from.in4), (ssize_t)size);
}

/* An answer with the question's number: XOR-MAPPED-ADDRESS, and a FINGERPRINT. */
static void answer_from(int fd, const struct question *question, const char *host)
{
	const struct core_addr mapped = addr_of(host, 40000);
	struct rtp_stun_text text;

	rtp_stun_begin(&text, RTP_STUN_SUCCESS, question->is.id);
	rtp_stun_add_mapped(&text, &mapped);
	size_t size = rtp_stun_finish_plain(&text);
	send_to(fd, question, text.data, size);
	core_loop_settle();
}

static bool knows(const char *host)
{
	const struct core_addr expected = addr_of(host, 0);
	struct core_addr address;

	return rtp_outside_address(AF_INET, &address) && memcmp(&address, &expected, sizeof expected) == 0;
}

static enum rtp_outside_state state(void)
{
	struct rtp_outside now;

	rtp_outside_get(&now);
	return now.state;
}

START_TEST(the_address_is_learnt_and_asked_for_again_from_time_to_time)
{
	struct question question;
	struct core_addr none;

	setup();
	ck_assert_int_eq(state(), RTP_OUTSIDE_OFF);
	begin();
	ck_assert_int_eq(state(), RTP_OUTSIDE_ASKING);
	ck_assert(!rtp_outside_address(AF_INET, &none));
	ck_assert(next_question(server, &question));
	answer_from(server, &question, "198.51.100.7");
	ck_assert(knows("198.51.100.7"));
	ck_assert(!rtp_outside_address(AF_INET6, &none));
	ck_assert_uint_eq(told, 1);
	ck_assert_int_eq(last.state, RTP_OUTSIDE_KNOWN);
	ck_assert_int_eq(last_before.sa.sa_family, AF_UNSPEC);
	ck_assert_int_gt(last.since_wall_us, 0);

	core_loop_pass_ms(INTERVAL_S * 1000 - 1);
	ck_assert(!next_question(server, &question));
	core_loop_pass_ms(1);
	ck_assert(next_question(server, &question));
	answer_from(server, &question, "198.51.100.7");
	ck_assert_uint_eq(told, 1); /* nothing new */

	core_loop_pass_ms(INTERVAL_S * 1000);
	ck_assert(next_question(server, &question));
	answer_from(server, &question, "198.51.100.8");
	ck_assert(knows("198.51.100.8"));
	ck_assert_uint_eq(told, 2);
	ck_assert_uint_eq(last_before.in4.sin_addr.s_addr, inet_addr("198.51.100.7"));
	teardown();
}
END_TEST

/* RFC 8489 6.2.1: 0, 500, 1500, 3500, 7500, 15500 and 31500 ms; given up at 39500. */
START_TEST(a_server_that_is_silent_is_asked_seven_times_and_what_was_known_holds_on)
{
	static const uint64_t pauses_ms[] = { 500, 1000, 2000, 4000, 8000, 16000 };
	struct question question, again;

	setup();
	begin();
	ck_assert(next_question(server, &question));
	answer_from(server, &question, "198.51.100.7");
	core_loop_pass_ms(INTERVAL_S * 1000);
	ck_assert(next_question(server, &question));
	for (size_t i = 0; i < sizeof pauses_ms / sizeof pauses_ms[0]; i++) {
		core_loop_pass_ms(pauses_ms[i] - 1);
		ck_assert(!next_question(server, &again));
		core_loop_pass_ms(1);
		ck_assert(next_question(server, &again));
		ck_assert_mem_eq(again.bytes, question.bytes, question.size); /* the same, octet by octet */
	}
	core_loop_pass_ms(7999);
	ck_assert_int_eq(state(), RTP_OUTSIDE_KNOWN);
	core_loop_pass_ms(1);
	ck_assert_int_eq(state(), RTP_OUTSIDE_NO_ANSWER);
	ck_assert(knows("198.51.100.7"));
	ck_assert_uint_eq(told, 2);
	ck_assert_int_eq(last.state, RTP_OUTSIDE_NO_ANSWER);
	ck_assert(rtp_addr_same_host(&last.address, &last_before));

	answer_from(server, &question, "203.0.113.66"); /* too late: nobody waits at that port any more */
	ck_assert(knows("198.51.100.7"));
	core_loop_pass_ms(INTERVAL_S * 1000);
	ck_assert(next_question(server, &again));
	answer_from(server, &again, "198.51.100.7");
	ck_assert_int_eq(state(), RTP_OUTSIDE_KNOWN);
	ck_assert_uint_eq(told, 3);
	teardown();
}
END_TEST

START_TEST(what_is_forged_or_broken_is_dropped_and_the_answer_still_taken)
{
	struct question question, other;
	struct rtp_stun_text text;
	struct rtp_outside now;

	setup();
	begin();
	ck_assert(next_question(server, &question));
	int stranger = open_socket("127.0.0.1", 0), neighbour = open_socket("127.0.0.2", ntohs(address_of(server).in4.sin_port));
	answer_from(stranger, &question, "203.0.113.66");  /* the right number, from another port */
	answer_from(neighbour, &question, "203.0.113.66"); /* and from another host */

	other = question; /* from the server, with another number */
	uint8_t number[RTP_STUN_ID_BYTES];
	memcpy(number, question.is.id, sizeof number);
	number[11] ^= 1;
	other.is.id = number;
	answer_from(server, &other, "203.0.113.66");

	const struct core_addr mapped = addr_of("203.0.113.66", 1); /* a FINGERPRINT that is wrong */
	rtp_stun_begin(&text, RTP_STUN_SUCCESS, question.is.id);
	rtp_stun_add_mapped(&text, &mapped);
	size_t size = rtp_stun_finish_plain(&text);
	text.data[size - 1] ^= 1;
	send_to(server, &question, text.data, size);
	send_to(server, &question, "SIP/2.0 200 OK", 14);
	send_to(server, &question, question.bytes, question.size); /* our own question */
	core_loop_settle();

	ck_assert_uint_eq(told, 0);
	ck_assert_int_eq(state(), RTP_OUTSIDE_ASKING);
	rtp_outside_get(&now);
	ck_assert_uint_eq(now.dropped, 6);
	answer_from(server, &question, "198.51.100.7");
	ck_assert(knows("198.51.100.7"));
	(void)close(stranger);
	(void)close(neighbour);
	teardown();
}
END_TEST

/* RFC 3489's servers know MAPPED-ADDRESS alone, and no FINGERPRINT. */
START_TEST(an_old_server_is_understood)
{
	uint8_t answer[32] = { 0x01, 0x01, 0, 12, 0x21, 0x12, 0xa4, 0x42, [20] = 0, 1, 0, 8, 0, 1, 0x9c, 0x40, 198, 51, 100, 7 };
	struct question question;

	setup();
	begin();
	ck_assert(next_question(server, &question));
	memcpy(answer + 8, question.is.id, RTP_STUN_ID_BYTES);
	send_to(server, &question, answer, sizeof answer);
	core_loop_settle();
	ck_assert(knows("198.51.100.7"));
	teardown();
}
END_TEST

START_TEST(an_error_and_an_address_that_nobody_has_are_refusals)
{
	static const char *const nobodys[] = { "0.0.0.0", "224.0.0.1", "255.255.255.255", "0.1.2.3" };
	struct rtp_stun_text text;
	struct question question;

	setup();
	begin();
	ck_assert(next_question(server, &question));
	rtp_stun_begin(&text, RTP_STUN_ERROR, question.is.id);
	rtp_stun_add_error(&text, RTP_STUN_BAD_REQUEST, 0);
	size_t size = rtp_stun_finish_plain(&text);
	send_to(server, &question, text.data, size);
	core_loop_settle();
	ck_assert_int_eq(state(), RTP_OUTSIDE_REFUSED);
	ck_assert_uint_eq(told, 1);
	for (size_t i = 0; i < sizeof nobodys / sizeof nobodys[0]; i++) {
		core_loop_pass_ms(INTERVAL_S * 1000);
		ck_assert(next_question(server, &question));
		answer_from(server, &question, nobodys[i]);
		ck_assert_int_eq(state(), RTP_OUTSIDE_REFUSED);
		ck_assert(!knows(nobodys[i]));
	}
	ck_assert_uint_eq(told, 1); /* said once */
	teardown();
}
END_TEST

START_TEST(another_server_is_asked_at_once_and_none_makes_the_address_unknown)
{
	struct question question;
	struct core_addr address;
	char name[32];

	setup();
	begin();
	ck_assert(next_question(server, &question));
	answer_from(server, &question, "198.51.100.7");
	rtp_outside_configure(&owner.host, server_name, 5, on_changed); /* the same */
	ck_assert(knows("198.51.100.7"));

	int second = open_socket("127.0.0.1", 0);
	(void)snprintf(name, sizeof name, "127.0.0.1:%u", ntohs(address_of(second).in4.sin_port));
	rtp_outside_configure(&owner.host, name, 5, on_changed);
	ck_assert(!rtp_outside_address(AF_INET, &address));
	core_loop_settle();
	ck_assert(next_question(second, &question));
	rtp_outside_configure(&owner.host, "", 5, on_changed); /* while it is being asked */
	ck_assert_int_eq(state(), RTP_OUTSIDE_OFF);
	answer_from(second, &question, "198.51.100.9");
	ck_assert(!rtp_outside_address(AF_INET, &address));
	(void)close(second);
	teardown();
}
END_TEST

START_TEST(a_name_that_nobody_has_is_said_and_one_that_is_changed_while_it_is_looked_up_is_forgotten)
{
	struct question question;

	setup();
	rtp_outside_configure(&owner.host, "no..host", INTERVAL_S, on_changed); /* no resolver need be asked for that */
	core_loop_settle();
	ck_assert_int_eq(state(), RTP_OUTSIDE_NO_HOST);
	ck_assert_uint_eq(told, 1);
	told = 0;
	rtp_outside_configure(&owner.host, "127.0.0.3:3478", INTERVAL_S, on_changed);
	rtp_outside_configure(&owner.host, server_name, INTERVAL_S, on_changed);
	core_loop_settle();
	ck_assert_uint_eq(told, 0);
	ck_assert(next_question(server, &question));
	answer_from(server, &question, "198.51.100.7");
	ck_assert(knows("198.51.100.7"));
	teardown();
}
END_TEST

START_TEST(what_names_a_server_and_what_does_not)
{
	static const char *const good[] = { "stun.example.net", "stun.example.net:3479", "192.0.2.7",   "192.0.2.7:1",
					    "[2001:db8::7]",    "[2001:db8::7]:65535",   "2001:db8::7", "" };
	static const char *const bad[] = { ":3478",        "stun.example.net:", "a:0", "a:65536", "a:12x",
					   "[2001:db8::7", "[2001:db8::7]x",    "[]",  "a b",     "stun:a@b" };
	struct pbx_diag diag;
	struct core_addr addr;

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ck_assert_msg(rtp_outside_check(good[i], &diag) == PBX_OK, "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(rtp_outside_check(bad[i], &diag) == PBX_EINVAL, "%s", bad[i]);
	ck_assert(rtp_outside_resolve("192.0.2.7", &addr));
	ck_assert_uint_eq(ntohs(addr.in4.sin_port), 3478);
	ck_assert(rtp_outside_resolve("[2001:db8::7]:99", &addr));
	ck_assert_int_eq(addr.sa.sa_family, AF_INET6);
	ck_assert_uint_eq(ntohs(addr.in6.sin6_port), 99);
	ck_assert(rtp_outside_resolve("2001:db8::7", &addr));
	ck_assert_uint_eq(ntohs(addr.in6.sin6_port), 3478);
}
END_TEST

/* ---- RFC 5780 ---- */

static struct rtp_nat_finding finding;
static uint32_t found;

static void on_found(void *context, const struct rtp_nat_finding *given)
{
	(void)context;
	finding = *given;
	found++;
}

/* A server with two addresses, behind a NAT that is played: [address][port]. */
static int places[2][2];

static void open_places(void)
{
	places[0][0] = server;
	places[0][1] = open_socket("127.0.0.1", 0);
	places[1][0] = open_socket("127.0.0.2", ntohs(address_of(places[0][0]).in4.sin_port));
	places[1][1] = open_socket("127.0.0.2", ntohs(address_of(places[0][1]).in4.sin_port));
}

static void close_places(void)
{
	(void)close(places[0][1]);
	(void)close(places[1][0]);
	(void)close(places[1][1]);
}

/* XOR-MAPPED-ADDRESS as given and OTHER-ADDRESS. */
static void tell_mapped(int fd, const struct question *question, const char *host, uint16_t port)
{
	const struct core_addr mapped = addr_of(host, port), other = address_of(places[1][1]);
	struct rtp_stun_text text;

	rtp_stun_begin(&text, RTP_STUN_SUCCESS, question->is.id);
	rtp_stun_add_mapped(&text, &mapped);
	uint8_t *at = text.data + text.used;
	const uint8_t head[] = { 0x80, 0x2c, 0, 8, 0, 1 };
	memcpy(at, head, sizeof head);
	memcpy(at + 6, &other.in4.sin_port, 2);
	memcpy(at + 8, &other.in4.sin_addr, 4);
	text.used += 12;
	size_t size = rtp_stun_finish_plain(&text);
	send_to(fd, question, text.data, size);
	core_loop_settle();
}

static uint32_t change_of(const struct question *question)
{
	for (size_t at = 20; at + 8 <= question->size; at += 4)
		if (question->bytes[at] == 0 && question->bytes[at + 1] == 3 && question->bytes[at + 3] == 4)
			return question->bytes[at + 7];
	return 0;
}

/* How the NAT that is played maps and filters, and what is found. by_address, by_port: it has another port for each. */
struct played {
	bool map_by_address, map_by_port;
	enum rtp_nat_kind filters, mapping;
	const char *type;
};

static void play(const struct played *nat)
{
	struct question question;

	found = 0;
	ck_assert_int_eq(rtp_nat_find(&owner.host, server_name, on_found, NULL), PBX_OK);
	ck_assert_int_eq(rtp_nat_find(&owner.host, server_name, on_found, NULL), PBX_EBUSY);
	core_loop_settle();
	for (uint32_t round = 0; round < 20 && !found; round++) {
		bool asked = false;

		for (int place = 0; place < 4 && !asked; place++) {
			int address = place >> 1, port = place & 1;

			if (!next_question(places[address][port], &question))
				continue;
			asked = true;
			uint32_t change = change_of(&question);
			if ((change & RTP_STUN_CHANGE_ADDRESS && nat->filters != RTP_NAT_FREE) ||
			    (change == RTP_STUN_CHANGE_PORT && nat->filters == RTP_NAT_BY_PORT))
				continue; /* the NAT lets nothing in from there */
			uint16_t seen = (uint16_t)(40000 + (nat->map_by_address ? address * 10 : 0) + (nat->map_by_port ? port : 0));
			tell_mapped(places[address ^ !!(change & RTP_STUN_CHANGE_ADDRESS)][port ^ !!(change & RTP_STUN_CHANGE_PORT)],
				    &question, "198.51.100.7", seen);
		}
		if (!found)
			core_loop_pass_ms(500);
	}
	ck_assert_uint_eq(found, 1);
	ck_assert_int_eq(finding.result, PBX_OK);
	ck_assert_int_eq(finding.filtering, nat->filters);
	ck_assert_int_eq(finding.mapping, nat->mapping);
	ck_assert_str_eq(rtp_nat_type(&finding), nat->type);
}

START_TEST(each_kind_of_nat_is_found)
{
	static const struct played nats[] = {
		{ .filters = RTP_NAT_FREE, .mapping = RTP_NAT_FREE, .type = "full_cone" },
		{ .filters = RTP_NAT_BY_ADDRESS, .mapping = RTP_NAT_FREE, .type = "restricted_cone" },
		{ .filters = RTP_NAT_BY_PORT, .mapping = RTP_NAT_FREE, .type = "port_restricted" },
		{ .map_by_address = true, .filters = RTP_NAT_BY_PORT, .mapping = RTP_NAT_BY_ADDRESS, .type = "symmetric" },
		{ .map_by_address = true,
		  .map_by_port = true,
		  .filters = RTP_NAT_BY_PORT,
		  .mapping = RTP_NAT_BY_PORT,
		  .type = "symmetric" },
	};

	setup();
	open_places();
	for (size_t i = 0; i < sizeof nats / sizeof nats[0]; i++)
		play(&nats[i]);
	close_places();
	teardown();
}
END_TEST

START_TEST(without_a_nat_or_a_second_address_that_is_said)
{
	struct question question;

	setup();
	open_places();
	found = 0;
	ck_assert_int_eq(rtp_nat_find(&owner.host, server_name, on_found, NULL), PBX_OK);
	core_loop_settle();
	ck_assert(next_question(server, &question));
	answer_from(server, &question, "198.51.100.7"); /* no OTHER-ADDRESS */
	ck_assert_uint_eq(found, 1);
	ck_assert_str_eq(rtp_nat_type(&finding), "unknown");
	ck_assert_int_eq(finding.other.sa.sa_family, AF_UNSPEC);

	ck_assert_int_eq(rtp_nat_find(&owner.host, server_name, on_found, NULL), PBX_OK);
	core_loop_settle();
	ck_assert(next_question(server, &question));
	tell_mapped(server, &question, "127.0.0.1", ntohs(question.from.in4.sin_port)); /* as we see ourselves */
	ck_assert(next_question(server, &question));
	tell_mapped(places[1][1], &question, "127.0.0.1", ntohs(question.from.in4.sin_port));
	ck_assert_uint_eq(found, 2);
	ck_assert_str_eq(rtp_nat_type(&finding), "none");
	ck_assert_int_eq(finding.filtering, RTP_NAT_FREE);

	ck_assert_int_eq(rtp_nat_find(&owner.host, server_name, on_found, NULL), PBX_OK);
	core_loop_settle();
	core_loop_pass_ms(3500);
	ck_assert_uint_eq(found, 3);
	ck_assert_int_eq(finding.result, PBX_ETIMEOUT);

	ck_assert_int_eq(rtp_nat_find(&owner.host, server_name, on_found, NULL), PBX_OK);
	rtp_nat_stop(); /* the pool has not read the name yet */
	ck_assert_uint_eq(found, 4);
	ck_assert_int_eq(finding.result, PBX_ECANCELLED);
	close_places();
	teardown();
}
END_TEST

CHECK_MAIN("outside", the_address_is_learnt_and_asked_for_again_from_time_to_time,
	   a_server_that_is_silent_is_asked_seven_times_and_what_was_known_holds_on,
	   what_is_forged_or_broken_is_dropped_and_the_answer_still_taken, an_old_server_is_understood,
	   an_error_and_an_address_that_nobody_has_are_refusals, another_server_is_asked_at_once_and_none_makes_the_address_unknown,
	   a_name_that_nobody_has_is_said_and_one_that_is_changed_while_it_is_looked_up_is_forgotten, what_names_a_server_and_what_does_not,
	   each_kind_of_nat_is_found, without_a_nat_or_a_second_address_that_is_said)
