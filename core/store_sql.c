/*
 * store_sql.c - looks at SQL as text
 *
 * The portable dialect needs little help: scripts are split at their semicolons, and the words for types in CREATE TABLE
 * and ALTER TABLE become PostgreSQL's. A reader of tokens does both, so that strings, quoted names and comments stay as
 * they are. TEXT gets the collation "C", which is how SQLite orders, and BOOLEAN becomes SMALLINT, so that 0 and 1 can be
 * written in conditions and defaults on both engines.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "store_engine.h"

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$';
}

/* The length of the token at `at`: a word, a quoted text, a comment, or one character. */
static size_t token_length(const char *at)
{
	const char *end = at + 1;

	if (is_word(*at)) {
		while (is_word(*end))
			end++;
	} else if (*at == '\'' || *at == '"') {
		end = strchr(end, *at); /* a doubled quote reads as two quoted texts side by side */
		end = end ? end + 1 : at + strlen(at);
	} else if (at[0] == '-' && at[1] == '-') {
		end = at + strcspn(at, "\n");
	} else if (at[0] == '/' && at[1] == '*') {
		end = strstr(at + 2, "*/");
		end = end ? end + 2 : at + strlen(at);
	}
	return (size_t)(end - at);
}

static bool is_blank(const char *at)
{
	return isspace((unsigned char)*at) || (at[0] == '-' && at[1] == '-') || (at[0] == '/' && at[1] == '*');
}

static const char *skip_blanks(const char *at)
{
	while (*at && is_blank(at))
		at += token_length(at);
	return at;
}

static bool begins_with(const char *sql, const char *word)
{
	size_t length = strlen(word);

	sql = skip_blanks(sql);
	return strncasecmp(sql, word, length) == 0 && !is_word(sql[length]);
}

bool store_sql_reads(const char *sql)
{
	return begins_with(sql, "SELECT");
}

bool store_sql_changes_tables(const char *sql)
{
	return begins_with(sql, "CREATE") || begins_with(sql, "ALTER") || begins_with(sql, "DROP");
}

static bool describes_columns(const char *sql)
{
	if (!begins_with(sql, "CREATE") && !begins_with(sql, "ALTER"))
		return false;
	sql = skip_blanks(sql);
	return begins_with(sql + token_length(sql), "TABLE");
}

static const char *postgres_type(const char *token, size_t length)
{
	static const struct {
		const char *ours, *theirs;
	} types[] = {
		{ "INTEGER", "BIGINT" },          { "BLOB", "BYTEA" }, { "BOOLEAN", "SMALLINT" },
		{ "TEXT", "TEXT COLLATE \"C\"" }, { "TRUE", "1" },     { "FALSE", "0" },
	};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strlen(types[i].ours) == length && strncasecmp(types[i].ours, token, length) == 0)
			return types[i].theirs;
	return NULL;
}

char *store_sql_next(const char **at, bool with_types, bool *ret_nomem)
{
	const char *from = skip_blanks(*at);
	char *text = NULL;
	size_t size = 0;

	while (*from == ';')
		from = skip_blanks(from + 1);
	*ret_nomem = false;
	if (!*from)
		return NULL;

	FILE *out = open_memstream(&text, &size);
	if (!out) {
		*ret_nomem = true;
		return NULL;
	}

	bool rewrites = with_types && describes_columns(from);

	for (size_t length; *from && *from != ';'; from += length) {
		length = token_length(from);
		const char *type = rewrites && is_word(*from) ? postgres_type(from, length) : NULL;

		(void)(type ? fputs(type, out) : (int)fwrite(from, 1, length, out)); /* fclose tells whether it fitted */
	}
	*at = *from ? from + 1 : from;

	if (fclose(out) != 0) {
		free(text);
		*ret_nomem = true;
		return NULL;
	}
	return text;
}
