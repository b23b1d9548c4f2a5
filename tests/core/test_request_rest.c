/* tests/core/test_request_rest.c - what REST promises of every route: ETags, pieces of lists, changes that take turns */
#include "../check_main.h"
#include "asking.h"
#include "log.h"
#include "loop.h"
#include "owner_internal.h"
#include <check.h>

static const struct pbx_requests *const requests = &core_requests_service;
static struct core_owner house;
static struct answer answer, other;

/* ---- an owner without a line of code for any of it ----------------------------------------------- */

static char colour[32];
static pbx_request kept[4];
static uint32_t kept_count;

static void on_rooms(void *self, pbx_request request)
{
	struct pbx_json *items = core_json_array(), *json = core_json_object();
	static const struct {
		const char *name;
		int beds;
	} rooms[] = { { "blue", 2 }, { "attic", 1 }, { "cellar", 4 }, { "den", 2 }, { "e&f", 0 } };

	(void)self;
	for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
		struct pbx_json *item = core_json_object();

		(void)core_json_set_text(item, "name", rooms[i].name);
		if (rooms[i].beds)
			(void)core_json_set_integer(item, "beds", rooms[i].beds);
		(void)core_json_append(items, item);
	}
	(void)core_json_set(json, "items", items);
	(void)requests->reply(request, 200, json);
}

static void on_room(void *self, pbx_request request)
{
	struct pbx_json *json = core_json_object();

	(void)self;
	if (strcmp(requests->text(request, "name"), "attic") != 0) {
		core_json_free(json);
		(void)requests->fail(request, 404, "no_room", "name", "there is no such room");
		return;
	}
	(void)core_json_set_text(json, "name", "attic");
	(void)core_json_set_text(json, "colour", colour);
	(void)requests->reply(request, 200, json);
}

/* Answers later: finish() makes the change. */
static void on_paint(void *self, pbx_request request)
{
	(void)self;
	ck_assert_uint_lt(kept_count, 4);
	kept[kept_count++] = request;
}

static void finish(void)
{
	ck_assert_uint_gt(kept_count, 0);
	pbx_request request = kept[0];

	memmove(kept, kept + 1, --kept_count * sizeof kept[0]);
	(void)snprintf(colour, sizeof colour, "%s", requests->text(request, "colour"));
	ck_assert_int_eq(requests->reply(request, 204, NULL), PBX_OK);
}

static void on_missing(void *self, pbx_request request)
{
	(void)self;
	(void)requests->fail(request, 404, "no_room", "name", "there is no such room");
}

static void on_stream(void *self, pbx_request request)
{
	if (requests->begin(request, "text/csv", NULL, NULL, self) == PBX_OK)
		(void)requests->end(request);
}

static const struct pbx_arg paint_args[] = {
	{ .name = "name", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED },
	{ .name = "colour", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED },
};
static const struct pbx_arg page_args[] = { { .name = "limit", .type = PBX_TYPE_INT, .flags = PBX_ARG_QUERY, .least = 1, .most = 9 } };
static const struct pbx_route routes[] = {
	{ "GET", "/rooms", on_rooms, .scope = "rooms:read" },
	{ "GET", "/rooms/{name}", on_room, .scope = "rooms:read" },
	{ "PATCH", "/rooms/{name}", on_paint, .scope = "rooms:write", .args = PBX_TABLE(paint_args), .flags = PBX_ROUTE_WRITES },
	{ "DELETE", "/rooms/{name}", on_missing, .scope = "rooms:write", .flags = PBX_ROUTE_WRITES },
	{ "PUT", "/doors/{name}", on_paint, .args = PBX_TABLE(paint_args), .flags = PBX_ROUTE_WRITES },
	{ "GET", "/own-pages", on_rooms, .args = PBX_TABLE(page_args) },
	{ "GET", "/stream", on_stream },
};
static const struct pbx_table route_table = PBX_TABLE(routes), none;

