/* plugins/codec_gsm/test_codec_gsm.c - libgsm, FFmpeg and spandsp agree to the bit */
#include "../../tests/check_main.h"
#include "codec.h"
#include <spandsp.h>
#include <stdlib.h>

#define RATE 8000u
#define COUNT (RATE * 4)
#define FRAMES (COUNT / 160)

static int16_t in[COUNT], out[COUNT], theirs[COUNT];

START_TEST(a_tone_comes_back_in_packets_of_one_to_three_frames)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_gsm");
	struct codec codec = codec_named("GSM", RATE);
	double gain_db;

	ck_assert_uint_eq(codec.row->payload_type, 3);
	for (uint32_t ptime_ms = 20; ptime_ms <= 60; ptime_ms += 20) {
		double snr = codec_tone_snr(&codec, "", ptime_ms, 1004, &gain_db);

		ck_assert_msg(snr >= 15, "%.1f dB", snr);
		ck_assert_msg(gain_db > -1.5 && gain_db < 1.5, "%.1f dB louder", gain_db);
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(ffmpeg_and_spandsp_decode_to_the_same_samples)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_gsm");
	struct codec codec = codec_named("GSM", RATE);
	uint8_t stream[FRAMES * 33];

	sound_speech(in, COUNT, RATE);
	struct payloads payloads = codec_encode(&codec, "", 20, in, COUNT);
	ck_assert_uint_eq(codec_decode(&codec, "", &payloads, NULL, out, COUNT, NULL), COUNT);
	for (uint32_t i = 0; i < FRAMES; i++) {
		ck_assert_int_eq(payloads.items[i].bytes, 33);
		memcpy(stream + i * 33, payloads.items[i].octets, 33);
	}
	payloads_free(&payloads);
	ck_assert_uint_eq(sound_ffmpeg_decodes("-f gsm -c:a gsm", stream, sizeof stream, RATE, theirs, COUNT), COUNT);
	ck_assert_int_eq(memcmp(out, theirs, sizeof out), 0);

	gsm0610_state_t *spandsp = gsm0610_init(NULL, GSM0610_PACKING_VOIP);
	ck_assert_ptr_nonnull(spandsp);
	ck_assert_int_eq(gsm0610_decode(spandsp, theirs, stream, (int)sizeof stream), (int)COUNT);
	ck_assert_int_eq(gsm0610_free(spandsp), 0);
	double snr = sound_snr(out, theirs, COUNT, 0, 10, NULL, NULL);
	ck_assert_msg(snr >= 60, "%.1f dB", snr);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(what_spandsp_encodes_is_understood)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_gsm");
	struct codec codec = codec_named("GSM", RATE);
	gsm0610_state_t *spandsp = gsm0610_init(NULL, GSM0610_PACKING_VOIP);
	uint8_t stream[FRAMES * 33];
	void *decoder = codec_decoder(&codec, "");

	ck_assert_ptr_nonnull(spandsp);
	sound_tone(in, COUNT, RATE, 1004, -12);
	ck_assert_int_eq(gsm0610_encode(spandsp, stream, in, (int)COUNT), (int)sizeof stream);
	for (uint32_t i = 0; i < FRAMES; i++)
		ck_assert_int_eq(codec.row->decode(decoder, stream + i * 33, 33, out + i * 160, 160), 160);
	ck_assert_double_ge(sound_snr(in, out, COUNT, RATE / 2, 400, NULL, NULL), 15);
	codec.row->decoder_close(decoder);
	ck_assert_int_eq(gsm0610_free(spandsp), 0);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(what_is_no_gsm_is_refused)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_gsm");
	struct codec codec = codec_named("GSM", RATE);
	void *decoder = codec_decoder(&codec, ""), *encoder = codec_encoder(&codec, "", 20);
	uint8_t frames[67] = { 0xd0 };

	frames[33] = 0xd1;
	ck_assert_int_eq(codec.row->decode(decoder, frames, 66, out, 320), 320);
	ck_assert_int_eq(codec.row->decode(decoder, frames, 66, out, 319), -1);
	ck_assert_int_eq(codec.row->decode(decoder, frames, 65, out, 320), -1);
	ck_assert_int_eq(codec.row->decode(decoder, frames, 67, out, 480), -1);
	ck_assert_int_eq(codec.row->decode(decoder, frames, 0, out, 320), -1);
	frames[33] = 0xc0;
	ck_assert_int_eq(codec.row->decode(decoder, frames, 66, out, 320), -1);
	ck_assert_int_eq(codec.row->encode(encoder, in, 100, frames, sizeof frames), -1);

	struct pbx_codec_wish wish = { sizeof wish, "", "", 30, 0 };
	void *none;
	ck_assert_int_eq(codec.row->encoder_open(codec.self, codec.row, &wish, &none), PBX_ENOTSUP);
	codec.row->decoder_close(decoder);
	codec.row->encoder_close(encoder);
	codec_survives_noise(&codec, "");
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(packets_of_10_to_60_ms_come_back)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_gsm");
	struct codec codec = codec_named("GSM", 8000);

	codec_speaks_at_every_ptime(&codec, "", 1004, 15);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

CHECK_MAIN("codec_gsm", a_tone_comes_back_in_packets_of_one_to_three_frames, ffmpeg_and_spandsp_decode_to_the_same_samples,
	   what_spandsp_encodes_is_understood, what_is_no_gsm_is_refused, packets_of_10_to_60_ms_come_back)
