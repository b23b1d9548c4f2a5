/* tests/core/fake_drivers.c - see the header */
#include "fake_drivers.h"
#include "../check_main.h"
#include <arpa/inet.h>
#include <string.h>

struct line lines[LINES_MOST];
uint32_t line_count;

struct line *line_new(const char *user, uint32_t direction)
{
	ck_assert_uint_lt(line_count, LINES_MOST);
	struct line *line = &lines[line_count++];

	*line = (struct line){ .direction = direction, .state = PBX_LEG_NEW };
	(void)snprintf(line->user, sizeof line->user, "%s", user);
	return line;
}

struct core_media_desc line_says(const char *codec, uint8_t type, uint8_t direction, bool nowhere)
{
	struct core_media_desc desc = {
		.present = true,
		.direction = direction,
		.codec_count = 2,
		.rtp.in4 = { .sin_family = AF_INET, .sin_port = htons(4000), .sin_addr = { nowhere ? INADDR_ANY : htonl(0xC0000201) } },
		.codecs = { { .clock_hz = 8000, .channels = 1, .payload_type = type },
			    { .name = "telephone-event", .clock_hz = 8000, .channels = 1, .payload_type = 101 } }
	};

	(void)snprintf(desc.codecs[0].name, sizeof desc.codecs[0].name, "%s", codec);
	return desc;
}

static struct line *living(void *dialog)
{
	struct line *line = dialog;

	ck_assert_msg(!line->released, "%s is told something after its release", line->user);
	ck_assert_msg(line->state != PBX_LEG_ENDED, "%s is told something after its end", line->user);
	return line;
}

/* ---- the leg driver ---- */

static int drive_invite(pbx_leg leg, const struct core_invite *invite, void **ret_dialog)
{
	char user[32];

	if (walk_random(20) == 0)
		return PBX_EIO;
	ck_assert(invite->offer->present && invite->offer->codec_count > 0);
	(void)snprintf(user, sizeof user, "%.*s", (int)strcspn(invite->target + 4, "@") > 30 ? 30 : (int)strcspn(invite->target + 4, "@"),
		       invite->target + 4);
	struct line *line = line_new(user, PBX_OUTBOUND);
	line->leg = leg;
	*ret_dialog = line;
	return PBX_OK;
}

static int drive_ring(void *dialog, const struct core_media_desc *early)
{
	struct line *line = living(dialog);

	ck_assert_msg(!early || early->codec_count > 0, "early media without a codec");
	ck_assert_uint_eq(line->direction, PBX_INBOUND);
	ck_assert_uint_ne(line->state, PBX_LEG_ANSWERED);
	line->state = PBX_LEG_RINGING;
	return PBX_OK;
}

static int drive_answer(void *dialog, const struct core_media_desc *answer)
{
	struct line *line = living(dialog);

	ck_assert(answer->present && answer->codec_count > 0);
	ck_assert_uint_eq(line->direction, PBX_INBOUND);
	ck_assert_uint_ne(line->state, PBX_LEG_ANSWERED);
	line->state = PBX_LEG_ANSWERED;
	return PBX_OK;
}

static int drive_reject(void *dialog, uint32_t sip_code, uint32_t cause, const char *text)
{
	struct line *line = living(dialog);

	(void)cause;
	(void)text;
	ck_assert(sip_code >= 300 && sip_code < 700);
	ck_assert(line->direction == PBX_INBOUND && line->state != PBX_LEG_ANSWERED);
	line->state = PBX_LEG_ENDED;
	return PBX_OK;
}

static int drive_redirect(void *dialog, const char *contact)
{
	(void)contact;
	return drive_reject(dialog, 302, 0, NULL);
}

static void drive_hangup(void *dialog, uint32_t cause)
{
	ck_assert_uint_ne(cause, 0);
	living(dialog)->state = PBX_LEG_ENDED;
}

static int drive_update(void *dialog, const struct core_media_desc *offer)
{
	struct line *line = living(dialog);

	ck_assert(offer->present && offer->codec_count > 0);
	ck_assert_uint_eq(line->state, PBX_LEG_ANSWERED);
	if (line->update_waits || walk_random(4) == 0)
		return PBX_EBUSY;
	line->update_waits = true;
	return PBX_OK;
}

static int drive_accept(void *dialog, const struct core_media_desc *answer)
{
	(void)living(dialog);
	ck_assert(answer->present && answer->codec_count > 0);
	return PBX_OK;
}

static int drive_refuse(void *dialog, uint32_t sip_code)
{
	(void)living(dialog);
	ck_assert_uint_ge(sip_code, 400);
	return PBX_OK;
}

static int drive_digit(void *dialog, char digit, uint32_t duration_ms)
{
	(void)living(dialog);
	(void)digit;
	(void)duration_ms;
	return PBX_OK;
}

static void drive_progress(void *dialog, uint32_t sip_code)
{
	(void)living(dialog);
	ck_assert(sip_code >= 100 && sip_code < 700);
}

