/* tests/rtp/test_steering.c - a file that is paused, gone back and forth in, made louder: compared with the same file played straight
 *
 * Alice is steered, Bob is not. What both hear of the same place is the same octet of G.711, so that a place is told to the sample. */
#include "../check_main.h"
#include "rig.h"

#include <math.h>
#include <rtp/g711.h>
#include <sndfile.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAME 160u
#define FADE 40u
#define MOST 40000u
#define CHIRP_STEP 12000 /* no two neighbours in it are further apart */

static struct phone alice, bob;
static int16_t heard[MOST], straight[MOST];
static size_t heard_count, straight_count;

static void begin(void)
{
	rig_start();
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	phone_call(&alice, 1, "PCMU");
	phone_call(&bob, 1, "PCMU");
	heard_count = straight_count = 0;
}

static void end(void)
{
	phone_fini(&alice);
	phone_fini(&bob);
	rig_stop();
}

/* A chirp: no place in it is like another. */
static void make_chirp(char ret_path[64], int format, int rate_hz, double seconds)
{
	SF_INFO info = { .samplerate = rate_hz, .channels = 1, .format = format };

	(void)snprintf(ret_path, 64, "/tmp/rtp-test-XXXXXX");
	int fd = mkstemp(ret_path);
	SNDFILE *file = sf_open_fd(fd, SFM_WRITE, &info, 1);

	ck_assert_ptr_nonnull(file);
	for (long at = 0; at < lround(seconds * rate_hz); at++) {
		double t = (double)at / rate_hz;
		int16_t sample = (int16_t)lrint(8000 * sin(2 * M_PI * (300 * t + 500 * t * t / seconds)));

		ck_assert_int_eq(sf_writef_short(file, &sample, 1), 1);
	}
	ck_assert_int_eq(sf_close(file), 0);
}

static void play(const struct phone *phone, const char *one, const char *two, uint64_t tag)
{
	const char *const list[] = { one, two };
	const struct core_play wanted = {
		.kind = CORE_PLAY_FILE, .prompts = list, .prompt_count = two ? 2 : 1, .language = "", .tag = tag
	};

	ck_assert_int_eq(rtp_driver.play(phone->stream, &wanted), PBX_OK);
}

static void steer(uint32_t how, int32_t amount)
{
	ck_assert_int_eq(rtp_driver.steer(alice.stream, 1, how, amount), PBX_OK);
}

static struct pbx_media_state state(void)
{
	struct pbx_media_state told;

	ck_assert_int_eq(rtp_driver.played_so_far(alice.stream, 1, &told), PBX_OK);
	return told;
}

static bool keep(const struct phone *phone, int wait_ms, int16_t *samples, size_t *count)
{
	struct heard_packet packet;

	if (!phone_hear(phone, &packet, wait_ms))
		return false;
	for (size_t i = 0; i < packet.bytes && *count < MOST; i++)
		samples[(*count)++] = rtp_g711_decode(RTP_LAW_MU, packet.payload[i]);
	return true;
}

static void hear(size_t frames)
{
	for (size_t until = heard_count + frames * FRAME; heard_count < until;)
		ck_assert(keep(&alice, 5000, heard, &heard_count));
}

/* Until what alice hears is over, and what bob does. */
static void hear_out(int plays)
{
	while (rig_heard.plays < plays) {
		(void)keep(&alice, 1, heard, &heard_count);
		(void)keep(&bob, 0, straight, &straight_count);
	}
	while (keep(&alice, 0, heard, &heard_count) || keep(&bob, 0, straight, &straight_count))
		continue;
}

/* The frame of alice's at which she does not hear any more what lies `shift` samples further in bob's. */
static size_t follows(size_t frame, long shift)
{
	while ((frame + 1) * FRAME <= heard_count && (long)(frame * FRAME) + shift + (long)FRAME <= (long)straight_count &&
	       memcmp(heard + frame * FRAME, straight + (long)(frame * FRAME) + shift, FRAME * sizeof heard[0]) == 0)
		frame++;
	return frame;
}

static bool is_silent(size_t frame)
{
	for (size_t i = frame * FRAME; i < (frame + 1) * FRAME; i++)
		if (heard[i] != 0)
			return false;
	return true;
}

