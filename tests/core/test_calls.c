/* tests/core/test_calls.c - one call from its start to its end: ringing, answering, media, hold, controllers, limits, and what is told about it */
#include "calls_helpers.h"
#include "host.h"
#include "json.h"
#include <arpa/inet.h>
#include <pbx/music.h>

/* The types of all events of calls so far, in order. */
static const char *story(struct fake_pbx *pbx)
{
	static char text[4096];
	struct pbx_json *list = core_json_service.parse(fake_events(pbx, "*"), strlen(fake_events(pbx, "*")), NULL);
	char *at = text;

	*at = '\0';
	for (uint32_t i = 0; i < core_json_service.count(list); i++) {
		const char *type = core_json_service.text(core_json_service.get(core_json_service.at(list, i), "type"));

		if (strncmp(type, "call.", 5) == 0 || strncmp(type, "leg.", 4) == 0 || strncmp(type, "bridge.", 7) == 0)
			at += sprintf(at, "%s%s", at == text ? "" : " ", type);
	}
	core_json_service.free(list);
	return text;
}

static struct core_media_desc speaks(const char *codec, uint8_t type, uint16_t port)
{
	struct core_media_desc desc = { .present = true,
					.rtp.in4 = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(0xC0000201) } },
					.direction = CORE_SEND | CORE_RECV,
					.codec_count = 1 };

	(void)snprintf(desc.codecs[0].name, sizeof desc.codecs[0].name, "%s", codec);
	desc.codecs[0].clock_hz = 8000;
	desc.codecs[0].channels = 1;
	desc.codecs[0].payload_type = type;
	return desc;
}

/* ---- one call ---- */

START_TEST(a_call_from_phone_to_phone_tells_its_whole_story)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller = fake_dial(pbx, "1001", "1002");
	pbx_leg callee = fake_leg(pbx, "1002");

	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_NEW);
	fake_pass_ms(pbx, 200);
	fake_ring(pbx, callee);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_RINGING);
	fake_pass_ms(pbx, 3000);
	fake_answer(pbx, callee);
	ck_assert(fake_talk(pbx, caller, callee));
	fake_pass_ms(pbx, 10000);
	fake_hangup(pbx, callee);
	ck_assert_uint_eq(fake_cause(pbx, caller), PBX_CAUSE_NORMAL);

	ck_assert_str_eq(
		story(pbx),
		"call.started leg.started leg.started leg.ringing leg.ringing call.ringing leg.answered leg.answered call.answered "
		"bridge.entered bridge.entered bridge.left bridge.left leg.ended leg.ended call.ended");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.started"), "from.extension"), "1001");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.answered"), "answered_by.number"), "1002");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.answered"), "ring_ms"), "3000");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.answered"), "pdd_ms"), "200");
	ck_assert_str_eq(ended(pbx, "disposition"), "answered");
	ck_assert_str_eq(ended(pbx, "hangup_by"), "callee");
	ck_assert_str_eq(ended(pbx, "cause"), "normal_clearing");
	ck_assert_str_eq(ended(pbx, "sip_code"), "200");
	ck_assert_str_eq(ended(pbx, "duration_ms"), "13200");
	ck_assert_str_eq(ended(pbx, "billsec_ms"), "10000");
	ck_assert_str_eq(ended(pbx, "ring_ms"), "3000");
	ck_assert_str_eq(ended(pbx, "to.number"), "1002");
}
END_TEST

START_TEST(the_final_answer_of_the_callee_is_the_callers_and_decides_the_disposition)
{
	static const struct {
		uint32_t code;
		const char *disposition, *cause;
	} rows[] = {
		{ 486, "busy", "busy" },
		{ 600, "busy", "busy" },
		{ 480, "no_answer", "no_answer" },
		{ 408, "no_answer", "no_response" },
		{ 603, "declined", "declined" },
		{ 403, "declined", "declined" },
		{ 404, "failed", "not_found" },
		{ 500, "failed", "failure" },
		{ 488, "failed", "no_common_codec" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO(fake_pbx) struct fake_pbx *pbx = house("");
		pbx_leg caller = fake_dial(pbx, "1001", "1002");

		fake_refuse(pbx, fake_leg(pbx, "1002"), rows[i].code);
		ck_assert_uint_eq(fake_sip_code(pbx, caller), rows[i].code);
		ck_assert_str_eq(ended(pbx, "disposition"), rows[i].disposition);
		ck_assert_str_eq(ended(pbx, "cause"), rows[i].cause);
		ck_assert_str_eq(ended(pbx, "hangup_by"), "callee");
		ck_assert_str_eq(ended(pbx, "billsec_ms"), "0");
	}
}
END_TEST

START_TEST(a_phone_rings_for_ring_s_and_then_nobody_has_answered)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("calls:\n  ring_s: 20\n");
	pbx_leg caller = fake_dial(pbx, "1001", "1002"), callee = fake_leg(pbx, "1002");

	fake_ring(pbx, callee);
	fake_pass_ms(pbx, 19999);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_RINGING);
	fake_pass_ms(pbx, 1);
	ck_assert_uint_eq(fake_sip_code(pbx, caller), 480);
	ck_assert_uint_eq(fake_cause(pbx, callee), PBX_CAUSE_NO_ANSWER);
	ck_assert_str_eq(ended(pbx, "disposition"), "no_answer");
	ck_assert_str_eq(ended(pbx, "hangup_by"), "system");
}
END_TEST

