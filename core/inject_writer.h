/* core/inject_writer.h - the ring of samples behind an injection (pbx/inject.h): one thread fills it, one empties it */
#pragma once
#include <pbx/inject.h>

struct pbx_inject_writer *core_inject_writer_new(uint32_t samples); /* owned; NULL: no memory. [any] */
void core_inject_writer_free(struct pbx_inject_writer *writer);     /* NULL is fine */

/* pbx_injections.write and .flush. Who fills it. */
uint32_t core_inject_writer_write(struct pbx_inject_writer *writer, const int16_t *samples, uint32_t count);
void core_inject_writer_flush(struct pbx_inject_writer *writer);

/* How many there were, at most `count`; what was flushed is passed over. Who empties it: no lock, no allocation. */
uint32_t core_inject_writer_take(struct pbx_inject_writer *writer, int16_t *ret_samples, uint32_t count);

/* [any] */
uint32_t core_inject_writer_waiting(const struct pbx_inject_writer *writer);
uint64_t core_inject_writer_flushed(const struct pbx_inject_writer *writer);
