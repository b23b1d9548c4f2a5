/* say_rules.c - the rules of a language, read from its say.rules: the words at the head of etc/prompts/en.rules tell how they look
 *
 * A file with a mistake is refused as a whole, by line, so that nobody hears half a language. */
#include "prompts.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NUMBER INT64_C(1000000000000)

struct language {
	struct language *next;
	char name[CORE_MOST_LANGUAGE];
	struct core_say_rule *rules;
};

static struct language *languages;

const struct core_say_rule *core_say_rules(const char *name)
{
	const struct language *language = languages;

	while (language && strcmp(language->name, name) != 0)
		language = language->next;
	return language ? language->rules : NULL;
}

static void rules_free(struct core_say_rule *rule)
{
	while (rule) {
		struct core_say_rule *next = rule->next;

		free(rule->words);
		free(rule);
		rule = next;
	}
}

void core_say_rules_fini(void)
{
	while (languages) {
		struct language *next = languages->next;

		rules_free(languages->rules);
		free(languages);
		languages = next;
	}
}

/* ---- one line ---- */

static int64_t default_divisor(int64_t first)
{
	int64_t divisor = 1;

	while (divisor <= first / 10)
		divisor *= 10;
	return divisor;
}

/* "20", "0-19", "1100-1999/100". */
static bool read_range(const char *text, struct core_say_rule *rule)
{
	char *end;

	rule->first = strtoll(text, &end, 10);
	rule->last = MOST_NUMBER;
	if (*end == '-')
		rule->last = strtoll(end + 1, &end, 10);
	rule->divisor = default_divisor(rule->first);
	if (*end == '/')
		rule->divisor = strtoll(end + 1, &end, 10);
	return *end == '\0' && rule->first >= 0 && rule->last >= rule->first && rule->last <= MOST_NUMBER && rule->divisor > 0;
}

static const char *words_problem(const char *words)
{
	int square = 0, curly = 0;

	for (const char *at = words; *at; at++) {
		square += (*at == '[') - (*at == ']');
		curly += (*at == '{') - (*at == '}');
		if (square < 0 || square > 1 || curly < 0 || curly > 1)
			return "brackets do not nest";
		if (*at == '|' && !square)
			return "| stands only inside [ ]";
	}
	return square || curly ? "a bracket is not closed" : NULL;
}

/* NULL: read; else what is wrong. *ret_rule is owned by the caller; NULL for an empty line. */
static const char *read_line(char *line, struct core_say_rule **ret_rule)
{
	char *colon, *words, *set, *what, *rest = NULL;

	*ret_rule = NULL;
	line += strspn(line, " \t");
	line[strcspn(line, "\r\n")] = '\0';
	if (*line == '\0' || *line == '#')
		return NULL;
	colon = strstr(line, ": ");
	if (!colon)
		return "a rule is SET NUMBER: WORDS or SET NAME: WORDS";
	*colon = '\0';
	words = colon + 2;
	set = strtok_r(line, " ", &rest);
	what = strtok_r(NULL, " ", &rest);
	if (!set || !what || strtok_r(NULL, " ", &rest) || strlen(set) >= sizeof((*ret_rule)->set) || strlen(what) >= 40)
		return "before the colon stand a set and a number or name";
	if (words_problem(words))
		return words_problem(words);

	struct core_say_rule *rule = calloc(1, sizeof *rule);
	if (!rule || !(rule->words = strdup(words))) {
		free(rule);
		return "no memory";
	}
	(void)snprintf(rule->set, sizeof rule->set, "%s", set);
	if (!isdigit((unsigned char)*what))
		(void)snprintf(rule->name, sizeof rule->name, "%.15s", what);
	else if (!read_range(what, rule)) {
		rules_free(rule);
		return "the number is FIRST, FIRST-LAST, or either with /DIVISOR";
	}
	*ret_rule = rule;
	return NULL;
}

/* ---- a file ---- */

static int read_rules(FILE *file, struct core_say_rule **ret_rules, struct pbx_diag *diag)
{
	struct core_say_rule *rules = NULL, **at = &rules;
	const char *problem = NULL;
	char line[512];

	for (unsigned number = 1; !problem && fgets(line, sizeof line, file); number++) {
		problem = strchr(line, '\n') || feof(file) ? read_line(line, at) : "the line is too long";
		if (problem)
			pbx_diag_set(diag, "", "line %u: %s", number, problem);
		else if (*at)
			at = &(*at)->next;
	}
	if (problem) {
		rules_free(rules);
		return PBX_EINVAL;
	}
	*ret_rules = rules;
	return PBX_OK;
}

int core_say_rules_read(const char *name, const char *path, struct pbx_diag *diag)
{
	FILE *file = fopen(path, "re");
	struct language *language;
	int err;

	if (!file)
		return PBX_ENOENT;
	language = calloc(1, sizeof *language);
	err = language ? read_rules(file, &language->rules, diag) : PBX_ENOMEM;
	(void)fclose(file); /* it was only read */
	if (err != PBX_OK) {
		free(language);
		return err;
	}
	(void)snprintf(language->name, sizeof language->name, "%s", name);
	language->next = languages; /* before an older one of that name */
	languages = language;
	return PBX_OK;
}
