/*
 * numbers - how the public network writes numbers: E.164 inside, what each provider likes outside, DIDs, and hours of the week
 */
#include "sip_trunk.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LEAST_DIGITS 7u /* less is a short code */
#define MOST_DIGITS 15u /* E.164 */

static bool starts_with(const char *text, const char *start)
{
	return start[0] && strncmp(text, start, strlen(start)) == 0;
}

bool number_e164(const struct sip_trunk_settings *settings, const char *dialled, char *ret_number, size_t size)
{
	bool is_american = strcmp(settings->country_code, "1") == 0;
	const char *digits = dialled + (dialled[0] == '+');
	size_t length = strlen(digits);
	char number[64];

	if (length < LEAST_DIGITS || length > MOST_DIGITS + 5 || strspn(digits, "0123456789") != length)
		return false;
	if (dialled[0] == '+')
		(void)snprintf(number, sizeof number, "%s", digits);
	else if (starts_with(digits, settings->international_prefix))
		(void)snprintf(number, sizeof number, "%s", digits + strlen(settings->international_prefix));
	else if (starts_with(digits, settings->national_prefix) && (!is_american || length == 11))
		(void)snprintf(number, sizeof number, "%s%s", settings->country_code, digits + strlen(settings->national_prefix));
	else if (is_american && length == 10)
		(void)snprintf(number, sizeof number, "1%s", digits);
	else if (is_american && length == 7 && settings->area_code[0])
		(void)snprintf(number, sizeof number, "1%s%s", settings->area_code, digits);
	else if (!is_american && settings->area_code[0])
		(void)snprintf(number, sizeof number, "%s%s%s", settings->country_code, settings->area_code, digits);
	else
		return false;
	if (strlen(number) > MOST_DIGITS)
		return false;
	(void)snprintf(ret_number, size, "+%s", number);
	return true;
}

void number_format(const struct sip_trunk_settings *settings, const char *format, const char *number, char *ret_number, size_t size)
{
	char e164[32];

	if (strcmp(format, "as_dialled") == 0 || !number_e164(settings, number, e164, sizeof e164))
		(void)snprintf(ret_number, size, "%s", number);
	else if (strcmp(format, "plus_e164") == 0)
		(void)snprintf(ret_number, size, "%s", e164);
	else if (strcmp(format, "national") == 0 && starts_with(e164 + 1, settings->country_code))
		(void)snprintf(ret_number, size, "%s", e164 + 1 + strlen(settings->country_code));
	else if (strcmp(format, "national") == 0)
		(void)snprintf(ret_number, size, "%s%s", settings->international_prefix, e164 + 1);
	else
		(void)snprintf(ret_number, size, "%s", e164 + 1);
}

bool did_matches(const char *pattern, const char *number)
{
	for (; *pattern && *number; pattern++, number++) {
		char digit = *number;

		if (*pattern == '.')
			return true;
		if (*pattern == 'X'   ? !isdigit((unsigned char)digit)
		    : *pattern == 'Z' ? digit < '1' || digit > '9'
		    : *pattern == 'N' ? digit < '2' || digit > '9'
				      : digit != *pattern)
			return false;
	}
	return *number == '\0' && (*pattern == '\0' || strcmp(pattern, ".") == 0);
}

/* ---- hours ---------------------------------------------------------------------------- */

static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

/* "mon": 1. -1: no day. */
static int read_day(const char **at)
{
	for (int day = 0; day < 7; day++)
		if (strncasecmp(*at, day_names[day], 3) == 0) {
			*at += 3;
			return day;
		}
	return -1;
}

/* "08:30" in minutes; -1: no time. */
static int read_time(const char **at)
{
	int hour, minute, length = 0;

	if (sscanf(*at, "%2d:%2d%n", &hour, &minute, &length) != 2 || hour < 0 || hour > 24 || minute < 0 || minute > 59)
		return -1;
	*at += length;
	return hour * 60 + minute;
}

struct span {
	int first, last, from, until;
};

static bool read_span(const char **at, struct span *ret_span)
{
	*at += strspn(*at, " ,");
	ret_span->first = ret_span->last = read_day(at);
	if (ret_span->first >= 0 && **at == '-') {
		(*at)++;
		ret_span->last = read_day(at);
	}
	if (ret_span->first < 0 || ret_span->last < 0 || **at != ' ')
		return false;
	*at += strspn(*at, " ");
	ret_span->from = read_time(at);
	if (ret_span->from < 0 || **at != '-')
		return false;
	(*at)++;
	ret_span->until = read_time(at);
	*at += strspn(*at, " ");
	return ret_span->until > ret_span->from && (**at == ',' || **at == '\0');
}

bool hours_good(const char *hours)
{
	struct span span;

	while (*hours)
		if (!read_span(&hours, &span))
			return false;
	return true;
}

bool hours_hold(const char *hours, int64_t wall_us)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct span span;
	struct tm local;

	if (!hours[0])
		return true;
	(void)localtime_r(&seconds, &local);
	int minute = local.tm_hour * 60 + local.tm_min;
	while (*hours && read_span(&hours, &span)) {
		bool in_days = span.first <= span.last ? local.tm_wday >= span.first && local.tm_wday <= span.last
						       : local.tm_wday >= span.first || local.tm_wday <= span.last;
		if (in_days && minute >= span.from && minute < span.until)
			return true;
	}
	return false;
}
