/* core/log.c - which lines are wanted, which are held back, and where they go
 *
 * Everything is under one mutex: a line is written whole, whoever writes it. A line that is not wanted costs one atomic load. */
#include "log.h"
#include "log_internal.h"
#include "loop.h"
#include "owner.h"
#include "timer.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITES 512u /* places in the program that log; two that share a slot share a limit */
#define MOST_A_SECOND 20u
#define MOST_LEVELS 64u
#define RING_LINES 1000u

struct site {
	char owner[32], event[48];
	uint64_t second_us; /* when its present second began */
	uint32_t level, said, suppressed;
};

struct level {
	char owner[64];
	uint32_t level;
	pbx_timer until;
};

static struct {
	pthread_mutex_t lock;
	int fd;     /* stderr, or the file */
	char *file; /* NULL: not a file */
	bool journal, json;
	bool write_failed; /* said once */
	struct site sites[SITES];
	uint32_t held_back; /* sites with something suppressed */
	struct level levels[MOST_LEVELS];
	uint32_t level_count, level;
	uint32_t configured_level;
	pbx_timer level_until;
} log_ = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .level = PBX_LOG_INFO, .configured_level = PBX_LOG_INFO };

static _Atomic(uint32_t) most_wanted = PBX_LOG_INFO; /* the most talkative level of any owner */
static const char *(*call_namer)(pbx_call call);

/* ---- levels ---- */

static const char *const level_names[] = { [PBX_LOG_ERROR] = "error", "warn", "notice", "info", "debug" };

const char *core_level_name(uint32_t level)
{
	return level >= PBX_LOG_ERROR && level <= PBX_LOG_DEBUG ? level_names[level] : "debug";
}

int core_level_parse(const char *name, uint32_t *ret_level)
{
	for (uint32_t level = PBX_LOG_ERROR; level <= PBX_LOG_DEBUG; level++) {
		if (strcmp(level_names[level], name))
			continue;
		*ret_level = level;
		return PBX_OK;
	}
	return PBX_EINVAL;
}

static struct level *find_level(const char *owner)
{
	for (uint32_t i = 0; i < log_.level_count; i++)
		if (!strcmp(log_.levels[i].owner, owner))
			return &log_.levels[i];
	return NULL;
}

bool core_log_wanted(uint32_t level, const char *owner)
{
	if (level > atomic_load_explicit(&most_wanted, memory_order_relaxed))
		return false;
	(void)pthread_mutex_lock(&log_.lock);
	const struct level *own = owner ? find_level(owner) : NULL;
	bool wanted = level <= (own ? own->level : log_.level);
	(void)pthread_mutex_unlock(&log_.lock);
	return wanted;
}

static void find_most_wanted(void)
{
	uint32_t most = log_.level;

	for (uint32_t i = 0; i < log_.level_count; i++)
		if (log_.levels[i].level > most)
			most = log_.levels[i].level;
	atomic_store(&most_wanted, most);
}

static void forget_level(struct level *level)
{
	*level = log_.levels[--log_.level_count];
	log_.levels[log_.level_count] = (struct level){ 0 };
}

/* A level set for a while is over: the owner follows the common one again, and that what was configured. */
static void on_level_over(void *self, pbx_timer timer)
{
	(void)self;
	(void)pthread_mutex_lock(&log_.lock);
	for (uint32_t i = 0; i < log_.level_count; i++)
		if (log_.levels[i].until.id == timer.id)
			forget_level(&log_.levels[i--]);
	if (log_.level_until.id == timer.id)
		log_.level = log_.configured_level;
	find_most_wanted();
	(void)pthread_mutex_unlock(&log_.lock);
}

/* Sets a level under the lock; *ret_until: the timer that would have ended the one before. */
static int set_level(const char *owner, uint32_t level, pbx_timer until, pbx_timer *ret_before)
{
	if (!owner) {
		*ret_before = log_.level_until;
		log_.level = level;
		log_.level_until = until;
		if (!until.id)
			log_.configured_level = level;
		return PBX_OK;
	}

	struct level *own = find_level(owner);
	if (!own && log_.level_count == MOST_LEVELS)
		return PBX_ENOSPC;
	if (!own) {
		own = &log_.levels[log_.level_count++];
		(void)snprintf(own->owner, sizeof own->owner, "%s", owner);
	}
	*ret_before = own->until;
	own->level = level;
	own->until = until;
	return PBX_OK;
}

