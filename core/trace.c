/*
 * trace.c - the ring of messages, and which of them belong together
 *
 * Positions count bytes for ever; a position's place in the memory is its remainder. An entry never wraps: what is left at the end of the
 * memory is skipped. Each entry knows the one before it in its dialog, and a table of fixed size (sets of four) knows the last one of each
 * dialog, so that the messages of a call are found without a search. A dialog that is forgotten early loses its older messages to view, and
 * nothing else; those of known calls are forgotten last.
 */
#include "trace.h"
#include "loop.h"
#include <stdlib.h>
#include <string.h>

#define SETS 16384u
#define WAYS 4u
#define BUCKETS 1024u
#define MOST_DIALOGS 16u /* of a call: further ones are not shown with it */
#define ALIGN 8u

struct entry {
	uint64_t position, previous, dialog; /* previous 0: it is the first of its dialog */
	int64_t wall_us;
	uint32_t size, length; /* of the text; of all of it in the ring */
	struct core_addr local, remote;
	char transport[7];
	bool sent;
	char text[];
};

/* Four of them are a line of the processor's cache, for each message looks at a set. */
struct dialog {
	uint64_t id, last; /* id 0: free */
};

typedef char call_name[27]; /* a call's id; "": nobody's */

struct traced_call {
	struct traced_call *next;
	call_name id;
	uint32_t dialog_count;
	uint64_t dialogs[MOST_DIALOGS];
};

static struct {
	char *memory;
	uint64_t capacity, head, tail; /* tail: the oldest entry; head: where the next one begins */
	struct dialog *dialogs;
	call_name *owners; /* of the dialogs, in the same order */
	struct traced_call *calls[BUCKETS];
	uint32_t call_count;
	uint64_t seed, messages, bytes, overwritten;
	void (*listener)(void);
} trace;

/* ---- the memory ----------------------------------------------------------------------- */

static struct entry *entry_at(uint64_t position)
{
	return (struct entry *)(void *)(trace.memory + position % trace.capacity);
}

/* Behind this, up to the end of the memory, there is room for no entry. */
static uint64_t skip_end(uint64_t position)
{
	uint64_t left = trace.capacity - position % trace.capacity;

	return left < sizeof(struct entry) ? position + left : position;
}

static uint64_t behind(uint64_t position)
{
	return skip_end(position + entry_at(position)->length);
}

static bool is_kept(uint64_t position)
{
	return position >= trace.tail && position < trace.head;
}

static void make_room(uint64_t up_to)
{
	while (trace.tail < trace.head && up_to - trace.tail > trace.capacity) {
		trace.overwritten += entry_at(trace.tail)->size > 0;
		trace.tail = behind(trace.tail);
	}
	if (trace.tail > trace.head)
		trace.tail = trace.head;
}

/* The place of the next entry. What is left at the end of the memory becomes an entry without text. */
static struct entry *claim(uint32_t length)
{
	uint64_t left = trace.capacity - trace.head % trace.capacity;

	if (left < length) {
		make_room(trace.head + left);
		*entry_at(trace.head) = (struct entry){ .position = trace.head, .length = (uint32_t)left };
		trace.head += left;
	}
	make_room(trace.head + length);
	return entry_at(trace.head);
}

int core_trace_init(uint32_t ring_bytes)
{
	uint64_t capacity = ((uint64_t)ring_bytes + 4095) / 4096 * 4096;

	core_trace_fini();
	trace.memory = capacity >= 4ull * CORE_TRACE_MOST_BYTES ? calloc(1, capacity) : NULL;
	trace.dialogs = aligned_alloc(WAYS * sizeof *trace.dialogs, (size_t)SETS * WAYS * sizeof *trace.dialogs);
	trace.owners = calloc((size_t)SETS * WAYS, sizeof *trace.owners);
	if (!trace.memory || !trace.dialogs || !trace.owners) {
		core_trace_fini();
		return PBX_ENOMEM;
	}
	memset(trace.dialogs, 0, (size_t)SETS * WAYS * sizeof *trace.dialogs);
	trace.capacity = capacity;
	trace.head = trace.tail = capacity; /* 0 is nobody's position */
	arc4random_buf(&trace.seed, sizeof trace.seed);
	return PBX_OK;
}

