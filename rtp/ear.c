/*
 * ear - a jitter buffer, a decoder for each codec the party may use, and what is heard in place of what did not come
 *
 * Samples are made a packet at a time, when those of the one before are used up. A lost packet is recovered from its successor, or
 * concealed by the codec, or by the last periods of the voice (voice.h), which also makes frames shorter or longer where the two
 * clocks differ.
 */
#include "ear.h"
#include "comfort.h"
#include "filter.h"
#include "voice.h"

#include <stdlib.h>
#include <string.h>

#define FAILS_MS 1000u  /* so long a party may send what cannot be decoded */
#define HEARD_MS 1000u  /* after that the party has fallen silent */
#define AWAY_US 200000u /* a taker that was away so long does not want what it missed */
#define USUAL_FRAME_MS 20u
#define PIECE_MS 10u /* what a filter takes */
#define MOST_CARRIED (RTP_VOICE_MOST_HZ / 1000 * PIECE_MS)
#define MOST_MADE (RTP_MOST_FRAME_SAMPLES * 3 / 2 + MOST_CARRIED) /* a frame may be lengthened by half */
#define LEAST_NOISE_RMS 3.0f                                      /* -81 dBFS: softer is silence */
#define MOST_NOISE_RMS 330.0f                                     /* -40 dBFS: louder is no background */

/* One codec, and how its samples become another rate's. */
struct hearing {
	struct rtp_coder coder;
	uint8_t type;
	uint32_t failing_ms; /* of payloads that it could not decode, one behind the other */
	struct rtp_resamplers to;
};

struct rtp_ear {
	struct rtp_jitter *jitter;
	uint32_t clock_hz;    /* of what it buffers */
	uint8_t of_type[128]; /* index into codecs, and one more; 0: not heard */
	uint32_t now;         /* the codec that is heard */
	bool begun;
	uint64_t taken_at_us;
	uint32_t missing_ms; /* how long nothing has come */
	struct rtp_voice voice;
	struct rtp_quiet quiet;     /* the noise behind it */
	struct rtp_comfort comfort; /* which is made where nothing comes */
	bool spoken, described;     /* something was decoded; the party has told how its noise sounds */
	bool hushed;                /* and says nothing since */
	struct rtp_filter *filter;  /* the session's */
	uint32_t carried;           /* samples that wait until they are a whole piece */
	int16_t carries[MOST_CARRIED];
	bool meant;                 /* ready is more than silence that was meant */
	uint32_t rate_hz, have, at; /* of ready */
	struct rtp_ear_counts counts;
	uint32_t codec_count;
	struct hearing codecs[RTP_MOST_HEARD];
	int16_t ready[MOST_MADE];
};

/* ---- made and freed ---- [loop] */

static int add_codec(struct rtp_ear *ear, const struct core_stream_config *config, uint32_t at, uint32_t rates,
		     void (*on_leaving)(void *context), void *context)
{
	struct hearing *hearing = &ear->codecs[ear->codec_count];
	int err = rtp_coder_open(&config->codecs[at], false, 0, on_leaving, context, &hearing->coder);

	if (err != PBX_OK)
		return err == PBX_ENOMEM ? err : PBX_OK; /* another one may do */
	ear->codec_count++;
	hearing->type = config->receive_types[at] & 0x7f;
	ear->of_type[hearing->type] = (uint8_t)ear->codec_count;
	return rtp_resamplers_open(&hearing->to, hearing->coder.row.rate_hz, true, rates);
}

static void begin_voice(struct rtp_ear *ear, uint32_t rate_hz)
{
	rtp_voice_init(&ear->voice, rate_hz);
	rtp_quiet_init(&ear->quiet, rate_hz);
	ear->carried = 0;
}

/* Octets of the longest payload that its codecs may bring. */
static uint32_t longest_payload(const struct rtp_ear *ear)
{
	uint32_t longest = 64;

	for (uint32_t i = 0; i < ear->codec_count; i++) {
		const struct pbx_codec *row = &ear->codecs[i].coder.row;
		uint32_t bytes = row->duration ? PBX_CODEC_MOST_BYTES : row->bits_per_s / 8000 * PBX_CODEC_MOST_PTIME_MS;

		longest = bytes > longest ? bytes : longest;
	}
	return longest < PBX_CODEC_MOST_BYTES ? longest : PBX_CODEC_MOST_BYTES;
}

