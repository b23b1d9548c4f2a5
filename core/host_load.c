/* core/host_load.c - from a file to an instance, trusting nothing on the way
 *
 * A job of the pool makes a copy of the file under a name of its own (so that two copies of one plugin can be loaded side by side, and a
 * package upgrade does not pull pages from under us) and has a program of its own try it (probe.c): loading, descriptor, settings, the
 * plugin's check. Whatever happens to that program, a crash included, is one line of ours. Only what it came through with is loaded here, and
 * looked at again. */
#include "host_internal.h"
#include "loop.h"
#include "program.h"
#include "settings.h"
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
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
	struct core_program_end end; /* of the program, and what it has said: lines */
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

static void run_program(struct trial *trial)
{
	const struct pbx_program_spec spec = {
		.size = sizeof spec,
		.run_ms = probe_ms,
		.argv = (const char *const[]){ probe, trial->name, trial->copy, trial->base_dir, NULL },
		.input = trial->settings,
		.input_size = trial->settings_length,
		.most_output_bytes = MOST_ANSWER_BYTES,
	};

	core_program_run(&spec, CORE_PROGRAM_OURS, -1, &trial->end);
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
	char *refused = NULL, *rest = trial->end.output;
	bool good = false;

	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		if (!strncmp(line, "at ", 3))
			stage = line + 3;
		else if (!strncmp(line, "refused\t", 8))
			refused = line + 8;
		else if (!strcmp(line, "good"))
			good = true;
	}
	if (trial->end.status == PBX_ETIMEOUT)
		core_refuse(refusal, PBX_ETIMEOUT, "report it to its author", "nothing came for %u seconds while %s", probe_ms / 1000u,
			    stage);
	else if (trial->end.signal)
		core_refuse(refusal, PBX_EIO, "report it to its author", "it crashed (%s) while %s", strsignal((int)trial->end.signal),
			    stage);
	else if (trial->end.status != PBX_OK)
		core_refuse(refusal, PBX_EIO, REINSTALL, "it cannot be tried: %s", trial->end.error);
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
	core_program_end_fini(&trial->end);
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
