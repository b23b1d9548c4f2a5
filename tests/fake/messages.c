/* messages.c - short messages that plugins send (pbx/messages.h): each phone keeps the latest */
#include "fake_internal.h"
#include "loop.h"
#include <string.h>

#define MOST_PHONES 32u

static struct inbox {
	char number[32], text[300];
} inboxes[MOST_PHONES];

static struct inbox *inbox_of(const char *number)
{
	struct inbox *inbox = inboxes;

	while (inbox->number[0] && strcmp(inbox->number, number) != 0)
		inbox++;
	ck_assert_msg(inbox < inboxes + MOST_PHONES - 1, "too many phones");
	return inbox;
}

static int messages_send(struct pbx_host *host, const struct pbx_message *message, pbx_message_done_fn done, void *self, char ret_id[27])
{
	struct inbox *inbox = inbox_of(message->to);

	(void)done, (void)self;
	core_ulid(ret_id);
	ck_assert_ptr_nonnull(host);
	(void)snprintf(inbox->number, sizeof inbox->number, "%s", message->to);
	(void)snprintf(inbox->text, sizeof inbox->text, "%s: %.*s", message->from, (int)message->body_size, message->body);
	return PBX_OK;
}

static int messages_receive(struct pbx_host *host, const char *number, pbx_message_fn received, void *self)
{
	(void)host, (void)number, (void)received, (void)self;
	return PBX_OK; /* nobody writes here */
}

const struct pbx_messages fake_messages_service = { .header = PBX_HEADER(struct pbx_messages),
						    .send = messages_send,
						    .receive = messages_receive };

const char *fake_message(struct fake_pbx *pbx, const char *who)
{
	(void)pbx;
	return inbox_of(who)->text;
}
