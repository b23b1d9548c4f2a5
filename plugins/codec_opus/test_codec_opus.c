/* plugins/codec_opus/test_codec_opus.c - what Opus says in SDP, what it does with what others say, and how it sounds after loss */
#include "../../tests/check_main.h"
#include "codec.h"
#include <stdlib.h>

#define RATE 16000u
#define COUNT (RATE * 6)

static int16_t in[48000 * 6], out[48000 * 6];

static struct fake_pbx *house(struct codec *codec, const char *yaml)
{
	struct fake_pbx *pbx = fake_pbx_with_settings("codec_opus", yaml);

	*codec = codec_named("opus", RATE);
	return pbx;
}

START_TEST(is_opus_48000_2_in_sdp_and_asks_for_repair)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "codec_opus:\n  receive_bitrate: 24000\n  dtx: true\n");

	ck_assert_uint_eq(codec.row->clock_hz, 48000);
	ck_assert_uint_eq(codec.row->channels, 2);
	ck_assert_uint_eq(codec.row->payload_type, 111);
	ck_assert_str_eq(codec_offer(&codec), "useinbandfec=1;usedtx=1;maxaveragebitrate=24000");
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(settings_that_opus_cannot_do_are_refused)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_opus");

	const char *answer = fake_command(pbx, "config set codec_opus.sample_rate 11025");
	ck_assert_uint_eq(fake_status(pbx), 422);
	ck_assert_msg(strstr(answer, "8000, 16000, 24000 or 48000") != NULL, "%s", answer);
	(void)fake_command(pbx, "config set codec_opus.receive_bitrate 5000");
	ck_assert_uint_eq(fake_status(pbx), 422);
}
END_TEST

START_TEST(a_tone_comes_back)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "");
	static const uint32_t ptimes[] = { 5, 10, 20, 40, 60 };
	double gain_db;

	for (size_t i = 0; i < sizeof ptimes / sizeof *ptimes; i++) {
		double snr = codec_tone_snr(&codec, "useinbandfec=1", ptimes[i], 1000, &gain_db);

		ck_assert_msg(snr >= 15, "%u ms: %.1f dB", ptimes[i], snr);
		ck_assert_msg(gain_db > -1.5 && gain_db < 1.5, "%u ms: %.1f dB louder", ptimes[i], gain_db);
	}
	ck_assert_double_ge(codec_tone_snr(&codec, "", 20, 1000, &gain_db), 18);
	ck_assert_double_ge(codec_tone_snr(&codec, "", 20, 6000, &gain_db), 15); /* wideband */
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(every_rate_of_samples_works)
{
	static const uint32_t rates[] = { 8000, 24000, 48000 };

	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		char yaml[64];
		(void)snprintf(yaml, sizeof yaml, "codec_opus:\n  sample_rate: %u\n", rates[i]);
		AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with_settings("codec_opus", yaml);
		struct codec codec = codec_named("opus", rates[i]);

		double snr = codec_tone_snr(&codec, "", 20, 1000, NULL);
		ck_assert_msg(snr >= 18, "%u Hz: %.1f dB", rates[i], snr);
		ck_assert_ptr_nonnull(pbx);
	}
}
END_TEST

/* FFmpeg has a decoder of its own, which shares nothing with libopus. */
START_TEST(ffmpeg_hears_the_same)
{
	static int16_t theirs[COUNT + RATE];
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "");
	struct sound_ogg ogg = { NULL, 0, 0 };
	const uint8_t head[19] = "OpusHead\1\1\0\0\200\273\0\0\0\0", tags[16] = "OpusTags";

	sound_speech(in, COUNT, RATE);
	struct payloads payloads = codec_encode(&codec, "useinbandfec=1", 20, in, COUNT);
	uint32_t made = codec_decode(&codec, "", &payloads, NULL, out, COUNT, NULL);
	sound_ogg_add(&ogg, head, sizeof head, 0, false);
	sound_ogg_add(&ogg, tags, sizeof tags, 0, false);
	for (uint32_t i = 0; i < payloads.count; i++)
		sound_ogg_add(&ogg, payloads.items[i].octets, (size_t)payloads.items[i].bytes, (i + 1) * 960u, i + 1 == payloads.count);
	uint32_t count = sound_ffmpeg_decodes("-c:a opus", ogg.bytes, ogg.size, RATE, theirs, COUNT);

	ck_assert_uint_ge(count, made - RATE / 10);
	double snr = sound_snr(theirs, out, count, 4000, 400, NULL, NULL), back = sound_snr(out, theirs, count, 4000, 400, NULL, NULL);
	ck_assert_msg(snr >= 20 || back >= 20, "%.1f dB, %.1f dB", snr, back);
	sound_ogg_free(&ogg);
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

