/* core/ulid.c - identifiers that sort by time (github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, in base 32
 *
 * Within a millisecond, and while the wall clock stands behind what was given out already, the random part counts up, so that
 * ids of one process always rise. */
#include "loop.h"
#include "random.h"
#include <assert.h>
#include <string.h>

static struct {
	uint64_t ms;
	uint8_t random[10];
} last;

/* The next number; past the end of this millisecond's numbers the next millisecond begins. */
static void count_up(void)
{
	for (size_t i = sizeof last.random; i-- > 0;)
		if (++last.random[i])
			return;
	last.ms++;
}

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void core_ulid(char ret_id[27])
{
	uint64_t now_ms = (uint64_t)core_wall_us() / 1000;

	core_assert_loop();
	if (now_ms > last.ms) {
		last.ms = now_ms;
		core_random(last.random, sizeof last.random);
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

const char *core_ulid_of(const char *id, char ret_ulid[CORE_ULID_SIZE])
{
	const size_t length = CORE_ULID_SIZE - 1;
	const char *number = id + length + 1;

	if (strspn(id, digits) != length || id[length] != '-' || !*number || number[strspn(number, "0123456789")])
		return id;
	memcpy(ret_ulid, id, length);
	ret_ulid[length] = '\0';
	return ret_ulid;
}
