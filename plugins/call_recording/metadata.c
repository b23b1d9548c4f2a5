/*
 * metadata - rs-metadata documents (RFC 7865), written by libxml2
 *
 * A complete one says everything as it is now; a partial one what has changed, which is who has come and who has gone: a party that left is named once more, with the
 * time. The two streams keep their ids and labels whoever speaks in them. Failures of the writer are those of memory, and looked for once, at the end.
 */
#include "metadata.h"
#include <dlfcn.h>
#include <libxml/xmlwriter.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMESPACE "urn:ietf:params:xml:ns:recording:1"
#define OWN_NAMESPACE "urn:x-warden-pbx:recording"
#define MOST_TEXT 256u

/* It has tables that it frees at the end of the process only: were it unloaded with us, each load would leave a set behind. */
void metadata_keep_library(void)
{
	void *library = dlopen("libxml2.so.2", RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);

	if (library)
		(void)dlclose(library); /* it stays all the same */
}

/* ---- ids ---- */

static void write_id(const uint8_t octets[16], char ret_id[METADATA_ID_SIZE])
{
	(void)EVP_EncodeBlock((unsigned char *)ret_id, octets, 16);
}

void metadata_id(char ret_id[METADATA_ID_SIZE])
{
	uint8_t octets[16];

	arc4random_buf(octets, sizeof octets);
	write_id(octets, ret_id);
}

/* 26 digits of five bits, the first two bits of which are zeros. */
void metadata_id_of_ulid(const char *ulid, char ret_id[METADATA_ID_SIZE])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint8_t octets[16] = { 0 };

	for (; *ulid; ulid++) {
		const char *digit = strchr(digits, *ulid);
		unsigned carry = digit ? (unsigned)(digit - digits) : 0;

		for (size_t i = sizeof octets; i-- > 0;) {
			unsigned shifted = ((unsigned)octets[i] << 5) | carry;

			octets[i] = (uint8_t)shifted;
			carry = shifted >> 8;
		}
	}
	write_id(octets, ret_id);
}

const char *metadata_label(uint32_t at)
{
	return at == 0 ? "1" : "2";
}

/* ---- text ---- */

/* How many octets a character has that XML can hold, written as short as can be; 0: there is none. */
static size_t character(const unsigned char *text)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = text[0] < 0x80 ? 1 : (text[0] & 0xE0) == 0xC0 ? 2 : (text[0] & 0xF0) == 0xE0 ? 3 : (text[0] & 0xF8) == 0xF0 ? 4 : 0;
	unsigned code = length == 1 ? text[0] : text[0] & (0x7Fu >> length);

	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xC0) != 0x80) /* the text's end, too */
			return 0;
		code = code << 6 | (text[i] & 0x3F);
	}
	bool is_char =
		code >= 0x20 && code != 0x7F && !(code >= 0xD800 && code < 0xE000) && code != 0xFFFE && code != 0xFFFF && code < 0x110000;

	return length && is_char && code >= least[length] ? length : 0;
}

/* Names come from anybody: what XML cannot hold is a ? in it. */
static const xmlChar *clean(const char *text, char ret_text[MOST_TEXT])
{
	size_t used = 0;

	while (*text && used + 5 < MOST_TEXT) {
		size_t length = character((const unsigned char *)text), taken = length ? length : 1;

		memcpy(ret_text + used, length ? text : "?", taken);
		used += taken;
		text += taken;
	}
	ret_text[used] = '\0';
	return (const xmlChar *)ret_text;
}

static void start(xmlTextWriter *xml, const char *element)
{
	(void)xmlTextWriterStartElement(xml, (const xmlChar *)element);
}

static void end(xmlTextWriter *xml)
{
	(void)xmlTextWriterEndElement(xml);
}

static void attribute(xmlTextWriter *xml, const char *name, const char *value)
{
	char text[MOST_TEXT];

	(void)xmlTextWriterWriteAttribute(xml, (const xmlChar *)name, clean(value, text));
}

static void element(xmlTextWriter *xml, const char *name, const char *value)
{
	char text[MOST_TEXT];

	(void)xmlTextWriterWriteElement(xml, (const xmlChar *)name, clean(value, text));
}

static void time_element(xmlTextWriter *xml, const char *name, int64_t wall_us)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	char date[24], text[40];
	struct tm tm;

	if (wall_us == 0)
		return;
	(void)gmtime_r(&seconds, &tm);
	(void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text, sizeof text, "%s.%03uZ", date, (unsigned)(wall_us / 1000 % 1000));
	element(xml, name, text);
}

