/* tests/rtp/test_pair.c - two phones without a common codec hear each other: one speaks L16 at 16 kHz, the other G.711 */
#include "../check_main.h"
#include "rig.h"

#include <math.h>
#include <rtp/g711.h>

#define WIDE_HZ 16000
#define MOST 200

static struct phone alice, bob; /* L16, PCMU */
static uint32_t said;           /* samples of alice's tone */

static void call(void)
{
	rig_call(&alice, "L16", &bob, "PCMU");
	said = 0;
}

static void hang_up(void)
{
	rig_hang_up(&alice, &bob);
}

/* So much of a tone of 1 kHz at -12 dBFS, in her codec. */
static void alice_says(uint32_t ms)
{
	bool wide = alice.type == 117;
	uint32_t rate_hz = wide ? WIDE_HZ : 8000, count = rate_hz / 1000 * ms;
	uint8_t payload[1500];

	for (uint32_t i = 0; i < count; i++) {
		int16_t sample = (int16_t)lrint(8231 * sin(2 * M_PI * 1000 * (double)(said + i) / rate_hz));

		if (wide) {
			payload[2 * i] = (uint8_t)((uint16_t)sample >> 8);
			payload[2 * i + 1] = (uint8_t)sample;
		} else {
			payload[i] = rtp_g711_encode(RTP_LAW_MU, sample);
		}
	}
	said += count;
	phone_send_type(&alice, alice.type, false, payload, wide ? 2 * count : count);
	alice.timestamp += count;
}

/* Alice speaks by the clock, and all that bob hears meanwhile is kept. */
static uint32_t talk(uint32_t packets, uint32_t ms, struct heard_packet *ret_heard, uint32_t most)
{
	uint64_t due_us = core_now_us();
	uint32_t heard = 0;

	for (uint32_t i = 0; i < packets; i++) {
		alice_says(ms);
		due_us += ms * 1000;
		while (core_now_us() < due_us) {
			if (phone_hear(&bob, &ret_heard[heard], 1) && heard + 1 < most)
				heard++;
		}
	}
	return heard;
}

static uint32_t samples_of(const struct heard_packet *packets, uint32_t count, int16_t *ret_samples)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < count; i++)
		for (size_t at = 0; at < packets[i].bytes; at++)
			ret_samples[done++] = rtp_g711_decode(RTP_LAW_MU, packets[i].payload[at]);
	return done;
}

static struct heard_packet heard[MOST];
static int16_t samples[MOST * 240];

/* A call, and what bob hears of so many packets. */
static uint32_t talk_undisturbed(uint32_t packets, uint32_t ms)
{
	uint32_t count;

	call();
	while (count = talk(packets, ms, heard, MOST), rig_must_measure_again()) {
		hang_up();
		call();
	}
	return count;
}

/* One stream: sequence and time go on, whoever feeds it. */
static void check_unbroken(uint32_t count, uint32_t bytes)
{
	for (uint32_t i = 0; i < count; i++) {
		ck_assert_uint_eq(heard[i].type, 0);
		ck_assert_uint_eq(heard[i].bytes, bytes);
		ck_assert_uint_eq(heard[i].ssrc, heard[0].ssrc);
		ck_assert_int_eq(heard[i].marker, i == 0);
		ck_assert_uint_eq(heard[i].sequence, (uint16_t)(heard[0].sequence + i));
		ck_assert_uint_eq(heard[i].timestamp, heard[0].timestamp + i * bytes);
	}
}

START_TEST(what_one_says_in_l16_the_other_hears_in_g711)
{
	uint32_t count = talk_undisturbed(100, 20);

	ck_assert_uint_ge(count, 90);
	check_unbroken(count, 160);
	uint32_t all = samples_of(heard, count, samples);

	ck_assert(share_of(samples + 4000, all - 4000, 1000) > 0.999); /* 30 dB: what G.711 leaves of a tone */
	ck_assert(fabs(level_dbfs(samples + 4000, all - 4000) + 12) < 0.3);
	ck_assert(rig_stats(alice.stream).transcoded);
	hang_up();
}
END_TEST

START_TEST(and_the_other_way_round)
{
	struct heard_packet first, packet;

	call();
	for (int i = 0; i < 10; i++)
		phone_say(&bob, 0x80); /* as loud as can be */
	ck_assert(phone_hear(&alice, &first, 5000));
	ck_assert(phone_hear(&alice, &packet, 5000));
	ck_assert_uint_eq(first.type, 117);
	ck_assert(first.marker);
	ck_assert_uint_eq(packet.bytes, 640);
	ck_assert_uint_eq(packet.timestamp, first.timestamp + 320);
	hang_up();
}
END_TEST

