/*
 * multipart - the first file of a form, as browsers and curl -F send it (RFC 7578, RFC 2046 section 5.1)
 */
#include "music.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BOUNDARY_BYTES 71u /* RFC 2046: at most 70 characters */

/* A parameter of a header's value, quoted or not. */
static bool parameter(const char *value, const char *end, const char *name, char *ret_text, size_t size)
{
	const size_t length = strlen(name);

	for (const char *at = value; at + length + 1 < end; at++) {
		if ((at != value && !strchr("; \t", at[-1])) || strncasecmp(at, name, length) != 0 || at[length] != '=')
			continue;
		const char *text = at + length + 1, *stop;
		const bool quoted = *text == '"';

		text += quoted;
		for (stop = text; stop < end && *stop != (quoted ? '"' : ';') && *stop != '\r'; stop++)
			;
		if ((size_t)(stop - text) >= size)
			return false;
		memcpy(ret_text, text, (size_t)(stop - text));
		ret_text[stop - text] = '\0';
		return true;
	}
	return false;
}

static const char *find(const char *from, const char *end, const char *text)
{
	return from < end ? memmem(from, (size_t)(end - from), text, strlen(text)) : NULL;
}

/* The file's name, when these headers of a part are a file's. */
static bool file_name(const char *headers, const char *end, char *ret_name, size_t size)
{
	for (const char *line = headers; line < end;) {
		const char *stop = find(line, end, "\r\n");

		stop = stop ? stop : end;
		if ((size_t)(stop - line) > 20 && strncasecmp(line, "Content-Disposition:", 20) == 0)
			return parameter(line + 20, stop, "filename", ret_name, size);
		line = stop + 2;
	}
	return false;
}

bool multipart_first_file(const char *content_type, const char *body, size_t size, struct part *ret_part)
{
	const char *end = body + size, *at;
	char boundary[BOUNDARY_BYTES], delimiter[BOUNDARY_BYTES + 4];

	if (!content_type || strncasecmp(content_type, "multipart/form-data", 19) != 0 ||
	    !parameter(content_type, content_type + strlen(content_type), "boundary", boundary, sizeof boundary) || !boundary[0])
		return false;
	(void)snprintf(delimiter, sizeof delimiter, "\r\n--%s", boundary);
	at = size >= strlen(delimiter) - 2 && memcmp(body, delimiter + 2, strlen(delimiter) - 2) == 0 ? body + strlen(delimiter) - 2
												      : find(body, end, delimiter);
	while (at && (at = find(at, end, "\r\n"))) {
		const char *headers = at + 2, *bytes = find(headers, end, "\r\n\r\n"),
			   *stop = bytes ? find(bytes + 4, end, delimiter) : NULL;

		if (!stop && bytes && find(bytes + 2, end, delimiter) == bytes + 2)
			stop = bytes + 2; /* an empty part */
		if (!stop)
			return false;
		if (file_name(headers, bytes, ret_part->name, sizeof ret_part->name)) {
			ret_part->bytes = bytes + 4;
			ret_part->size = stop > bytes + 4 ? (size_t)(stop - bytes - 4) : 0;
			return true;
		}
		at = stop + strlen(delimiter);
	}
	return false;
}
