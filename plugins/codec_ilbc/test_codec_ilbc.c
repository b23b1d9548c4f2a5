/* plugins/codec_ilbc/test_codec_ilbc.c - FFmpeg, which has a decoder of its own, understands our frames; loss does little harm */
#include "../../tests/check_main.h"
#include "codec.h"
#include "ilbc.h"
#include <math.h>
#include <stdlib.h>

#define RATE 8000u
#define COUNT (RATE * 6)

static int16_t in[COUNT], out[COUNT], theirs[COUNT];

static const struct {
	const char *fmtp;
	uint32_t ms;
	int32_t bytes;
} modes[] = { { "mode=20", 20, 38 }, { "mode=30", 30, 50 } };

/* An instance that offers the mode. */
static struct fake_pbx *house(uint32_t mode, struct codec *codec)
{
	char yaml[64];

	(void)snprintf(yaml, sizeof yaml, "codec_ilbc:\n  mode: %u\n", mode);
	struct fake_pbx *pbx = fake_pbx_with_settings("codec_ilbc", yaml);
	*codec = codec_named("iLBC", RATE);
	return pbx;
}

START_TEST(tones_come_back)
{
	for (size_t m = 0; m < 2; m++) {
		struct codec codec;
		AUTO(fake_pbx) struct fake_pbx *pbx = house(modes[m].ms, &codec);
		double gain_db, snr = codec_tone_snr(&codec, modes[m].fmtp, modes[m].ms, 1004, &gain_db);

		ck_assert_msg(snr >= 24, "%s: %.1f dB", modes[m].fmtp, snr);
		ck_assert_msg(gain_db > -1 && gain_db < 1, "%s: %.2f dB louder", modes[m].fmtp, gain_db);
		ck_assert_double_ge(codec_tone_snr(&codec, modes[m].fmtp, 60, 1004, NULL), 24);
		ck_assert_double_ge(codec_tone_snr(&codec, modes[m].fmtp, 60, 440, NULL), 20);
		ck_assert_ptr_nonnull(pbx);
	}
}
END_TEST

static uint32_t ffmpeg_hears(const struct payloads *payloads, uint32_t ms)
{
	size_t size = payloads_bytes(payloads) + 9, at = 9;
	uint8_t *file = malloc(size);
	char head[10];

	ck_assert_ptr_nonnull(file);
	(void)snprintf(head, sizeof head, "#!iLBC%u\n", ms);
	memcpy(file, head, 9);
	for (uint32_t i = 0; i < payloads->count; i++) {
		memcpy(file + at, payloads->items[i].octets, (size_t)payloads->items[i].bytes);
		at += (size_t)payloads->items[i].bytes;
	}
	uint32_t count = sound_ffmpeg_decodes("-f ilbc", file, size, RATE, theirs, COUNT);
	free(file);
	return count;
}

START_TEST(ffmpeg_understands_our_frames)
{
	for (size_t m = 0; m < 2; m++) {
		struct codec codec;
		AUTO(fake_pbx) struct fake_pbx *pbx = house(modes[m].ms, &codec);

		sound_tone(in, COUNT, RATE, 1004, -12);
		struct payloads payloads = codec_encode(&codec, modes[m].fmtp, modes[m].ms, in, COUNT);
		for (uint32_t i = 0; i < payloads.count; i++)
			ck_assert_int_eq(payloads.items[i].bytes, modes[m].bytes);
		uint32_t count = ffmpeg_hears(&payloads, modes[m].ms);
		ck_assert_uint_ge(count, COUNT - RATE / 10);
		double snr = sound_tone_snr(theirs + RATE, count - RATE, RATE, 1004, -12, NULL);
		ck_assert_msg(snr >= 22, "%s: %.1f dB", modes[m].fmtp, snr);
		payloads_free(&payloads);

		sound_speech(in, COUNT, RATE);
		payloads = codec_encode(&codec, modes[m].fmtp, modes[m].ms, in, COUNT);
		ck_assert_uint_eq(codec_decode(&codec, modes[m].fmtp, &payloads, NULL, out, COUNT, NULL), COUNT);
		count = ffmpeg_hears(&payloads, modes[m].ms);
		double ours = sound_distance(in, out, count, RATE), other = sound_distance(in, theirs, count, RATE);
		ck_assert_msg(ours <= other * 1.05, "%s: distance %.2f dB, FFmpeg's %.2f dB", modes[m].fmtp, ours, other);
		double alike = sound_snr(out, theirs, count, RATE, 100, NULL, NULL);
		ck_assert_msg(alike >= 15, "%s: %.1f dB", modes[m].fmtp, alike);
		payloads_free(&payloads);
		ck_assert_ptr_nonnull(pbx);
	}
}
END_TEST

