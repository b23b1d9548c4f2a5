/* core/card_tables.c - what a plugin's tables say, judged before any of its code runs
 *
 * A route that no request can ever fit, a command that nobody can type, an event without a name: each would be loaded and silently never work.
 * So each is refused with the row it stands in. What only the daemon can know (who has a route already) is for host_life.c. */
#include "card.h"
#include "overlap.h"
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789_"
#define CURE "correct it there, and build the plugin again"

static void row_at(const struct pbx_table *table, uint32_t index, void *ret_row, size_t size)
{
	core_copy_overlap(ret_row, size, (const char *)table->rows + (size_t)index * table->row_size, table->row_size);
}

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

/* Words of `set`, at least `least`, with one `between` each two. */
static bool is_words(const char *text, const char *set, char between, uint32_t least)
{
	uint32_t count = 0;

	for (;; text++, count++) {
		size_t length = text ? strspn(text, set) : 0;

		if (!length)
			return false;
		text += length;
		if (!*text || *text != between)
			return !*text && count + 1 >= least;
	}
}

/* ---- arguments ------------------------------------------------------------------------ */

static const char *wrong_arg(const struct pbx_table *args, const char **ret_name)
{
	for (uint32_t i = 0; i < args->count; i++) {
		struct pbx_arg arg;

		row_at(args, i, &arg, sizeof arg);
		*ret_name = text_or_empty(arg.name);
		if (!arg.name || !arg.name[0])
			return "has no name";
		if (arg.type < PBX_TYPE_BOOL || arg.type > PBX_TYPE_TIME)
			return "has a type that is none of PBX_TYPE_…";
		if (arg.type == PBX_TYPE_CHOICE && !arg.choices)
			return "is a choice without .choices";
	}
	return NULL;
}

/* ---- routes --------------------------------------------------------------------------- */

static bool is_method(const char *method)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (!strcmp(methods[i], method))
			return true;
	return false;
}

/* "/books/{isbn}:lend": from the first slash on, each brace closed within its segment and with a name in it. */
static bool is_template(const char *path)
{
	if (path[0] != '/')
		return false;
	while (*(path += strcspn(path, "{}")) == '{') {
		size_t length = strcspn(path + 1, "{}/");

		if (!length || path[1 + length] != '}')
			return false;
		path += length + 2;
	}
	return *path == '\0';
}

static int check_route(const struct pbx_route *route, struct core_refusal *refusal)
{
	const char *method = text_or_empty(route->method), *path = text_or_empty(route->path), *arg = NULL, *wrong = NULL;

	if (!is_method(method))
		wrong = "has a method that is none of GET, POST, PUT, PATCH, DELETE";
	else if (!is_template(path))
		wrong = "has a path that does not begin with / or whose braces are not pairs with a name in them";
	else if (!route->handle)
		wrong = "has no handle";
	else if (!route->summary)
		wrong = "has no summary";
	if (wrong)
		core_refuse(refusal, PBX_EINVAL, CURE, "its route \"%.32s %.128s\" %s", method, path, wrong);
	else if ((wrong = wrong_arg(&route->args, &arg)) != NULL)
		core_refuse(refusal, PBX_EINVAL, CURE, "the argument \"%.64s\" of its route \"%.32s %.128s\" %s", arg, method, path, wrong);
	return wrong ? PBX_EINVAL : PBX_OK;
}

/* ---- commands ------------------------------------------------------------------------- */

static int check_command(const struct pbx_command *command, struct core_refusal *refusal)
{
	const char *words = text_or_empty(command->words), *arg = NULL, *wrong = NULL;

	if (!is_words(words, LOWER "-", ' ', 1))
		wrong = "is not small letters, digits, - and _ with one blank between two words";
	else if (!command->handle)
		wrong = "has no handle";
	else if (!command->help)
		wrong = "has no help";
	if (wrong)
		core_refuse(refusal, PBX_EINVAL, CURE, "its command \"%.64s\" %s", words, wrong);
	else if ((wrong = wrong_arg(&command->args, &arg)) != NULL)
		core_refuse(refusal, PBX_EINVAL, CURE, "the argument \"%.64s\" of its command \"%.64s\" %s", arg, words, wrong);
	return wrong ? PBX_EINVAL : PBX_OK;
}

/* ---- metrics and events --------------------------------------------------------------- */

static int check_metric(const struct pbx_metric *metric, struct core_refusal *refusal)
{
	const char *wrong = NULL;

	if (!metric->name || strncmp(metric->name, "pbx_", 4) != 0 || !is_words(metric->name, LOWER, '\0', 1))
		wrong = "is not pbx_ and small letters, digits and _";
	else if (metric->kind < PBX_METRIC_COUNTER || metric->kind > PBX_METRIC_HISTOGRAM)
		wrong = "has a kind that is none of PBX_METRIC_…";
	else if (metric->kind == PBX_METRIC_HISTOGRAM && !metric->buckets)
		wrong = "is a histogram without .buckets";
	else if (!metric->help)
		wrong = "has no help";
	if (wrong)
		core_refuse(refusal, PBX_EINVAL, CURE, "its metric \"%.96s\" %s", text_or_empty(metric->name), wrong);
	return wrong ? PBX_EINVAL : PBX_OK;
}

static int check_event(const struct pbx_event_type *event, struct core_refusal *refusal)
{
	const char *wrong = NULL;

	if (!is_words(event->name, LOWER, '.', 2))
		wrong = "is not small letters, digits and _ with a dot, like 'parking.parked'";
	else if (!event->help)
		wrong = "has no help";
	if (wrong)
		core_refuse(refusal, PBX_EINVAL, CURE, "its event \"%.96s\" %s", text_or_empty(event->name), wrong);
	return wrong ? PBX_EINVAL : PBX_OK;
}

/* ---- all of them ---------------------------------------------------------------------- */

int core_card_check_tables(const struct pbx_plugin *card, struct core_refusal *refusal)
{
	int err = PBX_OK;

	for (uint32_t i = 0; err == PBX_OK && i < card->routes.count; i++) {
		struct pbx_route route;

		row_at(&card->routes, i, &route, sizeof route);
		err = check_route(&route, refusal);
	}
	for (uint32_t i = 0; err == PBX_OK && i < card->commands.count; i++) {
		struct pbx_command command;

		row_at(&card->commands, i, &command, sizeof command);
		err = check_command(&command, refusal);
	}
	for (uint32_t i = 0; err == PBX_OK && i < card->metrics.count; i++) {
		struct pbx_metric metric;

		row_at(&card->metrics, i, &metric, sizeof metric);
		err = check_metric(&metric, refusal);
	}
	for (uint32_t i = 0; err == PBX_OK && i < card->events.count; i++) {
		struct pbx_event_type event;

		row_at(&card->events, i, &event, sizeof event);
		err = check_event(&event, refusal);
	}
	return err;
}
