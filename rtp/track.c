/*
 * track - a line of samples from packets that come late, twice, in the wrong order or not at all
 *
 * Packets wait until those before them have come, or 120 ms; then they are decoded in order, since most decoders remember. The first packet
 * of a source is put where it arrived; from there on timestamps count. When all packets of five seconds were late (or early), by more than
 * 20 ms, it is the clocks that differ, and the source is moved by as much. Little differences (rounding, up to 5 ms) are left alone.
 */
#include "track.h"
#include "g711.h"

#include <speex/speex_resampler.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WAITING 32u
#define WAIT_US 120000u
#define TOLERANCE_MS 5u
#define CONCEAL_MS 60u     /* speech that goes on longer than this by guessing is none */
#define MOST_EARLY_MS 100  /* further than this from its arrival, a source has begun anew */
#define MOST_LATE_MS 1000  /* … */
#define CLOCK_PACKETS 250u /* five seconds */
#define CLOCK_WRONG_MS 20  /* and how wrong it may be */
#define MOST_PENDING_S 60u /* samples that nobody takes */
#define RESAMPLE_QUALITY 5 /* of 10 */
#define REPEATED_MS 10u    /* of the end of what was heard, where a decoder has no concealment */

struct waiting {
	struct rtp_tap_packet packet;
	struct rtp_speech *voice;
	uint8_t payload[];
};

struct rtp_track {
	uint32_t rate_hz, wait_us;
	uint64_t begins_at_us;

	int16_t *samples; /* from `taken` to `made` */
	size_t size, first;
	uint64_t made, taken;

	struct waiting *waiting[MOST_WAITING]; /* by sequence */
	uint32_t waiting_count;

	struct rtp_speech *voice;           /* of the newest packet; NULL: nothing was heard yet */
	uint32_t ssrc, timestamp, duration; /* of it; duration in units of its clock */
	uint16_t sequence;
	uint32_t anchor_timestamp;
	int64_t anchor; /* the sample where it belongs */
	int64_t least_late;
	uint32_t clocked; /* packets that least_late is of */

	SpeexResamplerState *resampler; /* from voice's rate to ours; NULL: the same */
	uint32_t resampled_hz;
	uint64_t lost_us;
};

/* ---- G.711 ---- */

static int32_t decode_g711(struct rtp_speech *voice, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples)
{
	for (uint32_t i = 0; i < bytes; i++)
		ret_samples[i] = rtp_g711_decode(voice->law, payload[i]);
	return (int32_t)bytes;
}

void rtp_speech_g711(struct rtp_speech *voice, uint32_t law)
{
	*voice = (struct rtp_speech){ .clock_hz = 8000, .rate_hz = 8000, .decode = decode_g711, .law = law };
}

/* ---- the line ---- */

struct rtp_track *rtp_track_new(uint32_t rate_hz, uint64_t begins_at_us)
{
	struct rtp_track *track = calloc(1, sizeof *track);

	if (!track)
		return NULL;
	track->rate_hz = rate_hz;
	track->wait_us = WAIT_US;
	track->begins_at_us = begins_at_us;
	return track;
}

void rtp_track_free(struct rtp_track *track)
{
	if (!track)
		return;
	for (uint32_t i = 0; i < track->waiting_count; i++)
		free(track->waiting[i]);
	if (track->resampler)
		speex_resampler_destroy(track->resampler);
	free(track->samples);
	free(track);
}

void rtp_track_set_wait(struct rtp_track *track, uint32_t wait_us)
{
	track->wait_us = wait_us;
}

static int64_t samples_of_ms(const struct rtp_track *track, int64_t ms)
{
	return ms * track->rate_hz / 1000;
}

static int64_t sample_at(const struct rtp_track *track, uint64_t at_us)
{
	return ((int64_t)at_us - (int64_t)track->begins_at_us) * track->rate_hz / 1000000;
}

