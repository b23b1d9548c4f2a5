/* pbxctl.h - what the files of pbxctl know of each other */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

#define DEFAULT_SOCKET "/run/pbx/pbxd.sock"
#define WORDS_MAX 64

struct session {
	const char *path;
	FILE *in;   /* the connection, NULL while there is none */
	char *line; /* the last one read */
	size_t line_size;
	cJSON *commands;
	bool json, quiet; /* quiet: the shell asks, errors would disturb */
};

/* ---- pbxctl_session.c: errors are said on stderr, codes are those of sysexits.h ---- */

int session_open(struct session *session);
void session_close(struct session *session);
void ask(const struct session *session, const char *const *words, int count);
/* The next line of the daemon; cJSON_Delete it. NULL: it has hung up, or speaks something else. */
cJSON *hear(struct session *session);
int status_of(const cJSON *answer);
const char *text_in(const cJSON *object, const char *name); /* "" when it is not there */
/* Says why an answer is a refusal, and returns the exit code for it. */
int complain(const struct session *session, const cJSON *answer);

/* ---- pbxctl_help.c ---- */

int fetch_commands(struct session *session);
/* The longest command these words begin with. */
const cJSON *find_command(const cJSON *commands, const char *const *words, int count, int *ret_matched);
void print_usage(FILE *out);
/* Usage, and what there is to begin with, for who typed nothing. */
int show_groups(struct session *session);
int show_help(struct session *session, const char *const *words, int count);
/* Offers the shell what may stand in the place of the last word, which may be empty or unfinished. */
int complete(struct session *session, const char *const *words, int count);
void print_completion(void);
