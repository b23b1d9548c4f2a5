/* tests/plugins/codec.c - a codec of a plugin under test, driven as a media worker would: codec.h */
#include "codec.h"
#include "host.h"
#include <stdlib.h>

struct search {
	const char *name;
	uint32_t rate_hz;
	struct codec found;
};

static void look(void *context, const void *table)
{
	struct search *search = context;
	const struct pbx_codecs *codecs = table;

	ck_assert_uint_eq(codecs->codecs.row_size, sizeof(struct pbx_codec));
	for (uint32_t i = 0; i < codecs->codecs.count; i++) {
		const struct pbx_codec *row = &((const struct pbx_codec *)codecs->codecs.rows)[i];

		if (!strcmp(row->name, search->name) && row->rate_hz == search->rate_hz)
			search->found = (struct codec){ row, codecs->self };
	}
}

static struct codec find(const char *name, uint32_t rate_hz)
{
	struct search search = { name, rate_hz, { NULL, NULL } };

	core_host_each_service("pbx.codec/1", sizeof(struct pbx_codecs), look, &search);
	return search.found;
}

bool codec_is_offered(const char *name, uint32_t rate_hz)
{
	return find(name, rate_hz).row != NULL;
}

struct codec codec_named(const char *name, uint32_t rate_hz)
{
	struct codec codec = find(name, rate_hz);

	ck_assert_msg(codec.row != NULL, "nobody offers %s with %u samples a second", name, rate_hz);
	return codec;
}

const char *codec_offer(const struct codec *codec)
{
	static char fmtp[PBX_CODEC_FMTP_BYTES];

	fmtp[0] = '\0';
	return codec->row->offer && codec->row->offer(codec->self, codec->row, fmtp, sizeof fmtp) != PBX_OK ? NULL : fmtp;
}

int codec_answer(const struct codec *codec, const char *remote, char ret_fmtp[PBX_CODEC_FMTP_BYTES])
{
	ret_fmtp[0] = '\0';
	if (codec->row->answer)
		return codec->row->answer(codec->self, codec->row, remote, ret_fmtp, PBX_CODEC_FMTP_BYTES);
	return codec->row->offer ? codec->row->offer(codec->self, codec->row, ret_fmtp, PBX_CODEC_FMTP_BYTES) : PBX_OK;
}

void *codec_encoder(const struct codec *codec, const char *remote_fmtp, uint32_t ptime_ms)
{
	const char *said = codec_offer(codec);
	struct pbx_codec_wish wish = { sizeof wish, said ? said : "", remote_fmtp, ptime_ms, 0 };
	void *encoder = NULL;

	ck_assert_int_eq(codec->row->encoder_open(codec->self, codec->row, &wish, &encoder), PBX_OK);
	ck_assert_ptr_nonnull(encoder);
	return encoder;
}

void *codec_decoder(const struct codec *codec, const char *local_fmtp)
{
	struct pbx_codec_wish wish = { sizeof wish, local_fmtp, "", 0, 0 };
	void *decoder = NULL;

	ck_assert_int_eq(codec->row->decoder_open(codec->self, codec->row, &wish, &decoder), PBX_OK);
	ck_assert_ptr_nonnull(decoder);
	return decoder;
}

struct payloads codec_encode(const struct codec *codec, const char *remote_fmtp, uint32_t ptime_ms, const int16_t *samples, uint32_t count)
{
	uint32_t each = codec->row->rate_hz / 1000 * ptime_ms;
	struct payloads payloads = { count / each, ptime_ms, NULL };
	void *encoder = codec_encoder(codec, remote_fmtp, ptime_ms);

	payloads.items = calloc(payloads.count, sizeof *payloads.items);
	ck_assert_ptr_nonnull(payloads.items);
	for (uint32_t i = 0; i < payloads.count; i++) {
		struct payload *item = &payloads.items[i];

		item->bytes = codec->row->encode(encoder, samples + (size_t)i * each, each, item->octets, sizeof item->octets);
		ck_assert_int_ge(item->bytes, 0);
	}
	codec->row->encoder_close(encoder);
	return payloads;
}

