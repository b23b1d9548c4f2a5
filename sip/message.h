/* sip/message.h - short messages: taken, delivered, kept until somebody registers. All of it: [loop]. */
#pragma once
#include "loop.h"
#include "owner.h"
#include "ua.h"
#include <pbx/messages.h>
#include <pbx/store.h>

struct ua_message_settings {
	uint32_t most_bytes, keep_h, most_waiting, per_minute;
};

/* The part "messages". */
struct ua_messages {
	PBX_INSTANCE(struct ua_message_settings);
};

struct ua_attempt;

/* One that is under way. */
struct ua_message {
	struct ua_message *next;
	char id[27], from[64], from_name[128], to[64];
	char *content_type, *body;
	uint32_t size;
	int64_t sent_wall_us;
	bool stored;     /* it has come out of the table, and is still there */
	bool settled;    /* its sender knows what has become of it */
	bool forgetting; /* the table is being told that it has been delivered */
	uint32_t pending, refusal;
	struct ua_attempt *attempts;
	nta_incoming_t *asked;    /* the MESSAGE that brought it */
	pbx_message_done_fn done; /* or the plugin that did */
	void *self;
	struct core_charge charge;
	struct core_post_node delivery; /* of what a plugin sends */
};

extern struct ua_messages *ua_messages_part; /* NULL: does not run */

/* ---- message.c ---- */
struct ua_message *ua_message_new(const struct pbx_message *given); /* under way from now on. NULL: no memory, or too many */
void ua_message_free(struct ua_message *message);
struct ua_message *ua_message_under_way(const char *id);                  /* NULL: it is not */
void ua_message_tell(const struct ua_message *message, const char *type); /* an event of that type */
void ua_message_deliver(struct ua_message *message);                      /* may free it */
void ua_message_delivered(struct ua_message *message);
void ua_message_end_delivery(struct ua_message *message); /* each way has been tried; may free it */
/* What has come out of the table: a copy is on its way. */
void ua_message_deliver_stored(const struct pbx_message *message);
void ua_message_kept(struct ua_message *message, int result); /* by message_store.c: it is safe, or not */
void ua_message_forgotten(struct ua_message *message);
void ua_messages_close(void);

/* ---- message_doors.c ---- */
void ua_message(struct ua_request *request); /* a MESSAGE outside of dialogs; answers in any case */
int ua_message_send(struct pbx_host *host, const struct pbx_message *message, pbx_message_done_fn done, void *self, char ret_id[27]);
int ua_message_receive(struct pbx_host *host, const char *number, pbx_message_fn received, void *self);
bool ua_message_give_to_receiver(struct ua_message *message); /* false: nobody receives for its number. May free it */
void ua_message_doors_close(void);

/* ---- message_devices.c ---- */
void ua_message_try_devices(struct ua_message *message); /* message->pending: how many are asked */
void ua_message_forget_devices(struct ua_message *message);

/* ---- message_store.c ---- */
/* Writes it down; ua_message_kept() follows. PBX_OK, PBX_ENOSPC (too many wait for this recipient), PBX_ENOMEM. */
int ua_message_keep(struct ua_message *message);
void ua_message_forget(struct ua_message *message); /* it has been delivered; ua_message_forgotten() follows while it is forgetting */
/* Takes back one that waits, of an account's ("": of anybody's). done: one row when there was one. */
int ua_message_remove(const char *id, const char *account, pbx_rows_fn done, void *self);
/* Counts one of a sender's messages. False: too many within a minute. */
bool ua_message_may_send(const char *account);
int ua_message_store_open(struct ua_messages *messages);
void ua_message_store_close(void);
