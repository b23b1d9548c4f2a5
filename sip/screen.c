/*
 * screen.c - a datagram's first line and Via, before Sofia reads it
 *
 * What is no SIP is not worth a message of Sofia's. And requests whose first line or Via is broken, which Sofia drops without a word, are to be
 * answered (RFC 4475 3.1.2, RFC 5118 4.2): here is what with, and the answer, made of the request's own lines.
 */
#include "screen.h"
#include <assert.h>
#include <ctype.h>
#include <sofia-sip/su.h>
#include <string.h>
#include <strings.h>

/* ---- the first line ------------------------------------------------------------------- */

static bool is_token(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-.!%*_+`'~", text[i]))
			return false;
	return size > 0;
}

/* "2001:db8::10" without brackets: more than one colon behind the user part. */
static bool is_naked_ipv6(const char *uri, size_t size)
{
	unsigned colons = 0;

	if (size < 4 || strncasecmp(uri, "sip", 3) != 0)
		return false;
	const char *end = uri + size, *host = memchr(uri, ':', size);
	for (const char *at = host; at && at < end; at++)
		if (*at == '@')
			host = at;
	for (const char *at = host ? host + 1 : end; at < end && !strchr(";?[", *at); at++)
		colons += *at == ':';
	return colons > 1;
}

static int judge_request_line(const char *line, size_t size, const char **ret_why)
{
	const char *end = line + size, *blank = memchr(line, ' ', size), *last = end;

	if (!blank || blank - line > 128 || !is_token(line, (size_t)(blank - line)))
		return UA_SCREEN_JUNK;
	while (last > line && (last[-1] == ' ' || last[-1] == '\t'))
		last--;
	const char *version = last;
	while (version > blank && version[-1] != ' ' && version[-1] != '\t')
		version--;
	if (last - version < 7 || strncasecmp(version, "SIP/", 4) != 0 || !isdigit((unsigned char)version[4]) || version <= blank)
		return UA_SCREEN_JUNK;
	*ret_why = "version";
	if (last - version != 7 || strncasecmp(version, "SIP/2.0", 7) != 0)
		return 505;
	*ret_why = "blanks in the first line";
	if (last != end)
		return 400;
	const char *uri = blank, *uri_end = version;
	while (uri < uri_end && *uri == ' ')
		uri++;
	while (uri_end > uri && uri_end[-1] == ' ')
		uri_end--;
	if (uri == uri_end || memchr(uri, ' ', (size_t)(uri_end - uri)) || memchr(uri, '\t', (size_t)(uri_end - uri)))
		return 400;
	*ret_why = "IPv6 address without brackets";
	return is_naked_ipv6(uri, (size_t)(uri_end - uri)) ? 400 : UA_SCREEN_PASS;
}

static bool is_known(const char *line, size_t size)
{
	const char *blank = memchr(line, ' ', size);
	char name[16] = "";

	if (blank && (size_t)(blank - line) < sizeof name)
		memcpy(name, line, (size_t)(blank - line));
	return sip_method_code(name) > sip_method_unknown;
}

/* Where the headers end: the empty line, or the datagram's end. */
static size_t head_size(const char *bytes, size_t size)
{
	const char *end = bytes + size;

	assert(bytes);
	for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(end - at))); at++)
		if (end - at > 2 && at[1] == '\r' && at[2] == '\n')
			return (size_t)(at + 1 - bytes);
	return size;
}

/* ---- headers -------------------------------------------------------------------------- */

/* The name that a header line has, or its short form (RFC 3261 7.3.3). */
static bool is_named(const char *line, const char *end, const char *name, char letter)
{
	const char *at = line;

	while (at < end && *at != ':' && *at != ' ' && *at != '\t')
		at++;
	size_t length = (size_t)(at - line);
	return (length == strlen(name) && strncasecmp(line, name, length) == 0) ||
	       (length == 1 && letter && tolower((unsigned char)*line) == letter);
}

/* A header with the lines it is folded into; the start of the next one. */
static const char *header_end(const char *line, const char *end)
{
	do {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		line = stop ? stop + 1 : end;
	} while (line < end && (*line == ' ' || *line == '\t'));
	return line;
}

/* Two separators with nothing between them. */
static bool has_nothing_between(const char *text, const char *end)
{
	static const char marks[] = { ';', ',' };

	for (unsigned i = 0; i < sizeof marks; i++)
		for (const char *at = text; (at = memchr(at, marks[i], (size_t)(end - at))) && ++at < end;)
			if (*at == ',' || (*at == ';' && marks[i] == ';'))
				return true;
	return false;
}

/* Such separators in a Via (RFC 4475 3.1.2.1): Sofia would not know where to send an answer to. */
static bool has_broken_via(const char *head, size_t size)
{
	const char *end = head + size;
	bool suspect = has_nothing_between(head, end);

	for (const char *line = header_end(head, end); suspect && line < end; line = header_end(line, end)) {
		const char *next = header_end(line, end);

		if (is_named(line, next, "Via", 'v') && has_nothing_between(line, next))
			return true;
	}
	return false;
}

int ua_screen(const char *bytes, size_t size, const char **ret_why)
{
	size_t skip = 0;

	assert(bytes && ret_why);
	*ret_why = "junk";
	while (skip < size && (bytes[skip] == '\r' || bytes[skip] == '\n'))
		skip++;
	if (skip == size) /* a keep-alive (RFC 5626 3.5.1), which Sofia answers */
		return size <= 8 ? UA_SCREEN_PASS : UA_SCREEN_JUNK;
	bytes += skip;
	size -= skip;
	if (size > 8 && memcmp(bytes, "SIP/2.0 ", 8) == 0)
		return UA_SCREEN_PASS;

	const char *end = memchr(bytes, '\n', size);
	size_t length = end ? (size_t)(end - bytes) : size;
	if (length > 0 && bytes[length - 1] == '\r')
		length--;
	int status = end ? judge_request_line(bytes, length, ret_why) : UA_SCREEN_JUNK;
	if (status != UA_SCREEN_PASS)
		return status;
	size_t head = head_size(bytes, size);
	*ret_why = "zero octet in a header";
	if (memchr(bytes, '\0', head))
		return is_known(bytes, length) ? 400 : 501;
	*ret_why = "Via with empty parameters";
	return has_broken_via(bytes, head) ? 400 : UA_SCREEN_PASS;
}

/* ---- the answer ----------------------------------------------------------------------- */

size_t ua_screen_answer(const char *bytes, size_t size, int status, char *ret_text, size_t ret_size)
{
	static const struct {
		const char *name;
		char letter;
	} wanted[] = { { "Via", 'v' }, { "From", 'f' }, { "To", 't' }, { "Call-ID", 'i' }, { "CSeq", 0 } };
	const char *end = bytes + head_size(bytes, size), *line = header_end(bytes, end);
	size_t used = (size_t)snprintf(ret_text, ret_size, "SIP/2.0 %d %s\r\n", status, sip_status_phrase(status));
	unsigned found = 0;

	if (size > 4 && strncmp(bytes, "ACK ", 4) == 0)
		return 0;
	while (line < end) {
		const char *next = header_end(line, end);

		for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
			if (!is_named(line, next, wanted[i].name, wanted[i].letter))
				continue;
			if (used + (size_t)(next - line) + 32 > ret_size)
				return 0;
			memcpy(ret_text + used, line, (size_t)(next - line));
			used += (size_t)(next - line);
			found |= 1u << i;
		}
		line = next;
	}
	if (found != (1u << sizeof wanted / sizeof wanted[0]) - 1)
		return 0;
	return used + (size_t)snprintf(ret_text + used, ret_size - used, "Content-Length: 0\r\n\r\n");
}
