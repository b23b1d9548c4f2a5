/* plugins/presence/test_presence.c - documents that phones are given: of lines, people, mailboxes, registrations and pages of lamps */
#include "../../tests/check_main.h"
#include "fake.h"
#include <pbx/lamps.h>
#include <pbx/mwi.h>
#include <string.h>

/* 1001, 1002 and 1003 with a phone each. */
static struct fake_pbx *house(const char *yaml)
{
	struct fake_pbx *pbx = fake_pbx_with_settings("presence", yaml);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
	return pbx;
}

static bool says(const char *document, const char *part)
{
	bool found = document && strstr(document, part);

	if (!found)
		(void)fprintf(stderr, "not there: %s\nin: %s\n", part, document ? document : "no document");
	return found;
}

static uint32_t count(const char *document, const char *part)
{
	uint32_t found = 0;

	for (; (document = strstr(document, part)) != NULL; document++)
		found++;
	return found;
}

/* ---- lines ----------------------------------------------------------------------------------- */

START_TEST(a_line_is_told_in_full_and_then_what_has_changed)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	uint64_t stamp = 0;

	const char *text = fake_document(pbx, "dialog", "1003", "1001", &stamp);
	ck_assert(says(text, "version=\"0\" state=\"full\" entity=\"sip:1001@pbx.test\"/>"));
	pbx_leg caller = fake_dial(pbx, "1002", "1001");
	fake_ring(pbx, fake_leg(pbx, "1001"));
	text = fake_document(pbx, "dialog", "1003", "1001", &stamp);
	ck_assert(says(text, "state=\"partial\"") && says(text, "direction=\"recipient\"") && says(text, "<state>early</state>"));
	ck_assert(says(text, "sip:1002@pbx.test"));
	fake_answer(pbx, fake_leg(pbx, "1001"));
	ck_assert(says(fake_document(pbx, "dialog", "1003", "1001", &stamp), "<state>confirmed</state>"));
	ck_assert(says(fake_document(pbx, "dialog", "1003", "1002", NULL), "direction=\"initiator\""));
	ck_assert_uint_eq(count(fake_document(pbx, "dialog", "1003", "1001", &stamp), "<dialog "), 0); /* nothing since */
	fake_hangup(pbx, caller);
	ck_assert(says(fake_document(pbx, "dialog", "1003", "1001", &stamp), "<state>terminated</state>"));
	ck_assert_uint_eq(count(fake_document(pbx, "dialog", "1003", "1001", NULL), "<dialog "), 0); /* whoever comes now sees none */
}
END_TEST

static void one_call(struct fake_pbx *pbx)
{
	pbx_leg caller = fake_dial(pbx, "1002", "1001");

	fake_ring(pbx, fake_leg(pbx, "1001"));
	fake_hangup(pbx, caller);
}

START_TEST(who_has_missed_an_ended_call_is_told_in_full)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	uint64_t stamp = 0, early = 0;

	one_call(pbx);
	(void)fake_document(pbx, "dialog", "1003", "1001", &stamp);
	early = stamp;
	one_call(pbx);
	ck_assert(says(fake_document(pbx, "dialog", "1003", "1001", &stamp), "state=\"partial\""));
	fake_pass_ms(pbx, 6000); /* beyond what is kept of an ended call */
	one_call(pbx);
	ck_assert(says(fake_document(pbx, "dialog", "1003", "1001", &early), "state=\"full\""));
	ck_assert(says(fake_document(pbx, "dialog", "1003", "1001", &stamp), "state=\"partial\""));
}
END_TEST

START_TEST(parties_are_hidden_from_who_may_not_know_them)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("presence:\n  identities: group\n");

	fake_account(pbx, "1001")->pickup_group = "sales";
	fake_account(pbx, "1003")->pickup_group = "sales";
	pbx_leg caller = fake_dial(pbx, "1002", "1001");
	fake_ring(pbx, fake_leg(pbx, "1001"));
	ck_assert(says(fake_document(pbx, "dialog", "1003", "1001", NULL), "sip:1002@pbx.test"));
	const char *text = fake_document(pbx, "dialog", "1002", "1001", NULL);
	ck_assert(says(text, "<state>early</state>"));
	ck_assert_uint_eq(count(text, "call-id") + count(text, "sip:1002"), 0);
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(who_may_watch_is_judged_by_group_and_rank)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("presence:\n  watchers: group\n");

	fake_account(pbx, "1001")->pickup_group = "sales";
	fake_account(pbx, "1002")->pickup_group = "sales";
	ck_assert_int_eq(fake_subscribe(pbx, "dialog", "1002", "1001", NULL), PBX_OK);
	ck_assert_int_eq(fake_subscribe(pbx, "dialog", "1003", "1001", NULL), PBX_EPERM);
	ck_assert_int_eq(fake_subscribe(pbx, "presence", "1003", "1001", NULL), PBX_EPERM);
	ck_assert_int_eq(fake_subscribe(pbx, "dialog", "1003", "1003", NULL), PBX_OK);
	ck_assert_int_eq(fake_subscribe(pbx, "dialog", "1003", "1999", NULL), PBX_ENOENT);
	fake_account(pbx, "1003")->is_admin = true;
	ck_assert_int_eq(fake_subscribe(pbx, "dialog", "1003", "1001", NULL), PBX_OK);
}
END_TEST

