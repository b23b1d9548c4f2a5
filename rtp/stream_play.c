/* rtp/stream_play.c - what a stream's party is played: prompts and tones once they have been read, programmes, an echo, digits */
#include "engine_inner.h"
#include "plan.h"
#include "source.h"

#include <assert.h>
#include <core/log.h>
#include <core/prompts.h>
#include <core/speech.h>
#include <ctype.h>
#include <pbx/calls.h>
#include <stdlib.h>
#include <string.h>

#define MOST_DIGITS 256u
#define MOST_KEY_MS 60000u

static void on_listener_revoked(struct core_charge *charge)
{
	struct rtp_play *play = (struct rtp_play *)((char *)charge - offsetof(struct rtp_play, charge));

	core_charge_remove(charge);
	(void)rtp_driver.stop((core_stream){ play->command.stream }); /* or it is gone: as good */
}

static int prepare_echo(struct rtp_stream *stream, struct rtp_play *play)
{
	play->echo = malloc(sizeof *play->echo);
	if (!play->echo)
		return PBX_ENOMEM;
	rtp_route_make(rtp_stream_config(stream), rtp_stream_config(stream), play->echo);
	return PBX_OK;
}

static int open_text(const char *language, const char *text, struct rtp_sound **ret_sound)
{
	struct pbx_diag diag = { .text = "" };
	struct core_speech *speech;
	int err = core_speech_new(language, text, &speech, &diag);

	if (err == PBX_OK) {
		*ret_sound = rtp_sound_speak(speech);
		return *ret_sound ? PBX_OK : PBX_ENOMEM;
	}
	core_log(PBX_LOG_WARN, RTP_OWNER, NULL, "text_not_spoken", "language=%s reason=\"%s\"", language, diag.text);
	return err;
}

static int open_prompt(const char *language, const char *prompt, struct rtp_sound **ret_sound)
{
	char path[4096];

	if (strncmp(prompt, CORE_TEXT_PREFIX, strlen(CORE_TEXT_PREFIX)) == 0)
		return open_text(language, prompt + strlen(CORE_TEXT_PREFIX), ret_sound);
	if (core_prompts_find(language, prompt, RTP_SOUND_HZ, path, sizeof path) != PBX_OK) {
		core_log(PBX_LOG_WARN, RTP_OWNER, NULL, "prompt_missing", "prompt=\"%s\" language=%s", prompt, language);
		return PBX_EINVAL;
	}
	*ret_sound = rtp_sound_open(path);
	return *ret_sound ? PBX_OK : PBX_ENOMEM;
}

static int prepare_prompts(struct rtp_play *play, const struct core_play *wanted)
{
	play->sounds = calloc(wanted->prompt_count ? wanted->prompt_count : 1, sizeof(struct rtp_sound *));
	if (!play->sounds)
		return PBX_ENOMEM;
	for (; play->sound_count < wanted->prompt_count; play->sound_count++) {
		const char *language = wanted->language ? wanted->language : "";
		int err = open_prompt(language, wanted->prompts[play->sound_count], &play->sounds[play->sound_count]);

		if (err != PBX_OK)
			return err;
	}
	return play->sound_count ? PBX_OK : PBX_EINVAL;
}

static int prepare_tone(struct rtp_play *play, const char *name)
{
	struct rtp_sound *sound = name ? rtp_sound_tone(rtp_engine.settings->country, name) : NULL;

	if (!sound)
		return PBX_EINVAL;
	play->sounds = malloc(sizeof(struct rtp_sound *));
	if (!play->sounds) {
		rtp_sound_unref(sound);
		return PBX_ENOMEM;
	}
	play->sounds[play->sound_count++] = sound;
	return PBX_OK;
}

int rtp_play_prepare(struct rtp_play *play, const struct core_play *wanted)
{
	play->volume = play->gain = RTP_PLAY_FULL;
	if (wanted->kind == CORE_PLAY_FILE)
		return prepare_prompts(play, wanted);
	return wanted->kind == CORE_PLAY_TONE ? prepare_tone(play, wanted->text) : PBX_EINVAL;
}

