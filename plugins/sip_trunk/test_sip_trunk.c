/* plugins/sip_trunk/test_sip_trunk.c - trunks in the fake host: registration, health, calls out and in, PINs, presets, figures */
#include "../../tests/check_main.h"
#include "fake.h"
#include "sip_trunk.h"
#include <string.h>
#include <time.h>

#define SETTINGS "sip_trunk:\n  register_jitter_s: 0\n  area_code: \"212\"\n  presets: [" PBX_SOURCE_ROOT "/etc/trunks]\n"

static struct fake_pbx *house(void)
{
	struct fake_pbx *pbx = fake_pbx_with_settings("sip_trunk", SETTINGS);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	return pbx;
}

static void run(struct fake_pbx *pbx, const char *line)
{
	const char *said = fake_command(pbx, line);

	ck_assert_msg(fake_status(pbx) < 300, "%s: %s", line, said);
}

static void is_refused(struct fake_pbx *pbx, const char *line, const char *field)
{
	const char *said = fake_command(pbx, line), *named = fake_json(pbx, said, "errors.0.pointer");

	ck_assert_msg(fake_status(pbx) >= 400 && named && strcmp(named + 1, field) == 0, "%s: %s", line, said);
}

/* A trunk that is known by address and not asked whether it lives. */
static void add_plain(struct fake_pbx *pbx, const char *name, const char *more)
{
	char line[256];

	(void)snprintf(line, sizeof line, "trunk add %s host=%s.example keep_alive_interval_s=0 %s", name, name, more);
	run(pbx, line);
}

static struct fake_pbx *house_with_two(void)
{
	struct fake_pbx *pbx = house();

	add_plain(pbx, "a", "priority=1");
	add_plain(pbx, "b", "priority=2");
	run(pbx, "outbound-route add out 'pattern=1[2-9][0-9]{9}'");
	return pbx;
}

static const char *shown(struct fake_pbx *pbx, const char *trunk, const char *member)
{
	char line[96];

	(void)snprintf(line, sizeof line, "trunk show %s", trunk);
	const char *value = fake_json(pbx, fake_command(pbx, line), member);
	return value ? value : "(none)";
}

/* ---- registration ------------------------------------------------------------------------ */

#define ACCOUNT "trunk add line host=line.example keep_alive_interval_s=0 registration_required=true username=acct password=geheim"

START_TEST(a_registration_is_refreshed_before_it_runs_out)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, ACCOUNT);
	ck_assert_str_eq(shown(pbx, "line", "status"), "unregistered");
	const struct pbx_sip_request *request = fake_request(pbx, "line", "REGISTER");
	ck_assert_ptr_nonnull(request);
	ck_assert_str_eq(request->to, "sip:acct@line.example");
	ck_assert_ptr_nonnull(strstr(request->contact_params, ";reg-id=1;+sip.instance="));
	ck_assert_ptr_nonnull(strstr(request->headers, "Supported: path, outbound"));
	ck_assert_str_eq(fake_peer(pbx, "line")->secret, "geheim");
	fake_respond(pbx, "line", "REGISTER", 200, 100, "Service-Route: <sip:edge.example;lr>\n");
	ck_assert_str_eq(shown(pbx, "line", "status"), "registered");
	ck_assert_str_eq(fake_peer(pbx, "line")->routes, "<sip:edge.example;lr>");
	ck_assert_uint_eq(fake_event_count(pbx, "trunk.registered"), 1);
	fake_pass_ms(pbx, 84900);
	ck_assert_ptr_null(fake_request(pbx, "line", "REGISTER"));
	fake_pass_ms(pbx, 200);
	fake_respond(pbx, "line", "REGISTER", 200, 20, "");
	fake_pass_ms(pbx, 14900); /* at least five seconds before its end */
	ck_assert_ptr_null(fake_request(pbx, "line", "REGISTER"));
	fake_pass_ms(pbx, 200);
	ck_assert_ptr_nonnull(fake_request(pbx, "line", "REGISTER"));
	ck_assert_uint_eq(fake_event_count(pbx, "trunk.registered"), 1); /* it never went away */
}
END_TEST

