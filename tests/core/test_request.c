/* tests/core/test_request.c - routes, commands, their arguments, and the one answer each request gets */
#include "../check_main.h"
#include "asking.h"
#include "log.h"
#include "loop.h"
#include "owner_internal.h"
#include "timer.h"
#include <check.h>

static const struct pbx_requests *const requests = &core_requests_service;
static struct core_owner books, rival, successor;
static struct answer answer;
static pbx_request kept;

/* ---- an owner with tables ------------------------------------------------------------- */

/* Says what it was given, so that a test sees what a handler sees. */
static void on_echo(void *self, pbx_request request)
{
	static const char *const names[] = { "id", "title", "kind", "shelf" };
	struct pbx_json *json = core_json_object();

	ck_assert_ptr_eq(self, &books);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (requests->has(request, names[i]))
			(void)core_json_set_text(json, names[i], requests->text(request, names[i]));
	if (requests->has(request, "pages"))
		(void)core_json_set_integer(json, "pages", requests->integer(request, "pages", -1));
	if (requests->has(request, "lent"))
		(void)core_json_set_boolean(json, "lent", requests->boolean(request, "lent", false));
	if (requests->has(request, "since"))
		(void)core_json_set_integer(json, "since", requests->integer(request, "since", -1));
	(void)core_json_set_integer(json, "authors", core_json_count(requests->json(request, "authors")));
	ck_assert_int_eq(requests->reply(request, 200, json), PBX_OK);
	ck_assert_int_eq(requests->reply(request, 200, NULL), PBX_ENOENT);
}

static void on_created(void *self, pbx_request request)
{
	(void)self;
	ck_assert_int_eq(requests->created(request, "/books/7", NULL), PBX_OK);
}

static void on_taken(void *self, pbx_request request)
{
	(void)self;
	ck_assert_int_eq(requests->fail(request, 409, "shelf_full", "shelf", "shelf %d is full", 3), PBX_OK);
}

static void on_keep(void *self, pbx_request request)
{
	(void)self;
	kept = request;
}

static void on_raw(void *self, pbx_request request)
{
	struct pbx_json *json = core_json_object();
	size_t size = 0;
	const char *raw = requests->raw(request, &size);

	(void)self;
	(void)core_json_set_text(json, "raw", raw);
	(void)core_json_set_integer(json, "size", (int64_t)size);
	ck_assert_int_eq(requests->reply(request, 200, json), PBX_OK);
}

static void on_pairs(void *self, pbx_request request)
{
	struct pbx_json *json = core_json_object();

	(void)self;
	(void)core_json_set(json, "notes", core_json_copy(requests->json(request, "notes")));
	(void)core_json_set_text(json, "kind", requests->text(request, "kind"));
	ck_assert_int_eq(requests->reply(request, 200, json), PBX_OK);
}

static uint32_t drained_count, gone_count;

static void on_drained(void *self, pbx_request request)
{
	(void)self;
	ck_assert_uint_eq(request.id, kept.id);
	drained_count++;
}

static void on_gone(void *self, pbx_request request)
{
	(void)self;
	ck_assert_uint_eq(request.id, kept.id);
	gone_count++;
}

static void on_stream(void *self, pbx_request request)
{
	kept = request;
	ck_assert_int_eq(requests->begin(request, "text/plain", on_drained, on_gone, self), PBX_OK);
	ck_assert_int_eq(requests->write(request, "one\n", 4), PBX_OK);
}

static const struct pbx_arg book_args[] = {
	{ .name = "title", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 20 },
	{ .name = "kind", .type = PBX_TYPE_CHOICE, .choices = PBX_CHOICES("novel", "poem") },
	{ .name = "pages", .type = PBX_TYPE_INT, .least = 1, .most = 5000 },
	{ .name = "lent", .type = PBX_TYPE_BOOL },
	{ .name = "authors", .type = PBX_TYPE_LIST },
	{ .name = "since", .type = PBX_TYPE_TIME },
	{ .name = "shelf", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_LINES },
};
static const struct pbx_arg find_args[] = {
	{ .name = "shelf", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY },
	{ .name = "pages", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY },
};
static const struct pbx_arg id_args[] = { { .name = "id", .type = PBX_TYPE_INT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 99 } };
static const struct pbx_arg rest_args[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED },
	{ .name = "title", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REST },
};
static const struct pbx_arg pairs_args[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED },
	{ .name = "kind", .type = PBX_TYPE_TEXT },
	{ .name = "notes", .type = PBX_TYPE_OBJECT, .flags = PBX_ARG_REST },
};
static const struct pbx_field book_fields[] = { { "title", PBX_TYPE_TEXT, "its title" }, { "pages", PBX_TYPE_INT, "how many" } };

