/* plugins/codec_opus/coder.c - an encoder that follows the network, a decoder that repairs
 *
 * What the far side reports as lost goes to libopus, which repeats each frame coarsely in the next packet (FEC) for a part of the rate. When more
 * than a tenth is lost the line is probably full: the rate is lowered with each report, and rises again while it is quiet. The worker knows no
 * clock here; the samples that were sent are one. */
#include "coder.h"
#include <opus/opus.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_BITS_PER_S 12000
#define MUCH_LOST_PERCENT 10u
#define RISE_AFTER_S 10u
#define MOST_RATE_HZ 48000
#define MOST_FRAME_BYTES 1275u
#define PAUSE_BYTES 2 /* a packet that says nothing but "still quiet" (RFC 7587 3.1.3) */

struct opus_sender {
	OpusEncoder *opus;
	uint32_t rate_hz;
	int32_t bits_per_s, now_bits_per_s; /* agreed, and while much is lost */
	uint32_t lost_percent;
	uint64_t since_change; /* samples */
};

struct opus_receiver {
	OpusDecoder *opus;
	uint32_t rate_hz;
};

/* ---- sending ---- */

static int32_t bandwidth_of(uint32_t rate_hz)
{
	return rate_hz <= 8000    ? OPUS_BANDWIDTH_NARROWBAND
	       : rate_hz <= 12000 ? OPUS_BANDWIDTH_MEDIUMBAND
	       : rate_hz <= 16000 ? OPUS_BANDWIDTH_WIDEBAND
	       : rate_hz <= 24000 ? OPUS_BANDWIDTH_SUPERWIDEBAND
				  : OPUS_BANDWIDTH_FULLBAND;
}

static bool sender_configure(OpusEncoder *opus, const struct opus_wish *wish)
{
	return opus_encoder_ctl(opus, OPUS_SET_BITRATE((int32_t)wish->bits_per_s)) == OPUS_OK &&
	       opus_encoder_ctl(opus, OPUS_SET_COMPLEXITY((int32_t)wish->complexity)) == OPUS_OK &&
	       opus_encoder_ctl(opus, OPUS_SET_MAX_BANDWIDTH(bandwidth_of(wish->most_rate_hz))) == OPUS_OK &&
	       opus_encoder_ctl(opus, OPUS_SET_INBAND_FEC(wish->repairs)) == OPUS_OK &&
	       opus_encoder_ctl(opus, OPUS_SET_PACKET_LOSS_PERC((int32_t)wish->expected_loss)) == OPUS_OK &&
	       opus_encoder_ctl(opus, OPUS_SET_DTX(wish->pauses)) == OPUS_OK &&
	       opus_encoder_ctl(opus, OPUS_SET_VBR(!wish->steady)) == OPUS_OK;
}

struct opus_sender *opus_sender_new(const struct opus_wish *wish)
{
	struct opus_sender *sender = calloc(1, sizeof *sender);
	int result;

	if (!sender)
		return NULL;
	sender->rate_hz = wish->rate_hz;
	sender->bits_per_s = sender->now_bits_per_s = (int32_t)wish->bits_per_s;
	sender->lost_percent = wish->expected_loss;
	sender->opus = opus_encoder_create((int32_t)wish->rate_hz, 1, (int)wish->application, &result);
	if (!sender->opus || !sender_configure(sender->opus, wish)) {
		opus_sender_free(sender);
		return NULL;
	}
	return sender;
}

void opus_sender_free(struct opus_sender *sender)
{
	if (sender && sender->opus)
		opus_encoder_destroy(sender->opus);
	free(sender);
}

static void set_rate(struct opus_sender *sender, int32_t bits_per_s)
{
	sender->now_bits_per_s = bits_per_s;
	sender->since_change = 0;
	(void)opus_encoder_ctl(sender->opus, OPUS_SET_BITRATE(bits_per_s)); /* it is within the range that was accepted at the start */
}

static void rise(struct opus_sender *sender)
{
	int32_t wanted = sender->now_bits_per_s + sender->now_bits_per_s / 20;

	if (sender->lost_percent <= MUCH_LOST_PERCENT && sender->now_bits_per_s < sender->bits_per_s)
		set_rate(sender, wanted < sender->bits_per_s ? wanted : sender->bits_per_s);
	else
		sender->since_change = 0;
}

