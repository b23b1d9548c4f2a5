/* websocket_frames.h - messages of a WebSocket from its frames, and the texts around them (RFC 6455). Pure. [any] */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a WebSocket is closed (RFC 6455 7.4.1). */
#define WEBSOCKET_DONE 1000u
#define WEBSOCKET_GOING 1001u
#define WEBSOCKET_PROTOCOL 1002u /* frames that cannot be, or no words of the subprotocol */
#define WEBSOCKET_KIND 1003u     /* octets where text is expected */
#define WEBSOCKET_REFUSED 1008u
#define WEBSOCKET_TOO_LARGE 1009u
#define WEBSOCKET_LATER 1013u

#define WEBSOCKET_CLOSE_MOST 125u /* octets of a frame that closes */

/* A message, gathered from its frames in bytes, which has room. All zero but these two at first. */
struct websocket_message {
	char *bytes;
	size_t room, size;
	bool is_begun, is_whole, is_text;
};

/* Takes a frame of a message: bits is its first octet. 0: taken, and is_whole tells whether that was the last one; then bytes and size are
 * the message until the next call. Else a status to close with. */
uint32_t websocket_gather(struct websocket_message *message, unsigned bits, const char *data, size_t size);

/* The octets of a frame that closes, and how many; why is cut where there is no room for more. */
size_t websocket_close_text(uint32_t status, const char *why, char ret_text[WEBSOCKET_CLOSE_MOST]);
/* What to answer such a frame with: the status it names, WEBSOCKET_DONE when it names none, or WEBSOCKET_PROTOCOL when it may not. */
uint32_t websocket_close_status(const char *text, size_t size);

/* Whether pages of an origin may come in; NULL is no browser. origins: others that may, separated by blanks; our own may, as Host tells. */
bool websocket_is_welcome(const char *origins, const char *origin, const char *host);

/* The rest of the first subprotocol offered that begins so, "pbx.bearer." for one. Borrowed, *ret_size characters; NULL: there is none. */
const char *websocket_offer(const char *protocols, const char *begin, size_t *ret_size);
