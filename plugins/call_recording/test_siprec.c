/* call_recording/test_siprec.c - recorders elsewhere: asked in turn, told of who speaks, left and come back to, while the call goes on */
#include "../../tests/check_main.h"
#include "../../tests/fake/fake.h"
#include <pbx/fork.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SDP "application/sdp"
#define METADATA "application/rs-metadata+xml"
#define FIRST "recorder.one"
#define SECOND "recorder.192.0.2.8_5070_tcp"
#define ANSWER                                                                                                                             \
	"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"                                                        \
	"m=audio 4000 RTP/AVP 0 8\r\na=recvonly\r\nm=audio 4010 RTP/AVP 0 8\r\na=recvonly\r\n"
#define ONLY(type)                                                                                                                         \
	"v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP " type "\r\na=recvonly\r\nm=audio 4010 RTP/AVP " type "\r\na=recvonly\r\n"
#define ELSEWHERE "siprec: [one, 'sip:192.0.2.8:5070;transport=tcp'], file: false"

static struct fake_pbx *pbx;
static pbx_leg alice, bob;

static void begin_with(const char *rule)
{
	char settings[600];

	(void)snprintf(settings, sizeof settings,
		       "call_recording:\n  min_duration_s: 0\n  max_duration_s: 600\n"
		       "  recorders: [{name: one, uri: 'sip:rec@192.0.2.7', user: pbx, secret: sesame}]\n"
		       "  rules:\n    - {name: all, extensions: ['1001'], record: always, %s}\n",
		       rule);
	pbx = fake_pbx_with_settings("call_recording", settings);
	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
}

static void talk(void)
{
	alice = fake_dial(pbx, "1001", "1002");
	bob = fake_leg(pbx, "1002");
	fake_answer(pbx, bob);
	ck_assert(fake_talk(pbx, alice, bob));
}

static void begin(void)
{
	begin_with(ELSEWHERE);
	talk();
}

static void end(void)
{
	fake_pbx_free(pbx);
}

static bool says(const char *peer, const char *type, const char *part)
{
	const char *said = fake_session_says(pbx, peer, type);

	return said && strstr(said, part);
}

static const char *active(const char *what)
{
	char path[40];

	(void)snprintf(path, sizeof path, "items.0.%s", what);
	const char *value = fake_json(pbx, fake_http(pbx, "GET", "/recordings/active", NULL), path);

	return value ? value : "";
}

static const char *listed(const char *what)
{
	char path[40];

	(void)snprintf(path, sizeof path, "items.0.%s", what);
	const char *value = fake_json(pbx, fake_http(pbx, "GET", "/recordings", NULL), path);

	return value ? value : "";
}

static void act(const char *action)
{
	char path[100], body[60];

	(void)snprintf(path, sizeof path, "/calls/%s/recording", fake_json(pbx, fake_events(pbx, "call.started"), "0.call_id"));
	(void)snprintf(body, sizeof body, "{\"action\": \"%s\"}", action);
	(void)fake_http(pbx, "POST", path, body);
	ck_assert_uint_eq(fake_status(pbx), 200);
}

static void aimed(pbx_leg leg, const char *where)
{
	const char *aim = fake_fork_aim(leg, PBX_FORK_SAYS);

	ck_assert_msg(aim && strcmp(aim, where) == 0, "%s instead of %s", aim ? aim : "no fork", where);
}

