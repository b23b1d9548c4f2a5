/* tests/fake/media_recording.c - recordings: a file that says what it is of, when a test or its owner ends it */
#include "handle.h"
#include "loop.h"
#include "media.h"
#include "owner.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct recording {
	struct core_charge charge; /* first */
	pbx_recording handle;
	core_stream stream;
	struct pbx_host *owner;
	struct pbx_record_watcher watcher;
	void *self;
	char *path, *stop_keys, *text;
	struct pbx_record_state state;
	uint32_t how;
	uint64_t begun_ms;
	struct recording *next;
};

static struct core_handles table;
static struct recording *recordings;

static void recording_free(struct recording *recording)
{
	struct recording **at = &recordings;

	while (*at != recording)
		at = &(*at)->next;
	*at = recording->next;
	core_handle_free(&table, recording->handle.id);
	core_charge_remove(&recording->charge);
	free(recording->path);
	free(recording->stop_keys);
	free(recording->text);
	free(recording);
}

static void make_folders(const char *path)
{
	char folder[4096];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		(void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
		(void)mkdir(folder, 0750); /* or it is there */
	}
}

static void recording_over(void *context, void *data)
{
	struct recording *recording = data;
	struct pbx_record_result result = { .size = sizeof result,
					    .how = recording->how,
					    .path = recording->path,
					    .rate_hz = 8000,
					    .channels = 2,
					    .duration_ms = core_now_ms() - recording->begun_ms };

	(void)context;
	make_folders(recording->path);
	FILE *file = result.duration_ms ? fopen(recording->path, "wx") : NULL;

	if (file) {
		result.size_bytes = (uint64_t)fprintf(file, "RIFF %s, %llu ms", recording->text, (unsigned long long)result.duration_ms);
		(void)fclose(file); /* a test looks at it */
	} else if (result.duration_ms) {
		result.how = PBX_RECORDED_FAILED;
		result.error = PBX_EEXIST;
	}
	struct pbx_host *owner = recording->owner;

	if (owner && recording->watcher.done)
		CORE_INTO(owner, recording->watcher.done(recording->self, recording->handle, &result));
	recording_free(recording);
}

static void recording_end(struct recording *recording, uint32_t how)
{
	if (recording->state.ending)
		return;
	recording->state.ending = true;
	recording->how = how;
	ck_assert_int_eq(core_post(NULL, recording_over, NULL, recording, NULL), PBX_OK);
}

void fake_fill_disk(struct fake_pbx *pbx)
{
	for (struct recording *recording = recordings; recording; recording = recording->next)
		recording_end(recording, PBX_RECORDED_DISK_FULL);
	fake_settle(pbx);
}

void fake_recordings_end(core_stream stream)
{
	for (struct recording *recording = recordings; recording; recording = recording->next)
		if (recording->stream.id == stream.id)
			recording_end(recording, PBX_RECORDED_LEG_ENDED);
}

static void on_recorder_stopped(struct core_charge *charge)
{
	struct recording *recording = (struct recording *)charge;

	core_charge_remove(charge);
	recording->owner = NULL;
	recording_end(recording, PBX_RECORDED_STOPPED);
}

static void use_watcher(struct recording *recording, struct pbx_host *owner, const struct pbx_record_watcher *watcher, void *self)
{
	recording->owner = owner;
	recording->watcher = *watcher;
	recording->self = self;
	core_charge_add(owner, &recording->charge, "recording", true, on_recorder_stopped);
}

static int record(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_record_spec *spec,
		  const struct pbx_record_watcher *watcher, void *self, pbx_recording *ret_recording)
{
	struct recording *recording = calloc(1, sizeof *recording);

	ck_assert_ptr_nonnull(recording);
	recording->handle.id = core_handle_new(&table, recording);
	recording->stream = stream;
	recording->state.leg = leg;
	recording->path = strdup(spec->path);
	recording->stop_keys = strdup(spec->stop_keys ? spec->stop_keys : "");
	recording->begun_ms = core_now_ms();
	ck_assert_int_gt(asprintf(&recording->text, "%s %s%s", spec->format, spec->what == PBX_RECORD_SAYS ? "says" : "both",
				  spec->flags & PBX_RECORD_SWAPPED ? " swapped" : ""),
			 0);
	use_watcher(recording, owner, watcher, self);
	recording->next = recordings;
	recordings = recording;
	*ret_recording = recording->handle;
	return PBX_OK;
}

