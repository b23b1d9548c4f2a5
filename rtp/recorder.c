/*
 * recorder - the loop's side of recordings, and the thread that writes them
 *
 * A recording begins by a command to the thread, which makes the file, and one to the stream's worker, which fills its tap. It ends the other
 * way round: when the worker has let go of the tap (the order of commands sees to it that nothing is missed), the thread reads what is left,
 * finishes the file and gives the recording back, and its owner hears of it. A recording that ends by itself (limit, silence, disk) says so
 * and is ended the same way. The thread looks after all recordings ten times a second; a tap has room for three seconds.
 */
#include "recorder.h"
#include "engine_inner.h"
#include "recording.h"
#include "thread.h"

#include <core/log.h>
#include <core/loop.h>
#include <core/overlap.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_MS 100
#define SILENCE_CDB (-4500)
#define MASK_TAIL_US 1000000u

static struct {
	struct rtp_common *common;
	struct rtp_thread thread;
	struct rtp_recording *running; /* the thread's own */
} recorder;

static struct core_handles recordings;

/* ---- the thread ---- */

void rtp_recorder_give_back(struct rtp_record_command *command)
{
	rtp_queue_push(&recorder.common->returns, &command->command.node);
	recorder.common->wake();
}

static void remember_turn(struct rtp_record_command *command)
{
	struct rtp_record_command **at = &command->recording->turns;

	while (*at && (*at)->at_us <= command->at_us)
		at = &(*at)->next;
	command->next = *at;
	*at = command;
}

/* Who masks anew does not want the end of the mask before. */
static void forget_unmasking(struct rtp_recording *recording)
{
	for (struct rtp_record_command **at = &recording->turns, *turn; (turn = *at);) {
		if (turn->command.kind != RTP_RECORD_MASK || turn->pause) {
			at = &turn->next;
			continue;
		}
		*at = turn->next;
		rtp_recorder_give_back(turn);
	}
}

static void finish(struct rtp_record_command *command)
{
	struct rtp_recording **at = &recorder.running;

	while (*at && *at != command->recording)
		at = &(*at)->next_running;
	if (*at)
		*at = command->recording->next_running;
	rtp_recording_finish(command->recording, command->at_us);
}

static void obey(struct rtp_record_command *command)
{
	struct rtp_recording *recording = command->recording;

	switch (command->command.kind) {
	case RTP_RECORD_START:
		recording->next_running = recorder.running;
		recorder.running = recording;
		rtp_recording_open(recording);
		break;
	case RTP_RECORD_LEARN:
		rtp_interpreter_learn(&recording->interpreter, command->tongue);
		break;
	case RTP_RECORD_MASK:
		if (command->pause)
			forget_unmasking(recording);
		remember_turn(command);
		return;
	case RTP_RECORD_PAUSE:
		remember_turn(command);
		return;
	default:
		finish(command);
		break;
	}
	rtp_recorder_give_back(command);
}

/* Commands come after a look at the taps and before their packets: what a packet's plan means is known by then. */
static int one_round(void)
{
	struct rtp_node *node;

	for (struct rtp_recording *recording = recorder.running; recording; recording = recording->next_running)
		recording->until = rtp_tap_written(&recording->tap);
	while ((node = rtp_thread_take(&recorder.thread)))
		obey((struct rtp_record_command *)node);
	uint64_t now_us = core_now_us();

	for (struct rtp_recording *recording = recorder.running; recording; recording = recording->next_running)
		rtp_recording_step(recording, now_us);
	return recorder.running ? ROUND_MS : -1;
}

static void to_thread(uint32_t kind, struct rtp_record_command *command)
{
	command->command.kind = kind;
	rtp_thread_send(&recorder.thread, &command->command.node);
}

int rtp_recorder_start(struct rtp_common *common)
{
	recorder.common = common;
	recorder.running = NULL;
	core_handles_init(&recordings, 'W');
	return rtp_thread_start(&recorder.thread, "recorder", one_round);
}

