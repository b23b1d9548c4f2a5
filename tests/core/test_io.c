/* tests/core/test_io.c - descriptors that are watched: told while ready, quiet when stopped, taken back with their owner */
#include "../check_main.h"
#include "io.h"
#include "loop.h"
#include "owner_internal.h"
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct core_owner owner;
static int ends[2];
static uint32_t told, last_what;
static bool stops_itself;

static void setup(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	core_owner_init(&owner, "dns", NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	told = last_what = 0;
	stops_itself = false;
}

static void teardown(void)
{
	core_owner_fini(&owner);
	(void)close(ends[0]);
	(void)close(ends[1]);
	core_loop_fini();
}

static void on_ready(void *self, pbx_io_watch watch, uint32_t what)
{
	char byte;

	told++;
	last_what = what;
	if (what & PBX_IO_READ)
		(void)read(*(int *)self, &byte, 1);
	if (stops_itself)
		ck_assert_int_eq(core_io_service.stop(watch), PBX_OK);
}

static pbx_io_watch watch(int *descriptor, uint32_t what)
{
	pbx_io_watch watch;

	ck_assert_int_eq(core_io_service.watch(&owner.host, *descriptor, what, on_ready, descriptor, &watch), PBX_OK);
	return watch;
}

START_TEST(is_told_for_each_message_until_stopped)
{
	setup();
	pbx_io_watch seen = watch(&ends[0], PBX_IO_READ);

	core_loop_settle();
	ck_assert_uint_eq(told, 0);
	ck_assert_int_eq(write(ends[1], "a", 1), 1);
	ck_assert_int_eq(write(ends[1], "b", 1), 1);
	core_loop_settle();
	ck_assert_uint_eq(told, 2);
	ck_assert_uint_eq(last_what, PBX_IO_READ);
	ck_assert_int_eq(core_io_service.stop(seen), PBX_OK);
	ck_assert_int_eq(core_io_service.stop(seen), PBX_ENOENT);
	ck_assert_int_eq(core_io_service.change(seen, PBX_IO_READ), PBX_ENOENT);
	ck_assert_int_eq(write(ends[1], "c", 1), 1);
	core_loop_settle();
	ck_assert_uint_eq(told, 2);
	teardown();
}
END_TEST

START_TEST(what_is_waited_for_may_change_and_end_in_the_callback)
{
	setup();
	pbx_io_watch seen = watch(&ends[0], PBX_IO_READ);

	stops_itself = true;
	ck_assert_int_eq(core_io_service.change(seen, PBX_IO_WRITE), PBX_OK);
	core_loop_settle();
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(last_what, PBX_IO_WRITE);
	(void)watch(&ends[0], PBX_IO_READ); /* at once again */
	teardown();
}
END_TEST

START_TEST(a_descriptor_has_one_watch_and_must_be_one_that_can_be_waited_for)
{
	FILE *file = tmpfile();
	pbx_io_watch none;

	setup();
	(void)watch(&ends[0], PBX_IO_READ);
	ck_assert_int_eq(core_io_service.watch(&owner.host, ends[0], PBX_IO_READ, on_ready, NULL, &none), PBX_EEXIST);
	ck_assert_int_eq(core_io_service.watch(&owner.host, ends[1], 0, on_ready, NULL, &none), PBX_EINVAL);
	ck_assert_int_eq(core_io_service.watch(&owner.host, ends[1], PBX_IO_FAILED, on_ready, NULL, &none), PBX_EINVAL);
	ck_assert_int_eq(core_io_service.watch(&owner.host, fileno(file), PBX_IO_READ, on_ready, NULL, &none), PBX_EINVAL);
	ck_assert_int_eq(core_io_service.watch(&owner.host, 1000000, PBX_IO_READ, on_ready, NULL, &none), PBX_EINVAL);
	(void)fclose(file);
	teardown();
}
END_TEST

START_TEST(an_error_is_told_and_the_watch_goes_on)
{
	struct sockaddr_in nobody = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int phone = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	setup();
	ck_assert_int_eq(connect(phone, (struct sockaddr *)&nobody, sizeof nobody), 0);
	(void)watch(&phone, PBX_IO_READ);
	for (uint32_t i = 1; i <= 2; i++) {
		ck_assert_int_eq(send(phone, "x", 1, 0), 1); /* ICMP says that nobody is there */
		core_loop_settle();
		ck_assert_uint_eq(told, i);
		ck_assert_uint_eq(last_what, PBX_IO_FAILED | PBX_IO_READ);
	}
	core_owner_revoke_all(&owner);
	(void)close(phone);
	teardown();
}
END_TEST

START_TEST(an_owner_that_goes_hears_nothing_more)
{
	setup();
	(void)watch(&ends[0], PBX_IO_READ);
	core_owner_revoke_all(&owner);
	ck_assert_int_eq(write(ends[1], "a", 1), 1);
	core_loop_settle();
	ck_assert_uint_eq(told, 0);
	teardown();
}
END_TEST

CHECK_MAIN("io", is_told_for_each_message_until_stopped, what_is_waited_for_may_change_and_end_in_the_callback,
	   a_descriptor_has_one_watch_and_must_be_one_that_can_be_waited_for, an_error_is_told_and_the_watch_goes_on,
	   an_owner_that_goes_hears_nothing_more)
