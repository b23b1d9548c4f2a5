/*
 * good - a plugin that uses what a plugin can use
 *
 * A service, a setting, a route, commands, a metric, an event, a timer, a hold. `good hold` keeps it from going, `good release` lets it go,
 * `good tell` says which version answers. What it does at the stations of its life it writes, a letter each, to the file its setting names.
 */
#include <pbx/bus.h>
#include <pbx/metrics.h>
#include <pbx/requests.h>
#include <pbx/timers.h>
#include <stdio.h>
#include <string.h>

struct settings {
	const char *greeting, *diary;
	uint32_t every_ms;
};

struct good {
	PBX_INSTANCE(struct settings);
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	struct gift {
		struct pbx_header header;
		void *self;
		const char *(*greeting)(void *self);
	} gift;
	uint32_t ticks, events, followed;
	pbx_subscription follower;
	char name_at_load[64];
};

static void note(const struct good *good, char letter)
{
	FILE *diary = good->settings->diary[0] ? fopen(good->settings->diary, "a") : NULL;

	if (!diary)
		return;
	(void)fprintf(diary, "%c%s ", letter, VERSION);
	(void)fclose(diary);
}

static const char *gift_greeting(void *self)
{
	const struct good *good = self;

	return good->settings->greeting;
}

static void on_tell(void *self, pbx_request request)
{
	const struct good *good = self;
	struct pbx_json *json = good->json->new_object();

	(void)good->json->set_text(json, "version", VERSION);
	(void)good->json->set_text(json, "greeting", good->settings->greeting);
	(void)good->json->set_integer(json, "ticks", good->ticks);
	(void)good->json->set_integer(json, "events", good->events);
	(void)good->json->set_integer(json, "followed", good->followed);
	(void)good->requests->reply(request, 200, json);
}

static void on_hold(void *self, pbx_request request)
{
	const struct good *good = self;

	(void)good->host->hold(good->host, "parked call");
	(void)good->requests->reply(request, 204, NULL);
}

static void on_release(void *self, pbx_request request)
{
	const struct good *good = self;

	(void)good->host->release(good->host, "parked call");
	(void)good->requests->reply(request, 204, NULL);
}

static void on_publish(void *self, pbx_request request)
{
	const struct good *good = self;
	const struct pbx_bus *bus = pbx_bus(good->host);
	int err = bus->publish(good->host, "good.done", (pbx_call){ 0 }, NULL);

	(void)good->requests->reply(request, err == PBX_OK ? 204 : 500, NULL);
}

static void on_tick(void *self, pbx_timer timer)
{
	struct good *good = self;

	(void)timer;
	good->ticks++;
	if (good->ticks == 3 && good->settings->greeting[0] == '!') /* the setting that lets it finish what it holds */
		(void)good->host->release(good->host, "parked call");
}

static void on_event(void *self, const struct pbx_event *event)
{
	struct good *good = self;

	(void)event;
	good->events++;
}

static void on_followed(void *self, const struct pbx_event *event)
{
	struct good *good = self;

	good->followed++;
	(void)pbx_bus(good->host)->acknowledge(good->follower, event->seq);
}

static int good_check(void *self, struct pbx_diag *diag)
{
	const struct good *good = self;

	if (strcmp(good->settings->greeting, "refuse") != 0)
		return PBX_OK;
	pbx_diag_set(diag, "greeting", "a greeting is not to be \"refuse\"");
	return PBX_EINVAL;
}

static int good_load(void *self)
{
	struct good *good = self;

	good->requests = pbx_requests(good->host);
	good->json = pbx_jsons(good->host);
	note(good, 'L');
	return PBX_OK;
}

static int good_start(void *self)
{
	struct good *good = self;
	pbx_timer timer;
	pbx_subscription subscription;

	note(good, 'S');
	int err = pbx_timers(good->host)->start(good->host, good->settings->every_ms, good->settings->every_ms, on_tick, good, &timer);
	if (err == PBX_OK)
		err = pbx_bus(good->host)->subscribe(good->host, "good.*", on_event, good, &subscription);
	if (err == PBX_OK)
		err = pbx_bus(good->host)->follow(good->host, "diary", "good.*", on_followed, good, &good->follower);
	if (err == PBX_OK && !strcmp(good->settings->greeting, VERSION))
		err = PBX_EPERM; /* the setting that makes this version fail to start */
	return err;
}

static int good_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	const struct settings *settings = proposed;
	const struct good *good = self;

	note(good, 'R');
	if (strcmp(settings->greeting, "no") != 0)
		return PBX_OK;
	pbx_diag_set(diag, "greeting", "no is no greeting");
	return PBX_EINVAL;
}

static void good_drain(void *self)
{
	note(self, 'D');
}

static void good_stop(void *self)
{
	note(self, 'X');
}

static void good_unload(void *self)
{
	note(self, 'U');
}

static const void *good_offer(void *self, const char *id)
{
	struct good *good = self;

	if (strcmp(id, "test.gift/1") != 0)
		return NULL;
	good->gift = (struct gift){ .header = PBX_HEADER(struct gift), .self = good, .greeting = gift_greeting };
	return &good->gift;
}

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct settings, greeting, .initial_text = "hello", .help = "What it says"),
	PBX_TEXT(struct settings, diary, .initial_text = "", .help = "Where it notes what it does"),
	PBX_UINT(struct settings, every_ms, .initial = 1000, .least = 1, .most = 10000, .unit = "ms", .help = "How often it ticks"),
};
static const struct pbx_route routes[] = { { "GET", "/good", on_tell, .scope = "good:read", .summary = "Say hello" } };
static const struct pbx_command commands[] = {
	{ "good tell", on_tell, "Say hello" },
	{ "good hold", on_hold, "Be in use" },
	{ "good release", on_release, "Be free again" },
	{ "good publish", on_publish, "Publish an event" },
};
static const struct pbx_metric metrics[] = { { "pbx_good_things", PBX_METRIC_GAUGE, "Good things" } };
static const struct pbx_event_type events[] = { { "good.done", "Something good was done", { NULL, 0, 0 } } };

PBX_PLUGIN(good)
= {
	PBX_PLUGIN_HEADER,
	.name = "good",
	.version = VERSION,
	.summary = "Uses what a plugin can use",
	.needs = PBX_NEEDS("pbx.requests/1", "pbx.json/1", "pbx.timers/1", "pbx.bus/1", "pbx.metrics/1"),
	.offers = PBX_OFFERS("test.gift/1"),
	.instance_size = sizeof(struct good),
	PBX_SETTINGS(struct settings, settings),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.check = good_check,
	.load = good_load,
	.start = good_start,
	.reload = good_reload,
	.drain = good_drain,
	.stop = good_stop,
	.unload = good_unload,
	.offer = good_offer,
};
