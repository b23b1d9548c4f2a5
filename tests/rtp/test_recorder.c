/* tests/rtp/test_recorder.c - two phones talk, and the file says what they said */
#include "../check_main.h"
#include "rig.h"

#include <core/owner.h>
#include <math.h>
#include <rtp/g711.h>
#include <rtp/record_file.h>
#include <sndfile.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_FRAMES (8 * 16000)

static struct phone alice, bob;
static char folder[64], path[128];
static struct pbx_record_result result;
static struct pbx_record_mark marks[PBX_RECORD_MOST_MARKS];
static int done;
static pbx_recording recording;
static int16_t both[2 * MOST_FRAMES], left[MOST_FRAMES], right[MOST_FRAMES];
static size_t frames;
static uint32_t spoken[2]; /* samples of each phone's tone */

/* When something was asked for: after the one and before the other. */
struct moment {
	uint64_t first_ms, last_ms;
};
static struct moment began, paused, resumed;

static void on_done(void *self, pbx_recording which, const struct pbx_record_result *came)
{
	(void)self;
	ck_assert_uint_eq(which.id, recording.id);
	ck_assert_uint_le(strlen(came->path), sizeof path - 1);
	result = *came;
	ck_assert_uint_le(came->mark_count, PBX_RECORD_MOST_MARKS);
	memcpy(marks, came->marks, came->mark_count * sizeof *marks);
	done++;
}

static const struct pbx_record_watcher watcher = { .size = sizeof watcher, .done = on_done };

static void call(void)
{
	strcpy(folder, "/tmp/test-recorder-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/a/b/call.wav", folder);
	rig_start();
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	phone_call(&alice, 1, "PCMU");
	phone_call(&bob, 1, "PCMA");
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
}

static void hang_up(void)
{
	char command[128];

	phone_fini(&alice);
	phone_fini(&bob);
	rig_stop();
	(void)snprintf(command, sizeof command, "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static struct pbx_record_spec stereo(const char *format)
{
	return (struct pbx_record_spec){
		.size = sizeof(struct pbx_record_spec), .what = PBX_RECORD_BOTH, .flags = PBX_RECORD_STEREO, .path = path, .format = format
	};
}

/* Notes when it is asked for, however busy the machine is. */
#define AT(moment, expression)                                                                                                             \
	do {                                                                                                                               \
		(moment).first_ms = rig_now_ms();                                                                                          \
		ck_assert_int_eq(expression, PBX_OK);                                                                                      \
		(moment).last_ms = rig_now_ms();                                                                                           \
	} while (0)

static int record(const struct pbx_record_spec *spec)
{
	done = 0;
	began.first_ms = rig_now_ms();
	int err = rtp_driver.record(core_self(), alice.stream, (pbx_leg){ 7 }, spec, &watcher, NULL, &recording);

	began.last_ms = rig_now_ms();
	return err;
}

static void say(struct phone *phone, uint32_t law, double hz, double size, uint32_t *at)
{
	uint8_t payload[160];

	for (uint32_t i = 0; i < 160; i++, (*at)++)
		payload[i] = rtp_g711_encode(law, (int16_t)lround(size * sin(2 * M_PI * hz * *at / 8000)));
	phone_send(phone, payload, sizeof payload);
}

/* Both talk, by the clock: 440 Hz and 660 Hz. */
static void talk(uint32_t ms, double size)
{
	uint64_t begun = rig_now_ms();

	for (uint32_t at = 0; at < ms; at += 20) {
		rig_until(rig_now_ms() >= begun + at);
		say(&alice, RTP_LAW_MU, 440, size, &spoken[0]);
		say(&bob, RTP_LAW_A, 660, size, &spoken[1]);
	}
}

/* As long as it lasted, to a frame. */
static void took(uint64_t ms, struct moment from, struct moment until)
{
	ck_assert_uint_ge(ms + 20, until.first_ms - from.last_ms);
	ck_assert_uint_le(ms, until.last_ms - from.first_ms + 20);
}

static void end(void)
{
	rig_until(done);
	ck_assert_int_eq(done, 1);
}

static void read_file(int channels, int rate_hz)
{
	SF_INFO info = { 0 };
	SNDFILE *file = sf_open(path, SFM_READ, &info);

	ck_assert_msg(file != NULL, "%s: %s", path, sf_strerror(NULL));
	ck_assert_int_eq(info.channels, channels);
	ck_assert_int_eq(info.samplerate, rate_hz);
	frames = (size_t)sf_readf_short(file, both, MOST_FRAMES);
	(void)sf_close(file);
	for (size_t i = 0; i < frames; i++) {
		left[i] = both[i * (size_t)channels];
		right[i] = both[i * (size_t)channels + (size_t)channels - 1];
	}
}

START_TEST(each_party_has_a_channel_alone)
{
	const struct pbx_record_spec spec = stereo("wav");
	struct stat file;

	call();
	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(1500, 8000);
	struct moment stopped;

	AT(stopped, rtp_driver.record_stop(recording));
	end();
	ck_assert_uint_eq(result.how, PBX_RECORDED_STOPPED);
	took(result.duration_ms, began, stopped);
	ck_assert_uint_eq(result.gaps_ms, 0);
	ck_assert_int_ge(result.peak_cdb[0], -1600);
	ck_assert_int_eq(stat(path, &file), 0);
	ck_assert_uint_eq(file.st_mode & 0777, 0640);
	ck_assert_uint_eq((uint64_t)file.st_size, result.size_bytes);
	read_file(2, 8000);
	ck_assert_uint_eq(frames * 1000 / 8000, result.duration_ms);
	ck_assert(share_of(left + 2000, 8000, 440) > 0.99);
	ck_assert(share_of(left + 2000, 8000, 660) < 0.00001); /* -50 dB */
	ck_assert(share_of(right + 2000, 8000, 660) > 0.99);
	ck_assert(share_of(right + 2000, 8000, 440) < 0.00001);
	hang_up();
}
END_TEST

START_TEST(every_format_is_what_it_says)
{
	static const struct {
		const char *format;
		double share;
	} formats[] = { { "flac", 0.99 }, { "ogg-opus", 0.95 }, { "mp3", 0.95 } };

	call();
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		struct pbx_record_spec spec = stereo(formats[i].format);

		spec.rate_hz = 16000;
		ck_assert_int_eq(record(&spec), PBX_OK);
		talk(1200, 8000);
		ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_OK);
		end();
		ck_assert_int_eq(result.error, PBX_OK);
		read_file(2, 16000);
		ck_assert_uint_ge(frames, 16000 * 11 / 10);
		for (size_t at = 0; at < 4000; at++)
			left[at] = left[8000 + 2 * at]; /* share_of counts in 8 kHz */
		ck_assert_msg(share_of(left, 4000, 440) > formats[i].share, "%s: %f", spec.format, share_of(left, 4000, 440));
		ck_assert_int_eq(unlink(path), 0);
	}
	hang_up();
}
END_TEST

