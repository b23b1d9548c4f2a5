/* test_outgoing - calls to phones, message by message: what goes over the wire and what the core hears of it */
#include "../check_main.h"
#include "rig.h"
#include "dialog.h"
#include "loop.h"
#include <pbx/route.h>
#include <string.h>

static struct rig *rig;
static void *dialog; /* of the call under test */
static const struct core_leg_driver *driver = &ua_leg_driver;
static bool ended, answered;
static uint32_t ended_code, ended_cause, ring_code;
static char target[256];

static void on_ended(uint32_t sip_code, uint32_t cause, bool by_peer, const char *text)
{
	(void)by_peer, (void)text;
	ck_assert(!ended); /* told once */
	ended = true;
	ended_code = sip_code;
	ended_cause = cause;
}

static void on_ringing(uint32_t sip_code, const struct core_media_desc *early)
{
	(void)early;
	ring_code = sip_code;
}

static void on_answered(const struct core_media_desc *answer)
{
	ck_assert(answer->present);
	answered = true;
}

static void on_redirected(const char *const *targets, uint32_t count, uint32_t reason)
{
	ck_assert_uint_ge(count, 1);
	ck_assert_uint_eq(reason, PBX_FORWARD_UNCONDITIONAL);
	(void)snprintf(target, sizeof target, "%s", targets[0]);
}

static void setup(void)
{
	rig = rig_start("  peers: [127.0.0.1]\n  trusted: [127.0.0.1]\n");
	rig_core = (struct rig_core){ .ringing = on_ringing, .answered = on_answered, .redirected = on_redirected, .ended = on_ended };
	dialog = NULL;
	ended = answered = false;
	ring_code = 0;
}

static void teardown(void)
{
	if (dialog)
		driver->release(dialog);
	rig_stop(rig);
}

/* The core lets go; with nothing under way the dialog's memory must be gone. */
static void release(void)
{
	driver->release(dialog);
	dialog = NULL;
	ck_assert_uint_eq(rig_dialogs(), 0);
}

static int call_phone(const char *uri)
{
	struct core_media_desc offer = rig_media(CORE_SEND | CORE_RECV);
	char received[32];
	const struct core_diversion diversions[] = { { "1005", 2 }, { "1006", 1 } };
	struct core_invite invite = { .target = uri,
				      .received = received,
				      .transport = "udp",
				      .path = "",
				      .account = "1002",
				      .from_number = "1001",
				      .from_name = "Al \"x\" <y>",
				      .to_number = "1002",
				      .to_name = "",
				      .call_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
				      .max_forwards = 42,
				      .diversions = diversions,
				      .diversion_count = 2,
				      .offer = &offer };

	(void)snprintf(received, sizeof received, "127.0.0.1:%u", rig->phone_port);
	return driver->invite((pbx_leg){ 7 }, &invite, &dialog);
}

START_TEST(our_call_is_answered_and_hung_up)
{
	ck_assert_int_eq(call_phone("sip:bob@10.9.9.9:5999;x=1"), PBX_OK);
	const char *invite = rig_expect(rig, "INVITE sip:bob@10.9.9.9:5999;x=1 ");
	ck_assert_ptr_nonnull(strstr(invite, "m=audio 20000"));
	ck_assert_str_eq(rig_header(rig, "Max-Forwards"), "42");
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "From"), "\"Al \\\"x\\\" <y>\" <sip:1001@pbx.local>;tag="));
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "P-Asserted-Identity"), "<sip:1001@pbx.local>"));
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Remote-Party-ID"), "party=calling"));
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "Diversion"), "sip:1005@pbx.local>;reason=user-busy"));
	ck_assert_ptr_nonnull(strstr(rig_header(rig, "History-Info"), "sip:1006@pbx.local?Reason=SIP%3Bcause%3D302>;index=1"));
	rig_reply(rig, 180, "bob", "", "");
	for (int i = 0; i < 20 && !ring_code; i++)
		core_loop_step();
	ck_assert_uint_eq(ring_code, 180);
	rig_reply(rig, 200, "bob", "", RIG_SDP);
	rig_expect(rig, "ACK sip:bob@127.0.0.1");
	ck_assert(answered);
	driver->hangup(dialog, PBX_CAUSE_NORMAL);
	rig_expect(rig, "BYE ");
	ck_assert_str_eq(rig_header(rig, "Reason"), "Q.850;cause=16");
	rig_reply(rig, 200, "bob", "", "");
	ck_assert(!ended);
	release();
}
END_TEST

START_TEST(a_contact_on_its_own_host_is_called_where_it_says)
{
	struct core_media_desc offer = rig_media(CORE_SEND | CORE_RECV);
	struct core_invite invite = { .received = "127.0.0.1:9",
				      .transport = "udp",
				      .path = "",
				      .account = "1002",
				      .from_number = "1001",
				      .from_name = "",
				      .to_number = "1002",
				      .to_name = "",
				      .call_id = "",
				      .max_forwards = 70,
				      .offer = &offer };
	char uri[64];

	(void)snprintf(uri, sizeof uri, "sip:bob@127.0.0.1:%u", rig->phone_port);
	invite.target = uri;
	ck_assert_int_eq(driver->invite((pbx_leg){ 7 }, &invite, &dialog), PBX_OK);
	rig_expect(rig, "INVITE sip:bob@127.0.0.1");
	rig_reply(rig, 486, "bob", "", "");
	rig_until(&ended);
	release();
}
END_TEST

