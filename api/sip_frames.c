/*
 * sip_frames.c - SIP in WebSocket frames and in a stream: what has to change on the way (RFC 7118)
 *
 * A frame holds one message and may leave its length unsaid; a stream needs Content-Length. Via names the transport, and Sofia, which sees TCP,
 * refuses another name.
 */
#include "sip_frames.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Where the head ends: behind the empty line. NULL: it does not. */
static const char *head_end(const char *message, size_t size)
{
	const char *end = memmem(message, size, "\r\n\r\n", 4);

	return end ? end + 4 : NULL;
}

static const char *next_line(const char *line, const char *end)
{
	const char *found = memchr(line, '\n', (size_t)(end - line));

	return found ? found + 1 : end;
}

/* The value of the first header of that name, long or short, behind the colon. NULL: there is none. */
static const char *find_header(const char *message, const char *end, const char *name, const char *short_name)
{
	for (const char *line = next_line(message, end); line < end; line = next_line(line, end)) {
		const char *names[] = { name, short_name };

		for (size_t i = 0; i < 2; i++) {
			const char *at = line + strlen(names[i]);

			if (at >= end || strncasecmp(line, names[i], strlen(names[i])) != 0)
				continue;
			at += strspn(at, " \t"); /* the head ends with a line break: no further */
			if (*at == ':')
				return at + 1 + strspn(at + 1, " \t");
		}
	}
	return NULL;
}

static bool read_length(const char *value, size_t *ret_length)
{
	size_t length = 0, digits = strspn(value, "0123456789");

	if (digits == 0 || digits > 7)
		return false;
	for (size_t i = 0; i < digits; i++)
		length = length * 10 + (size_t)(value[i] - '0');
	*ret_length = length;
	return true;
}

ssize_t sip_frame_measure(const char *stream, size_t size)
{
	size_t breaks = 0, length = 0;

	while (breaks < size && (stream[breaks] == '\r' || stream[breaks] == '\n'))
		breaks++;
	if (breaks > 0)
		return (ssize_t)breaks;
	const char *end = head_end(stream, size);
	if (!end)
		return 0;
	const char *value = find_header(stream, end, "Content-Length", "l");
	if (!value || !read_length(value, &length))
		return -1;
	size_t whole = (size_t)(end - stream) + length;
	return whole <= size ? (ssize_t)whole : 0;
}

bool sip_frame_welcomes(const char *message, size_t size)
{
	static const char answer[] = "SIP/2.0 ";
	size_t length = sizeof answer - 1;

	if (!head_end(message, size))
		return false;
	if (strncmp(message, answer, length) != 0)
		return true;
	unsigned long status = strtoul(message + length, NULL, 10);

	return status > 100 && status < 300;
}

/* "SIP/2.0/TCP host": the name between the second slash and the blank. */
static const char *transport_of(const char *via, const char *end, size_t *ret_size)
{
	const char *slash = memchr(via, '/', (size_t)(end - via));

	slash = slash ? memchr(slash + 1, '/', (size_t)(end - slash - 1)) : NULL;
	if (!slash)
		return NULL;
	slash += 1 + strspn(slash + 1, " \t");
	*ret_size = strcspn(slash, " \t\r\n;");
	return *ret_size > 0 ? slash : NULL;
}

ssize_t sip_frame_convert(const char *message, size_t size, const char *transport, char *ret_message, size_t room)
{
	const char *end = head_end(message, size), *via = end ? find_header(message, end, "Via", "v") : NULL;
	size_t old = 0, length = 0;
	const char *name = via ? transport_of(via, end, &old) : NULL, *value;
	char added[40] = "";

	if (!name || name + old > end)
		return -1;
	size_t body = size - (size_t)(end - message);
	value = find_header(message, end, "Content-Length", "l");
	if (!value)
		(void)snprintf(added, sizeof added, "Content-Length: %zu\r\n", body);
	else if (!read_length(value, &length) || length != body)
		return -1;

	size_t before = (size_t)(name - message), between = (size_t)(end - 2 - name) - old;
	size_t whole = before + strlen(transport) + between + strlen(added) + 2 + body;
	if (whole > room)
		return -1;
	char *at = mempcpy(ret_message, message, before);
	at = mempcpy(at, transport, strlen(transport));
	at = mempcpy(at, name + old, between);
	at = mempcpy(at, added, strlen(added));
	(void)mempcpy(at, end - 2, 2 + body);
	return (ssize_t)whole;
}
