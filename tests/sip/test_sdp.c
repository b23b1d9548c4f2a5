/*
 * test_sdp - offers as the world writes them, and what we make of each
 *
 * A table of offers, well-formed, odd and broken; every answer is put through a validator that shares no code with the writer.
 */
#include "../check_main.h"
#include "media_driver.h"
#include "sdp.h"
#include <arpa/inet.h>
#include <check.h>
#include <pbx/abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.1\r\ns=-\r\n"
#define C4 "c=IN IP4 192.0.2.1\r\n"
#define T "t=0 0\r\n"

struct offer {
	const char *what, *body;
	int expected;
	bool present, secure;
	uint16_t port;
	uint8_t direction, codecs, audio, lines;
	const char *first; /* name of the first codec */
};

static const struct offer offers[] = {
	{ "RFC 4317 2.1: three codecs",
	  HEAD C4 T "m=audio 49170 RTP/AVP 0 8 97\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:97 iLBC/8000\r\n"
		    "m=video 51372 RTP/AVP 31 32\r\na=rtpmap:31 H261/90000\r\na=rtpmap:32 MPV/90000\r\n",
	  PBX_OK, true, false, 49170, 3, 3, 0, 2, "PCMU" },
	{ "static types without rtpmap", HEAD C4 T "m=audio 4000 RTP/AVP 0 8 9 18\r\n", PBX_OK, true, false, 4000, 3, 4, 0, 1, "PCMU" },
	{ "a dynamic type without rtpmap is not offered", HEAD C4 T "m=audio 4000 RTP/AVP 8 120\r\n", PBX_OK, true, false, 4000, 3, 1, 0, 1,
	  "PCMA" },
	{ "line feeds only", "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 4000 RTP/AVP 8\na=sendonly\n", PBX_OK,
	  true, false, 4000, 1, 1, 0, 1, "PCMA" },
	{ "no line end at the end", HEAD C4 T "m=audio 4000 RTP/AVP 0", PBX_OK, true, false, 4000, 3, 1, 0, 1, "PCMU" },
	{ "connection in the media section only", HEAD T "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 198.51.100.9\r\n", PBX_OK, true, false, 4000,
	  3, 1, 0, 1, "PCMU" },
	{ "IPv6", "v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\n" T "m=audio 4000 RTP/AVP 0\r\n", PBX_OK, true,
	  false, 4000, 3, 1, 0, 1, "PCMU" },
	{ "G.726 by the number that most phones have for it", HEAD C4 T "m=audio 4000 RTP/AVP 2\r\n", PBX_OK, true, false, 4000, 3, 1, 0, 1,
	  "G726-32" },
	{ "the same where Sofia reads no numbers", HEAD C4 T "m=audio 4000 RTP/AVPF 2\r\n", PBX_OK, true, false, 4000, 3, 1, 0, 1,
	  "G726-32" },
	{ "a range of ports", HEAD C4 T "m=audio 4000/2 RTP/AVP 0\r\n", PBX_OK, true, false, 4000, 3, 1, 0, 1, "PCMU" },
	{ "direction of the session", HEAD C4 T "a=recvonly\r\nm=audio 4000 RTP/AVP 0\r\n", PBX_OK, true, false, 4000, 2, 1, 0, 1, "PCMU" },
	{ "the media's direction over the session's", HEAD C4 T "a=inactive\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n", PBX_OK, true,
	  false, 4000, 1, 1, 0, 1, "PCMU" },
	{ "inactive", HEAD C4 T "m=audio 4000 RTP/AVP 0\r\na=inactive\r\n", PBX_OK, true, false, 4000, 0, 1, 0, 1, "PCMU" },
	{ "hold in the old way", HEAD "c=IN IP4 0.0.0.0\r\n" T "m=audio 4000 RTP/AVP 0\r\n", PBX_OK, true, false, 4000, 1, 1, 0, 1,
	  "PCMU" },
	{ "video before audio", HEAD C4 T "m=video 5000 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\nm=audio 4000 RTP/AVP 8\r\n", PBX_OK, true,
	  false, 4000, 3, 1, 1, 2, "PCMA" },
	{ "two audio lines: the first", HEAD C4 T "m=audio 4000 RTP/AVP 8\r\nm=audio 4002 RTP/AVP 0\r\n", PBX_OK, true, false, 4000, 3, 1,
	  0, 2, "PCMA" },
	{ "two audio lines, the first refused", HEAD C4 T "m=audio 0 RTP/AVP 8\r\nm=audio 4002 RTP/AVP 0\r\n", PBX_OK, true, false, 4002, 3,
	  1, 1, 2, "PCMU" },
	{ "secure and plain: the plain one",
	  HEAD C4 T "m=audio 4000 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\nm=audio 4002 RTP/AVP 8\r\n", PBX_OK, true,
	  false, 4002, 3, 1, 1, 2, "PCMA" },
	{ "secure only", HEAD C4 T "m=audio 4000 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n", PBX_OK, true, true, 4000,
	  3, 1, 0, 1, "PCMA" },
	{ "a browser's profile", HEAD C4 T "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-mux\r\n", PBX_OK, true,
	  true, 9, 3, 1, 0, 1, "opus" },
	{ "a profile with feedback", HEAD C4 T "m=audio 4000 RTP/AVPF 8 98\r\na=rtpmap:98 speex/16000\r\na=rtcp-fb:* nack\r\n", PBX_OK,
	  true, false, 4000, 3, 2, 0, 1, "PCMA" },
	{ "an rtpmap that maps nothing", HEAD C4 T "m=audio 4000 RTP/AVPF 8 98\r\na=rtpmap\r\na=rtpmap: \r\na=fmtp\r\n", PBX_OK, true,
	  false, 4000, 3, 1, 0, 1, "PCMA" },
	{ "audio, video and application", HEAD C4 T "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 31\r\nm=application 4004 udp wb\r\n",
	  PBX_OK, true, false, 4000, 3, 1, 0, 3, "PCMU" },
	{ "fax beside audio", HEAD C4 T "m=audio 4000 RTP/AVP 0\r\nm=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n", PBX_OK, true, false,
	  4000, 3, 1, 0, 2, "PCMU" },
	{ "fax over TCP", HEAD C4 T "m=image 4002 tcp t38\r\n", PBX_ENOTSUP },
	{ "a picture that is no fax", HEAD C4 T "m=image 4002 udptl jpeg\r\n", PBX_ENOTSUP },
	{ "unknown lines and attributes",
	  HEAD C4 T "a=x-odd:1\r\nm=audio 4000 RTP/AVP 0\r\na=candidate:1 1 UDP 1 192.0.2.1 4000 typ host\r\na=ssrc:1 cname:x\r\n", PBX_OK,
	  true, false, 4000, 3, 1, 0, 1, "PCMU" },
	{ "numbers of the offerer",
	  HEAD C4 T "m=audio 4000 RTP/AVP 107 96\r\na=rtpmap:107 opus/48000/2\r\na=fmtp:107 useinbandfec=1\r\na=rtpmap:96 "
		    "telephone-event/8000\r\na=fmtp:96 0-16\r\n",
	  PBX_OK, true, false, 4000, 3, 2, 0, 1, "opus" },
	{ "bandwidth, email, zone",
	  "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x\r\ni=y\r\nu=http://x/\r\ne=a@b\r\np=+1\r\nc=IN IP4 192.0.2.1\r\nb=AS:64\r\n" T
	  "m=audio 4000 RTP/AVP 0\r\nb=TIAS:64000\r\n",
	  PBX_OK, true, false, 4000, 3, 1, 0, 1, "PCMU" },
	{ "audio taken away", HEAD C4 T "m=audio 0 RTP/AVP 0\r\n", PBX_OK, false, false, 0, 0, 0, 0, 1, "" },
	{ "no audio line", HEAD C4 T "m=video 5000 RTP/AVP 31\r\n", PBX_ENOTSUP },
	{ "no media at all", HEAD C4 T, PBX_ENOTSUP },
	{ "audio over something else", HEAD C4 T "m=audio 4000 TCP/MRCPv2 1\r\n", PBX_ENOTSUP },
	{ "an address by name", HEAD "c=IN IP4 media.example.com\r\n" T "m=audio 4000 RTP/AVP 0\r\n", PBX_ENOTSUP },
	{ "no connection anywhere", HEAD T "m=audio 4000 RTP/AVP 0\r\n", PBX_EINVAL },
	{ "port beyond the end", HEAD C4 T "m=audio 70000 RTP/AVP 0\r\n", PBX_EINVAL },
	{ "port that is no number", HEAD C4 T "m=audio x RTP/AVP 0\r\n", PBX_EINVAL },
	{ "no version", "o=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n" C4 T "m=audio 4000 RTP/AVP 0\r\n", PBX_EINVAL },
	{ "cut in the origin", "v=0\r\no=alice 28908", PBX_EINVAL },
	{ "cut in the media line", HEAD C4 T "m=audio 40", PBX_EINVAL },
	{ "a format that is no token, on a line that is not RTP", HEAD C4 T "m=audio 4000 RTP/A+V 8,9\r\n", PBX_EINVAL },
	{ "the same with a slash", HEAD C4 T "m=image 4000 udptl t38/x\r\nm=audio 4000 RTP/AVP 0\r\n", PBX_EINVAL },
	{ "a port that runs into the protocol", HEAD C4 T "m=video 5000P /TRAVP 99\r\nm=audio 4000 RTP/AVP 8\r\n", PBX_EINVAL },
	{ "blanks instead of formats", HEAD C4 T "m=audio 4000 S\t\t\r\n", PBX_EINVAL },
	{ "half a range of ports", HEAD C4 T "m=audio 40/ 4000 S x\r\n", PBX_EINVAL },
	{ "blanks behind the formats", HEAD C4 T "m=audio 4000 RTP/AVP 0 8  \r\n", PBX_OK, true, false, 4000, 3, 2, 0, 1, "PCMU" },
	{ "bytes above ASCII in the protocol", HEAD C4 T "m=audio 4000 RT\x86\x86P/AVP 8\r\n", PBX_EINVAL },
	{ "a media line without formats", HEAD C4 T "m=audio 4000 RTP/AVP\r\n", PBX_EINVAL },
	{ "no SDP at all", "<html>hello</html>", PBX_EINVAL },
	{ "empty lines only", "\r\n\r\n\r\n", PBX_EINVAL },
	{ "a later version of SDP", "v=1\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n" C4 T "m=audio 4000 RTP/AVP 0\r\n", PBX_EINVAL },
};
#define OFFER_COUNT (sizeof offers / sizeof offers[0])

