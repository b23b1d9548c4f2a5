/*
 * json - trees of cJSON behind the service's own type
 *
 * cJSON reads more than JSON (control characters, bytes that are not UTF-8, "01", a thousand levels) and prints fewer digits than
 * a microsecond time has. So a text is looked over before cJSON sees it (json_scan.c), and a number that 15 digits cannot hold is kept as the
 * digits themselves: a node of cJSON_Raw, which for everybody here is a number.
 */
#include "json.h"
#include "json_scan.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXACT_LIMIT 999999999999999.0     /* 15 digits: what cJSON prints exactly */
#define INT64_LIMIT 9223372036854775808.0 /* 2^63 */

static const cJSON *node(const struct pbx_json *json)
{
	return (const cJSON *)(const void *)json;
}

static cJSON *own(struct pbx_json *json)
{
	return (cJSON *)(void *)json;
}

static struct pbx_json *tree(const cJSON *item)
{
	return (struct pbx_json *)(uintptr_t)item;
}

/* ---- text ------------------------------------------------------------------------------ */

/* A copy in which every byte that is no part of a UTF-8 character has become U+FFFD. */
static char *clean_utf8(const char *text)
{
	size_t left = strlen(text);
	char *copy = malloc(left * 3 + 1), *end = copy;

	if (!copy)
		return NULL;
	while (left) {
		size_t length = core_utf8_length(text, left);

		if (length) {
			memcpy(end, text, length);
			end += length;
		} else {
			memcpy(end, "\xEF\xBF\xBD", 3);
			end += 3;
			length = 1;
		}
		text += length;
		left -= length;
	}
	*end = '\0';
	return copy;
}

static bool is_utf8(const char *text)
{
	while (*text && (unsigned char)*text < 0x80)
		text++;

	size_t left = strlen(text);

	while (left) {
		size_t length = core_utf8_length(text, left);

		if (!length)
			return false;
		text += length;
		left -= length;
	}
	return true;
}

/* ---- whole numbers that keep every digit ------------------------------------------------- */

static bool is_number(const cJSON *item)
{
	return cJSON_IsNumber(item) || cJSON_IsRaw(item);
}

/* Makes an exact node of a number. */
static int keep_digits(cJSON *item, const char *digits)
{
	const size_t size = strlen(digits) + 1;
	char *kept = cJSON_malloc(size);

	if (!kept)
		return PBX_ENOMEM;
	memcpy(kept, digits, size);
	item->type = (item->type & ~0xFF) | cJSON_Raw;
	item->valuestring = kept;
	return PBX_OK;
}

/* What cJSON would print with a digit lost, or a whole number with an exponent, becomes an exact node; the rest stays as it is. */
static int keep_number(cJSON *item)
{
	const double value = item->valuedouble;
	const bool whole = floor(value) == value && value >= -INT64_LIMIT && value < INT64_LIMIT;
	char digits[32];

	if (!isfinite(value) || (whole && fabs(value) <= EXACT_LIMIT))
		return PBX_OK;
	if (whole) {
		(void)snprintf(digits, sizeof digits, "%" PRId64, (int64_t)value);
		return keep_digits(item, digits);
	}
	(void)snprintf(digits, sizeof digits, "%.15g", value);
	if (strtod(digits, NULL) == value)
		return PBX_OK;
	(void)snprintf(digits, sizeof digits, "%.17g", value);
	return keep_digits(item, digits);
}

static int keep_all_numbers(cJSON *item)
{
	for (; item; item = item->next) {
		int err = PBX_OK;

		if (item->child)
			err = keep_all_numbers(item->child);
		else if (cJSON_IsNumber(item))
			err = keep_number(item);
		if (err != PBX_OK)
			return err;
	}
	return PBX_OK;
}

static cJSON *new_integer(int64_t value)
{
	cJSON *item = cJSON_CreateNumber((double)value);
	char digits[24];

	if (!item || fabs((double)value) <= EXACT_LIMIT)
		return item;
	(void)snprintf(digits, sizeof digits, "%" PRId64, value);
	if (keep_digits(item, digits) == PBX_OK)
		return item;
	cJSON_Delete(item);
	return NULL;
}

