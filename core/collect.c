/* collect.c - pbx_calls.collect: a party hears something and types, until it is enough, wrong too often, or silent too long
 *
 *            ┌───────────────────── wrong, and a try is left: hears `invalid` ◄──────────┐
 *            │   ┌── silent, and a silence is left: hears `nothing` ◄────────┐           │
 *            ▼   ▼                                                           │           │
 *          ┌─────────┐ played   ┌─────────┐ first_ms                         │           │
 *          │ hearing │ ───────► │ waiting │ ────────────────────────────► silence        │
 *          └─────────┘          └─────────┘                                              │
 *                │ first key         │ first key                                         │
 *                ▼                   ▼            terminator, next_ms, most, pattern     │
 *          ┌─────────────────────────────┐ ─────────────────────────────► judged ──► wrong
 *          │           typing            │                                  │ right
 *          └─────────────────────────────┘                                  ▼ done
 *
 * It belongs to the leg's controller. Its owner hears `done` once, when nothing of the collection is left, so that it may begin the next. */
#include "auto.h"
#include "calls_inner.h"
#include "overlap.h"
#include <stdlib.h>

#define FIRST_MS 10000u
#define NEXT_MS 3000u
#define MOST_TERMINATORS 16u

/* Words to be heard, in one piece of memory; owned. */
struct words {
	uint32_t count;
	const char *prompts[];
};

struct core_collect {
	struct core_leg *leg;
	struct pbx_host *owner;
	void *self;
	bool (*accept)(void *self, pbx_leg leg, const char *keys);
	void (*done)(void *self, pbx_leg leg, const struct pbx_collected *collected);
	struct words *prompt, *invalid, *nothing; /* NULL: nothing to be heard */
	uint32_t flags, least, most, first_ms, next_ms, tries, silences;
	char terminators[MOST_TERMINATORS + 1];
	char *patterns;    /* NULL: anything */
	uint64_t play_tag; /* of what it plays; 0: that is over */
	pbx_timer timer;
	char typed[PBX_MOST_COLLECTED + 1];
	uint32_t wrong, silent;
};

/* ---- memory ---- */

static int compose(const struct core_leg *leg, const struct pbx_say *parts, uint32_t count, struct words **ret_words)
{
	struct core_spoken spoken;
	char language[16];

	if (count == 0)
		return PBX_OK;
	core_leg_language(leg, language);
	int err = core_spoken_compose(language, parts, count, &spoken);
	if (err != PBX_OK)
		return err;

	struct words *words = malloc(sizeof *words + spoken.count * sizeof words->prompts[0] + spoken.used);
	if (!words)
		return PBX_ENOMEM;
	char *text = memcpy((char *)&words->prompts[spoken.count], spoken.text, spoken.used);
	words->count = spoken.count;
	for (uint32_t i = 0; i < spoken.count; i++)
		words->prompts[i] = text + (spoken.prompts[i] - spoken.text);
	*ret_words = words;
	return PBX_OK;
}

static void core_collect_free(struct core_collect *collect)
{
	if (!collect)
		return;
	(void)core_timer_stop(collect->timer);
	free(collect->prompt);
	free(collect->invalid);
	free(collect->nothing);
	free(collect->patterns);
	explicit_bzero(collect, sizeof *collect);
	free(collect);
}
AUTO_FREES(core_collect)

/* ---- what nobody is to hear ---- */

static int mask(const struct core_collect *collect, bool on)
{
	bool is_secret = collect->flags & PBX_COLLECT_SECRET && collect->leg->has_stream && core_media->record_mask;

	return is_secret ? core_media->record_mask(collect->leg->stream, on) : PBX_OK;
}

static void unmask(const struct core_collect *collect)
{
	if (mask(collect, false) != PBX_OK)
		core_log(PBX_LOG_WARN, "calls", collect->leg->call->id, "stays_masked", "leg=%s", collect->leg->id); /* no memory */
}

bool core_collect_is_secret(const struct core_leg *leg)
{
	return leg->collect && leg->collect->flags & PBX_COLLECT_SECRET;
}

/* ---- the end ---- */

static void finish(struct core_leg *leg, uint32_t reason, char terminator)
{
	struct core_collect *collect = leg->collect;
	struct pbx_collected collected = {
		.size = sizeof collected,
		.reason = reason,
		.keys = collect->typed,
		.terminator = terminator,
		.wrong = collect->wrong,
		.silent = collect->silent,
	};

	leg->collect = NULL;
	if (leg->play_for == CORE_PLAY_FOR_COLLECT)
		core_leg_stop_play(leg);
	(void)core_timer_stop(collect->timer);
	unmask(collect);
	CORE_INTO(collect->owner, collect->done(collect->self, leg->handle, &collected));
	core_collect_free(collect);
}

