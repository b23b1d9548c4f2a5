/* tests/core/test_log.c - lines, levels, limits, files and readers */
#include "../check_main.h"
#include "log.h"
#include "loop.h"
#include "owner_internal.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char dir[64], file[96];
static struct core_log_config config = { .target = "file", .file = file, .format = "text", .level = PBX_LOG_INFO };

static void setup(void)
{
	struct pbx_diag diag;

	(void)snprintf(dir, sizeof dir, "/tmp/pbx-log-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(file, sizeof file, "%s/pbx.log", dir);
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_int_eq(core_log_configure(&config, &diag), PBX_OK);
}

static void teardown(void)
{
	core_log_fini();
	core_loop_fini();
	(void)unlink(file);
	ck_assert_int_eq(rmdir(dir), 0);
}

static const char *read_file(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY);
	ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;

	text[got > 0 ? got : 0] = '\0';
	if (fd >= 0)
		ck_assert_int_eq(close(fd), 0);
	return text;
}

static void use(const char *format)
{
	struct core_log_config other = config;
	struct pbx_diag diag;

	other.format = format;
	ck_assert_int_eq(core_log_configure(&other, &diag), PBX_OK);
}

static uint32_t count_lines(const char *text, const char *part)
{
	uint32_t count = 0;

	for (; (text = strstr(text, part)); text++)
		count++;
	return count;
}

START_TEST(a_line_has_time_level_owner_call_event_and_facts)
{
	setup();
	core_log(PBX_LOG_NOTICE, "call_parking", "01JABCDEFGHJKMNPQRSTVWXYZ0", "limit_reached", "limit_ms=%u", 300000u);
	core_log(PBX_LOG_WARN, "sip", NULL, "flood", NULL);
	ck_assert_str_eq(read_file(file),
			 "2026-01-05T09:00:00.000000Z notice call_parking 01JABCDEFGHJKMNPQRSTVWXYZ0 limit_reached limit_ms=300000\n"
			 "2026-01-05T09:00:00.000000Z warn sip - flood\n");
	teardown();
}
END_TEST

START_TEST(json_has_one_object_a_line_with_facts_as_members)
{
	setup();
	use("json");
	core_log(PBX_LOG_INFO, "sip", "01JABCDEFGHJKMNPQRSTVWXYZ0", "call_started", "from=1001 agent=Some \"Phone\" 1.2 to=1002");
	core_log(PBX_LOG_INFO, "core", NULL, "started", "all is well");
	ck_assert_str_eq(
		read_file(file),
		"{\"time\":\"2026-01-05T09:00:00.000000Z\",\"level\":\"info\",\"owner\":\"sip\",\"call_id\":\"01JABCDEFGHJKMNPQRSTVWXYZ0\","
		"\"event\":\"call_started\",\"facts\":{\"from\":\"1001\",\"agent\":\"Some \\\"Phone\\\" 1.2\",\"to\":\"1002\"}}\n"
		"{\"time\":\"2026-01-05T09:00:00.000000Z\",\"level\":\"info\",\"owner\":\"core\",\"event\":\"started\",\"facts\":{\"text\":"
		"\"all is well\"}}\n");
	teardown();
}
END_TEST

START_TEST(bytes_from_outside_cannot_begin_a_line_of_their_own)
{
	setup();
	core_log(PBX_LOG_INFO, "sip", NULL, "bad", "agent=%s", "x\r\n2026 error core - forged \x1b[2J \xff \xc3\xa9");
	ck_assert_str_eq(read_file(file),
			 "2026-01-05T09:00:00.000000Z info sip - bad agent=x\\x0d\\x0a2026 error core - forged \\x1b[2J \\xff \xc3\xa9\n");
	use("json");
	core_log(PBX_LOG_INFO, "sip", NULL, "bad", "agent=%s", "\n\xff");
	ck_assert_ptr_nonnull(strstr(read_file(file), "{\"agent\":\"\\u000a\\ufffd\"}}\n"));
	teardown();
}
END_TEST

START_TEST(facts_too_long_are_cut_and_the_json_stays_whole)
{
	char many[5000];

	memset(many, '\x01', sizeof many - 1);
	many[sizeof many - 1] = '\0';
	setup();
	use("json");
	core_log(PBX_LOG_INFO, "sip", NULL, "long", "x=%s", many);
	const char *text = read_file(file);
	ck_assert_uint_gt(strlen(text), 6000);
	ck_assert_str_eq(text + strlen(text) - 10, "\\u0001\"}}\n");
	teardown();
}
END_TEST