/* ---- names of members: a few hundred in all, each kept once and for ever, so that no event copies them ---- */

#define NAME_PLACES 1024u
#define NAME_TRIES 8u
#define NAME_MOST_BYTES 40u

static _Atomic(const char *) kept_names[NAME_PLACES];

static uint32_t name_hash(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash ^ hash >> 15;
}

/* Takes a place that was free a moment ago: by this name, or by that of somebody who was faster. NULL: no memory. */
static const char *name_keep(_Atomic(const char *) *place, const char *name)
{
	const char *taken_by = NULL;
	char *copy = strdup(name);

	if (!copy || atomic_compare_exchange_strong(place, &taken_by, copy))
		return copy;
	free(copy);
	return taken_by;
}

/* Letters and signs of ASCII: others may have to be cleaned. */
static bool is_plain_name(const char *name)
{
	size_t length = 0;

	while (name[length] >= ' ' && name[length] <= '~')
		length++;
	return !name[length] && length < NAME_MOST_BYTES;
}

/* The name as it is kept. NULL: it is not, and cannot be when it is long or not plain, or its places are taken: names may come from data. */
static const char *name_find(const char *name, bool keeps)
{
	uint32_t at = name_hash(name);

	for (uint32_t i = 0; i < NAME_TRIES; i++) {
		_Atomic(const char *) *place = &kept_names[(at + i) % NAME_PLACES];
		const char *kept = atomic_load_explicit(place, memory_order_acquire);

		if (!kept && (!keeps || !is_plain_name(name)))
			return NULL;
		if (!kept)
			kept = name_keep(place, name);
		if (kept && strcmp(kept, name) == 0)
			return kept;
	}
	return NULL;
}

/* ---- reading ------------------------------------------------------------------------------- */

struct pbx_json *core_json_parse(const char *text, size_t length, struct pbx_diag *diag)
{
	const char *rest = NULL;
	cJSON *item;

	if (!core_json_scan(text, length, diag))
		return NULL;
	item = cJSON_ParseWithLengthOpts(text, length, &rest, false);
	if (!item) {
		core_json_say_where(diag, text, rest && rest >= text && rest <= text + length ? rest : text,
				    length ? "not valid JSON" : "there is no JSON");
		return NULL;
	}
	while (rest < text + length && (*rest == ' ' || *rest == '\n' || *rest == '\t' || *rest == '\r'))
		rest++;
	if (rest < text + length) {
		core_json_say_where(diag, text, rest, "more text behind the end of the JSON value");
		cJSON_Delete(item);
		return NULL;
	}
	if (keep_all_numbers(item) != PBX_OK) {
		pbx_diag_set(diag, "", "no memory");
		cJSON_Delete(item);
		return NULL;
	}
	return tree(item);
}

void core_json_free(struct pbx_json *json)
{
	cJSON_Delete(own(json));
}

struct pbx_json *core_json_copy(const struct pbx_json *json)
{
	return tree(cJSON_Duplicate(node(json), true));
}

uint32_t core_json_type(const struct pbx_json *json)
{
	const cJSON *item = node(json);

	if (!item)
		return 0;
	if (is_number(item))
		return PBX_JSON_NUMBER;
	if (cJSON_IsString(item))
		return PBX_JSON_TEXT;
	if (cJSON_IsObject(item))
		return PBX_JSON_OBJECT;
	if (cJSON_IsArray(item))
		return PBX_JSON_ARRAY;
	return cJSON_IsBool(item) ? PBX_JSON_BOOL : PBX_JSON_NULL;
}

/* kept: the name as it is kept, or NULL. A member with a kept name has this one or another; the names of others are copies, and compared. */
static cJSON *find_member(const cJSON *object, const char *name, const char *kept)
{
	cJSON *item = object ? object->child : NULL;

	while (item && (item->type & cJSON_StringIsConst ? item->string != kept : !item->string || strcmp(item->string, name) != 0))
		item = item->next;
	return item;
}