void core_collect_end(struct core_leg *leg, uint32_t reason)
{
	if (leg->collect)
		finish(leg, reason, '\0');
}

void core_collect_drop(struct core_leg *leg)
{
	struct core_collect *collect = leg->collect;

	leg->collect = NULL;
	if (collect)
		unmask(collect);
	core_collect_free(collect);
}

/* ---- hearing and waiting ---- */

static void on_time(void *self, pbx_timer timer);

static void wait_for_key(struct core_collect *collect, uint32_t for_ms)
{
	(void)core_timer_stop(collect->timer);
	collect->timer = (pbx_timer){ 0 };
	if (core_timer_start(core_self(), for_ms, 0, on_time, collect, &collect->timer) != PBX_OK)
		core_log(PBX_LOG_ERROR, "calls", collect->leg->call->id, "no_memory", "leg=%s waits=keys", collect->leg->id);
}

/* words NULL: what plays goes on. */
static int hear(struct core_collect *collect, const struct words *words)
{
	struct core_leg *leg = collect->leg;
	int err = words ? core_leg_play_prompts(leg, words->prompts, words->count, CORE_PLAY_FOR_COLLECT) : PBX_OK;

	if (err == PBX_EINVAL || err == PBX_ENOENT || err == PBX_ENOTSUP)
		err = core_leg_play(leg, CORE_PLAY_TONE, "beep", (pbx_source){ 0 }, CORE_PLAY_FOR_COLLECT);
	collect->play_tag = words && err == PBX_OK ? leg->play_tag : 0;
	if (!collect->play_tag)
		wait_for_key(collect, collect->first_ms);
	return err;
}

void core_collect_played(struct core_leg *leg, uint64_t tag, uint32_t how)
{
	struct core_collect *collect = leg->collect;

	if (!collect || collect->play_tag != tag)
		return;
	collect->play_tag = 0;
	if (how == PBX_MEDIA_FAILED && core_leg_play(leg, CORE_PLAY_TONE, "beep", (pbx_source){ 0 }, CORE_PLAY_FOR_COLLECT) == PBX_OK)
		collect->play_tag = leg->play_tag;
	else if (!collect->typed[0])
		wait_for_key(collect, collect->first_ms);
}

/* ---- judging ---- */

static void try_again(struct core_collect *collect, const struct words *words)
{
	explicit_bzero(collect->typed, sizeof collect->typed);
	(void)core_timer_stop(collect->timer);
	collect->timer = (pbx_timer){ 0 };
	(void)hear(collect, words ? words : collect->prompt); /* it waits in any case */
}

static void answered_wrong(struct core_collect *collect, uint32_t reason)
{
	if (++collect->wrong < collect->tries)
		try_again(collect, collect->invalid);
	else
		finish(collect->leg, reason, '\0');
}

static void silence(struct core_collect *collect)
{
	collect->silent++;
	if (collect->silences == 0)
		answered_wrong(collect, PBX_COLLECTED_NOTHING);
	else if (collect->silent < collect->silences)
		try_again(collect, collect->nothing);
	else
		finish(collect->leg, PBX_COLLECTED_NOTHING, '\0');
}

static bool is_accepted(const struct core_collect *collect)
{
	bool accepted = true;

	if (collect->accept)
		CORE_INTO(collect->owner, accepted = collect->accept(collect->self, collect->leg->handle, collect->typed));
	return accepted;
}

/* What was typed is all; reason: why, if it is right. */
static void judge(struct core_collect *collect, uint32_t reason, char terminator)
{
	if (strlen(collect->typed) < collect->least)
		answered_wrong(collect, PBX_COLLECTED_TOO_FEW);
	else if (collect->patterns && !(core_keys_fit(collect->patterns, collect->typed) & CORE_KEYS_FIT))
		answered_wrong(collect, PBX_COLLECTED_INVALID);
	else if (!is_accepted(collect))
		answered_wrong(collect, PBX_COLLECTED_INVALID);
	else
		finish(collect->leg, reason, terminator);
}

static void on_time(void *self, pbx_timer timer)
{
	struct core_collect *collect = self;

	(void)timer;
	collect->timer = (pbx_timer){ 0 };
	if (collect->leg->state == PBX_LEG_ENDED)
		return; /* its last word is on the way */
	if (collect->typed[0])
		judge(collect, PBX_COLLECTED_TIMEOUT, '\0');
	else
		silence(collect);
}

/* ---- typing ---- */

/* A key that has a place in a pattern is no terminator there. */
static bool ends_it(const struct core_collect *collect, char key, bool has_place)
{
	return strchr(collect->terminators, key) && !(collect->patterns && has_place);
}

