/*
 * settings_yaml - files to a tree of nodes, each with the line and column it stands at
 *
 * libcyaml fills C structures after a schema that is compiled in, and it tells where an error stands only in a log. Our options are
 * declared at run time, by owners that may not have been loaded yet, and every sentence we say carries file, line and column. So we
 * read the events of libyaml, the parser underneath libcyaml, and keep its marks.
 *
 * What a configuration has no use for is refused with a sentence: anchors and aliases (a small file could become a large tree),
 * tags, several documents, nesting without end, and one key said twice.
 */
#include "settings_internal.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>
#include "auto.h"

#define MOST_FILE_BYTES (1u << 20)
#define MOST_LEVELS 16u
#define MOST_FILES 256
#define MOST_NODES 10000u /* in one file: names are looked up by walking */

struct reader {
	yaml_parser_t parser;
	const char *file;
	const char *path; /* of a typed value, else "" */
	struct core_problems *problems;
	uint32_t nodes;
};

/* ---- nodes ------------------------------------------------------------------------------ */

void core_node_free(struct core_node *node)
{
	while (node) {
		struct core_node *next = node->next;

		core_node_free(node->child);
		free(node->key);
		if (node->text)
			explicit_bzero(node->text, strlen(node->text)); /* it may be a secret */
		free(node->text);
		free(node);
		node = next;
	}
}

static struct core_node *node_new(uint32_t kind, const char *file, const yaml_mark_t *mark, struct core_problems *problems)
{
	struct core_node *node = calloc(1, sizeof *node);

	if (!node) {
		problems->no_memory = true;
		return NULL;
	}
	node->kind = kind;
	node->place.file = file;
	if (mark) {
		node->place.line = (uint32_t)mark->line + 1;
		node->place.column = (uint32_t)mark->column + 1;
	}
	node->key_place = node->place;
	return node;
}

static struct core_node *child_named(const struct core_node *map, const char *key, size_t length)
{
	for (struct core_node *child = map->child; child; child = child->next)
		if (strncmp(child->key, key, length) == 0 && !child->key[length])
			return child;
	return NULL;
}

/* The item that "[1]…" names; *path is moved behind it. NULL: there is none. */
static const struct core_node *item_at(const struct core_node *list, const char **path)
{
	char *end;
	unsigned long index = strtoul(*path + 1, &end, 10);
	const struct core_node *item = list->kind == CORE_NODE_LIST && *end == ']' ? list->child : NULL;

	for (; item && index; index--)
		item = item->next;
	*path = end + (*end == ']');
	return item;
}

const struct core_node *core_node_find(const struct core_node *map, const char *path)
{
	while (map && map->kind == CORE_NODE_MAP) {
		size_t length = strcspn(path, ".[");

		map = child_named(map, path, length);
		path += length;
		while (map && *path == '[')
			map = item_at(map, &path);
		if (!map || !*path)
			return map;
		path++;
	}
	return NULL;
}

static void append_child(struct core_node *parent, struct core_node *child)
{
	struct core_node **end = &parent->child;

	while (*end)
		end = &(*end)->next;
	*end = child;
}

/* ---- one place for each key --------------------------------------------------------------- */

static void put_child(struct core_node *map, struct core_node *taken, bool replace, struct core_problems *problems);

/* A mapping that meets a mapping is poured into it. */
static void pour(struct core_node *into, struct core_node *taken, bool replace, struct core_problems *problems)
{
	struct core_node *child = taken->child;

	taken->child = NULL;
	while (child) {
		struct core_node *next = child->next;

		child->next = NULL;
		put_child(into, child, replace, problems);
		child = next;
	}
	core_node_free(taken);
}

static void replace_child(struct core_node *map, struct core_node *old, struct core_node *taken)
{
	struct core_node **at = &map->child;

	while (*at != old)
		at = &(*at)->next;
	taken->next = old->next;
	*at = taken;
	old->next = NULL;
	core_node_free(old);
}

