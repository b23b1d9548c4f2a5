/* core/store_journal_file.h - records as bytes in a file: frames of length, checksum and statement. [any]: no state. */
#pragma once
#include "store_engine.h"

#define FRAME_PARAMS_MOST 1024u

/* How many bytes a statement takes, and writing it there. */
size_t frame_size(const struct store_statement *statement);
void frame_put(char *at, const struct store_statement *statement);

/* The size of the whole and undamaged frame that data begins with; 0: there is none. *ret_wanted: how many bytes it would need, when
 * data ends too early. */
size_t frame_check(const char *data, size_t size, size_t *ret_wanted);
/* A checked frame's statement; its texts stay in the frame, its parameters go to params (FRAME_PARAMS_MOST). PBX_OK, PBX_EINVAL. */
int frame_read(const char *frame, size_t size, struct pbx_statement *ret_statement, struct pbx_value *params);

/* Walks a file from its beginning and cuts off what is not whole, which is kept in path.cut. PBX_OK, PBX_EIO. Frames and bytes counted are those behind `from`. */
struct frame_count {
	uint64_t frames, bytes, cut_bytes;
};
int frame_scan(const char *path, uint64_t from, struct frame_count *ret_count);