static const struct pbx_route routes[] = {
	{ "GET", "/books", on_echo, .scope = "books:read", .summary = "Find books", .args = PBX_TABLE(find_args),
	  .reply = PBX_TABLE(book_fields) },
	{ "POST", "/books", on_echo, .scope = "books:write", .args = PBX_TABLE(book_args), .flags = PBX_ROUTE_WRITES },
	{ "GET", "/books/{id}", on_echo, .scope = "books:read", .args = PBX_TABLE(id_args) },
	{ "GET", "/books/newest", on_created },
	{ "POST", "/books/{id}:lend", on_taken, .args = PBX_TABLE(id_args) },
	{ "GET", "/shelves/{shelf}/books/{title}", on_echo },
	{ "GET", "/open", on_created, .flags = PBX_ROUTE_PUBLIC },
	{ "GET", "/slow", on_keep },
	{ "GET", "/long", on_stream },
	{ "PUT", "/cover", on_raw, .flags = PBX_ROUTE_RAW_BODY },
};
static const struct pbx_command commands[] = {
	{ "book", on_created, "" },
	{ "book add", on_echo, "Add a book", .args = PBX_TABLE(book_args), .columns = "title" },
	{ "book rename", on_echo, "Rename a book", .args = PBX_TABLE(rest_args) },
	{ "book note", on_pairs, "Notes about a book", .args = PBX_TABLE(pairs_args) },
	{ "shelf list", on_created, "Shelves" },
};
static const struct pbx_table route_table = PBX_TABLE(routes), command_table = PBX_TABLE(commands), none;

static void set_up(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	(void)core_log_set_level(NULL, PBX_LOG_ERROR, 0);
	ck_assert_int_eq(core_requests_init(), PBX_OK);
	core_owner_init(&books, "books", &books);
	core_owner_init(&rival, "rival", &rival);
	core_owner_init(&successor, "books", &books);
	ck_assert_int_eq(core_requests_declare(&books.host, &route_table, &command_table, NULL), PBX_OK);
}

static void tear_down(void)
{
	answer_clear(&answer);
	core_requests_undeclare(&books.host);
	core_requests_undeclare(&successor.host);
	core_owner_fini(&books);
	core_owner_fini(&rival);
	core_owner_fini(&successor);
	core_requests_fini();
	ck_assert_uint_eq(core_timer_count(), 0);
	core_loop_fini();
	core_log_fini();
}

/* ---- finding the route ---------------------------------------------------------------- */

START_TEST(the_more_literal_template_wins)
{
	ask(&answer, "GET", "/books/newest", NULL, NULL);
	ck_assert_uint_eq(answer.status, 201);
	ck_assert_str_eq(answer.location, "/books/7");

	ask(&answer, "GET", "/books/7", NULL, NULL);
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "id"), "7");
}
END_TEST

START_TEST(an_action_behind_a_name_is_its_own_route)
{
	ask(&answer, "POST", "/books/7:lend", NULL, NULL);
	ck_assert_uint_eq(answer.status, 409);
	ck_assert_str_eq(answer.type, "application/problem+json");
	ck_assert_str_eq(answer_at(&answer, "code"), "shelf_full");
	ck_assert_str_eq(answer_at(&answer, "type"), "/problems/shelf_full");
	ck_assert_str_eq(answer_at(&answer, "detail"), "shelf 3 is full");
	ck_assert_str_eq(answer_at(&answer, "errors.0.pointer"), "/shelf");
	ck_assert_str_eq(answer_at(&answer, "request_id"), "R1");
}
END_TEST

