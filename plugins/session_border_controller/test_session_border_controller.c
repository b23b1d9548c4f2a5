/* plugins/session_border_controller/test_session_border_controller.c - who is heard, who is banned, which calls come in */
#include "../../tests/check_main.h"
#include "fake.h"
#include "sbc.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ON "session_border_controller:\n  enabled: true\n"

static struct fake_pbx *house(const char *more)
{
	char yaml[512];

	(void)snprintf(yaml, sizeof yaml, ON "%s", more);
	return fake_pbx_with_settings("session_border_controller", yaml);
}

static struct pbx_border_source from(const char *address)
{
	struct pbx_border_source source = { .size = sizeof source, .port = 5060, .transport = "udp" };
	struct network network;

	ck_assert(network_parse(address, &network));
	memcpy(source.address, network.bytes, 16);
	return source;
}

/* As sip/ asks: a guard without the function lets everything pass. */
static uint32_t packet(struct fake_pbx *pbx, const char *address)
{
	const struct pbx_border_guard *guard = fake_border(pbx);
	const struct pbx_border_source source = from(address);
	uint32_t verdict = guard->packet ? guard->packet(guard->self, &source) : PBX_BORDER_PASS;

	fake_settle(pbx);
	return verdict;
}

static const struct pbx_border_request plain = { .size = sizeof plain,
						 .method = "OPTIONS",
						 .user_agent = "A phone",
						 .from_name = "",
						 .from_user = "1001",
						 .from_host = "pbx.test",
						 .to_user = "1002",
						 .to_host = "pbx.test",
						 .uri_user = "1002",
						 .uri_host = "pbx.test",
						 .bytes = 400,
						 .headers = 10 };

static uint32_t asks(struct fake_pbx *pbx, const char *address, const struct pbx_border_request *request)
{
	const struct pbx_border_guard *guard = fake_border(pbx);
	const struct pbx_border_source source = from(address);
	uint32_t verdict = guard->request ? guard->request(guard->self, &source, request) : PBX_BORDER_PASS;

	fake_settle(pbx);
	return verdict;
}

static uint32_t requests_passed(struct fake_pbx *pbx, const char *address, uint32_t count)
{
	uint32_t passed = 0;

	for (uint32_t i = 0; i < count; i++)
		passed += asks(pbx, address, &plain) == PBX_BORDER_PASS;
	return passed;
}

static void wrong_password(struct fake_pbx *pbx, const char *address)
{
	const struct pbx_border_guard *guard = fake_border(pbx);
	const struct pbx_border_source source = from(address);

	guard->failed(guard->self, &source, "1001");
	fake_settle(pbx);
}

static int rings(struct fake_pbx *pbx, uint64_t id, const char *account, const char *dialled)
{
	const struct pbx_border_guard *guard = fake_border(pbx);
	struct pbx_border_source source = from("192.0.2.7");
	const struct pbx_border_call call = {
		.size = sizeof call, .id = id, .dialled = dialled, .account = account, .peer = "carrier", .codec = "PCMU", .ptime_ms = 20
	};
	uint32_t retry_s = 0;

	source.is_peer = !account[0];
	int err = guard->admit ? guard->admit(guard->self, &source, &call, &retry_s) : PBX_OK;
	ck_assert(err == PBX_OK || retry_s == 5);
	fake_settle(pbx);
	return err;
}

static void is_over(struct fake_pbx *pbx, uint64_t id)
{
	const struct pbx_border_guard *guard = fake_border(pbx);

	guard->call_over(guard->self, id);
	fake_settle(pbx);
}

static int64_t number(struct fake_pbx *pbx, const char *member)
{
	const char *text = fake_json(pbx, fake_command(pbx, "sbc status"), member);

	ck_assert_msg(text != NULL, "%s is not in sbc status", member);
	return strtoll(text, NULL, 10);
}

/* ---- networks ------------------------------------------------------------------------- */

START_TEST(networks_are_read_and_written)
{
	static const char *const same[] = { "192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::1", "::/0" };
	static const char *const wrong[] = { "",        "abc",   "192.0.2",    "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1",
					     "::1/129", "[::1]", "1.2.3.4:80", "1.2.3.4/24x",  "pbx.test" };
	struct network network;
	char text[NETWORK_TEXT];

	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		ck_assert_msg(network_parse(same[i], &network), "%s", same[i]);
		network_print(&network, text);
		ck_assert_str_eq(text, same[i]);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ck_assert_msg(!network_parse(wrong[i], &network), "%s", wrong[i]);
	ck_assert(network_parse("192.0.2.77/24", &network));
	network_print(&network, text);
	ck_assert_str_eq(text, "192.0.2.0/24");
}
END_TEST

