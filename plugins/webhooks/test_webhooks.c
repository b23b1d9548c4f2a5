/* plugins/webhooks/test_webhooks.c - who is to be told of what. The endpoint answers nothing here: what really arrives, signed and retried, is
 * heard by tests/e2e/test_webhooks.py. */
#include "../../tests/check_main.h"
#include "fake.h"
#include <string.h>

#define ALLOWED "fetch:\n  allow: [\"127.0.0.1:1\"]\n"
#define URL "\"url\": \"https://127.0.0.1:1/hook\""

static struct fake_pbx *house(void)
{
	struct fake_pbx *pbx = fake_pbx_with_settings("webhooks", ALLOWED);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
	return pbx;
}

static const char *subscribe(struct fake_pbx *pbx, const char *more)
{
	char body[512];

	(void)snprintf(body, sizeof body, "{%s%s%s}", URL, more[0] ? ", " : "", more);
	const char *answer = fake_http(pbx, "POST", "/webhooks", body);
	ck_assert_msg(fake_status(pbx) == 201, "%s", answer);
	return fake_json(pbx, answer, "id");
}

/* The types of what is to be sent, newest first: "call.ended call.started ". */
static const char *wanted(struct fake_pbx *pbx, const char *id)
{
	static char types[1024];
	char line[64], path[32];

	(void)snprintf(line, sizeof line, "webhook deliveries %s", id);
	const char *list = fake_command(pbx, line), *type;
	types[0] = '\0';
	for (uint32_t i = 0; (void)snprintf(path, sizeof path, "items.%u.type", i), (type = fake_json(pbx, list, path)) != NULL; i++) {
		size_t at = strlen(types);

		(void)snprintf(types + at, sizeof types - at, "%s ", type);
	}
	return types;
}

static void busy_call(struct fake_pbx *pbx, const char *from, const char *to)
{
	(void)fake_dial(pbx, from, to);
	fake_refuse(pbx, fake_leg(pbx, to), 486);
}

START_TEST(events_are_chosen_by_name_and_by_pattern)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *ended = subscribe(pbx, "\"events\": [\"call.ended\"]"),
		   *calls = subscribe(pbx, "\"events\": [\"call.*\", \"nothing.else\"]");

	busy_call(pbx, "1001", "1002");
	ck_assert_str_eq(wanted(pbx, ended), "call.ended ");
	ck_assert_str_eq(wanted(pbx, calls), "call.ended call.started ");
}
END_TEST

START_TEST(only_what_is_about_an_extension_or_has_a_value)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *about = subscribe(pbx, "\"events\": [\"call.ended\"], \"extension\": \"1003\"");
	const char *busy =
		subscribe(pbx, "\"events\": [\"call.ended\"], \"match\": {\"/disposition\": \"busy\", \"/to/number\": \"1002\"}");

	busy_call(pbx, "1001", "1002");
	ck_assert_str_eq(wanted(pbx, about), "");
	ck_assert_str_eq(wanted(pbx, busy), "call.ended ");
	busy_call(pbx, "1003", "1001");
	ck_assert_str_eq(wanted(pbx, about), "call.ended ");
	ck_assert_str_eq(wanted(pbx, busy), "call.ended ");
}
END_TEST

START_TEST(what_happened_while_it_was_paused_comes_when_it_goes_on)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id = subscribe(pbx, "\"events\": [\"call.ended\"]");
	char line[64];

	(void)snprintf(line, sizeof line, "webhook pause %s", id);
	(void)fake_command(pbx, line);
	ck_assert_uint_eq(fake_status(pbx), 200);
	busy_call(pbx, "1001", "1002");
	ck_assert_str_eq(wanted(pbx, id), "");
	fake_restart(pbx);
	(void)snprintf(line, sizeof line, "webhook resume %s", id);
	(void)fake_command(pbx, line);
	ck_assert_uint_eq(fake_status(pbx), 200);
	fake_settle(pbx);
	ck_assert_str_eq(wanted(pbx, id), "call.ended ");
}
END_TEST

START_TEST(a_fresh_copy_has_what_waits)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id = subscribe(pbx, "\"events\": [\"call.ended\"]");
	char line[64];

	busy_call(pbx, "1001", "1002");
	ck_assert_int_eq(fake_reload_plugin(pbx, "webhooks"), PBX_OK);
	busy_call(pbx, "1001", "1003");
	ck_assert_str_eq(wanted(pbx, id), "call.ended call.ended ");
	(void)snprintf(line, sizeof line, "webhook show %s", id);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, line), "waiting"), "2");
}
END_TEST

START_TEST(a_secret_is_shown_once)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *made = fake_http(pbx, "POST", "/webhooks", "{" URL ", \"events\": [\"*\"]}");
	const char *secret = fake_json(pbx, made, "secret"), *list;

	ck_assert_msg(secret && strlen(secret) >= 16, "%s", made);
	list = fake_http(pbx, "GET", "/webhooks", NULL);
	ck_assert_ptr_null(strstr(list, secret));
	ck_assert_str_eq(fake_json(pbx, list, "items.0.has_secret"), "true");
	ck_assert_uint_eq(fake_log_count(pbx, secret), 0);
}
END_TEST

START_TEST(what_cannot_be_told_is_refused)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	static const char *const bad[] = {
		"{\"url\": \"http://127.0.0.1:1/hook\"}",
		"{\"url\": \"https://127.0.0.1:2/hook\"}",
		"{\"url\": \"https://192.168.1.1/\"}",
		"{\"url\": \"file:///etc/passwd\"}",
		"{" URL ", \"secret\": \"short\"}",
		"{" URL ", \"headers\": {\"Host\": \"x\"}}",
		"{" URL ", \"headers\": {\"X-A\": \"b\\r\\nX-C: d\"}}",
		"{" URL ", \"events\": [\"call ended\"]}",
		"{}",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const char *answer = fake_http(pbx, "POST", "/webhooks", bad[i]);

		ck_assert_msg(fake_status(pbx) == 400 || fake_status(pbx) == 422, "%s: %u %s", bad[i], fake_status(pbx), answer);
	}
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/webhooks", NULL), "items"), "[]");
}
END_TEST

CHECK_MAIN("webhooks", events_are_chosen_by_name_and_by_pattern, only_what_is_about_an_extension_or_has_a_value,
	   what_happened_while_it_was_paused_comes_when_it_goes_on, a_fresh_copy_has_what_waits, a_secret_is_shown_once,
	   what_cannot_be_told_is_refused)
