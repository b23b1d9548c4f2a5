/*
 * pbxctl - the command line of the PBX
 *
 * It knows no command (pbxctl_help.c has what the daemon says of them; pbxctl_session.c talks to it; pbxctl_print.c shows answers). Words go to the daemon over its control socket, and what comes back is shown as
 * a table, or with --json as it is. Help, usage and the shell's completion are made from the daemon's table of commands, so a plugin that
 * was dropped in a minute ago is there too.
 *
 * Exit codes: 0 done, 1 refused, failed, or an answer, or a row of one, that says "ok": no, 64 wrong usage (sysexits.h EX_USAGE), 69 the daemon cannot be reached (EX_UNAVAILABLE).
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "pbxctl.h"
#include "pbxctl_ladder.h"
#include "pbxctl_print.h"

/* ---- running a command ------------------------------------------------------------------ */

/* The pieces of a stream need not end where lines end. */
struct unfinished {
	char *text;
	size_t used;
};

/* A line of a stream: a rung when that is what comes. */
static void show_line(struct ladder *ladder, const struct look *look, const char *line)
{
	cJSON *rung = ladder ? cJSON_Parse(line) : NULL;

	if (!rung || !print_rung(ladder, look, rung))
		print_stream_line(look, line);
	cJSON_Delete(rung);
}

static void show_piece(const struct session *session, const struct look *look, struct ladder *ladder, const char *piece,
		       struct unfinished *rest)
{
	size_t size = strlen(piece);
	char *text = session->json ? NULL : realloc(rest->text, rest->used + size + 1);

	if (!text) {
		(void)fputs(piece, look->out);
		(void)fflush(look->out);
		return;
	}
	memcpy(text + rest->used, piece, size + 1);

	char *line = text;
	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		show_line(ladder, look, line);
	}
	rest->text = text;
	rest->used = strlen(line);
	memmove(text, line, rest->used + 1);
	(void)fflush(look->out);
}

static int digit_of_base64(char digit)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = digit ? strchr(digits, digit) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* What is no text goes out as it is: for a file. */
static void write_binary(const struct look *look, const char *base64)
{
	unsigned bits = 0, count = 0;

	for (; digit_of_base64(*base64) >= 0; base64++) {
		bits = (bits << 6 | (unsigned)digit_of_base64(*base64)) & 0xffffff;
		count += 6;
		if (count >= 8) {
			count -= 8;
			(void)fputc((int)(bits >> count & 0xff), look->out);
		}
	}
}

static int show_stream(struct session *session, const struct look *look, const char *kind)
{
	struct ladder ladder = { .count = 0 }, *rungs = strcmp(kind, "application/x-ladder") == 0 ? &ladder : NULL;
	struct unfinished rest = { NULL, 0 };
	bool ended = false;

	while (!ended) {
		cJSON *piece = hear(session);
		if (!piece)
			break;
		ended = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(piece, "end"));
		write_binary(look, text_in(piece, "base64"));
		show_piece(session, look, rungs, text_in(piece, "data"), &rest);
		cJSON_Delete(piece);
	}
	if (rest.used > 0)
		print_stream_line(look, rest.text);
	free(rest.text);
	if (!ended)
		(void)fputs("pbxctl: the daemon hung up\n", stderr);
	return ended ? EX_OK : EXIT_FAILURE;
}

static bool says_no(const cJSON *body)
{
	const cJSON *rows = cJSON_IsArray(body) ? body : cJSON_GetObjectItemCaseSensitive(body, "items"), *row;

	if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(body, "ok")))
		return true;
	cJSON_ArrayForEach(row, rows)
	{
		if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(row, "ok")))
			return true;
	}
	return false;
}

static bool is_empty_list(const cJSON *body)
{
	const cJSON *rows = cJSON_IsArray(body) ? body : cJSON_GetObjectItemCaseSensitive(body, "items");

	return cJSON_IsArray(rows) && !rows->child && !cJSON_HasObjectItem(body, "sentence");
}