/* ---- the parts, in the order of the schema ---- */

/* What is no sipSessionID, which is another header's value (RFC 7989), and has no other name there. */
static void call_id_element(xmlTextWriter *xml, const char *call_id)
{
	char text[MOST_TEXT];

	(void)xmlTextWriterWriteElementNS(xml, NULL, (const xmlChar *)"call-id", (const xmlChar *)OWN_NAMESPACE, clean(call_id, text));
}

static void write_session(xmlTextWriter *xml, const struct metadata *metadata)
{
	start(xml, "group");
	attribute(xml, "group_id", metadata->group_id);
	time_element(xml, "associate-time", metadata->since_us);
	end(xml);
	start(xml, "session");
	attribute(xml, "session_id", metadata->session_id);
	element(xml, "group-ref", metadata->group_id);
	time_element(xml, "start-time", metadata->since_us);
	for (uint32_t i = 0; i < 2; i++)
		if (metadata->call_ids[i][0])
			call_id_element(xml, metadata->call_ids[i]);
	end(xml);
}

static void write_participant(xmlTextWriter *xml, const struct metadata_party *party)
{
	start(xml, "participant");
	attribute(xml, "participant_id", party->participant_id);
	start(xml, "nameID");
	attribute(xml, "aor", party->aor);
	if (party->name[0])
		element(xml, "name", party->name);
	end(xml);
	end(xml);
}

static void write_streams(xmlTextWriter *xml, const struct metadata *metadata)
{
	for (uint32_t at = 0; at < 2; at++) {
		start(xml, "stream");
		attribute(xml, "stream_id", metadata->stream_id[at]);
		attribute(xml, "session_id", metadata->session_id);
		element(xml, "label", metadata_label(at));
		end(xml);
	}
}

static void write_recorded(xmlTextWriter *xml, const struct metadata *metadata)
{
	start(xml, "sessionrecordingassoc");
	attribute(xml, "session_id", metadata->session_id);
	time_element(xml, "associate-time", metadata->since_us);
	end(xml);
}

static void write_times(xmlTextWriter *xml, const struct metadata_party *party)
{
	time_element(xml, "associate-time", party->since_us);
	time_element(xml, "disassociate-time", party->until_us);
}

static void write_presence(xmlTextWriter *xml, const struct metadata *metadata, const struct metadata_party *party)
{
	start(xml, "participantsessionassoc");
	attribute(xml, "participant_id", party->participant_id);
	attribute(xml, "session_id", metadata->session_id);
	write_times(xml, party);
	end(xml);
}

static void write_voice(xmlTextWriter *xml, const struct metadata *metadata, const struct metadata_party *party)
{
	start(xml, "participantstreamassoc");
	attribute(xml, "participant_id", party->participant_id);
	element(xml, "send", metadata->stream_id[party->stream]);
	element(xml, "recv", metadata->stream_id[1 - party->stream]);
	write_times(xml, party);
	end(xml);
}

static void write_recording(xmlTextWriter *xml, const struct metadata *metadata)
{
	(void)xmlTextWriterStartElementNS(xml, NULL, (const xmlChar *)"recording", (const xmlChar *)NAMESPACE);
	element(xml, "datamode", metadata->is_complete ? "complete" : "partial");
	if (metadata->is_complete)
		write_session(xml, metadata);
	for (uint32_t i = 0; i < metadata->party_count; i++)
		if (!metadata->parties[i]->until_us)
			write_participant(xml, metadata->parties[i]);
	if (metadata->is_complete) {
		write_streams(xml, metadata);
		write_recorded(xml, metadata);
	}
	for (uint32_t i = 0; i < metadata->party_count; i++)
		write_presence(xml, metadata, metadata->parties[i]);
	for (uint32_t i = 0; i < metadata->party_count; i++)
		write_voice(xml, metadata, metadata->parties[i]);
	end(xml);
}

char *metadata_write(const struct metadata *metadata)
{
	xmlBuffer *buffer = xmlBufferCreate();
	xmlTextWriter *xml = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL;
	char *text = NULL;

	if (xml) {
		(void)xmlTextWriterStartDocument(xml, "1.0", "UTF-8", NULL);
		write_recording(xml, metadata);
		bool good = xmlTextWriterEndDocument(xml) >= 0;

		xmlFreeTextWriter(xml);
		text = good ? strdup((const char *)xmlBufferContent(buffer)) : NULL;
	}
	xmlBufferFree(buffer);
	return text;
}
