/* event_wish.c - what the client of an event stream by WebSocket may say: {"types": ["call.*", "registration.added"]} */
#include "event_wish.h"

#include <string.h>

#include "auto.h"
#include "json.h"

#define STATUS_NO_JSON 1007u /* RFC 6455 7.4.1: not what a text frame is to hold here */
#define STATUS_REFUSED 1008u

static uint32_t refuse(uint32_t status, const char *why, const char **ret_why)
{
	*ret_why = why;
	return status;
}

/* A comma would make two of one. */
static uint32_t add_type(const char *type, char ret_topics[EVENT_TOPICS_SIZE], const char **ret_why)
{
	size_t used = strlen(ret_topics), length = type ? strlen(type) : 0;

	if (length == 0 || strchr(type, ','))
		return refuse(STATUS_REFUSED, "expected event types as call.* or registration.added", ret_why);
	if (used + (used > 0) + length >= EVENT_TOPICS_SIZE)
		return refuse(STATUS_REFUSED, "types may have 512 characters together", ret_why);
	if (used > 0)
		ret_topics[used++] = ',';
	memcpy(ret_topics + used, type, length + 1);
	return 0;
}

static uint32_t read_types(const struct pbx_json *wish, char ret_topics[EVENT_TOPICS_SIZE], const char **ret_why)
{
	const struct pbx_json *types = core_json_get(wish, "types");
	uint32_t status = 0;

	ret_topics[0] = '\0';
	if (core_json_type(types) != PBX_JSON_ARRAY || core_json_count(types) == 0 || core_json_count(wish) != 1)
		return refuse(STATUS_REFUSED, "expected {\"types\": [\"call.*\"]} and nothing else", ret_why);
	for (const struct pbx_json *type = core_json_first(types); type && status == 0; type = core_json_next(type))
		status = add_type(core_json_text(type), ret_topics, ret_why);
	return status;
}

uint32_t event_wish_read(const char *text, size_t size, char ret_topics[EVENT_TOPICS_SIZE], const char **ret_why)
{
	struct pbx_diag diag = { 0 };
	struct pbx_json *wish = core_json_parse(text, size, &diag);
	uint32_t status = wish ? read_types(wish, ret_topics, ret_why)
			       : refuse(STATUS_NO_JSON, "this is no JSON: expected {\"types\": [\"call.*\"]}", ret_why);

	core_json_free(wish);
	return status;
}