START_TEST(one_channel_has_both)
{
	struct pbx_record_spec spec = stereo("wav");

	call();
	spec.flags = 0;
	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(1000, 4000);
	ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_OK);
	end();
	read_file(1, 8000);
	ck_assert(share_of(left + 1600, 4800, 440) > 0.45);
	ck_assert(share_of(left + 1600, 4800, 660) > 0.45);
	hang_up();
}
END_TEST

/* 16 kHz through and through: what a tone of 5 kHz needs. */
START_TEST(a_wideband_codec_is_recorded_as_wide_as_it_is)
{
	const struct pbx_record_spec spec = stereo("wav");
	struct core_stream_config config;
	uint8_t payload[640];
	uint32_t spoken_at = 0;

	call();
	phone_config(&alice, "L16", &config);
	config.codecs[0].clock_hz = 16000;
	config.codecs[0].payload_type = config.receive_types[0] = 97;
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	ck_assert_int_eq(record(&spec), PBX_OK);
	for (uint64_t begun = rig_now_ms(), at_ms = 0; at_ms < 1000; at_ms += 20) {
		rig_until(rig_now_ms() >= begun + at_ms);
		for (size_t i = 0; i < sizeof payload; i += 2, spoken_at++) {
			int16_t sample = (int16_t)lround(8000 * sin(2 * M_PI * 5000 * spoken_at / 16000));

			payload[i] = (uint8_t)((uint16_t)sample >> 8);
			payload[i + 1] = (uint8_t)sample;
		}
		phone_send_type(&alice, 97, false, payload, sizeof payload);
		alice.timestamp += 320;
	}
	ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_OK);
	end();
	read_file(2, 16000);
	ck_assert_uint_ge(frames, 15000);
	ck_assert(share_of(left + 2000, 8000, 2500) > 0.99); /* share_of counts in 8 kHz */
	hang_up();
}
END_TEST

