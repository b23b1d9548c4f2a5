/* pbx/media.h - sound that many legs may hear at once
 * Served by the core as "pbx.media/1". All of it: [loop].
 *
 * A source is a programme: files one after the other, or a stream from the network, decoded once and encoded once per codec however
 * many legs listen (pbx_calls.listen). It advances only while somebody listens, unless it is told to run always. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_SOURCE_IN_ORDER 1u
#define PBX_SOURCE_SHUFFLED 2u     /* a new random order each round */
#define PBX_SOURCE_RANDOM_START 3u /* in order from a random file */

struct pbx_source_spec {
	uint32_t size;
	const char *name;         /* for logs and metrics: "music default" */
	const char *const *files; /* absolute paths: WAV 8-48 kHz 8/16/24 bit, mono or stereo, FLAC, Ogg, MP3 */
	uint32_t file_count;
	uint32_t order;   /* PBX_SOURCE_… */
	int32_t gain_cdb; /* hundredths of a decibel */
	bool runs_always;
	bool levels;        /* soft passages and loud ones are brought nearer to one loudness */
	bool trims_silence; /* what is silent at the beginning and the end of a file is left out */
	/* http or https: an MP3, Ogg Vorbis or Ogg Opus stream; NULL: none. The files, if any, are heard while it cannot be; it is tried
	 * again every 5 s. Where it may lead is a matter of fetch.allow. */
	const char *url;
	/* In turn, one every announce_every_s seconds: prompts (as pbx_calls.play) that interrupt the programme, which goes on where it stopped. */
	const char *const *announcements;
	uint32_t announcement_count, announce_every_s;
};

/* How a source is doing. */
struct pbx_source_state {
	uint32_t size;
	uint32_t listeners; /* legs */
	bool running;       /* its time goes on */
	bool streaming;     /* what is heard comes from its url */
};

struct pbx_file_info {
	uint32_t size;
	uint32_t rate_hz, channels;
	uint64_t duration_ms;
};

struct pbx_media {
	struct pbx_header header;

	/* Opens a source; the files are opened in the pool, one that cannot be played is logged and skipped. Charged to the
	 * caller. PBX_OK, PBX_EINVAL (neither file nor url), PBX_ENOMEM. */
	int (*source_open)(struct pbx_host *host, const struct pbx_source_spec *spec, pbx_source *ret_source);
	/* Another list of files, from the end of the present one on: listeners hear no gap. Another url at once, all else at once.
	 * PBX_OK, PBX_ENOENT, PBX_EINVAL, PBX_ENOMEM. */
	int (*source_update)(pbx_source source, const struct pbx_source_spec *spec);
	/* Listeners hear silence from here on (their controllers: media_done). PBX_OK, PBX_ENOENT. */
	int (*source_close)(pbx_source source);
	/* How many legs listen now. PBX_OK, PBX_ENOENT. */
	int (*source_listeners)(pbx_source source, uint32_t *ret_listeners);
	/* Can this file be played? done on the loop: result PBX_OK, PBX_ENOENT, PBX_EINVAL (cannot be decoded, shorter than 1 s or
	 * over 100 MB). PBX_OK, PBX_ENOMEM. */
	int (*probe)(struct pbx_host *host, const char *path, void (*done)(void *self, int result, const struct pbx_file_info *info),
		     void *self);
	/* ret_state->size says how much of it you know. PBX_OK, PBX_ENOENT. */
	int (*source_state)(pbx_source source, struct pbx_source_state *ret_state);
};

PBX_SERVICE(pbx_media, "pbx.media/1")

#ifdef __cplusplus
}
#endif