/* What RFC 3264 asks of an answer, read line by line. */
static void validate(const char *body, const struct offer *offer)
{
	unsigned lines = 0, live = 0;
	unsigned long long id;
	unsigned version;

	ck_assert_int_eq(strncmp(body, "v=0\r\no=- ", 9), 0);
	ck_assert_int_eq(sscanf(body + 9, "%llu %u IN IP", &id, &version), 2);
	for (const char *line = body; *line; line = strstr(line, "\r\n") + 2) {
		char media[16], proto[32], first[16];
		unsigned port;

		ck_assert_msg(strstr(line, "\r\n") != NULL && line[1] == '=', "%s: bad line", offer->what);
		if (line[0] != 'm')
			continue;
		ck_assert_int_eq(sscanf(line, "m=%15s %u %31s %15s", media, &port, proto, first), 4);
		if (lines == offer->audio && offer->present)
			ck_assert_msg(port != 0 && strcmp(media, "audio") == 0, "%s: audio not answered in its place", offer->what);
		else
			ck_assert_msg(port == 0, "%s: line %u not refused", offer->what, lines);
		live += port != 0;
		lines++;
	}
	ck_assert_msg(lines == offer->lines, "%s: %u lines for %u", offer->what, lines, offer->lines);
	ck_assert_uint_le(live, 1);
}