static struct rtp_jitter_settings delays = {
	.enabled = true, .adaptive = true, .initial_length_ms = 50, .min_length_ms = 20, .max_length_ms = 200, .max_drift_ms = 30
};

void rtp_ear_configure(const struct rtp_jitter_settings *settings)
{
	delays = *settings;
}

static int open_jitter(struct rtp_ear *ear)
{
	const struct pbx_codec *row = &ear->codecs[0].coder.row;
	const struct rtp_jitter_config config = { .clock_hz = row->clock_hz,
						  .frame_units = row->clock_hz / 1000 * USUAL_FRAME_MS,
						  .slot_bytes = longest_payload(ear),
						  .initial_ms = delays.enabled ? delays.initial_length_ms : delays.min_length_ms,
						  .least_ms = delays.min_length_ms,
						  .most_ms = delays.max_length_ms,
						  .drift_ms = delays.max_drift_ms,
						  .adaptive = delays.enabled && delays.adaptive };

	ear->clock_hz = row->clock_hz;
	ear->jitter = rtp_jitter_new(&config);
	begin_voice(ear, row->rate_hz);
	rtp_comfort_init(&ear->comfort);
	return ear->jitter ? PBX_OK : PBX_ENOMEM;
}

int rtp_ear_new(const struct core_stream_config *config, uint32_t rates, void (*on_leaving)(void *context), void *context,
		struct rtp_ear **ret_ear)
{
	struct rtp_ear *ear = calloc(1, sizeof *ear);
	int err = ear ? PBX_OK : PBX_ENOMEM;

	rates |= rtp_codecs_rates(config->codecs, config->codec_count); /* the party may turn from one to another amid a packet of ours */
	for (uint32_t i = 0; err == PBX_OK && i < config->codec_count && ear->codec_count < RTP_MOST_HEARD; i++)
		err = add_codec(ear, config, i, rates, on_leaving, context);
	if (err == PBX_OK)
		err = ear->codec_count ? open_jitter(ear) : PBX_ENOTSUP;
	if (err != PBX_OK) {
		rtp_ear_free(ear);
		return err;
	}
	*ret_ear = ear;
	return PBX_OK;
}

void rtp_ear_free(struct rtp_ear *ear)
{
	if (!ear)
		return;
	for (uint32_t i = 0; i < ear->codec_count; i++) {
		rtp_coder_close(&ear->codecs[i].coder);
		rtp_resamplers_close(&ear->codecs[i].to);
	}
	rtp_jitter_free(ear->jitter);
	free(ear);
}

void rtp_ear_go_on(struct rtp_ear *ear)
{
	rtp_jitter_go_on(ear->jitter);
}

const struct rtp_ear_counts *rtp_ear_counts(const struct rtp_ear *ear)
{
	return &ear->counts;
}

const struct rtp_jitter *rtp_ear_jitter(const struct rtp_ear *ear)
{
	return ear->jitter;
}

/* ---- what comes in ---- [media] */

bool rtp_ear_hears(const struct rtp_ear *ear, uint8_t type)
{
	return ear->of_type[type] != 0;
}

void rtp_ear_put(struct rtp_ear *ear, const struct rtp_packet *packet, uint64_t now_us)
{
	if (!rtp_ear_hears(ear, packet->type) || packet->payload_bytes == 0)
		return;
	const struct rtp_coder *coder = &ear->codecs[ear->of_type[packet->type] - 1u].coder;
	uint32_t samples = rtp_codec_duration(&coder->row, coder->original, packet->payload, packet->payload_bytes);

	if (coder->row.clock_hz != ear->clock_hz) {
		ear->clock_hz = coder->row.clock_hz;
		rtp_jitter_restart(ear->jitter, ear->clock_hz, ear->clock_hz / 1000 * USUAL_FRAME_MS);
	}
	rtp_jitter_put(ear->jitter,
		       &(struct rtp_jitter_packet){
			       .ssrc = packet->ssrc,
			       .timestamp = packet->timestamp,
			       .sequence = packet->sequence,
			       .type = packet->type,
			       .kind = RTP_JITTER_AUDIO,
			       .payload = packet->payload,
			       .bytes = packet->payload_bytes,
			       .units = (uint32_t)((uint64_t)samples * coder->row.clock_hz / coder->row.rate_hz),
		       },
		       now_us);
	ear->missing_ms = 0;
	ear->begun = true;
}

