/* core/media_desc.h - what one side of a call says about its audio, free of SDP's spelling
 *
 * sip/ translates SDP into this and back; the core negotiates with it (core/negotiate.c); rtp/ is configured by the outcome. Plain values:
 * copied by assignment. One audio stream, or T.38 in its place; sip/ itself answers further m= lines with port 0. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Not a key, and told like one: a hook flash (RFC 4733 event 16). */
#define CORE_FLASH '!'

#define CORE_MOST_CODECS 24

#define CORE_BY_UDP 0u
#define CORE_BY_TCP 1u /* a connection of ICE (RFC 6544); everything else in media is UDP */

struct core_addr {
	union {
		struct sockaddr sa; /* sa_family AF_UNSPEC (0): not known */
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	};
	uint32_t transport; /* CORE_BY_…; told in media only. No padding: addresses are compared as memory */
};

struct core_codec {
	char name[20]; /* "PCMU", "telephone-event"; compared without case (RFC 4855) */
	uint32_t clock_hz;
	uint8_t channels;     /* 1 unless told */
	uint8_t payload_type; /* in the numbering of whoever describes */
	char fmtp[100];
};

/* Crypto suites of SRTP; names and lengths in core/srtp_suites.h. */
#define CORE_SRTP_NONE 0u
#define CORE_SRTP_AES_CM_128_80 1u
#define CORE_SRTP_AES_CM_128_32 2u
#define CORE_SRTP_AES_CM_256_80 3u
#define CORE_SRTP_AES_CM_256_32 4u
#define CORE_SRTP_AES_GCM_128 5u
#define CORE_SRTP_AES_GCM_256 6u
#define CORE_SRTP_SUITES 7u
#define CORE_SRTP_KEY_BYTES 46u /* of the longest: master key, then master salt */
#define CORE_MOST_CRYPTOS 6

/* A key that its describer will send under (RFC 4568 a=crypto). */
struct core_crypto {
	uint32_t tag;  /* 1 to 999999999, the describer's number for it */
	uint8_t suite; /* CORE_SRTP_… */
	uint8_t key[CORE_SRTP_KEY_BYTES];
};

/* What an end wants to be told by RTCP XR (RFC 3611 5.1, a=rtcp-xr). */
#define CORE_XR_VOIP 1u       /* voip-metrics */
#define CORE_XR_RTT 2u        /* rcvr-rtt: the round trip, for who only receives, too */
#define CORE_XR_LOSS 4u       /* stat-summary=loss */
#define CORE_XR_DUPLICATES 8u /* =dup */
#define CORE_XR_JITTER 16u    /* =jitt */
#define CORE_XR_OURS (CORE_XR_VOIP | CORE_XR_RTT | CORE_XR_LOSS | CORE_XR_DUPLICATES | CORE_XR_JITTER)

/* ICE (RFC 8445, 8839). Longer credentials than these are no ICE to us; browsers and phones have 4 to 32 characters. */
#define CORE_ICE_UFRAG_SIZE 65u
#define CORE_ICE_PWD_SIZE 129u
#define CORE_MOST_CANDIDATES 12u

#define CORE_CANDIDATE_HOST 0u
#define CORE_CANDIDATE_PEER_REFLEXIVE 1u
#define CORE_CANDIDATE_SERVER_REFLEXIVE 2u
#define CORE_CANDIDATE_RELAYED 3u

/* Where its describer may be reached: by datagrams, or one of ours by a connection that the peer opens. */
struct core_candidate {
	struct core_addr addr;
	uint32_t priority;
	uint8_t component; /* 1 RTP, 2 RTCP */
	uint8_t kind;      /* CORE_CANDIDATE_… */
};

struct core_ice_name {
	char ufrag[CORE_ICE_UFRAG_SIZE], pwd[CORE_ICE_PWD_SIZE]; /* ufrag "": no ICE */
};

struct core_ice {
	struct core_ice_name name;
	bool lite;    /* it only answers */
	bool trickle; /* more candidates may come later (RFC 8838) */
	uint8_t candidate_count;
	struct core_candidate candidates[CORE_MOST_CANDIDATES];
};

/* DTLS-SRTP (RFC 5763, 8122): whose certificate proves that it is the describer's. */
#define CORE_HASH_NONE 0u /* no DTLS */
#define CORE_HASH_SHA256 1u
#define CORE_HASH_SHA384 2u
#define CORE_HASH_SHA512 3u
#define CORE_SETUP_ACTPASS 0u
#define CORE_SETUP_ACTIVE 1u /* the describer begins the handshake */
#define CORE_SETUP_PASSIVE 2u

struct core_dtls {
	uint8_t hash;  /* CORE_HASH_… */
	uint8_t setup; /* CORE_SETUP_… */
	uint8_t fingerprint[64];
};

/* T.38 (ITU-T T.38 Annex D): fax by UDPTL where there was audio. What its describer takes, and how it likes things done. */
#define CORE_T38_PLAIN 0u      /* each packet once */
#define CORE_T38_REDUNDANCY 1u /* with those before it */
#define CORE_T38_FEC 2u        /* with parity of them */

struct core_t38 {
	bool on;                          /* false: it is audio */
	bool fill_bit_removal, mmr, jbig; /* what it can do with the picture on the way */
	bool local_tcf;                   /* training is judged by each side for itself; else it is transferred, the only way over UDP */
	uint8_t version, recovery;        /* recovery: CORE_T38_… */
	uint32_t max_bit_rate, max_buffer, max_datagram; /* 0: not told */
};

/* RFC 7866 6: what becomes of what its describer hears (a=record), and what it would have become of what it says (a=recordpref). */
#define CORE_RECORD_OFF 1u /* 0: not told */
#define CORE_RECORD_ON 2u
#define CORE_RECORD_PAUSED 3u
#define CORE_RECORD_AS_YOU_LIKE 4u /* a=recordpref:nopreference */

#define CORE_SEND 1u
#define CORE_RECV 2u /* directions as the describer sees them: sendonly is CORE_SEND */

struct core_media_desc {
	bool present;          /* there is an audio line that is not refused */
	struct core_addr rtp;  /* address and port; port 0 or 0.0.0.0: nowhere (old-style hold has direction without CORE_RECV) */
	struct core_addr rtcp; /* AF_UNSPEC: rtp's port + 1 */
	bool rtcp_mux;
	bool rtcp_rsize;      /* RFC 5506: RTCP need not be a compound */
	uint8_t xr;           /* CORE_XR_… */
	uint8_t level_id;     /* number of the header extension that tells how loud a packet is (RFC 6464); 0: none */
	bool secure;          /* RTP/SAVP…: without SRTP there is no stream. Else cryptos may be ignored (RFC 8643) */
	uint8_t crypto_count; /* in order of preference; of an answer: one, or none */
	struct core_crypto cryptos[CORE_MOST_CRYPTOS];
	bool tls;      /* UDP/TLS/RTP/…: keys by DTLS and nothing else */
	bool feedback; /* …/AVPF, …/SAVPF (RFC 4585), which is all that browsers take */
	struct core_dtls dtls;
	struct core_ice ice;
	uint8_t direction;              /* CORE_SEND | CORE_RECV */
	uint16_t ptime_ms, maxptime_ms; /* 0: not told */
	uint8_t codec_count;            /* in order of preference; telephone-event and CN among them */
	struct core_codec codecs[CORE_MOST_CODECS];
	struct core_t38 t38;         /* .on: the line is an image's, and has no codecs */
	uint8_t record, record_wish; /* CORE_RECORD_… */
};