/* ---- lists ---------------------------------------------------------------------------- */

START_TEST(the_blacklist_keeps_out_and_the_whitelist_goes_before_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_PASS);
	(void)fake_http(pbx, "POST", "/sbc/blacklist", "{\"ip\": \"192.0.2.0/24\", \"note\": \"scans us\"}");
	ck_assert_uint_eq(fake_status(pbx), 201);
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_DROP);
	ck_assert_uint_eq(packet(pbx, "192.0.3.7"), PBX_BORDER_PASS);
	ck_assert_uint_eq(packet(pbx, "2001:db8::7"), PBX_BORDER_PASS);
	(void)fake_http(pbx, "POST", "/sbc/whitelist", "{\"ip\": \"192.0.2.7\"}");
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_ALLOW);
	ck_assert_uint_eq(packet(pbx, "192.0.2.8"), PBX_BORDER_DROP);
	ck_assert_int_eq(number(pbx, "denied"), 2);

	const char *answer = fake_http(pbx, "GET", "/sbc/check/192.0.2.8", NULL);
	ck_assert_str_eq(fake_json(pbx, answer, "verdict"), "dropped");
	ck_assert_str_eq(fake_json(pbx, answer, "entry.note"), "scans us");
	(void)fake_http(pbx, "DELETE", "/sbc/blacklist/192.0.2.0%2F24", NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	ck_assert_uint_eq(packet(pbx, "192.0.2.8"), PBX_BORDER_PASS);
}
END_TEST

START_TEST(connections_are_asked_about_again_when_somebody_is_kept_out)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct network network;
	uint8_t address[16];
	uint32_t bits, before = fake_reviews(pbx, address, &bits);

	ck_assert_uint_eq(bits, 0); /* the guard has begun */
	(void)fake_command(pbx, "sbc whitelist add 198.51.100.0/24");
	ck_assert_uint_eq(fake_reviews(pbx, address, &bits), before);
	(void)fake_command(pbx, "sbc blacklist add 198.51.100.0/25");
	ck_assert_uint_eq(fake_reviews(pbx, address, &bits), before + 1);
	ck_assert(network_parse("198.51.100.0/25", &network));
	ck_assert_uint_eq(bits, network.bits);
	ck_assert_mem_eq(address, network.bytes, 16);
	ck_assert_uint_eq(asks(pbx, "192.0.2.7",
			       &(struct pbx_border_request){ .size = sizeof plain,
							     .method = "OPTIONS",
							     .user_agent = "friendly-scanner",
							     .from_name = "",
							     .from_user = "",
							     .from_host = "",
							     .to_user = "",
							     .to_host = "",
							     .uri_user = "",
							     .uri_host = "" }),
			  PBX_BORDER_DROP);
	ck_assert_uint_eq(fake_reviews(pbx, address, &bits), before + 2);
	ck_assert(network_parse("192.0.2.7", &network));
	ck_assert_uint_eq(bits, network.bits);
	ck_assert_mem_eq(address, network.bytes, 16);
}
END_TEST

START_TEST(what_is_no_address_twice_or_not_there_is_refused)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	const char *answer = fake_http(pbx, "POST", "/sbc/blacklist", "{\"ip\": \"abc\"}");
	ck_assert_uint_eq(fake_status(pbx), 400);
	ck_assert_ptr_nonnull(strstr(answer, "192.0.2.0/24"));
	(void)fake_http(pbx, "POST", "/sbc/blacklist", "{}");
	ck_assert_uint_eq(fake_status(pbx), 400);
	(void)fake_http(pbx, "POST", "/sbc/blacklist", "{\"ip\": \"2001:db8::/32\"}");
	ck_assert_uint_eq(fake_status(pbx), 201);
	(void)fake_http(pbx, "POST", "/sbc/blacklist", "{\"ip\": \"2001:db8:1::/32\"}");
	ck_assert_uint_eq(fake_status(pbx), 409); /* the same network */
	(void)fake_http(pbx, "DELETE", "/sbc/blacklist/192.0.2.1", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http_as(pbx, "eve", "sbc:read", "", "POST", "/sbc/blacklist", "{\"ip\": \"192.0.2.1\"}");
	ck_assert_uint_eq(fake_status(pbx), 403);
}
END_TEST

