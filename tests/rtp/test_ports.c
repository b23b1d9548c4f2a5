/* tests/rtp/test_ports.c - pairs, chance, quarantine */
#include "../check_main.h"
#include <pbx/abi.h>
#include <rtp/ports.h>
#include <string.h>

START_TEST(gives_each_even_port_of_the_range_once)
{
	struct rtp_ports *ports = rtp_ports_new(10001, 10021, 10000);
	bool seen[10];
	uint16_t port;

	memset(seen, 0, sizeof seen);
	ck_assert_ptr_nonnull(ports);
	for (int i = 0; i < 9; i++) { /* 10002 to 10018: the last pair ends below 10021 */
		ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 0, &port), PBX_OK);
		ck_assert_uint_eq(port % 2, 0);
		ck_assert(port >= 10002 && port + 1 < 10021);
		ck_assert(!seen[(port - 10002) / 2]);
		seen[(port - 10002) / 2] = true;
	}
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 0, &port), PBX_ENOSPC);
	rtp_ports_free(ports);
}
END_TEST

START_TEST(keeps_a_port_back_until_its_quarantine_is_over)
{
	struct rtp_ports *ports = rtp_ports_new(10000, 10004, 10000);
	struct rtp_ports_count count;
	uint16_t first, second, again;

	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 1000, &first), PBX_OK);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 1000, &second), PBX_OK);
	rtp_ports_give_back(ports, RTP_PORTS_CALL, first, 2000);
	rtp_ports_give_back(ports, RTP_PORTS_CALL, second, 5000);
	rtp_ports_count(ports, 5000, &count);
	ck_assert_uint_eq(count.quarantined, 2);
	ck_assert_uint_eq(count.used, 0);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 11999, &again), PBX_ENOSPC);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 12000, &again), PBX_OK);
	ck_assert_uint_eq(again, first);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 12000, &again), PBX_ENOSPC);
	rtp_ports_free(ports);
}
END_TEST

START_TEST(what_forks_have_left_rests_from_calls_alone)
{
	struct rtp_ports *ports = rtp_ports_new(10000, 10006, 10000);
	struct rtp_ports_count count;
	uint16_t call, first, second, again;

	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 0, &call), PBX_OK);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_FORK, 0, &first), PBX_OK);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_FORK, 0, &second), PBX_OK);
	rtp_ports_give_back(ports, RTP_PORTS_FORK, second, 1000);
	rtp_ports_give_back(ports, RTP_PORTS_FORK, first, 2000);
	rtp_ports_give_back(ports, RTP_PORTS_CALL, call, 2000);
	rtp_ports_count(ports, 2000, &count);
	ck_assert_uint_eq(count.quarantined, 3);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 10999, &again), PBX_ENOSPC);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_FORK, 10999, &again), PBX_OK);
	ck_assert_uint_eq(again, second); /* which has rested longest */
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_FORK, 10999, &again), PBX_OK);
	ck_assert_uint_eq(again, first);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_FORK, 10999, &again), PBX_ENOSPC); /* the call's rests from everybody */
	rtp_ports_give_back(ports, RTP_PORTS_FORK, first, 11000);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 12000, &again), PBX_OK);
	ck_assert_uint_eq(again, call);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 20999, &again), PBX_ENOSPC);
	ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 21000, &again), PBX_OK);
	rtp_ports_free(ports);
}
END_TEST

START_TEST(draws_at_random)
{
	struct rtp_ports *ports = rtp_ports_new(10000, 20000, 0);
	uint16_t port, before = 0;
	int neighbours = 0;

	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, 0, &port), PBX_OK);
		neighbours += port == before + 2 || port + 2 == before;
		before = port;
	}
	ck_assert_int_lt(neighbours, 20);
	rtp_ports_free(ports);
}
END_TEST

START_TEST(counts_stay_right_over_many_rounds)
{
	struct rtp_ports *ports = rtp_ports_new(10000, 10200, 50);
	struct rtp_ports_count count;
	uint16_t taken[60];

	for (uint64_t now_ms = 0; now_ms < 100000; now_ms += 100) {
		for (int i = 0; i < 60; i++)
			ck_assert_int_eq(rtp_ports_take(ports, RTP_PORTS_CALL, now_ms, &taken[i]), PBX_OK);
		for (int i = 0; i < 60; i++)
			rtp_ports_give_back(ports, RTP_PORTS_CALL, taken[i], now_ms);
	}
	rtp_ports_count(ports, 1000000, &count);
	ck_assert_uint_eq(count.free, 100);
	ck_assert_uint_eq(count.total, 100);
	rtp_ports_free(ports);
}
END_TEST

START_TEST(refuses_a_range_without_a_pair)
{
	ck_assert_ptr_null(rtp_ports_new(10001, 10003, 0));
	ck_assert_ptr_null(rtp_ports_new(10000, 10001, 0));
}
END_TEST

CHECK_MAIN("ports", gives_each_even_port_of_the_range_once, keeps_a_port_back_until_its_quarantine_is_over,
	   what_forks_have_left_rests_from_calls_alone, draws_at_random, counts_stay_right_over_many_rounds, refuses_a_range_without_a_pair)
