/* tests/core/test_random.c - random numbers by the handful */
#include "../check_main.h"
#include "random.h"
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define MOST 2000u

/* Of 64 bits, two among 2,000 are the same by chance once in 10^13 runs. */
START_TEST(nothing_is_handed_out_twice)
{
	static uint64_t drawn[2000];
	bool again = false;

	for (size_t i = 0; i < 2000; i++) {
		core_random(&drawn[i], sizeof drawn[i]);
		for (size_t j = 0; j < i; j++)
			again = again || drawn[i] == drawn[j];
	}
	ck_assert(!again);
}
END_TEST

/* Odd sizes, and such as no pool has: each byte is written, and none beside. */
START_TEST(any_number_of_bytes_is_filled)
{
	uint8_t bytes[MOST + 1];
	bool beside = false, all = true;

	for (size_t size = 0; size <= MOST; size += 1 + size / 7) {
		bool written[MOST] = { false };

		for (int tries = 0; tries < 8; tries++) {
			memset(bytes, 0, sizeof bytes);
			core_random(bytes, size);
			beside = beside || bytes[size] != 0;
			for (size_t i = 0; i < size; i++)
				written[i] = written[i] || bytes[i];
		}
		for (size_t i = 0; i < size; i++)
			all = all && written[i];
	}
	ck_assert(all && !beside);
}
END_TEST

START_TEST(numbers_below_a_limit_come_evenly)
{
	uint32_t seen[5] = { 0 };

	for (int i = 0; i < 50000; i++)
		seen[core_random_below(5)]++;
	for (int i = 0; i < 5; i++)
		ck_assert(seen[i] > 9000 && seen[i] < 11000);
	ck_assert_uint_eq(core_random_below(1), 0);
}
END_TEST

static void *draw(void *ret_drawn)
{
	core_random(ret_drawn, 16);
	return NULL;
}

START_TEST(threads_have_numbers_of_their_own)
{
	uint8_t here[16], there[16];
	pthread_t thread;

	core_random(here, sizeof here);
	ck_assert_int_eq(pthread_create(&thread, NULL, draw, there), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_mem_ne(here, there, sizeof here);
}
END_TEST

CHECK_MAIN("random", nothing_is_handed_out_twice, any_number_of_bytes_is_filled, numbers_below_a_limit_come_evenly,
	   threads_have_numbers_of_their_own)