START_TEST(lists_outlive_a_restart_and_entries_expire)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_command(pbx, "sbc blacklist add 192.0.2.1");
	(void)fake_command(pbx, "sbc blacklist add 192.0.2.2 for_s=60");
	(void)fake_command(pbx, "sbc whitelist add 2001:db8::/32");
	fake_settle(pbx);
	fake_restart(pbx);
	ck_assert_uint_eq(packet(pbx, "192.0.2.1"), PBX_BORDER_DROP);
	ck_assert_uint_eq(packet(pbx, "192.0.2.2"), PBX_BORDER_DROP);
	ck_assert_uint_eq(packet(pbx, "2001:db8::5"), PBX_BORDER_ALLOW);
	fake_pass_ms(pbx, 62000);
	ck_assert_uint_eq(packet(pbx, "192.0.2.1"), PBX_BORDER_DROP);
	ck_assert_uint_eq(packet(pbx, "192.0.2.2"), PBX_BORDER_PASS);
	ck_assert_int_eq(number(pbx, "blacklist_size"), 1);
}
END_TEST

/* ---- rates and bans ------------------------------------------------------------------- */

START_TEST(who_asks_too_often_is_not_answered_and_others_are)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  rate_limit: 10\n");

	ck_assert_uint_eq(requests_passed(pbx, "192.0.2.7", 20), 10);
	ck_assert_uint_eq(requests_passed(pbx, "198.51.100.7", 10), 10);
	fake_pass_ms(pbx, 900);
	ck_assert_uint_eq(requests_passed(pbx, "192.0.2.7", 1), 0);
	fake_pass_ms(pbx, 200);
	ck_assert_uint_eq(requests_passed(pbx, "192.0.2.7", 20), 10);
	ck_assert_int_eq(number(pbx, "rate_limit_violations"), 21);
	ck_assert_int_eq(number(pbx, "rate"), 21);
	ck_assert_uint_eq(fake_event_count(pbx, "sbc.rate_limited"), 1); /* not one for each */
	(void)fake_command(pbx, "sbc whitelist add 192.0.2.7");
	ck_assert_uint_eq(requests_passed(pbx, "192.0.2.7", 50), 50);
}
END_TEST

START_TEST(a_network_has_a_rate_too)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  network_rate_limit: 30\n");
	uint32_t passed = 0;
	char address[32];

	for (uint32_t i = 1; i < 100; i++) {
		(void)snprintf(address, sizeof address, "192.0.2.%u", i);
		passed += requests_passed(pbx, address, 1);
	}
	ck_assert_uint_eq(passed, 30);
	ck_assert_uint_eq(requests_passed(pbx, "2001:db8:1:1::1", 1), 1);
}
END_TEST

START_TEST(who_goes_on_too_long_is_banned_for_a_while)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  rate_limit: 2\n  ban_after: 3\n  ban_seconds: 100\n");

	for (uint32_t second = 0; second < 3; second++) {
		ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_PASS);
		(void)requests_passed(pbx, "192.0.2.7", 50);
		fake_pass_ms(pbx, 1000);
	}
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_DROP);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "sbc.source_blocked"), "reason"), "rate");
	fake_pass_ms(pbx, 101000);
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_PASS);
}
END_TEST

START_TEST(a_scanner_is_banned_at_once_and_hears_nothing)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_border_request scan = plain;

	scan.user_agent = "friendly-scanner";
	ck_assert_uint_eq(asks(pbx, "192.0.2.7", &scan), PBX_BORDER_DROP);
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_DROP);
	scan.user_agent = "A phone";
	scan.from_name = "\"SIPVicious\"";
	ck_assert_uint_eq(asks(pbx, "2001:db8::7", &scan), PBX_BORDER_DROP);
	ck_assert_uint_eq(packet(pbx, "2001:db8::8"), PBX_BORDER_DROP); /* of IPv6, the /64 */
	ck_assert_uint_eq(packet(pbx, "2001:db8:0:1::8"), PBX_BORDER_PASS);
	ck_assert_uint_eq(fake_log_count(pbx, "source_blocked address=192.0.2.7 reason=scanner for_s=3600"), 1);
	fake_settle(pbx);
	fake_restart(pbx);
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_DROP);
}
END_TEST