/* Room for `count` more at the end; NULL: there is none, or nobody takes them. */
static int16_t *extend(struct rtp_track *track, size_t count)
{
	size_t kept = (size_t)(track->made - track->taken);

	if (kept + count > (size_t)track->rate_hz * MOST_PENDING_S)
		return NULL;
	if (track->first + kept + count > track->size) {
		size_t size = 2 * (kept + count) + track->rate_hz;
		int16_t *samples = malloc(size * sizeof *samples);

		if (!samples)
			return NULL;
		if (kept)
			memcpy(samples, track->samples + track->first, kept * sizeof *samples);
		free(track->samples);
		track->samples = samples;
		track->size = size;
		track->first = 0;
	}
	track->made += count;
	return track->samples + track->first + kept;
}

static void add_silence(struct rtp_track *track, int64_t count)
{
	int16_t *at = count > 0 ? extend(track, (size_t)count) : NULL;

	if (at)
		memset(at, 0, (size_t)count * sizeof *at);
}

/* Samples that belong at `place`. */
static void add_at(struct rtp_track *track, int64_t place, const int16_t *samples, int64_t count)
{
	int64_t missing = place - (int64_t)track->made, tolerance = samples_of_ms(track, TOLERANCE_MS);

	if (missing > tolerance)
		add_silence(track, missing);
	if (missing < -tolerance) { /* it was silent there, and has been taken */
		samples -= missing;
		count += missing;
	}
	int16_t *at = count > 0 ? extend(track, (size_t)count) : NULL;

	if (at)
		memcpy(at, samples, (size_t)count * sizeof *at);
}

/* ---- one packet after the other ---- */

static bool use_rate(struct rtp_track *track, uint32_t rate_hz)
{
	int err = 0;

	if (rate_hz == track->resampled_hz)
		return true;
	if (track->resampler)
		speex_resampler_destroy(track->resampler);
	track->resampler = NULL;
	track->resampled_hz = rate_hz;
	if (rate_hz == track->rate_hz)
		return true;
	track->resampler = speex_resampler_init(1, rate_hz, track->rate_hz, RESAMPLE_QUALITY, &err);
	if (track->resampler)
		(void)speex_resampler_skip_zeros(track->resampler);
	else
		track->resampled_hz = 0;
	return track->resampler != NULL;
}

/* In our rate; more than fit are not made. */
static int64_t resample(struct rtp_track *track, const int16_t *samples, int64_t count, int16_t *ret_samples, size_t size)
{
	spx_uint32_t in = (spx_uint32_t)count, out = (spx_uint32_t)size;

	if (!track->resampler) {
		memcpy(ret_samples, samples, (size_t)count * sizeof *samples);
		return count;
	}
	(void)speex_resampler_process_int(track->resampler, 0, samples, &in, ret_samples, &out);
	return out;
}

static int64_t place_of(const struct rtp_track *track, uint32_t timestamp, uint32_t clock_hz)
{
	return track->anchor + (int64_t)(int32_t)(timestamp - track->anchor_timestamp) * track->rate_hz / clock_hz;
}

static void anchor_at(struct rtp_track *track, const struct rtp_tap_packet *packet)
{
	track->anchor_timestamp = packet->timestamp;
	track->anchor = sample_at(track, packet->at_us);
	track->clocked = 0;
}

/* Is the sender's clock where ours is? */
static void watch_clock(struct rtp_track *track, int64_t late)
{
	int64_t wrong = samples_of_ms(track, CLOCK_WRONG_MS);

	if (track->clocked == 0 || late < track->least_late)
		track->least_late = late;
	if (++track->clocked < CLOCK_PACKETS)
		return;
	track->clocked = 0;
	if (track->least_late > wrong || track->least_late < -wrong)
		track->anchor += track->least_late;
}

