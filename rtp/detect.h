/* rtp/detect.h - detectors: samples at 8 kHz go in, what they mean comes out
 *
 * Each knows nothing of legs, threads or the clock of the wall: time is how many samples there were. rtp_detector puts those together that a
 * plugin has asked for (pbx/detect.h). One thread at a time; made and freed anywhere. */
#pragma once
#include <pbx/detect.h>

#define RTP_DETECT_HZ 8000u
#define RTP_DETECT_FRAME 80u /* 10 ms: what is judged at once */
#define RTP_DETECT_FRAME_MS 10u

/* Written by the detector, but for size and at_ms. */
typedef void (*rtp_found_fn)(void *context, const struct pbx_detected *found);

/* ---- detector.c: all together ---- */

struct rtp_detector;

/* spec has today's size and no zeros where those mean something; country: of the tones. PBX_OK, PBX_EINVAL (no tones of that country), PBX_ENOMEM. */
int rtp_detector_new(const struct pbx_detect_spec *spec, const char *country, rtp_found_fn found, void *context,
		     struct rtp_detector **ret_detector);
void rtp_detector_free(struct rtp_detector *detector); /* NULL is fine */
void rtp_detector_feed(struct rtp_detector *detector, const int16_t *samples, uint32_t count);

/* ---- its parts: a frame of RTP_DETECT_FRAME samples, at the time of its end ---- */

/* detect_voice.c: is this voice, or background? */
struct rtp_vad {
	double least, floor_rms; /* rms */
};
void rtp_vad_init(struct rtp_vad *vad, int32_t threshold_cdb);
bool rtp_vad_hears(struct rtp_vad *vad, double rms);

struct rtp_cadence {
	uint32_t voice_ms, silence_ms; /* what is asked for */
	uint32_t voiced_ms, quiet_ms;
	bool told_voice, told_silence;
};
void rtp_cadence_step(struct rtp_cadence *cadence, bool voiced, uint32_t what, uint64_t now_ms, rtp_found_fn found, void *context);

/* detect_machine.c */
struct rtp_machine {
	const struct pbx_detect_spec *spec;
	bool decided, begun, in_word;
	uint64_t began_ms;
	uint32_t total_ms, voiced_ms, quiet_ms, words, initial_silence_ms, greeting_ms;
};
void rtp_machine_step(struct rtp_machine *machine, bool voiced, uint64_t now_ms, rtp_found_fn found, void *context);

/* detect_beep.c */
#define RTP_BEEP_WINDOW (3u * RTP_DETECT_FRAME)
struct rtp_beep {
	uint32_t least_ms, most_ms;
	int16_t window[RTP_BEEP_WINDOW];
	double hz, power; /* of the tone that sounds; power: sum of its frames' mean squares */
	uint32_t frames;  /* it has lasted; 0: none sounds */
	uint32_t missed;  /* frames without it */
};
void rtp_beep_step(struct rtp_beep *beep, const int16_t *frame, uint64_t now_ms, rtp_found_fn found, void *context);

/* detect_tones.c */
struct rtp_tones;
int rtp_tones_new(const char *country, struct rtp_tones **ret_tones); /* PBX_OK, PBX_EINVAL, PBX_ENOMEM */
void rtp_tones_free(struct rtp_tones *tones);                         /* NULL is fine */
void rtp_tones_step(struct rtp_tones *tones, const int16_t *frame, uint64_t now_ms, rtp_found_fn found, void *context);

/* detect_fax.c */
struct rtp_fax_ear;
int rtp_fax_ear_new(struct rtp_fax_ear **ret_ear); /* PBX_OK, PBX_ENOMEM */
void rtp_fax_ear_free(struct rtp_fax_ear *ear);    /* NULL is fine */
void rtp_fax_ear_step(struct rtp_fax_ear *ear, const int16_t *frame, uint64_t now_ms, rtp_found_fn found, void *context);
