/* plugins/codec_speex/test_codec_speex.c - FFmpeg hears the same, what the other side lists is kept to, broken payloads never reach libspeex */
#include "../../tests/check_main.h"
#include "codec.h"
#include "payload.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_RATE 32000u
#define SECONDS 6u

static int16_t in[MOST_RATE * SECONDS], out[MOST_RATE * SECONDS], theirs[MOST_RATE * SECONDS];
static const uint32_t rates[] = { 8000, 16000, 32000 };

START_TEST(tones_come_back_in_every_band)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_speex");

	for (size_t i = 0; i < 3; i++) {
		struct codec codec = codec_named("speex", rates[i]);

		ck_assert_uint_eq(codec.row->clock_hz, rates[i]);
		for (uint32_t ptime_ms = 20; ptime_ms <= 60; ptime_ms += 20) {
			double gain_db, snr = codec_tone_snr(&codec, "", ptime_ms, 1004, &gain_db);

			ck_assert_msg(snr >= 12, "%u Hz: %.1f dB", rates[i], snr);
			ck_assert_msg(gain_db > -1.5 && gain_db < 1.5, "%u Hz: %.1f dB louder", rates[i], gain_db);
		}
	}
	struct codec wide = codec_named("speex", 16000);
	ck_assert_double_ge(codec_tone_snr(&wide, "", 20, 3000, NULL), 12);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