static void set_up(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	(void)core_log_set_level(NULL, PBX_LOG_ERROR, 0);
	ck_assert_int_eq(core_requests_init(), PBX_OK);
	core_owner_init(&house, "house", &house);
	ck_assert_int_eq(core_requests_declare(&house.host, &route_table, &none, NULL), PBX_OK);
	(void)strcpy(colour, "white");
	kept_count = 0;
}

static void tear_down(void)
{
	answer_clear(&answer);
	answer_clear(&other);
	core_requests_undeclare(&house.host);
	core_owner_fini(&house);
	core_requests_fini();
	core_log_fini();
	core_loop_fini();
}

/* ---- ETag --------------------------------------------------------------------------------------- */

static void etag_of_attic(char ret_etag[64])
{
	ask(&answer, "GET", "/rooms/attic", "", NULL);
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_uint_eq(strlen(answer.etag), 34);
	(void)strcpy(ret_etag, answer.etag);
}

START_TEST(who_has_the_answer_already_is_told_304)
{
	char etag[64], list[160];

	etag_of_attic(etag);
	ask_with(&answer, "GET", "/rooms/attic", "If-None-Match", etag, NULL);
	ck_assert_uint_eq(answer.status, 304);
	ck_assert_ptr_null(answer.body);
	ck_assert_str_eq(answer.etag, etag);
	(void)snprintf(list, sizeof list, "\"x\", W/%s", etag);
	ask_with(&answer, "GET", "/rooms/attic", "if-none-match", list, NULL);
	ck_assert_uint_eq(answer.status, 304);

	(void)strcpy(colour, "green");
	ask_with(&answer, "GET", "/rooms/attic", "If-None-Match", etag, NULL);
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_ne(answer.etag, etag);
	ask(&answer, "GET", "/rooms/none", "", NULL);
	ck_assert_uint_eq(answer.status, 404);
	ck_assert_str_eq(answer.etag, "");
}
END_TEST

START_TEST(of_two_changes_of_what_both_have_seen_the_second_is_refused)
{
	char etag[64];

	etag_of_attic(etag);
	ask_with(&answer, "PATCH", "/rooms/attic", "If-Match", etag, "{\"colour\":\"green\"}");
	ask_with(&other, "PATCH", "/rooms/attic", "If-Match", etag, "{\"colour\":\"red\"}"); /* while the first is under way */
	ck_assert_uint_eq(kept_count, 1);
	finish();
	core_loop_settle();
	ck_assert_uint_eq(answer.status, 204);
	ck_assert_uint_eq(other.status, 412);
	ck_assert_str_eq(answer_at(&other, "code"), "changed");
	ck_assert_str_eq(colour, "green");

	etag_of_attic(etag);
	ask_with(&answer, "PATCH", "/rooms/attic", "If-Match", etag, "{\"colour\":\"red\"}");
	finish();
	ck_assert_uint_eq(answer.status, 204);
	ask_with(&answer, "PATCH", "/rooms/attic", "If-Match", "*", "{\"colour\":\"blue\"}");
	core_loop_settle();
	finish();
	ck_assert_uint_eq(answer.status, 204);
}
END_TEST

START_TEST(a_condition_waits_for_a_change_that_has_none)
{
	char etag[64];

	etag_of_attic(etag);
	ask(&answer, "PATCH", "/rooms/attic", "", "{\"colour\":\"green\"}");
	ask_with(&other, "PATCH", "/rooms/attic", "If-Match", etag, "{\"colour\":\"red\"}");
	finish();
	core_loop_settle();
	ck_assert_uint_eq(other.status, 412);
	ck_assert_str_eq(colour, "green");
}
END_TEST

START_TEST(a_change_that_is_never_answered_lets_the_next_one_go_on)
{
	ask(&answer, "PATCH", "/rooms/attic", "", "{\"colour\":\"green\"}");
	core_loop_pass_ms(10000);
	ask(&other, "PATCH", "/rooms/attic", "", "{\"colour\":\"red\"}");
	core_loop_pass_ms(20000);
	ck_assert_uint_eq(answer.status, 504);
	core_loop_settle();
	kept_count--;
	kept[0] = kept[1];
	finish();
	ck_assert_uint_eq(other.status, 204);
}
END_TEST