/* Finds what is to be played. */
static int prepare(struct rtp_stream *stream, struct rtp_play *play, const struct core_play *wanted)
{
	switch (wanted->kind) {
	case CORE_PLAY_FILE:
	case CORE_PLAY_TONE:
		return rtp_play_prepare(play, wanted);
	case CORE_PLAY_SOURCE:
		return rtp_source_join(wanted->source, play, on_listener_revoked);
	case CORE_PLAY_ECHO:
		return prepare_echo(stream, play);
	default:
		return PBX_EINVAL;
	}
}

void rtp_play_free(struct rtp_play *play)
{
	for (uint32_t i = 0; i < play->sound_count; i++)
		rtp_sound_unref(play->sounds[i]);
	free(play->sounds);
	rtp_source_part(play);
	free(play->echo);
	free(play);
}

static void begin_play(struct rtp_stream *stream, struct rtp_play *play)
{
	play->repeats = play->sound_count && play->sounds[0]->repeats;
	stream->playing = play;
	stream->speaks = stream->speaks || play->kind != CORE_PLAY_ECHO;
	(void)rtp_coding_settle(stream, NULL, false); /* without a mouth it fails when its turn comes */
	rtp_engine_send(&play->command);
}

/* It goes the way of those that were played, so that its end is told after this callback and not within. */
void rtp_play_cancel_awaiting(struct rtp_stream *stream)
{
	struct rtp_play *play = stream->awaiting;

	if (!play)
		return;
	stream->awaiting = NULL;
	rtp_sound_forget(play->sounds[play->awaits_at], play);
	play->how = PBX_MEDIA_STOPPED;
	rtp_queue_push(&rtp_engine.common.returns, &play->command.node);
	rtp_engine.common.wake();
}

/* Begins when each of the sounds can be played; waits for one after the other. PBX_OK, or what is wrong with one of them. */
static int begin_when_ready(struct rtp_stream *stream, struct rtp_play *play)
{
	for (; play->awaits_at < play->sound_count; play->awaits_at++) {
		struct rtp_sound *sound = play->sounds[play->awaits_at];

		if (!sound->ready) {
			stream->awaiting = play;
			rtp_sound_await(sound, play);
			return PBX_OK;
		}
		if (sound->result != PBX_OK)
			return sound->result;
	}
	begin_play(stream, play);
	return PBX_OK;
}

int rtp_stream_play(core_stream name, const struct core_play *wanted)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	struct rtp_play *play = calloc(1, sizeof *play);

	if (!play)
		return PBX_ENOMEM;
	play->command = (struct rtp_command){ .kind = RTP_PLAY, .session = &stream->session, .stream = stream->id };
	play->kind = wanted->kind;
	play->tag = wanted->tag;
	int err = prepare(stream, play, wanted);

	if (err != PBX_OK) {
		rtp_play_free(play);
		return err;
	}
	rtp_play_cancel_awaiting(stream);
	err = begin_when_ready(stream, play);
	if (err != PBX_OK)
		rtp_play_free(play);
	return err;
}

void rtp_stream_sound_ready(struct rtp_play *play)
{
	core_stream name = { play->command.stream };
	struct rtp_stream *stream = rtp_stream_find(name);

	if (play->room) {
		rtp_mix_sound_ready(play);
		return;
	}
	assert(stream && stream->awaiting == play); /* a closed stream has stopped waiting */
	stream->awaiting = NULL;
	if (begin_when_ready(stream, play) == PBX_OK)
		return;
	uint64_t tag = play->tag;

	rtp_play_free(play);
	(void)rtp_driver.stop(name); /* what it should have replaced */
	core_media_on_play_done(name, tag, PBX_MEDIA_FAILED);
}

void rtp_stream_played(struct rtp_play *play)
{
	core_stream name = { play->command.stream };
	struct rtp_stream *stream = rtp_stream_find(name);
	uint64_t tag = play->tag;
	uint32_t how = play->how;

	if (stream && stream->playing == play)
		stream->playing = NULL;
	rtp_play_free(play);
	if (stream)
		core_media_on_play_done(name, tag, how);
}

int rtp_stream_stop(core_stream name)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	rtp_play_cancel_awaiting(stream);
	return rtp_stream_tell(stream, RTP_STOP, false);
}

/* ---- what plays, on its way ---- */

/* The file with that tag, which plays or is still being read. NULL: it is over, or none. */
static struct rtp_play *find_file(const struct rtp_stream *stream, uint64_t tag)
{
	struct rtp_play *play = stream->awaiting && stream->awaiting->tag == tag ? stream->awaiting : stream->playing;

