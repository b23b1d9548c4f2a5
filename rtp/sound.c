/*
 * sound - files and tones in memory, decoded once for all who play them
 *
 * A file is decoded by jobs in the pool, one second in the first and more in each that follows, so that a player can begin at
 * once and no long file keeps the pool to itself. When nobody plays a sound any more it stays for the next one, up to a
 * limit; a file that has changed meanwhile is decoded again.
 */
#include "sound.h"
#include "tones.h"
#include "decoder.h"
#include "speech.h"

#include <core/log.h>
#include <core/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_BLOCKS 1u
#define JOB_BLOCKS 30u
#define MOST_KEPT_BLOCKS 400u /* six minutes, 19 MB, of sounds that nobody plays now */

/* One file on its way into memory. */
struct job {
	struct rtp_sound *sound; /* [loop] */
	char *path;
	struct core_speech *speech;        /* makes that file; NULL: it is there */
	struct rtp_decoder *narrow, *wide; /* of the same file */
	struct rtp_sound_block *last;
	uint32_t most_blocks, blocks; /* of this run */
	int result;                   /* PBX_OK: the end is reached; PBX_ELATER: there is more */
	size_t samples;
};

static struct rtp_sound *sounds; /* kept, newest first */

struct rtp_sound_block *rtp_sound_block_new(void)
{
	struct rtp_sound_block *block = malloc(sizeof *block);

	if (!block)
		return NULL;
	atomic_init(&block->next, NULL);
	atomic_init(&block->used, 0);
	return block;
}

static void sound_free(struct rtp_sound *sound)
{
	while (sound->first) {
		struct rtp_sound_block *next = rtp_read(&sound->first->next);

		free(sound->first);
		sound->first = next;
	}
	free(sound->name);
	free(sound);
}

static struct rtp_sound *sound_new(const char *name)
{
	struct rtp_sound *sound = calloc(1, sizeof *sound);

	if (!sound)
		return NULL;
	sound->name = strdup(name);
	sound->refs = 1;
	if (sound->name)
		return sound;
	free(sound);
	return NULL;
}

/* ---- what is kept ---- */

static void keep(struct rtp_sound *sound)
{
	sound->kept = true;
	sound->next = sounds;
	sounds = sound;
}

static void stop_keeping(struct rtp_sound *sound)
{
	struct rtp_sound **at = &sounds;

	if (!sound->kept)
		return;
	while (*at != sound)
		at = &(*at)->next;
	*at = sound->next;
	sound->kept = false;
}

static uint32_t kept_blocks(void)
{
	uint32_t blocks = 0;

	for (const struct rtp_sound *sound = sounds; sound; sound = sound->next)
		blocks += sound->refs == 0 ? sound->blocks : 0;
	return blocks;
}

/* The oldest that nobody plays go first. */
static void forget_oldest(uint32_t most_blocks)
{
	while (kept_blocks() > most_blocks) {
		struct rtp_sound *oldest = NULL;

		for (struct rtp_sound *sound = sounds; sound; sound = sound->next)
			oldest = sound->refs == 0 ? sound : oldest;
		stop_keeping(oldest);
		sound_free(oldest);
	}
}

static struct rtp_sound *find_kept(const char *name)
{
	struct rtp_sound *sound = sounds;

	while (sound && strcmp(sound->name, name) != 0)
		sound = sound->next;
	return sound;
}

void rtp_sound_unref(struct rtp_sound *sound)
{
	if (!sound || --sound->refs > 0)
		return;
	if (!sound->kept)
		sound_free(sound);
	forget_oldest(MOST_KEPT_BLOCKS);
}

void rtp_sounds_fini(void)
{
	while (sounds) {
		struct rtp_sound *sound = sounds;

		stop_keeping(sound);
		if (sound->refs == 0)
			sound_free(sound);
	}
}

/* ---- decoding ---- [work] */

static bool fill_block(struct job *job, struct rtp_sound_block *block)
{
	size_t got = rtp_decoder_read(job->narrow, block->narrow, RTP_BLOCK_SAMPLES);
	size_t wide = rtp_decoder_read(job->wide, block->wide, 2 * got);

	memset(block->wide + wide, 0, (2 * got - wide) * sizeof block->wide[0]);
	job->samples += got;
	atomic_store_explicit(&block->used, (uint32_t)got, memory_order_release);
	return got == RTP_BLOCK_SAMPLES && job->samples < (size_t)RTP_MOST_SOUND_S * RTP_NARROW_HZ;
}

/* The next block, published once it is filled. False: this was the last. */
static bool add_block(struct job *job)
{
	struct rtp_sound_block *block = job->last;

	if (job->samples > 0) {
		block = rtp_sound_block_new();
		if (!block) {
			job->result = PBX_ENOMEM;
			return false;
		}
	}
	bool more = fill_block(job, block);

	if (block != job->last)
		atomic_store_explicit(&job->last->next, block, memory_order_release);
	job->last = block;
	job->blocks++;
	return more;
}

static int open_decoders(struct job *job)
{
	int err = job->speech ? rtp_speech_make(job->speech, NULL) : PBX_OK;

	if (err == PBX_OK)
		err = rtp_decoder_open(job->path, RTP_NARROW_HZ, &job->narrow);
	return err == PBX_OK ? rtp_decoder_open(job->path, RTP_SOUND_HZ, &job->wide) : err;
}

