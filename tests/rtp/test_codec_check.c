/* tests/rtp/test_codec_check.c - `codec test`: codecs that do as they should pass, those that are broken in one way or another do not */
#include "../check_main.h"
#include "rig.h"
#include <rtp/codec_check.h>
#include <rtp/codec_vectors.h>
#include <rtp/g711.h>

static struct rtp_codec_figures figures_of(const char *name, uint32_t clock_hz)
{
	struct core_codec codec = { .clock_hz = clock_hz, .channels = 1 };
	struct rtp_codec_check *check;

	(void)snprintf(codec.name, sizeof codec.name, "%s", name);
	ck_assert_int_eq(rtp_codec_check_new(&codec, &check), PBX_OK);
	rtp_codec_check_run(check);
	struct rtp_codec_figures figures = *rtp_codec_check_figures(check);

	rtp_codec_check_free(check);
	return figures;
}

START_TEST(the_cores_own_pass)
{
	struct rtp_codec_figures mu, wide;

	rtp_g711_init();
	mu = figures_of("PCMU", 8000);
	wide = figures_of("L16", 16000);
	ck_assert(mu.passed && wide.passed);
	ck_assert_double_ge(mu.snr_db, 35);
	ck_assert_double_le(mu.snr_db, 42);
	ck_assert_double_eq_tol(mu.gain_db, 0, 0.1);
	ck_assert_uint_eq(mu.bytes, 160);
	ck_assert_double_ge(wide.snr_db, 75);
	ck_assert_uint_eq(wide.bytes, 640);
	ck_assert_double_le(wide.silence_dbfs, -119);
	ck_assert(mu.encode_ms > 0 && mu.decode_ms > 0);
	rtp_codecs_fini();
}
END_TEST

/* ---- codecs that are broken: 16 bits as they are, but for one thing ---- */

static int open_one(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_state)
{
	(void)self, (void)wish;
	*ret_state = (void *)(uintptr_t)codec->context;
	return PBX_OK;
}

static void close_one(void *state)
{
	(void)state;
}

static int32_t encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	(void)encoder, (void)size;
	memcpy(ret_payload, samples, count * 2);
	return (int32_t)count * 2;
}

static int16_t twice_wrapped(int16_t sample)
{
	return (int16_t)(uint16_t)(2 * sample);
}

static int32_t decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	const char *fault = decoder;
	uint32_t count = bytes / 2;

	ck_assert_uint_le(count, size);
	memcpy(ret_samples, payload, bytes);
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(fault, "soft") == 0)
			ret_samples[i] = (int16_t)(ret_samples[i] / 4);
		else if (strcmp(fault, "wraps") == 0)
			ret_samples[i] = (int16_t)(twice_wrapped(ret_samples[i]) / 2);
		else if (strcmp(fault, "hums") == 0)
			ret_samples[i] = (int16_t)(ret_samples[i] / 8 * 7 + (i % 40 < 20 ? 500 : -500));
		else if (strcmp(fault, "other") == 0)
			ret_samples[i] = (int16_t)(i * 2654435761u >> 16);
	}
	return strcmp(fault, "refuses") == 0 ? PBX_EINVAL : (int32_t)count;
}

#define ROW(encoding, fault)                                                                                                               \
	{                                                                                                                                  \
		.name = (encoding), .clock_hz = 8000, .rate_hz = 8000, .channels = 1, .payload_type = 120, .least_ptime_ms = 20,           \
		.usual_ptime_ms = 20, .most_ptime_ms = 20, .bits_per_s = 128000, .context = (fault), .encoder_open = open_one,             \
		.decoder_open = open_one, .encoder_close = close_one, .decoder_close = close_one, .encode = encode, .decode = decode       \
	}

static const struct pbx_codec rows[] = {
	ROW("FINE", ""), ROW("SOFT", "soft"), ROW("WRAPS", "wraps"), ROW("HUMS", "hums"), ROW("OTHER", "other"), ROW("REFUSES", "refuses"),
};

START_TEST(those_that_are_broken_do_not_and_the_reason_is_told)
{
	const struct pbx_codecs offered = { .header = PBX_HEADER(struct pbx_codecs), .codecs = PBX_TABLE(rows) };
	const struct {
		const char *name, *reason;
	} faults[] = { { "SOFT", "another loudness" },
		       { "WRAPS", "a loud tone is torn" },
		       { "HUMS", "silence is not silent" },
		       { "OTHER", "something else" },
		       { "REFUSES", "cannot decode" } };

	rig_codecs = &offered;
	ck_assert(figures_of("FINE", 8000).passed);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		struct rtp_codec_figures figures = figures_of(faults[i].name, 8000);

		ck_assert_msg(!figures.passed && strstr(figures.reason, faults[i].reason), "%s: \"%s\"", faults[i].name, figures.reason);
	}
	rig_codecs = NULL;
	rtp_codecs_fini();
}
END_TEST

/* ---- vectors ---- */

static char folder[64];

