/*
 * inject_writer - samples from one thread to another
 *
 * Both count samples since the beginning. Who fills it flushes by saying up to where nothing shall be said any more; who empties it goes
 * there with its next step.
 */
#include "inject_writer.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct pbx_inject_writer {
	uint32_t size;
	_Atomic uint64_t flushed;
	_Alignas(64) _Atomic uint64_t written;
	_Atomic uint64_t flush_to; /* count of samples */
	_Alignas(64) _Atomic uint64_t read;
	int16_t samples[];
};

struct pbx_inject_writer *core_inject_writer_new(uint32_t samples)
{
	size_t bytes = sizeof(struct pbx_inject_writer) + samples * sizeof(int16_t);
	struct pbx_inject_writer *writer = aligned_alloc(64, (bytes + 63) / 64 * 64);

	if (!writer)
		return NULL;
	memset(writer, 0, sizeof *writer);
	writer->size = samples;
	return writer;
}

void core_inject_writer_free(struct pbx_inject_writer *writer)
{
	free(writer);
}

uint32_t core_inject_writer_write(struct pbx_inject_writer *writer, const int16_t *samples, uint32_t count)
{
	uint64_t written = atomic_load_explicit(&writer->written, memory_order_relaxed);
	uint32_t room = writer->size - (uint32_t)(written - atomic_load_explicit(&writer->read, memory_order_acquire));
	uint32_t some = count < room ? count : room;
	size_t place = written % writer->size, first = writer->size - place < some ? writer->size - place : some;

	if (some == 0)
		return 0;
	memcpy(writer->samples + place, samples, first * sizeof *samples);
	memcpy(writer->samples, samples + first, (some - first) * sizeof *samples);
	atomic_store_explicit(&writer->written, written + some, memory_order_release);
	return some;
}

void core_inject_writer_flush(struct pbx_inject_writer *writer)
{
	atomic_store_explicit(&writer->flush_to, atomic_load_explicit(&writer->written, memory_order_relaxed), memory_order_release);
}

uint32_t core_inject_writer_take(struct pbx_inject_writer *writer, int16_t *ret_samples, uint32_t count)
{
	uint64_t flush_to = atomic_load_explicit(&writer->flush_to, memory_order_acquire);
	uint64_t written = atomic_load_explicit(&writer->written, memory_order_acquire);
	uint64_t read = atomic_load_explicit(&writer->read, memory_order_relaxed);

	if (flush_to > read) {
		atomic_fetch_add_explicit(&writer->flushed, flush_to - read, memory_order_relaxed);
		read = flush_to;
	}
	uint32_t some = written - read < count ? (uint32_t)(written - read) : count;
	size_t place = read % writer->size, first = writer->size - place < some ? writer->size - place : some;

	memcpy(ret_samples, writer->samples + place, first * sizeof *ret_samples);
	memcpy(ret_samples + first, writer->samples, (some - first) * sizeof *ret_samples);
	atomic_store_explicit(&writer->read, read + some, memory_order_release);
	return some;
}

uint32_t core_inject_writer_waiting(const struct pbx_inject_writer *writer)
{
	uint64_t read = atomic_load_explicit(&writer->read, memory_order_acquire);
	uint64_t flush_to = atomic_load_explicit(&writer->flush_to, memory_order_acquire);

	return (uint32_t)(atomic_load_explicit(&writer->written, memory_order_acquire) - (flush_to > read ? flush_to : read));
}

uint64_t core_inject_writer_flushed(const struct pbx_inject_writer *writer)
{
	return atomic_load_explicit(&writer->flushed, memory_order_relaxed);
}