int core_log_set_level(const char *owner, uint32_t level, uint32_t for_ms)
{
	pbx_timer until = { 0 }, before = { 0 };

	if (level < PBX_LOG_ERROR || level > PBX_LOG_DEBUG)
		return PBX_EINVAL;
	if (for_ms) {
		int err = core_timer_start(core_self(), for_ms, 0, on_level_over, NULL, &until);
		if (err != PBX_OK)
			return err;
	}

	(void)pthread_mutex_lock(&log_.lock);
	int err = set_level(owner, level, until, &before);
	find_most_wanted();
	(void)pthread_mutex_unlock(&log_.lock);

	pbx_timer unneeded = err == PBX_OK ? before : until;
	if (unneeded.id)
		(void)core_timer_stop(unneeded); /* it may have fired */
	return err;
}

/* ---- writing ---- */

/* A full disk is said once on stderr; when lines arrive again, it may be said anew. */
static void on_written(bool failed, int error)
{
	if (failed && !log_.write_failed && log_.file) {
		char text[256];
		int length = snprintf(text, sizeof text, "log_write_failed file=%s error=%s\n", log_.file, strerror(error));
		ssize_t ignored = write(STDERR_FILENO, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);

		(void)ignored; /* then there is nowhere left to say it */
	}
	log_.write_failed = failed;
}

static void write_line(const struct core_log_line *line)
{
	char text[CORE_LOG_MOST_LINE];
	size_t at = 0;

	if (log_.journal)
		at = (size_t)snprintf(text, sizeof text, "<%u>", line->level);
	at += (log_.json ? core_log_json : core_log_text)(line, text + at, sizeof text - at - 1);
	text[at++] = '\n';

	ssize_t written = write(log_.fd, text, at);
	on_written(written != (ssize_t)at, written < 0 ? errno : ENOSPC);
	core_ring_add(line);
}

/* ---- the limit ---- */

static struct site *find_site(const char *owner, const char *event)
{
	uint32_t hash = 2166136261u;