static void drive_identity(void *dialog, const char *number, const char *name)
{
	(void)living(dialog);
	ck_assert(number && name);
}

static void drive_release(void *dialog)
{
	struct line *line = dialog;

	ck_assert_msg(!line->released, "%s is released twice", line->user);
	ck_assert_msg(line->state == PBX_LEG_ENDED, "%s is released before its end", line->user);
	line->released = true;
}

static const struct core_leg_driver leg_driver = {
	.name = "walk",
	.invite = drive_invite,
	.ring = drive_ring,
	.answer = drive_answer,
	.reject = drive_reject,
	.redirect = drive_redirect,
	.hangup = drive_hangup,
	.update = drive_update,
	.accept_offer = drive_accept,
	.refuse_offer = drive_refuse,
	.send_digit = drive_digit,
	.transfer_progress = drive_progress,
	.set_identity = drive_identity,
	.release = drive_release,
};

/* ---- the media driver ---- */

static struct {
	bool open, configured;
	uint64_t peer, mix;
} streams[LINES_MOST * 2];
static uint64_t stream_count; /* ids are never used again: 1, 2, 3… */
static bool mixes[4096];
static uint64_t mix_count; /* likewise */

static bool is_open(uint64_t id)
{
	return id > 0 && id <= stream_count && streams[id].open;
}

bool fake_stream_is_open(core_stream stream)
{
	return is_open(stream.id);
}

core_stream fake_stream_peer(core_stream stream)
{
	return (core_stream){ is_open(stream.id) ? streams[stream.id].peer : 0 };
}

uint32_t fake_streams_open(void)
{
	uint32_t count = 0;

	for (uint64_t id = 1; id <= stream_count; id++)
		count += streams[id].open;
	return count;
}

static int media_open(uint64_t group, int family, core_stream *ret_stream, struct core_addr *ret_local)
{
	ck_assert(group != 0 && (family == AF_INET || family == AF_INET6));
	if (walk_random(50) == 0)
		return PBX_ENOSPC;
	ck_assert_uint_lt(stream_count + 1, sizeof streams / sizeof streams[0]);
	*ret_stream = (core_stream){ ++stream_count };
	streams[stream_count].open = true;
	*ret_local =
		(struct core_addr){ .in4 = { .sin_family = AF_INET, .sin_port = htons(20000), .sin_addr = { htonl(INADDR_LOOPBACK) } } };
	return PBX_OK;
}

static int media_configure(core_stream stream, const struct core_stream_config *config)
{
	ck_assert_msg(is_open(stream.id), "a closed stream is configured");
	ck_assert_uint_gt(config->codec_count, 0);
	streams[stream.id].configured = true;
	return PBX_OK;
}

static int media_disconnect(core_stream stream)
{
	ck_assert_msg(is_open(stream.id), "a closed stream is disconnected");
	if (streams[stream.id].peer)
		streams[streams[stream.id].peer].peer = 0;
	streams[stream.id].peer = 0;
	return PBX_OK;
}

static int media_connect(core_stream a, core_stream b)
{
	ck_assert_msg(is_open(a.id) && is_open(b.id) && a.id != b.id, "a closed stream is connected");
	ck_assert_msg(streams[a.id].configured && streams[b.id].configured, "a stream is connected before it is configured");
	(void)media_disconnect(a);
	(void)media_disconnect(b);
	streams[a.id].peer = b.id;
	streams[b.id].peer = a.id;
	streams[a.id].mix = streams[b.id].mix = 0;
	return PBX_OK;
}

static int media_mix_open(uint64_t group, bool gated, core_mix *ret_mix)
{
	ck_assert(group != 0);
	(void)gated;
	if (walk_random(20) == 0)
		return PBX_ENOMEM;
	ck_assert_uint_lt(mix_count + 1, sizeof mixes / sizeof mixes[0]);
	mixes[++mix_count] = true;
	ret_mix->id = mix_count;
	return PBX_OK;
}

static int media_mix_close(core_mix mix)
{
	ck_assert_msg(mixes[mix.id], "a mix is closed twice");
	mixes[mix.id] = false;
	for (uint64_t id = 1; id <= stream_count; id++)
		if (streams[id].mix == mix.id)
			streams[id].mix = 0;
	return PBX_OK;
}

static int media_mix_enter(core_mix mix, core_stream stream, const struct core_mix_part *part)
{
	ck_assert_msg(mixes[mix.id] && is_open(stream.id) && streams[stream.id].configured, "what is closed is mixed");
	ck_assert_msg(!part->to.id || (is_open(part->to.id) && part->to.id != stream.id), "a closed stream is whispered to");
	if (walk_random(20) == 0)
		return PBX_ENOMEM;
	(void)media_disconnect(stream);
	streams[stream.id].mix = mix.id;
	return PBX_OK;
}

