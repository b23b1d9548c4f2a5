/* tests/fake/asking.c - commands, REST requests and JSON for tests: what pbxctl and the gateway would get */
#include "fake_internal.h"
#include "json.h"
#include "request.h"
#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 32

static struct {
	uint32_t status;
	char content_type[80];
	char *body;
	size_t size;
	FILE *writing;
	bool answered;
} answer;

static void begin(const char *content_type, uint32_t status)
{
	ck_assert_msg(!answer.answered, "a request was answered twice");
	answer.status = status;
	(void)snprintf(answer.content_type, sizeof answer.content_type, "%s", content_type ? content_type : "");
}

static int put(const char *data, size_t size)
{
	return !size || fwrite(data, 1, size, answer.writing) == size ? PBX_OK : PBX_ENOMEM;
}

static void on_answer(void *context, uint32_t status, const char *content_type, const char *location, const char *body, size_t size)
{
	(void)context, (void)location;
	begin(content_type, status);
	ck_assert_int_eq(put(body, size), PBX_OK);
	answer.answered = true;
}

static void on_begin(void *context, const char *content_type)
{
	(void)context;
	begin(content_type, 200);
}

static int on_write(void *context, const char *data, size_t size)
{
	(void)context;
	return put(data, size);
}

static void on_end(void *context)
{
	(void)context;
	answer.answered = true;
}

static const struct core_answer_sink sink = { .answer = on_answer, .begin = on_begin, .write = on_write, .end = on_end };

static void await_answer(void)
{
	answer.answered = false;
	answer.status = 0;
	answer.writing = open_memstream(&answer.body, &answer.size);
	ck_assert_ptr_nonnull(answer.writing);
}

static const char *take_answer(struct fake_pbx *pbx, const char *asked)
{
	fake_settle(pbx);
	ck_assert_int_eq(fclose(answer.writing), 0);
	ck_assert_msg(answer.answered, "%s: no answer yet", asked);
	return fake_keep(TAKE(answer.body));
}

/* Splits a line into words; '…' and "…" hold a word together. Cuts the line up. */
static uint32_t split(char *line, const char **ret_words)
{
	uint32_t count = 0;

	for (char *at = line + strspn(line, " "); *at; at += strspn(at, " ")) {
		char quote = *at == '\'' || *at == '"' ? *at++ : ' ';
		char *end = strchr(at, quote);

		ck_assert_uint_lt(count, MOST_WORDS);
		ret_words[count++] = at;
		if (!end)
			break;
		*end = '\0';
		at = end + 1;
	}
	return count;
}

const char *fake_command(struct fake_pbx *pbx, const char *line)
{
	static const struct core_asker root = {
		.actor = "root@local", .own_account = "", .scopes = "*", .address = "local", .request_id = "fake"
	};
	char *copy = strdup(line);
	const char *words[MOST_WORDS];
	pbx_request request;

	ck_assert_ptr_nonnull(copy);
	await_answer();
	core_request_command(&root, words, split(copy, words), &sink, NULL, &request);
	free(copy);
	return take_answer(pbx, line);
}

const char *fake_http_as(struct fake_pbx *pbx, const char *actor, const char *scopes, const char *own_account, const char *method,
			 const char *path, const char *body)
{
	static const char *const names[] = { "Content-Type" }, *const values[] = { "application/json" };
	const struct core_asker asker = {
		.actor = actor, .own_account = own_account, .scopes = scopes, .address = "192.0.2.7", .request_id = "fake"
	};
	const char *query = strchr(path, '?');
	const struct core_http_request http = {
		.method = method,
		.path = fake_format("%.*s", (int)(query ? query - path : (long)strlen(path)), path),
		.query = query ? query + 1 : "",
		.header_names = names,
		.header_values = values,
		.header_count = body ? 1 : 0,
		.body = body ? body : "",
		.body_size = body ? strlen(body) : 0,
	};
	pbx_request request;

	await_answer();
	core_request_http(&asker, &http, &sink, NULL, &request);
	return take_answer(pbx, path);
}

const char *fake_http(struct fake_pbx *pbx, const char *method, const char *path, const char *body)
{
	return fake_http_as(pbx, "admin", "*", "", method, path, body);
}

uint32_t fake_status(struct fake_pbx *pbx)
{
	(void)pbx;
	return answer.status;
}

const char *fake_content_type(struct fake_pbx *pbx)
{
	(void)pbx;
	return answer.content_type;
}

/* A step of a path: a member's name, or a place in a list. */
static const struct pbx_json *step(const struct pbx_json *json, const char *name)
{
	return core_json_type(json) == PBX_JSON_ARRAY ? core_json_at(json, (uint32_t)strtoul(name, NULL, 10)) : core_json_get(json, name);
}

const char *fake_json(struct fake_pbx *pbx, const char *json, const char *path)
{
	struct pbx_diag diag;
	struct pbx_json *tree = core_json_parse(json, strlen(json), &diag);
	const struct pbx_json *at = tree;
	char name[128];

	(void)pbx;
	ck_assert_msg(tree != NULL, "not JSON: %s: %s", diag.text, json);
	while (*path && at) {
		size_t length = strcspn(path, ".");

		(void)snprintf(name, sizeof name, "%.*s", (int)length, path);
		at = step(at, name);
		path += length + (path[length] == '.');
	}

	const char *text = core_json_text(at);
	const char *result = !at ? NULL : text ? fake_format("%s", text) : fake_keep(core_json_print(at));
	core_json_free(tree);
	return result;
}
