/* tests/rtp/test_source.c - one programme, many who hear it */
#include "../check_main.h"
#include "rig.h"

#include <math.h>
#include <rtp/g711.h>
#include <rtp/source.h>
#include <sndfile.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_LISTENERS = 40 };

static struct phone phones[MOST_LISTENERS];
static char paths[4][64];
static int16_t heard[8 * 8000];

static void open_phones(int count, const char *codecs)
{
	for (int i = 0; i < count; i++) {
		phone_init(&phones[i], AF_INET);
		phone_call(&phones[i], (uint64_t)i + 1, codecs);
	}
}

static void close_phones(int count)
{
	for (int i = 0; i < count; i++)
		phone_fini(&phones[i]);
}

static pbx_source open_source(uint32_t count, uint32_t order, int32_t gain_cdb, bool runs_always)
{
	const char *files[4] = { paths[0], paths[1], paths[2], paths[3] };
	struct pbx_source_spec spec = { .size = sizeof spec,
					.name = "music",
					.files = files,
					.file_count = count,
					.order = order,
					.gain_cdb = gain_cdb,
					.runs_always = runs_always };
	pbx_source source;

	ck_assert_int_eq(rtp_driver.source_open(NULL, &spec, &source), PBX_OK);
	return source;
}

static void update(pbx_source source, const char *file)
{
	struct pbx_source_spec spec = {
		.size = sizeof spec, .name = "music", .files = &file, .file_count = 1, .order = PBX_SOURCE_IN_ORDER
	};

	ck_assert_int_eq(rtp_driver.source_update(source, &spec), PBX_OK);
}

static void listen_to(struct phone *phone, pbx_source source, uint64_t tag)
{
	ck_assert_int_eq(rtp_driver.play(phone->stream, &(struct core_play){ .kind = CORE_PLAY_SOURCE, .source = source, .tag = tag }),
			 PBX_OK);
}

static void close_source(pbx_source source)
{
	ck_assert_int_eq(rtp_driver.source_close(source), PBX_OK);
}

static uint64_t frames_decoded(void)
{
	struct rtp_source_totals totals;

	rtp_sources_totals(&totals);
	return totals.frames;
}

static uint32_t sources_running(void)
{
	struct rtp_source_totals totals;

	rtp_sources_totals(&totals);
	return totals.running;
}

/* Skips what a listener may hear before the first frame is there. */
static void skip_silence(const struct phone *phone)
{
	struct heard_packet packet;

	do
		ck_assert(phone_hear(phone, &packet, 30000));
	while (packet.payload[80] == packet.payload[81] && packet.payload[0] == packet.payload[1]);
}

START_TEST(many_listen_and_one_decodes)
{
	rig_start();
	make_wav(paths[0], 600, 16000, 1, 3);
	open_phones(MOST_LISTENERS, "PCMU");
	pbx_source source = open_source(1, PBX_SOURCE_IN_ORDER, 0, false);
	uint32_t listeners;

	for (int i = 0; i < MOST_LISTENERS; i++)
		listen_to(&phones[i], source, 1);
	ck_assert_int_eq(rtp_driver.source_listeners(source, &listeners), PBX_OK);
	ck_assert_uint_eq(listeners, MOST_LISTENERS);
	uint64_t began_ms = rig_now_ms();

	for (int i = 0; i < MOST_LISTENERS; i++) {
		skip_silence(&phones[i]);
		phone_record(&phones[i], RTP_LAW_MU, heard, 1600);
		ck_assert_msg(share_of(heard, 1600, 600) > 0.98, "listener %d", i);
	}
	/* As many frames as time has passed, with those ahead of it: not that many times the listeners. */
	ck_assert_uint_le(frames_decoded(), (rig_now_ms() - began_ms) / 20 + 200);
	for (int i = 0; i < MOST_LISTENERS; i++)
		ck_assert_int_eq(rtp_driver.stop(phones[i].stream), PBX_OK);
	core_loop_settle();
	rig_until(rig_heard.plays == MOST_LISTENERS);
	ck_assert_int_eq(rtp_driver.source_listeners(source, &listeners), PBX_OK);
	ck_assert_uint_eq(listeners, 0);
	close_source(source);
	close_phones(MOST_LISTENERS);
	(void)unlink(paths[0]);
	rig_stop();
}
END_TEST

