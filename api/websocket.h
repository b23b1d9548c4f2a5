/* websocket.h - what our doors for WebSockets share: whom they turn away, how they close */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include <civetweb.h>

#include "websocket_frames.h"

/* Whether this can become a WebSocket, as far as CivetWeb has not looked. False: it has been turned away. [http], before it stands */
bool websocket_can_be(const struct mg_connection *asking);
/* Answers with a status of HTTP ("403 Forbidden") and a sentence. [http], before it stands */
void websocket_turn_away(const struct mg_connection *asking, const char *status, const char *detail);
/* Writes the last frame. False: nobody takes it. [http] */
bool websocket_close(struct mg_connection *connection, uint32_t status, const char *why);
