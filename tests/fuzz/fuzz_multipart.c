/* tests/fuzz/fuzz_multipart.c - bodies of several parts; and what was read is read again as it was when we have written it. The first line is the
 * boundary. */
#include "multipart.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct pbx_session_part *a, const struct pbx_session_part *b)
{
	assert(strcmp(a->type, b->type) == 0 && strcmp(a->disposition, b->disposition) == 0);
	assert(a->length == b->length && memcmp(a->body, b->body, a->length) == 0);
	assert(a->body[a->length] == '\0' && b->body[b->length] == '\0');
}

/* The parameter that our own type ends with. */
static const char *boundary_of(const struct ua_body *body)
{
	const char *at = strstr(body->type, "boundary=");

	return at ? at + strlen("boundary=") : NULL;
}

static void write_again(const struct ua_parts *parts)
{
	struct ua_parts again;
	struct ua_body body;

	if (parts->count == 1 && strncasecmp(parts->items[0].type, "multipart/", 10) == 0)
		return; /* alone it would be the message's own type, which lies */
	if (ua_body_write(&(struct pbx_session_parts){ parts->items, parts->count }, &body) != PBX_OK)
		return;
	assert(ua_parts_read_body(body.type, boundary_of(&body), body.disposition, body.text, body.length, &again) == PBX_OK);
	assert(again.count == parts->count);
	for (uint32_t i = 0; i < parts->count; i++)
		same(&parts->items[i], &again.items[i]);
	ua_parts_fini(&again);
	ua_body_fini(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	struct ua_parts parts;

	if (!end || size > PBX_SESSION_MOST_BYTES)
		return 0;
	size_t length = (size_t)(end - data);
	char *boundary = malloc(length + 1), *body = malloc(size - length); /* of exactly their size: what lies behind is seen */
	memcpy(boundary, data, length);
	boundary[length] = '\0';
	memcpy(body, end + 1, size - length - 1);
	if (ua_parts_read_body("multipart/mixed", boundary, NULL, body, size - length - 1, &parts) == PBX_OK) {
		assert(parts.count > 0 && parts.count <= PBX_SESSION_MOST_PARTS);
		for (uint32_t i = 0; i < parts.count; i++)
			same(&parts.items[i], &parts.items[i]);
		write_again(&parts);
		ua_parts_fini(&parts);
	}
	free(boundary);
	free(body);
	return 0;
}
