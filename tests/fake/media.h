/* tests/fake/media.h - what the files of the fake media know of each other
 *
 * Each tells one story of the driver, fills in its functions at the beginning and fails the test at the end when something of it is left.
 * All of it: [loop] */
#pragma once
#include "fake_internal.h"

/* ---- media.c: streams ---- */
extern struct fake_stream *fake_streams; /* all that are open */
struct fake_stream *fake_stream_find(core_stream handle);
void fake_stream_disconnect(struct fake_stream *stream);
char *fake_join_prompts(const struct core_play *play); /* owned: "slot 7 0" */

/* ---- media_source.c ---- */
void fake_sources_init(struct core_media_driver *driver);
void fake_sources_fini(void);
const char *fake_source_name(pbx_source handle); /* borrowed; NULL: it has gone */

/* ---- media_mix.c ---- */
struct fake_mix {
	core_mix handle;
	bool gated;
	uint32_t plays; /* CORE_PLAY_…; 0: nothing */
	char *play_text;
	uint64_t tag;
	struct fake_mix *next;
};

void fake_mixes_init(struct core_media_driver *driver);
void fake_mixes_fini(void);

/* ---- media_beside.c: taps, injections, detections ---- */
void fake_beside_init(struct core_media_driver *driver);
void fake_beside_fini(void);
void fake_beside_end(core_stream stream); /* of a stream that closes */

/* ---- media_recording.c ---- */
void fake_recordings_init(struct core_media_driver *driver);
void fake_recordings_fini(void);
void fake_recordings_end(core_stream stream); /* of a stream that closes */

/* ---- media_forks.c ---- */
void fake_forks_init(struct core_media_driver *driver);
void fake_forks_fini(void);
void fake_forks_learn(const struct fake_stream *stream, const struct core_stream_config *config); /* it is about to have that */
void fake_forks_end(core_stream stream);                                                          /* of a stream that closes */

/* ---- media_fax.c ---- */
void fake_faxes_init(struct core_media_driver *driver);
void fake_faxes_fini(void);
void fake_faxes_end(core_stream stream); /* of a stream that closes */