START_TEST(a_name_of_any_bytes_leaves_the_document_well_formed)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	const struct pbx_lamps *lamps = pbx_lamps(fake_host(pbx));
	const struct pbx_lamp lamp = { .size = sizeof lamp,
				       .state = PBX_LAMP_ON,
				       .number = "70",
				       .remote = "<1002>&",
				       .remote_name = "A\x01\xff\"<b>\xc3\xa9\xef\xbf\xbf\xc0\xaf" };

	ck_assert_int_eq(lamps->light(fake_host(pbx), &lamp), PBX_OK);
	const char *text = fake_document(pbx, "dialog", "1001", "70", NULL);
	ck_assert(says(text, "display=\"A??&quot;&lt;b&gt;\xc3\xa9?????\"") && says(text, "sip:&lt;1002&gt;&amp;@pbx.test"));
}
END_TEST

/* ---- people ---------------------------------------------------------------------------------- */

static const char *status(struct fake_pbx *pbx, const char *number)
{
	char line[64];

	(void)snprintf(line, sizeof line, "presence show %s", number);
	return fake_json(pbx, fake_command(pbx, line), "status");
}

START_TEST(the_strongest_of_all_that_is_known_is_shown)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_str_eq(status(pbx, "1001"), "available");
	(void)fake_command(pbx, "presence set 1001 busy message=Thinking for_s=60");
	ck_assert(says(fake_document(pbx, "presence", "1003", "1001", NULL), "<note>Thinking</note>"));
	pbx_leg caller = fake_dial(pbx, "1002", "1001");
	fake_answer(pbx, fake_leg(pbx, "1001"));
	ck_assert_str_eq(status(pbx, "1001"), "in_call");
	fake_hangup(pbx, caller);
	ck_assert_str_eq(status(pbx, "1001"), "busy");
	fake_pass_ms(pbx, 61000);
	ck_assert_str_eq(status(pbx, "1001"), "available");
	fake_unregistered(pbx, "1001");
	ck_assert_str_eq(status(pbx, "1001"), "offline");
	ck_assert(says(fake_document(pbx, "presence", "1003", "1001", NULL), "<basic>closed</basic>"));
}
END_TEST

START_TEST(who_does_nothing_is_away_and_then_offline)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("presence:\n  auto_away_s: 60\n  auto_offline_s: 120\n");

	fake_pass_ms(pbx, 61000);
	ck_assert_str_eq(status(pbx, "1001"), "away");
	ck_assert(says(fake_document(pbx, "presence", "1003", "1001", NULL), "<rpid:away/>"));
	fake_hangup(pbx, fake_dial(pbx, "1001", "1002"));
	ck_assert_str_eq(status(pbx, "1001"), "available");
	fake_pass_ms(pbx, 61000);
	ck_assert_str_eq(status(pbx, "1001"), "away");
	(void)fake_http_as(pbx, "alice", "presence:read", "1001", "GET", "/presence", NULL);
	ck_assert_uint_eq(fake_status(pbx), 200);
	ck_assert_str_eq(status(pbx, "1001"), "available");
	fake_pass_ms(pbx, 121000);
	ck_assert_str_eq(status(pbx, "1001"), "offline");
}
END_TEST

START_TEST(who_has_idle_times_of_their_own_keeps_them)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("presence:\n  auto_away_s: 60\n  auto_offline_s: 0\n");

	(void)fake_command(pbx, "presence idle 1001 auto_away_s=0");
	(void)fake_http_as(pbx, "bob", "presence:write", "1002", "PUT", "/presence/1002/idle", "{\"auto_away_s\": 10}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	(void)fake_http_as(pbx, "bob", "presence:write", "1002", "PUT", "/presence/1001/idle", "{\"auto_away_s\": 10}");
	ck_assert_uint_eq(fake_status(pbx), 403);
	fake_pass_ms(pbx, 11000);
	ck_assert_str_eq(status(pbx, "1002"), "away");
	ck_assert_str_eq(status(pbx, "1003"), "available");
	fake_pass_ms(pbx, 60000);
	ck_assert_str_eq(status(pbx, "1003"), "away");
	ck_assert_str_eq(status(pbx, "1001"), "available");
	fake_restart(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "presence show 1002"), "auto_away_s"), "10");
	(void)fake_command(pbx, "presence idle 1002");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "presence show 1002"), "auto_away_s"), "60");
}
END_TEST

