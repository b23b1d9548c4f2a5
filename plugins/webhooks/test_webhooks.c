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
		"{\"url\": \"https://me:secret@127.0.0.1:1/hook\"}",
		"{" URL ", \"batch_events\": 101}",
		"{" URL ", \"batch_events\": 0}",
		"{" URL ", \"batch_ms\": 1}",
		"{" URL ", \"client_certificate\": \"-----BEGIN CERTIFICATE-----\"}",
		"{" URL ", \"client_key\": \"-----BEGIN PRIVATE KEY-----\"}",
		"{" URL ", \"ca\": \"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\"}",
		"{" URL ", \"oauth_token_url\": \"https://127.0.0.1:1/token\"}",
		"{" URL ", \"oauth_token_url\": \"https://10.0.0.1/token\", \"oauth_client_id\": \"a\", \"oauth_client_secret\": \"b\"}",
		"{" URL ", \"oauth_auth\": \"telepathy\"}",
		"{}",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const char *answer = fake_http(pbx, "POST", "/webhooks", bad[i]);

		ck_assert_msg(fake_status(pbx) == 400 || fake_status(pbx) == 422, "%s: %u %s", bad[i], fake_status(pbx), answer);
	}
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/webhooks", NULL), "items"), "[]");
}
END_TEST

/* Nobody listens on port 1: each attempt fails at once, and the clock moves on to the next. */
static void fail_for(struct fake_pbx *pbx, uint32_t hours)
{
	for (uint32_t minute = 0; minute < hours * 60; minute += 10)
		fake_pass_ms(pbx, 600000);
}

START_TEST(what_cannot_be_delivered_for_a_day_is_dead_and_its_webhook_off)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id = subscribe(pbx, "\"events\": [\"call.ended\"]"), *shown;
	char path[64];

	(void)snprintf(path, sizeof path, "/webhooks/%s", id);
	busy_call(pbx, "1001", "1002");
	fail_for(pbx, 23);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", path, NULL), "state"), "active");
	ck_assert_uint_eq(fake_event_count(pbx, "webhook.*"), 0);
	fail_for(pbx, 7); /* the pauses are six hours by now */
	ck_assert_uint_eq(fake_event_count(pbx, "webhook.dead_letter"), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "webhook.disabled"), 1);
	shown = fake_http(pbx, "GET", path, NULL);
	ck_assert_str_eq(fake_json(pbx, shown, "state"), "disabled");
	ck_assert_str_eq(fake_json(pbx, shown, "waiting"), "0");
	ck_assert_ptr_nonnull(strstr(fake_json(pbx, shown, "reason"), "give_up_h"));

	/* What happens now stays in the log until somebody has looked after it. */
	busy_call(pbx, "1001", "1003");
	(void)strcat(path, ":resume");
	(void)fake_http(pbx, "POST", path, "{}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	fake_settle(pbx);
	ck_assert_str_eq(wanted(pbx, id), "call.ended call.ended ");
}
END_TEST

START_TEST(since_when_an_endpoint_fails_is_known_after_a_restart)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id = subscribe(pbx, "\"events\": [\"call.ended\"]");
	char path[64], since[64];

	(void)snprintf(path, sizeof path, "/webhooks/%s", id);
	busy_call(pbx, "1001", "1002");
	fail_for(pbx, 1);
	(void)snprintf(since, sizeof since, "%s", fake_json(pbx, fake_http(pbx, "GET", path, NULL), "failing_since"));
	ck_assert(since[0] == '2');
	fake_restart(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", path, NULL), "failing_since"), since);
}
END_TEST

START_TEST(what_waits_after_a_restart_has_its_number_and_its_attempts)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id = subscribe(pbx, "\"events\": [\"call.ended\"], \"batch_events\": 10"), *list;
	char line[64];

	busy_call(pbx, "1001", "1002");
	fake_restart(pbx);
	busy_call(pbx, "1001", "1002");
	(void)snprintf(line, sizeof line, "webhook deliveries %s", id);
	list = fake_command(pbx, line);
	ck_assert_str_eq(fake_json(pbx, list, "items.0.sequence"), "2");
	ck_assert_str_eq(fake_json(pbx, list, "items.1.sequence"), "1");
	fake_pass_ms(pbx, 1100);
	list = fake_command(pbx, line);
	ck_assert_str_eq(fake_json(pbx, list, "items.0.attempts"), fake_json(pbx, list, "items.1.attempts"));
}
END_TEST

