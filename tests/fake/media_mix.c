/* tests/fake/media_mix.c - mixes without a sample: who is in which, what plays into it, and who speaks when a test says so */
#include "handle.h"
#include "loop.h"
#include "media.h"
#include <stdlib.h>
#include <string.h>

static struct core_handles table;
static struct fake_mix *mixes;

static int mix_open(uint64_t group, bool gated, core_mix *ret_mix)
{
	struct fake_mix *mix = calloc(1, sizeof *mix);

	(void)group;
	ck_assert_ptr_nonnull(mix);
	mix->handle.id = core_handle_new(&table, mix);
	mix->gated = gated;
	mix->next = mixes;
	mixes = mix;
	*ret_mix = mix->handle;
	return PBX_OK;
}

static int mix_close(core_mix handle)
{
	struct fake_mix *mix = core_handle_find(&table, handle.id), **at = &mixes;

	if (!mix)
		return PBX_ENOENT;
	for (struct fake_stream *stream = fake_streams; stream; stream = stream->next)
		if (stream->mix == mix)
			stream->mix = NULL;
	while (*at != mix)
		at = &(*at)->next;
	*at = mix->next;
	core_handle_free(&table, handle.id);
	free(mix->play_text);
	free(mix);
	return PBX_OK;
}

static int mix_enter(core_mix mix, core_stream handle, const struct core_mix_part *part)
{
	struct fake_stream *stream = fake_stream_find(handle);
	struct fake_mix *into = core_handle_find(&table, mix.id);

	if (!stream || !into)
		return PBX_ENOENT;
	fake_stream_disconnect(stream);
	stream->mix = into;
	stream->part = *part;
	return PBX_OK;
}

static int mix_leave(core_stream handle)
{
	struct fake_stream *stream = fake_stream_find(handle);

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

static int mix_play(core_mix handle, const struct core_play *play)
{
	struct fake_mix *mix = core_handle_find(&table, handle.id);

	if (!mix)
		return PBX_ENOENT;
	if (mix->plays)
		mix_play_over(mix, PBX_MEDIA_STOPPED);
	mix->plays = play->kind;
	mix->play_text = play->kind == CORE_PLAY_FILE ? fake_join_prompts(play) : strdup(play->text);
	mix->tag = play->tag;
	return PBX_OK;
}

static int mix_stop(core_mix handle)
{
	struct fake_mix *mix = core_handle_find(&table, handle.id);

	if (!mix)
		return PBX_ENOENT;
	if (mix->plays)
		mix_play_over(mix, PBX_MEDIA_STOPPED);
	return PBX_OK;
}

static int mix_voice(core_stream handle, struct core_mix_voice *ret_voice)
{
	const struct fake_stream *stream = fake_stream_find(handle);

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

void fake_mixes_init(struct core_media_driver *driver)
{
	core_handles_init(&table, 'X');
	driver->mix_open = mix_open;
	driver->mix_close = mix_close;
	driver->mix_enter = mix_enter;
	driver->mix_leave = mix_leave;
	driver->mix_play = mix_play;
	driver->mix_stop = mix_stop;
	driver->mix_voice = mix_voice;
}

void fake_mixes_fini(void)
{
	ck_assert_msg(!mixes, "%u mixes are left open", core_handles_count(&table));
	core_handles_fini(&table);
}
