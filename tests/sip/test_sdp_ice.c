/* tests/sip/test_sdp_ice.c - lines of ICE and DTLS, alone and in a browser's offer */
#include "../check_main.h"
#include <arpa/inet.h>
#include <pbx/abi.h>
#include <sdp.h>
#include <sdp_ice.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *what, *value;
	bool good;
	uint8_t kind, component;
} candidates[] = {
	{ "host", "1 1 UDP 2130706431 203.0.113.141 8998 typ host", true, CORE_CANDIDATE_HOST, 1 },
	{ "server reflexive", "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998", true,
	  CORE_CANDIDATE_SERVER_REFLEXIVE, 1 },
	{ "relayed, for RTCP, with extensions", "3 2 udp 16777215 198.51.100.9 5000 typ relay raddr 0.0.0.0 rport 0 generation 0 ufrag x",
	  true, CORE_CANDIDATE_RELAYED, 2 },
	{ "IPv6", "4 1 udp 1 2001:db8::7 4000 typ prflx", true, CORE_CANDIDATE_PEER_REFLEXIVE, 1 },
	{ "a name of multicast DNS", "1 1 udp 2113937151 4f2a.local 50000 typ host", false, 0, 0 },
	{ "TCP, who will come by itself", "1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active", false, 0, 0 },
	{ "TCP, who waits for us in vain", "1 1 TCP 1518280447 192.0.2.1 4000 typ host tcptype passive", false, 0, 0 },
	{ "TCP, simultaneously", "1 1 tcp 1518280447 2001:db8::7 4000 typ srflx raddr :: rport 9 tcptype so", false, 0, 0 },
	{ "a third component", "1 3 udp 1 192.0.2.1 4000 typ host", false, 0, 0 },
	{ "port 0", "1 1 udp 1 192.0.2.1 0 typ host", false, 0, 0 },
	{ "an unknown kind", "1 1 udp 1 192.0.2.1 4000 typ moon", false, 0, 0 },
	{ "cut short", "1 1 udp 1 192.0.2.1", false, 0, 0 },
	{ "nothing", "", false, 0, 0 },
};

START_TEST(candidates_are_read_or_passed_over)
{
	struct core_candidate candidate;

	for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
		ck_assert_msg(ua_sdp_candidate_read(candidates[i].value, &candidate) == candidates[i].good, "%s", candidates[i].what);
		if (!candidates[i].good)
			continue;
		ck_assert_msg(candidate.kind == candidates[i].kind && candidate.component == candidates[i].component, "%s",
			      candidates[i].what);
	}
}
END_TEST

START_TEST(what_is_written_is_read_again)
{
	struct core_candidate candidate, again;
	char text[UA_SDP_CANDIDATE_SIZE];

	for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
		if (!candidates[i].good)
			continue;
		ck_assert(ua_sdp_candidate_read(candidates[i].value, &candidate));
		ua_sdp_candidate_write(&candidate, text);
		ck_assert_msg(ua_sdp_candidate_read(text, &again), "%s", text);
		ck_assert_mem_eq(&candidate, &again, sizeof candidate);
	}
}
END_TEST

START_TEST(a_door_of_ours_is_written_as_passive)
{
	struct core_candidate host = { .addr = { .in4 = { .sin_family = AF_INET, .sin_port = htons(443) }, .transport = CORE_BY_TCP },
				       .priority = 1518280447,
				       .component = 1,
				       .kind = CORE_CANDIDATE_HOST };
	struct core_candidate by_udp = host;
	char text[UA_SDP_CANDIDATE_SIZE], other[UA_SDP_CANDIDATE_SIZE];
	unsigned foundation, other_foundation;

	ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.1", &host.addr.in4.sin_addr), 1);
	ua_sdp_candidate_write(&host, text);
	ck_assert_str_eq(strchr(text, ' '), " 1 tcp 1518280447 192.0.2.1 443 typ host tcptype passive");
	by_udp.addr = host.addr;
	by_udp.addr.transport = CORE_BY_UDP;
	ua_sdp_candidate_write(&by_udp, other);
	ck_assert_int_eq(sscanf(text, "%u", &foundation) + sscanf(other, "%u", &other_foundation), 2);
	ck_assert_uint_ne(foundation, other_foundation); /* RFC 8445 5.1.1.3: another transport */

	host.kind = CORE_CANDIDATE_SERVER_REFLEXIVE;
	host.addr = (struct core_addr){ .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(65535) }, .transport = CORE_BY_TCP };
	ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8:1111:2222:3333:4444:5555:6666", &host.addr.in6.sin6_addr), 1);
	host.priority = UINT32_MAX;
	ua_sdp_candidate_write(&host, text);
	ck_assert_str_eq(strchr(text, ' '),
			 " 1 tcp 4294967295 2001:db8:1111:2222:3333:4444:5555:6666 65535 typ srflx raddr :: rport 9 tcptype passive");
}
END_TEST

