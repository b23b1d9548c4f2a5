/*
 * sdp_write.c - core/media_desc.h written as SDP
 *
 * One audio line where the other side has it (or fax in its place), every other line of theirs refused with port 0 where it stood (RFC 3264 6). The
 * version rises only when something has changed.
 */
#include "sdp.h"
#include "sdp_crypto.h"
#include "sdp_ice.h"
#include "sdp_record.h"
#include <arpa/inet.h>
#include <assert.h>
#include <pbx/abi.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct text {
	char *at;
	size_t used, size;
};

static void put_bytes(struct text *text, const char *bytes, size_t count)
{
	if (text->used + count < text->size)
		memcpy(text->at + text->used, bytes, count);
	text->used += count; /* beyond size: full, told at the end */
}

static void put_number(struct text *text, uint32_t number)
{
	char digits[10], *at = digits + sizeof digits;

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	put_bytes(text, at, (size_t)(digits + sizeof digits - at));
}

/* Of printf's words only %s and %u, which are all that SDP needs: a call has some thirty of these, and printf's own way took most of the time. */
static void PBX_PRINTF(2, 3) put(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (const char *word; text->used < text->size && *format; format = word) {
		word = strchrnul(format, '%');
		put_bytes(text, format, (size_t)(word - format));
		if (!*word)
			break;
		if (word[1] == 's') {
			const char *string = va_arg(args, const char *);

			put_bytes(text, string, strlen(string));
		} else {
			assert(word[1] == 'u');
			put_number(text, va_arg(args, uint32_t));
		}
		word += 2;
	}
	va_end(args);
}

#define FIRST_DYNAMIC 96u /* RFC 3551 6 */

static void put_codec(struct text *text, const struct core_codec *codec, bool skips_static)
{
	bool named = !skips_static || codec->payload_type >= FIRST_DYNAMIC;

	if (named && codec->channels > 1)
		put(text, "a=rtpmap:%u %s/%u/%u\r\n", codec->payload_type, codec->name, codec->clock_hz, codec->channels);
	else if (named)
		put(text, "a=rtpmap:%u %s/%u\r\n", codec->payload_type, codec->name, codec->clock_hz);
	if (codec->fmtp[0])
		put(text, "a=fmtp:%u %s\r\n", codec->payload_type, codec->fmtp);
}

static uint16_t port_of(const struct core_addr *addr)
{
	return ntohs(addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_port : addr->in4.sin_port);
}

static void put_xr(struct text *text, uint8_t xr)
{
	static const struct {
		uint8_t bit;
		const char *word;
	} summary[] = { { CORE_XR_LOSS, "loss" }, { CORE_XR_DUPLICATES, "dup" }, { CORE_XR_JITTER, "jitt" } };
	const char *before = xr & (CORE_XR_VOIP | CORE_XR_RTT) ? " stat-summary=" : "stat-summary=";

	put(text, "a=rtcp-xr:%s", xr & CORE_XR_VOIP ? "voip-metrics" : "");
	if (xr & CORE_XR_RTT)
		put(text, "%srcvr-rtt=all:40", xr & CORE_XR_VOIP ? " " : "");
	for (size_t i = 0; i < sizeof summary / sizeof summary[0]; i++)
		if (xr & summary[i].bit) {
			put(text, "%s%s", before, summary[i].word);
			before = ",";
		}
	put(text, "\r\n");
}