START_TEST(a_change_is_whole_or_not_at_all)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id = subscribe(pbx, "\"events\": [\"call.ended\"], \"description\": \"before\"");
	char path[64], before[4096];

	(void)snprintf(path, sizeof path, "/webhooks/%s", id);
	(void)snprintf(before, sizeof before, "%s", fake_http(pbx, "GET", path, NULL));
	(void)fake_http(pbx, "PATCH", path, "{\"description\": \"after\", \"events\": [\"call.*\"], \"client_key\": \"rubbish\"}");
	ck_assert_uint_eq(fake_status(pbx), 400);
	ck_assert_str_eq(fake_http(pbx, "GET", path, NULL), before);
	(void)fake_http(pbx, "PATCH", path, "{\"description\": \"after\", \"batch_events\": 7}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	fake_restart(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", path, NULL), "description"), "after");
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", path, NULL), "batch_events"), "7");
}
END_TEST

START_TEST(public_keys_are_for_everybody_and_secrets_for_nobody)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id = subscribe(pbx, "\"ed25519\": true"), *keys;
	char path[64], first[64];

	(void)snprintf(path, sizeof path, "/webhooks/%s/keys", id);
	keys = fake_http_as(pbx, "", "", "", "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 200);
	(void)snprintf(first, sizeof first, "%s", fake_json(pbx, keys, "items.0.public_key"));
	ck_assert_int_eq(strncmp(first, "whpk_", 5), 0);
	(void)snprintf(path, sizeof path, "/webhooks/%s:rotate-secret", id);
	(void)fake_http(pbx, "POST", path, "{}");
	(void)snprintf(path, sizeof path, "/webhooks/%s/keys", id);
	keys = fake_http(pbx, "GET", path, NULL);
	ck_assert_str_ne(fake_json(pbx, keys, "items.0.public_key"), first);
	ck_assert_str_eq(fake_json(pbx, keys, "items.1.public_key"), first);
	fake_pass_ms(pbx, 86400000);
	ck_assert_ptr_null(fake_json(pbx, fake_http(pbx, "GET", path, NULL), "items.1.public_key"));
}
END_TEST

/* ---- those that stand in the settings ---- */

#define CRM "name: crm, url: 'https://127.0.0.1:1/crm', secret: 0123456789abcdef"

/* Writes webhooks.subscriptions into the settings file, "{name: …}, {…}". */
static void write_subscriptions(struct fake_pbx *pbx, const char *rows)
{
	char path[300];

	(void)snprintf(path, sizeof path, "%s/pbx.yml", fake_dir(pbx));
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	(void)fprintf(file, "server:\n  data_dir: %s\n  run_dir: %s\n" ALLOWED "webhooks:\n  subscriptions: [%s]\n", fake_dir(pbx),
		      fake_dir(pbx), rows);
	(void)fclose(file);
}

static void say(struct fake_pbx *pbx, const char *rows)
{
	write_subscriptions(pbx, rows);
	const char *answer = fake_command(pbx, "config reload");
	ck_assert_msg(fake_status(pbx) < 300, "%s", answer);
	fake_settle(pbx);
}

static const char *shown(struct fake_pbx *pbx, const char *name, const char *member)
{
	char line[64];

	(void)snprintf(line, sizeof line, "webhook show %s", name);
	return fake_json(pbx, fake_command(pbx, line), member);
}

