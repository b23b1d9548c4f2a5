/*
 * detector - what somebody has asked for, put together
 *
 * Samples are cut into frames of 10 ms; each part that is asked for judges each frame. Evidence that all share (the level, when it was known) is
 * added here.
 */
#include "detect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEVEL_FRAMES 20u /* a fifth of a second */
#define SILENCE_CDB (-10000)

struct rtp_detector {
	struct pbx_detect_spec spec;
	rtp_found_fn found;
	void *context;
	uint64_t now_ms;
	double powers[LEVEL_FRAMES]; /* mean squares of the newest frames */
	uint32_t power_at;

	struct rtp_vad vad;
	struct rtp_cadence cadence;
	struct rtp_machine machine;
	struct rtp_beep beep;
	struct rtp_tones *tones; /* NULL: nobody asks */
	struct rtp_fax_ear *fax; /* likewise */

	uint32_t gathered;
	int16_t frame[RTP_DETECT_FRAME];
};

static void use_defaults(struct pbx_detect_spec *spec)
{
	const struct {
		uint32_t *value, usual;
	} defaults[] = { { &spec->voice_ms, 300 },      { &spec->silence_ms, 2000 },       { &spec->initial_silence_ms, 2500 },
			 { &spec->greeting_ms, 1500 },  { &spec->after_greeting_ms, 800 }, { &spec->total_ms, 5000 },
			 { &spec->least_word_ms, 100 }, { &spec->most_word_ms, 5000 },     { &spec->between_words_ms, 50 },
			 { &spec->most_words, 2 },      { &spec->least_beep_ms, 160 },     { &spec->most_beep_ms, 3000 } };

	for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
		*defaults[i].value = *defaults[i].value ? *defaults[i].value : defaults[i].usual;
	spec->threshold_cdb = spec->threshold_cdb ? spec->threshold_cdb : -4200;
}

int rtp_detector_new(const struct pbx_detect_spec *spec, const char *country, rtp_found_fn found, void *context,
		     struct rtp_detector **ret_detector)
{
	struct rtp_detector *detector = calloc(1, sizeof *detector);
	int err = detector ? PBX_OK : PBX_ENOMEM;

	if (err == PBX_OK && spec->what & PBX_DETECT_TONES)
		err = rtp_tones_new(country, &detector->tones);
	if (err == PBX_OK && spec->what & PBX_DETECT_FAX)
		err = rtp_fax_ear_new(&detector->fax);
	if (err != PBX_OK) {
		rtp_detector_free(detector);
		return err;
	}
	detector->spec = *spec;
	detector->found = found;
	detector->context = context;
	use_defaults(&detector->spec);
	rtp_vad_init(&detector->vad, detector->spec.threshold_cdb);
	detector->cadence.voice_ms = detector->spec.voice_ms;
	detector->cadence.silence_ms = detector->spec.silence_ms;
	detector->machine.spec = &detector->spec;
	detector->beep.least_ms = detector->spec.least_beep_ms;
	detector->beep.most_ms = detector->spec.most_beep_ms;
	*ret_detector = detector;
	return PBX_OK;
}

void rtp_detector_free(struct rtp_detector *detector)
{
	if (!detector)
		return;
	rtp_tones_free(detector->tones);
	rtp_fax_ear_free(detector->fax);
	free(detector);
}

static int32_t level_cdb(const struct rtp_detector *detector)
{
	double sum = 0;

	for (uint32_t i = 0; i < LEVEL_FRAMES; i++)
		sum += detector->powers[i];
	double cdb = sum > 0 ? 1000 * log10(sum / LEVEL_FRAMES / (32768.0 * 32768.0 / 2)) : SILENCE_CDB;

	return cdb < SILENCE_CDB ? SILENCE_CDB : (int32_t)lround(cdb);
}

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

/* From one of the parts. */
static void on_found(void *context, const struct pbx_detected *part)
{
	const struct rtp_detector *detector = context;
	struct pbx_detected detected = *part;

	detected.size = sizeof detected;
	detected.at_ms = detector->now_ms;
	detected.name = text_or_empty(detected.name);
	detected.cause = text_or_empty(detected.cause);
	if (!detected.level_cdb)
		detected.level_cdb = level_cdb(detector);
	detector->found(detector->context, &detected);
}

static double mean_square(const int16_t *frame)
{
	double sum = 0;

	for (uint32_t i = 0; i < RTP_DETECT_FRAME; i++)
		sum += (double)frame[i] * frame[i];
	return sum / RTP_DETECT_FRAME;
}

static void judge(struct rtp_detector *detector)
{
	const int16_t *frame = detector->frame;
	uint32_t what = detector->spec.what;
	double power = mean_square(frame);

	detector->now_ms += RTP_DETECT_FRAME_MS;
	detector->powers[detector->power_at++ % LEVEL_FRAMES] = power;
	if (what & (PBX_DETECT_VOICE | PBX_DETECT_SILENCE | PBX_DETECT_MACHINE)) {
		bool voiced = rtp_vad_hears(&detector->vad, sqrt(power));

		rtp_cadence_step(&detector->cadence, voiced, what, detector->now_ms, on_found, detector);
		if (what & PBX_DETECT_MACHINE)
			rtp_machine_step(&detector->machine, voiced, detector->now_ms, on_found, detector);
	}
	if (what & PBX_DETECT_BEEP)
		rtp_beep_step(&detector->beep, frame, detector->now_ms, on_found, detector);
	if (detector->tones)
		rtp_tones_step(detector->tones, frame, detector->now_ms, on_found, detector);
	if (detector->fax)
		rtp_fax_ear_step(detector->fax, frame, detector->now_ms, on_found, detector);
}

void rtp_detector_feed(struct rtp_detector *detector, const int16_t *samples, uint32_t count)
{
	while (count > 0) {
		uint32_t room = RTP_DETECT_FRAME - detector->gathered, some = room < count ? room : count;

		memcpy(detector->frame + detector->gathered, samples, some * sizeof *samples);
		detector->gathered += some;
		samples += some;
		count -= some;
		if (detector->gathered == RTP_DETECT_FRAME) {
			judge(detector);
			detector->gathered = 0;
		}
	}
}
