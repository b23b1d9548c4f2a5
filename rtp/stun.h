/* rtp/stun.h - STUN messages (RFC 8489): binding requests and their answers, as ICE uses them (RFC 8445 16) and as servers give them (RFC 5780).
 * [any]; keys are made on [loop].
 *
 * Nothing here allocates but a key. What is read points into the datagram. */
#pragma once
#include <core/media_desc.h>
#include <stddef.h>

#define RTP_STUN_ID_BYTES 12u
#define RTP_STUN_MOST_BYTES 400u /* of a message of ours */

#define RTP_STUN_REQUEST 0x0001u
#define RTP_STUN_INDICATION 0x0011u
#define RTP_STUN_SUCCESS 0x0101u
#define RTP_STUN_ERROR 0x0111u

#define RTP_STUN_BAD_REQUEST 400u
#define RTP_STUN_UNKNOWN_ATTRIBUTE 420u
#define RTP_STUN_ROLE_CONFLICT 487u

/* What proves that a message is from who knows a password: HMAC-SHA1, set up once. */
struct rtp_stun_key;
struct rtp_stun_key *rtp_stun_key_new(const char *password); /* NULL: no memory */
void rtp_stun_key_free(struct rtp_stun_key *key);            /* NULL is fine */

struct rtp_stun {
	uint16_t type;
	const uint8_t *data, *id;
	const char *username; /* not terminated; NULL: none */
	size_t username_bytes;
	size_t integrity_at; /* where MESSAGE-INTEGRITY begins; 0: none */
	uint32_t priority;   /* 0: none */
	bool use_candidate, says_controlling, says_controlled;
	uint64_t tie_breaker;
	uint16_t error;          /* of an error response; 0: none */
	uint16_t unknown;        /* the first attribute that must be understood and is not; 0: none */
	struct core_addr mapped; /* AF_UNSPEC: none, as below */
	struct core_addr plain;  /* MAPPED-ADDRESS, of servers from before RFC 5389 */
	struct core_addr other;  /* OTHER-ADDRESS: where else the server may be asked (RFC 5780 7.4) */
	size_t fingerprint_at;   /* 0: none */
};

/* False: no STUN message with the magic cookie, whole attributes and a right FINGERPRINT. What follows MESSAGE-INTEGRITY is not looked at. */
bool rtp_stun_parse(const uint8_t *data, size_t size, struct rtp_stun *ret_message);
/* The same of what a server says, where a FINGERPRINT may be missing; one that is there must be right. */
bool rtp_stun_parse_plain(const uint8_t *data, size_t size, struct rtp_stun *ret_message);
bool rtp_stun_is_authentic(const struct rtp_stun *message, struct rtp_stun_key *key);

/* Written from begin to finish; what does not fit makes finish return 0. */
struct rtp_stun_text {
	uint8_t data[RTP_STUN_MOST_BYTES];
	size_t used;
	bool full;
};

void rtp_stun_begin(struct rtp_stun_text *text, uint16_t type, const uint8_t id[RTP_STUN_ID_BYTES]);
void rtp_stun_add_username(struct rtp_stun_text *text, const char *theirs, const char *ours); /* "theirs:ours" */
void rtp_stun_add_priority(struct rtp_stun_text *text, uint32_t priority);
void rtp_stun_add_use_candidate(struct rtp_stun_text *text);
void rtp_stun_add_role(struct rtp_stun_text *text, bool controlling, uint64_t tie_breaker);
void rtp_stun_add_mapped(struct rtp_stun_text *text, const struct core_addr *addr);
void rtp_stun_add_error(struct rtp_stun_text *text, uint16_t code, uint16_t unknown); /* unknown: the attribute of a 420 */
#define RTP_STUN_CHANGE_PORT 2u
#define RTP_STUN_CHANGE_ADDRESS 4u
void rtp_stun_add_change(struct rtp_stun_text *text, uint32_t what); /* from where the answer is wanted (RFC 5780 7.2) */
/* MESSAGE-INTEGRITY and FINGERPRINT. Octets of the message; 0: it did not fit. */
size_t rtp_stun_finish(struct rtp_stun_text *text, struct rtp_stun_key *key);
size_t rtp_stun_finish_plain(struct rtp_stun_text *text); /* FINGERPRINT alone: for who has no password with the other */
