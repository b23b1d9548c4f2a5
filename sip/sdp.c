/*
 * sdp.c - SDP as it comes, read into core/media_desc.h
 *
 * Reading is Sofia's parser, forgiving about line ends and order, and our own checks before and after it: what cannot be an offer is malformed,
 * what is one but has no RTP audio, nor fax (T.38), is not acceptable. sdp_write.c is the other way.
 */
#include "sdp.h"
#include "calls.h"
#include "sdp_crypto.h"
#include "sdp_ice.h"
#include "sdp_record.h"
#include <arpa/inet.h>
#include <pbx/abi.h>
#include <sofia-sip/sdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void ua_sdp_init(struct ua_sdp *sdp, uint64_t id)
{
	memset(sdp, 0, sizeof *sdp);
	sdp->id = id;
}

/* ---- reading -------------------------------------------------------------------------- */

static bool read_address(const sdp_connection_t *connection, unsigned long port, struct core_addr *ret_addr)
{
	struct core_addr addr;

	memset(&addr, 0, sizeof addr);
	if (!connection || connection->c_nettype != sdp_net_in || !connection->c_address || port > 65535)
		return false;
	if (connection->c_addrtype == sdp_addr_ip4 && inet_pton(AF_INET, connection->c_address, &addr.in4.sin_addr) == 1) {
		addr.in4.sin_family = AF_INET;
		addr.in4.sin_port = htons((uint16_t)port);
	} else if (connection->c_addrtype == sdp_addr_ip6 && inet_pton(AF_INET6, connection->c_address, &addr.in6.sin6_addr) == 1) {
		addr.in6.sin6_family = AF_INET6;
		addr.in6.sin6_port = htons((uint16_t)port);
	} else {
		return false;
	}
	*ret_addr = addr;
	return true;
}

static bool is_nowhere(const struct core_addr *addr)
{
	return addr->sa.sa_family == AF_INET ? addr->in4.sin_addr.s_addr == 0 : IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
}

static const char *attribute(const sdp_session_t *session, const sdp_media_t *media, const char *name)
{
	const sdp_attribute_t *found = sdp_attribute_find2(media->m_attributes, session->sdp_attributes, name);

	return found && found->a_value ? found->a_value : NULL;
}

static uint16_t read_ms(const char *text)
{
	unsigned long ms = text ? strtoul(text, NULL, 10) : 0;

	return ms <= 1000 ? (uint16_t)ms : 0;
}

/* "a=rtcp:53020" or "a=rtcp:53020 IN IP4 126.16.64.4" (RFC 3605). */
static void read_rtcp(const char *text, struct core_media_desc *desc)
{
	char family[8], host[64];
	unsigned port;
	int fields = text ? sscanf(text, "%5u IN %7s %63s", &port, family, host) : 0;
	struct core_addr addr = desc->rtp;

	if (fields < 1 || port == 0 || port > 65535)
		return;
	if (fields == 3) {
		const sdp_connection_t connection = {
			.c_nettype = sdp_net_in,
			.c_addrtype = strcmp(family, "IP6") == 0 ? sdp_addr_ip6 : sdp_addr_ip4,
			.c_address = host,
		};

		if (!read_address(&connection, port, &addr))
			return;
	}
	addr.in4.sin_port = htons((uint16_t)port); /* the same place in both families */
	desc->rtcp = addr;
}

/* "a=rtcp-xr:voip-metrics rcvr-rtt=all:40 stat-summary=loss,dup,jitt" (RFC 3611 5.1); what we cannot tell is passed over. */
static uint8_t read_xr(const char *text)
{
	uint8_t xr = 0;

	for (const char *at = text; at && *at; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");
		char word[64];

		(void)snprintf(word, sizeof word, "%.*s", (int)length, at);
		xr |= strncmp(word, "voip-metrics", 12) == 0 ? CORE_XR_VOIP : 0;
		xr |= strncmp(word, "rcvr-rtt=", 9) == 0 ? CORE_XR_RTT : 0;
		if (strncmp(word, "stat-summary", 12) == 0) {
			xr |= strstr(word, "loss") ? CORE_XR_LOSS : 0;
			xr |= strstr(word, "dup") ? CORE_XR_DUPLICATES : 0;
			xr |= strstr(word, "jitt") ? CORE_XR_JITTER : 0;
		}
		at += length;
	}
	return xr;
}

