/* tests/rtp/test_dtls_crowd.c - two hundred legs shake hands at once, while another call goes on
 *
 * A hundred pairs of legs are each other's peers, so both sides of every handshake are ours, on two workers. Meanwhile a plain call is relayed by one of
 * them, and a thread of its own notes how long its packets take. The figures are printed. */
#include "../check_main.h"
#include "rig.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#define LEGS 200u
#define PACKET_MS 5

static core_stream legs[LEGS];
static struct core_addr addresses[LEGS];
static struct phone alice, bob;
static _Atomic bool over;
static uint64_t loop_most_us; /* CPU of the loop for one leg */
static struct {
	uint32_t sent, heard;
	uint64_t most_us;
} relayed;

static uint64_t cpu_us(clockid_t whose)
{
	struct timespec used;

	(void)clock_gettime(whose, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

/* ---- the call that goes on ---- */

static bool hear_one(int timeout_ms)
{
	struct pollfd fd = { .fd = bob.rtp_fd, .events = POLLIN };
	uint8_t packet[400];

	return poll(&fd, 1, timeout_ms) == 1 && recv(bob.rtp_fd, packet, sizeof packet, 0) > 0;
}

static void *talk(void *context)
{
	(void)context;
	while (!atomic_load(&over)) {
		uint64_t sent_us = core_now_us(), took_us;

		phone_say(&alice, 0);
		relayed.sent++;
		relayed.heard += hear_one(2000);
		took_us = core_now_us() - sent_us;
		relayed.most_us = took_us > relayed.most_us ? took_us : relayed.most_us;
		(void)poll(NULL, 0, PACKET_MS);
	}
	return NULL;
}

/* ---- the crowd ---- */

static void shake(uint32_t leg, uint32_t peer)
{
	struct core_stream_config config;
	struct phone there = { .rtp = addresses[peer], .rtcp = addresses[peer] };

	phone_config(&there, "PCMU", &config);
	config.rtcp_mux = true;
	ck_assert(rtp_driver.fingerprint(&config.own_dtls));
	config.peer_dtls = config.own_dtls; /* one process, one certificate */
	config.own_dtls.setup = leg % 2 ? CORE_SETUP_PASSIVE : CORE_SETUP_ACTIVE;
	config.peer_dtls.setup = leg % 2 ? CORE_SETUP_ACTIVE : CORE_SETUP_PASSIVE;

	uint64_t before_us = cpu_us(CLOCK_THREAD_CPUTIME_ID), took_us;
	ck_assert_int_eq(rtp_driver.configure(legs[leg], &config), PBX_OK);
	took_us = cpu_us(CLOCK_THREAD_CPUTIME_ID) - before_us;
	loop_most_us = took_us > loop_most_us ? took_us : loop_most_us;
}

static bool all_have_keys(void)
{
	for (uint32_t leg = 0; leg < LEGS; leg++)
		if (rig_stats(legs[leg]).suite == CORE_SRTP_NONE)
			return false;
	return true;
}

START_TEST(two_hundred_handshakes_at_once_all_succeed_and_another_call_loses_nothing)
{
	static const char *const suites[] = { "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM" };
	pthread_t talker;

	rig_settings.srtp_suites = (struct pbx_list){ suites, 2 };
	rig_settings.port_min = 30000 + (uint32_t)getpid() % 10 * 1000;
	rig_settings.port_max = rig_settings.port_min + 1000;
	rig_call(&alice, "PCMU", &bob, "PCMU");
	phone_say(&alice, 0);
	(void)phone_must_hear(&bob);
	for (uint32_t leg = 0; leg < LEGS; leg++)
		ck_assert_int_eq(rtp_driver.open(100 + leg / 2, AF_INET, &legs[leg], &addresses[leg]), PBX_OK);
	ck_assert_int_eq(pthread_create(&talker, NULL, talk, NULL), 0);

	uint64_t began_us = core_now_us(), used_us = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
	for (uint32_t leg = 0; leg < LEGS; leg++)
		shake(leg, leg ^ 1);
	rig_until(all_have_keys());
	used_us = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - used_us;
	atomic_store(&over, true);
	ck_assert_int_eq(pthread_join(talker, NULL), 0);
	printf("legs %u in_ms %.0f cpu_ms_each %.2f loop_most_ms %.2f relayed %u lost %u relayed_most_ms %.1f\n", LEGS,
	       (double)(core_now_us() - began_us) / 1e3, (double)used_us / 1e3 / LEGS, (double)loop_most_us / 1e3, relayed.sent,
	       relayed.sent - relayed.heard, (double)relayed.most_us / 1e3);

	ck_assert_int_eq(rig_heard.failures, 0);
	ck_assert_uint_lt(loop_most_us, 10000); /* the loop makes a handshake's state and takes no part in it */
	ck_assert_uint_gt(relayed.sent, 0);
	ck_assert_uint_eq(relayed.heard, relayed.sent);
	for (uint32_t leg = 0; leg < LEGS; leg++)
		ck_assert_int_eq(rtp_driver.close(legs[leg]), PBX_OK);
	rig_hang_up(&alice, &bob);
}
END_TEST

CHECK_MAIN("dtls_crowd", two_hundred_handshakes_at_once_all_succeed_and_another_call_loses_nothing)