START_TEST(wrong_passwords_and_junk_are_offences_and_a_registered_phones_address_is_spared)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  ban_after: 4\n");
	const struct pbx_border_guard *guard = fake_border(pbx);
	const struct pbx_border_source junk = from("198.51.100.1"), peer = { .size = sizeof peer, .transport = "udp", .is_peer = true };

	fake_registered(pbx, "1001"); /* from 192.0.2.7 */
	for (uint32_t i = 0; i < 4; i++) {
		wrong_password(pbx, "192.0.2.7");
		wrong_password(pbx, "192.0.2.70");
		ck_assert_uint_eq(guard->malformed(guard->self, &junk, "junk"), PBX_BORDER_DROP);
		ck_assert_uint_eq(guard->malformed(guard->self, &peer, "version"), PBX_BORDER_PASS);
	}
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_PASS);
	ck_assert_uint_eq(packet(pbx, "192.0.2.70"), PBX_BORDER_DROP);
	ck_assert_uint_eq(packet(pbx, "198.51.100.1"), PBX_BORDER_DROP);
	ck_assert_uint_eq(fake_event_count(pbx, "sbc.malformed"), 1);
}
END_TEST

START_TEST(offences_are_written_for_fail2bans_asterisk_filter_and_no_name_ends_a_value)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	const struct pbx_border_guard *guard = fake_border(pbx);
	const struct pbx_border_source source = from("192.0.2.70");
	char line[700], text[1024] = "";

	(void)fake_command(pbx, "config set session_border_controller.security_log security.log");
	ck_assert_uint_eq(fake_status(pbx), 422);
	(void)snprintf(line, sizeof line, "config set session_border_controller.security_log %s/security.log", fake_dir(pbx));
	(void)fake_command(pbx, line);
	ck_assert_uint_eq(fake_status(pbx), 200);
	fake_settle(pbx);
	guard->failed(guard->self, &source, "x\",RemoteAddress=\"IPV4/UDP/192.0.2.1/5060\"\n");
	fake_settle(pbx);
	(void)snprintf(line, sizeof line, "%s/security.log", fake_dir(pbx));
	FILE *file = fopen(line, "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(text, sizeof text, file));
	ck_assert_ptr_null(fgets(line, sizeof line, file));
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_msg(strstr(text,
			     "SecurityEvent=\"InvalidPassword\",Severity=\"Error\",Service=\"SIP\",AccountID=\"x__RemoteAddress__IPV4_UDP_"
			     "192.0.2.1_5060__\",RemoteAddress=\"IPV4/UDP/192.0.2.70/5060\"\n"),
		      "%s", text);
}
END_TEST

START_TEST(old_offences_are_forgotten)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  ban_after: 2\n  ban_window_s: 10\n");

	wrong_password(pbx, "192.0.2.70");
	fake_pass_ms(pbx, 11000);
	wrong_password(pbx, "192.0.2.70");
	ck_assert_uint_eq(packet(pbx, "192.0.2.70"), PBX_BORDER_PASS);
	wrong_password(pbx, "192.0.2.70");
	ck_assert_uint_eq(packet(pbx, "192.0.2.70"), PBX_BORDER_DROP);
}
END_TEST

START_TEST(overlong_requests_are_dropped_or_answered_as_is_set)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	struct pbx_border_request big = plain;

	big.headers = 101;
	ck_assert_uint_eq(asks(pbx, "192.0.2.70", &big), PBX_BORDER_DROP);
	(void)fake_command(pbx, "config set session_border_controller.malformed answer");
	fake_settle(pbx);
	ck_assert_uint_eq(asks(pbx, "192.0.2.70", &big), PBX_BORDER_REFUSE);
}
END_TEST

START_TEST(without_being_enabled_everything_passes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("session_border_controller");
	struct pbx_border_request scan = plain;

	scan.user_agent = "friendly-scanner";
	(void)fake_command(pbx, "sbc blacklist add 192.0.2.7");
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_PASS);
	ck_assert_uint_eq(asks(pbx, "192.0.2.7", &scan), PBX_BORDER_PASS);
	ck_assert_int_eq(rings(pbx, 1, "1001", "1002"), PBX_OK);
	(void)fake_command(pbx, "config set session_border_controller.enabled true");
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_DROP);
	(void)fake_command(pbx, "config set session_border_controller.enabled false");
	ck_assert_uint_eq(packet(pbx, "192.0.2.7"), PBX_BORDER_PASS);
}
END_TEST

/* ---- calls ---------------------------------------------------------------------------- */

