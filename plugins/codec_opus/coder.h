/* plugins/codec_opus/coder.h - an encoder that follows the network, a decoder that repairs: libopus behind calls of our own
 *
 * Opened and closed on [loop], used on [media] by one worker at a time. Samples are mono. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct opus_wish {
	uint32_t rate_hz;             /* of the samples that come in: 8000, 12000, 16000, 24000, 48000 */
	uint32_t most_rate_hz;        /* what the far side plays (maxplaybackrate) */
	uint32_t bits_per_s;          /* on average, while little is lost */
	uint32_t complexity;          /* 0 to 10 */
	uint32_t application;         /* OPUS_APPLICATION_… */
	uint32_t expected_loss;       /* percent, until somebody tells */
	bool repairs, pauses, steady; /* FEC, DTX, constant bit rate */
};

struct opus_sender;
struct opus_receiver;

struct opus_sender *opus_sender_new(const struct opus_wish *wish);
void opus_sender_free(struct opus_sender *sender);
/* Octets; 0: nothing need be sent (DTX); negative: count is no frame of Opus. */
int32_t opus_send(struct opus_sender *sender, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size);
/* What the far side reports as lost: more of the rate goes into repair, and over a tenth the rate is lowered. */
void opus_sender_lost(struct opus_sender *sender, uint32_t percent);

struct opus_receiver *opus_receiver_new(uint32_t rate_hz);
void opus_receiver_free(struct opus_receiver *receiver);
void opus_receiver_restart(struct opus_receiver *receiver); /* [media] another stream begins */
/* Samples; 0: it only says that it is still quiet; negative: this is no packet of Opus, or longer than size. */
int32_t opus_receive(struct opus_receiver *receiver, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size);
/* count samples for what is lost: guessed; or, when the packet that came next repeats it (FEC), as it was. How many the repair gives, 0: none. */
void opus_receiver_conceal(struct opus_receiver *receiver, int16_t *ret_samples, uint32_t count);
int32_t opus_receiver_repair(struct opus_receiver *receiver, const uint8_t *next, uint32_t bytes, int16_t *ret_samples, uint32_t count);

/* Whether a packet repeats the one before it (RFC 6716 4.2.3, LBRR). */
bool opus_repeats(const uint8_t *payload, uint32_t bytes);