START_TEST(who_leaves_while_waiting_loses_the_turn)
{
	struct answer third = { 0 };

	ask(&answer, "PATCH", "/rooms/attic", "", "{\"colour\":\"green\"}");
	ask(&other, "PATCH", "/rooms/attic", "", "{\"colour\":\"red\"}");
	ask(&third, "PATCH", "/rooms/attic", "", "{\"colour\":\"blue\"}");
	core_request_gone(other.request);
	finish();
	core_loop_settle();
	finish();
	ck_assert_uint_eq(third.status, 204);
	ck_assert_uint_eq(other.status, 0);
	ck_assert_str_eq(colour, "blue");
	answer_clear(&third);
}
END_TEST

START_TEST(an_if_match_that_cannot_be_kept_is_refused)
{
	const struct core_asker writer = {
		.actor = "w", .own_account = "", .scopes = "rooms:write", .address = "local", .request_id = "R"
	};
	const char *name = "If-Match", *value = "\"x\"";
	const struct core_http_request http = { .method = "PATCH",
						.path = "/rooms/attic",
						.query = "",
						.body = "{\"colour\":\"red\"}",
						.body_size = 16,
						.header_names = &name,
						.header_values = &value,
						.header_count = 1 };

	core_request_http(&writer, &http, &asking_sink, &answer, &answer.request);
	ck_assert_uint_eq(answer.status, 403);
	ask_with(&answer, "PUT", "/doors/attic", "If-Match", "\"x\"", "{\"colour\":\"red\"}");
	ck_assert_uint_eq(answer.status, 412);
	ck_assert_str_eq(answer_at(&answer, "code"), "no_etag");
	ask_with(&answer, "DELETE", "/rooms/none", "If-Match", "\"x\"", NULL);
	ck_assert_uint_eq(answer.status, 404);
	ck_assert_str_eq(answer_at(&answer, "code"), "no_room");
	ck_assert_uint_eq(kept_count, 0);
}
END_TEST

START_TEST(where_it_is_demanded_a_change_without_if_match_is_428)
{
	struct core_http_request http = { .method = "PATCH",
					  .path = "/rooms/attic",
					  .query = "",
					  .body = "{\"colour\":\"red\"}",
					  .body_size = 16,
					  .needs_condition = true };

	core_request_http(&asking_admin, &http, &asking_sink, &answer, &answer.request);
	ck_assert_uint_eq(answer.status, 428);
	http.method = "PUT";
	http.path = "/doors/attic"; /* nobody can have seen it */
	core_request_http(&asking_admin, &http, &asking_sink, &other, &other.request);
	finish();
	ck_assert_uint_eq(other.status, 204);
}
END_TEST

/* ---- pieces ------------------------------------------------------------------------------------- */

static const char *names(void)
{
	static char text[128];
	const struct pbx_json *items = core_json_get(answer.body, "items");

	text[0] = '\0';
	for (const struct pbx_json *item = core_json_first(items); item; item = core_json_next(item)) {
		size_t at = strlen(text);

		(void)snprintf(text + at, sizeof text - at, "%s%s", at ? " " : "", core_json_text(core_json_get(item, "name")));
	}
	return text;
}