	return play && play->tag == tag && play->kind == CORE_PLAY_FILE ? play : NULL;
}

static void note_steer(struct rtp_play *play, const struct rtp_steer *steer)
{
	if (steer->how == CORE_STEER_GAIN)
		play->told_gain_cdb = steer->amount;
	else if (steer->how != CORE_STEER_SEEK)
		play->told_paused = steer->how == CORE_STEER_PAUSE;
}

int rtp_stream_steer(core_stream name, uint64_t tag, uint32_t how, int32_t amount)
{
	struct rtp_stream *stream = rtp_stream_find(name);
	struct rtp_play *play = stream ? find_file(stream, tag) : NULL;
	const struct rtp_steer steer = { .tag = tag, .how = how, .amount = amount };

	if (!play)
		return stream ? PBX_ESTATE : PBX_ENOENT;
	if (play == stream->awaiting) {
		rtp_play_steer(play, &steer);
	} else {
		struct rtp_command *command = rtp_command_new(RTP_STEER, stream);

		if (!command)
			return PBX_ENOMEM;
		command->steer = steer;
		rtp_engine_send(command);
	}
	note_steer(play, &steer);
	return PBX_OK;
}

/* 0: not all of it has been read yet. */
static uint32_t length_ms(const struct rtp_play *play)
{
	uint64_t samples = 0;

	for (uint32_t i = 0; i < play->sound_count; i++) {
		if (!atomic_load_explicit(&play->sounds[i]->complete, memory_order_acquire))
			return 0;
		for (const struct rtp_sound_block *block = play->sounds[i]->first; block;
		     block = atomic_load_explicit(&block->next, memory_order_acquire))
			samples += rtp_read(&block->used);
	}
	return (uint32_t)(samples / (RTP_NARROW_HZ / 1000));
}

int rtp_stream_played_so_far(core_stream name, uint64_t tag, struct pbx_media_state *ret_state)
{
	const struct rtp_stream *stream = rtp_stream_find(name);
	const struct rtp_play *play = stream ? find_file(stream, tag) : NULL;

	if (!play)
		return stream ? PBX_ESTATE : PBX_ENOENT;
	*ret_state = (struct pbx_media_state){ .position_ms = rtp_read(&play->at) / (RTP_NARROW_HZ / 1000),
					       .length_ms = length_ms(play),
					       .paused = play->told_paused,
					       .gain_cdb = play->told_gain_cdb };
	return PBX_OK;
}

int rtp_stream_send_digits(core_stream name, const char *digits, uint32_t each_ms, uint32_t gap_ms)
{
	struct rtp_stream *stream = rtp_stream_find(name);
	size_t count = strlen(digits);

	if (!stream)
		return PBX_ENOENT;
	bool flash = count == 1 && *digits == CORE_FLASH;

	if (count == 0 || count > MOST_DIGITS || (!flash && strspn(digits, "0123456789*#ABCDabcd") != count) || each_ms > MOST_KEY_MS)
		return PBX_EINVAL;
	if (!stream->configured || (flash && !stream->config->flashes))
		return PBX_ENOTSUP;
	bool by_tone = stream->config->digits == CORE_DIGITS_TONES;

	if (flash && by_tone)
		return PBX_ENOTSUP;
	if (!by_tone && (stream->config->digits != CORE_DIGITS_EVENTS || stream->config->dtmf_type == 0))
		return PBX_ENOTSUP;
	struct rtp_digits *command = calloc(1, sizeof *command + count + 1);

	if (!command || (by_tone && rtp_dtmf_prepare_tones(command) != PBX_OK)) {
		free(command);
		return PBX_ENOMEM;
	}
	if (by_tone) {
		stream->speaks = true;
		(void)rtp_coding_settle(stream, NULL, false); /* without a mouth they are not heard */
	}
	command->command = (struct rtp_command){ .kind = RTP_DIGITS, .session = &stream->session, .stream = stream->id };
	command->each_ms = each_ms;
	command->gap_ms = gap_ms;
	for (size_t i = 0; i < count; i++)
		command->text[i] = (char)toupper((unsigned char)digits[i]);
	rtp_engine_send(&command->command);
	return PBX_OK;
}
