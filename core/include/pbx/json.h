/* pbx/json.h - JSON values, read and made
 * Served by the core as "pbx.json/1". [any]: a tree belongs to one thread at a time.
 *
 * A tree has one owner. add and append take what they are given; get and at lend a part of the tree, valid as long as
 * the tree. Readers cope with NULL, so look-ups chain: text(get(get(body, "from"), "number")). */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pbx_json;

#define PBX_JSON_NULL 1u
#define PBX_JSON_BOOL 2u
#define PBX_JSON_NUMBER 3u
#define PBX_JSON_TEXT 4u
#define PBX_JSON_ARRAY 5u
#define PBX_JSON_OBJECT 6u

struct pbx_jsons {
	struct pbx_header header;

	/* Owned tree, or NULL and diag (line and column). At most 64 levels deep. */
	struct pbx_json *(*parse)(const char *text, size_t length, struct pbx_diag *diag);
	/* Owned text on one line, ends with zero; free_text gives it back. NULL: no memory. */
	char *(*print)(const struct pbx_json *json);
	void (*free_text)(char *text);
	void (*free)(struct pbx_json *json);
	struct pbx_json *(*copy)(const struct pbx_json *json);

	uint32_t (*type)(const struct pbx_json *json);                                  /* PBX_JSON_…; 0 for NULL */
	const struct pbx_json *(*get)(const struct pbx_json *object, const char *name); /* NULL: not there */
	const struct pbx_json *(*at)(const struct pbx_json *list, uint32_t index);      /* arrays, and objects by position */
	uint32_t (*count)(const struct pbx_json *list);
	const char *(*name)(const struct pbx_json *member); /* its key in the object it is in */
	const char *(*text)(const struct pbx_json *json);   /* NULL when it is not a text */
	int64_t (*integer)(const struct pbx_json *json, int64_t otherwise);
	double (*number)(const struct pbx_json *json, double otherwise);
	bool (*boolean)(const struct pbx_json *json, bool otherwise);

	/* Makers: NULL when there is no memory. */
	struct pbx_json *(*new_object)(void);
	struct pbx_json *(*new_array)(void);
	struct pbx_json *(*new_text)(const char *text); /* NULL text makes null; bytes that are not UTF-8 are replaced */

	/* Each returns PBX_OK or PBX_ENOMEM, also when given a NULL tree or value, so that only what is sent in the end needs a look.
	 * What it took is freed then. A member of that name is replaced. Integers up to 2^53 keep every digit. */
	int (*set)(struct pbx_json *object, const char *name, struct pbx_json *taken);
	int (*set_text)(struct pbx_json *object, const char *name, const char *text);
	int (*set_integer)(struct pbx_json *object, const char *name, int64_t value);
	int (*set_number)(struct pbx_json *object, const char *name, double value);
	int (*set_boolean)(struct pbx_json *object, const char *name, bool value);
	int (*set_time)(struct pbx_json *object, const char *name, int64_t wall_us); /* RFC 3339 with milliseconds; 0 makes null */
	int (*append)(struct pbx_json *array, struct pbx_json *taken);
	int (*append_text)(struct pbx_json *array, const char *text);
};

static inline const struct pbx_jsons *pbx_jsons(struct pbx_host *host)
{
	return (const struct pbx_jsons *)host->service(host, "pbx.json/1", (uint32_t)sizeof(struct pbx_jsons));
}

#ifdef __cplusplus
}
#endif