START_TEST(packet_times_need_not_agree)
{
	uint32_t count = talk_undisturbed(60, 30);

	ck_assert_uint_ge(count, 80);
	check_unbroken(count, 160);
	uint32_t all = samples_of(heard, count, samples);

	ck_assert(share_of(samples + 4000, all - 4000, 1000) > 0.999);
	hang_up();
}
END_TEST

START_TEST(a_codec_that_changes_amid_a_call_leaves_no_gap)
{
	struct core_stream_config config;
	uint32_t count;

	call();
	count = talk(50, 20, heard, MOST);
	phone_config(&alice, "PCMU", &config); /* re-INVITE: now they have one in common */
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	alice.type = 0;
	said /= 2; /* her tone goes on */
	count += talk(50, 20, heard + count, MOST - count);
	ck_assert(!rig_stats(alice.stream).transcoded);
	phone_config(&alice, "L16", &config); /* and back */
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	alice.type = 117;
	said *= 2;
	count += talk(50, 20, heard + count, MOST - count);
	ck_assert(rig_stats(alice.stream).transcoded);
	ck_assert_uint_ge(count + rig_stood_still_ms() / 20, 135);
	for (uint32_t i = 1; i < count; i++) {
		ck_assert_uint_eq(heard[i].ssrc, heard[0].ssrc);
		ck_assert_uint_eq(heard[i].sequence, (uint16_t)(heard[0].sequence + i));
		ck_assert_uint_le(heard[i].timestamp - heard[i - 1].timestamp,
				  160 + 480 + 8 * rig_stood_still_ms()); /* 40 ms, and how late this machine may be */
	}
	hang_up();
}
END_TEST

START_TEST(a_tone_is_played_at_the_rate_of_the_leg)
{
	struct heard_packet first = { 0 }, packet;
	uint32_t done = 0;

	call();
	rig_play(alice.stream, CORE_PLAY_TONE, "beep", 3);
	while (rig_heard.plays == 0 || phone_hear(&alice, &packet, 0)) {
		if (rig_heard.plays == 0 && !phone_hear(&alice, &packet, 100))
			continue;
		if (first.bytes == 0)
			first = packet;
		ck_assert_uint_eq(packet.bytes, 640);
		ck_assert_uint_eq(packet.timestamp, first.timestamp + done);
		for (uint32_t i = 0; i < 320; i++)
			samples[done++] = (int16_t)(packet.payload[2 * i] << 8 | packet.payload[2 * i + 1]);
	}
	ck_assert_uint_eq(done, 8000);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FINISHED);
	ck_assert(share_of(samples, done, 500) > 0.99); /* 1 kHz, were it 8,000 samples a second */
	ck_assert(level_dbfs(samples + 800, done - 1600) > -17 && level_dbfs(samples + 800, done - 1600) < -15);
	hang_up();
}
END_TEST

START_TEST(keys_pass_between_packets_of_another_codec)
{
	struct heard_packet key[8];
	uint32_t keys = 0, at_timestamp;

	call();
	(void)talk(20, 20, heard, MOST);
	at_timestamp = alice.timestamp;
	for (uint32_t i = 1; i <= 6; i++) { /* "5" for 100 ms */
		const uint8_t event[] = { 5, (uint8_t)(i >= 5 ? 0x8a : 0x0a), (uint8_t)(i * 160 >> 8), (uint8_t)(i * 160) };

		alice.timestamp = at_timestamp;
		phone_send_type(&alice, 101, i == 1, event, sizeof event);
		rig_until(keys == i || !phone_hear(&bob, &key[keys], 500) || (keys += key[keys].type == 101, false));
	}
	ck_assert_uint_eq(keys, 6);
	for (uint32_t i = 1; i < keys; i++)
		ck_assert_uint_eq(key[i].timestamp, key[0].timestamp);
	rig_until(strcmp(rig_heard.digits, "5") == 0);
	uint32_t count = talk(20, 20, heard, MOST);

	ck_assert_uint_ge(count, 10); /* and the voice comes back */
	hang_up();
}
END_TEST

/* ---- silence ---- */

static void call_with_noise(const char *hers, const char *his)
{
	rig_settings.dtx = true;
	rig_start();
	said = 0;
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	phone_call(&alice, 1, hers);
	phone_call(&bob, 1, his);
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
	core_loop_settle();
}