#define HASH32 "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:fF"

START_TEST(fingerprints_that_prove_something_are_read)
{
	struct core_dtls dtls = { 0 };
	char text[UA_SDP_FINGERPRINT_SIZE];

	ck_assert(ua_sdp_fingerprint_read("SHA-256 " HASH32, &dtls));
	ck_assert_uint_eq(dtls.hash, CORE_HASH_SHA256);
	ck_assert(dtls.fingerprint[1] == 1 && dtls.fingerprint[31] == 0xff && dtls.fingerprint[32] == 0);
	ua_sdp_fingerprint_write(&dtls, text);
	ck_assert_str_eq(text, "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:FF");
	ck_assert(!ua_sdp_fingerprint_read("sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13", &dtls));
	ck_assert(!ua_sdp_fingerprint_read("sha-256 " HASH32 ":20", &dtls));
	ck_assert(!ua_sdp_fingerprint_read("sha-256 00:01", &dtls));
	ck_assert(!ua_sdp_fingerprint_read("sha-256", &dtls));
	ck_assert(!ua_sdp_fingerprint_read("", &dtls));
}
END_TEST

#define UFRAG "a=ice-ufrag:EsAw\r\n"
#define PWD "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
#define WEB                                                                                                                                \
	"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic: WMS x\r\n"                              \
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n" UFRAG PWD                                 \
	"a=ice-options:trickle\r\na=fingerprint:sha-1 00\r\na=fingerprint:sha-256 " HASH32 "\r\na=setup:actpass\r\na=mid:0\r\n"            \
	"a=candidate:1 1 udp 2113937151 192.0.2.9 50000 typ host\r\na=sendrecv\r\na=extmap:14 "                                            \
	"urn:ietf:params:rtp-hdrext:toffset\r\na=extmap:3 "                                                                                \
	"urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=msid:x y\r\na=rtcp-mux\r\na=rtpmap:111 "                                         \
	"opus/48000/2\r\n"                                                                                                                 \
	"a=ssrc:1 cname:z\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n"

START_TEST(a_browsers_offer_is_answered_in_its_own_way)
{
	struct core_media_desc desc;
	char body[UA_SDP_SIZE];
	struct ua_sdp sdp;

	ua_sdp_init(&sdp, 1);
	ck_assert_int_eq(ua_sdp_read(&sdp, WEB, sizeof WEB - 1, false, &desc), PBX_OK);
	ck_assert(desc.present && desc.tls && desc.feedback && desc.secure && desc.rtcp_mux);
	ck_assert_uint_eq(desc.direction, CORE_SEND | CORE_RECV); /* 0.0.0.0 is no hold where ICE looks */
	ck_assert_str_eq(desc.ice.name.ufrag, "EsAw");
	ck_assert_uint_eq(desc.level_id, 3);
	ck_assert(desc.ice.trickle && !desc.ice.lite && desc.ice.candidate_count == 1);
	ck_assert(desc.dtls.hash == CORE_HASH_SHA256 && desc.dtls.setup == CORE_SETUP_ACTPASS);

	desc.rtp = desc.ice.candidates[0].addr;
	desc.dtls.setup = CORE_SETUP_ACTIVE;
	desc.ice.lite = true;
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	static const char *const lines[] = { "a=group:BUNDLE 0\r\n",
					     "a=ice-lite\r\n",
					     "m=audio 50000 UDP/TLS/RTP/SAVPF 111 0 8\r\n",
					     "a=mid:0\r\n",
					     "a=setup:active\r\n",
					     UFRAG,
					     PWD,
					     "a=end-of-candidates\r\n",
					     "a=rtcp-mux\r\n",
					     "a=extmap:3 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n",
					     "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n" };

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		ck_assert_msg(strstr(body, lines[i]), "%s in %s", lines[i], body);
}
END_TEST

