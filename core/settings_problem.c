/*
 * settings_problem - sentences about what is wrong, each with its place, and what somebody may have meant
 */
#include <stdlib.h>
#include <string.h>
#include "json.h"
#include "settings_internal.h"

/* ---- problems ----------------------------------------------------------------------------- */

void core_problem(struct core_problems *problems, const struct core_place *place, const char *path, const char *format, ...)
{
	char line[1024];
	size_t used = 0;
	va_list args;

	if (place && place->file)
		used = (size_t)snprintf(line, sizeof line, "%.400s:%u:%u: ", place->file, place->line, place->column);
	if (*path)
		used += (size_t)snprintf(line + used, sizeof line - used, "%.200s: ", path);
	va_start(args, format);
	(void)vsnprintf(line + used, sizeof line - used, format, args);
	va_end(args);

	if (!problems->count++)
		pbx_diag_set(problems->diag, path, "%s", line);
	if (problems->list && core_json_append_text(problems->list, line) != PBX_OK)
		problems->no_memory = true;
}

int core_problems_result(const struct core_problems *problems)
{
	if (problems->count)
		return PBX_EINVAL;
	if (problems->no_memory)
		pbx_diag_set(problems->diag, "", "no memory");
	return problems->no_memory ? PBX_ENOMEM : PBX_OK;
}

/* ---- did you mean ---------------------------------------------------------------------------- */

static uint32_t least_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Steps from a to b: a character more, less, another, or two exchanged (Damerau-Levenshtein, optimal string alignment). */
static uint32_t distance(const char *a, const char *b)
{
	uint32_t rows[3][132];
	uint32_t *older = rows[0], *old = rows[1], *row = rows[2];
	const uint32_t length = (uint32_t)strlen(b);

	if (strlen(a) > 130 || length > 130)
		return UINT32_MAX;
	for (uint32_t j = 0; j <= length; j++)
		old[j] = j;
	for (uint32_t i = 1; a[i - 1]; i++) {
		uint32_t *spare = older;

		row[0] = i;
		for (uint32_t j = 1; j <= length; j++) {
			row[j] = least_of(old[j - 1] + (a[i - 1] != b[j - 1]), least_of(old[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least_of(row[j], older[j - 2] + 1);
		}
		older = old;
		old = row;
		row = spare;
	}
	return old[length];
}

const char *core_did_you_mean(const char *wrong, const char *const *names, uint32_t count)
{
	const size_t length = strlen(wrong);
	uint32_t best = length <= 3 ? 2 : length <= 8 ? 3 : 4; /* one more than is near */
	const char *meant = NULL;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t steps = distance(wrong, names[i]);

		if (steps < best) {
			best = steps;
			meant = names[i];
		}
	}
	return meant;
}
