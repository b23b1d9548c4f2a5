/*
 * settings_block - the counted memory a section's values live in, and the rows that describe it
 *
 * A block is written once and read by its owner for as long as it is referenced: across a reload, and past the undeclaration of
 * the section while an old instance drains. So every text is in the block, also those of defaults, whose originals leave with
 * the owner's shared object. Rows come from strangers: what would write outside of the structure is refused here, once.
 */
#include "settings_internal.h"
#include <stdlib.h>
#include <string.h>

struct piece {
	struct piece *next;
	size_t size;
	_Alignas(max_align_t) char bytes[];
};

struct core_block {
	uint32_t refs;
	size_t size;
	struct piece *pieces;
	_Alignas(max_align_t) char bytes[];
};

/* ---- blocks --------------------------------------------------------------------------------- */

struct core_block *core_block_new(uint32_t size)
{
	struct core_block *block = calloc(1, sizeof *block + size);

	if (block) {
		block->refs = 1;
		block->size = size;
	}
	return block;
}

struct core_block *core_block_ref(struct core_block *block)
{
	block->refs++;
	return block;
}

void core_block_unref(struct core_block *block)
{
	if (!block || --block->refs)
		return;
	while (block->pieces) {
		struct piece *piece = block->pieces;

		block->pieces = piece->next;
		explicit_bzero(piece->bytes, piece->size);
		free(piece);
	}
	explicit_bzero(block->bytes, block->size);
	free(block);
}

void *core_block_data(struct core_block *block)
{
	return block ? block->bytes : NULL;
}

struct core_block *core_block_of(const void *data)
{
	return (struct core_block *)((uintptr_t)data - offsetof(struct core_block, bytes));
}

void *core_block_alloc(struct core_block *block, size_t size)
{
	struct piece *piece = calloc(1, sizeof *piece + size);

	if (!piece)
		return NULL;
	piece->size = size;
	piece->next = block->pieces;
	block->pieces = piece;
	return piece->bytes;
}

const char *core_block_text(struct core_block *block, const char *text, size_t length)
{
	char *copy = core_block_alloc(block, length + 1);

	if (copy)
		memcpy(copy, text, length);
	return copy;
}

/* ---- rows --------------------------------------------------------------------------------------- */

static bool width_fits(const struct pbx_setting *row)
{
	switch (row->type) {
	case PBX_TYPE_BOOL:
		return row->width == sizeof(bool);
	case PBX_TYPE_INT:
		return row->width == 1 || row->width == 2 || row->width == 4 || row->width == 8;
	case PBX_TYPE_NUMBER:
		return row->width == sizeof(double);
	case PBX_TYPE_LIST:
		return row->width == sizeof(struct pbx_list);
	case PBX_TYPE_OBJECTS:
		return row->width == sizeof(struct pbx_objects) && row->object_size && row->fields.count;
	case PBX_TYPE_TEXT:
	case PBX_TYPE_CHOICE:
	case PBX_TYPE_SECRET:
		return row->width == sizeof(char *);
	default:
		return false;
	}
}

static bool is_name(const char *name)
{
	size_t length = name ? strlen(name) : 0;

	return length && length <= 96 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") == length && name[0] != '.' &&
	       name[length - 1] != '.' && !strstr(name, "..");
}

static bool initial_fits(const struct pbx_setting *row)
{
	if (row->flags & PBX_SETTING_NEEDED)
		return true;
	if (row->type == PBX_TYPE_INT && row->least < row->most)
		return row->initial >= row->least && row->initial <= row->most;
	if (row->type == PBX_TYPE_NUMBER && row->least_number < row->most_number)
		return row->initial_number >= row->least_number && row->initial_number <= row->most_number;
	if (row->type == PBX_TYPE_CHOICE) {
		for (const char *const *choice = row->choices; *choice; choice++)
			if (row->initial_text && strcmp(*choice, row->initial_text) == 0)
				return true;
		return false;
	}
	return true;
}

static bool is_said_before(const struct pbx_setting *rows, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (strcmp(rows[i].name, rows[index].name) == 0)
			return true;
	return false;
}

/* What is wrong with a row; NULL: nothing. Everything before `index` has been looked at. */
static const char *row_wrong(const struct pbx_setting *rows, uint32_t index, uint32_t size)
{
	const struct pbx_setting *row = &rows[index];

	if (!is_name(row->name))
		return "a name is made of a-z, 0-9, _ and dots inside";
	if (is_said_before(rows, index))
		return "declared twice";
	if (row->type == PBX_TYPE_CHOICE && (!row->choices || !row->choices[0]))
		return "a choice without choices";
	if (!width_fits(row))
		return "its type does not fit its width";
	if (row->offset > size || row->width > size - row->offset)
		return "it lies outside of the settings structure";
	if (!initial_fits(row))
		return "its default is out of its own range";
	return NULL;
}

