/* media.c - "pbx.media/1": the media driver's sources and probes for plugins
 *
 * The driver is looked up at call time because it may come later than we. */
#include "calls_inner.h"
#include "overlap.h"
#include <pbx/media.h>

/* What an older plugin does not know reads as zero. */
static struct pbx_source_spec whole_spec(const struct pbx_source_spec *spec)
{
	struct pbx_source_spec whole = { 0 };

	core_copy_overlap(&whole, sizeof whole, spec, spec->size);
	whole.size = sizeof whole;
	return whole;
}

static int source_open(struct pbx_host *host, const struct pbx_source_spec *spec, pbx_source *ret_source)
{
	const struct pbx_source_spec whole = whole_spec(spec);

	return core_media ? core_media->source_open(host, &whole, ret_source) : PBX_ENOTSUP;
}

static int source_update(pbx_source source, const struct pbx_source_spec *spec)
{
	const struct pbx_source_spec whole = whole_spec(spec);

	return core_media ? core_media->source_update(source, &whole) : PBX_ENOENT;
}

static int source_close(pbx_source source)
{
	return core_media ? core_media->source_close(source) : PBX_ENOENT;
}

static int source_listeners(pbx_source source, uint32_t *ret_listeners)
{
	return core_media ? core_media->source_listeners(source, ret_listeners) : PBX_ENOENT;
}

static int source_state(pbx_source source, struct pbx_source_state *ret_state)
{
	struct pbx_source_state state = { .size = (uint32_t)core_overlap(ret_state->size, sizeof state) };
	int err = core_media ? core_media->source_state(source, &state) : PBX_ENOENT;

	if (err == PBX_OK)
		memcpy(ret_state, &state, state.size);
	return err;
}

static int probe(struct pbx_host *host, const char *path, void (*done)(void *self, int result, const struct pbx_file_info *info),
		 void *self)
{
	return core_media ? core_media->probe(host, path, done, self) : PBX_ENOTSUP;
}

const struct pbx_media core_media_service = {
	.header = PBX_HEADER(struct pbx_media),
	.source_open = source_open,
	.source_update = source_update,
	.source_close = source_close,
	.source_listeners = source_listeners,
	.probe = probe,
	.source_state = source_state,
};
