/* plugins/codec_g722/test_codec_g722.c - FFmpeg's encoder and decoder agree with it to the bit */
#include "../../tests/check_main.h"
#include "codec.h"
#include <stdlib.h>
#include <unistd.h>

#define RATE 16000u
#define COUNT (RATE * 10)
#define OCTETS (COUNT / 2)

static int16_t in[COUNT], out[COUNT], theirs[COUNT];
static uint8_t stream[OCTETS], their_stream[OCTETS + 1];

/* FFmpeg's encoding of `in`. */
static void ffmpeg_encode(void)
{
	char path[] = "/tmp/g722-test-XXXXXX", command[200];
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, in, sizeof in), sizeof in);
	ck_assert_int_eq(close(fd), 0);
	(void)snprintf(command, sizeof command, "ffmpeg -v error -f s16le -ar 16000 -ac 1 -i %s -c:a g722 -f g722 -", path);
	FILE *pipe = popen(command, "r");

	ck_assert_ptr_nonnull(pipe);
	ck_assert_uint_eq(fread(their_stream, 1, sizeof their_stream, pipe), OCTETS);
	ck_assert_int_eq(pclose(pipe), 0);
	ck_assert_int_eq(unlink(path), 0);
}

static void encode_all(const struct codec *codec)
{
	struct payloads payloads = codec_encode(codec, "", 20, in, COUNT);

	for (uint32_t i = 0; i < payloads.count; i++) {
		ck_assert_int_eq(payloads.items[i].bytes, 160);
		memcpy(stream + i * 160, payloads.items[i].octets, 160);
	}
	ck_assert_uint_eq(codec_decode(codec, "", &payloads, NULL, out, COUNT, NULL), COUNT);
	payloads_free(&payloads);
}

START_TEST(octets_and_samples_are_ffmpegs)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g722");
	struct codec codec = codec_named("G722", RATE);

	ck_assert_uint_eq(codec.row->payload_type, 9);
	ck_assert_uint_eq(codec.row->clock_hz, 8000);
	for (int sound = 0; sound < 4; sound++) { /* speech, a tone, noise and a square wave as loud as can be */
		if (sound == 0)
			sound_speech(in, COUNT, RATE);
		else if (sound == 1)
			sound_tone(in, COUNT, RATE, 1000, -12);
		for (uint32_t i = 0; sound >= 2 && i < COUNT; i++)
			in[i] = (int16_t)(sound == 2 ? random() : i / 16 % 2 ? INT16_MIN : INT16_MAX);
		encode_all(&codec);
		ffmpeg_encode();
		ck_assert_int_eq(memcmp(stream, their_stream, OCTETS), 0);
		ck_assert_uint_eq(sound_ffmpeg_decodes("-f g722 -c:a g722", stream, OCTETS, RATE, theirs, COUNT), COUNT);
		ck_assert(sound == 3 ||
			  memcmp(out, theirs, sizeof out) == 0); /* its filter's memory wraps at 16 bits, spandsp's does not */
	}
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(tones_come_back_as_the_card_says)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g722");
	struct codec codec = codec_named("G722", RATE);
	double gain_db;

	for (uint32_t ptime_ms = 10; ptime_ms <= 60; ptime_ms += 10)
		ck_assert_double_ge(codec_tone_snr(&codec, "", ptime_ms, 1000, &gain_db), 44);
	ck_assert_double_ge(codec_tone_snr(&codec, "", 20, 6000, &gain_db), 25);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(silence_is_not_heard_and_nothing_wraps)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g722");
	struct codec codec = codec_named("G722", RATE);

	memset(in, 0, sizeof in);
	encode_all(&codec);
	for (uint32_t i = 320; i < COUNT; i++)
		ck_assert_int_le(abs(out[i]), 4); /* the pattern of an idle G.722 channel, -78 dBFS; FFmpeg decodes the same */
	for (uint32_t i = 0; i < COUNT; i++)
		in[i] = i / 16 % 2 ? INT16_MIN : INT16_MAX; /* 500 Hz, as loud as can be: its own steps are 65,535 high */
	encode_all(&codec);
	for (uint32_t i = 1; i < COUNT; i++)
		ck_assert_int_le(abs(out[i] - out[i - 1]), 46000);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(a_decoder_that_restarts_is_as_a_fresh_one)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g722");
	struct codec codec = codec_named("G722", RATE);
	void *used = codec_decoder(&codec, ""), *fresh = codec_decoder(&codec, "");

	sound_speech(in, COUNT, RATE);
	encode_all(&codec);
	ck_assert_int_eq(codec.row->decode(used, stream + 8000, 960, out, 1920), 1920);
	codec.row->restart(used);
	ck_assert_int_eq(codec.row->decode(used, stream, 160, out, 320), 320);
	ck_assert_int_eq(codec.row->decode(fresh, stream, 160, theirs, 320), 320);
	ck_assert_int_eq(memcmp(out, theirs, 640), 0);
	ck_assert_int_lt(codec.row->decode(used, stream, 161, out, 320), 0);
	codec.row->decoder_close(used);
	codec.row->decoder_close(fresh);
	codec_survives_noise(&codec, "");
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

START_TEST(packets_of_10_to_60_ms_come_back)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("codec_g722");
	struct codec codec = codec_named("G722", 16000);

	codec_speaks_at_every_ptime(&codec, "", 1004, 40);
	ck_assert_ptr_nonnull(pbx);
}
END_TEST

CHECK_MAIN("codec_g722", octets_and_samples_are_ffmpegs, tones_come_back_as_the_card_says, silence_is_not_heard_and_nothing_wraps,
	   a_decoder_that_restarts_is_as_a_fresh_one, packets_of_10_to_60_ms_come_back)