static void check_clicks(void)
{
	for (size_t i = 1; i < heard_count; i++)
		ck_assert_msg(abs(heard[i] - heard[i - 1]) < CHIRP_STEP, "a click at sample %zu: %d, %d", i, heard[i - 1], heard[i]);
}

/* Behind a fade at the beginning of a frame the rest of it is of the new place. */
static void check_rest(size_t frame, long shift)
{
	ck_assert(memcmp(heard + frame * FRAME + FADE, straight + (long)(frame * FRAME + FADE) + shift, (FRAME - FADE) * sizeof heard[0]) ==
		  0);
}

START_TEST(a_pause_is_silence_and_then_the_next_sample)
{
	char path[64];

	begin();
	make_chirp(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 1.2);
	play(&alice, path, NULL, 1);
	play(&bob, path, NULL, 2);
	hear(20);
	steer(CORE_STEER_PAUSE, 0);
	hear(25);
	ck_assert(state().paused);
	uint32_t stands_ms = state().position_ms;
	steer(CORE_STEER_PAUSE, 0); /* it is already */
	hear(10);
	ck_assert_uint_eq(state().position_ms, stands_ms);
	ck_assert_uint_eq(state().length_ms, 1200);
	steer(CORE_STEER_RESUME, 0);
	hear_out(2);

	size_t fades = follows(0, 0), goes_on = fades + 1;

	ck_assert_uint_ge(fades, 20);
	while (is_silent(goes_on))
		goes_on++;
	ck_assert_uint_ge(goes_on - fades, 33); /* as long as it was asked for */
	/* It stands 5 ms further, which were heard fading; not one sample is lost. */
	ck_assert_uint_eq(stands_ms, fades * 20 + 5);
	long shift = (long)(fades * FRAME + FADE) - (long)(goes_on * FRAME);

	check_rest(goes_on, shift);
	ck_assert_uint_ge(follows(goes_on + 1, shift), straight_count / FRAME - fades + goes_on - 2); /* to its end */
	check_clicks();
	ck_assert_int_eq(unlink(path), 0);
	end();
}
END_TEST

/* Of any format; lossy ones are compared with themselves. */
static void check_seek(int format, int rate_hz)
{
	char path[64];

	begin();
	make_chirp(path, format, rate_hz, 1.2);
	play(&alice, path, NULL, 1);
	play(&bob, path, NULL, 2);
	hear(10);
	steer(CORE_STEER_SEEK, 500);
	hear(10);
	ck_assert_uint_ge(state().position_ms, 700);
	steer(CORE_STEER_SEEK, -300);
	hear(10);
	steer(CORE_STEER_SEEK, -60000);
	hear(10);
	ck_assert_uint_lt(state().position_ms, 400 + rig_stood_still_ms());
	while (straight_count < 9600 - FRAME)
		(void)keep(&bob, 100, straight, &straight_count);
	steer(CORE_STEER_SEEK, 60000);
	hear_out(2);
	ck_assert_uint_eq(rig_heard.how, PBX_MEDIA_FINISHED);

	size_t first = follows(0, 0), second, third, last;
	long shift = 4000;

	ck_assert_uint_ge(first, 10);
	check_rest(first, shift);
	second = follows(first + 1, shift);
	ck_assert_uint_ge(second - first, 4);
	shift -= 2400;
	check_rest(second, shift);
	third = follows(second + 1, shift);
	ck_assert_uint_ge(third - second, 4);
	shift = -(long)(third * FRAME);
	check_rest(third, shift);
	last = follows(third + 1, shift);
	ck_assert_uint_ge(last - third, 4);
	ck_assert_uint_le(heard_count, (last + 1) * FRAME); /* beyond the end it was over, after a fade */
	check_clicks();
	ck_assert_int_eq(unlink(path), 0);
	end();
}

START_TEST(one_goes_on_and_back_in_files_of_all_kinds)
{
	check_seek(SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000);
	check_seek(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 44100);
	check_seek(SF_FORMAT_OGG | SF_FORMAT_VORBIS, 16000);
	check_seek(SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000);
}
END_TEST

