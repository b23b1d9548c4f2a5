/* tests/rtp/test_detect.c - detectors, on a clock that counts samples; what they hear is made here, by other numbers than theirs */
#include "../check_main.h"

#include <dirent.h>
#include <math.h>
#include <rtp/detect.h>
#include <rtp/g711.h>
#include <rtp/sound.h>
#include <rtp/tones.h>
#include <sndfile.h>
#include <spandsp.h>
#include <stdlib.h>
#include <string.h>

#define RATE 8000u
#define MOST_FOUND 64

static struct pbx_detected found[MOST_FOUND];
static int count;
static struct rtp_detector *detector;
static uint64_t played; /* samples */

static void on_found(void *context, const struct pbx_detected *detected)
{
	ck_assert_ptr_eq(context, &found);
	ck_assert_int_lt(count, MOST_FOUND);
	ck_assert_uint_eq(detected->size, sizeof *detected);
	found[count++] = *detected;
}

static void begin_with(const struct pbx_detect_spec *spec, const char *country)
{
	rtp_g711_init();
	count = 0;
	played = 0;
	ck_assert_int_eq(rtp_detector_new(spec, country, on_found, &found, &detector), PBX_OK);
}

static void begin(uint32_t what)
{
	const struct pbx_detect_spec spec = { .size = sizeof spec, .what = what };

	begin_with(&spec, "us");
}

static void end(void)
{
	rtp_detector_free(detector);
	detector = NULL;
}

/* As it comes over a line: through G.711, in packets. */
static void hear(const int16_t *samples, uint32_t total)
{
	int16_t line[160];

	for (uint32_t at = 0; at < total; at += 160) {
		uint32_t some = total - at < 160 ? total - at : 160;

		for (uint32_t i = 0; i < some; i++)
			line[i] = rtp_g711_decode(RTP_LAW_MU, rtp_g711_encode(RTP_LAW_MU, samples[at + i]));
		rtp_detector_feed(detector, line, some);
	}
	played += total;
}

/* Two sines, each of a level; 0 Hz: none. */
static void tones(double first_hz, double second_hz, double dbfs, uint32_t ms)
{
	uint32_t total = RATE / 1000 * ms;
	double size = 32768 * pow(10, dbfs / 20);
	int16_t *samples = malloc(total * sizeof *samples);

	ck_assert_ptr_nonnull(samples);
	for (uint32_t i = 0; i < total; i++) {
		double phase = 2 * M_PI * (double)(played + i) / RATE;

		samples[i] = (int16_t)lround((first_hz > 0 ? size * sin(phase * first_hz) : 0) +
					     (second_hz > 0 ? size * sin(phase * second_hz) : 0));
	}
	hear(samples, total);
	free(samples);
}

static void hiss(double dbfs, uint32_t ms)
{
	uint32_t total = RATE / 1000 * ms;
	double size = 32768 / sqrt(2) * pow(10, dbfs / 20);
	int16_t *samples = malloc(total * sizeof *samples);

	ck_assert_ptr_nonnull(samples);
	for (uint32_t i = 0; i < total; i++) {
		double sum = -6;

		for (int part = 0; part < 12; part++)
			sum += drand48();
		samples[i] = (int16_t)lround(size * sum);
	}
	hear(samples, total);
	free(samples);
}

/* Something like a voice: harmonics of a pitch that moves, louder and softer four times a second. */
static void voice(uint32_t ms)
{
	uint32_t total = RATE / 1000 * ms;
	int16_t *samples = malloc(total * sizeof *samples);
	double phase = 0;

	ck_assert_ptr_nonnull(samples);
	for (uint32_t i = 0; i < total; i++) {
		double seconds = (double)i / RATE, sum = 0;

		phase += 2 * M_PI * (130 + 20 * sin(2 * M_PI * 2.3 * seconds)) / RATE;
		for (int harmonic = 1; harmonic <= 12; harmonic++)
			sum += sin(harmonic * phase) / (1 + fabs(harmonic * 0.13 - 0.6) * 4);
		samples[i] = (int16_t)lround(1800 * sum * (1 + 0.3 * sin(2 * M_PI * 4 * seconds)));
	}
	hear(samples, total);
	free(samples);
}