START_TEST(a_recorder_is_told_who_speaks_and_sent_what_they_say)
{
	begin();
	ck_assert_str_eq(fake_peer(pbx, FIRST)->host, "192.0.2.7");
	ck_assert_str_eq(fake_peer(pbx, FIRST)->secret, "sesame");
	ck_assert_str_eq(fake_peer(pbx, SECOND)->transport, "tcp");
	ck_assert(says(FIRST, SDP, "a=label:1\r\na=sendonly") && says(FIRST, SDP, "a=label:2\r\na=sendonly"));
	ck_assert(says(FIRST, METADATA, "complete") && says(FIRST, METADATA, "sip:1001@pbx.test") &&
		  says(FIRST, METADATA, "sip:1002@pbx.test"));
	ck_assert_str_eq(active("recorder_state"), "connecting");
	ck_assert_uint_eq(fake_recorded(alice), PBX_RECORDING_OFF);
	aimed(alice, "");
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	aimed(alice, "192.0.2.9:4000/4001");
	aimed(bob, "192.0.2.9:4010/4011");
	ck_assert_uint_eq(fake_recorded(alice), PBX_RECORDING_ON);
	ck_assert_str_eq(active("recorder"), "one");
	ck_assert_str_eq(active("recorder_state"), "connected");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.session_started"), "recorder"), "one");
	fake_pass_ms(pbx, 5000);
	fake_hangup(pbx, alice);
	ck_assert_ptr_null(fake_session_says(pbx, FIRST, SDP));
	ck_assert_str_eq(listed("outcome"), "stored_remotely");
	ck_assert_str_eq(listed("recorder"), "one");
	ck_assert_str_eq(listed("duration_ms"), "5000");
	end();
}
END_TEST

START_TEST(the_next_is_asked_when_one_refuses_and_all_again_after_a_while)
{
	begin();
	fake_session_answer(pbx, FIRST, 503, NULL);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.session_failed"), "sip_code"), "503");
	ck_assert_uint_eq(fake_session_offers(pbx, SECOND), 1);
	fake_session_answer(pbx, SECOND, 486, NULL);
	ck_assert_str_eq(active("recorder_state"), "waiting");
	static const uint32_t waits_ms[] = { 10000, 30000, 60000, 60000 };

	for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
		fake_pass_ms(pbx, waits_ms[i] - 10);
		ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 0);
		fake_pass_ms(pbx, 10);
		fake_session_answer(pbx, FIRST, 408, NULL);
		fake_session_answer(pbx, SECOND, 408, NULL);
	}
	fake_pass_ms(pbx, 60000);
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	aimed(bob, "192.0.2.9:4010/4011");
	ck_assert(fake_talk(pbx, alice, bob));
	end();
}
END_TEST

START_TEST(one_that_leaves_is_followed_by_the_others_and_two_that_only_drop_are_left_alone)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	fake_session_end(pbx, FIRST, 200);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.session_failed"), "lasted"), "true");
	ck_assert(says(SECOND, METADATA, "complete"));
	fake_session_answer(pbx, SECOND, 200, ANSWER);
	fake_session_end(pbx, SECOND, 408);
	ck_assert_str_eq(active("recorder_state"), "waiting");
	ck_assert_uint_eq(fake_recorded(alice), PBX_RECORDING_OFF);
	fake_pass_ms(pbx, 10000);
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	fake_pass_ms(pbx, 10000);
	fake_session_end(pbx, FIRST, 200); /* this one has kept it for a while */
	fake_session_answer(pbx, SECOND, 200, ANSWER);
	aimed(alice, "192.0.2.9:4000/4001");
	end();
}
END_TEST

START_TEST(what_cannot_be_an_answer_is_as_good_as_a_refusal)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, "v=0\r\n");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.session_failed"), "sip_code"), "488");
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 0);
	fake_session_answer(pbx, SECOND, 200, "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 77\r\nm=audio 4010 RTP/AVP 77\r\n");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.session_failed"), "why"), "it takes none of the codecs");
	end();
}
END_TEST

START_TEST(who_takes_no_stream_at_all_does_not_record)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 0 RTP/AVP 0 8\r\nm=audio 0 RTP/AVP 0 8\r\n");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.session_failed"), "why"), "it takes none of the streams");
	ck_assert_uint_eq(fake_recorded(alice), PBX_RECORDING_OFF);
	ck_assert_uint_eq(fake_session_offers(pbx, SECOND), 1);
	end();
}
END_TEST

START_TEST(an_update_that_nobody_answers_ends_with_the_next_recorder)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	act("pause");
	fake_pass_ms(pbx, 9000);
	ck_assert_str_eq(active("recorder_state"), "connected");
	fake_pass_ms(pbx, 2000);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.session_failed"), "sip_code"), "408");
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 0);
	ck_assert_uint_eq(fake_session_offers(pbx, SECOND), 1);
	end();
}
END_TEST