START_TEST(offer_is_understood_or_refused)
{
	const struct offer *offer = &offers[_i];
	struct core_media_desc desc;
	char body[UA_SDP_SIZE];
	struct ua_sdp sdp;
	int result;

	ua_sdp_init(&sdp, 4711);
	memset(&desc, 0xaa, sizeof desc);
	result = ua_sdp_read(&sdp, offer->body, strlen(offer->body), false, &desc);
	ck_assert_msg(result == offer->expected, "%s: %d", offer->what, result);
	if (result != PBX_OK) {
		ck_assert_msg(sdp.line_count == 0, "%s: a refused offer left its lines behind", offer->what);
		return;
	}
	ck_assert_msg(desc.present == offer->present, "%s: present", offer->what);
	if (desc.present) {
		ck_assert_msg(desc.secure == offer->secure, "%s: secure", offer->what);
		ck_assert_msg(desc.codec_count == offer->codecs, "%s: %u codecs", offer->what, desc.codec_count);
		ck_assert_str_eq(desc.codecs[0].name, offer->first);
		ck_assert_msg(desc.direction == offer->direction, "%s: direction %u", offer->what, desc.direction);
		ck_assert_uint_eq(ntohs(desc.rtp.in4.sin_port), offer->port);
	}
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	validate(body, offer);
}
END_TEST

