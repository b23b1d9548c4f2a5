/* tests/fake/media_beside.c - who listens and speaks beside a call: taps, injections, detections that give and find what a test says */
#include "handle.h"
#include "inject_writer.h"
#include "loop.h"
#include "media.h"
#include "owner.h"
#include "tap_reader.h"
#include <stdlib.h>
#include <string.h>

/* One of the three. */
struct beside {
	struct core_charge charge; /* first */
	uint64_t id;
	core_stream stream;
	struct pbx_host *owner;
	void *self;
	bool ended;
	uint64_t leg;
	struct beside *next;

	struct pbx_tap_spec tap; /* what 0: it is none */
	struct pbx_tap_watcher tap_watcher;
	struct pbx_tap_reader *reader;
	uint64_t blocks;

	struct pbx_inject_spec voice; /* how 0: it is none */
	struct pbx_inject_watcher voice_watcher;
	struct pbx_inject_writer *writer;
	uint64_t said;
	uint32_t drained;

	uint32_t detects; /* 0: it is none */
	struct pbx_detect_watcher detect_watcher;
};

static struct core_handles table;
static struct beside *all;

static void beside_free(struct beside *beside)
{
	struct beside **at = &all;

	while (*at != beside)
		at = &(*at)->next;
	*at = beside->next;
	core_handle_free(&table, beside->id);
	core_charge_remove(&beside->charge);
	core_tap_reader_free(beside->reader);
	core_inject_writer_free(beside->writer);
	free(beside);
}

static void on_owner_stopped(struct core_charge *charge)
{
	beside_free((struct beside *)charge);
}

static struct beside *beside_new(struct pbx_host *owner, core_stream stream, const char *kind, void *self)
{
	struct beside *beside = calloc(1, sizeof *beside);

	ck_assert_ptr_nonnull(beside);
	beside->id = core_handle_new(&table, beside);
	beside->stream = stream;
	beside->owner = owner;
	beside->self = self;
	beside->next = all;
	all = beside;
	core_charge_add(owner, &beside->charge, kind, true, on_owner_stopped);
	return beside;
}

static int close_it(uint64_t id)
{
	struct beside *beside = core_handle_find(&table, id);

	if (!beside)
		return PBX_ENOENT;
	beside_free(beside);
	return PBX_OK;
}

/* ---- the driver's ---- */

static int tap_open(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_tap_spec *spec,
		    const struct pbx_tap_watcher *watcher, void *self, pbx_tap *ret_tap)
{
	struct beside *beside = beside_new(owner, stream, "tap", self);

	beside->tap = *spec;
	beside->tap_watcher = *watcher;
	beside->leg = leg.id;
	beside->reader = core_tap_reader_new(spec->rate_hz / 1000 * spec->block_ms * (spec->what == PBX_TAP_APART ? 2 : 1),
					     spec->room_ms / spec->block_ms);
	ck_assert_ptr_nonnull(beside->reader);
	*ret_tap = (pbx_tap){ beside->id };
	return PBX_OK;
}

static int tap_close(pbx_tap tap)
{
	return close_it(tap.id);
}

static int tap_reader(pbx_tap tap, struct pbx_tap_reader **ret_reader)
{
	const struct beside *beside = core_handle_find(&table, tap.id);

	if (!beside)
		return PBX_ENOENT;
	*ret_reader = beside->reader;
	return PBX_OK;
}

static int tap_state(pbx_tap tap, struct pbx_tap_state *ret_state)
{
	const struct beside *beside = core_handle_find(&table, tap.id);

	if (!beside)
		return PBX_ENOENT;
	*ret_state = (struct pbx_tap_state){ .size = ret_state->size,
					     .ended = beside->ended,
					     .leg = beside->leg,
					     .waiting_ms = core_tap_reader_waiting(beside->reader) * beside->tap.block_ms,
					     .made_ms = beside->blocks * beside->tap.block_ms,
					     .dropped_ms = core_tap_reader_dropped(beside->reader) * beside->tap.block_ms };
	return PBX_OK;
}

static struct beside *voice_at(core_stream stream)
{
	struct beside *beside = all;

	while (beside && (!beside->voice.how || beside->ended || beside->stream.id != stream.id))
		beside = beside->next;
	return beside;
}

static int inject_open(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_inject_spec *spec,
		       const struct pbx_inject_watcher *watcher, void *self, pbx_injection *ret_injection)
{
	if (voice_at(stream))
		return PBX_EBUSY;
	struct beside *beside = beside_new(owner, stream, "injection", self);

	beside->voice = *spec;
	beside->voice_watcher = *watcher;
	beside->leg = leg.id;
	beside->writer = core_inject_writer_new(spec->rate_hz / 1000 * spec->room_ms);
	ck_assert_ptr_nonnull(beside->writer);
	*ret_injection = (pbx_injection){ beside->id };
	return PBX_OK;
}

static int inject_close(pbx_injection injection)
{
	return close_it(injection.id);
}

static int inject_writer(pbx_injection injection, struct pbx_inject_writer **ret_writer)
{
	const struct beside *beside = core_handle_find(&table, injection.id);

	if (!beside)
		return PBX_ENOENT;
	*ret_writer = beside->writer;
	return PBX_OK;
}

