/*
 * reader - the thread that plays the shared sources into their rings
 *
 * It wakes ten times a second while any source runs and sleeps otherwise. A source that runs is kept some frames ahead of its
 * time, so that a slow disk is not heard. A file that cannot be played is named and skipped; when a whole round of them
 * fails there is a second of silence before the next try.
 */
#include "source_inner.h"

#include <core/log.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define FRAME_US 20000u
#define WAKE_MS 100
#define SILENT_FRAMES 50u       /* after a round without a playable file */
#define MOST_BEHIND_US 2000000u /* longer stalls are not made good */

static struct {
	pthread_t thread;
	int wake_fd;
	struct rtp_queue commands;
	struct rtp_common *common;
	struct rtp_source *sources; /* the thread's own */
	bool quit;
	_Atomic uint32_t running;
	_Atomic uint64_t frames;
} reader;

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- which file comes next ---- */

/* The order of a round: as listed, from a random one on, or shuffled (Fisher and Yates). */
static void arrange(struct rtp_source *source)
{
	const struct rtp_playlist *list = source->list;
	uint32_t first = list->order == PBX_SOURCE_RANDOM_START ? arc4random_uniform(list->count) : 0;

	for (uint32_t i = 0; i < list->count; i++)
		source->sequence[i] = (first + i) % list->count;
	for (uint32_t i = list->count - 1; list->order == PBX_SOURCE_SHUFFLED && i > 0; i--) {
		uint32_t other = arc4random_uniform(i + 1), held = source->sequence[i];

		source->sequence[i] = source->sequence[other];
		source->sequence[other] = held;
	}
	source->at = 0;
}

static void take_list(struct rtp_source *source, struct rtp_playlist *list)
{
	uint32_t *sequence = realloc(source->sequence, list->count * sizeof *sequence);

	if (!sequence) { /* go on with the old list */
		rtp_playlist_free(list);
		return;
	}
	if (source->list != list)
		rtp_playlist_free(source->list);
	source->sequence = sequence;
	source->list = list;
	source->failures = source->rounds = 0;
	arrange(source);
}

/* The end of the list: round again. */
static void begin_round(struct rtp_source *source)
{
	source->rounds++;
	if (source->list->order == PBX_SOURCE_RANDOM_START)
		source->at = 0; /* once round is as good as the beginning */
	else
		arrange(source);
}

/* Opens the next file that can be played. False: none of them can now. */
static bool open_next(struct rtp_source *source)
{
	if (source->next_list) {
		struct rtp_playlist *list = source->next_list;

		source->next_list = NULL;
		take_list(source, list);
	}
	while (source->list && source->failures < 2 * source->list->count) { /* twice round: shuffled, the good ones may be far apart */
		if (source->at == source->list->count)
			begin_round(source);
		const char *file = source->list->files[source->sequence[source->at++]];
		int err = rtp_decoder_open(file, &source->decoder);

		source->gave = false;
		if (err == PBX_OK)
			return true;
		source->failures++;
		if (source->rounds == 0) /* said once a list */
			core_log(PBX_LOG_WARN, "media", NULL, "source_file_skipped", "source=\"%s\" file=%s result=%d", source->name, file,
				 err);
	}
	source->failures = 0;
	return false;
}

/* ---- frames ---- */

static void publish(struct rtp_source *source, const int16_t *samples)
{
	uint64_t number = rtp_read(&source->written), words[RTP_SOURCE_WORDS];
	struct rtp_source_frame *frame = &source->ring[number % RTP_SOURCE_FRAMES];
	uint8_t codes[RTP_SOURCE_FRAME_BYTES];

	rtp_write(&frame->number, 0);
	for (uint32_t law = 0; law < RTP_LAWS; law++) {
		rtp_g711_encode_all(law, samples, codes, RTP_SOURCE_FRAME_BYTES);
		memcpy(words, codes, sizeof words);
		for (size_t i = 0; i < RTP_SOURCE_WORDS; i++)
			atomic_store_explicit(&frame->codes[law][i], words[i], memory_order_release); /* behind number = 0 */
	}
	atomic_store_explicit(&frame->number, number + 1, memory_order_release);
	atomic_store_explicit(&source->written, number + 1, memory_order_release);
}

static void apply_gain(int16_t *samples, float gain)
{
	for (uint32_t i = 0; i < RTP_SOURCE_FRAME_BYTES; i++) {
		float louder = (float)samples[i] * gain;

		samples[i] = (int16_t)lrintf(louder > 32767 ? 32767 : louder < -32768 ? -32768 : louder);
	}
}

/* One frame, across the ends of files. False: there is nothing to play now. */
static bool next_frame(struct rtp_source *source, int16_t samples[RTP_SOURCE_FRAME_BYTES])
{
	size_t done = 0;

	while (done < RTP_SOURCE_FRAME_BYTES) {
		if (!source->decoder && !open_next(source))
			break;
		size_t got = rtp_decoder_read(source->decoder, samples + done, RTP_SOURCE_FRAME_BYTES - done);

		done += got;
		if (got > 0) {
			source->gave = true;
			continue;
		}
		source->failures = source->gave ? 0 : source->failures + 1; /* an empty file is no better than none */
		rtp_decoder_close(source->decoder);
		source->decoder = NULL;
	}
	memset(samples + done, 0, (RTP_SOURCE_FRAME_BYTES - done) * sizeof *samples);
	return done > 0;
}