const struct pbx_json *core_json_get(const struct pbx_json *object, const char *name)
{
	return object ? tree(find_member(node(object), name, name_find(name, false))) : NULL;
}

const struct pbx_json *core_json_first(const struct pbx_json *list)
{
	return list ? tree(node(list)->child) : NULL;
}

const struct pbx_json *core_json_next(const struct pbx_json *member)
{
	return member ? tree(node(member)->next) : NULL;
}

const struct pbx_json *core_json_at(const struct pbx_json *list, uint32_t index)
{
	const struct pbx_json *item = core_json_first(list);

	while (item && index--)
		item = core_json_next(item);
	return item;
}

uint32_t core_json_count(const struct pbx_json *list)
{
	uint32_t count = 0;

	for (const struct pbx_json *item = core_json_first(list); item; item = core_json_next(item))
		count++;
	return count;
}

const char *core_json_name(const struct pbx_json *member)
{
	return member ? node(member)->string : NULL;
}

const char *core_json_text(const struct pbx_json *json)
{
	return json && cJSON_IsString(node(json)) ? node(json)->valuestring : NULL;
}

int64_t core_json_integer(const struct pbx_json *json, int64_t otherwise)
{
	const cJSON *item = node(json);
	double value;

	if (!item || !is_number(item))
		return otherwise;
	if (cJSON_IsRaw(item) && !strpbrk(item->valuestring, ".e"))
		return strtoll(item->valuestring, NULL, 10);
	value = item->valuedouble;
	if (!(value >= -INT64_LIMIT && value < INT64_LIMIT) || floor(value) != value)
		return otherwise;
	return (int64_t)value;
}

double core_json_number(const struct pbx_json *json, double otherwise)
{
	return json && is_number(node(json)) ? node(json)->valuedouble : otherwise;
}

bool core_json_boolean(const struct pbx_json *json, bool otherwise)
{
	return json && cJSON_IsBool(node(json)) ? cJSON_IsTrue(node(json)) : otherwise;
}

/* ---- making -------------------------------------------------------------------------------- */

struct pbx_json *core_json_object(void)
{
	return tree(cJSON_CreateObject());
}

struct pbx_json *core_json_array(void)
{
	return tree(cJSON_CreateArray());
}

/* The text lies behind its node, so that events, which are made of texts, are half as many pieces of memory. To cJSON it is a reference: it leaves the
 * text alone when it frees the node. */
static cJSON *new_text(const char *text)
{
	size_t size = strlen(text) + 1;
	cJSON *item = cJSON_malloc(sizeof *item + size);

	if (!item)
		return NULL;
	*item = (cJSON){ .type = cJSON_String | cJSON_IsReference, .valuestring = (char *)(item + 1) };
	memcpy(item->valuestring, text, size);
	return item;
}

struct pbx_json *core_json_new_text(const char *text)
{
	char *clean;
	cJSON *item;

	if (!text)
		return tree(cJSON_CreateNull());
	if (is_utf8(text))
		return tree(new_text(text));
	clean = clean_utf8(text);
	item = clean ? new_text(clean) : NULL;
	free(clean);
	return tree(item);
}

struct pbx_json *core_json_new_integer(int64_t value)
{
	return tree(new_integer(value));
}

struct pbx_json *core_json_new_number(double value)
{
	cJSON *item = cJSON_CreateNumber(value);

	if (item && keep_all_numbers(item) != PBX_OK) {
		cJSON_Delete(item);
		item = NULL;
	}
	return tree(item);
}

struct pbx_json *core_json_new_boolean(bool value)
{
	return tree(cJSON_CreateBool(value));
}

/* ---- members ---- */

/* The name moves with its kind: cJSON's own way copies it, and without memory it leaves the member without one. */
static bool replace_member(cJSON *object, cJSON *old, cJSON *taken)
{
	taken->string = old->string;
	taken->type |= old->type & cJSON_StringIsConst;
	old->string = NULL;
	return cJSON_ReplaceItemViaPointer(object, old, taken);
}

