/* call_recording/test_convert.c - a recording in another form says the same, on the sides that were asked for */
#include "../../tests/check_main.h"
#include "call_recording.h"
#include <check.h>
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RATE 16000
#define FRAMES (4 * RATE)

static char folder[64], path[128];
static const uint8_t key[SEAL_KEY_BYTES] = "a key that is 32 octets long, ok";
static int16_t original[2 * FRAMES], samples[2 * 3 * FRAMES];

/* finish.c's, which needs the host: what lies there is what was recorded unless a test says otherwise. */
static const char *found_hash;

int descriptor_hash(int fd, char ret_hex[65])
{
	ck_assert_int_ge(fd, 0);
	(void)snprintf(ret_hex, 65, "%s", found_hash);
	return PBX_OK;
}

/* 440 Hz on the left, 660 Hz on the right. */
static void record(int channels)
{
	SF_INFO info = { .samplerate = RATE, .channels = channels, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16 };

	strcpy(folder, "/tmp/test-convert-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/call.wav", folder);
	SNDFILE *file = sf_open(path, SFM_WRITE, &info);

	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < FRAMES; i++) {
		original[i * channels] = (int16_t)lround(8000 * sin(2 * M_PI * 440 * i / RATE));
		original[i * channels + channels - 1] = (int16_t)lround(8000 * sin(2 * M_PI * 660 * i / RATE));
	}
	ck_assert_int_eq(sf_writef_short(file, original, FRAMES), FRAMES);
	(void)sf_close(file);
	found_hash = "as recorded";
}

static void away(void)
{
	(void)unlink(path);
	ck_assert_msg(rmdir(folder) == 0, "something was left in %s", folder);
}

static int begin(const char *format, uint32_t side, bool is_sealed, struct convert **ret_convert)
{
	struct convert_spec spec = { .stored = { .is_sealed = is_sealed },
				     .form = { convert_format(format), side },
				     .folder = folder,
				     .marks = { { .at_ms = 1500, .for_ms = 700, .how = PBX_PAUSE_CUT } },
				     .mark_count = 1 };

	memcpy(spec.stored.key, key, sizeof key);
	ck_assert_int_eq(stored_open(&spec.stored, path, "as recorded"), PBX_OK);
	return convert_begin(&spec, ret_convert);
}

/* What came of it, as another reader has it. */
static SF_INFO made(const char *format, uint32_t side, bool is_sealed, SF_CUES *ret_cues)
{
	struct convert *convert;
	struct stored sound;
	SF_INFO info = { 0 };
	int err = begin(format, side, is_sealed, &convert);

	ck_assert_int_eq(err, PBX_OK);
	while ((err = convert_step(convert)) == PBX_ELATER) {
	}
	ck_assert_int_eq(err, PBX_OK);
	convert_take(convert, &sound);
	convert_free(convert);
	ck_assert_int_eq(lseek(sound.fd, 0, SEEK_SET), 0);
	SNDFILE *file = sf_open_fd(sound.fd, SFM_READ, &info, SF_FALSE);

	ck_assert_msg(file != NULL, "%s: %s", format, sf_strerror(NULL));
	memset(ret_cues, 0, sizeof *ret_cues);
	(void)sf_command(file, SFC_GET_CUE, ret_cues, sizeof *ret_cues);
	ck_assert_int_le(info.frames, 3 * FRAMES);
	ck_assert_int_eq(sf_readf_short(file, samples, info.frames), info.frames);
	(void)sf_close(file);
	stored_close(&sound);
	return info;
}

/* Of a channel's second second. */
static double amplitude(const SF_INFO *info, int channel, double hz)
{
	double sine = 0, cosine = 0;

	for (int i = info->samplerate; i < 2 * info->samplerate; i++) {
		double at = 2 * M_PI * hz * i / info->samplerate;

		sine += samples[i * info->channels + channel] * sin(at);
		cosine += samples[i * info->channels + channel] * cos(at);
	}
	return 2 * hypot(sine, cosine) / info->samplerate;
}

