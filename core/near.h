/* core/near.h - how far a word is from another: for whoever answers "did you mean …?". [any] */
#pragma once
#include <stdint.h>

/* Steps from a to b: a character more, less, another, or two neighbours exchanged (Damerau-Levenshtein, optimal string alignment). UINT32_MAX: one of
 * them is longer than 130 bytes. */
uint32_t core_text_distance(const char *a, const char *b);