/* Where a packet belongs, as its source goes on or begins. */
static int64_t find_place(struct rtp_track *track, const struct waiting *next)
{
	const struct rtp_tap_packet *packet = &next->packet;
	uint32_t clock_hz = next->voice->clock_hz;

	if (!track->voice || packet->ssrc != track->ssrc || clock_hz != track->voice->clock_hz) {
		anchor_at(track, packet);
		return track->anchor;
	}
	int64_t late = sample_at(track, packet->at_us) - place_of(track, packet->timestamp, clock_hz);

	if (late < samples_of_ms(track, -MOST_EARLY_MS) || late > samples_of_ms(track, MOST_LATE_MS))
		anchor_at(track, packet);
	else
		watch_clock(track, late);
	/* Long after the anchor its difference would no longer fit. */
	int64_t place = place_of(track, packet->timestamp, clock_hz);

	track->anchor = place;
	track->anchor_timestamp = packet->timestamp;
	return place;
}

/* The last of what was heard again, softer and softer. */
static int64_t repeat(const struct rtp_track *track, int16_t *ret_samples, int64_t count)
{
	int64_t period = samples_of_ms(track, REPEATED_MS), kept = (int64_t)(track->made - track->taken);

	if (kept < period)
		return 0;
	const int16_t *last = track->samples + track->first + kept - period;

	for (int64_t i = 0; i < count; i++)
		ret_samples[i] = (int16_t)(last[i % period] * (count - i) / count);
	return count;
}

/* `lost` packets before this one did not come: what they would have said is guessed, within limits. */
static void conceal(struct rtp_track *track, const struct rtp_tap_packet *packet, uint32_t lost)
{
	int16_t guessed[RTP_SPEECH_SAMPLES], samples[RTP_SPEECH_SAMPLES];
	struct rtp_speech *voice = track->voice;
	uint32_t gap = packet->timestamp - track->timestamp - track->duration; /* of the sender's clock */
	uint32_t most = lost * track->duration;
	int64_t count;

	if ((int32_t)gap <= 0 || track->duration == 0)
		return;
	gap = gap < most ? gap : most; /* the rest was a pause */
	track->lost_us += (uint64_t)gap * 1000000 / voice->clock_hz;
	if (gap > voice->clock_hz / 1000 * CONCEAL_MS)
		gap = voice->clock_hz / 1000 * CONCEAL_MS;
	int64_t wanted = (int64_t)gap * track->rate_hz / voice->clock_hz;

	if (voice->conceal && use_rate(track, voice->rate_hz)) {
		uint32_t needed = (uint32_t)((uint64_t)gap * voice->rate_hz / voice->clock_hz);
		int32_t got = needed <= RTP_SPEECH_SAMPLES ? voice->conceal(voice, guessed, needed) : 0;

		count = got > 0 ? resample(track, guessed, got, samples, RTP_SPEECH_SAMPLES) : 0;
	} else {
		count = repeat(track, samples, wanted);
	}
	add_at(track, place_of(track, track->timestamp + track->duration, voice->clock_hz), samples, count);
}

static void decode(struct rtp_track *track, const struct waiting *next)
{
	int16_t decoded[RTP_SPEECH_SAMPLES], samples[6 * RTP_SPEECH_SAMPLES];
	const struct rtp_tap_packet *packet = &next->packet;
	struct rtp_speech *voice = next->voice;
	bool goes_on = track->voice == voice && packet->ssrc == track->ssrc;
	uint16_t lost = (uint16_t)(packet->sequence - track->sequence - 1u);

	int64_t place = find_place(track, next);

	if (goes_on && lost > 0 && lost < 100)
		conceal(track, packet, lost);
	int32_t count = voice->decode(voice, next->payload, packet->bytes, decoded);

	if (count > 0 && use_rate(track, voice->rate_hz))
		add_at(track, place, samples, resample(track, decoded, count, samples, sizeof samples / sizeof *samples));
	track->voice = voice;
	track->ssrc = packet->ssrc;
	track->timestamp = packet->timestamp;
	track->sequence = packet->sequence;
	track->duration = count > 0 ? (uint32_t)((uint64_t)(uint32_t)count * voice->clock_hz / voice->rate_hz) : 0;
}

