/*
 * mixer - the sum of a conference, less oneself
 *
 * The sum is kept in 32 bits, which 65,536 voices at full scale fit into. Up to the knee it is left as it is. What is louder is turned down
 * as a whole, as fast as a ramp and up again slowly, so that two who shout make no third tone; only what is left over in the ramp is
 * bent, by a curve with the same slope at its beginning that never reaches full scale. All who hear the same sum share one gain, so they
 * hear the same samples and one encoding serves them.
 *
 * Every gain (mute, gate, volume) moves along a ramp of 5 ms, so nothing switches with a click. A voice whose gate is closed is no part
 * of the sum: the background noise of ninety-seven listeners stays at their desks, and they share one mix.
 */
#include "mixer.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#define RAMP_MS 5u
#define FULL_SCALE 32768.0
#define GATE_LEAST_MS 3395.0  /* mean square of -55 dBov: nothing softer is speech */
#define GATE_MOST_MS 107374.0 /* of -40 dBov: and everything louder is, whatever the background */
#define GATE_ABOVE_FLOOR 6.31 /* 8 dB */
#define GATE_CLOSES_AT 0.5    /* 3 dB below where it opens */
#define FLOOR_RISES 1.5       /* in a second, 1.8 dB: a background that has become louder is learned in some seconds */
#define OVERTAKE 3.98         /* 6 dB */
#define LOUDNESS_FOLLOWS_MS 100.0
#define RELEASE_MS 1000 /* a limited mix is as much louder again after so long: 9 dB a second */

int32_t rtp_mix_gain(int32_t gain_cdb)
{
	if (gain_cdb > RTP_MIX_MOST_GAIN_CDB)
		gain_cdb = RTP_MIX_MOST_GAIN_CDB;
	return (int32_t)lround(RTP_MIX_UNITY * pow(10.0, gain_cdb / 2000.0));
}

void rtp_mix_voice_init(struct rtp_mix_voice *voice)
{
	*voice = (struct rtp_mix_voice){
		.talks = true,
		.hears = true,
		.talk_gain = RTP_MIX_UNITY,
		.hear_gain = RTP_MIX_UNITY,
		.limit = RTP_MIX_UNITY,
		.level_cdbov = RTP_MIX_SILENT_CDBOV,
		.floor = GATE_LEAST_MS / GATE_ABOVE_FLOOR,
	};
}

/* ---- samples ---- */

static int16_t bend(int32_t value)
{
	const int32_t room = INT16_MAX - RTP_MIX_KNEE;
	int32_t over = (value < 0 ? -value : value) - RTP_MIX_KNEE, bent;

	if (over <= 0)
		return (int16_t)value;
	bent = RTP_MIX_KNEE + (int32_t)((int64_t)room * over / (over + room));
	return (int16_t)(value < 0 ? -bent : bent);
}

static uint32_t ramp_samples(const struct rtp_mixer *mixer)
{
	uint32_t ramp = mixer->rate_hz * RAMP_MS / 1000;

	return ramp < mixer->count ? ramp : mixer->count;
}

static int32_t peak_of(const int32_t *sum, uint32_t count)
{
	int32_t highest = 0, lowest = 0;

	for (uint32_t i = 0; i < count; i++) {
		highest = sum[i] > highest ? sum[i] : highest;
		lowest = sum[i] < lowest ? sum[i] : lowest;
	}
	return highest > -lowest ? highest : -lowest;
}

/* How much a sum with this peak is turned down from now on: at once when it is too loud, else a little less than before. */
static int32_t limit_for(int32_t now, int32_t peak, uint32_t tick_ms)
{
	int32_t wanted = peak > RTP_MIX_KNEE ? (int32_t)((int64_t)RTP_MIX_KNEE * RTP_MIX_UNITY / peak) : RTP_MIX_UNITY;
	int32_t released = now + (now * (int32_t)tick_ms + RELEASE_MS - 1) / RELEASE_MS;

	return wanted < released ? wanted : released;
}

