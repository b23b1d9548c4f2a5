/* core/media_desc.h - what one side of a call says about its audio, free of SDP's spelling
 *
 * sip/ translates SDP into this and back; the core negotiates with it (core/negotiate.c); rtp/ is configured by the outcome. Plain values:
 * copied by assignment. One audio stream; sip/ itself answers further m= lines with port 0. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define CORE_MOST_CODECS 24

struct core_addr {
	union {
		struct sockaddr sa; /* sa_family AF_UNSPEC (0): not known */
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	};
};

struct core_codec {
	char name[20]; /* "PCMU", "telephone-event"; compared without case (RFC 4855) */
	uint32_t clock_hz;
	uint8_t channels;     /* 1 unless told */
	uint8_t payload_type; /* in the numbering of whoever describes */
	char fmtp[100];
};

#define CORE_SEND 1u
#define CORE_RECV 2u /* directions as the describer sees them: sendonly is CORE_SEND */

struct core_media_desc {
	bool present;          /* there is an audio line that is not refused */
	struct core_addr rtp;  /* address and port; port 0 or 0.0.0.0: nowhere (old-style hold has direction without CORE_RECV) */
	struct core_addr rtcp; /* AF_UNSPEC: rtp's port + 1 */
	bool rtcp_mux;
	bool secure;                    /* RTP/SAVP…: no common ground yet (SRTP is the media issue's) */
	uint8_t direction;              /* CORE_SEND | CORE_RECV */
	uint16_t ptime_ms, maxptime_ms; /* 0: not told */
	uint8_t codec_count;            /* in order of preference; telephone-event and CN among them */
	struct core_codec codecs[CORE_MOST_CODECS];
};
