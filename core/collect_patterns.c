/* collect_patterns.c - whether keys that are being typed fit a pattern, or still may
 *
 * Patterns are read where they stand, key by key: they are short, and asked about a few times a call. The number plan's (plan.c) are turned into
 * sets, because numbers are looked up among thousands. */
#include "calls_inner.h"

/* One place of a pattern: "X", "7", "[5-7]". Whether a key fits it; *at is behind it afterwards. */
static bool place_has(const char **at, char key)
{
	const char *place = (*at)++;

	if (*place == 'X' || *place == 'Z' || *place == 'N')
		return key >= (*place == 'X' ? '0' : *place == 'Z' ? '1' : '2') && key <= '9';
	if (*place != '[')
		return key == *place;

	bool has = false;
	for (place++; *place != ']'; place++) {
		bool is_range = place[1] == '-' && place[2] != ']';

		has = has || (is_range ? key >= place[0] && key <= place[2] : key == place[0]);
		if (is_range)
			place += 2;
	}
	*at = place + 1;
	return has;
}

static bool is_over(const char *at)
{
	return *at == '\0' || *at == ',';
}

static uint32_t fit_one(const char *pattern, const char *keys)
{
	for (; *keys; keys++) {
		if (is_over(pattern))
			return 0;
		if (*pattern == '.')
			return keys[strspn(keys, "0123456789")] ? 0 : CORE_KEYS_FIT | CORE_KEYS_FIT_LONGER;
		if (!place_has(&pattern, *keys))
			return 0;
	}
	return is_over(pattern) ? CORE_KEYS_FIT : CORE_KEYS_FIT_LONGER;
}

uint32_t core_keys_fit(const char *patterns, const char *keys)
{
	uint32_t fit = 0;

	for (const char *at = patterns; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		fit |= fit_one(at, keys);
	return fit;
}

/* ---- what is a pattern ---- */

/* Length of the place at the beginning of a text; 0: there is none. */
static size_t place_length(const char *at)
{
	size_t inside = *at == '[' ? strspn(at + 1, "0123456789*#ABCD-") : 0;

	if (*at == '[')
		return inside > 0 && at[1] != '-' && at[inside] != '-' && at[1 + inside] == ']' ? inside + 2 : 0;
	return *at && strchr("0123456789*#ABCDXZN", *at) ? 1 : 0;
}

static bool is_pattern(const char *at)
{
	const char *first = at;

	for (size_t length; (length = place_length(at)) > 0; at += length)
		;
	if (*at == '.')
		at++;
	return at > first && is_over(at);
}

bool core_keys_are_patterns(const char *patterns)
{
	for (const char *at = patterns; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (!is_pattern(at))
			return false;
	return true;
}
