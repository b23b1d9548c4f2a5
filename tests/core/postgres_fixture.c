/*
 * postgres_fixture.c - a PostgreSQL server of the test's own
 *
 * The server refuses to run as root, so root becomes the user "postgres" first. Making a database costs seconds, so one is
 * made for the process and copied, and most tests share one server and empty it.
 */
#include "postgres_fixture.h"
#include <check.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct postgres {
	char dir[64];
	char url[160];
	pid_t pid;
};

static const char *bin_dir(void)
{
	static char dir[128];
	glob_t found = { 0 };

	if (!*dir && glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0) {
		(void)snprintf(dir, sizeof dir, "%s", found.gl_pathv[found.gl_pathc - 1]);
		*strrchr(dir, '/') = '\0';
	}
	globfree(&found);
	return *dir ? dir : NULL;
}

bool postgres_is_here(void)
{
	return bin_dir() && (geteuid() != 0 || getpwnam("postgres"));
}

/* The child is no longer root, has no limit that the test has put on itself, and dies with the test. */
static void become_postgres(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;

	(void)setrlimit(RLIMIT_FSIZE, &unlimited);
	(void)signal(SIGXFSZ, SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGINT);
	if (user && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
		_exit(126);
}

static pid_t start_program(char *const words[], const char *output)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		become_postgres();
		if (!freopen(output, "a", stdout) || dup2(STDOUT_FILENO, STDERR_FILENO) < 0 || chdir("/") != 0)
			_exit(127);
		execv(words[0], words);
		_exit(127);
	}
	return pid;
}

static void run_program(char *const words[], const char *output)
{
	int status = 0;
	pid_t pid = start_program(words, output);

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s failed, see %s", words[0], output);
}

static char *make_dir(char *template)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;

	ck_assert_ptr_nonnull(mkdtemp(template));
	if (user)
		ck_assert_int_eq(chown(template, user->pw_uid, user->pw_gid), 0);
	return template;
}

static char prepared_dir[64];

static void run_shell(const char *command)
{
	ck_assert_msg(system(command) == 0, "%s", command);
}

void postgres_prepare(void)
{
	char program[160], data[96], log[96];

	(void)snprintf(prepared_dir, sizeof prepared_dir, "/tmp/pbx-postgres-XXXXXX");
	(void)make_dir(prepared_dir);
	(void)snprintf(program, sizeof program, "%s/initdb", bin_dir());
	(void)snprintf(data, sizeof data, "%s/data", prepared_dir);
	(void)snprintf(log, sizeof log, "%s/initdb.log", prepared_dir);
	/* A collation that orders unlike bytes do, so that the tests see whether we depend on it. */
	char *words[] = { program,
			  (char *)"-D",
			  data,
			  (char *)"-U",
			  (char *)"pbx",
			  (char *)"-A",
			  (char *)"trust",
			  (char *)"-N",
			  (char *)"-E",
			  (char *)"UTF8",
			  (char *)"--locale-provider=icu",
			  (char *)"--icu-locale=en",
			  (char *)"--locale=C",
			  NULL };
	run_program(words, log);
}

void postgres_unprepare(void)
{
	char command[128];

	(void)snprintf(command, sizeof command, "rm -rf %s", prepared_dir);
	run_shell(command);
}

static bool answers(const struct postgres *postgres)
{
	char program[160];
	int status = 0;

	(void)snprintf(program, sizeof program, "%s/pg_isready", bin_dir());
	char *words[] = { program, (char *)"-q", (char *)"-h", (char *)postgres->dir, NULL };
	pid_t pid = start_program(words, "/dev/null");
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void postgres_resume(struct postgres *postgres)
{
	char program[160], data[96], log[96];

	(void)snprintf(program, sizeof program, "%s/postgres", bin_dir());
	(void)snprintf(data, sizeof data, "%s/data", postgres->dir);
	(void)snprintf(log, sizeof log, "%s/server.log", postgres->dir);
	char *words[] = { program,       (char *)"-D",
			  data,          (char *)"-k",
			  postgres->dir, (char *)"-h",
			  (char *)"",    (char *)"-F",
			  (char *)"-c",  (char *)"shared_buffers=16MB",
			  (char *)"-c",  (char *)"max_connections=20",
			  NULL };
	postgres->pid = start_program(words, log);
	for (int i = 0; !answers(postgres); i++) {
		ck_assert_msg(i < 400 && waitpid(postgres->pid, NULL, WNOHANG) == 0, "the server does not start, see %s", log);
		(void)usleep(25000);
	}
}

struct postgres *postgres_start(void)
{
	struct postgres *postgres = calloc(1, sizeof *postgres);
	char command[192];

	ck_assert_ptr_nonnull(postgres);
	(void)snprintf(postgres->dir, sizeof postgres->dir, "/tmp/pbx-postgres-XXXXXX");
	(void)make_dir(postgres->dir);
	(void)snprintf(postgres->url, sizeof postgres->url, "host=%s user=pbx dbname=postgres", postgres->dir);
	(void)snprintf(command, sizeof command, "cp -a %s/data %s/data", prepared_dir, postgres->dir);
	run_shell(command);
	postgres_resume(postgres);
	return postgres;
}

const char *postgres_url(const struct postgres *postgres)
{
	return postgres->url;
}

void postgres_run(struct postgres *postgres, const char *sql)
{
	char program[160];

	(void)snprintf(program, sizeof program, "%s/psql", bin_dir());
	char *words[] = { program, postgres->url, (char *)"-qc", (char *)(uintptr_t)sql, NULL };
	run_program(words, "/dev/null");
}

void postgres_empty(struct postgres *postgres)
{
	postgres_run(postgres, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
}

static void end_server(struct postgres *postgres, int signal_number)
{
	if (postgres->pid <= 0)
		return;
	(void)kill(postgres->pid, signal_number);
	(void)waitpid(postgres->pid, NULL, 0);
	postgres->pid = 0;
}

void postgres_halt(struct postgres *postgres)
{
	end_server(postgres, SIGQUIT);
}

void postgres_freeze(struct postgres *postgres, bool frozen)
{
	char command[160];

	/* The server's processes are its children and itself. */
	(void)snprintf(command, sizeof command, "pkill -%s -P %d; kill -%s %d", frozen ? "STOP" : "CONT", (int)postgres->pid,
		       frozen ? "STOP" : "CONT", (int)postgres->pid);
	run_shell(command);
}

void postgres_stop(struct postgres *postgres)
{
	char command[128];

	if (!postgres)
		return;
	end_server(postgres, SIGINT);
	(void)snprintf(command, sizeof command, "rm -rf %s", postgres->dir);
	run_shell(command);
	free(postgres);
}