START_TEST(path_values_are_decoded_and_slashes_in_them_do_not_divide)
{
	ask(&answer, "GET", "/shelves/a%2Fb/books/caf%C3%A9%20noir", NULL, NULL);
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "shelf"), "a/b");
	ck_assert_str_eq(answer_at(&answer, "title"), "café noir");

	static const char *const broken[] = { "/shelves/%/books/x", "/shelves/%4/books/x", "/shelves/%zz/books/x", "/shelves/%00/books/x",
					      "/shelves/%ff/books/x" };
	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		ask(&answer, "GET", broken[i], NULL, NULL);
		ck_assert_uint_eq(answer.status, 400);
	}
}
END_TEST

START_TEST(unknown_paths_are_404_and_other_methods_405_with_allow)
{
	ask(&answer, "GET", "/nothing", NULL, NULL);
	ck_assert_uint_eq(answer.status, 404);
	ask(&answer, "GET", "/books/", NULL, NULL);
	ck_assert_uint_eq(answer.status, 404);
	ask(&answer, "DELETE", "/books", NULL, NULL);
	ck_assert_uint_eq(answer.status, 405);
	ck_assert(strstr(answer.allow, "GET") && strstr(answer.allow, "POST"));
	ask(&answer, "HEAD", "/books/7", NULL, NULL);
	ck_assert_uint_eq(answer.status, 200);
}
END_TEST

START_TEST(scopes_are_asked_for_before_arguments)
{
	struct core_asker asker = { .actor = "", .own_account = "", .scopes = NULL, .address = "192.0.2.7", .request_id = "R2" };

	ask_as(&answer, &asker, "GET", "/books/junk", NULL, NULL);
	ck_assert_uint_eq(answer.status, 401);
	ask_as(&answer, &asker, "GET", "/open", NULL, NULL);
	ck_assert_uint_eq(answer.status, 201);

	asker.scopes = "shelves:read books:writer";
	ask_as(&answer, &asker, "GET", "/books/junk", NULL, NULL);
	ck_assert_uint_eq(answer.status, 403);
	asker.scopes = "shelves:read books:read";
	ask_as(&answer, &asker, "GET", "/books/7", NULL, NULL);
	ck_assert_uint_eq(answer.status, 200);
	asker.scopes = "books:*";
	ask_as(&answer, &asker, "GET", "/books/7", NULL, NULL);
	ck_assert_uint_eq(answer.status, 200);
}
END_TEST

START_TEST(a_successor_may_have_the_same_routes_and_a_rival_may_not)
{
	ck_assert_int_eq(core_requests_declare(&rival.host, &route_table, &none, NULL), PBX_EEXIST);
	ck_assert_int_eq(core_requests_declare(&rival.host, &none, &command_table, NULL), PBX_EEXIST);
	ck_assert_int_eq(core_requests_declare(&successor.host, &route_table, &command_table, NULL), PBX_OK);
	core_requests_undeclare(&books.host);
	ask(&answer, "GET", "/books/7", NULL, NULL);
	ck_assert_uint_eq(answer.status, 200);
}
END_TEST

/* ---- arguments ------------------------------------------------------------------------ */

START_TEST(a_good_body_arrives_typed)
{
	ask(&answer, "POST", "/books", NULL,
	    "{\"title\":\"Emma\",\"kind\":\"novel\",\"pages\":474,\"lent\":true,\"authors\":[\"Jane\"],\"since\":\"1970-01-02T00:00:00.5+"
	    "01:00\"}");
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "title"), "Emma");
	ck_assert_str_eq(answer_at(&answer, "pages"), "474");
	ck_assert_str_eq(answer_at(&answer, "lent"), "true");
	ck_assert_str_eq(answer_at(&answer, "authors"), "1");
	ck_assert_int_eq(core_json_integer(core_json_get(answer.body, "since"), 0), 82800500000);
}
END_TEST