START_TEST(only_so_many_calls_come_in_and_emergency_calls_always)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  max_calls: 2\n");

	ck_assert_int_eq(rings(pbx, 1, "1001", "1002"), PBX_OK);
	ck_assert_int_eq(rings(pbx, 2, "1002", "1001"), PBX_OK);
	ck_assert_int_eq(rings(pbx, 3, "1003", "1001"), PBX_ENOSPC);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "sbc.cac_rejected"), "limit"), "calls");
	ck_assert_int_eq(rings(pbx, 4, "1003", "911"), PBX_OK);
	ck_assert_int_eq(number(pbx, "cac_rejections"), 1);
	ck_assert_int_eq(number(pbx, "active_sessions"), 3);
	is_over(pbx, 1);
	is_over(pbx, 4);
	is_over(pbx, 4); /* told twice: no harm */
	ck_assert_int_eq(rings(pbx, 5, "1003", "1001"), PBX_OK);
	ck_assert_int_eq(number(pbx, "codec_call_counts.PCMU"), 4);
}
END_TEST

START_TEST(a_fresh_copy_goes_on_counting)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  max_calls: 2\n");

	ck_assert_int_eq(rings(pbx, 1, "1001", "1002"), PBX_OK);
	ck_assert_int_eq(rings(pbx, 2, "1002", "1001"), PBX_OK);
	ck_assert_int_eq(fake_reload_plugin(pbx, "session_border_controller"), PBX_OK);
	ck_assert_int_eq(rings(pbx, 3, "1003", "1001"), PBX_ENOSPC);
	ck_assert_int_eq(number(pbx, "current_bandwidth_kbps"), 160);
	is_over(pbx, 1);
	ck_assert_int_eq(rings(pbx, 4, "1003", "1001"), PBX_OK);
}
END_TEST

START_TEST(calls_weigh_what_their_codec_needs)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  max_bandwidth: 170\n");

	ck_assert_int_eq(rings(pbx, 1, "1001", "1002"), PBX_OK);
	ck_assert_int_eq(number(pbx, "current_bandwidth_kbps"), 80); /* 160 octets and 40 of headers, 50 times a second */
	ck_assert_int_eq(rings(pbx, 2, "1001", "1002"), PBX_OK);
	ck_assert_int_eq(rings(pbx, 3, "1001", "1002"), PBX_ENOSPC);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "sbc.cac_rejected"), "limit"), "bandwidth");
	is_over(pbx, 1);
	is_over(pbx, 2);
	ck_assert_int_eq(number(pbx, "current_bandwidth_kbps"), 0);
}
END_TEST

START_TEST(accounts_and_peers_have_limits_of_their_own)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  account_calls: 1\n  peer_cps: 2\n");

	ck_assert_int_eq(rings(pbx, 1, "1001", "1002"), PBX_OK);
	ck_assert_int_eq(rings(pbx, 2, "1001", "1003"), PBX_ENOSPC);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "sbc.cac_rejected"), "limit"), "account_calls");
	ck_assert_int_eq(rings(pbx, 3, "1002", "1003"), PBX_OK);
	for (uint64_t id = 10; id < 12; id++)
		ck_assert_int_eq(rings(pbx, id, "", "1001"), PBX_OK);
	ck_assert_int_eq(rings(pbx, 12, "", "1001"), PBX_ENOSPC);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "sbc.cac_rejected"), "limit"), "peer_cps");
	fake_pass_ms(pbx, 1000);
	ck_assert_int_eq(rings(pbx, 13, "", "1001"), PBX_OK);
}
END_TEST

/* ---- countries ------------------------------------------------------------------------ */

/* A database at PBX/NAME: "192.0.2.0/24=US …". */
static void write_countries(struct fake_pbx *pbx, const char *name, const char *networks)
{
	char command[1024];

	(void)snprintf(command, sizeof command, "/usr/bin/python3 " PBX_SOURCE_ROOT "/tests/e2e/countries.py %s/%s %s", fake_dir(pbx), name,
		       networks);
	ck_assert_int_eq(system(command), 0);
}

static void set(struct fake_pbx *pbx, const char *option, const char *value, uint32_t status)
{
	char line[700];

	(void)snprintf(line, sizeof line, "config set session_border_controller.%s %s", option, value);
	(void)fake_command(pbx, line);
	ck_assert_msg(fake_status(pbx) == status, "%s: %u", line, fake_status(pbx));
}

