/*
 * eavesdropper - what plugins may do beside a call, for test_beside.py
 *
 * *81 listens to its caller for everything that can be detected and tells of it. In a conversation, *5 listens to who typed it, both ways at
 * 16 kHz, and tells after a while which tones there were; *6 lets who typed it hear a second of 1000 Hz over the conversation.
 */
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/detect.h>
#include <pbx/inject.h>
#include <pbx/tap.h>
#include <math.h>
#include <stdlib.h>

#define RATE_HZ 16000u
#define BLOCK 320u
#define SKIPPED 25u /* half a second */

struct eavesdropper {
	PBX_INSTANCE(void);
	const struct pbx_calls *calls;
	const struct pbx_bus *bus;
	const struct pbx_jsons *json;
	const struct pbx_taps *taps;
	const struct pbx_injections *injections;
	const struct pbx_detector *detector;
	/* One tap and one voice at a time. */
	pbx_tap tap;
	struct pbx_tap_reader *reader;
	uint32_t crossings[2], frames, skipped; /* skipped: blocks, while the key was still pressed */
	int16_t before[2];
	pbx_injection voice;
};

/* ---- detections ---- */

static void on_found(void *self, pbx_detection detection, const struct pbx_detected *found)
{
	struct eavesdropper *ear = self;
	struct pbx_json *data = ear->json->new_object();

	(void)detection;
	(void)ear->json->set_text(data, "name", found->name);
	(void)ear->json->set_text(data, "cause", found->cause);
	(void)ear->json->set_integer(data, "what", found->what);
	(void)ear->json->set_integer(data, "began_ms", (int64_t)found->began_ms);
	(void)ear->json->set_integer(data, "at_ms", (int64_t)found->at_ms);
	(void)ear->json->set_integer(data, "for_ms", found->for_ms);
	(void)ear->json->set_integer(data, "hz", found->hz);
	(void)ear->json->set_integer(data, "words", found->words);
	(void)ear->bus->publish(ear->host, "eavesdropper.found", (pbx_call){ 0 }, data);
}

static const struct pbx_controller controller = { .size = sizeof controller };

static void on_dial(void *self, pbx_leg leg)
{
	static const struct pbx_detect_spec spec = { .size = sizeof spec, .what = PBX_DETECT_ALL };
	static const struct pbx_detect_watcher watcher = { .size = sizeof watcher, .found = on_found };
	struct eavesdropper *ear = self;
	pbx_detection detection;
	int err = ear->calls->control(ear->host, leg, &controller, ear);

	if (err == PBX_OK)
		err = ear->calls->answer(leg);
	if (err == PBX_OK)
		err = ear->detector->start(ear->host, leg, &spec, &watcher, ear, &detection);
	if (err != PBX_OK)
		(void)ear->calls->hangup(leg, PBX_CAUSE_FAILURE);
}

/* ---- a tap ---- */

static void tell_tones(struct eavesdropper *ear)
{
	struct pbx_tap_state state = { .size = sizeof state };
	struct pbx_json *data = ear->json->new_object();

	(void)ear->taps->state(ear->tap, &state);
	(void)ear->json->set_integer(data, "says_hz", ear->crossings[0] / 2);
	(void)ear->json->set_integer(data, "hears_hz", ear->crossings[1] / 2);
	(void)ear->json->set_integer(data, "dropped_ms", (int64_t)state.dropped_ms);
	(void)ear->bus->publish(ear->host, "eavesdropper.heard", (pbx_call){ 0 }, data);
}

static void count_crossings(struct eavesdropper *ear, const int16_t *block)
{
	for (uint32_t i = 0; i < 2 * BLOCK && ear->frames < RATE_HZ; i++) {
		ear->crossings[i & 1] += (block[i] < 0) != (ear->before[i & 1] < 0);
		ear->before[i & 1] = block[i];
		ear->frames += i & 1;
	}
}

static void on_ready(void *self, pbx_tap tap)
{
	struct eavesdropper *ear = self;
	int16_t block[2 * BLOCK];
	uint64_t at_us;

	while (ear->frames < RATE_HZ && ear->taps->read(ear->reader, block, &at_us) == PBX_OK)
		if (ear->skipped++ >= SKIPPED)
			count_crossings(ear, block);
	if (ear->frames < RATE_HZ)
		return;
	tell_tones(ear);
	(void)ear->taps->close(tap); /* it is ours */
}

