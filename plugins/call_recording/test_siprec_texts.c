/* call_recording/test_siprec_texts.c - what a recorder elsewhere is told (SDP, metadata), and what is made of its answers */
#include "../../tests/check_main.h"
#include "metadata.h"
#include "session_sdp.h"
#include <check.h>
#include <libxml/parser.h>
#include <pbx/abi.h>
#include <stdlib.h>
#include <string.h>

/* ---- metadata ---- */

static struct metadata_party alice = { .aor = "sip:1001@pbx.test", .name = "Alice", .stream = 0, .since_us = 1700000000123456 },
			     bob = { .aor = "sip:1002@pbx.test", .name = "", .stream = 1, .since_us = 1700000000123456 };

static struct metadata conversation(void)
{
	struct metadata metadata = { .is_complete = true,
				     .call_ids = { "one@host", "" },
				     .since_us = 1700000000123456,
				     .parties = { &alice, &bob },
				     .party_count = 2 };

	metadata_id_of_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAV", metadata.group_id);
	metadata_id(metadata.session_id);
	metadata_id(metadata.stream_id[0]);
	metadata_id(metadata.stream_id[1]);
	metadata_id(alice.participant_id);
	metadata_id(bob.participant_id);
	return metadata;
}

/* Owned; fails the test when it cannot be read again. */
static char *written(const struct metadata *metadata)
{
	char *text = metadata_write(metadata);

	ck_assert_ptr_nonnull(text);
	xmlDoc *document = xmlReadMemory(text, (int)strlen(text), NULL, NULL, XML_PARSE_NOERROR | XML_PARSE_NOWARNING);

	ck_assert_msg(document != NULL, "%s", text);
	xmlFreeDoc(document);
	return text;
}

static uint32_t times(const char *text, const char *what)
{
	uint32_t count = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		count++;
	return count;
}

START_TEST(ids_are_sixteen_octets_in_base64_and_a_ulid_keeps_its_own)
{
	char one[METADATA_ID_SIZE], other[METADATA_ID_SIZE];

	metadata_id(one);
	metadata_id(other);
	ck_assert_str_ne(one, other);
	ck_assert_uint_eq(strlen(one), 24);
	metadata_id_of_ulid("00000000000000000000000001", one);
	ck_assert_str_eq(one, "AAAAAAAAAAAAAAAAAAAAAQ==");
	metadata_id_of_ulid("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", one);
	ck_assert_str_eq(one, "/////////////////////w==");
}
END_TEST

START_TEST(a_complete_snapshot_has_everything)
{
	struct metadata metadata = conversation();
	char *text = written(&metadata), send[64];

	ck_assert_ptr_nonnull(strstr(text, "<datamode>complete</datamode>"));
	ck_assert_ptr_nonnull(strstr(text, "</start-time><call-id xmlns=\"urn:x-warden-pbx:recording\">one@host</call-id></session>"));
	ck_assert_uint_eq(times(text, "<call-id "), 1);
	ck_assert_uint_eq(times(text, "sipSessionID"), 0);
	ck_assert_uint_eq(times(text, "<participant "), 2);
	ck_assert_ptr_nonnull(strstr(text, "aor=\"sip:1001@pbx.test\"><name>Alice</name>"));
	ck_assert_ptr_nonnull(strstr(text, "<label>1</label>"));
	ck_assert_ptr_nonnull(strstr(text, "<label>2</label>"));
	(void)snprintf(send, sizeof send, "<send>%s</send>", metadata.stream_id[1]);
	ck_assert_uint_eq(times(text, send), 1);
	ck_assert_uint_eq(times(text, "<associate-time>2023-11-14T22:13:20.123Z</associate-time>"), 6);
	ck_assert_uint_eq(times(text, "disassociate-time"), 0);
	free(text);
}
END_TEST

START_TEST(a_partial_one_names_who_came_and_who_went)
{
	struct metadata metadata = conversation();

	metadata.is_complete = false;
	bob.until_us = 1700000010000000;
	char *text = written(&metadata);

	ck_assert_ptr_nonnull(strstr(text, "<datamode>partial</datamode>"));
	ck_assert_uint_eq(times(text, "<group"), 0);
	ck_assert_uint_eq(times(text, "<participant "), 1);
	ck_assert_uint_eq(times(text, "<disassociate-time>2023-11-14T22:13:30.000Z</disassociate-time>"), 2);
	bob.until_us = 0;
	free(text);
}
END_TEST

