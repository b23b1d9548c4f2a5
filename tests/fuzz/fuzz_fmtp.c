/* tests/fuzz/fuzz_fmtp.c - parameters of a codec as an offer may have them, asked for by any name, and written again: never beyond the room there is.
 * First line: a name; the rest: the parameters. */
#include <assert.h>
#include <stdarg.h>
#include <pbx/codec.h>
#include <pbx/fmtp.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), *fmtp = text ? strchr(text, '\n') : NULL, said[PBX_CODEC_FMTP_BYTES] = "";

	assert(text);
	if (fmtp)
		*fmtp++ = '\0';
	for (size_t room = 1; room < 40; room += 13) { /* of exactly this size, so that ASan sees one more */
		char *value = malloc(room);

		assert(value);
		bool found = pbx_fmtp_text(fmtp, text, value, room);
		assert(strlen(value) < room && (found || !value[0]));
		if (found)
			(void)pbx_fmtp_add(said, sizeof said, "%s=%s", text, value);
		assert(strlen(said) < sizeof said);
		free(value);
	}
	uint32_t number = pbx_fmtp_number(fmtp, text, 5, 5000, 7);

	assert(number >= 5 && number <= 5000);
	free(text);
	return 0;
}
