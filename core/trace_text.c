/*
 * trace_text.c - reads a captured SIP message for people
 *
 * Line by line, each header by the functions of one table. A header that is folded is read up to the fold: for what is shown that will do.
 */
#include "trace_text.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *at, *end;
};

static void take(struct span span, char *ret_text, size_t size)
{
	size_t length = span.end > span.at ? (size_t)(span.end - span.at) : 0;

	if (length > size - 1)
		length = size - 1;
	if (length)
		memcpy(ret_text, span.at, length);
	ret_text[length] = '\0';
}

#define TAKE_TEXT(span, array) take((span), (array), sizeof(array))

static struct span trimmed(struct span span)
{
	while (span.at < span.end && (*span.at == ' ' || *span.at == '\t'))
		span.at++;
	while (span.end > span.at && (span.end[-1] == '\r' || span.end[-1] == ' ' || span.end[-1] == '\t'))
		span.end--;
	return span;
}

/* What stands before the first of these characters; *span moves behind it. */
static struct span until(struct span *span, const char *stops)
{
	struct span part = { span->at, span->at };

	while (part.end < span->end && !strchr(stops, *part.end))
		part.end++;
	span->at = part.end < span->end ? part.end + 1 : part.end;
	return part;
}

static const char *find_in(struct span span, const char *what)
{
	size_t size = strlen(what);

	for (const char *at = span.at; at + size <= span.end; at++)
		if (strncasecmp(at, what, size) == 0)
			return at;
	return NULL;
}

/* ---- parts of headers ----------------------------------------------------------------- */

/* sip:user@host:port;params */
static void read_uri(struct span uri, char *ret_user, size_t user_size, char *ret_host, size_t host_size)
{
	struct span rest = uri, scheme = until(&rest, ":");
	bool is_tel = scheme.end - scheme.at == 3 && strncasecmp(scheme.at, "tel", 3) == 0;
	const char *at = rest.at < rest.end ? memchr(rest.at, '@', (size_t)(rest.end - rest.at)) : NULL;

	ret_user[0] = ret_host[0] = '\0';
	if (is_tel) {
		take(until(&rest, ";>"), ret_user, user_size);
		return;
	}
	if (at) {
		struct span user = { rest.at, at };
		take(until(&user, ";:"), ret_user, user_size);
		rest.at = at + 1;
	}
	take(until(&rest, ";> ?"), ret_host, host_size);
}

/* "Name" <sip:…>;tag=… */
static void read_party(struct span value, char *user, size_t user_size, char *host, size_t host_size, char *tag, size_t tag_size)
{
	const char *open = memchr(value.at, '<', (size_t)(value.end - value.at)), *tag_at = find_in(value, ";tag=");
	struct span uri = { open ? open + 1 : value.at, value.end };

	read_uri(uri, user, user_size, host, host_size);
	if (tag_at) {
		struct span rest = { tag_at + 5, value.end };
		take(until(&rest, "; "), tag, tag_size);
	}
}

