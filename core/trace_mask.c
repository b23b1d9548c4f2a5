/*
 * trace_mask.c - what nobody may read later is made unreadable on its way into the ring
 *
 * One pass over the lines, and only a line's first letters decide whether more of it is looked at. Masked text keeps its length, so that
 * Content-Length stays right in an exported capture. What is masked: the response and cnonce of digest credentials (with both a weak password
 * can be guessed at leisure), keys in SDP (RFC 4568 a=crypto, k= of RFC 4566), and digits that are typed by INFO (they are PINs, too).
 */
#include "trace.h"
#include <string.h>
#include <strings.h>

/* with: in small letters. */
static bool begins(const char *line, size_t length, const char *with)
{
	size_t size = strlen(with);

	return length >= size && (*line | 32) == *with && strncasecmp(line, with, size) == 0;
}

static void hide(char *from, const char *end, const char *until)
{
	for (; from < end && !strchr(until, *from); from++)
		*from = 'x';
}

/* 0123… behind the name: "0123…" or without quotes. */
static void mask_value(char *value, const char *end)
{
	while (value < end && (*value == ' ' || *value == '='))
		value++;
	if (value < end && *value == '"')
		hide(value + 1, end, "\"\r");
	else
		hide(value, end, ", \r");
}

/* response="0123…" or response=0123…, wherever it stands in the header's value. */
static void mask_credentials(char *line, size_t length)
{
	char *end = line + length;

	for (char *at = memchr(line, ':', length); at && at < end; at++) {
		size_t left = (size_t)(end - at) - 1;

		if (*at != ' ' && *at != ',' && *at != '\t')
			continue;
		if (left > 8 && begins(at + 1, left, "response"))
			mask_value(at + 9, end);
		else if (left > 6 && begins(at + 1, left, "cnonce"))
			mask_value(at + 7, end);
	}
}

/* a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20|1:4 */
static void mask_inline_keys(char *line, size_t length)
{
	char *end = line + length;

	for (char *at = line; (at = memmem(at, (size_t)(end - at), "inline:", 7)); at += 7)
		hide(at + 7, end, "|; \r");
}

static void mask_after(char *line, size_t length, char separator)
{
	char *at = memchr(line, separator, length);

	if (at)
		hide(at + 1, line + length, "\r");
}

static void mask_header(char *line, size_t length)
{
	if (begins(line, length, "authorization") || begins(line, length, "proxy-authorization"))
		mask_credentials(line, length);
}

static void mask_body(char *line, size_t length)
{
	if (begins(line, length, "a=crypto:"))
		mask_inline_keys(line, length);
	else if (begins(line, length, "k="))
		mask_after(line, length, '=');
	else if (begins(line, length, "a=key-mgmt:"))
		mask_after(line, length, ':');
	else if (begins(line, length, "signal="))
		mask_after(line, length, '=');
}

static bool is_call_id(const char *line, size_t length, size_t *ret_name)
{
	*ret_name = begins(line, length, "call-id")                                               ? 7
		    : (length > 1 && (line[0] | 32) == 'i' && (line[1] == ':' || line[1] == ' ')) ? 1
												  : 0;
	return *ret_name > 0;
}

static void take_call_id(const char *line, size_t length, size_t name, const char **ret_call_id, uint32_t *ret_length)
{
	const char *at = line + name, *end = line + length;

	while (at < end && (*at == ' ' || *at == ':' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == '\r' || end[-1] == ' '))
		end--;
	*ret_call_id = at;
	*ret_length = (uint32_t)(end - at);
}

/* The body of an INFO with application/dtmf is the digit and nothing else. */
static bool is_bare_digit(const char *text, uint32_t size)
{
	return begins(text, size, "info ") && memmem(text, size, "application/dtmf\r", 17);
}

void core_trace_mask(char *text, uint32_t size, const char **ret_call_id, uint32_t *ret_length)
{
	bool in_body = false, bare = is_bare_digit(text, size);
	size_t name;

	*ret_call_id = "";
	*ret_length = 0;
	for (char *line = text, *end = text + size, *next; line < end; line = next) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t length = (size_t)((newline ? newline : end) - line);

		next = newline ? newline + 1 : end;
		if (in_body && bare)
			hide(line, line + length, "\r");
		else if (in_body)
			mask_body(line, length);
		else if (length == 0 || (length == 1 && *line == '\r'))
			in_body = true;
		else if ((*line | 32) == 'a' || (*line | 32) == 'p')
			mask_header(line, length);
		else if (*ret_length == 0 && is_call_id(line, length, &name))
			take_call_id(line, length, name, ret_call_id, ret_length);
	}
}
