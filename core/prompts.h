/* core/prompts.h - prompts inside the daemon: folders, files, rules of languages; serves "pbx.prompts/1". All of it: [loop].
 *
 * prompts.c  which file      say.c  which prompts, one after the other      say_rules.c  rules read from a file      prompts_part.c  settings, routes, commands
 * prompts_site.c  a site's own, put in place and taken away */
#pragma once
#include <pbx/prompts.h>

#define CORE_MOST_LANGUAGE 16u /* characters, with the zero */
#define CORE_MOST_PROMPT_ID 64u

/* Where to look, best first, and what to fall back to; reads the rules of every language that is there. Copies. PBX_OK, PBX_ENOMEM. */
int core_prompts_set(const char *const *folders, uint32_t count, const char *language);
void core_prompts_fini(void);

/* As pbx_prompts.find; text may be an absolute path as well, which is found as it is. */
int core_prompts_find(const char *language, const char *text, uint32_t rate_hz, char *ret_path, uint32_t size);
int core_prompts_compose(const char *language, const struct pbx_say *parts, uint32_t count, void (*each)(void *context, const char *id),
			 void *context);

bool core_prompts_is_id(const char *text);
bool core_prompts_is_language(const char *text); /* a folder's name */
const char *core_prompts_default_language(void);
const char *core_prompts_own_folder(void); /* the first of them, where a site's own lie; NULL: there is none */
/* Each prompt of a language, as it would be heard there, by id; nothing of the languages that it falls back to. */
void core_prompts_each(const char *language, void (*each)(void *context, const char *id, const char *path, bool is_own), void *context);

/* Calls use(context, language) for de-AT, de, the default and en, each once, until it says true. */
bool core_prompts_languages(const char *language, bool (*use)(void *context, const char *language), void *context);

/* ---- say_rules.c ---- */

/* One line of say.rules: how a set says the numbers from first to last, or something with a name. */
struct core_say_rule {
	struct core_say_rule *next;
	char set[24], name[16]; /* name: "" for a rule by number */
	int64_t first, last, divisor;
	char *words;
};

/* The rules of a language whose file was read; NULL: it has none. */
const struct core_say_rule *core_say_rules(const char *language);
/* Reads a file. PBX_OK, PBX_ENOENT, PBX_EINVAL (diag: "LINE: what is wrong"), PBX_ENOMEM. */
int core_say_rules_read(const char *language, const char *path, struct pbx_diag *diag);
void core_say_rules_fini(void);

extern const struct pbx_prompts core_prompts_service;
