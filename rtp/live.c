/*
 * live - a stream of octets as sound: MP3 by libmpg123, Vorbis by libvorbisfile, Opus by libopusfile
 *
 * Each library asks for octets when it wants some and is given them as they come; none may seek. The first octets tell which
 * codec it is: what a server writes into Content-Type is not to be relied on. A radio station's Ogg stream is a chain in which
 * every title is a stream of its own; when its rate or channels change, read ends once with `changed`.
 */
#include "live.h"

#include <mpg123.h>
#include <opusfile.h>
#include <pbx/abi.h>
#include <stdlib.h>
#include <string.h>
#include <vorbis/vorbisfile.h>

#define HEAD_BYTES 64u /* enough for the first page of an Ogg stream to show its codec */

struct live {
	struct rtp_pcm pcm; /* first */
	rtp_octets_fn octets;
	void *context;
	uint8_t head[HEAD_BYTES];
	size_t head_size, head_at;
	mpg123_handle *mpeg;
	OggVorbis_File vorbis;
	bool has_vorbis;
	OggOpusFile *opus;
};

/* What has been looked at first, then what comes. */
static size_t take_octets(struct live *live, void *ret_octets, size_t size)
{
	size_t left = live->head_size - live->head_at;

	if (left == 0)
		return live->octets(live->context, ret_octets, size);
	if (size > left)
		size = left;
	memcpy(ret_octets, live->head + live->head_at, size);
	live->head_at += size;
	return size;
}

static void read_head(struct live *live)
{
	while (live->head_size < HEAD_BYTES) {
		size_t got = live->octets(live->context, live->head + live->head_size, HEAD_BYTES - live->head_size);

		if (got == 0)
			return;
		live->head_size += got;
	}
}

static void live_close(struct rtp_pcm *pcm)
{
	struct live *live = (struct live *)pcm;

	if (live->mpeg)
		mpg123_delete(live->mpeg);
	if (live->has_vorbis)
		(void)ov_clear(&live->vorbis);
	if (live->opus)
		op_free(live->opus);
	free(live);
}

/* True when what comes next differs from what came before: read says so by ending. */
static bool take_format(struct live *live, long rate_hz, int channels)
{
	bool first = live->pcm.rate_hz == 0;

	if (live->pcm.rate_hz == (uint32_t)rate_hz && live->pcm.channels == (uint32_t)channels)
		return false;
	live->pcm.rate_hz = (uint32_t)rate_hz;
	live->pcm.channels = (uint32_t)channels;
	live->pcm.changed = !first;
	return !first;
}

/* ---- MP3 ---- */

static ssize_t mpeg_octets(void *self, void *ret_octets, size_t size)
{
	return (ssize_t)take_octets(self, ret_octets, size);
}

static off_t mpeg_seek(void *self, off_t offset, int whence)
{
	(void)self, (void)offset, (void)whence;
	return -1;
}

static size_t mpeg_read(struct rtp_pcm *pcm, float *ret_frames, size_t frames)
{
	struct live *live = (struct live *)pcm;
	size_t got = 0;
	int err = mpg123_read(live->mpeg, (unsigned char *)ret_frames, frames * pcm->channels * sizeof *ret_frames, &got);
	long rate_hz;
	int channels, encoding;

	if (got == 0 && err == MPG123_NEW_FORMAT && mpg123_getformat(live->mpeg, &rate_hz, &channels, &encoding) == MPG123_OK) {
		if (!take_format(live, rate_hz, channels))
			return mpeg_read(pcm, ret_frames, frames);
		return 0;
	}
	return got / (pcm->channels * sizeof *ret_frames);
}

static int open_mpeg(struct live *live)
{
	long rate_hz;
	int channels, encoding;

	(void)mpg123_init(); /* older libraries want it, and it may be said twice */
	live->mpeg = mpg123_new(NULL, NULL);
	if (!live->mpeg)
		return PBX_ENOMEM;
	if (mpg123_param(live->mpeg, MPG123_ADD_FLAGS, MPG123_FORCE_FLOAT | MPG123_QUIET | MPG123_SKIP_ID3V2 | MPG123_NO_PEEK_END, 0) !=
		    MPG123_OK ||
	    mpg123_replace_reader_handle(live->mpeg, mpeg_octets, mpeg_seek, NULL) != MPG123_OK ||
	    mpg123_open_handle(live->mpeg, live) != MPG123_OK || mpg123_getformat(live->mpeg, &rate_hz, &channels, &encoding) != MPG123_OK)
		return PBX_EINVAL;
	live->pcm.read = mpeg_read;
	(void)take_format(live, rate_hz, channels);
	return PBX_OK;
}

/* ---- Ogg Vorbis ---- */

