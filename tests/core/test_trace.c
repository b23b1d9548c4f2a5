/* tests/core/test_trace.c - the ring keeps what came last, whole and in order; secrets do not get in; what a message says is read */
#include <stdio.h>
#include <string.h>
#include "../check_main.h"
#include "loop.h"
#include "trace.h"
#include "trace_rung.h"

static const struct core_addr here = { .in4 = { .sin_family = AF_INET, .sin_port = 0xc413 } };

static void capture(bool sent, const char *text)
{
	size_t half = strlen(text) / 2;
	const struct iovec parts[] = { { (void *)(uintptr_t)text, half }, { (void *)(uintptr_t)(text + half), strlen(text) - half } };

	core_trace_capture(sent, "udp", &here, &here, parts, 2);
}

static void message(char *to, size_t size, const char *call_id, unsigned number, int padding)
{
	(void)snprintf(to, size, "INVITE sip:1002@pbx.test SIP/2.0\r\nCall-ID: %s\r\nCSeq: %u INVITE\r\nSubject: %*s\r\n\r\n", call_id,
		       number, padding, "x");
}

static void start(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	ck_assert_int_eq(core_trace_init(512 * 1024), PBX_OK);
}

static void stop(void)
{
	core_trace_fini();
	core_loop_fini();
}

struct seen {
	unsigned count, last;
};

static void see(void *context, const struct core_trace_message *trace)
{
	struct seen *seen = context;
	struct core_sip_text text;

	core_sip_text_read(trace->text, trace->size, &text);
	ck_assert_str_eq(text.call_id, "mine@pbx");
	ck_assert_uint_gt(text.cseq, seen->last);
	seen->last = text.cseq;
	seen->count++;
}

START_TEST(what_came_before_the_call_was_known_is_the_calls)
{
	struct seen seen = { 0 };
	char text[400];

	start();
	for (unsigned i = 1; i <= 6; i++) {
		message(text, sizeof text, i % 2 ? "mine@pbx" : "other@pbx", i, 10);
		capture(false, text);
	}
	core_trace_bind("mine@pbx", "01HCALL");
	ck_assert_uint_eq(core_trace_call("01HCALL", see, &seen), 3);
	ck_assert_uint_eq(seen.last, 5);
	core_trace_forget("01HCALL");
	ck_assert_uint_eq(core_trace_call("01HCALL", see, &seen), 0);
	stop();
}
END_TEST

START_TEST(the_ring_forgets_the_oldest_and_nothing_else)
{
	static char text[9000];
	struct core_trace_message trace;
	struct core_sip_text read;
	struct core_trace_stats stats;
	unsigned expected = 0;

	start();
	for (unsigned i = 1; i <= 5000; i++) {
		message(text, sizeof text, i % 7 ? "other@pbx" : "mine@pbx", i, (int)(i * 37 % 8000) + 1);
		capture(i % 2, text);
	}
	core_trace_stats(&stats);
	ck_assert_uint_eq(stats.messages, 5000);
	ck_assert_uint_le(stats.used_bytes, stats.ring_bytes);
	for (uint64_t cursor = 0; core_trace_next(&cursor, &trace);) {
		core_sip_text_read(trace.text, trace.size, &read);
		if (expected)
			ck_assert_uint_eq(read.cseq, expected);
		message(text, sizeof text, read.call_id, read.cseq, (int)(read.cseq * 37 % 8000) + 1);
		ck_assert_uint_eq(trace.size, strlen(text));
		ck_assert_mem_eq(trace.text, text, trace.size);
		expected = read.cseq + 1;
	}
	ck_assert_uint_eq(expected, 5001);
	core_trace_bind("mine@pbx", "01HCALL");
	struct seen seen = { 0 };
	ck_assert_uint_eq(core_trace_call("01HCALL", see, &seen), seen.count);
	ck_assert_uint_gt(seen.count, 5);
	ck_assert_uint_eq(seen.last, 4998);
	stop();
}
END_TEST

START_TEST(a_message_that_comes_again_is_known)
{
	struct core_trace_message trace;
	bool repeats[3];
	uint64_t cursor = 0;
	char text[300];

	start();
	message(text, sizeof text, "a", 1, 1);
	capture(false, text);
	capture(true, text); /* the other way is no repetition */
	capture(false, text);
	for (int i = 0; i < 3; i++) {
		ck_assert(core_trace_next(&cursor, &trace));
		repeats[i] = core_trace_is_repeat(&trace);
	}
	ck_assert(!repeats[0] && !repeats[1] && repeats[2]);
	stop();
}
END_TEST