static void silence(uint32_t ms)
{
	hiss(-65, ms);
}

static uint64_t now_ms(void)
{
	return played * 1000 / RATE;
}

static const struct pbx_detected *only(uint32_t what, const char *name)
{
	ck_assert_msg(count == 1, "%d were found, the first is %s", count, count ? found[0].name : "");
	ck_assert_uint_eq(found[0].what, what);
	ck_assert_str_eq(found[0].name, name);
	return &found[0];
}

static void near_ms(uint64_t value, uint64_t wanted, uint64_t by)
{
	ck_assert_msg(value + by >= wanted && value <= wanted + by, "%llu ms, not %llu", (unsigned long long)value,
		      (unsigned long long)wanted);
}

/* ---- tones of networks ---- */

struct network_tone {
	const char *country, *name;
	double first_hz, second_hz;
	uint32_t on_ms, off_ms, on2_ms, off2_ms;
};

/* ITU-T E.180 Supplement 2, and the Precise Tone Plan. */
static const struct network_tone network[] = {
	{ "us", "busy", 480, 620, 500, 500, 0, 0 },
	{ "us", "congestion", 480, 620, 250, 250, 0, 0 },
	{ "us", "ringback", 440, 480, 2000, 4000, 0, 0 },
	{ "us", "dial", 350, 440, 4000, 0, 0, 0 },
	{ "uk", "busy", 400, 0, 375, 375, 0, 0 },
	{ "uk", "congestion", 400, 0, 400, 350, 225, 525 },
	{ "uk", "ringback", 400, 450, 400, 200, 400, 2000 },
	{ "uk", "dial", 350, 440, 4000, 0, 0, 0 },
	{ "de", "busy", 425, 0, 480, 480, 0, 0 },
	{ "de", "congestion", 425, 0, 240, 240, 0, 0 },
	{ "de", "ringback", 425, 0, 1000, 4000, 0, 0 },
	{ "de", "dial", 425, 0, 4000, 0, 0, 0 },
	{ "fr", "busy", 440, 0, 500, 500, 0, 0 },
	{ "fr", "ringback", 440, 0, 1500, 3500, 0, 0 },
	{ "it", "busy", 425, 0, 500, 500, 0, 0 },
	{ "it", "congestion", 425, 0, 200, 200, 0, 0 },
	{ "it", "ringback", 425, 0, 1000, 4000, 0, 0 },
	{ "it", "dial", 425, 0, 200, 200, 600, 1000 },
};

START_TEST(each_country_s_tones_are_told_apart_by_their_cadence)
{
	const struct network_tone *tone = &network[_i];
	const struct pbx_detect_spec spec = { .size = sizeof spec, .what = PBX_DETECT_TONES };

	for (double dbfs = -12; dbfs >= -30; dbfs -= 9) {
		begin_with(&spec, tone->country);
		silence(700);
		for (uint32_t at_ms = 0; at_ms < 12500;) {
			tones(tone->first_hz, tone->second_hz, dbfs, tone->on_ms);
			if (tone->off_ms)
				silence(tone->off_ms);
			if (tone->on2_ms) {
				tones(tone->first_hz, tone->second_hz, dbfs, tone->on2_ms);
				silence(tone->off2_ms);
			}
			at_ms += tone->on_ms + tone->off_ms + tone->on2_ms + tone->off2_ms;
		}
		ck_assert_msg(count == 1, "%s %s at %.0f dBFS: %d found%s%s", tone->country, tone->name, dbfs, count,
			      count ? ", first " : "", count ? found[0].name : "");
		ck_assert_str_eq(only(PBX_DETECT_TONES, tone->name)->name, tone->name);
		ck_assert_uint_le(found[0].at_ms, 700 + (tone->off_ms >= 3000 ? 7500 : 3500));
		end();
	}
}
END_TEST