START_TEST(a_caller_who_gives_up_cancels_every_phone)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	fake_registered(pbx, "1002");
	pbx_leg caller = fake_dial(pbx, "1001", "1002");

	fake_ring(pbx, fake_leg(pbx, "1002"));
	fake_hangup(pbx, caller);
	ck_assert(!fake_has_leg(pbx, "1002"));
	ck_assert_str_eq(ended(pbx, "disposition"), "cancelled");
	ck_assert_str_eq(ended(pbx, "hangup_by"), "caller");
	ck_assert_str_eq(ended(pbx, "sip_code"), "487");
}
END_TEST

START_TEST(the_first_phone_that_answers_has_the_call_and_the_others_hear_that_it_was_answered_elsewhere)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	fake_registered(pbx, "1002");
	pbx_leg caller = fake_dial(pbx, "1001", "1002");
	pbx_leg winner = fake_leg(pbx, "1002"), loser = core_leg_find(caller)->next->handle;

	if (loser.id == winner.id)
		loser = core_leg_find(winner)->next->handle;
	fake_ring(pbx, loser);
	fake_answer(pbx, winner);
	ck_assert(fake_talk(pbx, caller, winner));
	ck_assert_uint_eq(fake_cause(pbx, loser), PBX_CAUSE_ANSWERED_ELSEWHERE);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "leg.ended"), "answered"), "false");
	fake_hangup(pbx, caller);
	ck_assert_uint_eq(fake_cause(pbx, winner), PBX_CAUSE_NORMAL);
}
END_TEST

START_TEST(an_answer_that_crosses_the_cancel_finds_nobody)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller = fake_dial(pbx, "1001", "1002"), callee = fake_leg(pbx, "1002");
	struct core_media_desc answer = speaks("PCMU", 0, 4000);

	core_leg_on_ended(caller, 0, PBX_CAUSE_NORMAL, true, "");
	core_leg_on_answered(callee, &answer); /* its handle is alive for the last word only */
	fake_settle(pbx);
	core_leg_on_answered(callee, &answer);
	core_leg_on_ringing(callee, 180, NULL);
	core_leg_on_offer(callee, &answer);
	core_leg_on_update_done(callee, PBX_OK, &answer);
	core_leg_on_ended(callee, 487, 0, true, "");
	fake_settle(pbx);
	ck_assert_str_eq(ended(pbx, "disposition"), "cancelled");
	ck_assert_uint_eq(fake_event_count(pbx, "call.answered"), 0);
	/* The phone does not know that it was cancelled before it answered; the fake is told. */
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ENDED);
	ck_assert_int_eq(calls->answer(caller), PBX_ENOENT);
	ck_assert_int_eq(calls->hangup(caller, 16), PBX_ENOENT);
}
END_TEST

START_TEST(a_number_without_a_phone_is_offline_and_one_that_nobody_has_is_not_found)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	(void)fake_account(pbx, "1009");
	pbx_leg caller = fake_dial(pbx, "1001", "1009");

	ck_assert_uint_eq(fake_sip_code(pbx, caller), 480);
	ck_assert_str_eq(ended(pbx, "cause"), "offline");
	ck_assert_str_eq(ended(pbx, "q850_cause"), "20");
	caller = fake_dial(pbx, "1001", "1999");
	ck_assert_uint_eq(fake_sip_code(pbx, caller), 404);
	ck_assert_str_eq(ended(pbx, "disposition"), "failed");
	ck_assert_str_eq(ended(pbx, "cause"), "not_found");
	ck_assert_str_eq(ended(pbx, "hangup_by"), "system");
}
END_TEST

