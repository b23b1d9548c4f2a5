/*
 * settings_doc - what people are shown of the settings: values and where they come from, a JSON Schema, the reference manual
 *
 * All of it is made from the rows that owners declare, so that none of it can be out of date. Secrets are told to be set, never shown.
 */
#include <stdlib.h>
#include <string.h>
#include "json.h"
#include "settings.h"
#include "settings_internal.h"

static const char *short_type(uint32_t type)
{
	static const char *const names[] = { "?", "bool", "int", "number", "text", "choice", "list", "object", "objects", "secret" };

	return names[type < sizeof names / sizeof names[0] ? type : 0];
}

static bool has_range(const struct pbx_setting *row)
{
	return row->type == PBX_TYPE_NUMBER ? row->least_number < row->most_number : row->least < row->most;
}

/* The default as JSON; null for what is needed. */
static struct pbx_json *default_json(const struct pbx_setting *row, uint32_t size)
{
	struct core_block *scratch;
	struct pbx_json *json = NULL;

	if (row->flags & PBX_SETTING_NEEDED)
		return core_json_new_text(NULL);
	scratch = core_block_new(size);
	if (scratch && core_value_default(scratch, row, core_block_data(scratch)))
		json = core_value_json(row, core_block_data(scratch));
	core_block_unref(scratch);
	return json;
}

static struct pbx_json *choices_json(const struct pbx_setting *row)
{
	struct pbx_json *list = core_json_array();

	for (const char *const *choice = row->choices; *choice; choice++)
		(void)core_json_append_text(list, *choice);
	return list;
}

/* ---- show ----------------------------------------------------------------------------------------- */

static void show_origin(struct pbx_json *one, const char *path)
{
	const struct core_node *pinned = core_setting_pinned(path);
	char where[512];

	if (pinned) {
		(void)snprintf(where, sizeof where, "%.400s:%u", pinned->place.file, pinned->key_place.line);
		(void)core_json_set_text(one, "origin", "file");
		(void)core_json_set_text(one, "pinned", where);
	} else {
		(void)core_json_set_text(one, "origin", core_setting_stored(path) ? "store" : "default");
	}
}

static void show_range(struct pbx_json *one, const struct pbx_setting *row)
{
	if (!has_range(row))
		return;
	if (row->type == PBX_TYPE_NUMBER) {
		(void)core_json_set_number(one, "least", row->least_number);
		(void)core_json_set_number(one, "most", row->most_number);
	} else {
		(void)core_json_set_integer(one, "least", row->least);
		(void)core_json_set_integer(one, "most", row->most);
	}
}

static struct pbx_json *show_row(const struct core_section *section, const struct pbx_setting *row, const char *path)
{
	struct pbx_json *one = core_json_object();

	(void)core_json_set_text(one, "path", path);
	(void)core_json_set(one, "value", core_value_json(row, core_block_data(section->current)));
	if (core_value_waits(row, core_block_data(section->in_force), core_block_data(section->current)))
		(void)core_json_set(one, "in_force", core_value_json(row, core_block_data(section->in_force)));
	show_origin(one, path);
	(void)core_json_set_text(one, "type", short_type(row->type));
	if (row->unit)
		(void)core_json_set_text(one, "unit", row->unit);
	(void)core_json_set_text(one, "help", row->help ? row->help : "");
	(void)core_json_set(one, "default", default_json(row, section->size));
	show_range(one, row);
	if (row->type == PBX_TYPE_CHOICE)
		(void)core_json_set(one, "choices", choices_json(row));
	(void)core_json_set_boolean(one, "restart", row->flags & PBX_SETTING_RESTART);
	return one;
}

/* "sip" is before "sip" and "sip.listen", not before "sipper.x". */
static bool is_below(const char *path, const char *prefix)
{
	const size_t length = prefix ? strlen(prefix) : 0;

	return !length || (strncmp(path, prefix, length) == 0 && (!path[length] || path[length] == '.' || prefix[length - 1] == '.'));
}

struct pbx_json *core_settings_show(const char *prefix)
{
	struct pbx_json *list = core_json_array();

	for (const struct core_section *section = core_sections(); section; section = section->next)
		for (uint32_t i = 0; i < section->count; i++) {
			char path[300];

			(void)snprintf(path, sizeof path, "%.150s.%s", section->name, section->rows[i].name);
			if (is_below(path, prefix))
				(void)core_json_append(list, show_row(section, &section->rows[i], path));
		}
	return list;
}