void rtp_recorder_stop(void)
{
	rtp_thread_stop(&recorder.thread);
}

/* ---- the end begins ---- [loop] */

static void leave_stream(struct rtp_recording *recording)
{
	struct rtp_recording **at = recording->stream ? &recording->stream->recordings : NULL;

	while (at && *at && *at != recording)
		at = &(*at)->next;
	if (at && *at)
		*at = recording->next;
	recording->stream = NULL;
}

/* The worker lets go first; see the story above. */
static void begin_ending(struct rtp_recording *recording, uint32_t how)
{
	if (recording->ending)
		return;
	recording->ending = true;
	recording->how = how;
	recording->finish.at_us = core_now_us();
	recording->untap = (struct rtp_command){ .kind = RTP_UNTAP,
						 .settles = true,
						 .session = &recording->stream->session,
						 .stream = recording->stream->id,
						 .tap = &recording->tap };
	leave_stream(recording);
	core_busy(1); /* until the file is written */
	rtp_engine_send(&recording->untap);
}

/* ---- what payload types mean ---- [loop] */

/* The plugin that decodes it is being taken away. */
static void on_codec_leaving(void *context)
{
	struct rtp_recording *recording = core_handle_find(&recordings, (uint64_t)(uintptr_t)context);

	if (recording)
		begin_ending(recording, PBX_RECORDED_STOPPED);
}

static struct rtp_record_command *command_new(struct rtp_recording *recording)
{
	struct rtp_record_command *command = calloc(1, sizeof *command);

	if (!command)
		return NULL;
	command->recording = recording;
	command->at_us = core_now_us();
	return command;
}

/* Before the worker hears of it. */
static int teach(struct rtp_recording *recording, const struct rtp_stream *stream)
{
	struct rtp_record_command *command = command_new(recording);

	if (command)
		command->tongue = rtp_tongue_make(&recording->interpreter, stream);
	if (!command || !command->tongue) {
		free(command);
		return PBX_ENOMEM;
	}
	to_thread(RTP_RECORD_LEARN, command);
	return PBX_OK;
}

void rtp_recorder_learn(struct rtp_stream *stream)
{
	for (struct rtp_recording *recording = stream->recordings; recording; recording = recording->next) {
		if (teach(recording, stream) != PBX_OK)
			core_log(PBX_LOG_WARN, RTP_OWNER, NULL, "recording_deaf", "reason=memory path=\"%s\"", recording->path);
	}
}

/* ---- the end ---- */

static void recording_free(struct rtp_recording *recording)
{
	if (!recording)
		return;
	rtp_interpreter_close(&recording->interpreter); /* the thread has done with it */
	core_handle_free(&recordings, recording->id);
	core_charge_remove(&recording->charge);
	free(recording->path);
	free(recording->format);
	free(recording);
}

/* The worker has let go of the tap. */
static void untapped(struct rtp_command *command)
{
	struct rtp_recording *recording = (struct rtp_recording *)((char *)command->tap - offsetof(struct rtp_recording, tap));

	recording->finish.recording = recording;
	to_thread(RTP_RECORD_FINISH, &recording->finish);
}

static void finished(struct rtp_recording *recording)
{
	struct pbx_record_result result = recording->result;
	struct pbx_host *owner = recording->owner;
	struct pbx_record_watcher watcher = recording->watcher;
	pbx_recording name = { recording->id };
	void *self = recording->self;

	result.size = sizeof result;
	result.how = result.error != PBX_OK && recording->how != PBX_RECORDED_DISK_FULL ? PBX_RECORDED_FAILED : recording->how;
	result.key = recording->key;
	core_busy(-1);
	core_handle_free(&recordings, recording->id);
	core_charge_remove(&recording->charge);
	if (result.error != PBX_OK)
		core_log(PBX_LOG_ERROR, RTP_OWNER, NULL, "recording_failed", "path=\"%s\" result=%d duration_ms=%llu", result.path,
			 result.error, (unsigned long long)result.duration_ms);
	if (owner && watcher.done)
		CORE_INTO(owner, watcher.done(self, name, &result));
	recording_free(recording);
}

