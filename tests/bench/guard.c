#include "guard.h"
#include <core/srtp_suites.h>
#include <rtp/srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PACKET = 172, HANDFUL = 100, PACKETS = 60000 };

static double cpu_us(void)
{
	struct timespec used;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

static void must(int fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* Sealed by the handful, for reading the clock costs as much as a packet. */
static void measure_suite(const char *name)
{
	static struct {
		_Alignas(16) uint8_t data[PACKET + RTP_TRAILER_BYTES];
		size_t size;
	} packets[HANDFUL];
	struct core_crypto crypto = { .suite = core_srtp_find(name, strlen(name)), .key = { 1, 2, 3 } };
	struct rtp_guard *sender, *receiver;
	double sealing_us = 0, opening_us = 0;

	must(rtp_guard_new(&crypto, 7, &sender) == 0 && rtp_guard_new(&crypto, 0, &receiver) == 0, "guard");
	for (int done = 0; done < PACKETS; done += HANDFUL) {
		for (int i = 0; i < HANDFUL; i++) {
			uint8_t header[12] = { 0x80, 0, (uint8_t)((done + i) >> 8), (uint8_t)(done + i), [11] = 7 };

			memset(packets[i].data, 0xff, sizeof packets[i].data);
			memcpy(packets[i].data, header, sizeof header);
			packets[i].size = PACKET;
		}
		double began_us = cpu_us();

		for (int i = 0; i < HANDFUL; i++)
			must(rtp_guard_protect(sender, false, packets[i].data, &packets[i].size), "protect");
		double sealed_us = cpu_us();

		for (int i = 0; i < HANDFUL; i++)
			must(rtp_guard_unprotect(receiver, false, packets[i].data, &packets[i].size), "unprotect");
		opening_us += cpu_us() - sealed_us;
		sealing_us += sealed_us - began_us;
	}
	rtp_guard_free(sender);
	rtp_guard_free(receiver);
	printf("suite %s seal_us %.2f open_us %.2f\n", name, sealing_us / PACKETS, opening_us / PACKETS);
}

void guard_measure(void)
{
	must(rtp_srtp_init() == 0, "srtp");
	measure_suite("AES_CM_128_HMAC_SHA1_80");
	measure_suite("AEAD_AES_128_GCM");
	rtp_srtp_fini();
}
