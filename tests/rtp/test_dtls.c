/* tests/rtp/test_dtls.c - two handshakes that meet in memory, over a line that may lose datagrams */
#include "../check_main.h"
#include <pbx/abi.h>
#include <rtp/dtls.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define MOST_FLYING 32u

struct side {
	struct rtp_dtls *dtls;
	uint32_t state, sent;
	int lose; /* the first datagrams that it sends */
};

static struct side client, server;
static struct flying {
	struct side *to;
	uint8_t data[2048];
	size_t size;
} flying[MOST_FLYING];
static uint32_t flying_count;

/* The clock that OpenSSL's timers ask: it moves when told. */
static struct timeval clock_now = { .tv_sec = 1000000 };

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
	(void)zone;
	*ret_now = clock_now;
	return 0;
}

/* And the calendar, by which certificates are renewed. */
static time_t calendar_s = 1767603600;

__attribute__((visibility("default"))) time_t time(time_t *ret_now_s)
{
	if (ret_now_s)
		*ret_now_s = calendar_s;
	return calendar_s;
}

static void pass_ms(uint32_t ms)
{
	const struct timeval passed = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	timeradd(&clock_now, &passed, &clock_now);
}

static void send_it(void *context, const uint8_t *data, size_t size)
{
	struct side *self = context;

	ck_assert_uint_le(size, 1200); /* no fragment of IP */
	self->sent++;
	if (self->lose > 0) {
		self->lose--;
		return;
	}
	ck_assert_uint_lt(flying_count, MOST_FLYING);
	struct flying *datagram = &flying[flying_count++];

	*datagram = (struct flying){ .to = self == &client ? &server : &client, .size = size };
	memcpy(datagram->data, data, size);
}