void core_trace_fini(void)
{
	for (uint32_t i = 0; i < BUCKETS; i++)
		for (struct traced_call *call = trace.calls[i], *next; call; call = next) {
			next = call->next;
			free(call);
		}
	free(trace.memory);
	free(trace.dialogs);
	free(trace.owners);
	memset(&trace, 0, sizeof trace);
}

void core_trace_set_listener(void (*listener)(void))
{
	trace.listener = listener;
}

/* ---- dialogs and calls ---------------------------------------------------------------- */

/* FNV-1a with a start that nobody outside knows: who chooses a Call-ID cannot choose whose messages it is shown with. */
static uint64_t hash(const char *text, size_t length)
{
	uint64_t value = trace.seed ^ 0xcbf29ce484222325ull;

	for (size_t i = 0; i < length; i++)
		value = (value ^ (unsigned char)text[i]) * 0x100000001b3ull;
	return value | 1;
}

static struct dialog *dialog_find(uint64_t id)
{
	struct dialog *set = &trace.dialogs[(id >> 17) % SETS * WAYS];

	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].id == id)
			return &set[i];
	return NULL;
}

static char *owner_of(const struct dialog *dialog)
{
	return trace.owners[dialog - trace.dialogs];
}

static struct dialog *dialog_get(uint64_t id)
{
	struct dialog *set = &trace.dialogs[(id >> 17) % SETS * WAYS], *victim = set, *found = dialog_find(id);

	if (found)
		return found;
	for (unsigned i = 1; i < WAYS; i++) {
		bool owned = owner_of(&set[i])[0], victim_owned = owner_of(victim)[0];
		if ((!owned && victim_owned) || (owned == victim_owned && set[i].last < victim->last))
			victim = &set[i];
	}
	*victim = (struct dialog){ .id = id };
	owner_of(victim)[0] = '\0';
	return victim;
}

static struct traced_call **call_place(const char *call_id)
{
	struct traced_call **at = &trace.calls[hash(call_id, strlen(call_id)) / 2 % BUCKETS];

	while (*at && strcmp((*at)->id, call_id) != 0)
		at = &(*at)->next;
	return at;
}

static struct traced_call *call_get(const char *call_id)
{
	struct traced_call **at = call_place(call_id);

	if (!*at && (*at = calloc(1, sizeof **at))) {
		memcpy((*at)->id, call_id, strnlen(call_id, sizeof(*at)->id - 1));
		trace.call_count++;
	}
	return *at;
}

void core_trace_bind(const char *sip_call_id, const char *call_id)
{
	struct traced_call *call = trace.memory && call_id[0] ? call_get(call_id) : NULL;
	uint64_t id = hash(sip_call_id, strlen(sip_call_id));

	if (!call) /* off, or no memory: it is not shown with the call */
		return;
	memcpy(owner_of(dialog_get(id)), call->id, sizeof call->id);
	for (uint32_t i = 0; i < call->dialog_count; i++)
		if (call->dialogs[i] == id)
			return;
	if (call->dialog_count < MOST_DIALOGS)
		call->dialogs[call->dialog_count++] = id;
}

void core_trace_forget(const char *call_id)
{
	struct traced_call **at = trace.memory ? call_place(call_id) : NULL, *call = at ? *at : NULL;

	if (!call)
		return;
	for (uint32_t i = 0; i < call->dialog_count; i++) {
		struct dialog *dialog = dialog_find(call->dialogs[i]);

		if (dialog && strcmp(owner_of(dialog), call->id) == 0)
			owner_of(dialog)[0] = '\0';
	}
	*at = call->next;
	free(call);
	trace.call_count--;
}

/* ---- in ------------------------------------------------------------------------------- */

static void copy_parts(char *to, uint32_t room, const struct iovec *parts, uint32_t count)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < count && used < room; i++) {
		uint32_t size = parts[i].iov_len > room - used ? room - used : (uint32_t)parts[i].iov_len;

		memcpy(to + used, parts[i].iov_base, size);
		used += size;
	}
}

static uint32_t size_of(const struct iovec *parts, uint32_t count)
{
	uint64_t size = 0;

	for (uint32_t i = 0; i < count; i++)
		size += parts[i].iov_len;
	return size > CORE_TRACE_MOST_BYTES ? CORE_TRACE_MOST_BYTES : (uint32_t)size;
}

