/* core/log_internal.h - between log.c (levels, limits), log_format.c (lines) and log_ring.c (memory, readers) */
#pragma once
#include "log.h"

#define CORE_LOG_MOST_FACTS 1024u
#define CORE_LOG_MOST_WORD 100u  /* of an owner, event or call id in JSON */
#define CORE_LOG_MOST_LINE 8192u /* enough for all of that when each byte needs an escape of six */

struct core_log_line {
	int64_t wall_us;
	uint32_t level;
	const char *owner, *call_id, *event, *facts; /* never NULL */
};

/* Each writes one line without its end, and returns its length. Control characters and bytes that are not UTF-8 are escaped. */
size_t core_log_text(const struct core_log_line *line, char *ret_text, size_t size);
size_t core_log_json(const struct core_log_line *line, char *ret_text, size_t size);

void core_ring_resize(uint32_t lines);
void core_ring_add(const struct core_log_line *line); /* [any] */
void core_ring_fini(void);
