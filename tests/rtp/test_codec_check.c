/* tests/rtp/test_codec_check.c - `codec test`: codecs that do as they should pass, those that are broken in one way or another do not */
#include "../check_main.h"
#include "rig.h"
#include <rtp/codec_check.h>
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

CHECK_MAIN("codec_check", the_cores_own_pass, those_that_are_broken_do_not_and_the_reason_is_told)
