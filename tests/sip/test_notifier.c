/* test_notifier - SUBSCRIBE and NOTIFY over a real socket, for a package of the test's own: who is told what, when, and by how many documents */
#include "../check_main.h"
#include "rig.h"
#include "loop.h"
#include "notifier.h"
#include <string.h>

#define TRUSTED "  peers: [\"127.0.0.1\"]\n  flood_rate: 100000\n  packet_rate: 100000\n"

static struct rig *rig;
static unsigned requests;

/* The package: every resource has one number. Who has seen a number is told the difference only. */
static struct {
	uint32_t number, writes, full, ended;
	int may; /* what subscribed() answers */
} told;

static int on_subscribed(void *self, const struct pbx_watch_info *info)
{
	(void)self;
	return strcmp(info->resource, "1009") == 0 ? PBX_EPERM : told.may;
}

static int write_document(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document)
{
	static char tail[80];

	(void)self;
	if (strcmp(info->resource, "1008") == 0)
		return PBX_ENOENT;
	told.writes++;
	told.full += since == 0;
	(void)snprintf(tail, sizeof tail, "\" %s number=%u resource=%s/>", since ? "partial" : "full", told.number, info->resource);
	ret_document->head = "<test version=\"";
	ret_document->tail = tail;
	ret_document->stamp = told.number + 1;
	return PBX_OK;
}

static void on_ended(void *self, pbx_watch watch)
{
	(void)self, (void)watch;
	told.ended++;
}

static void offer(uint32_t throttle_ms)
{
	static const char *const types[] = { "application/test+xml" };
	const struct pbx_event_package package = {
		.size = sizeof package,
		.name = "test",
		.content_types = { types, 1 },
		.throttle_ms = throttle_ms,
		.takes_lists = true,
		.subscribed = on_subscribed,
		.write = write_document,
		.ended = on_ended,
	};

	ck_assert_int_eq(ua_notifier_service.package(ua_part->host, &package, NULL), PBX_OK);
}

static void begin(const char *yaml)
{
	rig = rig_start_still(yaml);
	requests = 0;
	memset(&told, 0, sizeof told);
	offer(0);
}

static void end(void)
{
	rig_stop(rig);
}

static void change(const char *resource)
{
	told.number++;
	ck_assert_int_eq(ua_notifier_service.changed(ua_part->host, "test", resource), PBX_OK);
}

/* ---- the phone ------------------------------------------------------------------------------- */

static void send_subscribe(unsigned watch, const char *resource, const char *to_tag, unsigned expires_s, const char *more)
{
	requests++;
	rig_send(rig,
		 "SUBSCRIBE sip:%s@pbx.local SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-s%u;rport~Max-Forwards: 70~"
		 "From: <sip:1001@pbx.local>;tag=f%u~To: <sip:%s@pbx.local>%s%s~Call-ID: watch%u~CSeq: %u SUBSCRIBE~"
		 "Contact: <sip:1001@127.0.0.1:{P}>~Event: test~Expires: %u~%sContent-Length: 0~~",
		 resource, requests, watch, resource, to_tag[0] ? ";tag=" : "", to_tag, watch, requests, expires_s, more);
}

/* The tag of our side, from the last answer. */
static const char *to_tag(void)
{
	static char tag[64];
	const char *at = strstr(rig_header(rig, "To"), ";tag=");

	ck_assert_ptr_nonnull(at);
	(void)snprintf(tag, sizeof tag, "%s", at + 5);
	return tag;
}

static void answer(unsigned status)
{
	char headers[1024] = "";
	static const char *const names[] = { "Via", "From", "To", "Call-ID", "CSeq" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		size_t used = strlen(headers);

		(void)snprintf(headers + used, sizeof headers - used, "%s: %s~", names[i], rig_header(rig, names[i]));
	}
	rig_send(rig, "SIP/2.0 %u Said~%sContent-Length: 0~~", status, headers);
}

/* The next NOTIFY, answered; it must say this. */
static const char *notify(const char *part)
{
	const char *message = rig_expect(rig, "NOTIFY");

	ck_assert_msg(strstr(message, part) != NULL, "not there: %s\nin: %s", part, message);
	answer(200);
	return message;
}

static void watch(unsigned number, const char *resource)
{
	send_subscribe(number, resource, "", 600, "");
	rig_expect(rig, "SIP/2.0 200");
	notify("full");
}

static unsigned cseq(void)
{
	return (unsigned)strtoul(rig_header(rig, "CSeq"), NULL, 10);
}

/* ---- one watcher ------------------------------------------------------------------------------- */

