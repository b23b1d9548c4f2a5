/* tests/rtp/test_ice.c - two agents and what lies between them; the clock moves when told
 *
 * Each agent has one address for each component. A datagram is delivered at the next round unless the test's rule drops it or lets it come from
 * elsewhere, as a NAT does. Beside that the first side may have a connection to the second. */
#include "../check_main.h"
#include <arpa/inet.h>
#include <rtp/ice.h>
#include <rtp/session.h>
#include <string.h>

#define CONSENT_MS 25000u
#define MOST_FLYING 64u

struct side {
	struct rtp_ice *ice;
	struct core_addr addr; /* of component 1; 2 is one port up */
	uint32_t sent;
};

static struct side sides[2];
static uint64_t now_ms;
static struct flying {
	uint8_t to; /* side */
	uint8_t component;
	struct core_addr from;
	uint8_t data[RTP_STUN_MOST_BYTES];
	size_t size;
} flying[MOST_FLYING];
static uint32_t flying_count;
static bool cut;                       /* nothing arrives */
static bool udp_cut;                   /* no datagram does */
static bool connected;                 /* there is a connection */
static uint32_t sent_by_tcp;           /* or tried to be */
static struct core_addr behind_nat[2]; /* what the other side sees instead; AF_UNSPEC: its own */

static struct core_addr addr_of(const char *host, uint16_t port)
{
	struct core_addr addr = { .in4 = { .sin_family = AF_INET, .sin_port = htons(port) } };

	ck_assert_int_eq(inet_pton(AF_INET, host, &addr.in4.sin_addr), 1);
	return addr;
}

static struct core_addr component_of(struct core_addr addr, uint8_t component)
{
	addr.in4.sin_port = htons((uint16_t)(ntohs(addr.in4.sin_port) + component - 1));
	return addr;
}

static struct core_addr seen_as(uint8_t side)
{
	return behind_nat[side].sa.sa_family ? behind_nat[side] : sides[side].addr;
}

/* The ends of the connection: the first side's has a port of its own, the second's is a door. */
static struct core_addr end_of(uint8_t side)
{
	struct core_addr addr = sides[side].addr;

	addr.in4.sin_port = htons(side == 0 ? 50000 : 443);
	addr.transport = CORE_BY_TCP;
	return addr;
}

static void fly(uint8_t to, uint8_t component, const struct core_addr *from, const uint8_t *data, size_t size)
{
	ck_assert_uint_lt(flying_count, MOST_FLYING);
	struct flying *datagram = &flying[flying_count++];

	*datagram = (struct flying){ .to = to, .component = component, .from = *from, .size = size };
	memcpy(datagram->data, data, size);
}

static bool send_it(void *context, uint8_t component, const struct core_addr *to, const uint8_t *data, size_t size)
{
	struct side *self = context;
	uint8_t from = self == &sides[1], other = !from;
	bool by_tcp = to->transport == CORE_BY_TCP;
	struct core_addr there = by_tcp ? end_of(other) : component_of(seen_as(other), component);
	struct core_addr here = by_tcp ? end_of(from) : component_of(seen_as(from), component);

	self->sent++;
	sent_by_tcp += by_tcp;
	if (by_tcp && !connected)
		return false;
	if (!cut && !(udp_cut && !by_tcp) && rtp_addr_same(to, &there))
		fly(other, component, &here, data, size);
	return true; /* whether it arrives nobody knows */
}

static void deliver(void)
{
	for (uint32_t i = 0; i < flying_count; i++) { /* answers join the end and arrive in the same round */
		struct flying datagram = flying[i];

		if (sides[datagram.to].ice)
			(void)rtp_ice_take(sides[datagram.to].ice, datagram.component, datagram.data, datagram.size, &datagram.from,
					   now_ms);
	}
	flying_count = 0;
}

static void pass_ms(uint32_t ms)
{
	for (uint32_t passed = 0; passed < ms; passed += 100) {
		now_ms += 100;
		for (int i = 0; i < 2; i++)
			if (sides[i].ice)
				rtp_ice_look_after(sides[i].ice, CONSENT_MS, now_ms);
		deliver();
	}
}

struct wish {
	bool lite, controlling, knows_peer, has_two;
};

