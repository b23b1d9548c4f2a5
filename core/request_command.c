/* core/request_command.c - words typed at pbxctl, and the command they mean
 *
 * The longest command whose words begin the line is meant. What follows are its arguments: in the order of its table, or by name as
 * name=value, --name value, --name=value, and --name alone for a yes. "--" ends the names. The rest of the words is a text, or where the table
 * says OBJECT pairs of name=value that the command knows nothing of. What does not fit is answered with the usage, and with what was probably meant. */
#include "request_internal.h"
#include <stdlib.h>
#include <string.h>

#define MOST_LINE 512u

/* ---- finding -------------------------------------------------------------------------- */

/* How many of the typed words the command's words take; 0: they are not its beginning. */
static uint32_t match_words(const char *command, const char *const *words, uint32_t count)
{
	uint32_t matched = 0;

	while (*command) {
		size_t length = strcspn(command, " ");

		if (matched == count || strlen(words[matched]) != length || memcmp(words[matched], command, length) != 0)
			return 0;
		matched++;
		command += length;
		command += *command == ' ';
	}
	return matched;
}

static const struct core_command *find_command(const char *const *words, uint32_t count, uint32_t *ret_used)
{
	const struct core_command *found = NULL;

	*ret_used = 0;
	for (const struct core_command *command = core_commands(); command; command = command->next) {
		uint32_t used = match_words(command->row.words, words, count);

		if (used > *ret_used) {
			*ret_used = used;
			found = command;
		}
	}
	return found;
}

static void join(const char *const *words, uint32_t count, char *ret_line, size_t size)
{
	size_t at = 0;

	ret_line[0] = '\0';
	for (uint32_t i = 0; i < count && at < size; i++) {
		int written = snprintf(ret_line + at, size - at, "%s%s", i ? " " : "", words[i]);

		at += written > 0 ? (size_t)written : 0;
	}
}

/* "plugin" alone begins many commands: says how it can go on. */
/* What may follow the words of the line, each once, in order of the alphabet. */
static void list_below(const char *line, char *ret_text, size_t size)
{
	size_t length = strlen(line), at = 0;
	const char *last = "";

	ret_text[0] = '\0';
	for (const char *next; at < size; last = next) {
		next = NULL;
		for (const struct core_command *command = core_commands(); command; command = command->next) {
			const char *rest = command->row.words + length + 1;

			if (strncmp(command->row.words, line, length) == 0 && command->row.words[length] == ' ' && strcmp(rest, last) > 0 &&
			    (!next || strcmp(rest, next) < 0))
				next = rest;
		}
		if (!next)
			return;
		int written = snprintf(ret_text + at, size - at, "%s%s", at ? ", " : "", next);
		at += written > 0 ? (size_t)written : 0;
	}
}

static uint32_t word_count(const char *words)
{
	uint32_t count = 1;

	for (; *words; words++)
		count += *words == ' ';
	return count;
}

/* The command whose words look most like the first ones typed. */
static void suggest(const char *const *words, uint32_t count, char ret_word[96])
{
	struct core_nearest best = { .text = "", .distance = UINT32_MAX };

	for (const struct core_command *command = core_commands(); command; command = command->next) {
		char line[96];
		uint32_t length = word_count(command->row.words);

		join(words, length < count ? length : count, line, sizeof line);
		struct core_nearest nearest = { .text = line };
		core_nearest_consider(&nearest, command->row.words);
		if (nearest.word[0] && nearest.distance < best.distance)
			best = nearest;
	}
	(void)snprintf(ret_word, 96, "%s", best.word);
}

static void no_command(const char *const *words, uint32_t count, struct core_problem *problem)
{
	char line[96], list[256], nearest[96];

	join(words, count, line, sizeof line);
	list_below(line, list, sizeof list);
	suggest(words, count, nearest);
	if (!count)
		core_problem_set(problem, 400, "usage", "which command? `help` lists them");
	else if (list[0])
		core_problem_set(problem, 400, "usage", "%s what? %s", line, list);
	else if (nearest[0])
		core_problem_set(problem, 404, "unknown_command", "%s: unknown command, did you mean \"%s\"?", line, nearest);
	else
		core_problem_set(problem, 404, "unknown_command", "%s: unknown command, `help` lists them", line);
}

/* ---- arguments ------------------------------------------------------------------------ */

struct line {
	struct core_request *request;
	const struct core_command *command;
	const char *const *words;
	uint32_t count, at;
	struct core_problem *problem;
};