static void put_ice(struct text *text, const struct core_ice *ice)
{
	if (!ice->name.ufrag[0])
		return;
	put(text, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", ice->name.ufrag, ice->name.pwd);
	if (ice->trickle)
		put(text, "a=ice-options:trickle\r\n");
	for (uint8_t i = 0; i < ice->candidate_count; i++) {
		char candidate[UA_SDP_CANDIDATE_SIZE];

		ua_sdp_candidate_write(&ice->candidates[i], candidate);
		put(text, "a=candidate:%s\r\n", candidate);
	}
	put(text, "a=end-of-candidates\r\n");
}

static void put_dtls(struct text *text, const struct core_dtls *dtls)
{
	char fingerprint[UA_SDP_FINGERPRINT_SIZE];

	if (dtls->hash == CORE_HASH_NONE)
		return;
	ua_sdp_fingerprint_write(dtls, fingerprint);
	put(text, "a=fingerprint:%s\r\na=setup:%s\r\n", fingerprint, ua_sdp_setup_name(dtls->setup));
}

static void put_audio(struct text *text, const struct core_media_desc *desc, const struct ua_sdp_line *line, bool skips_static)
{
	static const char *const directions[] = { "inactive", "sendonly", "recvonly", "sendrecv" };

	put(text, "m=audio %u %s", port_of(&desc->rtp), line->proto);
	for (uint8_t i = 0; i < desc->codec_count; i++)
		put(text, " %u", desc->codecs[i].payload_type);
	put(text, "\r\n");
	for (uint8_t i = 0; i < desc->codec_count; i++)
		put_codec(text, &desc->codecs[i], skips_static);
	for (uint8_t i = 0; i < desc->crypto_count; i++) {
		char crypto[UA_SDP_CRYPTO_SIZE];

		ua_sdp_crypto_write(&desc->cryptos[i], crypto);
		put(text, "a=crypto:%s\r\n", crypto);
	}
	if (desc->ptime_ms)
		put(text, "a=ptime:%u\r\n", desc->ptime_ms);
	if (desc->maxptime_ms)
		put(text, "a=maxptime:%u\r\n", desc->maxptime_ms);
	if (desc->rtcp.sa.sa_family && port_of(&desc->rtcp) != port_of(&desc->rtp) + 1)
		put(text, "a=rtcp:%u\r\n", port_of(&desc->rtcp));
	if (desc->rtcp_mux)
		put(text, "a=rtcp-mux\r\n");
	if (desc->rtcp_rsize)
		put(text, "a=rtcp-rsize\r\n");
	if (desc->xr)
		put_xr(text, desc->xr);
	if (desc->level_id)
		put(text, "a=extmap:%u %s\r\n", desc->level_id, UA_SDP_LEVEL_URI);
	if (line->mid[0])
		put(text, "a=mid:%s\r\n", line->mid);
	put_dtls(text, &desc->dtls);
	put_ice(text, &desc->ice);
	put(text, "a=%s\r\n", directions[desc->direction & 3]);
	if (desc->record)
		put(text, "a=record:%s\r\n", ua_sdp_record_name(desc->record));
}

static void put_t38(struct text *text, const struct core_media_desc *desc, const struct ua_sdp_line *line)
{
	static const char *const recoveries[] = { "", "t38UDPRedundancy", "t38UDPFEC" };
	const struct core_t38 *t38 = &desc->t38;

	put(text, "m=image %u udptl t38\r\na=T38FaxVersion:%u\r\n", port_of(&desc->rtp), t38->version);
	if (t38->max_bit_rate)
		put(text, "a=T38MaxBitRate:%u\r\n", t38->max_bit_rate);
	put(text, "%s%s%s", t38->fill_bit_removal ? "a=T38FaxFillBitRemoval\r\n" : "", t38->mmr ? "a=T38FaxTranscodingMMR\r\n" : "",
	    t38->jbig ? "a=T38FaxTranscodingJBIG\r\n" : "");
	put(text, "a=T38FaxRateManagement:%s\r\n", t38->local_tcf ? "localTCF" : "transferredTCF");
	if (t38->max_buffer)
		put(text, "a=T38FaxMaxBuffer:%u\r\n", t38->max_buffer);
	if (t38->max_datagram)
		put(text, "a=T38FaxMaxDatagram:%u\r\n", t38->max_datagram);
	if (t38->recovery != CORE_T38_PLAIN)
		put(text, "a=T38FaxUdpEC:%s\r\n", recoveries[t38->recovery]);
	if (line->mid[0])
		put(text, "a=mid:%s\r\n", line->mid);
}

static void put_refused(struct text *text, const struct ua_sdp_line *line)
{
	put(text, "m=%s 0 %s %s\r\n", line->media, line->proto, line->format);
	if (line->mid[0])
		put(text, "a=mid:%s\r\n", line->mid);
}

static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
	return hash;
}

