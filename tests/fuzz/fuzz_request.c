/* tests/fuzz/fuzz_request.c - a request of anything: method, path, query and body, or the words of a command, a line each */
#include "loop.h"
#include "log.h"
#include "owner_internal.h"
#include "request.h"
#include "json.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct core_owner owner;
static uint32_t answers;

static void on_ask(void *self, pbx_request request)
{
	static const char *const names[] = {
		"id", "text", "kind", "count", "flag", "list", "object", "objects", "when", "number", "query"
	};
	const struct pbx_requests *requests = &core_requests_service;

	(void)self;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *text = requests->text(request, names[i]);

		assert(!text || requests->has(request, names[i]));
		(void)requests->integer(request, names[i], 0);
		(void)core_json_count(requests->json(request, names[i]));
	}
	int64_t count = requests->integer(request, "count", 5);
	assert(count >= 1 && count <= 10); /* what the table promises */
	(void)requests->reply(request, 200, NULL);
}

static const struct pbx_arg args[] = {
	{ .name = "text", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 10 },
	{ .name = "kind", .type = PBX_TYPE_CHOICE, .choices = PBX_CHOICES("a", "b") },
	{ .name = "count", .type = PBX_TYPE_INT, .least = 1, .most = 10 },
	{ .name = "flag", .type = PBX_TYPE_BOOL },
	{ .name = "list", .type = PBX_TYPE_LIST },
	{ .name = "object", .type = PBX_TYPE_OBJECT },
	{ .name = "objects", .type = PBX_TYPE_OBJECTS },
	{ .name = "when", .type = PBX_TYPE_TIME },
	{ .name = "number", .type = PBX_TYPE_NUMBER },
	{ .name = "query", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY },
};
static const struct pbx_route routes[] = {
	{ "POST", "/a/{id}", on_ask, .args = PBX_TABLE(args) },
	{ "POST", "/a/{id}:b", on_ask, .args = PBX_TABLE(args) },
	{ "POST", "/a/{id}/{kind}/c", on_ask, .args = PBX_TABLE(args) },
	{ "PUT", "/raw", on_ask, .flags = PBX_ROUTE_RAW_BODY },
};
static const struct pbx_command commands[] = { { "a", on_ask, "", .args = PBX_TABLE(args) },
					       { "a b c", on_ask, "", .args = PBX_TABLE(args) } };

static void on_answer(void *context, uint32_t status, const char *type, const char *location, const char *body, size_t size)
{
	(void)context, (void)location, (void)body, (void)size;
	assert(status >= 200 && status < 600 && (status == 200 || type));
	answers++;
}

static const struct core_answer_sink sink = { .answer = on_answer };

static void init(void)
{
	static const struct pbx_table route_table = PBX_TABLE(routes), command_table = PBX_TABLE(commands);

	if (owner.name)
		return;
	if (core_loop_init(true) != PBX_OK || core_log_init() != PBX_OK || core_requests_init() != PBX_OK)
		abort();
	(void)core_log_set_level(NULL, 0, 0);
	core_owner_init(&owner, "fuzz", NULL);
	if (core_requests_declare(&owner.host, &route_table, &command_table, NULL) != PBX_OK)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct core_asker asker = { .actor = "", .own_account = "", .scopes = "*", .address = "local", .request_id = "" };
	const char *lines[12];
	uint32_t count = 0;
	pbx_request request;

	init();
	char *text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *rest = text, *line; count < 12 && (line = strsep(&rest, "\n")) != NULL;)
		lines[count++] = line;

	answers = 0;
	if (count > 4 && lines[0][0] != '/') {
		core_request_command(&asker, lines, count, &sink, NULL, &request);
	} else {
		const struct core_http_request http = {
			.method = count > 3 ? lines[3] : "POST",
			.path = lines[0],
			.query = count > 1 ? lines[1] : NULL,
			.body = count > 2 ? lines[2] : NULL,
			.body_size = count > 2 ? strlen(lines[2]) : 0,
		};

		core_request_http(&asker, &http, &sink, NULL, &request);
	}
	assert(answers == 1);
	free(text);
	return 0;
}
