/* plugins/codec_ilbc/prediction.c - linear prediction and line spectral frequencies (RFC 3951 3.2, 4.6, 4.7) */
#include "ilbc.h"
#include <math.h>
#include <string.h>

#define HALF (ILBC_ORDER / 2)

void ilbc_high_pass(const struct ilbc_high_pass *filter, struct ilbc_filter_memory *memory, float *samples, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		float in = samples[i];
		float out = filter->in[0] * in + filter->in[1] * memory->in[0] + filter->in[2] * memory->in[1] -
			    filter->out[0] * memory->out[0] - filter->out[1] * memory->out[1];

		memory->in[1] = memory->in[0];
		memory->in[0] = in;
		memory->out[1] = memory->out[0];
		memory->out[0] = out;
		samples[i] = out;
	}
}

static void remember(float *past, const float *samples, uint32_t count)
{
	uint32_t kept = count < ILBC_ORDER ? ILBC_ORDER - count : 0;

	memmove(past, past + ILBC_ORDER - kept, kept * sizeof *past);
	memcpy(past + kept, samples + count - (ILBC_ORDER - kept), (ILBC_ORDER - kept) * sizeof *past);
}

void ilbc_analyse(const float *a, float *past, const float *in, float *ret_out, uint32_t count)
{
	float line[ILBC_ORDER + 4 * ILBC_MOST_SAMPLES];

	memcpy(line, past, ILBC_ORDER * sizeof *line);
	memcpy(line + ILBC_ORDER, in, count * sizeof *line);
	for (uint32_t i = 0; i < count; i++) {
		float sum = 0;

		for (uint32_t k = 0; k <= ILBC_ORDER; k++)
			sum += a[k] * line[ILBC_ORDER + i - k];
		ret_out[i] = sum;
	}
	remember(past, line + ILBC_ORDER, count);
}

void ilbc_synthesise(const float *a, float *past, const float *in, float *ret_out, uint32_t count)
{
	float line[ILBC_ORDER + 4 * ILBC_MOST_SAMPLES];

	memcpy(line, past, ILBC_ORDER * sizeof *line);
	for (uint32_t i = 0; i < count; i++) {
		float sum = in[i];

		for (uint32_t k = 1; k <= ILBC_ORDER; k++)
			sum -= a[k] * line[ILBC_ORDER + i - k];
		line[ILBC_ORDER + i] = sum;
	}
	memcpy(ret_out, line + ILBC_ORDER, count * sizeof *line);
	remember(past, line + ILBC_ORDER, count);
}

void ilbc_widen(const float *a, float by, float *ret_a)
{
	float power = 1;

	for (uint32_t i = 0; i <= ILBC_ORDER; i++, power *= by)
		ret_a[i] = a[i] * power;
}

/* ---- from samples to coefficients ---- */

static bool levinson(const double *r, double *ret_a)
{
	double error = r[0];

	memset(ret_a, 0, (ILBC_ORDER + 1) * sizeof *ret_a);
	ret_a[0] = 1;
	if (error < 1e-3)
		return false;
	for (uint32_t m = 1; m <= ILBC_ORDER; m++) {
		double sum = r[m];

		for (uint32_t i = 1; i < m; i++)
			sum += ret_a[i] * r[m - i];
		double k = -sum / error;
		for (uint32_t i = 1; i <= m / 2; i++) {
			double low = ret_a[i], high = ret_a[m - i];

			ret_a[i] = low + k * high;
			if (i != m - i)
				ret_a[m - i] = high + k * low;
		}
		ret_a[m] = k;
		error *= 1 - k * k;
		if (error <= 0)
			return false;
	}
	return true;
}

/* One of the two halves of a predictor, on the unit circle: c[0] cos(5 w) + … + c[4] cos(w) + c[5] / 2. */
static double at_angle(const double *c, double angle)
{
	double sum = c[HALF] / 2;

	for (uint32_t k = 0; k < HALF; k++)
		sum += c[k] * cos((HALF - k) * angle);
	return sum;
}