void payloads_free(struct payloads *payloads)
{
	free(payloads->items);
	payloads->items = NULL;
}

uint32_t payloads_bytes(const struct payloads *payloads)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < payloads->count; i++)
		bytes += (uint32_t)payloads->items[i].bytes;
	return bytes;
}

static uint32_t fill_gap(const struct codec *codec, void *decoder, const struct payload *next, int16_t *ret_samples, uint32_t count)
{
	int32_t recovered = 0;

	if (codec->row->recover && next && next->bytes)
		recovered = codec->row->recover(decoder, next->octets, (uint32_t)next->bytes, ret_samples, count);
	ck_assert_int_le(recovered, (int32_t)count);
	if (recovered <= 0) {
		ck_assert_ptr_nonnull(codec->row->conceal);
		codec->row->conceal(decoder, ret_samples, count);
	}
	return recovered > 0;
}

uint32_t codec_decode(const struct codec *codec, const char *local_fmtp, const struct payloads *payloads, bool (*lost)(uint32_t index),
		      int16_t *ret_samples, uint32_t size, uint32_t *ret_recovered)
{
	void *decoder = codec_decoder(codec, local_fmtp);
	uint32_t made = 0, each = codec->row->rate_hz / 1000 * payloads->ptime_ms, recovered = 0;

	for (uint32_t i = 0; i < payloads->count; i++) {
		const struct payload *item = &payloads->items[i];
		int32_t count = 0;

		ck_assert_uint_le(made + each, size);
		if (item->bytes && !(lost && lost(i))) {
			count = codec->row->decode(decoder, item->octets, (uint32_t)item->bytes, ret_samples + made, size - made);
			ck_assert_int_ge(count, 0);
			if (codec->row->duration)
				ck_assert_uint_eq(codec->row->duration(codec->row, item->octets, (uint32_t)item->bytes), (uint32_t)count);
		}
		if (count < (int32_t)each) { /* lost, or a pause, or a pause begins */
			const struct payload *next = i + 1 < payloads->count && !(lost && lost(i + 1)) ? item + 1 : NULL;

			recovered += fill_gap(codec, decoder, item->bytes && !count ? next : NULL, ret_samples + made + count,
					      each - (uint32_t)count);
		}
		made += each;
	}
	codec->row->decoder_close(decoder);
	if (ret_recovered)
		*ret_recovered = recovered;
	return made;
}

uint32_t codec_round_trip(const struct codec *codec, const char *fmtp, uint32_t ptime_ms, const int16_t *samples, uint32_t count,
			  int16_t *ret_samples)
{
	struct payloads payloads = codec_encode(codec, fmtp, ptime_ms, samples, count);
	uint32_t made = codec_decode(codec, fmtp, &payloads, NULL, ret_samples, count, NULL);

	payloads_free(&payloads);
	return made;
}

/* A decoder that has heard something else, and is restarted, makes the same samples as one that is new. */
static void restarts_as_new(const struct codec *codec, const char *fmtp, uint32_t ptime_ms, const int16_t *samples, uint32_t count)
{
	struct payloads payloads = codec_encode(codec, fmtp, ptime_ms, samples, count);
	void *fresh = codec_decoder(codec, fmtp), *used = codec_decoder(codec, fmtp);
	int16_t a[48 * PBX_CODEC_MOST_PTIME_MS], b[48 * PBX_CODEC_MOST_PTIME_MS];

	for (uint32_t i = payloads.count / 2; i < payloads.count; i++)
		(void)codec->row->decode(used, payloads.items[i].octets, (uint32_t)payloads.items[i].bytes, b, sizeof b / sizeof *b);
	codec->row->restart(used);
	for (uint32_t i = 0; i < payloads.count; i++) {
		const struct payload *item = &payloads.items[i];
		int32_t made = codec->row->decode(fresh, item->octets, (uint32_t)item->bytes, a, sizeof a / sizeof *a);

		ck_assert_int_eq(codec->row->decode(used, item->octets, (uint32_t)item->bytes, b, sizeof b / sizeof *b), made);
		ck_assert_int_eq(memcmp(a, b, (size_t)made * sizeof *a), 0);
	}
	codec->row->decoder_close(fresh);
	codec->row->decoder_close(used);
	payloads_free(&payloads);
}

