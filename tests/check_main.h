/* tests/check_main.h - a main() that runs one case of tests: CHECK_MAIN("timer", fires_in_order, …) */
#pragma once
#include <check.h>
#include <stdlib.h>

/* What main() is to return. The suite is gone. */
static inline int check_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define CHECK_MAIN(name, ...)                                                                                                              \
	int main(void)                                                                                                                     \
	{                                                                                                                                  \
		const TTest *const tests[] = { __VA_ARGS__ };                                                                              \
		Suite *suite = suite_create(name);                                                                                         \
		TCase *all = tcase_create(name);                                                                                           \
		for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)                                                                \
			tcase_add_test(all, tests[i]);                                                                                     \
		tcase_set_timeout(all, 60);                                                                                                \
		suite_add_tcase(suite, all);                                                                                               \
		return check_run(suite);                                                                                                   \
	}