START_TEST(both_hear_that_they_are_recorded)
{
	struct pbx_record_spec spec = stereo("wav");
	size_t beeps[2] = { 0 };

	call();
	spec.beep_s = 1;
	ck_assert_int_eq(record(&spec), PBX_OK);
	for (uint64_t begun = rig_now_ms(), at_ms = 0; at_ms < 2200; at_ms += 20) {
		const struct phone *phones[] = { &alice, &bob };

		rig_until(rig_now_ms() >= begun + at_ms);
		talk(20, 1000);
		for (int i = 0; i < 2; i++) {
			struct heard_packet packet;

			while (phone_hear(phones[i], &packet, 0)) {
				for (size_t at = 0; at < packet.bytes; at++)
					left[at] = rtp_g711_decode(i ? RTP_LAW_A : RTP_LAW_MU, packet.payload[at]);
				beeps[i] += share_of(left, packet.bytes, 1400) > 0.5;
			}
		}
	}
	ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_OK);
	end();
	uint64_t seconds = (rig_now_ms() - began.first_ms) / 1000; /* on a slow machine it took longer */

	for (int i = 0; i < 2; i++)
		ck_assert_msg(beeps[i] >= 12 && beeps[i] <= 16 + 10 * seconds, "%zu packets of beep", beeps[i]); /* 10 a second */
	hang_up();
}
END_TEST

START_TEST(what_the_pbx_plays_is_heard_in_it)
{
	const struct pbx_record_spec spec = stereo("wav");

	call();
	ck_assert_int_eq(record(&spec), PBX_OK);
	rig_play(alice.stream, CORE_PLAY_TONE, "beep", 1);
	rig_until(rig_heard.plays == 1);
	ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_OK);
	end();
	read_file(2, 8000);
	ck_assert_uint_ge(frames, 3900);
	ck_assert(share_of(right + 800, 2400, 1000) > 0.99);
	ck_assert_int_eq(result.mean_cdb[0], -10000);
	hang_up();
}
END_TEST

/* Talks, pauses, talks; stopped then. */
static struct moment pause_for(uint32_t how)
{
	const struct pbx_record_spec spec = stereo("wav");

	call();
	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(600, 8000);
	struct moment stopped;

	AT(paused, rtp_driver.record_pause(recording, how));
	ck_assert_int_eq(rtp_driver.record_pause(recording, how), PBX_ESTATE);
	talk(600, 8000);
	AT(resumed, rtp_driver.record_resume(recording));
	ck_assert_int_eq(rtp_driver.record_resume(recording), PBX_ESTATE);
	talk(600, 8000);
	AT(stopped, rtp_driver.record_stop(recording));
	end();
	read_file(2, 8000);
	took(result.paused_ms, paused, resumed);
	return stopped;
}

/* What a reader of WAV finds: one point where the pause was. */
static void is_marked(uint32_t how)
{
	SF_CUES cues = { 0 };
	SF_INFO info = { 0 };
	SNDFILE *file = sf_open(path, SFM_READ, &info);

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(sf_command(file, SFC_GET_CUE, &cues, sizeof cues), SF_TRUE);
	(void)sf_close(file);
	ck_assert_uint_eq(result.mark_count, 1);
	ck_assert_uint_eq(marks[0].how, how);
	took(marks[0].at_ms, began, paused);
	ck_assert_uint_eq(marks[0].for_ms, result.paused_ms);
	ck_assert_uint_eq(cues.cue_count, 1);
	ck_assert_uint_eq(cues.cue_points[0].sample_offset, marks[0].at_ms * 8);
	ck_assert_ptr_nonnull(strstr(cues.cue_points[0].name, "paused 0."));
	ck_assert_int_eq(strstr(cues.cue_points[0].name, "left out") != NULL, how == PBX_PAUSE_CUT);
}

START_TEST(a_pause_is_silent_to_the_sample)
{
	size_t silent = 0, longest = 0;

	took(result.duration_ms, began, pause_for(PBX_PAUSE_SILENCE));
	for (size_t i = 0; i < frames; i++) {
		silent = left[i] == 0 && right[i] == 0 ? silent + 1 : 0;
		longest = silent > longest ? silent : longest;
	}
	ck_assert_uint_ge(longest + 8, result.paused_ms * 8);
	ck_assert_uint_le(longest, result.paused_ms * 8 + 320);
	is_marked(PBX_PAUSE_SILENCE);
	hang_up();
}
END_TEST