void rtp_recorder_returned(struct rtp_command *returned)
{
	struct rtp_record_command *command = (struct rtp_record_command *)returned;
	struct rtp_recording *recording = command->recording;

	switch (returned->kind) {
	case RTP_RECORD_FINISH:
		finished(recording);
		break;
	case RTP_RECORD_ENDED:
		begin_ending(recording, command->pause);
		break;
	default:
		free(command);
		break;
	}
}

void rtp_recorder_leave(struct rtp_stream *stream)
{
	while (stream->recordings)
		begin_ending(stream->recordings, PBX_RECORDED_LEG_ENDED);
}

static void on_owner_stopped(struct core_charge *charge)
{
	struct rtp_recording *recording = (struct rtp_recording *)((char *)charge - offsetof(struct rtp_recording, charge));

	core_charge_remove(charge);
	recording->owner = NULL;
	begin_ending(recording, PBX_RECORDED_STOPPED);
}

/* ---- the beginning ---- */

static bool is_good(const struct pbx_record_spec *spec)
{
	bool known_rate = spec->rate_hz == 0 || spec->rate_hz == 8000 || spec->rate_hz == 16000 || spec->rate_hz == 48000;

	return spec->path && spec->path[0] == '/' && strlen(spec->path) < 4000 && spec->format && known_rate && spec->silence_cdb <= 0 &&
	       (spec->what == PBX_RECORD_SAYS || spec->what == PBX_RECORD_BOTH) && (!spec->stop_keys || strlen(spec->stop_keys) <= 16);
}

/* What is sent to it is the first; what it sends is as a rule the same. */
static bool is_wideband(const struct rtp_stream *stream)
{
	const struct rtp_codec *codec = stream->config->codec_count ? rtp_codec_find(&stream->config->codecs[0]) : NULL;

	return codec && codec->row.rate_hz > 8000;
}

static void take_spec(struct rtp_recording *recording, const struct rtp_stream *stream, const struct pbx_record_spec *spec)
{
	double silence_db = (spec->silence_cdb ? spec->silence_cdb : SILENCE_CDB) / 100.0;

	recording->path = strdup(spec->path);
	recording->format = strdup(spec->format);
	recording->what = spec->what;
	recording->flags = spec->flags;
	recording->rate_hz = spec->rate_hz ? spec->rate_hz : is_wideband(stream) ? 16000 : 8000;
	recording->channels = spec->what == PBX_RECORD_BOTH && spec->flags & PBX_RECORD_STEREO ? 2 : 1;
	recording->most_ms = spec->most_ms;
	recording->silence_ms = spec->silence_ms;
	recording->silence_power = 32768.0 * 32768.0 / 2 * pow(10.0, silence_db / 10);
	recording->least_free_mb = spec->least_free_mb;
	(void)snprintf(recording->stop_keys, sizeof recording->stop_keys, "%s", spec->stop_keys ? spec->stop_keys : "");
	rtp_tap_init(&recording->tap, spec->what == PBX_RECORD_SAYS ? 1u << RTP_SAYS : 1u << RTP_SAYS | 1u << RTP_HEARS,
		     spec->flags & PBX_RECORD_MUSIC, untapped);
	recording->tap.beep_s = spec->beep_s;
}

static struct rtp_recording *recording_new(const struct rtp_stream *stream, const struct pbx_record_spec *spec)
{
	struct rtp_recording *recording = aligned_alloc(64, (sizeof *recording + 63) / 64 * 64);