START_TEST(the_longer_frame_of_the_two_sides_is_used)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(20, &codec);
	char fmtp[PBX_CODEC_FMTP_BYTES];

	ck_assert_str_eq(codec_offer(&codec), "mode=20");
	ck_assert_int_eq(codec_answer(&codec, "mode=20", fmtp), PBX_OK);
	ck_assert_str_eq(fmtp, "mode=20");
	ck_assert_int_eq(codec_answer(&codec, "", fmtp), PBX_OK);
	ck_assert_str_eq(fmtp, "mode=30");
	ck_assert_uint_eq(codec.row->ptime(codec.self, codec.row, "mode=20", "mode=20", 20), 20);
	ck_assert_uint_eq(codec.row->ptime(codec.self, codec.row, "mode=20", "mode=20", 50), 40);
	ck_assert_uint_eq(codec.row->ptime(codec.self, codec.row, "mode=20", "", 20), 30);
	ck_assert_uint_eq(codec.row->ptime(codec.self, codec.row, "mode=30", "mode=20", 20), 30);
	ck_assert_uint_eq(codec.row->ptime(codec.self, codec.row, "mode=20", "mode=20", 120), 60);
	ck_assert(codec.row->passes(codec.self, codec.row, "", "mode=30"));
	ck_assert(!codec.row->passes(codec.self, codec.row, "mode=20", ""));

	struct payloads payloads = codec_encode(&codec, "mode=30", 30, in, COUNT); /* we said 20, they said 30 */
	ck_assert_int_eq(payloads.items[0].bytes, 50);
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(payloads_have_whole_frames)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(30, &codec);
	void *decoder = codec_decoder(&codec, "mode=30");
	uint8_t payload[400] = { 0x55 };
	static const struct {
		uint32_t bytes;
		int32_t samples;
	} lengths[] = { { 0, -1 },    { 38, 160 },  { 39, -1 },   { 50, 240 }, { 114, 480 },
			{ 150, 720 }, { 200, 960 }, { 228, 960 }, { 250, -1 }, { 266, -1 } };

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
		ck_assert_int_eq(codec.row->decode(decoder, payload, lengths[i].bytes, out, 960), lengths[i].samples);
	ck_assert_int_eq(codec.row->decode(decoder, payload, 150, out, 719), -1);
	codec.row->decoder_close(decoder);
	codec_survives_noise(&codec, "mode=30");
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(whatever_frames_say_is_decoded_or_concealed)
{
	struct ilbc_decoder *decoder = ilbc_decoder_new();

	ck_assert_ptr_nonnull(decoder);
	srand(3);
	for (uint32_t i = 0; i < 3000; i++) {
		uint8_t bytes[ILBC_MOST_BYTES];

		for (size_t at = 0; at < sizeof bytes; at++)
			bytes[at] = (uint8_t)rand();
		(void)ilbc_decode(decoder, i % 2 ? &ilbc_20 : &ilbc_30, bytes, out);
	}
	ilbc_decoder_free(decoder);
}
END_TEST

START_TEST(frames_are_read_as_they_were_written)
{
	srand(5);
	for (uint32_t round = 0; round < 200; round++) {
		const struct ilbc_mode *mode = round % 2 ? &ilbc_20 : &ilbc_30;
		uint8_t bytes[ILBC_MOST_BYTES], again[ILBC_MOST_BYTES];
		struct ilbc_frame frame;

		for (size_t at = 0; at < sizeof bytes; at++)
			bytes[at] = (uint8_t)rand();
		if (!ilbc_frame_read(mode, bytes, &frame))
			continue;
		ilbc_frame_write(mode, &frame, again);
		ck_assert_int_eq(memcmp(bytes, again, mode->bytes), 0);
	}
}
END_TEST

