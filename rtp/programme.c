/*
 * programme - what a source plays next: the radio while it can be heard, else a file, and every so often an announcement
 *
 * A file that cannot be played is named and skipped. An announcement interrupts a file, which goes on where it stopped, and covers the
 * radio, which goes on below. A radio that has just been turned on gets two seconds before the files play in its place.
 */
#include "source_inner.h"

#include <core/log.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES RTP_SOURCE_FRAME_SAMPLES
#define RADIO_MAY_TAKE 100u             /* frames */
#define NO_FILE_RESTS 50u               /* frames until files are looked for again */
#define SILENCE 33                      /* -60 dBFS */
#define MOST_PAUSE (RTP_DECODED_HZ * 5) /* within a tune: longer ones are not waited out */
#define MOST_SKIPPED 3000u              /* chunks of silence at once: a minute */

/* ---- which file comes next ---- */

/* The order of a round: as listed, from a random one on, or shuffled (Fisher and Yates). */
static void arrange(struct rtp_programme *programme)
{
	const struct rtp_playlist *list = programme->list;
	uint32_t first = list->order == PBX_SOURCE_RANDOM_START ? arc4random_uniform(list->count) : 0;

	for (uint32_t i = 0; i < list->count; i++)
		programme->sequence[i] = (first + i) % list->count;
	for (uint32_t i = list->count; list->order == PBX_SOURCE_SHUFFLED && i-- > 1;) {
		uint32_t other = arc4random_uniform(i + 1), held = programme->sequence[i];

		programme->sequence[i] = programme->sequence[other];
		programme->sequence[other] = held;
	}
	programme->at = 0;
}

/* False: there is no memory. */
static bool take_list(struct rtp_programme *programme, struct rtp_playlist *list)
{
	uint32_t *sequence = realloc(programme->sequence, (list->count + 1) * sizeof *sequence);

	if (!sequence)
		return false;
	rtp_playlist_free(programme->list);
	programme->sequence = sequence;
	programme->list = list;
	programme->failures = programme->rounds = 0;
	arrange(programme);
	return true;
}

/* The end of the list: round again. */
static void begin_round(struct rtp_programme *programme)
{
	programme->rounds++;
	if (programme->list->order == PBX_SOURCE_RANDOM_START)
		programme->at = 0; /* once round is as good as the beginning */
	else
		arrange(programme);
}

static struct rtp_decoder *open_file(struct rtp_programme *programme, const char *file, bool says)
{
	struct rtp_decoder *decoder;
	int err = rtp_decoder_open(file, RTP_DECODED_HZ, &decoder);

	if (err == PBX_OK)
		return decoder;
	if (says)
		core_log(PBX_LOG_WARN, "media", NULL, "source_file_skipped", "source=\"%s\" file=%s result=%d", programme->name, file, err);
	return NULL;
}

/* Opens the next file that can be played. False: none of them can now. */
static bool open_next(struct rtp_programme *programme)
{
	if (programme->next_list && take_list(programme, programme->next_list))
		programme->next_list = NULL; /* else the old one goes round once more */
	/* Twice round: shuffled, the good ones may be far apart. */
	while (programme->list && programme->failures < 2 * programme->list->count) {
		if (programme->at == programme->list->count)
			begin_round(programme);
		const char *file = programme->list->files[programme->sequence[programme->at++]];
		struct rtp_decoder *decoder = open_file(programme, file, programme->rounds == 0); /* said once a list */

		if (decoder) {
			programme->tune = (struct rtp_tune){ .decoder = decoder };
			return true;
		}
		programme->failures++;
	}
	programme->failures = 0;
	return false;
}

/* ---- a file ---- */

static bool is_silent(const int16_t *samples, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (samples[i] > SILENCE || samples[i] < -SILENCE)
			return false;
	return true;
}

/* What has been held back and turned out to belong to the tune. */
static size_t give_kept(struct rtp_tune *tune, int16_t *ret_samples, size_t count)
{
	size_t done = tune->silent < count ? tune->silent : count, some = tune->kept - tune->kept_at;

	memset(ret_samples, 0, done * sizeof *ret_samples);
	tune->silent -= (uint32_t)done;
	some = some < count - done ? some : count - done;
	memcpy(ret_samples + done, tune->keeps + tune->kept_at, some * sizeof *ret_samples);
	tune->kept_at += (uint32_t)some;
	return done + some;
}

static bool has_kept(const struct rtp_tune *tune)
{
	return tune->kept_at < tune->kept;
}

/* The tune without the silence around it. 0: its end. */
static size_t read_trimmed(struct rtp_tune *tune, int16_t *ret_samples, size_t count)
{
	for (uint32_t skipped = 0; !has_kept(tune) && skipped < MOST_SKIPPED; skipped++) {
		tune->kept_at = 0;
		tune->kept = (uint32_t)rtp_decoder_read(tune->decoder, tune->keeps, SAMPLES);
		if (tune->kept == 0)
			return 0;
		if (!is_silent(tune->keeps, tune->kept))
			break;
		if (tune->gave && tune->silent + tune->kept > MOST_PAUSE)
			break; /* no end, a pause */
		tune->silent += tune->gave ? tune->kept : 0;
		tune->kept = 0;
	}
	return give_kept(tune, ret_samples, count);
}

