/* tests/rtp/test_mix.c - phones in one room, by real packets: who hears whom, what everybody hears, and the way from relay to mix and back */
#include "../check_main.h"
#include "rig.h"

#include <math.h>
#include <rtp/g711.h>
#include <string.h>

#define PHONES 3
#define MOST_HEARD (30 * 8000)

static struct phone phones[PHONES];
static int16_t heard[PHONES][MOST_HEARD];
static uint32_t heard_count[PHONES], gaps[PHONES], breaks[PHONES];
static struct heard_packet last[PHONES];
static bool has_last[PHONES], silent[PHONES];
static uint64_t said;       /* samples */
static uint32_t stalled_ms; /* how long this machine has let us wait: no fault of the engine's */
static core_mix mix;

static const double tones_hz[PHONES] = { 440, 660, 880 };
static const char *const codecs[PHONES] = { "PCMU", "PCMA", "PCMU" };
static const struct core_mix_part both = { .talks = true, .hears = true };

static uint32_t law_of(int who)
{
	return strcmp(codecs[who], "PCMA") == 0 ? RTP_LAW_A : RTP_LAW_MU;
}

static void begin(void)
{
	rig_start();
	for (int i = 0; i < PHONES; i++) {
		phone_init(&phones[i], AF_INET);
		phone_call(&phones[i], (uint64_t)i + 1, codecs[i]); /* groups of their own: on different workers */
		has_last[i] = silent[i] = false;
		heard_count[i] = gaps[i] = breaks[i] = 0;
	}
	said = 0;
}

static void end(void)
{
	for (int i = 0; i < PHONES; i++)
		phone_fini(&phones[i]);
	rig_stop();
}

static void say(int who)
{
	uint8_t payload[160];

	for (uint32_t i = 0; i < sizeof payload; i++)
		payload[i] =
			rtp_g711_encode(law_of(who), (int16_t)lround(6000 * sin(2 * M_PI * tones_hz[who] * (double)(said + i) / 8000)));
	phone_send(&phones[who], payload, sizeof payload);
}

static void take(int who)
{
	struct heard_packet packet;

	while (phone_hear(&phones[who], &packet, 0)) {
		if (has_last[who]) {
			breaks[who] += packet.ssrc != last[who].ssrc || packet.sequence != (uint16_t)(last[who].sequence + 1u);
			/* more than 40 ms without a sound */
			gaps[who] += packet.timestamp - last[who].timestamp > 160 + 8 * (40 + stalled_ms);
		}
		last[who] = packet;
		has_last[who] = true;
		for (size_t i = 0; i < packet.bytes && heard_count[who] < MOST_HEARD; i++)
			heard[who][heard_count[who]++] = rtp_g711_decode(law_of(who), packet.payload[i]);
	}
}

/* Everybody who is not silent says so many packets, one every 20 ms. */
static void talk(uint32_t packets)
{
	uint64_t at_ms = rig_now_ms(), before_ms = at_ms;

	for (; packets > 0; packets--) {
		for (int i = 0; i < PHONES; i++)
			if (!silent[i])
				say(i);
		said += 160;
		at_ms += 20;
		while (rig_now_ms() < at_ms) {
			rig_round();
			stalled_ms = rig_now_ms() - before_ms > stalled_ms ? (uint32_t)(rig_now_ms() - before_ms) : stalled_ms;
			before_ms = rig_now_ms();
		}
		for (int i = 0; i < PHONES; i++)
			take(i);
	}
}

static double power_dbfs(int who, double tone_hz)
{
	uint32_t count = 4000;
	const int16_t *samples = heard[who] + heard_count[who] - count;
	double re = 0, im = 0;

	ck_assert_uint_ge(heard_count[who], count);
	for (uint32_t i = 0; i < count; i++) {
		re += samples[i] * cos(2 * M_PI * tone_hz * i / 8000);
		im += samples[i] * sin(2 * M_PI * tone_hz * i / 8000);
	}
	return 20 * log10(2 * sqrt(re * re + im * im) / count / 32768 + 1e-9);
}

static bool hears(int who, int whom)
{
	return power_dbfs(who, tones_hz[whom]) > -20;
}

static bool is_deaf_to(int who, int whom)
{
	return power_dbfs(who, tones_hz[whom]) < -50;
}