START_TEST(a_refresh_that_fails_leaves_the_binding_until_it_ends)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, ACCOUNT);
	fake_respond(pbx, "line", "REGISTER", 200, 60, "");
	fake_pass_ms(pbx, 51000);
	fake_respond(pbx, "line", "REGISTER", 0, -1, "");
	ck_assert_str_eq(shown(pbx, "line", "status"), "degraded");
	ck_assert_str_eq(shown(pbx, "line", "health_status"), "warning");
	fake_pass_ms(pbx, 9100);
	ck_assert_str_eq(shown(pbx, "line", "status"), "failed");
	fake_pass_ms(pbx, 21000); /* 30 s after the silence */
	fake_respond(pbx, "line", "REGISTER", 200, 60, "");
	ck_assert_str_eq(shown(pbx, "line", "status"), "registered");
}
END_TEST

START_TEST(a_registrar_that_wants_longer_gets_longer)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, ACCOUNT " registration_expire_s=60");
	fake_respond(pbx, "line", "REGISTER", 423, -1, "Min-Expires: 7200\n");
	fake_pass_ms(pbx, 1);
	ck_assert_ptr_nonnull(strstr(fake_request(pbx, "line", "REGISTER")->contact_params, ";expires=7200;"));
	ck_assert_uint_eq(fake_event_count(pbx, "trunk.registration_failed"), 0);
}
END_TEST

START_TEST(an_account_that_is_refused_is_left_alone_for_ten_minutes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, ACCOUNT);
	fake_respond(pbx, "line", "REGISTER", 403, -1, "");
	ck_assert_str_eq(shown(pbx, "line", "status"), "failed");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "trunk.registration_failed"), "sip_code"), "403");
	fake_pass_ms(pbx, 599000);
	ck_assert_ptr_null(fake_request(pbx, "line", "REGISTER"));
	fake_pass_ms(pbx, 1100);
	ck_assert_ptr_nonnull(fake_request(pbx, "line", "REGISTER"));
}
END_TEST

START_TEST(silence_doubles_the_pause_and_retry_after_sets_it)
{
	static const uint32_t pauses_s[] = { 30, 60, 120, 240, 480, 600, 600 };
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, ACCOUNT);
	for (size_t i = 0; i < sizeof pauses_s / sizeof pauses_s[0]; i++) {
		fake_respond(pbx, "line", "REGISTER", 0, -1, "");
		fake_pass_ms(pbx, pauses_s[i] * 1000 - 100);
		ck_assert_msg(!fake_request(pbx, "line", "REGISTER"), "pause %zu is too short", i);
		fake_pass_ms(pbx, 200);
		ck_assert_msg(fake_request(pbx, "line", "REGISTER") != NULL, "pause %zu is too long", i);
	}
	fake_respond(pbx, "line", "REGISTER", 503, -1, "Retry-After: 75\n");
	fake_pass_ms(pbx, 74900);
	ck_assert_ptr_null(fake_request(pbx, "line", "REGISTER"));
	fake_pass_ms(pbx, 200);
	ck_assert_ptr_nonnull(fake_request(pbx, "line", "REGISTER"));
}
END_TEST

static void flow_fails(struct fake_pbx *pbx)
{
	const struct pbx_sip_peer *peer = fake_peer(pbx, "line");

	peer->flow_failed(peer->self, "line", "192.0.2.1:5060");
}

START_TEST(a_connection_that_fails_is_made_anew_at_once_unless_it_was_young)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, ACCOUNT);
	fake_respond(pbx, "line", "REGISTER", 200, 600, "Flow-Timer: 90\n");
	ck_assert_uint_eq(fake_peer(pbx, "line")->keepalive_ms, 90000);
	fake_pass_ms(pbx, 120000);
	flow_fails(pbx);
	ck_assert_str_eq(shown(pbx, "line", "status"), "degraded");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "trunk.registration_failed"), "sip_code"), "430");
	flow_fails(pbx); /* a second one of the same connection's */
	fake_pass_ms(pbx, 1);
	fake_respond(pbx, "line", "REGISTER", 200, 600, "Flow-Timer: 90\n");
	ck_assert_str_eq(shown(pbx, "line", "status"), "registered");
	for (uint32_t pause_s = 30; pause_s <= 120; pause_s *= 2) {
		flow_fails(pbx);
		fake_pass_ms(pbx, pause_s * 1000 - 100);
		ck_assert_msg(!fake_request(pbx, "line", "REGISTER"), "a pause of %u s is too short", pause_s);
		fake_pass_ms(pbx, 200);
		fake_respond(pbx, "line", "REGISTER", 200, 600, "");
	}
	ck_assert_uint_eq(fake_peer(pbx, "line")->keepalive_ms, 0);
}
END_TEST