/* Bandwidth of a packet, RFC 6716 table 2: configurations 0 to 3 and 16 to 19 are narrow. */
static bool is_narrow(const struct payload *payload)
{
	uint32_t configuration = payload->octets[0] >> 3;

	return configuration < 4 || (configuration >= 16 && configuration < 20);
}

START_TEST(we_send_what_the_other_side_likes)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "");

	sound_speech(in, COUNT, RATE);
	struct payloads payloads = codec_encode(&codec, "maxplaybackrate=8000;maxaveragebitrate=14000", 20, in, COUNT);
	for (uint32_t i = 0; i < payloads.count; i++)
		ck_assert_msg(is_narrow(&payloads.items[i]), "packet %u has configuration %u", i, payloads.items[i].octets[0] >> 3);
	double bits_per_s = payloads_bytes(&payloads) * 8.0 / 6;
	ck_assert_msg(bits_per_s > 12600 && bits_per_s < 15400, "%.0f bit/s", bits_per_s);
	payloads_free(&payloads);

	payloads = codec_encode(&codec, " CBR = 1 ;maxaveragebitrate=9999999", 20, in, COUNT); /* out of range: as if it were not there */
	for (uint32_t i = 0; i < payloads.count; i++)
		ck_assert_int_eq(payloads.items[i].bytes, 32000 / 8 / 50);
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(quiet_is_not_sent_to_who_asks)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "");
	uint32_t sent = 0;

	memset(in, 0, sizeof in);
	sound_speech(in, RATE, RATE);
	struct payloads payloads = codec_encode(&codec, "usedtx=1", 20, in, COUNT);
	for (uint32_t i = payloads.count / 3; i < payloads.count; i++)
		sent += payloads.items[i].bytes > 0;
	ck_assert_msg(sent <= 12, "%u packets in 4 s of silence", sent);
	ck_assert_uint_eq(codec_decode(&codec, "", &payloads, NULL, out, COUNT, NULL), COUNT);
	ck_assert_double_le(sound_dbfs(out + COUNT / 2, COUNT / 2), -60);
	payloads_free(&payloads);

	payloads = codec_encode(&codec, "", 20, in, COUNT);
	for (uint32_t i = 0; i < payloads.count; i++)
		ck_assert_int_gt(payloads.items[i].bytes, 0);
	payloads_free(&payloads);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

static bool lost_some(uint32_t index)
{
	return index > 10 && (index * 2654435761u >> 16) % 10 == 0;
}

static double distance_after_loss(const struct codec *codec, const char *fmtp, uint32_t *ret_recovered)
{
	struct payloads payloads = codec_encode(codec, fmtp, 20, in, COUNT);
	static int16_t whole[COUNT];

	ck_assert_uint_eq(codec_decode(codec, "", &payloads, NULL, whole, COUNT, NULL), COUNT);
	ck_assert_uint_eq(codec_decode(codec, "", &payloads, lost_some, out, COUNT, ret_recovered), COUNT);
	payloads_free(&payloads);
	return sound_distance(whole, out, COUNT, RATE);
}

START_TEST(what_is_lost_is_repaired_from_the_next_packet)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "codec_opus:\n  expected_loss: 10\n");
	uint32_t lost = 0, recovered, none;

	for (uint32_t i = 0; i < COUNT / 320; i++)
		lost += lost_some(i);
	sound_speech(in, COUNT, RATE);
	double with = distance_after_loss(&codec, "useinbandfec=1", &recovered);
	double without = distance_after_loss(&codec, "useinbandfec=0", &none);
	ck_assert_msg(recovered * 10 >= lost * 6, "%u of %u", recovered, lost);
	ck_assert_uint_eq(none, 0);
	ck_assert_msg(with < without, "%.2f dB with repair, %.2f dB without", with, without);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