static const struct {
	const char *body;
	uint32_t status;
	const char *code, *pointer;
} bad_bodies[] = {
	{ "{\"title\":", 400, "malformed_json", "/" },
	{ "[1]", 400, "wrong_type", "/" },
	{ "{}", 400, "missing", "/title" },
	{ "{\"title\":null}", 400, "wrong_type", "/title" },
	{ "{\"title\":7}", 400, "wrong_type", "/title" },
	{ "{\"title\":\"\"}", 400, "out_of_range", "/title" },
	{ "{\"title\":\"aaaaaaaaaaaaaaaaaaaaa\"}", 400, "out_of_range", "/title" },
	{ "{\"title\":\"x\",\"kind\":\"essay\"}", 400, "invalid_value", "/kind" },
	{ "{\"title\":\"x\",\"pages\":0}", 400, "out_of_range", "/pages" },
	{ "{\"title\":\"x\",\"pages\":1.5}", 400, "wrong_type", "/pages" },
	{ "{\"title\":\"x\",\"pages\":\"12\"}", 400, "wrong_type", "/pages" },
	{ "{\"title\":\"x\",\"lent\":1}", 400, "wrong_type", "/lent" },
	{ "{\"title\":\"x\",\"authors\":[1]}", 400, "wrong_type", "/authors" },
	{ "{\"title\":\"x\\r\\nX: 1\"}", 400, "invalid_value", "/title" },
	{ "{\"title\":\"x\\u007f\"}", 400, "invalid_value", "/title" },
	{ "{\"title\":\"x\",\"authors\":[\"a\",\"b\\nc\"]}", 400, "invalid_value", "/authors" },
	{ "{\"title\":\"x\",\"since\":\"yesterday\"}", 400, "wrong_type", "/since" },
	{ "{\"title\":\"x\",\"page\":4}", 400, "unknown", "/page" },
	{ "{\"title\":\"x\",\"title\":\"y\"}", 400, "twice", "/title" },
};

START_TEST(where_lines_are_meant_they_arrive)
{
	ask(&answer, "POST", "/books", NULL, "{\"title\":\"x\",\"shelf\":\"one\\n\\ttwo\"}");
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "shelf"), "one\n\ttwo");
	ask(&answer, "GET", "/books", "shelf=a%0d%0aX:%201", NULL);
	ck_assert_uint_eq(answer.status, 400);
	ck_assert_str_eq(answer_at(&answer, "errors.0.in"), "query");
}
END_TEST

START_TEST(a_bad_body_is_refused_at_its_member)
{
	ask(&answer, "POST", "/books", NULL, bad_bodies[_i].body);
	ck_assert_uint_eq(answer.status, bad_bodies[_i].status);
	ck_assert_str_eq(answer_at(&answer, "code"), bad_bodies[_i].code);
	ck_assert_str_eq(answer_at(&answer, "errors.0.pointer"), bad_bodies[_i].pointer);
	ck_assert_str_eq(answer_at(&answer, "errors.0.in"), "body");
}
END_TEST

START_TEST(every_fault_of_a_body_is_told_at_once)
{
	ask(&answer, "POST", "/books", NULL, "{\"kind\":\"essay\",\"page\":1}");
	ck_assert_uint_eq(core_json_count(core_json_get(answer.body, "errors")), 3);
	ck_assert_ptr_nonnull(strstr(answer_at(&answer, "errors.1.detail"), "did you mean pages?"));
}
END_TEST

START_TEST(a_body_that_is_not_json_is_415)
{
	const char *name = "Content-Type", *value = "text/plain; charset=utf-8";
	const struct core_http_request http = { .method = "POST",
						.path = "/books",
						.body = "{}",
						.body_size = 2,
						.header_names = &name,
						.header_values = &value,
						.header_count = 1 };

	core_request_http(&asking_admin, &http, &asking_sink, &answer, &answer.request);
	ck_assert_uint_eq(answer.status, 415);
}
END_TEST

