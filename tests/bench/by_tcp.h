/* tests/bench/by_tcp.h - far ends of streams that come by ICE over TCP: a connection each, through our door, by one check (RFC 6544) */
#pragma once
#include <core/media_driver.h>

/* Room for streams 0 to count - 1, and the port where the door is. */
void by_tcp_start(int count, uint16_t port);
/* The stream is reached by a connection: what its configuration says instead of an address. */
void by_tcp_configure(int at, core_stream stream, struct core_stream_config *config);
/* Once all are configured: connects, checks and waits until all are let in, turning the loop meanwhile. Exits when one is not. */
void by_tcp_connect(void);
/* To the stream, and what has come from it is thrown away. */
void by_tcp_send(int at, const uint8_t *packet, size_t bytes);
void by_tcp_stop(void);