#define PIDF(inner) "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\">" inner "</presence>"

START_TEST(a_phone_says_how_its_user_is_until_it_takes_that_back)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(fake_publish(pbx, "presence", "1001", PBX_PUBLISHED, PIDF("<activities><meeting/></activities>")), PBX_OK);
	ck_assert_str_eq(status(pbx, "1001"), "in_meeting");
	(void)fake_command(pbx, "presence set 1001 available");
	ck_assert_str_eq(status(pbx, "1001"), "in_meeting"); /* it outranks a choice */
	(void)fake_command(pbx, "presence set 1001 automatic");
	ck_assert_int_eq(fake_publish(pbx, "presence", "1001", PBX_PUBLISHED, "<other/>"), PBX_EINVAL);
	ck_assert_int_eq(
		fake_publish(pbx, "presence", "1001", PBX_PUBLISHED, PIDF("<tuple><status><basic>closed</basic></status></tuple>")),
		PBX_OK);
	ck_assert_str_eq(status(pbx, "1001"), "offline");
	ck_assert_int_eq(fake_publish(pbx, "presence", "1001", PBX_PUBLISH_REMOVED, ""), PBX_OK);
	ck_assert_str_eq(status(pbx, "1001"), "available");
}
END_TEST

/* ---- mailboxes ------------------------------------------------------------------------------- */

static int state(struct fake_pbx *pbx, const char *number, uint32_t new_voice, bool provisional)
{
	const struct pbx_mailbox mailbox = { .size = sizeof mailbox, .new_voice = new_voice, .provisional = provisional, .number = number };

	return pbx_mwi(fake_host(pbx))->state(fake_host(pbx), &mailbox);
}

START_TEST(a_plugin_takes_a_mailbox_from_who_spoke_for_somebody_outside)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_command(pbx, "mwi set 1001 new=2");
	ck_assert_int_eq(state(pbx, "1001", 5, true), PBX_EEXIST);
	ck_assert_int_eq(state(pbx, "1001", 5, false), PBX_OK);
	ck_assert(says(fake_document(pbx, "message-summary", "1001", "1001", NULL), "Voice-Message: 5/0 (0/0)"));
	(void)fake_http(pbx, "PUT", "/message-counts/1001", "{\"new\": 1}");
	ck_assert_uint_eq(fake_status(pbx), 409);
	(void)fake_http(pbx, "DELETE", "/message-counts/1001", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	ck_assert_int_eq(pbx_mwi(fake_host(pbx))->withdraw(fake_host(pbx), "1001"), PBX_OK);
	ck_assert_str_eq(fake_document(pbx, "message-summary", "1001", "1001", NULL), "Messages-Waiting: no\r\n");
}
END_TEST

START_TEST(counts_that_are_the_same_are_no_news)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(state(pbx, "1001", 1, false), PBX_OK);
	ck_assert_int_eq(state(pbx, "1001", 1, false), PBX_OK);
	fake_settle(pbx);
	ck_assert_uint_eq(fake_changes(pbx, "message-summary", "1001"), 1);
	ck_assert_uint_eq(fake_event_count(pbx, "mwi.changed"), 1);
	ck_assert(says(fake_told(pbx, "1001"), "message-summary: Messages-Waiting: yes\r\nVoice-Message: 1/0 (0/0)\r\n"));
	ck_assert_ptr_null(fake_told(pbx, "1002"));
}
END_TEST

START_TEST(what_somebody_stated_outlasts_a_restart)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_command(pbx, "mwi set 1001 new=3 old=1 old_urgent=1");
	(void)fake_command(pbx, "mwi set 1002 new=1");
	(void)fake_command(pbx, "mwi clear 1002");
	fake_restart(pbx);
	ck_assert(says(fake_document(pbx, "message-summary", "1001", "1001", NULL), "Voice-Message: 3/1 (0/1)"));
	ck_assert_uint_eq(count(fake_command(pbx, "mwi list"), "\"mailbox\""), 1);
}
END_TEST

START_TEST(a_mailbox_is_shown_to_its_own_and_to_whom_the_setting_names)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("presence:\n  mailboxes: group\n");

	fake_account(pbx, "1001")->pickup_group = "sales";
	fake_account(pbx, "1002")->pickup_group = "sales";
	(void)fake_command(pbx, "mwi set 1001 new=3");
	ck_assert_int_eq(fake_subscribe(pbx, "message-summary", "1002", "1001", NULL), PBX_OK);
	ck_assert_int_eq(fake_subscribe(pbx, "message-summary", "1003", "1001", NULL), PBX_EPERM);
	(void)fake_http_as(pbx, "carol", "mwi:read", "1003", "GET", "/message-counts/1001", NULL);
	ck_assert_uint_eq(fake_status(pbx), 403);
	ck_assert_uint_eq(count(fake_http_as(pbx, "bob", "mwi:read", "1002", "GET", "/message-counts", NULL), "mailbox"), 1);
	(void)fake_http_as(pbx, "bob", "mwi:write", "1002", "PUT", "/message-counts/1001", "{\"new\": 0}");
	ck_assert_uint_eq(fake_status(pbx), 403);
}
END_TEST

