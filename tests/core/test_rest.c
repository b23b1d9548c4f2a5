/* tests/core/test_rest.c - values laid to rest come back as they were */
#include "../check_main.h"
#include "media_driver.h"
#include "rest.h"
#include <pbx/abi.h>
#include <string.h>

START_TEST(a_value_comes_back_as_it_was)
{
	struct core_media_desc desc = { .present = true, .direction = CORE_RECV, .codec_count = 2 }, woken;
	struct core_rest *rest = NULL;

	strcpy(desc.codecs[0].name, "opus");
	strcpy(desc.codecs[1].fmtp, "0-16");
	desc.t38.max_datagram = 1400;
	ck_assert_int_eq(core_rest_keep(&rest, &desc, sizeof desc), PBX_OK);
	memset(&woken, 0xaa, sizeof woken);
	core_rest_read(rest, &woken, sizeof woken);
	ck_assert_mem_eq(&woken, &desc, sizeof desc);
	core_rest_drop(&rest);
	ck_assert_ptr_null(rest);
}
END_TEST

/* Every octet of its own, alone and beside zeros, for sizes that are no multiple of a word, too. */
START_TEST(no_octet_is_forgotten_wherever_it_stands)
{
	uint8_t value[83], woken[83];
	struct core_rest *rest = NULL;

	for (size_t size = 1; size <= sizeof value; size++)
		for (size_t at = 0; at < size; at++)
			for (size_t stride = 1; stride < 40; stride += 3) {
				memset(value, 0, sizeof value);
				for (size_t i = at; i < size; i += stride)
					value[i] = (uint8_t)(i + 1);
				ck_assert_int_eq(core_rest_keep(&rest, value, size), PBX_OK);
				memset(woken, 0xaa, sizeof woken);
				core_rest_read(rest, woken, size);
				ck_assert_mem_eq(woken, value, size);
			}
	core_rest_drop(&rest);
}
END_TEST

START_TEST(zeros_need_no_memory)
{
	const struct core_stream_config config = { 0 };
	struct core_stream_config woken;
	struct core_rest *rest = NULL;

	ck_assert_int_eq(core_rest_keep(&rest, &config, sizeof config), PBX_OK);
	ck_assert_ptr_null(rest);
	memset(&woken, 0xaa, sizeof woken);
	core_rest_read(rest, &woken, sizeof woken);
	ck_assert_mem_eq(&woken, &config, sizeof config);
}
END_TEST

START_TEST(one_takes_the_place_of_another_and_gives_it_back)
{
	static const int long_one[1000] = { 1, 2, 3, [500] = 4, [999] = 5 };
	const int short_one[1000] = { 6 }, none[1000] = { 0 };
	const int *const values[] = { short_one, long_one, none, long_one, short_one };
	struct core_rest *rest = NULL, *place = NULL;
	int woken[1000];

	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		ck_assert_int_eq(core_rest_keep(&rest, values[i], sizeof long_one), PBX_OK);
		core_rest_read(rest, woken, sizeof woken);
		ck_assert_mem_eq(woken, values[i], sizeof woken);
		if (i == 1)
			place = rest;
		ck_assert(i < 1 || rest == place);
	}
	core_rest_drop(&rest);
}
END_TEST

CHECK_MAIN("rest", a_value_comes_back_as_it_was, no_octet_is_forgotten_wherever_it_stands, zeros_need_no_memory,
	   one_takes_the_place_of_another_and_gives_it_back)
