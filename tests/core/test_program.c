/* tests/core/test_program.c - programs of others: what they get, how they end, and that nothing of them is left
 *
 * Each test's owner is a plugin of its own on a real loop; the programs are those every machine has. */
#include "../check_main.h"
#include "log.h"
#include "loop.h"
#include "owner_internal.h"
#include "program.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL(script)                                                                                                                      \
	(const char *const[])                                                                                                              \
	{                                                                                                                                  \
		"sh", "-c", script, NULL                                                                                                   \
	}

static struct core_owner owner;
static uint32_t told;
static struct {
	int32_t status;
	uint32_t exit_status, signal, took_ms;
	size_t output_size;
	char output[4096], error[256];
} got;

static uint32_t count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint32_t count = 0;

	ck_assert_ptr_nonnull(folder);
	while (readdir(folder))
		count++;
	(void)closedir(folder);
	return count;
}

static uint32_t descriptors;

static void setup(void)
{
	told = 0;
	memset(&got, 0, sizeof got);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_int_eq(core_loop_init(false), PBX_OK);
	core_programs_init();
	core_owner_init(&owner, "transcriber", NULL);
	descriptors = count_descriptors();
}

static void check_no_child(void)
{
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}

/* Nothing may be left: no child, not even a dead one, and no descriptor. */
static void teardown(void)
{
	check_no_child();
	ck_assert_uint_eq(core_programs_count(), 0);
	ck_assert_uint_eq(count_descriptors(), descriptors);
	core_owner_fini(&owner);
	core_programs_fini();
	core_loop_fini();
	core_log_fini();
}

static void on_done(void *self, pbx_program program, const struct pbx_program_result *result)
{
	(void)self;
	ck_assert(core_is_loop());
	ck_assert_int_eq(core_programs_service.cancel(program), PBX_ENOENT); /* it is over */
	ck_assert(result->output[result->output_size] == '\0');
	told++;
	got.status = result->status;
	got.exit_status = result->exit_status;
	got.signal = result->signal;
	got.took_ms = result->took_ms;
	got.output_size = result->output_size;
	(void)snprintf(got.output, sizeof got.output, "%s", result->output);
	(void)snprintf(got.error, sizeof got.error, "%s", result->error);
}

static pbx_program start(struct pbx_program_spec spec)
{
	pbx_program program = { 0 };

	spec.size = sizeof spec;
	ck_assert_int_eq(core_programs_service.start(&owner.host, &spec, on_done, NULL, &program), PBX_OK);
	ck_assert_uint_ne(program.id, 0);
	return program;
}

/* Waits until it has ended. */
static int32_t run(struct pbx_program_spec spec)
{
	(void)start(spec);
	core_loop_settle();
	ck_assert_uint_eq(told, 1);
	return got.status;
}

#define RUN(...) run((struct pbx_program_spec){ __VA_ARGS__ })
#define HEAR(...) run((struct pbx_program_spec){ .most_output_bytes = 4000, __VA_ARGS__ })
#define START(...) start((struct pbx_program_spec){ __VA_ARGS__ })

/* ---- what it gets ---- */

START_TEST(it_gets_its_arguments_as_they_are)
{
	setup();
	ck_assert_int_eq(HEAR(.argv = (const char *const[]){ "printf", "%s|%s", "$(id) `id`; rm -rf *", "two words", NULL }), PBX_OK);
	ck_assert_uint_eq(got.exit_status, 0);
	ck_assert_str_eq(got.output, "$(id) `id`; rm -rf *|two words");
	ck_assert_str_eq(got.error, "");
	teardown();
}
END_TEST

START_TEST(it_reads_its_input_to_the_end)
{
	static char long_input[300000];

	setup();
	memset(long_input, 'x', sizeof long_input);
	ck_assert_int_eq(HEAR(.argv = (const char *const[]){ "wc", "-c", NULL }, .input = long_input, .input_size = sizeof long_input),
			 PBX_OK);
	ck_assert_str_eq(got.output, "300000\n");
	told = 0;
	ck_assert_int_eq(HEAR(.argv = (const char *const[]){ "wc", "-c", NULL }), PBX_OK);
	ck_assert_str_eq(got.output, "0\n");
	teardown();
}
END_TEST

