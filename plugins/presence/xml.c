/*
 * xml - documents, written by libxml2
 *
 * Every failure of the writer is one of memory, so they are looked for once, at the end: then there is no document.
 */
#include "presence.h"
#include <dlfcn.h>
#include <libxml/parserInternals.h>
#include <stdlib.h>
#include <string.h>

/* libxml2 has tables that it frees at the end of the process only; were it unloaded with us, each load would leave a set behind. Whoever else uses it must
 * not find them gone either. */
void xml_keep_library(void)
{
	void *library = dlopen("libxml2.so.2", RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);

	if (library)
		(void)dlclose(library); /* it stays all the same */
}

bool xml_begin(struct xml *xml)
{
	xml->buffer = xmlBufferCreate();
	xml->writer = xml->buffer ? xmlNewTextWriterMemory(xml->buffer, 0) : NULL;
	if (!xml->writer) {
		xmlBufferFree(xml->buffer);
		return false;
	}
	(void)xmlTextWriterStartDocument(xml->writer, "1.0", "UTF-8", NULL);
	return true;
}

void xml_start(struct xml *xml, const char *element)
{
	(void)xmlTextWriterStartElement(xml->writer, BAD_CAST element);
}

#define MOST_TEXT 1024u

/* How many octets a character has that XML can hold; 0: there is none. libxml2 takes a second octet for a first one, and longer forms than need be. */
static size_t character(const char *text, size_t left)
{
	int length = left < 4 ? (int)left : 4, code = xmlGetUTF8Char(BAD_CAST text, &length);
	bool shortest = length == 1 || (length == 2 && code >= 0x80) || (length == 3 && code >= 0x800) || (length == 4 && code >= 0x10000);
	bool begins = (text[0] & 0xC0) != 0x80;

	return code > 0 && IS_CHAR(code) && shortest && begins ? (size_t)length : 0;
}

/* Names come from anybody: what XML cannot hold (control characters, octets that are no UTF-8) is a ? in it. ret_text: MOST_TEXT octets. */
static const xmlChar *clean(const char *text, char *ret_text)
{
	size_t left = strlen(text), used = 0;

	while (left > 0 && used + 5 < MOST_TEXT) {
		size_t length = character(text, left), taken = length ? length : 1;

		memcpy(ret_text + used, length ? text : "?", taken);
		used += taken;
		text += taken;
		left -= taken;
	}
	ret_text[used] = '\0';
	return BAD_CAST ret_text;
}

void xml_attribute(struct xml *xml, const char *name, const char *value)
{
	char text[MOST_TEXT];

	if (value[0])
		(void)xmlTextWriterWriteAttribute(xml->writer, BAD_CAST name, clean(value, text));
}

void xml_text(struct xml *xml, const char *element, const char *text)
{
	char cleaned[MOST_TEXT];

	(void)xmlTextWriterWriteElement(xml->writer, BAD_CAST element, clean(text, cleaned));
}

void xml_string(struct xml *xml, const char *text)
{
	char cleaned[MOST_TEXT];

	(void)xmlTextWriterWriteString(xml->writer, clean(text, cleaned));
}

void xml_end(struct xml *xml)
{
	(void)xmlTextWriterEndElement(xml->writer);
}

int xml_finish(struct presence *presence, struct xml *xml, struct pbx_document *ret_document)
{
	static const char mark[] = "version=\"#\"";
	int written = xmlTextWriterEndDocument(xml->writer);

	free(presence->head);
	xmlFreeTextWriter(xml->writer);
	presence->head = written >= 0 ? strdup((const char *)xmlBufferContent(xml->buffer)) : NULL;
	presence->tail = NULL;
	xmlBufferFree(xml->buffer);
	if (!presence->head)
		return PBX_ENOMEM;
	char *at = strstr(presence->head, mark);
	if (at) {
		at += strlen("version=\"");
		*at = '\0'; /* in place of the # */
		presence->tail = at + 1;
	}
	ret_document->head = presence->head;
	ret_document->tail = presence->tail;
	return PBX_OK;
}