START_TEST(special_information_tones_are_known)
{
	static const struct {
		double hertz[3];
		uint32_t ms[3];
	} kinds[] = { { { 950, 1400, 1800 }, { 330, 330, 330 } },       /* ITU-T E.180 */
		      { { 913.8, 1370.6, 1776.7 }, { 274, 274, 380 } }, /* Telcordia SR-2275: IC, VC, NC, RO */
		      { { 985.2, 1370.6, 1776.7 }, { 380, 274, 380 } },
		      { { 985.2, 1428.5, 1776.7 }, { 380, 380, 380 } },
		      { { 913.8, 1428.5, 1776.7 }, { 274, 380, 380 } } };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		begin(PBX_DETECT_TONES);
		silence(500);
		for (int part = 0; part < 3; part++)
			tones(kinds[i].hertz[part], 0, -16, kinds[i].ms[part]);
		silence(1000);
		voice(2000);
		(void)only(PBX_DETECT_TONES, "sit");
		near_ms(found[0].began_ms, 500, 60);
		end();
	}
}
END_TEST

START_TEST(another_tone_is_told_when_it_follows)
{
	begin(PBX_DETECT_TONES);
	for (int i = 0; i < 2; i++) {
		tones(440, 480, -16, 2000);
		silence(4000);
	}
	for (int i = 0; i < 5; i++) {
		tones(480, 620, -16, 500);
		silence(500);
	}
	ck_assert_int_eq(count, 2);
	ck_assert_str_eq(found[0].name, "ringback");
	ck_assert_str_eq(found[1].name, "busy");
	end();
}
END_TEST

/* ---- fax ---- */

/* Flags of HDLC, one behind the other. */
static int flag_bit(void *at)
{
	return 0x7e >> (*(int *)at)++ % 8 & 1;
}

static void send_preamble(int16_t *ret_samples, int total)
{
	int at = 0;
	fsk_tx_state_t *tx = fsk_tx_init(NULL, &preset_fsk_specs[FSK_V21CH2], flag_bit, &at);

	ck_assert_int_eq(fsk_tx(tx, ret_samples, total), total);
	(void)fsk_tx_free(tx);
}

static void send_tone(int kind, int16_t *ret_samples, int total)
{
	modem_connect_tones_tx_state_t *tx = modem_connect_tones_tx_init(NULL, kind);

	(void)modem_connect_tones_tx(tx, ret_samples, total);
	(void)modem_connect_tones_tx_free(tx);
}

START_TEST(fax_machines_are_known_by_what_they_send)
{
	static const struct {
		int sends;
		const char *name;
		uint32_t hz;
	} kinds[] = { { MODEM_CONNECT_TONES_FAX_CNG, "cng", 1100 },
		      { MODEM_CONNECT_TONES_FAX_CED, "ced", 2100 },
		      { MODEM_CONNECT_TONES_ANSAM_PR, "ced", 2100 },
		      { MODEM_CONNECT_TONES_FAX_PREAMBLE, "preamble", 1750 } };
	int16_t samples[RATE * 3];

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		begin(PBX_DETECT_FAX);
		silence(400);
		memset(samples, 0, sizeof samples);
		if (kinds[i].sends == MODEM_CONNECT_TONES_FAX_PREAMBLE)
			send_preamble(samples, RATE * 3);
		else
			send_tone(kinds[i].sends, samples, RATE * 3);
		hear(samples, RATE * 3);
		ck_assert_msg(count >= 1, "%s is not found", kinds[i].name);
		ck_assert_str_eq(only(PBX_DETECT_FAX, kinds[i].name)->name, kinds[i].name);
		ck_assert_uint_eq(found[0].hz, kinds[i].hz);
		ck_assert_uint_le(found[0].at_ms, 400 + 2000);
		end();
	}
}
END_TEST

START_TEST(cng_is_known_from_any_generator_within_its_tolerance)
{
	for (double hz = 1062; hz <= 1138; hz += 38) {
		begin(PBX_DETECT_FAX);
		tones(hz, 0, -26, 500);
		silence(3000);
		tones(hz, 0, -26, 500);
		silence(500);
		(void)only(PBX_DETECT_FAX, "cng");
		end();
	}
}
END_TEST

/* ---- who answered ---- */

START_TEST(a_person_says_a_word_and_waits)
{
	begin(PBX_DETECT_MACHINE);
	silence(600);
	voice(450);
	silence(2000);
	const struct pbx_detected *human = only(PBX_DETECT_MACHINE, "human");

	ck_assert_str_eq(human->cause, "greeting_over");
	near_ms(human->initial_silence_ms, 600, 30);
	near_ms(human->began_ms, 600, 30);
	near_ms(human->greeting_ms, 450, 30);
	near_ms(human->after_greeting_ms, 800, 10);
	near_ms(human->at_ms, 600 + 450 + 800, 30);
	ck_assert_uint_eq(human->words, 1);
	end();
}
END_TEST

