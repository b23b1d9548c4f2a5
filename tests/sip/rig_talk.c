/* rig_talk - what a test about calls has the phone say, and our side's media */
#include "rig.h"
#include <arpa/inet.h>
#include <string.h>

struct core_media_desc rig_media(uint8_t direction)
{
	struct core_media_desc desc = { .present = true,
					.direction = direction,
					.codec_count = 1,
					.ptime_ms = 20,
					.codecs = { { .name = "PCMA", .clock_hz = 8000, .channels = 1, .payload_type = 8 } } };

	desc.rtp.in4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(20000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return desc;
}

unsigned rig_length(const char *body)
{
	unsigned length = 0;

	for (const char *at = body; *at; at++)
		length += *at == '~' ? 2 : 1;
	return length;
}

void rig_respond(struct rig *rig, unsigned status, const char *tag, const char *contact, const char *headers, const char *type,
		 const char *body)
{
	char via[512], from[512], to[512], call_id[256], cseq[64];

	(void)snprintf(via, sizeof via, "%s", rig_header(rig, "Via"));
	(void)snprintf(from, sizeof from, "%s", rig_header(rig, "From"));
	(void)snprintf(to, sizeof to, "%s", rig_header(rig, "To"));
	(void)snprintf(call_id, sizeof call_id, "%s", rig_header(rig, "Call-ID"));
	(void)snprintf(cseq, sizeof cseq, "%s", rig_header(rig, "CSeq"));
	bool tagged = status == 100 || strstr(to, "tag=");

	rig_send(rig,
		 "SIP/2.0 %u Whatever~Via: %s~From: %s~To: %s%s%s~Call-ID: %s~CSeq: %s~Contact: %s~%s%s%s%s"
		 "Content-Length: %u~~%s",
		 status, via, from, to, tagged ? "" : ";tag=", tagged ? "" : tag, call_id, cseq, contact, headers,
		 type[0] ? "Content-Type: " : "", type, type[0] ? "~" : "", rig_length(body), body);
}

void rig_reply(struct rig *rig, unsigned status, const char *tag, const char *headers, const char *body)
{
	rig_respond(rig, status, tag, "<sip:bob@127.0.0.1:{P}>", headers, body[0] ? "application/sdp" : "", body);
}

void rig_keep_tag(struct rig *rig, char *ret_tag, size_t size)
{
	const char *at = strstr(rig_header(rig, "To"), "tag=");

	ck_assert_ptr_nonnull(at);
	(void)snprintf(ret_tag, size, "%s", at + 4);
}

void rig_keep_last(struct rig *rig)
{
	memcpy(rig->kept, rig->last, sizeof rig->kept);
}

void rig_back_to_kept(struct rig *rig)
{
	memcpy(rig->last, rig->kept, sizeof rig->last);
}