/* The argument a word names by "name=" (dashes 0) or "--name" (2), or CORE_ARG_NOT_FOUND; ret_value NULL: in the next word. */
static uint32_t named_arg(const struct line *line, const char *word, size_t dashes, const char **ret_value)
{
	const struct pbx_table *args = &line->command->row.args;
	const char *name = word + dashes;
	size_t length = strcspn(name, "=");

	*ret_value = name[length] ? name + length + 1 : NULL;
	for (uint32_t i = 0; i < args->count; i++) {
		struct pbx_arg arg = core_arg_at(args, i);

		if (strlen(arg.name) == length && !memcmp(arg.name, name, length))
			return i;
	}
	return CORE_ARG_NOT_FOUND;
}

static int bind_arg(struct line *line, uint32_t index, const char *value)
{
	struct pbx_arg arg = core_arg_at(&line->command->row.args, index);
	struct core_bound *bound = &line->request->bound[index];

	if (bound->given) {
		core_problem_add(line->problem, 400, "usage", "command", arg.name, "%s: given twice", arg.name);
		return PBX_OK;
	}
	return core_arg_from_text(bound, &arg, "command", value, line->problem);
}

/* dashes: before its name, 2 or 0. */
static void unknown_option(struct line *line, const char *word, uint32_t dashes)
{
	char name[64];

	(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word + dashes, "="), word + dashes);
	struct core_nearest nearest = { .text = name };

	for (uint32_t i = 0; i < line->command->row.args.count; i++)
		core_nearest_consider(&nearest, core_arg_at(&line->command->row.args, i).name);
	core_problem_add(line->problem, 400, "usage", "command", name,
			 nearest.word[0] ? "%.*s%.64s: unknown, did you mean %.*s%s?" : "%.*s%.64s: unknown", (int)dashes, "--", name,
			 (int)dashes, "--", nearest.word);
}

/* --name value, --name=value, --name. */
static int bind_option(struct line *line)
{
	const char *word = line->words[line->at++], *value;
	uint32_t index = named_arg(line, word, 2, &value);

	if (index == CORE_ARG_NOT_FOUND) {
		unknown_option(line, word, 2);
		return PBX_OK;
	}
	struct pbx_arg arg = core_arg_at(&line->command->row.args, index);
	if (!value && arg.type == PBX_TYPE_BOOL)
		value = "true";
	if (!value && line->at < line->count)
		value = line->words[line->at++];
	if (value)
		return bind_arg(line, index, value);
	core_problem_add(line->problem, 400, "usage", "command", arg.name, "%s: needs a value", word);
	return PBX_OK;
}

static int bind_rest(struct line *line, uint32_t index)
{
	size_t size = 1;

	for (uint32_t i = line->at; i < line->count; i++)
		size += strlen(line->words[i]) + 1;
	AUTO(text) char *rest = malloc(size);
	if (!rest)
		return PBX_ENOMEM;
	join(line->words + line->at, line->count - line->at, rest, size);
	line->at = line->count;
	return bind_arg(line, index, rest);
}

/* "case=4711" in an object of texts. A word that is none: it is said so. */
static int add_pair(struct line *line, const struct pbx_arg *arg, struct pbx_json *object, const char *word)
{
	const char *equals = strchr(word, '=');
	AUTO(text) char *name = equals ? strndup(word, (size_t)(equals - word)) : NULL;

	if (equals && equals != word)
		return name ? core_json_set_text(object, name, equals + 1) : PBX_ENOMEM;
	core_problem_add(line->problem, 400, "usage", "command", arg->name, "%s: \"%.64s\" is not of the form name=value", arg->name, word);
	return PBX_OK;
}

/* All words that are left, as an object: pairs, or one that is an object already. */
static int bind_pairs(struct line *line, uint32_t index)
{
	struct pbx_arg arg = core_arg_at(&line->command->row.args, index);
	struct core_bound *bound = &line->request->bound[index];
	AUTO(json) struct pbx_json *object = core_json_object();
	int err = object ? PBX_OK : PBX_ENOMEM;

	if (line->words[line->at][0] == '{')
		return bind_arg(line, index, line->words[line->at++]);
	while (err == PBX_OK && line->at < line->count)
		err = add_pair(line, &arg, object, line->words[line->at++]);
	if (err != PBX_OK)
		return err;
	bound->name = arg.name;
	bound->given = true;
	bound->json = bound->owned_json = TAKE(object);
	return PBX_OK;
}