/* Under its own key, which has no dot left. replace: a later file wins; else a key said twice is a problem. */
static void put_child(struct core_node *map, struct core_node *taken, bool replace, struct core_problems *problems)
{
	struct core_node *old = child_named(map, taken->key, strlen(taken->key));

	if (!old) {
		append_child(map, taken);
	} else if (old->kind == CORE_NODE_MAP && taken->kind == CORE_NODE_MAP) {
		pour(old, taken, replace, problems);
	} else if (taken->kind == CORE_NODE_NONE && old->kind == CORE_NODE_MAP && replace) {
		core_node_free(taken); /* a section with all its lines commented out says nothing */
	} else if (replace) {
		replace_child(map, old, taken);
	} else {
		core_problem(problems, &taken->key_place, taken->key, "said twice, first in line %u", old->key_place.line);
		core_node_free(taken);
	}
}

/* key "a.b": value becomes a: {b: value}. */
static void put_dotted(struct core_node *map, struct core_node *taken, struct core_problems *problems)
{
	char *dot = strchr(taken->key, '.');
	struct core_node *outer;
	char *rest;

	if (!dot) {
		put_child(map, taken, false, problems);
		return;
	}
	outer = node_new(CORE_NODE_MAP, taken->place.file, NULL, problems);
	rest = outer ? strdup(dot + 1) : NULL;
	if (!rest) {
		problems->no_memory = true;
		core_node_free(outer);
		core_node_free(taken);
		return;
	}
	outer->place = outer->key_place = taken->key_place;
	*dot = '\0';
	outer->key = taken->key;
	taken->key = rest;
	put_dotted(outer, taken, problems);
	put_child(map, outer, false, problems);
}

/* ---- events to nodes ------------------------------------------------------------------------ */

static struct core_place place_of(const struct reader *reader, const yaml_mark_t *mark)
{
	return (struct core_place){ reader->file, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1 };
}

/* What libyaml found, and what to do about it. The problem says what it met, the context what it was reading then. */
static const struct {
	const char *problem, *context, *cure;
} cures[] = {
	{ "cannot start any token", NULL, "a value cannot begin like this: put it in quotes, and indent with spaces, not with tabs" },
	{ "mapping values are not allowed", NULL, "a second colon here: put the value in quotes, or mend the indentation" },
	{ "", "while parsing a flow node", "a list in [ ] or a mapping in { } is not finished here: close it, or put the value in quotes" },
	{ "", "while parsing a flow sequence", "a list in [ ] is not finished here: put , between its values and ] behind the last" },
	{ "", "while parsing a flow mapping", "a mapping in { } is not finished here: put , between its pairs and } behind the last" },
	{ "", "while scanning a quoted scalar", "a quote is open here: close it with the same kind of quote" },
	{ "could not find expected ':'", NULL, "a name without a colon: write name: value, and put a value of several words in quotes" },
	{ "did not find expected key", NULL,
	  "this stands neither in its section nor outside: give all lines of a section the same indentation" },
	{ "did not find expected '-' indicator", NULL, "an item of a list begins with - here, in the same column as the others" },
	{ "did not find expected <document start>", NULL,
	  "this line does not go with those above: mend the indentation, or remove what is left over" },
	{ "block sequence entries are not allowed", NULL, "a list cannot begin here: put - on a line of its own, or the value in quotes" },
	{ "", "while scanning an anchor", "& and * have a meaning of their own at the beginning of a value: put it in quotes" },
	{ "", "while scanning an alias", "& and * have a meaning of their own at the beginning of a value: put it in quotes" },
	{ "", "while scanning a directive", "% has a meaning of its own at the beginning of a line: put it in quotes" },
	{ "", "while scanning a block scalar", "a text behind | or > begins on the next line, indented with spaces" },
};

static const char *cure_of(const char *problem, const char *context)
{
	for (size_t i = 0; i < sizeof cures / sizeof cures[0]; i++)
		if (strstr(problem, cures[i].problem) && (!cures[i].context || strcmp(context, cures[i].context) == 0))
			return cures[i].cure;
	return NULL;
}

