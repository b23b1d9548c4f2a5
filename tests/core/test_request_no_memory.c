/* tests/core/test_request_no_memory.c - requests when memory runs out: each allocation fails in turn
 *
 * Whoever asks gets one answer whatever fails: the one there would have been, or that there is no memory. Nothing is left of the request. */
#include "../check_main.h"
#include "../failing_memory.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "owner_internal.h"
#include "request.h"
#include "timer.h"
#include <cjson/cJSON.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#undef fail /* a macro of check.h, and a member of struct pbx_requests */

static int allocations_left = INT32_MAX; /* then one fails */
static bool has_failed;

static bool is_granted(void)
{
	if (allocations_left-- != 0)
		return true;
	has_failed = true;
	return false;
}

static const struct pbx_requests *const requests = &core_requests_service;
static struct core_owner books;

/* ---- an owner with tables ------------------------------------------------------------- */

static void on_books(void *self, pbx_request request)
{
	struct pbx_json *items = core_json_array(), *json = core_json_object();

	(void)self;
	for (int i = 0; i < 5; i++) {
		struct pbx_json *item = core_json_object();

		(void)core_json_set_integer(item, "id", 5 - i);
		(void)core_json_set_text(item, "title", requests->has(request, "title") ? requests->text(request, "title") : "Emma");
		(void)core_json_append(items, item);
	}
	(void)core_json_set(json, "items", items);
	(void)requests->reply(request, 200, json);
}

static void on_refused(void *self, pbx_request request)
{
	(void)self;
	(void)requests->fail(request, 409, "shelf_full", "shelf", "shelf %d is full", 3);
}

static void on_stream(void *self, pbx_request request)
{
	if (requests->begin(request, "text/plain", NULL, NULL, self) != PBX_OK)
		return; /* the request answers for itself */
	(void)requests->write(request, "one\n", 4);
	(void)requests->end(request);
}

static const struct pbx_arg args[] = {
	{ .name = "title", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 20 },
	{ .name = "authors", .type = PBX_TYPE_LIST },
};
static const struct pbx_field fields[] = { { "id", PBX_TYPE_INT, "its number" }, { "title", PBX_TYPE_TEXT, "its title" } };
static const struct pbx_route routes[] = {
	{ "GET", "/books", on_books, .reply = PBX_TABLE(fields) },
	{ "POST", "/books", on_books, .args = PBX_TABLE(args), .flags = PBX_ROUTE_WRITES },
	{ "POST", "/books/{title}:lend", on_refused },
	{ "GET", "/long", on_stream },
};
static const struct pbx_command commands[] = { { "book add", on_books, "Add a book", .args = PBX_TABLE(args) } };
static const struct pbx_table route_table = PBX_TABLE(routes), command_table = PBX_TABLE(commands);

/* ---- who asks: reads nothing, which would take memory ----------------------------------- */

struct heard {
	uint32_t status, answers; /* answers: whole ones, and ends of long ones */
	bool began;
};

static void heard_answer(void *context, uint32_t status, const char *content_type, const char *location, const char *body, size_t size)
{
	struct heard *heard = context;

	(void)content_type, (void)location, (void)body, (void)size;
	heard->status = status;
	heard->answers++;
}

static void heard_begin(void *context, const char *content_type)
{
	(void)content_type;
	((struct heard *)context)->began = true;
}

static int heard_write(void *context, const char *data, size_t size)
{
	(void)context, (void)data, (void)size;
	return PBX_OK;
}

static void heard_end(void *context)
{
	((struct heard *)context)->answers++;
}

static const struct core_answer_sink sink = { .answer = heard_answer, .begin = heard_begin, .write = heard_write, .end = heard_end };
static const struct core_asker admin = { .actor = "root@local", .own_account = "", .scopes = "*", .address = "local", .request_id = "R1" };

/* ---- asking ---------------------------------------------------------------------------- */

static const struct question {
	const char *method, *path, *query, *body; /* method NULL: a command line in path */
	uint32_t status;                          /* with memory; 0: a stream */
} questions[] = {
	{ "GET", "/books", NULL, NULL, 200 },
	{ "GET", "/books", "limit=2&sort=id&fields=id", NULL, 200 },
	{ "POST", "/books", NULL, "{\"title\":\"Emma\",\"authors\":[\"Jane\"]}", 200 },
	{ "POST", "/books", NULL, "{\"authors\":7,\"page\":1}", 400 },
	{ "POST", "/books", NULL, "{\"title\":", 400 },
	{ "POST", "/books/Emma:lend", NULL, NULL, 409 },
	{ "GET", "/nothing", NULL, NULL, 404 },
	{ "GET", "/long", NULL, NULL, 0 },
	{ NULL, "book add Emma", NULL, NULL, 200 },
	{ NULL, "book burn Emma", NULL, NULL, 404 },
};

/* Asks with so many allocations. True: none failed. */
static bool ask_with_memory_for(int allocations, const struct question *question)
{
	struct heard heard = { 0 };
	pbx_request request;
	const char *words[] = { "book", question->path[5] == 'a' ? "add" : "burn", "Emma" };
	const struct core_http_request http = { .method = question->method,
						.path = question->path,
						.query = question->query,
						.body = question->body,
						.body_size = question->body ? strlen(question->body) : 0 };

	has_failed = false;
	allocations_left = allocations;
	if (question->method)
		core_request_http(&admin, &http, &sink, &heard, &request);
	else
		core_request_command(&admin, words, 3, &sink, &heard, &request);
	for (int i = 0; i < 4; i++)
		core_loop_step();
	allocations_left = INT32_MAX;
	core_loop_pass_ms(40000); /* what a handler could not say is said for it */
	ck_assert_msg(heard.answers == 1, "%s with %d allocations: %u answers", question->path, allocations, heard.answers);
	bool is_right = question->status ? heard.status == question->status : heard.began;
	bool is_excused =
		has_failed && (heard.status >= 500 || (question->body && heard.status == 400)); /* cJSON does not say why it gave up */
	ck_assert_msg(is_right || is_excused, "%s with %d allocations: %u", question->path, allocations, heard.status);
	return !has_failed;
}

START_TEST(whoever_asks_gets_one_answer_whatever_fails)
{
	cJSON_InitHooks(&(cJSON_Hooks){ __wrap_malloc, free });
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	(void)core_log_set_level(NULL, PBX_LOG_ERROR, 0);
	ck_assert_int_eq(core_requests_init(), PBX_OK);
	core_owner_init(&books, "books", &books);
	ck_assert_int_eq(core_requests_declare(&books.host, &route_table, &command_table, NULL), PBX_OK);
	for (int allocations = 0; !ask_with_memory_for(allocations, &questions[_i]);)
		ck_assert_int_lt(++allocations, 2000);
	core_requests_undeclare(&books.host);
	core_owner_fini(&books);
	core_requests_fini();
	ck_assert_uint_eq(core_timer_count(), 0);
	core_loop_fini();
	core_log_fini();
	cJSON_InitHooks(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("request_no_memory");
	TCase *all = tcase_create("request_no_memory");

	tcase_add_loop_test(all, whoever_asks_gets_one_answer_whatever_fails, 0, sizeof questions / sizeof questions[0]);
	tcase_set_timeout(all, 60);
	suite_add_tcase(suite, all);
	return check_run(suite);
}