#define DIGITS "0123456789"
#define TOKEN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-!#$%&'*+.^_`{|}~"

struct codecs {
	struct core_codec *at;
	uint8_t count, most;
};

static void add_codec(struct codecs *codecs, uint8_t type, const char *name, unsigned long clock_hz, const char *channels, const char *fmtp)
{
	struct core_codec *codec = &codecs->at[codecs->count];
	unsigned long count = channels ? strtoul(channels, NULL, 10) : 1;

	if (codecs->count == codecs->most || !name || !name[0] || strlen(name) >= sizeof codec->name || name[strspn(name, TOKEN)] ||
	    clock_hz == 0 || clock_hz > 384000 || (fmtp && strlen(fmtp) >= sizeof codec->fmtp))
		return;
	if (strcasecmp(name, "G721") == 0)
		name = "G726-32"; /* what Sofia knows as 2: G.721 has become G.726 (RFC 3551 6) */
	memset(codec, 0, sizeof *codec);
	memcpy(codec->name, name, strlen(name) + 1);
	if (fmtp)
		memcpy(codec->fmtp, fmtp, strlen(fmtp) + 1);
	/* G.722 has a clock of 8,000 (RFC 3551 4.5.2); who tells the truth about its samples means the same. */
	codec->clock_hz = strcasecmp(name, "G722") == 0 ? 8000 : (uint32_t)clock_hz;
	codec->channels = count >= 1 && count <= 8 ? (uint8_t)count : 1;
	codec->payload_type = type;
	codecs->count++;
}

/* What "a=NAME:TYPE …" says of a payload type; NULL: nothing. Sofia's own look-up falls over an attribute without a value. */
static const char *mapped(const sdp_media_t *media, const char *name, unsigned long type)
{
	for (const sdp_attribute_t *at = media->m_attributes; at; at = at->a_next) {
		char *end;

		if (!at->a_value || strcasecmp(at->a_name, name) != 0)
			continue;
		if (strtoul(at->a_value, &end, 10) == type && end != at->a_value && *end == ' ')
			return end + strspn(end, " ");
	}
	return NULL;
}

/* Sofia knows RTP/AVP and RTP/SAVP; the formats of every other profile it leaves as text. */
static void read_format(const sdp_media_t *media, const char *format, struct codecs *codecs)
{
	char *end, name[20], channels[4] = "1";
	unsigned long type = strtoul(format, &end, 10);
	unsigned clock_hz;

	if (*end || end == format || type > 127)
		return;
	const char *map = mapped(media, "rtpmap", type), *fmtp = mapped(media, "fmtp", type);
	if (map && sscanf(map, "%19[^/ ]/%6u/%3s", name, &clock_hz, channels) >= 2)
		add_codec(codecs, (uint8_t)type, name, clock_hz, channels, fmtp);
	else if (!map && sdp_rtpmap_well_known[type])
		add_codec(codecs, (uint8_t)type, sdp_rtpmap_well_known[type]->rm_encoding, sdp_rtpmap_well_known[type]->rm_rate, NULL,
			  fmtp);
}

static void read_formats(const sdp_media_t *media, struct codecs *codecs)
{
	for (const sdp_rtpmap_t *map = media->m_rtpmaps; map; map = map->rm_next)
		add_codec(codecs, (uint8_t)map->rm_pt, map->rm_encoding, map->rm_rate, map->rm_params, map->rm_fmtp);
	for (const sdp_list_t *format = media->m_rtpmaps ? NULL : media->m_format; format; format = format->l_next)
		read_format(media, format->l_text, codecs);
}

