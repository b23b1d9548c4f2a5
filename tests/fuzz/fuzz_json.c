/* tests/fuzz/fuzz_json.c - a text of anything: it is refused with a place, or what is printed of it is read again and says the same */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct pbx_json *json, uint32_t level)
{
	assert(level <= 64);
	(void)core_json_integer(json, 0);
	(void)core_json_number(json, 0);
	(void)core_json_boolean(json, false);
	assert(core_json_type(json) != PBX_JSON_TEXT || core_json_text(json));
	for (const struct pbx_json *child = core_json_first(json); child; child = core_json_next(child)) {
		assert(core_json_type(json) == PBX_JSON_ARRAY || core_json_name(child));
		walk(child, level + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pbx_diag diag = { 0 };
	char *exact = malloc(size ? size : 1); /* so that a byte read beyond is seen */
	struct pbx_json *json, *again;
	char *first, *second;

	memcpy(exact, data, size);
	json = core_json_parse(exact, size, &diag);
	free(exact);
	assert(!json == !!diag.text[0]);
	if (!json)
		return 0;
	walk(json, 0);
	first = core_json_print(json);
	again = core_json_parse(first, strlen(first), &diag);
	assert(again);
	second = core_json_print(again);
	assert(strcmp(first, second) == 0);
	core_json_free_text(first);
	core_json_free_text(second);
	core_json_free(again);
	core_json_free(json);
	return 0;
}
