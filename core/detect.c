/* core/detect.c - "pbx.detect/1": what the sound of legs means, which the media driver listens for on their streams */
#include "calls_inner.h"
#include "overlap.h"
#include <pbx/detect.h>

/* What an older plugin does not know reads as zero. */
static struct pbx_detect_spec whole_spec(const struct pbx_detect_spec *spec)
{
	struct pbx_detect_spec whole = { 0 };

	core_copy_overlap(&whole, sizeof whole, spec, spec->size);
	whole.size = sizeof whole;
	return whole;
}

static int detect_start(struct pbx_host *host, pbx_leg handle, const struct pbx_detect_spec *spec, const struct pbx_detect_watcher *watcher,
			void *self, pbx_detection *ret_detection)
{
	const struct core_leg *leg;
	int err = core_leg_with_stream(handle, &leg);
	const struct pbx_detect_spec whole = whole_spec(spec);
	struct pbx_detect_watcher known = { 0 };

	core_copy_overlap(&known, sizeof known, watcher, watcher->size);
	if (whole.what == 0 || whole.what & ~PBX_DETECT_ALL || whole.threshold_cdb > 0 || !known.found)
		return PBX_EINVAL;
	if (err != PBX_OK)
		return err;
	return core_media->detect_start ? core_media->detect_start(host, leg->stream, &whole, &known, self, ret_detection) : PBX_ENOTSUP;
}

static int detect_stop(pbx_detection detection)
{
	return core_media && core_media->detect_stop ? core_media->detect_stop(detection) : PBX_ENOENT;
}

const struct pbx_detector core_detector_service = {
	.header = PBX_HEADER(struct pbx_detector),
	.start = detect_start,
	.stop = detect_stop,
};
