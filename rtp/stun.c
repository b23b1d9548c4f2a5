/*
 * stun - the messages that find a way and keep it
 *
 * libnice has a STUN library that would do, but it exports stun_message_length() as Sofia-SIP does: in one process the first of them wins, and
 * libnice then writes messages of no length. libre's is bound to its own loop. So the few attributes of ICE are read and written here; the
 * HMAC is OpenSSL's, the checksum zlib's.
 */
#include "stun.h"
#include "octets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define HEADER_BYTES 20u
#define COOKIE 0x2112a442u
#define FINGERPRINT_XOR 0x5354554eu
#define HMAC_BYTES 20u

#define MAPPED_ADDRESS 0x0001u
#define CHANGE_REQUEST 0x0003u
#define USERNAME 0x0006u
#define MESSAGE_INTEGRITY 0x0008u
#define ERROR_CODE 0x0009u
#define UNKNOWN_ATTRIBUTES 0x000au
#define XOR_MAPPED_ADDRESS 0x0020u
#define PRIORITY 0x0024u
#define USE_CANDIDATE 0x0025u
#define FINGERPRINT 0x8028u
#define ICE_CONTROLLED 0x8029u
#define ICE_CONTROLLING 0x802au
#define OTHER_ADDRESS 0x802cu
#define OPTIONAL 0x8000u /* attributes from here on may be passed over */

struct rtp_stun_key {
	EVP_MAC_CTX *context;
};

/* ---- keys ---- */

struct rtp_stun_key *rtp_stun_key_new(const char *password)
{
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA1", 0),
				      OSSL_PARAM_construct_end() };
	struct rtp_stun_key *key = calloc(1, sizeof *key);
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	if (key && mac)
		key->context = EVP_MAC_CTX_new(mac); /* holds mac */
	EVP_MAC_free(mac);
	if (!key || !key->context || EVP_MAC_init(key->context, (const uint8_t *)password, strlen(password), params) != 1) {
		rtp_stun_key_free(key);
		return NULL;
	}
	return key;
}

void rtp_stun_key_free(struct rtp_stun_key *key)
{
	if (!key)
		return;
	EVP_MAC_CTX_free(key->context);
	free(key);
}

/* Of the message up to MESSAGE-INTEGRITY, with a length that ends behind it (RFC 8489 14.5). */
static bool hmac(struct rtp_stun_key *key, const uint8_t *data, size_t integrity_at, uint8_t ret_hmac[HMAC_BYTES])
{
	uint8_t head[HEADER_BYTES];
	size_t bytes = 0;

	memcpy(head, data, sizeof head);
	rtp_put16(head + 2, (uint16_t)(integrity_at + 4 + HMAC_BYTES - HEADER_BYTES));
	return EVP_MAC_init(key->context, NULL, 0, NULL) == 1 && EVP_MAC_update(key->context, head, sizeof head) == 1 &&
	       EVP_MAC_update(key->context, data + HEADER_BYTES, integrity_at - HEADER_BYTES) == 1 &&
	       EVP_MAC_final(key->context, ret_hmac, &bytes, HMAC_BYTES) == 1;
}

/* ---- reading ---- */

/* mask: what it is XORed with, cookie and then id; zeros for an address that stands there as it is. */
static void read_address(const uint8_t mask[16], const uint8_t *value, size_t bytes, struct core_addr *ret_addr)
{
	struct core_addr addr;

	memset(&addr, 0, sizeof addr);
	if (bytes == 8 && value[1] == 1) {
		addr.in4.sin_family = AF_INET;
		addr.in4.sin_addr.s_addr = htonl(rtp_get32(value + 4) ^ rtp_get32(mask));
	} else if (bytes == 20 && value[1] == 2) {
		addr.in6.sin6_family = AF_INET6;
		for (size_t i = 0; i < 16; i++)
			addr.in6.sin6_addr.s6_addr[i] = value[4 + i] ^ mask[i];
	} else {
		return;
	}
	addr.in4.sin_port = htons(rtp_get16(value + 2) ^ rtp_get16(mask)); /* the same place in both families */
	*ret_addr = addr;
}

