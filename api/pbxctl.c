/*
 * pbxctl - the command line of the PBX
 *
 * It knows no command. Words go to the daemon over its control socket (core/control.h tells the protocol), and what comes back is shown as
 * a table, or with --json as it is. Help, usage and the shell's completion are made from the daemon's table of commands, so a plugin that
 * was dropped in a minute ago is there too.
 *
 * Exit codes: 0 done, 1 refused, failed, or an answer that says "ok": no, 64 wrong usage (sysexits.h EX_USAGE), 69 the daemon cannot be reached (EX_UNAVAILABLE).
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "pbxctl_print.h"

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

/* ---- talking ---------------------------------------------------------------------------- */

static void complain_unreachable(const struct session *session, int reason)
{
	if (session->quiet)
		return;
	(void)fprintf(stderr, "pbxctl: the PBX cannot be reached at %s: %s\n", session->path, strerror(reason));
	if (reason == EACCES)
		(void)fputs("Run it as root, as the user pbxd runs as, or as a member of its group.\n", stderr);
	else
		(void)fputs("Start it with: systemctl start pbxd\nIf it listens elsewhere, tell with --socket PATH or PBX_SOCKET.\n",
			    stderr);
}

static int session_open(struct session *session)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(session->path) >= sizeof address.sun_path) {
		complain_unreachable(session, ENAMETOOLONG);
		return EX_UNAVAILABLE;
	}
	memcpy(address.sun_path, session->path, strlen(session->path) + 1);

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		complain_unreachable(session, errno);
		if (fd >= 0)
			(void)close(fd);
		return EX_UNAVAILABLE;
	}
	session->in = fdopen(fd, "r");
	return session->in ? EX_OK : EX_UNAVAILABLE;
}

static void session_close(struct session *session)
{
	if (session->in)
		(void)fclose(session->in);
	free(session->line);
	cJSON_Delete(session->commands);
}

/* A daemon that has hung up has said why: that shows when the answer is read. */
static void ask(const struct session *session, const char *const *words, int count)
{
	cJSON *request = cJSON_CreateObject();
	char *text =
		cJSON_AddItemToObject(request, "words", cJSON_CreateStringArray(words, count)) ? cJSON_PrintUnformatted(request) : NULL;
	size_t left = text ? strlen(text) + 1 : 0;

	if (text)
		text[left - 1] = '\n'; /* in the place of the final zero */
	for (const char *at = text; left > 0;) {
		ssize_t sent = send(fileno(session->in), at, left, MSG_NOSIGNAL);
		if (sent <= 0)
			break;
		at += sent;
		left -= (size_t)sent;
	}
	cJSON_free(text);
	cJSON_Delete(request);
}

/* The next line of the daemon; cJSON_Delete it. NULL: it has hung up, or speaks something else. */
static cJSON *hear(struct session *session)
{
	ssize_t length = getline(&session->line, &session->line_size, session->in);

	return length > 0 ? cJSON_ParseWithLength(session->line, (size_t)length) : NULL;
}

static int status_of(const cJSON *answer)
{
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(answer, "status");

	return cJSON_IsNumber(status) ? status->valueint : 0;
}

static const char *text_in(const cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

	return text ? text : "";
}

/* Refusals come as problems (RFC 9457). */
static int complain(const struct session *session, const cJSON *answer)
{
	const cJSON *body = cJSON_GetObjectItemCaseSensitive(answer, "body"), *error;
	int status = status_of(answer);

	if (!session->quiet) {
		const char *detail = *text_in(body, "detail") ? text_in(body, "detail") : text_in(body, "title");
		(void)fputs("pbxctl: ", stderr);
		print_plain(stderr, *detail ? detail : "the daemon hung up without an answer");
		(void)fputc('\n', stderr);
		cJSON_ArrayForEach(error, cJSON_GetObjectItemCaseSensitive(body, "errors"))
		{
			if (strncmp(text_in(error, "detail"), detail, strlen(text_in(error, "detail"))) == 0) /* said above */
				continue;
			(void)fputs("        ", stderr);
			print_plain(stderr, text_in(error, "detail"));
			(void)fputc('\n', stderr);
		}
	}
	return status == 400 || strcmp(text_in(body, "code"), "unknown_command") == 0 ? EX_USAGE : EXIT_FAILURE;
}