static const struct {
	const char *given, *kept;
} secrets[] = {
	{ "REGISTER sip:a SIP/2.0\r\nAuthorization: Digest username=\"1001\", response=\"0123abc\", cnonce=\"zz\", nc=1\r\n\r\n",
	  "REGISTER sip:a SIP/2.0\r\nAuthorization: Digest username=\"1001\", response=\"xxxxxxx\", cnonce=\"xx\", nc=1\r\n\r\n" },
	{ "INVITE sip:a SIP/2.0\r\nproxy-authorization:Digest cnonce=12,response=ab, uri=\"response\"\r\n\r\n",
	  "INVITE sip:a SIP/2.0\r\nproxy-authorization:Digest cnonce=xx,response=xx, uri=\"response\"\r\n\r\n" },
	{ "INVITE sip:a SIP/2.0\r\nSubject: response=\"mine\"\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 "
	  "inline:c2VjcmV0|2^20\r\nk=clear:abc\r\n",
	  "INVITE sip:a SIP/2.0\r\nSubject: response=\"mine\"\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 "
	  "inline:xxxxxxxx|2^20\r\nk=xxxxxxxxx\r\n" },
	{ "INFO sip:a SIP/2.0\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=5\r\nDuration=160\r\n",
	  "INFO sip:a SIP/2.0\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=x\r\nDuration=160\r\n" },
	{ "INFO sip:a SIP/2.0\r\nContent-Type: application/dtmf\r\n\r\n5\r\n",
	  "INFO sip:a SIP/2.0\r\nContent-Type: application/dtmf\r\n\r\nx\r\n" },
};

START_TEST(secrets_are_masked)
{
	struct core_trace_message trace;
	uint64_t cursor = 0;

	start();
	for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
		capture(false, secrets[i].given);
		ck_assert(core_trace_next(&cursor, &trace));
		ck_assert_uint_eq(trace.size, strlen(secrets[i].kept));
		ck_assert_msg(memcmp(trace.text, secrets[i].kept, trace.size) == 0, "%.*s", (int)trace.size, trace.text);
	}
	stop();
}
END_TEST

START_TEST(a_message_is_read)
{
	static const char text[] = "SIP/2.0 183 Session Progress\r\nf: \"A <b>\" <sip:1001@pbx.test;user=phone>;tag=abc\r\nTo: "
				   "<tel:+4930123>;tag=x;y=z\r\ni: id@host\r\n"
				   "CSeq: 7 INVITE\r\nServer: Phone 1.0\r\nReason: Q.850;cause=16\r\n\r\nv=0\r\nc=IN IP4 "
				   "192.0.2.1\r\nm=audio 4000 RTP/SAVP 0 97 101\r\n"
				   "c=IN IP4 192.0.2.2/127\r\na=rtpmap:97 opus/48000/2\r\na=rtpmap:101 "
				   "telephone-event/8000\r\na=sendonly\r\nm=video 0 RTP/AVP 31\r\na=inactive\r\n";
	struct core_sip_text read;

	core_sip_text_read(text, sizeof text - 1, &read);
	ck_assert_uint_eq(read.status, 183);
	ck_assert_str_eq(read.phrase, "Session Progress");
	ck_assert_str_eq(read.method, "INVITE");
	ck_assert_uint_eq(read.cseq, 7);
	ck_assert_str_eq(read.from_user, "1001");
	ck_assert_str_eq(read.from_host, "pbx.test");
	ck_assert_str_eq(read.from_tag, "abc");
	ck_assert_str_eq(read.to_user, "+4930123");
	ck_assert_str_eq(read.to_tag, "x");
	ck_assert_str_eq(read.call_id, "id@host");
	ck_assert_str_eq(read.agent, "Phone 1.0");
	ck_assert_str_eq(read.sdp.address, "192.0.2.2");
	ck_assert_uint_eq(read.sdp.port, 4000);
	ck_assert_str_eq(read.sdp.codecs, "PCMU opus");
	ck_assert_str_eq(read.sdp.direction, "sendonly");
	ck_assert(read.sdp.secure);
}
END_TEST

START_TEST(half_a_message_is_read_as_far_as_it_goes)
{
	static const char text[] = "INVITE sip:1002@pbx.test;x=y SIP/2.0\r\nFrom: <sip:1001@pbx.test>;tag=abc\r\nCSeq: 7 "
				   "INVITE\r\n\r\nv=0\r\nc=IN IP4 192.0.2.1\r\n"
				   "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
	struct core_sip_text read;

	for (uint32_t size = 0; size < sizeof text; size++) {
		char *exact = malloc(size + 1); /* the sanitizer sees a byte too far */
		ck_assert_ptr_nonnull(exact);
		memcpy(exact, text, size);
		char *fitting = realloc(exact, size ? size : 1);
		core_sip_text_read(fitting, size, &read);
		free(fitting);
	}
	ck_assert_uint_eq(read.sdp.port, 4000);
}
END_TEST

START_TEST(private_addresses_are_told_from_others)
{
	static const struct {
		const char *address;
		bool is_private;
	} cases[] = { { "10.1.2.3", true },   { "172.31.0.1", true },   { "172.32.0.1", false }, { "192.168.1.1", true },
		      { "100.64.0.1", true }, { "100.128.0.1", false }, { "127.0.0.1", false },  { "192.0.2.1", false },
		      { "fd00::1", true },    { "2001:db8::1", false }, { "pbx.test", false } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_msg(core_address_is_private(cases[i].address) == cases[i].is_private, "%s", cases[i].address);
}
END_TEST

CHECK_MAIN("trace", what_came_before_the_call_was_known_is_the_calls, the_ring_forgets_the_oldest_and_nothing_else,
	   a_message_that_comes_again_is_known, secrets_are_masked, a_message_is_read, half_a_message_is_read_as_far_as_it_goes,
	   private_addresses_are_told_from_others)