/* The next argument of the table that has no value yet; CORE_ARG_NOT_FOUND: all have. */
static uint32_t next_arg(const struct line *line)
{
	for (uint32_t i = 0; i < line->command->row.args.count; i++)
		if (!line->request->bound[i].given)
			return i;
	return CORE_ARG_NOT_FOUND;
}

static bool takes_pairs(const struct line *line, uint32_t index)
{
	struct pbx_arg arg = index == CORE_ARG_NOT_FOUND ? (struct pbx_arg){ 0 } : core_arg_at(&line->command->row.args, index);

	return (arg.flags & PBX_ARG_REST) && arg.type == PBX_TYPE_OBJECT;
}

static int bind_positional(struct line *line)
{
	uint32_t next = next_arg(line);

	if (takes_pairs(line, next))
		return bind_pairs(line, next);
	if (next != CORE_ARG_NOT_FOUND)
		return core_arg_at(&line->command->row.args, next).flags & PBX_ARG_REST ? bind_rest(line, next)
											: bind_arg(line, next, line->words[line->at++]);
	core_problem_add(line->problem, 400, "usage", "command", "", "\"%.64s\" is too much", line->words[line->at++]);
	return PBX_OK;
}

/* "colour=red" is meant for an argument even where there is none of that name: what it might do as the next one in line nobody wanted. Who
 * does want it writes -- before. Commands with free text take it as text. */
static bool looks_named(const struct core_command *command, const char *word)
{
	size_t length = strspn(word, "abcdefghijklmnopqrstuvwxyz_");

	for (uint32_t i = 0; i < command->row.args.count; i++)
		if (core_arg_at(&command->row.args, i).flags & PBX_ARG_REST)
			return false;
	return length > 0 && word[length] == '=';
}

static int bind_word(struct line *line, bool *names_ended)
{
	const char *word = line->words[line->at], *value;

	if (!*names_ended && !strcmp(word, "--")) {
		*names_ended = true;
		line->at++;
		return PBX_OK;
	}
	if (!*names_ended && !strncmp(word, "--", 2))
		return bind_option(line);
	if (!*names_ended && strchr(word, '=')) {
		uint32_t index = named_arg(line, word, 0, &value);

		if (index != CORE_ARG_NOT_FOUND && !(line->request->bound[index].given && takes_pairs(line, next_arg(line)))) {
			line->at++;
			return bind_arg(line, index, value);
		}
	}
	if (!*names_ended && looks_named(line->command, word)) {
		line->at++;
		unknown_option(line, word, 0);
		return PBX_OK;
	}
	return bind_positional(line);
}

