/*
 * filter - echo, noise, loudness, in frames of 10 ms
 *
 * In this order: what the party hears is subtracted from what it says (speexdsp's echo canceller), what is left of that and noise are
 * lowered (its preprocessor), speech is brought to one loudness, then the gain that somebody has set, rounded off instead of cut at full
 * scale, and a limit: what is above it is held down from its first sample on, and let go slowly, so that it keeps its shape. The loudness
 * is our own: speexdsp's raises noise of -55 dBFS to -31, because it takes it for very soft speech. Ours listens to speech alone, which
 * is what is well above the floor of the last seconds. A fax or modem ends it all: see tones.c.
 */
#include "filter.h"
#include "tones.h"

#include <math.h>
#include <speex/speex_echo.h>
#include <speex/speex_preprocess.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MS 10u
#define MOST_FRAME 480u    /* 48 kHz */
#define PLAYED_FRAMES 8u   /* what was heard and waits to be compared */
#define KEPT_FRAMES 4u     /* more of them than this: the two ways have slipped */
#define TARGET_DB (-19.0f) /* of speech; with its pauses -20 dBFS */
#define MOST_RAISE_DB 18.0f
#define MOST_LOWER_DB 30.0f
#define RAISE_DB_S 20.0f
#define LOWER_DB_S 40.0f
#define ABOVE_FLOOR_DB 9.0f
#define LEAST_SPEECH_DB (-62.0f)
#define FIRST_FLOOR_DB (-45.0f)
#define FLOOR_RISES_DB_S 2.0f
#define ROUND_FROM 24000.0f /* samples beyond are squeezed */
#define FULL 32767.0f
#define LET_GO_S 0.2f

/* What is speech, and how loud. */
struct level {
	float floor_db, speech_db;
	bool heard, has_speech;
};

struct sound {
	struct sound_controls *controls;
	void *owner;
	uint32_t rate_hz, frame;
	SpeexEchoState *echo;
	SpeexPreprocessState *preprocess;
	struct tones said_tones, heard_tones;
	struct level said, heard;
	float gain_db, erle_db;
	uint32_t echoing_ms; /* an echo may still come */
	uint32_t tail_ms;
	float said_gain, heard_gain; /* what the last frame ended with: factors */
	float said_peak, heard_peak; /* held, for the limit */
	float let_go;                /* of a held peak that is there after a sample */
	uint32_t played_at, played_count;
	int16_t played[PLAYED_FRAMES][MOST_FRAME];
};

/* ---- made and freed ---- */

static bool make_echo(struct sound *sound, const struct sound_wishes *wishes)
{
	int rate_hz = (int)sound->rate_hz;

	sound->echo = speex_echo_state_init((int)sound->frame, (int)(sound->rate_hz / 1000 * wishes->aec_tail_ms));
	return sound->echo && speex_echo_ctl(sound->echo, SPEEX_ECHO_SET_SAMPLING_RATE, &rate_hz) == 0;
}

static bool make_preprocess(struct sound *sound, const struct sound_wishes *wishes)
{
	int on = 1, suppress_db = -(int)wishes->denoise_db; /* "off" would leave what remains of an echo, too: 0 dB does what we mean */

	sound->preprocess = speex_preprocess_state_init((int)sound->frame, (int)sound->rate_hz);
	if (!sound->preprocess)
		return false;
	(void)speex_preprocess_ctl(sound->preprocess, SPEEX_PREPROCESS_SET_DENOISE, &on); /* it knows these requests */
	(void)speex_preprocess_ctl(sound->preprocess, SPEEX_PREPROCESS_SET_NOISE_SUPPRESS, &suppress_db);
	if (sound->echo)
		(void)speex_preprocess_ctl(sound->preprocess, SPEEX_PREPROCESS_SET_ECHO_STATE, sound->echo);
	return true;
}

static struct level level_new(void)
{
	return (struct level){ .floor_db = FIRST_FLOOR_DB, .speech_db = TARGET_DB };
}

struct sound *sound_new(struct sound_controls *controls, const struct sound_wishes *wishes, uint32_t rate_hz)
{
	struct sound *sound = rate_hz >= 8000 && rate_hz <= 48000 ? calloc(1, sizeof *sound) : NULL;

