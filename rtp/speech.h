/* rtp/speech.h - makes the sound file of a text: an engine speaks it, then it is cut to the words and made as loud as every prompt. [work] */
#pragma once
#include <core/speech.h>

/* What is there already is not spoken again. The folder is kept below its limit: what was heard longest ago goes. Logs what went wrong.
 * PBX_OK, PBX_EIO, PBX_ETIMEOUT, PBX_ENOMEM; diag may be NULL. */
int rtp_speech_make(const struct core_speech *speech, struct pbx_diag *diag);

/* As core_shape_fn. */
int rtp_speech_shape_file(const char *from, const char *to, struct pbx_diag *diag);

/* As core_speak_fn. [loop] */
int rtp_speech_speak(struct pbx_host *owner, struct core_speech *speech, core_spoken_fn done, void *self);

/* ---- for tests ---- */

/* Cuts silence off both ends but for a breath, and sets the loudness; *count may shrink, samples move to the front. False: nobody speaks. */
bool rtp_speech_shape(int16_t *samples, size_t *count);