START_TEST(an_account_in_as_many_calls_as_it_may_have_is_busy)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	fake_account(pbx, "1002")->max_calls = 1;
	talk(pbx, &caller, &callee);
	pbx_leg second = fake_dial(pbx, "1003", "1002");
	ck_assert_uint_eq(fake_sip_code(pbx, second), 486);
	ck_assert_str_eq(ended(pbx, "disposition"), "busy");
	fake_hangup(pbx, caller);
	second = fake_dial(pbx, "1003", "1002");
	ck_assert(fake_has_leg(pbx, "1002"));
}
END_TEST

/* ---- media ---- */

START_TEST(the_caller_is_answered_with_what_the_callee_chose)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller = fake_dial(pbx, "1001", "1002"), callee = fake_leg(pbx, "1002");
	struct core_media_desc answer = speaks("PCMA", 8, 4000);

	core_leg_on_answered(callee, &answer);
	fake_settle(pbx);
	const struct core_leg *leg = core_leg_find(caller);
	ck_assert_uint_eq(core_leg_config(leg).codec_count, 1);
	ck_assert_str_eq(core_leg_config(leg).codecs[0].name, "PCMA");
	ck_assert_uint_eq(core_leg_config(leg).dtmf_type, 101); /* keys work although the callee has none */
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(early_media_is_heard_before_the_answer_and_the_answer_repeats_what_was_said)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller = fake_dial(pbx, "1001", "1002"), callee = fake_leg(pbx, "1002");
	struct core_media_desc early = speaks("PCMA", 8, 4000), answer = speaks("PCMU", 0, 4000);

	core_leg_on_ringing(callee, 183, &early);
	fake_settle(pbx);
	ck_assert(fake_hears_leg(pbx, caller, callee));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.ringing"), "early_media"), "true");
	core_leg_on_answered(callee, &answer);
	fake_settle(pbx);
	ck_assert_str_eq(core_leg_config(core_leg_find(caller)).codecs[0].name, "PCMA");
	ck_assert_str_eq(core_leg_config(core_leg_find(callee)).codecs[0].name, "PCMU");
	ck_assert(fake_hears_leg(pbx, caller, callee));
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(an_answer_without_a_common_codec_ends_that_phones_leg)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller = fake_dial(pbx, "1001", "1002"), callee = fake_leg(pbx, "1002");
	struct core_media_desc answer = speaks("G729", 18, 4000);

	core_leg_on_answered(callee, &answer);
	fake_settle(pbx);
	ck_assert_uint_eq(fake_sip_code(pbx, caller), 488);
	ck_assert_uint_eq(fake_cause(pbx, callee), PBX_CAUSE_NOT_ACCEPTABLE);
}
END_TEST

START_TEST(a_phone_that_moves_its_media_is_followed)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;
	struct core_media_desc offer = speaks("PCMU", 0, 7777);

	talk(pbx, &caller, &callee);
	core_leg_on_offer(caller, &offer);
	fake_settle(pbx);
	const struct core_leg *leg = core_leg_find(caller);
	ck_assert_uint_eq(ntohs(core_leg_config(leg).rtp.in4.sin_port), 7777);
	ck_assert(core_leg_config(leg).renegotiated);
	ck_assert(fake_talk(pbx, caller, callee));
	ck_assert_uint_eq(fake_event_count(pbx, "call.hold"), 0);
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(silence_ends_a_call_unless_its_controller_knows_better)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	ck_assert_int_eq(calls->control(fake_host(pbx), callee, &knowing, name_a), PBX_OK);
	fake_lose_media(pbx, callee);
	ck_assert_str_eq(heard.text, "a:media_lost ");
	fake_hangup(pbx, caller);
	fake_hangup(pbx, callee);

	talk(pbx, &caller, &callee);
	fake_lose_media(pbx, callee);
	ck_assert_uint_eq(fake_cause(pbx, caller), PBX_CAUSE_TIMER);
	ck_assert_str_eq(ended(pbx, "cause"), "media_timeout");
	ck_assert_str_eq(ended(pbx, "hangup_by"), "system");
}
END_TEST

/* ---- hold ---- */

static pbx_source default_music, sales_music;

static int music_source(void *self, const char *music_class, pbx_source *ret_source)
{
	(void)self;
	*ret_source = music_class && strcmp(music_class, "sales") == 0 ? sales_music : default_music;
	return PBX_OK;
}

static const struct pbx_music music = { .header = PBX_HEADER(struct pbx_music), .source = music_source };

