/* tests/fuzz/fuzz_speex.c - a payload that says it is Speex: what is let through to libspeex has whole frames, and as many as fit into it */
#include <assert.h>
#include <codec_speex/payload.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_FRAME_BITS 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *payload = malloc(size ? size : 1); /* of exactly this size, so that ASan sees one more */

	assert(payload);
	memcpy(payload, data, size);
	for (uint32_t layers = 0; layers <= 2; layers++) {
		int32_t frames = speex_payload_frames(payload, (uint32_t)size, layers);

		assert(frames >= -1 && frames * (int64_t)LEAST_FRAME_BITS <= (int64_t)size * 8);
		if (frames > 0)
			assert(speex_payload_mode(payload) < 16);
	}
	free(payload);
	return 0;
}
