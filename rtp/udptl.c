/*
 * udptl - datagrams of T.38, read with both ways of mending, written with one
 *
 * Lengths are those of ASN.1 PER: one octet below 128, two below 16,384; longer ones do not occur in a datagram. Parity m of n in datagram
 * s, over k packets each, is the sum (exclusive or) of the packets s + m - k*n, s + m - (k-1)*n, … s + m - n.
 */
#include "udptl.h"
#include "octets.h"

#include <string.h>

#define IS_PARITY 0x80u
#define MOST_AHEAD 1000 /* further than this the sender has begun anew */

/* What has not been read yet. */
struct reader {
	const uint8_t *at, *end;
};

struct piece {
	const uint8_t *data;
	uint32_t bytes;
};

static bool read_octet(struct reader *reader, uint32_t *ret_octet)
{
	if (reader->at == reader->end)
		return false;
	*ret_octet = *reader->at++;
	return true;
}

static bool read_length(struct reader *reader, uint32_t *ret_length)
{
	uint32_t first, second;

	if (!read_octet(reader, &first))
		return false;
	if (first < 0x80) {
		*ret_length = first;
		return true;
	}
	if (first >= 0xc0 || !read_octet(reader, &second))
		return false;
	*ret_length = (first & 0x3f) << 8 | second;
	return true;
}

static bool read_piece(struct reader *reader, struct piece *ret_piece)
{
	uint32_t bytes;

	if (!read_length(reader, &bytes) || bytes > (size_t)(reader->end - reader->at))
		return false;
	*ret_piece = (struct piece){ reader->at, bytes };
	reader->at += bytes;
	return true;
}

/* A datagram taken apart. */
struct datagram {
	uint16_t sequence;
	struct piece primary;
	bool is_parity;
	uint32_t span, count; /* packets in each parity; parities, or earlier packets */
	struct reader rest;   /* which follow here */
};

static bool open_datagram(const uint8_t *data, size_t size, struct datagram *ret_datagram)
{
	struct reader reader = { data + 2, data + size };
	struct datagram datagram = { 0 };
	uint32_t way, one;
	struct piece piece;

	if (size < 4)
		return false;
	datagram.sequence = rtp_get16(data);
	if (!read_piece(&reader, &datagram.primary) || datagram.primary.bytes == 0)
		return false;
	if (reader.at < reader.end) { /* some leave out that nothing follows */
		if (!read_octet(&reader, &way))
			return false;
		datagram.is_parity = way & IS_PARITY;
		if (datagram.is_parity && (!read_octet(&reader, &one) || one != 1 || !read_octet(&reader, &datagram.span)))
			return false;
		if (!read_length(&reader, &datagram.count))
			return false;
	}
	datagram.rest = reader;
	for (uint32_t i = 0; i < datagram.count; i++) {
		if (!read_piece(&reader, &piece))
			return false;
	}
	if (reader.at < reader.end)
		return false; /* the last packets of RTP often look like something else */
	*ret_datagram = datagram;
	return true;
}

bool rtp_udptl_check(const uint8_t *data, size_t size, uint16_t *ret_sequence)
{
	struct datagram datagram;

	if (!open_datagram(data, size, &datagram))
		return false;
	*ret_sequence = datagram.sequence;
	return true;
}

void rtp_udptl_init(struct rtp_udptl *udptl, uint32_t most_bytes)
{
	memset(udptl, 0, sizeof *udptl);
	udptl->most_bytes = most_bytes == 0 || most_bytes > RTP_UDPTL_BYTES ? RTP_UDPTL_BYTES
			    : most_bytes < RTP_UDPTL_LEAST                  ? RTP_UDPTL_LEAST
									    : most_bytes;
}

/* ---- reading ---- */

static struct rtp_udptl_packet *place_of(struct rtp_udptl *udptl, uint16_t sequence)
{
	return &udptl->heard[sequence % RTP_UDPTL_KEPT];
}

static const struct rtp_udptl_packet *find_heard(struct rtp_udptl *udptl, uint16_t sequence)
{
	const struct rtp_udptl_packet *packet = place_of(udptl, sequence);

	return packet->bytes > 0 && packet->sequence == sequence ? packet : NULL;
}

static void keep(struct rtp_udptl *udptl, uint16_t sequence, const uint8_t *ifp, uint32_t bytes)
{
	struct rtp_udptl_packet *packet = place_of(udptl, sequence);

	if (bytes == 0 || bytes > RTP_UDPTL_IFP)
		return;
	packet->sequence = sequence;
	packet->bytes = (uint16_t)bytes;
	memcpy(packet->ifp, ifp, bytes);
}

/* Those before it, newest first; what is older than what was read is known already. */
static void take_repeats(struct rtp_udptl *udptl, struct datagram *datagram)
{
	struct piece piece;

	for (uint32_t i = 1; i <= datagram->count && read_piece(&datagram->rest, &piece); i++) {
		uint16_t sequence = (uint16_t)(datagram->sequence - i);

		if (i < RTP_UDPTL_KEPT && (int16_t)(sequence - udptl->expected) >= 0 && !find_heard(udptl, sequence)) {
			keep(udptl, sequence, piece.data, piece.bytes);
			udptl->mended++;
		}
	}
}

