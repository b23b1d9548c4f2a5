/*
 * probe - pbx-plugin-probe: tries a plugin's file, so that whatever happens to it happens here
 *
 * pbx-plugin-probe NAME FILE [DATA_DIR] < SETTINGS
 *
 * Loads the file, reads the descriptor, fills in the settings and runs the plugin's check, as the daemon would and without anything
 * of the daemon's: no call, no service, no store. Says on the standard output what it is at, a line "at …" each, and at last "good" or "refused",
 * the result's number, the cure and the reason, separated by tabs. A crash is what the daemon sees when no last word comes. SETTINGS is what
 * core_settings_pack gave; nothing: defaults. The plugin's own output goes nowhere.
 */
#include "card.h"
#include "log.h"
#include "loop.h"
#include "settings.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define MOST_SETTINGS_BYTES (64u << 20)

static int answer_fd = STDOUT_FILENO;
static const char *plugin_name, *base_dir;

/* ---- what is said --------------------------------------------------------------------- */

static void PBX_PRINTF(1, 2) say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vdprintf(answer_fd, format, args); /* nobody reads: then nobody waits */
	va_end(args);
}

/* No destructor of the plugin is to run: it has promised nothing about them. */
static _Noreturn void finish(const struct core_refusal *refusal)
{
	if (refusal->result == PBX_OK)
		say("good\n");
	else
		say("refused\t%d\t%s\t%s\n", refusal->result, refusal->cure, refusal->reason);
	_exit(EX_OK);
}

/* ---- the host a check sees ------------------------------------------------------------ */

/* A provider that is away: the address holds, the functions are NULL. */
static const void *no_service(struct pbx_host *host, const char *id, uint32_t size)
{
	(void)host, (void)id;
	return calloc(1, size);
}

static void PBX_PRINTF(5, 6) log_nothing(struct pbx_host *host, uint32_t level, pbx_call call, const char *event, const char *format, ...)
{
	(void)host, (void)level, (void)call, (void)event, (void)format;
}

static int no_post(struct pbx_host *host, pbx_posted_fn fn, void *data, void (*drop)(void *data))
{
	(void)host, (void)fn, (void)data, (void)drop;
	return PBX_ESTATE;
}

static int no_work(struct pbx_host *host, pbx_work_fn work, pbx_worked_fn done, void *job)
{
	(void)host, (void)work, (void)done, (void)job;
	return PBX_ESTATE;
}

static int no_hold(struct pbx_host *host, const char *why)
{
	(void)host, (void)why;
	return PBX_ESTATE;
}

static uint64_t now_ms(struct pbx_host *host)
{
	(void)host;
	return core_now_ms();
}

static int64_t wall_us(struct pbx_host *host)
{
	(void)host;
	return core_wall_us();
}

static void no_ready(struct pbx_host *host, int result, const char *reason)
{
	(void)host, (void)result, (void)reason;
}

static const char *own_name(struct pbx_host *host)
{
	(void)host;
	return plugin_name;
}

static const char *own_dir(struct pbx_host *host)
{
	static char all[PATH_MAX], own[PATH_MAX];

	(void)host;
	if (!base_dir || snprintf(all, sizeof all, "%s/plugins", base_dir) >= (int)sizeof all ||
	    snprintf(own, sizeof own, "%s/plugins/%s", base_dir, plugin_name) >= (int)sizeof own)
		return NULL;
	(void)mkdir(all, 0750);
	return mkdir(own, 0750) == 0 || errno == EEXIST ? own : NULL;
}

static void fresh_ulid(struct pbx_host *host, char ret_id[27])
{
	(void)host;
	core_ulid(ret_id);
}

static struct pbx_host host = {
	.header = PBX_HEADER(struct pbx_host),
	.service = no_service,
	.log = log_nothing,
	.post = no_post,
	.work = no_work,
	.hold = no_hold,
	.release = no_hold,
	.now_ms = now_ms,
	.wall_us = wall_us,
	.ready = no_ready,
	.name = own_name,
	.data_dir = own_dir,
	.ulid = fresh_ulid,
};

/* ---- surroundings --------------------------------------------------------------------- */

/* A signal's default, also where a sanitizer has taken it: how we end is what is told. */
static void be_mortal(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS };
	const struct rlimit no_core = { 0, 0 };

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		(void)signal(signals[i], SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setrlimit(RLIMIT_CORE, &no_core);
}

/* What the plugin prints is nobody's answer. */
static void be_quiet(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	answer_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (null < 0 || answer_fd < 0)
		_exit(EX_OSERR);
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	(void)dup2(null, STDERR_FILENO);
}

static int read_settings(void)
{
	size_t used = 0, size = 4096;
	char *bytes = malloc(size);

	for (ssize_t got; bytes && (got = read(STDIN_FILENO, bytes + used, size - used)) > 0;) {
		used += (size_t)got;
		if (used < size)
			continue;
		char *more = size < MOST_SETTINGS_BYTES ? realloc(bytes, size *= 2) : NULL;
		if (!more)
			free(bytes);
		bytes = more;
	}
	if (!bytes)
		return PBX_ENOMEM;
	int err = used ? core_settings_unpack(bytes, used) : core_settings_init(NULL);
	explicit_bzero(bytes, used);
	free(bytes);
	return err;
}

/* ---- the trial ------------------------------------------------------------------------ */

static void try_check(const struct pbx_plugin *card, struct core_refusal *refusal)
{
	struct core_instance_head *self = calloc(1, card->instance_size);
	struct pbx_diag diag = { 0 };
	int err = self ? PBX_OK : PBX_ENOMEM;

	say("at its settings were read\n");
	if (err == PBX_OK && card->settings.count) {
		err = core_settings_on_check(plugin_name, card->settings_check);
		if (err == PBX_OK)
			err = core_settings_declare(plugin_name, &card->settings, card->settings_size, &diag);
	}
	if (err != PBX_OK) {
		core_refuse(refusal, err, "correct its settings", "%s", diag.text[0] ? diag.text : "out of memory");
		return;
	}
	self->host = &host;
	self->settings = core_settings_get(plugin_name);
	say("at its check ran\n");
	if (card->check)
		err = card->check(self, &diag);
	if (err != PBX_OK)
		core_refuse(refusal, err, "see its README", "%s", diag.text[0] ? diag.text : "its check refused without a reason");
}

int main(int argc, char **argv)
{
	const struct pbx_plugin *descriptor;
	struct core_refusal refusal = { 0 };

	if (argc < 3 || argc > 4) {
		(void)fputs("usage: pbx-plugin-probe NAME FILE [DATA_DIR] < SETTINGS\n\n"
			    "Tries a plugin's file as pbxd does before it loads it: good, or why not.\n",
			    stderr);
		return EX_USAGE;
	}
	plugin_name = argv[1];
	base_dir = argv[3];
	be_mortal();
	if (core_loop_init(false) != PBX_OK || core_log_init() != PBX_OK)
		return EX_OSERR;
	int err = isatty(STDIN_FILENO) ? core_settings_init(NULL) : read_settings();
	be_quiet();
	if (err != PBX_OK)
		core_refuse(&refusal, err, "start pbxd again", "its settings did not arrive (%d)", err);
	say("at it was loaded\n");
	if (err == PBX_OK && core_card_check_file(argv[2], &refusal) == PBX_OK &&
	    core_card_open(argv[2], plugin_name, &descriptor, &refusal)) {
		const struct pbx_plugin card = core_card_of(descriptor);

		try_check(&card, &refusal);
	}
	finish(&refusal);
}
