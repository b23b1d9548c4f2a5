/*
 * bare - a plugin with one thing wrong, or one thing special; the build says which
 *
 * Each .so of the host's tests is made from this file by a few definitions: what is not defined is as it should be.
 */
#include <pbx/build.h>
#include <pbx/json.h>
#include <pbx/timers.h>
#include <signal.h>
#include <unistd.h>

#ifndef MAJOR
#define MAJOR PBX_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR PBX_ABI_MINOR
#endif
#ifndef SYMBOL
#define SYMBOL pbx_plugin
#endif
#ifndef MAGIC
#define MAGIC PBX_MAGIC
#endif
#ifndef INSTANCE_SIZE
#define INSTANCE_SIZE sizeof(struct bare)
#endif

struct bare {
	PBX_INSTANCE(void);
	pbx_timer timer;
};

#if defined SETTINGS_CHECKED
/* Two that fit one another, or not. */
struct range {
	uint32_t first, last;
};

static const struct pbx_setting settings[] = {
	PBX_UINT(struct range, first, .initial = 1, .most = 99, .help = "The lowest number"),
	PBX_UINT(struct range, last, .initial = 9, .most = 99, .help = "The highest number"),
};

static int check_range(const void *proposed, struct pbx_diag *diag)
{
	const struct range *range = proposed;

	if (range->first <= range->last)
		return PBX_OK;
	pbx_diag_set(diag, "first", "%u is beyond last, %u: the lowest number comes first", range->first, range->last);
	return PBX_EINVAL;
}
#define CARD_SETTINGS PBX_SETTINGS(struct range, settings), .settings_check = check_range,
#else
#define CARD_SETTINGS
#endif

#if defined CHECK_CRASHES
static int bare_check(void *self, struct pbx_diag *diag)
{
	(void)self, (void)diag;
	(void)raise(SIGSEGV);
	return PBX_OK;
}
#elif defined CHECK_EXITS
static int bare_check(void *self, struct pbx_diag *diag)
{
	(void)self, (void)diag;
	_exit(3);
}
#elif defined CHECK_HANGS
static int bare_check(void *self, struct pbx_diag *diag)
{
	(void)self, (void)diag;
	while (pause() < 0)
		continue;
	return PBX_OK;
}
#elif defined CHECK_REFUSES
static int bare_check(void *self, struct pbx_diag *diag)
{
	const struct bare *bare = self;

	pbx_error(bare->host, "never_seen", "it is the child's");
	pbx_diag_set(diag, "", "the licence file is missing\n\"ask\" for one");
	return PBX_ENOENT;
}
#else
#define bare_check NULL
#endif

#if defined CRASHES_WHEN_LOADED
static void __attribute__((constructor)) crash(void)
{
	(void)raise(SIGILL);
}
#endif

#if defined TALKS_WHEN_LOADED
/* Says on its standard output what the daemon waits to hear, and leaves. */
static void __attribute__((constructor)) talk(void)
{
	(void)puts("good");
	(void)fflush(NULL);
	_exit(0);
}
#endif

#if defined ASKS
/* For a service that its card does not name. */
static int bare_load(void *self)
{
	const struct bare *bare = self;

	return pbx_jsons(bare->host) ? PBX_OK : PBX_EIO;
}
#elif defined LOAD_FAILS
static int bare_load(void *self)
{
	(void)self;
	return PBX_EIO;
}
#elif defined LOAD_IS_LATE
static void on_timer(void *self, pbx_timer timer)
{
	const struct bare *bare = self;

	(void)timer;
	bare->host->ready(bare->host, READY_RESULT, "the file is damaged");
}

static int bare_load(void *self)
{
	struct bare *bare = self;
	int err = pbx_timers(bare->host)->start(bare->host, LOAD_IS_LATE, 0, on_timer, bare, &bare->timer);

	return err == PBX_OK ? PBX_ELATER : err;
}
#else
#define bare_load NULL
#endif

#if defined START_FAILS
static void on_never(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
	(void)raise(SIGSEGV);
}

static int bare_start(void *self)
{
	struct bare *bare = self;
	int err = pbx_timers(bare->host)->start(bare->host, 1, 1, on_never, bare, &bare->timer);

	if (err == PBX_OK)
		err = bare->host->hold(bare->host, "hold of the dead");
	return err == PBX_OK ? PBX_EPERM : err;
}
#else
#define bare_start NULL
#endif

#if defined UNDEFINED_SYMBOL
extern int nobody_has_this(void);
static void bare_unload(void *self)
{
	(void)self;
	(void)nobody_has_this();
}
#else
#define bare_unload NULL
#endif

/* Tables with one row, of which something is wrong. */
#if !defined ARG_TYPE
#define ARG_TYPE PBX_TYPE_TEXT
#endif
#if defined ROUTE || defined COMMAND
static void on_asked(void *self, pbx_request request)
{
	(void)self, (void)request;
}
static const struct pbx_arg args[] = { { .name = "word", .type = ARG_TYPE, .help = "One" } };
#endif
#if defined ROUTE
static const struct pbx_route routes[] = { { ROUTE, .handle = on_asked, .summary = "Nothing", .args = PBX_TABLE(args) } };
#endif
#if defined COMMAND
static const struct pbx_command commands[] = { { COMMAND, .handle = on_asked, .help = "Nothing", .args = PBX_TABLE(args) } };
#endif
#if defined METRIC
static const struct pbx_metric metrics[] = { { METRIC, .help = "Nothing" } };
#endif
#if defined EVENT
static const struct pbx_event_type events[] = { { .name = EVENT, .help = "Nothing" } };
#endif

/* A longer descriptor than ours: what a later minor of the same family would have. */
struct card {
	struct pbx_plugin plugin;
#if defined LONG_CARD
	void *later[8];
#endif
};

#if !defined BUILD
#define BUILD PBX_BUILD
#endif
#if !defined OFFERS
#define OFFERS NULL
#endif

extern PBX_EXPORT const struct card SYMBOL;
const struct card SYMBOL = {
	.plugin = {
		.header = { MAGIC, MAJOR, MINOR,
#if defined SHORT_CARD
			    (uint32_t)offsetof(struct pbx_plugin, check),
#elif defined TINY_CARD
			    24,
#else
			    (uint32_t)sizeof(struct card),
#endif
			    0 },
		.build = BUILD, .name = NAME, .version = "1.0.0", .summary = "One thing is special",
		.needs = PBX_NEEDS(NEEDS "pbx.timers/1"), .offers = PBX_OFFERS(OFFERS), .instance_size = INSTANCE_SIZE,
#if defined SHORT_CARD
		/* Behind the end of what its header says there is: not to be called. */
		.check = (int (*)(void *, struct pbx_diag *))16, .load = (int (*)(void *))16, .start = (int (*)(void *))16,
#else
		CARD_SETTINGS
		.check = bare_check, .load = bare_load, .start = bare_start, .unload = bare_unload,
#endif
#if defined ROUTE
		.routes = PBX_TABLE(routes),
#endif
#if defined COMMAND
		.commands = PBX_TABLE(commands),
#endif
#if defined METRIC
		.metrics = PBX_TABLE(metrics),
#endif
#if defined EVENT
		.events = PBX_TABLE(events),
#endif
	},
#if defined LONG_CARD
	.later = { (void *)16 },
#endif
};