static int inject_state(pbx_injection injection, struct pbx_inject_state *ret_state)
{
	const struct beside *beside = core_handle_find(&table, injection.id);

	if (!beside)
		return PBX_ENOENT;
	uint32_t khz = beside->voice.rate_hz / 1000;

	*ret_state = (struct pbx_inject_state){ .size = ret_state->size,
						.ended = beside->ended,
						.leg = beside->leg,
						.waiting_ms = core_inject_writer_waiting(beside->writer) / khz,
						.said_ms = beside->said / khz,
						.flushed_ms = core_inject_writer_flushed(beside->writer) / khz,
						.drained = beside->drained };
	return PBX_OK;
}

static int detect_start(struct pbx_host *owner, core_stream stream, const struct pbx_detect_spec *spec,
			const struct pbx_detect_watcher *watcher, void *self, pbx_detection *ret_detection)
{
	struct beside *beside = beside_new(owner, stream, "detection", self);

	beside->detects = spec->what;
	beside->detect_watcher = *watcher;
	*ret_detection = (pbx_detection){ beside->id };
	return PBX_OK;
}

static int detect_stop(pbx_detection detection)
{
	return close_it(detection.id);
}

/* ---- what a test does ---- */

void fake_stream_tapped(const struct fake_stream *stream, const int16_t *samples, uint32_t count)
{
	struct beside *next;

	for (struct beside *beside = all; beside; beside = next) {
		next = beside->next;
		if (!beside->tap.what || beside->stream.id != stream->handle.id)
			continue;
		uint32_t block = beside->tap.rate_hz / 1000 * beside->tap.block_ms * (beside->tap.what == PBX_TAP_APART ? 2 : 1);

		ck_assert_msg(count % block == 0, "%u samples are no whole blocks of %u", count, block);
		for (uint32_t at = 0; at < count; at += block)
			(void)core_tap_reader_put(beside->reader, samples + at, ++beside->blocks * beside->tap.block_ms * 1000);
		if (beside->tap_watcher.ready)
			CORE_INTO(beside->owner, beside->tap_watcher.ready(beside->self, (pbx_tap){ beside->id }));
	}
}

uint32_t fake_stream_injected(const struct fake_stream *stream, int16_t *ret_samples, uint32_t count)
{
	struct beside *beside = voice_at(stream->handle);
	uint32_t got = beside ? core_inject_writer_take(beside->writer, ret_samples, count) : 0;

	if (!beside)
		return 0;
	beside->said += got;
	if (got && got < count) {
		beside->drained++;
		if (beside->voice_watcher.drained)
			CORE_INTO(beside->owner, beside->voice_watcher.drained(beside->self, (pbx_injection){ beside->id }));
	}
	return got;
}

bool fake_stream_detects(const struct fake_stream *stream, const struct pbx_detected *found)
{
	bool told = false;
	struct beside *next;

	for (struct beside *beside = all; beside; beside = next) {
		next = beside->next;
		if (!(beside->detects & found->what) || beside->stream.id != stream->handle.id)
			continue;
		told = true;
		CORE_INTO(beside->owner, beside->detect_watcher.found(beside->self, (pbx_detection){ beside->id }, found));
	}
	return told;
}

/* After the present callback, as from the workers. */
static void tell_end(void *context, void *data)
{
	uint64_t id = *(uint64_t *)data;
	struct beside *beside = core_handle_find(&table, id);

	(void)context;
	free(data);
	if (!beside)
		return; /* its owner has let go of it */
	if (beside->tap.what && beside->tap_watcher.ended)
		CORE_INTO(beside->owner, beside->tap_watcher.ended(beside->self, (pbx_tap){ beside->id }));
	else if (beside->voice.how && beside->voice_watcher.ended)
		CORE_INTO(beside->owner, beside->voice_watcher.ended(beside->self, (pbx_injection){ beside->id }));
	if (!beside->detects)
		return;
	if (beside->detect_watcher.over)
		CORE_INTO(beside->owner, beside->detect_watcher.over(beside->self, (pbx_detection){ beside->id }, PBX_DETECTION_LEG_ENDED));
	(void)close_it(id);
}

void fake_beside_end(core_stream stream)
{
	for (struct beside *beside = all; beside; beside = beside->next) {
		if (beside->stream.id != stream.id || beside->ended)
			continue;
		uint64_t *id = malloc(sizeof *id);

		ck_assert_ptr_nonnull(id);
		*id = beside->id;
		beside->ended = true;
		if (beside->reader)
			core_tap_reader_end(beside->reader);
		ck_assert_int_eq(core_post(NULL, tell_end, NULL, id, free), PBX_OK);
	}
}

/* ---- beginning and end ---- */

void fake_beside_init(struct core_media_driver *driver)
{
	core_handles_init(&table, 'T');
	driver->tap_open = tap_open;
	driver->tap_close = tap_close;
	driver->tap_reader = tap_reader;
	driver->tap_state = tap_state;
	driver->inject_open = inject_open;
	driver->inject_close = inject_close;
	driver->inject_writer = inject_writer;
	driver->inject_state = inject_state;
	driver->detect_start = detect_start;
	driver->detect_stop = detect_stop;
}

void fake_beside_fini(void)
{
	ck_assert_msg(!all, "a tap, an injection or a detection is left open");
	core_handles_fini(&table);
}
