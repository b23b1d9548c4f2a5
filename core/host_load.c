/* core/host_load.c - from a file to an instance, trusting nothing on the way
 *
 * A job of the pool makes a copy of the file under a name of its own (so that two copies of one plugin can be loaded side by side, and a
 * package upgrade does not pull pages from under us) and has a program of its own try it (probe.c): loading, descriptor, settings, the
 * plugin's check. Whatever happens to that program, a crash included, is one line of ours. Only what it came through with is loaded here, and
 * looked at again. The program is spawned and not forked: nothing of ours is copied, and the loop never waits. */
#include "host_internal.h"
#include "loop.h"
#include "settings.h"
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE "pbx-plugin-probe"
#define REINSTALL "install the packages of this pbxd again"
#define MOST_ANSWER_BYTES 2048u

/* A file on its way. The job sees nothing else. */
struct trial {
	struct core_plugin *plugin;
	core_life_fn done;
	void *context;
	char *name, *file, *copy, *base_dir; /* owned */
	char *settings;                      /* owned, as packed */
	size_t settings_length;
	char answer[MOST_ANSWER_BYTES]; /* what the program has said, lines */
	bool timed_out;
	int status; /* of the program, as waitpid gives it */
	struct core_refusal refusal;
	void *library; /* owned until an instance has it */
	const struct pbx_plugin *descriptor;
};

static char folder[64]; /* of the copies */
static char probe[PATH_MAX];
static uint32_t probe_ms = CORE_PROBE_MS;

void core_load_fini(void)
{
	if (folder[0])
		(void)rmdir(folder); /* fails when a copy is still loaded */
	folder[0] = '\0';
}

/* ---- the program that tries ----------------------------------------------------------- */

void core_host_use_probe(const char *path, uint32_t within_ms)
{
	(void)snprintf(probe, sizeof probe, "%s", path ? path : "");
	probe_ms = path ? within_ms : CORE_PROBE_MS;
}

static void find_probe(void)
{
	char own[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof own - sizeof "/" PROBE);

	if (probe[0])
		return;
	while (length > 0 && own[length - 1] != '/')
		length--;
	if (length > 0)
		(void)snprintf(probe, sizeof probe, "%.*s%s", (int)length, own, PROBE);
	if (length <= 0 || access(probe, X_OK) != 0)
		(void)snprintf(probe, sizeof probe, "%s", PBX_PROGRAM_DIR "/" PROBE);
}

/* ---- the copy ------------------------------------------------------------------------- */

static int make_folder(void)
{
	const char *base = getenv("TMPDIR");

	if (folder[0])
		return PBX_OK;
	int length = snprintf(folder, sizeof folder, "%s/pbx-plugins-XXXXXX", base && *base ? base : "/tmp");
	if (length < 0 || (size_t)length >= sizeof folder || !mkdtemp(folder)) {
		folder[0] = '\0';
		return PBX_EIO;
	}
	return PBX_OK;
}

/* 0, or the error's number. */
static int copy_bytes(int in, int out)
{
	struct stat file;

	if (fstat(in, &file) != 0)
		return errno;
	for (off_t at = 0; at < file.st_size;)
		if (sendfile(out, in, &at, (size_t)(file.st_size - at)) <= 0)
			return errno ? errno : EIO;
	return 0;
}

static void copy_file(const char *from, const char *to, struct core_refusal *refusal)
{
	struct stat file;

	if (stat(from, &file) == 0 && !S_ISREG(file.st_mode)) {
		core_refuse(refusal, PBX_EINVAL, "remove it from the plugin folder", "it is not a file");
		return;
	}
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* should it have become a pipe: who writes is not waited for */
	int err = in < 0 ? errno : 0;
	int out = err ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

	if (!err)
		err = out < 0 ? errno : copy_bytes(in, out);
	if (err)
		core_refuse(refusal, PBX_EIO, in < 0 ? "check its permissions" : "make room in the folder for temporary files",
			    "it cannot be copied: %s", strerror(err));
	if (in >= 0)
		(void)close(in);
	if (out >= 0)
		(void)close(out);
}