START_TEST(a_query_is_decoded_checked_and_nothing_else_is_taken)
{
	ask(&answer, "GET", "/books", "shelf=a+b%26c&pages=3", NULL);
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "shelf"), "a b&c");
	ck_assert_str_eq(answer_at(&answer, "pages"), "3");

	static const char *const bad[] = { "shelv=x", "pages=many", "pages=", "shelf=a&shelf=b", "shelf=%", "pages=99999999999999999999" };
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		ask(&answer, "GET", "/books", bad[i], NULL);
		ck_assert_uint_eq(answer.status, 400);
		ck_assert_str_eq(answer_at(&answer, "errors.0.in"), "query");
	}
	ask(&answer, "GET", "/books/100", NULL, NULL);
	ck_assert_uint_eq(answer.status, 400);
}
END_TEST

START_TEST(a_raw_body_reaches_the_handler_untouched)
{
	ask(&answer, "PUT", "/cover", NULL, "not { JSON");
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "raw"), "not { JSON");
	ck_assert_str_eq(answer_at(&answer, "size"), "10");
}
END_TEST

/* ---- answering ------------------------------------------------------------------------ */

START_TEST(silence_for_30_seconds_is_answered_for_the_handler)
{
	ask(&answer, "GET", "/slow", NULL, NULL);
	core_loop_pass_ms(29999);
	ck_assert_uint_eq(answer.status, 0);
	core_loop_pass_ms(1);
	ck_assert_uint_eq(answer.status, 504);
	ck_assert_int_eq(requests->reply(kept, 200, NULL), PBX_ENOENT);
}
END_TEST

START_TEST(an_answer_to_somebody_who_left_is_lost_quietly)
{
	ask(&answer, "GET", "/slow", NULL, NULL);
	core_request_gone(answer.request);
	ck_assert_int_eq(requests->reply(kept, 200, core_json_object()), PBX_ENOENT);
	ck_assert_uint_eq(answer.status, 0);
}
END_TEST

START_TEST(a_stopped_owner_answers_503_and_ends_its_streams)
{
	struct answer other = { 0 };

	ask(&answer, "GET", "/slow", NULL, NULL);
	ask(&other, "GET", "/long", NULL, NULL);
	core_owner_revoke_all(&books);
	ck_assert_uint_eq(answer.status, 503);
	ck_assert(other.ended);
}
END_TEST

START_TEST(an_open_request_holds_its_owner_and_a_stream_does_not)
{
	struct answer other = { 0 };
	char text[64];

	ask(&answer, "GET", "/slow", NULL, NULL);
	ask(&other, "GET", "/long", NULL, NULL);
	ck_assert_uint_eq(core_owner_holds(&books, text, sizeof text), 1);
	ck_assert_str_eq(text, "1 request");
	core_request_gone(answer.request);
	core_request_gone(other.request);
}
END_TEST

START_TEST(a_stream_waits_for_a_slow_reader_and_hears_it_leave)
{
	ask(&answer, "GET", "/long", NULL, NULL);
	ck_assert(answer.began);
	answer.is_busy = true;
	ck_assert_int_eq(requests->write(kept, "two\n", 4), PBX_EBUSY);
	answer.is_busy = false;
	core_request_drained(kept);
	ck_assert_uint_eq(drained_count, 1);
	ck_assert_int_eq(requests->write(kept, "two\n", 4), PBX_OK);
	ck_assert_uint_eq(answer.stream_size, 8);
	ck_assert_int_eq(requests->reply(kept, 200, NULL), PBX_ENOENT);
	core_loop_pass_ms(60000);
	ck_assert(!answer.ended);
	core_request_gone(kept);
	ck_assert_uint_eq(gone_count, 1);
	ck_assert_int_eq(requests->write(kept, "three\n", 6), PBX_ENOENT);
	ck_assert_int_eq(requests->end(kept), PBX_ENOENT);
}
END_TEST

/* ---- commands ------------------------------------------------------------------------- */

START_TEST(the_longest_command_is_meant)
{
	tell(&answer, "book");
	ck_assert_uint_eq(answer.status, 201);
	tell(&answer, "book add Emma");
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "title"), "Emma");
}
END_TEST