/* 32 bits into 16. limit: the gain so far, and then from now on; UNITY is the usual case. */
static void narrow(const struct rtp_mixer *mixer, const int32_t *sum, int32_t *limit, int16_t *ret_samples)
{
	int32_t before = *limit, now = limit_for(before, peak_of(sum, mixer->count), mixer->tick_ms);
	int32_t ramp = before == now ? 0 : (int32_t)ramp_samples(mixer), i = 0;

	*limit = now;
	for (; i < ramp; i++)
		ret_samples[i] = bend((int32_t)((int64_t)sum[i] * (before + (int64_t)(now - before) * (i + 1) / ramp) / RTP_MIX_UNITY));
	if (now == RTP_MIX_UNITY) {
		for (; i < (int32_t)mixer->count; i++)
			ret_samples[i] = (int16_t)sum[i];
		return;
	}
	for (; i < (int32_t)mixer->count; i++)
		ret_samples[i] = bend((int32_t)((int64_t)sum[i] * now / RTP_MIX_UNITY));
}

/* Samples times a gain that goes from *now to wanted. In place is fine. */
static void amplify(const struct rtp_mixer *mixer, const int16_t *samples, int16_t *ret_samples, int32_t *now, int32_t wanted)
{
	uint32_t ramp = *now == wanted ? 0 : ramp_samples(mixer), i = 0;

	for (; i < ramp; i++) {
		int32_t gain = *now + (int32_t)((int64_t)(wanted - *now) * (int32_t)(i + 1) / (int32_t)ramp);

		ret_samples[i] = bend((int32_t)((int64_t)samples[i] * gain / RTP_MIX_UNITY));
	}
	*now = wanted;
	if (wanted == RTP_MIX_UNITY) {
		memmove(ret_samples + i, samples + i, (mixer->count - i) * sizeof *samples);
		return;
	}
	for (; i < mixer->count; i++)
		ret_samples[i] = bend((int32_t)((int64_t)samples[i] * wanted / RTP_MIX_UNITY));
}

/* ---- what a voice says ---- */

static double mean_square(const int16_t *samples, uint32_t count)
{
	int64_t energy = 0;

	for (uint32_t i = 0; i < count; i++)
		energy += samples[i] * samples[i];
	return (double)energy / count;
}

static int16_t level_of(double power)
{
	double cdbov = power > 0 ? 1000.0 * log10(power / (FULL_SCALE * FULL_SCALE)) : RTP_MIX_SILENT_CDBOV;

	return (int16_t)(cdbov > RTP_MIX_SILENT_CDBOV ? lround(cdbov) : RTP_MIX_SILENT_CDBOV);
}

/* The background follows what is softer at once, and what is louder slowly. */
static void learn_floor(struct rtp_mix_voice *voice, double power, uint32_t tick_ms)
{
	double risen = voice->floor * (1 + (FLOOR_RISES - 1) * tick_ms / 1000.0);

	voice->floor = power < risen ? power : risen;
	if (voice->floor < 1)
		voice->floor = 1;
}

static void judge(struct rtp_mix_voice *voice, double power, uint32_t tick_ms)
{
	double opens = voice->floor * GATE_ABOVE_FLOOR;

	if (opens < GATE_LEAST_MS)
		opens = GATE_LEAST_MS;
	if (opens > GATE_MOST_MS)
		opens = GATE_MOST_MS;
	if (power >= (voice->open ? opens * GATE_CLOSES_AT : opens)) {
		voice->open = true;
		voice->hang_ms = RTP_MIX_HANG_MS;
	} else if (voice->hang_ms > tick_ms) {
		voice->hang_ms -= tick_ms;
	} else {
		voice->open = false;
		voice->hang_ms = 0;
	}
	voice->speaking_ms = voice->open ? voice->speaking_ms + tick_ms : 0;
	voice->loudness += (power - voice->loudness) * (tick_ms / LOUDNESS_FOLLOWS_MS < 1 ? tick_ms / LOUDNESS_FOLLOWS_MS : 1);
	learn_floor(voice, power, tick_ms);
}

