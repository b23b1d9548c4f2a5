/*
 * reader - the thread that plays the shared sources into their rings
 *
 * It wakes ten times a second while any source runs and sleeps otherwise. A source that runs is kept some frames ahead of its
 * time, so that a slow disk is not heard. What is in a frame is programme.c's story.
 */
#include "source_inner.h"
#include "thread.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FRAME_US 20000u
#define WAKE_MS 100
#define LINGERS 300u            /* rounds: half a minute */
#define MOST_BEHIND_US 2000000u /* longer stalls are not made good */

static struct {
	struct rtp_thread thread;
	struct rtp_common *common;
	struct rtp_source *sources; /* the thread's own */
	_Atomic uint32_t running;
	_Atomic uint64_t frames;
} reader;

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- frames ---- */

/* Behind number = 0. */
static void store_words(_Atomic uint64_t *words, const void *from, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t word;

		memcpy(&word, (const char *)from + i * sizeof word, sizeof word);
		atomic_store_explicit(&words[i], word, memory_order_release);
	}
}

static void publish(struct rtp_source *source, const int16_t *samples)
{
	uint64_t number = rtp_read(&source->written);
	struct rtp_source_frame *frame = &source->ring[number % RTP_SOURCE_FRAMES];
	int16_t narrow[RTP_SOURCE_FRAME_CODES] = { 0 };
	uint8_t codes[RTP_SOURCE_FRAME_CODES];

	(void)rtp_resample(&source->narrow, 8000, samples, RTP_SOURCE_FRAME_SAMPLES, narrow, RTP_SOURCE_FRAME_CODES);
	rtp_write(&frame->number, 0);
	for (uint32_t law = 0; law < RTP_LAWS; law++) {
		rtp_g711_encode_all(law, narrow, codes, RTP_SOURCE_FRAME_CODES);
		store_words(frame->codes[law], codes, RTP_SOURCE_CODE_WORDS);
	}
	store_words(frame->samples, samples, RTP_SOURCE_SAMPLE_WORDS);
	atomic_store_explicit(&frame->number, number + 1, memory_order_release);
	atomic_store_explicit(&source->written, number + 1, memory_order_release);
}

static void fill(struct rtp_source *source)
{
	int16_t samples[RTP_SOURCE_FRAME_SAMPLES];
	uint64_t until = rtp_read(&source->heard) + RTP_SOURCE_AHEAD;

	while (rtp_read(&source->written) < until) {
		rtp_count(&reader.frames, rtp_programme_next(&source->programme, samples));
		publish(source, samples);
	}
}

/* ---- time ---- */

/* A stream is kept a while after the last listener has left: the next one may come at once. */
static bool runs(struct rtp_source *source)
{
	if (rtp_read(&source->listeners) > 0 || source->programme.now->runs_always)
		source->lingers = source->programme.now->url ? LINGERS : 0;
	else if (source->lingers > 0)
		source->lingers--;
	else
		return false;
	return true;
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
		bool on = runs(source);

		rtp_write(&source->runs, on);
		if (!on) {
			source->clock_us = 0;
			rtp_programme_rest(&source->programme);
			continue;
		}
		running++;
		pass_time(source);
		fill(source);
		rtp_write(&source->streaming, source->programme.radio && rtp_radio_is_heard(source->programme.radio));
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
	rtp_programme_clear(&source->programme);
}

static void change_list(struct rtp_source_command *command)
{
	struct rtp_source *source = command->source;

	if (!source->programme.now) {
		source->next = reader.sources;
		reader.sources = source;
	}
	command->list = rtp_programme_change(&source->programme, command->list);
}

static void obey(struct rtp_source_command *command)
{
	if (command->command.kind == RTP_SOURCE_DROP)
		drop(command->source);
	else
		change_list(command);
	rtp_queue_push(&reader.common->returns, &command->command.node);
	reader.common->wake();
}

static int one_round(void)
{
	struct rtp_node *node;

	while ((node = rtp_thread_take(&reader.thread)))
		obey((struct rtp_source_command *)node);
	return run_sources() ? WAKE_MS : -1;
}

/* ---- the loop's side ---- */

int rtp_reader_start(struct rtp_common *common)
{
	reader.common = common;
	reader.sources = NULL;
	return rtp_thread_start(&reader.thread, "media-reader", one_round);
}

void rtp_reader_wake(void)
{
	rtp_thread_wake(&reader.thread);
}

void rtp_reader_send(struct rtp_source_command *command)
{
	rtp_thread_send(&reader.thread, &command->command.node);
}

void rtp_reader_stop(void)
{
	rtp_thread_stop(&reader.thread);
}

uint32_t rtp_reader_running(void)
{
	return rtp_read(&reader.running);
}

uint64_t rtp_reader_frames(void)
{
	return rtp_read(&reader.frames);
}