/* Alice's microphone is open and nobody speaks: so much noise, in L16. */
static void alice_is_silent(uint32_t packets, struct heard_packet *ret_heard, uint32_t *count)
{
	uint64_t due_us = core_now_us();
	uint8_t payload[640];

	for (uint32_t n = 0; n < packets; n++) {
		for (uint32_t i = 0; i < 320; i++) {
			int16_t sample = (int16_t)(random() % 100 - 50);

			payload[2 * i] = (uint8_t)((uint16_t)sample >> 8);
			payload[2 * i + 1] = (uint8_t)sample;
		}
		phone_send_type(&alice, 117, false, payload, sizeof payload);
		alice.timestamp += 320;
		due_us += 20000;
		while (core_now_us() < due_us)
			*count += phone_hear(&bob, &ret_heard[*count], 1) && *count + 1 < MOST;
	}
}

START_TEST(who_takes_comfort_noise_gets_no_sound_while_nobody_speaks)
{
	uint32_t noises = 0, spurts = 0, talked, told = 0;

	call_with_noise("L16", "PCMU CN");
	uint32_t count = talk(30, 20, heard, MOST);

	alice_is_silent(100, heard, &count);
	talked = count;
	count += talk(30, 20, heard + count, MOST - count);
	for (uint32_t i = 1; i < count; i++) {
		ck_assert_uint_eq(heard[i].ssrc, heard[0].ssrc);
		ck_assert_uint_eq(heard[i].sequence, (uint16_t)(heard[0].sequence + i));
		spurts += heard[i].marker;
		if (heard[i].type != 13) {
			ck_assert_uint_eq(heard[i].type, 0);
			continue;
		}
		noises++;
		ck_assert_uint_eq(heard[i].bytes, 11);
		ck_assert(!heard[i].marker);
		told = heard[i].payload[0];
	}
	ck_assert_uint_ge(noises + (rig_stood_still_ms() + 800) / 1000, 2); /* two seconds, of which the machine may have taken one */
	ck_assert_uint_le(noises, 12); /* the end of the last word sounds otherwise every tenth of a second */
	ck_assert_uint_le(told, 66);   /* 29 in 32768 is 61 */
	ck_assert_uint_ge(told, 56);
	ck_assert_uint_eq(spurts, 1); /* the second, beside the first packet of all */
	ck_assert_uint_le(talked, 30 + 12 + 20);
	ck_assert_uint_ge(heard[count - 1].timestamp - heard[0].timestamp + 8 * rig_stood_still_ms(), 150 * 160); /* the clock went on */
	hang_up();
}
END_TEST

START_TEST(who_describes_its_silence_is_heard_so_by_one_who_takes_no_description)
{
	const uint8_t described[] = { 50, 127 };
	struct heard_packet packet;
	uint32_t count = 0;

	call_with_noise("PCMU CN", "PCMU");
	(void)talk(25, 20, heard, MOST);
	phone_send_type(&alice, 13, false, described, sizeof described);
	for (int i = 0; i < 60; i++) {
		ck_assert(phone_hear(&bob, &packet, 5000));
		ck_assert_uint_eq(packet.type, 0);
		for (size_t at = 0; i >= 30 && at < packet.bytes; at++)
			samples[count++] = rtp_g711_decode(RTP_LAW_MU, packet.payload[at]);
	}
	ck_assert(fabs(level_dbfs(samples, count) + 50 - 3) < 2); /* dBov is 3 dB more than a full-scale sine */
	hang_up();
}
END_TEST

START_TEST(between_two_who_take_it_comfort_noise_is_relayed)
{
	const uint8_t described[] = { 50, 127, 130 };
	struct heard_packet packet = { 0 };

	call_with_noise("PCMU CN", "PCMU CN");
	(void)talk(10, 20, heard, MOST);
	phone_send_type(&alice, 13, false, described, sizeof described);
	while (packet.type != 13)
		ck_assert(phone_hear(&bob, &packet, 5000));
	ck_assert_uint_eq(packet.bytes, sizeof described);
	ck_assert_int_eq(memcmp(packet.payload, described, sizeof described), 0);
	hang_up();
}
END_TEST

CHECK_MAIN("pair", what_one_says_in_l16_the_other_hears_in_g711, and_the_other_way_round, packet_times_need_not_agree,
	   a_codec_that_changes_amid_a_call_leaves_no_gap, a_tone_is_played_at_the_rate_of_the_leg,
	   keys_pass_between_packets_of_another_codec, who_takes_comfort_noise_gets_no_sound_while_nobody_speaks,
	   who_describes_its_silence_is_heard_so_by_one_who_takes_no_description, between_two_who_take_it_comfort_noise_is_relayed)
