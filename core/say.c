/* say.c - numbers, dates and amounts put together from prompts, by the rules of a language
 *
 * Rules are read by say_rules.c; etc/prompts/en.rules explains them. A language without a rule uses that of the next one to fall back to, and without
 * any, numbers are said digit by digit. */
#include "prompts.h"
#include "speech.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define MOST_DEPTH 12u /* rules that lead to rules */
#define MOST_NUMBER INT64_C(1000000000000)

struct field {
	const char *name;
	int64_t value;
};

struct saying {
	const char *language;
	void (*each)(void *context, const char *id);
	void *context;
	uint32_t said, depth;
	const struct field *fields;
	uint32_t field_count;
};

static int emit(struct saying *saying, const char *id)
{
	if (saying->said == PBX_MOST_SAID)
		return PBX_EINVAL;
	saying->said++;
	saying->each(saying->context, id);
	return PBX_OK;
}

static int emit_number(struct saying *saying, int64_t number)
{
	char id[24];

	(void)snprintf(id, sizeof id, "%" PRId64, number);
	return emit(saying, id);
}

/* ---- which rule ---- */

struct rule_search {
	const char *set, *name; /* name NULL: by number */
	int64_t number;
	const struct core_say_rule *found;
};

static bool fits(const struct rule_search *search, const struct core_say_rule *rule)
{
	if (strcmp(rule->set, search->set) != 0)
		return false;
	if (search->name)
		return strcmp(rule->name, search->name) == 0;
	return !rule->name[0] && rule->first <= search->number && search->number <= rule->last;
}

static bool look_up_rule(void *context, const char *language)
{
	struct rule_search *search = context;

	for (const struct core_say_rule *rule = core_say_rules(language); rule; rule = rule->next)
		if (fits(search, rule) && (!search->found || rule->first > search->found->first))
			search->found = rule;
	return search->found != NULL;
}

static const struct core_say_rule *find_rule(const struct saying *saying, const char *set, const char *name, int64_t number)
{
	struct rule_search search = { .set = set, .name = name, .number = number };

	(void)core_prompts_languages(saying->language, look_up_rule, &search);
	return search.found;
}

/* ---- what it says ---- */

static int say_rule(struct saying *saying, const struct core_say_rule *rule, int64_t number);

static int say_digit_by_digit(struct saying *saying, int64_t number)
{
	char text[24];
	int err = PBX_OK;

	(void)snprintf(text, sizeof text, "%" PRId64, number);
	for (const char *at = text; *at && err == PBX_OK; at++)
		err = emit_number(saying, *at - '0');
	return err;
}

static int say_set(struct saying *saying, const char *set, int64_t number)
{
	const struct core_say_rule *rule = find_rule(saying, set, number < 0 ? "minus" : NULL, number);

	if (number < -MOST_NUMBER || number > MOST_NUMBER)
		return PBX_EINVAL;
	if (rule)
		return say_rule(saying, rule, number < 0 ? -number : number);
	if (number >= 0 && (strcmp(set, "number") == 0 || strcmp(set, "digit") == 0))
		return say_digit_by_digit(saying, number);
	return PBX_EINVAL;
}

static int say_named(struct saying *saying, const char *set, const char *name)
{
	const struct core_say_rule *rule = find_rule(saying, set, name, 0);

	return rule ? say_rule(saying, rule, 0) : PBX_EINVAL;
}

static const struct field *find_field(const struct saying *saying, const char *name, size_t length)
{
	for (uint32_t i = 0; i < saying->field_count; i++)
		if (strlen(saying->fields[i].name) == length && strncmp(saying->fields[i].name, name, length) == 0)
			return &saying->fields[i];
	return NULL;
}

/* "{cents pence}" */
static int say_field(struct saying *saying, const char *at)
{
	size_t length = strcspn(at, " }"), set_length;
	const struct field *field = find_field(saying, at, length);
	char set[24];

	at += length + strspn(at + length, " ");
	set_length = strcspn(at, " }");
	if (!field || set_length == 0 || set_length >= sizeof set)
		return PBX_EINVAL;
	(void)snprintf(set, sizeof set, "%.*s", (int)set_length, at);
	return say_set(saying, set, field->value);
}

/* "hundred", "nth-=", "<number" */
static int say_word(struct saying *saying, const struct core_say_rule *rule, int64_t number, const char *word)
{
	const char *equals = strchr(word, '=');
	char id[CORE_MOST_PROMPT_ID];

	if (*word == '<')
		return say_set(saying, word + 1, number / rule->divisor);
	if (*word == '>')
		return say_set(saying, word + 1, number % rule->divisor);
	if (*word == '=' && word[1])
		return say_set(saying, word + 1, number);
	if (!equals)
		return emit(saying, word);
	(void)snprintf(id, sizeof id, "%.*s%" PRId64, (int)(equals - word), word, number);
	return emit(saying, id);
}

/* Whether what stands in [ ] is said: its field, or the remainder, is not nothing. */
static bool is_said(const struct saying *saying, const struct core_say_rule *rule, int64_t number, const char *inside)
{
	const char *curly = inside + strcspn(inside, "{]");
	const struct field *field = *curly == '{' ? find_field(saying, curly + 1, strcspn(curly + 1, " }")) : NULL;

	return *curly == '{' ? field && field->value != 0 : number % rule->divisor != 0;
}

/* Past the character that a bracket's part ends with. */
static const char *skip_to(const char *at, const char *ends)
{
	at += strcspn(at, ends);
	return *at ? at + 1 : at;
}