static struct core_media_desc read_offer(struct ua_sdp *sdp, const char *body)
{
	struct core_media_desc desc;

	ck_assert_int_eq(ua_sdp_read(sdp, body, strlen(body), false, &desc), PBX_OK);
	return desc;
}

START_TEST(details_of_a_codec_survive)
{
	struct ua_sdp sdp;
	char body[UA_SDP_SIZE];

	ua_sdp_init(&sdp, 1);
	struct core_media_desc desc = read_offer(
		&sdp, HEAD C4 T "m=audio 4000 RTP/AVP 107 96\r\na=rtpmap:107 opus/48000/2\r\na=fmtp:107 useinbandfec=1\r\n"
				"a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=ptime:30\r\na=maxptime:60\r\na=rtcp:5000\r\n");
	ck_assert_uint_eq(desc.codecs[0].channels, 2);
	ck_assert_uint_eq(desc.codecs[0].clock_hz, 48000);
	ck_assert_str_eq(desc.codecs[0].fmtp, "useinbandfec=1");
	ck_assert_uint_eq(desc.codecs[1].payload_type, 96);
	ck_assert_uint_eq(desc.ptime_ms, 30);
	ck_assert_uint_eq(desc.maxptime_ms, 60);
	ck_assert_uint_eq(ntohs(desc.rtcp.in4.sin_port), 5000);

	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_ptr_nonnull(strstr(body, "a=rtpmap:107 opus/48000/2\r\n"));
	ck_assert_ptr_nonnull(strstr(body, "a=fmtp:96 0-16\r\n"));
	ck_assert_ptr_nonnull(strstr(body, "a=rtcp:5000\r\n"));
}
END_TEST

START_TEST(wishes_for_rtcp_are_read_and_written)
{
	static const struct {
		const char *said, *written;
		uint8_t xr;
	} rows[] = {
		{ "voip-metrics rcvr-rtt=all:40 stat-summary=loss,dup,jitt",
		  "a=rtcp-xr:voip-metrics rcvr-rtt=all:40 stat-summary=loss,dup,jitt\r\n", CORE_XR_OURS },
		{ "pkt-loss-rle=40 rcvr-rtt=sender", "a=rtcp-xr:rcvr-rtt=all:40\r\n", CORE_XR_RTT },
		{ "stat-summary=jitt,TTL", "a=rtcp-xr:stat-summary=jitt\r\n", CORE_XR_JITTER },
		{ "pkt-loss-rle", NULL, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char offer[512], body[UA_SDP_SIZE];
		struct ua_sdp sdp;

		ua_sdp_init(&sdp, 1);
		(void)snprintf(offer, sizeof offer, HEAD C4 T "m=audio 4000 RTP/AVP 0\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtcp-xr:%s\r\n",
			       rows[i].said);
		struct core_media_desc desc = read_offer(&sdp, offer);

		ck_assert_uint_eq(desc.xr, rows[i].xr);
		ck_assert(desc.rtcp_mux && desc.rtcp_rsize);
		ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
		ck_assert_ptr_nonnull(strstr(body, "a=rtcp-rsize\r\n"));
		if (rows[i].written)
			ck_assert_ptr_nonnull(strstr(body, rows[i].written));
		else
			ck_assert_ptr_null(strstr(body, "rtcp-xr"));
	}
}
END_TEST

START_TEST(wishes_about_being_recorded_are_read_and_what_is_done_is_written)
{
	static const struct {
		const char *said;
		uint8_t wish;
	} rows[] = { { "a=recordpref:on\r\n", CORE_RECORD_ON },
		     { "a=recordpref:OFF \r\n", CORE_RECORD_OFF },
		     { "a=recordpref:pause\r\n", CORE_RECORD_PAUSED },
		     { "a=recordpref:nopreference\r\n", CORE_RECORD_AS_YOU_LIKE },
		     { "a=recordpref:offer\r\n", 0 },
		     { "a=recordpref\r\n", 0 },
		     { "", 0 } };
	static const char *const written[] = {
		[CORE_RECORD_OFF] = "a=record:off\r\n", [CORE_RECORD_ON] = "a=record:on\r\n", [CORE_RECORD_PAUSED] = "a=record:paused\r\n"
	};
	char text[512], body[UA_SDP_SIZE];
	struct core_media_desc desc;
	struct ua_sdp sdp;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ua_sdp_init(&sdp, 1);
		(void)snprintf(text, sizeof text, HEAD C4 T "%sm=audio 4000 RTP/AVP 0\r\n", rows[i].said); /* for all of the session */
		ck_assert_uint_eq(read_offer(&sdp, text).record_wish, rows[i].wish);
		(void)snprintf(text, sizeof text, HEAD C4 T "m=audio 4000 RTP/AVP 0\r\n%s", rows[i].said);
		desc = read_offer(&sdp, text);
		ck_assert_uint_eq(desc.record_wish, rows[i].wish);
	}
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_ptr_null(strstr(body, "a=record"));
	for (uint8_t record = CORE_RECORD_OFF; record <= CORE_RECORD_PAUSED; record++) {
		uint32_t version = sdp.version;

		desc.record = record;
		ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
		ck_assert_ptr_nonnull(strstr(body, written[record]));
		ck_assert_uint_eq(sdp.version, version + 1);
	}
}
END_TEST

