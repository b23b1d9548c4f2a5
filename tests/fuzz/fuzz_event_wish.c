/* tests/fuzz/fuzz_event_wish.c - what a client of the event stream says by WebSocket, cut into frames in any way: what was whole is whole again, and what is
 * understood has types that the bus can look at */
#include "event_wish.h"
#include "websocket_frames.h"
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_wish(const char *text, size_t size)
{
	char topics[EVENT_TOPICS_SIZE];
	const char *why = NULL;
	uint32_t status = event_wish_read(text, size, topics, &why);

	assert((status == 0) == (why == NULL));
	assert(status != 0 || (*topics && strlen(topics) < EVENT_TOPICS_SIZE && topics[0] != ',' && !strstr(topics, ",,")));
}

/* Each frame: its first octet, its length, so much of the rest. */
static void read_frames(const uint8_t *data, size_t size)
{
	char bytes[512];
	struct websocket_message message = { .bytes = bytes, .room = sizeof bytes };

	while (size >= 2) {
		size_t length = data[1] < size - 2 ? data[1] : size - 2;

		if (websocket_gather(&message, data[0], (const char *)data + 2, length) != 0)
			return;
		assert(message.size <= sizeof bytes);
		if (message.is_whole)
			read_wish(bytes, message.size);
		data += 2 + length;
		size -= 2 + length;
	}
}

static void read_texts(const char *text, size_t size)
{
	char closing[WEBSOCKET_CLOSE_MOST];
	size_t offered_size = 0;
	const char *offered = websocket_offer(text, "pbx.bearer.", &offered_size);

	assert(!offered || (offered >= text + 11 && offered + offered_size <= text + strlen(text) && offered_size > 0));
	(void)websocket_is_welcome(text, text, text);
	size_t length = websocket_close_text(websocket_close_status(text, size), text, closing);
	assert(length >= 2 && length <= sizeof closing && websocket_close_status(closing, length) == websocket_close_status(text, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	read_wish(text, size);
	read_frames(data, size);
	read_texts(text, size);
	free(text);
	return 0;
}
