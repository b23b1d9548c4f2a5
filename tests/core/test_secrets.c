/* tests/core/test_secrets.c - the key on disk, sealing, digests by their published vectors, passwords in the pool */
#include <fcntl.h>
#include <pbx/directory.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../check_main.h"
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "secrets.h"

static const struct pbx_secrets *const secrets = &core_secrets_service;
static char folder[64], key_file[128];

static void setup(void)
{
	(void)snprintf(folder, sizeof folder, "/tmp/secrets-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(key_file, sizeof key_file, "%s/pbx.key", folder);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	ck_assert_int_eq(core_secrets_init(key_file), PBX_OK);
}

static void teardown(void)
{
	core_secrets_fini();
	core_loop_fini();
	core_log_fini();
	(void)unlink(key_file);
	ck_assert_int_eq(rmdir(folder), 0); /* no half-written key beside it either */
}

START_TEST(the_key_is_made_once_and_for_us_alone)
{
	struct stat info;
	char *sealed, *text;

	setup();
	ck_assert_int_eq(stat(key_file, &info), 0);
	ck_assert_uint_eq(info.st_mode & 0777, 0600);
	ck_assert_int_eq(info.st_size, 32);
	sealed = secrets->seal("hunter2", "a");
	core_secrets_fini();
	ck_assert_ptr_null(secrets->seal("hunter2", "a"));
	ck_assert_ptr_null(secrets->open(sealed, "a"));
	ck_assert_int_eq(core_secrets_init(key_file), PBX_OK);
	text = secrets->open(sealed, "a");
	ck_assert_str_eq(text, "hunter2");
	secrets->wipe(text);
	secrets->wipe(sealed);
	teardown();
}
END_TEST

START_TEST(a_key_that_others_may_read_or_that_is_cut_short_is_refused)
{
	setup();
	core_secrets_fini();
	ck_assert_int_eq(chmod(key_file, 0644), 0);
	ck_assert_int_eq(core_secrets_init(key_file), PBX_EIO);
	ck_assert_int_eq(chmod(key_file, 0600), 0);
	ck_assert_int_eq(truncate(key_file, 31), 0);
	ck_assert_int_eq(core_secrets_init(key_file), PBX_EIO);
	ck_assert_int_eq(truncate(key_file, 33), 0);
	ck_assert_int_eq(core_secrets_init(key_file), PBX_EIO);
	ck_assert_ptr_null(secrets->seal("x", "y"));
	teardown();
}
END_TEST

START_TEST(a_systemd_credential_is_taken_instead_of_a_file)
{
	char other[160];

	setup();
	core_secrets_fini();
	(void)snprintf(other, sizeof other, "%s/other.key", folder);
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
	ck_assert_int_eq(core_secrets_init(other), PBX_OK);
	ck_assert_int_ne(access(other, F_OK), 0);
	ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	teardown();
}
END_TEST

START_TEST(what_is_sealed_opens_in_its_own_context_only)
{
	static const char *const texts[] = { "", "x", "geheim mit Umlaut: ä",
					     "a long one ...................................................................." };

	setup();
	for (size_t i = 0; i < 4; i++) {
		char *sealed = secrets->seal(texts[i], "extensions.sip.1001"), *again = secrets->seal(texts[i], "extensions.sip.1001"),
		     *text;

		ck_assert_int_eq(strncmp(sealed, "v1:", 3), 0);
		ck_assert_str_ne(sealed, again);
		text = secrets->open(sealed, "extensions.sip.1001");
		ck_assert_str_eq(text, texts[i]);
		ck_assert_ptr_null(secrets->open(sealed, "extensions.sip.1002"));
		secrets->wipe(text);
		secrets->wipe(sealed);
		secrets->wipe(again);
	}
	teardown();
}
END_TEST

START_TEST(a_sealed_text_with_any_character_changed_does_not_open)
{
	char *sealed;

	setup();
	sealed = secrets->seal("hunter2", "a");
	for (size_t i = 0; sealed[i]; i++) {
		const char kept = sealed[i];

		sealed[i] = kept == 'A' ? 'B' : 'A';
		ck_assert_ptr_null(secrets->open(sealed, "a"));
		sealed[i] = '\0';
		ck_assert_ptr_null(secrets->open(sealed, "a"));
		sealed[i] = kept;
	}
	secrets->wipe(sealed);
	ck_assert_ptr_null(secrets->open("", "a"));
	ck_assert_ptr_null(secrets->open("v1:", "a"));
	ck_assert_ptr_null(secrets->open("v1:====", "a"));
	ck_assert_ptr_null(secrets->open("v1:AAAA", "a"));
	teardown();
}
END_TEST

START_TEST(random_texts_use_every_letter_and_none_that_looks_like_another)
{
	char text[20001], once[25] = "xxxxxxxxxxxxxxxxxxxxxxxx";
	uint32_t seen = 0;

	setup();
	ck_assert_int_eq(secrets->random_text(text, 20000), PBX_OK);
	ck_assert_uint_eq(strlen(text), 20000);
	ck_assert_ptr_null(strpbrk(text, "0O1lI"));
	for (int c = 0; c < 128; c++)
		seen += strchr(text, c) != NULL && c;
	ck_assert_uint_eq(seen, 57);
	ck_assert_int_eq(secrets->random_text(once, 5), PBX_OK);
	ck_assert_uint_eq(strlen(once), 5);
	ck_assert_int_eq(once[6], 'x');
	teardown();
}
END_TEST

START_TEST(digests_are_those_of_the_standards)
{
	static const uint8_t rfc4231_2[32] = { 0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
					       0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
					       0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43 };
	uint8_t mac[32];
	char hex[65];

	setup();
	ck_assert_int_eq(secrets->hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac), PBX_OK);
	ck_assert(secrets->equal(mac, rfc4231_2, 32));
	mac[31] ^= 1;
	ck_assert(!secrets->equal(mac, rfc4231_2, 32));
	ck_assert_int_eq(secrets->digest(PBX_DIGEST_MD5, "abc", 3, hex), PBX_OK);
	ck_assert_str_eq(hex, "900150983cd24fb0d6963f7d28e17f72");
	ck_assert_int_eq(secrets->digest(PBX_DIGEST_SHA256, "abc", 3, hex), PBX_OK);
	ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	ck_assert_int_eq(secrets->digest(99, "abc", 3, hex), PBX_ENOTSUP);
	teardown();
}
END_TEST

