/* explain_say.c - sentences in which names stand in braces: a rule's sentence can be read in its table, and is filled in here */
#include "explain.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void core_word(struct core_words *words, const char *name, const char *format, ...)
{
	uint32_t at = 0;
	va_list args;

	while (at < words->count && strcmp(words->items[at].name, name) != 0)
		at++;
	if (at == CORE_MOST_WORDS)
		return; /* the sentence shows its name in braces, and the test of all rules fails */
	words->count += at == words->count;
	words->items[at].name = name;
	va_start(args, format);
	(void)vsnprintf(words->items[at].is, sizeof words->items[at].is, format, args);
	va_end(args);
}

static const char *word_of(const struct core_words *words, const char *name, size_t length)
{
	for (uint32_t i = 0; i < words->count; i++)
		if (strlen(words->items[i].name) == length && memcmp(words->items[i].name, name, length) == 0)
			return words->items[i].is;
	return NULL;
}

bool core_words_say(const struct core_words *words, const char *sentence, char *ret_text, size_t size)
{
	size_t at = 0;
	bool complete = true;

	for (const char *end; *sentence && at + 1 < size; sentence = end) {
		size_t length = strcspn(sentence, "{");
		const char *is = sentence;

		end = sentence + length;
		if (length == 0) {
			length = strcspn(sentence, "}");
			end = sentence + length + (sentence[length] == '}');
			is = word_of(words, sentence + 1, length - 1);
			complete = complete && is;
			length = is ? strlen(is) : (size_t)(end - sentence);
			is = is ? is : sentence;
		}
		at += (size_t)snprintf(ret_text + at, size - at, "%.*s", (int)length, is);
	}
	return complete;
}

void core_say_duration(int64_t ms, char ret_text[32])
{
	long long s = ms / 1000;

	if (s >= 3600)
		(void)snprintf(ret_text, 32, "%lld h %lld min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		(void)snprintf(ret_text, 32, "%lld min %lld s", s / 60, s % 60);
	else
		(void)snprintf(ret_text, 32, "%.1f s", (double)ms / 1000);
}
