/*
 * speech - from what an engine wrote to a prompt: 16 kHz, no silence at the ends, -18 dBFS while somebody speaks (as etc/make-prompts.py has it)
 *
 * A file gets its name when it is whole, so that two jobs for one text do no harm, and none is found half written.
 */
#include "speech.h"
#include "decoder.h"

#include <core/log.h>
#include <core/loop.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RATE_HZ RTP_DECODED_HZ
#define WINDOW (RATE_HZ / 50)         /* 20 ms */
#define QUIET 131                     /* 0.4 % of full scale: no word begins below */
#define BREATH_BEFORE (RATE_HZ / 33)  /* 30 ms */
#define BREATH_AFTER (RATE_HZ / 20)   /* 50 ms */
#define PAUSE_RATIO 1000.0            /* windows 30 dB below the loudest are pauses */
#define WANTED_POWER 0.0079245        /* -18 dBFS of a full-scale sine, of a full scale of 1 */
#define CEILING 29000.0               /* -1 dBFS */
#define MOST_SAMPLES (180u * RATE_HZ) /* 1000 octets take two minutes */
#define HEADER_BYTES 44u

/* ---- shape ---- */

static double power_of(const int16_t *samples, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)samples[i] * samples[i];
	return sum / ((double)count * 32768 * 32768);
}

/* Mean power of the windows in which somebody speaks. */
static double speech_power(const int16_t *samples, size_t count)
{
	double loudest = 0, sum = 0;
	size_t speaking = 0;

	for (size_t at = 0; at + WINDOW <= count; at += WINDOW)
		loudest = fmax(loudest, power_of(samples + at, WINDOW));
	for (size_t at = 0; at + WINDOW <= count; at += WINDOW) {
		double power = power_of(samples + at, WINDOW);

		if (power > loudest / PAUSE_RATIO) {
			sum += power;
			speaking++;
		}
	}
	return speaking ? sum / (double)speaking : 0;
}

static void set_level(int16_t *samples, size_t count)
{
	double power = speech_power(samples, count), gain = power > 0 ? sqrt(WANTED_POWER / power) : 1;
	int peak = 1;

	for (size_t i = 0; i < count; i++)
		peak = abs(samples[i]) > peak ? abs(samples[i]) : peak;
	gain = fmin(gain, CEILING / peak);
	for (size_t i = 0; i < count; i++)
		samples[i] = (int16_t)lrint(samples[i] * gain);
}

bool rtp_speech_shape(int16_t *samples, size_t *count)
{
	size_t first = 0, end = *count;

	while (first < end && abs(samples[first]) < QUIET)
		first++;
	while (end > first && abs(samples[end - 1]) < QUIET)
		end--;
	if (first == end)
		return false;
	first = first > BREATH_BEFORE ? first - BREATH_BEFORE : 0;
	end = *count - end > BREATH_AFTER ? end + BREATH_AFTER : *count;
	memmove(samples, samples + first, (end - first) * sizeof *samples);
	*count = end - first;
	set_level(samples, *count);
	return true;
}

/* ---- files ---- */

/* All of a file, owned by the caller. PBX_OK, PBX_EIO (no sound), PBX_ENOMEM. */
static int read_sound(const char *path, int16_t **ret_samples, size_t *ret_count)
{
	struct rtp_decoder *decoder;
	int16_t *samples = malloc(MOST_SAMPLES * sizeof *samples);

	if (!samples)
		return PBX_ENOMEM;
	if (rtp_decoder_open(path, RATE_HZ, &decoder) != PBX_OK) {
		free(samples);
		return PBX_EIO;
	}
	*ret_count = rtp_decoder_read(decoder, samples, MOST_SAMPLES);
	rtp_decoder_close(decoder);
	*ret_samples = samples;
	return PBX_OK;
}