START_TEST(a_watcher_is_told_in_full_then_what_has_changed_with_rising_numbers)
{
	begin(TRUSTED);
	send_subscribe(1, "1001", "", 600, "");
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_str_eq(rig_header(rig, "Expires"), "600");
	notify("<test version=\"0\" full number=0 resource=1001/>");
	unsigned first = cseq();
	change("1001");
	notify("<test version=\"1\" partial number=1");
	ck_assert_uint_eq(cseq(), first + 1);
	ck_assert_int_eq(strncmp(rig_header(rig, "Subscription-State"), "active;expires=", 15), 0);
	change("1002"); /* nobody watches it */
	rig_expect_nothing(rig);
	ck_assert_uint_eq(told.writes, 2);
	end();
}
END_TEST

START_TEST(a_burst_is_one_document_and_the_next_waits)
{
	begin(TRUSTED);
	watch(1, "1001");
	core_loop_pass_ms(100);
	for (unsigned i = 0; i < 20; i++)
		change("1001");
	notify("number=20");
	uint64_t at_ms = core_now_ms();
	change("1001");
	change("1001");
	notify("number=22");
	ck_assert_uint_ge(core_now_ms() - at_ms, 90); /* the pass before was some rounds before its NOTIFY was here */
	ck_assert_uint_eq(told.writes, 3);
	end();
}
END_TEST

START_TEST(nothing_is_sent_while_an_answer_is_awaited)
{
	begin(TRUSTED);
	watch(1, "1001");
	core_loop_pass_ms(100);
	change("1001");
	rig_expect(rig, "NOTIFY");
	change("1001");
	core_loop_pass_ms(200);
	ck_assert_uint_eq(told.writes, 2);
	answer(200);
	core_loop_pass_ms(10);
	notify("number=2");
	end();
}
END_TEST

START_TEST(who_has_not_understood_is_told_in_full)
{
	begin(TRUSTED);
	watch(1, "1001");
	core_loop_pass_ms(100);
	change("1001");
	rig_expect(rig, "NOTIFY");
	answer(500);
	core_loop_pass_ms(200);
	change("1001");
	notify("version=\"2\" full number=2");
	end();
}
END_TEST

START_TEST(who_is_gone_is_forgotten)
{
	begin(TRUSTED);
	watch(1, "1001");
	core_loop_pass_ms(100);
	change("1001");
	rig_expect(rig, "NOTIFY");
	answer(481);
	core_loop_pass_ms(10);
	ck_assert_uint_eq(told.ended, 1);
	ck_assert_uint_eq(ua_notifier_count(), 0);
	end();
}
END_TEST

START_TEST(a_subscription_ends_when_asked_or_when_its_time_is_over)
{
	char tag[64];

	begin(TRUSTED);
	send_subscribe(1, "1001", "", 600, "");
	rig_expect(rig, "SIP/2.0 200");
	(void)snprintf(tag, sizeof tag, "%s", to_tag());
	notify("full");
	send_subscribe(1, "1001", tag, 0, "");
	rig_expect(rig, "SIP/2.0 200");
	rig_expect(rig, "NOTIFY");
	ck_assert_str_eq(rig_header(rig, "Subscription-State"), "terminated;reason=timeout");
	answer(200);
	send_subscribe(1, "1001", tag, 600, "");
	rig_expect(rig, "SIP/2.0 481");
	watch(2, "1001");
	core_loop_pass_ms(601000);
	rig_expect(rig, "NOTIFY");
	ck_assert_str_eq(rig_header(rig, "Subscription-State"), "terminated;reason=timeout");
	ck_assert_uint_eq(told.ended, 2);
	end();
}
END_TEST

START_TEST(a_refresh_that_was_overtaken_is_refused)
{
	char tag[64];

	begin(TRUSTED);
	send_subscribe(1, "1001", "", 600, "");
	rig_expect(rig, "SIP/2.0 200");
	(void)snprintf(tag, sizeof tag, "%s", to_tag());
	notify("full");
	requests = 10;
	send_subscribe(1, "1001", tag, 600, "");
	rig_expect(rig, "SIP/2.0 200");
	notify("full");
	requests = 5;
	send_subscribe(1, "1001", tag, 600, "");
	rig_expect(rig, "SIP/2.0 500");
	end();
}
END_TEST