START_TEST(both_laws_hear_the_same_programme)
{
	rig_start();
	make_wav(paths[0], 600, 8000, 1, 2);
	phone_init(&phones[0], AF_INET);
	phone_call(&phones[0], 1, "PCMU");
	phone_init(&phones[1], AF_INET);
	phone_call(&phones[1], 2, "PCMA");
	pbx_source source = open_source(1, PBX_SOURCE_IN_ORDER, 0, false);

	for (uint32_t law = 0; law < RTP_LAWS; law++)
		listen_to(&phones[law], source, 1);
	for (uint32_t law = 0; law < RTP_LAWS; law++) {
		skip_silence(&phones[law]);
		phone_record(&phones[law], law, heard, 1600);
		ck_assert(share_of(heard, 1600, 600) > 0.98);
	}
	close_source(source);
	close_phones(2);
	(void)unlink(paths[0]);
	rig_stop();
}
END_TEST

START_TEST(time_stands_still_while_nobody_listens)
{
	rig_start();
	make_wav(paths[0], 600, 8000, 1, 2);
	open_phones(1, "PCMU");
	pbx_source quiet = open_source(1, PBX_SOURCE_IN_ORDER, 0, false);

	core_loop_settle();
	ck_assert_uint_eq(frames_decoded(), 0);
	listen_to(&phones[0], quiet, 1);
	skip_silence(&phones[0]);
	rig_until(sources_running() == 1); /* counted when the reader's round is over */
	ck_assert_int_eq(rtp_driver.stop(phones[0].stream), PBX_OK);
	rig_until(sources_running() == 0);
	uint64_t frames = frames_decoded();
	pbx_source always = open_source(1, PBX_SOURCE_IN_ORDER, 0, true);

	rig_until(frames_decoded() >= frames + 100); /* this one runs by itself */
	close_source(quiet);
	close_source(always);
	rig_until(sources_running() == 0);
	close_phones(1);
	(void)unlink(paths[0]);
	rig_stop();
}
END_TEST

/* Two files of half a second: which frequency is heard, tenth of a second by tenth of a second. */
START_TEST(files_follow_each_other_without_a_gap)
{
	int changes = 0;

	rig_start();
	make_wav(paths[0], 500, 8000, 1, 0.5);
	make_wav(paths[1], 1500, 44100, 2, 0.5);
	open_phones(1, "PCMU");
	pbx_source source = open_source(2, PBX_SOURCE_IN_ORDER, 0, false);

	listen_to(&phones[0], source, 1);
	skip_silence(&phones[0]);
	phone_record(&phones[0], RTP_LAW_MU, heard, 16000);
	for (size_t at = 0; at + 160 <= 16000; at += 160)
		ck_assert_msg(level_dbfs(heard + at, 160) > -25, "a hole at %zu", at);
	for (size_t at = 0; at + 1200 <= 16000; at += 40)
		changes += share_of(heard + at, 800, 500) > 0.9 && share_of(heard + at + 800, 400, 1500) > 0.9;
	ck_assert_int_ge(changes, 1);
	close_source(source);
	close_phones(1);
	(void)(unlink(paths[0]) | unlink(paths[1]));
	rig_stop();
}
END_TEST

