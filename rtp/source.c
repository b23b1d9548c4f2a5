/*
 * source - the loop's side of shared programmes, and how a player reads one
 *
 * A source lives until the loop has closed it, the reader has let go of it, and the last listener's play has come back. A frame
 * in the ring carries its number, written last and looked at again after copying: a player that was overtaken by the reader
 * notices and begins again where the programme is now.
 */
#include "source_inner.h"

#include <core/handle.h>
#include <core/log.h>
#include <core/loop.h>
#include <core/prompts.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MS 20u
#define SAMPLES RTP_LAWS /* which part of a frame: behind those in G.711 */

static struct core_handles sources;
static uint32_t listening;
static bool running;

/* ---- reading the ring ---- [media] */

/* part: a law, or SAMPLES. */
static bool copy_frame(struct rtp_source *source, uint64_t number, uint32_t part, uint64_t *ret_words, size_t count)
{
	struct rtp_source_frame *frame = &source->ring[number % RTP_SOURCE_FRAMES];
	const _Atomic uint64_t *words = part == SAMPLES ? frame->samples : frame->codes[part];

	if (atomic_load_explicit(&frame->number, memory_order_acquire) != number + 1)
		return false;
	for (size_t i = 0; i < count; i++)
		ret_words[i] = atomic_load_explicit(&words[i], memory_order_acquire);
	return rtp_read(&frame->number) == number + 1;
}

/* Begins where the programme is, and again when the reader has gone round past us. */
static void find_place(const struct rtp_source *source, struct rtp_play *play, uint64_t written)
{
	if (play->source_begun && written - play->source_frame < RTP_SOURCE_FRAMES)
		return;
	play->source_begun = true;
	play->source_frame = atomic_load_explicit(&source->heard, memory_order_acquire);
	play->source_at = 0;
}

/* Time goes by in codes of G.711; each of them is `width` octets of this part. Octets copied, or -1: the source has been closed. */
static int32_t take(struct rtp_play *play, uint32_t part, uint32_t width, uint8_t *ret_octets, uint32_t codes)
{
	struct rtp_source *source = play->source;
	uint64_t words[RTP_SOURCE_SAMPLE_WORDS];
	uint32_t done = 0;

	if (rtp_read(&source->closed))
		return -1;
	find_place(source, play, atomic_load_explicit(&source->written, memory_order_acquire));
	while (done < codes && copy_frame(source, play->source_frame, part, words, RTP_SOURCE_CODE_WORDS * width)) {
		uint32_t some = RTP_SOURCE_FRAME_CODES - play->source_at;

		some = some < codes - done ? some : codes - done;
		memcpy(ret_octets + (size_t)done * width, (const uint8_t *)words + (size_t)play->source_at * width, (size_t)some * width);
		done += some;
		play->source_at = (play->source_at + some) % RTP_SOURCE_FRAME_CODES;
		play->source_frame += play->source_at == 0;
	}
	return (int32_t)(done * width);
}

bool rtp_source_take_codes(struct rtp_play *play, uint32_t law, uint8_t *ret_codes, uint32_t count)
{
	int32_t got = take(play, law, 1, ret_codes, count);

	if (got >= 0)
		memset(ret_codes + got, rtp_g711_silence(law), count - (uint32_t)got);
	return got >= 0;
}

bool rtp_source_take(struct rtp_play *play, int16_t *ret_samples, uint32_t count)
{
	int32_t got = take(play, SAMPLES, 2 * sizeof *ret_samples, (uint8_t *)ret_samples, count / 2);

	if (got >= 0)
		memset((uint8_t *)ret_samples + got, 0, count * sizeof *ret_samples - (uint32_t)got);
	return got >= 0;
}

/* ---- lists of files ---- [loop] */

static bool has_url(const struct pbx_source_spec *spec)
{
	return spec->url && *spec->url;
}

static void free_texts(char **texts, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(texts[i]);
}

void rtp_playlist_free(struct rtp_playlist *list)
{
	if (!list)
		return;
	free_texts(list->files, list->count);
	free_texts(list->announcements, list->announcement_count);
	free(list->announcements);
	free(list->url);
	free(list);
}

