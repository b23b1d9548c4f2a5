/* tests/core/test_handle.c - names for things that may be gone */
#include "../check_main.h"
#include "handle.h"

START_TEST(an_id_finds_its_thing_until_it_is_freed)
{
	struct core_handles handles;
	int thing;

	core_handles_init(&handles, 'L');
	uint64_t id = core_handle_new(&handles, &thing);
	ck_assert_uint_ne(id, 0);
	ck_assert_ptr_eq(core_handle_find(&handles, id), &thing);
	core_handle_free(&handles, id);
	ck_assert_ptr_null(core_handle_find(&handles, id));
	core_handle_free(&handles, id); /* a stale id is fine */
	ck_assert_uint_eq(core_handles_count(&handles), 0);
	core_handles_fini(&handles);
}
END_TEST

START_TEST(a_place_used_again_does_not_answer_to_its_old_name)
{
	struct core_handles handles;
	int first, second;

	core_handles_init(&handles, 'L');
	uint64_t old = core_handle_new(&handles, &first);
	core_handle_free(&handles, old);
	uint64_t new = core_handle_new(&handles, &second);
	ck_assert_uint_eq((uint32_t)old, (uint32_t) new); /* the very same place */
	ck_assert_ptr_null(core_handle_find(&handles, old));
	core_handle_free(&handles, old);
	ck_assert_ptr_eq(core_handle_find(&handles, new), &second);
	core_handles_fini(&handles);
}
END_TEST

START_TEST(none_and_strangers_name_nothing)
{
	struct core_handles legs, timers;
	int thing;

	core_handles_init(&legs, 'L');
	core_handles_init(&timers, 'T');
	ck_assert_ptr_null(core_handle_find(&legs, 0));
	uint64_t leg = core_handle_new(&legs, &thing);
	(void)core_handle_new(&timers, &thing);
	ck_assert_ptr_null(core_handle_find(&timers, leg));
	ck_assert_ptr_null(core_handle_find(&legs, leg + 1000)); /* beyond the table */
	ck_assert_ptr_null(core_handle_find(&legs, UINT64_MAX));
	core_handles_fini(&legs);
	core_handles_fini(&timers);
}
END_TEST

START_TEST(a_table_grows_and_keeps_every_name)
{
	static int things[5000];
	static uint64_t ids[5000];
	struct core_handles handles;

	core_handles_init(&handles, 'L');
	for (int i = 0; i < 5000; i++)
		ids[i] = core_handle_new(&handles, &things[i]);
	ck_assert_uint_eq(core_handles_count(&handles), 5000);
	for (int i = 0; i < 5000; i++)
		ck_assert_ptr_eq(core_handle_find(&handles, ids[i]), &things[i]);
	core_handles_fini(&handles);
}
END_TEST

START_TEST(walking_meets_each_once_though_things_are_freed_meanwhile)
{
	struct core_handles handles;
	struct {
		uint64_t id;
		int met;
	} things[40] = { 0 };
	uint32_t at = 0;

	core_handles_init(&handles, 'L');
	for (int i = 0; i < 40; i++)
		things[i].id = core_handle_new(&handles, &things[i]);
	for (void *thing; (thing = core_handles_next(&handles, &at));) {
		size_t i = (size_t)((char *)thing - (char *)things) / sizeof things[0];

		things[i].met++;
		core_handle_free(&handles, things[i].id);
		if (i + 1 < 40 && i % 3 == 0)
			core_handle_free(&handles, things[i + 1].id);
	}
	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(things[i].met, i % 3 == 1 ? 0 : 1);
	ck_assert_uint_eq(core_handles_count(&handles), 0);
	core_handles_fini(&handles);
}
END_TEST

CHECK_MAIN("handle", an_id_finds_its_thing_until_it_is_freed, a_place_used_again_does_not_answer_to_its_old_name,
	   none_and_strangers_name_nothing, a_table_grows_and_keeps_every_name, walking_meets_each_once_though_things_are_freed_meanwhile)
