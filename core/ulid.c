/* core/ulid.c - identifiers that sort by time (github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, in base 32
 *
 * Within a millisecond, and while the wall clock stands behind what was given out already, the random part counts up, so that
 * ids of one process always rise. */
#include "loop.h"
#include <assert.h>
#include <string.h>
#include <sys/random.h>

static struct {
	uint64_t ms;
	uint8_t random[10];
} last;

/* A system call brings the bytes of many ids. */
static void fill_random(void)
{
	static uint8_t pool[250];
	static size_t used = sizeof pool;

	if (used == sizeof pool) {
		ssize_t got = getrandom(pool, sizeof pool, 0);

		assert(got == (ssize_t)sizeof pool); /* up to 256 bytes never come short once the generator is seeded */
		(void)got;
		used = 0;
	}
	memcpy(last.random, pool + used, sizeof last.random);
	used += sizeof last.random;
}

/* The next number; past the end of this millisecond's numbers the next millisecond begins. */
static void count_up(void)
{
	for (size_t i = sizeof last.random; i-- > 0;)
		if (++last.random[i])
			return;
	last.ms++;
}

void core_ulid(char ret_id[27])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t now_ms = (uint64_t)core_wall_us() / 1000;

	core_assert_loop();
	if (now_ms > last.ms) {
		last.ms = now_ms;
		fill_random();
	} else {
		count_up();
	}

	for (int i = 0; i < 10; i++)
		ret_id[i] = digits[last.ms >> (45 - 5 * i) & 31];
	for (int half = 0; half < 2; half++) {
		uint64_t bits = 0;

		for (int i = 0; i < 5; i++)
			bits = bits << 8 | last.random[half * 5 + i];
		for (int i = 0; i < 8; i++)
			ret_id[10 + half * 8 + i] = digits[bits >> (35 - 5 * i) & 31];
	}
	ret_id[26] = '\0';
}