	if (!recording)
		return NULL;
	memset(recording, 0, sizeof *recording);
	take_spec(recording, stream, spec);
	recording->begins_at_us = core_now_us();
	recording->masked = stream->masked || recording->begins_at_us < stream->masked_until_us;
	recording->ended.recording = recording;
	recording->ended.command.kind = RTP_RECORD_ENDED;
	recording->id = core_handle_new(&recordings, recording);
	recording->interpreter = (struct rtp_interpreter){ .on_leaving = on_codec_leaving, .context = (void *)(uintptr_t)recording->id };
	if (recording->id && recording->path && recording->format)
		return recording;
	recording_free(recording);
	return NULL;
}

static void use_watcher(struct rtp_recording *recording, struct pbx_host *owner, const struct pbx_record_watcher *watcher, void *self)
{
	recording->owner = owner;
	recording->self = self;
	memset(&recording->watcher, 0, sizeof recording->watcher);
	core_copy_overlap(&recording->watcher, sizeof *watcher, watcher, watcher->size);
	core_charge_add(owner, &recording->charge, "recording", true, on_owner_stopped);
}

static int set_mask(struct rtp_recording *recording, bool on, uint64_t at_us)
{
	struct rtp_record_command *command = command_new(recording);

	if (!command)
		return PBX_ENOMEM;
	command->pause = on;
	command->at_us = at_us;
	to_thread(RTP_RECORD_MASK, command);
	return PBX_OK;
}

/* To the thread, then to the worker. */
static int begin(struct rtp_recording *recording, struct rtp_stream *stream)
{
	struct rtp_record_command *start = command_new(recording);
	struct rtp_command *tap = rtp_command_new(RTP_TAP, stream);
	int err = start && tap ? PBX_OK : PBX_ENOMEM;

	if (err == PBX_OK && stream->configured)
		err = teach(recording, stream);
	if (err == PBX_OK && recording->masked && !stream->masked)
		err = set_mask(recording, false, stream->masked_until_us);
	if (err != PBX_OK) {
		free(start);
		free(tap);
		return err;
	}
	to_thread(RTP_RECORD_START, start);
	tap->tap = &recording->tap;
	rtp_engine_send(tap);
	recording->stream = stream;
	recording->next = stream->recordings;
	stream->recordings = recording;
	(void)rtp_coding_settle(stream, NULL, false); /* for its keys; without memory they do not end it */
	return PBX_OK;
}

int rtp_record(struct pbx_host *owner, core_stream name, pbx_leg leg, const struct pbx_record_spec *spec,
	       const struct pbx_record_watcher *watcher, void *self, pbx_recording *ret_recording)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!is_good(spec))
		return PBX_EINVAL;
	if (!stream)
		return PBX_ENOENT;
	if (!rtp_record_has_format(spec->format))
		return PBX_ENOTSUP;
	struct rtp_recording *recording = recording_new(stream, spec);

	if (!recording)
		return PBX_ENOMEM;
	int err = begin(recording, stream);

	if (err != PBX_OK) {
		recording_free(recording);
		return err;
	}
	recording->leg = leg;
	use_watcher(recording, owner, watcher, self);
	*ret_recording = (pbx_recording){ recording->id };
	return PBX_OK;
}

/* ---- while it lasts ---- */

static struct rtp_recording *find(pbx_recording name)
{
	struct rtp_recording *recording = core_handle_find(&recordings, name.id);

	return recording && !recording->ending ? recording : NULL;
}

static int set_pause(pbx_recording name, uint32_t how)
{
	struct rtp_recording *recording = find(name);

	if (!recording)
		return PBX_ENOENT;
	if (recording->paused == (how != 0))
		return PBX_ESTATE;
	struct rtp_record_command *command = command_new(recording);

	if (!command)
		return PBX_ENOMEM;
	command->pause = how;
	recording->paused = how != 0;
	to_thread(RTP_RECORD_PAUSE, command);
	return PBX_OK;
}

int rtp_record_pause(pbx_recording recording, uint32_t how)
{
	return how == PBX_PAUSE_SILENCE || how == PBX_PAUSE_CUT ? set_pause(recording, how) : PBX_EINVAL;
}

