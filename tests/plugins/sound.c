/* tests/plugins/sound.c - signals, measures and other people's codecs: sound.h */
#include "sound.h"
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FULL_SCALE 32767.0

void sound_tone(int16_t *samples, uint32_t count, uint32_t rate_hz, double hz, double dbfs)
{
	double top = FULL_SCALE * pow(10, dbfs / 20);

	for (uint32_t i = 0; i < count; i++)
		samples[i] = (int16_t)lround(top * sin(2 * M_PI * hz * i / rate_hz));
}

void sound_noise(int16_t *samples, uint32_t count, double dbfs)
{
	double top = FULL_SCALE * pow(10, dbfs / 20) * sqrt(1.5); /* evenly spread between -top and top it has a sine's power */
	uint32_t state = 0x12345678;

	for (uint32_t i = 0; i < count; i++) {
		state = state * 1664525u + 1013904223u;
		double even = (double)(state >> 8) / 8388608.0 - 1;
		samples[i] = (int16_t)lround(fmax(-FULL_SCALE, fmin(FULL_SCALE, top * even)));
	}
}

double sound_dbfs(const int16_t *samples, uint32_t count)
{
	double power = 0;

	for (uint32_t i = 0; i < count; i++)
		power += (double)samples[i] * samples[i];
	return power > 0 && count ? 10 * log10(2 * power / count / (FULL_SCALE * FULL_SCALE)) : -120;
}

/* ---- files ---- */

struct files {
	char in[64], out[64];
};

static void files_make(struct files *files)
{
	const char *dir = getenv("TMPDIR");

	(void)snprintf(files->in, sizeof files->in, "%.40s/sound-in-XXXXXX", dir ? dir : "/tmp");
	(void)snprintf(files->out, sizeof files->out, "%.40s/sound-out-XXXXXX", dir ? dir : "/tmp");
	int in = mkstemp(files->in), out = mkstemp(files->out);
	ck_assert_int_ge(in, 0);
	ck_assert_int_ge(out, 0);
	ck_assert_int_eq(close(in), 0);
	ck_assert_int_eq(close(out), 0);
}

static void files_remove(const struct files *files)
{
	ck_assert_int_eq(unlink(files->in), 0);
	ck_assert_int_eq(unlink(files->out), 0);
}

static void file_write(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
}

static void *file_read(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "rb");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
	long size = ftell(file);
	ck_assert_int_gt(size, 0);
	rewind(file);
	void *bytes = malloc((size_t)size);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_uint_eq(fread(bytes, 1, (size_t)size, file), (size_t)size);
	ck_assert_int_eq(fclose(file), 0);
	*ret_size = (size_t)size;
	return bytes;
}

static void run(const char *line)
{
	int status = system(line);

	ck_assert_msg(status == 0, "status %d: %s", status, line);
}

uint32_t sound_ffmpeg_decodes(const char *input_options, const void *bytes, size_t size, uint32_t rate_hz, int16_t *ret_samples,
			      uint32_t most)
{
	struct files files;
	char line[512];
	size_t got;

	files_make(&files);
	file_write(files.in, bytes, size);
	(void)snprintf(line, sizeof line, "ffmpeg -v error -nostdin -y %s -i %s -f s16le -ar %u -ac 1 %s", input_options, files.in, rate_hz,
		       files.out);
	run(line);
	int16_t *decoded = file_read(files.out, &got);
	uint32_t count = (uint32_t)(got / 2) < most ? (uint32_t)(got / 2) : most;
	memcpy(ret_samples, decoded, (size_t)count * 2);
	free(decoded);
	files_remove(&files);
	return count;
}

void *sound_ffmpeg_encodes(const char *output_options, const int16_t *samples, uint32_t count, uint32_t rate_hz, size_t *ret_size)
{
	struct files files;
	char line[512];

	files_make(&files);
	file_write(files.in, samples, (size_t)count * 2);
	(void)snprintf(line, sizeof line, "ffmpeg -v error -nostdin -y -f s16le -ar %u -ac 1 -i %s %s %s", rate_hz, files.in,
		       output_options, files.out);
	run(line);
	void *bytes = file_read(files.out, ret_size);
	files_remove(&files);
	return bytes;
}

void sound_speech(int16_t *samples, uint32_t count, uint32_t rate_hz)
{
	static int16_t *spoken;
	static uint32_t spoken_count, spoken_rate;

	if (spoken_rate != rate_hz) {
		struct files files;
		char line[512];
		size_t size;

		files_make(&files);
		(void)snprintf(line, sizeof line,
			       "flite -voice slt -t 'She had your dark suit in greasy wash water all year. Please hold the line.' -o %s && "
			       "sox -t wav %s -t raw -r %u -e signed -b 16 -c 1 %s gain -n -6",
			       files.in, files.in, rate_hz, files.out);
		run(line);
		free(spoken);
		spoken = file_read(files.out, &size);
		spoken_count = (uint32_t)(size / 2);
		spoken_rate = rate_hz;
		files_remove(&files);
	}
	for (uint32_t i = 0; i < count; i++)
		samples[i] = spoken[i % spoken_count];
}

/* ---- measures ---- */

static double snr_at(const int16_t *in, const int16_t *out, uint32_t count, double *ret_gain)
{
	double cross = 0, ins = 0, outs = 0;

	for (uint32_t i = 0; i < count; i++) {
		cross += (double)in[i] * out[i];
		ins += (double)in[i] * in[i];
		outs += (double)out[i] * out[i];
	}
	if (ins <= 0 || cross <= 0)
		return -99;
	*ret_gain = cross / ins;
	double kept = cross * cross / ins, other = outs - kept;
	return other <= kept * 1e-12 ? 120 : 10 * log10(kept / other);
}