START_TEST(it_knows_nothing_of_our_environment)
{
	setup();
	ck_assert_int_eq(setenv("PBX_SECRET", "swordfish", 1), 0);
	ck_assert_int_eq(HEAR(.argv = (const char *const[]){ "env", NULL }), PBX_OK);
	ck_assert_str_eq(got.output, "PATH=/usr/local/bin:/usr/bin:/bin\nLC_ALL=C.UTF-8\nHOME=/nonexistent\n");
	told = 0;
	ck_assert_int_eq(
		HEAR(.argv = (const char *const[]){ "env", NULL }, .environment = (const char *const[]){ "MODEL=de", "HOME=/tmp", NULL }),
		PBX_OK);
	ck_assert_str_eq(got.output, "MODEL=de\nHOME=/tmp\nPATH=/usr/local/bin:/usr/bin:/bin\nLC_ALL=C.UTF-8\n");
	teardown();
}
END_TEST

START_TEST(it_runs_in_the_folder_it_is_given)
{
	setup();
	ck_assert_int_eq(chdir("/etc"), 0);
	ck_assert_int_eq(HEAR(.argv = (const char *const[]){ "pwd", NULL }), PBX_OK);
	ck_assert_str_eq(got.output, "/etc\n");
	told = 0;
	ck_assert_int_eq(HEAR(.argv = (const char *const[]){ "pwd", NULL }, .folder = "/usr"), PBX_OK);
	ck_assert_str_eq(got.output, "/usr\n");
	told = 0;
	ck_assert_int_eq(HEAR(.argv = (const char *const[]){ "pwd", NULL }, .folder = "/no/such/folder"), PBX_ENOENT);
	teardown();
}
END_TEST

START_TEST(none_of_our_descriptors_is_open_in_it)
{
	setup();
	int ours = fcntl(STDIN_FILENO, F_DUPFD, 100); /* not closed on exec */
	ck_assert_int_ge(ours, 100);
	ck_assert_int_eq(HEAR(.argv = SHELL("for fd in /proc/$$/fd/*; do echo ${fd##*/}; done")), PBX_OK);
	(void)close(ours);
	ck_assert_str_eq(got.output, "0\n1\n2\n3\n"); /* the last is the shell's own: the folder it lists */
	teardown();
}
END_TEST

START_TEST(it_has_a_session_of_its_own_and_no_signal_of_ours_blocked)
{
	sigset_t all;

	setup();
	(void)sigfillset(&all);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &all, NULL), 0);
	ck_assert_int_eq(
		HEAR(.argv = SHELL("read pid name state parent group session rest < /proc/$$/stat; test $pid = $session && echo leader;"
				   " exec sed -n 's/^SigBlk:.//p' /proc/self/status")), /* a shell that waits blocks all of them */
		PBX_OK);
	ck_assert_str_eq(got.output, "leader\n0000000000000000\n");
	ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &all, NULL), 0);
	teardown();
}
END_TEST

/* ---- how it ends ---- */

START_TEST(its_exit_status_is_told)
{
	setup();
	ck_assert_int_eq(HEAR(.argv = SHELL("echo so far; exit 7")), PBX_OK);
	ck_assert_uint_eq(got.exit_status, 7);
	ck_assert_str_eq(got.output, "so far\n");
	teardown();
}
END_TEST

START_TEST(one_that_hangs_is_killed_with_all_it_started)
{
	setup();
	/* The pipe's reader waits for its writer, which is killed as well: or this would last for a minute. */
	ck_assert_int_eq(HEAR(.argv = SHELL("echo begun; sleep 60 | cat"), .run_ms = 300), PBX_ETIMEOUT);
	ck_assert_str_eq(got.error, "sh took more than 0.3 s");
	ck_assert_str_eq(got.output, "begun\n");
	ck_assert_uint_ge(got.took_ms, 300);
	ck_assert_uint_lt(got.took_ms, 30000);
	teardown();
}
END_TEST

START_TEST(what_it_leaves_running_ends_with_it)
{
	pid_t left;

	setup();
	ck_assert_int_eq(HEAR(.argv = SHELL("sleep 60 & echo $!")), PBX_OK); /* the sleep holds the output open, and is not waited for */
	ck_assert_uint_lt(got.took_ms, 30000);
	left = (pid_t)strtol(got.output, NULL, 10);
	ck_assert_int_gt(left, 0);
	for (char path[64], state = 'R'; state != 'Z' && state != '\0';) { /* init reaps it when it likes to */
		(void)snprintf(path, sizeof path, "/proc/%d/stat", left);
		FILE *file = fopen(path, "re");
		state = '\0';
		if (file && fscanf(file, "%*d %*s %c", &state) != 1)
			state = '\0';
		if (file)
			(void)fclose(file);
	}
	teardown();
}
END_TEST

