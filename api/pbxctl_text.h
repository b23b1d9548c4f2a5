/* pbxctl_text.h - values as short texts */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

/* Text from anywhere, without what could command the terminal. */
void print_plain(FILE *out, const char *text);
/* end NULL: all of it. */
void print_plain_until(FILE *out, const char *text, const char *end);
/* How many columns a text takes on the screen. */
int width_of(const char *text);
/* Behind the first `width` columns of a text. NULL: it has no more than that. */
const char *behind(const char *text, int width);

/* Nothing there, null, "", [] or {}: people are shown "-" for all of them. */
bool is_empty(const cJSON *value);
/* Has members, or is a list of such. */
bool is_nested(const cJSON *value);

/* A value as a short text: "-", "yes", "a, b"; what is nested as facts in one line, key=value. free(); NULL: no memory. */
char *text_of(const cJSON *value);
/* The same in a table, where a duration ("…_ms", "…_us", "…_s") is read as "350 ms", "4.2 s", "0:42", "1:02:11". */
char *reading_of(const char *name, const cJSON *value);
/* Length of a name without the unit that reading_of() says; all of it when it has none. */
size_t heading_length(const char *name);
/* How a person reads a value that is shown under its own name, unit and all: "0:42" for 42312 of duration_ms. free(); NULL: as it stands. */
char *aside_of(const char *name, const cJSON *value);

/* ---- facts: what is nested, flat ---- */

struct fact {
	char *key, *text; /* "from.number", "1001" */
};

struct facts {
	struct fact *items;
	int count;
};

/* All that is not empty in there, in order. facts_free() it. */
struct facts facts_of(const cJSON *value);
void facts_free(struct facts *facts);