/* What breaks off goes on for 5 ms as its own mirror image, turned over and fading: no jump, and no corner either. */
static void continue_broken(const struct rtp_mixer *mixer, const struct rtp_mix_voice *voice, int32_t *onto)
{
	int32_t ramp = (int32_t)ramp_samples(mixer), last = voice->samples[mixer->count - 1];

	for (int32_t i = 0; i + 1 < ramp; i++) {
		int32_t mirrored = 2 * last - voice->samples[(int32_t)mixer->count - 2 - i];

		onto[i] += (int32_t)((int64_t)mirrored * (ramp - i - 1) / ramp);
	}
}

void rtp_mixer_begin(struct rtp_mixer *mixer, uint32_t rate_hz, uint32_t count)
{
	assert(count > 0 && count <= RTP_MIX_MOST_SAMPLES && rate_hz <= RTP_MIX_MOST_HZ);
	mixer->rate_hz = rate_hz;
	mixer->count = count;
	mixer->tick_ms = count * 1000 / rate_hz;
	mixer->sounding = 0;
	mixer->common_made = false;
	if (mixer->limit == 0)
		mixer->limit = RTP_MIX_UNITY;
	mixer->whispers = NULL;
	mixer->loudest = NULL;
	memset(mixer->sum, 0, count * sizeof *mixer->sum);
	if (!mixer->has_tail)
		return;
	memcpy(mixer->sum, mixer->tail, ramp_samples(mixer) * sizeof *mixer->sum);
	memset(mixer->tail, 0, sizeof mixer->tail);
	mixer->has_tail = false;
	mixer->sounding++;
}

static void add(struct rtp_mixer *mixer, const int16_t *samples)
{
	for (uint32_t i = 0; i < mixer->count; i++)
		mixer->sum[i] += samples[i];
	mixer->sounding++;
}

/* Stands for speaker: who speaks to all, and for longer than a cough. */
static void stand(struct rtp_mixer *mixer, struct rtp_mix_voice *voice)
{
	if (!voice->talks || voice->talk_gain == 0 || voice->speaking_ms < RTP_MIX_ONSET_MS)
		return;
	if (!mixer->loudest || voice->loudness > mixer->loudest->loudness)
		mixer->loudest = voice;
}

/* To whom it speaks from now on: all, one, or nobody, for whom it fades out where it was heard. */
static void address(struct rtp_mixer *mixer, struct rtp_mix_voice *voice, bool sounds)
{
	bool was_in_sum = voice->in_sum;

	if (voice->talks || voice->confidant)
		voice->heard_by = voice->talks ? NULL : voice->confidant;
	voice->in_sum = sounds && (voice->talks || (was_in_sum && !voice->heard_by));
	if (was_in_sum && sounds && !voice->in_sum) {
		continue_broken(mixer, voice, mixer->sum);
		mixer->sounding++;
	}
	if (voice->in_sum && !was_in_sum)
		voice->gain_now = 0;
}

void rtp_mixer_put(struct rtp_mixer *mixer, struct rtp_mix_voice *voice, const int16_t *samples)
{
	double power = mean_square(samples, mixer->count);

	judge(voice, power, mixer->tick_ms);
	voice->level_cdbov = level_of(power);
	stand(mixer, voice);

	bool heard = (voice->talks || voice->confidant) && (voice->open || voice->steady);
	int32_t wanted = heard ? voice->talk_gain : 0;
	bool sounds = power > 0 && (wanted != 0 || voice->gain_now != 0);

	address(mixer, voice, sounds);
	if (!sounds) {
		voice->gain_now = wanted;
		return;
	}
	amplify(mixer, samples, voice->samples, &voice->gain_now, wanted);
	if (voice->in_sum) {
		add(mixer, voice->samples);
	} else if (voice->heard_by) {
		voice->next_whisper = mixer->whispers;
		mixer->whispers = voice;
	}
}