static void set_database(struct fake_pbx *pbx, const char *name)
{
	char path[400];

	(void)snprintf(path, sizeof path, "%s/%s", fake_dir(pbx), name);
	set(pbx, "country_database", path, 200);
	fake_pass_ms(pbx, 1100);
	fake_settle(pbx);
}

static uint32_t registers(struct fake_pbx *pbx, const char *address, const char *method)
{
	struct pbx_border_request request = plain;

	request.method = method;
	return asks(pbx, address, &request);
}

START_TEST(only_the_countries_that_are_allowed_are_heard)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	write_countries(pbx, "countries.mmdb", "192.0.2.0/24=US 198.51.100.0/24=KP 2001:db8::/32=CA");
	set(pbx, "countries_allowed", "US,ca", 422); /* by what? */
	set_database(pbx, "countries.mmdb");
	ck_assert_uint_eq(fake_log_count(pbx, "country_database_read"), 1);
	set(pbx, "countries_allowed", "US,USA", 422);
	set(pbx, "countries_allowed", "US,ca", 200);
	ck_assert_uint_eq(asks(pbx, "192.0.2.70", &plain), PBX_BORDER_PASS);
	ck_assert_uint_eq(asks(pbx, "2001:db8::7", &plain), PBX_BORDER_PASS);
	ck_assert_uint_eq(asks(pbx, "198.51.100.7", &plain), PBX_BORDER_DROP);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "sbc.country_refused"), "country"), "KP");
	ck_assert_uint_eq(asks(pbx, "203.0.113.7", &plain), PBX_BORDER_PASS); /* nobody knows */
	set(pbx, "country_unknown", "drop", 200);
	ck_assert_uint_eq(asks(pbx, "203.0.113.7", &plain), PBX_BORDER_DROP);
	ck_assert_uint_eq(asks(pbx, "192.168.1.7", &plain), PBX_BORDER_PASS);
	ck_assert_uint_eq(asks(pbx, "fd00::7", &plain), PBX_BORDER_PASS);
	(void)fake_command(pbx, "sbc whitelist add 198.51.100.0/25");
	ck_assert_uint_eq(asks(pbx, "198.51.100.7", &plain), PBX_BORDER_PASS);
	set(pbx, "drop_silently", "false", 200);
	ck_assert_uint_eq(asks(pbx, "198.51.100.200", &plain), PBX_BORDER_REFUSE);
	ck_assert_int_eq(number(pbx, "country"), 3);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/sbc/check/198.51.100.200", NULL), "country"), "KP");
}
END_TEST

START_TEST(countries_may_be_refused_for_calls_or_registrations_alone)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("  ban_after: 3\n");

	write_countries(pbx, "countries.mmdb", "198.51.100.0/24=KP");
	set_database(pbx, "countries.mmdb");
	set(pbx, "countries_denied", "KP", 200);
	set(pbx, "country_guards", "calls", 200);
	ck_assert_uint_eq(registers(pbx, "198.51.100.7", "REGISTER"), PBX_BORDER_PASS);
	ck_assert_uint_eq(registers(pbx, "198.51.100.7", "INVITE"), PBX_BORDER_DROP);
	set(pbx, "country_guards", "registrations", 200);
	ck_assert_uint_eq(registers(pbx, "198.51.100.7", "INVITE"), PBX_BORDER_PASS);
	ck_assert_uint_eq(registers(pbx, "198.51.100.7", "REGISTER"), PBX_BORDER_DROP);
	ck_assert_uint_eq(registers(pbx, "203.0.113.7", "REGISTER"), PBX_BORDER_PASS); /* denied are those that are named */
	ck_assert_uint_eq(packet(pbx, "198.51.100.7"), PBX_BORDER_PASS);
	(void)registers(pbx, "198.51.100.7", "REGISTER");
	ck_assert_uint_eq(packet(pbx, "198.51.100.7"), PBX_BORDER_DROP); /* three times is a ban */
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "sbc.source_blocked"), "reason"), "country");
}
END_TEST