static int by_words(const void *a, const void *b)
{
	return strcmp(text_in(*(cJSON *const *)a, "words"), text_in(*(cJSON *const *)b, "words"));
}

/* The daemon lists them as they were declared, people look for them by the alphabet. */
static cJSON *sorted(cJSON *taken)
{
	size_t count = (size_t)cJSON_GetArraySize(taken), at = 0;
	cJSON **items = calloc(count + 1, sizeof(cJSON *)), *list = cJSON_CreateArray();

	if (!items || !list) {
		free(items);
		cJSON_Delete(list);
		return taken;
	}
	while (at < count)
		items[at++] = cJSON_DetachItemFromArray(taken, 0);
	qsort(items, count, sizeof(cJSON *), by_words);
	for (at = 0; at < count; at++)
		(void)cJSON_AddItemToArray(list, items[at]);
	free(items);
	cJSON_Delete(taken);
	return list;
}

static int fetch_commands(struct session *session)
{
	static const char *const words[] = { "__commands" };

	ask(session, words, 1);
	cJSON *answer = hear(session);
	int code = status_of(answer) == 200 ? EX_OK : complain(session, answer);
	session->commands = sorted(cJSON_DetachItemFromObjectCaseSensitive(answer, "body"));
	cJSON_Delete(answer);
	return code;
}

/* ---- the table of commands -------------------------------------------------------------- */

/* How many of the words typed are this command's: all of its own, or 0. */
static int words_matched(const cJSON *command, const char *const *words, int count)
{
	const char *at = text_in(command, "words");
	int matched = 0;

	while (*at) {
		size_t length = strcspn(at, " ");
		if (matched == count || strlen(words[matched]) != length || strncmp(words[matched], at, length) != 0)
			return 0;
		matched++;
		at += length + (at[length] == ' ');
	}
	return matched;
}

/* The longest command these words begin with. */
static const cJSON *find_command(const cJSON *commands, const char *const *words, int count, int *ret_matched)
{
	const cJSON *command, *best = NULL;

	*ret_matched = 0;
	cJSON_ArrayForEach(command, commands)
	{
		int matched = words_matched(command, words, count);
		if (matched > *ret_matched) {
			*ret_matched = matched;
			best = command;
		}
	}
	return best;
}

/* Whether a command begins with all of the words. */
static bool begins_with(const cJSON *command, const char *const *words, int count)
{
	const char *at = text_in(command, "words");

	for (int i = 0; i < count; i++) {
		size_t length = strcspn(at, " ");
		if (strlen(words[i]) != length || strncmp(words[i], at, length) != 0)
			return false;
		at += length + (at[length] == ' ');
	}
	return true;
}

static const cJSON *args_of(const cJSON *command)
{
	return cJSON_GetObjectItemCaseSensitive(command, "args");
}

static bool is_required(const cJSON *arg)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(arg, "required"));
}

/* ---- help ------------------------------------------------------------------------------- */

static void print_usage(FILE *out)
{
	(void)fputs("usage: pbxctl [--socket PATH] [--json] WORDS…\n"
		    "       pbxctl help [WORDS…]\n"
		    "       pbxctl completion bash\n\n"
		    "  -s, --socket PATH  control socket of the daemon (default " DEFAULT_SOCKET ", or PBX_SOCKET)\n"
		    "  -j, --json         print answers as JSON\n"
		    "  -h, --help         this, or with WORDS what they do\n"
		    "  -V, --version\n",
		    out);
}

static void print_command(const cJSON *command)
{
	const cJSON *arg;

	(void)printf("usage: pbxctl %s", text_in(command, "words"));
	cJSON_ArrayForEach(arg, args_of(command))
	{
		bool rest = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(arg, "rest"));
		(void)printf(is_required(arg) ? " %s%s" : " [--%s%s]", text_in(arg, "name"), rest ? "…" : is_required(arg) ? "" : " …");
	}
	(void)printf("\n\n%s\n", text_in(command, "help"));
	cJSON_ArrayForEach(arg, args_of(command))
	{
		const cJSON *choice, *choices = cJSON_GetObjectItemCaseSensitive(arg, "choices");
		(void)printf("%s  %-16s %s", arg->prev && arg == args_of(command)->child ? "\n" : "", text_in(arg, "name"),
			     text_in(arg, "help"));
		cJSON_ArrayForEach(choice, choices)(void)
			printf("%s%s", choice == choices->child ? " (" : ", ", choice->valuestring ? choice->valuestring : "");
		(void)puts(choices && choices->child ? ")" : "");
	}
}

