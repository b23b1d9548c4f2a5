/*
 * mixes - rooms of streams, on the loop: who is where, which coders that takes, what is played to all
 *
 * A mix stays on the worker it was made on, and streams move to it. It runs at 8 kHz until somebody with a wider codec comes in, and
 * keeps the higher rate as long as it lasts: each member's ear and mouth are made for it before the worker is told.
 */
#include "codecs.h"
#include "engine_inner.h"
#include "mix.h"

#include <assert.h>
#include <pbx/calls.h>
#include <stdlib.h>

#define NARROW_HZ 8000u

/* ---- commands ---- */

static struct rtp_command *command_new(uint32_t kind, struct rtp_room *room, struct rtp_stream *stream)
{
	struct rtp_command *command = calloc(1, sizeof *command);

	if (!command)
		return NULL;
	*command = (struct rtp_command){ .kind = kind, .settles = true, .mix = &room->mix };
	if (stream) {
		command->session = &stream->session;
		command->stream = stream->id;
		command->member = stream->member;
	}
	return command;
}

static struct rtp_room *find_room(core_mix mix)
{
	return core_handle_find(&rtp_engine.rooms, mix.id);
}

uint32_t rtp_mix_worker(const struct rtp_mix *mix)
{
	return ((const struct rtp_room *)mix)->worker; /* its first member */
}

/* ---- rooms ---- */

static void room_free(struct rtp_room *room)
{
	rtp_resamplers_close(&room->mix.of_play);
	free(room->end);
	free(room);
}

static int room_new(uint64_t group, bool gated, struct rtp_room **ret_room)
{
	struct rtp_room *room = calloc(1, sizeof *room);

	if (!room)
		return PBX_ENOMEM;
	room->worker = rtp_engine_choose_worker(group);
	room->mix.gated = gated;
	room->mix.rate_hz = room->rate_hz = NARROW_HZ;
	room->mix.id = core_handle_new(&rtp_engine.rooms, room);
	room->end = command_new(RTP_MIX_END, room, NULL);
	if (room->mix.id && room->end &&
	    rtp_resamplers_open(&room->mix.of_play, RTP_SOUND_HZ, true, rtp_rate_bit(RTP_MIX_MOST_HZ)) == PBX_OK) {
		*ret_room = room;
		return PBX_OK;
	}
	core_handle_free(&rtp_engine.rooms, room->mix.id);
	room_free(room);
	return PBX_ENOMEM;
}

int rtp_mix_driver_open(uint64_t group, bool gated, core_mix *ret_mix)
{
	struct rtp_room *room;
	int err = rtp_engine.running ? room_new(group, gated, &room) : PBX_EIO;

	if (err != PBX_OK)
		return err;
	struct rtp_command *begin = command_new(RTP_MIX_BEGIN, room, NULL);

	if (!begin) {
		core_handle_free(&rtp_engine.rooms, room->mix.id);
		room_free(room);
		return PBX_ENOMEM;
	}
	rtp_engine_send(begin);
	ret_mix->id = room->mix.id;
	return PBX_OK;
}

static void cancel_awaiting(struct rtp_room *room)
{
	struct rtp_play *play = room->awaiting;

	if (!play)
		return;
	room->awaiting = NULL;
	rtp_sound_forget(play->sounds[play->awaits_at], play);
	play->how = PBX_MEDIA_STOPPED;
	rtp_queue_push(&rtp_engine.common.returns, &play->command.node);
	rtp_engine.common.wake();
}

int rtp_mix_driver_close(core_mix mix)
{
	struct rtp_room *room = find_room(mix);

	if (!room)
		return PBX_ENOENT;
	while (room->first)
		rtp_mix_take_out(room->first);
	cancel_awaiting(room);
	core_handle_free(&rtp_engine.rooms, room->mix.id);
	struct rtp_command *end = room->end;

	room->end = NULL;
	rtp_engine_send(end);
	return PBX_OK;
}

void rtp_mix_ended(struct rtp_mix *mix)
{
	room_free((struct rtp_room *)mix); /* its first member */
}

/* ---- members ---- */