	for (const char *at = owner; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	for (const char *at = event; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	return &log_.sites[hash % SITES];
}

/* Says how often a line was held back, and begins anew. */
static void say_suppressed(struct site *site)
{
	char facts[96];

	if (!site->suppressed)
		return;
	(void)snprintf(facts, sizeof facts, "suppressed=%u", site->suppressed);
	site->suppressed = 0;
	log_.held_back--;
	write_line(&(struct core_log_line){ core_wall_us(), site->level, site->owner, "", site->event, facts });
}

static bool may_say(const char *owner, const char *event, uint32_t level)
{
	struct site *site = find_site(owner, event);
	uint64_t now_us = core_now_us();

	if (now_us - site->second_us >= 1000000) {
		say_suppressed(site);
		site->second_us = now_us;
		site->said = 0;
	}
	if (!site->said) {
		(void)snprintf(site->owner, sizeof site->owner, "%s", owner);
		(void)snprintf(site->event, sizeof site->event, "%s", event);
		site->level = level;
	}
	if (site->said < MOST_A_SECOND) {
		site->said++;
		return true;
	}
	if (!site->suppressed++)
		log_.held_back++;
	return false;
}

/* until_us: sites whose second began before. */
static void flush_sites(uint64_t until_us)
{
	for (uint32_t i = 0; i < SITES && log_.held_back; i++)
		if (log_.sites[i].second_us <= until_us)
			say_suppressed(&log_.sites[i]);
}

void core_log_flush(void)
{
	uint64_t now_us = core_now_us();

	(void)pthread_mutex_lock(&log_.lock);
	if (now_us >= 1000000)
		flush_sites(now_us - 1000000);
	(void)pthread_mutex_unlock(&log_.lock);
}

/* ---- logging ---- */

void core_logv(uint32_t level, const char *owner, const char *call_id, const char *event, const char *format, va_list args)
{
	char facts[CORE_LOG_MOST_FACTS] = "";

	if (!owner)
		owner = core_owner_name(core_current_owner());
	if (!core_log_wanted(level, owner))
		return;
	if (format && vsnprintf(facts, sizeof facts, format, args) < 0)
		facts[0] = '\0';

	(void)pthread_mutex_lock(&log_.lock);
	if (may_say(owner, event, level))
		write_line(&(struct core_log_line){ core_wall_us(), level, owner, call_id ? call_id : "", event, facts });
	(void)pthread_mutex_unlock(&log_.lock);
}

void core_log(uint32_t level, const char *owner, const char *call_id, const char *event, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	core_logv(level, owner, call_id, event, format, args);
	va_end(args);
}

void core_log_set_namer(const char *(*call_id)(pbx_call call))
{
	call_namer = call_id;
}

void core_log_call_id(pbx_call call, char ret_id[32])
{
	const char *id = call.id && call_namer && core_is_loop() ? call_namer(call) : NULL;

	(void)snprintf(ret_id, 32, "%s", id ? id : "");
}

/* ---- where it goes ---- */

static int open_file(const char *file)
{
	return open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static void use_fd(int fd)
{
	if (log_.fd != STDERR_FILENO)
		(void)close(log_.fd); /* each line was written whole: nothing is lost by an error here */
	log_.fd = fd;
	log_.write_failed = false;
}

/* Opens what config names; *ret_file: a copy of the name, NULL for stderr. */
static int open_target(const struct core_log_config *config, struct pbx_diag *diag, char **ret_file, int *ret_fd)
{
	if (strcmp(config->target, "file")) {
		*ret_file = NULL;
		*ret_fd = STDERR_FILENO;
		return PBX_OK;
	}
	if (!config->file || !config->file[0]) {
		pbx_diag_set(diag, "log.file", "log.target is file: log.file must say which");
		return PBX_EINVAL;
	}
	char *file = strdup(config->file);
	int fd = file ? open_file(file) : -1;
	if (fd < 0) {
		pbx_diag_set(diag, "log.file", "%s cannot be opened for writing: %s", config->file, strerror(errno));
		free(file);
		return PBX_EIO;
	}
	*ret_file = file;
	*ret_fd = fd;
	return PBX_OK;
}

int core_log_configure(const struct core_log_config *config, struct pbx_diag *diag)
{
	char *file;
	int fd;
	int err = open_target(config, diag, &file, &fd);

	if (err != PBX_OK)
		return err;
	(void)pthread_mutex_lock(&log_.lock);
	use_fd(fd);
	free(log_.file);
	log_.file = file;
	log_.journal = !strcmp(config->target, "journal");
	log_.json = config->format && !strcmp(config->format, "json");
	if (config->level >= PBX_LOG_ERROR && config->level <= PBX_LOG_DEBUG)
		log_.level = log_.configured_level = config->level;
	find_most_wanted();
	(void)pthread_mutex_unlock(&log_.lock);
	core_ring_resize(config->ring_lines ? config->ring_lines : RING_LINES);
	return PBX_OK;
}

int core_log_reopen(void)
{
	(void)pthread_mutex_lock(&log_.lock);
	int fd = log_.file ? open_file(log_.file) : -1;
	bool reopened = fd >= 0 || !log_.file;
	if (fd >= 0)
		use_fd(fd);
	(void)pthread_mutex_unlock(&log_.lock);
	return reopened ? PBX_OK : PBX_EIO; /* the old file stays in use */
}

int core_log_init(void)
{
	core_ring_resize(RING_LINES);
	return PBX_OK;
}

void core_log_fini(void)
{
	(void)pthread_mutex_lock(&log_.lock);
	flush_sites(UINT64_MAX);
	use_fd(STDERR_FILENO);
	free(log_.file);
	log_.file = NULL;
	log_.journal = log_.json = false;
	memset(log_.sites, 0, sizeof log_.sites);
	memset(log_.levels, 0, sizeof log_.levels);
	log_.level_count = 0;
	log_.level = log_.configured_level = PBX_LOG_INFO;
	find_most_wanted();
	(void)pthread_mutex_unlock(&log_.lock);
	core_ring_fini();
	call_namer = NULL;
}