/* More than we keep: all that we can use, wherever it stands, and of the rest what comes first. Their order stays. */
static void choose_codecs(const struct codecs *offered, struct core_media_desc *desc)
{
	bool ours[UA_MOST_OFFERED];
	uint8_t usable = 0;

	for (uint8_t i = 0; i < offered->count; i++) {
		ours[i] = usable < CORE_MOST_CODECS && core_codec_is_ours(&offered->at[i]);
		usable += ours[i];
	}
	uint8_t others = (uint8_t)(CORE_MOST_CODECS - usable);
	desc->codec_count = 0;
	for (uint8_t i = 0; i < offered->count; i++) {
		if (!ours[i] && others == 0)
			continue;
		others -= !ours[i];
		desc->codecs[desc->codec_count++] = offered->at[i];
	}
}

static void read_codecs(const sdp_media_t *media, struct core_media_desc *desc)
{
	struct codecs codecs = { .at = desc->codecs, .most = CORE_MOST_CODECS };

	read_formats(media, &codecs);
	desc->codec_count = codecs.count;
	if (codecs.count < CORE_MOST_CODECS)
		return;

	struct core_codec all[UA_MOST_OFFERED];
	struct codecs offered = { .at = all, .most = UA_MOST_OFFERED };
	read_formats(media, &offered);
	choose_codecs(&offered, desc);
}

static void read_cryptos(const sdp_media_t *media, struct core_media_desc *desc)
{
	for (const sdp_attribute_t *at = media->m_attributes; at && desc->crypto_count < CORE_MOST_CRYPTOS; at = at->a_next)
		if (at->a_value && strcasecmp(at->a_name, "crypto") == 0 &&
		    ua_sdp_crypto_read(at->a_value, &desc->cryptos[desc->crypto_count]))
			desc->crypto_count++;
}

#define LEVEL_ID_MOST 14u /* of the form with one octet (RFC 8285 4.2) */

/* "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level vad=on" (RFC 8285 5, RFC 6464 4). One direction alone is of no use to us. */
static uint8_t read_level_id(const sdp_media_t *media)
{
	for (const sdp_attribute_t *at = media->m_attributes; at; at = at->a_next) {
		if (!at->a_value || strcasecmp(at->a_name, "extmap") != 0)
			continue;
		char *rest;
		unsigned long id = strtoul(at->a_value, &rest, 10);
		size_t length = strlen(UA_SDP_LEVEL_URI);

		rest += strncmp(rest, "/sendrecv", 9) == 0 ? 9 : 0;
		rest += strspn(rest, " ");
		if (id >= 1 && id <= LEVEL_ID_MOST && strncmp(rest, UA_SDP_LEVEL_URI, length) == 0 &&
		    (!rest[length] || rest[length] == ' '))
			return (uint8_t)id;
	}
	return 0;
}

/* A profile we do not know may mean anything: its packets need not be RTP as we understand it. */
static bool is_rtp(const sdp_media_t *media)
{
	static const char *const profiles[] = { "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF" };

	for (size_t i = 0; media->m_proto_name && i < sizeof profiles / sizeof profiles[0]; i++)
		if (strcasecmp(media->m_proto_name, profiles[i]) == 0)
			return true;
	return false;
}

static bool is_secure(const sdp_media_t *media)
{
	return strstr(media->m_proto_name, "SAVP") != NULL;
}

/* ---- ICE and DTLS ---- */

static void read_candidates(const sdp_media_t *media, struct core_ice *ice)
{
	for (const sdp_attribute_t *at = media->m_attributes; at && ice->candidate_count < CORE_MOST_CANDIDATES; at = at->a_next)
		if (at->a_value && strcasecmp(at->a_name, "candidate") == 0 &&
		    ua_sdp_candidate_read(at->a_value, &ice->candidates[ice->candidate_count]))
			ice->candidate_count++;
}

static void read_ice(const sdp_session_t *session, const sdp_media_t *media, struct core_ice *ice)
{
	const char *options = attribute(session, media, "ice-options");

	if (!ua_sdp_ice_name_read(attribute(session, media, "ice-ufrag"), attribute(session, media, "ice-pwd"), &ice->name))
		return;
	ice->lite = sdp_attribute_find(session->sdp_attributes, "ice-lite") != NULL;
	ice->trickle = options && strstr(options, "trickle");
	read_candidates(media, ice);
}

