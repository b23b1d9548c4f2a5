/*
 * settings_shown - values that were read: as JSON, secrets without their text, and whether two are the same
 */
#include <string.h>
#include "json.h"
#include "settings_internal.h"

static int64_t load_int(const void *at, uint32_t width)
{
	if (width == 1)
		return *(const uint8_t *)at;
	if (width == 2)
		return *(const uint16_t *)at;
	if (width == 4)
		return *(const uint32_t *)at;
	return *(const int64_t *)at;
}

static const char *text_at(const void *at)
{
	const char *text;

	memcpy(&text, at, sizeof text);
	return text;
}

static struct pbx_json *list_json(const struct pbx_list *list)
{
	struct pbx_json *array = core_json_array();

	for (uint32_t i = 0; array && i < list->count; i++)
		if (core_json_append_text(array, list->items[i]) != PBX_OK) {
			core_json_free(array);
			array = NULL;
		}
	return array;
}

static struct pbx_json *object_json(const struct pbx_setting *row, const void *object)
{
	const struct pbx_setting *fields = row->fields.rows;
	struct pbx_json *json = core_json_object();

	for (uint32_t i = 0; json && i < row->fields.count; i++)
		if (core_json_set(json, fields[i].name, core_value_json(&fields[i], object)) != PBX_OK) {
			core_json_free(json);
			json = NULL;
		}
	return json;
}

static struct pbx_json *objects_json(const struct pbx_setting *row, const struct pbx_objects *objects)
{
	struct pbx_json *array = core_json_array();

	for (uint32_t i = 0; array && i < objects->count; i++)
		if (core_json_append(array, object_json(row, (const char *)objects->rows + (size_t)i * objects->row_size)) != PBX_OK) {
			core_json_free(array);
			array = NULL;
		}
	return array;
}

struct pbx_json *core_value_json(const struct pbx_setting *row, const void *base)
{
	const void *at = (const char *)base + row->offset;

	switch (row->type) {
	case PBX_TYPE_BOOL:
		return core_json_new_boolean(*(const bool *)at);
	case PBX_TYPE_INT:
		return core_json_new_integer(load_int(at, row->width));
	case PBX_TYPE_NUMBER:
		return core_json_new_number(*(const double *)at);
	case PBX_TYPE_LIST:
		return list_json(at);
	case PBX_TYPE_OBJECTS:
		return objects_json(row, at);
	case PBX_TYPE_SECRET:
		return core_json_new_text(*text_at(at) ? "(set)" : "(none)");
	default:
		return core_json_new_text(text_at(at));
	}
}

static bool same_lists(const struct pbx_list *a, const struct pbx_list *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

static bool same_objects(const struct pbx_setting *row, const struct pbx_objects *a, const struct pbx_objects *b)
{
	const struct pbx_setting *fields = row->fields.rows;

	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		for (uint32_t j = 0; j < row->fields.count; j++)
			if (!core_value_same(&fields[j], (const char *)a->rows + (size_t)i * a->row_size,
					     (const char *)b->rows + (size_t)i * b->row_size))
				return false;
	return true;
}

bool core_value_same(const struct pbx_setting *row, const void *a, const void *b)
{
	const void *at_a = (const char *)a + row->offset, *at_b = (const char *)b + row->offset;

	switch (row->type) {
	case PBX_TYPE_LIST:
		return same_lists(at_a, at_b);
	case PBX_TYPE_OBJECTS:
		return same_objects(row, at_a, at_b);
	case PBX_TYPE_BOOL:
	case PBX_TYPE_INT:
	case PBX_TYPE_NUMBER:
		return memcmp(at_a, at_b, row->width) == 0;
	default:
		return strcmp(text_at(at_a), text_at(at_b)) == 0;
	}
}