#define READ_PARTY(value, which)                                                                                                           \
	read_party((value), which##_user, sizeof which##_user, which##_host, sizeof which##_host, which##_tag, sizeof which##_tag)

static void read_credentials(struct span value, struct core_sip_text *ret)
{
	const char *at = find_in(value, "username=\"");

	ret->has_credentials = true;
	if (at) {
		struct span rest = { at + 10, value.end };
		TAKE_TEXT(until(&rest, "\""), ret->auth_user);
	}
}

/* ---- SDP ------------------------------------------------------------------------------ */

/* a=rtpmap:97 opus/48000/2; what has no rtpmap is one of RFC 3551's. */
static void add_codec(struct core_sip_sdp *sdp, struct span name)
{
	size_t used = strlen(sdp->codecs), length = (size_t)(name.end - name.at);
	bool is_voice =
		!(length == 15 && strncasecmp(name.at, "telephone-event", 15) == 0) && !(length == 2 && strncasecmp(name.at, "CN", 2) == 0);

	if (is_voice && used + length + 2 < sizeof sdp->codecs)
		(void)snprintf(sdp->codecs + used, sizeof sdp->codecs - used, "%s%.*s", used ? " " : "", (int)length, name.at);
}

struct sdp_reader {
	struct core_sip_sdp *sdp;
	bool in_audio, in_other, has_own_address;
	uint8_t types[32];
	struct span names[32];
	uint32_t type_count;
};

static const char *static_name(unsigned type)
{
	static const char *const names[] = {
		[0] = "PCMU", [3] = "GSM", [4] = "G723", [8] = "PCMA", [9] = "G722", [15] = "G728", [18] = "G729"
	};

	return type < sizeof names / sizeof names[0] ? names[type] : NULL;
}

static void read_media(struct sdp_reader *reader, struct span value)
{
	struct span kind = until(&value, " "), port = until(&value, " "), profile = until(&value, " ");

	reader->in_other = reader->in_audio || kind.end - kind.at != 5 || strncmp(kind.at, "audio", 5) != 0;
	reader->in_audio = reader->in_audio || !reader->in_other;
	if (reader->in_other)
		return;
	reader->sdp->present = true;
	reader->sdp->port = (uint16_t)strtoul(port.at, NULL, 10);
	reader->sdp->secure = memmem(profile.at, (size_t)(profile.end - profile.at), "SAVP", 4) != NULL;
	while (value.at < value.end && reader->type_count < 32) {
		unsigned type = (unsigned)strtoul(until(&value, " ").at, NULL, 10);
		const char *name = static_name(type);

		reader->types[reader->type_count] = (uint8_t)type;
		reader->names[reader->type_count++] = (struct span){ name, name ? name + strlen(name) : NULL };
	}
}

static void read_address(struct sdp_reader *reader, struct span value)
{
	bool has_own = reader->in_audio && !reader->in_other;

	if (reader->in_other || (reader->has_own_address && !has_own))
		return;
	(void)until(&value, " "); /* IN */
	(void)until(&value, " "); /* IP4 */
	TAKE_TEXT(until(&value, "/ "), reader->sdp->address);
	reader->has_own_address = has_own;
}

static void read_rtpmap(struct sdp_reader *reader, struct span value)
{
	unsigned type = (unsigned)strtoul(until(&value, " ").at, NULL, 10);

	for (uint32_t i = 0; i < reader->type_count; i++)
		if (reader->types[i] == type)
			reader->names[i] = until(&value, "/");
}

static void read_attribute(struct sdp_reader *reader, struct span value)
{
	static const char *const directions[] = { "sendrecv", "sendonly", "recvonly", "inactive" };

	if (reader->in_other)
		return;
	if (value.end - value.at > 7 && strncmp(value.at, "rtpmap:", 7) == 0) {
		value.at += 7;
		read_rtpmap(reader, value);
		return;
	}
	for (size_t i = 0; i < 4; i++)
		if ((size_t)(value.end - value.at) == strlen(directions[i]) && memcmp(value.at, directions[i], strlen(directions[i])) == 0)
			TAKE_TEXT(value, reader->sdp->direction);
}

static void read_sdp(struct span body, struct core_sip_sdp *sdp)
{
	struct sdp_reader reader = { .sdp = sdp };

	memcpy(sdp->direction, "sendrecv", 9);
	while (body.at < body.end) {
		struct span line = trimmed(until(&body, "\n"));
		struct span value = { line.at + 2, line.end };

		if (line.end - line.at < 2 || line.at[1] != '=')
			continue;
		if (line.at[0] == 'm')
			read_media(&reader, value);
		else if (line.at[0] == 'c')
			read_address(&reader, value);
		else if (line.at[0] == 'a')
			read_attribute(&reader, value);
	}
	for (uint32_t i = 0; i < reader.type_count; i++)
		if (reader.names[i].at)
			add_codec(sdp, reader.names[i]);
}

/* ---- the message ---------------------------------------------------------------------- */

static void read_first_line(struct span line, struct core_sip_text *ret)
{
	TAKE_TEXT(line, ret->line);
	if (line.end - line.at > 8 && strncmp(line.at, "SIP/2.0 ", 8) == 0) {
		struct span rest = { line.at + 8, line.end };
		ret->status = (uint32_t)strtoul(until(&rest, " ").at, NULL, 10);
		TAKE_TEXT(rest, ret->phrase);
		return;
	}
	TAKE_TEXT(until(&line, " "), ret->method);
	read_uri(until(&line, " "), ret->request_user, sizeof ret->request_user, ret->request_host, sizeof ret->request_host);
}

static bool is_named(struct span name, const char *full, char brief)
{
	size_t length = (size_t)(name.end - name.at);

	return (length == strlen(full) && strncasecmp(name.at, full, length) == 0) || (brief && length == 1 && (*name.at | 32) == brief);
}

static void read_contact(struct span value, struct core_sip_text *ret)
{
	const char *expires = find_in(value, ";expires=");

	TAKE_TEXT(value, ret->contact);
	if (expires)
		ret->expires_s = (int64_t)strtoul(expires + sizeof ";expires=" - 1, NULL, 10);
}

static void read_header(struct span line, struct core_sip_text *ret)
{
	struct span value = line, name = trimmed(until(&value, ":"));

	value = trimmed(value);
	if (is_named(name, "From", 'f'))
		READ_PARTY(value, ret->from);
	else if (is_named(name, "To", 't'))
		READ_PARTY(value, ret->to);
	else if (is_named(name, "Call-ID", 'i'))
		TAKE_TEXT(value, ret->call_id);
	else if (is_named(name, "User-Agent", 0) || is_named(name, "Server", 0))
		TAKE_TEXT(value, ret->agent);
	else if (is_named(name, "Reason", 0) && !ret->reason[0])
		TAKE_TEXT(value, ret->reason);
	else if (is_named(name, "Warning", 0) && !ret->warning[0])
		TAKE_TEXT(value, ret->warning);
	else if (is_named(name, "Contact", 'm') && !ret->contact[0])
		read_contact(value, ret);
	else if (is_named(name, "Expires", 0) && ret->expires_s < 0)
		ret->expires_s = (int64_t)strtoul(value.at, NULL, 10);
	else if (is_named(name, "Authorization", 0) || is_named(name, "Proxy-Authorization", 0))
		read_credentials(value, ret);
	else if (is_named(name, "WWW-Authenticate", 0) || is_named(name, "Proxy-Authenticate", 0))
		ret->is_challenge = true, ret->is_stale = ret->is_stale || find_in(value, "stale=true");
	else if (is_named(name, "CSeq", 0)) {
		ret->cseq = (uint32_t)strtoul(until(&value, " ").at, NULL, 10);
		if (ret->status)
			TAKE_TEXT(trimmed(value), ret->method);
	}
}

void core_sip_text_read(const char *text, uint32_t size, struct core_sip_text *ret)
{
	char head[8192]; /* numbers are read with strtoul: it needs an end */
	uint32_t kept = size < sizeof head - 1 ? size : (uint32_t)sizeof head - 1;

	memset(ret, 0, sizeof *ret);
	ret->expires_s = -1;
	memcpy(head, text, kept);
	head[kept] = '\0';

	struct span rest = { head, head + kept };
	read_first_line(trimmed(until(&rest, "\n")), ret);
	while (rest.at < rest.end) {
		struct span line = trimmed(until(&rest, "\n"));

		if (line.at >= line.end)
			break;
		read_header(line, ret);
	}
	if (rest.end - rest.at > 2 && strncmp(rest.at, "v=", 2) == 0)
		read_sdp(rest, &ret->sdp);
}

bool core_address_is_private(const char *address)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, address, &four) == 1) {
		uint32_t value = ntohl(four.s_addr);

		return value >> 24 == 10 || value >> 20 == 0xac1 || value >> 16 == 0xc0a8 || value >> 22 == 0x64400000u >> 22 ||
		       value >> 16 == 0xa9fe;
	}
	if (inet_pton(AF_INET6, address, &six) == 1)
		return (six.s6_addr[0] & 0xfe) == 0xfc || (six.s6_addr[0] == 0xfe && (six.s6_addr[1] & 0xc0) == 0x80);
	return false;
}
