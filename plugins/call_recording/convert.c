/*
 * convert - a recording read by libsndfile, through its seal if it has one, and written in another form
 *
 * What is made has no name on the disk and is gone with its descriptor, whatever happens to us. It is made in steps, so that a recording of hours leaves the
 * pool to others in between. The sample rate stays what it is; 16-bit samples pass unchanged between WAV and FLAC.
 */
#include "convert.h"
#include <fcntl.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BLOCK_FRAMES 4096
#define STEP_S 120 /* of sound */
#define LONG_WAV_BYTES INT64_C(4000000000)
#define OPUS_LEVEL (1.0 - (24.0 - 6.0) / 250.0) /* 24 kbit/s a channel, as recordings are made: 256 at 0, 6 at 1 */

static const struct {
	const char *name, *extension, *type;
	int flags;
} formats[] = {
	{ "wav", "wav", "audio/wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16 },
	{ "flac", "flac", "audio/flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16 },
	{ "opus", "opus", "audio/ogg", SF_FORMAT_OGG | SF_FORMAT_OPUS },
	{ "mp3", "mp3", "audio/mpeg", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III },
};

struct convert {
	struct stored from;
	int64_t at;      /* where the library reads */
	bool unreadable; /* its file failed us: an end that is none */
	SNDFILE *in, *out;
	SF_INFO in_info, out_info;
	uint32_t side;
	int fd;
	char folder[1024];
	uint32_t least_free_mb;
};

uint32_t convert_format(const char *name)
{
	for (uint32_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (strcmp(name, formats[i].name) == 0 || (i == 2 && strcmp(name, "ogg-opus") == 0))
			return i;
	return FORM_AS_IS;
}

bool convert_can(uint32_t format)
{
	const SF_INFO info = { .samplerate = 8000, .channels = 1, .format = formats[format].flags };

	return sf_format_check(&info);
}

const char *convert_type(uint32_t format)
{
	return formats[format].type;
}

const char *convert_extension(uint32_t format)
{
	return formats[format].extension;
}

/* ---- what libsndfile reads from ---- */

static sf_count_t length_of(void *user)
{
	const struct convert *convert = user;

	return convert->from.size;
}

static sf_count_t seek_to(sf_count_t offset, int whence, void *user)
{
	struct convert *convert = user;
	int64_t at = offset + (whence == SEEK_CUR ? convert->at : whence == SEEK_END ? convert->from.size : 0);

	if (at < 0 || at > convert->from.size)
		return -1;
	return convert->at = at;
}

static sf_count_t read_from(void *data, sf_count_t count, void *user)
{
	struct convert *convert = user;
	sf_count_t done = 0;
	int64_t got = 1;

	while (done < count && got > 0) {
		got = stored_read(&convert->from, convert->at, (uint8_t *)data + done, count - done);
		convert->unreadable |= got < 0;
		convert->at += got > 0 ? got : 0;
		done += got > 0 ? got : 0;
	}
	return done;
}

static sf_count_t tell(void *user)
{
	const struct convert *convert = user;

	return convert->at;
}

/* ---- opening ---- */

static bool has_room(const struct convert *convert)
{
	struct statvfs space;

	return statvfs(convert->folder, &space) != 0 || (uint64_t)space.f_bavail * space.f_frsize >> 20 >= convert->least_free_mb;
}

/* A file without a name; where the file system has no such thing, one that loses its name at once. */
static int open_nameless(const char *folder)
{
	char path[1100];
	int fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	(void)snprintf(path, sizeof path, "%s/.form-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	return fd;
}

static int open_in(struct convert *convert)
{
	static SF_VIRTUAL_IO io = { .get_filelen = length_of, .seek = seek_to, .read = read_from, .tell = tell };

	convert->in = sf_open_virtual(&io, SFM_READ, &convert->in_info, convert);
	if (!convert->in)
		return PBX_EINVAL;
	return convert->in_info.channels <= 2 ? PBX_OK : PBX_EINVAL;
}

/* Our own marks: libsndfile writes them in front, where they are known now. */
static void set_marks(const struct convert *convert, const struct convert_spec *spec)
{
	SF_CUES cues = { .cue_count = spec->mark_count };

	for (uint32_t i = 0; i < spec->mark_count; i++) {
		SF_CUE_POINT *point = &cues.cue_points[i];
		uint64_t frame = spec->marks[i].at_ms * (uint64_t)convert->out_info.samplerate / 1000;

		point->indx = (int32_t)i + 1;
		point->position = (uint32_t)frame;
		memcpy(&point->fcc_chunk, "data", 4);
		point->sample_offset = (uint32_t)frame;
	}
	if (spec->mark_count)
		(void)sf_command(convert->out, SFC_SET_CUE, &cues, sizeof cues); /* a format without them says no */
}

static int open_out(struct convert *convert, const struct convert_spec *spec)
{
	double level = OPUS_LEVEL;
	int constant = SF_BITRATE_MODE_CONSTANT, flags = formats[spec->form.format].flags;

	convert->out_info = (SF_INFO){ .samplerate = convert->in_info.samplerate,
				       .channels = spec->form.side == FORM_AS_IS ? convert->in_info.channels : 1,
				       .format = flags };
	if ((flags & SF_FORMAT_TYPEMASK) == SF_FORMAT_WAV && convert->in_info.frames * convert->out_info.channels * 2 > LONG_WAV_BYTES)
		convert->out_info.format = SF_FORMAT_RF64 | SF_FORMAT_PCM_16;
	if (!sf_format_check(&convert->out_info))
		return PBX_ENOTSUP;
	convert->fd = has_room(convert) ? open_nameless(convert->folder) : -1;
	if (convert->fd < 0)
		return has_room(convert) ? PBX_EIO : PBX_ENOSPC;
	convert->out = sf_open_fd(convert->fd, SFM_WRITE, &convert->out_info, SF_FALSE);
	if (!convert->out)
		return PBX_EIO;
	if ((flags & SF_FORMAT_SUBMASK) == SF_FORMAT_OPUS)
		(void)sf_command(convert->out, SFC_SET_COMPRESSION_LEVEL, &level, sizeof level);
	if ((flags & SF_FORMAT_TYPEMASK) == SF_FORMAT_MPEG)
		(void)sf_command(convert->out, SFC_SET_BITRATE_MODE, &constant, sizeof constant);
	set_marks(convert, spec);
	return PBX_OK;
}

int convert_begin(struct convert_spec *spec, struct convert **ret_convert)
{
	struct convert *convert = calloc(1, sizeof *convert);

	if (!convert) {
		stored_close(&spec->stored);
		return PBX_ENOMEM;
	}
	convert->from = spec->stored;
	spec->stored.fd = -1;
	convert->fd = -1;
	convert->side = spec->form.side;
	convert->least_free_mb = spec->least_free_mb;
	(void)snprintf(convert->folder, sizeof convert->folder, "%s", spec->folder);
	int err = open_in(convert);

	if (err == PBX_OK)
		err = open_out(convert, spec);
	if (err != PBX_OK) {
		convert_free(convert);
		return err;
	}
	*ret_convert = convert;
	return PBX_OK;
}

/* ---- going on ---- */

static int16_t limited(int32_t sum)
{
	return (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
}

/* In place: two channels to one. */
static void choose(uint32_t side, int16_t *samples, sf_count_t frames)
{
	for (sf_count_t i = 0; i < frames; i++) {
		int16_t left = samples[2 * i], right = samples[2 * i + 1];

		samples[i] = side == SIDE_LEFT ? left : side == SIDE_RIGHT ? right : limited(left + right);
	}
}

/* libsndfile 1.2.0 spoils MP3 of two channels that is given to it as integers. */
static bool write_floats(const struct convert *convert, const int16_t *samples, sf_count_t frames)
{
	float floats[2 * BLOCK_FRAMES];

	for (sf_count_t i = 0; i < frames * convert->out_info.channels; i++)
		floats[i] = (float)samples[i] / 32768.0f;
	return sf_writef_float(convert->out, floats, frames) == frames;
}

static bool write_out(const struct convert *convert, const int16_t *samples, sf_count_t frames)
{
	return (convert->out_info.format & SF_FORMAT_TYPEMASK) == SF_FORMAT_MPEG ? write_floats(convert, samples, frames)
										 : sf_writef_short(convert->out, samples, frames) == frames;
}

static int end(struct convert *convert)
{
	int closed = sf_close(convert->out);

	convert->out = NULL;
	return closed == 0 ? PBX_OK : PBX_EIO;
}

int convert_step(struct convert *convert)
{
	int16_t samples[2 * BLOCK_FRAMES];
	sf_count_t got;

	if (!has_room(convert))
		return PBX_ENOSPC;
	for (int64_t done = 0; done < (int64_t)STEP_S * convert->in_info.samplerate; done += got) {
		got = sf_readf_short(convert->in, samples, BLOCK_FRAMES);
		if (got <= 0)
			return sf_error(convert->in) == SF_ERR_NO_ERROR && !convert->unreadable ? end(convert) : PBX_EIO;
		if (convert->side != FORM_AS_IS && convert->in_info.channels == 2)
			choose(convert->side, samples, got);
		if (!write_out(convert, samples, got))
			return has_room(convert) ? PBX_EIO : PBX_ENOSPC;
	}
	return PBX_ELATER;
}

void convert_take(struct convert *convert, struct stored *ret_made)
{
	*ret_made = (struct stored){ .fd = convert->fd, .size = lseek(convert->fd, 0, SEEK_END) };
	convert->fd = -1;
}

void convert_free(struct convert *convert)
{
	if (!convert)
		return;
	if (convert->in)
		(void)sf_close(convert->in); /* was only read */
	if (convert->out)
		(void)sf_close(convert->out); /* nobody wants it */
	if (convert->fd >= 0)
		(void)close(convert->fd);
	stored_close(&convert->from);
	free(convert);
}