START_TEST(ipv6_is_written_as_it_was_read)
{
	struct ua_sdp sdp;
	char body[UA_SDP_SIZE];

	ua_sdp_init(&sdp, 1);
	struct core_media_desc desc =
		read_offer(&sdp, "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 2001:db8::7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n");
	ck_assert_int_eq(desc.rtp.sa.sa_family, AF_INET6);
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_ptr_nonnull(strstr(body, "c=IN IP6 2001:db8::7\r\n"));
}
END_TEST

START_TEST(version_rises_only_when_the_body_changes)
{
	struct ua_sdp sdp;
	char first[UA_SDP_SIZE], second[UA_SDP_SIZE], third[UA_SDP_SIZE];

	ua_sdp_init(&sdp, 77);
	struct core_media_desc desc = read_offer(&sdp, HEAD C4 T "m=audio 4000 RTP/AVP 0\r\n");
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, first), PBX_OK);
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, second), PBX_OK);
	ck_assert_str_eq(first, second);
	desc.direction = CORE_SEND;
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, third), PBX_OK);
	ck_assert_ptr_nonnull(strstr(first, "o=- 77 1 IN"));
	ck_assert_ptr_nonnull(strstr(third, "o=- 77 2 IN"));
}
END_TEST

START_TEST(our_own_offers_keep_the_lines_of_the_dialog)
{
	struct ua_sdp sdp;
	char body[UA_SDP_SIZE];

	ua_sdp_init(&sdp, 77);
	struct core_media_desc desc = read_offer(&sdp, HEAD C4 T "m=video 5000 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 0\r\n");
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	const char *video = strstr(body, "m=video 0 RTP/AVP 31\r\n"), *audio = strstr(body, "m=audio 4000 RTP/AVP 0\r\n");
	ck_assert(video && audio && video < audio);
}
END_TEST

#define FAX                                                                                                                                \
	"m=image 5000 udptl t38\r\na=T38FaxVersion:3\r\na=T38MaxBitRate:9600\r\na=T38FaxFillBitRemoval:0\r\na=T38FaxTranscodingMMR\r\n"    \
	"a=T38FaxRateManagement:transferredTCF\r\na=T38FaxMaxBuffer:1024\r\na=T38FaxMaxDatagram:238\r\na=T38FaxUdpEC:t38UDPFEC\r\n"