static double root_between(const double *c, double low, double high)
{
	bool rises = at_angle(c, low) < 0;

	for (uint32_t i = 0; i < 20; i++) {
		double middle = (low + high) / 2;

		if ((at_angle(c, middle) < 0) == rises)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

/* The frequencies where the symmetric and the antisymmetric half of the predictor vanish, in turn. */
static bool a_to_lsf(const double *a, float *ret_lsf)
{
	enum { STEPS = 240 };
	double even[HALF + 1], odd[HALF + 1];
	uint32_t found = 0;

	even[0] = odd[0] = 1;
	for (uint32_t i = 1; i <= HALF; i++) { /* divided by 1 + z and 1 - z, which are zero at the ends */
		even[i] = a[i] + a[ILBC_ORDER + 1 - i] - even[i - 1];
		odd[i] = a[i] - a[ILBC_ORDER + 1 - i] + odd[i - 1];
	}
	for (uint32_t step = 0; step < STEPS && found < ILBC_ORDER; step++) {
		double low = M_PI * step / STEPS, high = M_PI * (step + 1) / STEPS;

		for (uint32_t twice = 0; twice < 2 && found < ILBC_ORDER; twice++) { /* both may vanish within a step */
			const double *c = found % 2 ? odd : even;

			if ((at_angle(c, low) < 0) == (at_angle(c, high) < 0))
				break;
			ret_lsf[found++] = (float)root_between(c, low, high);
		}
	}
	return found == ILBC_ORDER;
}

bool ilbc_lsf_of(const float *windowed, uint32_t count, float *ret_lsf)
{
	double r[ILBC_ORDER + 1], a[ILBC_ORDER + 1], power = 1;

	for (uint32_t lag = 0; lag <= ILBC_ORDER; lag++) {
		double width = 2 * M_PI * 60 * lag / 8000; /* 60 Hz wider, and a noise floor */

		r[lag] = 0;
		for (uint32_t i = lag; i < count; i++)
			r[lag] += (double)windowed[i] * windowed[i - lag];
		r[lag] *= lag ? exp(-0.5 * width * width) : 1.0001;
	}
	if (!levinson(r, a))
		return false;
	for (uint32_t i = 0; i <= ILBC_ORDER; i++, power *= 0.9025)
		a[i] *= power;
	return a_to_lsf(a, ret_lsf);
}

/* ---- frequencies ---- */

void ilbc_lsf_to_a(const float *lsf, float *ret_a)
{
	float even[ILBC_ORDER + 2] = { 1 }, odd[ILBC_ORDER + 2] = { 1 };

	for (uint32_t i = 0; i < HALF; i++) {
		float *const halves[2] = { even, odd };

		for (uint32_t half = 0; half < 2; half++) {
			float twice = -2 * cosf(lsf[2 * i + half]), *c = halves[half];

			for (uint32_t k = 2 * i + 2; k > 0; k--)
				c[k] += twice * c[k - 1] + (k > 1 ? c[k - 2] : 0);
		}
	}
	for (uint32_t k = ILBC_ORDER + 1; k > 0; k--) {
		even[k] += even[k - 1];
		odd[k] -= odd[k - 1];
	}
	for (uint32_t k = 0; k <= ILBC_ORDER; k++)
		ret_a[k] = (even[k] + odd[k]) / 2;
}

static const struct part {
	uint32_t at, width, vectors, book;
} parts[3] = { { 0, 3, 64, 0 }, { 3, 3, 128, 64 * 3 }, { 6, 4, 128, 64 * 3 + 128 * 3 } };

void ilbc_lsf_read(const uint32_t *indices, float *ret_lsf)
{
	for (uint32_t p = 0; p < 3; p++)
		for (uint32_t i = 0; i < parts[p].width; i++)
			ret_lsf[parts[p].at + i] = (float)ilbc_lsf_book[parts[p].book + indices[p] * parts[p].width + i] / 8192;
}

void ilbc_lsf_quantise(const float *lsf, uint32_t *ret_indices)
{
	for (uint32_t p = 0; p < 3; p++) {
		float least = INFINITY;

		for (uint32_t v = 0; v < parts[p].vectors; v++) {
			float sum = 0;

			for (uint32_t i = 0; i < parts[p].width; i++) {
				float off = lsf[parts[p].at + i] - (float)ilbc_lsf_book[parts[p].book + v * parts[p].width + i] / 8192;
				sum += off * off;
			}
			if (sum >= least)
				continue;
			least = sum;
			ret_indices[p] = v;
		}
	}
}

/* RFC 3951 3.2.5: 50 Hz apart, in two passes. */
void ilbc_lsf_spread(float *lsf)
{
	const float apart = 0.039F, half = 0.0195F, least = 0.01F, most = 3.14F;

	for (uint32_t pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i + 1 < ILBC_ORDER; i++) {
			if (lsf[i + 1] - lsf[i] < apart) {
				if (lsf[i + 1] < lsf[i]) {
					float lower = lsf[i + 1];

					lsf[i + 1] = lsf[i] + half;
					lsf[i] = lower - half;
				} else {
					lsf[i] -= half;
					lsf[i + 1] += half;
				}
			}
			lsf[i] = lsf[i] < least ? least : lsf[i] > most ? most : lsf[i];
		}
}

void ilbc_lsf_of_block(const struct ilbc_mode *mode, uint32_t block, const float *before, const float (*lsf)[ILBC_ORDER], float *ret_lsf)
{
	static const float shares_20[4] = { 0.75F, 0.5F, 0.25F, 0 }, shares_30[6] = { 0.5F, 1, 2 / 3.0F, 1 / 3.0F, 0, 0 };
	bool is_short = mode == &ilbc_20;
	float share = is_short ? shares_20[block] : shares_30[block];
	const float *older = is_short || block == 0 ? before : lsf[0], *newer = is_short || block == 0 ? lsf[0] : lsf[1];

	for (uint32_t i = 0; i < ILBC_ORDER; i++)
		ret_lsf[i] = share * older[i] + (1 - share) * newer[i];
}