START_TEST(a_pause_may_be_cut_out)
{
	struct moment stopped = pause_for(PBX_PAUSE_CUT);

	took(result.duration_ms + result.paused_ms, began, stopped);
	ck_assert(share_of(left + 800, 3200, 440) > 0.98);
	ck_assert(share_of(left + frames - 4000, 3200, 440) > 0.98);
	is_marked(PBX_PAUSE_CUT);
	hang_up();
}
END_TEST

/* The longest stretch of nothing, in samples. */
static size_t longest_silence(const int16_t *samples)
{
	size_t silent = 0, longest = 0;

	for (size_t i = 0; i < frames; i++) {
		silent = samples[i] == 0 ? silent + 1 : 0;
		longest = silent > longest ? silent : longest;
	}
	return longest;
}

START_TEST(who_types_a_secret_is_not_heard_until_a_second_later)
{
	const struct pbx_record_spec spec = stereo("wav");

	call();
	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(300, 8000);
	struct moment masked, unmasked;

	AT(masked, rtp_driver.record_mask(alice.stream, true));
	talk(200, 8000);
	ck_assert_int_eq(rtp_driver.record_mask(alice.stream, false), PBX_OK);
	talk(100, 8000);
	ck_assert_int_eq(rtp_driver.record_mask(alice.stream, true), PBX_OK); /* asked again: the end of before does not count */
	talk(200, 8000);
	AT(unmasked, rtp_driver.record_mask(alice.stream, false));
	talk(1500, 8000);
	ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_OK);
	end();
	read_file(2, 8000);
	ck_assert_uint_ge(longest_silence(left) + 400, (unmasked.first_ms + 1000 - masked.last_ms) * 8);
	ck_assert_uint_le(longest_silence(left), (unmasked.last_ms + 1000 - masked.first_ms) * 8 + 400);
	ck_assert(share_of(left + frames - 1600, 1600, 440) > 0.98);
	ck_assert_uint_le(longest_silence(right), 800); /* what it hears is no secret */
	hang_up();
}
END_TEST

START_TEST(a_recording_that_begins_meanwhile_does_not_hear_it_either)
{
	const struct pbx_record_spec spec = stereo("wav");

	call();
	ck_assert_int_eq(rtp_driver.record_mask(alice.stream, true), PBX_OK);
	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(500, 8000);
	ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_OK);
	end();
	read_file(2, 8000);
	ck_assert_uint_eq(longest_silence(left), frames);
	ck_assert_uint_le(longest_silence(right), 800);

	ck_assert_int_eq(rtp_driver.record_mask(alice.stream, false), PBX_OK);
	(void)unlink(path);
	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(1400, 8000);
	ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_OK);
	end();
	read_file(2, 8000);
	ck_assert_uint_ge(longest_silence(left), 7200); /* nor while the last key may still sound */
	ck_assert_uint_le(longest_silence(left), 8800);
	hang_up();
}
END_TEST

START_TEST(a_message_ends_by_key_by_silence_and_by_length)
{
	struct pbx_record_spec spec = { .size = sizeof spec,
					.what = PBX_RECORD_SAYS,
					.path = path,
					.format = "wav",
					.stop_keys = "#*",
					.most_ms = 1000,
					.silence_ms = 400 };

	call();
	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(200, 8000);
	rtp_driver.record_key(alice.stream, '5');
	rtp_driver.record_key(alice.stream, '#');
	end();
	ck_assert_uint_eq(result.how, PBX_RECORDED_KEY);
	ck_assert_int_eq(result.key, '#');
	ck_assert_int_eq(unlink(path), 0);

	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(200, 8000);
	end();
	ck_assert_uint_eq(result.how, PBX_RECORDED_SILENCE);
	ck_assert_uint_ge(result.duration_ms, 560);
	ck_assert_int_eq(unlink(path), 0);

	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(1500, 8000);
	end();
	ck_assert_uint_eq(result.how, PBX_RECORDED_LIMIT);
	ck_assert_uint_eq(result.duration_ms, 1000);
	hang_up();
}
END_TEST

