/* tests/core/asking.h - a test's side of a request: asks, and keeps what comes back */
#pragma once
#include "json_auto.h"
#include "request.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

#undef fail /* a macro of check.h, and a member of struct pbx_requests */

struct answer {
	uint32_t status; /* 0: not yet */
	char type[64], location[128], allow[64], etag[64], link[256];
	struct pbx_json *body; /* NULL: none, or not JSON */
	char stream[4096];
	size_t stream_size;
	bool began, ended, is_busy; /* is_busy: the sink takes no more */
	pbx_request request;
};

static void asking_answer(void *context, uint32_t status, const char *content_type, const char *location, const char *body, size_t size)
{
	struct answer *answer = context;

	ck_assert_msg(!answer->status, "answered twice");
	answer->status = status;
	(void)snprintf(answer->type, sizeof answer->type, "%s", content_type ? content_type : "");
	(void)snprintf(answer->location, sizeof answer->location, "%s", location ? location : "");
	if (size) {
		answer->body = core_json_parse(body, size, NULL);
		ck_assert_msg(answer->body != NULL, "not JSON: %.*s", (int)size, body);
	}
}

static void asking_begin(void *context, const char *content_type)
{
	struct answer *answer = context;

	answer->began = true;
	(void)snprintf(answer->type, sizeof answer->type, "%s", content_type);
}

static int asking_write(void *context, const char *data, size_t size)
{
	struct answer *answer = context;

	if (answer->is_busy)
		return PBX_EBUSY;
	ck_assert_uint_lt(answer->stream_size + size, sizeof answer->stream);
	memcpy(answer->stream + answer->stream_size, data, size);
	answer->stream_size += size;
	return PBX_OK;
}

static void asking_end(void *context)
{
	struct answer *answer = context;

	ck_assert(answer->began && !answer->ended);
	answer->ended = true;
}

static void asking_header(void *context, const char *name, const char *value)
{
	struct answer *answer = context;

	if (!strcmp(name, "Allow"))
		(void)snprintf(answer->allow, sizeof answer->allow, "%s", value);
	if (!strcmp(name, "ETag"))
		(void)snprintf(answer->etag, sizeof answer->etag, "%s", value);
	if (!strcmp(name, "Link"))
		(void)snprintf(answer->link, sizeof answer->link, "%s", value);
}

static const struct core_answer_sink asking_sink = { asking_answer, asking_begin, asking_write, asking_end, asking_header };
static const struct core_asker asking_admin = {
	.actor = "root@local", .own_account = "", .scopes = "*", .address = "local", .request_id = "R1"
};

/* Forgets the last answer. */
static inline void answer_clear(struct answer *answer)
{
	core_json_free(answer->body);
	*answer = (struct answer){ 0 };
}

static inline void ask_as(struct answer *answer, const struct core_asker *asker, const char *method, const char *path, const char *query,
			  const char *body)
{
	const struct core_http_request http = {
		.method = method,
		.path = path,
		.query = query,
		.body = body,
		.body_size = body ? strlen(body) : 0,
	};

	answer_clear(answer);
	core_request_http(asker, &http, &asking_sink, answer, &answer->request);
}

static inline void ask(struct answer *answer, const char *method, const char *path, const char *query, const char *body)
{
	ask_as(answer, &asking_admin, method, path, query, body);
}

/* With one header. */
static inline void ask_with(struct answer *answer, const char *method, const char *path, const char *name, const char *value,
			    const char *body)
{
	const struct core_http_request http = {
		.method = method,
		.path = path,
		.query = "",
		.header_names = &name,
		.header_values = &value,
		.header_count = 1,
		.body = body,
		.body_size = body ? strlen(body) : 0,
	};

	answer_clear(answer);
	core_request_http(&asking_admin, &http, &asking_sink, answer, &answer->request);
}

/* line: words between single spaces. */
static inline void tell(struct answer *answer, const char *line)
{
	const char *words[16];
	uint32_t count = 0;
	char *copy = strdup(line), *rest = copy;

	ck_assert(copy);
	for (char *word; (word = strsep(&rest, " ")) != NULL && count < 16;)
		words[count++] = word;
	answer_clear(answer);
	core_request_command(&asking_admin, words, count, &asking_sink, answer, &answer->request);
	free(copy);
}

/* The text, or number as text, at "a.b.0.c" of the answer; "" when not there. */
static inline const char *answer_at(const struct answer *answer, const char *path)
{
	static char number[32];
	const struct pbx_json *json = answer->body;
	char *copy = strdup(path), *rest = copy;

	ck_assert(copy);
	for (char *step; (step = strsep(&rest, ".")) != NULL;)
		json = core_json_type(json) == PBX_JSON_ARRAY ? core_json_at(json, (uint32_t)atoi(step)) : core_json_get(json, step);
	free(copy);
	if (core_json_type(json) == PBX_JSON_NUMBER) {
		(void)snprintf(number, sizeof number, "%g", core_json_number(json, 0));
		return number;
	}
	if (core_json_type(json) == PBX_JSON_BOOL)
		return core_json_boolean(json, false) ? "true" : "false";
	return core_json_text(json) ? core_json_text(json) : "";
}