static void add_candidate(struct core_ice *ice, const struct core_addr *addr, uint8_t component)
{
	ice->candidates[ice->candidate_count++] = (struct core_candidate){ .addr = component_of(*addr, component),
									   .priority = 126u << 24 | 0xffffu << 8 | (256u - component),
									   .component = component };
}

static struct core_stream_config config_of(int side, struct wish wish)
{
	static const struct core_ice_name names[2] = { { "aaaa", "aaaaaaaaaaaaaaaaaaaaaaaa" }, { "bbbb", "bbbbbbbbbbbbbbbbbbbbbbbb" } };
	struct core_stream_config config = { .rtcp_mux = !wish.has_two,
					     .own_ice = names[side],
					     .peer_ice.name = names[!side],
					     .ice_lite = wish.lite,
					     .ice_controlling = wish.controlling };

	for (uint8_t component = 1; wish.knows_peer && component <= (wish.has_two ? 2 : 1); component++)
		add_candidate(&config.peer_ice, &sides[!side].addr, component);
	return config;
}

static void begin(struct wish first, struct wish second)
{
	const struct wish wishes[] = { first, second };

	memset(sides, 0, sizeof sides);
	memset(behind_nat, 0, sizeof behind_nat);
	cut = udp_cut = connected = false;
	flying_count = sent_by_tcp = 0;
	now_ms = 1000;
	sides[0].addr = addr_of("192.0.2.1", 4000);
	sides[1].addr = addr_of("198.51.100.2", 5000);
	for (int i = 0; i < 2; i++) {
		const struct core_stream_config config = config_of(i, wishes[i]);

		sides[i].ice = rtp_ice_new(&config);
		ck_assert_ptr_nonnull(sides[i].ice);
		rtp_ice_start(sides[i].ice, send_it, &sides[i], now_ms);
	}
}

static void end(void)
{
	rtp_ice_free(sides[0].ice);
	rtp_ice_free(sides[1].ice);
	rtp_ice_free(NULL);
}

static void check_connected(void)
{
	for (uint8_t i = 0; i < 2; i++) {
		const struct core_addr *remote = rtp_ice_remote(sides[i].ice, 1), expected = seen_as(!i);

		ck_assert_msg(rtp_ice_state(sides[i].ice) == RTP_ICE_CONNECTED, "side %u", i);
		ck_assert(remote && rtp_addr_same(remote, &expected));
		ck_assert(rtp_ice_knows(sides[i].ice, 1, &expected));
	}
}

START_TEST(two_full_agents_find_each_other_and_the_one_that_controls_decides)
{
	begin((struct wish){ .controlling = true, .knows_peer = true }, (struct wish){ .knows_peer = true });
	ck_assert_ptr_null(rtp_ice_remote(sides[0].ice, 1));
	pass_ms(1000);
	check_connected();
	end();
}
END_TEST

START_TEST(without_mux_both_components_are_found)
{
	begin((struct wish){ .controlling = true, .knows_peer = true, .has_two = true },
	      (struct wish){ .knows_peer = true, .has_two = true });
	pass_ms(1000);
	check_connected();
	const struct core_addr *rtcp = rtp_ice_remote(sides[0].ice, 2), expected = component_of(sides[1].addr, 2);

	ck_assert(rtcp && rtp_addr_same(rtcp, &expected));
	end();
}
END_TEST

START_TEST(a_peer_behind_nat_is_found_where_it_asks_from)
{
	begin((struct wish){ .controlling = true, .knows_peer = true }, (struct wish){ .knows_peer = false });
	behind_nat[0] = addr_of("203.0.113.9", 61000); /* neither side has named it */
	pass_ms(1000);
	check_connected();
	end();
}
END_TEST

START_TEST(a_lite_agent_only_answers_and_follows)
{
	begin((struct wish){ .controlling = true, .knows_peer = true }, (struct wish){ .lite = true, .knows_peer = true });
	cut = true;
	pass_ms(300);
	ck_assert_uint_eq(sides[1].sent, 0);
	cut = false;
	pass_ms(2000);
	check_connected();
	end();
}
END_TEST

