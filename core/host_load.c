/* core/host_load.c - from a file to an instance, trusting nothing on the way
 *
 * A child process goes first: it makes a copy of the file under a name of its own (so that two copies of one plugin can be loaded side by side,
 * and a package upgrade does not pull pages from under us), loads the copy, reads the descriptor, fills in the settings and runs
 * the plugin's check. Whatever happens to the child, a crash included, is one line of ours. Only what it came through with is loaded here,
 * and looked at again. The child inherits our memory but no thread: it calls nothing that waits for one. */
#include "host_internal.h"
#include "loop.h"
#include "overlap.h"
#include "settings.h"
#include <pbx/build.h>
#include <assert.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __x86_64__
#define OUR_MACHINE EM_X86_64
#elif defined __aarch64__
#define OUR_MACHINE EM_AARCH64
#else
#define OUR_MACHINE 0 /* not checked: dlopen says it in its own words */
#endif

#define LEAST_CARD_SIZE offsetof(struct pbx_plugin, settings)

/* What the child tells; in memory shared with it. */
struct report {
	char stage[24]; /* what it was at */
	bool finished;
	struct core_refusal refusal; /* result PBX_OK: none */
};

struct probe {
	struct core_plugin *plugin;
	core_life_fn done;
	void *context;
	char *copy;
	struct report *report;
	pid_t child;
	int status;
};

static char folder[64]; /* of the copies */

void core_load_fini(void)
{
	if (folder[0])
		(void)rmdir(folder); /* fails when a copy is still loaded */
	folder[0] = '\0';
}

/* ---- the file ------------------------------------------------------------------------- */

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

static int copy_file(const char *from, const char *to, struct core_refusal *refusal)
{
	struct stat file = { 0 };
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = in >= 0 ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700) : -1;
	bool copied = out >= 0 && fstat(in, &file) == 0;

	for (off_t at = 0; copied && at < file.st_size;)
		copied = sendfile(out, in, &at, (size_t)(file.st_size - at)) > 0;
	if (!copied)
		core_refuse(refusal, PBX_EIO, in < 0 ? "check its permissions" : "make room in the folder for temporary files",
			    "it cannot be copied: %s", strerror(errno));
	if (in >= 0)
		(void)close(in);
	if (out >= 0)
		(void)close(out);
	return copied ? PBX_OK : PBX_EIO;
}

static int check_elf(const char *path, struct core_refusal *refusal)
{
	Elf64_Ehdr head = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, &head, sizeof head) : -1;

	if (fd >= 0)
		(void)close(fd);
	if (got != (ssize_t)sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_type != ET_DYN) {
		core_refuse(refusal, PBX_EINVAL, "remove it from the plugin folder", "it is not a shared object");
		return PBX_EINVAL;
	}
	if (head.e_ident[EI_CLASS] != ELFCLASS64 || (OUR_MACHINE && head.e_machine != OUR_MACHINE)) {
		core_refuse(refusal, PBX_EVERSION, "install the build for this machine", "it is built for another machine");
		return PBX_EVERSION;
	}
	return PBX_OK;
}

/* ---- the descriptor ------------------------------------------------------------------- */

bool core_abi_fits(const struct pbx_header *header, uint16_t major, uint16_t minor, struct core_refusal *refusal)
{
	bool fits = header->abi_major == major && (major ? header->abi_minor <= minor : header->abi_minor == minor);
	bool is_newer = header->abi_major > major || (header->abi_major == major && header->abi_minor > minor);

	if (header->magic != PBX_MAGIC) {
		core_refuse(refusal, PBX_EINVAL, "remove it from the plugin folder", "its pbx_plugin is not a descriptor");
		return false;
	}
	if (!fits) {
		core_refuse(refusal, PBX_EVERSION,
			    is_newer ? "install a newer pbxd, or an older plugin" : "install a newer plugin, or build it again",
			    "it is made for ABI %u.%u, this is %u.%u", header->abi_major, header->abi_minor, major, minor);
		return false;
	}
	if (header->size < LEAST_CARD_SIZE) {
		core_refuse(refusal, PBX_EINVAL, "build it again", "its descriptor has %u bytes, fewer than any version", header->size);
		return false;
	}
	return true;
}

static bool is_table(const struct pbx_table *table, size_t least_row)
{
	return !table->count || (table->rows && table->row_size >= least_row);
}