START_TEST(one_that_says_too_much_is_killed)
{
	setup();
	ck_assert_int_eq(RUN(.argv = (const char *const[]){ "yes", NULL }, .most_output_bytes = 1000), PBX_ENOSPC);
	ck_assert_str_eq(got.error, "yes says more than 1000 octets");
	ck_assert_uint_eq(got.output_size, 1000);
	told = 0;
	ck_assert_int_eq(RUN(.argv = SHELL("printf 12345"), .most_output_bytes = 5),
			 PBX_OK); /* and one that says as much as it may is not */
	ck_assert_str_eq(got.output, "12345");
	teardown();
}
END_TEST

START_TEST(what_nobody_wants_to_hear_goes_nowhere)
{
	setup();
	ck_assert_int_eq(RUN(.argv = SHELL("head -c 1000000 /dev/zero; echo an error >&2")), PBX_OK);
	ck_assert_uint_eq(got.exit_status, 0);
	ck_assert_uint_eq(got.output_size, 0);
	teardown();
}
END_TEST

START_TEST(a_crash_is_told_by_its_name)
{
	setup();
	ck_assert_int_eq(RUN(.argv = SHELL("kill -SEGV $$")), PBX_EIO);
	ck_assert_uint_eq(got.signal, SIGSEGV);
	ck_assert_str_eq(got.error, "sh crashed: Segmentation fault");
	teardown();
}
END_TEST

START_TEST(a_signal_may_have_no_name)
{
	setup();
	ck_assert_int_eq(RUN(.argv = SHELL("kill -34 $$")), PBX_EIO);
	ck_assert_uint_eq(got.signal, 34);
	ck_assert_str_eq(got.error, "sh crashed: a signal without a name");
	teardown();
}
END_TEST

START_TEST(one_that_is_not_there_is_told)
{
	setup();
	ck_assert_int_eq(RUN(.argv = (const char *const[]){ "no-such-program", NULL }), PBX_ENOENT);
	ck_assert_str_eq(got.error, "no-such-program does not start: No such file or directory");
	told = 0;
	ck_assert_int_eq(RUN(.argv = (const char *const[]){ "/etc/passwd", NULL }), PBX_ENOENT); /* nor what is no program */
	ck_assert_int_eq(core_programs_service.find("sh"), PBX_OK);
	ck_assert_int_eq(core_programs_service.find("/bin/sh"), PBX_OK);
	ck_assert_int_eq(core_programs_service.find("no-such-program"), PBX_ENOENT);
	ck_assert_int_eq(core_programs_service.find(""), PBX_ENOENT);
	teardown();
}
END_TEST

START_TEST(memory_and_files_have_limits)
{
	char path[] = "/tmp/pbx-program-XXXXXX", script[128];
	int file = mkstemp(path);

	setup();
	ck_assert_int_eq(HEAR(.argv = SHELL("sleep 0.2; ulimit -v; ulimit -c"), .most_memory_mib = 512), PBX_OK);
	ck_assert_str_eq(got.output, "524288\n0\n");
	told = 0;
	(void)snprintf(script, sizeof script, "sleep 0.2; exec head -c 3000000 /dev/zero > %s", path);
	ck_assert_int_eq(HEAR(.argv = SHELL(script), .most_file_mib = 2), PBX_ENOSPC);
	ck_assert_str_eq(got.error, "sh writes a file of more than 2 MiB");
	ck_assert_int_eq(lseek(file, 0, SEEK_END), 2 << 20);
	teardown();
	(void)unlink(path);
	(void)close(file);
}
END_TEST

/* ---- when it is ended ---- */

START_TEST(a_cancelled_one_is_told_once_and_later)
{
	setup();
	pbx_program program = START(.argv = (const char *const[]){ "sleep", "60", NULL }, .run_ms = 60000);

	ck_assert_int_eq(core_programs_service.cancel(program), PBX_OK);
	ck_assert_int_eq(core_programs_service.cancel(program), PBX_ENOENT);
	ck_assert_uint_eq(told, 0);
	core_loop_settle();
	ck_assert_uint_eq(told, 1);
	ck_assert_int_eq(got.status, PBX_ECANCELLED);
	ck_assert_str_eq(got.error, "cancelled");
	teardown();
}
END_TEST

