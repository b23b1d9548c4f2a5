/* tests/core/test_store_journal.c - records are not lost while the database is away, nor when we are killed */
#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "store.h"
#include "store_fixture.h"
#include "timer.h"

static uint32_t safe, not_safe;

static void on_record(void *self, const struct pbx_rows *rows)
{
	(void)self;
	if (rows->status == PBX_OK)
		safe++;
	else
		not_safe++;
}

static void record(int64_t id, const char *text)
{
	const struct pbx_value params[] = { PBX_V_INT(id), pbx_v_text(text) };

	ck_assert_int_eq(core_store_record(core_self(), "INSERT INTO records (id, text) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
					   params, 2, on_record, NULL),
			 PBX_OK);
}

static void record_many(int64_t from, int64_t count)
{
	for (int64_t id = from; id < from + count; id++)
		record(id, "a record of some length, so that there is something to lose");
}

static void wait_until(bool (*reached)(void))
{
	while (!reached()) {
		core_loop_step();
		(void)usleep(500);
	}
}

static bool is_away(void)
{
	return !core_store_is_up();
}

static bool is_through(void)
{
	struct core_store_stats stats;

	core_store_stats(&stats);
	return stats.up && stats.journalled == 0;
}

static struct core_store_stats stats_now(void)
{
	struct core_store_stats stats;

	core_store_stats(&stats);
	return stats;
}

static void make_table(void)
{
	safe = not_safe = 0;
	ck_assert_str_eq(ask("CREATE TABLE records (id BIGINT PRIMARY KEY, text TEXT)"), "");
}

START_TEST(records_made_while_the_server_is_down_arrive_once_and_in_order)
{
	struct postgres *postgres = postgres_start();

	store_fixture_start_on(postgres);
	make_table();
	ck_assert_str_eq(ask("CREATE TABLE story (id BIGINT PRIMARY KEY, text TEXT)"), "");
	ck_assert_str_eq(ask("INSERT INTO story VALUES (1, 'first')"), "");
	record_many(1, 10);
	core_loop_settle();
	postgres_halt(postgres);
	record_many(11, 500);
	wait_until(is_away);
	record_many(511, 500);
	for (int i = 0; i < 100; i++) {
		char text[16];
		const struct pbx_value param = (snprintf(text, sizeof text, "%d", i), pbx_v_text(text));

		ck_assert_int_eq(core_store_record(core_self(), "UPDATE story SET text = $1 WHERE id = 1", &param, 1, on_record, NULL),
				 PBX_OK);
	}
	core_loop_settle();
	ck_assert_uint_eq(safe, 1110);
	ck_assert_uint_eq(not_safe, 0);
	ck_assert_uint_ge(stats_now().journalled, 600);
	ck_assert_str_eq(ask("SELECT 1"), "EIO");

	postgres_resume(postgres);
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT count(*), min(id), max(id) FROM records"), "1010|1|1010");
	ck_assert_str_eq(ask("SELECT text FROM story"), "99");
	ck_assert_uint_ge(stats_now().reconnects, 1);
	store_fixture_stop();
}
END_TEST

/* Waits for the server to be missed. */
static void halt(struct postgres *postgres)
{
	postgres_halt(postgres);
	wait_until(is_away);
}

static char *journal_file(char path[256])
{
	DIR *dir = opendir(store_fixture_journal());

	*path = '\0';
	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		if (strstr(entry->d_name, ".journal") && strcmp(entry->d_name, "refused.journal") != 0)
			(void)snprintf(path, 256, "%.100s/%.100s", store_fixture_journal(), entry->d_name);
	(void)closedir(dir);
	return path;
}

/* A daemon that records while the database is away, says how many are safe, and is killed. */
static void live_until_killed(struct postgres *postgres, int out)
{
	store_fixture_run();
	make_table();
	halt(postgres);
	for (int64_t id = 1;; id += 10) {
		record_many(id, 10);
		for (uint32_t before = safe; safe == before;)
			core_loop_step();
		if (write(out, &safe, sizeof safe) != sizeof safe)
			_exit(1);
	}
}

static uint32_t kill_one(struct postgres *postgres, uint32_t after)
{
	uint32_t told = 0;
	int ends[2], status;

	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0)
		live_until_killed(postgres, ends[1]);
	(void)close(ends[1]);
	while (told < after)
		ck_assert_int_eq(read(ends[0], &told, sizeof told), sizeof told);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it ended before it was killed");
	for (uint32_t more; read(ends[0], &more, sizeof more) == sizeof more;)
		told = more;
	(void)close(ends[0]);
	return told;
}