double sound_snr(const int16_t *in, const int16_t *out, uint32_t count, uint32_t skip, uint32_t most_lag, uint32_t *ret_lag,
		 double *ret_gain_db)
{
	double best = -100;

	ck_assert_uint_gt(count, skip + most_lag);
	for (uint32_t lag = 0; lag <= most_lag; lag++) {
		double gain = 0, snr = snr_at(in + skip, out + skip + lag, count - skip - most_lag, &gain);

		if (snr <= best)
			continue;
		best = snr;
		if (ret_lag)
			*ret_lag = lag;
		if (ret_gain_db)
			*ret_gain_db = gain > 0 ? 20 * log10(gain) : -120;
	}
	return best;
}

double sound_tone_snr(const int16_t *out, uint32_t count, uint32_t rate_hz, double hz, double sent_dbfs, double *ret_gain_db)
{
	double re = 0, im = 0, power = 0, step = 2 * M_PI * hz / rate_hz;

	count -= (uint32_t)(count % (rate_hz / 100)); /* whole periods of what tests use, nearly: then sine and cosine share nothing */
	for (uint32_t i = 0; i < count; i++) {
		re += out[i] * cos(step * i);
		im += out[i] * sin(step * i);
		power += (double)out[i] * out[i];
	}
	double kept = 2 * (re * re + im * im) / count, other = power - kept;

	if (kept <= 0)
		return -99;
	if (ret_gain_db)
		*ret_gain_db = 10 * log10(2 * kept / count / (FULL_SCALE * FULL_SCALE)) - sent_dbfs;
	return other <= kept * 1e-12 ? 120 : 10 * log10(kept / other);
}

double sound_hz(const int16_t *samples, uint32_t count, uint32_t rate_hz, double near_hz)
{
	double best = 0, best_hz = 0;

	for (double hz = near_hz - 10; hz <= near_hz + 10; hz += 0.1) {
		double re = 0, im = 0, step = 2 * M_PI * hz / rate_hz;

		for (uint32_t i = 0; i < count; i++) {
			re += samples[i] * cos(step * i);
			im += samples[i] * sin(step * i);
		}
		if (re * re + im * im <= best)
			continue;
		best = re * re + im * im;
		best_hz = hz;
	}
	return best_hz;
}

#define FRAME 256u /* at 8 kHz; longer ones at higher rates */
#define BANDS 32u

/* Power in BANDS even bands below 4 kHz, by the plain sum: tests have the time. */
static void spectrum(const int16_t *samples, uint32_t frame, double *ret_bands)
{
	for (uint32_t band = 0; band < BANDS; band++) {
		double re = 0, im = 0, step = 2 * M_PI * (band * 125.0 + 62.5) / (FRAME * 31.25);

		for (uint32_t i = 0; i < frame; i++) {
			double at = samples[i] * (0.5 - 0.5 * cos(2 * M_PI * i / frame)), angle = step * i * FRAME / frame;
			re += at * cos(angle);
			im += at * sin(angle);
		}
		ret_bands[band] = (re * re + im * im) / ((double)frame * frame) + 1;
	}
}

double sound_distance(const int16_t *in, const int16_t *out, uint32_t count, uint32_t rate_hz)
{
	uint32_t frame = FRAME * (rate_hz / 8000), frames = 0;
	double sum = 0;

	for (uint32_t at = 0; at + frame <= count; at += frame) {
		double a[BANDS], b[BANDS], squares = 0;

		if (sound_dbfs(in + at, frame) < -40)
			continue;
		spectrum(in + at, frame, a);
		spectrum(out + at, frame, b);
		for (uint32_t band = 0; band < BANDS; band++)
			squares += pow(10 * log10(a[band] / b[band]), 2);
		sum += sqrt(squares / BANDS);
		frames++;
	}
	ck_assert_uint_gt(frames, 0);
	return sum / frames;
}

uint32_t sound_hole(const int16_t *samples, uint32_t count)
{
	uint32_t longest = 1, run_length = 1;

	for (uint32_t i = 1; i < count; i++) {
		run_length = samples[i] == samples[i - 1] ? run_length + 1 : 1;
		longest = run_length > longest ? run_length : longest;
	}
	return longest;
}

/* ---- Ogg: a page for each packet ---- */

static uint32_t ogg_crc(const uint8_t *bytes, size_t size)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < size; i++) {
		crc ^= (uint32_t)bytes[i] << 24;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 0x80000000u ? crc << 1 ^ 0x04c11db7u : crc << 1;
	}
	return crc;
}

static void put_le(uint8_t *at, uint64_t value, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

void sound_ogg_add(struct sound_ogg *ogg, const void *packet, size_t size, uint64_t granule, bool last)
{
	size_t segments = size / 255 + 1, page_size = 27 + segments + size;

	ck_assert_uint_le(segments, 255);
	ogg->bytes = realloc(ogg->bytes, ogg->size + page_size);
	ck_assert_ptr_nonnull(ogg->bytes);
	uint8_t *page = ogg->bytes + ogg->size;

	memset(page, 0, page_size);
	memcpy(page, "OggS", 4);
	page[5] = (uint8_t)((ogg->pages == 0 ? 2 : 0) | (last ? 4 : 0));
	put_le(page + 6, granule, 8);
	put_le(page + 14, 1, 4);
	put_le(page + 18, ogg->pages++, 4);
	page[26] = (uint8_t)segments;
	memset(page + 27, 255, segments - 1);
	page[27 + segments - 1] = (uint8_t)(size % 255);
	memcpy(page + 27 + segments, packet, size);
	put_le(page + 22, ogg_crc(page, page_size), 4);
	ogg->size += page_size;
}

void sound_ogg_free(struct sound_ogg *ogg)
{
	free(ogg->bytes);
	*ogg = (struct sound_ogg){ 0 };
}