START_TEST(who_is_switched_off_gives_its_binding_back)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, ACCOUNT);
	fake_respond(pbx, "line", "REGISTER", 200, 600, "");
	run(pbx, "trunk disable line");
	ck_assert_ptr_nonnull(strstr(fake_request(pbx, "line", "REGISTER")->contact_params, ";expires=0;"));
	ck_assert_str_eq(shown(pbx, "line", "status"), "disabled");
	ck_assert_uint_eq(fake_peer(pbx, "line")->flags & PBX_SIP_DISABLED, PBX_SIP_DISABLED);
	fake_respond(pbx, "line", "REGISTER", 200, -1, "");
	fake_pass_ms(pbx, 3600000);
	ck_assert_ptr_null(fake_request(pbx, "line", "REGISTER"));
	run(pbx, "trunk enable line");
	ck_assert_ptr_nonnull(fake_request(pbx, "line", "REGISTER"));
}
END_TEST

START_TEST(all_numbers_at_once_are_registered_without_a_user)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, ACCOUNT " bulk_registration=true");
	const struct pbx_sip_request *request = fake_request(pbx, "line", "REGISTER");
	ck_assert_str_eq(request->contact_uri_params, ";bnc");
	ck_assert_ptr_nonnull(strstr(request->headers, "Require: gin\nProxy-Require: gin\n"));
	ck_assert_ptr_null(strstr(request->headers, "outbound"));
}
END_TEST

/* ---- health ------------------------------------------------------------------------------ */

START_TEST(three_misses_take_a_trunk_down_and_one_answer_brings_it_back)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, "trunk add line host=line.example keep_alive_interval_s=30");
	run(pbx, "outbound-route add out 'pattern=1[2-9][0-9]{9}'");
	fake_pass_ms(pbx, 10);
	fake_respond(pbx, "line", "OPTIONS", 404, -1, ""); /* somebody is there */
	ck_assert_str_eq(shown(pbx, "line", "status"), "registered");
	for (uint32_t miss = 1; miss <= 3; miss++) {
		ck_assert_uint_eq(fake_event_count(pbx, "trunk.down"), 0);
		fake_pass_ms(pbx, 30000);
		fake_respond(pbx, "line", "OPTIONS", miss == 2 ? 503 : 0, -1, "");
		ck_assert_str_eq(shown(pbx, "line", "status"), miss < 3 ? "degraded" : "failed");
	}
	ck_assert_uint_eq(fake_event_count(pbx, "trunk.down"), 1);
	pbx_leg alice = fake_dial(pbx, "1001", "12125551212");
	ck_assert_uint_eq(fake_sip_code(pbx, alice), 503);
	ck_assert_uint_eq(fake_cause(pbx, alice), 38);
	fake_pass_ms(pbx, 30000);
	fake_respond(pbx, "line", "OPTIONS", 200, -1, "");
	ck_assert_uint_eq(fake_event_count(pbx, "trunk.up"), 1);
	(void)fake_dial(pbx, "1001", "12125551212");
	ck_assert_str_eq(fake_peer_of(pbx, fake_leg(pbx, "12125551212")), "line");
}
END_TEST

START_TEST(a_busy_callee_says_nothing_about_the_trunk)
{
	static const uint32_t codes[] = { 404, 480, 484, 486, 487, 600, 603 };
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_two();

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		pbx_leg alice = fake_dial(pbx, "1001", "12125551212");

		fake_refuse(pbx, fake_leg(pbx, "12125551212"), codes[i]);
		ck_assert_uint_eq(fake_sip_code(pbx, alice), codes[i]);
	}
	ck_assert_str_eq(shown(pbx, "a", "health_status"), "healthy");
	ck_assert_str_eq(shown(pbx, "a", "failed_calls"), "0");
	ck_assert_str_eq(shown(pbx, "b", "total_calls"), "0");
}
END_TEST

START_TEST(a_trunk_whose_calls_fail_is_tried_last_and_again_after_a_minute)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_two();

	for (uint32_t i = 0; i < 3; i++) {
		(void)fake_dial(pbx, "1001", "12125551212");
		ck_assert_str_eq(fake_peer_of(pbx, fake_leg(pbx, "12125551212")), "a");
		fake_refuse(pbx, fake_leg(pbx, "12125551212"), 503);
		fake_refuse(pbx, fake_leg(pbx, "12125551212"), 486);
	}
	ck_assert_str_eq(shown(pbx, "a", "health_status"), "critical");
	ck_assert_str_eq(shown(pbx, "a", "failover_count"), "3");
	(void)fake_dial(pbx, "1001", "12125551212");
	ck_assert_str_eq(fake_peer_of(pbx, fake_leg(pbx, "12125551212")), "b");
	fake_pass_ms(pbx, 61000);
	(void)fake_dial(pbx, "1002", "13125551212");
	ck_assert_str_eq(fake_peer_of(pbx, fake_leg(pbx, "13125551212")), "a");
}
END_TEST

