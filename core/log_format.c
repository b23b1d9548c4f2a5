/* core/log_format.c - a log line as text and as JSON
 *
 * Facts are written as `name=value name=value`; in JSON each becomes a member of "facts". A value reaches to the next word that has a name
 * and an equals sign, so it may contain spaces. What does not begin with a name is the member "text". */
#include "log_internal.h"
#include <string.h>
#include <time.h>

struct out {
	char *text;
	size_t at, size; /* one byte is kept for the zero */
};

static void put(struct out *out, char c)
{
	if (out->at + 1 < out->size)
		out->text[out->at++] = c;
}

static void put_text(struct out *out, const char *text)
{
	while (*text)
		put(out, *text++);
}

/* Bytes of the UTF-8 character at text, 0 when it is none (RFC 3629 4). */
static size_t utf8_length(const unsigned char *text)
{
	size_t length = text[0] < 0x80 ? 1 : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4 : text[0] >= 0xe0 ? 3 : text[0] >= 0xc2 ? 2 : 0;

	if (text[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf0 && text[1] < 0x90) ||
	    (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

/* One character, or an escape that shows which byte stood there. Returns how many bytes of text it took. */
static size_t put_safe(struct out *out, const char *text, bool json)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *bytes = (const unsigned char *)text;
	size_t length = utf8_length(bytes);

	if (length == 0 || bytes[0] < 0x20 || bytes[0] == 0x7f) {
		if (out->at + 7 > out->size)
			return 1;
		put_text(out, json ? (length ? "\\u00" : "\\ufffd") : "\\x");
		if (length || !json) {
			put(out, hex[bytes[0] >> 4]);
			put(out, hex[bytes[0] & 15]);
		}
		return 1;
	}
	if (out->at + length + 2 > out->size) /* no half characters or half escapes at the end of a cut line */
		return length;
	if (json && (*text == '"' || *text == '\\'))
		put(out, '\\');
	for (size_t i = 0; i < length; i++)
		put(out, text[i]);
	return length;
}

static void put_safe_text(struct out *out, const char *text, const char *end, bool json)
{
	while (text < end)
		text += put_safe(out, text, json);
}

static void put_quoted(struct out *out, const char *text, const char *end)
{
	put(out, '"');
	put_safe_text(out, text, end, true);
	put(out, '"');
}

static void put_time(struct out *out, int64_t wall_us)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;
	char text[40];

	(void)gmtime_r(&seconds, &tm);
	size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + length, sizeof text - length, ".%06dZ", (int)(wall_us % 1000000));
	put_text(out, text);
}

size_t core_log_text(const struct core_log_line *line, char *ret_text, size_t size)
{
	struct out out = { ret_text, 0, size };

	put_time(&out, line->wall_us);
	put(&out, ' ');
	put_text(&out, core_level_name(line->level));
	put(&out, ' ');
	put_text(&out, line->owner);
	put(&out, ' ');
	put_text(&out, line->call_id[0] ? line->call_id : "-");
	put(&out, ' ');
	put_text(&out, line->event);
	if (line->facts[0])
		put(&out, ' ');
	put_safe_text(&out, line->facts, line->facts + strlen(line->facts), false);
	out.text[out.at] = '\0';
	return out.at;
}

/* The length of a name that is followed by an equals sign; 0: there is none. */
static size_t name_length(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return length && text[length] == '=' ? length : 0;
}

static const char *value_end(const char *text)
{
	for (; *text; text++)
		if (*text == ' ' && name_length(text + 1))
			break;
	return text;
}

static void put_facts(struct out *out, const char *facts)
{
	put(out, '{');
	for (const char *at = facts; *at;) {
		size_t length = name_length(at);
		const char *value = length ? at + length + 1 : at;
		const char *end = value_end(value);

		if (length)
			put_quoted(out, at, at + length);
		else
			put_text(out, "\"text\"");
		put(out, ':');
		put_quoted(out, value, end);
		at = *end ? end + 1 : end;
		if (*at)
			put(out, ',');
	}
	put(out, '}');
}

static void put_member(struct out *out, const char *name, const char *text)
{
	put_text(out, ",\"");
	put_text(out, name);
	put_text(out, "\":");
	put_quoted(out, text, text + strnlen(text, CORE_LOG_MOST_WORD));
}

size_t core_log_json(const struct core_log_line *line, char *ret_text, size_t size)
{
	struct out out = { ret_text, 0, size };

	put_text(&out, "{\"time\":\"");
	put_time(&out, line->wall_us);
	put(&out, '"');
	put_member(&out, "level", core_level_name(line->level));
	put_member(&out, "owner", line->owner);
	if (line->call_id[0])
		put_member(&out, "call_id", line->call_id);
	put_member(&out, "event", line->event);
	put_text(&out, ",\"facts\":");
	put_facts(&out, line->facts);
	put(&out, '}');
	out.text[out.at] = '\0';
	return out.at;
}