/* A re-INVITE as gateways send it: the audio is taken away, fax stands beside it; later it is audio once more. */
START_TEST(fax_takes_the_place_of_audio)
{
	struct ua_sdp sdp;
	char body[UA_SDP_SIZE];

	ua_sdp_init(&sdp, 77);
	struct core_media_desc desc = read_offer(&sdp, HEAD C4 T "m=audio 0 RTP/AVP 0\r\n" FAX);
	const struct core_t38 *t38 = &desc.t38;
	ck_assert(desc.present && t38->on && desc.codec_count == 0 && desc.direction == (CORE_SEND | CORE_RECV));
	ck_assert_uint_eq(ntohs(desc.rtp.in4.sin_port), 5000);
	ck_assert(t38->version == 3 && t38->recovery == CORE_T38_FEC && t38->mmr && !t38->fill_bit_removal && !t38->jbig &&
		  !t38->local_tcf);
	ck_assert(t38->max_bit_rate == 9600 && t38->max_buffer == 1024 && t38->max_datagram == 238);

	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_ptr_nonnull(strstr(body, "m=audio 0 RTP/AVP 0\r\nm=image 5000 udptl t38\r\n"));
	ck_assert_ptr_nonnull(strstr(body, "a=T38FaxTranscodingMMR\r\n"));
	ck_assert_ptr_null(strstr(body, "FillBitRemoval"));
	ck_assert_ptr_nonnull(strstr(body, "a=T38FaxUdpEC:t38UDPFEC\r\n"));

	desc.t38.on = false;
	desc.codec_count = 1;
	desc.codecs[0] = (struct core_codec){ .name = "PCMU", .clock_hz = 8000, .channels = 1 };
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_ptr_nonnull(strstr(body, "m=audio 0 RTP/AVP 0\r\nm=audio 5000 RTP/AVP 0\r\n"));
}
END_TEST

START_TEST(a_refused_fax_is_no_answer)
{
	static const char refused[] = HEAD C4 T "m=image 0 udptl t38\r\n", agreed[] = HEAD C4 T FAX;
	struct core_media_desc desc = { .present = true, .rtp.in4 = { .sin_family = AF_INET, .sin_port = 1 }, .t38 = { .on = true } };
	char body[UA_SDP_SIZE];
	struct ua_sdp sdp;

	ua_sdp_init(&sdp, 1);
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_ptr_nonnull(strstr(body, "m=image 256 udptl t38\r\n"));
	ck_assert_int_eq(ua_sdp_read(&sdp, refused, sizeof refused - 1, true, &desc), PBX_ENOTSUP);
	ck_assert_int_eq(ua_sdp_read(&sdp, agreed, sizeof agreed - 1, true, &desc), PBX_OK);
	ck_assert(desc.t38.on);
}
END_TEST

/* ---- long lists ---- */

static uint8_t known(struct core_codec *ret_codecs, uint8_t size)
{
	static const struct core_codec codecs[] = {
		{ .name = "PCMU", .clock_hz = 8000, .channels = 1 },
		{ .name = "G722", .clock_hz = 8000, .channels = 1 },
		{ .name = "telephone-event", .clock_hz = 8000, .channels = 1 },
	};

	ck_assert_uint_ge(size, 3);
	memcpy(ret_codecs, codecs, sizeof codecs);
	return 3;
}

static const struct core_media_driver knows_three = { .codecs = known };

/* So many codecs that nobody knows; those of ours stand last. */
static struct core_media_desc read_long_offer(struct ua_sdp *sdp, unsigned strangers)
{
	char body[UA_MOST_SDP] = HEAD C4 T "m=audio 4000 RTP/AVP";
	size_t used = strlen(body);

	for (unsigned i = 0; i < strangers; i++)
		used += (size_t)snprintf(body + used, sizeof body - used, " %u", 20 + i);
	used += (size_t)snprintf(body + used, sizeof body - used, " 9 0 100\r\na=rtpmap:100 telephone-event/8000\r\n");
	for (unsigned i = 0; i < strangers; i++)
		used += (size_t)snprintf(body + used, sizeof body - used, "a=rtpmap:%u strange/%u\r\n", 20 + i, 1000 + i);
	return read_offer(sdp, body);
}

START_TEST(what_we_can_use_of_a_long_list_is_found_wherever_it_stands)
{
	struct core_media_desc desc;
	struct ua_sdp sdp;
	char body[UA_SDP_SIZE];

	core_media_set_driver(&knows_three);
	for (unsigned strangers = 21; strangers <= UA_MOST_OFFERED - 3; strangers++) {
		ua_sdp_init(&sdp, 1);
		desc = read_long_offer(&sdp, strangers);
		ck_assert_uint_eq(desc.codec_count, CORE_MOST_CODECS);
		ck_assert_uint_eq(desc.codecs[0].payload_type, 20); /* the first of the others, and the order is theirs */
		ck_assert_uint_eq(desc.codecs[20].payload_type, 40);
		ck_assert_uint_eq(desc.codecs[21].payload_type, 9);
		ck_assert_uint_eq(desc.codecs[22].payload_type, 0);
		ck_assert_str_eq(desc.codecs[23].name, "telephone-event");
		ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	}
	core_media_set_driver(NULL);
}
END_TEST

