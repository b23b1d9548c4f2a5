/*
 * echo_test - hear yourself
 *
 * A user dials *43, listens to an explanation and then to their own voice, to
 * judge line and headset. After limit_ms we hang up, so that a phone left off
 * the hook costs nothing. Every function runs on [loop].
 */
#include <pbx/calls.h>

struct settings {
	uint32_t limit_ms;
};

struct echo_test {
	PBX_INSTANCE(struct settings); /* host, settings: kept current for us */
	const struct pbx_calls *calls;
};

/* The prompt is over: from here the caller hears nobody but themselves. */
static void on_media_done(void *self, pbx_leg leg)
{
	const struct echo_test *echo = self;
	int err = echo->calls->set_timeout(leg, echo->settings->limit_ms);

	if (err == PBX_OK)
		err = echo->calls->echo(leg);
	if (err != PBX_OK)
		(void)echo->calls->hangup(leg, PBX_CAUSE_FAILURE); /* or it is gone: as good */
}

static void on_timeout(void *self, pbx_leg leg)
{
	const struct echo_test *echo = self;

	pbx_info(echo->host, "limit_reached", "limit_ms=%u", echo->settings->limit_ms);
	(void)echo->calls->hangup(leg, PBX_CAUSE_NORMAL); /* or it is gone: as good */
}

static const struct pbx_controller controller = {
	.size = sizeof controller,
	.media_done = on_media_done,
	.timeout = on_timeout,
};

static void on_dial(void *self, pbx_leg leg)
{
	const struct echo_test *echo = self;
	int err = echo->calls->control(echo->host, leg, &controller, self);

	if (err == PBX_OK)
		err = echo->calls->answer(leg);
	if (err == PBX_OK)
		err = echo->calls->play(leg, "echo-test");
	if (err != PBX_OK)
		(void)echo->calls->hangup(leg, PBX_CAUSE_FAILURE); /* or it is gone: as good */
}

/* No stop to match: what is claimed here, the host gives back for us. */
static int echo_start(void *self)
{
	struct echo_test *echo = self;

	echo->calls = pbx_calls(echo->host); /* never NULL, .needs names it */
	return echo->calls->claim(echo->host, "*43", on_dial, echo);
}

static const struct pbx_setting settings[] = {
	PBX_UINT(struct settings, limit_ms, .initial = 300000, .least = 1000, .most = 3600000, .unit = "ms",
		 .help = "Hang up after hearing oneself for so long"),
};

PBX_PLUGIN(echo_test)
= {
	PBX_PLUGIN_HEADER,
	.name = "echo_test",
	.version = "1.0.0",
	.summary = "Dial *43 and hear yourself",
	.needs = PBX_NEEDS("pbx.calls/1"),
	.instance_size = sizeof(struct echo_test),
	PBX_SETTINGS(struct settings, settings),
	.start = echo_start,
};