/* ---- JSON Schema 2020-12 ---------------------------------------------------------------------------- */

static struct pbx_json *rows_schema(const struct pbx_setting *rows, uint32_t count, uint32_t size);

static void schema_text(struct pbx_json *schema, const struct pbx_setting *row)
{
	(void)core_json_set_text(schema, "type", "string");
	if (has_range(row)) {
		(void)core_json_set_integer(schema, "minLength", row->least);
		(void)core_json_set_integer(schema, "maxLength", row->most);
	}
	if (row->type == PBX_TYPE_CHOICE)
		(void)core_json_set(schema, "enum", choices_json(row));
	if (row->type == PBX_TYPE_SECRET)
		(void)core_json_set_boolean(schema, "writeOnly", true);
}

static void schema_integer(struct pbx_json *schema, const struct pbx_setting *row)
{
	(void)core_json_set_text(schema, "type", "integer");
	if (has_range(row)) {
		(void)core_json_set_integer(schema, "minimum", row->least);
		(void)core_json_set_integer(schema, "maximum", row->most);
	} else if (row->width < 8) {
		(void)core_json_set_integer(schema, "minimum", 0);
		(void)core_json_set_integer(schema, "maximum", (INT64_C(1) << (8 * row->width)) - 1);
	}
}

static void schema_number(struct pbx_json *schema, const struct pbx_setting *row)
{
	(void)core_json_set_text(schema, "type", "number");
	if (has_range(row)) {
		(void)core_json_set_number(schema, "minimum", row->least_number);
		(void)core_json_set_number(schema, "maximum", row->most_number);
	}
}

static void schema_list(struct pbx_json *schema, const struct pbx_setting *row)
{
	struct pbx_json *items;

	if (row->type == PBX_TYPE_OBJECTS) {
		items = rows_schema(row->fields.rows, row->fields.count, row->object_size);
	} else {
		items = core_json_object();
		(void)core_json_set_text(items, "type", "string");
	}
	(void)core_json_set_text(schema, "type", "array");
	(void)core_json_set(schema, "items", items);
	if (has_range(row)) {
		(void)core_json_set_integer(schema, "minItems", row->least);
		(void)core_json_set_integer(schema, "maxItems", row->most);
	}
}

static struct pbx_json *row_schema(const struct pbx_setting *row, uint32_t size)
{
	struct pbx_json *schema = core_json_object();

	if (row->type == PBX_TYPE_BOOL)
		(void)core_json_set_text(schema, "type", "boolean");
	else if (row->type == PBX_TYPE_INT)
		schema_integer(schema, row);
	else if (row->type == PBX_TYPE_NUMBER)
		schema_number(schema, row);
	else if (row->type == PBX_TYPE_LIST || row->type == PBX_TYPE_OBJECTS)
		schema_list(schema, row);
	else
		schema_text(schema, row);
	if (row->help)
		(void)core_json_set_text(schema, "description", row->help);
	if (!(row->flags & PBX_SETTING_NEEDED) && row->type != PBX_TYPE_SECRET)
		(void)core_json_set(schema, "default", default_json(row, size));
	if (row->unit)
		(void)core_json_set_text(schema, "x-unit", row->unit);
	if (row->flags & PBX_SETTING_RESTART)
		(void)core_json_set_boolean(schema, "x-restart", true);
	return schema;
}

static struct pbx_json *new_group(void)
{
	struct pbx_json *group = core_json_object();

	(void)core_json_set_text(group, "type", "object");
	(void)core_json_set_boolean(group, "additionalProperties", false);
	(void)core_json_set(group, "properties", core_json_object());
	return group;
}

/* The group a dotted name is in, made when it is not there; *ret_last: the name inside. */
static struct pbx_json *group_for(struct pbx_json *group, const char *name, const char **ret_last)
{
	const char *dot;

	while ((dot = strchr(name, '.'))) {
		struct pbx_json *properties = (struct pbx_json *)(uintptr_t)core_json_get(group, "properties");
		char part[128];

		(void)snprintf(part, sizeof part, "%.*s", (int)(dot - name), name);
		if (!core_json_get(properties, part))
			(void)core_json_set(properties, part, new_group());
		group = (struct pbx_json *)(uintptr_t)core_json_get(properties, part);
		name = dot + 1;
	}
	*ret_last = name;
	return group;
}

