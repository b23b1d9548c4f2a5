/* core/log_ring.c - the last lines in memory, and those who read them as they come
 *
 * Any thread adds; readers live on the loop. The first line after a delivery posts the next delivery, so that a reader's callback never runs
 * inside somebody's log call. A reader slower than the ring is told how many lines it has missed by a gap in what it gets. */
#include "log_internal.h"
#include "loop.h"
#include "owner.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	char *json;
	char *owner; /* in json's memory */
	uint32_t level;
};

struct core_log_reader {
	struct core_log_reader *next;
	uint64_t next_number; /* [loop] of the line it gets next */
	uint32_t level;
	char *owner; /* NULL: every owner's */
	void (*each)(void *context, const char *line);
	void *context;
	bool gone; /* unfollowed while it was being served */
};

static struct {
	pthread_mutex_t lock;
	struct entry *entries;
	uint32_t size;
	uint64_t count; /* lines ever; line n is at n % size */
	bool has_readers;
	struct core_post_node delivery;
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct core_log_reader *readers; /* [loop] */
static bool serving;                    /* [loop] */

static void deliver(void *context);

static void entry_clear(struct entry *entry)
{
	free(entry->json);
	*entry = (struct entry){ 0 };
}

/* The line, and its owner behind it. */
static int entry_fill(struct entry *entry, const struct core_log_line *line)
{
	char json[CORE_LOG_MOST_LINE];
	size_t length = core_log_json(line, json, sizeof json) + 1;
	size_t owner_size = strlen(line->owner) + 1;
	char *memory = malloc(length + owner_size);

	if (!memory)
		return PBX_ENOMEM;
	memcpy(memory, json, length);
	memcpy(memory + length, line->owner, owner_size);
	entry_clear(entry);
	*entry = (struct entry){ .json = memory, .owner = memory + length, .level = line->level };
	return PBX_OK;
}

void core_ring_add(const struct core_log_line *line)
{
	(void)pthread_mutex_lock(&ring.lock);
	if (ring.size && entry_fill(&ring.entries[ring.count % ring.size], line) == PBX_OK)
		ring.count++;
	bool has_readers = ring.has_readers;
	(void)pthread_mutex_unlock(&ring.lock);
	if (has_readers)
		core_post_node(core_self(), &ring.delivery, deliver, NULL);
}

/* Moves the newest lines over; line numbers stay. */
void core_ring_resize(uint32_t lines)
{
	struct entry *entries = calloc(lines, sizeof *entries);

	if (!entries)
		return; /* the old ring serves on */
	(void)pthread_mutex_lock(&ring.lock);
	for (uint64_t back = ring.size < ring.count ? ring.size : ring.count; back > 0; back--) {
		struct entry *old = &ring.entries[(ring.count - back) % ring.size];

		if (back > lines)
			entry_clear(old);
		else
			entries[(ring.count - back) % lines] = *old;
	}
	free(ring.entries);
	ring.entries = entries;
	ring.size = lines;
	(void)pthread_mutex_unlock(&ring.lock);
}

void core_ring_fini(void)
{
	assert(!readers);
	(void)pthread_mutex_lock(&ring.lock);
	for (uint32_t i = 0; i < ring.size; i++)
		entry_clear(&ring.entries[i]);
	free(ring.entries);
	ring.entries = NULL;
	ring.size = 0;
	ring.count = 0;
	(void)pthread_mutex_unlock(&ring.lock);
}

/* ---- readers ---- */

static bool is_for(const struct core_log_reader *reader, const struct entry *entry)
{
	return entry->json && entry->level <= reader->level && (!reader->owner || !strcmp(reader->owner, entry->owner));
}

/* A copy of the reader's next line, NULL when it has them all. Lines that were overwritten are skipped. */
static char *next_line(struct core_log_reader *reader)
{
	char *line = NULL;

	(void)pthread_mutex_lock(&ring.lock);
	uint64_t oldest = ring.count > ring.size ? ring.count - ring.size : 0;
	if (reader->next_number < oldest)
		reader->next_number = oldest;
	while (!line && reader->next_number < ring.count) {
		const struct entry *entry = &ring.entries[reader->next_number++ % ring.size];

		if (is_for(reader, entry))
			line = strdup(entry->json);
	}
	(void)pthread_mutex_unlock(&ring.lock);
	return line;
}

/* What its callback logs itself comes with the next delivery. */
static void serve(struct core_log_reader *reader, uint64_t end)
{
	while (!reader->gone && reader->next_number < end) {
		char *line = next_line(reader);

		if (!line)
			break;
		reader->each(reader->context, line);
		free(line);
	}
}

static void bury_gone(void)
{
	for (struct core_log_reader **at = &readers; *at;) {
		struct core_log_reader *reader = *at;

		if (!reader->gone) {
			at = &reader->next;
			continue;
		}
		*at = reader->next;
		free(reader->owner);
		free(reader);
	}
	(void)pthread_mutex_lock(&ring.lock);
	ring.has_readers = readers;
	(void)pthread_mutex_unlock(&ring.lock);
}

static void deliver(void *context)
{
	(void)context;
	(void)pthread_mutex_lock(&ring.lock);
	uint64_t end = ring.count;
	(void)pthread_mutex_unlock(&ring.lock);

	serving = true;
	for (struct core_log_reader *reader = readers; reader; reader = reader->next)
		serve(reader, end);
	serving = false;
	bury_gone();
}

/* Goes back until `recent` lines that are for the reader lie ahead. */
static void rewind_by(struct core_log_reader *reader, uint32_t recent)
{
	reader->next_number = ring.count;
	for (uint64_t back = 1; recent && back <= ring.size && back <= ring.count; back++) {
		if (!is_for(reader, &ring.entries[(ring.count - back) % ring.size]))
			continue;
		reader->next_number = ring.count - back;
		recent--;
	}
}

struct core_log_reader *core_log_follow(uint32_t recent, uint32_t level, const char *owner, void (*each)(void *context, const char *line),
					void *context)
{
	core_assert_loop();
	struct core_log_reader *reader = calloc(1, sizeof *reader);
	char *owner_copy = owner ? strdup(owner) : NULL;

	if (!reader || (owner && !owner_copy)) {
		free(reader);
		free(owner_copy);
		return NULL;
	}
	*reader = (struct core_log_reader){ .next = readers, .level = level, .owner = owner_copy, .each = each, .context = context };
	readers = reader;
	(void)pthread_mutex_lock(&ring.lock);
	rewind_by(reader, recent);
	ring.has_readers = true;
	(void)pthread_mutex_unlock(&ring.lock);
	core_post_node(core_self(), &ring.delivery, deliver, NULL);
	return reader;
}

void core_log_unfollow(struct core_log_reader *reader)
{
	if (!reader)
		return;
	core_assert_loop();
	reader->gone = true;
	if (!serving)
		bury_gone();
}