static void offer_music(struct fake_pbx *pbx)
{
	static const char *const files[] = { "/dev/null" };
	const struct pbx_source_spec first = {
		.size = sizeof first, .name = "default", .files = files, .file_count = 1, .order = PBX_SOURCE_IN_ORDER
	};
	const struct pbx_source_spec second = {
		.size = sizeof second, .name = "sales", .files = files, .file_count = 1, .order = PBX_SOURCE_IN_ORDER
	};

	ck_assert_int_eq(core_media_service.source_open(fake_host(pbx), &first, &default_music), PBX_OK);
	ck_assert_int_eq(core_media_service.source_open(fake_host(pbx), &second, &sales_music), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.music/1", &music), PBX_OK);
}

START_TEST(a_held_party_hears_music_and_the_holder_nothing_until_resumed)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	offer_music(pbx);
	talk(pbx, &caller, &callee);
	fake_hold(pbx, callee, true);
	ck_assert_msg(fake_hears(pbx, caller, "source:default"), "%s", fake_hearing(pbx, caller));
	ck_assert_msg(fake_hears(pbx, callee, "nothing"), "%s", fake_hearing(pbx, callee));
	fake_pass_ms(pbx, 5000);
	fake_hold(pbx, callee, false);
	ck_assert(fake_talk(pbx, caller, callee));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.resume"), "hold_ms"), "5000");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.hold"), "by"), core_leg_find(callee)->id);
	fake_hangup(pbx, caller);
	ck_assert_str_eq(ended(pbx, "hold_ms"), "5000");
}
END_TEST

START_TEST(both_holding_hear_nothing_and_each_resume_counts)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	offer_music(pbx);
	talk(pbx, &caller, &callee);
	fake_hold(pbx, callee, true);
	fake_hold(pbx, caller, true);
	ck_assert(fake_hears(pbx, caller, "nothing") && fake_hears(pbx, callee, "nothing"));
	fake_hold(pbx, callee, false);
	ck_assert(fake_hears(pbx, callee, "source:default") && fake_hears(pbx, caller, "nothing"));
	fake_hold(pbx, caller, false);
	ck_assert(fake_talk(pbx, caller, callee));
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(a_hold_by_address_is_a_hold_and_a_repeated_one_is_not_a_second)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;
	struct core_media_desc offer = speaks("PCMU", 0, 4000);

	offer_music(pbx);
	talk(pbx, &caller, &callee);
	offer.rtp.in4.sin_addr.s_addr = INADDR_ANY;
	core_leg_on_offer(callee, &offer);
	core_leg_on_offer(callee, &offer);
	fake_settle(pbx);
	ck_assert(fake_hears(pbx, caller, "source:default"));
	ck_assert_uint_eq(fake_event_count(pbx, "call.hold"), 1);
	fake_hangup(pbx, caller);
	ck_assert_uint_eq(fake_event_count(pbx, "call.resume"), 1);
}
END_TEST

