/* tests/fuzz/fuzz_pidf.c - a published document of anything; it says how somebody is, nothing, or cannot be read */
#include "presence.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size); /* as signalling hands it on: a text */
	uint32_t status = STATUS_COUNT + 1;

	assert(text);
	if (pidf_read(text, &status) == PBX_OK)
		assert(status <= STATUS_NONE);
	free(text);
	return 0;
}