static void read_attribute(struct rtp_stun *message, uint16_t type, const uint8_t *value, size_t bytes)
{
	static const uint8_t unmasked[16];

	switch (type) {
	case USERNAME:
		message->username = (const char *)value;
		message->username_bytes = bytes;
		break;
	case PRIORITY:
		message->priority = bytes == 4 ? rtp_get32(value) : 0;
		break;
	case USE_CANDIDATE:
		message->use_candidate = true;
		break;
	case ICE_CONTROLLING:
	case ICE_CONTROLLED:
		if (bytes != 8)
			break;
		message->says_controlling = type == ICE_CONTROLLING;
		message->says_controlled = type == ICE_CONTROLLED;
		message->tie_breaker = (uint64_t)rtp_get32(value) << 32 | rtp_get32(value + 4);
		break;
	case XOR_MAPPED_ADDRESS:
		read_address(message->data + 4, value, bytes, &message->mapped);
		break;
	case MAPPED_ADDRESS:
		read_address(unmasked, value, bytes, &message->plain);
		break;
	case OTHER_ADDRESS:
		read_address(unmasked, value, bytes, &message->other);
		break;
	case ERROR_CODE:
		message->error = bytes >= 4 ? (uint16_t)((value[2] & 7) * 100 + value[3]) : 0;
		break;
	case UNKNOWN_ATTRIBUTES:
		break;
	default:
		if (type < OPTIONAL && message->unknown == 0)
			message->unknown = type;
		break;
	}
}

/* Attributes one after the other, up to the integrity. False: one of them does not fit. */
static bool read_attributes(struct rtp_stun *message, const uint8_t *data, size_t size)
{
	size_t at = HEADER_BYTES;

	while (at < size) {
		if (size - at < 4)
			return false;
		uint16_t type = rtp_get16(data + at);
		size_t bytes = rtp_get16(data + at + 2), padded = (bytes + 3) & ~(size_t)3;

		if (padded > size - at - 4)
			return false;
		if (type == MESSAGE_INTEGRITY && message->integrity_at == 0 && bytes == HMAC_BYTES)
			message->integrity_at = at;
		else if (type == FINGERPRINT && message->fingerprint_at == 0)
			message->fingerprint_at = at;
		else if (type != FINGERPRINT && message->integrity_at == 0)
			read_attribute(message, type, data + at + 4, bytes);
		at += 4 + padded;
	}
	return true;
}

/* The last attribute, over all before it (RFC 8489 14.7). */
static bool has_fingerprint(const uint8_t *data, size_t size)
{
	const uint8_t *last = data + size - 8;

	return size >= HEADER_BYTES + 8 && rtp_get16(last) == FINGERPRINT && rtp_get16(last + 2) == 4 &&
	       rtp_get32(last + 4) == ((uint32_t)crc32(0, data, (uInt)(size - 8)) ^ FINGERPRINT_XOR);
}

static bool has_header(const uint8_t *data, size_t size)
{
	return size >= HEADER_BYTES && data[0] <= 3 && rtp_get16(data + 2) == size - HEADER_BYTES && size % 4 == 0 &&
	       rtp_get32(data + 4) == COOKIE;
}

static bool read_message(const uint8_t *data, size_t size, struct rtp_stun *ret_message)
{
	struct rtp_stun message = { .type = rtp_get16(data), .data = data, .id = data + 8 };

	if (!read_attributes(&message, data, size))
		return false;
	*ret_message = message;
	return true;
}

bool rtp_stun_parse(const uint8_t *data, size_t size, struct rtp_stun *ret_message)
{
	return has_header(data, size) && has_fingerprint(data, size) && read_message(data, size, ret_message);
}

bool rtp_stun_parse_plain(const uint8_t *data, size_t size, struct rtp_stun *ret_message)
{
	struct rtp_stun message;

	if (!has_header(data, size) || !read_message(data, size, &message) || (message.fingerprint_at && !has_fingerprint(data, size)))
		return false;
	*ret_message = message;
	return true;
}

bool rtp_stun_is_authentic(const struct rtp_stun *message, struct rtp_stun_key *key)
{
	uint8_t expected[HMAC_BYTES];

	return message->integrity_at != 0 && hmac(key, message->data, message->integrity_at, expected) &&
	       CRYPTO_memcmp(expected, message->data + message->integrity_at + 4, sizeof expected) == 0;
}

/* ---- writing ---- */