START_TEST(a_database_that_is_missing_or_broken_refuses_nobody_and_a_new_one_is_taken)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	char path[400];

	set(pbx, "country_database", "countries.mmdb", 422);
	set_database(pbx, "countries.mmdb");
	set(pbx, "countries_denied", "KP", 200);
	ck_assert_uint_eq(asks(pbx, "198.51.100.7", &plain), PBX_BORDER_PASS);
	ck_assert_uint_eq(fake_log_count(pbx, "country_database_unusable"), 1);
	ck_assert_uint_eq(fake_log_count(pbx, "No such file"), 1);
	fake_pass_ms(pbx, 61000);
	ck_assert_uint_eq(fake_log_count(pbx, "country_database_unusable"), 1); /* said once */

	(void)snprintf(path, sizeof path, "%s/countries.mmdb", fake_dir(pbx));
	FILE *junk = fopen(path, "w");
	ck_assert_ptr_nonnull(junk);
	for (int i = 0; i < 3000; i++)
		ck_assert_int_ge(fputs("this is no database\n", junk), 0);
	ck_assert_int_eq(fclose(junk), 0);
	fake_pass_ms(pbx, 61000);
	fake_settle(pbx);
	ck_assert_uint_eq(fake_log_count(pbx, "country_database_unusable"), 2);
	ck_assert_uint_eq(asks(pbx, "198.51.100.7", &plain), PBX_BORDER_PASS);

	write_countries(pbx, "countries.mmdb", "198.51.100.0/24=KP");
	fake_pass_ms(pbx, 61000);
	fake_settle(pbx);
	ck_assert_uint_eq(asks(pbx, "198.51.100.7", &plain), PBX_BORDER_DROP);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "sbc status"), "country_database"), "Test-Country of 2023-11-14");

	ck_assert_int_eq(unlink(path), 0); /* the one that was read goes on */
	fake_pass_ms(pbx, 61000);
	fake_settle(pbx);
	ck_assert_uint_eq(asks(pbx, "198.51.100.8", &plain), PBX_BORDER_DROP);
	ck_assert_uint_eq(fake_log_count(pbx, "country_database_unusable"), 3);
	(void)fake_command(pbx, "config unset session_border_controller.countries_denied");
	(void)fake_command(pbx, "config unset session_border_controller.country_database");
	fake_pass_ms(pbx, 1100);
	ck_assert_uint_eq(asks(pbx, "198.51.100.9", &plain), PBX_BORDER_PASS);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "sbc status"), "country_database"), "off");
}
END_TEST

/* ---- the kernel's helper -------------------------------------------------------------- */

static int helper_listens(struct fake_pbx *pbx)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%.90s/bans", fake_dir(pbx));
	(void)unlink(address.sun_path);
	ck_assert_int_eq(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
	return listener;
}

static bool is_there_more(int descriptor)
{
	struct pollfd wanted = { .fd = descriptor, .events = POLLIN };

	return poll(&wanted, 1, 0) == 1;
}

/* Everything that was said to it since the last time, as one text. */
static const char *helper_heard(int client)
{
	static char text[4096];
	size_t used = 0;

	while (is_there_more(client)) {
		ssize_t got = read(client, text + used, sizeof text - 1 - used);
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	text[used] = '\0';
	return text;
}

static void helper_says(struct fake_pbx *pbx, int client, const char *line)
{
	ck_assert_int_eq(write(client, line, strlen(line)), (ssize_t)strlen(line));
	fake_settle(pbx);
}

START_TEST(the_helper_hears_of_every_ban_and_of_nobody_who_is_let_in)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	int listener = helper_listens(pbx);
	char path[200];

	(void)snprintf(path, sizeof path, "%s/bans", fake_dir(pbx));
	(void)fake_command(pbx, "sbc blacklist add 192.0.2.1");
	(void)fake_command(pbx, "sbc blacklist add 192.0.2.2 for_s=600");
	(void)fake_command(pbx, "sbc blacklist add 2001:db8:1:2::/64");
	(void)fake_command(pbx, "sbc blacklist add 198.51.100.0/24"); /* for us alone */
	(void)fake_command(pbx, "sbc blacklist add 203.0.113.7");
	(void)fake_command(pbx, "sbc whitelist add 203.0.113.0/24");
	set(pbx, "kernel_bans", "bans", 422);
	set(pbx, "kernel_bans", path, 200);
	fake_pass_ms(pbx, 1100);
	int client = accept(listener, NULL, NULL);
	const char *heard = helper_heard(client);
	ck_assert_msg(strncmp(heard, "forget\n", 7) == 0, "%s", heard);
	ck_assert_ptr_nonnull(strstr(heard, "ban 192.0.2.1 0\n"));
	ck_assert_ptr_nonnull(strstr(heard, "ban 2001:db8:1:2:: 0\n"));
	ck_assert_msg(strstr(heard, "ban 192.0.2.2 599\n") || strstr(heard, "ban 192.0.2.2 600\n"), "%s", heard);
	ck_assert_ptr_null(strstr(heard, "198.51.100"));
	ck_assert_ptr_null(strstr(heard, "203.0.113"));
	helper_says(pbx, client, "ready\n");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "sbc status"), "kernel_bans"), "on");

	struct pbx_border_request scanner = plain;
	scanner.user_agent = "friendly-scanner";
	(void)asks(pbx, "192.0.2.70", &scanner);
	ck_assert_str_eq(helper_heard(client), "ban 192.0.2.70 3601\n");
	(void)fake_command(pbx, "sbc blacklist remove 192.0.2.70");
	ck_assert_str_eq(helper_heard(client), "forgive 192.0.2.70\n");
	(void)fake_command(pbx, "sbc whitelist remove 203.0.113.0/24");
	heard = helper_heard(client);
	ck_assert_msg(strncmp(heard, "forget\n", 7) == 0 && strstr(heard, "ban 203.0.113.7 0\n"), "%s", heard);
	helper_says(pbx, client, "failed the set is full\n");
	ck_assert_uint_eq(fake_log_count(pbx, "kernel_ban_refused"), 1);

	(void)fake_command(pbx, "config unset session_border_controller.kernel_bans");
	fake_pass_ms(pbx, 1100);
	ck_assert_str_eq(helper_heard(client), "forget\n"); /* nobody would keep them up to date */
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "sbc status"), "kernel_bans"), "off");
	ck_assert_int_eq(close(client) | close(listener), 0);
}
END_TEST