/* The sum of what a parity covers and itself is the one packet that is missing. */
static void mend(struct rtp_udptl *udptl, const struct datagram *datagram, uint32_t which, const struct piece *parity)
{
	uint16_t first = (uint16_t)(datagram->sequence + which - datagram->span * datagram->count), missing = 0;
	uint8_t sum[RTP_UDPTL_IFP];
	uint32_t missed = 0;

	if (parity->bytes == 0 || parity->bytes > sizeof sum)
		return;
	memcpy(sum, parity->data, parity->bytes);
	for (uint32_t i = 0; i < datagram->span; i++) {
		uint16_t sequence = (uint16_t)(first + i * datagram->count);
		const struct rtp_udptl_packet *packet = find_heard(udptl, sequence);

		if (!packet) {
			missing = sequence;
			missed++;
			continue;
		}
		for (uint32_t at = 0; at < packet->bytes && at < parity->bytes; at++)
			sum[at] ^= packet->ifp[at];
	}
	if (missed != 1 || (int16_t)(missing - udptl->expected) < 0)
		return;
	keep(udptl, missing, sum, parity->bytes);
	udptl->mended++;
}

static void take_parities(struct rtp_udptl *udptl, struct datagram *datagram)
{
	struct piece piece;

	if (datagram->count > RTP_UDPTL_MOST_PARITIES || datagram->span == 0 || datagram->span * datagram->count >= RTP_UDPTL_KEPT)
		return;
	for (uint32_t i = 0; i < datagram->count && read_piece(&datagram->rest, &piece); i++)
		mend(udptl, datagram, i, &piece);
}

static void begin_at(struct rtp_udptl *udptl, uint16_t sequence)
{
	udptl->begun = true;
	udptl->expected = sequence;
	memset(udptl->heard, 0, sizeof udptl->heard);
}

bool rtp_udptl_read(struct rtp_udptl *udptl, const uint8_t *data, size_t size, rtp_udptl_fn each, void *context)
{
	struct datagram datagram;

	if (!open_datagram(data, size, &datagram) || datagram.primary.bytes > RTP_UDPTL_IFP)
		return false;
	int16_t ahead = (int16_t)(datagram.sequence - udptl->expected);

	if (!udptl->begun || ahead > MOST_AHEAD || ahead < -MOST_AHEAD)
		begin_at(udptl, datagram.sequence);
	if ((int16_t)(datagram.sequence - udptl->expected) < 0)
		return true; /* overtaken: it was read from one that came before it, or given up */
	keep(udptl, datagram.sequence, datagram.primary.data, datagram.primary.bytes);
	if (datagram.is_parity)
		take_parities(udptl, &datagram);
	else
		take_repeats(udptl, &datagram);
	for (; (int16_t)(datagram.sequence - udptl->expected) >= 0; udptl->expected++) {
		const struct rtp_udptl_packet *packet = find_heard(udptl, udptl->expected);

		if (packet)
			each(context, packet->ifp, packet->bytes, packet->sequence);
		else
			udptl->lost++;
	}
	return true;
}

/* ---- writing ---- */

static size_t length_bytes(size_t bytes)
{
	return bytes < 0x80 ? 1 : 2;
}

static uint8_t *put_piece(uint8_t *at, const uint8_t *data, size_t bytes)
{
	if (bytes >= 0x80)
		*at++ = (uint8_t)(0x80 | bytes >> 8);
	*at++ = (uint8_t)bytes;
	memcpy(at, data, bytes);
	return at + bytes;
}

/* The packet so many before the newest; NULL: there was none. */
static const struct rtp_udptl_packet *said_before(const struct rtp_udptl *udptl, uint16_t sequence, uint32_t before)
{
	const struct rtp_udptl_packet *packet = &udptl->said[(uint16_t)(sequence - before) % RTP_UDPTL_REPEATS];

	return before <= sequence && packet->bytes > 0 ? packet : NULL;
}

/* How many of those before fit into the datagram as well. */
static uint32_t count_repeats(const struct rtp_udptl *udptl, uint16_t sequence, size_t used)
{
	uint32_t count = 0;

	while (count < RTP_UDPTL_REPEATS) {
		const struct rtp_udptl_packet *packet = said_before(udptl, sequence, count + 1);

		if (!packet || used + length_bytes(packet->bytes) + packet->bytes > udptl->most_bytes)
			break;
		used += length_bytes(packet->bytes) + packet->bytes;
		count++;
	}
	return count;
}

size_t rtp_udptl_write(struct rtp_udptl *udptl, const uint8_t *ifp, size_t bytes, uint8_t *ret_data)
{
	uint16_t sequence = udptl->next;
	struct rtp_udptl_packet *kept = &udptl->said[sequence % RTP_UDPTL_REPEATS];

	if (bytes == 0 || bytes > RTP_UDPTL_IFP)
		return 0;
	uint8_t *at = put_piece(rtp_put16(ret_data, sequence), ifp, bytes);
	uint32_t repeats = count_repeats(udptl, sequence, (size_t)(at - ret_data) + 2);

	*at++ = 0;
	*at++ = (uint8_t)repeats;
	for (uint32_t i = 1; i <= repeats; i++) {
		const struct rtp_udptl_packet *packet = said_before(udptl, sequence, i);

		at = put_piece(at, packet->ifp, packet->bytes);
	}
	kept->sequence = sequence;
	kept->bytes = (uint16_t)bytes;
	memcpy(kept->ifp, ifp, bytes);
	udptl->next++;
	return (size_t)(at - ret_data);
}