static void write_file(const char *name, const void *data, size_t size)
{
	char path[128];

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
}

/* What is said of each vector of the folder, in turn. */
static uint32_t try_vectors(const char *codec_name, char ret_reasons[][120], char ret_names[][64])
{
	struct core_codec codec = { .clock_hz = 8000, .channels = 1 };
	struct rtp_vector *vectors = NULL;
	uint32_t count = 0;

	(void)snprintf(codec.name, sizeof codec.name, "%s", codec_name);
	ck_assert_int_eq(rtp_vectors_find(folder, &vectors, &count), PBX_OK);
	for (uint32_t i = 0; i < count; i++) {
		struct rtp_vector_check *check;

		ck_assert_int_eq(rtp_vector_check_new(&codec, &vectors[i], &check), PBX_OK);
		rtp_vector_check_run(check);
		(void)snprintf(ret_reasons[i], 120, "%s", rtp_vector_check_reason(check));
		(void)snprintf(ret_names[i], 64, "%s", vectors[i].name);
		rtp_vector_check_free(check);
	}
	free(vectors);
	return count;
}

START_TEST(files_say_what_a_codec_should_do)
{
	int16_t samples[800];
	uint8_t octets[800];
	char reasons[4][120], names[4][64];

	(void)snprintf(folder, sizeof folder, "/tmp/vectors-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	rtp_g711_init();
	for (uint32_t i = 0; i < 800; i++) {
		octets[i] = rtp_g711_encode(RTP_LAW_MU, (int16_t)(i * 2654435761u >> 16));
		samples[i] = rtp_g711_decode(RTP_LAW_MU, octets[i]);
	}
	write_file("Tone.IN", samples, sizeof samples);
	write_file("tone.bit", octets, sizeof octets);
	write_file("tone.out", samples, sizeof samples - 20); /* the last packet is cut off */
	write_file("alone.in", samples, sizeof samples);
	write_file("notes.txt", "in", 2);
	ck_assert_uint_eq(try_vectors("PCMU", reasons, names), 2);
	ck_assert_str_eq(names[0], "tone.bit");
	ck_assert_str_eq(reasons[0], "");
	ck_assert_str_eq(names[1], "tone.out");
	ck_assert_str_eq(reasons[1], "");

	octets[123] ^= 1;
	write_file("tone.bit", octets, sizeof octets);
	ck_assert_uint_eq(try_vectors("PCMU", reasons, names), 2);
	ck_assert_str_eq(reasons[0], "1 of 800 octets differ, from number 123 on");
	ck_assert_str_eq(reasons[1], "1 of 790 samples differ, from number 123 on");

	write_file("tone.bit", octets, 100);
	ck_assert_uint_eq(try_vectors("PCMU", reasons, names), 2);
	ck_assert_str_eq(reasons[0], "it makes 800 octets, the file has 100");
	rtp_codecs_fini();
}
END_TEST

START_TEST(the_itus_words_are_read)
{
	static uint16_t words[3 * (2 + 640)];
	int16_t samples[240];
	char reasons[4][120], names[4][64];

	(void)snprintf(folder, sizeof folder, "/tmp/vectors-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	rtp_g711_init();
	for (uint32_t i = 0; i < 240; i++) {
		uint8_t octet = rtp_g711_encode(RTP_LAW_MU, (int16_t)(i * 2654435761u >> 16));
		uint16_t *frame = words + i / 80 * 642;

		frame[0] = 0x6b21;
		frame[1] = 640;
		for (uint32_t bit = 0; bit < 8; bit++)
			frame[2 + i % 80 * 8 + bit] = octet >> (7 - bit) & 1 ? 0x81 : 0x7f;
		samples[i] = rtp_g711_decode(RTP_LAW_MU, octet);
	}
	write_file("speech.in", samples, sizeof samples);
	write_file("speech.bit", words, sizeof words);
	write_file("speech.pst", samples, sizeof samples);
	ck_assert_uint_eq(try_vectors("PCMU", reasons, names), 2);
	ck_assert_str_eq(names[0], "speech.pst");
	ck_assert_str_eq(reasons[0], "");
	ck_assert_str_eq(names[1], "speech.bit");
	ck_assert_str_eq(reasons[1], "");
	write_file("speech.bit", words, sizeof words - 2); /* the third frame is no whole one */
	ck_assert_uint_eq(try_vectors("PCMU", reasons, names), 2);
	ck_assert_str_eq(reasons[0], "");
	ck_assert_str_eq(reasons[1], "");
	words[642] = 0x6b20; /* lost */
	write_file("speech.bit", words, sizeof words);
	ck_assert_uint_eq(try_vectors("PCMU", reasons, names), 2);
	ck_assert_ptr_nonnull(strstr(reasons[0], "of 240 samples differ, from number 80 on"));
	rtp_codecs_fini();
}
END_TEST

CHECK_MAIN("codec_check", the_cores_own_pass, those_that_are_broken_do_not_and_the_reason_is_told, files_say_what_a_codec_should_do,
	   the_itus_words_are_read)