static void require(struct pbx_json *group, const char *name)
{
	if (!core_json_get(group, "required"))
		(void)core_json_set(group, "required", core_json_array());
	(void)core_json_append_text((struct pbx_json *)(uintptr_t)core_json_get(group, "required"), name);
}

static struct pbx_json *rows_schema(const struct pbx_setting *rows, uint32_t count, uint32_t size)
{
	struct pbx_json *schema = new_group();

	for (uint32_t i = 0; i < count; i++) {
		const char *last;
		struct pbx_json *group = group_for(schema, rows[i].name, &last);

		(void)core_json_set((struct pbx_json *)(uintptr_t)core_json_get(group, "properties"), last, row_schema(&rows[i], size));
		if (rows[i].flags & PBX_SETTING_NEEDED)
			require(group, last);
	}
	return schema;
}

struct pbx_json *core_settings_schema(void)
{
	struct pbx_json *schema = new_group(), *properties = (struct pbx_json *)(uintptr_t)core_json_get(schema, "properties");

	(void)core_json_set_text(schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
	(void)core_json_set_text(schema, "title", "Settings of Warden PBX");
	for (const struct core_section *section = core_sections(); section; section = section->next)
		(void)core_json_set(properties, section->name, rows_schema(section->rows, section->count, section->size));
	return schema;
}

/* ---- the manual ---------------------------------------------------------------------------------------- */

/* A cell of a Markdown table: a bar would end it. */
static void print_cell(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			(void)fputc('\\', out);
		(void)fputc(*text == '\n' ? ' ' : *text, out);
	}
}

static void print_default(FILE *out, const struct pbx_setting *row, uint32_t size)
{
	struct pbx_json *json = default_json(row, size);
	const char *text = core_json_text(json);

	if (row->flags & PBX_SETTING_NEEDED) {
		(void)fputs("**needed**", out);
	} else if (row->type == PBX_TYPE_SECRET) {
		(void)fputs(row->initial_text && *row->initial_text ? "(set)" : "", out);
	} else if (text) {
		(void)fputs(*text ? "`" : "", out);
		print_cell(out, text);
		(void)fputs(*text ? "`" : "", out);
	} else {
		char *printed = core_json_print(json);

		(void)fprintf(out, "`%s`", printed ? printed : "");
		core_json_free_text(printed);
	}
	core_json_free(json);
}

static void print_rows(FILE *out, const char *path, const struct pbx_setting *rows, uint32_t count, uint32_t size)
{
	(void)fputs("| setting | what is accepted | default | meaning |\n| --- | --- | --- | --- |\n", out);
	for (uint32_t i = 0; i < count; i++) {
		char expected[400];

		core_value_expected(&rows[i], expected, sizeof expected);
		(void)fprintf(out, "| `%s.%s` | ", path, rows[i].name);
		print_cell(out, expected);
		(void)fprintf(out, "%s | ", rows[i].type == PBX_TYPE_SECRET ? ", secret" : "");
		print_default(out, &rows[i], size);
		(void)fputs(" | ", out);
		print_cell(out, rows[i].help ? rows[i].help : "");
		(void)fprintf(out, "%s |\n", rows[i].flags & PBX_SETTING_RESTART ? " (takes effect after a restart)" : "");
	}
	for (uint32_t i = 0; i < count; i++) {
		char inner[300];

		if (rows[i].type != PBX_TYPE_OBJECTS)
			continue;
		(void)snprintf(inner, sizeof inner, "%.180s.%s[]", path, rows[i].name);
		(void)fprintf(out, "\nEach of `%s.%s`:\n\n", path, rows[i].name);
		print_rows(out, inner, rows[i].fields.rows, rows[i].fields.count, rows[i].object_size);
	}
}

char *core_settings_manual(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	(void)fputs("# Settings\n\n"
		    "Made from what the daemon and its plugins declare. A file (`pbx.yml`, then `conf.d/*.yml` beside it in order of name) "
		    "pins what it says; what the\n"
		    "files leave out is set by `pbxctl config set`, REST or the console. In files `${env:NAME}`, `${NAME}` and "
		    "`${file:PATH}` are replaced\n"
		    "(`$${` is a plain `${`), and a secret may be written `secret://name`: the file of that name in "
		    "`$CREDENTIALS_DIRECTORY` or in `secrets.d/`\n"
		    "beside `pbx.yml`.\n",
		    out);
	for (const struct core_section *section = core_sections(); section; section = section->next) {
		(void)fprintf(out, "\n## %s\n\n", section->name);
		print_rows(out, section->name, section->rows, section->count, section->size);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
