/* plugins/codec_g726/test_codec_g726.c - FFmpeg and libsndfile understand what we send, in the right packing only; a law survives the journey */
#include "../../tests/check_main.h"
#include "codec.h"
#include <sndfile.h>
#include <spandsp.h>
#include <stdlib.h>

#define RATE 8000u
#define COUNT (RATE * 2)

static int16_t in[COUNT], out[COUNT], theirs[COUNT];

struct rate {
	const char *name, *aal2_name;
	uint32_t bits;
	double least_snr;
};
static const struct rate rates[] = { { "G726-16", "AAL2-G726-16", 2, 20 },
				     { "G726-24", "AAL2-G726-24", 3, 25 },
				     { "G726-32", "AAL2-G726-32", 4, 34 },
				     { "G726-40", "AAL2-G726-40", 5, 37 } };

/* All payloads behind one another. */
static uint8_t *stream_of(const struct codec *codec, size_t *ret_size)
{
	struct payloads payloads = codec_encode(codec, "", 20, in, COUNT);
	uint8_t *bytes = malloc(payloads_bytes(&payloads));
	size_t size = 0;

	ck_assert_ptr_nonnull(bytes);
	for (uint32_t i = 0; i < payloads.count; i++) {
		memcpy(bytes + size, payloads.items[i].octets, (size_t)payloads.items[i].bytes);
		size += (size_t)payloads.items[i].bytes;
	}
	payloads_free(&payloads);
	*ret_size = size;
	return bytes;
}

static double ffmpeg_snr(const struct codec *codec, const char *format, uint32_t bits)
{
	char options[80];
	size_t size;
	uint8_t *bytes = stream_of(codec, &size);

	(void)snprintf(options, sizeof options, "-f %s -code_size %u -ar 8000 -ac 1", format, bits);
	uint32_t count = sound_ffmpeg_decodes(options, bytes, size, RATE, theirs, COUNT);
	ck_assert_uint_ge(count, COUNT - 400);
	free(bytes);
	return sound_snr(in, theirs, count, RATE / 2, 16, NULL, NULL);
}

START_TEST(each_rate_comes_back_as_good_as_it_can)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g726");

	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		struct codec codec = codec_named(rates[i].name, RATE), aal2 = codec_named(rates[i].aal2_name, RATE);
		double gain_db, snr = codec_tone_snr(&codec, "", 20, 1004, &gain_db);

		ck_assert_msg(snr >= rates[i].least_snr, "%s: %.1f dB", rates[i].name, snr);
		ck_assert_msg(gain_db > -0.2 && gain_db < 0.2, "%s: %.2f dB louder", rates[i].name, gain_db);
		ck_assert_double_ge(codec_tone_snr(&aal2, "", 30, 1004, NULL), rates[i].least_snr);
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