START_TEST(a_stream_that_is_not_wanted_is_not_sent)
{
	begin();
	fake_session_answer(pbx, FIRST, 200,
			    "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0 8\r\na=recvonly\r\nm=audio 0 RTP/AVP 0 8\r\n");
	aimed(alice, "192.0.2.9:4000/4001");
	aimed(bob, "");
	end();
}
END_TEST

START_TEST(a_pause_stops_at_once_and_goes_on_when_it_is_answered)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	act("pause");
	aimed(alice, "");
	ck_assert(says(FIRST, SDP, "a=label:1\r\na=inactive") && !fake_session_says(pbx, FIRST, METADATA));
	act("resume"); /* while the offer of the pause is under way */
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 2);
	fake_session_answer(pbx, FIRST, 200,
			    "v=0\r\nc=IN IP4 192.0.2.9\r\na=inactive\r\nm=audio 4000 RTP/AVP 0 8\r\nm=audio 4010 RTP/AVP 0 8\r\n");
	aimed(alice, "");
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 3);
	ck_assert(says(FIRST, SDP, "a=label:1\r\na=sendonly"));
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	aimed(alice, "192.0.2.9:4000/4001");
	ck_assert_uint_eq(fake_event_count(pbx, "recording.paused"), 1);
	end();
}
END_TEST

START_TEST(whoever_is_transferred_to_takes_the_place_of_who_left)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	ck_assert_int_eq(fake_transfer(pbx, bob, "1003"), PBX_OK);
	pbx_leg carol = fake_leg(pbx, "1003");
	char told[8192] = "";

	fake_answer(pbx, carol);
	for (uint32_t offers = 1; offers < fake_session_offers(pbx, FIRST);
	     offers++) { /* one for who leaves, one for who comes, or both in one */
		if (fake_session_says(pbx, FIRST, METADATA))
			strncat(told, fake_session_says(pbx, FIRST, METADATA), sizeof told - strlen(told) - 1);
		fake_session_answer(pbx, FIRST, 200, ANSWER);
	}
	ck_assert_ptr_nonnull(strstr(told, "partial"));
	ck_assert_ptr_nonnull(strstr(told, "<disassociate-time>"));
	ck_assert_ptr_nonnull(strstr(told, "sip:1003@pbx.test"));
	ck_assert_ptr_null(strstr(told, "sip:1001@pbx.test"));
	aimed(carol, "192.0.2.9:4010/4011");
	aimed(alice, "192.0.2.9:4000/4001");
	end();
}
END_TEST

START_TEST(it_may_ask_for_all_metadata_and_move_its_ears)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	ck_assert_uint_eq(fake_session_ask(pbx, FIRST, "UPDATE", "application/rs-metadata-request", "<requestsnapshot/>"), 200);
	ck_assert(says(FIRST, METADATA, "complete"));
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	ck_assert_uint_eq(fake_session_ask(pbx, FIRST, "UPDATE", "application/rs-metadata-request", "<requestsnapshot/>"), 500);
	fake_pass_ms(pbx, 1000);
	ck_assert_uint_eq(fake_session_ask(pbx, FIRST, "UPDATE", "application/rs-metadata-request", "<requestsnapshot/>"), 200);
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	ck_assert_uint_eq(fake_session_ask(pbx, FIRST, "INVITE", SDP,
					   "v=0\r\nc=IN IP4 192.0.2.10\r\nm=audio 6000 RTP/AVP 0 8\r\na=recvonly\r\nm=audio 6010 RTP/AVP 0 "
					   "8\r\na=inactive\r\n"),
			  200);
	aimed(alice, "192.0.2.10:6000/6001");
	aimed(bob, "");
	ck_assert(says(FIRST, SDP, "a=label:1\r\na=sendonly") && says(FIRST, SDP, "a=label:2\r\na=inactive"));
	ck_assert_uint_eq(fake_session_ask(pbx, FIRST, "INVITE", SDP, "v=0\r\n"), 488);
	ck_assert_uint_eq(fake_session_ask(pbx, FIRST, "INFO", "text/plain", "hello"), 415);
	aimed(alice, "192.0.2.10:6000/6001");
	end();
}
END_TEST

