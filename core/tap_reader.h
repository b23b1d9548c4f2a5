/* core/tap_reader.h - the ring of blocks behind a tap (pbx/tap.h): one thread fills it, one empties it */
#pragma once
#include <pbx/tap.h>

/* Blocks of so many samples, all channels together. Owned. NULL: no memory. [any] */
struct pbx_tap_reader *core_tap_reader_new(uint32_t block_samples, uint32_t blocks);
void core_tap_reader_free(struct pbx_tap_reader *reader); /* NULL is fine */

/* False: no room, which is counted. Who fills it. */
bool core_tap_reader_put(struct pbx_tap_reader *reader, const int16_t *samples, uint64_t at_us);
void core_tap_reader_end(struct pbx_tap_reader *reader); /* no more blocks come */

/* pbx_taps.read and .wait. Who empties it. */
int core_tap_reader_read(struct pbx_tap_reader *reader, int16_t *ret_samples, uint64_t *ret_at_us);
int core_tap_reader_wait(struct pbx_tap_reader *reader, uint32_t most_ms);

/* [any] */
uint32_t core_tap_reader_waiting(const struct pbx_tap_reader *reader); /* blocks */
uint64_t core_tap_reader_dropped(const struct pbx_tap_reader *reader); /* blocks */
