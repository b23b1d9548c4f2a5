/*
 * json_scan - a text is looked over before it is parsed
 *
 * What cJSON would let pass and JSON does not know: bytes that are not UTF-8, control characters, "01", a thousand levels. The grammar of the
 * rest is left to it.
 */
#include "json_scan.h"
#include "json.h"
#include <string.h>

#define MOST_LEVELS 64u

size_t core_utf8_length(const char *text, size_t left)
{
	const unsigned char *at = (const unsigned char *)text;
	/* Least second byte for leading bytes that could begin an overlong form, most for surrogates and beyond U+10FFFF. */
	unsigned char least = 0x80, most = 0xBF;
	size_t length;

	if (!left)
		return 0;
	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xC2 || at[0] > 0xF4)
		return 0;
	length = at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
	if (at[0] == 0xE0)
		least = 0xA0;
	else if (at[0] == 0xED)
		most = 0x9F;
	else if (at[0] == 0xF0)
		least = 0x90;
	else if (at[0] == 0xF4)
		most = 0x8F;
	if (left < length || at[1] < least || at[1] > most)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (at[i] < 0x80 || at[i] > 0xBF)
			return 0;
	return length;
}

/* ---- looking over ---- */

struct scan {
	const char *start, *at, *end;
	const char *wrong;
};

static bool stop(struct scan *scan, const char *wrong)
{
	scan->wrong = wrong;
	return false;
}

/* From behind the opening quote to behind the closing one. */
static bool scan_text(struct scan *scan)
{
	while (scan->at < scan->end) {
		size_t length = core_utf8_length(scan->at, (size_t)(scan->end - scan->at));

		if (!length)
			return stop(scan, "not UTF-8");
		if ((unsigned char)*scan->at < 0x20)
			return stop(scan, "a control character inside a text has to be written as \\n, \\t or \\u00…");
		if (*scan->at == '"') {
			scan->at++;
			return true;
		}
		if (*scan->at == '\\') {
			if (scan->end - scan->at >= 6 && strncmp(scan->at, "\\u0000", 6) == 0)
				return stop(scan, "\\u0000 is not accepted inside a text");
			scan->at++;
			if (scan->at < scan->end && (unsigned char)*scan->at >= 0x20 && (unsigned char)*scan->at < 0x80)
				scan->at++;
			continue;
		}
		scan->at += length;
	}
	return stop(scan, "the text has no closing quote");
}

static const char *skip_digits(const char *at, const char *end)
{
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

static bool scan_number(struct scan *scan)
{
	const char *at = scan->at + (*scan->at == '-'), *digits = at;

	at = skip_digits(at, scan->end);
	if (at == digits || (at - digits > 1 && *digits == '0'))
		return stop(scan, "not a number");
	if (at < scan->end && *at == '.') {
		digits = ++at;
		at = skip_digits(at, scan->end);
		if (at == digits)
			return stop(scan, "a number needs a digit behind its point");
	}
	if (at < scan->end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < scan->end && (*at == '+' || *at == '-'))
			at++;
		digits = at;
		at = skip_digits(at, scan->end);
		if (at == digits)
			return stop(scan, "not a number");
	}
	scan->at = at;
	return true;
}

static bool scan_all(struct scan *scan)
{
	uint32_t level = 0;

	while (scan->at < scan->end) {
		char c = *scan->at;

		if (c == '"') {
			scan->at++;
			if (!scan_text(scan))
				return false;
			continue;
		}
		if (c == '-' || (c >= '0' && c <= '9')) {
			if (!scan_number(scan))
				return false;
			continue;
		}
		if ((c == '{' || c == '[') && ++level > MOST_LEVELS)
			return stop(scan, "nested deeper than 64 levels");
		if ((c == '}' || c == ']') && level)
			level--;
		if ((unsigned char)c < 0x20 && c != '\n' && c != '\t' && c != '\r')
			return stop(scan, "a control character between values");
		if ((unsigned char)c >= 0x80)
			return stop(scan, "text has to stand in quotes");
		scan->at++;
	}
	return true;
}

/* ---- for people ---- */

void core_json_say_where(struct pbx_diag *diag, const char *start, const char *at, const char *wrong)
{
	unsigned line = 1, column = 1;

	for (; start < at; start++) {
		if (*start == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)*start & 0xC0u) != 0x80u) {
			column++;
		}
	}
	pbx_diag_set(diag, "", "line %u, column %u: %s", line, column, wrong);
}

bool core_json_scan(const char *text, size_t length, struct pbx_diag *diag)
{
	struct scan scan = { .start = text, .at = text, .end = text + length };

	if (scan_all(&scan))
		return true;
	core_json_say_where(diag, text, scan.at, scan.wrong);
	return false;
}
