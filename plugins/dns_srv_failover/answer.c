/*
 * answer - reads a DNS message: header, question, answers, and the SOA that says how long nothing is nothing
 *
 * Every read goes through a cursor that cannot leave the message; a cursor that would is spoilt and reads zeros. Names may point back
 * (RFC 1035 4.1.4), always to an earlier place, so a circle cannot be.
 */
#include "answer.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define HEADER_BYTES 12u
#define RCODE_NO_NAME 3u
#define CLASS_IN 1u
#define MOST_JUMPS 32u         /* within a name */
#define MOST_NEGATIVE_S 10800u /* RFC 2308 5 */

struct cursor {
	const uint8_t *bytes;
	size_t size, at;
	bool spoilt;
};

static uint8_t read_8(struct cursor *cursor)
{
	if (cursor->at >= cursor->size)
		cursor->spoilt = true;
	return cursor->spoilt ? 0 : cursor->bytes[cursor->at++];
}

static uint16_t read_16(struct cursor *cursor)
{
	uint16_t high = read_8(cursor);

	return (uint16_t)(high << 8 | read_8(cursor));
}

static uint32_t read_32(struct cursor *cursor)
{
	uint32_t high = read_16(cursor);

	return high << 16 | read_16(cursor);
}

static void skip(struct cursor *cursor, size_t count)
{
	if (count > cursor->size - cursor->at)
		cursor->spoilt = true;
	else
		cursor->at += count;
}

/* ---- names ---------------------------------------------------------------------------- */

static bool is_host_char(int c)
{
	return (c < 128 && isalnum(c)) || c == '-' || c == '_';
}

/* One label at the end of a name; false: a host has no such name. */
static bool add_label(struct cursor *cursor, uint8_t length, char *name, size_t *at_in_name)
{
	bool good = *at_in_name + length + 3 < DNS_NAME; /* 253 and a zero, with the dot */

	if (good && *at_in_name)
		name[(*at_in_name)++] = '.';
	for (uint8_t i = 0; i < length; i++) {
		int c = read_8(cursor);

		good = good && is_host_char(c);
		if (good)
			name[(*at_in_name)++] = (char)tolower(c);
	}
	return good;
}

/* A name as text in lower case; the cursor is behind it afterwards. False: spoilt, or not a name that a host can have. */
static bool read_name(struct cursor *cursor, char ret_name[DNS_NAME])
{
	struct cursor at = *cursor; /* goes astray while the cursor waits behind the first pointer */
	size_t length = 0, earliest = cursor->at;
	uint32_t jumps = 0;
	bool good = true;

	for (;;) {
		uint8_t octet = read_8(&at);

		if (!jumps)
			cursor->at = at.at;
		if (at.spoilt || !octet)
			break;
		if ((octet & 0xc0) == 0xc0) {
			size_t to = (size_t)(octet & 0x3f) << 8 | read_8(&at);

			if (!jumps)
				cursor->at = at.at;
			if (to >= earliest || ++jumps > MOST_JUMPS)
				at.spoilt = true;
			earliest = at.at = to;
		} else if (octet & 0xc0) {
			at.spoilt = true;
		} else {
			good = add_label(&at, octet, ret_name, &length) && good;
		}
	}
	cursor->spoilt |= at.spoilt;
	ret_name[good && !at.spoilt ? length : 0] = '\0';
	return good && !at.spoilt;
}

bool dns_name_check(const char *text, char ret_name[DNS_NAME])
{
	size_t length = strlen(text), label = 0;

	if (length && text[length - 1] == '.')
		length--;
	if (!length || length > 253)
		return false;
	for (size_t i = 0; i < length; i++) {
		label = text[i] == '.' ? 0 : label + 1;
		if (text[i] == '.' ? i == 0 || i + 1 == length || text[i - 1] == '.' : !is_host_char((unsigned char)text[i]))
			return false;
		if (label > 63)
			return false;
		ret_name[i] = (char)tolower((unsigned char)text[i]);
	}
	ret_name[length] = '\0';
	return true;
}

/* ---- records -------------------------------------------------------------------------- */

struct row {
	char owner[DNS_NAME];
	uint16_t type;
	uint32_t ttl_s;
	struct cursor data; /* ends with the record's data, but names in it may point to all that is before */
	bool good;          /* of our class, with a name that can be */
};

static bool read_row(struct cursor *cursor, struct row *ret_row)
{
	ret_row->good = read_name(cursor, ret_row->owner);
	ret_row->type = read_16(cursor);
	ret_row->good = read_16(cursor) == CLASS_IN && ret_row->good;
	ret_row->ttl_s = read_32(cursor);
	if (ret_row->ttl_s > INT32_MAX)
		ret_row->ttl_s = 0; /* RFC 2181 8 */
	size_t length = read_16(cursor);
	ret_row->data = *cursor;
	skip(cursor, length);
	ret_row->data.size = cursor->at;
	return !cursor->spoilt;
}

/* A character-string (RFC 1035 3.3) in capitals, small letters or as it came; longer ones do not fit and read as "". */
static void read_text(struct cursor *cursor, char *ret_text, size_t size, int (*fold)(int))
{
	size_t length = read_8(cursor);
	bool fits = length < size;

	for (size_t i = 0; i < length; i++) {
		int c = read_8(cursor);

		if (fits)
			ret_text[i] = (char)fold(c);
	}
	ret_text[fits ? length : 0] = '\0';
}

