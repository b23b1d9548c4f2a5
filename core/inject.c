/* core/inject.c - "pbx.inject/1": voices of plugins in legs, which the media driver says into their streams */
#include "calls_inner.h"
#include "inject_writer.h"
#include "overlap.h"

/* What an older plugin does not know reads as zero; what it left open is filled in. */
static struct pbx_inject_spec whole_spec(const struct pbx_inject_spec *spec)
{
	struct pbx_inject_spec whole = { 0 };

	core_copy_overlap(&whole, sizeof whole, spec, spec->size);
	whole.size = sizeof whole;
	whole.rate_hz = whole.rate_hz ? whole.rate_hz : 8000;
	whole.room_ms = whole.room_ms ? whole.room_ms : 5000;
	return whole;
}

static bool is_good(const struct pbx_inject_spec *spec)
{
	bool known_rate = spec->rate_hz == 8000 || spec->rate_hz == 16000 || spec->rate_hz == 24000 || spec->rate_hz == 32000 ||
			  spec->rate_hz == 48000;

	return (spec->how == PBX_INJECT_ALONE || spec->how == PBX_INJECT_OVER) && known_rate && spec->room_ms >= 100 &&
	       spec->room_ms <= 60000 && spec->gain_cdb >= -6000 && spec->gain_cdb <= 2000 && spec->under_gain_cdb >= -6000 &&
	       spec->under_gain_cdb <= 0;
}

static int inject_open(struct pbx_host *host, pbx_leg handle, const struct pbx_inject_spec *spec, const struct pbx_inject_watcher *watcher,
		       void *self, pbx_injection *ret_injection)
{
	const struct core_leg *leg;
	int err = core_leg_with_stream(handle, &leg);
	const struct pbx_inject_spec whole = whole_spec(spec);
	struct pbx_inject_watcher known = { 0 };

	if (!is_good(&whole))
		return PBX_EINVAL;
	if (err != PBX_OK)
		return err;
	core_copy_overlap(&known, sizeof known, watcher, watcher->size);
	return core_media->inject_open ? core_media->inject_open(host, leg->stream, handle, &whole, &known, self, ret_injection)
				       : PBX_ENOTSUP;
}

static int inject_close(pbx_injection injection)
{
	return core_media && core_media->inject_close ? core_media->inject_close(injection) : PBX_ENOENT;
}

static int inject_writer(pbx_injection injection, struct pbx_inject_writer **ret_writer)
{
	return core_media && core_media->inject_writer ? core_media->inject_writer(injection, ret_writer) : PBX_ENOENT;
}

static int inject_state(pbx_injection injection, struct pbx_inject_state *ret_state)
{
	struct pbx_inject_state state = { .size = (uint32_t)core_overlap(ret_state->size, sizeof state) };
	int err = core_media && core_media->inject_state ? core_media->inject_state(injection, &state) : PBX_ENOENT;

	if (err == PBX_OK)
		memcpy(ret_state, &state, state.size);
	return err;
}

const struct pbx_injections core_injections_service = {
	.header = PBX_HEADER(struct pbx_injections),
	.open = inject_open,
	.close = inject_close,
	.writer = inject_writer,
	.state = inject_state,
	.write = core_inject_writer_write,
	.flush = core_inject_writer_flush,
};
