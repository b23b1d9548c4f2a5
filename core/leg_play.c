/* leg_play.c - what a leg is played, in its party's language, and the keys that are sent to it
 *
 * Each play has a tag of its own, so that the end of one that has been replaced is not taken for the end of what is heard now. */
#include "accounts.h"
#include "calls_inner.h"
#include "host.h"
#include "prompts.h"
#include <pbx/music.h>

#define MOST_KEY_MS 60000u /* longer ones are sent as long as that */
#define KEY_GAP_MS 50u

static uint64_t last_tag;

/* A shared source that is heard already goes on: whoever takes a leg over does not make its music begin again. */
static bool goes_on(struct core_leg *leg, const struct core_play *play, uint32_t play_for)
{
	if (play->kind != CORE_PLAY_SOURCE || !leg->play_tag || !play->source.id || leg->play_source.id != play->source.id)
		return false;
	core_unpost(&leg->inherited);
	leg->play_for = play_for;
	return true;
}

static int begin_play(struct core_leg *leg, struct core_play *play, uint32_t play_for)
{
	if (!leg->has_stream)
		return PBX_ESTATE;
	if (goes_on(leg, play, play_for))
		return PBX_OK;

	play->tag = ++last_tag;
	int err = core_media->play(leg->stream, play);
	if (err != PBX_OK)
		return err;
	leg->play_tag = play->tag;
	leg->play_for = play_for;
	leg->play_source = play->source;
	core_unpost(&leg->inherited);
	return PBX_OK;
}

int core_leg_play(struct core_leg *leg, uint32_t kind, const char *text, pbx_source source, uint32_t play_for)
{
	struct core_play play = { .kind = kind, .text = text, .source = source };

	return begin_play(leg, &play, play_for);
}

void core_leg_language(const struct core_leg *leg, char ret_language[16])
{
	if (leg->language[0])
		core_text_copy(ret_language, 16, leg->language);
	else
		core_account_text(leg->account, offsetof(struct pbx_account, language), ret_language, 16);
}

int core_leg_play_prompts(struct core_leg *leg, const char *const *prompts, uint32_t count, uint32_t play_for)
{
	char language[16];

	core_leg_language(leg, language);
	struct core_play play = { .kind = CORE_PLAY_FILE, .prompts = prompts, .prompt_count = count, .language = language };
	return begin_play(leg, &play, play_for);
}

int core_leg_steer(struct core_leg *leg, uint32_t how, int32_t amount)
{
	if (!leg->has_stream || !leg->play_tag)
		return PBX_ESTATE;
	return core_media->steer ? core_media->steer(leg->stream, leg->play_tag, how, amount) : PBX_ENOTSUP;
}

int core_leg_played_so_far(const struct core_leg *leg, struct pbx_media_state *ret_state)
{
	if (!leg->has_stream || !leg->play_tag)
		return PBX_ESTATE;
	return core_media->played_so_far ? core_media->played_so_far(leg->stream, leg->play_tag, ret_state) : PBX_ENOTSUP;
}

static void stop_inherited(void *context)
{
	core_leg_stop_play(context);
}

void core_leg_leave_play(struct core_leg *leg)
{
	leg->play_for = 0;
	if (leg->play_tag && leg->play_source.id)
		core_post_node(core_self(), &leg->inherited, stop_inherited, leg);
	else
		core_leg_stop_play(leg);
}

int core_leg_play_music(struct core_leg *leg, const char *music_class, uint32_t play_for)
{
	const struct pbx_music *music = core_host_service("pbx.music/1", (uint32_t)sizeof *music);
	pbx_source source;

	if (!music->source || music->source(music->self, music_class, &source) != PBX_OK)
		return PBX_ENOTSUP;
	return core_leg_play(leg, CORE_PLAY_SOURCE, NULL, source, play_for);
}

static void add_spoken(void *context, const char *id)
{
	struct core_spoken *spoken = context;
	size_t size = strlen(id) + 1;

	if (size > sizeof spoken->text - spoken->used) {
		spoken->too_long = true;
		return;
	}
	spoken->prompts[spoken->count++] = memcpy(spoken->text + spoken->used, id, size);
	spoken->used += size;
}

int core_spoken_compose(const char *language, const struct pbx_say *parts, uint32_t count, struct core_spoken *ret_spoken)
{
	ret_spoken->count = 0;
	ret_spoken->used = 0;
	ret_spoken->too_long = false;
	int err = core_prompts_compose(language, parts, count, add_spoken, ret_spoken);

	return err == PBX_OK && (ret_spoken->too_long || ret_spoken->count == 0) ? PBX_EINVAL : err;
}

void core_leg_stop_play(struct core_leg *leg)
{
	leg->play_tag = 0;
	leg->play_for = 0;
	leg->play_source.id = 0;
	core_unpost(&leg->inherited);
	if (leg->has_stream)
		(void)core_media->stop(leg->stream);
}

int core_leg_send_digits(struct core_leg *leg, const char *digits, uint32_t each_ms)
{
	if (!leg->has_stream)
		return PBX_ESTATE;
	if (each_ms > MOST_KEY_MS)
		each_ms = MOST_KEY_MS;

	int err = core_media->send_digits(leg->stream, digits, each_ms, KEY_GAP_MS);
	if (err != PBX_ENOTSUP || !leg->driver->send_digit)
		return err;
	for (; *digits; digits++) {
		err = leg->driver->send_digit(leg->dialog, *digits, each_ms);
		if (err != PBX_OK)
			return err;
	}
	return PBX_OK;
}

int core_leg_send_flash(struct core_leg *leg)
{
	const char flash[] = { CORE_FLASH, '\0' };

	if (!leg->has_stream)
		return PBX_ESTATE;
	if (core_leg_config(leg).digits != CORE_DIGITS_INFO)
		return core_media->send_digits(leg->stream, flash, CORE_FLASH_MS, KEY_GAP_MS);
	return leg->driver->send_digit ? leg->driver->send_digit(leg->dialog, CORE_FLASH, CORE_FLASH_MS) : PBX_ENOTSUP;
}

/* ---- what the workers tell ---- */

static void play_is_over(struct core_leg *leg, uint32_t how)
{
	uint32_t play_for = leg->play_for;

	leg->play_tag = 0;
	leg->play_for = 0;
	core_unpost(&leg->inherited);
	if (play_for == CORE_PLAY_FOR_HOLD && leg->bridge) {
		if (how != PBX_MEDIA_FAILED)
			core_bridge_settle(leg->bridge); /* its source went away: perhaps there is another */
		return;
	}
	if (play_for == CORE_PLAY_FOR_CONTROLLER && how != PBX_MEDIA_STOPPED && leg->charge.owner && leg->controller.media_done)
		CORE_INTO(leg->charge.owner, leg->controller.media_done(leg->self, leg->handle));
}

void core_media_on_play_done(core_stream stream, uint64_t tag, uint32_t how)
{
	struct core_leg *leg = core_leg_of_stream(stream);

	if (!leg || tag == 0)
		return;
	if (leg->play_tag == tag)
		play_is_over(leg, how);
	core_collect_played(leg, tag, how); /* also of a prompt that something else has replaced */
}

void core_media_on_key_down(core_stream stream, char digit, uint32_t way)
{
	struct core_leg *leg = core_leg_of_stream(stream);

	if (leg)
		core_leg_key_down(leg, digit, way);
}

void core_media_on_digit(core_stream stream, char digit, uint32_t duration_ms, uint32_t way)
{
	struct core_leg *leg = core_leg_of_stream(stream);

	if (leg)
		core_leg_media_digit(leg, digit, duration_ms, way);
}