void core_rows_free(struct pbx_setting *rows, uint32_t count)
{
	for (uint32_t i = 0; rows && i < count; i++)
		core_rows_free((struct pbx_setting *)(uintptr_t)rows[i].fields.rows, rows[i].fields.count);
	free(rows);
}

static struct pbx_setting *copy_rows(const struct pbx_table *table, uint32_t size, const char *path, uint32_t level,
				     struct core_problems *problems)
{
	const size_t overlap = table->row_size < sizeof(struct pbx_setting) ? table->row_size : sizeof(struct pbx_setting);
	struct pbx_setting *rows = calloc(table->count + 1, sizeof *rows);
	uint32_t done = 0;

	if (!rows)
		problems->no_memory = true;
	for (bool fine = rows != NULL; fine && done < table->count; done++) {
		struct pbx_setting *row = &rows[done];
		struct pbx_table fields;
		const char *wrong;
		char inner[300];

		memcpy(row, (const char *)table->rows + (size_t)done * table->row_size, overlap);
		fields = row->fields;
		row->fields = (struct pbx_table){ 0 };
		row->fields.count = row->type == PBX_TYPE_OBJECTS ? fields.count : 0;
		wrong = row_wrong(rows, done, size);
		row->fields.count = 0;
		if (!wrong && row->type == PBX_TYPE_OBJECTS && level == 3)
			wrong = "objects in objects in objects are more than anybody wants to write";
		(void)snprintf(inner, sizeof inner, "%.200s.%s", path, row->name ? row->name : "?");
		if (wrong) {
			core_problem(problems, NULL, inner, "this setting is declared wrongly: %s", wrong);
			fine = false;
		} else if (row->type == PBX_TYPE_OBJECTS) {
			row->fields.rows = copy_rows(&fields, row->object_size, inner, level + 1, problems);
			row->fields.row_size = sizeof *row;
			row->fields.count = row->fields.rows ? fields.count : 0;
			fine = row->fields.rows != NULL;
		}
	}
	if (!problems->count && !problems->no_memory)
		return rows;
	core_rows_free(rows, done);
	return NULL;
}

struct pbx_setting *core_rows_copy(const struct pbx_table *rows, uint32_t size, const char *section, struct core_problems *problems)
{
	return copy_rows(rows, size, section, 1, problems);
}

/* ---- keys nobody knows --------------------------------------------------------------------------------- */

static void tell_unknown(const struct pbx_setting *rows, uint32_t count, const struct core_node *node, const char *name, const char *path,
			 struct core_problems *problems)
{
	const char **names = calloc(count + 1, sizeof *names);
	const char *meant = NULL;
	char inner[400];

	for (uint32_t i = 0; names && i < count; i++)
		names[i] = rows[i].name;
	if (names)
		meant = core_did_you_mean(name, names, count);
	(void)snprintf(inner, sizeof inner, "%.200s.%.128s", path, name);
	core_problem(problems, &node->key_place, inner, "unknown setting%s%s%s", meant ? ", did you mean " : "", meant ? meant : "",
		     meant ? "?" : "");
	free(names);
}

/* name: the key with those around it. */
static void check_key(const struct pbx_setting *rows, uint32_t count, const struct core_node *node, const char *name, const char *path,
		      struct core_problems *problems)
{
	const size_t length = strlen(name);
	bool begins = false;

	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return;
		begins |= strncmp(rows[i].name, name, length) == 0 && rows[i].name[length] == '.';
	}
	if (!begins) {
		tell_unknown(rows, count, node, name, path, problems);
	} else if (node->kind == CORE_NODE_MAP) {
		for (const struct core_node *child = node->child; child; child = child->next) {
			char inner[300];

			(void)snprintf(inner, sizeof inner, "%.150s.%.128s", name, child->key);
			check_key(rows, count, child, inner, path, problems);
		}
	} else if (node->kind != CORE_NODE_NONE) {
		core_problem(problems, &node->place, path, "%s is a group of settings: a mapping has to stand here", name);
	}
}

void core_rows_check_keys(const struct pbx_setting *rows, uint32_t count, const struct core_node *map, const char *path,
			  struct core_problems *problems)
{
	for (const struct core_node *child = map->child; child; child = child->next)
		check_key(rows, count, child, child->key, path, problems);
}
