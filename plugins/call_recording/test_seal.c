/* call_recording/test_seal.c - what is sealed opens again, from anywhere in it, and nothing else does */
#include "../../tests/check_main.h"
#include "seal.h"
#include <check.h>
#include <fcntl.h>
#include <pbx/abi.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/test-seal-XXXXXX";
static const uint8_t key[SEAL_KEY_BYTES] = "a key that is 32 octets long, ok", other_key[SEAL_KEY_BYTES] = "another one";

static uint8_t octet_at(int64_t at)
{
	return (uint8_t)(at * 31 + at / 251);
}

/* Of so many octets. */
static int sealed(int64_t size)
{
	strcpy(path, "/tmp/test-seal-XXXXXX");
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	ck_assert_ptr_nonnull(file);
	for (int64_t at = 0; at < size; at++)
		(void)fputc(octet_at(at), file);
	(void)fclose(file);
	ck_assert_int_eq(seal_file(path, key), PBX_OK);
	fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void away(int fd)
{
	(void)close(fd);
	(void)unlink(path);
}

START_TEST(every_length_opens_again)
{
	static const int64_t sizes[] = { 0, 1, 65535, 65536, 65537, 200000 };
	uint8_t data[SEAL_PIECE_BYTES];

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		int fd = sealed(sizes[i]);
		int64_t size, at = 0, got;

		ck_assert_int_eq(seal_size(fd, &size), PBX_OK);
		ck_assert_int_eq(size, sizes[i]);
		while ((got = seal_read(fd, key, at, data)) > 0)
			for (int64_t end = at + got, from = at; at < end; at++)
				ck_assert_uint_eq(data[at - from], octet_at(at));
		ck_assert_int_eq(got, 0);
		ck_assert_int_eq(at, size);
		away(fd);
	}
}
END_TEST

START_TEST(any_part_can_be_read_by_itself)
{
	uint8_t data[SEAL_PIECE_BYTES];
	int fd = sealed(200000);

	ck_assert_int_eq(seal_read(fd, key, 65530, data), 6);
	ck_assert_uint_eq(data[0], octet_at(65530));
	ck_assert_int_eq(seal_read(fd, key, 199999, data), 1);
	ck_assert_uint_eq(data[0], octet_at(199999));
	away(fd);
}
END_TEST

START_TEST(nothing_of_it_can_be_seen_or_changed_or_cut_off)
{
	uint8_t data[SEAL_PIECE_BYTES], octet;
	int fd = sealed(200000);
	int64_t size;

	ck_assert_int_eq(seal_read(fd, other_key, 0, data), PBX_EINVAL);
	ck_assert_int_eq(pread(fd, &octet, 1, 100), 1);
	octet ^= 1;
	ck_assert_int_eq(pwrite(fd, &octet, 1, 100), 1);
	ck_assert_int_eq(seal_read(fd, key, 0, data), PBX_EINVAL);
	ck_assert_int_gt(seal_read(fd, key, 65536, data), 0);
	ck_assert_int_eq(ftruncate(fd, 16 + 2 * (65536 + 16)), 0); /* the last piece */
	ck_assert_int_eq(seal_size(fd, &size), PBX_EINVAL);
	ck_assert_int_eq(ftruncate(fd, 16 + 65536 + 16 + 30000), 0);
	ck_assert_int_eq(seal_read(fd, key, 65536, data), PBX_EINVAL);
	away(fd);
}
END_TEST

CHECK_MAIN("seal", every_length_opens_again, any_part_can_be_read_by_itself, nothing_of_it_can_be_seen_or_changed_or_cut_off)