START_TEST(what_cannot_be_watched_is_refused_with_what_could)
{
	begin(TRUSTED);
	send_subscribe(1, "1009", "", 600, "");
	rig_expect(rig, "SIP/2.0 403");
	told.may = PBX_ENOENT;
	send_subscribe(2, "1001", "", 600, "");
	rig_expect(rig, "SIP/2.0 404");
	told.may = PBX_OK;
	send_subscribe(3, "1001", "", 5, "");
	rig_expect(rig, "SIP/2.0 423");
	ck_assert_str_eq(rig_header(rig, "Min-Expires"), "60");
	send_subscribe(4, "1001", "", 600, "Accept: text/plain~");
	rig_expect(rig, "SIP/2.0 406");
	ck_assert_str_eq(rig_header(rig, "Accept"), "application/test+xml");
	send_subscribe(5, "1008", "", 600, ""); /* its state is gone when it is to be told */
	rig_expect(rig, "SIP/2.0 200");
	rig_expect(rig, "NOTIFY");
	ck_assert_str_eq(rig_header(rig, "Subscription-State"), "terminated;reason=noresource");
	ck_assert_uint_eq(ua_notifier_count(), 0);
	end();
}
END_TEST

/* ---- many -------------------------------------------------------------------------------------- */

#define MANY 120u

START_TEST(many_watchers_of_one_line_cost_a_document_for_each_fifty)
{
	begin(TRUSTED);
	for (unsigned i = 0; i < MANY; i++)
		watch(i, "1001");
	core_loop_pass_ms(100);
	told.writes = 0;
	change("1001");
	for (unsigned i = 0; i < MANY; i++)
		notify("partial number=1 ");
	ck_assert_uint_eq(told.writes, 3);
	ck_assert_uint_eq(ua_notifier_service.watchers("test", "1001"), MANY);
	ck_assert_uint_eq(ua_notifier_service.watchers("test", NULL), MANY);
	end();
}
END_TEST

START_TEST(an_account_has_its_share_of_subscriptions)
{
	char authorization[1024];

	begin("  max_subscriptions: 2\n");
	for (unsigned i = 0; i < 3; i++) {
		send_subscribe(i, "1001", "", 600, "");
		rig_expect(rig, "SIP/2.0 401");
		rig_challenged(rig);
		(void)snprintf(authorization, sizeof authorization, "%s",
			       rig_authorize(rig, "Authorization", "1001", "secret", "SUBSCRIBE", "sip:1001@pbx.local", false));
		send_subscribe(i, "1001", "", 600, authorization);
		rig_expect(rig, i < 2 ? "SIP/2.0 200" : "SIP/2.0 403");
		if (i < 2)
			notify("full");
	}
	end();
}
END_TEST

/* ---- lists ------------------------------------------------------------------------------------- */

static void set_list(const char *first, const char *second)
{
	const struct pbx_list_member members[] = { { first, "First & <foremost>" }, { second, "" } };
	const struct pbx_table table = { members, second ? 2 : 1, sizeof members[0] };

	ck_assert_int_eq(ua_notifier_service.set_list(ua_part->host, "page", first ? &table : NULL), PBX_OK);
}

static void watch_page(void)
{
	send_subscribe(1, "page", "", 600, "Supported: eventlist~");
	rig_expect(rig, "SIP/2.0 200");
	ck_assert_str_eq(rig_header(rig, "Require"), "eventlist");
}

START_TEST(a_list_is_told_whole_and_then_who_has_changed)
{
	begin(TRUSTED);
	set_list("1001", "1002");
	send_subscribe(9, "page", "", 600, "");
	rig_expect(rig, "SIP/2.0 421");
	watch_page();
	const char *message = notify("version=\"0\" fullState=\"true\"");
	ck_assert_ptr_nonnull(strstr(message, "First &amp; &lt;foremost>"));
	ck_assert_ptr_nonnull(strstr(message, "full number=0 resource=1001/>"));
	ck_assert_ptr_nonnull(strstr(message, "full number=0 resource=1002/>"));
	core_loop_pass_ms(100);
	change("1002");
	message = notify("version=\"1\" fullState=\"false\"");
	ck_assert_ptr_null(strstr(message, "resource=1001"));
	ck_assert_ptr_nonnull(strstr(message, "<test version=\"1\" partial number=1 resource=1002/>"));
	end();
}
END_TEST

START_TEST(a_member_that_may_not_be_seen_is_rejected_in_its_place)
{
	begin(TRUSTED);
	set_list("1001", "1009");
	watch_page();
	const char *message = notify("fullState=\"true\"");
	ck_assert_ptr_nonnull(strstr(message, "state=\"terminated\" reason=\"rejected\""));
	ck_assert_ptr_null(strstr(message, "resource=1009"));
	end();
}
END_TEST

