/* pbx/secrets.h - keeping and checking secrets
 * Served by the core as "pbx.secrets/1". [any] but for the two that hash in the pool. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pbx_secrets {
	struct pbx_header header;

	/* AES-256-GCM under the installation's key: text to "v1:…" for a column, and back. context binds the two ("extensions.sip.1001"): a
	 * sealed text moved elsewhere does not open. Owned results; wipe gives them back. NULL: no memory, or (open) damaged. */
	char *(*seal)(const char *text, const char *context);
	char *(*open)(const char *sealed, const char *context);
	void (*wipe)(char *text); /* overwrites, then frees; NULL is fine */

	/* `length` characters of [A-Za-z0-9] without 0 O 1 l I, from the system's generator, and a zero. PBX_OK, PBX_EIO. */
	int (*random_text)(char *ret_text, uint32_t length);

	/* HMAC-SHA256 of data, 32 bytes. PBX_OK, PBX_ENOMEM. */
	int (*hmac_sha256)(const void *key, size_t key_size, const void *data, size_t data_size, uint8_t ret_mac[32]);
	/* Hexadecimal digest, PBX_DIGEST_MD5 or PBX_DIGEST_SHA256 (pbx/directory.h). PBX_OK, PBX_ENOTSUP. */
	int (*digest)(uint32_t algorithm, const void *data, size_t size, char ret_hex[65]);
	bool (*equal)(const void *a, const void *b, size_t size); /* in constant time */

	/* PBKDF2-HMAC-SHA256, 600,000 rounds, own salt, parameters in the text. In the pool; done on the loop with an owned-by-us text
	 * (copy it), or NULL. [loop] */
	int (*hash_password)(struct pbx_host *host, const char *password, void (*done)(void *self, const char *hash), void *self);
	/* PBX_OK, PBX_EPERM. hash NULL: takes as long and refuses, so that unknown users look like known ones. [loop] */
	int (*check_password)(struct pbx_host *host, const char *password, const char *hash, void (*done)(void *self, int result),
			      void *self);
};

PBX_SERVICE(pbx_secrets, "pbx.secrets/1")

#ifdef __cplusplus
}
#endif