int rtp_record_resume(pbx_recording recording)
{
	return set_pause(recording, 0);
}

int rtp_record_stop(pbx_recording name)
{
	struct rtp_recording *recording = find(name);

	if (!recording)
		return PBX_ENOENT;
	begin_ending(recording, PBX_RECORDED_STOPPED);
	return PBX_OK;
}

int rtp_record_state(pbx_recording name, struct pbx_record_state *ret_state)
{
	struct rtp_recording *recording = core_handle_find(&recordings, name.id);

	if (!recording)
		return PBX_ENOENT;
	ret_state->paused = recording->paused;
	ret_state->ending = recording->ending;
	ret_state->leg = recording->leg;
	ret_state->duration_ms = rtp_read(&recording->shown_ms);
	for (uint32_t i = 0; i < 2; i++)
		ret_state->level_cdb[i] = rtp_read(&recording->shown_cdb[i]);
	return PBX_OK;
}

int rtp_record_adopt(struct pbx_host *owner, pbx_recording name, const struct pbx_record_watcher *watcher, void *self)
{
	struct rtp_recording *recording = core_handle_find(&recordings, name.id);

	if (!recording || !recording->owner)
		return PBX_ENOENT;
	core_charge_remove(&recording->charge);
	use_watcher(recording, owner, watcher, self);
	return PBX_OK;
}

bool rtp_recorder_wants_keys(const struct rtp_stream *stream)
{
	const struct rtp_recording *recording = stream->recordings;

	while (recording && !recording->stop_keys[0])
		recording = recording->next;
	return recording;
}

void rtp_record_key(core_stream name, char key)
{
	struct rtp_stream *stream = rtp_stream_find(name);
	struct rtp_recording *next;

	for (struct rtp_recording *recording = stream ? stream->recordings : NULL; recording; recording = next) {
		next = recording->next;
		if (!key || !strchr(recording->stop_keys, key))
			continue;
		recording->key = key;
		begin_ending(recording, PBX_RECORDED_KEY);
	}
}

int rtp_record_mask(core_stream name, bool on)
{
	struct rtp_stream *stream = rtp_stream_find(name);
	int err = stream ? PBX_OK : PBX_ENOENT;

	if (!stream)
		return err;
	stream->masked = on;
	stream->masked_until_us = core_now_us() + (on ? 0 : MASK_TAIL_US);
	rtp_write(&stream->session.masked_until_us, on ? UINT64_MAX : stream->masked_until_us); /* of forks */
	for (struct rtp_recording *recording = stream->recordings; recording && err == PBX_OK; recording = recording->next)
		err = set_mask(recording, on, stream->masked_until_us);
	return err;
}

/* ---- after a crash ---- */

struct recovery {
	void (*done)(void *self, const struct pbx_record_result *result);
	struct pbx_record_result result;
	char path[];
};

static void recover(void *job)
{
	struct recovery *recovery = job;

	recovery->result.error = rtp_record_recover(recovery->path, &recovery->result);
}

static void recovered(void *self, void *job, int status)
{
	struct recovery *recovery = job;

	if (status == PBX_OK)
		recovery->done(self, &recovery->result);
	free(recovery);
}

int rtp_record_recover_later(struct pbx_host *host, const char *path, void (*done)(void *self, const struct pbx_record_result *result),
			     void *self)
{
	size_t size = strlen(path) + 1;
	struct recovery *recovery = calloc(1, sizeof *recovery + size);

	if (!recovery)
		return PBX_ENOMEM;
	recovery->done = done;
	recovery->result = (struct pbx_record_result){ .size = sizeof recovery->result, .path = recovery->path };
	memcpy(recovery->path, path, size);
	int err = core_work(host, recover, recovered, self, recovery);

	if (err != PBX_OK)
		free(recovery);
	return err;
}