static void tell_syntax(const struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	const yaml_mark_t *mark = parser->problem_mark.line || parser->problem_mark.column ? &parser->problem_mark : &parser->mark;
	struct core_place place = place_of(reader, mark);
	const char *problem = parser->problem ? parser->problem : "not readable as YAML", *context = parser->context ? parser->context : "";
	const char *cure = cure_of(problem, context);

	if (parser->error == YAML_MEMORY_ERROR)
		reader->problems->no_memory = true;
	else if (parser->error == YAML_READER_ERROR)
		core_problem(reader->problems, &(struct core_place){ reader->file, 1, 1 }, reader->path, "not UTF-8 text: %s at byte %zu",
			     problem, parser->problem_offset);
	else if (cure)
		core_problem(reader->problems, &place, reader->path, "%s", cure);
	else
		core_problem(reader->problems, &place, reader->path, "%s%s%s", problem, *context ? ", " : "", context);
}

static bool next_event(struct reader *reader, yaml_event_t *event)
{
	if (yaml_parser_parse(&reader->parser, event))
		return true;
	tell_syntax(reader);
	return false;
}

static bool refuse(const struct reader *reader, const yaml_event_t *event, const char *why)
{
	struct core_place place = place_of(reader, &event->start_mark);

	core_problem(reader->problems, &place, reader->path, "%s", why);
	return false;
}

/* What no configuration needs. */
static bool is_plain(const struct reader *reader, const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (event->type == YAML_ALIAS_EVENT) {
		anchor = event->data.alias.anchor;
	} else if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	}
	if (anchor)
		return refuse(reader, event,
			      "anchors (&name) and aliases (*name) are not accepted here: write the value out, or put it in quotes");
	if (tag)
		return refuse(reader, event, "tags (!name) are not accepted here: put the value in quotes");
	return true;
}

static bool is_nothing(const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;

	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 || strcmp(text, "Null") == 0 || strcmp(text, "NULL") == 0);
}

static struct core_node *read_scalar(struct reader *reader, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	struct core_node *node;

	if (strlen(text) != event->data.scalar.length) {
		(void)refuse(reader, event, "a zero byte is not accepted inside a text");
		return NULL;
	}
	node = node_new(is_nothing(event) ? CORE_NODE_NONE : CORE_NODE_TEXT, reader->file, &event->start_mark, reader->problems);
	if (!node)
		return NULL;
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	node->text = strdup(text);
	if (!node->text) {
		reader->problems->no_memory = true;
		core_node_free(node);
		return NULL;
	}
	return node;
}

static struct core_node *read_node(struct reader *reader, const yaml_event_t *event, uint32_t level);

static char *read_key(struct reader *reader, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t length = event->type == YAML_SCALAR_EVENT ? event->data.scalar.length : 0;
	char *key;

	if (!is_plain(reader, event))
		return NULL;
	if (event->type != YAML_SCALAR_EVENT || !length || strlen(text) != length || text[0] == '.' || text[length - 1] == '.' ||
	    strstr(text, "..")) {
		(void)refuse(reader, event, "a name has to stand here");
		return NULL;
	}
	if (length > 128) {
		(void)refuse(reader, event, "a name of more than 128 characters");
		return NULL;
	}
	key = strdup(text);
	if (!key)
		reader->problems->no_memory = true;
	return key;
}

static bool read_pair(struct reader *reader, struct core_node *map, const yaml_event_t *key_event, uint32_t level)
{
	char *key = read_key(reader, key_event);
	struct core_node *value = NULL;
	yaml_event_t event;

	if (!key)
		return false;
	if (next_event(reader, &event)) {
		value = read_node(reader, &event, level);
		yaml_event_delete(&event);
	}
	if (!value) {
		free(key);
		return false;
	}
	value->key = key;
	value->key_place = place_of(reader, &key_event->start_mark);
	put_dotted(map, value, reader->problems);
	return !reader->problems->no_memory;
}