static void put_le(uint8_t *at, uint32_t value)
{
	for (uint32_t i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* The head of Ogg Speex files: the Speex manual, section 7. */
static void make_head(uint8_t head[80], uint32_t rate_hz, uint32_t mode)
{
	const uint32_t words[] = { 1, 80, rate_hz, mode, 4, 1, UINT32_MAX, rate_hz / 50, 0, 1, 0, 0, 0 };

	memset(head, 0, 80);
	memcpy(head, "Speex   1.2.1", 13);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		put_le(head + 28 + 4 * i, words[i]);
}

/* FFmpeg has a decoder of its own since 5.0. */
START_TEST(ffmpeg_hears_the_same)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_speex");

	for (uint32_t band = 0; band < 3; band++) {
		struct codec codec = codec_named("speex", rates[band]);
		struct sound_ogg ogg = { NULL, 0, 0 };
		uint8_t head[80], tags[8] = { 0 };
		uint32_t count = rates[band] * SECONDS, each = rates[band] / 50;

		sound_speech(in, count, rates[band]);
		struct payloads payloads = codec_encode(&codec, "", 20, in, count);
		ck_assert_uint_eq(codec_decode(&codec, "", &payloads, NULL, out, count, NULL), count);
		make_head(head, rates[band], band);
		sound_ogg_add(&ogg, head, sizeof head, 0, false);
		sound_ogg_add(&ogg, tags, sizeof tags, 0, false);
		for (uint32_t i = 0; i < payloads.count; i++)
			sound_ogg_add(&ogg, payloads.items[i].octets, (size_t)payloads.items[i].bytes, (uint64_t)(i + 1) * each,
				      i + 1 == payloads.count);
		uint32_t heard = sound_ffmpeg_decodes("-c:a speex", ogg.bytes, ogg.size, rates[band], theirs, count);
		ck_assert_uint_ge(heard, count - rates[band] / 5);
		double distance = sound_distance(out, theirs, heard, rates[band]);
		ck_assert_msg(distance < 1.5, "%u Hz: %.1f dB", rates[band], distance);
		if (band == 0) { /* the upper bands are a likeness of the lower one, and each decoder has its own */
			double snr = sound_snr(out, theirs, heard, each * 10, each, NULL, NULL);
			ck_assert_msg(snr >= 20, "%.1f dB", snr);
		}
		sound_ogg_free(&ogg);
		payloads_free(&payloads);
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(offers_are_narrow_unless_more_is_wanted)
{
	struct codec nb, wb;
	{
		AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_speex");
		char fmtp[PBX_CODEC_FMTP_BYTES];

		nb = codec_named("speex", 8000);
		wb = codec_named("speex", 16000);
		ck_assert_str_eq(codec_offer(&nb), "vbr=on");
		ck_assert_ptr_null(codec_offer(&wb));
		ck_assert_int_eq(codec_answer(&wb, "mode=\"8,any\"", fmtp), PBX_OK);
		ck_assert_uint_eq(nb.row->payload_type, 98);
		(void)fake_command(pbx, "config set codec_speex.modes nb,hd");
		ck_assert_uint_eq(fake_status(pbx), 422);
	}
	AUTO(fake_pbx)
	struct fake_pbx *pbx = fake_pbx_with_settings("codec_speex", "codec_speex:\n  modes: [nb, wb, uwb]\n  vbr: false\n  dtx: true\n");
	wb = codec_named("speex", 16000);
	ck_assert_str_eq(codec_offer(&wb), "vbr=vad;cng=on");
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

static uint32_t bits_per_s(const struct codec *codec, const char *fmtp, uint32_t ptime_ms)
{
	uint32_t count = codec->row->rate_hz * SECONDS;
	struct payloads payloads = codec_encode(codec, fmtp, ptime_ms, in, count);
	uint32_t bits = payloads_bytes(&payloads) * 8 / SECONDS;

	payloads_free(&payloads);
	return bits;
}

START_TEST(the_rate_is_what_quality_says_and_varies_for_who_agrees)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_speex");
	struct codec codec = codec_named("speex", 8000);

	sound_speech(in, 8000 * SECONDS, 8000);
	ck_assert_uint_le(bits_per_s(&codec, "", 60), 15150); /* 300 bits a frame, and an octet's rest now and then */
	ck_assert_uint_ge(bits_per_s(&codec, "", 60), 15000);
	ck_assert_uint_eq(bits_per_s(&codec, "vbr=off", 20), 15200);
	memset(in, 0, 8000 * 2 * 3);
	uint32_t varying = bits_per_s(&codec, "vbr=on", 20), detecting = bits_per_s(&codec, "vbr=vad", 20);
	ck_assert_msg(varying < 11000, "%u", varying);
	ck_assert_msg(detecting < 15000, "%u", detecting);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(only_modes_that_the_other_side_lists_are_sent)
{
	static const struct {
		const char *fmtp;
		uint32_t mode;
	} lists[] = {
		{ "mode=\"2,4\"", 2 }, { "mode=\"4,2\";vbr=on", 4 }, { "mode=\"2,5\"", 5 }, { "mode=3", 3 }, { "mode=\"3,any\"", 5 }
	};
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_speex");
	struct codec codec = codec_named("speex", 8000);

	sound_speech(in, 8000 * SECONDS, 8000);
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct payloads payloads = codec_encode(&codec, lists[i].fmtp, 20, in, 8000 * SECONDS);

		for (uint32_t p = 0; p < payloads.count; p++)
			ck_assert_msg(speex_payload_mode(payloads.items[p].octets) == lists[i].mode, "%s: sub-mode %u", lists[i].fmtp,
				      speex_payload_mode(payloads.items[p].octets));
		payloads_free(&payloads);
	}
	ck_assert(codec.row->passes(codec.self, codec.row, "mode=\"2,4\"", "mode=\"2,4\""));
	ck_assert(codec.row->passes(codec.self, codec.row, "", "mode=\"3,any\""));
	ck_assert(!codec.row->passes(codec.self, codec.row, "", "mode=2"));
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(pauses_are_not_sent_to_who_makes_noise_of_its_own)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with_settings("codec_speex", "codec_speex:\n  dtx: true\n");
	struct codec codec = codec_named("speex", 8000);
	uint32_t count = 8000 * SECONDS, sent = 0;

	memset(in, 0, sizeof in);
	sound_speech(in, 8000, 8000);
	struct payloads payloads = codec_encode(&codec, "vbr=on;cng=on", 20, in, count);
	for (uint32_t i = payloads.count / 2; i < payloads.count; i++)
		sent += payloads.items[i].bytes > 0;
	ck_assert_msg(sent <= 30, "%u packets in 3 s", sent);
	payloads_free(&payloads);
	payloads = codec_encode(&codec, "vbr=on", 20, in, count);
	for (uint32_t i = 0; i < payloads.count; i++)
		ck_assert_int_gt(payloads.items[i].bytes, 0);
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

static bool lost_some(uint32_t index)
{
	return index > 10 && (index * 2654435761u >> 16) % 20 == 0;
}

START_TEST(loss_makes_no_holes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_speex");

	for (size_t i = 0; i < 3; i++) {
		struct codec codec = codec_named("speex", rates[i]);
		uint32_t count = rates[i] * SECONDS;

		sound_tone(in, count, rates[i], 400, -12);
		struct payloads payloads = codec_encode(&codec, "", 20, in, count);
		ck_assert_uint_eq(codec_decode(&codec, "", &payloads, lost_some, out, count, NULL), count);
		ck_assert_uint_lt(sound_hole(out + rates[i] / 10, count - rates[i] / 10), rates[i] / 200);
		for (uint32_t at = rates[i] / 2; at < count; at += rates[i] / 50)
			ck_assert_double_gt(sound_dbfs(out + at, rates[i] / 50), -40);
		payloads_free(&payloads);
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(frames_are_counted_in_every_quality_and_band)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_speex");

	for (size_t band = 0; band < 3; band++) {
		struct codec codec = codec_named("speex", rates[band]);

		sound_speech(in, rates[band] * 2, rates[band]);
		for (int mode = 0; mode <= 10; mode++)
			for (uint32_t ptime_ms = 20; ptime_ms <= 120; ptime_ms += 20) {
				char fmtp[24];

				if (band == 0 && (mode == 0 || mode > 8)) /* sub-modes of narrowband are 1 to 8 */
					continue;
				(void)snprintf(fmtp, sizeof fmtp, "mode=%d", mode);
				struct payloads payloads = codec_encode(&codec, fmtp, ptime_ms, in, rates[band]);
				for (uint32_t i = 0; i < payloads.count; i++)
					ck_assert_int_eq(speex_payload_frames(payloads.items[i].octets, (uint32_t)payloads.items[i].bytes,
									      (uint32_t)band),
							 (int32_t)ptime_ms / 20);
				payloads_free(&payloads);
			}
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(broken_payloads_are_refused_without_a_word_on_standard_error)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_speex");
	char path[] = "/tmp/speex-said-XXXXXX";
	int said = mkstemp(path), before = dup(STDERR_FILENO);
	struct stat stat;

	ck_assert_int_ge(said, 0);
	ck_assert_int_ge(dup2(said, STDERR_FILENO), 0);
	for (size_t i = 0; i < 3; i++) {
		struct codec codec = codec_named("speex", rates[i]);
		codec_survives_noise(&codec, "");
	}
	ck_assert_int_ge(dup2(before, STDERR_FILENO), 0);
	ck_assert_int_eq(fstat(said, &stat), 0);
	ck_assert_int_eq(close(said), 0);
	ck_assert_int_eq(close(before), 0);
	ck_assert_msg(stat.st_size == 0, "libspeex has said something: %s", path);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(packets_of_10_to_60_ms_come_back)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_speex");
	struct codec codec = codec_named("speex", 8000);

	codec_speaks_at_every_ptime(&codec, "", 1000, 11);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

CHECK_MAIN("codec_speex", tones_come_back_in_every_band, ffmpeg_hears_the_same, offers_are_narrow_unless_more_is_wanted,
	   the_rate_is_what_quality_says_and_varies_for_who_agrees, only_modes_that_the_other_side_lists_are_sent,
	   pauses_are_not_sent_to_who_makes_noise_of_its_own, loss_makes_no_holes, frames_are_counted_in_every_quality_and_band,
	   broken_payloads_are_refused_without_a_word_on_standard_error, packets_of_10_to_60_ms_come_back)