START_TEST(the_settings_make_change_and_remove_a_webhook)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id;

	say(pbx, "{" CRM ", events: [call.ended], headers: [{name: X-Team, value: night}], omit: [contact]}");
	id = shown(pbx, "crm", "id");
	ck_assert_ptr_nonnull(id);
	ck_assert_str_eq(shown(pbx, "crm", "pinned"), "true");
	ck_assert_str_eq(shown(pbx, id, "name"), "crm");
	ck_assert_str_eq(shown(pbx, "crm", "headers"), "{\"X-Team\":null}");
	ck_assert_str_eq(shown(pbx, "crm", "omit"), "[\"contact\"]");
	busy_call(pbx, "1001", "1002");
	ck_assert_str_eq(wanted(pbx, "crm"), "call.ended ");

	say(pbx, "{" CRM ", events: ['call.*'], description: all of it, batch_events: 5}");
	ck_assert_str_eq(shown(pbx, "crm", "id"), id);
	ck_assert_str_eq(shown(pbx, "crm", "description"), "all of it");
	ck_assert_str_eq(shown(pbx, "crm", "waiting"), "1");
	busy_call(pbx, "1001", "1002");
	ck_assert_str_eq(wanted(pbx, "crm"), "call.ended call.started call.ended ");
	say(pbx, "{" CRM ", events: [call.ended], match: [/disposition=busy, /to/number=1003, /sip_code=486]}");
	ck_assert_str_eq(shown(pbx, "crm", "match"), "{\"/disposition\":\"busy\",\"/to/number\":\"1003\",\"/sip_code\":\"486\"}");
	busy_call(pbx, "1001", "1002");
	ck_assert_str_eq(wanted(pbx, "crm"), "call.ended call.started call.ended ");
	busy_call(pbx, "1001", "1003");
	ck_assert_str_eq(wanted(pbx, "crm"), "call.ended call.ended call.started call.ended ");

	say(pbx, "");
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/webhooks", NULL), "items"), "[]");
	say(pbx, "{" CRM "}");
	ck_assert_str_ne(shown(pbx, "crm", "id"), id);
	ck_assert_str_eq(wanted(pbx, "crm"), "settings.changed ");
}
END_TEST

START_TEST(what_the_settings_have_outlives_a_restart_and_goes_when_they_drop_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id;

	say(pbx, "{" CRM ", events: [call.ended]}");
	id = shown(pbx, "crm", "id");
	busy_call(pbx, "1001", "1002");
	fake_restart(pbx);
	ck_assert_str_eq(shown(pbx, "crm", "id"), id);
	busy_call(pbx, "1001", "1002");
	ck_assert_int_eq(fake_reload_plugin(pbx, "webhooks"), PBX_OK);
	busy_call(pbx, "1001", "1002");
	ck_assert_str_eq(wanted(pbx, "crm"), "call.ended call.ended call.ended ");
	ck_assert_ptr_null(fake_json(pbx, fake_http(pbx, "GET", "/webhooks", NULL), "items.1"));

	write_subscriptions(pbx, "");
	fake_restart(pbx);
	fake_settle(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/webhooks", NULL), "items"), "[]");
	fake_restart(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/webhooks", NULL), "items"), "[]");
}
END_TEST

START_TEST(nobody_but_the_settings_changes_what_they_pin)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	static const char *const asked[][3] = { { "PATCH", "/webhooks/crm", "{\"description\": \"mine\"}" },
						{ "DELETE", "/webhooks/crm", NULL },
						{ "POST", "/webhooks/crm:rotate-secret", "{}" } };

	say(pbx, "{" CRM "}");
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		const char *answer = fake_http(pbx, asked[i][0], asked[i][1], asked[i][2]);

		ck_assert_msg(fake_status(pbx) == 409, "%s: %s", asked[i][1], answer);
		ck_assert_ptr_nonnull(strstr(answer, "webhooks.subscriptions"));
	}
	ck_assert_str_eq(shown(pbx, "crm", "description"), "");
	(void)fake_http(pbx, "POST", "/webhooks/crm:pause", "{}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	say(pbx, "{" CRM ", description: still}");
	ck_assert_str_eq(shown(pbx, "crm", "state"), "paused");
	(void)fake_http(pbx, "POST", "/webhooks/crm:resume", "{}");
	ck_assert_str_eq(shown(pbx, "crm", "state"), "active");
}
END_TEST

START_TEST(switched_off_in_the_settings_it_loses_nothing)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	say(pbx, "{" CRM ", events: [call.ended]}");
	say(pbx, "{" CRM ", events: [call.ended], enabled: false}");
	ck_assert_str_eq(shown(pbx, "crm", "state"), "disabled");
	(void)fake_http(pbx, "POST", "/webhooks/crm:resume", "{}");
	ck_assert_uint_eq(fake_status(pbx), 409);
	busy_call(pbx, "1001", "1002");
	ck_assert_str_eq(wanted(pbx, "crm"), "");
	say(pbx, "{" CRM ", events: [call.ended]}");
	ck_assert_str_eq(shown(pbx, "crm", "state"), "active");
	ck_assert_str_eq(wanted(pbx, "crm"), "call.ended ");
}
END_TEST