START_TEST(arguments_come_by_place_and_by_name)
{
	tell(&answer, "book add pages=12 Emma --kind poem --lent --authors=a,b,c");
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "title"), "Emma");
	ck_assert_str_eq(answer_at(&answer, "kind"), "poem");
	ck_assert_str_eq(answer_at(&answer, "pages"), "12");
	ck_assert_str_eq(answer_at(&answer, "lent"), "true");
	ck_assert_str_eq(answer_at(&answer, "authors"), "3");

	tell(&answer, "book rename 7 Pride and x=y");
	ck_assert_str_eq(answer_at(&answer, "title"), "Pride and x=y");
	tell(&answer, "book rename -- --odd title");
	ck_assert_str_eq(answer_at(&answer, "id"), "--odd");
}
END_TEST

START_TEST(an_object_is_typed_as_pairs_whose_names_are_the_users_own)
{
	tell(&answer, "book note 7 novel mood=good id=8 kind=mine a=b=c");
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_at(&answer, "kind"), "novel");
	ck_assert_str_eq(answer_at(&answer, "notes.id"), "8");
	ck_assert_str_eq(answer_at(&answer, "notes.kind"), "mine"); /* it has been said in its place */
	ck_assert_str_eq(answer_at(&answer, "notes.a"), "b=c");
	tell(&answer, "book note 7 kind=novel mood=good");
	ck_assert_str_eq(answer_at(&answer, "kind"), "novel");
	ck_assert_str_eq(answer_at(&answer, "notes.mood"), "good");
	tell(&answer, "book note 7 novel {\"mood\":5}");
	ck_assert_str_eq(answer_at(&answer, "notes.mood"), "5");
	tell(&answer, "book note 7 novel");
	ck_assert_uint_eq(answer.status, 200);
}
END_TEST

static const struct {
	const char *line;
	uint32_t status;
	const char *says;
} bad_lines[] = {
	{ "book note 7 novel kind=x good", 400,
	  "\"good\" is not of the form name=value; usage: pbxctl book note ID [kind=…] [NAME=VALUE…]" },
	{ "book note 7 novel =x", 400, "is not of the form name=value" },
	{ "book note 7 novel {", 400, "expected an object" },
	{ "book note 7 novel {} more=1", 400, "is too much" },
	{ "book add", 400, "title: is missing; usage: pbxctl book add TITLE" },
	{ "book add Emma essay", 400, "is not one of novel, poem" },
	{ "book add Emma --pags 3", 400, "did you mean --pages?" },
	{ "book add Emma --pages", 400, "needs a value" },
	{ "book add Emma novel 3 no a 2026-01-01 A1 eighth", 400, "is too much" },
	{ "book ad Emma", 400, "is too much" },
	{ "shelf", 400, "shelf what? list" },
	{ "shelf lst", 404, "did you mean \"shelf list\"?" },
	{ "xyzzy", 404, "`help` lists them" },
	{ "", 404, "help" },
};

START_TEST(a_bad_line_says_what_would_be_right)
{
	tell(&answer, bad_lines[_i].line);
	ck_assert_uint_eq(answer.status, bad_lines[_i].status);
	ck_assert_msg(strstr(answer_at(&answer, "detail"), bad_lines[_i].says) != NULL, "%s", answer_at(&answer, "detail"));
}
END_TEST

START_TEST(commands_are_for_administrators)
{
	const char *words[] = { "shelf", "list" };
	const struct core_asker asker = {
		.actor = "1001", .own_account = "1001", .scopes = "books:read", .address = "local", .request_id = "R3"
	};

	core_request_command(&asker, words, 2, &asking_sink, &answer, &answer.request);
	ck_assert_uint_eq(answer.status, 403);
}
END_TEST

START_TEST(help_is_made_from_the_table)
{
	AUTO(json) struct pbx_json *list = core_requests_commands();

	ck_assert_uint_eq(core_json_count(list), 5);
	answer.body = core_json_copy(list);
	ck_assert_str_eq(answer_at(&answer, "3.words"), "book add");
	ck_assert_str_eq(answer_at(&answer, "3.owner"), "books");
	ck_assert_str_eq(answer_at(&answer, "3.args.1.choices.1"), "poem");
	ck_assert_str_eq(answer_at(&answer, "3.args.0.required"), "true");
}
END_TEST

