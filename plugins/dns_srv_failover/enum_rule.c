/*
 * enum_rule - what one NAPTR record makes of a number
 *
 * A rule is DELIMITER pattern DELIMITER replacement DELIMITER flags (RFC 3402 3.2), its pattern a POSIX ERE. glibc's regcomp() takes it, but
 * it takes too much from a stranger: {100}{100} eats memory, \1 in a pattern makes matching exponential, and so may a repetition within
 * another. None of these has a use in ENUM, so a pattern with a brace, a back reference or a repeated group is no rule; what remains
 * is matched against sixteen characters. What a rule makes has to be a SIP address of plain characters, without parameters that say where to
 * send a request.
 */
#include "enum_rule.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MOST_PATTERN 100u
#define MOST_REPEATS 6u
#define GROUPS 10u

/* ---- numbers and names ------------------------------------------------------------------ */

bool enum_number_read(const char *text, char ret_number[ENUM_NUMBER])
{
	size_t count = 0;

	if (*text++ != '+')
		return false;
	ret_number[count++] = '+';
	for (; *text; text++) {
		if (strchr("-.() ", *text))
			continue;
		if (!isdigit((unsigned char)*text) || count == ENUM_NUMBER - 1)
			return false;
		ret_number[count++] = *text;
	}
	ret_number[count] = '\0';
	return count > 3 && ret_number[1] != '0';
}

bool enum_name(const char *number, const char *domain, char *ret_name, size_t size)
{
	size_t used = 0;

	for (size_t at = strlen(number); at-- > 1 && used + 3 < size;) {
		ret_name[used++] = number[at];
		ret_name[used++] = '.';
	}
	return (size_t)snprintf(ret_name + used, size - used, "%s", domain) < size - used;
}

bool enum_service_is_sip(const char *service)
{
	if (strncmp(service, "E2U+", 4) != 0)
		return false;
	for (service += 4; *service; service += strspn(service, "+")) {
		size_t length = strcspn(service, "+");

		if (strncmp(service, "SIP", 3) == 0 && (length == 3 || service[3] == ':'))
			return true;
		service += length;
	}
	return false;
}

/* ---- the rule --------------------------------------------------------------------------- */

/* Up to the delimiter; behind it afterwards. A delimiter with a backslash before it is an ordinary character. NULL: there is none, or the part
 * does not fit. */
static const char *take_part(const char *at, char delimiter, char *ret_part, size_t size)
{
	size_t used = 0;

	for (; *at && *at != delimiter; at++) {
		if (used + 3 > size)
			return NULL;
		if (*at == '\\' && at[1] == delimiter)
			at++;
		else if (*at == '\\' && at[1])
			ret_part[used++] = *at++;
		ret_part[used++] = *at;
	}
	ret_part[used] = '\0';
	return *at ? at + 1 : NULL;
}

/* What follows an opening bracket: digits, + and ranges of them are all that a number needs. NULL: there is more. */
static const char *skip_class(const char *at)
{
	at += strspn(at, "^");
	at += strspn(at, "0123456789+-");
	return *at == ']' ? at : NULL;
}

/* See the head of this file. */
static bool is_harmless(const char *pattern)
{
	uint32_t repeats = 0;
	char before = '^'; /* what a repetition would repeat */

	for (const char *at = pattern; *at; at++) {
		char one = *at;

		if (one == '{')
			return false;
		if (one == '\\') {
			one = *++at;
			if (!one || isalnum((unsigned char)one) || strchr("<>`'", one)) /* glibc has meanings for these */
				return false;
			one = 'x';
		} else if (one == '[') {
			at = skip_class(at + 1);
			if (!at)
				return false;
		} else if (strchr("*+?", one) && (strchr("^$(|)*+?", before) || ++repeats > MOST_REPEATS)) {
			return false;
		}
		before = one;
	}
	return true;
}

/* \0 to \9 are what the groups matched; a backslash takes the meaning of what follows. */
static bool replace(const char *replacement, const char *number, const regmatch_t groups[GROUPS], char ret_uri[ENUM_URI])
{
	size_t used = 0;

	for (const char *at = replacement; *at; at++) {
		const char *from = at;
		size_t length = 1;

		if (*at == '\\' && isdigit((unsigned char)at[1])) {
			const regmatch_t *group = &groups[*++at - '0'];

			length = group->rm_so < 0 ? 0 : (size_t)(group->rm_eo - group->rm_so);
			from = length ? number + group->rm_so : at;
		} else if (*at == '\\' && at[1]) {
			from = ++at;
		}
		if (used + length >= ENUM_URI)
			return false;
		memcpy(ret_uri + used, from, length);
		used += length;
	}
	ret_uri[used] = '\0';
	return true;
}