/* Room for an attribute's value, padded with zeros; NULL: the message is full. */
static uint8_t *add(struct rtp_stun_text *text, uint16_t type, size_t bytes)
{
	size_t padded = (bytes + 3) & ~(size_t)3;
	uint8_t *at = text->data + text->used;

	if (text->full || text->used + 4 + padded > sizeof text->data) {
		text->full = true;
		return NULL;
	}
	rtp_put16(at, type);
	rtp_put16(at + 2, (uint16_t)bytes);
	memset(at + 4, 0, padded);
	text->used += 4 + padded;
	rtp_put16(text->data + 2, (uint16_t)(text->used - HEADER_BYTES));
	return at + 4;
}

void rtp_stun_begin(struct rtp_stun_text *text, uint16_t type, const uint8_t id[RTP_STUN_ID_BYTES])
{
	rtp_put16(text->data, type);
	rtp_put16(text->data + 2, 0);
	rtp_put32(text->data + 4, COOKIE);
	memcpy(text->data + 8, id, RTP_STUN_ID_BYTES);
	text->used = HEADER_BYTES;
	text->full = false;
}

void rtp_stun_add_username(struct rtp_stun_text *text, const char *theirs, const char *ours)
{
	size_t first = strlen(theirs), second = strlen(ours);
	uint8_t *value = add(text, USERNAME, first + 1 + second);

	if (!value)
		return;
	memcpy(value, theirs, first);
	value[first] = ':';
	memcpy(value + first + 1, ours, second);
}

void rtp_stun_add_priority(struct rtp_stun_text *text, uint32_t priority)
{
	uint8_t *value = add(text, PRIORITY, 4);

	if (value)
		rtp_put32(value, priority);
}

void rtp_stun_add_use_candidate(struct rtp_stun_text *text)
{
	(void)add(text, USE_CANDIDATE, 0); /* it has no value; full is told at the end */
}

void rtp_stun_add_role(struct rtp_stun_text *text, bool controlling, uint64_t tie_breaker)
{
	uint8_t *value = add(text, controlling ? ICE_CONTROLLING : ICE_CONTROLLED, 8);

	if (!value)
		return;
	rtp_put32(value, (uint32_t)(tie_breaker >> 32));
	rtp_put32(value + 4, (uint32_t)tie_breaker);
}

void rtp_stun_add_mapped(struct rtp_stun_text *text, const struct core_addr *addr)
{
	bool is6 = addr->sa.sa_family == AF_INET6;
	uint8_t *value = add(text, XOR_MAPPED_ADDRESS, is6 ? 20 : 8);

	if (!value)
		return;
	value[1] = is6 ? 2 : 1;
	rtp_put16(value + 2, ntohs(addr->in4.sin_port) ^ (uint16_t)(COOKIE >> 16));
	if (!is6)
		rtp_put32(value + 4, ntohl(addr->in4.sin_addr.s_addr) ^ COOKIE);
	for (size_t i = 0; is6 && i < 16; i++)
		value[4 + i] = addr->in6.sin6_addr.s6_addr[i] ^ text->data[4 + i];
}

void rtp_stun_add_error(struct rtp_stun_text *text, uint16_t code, uint16_t unknown)
{
	uint8_t *value = add(text, ERROR_CODE, 4);

	if (value) {
		value[2] = (uint8_t)(code / 100);
		value[3] = (uint8_t)(code % 100);
	}
	if (unknown && (value = add(text, UNKNOWN_ATTRIBUTES, 2)))
		rtp_put16(value, unknown);
}

void rtp_stun_add_change(struct rtp_stun_text *text, uint32_t what)
{
	uint8_t *value = add(text, CHANGE_REQUEST, 4);

	if (value)
		rtp_put32(value, what);
}

size_t rtp_stun_finish_plain(struct rtp_stun_text *text)
{
	uint8_t *value = add(text, FINGERPRINT, 4);

	if (!value)
		return 0;
	rtp_put32(value, (uint32_t)crc32(0, text->data, (uInt)(text->used - 8)) ^ FINGERPRINT_XOR);
	return text->used;
}

size_t rtp_stun_finish(struct rtp_stun_text *text, struct rtp_stun_key *key)
{
	size_t integrity_at = text->used;
	uint8_t *value = add(text, MESSAGE_INTEGRITY, HMAC_BYTES);

	if (!value || !hmac(key, text->data, integrity_at, value))
		return 0;
	return rtp_stun_finish_plain(text);
}
