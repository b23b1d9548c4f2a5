/*
 * multipart.c - what a message carries beside its headers
 *
 *    nothing, or one body     as the message's own Content-Type and Content-Disposition say
 *    several                  multipart/mixed, each part with its own
 *
 * A multipart inside of a part is one part. Sofia has a reader of the same, but a zero byte among a part's headers stops the process there (an
 * assertion): whoever we talk to could end every call. Here a copy is cut into texts where it lies.
 */
#include "multipart.h"
#include "random.h"
#include <sofia-sip/msg_header.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_BOUNDARY 70u /* RFC 2046 5.1.1 */
#define SDP "application/sdp"

/* Whether a type, with or without parameters, is this one. */
static bool is_type(const char *type, const char *wanted)
{
	size_t length = strlen(wanted);

	return strncasecmp(type, wanted, length) == 0 && (!type[length] || strchr("; \t", type[length]));
}

const struct pbx_session_part *ua_sdp_part(const struct pbx_session_parts *parts)
{
	for (uint32_t i = 0; i < parts->count; i++)
		if (is_type(pbx_session_part_at(parts, i)->type, SDP))
			return pbx_session_part_at(parts, i);
	return NULL;
}

/* ---- writing -------------------------------------------------------------------------- */

static bool is_line(const char *text)
{
	return !text || !strpbrk(text, "\r\n");
}

static uint32_t length_of(const struct pbx_session_part *part)
{
	return part->length ? part->length : part->body ? (uint32_t)strnlen(part->body, PBX_SESSION_MOST_BYTES + 1) : 0;
}

static int check(const struct pbx_session_parts *parts)
{
	uint32_t bytes = 0;

	if (parts->count > PBX_SESSION_MOST_PARTS)
		return PBX_ENOSPC;
	if (parts->count && (!parts->items || parts->items->size < sizeof(struct pbx_session_part)))
		return PBX_EINVAL;
	for (uint32_t i = 0; i < parts->count; i++) {
		const struct pbx_session_part *part = pbx_session_part_at(parts, i);

		if (!part->type || !part->type[0] || !is_line(part->type) || !is_line(part->disposition))
			return PBX_EINVAL;
		if (length_of(part) > PBX_SESSION_MOST_BYTES - bytes)
			return PBX_ENOSPC;
		bytes += length_of(part);
	}
	return PBX_OK;
}

static void write_part(FILE *out, const char *boundary, const struct pbx_session_part *part)
{
	bool is_disposed = part->disposition && part->disposition[0];

	(void)fprintf(out, "--%s\r\nContent-Type: %s\r\n%s%s%s\r\n", boundary, part->type, is_disposed ? "Content-Disposition: " : "",
		      is_disposed ? part->disposition : "", is_disposed ? "\r\n" : "");
	(void)fwrite(part->body ? part->body : "", 1, length_of(part), out); /* what fails shows when it is closed */
	(void)fprintf(out, "\r\n");
}

/* Its boundary is 128 bits by chance, which are in no body. */
static int write_many(const struct pbx_session_parts *parts, struct ua_body *body)
{
	char boundary[33];
	uint32_t words[4];
	size_t size;

	core_random(words, sizeof words);
	(void)snprintf(boundary, sizeof boundary, "%08x%08x%08x%08x", words[0], words[1], words[2], words[3]);
	FILE *out = open_memstream(&body->text, &size);
	if (!out)
		return PBX_ENOMEM;
	for (uint32_t i = 0; i < parts->count; i++)
		write_part(out, boundary, pbx_session_part_at(parts, i));
	(void)fprintf(out, "--%s--\r\n", boundary);
	if (fclose(out) != 0)
		return PBX_ENOMEM;
	body->length = (uint32_t)size;
	return asprintf(&body->type, "multipart/mixed;boundary=%s", boundary) < 0 ? (body->type = NULL, PBX_ENOMEM) : PBX_OK;
}

static char *copy(const char *bytes, uint32_t length)
{
	char *text = malloc(length + 1u);

	if (!text)
		return NULL;
	if (length)
		memcpy(text, bytes, length);
	text[length] = '\0';
	return text;
}

static int write_one(const struct pbx_session_part *part, struct ua_body *body)
{
	body->length = length_of(part);
	body->text = copy(part->body, body->length);
	body->type = strdup(part->type);
	if (part->disposition && part->disposition[0] && !(body->disposition = strdup(part->disposition)))
		return PBX_ENOMEM;
	return body->text && body->type ? PBX_OK : PBX_ENOMEM;
}

