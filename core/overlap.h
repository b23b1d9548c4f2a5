/* core/overlap.h - structures of the ABI grow at their end: what two ages of one have in common */
#pragma once
#include <stddef.h>
#include <string.h>

static inline size_t core_overlap(size_t theirs, size_t ours)
{
	return theirs < ours ? theirs : ours;
}

/* What we know and they do not reads as zero; what they know and we do not is left out. */
static inline void core_copy_overlap(void *ret_ours, size_t ours, const void *theirs, size_t theirs_size)
{
	const size_t common = core_overlap(theirs_size, ours);

	memcpy(ret_ours, theirs, common);
	memset((char *)ret_ours + common, 0, ours - common);
}
