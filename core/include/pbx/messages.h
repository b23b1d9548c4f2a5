/* pbx/messages.h - short messages between phones, plugins and people (RFC 3428), with store and forward
 * Served as "pbx.messages/1" by the SIP part. All of it: [loop].
 * Events: message.received, message.stored, message.delivered {message_id, from, to, content_type, size}. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed until the function or callback returns. Texts are never NULL when we give one; as one gives it, NULL is "". */
struct pbx_message {
	uint32_t size;
	const char *id;               /* ours to give: ignored by send */
	const char *from, *from_name; /* number of the sender; of a phone its account, which it has proved */
	const char *to;               /* number */
	const char *content_type;     /* "text/plain;charset=UTF-8" */
	const char *body;             /* not ended by a zero */
	uint32_t body_size;
	int64_t sent_wall_us; /* send: 0 is now */
};

#define PBX_MESSAGE_DELIVERED 1u /* a device, or who receives for that number, has it */
#define PBX_MESSAGE_STORED 2u    /* it waits for a device to register, for messages.keep_h hours */
#define PBX_MESSAGE_REFUSED 3u   /* too many wait already, or the device does not want such content */

typedef void (*pbx_message_fn)(void *self, const struct pbx_message *message);
typedef void (*pbx_message_done_fn)(void *self, const char *id, uint32_t outcome);

struct pbx_messages {
	struct pbx_header header;

	/* To all devices of an account, or to who receives for the number. done (may be NULL) follows once, never before send has returned.
	 * PBX_OK, PBX_ENOENT (no such number), PBX_ENOSPC (more than messages.most_bytes), PBX_EINVAL (no recipient or content type),
	 * PBX_ENOMEM. */
	int (*send)(struct pbx_host *host, const struct pbx_message *message, pbx_message_done_fn done, void *self, char ret_id[27]);

	/* What is sent to this number is ours, even when an account has it. PBX_OK, PBX_EEXIST (somebody has it), PBX_EINVAL, PBX_ENOMEM. */
	int (*receive)(struct pbx_host *host, const char *number, pbx_message_fn received, void *self);
};

PBX_SERVICE(pbx_messages, "pbx.messages/1")

#ifdef __cplusplus
}
#endif
