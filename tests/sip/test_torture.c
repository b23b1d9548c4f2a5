/*
 * test_torture - the messages of RFC 4475 and worse, sent to a live agent
 *
 * What each deserves is not asked here (test_dialog does that for what matters): the agent must neither fall nor stop answering,
 * and must hold nothing afterwards. Each is sent whole, cut short, and with bytes changed by a generator with a fixed seed.
 */
#include "rig.h"
#include "dialog.h"
#include "loop.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[512];
static struct rig *rig;
static unsigned messages;

static void setup(void)
{
	rig = rig_start("  peers: [127.0.0.1]\n");
}

static void teardown(void)
{
	rig_stop(rig);
}

/* As a phone does, it asks again: an ICMP error that an earlier answer earned us may cost the next one. */
static void expect_alive(void)
{
	static unsigned count;
	char call_id[64];

	(void)snprintf(call_id, sizeof call_id, "alive-%u", ++count);
	for (unsigned tries = 0; tries < 6; tries++) {
		rig_send(rig,
			 "OPTIONS sip:127.0.0.1 SIP/2.0~Via: SIP/2.0/UDP 127.0.0.1:{P};branch=z9hG4bK-%s;rport~From: <sip:x@y>;tag=1~To: "
			 "<sip:x@y>~"
			 "Call-ID: %s~CSeq: 1 OPTIONS~Content-Length: 0~~",
			 call_id, call_id);
		while (rig_find(rig, "SIP/2.0 200", 1000))
			if (strcmp(rig_header(rig, "Call-ID"), call_id) == 0)
				return;
	}
	ck_abort_msg("no answer any more");
}

static void send_raw(const char *bytes, size_t size)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(rig->port) };

	(void)sendto(rig->phone, bytes, size, 0, (struct sockaddr *)&to, sizeof to);
	core_loop_step();
	messages++;
}

static void send_over_tcp(const char *bytes, size_t size)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(rig->port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	(void)send(fd, bytes, size, MSG_NOSIGNAL);
	for (unsigned i = 0; i < 5; i++)
		core_loop_step();
	close(fd);
	core_loop_step();
}

static size_t load(const char *name, char *ret_bytes, size_t size)
{
	char path[1024];

	(void)snprintf(path, sizeof path, "%s/torture/%s", folder, name);
	FILE *in = fopen(path, "rb");
	ck_assert_ptr_nonnull(in);
	size_t got = fread(ret_bytes, 1, size, in);
	(void)fclose(in);
	return got;
}

static void each_message(void (*each)(const char *bytes, size_t size))
{
	char path[600];
	DIR *dir;
	unsigned count = 0;

	(void)snprintf(path, sizeof path, "%s/torture", folder);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		static char bytes[65536];

		if (!strstr(entry->d_name, ".msg"))
			continue;
		count++;
		each(bytes, load(entry->d_name, bytes, sizeof bytes));
		expect_alive();
	}
	(void)closedir(dir);
	ck_assert_uint_ge(count, 50);
}

START_TEST(every_message_of_the_torture_set_is_survived)
{
	each_message(send_raw);
	ck_assert_uint_eq(rig_dialogs(), 0);
}
END_TEST

START_TEST(so_is_it_over_tcp)
{
	each_message(send_over_tcp);
	ck_assert_uint_eq(rig_dialogs(), 0);
}
END_TEST

static void cut(const char *bytes, size_t size)
{
	for (size_t i = 1; i < 16; i++)
		send_raw(bytes, size * i / 16);
}

START_TEST(cut_anywhere_they_are_survived)
{
	each_message(cut);
}
END_TEST

static uint32_t seed = 4475;

static uint32_t chance(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static void change(const char *bytes, size_t size)
{
	static char copy[65536];

	for (unsigned i = 0; i < 30 && size > 0; i++) {
		memcpy(copy, bytes, size);
		for (unsigned j = 0; j <= i / 4; j++)
			copy[chance() % size] = (char)chance();
		send_raw(copy, size);
	}
}

START_TEST(changed_at_random_they_are_survived)
{
	each_message(change);
	ck_assert_uint_ge(messages, 1500);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("torture");
	TCase *cases = tcase_create("torture");

	(void)snprintf(folder, sizeof folder, "%s", argc > 1 ? argv[1] : "tests/sip");
	tcase_set_timeout(cases, 60);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, every_message_of_the_torture_set_is_survived);
	tcase_add_test(cases, so_is_it_over_tcp);
	tcase_add_test(cases, cut_anywhere_they_are_survived);
	tcase_add_test(cases, changed_at_random_they_are_survived);
	suite_add_tcase(suite, cases);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