static void put_le(uint8_t *at, uint32_t value, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static void make_header(uint8_t header[HEADER_BYTES], uint32_t data_bytes)
{
	memcpy(header, "RIFF....WAVEfmt ........................data....", HEADER_BYTES);
	put_le(header + 4, HEADER_BYTES - 8 + data_bytes, 4);
	put_le(header + 16, 16, 4);
	put_le(header + 20, 1, 2); /* PCM */
	put_le(header + 22, 1, 2); /* channels */
	put_le(header + 24, RATE_HZ, 4);
	put_le(header + 28, RATE_HZ * 2, 4);
	put_le(header + 32, 2, 2);
	put_le(header + 34, 16, 2);
	memcpy(header + 36, "data", 4);
	put_le(header + 40, data_bytes, 4);
}

static int write_sound(const char *path, const int16_t *samples, size_t count)
{
	uint8_t header[HEADER_BYTES], octets[2 * WINDOW];
	FILE *file = fopen(path, "wbe");

	if (!file)
		return PBX_EIO;
	make_header(header, (uint32_t)(count * 2));
	bool written = fwrite(header, sizeof header, 1, file) == 1;
	for (size_t at = 0; at < count && written; at += WINDOW) {
		size_t some = count - at < WINDOW ? count - at : WINDOW;

		for (size_t i = 0; i < some; i++)
			put_le(octets + 2 * i, (uint16_t)samples[at + i], 2);
		written = fwrite(octets, 2, some, file) == some;
	}
	return fclose(file) == 0 && written ? PBX_OK : PBX_EIO;
}

/* As core_shape_fn, and PBX_ENOENT: from is no sound. */
static int shape_file(const char *from, const char *to, struct pbx_diag *diag)
{
	int16_t *samples = NULL;
	size_t count = 0;
	int err = read_sound(from, &samples, &count);

	if (err == PBX_EIO) {
		pbx_diag_set(diag, "file", "it is no sound file that can be read: WAV, FLAC, Ogg and MP3 can");
		return PBX_ENOENT;
	}
	if (err != PBX_OK)
		return err;
	if (count == MOST_SAMPLES || !rtp_speech_shape(samples, &count)) {
		pbx_diag_set(diag, "file", count == MOST_SAMPLES ? "it is longer than three minutes" : "nothing is heard in it");
		err = PBX_EINVAL;
	} else if ((err = write_sound(to, samples, count)) != PBX_OK) {
		pbx_diag_set(diag, "prompts.folders", "%s: %s", to, strerror(errno));
	}
	free(samples);
	return err;
}

int rtp_speech_shape_file(const char *from, const char *to, struct pbx_diag *diag)
{
	int err = shape_file(from, to, diag);

	return err == PBX_ENOENT ? PBX_EINVAL : err;
}

/* ---- the folder's limit ---- */

struct kept {
	char name[80];
	uint64_t bytes;
	struct timespec heard;
};

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Bytes in all, and which was heard longest ago. */
static uint64_t look_through(const char *folder, struct kept *ret_oldest)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	uint64_t bytes = 0;

	ret_oldest->name[0] = '\0';
	while (dir && (entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		struct stat file;

		if (entry->d_name[0] == '.' || length >= sizeof ret_oldest->name || fstatat(dirfd(dir), entry->d_name, &file, 0) != 0)
			continue;
		bytes += (uint64_t)file.st_size;
		if (ret_oldest->name[0] && !is_before(&file.st_mtim, &ret_oldest->heard))
			continue;
		memcpy(ret_oldest->name, entry->d_name, length + 1);
		ret_oldest->bytes = (uint64_t)file.st_size;
		ret_oldest->heard = file.st_mtim;
	}
	if (dir)
		(void)closedir(dir);
	return bytes;
}

static void forget_oldest(const struct core_speech *speech)
{
	const char *own = strrchr(core_speech_path(speech), '/') + 1;
	struct kept oldest;

	while (look_through(core_speech_folder(speech), &oldest) > core_speech_most_bytes(speech) && oldest.name[0] &&
	       strcmp(oldest.name, own)) {
		char path[2304];

		(void)snprintf(path, sizeof path, "%s/%s", core_speech_folder(speech), oldest.name);
		if (unlink(path) != 0)
			return;
	}
}

/* ---- one text ---- */

/* Has it spoken into raw, and shaped into made. */
static int speak(const struct core_speech *speech, const char *raw, const char *made, struct pbx_diag *diag)
{
	int err = core_speech_run(speech, raw, diag);

	if (err == PBX_OK)
		err = shape_file(raw, made, diag);
	if (err == PBX_ENOENT)
		pbx_diag_set(diag, "prompts.speech", "the engine wrote no sound file");
	if (err == PBX_EINVAL)
		pbx_diag_set(diag, "text", "the engine says nothing for it");
	return err == PBX_ENOENT || err == PBX_EINVAL ? PBX_EIO : err;
}

static int speak_anew(const struct core_speech *speech, struct pbx_diag *diag)
{
	char raw[2304], made[2304];
	int err;

	(void)mkdir(core_speech_folder(speech), 0750); /* it is there, or mkstemps tells */
	(void)snprintf(raw, sizeof raw, "%s/new-XXXXXX.wav", core_speech_folder(speech));
	int file = mkstemps(raw, 4);
	if (file < 0) {
		pbx_diag_set(diag, "prompts.speech", "%s: %s", core_speech_folder(speech), strerror(errno));
		return PBX_EIO;
	}
	(void)close(file);
	(void)snprintf(made, sizeof made, "%.*s-made.wav", (int)(strlen(raw) - 4), raw);
	err = speak(speech, raw, made, diag);
	if (err == PBX_OK && rename(made, core_speech_path(speech)) != 0) {
		pbx_diag_set(diag, "prompts.speech", "%s: %s", core_speech_path(speech), strerror(errno));
		err = PBX_EIO;
	}
	(void)unlink(raw);
	if (err != PBX_OK)
		(void)unlink(made); /* or it has never been there */
	return err;
}

int rtp_speech_make(const struct core_speech *speech, struct pbx_diag *diag)
{
	struct pbx_diag own = { .text = "" };
	struct timespec heard[2];

	(void)clock_gettime(CLOCK_REALTIME, &heard[0]); /* finer than a file system's own "now" */
	heard[1] = heard[0];
	if (utimensat(AT_FDCWD, core_speech_path(speech), heard, 0) == 0)
		return PBX_OK;
	int err = speak_anew(speech, &own);
	if (err != PBX_OK)
		core_log(PBX_LOG_ERROR, "prompts", NULL, "not_spoken", "result=%d reason=\"%s\"", err, own.text);
	else
		forget_oldest(speech);
	if (err != PBX_OK && diag)
		*diag = own;
	return err;
}

/* ---- for who only wants the file ---- */

struct job {
	struct core_speech *speech;
	core_spoken_fn done;
	int result;
	struct pbx_diag diag;
};

static void work(void *data)
{
	struct job *job = data;

	job->result = rtp_speech_make(job->speech, &job->diag);
}

static void worked(void *self, void *data, int status)
{
	struct job *job = data;

	if (status == PBX_OK)
		job->done(self, job->speech, job->result, &job->diag);
	else
		core_speech_free(job->speech); /* its owner has stopped */
	free(job);
}

int rtp_speech_speak(struct pbx_host *owner, struct core_speech *speech, core_spoken_fn done, void *self)
{
	struct job *job = calloc(1, sizeof *job);

	if (!job)
		return PBX_ENOMEM;
	job->speech = speech;
	job->done = done;
	int err = core_work(owner, work, worked, self, job);
	if (err != PBX_OK)
		free(job);
	return err;
}
