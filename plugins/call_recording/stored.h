/* call_recording/stored.h - the sound of a recording as it was recorded, whether its file lies in clear or sealed. May block: [work]. */
#pragma once
#include "seal.h"
#include <stdbool.h>

struct stored {
	int fd; /* -1: not open */
	bool is_sealed;
	uint8_t key[SEAL_KEY_BYTES];
	int64_t size; /* octets of the sound file */
};

/* Its file as it lies on the disk is open; sha256 is what that should be. is_sealed and key were filled in by the caller. PBX_OK, PBX_ENOENT (no file),
 * PBX_EINVAL (it is another one than it was), PBX_EIO. Not PBX_OK: nothing is open. */
int stored_open(struct stored *stored, const char *path, const char *sha256);
/* Octets from `at` on, at most size and SEAL_PIECE_BYTES; 0 at the end; negative: PBX_EIO, PBX_EINVAL (damaged). */
int64_t stored_read(const struct stored *stored, int64_t at, uint8_t *ret_data, int64_t size);
/* Closes, and forgets the key. */
void stored_close(struct stored *stored);