void rtp_mixer_put_all(struct rtp_mixer *mixer, const int16_t *samples)
{
	add(mixer, samples);
}

void rtp_mixer_drop(struct rtp_mixer *mixer, struct rtp_mix_voice *voice)
{
	if (voice->in_sum) {
		continue_broken(mixer, voice, mixer->tail);
		mixer->has_tail = true;
	}
	voice->in_sum = false;
	if (mixer->speaker == voice)
		mixer->speaker = NULL;
	if (mixer->rival == voice)
		mixer->rival = NULL;
}

/* ---- what a listener hears ---- */

static void make_common(struct rtp_mixer *mixer)
{
	if (!mixer->common_made)
		narrow(mixer, mixer->sum, &mixer->limit, mixer->common);
	mixer->common_made = true;
}

static bool is_whispered_to(const struct rtp_mixer *mixer, const struct rtp_mix_voice *voice)
{
	for (const struct rtp_mix_voice *from = mixer->whispers; from; from = from->next_whisper)
		if (from->heard_by == voice)
			return true;
	return false;
}

static void make_own(const struct rtp_mixer *mixer, struct rtp_mix_voice *voice, int16_t *ret_samples)
{
	int32_t own[RTP_MIX_MOST_SAMPLES];

	memcpy(own, mixer->sum, mixer->count * sizeof *own);
	for (uint32_t i = 0; voice->in_sum && i < mixer->count; i++)
		own[i] -= voice->samples[i];
	for (const struct rtp_mix_voice *from = mixer->whispers; from; from = from->next_whisper)
		for (uint32_t i = 0; from->heard_by == voice && i < mixer->count; i++)
			own[i] += from->samples[i];
	narrow(mixer, own, &voice->limit, ret_samples);
}

uint32_t rtp_mixer_take(struct rtp_mixer *mixer, struct rtp_mix_voice *voice, int16_t *ret_samples)
{
	bool whispered = mixer->whispers && is_whispered_to(mixer, voice);
	int32_t wanted = voice->hears ? voice->hear_gain : 0;

	if ((mixer->sounding <= voice->in_sum && !whispered) || (wanted == 0 && voice->hear_now == 0)) {
		voice->hear_now = wanted;
		memset(ret_samples, 0, mixer->count * sizeof *ret_samples);
		return RTP_MIX_SILENCE;
	}
	if (voice->in_sum || whispered) {
		make_own(mixer, voice, ret_samples);
	} else {
		make_common(mixer);
		voice->limit = mixer->limit; /* with which it goes on when it speaks */
		memcpy(ret_samples, mixer->common, mixer->count * sizeof *ret_samples);
		if (wanted == RTP_MIX_UNITY && voice->hear_now == RTP_MIX_UNITY)
			return RTP_MIX_COMMON;
	}
	if (wanted != RTP_MIX_UNITY || voice->hear_now != RTP_MIX_UNITY)
		amplify(mixer, ret_samples, ret_samples, &voice->hear_now, wanted);
	return RTP_MIX_OWN;
}

/* ---- who speaks ---- */

bool rtp_mixer_speaker_changed(struct rtp_mixer *mixer)
{
	struct rtp_mix_voice *loudest = mixer->loudest, *speaker = mixer->speaker;

	if (!loudest || loudest == speaker) {
		mixer->rival = NULL;
		return false;
	}
	bool goes_on = speaker && speaker->open && speaker->talks && speaker->talk_gain != 0;

	if (goes_on && loudest->loudness < speaker->loudness * OVERTAKE) {
		mixer->rival = NULL;
		return false;
	}
	mixer->rival_ms = mixer->rival == loudest ? mixer->rival_ms + mixer->tick_ms : mixer->tick_ms;
	mixer->rival = loudest;
	if (goes_on && mixer->rival_ms < RTP_MIX_OVERTAKE_MS)
		return false;
	mixer->speaker = loudest;
	mixer->rival = NULL;
	return true;
}