/* ---- passwords ---------------------------------------------------------------------------------------- */

static char hashed[256];
static int checked;

static void on_hashed(void *self, const char *hash)
{
	ck_assert_ptr_eq(self, hashed);
	ck_assert_ptr_nonnull(hash);
	(void)snprintf(hashed, sizeof hashed, "%s", hash);
}

static void on_checked(void *self, int result)
{
	*(int *)self = result;
}

static int check(const char *password, const char *hash)
{
	checked = 1;
	ck_assert_int_eq(secrets->check_password(core_self(), password, hash, on_checked, &checked), PBX_OK);
	ck_assert_int_eq(checked, 1); /* never within the call: the loop would stand still */
	core_loop_settle();
	return checked;
}

START_TEST(a_password_is_known_again_and_no_other)
{
	setup();
	ck_assert_int_eq(secrets->hash_password(core_self(), "correct horse", on_hashed, hashed), PBX_OK);
	core_loop_settle();
	ck_assert_int_eq(strncmp(hashed, "pbkdf2-sha256$600000$", 21), 0);
	ck_assert_int_eq(check("correct horse", hashed), PBX_OK);
	ck_assert_int_eq(check("correct horsf", hashed), PBX_EPERM);
	ck_assert_int_eq(check("", hashed), PBX_EPERM);
	ck_assert_int_eq(check("correct horse", NULL), PBX_EPERM);
	teardown();
}
END_TEST

START_TEST(a_stored_hash_that_is_damaged_lets_nobody_in)
{
	static const char *const damaged[] = { "",
					       "x",
					       "pbkdf2-sha256$",
					       "pbkdf2-sha256$1",
					       "pbkdf2-sha256$1$",
					       "pbkdf2-sha256$1$$",
					       "pbkdf2-sha256$0$AAAA$AAAA",
					       "pbkdf2-sha256$99999999999$AAAA$AAAA",
					       "pbkdf2-sha256$1$AAAA$AAAA",
					       "pbkdf2-sha256$-5$AAAA$AAAA" };

	setup();
	for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++)
		ck_assert_int_eq(check("x", damaged[i]), PBX_EPERM);
	teardown();
}
END_TEST

START_TEST(a_published_vector_is_matched)
{
	/* PBKDF2-HMAC-SHA256, "passwd", "salt", 1 round (RFC 7914 11), its first 32 bytes. */
	setup();
	ck_assert_int_eq(check("passwd", "pbkdf2-sha256$1$c2FsdA==$VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLw="), PBX_OK);
	teardown();
}
END_TEST

CHECK_MAIN("secrets", the_key_is_made_once_and_for_us_alone, a_key_that_others_may_read_or_that_is_cut_short_is_refused,
	   a_systemd_credential_is_taken_instead_of_a_file, what_is_sealed_opens_in_its_own_context_only,
	   a_sealed_text_with_any_character_changed_does_not_open, random_texts_use_every_letter_and_none_that_looks_like_another,
	   digests_are_those_of_the_standards, a_password_is_known_again_and_no_other, a_stored_hash_that_is_damaged_lets_nobody_in,
	   a_published_vector_is_matched)
