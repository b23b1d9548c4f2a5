/*
 * seal - a recording at rest: AES-256-GCM (NIST SP 800-38D) under a key of the file's own
 *
 *   "PBXREC1\n", 8 random octets, then pieces of 65536 octets, each followed by its tag of 16; the last one may be shorter, or empty
 *
 * A piece's nonce is the random octets and its number, so none comes twice; its number and whether it is the last are authenticated with it, so
 * pieces can be neither exchanged nor cut off unnoticed.
 */
#include "seal.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pbx/abi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "PBXREC1\n"
#define MAGIC_BYTES 8u
#define SALT_BYTES 8u
#define HEAD_BYTES (MAGIC_BYTES + SALT_BYTES)
#define TAG_BYTES 16u
#define STORED_BYTES (SEAL_PIECE_BYTES + TAG_BYTES)
#define NONCE_BYTES 12u
#define ABOUT_BYTES 5u

struct piece {
	uint8_t nonce[NONCE_BYTES], about[ABOUT_BYTES];
};

static struct piece piece_of(const uint8_t salt[SALT_BYTES], uint32_t number, bool is_last)
{
	struct piece piece = { .about = { (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number,
					  is_last } };

	memcpy(piece.nonce, salt, SALT_BYTES);
	memcpy(piece.nonce + SALT_BYTES, piece.about, NONCE_BYTES - SALT_BYTES);
	return piece;
}

/* data is turned into what it is sealed, and its tag. */
static bool seal_piece(const uint8_t *key, const struct piece *piece, uint8_t *data, int size, uint8_t *ret_tag)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int done = 0;
	bool good = context && EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, piece->nonce) == 1 &&
		    EVP_EncryptUpdate(context, NULL, &done, piece->about, ABOUT_BYTES) == 1 &&
		    EVP_EncryptUpdate(context, data, &done, data, size) == 1 && EVP_EncryptFinal_ex(context, data + done, &done) == 1 &&
		    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, ret_tag) == 1;

	EVP_CIPHER_CTX_free(context);
	return good;
}

static bool open_piece(const uint8_t *key, const struct piece *piece, uint8_t *data, int size, uint8_t *tag)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int done = 0;
	bool good = context && EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, piece->nonce) == 1 &&
		    EVP_DecryptUpdate(context, NULL, &done, piece->about, ABOUT_BYTES) == 1 &&
		    EVP_DecryptUpdate(context, data, &done, data, size) == 1 &&
		    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
		    EVP_DecryptFinal_ex(context, data + done, &done) == 1;

	EVP_CIPHER_CTX_free(context);
	return good;
}

/* ---- writing ---- */

static bool seal_all(FILE *from, FILE *to, const uint8_t *key)
{
	uint8_t *data = malloc(STORED_BYTES), salt[SALT_BYTES];
	bool good = data && RAND_bytes(salt, sizeof salt) == 1 && fwrite(MAGIC, 1, MAGIC_BYTES, to) == MAGIC_BYTES &&
		    fwrite(salt, 1, sizeof salt, to) == sizeof salt;
	bool is_last = false;

	for (uint32_t number = 0; good && !is_last; number++) {
		size_t size = fread(data, 1, SEAL_PIECE_BYTES, from);

		is_last = size < SEAL_PIECE_BYTES;
		const struct piece piece = piece_of(salt, number, is_last);

		good = !ferror(from) && seal_piece(key, &piece, data, (int)size, data + size) &&
		       fwrite(data, 1, size + TAG_BYTES, to) == size + TAG_BYTES;
	}
	free(data);
	return good;
}

int seal_file(const char *path, const uint8_t key[SEAL_KEY_BYTES])
{
	char sealed[4096];

	(void)snprintf(sealed, sizeof sealed, "%s.sealed", path);
	int fd = open(sealed, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640); /* one that a crash has left is of no use */
	FILE *from = fopen(path, "rbe"), *to = fd >= 0 ? fdopen(fd, "wb") : NULL;
	bool good = from && to && seal_all(from, to, key) && fflush(to) == 0 && fsync(fd) == 0;

	if (from)
		(void)fclose(from); /* was only read */
	if (to)
		good = fclose(to) == 0 && good;
	else if (fd >= 0)
		(void)close(fd);
	good = good && rename(sealed, path) == 0;
	if (!good)
		(void)unlink(sealed);
	return good ? PBX_OK : PBX_EIO;
}

/* ---- reading ---- */

static int64_t stored_bytes(int fd)
{
	struct stat file;

	return fstat(fd, &file) == 0 ? (int64_t)file.st_size - HEAD_BYTES : -1;
}

int seal_size(int fd, int64_t *ret_bytes)
{
	int64_t stored = stored_bytes(fd), pieces = stored / STORED_BYTES + 1; /* the last one is never a full one */
	char magic[MAGIC_BYTES];

	if (stored < (int64_t)TAG_BYTES || stored % STORED_BYTES < (int64_t)TAG_BYTES ||
	    pread(fd, magic, sizeof magic, 0) != (ssize_t)sizeof magic || memcmp(magic, MAGIC, sizeof magic) != 0)
		return PBX_EINVAL;
	*ret_bytes = stored - pieces * TAG_BYTES;
	return PBX_OK;
}

int64_t seal_read(int fd, const uint8_t key[SEAL_KEY_BYTES], int64_t at, uint8_t ret_data[SEAL_PIECE_BYTES])
{
	int64_t number = at / SEAL_PIECE_BYTES, skipped = at % SEAL_PIECE_BYTES, stored = stored_bytes(fd);
	bool is_last = number == stored / STORED_BYTES;
	uint8_t salt[SALT_BYTES], *data = malloc(STORED_BYTES);
	int64_t result = PBX_EIO;
	ssize_t got = data ? pread(fd, data, STORED_BYTES, HEAD_BYTES + number * STORED_BYTES) : -1;

	if (got >= (ssize_t)TAG_BYTES && pread(fd, salt, sizeof salt, MAGIC_BYTES) == (ssize_t)sizeof salt) {
		const struct piece piece = piece_of(salt, (uint32_t)number, is_last);
		int64_t size = got - (ssize_t)TAG_BYTES;

		result = !open_piece(key, &piece, data, (int)size, data + size) ? PBX_EINVAL : size > skipped ? size - skipped : 0;
		if (result > 0)
			memcpy(ret_data, data + skipped, (size_t)result);
	}
	free(data);
	return result;
}
