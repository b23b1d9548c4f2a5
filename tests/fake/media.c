/* tests/fake/media.c - media without a packet: who is connected to whom, what plays to whom, and when a test says that it is over
 *
 * Everything the driver reports comes after the present callback, as it does from the workers. */
#include "fake_internal.h"
#include "handle.h"
#include "loop.h"
#include "../../rtp/estimate.h"
#include "owner.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_PORT 20000u

struct source {
	struct core_charge charge; /* first */
	pbx_source handle;
	char *name, *files, *url, *announcements;
	uint32_t announce_every_s;
	bool levels, trims_silence;
	struct source *next;
};

struct fake_mix {
	core_mix handle;
	bool gated;
	uint32_t plays;
	char *play_text;
	uint64_t tag;
	struct fake_mix *next;
};

struct play_done {
	core_stream stream;
	uint64_t tag;
	uint32_t how;
};

static struct core_handles stream_table, source_table, mix_table, recording_table;
static struct fake_mix *mixes;
static void recordings_end(core_stream stream);
static struct fake_stream *streams;
static struct source *sources;
static uint16_t next_port;

/* ---- streams ---- */

static struct fake_stream *find(core_stream handle)
{
	return core_handle_find(&stream_table, handle.id);
}

static int media_open(uint64_t group, int family, core_stream *ret_stream, struct core_addr *ret_local)
{
	struct fake_stream *stream = calloc(1, sizeof *stream);

	ck_assert_ptr_nonnull(stream);
	stream->handle.id = core_handle_new(&stream_table, stream);
	stream->group = group;
	next_port = (uint16_t)(next_port + 2);
	if (family == AF_INET6)
		stream->local.in6 =
			(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(next_port), .sin6_addr = in6addr_loopback };
	else
		stream->local.in4 =
			(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(next_port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	stream->next = streams;
	streams = stream;
	*ret_stream = stream->handle;
	*ret_local = stream->local;
	return PBX_OK;
}

static int media_configure(core_stream handle, const struct core_stream_config *config)
{
	struct fake_stream *stream = find(handle);

	if (!stream)
		return PBX_ENOENT;
	stream->config = *config;
	stream->configured = true;
	return PBX_OK;
}

static int media_disconnect(core_stream handle)
{
	struct fake_stream *stream = find(handle);

	if (!stream)
		return PBX_ENOENT;
	if (stream->peer)
		stream->peer->peer = NULL;
	stream->peer = NULL;
	return PBX_OK;
}

static int media_connect(core_stream a, core_stream b)
{
	struct fake_stream *first = find(a), *second = find(b);

	if (!first || !second)
		return PBX_ENOENT;
	(void)media_disconnect(a); /* both are there */
	(void)media_disconnect(b);
	first->mix = second->mix = NULL;
	first->peer = second;
	second->peer = first;
	return PBX_OK;
}

static void tell_play_done(void *context, void *data)
{
	const struct play_done *done = data;

	(void)context;
	core_media_on_play_done(done->stream, done->tag, done->how);
	free(data);
}

void fake_stream_play_over(struct fake_stream *stream, uint32_t how)
{
	struct play_done *done = malloc(sizeof *done);

	ck_assert_ptr_nonnull(done);
	*done = (struct play_done){ stream->handle, stream->tag, how };
	free(stream->play_text);
	stream->play_text = NULL;
	stream->plays = 0;
	stream->source.id = 0;
	ck_assert_int_eq(core_post(NULL, tell_play_done, NULL, done, free), PBX_OK);
}

/* "slot 7 0" */
static char *join_prompts(const struct core_play *play)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (uint32_t i = 0; i < play->prompt_count; i++)
		(void)fprintf(out, "%s%s", i ? " " : "", play->prompts[i]);
	(void)fclose(out); /* memory */
	return text;
}

static int media_play(core_stream handle, const struct core_play *play)
{
	struct fake_stream *stream = find(handle);

	if (!stream)
		return PBX_ENOENT;
	if (play->kind == CORE_PLAY_SOURCE && !core_handle_find(&source_table, play->source.id))
		return PBX_ENOENT;
	if (stream->plays)
		fake_stream_play_over(stream, PBX_MEDIA_STOPPED);
	stream->plays = play->kind;
	stream->play_text = play->kind == CORE_PLAY_FILE ? join_prompts(play) : play->text ? strdup(play->text) : NULL;
	stream->source = play->source;
	stream->tag = play->tag;
	stream->plays_begun++;
	return PBX_OK;
}

static int media_stop(core_stream handle)
{
	struct fake_stream *stream = find(handle);

	if (!stream)
		return PBX_ENOENT;
	if (stream->plays)
		fake_stream_play_over(stream, PBX_MEDIA_STOPPED);
	return PBX_OK;
}

static int media_send_digits(core_stream handle, const char *digits, uint32_t each_ms, uint32_t gap_ms)
{
	struct fake_stream *stream = find(handle);

	(void)each_ms;
	(void)gap_ms;
	if (!stream)
		return PBX_ENOENT;
	if (stream->config.digits == CORE_DIGITS_INFO || (stream->config.digits == CORE_DIGITS_EVENTS && !stream->config.dtmf_type))
		return PBX_ENOTSUP;
	strncat(stream->digits, digits, sizeof stream->digits - strlen(stream->digits) - 1);
	return PBX_OK;
}

static int media_set_held(core_stream handle, bool held)
{
	struct fake_stream *stream = find(handle);

	if (!stream)
		return PBX_ENOENT;
	stream->held = held;
	return PBX_OK;
}

static int media_stats(core_stream handle, struct core_stream_stats *ret_stats)
{
	const struct fake_stream *stream = find(handle);

	if (!stream)
		return PBX_ENOENT;
	*ret_stats = stream->audio ? *stream->audio
				   : (struct core_stream_stats){
					     .packets_in = 500, .packets_out = 500, .jitter_us = 1000, .last_packet_at_ms = core_now_ms()
				     };
	ret_stats->local = stream->local;
	ret_stats->remote = stream->config.rtp;
	ret_stats->clock_hz = stream->config.codecs[0].clock_hz;
	ret_stats->ptime_ms = 20;
	if (stream->config.codec_count)
		(void)snprintf(ret_stats->codec, sizeof ret_stats->codec, "%s", stream->config.codecs[0].name);
	return PBX_OK;
}

/* ---- filters ---- */

static void close_filter(struct fake_stream *stream)
{
	if (stream->filter_state)
		CORE_INTO(stream->filter.owner, stream->filter.table.close(stream->filter_state));
	stream->filter_state = NULL;
	stream->filter_rate_hz = 0;
}

static int media_set_filter(core_stream handle, const struct core_filter *filter)
{
	struct fake_stream *stream = find(handle);

	if (!stream)
		return PBX_ENOENT;
	close_filter(stream);
	stream->filter = filter ? *filter : (struct core_filter){ 0 };
	return PBX_OK;
}

void fake_stream_filter(struct fake_stream *stream, bool said, uint32_t rate_hz, int16_t *samples, uint32_t count)
{
	const struct pbx_audio_filter *table = &stream->filter.table;

	if (!stream->filter.owner)
		return;
	if (stream->filter_rate_hz != rate_hz) {
		int err;

		close_filter(stream);
		CORE_INTO(stream->filter.owner, err = table->open(stream->filter.context, rate_hz, &stream->filter_state));
		ck_assert_int_eq(err, PBX_OK);
		stream->filter_rate_hz = rate_hz;
	}
	if (said && table->said)
		table->said(stream->filter_state, samples, count);
	if (!said && table->heard)
		table->heard(stream->filter_state, samples, count);
}

static void stream_free(struct fake_stream *stream)
{
	struct fake_stream **at = &streams;

	while (*at != stream)
		at = &(*at)->next;
	*at = stream->next;
	close_filter(stream);
	core_handle_free(&stream_table, stream->handle.id);
	free(stream->audio);
	free(stream->play_text);
	free(stream);
}

static int media_close(core_stream handle)
{
	struct fake_stream *stream = find(handle);

	if (!stream)
		return PBX_ENOENT;
	recordings_end(handle);
	(void)media_disconnect(handle); /* it is there */
	stream_free(stream);
	return PBX_OK;
}

static uint8_t media_codecs(struct core_codec *ret_codecs, uint8_t size)
{
	static const struct core_codec codecs[] = {
		{ .name = "PCMA", .clock_hz = 8000, .channels = 1, .payload_type = 8 },
		{ .name = "PCMU", .clock_hz = 8000, .channels = 1, .payload_type = 0 },
		{ .name = "telephone-event", .clock_hz = 8000, .channels = 1, .payload_type = 101, .fmtp = "0-15" },
	};
	uint8_t count = size < 3 ? size : 3;

	memcpy(ret_codecs, codecs, count * sizeof codecs[0]);
	return count;
}

struct fake_stream *fake_stream_at(const struct core_addr *local)
{
	struct fake_stream *stream = streams;

	while (stream && stream->local.in4.sin_port != local->in4.sin_port) /* the port is at the same place in IPv6 */
		stream = stream->next;
	return stream;
}

/* ---- sources ---- */

static struct source *find_source_named(const char *name)
{
	struct source *source = sources;

	while (source && strcmp(source->name, name))
		source = source->next;
	return source;
}

static char *join(const char *const *texts, uint32_t count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (uint32_t i = 0; i < count; i++)
		(void)fprintf(out, "%s%s", i ? "\n" : "", texts[i]);
	(void)fclose(out); /* memory */
	return text;
}

static void forget_spec(struct source *source)
{
	free(source->files);
	free(source->url);
	free(source->announcements);
}

static void take_spec(struct source *source, const struct pbx_source_spec *spec)
{
	source->files = join(spec->files, spec->file_count);
	source->announcements = join(spec->announcements, spec->announcement_count);
	source->url = strdup(spec->url ? spec->url : "");
	source->announce_every_s = spec->announce_every_s;
	source->levels = spec->levels;
	source->trims_silence = spec->trims_silence;
}

static void source_free(struct source *source)
{
	struct source **at = &sources;

	for (struct fake_stream *stream = streams; stream; stream = stream->next)
		if (stream->plays == CORE_PLAY_SOURCE && stream->source.id == source->handle.id)
			fake_stream_play_over(stream, PBX_MEDIA_FINISHED);
	while (*at != source)
		at = &(*at)->next;
	*at = source->next;
	core_charge_remove(&source->charge);
	core_handle_free(&source_table, source->handle.id);
	free(source->name);
	forget_spec(source);
	free(source);
}

static void source_revoke(struct core_charge *charge)
{
	source_free((struct source *)charge);
}

static int media_source_open(struct pbx_host *owner, const struct pbx_source_spec *spec, pbx_source *ret_source)
{
	if (!spec->file_count && (!spec->url || !*spec->url))
		return PBX_EINVAL;
	struct source *source = calloc(1, sizeof *source);
	ck_assert_ptr_nonnull(source);

	source->handle.id = core_handle_new(&source_table, source);
	source->name = strdup(spec->name);
	take_spec(source, spec);
	source->next = sources;
	sources = source;
	core_charge_add(owner, &source->charge, "source", false, source_revoke);
	*ret_source = source->handle;
	return PBX_OK;
}

static int media_source_update(pbx_source handle, const struct pbx_source_spec *spec)
{
	struct source *source = core_handle_find(&source_table, handle.id);

	if (!source)
		return PBX_ENOENT;
	if (!spec->file_count && (!spec->url || !*spec->url))
		return PBX_EINVAL;
	forget_spec(source);
	take_spec(source, spec);
	return PBX_OK;
}

static int media_source_close(pbx_source handle)
{
	struct source *source = core_handle_find(&source_table, handle.id);

	if (!source)
		return PBX_ENOENT;
	source_free(source);
	return PBX_OK;
}

static int media_source_listeners(pbx_source handle, uint32_t *ret_listeners)
{
	if (!core_handle_find(&source_table, handle.id))
		return PBX_ENOENT;
	*ret_listeners = 0;
	for (const struct fake_stream *stream = streams; stream; stream = stream->next)
		*ret_listeners += stream->plays == CORE_PLAY_SOURCE && stream->source.id == handle.id;
	return PBX_OK;
}

static int media_source_state(pbx_source handle, struct pbx_source_state *ret_state)
{
	const struct source *source = core_handle_find(&source_table, handle.id);

	if (!source)
		return PBX_ENOENT;
	(void)media_source_listeners(handle, &ret_state->listeners); /* it is there */
	ret_state->running = ret_state->listeners > 0;
	ret_state->streaming = ret_state->running && *source->url;
	return PBX_OK;
}

/* ---- probing: a file that begins as WAV does can be played ---- */

struct probe {
	char *path;
	void (*done)(void *self, int result, const struct pbx_file_info *info);
	void *self;
	int result;
	struct pbx_file_info info;
};

static void probe_work(void *job)
{
	struct probe *probe = job;
	char begin[44] = "";
	FILE *file = fopen(probe->path, "rb");

	probe->result = !file                                                                              ? PBX_ENOENT
			: fread(begin, 1, sizeof begin, file) == sizeof begin && !memcmp(begin, "RIFF", 4) ? PBX_OK
													   : PBX_EINVAL;
	if (!file)
		return;
	(void)fseek(file, 0, SEEK_END);
	probe->info = (struct pbx_file_info){
		.size = sizeof probe->info, .rate_hz = 8000, .channels = 1, .duration_ms = (uint64_t)(ftell(file) - 44) / 16
	};
	(void)fclose(file); /* was only read */
}

static void probe_worked(void *context, void *job, int status)
{
	struct probe *probe = job;

	(void)context;
	probe->done(probe->self, status == PBX_OK ? probe->result : status, &probe->info);
	free(probe->path);
	free(probe);
}

static int media_probe(struct pbx_host *host, const char *path, void (*done)(void *self, int result, const struct pbx_file_info *info),
		       void *self)
{
	struct probe *probe = calloc(1, sizeof *probe);

	ck_assert_ptr_nonnull(probe);
	*probe = (struct probe){ .path = strdup(path), .done = done, .self = self };
	return core_work(host, probe_work, probe_worked, NULL, probe);
}

/* ---- mixes ---- */

static int media_mix_open(uint64_t group, bool gated, core_mix *ret_mix)
{
	struct fake_mix *mix = calloc(1, sizeof *mix);

	(void)group;
	ck_assert_ptr_nonnull(mix);
	mix->handle.id = core_handle_new(&mix_table, mix);
	mix->gated = gated;
	mix->next = mixes;
	mixes = mix;
	*ret_mix = mix->handle;
	return PBX_OK;
}

static int media_mix_close(core_mix handle)
{
	struct fake_mix *mix = core_handle_find(&mix_table, handle.id), **at = &mixes;

	if (!mix)
		return PBX_ENOENT;
	for (struct fake_stream *stream = streams; stream; stream = stream->next)
		if (stream->mix == mix)
			stream->mix = NULL;
	while (*at != mix)
		at = &(*at)->next;
	*at = mix->next;
	core_handle_free(&mix_table, handle.id);
	free(mix->play_text);
	free(mix);
	return PBX_OK;
}

static int media_mix_enter(core_mix mix, core_stream handle, const struct core_mix_part *part)
{
	struct fake_stream *stream = find(handle);
	struct fake_mix *into = core_handle_find(&mix_table, mix.id);

	if (!stream || !into)
		return PBX_ENOENT;
	(void)media_disconnect(handle); /* it is there */
	stream->mix = into;
	stream->part = *part;
	return PBX_OK;
}

static int media_mix_leave(core_stream handle)
{
	struct fake_stream *stream = find(handle);

	if (!stream)
		return PBX_ENOENT;
	stream->mix = NULL;
	return PBX_OK;
}

struct mix_played {
	core_mix mix;
	uint64_t tag;
	uint32_t how;
};

static void tell_mix_played(void *context, void *data)
{
	const struct mix_played *played = data;

	(void)context;
	core_media_on_mix_played(played->mix, played->tag, played->how);
	free(data);
}

static void mix_play_over(struct fake_mix *mix, uint32_t how)
{
	struct mix_played *played = malloc(sizeof *played);

	ck_assert_ptr_nonnull(played);
	*played = (struct mix_played){ mix->handle, mix->tag, how };
	free(mix->play_text);
	mix->play_text = NULL;
	mix->plays = 0;
	ck_assert_int_eq(core_post(NULL, tell_mix_played, NULL, played, free), PBX_OK);
}

static int media_mix_play(core_mix handle, const struct core_play *play)
{
	struct fake_mix *mix = core_handle_find(&mix_table, handle.id);

	if (!mix)
		return PBX_ENOENT;
	if (mix->plays)
		mix_play_over(mix, PBX_MEDIA_STOPPED);
	mix->plays = play->kind;
	mix->play_text = play->kind == CORE_PLAY_FILE ? join_prompts(play) : strdup(play->text);
	mix->tag = play->tag;
	return PBX_OK;
}

static int media_mix_stop(core_mix handle)
{
	struct fake_mix *mix = core_handle_find(&mix_table, handle.id);

	if (!mix)
		return PBX_ENOENT;
	if (mix->plays)
		mix_play_over(mix, PBX_MEDIA_STOPPED);
	return PBX_OK;
}

static int media_mix_voice(core_stream handle, struct core_mix_voice *ret_voice)
{
	const struct fake_stream *stream = find(handle);

	if (!stream || !stream->mix)
		return PBX_ENOENT;
	*ret_voice = (struct core_mix_voice){ .talking = stream->talking, .level_cdbov = stream->talking ? -1800 : -12700 };
	return PBX_OK;
}

void fake_stream_finish_in_room(struct fake_stream *stream)
{
	ck_assert_msg(stream->mix && stream->mix->plays, "nothing plays in its room");
	mix_play_over(stream->mix, PBX_MEDIA_FINISHED);
}

void fake_stream_speak(struct fake_stream *stream, bool on)
{
	stream->talking = on;
	core_media_on_mix_talking(stream->handle, on);
	if (on)
		core_media_on_mix_speaker(stream->handle);
}

/* ---- recordings: a file that says what it is of, when a test or its owner ends it ---- */

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

static struct recording *recordings;

static void recording_free(struct recording *recording)
{
	struct recording **at = &recordings;

	while (*at != recording)
		at = &(*at)->next;
	*at = recording->next;
	core_handle_free(&recording_table, recording->handle.id);
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

static void recordings_end(core_stream stream)
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

static int media_record(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_record_spec *spec,
			const struct pbx_record_watcher *watcher, void *self, pbx_recording *ret_recording)
{
	struct recording *recording = calloc(1, sizeof *recording);

	ck_assert_ptr_nonnull(recording);
	recording->handle.id = core_handle_new(&recording_table, recording);
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
	return core_handle_find(&recording_table, handle.id);
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

static int media_record_pause(pbx_recording handle, uint32_t how)
{
	(void)how;
	return set_paused(handle, true);
}

static int media_record_resume(pbx_recording handle)
{
	return set_paused(handle, false);
}

static int media_record_stop(pbx_recording handle)
{
	struct recording *recording = find_recording(handle);

	if (!recording || recording->state.ending)
		return PBX_ENOENT;
	recording_end(recording, PBX_RECORDED_STOPPED);
	return PBX_OK;
}

static int media_record_state(pbx_recording handle, struct pbx_record_state *ret_state)
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

static int media_record_adopt(struct pbx_host *owner, pbx_recording handle, const struct pbx_record_watcher *watcher, void *self)
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

static int media_record_recover(struct pbx_host *host, const char *path, void (*done)(void *self, const struct pbx_record_result *result),
				void *self)
{
	struct recovery *recovery = calloc(1, sizeof *recovery);

	(void)host;
	ck_assert_ptr_nonnull(recovery);
	*recovery = (struct recovery){ .done = done, .self = self, .path = strdup(path) };
	return core_post(NULL, tell_recovered, NULL, recovery, free);
}

static void media_record_key(core_stream stream, char key)
{
	for (struct recording *recording = recordings; recording; recording = recording->next)
		if (recording->stream.id == stream.id && strchr(recording->stop_keys, key))
			recording_end(recording, PBX_RECORDED_KEY);
}

const struct core_media_driver fake_media_driver = {
	.open = media_open,
	.configure = media_configure,
	.connect = media_connect,
	.disconnect = media_disconnect,
	.play = media_play,
	.stop = media_stop,
	.send_digits = media_send_digits,
	.set_held = media_set_held,
	.stats = media_stats,
	.estimate = rtp_estimate,
	.close = media_close,
	.codecs = media_codecs,
	.source_open = media_source_open,
	.source_update = media_source_update,
	.source_close = media_source_close,
	.source_listeners = media_source_listeners,
	.source_state = media_source_state,
	.probe = media_probe,
	.mix_open = media_mix_open,
	.mix_close = media_mix_close,
	.mix_enter = media_mix_enter,
	.mix_leave = media_mix_leave,
	.mix_play = media_mix_play,
	.mix_stop = media_mix_stop,
	.mix_voice = media_mix_voice,
	.set_filter = media_set_filter,
	.record = media_record,
	.record_pause = media_record_pause,
	.record_resume = media_record_resume,
	.record_stop = media_record_stop,
	.record_state = media_record_state,
	.record_adopt = media_record_adopt,
	.record_recover = media_record_recover,
	.record_key = media_record_key,
};

struct core_stream_stats *fake_stream_audio(struct fake_stream *stream)
{
	if (!stream->audio)
		stream->audio = calloc(1, sizeof *stream->audio);
	ck_assert_ptr_nonnull(stream->audio);
	return stream->audio;
}

/* ---- ears ---- */

static bool may_send(const struct fake_stream *stream)
{
	return stream->configured && stream->config.direction & CORE_SEND;
}

static bool reaches(const struct fake_stream *stream, const struct fake_stream *other)
{
	if (!stream->mix || stream->mix != other->mix)
		return stream->peer == other;
	return stream != other && stream->part.hears && (other->part.talks || other->part.to.id == stream->handle.id);
}

bool fake_stream_hears(const struct fake_stream *stream, const struct fake_stream *other)
{
	return reaches(stream, other) && !stream->plays && may_send(stream) && other->configured && other->config.direction & CORE_RECV;
}

/* A prompt's name is its file's without folder and ending. */
static const char *prompt_name(const char *text)
{
	const char *slash = strrchr(text, '/');
	const char *name = slash ? slash + 1 : text;
	const char *dot = strrchr(name, '.');

	return fake_format("prompt:%.*s", (int)(dot ? dot - name : (int)strlen(name)), name);
}

const char *fake_stream_plays(const struct fake_stream *stream, const char *(*name_of)(const struct fake_stream *stream))
{
	const struct source *source = core_handle_find(&source_table, stream->source.id);

	if (!may_send(stream))
		return "nothing";
	switch (stream->plays) {
	case CORE_PLAY_FILE:
		return prompt_name(stream->play_text);
	case CORE_PLAY_TONE:
		return fake_format("tone:%s", stream->play_text);
	case CORE_PLAY_SOURCE:
		return source ? fake_format("source:%s", source->name) : "nothing";
	case CORE_PLAY_ECHO:
		return "self";
	default:
		if (stream->mix && stream->part.hears && stream->mix->plays)
			return stream->mix->plays == CORE_PLAY_FILE ? prompt_name(stream->mix->play_text)
								    : fake_format("tone:%s", stream->mix->play_text);
		return stream->peer && fake_stream_hears(stream, stream->peer) ? fake_format("leg:%s", name_of(stream->peer)) : "nothing";
	}
}

const char *fake_source_files(struct fake_pbx *pbx, const char *name)
{
	const struct source *source = find_source_named(name);

	(void)pbx;
	return source ? fake_format("%s", source->files) : NULL;
}

const char *fake_source_wishes(struct fake_pbx *pbx, const char *name)
{
	const struct source *source = find_source_named(name);

	(void)pbx;
	if (!source)
		return NULL;
	return fake_format("%s announce:%s/%u%s%s", source->url, source->announcements, source->announce_every_s,
			   source->levels ? " levels" : "", source->trims_silence ? " trims" : "");
}

uint32_t fake_source_listeners(struct fake_pbx *pbx, const char *name)
{
	const struct source *source = find_source_named(name);
	uint32_t listeners;

	(void)pbx;
	ck_assert_msg(source != NULL, "there is no source %s", name);
	ck_assert_int_eq(media_source_listeners(source->handle, &listeners), PBX_OK);
	return listeners;
}

/* ---- beginning and end ---- */

void fake_media_init(void)
{
	core_handles_init(&stream_table, 'M');
	core_handles_init(&source_table, 'P');
	core_handles_init(&mix_table, 'X');
	core_handles_init(&recording_table, 'W');
	next_port = FIRST_PORT;
	core_media_set_driver(&fake_media_driver);
}

uint32_t fake_media_streams(void)
{
	return core_handles_count(&stream_table);
}

uint32_t fake_media_sources(void)
{
	return core_handles_count(&source_table);
}

void fake_media_fini(void)
{
	ck_assert_msg(!streams, "%u streams are left open", fake_media_streams());
	ck_assert_msg(!sources, "a source is left open: %s", sources ? sources->name : "");
	ck_assert_msg(!mixes, "%u mixes are left open", core_handles_count(&mix_table));
	core_handles_fini(&stream_table);
	core_handles_fini(&mix_table);
	ck_assert_msg(!recordings, "a recording is left: %s", recordings ? recordings->path : "");
	core_handles_fini(&source_table);
	core_handles_fini(&recording_table);
}
