/* tests/rtp/test_speech.c - texts that an engine speaks: run without a shell, shaped as all prompts are, kept within a limit, and what may go wrong */
#include "../check_main.h"
#include <rtp/decoder.h>
#include <rtp/speech.h>
#include <core/prompts.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], kept[80], engine[160];

/* An engine that writes down what it was told, and says a tone of so many seconds. */
static void setup(const char *seconds)
{
	char path[96];

	(void)snprintf(folder, sizeof folder, "/tmp/speech-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(kept, sizeof kept, "%s/kept", folder);
	(void)snprintf(path, sizeof path, "%s/engine", folder);
	FILE *script = fopen(path, "we");
	ck_assert_ptr_nonnull(script);
	ck_assert_int_gt(fprintf(script,
				 "#!/bin/sh\necho \"$1\" >> %s/languages\ncat > %s/heard\n"
				 "exec sox -n -r 22050 -c 1 \"$2\" synth %s sine 440 gain -30 pad 0.5 0.5\n",
				 folder, folder, seconds),
			 0);
	ck_assert_int_eq(fclose(script), 0);
	ck_assert_int_eq(chmod(path, 0700), 0);
	(void)snprintf(engine, sizeof engine, "%s -l={language} {file}", path);
	ck_assert_int_eq(core_speech_set(engine, kept, 1), PBX_OK);
	ck_assert_int_eq(core_prompts_set(NULL, 0, "en"), PBX_OK);
}

static void teardown(void)
{
	char command[128];

	core_speech_fini();
	core_prompts_fini();
	(void)snprintf(command, sizeof command, "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static const char *content(const char *name)
{
	static char text[2048];
	char path[128];

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "re");
	text[file ? fread(text, 1, sizeof text - 1, file) : 0] = '\0';
	if (file)
		(void)fclose(file);
	return text;
}

/* Speaks it and says where it is. */
static const char *speak(const char *language, const char *text)
{
	static char path[4096];
	struct pbx_diag diag = { .text = "" };
	struct core_speech *speech;

	ck_assert_int_eq(core_speech_new(language, text, &speech, &diag), PBX_OK);
	ck_assert_msg(rtp_speech_make(speech, &diag) == PBX_OK, "%s", diag.text);
	(void)snprintf(path, sizeof path, "%s", core_speech_path(speech));
	core_speech_free(speech);
	return path;
}

/* Why it cannot be spoken. */
static const char *complaint(const char *command, int expected)
{
	static struct pbx_diag diag;
	struct core_speech *speech;

	diag.text[0] = '\0';
	ck_assert_int_eq(core_speech_set(command, kept, 1), PBX_OK);
	int err = core_speech_new("en", "Hello.", &speech, &diag);
	if (err == PBX_OK) {
		err = rtp_speech_make(speech, &diag);
		core_speech_free(speech);
	}
	ck_assert_msg(err == expected, "%s: %d %s", command, err, diag.text);
	return diag.text;
}

static double level_db(const int16_t *samples, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)samples[i] * samples[i];
	return 10 * log10(sum / (double)count / (32768.0 * 32768.0 / 2));
}

static size_t read_all(const char *path, int16_t *samples, size_t most)
{
	struct rtp_decoder *decoder;

	ck_assert_int_eq(rtp_decoder_open(path, 16000, &decoder), PBX_OK);
	size_t count = rtp_decoder_read(decoder, samples, most);
	rtp_decoder_close(decoder);
	return count;
}

START_TEST(a_text_becomes_a_prompt_like_all_others)
{
	static int16_t samples[80000];

	setup("1");
	size_t count = read_all(speak("de-AT", "Guten Tag"), samples, 80000);
	ck_assert_msg(count > 16000 && count < 17600, "%zu samples: the silence is gone", count);
	double level = level_db(samples + 1600, 14400);
	ck_assert_msg(fabs(level + 18) < 0.3, "%.2f dBFS", level);
	ck_assert_str_eq(content("heard"), "Guten Tag\n");
	ck_assert_str_eq(content("languages"), "-l=de\n");
	teardown();
}
END_TEST

START_TEST(no_shell_reads_the_text)
{
	static const char text[] = "-o /tmp/x \"; touch $(id) `id` {file} {language} %s <b>'";
	char expected[sizeof text + 2];

	setup("0.2");
	(void)speak("en", text);
	(void)snprintf(expected, sizeof expected, "%s\n", text);
	ck_assert_str_eq(content("heard"), expected);
	teardown();
}
END_TEST

START_TEST(it_is_spoken_once)
{
	char first[4096];

	setup("0.2");
	(void)snprintf(first, sizeof first, "%s", speak("en", "Hello."));
	ck_assert_str_eq(speak("en", "Hello."), first);
	ck_assert_str_eq(speak("", "Hello."), first); /* the default's language is the same */
	ck_assert_str_eq(content("languages"), "-l=en\n");
	ck_assert_str_ne(speak("fr", "Hello."), first);
	ck_assert_str_ne(speak("en", "Hello!"), first);
	ck_assert_str_eq(content("languages"), "-l=en\n-l=fr\n-l=en\n");
	teardown();
}
END_TEST

START_TEST(what_was_heard_longest_ago_goes_when_the_folder_is_full)
{
	char path[3][4096];

	setup("12"); /* 0.37 MiB each */
	for (size_t i = 0; i < 2; i++)
		(void)snprintf(path[i], sizeof path[i], "%s", speak("en", i ? "Two." : "One."));
	(void)speak("en", "One."); /* heard again */
	(void)snprintf(path[2], sizeof path[2], "%s", speak("en", "Three."));
	ck_assert_int_eq(access(path[0], F_OK), 0);
	ck_assert_int_ne(access(path[1], F_OK), 0);
	ck_assert_int_eq(access(path[2], F_OK), 0);
	teardown();
}
END_TEST

START_TEST(what_goes_wrong_is_told)
{
	char command[128];
	struct stat there;

	setup("1");
	ck_assert_ptr_nonnull(strstr(complaint("/no/such/engine {file}", PBX_ENOTSUP), "espeak-ng"));
	ck_assert_ptr_nonnull(strstr(complaint("off", PBX_ENOTSUP), "prompts.speech is off"));
	ck_assert_ptr_nonnull(strstr(complaint("false {file}", PBX_EIO), "exit status 1"));
	ck_assert_ptr_nonnull(strstr(complaint("true {file}", PBX_EIO), "wrote no sound"));
	ck_assert_ptr_nonnull(strstr(complaint("sox -n -r 16000 {file} trim 0 1", PBX_EIO), "says nothing"));
	(void)snprintf(command, sizeof command, "test -z \"$(ls %s)\"", kept); /* and leaves nothing behind */
	ck_assert_int_eq(stat(kept, &there), 0);
	ck_assert_int_eq(system(command), 0);
	teardown();
}
END_TEST

START_TEST(what_is_no_text_or_no_engine_is_refused)
{
	char text[PBX_MOST_TEXT + 2];
	struct pbx_diag diag = { .text = "" };
	struct core_speech *speech;

	setup("1");
	memset(text, 'a', sizeof text);
	text[PBX_MOST_TEXT + 1] = '\0';
	ck_assert_int_eq(core_speech_new("en", text, &speech, &diag), PBX_EINVAL);
	ck_assert_int_eq(core_speech_new("en", " \n", &speech, &diag), PBX_EINVAL);
	ck_assert_int_eq(core_speech_check("my-engine", &diag), PBX_EINVAL);
	ck_assert_int_eq(core_speech_check("my-engine {file}", &diag), PBX_OK);
	ck_assert_int_eq(core_speech_check("off", &diag), PBX_OK);
	teardown();
}
END_TEST

/* Those that make our prompts. */
START_TEST(flite_and_espeak_speak)
{
	static const char *const languages[] = { "en", "de", "fr" };
	static int16_t samples[160000];

	setup("1");
	ck_assert_int_eq(core_speech_set("auto", kept, 10), PBX_OK);
	for (size_t i = 0; i < 3; i++) {
		size_t count = read_all(speak(languages[i], "One, two, three, four."), samples, 160000);

		ck_assert_msg(count > 16000 && count < 64000, "%s: %zu samples", languages[i], count);
	}
	teardown();
}
END_TEST

CHECK_MAIN("speech", a_text_becomes_a_prompt_like_all_others, no_shell_reads_the_text, it_is_spoken_once,
	   what_was_heard_longest_ago_goes_when_the_folder_is_full, what_goes_wrong_is_told, what_is_no_text_or_no_engine_is_refused,
	   flite_and_espeak_speak)
