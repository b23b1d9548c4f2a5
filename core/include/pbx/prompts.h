/* pbx/prompts.h - recorded words: which file says what in which language, and how numbers, dates and amounts are put together
 * Served by the core as "pbx.prompts/1". All of it: [loop]. Legs hear them by pbx_calls.play and pbx_calls.say, which need no call of this service.
 *
 * A prompt has an id (`pbxctl prompts list` has those there are): small letters, digits, - and _ ("slot_empty", "7", "month-3"). Its file is the first of FOLDER/LANGUAGE/ID.wav (or .flac, .ogg,
 * .mp3; FOLDER/LANGUAGE/8k/ID.wav for who needs no more), first by language: "de-AT", then "de", then that of the setting prompts.language, then "en";
 * then by folder, in the order of prompts.folders: the site's own come first. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_SAY_PROMPT 1u   /* text: an id, or the absolute path of a sound file */
#define PBX_SAY_DIGITS 2u   /* text: character by character: 0-9, a-z, * # + . - */
#define PBX_SAY_NUMBER 3u   /* number, within a million millions either way */
#define PBX_SAY_ORDINAL 4u  /* number: "twenty-first" */
#define PBX_SAY_DATE 5u     /* number: microseconds since 1970 UTC, said in the machine's time zone */
#define PBX_SAY_TIME 6u     /* the same: the time of day, to the minute */
#define PBX_SAY_DURATION 7u /* number: seconds, not negative */
#define PBX_SAY_MONEY 8u    /* number: hundredths; text: the currency, ISO 4217 ("USD", "EUR", "GBP") */
#define PBX_SAY_COUNT                                                                                                                      \
	9u /* number, not negative, of what text names: a set of the language's rules ("messages": "one message", "21 messages") */
#define PBX_SAY_TEXT 10u /* text: words of the language, spoken by the engine of prompts.speech (PBX_ENOTSUP: by none) */

#define PBX_MOST_SAID 64u   /* prompts in one go */
#define PBX_MOST_TEXT 1000u /* octets of a text to be spoken */

/* One piece of what is said. It stands in arrays without a row size and never grows: another way to say something is another kind. */
struct pbx_say {
	uint32_t kind;
	const char *text;
	int64_t number;
};

struct pbx_prompts {
	struct pbx_header header;

	/* The file of a prompt for who plays rate_hz (8000: the narrow one will do). language "": the default's.
	 * PBX_OK, PBX_ENOENT (no file in any of the languages), PBX_EINVAL (no id), PBX_ENOSPC (ret_path is too small: 4096 is enough). */
	int (*find)(const char *language, const char *id, uint32_t rate_hz, char *ret_path, uint32_t size);

	/* Calls each(context, id) for every prompt that pbx_calls.say would play, in order, by the rules of the language (say.rules in its folder);
	 * a text to be spoken is "text:" and the text. PBX_OK, PBX_EINVAL (a character, currency or number that has no words; or more than
	 * PBX_MOST_SAID), PBX_ENOTSUP (no engine speaks the language). each may have been called. */
	int (*compose)(const char *language, const struct pbx_say *parts, uint32_t count, void (*each)(void *context, const char *id),
		       void *context);
};

PBX_SERVICE(pbx_prompts, "pbx.prompts/1")

#ifdef __cplusplus
}
#endif
