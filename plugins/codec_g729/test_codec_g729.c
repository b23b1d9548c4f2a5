/* plugins/codec_g729/test_codec_g729.c - how G.729 sounds, what is said and sent about pauses, and that loss makes no holes */
#include "../../tests/check_main.h"
#include "codec.h"
#include <stdlib.h>

#define RATE 8000u
#define COUNT (RATE * 8)

static int16_t in[COUNT], out[COUNT], theirs[COUNT];

START_TEST(tones_keep_their_pitch_and_level)
{
	static const struct {
		double hz, least_snr;
	} tones[] = { { 440, 20 }, { 1004, 14 }, { 3000, 16 } };
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g729");
	struct codec codec = codec_named("G729", RATE);

	ck_assert_uint_eq(codec.row->payload_type, 18);
	for (size_t i = 0; i < 3; i++) {
		double gain_db, snr = codec_tone_snr(&codec, "annexb=no", 20, tones[i].hz, &gain_db);

		ck_assert_msg(snr >= tones[i].least_snr, "%.0f Hz: %.1f dB", tones[i].hz, snr);
		ck_assert_msg(gain_db > -1.5 && gain_db < 1.5, "%.0f Hz: %.1f dB louder", tones[i].hz, gain_db);
		sound_tone(in, COUNT, RATE, tones[i].hz, -12);
		ck_assert_uint_eq(codec_round_trip(&codec, "annexb=no", 20, in, COUNT, out), COUNT);
		ck_assert_double_eq_tol(sound_hz(out + RATE, 2 * RATE, RATE, tones[i].hz), tones[i].hz, 1);
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(ffmpeg_hears_the_same)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g729");
	struct codec codec = codec_named("G729", RATE);
	uint8_t stream[COUNT / 80 * 10];
	uint32_t lag = 99;

	sound_speech(in, COUNT, RATE);
	struct payloads payloads = codec_encode(&codec, "annexb=no", 20, in, COUNT);
	ck_assert_uint_eq(codec_decode(&codec, "", &payloads, NULL, out, COUNT, NULL), COUNT);
	for (uint32_t i = 0; i < payloads.count; i++) {
		ck_assert_int_eq(payloads.items[i].bytes, 20);
		memcpy(stream + i * 20, payloads.items[i].octets, 20);
	}
	payloads_free(&payloads);
	uint32_t count = sound_ffmpeg_decodes("-f g729", stream, sizeof stream, RATE, theirs, COUNT);
	ck_assert_uint_ge(count, COUNT - RATE / 10);
	double snr = sound_snr(out, theirs, count, 0, 100, &lag, NULL);
	ck_assert_msg(snr >= 20, "%.1f dB", snr);
	ck_assert_uint_eq(lag, 0);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

static const char *answer_to(const struct codec *codec, const char *remote)
{
	static char fmtp[PBX_CODEC_FMTP_BYTES];

	ck_assert_int_eq(codec_answer(codec, remote, fmtp), PBX_OK);
	return fmtp;
}

START_TEST(who_says_no_to_pauses_gets_none)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g729");
	struct codec codec = codec_named("G729", RATE);

	ck_assert_str_eq(codec_offer(&codec), "annexb=yes");
	ck_assert_str_eq(answer_to(&codec, ""), "annexb=yes");
	ck_assert_str_eq(answer_to(&codec, "annexb=yes"), "annexb=yes");
	ck_assert_str_eq(answer_to(&codec, "AnnexB=NO"), "annexb=no");
	ck_assert(codec.row->passes(codec.self, codec.row, "", "annexb=yes"));
	ck_assert(codec.row->passes(codec.self, codec.row, "annexb=no", "annexb=no"));
	ck_assert(!codec.row->passes(codec.self, codec.row, "", "annexb=no"));

	memset(in, 0, sizeof in);
	sound_noise(in, COUNT, -50);
	struct payloads payloads = codec_encode(&codec, "annexb=no", 20, in, COUNT);
	for (uint32_t i = 0; i < payloads.count; i++)
		ck_assert_int_eq(payloads.items[i].bytes, 20);
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(a_variant_without_b_says_no_itself)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with_settings("codec_g729", "codec_g729:\n  variant: G729A\n");
	struct codec codec = codec_named("G729", RATE);

	ck_assert_str_eq(codec_offer(&codec), "annexb=no");
	ck_assert_str_eq(answer_to(&codec, ""), "annexb=no");
	sound_noise(in, COUNT, -50);
	struct payloads payloads = codec_encode(&codec, "annexb=yes", 20, in, COUNT);
	ck_assert_uint_eq(payloads_bytes(&payloads), COUNT / 8);
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(in_silence_little_is_sent)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g729");
	struct codec codec = codec_named("G729", RATE);
	uint32_t sent = 0;

	sound_noise(in, COUNT, -65);
	struct payloads payloads = codec_encode(&codec, "", 20, in, COUNT);
	for (uint32_t i = 50; i < payloads.count; i++) {
		ck_assert(payloads.items[i].bytes == 0 || payloads.items[i].bytes == 2);
		sent += payloads.items[i].bytes == 2;
	}
	ck_assert_msg(sent >= 1 && sent <= 15 * 7, "%u packets in 7 s", sent);
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

/* Louder noise is taken for speech now and then, a tenth of a second each time. */
START_TEST(pauses_are_described_and_heard_as_noise)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g729");
	struct codec codec = codec_named("G729", RATE);
	uint32_t speech = 0, described = 0;

	sound_noise(in, COUNT, -50);
	struct payloads payloads = codec_encode(&codec, "", 20, in, COUNT);
	for (uint32_t i = payloads.count / 2; i < payloads.count; i++) {
		speech += payloads.items[i].bytes >= 10;
		described += payloads.items[i].bytes % 10 == 2;
	}
	ck_assert_msg(speech * 4 < payloads.count / 2 && described >= 1, "%u with speech, %u with a SID", speech, described);
	ck_assert_uint_eq(codec_decode(&codec, "", &payloads, NULL, out, COUNT, NULL), COUNT);
	for (uint32_t at = COUNT / 2; at < COUNT; at += 800) {
		double dbfs = sound_dbfs(out + at, 800);
		ck_assert_msg(dbfs > -60 && dbfs < -45, "%.1f dBFS", dbfs);
	}
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

/* Speech begins at odd moments: a payload is still frames of speech and then, perhaps, one SID. */
START_TEST(speech_that_begins_within_a_packet_makes_a_packet_of_speech)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g729");
	struct codec codec = codec_named("G729", RATE);
	uint32_t begins = 0;

	sound_noise(in, COUNT, -60);
	for (uint32_t at = RATE / 2, part = 0; at + 2400 < COUNT; at += 6480, part++)
		sound_tone(in + at + part * 80, 2400, RATE, 300 + part * 100, -12);
	for (uint32_t ptime_ms = 10; ptime_ms <= 60; ptime_ms += 10) {
		struct payloads payloads = codec_encode(&codec, "", ptime_ms, in, COUNT);
		int32_t full = (int32_t)ptime_ms, before = 0;

		for (uint32_t i = 0; i < payloads.count; i++) {
			int32_t bytes = payloads.items[i].bytes;

			ck_assert_int_le(bytes, full);
			ck_assert(bytes % 10 == 0 || bytes % 10 == 2);
			if (bytes >= 10 && before < 10 && i) {
				ck_assert_msg(bytes == full, "speech begins with %d octets of %d", bytes, full);
				begins++;
			}
			before = bytes;
		}
		ck_assert_uint_eq(codec_decode(&codec, "", &payloads, NULL, out, COUNT, NULL), payloads.count * ptime_ms * 8);
		payloads_free(&payloads);
	}
	ck_assert_uint_ge(begins, 6 * 8);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

static bool lost_some(uint32_t index)
{
	return index > 10 && (index * 2654435761u >> 16) % 33 == 0;
}

START_TEST(loss_makes_no_holes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g729");
	struct codec codec = codec_named("G729", RATE);

	sound_speech(in, COUNT, RATE);
	for (uint32_t i = 0; i < COUNT; i++)
		in[i] = (int16_t)(in[i] / 2 + (int16_t)(i * 2654435761u >> 26) - 32); /* not quiet anywhere */
	struct payloads payloads = codec_encode(&codec, "annexb=no", 20, in, COUNT);
	ck_assert_uint_eq(codec_decode(&codec, "", &payloads, lost_some, out, COUNT, NULL), COUNT);
	ck_assert_uint_lt(sound_hole(out + RATE / 10, COUNT - RATE / 10), 80);
	for (uint32_t i = 11; i < payloads.count; i++)
		if (lost_some(i))
			ck_assert_double_gt(sound_dbfs(out + i * 160, 160), -75);
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(what_is_no_g729_is_refused)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g729");
	struct codec codec = codec_named("G729", RATE);
	void *decoder = codec_decoder(&codec, "");
	uint8_t payload[200] = { 0 };

	for (uint32_t bytes = 0; bytes <= 40; bytes++) {
		int32_t expected = bytes == 2                 ? 0
				   : bytes % 10 == 0 && bytes ? (int32_t)bytes * 8
				   : bytes % 10 == 2          ? (int32_t)(bytes + 8) * 8
							      : -1;

		ck_assert_int_eq(codec.row->decode(decoder, payload, bytes, out, 960), expected);
	}
	ck_assert_int_eq(codec.row->decode(decoder, payload, 122, out, 960), -1);
	codec.row->decoder_close(decoder);
	codec_survives_noise(&codec, "");
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(packets_of_10_to_60_ms_come_back)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g729");
	struct codec codec = codec_named("G729", 8000);

	codec_speaks_at_every_ptime(&codec, "annexb=no", 1004, 14);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

CHECK_MAIN("codec_g729", tones_keep_their_pitch_and_level, ffmpeg_hears_the_same, who_says_no_to_pauses_gets_none,
	   a_variant_without_b_says_no_itself, in_silence_little_is_sent, pauses_are_described_and_heard_as_noise,
	   speech_that_begins_within_a_packet_makes_a_packet_of_speech, loss_makes_no_holes, what_is_no_g729_is_refused,
	   packets_of_10_to_60_ms_come_back)