double codec_tone_snr(const struct codec *codec, const char *fmtp, uint32_t ptime_ms, double hz, double *ret_gain_db)
{
	uint32_t rate = codec->row->rate_hz, count = rate / 1000 * 1800;
	int16_t *in = calloc(count, sizeof *in), *out = calloc(count, sizeof *out);

	ck_assert(in && out);
	sound_tone(in, count, rate, hz, -12);
	ck_assert_uint_eq(codec_round_trip(codec, fmtp, ptime_ms, in, count, out), count);
	if (codec->row->restart)
		restarts_as_new(codec, fmtp, ptime_ms, in, count);
	double snr = sound_tone_snr(out + rate / 2, count - rate / 2, rate, hz, -12, ret_gain_db);
	free(in);
	free(out);
	return snr;
}

/* As rtp_codec_ptime has it: whole frames, not longer than wanted where there are such. */
static uint32_t ptime_for(const struct codec *codec, const char *fmtp, uint32_t wanted_ms)
{
	const struct pbx_codec *row = codec->row;
	const char *said = codec_offer(codec);
	uint32_t frame_ms = row->frame_us > 1000 ? row->frame_us / 1000 : 1;

	if (row->ptime)
		return row->ptime(codec->self, row, said ? said : "", fmtp, wanted_ms);
	wanted_ms -= wanted_ms % frame_ms;
	return wanted_ms < row->least_ptime_ms ? row->least_ptime_ms : wanted_ms;
}

void codec_speaks_at_every_ptime(const struct codec *codec, const char *fmtp, double hz, double least_snr_db)
{
	uint32_t before_ms = 0, lengths = 0;

	for (uint32_t wanted_ms = 10; wanted_ms <= 60; wanted_ms += 10) {
		uint32_t ms = ptime_for(codec, fmtp, wanted_ms);
		double gain_db;

		ck_assert_uint_le(ms, 60);
		ck_assert_msg(ms <= wanted_ms || lengths <= 1, "%s: %u ms where %u are wanted", codec->row->name, ms, wanted_ms);
		if (ms == before_ms)
			continue;
		before_ms = ms;
		lengths++;
		double snr_db = codec_tone_snr(codec, fmtp, ms, hz, &gain_db);

		ck_assert_msg(snr_db >= least_snr_db, "%s in packets of %u ms: %.1f dB", codec->row->name, ms, snr_db);
		ck_assert_msg(gain_db > -2 && gain_db < 2, "%s in packets of %u ms: %.1f dB louder", codec->row->name, ms, gain_db);
	}
	ck_assert_uint_ge(lengths, 2);
}

void codec_survives_noise(const struct codec *codec, const char *fmtp)
{
	uint32_t size = codec->row->rate_hz / 1000 * PBX_CODEC_MOST_PTIME_MS;
	int16_t *out = calloc(size, sizeof *out); /* of exactly this size, so that ASan sees one more */
	void *decoder = codec_decoder(codec, fmtp);

	ck_assert_ptr_nonnull(out);
	srand(7);
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t bytes = (uint32_t)rand() % (i % 16 ? 80 : PBX_CODEC_MOST_BYTES);
		uint8_t *payload = malloc(bytes ? bytes : 1);

		ck_assert_ptr_nonnull(payload);
		for (uint32_t at = 0; at < bytes; at++)
			payload[at] = (uint8_t)rand();
		int32_t count = codec->row->decode(decoder, payload, bytes, out, size);
		ck_assert_int_le(count, (int32_t)size);
		if (codec->row->duration && count > 0)
			ck_assert_uint_eq(codec->row->duration(codec->row, payload, bytes), (uint32_t)count);
		if (i % 8 == 0 && codec->row->conceal)
			(void)fill_gap(codec, decoder, &(struct payload){ 0 }, out, codec->row->rate_hz / 1000 * (i % 60 + 1));
		free(payload);
	}
	codec->row->decoder_close(decoder);
	free(out);
}
