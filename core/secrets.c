/*
 * secrets - the installation's key, sealing, digests and passwords, all by OpenSSL
 *
 * A sealed text is "v1:" and base64 of nonce, ciphertext and tag of AES-256-GCM; the context it belongs to is authenticated with it.
 * Nonces are random: at 96 bits and some millions of sealed texts under one key, two alike are not to be expected (NIST SP 800-38D 8.3
 * allows 2^32). The key is written once, at the first start, and never changes afterwards, so any thread may read it.
 */
#include "secrets.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pbx/directory.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"

#define KEY_BYTES 32
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define SEALED_MARK "v1:"
#define MOST_SEALED_BYTES (1u << 20)

#define PASSWORD_MARK "pbkdf2-sha256"
#define PASSWORD_ROUNDS 600000
#define MOST_ROUNDS 10000000
#define SALT_BYTES 16
#define HASH_BYTES 32

static uint8_t key[KEY_BYTES];
static bool has_key;

/* Found once, at the start: finding an algorithm takes longer than using it. NULL: this OpenSSL has none (MD5 in its FIPS mode). */
static EVP_CIPHER *aes;
static EVP_MD *md5, *sha256;

/* ---- base64 -------------------------------------------------------------------------------- */

/* Owned text after `mark`, or NULL. */
static char *encode(const char *mark, const uint8_t *bytes, size_t size)
{
	const size_t at = strlen(mark);
	char *text = malloc(at + (size + 2) / 3 * 4 + 1);

	if (text) {
		memcpy(text, mark, at);
		(void)EVP_EncodeBlock((unsigned char *)text + at, bytes, (int)size);
	}
	return text;
}

/* Bits of the last character that stand for no byte are zero: else two texts would mean the same bytes. */
static bool ends_well(const uint8_t *bytes, size_t size, size_t padding)
{
	for (size_t i = size; i < size + padding; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Owned bytes, or NULL: not base64, or no memory. */
static uint8_t *decode(const char *text, size_t length, size_t *ret_size)
{
	size_t padding = length >= 2 ? (size_t)(text[length - 1] == '=') + (text[length - 2] == '=') : 0;
	size_t size = length / 4 * 3 - padding;
	uint8_t *bytes;

	if (!length || length % 4 || length > MOST_SEALED_BYTES)
		return NULL;
	bytes = malloc(size + padding);
	if (bytes && EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)length) >= 0 && ends_well(bytes, size, padding)) {
		*ret_size = size;
		return bytes;
	}
	free(bytes);
	return NULL;
}

/* ---- sealing --------------------------------------------------------------------------------- */

void core_secrets_wipe(char *text)
{
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

/* nonce, ciphertext, tag into sealed. */
static bool encrypt(const char *text, size_t size, const char *context, uint8_t *sealed)
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	uint8_t *body = sealed + NONCE_BYTES;
	int done = 0;
	bool fine = cipher && RAND_bytes(sealed, NONCE_BYTES) == 1 && EVP_EncryptInit_ex(cipher, aes, NULL, key, sealed) == 1 &&
		    EVP_EncryptUpdate(cipher, NULL, &done, (const uint8_t *)context, (int)strlen(context)) == 1 &&
		    EVP_EncryptUpdate(cipher, body, &done, (const uint8_t *)text, (int)size) == 1 &&
		    EVP_EncryptFinal_ex(cipher, body + done, &done) == 1 &&
		    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + size) == 1;

	EVP_CIPHER_CTX_free(cipher);
	return fine;
}

static bool decrypt(uint8_t *sealed, size_t size, const char *context, char *text)
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	uint8_t *body = sealed + NONCE_BYTES;
	int done = 0;
	bool fine = cipher && EVP_DecryptInit_ex(cipher, aes, NULL, key, sealed) == 1 &&
		    EVP_DecryptUpdate(cipher, NULL, &done, (const uint8_t *)context, (int)strlen(context)) == 1 &&
		    EVP_DecryptUpdate(cipher, (uint8_t *)text, &done, body, (int)size) == 1 &&
		    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, body + size) == 1 &&
		    EVP_DecryptFinal_ex(cipher, (uint8_t *)text + done, &done) == 1;

	EVP_CIPHER_CTX_free(cipher);
	return fine;
}

