/* pbxctl_print.h - how answers look to a person: tables, members, lines of a stream */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

struct look {
	FILE *out;
	bool colours;
	int width; /* columns a table may take; 0: as many as it needs */
};

/* A command's answer: an array (or an object with "items") is a table, an object a list of its members.
 * columns: "slot,caller,parker", or NULL for all. */
void print_answer(const struct look *look, const cJSON *body, const char *columns);
/* One line of a stream: JSON is shown as "time level what key=value…", anything else as it is. */
void print_stream_line(const struct look *look, const char *line);
/* Text from anywhere, without what could command the terminal. */
void print_plain(FILE *out, const char *text);
/* How many columns a text takes on the screen. */
int width_of(const char *text);