START_TEST(a_new_list_begins_where_the_present_file_ends)
{
	rig_start();
	make_wav(paths[0], 500, 8000, 1, 1);
	make_wav(paths[1], 1500, 8000, 1, 1);
	open_phones(1, "PCMU");
	pbx_source source = open_source(1, PBX_SOURCE_IN_ORDER, 0, false);

	listen_to(&phones[0], source, 1);
	skip_silence(&phones[0]);
	phone_record(&phones[0], RTP_LAW_MU, heard, 800);
	ck_assert(share_of(heard, 800, 500) > 0.95);
	update(source, paths[1]);
	phone_record(&phones[0], RTP_LAW_MU, heard, 24000);
	for (size_t at = 0; at + 160 <= 24000; at += 160)
		ck_assert_msg(level_dbfs(heard + at, 160) > -25, "a hole at %zu", at);
	ck_assert(share_of(heard + 20000, 4000, 1500) > 0.95);
	ck_assert_int_eq(rig_heard.plays, 0);
	close_source(source);
	close_phones(1);
	(void)(unlink(paths[0]) | unlink(paths[1]));
	rig_stop();
}
END_TEST

START_TEST(gain_makes_it_softer)
{
	double full, softer;

	rig_start();
	make_wav(paths[0], 500, 8000, 1, 2);
	open_phones(2, "PCMU");
	pbx_source loud = open_source(1, PBX_SOURCE_IN_ORDER, 0, false), soft = open_source(1, PBX_SOURCE_IN_ORDER, -1200, false);

	listen_to(&phones[0], loud, 1);
	listen_to(&phones[1], soft, 1);
	skip_silence(&phones[0]);
	phone_record(&phones[0], RTP_LAW_MU, heard, 1600);
	full = level_dbfs(heard, 1600);
	skip_silence(&phones[1]);
	phone_record(&phones[1], RTP_LAW_MU, heard, 1600);
	softer = level_dbfs(heard, 1600);
	ck_assert(full - softer > 11 && full - softer < 13);
	close_source(loud);
	close_source(soft);
	close_phones(2);
	(void)unlink(paths[0]);
	rig_stop();
}
END_TEST

START_TEST(files_that_cannot_be_played_are_skipped)
{
	rig_start();
	(void)snprintf(paths[0], sizeof paths[0], "/nowhere.wav");
	make_wav(paths[1], 800, 8000, 1, 0.5);
	(void)snprintf(paths[2], sizeof paths[2], "/etc/hostname");
	make_wav(paths[3], 800, 8000, 1, 0); /* empty */
	open_phones(1, "PCMU");
	pbx_source source = open_source(4, PBX_SOURCE_SHUFFLED, 0, false);

	listen_to(&phones[0], source, 1);
	skip_silence(&phones[0]);
	phone_record(&phones[0], RTP_LAW_MU, heard, 12000);
	for (size_t at = 0; at + 160 <= 12000; at += 160)
		ck_assert_msg(level_dbfs(heard + at, 160) > -25, "a hole at %zu", at);
	close_source(source);
	close_phones(1);
	(void)(unlink(paths[1]) | unlink(paths[3]));
	rig_stop();
}
END_TEST

START_TEST(whoever_listens_to_a_source_that_closes_is_told)
{
	pbx_source source;

	rig_start();
	make_wav(paths[0], 500, 8000, 1, 2);
	open_phones(1, "PCMU");
	source = open_source(1, PBX_SOURCE_IN_ORDER, 0, false);
	listen_to(&phones[0], source, 9);
	skip_silence(&phones[0]);
	close_source(source);
	rig_until(rig_heard.plays == 1);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FINISHED);
	ck_assert_uint_eq(rig_heard.tag, 9);
	ck_assert_int_eq(rtp_driver.source_close(source), PBX_ENOENT);
	ck_assert_int_eq(rtp_driver.play(phones[0].stream, &(struct core_play){ .kind = CORE_PLAY_SOURCE, .source = source }), PBX_ENOENT);
	ck_assert_int_eq(rtp_driver.source_open(NULL, &(struct pbx_source_spec){ .size = sizeof(struct pbx_source_spec) }, &source),
			 PBX_EINVAL);
	close_phones(1);
	(void)unlink(paths[0]);
	rig_stop();
}
END_TEST