int ua_body_write(const struct pbx_session_parts *parts, struct ua_body *ret_body)
{
	struct ua_body body = { 0 };
	int err = check(parts);

	if (err == PBX_OK && parts->count)
		err = parts->count == 1 ? write_one(parts->items, &body) : write_many(parts, &body);
	const struct pbx_session_part *sdp = err == PBX_OK ? ua_sdp_part(parts) : NULL;
	if (sdp && !(body.sdp = copy(sdp->body, length_of(sdp))))
		err = PBX_ENOMEM;
	if (err == PBX_OK)
		*ret_body = body;
	else
		ua_body_fini(&body);
	return err;
}

void ua_body_fini(struct ua_body *body)
{
	free(body->type);
	free(body->disposition);
	free(body->text);
	free(body->sdp);
	*body = (struct ua_body){ 0 };
}

/* ---- reading -------------------------------------------------------------------------- */

struct delimiter {
	char *at, *after; /* its first dash, and what follows its line */
	bool is_last;
};

/* The next line that is one. False: there is none. */
static bool find_delimiter(char *from, const char *begin, char *end, const char *dashes, struct delimiter *ret)
{
	size_t size = strlen(dashes);

	for (char *at = from; (at = memmem(at, (size_t)(end - at), dashes, size)); at++) {
		char *after = at + size;
		bool is_last = end - after >= 2 && memcmp(after, "--", 2) == 0;

		after += is_last ? 2 : 0;
		while (after < end && (*after == ' ' || *after == '\t'))
			after++;
		bool ends = after == end ? is_last : *after == '\n' || (*after == '\r' && after + 1 < end && after[1] == '\n');
		if (!ends || (at > begin && at[-1] != '\n'))
			continue;
		after += after == end ? 0 : *after == '\r' ? 2 : 1;
		*ret = (struct delimiter){ .at = at, .after = after, .is_last = is_last };
		return true;
	}
	return false;
}

/* The line at `at`, without its end, and where the next one begins. Lines that are continued (RFC 2822 2.2.3) are one, but an empty one is none
 * of them. */
static char *next_line(char *at, char *end, char **ret_end)
{
	char *line_end = memchr(at, '\n', (size_t)(end - at));
	bool is_empty = line_end && (line_end == at || (line_end == at + 1 && *at == '\r'));

	while (!is_empty && line_end && line_end + 1 < end && (line_end[1] == ' ' || line_end[1] == '\t'))
		line_end = memchr(line_end + 1, '\n', (size_t)(end - line_end - 1));
	*ret_end = line_end ? line_end : end;
	if (line_end && line_end > at && line_end[-1] == '\r')
		--*ret_end;
	return line_end ? line_end + 1 : end;
}

/* The value of a header, up to its parameters, as a text of its own: the line is not needed any more. NULL: the line is another header. */
static const char *value_of(char *line, char *end, const char *name)
{
	size_t size = strlen(name);
	char *value = line + size;

	if ((size_t)(end - line) <= size || strncasecmp(line, name, size) != 0)
		return NULL;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	if (value == end || *value != ':')
		return NULL;
	for (value++; value < end && strchr(" \t\r\n", *value) && *value;)
		value++;
	char *value_end = value;
	while (value_end < end && !strchr("; \t\r\n", *value_end)) /* a zero byte ends it too */
		value_end++;
	*value_end = '\0'; /* in the line, or the first byte behind it: a line end, or the end of all */
	return value;
}

/* One header of a part. PBX_OK, PBX_EINVAL, PBX_ENOTSUP. */
static int read_header(char *line, char *end, struct pbx_session_part *part)
{
	const char *value;

	if (!memchr(line, ':', (size_t)(end - line)))
		return PBX_EINVAL;
	if ((value = value_of(line, end, "Content-Type")))
		part->type = value;
	else if ((value = value_of(line, end, "Content-Disposition")))
		part->disposition = value;
	else if ((value = value_of(line, end, "Content-Transfer-Encoding")))
		return strcasecmp(value, "7bit") == 0 || strcasecmp(value, "8bit") == 0 || strcasecmp(value, "binary") == 0 ? PBX_OK
															    : PBX_ENOTSUP;
	return PBX_OK;
}