START_TEST(two_that_think_they_control_agree_on_one)
{
	begin((struct wish){ .controlling = true, .knows_peer = true }, (struct wish){ .controlling = true, .knows_peer = true });
	pass_ms(2000);
	check_connected();
	ck_assert(rtp_ice_is_controlling(sides[0].ice) != rtp_ice_is_controlling(sides[1].ice));
	end();
	begin((struct wish){ .knows_peer = true }, (struct wish){ .knows_peer = true });
	pass_ms(2000);
	check_connected();
	ck_assert(rtp_ice_is_controlling(sides[0].ice) != rtp_ice_is_controlling(sides[1].ice));
	end();
}
END_TEST

START_TEST(candidates_may_come_late)
{
	begin((struct wish){ .controlling = true }, (struct wish){ 0 });
	pass_ms(1000);
	ck_assert_uint_eq(sides[0].sent + sides[1].sent, 0);
	const struct core_stream_config config = config_of(0, (struct wish){ .controlling = true, .knows_peer = true });
	struct rtp_ice *more = rtp_ice_new(&config);

	ck_assert_ptr_nonnull(more);
	rtp_ice_add(sides[0].ice, more);
	rtp_ice_add(sides[0].ice, more); /* the same again is none */
	rtp_ice_free(more);
	pass_ms(1000);
	check_connected();
	end();
}
END_TEST

START_TEST(nobody_there_is_told_after_half_a_minute)
{
	begin((struct wish){ .controlling = true, .knows_peer = true }, (struct wish){ .lite = true });
	cut = true;
	pass_ms(29900);
	ck_assert_uint_eq(rtp_ice_state(sides[0].ice), RTP_ICE_CHECKING);
	ck_assert_uint_le(sides[0].sent, 7);
	pass_ms(100);
	ck_assert_uint_eq(rtp_ice_state(sides[0].ice), RTP_ICE_FAILED);
	ck_assert_uint_eq(rtp_ice_state(sides[1].ice), RTP_ICE_FAILED);
	end();
}
END_TEST

START_TEST(consent_is_kept_and_its_loss_is_told_in_time)
{
	begin((struct wish){ .controlling = true, .knows_peer = true }, (struct wish){ .knows_peer = true });
	pass_ms(600000);
	check_connected();
	uint32_t before = sides[0].sent;

	pass_ms(60000); /* questions and answers, one each in 4 to 6 s */
	ck_assert_uint_ge(sides[0].sent - before, 20);
	ck_assert_uint_le(sides[0].sent - before, 30);
	cut = true;
	pass_ms(CONSENT_MS - 6000);
	check_connected();
	pass_ms(6100);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(rtp_ice_state(sides[i].ice), RTP_ICE_LOST);
		ck_assert_ptr_null(rtp_ice_remote(sides[i].ice, 1));
	}
	end();
}
END_TEST

START_TEST(a_lite_agent_misses_who_asks_no_more)
{
	begin((struct wish){ .controlling = true, .knows_peer = true }, (struct wish){ .lite = true });
	pass_ms(60000);
	check_connected();
	cut = true;
	pass_ms(CONSENT_MS + 100);
	ck_assert_uint_eq(rtp_ice_state(sides[1].ice), RTP_ICE_LOST);
	end();
}
END_TEST

START_TEST(strangers_are_told_nothing)
{
	static const uint8_t id[RTP_STUN_ID_BYTES] = { 9 };
	const struct core_addr stranger = addr_of("203.0.113.66", 6000);
	struct rtp_stun_key *wrong = rtp_stun_key_new("cccccccccccccccccccccccc"), *right = rtp_stun_key_new("aaaaaaaaaaaaaaaaaaaaaaaa");
	struct rtp_stun_text text;
	size_t size;

	begin((struct wish){ .controlling = true }, (struct wish){ 0 });
	for (int i = 0; i < 2; i++) { /* without the password; with it, but for another generation */
		rtp_stun_begin(&text, RTP_STUN_REQUEST, id);
		rtp_stun_add_username(&text, i ? "zzzz" : "aaaa", "bbbb");
		rtp_stun_add_priority(&text, 1);
		size = rtp_stun_finish(&text, i ? right : wrong);
		ck_assert(!rtp_ice_take(sides[0].ice, 1, text.data, size, &stranger, now_ms));
	}
	rtp_stun_begin(&text, RTP_STUN_SUCCESS, id); /* an answer to nothing */
	size = rtp_stun_finish(&text, right);
	ck_assert(!rtp_ice_take(sides[0].ice, 1, text.data, size, &stranger, now_ms));
	ck_assert(!rtp_ice_knows(sides[0].ice, 1, &stranger));
	ck_assert_uint_eq(sides[0].sent, 0);
	rtp_stun_key_free(wrong);
	rtp_stun_key_free(right);
	end();
}
END_TEST