bool enum_rule_apply(const char *rule, const char *number, char ret_uri[ENUM_URI])
{
	char pattern[MOST_PATTERN], replacement[ENUM_URI], uri[ENUM_URI], delimiter = rule[0];
	regmatch_t groups[GROUPS];
	regex_t regex;

	if (!delimiter || delimiter == '\\' || delimiter == 'i' || isdigit((unsigned char)delimiter))
		return false;
	const char *at = take_part(rule + 1, delimiter, pattern, sizeof pattern);
	at = at ? take_part(at, delimiter, replacement, sizeof replacement) : NULL;
	if (!at || (at[0] && strcmp(at, "i") != 0) || !is_harmless(pattern) ||
	    regcomp(&regex, pattern, REG_EXTENDED | (at[0] ? REG_ICASE : 0)) != 0)
		return false;
	bool matched = regexec(&regex, number, GROUPS, groups, 0) == 0;
	regfree(&regex);
	if (!matched || !replace(replacement, number, groups, uri) || !enum_uri_check(uri))
		return false;
	memcpy(ret_uri, uri, sizeof uri);
	return true;
}

/* ---- what it makes ---------------------------------------------------------------------- */

#define UNRESERVED "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()"

/* The last label of a name is no number, or it would be an address that is none. */
static bool is_host(const char *host)
{
	const char *last = strrchr(host, '.');
	struct in_addr four;
	size_t label = 0;

	if (inet_pton(AF_INET, host, &four) == 1)
		return true;
	for (const char *at = host; *at; at++) {
		label = *at == '.' ? 0 : label + 1;
		if (label > 63 || (*at == '.' ? at == host || at[-1] == '.' || !at[1] : !isalnum((unsigned char)*at) && *at != '-'))
			return false;
	}
	last = last ? last + 1 : host;
	return *last && last[strspn(last, "0123456789")] != '\0';
}

static bool is_port(const char *text, size_t length)
{
	uint32_t port = 0;

	for (size_t i = 0; i < length; i++) {
		if (!isdigit((unsigned char)text[i]) || i == 5)
			return false;
		port = port * 10 + (uint32_t)(text[i] - '0');
	}
	return port > 0 && port < 65536;
}

/* ";transport=tcp;user=phone": others may say where a request is to go (maddr, lr), what it is (method), or who knows what. */
static bool are_params(const char *at)
{
	while (*at == ';') {
		size_t name = strcspn(++at, "=;"), value = at[name] == '=' ? strcspn(at + name + 1, ";") : 0;

		if (value == 0 || strspn(at + name + 1, UNRESERVED) < value ||
		    !((name == 9 && strncasecmp(at, "transport", 9) == 0) || (name == 4 && strncasecmp(at, "user", 4) == 0)))
			return false;
		at += name + 1 + value;
	}
	return !*at;
}

bool enum_uri_check(const char *uri)
{
	size_t scheme = strncasecmp(uri, "sip:", 4) == 0 ? 4 : strncasecmp(uri, "sips:", 5) == 0 ? 5 : 0;
	const char *user = uri + scheme;
	size_t user_length = strspn(user, UNRESERVED "%&=+$,;/");
	char host[254];

	if (!scheme || user_length == 0 || user[user_length] != '@')
		return false;
	const char *at = user + user_length + 1;
	if (*at == '[') {
		struct in6_addr six;
		size_t length = strcspn(++at, "]");

		if (length >= sizeof host || at[length] != ']')
			return false;
		memcpy(host, at, length);
		host[length] = '\0';
		if (inet_pton(AF_INET6, host, &six) != 1)
			return false;
		at += length + 1;
	} else {
		size_t length = strcspn(at, ":;");

		if (length >= sizeof host)
			return false;
		memcpy(host, at, length);
		host[length] = '\0';
		if (!is_host(host))
			return false;
		at += length;
	}
	if (*at == ':') {
		size_t length = strcspn(++at, ";");

		if (!is_port(at, length))
			return false;
		at += length;
	}
	return are_params(at);
}
