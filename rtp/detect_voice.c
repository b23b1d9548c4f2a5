/*
 * detect_voice - voice or not, and for how long
 *
 * A frame is voice when it is louder than a threshold and 9 dB louder than the background. The background is the softest that is heard: it falls
 * at once and rises by a decibel and a half in a second, so that neither a pause nor a long word moves it much.
 */
#include "detect.h"

#include <math.h>

#define OVER_FLOOR 2.8        /* 9 dB */
#define RISES 1.0017          /* in a frame */
#define LEAST_FLOOR 8.0       /* -69 dBFS */
#define MOST_THRESHOLD 1300.0 /* -25 dBFS: what is louder is voice over any background */
#define MOST_PAUSE_MS 200u    /* within a run of voice */
#define FORGETS_MS 500u       /* of silence: the next voice is another one */

void rtp_vad_init(struct rtp_vad *vad, int32_t threshold_cdb)
{
	vad->least = 32768.0 / sqrt(2) * pow(10.0, threshold_cdb / 2000.0);
	vad->floor_rms = LEAST_FLOOR;
}

bool rtp_vad_hears(struct rtp_vad *vad, double rms)
{
	double threshold = fmin(fmax(vad->least, vad->floor_rms * OVER_FLOOR), fmax(vad->least, MOST_THRESHOLD));

	vad->floor_rms = fmax(LEAST_FLOOR, fmin(rms, vad->floor_rms * RISES));
	return rms >= threshold;
}

static void tell(const struct pbx_detected *detected, bool wanted, bool *told, rtp_found_fn found, void *context)
{
	*told = true;
	if (wanted)
		found(context, detected);
}

void rtp_cadence_step(struct rtp_cadence *cadence, bool voiced, uint32_t what, uint64_t now_ms, rtp_found_fn found, void *context)
{
	cadence->quiet_ms = voiced ? 0 : cadence->quiet_ms + RTP_DETECT_FRAME_MS;
	cadence->voiced_ms =
		voiced || (cadence->voiced_ms && cadence->quiet_ms <= MOST_PAUSE_MS) ? cadence->voiced_ms + RTP_DETECT_FRAME_MS : 0;
	if (voiced)
		cadence->told_silence = false;
	if (cadence->quiet_ms >= FORGETS_MS)
		cadence->told_voice = false;
	if (voiced && cadence->voiced_ms >= cadence->voice_ms && !cadence->told_voice)
		tell(&(struct pbx_detected){ .what = PBX_DETECT_VOICE,
					     .name = "voice",
					     .began_ms = now_ms - cadence->voiced_ms,
					     .for_ms = cadence->voiced_ms },
		     what & PBX_DETECT_VOICE, &cadence->told_voice, found, context);
	if (cadence->quiet_ms >= cadence->silence_ms && !cadence->told_silence)
		tell(&(struct pbx_detected){ .what = PBX_DETECT_SILENCE,
					     .name = "silence",
					     .began_ms = now_ms - cadence->quiet_ms,
					     .for_ms = cadence->quiet_ms },
		     what & PBX_DETECT_SILENCE, &cadence->told_silence, found, context);
}
