/*
 * audio_processing - cleaner speech: less noise, no echo, one loudness, and gains by hand
 *
 * Phones do most of this themselves; what comes from outside or from a bare microphone often has not had it. Which legs, and what,
 * is said by the settings or for one leg by hand. legs.c puts a filter at them (pbx/audio.h), filter.c is what it does, tones.c
 * sees when a leg is a fax after all, requests.c is what people ask.
 */
#include "audio.h"

#define LOOK_EVERY_MS 1000u

#define GAIN(member, text)                                                                                                                 \
	PBX_INT(struct leg_settings, member, .initial = 0, .least = SOUND_LEAST_GAIN_DB, .most = SOUND_MOST_GAIN_DB, .unit = "dB",         \
		.help = text)

#define LIMIT(member, text)                                                                                                                \
	PBX_INT(struct leg_settings, member, .initial = 0, .least = SOUND_LEAST_LIMIT_DBFS, .most = 0, .unit = "dBFS", .help = text)

static const struct pbx_setting leg_rows[] = {
	PBX_TEXT(struct leg_settings, legs, .flags = PBX_SETTING_NEEDED, .least = 1, .most = 80,
		 .help = "Whose sound: an extension or a pattern (1001, 10*, *), or trunk:NAME, trunk:*; the first row that fits counts"),
	PBX_UINT(struct leg_settings, denoise_db, .initial = 15, .least = 0, .most = SOUND_MOST_DENOISE_DB, .unit = "dB",
		 .help = "Noise in what the party says becomes softer by at most so much; 0: it stays"),
	PBX_BOOL(struct leg_settings, agc, .initial = 1, .help = "Bring what the party says to -20 dBFS, by at most 18 dB more or 30 less"),
	PBX_BOOL(struct leg_settings, aec, .initial = 0,
		 .help = "Take out of what the party says what it hears: for analogue gateways and bare speakers, phones do it themselves"),
	PBX_UINT(struct leg_settings, aec_tail_ms, .initial = 128, .least = SOUND_LEAST_TAIL_MS, .most = SOUND_MOST_TAIL_MS, .unit = "ms",
		 .help = "How late an echo may come back, network included"),
	GAIN(gain_in_db, "What the party says is louder by so much"),
	GAIN(gain_out_db, "What the party hears is louder by so much"),
	LIMIT(limit_in_dbfs, "Nothing that the party says is louder than this; 0: full scale"),
	LIMIT(limit_out_dbfs, "Nothing that the party hears is louder than this; 0: full scale"),
};

static const struct pbx_setting settings[] = {
	PBX_OBJECTS(struct audio_settings, processing, .fields = PBX_TABLE(leg_rows), .object_size = sizeof(struct leg_settings),
		    .help = "Legs whose sound is worked on; none: all stays as it comes"),
	PBX_UINT(struct audio_settings, silence_s, .initial = 0, .least = 0, .most = 3600, .unit = "s",
		 .help = "Tell media.silence when such a leg has said nothing for so long while it was spoken to; 0: never"),
};

static const struct pbx_metric metrics[] = {
	[METRIC_LEGS] = { "pbx_audio_legs", PBX_METRIC_GAUGE, "Legs whose sound is worked on", NULL, NULL },
	[METRIC_SPEECH] = { "pbx_audio_speech_dbfs", PBX_METRIC_GAUGE, "Loudness of their speech, on average, before it is changed", NULL,
			    NULL },
	[METRIC_NOISE] = { "pbx_audio_noise_dbfs", PBX_METRIC_GAUGE, "Loudness of the noise behind it, on average", NULL, NULL },
	[METRIC_ERLE] = { "pbx_audio_echo_loss_db", PBX_METRIC_GAUGE, "How much of an echo is taken out, on average", NULL, NULL },
	[METRIC_TALK] = { "pbx_audio_talk_ratio", PBX_METRIC_GAUGE, "Share of the time in which they speak, on average", NULL, NULL },
	[METRIC_DATA] = { "pbx_audio_data_legs", PBX_METRIC_GAUGE, "Legs among them that turned out to be a fax or modem", NULL, NULL },
};

