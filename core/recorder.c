/* core/recorder.c - "pbx.recorder/1": recordings of legs, which are the media driver's of their streams */
#include "calls_inner.h"
#include "overlap.h"
#include <pbx/recorder.h>

/* What an older plugin does not know reads as zero. */
static struct pbx_record_spec whole_spec(const struct pbx_record_spec *spec)
{
	struct pbx_record_spec whole = { 0 };

	core_copy_overlap(&whole, sizeof whole, spec, spec->size);
	whole.size = sizeof whole;
	return whole;
}

static int recorder_record(struct pbx_host *host, pbx_leg handle, const struct pbx_record_spec *spec,
			   const struct pbx_record_watcher *watcher, void *self, pbx_recording *ret_recording)
{
	const struct core_leg *leg;
	int err = core_leg_with_stream(handle, &leg);
	const struct pbx_record_spec whole = whole_spec(spec);

	if (err != PBX_OK)
		return err;
	return core_media->record(host, leg->stream, handle, &whole, watcher, self, ret_recording);
}

static int recorder_pause(pbx_recording recording, uint32_t how)
{
	return core_media ? core_media->record_pause(recording, how) : PBX_ENOENT;
}

static int recorder_resume(pbx_recording recording)
{
	return core_media ? core_media->record_resume(recording) : PBX_ENOENT;
}

static int recorder_stop(pbx_recording recording)
{
	return core_media ? core_media->record_stop(recording) : PBX_ENOENT;
}

static int recorder_state(pbx_recording recording, struct pbx_record_state *ret_state)
{
	struct pbx_record_state state = { .size = (uint32_t)core_overlap(ret_state->size, sizeof state) };
	int err = core_media ? core_media->record_state(recording, &state) : PBX_ENOENT;

	if (err == PBX_OK)
		memcpy(ret_state, &state, state.size);
	return err;
}

static int recorder_adopt(struct pbx_host *host, pbx_recording recording, const struct pbx_record_watcher *watcher, void *self)
{
	return core_media ? core_media->record_adopt(host, recording, watcher, self) : PBX_ENOENT;
}

static int recorder_recover(struct pbx_host *host, const char *path, void (*done)(void *self, const struct pbx_record_result *result),
			    void *self)
{
	return core_media ? core_media->record_recover(host, path, done, self) : PBX_ESTATE;
}

const struct pbx_recorder core_recorder_service = {
	.header = PBX_HEADER(struct pbx_recorder),
	.record = recorder_record,
	.pause = recorder_pause,
	.resume = recorder_resume,
	.stop = recorder_stop,
	.state = recorder_state,
	.adopt = recorder_adopt,
	.recover = recorder_recover,
};
