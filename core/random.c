/* random.c - the kernel's random numbers by the handful, one for each thread
 *
 * What is handed out is wiped from the pool, so that nobody finds a key there afterwards. We fork only to run other programs. */
#include "random.h"
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define POOL_BYTES 512u

static _Thread_local struct {
	uint8_t bytes[POOL_BYTES];
	size_t left; /* the last of them */
} pool;

/* The kernel has entropy once it has booted; a signal may cut a large request short. */
static void fill(uint8_t *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = getrandom(bytes + done, size - done, 0);

		assert(got > 0 || errno == EINTR);
		done += got > 0 ? (size_t)got : 0;
	}
}

void core_random(void *ret_bytes, size_t size)
{
	if (size > POOL_BYTES) {
		fill(ret_bytes, size);
		return;
	}
	if (pool.left < size) {
		fill(pool.bytes, POOL_BYTES);
		pool.left = POOL_BYTES;
	}
	uint8_t *taken = pool.bytes + POOL_BYTES - pool.left;

	memcpy(ret_bytes, taken, size);
	explicit_bzero(taken, size);
	pool.left -= size;
}

/* Numbers of the last, incomplete round would come up more often: they are drawn again. */
uint32_t core_random_below(uint32_t most)
{
	uint32_t drawn, uneven = UINT32_MAX - UINT32_MAX % most;

	assert(most > 0);
	do
		core_random(&drawn, sizeof drawn);
	while (drawn >= uneven);
	return drawn % most;
}