START_TEST(a_machine_speaks_at_length_or_in_many_words)
{
	begin(PBX_DETECT_MACHINE);
	silence(300);
	voice(5000);
	ck_assert_str_eq(only(PBX_DETECT_MACHINE, "machine")->cause, "long_greeting");
	near_ms(found[0].at_ms, 300 + 1500, 30);
	end();

	begin(PBX_DETECT_MACHINE);
	silence(200);
	for (int i = 0; i < 4; i++) {
		voice(200);
		silence(150);
	}
	ck_assert_str_eq(only(PBX_DETECT_MACHINE, "machine")->cause, "many_words");
	ck_assert_uint_eq(found[0].words, 3);
	end();
}
END_TEST

START_TEST(nobody_speaks_and_nobody_knows)
{
	const struct pbx_detect_spec patient = {
		.size = sizeof patient, .what = PBX_DETECT_MACHINE, .greeting_ms = 20000, .most_words = 50, .after_greeting_ms = 2000
	};

	begin(PBX_DETECT_MACHINE);
	silence(4000);
	ck_assert_str_eq(only(PBX_DETECT_MACHINE, "silence")->cause, "initial_silence");
	near_ms(found[0].at_ms, 2500, 10);
	near_ms(found[0].initial_silence_ms, 2500, 10);
	end();

	begin_with(&patient, "us");
	for (int i = 0; i < 8; i++) {
		voice(300);
		silence(500);
	}
	ck_assert_str_eq(only(PBX_DETECT_MACHINE, "unsure")->cause, "total");
	near_ms(found[0].at_ms, 5000, 10);
	end();
}
END_TEST

START_TEST(a_click_is_no_word_and_a_noisy_line_no_voice)
{
	begin(PBX_DETECT_MACHINE);
	hiss(-45, 500);
	hiss(-10, 40); /* a click */
	hiss(-45, 600);
	voice(500);
	hiss(-45, 1500);
	ck_assert_uint_eq(only(PBX_DETECT_MACHINE, "human")->words, 1);
	near_ms(found[0].began_ms, 1140, 40);
	end();
}
END_TEST

START_TEST(after_a_greeting_comes_a_beep)
{
	static const double hertz[] = { 440, 850, 1000, 1400, 2100 };

	for (size_t i = 0; i < sizeof hertz / sizeof hertz[0]; i++) {
		begin(PBX_DETECT_MACHINE | PBX_DETECT_BEEP);
		silence(400);
		voice(4000);
		silence(300);
		uint64_t at_ms = now_ms();

		tones(hertz[i], 0, -18, 400);
		silence(1000);
		ck_assert_int_eq(count, 2);
		ck_assert_str_eq(found[0].name, "machine");
		ck_assert_str_eq(found[1].name, "beep");
		near_ms(found[1].began_ms, at_ms, 20);
		near_ms(found[1].for_ms, 400, 30);
		near_ms(found[1].hz, (uint64_t)hertz[i], 5);
		near_ms((uint64_t)-found[1].level_cdb, 1800, 100);
		ck_assert_uint_le(found[1].at_ms, at_ms + 400 + 60);
		end();
	}
}
END_TEST

START_TEST(what_is_too_short_too_long_or_no_single_tone_is_no_beep)
{
	begin(PBX_DETECT_BEEP);
	tones(1000, 0, -18, 100);
	silence(300);
	tones(1000, 0, -18, 4000);
	silence(300);
	tones(480, 620, -18, 500);
	silence(300);
	hiss(-20, 800);
	voice(3000);
	silence(300);
	for (double hz = 600; hz < 1400; hz += 20) /* a siren */
		tones(hz, 0, -18, 20);
	silence(300);
	ck_assert_msg(count == 0, "a beep of %u Hz for %u ms at %llu", found[0].hz, found[0].for_ms, (unsigned long long)found[0].began_ms);
	end();
}
END_TEST