START_TEST(another_codec_is_told_anew)
{
	begin();
	const char *before = fake_session_says(pbx, FIRST, SDP);
	bool was_pcma = strstr(before, "RTP/AVP 8");

	fake_session_answer(pbx, FIRST, 200, was_pcma ? ONLY("8") : ONLY("0"));
	aimed(alice, "192.0.2.9:4000/4001");
	fake_change_codec(pbx, alice, was_pcma ? "PCMU" : "PCMA");
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 2);
	ck_assert(says(FIRST, SDP, was_pcma ? "RTP/AVP 0" : "RTP/AVP 8"));
	aimed(alice, ""); /* it has not agreed to that yet */
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	aimed(alice, "192.0.2.9:4000/4001");
	end();
}
END_TEST

START_TEST(beside_a_file_both_end_with_the_call)
{
	begin_with("siprec: [one]");
	talk();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	fake_pass_ms(pbx, 4000);
	fake_hangup(pbx, bob);
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 0);
	ck_assert_str_eq(listed("outcome"), "stored");
	ck_assert_str_eq(listed("recorder"), "one");
	end();
}
END_TEST

START_TEST(a_full_disk_ends_the_file_alone)
{
	begin_with("siprec: [one]");
	talk();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	fake_pass_ms(pbx, 4000);
	fake_fill_disk(pbx);
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 1);
	aimed(alice, "192.0.2.9:4000/4001");
	ck_assert_str_eq(active("recorder_state"), "connected");
	ck_assert_uint_eq(fake_recorded(alice), PBX_RECORDING_ON);
	fake_pass_ms(pbx, 1000);
	fake_hangup(pbx, bob);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 2);
	ck_assert_str_eq(listed("outcome"), "stored_remotely");
	ck_assert_str_eq(listed("duration_ms"), "1000");
	end();
}
END_TEST

START_TEST(a_new_version_goes_on_with_what_lasts)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	fake_pass_ms(pbx, 2000);
	ck_assert_int_eq(fake_reload_plugin(pbx, "call_recording"), PBX_OK);
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 1);
	aimed(alice, "192.0.2.9:4000/4001");
	act("pause");
	aimed(alice, "");
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	fake_session_end(pbx, FIRST, 200);
	ck_assert_uint_eq(fake_session_offers(pbx, SECOND), 1);
	fake_session_answer(pbx, SECOND, 503, NULL);
	ck_assert_int_eq(fake_reload_plugin(pbx, "call_recording"), PBX_OK);
	fake_pass_ms(pbx, 10000);
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 1);
	fake_hangup(pbx, alice);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 1);
	end();
}
END_TEST

START_TEST(in_a_room_it_is_sent_what_one_says_and_hears)
{
	pbx = fake_pbx_with_settings("call_recording,conference", "conference:\n  announce: false\n"
								  "call_recording:\n  siprec: ['sip:192.0.2.8:5070;transport=tcp']\n"
								  "  auto_record: true\n  file: false\n");
	fake_registered(pbx, "1001");
	alice = fake_dial(pbx, "1001", "2000");
	ck_assert(says(SECOND, METADATA, "sip:2000@pbx.test") && says(SECOND, SDP, "a=label:2\r\na=sendonly"));
	fake_session_answer(pbx, SECOND, 200, ANSWER);
	aimed(alice, "192.0.2.9:4000/4001");
	ck_assert_str_eq(fake_fork_aim(alice, PBX_FORK_HEARS), "192.0.2.9:4010/4011");
	fake_hangup(pbx, alice);
	ck_assert_str_eq(listed("outcome"), "stored_remotely");
	end();
}
END_TEST

START_TEST(after_a_restart_its_row_is_closed)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	fake_restart(pbx);
	ck_assert_str_eq(listed("outcome"), "stored_remotely");
	ck_assert_str_eq(listed("recorder"), "one");
	ck_assert_str_ne(listed("ended_at"), "");
	end();
}
END_TEST