/* One line of audio; to browsers with what they expect around it. */
static void begin_offer(struct ua_sdp *sdp, const struct core_media_desc *desc)
{
	struct ua_sdp_line *line = &sdp->lines[0];

	sdp->line_count = 1;
	*line = (struct ua_sdp_line){ .media = "audio", .format = "0" };
	(void)snprintf(line->proto, sizeof line->proto, "%sRTP/%s%s", desc->tls ? "UDP/TLS/" : "", desc->secure ? "SAVP" : "AVP",
		       desc->feedback ? "F" : "");
	sdp->bundled = desc->tls;
	if (desc->tls)
		(void)snprintf(line->mid, sizeof line->mid, "0");
}

/* The same stream in another form has its line (RFC 3264 8.3.3). */
static void retype(struct ua_sdp_line *line, const struct core_media_desc *desc)
{
	bool is_image = strcasecmp(line->media, "image") == 0;

	if (!desc->present || is_image == desc->t38.on)
		return;
	(void)snprintf(line->media, sizeof line->media, "%s", desc->t38.on ? "image" : "audio");
	(void)snprintf(line->proto, sizeof line->proto, "%s", desc->t38.on ? "udptl" : desc->secure ? "RTP/SAVP" : "RTP/AVP");
	(void)snprintf(line->format, sizeof line->format, "%s", desc->t38.on ? "t38" : "0");
}

int ua_sdp_write(struct ua_sdp *sdp, const struct core_media_desc *desc, char ret_body[UA_SDP_SIZE])
{
	char rest[UA_SDP_SIZE], host[INET6_ADDRSTRLEN] = "0.0.0.0";
	struct text text = { rest, 0, sizeof rest };
	bool is6 = desc->rtp.sa.sa_family == AF_INET6;

	if (desc->rtp.sa.sa_family)
		(void)inet_ntop(desc->rtp.sa.sa_family,
				is6 ? (const void *)&desc->rtp.in6.sin6_addr : (const void *)&desc->rtp.in4.sin_addr, host,
				sizeof host); /* a known family and room enough */
	if (sdp->line_count == 0)
		begin_offer(sdp, desc);
	retype(&sdp->lines[sdp->audio], desc);
	put(&text, "s=-\r\nc=IN %s %s\r\nt=0 0\r\n", is6 ? "IP6" : "IP4", host);
	if (desc->present && sdp->bundled)
		put(&text, "a=group:BUNDLE %s\r\n", sdp->lines[sdp->audio].mid);
	if (desc->ice.name.ufrag[0] && desc->ice.lite)
		put(&text, "a=ice-lite\r\n");
	for (uint8_t i = 0; i < sdp->line_count; i++) {
		if (i == sdp->audio && desc->present && desc->t38.on)
			put_t38(&text, desc, &sdp->lines[i]);
		else if (i == sdp->audio && desc->present && desc->codec_count > 0)
			put_audio(&text, desc, &sdp->lines[i], sdp->skips_static);
		else
			put_refused(&text, &sdp->lines[i]);
	}
	if (text.used >= text.size)
		return PBX_ENOSPC;
	rest[text.used] = '\0';

	uint64_t hash = hash_of(rest);
	uint32_t version = sdp->version + (hash != sdp->body_hash ? 1 : 0);
	int length = snprintf(ret_body, UA_SDP_SIZE, "v=0\r\no=- %llu %u IN %s %s\r\n%s", (unsigned long long)sdp->id, version,
			      is6 ? "IP6" : "IP4", host, rest);
	if (length < 0 || (size_t)length >= UA_SDP_SIZE)
		return PBX_ENOSPC;
	sdp->version = version;
	sdp->body_hash = hash;
	return PBX_OK;
}