START_TEST(a_list_comes_in_pages_whose_link_leads_to_the_next)
{
	char query[128];

	ask(&answer, "GET", "/rooms", "limit=2&sort=name&include_total=true", NULL);
	ck_assert_str_eq(names(), "attic blue");
	ck_assert_str_eq(answer_at(&answer, "total"), "5");
	ck_assert_str_eq(answer_at(&answer, "next_cursor"), "2.blue");
	ck_assert_str_eq(answer.link, "<?limit=2&sort=name&include_total=true&cursor=2.blue>; rel=\"next\"");

	ask(&answer, "GET", "/rooms", "limit=2&sort=name&cursor=2.blue", NULL);
	ck_assert_str_eq(names(), "cellar den");
	(void)snprintf(query, sizeof query, "limit=2&sort=name&cursor=%s", answer_at(&answer, "next_cursor"));
	ask(&answer, "GET", "/rooms", query, NULL);
	ck_assert_str_eq(names(), "e&f");
	ck_assert_str_eq(answer_at(&answer, "next_cursor"), "");
	ck_assert_str_eq(answer.link, "");

	ask(&answer, "GET", "/rooms", "limit=2&sort=name&cursor=7.cellar", NULL); /* the item has moved */
	ck_assert_str_eq(names(), "den e&f");
	ask(&answer, "GET", "/rooms", "sort=-name&limit=1", NULL);
	ck_assert_str_eq(answer_at(&answer, "next_cursor"), "1.e&f");
	ck_assert_str_eq(answer.link, "<?sort=-name&limit=1&cursor=1.e%26f>; rel=\"next\"");
	ask(&answer, "GET", "/rooms", "", NULL);
	ck_assert_str_eq(names(), "blue attic cellar den e&f");
	ck_assert_ptr_null(core_json_get(answer.body, "next_cursor"));
}
END_TEST

START_TEST(a_list_is_sorted_by_several_members_and_what_has_none_comes_last)
{
	ask(&answer, "GET", "/rooms", "sort=beds,-name", NULL);
	ck_assert_str_eq(names(), "attic den blue cellar e&f");
	ask(&answer, "GET", "/rooms", "sort=-beds", NULL);
	ck_assert_str_eq(names(), "cellar blue den attic e&f");
}
END_TEST

START_TEST(only_the_members_asked_for_are_shown)
{
	ask(&answer, "GET", "/rooms", "fields=beds", NULL);
	ck_assert_str_eq(answer_at(&answer, "items.0.beds"), "2");
	ck_assert_str_eq(answer_at(&answer, "items.0.name"), "");
	ask(&answer, "GET", "/rooms/attic", "fields=colour", NULL);
	ck_assert_uint_eq(core_json_count(answer.body), 1);
	ck_assert_str_eq(answer_at(&answer, "colour"), "white");
}
END_TEST

static const char *const bad_queries[][2] = {
	{ "/rooms", "limit=0" },        { "/rooms", "limit=501" },         { "/rooms", "limit=x" },
	{ "/rooms", "cursor=zzz" },     { "/rooms", "sort=size" },         { "/rooms", "fields=name,size" },
	{ "/rooms", "sort=" },          { "/rooms", "include_total=2" },   { "/rooms", "sort=name&sort=name" },
	{ "/rooms/attic", "limit=3" },  { "/rooms/attic", "sort=name" },   { "/rooms/attic", "fields=x" },
	{ "/own-pages", "sort=name" },  { "/own-pages", "cursor=2.blue" }, { "/stream", "fields=name" },
	{ "/rooms", "cursor=-1.blue" },
};

START_TEST(what_cannot_be_shown_so_is_refused)
{
	ask(&answer, "GET", bad_queries[_i][0], bad_queries[_i][1], NULL);
	ck_assert_msg(answer.status == 400, "%s?%s: %u", bad_queries[_i][0], bad_queries[_i][1], answer.status);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("request_rest");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, who_has_the_answer_already_is_told_304);
	tcase_add_test(all, of_two_changes_of_what_both_have_seen_the_second_is_refused);
	tcase_add_test(all, a_condition_waits_for_a_change_that_has_none);
	tcase_add_test(all, a_change_that_is_never_answered_lets_the_next_one_go_on);
	tcase_add_test(all, who_leaves_while_waiting_loses_the_turn);
	tcase_add_test(all, an_if_match_that_cannot_be_kept_is_refused);
	tcase_add_test(all, where_it_is_demanded_a_change_without_if_match_is_428);
	tcase_add_test(all, a_list_comes_in_pages_whose_link_leads_to_the_next);
	tcase_add_test(all, a_list_is_sorted_by_several_members_and_what_has_none_comes_last);
	tcase_add_test(all, only_the_members_asked_for_are_shown);
	tcase_add_loop_test(all, what_cannot_be_shown_so_is_refused, 0, sizeof bad_queries / sizeof bad_queries[0]);
	suite_add_tcase(suite, all);

	return check_run(suite);
}