START_TEST(several_files_are_one)
{
	char one[64], two[64];

	begin();
	make_chirp(one, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 0.5); /* 4000 samples: the second begins amid a frame */
	make_chirp(two, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 0.7);
	play(&alice, one, two, 1);
	play(&bob, one, two, 2);
	hear(5);
	steer(CORE_STEER_SEEK, 600); /* into the second */
	hear(10);
	ck_assert_uint_eq(state().length_ms, 1200);
	steer(CORE_STEER_SEEK, -700); /* and back into the first, which goes over into the second once more */
	hear_out(2);

	size_t there = follows(0, 0), back;

	check_rest(there, 4800);
	back = follows(there + 1, 4800);
	check_rest(back, -800);
	ck_assert_uint_ge(follows(back + 1, -800), straight_count / FRAME + 4);
	check_clicks();
	ck_assert_int_eq(unlink(one) | unlink(two), 0);
	end();
}
END_TEST

START_TEST(louder_and_softer_without_a_click)
{
	char path[64];

	begin();
	make_wav(path, 500, 8000, 1, 1.0);
	play(&alice, path, NULL, 1);
	hear(10);
	steer(CORE_STEER_GAIN, -1200);
	hear(15);
	ck_assert_int_eq(state().gain_cdb, -1200);
	steer(CORE_STEER_GAIN, 600);
	hear_out(1);
	double full = level_dbfs(heard, 8 * FRAME), softer = level_dbfs(heard + 15 * FRAME, 8 * FRAME),
	       louder = level_dbfs(heard + 30 * FRAME, 8 * FRAME);

	ck_assert(fabs(full - softer - 12) < 0.2);
	ck_assert(fabs(louder - full - 6) < 0.2);
	/* A sine tells its next sample by the last two; what it does not is the law's error, or a click. */
	for (size_t i = 1; i + FRAME < heard_count; i++)
		ck_assert(fabs(heard[i + 1] - 2 * cos(2 * M_PI * 500 / 8000) * heard[i] + heard[i - 1]) < 2000);
	ck_assert_int_eq(unlink(path), 0);
	end();
}
END_TEST

START_TEST(what_is_still_being_read_is_steered_too)
{
	char path[64];

	begin();
	make_chirp(path, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 44100, 0.8);
	play(&alice, path, NULL, 1);
	steer(CORE_STEER_PAUSE, 0); /* it has not begun */
	steer(CORE_STEER_SEEK, 400);
	play(&bob, path, NULL, 2);
	hear(5);
	ck_assert_uint_eq(state().position_ms, 400);
	steer(CORE_STEER_RESUME, 0);
	hear_out(2);

	size_t begins = 0;

	while (is_silent(begins))
		begins++;
	ck_assert_uint_ge(begins, 5);
	check_rest(begins, 3200 - (long)(begins * FRAME));
	check_clicks();
	ck_assert_int_eq(unlink(path), 0);
	end();
}
END_TEST

START_TEST(what_is_no_file_or_over_is_not_steered)
{
	struct pbx_media_state told;

	begin();
	rig_play(alice.stream, CORE_PLAY_TONE, "beep", 1);
	ck_assert_int_eq(rtp_driver.steer(alice.stream, 1, CORE_STEER_PAUSE, 0), PBX_ESTATE);
	ck_assert_int_eq(rtp_driver.played_so_far(alice.stream, 1, &told), PBX_ESTATE);
	hear_out(1);
	ck_assert_int_eq(rtp_driver.steer(alice.stream, 1, CORE_STEER_SEEK, 10), PBX_ESTATE);
	ck_assert_int_eq(rtp_driver.steer((core_stream){ 0 }, 1, CORE_STEER_SEEK, 10), PBX_ENOENT);
	ck_assert_uint_eq(heard_count, 4000);
	end();
}
END_TEST

CHECK_MAIN("steering", a_pause_is_silence_and_then_the_next_sample, one_goes_on_and_back_in_files_of_all_kinds, several_files_are_one,
	   louder_and_softer_without_a_click, what_is_still_being_read_is_steered_too, what_is_no_file_or_over_is_not_steered)
