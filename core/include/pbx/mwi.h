/* pbx/mwi.h - message counts of mailboxes: the lamp that says "you have messages" (RFC 3842)
 * Served by the core as "pbx.mwi/1". All of it: [loop].
 *
 * Who keeps a mailbox states its counts whenever they are others; who shows them hears of it. The two need not know of each other, and may come and go in
 * any order. When the owner goes nobody knows of messages any more: the counts are told once more, as none. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed. */
struct pbx_mailbox {
	uint32_t size;
	uint32_t new_voice, old_voice;   /* messages not heard yet, and heard; the urgent ones among them are counted here too */
	uint32_t new_urgent, old_urgent; /* of these, the urgent ones */
	uint32_t new_fax, old_fax;
	bool provisional;   /* said on behalf of a system that is no plugin: gives way to a plugin that keeps this mailbox itself */
	const char *number; /* what phones subscribe to: most often an extension */
	const char *owner;  /* told by each() and to listeners: who states it; not read by state() */
};

typedef void (*pbx_mailbox_fn)(void *context, const struct pbx_mailbox *mailbox);

struct pbx_mwi {
	struct pbx_header header;

	/* PBX_OK, PBX_EINVAL (no number, or more new urgent messages than new ones), PBX_EEXIST (another owner states this mailbox), PBX_ENOMEM. */
	int (*state)(struct pbx_host *host, const struct pbx_mailbox *mailbox);
	/* There is no such mailbox any more. PBX_OK, PBX_ENOENT (we have not stated it). */
	int (*withdraw)(struct pbx_host *host, const char *number);
	/* changed(self, mailbox) whenever counts are others. One listener of an owner. PBX_OK, PBX_ENOMEM. */
	int (*listen)(struct pbx_host *host, pbx_mailbox_fn changed, void *self);
	/* each(context, mailbox) for one, or for all: number NULL. How many there were. */
	uint32_t (*each)(const char *number, pbx_mailbox_fn each, void *context);
};

PBX_SERVICE(pbx_mwi, "pbx.mwi/1")

#ifdef __cplusplus
}
#endif
