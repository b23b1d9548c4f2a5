/*
 * pidf_read - the PIDF (RFC 3863, RFC 4480) that a phone publishes, read for how its user is
 *
 * With entities and the network off: only basic and activities are looked at, wherever they stand.
 */
#include "presence.h"
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

struct found {
	bool open, closed;
	uint32_t status;
};

static bool is_named(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static void look_at_activity(const xmlNode *node, struct found *found)
{
	static const struct {
		const char *name;
		uint32_t status;
	} known[] = { { "away", STATUS_AWAY },
		      { "busy", STATUS_BUSY },
		      { "meeting", STATUS_IN_MEETING },
		      { "appointment", STATUS_IN_MEETING },
		      { "on-the-phone", STATUS_IN_CALL } };

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (is_named(node, known[i].name))
			found->status = known[i].status;
}

static void look_at_basic(const xmlNode *node, struct found *found)
{
	const char *text = node->children && node->children->type == XML_TEXT_NODE ? (const char *)node->children->content : "";

	found->open = found->open || strcmp(text, "open") == 0;
	found->closed = found->closed || strcmp(text, "closed") == 0;
}

/* Every element of the tree, without recursion: libxml2 limits the depth, our stack need not know it. */
static void look_at_all(const xmlNode *root, struct found *found)
{
	const xmlNode *node = root;

	while (node) {
		if (is_named(node, "basic"))
			look_at_basic(node, found);
		if (node->parent && is_named(node->parent, "activities"))
			look_at_activity(node, found);
		if (node->type == XML_ELEMENT_NODE && node->children) {
			node = node->children;
			continue;
		}
		while (node && node != root && !node->next)
			node = node->parent;
		node = node && node != root ? node->next : NULL;
	}
}

int pidf_read(const char *text, uint32_t *ret_status)
{
	struct found found = { .status = STATUS_NONE };
	xmlDoc *document =
		xmlReadMemory(text, (int)strlen(text), "published.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	const xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
	bool is_presence = root && is_named(root, "presence");

	if (is_presence)
		look_at_all(root, &found);
	xmlFreeDoc(document);
	if (!is_presence)
		return PBX_EINVAL;
	if (found.status == STATUS_NONE && (found.open || found.closed))
		found.status = found.open ? STATUS_AVAILABLE : STATUS_OFFLINE;
	*ret_status = found.status;
	return PBX_OK;
}
