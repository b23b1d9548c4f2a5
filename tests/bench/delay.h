/* tests/bench/delay.h - how long packets are on their way: a thread that reads them, and their own word for when they were sent */
#pragma once
#include <stdint.h>

/* Writes the instant into a packet, behind its header. */
void delay_stamp(uint8_t *packet);
/* Reads what comes to a socket of ours until stopped. Exits when that fails. */
void delay_start(int fd);
/* Prints how many came, the median and the 99th percentile in microseconds. */
void delay_stop(void);