static bool is_name(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	return length && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

static const char *find_draft(const char *const *ids)
{
	for (; ids && *ids; ids++)
		if (!strncmp(*ids, "pbx.lab.", 8))
			return *ids;
	return NULL;
}

/* Drafts change from build to build: who uses or offers one must be of ours. */
static int check_drafts(const struct pbx_plugin *card, struct core_refusal *refusal)
{
	const char *draft = find_draft(card->needs);

	if (!draft)
		draft = find_draft(card->offers);
	if (!draft || (card->build && strcmp(card->build, PBX_BUILD) == 0))
		return PBX_OK;
	core_refuse(refusal, PBX_EVERSION, "install the plugin that came with this pbxd, or build it again with its headers",
		    "it uses the draft %.*s and is of build %.64s, this is " PBX_BUILD, (int)strcspn(draft, "?"), draft,
		    card->build ? card->build : "unknown");
	return PBX_EVERSION;
}

/* What a card says of itself. The smallest rows are those of ABI 0.1. */
static int check_card(const struct pbx_plugin *card, const char *name, struct core_refusal *refusal)
{
	const char *wrong = NULL;

	if (!is_name(card->name) || strcmp(card->name, name) != 0) {
		core_refuse(refusal, PBX_EINVAL, "name the file after the plugin", "it is called %.64s.so but is the plugin \"%.64s\"",
			    name, card->name ? card->name : "");
		return PBX_EINVAL;
	}
	if (!card->version || !card->summary)
		wrong = "it has no version or summary";
	else if (card->instance_size < sizeof(struct core_instance_head))
		wrong = "its instance does not begin with PBX_INSTANCE";
	else if (!is_table(&card->settings, offsetof(struct pbx_setting, fields)) ||
		 !is_table(&card->migrations, sizeof(struct pbx_migration)) ||
		 !is_table(&card->routes, offsetof(struct pbx_route, reply)) ||
		 !is_table(&card->commands, offsetof(struct pbx_command, columns)) ||
		 !is_table(&card->metrics, offsetof(struct pbx_metric, labels)) || !is_table(&card->events, sizeof(struct pbx_event_type)))
		wrong = "a table of it has rows that are too short";
	else if (card->settings.count && !card->settings_size)
		wrong = "it has settings but no settings_size";
	if (wrong)
		core_refuse(refusal, PBX_EINVAL, "build it again with this version's headers", "%s", wrong);
	return wrong ? PBX_EINVAL : check_drafts(card, refusal);
}

/* dlerror() begins with the path of the copy, which says nothing to anybody. */
static const char *load_error(void)
{
	const char *text = dlerror();
	const char *after = text ? strstr(text, ".so: ") : NULL;

	return after ? after + 5 : text ? text : "unknown";
}

/* Loads a copy and looks at its card; the library is owned. NULL: refusal says why. */
static void *open_copy(const char *copy, const char *name, const struct pbx_plugin **ret_descriptor, struct core_refusal *refusal)
{
	void *library = dlopen(copy, RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		core_refuse(refusal, PBX_EINVAL, "install the library it needs, or build it again", "it cannot be loaded: %s",
			    load_error());
		return NULL;
	}
	const struct pbx_plugin *descriptor = dlsym(library, "pbx_plugin");
	struct pbx_plugin card = { 0 };
	if (!descriptor)
		core_refuse(refusal, PBX_EINVAL, "remove it from the plugin folder", "it exports no symbol pbx_plugin");
	if (descriptor && core_abi_fits(&descriptor->header, PBX_ABI_MAJOR, PBX_ABI_MINOR, refusal)) {
		core_copy_overlap(&card, sizeof card, descriptor, descriptor->header.size);
		if (check_card(&card, name, refusal) == PBX_OK) {
			*ret_descriptor = descriptor;
			return library;
		}
	}
	(void)dlclose(library);
	return NULL;
}

static struct core_instance *open_instance(struct core_plugin *plugin, const char *copy, struct core_refusal *refusal)
{
	const struct pbx_plugin *descriptor;
	void *library = open_copy(copy, plugin->name, &descriptor, refusal);

	if (!library)
		return NULL;
	struct core_instance *instance = core_instance_new(plugin, descriptor, NULL);
	if (!instance) {
		core_refuse(refusal, PBX_ENOMEM, "free some memory", "out of memory");
		(void)dlclose(library);
		return NULL;
	}
	instance->library = library;
	return instance;
}

/* ---- the child ------------------------------------------------------------------------ */

static void be_quiet(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGTERM, SIGINT, SIGHUP, SIGALRM };
	const struct rlimit no_core = { 0, 0 };
	sigset_t none;

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		(void)signal(signals[i], SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
	}
	(void)alarm(CORE_PROBE_MS / 1000);
}

static void enter_stage(struct report *report, const char *stage)
{
	(void)snprintf(report->stage, sizeof report->stage, "%s", stage);
}

/* A log line of the child would appear in the daemon's file. */
static void PBX_PRINTF(5, 6) log_nothing(struct pbx_host *host, uint32_t level, pbx_call call, const char *event, const char *format, ...)
{
	(void)host, (void)level, (void)call, (void)event, (void)format;
}

static int try_settings(struct core_instance *instance, struct pbx_diag *diag)
{
	const struct pbx_plugin *card = &instance->card;
	const char *name = instance->owner.name;

	if (!card->settings.count)
		return PBX_OK;
	int err = core_settings_redeclare(name, &card->settings, card->settings_size, diag);
	if (err == PBX_ENOENT)
		err = core_settings_declare(name, &card->settings, card->settings_size, diag);
	if (err == PBX_OK)
		instance->self->settings = core_settings_get(name);
	return err;
}