/* ---- registrations, pages ---------------------------------------------------------------------- */

START_TEST(a_contact_that_goes_is_told_to_who_has_seen_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	uint64_t stamp = 0;

	ck_assert_int_eq(fake_subscribe(pbx, "reg", "1001", "1001", NULL), PBX_OK);
	ck_assert_int_eq(fake_subscribe(pbx, "reg", "1002", "1001", NULL), PBX_EPERM);
	const char *text = fake_document(pbx, "reg", "1001", "1001", &stamp);
	ck_assert(says(text, "id=\"1001\" state=\"active\"") && says(text, "event=\"registered\"") && says(text, "q=\"1.000\""));
	fake_unregistered(pbx, "1001");
	text = fake_document(pbx, "reg", "1001", "1001", &stamp);
	ck_assert(says(text, "state=\"terminated\"><contact") && says(text, "state=\"terminated\" event=\"un"));
	ck_assert_uint_eq(count(fake_document(pbx, "reg", "1001", "1001", &stamp), "<contact"), 0);
	ck_assert(says(fake_document(pbx, "reg", "1001", "1001", NULL), "state=\"init\""));
}
END_TEST

START_TEST(pages_follow_the_settings)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_command(pbx, "config set presence.lists '[{\"name\": \"desk\", \"members\": [\"1001\", \"70\"]}]'");
	ck_assert_str_eq(fake_list(pbx, "desk"), "1001 Name of 1001,70 ");
	(void)fake_command(pbx, "config set presence.lists '[{\"name\": \"row\", \"members\": [\"1002\"]}]'");
	ck_assert_ptr_null(fake_list(pbx, "desk"));
	ck_assert_str_eq(fake_list(pbx, "row"), "1002 Name of 1002");
	static const char *const wrong[] = { "[{\"name\": \"a b\", \"members\": [\"1001\"]}]",
					     "[{\"name\": \"1001\", \"members\": [\"1002\"]}]", "[{\"name\": \"x\", \"members\": []}]",
					     "[{\"name\": \"x\", \"members\": [\"1\"]}, {\"name\": \"x\", \"members\": [\"1\"]}]" };
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		char line[200];

		(void)snprintf(line, sizeof line, "config set presence.lists '%s'", wrong[i]);
		(void)fake_command(pbx, line);
		ck_assert_uint_ne(fake_status(pbx), 200);
	}
	ck_assert_str_eq(fake_list(pbx, "row"), "1002 Name of 1002");
}
END_TEST

START_TEST(an_upgrade_goes_on_where_the_old_one_was)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("presence:\n  lists: [{name: desk, members: [1001]}]\n");

	(void)fake_command(pbx, "mwi set 1001 new=3");
	pbx_leg caller = fake_dial(pbx, "1002", "1001");
	fake_answer(pbx, fake_leg(pbx, "1001"));
	ck_assert_int_eq(fake_reload_plugin(pbx, "presence"), PBX_OK);
	ck_assert(says(fake_document(pbx, "dialog", "1003", "1001", NULL), "<state>confirmed</state>"));
	ck_assert(says(fake_document(pbx, "message-summary", "1001", "1001", NULL), "Voice-Message: 3/0"));
	ck_assert_ptr_nonnull(fake_list(pbx, "desk"));
	fake_hangup(pbx, caller);
	ck_assert_int_eq(fake_unload_plugin(pbx, "presence"), PBX_OK);
}
END_TEST

CHECK_MAIN("presence", a_line_is_told_in_full_and_then_what_has_changed, who_has_missed_an_ended_call_is_told_in_full,
	   parties_are_hidden_from_who_may_not_know_them, who_may_watch_is_judged_by_group_and_rank,
	   a_name_of_any_bytes_leaves_the_document_well_formed, the_strongest_of_all_that_is_known_is_shown,
	   who_does_nothing_is_away_and_then_offline, who_has_idle_times_of_their_own_keeps_them,
	   a_phone_says_how_its_user_is_until_it_takes_that_back, a_plugin_takes_a_mailbox_from_who_spoke_for_somebody_outside,
	   counts_that_are_the_same_are_no_news, what_somebody_stated_outlasts_a_restart,
	   a_mailbox_is_shown_to_its_own_and_to_whom_the_setting_names, a_contact_that_goes_is_told_to_who_has_seen_it,
	   pages_follow_the_settings, an_upgrade_goes_on_where_the_old_one_was)