static int add_member(cJSON *object, const char *name, const char *kept, cJSON *taken)
{
	cJSON *old = find_member(object, name, kept);
	bool added;

	if (old)
		added = replace_member(object, old, taken);
	else
		added = kept ? cJSON_AddItemToObjectCS(object, kept, taken) : cJSON_AddItemToObject(object, name, taken);
	return added ? PBX_OK : PBX_ENOMEM;
}

int core_json_set(struct pbx_json *object, const char *name, struct pbx_json *taken)
{
	const char *kept = object && taken ? name_find(name, true) : NULL;
	int err = PBX_ENOMEM;

	if (!taken)
		return PBX_ENOMEM;
	if (kept) {
		err = add_member(own(object), kept, kept, own(taken));
	} else if (object) {
		char *clean = clean_utf8(name);

		err = clean ? add_member(own(object), clean, NULL, own(taken)) : PBX_ENOMEM;
		free(clean);
	}
	if (err != PBX_OK)
		core_json_free(taken);
	return err;
}

int core_json_set_text(struct pbx_json *object, const char *name, const char *text)
{
	return core_json_set(object, name, core_json_new_text(text));
}

int core_json_set_integer(struct pbx_json *object, const char *name, int64_t value)
{
	return core_json_set(object, name, core_json_new_integer(value));
}

int core_json_set_number(struct pbx_json *object, const char *name, double value)
{
	return core_json_set(object, name, core_json_new_number(value));
}

int core_json_set_boolean(struct pbx_json *object, const char *name, bool value)
{
	return core_json_set(object, name, core_json_new_boolean(value));
}

static char *put_digits(char *at, int value, int count, char behind)
{
	for (int i = count; i-- > 0; value /= 10)
		at[i] = (char)('0' + value % 10);
	at[count] = behind;
	return at + count + 1;
}

int core_json_set_time(struct pbx_json *object, const char *name, int64_t wall_us)
{
	int64_t ms = (wall_us - (wall_us < 0 ? 999 : 0)) / 1000; /* towards the past, also before 1970 */
	int64_t in_second = ((ms % 1000) + 1000) % 1000;
	time_t seconds = (time_t)((ms - in_second) / 1000);
	char text[32], *at = text;
	struct tm tm;

	if (!wall_us || !gmtime_r(&seconds, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) /* RFC 3339 knows no other years */
		return core_json_set(object, name, core_json_new_text(NULL));
	at = put_digits(at, tm.tm_year + 1900, 4, '-');
	at = put_digits(at, tm.tm_mon + 1, 2, '-');
	at = put_digits(at, tm.tm_mday, 2, 'T');
	at = put_digits(at, tm.tm_hour, 2, ':');
	at = put_digits(at, tm.tm_min, 2, ':');
	at = put_digits(at, tm.tm_sec, 2, '.');
	at = put_digits(at, (int)in_second, 3, 'Z');
	*at = '\0';
	return core_json_set_text(object, name, text);
}

int core_json_append(struct pbx_json *array, struct pbx_json *taken)
{
	if (taken && array && cJSON_AddItemToArray(own(array), own(taken)))
		return PBX_OK;
	core_json_free(taken);
	return PBX_ENOMEM;
}

int core_json_append_text(struct pbx_json *array, const char *text)
{
	return core_json_append(array, core_json_new_text(text));
}

const struct pbx_jsons core_json_service = {
	.header = PBX_HEADER(struct pbx_jsons),
	.parse = core_json_parse,
	.print = core_json_print,
	.free_text = core_json_free_text,
	.free = core_json_free,
	.copy = core_json_copy,
	.type = core_json_type,
	.get = core_json_get,
	.at = core_json_at,
	.count = core_json_count,
	.name = core_json_name,
	.text = core_json_text,
	.integer = core_json_integer,
	.number = core_json_number,
	.boolean = core_json_boolean,
	.new_object = core_json_object,
	.new_array = core_json_array,
	.new_text = core_json_new_text,
	.set = core_json_set,
	.set_text = core_json_set_text,
	.set_integer = core_json_set_integer,
	.set_number = core_json_set_number,
	.set_boolean = core_json_set_boolean,
	.set_time = core_json_set_time,
	.append = core_json_append,
	.append_text = core_json_append_text,
};