static int as_it_is(int c)
{
	return c;
}

static bool read_record(struct row *row, struct dns_record *ret_record)
{
	struct cursor *data = &row->data;
	char flags[4];

	memset(ret_record, 0, sizeof *ret_record);
	if (row->type == DNS_A || row->type == DNS_AAAA) {
		size_t length = row->type == DNS_A ? 4 : 16;

		if (data->size - data->at != length)
			return false;
		memcpy(ret_record->address, data->bytes + data->at, length);
		return true;
	}
	ret_record->priority = read_16(data);
	ret_record->weight = read_16(data);
	if (row->type == DNS_SRV) {
		ret_record->port = read_16(data);
	} else {
		read_text(data, flags, sizeof flags, tolower);
		read_text(data, ret_record->service, sizeof ret_record->service, toupper);
		read_text(data, ret_record->regexp, sizeof ret_record->regexp, as_it_is);
		ret_record->flag = flags[0];
	}
	return read_name(data, ret_record->name) && !data->spoilt;
}

/* ---- the message ---------------------------------------------------------------------- */

static void shorten(uint32_t *ttl_s, uint32_t by)
{
	if (by < *ttl_s)
		*ttl_s = by;
}

/* Follows aliases from name as far as they go. ret_name is where they end. */
static void follow(struct cursor start, uint16_t count, char ret_name[DNS_NAME], uint32_t *ttl_s)
{
	for (uint32_t hop = 0; hop < DNS_MOST_HOPS; hop++) {
		struct cursor cursor = start;
		struct row row;
		char target[DNS_NAME];
		bool found = false;

		for (uint16_t i = 0; i < count && !found && read_row(&cursor, &row); i++)
			found = row.good && row.type == DNS_CNAME && strcmp(row.owner, ret_name) == 0 && read_name(&row.data, target);
		if (!found)
			return;
		shorten(ttl_s, row.ttl_s);
		memcpy(ret_name, target, sizeof target);
	}
}

/* How long nothing is nothing (RFC 2308 5): the lesser of the SOA's own time and its last number. */
static uint32_t negative_ttl_s(struct cursor *cursor, uint16_t count)
{
	struct row row;
	char name[DNS_NAME];
	uint32_t ttl_s = 0;

	for (uint16_t i = 0; i < count && read_row(cursor, &row); i++) {
		if (row.type != DNS_SOA)
			continue;
		(void)read_name(&row.data, name);
		(void)read_name(&row.data, name); /* a mailbox may have dots in it: only its length matters */
		skip(&row.data, 16);
		ttl_s = read_32(&row.data);
		shorten(&ttl_s, row.ttl_s);
		return row.data.spoilt ? 0 : ttl_s < MOST_NEGATIVE_S ? ttl_s : MOST_NEGATIVE_S;
	}
	return 0;
}

static void read_answers(struct cursor *cursor, uint16_t count, const char *name, uint16_t type, struct dns_answer *answer)
{
	char owner[DNS_NAME];
	struct row row;

	(void)snprintf(owner, sizeof owner, "%s", name);
	answer->ttl_s = UINT32_MAX;
	follow(*cursor, count, owner, &answer->ttl_s);
	for (uint16_t i = 0; i < count && read_row(cursor, &row); i++) {
		if (!row.good || row.type != type || strcmp(row.owner, owner) != 0 || answer->count == DNS_MOST_RECORDS)
			continue;
		if (!read_record(&row, &answer->records[answer->count]))
			continue;
		shorten(&answer->ttl_s, row.ttl_s);
		answer->count++;
	}
}

void dns_answer_read(const uint8_t *bytes, size_t size, const char *name, uint16_t type, struct dns_answer *ret_answer)
{
	struct cursor cursor = { .bytes = bytes, .size = size };
	char asked[DNS_NAME];

	ret_answer->outcome = DNS_BROKEN;
	ret_answer->ttl_s = ret_answer->count = 0;
	if (size < HEADER_BYTES)
		return;
	(void)read_16(&cursor);
	const uint16_t flags = read_16(&cursor), questions = read_16(&cursor), answers = read_16(&cursor), authorities = read_16(&cursor);
	const uint16_t rcode = flags & 0xf;
	cursor.at = HEADER_BYTES;
	for (uint16_t i = 0; i < questions && !cursor.spoilt; i++) {
		(void)read_name(&cursor, asked);
		skip(&cursor, 4);
	}
	if (cursor.spoilt || !(flags & 0x8000))
		return;
	if (rcode && rcode != RCODE_NO_NAME) {
		ret_answer->outcome = DNS_FAILED;
		return;
	}
	read_answers(&cursor, answers, name, type, ret_answer);
	if (cursor.spoilt) {
		ret_answer->count = 0;
		return;
	}
	ret_answer->outcome = ret_answer->count ? DNS_FOUND : DNS_NOTHING;
	if (!ret_answer->count)
		ret_answer->ttl_s = negative_ttl_s(&cursor, authorities);
}
