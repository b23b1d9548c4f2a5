/* rtp/radio.h - a programme from the network: fetched by HTTP, decoded by a thread of its own, waiting in a ring
 *
 * One thread a stream, because codecs want to wait for octets. It keeps at most RTP_RADIO_SAMPLES decoded and 32 KiB undecoded, as much again in the socket: when the
 * ring is full nothing more is read from the connection, and TCP tells the server. Whatever goes wrong, it tries again. */
#pragma once
#include "decoder.h"
#include <stdbool.h>

#define RTP_RADIO_SAMPLES (RTP_DECODED_HZ * 4u)
#define RTP_RADIO_MOST 32u /* streams at a time, in the whole daemon */

struct rtp_radio;

/* Begins to listen to url; name is for the log. NULL: no memory, or RTP_RADIO_MOST are listened to. */
struct rtp_radio *rtp_radio_new(const char *url, const char *name);
/* Lets go of it without waiting: its thread ends by itself, soon. */
void rtp_radio_free(struct rtp_radio *radio);
/* Takes up to count samples. 0: there is nothing to be heard now. After a pause it first gathers a second. */
size_t rtp_radio_take(struct rtp_radio *radio, int16_t *ret_samples, size_t count);
bool rtp_radio_is_heard(const struct rtp_radio *radio); /* the last take had something */

/* [loop] Waits until the threads of all that were freed have ended. */
void rtp_radios_wait(void);