/* In capitals; the rest of the words with three dots. */
static void name_placeholder(const struct pbx_arg *arg, char *ret_text, size_t size)
{
	if ((arg->flags & PBX_ARG_REST) && arg->type == PBX_TYPE_OBJECT) {
		(void)snprintf(ret_text, size, "NAME=VALUE…");
		return;
	}
	(void)snprintf(ret_text, size, "%s%s", arg->name, arg->flags & PBX_ARG_REST ? "…" : "");
	for (char *c = ret_text; *c; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
}

/* "usage: pbxctl route explain FROM TO [at=…]": what must be said in its place, what may be said by its name. */
static void add_usage(const struct core_command *command, struct core_problem *problem)
{
	const struct pbx_table *args = &command->row.args;
	size_t at = strlen(problem->detail);

	for (uint32_t i = 0; i <= args->count && at < sizeof problem->detail; i++) {
		struct pbx_arg arg = i ? core_arg_at(args, i - 1) : (struct pbx_arg){ 0 };
		const char *name = i ? arg.name : command->row.words;
		const char *format = !i ? "; usage: pbxctl %s" : arg.type == PBX_TYPE_BOOL ? " [--%s]" : " [%s=…]";
		bool is_required = arg.flags & PBX_ARG_REQUIRED;
		char placeholder[64];

		if (i && (is_required || (arg.flags & PBX_ARG_REST && arg.type == PBX_TYPE_OBJECT))) {
			name_placeholder(&arg, placeholder, sizeof placeholder);
			name = placeholder;
			format = is_required ? " %s" : " [%s]";
		}
		int written = snprintf(problem->detail + at, sizeof problem->detail - at, format, name);

		at += written > 0 ? (size_t)written : 0;
	}
}

static int bind_line(struct line *line)
{
	const struct pbx_table *args = &line->command->row.args;
	bool names_ended = false;
	int err = core_request_reserve(line->request, args->count);

	while (err == PBX_OK && line->at < line->count)
		err = bind_word(line, &names_ended);
	for (uint32_t i = 0; err == PBX_OK && i < args->count; i++) {
		struct pbx_arg arg = core_arg_at(args, i);

		if ((arg.flags & PBX_ARG_REQUIRED) && !line->request->bound[i].given)
			core_problem_add(line->problem, 400, "usage", "command", arg.name, "%s: is missing", arg.name);
	}
	if (line->problem->status)
		add_usage(line->command, line->problem);
	return err;
}

void core_request_command(const struct core_asker *asker, const char *const *words, uint32_t count, const struct core_answer_sink *sink,
			  void *context, pbx_request *ret_request)
{
	struct core_problem problem = { 0 };
	uint32_t used;
	char did[MOST_LINE];

	*ret_request = (pbx_request){ 0 };
	const struct core_command *command = find_command(words, count, &used);
	(void)snprintf(did, sizeof did, "pbxctl %s", command ? command->row.words : "");
	struct core_request *request = core_request_new(asker, sink, context, did);
	if (!request) {
		sink->answer(context, 503, NULL, NULL, NULL, 0);
		return;
	}
	*ret_request = request->handle;

	struct line line = { .request = request, .command = command, .words = words, .count = count, .at = used, .problem = &problem };
	if (!core_request_may(request, "*"))
		core_problem_set(&problem, request->is_logged_in ? 403 : 401, "not_permitted", "commands are for administrators");
	else if (!command)
		no_command(words, count, &problem);
	else
		core_check_draining(request, command->row.flags, &problem);
	if (!problem.status && bind_line(&line) != PBX_OK)
		core_problem_set(&problem, 503, "no_memory", "out of memory, try again later");

	if (problem.status) {
		core_request_refuse(request, &problem);
		return;
	}
	request->is_audited = (command->row.flags & PBX_ROUTE_WRITES) != 0;
	if (core_request_hold(request, command->owner, command->row.handle))
		core_request_go(request);
}

/* ---- what there is, for help and completion ------------------------------------------- */

static struct pbx_json *arg_json(const struct pbx_arg *arg)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	struct pbx_json *choices = arg->choices ? core_json_array() : NULL;

	if (!json || core_json_set_text(json, "name", arg->name) != PBX_OK ||
	    core_json_set_text(json, "type", core_arg_type_name(arg->type)) != PBX_OK ||
	    core_json_set_text(json, "help", arg->help ? arg->help : "") != PBX_OK ||
	    core_json_set_boolean(json, "required", (arg->flags & PBX_ARG_REQUIRED) != 0) != PBX_OK ||
	    core_json_set_boolean(json, "rest", (arg->flags & PBX_ARG_REST) != 0) != PBX_OK ||
	    core_json_set_text(json, "completes", arg->completes ? arg->completes : "") != PBX_OK) {
		core_json_free(choices);
		return NULL;
	}
	for (uint32_t i = 0; choices && arg->choices[i]; i++)
		(void)core_json_append_text(choices, arg->choices[i]); /* completion offers one less */
	if (choices && core_json_set(json, "choices", choices) != PBX_OK)
		return NULL;
	return TAKE(json);
}

static struct pbx_json *command_json(const struct core_command *command)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	AUTO(json) struct pbx_json *args = core_json_array();

	if (!json || !args || core_json_set_text(json, "words", command->row.words) != PBX_OK ||
	    core_json_set_text(json, "help", command->row.help ? command->row.help : "") != PBX_OK ||
	    core_json_set_text(json, "columns", command->row.columns) != PBX_OK ||
	    core_json_set_text(json, "owner", core_owner_name(command->owner)) != PBX_OK)
		return NULL;
	for (uint32_t i = 0; i < command->row.args.count; i++) {
		struct pbx_arg arg = core_arg_at(&command->row.args, i);
		struct pbx_json *item = arg_json(&arg);

		if (!item || core_json_append(args, item) != PBX_OK)
			return NULL;
	}
	return core_json_set(json, "args", TAKE(args)) == PBX_OK ? TAKE(json) : NULL;
}

struct pbx_json *core_requests_commands(void)
{
	AUTO(json) struct pbx_json *list = core_json_array();

	for (const struct core_command *command = core_commands(); list && command; command = command->next) {
		struct pbx_json *item = command_json(command);

		if (!item || core_json_append(list, item) != PBX_OK)
			return NULL;
	}
	return TAKE(list);
}