START_TEST(names_of_any_octets_are_written)
{
	static const char *const names[] = { "Ren\xC3\xA9 <&\"'>",
					     "\xF0\x9F\x98\x80",
					     "a\x01\x1F\x7F",
					     "\xFF\xC0\x80\xE0\x80\x80",
					     "\xED\xA0\x80 \xEF\xBF\xBF",
					     "\xC3",
					     "" };
	struct metadata metadata = conversation();

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		(void)snprintf(alice.name, sizeof alice.name, "%s", names[i]);
		free(written(&metadata));
	}
	(void)snprintf(alice.name, sizeof alice.name, "\xC0\x80z");
	char *text = written(&metadata);

	ck_assert_ptr_nonnull(strstr(text, "<name>??z</name>"));
	free(text);
	(void)snprintf(alice.name, sizeof alice.name, "Alice");
}
END_TEST

/* ---- SDP ---- */

static const struct pbx_fork_codec codecs[] = {
	{ .name = "opus", .fmtp = "useinbandfec=1", .clock_hz = 48000, .channels = 2, .payload_type = 111 },
	{ .name = "PCMU", .fmtp = "", .clock_hz = 8000, .channels = 1, .payload_type = 0 },
	{ .name = "telephone-event", .fmtp = "0-15", .clock_hz = 8000, .channels = 1, .payload_type = 101 },
};

static struct session_line line_of(const char *crypto, const char *label)
{
	const struct pbx_fork_local local = { .size = sizeof local,
					      .rtp_port = 12000,
					      .rtcp_port = 12001,
					      .ptime_ms = 20,
					      .address = "192.0.2.1",
					      .codecs = codecs,
					      .codec_count = 3,
					      .crypto = crypto };
	struct session_line line;

	session_line_set(&line, &local, label);
	return line;
}