START_TEST(what_was_told_safe_survives_a_kill)
{
	struct postgres *postgres = postgres_start();

	store_fixture_place_on(postgres);
	uint32_t told = kill_one(postgres, 300);
	postgres_halt(postgres); /* the killed one halted it, but it is our child: only we can wait for its end */
	postgres_resume(postgres);
	store_fixture_run();
	wait_until(is_through);

	char missing[128];
	(void)snprintf(missing, sizeof missing, "SELECT COUNT(*) FROM records WHERE id <= %u", told);
	char expected[16];
	(void)snprintf(expected, sizeof expected, "%u", told);
	ck_assert_str_eq(ask(missing), expected);
	ck_assert_str_eq(ask("SELECT COUNT(*) = MAX(id) FROM records"), "1");
	char path[256];
	ck_assert_str_eq(journal_file(path), "");
	store_fixture_stop();
}
END_TEST

START_TEST(a_torn_end_is_cut_and_the_rest_arrives)
{
	struct postgres *postgres = postgres_start();
	struct stat info;
	char path[256];

	store_fixture_start_on(postgres);
	make_table();
	halt(postgres);
	record_many(1, 50);
	core_loop_settle();
	store_fixture_close();
	ck_assert_int_eq(stat(journal_file(path), &info), 0);
	ck_assert_int_eq(truncate(path, info.st_size - 9), 0);

	postgres_resume(postgres);
	store_fixture_open();
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT COUNT(*), MAX(id) FROM records"), "49|49");

	halt(postgres);
	record(50, "again");
	core_loop_settle();
	postgres_resume(postgres);
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT COUNT(*), MAX(id) FROM records"), "50|50");
	store_fixture_stop();
}
END_TEST

/* The first outage is over and its files are gone; how far they were sent must mean nothing to those of a second, after another start. */
START_TEST(a_second_outage_after_a_restart_loses_nothing)
{
	struct postgres *postgres = postgres_start();

	store_fixture_start_on(postgres);
	make_table();
	halt(postgres);
	record_many(1, 100);
	core_loop_settle();
	postgres_resume(postgres);
	wait_until(is_through);
	store_fixture_close();

	store_fixture_open();
	halt(postgres);
	record_many(101, 100);
	core_loop_settle();
	postgres_resume(postgres);
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT COUNT(*), MAX(id) FROM records"), "200|200");
	store_fixture_stop();
}
END_TEST

START_TEST(damage_in_the_middle_is_never_sent)
{
	struct postgres *postgres = postgres_start();
	char path[256];

	store_fixture_start_on(postgres);
	make_table();
	halt(postgres);
	record_many(1, 50);
	core_loop_settle();
	store_fixture_close();
	int fd = open(journal_file(path), O_RDWR);
	ck_assert_int_eq(pwrite(fd, "\xff\xff\xff", 3, 700), 3);
	(void)close(fd);

	postgres_resume(postgres);
	store_fixture_open();
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT COUNT(*) > 1, COUNT(*) < 50, COUNT(*) = MAX(id) FROM records"), "1|1|1");
	store_fixture_stop();
}
END_TEST

START_TEST(a_record_that_is_refused_does_not_hold_up_the_others)
{
	struct postgres *postgres = postgres_start();
	char path[256];

	store_fixture_start_on(postgres);
	make_table();
	halt(postgres);
	record_many(1, 20);
	ck_assert_int_eq(core_store_record(core_self(), "INSERT INTO nowhere VALUES (1)", NULL, 0, on_record, NULL), PBX_OK);
	record_many(21, 20);
	core_loop_settle();
	ck_assert_uint_eq(safe, 41);
	postgres_resume(postgres);
	wait_until(is_through);
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM records"), "40");
	(void)snprintf(path, sizeof path, "%s/refused.journal", store_fixture_journal());
	ck_assert_int_eq(access(path, F_OK), 0);
	store_fixture_stop();
}
END_TEST

