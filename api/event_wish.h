/* event_wish.h - what the client of an event stream by WebSocket may say: {"types": ["call.*", "registration.added"]}. [any] */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define EVENT_TOPICS_SIZE 513u /* as the query's topics, and a zero */

/* The types in the bus's words, "call.*,registration.added"; the bus judges each. 0, or a status of RFC 6455 7.4.1 to close with, and
 * *ret_why. */
uint32_t event_wish_read(const char *text, size_t size, char ret_topics[EVENT_TOPICS_SIZE], const char **ret_why);
