/*
 * stored - a recording's file, read from anywhere: as it is, or piece by piece out of its seal
 *
 * Whoever opens it has it hashed first, so that nothing which was changed is handed out as evidence.
 */
#include "stored.h"
#include "call_recording.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int measure(struct stored *stored)
{
	if (stored->is_sealed)
		return seal_size(stored->fd, &stored->size);
	stored->size = lseek(stored->fd, 0, SEEK_END);
	return stored->size >= 0 ? PBX_OK : PBX_EIO;
}

int stored_open(struct stored *stored, const char *path, const char *sha256)
{
	char hash[65];

	stored->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (stored->fd < 0)
		return errno == ENOENT ? PBX_ENOENT : PBX_EIO;
	int err = descriptor_hash(stored->fd, hash); /* of what is read later, whatever the name means by then */

	if (err == PBX_OK)
		err = strcmp(hash, sha256) == 0 ? measure(stored) : PBX_EINVAL;
	if (err == PBX_OK)
		return PBX_OK;
	(void)close(stored->fd);
	stored->fd = -1;
	return err;
}

int64_t stored_read(const struct stored *stored, int64_t at, uint8_t *ret_data, int64_t size)
{
	uint8_t piece[SEAL_PIECE_BYTES];
	int64_t left = stored->size - at;

	size = size < left ? size : left;
	if (size <= 0)
		return 0;
	if (!stored->is_sealed) {
		ssize_t got = pread(stored->fd, ret_data, (size_t)(size < SEAL_PIECE_BYTES ? size : SEAL_PIECE_BYTES), at);

		return got < 0 ? PBX_EIO : got;
	}
	int64_t got = seal_read(stored->fd, stored->key, at, piece);

	if (got > 0) {
		got = got < size ? got : size;
		memcpy(ret_data, piece, (size_t)got);
	}
	explicit_bzero(piece, sizeof piece);
	return got;
}

void stored_close(struct stored *stored)
{
	if (stored->fd >= 0)
		(void)close(stored->fd);
	stored->fd = -1;
	explicit_bzero(stored->key, sizeof stored->key);
}