START_TEST(an_answer_that_comes_twice_is_acknowledged_twice)
{
	ck_assert_int_eq(call_phone("sip:bob@10.9.9.9"), PBX_OK);
	rig_expect(rig, "INVITE ");
	rig_keep_last(rig);
	rig_reply(rig, 200, "bob", "", RIG_SDP);
	rig_expect(rig, "ACK ");
	rig_back_to_kept(rig);
	rig_reply(rig, 200, "bob", "", RIG_SDP);
	rig_expect(rig, "ACK ");
}
END_TEST

START_TEST(our_call_is_cancelled_with_a_reason)
{
	ck_assert_int_eq(call_phone("sip:bob@10.9.9.9"), PBX_OK);
	rig_expect(rig, "INVITE ");
	rig_keep_last(rig);
	driver->hangup(dialog, PBX_CAUSE_ANSWERED_ELSEWHERE);
	rig_expect_nothing(rig); /* not before a provisional response (RFC 3261 9.1) */
	rig_back_to_kept(rig);
	rig_reply(rig, 180, "bob", "", "");
	rig_expect(rig, "CANCEL ");
	ck_assert_int_eq(strncmp(rig_header(rig, "Reason"), "SIP;cause=200", 13), 0);
	rig_reply(rig, 200, "bob", "", "");
	rig_back_to_kept(rig);
	rig_reply(rig, 487, "bob", "", "");
	rig_expect(rig, "ACK ");
	ck_assert(!ended);
	release();
}
END_TEST

START_TEST(an_answer_that_crosses_our_cancel_is_taken_back)
{
	ck_assert_int_eq(call_phone("sip:bob@10.9.9.9"), PBX_OK);
	rig_expect(rig, "INVITE ");
	rig_keep_last(rig);
	rig_reply(rig, 180, "bob", "", "");
	core_loop_step();
	driver->hangup(dialog, PBX_CAUSE_NORMAL);
	driver->release(dialog);
	dialog = NULL;
	rig_expect(rig, "CANCEL ");
	rig_back_to_kept(rig);
	rig_reply(rig, 200, "bob", "", RIG_SDP);
	rig_expect(rig, "ACK ");
	rig_expect(rig, "BYE ");
	ck_assert(!answered);
	ck_assert_uint_eq(rig_dialogs(), 0);
}
END_TEST

START_TEST(a_refusal_of_ours_is_told_with_status_and_cause)
{
	ck_assert_int_eq(call_phone("sip:bob@10.9.9.9"), PBX_OK);
	rig_expect(rig, "INVITE ");
	rig_reply(rig, 486, "bob", "", "");
	rig_until(&ended);
	ck_assert_uint_eq(ended_code, 486);
	ck_assert_uint_eq(ended_cause, PBX_CAUSE_BUSY);
	release();
}
END_TEST

START_TEST(a_redirection_names_the_best_first)
{
	ck_assert_int_eq(call_phone("sip:bob@10.9.9.9"), PBX_OK);
	rig_expect(rig, "INVITE ");
	rig_reply(rig, 302, "bob", "Contact: <sip:second@127.0.0.1>;q=0.3~Contact: <sip:first@127.0.0.1>;q=0.9~", "");
	rig_expect(rig, "ACK ");
	ck_assert_int_eq(strncmp(target, "sip:bob@", 8), 0); /* the Contact that rig_reply() adds has q 1 */
	ck_assert(!ended);
	release();
}
END_TEST

START_TEST(an_answer_without_sdp_ends_the_call)
{
	ck_assert_int_eq(call_phone("sip:bob@10.9.9.9"), PBX_OK);
	rig_expect(rig, "INVITE ");
	rig_reply(rig, 200, "bob", "", "");
	rig_expect(rig, "ACK ");
	rig_expect(rig, "BYE ");
	ck_assert(ended);
	ck_assert_uint_eq(ended_cause, PBX_CAUSE_NOT_ACCEPTABLE);
	release();
}
END_TEST

START_TEST(nonsense_is_no_target)
{
	ck_assert_int_eq(call_phone("tel:+1"), PBX_EINVAL);
	ck_assert_int_eq(call_phone("sip:bob@127.0.0.1>\r\nEvil: 1"), PBX_EINVAL);
	ck_assert_int_eq(call_phone(""), PBX_EINVAL);
	ck_assert_uint_eq(rig_dialogs(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("outgoing");
	TCase *cases = tcase_create("outgoing");

	tcase_set_timeout(cases, 60);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, our_call_is_answered_and_hung_up);
	tcase_add_test(cases, a_contact_on_its_own_host_is_called_where_it_says);
	tcase_add_test(cases, an_answer_that_comes_twice_is_acknowledged_twice);
	tcase_add_test(cases, our_call_is_cancelled_with_a_reason);
	tcase_add_test(cases, an_answer_that_crosses_our_cancel_is_taken_back);
	tcase_add_test(cases, a_refusal_of_ours_is_told_with_status_and_cause);
	tcase_add_test(cases, a_redirection_names_the_best_first);
	tcase_add_test(cases, an_answer_without_sdp_ends_the_call);
	tcase_add_test(cases, nonsense_is_no_target);
	suite_add_tcase(suite, cases);
	return check_run(suite);
}
