/* core/tap.c - "pbx.tap/1": what legs say and hear, which the media driver copies from their streams */
#include "calls_inner.h"
#include "overlap.h"
#include "tap_reader.h"

#define MOST_ROOM_MS 20000u

/* What an older plugin does not know reads as zero; what it left open is filled in. */
static struct pbx_tap_spec whole_spec(const struct pbx_tap_spec *spec)
{
	struct pbx_tap_spec whole = { 0 };

	core_copy_overlap(&whole, sizeof whole, spec, spec->size);
	whole.size = sizeof whole;
	whole.rate_hz = whole.rate_hz ? whole.rate_hz : 8000;
	whole.block_ms = whole.block_ms ? whole.block_ms : 20;
	whole.room_ms = whole.room_ms ? whole.room_ms : 2000;
	whole.late_ms = whole.late_ms ? whole.late_ms : 80;
	return whole;
}

static bool is_good(const struct pbx_tap_spec *spec)
{
	return spec->what >= PBX_TAP_SAYS && spec->what <= PBX_TAP_APART && spec->rate_hz >= 8000 && spec->rate_hz <= 48000 &&
	       spec->rate_hz % 1000 == 0 && spec->block_ms >= 10 && spec->block_ms <= 200 && spec->room_ms >= spec->block_ms &&
	       spec->room_ms <= MOST_ROOM_MS && spec->late_ms >= 20 && spec->late_ms <= 500;
}

static int tap_open(struct pbx_host *host, pbx_leg handle, const struct pbx_tap_spec *spec, const struct pbx_tap_watcher *watcher,
		    void *self, pbx_tap *ret_tap)
{
	const struct core_leg *leg;
	int err = core_leg_with_stream(handle, &leg);
	const struct pbx_tap_spec whole = whole_spec(spec);
	struct pbx_tap_watcher known = { 0 };

	if (!is_good(&whole))
		return PBX_EINVAL;
	if (err != PBX_OK)
		return err;
	core_copy_overlap(&known, sizeof known, watcher, watcher->size);
	return core_media->tap_open ? core_media->tap_open(host, leg->stream, handle, &whole, &known, self, ret_tap) : PBX_ENOTSUP;
}

static int tap_close(pbx_tap tap)
{
	return core_media && core_media->tap_close ? core_media->tap_close(tap) : PBX_ENOENT;
}

static int tap_reader(pbx_tap tap, struct pbx_tap_reader **ret_reader)
{
	return core_media && core_media->tap_reader ? core_media->tap_reader(tap, ret_reader) : PBX_ENOENT;
}

static int tap_state(pbx_tap tap, struct pbx_tap_state *ret_state)
{
	struct pbx_tap_state state = { .size = (uint32_t)core_overlap(ret_state->size, sizeof state) };
	int err = core_media && core_media->tap_state ? core_media->tap_state(tap, &state) : PBX_ENOENT;

	if (err == PBX_OK)
		memcpy(ret_state, &state, state.size);
	return err;
}

const struct pbx_taps core_taps_service = {
	.header = PBX_HEADER(struct pbx_taps),
	.open = tap_open,
	.close = tap_close,
	.reader = tap_reader,
	.state = tap_state,
	.read = core_tap_reader_read,
	.wait = core_tap_reader_wait,
};
