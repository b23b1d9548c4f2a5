/*
 * survey - dial *56, hear a question, press a key
 *
 * The question is a setting: free text, spoken by the engine of prompts.speech, in the caller's language. One to five is an answer, at any moment;
 * who presses something else is asked again. What was pressed is an event and a field of the call's record, and the caller hears how many have
 * answered before being hung up.
 * The shortest example of a menu: what a party hears, what it may press, and what becomes of it. Written against the installed headers alone.
 */
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/prompts.h>

struct settings {
	const char *question;
};

struct survey {
	PBX_INSTANCE(struct settings);
	const struct pbx_calls *calls;
	const struct pbx_bus *bus;
	const struct pbx_jsons *json;
	int64_t answers;
};

static void tell(const struct survey *survey, pbx_leg leg, const struct pbx_collected *collected)
{
	struct pbx_leg_info info = { .size = sizeof info };
	struct pbx_json *data = survey->json->new_object();

	if (survey->calls->info(leg, &info) != PBX_OK)
		info.number = "";
	(void)survey->json->set_text(data, "number", info.number);
	(void)survey->json->set_text(data, "keys", collected->keys);
	(void)survey->json->set_integer(data, "reason", collected->reason);
	(void)survey->json->set_integer(data, "wrong", collected->wrong);
	(void)survey->bus->publish(survey->host, "survey.answered", info.call, data); /* without memory the log has it */
	if (collected->reason == PBX_COLLECTED_DONE)
		(void)survey->calls->set_field(survey->host, info.call, "survey",
					       collected->keys); /* the call has ended: nobody to note it for */
}

static void on_typed(void *self, pbx_leg leg, const struct pbx_collected *collected)
{
	struct survey *survey = self;
	const struct pbx_say thanks[] = {
		{ .kind = PBX_SAY_COUNT, .text = "callers", .number = ++survey->answers },
		{ .kind = PBX_SAY_TEXT, .text = "Thank you." },
	};

	tell(survey, leg, collected);
	if (survey->calls->say(leg, thanks, 2) != PBX_OK)
		(void)survey->calls->hangup(leg, PBX_CAUSE_NORMAL); /* it has ended: as good */
}

static void on_answered(void *self, pbx_leg leg)
{
	const struct survey *survey = self;
	const struct pbx_say question = { .kind = PBX_SAY_TEXT, .text = survey->settings->question };
	const struct pbx_collect wish = {
		.size = sizeof wish,
		.prompt = &question,
		.prompt_count = 1,
		.patterns = "[1-5]",
		.tries = 3,
		.done = on_typed,
	};

	if (survey->calls->collect(leg, &wish, self) != PBX_OK)
		(void)survey->calls->hangup(leg, PBX_CAUSE_FAILURE); /* nobody speaks the language, or it has ended */
}

static void on_media_done(void *self, pbx_leg leg)
{
	const struct survey *survey = self;

	(void)survey->calls->hangup(leg, PBX_CAUSE_NORMAL);
}

static const struct pbx_controller controller = { .size = sizeof controller, .answered = on_answered, .media_done = on_media_done };

static void on_dialled(void *self, pbx_leg leg)
{
	const struct survey *survey = self;
	int err = survey->calls->control(survey->host, leg, &controller, self);

	if (err == PBX_OK)
		err = survey->calls->answer(leg);
	if (err != PBX_OK)
		(void)survey->calls->hangup(leg, PBX_CAUSE_FAILURE);
}

static int survey_start(void *self)
{
	struct survey *survey = self;

	survey->calls = pbx_calls(survey->host);
	survey->bus = pbx_bus(survey->host);
	survey->json = pbx_jsons(survey->host);
	return survey->calls->claim(survey->host, "*56", on_dialled, self);
}

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct settings, question, .least = 1, .most = PBX_MOST_TEXT,
		 .initial_text = "How happy are you with this line? Please press a key, from one for not at all, to five for very much.",
		 .help = "What callers of *56 are asked"),
};

static const struct pbx_field answered[] = {
	{ "number", PBX_TYPE_TEXT, "Who was asked" },
	{ "keys", PBX_TYPE_TEXT, "The answer" },
	{ "reason", PBX_TYPE_INT, "How it ended: PBX_COLLECTED_…" },
	{ "wrong", PBX_TYPE_INT, "Answers that were none" },
};

static const struct pbx_event_type events[] = {
	{ "survey.answered", "Somebody has answered the question", PBX_TABLE(answered) },
};

PBX_PLUGIN(survey)
= {
	PBX_PLUGIN_HEADER,
	.name = "survey",
	.version = "1.0.0",
	.summary = "Dial *56 and answer a question",
	.needs = PBX_NEEDS("pbx.bus/1", "pbx.calls/1", "pbx.json/1", "pbx.prompts/1"),
	.instance_size = sizeof(struct survey),
	PBX_SETTINGS(struct settings, settings),
	.events = PBX_TABLE(events),
	.start = survey_start,
};
