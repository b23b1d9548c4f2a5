/* pbxctl_ladder.h - messages between parties, drawn as a ladder */
#pragma once
#include <cjson/cJSON.h>

#include "pbxctl_print.h"

#define LADDER_PARTIES 8

struct ladder {
	struct {
		char address[64], name[64];
	} parties[LADDER_PARTIES];
	int count, drawn; /* drawn: so many are in the heading that was printed last */
	bool is_whole;    /* times count from its first message */
};

/* Draws a rung: {time, offset_ms, direction, peer, remote, line, method, status, sdp, repeat}. A party that is new gets a column, and the heading
 * is printed again. What is no rung is left to the caller: false. */
bool print_rung(struct ladder *ladder, const struct look *look, const cJSON *rung);
/* All of them, under one heading. */
void print_ladder(const struct look *look, const cJSON *rungs);
