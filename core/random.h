/* core/random.h - numbers that nobody can guess, without a system call for each
 *
 * glibc asks the kernel each time, and a call wants nine of them: dialogs' names and tags, ports, SSRCs, keys. */
#pragma once
#include <stddef.h>
#include <stdint.h>

void core_random(void *ret_bytes, size_t size); /* [any] */
uint32_t core_random_below(uint32_t most);      /* evenly from 0 to most - 1; most is not 0. [any] */
