/* core/program.c - a program of somebody else's from beginning to end: spawned, within limits, heard out, killed, reaped
 *
 * Spawned and not forked: nothing of ours is copied. It leads a session and a process group of its own, so that one signal reaches whatever it has
 * started and that has not left the group. It may be asked to read a stranger's document, so it has neither our descriptors nor our environment, and
 * leaves no core file. Its input is a file in memory: no pipe that somebody must fill while another reads. */
#include "program.h"
#include "owner_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDERS "/usr/local/bin:/usr/bin:/bin"
#define RUN_MS 10000u
#define MOST_RUN_MS 600000u
#define MOST_INPUT_BYTES (64u << 20)
#define MOST_OUTPUT_BYTES (64u << 20)
#define MOST_VARIABLES 32u /* of the environment, beside those that everybody gets */
#define PATH_BYTES 512u

/* One that runs. Descriptors: -1 for none. */
struct child {
	const struct pbx_program_spec *spec;
	struct core_program_end *end;
	pid_t pid;
	int pid_fd, output;
	uint64_t until_us;
};

/* ---- what may be run ---- */

int core_program_find(const char *name, char *ret_path, size_t size)
{
	const char *folder = strchr(name, '/') ? "" : FOLDERS;

	do {
		int length = (int)strcspn(folder, ":");
		int written = snprintf(ret_path, size, "%.*s%s%s", length, folder, length ? "/" : "", name);

		if (*name && written > 0 && (size_t)written < size && access(ret_path, X_OK) == 0)
			return PBX_OK;
		folder += length + (folder[length] == ':');
	} while (*folder);
	return PBX_ENOENT;
}

static uint32_t count_of(const char *const *texts)
{
	uint32_t count = 0;

	while (texts && texts[count])
		count++;
	return count;
}

/* A path from where somebody is means another file where the program is to run. */
static bool is_place(const char *name, const char *folder)
{
	return name[0] == '/' || !folder || !strchr(name, '/');
}

bool core_program_check(const struct pbx_program_spec *spec)
{
	return spec->argv && spec->argv[0] && is_place(spec->argv[0], spec->folder) && spec->run_ms <= MOST_RUN_MS &&
	       (!spec->folder || spec->folder[0] == '/') && spec->input_size <= MOST_INPUT_BYTES && (spec->input || !spec->input_size) &&
	       spec->most_output_bytes <= MOST_OUTPUT_BYTES && count_of(spec->environment) <= MOST_VARIABLES;
}

static uint32_t run_ms(const struct pbx_program_spec *spec)
{
	return spec->run_ms ? spec->run_ms : RUN_MS;
}

/* ---- spawning: 0, or the error's number ---- */

/* Its standard input, at the beginning; -1 and errno. */
static int open_input(const struct pbx_program_spec *spec)
{
	if (!spec->input_size)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);

	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t at = 0;

	for (ssize_t put; fd >= 0 && at < spec->input_size; at += (size_t)put) {
		put = write(fd, (const char *)spec->input + at, spec->input_size - at);
		if (put > 0)
			continue;
		(void)close(fd);
		return -1;
	}
	if (fd >= 0)
		(void)lseek(fd, 0, SEEK_SET); /* cannot fail on such a file */
	return fd;
}