/* The first that proves something (RFC 8122 5): a describer may say the same with several hashes. */
static bool read_fingerprint(const sdp_attribute_t *attributes, struct core_dtls *dtls)
{
	for (const sdp_attribute_t *at = attributes; at; at = at->a_next)
		if (at->a_value && strcasecmp(at->a_name, "fingerprint") == 0 && ua_sdp_fingerprint_read(at->a_value, dtls))
			return true;
	return false;
}

static void read_dtls(const sdp_session_t *session, const sdp_media_t *media, bool is_answer, struct core_dtls *dtls)
{
	if (read_fingerprint(media->m_attributes, dtls) || read_fingerprint(session->sdp_attributes, dtls))
		dtls->setup = ua_sdp_setup_read(attribute(session, media, "setup"), is_answer);
}

static bool is_tls(const sdp_media_t *media)
{
	return strncasecmp(media->m_proto_name, "UDP/TLS/", 8) == 0;
}

static bool mentions_key(const sdp_session_t *session, const sdp_media_t *media)
{
	struct core_media_desc found = { 0 };

	read_cryptos(media, &found);
	read_dtls(session, media, false, &found.dtls);
	return found.crypto_count > 0 || found.dtls.hash != CORE_HASH_NONE;
}

/* "BUNDLE audio video" names the line. */
static bool is_bundled(const sdp_session_t *session, const char *mid)
{
	for (const sdp_attribute_t *at = session->sdp_attributes; mid[0] && at; at = at->a_next) {
		if (strcasecmp(at->a_name, "group") != 0 || !at->a_value || strncmp(at->a_value, "BUNDLE ", 7) != 0)
			continue;
		for (const char *word = at->a_value + 7; *word; word += strcspn(word, " "), word += strspn(word, " "))
			if (strcspn(word, " ") == strlen(mid) && strncmp(word, mid, strlen(mid)) == 0)
				return true;
	}
	return false;
}

/* Fax by UDPTL (RFC 3362, ITU-T T.38 Annex D); over TCP and TLS nobody has it. */
static bool is_t38(const sdp_media_t *media)
{
	return media->m_type == sdp_media_image && media->m_proto_name && strcasecmp(media->m_proto_name, "udptl") == 0 &&
	       media->m_format && media->m_format->l_text && strcasecmp(media->m_format->l_text, "t38") == 0;
}

/* How much we like a line as our audio: 0 not at all. Fax takes the place of audio that is refused or taken away. */
static int audio_rank(const sdp_session_t *session, const sdp_media_t *media)
{
	if (is_t38(media))
		return media->m_rejected || media->m_port == 0 ? 0 : 2;
	if (media->m_type != sdp_media_audio || !is_rtp(media))
		return 0;
	if (media->m_rejected || media->m_port == 0)
		return 1;
	return !is_secure(media) ? 4 : mentions_key(session, media) ? 5 : 3;
}

static void read_line(const sdp_media_t *media, struct ua_sdp_line *line)
{
	const sdp_attribute_t *mid = sdp_attribute_find(media->m_attributes, "mid");

	line->mid[0] = '\0';
	if (mid && mid->a_value && strlen(mid->a_value) < sizeof line->mid)
		(void)snprintf(line->mid, sizeof line->mid, "%s", mid->a_value);
	(void)snprintf(line->media, sizeof line->media, "%s", media->m_type_name ? media->m_type_name : "audio");
	(void)snprintf(line->proto, sizeof line->proto, "%s",
		       media->m_proto == sdp_proto_udp ? "udp" /* Sofia has it in capitals */
		       : media->m_proto_name           ? media->m_proto_name
						       : "RTP/AVP");
	if (media->m_rtpmaps)
		(void)snprintf(line->format, sizeof line->format, "%u", media->m_rtpmaps->rm_pt);
	else
		(void)snprintf(line->format, sizeof line->format, "%.11s",
			       media->m_format && media->m_format->l_text ? media->m_format->l_text : "0");
}