START_TEST(frames_of_any_length_are_cut_from_it)
{
	struct core_stream_config config;

	rig_start();
	make_wav(paths[0], 1000, 8000, 1, 2);
	open_phones(1, "PCMA");
	phone_config(&phones[0], "PCMA", &config);
	config.ptime_ms = 30;
	ck_assert_int_eq(rtp_driver.configure(phones[0].stream, &config), PBX_OK);
	pbx_source source = open_source(1, PBX_SOURCE_RANDOM_START, 0, false);

	listen_to(&phones[0], source, 1);
	skip_silence(&phones[0]);
	phone_record(&phones[0], RTP_LAW_A, heard, 4800);
	ck_assert(share_of(heard, 4800, 1000) > 0.98); /* a frame twice or missing would show */
	close_source(source);
	close_phones(1);
	(void)unlink(paths[0]);
	rig_stop();
}
END_TEST

/* The programme pauses for it and goes on where it stopped. */
START_TEST(announcements_interrupt_the_programme)
{
	int announced = 0, music = 0;
	const char *announcements[] = { paths[1], "/no/such/prompt.wav", paths[2] };
	struct pbx_source_spec spec = { .size = sizeof spec,
					.name = "music",
					.files = &(const char *){ paths[0] },
					.file_count = 1,
					.order = PBX_SOURCE_IN_ORDER,
					.announcements = announcements,
					.announcement_count = 3,
					.announce_every_s = 1 };
	pbx_source source;

	rig_start();
	make_wav(paths[0], 500, 8000, 1, 30);
	make_wav(paths[1], 1500, 8000, 1, 0.5);
	make_wav(paths[2], 2500, 16000, 1, 0.5);
	open_phones(1, "PCMU");
	ck_assert_int_eq(rtp_driver.source_open(NULL, &spec, &source), PBX_OK);
	listen_to(&phones[0], source, 1);
	skip_silence(&phones[0]);
	phone_record(&phones[0], RTP_LAW_MU, heard, 32000);
	for (size_t at = 0; at + 800 <= 32000; at += 800) {
		music += share_of(heard + at, 800, 500) > 0.9;
		announced += share_of(heard + at, 800, 1500) > 0.9 || share_of(heard + at, 800, 2500) > 0.9;
	}
	/* Four seconds: one of music, half of an announcement, and so on, in turn. */
	ck_assert_msg(announced >= 8 && announced <= 11, "%d tenths of announcements", announced);
	ck_assert_msg(music >= 26, "%d tenths of music", music);
	ck_assert(share_of(heard + 8000 + 800, 2000, 1500) > 0.9);
	ck_assert(share_of(heard + 20000 + 800, 2000, 2500) > 0.9);
	close_source(source);
	close_phones(1);
	(void)(unlink(paths[0]) | unlink(paths[1]) | unlink(paths[2]));
	rig_stop();
}
END_TEST

/* A second of nothing, half a second of tone, half of nothing, half of tone, a second of nothing. */
static void make_padded(char path[64], int rate_hz)
{
	static const double parts[] = { 0, 0, 0.25, 0, 0.25, 0, 0 };
	SF_INFO info = { .samplerate = rate_hz, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16 };

	(void)snprintf(path, 64, "/tmp/test_source_XXXXXX");
	SNDFILE *file = sf_open_fd(mkstemp(path), SFM_WRITE, &info, 1);

	for (size_t part = 0; part < 7; part++)
		for (int i = 0; i < rate_hz / 2; i++) {
			float value = (float)(parts[part] * sin(2 * M_PI * 600 * i / rate_hz));

			ck_assert_int_eq(sf_writef_float(file, &value, 1), 1);
		}
	ck_assert_int_eq(sf_close(file), 0);
}