/* Prompts are looked up now: the sound folders are the loop's. */
static bool add_announcements(struct rtp_playlist *list, const struct pbx_source_spec *spec)
{
	char path[4096];

	if (spec->announcement_count == 0 || spec->announce_every_s == 0)
		return true;
	list->announce_every = spec->announce_every_s * 1000u / FRAME_MS;
	list->announcements = calloc(spec->announcement_count, sizeof *list->announcements);
	for (uint32_t i = 0; list->announcements && i < spec->announcement_count; i++) {
		if (core_prompts_find("", spec->announcements[i], RTP_DECODED_HZ, path, sizeof path) != PBX_OK) {
			core_log(PBX_LOG_WARN, "media", NULL, "announcement_not_found", "source=\"%s\" prompt=%s",
				 spec->name ? spec->name : "", spec->announcements[i]);
			continue;
		}
		char *copy = strdup(path);

		if (!copy)
			return false;
		list->announcements[list->announcement_count++] = copy;
	}
	return list->announcements != NULL;
}

static bool add_files(struct rtp_playlist *list, const struct pbx_source_spec *spec)
{
	for (; list->count < spec->file_count; list->count++) {
		list->files[list->count] = strdup(spec->files[list->count]);
		if (!list->files[list->count])
			return false;
	}
	return true;
}

static struct rtp_playlist *playlist_new(const struct pbx_source_spec *spec)
{
	struct rtp_playlist *list = calloc(1, sizeof *list + spec->file_count * sizeof list->files[0]);

	if (!list)
		return NULL;
	list->order = spec->order;
	list->runs_always = spec->runs_always;
	list->levels = spec->levels;
	list->trims_silence = spec->trims_silence;
	list->gain = powf(10.0f, (float)spec->gain_cdb / 2000.0f);
	list->url = has_url(spec) ? strdup(spec->url) : NULL;
	if ((!has_url(spec) || list->url) && add_files(list, spec) && add_announcements(list, spec))
		return list;
	rtp_playlist_free(list);
	return NULL;
}

/* ---- life ---- [loop] */

static void source_free(struct rtp_source *source)
{
	if (!source)
		return;
	rtp_resamplers_close(&source->narrow);
	free(source->name);
	free(source);
}

static void source_unref(struct rtp_source *source)
{
	if (--source->refs == 0)
		source_free(source);
}

/* To the reader, which gives the command back. Every command holds a reference. */
static int tell_reader(struct rtp_source *source, uint32_t kind, struct rtp_playlist *list)
{
	struct rtp_source_command *command = calloc(1, sizeof *command);

	if (!command)
		return PBX_ENOMEM;
	*command = (struct rtp_source_command){ .command = { .kind = kind }, .source = source, .list = list };
	source->refs++;
	core_busy(1);
	rtp_reader_send(command);
	return PBX_OK;
}

void rtp_source_returned(struct rtp_command *command)
{
	struct rtp_source_command *done = (struct rtp_source_command *)command;

	core_busy(-1);
	rtp_playlist_free(done->list);
	source_unref(done->source);
	free(done);
}

static void on_source_revoked(struct core_charge *charge)
{
	struct rtp_source *source = (struct rtp_source *)((char *)charge - offsetof(struct rtp_source, charge));

	(void)rtp_source_close((pbx_source){ source->id });
}

static struct rtp_source *source_new(const char *name)
{
	struct rtp_source *source = calloc(1, sizeof *source);

	if (!source)
		return NULL;
	source->refs = 1;
	source->name = strdup(name ? name : "");
	source->programme.name = source->name;
	if (source->name && rtp_resamplers_open(&source->narrow, RTP_SOURCE_HZ, true, rtp_rate_bit(8000)) == PBX_OK)
		source->id = core_handle_new(&sources, source);
	if (source->id != 0)
		return source;
	source_free(source);
	return NULL;
}