START_TEST(what_is_only_elsewhere_has_no_file_here)
{
	char path[100], id[27];

	begin();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	fake_hangup(pbx, alice);
	(void)snprintf(id, sizeof id, "%s", listed("id"));
	(void)snprintf(path, sizeof path, "/recordings/%s/audio", id);
	ck_assert_ptr_nonnull(strstr(fake_http(pbx, "GET", path, NULL), "the recorder one has it"));
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)snprintf(path, sizeof path, "/recordings/%s/integrity", id);
	(void)fake_http(pbx, "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)snprintf(path, sizeof path, "/recordings/%s", id);
	(void)fake_http(pbx, "DELETE", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	ck_assert_str_eq(listed("id"), "");
	end();
}
END_TEST

START_TEST(while_all_have_refused_the_call_may_end)
{
	begin();
	fake_session_answer(pbx, FIRST, 503, NULL);
	fake_session_answer(pbx, SECOND, 503, NULL);
	fake_hangup(pbx, bob);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "recording.stopped"), "outcome"), "failed");
	fake_pass_ms(pbx, 10000);
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 0);
	end();
}
END_TEST

START_TEST(a_call_that_needs_its_recorder_ends_without)
{
	begin_with("siprec: [one], siprec_required: true");
	talk();
	fake_session_answer(pbx, FIRST, 503, NULL);
	ck_assert(fake_hears(pbx, alice, "prompt:recording_unavailable"));
	ck_assert(fake_hears(pbx, bob, "prompt:recording_unavailable"));
	fake_finish_prompt(pbx, alice);
	fake_finish_prompt(pbx, bob);
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, bob), PBX_LEG_ENDED);
	end();
}
END_TEST

/* Both hear why, and are hung up: no recorder is asked any more, and nobody is told twice. */
START_TEST(a_new_version_lets_a_call_end_that_nobody_records)
{
	begin_with("siprec: [one], siprec_required: true, file: false");
	talk();
	fake_session_answer(pbx, FIRST, 503, NULL);
	ck_assert(fake_hears(pbx, alice, "prompt:recording_unavailable"));
	ck_assert_int_eq(fake_reload_plugin(pbx, "call_recording"), PBX_OK);
	fake_pass_ms(pbx, 1000);
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 0);
	ck_assert(fake_hears(pbx, alice, "prompt:recording_unavailable"));
	ck_assert(fake_hears(pbx, bob, "prompt:recording_unavailable"));
	ck_assert_uint_eq(fake_event_count(pbx, "recording.session_failed"), 1);
	fake_finish_prompt(pbx, alice);
	fake_finish_prompt(pbx, bob);
	ck_assert_uint_eq(fake_state(pbx, alice), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_state(pbx, bob), PBX_LEG_ENDED);
	ck_assert_uint_eq(fake_event_count(pbx, "recording.stopped"), 1);
	fake_pass_ms(pbx, 60000);
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 0);
	end();
}
END_TEST

START_TEST(it_is_over_when_it_is_as_long_as_may_be)
{
	begin();
	fake_session_answer(pbx, FIRST, 200, ANSWER);
	fake_pass_ms(pbx, 600000);
	ck_assert_uint_eq(fake_session_offers(pbx, FIRST), 0);
	ck_assert_str_eq(listed("duration_ms"), "600000");
	ck_assert(fake_talk(pbx, alice, bob));
	end();
}
END_TEST

static const char *set(const char *option, const char *value)
{
	char path[80], body[300];

	(void)snprintf(path, sizeof path, "/config/call_recording.%s", option);
	(void)snprintf(body, sizeof body, "{\"value\": %s}", value);
	return fake_http(pbx, "PATCH", path, body);
}

static void taken(const char *option, const char *value)
{
	const char *answer = set(option, value);

	ck_assert_msg(fake_status(pbx) == 200, "%s", answer);
}

/* Why a setting cannot be: part of the sentence. */
static void refused(const char *option, const char *value, const char *why)
{
	const char *answer = set(option, value);

	ck_assert_msg(fake_status(pbx) >= 400 && strstr(answer, why), "%s", answer);
}

