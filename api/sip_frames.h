/* sip_frames.h - SIP in WebSocket frames and in a stream: what has to change on the way (RFC 7118). Pure text. [any] */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Size of the first message in a stream, or of the line breaks (keep-alives) before it. 0: it is not complete; negative: no SIP. */
ssize_t sip_frame_measure(const char *stream, size_t size);
/* Whether whoever is sent this complete message is somebody from now on: a request of ours, or an answer to one of its own that is more than 100 and less than
 * 300, which nobody gets without credentials. */
bool sip_frame_welcomes(const char *message, size_t size);
/* A message with another transport in its first Via, and with Content-Length in any case. Its size, written to ret_message; negative: no SIP,
 * more or less body than it says, or no room: 64 bytes more are enough. */
ssize_t sip_frame_convert(const char *message, size_t size, const char *transport, char *ret_message, size_t room);
