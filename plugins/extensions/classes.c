/*
 * classes - how far out of the house a number leads: local, national, international, premium
 *
 * The lists of the settings say it, in patterns of a few letters: X any digit, N 2 to 9, Z 1 to 9, "." at the end anything more. Premium is
 * looked for first, so that no list of ordinary numbers hides what costs; what no list knows is national.
 */
#include "extensions.h"
#include <string.h>

const char *const class_names[] = { "internal", "local", "national", "international", "premium", NULL };

static bool fits_letter(char letter, char digit)
{
	switch (letter) {
	case 'X':
		return digit >= '0' && digit <= '9';
	case 'N':
		return digit >= '2' && digit <= '9';
	case 'Z':
		return digit >= '1' && digit <= '9';
	default:
		return letter == digit;
	}
}

bool class_pattern_fits(const char *pattern, const char *number)
{
	for (; *pattern && *number; pattern++, number++) {
		if (*pattern == '.' && !pattern[1])
			return true;
		if (!fits_letter(*pattern, *number))
			return false;
	}
	return !*number && (!*pattern || strcmp(pattern, ".") == 0);
}

static bool is_listed(const struct pbx_list *patterns, const char *number)
{
	for (uint32_t i = 0; i < patterns->count; i++)
		if (class_pattern_fits(patterns->items[i], number))
			return true;
	return false;
}

uint32_t class_of_number(const struct extension_settings *settings, const char *number)
{
	if (is_listed(&settings->premium, number))
		return CLASS_PREMIUM;
	if (is_listed(&settings->local, number))
		return CLASS_LOCAL;
	if (is_listed(&settings->national, number))
		return CLASS_NATIONAL;
	return is_listed(&settings->international, number) ? CLASS_INTERNATIONAL : CLASS_NATIONAL;
}

uint32_t class_from_name(const char *name)
{
	for (uint32_t i = 0; class_names[i]; i++)
		if (strcmp(class_names[i], name) == 0)
			return i;
	return CLASS_UNSET;
}

uint32_t class_of_account(const struct extension_settings *settings, const struct account *account)
{
	if (!account->may_call_outside)
		return CLASS_INTERNAL;
	return account->call_class == CLASS_UNSET ? class_from_name(settings->call_class) : account->call_class;
}

int classes_check(const struct extension_settings *settings, struct pbx_diag *diag)
{
	const struct pbx_list *lists[] = { &settings->local, &settings->national, &settings->international, &settings->premium };
	static const char *const names[] = { "local", "national", "international", "premium" };

	for (size_t i = 0; i < 4; i++)
		for (uint32_t j = 0; j < lists[i]->count; j++) {
			const char *pattern = lists[i]->items[j];
			size_t good = strspn(pattern, "0123456789+*#XNZ");

			if (good > 0 && good < 32 && (!pattern[good] || strcmp(pattern + good, ".") == 0))
				continue;
			pbx_diag_set(diag, names[i],
				     "'%.40s' is no pattern: write digits, X (0-9), N (2-9), Z (1-9), and . at the end for the rest",
				     pattern);
			return PBX_EINVAL;
		}
	return PBX_OK;
}
