/*
 * test_torture - the messages of RFC 4475, RFC 5118 and worse, sent to a live agent
 *
 * Each message of the two documents gets the answer that tests/torture/answers says; and whatever is sent, whole, cut short or with bytes
 * changed by a generator with a fixed seed, the agent must neither fall nor stop answering, and must hold nothing afterwards.
 */
#include "../check_main.h"
#include "rig.h"
#include "loop.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[512];
static struct rig *rig;
static unsigned messages;

static void setup(void)
{
	rig = rig_start("  peers: [127.0.0.0/8]\n");
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

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *in = fopen(path, "rb");
	ck_assert_msg(in != NULL, "cannot read %s", path);
	size_t got = fread(ret_bytes, 1, size, in);
	(void)fclose(in);
	return got;
}

static unsigned each_message_in(const char *set, void (*each)(const char *bytes, size_t size))
{
	char path[600], name[300];
	unsigned count = 0;

	(void)snprintf(path, sizeof path, "%s/%s", folder, set);
	DIR *dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		static char bytes[65536];

		if (!strstr(entry->d_name, ".msg"))
			continue;
		count++;
		(void)snprintf(name, sizeof name, "%s/%s", set, entry->d_name);
		each(bytes, load(name, bytes, sizeof bytes));
		expect_alive();
	}
	(void)closedir(dir);
	return count;
}

static void each_message(void (*each)(const char *bytes, size_t size))
{
	ck_assert_uint_eq(each_message_in("rfc4475", each), 49);
	ck_assert_uint_eq(each_message_in("rfc5118", each), 12);
	ck_assert_uint_ge(each_message_in("ours", each), 13);
}

/* ---- the answers ---------------------------------------------------------------------- */

/* Answers go to the port that Via names (RFC 3261 18.2.2), so the messages come from an address that has all of these. */
static const uint16_t via_ports[] = { 5060, 5050, 5070, 6050, 19823 };
#define VIA_PORTS (sizeof via_ports / sizeof via_ports[0])

struct sender {
	int udp[VIA_PORTS], tcp;
};

static struct sockaddr_in agent_address(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(rig->port) };
}

static bool bind_all(struct sender *sender, uint32_t host)
{
	for (size_t i = 0; i < VIA_PORTS; i++) {
		struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = htons(via_ports[i]) };

		sender->udp[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		if (bind(sender->udp[i], (struct sockaddr *)&own, sizeof own) == 0)
			continue;
		for (size_t j = 0; j <= i; j++)
			close(sender->udp[j]);
		return false;
	}
	return true;
}

static void sender_open(struct sender *sender)
{
	sender->tcp = -1;
	for (uint32_t last = 2; last < 250; last++)
		if (bind_all(sender, 0x7f4b0000u + (((uint32_t)getpid() & 255u) << 8) + last))
			return;
	ck_abort_msg("no address of 127.75.0.0/16 has the ports of the messages free");
}

static void sender_close(struct sender *sender)
{
	for (size_t i = 0; i < VIA_PORTS; i++)
		close(sender->udp[i]);
	if (sender->tcp >= 0)
		close(sender->tcp);
}

static void sender_send(struct sender *sender, bool by_tcp, const char *bytes, size_t size)
{
	struct sockaddr_in to = agent_address();

	if (!by_tcp) {
		ck_assert_int_eq(sendto(sender->udp[0], bytes, size, 0, (struct sockaddr *)&to, sizeof to), (ssize_t)size);
		return;
	}
	if (sender->tcp < 0) {
		sender->tcp = socket(AF_INET, SOCK_STREAM, 0);
		ck_assert_int_eq(connect(sender->tcp, (struct sockaddr *)&to, sizeof to), 0);
	}
	(void)send(sender->tcp, bytes, size, MSG_NOSIGNAL); /* refused: there will be no answer */
}

static bool sender_receive(struct sender *sender, char *ret_text, size_t size)
{
	ssize_t got = sender->tcp >= 0 ? recv(sender->tcp, ret_text, size - 1, MSG_DONTWAIT) : -1;

	for (size_t i = 0; i < VIA_PORTS && got <= 0; i++)
		got = recv(sender->udp[i], ret_text, size - 1, 0);
	if (got <= 0)
		return false;
	ret_text[got] = '\0';
	return true;
}

static bool called;

static int take_call(void *dialog, const struct core_incoming *incoming)
{
	(void)dialog, (void)incoming;
	called = true;
	return PBX_ENOSPC; /* it is refused with 503 as by a PBX that is full */
}

/* What comes back before the answer to a request that is sent behind it: a status, "call" when call control was asked, or "none". */
static void answer_to(const char *file, bool by_tcp, char ret_answer[16])
{
	static const char probe[] =
		"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKprobe;rport\r\n"
		"From: <sip:x@y>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
	static char bytes[65536], text[65536];
	struct sender sender;
	uint64_t end_us = core_now_us() + 30000000;

	sender_open(&sender);
	called = false;
	(void)snprintf(ret_answer, 16, "none");
	sender_send(&sender, by_tcp, bytes, load(file, bytes, sizeof bytes));
	sender_send(&sender, by_tcp, probe, sizeof probe - 1);
	for (bool over = false; !over;) {
		core_loop_step();
		if (core_now_us() >= end_us) {
			(void)snprintf(ret_answer, 16, "deaf"); /* not even what came after it was answered */
			over = true;
		}
		if (!sender_receive(&sender, text, sizeof text))
			continue;
		over = strstr(text, "Call-ID: probe") != NULL;
		if (!strstr(text, "SIP/2.0 100") && (!over || by_tcp) && strncmp(text, "SIP/2.0 ", 8) == 0 &&
		    strcmp(ret_answer, "none") == 0) {
			(void)snprintf(ret_answer, 16, "%.3s", text + 8);
			over = over || by_tcp;
		}
	}
	if (called)
		(void)snprintf(ret_answer, 16, "call");
	sender_close(&sender);
	core_loop_step();
}

