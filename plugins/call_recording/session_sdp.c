/*
 * session_sdp - two streams that we send, and what a recorder makes of them
 *
 * Each stream has a label, which the metadata names; what is said of its codecs is kept as text, so that a line whose party has left can still be said, inactive. What
 * comes back is read line by line, without trusting it: a length, a count, a port or an address that cannot be makes the whole an error.
 */
#include "session_sdp.h"
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_BYTES 16384u /* of a recorder's SDP */
#define LEAST_ROOM 96u    /* for what comes after the codecs */

/* ---- writing ---- */

/* At the end of a text; false: no room, and nothing was added. */
static bool PBX_PRINTF(3, 4) add(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	int length = vsnprintf(text + used, size - used, format, args);
	va_end(args);
	if (length >= 0 && (size_t)length < size - used)
		return true;
	text[used] = '\0';
	return false;
}

static void set_type(uint64_t types[2], uint32_t type)
{
	if (type < 128)
		types[type / 64] |= 1ull << type % 64;
}

static const char *family(const char *address)
{
	return strchr(address, ':') ? "IP6" : "IP4";
}

/* Payload types go into the m= line, the rest below it. */
static void add_codec(struct session_line *line, char *types, size_t types_size, char *maps, size_t maps_size,
		      const struct pbx_fork_codec *codec)
{
	char map[256] = "", channels[16] = "";

	if (codec->channels > 1)
		(void)snprintf(channels, sizeof channels, "/%u", codec->channels);
	bool fits = add(map, sizeof map, "a=rtpmap:%u %s/%u%s\r\n", codec->payload_type, codec->name, codec->clock_hz, channels) &&
		    (!codec->fmtp || !codec->fmtp[0] || add(map, sizeof map, "a=fmtp:%u %s\r\n", codec->payload_type, codec->fmtp));

	if (!fits || strlen(types) + 6 > types_size || !add(maps, maps_size, "%s", map))
		return;
	(void)add(types, types_size, " %u", codec->payload_type);
	if (strcasecmp(codec->name, "telephone-event") != 0 && strcasecmp(codec->name, "CN") != 0)
		set_type(line->types, codec->payload_type);
}

void session_line_set(struct session_line *line, const struct pbx_fork_local *local, const char *label)
{
	char types[128] = "", maps[SESSION_LINE_SIZE - 512] = "";

	memset(line, 0, sizeof *line);
	(void)snprintf(line->address, sizeof line->address, "%s", local->address);
	for (uint32_t i = 0; i < local->codec_count; i++)
		add_codec(line, types, sizeof types, maps, sizeof maps, &local->codecs[i]);
	/* Without a codec (the leg has gone over to fax) the line still needs one. */
	(void)add(line->text, sizeof line->text, "m=audio %u RTP/%s%s\r\nc=IN %s %s\r\n", local->rtp_port, local->crypto ? "SAVP" : "AVP",
		  types[0] ? types : " 0", family(line->address), line->address);
	(void)add(line->text, sizeof line->text, "%s", maps);
	if (local->rtcp_port && local->rtcp_port != local->rtp_port + 1)
		(void)add(line->text, sizeof line->text, "a=rtcp:%u\r\n", local->rtcp_port);
	if (local->ptime_ms)
		(void)add(line->text, sizeof line->text, "a=ptime:%u\r\n", local->ptime_ms);
	if (local->crypto)
		(void)add(line->text, sizeof line->text, "a=crypto:%s\r\n", local->crypto);
	(void)add(line->text, sizeof line->text, "a=label:%s\r\n", label);
}

/* A stream that nobody has spoken in: refused by ourselves (RFC 3264 6), its place is kept. */
static void add_empty(char *text, uint32_t at)
{
	(void)add(text, SESSION_SDP_SIZE, "m=audio 0 RTP/AVP 0\r\na=label:%u\r\na=inactive\r\n", at + 1);
}

void session_sdp_write(uint64_t id, uint32_t version, const struct session_line *const lines[SESSION_STREAMS],
		       const bool sends[SESSION_STREAMS], char ret_text[SESSION_SDP_SIZE])
{
	const char *address = lines[0]->address[0] ? lines[0]->address : lines[1]->address[0] ? lines[1]->address : "0.0.0.0";

	ret_text[0] = '\0';
	(void)add(ret_text, SESSION_SDP_SIZE, "v=0\r\no=- %llu %u IN %s %s\r\ns=-\r\nt=0 0\r\n", (unsigned long long)id, version,
		  family(address), address);
	for (uint32_t at = 0; at < SESSION_STREAMS; at++)
		if (lines[at]->text[0])
			(void)add(ret_text, SESSION_SDP_SIZE, "%sa=%s\r\n", lines[at]->text, sends[at] ? "sendonly" : "inactive");
		else
			add_empty(ret_text, at);
}

/* ---- reading ---- */

struct reading {
	bool is_encrypted;
	uint32_t media;   /* m= lines so far */
	char address[48]; /* of the session */
	bool listens;     /* by default */
	bool has_key[SESSION_STREAMS];
	struct session_wish *wishes;
	const char *why; /* it is an error */
};

/* The next word of a line, up to size - 1 octets; false: there is none, or it is longer. */
static bool word(const char **at, char *ret_word, size_t size)
{
	*at += strspn(*at, " ");
	size_t length = strcspn(*at, " ");

	if (length == 0 || length >= size)
		return false;
	memcpy(ret_word, *at, length);
	ret_word[length] = '\0';
	*at += length;
	return true;
}