static void key_typed(struct core_collect *collect, char key)
{
	size_t length = strlen(collect->typed);

	collect->typed[length] = key;
	uint32_t fit = collect->patterns ? core_keys_fit(collect->patterns, collect->typed) : CORE_KEYS_FIT | CORE_KEYS_FIT_LONGER;

	if (ends_it(collect, key, fit != 0)) {
		collect->typed[length] = '\0';
		judge(collect, PBX_COLLECTED_TERMINATED, key);
	} else if (length + 1 == collect->most || !(fit & CORE_KEYS_FIT_LONGER)) {
		judge(collect, PBX_COLLECTED_DONE, '\0');
	} else {
		wait_for_key(collect, collect->next_ms);
	}
}

/* What plays stops for a key. False: nothing played, or it is heard out. */
static bool fall_silent(struct core_collect *collect)
{
	struct core_leg *leg = collect->leg;

	if (collect->flags & PBX_COLLECT_HEAR_OUT || (leg->play_for != CORE_PLAY_FOR_COLLECT && leg->play_for != CORE_PLAY_FOR_CONTROLLER))
		return false;
	core_leg_stop_play(leg);
	collect->play_tag = 0;
	return true;
}

void core_collect_key_down(struct core_leg *leg)
{
	struct core_collect *collect = leg->collect;

	if (collect && leg->state != PBX_LEG_ENDED && fall_silent(collect))
		wait_for_key(collect, collect->typed[0] ? collect->next_ms : collect->first_ms);
}

bool core_collect_digit(struct core_leg *leg, char digit)
{
	struct core_collect *collect = leg->collect;

	if (!collect || leg->state == PBX_LEG_ENDED)
		return collect != NULL;
	if (collect->flags & PBX_COLLECT_HEAR_OUT && collect->play_tag)
		return true;
	(void)fall_silent(collect);
	collect->play_tag = 0;
	key_typed(collect, digit);
	return true;
}

/* ---- the beginning ---- */

static uint32_t or_usual(uint32_t wanted, uint32_t usual)
{
	return wanted ? wanted : usual;
}

/* The numbers and texts of a wish. PBX_EINVAL, PBX_ENOMEM. */
static int take_wish(struct core_collect *collect, const struct pbx_collect *wish)
{
	const char *terminators = wish->terminators ? wish->terminators : "#";

	collect->flags = wish->flags;
	collect->least = wish->least;
	collect->most = or_usual(wish->most, PBX_MOST_COLLECTED);
	collect->first_ms = or_usual(wish->first_ms, FIRST_MS);
	collect->next_ms = or_usual(wish->next_ms, NEXT_MS);
	collect->tries = or_usual(wish->tries, 1);
	collect->silences = wish->silences;
	collect->accept = wish->accept;
	collect->done = wish->done;
	if (!collect->done || collect->most > PBX_MOST_COLLECTED || collect->least > collect->most ||
	    strlen(terminators) > MOST_TERMINATORS)
		return PBX_EINVAL;
	CORE_TEXT(collect->terminators, terminators);
	if (!wish->patterns)
		return PBX_OK;
	if (!core_keys_are_patterns(wish->patterns))
		return PBX_EINVAL;
	collect->patterns = strdup(wish->patterns);
	return collect->patterns ? PBX_OK : PBX_ENOMEM;
}

static int take_words(struct core_collect *collect, const struct pbx_collect *wish)
{
	int err = compose(collect->leg, wish->prompt, wish->prompt_count, &collect->prompt);

	if (err == PBX_OK)
		err = compose(collect->leg, wish->invalid, wish->invalid_count, &collect->invalid);
	return err == PBX_OK ? compose(collect->leg, wish->nothing, wish->nothing_count, &collect->nothing) : err;
}

int core_collect_begin(struct core_leg *leg, const struct pbx_collect *given, void *self)
{
	struct pbx_collect wish = { 0 }; /* what an older plugin does not know reads as zero */

	core_copy_overlap(&wish, sizeof wish, given, given->size);
	if (!leg->charge.owner || !leg->has_stream)
		return PBX_ESTATE;

	AUTO(core_collect) struct core_collect *collect = calloc(1, sizeof *collect);
	if (!collect)
		return PBX_ENOMEM;
	collect->leg = leg;
	collect->owner = leg->charge.owner;
	collect->self = self;
	int err = take_wish(collect, &wish);
	if (err == PBX_OK)
		err = take_words(collect, &wish);
	if (err != PBX_OK)
		return err;

	void *controller = leg->self;
	core_collect_end(leg, PBX_COLLECTED_STOPPED);
	if (leg->charge.owner != collect->owner || leg->self != controller || leg->collect || leg->state == PBX_LEG_ENDED)
		return PBX_ENOENT; /* who heard that has done something else with the leg */
	err = mask(collect, true);
	if (err == PBX_OK)
		err = hear(collect, collect->prompt);
	if (err != PBX_OK) {
		unmask(collect);
		return err;
	}
	leg->collect = TAKE(collect);
	return PBX_OK;
}