/* ---- by TCP (RFC 6544) ---- */

/* The first side learns of the other's door. */
static void tell_door(void)
{
	struct core_stream_config config = config_of(0, (struct wish){ .controlling = true });
	struct rtp_ice *more;

	config.peer_ice.candidates[config.peer_ice.candidate_count++] = (struct core_candidate){
		.addr = end_of(1), .priority = rtp_ice_priority(CORE_CANDIDATE_HOST, CORE_BY_TCP, 1), .component = 1
	};
	more = rtp_ice_new(&config);
	rtp_ice_add(sides[0].ice, more);
	rtp_ice_free(more);
}

static bool are_by(uint32_t transport)
{
	for (int i = 0; i < 2; i++) {
		const struct core_addr *remote = rtp_ice_remote(sides[i].ice, 1);

		if (!remote || remote->transport != transport || rtp_ice_state(sides[i].ice) != RTP_ICE_CONNECTED)
			return false;
	}
	return true;
}

START_TEST(every_way_by_tcp_is_below_every_way_by_udp)
{
	static const uint8_t kinds[] = { CORE_CANDIDATE_HOST, CORE_CANDIDATE_PEER_REFLEXIVE, CORE_CANDIDATE_SERVER_REFLEXIVE };

	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < 3; j++)
			ck_assert_uint_lt(rtp_ice_priority(kinds[i], CORE_BY_TCP, 1), rtp_ice_priority(kinds[j], CORE_BY_UDP, 2));
	ck_assert_uint_eq(rtp_ice_priority(CORE_CANDIDATE_HOST, CORE_BY_UDP, 1), 2130706431);
}
END_TEST

START_TEST(a_connection_alone_is_enough)
{
	begin((struct wish){ .controlling = true }, (struct wish){ 0 });
	udp_cut = connected = true;
	tell_door();
	pass_ms(1000);
	ck_assert(are_by(CORE_BY_TCP));
	pass_ms(600000);
	ck_assert(are_by(CORE_BY_TCP));
	end();
}
END_TEST

START_TEST(by_tcp_a_question_is_asked_once_unless_it_was_not_taken)
{
	begin((struct wish){ .controlling = true }, (struct wish){ 0 });
	cut = connected = true;
	tell_door();
	pass_ms(20000);
	ck_assert_uint_eq(sent_by_tcp, 1);
	end();
	begin((struct wish){ .controlling = true }, (struct wish){ 0 });
	tell_door();
	pass_ms(3000);
	ck_assert_uint_ge(sent_by_tcp, 3);
	connected = true;
	pass_ms(4000);
	ck_assert(are_by(CORE_BY_TCP));
	end();
}
END_TEST

START_TEST(datagrams_are_better_while_they_go)
{
	begin((struct wish){ .controlling = true, .knows_peer = true }, (struct wish){ .knows_peer = true });
	connected = true;
	tell_door();
	for (uint32_t i = 0; i < 18000; i++) { /* half an hour: one late answer is no reason */
		pass_ms(100);
		ck_assert(i < 20 || are_by(CORE_BY_UDP));
	}
	udp_cut = true;
	pass_ms(CONSENT_MS / 2 + 500);
	ck_assert(are_by(CORE_BY_TCP));
	pass_ms(60000);
	ck_assert(are_by(CORE_BY_TCP));
	end();
}
END_TEST