START_TEST(settings_that_name_no_recorder_are_refused)
{
	pbx = fake_pbx_with("call_recording");
	taken("recorders", "[{\"name\": \"one\", \"uri\": \"sip:192.0.2.7\"}]");
	taken("rules", "[{\"name\": \"all\", \"siprec\": [\"one\"]}]");
	refused("siprec", "[\"nobody\"]", "neither the name of one of recorders nor a SIP URI");
	refused("siprec", "[\"sip:192.0.2.7:70000\"]", "nor a SIP URI");
	refused("siprec", "[\"sip:\"]", "nor a SIP URI");
	refused("siprec", "[\"sip:192.0.2.7;transport=\"]", "nor a SIP URI");
	refused("siprec", "[\"sips:192.0.2.7;transport=udp\"]", "nor a SIP URI"); /* keys would be in clear */
	refused("siprec", "[\"sip:a-host-with-a-name-of-more-than-forty-letters.example.net\"]", "give it a name in recorders");
	static const char *const none[] = { "sip:[]",
					    "sip:[",
					    "sip:[2001:db8::7",
					    "sip:[192.0.2.7]",
					    "sip:[2001:db8::g]",
					    "sip:2001:db8::7",
					    "sip:-",
					    "sip:a-.b",
					    "sip:.",
					    "sip:.a",
					    "sip:a.",
					    "sip:a..b",
					    "sip:a/b",
					    "sip:a%41",
					    "sip:192.0.2",
					    "sip:192.0.2.256",
					    "sip:@192.0.2.7",
					    "sip:a@b@c",
					    "sip:a:0",
					    "sip:a:",
					    "sip:a:+1",
					    "sip:a;",
					    "sip:a;;lr",
					    "sip:[::1]x",
					    "sip:u|v@a",
					    "sips:a\u00e9",
					    "sip:a;transport=much-too-long" };

	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
		char list[80];

		(void)snprintf(list, sizeof list, "[\"%s\"]", none[i]);
		refused("siprec", list, "nor a SIP URI");
	}
	refused("siprec", "[\"one\", \"sip:192.0.2.8\", \"one\"]", "'one' is in this list twice");
	refused("siprec", "[\"sip:a.example\", \"SIP:A.example\"]", "is in this list twice");
	refused("siprec", "[\"one\", \"sip:192.0.2.7\"]", "is in this list twice"); /* is the same one */
	refused("siprec", "[\"sip:one\"]", "would be taken for the recorder that is called so");
	refused("recorders", "[{\"name\": \"one\", \"uri\": \"sip:192.0.2.7\", \"user\": \"a\\\", realm=\\\"b\"}]", "neither");
	refused("recorders", "[{\"name\": \"one\", \"uri\": \"sip:192.0.2.7\", \"user\": \"a\\r\\nX: 1\"}]", "control character");
	refused("recorders", "[{\"name\": \"one\", \"uri\": \"sip:192.0.2.7\", \"secret\": \"a\\nX: 1\"}]", "control character");
	refused("file", "false", "needs a recorder");
	refused("siprec_required", "true", "needs a recorder");
	refused("recorders", "[{\"name\": \"A b\", \"uri\": \"sip:192.0.2.7\"}]", "a-z, 0-9");
	refused("recorders", "[{\"name\": \"one\", \"uri\": \"http://192.0.2.7\"}]", "is no SIP URI");
	refused("recorders", "[]", "neither the name"); /* a rule names one */
	end();
}
END_TEST

START_TEST(a_refused_list_changes_no_recorder)
{
	pbx = fake_pbx_with("call_recording");
	taken("recorders", "[{\"name\": \"one\", \"uri\": \"sip:192.0.2.7\"}, {\"name\": \"two\", \"uri\": \"sip:192.0.2.8\"}]");
	taken("siprec", "[\"one\", \"two\"]");
	refused("recorders",
		"[{\"name\": \"one\", \"uri\": \"sip:192.0.2.9\"}, {\"name\": \"two\", \"uri\": \"sip:192.0.2.8;transport=sctp\"}]",
		"no listener");
	ck_assert_str_eq(fake_peer(pbx, FIRST)->host, "192.0.2.7");
	end();
}
END_TEST

START_TEST(recorders_that_nobody_names_any_more_are_forgotten)
{
	pbx = fake_pbx_with("call_recording");
	taken("rules", "[{\"name\": \"all\", \"siprec\": [\"sip:192.0.2.8:5070;transport=tcp\"]}]");
	ck_assert_ptr_nonnull(fake_peer(pbx, SECOND));
	taken("rules", "[]");
	ck_assert_ptr_null(fake_peer(pbx, SECOND));
	taken("siprec", "[\"sips:[2001:db8::7]\"]");
	ck_assert_str_eq(fake_peer(pbx, "recorder._2001-db8--7_tls")->host, "[2001:db8::7]");
	end();
}
END_TEST