/* Every command that begins with the words; alone it is shown in full. */
static int print_help(const struct session *session, const char *const *words, int count)
{
	const cJSON *command, *only = NULL;
	int found = 0, width = 0;

	cJSON_ArrayForEach(command, session->commands)
	{
		if (!begins_with(command, words, count))
			continue;
		found++;
		only = command;
		if (width_of(text_in(command, "words")) > width)
			width = width_of(text_in(command, "words"));
	}
	if (found == 0) {
		(void)fprintf(stderr, "pbxctl: no command begins with these words, see: pbxctl help\n");
		return EX_USAGE;
	}
	if (found == 1) {
		print_command(only);
		return EX_OK;
	}
	cJSON_ArrayForEach(command, session->commands)
	{
		if (begins_with(command, words, count))
			(void)printf("  %-*s  %s\n", width, text_in(command, "words"), text_in(command, "help"));
	}
	return EX_OK;
}

static int show_help(struct session *session, const char *const *words, int count)
{
	if (count == 0) {
		print_usage(stdout);
		session->quiet = true; /* the usage is an answer without the daemon, too */
	}

	int code = session_open(session);
	if (code == EX_OK)
		code = fetch_commands(session);
	if (code != EX_OK)
		return count == 0 ? EX_OK : code;
	if (count == 0)
		(void)puts("");
	return print_help(session, words, count);
}

/* ---- completion ------------------------------------------------------------------------- */

static const char completion_script[] = "_pbxctl() {\n"
					"\tlocal IFS=$'\\n'\n"
					"\tCOMPREPLY=($(compgen -W \"$(pbxctl __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\" "
					"-- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
					"}\n"
					"complete -F _pbxctl pbxctl\n";

/* The next word of every command that begins with the words. The shell sorts out doubles. */
static void offer_next_words(const struct session *session, const char *const *words, int count)
{
	const cJSON *command;

	cJSON_ArrayForEach(command, session->commands)
	{
		const char *at = text_in(command, "words");
		if (!begins_with(command, words, count))
			continue;
		for (int i = 0; i < count; i++)
			at += strcspn(at, " ") + (at[strcspn(at, " ")] == ' ');
		if (*at)
			(void)printf("%.*s\n", (int)strcspn(at, " "), at);
	}
}

/* What can be named where an argument wants a "plugin" or a "call": the first column of the command that lists them. */
static void offer_things(struct session *session, const char *kind)
{
	static const struct {
		const char *kind, *listed_by;
	} elsewhere[] = { { "owner", "plugin list" }, { "setting", "config show" } };
	char patterns[3][96];
	const cJSON *lister = NULL;
	int matched;

	(void)snprintf(patterns[0], sizeof patterns[0], "%.64s list", kind);
	(void)snprintf(patterns[1], sizeof patterns[1], "%.64ss list", kind);
	(void)snprintf(patterns[2], sizeof patterns[2], "%.64ss", kind);
	for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
		if (strcmp(kind, elsewhere[i].kind) == 0)
			(void)snprintf(patterns[0], sizeof patterns[0], "%s", elsewhere[i].listed_by);
	}

	const char *words[2];
	int count = 0;
	for (int i = 0; i < 3 && !lister; i++) {
		char *space = strchr(patterns[i], ' ');
		if (space)
			*space = '\0';
		words[0] = patterns[i];
		words[1] = space ? space + 1 : "";
		count = space ? 2 : 1;
		lister = find_command(session->commands, words, count, &matched);
		if (matched != count)
			lister = NULL;
	}
	if (!lister)
		return;

	ask(session, words, count);
	cJSON *answer = hear(session);
	const cJSON *body = cJSON_GetObjectItemCaseSensitive(answer, "body"), *item;
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(body, "items");
	char column[64];

	(void)snprintf(column, sizeof column, "%.*s", (int)strcspn(text_in(lister, "columns"), ","), text_in(lister, "columns"));
	if (!items)
		items = body;
	cJSON_ArrayForEach(item, items)
	{
		const cJSON *value = *column ? cJSON_GetObjectItemCaseSensitive(item, column) : item->child;
		if (cJSON_IsString(value))
			(void)printf("%s\n", value->valuestring);
		else if (cJSON_IsNumber(value))
			(void)printf("%.0f\n", value->valuedouble);
	}
	cJSON_Delete(answer);
}