static int media_mix_leave(core_stream stream)
{
	ck_assert_msg(is_open(stream.id), "a closed stream leaves a mix");
	streams[stream.id].mix = 0;
	return PBX_OK;
}

static int media_mix_play(core_mix mix, const struct core_play *play)
{
	ck_assert_msg(mixes[mix.id] && play->tag, "something is played into a closed mix");
	return PBX_OK;
}

static int media_mix_stop(core_mix mix)
{
	ck_assert_msg(mixes[mix.id], "a closed mix is stopped");
	return PBX_OK;
}

static int media_mix_voice(core_stream stream, struct core_mix_voice *ret_voice)
{
	ck_assert_msg(is_open(stream.id), "a closed stream is asked about");
	*ret_voice = (struct core_mix_voice){ .talking = true };
	return PBX_OK;
}

uint64_t fake_stream_mix(core_stream stream)
{
	return is_open(stream.id) ? streams[stream.id].mix : 0;
}

uint32_t fake_mixes_open(void)
{
	uint32_t count = 0;

	for (uint64_t id = 1; id <= mix_count; id++)
		count += mixes[id];
	return count;
}

static int media_play(core_stream stream, const struct core_play *play)
{
	ck_assert_msg(is_open(stream.id), "something is played to a closed stream");
	ck_assert_uint_ne(play->tag, 0);
	return walk_random(10) == 0 ? PBX_EINVAL : PBX_OK;
}

static int media_stop(core_stream stream)
{
	ck_assert_msg(is_open(stream.id), "a closed stream is stopped");
	return PBX_OK;
}

static int media_steer(core_stream stream, uint64_t tag, uint32_t how, int32_t amount)
{
	ck_assert_msg(is_open(stream.id), "what plays to a closed stream is steered");
	ck_assert_uint_ne(tag, 0);
	ck_assert(how == CORE_STEER_SEEK || how == CORE_STEER_GAIN || amount == 0);
	return walk_random(10) == 0 ? PBX_ESTATE : PBX_OK;
}

static int media_played_so_far(core_stream stream, uint64_t tag, struct pbx_media_state *ret_state)
{
	ck_assert_msg(is_open(stream.id), "a closed stream is asked what it plays");
	ck_assert_uint_ne(tag, 0);
	*ret_state = (struct pbx_media_state){ .position_ms = 20 };
	return PBX_OK;
}

static int media_send_digits(core_stream stream, const char *digits, uint32_t each_ms, uint32_t gap_ms)
{
	ck_assert(is_open(stream.id) && digits[0] && each_ms && gap_ms);
	return PBX_OK;
}

static int media_set_held(core_stream stream, bool held)
{
	(void)held;
	ck_assert_msg(is_open(stream.id), "a closed stream is held");
	return PBX_OK;
}

static int media_stats(core_stream stream, struct core_stream_stats *ret_stats)
{
	ck_assert(is_open(stream.id));
	*ret_stats = (struct core_stream_stats){ .packets_in = 1, .codec = "PCMU", .last_packet_at_ms = core_now_ms() };
	return PBX_OK;
}

static int media_close(core_stream stream)
{
	ck_assert_msg(is_open(stream.id), "a stream is closed twice");
	(void)media_disconnect(stream);
	streams[stream.id].open = false;
	return PBX_OK;
}

static uint8_t media_codecs(struct core_codec *ret_codecs, uint8_t size)
{
	static const struct core_codec codecs[] = {
		{ .name = "PCMU", .clock_hz = 8000, .channels = 1, .payload_type = 0 },
		{ .name = "PCMA", .clock_hz = 8000, .channels = 1, .payload_type = 8 },
		{ .name = "telephone-event", .clock_hz = 8000, .channels = 1, .payload_type = 101, .fmtp = "0-16" },
	};

	ck_assert_uint_ge(size, 3);
	memcpy(ret_codecs, codecs, sizeof codecs);
	return 3;
}

static const struct core_media_driver media_driver = {
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
	.mix_open = media_mix_open,
	.mix_close = media_mix_close,
	.mix_enter = media_mix_enter,
	.mix_leave = media_mix_leave,
	.mix_play = media_mix_play,
	.mix_stop = media_mix_stop,
	.mix_voice = media_mix_voice,
	.steer = media_steer,
	.played_so_far = media_played_so_far,
};

/* ---- beginning and end ---- */

void fake_drivers_init(void)
{
	core_legs_set_driver(&leg_driver);
	core_media_set_driver(&media_driver);
}

void fake_drivers_forget(void)
{
	ck_assert_uint_eq(fake_streams_open(), 0);
	ck_assert_uint_eq(fake_mixes_open(), 0);
	mix_count = 0;
	for (uint32_t i = 0; i < line_count; i++)
		ck_assert_msg(lines[i].released, "%s was never released", lines[i].user);
	line_count = 0;
	stream_count = 0;
	memset(streams, 0, sizeof streams);
}
