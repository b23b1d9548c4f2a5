/*
 * recording - from packets to a file, on the recorder's thread
 *
 * Two tracks, what the party says and what it hears, are brought to the same instant, a third of a second ago, and what is new in both goes
 * into the file: interleaved, mixed, or one of them. Pauses take effect at the very sample, since what they are about is written later than
 * they are asked for. Limits and silence are judged on what is written.
 */
#include "recording.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LATENCY_US 300000u /* how late a packet may be and still find its place */
#define BLOCK_MS 20u
#define MOST_BLOCK 960u /* at 48 kHz */
#define MARK_S 5u
#define SHOWN_MS 100u
#define SILENCE_CDB (-10000)

static void end(struct rtp_recording *recording, uint32_t how, int32_t error)
{
	if (recording->over)
		return;
	recording->over = true;
	recording->result.error = error;
	recording->ended.pause = how;
	rtp_recorder_give_back(&recording->ended);
}

void rtp_recording_open(struct rtp_recording *recording)
{
	bool is_full = recording->least_free_mb && rtp_record_free_mb(recording->path) < recording->least_free_mb;
	int err = is_full ? PBX_ENOSPC
			  : rtp_record_open(recording->path, recording->format, recording->rate_hz, recording->channels, recording->most_ms,
					    &recording->file);

	for (uint32_t i = 0; i < 2 && err == PBX_OK; i++) {
		recording->tracks[i] = rtp_track_new(recording->rate_hz, recording->begins_at_us);
		err = recording->tracks[i] ? PBX_OK : PBX_ENOMEM;
	}
	if (err != PBX_OK)
		end(recording, PBX_RECORDED_FAILED, err);
}

/* ---- what was heard ---- */

static void read_tap(struct rtp_recording *recording)
{
	struct rtp_tap_packet packet;
	uint8_t payload[RTP_TAP_PAYLOAD];

	while (rtp_tap_take(&recording->tap, recording->until, &packet, payload)) {
		struct rtp_speech *voice = rtp_interpreter_voice(&recording->interpreter, &packet);

		if (voice && !recording->over)
			rtp_track_put(recording->tracks[packet.direction], voice, &packet, payload);
	}
}

/* ---- levels ---- */

static double power_of(const int16_t *samples, uint32_t count)
{
	double sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += (double)samples[i] * samples[i];
	return sum;
}

/* Mean square in hundredths of a dB of a full-scale sine's. */
static int32_t cdb_of(double mean_square)
{
	double cdb = mean_square > 0 ? 1000.0 * log10(mean_square / (32768.0 * 32768.0 / 2)) : SILENCE_CDB;

	return cdb < SILENCE_CDB ? SILENCE_CDB : (int32_t)lround(cdb);
}

static void measure(struct rtp_recording *recording, uint32_t channel, const int16_t *samples, uint32_t count)
{
	double power = power_of(samples, count);

	recording->power[channel] += power;
	recording->recent_power[channel] += power;
	for (uint32_t i = 0; i < count; i++) {
		int32_t size = abs(samples[i]);

		recording->peak[channel] = size > recording->peak[channel] ? size : recording->peak[channel];
	}
}

static void show(struct rtp_recording *recording, uint32_t count)
{
	rtp_write(&recording->shown_ms, recording->frames * 1000 / recording->rate_hz);
	recording->recent += count;
	if (recording->recent < (uint64_t)SHOWN_MS * recording->rate_hz / 1000)
		return;
	for (uint32_t i = 0; i < recording->channels; i++) {
		rtp_write(&recording->shown_cdb[i], cdb_of(recording->recent_power[i] / (double)recording->recent));
		recording->recent_power[i] = 0;
	}
	recording->recent = 0;
}

/* ---- into the file ---- */