START_TEST(a_caller_that_holds_before_the_answer_is_not_connected_by_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller = fake_dial(pbx, "1001", "1002"), callee = fake_leg(pbx, "1002");
	struct core_media_desc early = speaks("PCMU", 0, 4000), offer = speaks("PCMU", 0, 4000);

	offer_music(pbx);
	core_leg_on_ringing(callee, 183, &early);
	offer.direction = CORE_SEND;
	core_leg_on_offer(caller, &offer);
	core_leg_on_answered(callee, &early);
	fake_settle(pbx);
	ck_assert(!fake_hears_leg(pbx, callee, caller) && !fake_hears_leg(pbx, caller, callee));
	ck_assert(fake_hears(pbx, callee, "source:default"));
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(the_music_is_the_holders_choice_then_the_holders_accounts_then_the_default)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	offer_music(pbx);
	fake_account(pbx, "1002")->music_class = "sales";
	talk(pbx, &caller, &callee);
	fake_hold(pbx, callee, true);
	ck_assert(fake_hears(pbx, caller, "source:sales"));
	fake_hold(pbx, callee, false);
	ck_assert_int_eq(calls->set_music(callee, "other"), PBX_OK);
	fake_hold(pbx, callee, true);
	ck_assert(fake_hears(pbx, caller, "source:default"));
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(music_whose_source_goes_is_begun_again_but_music_that_cannot_be_played_is_not)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	offer_music(pbx);
	talk(pbx, &caller, &callee);
	fake_hold(pbx, callee, true);
	const struct core_leg *leg = core_leg_find(caller);
	uint64_t first = leg->play_tag;
	core_media_on_play_done(leg->stream, first, PBX_MEDIA_STOPPED);
	ck_assert(leg->play_tag && leg->play_tag != first);
	core_media_on_play_done(leg->stream, leg->play_tag, PBX_MEDIA_FAILED);
	ck_assert_uint_eq(leg->play_tag, 0);
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(music_goes_on_when_another_takes_the_leg_and_wants_the_same)
{
	static const struct pbx_controller other = { .size = sizeof other };
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	offer_music(pbx);
	ck_assert_int_eq(claim(pbx, "*5.", take), PBX_OK);
	pbx_leg caller = fake_dial(pbx, "1001", "*51");
	ck_assert_int_eq(calls->music(caller, NULL), PBX_OK);
	uint32_t begun = fake_plays_begun(pbx, caller);
	ck_assert_int_eq(calls->control(core_self(), caller, &other, NULL), PBX_OK);
	ck_assert_int_eq(calls->music(caller, NULL), PBX_OK);
	fake_settle(pbx);
	ck_assert(fake_hears(pbx, caller, "source:default"));
	ck_assert_uint_eq(fake_plays_begun(pbx, caller), begun);

	ck_assert_int_eq(calls->control(core_self(), caller, &other, pbx), PBX_OK);
	ck_assert_int_eq(calls->music(caller, "sales"), PBX_OK);
	fake_settle(pbx);
	ck_assert(fake_hears(pbx, caller, "source:sales"));
	ck_assert_int_eq(calls->control(core_self(), caller, &other, NULL), PBX_OK);
	fake_settle(pbx);
	ck_assert(fake_hears(pbx, caller, "nothing"));
	fake_hangup(pbx, caller);
}
END_TEST

START_TEST(without_music_a_held_party_hears_silence)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	fake_hold(pbx, callee, true);
	ck_assert(fake_hears(pbx, caller, "nothing"));
	ck_assert_int_eq(calls->music(caller, NULL), PBX_ENOTSUP);
	fake_hangup(pbx, callee);
}
END_TEST

START_TEST(hold_by_rest_makes_the_holder_silent_and_plays_to_the_other)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;
	char path[128];

	offer_music(pbx);
	talk(pbx, &caller, &callee);
	(void)snprintf(path, sizeof path, "/calls/%s:hold", core_leg_find(caller)->call->id);
	(void)fake_http(pbx, "POST", path, "{}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	ck_assert(fake_is_held(pbx, caller) && fake_hears(pbx, callee, "source:default"));
	(void)snprintf(path, sizeof path, "/calls/%s:resume", core_leg_find(caller)->call->id);
	(void)fake_http(pbx, "POST", path, "{}");
	ck_assert(!fake_is_held(pbx, caller) && fake_talk(pbx, caller, callee));
	(void)snprintf(path, sizeof path, "/calls/%s:hangup", core_leg_find(caller)->call->id);
	(void)fake_http(pbx, "POST", path, "{}");
	ck_assert_uint_eq(fake_cause(pbx, callee), PBX_CAUSE_NORMAL);
	ck_assert_str_eq(ended(pbx, "hangup_by"), "system");
}
END_TEST

/* ---- controllers and claims ---- */

START_TEST(a_claim_takes_the_leg_and_hears_of_everything)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(claim(pbx, "*5.", take), PBX_OK);
	pbx_leg caller = fake_dial(pbx, "1001", "*5123");
	struct pbx_leg_info info = { .size = sizeof info };
	ck_assert_int_eq(calls->info(caller, &info), PBX_OK);
	ck_assert_str_eq(info.argument, "123");
	ck_assert_str_eq(info.dialled, "*5123");
	ck_assert_str_eq(info.account, "1001");
	ck_assert_int_eq(calls->play(caller, "welcome"), PBX_OK);
	fake_finish_prompt(pbx, caller);
	fake_digits(pbx, caller, "1#");
	core_leg_on_digit(caller, '5', 100);
	ck_assert_int_eq(calls->set_timeout(caller, 3000), PBX_OK);
	fake_pass_ms(pbx, 3000);
	fake_hold(pbx, caller, true);
	fake_hold(pbx, caller, false);
	fake_hangup(pbx, caller);
	ck_assert_str_eq(heard.text, "a:answered a:media_done a:1 a:# a:5 a:timeout a:held a:resumed a:ended(16) ");
	ck_assert_str_eq(ended(pbx, "disposition"), "answered");
	ck_assert_str_eq(ended(pbx, "hangup_by"), "caller");
}
END_TEST

static void on_digit_down(void *self, pbx_leg leg, char digit)
{
	(void)leg;
	hear("%s:%c… ", (const char *)self, digit);
}

