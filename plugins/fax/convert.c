/*
 * convert - a PDF becomes fax pages, by ghostscript
 *
 * A document of strangers is read by a program of its own: without a shell, without our files open, with limits of time, memory and disk, and with
 * ghostscript's own -dSAFER. What it does wrong is its end, not ours. [work]
 */
#include "fax.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/gs"
#define MOST_RUN_MS 25000 /* who asked waits for 30 s */
#define MOST_CPU_S 25u
#define MOST_MEMORY (1024ull << 20)
#define MOST_FILE (256ull << 20)

static int say(char ret_reason[REASON_SIZE], const char *reason)
{
	(void)snprintf(ret_reason, REASON_SIZE, "%s", reason);
	return PBX_EINVAL;
}

static void limit(pid_t pid, enum __rlimit_resource what, rlim_t most)
{
	const struct rlimit both = { .rlim_cur = most, .rlim_max = most };

	(void)prlimit(pid, what, &both, NULL); /* it has ended already */
}

static int run(char *const arguments[], pid_t *ret_pid)
{
	static char path[] = "PATH=/usr/bin:/bin", language[] = "LC_ALL=C.UTF-8", home[] = "HOME=/nonexistent";
	char *environment[] = { path, language, home, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, usual;

	if (posix_spawn_file_actions_init(&files) != 0)
		return ENOMEM;
	if (posix_spawnattr_init(&how) != 0) {
		(void)posix_spawn_file_actions_destroy(&files);
		return ENOMEM;
	}
	(void)sigemptyset(&none);
	(void)sigfillset(&usual);
	int err = posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	err = err ? err : posix_spawnattr_setsigmask(&how, &none);
	err = err ? err : posix_spawnattr_setsigdefault(&how, &usual);
	err = err ? err : posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	err = err ? err : posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	err = err ? err : posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
	err = err ? err : posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	err = err ? err : posix_spawn(ret_pid, PROGRAM, &files, &how, arguments, environment);
	(void)posix_spawnattr_destroy(&how);
	(void)posix_spawn_file_actions_destroy(&files);
	return err;
}

/* Its exit status; -1: it had to be killed. */
static int wait_for(pid_t pid)
{
	struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	bool in_time = ended.fd < 0 || poll(&ended, 1, MOST_RUN_MS) > 0;
	int status;

	if (ended.fd >= 0)
		(void)close(ended.fd);
	if (!in_time)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILURE;
	return !in_time ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int convert_pdf(const char *pdf, const char *tiff, char ret_reason[REASON_SIZE])
{
	char output[PATH_SIZE + 16], last[32], input[PATH_SIZE];
	char *const arguments[] = { "gs",           "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", "-sDEVICE=tiffg4", "-r204x196", "-g1728x2292",
				    "-dPDFFitPage", last, output,    input,     NULL };
	pid_t pid;

	(void)snprintf(output, sizeof output, "-sOutputFile=%s", tiff);
	(void)snprintf(last, sizeof last, "-dLastPage=%d", MOST_PAGES + 1);
	(void)snprintf(input, sizeof input, "%s", pdf);
	int err = access(PROGRAM, X_OK) == 0 ? run(arguments, &pid) : ENOENT;

	if (err != 0) {
		(void)say(ret_reason,
			  "it is a PDF, and ghostscript, which makes fax pages of it, is not installed: install it, or send a TIFF");
		return PBX_ENOTSUP;
	}
	limit(pid, RLIMIT_CPU, MOST_CPU_S);
	limit(pid, RLIMIT_AS, MOST_MEMORY);
	limit(pid, RLIMIT_FSIZE, MOST_FILE);
	int status = wait_for(pid);

	if (status == 0 && access(tiff, R_OK) == 0) /* it may end well without a page */
		return PBX_OK;
	return say(ret_reason,
		   status < 0 ? "it is a PDF that takes too long to be drawn: send fewer pages" : "it is a PDF that cannot be read");
}
