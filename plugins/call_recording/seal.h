/* call_recording/seal.h - files that only we can read: AES-256-GCM in pieces, so that any part can be read by itself. May block: [work]. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_BYTES 32u
#define SEAL_PIECE_BYTES 65536u

/* Writes the file anew, sealed, in the place of the one that is there. PBX_OK, PBX_EIO. */
int seal_file(const char *path, const uint8_t key[SEAL_KEY_BYTES]);
/* Octets of what is sealed in it. PBX_OK, PBX_EINVAL (it is none of ours). */
int seal_size(int fd, int64_t *ret_bytes);
/* What is sealed from octet `at` on, to the end of its piece at most: how many; negative: PBX_EIO, or PBX_EINVAL (damaged, or another key). */
int64_t seal_read(int fd, const uint8_t key[SEAL_KEY_BYTES], int64_t at, uint8_t ret_data[SEAL_PIECE_BYTES]);