void rtp_ear_put_noise(struct rtp_ear *ear, const struct rtp_packet *packet, uint64_t now_us)
{
	const struct rtp_jitter_packet noise = { .ssrc = packet->ssrc,
						 .timestamp = packet->timestamp,
						 .sequence = packet->sequence,
						 .type = packet->type,
						 .kind = RTP_JITTER_QUIET,
						 .payload = packet->payload,
						 .bytes = packet->payload_bytes };

	rtp_jitter_put(ear->jitter, &noise, now_us);
}

void rtp_ear_put_event(struct rtp_ear *ear, const struct rtp_packet *packet, uint64_t now_us)
{
	const struct rtp_jitter_packet event = { .ssrc = packet->ssrc,
						 .timestamp = packet->timestamp,
						 .sequence = packet->sequence,
						 .type = packet->type,
						 .kind = RTP_JITTER_EVENT };

	rtp_jitter_put(ear->jitter, &event, now_us);
}

/* ---- what comes out ---- [media] */

bool rtp_ear_is_heard(const struct rtp_ear *ear)
{
	return ear->begun && (ear->missing_ms < HEARD_MS || ear->hushed);
}

uint32_t rtp_ear_rate(const struct rtp_ear *ear)
{
	return ear->codecs[ear->now].coder.row.rate_hz;
}

/* Samples of the present codec in units of RTP's clock, whole milliseconds and not too many. */
static uint32_t samples_in(const struct rtp_ear *ear, uint32_t units)
{
	uint32_t ms = ear->clock_hz ? (uint32_t)((uint64_t)units * 1000 / ear->clock_hz) : 0;

	return rtp_ear_rate(ear) / 1000 * (ms == 0 ? 1 : ms > PBX_CODEC_MOST_PTIME_MS ? PBX_CODEC_MOST_PTIME_MS : ms);
}

/* As loud as behind the last words: the line is not dead. It begins softly by itself. */
static void make_noise(struct rtp_ear *ear, int16_t *ret_samples, uint32_t count)
{
	float rms = ear->spoken ? ear->quiet.floor_rms : 0;

	if (rms < LEAST_NOISE_RMS)
		rms = 0;
	if (!ear->described)
		rtp_comfort_level(&ear->comfort, rms > MOST_NOISE_RMS ? MOST_NOISE_RMS : rms);
	rtp_comfort_make(&ear->comfort, ret_samples, count);
	rtp_voice_note(&ear->voice, ret_samples, count);
}

static void conceal(struct rtp_ear *ear, int16_t *ret_samples, uint32_t count)
{
	const struct rtp_coder *coder = &ear->codecs[ear->now].coder;
	bool faded = ear->voice.concealed >= rtp_ear_rate(ear) / 1000 * RTP_VOICE_FADED_MS;

	if (faded) {
		make_noise(ear, ret_samples, count);
	} else if (coder->row.conceal && ear->missing_ms < RTP_VOICE_FADED_MS) {
		coder->row.conceal(coder->state, ret_samples, count);
		rtp_voice_note(&ear->voice, ret_samples, count);
	} else {
		rtp_voice_conceal(&ear->voice, ret_samples, count);
	}
}