static void fill(struct rtp_source *source)
{
	int16_t samples[RTP_SOURCE_FRAME_BYTES];
	uint64_t until = rtp_read(&source->heard) + RTP_SOURCE_AHEAD;

	while (rtp_read(&source->written) < until) {
		uint32_t frames = next_frame(source, samples) ? 1 : SILENT_FRAMES;

		apply_gain(samples, source->gain);
		rtp_count(&reader.frames, frames == 1);
		for (; frames > 0; frames--)
			publish(source, samples);
	}
}

/* ---- time ---- */

static bool runs(const struct rtp_source *source)
{
	return rtp_read(&source->listeners) > 0 || source->runs_always;
}

static void pass_time(struct rtp_source *source)
{
	uint64_t now = now_us(), passed = source->clock_us ? (now - source->clock_us) / FRAME_US : 0;

	if (source->clock_us == 0 || now - source->clock_us > MOST_BEHIND_US)
		source->clock_us = now;
	else
		source->clock_us += passed * FRAME_US;
	uint64_t heard = rtp_read(&source->heard) + passed, written = rtp_read(&source->written);

	atomic_store_explicit(&source->heard, heard < written ? heard : written, memory_order_release);
}

static uint32_t run_sources(void)
{
	uint32_t running = 0;

	for (struct rtp_source *source = reader.sources; source; source = source->next) {
		if (!runs(source)) {
			source->clock_us = 0;
			continue;
		}
		running++;
		pass_time(source);
		fill(source);
	}
	rtp_write(&reader.running, running);
	return running;
}

/* ---- commands ---- */

static void drop(struct rtp_source *source)
{
	struct rtp_source **at = &reader.sources;

	while (*at && *at != source)
		at = &(*at)->next;
	if (*at)
		*at = source->next;
	rtp_decoder_close(source->decoder);
	rtp_playlist_free(source->list);
	rtp_playlist_free(source->next_list);
	free(source->sequence);
	source->decoder = NULL;
	source->list = source->next_list = NULL;
	source->sequence = NULL;
}

static void change_list(struct rtp_source_command *command)
{
	struct rtp_source *source = command->source;
	struct rtp_playlist *list = command->list;

	if (!source->list && !source->next_list) {
		source->next = reader.sources;
		reader.sources = source;
	}
	command->list = source->next_list; /* one that was never begun */
	source->next_list = list;
	source->gain = list->gain; /* these at once */
	source->runs_always = list->runs_always;
}

static void obey(struct rtp_source_command *command)
{
	if (command->command.kind == RTP_SOURCE_QUIT) {
		reader.quit = true;
		return;
	}
	if (command->command.kind == RTP_SOURCE_DROP)
		drop(command->source);
	else
		change_list(command);
	rtp_queue_push(&reader.common->returns, &command->command.node);
	reader.common->wake();
}

static void *reader_main(void *argument)
{
	uint32_t running = 0;

	(void)argument;
	while (!reader.quit) {
		struct pollfd ready = { .fd = reader.wake_fd, .events = POLLIN };
		uint64_t wakes;
		struct rtp_node *node;

		(void)poll(&ready, 1, running ? WAKE_MS : -1);
		(void)!read(reader.wake_fd, &wakes, sizeof wakes); /* only to make it quiet again */
		while ((node = rtp_queue_pop(&reader.commands)))
			obey((struct rtp_source_command *)node);
		running = run_sources();
	}
	return NULL;
}

/* ---- the loop's side ---- */

int rtp_reader_start(struct rtp_common *common)
{
	reader.common = common;
	reader.sources = NULL;
	reader.quit = false;
	rtp_queue_init(&reader.commands);
	reader.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (reader.wake_fd < 0)
		return PBX_EIO;
	if (pthread_create(&reader.thread, NULL, reader_main, NULL) != 0) {
		(void)close(reader.wake_fd);
		return PBX_ENOMEM;
	}
	(void)pthread_setname_np(reader.thread, "media-reader");
	return PBX_OK;
}

void rtp_reader_wake(void)
{
	const uint64_t one = 1;

	(void)!write(reader.wake_fd, &one, sizeof one); /* fails only when it is awake 2^64 times over */
}

void rtp_reader_send(struct rtp_source_command *command)
{
	rtp_queue_push(&reader.commands, &command->command.node);
	rtp_reader_wake();
}

void rtp_reader_stop(void)
{
	struct rtp_source_command quit = { .command.kind = RTP_SOURCE_QUIT };

	rtp_reader_send(&quit);
	(void)pthread_join(reader.thread, NULL);
	(void)close(reader.wake_fd);
}

uint32_t rtp_reader_running(void)
{
	return rtp_read(&reader.running);
}

uint64_t rtp_reader_frames(void)
{
	return rtp_read(&reader.frames);
}