START_TEST(a_level_is_agreed_on_by_its_name_and_a_number_that_fits)
{
	static const struct {
		const char *line;
		uint8_t id;
	} cases[] = { { "1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", 1 },
		      { "14 urn:ietf:params:rtp-hdrext:ssrc-audio-level vad=on", 14 },
		      { "2/sendrecv urn:ietf:params:rtp-hdrext:ssrc-audio-level", 2 },
		      { "2/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level", 0 },
		      { "15 urn:ietf:params:rtp-hdrext:ssrc-audio-level", 0 },
		      { "0 urn:ietf:params:rtp-hdrext:ssrc-audio-level", 0 },
		      { "4294967297 urn:ietf:params:rtp-hdrext:ssrc-audio-level", 0 },
		      { "-1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", 0 },
		      { "1 urn:ietf:params:rtp-hdrext:ssrc-audio-levels", 0 },
		      { "1 urn:ietf:params:rtp-hdrext:encrypt urn:ietf:params:rtp-hdrext:ssrc-audio-level", 0 },
		      { "1", 0 } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct core_media_desc desc;
		struct ua_sdp sdp;
		char body[400];
		int size = snprintf(body, sizeof body,
				    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
				    "m=audio 4000 RTP/AVP 0\r\na=extmap:9 urn:other\r\na=extmap:%s\r\n",
				    cases[i].line);

		ua_sdp_init(&sdp, 1);
		ck_assert_int_eq(ua_sdp_read(&sdp, body, (size_t)size, false, &desc), PBX_OK);
		ck_assert_msg(desc.level_id == cases[i].id, "%s: %u", cases[i].line, desc.level_id);
	}
}
END_TEST

START_TEST(our_offer_to_a_browser_is_one_that_it_takes)
{
	struct core_media_desc desc = { .present = true,
					.secure = true,
					.tls = true,
					.feedback = true,
					.rtp.in4 = { .sin_family = AF_INET, .sin_port = htons(4000) },
					.codec_count = 1,
					.codecs = { { .name = "PCMU", .clock_hz = 8000, .channels = 1 } },
					.dtls.hash = CORE_HASH_SHA256 };
	char body[UA_SDP_SIZE];
	struct ua_sdp sdp;

	ua_sdp_init(&sdp, 1);
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert(strstr(body, "m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n") && strstr(body, "a=group:BUNDLE 0\r\n") &&
		  strstr(body, "a=mid:0\r\n") && strstr(body, "a=setup:actpass\r\n"));
	ck_assert(!strstr(body, "ice")); /* it has none */
}
END_TEST

START_TEST(a_fragment_brings_candidates_for_audio)
{
	static const char fragment[] =
		UFRAG PWD "m=video 9 RTP/AVP 0\r\na=candidate:1 1 udp 5 192.0.2.8 1 typ host\r\nm=audio 9 RTP/AVP 0\r\n"
			  "a=mid:0\r\na=candidate:1 1 udp 5 192.0.2.9 1 typ host\r\na=end-of-candidates\r\n";
	struct core_ice more;

	ck_assert(ua_sdp_fragment_read(fragment, sizeof fragment - 1, &more));
	ck_assert_uint_eq(more.candidate_count, 1);
	ck_assert_uint_eq(more.candidates[0].addr.in4.sin_addr.s_addr, inet_addr("192.0.2.9"));
	ck_assert_str_eq(more.name.ufrag, "EsAw");
	for (size_t size = 0; size < sizeof fragment; size++)
		(void)ua_sdp_fragment_read(fragment, size, &more); /* nothing is read behind it */
	ck_assert(!ua_sdp_fragment_read("a=end-of-candidates", 19, &more));
}
END_TEST

START_TEST(odd_names_are_no_ice)
{
	struct core_ice_name name;

	ck_assert(ua_sdp_ice_name_read("abcd", "0123456789012345678901", &name));
	ck_assert(!ua_sdp_ice_name_read("abc", "0123456789012345678901", &name));
	ck_assert(!ua_sdp_ice_name_read("abcd", "012345678901234567890", &name));
	ck_assert(!ua_sdp_ice_name_read("ab:d", "0123456789012345678901", &name));
	ck_assert(!ua_sdp_ice_name_read(NULL, "0123456789012345678901", &name));
}
END_TEST

CHECK_MAIN("sdp_ice", candidates_are_read_or_passed_over, what_is_written_is_read_again, a_door_of_ours_is_written_as_passive,
	   fingerprints_that_prove_something_are_read, a_browsers_offer_is_answered_in_its_own_way,
	   our_offer_to_a_browser_is_one_that_it_takes, a_fragment_brings_candidates_for_audio,
	   a_level_is_agreed_on_by_its_name_and_a_number_that_fits, odd_names_are_no_ice)