/* Digits and nothing else, at most `most`. */
static bool number(const char *text, unsigned long most, uint32_t *ret_number)
{
	char *end;

	if (!text[0] || text[strspn(text, "0123456789")] || strlen(text) > 9)
		return false;
	unsigned long value = strtoul(text, &end, 10);

	*ret_number = (uint32_t)value;
	return value <= most;
}

/* "audio 40000 RTP/AVP 0 8" */
static void read_media(struct reading *reading, const char *line)
{
	char kind[16], port[16], transport[24], type[8];
	uint32_t at = reading->media++, value;

	if (at >= SESSION_STREAMS)
		return;
	struct session_wish *wish = &reading->wishes[at];

	if (!word(&line, kind, sizeof kind) || !word(&line, port, sizeof port) || !word(&line, transport, sizeof transport) ||
	    strcasecmp(kind, "audio") != 0 || !number(port, 65535, &wish->rtp_port)) {
		reading->why = "a line of its SDP is no audio";
		return;
	}
	wish->is_wanted = reading->listens;
	memcpy(wish->address, reading->address, sizeof wish->address);
	while (word(&line, type, sizeof type))
		if (number(type, 127, &value))
			set_type(wish->types, value);
	if (wish->rtp_port && strcasecmp(transport, reading->is_encrypted ? "RTP/SAVP" : "RTP/AVP") != 0)
		reading->why = reading->is_encrypted ? "it does not encrypt (RTP/SAVP)" : "it wants another transport than RTP/AVP";
}

/* "IN IP4 192.0.2.7" */
static void read_connection(struct reading *reading, const char *line)
{
	char net[4], version[4], address[48];
	uint8_t octets[16];

	if (!word(&line, net, sizeof net) || !word(&line, version, sizeof version) || !word(&line, address, sizeof address) ||
	    inet_pton(strcmp(version, "IP6") == 0 ? AF_INET6 : AF_INET, address, octets) != 1) {
		reading->why = "where its SDP wants to be sent to is no address";
		return;
	}
	if (reading->media == 0)
		memcpy(reading->address, address, sizeof address);
	else if (reading->media <= SESSION_STREAMS)
		memcpy(reading->wishes[reading->media - 1].address, address, sizeof address);
}

static void read_attribute(struct reading *reading, const char *line)
{
	struct session_wish *wish = reading->media && reading->media <= SESSION_STREAMS ? &reading->wishes[reading->media - 1] : NULL;
	bool listens = strcmp(line, "recvonly") == 0 || strcmp(line, "sendrecv") == 0;
	char port[16];

	if (listens || strcmp(line, "sendonly") == 0 || strcmp(line, "inactive") == 0) {
		if (wish)
			wish->is_wanted = listens;
		else if (reading->media == 0)
			reading->listens = listens;
	} else if (wish && strncmp(line, "rtcp:", 5) == 0) {
		line += 5;
		if (!word(&line, port, sizeof port) || !number(port, 65535, &wish->rtcp_port))
			wish->rtcp_port = 0;
	} else if (wish && strncmp(line, "crypto:", 7) == 0) {
		reading->has_key[reading->media - 1] |= strncmp(line + 7, "1 AES_CM_128_HMAC_SHA1_80 ", 26) == 0;
	}
}

static void read_line(struct reading *reading, char *line)
{
	if (line[0] == 'm' && line[1] == '=')
		read_media(reading, line + 2);
	else if (line[0] == 'c' && line[1] == '=')
		read_connection(reading, line + 2);
	else if (line[0] == 'a' && line[1] == '=')
		read_attribute(reading, line + 2);
}

static bool is_nowhere(const char *address)
{
	return !address[0] || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

/* What is only known when all of it was read. */
static void settle(struct reading *reading)
{
	for (uint32_t at = 0; at < SESSION_STREAMS; at++) {
		struct session_wish *wish = &reading->wishes[at];

		wish->is_wanted = wish->is_wanted && wish->rtp_port && !is_nowhere(wish->address);
		if (wish->rtp_port && reading->is_encrypted && !reading->has_key[at])
			reading->why = "it has no key of the kind that we offer (a=crypto)";
	}
}

int session_sdp_read(const char *text, size_t length, bool is_encrypted, struct session_wish ret_wishes[SESSION_STREAMS],
		     const char **ret_why)
{
	struct reading reading = { .is_encrypted = is_encrypted, .listens = true, .wishes = ret_wishes };
	char line[512];

	memset(ret_wishes, 0, SESSION_STREAMS * sizeof *ret_wishes);
	*ret_why = "it has sent no SDP";
	if (length == 0 || length > MOST_BYTES || memchr(text, 0, length))
		return PBX_EINVAL;
	for (const char *at = text, *end = text + length; at < end && !reading.why;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t size = (size_t)((stop ? stop : end) - at);

		(void)snprintf(line, sizeof line, "%.*s", (int)(size < sizeof line ? size : sizeof line - 1),
			       at); /* longer ones are none that we read */
		line[strcspn(line, "\r")] = '\0';
		read_line(&reading, line);
		at += size + 1;
	}
	if (!reading.why && reading.media < SESSION_STREAMS)
		reading.why = "its SDP has not as many lines as ours";
	if (!reading.why)
		settle(&reading);
	*ret_why = reading.why;
	return reading.why ? PBX_EINVAL : PBX_OK;
}

bool session_wish_fits(const struct session_wish *wish, const struct session_line *line)
{
	return (wish->types[0] & line->types[0]) || (wish->types[1] & line->types[1]);
}