static uint32_t read_number(const sdp_session_t *session, const sdp_media_t *media, const char *name)
{
	const char *text = attribute(session, media, name);

	return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

/* "a=T38FaxFillBitRemoval", which many write with a number behind it. */
static bool read_flag(const sdp_media_t *media, const char *name)
{
	const sdp_attribute_t *found = sdp_attribute_find(media->m_attributes, name);

	return found && (!found->a_value || strcmp(found->a_value, "0") != 0);
}

static void read_t38(const sdp_session_t *session, const sdp_media_t *media, struct core_t38 *ret_t38)
{
	const char *recovery = attribute(session, media, "T38FaxUdpEC"), *training = attribute(session, media, "T38FaxRateManagement");
	uint32_t version = read_number(session, media, "T38FaxVersion");

	*ret_t38 = (struct core_t38){
		.on = true,
		.fill_bit_removal = read_flag(media, "T38FaxFillBitRemoval"),
		.mmr = read_flag(media, "T38FaxTranscodingMMR"),
		.jbig = read_flag(media, "T38FaxTranscodingJBIG"),
		.local_tcf = training && strcasecmp(training, "localTCF") == 0,
		.version = (uint8_t)(version <= 4 ? version : 0),
		.recovery = recovery && strcasecmp(recovery, "t38UDPFEC") == 0          ? CORE_T38_FEC
			    : recovery && strcasecmp(recovery, "t38UDPRedundancy") == 0 ? CORE_T38_REDUNDANCY
											: CORE_T38_PLAIN,
		.max_bit_rate = read_number(session, media, "T38MaxBitRate"),
		.max_buffer = read_number(session, media, "T38FaxMaxBuffer"),
		.max_datagram = read_number(session, media, "T38FaxMaxDatagram"),
	};
}

static int read_audio(const sdp_session_t *session, const sdp_media_t *media, bool is_answer, struct core_media_desc *desc)
{
	const sdp_connection_t *connection = media->m_connections ? media->m_connections : session->sdp_connection;
	const char *rtcp;

	if (media->m_rejected || media->m_port == 0)
		return PBX_OK; /* present stays false: a stream refused, or taken away */
	if (media->m_port > 65535)
		return PBX_EINVAL;
	if (!read_address(connection, media->m_port, &desc->rtp))
		return connection && connection->c_address && connection->c_nettype == sdp_net_in ? PBX_ENOTSUP : PBX_EINVAL;
	desc->present = true;
	if (is_t38(media)) {
		desc->direction = CORE_SEND | CORE_RECV;
		read_t38(session, media, &desc->t38);
		return PBX_OK;
	}
	desc->secure = is_secure(media);
	desc->tls = is_tls(media);
	desc->feedback = strcasecmp(media->m_proto_name + strlen(media->m_proto_name) - 1, "F") == 0;
	read_ice(session, media, &desc->ice);
	read_dtls(session, media, is_answer, &desc->dtls);
	desc->direction = (uint8_t)media->m_mode; /* Sofia's bits are ours */
	if (is_nowhere(&desc->rtp) && !desc->ice.name.ufrag[0])
		desc->direction &= (uint8_t)~CORE_RECV;
	desc->ptime_ms = read_ms(attribute(session, media, "ptime"));
	desc->maxptime_ms = read_ms(attribute(session, media, "maxptime"));
	desc->rtcp_mux = sdp_attribute_find(media->m_attributes, "rtcp-mux") != NULL;
	desc->rtcp_rsize = sdp_attribute_find(media->m_attributes, "rtcp-rsize") != NULL;
	desc->xr = read_xr(attribute(session, media, "rtcp-xr"));
	desc->record_wish = ua_sdp_record_wish(attribute(session, media, "recordpref"));
	desc->level_id = read_level_id(media);
	rtcp = attribute(session, media, "rtcp");
	read_rtcp(rtcp, desc);
	read_codecs(media, desc);
	read_cryptos(media, desc);
	return PBX_OK;
}

static int read_session(struct ua_sdp *sdp, const sdp_session_t *session, bool is_answer, struct core_media_desc *ret_desc)
{
	struct ua_sdp next = *sdp;
	struct core_media_desc desc;
	const sdp_media_t *audio = NULL;
	uint8_t count = 0;

	memset(&desc, 0, sizeof desc);
	if (!session->sdp_media)
		return PBX_ENOTSUP;
	for (const sdp_media_t *media = session->sdp_media; media; media = media->m_next, count++) {
		if (count == UA_MOST_LINES)
			return PBX_ENOTSUP;
		if (!is_answer)
			read_line(media, &next.lines[count]);
		if (is_answer ? count == sdp->audio : audio_rank(session, media) > (audio ? audio_rank(session, audio) : 0)) {
			audio = media;
			next.audio = count;
		}
	}
	if (!audio || audio_rank(session, audio) == 0 || (is_answer && sdp->line_count > 0 && count != sdp->line_count))
		return PBX_ENOTSUP;
	next.line_count = count;
	if (!is_answer)
		next.bundled = is_bundled(session, next.lines[next.audio].mid);

	int err = read_audio(session, audio, is_answer, &desc);
	if (err != PBX_OK)
		return err;
	*sdp = next;
	*ret_desc = desc;
	return PBX_OK;
}

/* Takes one or more of the legal characters off a line. */
static bool take(const char **at, const char *end, const char *legal)
{
	const char *start = *at;

	while (*at < end && strchr(legal, **at))
		(*at)++;
	return *at > start;
}

/* A media line as the grammar has it (RFC 8866 9): media, port, protocol, and formats that are tokens. */
static bool media_line_is_sane(const char *at, const char *end)
{
	if (!take(&at, end, TOKEN) || !take(&at, end, " ") || !take(&at, end, DIGITS))
		return false;
	if (at < end && *at == '/') {
		at++;
		if (!take(&at, end, DIGITS))
			return false;
	}
	if (!take(&at, end, " ") || !take(&at, end, TOKEN))
		return false;
	(void)take(&at, end, TOKEN "/"); /* "RTP" alone is one too */
	if (!take(&at, end, " ") || !take(&at, end, TOKEN))
		return false;
	while (take(&at, end, " "))
		(void)take(&at, end, TOKEN); /* blanks at the end are common */
	return at == end;
}

/* Debian's Sofia 1.12.11 never returns from a media line with a format that is no token, and takes all memory on the way. */
static bool media_lines_are_sane(const char *body, size_t size)
{
	const char *end = body + size;

	for (const char *line = body; line < end;) {
		const char *stop = line;

		while (stop < end && *stop != '\r' && *stop != '\n')
			stop++;
		while (line < stop && (*line == ' ' || *line == '\t'))
			line++;
		if (line < stop && *line == 'm' && (stop - line < 2 || line[1] != '=' || !media_line_is_sane(line + 2, stop)))
			return false;
		line = stop + 1;
	}
	return true;
}

#define RTPMAP "a=rtpmap:"

/* An rtpmap without a clock rate (RFC 4475 has them) spoils the whole description for Sofia: its name is changed, so that it says nothing. */
static void disarm_rtpmaps(char *body)
{
	for (char *line = strstr(body, RTPMAP); line; line = strstr(line + 1, RTPMAP)) {
		const char *at = line + strlen(RTPMAP), *end = at + strcspn(at, "\r\n");

		if (!take(&at, end, DIGITS) || !take(&at, end, " ") || !take(&at, end, TOKEN) || at == end || *at++ != '/' ||
		    !take(&at, end, DIGITS))
			line[2] = 'x';
	}
}

int ua_sdp_read(struct ua_sdp *sdp, const char *body, size_t size, bool is_answer, struct core_media_desc *ret_desc)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	sdp_parser_t *parser;
	const sdp_session_t *session;
	int err = PBX_EINVAL;

	if (size == 0 || size > UA_MOST_SDP || memchr(body, '\0', size) || !media_lines_are_sane(body, size))
		return PBX_EINVAL;
	(void)su_home_init(home);
	char *copy = su_strndup(home, body, (isize_t)size);
	if (!copy) {
		su_home_deinit(home);
		return PBX_ENOMEM;
	}
	disarm_rtpmaps(copy);
	parser = sdp_parse(home, copy, (issize_t)size, sdp_f_insane);
	session = sdp_session(parser);
	if (session && session->sdp_origin)
		err = read_session(sdp, session, is_answer, ret_desc);
	sdp_parser_free(parser);
	su_home_deinit(home);
	return err;
}