START_TEST(a_wish_that_came_too_early_is_remembered)
{
	static const uint8_t id[RTP_STUN_ID_BYTES] = { 3 };
	struct rtp_stun_key *key = rtp_stun_key_new("bbbbbbbbbbbbbbbbbbbbbbbb");
	struct rtp_stun_text text;

	begin((struct wish){ .controlling = true, .knows_peer = true }, (struct wish){ .knows_peer = true });
	connected = true;
	tell_door();
	pass_ms(2000);
	ck_assert(are_by(CORE_BY_UDP));
	rtp_stun_begin(&text, RTP_STUN_REQUEST, id); /* a peer that nominates once, while datagrams seem to go */
	rtp_stun_add_username(&text, "bbbb", "aaaa");
	rtp_stun_add_priority(&text, 1);
	rtp_stun_add_role(&text, true, UINT64_MAX);
	rtp_stun_add_use_candidate(&text);
	size_t size = rtp_stun_finish(&text, key);
	const struct core_addr from = end_of(0);

	ck_assert(rtp_ice_take(sides[1].ice, 1, text.data, size, &from, now_ms));
	ck_assert_uint_eq(rtp_ice_remote(sides[1].ice, 1)->transport, CORE_BY_UDP);
	rtp_ice_free(sides[0].ice);
	sides[0].ice = NULL; /* and then says nothing more */
	pass_ms(CONSENT_MS / 2 + 100);
	ck_assert_uint_eq(rtp_ice_remote(sides[1].ice, 1)->transport, CORE_BY_TCP);
	rtp_stun_key_free(key);
	end();
}
END_TEST

START_TEST(a_connection_that_ends_is_forgotten_and_may_come_again)
{
	begin((struct wish){ .controlling = true }, (struct wish){ 0 });
	udp_cut = connected = true;
	tell_door();
	pass_ms(1000);
	for (uint32_t round = 0; round < 40; round++) { /* more often than there are places for ways */
		const struct core_addr ends[] = { end_of(0), end_of(1) };

		ck_assert_msg(are_by(CORE_BY_TCP), "round %u", round);
		rtp_ice_forget(sides[0].ice, &ends[1], now_ms);
		rtp_ice_forget(sides[1].ice, &ends[0], now_ms);
		ck_assert_ptr_null(rtp_ice_remote(sides[1].ice, 1));
		ck_assert(!rtp_ice_knows(sides[1].ice, 1, &ends[0]));
		pass_ms(20000); /* less than consent is good for */
		tell_door();
		pass_ms(1000);
	}
	const struct core_addr last = end_of(0);

	rtp_ice_forget(sides[1].ice, &last, now_ms);
	cut = true;
	pass_ms(CONSENT_MS + 100);
	ck_assert_uint_eq(rtp_ice_state(sides[1].ice), RTP_ICE_LOST);
	end();
}
END_TEST

START_TEST(a_lite_agent_has_the_same_time_for_a_peer_to_come_again)
{
	begin((struct wish){ .controlling = true }, (struct wish){ .lite = true });
	udp_cut = connected = true;
	tell_door();
	pass_ms(600000);
	const struct core_addr last = end_of(0);

	rtp_ice_forget(sides[1].ice, &last, now_ms);
	cut = true;
	pass_ms(CONSENT_MS - 200);
	ck_assert_uint_eq(rtp_ice_state(sides[1].ice), RTP_ICE_CONNECTED);
	pass_ms(300);
	ck_assert_uint_eq(rtp_ice_state(sides[1].ice), RTP_ICE_LOST);
	end();
}
END_TEST

CHECK_MAIN("ice", two_full_agents_find_each_other_and_the_one_that_controls_decides, without_mux_both_components_are_found,
	   a_peer_behind_nat_is_found_where_it_asks_from, a_lite_agent_only_answers_and_follows, two_that_think_they_control_agree_on_one,
	   candidates_may_come_late, nobody_there_is_told_after_half_a_minute, consent_is_kept_and_its_loss_is_told_in_time,
	   a_lite_agent_misses_who_asks_no_more, strangers_are_told_nothing, every_way_by_tcp_is_below_every_way_by_udp,
	   a_connection_alone_is_enough, by_tcp_a_question_is_asked_once_unless_it_was_not_taken, datagrams_are_better_while_they_go,
	   a_wish_that_came_too_early_is_remembered, a_connection_that_ends_is_forgotten_and_may_come_again,
	   a_lite_agent_has_the_same_time_for_a_peer_to_come_again)
