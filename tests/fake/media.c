/* tests/fake/media.c - streams without a packet: who is connected to whom, what plays to whom, and when a test says that it is over
 *
 * Everything the driver reports comes after the present callback, as it does from the workers. Sources, mixes and recordings have files of
 * their own beside this one; what is heard in the end is media_ears.c. */
#include "handle.h"
#include "loop.h"
#include "media.h"
#include "owner.h"
#include "../../rtp/estimate.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PORT 20000u

struct fake_stream *fake_streams;
static struct core_handles handles;
static uint16_t next_port;
static bool no_ports;

struct play_done {
	core_stream stream;
	uint64_t tag;
	uint32_t how;
};

/* ---- streams ---- */

struct fake_stream *fake_stream_find(core_stream handle)
{
	return core_handle_find(&handles, handle.id);
}

static int media_open(uint64_t group, int family, core_stream *ret_stream, struct core_addr *ret_local)
{
	struct fake_stream *stream = no_ports ? NULL : calloc(1, sizeof *stream);

	if (no_ports)
		return PBX_ENOSPC;
	ck_assert_ptr_nonnull(stream);
	stream->handle.id = core_handle_new(&handles, stream);
	stream->group = group;
	next_port = (uint16_t)(next_port + 2);
	if (family == AF_INET6)
		stream->local.in6 =
			(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(next_port), .sin6_addr = in6addr_loopback };
	else
		stream->local.in4 =
			(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(next_port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	stream->next = fake_streams;
	fake_streams = stream;
	*ret_stream = stream->handle;
	*ret_local = stream->local;
	return PBX_OK;
}

static int media_configure(core_stream handle, const struct core_stream_config *config)
{
	struct fake_stream *stream = fake_stream_find(handle);

	if (!stream)
		return PBX_ENOENT;
	fake_forks_learn(stream, config);
	stream->config = *config;
	stream->configured = true;
	return PBX_OK;
}

void fake_stream_disconnect(struct fake_stream *stream)
{
	if (stream->peer)
		stream->peer->peer = NULL;
	stream->peer = NULL;
}

static int media_disconnect(core_stream handle)
{
	struct fake_stream *stream = fake_stream_find(handle);

	if (!stream)
		return PBX_ENOENT;
	fake_stream_disconnect(stream);
	return PBX_OK;
}

static int media_connect(core_stream a, core_stream b)
{
	struct fake_stream *first = fake_stream_find(a), *second = fake_stream_find(b);

	if (!first || !second)
		return PBX_ENOENT;
	fake_stream_disconnect(first);
	fake_stream_disconnect(second);
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
char *fake_join_prompts(const struct core_play *play)
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
	struct fake_stream *stream = fake_stream_find(handle);

	if (!stream)
		return PBX_ENOENT;
	if (play->kind == CORE_PLAY_SOURCE && !fake_source_name(play->source))
		return PBX_ENOENT;
	if (stream->plays)
		fake_stream_play_over(stream, PBX_MEDIA_STOPPED);
	stream->plays = play->kind;
	stream->play_text = play->kind == CORE_PLAY_FILE ? fake_join_prompts(play) : play->text ? strdup(play->text) : NULL;
	stream->source = play->source;
	stream->tag = play->tag;
	stream->plays_begun++;
	stream->playing = (struct pbx_media_state){ 0 };
	stream->playing_since_ms = core_now_ms();
	return PBX_OK;
}

static int media_stop(core_stream handle)
{
	struct fake_stream *stream = fake_stream_find(handle);

	if (!stream)
		return PBX_ENOENT;
	if (stream->plays)
		fake_stream_play_over(stream, PBX_MEDIA_STOPPED);
	return PBX_OK;
}

/* A file lasts as long as the test wants; its position is what has passed of the clock while it was not paused. */
static uint32_t position_ms(const struct fake_stream *stream)
{
	const struct pbx_media_state *state = &stream->playing;

	return state->position_ms + (state->paused ? 0 : (uint32_t)(core_now_ms() - stream->playing_since_ms));
}

static void steer(struct fake_stream *stream, uint32_t how, int32_t amount)
{
	struct pbx_media_state *state = &stream->playing;

	state->position_ms = position_ms(stream);
	stream->playing_since_ms = core_now_ms();
	if (how == CORE_STEER_GAIN)
		state->gain_cdb = amount;
	else if (how != CORE_STEER_SEEK)
		state->paused = how == CORE_STEER_PAUSE;
	else if (amount < 0 && (uint32_t)-amount > state->position_ms)
		state->position_ms = 0;
	else
		state->position_ms += (uint32_t)amount;
}

static int media_steer(core_stream handle, uint64_t tag, uint32_t how, int32_t amount)
{
	struct fake_stream *stream = fake_stream_find(handle);

	if (!stream)
		return PBX_ENOENT;
	if (stream->plays != CORE_PLAY_FILE || stream->tag != tag)
		return PBX_ESTATE;
	steer(stream, how, amount);
	return PBX_OK;
}

struct pbx_media_state fake_stream_playing(const struct fake_stream *stream)
{
	struct pbx_media_state state = { 0 };

	if (stream->plays != CORE_PLAY_FILE)
		return state;
	state = stream->playing;
	state.position_ms = position_ms(stream);
	return state;
}

static int media_played_so_far(core_stream handle, uint64_t tag, struct pbx_media_state *ret_state)
{
	const struct fake_stream *stream = fake_stream_find(handle);

	if (!stream)
		return PBX_ENOENT;
	if (stream->plays != CORE_PLAY_FILE || stream->tag != tag)
		return PBX_ESTATE;
	*ret_state = fake_stream_playing(stream);
	return PBX_OK;
}

static int media_send_digits(core_stream handle, const char *digits, uint32_t each_ms, uint32_t gap_ms)
{
	struct fake_stream *stream = fake_stream_find(handle);

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
	struct fake_stream *stream = fake_stream_find(handle);

	if (!stream)
		return PBX_ENOENT;
	stream->held = held;
	return PBX_OK;
}

static int media_stats(core_stream handle, struct core_stream_stats *ret_stats)
{
	const struct fake_stream *stream = fake_stream_find(handle);

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
	struct fake_stream *stream = fake_stream_find(handle);

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
	struct fake_stream **at = &fake_streams;

	while (*at != stream)
		at = &(*at)->next;
	*at = stream->next;
	close_filter(stream);
	core_handle_free(&handles, stream->handle.id);
	free(stream->audio);
	free(stream->play_text);
	free(stream);
}

static int media_close(core_stream handle)
{
	struct fake_stream *stream = fake_stream_find(handle);

	if (!stream)
		return PBX_ENOENT;
	fake_faxes_end(handle);
	fake_recordings_end(handle);
	fake_beside_end(handle);
	fake_forks_end(handle);
	fake_stream_disconnect(stream);
	stream_free(stream);
	return PBX_OK;
}

static uint8_t media_codecs(struct core_codec *ret_codecs, uint8_t size)
{
	static const struct core_codec codecs[] = {
		{ .name = "PCMA", .clock_hz = 8000, .channels = 1, .payload_type = 8 },
		{ .name = "PCMU", .clock_hz = 8000, .channels = 1, .payload_type = 0 },
		{ .name = "telephone-event", .clock_hz = 8000, .channels = 1, .payload_type = 101, .fmtp = "0-16" },
	};
	uint8_t count = size < 3 ? size : 3;

	memcpy(ret_codecs, codecs, count * sizeof codecs[0]);
	return count;
}

struct fake_stream *fake_stream_at(const struct core_addr *local)
{
	struct fake_stream *stream = fake_streams;

	while (stream && stream->local.in4.sin_port != local->in4.sin_port) /* the port is at the same place in IPv6 */
		stream = stream->next;
	return stream;
}

struct core_stream_stats *fake_stream_audio(struct fake_stream *stream)
{
	if (!stream->audio)
		stream->audio = calloc(1, sizeof *stream->audio);
	ck_assert_ptr_nonnull(stream->audio);
	return stream->audio;
}

void fake_no_ports(struct fake_pbx *pbx, bool none)
{
	(void)pbx;
	no_ports = none;
}

/* ---- beginning and end ---- */

void fake_media_init(void)
{
	static struct core_media_driver driver; /* the core keeps it */

	core_handles_init(&handles, 'M');
	next_port = FIRST_PORT;
	no_ports = false;
	driver = (struct core_media_driver){
		.open = media_open,
		.configure = media_configure,
		.connect = media_connect,
		.disconnect = media_disconnect,
		.play = media_play,
		.stop = media_stop,
		.send_digits = media_send_digits,
		.set_held = media_set_held,
		.stats = media_stats,
		.close = media_close,
		.codecs = media_codecs,
		.set_filter = media_set_filter,
		.estimate = rtp_estimate,
		.steer = media_steer,
		.played_so_far = media_played_so_far,
	};
	fake_sources_init(&driver);
	fake_mixes_init(&driver);
	fake_recordings_init(&driver);
	fake_beside_init(&driver);
	fake_forks_init(&driver);
	fake_faxes_init(&driver);
	core_media_set_driver(&driver);
}

uint32_t fake_media_streams(void)
{
	return core_handles_count(&handles);
}

void fake_media_fini(void)
{
	ck_assert_msg(!fake_streams, "%u streams are left open", fake_media_streams());
	fake_sources_fini();
	fake_mixes_fini();
	fake_recordings_fini();
	fake_beside_fini();
	fake_forks_fini();
	fake_faxes_fini();
	core_handles_fini(&handles);
}