START_TEST(every_format_says_the_same_in_clear_and_out_of_its_seal)
{
	static const struct {
		const char *name;
		int flags;
	} wanted[] = { { "wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16 },
		       { "flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16 },
		       { "opus", SF_FORMAT_OGG | SF_FORMAT_OPUS },
		       { "mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III } };
	SF_CUES cues;

	record(2);
	for (size_t i = 0; i < 2 * sizeof wanted / sizeof wanted[0]; i++) {
		if (i == sizeof wanted / sizeof wanted[0])
			ck_assert_int_eq(seal_file(path, key), PBX_OK);
		size_t at = i % 4;
		SF_INFO info = made(wanted[at].name, FORM_AS_IS, i >= 4, &cues);

		ck_assert_int_eq(info.format & (SF_FORMAT_TYPEMASK | SF_FORMAT_SUBMASK), wanted[at].flags);
		ck_assert_int_eq(info.channels, 2);
		ck_assert(llabs(info.frames * RATE / info.samplerate - FRAMES) < RATE / 10);
		if (at < 2)
			ck_assert_mem_eq(samples, original, sizeof original);
		ck_assert_double_eq_tol(amplitude(&info, 0, 440), 8000, 800);
		ck_assert_double_eq_tol(amplitude(&info, 1, 660), 8000, 800);
		ck_assert_double_lt(amplitude(&info, 0, 660), 200);
		ck_assert_double_lt(amplitude(&info, 1, 440), 200);
		ck_assert_uint_eq(cues.cue_count, at == 0 ? 1 : 0);
	}
	away();
}
END_TEST

START_TEST(a_side_is_a_side_and_a_mix_is_both)
{
	SF_CUES cues;

	record(2);
	SF_INFO info = made("wav", SIDE_LEFT, false, &cues);

	ck_assert_int_eq(info.channels, 1);
	ck_assert_uint_eq(cues.cue_points[0].sample_offset, 1500 * RATE / 1000);
	for (int i = 0; i < FRAMES; i++)
		ck_assert_int_eq(samples[i], original[2 * i]);
	info = made("flac", SIDE_RIGHT, false, &cues);
	for (int i = 0; i < FRAMES; i++)
		ck_assert_int_eq(samples[i], original[2 * i + 1]);
	info = made("wav", SIDE_MIX, false, &cues);
	ck_assert_double_eq_tol(amplitude(&info, 0, 440), 8000, 10);
	ck_assert_double_eq_tol(amplitude(&info, 0, 660), 8000, 10);
	away();
	record(1);
	info = made("flac", SIDE_MIX, false, &cues);
	ck_assert_int_eq(info.channels, 1);
	ck_assert_int_eq(info.frames, FRAMES);
	away();
}
END_TEST

START_TEST(what_was_changed_is_not_opened)
{
	struct stored stored = { .is_sealed = false };

	record(2);
	found_hash = "something else";
	ck_assert_int_eq(stored_open(&stored, path, "as recorded"), PBX_EINVAL);
	ck_assert_int_eq(stored.fd, -1);
	away();
	ck_assert_int_eq(stored_open(&stored, path, "as recorded"), PBX_ENOENT);
}
END_TEST

START_TEST(what_is_no_sound_and_a_full_disk_are_told)
{
	struct convert *convert;
	struct convert_spec spec = { .form = { convert_format("opus"), FORM_AS_IS }, .folder = folder, .least_free_mb = UINT32_MAX };

	record(2);
	ck_assert_int_eq(stored_open(&spec.stored, path, "as recorded"), PBX_OK);
	ck_assert_int_eq(convert_begin(&spec, &convert), PBX_ENOSPC);
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	(void)fputs("RIFF and nothing behind it", file);
	(void)fclose(file);
	ck_assert_int_eq(begin("flac", FORM_AS_IS, false, &convert), PBX_EINVAL);
	away();
}
END_TEST

START_TEST(a_damaged_seal_is_no_end)
{
	struct convert *convert;

	record(2);
	ck_assert_int_eq(seal_file(path, key), PBX_OK);
	FILE *file = fopen(path, "r+");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseek(file, 150000, SEEK_SET), 0);
	(void)fputc('X', file);
	(void)fclose(file);
	ck_assert_int_eq(begin("flac", FORM_AS_IS, true, &convert), PBX_OK);
	ck_assert_int_eq(convert_step(convert), PBX_EIO);
	convert_free(convert);
	away();
}
END_TEST

CHECK_MAIN("call_recording_convert", every_format_says_the_same_in_clear_and_out_of_its_seal, a_side_is_a_side_and_a_mix_is_both,
	   what_was_changed_is_not_opened, what_is_no_sound_and_a_full_disk_are_told, a_damaged_seal_is_no_end)
