/*
 * codec_vectors - samples and octets out of files, through one encoder or decoder, compared to the last bit
 *
 * Where octets are in RTP's form nothing tells where one packet ends, so they are cut by the codec's usual rate: for codecs whose packets vary, only
 * G.192 will do. A frame of that without bits was not sent; one whose first word says so was lost, and is concealed.
 */
#include "codec_vectors.h"
#include "resampler.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_FILE_BYTES (64u * 1024 * 1024)
#define G192_GOOD 0x6b21u
#define G192_LOST 0x6b20u
#define G192_ONE 0x0081u
#define G192_HEAD_BYTES 4u /* a word that begins a frame, a word that counts its bits */

/* ---- the folder ---- [work] */

static bool is_kind(const char *name, const char *kind)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name && strcasecmp(dot + 1, kind) == 0;
}

static bool share_a_name(const char *a, const char *b)
{
	size_t length = (size_t)(strrchr(a, '.') - a);

	return (size_t)(strrchr(b, '.') - b) == length && strncasecmp(a, b, length) == 0;
}

static int is_file(const struct dirent *entry)
{
	return is_kind(entry->d_name, "in") || is_kind(entry->d_name, "bit") || is_kind(entry->d_name, "out") ||
	       is_kind(entry->d_name, "pst");
}

static bool is_pair(const char *from, const char *expected, bool encodes)
{
	if (!share_a_name(from, expected))
		return false;
	if (encodes)
		return is_kind(from, "in") && is_kind(expected, "bit");
	return is_kind(from, "bit") && (is_kind(expected, "out") || is_kind(expected, "pst"));
}

static bool fill(struct rtp_vector *vector, const char *folder, const char *from, const char *expected, bool encodes)
{
	int from_size = snprintf(vector->from, sizeof vector->from, "%s/%s", folder, from);
	int expected_size = snprintf(vector->expected, sizeof vector->expected, "%s/%s", folder, expected);

	vector->encodes = encodes;
	(void)snprintf(vector->name, sizeof vector->name, "%.63s", expected);
	return from_size < (int)sizeof vector->from && expected_size < (int)sizeof vector->expected;
}

static uint32_t add_vectors_from(struct rtp_vector *vectors, uint32_t count, const char *folder, struct dirent **files, int file_count,
				 int from)
{
	for (uint32_t encodes = 0; encodes < 2; encodes++) {
		for (int i = 0; i < file_count && count < RTP_MOST_VECTORS; i++) {
			if (is_pair(files[from]->d_name, files[i]->d_name, encodes))
				count += fill(&vectors[count], folder, files[from]->d_name, files[i]->d_name, encodes);
		}
	}
	return count;
}

int rtp_vectors_find(const char *folder, struct rtp_vector **ret_vectors, uint32_t *ret_count)
{
	struct rtp_vector *vectors = calloc(RTP_MOST_VECTORS, sizeof *vectors);
	struct dirent **files = NULL;
	int file_count = vectors ? scandir(folder, &files, is_file, alphasort) : 0;
	uint32_t count = 0;

	for (int i = 0; i < file_count; i++)
		count = add_vectors_from(vectors, count, folder, files, file_count, i);
	for (int i = 0; i < file_count; i++)
		free(files[i]);
	free(files);
	if (count == 0) {
		free(vectors);
		return vectors ? PBX_ENOENT : PBX_ENOMEM;
	}
	*ret_vectors = vectors;
	*ret_count = count;
	return PBX_OK;
}

/* ---- a check ---- [loop] */

struct bytes {
	uint8_t *data;
	size_t size, at; /* at: read so far */
};

struct rtp_vector_check {
	const struct rtp_vector *vector;
	struct rtp_coder coder;
	uint32_t ptime_ms, samples; /* of a packet */
	struct bytes from, expected, made;
	char reason[120];
};

/* It closes its coder as soon as it is over; until then the plugin waits. */
static void on_leaving(void *context)
{
	(void)context;
}

