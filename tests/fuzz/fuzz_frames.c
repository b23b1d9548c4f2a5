/* tests/fuzz/fuzz_frames.c - what a browser sends in WebSocket frames, and what goes back: a message that was turned into a stream's is measured there
 * as long as it is, and comes back the same way */
#include "sip_frames.h"
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size + 64;
	char *message = malloc(size + 1), *stream = malloc(room + 1), *frame = malloc(room + 65);

	assert(message && stream && frame);
	memcpy(message, data, size);
	message[size] = '\0';
	ssize_t first = sip_frame_measure(message, size);
	assert(first <= (ssize_t)size);
	if (sip_frame_welcomes(message, size))
		assert(memmem(message, size, "\r\n\r\n", 4));

	ssize_t length = sip_frame_convert(message, size, "TCP", stream, room);
	assert(length <= (ssize_t)room);
	if (length > 0 && message[0] != '\r' && message[0] != '\n') { /* line breaks are keep-alives, measured by themselves */
		assert(sip_frame_measure(stream, (size_t)length) == length);
		ssize_t back = sip_frame_convert(stream, (size_t)length, "WSS", frame, room + 64);
		assert(back > 0 && sip_frame_measure(frame, (size_t)back) == back);
	}
	free(message);
	free(stream);
	free(frame);
	return 0;
}