static uint32_t rate_of(const struct rtp_stream *stream)
{
	const struct rtp_codec *codec =
		stream->configured && stream->config->codec_count ? rtp_codec_find(&stream->config->codecs[0]) : NULL;

	if (!codec || codec->row.rate_hz <= NARROW_HZ)
		return NARROW_HZ;
	return codec->row.rate_hz <= RTP_SOUND_HZ ? RTP_SOUND_HZ : RTP_MIX_MOST_HZ;
}

/* Its coders for the room's rate, and while that changes for the one before, too. */
static int prepare(struct rtp_stream *stream, uint32_t rates)
{
	stream->ear_rates_asked = stream->mouth_rates_asked = rates;
	return rtp_coding_settle(stream, NULL, false);
}

static int widen(struct rtp_room *room, uint32_t rate_hz)
{
	uint32_t rates = rtp_rate_bit(room->rate_hz) | rtp_rate_bit(rate_hz);

	for (struct rtp_stream *stream = room->first; stream; stream = stream->room_next) {
		int err = prepare(stream, rates);

		if (err != PBX_OK)
			return err;
	}
	struct rtp_command *command = command_new(RTP_MIX_RATE, room, NULL);

	if (!command)
		return PBX_ENOMEM;
	command->rate_hz = rate_hz;
	rtp_engine_send(command);
	room->rate_hz = rate_hz;
	return PBX_OK;
}

static void fill_wish(const struct rtp_room *room, const struct core_mix_part *part, struct rtp_mix_wish *ret_wish)
{
	const struct rtp_stream *to = part->to.id ? rtp_stream_find(part->to) : NULL;

	*ret_wish = (struct rtp_mix_wish){
		.talks = part->talks,
		.hears = part->hears,
		.to = to && to->room == room ? to->member : NULL,
		.talk_gain = rtp_mix_gain(part->talk_gain_cdb),
		.hear_gain = rtp_mix_gain(part->hear_gain_cdb),
	};
}

static int change(struct rtp_stream *stream, const struct core_mix_part *part)
{
	struct rtp_command *command = command_new(RTP_MIX_CHANGE, stream->room, stream);

	if (!command)
		return PBX_ENOMEM;
	fill_wish(stream->room, part, &command->wish);
	rtp_engine_send(command);
	return PBX_OK;
}

static void link_member(struct rtp_room *room, struct rtp_stream *stream)
{
	stream->room = room;
	stream->room_next = room->first;
	room->first = stream;
	stream->ear_users++;
}

/* Everything that coming and going takes is there before anything is changed. */
static int enter(struct rtp_room *room, struct rtp_stream *stream, const struct core_mix_part *part)
{
	uint32_t rate_hz = rate_of(stream) > room->rate_hz ? rate_of(stream) : room->rate_hz;

	stream->member = calloc(1, sizeof *stream->member);
	stream->leave = stream->member ? command_new(RTP_MIX_LEAVE, room, stream) : NULL;
	struct rtp_command *command = stream->leave ? command_new(RTP_MIX_ENTER, room, stream) : NULL;
	int err = !command ? PBX_ENOMEM : rate_hz > room->rate_hz ? widen(room, rate_hz) : PBX_OK;

	if (err == PBX_OK) {
		stream->member->session = &stream->session;
		fill_wish(room, part, &command->wish);
		link_member(room, stream);
		err = prepare(stream, rtp_rate_bit(room->rate_hz));
		if (err == PBX_OK) {
			rtp_engine_send(command);
			return PBX_OK;
		}
		room->first = stream->room_next;
		stream->room = NULL;
		stream->ear_users--;
	}
	free(command);
	free(stream->leave);
	free(stream->member);
	stream->leave = NULL;
	stream->member = NULL;
	return err;
}

void rtp_mix_take_out(struct rtp_stream *stream)
{
	struct rtp_room *room = stream->room;
	struct rtp_command *leave = stream->leave;

	if (!room)
		return;
	struct rtp_stream **at = &room->first;

	while (*at != stream)
		at = &(*at)->room_next;
	*at = stream->room_next;
	stream->room = NULL;
	stream->room_next = NULL;
	stream->leave = NULL;
	stream->member = NULL; /* comes back with the command */
	rtp_engine_send(leave);
	stream->ear_users--;
	stream->ear_rates_asked = stream->mouth_rates_asked = 0;
	(void)rtp_coding_settle(stream, NULL, false); /* without memory it keeps coders that nobody uses */
}

