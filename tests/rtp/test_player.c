/* tests/rtp/test_player.c - what a phone hears from us, by listening */
#include "../check_main.h"
#include "rig.h"

#include <core/prompts.h>
#include <fcntl.h>
#include <rtp/g711.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct phone alice, bob;
static int16_t heard[8 * 8000];

static void call(const char *codecs)
{
	rig_start();
	phone_init(&alice, AF_INET);
	phone_call(&alice, 1, codecs);
}

static void hang_up(void)
{
	phone_fini(&alice);
	rig_stop();
}

/* Everything that comes until the player says that it is done. */
static size_t record_to_the_end(uint32_t law, int16_t *ret_samples, size_t most)
{
	struct heard_packet packet;
	int plays = rig_heard.plays;
	size_t done = 0;

	while (phone_hear(&alice, &packet, rig_heard.plays == plays ? 1000 : 0)) {
		for (size_t i = 0; i < packet.bytes && done < most; i++)
			ret_samples[done++] = rtp_g711_decode(law, packet.payload[i]);
	}
	rig_until(rig_heard.plays > plays);
	return done;
}

/* Two prompts, the second NULL: one. */
static int play_list(const char *one, const char *two, uint64_t tag)
{
	const char *const list[] = { one, two };
	const struct core_play play = { .kind = CORE_PLAY_FILE, .prompts = list, .prompt_count = two ? 2 : 1, .language = "", .tag = tag };

	return rtp_driver.play(alice.stream, &play);
}

START_TEST(a_beep_is_a_kilohertz_for_half_a_second)
{
	call("PCMU");
	rig_play(alice.stream, CORE_PLAY_TONE, "beep", 7);
	ck_assert_uint_eq(record_to_the_end(RTP_LAW_MU, heard, 8000), 4000);
	ck_assert(share_of(heard, 4000, 1000) > 0.99);
	ck_assert(level_dbfs(heard + 400, 3200) > -17 && level_dbfs(heard + 400, 3200) < -15);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FINISHED);
	ck_assert_uint_eq(rig_heard.tag, 7);
	hang_up();
}
END_TEST

START_TEST(tones_have_the_cadence_of_the_country)
{
	call("PCMA");
	rig_play(alice.stream, CORE_PLAY_TONE, "busy", 1);
	phone_record(&alice, RTP_LAW_A, heard, 12000);
	for (size_t at = 0; at < 12000; at += 8000) { /* 480 and 620 Hz, half a second on, half off, and on again */
		ck_assert(share_of(heard + at, 4000, 480) > 0.45);
		ck_assert(share_of(heard + at, 4000, 620) > 0.45);
	}
	ck_assert(level_dbfs(heard + 4000, 4000) < -60);
	hang_up();
}
END_TEST

START_TEST(an_unknown_tone_is_refused_and_one_country_has_another_dial_tone)
{
	call("PCMU");
	ck_assert_int_eq(rtp_driver.play(alice.stream, &(struct core_play){ .kind = CORE_PLAY_TONE, .text = "gong" }), PBX_EINVAL);
	hang_up();
	rig_settings.country = "de";
	call("PCMU");
	rig_play(alice.stream, CORE_PLAY_TONE, "dial", 1);
	phone_record(&alice, RTP_LAW_MU, heard, 4000);
	ck_assert(share_of(heard, 4000, 425) > 0.98);
	hang_up();
}
END_TEST

START_TEST(packets_follow_each_other_by_the_clock)
{
	enum { PACKETS = 100 };
	struct heard_packet first, packet;

	call("PCMU");
	rig_play(alice.stream, CORE_PLAY_TONE, "dial", 1);
	first = phone_must_hear(&alice);
	ck_assert(first.marker);
	for (uint32_t i = 1; i <= PACKETS; i++) {
		packet = phone_must_hear(&alice);
		ck_assert(!packet.marker);
		ck_assert_uint_eq(packet.ssrc, first.ssrc);
		ck_assert_uint_eq(packet.sequence, (uint16_t)(first.sequence + i));
		ck_assert_uint_eq(packet.timestamp, first.timestamp + 160 * i);
	}
	ck_assert_uint_gt(packet.at_us - first.at_us, (PACKETS - 3) * 20000);
	ck_assert_uint_lt(packet.at_us - first.at_us,
			  (PACKETS + 5) * 20000 + 1000 * rig_stood_still_ms()); /* late wake-ups do not add up */
	hang_up();
}
END_TEST