static const struct pbx_field leg_fields[] = {
	{ "leg_id", PBX_TYPE_TEXT, "The leg" },
	{ "denoise_db", PBX_TYPE_INT, "By how much noise is lowered at most; 0: not" },
	{ "agc", PBX_TYPE_BOOL, "Speech is brought to one loudness" },
	{ "aec", PBX_TYPE_BOOL, "Echo is taken out" },
	{ "aec_tail_ms", PBX_TYPE_INT, "How late an echo may come back" },
	{ "gain_in_db", PBX_TYPE_INT, "By how much what it says is louder" },
	{ "gain_out_db", PBX_TYPE_INT, "By how much what it hears is louder" },
	{ "limit_in_dbfs", PBX_TYPE_INT, "Nothing that it says is louder; 0: full scale" },
	{ "limit_out_dbfs", PBX_TYPE_INT, "Nothing that it hears is louder; 0: full scale" },
	{ "muted", PBX_TYPE_BOOL, "Nothing that it says is heard" },
	{ "by_hand", PBX_TYPE_BOOL, "Set for this leg, whatever the settings say" },
	{ "speech_dbfs", PBX_TYPE_NUMBER, "Loudness of its speech; null: it has not spoken" },
	{ "noise_dbfs", PBX_TYPE_NUMBER, "Loudness of the noise behind it" },
	{ "erle_db", PBX_TYPE_NUMBER, "How much of the echo is taken out" },
	{ "agc_gain_db", PBX_TYPE_NUMBER, "By how much the AGC raises it now" },
	{ "talk_ratio", PBX_TYPE_NUMBER, "Share of the time in which it speaks" },
	{ "silent_ms", PBX_TYPE_INT, "How long it has said nothing" },
	{ "data", PBX_TYPE_BOOL, "It is a fax or modem: nothing is done any more" },
};

static const struct pbx_field silence_fields[] = {
	{ "leg_id", PBX_TYPE_TEXT, "The leg" },
	{ "number", PBX_TYPE_TEXT, "Its party" },
	{ "for_ms", PBX_TYPE_INT, "How long it has said nothing" },
};

static const struct pbx_event_type events[] = {
	{ "media.silence", "A party has said nothing for silence_s while it was spoken to", PBX_TABLE(silence_fields) },
};

#define LEG_ARG                                                                                                                            \
	{                                                                                                                                  \
		.name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Id of the leg, as events show it"                 \
	}

static const struct pbx_arg show_args[] = { LEG_ARG };

static const struct pbx_arg set_args[] = {
	LEG_ARG,
	{ .name = "denoise_db",
	  .type = PBX_TYPE_INT,
	  .least = 0,
	  .most = SOUND_MOST_DENOISE_DB,
	  .help = "Lower noise by at most so many dB; 0: not" },
	{ .name = "agc", .type = PBX_TYPE_BOOL, .help = "Bring speech to one loudness" },
	{ .name = "aec", .type = PBX_TYPE_BOOL, .help = "Take echo out" },
	{ .name = "aec_tail_ms",
	  .type = PBX_TYPE_INT,
	  .least = SOUND_LEAST_TAIL_MS,
	  .most = SOUND_MOST_TAIL_MS,
	  .help = "How late an echo may come back, in ms" },
	{ .name = "gain_in_db",
	  .type = PBX_TYPE_INT,
	  .least = SOUND_LEAST_GAIN_DB,
	  .most = SOUND_MOST_GAIN_DB,
	  .help = "Make what it says louder by so many dB" },
	{ .name = "gain_out_db",
	  .type = PBX_TYPE_INT,
	  .least = SOUND_LEAST_GAIN_DB,
	  .most = SOUND_MOST_GAIN_DB,
	  .help = "Make what it hears louder by so many dB" },
	{ .name = "limit_in_dbfs",
	  .type = PBX_TYPE_INT,
	  .least = SOUND_LEAST_LIMIT_DBFS,
	  .most = 0,
	  .help = "Let nothing that it says be louder; 0: full scale" },
	{ .name = "limit_out_dbfs",
	  .type = PBX_TYPE_INT,
	  .least = SOUND_LEAST_LIMIT_DBFS,
	  .most = 0,
	  .help = "Let nothing that it hears be louder; 0: full scale" },
	{ .name = "muted", .type = PBX_TYPE_BOOL, .help = "Let nothing be heard that it says" },
};

static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/media/audio",
	  .handle = audio_on_list,
	  .scope = "media:read",
	  .summary = "Legs whose sound is worked on, and what was measured there",
	  .reply = PBX_TABLE(leg_fields) },
	{ .method = "GET",
	  .path = "/media/legs/{id}/audio",
	  .handle = audio_on_show,
	  .scope = "media:read",
	  .summary = "What is done to a leg's sound, and what was measured there",
	  .args = PBX_TABLE(show_args),
	  .reply = PBX_TABLE(leg_fields) },
	{ .method = "PUT",
	  .path = "/media/legs/{id}/audio",
	  .handle = audio_on_set,
	  .scope = "media:write",
	  .flags = PBX_ROUTE_WRITES,
	  .summary = "Change what is done to a leg's sound, until it ends; what is not given stays",
	  .args = PBX_TABLE(set_args),
	  .reply = PBX_TABLE(leg_fields) },
};

