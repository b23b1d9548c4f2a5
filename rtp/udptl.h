/* rtp/udptl.h - how fax packets travel by UDP (ITU-T T.38 9.1): numbered, each with those before it once more, or with parity of them
 *
 * spandsp makes and understands the packets of T.38 itself (IFP) and leaves their transport to us. A datagram is a number, the IFP packet of
 * that number, and then either the packets before it, newest first (redundancy), or sums of some of them (FEC). Both are understood; we send
 * redundancy. No allocation, no time of its own; one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_UDPTL_BYTES 1400u /* of a datagram: the most that is sent, whatever a peer allows */
#define RTP_UDPTL_LEAST 72u   /* who allows less gets as much: a packet of 40 ms at 14,400 bit/s has to fit */
#define RTP_UDPTL_IFP 480u    /* of an IFP packet; longer ones are refused */
#define RTP_UDPTL_KEPT 32u    /* packets that are kept for parity, so as far back as one can be mended */
#define RTP_UDPTL_REPEATS 3u  /* a packet is sent once, and so many times again */
#define RTP_UDPTL_MOST_PARITIES 8u

struct rtp_udptl_packet {
	uint16_t sequence, bytes; /* bytes 0: none */
	uint8_t ifp[RTP_UDPTL_IFP];
};

struct rtp_udptl {
	bool begun;
	uint16_t expected; /* number of the next packet that was not read yet */
	struct rtp_udptl_packet heard[RTP_UDPTL_KEPT];
	uint32_t most_bytes;
	uint16_t next; /* number of the next one to be sent */
	struct rtp_udptl_packet said[RTP_UDPTL_REPEATS];
	uint64_t mended, lost; /* packets that came by redundancy or parity alone, and not at all */
};

/* A packet, in order and once. A number that is skipped was lost. */
typedef void (*rtp_udptl_fn)(void *context, const uint8_t *ifp, uint32_t bytes, uint16_t sequence);

/* most_bytes: of a datagram, as the peer's T38FaxMaxDatagram says; 0: it does not say. */
void rtp_udptl_init(struct rtp_udptl *udptl, uint32_t most_bytes);
/* Whether it is a datagram at all; ret_sequence is its number. */
bool rtp_udptl_check(const uint8_t *data, size_t size, uint16_t *ret_sequence);
/* False: it is none, or too long for us. */
bool rtp_udptl_read(struct rtp_udptl *udptl, const uint8_t *data, size_t size, rtp_udptl_fn each, void *context);
/* How many octets of ret_data, which has RTP_UDPTL_BYTES, are to be sent; 0: the packet is too long. */
size_t rtp_udptl_write(struct rtp_udptl *udptl, const uint8_t *ifp, size_t bytes, uint8_t *ret_data);