/* The children of a mapping or sequence, up to its end. */
static bool read_children(struct reader *reader, struct core_node *parent, uint32_t level)
{
	const bool map = parent->kind == CORE_NODE_MAP;
	struct core_node **end = &parent->child;
	bool more = true, fine = true;

	while (more && fine) {
		yaml_event_t event;

		if (!next_event(reader, &event))
			return false;
		if (event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT) {
			more = false;
		} else if (map) {
			fine = read_pair(reader, parent, &event, level);
		} else {
			*end = read_node(reader, &event, level);
			fine = *end != NULL;
			if (fine)
				end = &(*end)->next;
		}
		yaml_event_delete(&event);
	}
	return fine;
}

static struct core_node *read_node(struct reader *reader, const yaml_event_t *event, uint32_t level)
{
	struct core_node *node;

	if (!is_plain(reader, event))
		return NULL;
	if (++reader->nodes > MOST_NODES) {
		(void)refuse(reader, event, "more than 10,000 values in one file");
		return NULL;
	}
	if (event->type == YAML_SCALAR_EVENT)
		return read_scalar(reader, event);
	if (level >= MOST_LEVELS) {
		(void)refuse(reader, event, "nested deeper than 16 levels");
		return NULL;
	}
	node = node_new(event->type == YAML_MAPPING_START_EVENT ? CORE_NODE_MAP : CORE_NODE_LIST, reader->file, &event->start_mark,
			reader->problems);
	if (node && !read_children(reader, node, level + 1)) {
		core_node_free(node);
		node = NULL;
	}
	return node;
}

/* The one document of a text; NULL without a problem: it is empty. */
static struct core_node *read_document(struct reader *reader)
{
	struct core_node *root = NULL;
	bool seen = false;
	yaml_event_type_t type = YAML_NO_EVENT;

	while (type != YAML_STREAM_END_EVENT) {
		yaml_event_t event;
		bool fine = next_event(reader, &event);

		if (fine) {
			type = event.type;
			if (type == YAML_DOCUMENT_START_EVENT && seen)
				fine = refuse(reader, &event, "a second document: one is read, take the --- away");
			else if (type == YAML_DOCUMENT_START_EVENT)
				seen = true;
			else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT && type != YAML_DOCUMENT_END_EVENT)
				fine = (root = read_node(reader, &event, 0)) != NULL;
			yaml_event_delete(&event);
		}
		if (!fine) {
			core_node_free(root);
			return NULL;
		}
	}
	return root;
}

static struct core_node *read_text(const char *text, size_t length, const char *file, const char *path, struct core_problems *problems)
{
	struct reader reader = { .file = file, .path = path, .problems = problems };
	struct core_node *root;

	if (!yaml_parser_initialize(&reader.parser)) {
		problems->no_memory = true;
		return NULL;
	}
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
	root = read_document(&reader);
	yaml_parser_delete(&reader.parser);
	return root;
}

struct core_node *core_node_typed(const char *text, bool yaml, const char *path, struct core_problems *problems)
{
	struct core_node *node;

	if (yaml) {
		node = read_text(text, strlen(text), NULL, path, problems);
		if (!node && !problems->count && !problems->no_memory)
			core_problem(problems, NULL, path, "there is no value");
		return node;
	}
	node = node_new(CORE_NODE_TEXT, NULL, NULL, problems);
	if (!node)
		return NULL;
	node->quoted = true;
	node->text = strdup(text);
	if (!node->text) {
		problems->no_memory = true;
		core_node_free(node);
		return NULL;
	}
	return node;
}

/* ---- files -------------------------------------------------------------------------------------- */

void core_files_free(struct core_files *files)
{
	if (!files)
		return;
	core_node_free(files->root);
	for (uint32_t i = 0; i < files->count; i++)
		free(files->names[i]);
	free(files->names);
	free(files->main);
	free(files->directory);
	free(files);
}
AUTO_FREES(core_files)