static size_t read_tune(const struct rtp_programme *programme, struct rtp_tune *tune, int16_t *ret_samples, size_t count)
{
	if (has_kept(tune) || programme->now->trims_silence)
		return read_trimmed(tune, ret_samples, count);
	return rtp_decoder_read(tune->decoder, ret_samples, count);
}

/* One frame, across the ends of files. False: there is nothing to play now. */
static bool files_frame(struct rtp_programme *programme, int16_t ret_samples[SAMPLES])
{
	struct rtp_tune *tune = &programme->tune;
	size_t done = 0;

	while (done < SAMPLES) {
		if (!tune->decoder && programme->rests > 0) {
			programme->rests--;
			break;
		}
		if (!tune->decoder && !open_next(programme)) {
			programme->rests = NO_FILE_RESTS;
			break;
		}
		size_t got = read_tune(programme, tune, ret_samples + done, SAMPLES - done);

		done += got;
		if (got > 0) {
			tune->gave = true;
			continue;
		}
		programme->failures = tune->gave ? 0 : programme->failures + 1; /* an empty file is no better than none */
		rtp_decoder_close(tune->decoder);
		tune->decoder = NULL;
	}
	memset(ret_samples + done, 0, (SAMPLES - done) * sizeof *ret_samples);
	return done > 0;
}

/* ---- the radio ---- */

static bool radio_frame(struct rtp_programme *programme, int16_t ret_samples[SAMPLES])
{
	if (!programme->now->url)
		return false;
	if (!programme->radio) {
		programme->radio = rtp_radio_new(programme->now->url, programme->name);
		programme->waited = 0;
	}
	size_t got = programme->radio ? rtp_radio_take(programme->radio, ret_samples, SAMPLES) : 0;

	memset(ret_samples + got, 0, (SAMPLES - got) * sizeof *ret_samples);
	if (got > 0)
		programme->waited = RADIO_MAY_TAKE; /* from here on the files are heard as soon as it is not */
	else if (programme->waited < RADIO_MAY_TAKE)
		programme->waited++;
	return got > 0 || programme->waited < RADIO_MAY_TAKE;
}

/* ---- announcements ---- */

static void begin_announcement(struct rtp_programme *programme)
{
	const struct rtp_playlist *now = programme->now;

	if (now->announcement_count == 0 || programme->since < now->announce_every)
		return;
	const char *file = now->announcements[programme->announced % now->announcement_count];

	programme->announcement = open_file(programme, file, programme->announced < now->announcement_count);
	programme->announced++;
	programme->since = 0;
}

static bool announcement_frame(struct rtp_programme *programme, int16_t ret_samples[SAMPLES])
{
	if (!programme->announcement)
		begin_announcement(programme);
	if (!programme->announcement)
		return false;
	if (programme->radio)
		(void)rtp_radio_take(programme->radio, ret_samples, SAMPLES); /* nobody hears it: it goes on below */
	size_t got = rtp_decoder_read(programme->announcement, ret_samples, SAMPLES);

	memset(ret_samples + got, 0, (SAMPLES - got) * sizeof *ret_samples);
	if (got == SAMPLES)
		return true;
	rtp_decoder_close(programme->announcement);
	programme->announcement = NULL;
	return got > 0;
}

/* ---- all of it ---- */

static void apply_gain(int16_t *samples, float gain)
{
	for (uint32_t i = 0; i < SAMPLES; i++) {
		float louder = (float)samples[i] * gain;

		samples[i] = (int16_t)lrintf(louder > 32767 ? 32767 : louder < -32768 ? -32768 : louder);
	}
}

static bool music_frame(struct rtp_programme *programme, int16_t ret_samples[SAMPLES])
{
	bool heard = radio_frame(programme, ret_samples) || files_frame(programme, ret_samples);

	programme->since++;
	if (heard && programme->now->levels)
		rtp_leveller_run(&programme->leveller, ret_samples, SAMPLES);
	return heard;
}

bool rtp_programme_next(struct rtp_programme *programme, int16_t ret_samples[SAMPLES])
{
	bool heard = announcement_frame(programme, ret_samples) || music_frame(programme, ret_samples);

	apply_gain(ret_samples, programme->now->gain);
	return heard;
}

static bool same_url(const struct rtp_playlist *a, const struct rtp_playlist *b)
{
	return a && a->url && b->url && strcmp(a->url, b->url) == 0;
}

struct rtp_playlist *rtp_programme_change(struct rtp_programme *programme, struct rtp_playlist *list)
{
	struct rtp_playlist *never_begun = programme->next_list;

	if (!same_url(programme->now, list))
		rtp_programme_rest(programme);
	programme->next_list = programme->now = list;
	programme->announced = programme->rests = 0;
	return never_begun;
}

void rtp_programme_rest(struct rtp_programme *programme)
{
	rtp_radio_free(programme->radio);
	programme->radio = NULL;
}

void rtp_programme_clear(struct rtp_programme *programme)
{
	rtp_programme_rest(programme);
	rtp_decoder_close(programme->tune.decoder);
	rtp_decoder_close(programme->announcement);
	rtp_playlist_free(programme->list);
	rtp_playlist_free(programme->next_list);
	free(programme->sequence);
	*programme = (struct rtp_programme){ .name = programme->name };
}
