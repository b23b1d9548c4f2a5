/* stream.h - the limit of each message that comes over a connection. [loop] */
#pragma once
#include <stdbool.h>

/* Whether Sofia calls our msg_next(); else a stranger may end the process. */
bool ua_stream_is_limited(void);