START_TEST(a_list_that_changes_keeps_its_watchers_until_it_goes)
{
	begin(TRUSTED);
	set_list("1001", "1002");
	watch_page();
	notify("fullState=\"true\"");
	core_loop_pass_ms(100);
	set_list("1003", NULL);
	const char *message = notify("version=\"1\" fullState=\"true\"");
	ck_assert_ptr_null(strstr(message, "resource=1001"));
	ck_assert_ptr_nonnull(strstr(message, "<test version=\"1\" full number=0 resource=1003/>"));
	set_list(NULL, NULL);
	rig_expect(rig, "NOTIFY");
	ck_assert_str_eq(rig_header(rig, "Subscription-State"), "terminated;reason=deactivated");
	ck_assert_uint_eq(ua_notifier_count(), 0);
	end();
}
END_TEST

/* ---- over a restart ------------------------------------------------------------------------------ */

START_TEST(lines_and_lists_are_told_again_after_a_restart)
{
	char tag[64];

	begin(TRUSTED);
	watch(2, "1001");
	set_list("1002", NULL);
	send_subscribe(1, "page", "", 600, "Supported: eventlist~");
	rig_expect(rig, "SIP/2.0 200");
	(void)snprintf(tag, sizeof tag, "%s", to_tag());
	notify("fullState=\"true\"");
	unsigned before = cseq();
	core_loop_pass_ms(200); /* the rows are written */
	rig_restart(rig, TRUSTED);
	ck_assert_uint_eq(ua_notifier_count(), 2);
	offer(0);
	notify("full number=0 resource=1001/>");
	ck_assert_uint_gt(cseq(), before);
	send_subscribe(1, "page", tag, 600, "");
	rig_expect(rig, "SIP/2.0 481"); /* the list has not been set yet */
	set_list("1002", NULL);
	notify("fullState=\"true\"");
	ck_assert_uint_gt(cseq(), before);
	end();
}
END_TEST

/* ---- without a subscription ---------------------------------------------------------------------- */

static void register_phone(void)
{
	static const char text[] =
		"REGISTER sip:pbx.local SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-r%u;rport~Max-Forwards: 70~"
		"From: <sip:1001@pbx.local>;tag=r~To: <sip:1001@pbx.local>~Call-ID: registers~CSeq: %u REGISTER~"
		"Contact: <sip:1001@127.0.0.1:{P}>~%sContent-Length: 0~~";

	rig_send(rig, text, 1u, 1u, "");
	rig_expect(rig, "SIP/2.0 401");
	rig_challenged(rig);
	rig_send(rig, text, 2u, 2u, rig_authorize(rig, "Authorization", "1001", "secret", "REGISTER", "sip:pbx.local", false));
	rig_expect(rig, "SIP/2.0 200");
}

START_TEST(a_registered_phone_is_told_without_a_subscription)
{
	begin(NULL);
	ck_assert_int_eq(ua_notifier_service.tell(ua_part->host, "1001", "check-sync", NULL, NULL), PBX_ENOENT);
	register_phone();
	ck_assert_int_eq(ua_notifier_service.tell(ua_part->host, "1001", "check-sync;reboot=true", NULL, NULL), PBX_OK);
	rig_expect(rig, "NOTIFY sip:1001@127.0.0.1");
	ck_assert_str_eq(rig_header(rig, "Event"), "check-sync;reboot=true");
	ck_assert_str_eq(rig_header(rig, "Content-Length"), "0");
	answer(200);
	ck_assert_int_eq(ua_notifier_service.tell(ua_part->host, "1001", "message-summary", "application/simple-message-summary",
						  "Messages-Waiting: yes\r\n"),
			 PBX_OK);
	notify("\r\n\r\nMessages-Waiting: yes\r\n");
	ck_assert_str_eq(rig_header(rig, "Content-Type"), "application/simple-message-summary");
	ck_assert_int_eq(ua_notifier_service.tell(ua_part->host, "1001", "a\r\nb", NULL, NULL), PBX_EINVAL);
	ck_assert_int_eq(ua_notifier_service.tell(ua_part->host, "", "check-sync", NULL, NULL), PBX_EINVAL);
	end();
}
END_TEST

CHECK_MAIN("notifier", a_watcher_is_told_in_full_then_what_has_changed_with_rising_numbers, a_burst_is_one_document_and_the_next_waits,
	   nothing_is_sent_while_an_answer_is_awaited, who_has_not_understood_is_told_in_full, who_is_gone_is_forgotten,
	   a_subscription_ends_when_asked_or_when_its_time_is_over, a_refresh_that_was_overtaken_is_refused,
	   what_cannot_be_watched_is_refused_with_what_could, many_watchers_of_one_line_cost_a_document_for_each_fifty,
	   an_account_has_its_share_of_subscriptions, a_list_is_told_whole_and_then_who_has_changed,
	   a_member_that_may_not_be_seen_is_rejected_in_its_place, a_list_that_changes_keeps_its_watchers_until_it_goes,
	   lines_and_lists_are_told_again_after_a_restart, a_registered_phone_is_told_without_a_subscription)
