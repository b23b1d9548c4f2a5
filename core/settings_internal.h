/* core/settings_internal.h - what the files of core/settings*.c know of each other. All of it: [loop].
 *
 * settings_yaml.c   files to a tree of nodes, each with the place it stands at
 * settings_text.c   what a scalar says once ${…} and secret:// are put in
 * settings_problem.c sentences about what is wrong, and what may have been meant
 * settings_value.c  one node to one typed value, or a sentence that helps
 * settings_shown.c  values as JSON, and whether two are the same
 * settings_block.c  a whole section's values in one counted block
 * settings_pack.c   what files and store say of one section, for another process
 * settings_judge.c  whether a section's values fit one another
 * settings_build.c  one section's values, from files, store and defaults
 * settings_unknown.c sections of a file that nobody has declared
 * settings_waiting.c what was changed and waits for a restart
 * settings.c        sections, what is current, and changes that happen wholly or not at all
 * settings_store.c  values kept in the store, revisions and undo
 * settings_doc.c    what people are shown: show, JSON Schema, the reference manual */
#pragma once
#include <pbx/json.h>

/* ---- problems (settings_problem.c) ------------------------------------------------------ */

/* Where sentences go: the first into diag, each into list, either may be NULL. */
struct core_problems {
	struct pbx_diag *diag;
	struct pbx_json *list;
	uint32_t count;
	bool no_memory; /* then count may be 0 and the work is not done all the same */
};

/* A place in a file; file NULL: none, the value was typed or is kept in the store. */
struct core_place {
	const char *file;
	uint32_t line, column;
};

/* "file:line:column: path: text". path may be "". */
void core_problem(struct core_problems *problems, const struct core_place *place, const char *path, const char *format, ...)
	PBX_PRINTF(4, 5);
/* PBX_OK, PBX_EINVAL or PBX_ENOMEM. */
int core_problems_result(const struct core_problems *problems);

/* The name among `count` that somebody who wrote `wrong` may have meant; NULL: none is near. */
const char *core_did_you_mean(const char *wrong, const char *const *names, uint32_t count);

/* ---- files (settings_yaml.c) ------------------------------------------------------------ */

#define CORE_NODE_NONE 0u /* nothing behind the colon */
#define CORE_NODE_TEXT 1u
#define CORE_NODE_MAP 2u
#define CORE_NODE_LIST 3u

struct core_node {
	uint32_t kind;
	bool quoted;                        /* "30" is a text, 30 is not, where it matters */
	struct core_place key_place, place; /* file names belong to struct core_files */
	char *key;                          /* in a mapping */
	char *text;
	struct core_node *child, *next;
};

/* All that was read at one time, merged. Dotted keys have become mappings. */
struct core_files {
	char *main, *directory; /* "" when there is none: defaults only */
	struct core_node *root; /* a mapping */
	char **names;
	uint32_t count;
};

/* Reads main_file (NULL: nothing) and conf.d beside it. NULL: problems tells. */
struct core_files *core_files_read(const char *main_file, struct core_problems *problems);
void core_files_free(struct core_files *files);
/* The node at a dotted path; NULL: not there. */
const struct core_node *core_node_find(const struct core_node *map, const char *path);
/* A value as it was typed: `text` itself, or with yaml what YAML makes of it. NULL: problems tells. */
struct core_node *core_node_typed(const char *text, bool yaml, const char *path, struct core_problems *problems);
void core_node_free(struct core_node *node);

/* ---- values (settings_value.c) ----------------------------------------------------------- */

struct core_block;

/* Circumstances of reading values. */
struct core_reading {
	struct core_problems *problems;
	const char *directory;    /* of the main file: for relative ${file:…} and secrets.d */
	struct core_block *block; /* takes the texts */
};

#define CORE_MOST_TEXT_BYTES 65536u

/* A text that grows. */
struct core_grown {
	char *bytes;
	size_t used, size;
};

/* The text of a scalar with everything put in; into is to be finished in any case. False: problems tells. (settings_text.c) */
bool core_text_resolve(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node, const char *path,
		       struct core_grown *into);
bool core_grown_add(struct core_grown *text, const char *bytes, size_t length); /* a zero follows them. false: no memory */
void core_grown_fini(struct core_grown *text);

/* Reads node as row demands into the structure at base. In what stands in a file ${…} is replaced. False: problems tells. */
bool core_value_read(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node, const char *path,
		     void *base);
/* The row's default. False: no memory. */
bool core_value_default(struct core_block *block, const struct pbx_setting *row, void *base);
/* "a whole number from 1 to 5 ms", "one of udp, tcp"; what a person may write. */
void core_value_expected(const struct pbx_setting *row, char *ret_text, size_t size);

/* ---- values that were read (settings_shown.c) --------------------------------------------- */

/* The value in base, typed; secrets are "(set)" or "(none)". */
struct pbx_json *core_value_json(const struct pbx_setting *row, const void *base);
bool core_value_same(const struct pbx_setting *row, const void *a, const void *b);

