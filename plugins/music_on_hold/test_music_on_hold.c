/* plugins/music_on_hold/test_music_on_hold.c - which music whoever waits hears, and what becomes of files that come and go */
#include "../../tests/check_main.h"
#include "fake.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAV "RIFF----WAVEfmt 0123456789012345678901234567data and some sound"

static const char *path_of(struct fake_pbx *pbx, const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof path, "%s/music/%s", fake_dir(pbx), name);
	return path;
}

static void put_file(struct fake_pbx *pbx, const char *name)
{
	FILE *file = fopen(path_of(pbx, name), "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_gt(fputs(WAV, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void rescan(struct fake_pbx *pbx)
{
	(void)fake_command(pbx, "moh rescan");
	fake_settle(pbx);
}

/* Classes default (a, b) and sales (s); 1001 and 1002 talk. */
static struct fake_pbx *house(const char *yaml)
{
	static const char *const folders[] = { "", "default", "sales" }, *const files[] = { "default/b.wav", "default/a.wav",
											    "sales/s.flac" };
	struct fake_pbx *pbx = fake_pbx_with_settings("music_on_hold", yaml);
	char line[600];

	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(mkdir(path_of(pbx, folders[i]), 0700), 0);
	for (size_t i = 0; i < 3; i++)
		put_file(pbx, files[i]);
	(void)snprintf(line, sizeof line, "config set music_on_hold.directory '%s'", path_of(pbx, ""));
	const char *answer = fake_command(pbx, line);
	ck_assert_msg(fake_status(pbx) == 200, "%s", answer);
	fake_settle(pbx);
	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	return pbx;
}

static pbx_leg talk(struct fake_pbx *pbx)
{
	pbx_leg alice = fake_dial(pbx, "1001", "1002");

	fake_answer(pbx, fake_leg(pbx, "1002"));
	return alice;
}

static bool hears(struct fake_pbx *pbx, pbx_leg leg, const char *what)
{
	bool it_does = fake_hears(pbx, leg, what);

	if (!it_does)
		(void)fprintf(stderr, "hears %s, not %s\n", fake_hearing(pbx, leg), what);
	return it_does;
}

/* The names of the files of a source, in its order: "a.wav b.wav". */
static const char *programme(struct fake_pbx *pbx, const char *source)
{
	static char names[512];
	const char *files = fake_source_files(pbx, source);
	char *copy = strdup(files ? files : ""), *rest = NULL;

	ck_assert_ptr_nonnull(copy);
	names[0] = '\0';
	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t at = strlen(names);

		(void)snprintf(names + at, sizeof names - at, "%s%s", at ? " " : "", strrchr(line, '/') + 1);
	}
	free(copy);
	return names;
}

START_TEST(whoever_is_held_hears_the_default_class)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg alice = talk(pbx);

	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	ck_assert(hears(pbx, alice, "source:music default"));
	ck_assert_str_eq(programme(pbx, "music default"), "a.wav b.wav");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "moh show default"), "listeners"), "1");
	fake_hold(pbx, fake_leg(pbx, "1002"), false);
	ck_assert(fake_hears_leg(pbx, alice, fake_leg(pbx, "1002")));
	ck_assert_uint_eq(fake_source_listeners(pbx, "music default"), 0);
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(the_holders_account_chooses_the_class)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	fake_account(pbx, "1002")->music_class = "sales";
	pbx_leg alice = talk(pbx);
	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	ck_assert(hears(pbx, alice, "source:music sales"));
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(an_unknown_or_empty_class_is_the_default_one)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_http(pbx, "PUT", "/moh/classes/empty", "{}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	for (int i = 0; i < 2; i++) {
		fake_account(pbx, "1002")->music_class = i ? "nonsense" : "empty";
		pbx_leg alice = talk(pbx);
		fake_hold(pbx, fake_leg(pbx, "1002"), true);
		ck_assert(hears(pbx, alice, "source:music default"));
		fake_hangup(pbx, alice);
	}
}
END_TEST

START_TEST(without_any_music_there_is_silence)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with_settings("music_on_hold", "music_on_hold:\n  directory: /nonexistent\n");

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	pbx_leg alice = talk(pbx);
	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	ck_assert(hears(pbx, alice, "nothing"));
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(a_new_file_joins_the_programme_without_a_gap)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("music_on_hold:\n  rescan_s: 5\n");
	pbx_leg alice = talk(pbx);

	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	put_file(pbx, "default/aa.wav");
	put_file(pbx, "default/notes.txt");
	put_file(pbx, "default/.hidden.wav");
	fake_pass_ms(pbx, 5000);
	fake_settle(pbx);
	ck_assert_str_eq(programme(pbx, "music default"), "a.wav aa.wav b.wav");
	ck_assert_uint_eq(fake_source_listeners(pbx, "music default"), 1); /* the same source, and it is still heard */
	ck_assert(hears(pbx, alice, "source:music default"));
	ck_assert_int_eq(unlink(path_of(pbx, "default/aa.wav")), 0);
	fake_pass_ms(pbx, 5000);
	fake_settle(pbx);
	ck_assert_str_eq(programme(pbx, "music default"), "a.wav b.wav");
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(a_class_comes_and_goes_with_its_folder)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	ck_assert_int_eq(unlink(path_of(pbx, "sales/s.flac")), 0);
	ck_assert_int_eq(rmdir(path_of(pbx, "sales")), 0);
	rescan(pbx);
	(void)fake_http(pbx, "GET", "/moh/classes/sales", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	ck_assert_int_eq(mkdir(path_of(pbx, "jazz"), 0700), 0);
	put_file(pbx, "jazz/j.ogg");
	rescan(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_http(pbx, "GET", "/moh/classes/jazz", NULL), "files.0"), "j.ogg");
}
END_TEST