/* Its headers, an empty line, its body; without such a line it has headers alone. *end may be written to. */
static int read_part(char *at, char *end, struct pbx_session_part *part)
{
	*part = (struct pbx_session_part){ .size = sizeof *part, .type = "text/plain", .disposition = "" };
	*end = '\0';
	while (at < end) {
		char *line_end, *next = next_line(at, end, &line_end);

		if (line_end == at) {
			at = next;
			break;
		}
		int err = read_header(at, line_end, part);
		if (err != PBX_OK)
			return err;
		at = next;
	}
	part->body = at;
	part->length = (uint32_t)(end - at);
	return PBX_OK;
}

static int read_many(char *text, size_t length, const char *dashes, struct ua_parts *parts)
{
	char *end = text + length;
	struct delimiter here, next;

	if (!find_delimiter(text, text, end, dashes, &here))
		return PBX_EINVAL;
	for (; !here.is_last; here = next) {
		if (!find_delimiter(here.after, text, end, dashes, &next))
			return PBX_EINVAL;
		if (parts->count == PBX_SESSION_MOST_PARTS)
			return PBX_ENOSPC;
		char *part_end = next.at; /* the line end before a delimiter is its own */
		part_end -= part_end > here.after;
		part_end -= part_end > here.after && part_end[-1] == '\r' && *part_end == '\n';
		int err = read_part(here.after, part_end, &parts->items[parts->count]);
		if (err != PBX_OK)
			return err;
		parts->count++;
	}
	return parts->count ? PBX_OK : PBX_EINVAL;
}

/* "--" and the boundary without its quotes. False: none that there may be. */
static bool read_boundary(const char *boundary, char ret_dashes[MOST_BOUNDARY + 3])
{
	size_t length = boundary ? strlen(boundary) : 0;

	if (length >= 2 && boundary[0] == '"' && boundary[length - 1] == '"') {
		boundary++;
		length -= 2;
	}
	if (length == 0 || length > MOST_BOUNDARY || strcspn(boundary, "\"\\\r\n") < length)
		return false;
	(void)snprintf(ret_dashes, MOST_BOUNDARY + 3, "--%.*s", (int)length, boundary);
	return true;
}

int ua_parts_read_body(const char *type, const char *boundary, const char *disposition, const char *body, size_t length,
		       struct ua_parts *ret_parts)
{
	const size_t type_size = strlen(type) + 1, disposition_size = disposition ? strlen(disposition) + 1 : 1;
	char dashes[MOST_BOUNDARY + 3];
	struct ua_parts parts = { .memory = malloc(length + 1 + type_size + disposition_size) };
	int err = PBX_OK;

	if (!parts.memory)
		return PBX_ENOMEM;
	memcpy(parts.memory, body, length);
	parts.memory[length] = '\0';
	if (strncasecmp(type, "multipart/", 10) == 0) {
		err = read_boundary(boundary, dashes) ? read_many(parts.memory, length, dashes, &parts) : PBX_EINVAL;
	} else {
		char *own_type = parts.memory + length + 1, *own_disposition = own_type + type_size;

		memcpy(own_type, type, type_size);
		memcpy(own_disposition, disposition ? disposition : "", disposition_size);
		parts.count = 1;
		parts.items[0] = (struct pbx_session_part){ .size = sizeof parts.items[0],
							    .length = (uint32_t)length,
							    .type = own_type,
							    .disposition = own_disposition,
							    .body = parts.memory };
	}
	if (err == PBX_OK)
		*ret_parts = parts;
	else
		ua_parts_fini(&parts);
	return err;
}

int ua_parts_read(const sip_t *sip, struct ua_parts *ret_parts)
{
	const sip_content_type_t *type = sip->sip_content_type;
	const sip_content_disposition_t *disposition = sip->sip_content_disposition;

	*ret_parts = (struct ua_parts){ 0 };
	if (!sip->sip_payload || sip->sip_payload->pl_len == 0)
		return PBX_OK;
	if (sip->sip_content_encoding || !type || !type->c_type)
		return PBX_ENOTSUP;
	return ua_parts_read_body(type->c_type, msg_header_find_param(type->c_common, "boundary="),
				  disposition ? disposition->cd_type : NULL, sip->sip_payload->pl_data, sip->sip_payload->pl_len,
				  ret_parts);
}

void ua_parts_fini(struct ua_parts *parts)
{
	free(parts->memory);
	*parts = (struct ua_parts){ 0 };
}