/* ---- blocks (settings_block.c) ------------------------------------------------------------ */

struct core_block *core_block_new(uint32_t size);
struct core_block *core_block_ref(struct core_block *block);
void core_block_unref(struct core_block *block); /* overwrites what it frees: there are secrets in it */
void *core_block_data(struct core_block *block);
struct core_block *core_block_of(const void *data);
void *core_block_alloc(struct core_block *block, size_t size); /* zeroed, dies with the block; NULL: no memory */
const char *core_block_text(struct core_block *block, const char *text, size_t length);

/* A copy of rows in today's size, OBJECTS' fields as well; the texts stay the owner's. Rows that would write outside of their structure
 * are refused. NULL: problems tells. */
struct pbx_setting *core_rows_copy(const struct pbx_table *rows, uint32_t size, const char *section, struct core_problems *problems);
void core_rows_free(struct pbx_setting *rows, uint32_t count);

/* Every key of map that no row declares is a problem. */
void core_rows_check_keys(const struct pbx_setting *rows, uint32_t count, const struct core_node *map, const char *path,
			  struct core_problems *problems);

/* ---- whether values fit one another (settings_judge.c) ------------------------------------- */

struct core_section;
/* Asks who knows; what does not fit is a problem at the line of the option that is named. map: of the section in a file, or NULL. */
void core_judge(const struct core_section *section, const struct core_node *map, const void *values, struct core_problems *problems);
void core_judges_free(void);

/* ---- what is kept in the store (settings.c, filled by settings_store.c) -------------------- */

struct core_stored {
	char *path, *value;
	struct core_stored *next;
};

struct core_section {
	char *name;
	struct pbx_setting *rows;
	uint32_t count, size;
	struct core_block *current, *previous, *proposed;
	struct core_block *in_force; /* what was current when its owner began: options that act at a restart are read from here */
	struct core_section *next;
};

const struct core_section *core_sections(void);
const struct core_section *core_section_find(const char *name);
/* The row behind "section.name". PBX_ENOENT: diag asks what was meant. */
int core_setting_find(const char *path, const struct core_section **ret_section, const struct pbx_setting **ret_row, struct pbx_diag *diag);
const struct core_node *core_setting_pinned(const char *path); /* NULL: no file says it */
const char *core_setting_stored(const char *path);             /* NULL: not stored */
const struct core_stored *core_stored_all(void);
/* Of the main file; "" without one. */
const char *core_settings_directory(void);
/* In the place of core_settings_init: what another process had read. Takes both. */
void core_settings_adopt(struct core_files *taken_files, struct core_stored *taken_stored);
/* Makes other stored values current; takes them, also when it fails. changed: [{path, from, to, restart}], may be NULL. */
int core_stored_apply(struct core_stored *taken, struct pbx_diag *diag, struct pbx_json **ret_changed);
struct core_stored *core_stored_copy(bool *ret_no_memory); /* of what is current */
/* Hears of changes by reload, to tell the bus; NULL: nobody. changed: [{path, …}]. */
void core_settings_on_applied(void (*fn)(const char *actor, int64_t revision, const struct pbx_json *changed));

/* ---- sections nobody has declared (settings_unknown.c) -------------------------------------- */

#define CORE_MOST_SECTION_NAMES 512u
struct core_section_names {
	const char *names[CORE_MOST_SECTION_NAMES];
	uint32_t count;
};
/* Those that are declared; borrowed. */
void core_sections_name(struct core_section_names *ret_names);
/* A section of a plugin that does not run is none of these. problems: misspelt ones; strange: those no name is near to (the same place as problems,
 * for who is as strict with them), and in idle, which may be NULL, the sections of plugins that do not run. */
void core_sections_unknown(const struct core_files *said, struct core_problems *problems, struct core_problems *strange,
			   struct core_problems *idle);

/* ---- what waits for a restart (settings_waiting.c) ------------------------------------------ */

/* Whether what differs between the two waits until the owner begins anew: the row's own flag, or that of one of its fields. */
bool core_value_waits(const struct pbx_setting *row, const void *in_force, const void *wanted);
/* Adds {path, in_force, value, by} for each of the section's options that waits. */
void core_section_waiting(const struct core_section *section, struct pbx_json *list);

/* ---- one section's values (settings_build.c) ------------------------------------------------ */

const char *core_stored_find(const struct core_stored *list, const char *path); /* NULL: not there */
/* value NULL: takes it away. Writes *ret_no_memory only when there was none. */
struct core_stored *core_stored_put(struct core_stored *list, const char *path, const char *value, bool *ret_no_memory);
void core_stored_free(struct core_stored *list);
/* Whether value would do for the setting at path. */
int core_setting_check(const char *path, const char *value, struct pbx_diag *diag);
/* The section's values as these files and this list say them. NULL: problems tells. */
struct core_block *core_section_build(const struct core_section *section, const struct core_files *said, const struct core_stored *kept,
				      struct core_problems *problems);