START_TEST(an_offer_has_a_labelled_line_for_each_party)
{
	struct session_line lines[2] = { line_of(NULL, "1"), { .text = "" } };
	const struct session_line *const both[] = { &lines[0], &lines[1] };
	const bool sends[] = { true, false };
	char text[SESSION_SDP_SIZE];

	session_sdp_write(7, 3, both, sends, text);
	ck_assert_str_eq(text, "v=0\r\no=- 7 3 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
			       "m=audio 12000 RTP/AVP 111 0 101\r\nc=IN IP4 192.0.2.1\r\n"
			       "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n"
			       "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=label:1\r\na=sendonly\r\n"
			       "m=audio 0 RTP/AVP 0\r\na=label:2\r\na=inactive\r\n");
	lines[1] = line_of("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "2");
	session_sdp_write(7, 4, both, sends, text);
	ck_assert_ptr_nonnull(strstr(text, "m=audio 12000 RTP/SAVP 111 0 101\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\na=label:2\r\na=inactive\r\n"));
}
END_TEST

START_TEST(codecs_that_find_no_room_are_left_out)
{
	static char long_fmtp[] = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
	struct pbx_fork_codec many[60];
	struct pbx_fork_local local = { .size = sizeof local, .rtp_port = 1, .address = "2001:db8::1", .codecs = many, .codec_count = 60 };
	struct session_line line;

	for (uint32_t i = 0; i < 60; i++)
		many[i] = (struct pbx_fork_codec){
			.name = "opus", .fmtp = long_fmtp, .clock_hz = 48000, .channels = 2, .payload_type = 60 + i
		};
	session_line_set(&line, &local, "1");
	ck_assert_ptr_nonnull(strstr(line.text, "c=IN IP6 2001:db8::1\r\n"));
	ck_assert_ptr_nonnull(strstr(line.text, "a=label:1\r\n"));
	uint32_t maps = times(line.text, "a=rtpmap:");

	ck_assert_uint_gt(maps, 5);
	ck_assert_uint_eq(times(line.text, "a=fmtp:"), maps);
}
END_TEST

#define HEAD "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
#define KEY "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n"

static struct session_wish wishes[2];
static const char *why;

static int read_text(const char *text, bool is_encrypted)
{
	return session_sdp_read(text, strlen(text), is_encrypted, wishes, &why);
}

START_TEST(an_answer_says_where_each_stream_goes)
{
	struct session_line line = line_of(NULL, "1");

	ck_assert_int_eq(
		read_text(HEAD
			  "m=audio 4000 RTP/AVP 0 101\r\na=recvonly\r\nm=audio 4010 RTP/AVP 0\r\nc=IN IP6 2001:db8::9\r\na=rtcp:4999\r\n",
			  false),
		PBX_OK);
	ck_assert(wishes[0].is_wanted && wishes[1].is_wanted);
	ck_assert_str_eq(wishes[0].address, "192.0.2.9");
	ck_assert_str_eq(wishes[1].address, "2001:db8::9");
	ck_assert_uint_eq(wishes[0].rtp_port, 4000);
	ck_assert_uint_eq(wishes[0].rtcp_port, 0);
	ck_assert_uint_eq(wishes[1].rtcp_port, 4999);
	ck_assert(session_wish_fits(&wishes[0], &line));
	ck_assert_int_eq(read_text(HEAD "m=audio 4000 RTP/AVP 8 101\nm=audio 4010 RTP/AVP 0\n", false), PBX_OK); /* line ends of old */
	ck_assert(!session_wish_fits(&wishes[0], &line)); /* keys alone are no voice */
	ck_assert(session_wish_fits(&wishes[1], &line));
}
END_TEST

START_TEST(a_stream_may_not_be_wanted)
{
	ck_assert_int_eq(read_text(HEAD "m=audio 0 RTP/AVP 0\r\nm=audio 4010 RTP/AVP 0\r\na=inactive\r\n", false), PBX_OK);
	ck_assert(!wishes[0].is_wanted && !wishes[1].is_wanted);
	ck_assert_int_eq(read_text(HEAD "a=sendonly\r\nm=audio 4000 RTP/AVP 0\r\nm=audio 4010 RTP/AVP 0\r\na=recvonly\r\n", false), PBX_OK);
	ck_assert(!wishes[0].is_wanted && wishes[1].is_wanted);
	ck_assert_int_eq(read_text("v=0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4010 RTP/AVP 0\r\n", false), PBX_OK);
	ck_assert(!wishes[0].is_wanted && !wishes[1].is_wanted); /* nowhere, and not said where */
}
END_TEST

START_TEST(what_is_no_answer_is_refused_with_a_reason)
{
	static const char *const texts[] = {
		"",
		HEAD "m=audio 4000 RTP/AVP 0\r\n",
		HEAD "m=video 4000 RTP/AVP 0\r\nm=audio 4010 RTP/AVP 0\r\n",
		HEAD "m=audio 70000 RTP/AVP 0\r\nm=audio 4010 RTP/AVP 0\r\n",
		HEAD "m=audio -1 RTP/AVP 0\r\nm=audio 4010 RTP/AVP 0\r\n",
		HEAD "m=audio 4000 RTP/SAVP 0\r\nm=audio 4010 RTP/AVP 0\r\n",
		HEAD "m=audio 4000\r\nm=audio 4010 RTP/AVP 0\r\n",
		HEAD "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 recorder.example\r\nm=audio 4010 RTP/AVP 0\r\n",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		ck_assert_msg(read_text(texts[i], false) == PBX_EINVAL, "%s", texts[i]);
		ck_assert_ptr_nonnull(why);
	}
	ck_assert_int_eq(session_sdp_read("v=0\0m=audio", 11, false, wishes, &why), PBX_EINVAL);
}
END_TEST

START_TEST(with_encryption_a_key_of_the_same_kind_comes_back)
{
	ck_assert_int_eq(read_text(HEAD "m=audio 4000 RTP/SAVP 0\r\n" KEY "m=audio 4010 RTP/SAVP 0\r\n" KEY, true), PBX_OK);
	ck_assert_int_eq(read_text(HEAD "m=audio 4000 RTP/SAVP 0\r\n" KEY "m=audio 4010 RTP/SAVP 0\r\n", true), PBX_EINVAL);
	ck_assert_int_eq(read_text(HEAD "m=audio 4000 RTP/AVP 0\r\n" KEY "m=audio 4010 RTP/AVP 0\r\n" KEY, true), PBX_EINVAL);
	ck_assert_int_eq(
		read_text(HEAD "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:A\r\nm=audio 0 RTP/SAVP 0\r\n", true),
		PBX_EINVAL);
	ck_assert_int_eq(read_text(HEAD "m=audio 4000 RTP/SAVP 0\r\n" KEY "m=audio 0 RTP/SAVP 0\r\n", true), PBX_OK);
}
END_TEST

CHECK_MAIN("call_recording_siprec_texts", ids_are_sixteen_octets_in_base64_and_a_ulid_keeps_its_own, a_complete_snapshot_has_everything,
	   a_partial_one_names_who_came_and_who_went, names_of_any_octets_are_written, an_offer_has_a_labelled_line_for_each_party,
	   codecs_that_find_no_room_are_left_out, an_answer_says_where_each_stream_goes, a_stream_may_not_be_wanted,
	   what_is_no_answer_is_refused_with_a_reason, with_encryption_a_key_of_the_same_kind_comes_back)
