/* tests/core/test_quality.c - how legs sound, who is not heard, and who hears nothing */
#include "../check_main.h"
#include "calls.h"
#include "fake.h"
#include "loop.h"
#include "media_driver.h"
#include <math.h>
#include <pbx/quality.h>
#include <stdlib.h>

static const struct pbx_quality *const quality = &core_quality_service;

static struct fake_pbx *house(const char *yaml)
{
	struct fake_pbx *pbx = fake_pbx_with_settings("", yaml);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	return pbx;
}

static void talk(struct fake_pbx *pbx, pbx_leg *ret_caller, pbx_leg *ret_callee)
{
	*ret_caller = fake_dial(pbx, "1001", "1002");
	*ret_callee = fake_leg(pbx, "1002");
	fake_answer(pbx, *ret_callee);
}

/* Packets come to a leg for so long. */
static void hear_for(struct fake_pbx *pbx, pbx_leg leg, uint32_t ms)
{
	for (uint32_t passed = 0; passed < ms; passed += 500) {
		fake_audio(pbx, leg)->packets_in += 25;
		fake_audio(pbx, leg)->last_packet_at_ms = core_now_ms();
		fake_pass_ms(pbx, 500);
	}
}

START_TEST(who_is_not_heard_within_five_seconds_is_told_of)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	(void)fake_audio(pbx, callee); /* silent from here on */
	fake_pass_ms(pbx, 3900);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_missing"), 0);
	fake_pass_ms(pbx, 1100);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_missing"), 1);
	const char *event = fake_event(pbx, "leg.audio_missing");

	ck_assert_str_eq(fake_json(pbx, event, "way"), "from_party");
	ck_assert_str_eq(fake_json(pbx, event, "number"), "1002");
	ck_assert_str_eq(fake_json(pbx, event, "packets_in"), "0");
	fake_pass_ms(pbx, 20000);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_missing"), 1);
	hear_for(pbx, callee, 2000);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_back"), 1);
	ck_assert_int_ge(atoi(fake_json(pbx, fake_event(pbx, "leg.audio_back"), "for_ms")), 24000);
	fake_pass_ms(pbx, 5000); /* and once more, in the middle */
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_missing"), 2);
}
END_TEST

START_TEST(on_hold_nobody_need_be_heard)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	hear_for(pbx, callee, 2000);
	fake_hold(pbx, callee, true);
	fake_pass_ms(pbx, 30000);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_missing"), 0);
	fake_hold(pbx, callee, false);
	fake_pass_ms(pbx, 3000);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_missing"), 0);
	fake_pass_ms(pbx, 3000);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_missing"), 1);
}
END_TEST

START_TEST(nothing_is_told_where_that_is_not_wanted)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("calls: { no_audio_s: 0 }\n");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	fake_audio(pbx, callee)->peer_deaf = true;
	fake_pass_ms(pbx, 30000);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_missing"), 0);
}
END_TEST

START_TEST(who_reports_to_hear_nothing_is_told_of)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;

	talk(pbx, &caller, &callee);
	hear_for(pbx, callee, 2000);
	fake_audio(pbx, callee)->peer_deaf = true;
	hear_for(pbx, callee, 1500);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_missing"), 1);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "leg.audio_missing"), "way"), "to_party");
	fake_audio(pbx, callee)->peer_deaf = false;
	hear_for(pbx, callee, 1500);
	ck_assert_uint_eq(fake_event_count(pbx, "leg.audio_back"), 1);
}
END_TEST