START_TEST(each_message_of_the_documents_gets_the_answer_they_ask_for)
{
	char path[600], line[400];
	unsigned rows = 0, wrong = 0;

	rig_core.incoming = take_call;
	(void)snprintf(path, sizeof path, "%s/answers", folder);
	FILE *table = fopen(path, "r");
	ck_assert_ptr_nonnull(table);
	while (fgets(line, sizeof line, table)) {
		char name[80], transport[8], wanted[16], got[16], file[100];

		if (line[0] == '#' || sscanf(line, "%79s %7s %15s", name, transport, wanted) != 3)
			continue;
		(void)snprintf(file, sizeof file, "%s.msg", name);
		answer_to(file, strcmp(transport, "tcp") == 0, got);
		rows++;
		if (strcmp(got, wanted) != 0) {
			(void)fprintf(stderr, "%s by %s: %s instead of %s\n", name, transport, got, wanted);
			wrong++;
		}
	}
	(void)fclose(table);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(rows, 61);
	ck_assert_uint_eq(rig_dialogs(), 0);
}
END_TEST

/* ---- survival ------------------------------------------------------------------------- */

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

/* The bytes that the agent takes before it has closed the connection, at most so many. */
static size_t taken_over_tcp(const char *head, size_t filler_bytes)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(rig->port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char filler[16384];
	size_t taken = 0;

	memset(filler, 'x', sizeof filler);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	(void)send(fd, head, strlen(head), MSG_NOSIGNAL);
	for (unsigned idle = 0; taken < filler_bytes && idle < 200; idle++) {
		ssize_t sent = send(fd, filler, sizeof filler, MSG_NOSIGNAL | MSG_DONTWAIT);
		core_loop_step();
		if (sent < 0 && errno != EAGAIN)
			break;
		if (sent > 0) {
			taken += (size_t)sent;
			idle = 0;
		}
	}
	close(fd);
	core_loop_step();
	return taken;
}

#define FIRST                                                                                                                              \
	"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bK-first\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:x@y>\r\n" \
	"Call-ID: first\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
#define SECOND                                                                                                                             \
	"MESSAGE sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bK-second\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:x@y>\r\n"      \
	"Call-ID: second\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n"

/* Sofia's limit holds for the first message of a connection alone; a length near 2^32 behind it ended the process. */
START_TEST(the_second_message_in_a_segment_is_limited_as_the_first)
{
	static const char *const lengths[] = { "4294967295", "4294967294", "4294966000", "2147483648", "2147483647", "100000000", "65537" };
	char text[1024];

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		int length = snprintf(text, sizeof text, FIRST SECOND "Content-Length: %s\r\n\r\nhello", lengths[i]);
		send_over_tcp(text, (size_t)length);
		expect_alive();
		ck_assert_uint_lt(taken_over_tcp(text, 16u << 20), 12u << 20); /* what the kernel buffers, and a little */
	}
	ck_assert_uint_lt(taken_over_tcp(SECOND "X: ", 16u << 20), 12u << 20);
	ck_assert_uint_lt(taken_over_tcp(FIRST SECOND "X: ", 16u << 20), 12u << 20);
	expect_alive();
}
END_TEST

/* What is lost on the way is found by the sanitizer. */
START_TEST(more_than_a_message_may_hold_behind_a_body_is_not_kept)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(rig->port) };
	static const char begun[] = SECOND "Content-Length: 400\r\n\r\nhello";
	static char rest[300000];

	for (unsigned i = 0; i < 10; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
		(void)send(fd, begun, strlen(begun), MSG_NOSIGNAL);
		for (unsigned j = 0; j < 3; j++)
			core_loop_step();
		(void)send(fd, rest, sizeof rest, MSG_NOSIGNAL | MSG_DONTWAIT); /* all that the kernel takes at once */
		for (unsigned j = 0; j < 3; j++)
			core_loop_step();
		close(fd);
		core_loop_step();
	}
	expect_alive();
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

	(void)snprintf(folder, sizeof folder, "%s", argc > 1 ? argv[1] : "tests/torture");
	tcase_set_timeout(cases, 60);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, each_message_of_the_documents_gets_the_answer_they_ask_for);
	tcase_add_test(cases, every_message_of_the_torture_set_is_survived);
	tcase_add_test(cases, so_is_it_over_tcp);
	tcase_add_test(cases, the_second_message_in_a_segment_is_limited_as_the_first);
	tcase_add_test(cases, more_than_a_message_may_hold_behind_a_body_is_not_kept);
	tcase_add_test(cases, cut_anywhere_they_are_survived);
	tcase_add_test(cases, changed_at_random_they_are_survived);
	suite_add_tcase(suite, cases);

	return check_run(suite);
}