/* ---- out of the house -------------------------------------------------------------------- */

START_TEST(silence_and_503_go_on_to_the_next_trunk)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_two();
	pbx_leg alice = fake_dial(pbx, "1001", "12125551212");

	fake_refuse(pbx, fake_leg(pbx, "12125551212"), 0);
	ck_assert_str_eq(fake_peer_of(pbx, fake_leg(pbx, "12125551212")), "b");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "trunk.failover"), "trunk_id"), "a");
	fake_answer(pbx, fake_leg(pbx, "12125551212"));
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ANSWERED);
	ck_assert_str_eq(shown(pbx, "b", "channels_in_use"), "1");
}
END_TEST

START_TEST(full_trunks_are_passed_over_but_not_by_emergency_calls)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	add_plain(pbx, "a", "priority=1 max_channels=1");
	run(pbx, "outbound-route add out 'pattern=1[2-9][0-9]{9}'");
	(void)fake_dial(pbx, "1001", "12125551212");
	pbx_leg bob = fake_dial(pbx, "1002", "13125551212");
	ck_assert_uint_eq(fake_sip_code(pbx, bob), 503);
	ck_assert_uint_eq(fake_cause(pbx, bob), PBX_CAUSE_CONGESTION);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "trunk.channels_exhausted"), "trunk_id"), "a");
	(void)fake_dial(pbx, "1002", "911");
	ck_assert_str_eq(fake_peer_of(pbx, fake_leg(pbx, "911")), "a");
}
END_TEST

START_TEST(each_trunk_gets_numbers_as_it_likes_them)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	add_plain(pbx, "a", "priority=1 number_format=plus_e164 caller_id=2125550100 caller_id_policy=trunk");
	add_plain(pbx, "b", "priority=2 number_format=national caller_id=+12125550199 caller_id_policy=trunk");
	run(pbx, "outbound-route add out 'pattern=9[2-9]' strip=1");
	(void)fake_dial(pbx, "1001", "95551212");
	ck_assert_str_eq(fake_shown(pbx, fake_leg(pbx, "+12125551212")), "+12125550100");
	fake_refuse(pbx, fake_leg(pbx, "+12125551212"), 503);
	ck_assert_str_eq(fake_shown(pbx, fake_leg(pbx, "2125551212")), "2125550199");
}
END_TEST

START_TEST(who_is_shown_is_a_matter_of_policy)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	add_plain(pbx, "a", "caller_id=12125550000 username=acct");
	run(pbx, "outbound-route add out 'pattern=1[2-9][0-9]{9}'");
	(void)fake_dial(pbx, "1001", "12125551212");
	ck_assert_str_eq(fake_shown(pbx, fake_leg(pbx, "12125551212")), "12125550000");
	run(pbx, "inbound-route add alice did=12125550101 destination=1001");
	(void)fake_dial(pbx, "1001", "13125551212");
	ck_assert_str_eq(fake_shown(pbx, fake_leg(pbx, "13125551212")), "12125550101");
	fake_account(pbx, "1001")->outbound_caller_id = "12125550199";
	(void)fake_dial(pbx, "1001", "14125551212");
	ck_assert_str_eq(fake_shown(pbx, fake_leg(pbx, "14125551212")), "12125550199");
}
END_TEST