START_TEST(mistakes_in_the_settings_are_told_at_their_line)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	static const struct {
		const char *rows, *problem;
	} wrong[] = {
		{ "{" CRM "},\n    {" CRM "}", ":8:12: webhooks.subscriptions[1].name: two subscriptions are called 'crm'" },
		{ "\n    {name: a, secret: 0123456789abcdef,\n     url: 'http://127.0.0.1:1/'}", ":9:11: webhooks.subscriptions[0].url: " },
		{ "{name: Crm, secret: 0123456789abcdef, url: 'https://127.0.0.1:1/'}", "subscriptions[0].name: a name is made of" },
		{ "{name: a, secret: short, url: 'https://127.0.0.1:1/'}", "subscriptions[0].secret: " },
		{ "{name: a, url: 'https://127.0.0.1:1/'}", "secret" },
		{ "{name: a, secret: 0123456789abcdef, url: 'https://me:pw@127.0.0.1:1/'}", "subscriptions[0].url: a URL is shown" },
		{ "{" CRM ", events: [call ended]}", "subscriptions[0].events: " },
		{ "{" CRM ", match: [direction]}", "subscriptions[0].match: what is to match" },
		{ "{" CRM ", client_key: x}", "subscriptions[0].client_certificate: " },
		{ "{" CRM ", client_certificate: x, client_key: y}", "subscriptions[0].client_certificate: not a certificate in PEM" },
		{ "{" CRM ", ca: x}", "subscriptions[0].ca: " },
		{ "{" CRM ", headers: [{name: Host, value: x}]}", "subscriptions[0].headers: Host cannot be set" },
		{ "{" CRM ", oauth_token_url: 'https://127.0.0.1:1/'}", "subscriptions[0].oauth_token_url: " },
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		write_subscriptions(pbx, wrong[i].rows);
		const char *answer = fake_command(pbx, "config reload");

		ck_assert_msg(fake_status(pbx) >= 400 && strstr(answer, wrong[i].problem), "%s: %s", wrong[i].rows, answer);
	}
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/webhooks", NULL), "items"), "[]");
}
END_TEST

CHECK_MAIN("webhooks", events_are_chosen_by_name_and_by_pattern, only_what_is_about_an_extension_or_has_a_value,
	   what_happened_while_it_was_paused_comes_when_it_goes_on, a_fresh_copy_has_what_waits, a_secret_is_shown_once,
	   what_cannot_be_told_is_refused, what_cannot_be_delivered_for_a_day_is_dead_and_its_webhook_off,
	   since_when_an_endpoint_fails_is_known_after_a_restart, what_waits_after_a_restart_has_its_number_and_its_attempts,
	   a_change_is_whole_or_not_at_all, public_keys_are_for_everybody_and_secrets_for_nobody,
	   the_settings_make_change_and_remove_a_webhook, what_the_settings_have_outlives_a_restart_and_goes_when_they_drop_it,
	   nobody_but_the_settings_changes_what_they_pin, switched_off_in_the_settings_it_loses_nothing,
	   mistakes_in_the_settings_are_told_at_their_line)