START_TEST(order_and_gain_of_a_class_are_kept)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_http(pbx, "PUT", "/moh/classes/sales", "{\"sort\": \"random\", \"gain_db\": -6}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	(void)fake_http(pbx, "PUT", "/moh/classes/sales", "{\"gain_db\": -3}"); /* what is left out stays */
	fake_restart(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "moh show sales"), "sort"), "random");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "moh show sales"), "gain_db"), "-3");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "moh show default"), "sort"), "randstart");
	(void)fake_http(pbx, "PUT", "/moh/classes/sales", "{\"sort\": \"loudest\"}");
	ck_assert_uint_eq(fake_status(pbx), 400);
	(void)fake_http(pbx, "PUT", "/moh/classes/a%20b", "{}");
	ck_assert_uint_eq(fake_status(pbx), 422);
}
END_TEST

START_TEST(a_tune_is_uploaded_heard_downloaded_and_removed)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_http(pbx, "PUT", "/moh/classes/default/files/c.wav", WAV);
	ck_assert_uint_eq(fake_status(pbx), 201);
	fake_settle(pbx);
	pbx_leg alice = talk(pbx);
	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	ck_assert_str_eq(programme(pbx, "music default"), "a.wav b.wav c.wav");
	ck_assert_str_eq(fake_http(pbx, "GET", "/moh/classes/default/files/c.wav/audio", NULL), WAV);
	ck_assert_str_eq(fake_content_type(pbx), "audio/wav");
	(void)fake_http(pbx, "DELETE", "/moh/classes/default/files/c.wav", NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	fake_settle(pbx);
	ck_assert_str_eq(programme(pbx, "music default"), "a.wav b.wav");
	ck_assert(hears(pbx, alice, "source:music default"));
	(void)fake_http(pbx, "DELETE", "/moh/classes/default/files/a.wav", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404); /* it was shipped, not uploaded */
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(what_cannot_be_played_never_becomes_part_of_a_class)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	static const char *const bad[] = { "/moh/classes/default/files/..%2Fx.wav", "/moh/classes/default/files/.x.wav",
					   "/moh/classes/default/files/x.txt", "/moh/classes/..%2Fdefault/files/x.wav" };

	(void)fake_http(pbx, "PUT", "/moh/classes/default/files/c.wav", "this is a text");
	ck_assert_uint_eq(fake_status(pbx), 400);
	(void)fake_http(pbx, "PUT", "/moh/classes/default/files/c.wav", "");
	ck_assert_uint_eq(fake_status(pbx), 400);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)fake_http(pbx, "PUT", bad[i], WAV);
		ck_assert_msg(fake_status(pbx) == 422 || fake_status(pbx) == 404, "%s: %u", bad[i], fake_status(pbx));
	}
	rescan(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "moh show default"), "file_count"), "2");
}
END_TEST

START_TEST(the_default_class_and_one_with_files_are_not_removed)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_http(pbx, "DELETE", "/moh/classes/default", NULL);
	ck_assert_uint_eq(fake_status(pbx), 409);
	(void)fake_http(pbx, "DELETE", "/moh/classes/sales", NULL);
	ck_assert_uint_eq(fake_status(pbx), 409);
	(void)fake_http(pbx, "DELETE", "/moh/classes/none", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
	(void)fake_http(pbx, "PUT", "/moh/classes/empty", "{}");
	(void)fake_http(pbx, "DELETE", "/moh/classes/empty", NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	fake_settle(pbx);
	(void)fake_http(pbx, "GET", "/moh/classes/empty", NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
}
END_TEST

START_TEST(a_class_may_be_a_stream_with_files_for_bad_days)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg alice;

	(void)fake_http(pbx, "PUT", "/moh/classes/radio", "{\"mode\": \"stream\"}");
	ck_assert_uint_eq(fake_status(pbx), 422);
	(void)fake_http(pbx, "PUT", "/moh/classes/radio", "{\"mode\": \"stream\", \"source\": \"file:///etc/passwd\"}");
	ck_assert_uint_eq(fake_status(pbx), 422);
	(void)fake_http(pbx, "POST", "/moh/classes", "{\"class\": \"radio\", \"mode\": \"stream\", \"source\": \"http://radio/a\"}");
	ck_assert_uint_eq(fake_status(pbx), 201);
	(void)fake_http(pbx, "POST", "/moh/classes", "{\"class\": \"radio\"}");
	ck_assert_uint_eq(fake_status(pbx), 409);
	fake_account(pbx, "1002")->music_class = "radio";
	alice = talk(pbx);
	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	ck_assert(hears(pbx, alice, "source:music radio"));
	ck_assert_str_eq(programme(pbx, "music radio"), "a.wav b.wav"); /* the default class's: it has none of its own */
	ck_assert_str_eq(fake_source_wishes(pbx, "music radio"), "http://radio/a announce:/0 trims");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "moh show radio"), "streaming"), "true");
	(void)fake_command(pbx, "moh set radio mode=files");
	fake_settle(pbx);
	ck_assert(hears(pbx, alice, "source:music default")); /* it plays nothing now */
	fake_hangup(pbx, alice);
	fake_restart(pbx);
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "moh show radio"), "source"), "http://radio/a");
}
END_TEST

