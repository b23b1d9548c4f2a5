/*
 * feature_event - what phones and servers say of feature keys: application/x-as-feature-event+xml, elements of CSTA (ECMA-323)
 *
 * Read from a phone's SUBSCRIBE, with entities and the network off; written for its NOTIFY as multipart/mixed, an event for each feature. Only digits and signs
 * of a number ever stand in what is written.
 */
#include "feature_event.h"
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

#define NAMESPACE "http://www.ecma-international.org/standards/ecma-323/csta/ed3"

static const char *const forwarding_types[FEATURE_FORWARDS] = { "forwardImmediate", "forwardBusy", "forwardNoAns" };

/* ---- reading ---------------------------------------------------------------------------- */

static bool is_named(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

/* The text of a child element; "" when it is not there or holds more than text. */
static const char *child_text(const xmlNode *node, const char *name)
{
	for (const xmlNode *child = node->children; child; child = child->next)
		if (is_named(child, name) && child->children && child->children->type == XML_TEXT_NODE && !child->children->next)
			return (const char *)child->children->content;
	return "";
}

/* What is dialled of "sip:1002@pbx;user=phone", "tel:+4930…" or "1002". False: it is too long, or no number. */
static bool read_number(const char *text, char ret_number[FEATURE_NUMBER])
{
	size_t length;

	text += strspn(text, " \t\r\n");
	if (strncasecmp(text, "sip:", 4) == 0 || strncasecmp(text, "tel:", 4) == 0)
		text += 4;
	else if (strncasecmp(text, "sips:", 5) == 0)
		text += 5;
	length = strcspn(text, "@; \t\r\n");
	if (length >= FEATURE_NUMBER || strspn(text, "0123456789*#+") < length)
		return false;
	memcpy(ret_number, text, length);
	ret_number[length] = '\0';
	return true;
}

static bool read_switch(const char *text, bool *ret_on)
{
	*ret_on = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
	return *ret_on || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

static bool read_forwarding(const xmlNode *root, struct feature_change *change)
{
	const char *type = child_text(root, "forwardingType");

	change->what = FEATURE_FORWARDS;
	for (uint32_t i = 0; i < FEATURE_FORWARDS; i++)
		if (strcmp(type, forwarding_types[i]) == 0)
			change->what = i;
	return change->what < FEATURE_FORWARDS && read_switch(child_text(root, "activateForward"), &change->on) &&
	       read_number(child_text(root, "forwardDN"), change->number);
}

int feature_event_read(const char *text, struct feature_change *ret_change)
{
	xmlDoc *document =
		xmlReadMemory(text, (int)strlen(text), "feature.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	const xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
	struct feature_change change = { .what = FEATURE_DND };
	bool good = false;

	if (root && is_named(root, "SetDoNotDisturb"))
		good = read_switch(child_text(root, "doNotDisturbOn"), &change.on);
	else if (root && is_named(root, "SetForwarding"))
		good = read_forwarding(root, &change);
	xmlFreeDoc(document);
	if (!good)
		return PBX_EINVAL;
	*ret_change = change;
	return PBX_OK;
}

/* ---- writing ---------------------------------------------------------------------------- */

static void part(FILE *out, const char *name, const char *number)
{
	(void)fprintf(out,
		      "--part\r\nContent-Type: " FEATURE_TYPE "\r\n\r\n"
		      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s xmlns=\"" NAMESPACE "\"><device>%s</device>",
		      name, number);
}

char *feature_event_write(const struct feature_state *state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	part(out, "DoNotDisturbEvent", state->number);
	(void)fprintf(out, "<doNotDisturbOn>%s</doNotDisturbOn></DoNotDisturbEvent>\r\n", state->dnd ? "true" : "false");
	for (uint32_t i = 0; i < FEATURE_FORWARDS; i++) {
		part(out, "ForwardingEvent", state->number);
		(void)fprintf(out, "<forwardingType>%s</forwardingType><forwardStatus>%s</forwardStatus><forwardTo>%s</forwardTo>",
			      forwarding_types[i], state->forward[i][0] ? "true" : "false", state->forward[i]);
		(void)fprintf(out, "</ForwardingEvent>\r\n");
	}
	(void)fputs("--part--\r\n", out);
	return fclose(out) == 0 ? text : NULL;
}