static size_t vorbis_octets(void *ret_octets, size_t size, size_t count, void *self)
{
	return size ? take_octets(self, ret_octets, size * count) / size : 0;
}

static size_t vorbis_read(struct rtp_pcm *pcm, float *ret_frames, size_t frames)
{
	struct live *live = (struct live *)pcm;
	const vorbis_info *info = ov_info(&live->vorbis, -1);
	float **planes;
	int link;
	long got;

	if (info && take_format(live, info->rate, info->channels))
		return 0;
	/* One block at most is decoded at once, so that the format above is still that of what is given here. */
	do
		got = ov_read_float(&live->vorbis, &planes, (int)frames, &link);
	while (got == OV_HOLE);
	if (got <= 0)
		return 0;
	info = ov_info(&live->vorbis, -1);
	uint32_t channels = info ? (uint32_t)info->channels : pcm->channels, given = channels < pcm->channels ? channels : pcm->channels;

	for (long i = 0; i < got; i++)
		for (uint32_t c = 0; c < pcm->channels; c++)
			ret_frames[(size_t)i * pcm->channels + c] = planes[c < given ? c : 0][i];
	return (size_t)got;
}

static int open_vorbis(struct live *live)
{
	const ov_callbacks callbacks = { .read_func = vorbis_octets };
	const vorbis_info *info;

	if (ov_open_callbacks(live, &live->vorbis, NULL, 0, callbacks) != 0)
		return PBX_EINVAL;
	live->has_vorbis = true;
	info = ov_info(&live->vorbis, -1);
	if (!info)
		return PBX_EINVAL;
	live->pcm.read = vorbis_read;
	(void)take_format(live, info->rate, info->channels);
	return PBX_OK;
}

/* ---- Ogg Opus ---- */

static int opus_octets(void *self, unsigned char *ret_octets, int size)
{
	return (int)take_octets(self, ret_octets, (size_t)size);
}

static size_t opus_read(struct rtp_pcm *pcm, float *ret_frames, size_t frames)
{
	struct live *live = (struct live *)pcm;
	int got;

	do
		got = op_read_float_stereo(live->opus, ret_frames, (int)(frames * 2));
	while (got == OP_HOLE);
	return got > 0 ? (size_t)got : 0;
}

static int open_opus(struct live *live)
{
	const OpusFileCallbacks callbacks = { .read = opus_octets };

	live->opus = op_open_callbacks(live, &callbacks, NULL, 0, NULL);
	if (!live->opus)
		return PBX_EINVAL;
	live->pcm.read = opus_read;
	(void)take_format(live, 48000, 2);
	return PBX_OK;
}

/* ---- which ---- */

static bool head_has(const struct live *live, const char *text)
{
	return memmem(live->head, live->head_size, text, strlen(text)) != NULL;
}

static bool is_ogg(const struct live *live)
{
	return live->head_size >= 4 && memcmp(live->head, "OggS", 4) == 0;
}

/* A stream of MP3 is entered anywhere: a frame may begin later. What is text is refused, the rest is tried. */
static bool may_be_mpeg(const struct live *live)
{
	for (size_t i = 0; i + 1 < live->head_size; i++)
		if (live->head[i] == 0xFF && (live->head[i + 1] & 0xE0) == 0xE0)
			return true;
	return live->head_size >= 3 && memcmp(live->head, "ID3", 3) == 0;
}

static bool is_text(const struct live *live)
{
	for (size_t i = 0; i < live->head_size; i++)
		if (live->head[i] < ' ' && live->head[i] != '\n' && live->head[i] != '\r' && live->head[i] != '\t')
			return false;
	return true;
}

int rtp_live_open(rtp_octets_fn octets, void *context, struct rtp_pcm **ret_pcm)
{
	struct live *live = calloc(1, sizeof *live);
	int err = PBX_EINVAL;

	if (!live)
		return PBX_ENOMEM;
	live->octets = octets;
	live->context = context;
	live->pcm.close = live_close;
	read_head(live);
	if (is_ogg(live) && head_has(live, "OpusHead"))
		err = open_opus(live);
	else if (is_ogg(live) && head_has(live, "vorbis"))
		err = open_vorbis(live);
	else if (!is_ogg(live) && (may_be_mpeg(live) || !is_text(live)))
		err = open_mpeg(live);
	if (err == PBX_OK && (live->pcm.rate_hz < RTP_PCM_LEAST_HZ || live->pcm.rate_hz > RTP_PCM_MOST_HZ || live->pcm.channels < 1 ||
			      live->pcm.channels > RTP_PCM_MOST_CHANNELS))
		err = PBX_EINVAL;
	if (err != PBX_OK) {
		live_close(&live->pcm);
		return err;
	}
	*ret_pcm = &live->pcm;
	return PBX_OK;
}