int32_t opus_send(struct opus_sender *sender, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	sender->since_change += count;
	if (sender->since_change >= (uint64_t)sender->rate_hz * RISE_AFTER_S)
		rise(sender);

	int32_t bytes = opus_encode(sender->opus, samples, (int)count, ret_payload,
				    size < MOST_FRAME_BYTES ? (int32_t)size : (int32_t)MOST_FRAME_BYTES);

	return bytes < 0 ? -1 : bytes <= PAUSE_BYTES ? 0 : bytes;
}

void opus_sender_lost(struct opus_sender *sender, uint32_t percent)
{
	sender->lost_percent = percent < 100 ? percent : 100;
	(void)opus_encoder_ctl(sender->opus, OPUS_SET_PACKET_LOSS_PERC((int32_t)sender->lost_percent)); /* 0 to 100 is its range */
	if (percent <= MUCH_LOST_PERCENT)
		return;

	int32_t wanted = sender->now_bits_per_s - sender->now_bits_per_s / 5;
	int32_t least = sender->bits_per_s < LEAST_BITS_PER_S ? sender->bits_per_s : LEAST_BITS_PER_S;
	set_rate(sender, wanted > least ? wanted : least);
}

/* ---- receiving ---- */

struct opus_receiver *opus_receiver_new(uint32_t rate_hz)
{
	struct opus_receiver *receiver = calloc(1, sizeof *receiver);
	int result;

	if (!receiver)
		return NULL;
	receiver->rate_hz = rate_hz;
	receiver->opus = opus_decoder_create((int32_t)rate_hz, 1, &result);
	if (!receiver->opus) {
		free(receiver);
		return NULL;
	}
	return receiver;
}

void opus_receiver_free(struct opus_receiver *receiver)
{
	if (receiver)
		opus_decoder_destroy(receiver->opus);
	free(receiver);
}

void opus_receiver_restart(struct opus_receiver *receiver)
{
	(void)opus_decoder_ctl(receiver->opus, OPUS_RESET_STATE); /* cannot fail */
}

int32_t opus_receive(struct opus_receiver *receiver, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	if (!bytes)
		return -1;

	int32_t count = opus_decode(receiver->opus, payload, (int32_t)bytes, ret_samples, (int)size, 0);

	return count > 0 && bytes <= PAUSE_BYTES ? 0 : count;
}

/* libopus fills gaps of whole 2.5 ms: the end of another one is taken from a longer guess. */
void opus_receiver_conceal(struct opus_receiver *receiver, int16_t *ret_samples, uint32_t count)
{
	int16_t guess[MOST_RATE_HZ / 100];
	uint32_t step = receiver->rate_hz / 400, most = receiver->rate_hz / 100;

	while (count) {
		uint32_t part = count < most ? count : most, whole = (part + step - 1) / step * step;

		if (opus_decode(receiver->opus, NULL, 0, guess, (int)whole, 0) != (int)whole)
			memset(guess, 0, sizeof guess);
		memcpy(ret_samples, guess, part * sizeof *guess);
		ret_samples += part;
		count -= part;
	}
}

int32_t opus_receiver_repair(struct opus_receiver *receiver, const uint8_t *next, uint32_t bytes, int16_t *ret_samples, uint32_t count)
{
	uint32_t step = receiver->rate_hz / 400, most = receiver->rate_hz / 1000 * 120;
	uint32_t gap = count > most ? most : count - count % step;

	if (!gap || !opus_repeats(next, bytes))
		return 0;

	int32_t repaired = opus_decode(receiver->opus, next, (int32_t)bytes, ret_samples, (int)gap, 1);
	return repaired > 0 ? repaired : 0;
}

/* ---- what is in a packet ---- */

bool opus_repeats(const uint8_t *payload, uint32_t bytes)
{
	const unsigned char *frames[48];
	opus_int16 sizes[48];
	unsigned char toc;

	if (!bytes || payload[0] & 0x80) /* CELT alone, configurations 16 to 31, has nothing of the kind */
		return false;
	if (opus_packet_parse(payload, (int32_t)bytes, &toc, frames, sizes, NULL) < 1 || sizes[0] < 1)
		return false;

	/* The frame begins with a bit for each 20 ms of a channel that says whether there is voice, and then one that says whether the packet before is
	 * repeated; with two channels the second has its own after those. */
	int32_t per_s = 48000, frame = opus_packet_get_samples_per_frame(payload, per_s);
	int32_t voices = frame > 960 ? frame / 960 : 1;
	bool repeats = frames[0][0] >> (7 - voices) & 1;

	if (opus_packet_get_nb_channels(payload) == 2)
		repeats = repeats || (frames[0][0] >> (6 - 2 * voices) & 1);
	return repeats;
}