START_TEST(a_key_is_told_when_it_goes_down_and_when_it_is_let_go)
{
	static const struct pbx_controller quick = { .size = sizeof quick, .digit = on_digit, .digit_down = on_digit_down };
	AUTO(fake_pbx) struct fake_pbx *pbx = house("calls:\n  digit_starts: true\n");

	ck_assert_int_eq(claim(pbx, "*50", take), PBX_OK);
	pbx_leg caller = fake_dial(pbx, "1001", "*50");
	ck_assert_int_eq(calls->control(fake_host(pbx), caller, &quick, name_b), PBX_OK);
	heard.text[0] = '\0';
	fake_key_down(pbx, caller, '7');
	ck_assert_str_eq(heard.text, "b:7… ");
	fake_digits(pbx, caller, "7");
	core_leg_on_digit(caller, '7', 100); /* and by INFO: some phones press in two ways at once */
	ck_assert_str_eq(heard.text, "b:7… b:7 ");
	core_leg_on_digit(caller, '5', 100); /* INFO comes when it is over */
	fake_settle(pbx);
	ck_assert_str_eq(heard.text, "b:7… b:7 b:5… b:5 ");
	ck_assert_uint_eq(fake_event_count(pbx, "dtmf.start"), 2);
	ck_assert_uint_eq(fake_event_count(pbx, "dtmf.received"), 2);
	ck_assert_str_eq(fake_json(pbx, fake_events(pbx, "dtmf.start"), "1.data.method"), "info");
}
END_TEST

START_TEST(what_plays_is_steered_by_request)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	char path[80], line[80];

	ck_assert_int_eq(claim(pbx, "*50", take), PBX_OK);
	pbx_leg caller = fake_dial(pbx, "1001", "*50");
	const char *id = fake_json(pbx, fake_events(pbx, "call.started"), "0.call_id");
	(void)snprintf(path, sizeof path, "/calls/%s/playback", id);
	(void)snprintf(line, sizeof line, "calls playback %s seek_ms=500", id);
	(void)fake_http(pbx, "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 409); /* it hears nothing */

	ck_assert_int_eq(calls->play(caller, "welcome"), PBX_OK);
	fake_pass_ms(pbx, 5000);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", path, NULL), "position_ms"), "5000");
	const char *answer = fake_http(pbx, "POST", path, "{\"action\": \"pause\", \"seek_ms\": -2000, \"gain_db\": -6}");
	ck_assert_str_eq(fake_json(pbx, answer, "position_ms"), "3000");
	ck_assert_str_eq(fake_json(pbx, answer, "paused"), "true");
	ck_assert_str_eq(fake_json(pbx, answer, "gain_db"), "-6");
	fake_pass_ms(pbx, 1000);
	ck_assert_uint_eq(fake_playing(pbx, caller).position_ms, 3000);
	(void)fake_http(pbx, "POST", path, "{\"action\": \"resume\"}");
	fake_pass_ms(pbx, 1000);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, line), "position_ms"), "4500");

	(void)fake_http(pbx, "POST", path, "{\"gain_db\": 21}");
	ck_assert_uint_eq(fake_status(pbx), 400);
	(void)fake_http_as(pbx, "bob", "calls:read calls:write", "1002", "POST", path, "{\"action\": \"pause\"}");
	ck_assert_uint_eq(fake_status(pbx), 404); /* it is not his call */
	ck_assert_int_eq(calls->tone(caller, "dial"), PBX_OK);
	(void)fake_http(pbx, "POST", path, "{\"action\": \"pause\"}");
	ck_assert_uint_eq(fake_status(pbx), 409); /* a tone has no place in it */
}
END_TEST

static void leave_alone(void *self, pbx_leg leg)
{
	(void)self;
	(void)leg;
}

START_TEST(a_leg_that_a_claim_leaves_alone_gets_500)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(claim(pbx, "*50", leave_alone), PBX_OK);
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1001", "*50")), 500);
}
END_TEST

static void answer(void *self, pbx_leg leg)
{
	ck_assert_int_eq(calls->control(fake_host(self), leg, &controller, name_a), PBX_OK);
	ck_assert_int_eq(calls->answer(leg), PBX_ENOSPC);
}