static int show_answer(const struct session *session, const struct look *look, const cJSON *answer, const char *columns)
{
	const cJSON *body = cJSON_GetObjectItemCaseSensitive(answer, "body");
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(answer, "text");

	if (cJSON_IsString(text)) {
		(void)fputs(text->valuestring, look->out);
	} else if (session->json || cJSON_HasObjectItem(body, "$schema")) { /* a schema is nothing but JSON */
		char *json = cJSON_Print(body);
		(void)fprintf(look->out, "%s\n", json ? json : "{\"ok\": true}"); /* done, and there is nothing to tell of it */
		cJSON_free(json);
	} else if (!body || cJSON_IsNull(body)) {
		(void)fputs("done\n", look->out);
	} else {
		print_answer(look, body, columns);
		if (is_empty_list(body)) /* beside the table's head, so that a script counts no row */
			(void)fputs("there are none\n", stderr);
	}
	/* A check that found something is an answer, and no success. */
	return says_no(body) ? EXIT_FAILURE : EX_OK;
}

/* Tables fit the terminal, or COLUMNS; what is piped is whole. */
static int width_of_output(void)
{
	const char *wanted = getenv("COLUMNS");
	struct winsize size = { 0 };

	if (wanted && atoi(wanted) > 0)
		return atoi(wanted);
	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static int refuse_terminal(void)
{
	(void)fputs("pbxctl: this is a file, not for a terminal: write > NAME behind the command\n", stderr);
	return EX_USAGE;
}

static bool is_file(const char *kind)
{
	return strstr(kind, "pcap") || strstr(kind, "zip") || strncmp(kind, "audio/", 6) == 0;
}

static int run(struct session *session, const char *const *words, int count)
{
	const struct look look = { .out = stdout, .colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), .width = width_of_output() };
	int matched, code = session_open(session);

	if (code == EX_OK && !session->json) /* which columns a table has stands in it; a script pays for no table */
		code = fetch_commands(session);
	if (code != EX_OK)
		return code;

	const char *columns = text_in(find_command(session->commands, words, count, &matched), "columns");
	ask(session, words, count);
	cJSON *answer = hear(session);
	if (status_of(answer) < 200 || status_of(answer) >= 300)
		code = complain(session, answer);
	else if (is_file(text_in(answer, "stream")) && isatty(STDOUT_FILENO))
		code = refuse_terminal();
	else if (*text_in(answer, "stream"))
		code = show_stream(session, &look, text_in(answer, "stream"));
	else
		code = show_answer(session, &look, answer, columns);
	cJSON_Delete(answer);
	return code;
}

/* ---- main ------------------------------------------------------------------------------- */

/* --json and --help are understood behind the words, too. Everything else there belongs to the command. */
static int take_words(char **typed, const char *words[WORDS_MAX], bool *ret_json, bool *ret_help)
{
	int count = 0;

	for (; *typed && count < WORDS_MAX; typed++) {
		if (strcmp(*typed, "--json") == 0)
			*ret_json = true;
		else if (strcmp(*typed, "--help") == 0)
			*ret_help = true;
		else
			words[count++] = *typed;
	}
	return *typed ? -1 : count;
}

static int dispatch(struct session *session, char **typed, bool help)
{
	const char *words[WORDS_MAX];

	if (typed[0] && strcmp(typed[0], "__complete") == 0) {
		int count = 0;
		while (count < WORDS_MAX && typed[count + 1])
			words[count] = typed[count + 1], count++;
		return complete(session, words, count);
	}

	int count = take_words(typed, words, &session->json, &help);
	if (count < 0) {
		(void)fprintf(stderr, "pbxctl: more than %d words\n", WORDS_MAX);
		return EX_USAGE;
	}
	if (count > 0 && strcmp(words[0], "help") == 0)
		return show_help(session, words + 1, count - 1);
	if (help)
		return show_help(session, words, count);
	if (count == 2 && strcmp(words[0], "completion") == 0 && strcmp(words[1], "bash") == 0) {
		print_completion();
		return EX_OK;
	}
	if (count == 0)
		return show_groups(session);
	return run(session, words, count);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct session session = { .path = getenv("PBX_SOCKET") };
	bool help = false;

	if (!session.path || !*session.path)
		session.path = DEFAULT_SOCKET;
	for (int option; (option = getopt_long(argc, argv, "+s:jhV", options, NULL)) != -1;) {
		switch (option) {
		case 's':
			session.path = optarg;
			break;
		case 'j':
			session.json = true;
			break;
		case 'h':
			help = true;
			break;
		case 'V':
			(void)puts("pbxctl " PBX_VERSION);
			return EX_OK;
		default:
			print_usage(stderr);
			return EX_USAGE;
		}
	}

	int code = dispatch(&session, argv + optind, help);
	session_close(&session);
	return code;
}