/* ---- voice and silence ---- */

START_TEST(voice_and_silence_are_told_as_they_come_and_go)
{
	begin(PBX_DETECT_VOICE | PBX_DETECT_SILENCE);
	silence(2500);
	voice(1000);
	silence(150); /* within a sentence */
	voice(1000);
	silence(2500);
	voice(500);
	ck_assert_int_eq(count, 4);
	ck_assert_str_eq(found[0].name, "silence");
	near_ms(found[0].at_ms, 2000, 10);
	ck_assert_str_eq(found[1].name, "voice");
	near_ms(found[1].at_ms, 2800, 40);
	near_ms(found[1].began_ms, 2500, 40);
	ck_assert_str_eq(found[2].name, "silence");
	near_ms(found[2].began_ms, 4650, 40);
	ck_assert_int_lt(found[2].level_cdb, -5500);
	ck_assert_str_eq(found[3].name, "voice");
	ck_assert_int_gt(found[3].level_cdb, -3000);
	end();
}
END_TEST

/* ---- real speech: every prompt there is ---- */

static uint32_t hear_file(const char *path)
{
	SF_INFO info = { 0 };
	SNDFILE *file = sf_open(path, SFM_READ, &info);
	static int16_t samples[RATE * 60];

	ck_assert_msg(file != NULL, "%s: %s", path, sf_strerror(NULL));
	uint32_t total = (uint32_t)sf_read_short(file, samples, RATE * 60);

	(void)sf_close(file);
	for (uint32_t i = 0; info.samplerate == 16000 && i < total / 2; i++) /* prompts have little above 3.4 kHz */
		samples[i] = (int16_t)((samples[2 * i] + samples[2 * i + 1]) / 2);
	total = info.samplerate == 16000 ? total / 2 : total;
	hear(samples, total);
	return total / RATE;
}

START_TEST(speech_is_no_tone_no_beep_and_no_fax)
{
	const char *folder = getenv("TEST_PROMPTS");
	DIR *files = folder ? opendir(folder) : NULL;
	struct dirent *entry;
	char path[4096];
	uint32_t heard_s = 0, prompts = 0;

	ck_assert_msg(files != NULL, "TEST_PROMPTS names no folder: %s", folder ? folder : "it is not set");
	begin(PBX_DETECT_TONES | PBX_DETECT_BEEP | PBX_DETECT_FAX);
	while ((entry = readdir(files))) {
		if (!strstr(entry->d_name, ".wav"))
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		heard_s += hear_file(path);
		silence(300);
		ck_assert_msg(count == 0, "%s is taken for a %s of %u Hz, %u ms", entry->d_name, found[0].name, found[0].hz,
			      found[0].for_ms);
		prompts++;
	}
	(void)closedir(files);
	ck_assert_uint_ge(prompts, 50);
	ck_assert_uint_ge(heard_s, 50);
	end();
}
END_TEST

START_TEST(there_are_no_tones_of_nowhere)
{
	const struct pbx_detect_spec spec = { .size = sizeof spec, .what = PBX_DETECT_TONES };

	ck_assert_int_eq(rtp_detector_new(&spec, "atlantis", on_found, NULL, &detector), PBX_EINVAL);
}
END_TEST

/* A dozen seconds of a row of the table, as it is played. */
static void hear_row(const char *cadence)
{
	struct rtp_sound_block *first = NULL;
	bool repeats = false;

	ck_assert_int_eq(rtp_tone_render(cadence, &first, &repeats), PBX_OK);
	silence(700);
	do
		for (struct rtp_sound_block *block = first; block; block = atomic_load(&block->next))
			hear(block->narrow, atomic_load(&block->used));
	while (repeats && now_ms() < 13000);
	silence(2000);
	for (struct rtp_sound_block *block = first, *next; block; block = next) {
		next = atomic_load(&block->next);
		free(block);
	}
}

/* Where a country has one cadence for two things, the first of these is told. */
static const char *told_as(const char *country, const char *name)
{
	static const char *const names[] = { "dial", "ringback", "busy", "congestion" };

	for (size_t i = 0; i < 4; i++)
		if (strcmp(rtp_tone_cadence(country, names[i]), rtp_tone_cadence(country, name)) == 0)
			return names[i];
	return name;
}