static void try_check(struct core_instance *instance, struct report *report)
{
	struct pbx_diag diag = { 0 };

	instance->owner.host.log = log_nothing;
	enter_stage(report, "its settings were read");
	int err = try_settings(instance, &diag);
	if (err != PBX_OK) {
		core_refuse(&report->refusal, err, "correct its settings", "%s", diag.text);
		return;
	}
	enter_stage(report, "its check ran");
	if (instance->card.check)
		err = instance->card.check(instance->self, &diag);
	if (err != PBX_OK)
		core_refuse(&report->refusal, err, "see its README", "%s", diag.text[0] ? diag.text : "its check refused without a reason");
}

static _Noreturn void run_child(struct probe *probe)
{
	struct report *report = probe->report;
	struct core_instance *instance = NULL;

	be_quiet();
	enter_stage(report, "it was copied");
	if (copy_file(probe->plugin->file, probe->copy, &report->refusal) == PBX_OK && check_elf(probe->copy, &report->refusal) == PBX_OK) {
		enter_stage(report, "it was loaded");
		instance = open_instance(probe->plugin, probe->copy, &report->refusal);
	}
	if (instance)
		try_check(instance, report);
	report->finished = true;
	_exit(0); /* nothing of the daemon's is to be freed here, no destructor to run */
}

/* ---- the parent ----------------------------------------------------------------------- */

static void probe_free(struct probe *probe)
{
	if (!probe)
		return;
	if (probe->copy)
		(void)unlink(probe->copy); /* unless the instance has taken it; it may never have been made */
	if (probe->report)
		(void)munmap(probe->report, sizeof *probe->report);
	free(probe->copy);
	free(probe);
}
AUTO_FREES(probe)

static struct probe *probe_new(struct core_plugin *plugin, core_life_fn done, void *context)
{
	static uint32_t copies;
	AUTO(probe) struct probe *probe = calloc(1, sizeof *probe);

	if (!probe || make_folder() != PBX_OK)
		return NULL;
	*probe = (struct probe){ .plugin = plugin, .done = done, .context = context };
	if (asprintf(&probe->copy, "%s/%s-%u.so", folder, plugin->name, ++copies) < 0) {
		probe->copy = NULL;
		return NULL;
	}
	void *shared = mmap(NULL, sizeof *probe->report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return NULL;
	probe->report = shared;
	return TAKE(probe);
}

/* [work] */
static void await_child(void *job)
{
	struct probe *probe = job;

	while (waitpid(probe->child, &probe->status, 0) < 0 && errno == EINTR)
		;
}

static void judge(const struct probe *probe, struct core_refusal *ret_refusal)
{
	const struct report *report = probe->report;

	*ret_refusal = report->refusal;
	if (report->finished)
		return;
	if (WIFSIGNALED(probe->status) && WTERMSIG(probe->status) == SIGALRM)
		core_refuse(ret_refusal, PBX_ETIMEOUT, "report it to its author", "nothing came for 5 seconds while %s", report->stage);
	else if (WIFSIGNALED(probe->status))
		core_refuse(ret_refusal, PBX_EIO, "report it to its author", "it crashed (%s) while %s", strsignal(WTERMSIG(probe->status)),
			    report->stage);
	else
		core_refuse(ret_refusal, PBX_EIO, "report it to its author", "it ended the process while %s", report->stage);
}

static void on_child_done(void *context, void *job, int status)
{
	AUTO(probe) struct probe *probe = job;
	struct core_refusal refusal = { 0 };
	struct core_instance *instance = NULL;

	(void)context;
	if (status == PBX_OK)
		judge(probe, &refusal);
	else
		core_refuse(&refusal, status, "start again", "the daemon is being stopped");
	if (refusal.result == PBX_OK)
		instance = open_instance(probe->plugin, probe->copy, &refusal);
	if (instance)
		instance->copy = TAKE(probe->copy);
	probe->done(probe->context, probe->plugin, instance, instance ? NULL : &refusal);
}

int core_load_file(struct core_plugin *plugin, core_life_fn done, void *context)
{
	core_assert_loop();
	AUTO(probe) struct probe *probe = probe_new(plugin, done, context);

	if (!probe)
		return PBX_ENOMEM;
	probe->child = fork();
	if (probe->child == 0)
		run_child(probe);
	if (probe->child < 0)
		return PBX_ENOMEM;
	if (core_work(core_self(), await_child, on_child_done, NULL, probe) != PBX_OK) {
		(void)kill(probe->child, SIGKILL);
		await_child(probe);
		return PBX_ENOMEM;
	}
	(void)TAKE(probe); /* on_child_done frees it */
	return PBX_OK;
}