int rtp_vector_check_new(const struct core_codec *codec, const struct rtp_vector *vector, struct rtp_vector_check **ret_check)
{
	const struct rtp_codec *known = rtp_codec_find(codec);
	struct rtp_vector_check *check = calloc(1, sizeof *check);
	int err = !known ? PBX_ENOENT : check ? PBX_OK : PBX_ENOMEM;

	if (err == PBX_OK) {
		check->vector = vector;
		check->ptime_ms = rtp_codec_ptime(codec, known->row.least_ptime_ms);
		check->samples = known->row.rate_hz / 1000 * check->ptime_ms;
		err = rtp_coder_open(codec, vector->encodes, check->ptime_ms, on_leaving, NULL, &check->coder);
	}
	if (err != PBX_OK) {
		rtp_vector_check_free(check);
		return err;
	}
	*ret_check = check;
	return PBX_OK;
}

void rtp_vector_check_free(struct rtp_vector_check *check)
{
	if (!check)
		return;
	rtp_coder_close(&check->coder);
	free(check->from.data);
	free(check->expected.data);
	free(check->made.data);
	free(check);
}

const char *rtp_vector_check_reason(const struct rtp_vector_check *check)
{
	return check->reason;
}

/* ---- files ---- [work] */

static bool read_file(const char *path, struct bytes *ret_bytes)
{
	FILE *file = fopen(path, "rbe");
	long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
	bool whole = false;

	if (size >= 0 && size <= (long)MOST_FILE_BYTES && fseek(file, 0, SEEK_SET) == 0)
		ret_bytes->data = malloc((size_t)size + 1);
	if (ret_bytes->data)
		whole = fread(ret_bytes->data, 1, (size_t)size, file) == (size_t)size;
	ret_bytes->size = whole ? (size_t)size : 0;
	if (file)
		(void)fclose(file); /* was only read */
	return whole;
}

static uint32_t get_word(const struct bytes *bytes, size_t at)
{
	return bytes->data[at] | (uint32_t)bytes->data[at + 1] << 8;
}

static bool is_g192(const struct bytes *bytes)
{
	return bytes->size >= G192_HEAD_BYTES && (get_word(bytes, 0) == G192_GOOD || get_word(bytes, 0) == G192_LOST);
}

/* The next frame's octets, its bits first to last from the highest on. False: there is none, or it is none. *ret_lost: it did not arrive. */
static bool next_frame(struct bytes *bytes, uint8_t ret_payload[PBX_CODEC_MOST_BYTES], uint32_t *ret_bytes, bool *ret_lost)
{
	if (bytes->at + G192_HEAD_BYTES > bytes->size)
		return false;
	uint32_t bits = get_word(bytes, bytes->at + 2);
	size_t end = bytes->at + G192_HEAD_BYTES + 2u * bits;

	if (end > bytes->size || bits > 8 * PBX_CODEC_MOST_BYTES)
		return false;
	memset(ret_payload, 0, (bits + 7) / 8);
	for (uint32_t i = 0; i < bits; i++) {
		if (get_word(bytes, bytes->at + G192_HEAD_BYTES + 2u * i) == G192_ONE)
			ret_payload[i / 8] |= (uint8_t)(0x80u >> i % 8);
	}
	*ret_bytes = (bits + 7) / 8;
	*ret_lost = get_word(bytes, bytes->at) != G192_GOOD;
	bytes->at = end;
	return true;
}

static bool next_payload(const struct rtp_vector_check *check, struct bytes *bytes, uint8_t ret_payload[PBX_CODEC_MOST_BYTES],
			 uint32_t *ret_bytes)
{
	uint32_t usual = check->coder.row.bits_per_s / 1000 * check->ptime_ms / 8;

	if (usual == 0 || usual > PBX_CODEC_MOST_BYTES || bytes->at + usual > bytes->size)
		return false;
	memcpy(ret_payload, bytes->data + bytes->at, usual);
	*ret_bytes = usual;
	bytes->at += usual;
	return true;
}

/* ---- through the codec ---- [work] */

static bool add_made(struct bytes *made, const void *data, size_t bytes)
{
	uint8_t *more = realloc(made->data, made->size + bytes + 1);

	if (!more)
		return false;
	made->data = more;
	memcpy(more + made->size, data, bytes);
	made->size += bytes;
	return true;
}