static const struct pbx_command commands[] = {
	{ .words = "audio list",
	  .handle = audio_on_list,
	  .help = "Shows legs whose sound is worked on",
	  .columns = "leg_id,denoise_db,agc,aec,gain_in_db,gain_out_db,muted,speech_dbfs,noise_dbfs,erle_db,data" },
	{ .words = "audio show", .handle = audio_on_show, .help = "Shows what is done to a leg's sound", .args = PBX_TABLE(show_args) },
	{ .words = "audio set",
	  .handle = audio_on_set,
	  .help = "Changes what is done to a leg's sound",
	  .args = PBX_TABLE(set_args),
	  .flags = PBX_ROUTE_WRITES },
};

/* ---- once a second ---- */

struct sums {
	double speech, noise, erle, talk;
	uint32_t legs, speaking, with_echo, data;
};

static void add(struct sums *sums, const struct sound_controls *controls)
{
	uint64_t said_ms = controls->said_ms;

	sums->legs++;
	sums->data += controls->data;
	sums->noise += controls->noise_cdb / 100.0;
	sums->talk += said_ms ? (double)controls->speech_ms / (double)said_ms : 0;
	sums->speaking += controls->speech_cdb != 0;
	sums->speech += controls->speech_cdb / 100.0;
	sums->with_echo += controls->erle_cdb != 0;
	sums->erle += controls->erle_cdb / 100.0;
}

static void set_metric(const struct audio_processing *audio, uint32_t family, double sum, uint32_t count)
{
	(void)audio->metrics->set(audio->host, family, NULL, count ? sum / count : 0);
}

static void on_second(void *self, pbx_timer timer)
{
	struct audio_processing *audio = self;
	struct sums sums = { 0 };

	(void)timer;
	audio_look_for_silence(audio);
	for (const struct party *party = audio->parties; party; party = party->next)
		add(&sums, &party->controls);
	set_metric(audio, METRIC_LEGS, sums.legs, 1);
	set_metric(audio, METRIC_DATA, sums.data, 1);
	set_metric(audio, METRIC_SPEECH, sums.speech, sums.speaking);
	set_metric(audio, METRIC_NOISE, sums.noise, sums.legs);
	set_metric(audio, METRIC_ERLE, sums.erle, sums.with_echo);
	set_metric(audio, METRIC_TALK, sums.talk, sums.legs);
}

/* ---- life ---- */

static int audio_start(void *self)
{
	struct audio_processing *audio = self;
	pbx_subscription subscription;
	pbx_timer timer;

	audio->calls = pbx_calls(audio->host);
	audio->media = pbx_audio(audio->host);
	audio->bus = pbx_bus(audio->host);
	audio->json = pbx_jsons(audio->host);
	audio->requests = pbx_requests(audio->host);
	audio->metrics = pbx_metrics(audio->host);
	audio->timers = pbx_timers(audio->host);
	int err = audio->bus->subscribe(audio->host, "leg.answered", audio_on_leg, audio, &subscription);

	if (err == PBX_OK)
		err = audio->timers->start(audio->host, LOOK_EVERY_MS, LOOK_EVERY_MS, on_second, audio, &timer);
	if (err == PBX_OK)
		audio_settle_all(audio, audio->settings); /* calls that go on over an upgrade */
	return err;
}

static int audio_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	(void)diag;
	audio_settle_all(self, proposed);
	return PBX_OK;
}

/* Filters are taken away behind us; those whose states are still at work are forgotten when the last of them is closed. */
static void audio_stop(void *self)
{
	audio_forget_all(self);
}

PBX_PLUGIN(audio_processing)
= {
	PBX_PLUGIN_HEADER,
	.name = "audio_processing",
	.version = "1.0.0",
	.summary = "Less noise, no echo and one loudness at the legs that need it",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.audio/1", "pbx.bus/1", "pbx.json/1", "pbx.requests/1", "pbx.metrics/1", "pbx.timers/1"),
	.instance_size = sizeof(struct audio_processing),
	PBX_SETTINGS(struct audio_settings, settings),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.start = audio_start,
	.reload = audio_reload,
	.stop = audio_stop,
};
