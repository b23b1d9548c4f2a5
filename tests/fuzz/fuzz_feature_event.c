/* tests/fuzz/fuzz_feature_event.c - a pressed key of anything; what is read of it can be stored, and told back to the phone */
#include "feature_event.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct feature_change change;

	assert(text);
	if (feature_event_read(text, &change) == PBX_OK) {
		struct feature_state state = { .number = "1001", .dnd = change.on, .forward = { "", "", "" } };

		assert(change.what <= FEATURE_DND && change.number[strspn(change.number, "0123456789*#+")] == '\0');
		if (change.what < FEATURE_FORWARDS)
			state.forward[change.what] = change.number;
		char *written = feature_event_write(&state);
		assert(written && strstr(written, change.number));
		free(written);
	}
	free(text);
	return 0;
}