/* FFmpeg 5.1 is wrong at 40 kbit/s; there libsndfile is the judge. */
START_TEST(the_loudest_tone_is_not_torn)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g726");
	double gain_db;

	sound_tone(in, COUNT, RATE, 400, 0);
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		struct codec codec = codec_named(rates[i].name, RATE), aal2 = codec_named(rates[i].aal2_name, RATE);

		ck_assert_uint_eq(codec_round_trip(&codec, "", 20, in, COUNT, out), COUNT);
		ck_assert_double_ge(sound_tone_snr(out + RATE / 2, COUNT - RATE / 2, RATE, 400, 0, &gain_db), rates[i].least_snr);
		ck_assert_uint_eq(codec_round_trip(&aal2, "", 20, in, COUNT, out), COUNT);
		ck_assert_double_ge(sound_tone_snr(out + RATE / 2, COUNT - RATE / 2, RATE, 400, 0, &gain_db), rates[i].least_snr);
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(ffmpeg_understands_the_packing_that_the_name_says)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g726");

	sound_tone(in, COUNT, RATE, 1004, -12);
	for (size_t i = 0; i < 3; i++) {
		struct codec codec = codec_named(rates[i].name, RATE), aal2 = codec_named(rates[i].aal2_name, RATE);

		ck_assert_double_ge(ffmpeg_snr(&codec, "g726le", rates[i].bits), rates[i].least_snr);
		ck_assert_double_ge(ffmpeg_snr(&aal2, "g726", rates[i].bits), rates[i].least_snr);
		ck_assert_double_lt(ffmpeg_snr(&codec, "g726", rates[i].bits), 3);
		ck_assert_double_lt(ffmpeg_snr(&aal2, "g726le", rates[i].bits), 3);
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

struct memory {
	const uint8_t *bytes;
	sf_count_t size, at;
};

static sf_count_t memory_size(void *context)
{
	return ((struct memory *)context)->size;
}

static sf_count_t memory_seek(sf_count_t offset, int whence, void *context)
{
	struct memory *memory = context;

	memory->at = offset + (whence == SEEK_CUR ? memory->at : whence == SEEK_END ? memory->size : 0);
	return memory->at;
}

static sf_count_t memory_read(void *to, sf_count_t count, void *context)
{
	struct memory *memory = context;
	sf_count_t left = memory->size - memory->at, taken = count < left ? count : left;

	memcpy(to, memory->bytes + memory->at, (size_t)taken);
	memory->at += taken;
	return taken;
}

static sf_count_t memory_tell(void *context)
{
	return ((struct memory *)context)->at;
}

/* libsndfile has the recommendations before G.726, G.721 and G.723: nearly the same, 24 to 28 dB; another packing would be noise. */
START_TEST(libsndfile_understands_24_32_and_40)
{
	static const struct {
		const char *name;
		uint8_t encoding; /* of a Sun AU file */
		double least_snr;
	} files[] = { { "G726-32", 23, 25 }, { "G726-24", 25, 22 }, { "G726-40", 26, 25 } };
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g726");

	sound_tone(in, COUNT, RATE, 1004, -12);
	for (size_t i = 0; i < 3; i++) {
		struct codec codec = codec_named(files[i].name, RATE);
		uint8_t head[24] = { '.', 's', 'n',  'd',  0, 0, 0, 24, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, files[i].encoding,
				     0,   0,   0x1f, 0x40, 0, 0, 0, 1 };
		size_t size;
		uint8_t *stream = stream_of(&codec, &size), *file = malloc(size + sizeof head);

		ck_assert_ptr_nonnull(file);
		memcpy(file, head, sizeof head);
		memcpy(file + sizeof head, stream, size);
		struct memory memory = { file, (sf_count_t)(size + sizeof head), 0 };
		SF_VIRTUAL_IO io = { memory_size, memory_seek, memory_read, NULL, memory_tell };
		SF_INFO info = { 0 };
		SNDFILE *sound = sf_open_virtual(&io, SFM_READ, &info, &memory);
		ck_assert_msg(sound != NULL, "%s", sf_strerror(NULL));
		uint32_t count = (uint32_t)sf_read_short(sound, theirs, COUNT);
		ck_assert_int_eq(sf_close(sound), 0);
		ck_assert_uint_ge(count, COUNT - 400);
		double snr = sound_tone_snr(theirs + RATE / 2, count - RATE / 2, RATE, 1004, -12, NULL);
		ck_assert_msg(snr >= files[i].least_snr, "%s: %.1f dB", files[i].name, snr);
		free(stream);
		free(file);
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(packets_have_the_length_the_rate_says)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g726");

	sound_speech(in, COUNT, RATE);
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		struct codec codec = codec_named(rates[i].name, RATE);
		struct payloads payloads = codec_encode(&codec, "", 20, in, COUNT);
		void *decoder = codec_decoder(&codec, "");

		for (uint32_t p = 0; p < payloads.count; p++)
			ck_assert_int_eq(payloads.items[p].bytes, (int32_t)(20 * rates[i].bits));
		for (uint32_t bytes = 0; bytes <= 3 * rates[i].bits; bytes++) {
			int32_t expected = bytes && bytes % rates[i].bits == 0 ? (int32_t)(bytes / rates[i].bits * 8) : -1;

			ck_assert_int_eq(codec.row->decode(decoder, payloads.items[0].octets, bytes, out, COUNT), expected);
		}
		ck_assert_int_eq(codec.row->decode(decoder, payloads.items[0].octets, 20 * rates[i].bits, out, 159), -1);
		codec.row->decoder_close(decoder);
		payloads_free(&payloads);
		codec_survives_noise(&codec, "");
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

static void through_ulaw(const int16_t *samples, uint8_t *ret_octets)
{
	for (uint32_t i = 0; i < COUNT; i++)
		ret_octets[i] = linear_to_ulaw(samples[i]);
}

/* G.726 4.2.8: synchronous tandem coding. */
START_TEST(a_law_survives_going_through_again_and_again)
{
	static uint8_t first[COUNT], again[COUNT];
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with_settings("codec_g726", "codec_g726:\n  law: ulaw\n");
	struct codec codec = codec_named("G726-32", RATE);

	sound_speech(in, COUNT, RATE);
	ck_assert_uint_eq(codec_round_trip(&codec, "", 20, in, COUNT, out), COUNT);
	ck_assert_double_ge(sound_snr(in, out, COUNT, 0, 16, NULL, NULL), 15);
	through_ulaw(out, first);
	memcpy(in, out, sizeof in);
	ck_assert_uint_eq(codec_round_trip(&codec, "", 20, in, COUNT, out), COUNT);
	through_ulaw(out, again);
	ck_assert_int_eq(memcmp(first, again, COUNT), 0);
	ck_assert_double_ge(codec_tone_snr(&codec, "", 20, 1004, NULL), 30);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(phones_that_pack_the_other_way_are_understood)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with_settings("codec_g726", "codec_g726:\n  all_aal2: true\n");
	struct codec codec = codec_named("G726-32", RATE);

	sound_tone(in, COUNT, RATE, 1004, -12);
	ck_assert_double_ge(ffmpeg_snr(&codec, "g726", 4), 34);
	codec = codec_named("G726-24", RATE);
	ck_assert_double_ge(ffmpeg_snr(&codec, "g726", 3), 25);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(packets_of_10_to_60_ms_come_back)
{
	static const struct {
		const char *name;
		double snr_db;
	} codecs[] = { { "G726-16", 20 }, { "G726-24", 25 }, { "G726-32", 34 }, { "AAL2-G726-40", 37 } };
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g726");

	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
		struct codec codec = codec_named(codecs[i].name, 8000);

		codec_speaks_at_every_ptime(&codec, "", 1004, codecs[i].snr_db);
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

CHECK_MAIN("codec_g726", each_rate_comes_back_as_good_as_it_can, the_loudest_tone_is_not_torn,
	   ffmpeg_understands_the_packing_that_the_name_says, libsndfile_understands_24_32_and_40, packets_have_the_length_the_rate_says,
	   a_law_survives_going_through_again_and_again, phones_that_pack_the_other_way_are_understood, packets_of_10_to_60_ms_come_back)