START_TEST(frames_are_as_long_as_was_agreed)
{
	struct core_stream_config config;

	call("PCMU");
	phone_config(&alice, "PCMU", &config);
	config.ptime_ms = 30;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	rig_play(alice.stream, CORE_PLAY_TONE, "dial", 1);
	ck_assert_uint_eq(phone_must_hear(&alice).bytes, 240);
	phone_record(&alice, RTP_LAW_MU, heard, 8000);
	ck_assert(share_of(heard, 8000, 350) + share_of(heard, 8000, 440) > 0.98);
	hang_up();
}
END_TEST

START_TEST(files_of_any_rate_sound_right_and_last_as_long)
{
	static const struct {
		int rate_hz, channels;
	} kinds[] = { { 8000, 1 }, { 16000, 2 }, { 44100, 1 }, { 48000, 2 } };
	char path[64];

	call("PCMU");
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		make_wav(path, 700, kinds[i].rate_hz, kinds[i].channels, 1.5);
		rig_play(alice.stream, CORE_PLAY_FILE, path, i + 1);
		size_t samples = record_to_the_end(RTP_LAW_MU, heard, sizeof heard / sizeof heard[0]);

		ck_assert_uint_ge(samples, 12000 - 80);
		ck_assert_uint_le(samples, 12000 + 320);
		ck_assert_msg(share_of(heard, 11840, 700) > 0.98, "%d Hz", kinds[i].rate_hz);
		ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FINISHED);
		ck_assert_uint_eq(rig_heard.tag, i + 1);
		ck_assert_int_eq(unlink(path), 0);
	}
	hang_up();
}
END_TEST

START_TEST(what_is_too_high_for_a_telephone_is_not_heard_at_all)
{
	char path[64];

	call("PCMU");
	make_wav(path, 4500, 44100, 1, 1.0);
	rig_play(alice.stream, CORE_PLAY_FILE, path, 1);
	ck_assert_uint_ge(record_to_the_end(RTP_LAW_MU, heard, 8000), 7900);
	ck_assert(level_dbfs(heard + 800, 6400) < -50);
	ck_assert_int_eq(unlink(path), 0);
	hang_up();
}
END_TEST

START_TEST(a_file_that_lies_about_its_length_plays_what_is_there)
{
	char path[64];

	call("PCMU");
	make_wav(path, 500, 8000, 1, 5.0);
	ck_assert_int_eq(truncate(path, 44 + 2 * 6000), 0);
	rig_play(alice.stream, CORE_PLAY_FILE, path, 1);
	size_t samples = record_to_the_end(RTP_LAW_MU, heard, 40000);

	ck_assert_uint_ge(samples, 6000);
	ck_assert_uint_lt(samples, 6160);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FINISHED);
	ck_assert_int_eq(unlink(path), 0);
	hang_up();
}
END_TEST

START_TEST(what_cannot_be_played_is_said_so)
{
	char path[] = "/tmp/rtp-test-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, "this is no sound", 16), 16);
	(void)close(fd);
	call("PCMU");
	ck_assert_int_eq(play_list("/nowhere/at-all.wav", NULL, 1), PBX_EINVAL);
	ck_assert_int_eq(play_list("../etc/passwd", NULL, 2), PBX_EINVAL);
	rig_play(alice.stream, CORE_PLAY_FILE, path, 3);
	rig_until(rig_heard.plays == 1);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FAILED);
	ck_assert_uint_eq(rig_heard.tag, 3);
	ck_assert_int_eq(unlink(path), 0);
	hang_up();
}
END_TEST

/* A folder of prompts with one in it. */
static void make_prompt(char ret_folder[32], char ret_file[64])
{
	char path[64], language[40];
	const char *folders[] = { ret_folder };

	memcpy(ret_folder, "/tmp/rtp-prompts-XXXXXX", 24);
	ck_assert_ptr_nonnull(mkdtemp(ret_folder));
	(void)snprintf(language, sizeof language, "%s/en", ret_folder);
	(void)snprintf(ret_file, 64, "%s/high.wav", language);
	ck_assert_int_eq(mkdir(language, 0700), 0);
	make_wav(path, 900, 16000, 1, 0.3);
	ck_assert_int_eq(rename(path, ret_file), 0);
	ck_assert_int_eq(core_prompts_set(folders, 1, "en"), PBX_OK);
}