static uint32_t bytes_of_a_second(const struct codec *codec, void *encoder)
{
	uint32_t bytes = 0;
	uint8_t payload[PBX_CODEC_MOST_BYTES];

	for (uint32_t at = 0; at < RATE; at += 320)
		bytes += (uint32_t)codec->row->encode(encoder, in + at, 320, payload, sizeof payload);
	return bytes;
}

START_TEST(the_rate_falls_when_much_is_lost_and_rises_again)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "codec_opus:\n  fec: false\n");
	void *encoder = codec_encoder(&codec, "cbr=1", 20);

	sound_speech(in, RATE, RATE);
	ck_assert_uint_eq(bytes_of_a_second(&codec, encoder), 4000);
	codec.row->loss(encoder, 9);
	ck_assert_uint_eq(bytes_of_a_second(&codec, encoder), 4000);
	codec.row->loss(encoder, 30);
	ck_assert_uint_eq(bytes_of_a_second(&codec, encoder), 3200);
	for (uint32_t i = 0; i < 20; i++)
		codec.row->loss(encoder, 30);
	ck_assert_uint_eq(bytes_of_a_second(&codec, encoder), 1500); /* 12 kbit/s and no less */
	codec.row->loss(encoder, 0);
	for (uint32_t i = 0; i < 10; i++)
		(void)bytes_of_a_second(&codec, encoder);
	uint32_t risen = bytes_of_a_second(&codec, encoder);
	ck_assert_msg(risen > 1500 && risen < 1700, "%u", risen);
	codec.row->encoder_close(encoder);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(packets_are_as_long_as_opus_can_make_them)
{
	static const struct {
		uint32_t wanted, made;
	} lengths[] = { { 3, 5 }, { 5, 5 }, { 10, 10 }, { 15, 10 }, { 20, 20 }, { 30, 20 }, { 50, 40 }, { 60, 60 }, { 200, 120 } };
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "");

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
		ck_assert_uint_eq(codec.row->ptime(codec.self, codec.row, "", "", lengths[i].wanted), lengths[i].made);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(packets_of_120_ms_and_of_nobody_are_taken)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "");

	sound_speech(in, COUNT, RATE);
	struct payloads payloads = codec_encode(&codec, "", 120, in, COUNT);
	ck_assert_uint_eq(codec.row->duration(codec.row, payloads.items[0].octets, (uint32_t)payloads.items[0].bytes), RATE * 120 / 1000);
	ck_assert_uint_eq(codec_decode(&codec, "", &payloads, NULL, out, COUNT, NULL), COUNT);
	payloads_free(&payloads);
	codec_survives_noise(&codec, "");
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(streams_are_handed_on_where_the_other_side_takes_them)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "");
	bool (*passes)(void *, const struct pbx_codec *, const char *, const char *) = codec.row->passes;

	ck_assert(passes(codec.self, codec.row, "", ""));
	ck_assert(passes(codec.self, codec.row, "stereo=1;useinbandfec=1", "minptime=10"));
	ck_assert(passes(codec.self, codec.row, "maxaveragebitrate=20000", "maxaveragebitrate=20000"));
	ck_assert(!passes(codec.self, codec.row, "", "maxaveragebitrate=20000"));
	ck_assert(!passes(codec.self, codec.row, "", "cbr=1"));
	ck_assert(passes(codec.self, codec.row, "cbr=1", "cbr=1"));
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(packets_of_10_to_60_ms_come_back)
{
	struct codec codec;
	AUTO(fake_pbx) struct fake_pbx *pbx = house(&codec, "");

	codec_speaks_at_every_ptime(&codec, "", 1000, 18);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

CHECK_MAIN("codec_opus", is_opus_48000_2_in_sdp_and_asks_for_repair, settings_that_opus_cannot_do_are_refused, a_tone_comes_back,
	   every_rate_of_samples_works, ffmpeg_hears_the_same, we_send_what_the_other_side_likes, quiet_is_not_sent_to_who_asks,
	   what_is_lost_is_repaired_from_the_next_packet, the_rate_falls_when_much_is_lost_and_rises_again,
	   packets_are_as_long_as_opus_can_make_them, packets_of_120_ms_and_of_nobody_are_taken,
	   streams_are_handed_on_where_the_other_side_takes_them, packets_of_10_to_60_ms_come_back)