/* What one is to be sent does not go to another. */
START_TEST(no_two_places_are_one_peer)
{
	pbx = fake_pbx_with("call_recording");
	taken("siprec", "[\"sip:a:5070\", \"sip:a-5070\", \"sip:a_5070\"]");
	ck_assert_uint_eq(fake_peer(pbx, "recorder.a_5070")->port, 5070);
	ck_assert_str_eq(fake_peer(pbx, "recorder.a-5070")->host, "a-5070");
	ck_assert_str_eq(fake_peer(pbx, "recorder.a__5070")->host, "a_5070");
	end();
}
END_TEST

static const char *checked(const char *yaml)
{
	char path[200], line[240];
	const char *folder = getenv("TMPDIR");

	(void)snprintf(path, sizeof path, "%s/recorders-XXXXXX", folder ? folder : "/tmp");
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
	(void)close(fd);
	(void)snprintf(line, sizeof line, "config check %s", path);
	const char *answer = fake_command(pbx, line);

	(void)unlink(path);
	return answer;
}

START_TEST(a_wrong_recorder_in_a_file_is_named_by_its_line_and_column)
{
	static const struct {
		const char *yaml, *says;
	} trials[] = {
		{ "call_recording:\n  siprec:\n    - sip:192.0.2.7\n    - 'sip:[]'\n", ":4:7: call_recording.siprec[1]: 'sip:[]'" },
		{ "call_recording:\n  siprec: [sip:a, sip:a]\n", ":2:19: call_recording.siprec[1]: 'sip:a' is in this list twice" },
		{ "call_recording:\n  rules:\n    - {name: all, siprec: [sip:-]}\n", ":3:28: call_recording.rules[0].siprec[0]: 'sip:-'" },
		{ "call_recording:\n  recorders: [{name: one, uri: 'sip:a', user: \"a\\r\\nX: 1\"}]\n",
		  ":2:47: call_recording.recorders[0].user: a line end" },
		{ "call_recording:\n  recorders: [{name: one, uri: 'sip:a', user: 'a\"'}]\n",
		  ":2:47: call_recording.recorders[0].user: neither" },
		{ "call_recording:\n  recorders: [{name: one, uri: 'sip:a', secret: \"a\\tb\"}]\n",
		  ":2:49: call_recording.recorders[0].secret: a line end" },
	};

	pbx = fake_pbx_with("call_recording");
	for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
		const char *answer = checked(trials[i].yaml);

		ck_assert_msg(strstr(answer, trials[i].says), "%s instead of %s", answer, trials[i].says);
	}
	end();
}
END_TEST

CHECK_MAIN("call_recording_siprec", a_wrong_recorder_in_a_file_is_named_by_its_line_and_column, no_two_places_are_one_peer,
	   a_recorder_is_told_who_speaks_and_sent_what_they_say, the_next_is_asked_when_one_refuses_and_all_again_after_a_while,
	   one_that_leaves_is_followed_by_the_others_and_two_that_only_drop_are_left_alone,
	   what_cannot_be_an_answer_is_as_good_as_a_refusal, who_takes_no_stream_at_all_does_not_record,
	   an_update_that_nobody_answers_ends_with_the_next_recorder, a_stream_that_is_not_wanted_is_not_sent,
	   a_pause_stops_at_once_and_goes_on_when_it_is_answered, whoever_is_transferred_to_takes_the_place_of_who_left,
	   it_may_ask_for_all_metadata_and_move_its_ears, another_codec_is_told_anew, beside_a_file_both_end_with_the_call,
	   a_full_disk_ends_the_file_alone, a_new_version_goes_on_with_what_lasts, in_a_room_it_is_sent_what_one_says_and_hears,
	   after_a_restart_its_row_is_closed, what_is_only_elsewhere_has_no_file_here, while_all_have_refused_the_call_may_end,
	   a_call_that_needs_its_recorder_ends_without, a_new_version_lets_a_call_end_that_nobody_records,
	   it_is_over_when_it_is_as_long_as_may_be, settings_that_name_no_recorder_are_refused, a_refused_list_changes_no_recorder,
	   recorders_that_nobody_names_any_more_are_forgotten)