static void offer_argument(struct session *session, const cJSON *command, const char *const *given, int given_count)
{
	const cJSON *arg, *wanted = NULL;
	int position = 0;

	cJSON_ArrayForEach(arg, args_of(command))
	{
		bool named = given_count > 0 && strncmp(given[given_count - 1], "--", 2) == 0 &&
			     strcmp(given[given_count - 1] + 2, text_in(arg, "name")) == 0;
		if (named || (!wanted && position++ == given_count))
			wanted = arg;
		if (!is_required(arg))
			(void)printf("--%s\n", text_in(arg, "name"));
	}
	cJSON_ArrayForEach(arg, cJSON_GetObjectItemCaseSensitive(wanted, "choices"))(void)
		printf("%s\n", arg->valuestring ? arg->valuestring : "");
	if (*text_in(wanted, "completes"))
		offer_things(session, text_in(wanted, "completes"));
}

/* words: those typed so far, the last one unfinished and maybe empty. */
static int complete(struct session *session, const char *const *words, int count)
{
	int matched;

	session->quiet = true;
	if (count == 0 || session_open(session) != EX_OK || fetch_commands(session) != EX_OK)
		return EX_UNAVAILABLE;

	offer_next_words(session, words, count - 1);
	const cJSON *command = find_command(session->commands, words, count - 1, &matched);
	if (command)
		offer_argument(session, command, words + matched, count - 1 - matched);
	return EX_OK;
}

/* ---- running a command ------------------------------------------------------------------ */

/* The pieces of a stream need not end where lines end. */
struct unfinished {
	char *text;
	size_t used;
};

static void show_piece(const struct session *session, const struct look *look, const char *piece, struct unfinished *rest)
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
		print_stream_line(look, line);
	}
	rest->text = text;
	rest->used = strlen(line);
	memmove(text, line, rest->used + 1);
	(void)fflush(look->out);
}

static int show_stream(struct session *session, const struct look *look)
{
	struct unfinished rest = { NULL, 0 };
	bool ended = false;

	while (!ended) {
		cJSON *piece = hear(session);
		if (!piece)
			break;
		ended = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(piece, "end"));
		show_piece(session, look, text_in(piece, "data"), &rest);
		cJSON_Delete(piece);
	}
	if (rest.used > 0)
		print_stream_line(look, rest.text);
	free(rest.text);
	if (!ended)
		(void)fputs("pbxctl: the daemon hung up\n", stderr);
	return ended ? EX_OK : EXIT_FAILURE;
}

static int show_answer(const struct session *session, const struct look *look, const cJSON *answer, const char *columns)
{
	const cJSON *body = cJSON_GetObjectItemCaseSensitive(answer, "body");
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(answer, "text");

	if (cJSON_IsString(text)) {
		(void)fputs(text->valuestring, look->out);
	} else if (session->json) {
		char *json = cJSON_Print(body);
		(void)fprintf(look->out, "%s\n", json ? json : "null");
		cJSON_free(json);
	} else {
		print_answer(look, body, columns);
	}
	/* A check that found something is an answer, and no success. */
	return cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(body, "ok")) ? EXIT_FAILURE : EX_OK;
}

static int run(struct session *session, const char *const *words, int count)
{
	const struct look look = { .out = stdout, .colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") };
	int matched, code = session_open(session);

	if (code == EX_OK)
		code = fetch_commands(session);
	if (code != EX_OK)
		return code;

	const char *columns = text_in(find_command(session->commands, words, count, &matched), "columns");
	ask(session, words, count);
	cJSON *answer = hear(session);
	if (status_of(answer) < 200 || status_of(answer) >= 300)
		code = complain(session, answer);
	else if (*text_in(answer, "stream"))
		code = show_stream(session, &look);
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
		(void)fputs(completion_script, stdout);
		return EX_OK;
	}
	if (count == 0) {
		print_usage(stderr);
		return EX_USAGE;
	}
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
