/*
 * record_file - libsndfile's file, made so that nothing can spoil it
 *
 * It grows as path.part and is renamed when it is whole and on the disk. Space is reserved ahead (fallocate): when no more can be had there
 * is still enough to write what the codec holds back, the last page, the index, so that a full disk ends a recording with a valid file.
 * Headers are kept right while it grows. What a crash leaves is read as far as it can be and written anew, which is the same for every
 * format; libsndfile reads cut-off files of all of them.
 */
#include "record_file.h"
#include "record_cue.h"

#include <errno.h>
#include <fcntl.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_BYTES (128 * 1024)    /* at a time */
#define RESERVE_LEAST (96 * 1024)     /* what closing may need */
#define OPUS_BITS_PER_CHANNEL 24000.0 /* speech at its natural best */
#define COPY_FRAMES 4096
#define MOST_WAV_BYTES UINT64_C(4000000000) /* its lengths have 32 bits */
#define FLOAT_FRAMES 512
#define PATH_BYTES 4096u

struct rtp_record_file {
	SNDFILE *sound;
	int fd, flags; /* SF_FORMAT_… */
	uint32_t rate_hz, channels;
	uint64_t frames;
	off_t reserved;
	bool reserves; /* the file system can */
	char path[PATH_BYTES], part[PATH_BYTES + 8];
};