START_TEST(who_finds_no_port_left_is_told_that_it_passes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(claim(pbx, "*50", answer), PBX_OK);
	fake_no_ports(pbx, true);
	ck_assert_uint_eq(fake_sip_code(pbx, fake_dial(pbx, "1001", "*50")), 503);
	pbx_leg caller = fake_dial(pbx, "1001", "1002");
	ck_assert_uint_eq(fake_sip_code(pbx, caller), 503);
	ck_assert_uint_eq(fake_cause(pbx, caller), CORE_CAUSE_NO_RESOURCE);
	fake_no_ports(pbx, false);
	talk(pbx, &caller, &(pbx_leg){ 0 });
}
END_TEST

START_TEST(control_takes_a_leg_from_whoever_had_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(claim(pbx, "*50", take), PBX_OK);
	pbx_leg caller = fake_dial(pbx, "1001", "*50");
	ck_assert_int_eq(calls->control(fake_host(pbx), caller, &controller, name_b), PBX_OK);
	ck_assert_int_eq(calls->control(fake_host(pbx), caller, &controller, name_b), PBX_OK); /* itself: nothing is lost */
	fake_digits(pbx, caller, "7");
	ck_assert_int_eq(calls->hangup(caller, PBX_CAUSE_BUSY), PBX_OK);
	fake_settle(pbx);
	ck_assert_str_eq(heard.text, "a:answered a:lost b:7 b:ended(17) ");
	ck_assert_uint_eq(fake_cause(pbx, caller), PBX_CAUSE_BUSY);
}
END_TEST

START_TEST(a_leg_taken_out_of_a_bridge_leaves_a_lonely_one_that_is_hung_up_after_a_while)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	ck_assert_int_eq(calls->control(fake_host(pbx), callee, &controller, name_a), PBX_OK);
	fake_pass_ms(pbx, CORE_LONELY_MS - 1);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ANSWERED);
	ck_assert(fake_hears(pbx, caller, "nothing"));
	fake_pass_ms(pbx, 1);
	ck_assert_uint_eq(fake_cause(pbx, caller), PBX_CAUSE_NORMAL);
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ANSWERED);
	ck_assert_str_eq(heard.text, "");
}
END_TEST

START_TEST(calls_that_meet_share_the_older_ones_linked_id)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_bridge bridge;

	ck_assert_int_eq(claim(pbx, "*50", take), PBX_OK);
	pbx_leg first = fake_dial(pbx, "1001", "*50"), second = fake_dial(pbx, "1002", "*50");
	const char *older = core_leg_find(first)->call->id;
	ck_assert_int_eq(calls->bridge(fake_host(pbx), second, first, &bridge), PBX_OK);
	fake_settle(pbx);
	ck_assert(fake_talk(pbx, first, second));
	ck_assert_str_eq(core_leg_find(second)->call->linked_id, older);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.linked"), "other_call_id"), older);
	ck_assert_str_eq(heard.text, "a:answered a:answered a:lost a:lost ");
	fake_hangup(pbx, second);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 2);
	ck_assert_str_eq(fake_json(pbx, fake_events(pbx, "call.ended"), "0.data.hangup_by"), "callee"); /* seen from the first call */
	ck_assert_str_eq(fake_json(pbx, fake_events(pbx, "call.ended"), "1.data.hangup_by"), "caller");
}
END_TEST

static void typed(void *self, pbx_leg leg)
{
	(void)leg;
	hear("typed(%s) ", (const char *)self);
}

START_TEST(keys_are_heard_in_a_conversation_when_typed_without_a_long_pause)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	ck_assert_int_eq(calls->keys(fake_host(pbx), "##", typed, name_a), PBX_OK);
	ck_assert_int_eq(calls->keys(fake_host(pbx), "*1", typed, name_b), PBX_OK);
	ck_assert_int_eq(calls->keys(core_self(), "#", typed, name_b), PBX_EEXIST);
	ck_assert_int_eq(calls->keys(core_self(), "##1", typed, name_b), PBX_EEXIST);
	ck_assert_int_eq(calls->keys(core_self(), "x", typed, name_b), PBX_EINVAL);
	talk(pbx, &caller, &callee);
	fake_digits(pbx, caller, "1#2#");
	fake_pass_ms(pbx, CORE_KEYS_GAP_MS + 1);
	fake_digits(pbx, caller, "#");
	ck_assert_str_eq(heard.text, "");
	fake_digits(pbx, caller, "#");
	fake_digits(pbx, callee, "#*1");
	ck_assert_str_eq(heard.text, "typed(a) typed(b) ");
	fake_hangup(pbx, caller);
}
END_TEST

/* ---- limits and looks ---- */