char *core_secrets_seal(const char *text, const char *context)
{
	const size_t size = strlen(text), whole = NONCE_BYTES + size + TAG_BYTES;
	uint8_t *sealed;
	char *result = NULL;

	if (!has_key || whole > MOST_SEALED_BYTES / 2)
		return NULL;
	sealed = malloc(whole);
	if (sealed && encrypt(text, size, context, sealed))
		result = encode(SEALED_MARK, sealed, whole);
	free(sealed);
	return result;
}

char *core_secrets_open(const char *sealed, const char *context)
{
	const size_t mark = strlen(SEALED_MARK);
	size_t whole = 0, size;
	uint8_t *bytes;
	char *text = NULL;

	if (!has_key || strncmp(sealed, SEALED_MARK, mark) != 0)
		return NULL;
	bytes = decode(sealed + mark, strlen(sealed + mark), &whole);
	if (bytes && whole >= NONCE_BYTES + TAG_BYTES) {
		size = whole - NONCE_BYTES - TAG_BYTES;
		text = calloc(1, size + 1);
		if (text && !decrypt(bytes, size, context, text)) {
			OPENSSL_cleanse(text, size); /* the plaintext of something damaged: nobody may see it */
			free(text);
			text = NULL;
		}
	}
	free(bytes);
	return text;
}

/* ---- random texts, digests ---------------------------------------------------------------------- */

static int random_text(char *ret_text, uint32_t length)
{
	static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
	const uint8_t fair = (uint8_t)(256 / (sizeof letters - 1) * (sizeof letters - 1)); /* bytes above would favour the first letters */
	uint8_t bytes[64];
	uint32_t done = 0;

	while (done < length) {
		if (RAND_bytes(bytes, sizeof bytes) != 1) {
			OPENSSL_cleanse(ret_text, done);
			ret_text[0] = '\0';
			return PBX_EIO;
		}
		for (size_t i = 0; i < sizeof bytes && done < length; i++)
			if (bytes[i] < fair)
				ret_text[done++] = letters[bytes[i] % (sizeof letters - 1)];
	}
	ret_text[length] = '\0';
	OPENSSL_cleanse(bytes, sizeof bytes);
	return PBX_OK;
}

static int hmac_sha256(const void *mac_key, size_t key_size, const void *data, size_t data_size, uint8_t ret_mac[32])
{
	unsigned int size = 32;

	return HMAC(EVP_sha256(), mac_key, (int)key_size, data, data_size, ret_mac, &size) ? PBX_OK : PBX_ENOMEM;
}

static int digest(uint32_t algorithm, const void *data, size_t size, char ret_hex[65])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t bytes[EVP_MAX_MD_SIZE];
	unsigned int count = 0;
	const EVP_MD *kind = algorithm == PBX_DIGEST_MD5 ? md5 : algorithm == PBX_DIGEST_SHA256 ? sha256 : NULL;

	if (!kind || EVP_Digest(data, size, bytes, &count, kind, NULL) != 1)
		return PBX_ENOTSUP;
	for (unsigned int i = 0; i < count; i++) {
		ret_hex[2 * i] = hex[bytes[i] >> 4];
		ret_hex[2 * i + 1] = hex[bytes[i] & 15];
	}
	ret_hex[2 * count] = '\0';
	return PBX_OK;
}

static bool equal(const void *a, const void *b, size_t size)
{
	return CRYPTO_memcmp(a, b, size) == 0;
}

/* ---- passwords ------------------------------------------------------------------------------------- */

struct password_job {
	char *password;
	char *hash; /* to be checked; then made */
	int result;
	void (*hashed)(void *self, const char *hash);
	void (*checked)(void *self, int result);
	void *self;
};

static void job_free(struct password_job *job)
{
	core_secrets_wipe(job->password);
	free(job->hash);
	free(job);
}