START_TEST(codecs_and_the_rest_are_told_to_signalling)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	run(pbx, "trunk add line host=line.example port=5080 transport=tcp outbound_proxy=sip:edge.example codec_preferences=G.711a,G.722 "
		 "allowed_ips=192.0.2.0/24 certificate=line.example trusted=true 'headers=X-Account: 42' show=pai,history srtp=required "
		 "dtmf=info keep_alive_interval_s=0 session_timers=always session_expires_s=600 sip_dscp=26 rtp_dscp=46 "
		 "crlf_keepalive_s=25 t38=pass");
	const struct pbx_sip_peer *peer = fake_peer(pbx, "line");
	ck_assert_str_eq(fake_peer_list(pbx, "line", "codecs"), "PCMA,G722");
	ck_assert_str_eq(fake_peer_list(pbx, "line", "addresses"), "192.0.2.0/24");
	ck_assert_str_eq(fake_peer_list(pbx, "line", "headers"), "X-Account: 42");
	ck_assert_str_eq(peer->certificate, "line.example");
	ck_assert_str_eq(peer->proxy, "sip:edge.example");
	ck_assert_str_eq(peer->srtp, "required");
	ck_assert_str_eq(peer->dtmf, "info");
	ck_assert_str_eq(peer->t38, "pass");
	ck_assert_str_eq(peer->session_timers, "always");
	ck_assert_uint_eq(peer->session_expires_s, 600);
	ck_assert_uint_eq(peer->sip_dscp, 26);
	ck_assert_uint_eq(peer->rtp_dscp, 46);
	ck_assert_uint_eq(peer->keepalive_ms, 25000);
	is_refused(pbx, "trunk add other host=x session_timers=perhaps", "session_timers");
	ck_assert_uint_eq(peer->show, PBX_SIP_SHOW_PAI | PBX_SIP_SHOW_HIST);
	ck_assert_uint_eq(peer->flags, PBX_SIP_TRUSTED);
	is_refused(pbx, "trunk add other 'host=no host'", "host");
	is_refused(pbx, "trunk add health host=x", "trunk_id");
	(void)fake_http(pbx, "GET", "/sip-trunks/health", NULL);
	ck_assert_uint_eq(fake_status(pbx), 200);
	is_refused(pbx, "trunk add other host=x registration_required=true", "username");
}
END_TEST

START_TEST(routes_have_callers_hours_and_classes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	add_plain(pbx, "a", "");
	run(pbx, "outbound-route add abroad pattern=011 callers=10* least_class=international");
	fake_account(pbx, "1001")->call_class = PBX_CLASS_NATIONAL;
	fake_account(pbx, "1002")->call_class = PBX_CLASS_INTERNATIONAL;
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1001", "011442071234567")), 403);
	(void)fake_dial(pbx, "1002", "011442071234567");
	ck_assert(fake_has_leg(pbx, "011442071234567"));
	fake_account(pbx, "2001")->call_class = PBX_CLASS_PREMIUM;
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "2001", "011442071234567")), 404);
	run(pbx, "outbound-route set abroad callers= 'hours=sun 00:00-00:01'");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "2001", "011442071234567")), 404);
	fake_account(pbx, "2001")->may_call_outside = false;
	run(pbx, "outbound-route set abroad hours=");
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "2001", "011442071234567")), 403);
	is_refused(pbx, "outbound-route set abroad 'hours=always'", "hours");
	is_refused(pbx, "outbound-route set abroad 'pattern=('", "pattern");
}
END_TEST

START_TEST(a_dry_run_tells_what_would_be)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_two();

	run(pbx, "outbound-route add abroad pattern=011 pins=4711");
	const char *said = fake_http(pbx, "POST", "/outbound-routes/test", "{\"number\": \"12125551212\", \"extension\": \"1001\"}");
	ck_assert_msg(fake_status(pbx) == 200, "%s", said);
	ck_assert_str_eq(fake_json(pbx, said, "verdict"), "targets");
	ck_assert_str_eq(fake_json(pbx, said, "targets.0.trunk_id"), "a");
	ck_assert_str_eq(fake_json(pbx, said, "targets.1.trunk_id"), "b");
	ck_assert_str_eq(fake_json(pbx, said, "routes.0.route_id"), "abroad");
	ck_assert_str_eq(fake_json(pbx, said, "routes.0.why_not"), "the number is not in its pattern");
	ck_assert_str_eq(fake_json(pbx, said, "routes.1.fits"), "true");
	said = fake_http(pbx, "POST", "/outbound-routes/test", "{\"number\": \"011442071234567\", \"extension\": \"1001\"}");
	ck_assert_msg(strstr(fake_json(pbx, said, "sentence"), "after a PIN") != NULL, "%s", said);
	fake_account(pbx, "1001")->may_call_outside = false;
	said = fake_command(pbx, "outbound-route test 12125551212 1001");
	ck_assert_str_eq(fake_json(pbx, said, "verdict"), "reject");
	ck_assert_str_eq(fake_json(pbx, said, "sip_code"), "403");
	ck_assert(!fake_has_leg(pbx, "12125551212"));
}
END_TEST

/* ---- PINs -------------------------------------------------------------------------------- */

static struct fake_pbx *house_with_pins(void)
{
	struct fake_pbx *pbx = house();

	add_plain(pbx, "a", "");
	run(pbx, "outbound-route add abroad pattern=011 pins=4711,0815");
	return pbx;
}