static void remove_prompt(const char *folder, const char *file)
{
	char language[40];

	(void)snprintf(language, sizeof language, "%s/en", folder);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(rmdir(language), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	core_prompts_fini();
}

START_TEST(prompts_are_found_by_id_in_the_folders)
{
	char folder[32], file[64];

	call("PCMU");
	make_prompt(folder, file);
	rig_play(alice.stream, CORE_PLAY_FILE, "high", 1);
	ck_assert_uint_ge(record_to_the_end(RTP_LAW_MU, heard, 4000), 2400);
	ck_assert(share_of(heard, 2240, 900) > 0.98);
	remove_prompt(folder, file);
	hang_up();
}
END_TEST

START_TEST(a_list_is_one_sound_without_a_gap)
{
	char folder[32], file[64], low[64];

	call("PCMU");
	make_prompt(folder, file);
	make_wav(low, 400, 8000, 1, 0.31); /* ends in the middle of a frame */
	ck_assert_int_eq(play_list(low, "high", 5), PBX_OK);
	size_t samples = record_to_the_end(RTP_LAW_MU, heard, 8000);

	ck_assert_uint_ge(samples, 4880);
	ck_assert_uint_lt(samples, 4880 + 320);
	ck_assert(share_of(heard, 2400, 400) > 0.98);
	ck_assert(share_of(heard + 2560, 2240, 900) > 0.98);
	ck_assert(level_dbfs(heard + 2400, 160) > level_dbfs(heard, 2400) - 3); /* not even a frame of silence */
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FINISHED);
	ck_assert_uint_eq(rig_heard.tag, 5);
	ck_assert_int_eq(rig_heard.plays, 1);
	ck_assert_int_eq(play_list(low, "no_such", 6), PBX_EINVAL);
	ck_assert_int_eq(unlink(low), 0);
	remove_prompt(folder, file);
	hang_up();
}
END_TEST

START_TEST(the_next_takes_the_place_of_what_plays)
{
	struct heard_packet before, after;

	call("PCMU");
	rig_play(alice.stream, CORE_PLAY_TONE, "dial", 1);
	before = phone_must_hear(&alice);
	rig_play(alice.stream, CORE_PLAY_TONE, "busy", 2);
	rig_until(rig_heard.plays == 1);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_STOPPED);
	ck_assert_uint_eq(rig_heard.tag, 1);
	(void)phone_forget(&alice);
	phone_record(&alice, RTP_LAW_MU, heard, 1600);
	ck_assert(share_of(heard, 1600, 620) > 0.4);
	after = phone_must_hear(&alice);
	ck_assert_uint_eq(after.ssrc, before.ssrc);
	ck_assert_int_eq(rtp_driver.stop(alice.stream), PBX_OK);
	rig_until(rig_heard.plays == 2);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_STOPPED);
	ck_assert_uint_eq(rig_heard.tag, 2);
	(void)phone_forget(&alice);
	ck_assert(!phone_hear(&alice, &after, 60));
	hang_up();
}
END_TEST

START_TEST(a_play_that_was_asked_for_before_the_answer_begins_with_it)
{
	struct core_stream_config config;

	rig_start();
	phone_init(&alice, AF_INET);
	ck_assert_int_eq(rtp_driver.open(1, AF_INET, &alice.stream, &alice.pbx), PBX_OK);
	rig_play(alice.stream, CORE_PLAY_TONE, "beep", 1);
	core_loop_settle();
	phone_config(&alice, "PCMU", &config);
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	ck_assert_uint_eq(record_to_the_end(RTP_LAW_MU, heard, 8000), 4000);
	hang_up();
}
END_TEST

START_TEST(who_takes_no_codec_of_ours_hears_of_failure)
{
	call("G722");
	rig_play(alice.stream, CORE_PLAY_TONE, "beep", 4);
	rig_until(rig_heard.plays == 1);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FAILED);
	hang_up();
}
END_TEST

START_TEST(echo_gives_back_what_was_said)
{
	struct heard_packet packet;

	call("PCMU");
	rig_play(alice.stream, CORE_PLAY_ECHO, NULL, 1);
	for (uint8_t i = 0; i < 10; i++) {
		phone_say(&alice, i);
		packet = phone_must_hear(&alice);
		ck_assert_uint_eq(packet.payload[0], i);
		ck_assert_uint_eq(packet.ssrc, rig_stats(alice.stream).send_ssrc);
		ck_assert(packet.marker == (i == 0));
	}
	hang_up();
}
END_TEST