/* A packet is missing; the one behind it may tell what was in it. */
static uint32_t repair(struct rtp_ear *ear, const struct rtp_jitter_frame *frame, int16_t *ret_samples)
{
	const struct rtp_coder *coder = &ear->codecs[ear->now].coder;
	uint32_t count = samples_in(ear, frame->units);
	int32_t got = 0;

	if (frame->next && coder->row.recover)
		got = coder->row.recover(coder->state, frame->next, frame->next_bytes, ret_samples, count);
	if (got <= 0 || (uint32_t)got > count) {
		rtp_count(&ear->counts.concealed, 1);
		conceal(ear, ret_samples, count);
		return count;
	}
	rtp_count(&ear->counts.recovered, 1);
	rtp_voice_note(&ear->voice, ret_samples, (uint32_t)got);
	return (uint32_t)got;
}

/* Another codec than before: its voice is the same, its rate may be another. */
static void turn_to(struct rtp_ear *ear, uint8_t type)
{
	uint32_t rate_hz = rtp_ear_rate(ear);

	ear->now = ear->of_type[type] - 1u;
	if (rtp_ear_rate(ear) != rate_hz)
		begin_voice(ear, rtp_ear_rate(ear));
}

/* As long as the jitter buffer would like it to be, where that is not heard. */
static uint32_t pace(struct rtp_ear *ear, const struct rtp_jitter_frame *frame, int16_t *samples, uint32_t count)
{
	uint32_t spare = (uint32_t)((uint64_t)frame->spare_units * rtp_ear_rate(ear) / ear->clock_hz), shorter = count;

	if (frame->pace == RTP_JITTER_LENGTHEN)
		return rtp_voice_lengthen(&ear->voice, samples, count, spare);
	if (frame->pace == RTP_JITTER_SHORTEN)
		shorter = rtp_voice_shorten(&ear->voice, samples, count, spare);
	if (shorter < count)
		rtp_jitter_slipped(ear->jitter, (uint32_t)((uint64_t)(count - shorter) * ear->clock_hz / rtp_ear_rate(ear)));
	return shorter;
}

static void note_result(struct rtp_ear *ear, const struct rtp_jitter_frame *frame, bool fails)
{
	struct hearing *hearing = &ear->codecs[ear->now];

	rtp_count(fails ? &ear->counts.undecodable : &ear->counts.decoded, 1);
	hearing->failing_ms = fails ? hearing->failing_ms + samples_in(ear, frame->units) * 1000 / rtp_ear_rate(ear) : 0;
}

static uint32_t decode(struct rtp_ear *ear, const struct rtp_jitter_frame *frame, int16_t *ret_samples)
{
	turn_to(ear, frame->type);
	const struct rtp_coder *coder = &ear->codecs[ear->now].coder;
	uint32_t most = coder->row.rate_hz / 1000 * PBX_CODEC_MOST_PTIME_MS;

	if (frame->begins && coder->row.restart)
		coder->row.restart(coder->state);
	int32_t got = coder->row.decode(coder->state, frame->payload, frame->bytes, ret_samples, most);

	note_result(ear, frame, got < 0 || (uint32_t)got > most);
	if (got <= 0 || (uint32_t)got > most) {
		got = (int32_t)samples_in(ear, frame->units);
		conceal(ear, ret_samples, (uint32_t)got);
		return (uint32_t)got;
	}
	uint32_t count = pace(ear, frame, ret_samples, (uint32_t)got);

	(void)rtp_quiet_note(&ear->quiet, ret_samples, count); /* for its floor */
	ear->spoken = true;
	ear->hushed = false;
	rtp_voice_hear(&ear->voice, ret_samples, count);
	return count;
}

/* The party says how the noise behind it sounds (RFC 3389), and falls silent. */
static uint32_t decode_noise(struct rtp_ear *ear, const struct rtp_jitter_frame *frame, int16_t *ret_samples)
{
	uint32_t count = samples_in(ear, frame->units);

	rtp_comfort_read(&ear->comfort, frame->payload, frame->bytes);
	ear->described = ear->hushed = true;
	make_noise(ear, ret_samples, count);
	return count;
}