static bool derive(const char *password, const uint8_t *salt, size_t salt_size, int rounds, uint8_t ret_hash[HASH_BYTES])
{
	return PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_size, rounds, EVP_sha256(), HASH_BYTES, ret_hash) == 1;
}

/* "pbkdf2-sha256$600000$salt$hash". [work] */
static void hash_work(void *context)
{
	struct password_job *job = context;
	uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
	char *salt_text = NULL, *hash_text = NULL;

	if (RAND_bytes(salt, sizeof salt) == 1 && derive(job->password, salt, sizeof salt, PASSWORD_ROUNDS, hash)) {
		salt_text = encode("", salt, sizeof salt);
		hash_text = encode("", hash, sizeof hash);
	}
	if (salt_text && hash_text && asprintf(&job->hash, PASSWORD_MARK "$%d$%s$%s", PASSWORD_ROUNDS, salt_text, hash_text) < 0)
		job->hash = NULL;
	free(salt_text);
	free(hash_text);
	OPENSSL_cleanse(hash, sizeof hash);
}

static bool matches(const char *password, const char *stored)
{
	const char *salt_at, *hash_at;
	uint8_t *salt = NULL, *wanted = NULL, hash[HASH_BYTES];
	size_t salt_size = 0, size = 0;
	char *end;
	long rounds;
	bool fine = false;

	if (strncmp(stored, PASSWORD_MARK "$", sizeof PASSWORD_MARK) != 0)
		return false;
	rounds = strtol(stored + sizeof PASSWORD_MARK, &end, 10);
	salt_at = end + 1;
	hash_at = *end == '$' ? strchr(salt_at, '$') : NULL;
	if (!hash_at || rounds < 1 || rounds > MOST_ROUNDS)
		return false;
	salt = decode(salt_at, (size_t)(hash_at - salt_at), &salt_size);
	wanted = decode(hash_at + 1, strlen(hash_at + 1), &size);
	if (salt && wanted && size == HASH_BYTES && derive(password, salt, salt_size, (int)rounds, hash))
		fine = equal(hash, wanted, HASH_BYTES);
	free(salt);
	free(wanted);
	OPENSSL_cleanse(hash, sizeof hash);
	return fine;
}

static void check_work(void *context)
{
	static const uint8_t nobody[SALT_BYTES];
	struct password_job *job = context;
	uint8_t hash[HASH_BYTES];

	job->result = PBX_EPERM;
	if (!job->hash)
		(void)derive(job->password, nobody, sizeof nobody, PASSWORD_ROUNDS, hash); /* for the time it takes */
	else if (matches(job->password, job->hash))
		job->result = PBX_OK;
}

static void on_hashed(void *context, void *work, int status)
{
	struct password_job *job = work;

	(void)context;
	job->hashed(job->self, status == PBX_OK ? job->hash : NULL);
	job_free(job);
}

static void on_checked(void *context, void *work, int status)
{
	struct password_job *job = work;

	(void)context;
	job->checked(job->self, status == PBX_OK ? job->result : status);
	job_free(job);
}

static struct password_job *job_new(const char *password, const char *hash, void *self)
{
	struct password_job *job = calloc(1, sizeof *job);

	if (!job)
		return NULL;
	job->self = self;
	job->password = strdup(password);
	job->hash = hash ? strdup(hash) : NULL;
	if (job->password && (!hash || job->hash))
		return job;
	job_free(job);
	return NULL;
}

static int hash_password(struct pbx_host *host, const char *password, void (*done)(void *self, const char *hash), void *self)
{
	struct password_job *job = job_new(password, NULL, self);

	core_assert_loop();
	if (!job)
		return PBX_ENOMEM;
	job->hashed = done;
	if (core_work(host, hash_work, on_hashed, NULL, job) == PBX_OK)
		return PBX_OK;
	job_free(job);
	return PBX_ENOMEM;
}

static int check_password(struct pbx_host *host, const char *password, const char *hash, void (*done)(void *self, int result), void *self)
{
	struct password_job *job = job_new(password, hash, self);

	core_assert_loop();
	if (!job)
		return PBX_ENOMEM;
	job->checked = done;
	if (core_work(host, check_work, on_checked, NULL, job) == PBX_OK)
		return PBX_OK;
	job_free(job);
	return PBX_ENOMEM;
}

