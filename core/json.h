/* core/json.h - JSON trees for the daemon's own code; serves "pbx.json/1". [any]: a tree belongs to one thread at a time.
 *
 * The functions of the service under short names; pbx/json.h says what each does. Owned results; takers take even when they fail. */
#pragma once
#include <pbx/json.h>

struct pbx_json *core_json_parse(const char *text, size_t length, struct pbx_diag *diag);
char *core_json_print(const struct pbx_json *json);
void core_json_free_text(char *text);
void core_json_free(struct pbx_json *json); /* NULL is fine */
struct pbx_json *core_json_copy(const struct pbx_json *json);

uint32_t core_json_type(const struct pbx_json *json);
const struct pbx_json *core_json_get(const struct pbx_json *object, const char *name);
const struct pbx_json *core_json_at(const struct pbx_json *list,
				    uint32_t index); /* walks from the start: for a whole list use first and next */
const struct pbx_json *core_json_first(const struct pbx_json *list);
const struct pbx_json *core_json_next(const struct pbx_json *member);
uint32_t core_json_count(const struct pbx_json *list);
const char *core_json_name(const struct pbx_json *member);
const char *core_json_text(const struct pbx_json *json);
int64_t core_json_integer(const struct pbx_json *json, int64_t otherwise); /* otherwise for 1.5 and for what 64 bits cannot hold, too */
double core_json_number(const struct pbx_json *json, double otherwise);
bool core_json_boolean(const struct pbx_json *json, bool otherwise);

struct pbx_json *core_json_object(void);
struct pbx_json *core_json_array(void);
struct pbx_json *core_json_new_text(const char *text);
struct pbx_json *core_json_new_integer(int64_t value);
struct pbx_json *core_json_new_number(double value);
struct pbx_json *core_json_new_boolean(bool value);

int core_json_set(struct pbx_json *object, const char *name, struct pbx_json *taken);
int core_json_set_text(struct pbx_json *object, const char *name, const char *text);
int core_json_set_integer(struct pbx_json *object, const char *name, int64_t value);
int core_json_set_number(struct pbx_json *object, const char *name, double value);
int core_json_set_boolean(struct pbx_json *object, const char *name, bool value);
int core_json_set_time(struct pbx_json *object, const char *name, int64_t wall_us);
int core_json_append(struct pbx_json *array, struct pbx_json *taken);
int core_json_append_text(struct pbx_json *array, const char *text);

/* How many bytes the UTF-8 character at text takes (of `left` bytes); 0: not UTF-8 (overlong, surrogate, cut short…). */
size_t core_utf8_length(const char *text, size_t left);

extern const struct pbx_jsons core_json_service;