static bool lost_some(uint32_t index)
{
	return index > 5 && (index * 2654435761u >> 16) % 10 == 0;
}

START_TEST(loss_does_less_harm_than_to_a_law)
{
	for (size_t m = 0; m < 2; m++) {
		struct codec codec;
		AUTO(fake_pbx) struct fake_pbx *pbx = house(modes[m].ms, &codec);
		uint32_t each = RATE / 1000 * modes[m].ms;

		sound_speech(in, COUNT, RATE);
		struct payloads payloads = codec_encode(&codec, modes[m].fmtp, modes[m].ms, in, COUNT);
		ck_assert_uint_eq(codec_decode(&codec, modes[m].fmtp, &payloads, NULL, theirs, COUNT, NULL), COUNT);
		ck_assert_uint_eq(codec_decode(&codec, modes[m].fmtp, &payloads, lost_some, out, COUNT, NULL), COUNT);
		double harm = sound_distance(theirs, out, COUNT, RATE);
		for (uint32_t i = 0; i < payloads.count; i++)
			if (lost_some(i))
				memset(in + i * each, 0, each * sizeof *in);
		sound_speech(theirs, COUNT, RATE);
		double harm_to_law = sound_distance(theirs, in, COUNT, RATE);
		ck_assert_msg(harm < harm_to_law * 0.7, "%s: %.2f dB, a law %.2f dB", modes[m].fmtp, harm, harm_to_law);
		payloads_free(&payloads);

		sound_tone(in, COUNT, RATE, 300, -12);
		payloads = codec_encode(&codec, modes[m].fmtp, modes[m].ms, in, COUNT);
		ck_assert_uint_eq(codec_decode(&codec, modes[m].fmtp, &payloads, lost_some, out, COUNT, NULL), COUNT);
		ck_assert_uint_lt(sound_hole(out + RATE, COUNT - RATE), 8);
		payloads_free(&payloads);
		ck_assert_ptr_nonnull(pbx);
	}
}
END_TEST

START_TEST(silence_and_full_scale_do_no_harm)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(30, &codec);

	memset(in, 0, sizeof in);
	for (uint32_t i = RATE; i < 2 * RATE; i++)
		in[i] = i / 20 % 2 ? INT16_MAX : INT16_MIN;
	ck_assert_uint_eq(codec_round_trip(&codec, "mode=30", 30, in, COUNT, out), COUNT);
	ck_assert_double_le(sound_dbfs(out + 3 * RATE, RATE), -60);
	ck_assert_double_ge(sound_dbfs(out + RATE, RATE), -3);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(modes_that_are_none_are_refused)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_ilbc");

	const char *said = fake_command(pbx, "config set codec_ilbc.mode 25");
	ck_assert_uint_eq(fake_status(pbx), 422);
	ck_assert_msg(strstr(said, "20 or 30") != NULL, "%s", said);
}
END_TEST

START_TEST(packets_of_10_to_60_ms_come_back)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with_settings("codec_ilbc", "codec_ilbc:\n  mode: 20\n");
	struct codec codec = codec_named("iLBC", 8000);

	codec_speaks_at_every_ptime(&codec, "mode=20", 1004, 24); /* 20, 40, 60 */
	codec_speaks_at_every_ptime(&codec, "mode=30", 1004, 24); /* 30, 60 */
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

CHECK_MAIN("codec_ilbc", tones_come_back, ffmpeg_understands_our_frames, the_longer_frame_of_the_two_sides_is_used,
	   payloads_have_whole_frames, whatever_frames_say_is_decoded_or_concealed, frames_are_read_as_they_were_written,
	   loss_does_less_harm_than_to_a_law, silence_and_full_scale_do_no_harm, modes_that_are_none_are_refused,
	   packets_of_10_to_60_ms_come_back)