START_TEST(silence_around_a_tune_is_left_out_and_that_within_it_is_not)
{
	int silent = 0;
	struct pbx_source_spec spec = { .size = sizeof spec,
					.name = "music",
					.files = &(const char *){ paths[0] },
					.file_count = 1,
					.order = PBX_SOURCE_IN_ORDER,
					.trims_silence = true };
	pbx_source source;

	rig_start();
	make_padded(paths[0], 16000);
	open_phones(1, "PCMU");
	ck_assert_int_eq(rtp_driver.source_open(NULL, &spec, &source), PBX_OK);
	listen_to(&phones[0], source, 1);
	skip_silence(&phones[0]);
	phone_record(&phones[0], RTP_LAW_MU, heard, 24000);
	for (size_t at = 0; at + 400 <= 24000; at += 400)
		silent += level_dbfs(heard + at, 400) < -45;
	/* Rounds of 1.5 s, half a second of each silent: 20 of 60; with the padding it would be 40. */
	ck_assert_msg(silent >= 17 && silent <= 23, "%d of 60", silent);
	close_source(source);
	close_phones(1);
	(void)unlink(paths[0]);
	rig_stop();
}
END_TEST

/* Two seconds of a tone whose peak this is. */
static void make_tone_of(char path[64], double peak)
{
	SF_INFO info = { .samplerate = 8000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16 };

	(void)snprintf(path, 64, "/tmp/test_source_XXXXXX");
	SNDFILE *file = sf_open_fd(mkstemp(path), SFM_WRITE, &info, 1);

	for (int at = 0; at < 16000; at++) {
		float value = (float)(peak * sin(2 * M_PI * 600 * at / 8000));

		ck_assert_int_eq(sf_writef_float(file, &value, 1), 1);
	}
	ck_assert_int_eq(sf_close(file), 0);
}

START_TEST(levels_bring_soft_and_loud_nearer)
{
	double level[2];
	pbx_source sources[2];

	rig_start();
	open_phones(2, "PCMU");
	make_tone_of(paths[0], 0.04);
	make_tone_of(paths[1], 0.4);
	for (int i = 0; i < 2; i++) {
		struct pbx_source_spec spec = { .size = sizeof spec,
						.name = "music",
						.files = &(const char *){ paths[i] },
						.file_count = 1,
						.order = PBX_SOURCE_IN_ORDER,
						.levels = true,
						.gain_cdb = 0 };

		ck_assert_int_eq(rtp_driver.source_open(NULL, &spec, &sources[i]), PBX_OK);
		listen_to(&phones[i], sources[i], 1);
	}
	for (int i = 0; i < 2; i++)
		skip_silence(&phones[i]);
	for (size_t at = 0; at < 48000; at += 8000) /* second by second: a socket does not hold six */
		for (int i = 0; i < 2; i++) {
			phone_record(&phones[i], RTP_LAW_MU, heard, 8000);
			level[i] = level_dbfs(heard, 8000);
		}
	for (int i = 0; i < 2; i++) {
		close_source(sources[i]);
		(void)unlink(paths[i]);
	}
	close_phones(2);
	rig_stop();
	ck_assert_msg(level[1] - level[0] < 4, "soft %.1f loud %.1f", level[0], level[1]); /* 20 dB apart they were */
	ck_assert(level[1] < -15 && level[1] > -24);
}
END_TEST

CHECK_MAIN("source", many_listen_and_one_decodes, both_laws_hear_the_same_programme, time_stands_still_while_nobody_listens,
	   files_follow_each_other_without_a_gap, a_new_list_begins_where_the_present_file_ends, gain_makes_it_softer,
	   files_that_cannot_be_played_are_skipped, whoever_listens_to_a_source_that_closes_is_told, frames_of_any_length_are_cut_from_it,
	   announcements_interrupt_the_programme, silence_around_a_tune_is_left_out_and_that_within_it_is_not,
	   levels_bring_soft_and_loud_nearer)
