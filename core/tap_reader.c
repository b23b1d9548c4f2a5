/*
 * tap_reader - blocks from one thread to another
 *
 * Both count blocks since the beginning; the difference is what is in the ring. Who fills it never waits. Who empties it may sleep: it says so
 * first and looks once more, so that it is woken by the next block or did not need to be.
 */
#include "tap_reader.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pbx_tap_reader {
	uint32_t block_samples, blocks;
	_Atomic bool over, asleep;
	_Atomic uint64_t dropped;
	sem_t awake;
	_Alignas(64) _Atomic uint64_t written;
	_Alignas(64) _Atomic uint64_t read;
	uint64_t *times;
	int16_t samples[];
};

struct pbx_tap_reader *core_tap_reader_new(uint32_t block_samples, uint32_t blocks)
{
	size_t bytes = sizeof(struct pbx_tap_reader) + (size_t)block_samples * blocks * sizeof(int16_t);
	struct pbx_tap_reader *reader = aligned_alloc(64, (bytes + 63) / 64 * 64);

	if (!reader)
		return NULL;
	memset(reader, 0, sizeof *reader);
	reader->block_samples = block_samples;
	reader->blocks = blocks;
	reader->times = calloc(blocks, sizeof *reader->times);
	if (!reader->times) {
		free(reader);
		return NULL;
	}
	(void)sem_init(&reader->awake, 0, 0); /* fails only for values and sharing that this is not */
	return reader;
}

void core_tap_reader_free(struct pbx_tap_reader *reader)
{
	if (!reader)
		return;
	(void)sem_destroy(&reader->awake);
	free(reader->times);
	free(reader);
}

static void wake(struct pbx_tap_reader *reader)
{
	if (atomic_exchange(&reader->asleep, false))
		(void)sem_post(&reader->awake); /* at most one is asleep */
}

bool core_tap_reader_put(struct pbx_tap_reader *reader, const int16_t *samples, uint64_t at_us)
{
	uint64_t written = atomic_load_explicit(&reader->written, memory_order_relaxed);

	if (written - atomic_load_explicit(&reader->read, memory_order_acquire) == reader->blocks) {
		atomic_fetch_add_explicit(&reader->dropped, 1, memory_order_relaxed);
		return false;
	}
	size_t slot = written % reader->blocks;

	reader->times[slot] = at_us;
	memcpy(reader->samples + slot * reader->block_samples, samples, reader->block_samples * sizeof *samples);
	atomic_store(&reader->written, written + 1);
	wake(reader);
	return true;
}

void core_tap_reader_end(struct pbx_tap_reader *reader)
{
	atomic_store(&reader->over, true);
	wake(reader);
}

/* over is looked at first: what was written before it is seen then. */
static int look(const struct pbx_tap_reader *reader)
{
	bool over = atomic_load(&reader->over);

	if (atomic_load(&reader->written) != atomic_load_explicit(&reader->read, memory_order_relaxed))
		return PBX_OK;
	return over ? PBX_ENOENT : PBX_ELATER;
}

int core_tap_reader_read(struct pbx_tap_reader *reader, int16_t *ret_samples, uint64_t *ret_at_us)
{
	uint64_t read = atomic_load_explicit(&reader->read, memory_order_relaxed);
	size_t slot = read % reader->blocks;
	int err = look(reader);

	if (err != PBX_OK)
		return err;
	*ret_at_us = reader->times[slot];
	memcpy(ret_samples, reader->samples + slot * reader->block_samples, reader->block_samples * sizeof *ret_samples);
	atomic_store_explicit(&reader->read, read + 1, memory_order_release);
	return PBX_OK;
}

int core_tap_reader_wait(struct pbx_tap_reader *reader, uint32_t most_ms)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* every Linux has it */
	until.tv_sec += most_ms / 1000;
	until.tv_nsec += (long)(most_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (look(reader) == PBX_ELATER) {
		atomic_store(&reader->asleep, true);
		if (look(reader) != PBX_ELATER)
			break;
		if (sem_clockwait(&reader->awake, CLOCK_MONOTONIC, &until) != 0)
			break; /* that was long enough */
	}
	return look(reader);
}

uint32_t core_tap_reader_waiting(const struct pbx_tap_reader *reader)
{
	return (uint32_t)(atomic_load_explicit(&reader->written, memory_order_acquire) -
			  atomic_load_explicit(&reader->read, memory_order_acquire));
}

uint64_t core_tap_reader_dropped(const struct pbx_tap_reader *reader)
{
	return atomic_load_explicit(&reader->dropped, memory_order_relaxed);
}