START_TEST(announcements_are_a_prompt_and_the_files_named_so)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("music_on_hold:\n  trim_silence: false\n");
	pbx_leg alice = talk(pbx);
	char wishes[600];

	(void)fake_http(pbx, "PUT", "/moh/classes/default", "{\"announcement\": \"please-wait\"}");
	ck_assert_uint_eq(fake_status(pbx), 422);
	(void)fake_http(pbx, "PUT", "/moh/classes/default",
			"{\"announcement\": \"please-wait\", \"announce_every_s\": 30, \"levels\": true}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	put_file(pbx, "default/announce-offer.wav");
	rescan(pbx);
	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	ck_assert_str_eq(programme(pbx, "music default"), "a.wav b.wav");
	(void)snprintf(wishes, sizeof wishes, " announce:please-wait\n%s/30 levels", path_of(pbx, "/default/announce-offer.wav"));
	ck_assert_str_eq(fake_source_wishes(pbx, "music default"), wishes);
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(a_playlist_has_an_order_of_its_own)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg alice = talk(pbx);

	(void)fake_http(pbx, "PUT", "/moh/classes/default", "{\"mode\": \"playlist\"}");
	ck_assert_uint_eq(fake_status(pbx), 422);
	(void)fake_http(pbx, "PUT", "/moh/classes/default",
			"{\"mode\": \"playlist\", \"playlist\": [\"b.wav\", \"a.wav\", \"gone.wav\", \"b.wav\"]}");
	ck_assert_uint_eq(fake_status(pbx), 200);
	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	ck_assert_str_eq(programme(pbx, "music default"), "b.wav a.wav b.wav");
	fake_hangup(pbx, alice);
}
END_TEST

START_TEST(every_caller_may_begin_at_the_beginning)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");

	(void)fake_command(pbx, "moh set default position=caller");
	pbx_leg alice = talk(pbx), bob;
	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	fake_registered(pbx, "1003");
	fake_registered(pbx, "1004");
	bob = fake_dial(pbx, "1003", "1004");
	fake_answer(pbx, fake_leg(pbx, "1004"));
	fake_hold(pbx, fake_leg(pbx, "1004"), true);
	ck_assert(hears(pbx, alice, "source:music default") && hears(pbx, bob, "source:music default"));
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "moh show default"), "listeners"), "2");
	ck_assert_uint_eq(fake_source_listeners(pbx, "music default"), 1); /* each has its own */
	fake_hangup(pbx, alice);
	fake_hangup(pbx, bob);
	fake_pass_ms(pbx, 10000);
	fake_settle(pbx);
	ck_assert_ptr_null(fake_source_files(pbx, "music default")); /* and it goes with them */
}
END_TEST

START_TEST(a_fresh_copy_goes_on_playing)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg alice = talk(pbx);

	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	ck_assert_int_eq(fake_reload_plugin(pbx, "music_on_hold"), PBX_OK);
	ck_assert(hears(pbx, alice, "source:music default"));
	fake_hold(pbx, fake_leg(pbx, "1002"), false);
	fake_hold(pbx, fake_leg(pbx, "1002"), true);
	ck_assert(hears(pbx, alice, "source:music default"));
	fake_hangup(pbx, alice);
}
END_TEST

CHECK_MAIN("music_on_hold", whoever_is_held_hears_the_default_class, the_holders_account_chooses_the_class,
	   an_unknown_or_empty_class_is_the_default_one, without_any_music_there_is_silence, a_new_file_joins_the_programme_without_a_gap,
	   a_class_comes_and_goes_with_its_folder, order_and_gain_of_a_class_are_kept, a_tune_is_uploaded_heard_downloaded_and_removed,
	   what_cannot_be_played_never_becomes_part_of_a_class, the_default_class_and_one_with_files_are_not_removed,
	   a_class_may_be_a_stream_with_files_for_bad_days, announcements_are_a_prompt_and_the_files_named_so,
	   a_playlist_has_an_order_of_its_own, every_caller_may_begin_at_the_beginning, a_fresh_copy_goes_on_playing)