int rtp_source_open(struct pbx_host *owner, const struct pbx_source_spec *spec, pbx_source *ret_source)
{
	if (spec->file_count == 0 && !has_url(spec))
		return PBX_EINVAL;
	if (!running)
		return PBX_EIO;
	struct rtp_playlist *list = playlist_new(spec);
	struct rtp_source *source = list ? source_new(spec->name) : NULL;

	if (!source || tell_reader(source, RTP_SOURCE_LIST, list) != PBX_OK) {
		if (source)
			core_handle_free(&sources, source->id);
		source_free(source);
		rtp_playlist_free(list);
		return PBX_ENOMEM;
	}
	source->owner = owner;
	if (owner)
		core_charge_add(owner, &source->charge, "media source", false, on_source_revoked);
	*ret_source = (pbx_source){ source->id };
	return PBX_OK;
}

int rtp_source_update(pbx_source name, const struct pbx_source_spec *spec)
{
	struct rtp_source *source = core_handle_find(&sources, name.id);

	if (!source)
		return PBX_ENOENT;
	if (spec->file_count == 0 && !has_url(spec))
		return PBX_EINVAL;
	struct rtp_playlist *list = playlist_new(spec);

	if (list && tell_reader(source, RTP_SOURCE_LIST, list) == PBX_OK)
		return PBX_OK;
	rtp_playlist_free(list);
	return PBX_ENOMEM;
}

int rtp_source_close(pbx_source name)
{
	struct rtp_source *source = core_handle_find(&sources, name.id);

	if (!source)
		return PBX_ENOENT;
	int err = tell_reader(source, RTP_SOURCE_DROP, NULL);

	if (err != PBX_OK)
		return err;
	core_charge_remove(&source->charge);
	core_handle_free(&sources, source->id);
	rtp_write(&source->closed, true);
	source_unref(source);
	return PBX_OK;
}

int rtp_source_listeners(pbx_source name, uint32_t *ret_listeners)
{
	const struct rtp_source *source = core_handle_find(&sources, name.id);

	if (!source)
		return PBX_ENOENT;
	*ret_listeners = rtp_read(&source->listeners);
	return PBX_OK;
}

int rtp_source_state(pbx_source name, struct pbx_source_state *ret_state)
{
	const struct rtp_source *source = core_handle_find(&sources, name.id);

	if (!source)
		return PBX_ENOENT;
	ret_state->listeners = rtp_read(&source->listeners);
	ret_state->running = rtp_read(&source->runs);
	ret_state->streaming = ret_state->running && rtp_read(&source->streaming);
	return PBX_OK;
}

int rtp_source_join(pbx_source name, struct rtp_play *play, void (*revoke)(struct core_charge *charge))
{
	struct rtp_source *source = core_handle_find(&sources, name.id);

	if (!source)
		return PBX_ENOENT;
	play->source = source;
	source->refs++;
	listening++;
	rtp_write(&source->listeners, rtp_read(&source->listeners) + 1);
	rtp_reader_wake(); /* it may be asleep */
	if (source->owner)
		core_charge_add(source->owner, &play->charge, "listener of a source", true, revoke);
	return PBX_OK;
}

void rtp_source_part(struct rtp_play *play)
{
	struct rtp_source *source = play->source;

	if (!source)
		return;
	core_charge_remove(&play->charge);
	rtp_write(&source->listeners, rtp_read(&source->listeners) - 1);
	listening--;
	play->source = NULL;
	source_unref(source);
}

int rtp_sources_start(struct rtp_common *common)
{
	core_handles_init(&sources, 'S');
	int err = rtp_reader_start(common);

	running = err == PBX_OK;
	return err;
}

void rtp_sources_stop(void)
{
	uint32_t at = 0;
	struct rtp_source *source;

	if (!running)
		return;
	while ((source = core_handles_next(&sources, &at)))
		(void)rtp_source_close((pbx_source){ source->id });
	rtp_reader_stop();
	rtp_radios_wait();
	running = false;
	core_handles_fini(&sources);
}

void rtp_sources_totals(struct rtp_source_totals *ret_totals)
{
	*ret_totals = (struct rtp_source_totals){ .sources = core_handles_count(&sources),
						  .listeners = listening,
						  .running = rtp_reader_running(),
						  .frames = rtp_reader_frames() };
}