	if (!sound)
		return NULL;
	sound->controls = controls;
	sound->rate_hz = rate_hz;
	sound->frame = rate_hz / 1000 * FRAME_MS;
	sound->said = sound->heard = level_new();
	sound->said_gain = sound->heard_gain = 1;
	sound->tail_ms = wishes->aec_tail_ms;
	sound->let_go = expf(-1 / (LET_GO_S * (float)rate_hz));
	tones_init(&sound->said_tones, rate_hz);
	tones_init(&sound->heard_tones, rate_hz);
	if ((wishes->aec && !make_echo(sound, wishes)) || ((wishes->aec || wishes->denoise_db > 0) && !make_preprocess(sound, wishes))) {
		sound_free(sound);
		return NULL;
	}
	return sound;
}

void sound_free(struct sound *sound)
{
	if (!sound)
		return;
	if (sound->preprocess)
		speex_preprocess_state_destroy(sound->preprocess);
	if (sound->echo)
		speex_echo_state_destroy(sound->echo);
	free(sound);
}

void sound_own(struct sound *sound, void *owner)
{
	sound->owner = owner;
}

void *sound_owner(const struct sound *sound)
{
	return sound->owner;
}

/* ---- levels ---- */

#define note(member, value) atomic_store_explicit(&(member), (value), memory_order_relaxed)
#define wish(member) atomic_load_explicit(&(member), memory_order_relaxed)

static float power_of(const int16_t *samples, uint32_t count)
{
	float power = 1e-3f;

	for (uint32_t i = 0; i < count; i++)
		power += (float)samples[i] * (float)samples[i];
	return power / (float)count;
}

static float db_of(float power)
{
	return 10 * log10f(power) - 90.309f; /* of full scale */
}

/* 10 ms more. True: speech. */
static bool listen(struct level *level, const int16_t *samples, uint32_t count)
{
	float db = db_of(power_of(samples, count));
	bool speech = db > level->floor_db + ABOVE_FLOOR_DB && db > LEAST_SPEECH_DB;

	if (db < level->floor_db || !level->heard)
		level->floor_db += (db - level->floor_db) * 0.2f;
	else
		level->floor_db += FLOOR_RISES_DB_S * FRAME_MS / 1000;
	level->heard = true;
	if (!speech)
		return false;
	/* Loud parts make a voice as loud as it is: quickly up, slowly down. */
	float share = !level->has_speech ? 1 : db > level->speech_db ? 0.05f : 0.008f;

	level->speech_db += (db - level->speech_db) * share;
	level->has_speech = true;
	return true;
}

static void note_speech(struct sound *sound, bool speech)
{
	struct sound_controls *controls = sound->controls;

	note(controls->said_ms, wish(controls->said_ms) + FRAME_MS);
	if (speech) {
		note(controls->speech_ms, wish(controls->speech_ms) + FRAME_MS);
		note(controls->silent_ms, 0u);
		note(controls->unanswered_ms, 0u);
	} else {
		note(controls->silent_ms, wish(controls->silent_ms) + FRAME_MS);
	}
	if (sound->said.has_speech)
		note(controls->speech_cdb, (int32_t)(sound->said.speech_db * 100));
	note(controls->noise_cdb, (int32_t)(sound->said.floor_db * 100));
}

/* ---- gain ---- */

static float factor(float db)
{
	return powf(10, db / 20);
}

static int16_t rounded_off(float sample)
{
	float size = fabsf(sample);

	if (size > ROUND_FROM)
		size = ROUND_FROM + (FULL - ROUND_FROM) * (1 - expf(-(size - ROUND_FROM) / (FULL - ROUND_FROM)));
	return (int16_t)lrintf(sample < 0 ? -size : size);
}

/* From one factor to the next over the frame, so that no step is heard. */
static void amplify(int16_t *samples, uint32_t count, float *now, float wanted)
{
	float from = *now, step = (wanted - from) / (float)count;

	*now = wanted;
	if (from == 1 && wanted == 1)
		return;
	for (uint32_t i = 0; i < count; i++)
		samples[i] = rounded_off((float)samples[i] * (from + step * (float)(i + 1)));
}

/* No sample is beyond the limit; what goes with a loud one, before it is forgotten, is held down as much. */
static void hold_down(const struct sound *sound, int16_t *samples, float *peak, int32_t limit_dbfs)
{
	float most = FULL * factor((float)limit_dbfs);

	if (limit_dbfs >= 0)
		return;
	for (uint32_t i = 0; i < sound->frame; i++) {
		*peak = fmaxf(fabsf((float)samples[i]), *peak * sound->let_go);
		if (*peak > most)
			samples[i] = (int16_t)((float)samples[i] * most / *peak);
	}
}

