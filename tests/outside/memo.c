/*
 * memo - dial *58 and hear a recording, as a mailbox plays its messages
 *
 * 7 goes back and 9 goes on by step_ms, 0 pauses and goes on, 4 and 6 are softer and louder, while the recording plays. Each key is an event with the
 * place where it was pressed; at the end the caller is hung up. The shortest example of steering what plays. Written against the installed headers
 * alone.
 */
#include <pbx/bus.h>
#include <pbx/calls.h>

#define LOUDER_CDB 600

struct settings {
	const char *file;
	uint32_t step_ms;
};

struct memo {
	PBX_INSTANCE(struct settings);
	const struct pbx_calls *calls;
	const struct pbx_bus *bus;
	const struct pbx_jsons *json;
};

static void tell(const struct memo *memo, pbx_leg leg, char key, const struct pbx_media_state *state)
{
	struct pbx_leg_info info = { .size = sizeof info };
	struct pbx_json *data = memo->json->new_object();

	if (memo->calls->info(leg, &info) != PBX_OK)
		info.call = (pbx_call){ 0 };
	(void)memo->json->set_text(data, "key", (char[]){ key, '\0' });
	(void)memo->json->set_integer(data, "position_ms", state->position_ms);
	(void)memo->json->set_integer(data, "length_ms", state->length_ms);
	(void)memo->json->set_boolean(data, "paused", state->paused);
	(void)memo->bus->publish(memo->host, "memo.steered", info.call, data); /* without memory the log has it */
}

static void on_digit(void *self, pbx_leg leg, char digit, uint32_t duration_ms)
{
	const struct memo *memo = self;
	const struct pbx_calls *calls = memo->calls;
	struct pbx_media_state state = { .size = sizeof state };
	int32_t step_ms = (int32_t)memo->settings->step_ms;

	(void)duration_ms;
	if (calls->media_state(leg, &state) != PBX_OK)
		return; /* it is over */
	tell(memo, leg, digit, &state);
	switch (digit) {
	case '7':
		(void)calls->seek_media(leg, -step_ms);
		break;
	case '9':
		(void)calls->seek_media(leg, step_ms);
		break;
	case '0':
		(void)(state.paused ? calls->resume_media(leg) : calls->pause_media(leg));
		break;
	case '4':
		(void)calls->set_volume(leg, state.gain_cdb - LOUDER_CDB); /* as soft as it gets: it stays so */
		break;
	case '6':
		(void)calls->set_volume(leg, state.gain_cdb + LOUDER_CDB);
		break;
	default:
		break;
	}
}

static void on_answered(void *self, pbx_leg leg)
{
	const struct memo *memo = self;

	if (memo->calls->play(leg, memo->settings->file) != PBX_OK)
		(void)memo->calls->hangup(leg, PBX_CAUSE_FAILURE); /* the file is missing, or the leg has ended */
}

static void on_media_done(void *self, pbx_leg leg)
{
	const struct memo *memo = self;

	(void)memo->calls->hangup(leg, PBX_CAUSE_NORMAL);
}

static const struct pbx_controller controller = {
	.size = sizeof controller,
	.answered = on_answered,
	.digit = on_digit,
	.media_done = on_media_done,
};

static void on_dialled(void *self, pbx_leg leg)
{
	const struct memo *memo = self;
	int err = memo->calls->control(memo->host, leg, &controller, self);

	if (err == PBX_OK)
		err = memo->calls->answer(leg);
	if (err != PBX_OK)
		(void)memo->calls->hangup(leg, PBX_CAUSE_FAILURE);
}

static int memo_start(void *self)
{
	struct memo *memo = self;

	memo->calls = pbx_calls(memo->host);
	memo->bus = pbx_bus(memo->host);
	memo->json = pbx_jsons(memo->host);
	return memo->calls->claim(memo->host, "*58", on_dialled, self);
}

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct settings, file, .least = 1, .initial_text = "beep",
		 .help = "What callers of *58 hear: a prompt, or an absolute path"),
	PBX_UINT(struct settings, step_ms, .initial = 3000, .least = 100, .most = 60000, .unit = "ms", .help = "How far 7 and 9 go"),
};

static const struct pbx_field steered[] = {
	{ "key", PBX_TYPE_TEXT, "What was pressed" },
	{ "position_ms", PBX_TYPE_INT, "Where" },
	{ "length_ms", PBX_TYPE_INT, "Of how much" },
	{ "paused", PBX_TYPE_BOOL, "It was paused" },
};

static const struct pbx_event_type events[] = {
	{ "memo.steered", "Somebody has pressed a key while a recording played", PBX_TABLE(steered) },
};

PBX_PLUGIN(memo)
= {
	PBX_PLUGIN_HEADER,
	.name = "memo",
	.version = "1.0.0",
	.summary = "Dial *58 and hear a recording",
	.needs = PBX_NEEDS("pbx.bus/1", "pbx.calls/1", "pbx.json/1"),
	.instance_size = sizeof(struct memo),
	PBX_SETTINGS(struct settings, settings),
	.events = PBX_TABLE(events),
	.start = memo_start,
};