START_TEST(levels_are_the_owners_own_and_may_end_by_themselves)
{
	setup();
	core_log(PBX_LOG_DEBUG, "sip", NULL, "unwanted", NULL);
	ck_assert_int_eq(core_log_set_level("sip", PBX_LOG_DEBUG, 60000), PBX_OK);
	ck_assert(core_log_wanted(PBX_LOG_DEBUG, "sip"));
	ck_assert(!core_log_wanted(PBX_LOG_DEBUG, "media"));
	core_log(PBX_LOG_DEBUG, "sip", NULL, "wanted", NULL);
	core_loop_pass_ms(60000);
	ck_assert(!core_log_wanted(PBX_LOG_DEBUG, "sip"));
	ck_assert_int_eq(core_log_set_level("media", PBX_LOG_ERROR, 0), PBX_OK);
	ck_assert(!core_log_wanted(PBX_LOG_WARN, "media"));
	ck_assert_int_eq(core_log_set_level(NULL, PBX_LOG_WARN, 1000), PBX_OK);
	ck_assert(!core_log_wanted(PBX_LOG_INFO, "sip"));
	core_loop_pass_ms(1000);
	ck_assert(core_log_wanted(PBX_LOG_INFO, "sip"));
	ck_assert_int_eq(core_log_set_level("sip", 99, 0), PBX_EINVAL);
	ck_assert_ptr_null(strstr(read_file(file), "unwanted"));
	ck_assert_ptr_nonnull(strstr(read_file(file), "debug sip - wanted"));
	teardown();
}
END_TEST

START_TEST(a_line_repeated_too_often_is_counted_and_said_once)
{
	setup();
	for (int i = 0; i < 120; i++)
		core_log(PBX_LOG_WARN, "sip", NULL, "flood", "n=%d", i);
	core_log(PBX_LOG_WARN, "sip", NULL, "other", NULL); /* has a limit of its own */
	ck_assert_uint_eq(count_lines(read_file(file), "sip - flood n="), 20);
	ck_assert_uint_eq(count_lines(read_file(file), "sip - other"), 1);
	core_log_flush();
	ck_assert_uint_eq(count_lines(read_file(file), "suppressed"), 0);
	core_loop_pass_ms(1000);
	core_log_flush();
	core_log_flush();
	ck_assert_uint_eq(count_lines(read_file(file), "warn sip - flood suppressed=100\n"), 1);
	core_log(PBX_LOG_WARN, "sip", NULL, "flood", "n=again");
	ck_assert_uint_eq(count_lines(read_file(file), "n=again"), 1);
	teardown();
}
END_TEST

START_TEST(a_file_moved_away_is_opened_anew)
{
	char moved[128];

	setup();
	(void)snprintf(moved, sizeof moved, "%s.1", file);
	core_log(PBX_LOG_INFO, "core", NULL, "before", NULL);
	ck_assert_int_eq(rename(file, moved), 0);
	core_log(PBX_LOG_INFO, "core", NULL, "between", NULL);
	ck_assert_int_eq(core_log_reopen(), PBX_OK);
	core_log(PBX_LOG_INFO, "core", NULL, "after", NULL);
	ck_assert_uint_eq(count_lines(read_file(moved), "core - be"), 2);
	ck_assert_uint_eq(count_lines(read_file(file), "core - after"), 1);
	ck_assert_int_eq(unlink(moved), 0);
	teardown();
}
END_TEST

START_TEST(a_full_disk_is_said_once_on_stderr_and_life_goes_on)
{
	struct core_log_config full = { .target = "file", .file = "/dev/full", .format = "text" };
	struct pbx_diag diag;
	char text[1024] = "";
	int ends[2];

	setup();
	int saved = dup(STDERR_FILENO);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
	ck_assert_int_eq(core_log_configure(&full, &diag), PBX_OK);
	core_log(PBX_LOG_INFO, "core", NULL, "one", NULL);
	core_log(PBX_LOG_INFO, "core", NULL, "two", NULL);
	ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
	ck_assert_int_ge(read(ends[0], text, sizeof text - 1), 1);
	ck_assert_str_eq(text, "log_write_failed file=/dev/full error=No space left on device\n");
	ck_assert_int_eq(close(saved) | close(ends[0]) | close(ends[1]), 0);
	teardown();
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_leaves_the_old_one_in_use)
{
	struct core_log_config bad = { .target = "file", .file = "/nowhere/at/all.log", .format = "text" };
	struct pbx_diag diag;

	setup();
	ck_assert_int_eq(core_log_configure(&bad, &diag), PBX_EIO);
	ck_assert_str_eq(diag.field, "log.file");
	core_log(PBX_LOG_INFO, "core", NULL, "still", NULL);
	ck_assert_ptr_nonnull(strstr(read_file(file), "core - still"));
	teardown();
}
END_TEST

/* ---- readers ---- */

static char heard[4096];