START_TEST(a_call_ends_after_max_duration_s)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("calls:\n  max_duration_s: 60\n");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	fake_pass_ms(pbx, 59999);
	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ANSWERED);
	fake_pass_ms(pbx, 1);
	ck_assert_uint_eq(fake_state(pbx, callee), PBX_LEG_ENDED);
	ck_assert_str_eq(ended(pbx, "cause"), "max_duration");
	ck_assert_str_eq(ended(pbx, "billsec_ms"), "60000");
}
END_TEST

START_TEST(wrong_passwords_leave_records_but_do_not_fill_the_disk)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	const struct core_unproven unproven = {
		.from = "1001", .dialled = "1002", .device = "dialler", .address = "192.0.2.7", .sip_code = 407
	};

	fake_pass_ms(pbx, 60000);
	for (int i = 0; i < 1000; i++)
		core_call_on_unproven(&unproven);
	fake_settle(pbx);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 60);
	fake_pass_ms(pbx, 60000);
	core_call_on_unproven(&unproven);
	fake_settle(pbx);
	ck_assert_uint_eq(fake_event_count(pbx, "call.ended"), 61);
	ck_assert_str_eq(fake_json(pbx, fake_events(pbx, "call.ended"), "0.data.cause"), "auth_failed");
}
END_TEST

START_TEST(a_user_sees_only_calls_with_the_own_account)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;
	char path[128];

	talk(pbx, &caller, &callee);
	ck_assert_ptr_nonnull(fake_json(pbx, fake_http(pbx, "GET", "/calls", NULL), "items.0.legs.1.leg_id"));
	ck_assert_ptr_nonnull(fake_json(pbx, fake_command(pbx, "calls list"), "0.call_id"));
	ck_assert_ptr_nonnull(fake_json(pbx, fake_http_as(pbx, "bob", "calls:read", "1002", "GET", "/calls", NULL), "items.0.call_id"));
	ck_assert_ptr_null(fake_json(pbx, fake_http_as(pbx, "eve", "calls:read", "1003", "GET", "/calls", NULL), "items.0"));
	(void)snprintf(path, sizeof path, "/calls/%s", core_leg_find(caller)->call->id);
	(void)fake_http_as(pbx, "eve", "calls:read", "1003", "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	fake_hangup(pbx, caller);
}
END_TEST

CHECK_MAIN("calls", a_call_from_phone_to_phone_tells_its_whole_story,
	   the_final_answer_of_the_callee_is_the_callers_and_decides_the_disposition, a_phone_rings_for_ring_s_and_then_nobody_has_answered,
	   a_caller_who_gives_up_cancels_every_phone,
	   the_first_phone_that_answers_has_the_call_and_the_others_hear_that_it_was_answered_elsewhere,
	   an_answer_that_crosses_the_cancel_finds_nobody, a_number_without_a_phone_is_offline_and_one_that_nobody_has_is_not_found,
	   an_account_in_as_many_calls_as_it_may_have_is_busy, the_caller_is_answered_with_what_the_callee_chose,
	   early_media_is_heard_before_the_answer_and_the_answer_repeats_what_was_said,
	   an_answer_without_a_common_codec_ends_that_phones_leg, a_phone_that_moves_its_media_is_followed,
	   silence_ends_a_call_unless_its_controller_knows_better, a_held_party_hears_music_and_the_holder_nothing_until_resumed,
	   both_holding_hear_nothing_and_each_resume_counts, a_hold_by_address_is_a_hold_and_a_repeated_one_is_not_a_second,
	   a_caller_that_holds_before_the_answer_is_not_connected_by_it,
	   the_music_is_the_holders_choice_then_the_holders_accounts_then_the_default,
	   music_whose_source_goes_is_begun_again_but_music_that_cannot_be_played_is_not,
	   music_goes_on_when_another_takes_the_leg_and_wants_the_same, without_music_a_held_party_hears_silence,
	   hold_by_rest_makes_the_holder_silent_and_plays_to_the_other, a_claim_takes_the_leg_and_hears_of_everything,
	   a_key_is_told_when_it_goes_down_and_when_it_is_let_go, what_plays_is_steered_by_request,
	   who_finds_no_port_left_is_told_that_it_passes, a_leg_that_a_claim_leaves_alone_gets_500, control_takes_a_leg_from_whoever_had_it,
	   a_leg_taken_out_of_a_bridge_leaves_a_lonely_one_that_is_hung_up_after_a_while, calls_that_meet_share_the_older_ones_linked_id,
	   keys_are_heard_in_a_conversation_when_typed_without_a_long_pause, a_call_ends_after_max_duration_s,
	   wrong_passwords_leave_records_but_do_not_fill_the_disk, a_user_sees_only_calls_with_the_own_account)