START_TEST(a_route_asks_for_its_pin_and_lets_the_call_out)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_pins();
	pbx_leg alice = fake_dial(pbx, "1001", "011442071234567");

	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ANSWERED);
	ck_assert_msg(fake_hears(pbx, alice, "prompt:enter_pin"), "%s", fake_hearing(pbx, alice));
	fake_digits(pbx, alice, "0815#");
	ck_assert_str_eq(fake_peer_of(pbx, fake_leg(pbx, "011442071234567")), "a");
	fake_answer(pbx, fake_leg(pbx, "011442071234567"));
	ck_assert(fake_talk(pbx, alice, fake_leg(pbx, "011442071234567")));
	fake_hangup(pbx, alice);
	alice = fake_dial(pbx, "1001", "011442071234567"); /* a pass is good once */
	ck_assert(fake_hears(pbx, alice, "prompt:enter_pin"));
}
END_TEST

START_TEST(three_wrong_pins_end_the_call)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_pins();
	pbx_leg alice = fake_dial(pbx, "1001", "011442071234567");

	fake_digits(pbx, alice, "1#");
	ck_assert(fake_hears(pbx, alice, "prompt:enter_pin"));
	fake_finish_prompt(pbx, alice);
	fake_pass_ms(pbx, 10100); /* nothing typed is wrong too */
	fake_digits(pbx, alice, "47110815123456789012#");
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_cause(pbx, alice), PBX_CAUSE_REJECTED);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "trunk.pin_refused"), "extension"), "1001");
	ck_assert(!fake_has_leg(pbx, "011442071234567"));
}
END_TEST

START_TEST(pins_are_kept_to_themselves)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_pins();
	const char *route = fake_command(pbx, "outbound-route show abroad");

	ck_assert_str_eq(fake_json(pbx, route, "has_pins"), "true");
	ck_assert_msg(!strstr(route, "4711") && !fake_json(pbx, route, "pins"), "%s", route);
	is_refused(pbx, "outbound-route set abroad pins=47a1", "pins");
	fake_restart(pbx);
	pbx_leg alice = fake_dial(pbx, "1001", "011442071234567");
	fake_digits(pbx, alice, "4711#");
	ck_assert(fake_has_leg(pbx, "011442071234567"));
}
END_TEST

START_TEST(a_caller_who_leaves_while_asked_leaves_nothing)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_pins();

	fake_hangup(pbx, fake_dial(pbx, "1001", "011442071234567"));
	fake_pass_ms(pbx, 60000);
}
END_TEST

/* ---- into the house ---------------------------------------------------------------------- */

START_TEST(a_did_is_looked_for_exactly_then_by_the_longest_pattern)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	add_plain(pbx, "a", "");
	add_plain(pbx, "b", "");
	run(pbx, "inbound-route add block did=1212555XXXX strip_prefix=7");
	run(pbx, "inbound-route add one did=12125550100 destination=1001");
	run(pbx, "inbound-route add b-only did=12125550100 destination=1002 trunk_id=b");
	(void)fake_dial_by_peer(pbx, "a", "13125550000", "12125550100");
	ck_assert(fake_has_leg(pbx, "1001"));
	(void)fake_dial_by_peer(pbx, "b", "13125550000", "+12125550100"); /* however it is written */
	ck_assert(fake_has_leg(pbx, "1002"));
	fake_registered(pbx, "0199");
	(void)fake_dial_by_peer(pbx, "a", "13125550000", "12125550199");
	ck_assert(fake_has_leg(pbx, "0199"));
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial_by_peer(pbx, "a", "13125550000", "1001")), 404);
	is_refused(pbx, "inbound-route add bad did=12-34 destination=1001", "did");
	is_refused(pbx, "inbound-route add bad did=1234 destination=1001 trunk_id=nobody", "trunk_id");
}
END_TEST

START_TEST(callers_are_shown_as_we_write_numbers)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	add_plain(pbx, "a", "caller_format=plus_e164");
	run(pbx, "inbound-route add one did=12125550100 destination=1001");
	(void)fake_dial_by_peer(pbx, "a", "3125550000", "12125550100");
	ck_assert_msg(strncmp(fake_shown(pbx, fake_leg(pbx, "1001")), "+13125550000", 12) == 0, "%s",
		      fake_shown(pbx, fake_leg(pbx, "1001")));
}
END_TEST

/* ---- presets, figures, restart ----------------------------------------------------------- */