/* Where its standard output goes, and our end of that: -1 when nobody wants to hear it. */
static int open_output(const struct pbx_program_spec *spec, int *ret_theirs, int *ret_ours)
{
	int ends[2] = { -1, -1 };

	if (!spec->most_output_bytes)
		ends[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	else if (pipe2(ends, O_CLOEXEC) == 0)
		(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	*ret_ours = ends[0];
	*ret_theirs = ends[1];
	return ends[1] >= 0 ? 0 : errno;
}

static int set_files(posix_spawn_file_actions_t *files, const struct pbx_program_spec *spec, uint32_t flags, int input, int output)
{
	int err = posix_spawn_file_actions_adddup2(files, input, STDIN_FILENO);

	err = err ? err : posix_spawn_file_actions_adddup2(files, output, STDOUT_FILENO);
	if (!err && !(flags & CORE_PROGRAM_OURS))
		err = posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	err = err ? err : posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
	return err || !spec->folder ? err : posix_spawn_file_actions_addchdir_np(files, spec->folder);
}

/* Our signals are blocked or caught, which it would inherit. */
static int set_signals(posix_spawnattr_t *how)
{
	sigset_t none, all;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	int err = posix_spawnattr_setflags(how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	err = err ? err : posix_spawnattr_setsigmask(how, &none);
	return err ? err : posix_spawnattr_setsigdefault(how, &all);
}

static bool is_given(const char *const *given, const char *variable)
{
	size_t length = strcspn(variable, "=") + 1;

	for (; given && *given; given++)
		if (strncmp(*given, variable, length) == 0)
			return true;
	return false;
}

/* What strangers' programs know of us: nothing. posix_spawn only reads it. */
static void fill_environment(const struct pbx_program_spec *spec, char *ret_variables[MOST_VARIABLES + 4])
{
	static const char *const usual[] = { ("PATH=" FOLDERS), "LC_ALL=C.UTF-8", "HOME=/nonexistent" };
	uint32_t count = count_of(spec->environment);

	for (uint32_t i = 0; i < count; i++)
		ret_variables[i] = (char *)(uintptr_t)spec->environment[i];
	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
		if (!is_given(spec->environment, usual[i]))
			ret_variables[count++] = (char *)(uintptr_t)usual[i];
	ret_variables[count] = NULL;
}

static int spawn(const struct pbx_program_spec *spec, uint32_t flags, int input, int output, pid_t *ret_pid)
{
	char program[PATH_BYTES], *environment[MOST_VARIABLES + 4];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;

	if (core_program_find(spec->argv[0], program, sizeof program) != PBX_OK)
		return ENOENT;
	fill_environment(spec, environment);
	int err = posix_spawn_file_actions_init(&files);
	if (err)
		return err;
	err = posix_spawnattr_init(&how);
	if (!err) {
		err = set_files(&files, spec, flags, input, output);
		err = err ? err : set_signals(&how);
		err = err ? err
			  : posix_spawn(ret_pid, program, &files, &how, (char *const *)(uintptr_t)spec->argv,
					flags & CORE_PROGRAM_OURS ? environ : environment);
		(void)posix_spawnattr_destroy(&how);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return err;
}

static void limit(pid_t pid, enum __rlimit_resource what, uint32_t most_mib)
{
	const struct rlimit both = { .rlim_cur = (rlim_t)most_mib << 20, .rlim_max = (rlim_t)most_mib << 20 };

	(void)prlimit(pid, what, &both, NULL); /* fails when it has ended already */
}

/* Its hard limit stays: AddressSanitizer lowers its own process's as it begins, and gives up when that has become less in between. */
static void leave_no_core(pid_t pid)
{
	struct rlimit core;

	if (prlimit(pid, RLIMIT_CORE, NULL, &core) != 0)
		return;
	core.rlim_cur = 0;
	(void)prlimit(pid, RLIMIT_CORE, &core, NULL);
}

/* As soon as it has begun: posix_spawn knows of no limits. */
static void set_limits(const struct child *child)
{
	leave_no_core(child->pid);
	if (child->spec->most_memory_mib)
		limit(child->pid, RLIMIT_AS, child->spec->most_memory_mib);
	if (child->spec->most_file_mib)
		limit(child->pid, RLIMIT_FSIZE, child->spec->most_file_mib);
}

static int begin(struct child *child, uint32_t flags)
{
	int output = -1, input = open_input(child->spec);
	int err = input < 0 ? errno : open_output(child->spec, &output, &child->output);

	if (!err)
		err = spawn(child->spec, flags, input, output, &child->pid);
	if (input >= 0)
		(void)close(input);
	if (output >= 0)
		(void)close(output);
	if (err)
		return err;
	set_limits(child);
	child->pid_fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	return child->pid_fd < 0 ? errno : 0;
}

/* ---- while it runs ---- */

/* What can be read now. PBX_OK: that is all for now; PBX_ENOSPC: it says more than it may. */
static int hear(struct child *child)
{
	struct core_program_end *end = child->end;
	char beyond;

	while (child->output >= 0) {
		size_t left = child->spec->most_output_bytes - end->output_size;
		ssize_t got = read(child->output, left ? end->output + end->output_size : &beyond, left ? left : 1);

		if (got > 0 && !left)
			return PBX_ENOSPC;
		if (got > 0) {
			end->output_size += (size_t)got;
		} else if (got < 0 && errno == EAGAIN) {
			break;
		} else if (got == 0 || errno != EINTR) {
			(void)close(child->output);
			child->output = -1;
		}
	}
	return PBX_OK;
}

/* Until it has ended: PBX_OK. Or until it has to be: why. */
static int watch(struct child *child, int cancel_fd)
{
	for (;;) {
		struct pollfd watched[] = {
			{ .fd = child->pid_fd, .events = POLLIN },
			{ .fd = child->output, .events = POLLIN },
			{ .fd = cancel_fd, .events = POLLIN },
		};
		uint64_t now_us = core_clock_us();

		if (now_us >= child->until_us)
			return PBX_ETIMEOUT;
		if (poll(watched, 3, (int)((child->until_us - now_us) / 1000u) + 1) < 0)
			continue; /* EINTR: a signal was for us */
		if (watched[2].revents)
			return PBX_ECANCELLED;
		int err = watched[1].revents ? hear(child) : PBX_OK;
		if (err != PBX_OK || watched[0].revents)
			return err;
	}
}

/* Nothing of it is left after this. Killed before it is reaped: its number cannot be another's yet. */
static int reap(const struct child *child)
{
	int status = 0;

	(void)kill(-child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

/* ---- how it ended ---- */

static void tell(struct core_program_end *end, const struct pbx_program_spec *spec, int why, int status)
{
	const char *name = spec->argv[0];

	end->status = why;
	if (why == PBX_ETIMEOUT) {
		(void)snprintf(end->error, sizeof end->error, "%s took more than %g s", name, run_ms(spec) / 1000.0);
	} else if (why == PBX_ENOSPC) {
		(void)snprintf(end->error, sizeof end->error, "%s says more than %u octets", name, spec->most_output_bytes);
	} else if (why == PBX_ECANCELLED) {
		(void)snprintf(end->error, sizeof end->error, "cancelled");
	} else if (WIFEXITED(status)) {
		end->exit_status = (uint32_t)WEXITSTATUS(status);
	} else if (WTERMSIG(status) == SIGXFSZ && spec->most_file_mib) {
		end->status = PBX_ENOSPC;
		(void)snprintf(end->error, sizeof end->error, "%s writes a file of more than %u MiB", name, spec->most_file_mib);
	} else {
		const char *description = sigdescr_np(WTERMSIG(status));

		end->status = PBX_EIO;
		end->signal = (uint32_t)WTERMSIG(status);
		(void)snprintf(end->error, sizeof end->error, "%s crashed: %s", name,
			       description ? description : "a signal without a name");
	}
}

static void tell_not_begun(struct core_program_end *end, const char *name, int error)
{
	end->status = error == ENOENT ? PBX_ENOENT : error == ENOMEM ? PBX_ENOMEM : PBX_EIO;
	(void)snprintf(end->error, sizeof end->error, "%s does not start: %s", name, strerror(error));
}

void core_program_run(const struct pbx_program_spec *spec, uint32_t flags, int cancel_fd, struct core_program_end *ret_end)
{
	uint64_t began_us = core_clock_us();
	struct child child = {
		.spec = spec, .end = ret_end, .pid = -1, .pid_fd = -1, .output = -1, .until_us = began_us + 1000ull * run_ms(spec)
	};

	*ret_end = (struct core_program_end){ .status = PBX_ENOMEM, .error = "out of memory" };
	ret_end->output = calloc(1, (size_t)spec->most_output_bytes + 1);
	if (!ret_end->output)
		return;
	int err = core_program_check(spec) ? begin(&child, flags) : EINVAL;
	int why = err ? PBX_EIO : watch(&child, cancel_fd);
	int status = child.pid > 0 ? reap(&child) : 0;

	if (why == PBX_OK)
		why = hear(&child); /* its last words */
	ret_end->error[0] = '\0';
	if (err)
		tell_not_begun(ret_end, spec->argv[0], err);
	else
		tell(ret_end, spec, why, status);
	if (child.output >= 0)
		(void)close(child.output);
	if (child.pid_fd >= 0)
		(void)close(child.pid_fd);
	ret_end->took_ms = (uint32_t)((core_clock_us() - began_us) / 1000u);
}

void core_program_end_fini(struct core_program_end *end)
{
	free(end->output);
	end->output = NULL;
}