static int16_t mixed(int16_t a, int16_t b)
{
	int32_t sum = a + b;

	return (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
}

/* One channel or two, as the file has it. */
static void arrange(const struct rtp_recording *recording, const int16_t *says, const int16_t *hears, uint32_t count, int16_t *ret_left,
		    int16_t *ret_right)
{
	bool swapped = recording->flags & PBX_RECORD_SWAPPED;

	for (uint32_t i = 0; i < count; i++) {
		if (recording->channels == 1) {
			ret_left[i] = recording->what == PBX_RECORD_SAYS ? says[i] : mixed(says[i], hears[i]);
		} else {
			ret_left[i] = swapped ? hears[i] : says[i];
			ret_right[i] = swapped ? says[i] : hears[i];
		}
	}
}

static void write_block(struct rtp_recording *recording, const int16_t *says, const int16_t *hears, uint32_t count)
{
	int16_t channels[2][MOST_BLOCK], both[2 * MOST_BLOCK];
	int err;

	arrange(recording, says, hears, count, channels[0], channels[1]);
	for (uint32_t channel = 0; channel < recording->channels; channel++) {
		measure(recording, channel, channels[channel], count);
		for (uint32_t i = 0; i < count; i++)
			both[i * recording->channels + channel] = channels[channel][i];
	}
	err = rtp_record_write(recording->file, both, count);
	if (err != PBX_OK) {
		end(recording, err == PBX_ENOSPC ? PBX_RECORDED_DISK_FULL : PBX_RECORDED_FAILED, err);
		return;
	}
	recording->frames += count;
	show(recording, count);
	if (recording->frames - recording->marked_at >= (uint64_t)MARK_S * recording->rate_hz) {
		recording->marked_at = recording->frames;
		rtp_record_mark(recording->file);
	}
}

static void look_for_silence(struct rtp_recording *recording, const int16_t *says, uint32_t count)
{
	bool is_silent = power_of(says, count) < recording->silence_power * count;

	recording->silent_frames = is_silent ? recording->silent_frames + count : 0;
	if (recording->silence_ms && recording->silent_frames >= (uint64_t)recording->silence_ms * recording->rate_hz / 1000)
		end(recording, PBX_RECORDED_SILENCE, PBX_OK);
}

/* At most so many until a limit or a pause needs to be looked at. */
static uint32_t block_size(const struct rtp_recording *recording, uint64_t until)
{
	uint64_t count = until - recording->at, most = (uint64_t)BLOCK_MS * recording->rate_hz / 1000;
	uint64_t limit = (uint64_t)recording->most_ms * recording->rate_hz / 1000;

	count = count < most ? count : most;
	if (limit && limit - recording->frames < count)
		count = limit - recording->frames;
	return (uint32_t)count;
}

static void use_block(struct rtp_recording *recording, uint32_t count)
{
	int16_t says[MOST_BLOCK], hears[MOST_BLOCK];

	rtp_track_take(recording->tracks[RTP_SAYS], says, count);
	rtp_track_take(recording->tracks[RTP_HEARS], hears, count);
	recording->at += count;
	if (recording->masked)
		memset(says, 0, sizeof says);
	if (recording->pause) {
		recording->paused_frames += count;
		memset(says, 0, sizeof says);
		memset(hears, 0, sizeof hears);
	} else {
		look_for_silence(recording, says, count);
	}
	if (recording->pause != PBX_PAUSE_CUT)
		write_block(recording, says, hears, count);
	if (recording->most_ms && recording->frames >= (uint64_t)recording->most_ms * recording->rate_hz / 1000)
		end(recording, PBX_RECORDED_LIMIT, PBX_OK);
}

static uint64_t sample_at(const struct rtp_recording *recording, uint64_t at_us)
{
	return at_us > recording->begins_at_us ? (at_us - recording->begins_at_us) * recording->rate_hz / 1000000 : 0;
}

static void write_samples(struct rtp_recording *recording, uint64_t until)
{
	while (recording->at < until && !recording->over)
		use_block(recording, block_size(recording, until));
}

/* ---- pauses ---- */

static uint64_t ms_of(const struct rtp_recording *recording, uint64_t frames)
{
	return frames * 1000 / recording->rate_hz;
}

/* pause: PBX_PAUSE_…, 0: it goes on. */
static void set_pause(struct rtp_recording *recording, uint32_t pause)
{
	if (recording->pause && recording->mark_count < PBX_RECORD_MOST_MARKS) {
		uint64_t paused = recording->paused_frames - recording->paused_at;
		uint64_t begun = recording->frames - (recording->pause == PBX_PAUSE_SILENCE ? paused : 0);

		recording->marks[recording->mark_count++] = (struct pbx_record_mark){ .at_ms = ms_of(recording, begun),
										      .for_ms = ms_of(recording, paused),
										      .how = recording->pause };
	}
	recording->pause = pause;
	recording->paused_at = recording->paused_frames;
}

static void take_turn(struct rtp_recording *recording, struct rtp_record_command *turn)
{
	if (turn->command.kind == RTP_RECORD_MASK)
		recording->masked = turn->pause;
	else
		set_pause(recording, turn->pause);
	recording->turns = turn->next;
	rtp_recorder_give_back(turn);
}

/* From turn to turn. */
static void write_until(struct rtp_recording *recording, uint64_t at_us)
{
	rtp_track_pass(recording->tracks[RTP_SAYS], at_us);
	rtp_track_pass(recording->tracks[RTP_HEARS], at_us);
	while (recording->turns && recording->turns->at_us <= at_us) {
		write_samples(recording, sample_at(recording, recording->turns->at_us));
		take_turn(recording, recording->turns);
	}
	write_samples(recording, sample_at(recording, at_us));
}

void rtp_recording_step(struct rtp_recording *recording, uint64_t now_us)
{
	read_tap(recording);
	if (!recording->over && now_us > recording->begins_at_us + LATENCY_US)
		write_until(recording, now_us - LATENCY_US);
}

/* ---- the end ---- */

static void sum_up(struct rtp_recording *recording)
{
	struct pbx_record_result *result = &recording->result;
	uint64_t lost_ms = 0;

	for (uint32_t i = 0; i < 2; i++) {
		lost_ms += recording->tracks[i] ? rtp_track_lost_ms(recording->tracks[i]) : 0;
		result->mean_cdb[i] = recording->frames ? cdb_of(recording->power[i] / (double)recording->frames) : SILENCE_CDB;
		result->peak_cdb[i] = cdb_of((double)recording->peak[i] * recording->peak[i] / 2);
	}
	result->path = recording->path;
	result->rate_hz = recording->rate_hz;
	result->channels = recording->channels;
	result->duration_ms = ms_of(recording, recording->frames);
	result->paused_ms = ms_of(recording, recording->paused_frames);
	result->marks = recording->marks;
	result->mark_count = recording->mark_count;
	result->gaps_ms = lost_ms;
}

void rtp_recording_finish(struct rtp_recording *recording, uint64_t at_us)
{
	int err = PBX_OK;

	recording->until = rtp_tap_written(&recording->tap);
	read_tap(recording);
	if (!recording->over)
		write_until(recording, at_us);
	while (recording->turns)
		take_turn(recording, recording->turns);
	set_pause(recording, 0);
	sum_up(recording);
	if (recording->file)
		err = rtp_record_close(recording->file, recording->marks, recording->mark_count, &recording->result.size_bytes);
	recording->file = NULL;
	if (err != PBX_OK && recording->result.error == PBX_OK)
		recording->result.error = err;
	rtp_track_free(recording->tracks[RTP_SAYS]);
	rtp_track_free(recording->tracks[RTP_HEARS]);
	rtp_interpreter_forget(&recording->interpreter);
}