static void hear(void *context, const char *line)
{
	const char *event = strstr(line, "\"event\":\"");

	(void)context;
	ck_assert_ptr_nonnull(event);
	(void)snprintf(heard + strlen(heard), sizeof heard - strlen(heard), "%.*s ", (int)strcspn(event + 9, "\""), event + 9);
}

START_TEST(a_reader_gets_recent_lines_then_those_that_come)
{
	setup();
	core_log(PBX_LOG_INFO, "sip", NULL, "one", NULL);
	core_log(PBX_LOG_INFO, "sip", NULL, "two", NULL);
	core_log(PBX_LOG_INFO, "media", NULL, "not_sip", NULL);
	core_log(PBX_LOG_INFO, "sip", NULL, "three", NULL);
	struct core_log_reader *reader = core_log_follow(2, PBX_LOG_INFO, "sip", hear, NULL);
	ck_assert_ptr_nonnull(reader);
	core_loop_settle();
	ck_assert_str_eq(heard, "two three ");
	core_log(PBX_LOG_INFO, "sip", NULL, "four", NULL);
	core_log(PBX_LOG_INFO, "media", NULL, "five", NULL);
	core_loop_settle();
	ck_assert_str_eq(heard, "two three four ");
	core_log_unfollow(reader);
	core_log(PBX_LOG_INFO, "sip", NULL, "six", NULL);
	core_loop_settle();
	ck_assert_str_eq(heard, "two three four ");
	teardown();
}
END_TEST

START_TEST(a_small_ring_keeps_the_newest)
{
	struct core_log_config small = config;
	struct pbx_diag diag;
	char event[16];

	setup();
	for (int i = 0; i < 10; i++) {
		(void)snprintf(event, sizeof event, "e%d", i);
		core_log(PBX_LOG_INFO, "sip", NULL, event, NULL);
	}
	small.ring_lines = 3;
	ck_assert_int_eq(core_log_configure(&small, &diag), PBX_OK);
	core_log(PBX_LOG_INFO, "sip", NULL, "last", NULL);
	struct core_log_reader *reader = core_log_follow(100, PBX_LOG_DEBUG, NULL, hear, NULL);
	core_loop_settle();
	ck_assert_str_eq(heard, "e8 e9 last ");
	core_log_unfollow(reader);
	teardown();
}
END_TEST

static struct core_log_reader *self_reader;

static void hear_and_leave(void *context, const char *line)
{
	hear(context, line);
	core_log(PBX_LOG_INFO, "sip", NULL, "own", NULL);
	core_log_unfollow(self_reader);
}

START_TEST(a_reader_may_log_and_leave_while_it_listens)
{
	setup();
	self_reader = core_log_follow(0, PBX_LOG_INFO, NULL, hear_and_leave, NULL);
	core_log(PBX_LOG_INFO, "sip", NULL, "one", NULL);
	core_log(PBX_LOG_INFO, "sip", NULL, "two", NULL);
	core_loop_settle();
	ck_assert_str_eq(heard, "one ");
	teardown();
}
END_TEST

static const char *name_call(pbx_call call)
{
	return call.id == 7 ? "01JABCDEFGHJKMNPQRSTVWXYZ0" : NULL;
}

START_TEST(a_hosts_lines_carry_its_name_and_the_calls)
{
	struct core_owner owner;

	setup();
	core_owner_init(&owner, "echo_test", NULL);
	core_log_set_namer(name_call);
	owner.host.log(&owner.host, PBX_LOG_INFO, (pbx_call){ 7 }, "begun", "n=%d", 1);
	owner.host.log(&owner.host, PBX_LOG_INFO, (pbx_call){ 8 }, "gone", "n=%d", 2);
	ck_assert_ptr_nonnull(strstr(read_file(file), "info echo_test 01JABCDEFGHJKMNPQRSTVWXYZ0 begun n=1\n"));
	ck_assert_ptr_nonnull(strstr(read_file(file), "info echo_test - gone n=2\n"));
	core_owner_fini(&owner);
	teardown();
}
END_TEST

CHECK_MAIN("log", a_line_has_time_level_owner_call_event_and_facts, json_has_one_object_a_line_with_facts_as_members,
	   bytes_from_outside_cannot_begin_a_line_of_their_own, facts_too_long_are_cut_and_the_json_stays_whole,
	   levels_are_the_owners_own_and_may_end_by_themselves, a_line_repeated_too_often_is_counted_and_said_once,
	   a_file_moved_away_is_opened_anew, a_full_disk_is_said_once_on_stderr_and_life_goes_on,
	   a_file_that_cannot_be_opened_leaves_the_old_one_in_use, a_reader_gets_recent_lines_then_those_that_come,
	   a_small_ring_keeps_the_newest, a_reader_may_log_and_leave_while_it_listens, a_hosts_lines_carry_its_name_and_the_calls)
