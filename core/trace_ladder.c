/*
 * trace_ladder.c - the messages of a call, copied out of the ring; and as text for the store
 *
 * Packed, each message is a line "wall_us < udp 192.0.2.1:5060 192.0.2.7:5060 612" ('<' came in, '>' went out; ours, theirs, octets) and the octets behind it.
 */
#include "trace_ladder.h"
#include "address_text.h"
#include "json_auto.h"
#include <stdlib.h>
#include <string.h>

void core_ladder_free(struct core_ladder *ladder)
{
	for (uint32_t i = 0; ladder && i < ladder->count; i++)
		free((void *)(uintptr_t)ladder->items[i].message.text);
	if (ladder)
		free(ladder->items);
	free(ladder);
}

static bool has_it_already(const struct core_ladder *ladder, const struct core_trace_message *message)
{
	for (uint32_t i = 0; i < ladder->count; i++) {
		const struct core_trace_message *before = &ladder->items[i].message;

		if (before->sent == message->sent && before->size == message->size &&
		    memcmp(before->text, message->text, message->size) == 0)
			return true;
	}
	return false;
}

static bool make_room(struct core_ladder *ladder)
{
	uint32_t room = ladder->room ? ladder->room * 2 : 16;
	struct core_ladder_item *items;

	if (ladder->count < ladder->room)
		return true;
	items = ladder->count < CORE_LADDER_MOST ? realloc(ladder->items, room * sizeof *items) : NULL;
	if (!items)
		return false;
	ladder->items = items;
	ladder->room = room;
	return true;
}

void core_ladder_add(struct core_ladder *ladder, const struct core_trace_message *message)
{
	char *text = malloc((size_t)message->size + 1);

	if (!text || !make_room(ladder)) {
		free(text);
		return;
	}
	memcpy(text, message->text, message->size);
	text[message->size] = '\0';

	bool repeat = has_it_already(ladder, message);
	struct core_ladder_item *item = &ladder->items[ladder->count++];
	item->message = *message;
	item->message.text = text;
	item->message.call_id = ladder->call_id;
	item->repeat = repeat;
	core_sip_text_read(text, message->size, &item->text);
}

struct pbx_json *core_ladder_json(const struct core_ladder *ladder, uint32_t flags)
{
	AUTO(json) struct pbx_json *list = core_json_array();

	for (uint32_t i = 0; list && i < ladder->count; i++) {
		const struct core_ladder_item *item = &ladder->items[i];
		struct pbx_json *rung = core_trace_rung(&item->message, &item->text, ladder->items[0].message.wall_us, item->repeat, flags);

		if (!rung || core_json_append(list, rung) != PBX_OK)
			return NULL;
	}
	return TAKE(list);
}

/* ---- as text -------------------------------------------------------------------------- */

static char *put_number(char *at, uint64_t number)
{
	char digits[20], *first = digits + sizeof digits;

	do
		*--first = (char)('0' + number % 10);
	while (number /= 10);
	return mempcpy(at, first, (size_t)(digits + sizeof digits - first));
}

static char *put_address(char *at, const struct core_addr *addr)
{
	core_address_print(addr, at, 64);
	at += strlen(at);
	*at++ = ' ';
	return at;
}

/* A dozen for each call, without printf, which was half of it. */
void core_ladder_write(FILE *out, const struct core_trace_message *message)
{
	char head[256], *at = put_number(head, (uint64_t)message->wall_us);

	at = stpcpy(at, message->sent ? " > " : " < ");
	at = stpcpy(at, message->transport);
	*at++ = ' ';
	at = put_address(at, &message->local);
	at = put_address(at, &message->remote);
	at = put_number(at, message->size);
	*at++ = '\n';
	(void)fwrite(head, 1, (size_t)(at - head), out); /* whoever closes the stream learns of errors */
	(void)fwrite(message->text, 1, message->size, out);
}

/* The line before the octets; false when it is none. */
static bool read_head(const char *line, size_t length, struct core_trace_message *ret_message)
{
	char head[256], local[64], remote[64], way;
	long long wall_us;
	unsigned size;

	if (length >= sizeof head)
		return false;
	memcpy(head, line, length);
	head[length] = '\0';
	memset(ret_message, 0, sizeof *ret_message);
	if (sscanf(head, "%lld %c %7s %63s %63s %u", &wall_us, &way, ret_message->transport, local, remote, &size) != 6)
		return false;
	ret_message->wall_us = wall_us;
	ret_message->sent = way == '>';
	ret_message->size = size;
	return core_trace_address_read(local, &ret_message->local) && core_trace_address_read(remote, &ret_message->remote);
}

void core_ladder_unpack(struct core_ladder *ladder, const char *packed, size_t size)
{
	const char *end = packed + size;
	struct core_trace_message message;

	while (packed < end) {
		const char *newline = memchr(packed, '\n', (size_t)(end - packed));

		if (!newline || !read_head(packed, (size_t)(newline - packed), &message) || message.size > (size_t)(end - newline - 1))
			return;
		message.text = newline + 1;
		core_ladder_add(ladder, &message);
		packed = newline + 1 + message.size;
	}
}