static void set_true(void *context)
{
	*(bool *)context = true;
}

START_TEST(an_owner_that_stops_is_told_before_it_is_idle)
{
	bool idle = false;

	setup();
	(void)START(.argv = (const char *const[]){ "sleep", "60", NULL }, .run_ms = 60000);
	(void)START(.argv = (const char *const[]){ "true", NULL });
	core_owner_revoke_all(&owner);
	core_owner_when_idle(&owner, set_true, &idle);
	ck_assert(!idle);
	core_loop_settle();
	ck_assert(idle);
	ck_assert_uint_eq(told, 2);
	ck_assert_int_eq(got.status, PBX_ECANCELLED);
	teardown();
}
END_TEST

START_TEST(many_run_at_once_and_not_one_more)
{
	/* Each waits until all the others have begun, which in turn they never would. */
	char there[] = "/tmp/test-program-XXXXXX", wait[200];

	ck_assert_int_ge(mkstemp(there), 0);
	(void)snprintf(wait, sizeof wait, "echo >> %s; while [ $(wc -l < %s) -lt %u ]; do sleep 0.05; done", there, there,
		       CORE_MOST_PROGRAMS);
	struct pbx_program_spec spec = { .size = sizeof spec, .argv = SHELL(wait), .most_output_bytes = 100 };

	setup();
	for (uint32_t i = 0; i < CORE_MOST_PROGRAMS; i++)
		(void)start(spec);
	ck_assert_int_eq(core_programs_service.start(&owner.host, &spec, on_done, NULL, NULL), PBX_ENOSPC);
	core_loop_settle();
	ck_assert_uint_eq(told, CORE_MOST_PROGRAMS);
	ck_assert_int_eq(got.status, PBX_OK);
	told = 0;
	ck_assert_int_eq(run(spec), PBX_OK);
	(void)unlink(there);
	teardown();
}
END_TEST

START_TEST(what_runs_at_the_end_is_killed_without_a_word)
{
	setup();
	(void)START(.argv = (const char *const[]){ "sleep", "60", NULL }, .run_ms = 60000);
	core_programs_fini();
	core_loop_step();
	check_no_child();
	ck_assert_uint_eq(told, 0);
	core_programs_init();
	teardown();
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
	static const char *const none[] = { NULL }, *const good[] = { "true", NULL }, *const near_by[] = { "./true", NULL };
	const struct pbx_program_spec wrong[] = {
		{ .argv = NULL },
		{ .argv = none },
		{ .argv = good, .run_ms = 600001 },
		{ .argv = good, .folder = "here" },
		{ .argv = near_by, .folder = "/bin" }, /* near where? */
		{ .argv = good, .input_size = 1 },
		{ .argv = good, .input = "", .input_size = (64u << 20) + 1 },
		{ .argv = good, .most_output_bytes = (64u << 20) + 1 },
	};

	setup();
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct pbx_program_spec spec = wrong[i];

		spec.size = sizeof spec;
		ck_assert_int_eq(core_programs_service.start(&owner.host, &spec, on_done, NULL, NULL), PBX_EINVAL);
	}
	ck_assert_uint_eq(told, 0);
	teardown();
}
END_TEST

CHECK_MAIN("program", it_gets_its_arguments_as_they_are, it_reads_its_input_to_the_end, it_knows_nothing_of_our_environment,
	   it_runs_in_the_folder_it_is_given, none_of_our_descriptors_is_open_in_it,
	   it_has_a_session_of_its_own_and_no_signal_of_ours_blocked, its_exit_status_is_told, one_that_hangs_is_killed_with_all_it_started,
	   what_it_leaves_running_ends_with_it, one_that_says_too_much_is_killed, what_nobody_wants_to_hear_goes_nowhere,
	   a_crash_is_told_by_its_name, a_signal_may_have_no_name, one_that_is_not_there_is_told, memory_and_files_have_limits,
	   a_cancelled_one_is_told_once_and_later, an_owner_that_stops_is_told_before_it_is_idle, many_run_at_once_and_not_one_more,
	   what_runs_at_the_end_is_killed_without_a_word, what_makes_no_sense_is_refused)