START_TEST(a_recording_ends_with_its_leg_and_goes_on_through_a_new_offer)
{
	const struct pbx_record_spec spec = stereo("wav");
	struct core_stream_config config;

	call();
	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(400, 8000);
	phone_config(&alice, "PCMA", &config); /* another law, another payload type */
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	alice.type = 8;
	for (int i = 0; i < 20; i++) {
		uint64_t next = rig_now_ms() + 20;

		say(&alice, RTP_LAW_A, 440, 8000, &spoken[0]);
		rig_until(rig_now_ms() >= next);
	}
	ck_assert_int_eq(rtp_driver.close(alice.stream), PBX_OK);
	end();
	ck_assert_uint_eq(result.how, PBX_RECORDED_LEG_ENDED);
	ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_ENOENT);
	read_file(2, 8000);
	ck_assert(share_of(left + 800, 1600, 440) > 0.98);
	ck_assert(share_of(left + 4000, 1600, 440) > 0.98);
	phone_fini(&bob);
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	hang_up();
}
END_TEST

START_TEST(nothing_is_overwritten_and_bad_wishes_are_refused)
{
	struct pbx_record_spec spec = stereo("wav");

	call();
	ck_assert_int_eq(record(&spec), PBX_OK);
	talk(200, 8000);
	ck_assert_int_eq(rtp_driver.record_stop(recording), PBX_OK);
	end();
	ck_assert_int_eq(record(&spec), PBX_OK);
	end();
	ck_assert_uint_eq(result.how, PBX_RECORDED_FAILED);
	ck_assert_int_eq(result.error, PBX_EEXIST);
	spec.least_free_mb = UINT32_MAX;
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(record(&spec), PBX_OK);
	end();
	ck_assert_int_eq(result.error, PBX_ENOSPC);
	spec.format = "midi";
	ck_assert_int_eq(record(&spec), PBX_ENOTSUP);
	spec.format = "wav";
	spec.path = "relative.wav";
	ck_assert_int_eq(record(&spec), PBX_EINVAL);
	spec.path = path;
	spec.rate_hz = 11025;
	ck_assert_int_eq(record(&spec), PBX_EINVAL);
	hang_up();
}
END_TEST

/* Ten seconds, the last one after the last mark; then as a crash would leave it. */
static void leave_behind(const char *format)
{
	struct rtp_record_file *file;
	char command[512];
	int16_t samples[1600];
	uint64_t bytes;

	for (int at = 0; at < 1600; at++)
		samples[at] = (int16_t)lround(8000 * sin(at * 2 * M_PI / 40));
	ck_assert_int_eq(rtp_record_open(path, format, 16000, 1, 60000, &file), PBX_OK);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(rtp_record_write(file, samples, 1600), PBX_OK);
		if (i == 49 || i == 89)
			rtp_record_mark(file);
	}
	(void)snprintf(command, sizeof command, "cp %s.part %s.kept", path, path);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(rtp_record_close(file, NULL, 0, &bytes), PBX_OK);
	(void)snprintf(command, sizeof command, "rm %s && mv %s.kept %s.part", path, path, path);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(what_a_crash_leaves_is_finished)
{
	static const char *const formats[] = { "wav", "flac", "ogg-opus", "mp3" };
	struct pbx_record_result found = { 0 };

	strcpy(folder, "/tmp/test-recorder-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/call", folder);
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		leave_behind(formats[i]);
		ck_assert_int_eq(rtp_record_recover(path, &found), PBX_OK);
		ck_assert_uint_eq(found.rate_hz, 16000);
		ck_assert_uint_ge(found.duration_ms, 8900);
		ck_assert_uint_le(found.duration_ms, 10100);
		ck_assert_int_eq(rtp_record_recover(path, &found), PBX_OK); /* again: it is there */
		ck_assert_int_eq(unlink(path), 0);
		ck_assert_int_eq(rtp_record_recover(path, &found), PBX_ENOENT);
	}
	ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left there */
}
END_TEST

CHECK_MAIN("recorder", each_party_has_a_channel_alone, every_format_is_what_it_says, one_channel_has_both, both_hear_that_they_are_recorded,
	   a_wideband_codec_is_recorded_as_wide_as_it_is, what_the_pbx_plays_is_heard_in_it, a_pause_is_silent_to_the_sample,
	   a_pause_may_be_cut_out, a_message_ends_by_key_by_silence_and_by_length,
	   a_recording_ends_with_its_leg_and_goes_on_through_a_new_offer, nothing_is_overwritten_and_bad_wishes_are_refused,
	   what_a_crash_leaves_is_finished, who_types_a_secret_is_not_heard_until_a_second_later,
	   a_recording_that_begins_meanwhile_does_not_hear_it_either)