/* Owned bytes, or NULL and a problem. */
static char *load_file(const char *file, size_t *ret_length, struct core_problems *problems)
{
	const struct core_place place = { file, 1, 1 };
	FILE *in = fopen(file, "re");
	struct stat info;
	char *bytes = NULL;
	size_t length;

	if (!in || fstat(fileno(in), &info) != 0) {
		core_problem(problems, &place, "", "cannot be read: %s", strerror(errno));
	} else if (!S_ISREG(info.st_mode)) {
		core_problem(problems, &place, "", "is not a file");
	} else if (info.st_size > (off_t)MOST_FILE_BYTES) {
		core_problem(problems, &place, "", "larger than 1 MiB: this cannot be a file of settings");
	} else if (!(bytes = malloc(MOST_FILE_BYTES + 1))) {
		problems->no_memory = true;
	} else {
		length = fread(bytes, 1, MOST_FILE_BYTES, in);
		if (ferror(in)) {
			core_problem(problems, &place, "", "cannot be read: %s", strerror(errno));
			free(bytes);
			bytes = NULL;
		} else {
			*ret_length = length;
		}
	}
	if (in)
		(void)fclose(in);
	return bytes;
}

/* Reads one more file into the tree; what it says wins. */
static void add_file(struct core_files *files, const char *file, struct core_problems *problems)
{
	char **names = realloc(files->names, (files->count + 1) * sizeof *names);
	char *name = names ? strdup(file) : NULL;
	struct core_node *root;
	size_t length = 0;
	char *bytes;

	if (names)
		files->names = names;
	if (!name) {
		problems->no_memory = true;
		return;
	}
	names[files->count++] = name;
	bytes = load_file(name, &length, problems);
	if (!bytes)
		return;
	root = read_text(bytes, length, name, "", problems);
	explicit_bzero(bytes, length);
	free(bytes);
	if (!root || root->kind == CORE_NODE_NONE) {
		core_node_free(root);
	} else if (root->kind != CORE_NODE_MAP) {
		core_problem(problems, &root->place, "", "sections have to stand here, such as \"sip:\"");
		core_node_free(root);
	} else {
		pour(files->root, root, true, problems);
	}
}

static int is_yml(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 4 && strcmp(entry->d_name + length - 4, ".yml") == 0;
}

/* In order of bytes, not of the locale: 10-a.yml comes before 9-b.yml everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_folder(struct core_files *files, struct core_problems *problems)
{
	struct dirent **entries = NULL;
	char path[4096];
	int count;

	(void)snprintf(path, sizeof path, "%s/conf.d", files->directory);
	count = scandir(path, &entries, is_yml, by_name);
	if (count < 0 && errno != ENOENT && errno != ENOTDIR)
		core_problem(problems, &(struct core_place){ files->main, 1, 1 }, "", "%s cannot be read: %s", path, strerror(errno));
	if (count > MOST_FILES)
		core_problem(problems, &(struct core_place){ files->main, 1, 1 }, "", "%s: more than %d files", path, MOST_FILES);
	for (int i = 0; i < count; i++) {
		if (count <= MOST_FILES) {
			(void)snprintf(path, sizeof path, "%s/conf.d/%s", files->directory, entries[i]->d_name);
			add_file(files, path, problems);
		}
		free(entries[i]);
	}
	free(entries);
}

static char *directory_of(const char *file)
{
	const char *slash = strrchr(file, '/');

	if (!slash)
		return strdup(".");
	return slash == file ? strdup("/") : strndup(file, (size_t)(slash - file));
}

struct core_files *core_files_read(const char *main_file, struct core_problems *problems)
{
	AUTO(core_files) struct core_files *files = calloc(1, sizeof *files);

	if (files) {
		files->root = node_new(CORE_NODE_MAP, NULL, NULL, problems);
		files->main = strdup(main_file ? main_file : "");
		files->directory = main_file ? directory_of(main_file) : strdup("");
	}
	if (!files || !files->root || !files->main || !files->directory) {
		problems->no_memory = true;
		return NULL;
	}
	if (main_file) {
		add_file(files, files->main, problems);
		add_folder(files, problems);
	}
	return problems->count || problems->no_memory ? NULL : TAKE(files);
}
