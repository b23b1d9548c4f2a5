/*
 * playing - the sounds of a play as one: read, paused, gone back and forth in, louder and softer
 *
 * A play stands at a place: a sound of its list, a block of that, a sample. Sent elsewhere it begins anew, or goes on from here, and passes over what
 * lies between; what has not been decoded yet is passed over when it comes. Nothing clicks: a place that is left fades into the next one, a
 * pause fades out and in again, a volume is approached, all within RAMP_SAMPLES.
 */
#include "sound.h"

#include <math.h>
#include <string.h>

#define RAMP_SAMPLES 40u /* narrow: 5 ms */
#define RAMP_STEP ((RTP_PLAY_FULL + (int32_t)RAMP_SAMPLES - 1) / (int32_t)RAMP_SAMPLES)
#define NARROW_KHZ (RTP_NARROW_HZ / 1000u)

/* ---- where it stands ---- */

static void go_to_sound(const struct rtp_play *play, struct rtp_place *place, uint32_t at)
{
	place->sound_at = at;
	place->sound = play->sounds[at];
	place->block = place->sound->first;
	place->block_at = 0;
}

void rtp_play_begin(struct rtp_play *play)
{
	if (play->sound_count)
		go_to_sound(play, &play->place, 0);
	play->skips = rtp_read(&play->at); /* it was sent there while it was being read */
	play->gain = play->paused ? 0 : play->volume;
}

/* At the end of a sound's last block: the next sound of a list, or the same from its beginning. False: that was all. */
static bool continues(const struct rtp_play *play, struct rtp_place *place)
{
	if (place->sound_at + 1 < play->sound_count) {
		go_to_sound(play, place, place->sound_at + 1);
		return true;
	}
	if (!play->repeats || rtp_read(&place->sound->first->used) == 0)
		return false;
	go_to_sound(play, place, place->sound_at);
	return true;
}

static uint32_t less(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The next count narrow samples of a sound, or twice as many wide ones; NULL: they are passed over. Fewer: its end when ret_ended, else the decoder
 * is behind. */
static uint32_t take_samples(const struct rtp_play *play, struct rtp_place *place, bool wide, int16_t *ret_samples, uint32_t count,
			     bool *ret_ended)
{
	uint32_t done = 0;

	*ret_ended = false;
	while (done < count) {
		bool complete = atomic_load_explicit(&place->sound->complete, memory_order_acquire);
		uint32_t used = atomic_load_explicit(&place->block->used, memory_order_acquire);
		uint32_t some = less(used - place->block_at, count - done);

		if (ret_samples && wide)
			memcpy(ret_samples + 2 * done, place->block->wide + 2 * place->block_at, 2 * some * sizeof *ret_samples);
		else if (ret_samples)
			memcpy(ret_samples + done, place->block->narrow + place->block_at, some * sizeof *ret_samples);
		done += some;
		place->block_at += some;
		if (some > 0)
			continue;
		const struct rtp_sound_block *next = atomic_load_explicit(&place->block->next, memory_order_acquire);

		if (!next && !complete)
			break;
		if (next) {
			place->block = next;
			place->block_at = 0;
		} else if (!continues(play, place)) {
			*ret_ended = true;
			break;
		}
	}
	return done;
}

/* ---- steered ---- */

static void seek(struct rtp_play *play, int32_t by_ms)
{
	int64_t at = rtp_read(&play->at), wanted = at + (int64_t)by_ms * NARROW_KHZ;
	uint32_t target = (uint32_t)(wanted < 0 ? 0 : wanted > UINT32_MAX ? UINT32_MAX : wanted);

	rtp_write(&play->at, target);
	if (!play->place.sound)
		return; /* it begins there */
	if (!play->left.sound && play->gain > 0)
		play->left = play->place;
	if (wanted >= at) {
		play->skips += target - (uint32_t)at;
		return;
	}
	go_to_sound(play, &play->place, 0);
	play->skips = target;
}

void rtp_play_steer(struct rtp_play *play, const struct rtp_steer *steer)
{
	switch (steer->how) {
	case CORE_STEER_PAUSE:
		play->paused = true;
		break;
	case CORE_STEER_RESUME:
		play->paused = false;
		break;
	case CORE_STEER_SEEK:
		seek(play, steer->amount);
		break;
	default:
		play->volume = (int32_t)lrintf(RTP_PLAY_FULL * powf(10.0f, (float)steer->amount / 2000.0f));
	}
}

/* ---- heard ---- */

static int16_t limited(int64_t sample)
{
	return (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
}

/* The volume, or none while it is paused, approached sample by sample. */
static void apply_gain(struct rtp_play *play, uint32_t width, int16_t *samples, uint32_t count)
{
	int32_t target = play->paused ? 0 : play->volume, step = (RAMP_STEP + (int32_t)width - 1) / (int32_t)width;

	if (play->gain == RTP_PLAY_FULL && target == RTP_PLAY_FULL)
		return;
	for (uint32_t i = 0; i < count; i++) {
		int32_t lacks = target - play->gain;

		play->gain += lacks > step ? step : lacks < -step ? -step : lacks;
		samples[i] = limited((int64_t)samples[i] * play->gain / RTP_PLAY_FULL);
	}
}

/* What was heard where it comes from sounds for a moment longer, ever softer, and what is heard now ever louder. */
static void fade_from(struct rtp_play *play, uint32_t width, int16_t *samples, uint32_t count)
{
	int16_t before[2 * RAMP_SAMPLES] = { 0 };
	uint32_t fades = less(RAMP_SAMPLES * width, count);
	bool ended;

	if (!play->left.sound)
		return;
	(void)take_samples(play, &play->left, width > 1, before, fades / width, &ended); /* its end may be nearer */
	for (uint32_t i = 0; i < fades; i++)
		samples[i] = (int16_t)(((int32_t)samples[i] * (int32_t)i + before[i] * (int32_t)(fades - i)) / (int32_t)fades);
	play->left.sound = NULL;
}

/* Paused, it goes on for as long as it can still be heard. */
static uint32_t heard_of(const struct rtp_play *play, uint32_t count)
{
	return play->paused ? less((uint32_t)((play->gain + RAMP_STEP - 1) / RAMP_STEP), count) : count;
}

bool rtp_play_take(struct rtp_play *play, uint32_t rate_hz, int16_t *ret_samples, uint32_t count)
{
	uint32_t width = rate_hz / RTP_NARROW_HZ, wanted = heard_of(play, count / width), got = 0;
	bool ended = false;

	if (play->skips > 0)
		play->skips -= take_samples(play, &play->place, false, NULL, play->skips, &ended);
	if (play->skips == 0 && !ended && wanted > 0)
		got = take_samples(play, &play->place, width > 1, ret_samples, wanted, &ended);
	if (got == 0 && ended && !play->left.sound)
		return false;
	memset(ret_samples + width * got, 0, (count - width * got) * sizeof *ret_samples);
	rtp_write(&play->at, rtp_read(&play->at) + got);
	fade_from(play, width, ret_samples, count);
	apply_gain(play, width, ret_samples, count);
	if (play->skips > 0)
		play->gain = 0; /* fades in when it comes */
	return true;
}