/* Nearer to what speech of this loudness needs, while somebody speaks. */
static void follow_speech(struct sound *sound, bool speech)
{
	float wanted = fminf(MOST_RAISE_DB, fmaxf(-MOST_LOWER_DB, TARGET_DB - sound->said.speech_db));

	if (!wish(sound->controls->agc))
		sound->gain_db = 0;
	else if (speech)
		sound->gain_db += fminf(RAISE_DB_S * FRAME_MS / 1000, fmaxf(-LOWER_DB_S * FRAME_MS / 1000, wanted - sound->gain_db));
	note(sound->controls->gain_cdb, (int32_t)(sound->gain_db * 100));
}

/* ---- echo ---- */

static const int16_t *next_played(struct sound *sound)
{
	static const int16_t nothing[MOST_FRAME];
	const int16_t *played = sound->played[sound->played_at];

	if (sound->played_count == 0)
		return nothing;
	sound->played_at = (sound->played_at + 1) % PLAYED_FRAMES;
	sound->played_count--;
	return played;
}

static void take_echo_out(struct sound *sound, int16_t *samples)
{
	const int16_t *played = next_played(sound);
	int16_t cleared[MOST_FRAME];

	if (db_of(power_of(played, sound->frame)) > -50)
		sound->echoing_ms = sound->tail_ms;
	else
		sound->echoing_ms -= sound->echoing_ms < FRAME_MS ? sound->echoing_ms : FRAME_MS;
	speex_echo_cancellation(sound->echo, samples, played, cleared);
	memcpy(samples, cleared, sound->frame * sizeof *samples);
}

static void note_echo(struct sound *sound, float before, float after)
{
	if (db_of(before) < -60)
		return; /* nothing came back */
	sound->erle_db += (db_of(before) - db_of(after) - sound->erle_db) * 0.02f;
	note(sound->controls->erle_cdb, (int32_t)(sound->erle_db * 100));
}

static void keep_played(struct sound *sound, const int16_t *samples)
{
	if (sound->played_count == KEPT_FRAMES) {
		sound->played_at = (sound->played_at + 1) % PLAYED_FRAMES;
		sound->played_count--;
	}
	memcpy(sound->played[(sound->played_at + sound->played_count++) % PLAYED_FRAMES], samples, sound->frame * sizeof *samples);
}

/* ---- both ways ---- */

static void said_frame(struct sound *sound, int16_t *samples)
{
	struct sound_controls *controls = sound->controls;
	bool data = tones_note(&sound->said_tones, samples, sound->frame);

	if (data || wish(controls->data)) {
		note(controls->data, true);
		if (wish(controls->muted))
			memset(samples, 0, sound->frame * sizeof *samples);
		return;
	}
	float before = power_of(samples, sound->frame);

	if (sound->echo)
		take_echo_out(sound, samples);
	if (sound->preprocess)
		(void)speex_preprocess_run(sound->preprocess, samples); /* whether it is speech we find ourselves */
	if (sound->echoing_ms > 0)
		note_echo(sound, before, power_of(samples, sound->frame));
	bool speech = listen(&sound->said, samples, sound->frame);

	note_speech(sound, speech);
	follow_speech(sound, speech);
	amplify(samples, sound->frame, &sound->said_gain,
		wish(controls->muted) ? 0 : factor(sound->gain_db + (float)wish(controls->gain_in_db)));
	hold_down(sound, samples, &sound->said_peak, wish(controls->limit_in_dbfs));
}

static void heard_frame(struct sound *sound, int16_t *samples)
{
	struct sound_controls *controls = sound->controls;

	if (tones_note(&sound->heard_tones, samples, sound->frame) || wish(controls->data)) {
		note(controls->data, true);
		return;
	}
	if (listen(&sound->heard, samples, sound->frame))
		note(controls->unanswered_ms, wish(controls->unanswered_ms) + FRAME_MS);
	amplify(samples, sound->frame, &sound->heard_gain, factor((float)wish(controls->gain_out_db)));
	hold_down(sound, samples, &sound->heard_peak, wish(controls->limit_out_dbfs));
	if (sound->echo)
		keep_played(sound, samples);
}

void sound_said(struct sound *sound, int16_t *samples, uint32_t count)
{
	for (uint32_t at = 0; at + sound->frame <= count; at += sound->frame)
		said_frame(sound, samples + at);
}

void sound_heard(struct sound *sound, int16_t *samples, uint32_t count)
{
	for (uint32_t at = 0; at + sound->frame <= count; at += sound->frame)
		heard_frame(sound, samples + at);
}