START_TEST(a_preset_is_where_a_trunk_begins)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *list = fake_command(pbx, "trunk presets");

	ck_assert_msg(strstr(list, "comcast-voiceedge-backup") && strstr(list, "north-america"), "%s", list);
	run(pbx, "trunk add att preset=att-ip-flexible-reach username=u password=p max_channels=5");
	ck_assert_str_eq(shown(pbx, "att", "host"), "sbc.ipfr.att.com");
	ck_assert_str_eq(shown(pbx, "att", "max_channels"), "5");
	ck_assert_str_eq(shown(pbx, "att", "preset"), "att-ip-flexible-reach");
	ck_assert_str_eq(fake_peer_list(pbx, "att", "codecs"), "PCMU,PCMA,G729");
	run(pbx, "outbound-route add public preset=north-america trunks=att");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "outbound-route test 5551212 1001"), "routes.0.fits"), "true");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "outbound-route test 555121 1001"), "routes.0.fits"), "false");
	is_refused(pbx, "trunk add x preset=nobody", "preset");
	is_refused(pbx, "trunk add x preset=../../etc/passwd", "preset");
	is_refused(pbx, "trunk add x preset=north-america", "preset");
	is_refused(pbx, "trunk set att preset=comcast-voiceedge", "preset");
}
END_TEST

START_TEST(every_preset_that_comes_along_makes_a_trunk_or_a_route)
{
	static const char *const names[] = { "att-ip-flexible-reach", "att-ip-flexible-reach-secondary", "comcast-voiceedge",
					     "comcast-voiceedge-backup" };
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	char line[128];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		(void)snprintf(line, sizeof line, "trunk add t%zu preset=%s username=u", i, names[i]);
		run(pbx, line);
		ck_assert_str_eq(shown(pbx, fake_json(pbx, fake_command(pbx, "trunk list"), "0.trunk_id"), "max_channels"), "23");
	}
}
END_TEST

START_TEST(what_a_trunk_did_is_kept_by_day)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_two();
	pbx_leg alice = fake_dial(pbx, "1001", "12125551212");

	fake_ring(pbx, fake_leg(pbx, "12125551212"));
	fake_answer(pbx, fake_leg(pbx, "12125551212"));
	fake_pass_ms(pbx, 61500);
	fake_hangup(pbx, alice);
	(void)fake_dial(pbx, "1001", "12125551212");
	fake_refuse(pbx, fake_leg(pbx, "12125551212"), 503);
	(void)fake_dial_by_peer(pbx, "a", "1", "2");
	const char *days = fake_command(pbx, "trunk statistics a");
	ck_assert_msg(fake_status(pbx) == 200, "%s", days);
	ck_assert_str_eq(fake_json(pbx, days, "0.attempts"), "2");
	ck_assert_str_eq(fake_json(pbx, days, "0.answered"), "1");
	ck_assert_str_eq(fake_json(pbx, days, "0.failed"), "1");
	ck_assert_str_eq(fake_json(pbx, days, "0.inbound"), "1");
	ck_assert_str_eq(fake_json(pbx, days, "0.seconds"), "61");
	ck_assert_str_eq(fake_json(pbx, days, "0.average_setup_time"), "0.1");
	(void)fake_http(pbx, "GET", "/sip-trunks/nobody/statistics", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
}
END_TEST

START_TEST(trunks_and_routes_outlive_a_restart)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house_with_two();

	run(pbx, ACCOUNT);
	fake_restart(pbx);
	ck_assert_str_eq(fake_peer(pbx, "line")->secret, "geheim");
	ck_assert_ptr_nonnull(fake_request(pbx, "line", "REGISTER"));
	(void)fake_dial(pbx, "1001", "12125551212");
	ck_assert_str_eq(fake_peer_of(pbx, fake_leg(pbx, "12125551212")), "a");
	run(pbx, "trunk remove a");
	ck_assert_ptr_null(fake_peer(pbx, "a"));
}
END_TEST

/* ---- numbers, without a host ------------------------------------------------------------- */