static const struct format {
	const char *name;
	int flags;
} formats[] = {
	{ "wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16 },
	{ "flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16 },
	{ "ogg-opus", SF_FORMAT_OGG | SF_FORMAT_OPUS },
	{ "mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III },
};

static int flags_of(const char *format)
{
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		if (strcmp(formats[i].name, format) == 0)
			return formats[i].flags;
	}
	return 0;
}

bool rtp_record_has_format(const char *format)
{
	return flags_of(format) != 0;
}

/* ---- folders and space ---- */

static void make_folders(const char *path)
{
	char folder[PATH_BYTES];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		(void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
		(void)mkdir(folder, 0750); /* it may be there; if it cannot be made, opening the file tells */
	}
}

uint64_t rtp_record_free_mb(const char *path)
{
	char folder[PATH_BYTES];
	struct statvfs space;

	(void)snprintf(folder, sizeof folder, "%s", path);
	for (char *slash; (slash = strrchr(folder, '/')) != NULL;) { /* the nearest one that exists */
		slash[slash == folder] = '\0';
		if (statvfs(folder, &space) == 0)
			return (uint64_t)space.f_bavail * space.f_frsize / (1024 * 1024);
		if (slash == folder)
			break;
	}
	return UINT64_MAX;
}

/* Room for what comes and for closing. PBX_OK, PBX_ENOSPC. */
static int reserve(struct rtp_record_file *file, off_t more)
{
	struct stat now;

	if (!file->reserves || fstat(file->fd, &now) != 0 || now.st_size + more + RESERVE_LEAST <= file->reserved)
		return PBX_OK;
	off_t wanted = now.st_size + more + RESERVE_BYTES;

	if (fallocate(file->fd, FALLOC_FL_KEEP_SIZE, file->reserved, wanted - file->reserved) == 0) {
		file->reserved = wanted;
		return PBX_OK;
	}
	file->reserves = errno == ENOSPC || errno == EDQUOT; /* anything else: this file system has no such thing */
	return file->reserves ? PBX_ENOSPC : PBX_OK;
}

/* ---- open, write, close ---- */

static int result_of_errno(void)
{
	return errno == EEXIST ? PBX_EEXIST : errno == ENOSPC || errno == EDQUOT ? PBX_ENOSPC : PBX_EIO;
}

static bool is_mp3(const struct rtp_record_file *file)
{
	return (file->flags & SF_FORMAT_TYPEMASK) == SF_FORMAT_MPEG;
}

static void set_options(const struct rtp_record_file *file)
{
	/* libsndfile goes from 256 kbit/s a channel at 0 to 6 at 1. */
	double opus = 1.0 - (OPUS_BITS_PER_CHANNEL / 1000.0 - 6.0) / 250.0;
	int constant = SF_BITRATE_MODE_CONSTANT; /* the length of a cut-off file can be told */

	if ((file->flags & SF_FORMAT_TYPEMASK) == SF_FORMAT_RF64)
		(void)sf_command(file->sound, SFC_RF64_AUTO_DOWNGRADE, NULL, SF_TRUE);
	if ((file->flags & SF_FORMAT_SUBMASK) == SF_FORMAT_OPUS)
		(void)sf_command(file->sound, SFC_SET_COMPRESSION_LEVEL, &opus, sizeof opus);
	if (is_mp3(file))
		(void)sf_command(file->sound, SFC_SET_BITRATE_MODE, &constant, sizeof constant);
}

static int open_sound(struct rtp_record_file *file, uint32_t rate_hz, uint32_t channels)
{
	file->rate_hz = rate_hz;
	file->channels = channels;
	SF_INFO info = { .samplerate = (int)rate_hz, .channels = (int)channels, .format = file->flags };

	file->fd = open(file->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (file->fd < 0)
		return result_of_errno();
	file->reserves = true;
	int err = reserve(file, 0);

	if (err != PBX_OK)
		return err;
	file->sound = sf_open_fd(file->fd, SFM_WRITE, &info, SF_FALSE);
	if (!file->sound)
		return PBX_EIO;
	set_options(file);
	return PBX_OK;
}

static void give_up(struct rtp_record_file *file)
{
	if (file->sound)
		(void)sf_close(file->sound);
	if (file->fd >= 0) {
		(void)close(file->fd);
		(void)unlink(file->part);
	}
	free(file);
}

/* What may become too long for WAV is RF64 (EBU Tech 3306), of which libsndfile makes a WAV when it did not. */
static int flags_for(const char *format, uint32_t rate_hz, uint32_t channels, uint64_t most_ms)
{
	int flags = flags_of(format);
	bool is_long = most_ms == 0 || most_ms > MOST_WAV_BYTES / (2 * channels) * 1000 / rate_hz;

	if ((flags & SF_FORMAT_TYPEMASK) == SF_FORMAT_WAV && is_long)
		flags = SF_FORMAT_RF64 | SF_FORMAT_PCM_16;
	return flags;
}

int rtp_record_open(const char *path, const char *format, uint32_t rate_hz, uint32_t channels, uint64_t most_ms,
		    struct rtp_record_file **ret_file)
{
	struct rtp_record_file *file = calloc(1, sizeof *file);

	if (!file)
		return PBX_ENOMEM;
	file->fd = -1;
	file->flags = flags_for(format, rate_hz, channels, most_ms);
	(void)snprintf(file->path, sizeof file->path, "%s", path);
	(void)snprintf(file->part, sizeof file->part, "%s.part", path);
	make_folders(path);
	int err = !file->flags ? PBX_ENOTSUP : access(path, F_OK) == 0 ? PBX_EEXIST : open_sound(file, rate_hz, channels);

	if (err != PBX_OK) {
		give_up(file);
		return err;
	}
	*ret_file = file;
	return PBX_OK;
}

/* libsndfile 1.2.0 spoils MP3 of two channels that is given to it as integers. */
static size_t write_floats(const struct rtp_record_file *file, const int16_t *samples, size_t frames)
{
	float floats[2 * FLOAT_FRAMES];
	size_t done = 0;

	while (done < frames) {
		size_t some = frames - done < FLOAT_FRAMES ? frames - done : FLOAT_FRAMES;

		for (size_t i = 0; i < some * file->channels; i++)
			floats[i] = (float)samples[done * file->channels + i] / 32768.0f;
		if (sf_writef_float(file->sound, floats, (sf_count_t)some) != (sf_count_t)some)
			break;
		done += some;
	}
	return done;
}

static size_t write_samples(const struct rtp_record_file *file, const int16_t *samples, size_t frames)
{
	return is_mp3(file) ? write_floats(file, samples, frames) : (size_t)sf_writef_short(file->sound, samples, (sf_count_t)frames);
}

int rtp_record_write(struct rtp_record_file *file, const int16_t *samples, size_t frames)
{
	int err = reserve(file, (off_t)(frames * 2 * sizeof *samples));

	if (err != PBX_OK || frames == 0)
		return err;
	errno = 0;
	if (write_samples(file, samples, frames) != frames)
		return errno == ENOSPC || errno == EDQUOT ? PBX_ENOSPC : PBX_EIO;
	file->frames += frames;
	return PBX_OK;
}

void rtp_record_mark(struct rtp_record_file *file)
{
	(void)sf_command(file->sound, SFC_UPDATE_HEADER_NOW, NULL, 0);
}

/* The name of a new file is on the disk when its folder is. */
static void sync_folder(const char *path)
{
	char folder[PATH_BYTES];
	const char *slash = strrchr(path, '/');

	(void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)fsync(fd); /* a folder that cannot be synced is no reason to disown the file */
	(void)close(fd);
}

/* Never over somebody else's file. */
static int take_name(const char *part, const char *path)
{
	if (renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return PBX_OK;
	if (errno == EINVAL && access(path, F_OK) != 0 && rename(part, path) == 0) /* a file system without that flag */
		return PBX_OK;
	return errno == EEXIST ? PBX_EEXIST : PBX_EIO;
}

int rtp_record_close(struct rtp_record_file *file, const struct pbx_record_mark *marks, uint32_t mark_count, uint64_t *ret_bytes)
{
	struct stat now = { 0 };
	int err = PBX_OK;

	if (file->frames == 0) {
		*ret_bytes = 0;
		give_up(file);
		return PBX_OK;
	}
	if (sf_close(file->sound) != 0)
		err = PBX_EIO;
	rtp_record_cue(file->fd, file->rate_hz, marks, mark_count);
	if (fstat(file->fd, &now) != 0 || ftruncate(file->fd, now.st_size) != 0 /* gives back what was reserved */ || fsync(file->fd) != 0)
		err = PBX_EIO;
	(void)close(file->fd);
	*ret_bytes = (uint64_t)now.st_size;
	if (err == PBX_OK)
		err = take_name(file->part, file->path);
	if (err == PBX_OK)
		sync_folder(file->path);
	free(file);
	return err;
}

/* ---- after a crash ---- */

static int look_at(const char *path, struct pbx_record_result *ret_result)
{
	SF_INFO info = { 0 };
	struct stat file;
	SNDFILE *sound = sf_open(path, SFM_READ, &info);

	if (!sound)
		return PBX_EINVAL;
	(void)sf_close(sound);
	ret_result->rate_hz = (uint32_t)info.samplerate;
	ret_result->channels = (uint32_t)info.channels;
	ret_result->duration_ms = (uint64_t)info.frames * 1000 / (uint64_t)info.samplerate;
	ret_result->size_bytes = stat(path, &file) == 0 ? (uint64_t)file.st_size : 0;
	return PBX_OK;
}

static const char *format_of(const SF_INFO *info)
{
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		if (((formats[i].flags ^ info->format) & SF_FORMAT_TYPEMASK) == 0)
			return formats[i].name;
	}
	return "wav";
}

static int copy(SNDFILE *from, struct rtp_record_file *to)
{
	int16_t samples[COPY_FRAMES * 2];
	sf_count_t got;

	while ((got = sf_readf_short(from, samples, COPY_FRAMES)) > 0) {
		int err = rtp_record_write(to, samples, (size_t)got);

		if (err != PBX_OK)
			return err;
	}
	return PBX_OK;
}

static int write_anew(const char *part, const char *path, struct pbx_record_result *ret_result)
{
	SF_INFO info = { 0 };
	struct rtp_record_file *file;
	uint64_t bytes;
	SNDFILE *from = sf_open(part, SFM_READ, &info);

	if (!from || info.channels > 2) {
		if (from)
			(void)sf_close(from);
		return PBX_EINVAL;
	}
	int err = rtp_record_open(path, format_of(&info), (uint32_t)info.samplerate, (uint32_t)info.channels,
				  (uint64_t)info.frames / (uint64_t)info.samplerate * 1000 + 1000, &file);

	if (err == PBX_OK) {
		err = copy(from, file);
		int closed = rtp_record_close(file, NULL, 0, &bytes);

		err = err == PBX_OK ? closed : err;
	}
	(void)sf_close(from);
	return err == PBX_OK ? look_at(path, ret_result) : err;
}

int rtp_record_recover(const char *path, struct pbx_record_result *ret_result)
{
	char part[PATH_BYTES + 8], left[PATH_BYTES + 8];

	(void)snprintf(part, sizeof part, "%s.part", path);
	(void)snprintf(left, sizeof left, "%s.left", path);
	if (access(path, F_OK) == 0) {
		(void)unlink(left); /* a crash between two steps of ours */
		return look_at(path, ret_result);
	}
	/* What was left has this name until it is written anew, so that a second crash finds it again. */
	if (access(left, F_OK) == 0)
		(void)unlink(part);
	else if (rename(part, left) != 0)
		return PBX_ENOENT;
	int err = write_anew(left, path, ret_result);

	if (err == PBX_OK)
		(void)unlink(left);
	return err;
}
