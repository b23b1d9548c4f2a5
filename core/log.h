/* core/log.h - an event and its facts, for people and programs
 *
 * To stderr or the journal (with <n> level prefix), to a file (reopened on SIGHUP) and to a ring in memory that `pbxctl log follow` reads.
 * Level per owner, changeable at run time; a line that repeats more than 20 times a second is counted and said once. [any] unless noted. */
#pragma once
#include <pbx/plugin.h>

int core_log_init(void); /* stderr at info until configured */
void core_log_fini(void);

struct core_log_config {
	const char *target; /* "stderr", "journal", "file" */
	const char *file;
	const char *format; /* "text", "json" */
	uint32_t level;     /* PBX_LOG_… */
	uint32_t ring_lines;
};
int core_log_configure(const struct core_log_config *config, struct pbx_diag *diag); /* [loop] */
int core_log_reopen(void);                                                           /* [loop] SIGHUP */
int core_log_set_level(const char *owner, uint32_t level, uint32_t for_ms);          /* owner NULL: all; for_ms 0: until changed. [loop] */

/* call_id: the call's ULID or NULL. */
void core_log(uint32_t level, const char *owner, const char *call_id, const char *event, const char *format, ...) PBX_PRINTF(5, 6);
void core_logv(uint32_t level, const char *owner, const char *call_id, const char *event, const char *format, va_list args);
bool core_log_wanted(uint32_t level, const char *owner);

/* Lines as they come (following) after the last `recent`: each(context, JSON line). [loop] */
struct core_log_reader;
struct core_log_reader *core_log_follow(uint32_t recent, uint32_t level, const char *owner, void (*each)(void *context, const char *line),
					void *context);
void core_log_unfollow(struct core_log_reader *reader);

const char *core_level_name(uint32_t level);
int core_level_parse(const char *name, uint32_t *ret_level);

/* How a call's handle becomes its ULID: calls.c tells. Without it, or off the loop, lines name no call. [loop] */
void core_log_set_namer(const char *(*call_id)(pbx_call call));
void core_log_call_id(pbx_call call, char ret_id[32]); /* "" when there is none. [any] */
/* Says what the rate limit has kept back for more than a second. [any] */
void core_log_flush(void);