START_TEST(a_helper_that_is_not_there_or_goes_is_said_once_and_found_again)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	char path[200];

	(void)snprintf(path, sizeof path, "%s/bans", fake_dir(pbx));
	set(pbx, "kernel_bans", path, 200);
	fake_pass_ms(pbx, 31000);
	ck_assert_uint_eq(fake_log_count(pbx, "kernel_bans_failed"), 1);
	ck_assert_uint_eq(fake_log_count(pbx, "warden-pbx-nftables"), 1);
	int listener = helper_listens(pbx);
	fake_pass_ms(pbx, 11000);
	int client = accept(listener, NULL, NULL);
	ck_assert_str_eq(helper_heard(client), "forget\n");
	helper_says(pbx, client, "ready\n");
	ck_assert_int_eq(close(client), 0);
	fake_pass_ms(pbx, 100);
	fake_settle(pbx);
	ck_assert_uint_eq(fake_log_count(pbx, "kernel_bans_failed"), 2);
	(void)fake_command(pbx, "sbc blacklist add 192.0.2.1");
	ck_assert_uint_eq(packet(pbx, "192.0.2.1"), PBX_BORDER_DROP);
	fake_pass_ms(pbx, 11000);
	client = accept(listener, NULL, NULL);
	ck_assert_str_eq(helper_heard(client), "forget\nban 192.0.2.1 0\n");
	ck_assert_int_eq(close(client) | close(listener), 0);
}
END_TEST

CHECK_MAIN("session_border_controller", networks_are_read_and_written, the_blacklist_keeps_out_and_the_whitelist_goes_before_it,
	   connections_are_asked_about_again_when_somebody_is_kept_out, what_is_no_address_twice_or_not_there_is_refused,
	   lists_outlive_a_restart_and_entries_expire, who_asks_too_often_is_not_answered_and_others_are, a_network_has_a_rate_too,
	   who_goes_on_too_long_is_banned_for_a_while, a_scanner_is_banned_at_once_and_hears_nothing,
	   wrong_passwords_and_junk_are_offences_and_a_registered_phones_address_is_spared,
	   offences_are_written_for_fail2bans_asterisk_filter_and_no_name_ends_a_value, old_offences_are_forgotten,
	   overlong_requests_are_dropped_or_answered_as_is_set, without_being_enabled_everything_passes,
	   only_so_many_calls_come_in_and_emergency_calls_always, a_fresh_copy_goes_on_counting, calls_weigh_what_their_codec_needs,
	   accounts_and_peers_have_limits_of_their_own, only_the_countries_that_are_allowed_are_heard,
	   countries_may_be_refused_for_calls_or_registrations_alone,
	   a_database_that_is_missing_or_broken_refuses_nobody_and_a_new_one_is_taken,
	   the_helper_hears_of_every_ban_and_of_nobody_who_is_let_in, a_helper_that_is_not_there_or_goes_is_said_once_and_found_again)
