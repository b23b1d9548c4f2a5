/*
 * settings_pack - what files and store say of one section, as bytes for another process of ours
 *
 * Who tries a plugin's file (probe.c) reads its settings as the daemon would, and says the same sentences about them: so it is
 * handed the nodes with their places, as they were read, and not the files, which somebody may be editing. ${…} and secret:// are put in over
 * there: same environment, same folders.
 *
 * A number is its digits and a space, a text its length, a colon and its bytes, nothing a minus.
 */
#include "settings.h"
#include "settings_internal.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LEVELS 20u /* settings_yaml.c has fewer */

/* ---- packing --------------------------------------------------------------------------------- */

static bool put_number(struct core_grown *into, uint32_t number)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%" PRIu32 " ", number);

	return core_grown_add(into, text, (size_t)length);
}

static bool put_text(struct core_grown *into, const char *text)
{
	char head[32];

	if (!text)
		return core_grown_add(into, "-", 1);
	int length = snprintf(head, sizeof head, "%zu:", strlen(text));
	return core_grown_add(into, head, (size_t)length) && core_grown_add(into, text, strlen(text));
}

static bool put_place(struct core_grown *into, const struct core_place *place)
{
	return put_text(into, place->file) && put_number(into, place->line) && put_number(into, place->column);
}

static bool put_node(struct core_grown *into, const struct core_node *node)
{
	uint32_t children = 0;

	for (const struct core_node *child = node->child; child; child = child->next)
		children++;
	bool fine = put_number(into, node->kind) && put_number(into, node->quoted) && put_place(into, &node->key_place) &&
		    put_place(into, &node->place) && put_text(into, node->key) && put_text(into, node->text) && put_number(into, children);
	for (const struct core_node *child = node->child; fine && child; child = child->next)
		fine = put_node(into, child);
	return fine;
}

static bool is_of(const struct core_stored *one, const char *section)
{
	size_t length = strlen(section);

	return !strncmp(one->path, section, length) && one->path[length] == '.';
}

static bool put_stored(struct core_grown *into, const char *section)
{
	uint32_t count = 0;

	for (const struct core_stored *one = core_stored_all(); one; one = one->next)
		count += is_of(one, section);
	bool fine = put_number(into, count);
	for (const struct core_stored *one = core_stored_all(); fine && one; one = one->next)
		fine = !is_of(one, section) || (put_text(into, one->path) && put_text(into, one->value));
	return fine;
}

char *core_settings_pack(const char *section, size_t *ret_length)
{
	const struct core_node *node = core_setting_pinned(section);
	struct core_grown bytes = { 0 };

	if (put_text(&bytes, core_settings_directory()) && put_stored(&bytes, section) && put_number(&bytes, node != NULL) &&
	    (!node || put_node(&bytes, node))) {
		*ret_length = bytes.used;
		return bytes.bytes;
	}
	core_grown_fini(&bytes);
	return NULL;
}

/* ---- unpacking ------------------------------------------------------------------------------- */

struct reader {
	const char *at, *end;
	struct core_files *files; /* owns the names of files */
	bool no_memory;
};

static bool take_number(struct reader *reader, char ends_with, uint32_t *ret_number)
{
	uint64_t number = 0;
	const char *at = reader->at;

	while (at < reader->end && *at >= '0' && *at <= '9' && number <= UINT32_MAX)
		number = number * 10 + (uint64_t)(*at++ - '0');
	if (at == reader->at || at == reader->end || *at != ends_with || number > UINT32_MAX)
		return false;
	reader->at = at + 1;
	*ret_number = (uint32_t)number;
	return true;
}

/* Owned; NULL is a text, too. */
static bool take_text(struct reader *reader, char **ret_text)
{
	uint32_t length;

	*ret_text = NULL;
	if (reader->at < reader->end && *reader->at == '-') {
		reader->at++;
		return true;
	}
	if (!take_number(reader, ':', &length) || length > (size_t)(reader->end - reader->at))
		return false;
	*ret_text = strndup(reader->at, length);
	reader->no_memory |= !*ret_text;
	reader->at += length;
	return *ret_text != NULL;
}

/* The one copy of a file's name, kept with the files; takes name. NULL: no memory. */
static const char *keep_name(struct reader *reader, char *taken)
{
	struct core_files *files = reader->files;

	for (uint32_t i = 0; i < files->count; i++)
		if (!strcmp(files->names[i], taken)) {
			free(taken);
			return files->names[i];
		}
	char **names = realloc(files->names, (files->count + 1u) * sizeof *names);
	if (!names) {
		reader->no_memory = true;
		free(taken);
		return NULL;
	}
	files->names = names;
	return names[files->count++] = taken;
}

static bool take_place(struct reader *reader, struct core_place *ret_place)
{
	char *name;

	if (!take_text(reader, &name))
		return false;
	ret_place->file = name ? keep_name(reader, name) : NULL;
	return (!name || ret_place->file) && take_number(reader, ' ', &ret_place->line) && take_number(reader, ' ', &ret_place->column);
}

/* NULL: not one. */
static struct core_node *take_node(struct reader *reader, uint32_t level)
{
	struct core_node *node = calloc(1, sizeof *node), **end = node ? &node->child : NULL;
	uint32_t quoted = 0, children = 0;

	reader->no_memory |= !node;
	bool fine = node && level < MOST_LEVELS && take_number(reader, ' ', &node->kind) && node->kind <= CORE_NODE_LIST &&
		    take_number(reader, ' ', &quoted) && take_place(reader, &node->key_place) && take_place(reader, &node->place) &&
		    take_text(reader, &node->key) && take_text(reader, &node->text) && take_number(reader, ' ', &children);
	if (fine)
		node->quoted = quoted > 0;
	for (; fine && children; children--, end = &(*end)->next)
		fine = (*end = take_node(reader, level + 1)) != NULL && (node->kind != CORE_NODE_MAP || (*end)->key);
	if (fine && (node->kind != CORE_NODE_TEXT || node->text))
		return node;
	core_node_free(node);
	return NULL;
}

static bool take_stored(struct reader *reader, struct core_stored **list)
{
	uint32_t count;
	bool fine = take_number(reader, ' ', &count);

	for (; fine && count; count--) {
		char *path = NULL, *value = NULL;

		fine = take_text(reader, &path) && take_text(reader, &value) && path && value;
		if (fine)
			*list = core_stored_put(*list, path, value, &reader->no_memory);
		free(path);
		free(value);
	}
	return fine && !reader->no_memory;
}

static bool take_all(struct reader *reader, struct core_stored **ret_stored)
{
	char *directory = NULL;
	uint32_t said = 0;
	bool fine = take_text(reader, &directory) && directory && take_stored(reader, ret_stored) && take_number(reader, ' ', &said);

	if (fine) {
		free(reader->files->directory);
		reader->files->directory = directory;
	} else {
		free(directory);
	}
	if (fine && said)
		fine = (reader->files->root->child = take_node(reader, 0)) != NULL && reader->files->root->child->key;
	return fine && reader->at == reader->end;
}

int core_settings_unpack(const char *bytes, size_t length)
{
	struct core_problems problems = { 0 };
	struct reader reader = { .at = bytes, .end = bytes + length, .files = core_files_read(NULL, &problems) };
	struct core_stored *stored = NULL;

	if (!reader.files)
		return PBX_ENOMEM;
	if (take_all(&reader, &stored)) {
		core_settings_adopt(reader.files, stored);
		return PBX_OK;
	}
	core_stored_free(stored);
	core_files_free(reader.files);
	return reader.no_memory ? PBX_ENOMEM : PBX_EINVAL;
}