START_TEST(whatever_the_table_has_is_known_when_it_is_heard)
{
	const struct rtp_tone_row *row = &rtp_tone_rows[_i];
	const struct pbx_detect_spec spec = { .size = sizeof spec, .what = PBX_DETECT_TONES };
	struct rtp_tone tone;

	ck_assert(rtp_tone_at(row->country[0] ? row->country : "us", row->name, 0, &tone));
	if (!row->country[0] || strcmp(row->name, "waiting") == 0 || strcmp(row->name, "stutter") == 0 || strcmp(row->name, "sit") == 0)
		return; /* they are for people */
	begin_with(&spec, row->country);
	hear_row(row->cadence);
	ck_assert_msg(count == 1 || (count == 2 && strcmp(row->country, "es") == 0), /* Spain: the same until its pause comes */
		      "%s %s: %d found%s%s", row->country, row->name, count, count ? ", first " : "", count ? found[0].name : "");
	ck_assert_str_eq(found[count - 1].name, told_as(row->country, row->name));
	end();
}
END_TEST

START_TEST(a_site_has_tones_of_its_own)
{
	static const char *const rows[] = { "ie dial 425", "ie busy 425/500 0/500", "de busy 600/100 0/900" };
	static const char *const bad[] = { "ie busy", "ie busy 425/500 0", "germany busy 425", "ie busy 9000/100 0/100",
					   "ie busy 425/500,0/500" };
	const struct pbx_list own = { rows, 3 };
	struct pbx_diag diag = { 0 };

	ck_assert(!rtp_tones_has("ie"));
	ck_assert_int_eq(rtp_tones_check(&own, "ie", &diag), PBX_OK);
	rtp_tones_use(&own);
	ck_assert_str_eq(rtp_tone_cadence("ie", "busy"), "425/500 0/500");
	ck_assert_str_eq(rtp_tone_cadence("ie", "beep"), "!1000/500");
	ck_assert_str_eq(rtp_tone_cadence("de", "busy"), "600/100 0/900");
	ck_assert_str_eq(rtp_tone_cadence("gb", "busy"), "400/375 0/375");
	rtp_tones_use(NULL);
	ck_assert_str_eq(rtp_tone_cadence("de", "busy"), "425/480 0/480");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_int_eq(rtp_tones_check(&(struct pbx_list){ &bad[i], 1 }, "us", &diag), PBX_EINVAL);
	ck_assert_int_eq(rtp_tones_check(&(struct pbx_list){ NULL, 0 }, "ie", &diag), PBX_EINVAL);
	ck_assert_ptr_nonnull(strstr(diag.text, "media.tones"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("detect");
	TCase *all = tcase_create("detect");

	tcase_set_timeout(all, 60);
	tcase_add_loop_test(all, each_country_s_tones_are_told_apart_by_their_cadence, 0, (int)(sizeof network / sizeof network[0]));
	tcase_add_loop_test(all, whatever_the_table_has_is_known_when_it_is_heard, 0, (int)rtp_tone_row_count);
	tcase_add_test(all, a_site_has_tones_of_its_own);
	tcase_add_test(all, special_information_tones_are_known);
	tcase_add_test(all, another_tone_is_told_when_it_follows);
	tcase_add_test(all, fax_machines_are_known_by_what_they_send);
	tcase_add_test(all, cng_is_known_from_any_generator_within_its_tolerance);
	tcase_add_test(all, a_person_says_a_word_and_waits);
	tcase_add_test(all, a_machine_speaks_at_length_or_in_many_words);
	tcase_add_test(all, nobody_speaks_and_nobody_knows);
	tcase_add_test(all, a_click_is_no_word_and_a_noisy_line_no_voice);
	tcase_add_test(all, after_a_greeting_comes_a_beep);
	tcase_add_test(all, what_is_too_short_too_long_or_no_single_tone_is_no_beep);
	tcase_add_test(all, voice_and_silence_are_told_as_they_come_and_go);
	tcase_add_test(all, speech_is_no_tone_no_beep_and_no_fax);
	tcase_add_test(all, there_are_no_tones_of_nowhere);
	suite_add_tcase(suite, all);
	return check_run(suite);
}
