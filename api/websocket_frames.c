/*
 * websocket_frames.c - messages of a WebSocket from its frames, and the texts around them (RFC 6455)
 *
 * CivetWeb reads single frames and judges none of them. What follows from one frame to the next is here, for whichever door they came by.
 */
#include "websocket_frames.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FINAL 0x80u
#define RESERVED 0x70u
#define CONTINUATION 0u
#define TEXT 1u
#define BINARY 2u

uint32_t websocket_gather(struct websocket_message *message, unsigned bits, const char *data, size_t size)
{
	unsigned kind = bits & 0x0f;

	if (message->is_whole)
		message->size = 0;
	message->is_whole = false;
	if ((bits & RESERVED) || kind > BINARY || (kind == CONTINUATION) != message->is_begun)
		return WEBSOCKET_PROTOCOL;
	if (size > message->room - message->size)
		return WEBSOCKET_TOO_LARGE;
	if (kind != CONTINUATION)
		message->is_text = kind == TEXT;
	if (size > 0)
		memcpy(message->bytes + message->size, data, size);
	message->size += size;
	message->is_whole = bits & FINAL;
	message->is_begun = !message->is_whole;
	return 0;
}

size_t websocket_close_text(uint32_t status, const char *why, char ret_text[WEBSOCKET_CLOSE_MOST])
{
	size_t length = strnlen(why, WEBSOCKET_CLOSE_MOST - 2);

	ret_text[0] = (char)(status >> 8);
	ret_text[1] = (char)status;
	memcpy(ret_text + 2, why, length);
	return length + 2;
}

uint32_t websocket_close_status(const char *text, size_t size)
{
	uint32_t status = size < 2 ? WEBSOCKET_DONE : (uint32_t)(uint8_t)text[0] << 8 | (uint8_t)text[1];
	bool is_known = (status >= 1000 && status <= 1003) || (status >= 1007 && status <= 1014), is_own = status >= 3000 && status <= 4999;

	return size != 1 && (is_known || is_own) ? status : WEBSOCKET_PROTOCOL;
}

/* "https://pbx.example:9000" is our own when the rest of it is the Host header. */
bool websocket_is_welcome(const char *origins, const char *origin, const char *host)
{
	const char *rest = origin ? strstr(origin, "://") : NULL;
	size_t length;

	if (!origin)
		return true;
	if (rest && host && strcasecmp(rest + 3, host) == 0)
		return true;
	for (const char *one = origins; *one; one += length + (one[length] == ' ')) {
		length = strcspn(one, " ");
		if (length == strlen(origin) && strncasecmp(one, origin, length) == 0)
			return true;
	}
	return false;
}

const char *websocket_offer(const char *protocols, const char *begin, size_t *ret_size)
{
	size_t length = strlen(begin), size;

	for (const char *one = protocols + strspn(protocols, ", \t"); *one; one += size + strspn(one + size, ", \t")) {
		size = strcspn(one, ", \t");
		if (size > length && strncmp(one, begin, length) == 0) {
			*ret_size = size - length;
			return one + length;
		}
	}
	return NULL;
}