START_TEST(beyond_what_we_look_at_nothing_is_read_and_nothing_breaks)
{
	struct core_media_desc desc;
	struct ua_sdp sdp;

	core_media_set_driver(&knows_three);
	ua_sdp_init(&sdp, 1);
	desc = read_long_offer(&sdp, UA_MOST_OFFERED + 15); /* 20 to 98 */
	ck_assert_uint_eq(desc.codec_count, CORE_MOST_CODECS);
	ck_assert_uint_eq(desc.codecs[CORE_MOST_CODECS - 1].payload_type, 20 + CORE_MOST_CODECS - 1);
	core_media_set_driver(NULL);
}
END_TEST

START_TEST(an_answer_needs_as_many_lines_as_the_offer)
{
	static const char two[] = HEAD C4 T "m=audio 4000 RTP/AVP 0\r\nm=video 0 RTP/AVP 31\r\n",
			  one[] = HEAD C4 T "m=audio 4000 RTP/AVP 0\r\n";
	struct core_media_desc desc;
	char body[UA_SDP_SIZE];
	struct ua_sdp sdp;

	ua_sdp_init(&sdp, 1);
	desc = (struct core_media_desc){ .present = true,
					 .rtp.in4 = { .sin_family = AF_INET, .sin_port = 1 },
					 .codec_count = 1,
					 .codecs = { { .name = "PCMU", .clock_hz = 8000, .channels = 1 } } };
	ck_assert_int_eq(ua_sdp_write(&sdp, &desc, body), PBX_OK);
	ck_assert_int_eq(ua_sdp_read(&sdp, two, sizeof two - 1, true, &desc), PBX_ENOTSUP);
	ck_assert_int_eq(ua_sdp_read(&sdp, one, sizeof one - 1, true, &desc), PBX_OK);
}
END_TEST

START_TEST(too_many_lines_are_refused)
{
	struct core_media_desc desc;
	struct ua_sdp sdp;
	char body[4096] = HEAD C4 T;

	for (unsigned i = 0; i <= UA_MOST_LINES; i++)
		strcat(body, "m=audio 4000 RTP/AVP 0\r\n");
	ua_sdp_init(&sdp, 1);
	ck_assert_int_eq(ua_sdp_read(&sdp, body, strlen(body), false, &desc), PBX_ENOTSUP);
}
END_TEST

START_TEST(every_truncation_of_an_offer_is_survived)
{
	const char *whole = offers[0].body;
	struct core_media_desc desc;
	struct ua_sdp sdp;

	for (size_t size = 0; size < strlen(whole); size++) {
		char *part = malloc(size + 1); /* so that a read past the end is seen */

		ck_assert_ptr_nonnull(part);
		memcpy(part, whole, size);
		part[size] = '\0';
		ua_sdp_init(&sdp, 1);
		(void)ua_sdp_read(&sdp, part, size, false, &desc); /* any answer is right but a crash */
		free(part);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sdp");
	TCase *cases = tcase_create("sdp");

	tcase_add_loop_test(cases, offer_is_understood_or_refused, 0, (int)OFFER_COUNT);
	tcase_add_test(cases, details_of_a_codec_survive);
	tcase_add_test(cases, wishes_for_rtcp_are_read_and_written);
	tcase_add_test(cases, wishes_about_being_recorded_are_read_and_what_is_done_is_written);
	tcase_add_test(cases, ipv6_is_written_as_it_was_read);
	tcase_add_test(cases, version_rises_only_when_the_body_changes);
	tcase_add_test(cases, our_own_offers_keep_the_lines_of_the_dialog);
	tcase_add_test(cases, fax_takes_the_place_of_audio);
	tcase_add_test(cases, a_refused_fax_is_no_answer);
	tcase_add_test(cases, what_we_can_use_of_a_long_list_is_found_wherever_it_stands);
	tcase_add_test(cases, beyond_what_we_look_at_nothing_is_read_and_nothing_breaks);
	tcase_add_test(cases, an_answer_needs_as_many_lines_as_the_offer);
	tcase_add_test(cases, too_many_lines_are_refused);
	tcase_add_test(cases, every_truncation_of_an_offer_is_survived);
	suite_add_tcase(suite, cases);

	return check_run(suite);
}