static uint64_t cpu_us(void)
{
	struct timespec used;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

static uint64_t pieces_us, pieces; /* what taking datagrams has cost */

static void deliver(void)
{
	for (uint32_t i = 0; i < flying_count; i++) {
		uint64_t before_us = cpu_us();

		flying[i].to->state = rtp_dtls_take(flying[i].to->dtls, flying[i].data, flying[i].size);
		pieces_us += cpu_us() - before_us;
		pieces++;
	}
	flying_count = 0;
}

static const uint8_t usual[] = { CORE_SRTP_AES_CM_128_80, CORE_SRTP_AES_GCM_128 };

static void make(struct side *side, uint8_t setup, const struct core_dtls *peer, const uint8_t *suites, uint8_t count)
{
	struct core_dtls own = { .setup = setup };

	memset(side, 0, sizeof *side);
	rtp_dtls_fingerprint(&own);
	ck_assert_int_eq(rtp_dtls_new(&own, peer, suites, count, &side->dtls), PBX_OK);
}

/* Both have the certificate of this process. */
static void begin(void)
{
	struct core_dtls looks = { 0 };

	flying_count = 0;
	ck_assert_int_eq(rtp_dtls_init(), PBX_OK);
	rtp_dtls_fingerprint(&looks);
	make(&client, CORE_SETUP_ACTIVE, &looks, usual, 2);
	make(&server, CORE_SETUP_PASSIVE, &looks, usual, 2);
}

static void start(void)
{
	rtp_dtls_start(server.dtls, send_it, &server);
	rtp_dtls_start(client.dtls, send_it, &client);
	deliver();
}

static void end(void)
{
	rtp_dtls_free(client.dtls);
	rtp_dtls_free(server.dtls);
	rtp_dtls_free(NULL);
	rtp_dtls_fini();
}

static void check_keys(uint8_t suite)
{
	struct core_crypto ours, theirs, our_peers, their_peers;

	ck_assert_uint_eq(client.state, RTP_DTLS_DONE);
	ck_assert_uint_eq(server.state, RTP_DTLS_DONE);
	ck_assert(rtp_dtls_keys(client.dtls, &ours, &our_peers));
	ck_assert(rtp_dtls_keys(server.dtls, &theirs, &their_peers));
	ck_assert_uint_eq(ours.suite, suite);
	ck_assert_mem_eq(&ours, &their_peers, sizeof ours);
	ck_assert_mem_eq(&theirs, &our_peers, sizeof theirs);
	ck_assert_mem_ne(ours.key, theirs.key, 16);
}

START_TEST(both_sides_get_the_same_keys_crosswise)
{
	begin();
	start();
	check_keys(CORE_SRTP_AES_CM_128_80);
	end();
}
END_TEST

START_TEST(the_suite_is_the_best_that_both_have)
{
	static const uint8_t all[] = { CORE_SRTP_AES_CM_256_80, CORE_SRTP_AES_GCM_256, CORE_SRTP_AES_GCM_128, CORE_SRTP_AES_CM_128_32 };
	static const uint8_t one[] = { CORE_SRTP_AES_GCM_256 }, none[] = { CORE_SRTP_AES_CM_256_80 };
	struct core_dtls looks = { 0 };
	struct rtp_dtls *refused;

	ck_assert_int_eq(rtp_dtls_init(), PBX_OK);
	rtp_dtls_fingerprint(&looks);
	for (size_t i = 0; i < 4; i++) {
		make(&client, CORE_SETUP_ACTIVE, &looks, all, 4);
		make(&server, CORE_SETUP_PASSIVE, &looks, i == 3 ? &all[3] : i == 2 ? &all[2] : one, 1);
		start();
		check_keys(i == 3 ? CORE_SRTP_AES_CM_128_32 : i == 2 ? CORE_SRTP_AES_GCM_128 : CORE_SRTP_AES_GCM_256);
		rtp_dtls_free(client.dtls);
		rtp_dtls_free(server.dtls);
	}
	looks.setup = CORE_SETUP_ACTIVE;
	ck_assert_int_eq(rtp_dtls_new(&looks, &looks, none, 1, &refused), PBX_ENOTSUP); /* DTLS has no name for it */
	rtp_dtls_fini();
}
END_TEST

START_TEST(another_certificate_than_announced_gets_no_keys)
{
	struct core_dtls looks = { 0 };

	for (int wrong_side = 0; wrong_side < 2; wrong_side++) {
		flying_count = 0;
		ck_assert_int_eq(rtp_dtls_init(), PBX_OK);
		rtp_dtls_fingerprint(&looks);
		make(wrong_side ? &server : &client, wrong_side ? CORE_SETUP_PASSIVE : CORE_SETUP_ACTIVE, &looks, usual, 2);
		looks.fingerprint[31] ^= 1;
		make(wrong_side ? &client : &server, wrong_side ? CORE_SETUP_ACTIVE : CORE_SETUP_PASSIVE, &looks, usual, 2);
		start();
		ck_assert_uint_eq((wrong_side ? client : server).state, RTP_DTLS_WRONG_PEER);
		ck_assert_uint_eq((wrong_side ? server : client).state, RTP_DTLS_FAILED); /* it has got an alert */
		end();
	}
}
END_TEST

START_TEST(a_certificate_that_is_not_ours_cannot_be_shown)
{
	struct core_dtls other = { .hash = CORE_HASH_SHA256, .setup = CORE_SETUP_ACTIVE };
	struct rtp_dtls *dtls;

	ck_assert_int_eq(rtp_dtls_init(), PBX_OK);
	ck_assert_int_eq(rtp_dtls_new(&other, &other, usual, 2, &dtls), PBX_ENOTSUP);
	rtp_dtls_fini();
}
END_TEST

START_TEST(a_certificate_is_renewed_every_month_and_those_who_know_the_last_one_are_served)
{
	struct core_dtls first = { .setup = CORE_SETUP_ACTIVE }, second = first, third = first, again = first;
	struct rtp_dtls *refused;

	begin();
	rtp_dtls_fingerprint(&first);
	rtp_dtls_start(server.dtls, send_it, &server);
	rtp_dtls_start(client.dtls, send_it, &client); /* its first datagrams are on their way for a long time */
	calendar_s += 29 * 86400;
	rtp_dtls_fingerprint(&again);
	ck_assert_mem_eq(&first, &again, sizeof first);
	calendar_s += 2 * 86400;
	rtp_dtls_fingerprint(&second);
	ck_assert_mem_ne(first.fingerprint, second.fingerprint, sizeof first.fingerprint);

	calendar_s += 31 * 86400;
	rtp_dtls_fingerprint(&third);
	ck_assert_int_eq(rtp_dtls_new(&first, &third, usual, 2, &refused), PBX_ENOTSUP);
	deliver(); /* what had begun under the first ends under it */
	check_keys(CORE_SRTP_AES_CM_128_80);
	end();

	begin(); /* one side's description is a month older */
	rtp_dtls_fingerprint(&second);
	rtp_dtls_free(client.dtls);
	rtp_dtls_free(server.dtls);
	calendar_s += 31 * 86400;
	make(&server, CORE_SETUP_PASSIVE, &second, usual, 2);
	rtp_dtls_fingerprint(&third);
	client = (struct side){ 0 };
	second.setup = CORE_SETUP_ACTIVE;
	ck_assert_int_eq(rtp_dtls_new(&second, &third, usual, 2, &client.dtls), PBX_OK);
	start();
	check_keys(CORE_SRTP_AES_CM_128_80);
	end();
}
END_TEST

START_TEST(what_is_lost_is_sent_again)
{
	begin();
	client.lose = server.lose = 2;
	start();
	for (int i = 0; i < 200 && (client.state != RTP_DTLS_DONE || server.state != RTP_DTLS_DONE); i++) {
		pass_ms(20);
		client.state = rtp_dtls_look_after(client.dtls);
		server.state = rtp_dtls_look_after(server.dtls);
		deliver();
	}
	check_keys(CORE_SRTP_AES_CM_128_80);
	end();
}
END_TEST

START_TEST(a_peer_that_missed_our_last_flight_gets_it_again)
{
	begin();
	rtp_dtls_start(server.dtls, send_it, &server);
	rtp_dtls_start(client.dtls, send_it, &client);
	while (server.state != RTP_DTLS_DONE) { /* all but the server's last flight arrive */
		struct flying datagram = flying[0];

		memmove(&flying[0], &flying[1], --flying_count * sizeof flying[0]);
		server.lose = datagram.to == &server && server.sent > 0 ? 9 : 0;
		datagram.to->state = rtp_dtls_take(datagram.to->dtls, datagram.data, datagram.size);
	}
	ck_assert_uint_eq(client.state, RTP_DTLS_SHAKING);
	server.lose = 0;
	for (int i = 0; i < 200 && client.state != RTP_DTLS_DONE; i++) {
		pass_ms(20);
		client.state = rtp_dtls_look_after(client.dtls);
		deliver();
	}
	check_keys(CORE_SRTP_AES_CM_128_80);
	end();
}
END_TEST

START_TEST(noise_ends_nothing)
{
	uint8_t noise[100];

	begin();
	rtp_dtls_start(server.dtls, send_it, &server);
	for (uint32_t i = 0; i < 1000; i++) {
		arc4random_buf(noise, sizeof noise);
		noise[0] = (uint8_t)(20 + i % 44);
		ck_assert_uint_eq(rtp_dtls_take(server.dtls, noise, i % sizeof noise + 1), RTP_DTLS_SHAKING);
	}
	start();
	check_keys(CORE_SRTP_AES_CM_128_80);
	end();
}
END_TEST

/* What a worker pays: told, not judged. */
START_TEST(what_a_handshake_costs)
{
	struct core_dtls looks = { 0 };
	uint64_t rounds = 50;

	ck_assert_int_eq(rtp_dtls_init(), PBX_OK);
	rtp_dtls_fingerprint(&looks);
	uint64_t before_us = cpu_us();

	pieces_us = pieces = 0;
	for (uint64_t i = 0; i < rounds; i++) {
		make(&client, CORE_SETUP_ACTIVE, &looks, usual, 2);
		make(&server, CORE_SETUP_PASSIVE, &looks, usual, 2);
		start();
		ck_assert_uint_eq(client.state, RTP_DTLS_DONE);
		rtp_dtls_free(client.dtls);
		rtp_dtls_free(server.dtls);
	}
	printf("handshake: %llu us of CPU a side with making and freeing, %llu us for a datagram\n",
	       (unsigned long long)(cpu_us() - before_us) / rounds / 2, (unsigned long long)(pieces_us / pieces));
	rtp_dtls_fini();
}
END_TEST

CHECK_MAIN("dtls", both_sides_get_the_same_keys_crosswise, the_suite_is_the_best_that_both_have,
	   another_certificate_than_announced_gets_no_keys, a_certificate_that_is_not_ours_cannot_be_shown,
	   a_certificate_is_renewed_every_month_and_those_who_know_the_last_one_are_served, what_is_lost_is_sent_again,
	   a_peer_that_missed_our_last_flight_gets_it_again, noise_ends_nothing, what_a_handshake_costs)