/* They talk until it is so: on a machine with much else to do packets are late, and what is late is concealed. */
#define talk_until(condition)                                                                                                              \
	do {                                                                                                                               \
		int tries_ = 0;                                                                                                            \
		do {                                                                                                                       \
			talk(10);                                                                                                          \
			ck_assert_msg(++tries_ < 50, "never came: " #condition);                                                           \
		} while (heard_count[0] < 4000 || heard_count[1] < 4000 || heard_count[2] < 4000 || !(condition));                         \
	} while (0)

static void enter(int who, const struct core_mix_part *part)
{
	ck_assert_int_eq(rtp_driver.mix_enter(mix, phones[who].stream, part), PBX_OK);
}

START_TEST(three_hear_the_two_others_in_their_own_codecs)
{
	begin();
	ck_assert_int_eq(rtp_driver.mix_open(1, true, &mix), PBX_OK);
	for (int i = 0; i < PHONES; i++)
		enter(i, &both);
	talk_until(hears(0, 1) && hears(0, 2) && is_deaf_to(0, 0) && hears(1, 0) && hears(1, 2) && is_deaf_to(1, 1) && hears(2, 0) &&
		   hears(2, 1) && is_deaf_to(2, 2));
	struct core_mix_voice voice;
	ck_assert_int_eq(rtp_driver.mix_voice(phones[0].stream, &voice), PBX_OK);
	ck_assert(voice.talking && voice.level_cdbov > -2000 && voice.level_cdbov < -1500);
	ck_assert_int_eq(rig_heard.talking, 3);
	ck_assert_int_ge(rig_heard.speakers, 1);
	ck_assert_int_eq(rtp_driver.mix_leave(phones[1].stream), PBX_OK);
	talk_until(hears(0, 2) && is_deaf_to(0, 1));
	ck_assert_int_eq(rtp_driver.mix_voice(phones[1].stream, &voice), PBX_ENOENT);
	for (int i = 0; i < PHONES; i += 2)
		ck_assert_msg(breaks[i] == 0 && gaps[i] == 0, "%u breaks, %u gaps", breaks[i], gaps[i]);
	ck_assert_int_eq(rtp_driver.mix_close(mix), PBX_OK);
	ck_assert_int_eq(rtp_driver.mix_close(mix), PBX_ENOENT);
	end();
}
END_TEST

START_TEST(roles_change_while_they_talk)
{
	begin();
	ck_assert_int_eq(rtp_driver.mix_open(1, false, &mix), PBX_OK);
	for (int i = 0; i < PHONES; i++)
		enter(i, &both);
	enter(2, &(struct core_mix_part){ .hears = true, .to = phones[0].stream });
	talk_until(hears(0, 2) && is_deaf_to(1, 2) && hears(2, 0) && hears(2, 1));
	enter(2, &(struct core_mix_part){ .talks = true });
	talk_until(hears(0, 2) && hears(1, 2) && is_deaf_to(2, 0));
	ck_assert_int_eq(rtp_driver.mix_close(mix), PBX_OK);
	end();
}
END_TEST

START_TEST(what_plays_into_it_everybody_hears_and_what_plays_to_one_only_that_one)
{
	const struct core_play beep = { .kind = CORE_PLAY_TONE, .text = "beep", .tag = 5 };

	begin();
	ck_assert_int_eq(rtp_driver.mix_open(1, true, &mix), PBX_OK);
	for (int i = 0; i < PHONES; i++) {
		silent[i] = i > 0;
		enter(i, &both);
	}
	talk_until(hears(1, 0));
	ck_assert_int_eq(rtp_driver.mix_play(mix, &beep), PBX_OK);
	talk_until(power_dbfs(0, 1000) > -30 && power_dbfs(1, 1000) > -30 && power_dbfs(2, 1000) > -30 && hears(1, 0));
	talk_until(rig_heard.plays == 1);
	ck_assert_uint_eq(rig_heard.tag, 5);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FINISHED);
	ck_assert_int_eq(rtp_driver.play(phones[1].stream, &(struct core_play){ .kind = CORE_PLAY_TONE, .text = "congestion", .tag = 6 }),
			 PBX_OK);
	talk_until(is_deaf_to(1, 0) && hears(2, 0));
	ck_assert_int_eq(rtp_driver.stop(phones[1].stream), PBX_OK);
	talk_until(hears(1, 0));
	ck_assert_msg(breaks[1] == 0 && breaks[2] == 0 && gaps[1] == 0, "%u breaks, %u gaps", breaks[1], gaps[1]);
	ck_assert_int_eq(rtp_driver.mix_close(mix), PBX_OK);
	end();
}
END_TEST

START_TEST(from_relay_to_mix_and_back_without_a_gap)
{
	begin();
	ck_assert_int_eq(rtp_driver.connect(phones[0].stream, phones[2].stream), PBX_OK);
	talk(30);
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(rtp_driver.mix_open(1, false, &mix), PBX_OK);
		enter(0, &both);
		enter(2, &both);
		enter(1, &(struct core_mix_part){ .hears = true }); /* somebody listens */
		talk_until(hears(0, 2) && hears(2, 0) && hears(1, 0) && hears(1, 2) && is_deaf_to(0, 1));
		ck_assert_int_eq(rtp_driver.connect(phones[0].stream, phones[2].stream), PBX_OK);
		ck_assert_int_eq(rtp_driver.mix_close(mix), PBX_OK);
		talk_until(hears(0, 2) && hears(2, 0));
	}
	for (int i = 0; i < PHONES; i += 2)
		ck_assert_msg(breaks[i] == 0 && gaps[i] == 0, "%u breaks, %u gaps", breaks[i], gaps[i]);
	end();
}
END_TEST

START_TEST(a_stream_that_closes_and_an_engine_that_stops_leave_nothing)
{
	begin();
	ck_assert_int_eq(rtp_driver.mix_open(1, true, &mix), PBX_OK);
	for (int i = 0; i < PHONES; i++)
		enter(i, &both);
	talk(10);
	phone_fini(&phones[1]);
	phone_init(&phones[1], AF_INET);
	phone_call(&phones[1], 9, codecs[1]);
	enter(1, &both);
	talk(10);
	ck_assert_int_eq(rtp_driver.mix_play(mix, &(struct core_play){ .kind = CORE_PLAY_TONE, .text = "dial", .tag = 7 }), PBX_OK);
	talk(2);
	end();
}
END_TEST

CHECK_MAIN("mix", three_hear_the_two_others_in_their_own_codecs, roles_change_while_they_talk,
	   what_plays_into_it_everybody_hears_and_what_plays_to_one_only_that_one, from_relay_to_mix_and_back_without_a_gap,
	   a_stream_that_closes_and_an_engine_that_stops_leave_nothing)