static void allow_files_of(rlim_t bytes)
{
	struct rlimit limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool is_full(void)
{
	return stats_now().disk_full;
}

static bool is_not_full(void)
{
	return !stats_now().disk_full && stats_now().journalled == safe;
}

static void record_long(int64_t from, int64_t count)
{
	char text[4096];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (int64_t id = from; id < from + count; id++)
		record(id, text);
}

START_TEST(a_full_disk_is_waited_out)
{
	struct postgres *postgres = postgres_start();

	store_fixture_start_on(postgres);
	make_table();
	halt(postgres);
	record_long(1, 5);
	core_loop_settle();
	ck_assert_uint_eq(safe, 5);
	allow_files_of(262144);
	record_long(6, 100);
	wait_until(is_full);
	ck_assert_uint_lt(safe, 105);
	allow_files_of(RLIM_INFINITY);
	wait_until(is_not_full);
	ck_assert_uint_eq(safe, 105);

	allow_files_of(262144);
	record_long(106, 100);
	wait_until(is_full);
	postgres_resume(postgres);
	wait_until(is_through);
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT COUNT(*), MAX(id) FROM records"), "205|205");
	ck_assert_uint_eq(safe, 205);
	ck_assert_uint_eq(not_safe, 0);
	allow_files_of(RLIM_INFINITY);
	store_fixture_stop();
}
END_TEST

static sem_t pool_opens;
static bool is_time;

static void wait_in_pool(void *job)
{
	(void)job;
	while (sem_wait(&pool_opens) != 0)
		;
}

static void on_waited(void *context, void *job, int status)
{
	(void)context, (void)job, (void)status;
}

static void on_time(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
	is_time = true;
}

static bool time_has_come(void)
{
	return is_time;
}

static bool is_up(void)
{
	return core_store_is_up();
}

START_TEST(a_database_that_is_back_amid_a_write_to_a_full_disk_gets_all)
{
	const uint32_t jobs = 64; /* more than the pool has threads */
	struct postgres *postgres = postgres_start();
	pbx_timer timer;

	store_fixture_start_on(postgres);
	make_table();
	halt(postgres);
	allow_files_of(262144);
	record_long(1, 100);
	wait_until(is_full);
	ck_assert_int_eq(sem_init(&pool_opens, 0, 0), 0);
	for (uint32_t i = 0; i < jobs; i++)
		ck_assert_int_eq(core_work(core_self(), wait_in_pool, on_waited, NULL, &pool_opens), PBX_OK);
	is_time = false;
	ck_assert_int_eq(core_timer_start(core_self(), 1200, 0, on_time, NULL, &timer), PBX_OK);
	wait_until(time_has_come); /* the disk has been tried again: that waits for the pool */
	postgres_resume(postgres);
	wait_until(is_up);
	for (uint32_t i = 0; i < jobs; i++)
		(void)sem_post(&pool_opens);
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT COUNT(*), MAX(id) FROM records"), "100|100");
	allow_files_of(RLIM_INFINITY);
	store_fixture_stop();
}
END_TEST

START_TEST(closing_leaves_in_the_journal_what_could_not_be_written)
{
	struct postgres *postgres = postgres_start();

	store_fixture_start_on(postgres);
	make_table();
	postgres_halt(postgres);
	record_many(1, 100);
	store_fixture_close();
	ck_assert_uint_eq(safe, 100);
	postgres_resume(postgres);
	store_fixture_open();
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT COUNT(*), MAX(id) FROM records"), "100|100");
	store_fixture_stop();
}
END_TEST

START_TEST(a_server_that_stops_answering_is_missed)
{
	struct postgres *postgres = postgres_start();

	store_fixture_start_on(postgres);
	make_table();
	postgres_freeze(postgres, true);
	record_many(1, 3);
	wait_until(is_away);
	core_loop_settle();
	ck_assert_uint_eq(safe, 3);
	postgres_freeze(postgres, false);
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM records"), "3");
	store_fixture_stop();
}
END_TEST

START_TEST(a_server_that_comes_later_is_waited_for)
{
	struct postgres *postgres = postgres_start();

	store_fixture_start_on(postgres);
	make_table();
	store_fixture_close();
	postgres_halt(postgres);
	store_fixture_begin();
	record_many(1, 30);
	wait_until(is_away);
	core_loop_settle();
	ck_assert_uint_eq(safe, 30);
	ck_assert_str_eq(ask("SELECT 1"), "EIO");
	postgres_resume(postgres);
	wait_until(is_through);
	ck_assert_str_eq(ask("SELECT COUNT(*) FROM records"), "30");
	store_fixture_stop();
}
END_TEST

POSTGRES_MAIN("store_journal", a_server_that_comes_later_is_waited_for, records_made_while_the_server_is_down_arrive_once_and_in_order,
	      what_was_told_safe_survives_a_kill, a_torn_end_is_cut_and_the_rest_arrives, a_second_outage_after_a_restart_loses_nothing,
	      damage_in_the_middle_is_never_sent, a_record_that_is_refused_does_not_hold_up_the_others, a_full_disk_is_waited_out,
	      a_database_that_is_back_amid_a_write_to_a_full_disk_gets_all, closing_leaves_in_the_journal_what_could_not_be_written,
	      a_server_that_stops_answering_is_missed)