/* Whole pieces through the filter; the rest waits for more. How many samples are left of them. */
static uint32_t filter(struct rtp_ear *ear, int16_t *samples, uint32_t count)
{
	uint32_t piece = rtp_ear_rate(ear) / 1000 * PIECE_MS, carried = ear->carried;

	if (!rtp_filter_takes(ear->filter, rtp_ear_rate(ear)))
		return count;
	memmove(samples + carried, samples, count * sizeof *samples);
	memcpy(samples, ear->carries, carried * sizeof *samples);
	count += carried;
	ear->carried = count % piece;
	memcpy(ear->carries, samples + count - ear->carried, ear->carried * sizeof *samples);
	rtp_filter_said(ear->filter, samples, count - ear->carried);
	return count - ear->carried;
}

/* The next packet's worth, at the taker's rate, to be heard at due_us. */
static void make_ready(struct rtp_ear *ear, uint64_t due_us)
{
	int16_t samples[MOST_MADE];
	struct rtp_jitter_frame frame;
	uint32_t count;

	rtp_jitter_get(ear->jitter, due_us + (uint64_t)ear->carried * 1000000 / rtp_ear_rate(ear), &frame);
	ear->meant = frame.what != RTP_JITTER_SILENCE || ear->spoken;
	switch (frame.what) {
	case RTP_JITTER_PLAY:
		count = frame.kind == RTP_JITTER_QUIET ? decode_noise(ear, &frame, samples) : decode(ear, &frame, samples);
		break;
	case RTP_JITTER_LOST:
		count = repair(ear, &frame, samples);
		break;
	case RTP_JITTER_WAIT:
		count = samples_in(ear, frame.units);
		conceal(ear, samples, count);
		break;
	default:
		count = samples_in(ear, frame.units);
		make_noise(ear, samples, count);
		break;
	}
	count = filter(ear, samples, count);
	ear->have = rtp_resample(&ear->codecs[ear->now].to, ear->rate_hz, samples, count, ear->ready, MOST_MADE);
	ear->at = 0;
}

/* Back after a while, or at another rate: what is left of the last packet is no use. */
static void come_back(struct rtp_ear *ear, uint32_t rate_hz, uint64_t now_us)
{
	if (ear->taken_at_us != 0 && now_us - ear->taken_at_us > AWAY_US) {
		rtp_jitter_restart(ear->jitter, ear->clock_hz, ear->clock_hz / 1000 * USUAL_FRAME_MS);
		begin_voice(ear, rtp_ear_rate(ear));
		ear->have = ear->at = 0;
	}
	if (ear->rate_hz != rate_hz)
		ear->have = ear->at = 0;
	ear->rate_hz = rate_hz;
	ear->taken_at_us = now_us;
}

bool rtp_ear_take(struct rtp_ear *ear, uint32_t rate_hz, int16_t *ret_samples, uint32_t count, uint64_t now_us)
{
	bool meant = false;

	come_back(ear, rate_hz, now_us);
	for (uint32_t done = 0; done < count;) {
		if (ear->at == ear->have)
			make_ready(ear, now_us + (uint64_t)done * 1000000 / rate_hz);
		uint32_t left = ear->have - ear->at, some = left < count - done ? left : count - done;

		memcpy(ret_samples + done, ear->ready + ear->at, some * sizeof *ret_samples);
		ear->at += some;
		done += some;
		meant = meant || ear->meant;
	}
	ear->missing_ms += count * 1000 / rate_hz;
	return meant;
}

void rtp_ear_set_filter(struct rtp_ear *ear, struct rtp_filter *to)
{
	ear->filter = to;
	ear->carried = 0;
}

bool rtp_ear_fails(struct rtp_ear *ear, uint8_t *ret_type)
{
	for (uint32_t i = 0; i < ear->codec_count; i++) {
		if (ear->codecs[i].failing_ms < FAILS_MS)
			continue;
		ear->codecs[i].failing_ms = 0;
		*ret_type = ear->codecs[i].type;
		return true;
	}
	return false;
}

void rtp_ear_show(const struct rtp_ear *ear, struct rtp_counters *counters)
{
	struct rtp_jitter_stats stats;

	rtp_jitter_stats(ear->jitter, &stats);
	rtp_write(&counters->concealed_ms, stats.concealed_us / 1000);
	rtp_write(&counters->buffer_target_us, stats.target_us);
	rtp_write(&counters->most_buffer_us, stats.most_delay_us);
}
