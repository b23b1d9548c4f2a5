/* tests/core/test_only_one.c - one daemon to one place, whatever becomes of it */
#include "../check_main.h"
#include "only_one.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "only-one-XXXXXX", path[64];

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/pbxd.lock", folder);
}

static void teardown(void)
{
	(void)unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
	(void)strcpy(folder, "only-one-XXXXXX");
}

static int try_it(int *ret_fd, struct pbx_diag *diag)
{
	return core_only_one(path, "/var/lib/pbx", "server.data_dir", ret_fd, diag);
}

/* Another process that has the place. */
static pid_t holder(void)
{
	int ready[2], fd;
	char byte;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct pbx_diag diag = { 0 };

		if (try_it(&fd, &diag) != PBX_OK || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(the_second_is_refused_and_told_who_has_it_and_what_to_do)
{
	struct pbx_diag diag = { 0 };
	char number[24];
	int fd = -1;

	setup();
	pid_t first = holder();
	(void)snprintf(number, sizeof number, "process %d:", (int)first);
	ck_assert_int_eq(try_it(&fd, &diag), PBX_EEXIST);
	ck_assert_int_eq(fd, -1);
	ck_assert_str_eq(diag.field, "server.data_dir");
	ck_assert_ptr_nonnull(strstr(diag.text, "/var/lib/pbx"));
	ck_assert_msg(strstr(diag.text, number) != NULL, "%s", diag.text);
	ck_assert_ptr_nonnull(strstr(diag.text, "stop that one first"));
	end(first);
	teardown();
}
END_TEST

START_TEST(a_killed_one_leaves_nothing_in_the_way)
{
	struct pbx_diag diag = { 0 };
	int fd = -1;

	setup();
	end(holder());
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(try_it(&fd, &diag), PBX_OK);
	core_only_one_end(fd);
	teardown();
}
END_TEST

/* A program that outlives us must not keep our successor out. */
START_TEST(programs_that_are_started_do_not_have_it)
{
	struct pbx_diag diag = { 0 };
	int fd = -1, again = -1;

	setup();
	ck_assert_int_eq(try_it(&fd, &diag), PBX_OK);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(try_it(&again, &diag), PBX_EEXIST); /* nor have we twice */
	core_only_one_end(fd);
	ck_assert_int_eq(try_it(&again, &diag), PBX_OK);
	core_only_one_end(again);
	core_only_one_end(-1);
	teardown();
}
END_TEST

START_TEST(a_place_that_cannot_be_locked_says_why)
{
	struct pbx_diag diag = { 0 };
	int fd = -1;

	setup();
	ck_assert_int_eq(core_only_one("no/such/folder/pbxd.lock", "no/such/folder", "server.data_dir", &fd, &diag), PBX_EIO);
	ck_assert_ptr_nonnull(strstr(diag.text, "no/such/folder/pbxd.lock: cannot be opened: No such file"));
	ck_assert_int_eq(symlink("elsewhere", path), 0); /* nobody has us write into another's file */
	ck_assert_int_eq(try_it(&fd, &diag), PBX_EIO);
	ck_assert_int_eq(fd, -1);
	teardown();
}
END_TEST

CHECK_MAIN("only_one", the_second_is_refused_and_told_who_has_it_and_what_to_do, a_killed_one_leaves_nothing_in_the_way,
	   programs_that_are_started_do_not_have_it, a_place_that_cannot_be_locked_says_why)