int rtp_mix_driver_enter(core_mix mix, core_stream name, const struct core_mix_part *part)
{
	struct rtp_room *room = find_room(mix);
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!room || !stream)
		return PBX_ENOENT;
	if (stream->room == room)
		return change(stream, part);
	rtp_mix_take_out(stream);
	int err = enter(room, stream, part);

	if (err == PBX_OK)
		rtp_stream_unlink(stream); /* the worker has parted them, when it obeys */
	return err;
}

int rtp_mix_driver_leave(core_stream name)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	rtp_mix_take_out(stream);
	return PBX_OK;
}

int rtp_mix_driver_voice(core_stream name, struct core_mix_voice *ret_voice)
{
	const struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream || !stream->member)
		return PBX_ENOENT;
	ret_voice->talking = rtp_read(&stream->member->talking);
	ret_voice->level_cdbov = rtp_read(&stream->member->level_cdbov);
	return PBX_OK;
}

/* Another codec may be wider, and its coders are new. */
int rtp_mix_reconfigured(struct rtp_stream *stream)
{
	uint32_t rate_hz = rate_of(stream);

	if (!stream->room || rate_hz <= stream->room->rate_hz)
		return PBX_OK;
	return widen(stream->room, rate_hz);
}

/* ---- playing ---- */

/* Begins when each of the sounds can be played; waits for one after the other. */
static int begin_when_ready(struct rtp_room *room, struct rtp_play *play)
{
	for (; play->awaits_at < play->sound_count; play->awaits_at++) {
		struct rtp_sound *sound = play->sounds[play->awaits_at];

		if (!sound->ready) {
			room->awaiting = play;
			rtp_sound_await(sound, play);
			return PBX_OK;
		}
		if (sound->result != PBX_OK)
			return sound->result;
	}
	play->repeats = play->sounds[0]->repeats;
	rtp_engine_send(&play->command);
	return PBX_OK;
}

int rtp_mix_driver_play(core_mix mix, const struct core_play *wanted)
{
	struct rtp_room *room = find_room(mix);
	struct rtp_play *play = room ? calloc(1, sizeof *play) : NULL;

	if (!room || !play)
		return room ? PBX_ENOMEM : PBX_ENOENT;
	play->command = (struct rtp_command){ .kind = RTP_MIX_PLAY, .mix = &room->mix };
	play->room = room->mix.id;
	play->kind = wanted->kind;
	play->tag = wanted->tag;
	int err = rtp_play_prepare(play, wanted);

	if (err == PBX_OK) {
		cancel_awaiting(room);
		err = begin_when_ready(room, play);
	}
	if (err != PBX_OK)
		rtp_play_free(play);
	return err;
}

void rtp_mix_sound_ready(struct rtp_play *play)
{
	struct rtp_room *room = find_room((core_mix){ play->room });

	assert(room && room->awaiting == play); /* a closed room has stopped waiting */
	room->awaiting = NULL;
	if (begin_when_ready(room, play) == PBX_OK)
		return;
	uint64_t tag = play->tag, id = play->room;

	rtp_play_free(play);
	core_media_on_mix_played((core_mix){ id }, tag, PBX_MEDIA_FAILED);
}

void rtp_mix_played(struct rtp_play *play)
{
	uint64_t tag = play->tag, id = play->room;
	uint32_t how = play->how;

	rtp_play_free(play);
	core_media_on_mix_played((core_mix){ id }, tag, how);
}

int rtp_mix_driver_stop(core_mix mix)
{
	struct rtp_room *room = find_room(mix);
	struct rtp_command *command = room ? command_new(RTP_MIX_STOP, room, NULL) : NULL;

	if (!command)
		return room ? PBX_ENOMEM : PBX_ENOENT;
	cancel_awaiting(room);
	rtp_engine_send(command);
	return PBX_OK;
}

/* ---- the end of the engine ---- */

void rtp_mixes_close(void)
{
	struct rtp_room *room;
	uint32_t at = 0;

	while ((room = core_handles_next(&rtp_engine.rooms, &at)))
		(void)rtp_mix_driver_close((core_mix){ room->mix.id }); /* it is there */
}