/* ---- in the right order ---- */

static int16_t ahead_of(const struct rtp_tap_packet *packet, const struct rtp_tap_packet *other)
{
	return (int16_t)(packet->sequence - other->sequence);
}

static void use_first(struct rtp_track *track)
{
	struct waiting *first = track->waiting[0];

	track->waiting_count--;
	memmove(track->waiting, track->waiting + 1, track->waiting_count * sizeof track->waiting[0]);
	decode(track, first);
	free(first);
}

/* It follows the newest one, or begins something new. */
static bool is_next(const struct rtp_track *track, const struct rtp_tap_packet *packet)
{
	return !track->voice || packet->ssrc != track->ssrc || packet->sequence == (uint16_t)(track->sequence + 1u);
}

static void use_what_follows(struct rtp_track *track)
{
	while (track->waiting_count > 0 && (track->waiting_count == MOST_WAITING || is_next(track, &track->waiting[0]->packet)))
		use_first(track);
}

/* A source of its own is behind all that came before it. */
static uint32_t find_slot(const struct rtp_track *track, const struct rtp_tap_packet *packet)
{
	uint32_t slot = track->waiting_count;

	while (slot > 0 && track->waiting[slot - 1]->packet.ssrc == packet->ssrc && ahead_of(packet, &track->waiting[slot - 1]->packet) < 0)
		slot--;
	return slot;
}

/* Came before, or too late to be of use. A sequence that jumps far is a new beginning (RFC 3550 A.1). */
static bool is_old(const struct rtp_track *track, const struct rtp_tap_packet *packet)
{
	int16_t ahead = (int16_t)(packet->sequence - track->sequence);

	return track->voice && packet->ssrc == track->ssrc && ahead <= 0 && ahead > -3000;
}

void rtp_track_put(struct rtp_track *track, struct rtp_speech *voice, const struct rtp_tap_packet *packet, const uint8_t *payload)
{
	if (is_old(track, packet))
		return;
	uint32_t slot = find_slot(track, packet);

	if (slot > 0 && track->waiting[slot - 1]->packet.ssrc == packet->ssrc && ahead_of(packet, &track->waiting[slot - 1]->packet) == 0)
		return; /* twice */
	struct waiting *waiting = malloc(sizeof *waiting + packet->bytes);

	if (!waiting)
		return; /* lost, as on any other stretch of the way */
	waiting->packet = *packet;
	waiting->voice = voice;
	memcpy(waiting->payload, payload, packet->bytes);
	memmove(track->waiting + slot + 1, track->waiting + slot, (track->waiting_count - slot) * sizeof track->waiting[0]);
	track->waiting[slot] = waiting;
	track->waiting_count++;
	use_what_follows(track);
}

void rtp_track_pass(struct rtp_track *track, uint64_t until_us)
{
	while (track->waiting_count > 0 && track->waiting[0]->packet.at_us <= until_us + track->wait_us) {
		use_first(track);
		use_what_follows(track);
	}
	add_silence(track, sample_at(track, until_us) - (int64_t)track->made);
}

void rtp_track_take(struct rtp_track *track, int16_t *ret_samples, size_t count)
{
	size_t kept = (size_t)(track->made - track->taken), some = count < kept ? count : kept;

	if (some)
		memcpy(ret_samples, track->samples + track->first, some * sizeof *ret_samples);
	memset(ret_samples + some, 0, (count - some) * sizeof *ret_samples);
	track->first += some;
	track->taken += some;
	if (track->taken == track->made)
		track->first = 0;
}

uint64_t rtp_track_lost_ms(const struct rtp_track *track)
{
	return track->lost_us / 1000;
}