/* ---- the document --------------------------------------------------------------------- */

START_TEST(openapi_says_what_the_rows_say)
{
	AUTO(json) struct pbx_json *document = core_requests_openapi();
	const struct pbx_json *paths = core_json_get(document, "paths");
	const struct pbx_json *find = core_json_get(core_json_get(paths, "/books"), "get");
	const struct pbx_json *add = core_json_get(core_json_get(paths, "/books"), "post");
	const struct pbx_json *lend = core_json_get(core_json_get(paths, "/books/{id}:lend"), "post");

	ck_assert_str_eq(core_json_text(core_json_get(document, "openapi")), "3.1.0");
	ck_assert_uint_eq(core_json_count(paths), 9);
	ck_assert_str_eq(core_json_text(core_json_get(find, "x-scope")), "books:read");
	ck_assert_uint_eq(core_json_count(core_json_get(find, "parameters")), 2 + 6); /* and what every list understands */
	ck_assert_ptr_null(core_json_get(find, "requestBody"));

	const struct pbx_json *body =
		core_json_get(core_json_get(core_json_get(core_json_get(add, "requestBody"), "content"), "application/json"), "schema");
	const struct pbx_json *pages = core_json_get(core_json_get(body, "properties"), "pages");
	ck_assert_int_eq(core_json_integer(core_json_get(pages, "maximum"), 0), 5000);
	ck_assert_str_eq(core_json_text(core_json_at(core_json_get(body, "required"), 0)), "title");
	ck_assert_uint_eq(core_json_count(core_json_get(body, "required")), 1);

	const struct pbx_json *id = core_json_at(core_json_get(lend, "parameters"), 0);
	ck_assert_str_eq(core_json_text(core_json_get(id, "in")), "path");
	ck_assert(core_json_boolean(core_json_get(id, "required"), false));
	ck_assert_ptr_nonnull(core_json_get(core_json_get(lend, "responses"), "default"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("request");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, the_more_literal_template_wins);
	tcase_add_test(all, an_action_behind_a_name_is_its_own_route);
	tcase_add_test(all, path_values_are_decoded_and_slashes_in_them_do_not_divide);
	tcase_add_test(all, unknown_paths_are_404_and_other_methods_405_with_allow);
	tcase_add_test(all, scopes_are_asked_for_before_arguments);
	tcase_add_test(all, a_successor_may_have_the_same_routes_and_a_rival_may_not);
	tcase_add_test(all, a_good_body_arrives_typed);
	tcase_add_test(all, where_lines_are_meant_they_arrive);
	tcase_add_loop_test(all, a_bad_body_is_refused_at_its_member, 0, sizeof bad_bodies / sizeof bad_bodies[0]);
	tcase_add_test(all, every_fault_of_a_body_is_told_at_once);
	tcase_add_test(all, a_body_that_is_not_json_is_415);
	tcase_add_test(all, a_query_is_decoded_checked_and_nothing_else_is_taken);
	tcase_add_test(all, a_raw_body_reaches_the_handler_untouched);
	tcase_add_test(all, silence_for_30_seconds_is_answered_for_the_handler);
	tcase_add_test(all, an_answer_to_somebody_who_left_is_lost_quietly);
	tcase_add_test(all, a_stopped_owner_answers_503_and_ends_its_streams);
	tcase_add_test(all, an_open_request_holds_its_owner_and_a_stream_does_not);
	tcase_add_test(all, a_stream_waits_for_a_slow_reader_and_hears_it_leave);
	tcase_add_test(all, the_longest_command_is_meant);
	tcase_add_test(all, arguments_come_by_place_and_by_name);
	tcase_add_test(all, an_object_is_typed_as_pairs_whose_names_are_the_users_own);
	tcase_add_loop_test(all, a_bad_line_says_what_would_be_right, 0, sizeof bad_lines / sizeof bad_lines[0]);
	tcase_add_test(all, commands_are_for_administrators);
	tcase_add_test(all, help_is_made_from_the_table);
	tcase_add_test(all, openapi_says_what_the_rows_say);
	suite_add_tcase(suite, all);

	return check_run(suite);
}