/* Says the word or bracket at `at`, and returns where the next begins. */
static const char *say_next(struct saying *saying, const struct core_say_rule *rule, int64_t number, const char *at, int *ret_err)
{
	char word[CORE_MOST_PROMPT_ID];
	size_t length = strcspn(at, " []{}|");

	switch (*at) {
	case '[':
		return is_said(saying, rule, number, at) ? at + 1 : skip_to(at, "|]");
	case '|':
		return skip_to(at, "]"); /* the first part was said */
	case ' ':
	case ']':
		return at + 1;
	case '{':
		*ret_err = say_field(saying, at + 1);
		return skip_to(at, "}");
	default:
		(void)snprintf(word, sizeof word, "%.*s", (int)length, at);
		*ret_err = length < sizeof word ? say_word(saying, rule, number, word) : PBX_EINVAL;
		return at + (length ? length : 1);
	}
}

static int say_rule(struct saying *saying, const struct core_say_rule *rule, int64_t number)
{
	const char *at = rule->words;
	int err = PBX_OK;

	if (saying->depth == MOST_DEPTH)
		return PBX_EINVAL; /* rules that lead in a circle */
	saying->depth++;
	while (*at && err == PBX_OK)
		at = say_next(saying, rule, number, at, &err);
	saying->depth--;
	return err;
}

/* ---- what can be said ---- */

static int say_characters(struct saying *saying, const char *text)
{
	int err = PBX_OK;

	for (; *text && err == PBX_OK; text++) {
		char one[2] = { (char)tolower((unsigned char)*text), '\0' };

		if (isdigit((unsigned char)*one))
			err = say_set(saying, "digit", *one - '0');
		else if (*one >= 'a' && *one <= 'z')
			err = emit(saying, one);
		else if (*one != ' ')
			err = say_named(saying, "sign", one);
	}
	return err;
}

static int say_fields(struct saying *saying, const char *set, const char *name, const struct field *fields, uint32_t count)
{
	saying->fields = fields;
	saying->field_count = count;
	return say_named(saying, set, name);
}

static int say_moment(struct saying *saying, const char *set, int64_t wall_us)
{
	time_t when = (time_t)(wall_us / 1000000);
	struct tm local;

	if (!localtime_r(&when, &local))
		return PBX_EINVAL;
	const struct field fields[] = {
		{ "weekday", local.tm_wday },     { "day", local.tm_mday },   { "month", local.tm_mon + 1 },
		{ "year", local.tm_year + 1900 }, { "hour", local.tm_hour },  { "hour12", local.tm_hour % 12 ? local.tm_hour % 12 : 12 },
		{ "half", local.tm_hour / 12 },   { "minute", local.tm_min },
	};
	return say_fields(saying, set, "fields", fields, sizeof fields / sizeof fields[0]);
}

static int say_duration(struct saying *saying, int64_t seconds)
{
	const struct field fields[] = {
		{ "days", seconds / 86400 },
		{ "hours", seconds / 3600 % 24 },
		{ "minutes", seconds / 60 % 60 },
		{ "seconds", seconds % 60 },
	};

	if (seconds < 0)
		return PBX_EINVAL;
	return say_fields(saying, "duration", seconds ? "fields" : "nothing", fields, sizeof fields / sizeof fields[0]);
}

static int say_money(struct saying *saying, int64_t hundredths, const char *currency)
{
	uint64_t amount = hundredths < 0 ? 0 - (uint64_t)hundredths : (uint64_t)hundredths;
	const struct field fields[] = { { "units", (int64_t)(amount / 100) }, { "cents", (int64_t)(amount % 100) } };
	int err = hundredths < 0 ? say_named(saying, "money", "minus") : PBX_OK;

	return err == PBX_OK ? say_fields(saying, "money", currency, fields, 2) : err;
}

static int say_text(struct saying *saying, const char *text)
{
	char prompt[sizeof CORE_TEXT_PREFIX + PBX_MOST_TEXT];

	if (!text[strspn(text, " \t\r\n")] || strlen(text) > PBX_MOST_TEXT)
		return PBX_EINVAL;
	if (!core_speech_can(saying->language))
		return PBX_ENOTSUP;
	(void)snprintf(prompt, sizeof prompt, CORE_TEXT_PREFIX "%s", text);
	return emit(saying, prompt);
}

static int say_part(struct saying *saying, const struct pbx_say *part)
{
	const char *text = part->text ? part->text : "";

	switch (part->kind) {
	case PBX_SAY_PROMPT:
		return *text ? emit(saying, text) : PBX_EINVAL;
	case PBX_SAY_DIGITS:
		return say_characters(saying, text);
	case PBX_SAY_NUMBER:
		return say_set(saying, "number", part->number);
	case PBX_SAY_ORDINAL:
		return say_set(saying, "ordinal", part->number);
	case PBX_SAY_DATE:
		return say_moment(saying, "date", part->number);
	case PBX_SAY_TIME:
		return say_moment(saying, "time", part->number);
	case PBX_SAY_DURATION:
		return say_duration(saying, part->number);
	case PBX_SAY_MONEY:
		return say_money(saying, part->number, text);
	case PBX_SAY_COUNT:
		return part->number < 0 ? PBX_EINVAL : say_set(saying, text, part->number);
	case PBX_SAY_TEXT:
		return say_text(saying, text);
	default:
		return PBX_EINVAL;
	}
}

int core_prompts_compose(const char *language, const struct pbx_say *parts, uint32_t count, void (*each)(void *context, const char *id),
			 void *context)
{
	struct saying saying = { .language = language, .each = each, .context = context };
	int err = PBX_OK;

	for (uint32_t i = 0; i < count && err == PBX_OK; i++)
		err = say_part(&saying, &parts[i]);
	return err;
}