/* ---- the key ----------------------------------------------------------------------------------------- */

static int tell(const char *file, const char *why)
{
	core_log(PBX_LOG_ERROR, "core", NULL, "key_not_usable", "file=%s reason=\"%s\"", file, why);
	return PBX_EIO;
}

/* PBX_OK, PBX_ENOENT, PBX_EIO (told). */
static int read_key(const char *file)
{
	int descriptor = open(file, O_RDONLY | O_CLOEXEC);
	uint8_t bytes[KEY_BYTES + 1];
	struct stat info;
	ssize_t size;

	if (descriptor < 0)
		return errno == ENOENT ? PBX_ENOENT : tell(file, strerror(errno));
	size = fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) ? read(descriptor, bytes, sizeof bytes) : -1;
	(void)close(descriptor);
	if (size != KEY_BYTES)
		return tell(file, "a key is a file of 32 bytes");
	if (info.st_mode & (S_IWGRP | S_IRWXO))
		return tell(file, "others may read or change it: chmod 600");
	memcpy(key, bytes, KEY_BYTES);
	OPENSSL_cleanse(bytes, sizeof bytes);
	return PBX_OK;
}

static bool write_key(int descriptor)
{
	uint8_t bytes[KEY_BYTES];
	bool fine = RAND_bytes(bytes, sizeof bytes) == 1 && write(descriptor, bytes, sizeof bytes) == (ssize_t)sizeof bytes &&
		    fsync(descriptor) == 0;

	OPENSSL_cleanse(bytes, sizeof bytes);
	return fine;
}

/* The name itself survives a power cut only when its folder has been written, too. */
static bool sync_folder(const char *file)
{
	char folder[4096];
	char *slash;
	int descriptor;
	bool fine;

	(void)snprintf(folder, sizeof folder, "%s%s", *file == '/' ? "" : "./", file);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fine = descriptor >= 0 && fsync(descriptor) == 0;
	if (descriptor >= 0)
		(void)close(descriptor);
	return fine;
}

/* Half a key must never be found after a power cut, nor two keys after two starts: written beside, then linked under its name. */
static int make_key(const char *file)
{
	char beside[4096];
	int descriptor, err = PBX_OK;

	(void)snprintf(beside, sizeof beside, "%s.%ld", file, (long)getpid());
	descriptor = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (descriptor < 0)
		return tell(file, strerror(errno));
	if (!write_key(descriptor) || (link(beside, file) != 0 && errno != EEXIST) || !sync_folder(file))
		err = tell(file, strerror(errno));
	(void)close(descriptor);
	(void)unlink(beside); /* it has its right name, or is not wanted */
	return err == PBX_OK ? read_key(file) : err;
}

int core_secrets_init(const char *key_file)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	int err = PBX_ENOENT;
	char file[4096];

	if (credentials) {
		(void)snprintf(file, sizeof file, "%s/pbx.key", credentials);
		err = read_key(file);
	}
	if (err == PBX_ENOENT)
		err = read_key(key_file);
	if (err == PBX_ENOENT)
		err = make_key(key_file);
	has_key = err == PBX_OK;
	if (!aes) {
		aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
		md5 = EVP_MD_fetch(NULL, "MD5", NULL);
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	}
	return err;
}

void core_secrets_fini(void)
{
	EVP_CIPHER_free(aes);
	EVP_MD_free(md5);
	EVP_MD_free(sha256);
	aes = NULL;
	md5 = sha256 = NULL;
	OPENSSL_cleanse(key, sizeof key);
	has_key = false;
}

const struct pbx_secrets core_secrets_service = {
	.header = PBX_HEADER(struct pbx_secrets),
	.seal = core_secrets_seal,
	.open = core_secrets_open,
	.wipe = core_secrets_wipe,
	.random_text = random_text,
	.hmac_sha256 = hmac_sha256,
	.digest = digest,
	.equal = equal,
	.hash_password = hash_password,
	.check_password = check_password,
};