static struct recording *find_recording(pbx_recording handle)
{
	return core_handle_find(&table, handle.id);
}

static int set_paused(pbx_recording handle, bool on)
{
	struct recording *recording = find_recording(handle);

	if (!recording || recording->state.ending)
		return PBX_ENOENT;
	if (recording->state.paused == on)
		return PBX_ESTATE;
	recording->state.paused = on;
	return PBX_OK;
}

static int record_pause(pbx_recording handle, uint32_t how)
{
	(void)how;
	return set_paused(handle, true);
}

static int record_resume(pbx_recording handle)
{
	return set_paused(handle, false);
}

static int record_stop(pbx_recording handle)
{
	struct recording *recording = find_recording(handle);

	if (!recording || recording->state.ending)
		return PBX_ENOENT;
	recording_end(recording, PBX_RECORDED_STOPPED);
	return PBX_OK;
}

static int record_state(pbx_recording handle, struct pbx_record_state *ret_state)
{
	const struct recording *recording = find_recording(handle);
	uint32_t size = ret_state->size;

	if (!recording)
		return PBX_ENOENT;
	*ret_state = recording->state;
	ret_state->size = size;
	ret_state->duration_ms = core_now_ms() - recording->begun_ms;
	return PBX_OK;
}

static int record_adopt(struct pbx_host *owner, pbx_recording handle, const struct pbx_record_watcher *watcher, void *self)
{
	struct recording *recording = find_recording(handle);

	if (!recording)
		return PBX_ENOENT;
	core_charge_remove(&recording->charge);
	use_watcher(recording, owner, watcher, self);
	return PBX_OK;
}

struct recovery {
	void (*done)(void *self, const struct pbx_record_result *result);
	void *self;
	char *path;
};

static void tell_recovered(void *context, void *data)
{
	struct recovery *recovery = data;
	struct stat file;
	bool is_there = stat(recovery->path, &file) == 0;
	const struct pbx_record_result result = { .size = sizeof result,
						  .path = recovery->path,
						  .error = is_there ? PBX_OK : PBX_ENOENT,
						  .rate_hz = 8000,
						  .channels = 2,
						  .duration_ms = is_there ? 5000 : 0,
						  .size_bytes = is_there ? (uint64_t)file.st_size : 0 };

	(void)context;
	recovery->done(recovery->self, &result);
	free(recovery->path);
	free(recovery);
}

static int record_recover(struct pbx_host *host, const char *path, void (*done)(void *self, const struct pbx_record_result *result),
			  void *self)
{
	struct recovery *recovery = calloc(1, sizeof *recovery);

	(void)host;
	ck_assert_ptr_nonnull(recovery);
	*recovery = (struct recovery){ .done = done, .self = self, .path = strdup(path) };
	return core_post(NULL, tell_recovered, NULL, recovery, free);
}

static void record_key(core_stream stream, char key)
{
	for (struct recording *recording = recordings; recording; recording = recording->next)
		if (recording->stream.id == stream.id && strchr(recording->stop_keys, key))
			recording_end(recording, PBX_RECORDED_KEY);
}

static int record_mask(core_stream handle, bool on)
{
	struct fake_stream *stream = fake_stream_find(handle);

	if (!stream)
		return PBX_ENOENT;
	stream->masked = on;
	return PBX_OK;
}

void fake_recordings_init(struct core_media_driver *driver)
{
	core_handles_init(&table, 'W');
	driver->record = record;
	driver->record_pause = record_pause;
	driver->record_resume = record_resume;
	driver->record_stop = record_stop;
	driver->record_state = record_state;
	driver->record_adopt = record_adopt;
	driver->record_recover = record_recover;
	driver->record_key = record_key;
	driver->record_mask = record_mask;
}

void fake_recordings_fini(void)
{
	ck_assert_msg(!recordings, "a recording is left: %s", recordings ? recordings->path : "");
	core_handles_fini(&table);
}