static bool encode(struct rtp_vector_check *check)
{
	struct bytes *from = &check->from;
	uint8_t payload[PBX_CODEC_MOST_BYTES];
	int16_t samples[RTP_MOST_FRAME_SAMPLES];

	for (; from->at + 2u * check->samples <= from->size; from->at += 2u * check->samples) {
		for (uint32_t i = 0; i < check->samples; i++)
			samples[i] = (int16_t)(uint16_t)get_word(from, from->at + 2u * i);
		int32_t bytes = check->coder.row.encode(check->coder.state, samples, check->samples, payload, sizeof payload);

		if (bytes < 0 || bytes > (int32_t)sizeof payload || !add_made(&check->made, payload, (size_t)bytes))
			return false;
	}
	return true;
}

static bool add_samples(struct rtp_vector_check *check, const int16_t *samples, uint32_t count)
{
	uint8_t octets[2 * RTP_MOST_FRAME_SAMPLES];

	for (uint32_t i = 0; i < count; i++) {
		octets[2 * i] = (uint8_t)samples[i];
		octets[2 * i + 1] = (uint8_t)((uint16_t)samples[i] >> 8);
	}
	return add_made(&check->made, octets, 2u * count);
}

static bool decode(struct rtp_vector_check *check)
{
	const struct pbx_codec *row = &check->coder.row;
	bool g192 = is_g192(&check->from), lost = false;
	uint8_t payload[PBX_CODEC_MOST_BYTES];
	int16_t samples[RTP_MOST_FRAME_SAMPLES];
	uint32_t bytes;

	while (g192 ? next_frame(&check->from, payload, &bytes, &lost) : next_payload(check, &check->from, payload, &bytes)) {
		int32_t count = 0;

		if (!lost && bytes > 0)
			count = row->decode(check->coder.state, payload, bytes, samples, RTP_MOST_FRAME_SAMPLES);
		if (count < 0 || count > (int32_t)RTP_MOST_FRAME_SAMPLES)
			return false;
		if (count == 0) {
			count = (int32_t)check->samples;
			memset(samples, 0, check->samples * sizeof *samples);
			if (row->conceal)
				row->conceal(check->coder.state, samples, check->samples);
		}
		if (!add_samples(check, samples, (uint32_t)count))
			return false;
	}
	return check->made.size > 0;
}

/* What is expected of an encoder, as octets. */
static bool unpack(struct bytes *expected)
{
	struct bytes octets = { 0 };
	uint8_t payload[PBX_CODEC_MOST_BYTES];
	uint32_t bytes;
	bool lost, done = true;

	if (!is_g192(expected))
		return true;
	while (done && next_frame(expected, payload, &bytes, &lost))
		done = add_made(&octets, payload, bytes);
	free(expected->data);
	*expected = octets;
	return done;
}

/* A packet at the end may be missing: there were not enough samples for it. */
static void compare(struct rtp_vector_check *check)
{
	const struct bytes *made = &check->made, *expected = &check->expected;
	size_t each = check->vector->encodes ? 1 : 2;
	size_t packet = check->vector->encodes ? check->coder.row.bits_per_s / 8000 * check->ptime_ms : 2u * check->samples;
	size_t size = made->size < expected->size ? made->size : expected->size, differ = 0, first = 0;

	for (size_t at = 0; at + each <= size; at += each) {
		if (memcmp(made->data + at, expected->data + at, each) == 0)
			continue;
		first = differ++ == 0 ? at : first;
	}
	if (differ > 0)
		(void)snprintf(check->reason, sizeof check->reason, "%zu of %zu %s differ, from number %zu on", differ, size / each,
			       check->vector->encodes ? "octets" : "samples", first / each);
	else if (size == 0 || made->size > expected->size + packet || expected->size > made->size + packet)
		(void)snprintf(check->reason, sizeof check->reason, "it makes %zu %s, the file has %zu", made->size / each,
			       check->vector->encodes ? "octets" : "samples", expected->size / each);
}

void rtp_vector_check_run(struct rtp_vector_check *check)
{
	const struct rtp_vector *vector = check->vector;

	if (!read_file(vector->from, &check->from) || !read_file(vector->expected, &check->expected))
		(void)snprintf(check->reason, sizeof check->reason, "it cannot be read, or is longer than 64 MiB");
	else if (!unpack(&check->expected) || !(vector->encodes ? encode(check) : decode(check)))
		(void)snprintf(check->reason, sizeof check->reason, "the codec refuses it");
	else
		compare(check);
}