void core_trace_capture(bool sent, const char *transport, const struct core_addr *local, const struct core_addr *remote,
			const struct iovec *parts, uint32_t count)
{
	uint32_t size = trace.memory ? size_of(parts, count) : 0, id_length;
	uint32_t length = ((uint32_t)sizeof(struct entry) + size + ALIGN - 1) / ALIGN * ALIGN;
	const char *id;

	if (size == 0)
		return;
	struct entry *entry = claim(length);
	*entry = (struct entry){ .position = trace.head,
				 .wall_us = core_wall_us(),
				 .size = size,
				 .length = length,
				 .local = *local,
				 .remote = *remote,
				 .sent = sent };
	memcpy(entry->transport, transport, strnlen(transport, sizeof entry->transport - 1));
	copy_parts(entry->text, size, parts, count);
	core_trace_mask(entry->text, size, &id, &id_length);
	struct dialog *dialog = dialog_get(hash(id, id_length));
	entry->dialog = dialog->id;
	entry->previous = dialog->last;
	dialog->last = trace.head;
	trace.head = skip_end(trace.head + length);
	trace.messages++;
	trace.bytes += size;
	if (trace.listener)
		trace.listener();
}

/* ---- out ------------------------------------------------------------------------------ */

static void show(const struct entry *entry, struct core_trace_message *ret_message)
{
	const struct dialog *dialog = dialog_find(entry->dialog);

	*ret_message = (struct core_trace_message){ .position = entry->position,
						    .dialog = entry->dialog,
						    .wall_us = entry->wall_us,
						    .sent = entry->sent,
						    .local = entry->local,
						    .remote = entry->remote,
						    .call_id = dialog ? owner_of(dialog) : "",
						    .text = entry->text,
						    .size = entry->size };
	memcpy(ret_message->transport, entry->transport, sizeof entry->transport);
}

bool core_trace_next(uint64_t *cursor, struct core_trace_message *ret_message)
{
	if (*cursor < trace.tail)
		*cursor = trace.tail;
	while (*cursor < trace.head) {
		const struct entry *entry = entry_at(*cursor);

		*cursor = behind(*cursor);
		if (entry->size) {
			show(entry, ret_message);
			return true;
		}
	}
	return false;
}

uint64_t core_trace_end(void)
{
	return trace.head;
}

bool core_trace_is_repeat(const struct core_trace_message *message)
{
	if (!is_kept(message->position))
		return false;
	for (uint64_t at = entry_at(message->position)->previous; is_kept(at); at = entry_at(at)->previous) {
		const struct entry *entry = entry_at(at);

		if (entry->sent == message->sent && entry->size == message->size && memcmp(entry->text, message->text, message->size) == 0)
			return true;
	}
	return false;
}

struct positions {
	uint64_t *items;
	uint32_t count, room;
};

static void positions_add(struct positions *positions, uint64_t position)
{
	if (positions->count == positions->room) {
		uint32_t room = positions->room ? positions->room * 2 : 64;
		uint64_t *items = realloc(positions->items, room * sizeof *items);

		if (!items) /* without memory the oldest are not shown */
			return;
		positions->items = items;
		positions->room = room;
	}
	positions->items[positions->count++] = position;
}

static int by_position(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

uint32_t core_trace_call(const char *call_id, core_trace_fn fn, void *context)
{
	const struct traced_call *call = trace.memory ? *call_place(call_id) : NULL;
	const uint64_t alone = hash(call_id, strlen(call_id)), *dialogs = call ? call->dialogs : &alone;
	struct positions positions = { 0 };
	struct core_trace_message message;

	for (uint32_t i = 0; trace.memory && i < (call ? call->dialog_count : 1); i++) {
		const struct dialog *dialog = dialog_find(dialogs[i]);

		for (uint64_t at = dialog ? dialog->last : 0; is_kept(at); at = entry_at(at)->previous)
			positions_add(&positions, at);
	}
	if (positions.count)
		qsort(positions.items, positions.count, sizeof *positions.items, by_position);
	for (uint32_t i = 0; i < positions.count; i++) {
		show(entry_at(positions.items[i]), &message);
		fn(context, &message);
	}
	free(positions.items);
	return positions.count;
}

void core_trace_stats(struct core_trace_stats *ret_stats)
{
	*ret_stats = (struct core_trace_stats){ .messages = trace.messages,
						.bytes = trace.bytes,
						.overwritten = trace.overwritten,
						.used_bytes = trace.head - trace.tail,
						.ring_bytes = trace.capacity,
						.calls = trace.call_count };
}
