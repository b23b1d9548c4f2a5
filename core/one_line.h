/* core/one_line.h - texts of one line: whatever they end in (a header of SIP or HTTP, a line of a log), nothing in them ends that. [any] */
#pragma once
#include <stdbool.h>

/* No control character of ASCII is in it. */
static inline bool core_is_one_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}
