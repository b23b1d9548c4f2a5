/* tests/rtp/test_emodel.c - the model against figures that the Recommendations print */
#include "../check_main.h"
#include <math.h>
#include <rtp/emodel.h>

static struct rtp_score score(const char *codec, double lost_percent, double burst_ratio, double delay_ms)
{
	const struct rtp_way way = { .lost_percent = lost_percent, .burst_ratio = burst_ratio, .delay_ms = delay_ms };
	struct rtp_score ret;

	rtp_emodel(rtp_cost_find(codec, 8000), &way, &ret);
	return ret;
}

#define NEAR(is, should, by) ck_assert_msg(fabs((is) - (should)) <= (by), #is " is %.3f and should be %.3f", (double)(is), (double)(should))

START_TEST(a_rating_means_what_annex_b_says)
{
	/* G.107 Table B.1 */
	static const double table[][2] = { { 90, 4.34 }, { 80, 4.03 }, { 70, 3.60 }, { 60, 3.10 }, { 50, 2.58 } };

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		NEAR(rtp_mos_of_r(table[i][0]), table[i][1], 0.01);
	NEAR(rtp_mos_of_r(93.2), 4.41, 0.005); /* the default connection */
	NEAR(rtp_mos_of_r(0), 1, 0);
	NEAR(rtp_mos_of_r(3), 1, 0); /* never below, where the curve dips */
	NEAR(rtp_mos_of_r(100), 4.5, 0);
	NEAR(rtp_mos_of_r(-20), 1, 0);
	NEAR(rtp_mos_of_r(130), 4.5, 0);
}
END_TEST

START_TEST(loss_costs_g711_and_g729_what_it_should)
{
	static const double lost[] = { 0, 1, 2, 3, 5, 10 };
	static const double g711[] = { 4.41, 4.33, 4.23, 4.13, 3.92, 3.41 }, g729[] = { 4.10, 3.95, 3.79, 3.63, 3.34, 2.75 };

	for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
		NEAR(score("PCMU", lost[i], 1, 0).mos_lq, g711[i], 0.02);
		NEAR(score("G729", lost[i], 1, 0).mos_lq, g729[i], 0.05);
	}
	/* All that is lost: Ie,eff = Ie + (95 - Ie) 100 / (100 + Bpl) */
	NEAR(score("PCMA", 100, 1, 0).r, 93.2 - 95 * 100 / 125.1, 0.001);
}
END_TEST

START_TEST(delay_hurts_who_converses_and_not_who_listens)
{
	static const double delay[] = { 0, 100, 200, 300, 400 }, mos[] = { 4.41, 4.41, 4.34, 3.96, 3.56 };

	for (size_t i = 0; i < sizeof delay / sizeof delay[0]; i++) {
		NEAR(score("PCMU", 0, 1, delay[i]).mos_cq, mos[i], 0.02);
		NEAR(score("PCMU", 0, 1, delay[i]).mos_lq, 4.41, 0.01);
	}
	/* Idd at one second, G.107 (7-27): X = 3.3219, 25 (3.3223 - 3 * 1.1903 + 2) */
	NEAR(93.2 - score("PCMU", 0, 1, 1000).r, 43.8, 0.05);
}
END_TEST

START_TEST(bursts_are_worse_than_single_losses)
{
	double ratio = rtp_burst_ratio(500, 100, 10); /* five at a time */

	NEAR(ratio, 4.5, 0.001);
	ck_assert(score("PCMU", 10, 1, 0).mos_lq - score("PCMU", 10, ratio, 0).mos_lq >= 0.25);
	NEAR(rtp_burst_ratio(100, 90, 10), 1, 0.001); /* what chance makes of 10 % */
	NEAR(rtp_burst_ratio(0, 0, 0), 1, 0);
}
END_TEST

START_TEST(wide_bands_have_scales_of_their_own)
{
	NEAR(score("G722", 0, 1, 0).r, (129.0 - 13) / 1.29, 0.001);
	NEAR(score("G722", 0, 1, 0).mos_lq, rtp_mos_of_r(89.92), 0.001);
	NEAR(score("opus", 0, 1, 0).mos_lq, rtp_mos_of_r((148 - 10.2) / 1.48), 0.001);
	NEAR(score("opus", 4.3, 1, 0).r, (148 - 10.2 - 121.8 / 2) / 1.48, 0.001);
	ck_assert_str_eq(rtp_cost_model(rtp_cost_find("G722", 8000)), "G.107.1");
	ck_assert_str_eq(rtp_cost_model(rtp_cost_find("OPUS", 48000)), "G.107.2");
	ck_assert_str_eq(rtp_cost_model(rtp_cost_find("L16", 8000)), "G.107");
	ck_assert_str_eq(rtp_cost_model(rtp_cost_find("L16", 16000)), "G.107.1");
	ck_assert_str_eq(rtp_cost_model(rtp_cost_find("X-UNHEARD-OF", 8000)), "G.107");
}
END_TEST

CHECK_MAIN("emodel", a_rating_means_what_annex_b_says, loss_costs_g711_and_g729_what_it_should,
	   delay_hurts_who_converses_and_not_who_listens, bursts_are_worse_than_single_losses, wide_bands_have_scales_of_their_own)
