/*
 * settings_problem - sentences about what is wrong, each with its place, and what somebody may have meant
 */
#include <stdlib.h>
#include <string.h>
#include "json.h"
#include "near.h"
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

const char *core_did_you_mean(const char *wrong, const char *const *names, uint32_t count)
{
	const size_t length = strlen(wrong);
	uint32_t best = length <= 3 ? 2 : length <= 8 ? 3 : 4; /* one more than is near */
	const char *meant = NULL;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t steps = core_text_distance(wrong, names[i]);

		if (steps < best) {
			best = steps;
			meant = names[i];
		}
	}
	return meant;
}