/* ---- the trial [work] ----------------------------------------------------------------- */

/* A file in memory, at its beginning: no pipe that somebody must fill while another reads. */
static int settings_fd(const struct trial *trial)
{
	int fd = memfd_create("settings", MFD_CLOEXEC);
	size_t at = 0;

	for (ssize_t put; fd >= 0 && at < trial->settings_length; at += (size_t)put) {
		put = write(fd, trial->settings + at, trial->settings_length - at);
		if (put > 0)
			continue;
		(void)close(fd);
		return -1;
	}
	if (fd >= 0)
		(void)lseek(fd, 0, SEEK_SET); /* cannot fail on such a file */
	return fd;
}

/* 0, or the error's number. */
static int spawn(const struct trial *trial, int in, int out, pid_t *ret_child)
{
	char *const argv[] = { probe, trial->name, trial->copy, trial->base_dir, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	int err = posix_spawn_file_actions_init(&files);
	if (err)
		return err;
	err = posix_spawnattr_init(&attributes);
	if (!err) {
		err = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
		if (!err)
			err = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
		if (!err) /* no socket of a call stays open for a plugin that hangs */
			err = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
		(void)posix_spawnattr_setsigmask(&attributes, &none);
		(void)posix_spawnattr_setsigdefault(&attributes, &all);
		(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
		if (!err)
			err = posix_spawn(ret_child, probe, &files, &attributes, argv, environ);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return err;
}

/* Everything it says until it ends, or its time is over. */
static void listen_to(struct trial *trial, int fd)
{
	uint64_t until_us = core_clock_us() + 1000u * probe_ms;
	size_t used = 0;

	while (used < sizeof trial->answer - 1) {
		uint64_t now_us = core_clock_us();
		struct pollfd readable = { .fd = fd, .events = POLLIN };
		int ready = now_us < until_us ? poll(&readable, 1, (int)((until_us - now_us) / 1000u) + 1) : 0;

		if (ready < 0 && errno == EINTR)
			continue;
		trial->timed_out = ready == 0;
		ssize_t got = ready > 0 ? read(fd, trial->answer + used, sizeof trial->answer - 1 - used) : -1;
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	trial->answer[used] = '\0';
}

static void run_program(struct trial *trial)
{
	int in = settings_fd(trial), ends[2] = { -1, -1 };
	pid_t child = 0;
	int err = in < 0 || pipe2(ends, O_CLOEXEC) != 0 ? errno : spawn(trial, in, ends[1], &child);

	if (in >= 0)
		(void)close(in);
	if (ends[1] >= 0)
		(void)close(ends[1]);
	if (!err) {
		listen_to(trial, ends[0]);
		if (trial->timed_out)
			(void)kill(child, SIGKILL);
		while (waitpid(child, &trial->status, 0) < 0 && errno == EINTR)
			continue;
	} else {
		core_refuse(&trial->refusal, PBX_EIO, REINSTALL, "it cannot be tried, %s: %s", probe, strerror(err));
	}
	if (ends[0] >= 0)
		(void)close(ends[0]);
}

/* The number, the cure and the reason of a refusal, with tabs between. */
static void take_refusal(char *words, struct core_refusal *ret_refusal)
{
	char *cure;
	long result = strtol(words, &cure, 10);
	char *reason = *cure == '\t' ? strchr(++cure, '\t') : NULL;

	if (!reason || result >= PBX_OK || result < INT_MIN) {
		core_refuse(ret_refusal, PBX_EIO, REINSTALL, "%s gave an answer that is none", probe);
		return;
	}
	*reason++ = '\0';
	core_refuse(ret_refusal, (int)result, cure, "%s", reason);
}

/* Goes through what it said: "at" something, line after line, and in the end "good" or "refused". */
static void judge(struct trial *trial)
{
	struct core_refusal *refusal = &trial->refusal;
	const char *stage = "it began";
	char *refused = NULL, *rest = trial->answer;
	bool good = false;

	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		if (!strncmp(line, "at ", 3))
			stage = line + 3;
		else if (!strncmp(line, "refused\t", 8))
			refused = line + 8;
		else if (!strcmp(line, "good"))
			good = true;
	}
	if (trial->timed_out)
		core_refuse(refusal, PBX_ETIMEOUT, "report it to its author", "nothing came for %u seconds while %s", probe_ms / 1000u,
			    stage);
	else if (WIFSIGNALED(trial->status))
		core_refuse(refusal, PBX_EIO, "report it to its author", "it crashed (%s) while %s", strsignal(WTERMSIG(trial->status)),
			    stage);
	else if (refused)
		take_refusal(refused, refusal);
	else if (!good)
		core_refuse(refusal, PBX_EIO, "report it to its author", "it ended the process while %s", stage);
}

static void run_trial(void *job)
{
	struct trial *trial = job;

	copy_file(trial->file, trial->copy, &trial->refusal);
	if (trial->refusal.result == PBX_OK)
		run_program(trial);
	if (trial->refusal.result == PBX_OK)
		judge(trial);
	if (trial->refusal.result == PBX_OK)
		trial->library = core_card_open(trial->copy, trial->name, &trial->descriptor, &trial->refusal);
}

/* ---- before and after [loop] ---------------------------------------------------------- */

static void trial_free(struct trial *trial)
{
	if (!trial)
		return;
	if (trial->library)
		(void)dlclose(trial->library);
	if (trial->copy)
		(void)unlink(trial->copy); /* unless the instance has taken it; it may never have been made */
	if (trial->settings)
		explicit_bzero(trial->settings, trial->settings_length);
	free(trial->settings);
	free(trial->base_dir);
	free(trial->copy);
	free(trial->file);
	free(trial->name);
	free(trial);
}
AUTO_FREES(trial)

static struct trial *trial_new(struct core_plugin *plugin, core_life_fn done, void *context)
{
	static uint32_t copies;
	AUTO(trial) struct trial *trial = calloc(1, sizeof *trial);

	if (!trial || make_folder() != PBX_OK)
		return NULL;
	*trial = (struct trial){ .plugin = plugin, .done = done, .context = context, .base_dir = core_host_base_dir() };
	trial->name = strdup(plugin->name);
	trial->file = strdup(plugin->file);
	trial->settings = core_settings_pack(plugin->name, &trial->settings_length);
	if (asprintf(&trial->copy, "%s/%s-%u.so", folder, plugin->name, ++copies) < 0)
		trial->copy = NULL;
	return trial->name && trial->file && trial->settings && trial->copy ? TAKE(trial) : NULL;
}

static struct core_instance *take_instance(struct trial *trial)
{
	struct core_instance *instance = trial->library ? core_instance_new(trial->plugin, trial->descriptor, NULL) : NULL;

	if (instance) {
		instance->library = TAKE(trial->library);
		instance->copy = TAKE(trial->copy);
	} else if (trial->library) {
		core_refuse(&trial->refusal, PBX_ENOMEM, "free some memory", "out of memory");
	}
	return instance;
}

static void on_tried(void *context, void *job, int status)
{
	AUTO(trial) struct trial *trial = job;

	(void)context;
	if (status != PBX_OK)
		core_refuse(&trial->refusal, status, "start again", "the daemon is being stopped");
	struct core_instance *instance = status == PBX_OK ? take_instance(trial) : NULL;
	trial->done(trial->context, trial->plugin, instance, instance ? NULL : &trial->refusal);
}

int core_load_file(struct core_plugin *plugin, core_life_fn done, void *context)
{
	core_assert_loop();
	find_probe();
	AUTO(trial) struct trial *trial = trial_new(plugin, done, context);

	if (!trial || core_work(core_self(), run_trial, on_tried, NULL, trial) != PBX_OK)
		return PBX_ENOMEM;
	(void)TAKE(trial); /* on_tried frees it */
	return PBX_OK;
}
