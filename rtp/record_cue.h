/* rtp/record_cue.h - marks in a WAV file that is otherwise whole. May block: [work] and the recorder's thread. */
#pragma once
#include <pbx/recorder.h>

/* Where it was paused, as cue points with labels and, for what is silent in it, regions, behind the sound of a WAV or RF64 file, open to read and write.
 * Other formats, and a file that cannot take them, stay as they are. */
void rtp_record_cue(int fd, uint32_t rate_hz, const struct pbx_record_mark *marks, uint32_t count);
