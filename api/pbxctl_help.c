/*
 * pbxctl_help.c - the daemon's table of commands: help, usage, and what the shell may offer next
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "pbxctl.h"
#include "pbxctl_print.h"

#define ARGUMENT_LEAST 15 /* columns for the names of arguments, so that help for most commands looks alike */

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

int fetch_commands(struct session *session)
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
const cJSON *find_command(const cJSON *commands, const char *const *words, int count, int *ret_matched)
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

/* Whether a command begins with all of the words, of which the last need not be finished when `partly`. */
static bool begins(const cJSON *command, const char *const *words, int count, bool partly)
{
	const char *at = text_in(command, "words");

	for (int i = 0; i < count; i++) {
		size_t length = strcspn(at, " "), typed = strlen(words[i]);
		bool may_be_short = partly && i + 1 == count && typed < length;
		if ((typed != length && !may_be_short) || strncmp(words[i], at, typed) != 0)
			return false;
		at += length + (at[length] == ' ');
	}
	return true;
}

static bool begins_with(const cJSON *command, const char *const *words, int count)
{
	return begins(command, words, count, false);
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

void print_usage(FILE *out)
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

/* What must be said in its place: " NAME…". */
static void print_capitals(const char *name, const char *more)
{
	(void)putchar(' ');
	for (; *name; name++)
		(void)putchar(toupper((unsigned char)*name));
	(void)fputs(more, stdout);
}

static void print_command(const cJSON *command)
{
	const cJSON *arg;
	bool has_optional = false;
	int width = ARGUMENT_LEAST;

	(void)printf("usage: pbxctl %s", text_in(command, "words"));
	cJSON_ArrayForEach(arg, args_of(command))
	{
		bool rest = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(arg, "rest"));
		bool flag = strcmp(text_in(arg, "type"), "boolean") == 0;

		if (rest && strcmp(text_in(arg, "type"), "object") == 0)
			(void)fputs(is_required(arg) ? " NAME=VALUE…" : " [NAME=VALUE…]", stdout);
		else if (is_required(arg))
			print_capitals(text_in(arg, "name"), rest ? "…" : "");
		else
			(void)printf(flag ? " [--%s]" : " [%s=…]", text_in(arg, "name"));
		has_optional = has_optional || !is_required(arg);
		if (width_of(text_in(arg, "name")) > width)
			width = width_of(text_in(arg, "name"));
	}
	(void)printf("\n\n%s\n", text_in(command, "help"));
	cJSON_ArrayForEach(arg, args_of(command))
	{
		const cJSON *choice, *choices = cJSON_GetObjectItemCaseSensitive(arg, "choices");
		(void)printf("%s  %-*s  %s", arg->prev && arg == args_of(command)->child ? "\n" : "", width, text_in(arg, "name"),
			     text_in(arg, "help"));
		cJSON_ArrayForEach(choice, choices)(void)
			printf("%s%s", choice == choices->child ? " (" : ", ", choice->valuestring ? choice->valuestring : "");
		(void)puts(choices && choices->child ? ")" : "");
	}
	if (has_optional)
		(void)puts("\nWhat stands in brackets may be left out. It is given by its name, as name=VALUE or --name VALUE, or in this "
			   "order without.");
}

/* The same for programs: {"items": […]}, as the daemon lists them. */
static int print_help_json(const struct session *session, const char *const *words, int count)
{
	cJSON *answer = cJSON_CreateObject(), *items = cJSON_AddArrayToObject(answer, "items");
	const cJSON *command;

	cJSON_ArrayForEach(command, session->commands)
	{
		if (begins_with(command, words, count))
			(void)cJSON_AddItemToArray(items, cJSON_Duplicate(command, true));
	}
	char *text = cJSON_Print(answer);
	int code = text && items->child ? EX_OK : EX_USAGE;
	if (code == EX_OK)
		(void)puts(text);
	else
		(void)fputs("pbxctl: no command begins with these words, see: pbxctl help\n", stderr);
	cJSON_free(text);
	cJSON_Delete(answer);
	return code;
}

static bool is_begun(const struct session *session, const char *const *words, int count)
{
	const cJSON *command;

	cJSON_ArrayForEach(command, session->commands)
	{
		if (begins_with(command, words, count))
			return true;
	}
	return false;
}

/* Every command that begins with the words; alone it is shown in full. */
static int print_help(const struct session *session, const char *const *words, int count)
{
	const cJSON *command, *only = NULL;
	int found = 0, width = 0;
	bool partly = !is_begun(session, words, count); /* `help cal` is meant for `calls` */

	cJSON_ArrayForEach(command, session->commands)
	{
		if (!begins(command, words, count, partly))
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
		if (begins(command, words, count, partly))
			(void)printf("  %-*s  %s\n", width, text_in(command, "words"), text_in(command, "help"));
	}
	return EX_OK;
}

/* "  calls  config  events  …": the first words of all commands. */
static void print_groups(const struct session *session, FILE *out)
{
	const cJSON *command;
	const char *last = "";
	size_t last_length = 0;

	(void)fputs("\nBegin with one of these, `pbxctl help WORD` tells more:\n ", out);
	cJSON_ArrayForEach(command, session->commands)
	{
		const char *words = text_in(command, "words");
		size_t length = strcspn(words, " ");
		if (length == last_length && strncmp(words, last, length) == 0)
			continue;
		(void)fprintf(out, " %.*s", (int)length, words);
		last = words;
		last_length = length;
	}
	(void)fputc('\n', out);
}

int show_groups(struct session *session)
{
	print_usage(stderr);
	session->quiet = true; /* the usage is an answer without the daemon, too */
	if (session_open(session) == EX_OK && fetch_commands(session) == EX_OK)
		print_groups(session, stderr);
	return EX_USAGE;
}

int show_help(struct session *session, const char *const *words, int count)
{
	if (count == 0 && !session->json) {
		print_usage(stdout);
		session->quiet = true; /* the usage is an answer without the daemon, too */
	}

	int code = session_open(session);
	if (code == EX_OK)
		code = fetch_commands(session);
	if (code != EX_OK)
		return session->quiet ? EX_OK : code;
	if (session->json)
		return print_help_json(session, words, count);
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
int complete(struct session *session, const char *const *words, int count)
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

void print_completion(void)
{
	(void)fputs(completion_script, stdout);
}
