/* pbxctl_print.h - how answers look to a person: tables, records, members, lines of a stream */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

#include "pbxctl_text.h"

struct look {
	FILE *out;
	bool colours;
	int width;  /* columns that may be taken, behind the indent; 0: as many as needed, a line each: somebody else reads it */
	int indent; /* columns before each line */
};

/* A command's answer: an array (or an object with "items") is a table, an object a list of its members, after the sentence it has. Nothing for an
 * empty one. columns: as struct pbx_command has them, "slot,caller,parker", or NULL for all. */
void print_answer(const struct look *look, const cJSON *body, const char *columns);
/* One line of a stream: JSON is shown as "time level what key=value…", anything else as it is. */
void print_stream_line(const struct look *look, const char *line);

/* ---- between the files that print ---- */

extern const char bold[];
/* The colour of a state; "" for other texts. */
const char *colour_of(const char *text);
/* Filled up with spaces to width; cut to most columns, unless that is 0. */
void print_cell(const struct look *look, const char *text, const char *colour, int width, int most);
void print_indent(const struct look *look);
/* As this one, but two columns further in. */
struct look deeper(const struct look *look);

/* Texts that follow each other until a line is full. What stands before the first is printed by whoever begins one: margin and at say how wide it is. */
struct flow {
	const struct look *look;
	int margin, at;     /* columns before each line, and those used of this one */
	const char *colour; /* of texts without a key */
};
/* key NULL: the text alone. gap: columns before it, unless it begins a line. */
void flow_put(struct flow *flow, const char *key, const char *text, int gap);

/* An object's members, one a line; what they hold further in. Its "sentence" comes first. */
void print_members(const struct look *look, const cJSON *object);
/* One member; name filled up to width. value nested: below it. text NULL: that of the value. */
void print_member(const struct look *look, const char *name, const cJSON *value, const char *text, int width);

/* ---- pbxctl_table.c ---- */

/* Rows that do not fit the width in columns are printed as records, a "key value" a line. */
void print_table(const struct look *look, const cJSON *rows, const char *columns);