/* Bob speaks every 20 ms; Alice hears him, then music, then him again. Largest gap between two packets at her ear. */
static uint64_t largest_gap_us(void)
{
	struct heard_packet packet, before = { 0 };
	uint64_t next_us = core_now_us(), gap_us = 0;

	for (int frame = 0; frame < 45;) {
		if (core_now_us() >= next_us) {
			phone_say(&bob, 0x11);
			next_us += 20000;
			frame++;
			if (frame == 15)
				rig_play(alice.stream, CORE_PLAY_TONE, "dial", 1);
			if (frame == 30)
				ck_assert_int_eq(rtp_driver.stop(alice.stream), PBX_OK);
		}
		if (!phone_hear(&alice, &packet, 1))
			continue;
		if (before.at_us) {
			ck_assert_uint_eq(packet.ssrc, before.ssrc);
			ck_assert_uint_eq(packet.sequence, (uint16_t)(before.sequence + 1));
			ck_assert_uint_ge(packet.timestamp - before.timestamp, 160);
			ck_assert_uint_le(packet.timestamp - before.timestamp, 8000);
			if (packet.timestamp - before.timestamp > 160)
				ck_assert(packet.marker);
			gap_us = packet.at_us - before.at_us > gap_us ? packet.at_us - before.at_us : gap_us;
		}
		before = packet;
	}
	return gap_us;
}

START_TEST(from_relay_to_music_and_back_there_is_no_gap)
{
	uint64_t best_us = UINT64_MAX;

	call("PCMU");
	phone_init(&bob, AF_INET);
	phone_call(&bob, 1, "PCMU");
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
	core_loop_settle();
	for (int tries = 0; tries < 5 && best_us > 40000; tries++) { /* a busy machine may stretch one of them */
		uint64_t gap_us = largest_gap_us();

		best_us = gap_us < best_us ? gap_us : best_us;
		(void)phone_forget(&alice);
	}
	ck_assert_uint_le(best_us, 40000);
	phone_fini(&bob);
	hang_up();
}
END_TEST

static struct pbx_file_info probed;
static int probe_result;

static void on_probed(void *self, int result, const struct pbx_file_info *info)
{
	*(bool *)self = true;
	probe_result = result;
	probed = *info;
}

static int probe(const char *path)
{
	bool done = false;

	ck_assert_int_eq(rtp_driver.probe(core_self(), path, on_probed, &done), PBX_OK);
	rig_until(done);
	return probe_result;
}

START_TEST(a_probe_tells_what_a_file_is)
{
	char path[64], brief[64];

	call("PCMU");
	make_wav(path, 440, 16000, 2, 2.5);
	make_wav(brief, 440, 8000, 1, 0.4);
	ck_assert_int_eq(probe(path), PBX_OK);
	ck_assert_uint_eq(probed.rate_hz, 16000);
	ck_assert_uint_eq(probed.channels, 2);
	ck_assert_uint_eq(probed.duration_ms, 2500);
	ck_assert_int_eq(probe(brief), PBX_EINVAL);
	ck_assert_int_eq(probe("/nowhere"), PBX_ENOENT);
	ck_assert_int_eq(probe("/dev/zero"), PBX_EINVAL);
	ck_assert_int_eq(unlink(path) | unlink(brief), 0);
	hang_up();
}
END_TEST

CHECK_MAIN("player", a_beep_is_a_kilohertz_for_half_a_second, tones_have_the_cadence_of_the_country,
	   an_unknown_tone_is_refused_and_one_country_has_another_dial_tone, packets_follow_each_other_by_the_clock,
	   frames_are_as_long_as_was_agreed, files_of_any_rate_sound_right_and_last_as_long,
	   what_is_too_high_for_a_telephone_is_not_heard_at_all, a_file_that_lies_about_its_length_plays_what_is_there,
	   what_cannot_be_played_is_said_so, prompts_are_found_by_id_in_the_folders, a_list_is_one_sound_without_a_gap,
	   the_next_takes_the_place_of_what_plays, a_play_that_was_asked_for_before_the_answer_begins_with_it,
	   who_takes_no_codec_of_ours_hears_of_failure, echo_gives_back_what_was_said, from_relay_to_music_and_back_there_is_no_gap,
	   a_probe_tells_what_a_file_is)