START_TEST(two_looks_make_the_figures_between_them)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;
	struct pbx_leg_way before = { .size = sizeof before }, now = { .size = sizeof now };
	struct pbx_way_score score = { .size = sizeof score };

	talk(pbx, &caller, &callee);
	*fake_audio(pbx, callee) = (struct core_stream_stats){
		.packets_in = 900, .lost = 100, .judged = 1000, .judged_lost = 100, .runs = 20, .codec = "PCMU"
	};
	ck_assert_int_eq(quality->look(callee, PBX_FROM_PARTY, &before), PBX_OK);
	ck_assert_int_eq(quality->score(NULL, &before, &score), PBX_OK);
	ck_assert(fabs(score.lost_percent - 10) < 0.001);
	ck_assert(fabs(score.burst_ratio - 4.5) < 0.001); /* five at a time */
	ck_assert(fabs(score.mos_lq - 3.02) < 0.02);
	ck_assert_str_eq(score.model, "G.107");

	fake_audio(pbx, callee)->packets_in = 1900;
	fake_audio(pbx, callee)->round_trip_us = 600000;
	ck_assert_int_eq(quality->look(callee, PBX_FROM_PARTY, &now), PBX_OK);
	ck_assert_int_eq(quality->score(&before, &now, &score), PBX_OK);
	ck_assert(score.lost_percent == 0);
	ck_assert(fabs(score.mos_lq - 4.41) < 0.01);
	ck_assert(score.mos_cq < 4);                                      /* 300 ms, and what a phone keeps back */
	ck_assert_int_eq(quality->score(&now, &now, &score), PBX_ENOENT); /* nothing came */

	struct pbx_leg_way later = { .size = sizeof later };

	fake_audio(pbx, callee)->packets_in = 2900;
	fake_audio(pbx, callee)->discarded = 20; /* too late for a jitter buffer of ours, which keeps 60 ms */
	fake_audio(pbx, callee)->buffer_us = 60000;
	ck_assert_int_eq(quality->look(callee, PBX_FROM_PARTY, &later), PBX_OK);
	ck_assert_int_eq(quality->score(&now, &later, &score), PBX_OK);
	ck_assert(fabs(score.lost_percent - 2) < 0.001);
	ck_assert(fabs(score.delay_ms - (300 + 60 + 20)) < 0.001);

	struct core_stream_stats *audio = fake_audio(pbx, callee);

	ck_assert_int_eq(quality->look(callee, PBX_TO_PARTY, &now), PBX_OK);
	ck_assert(!now.known);
	audio->reported_at_ms = core_now_ms();
	audio->reported_packets = audio->packets_out = 1000;
	audio->peer_lost = 20;
	audio->peer_jitter_us = 7000;
	audio->peer_voip = (struct core_voip){ .told = true, .mos_lq_tenths = 37, .mos_cq_tenths = 127, .r = 127 };
	ck_assert_int_eq(quality->look(callee, PBX_TO_PARTY, &now), PBX_OK);
	ck_assert_int_eq(quality->score(NULL, &now, &score), PBX_OK);
	ck_assert(fabs(score.lost_percent - 2) < 0.001);
	ck_assert(now.jitter_ms == 7);
	ck_assert(fabs(now.party_mos_lq - 3.7) < 0.001);
	ck_assert(now.party_mos_cq == 0 && now.party_r == 0);

	fake_hangup(pbx, caller);
	ck_assert_int_eq(quality->look(callee, PBX_FROM_PARTY, &now), PBX_ENOENT);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "leg.ended"), "heard_loss_percent"), "2");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "leg.ended"), "heard_mos"), "3.7");
}
END_TEST

START_TEST(a_call_shows_how_it_sounds)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg caller, callee;
	char line[64];

	talk(pbx, &caller, &callee);
	*fake_audio(pbx, caller) = (struct core_stream_stats){ .packets_in = 980, .lost = 20, .last_packet_at_ms = 1, .codec = "PCMU" };
	(void)snprintf(line, sizeof line, "calls legs %s", fake_json(pbx, fake_command(pbx, "calls list"), "0.call_id"));
	const char *shown = fake_command(pbx, line);

	ck_assert_str_eq(fake_json(pbx, shown, "legs.0.audio.loss_percent"), "2");
	ck_assert_str_eq(fake_json(pbx, shown, "legs.0.audio.mos"), "4.23");
	ck_assert_str_eq(fake_json(pbx, shown, "legs.0.audio.model"), "G.107");
}
END_TEST

CHECK_MAIN("quality", who_is_not_heard_within_five_seconds_is_told_of, on_hold_nobody_need_be_heard,
	   nothing_is_told_where_that_is_not_wanted, who_reports_to_hear_nothing_is_told_of, two_looks_make_the_figures_between_them,
	   a_call_shows_how_it_sounds)
