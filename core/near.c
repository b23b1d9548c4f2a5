/* core/near.c - how far a word is from another */
#include "near.h"
#include <string.h>

static uint32_t least_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

uint32_t core_text_distance(const char *a, const char *b)
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