static void decode(void *context)
{
	struct job *job = context;

	job->blocks = 0;
	job->result = job->wide ? PBX_OK : open_decoders(job);
	if (job->result != PBX_OK)
		return;
	while (job->blocks < job->most_blocks) {
		if (!add_block(job))
			return;
	}
	job->result = PBX_ELATER;
}

/* ---- and back ---- [loop] */

static void job_free(struct job *job)
{
	rtp_decoder_close(job->narrow);
	rtp_decoder_close(job->wide);
	core_speech_free(job->speech);
	free(job->path);
	free(job);
}

static void tell_ready(struct rtp_sound *sound, int result)
{
	struct rtp_play *waiting = sound->awaiting;

	if (sound->ready)
		return;
	sound->ready = true;
	sound->result = result;
	sound->awaiting = NULL;
	while (waiting) {
		struct rtp_play *play = waiting;

		waiting = play->after;
		rtp_stream_sound_ready(play);
	}
}

static void end_job(struct job *job, int result)
{
	struct rtp_sound *sound = job->sound;

	if (result != PBX_OK)
		core_log(PBX_LOG_WARN, "media", NULL, "sound_unreadable", "file=%s result=%d", sound->name, result);
	if (result != PBX_OK)
		stop_keeping(sound);
	atomic_store_explicit(&sound->complete, true, memory_order_release);
	job_free(job);
	tell_ready(sound, result);
	rtp_sound_unref(sound);
}

static void decoded(void *context, void *data, int status)
{
	struct job *job = data;

	(void)context;
	job->sound->blocks += job->blocks;
	if (status == PBX_OK && job->result == PBX_ELATER) {
		tell_ready(job->sound, PBX_OK);
		job->most_blocks = JOB_BLOCKS;
		if (core_work(core_self(), decode, decoded, NULL, job) == PBX_OK)
			return;
		status = PBX_ENOMEM;
	}
	end_job(job, status == PBX_OK ? job->result : status);
}

/* The job holds a reference of its own, and takes the speech. */
static int start_job(struct rtp_sound *sound, const char *path, struct core_speech *speech)
{
	struct job *job = calloc(1, sizeof *job);

	if (!job) {
		core_speech_free(speech);
		return PBX_ENOMEM;
	}
	*job = (struct job){ .sound = sound, .path = strdup(path), .speech = speech, .last = sound->first, .most_blocks = FIRST_BLOCKS };
	if (!job->path || core_work(core_self(), decode, decoded, NULL, job) != PBX_OK) {
		job_free(job);
		return PBX_ENOMEM;
	}
	sound->refs++;
	return PBX_OK;
}

static struct rtp_sound *load(const char *path, struct core_speech *speech)
{
	struct rtp_sound *sound = sound_new(path);

	if (sound)
		sound->first = rtp_sound_block_new();
	if (!sound || !sound->first)
		core_speech_free(speech);
	if (!sound)
		return NULL;
	if (!sound->first || start_job(sound, path, speech) != PBX_OK) {
		sound_free(sound);
		return NULL;
	}
	keep(sound);
	return sound;
}

struct rtp_sound *rtp_sound_open(const char *path)
{
	struct rtp_sound *sound = find_kept(path);
	struct stat file = { 0 };

	(void)stat(path, &file); /* one that is not there fails when it is opened */
	if (sound && sound->bytes == file.st_size &&
	    sound->changed_ns == (int64_t)file.st_mtim.tv_sec * 1000000000 + file.st_mtim.tv_nsec) {
		sound->refs++;
		return sound;
	}
	if (sound) { /* those who play the old one play it to its end */
		stop_keeping(sound);
		if (sound->refs == 0)
			sound_free(sound);
	}
	sound = load(path, NULL);
	if (sound) {
		sound->changed_ns = (int64_t)file.st_mtim.tv_sec * 1000000000 + file.st_mtim.tv_nsec;
		sound->bytes = file.st_size;
	}
	return sound;
}

struct rtp_sound *rtp_sound_speak(struct core_speech *speech)
{
	struct rtp_sound *sound = find_kept(core_speech_path(speech));

	if (!sound)
		return load(core_speech_path(speech), speech);
	core_speech_free(speech); /* the same words in the same voice: such a file never changes */
	sound->refs++;
	return sound;
}

struct rtp_sound *rtp_sound_tone(const char *country, const char *name)
{
	const char *cadence = rtp_tone_cadence(country, name);
	char key[1024];

	if (!cadence || strlen(cadence) > sizeof key - 6)
		return NULL;
	(void)snprintf(key, sizeof key, "tone:%s", cadence); /* no path: those are absolute */
	struct rtp_sound *sound = find_kept(key);

	if (sound) {
		sound->refs++;
		return sound;
	}
	sound = sound_new(key);
	if (!sound)
		return NULL;
	sound->result = rtp_tone_render(cadence, &sound->first, &sound->repeats);
	if (sound->result != PBX_OK) {
		sound_free(sound);
		return NULL;
	}
	atomic_init(&sound->complete, true);
	sound->ready = true;
	keep(sound);
	return sound;
}

void rtp_sound_await(struct rtp_sound *sound, struct rtp_play *play)
{
	play->after = sound->awaiting;
	sound->awaiting = play;
}

void rtp_sound_forget(struct rtp_sound *sound, struct rtp_play *play)
{
	struct rtp_play **at = &sound->awaiting;

	while (*at && *at != play)
		at = &(*at)->after;
	if (*at)
		*at = play->after;
}