START_TEST(numbers_become_e164_by_the_habits_of_the_country)
{
	static const struct sip_trunk_settings america = {
		.country_code = "1", .area_code = "212", .national_prefix = "1", .international_prefix = "011"
	};
	static const struct sip_trunk_settings germany = {
		.country_code = "49", .area_code = "30", .national_prefix = "0", .international_prefix = "00"
	};
	static const struct {
		const struct sip_trunk_settings *here;
		const char *dialled, *e164, *national;
	} rows[] = {
		{ &america, "12125551212", "+12125551212", "2125551212" },
		{ &america, "2125551212", "+12125551212", "2125551212" },
		{ &america, "5551212", "+12125551212", "2125551212" },
		{ &america, "011442071234567", "+442071234567", "011442071234567" },
		{ &america, "+442071234567", "+442071234567", "011442071234567" },
		{ &america, "1001", NULL, "1001" },
		{ &america, "*97", NULL, "*97" },
		{ &germany, "0301234567", "+49301234567", "301234567" },
		{ &germany, "1234567", "+49301234567", "301234567" },
		{ &germany, "0044207123456", "+44207123456", "0044207123456" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char number[64] = "";
		bool is_public = number_e164(rows[i].here, rows[i].dialled, number, sizeof number);

		ck_assert_msg(is_public == (rows[i].e164 != NULL), "%s", rows[i].dialled);
		if (is_public)
			ck_assert_str_eq(number, rows[i].e164);
		number_format(rows[i].here, "national", rows[i].dialled, number, sizeof number);
		ck_assert_str_eq(number, rows[i].national);
	}
}
END_TEST

START_TEST(hours_and_dids_are_read_as_people_write_them)
{
	static const struct {
		const char *pattern, *number;
		bool fits;
	} dids[] = {
		{ "1212555XXXX", "12125551234", true },
		{ "1212555XXXX", "121255512345", false },
		{ "1212555.", "12125551", true },
		{ "1212555.", "1212555", true },
		{ "N00", "200", true },
		{ "N00", "100", false },
		{ "Z1", "01", false },
		{ "+4930", "+4930", true },
	};

	for (size_t i = 0; i < sizeof dids / sizeof dids[0]; i++)
		ck_assert_msg(did_matches(dids[i].pattern, dids[i].number) == dids[i].fits, "%s %s", dids[i].pattern, dids[i].number);
	ck_assert(hours_good("mon-fri 08:00-18:00, sat 09:00-13:00"));
	ck_assert(!hours_good("mon-fri 18:00-08:00"));
	ck_assert(!hours_good("monday"));
	ck_assert(hours_hold("", 0));
	(void)setenv("TZ", "UTC", 1);
	tzset();
	int64_t monday_noon_us = INT64_C(1767614400000000); /* 2026-01-05 12:00 */
	ck_assert(hours_hold("mon-fri 08:00-18:00", monday_noon_us));
	ck_assert(!hours_hold("sat-sun 08:00-18:00", monday_noon_us));
	ck_assert(hours_hold("sun-mon 12:00-12:01", monday_noon_us));
	ck_assert(!hours_hold("mon 08:00-12:00", monday_noon_us));
}
END_TEST

CHECK_MAIN("sip_trunk", a_registration_is_refreshed_before_it_runs_out, a_refresh_that_fails_leaves_the_binding_until_it_ends,
	   a_registrar_that_wants_longer_gets_longer, an_account_that_is_refused_is_left_alone_for_ten_minutes,
	   silence_doubles_the_pause_and_retry_after_sets_it, a_connection_that_fails_is_made_anew_at_once_unless_it_was_young,
	   who_is_switched_off_gives_its_binding_back, all_numbers_at_once_are_registered_without_a_user,
	   three_misses_take_a_trunk_down_and_one_answer_brings_it_back, a_busy_callee_says_nothing_about_the_trunk,
	   a_trunk_whose_calls_fail_is_tried_last_and_again_after_a_minute, silence_and_503_go_on_to_the_next_trunk,
	   full_trunks_are_passed_over_but_not_by_emergency_calls, each_trunk_gets_numbers_as_it_likes_them,
	   who_is_shown_is_a_matter_of_policy, codecs_and_the_rest_are_told_to_signalling, routes_have_callers_hours_and_classes,
	   a_dry_run_tells_what_would_be, a_route_asks_for_its_pin_and_lets_the_call_out, three_wrong_pins_end_the_call,
	   pins_are_kept_to_themselves, a_caller_who_leaves_while_asked_leaves_nothing,
	   a_did_is_looked_for_exactly_then_by_the_longest_pattern, callers_are_shown_as_we_write_numbers, a_preset_is_where_a_trunk_begins,
	   every_preset_that_comes_along_makes_a_trunk_or_a_route, what_a_trunk_did_is_kept_by_day, trunks_and_routes_outlive_a_restart,
	   numbers_become_e164_by_the_habits_of_the_country, hours_and_dids_are_read_as_people_write_them)