static void on_listen(void *self, pbx_leg leg)
{
	static const struct pbx_tap_spec spec = { .size = sizeof spec, .what = PBX_TAP_APART, .rate_hz = RATE_HZ, .late_ms = 500 };
	static const struct pbx_tap_watcher watcher = { .size = sizeof watcher, .ready = on_ready };
	struct eavesdropper *ear = self;

	ear->frames = ear->skipped = ear->crossings[0] = ear->crossings[1] = 0;
	if (ear->taps->open(ear->host, leg, &spec, &watcher, ear, &ear->tap) == PBX_OK)
		(void)ear->taps->reader(ear->tap, &ear->reader); /* it was just opened */
}

/* ---- a voice ---- */

static void on_drained(void *self, pbx_injection injection)
{
	struct eavesdropper *ear = self;

	(void)ear->bus->publish(ear->host, "eavesdropper.said", (pbx_call){ 0 }, NULL);
	(void)ear->injections->close(injection); /* it is ours */
}

static void on_speak(void *self, pbx_leg leg)
{
	static const struct pbx_inject_spec spec = {
		.size = sizeof spec, .how = PBX_INJECT_OVER, .rate_hz = RATE_HZ, .room_ms = 2000, .under_gain_cdb = -3000
	};
	static const struct pbx_inject_watcher watcher = { .size = sizeof watcher, .drained = on_drained };
	struct eavesdropper *ear = self;
	struct pbx_inject_writer *writer;
	int16_t tone[2 * RATE_HZ];

	for (uint32_t i = 0; i < 2 * RATE_HZ; i++)
		tone[i] = (int16_t)lround(8000 * sin(2 * M_PI * 1000 * i / RATE_HZ));
	if (ear->injections->open(ear->host, leg, &spec, &watcher, ear, &ear->voice) == PBX_OK &&
	    ear->injections->writer(ear->voice, &writer) == PBX_OK)
		(void)ear->injections->write(writer, tone, 2 * RATE_HZ); /* there is room for all of it */
}

static int eavesdropper_start(void *self)
{
	struct eavesdropper *ear = self;

	ear->calls = pbx_calls(ear->host);
	ear->bus = pbx_bus(ear->host);
	ear->json = pbx_jsons(ear->host);
	ear->taps = pbx_taps(ear->host);
	ear->injections = pbx_injections(ear->host);
	ear->detector = pbx_detector(ear->host);
	int err = ear->calls->claim(ear->host, "*81", on_dial, ear);

	if (err == PBX_OK)
		err = ear->calls->keys(ear->host, "*5", on_listen, ear);
	return err == PBX_OK ? ear->calls->keys(ear->host, "*6", on_speak, ear) : err;
}

static const struct pbx_field found_fields[] = {
	{ "name", PBX_TYPE_TEXT, "What was found" },    { "cause", PBX_TYPE_TEXT, "Why" },
	{ "what", PBX_TYPE_INT, "Its kind" },           { "began_ms", PBX_TYPE_INT, "When it began" },
	{ "at_ms", PBX_TYPE_INT, "When it was known" }, { "for_ms", PBX_TYPE_INT, "For how long" },
	{ "hz", PBX_TYPE_INT, "Its frequency" },        { "words", PBX_TYPE_INT, "Words that were heard" },
};
static const struct pbx_field heard_fields[] = {
	{ "says_hz", PBX_TYPE_INT, "The tone of the party" },
	{ "hears_hz", PBX_TYPE_INT, "The tone that is sent to it" },
	{ "dropped_ms", PBX_TYPE_INT, "What was missed" },
};
static const struct pbx_event_type events[] = {
	{ "eavesdropper.found", "Something was detected", PBX_TABLE(found_fields) },
	{ "eavesdropper.heard", "A second was listened to", PBX_TABLE(heard_fields) },
	{ "eavesdropper.said", "All was said", { 0 } },
};

PBX_PLUGIN(eavesdropper)
= {
	PBX_PLUGIN_HEADER,
	.name = "eavesdropper",
	.version = "1.0.0",
	.summary = "Listens and speaks beside calls, for tests",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.bus/1", "pbx.json/1", "pbx.tap/1", "pbx.inject/1", "pbx.detect/1"),
	.instance_size = sizeof(struct eavesdropper),
	.events = PBX_TABLE(events),
	.start = eavesdropper_start,
};
