/* websocket.c - what our doors for WebSockets share: whom they turn away, how they close */
#include "websocket.h"

#include <string.h>

#define KEY_LENGTH 24u /* of Sec-WebSocket-Key (RFC 6455 4.1) */

/* CivetWeb's own function for this leaves out the head before a WebSocket stands. */
void websocket_turn_away(const struct mg_connection *asking, const char *status, const char *detail)
{
	struct mg_connection *connection = (struct mg_connection *)asking; /* its functions that answer want it so */

	(void)mg_printf(connection,
			"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			status, strlen(detail), detail); /* who does not read has left */
}

bool websocket_can_be(const struct mg_connection *asking)
{
	const char *key = mg_get_header(asking, "Sec-WebSocket-Key");

	if (key && strlen(key) == KEY_LENGTH)
		return true;
	/* CivetWeb would refuse it after we have given it a place, and never tell. */
	websocket_turn_away(asking, "400 Bad Request", "Sec-WebSocket-Key has 24 characters (RFC 6455 4.1)");
	return false;
}

bool websocket_close(struct mg_connection *connection, uint32_t status, const char *why)
{
	char text[WEBSOCKET_CLOSE_MOST];
	size_t size = websocket_close_text(status, why, text);

	return mg_websocket_write(connection, MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE, text, size) > 0;
}
