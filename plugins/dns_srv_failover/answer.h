/* dns_srv_failover/answer.h - a DNS answer as it came over the wire (RFC 1035 4), read without trusting it. Knows no other file of the plugin.
 *
 * c-ares 1.18 hands out addresses with their time to live, but SRV and NAPTR records without; so all are read here. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_NAME 256u         /* of a name as text, with its zero */
#define DNS_MOST_RECORDS 64u  /* of one answer that are kept */
#define DNS_MOST_HOPS 8u      /* aliases that are followed */
#define DNS_NAPTR_SERVICE 48u /* "SIPS+D2T", "E2U+VOICE:TEL+SIP" */
#define DNS_NAPTR_REGEXP 128u /* longer ones read as "" and the record is spoilt for ENUM */

#define DNS_A 1u
#define DNS_CNAME 5u
#define DNS_SOA 6u
#define DNS_AAAA 28u
#define DNS_SRV 33u
#define DNS_NAPTR 35u

struct dns_record {
	uint16_t priority, weight, port; /* SRV; NAPTR: order is priority, preference weight */
	uint8_t address[16];             /* A: the first four */
	char name[DNS_NAME];             /* SRV: target, NAPTR: replacement; "" for the root, which means there is none */
	char service[DNS_NAPTR_SERVICE]; /* NAPTR, in capitals */
	char regexp[DNS_NAPTR_REGEXP];   /* NAPTR, as it came: "!^.*$!sip:info@example.net!" */
	char flag;                       /* NAPTR: 's', 'a', 'u', another, 0 for none */
};

#define DNS_FOUND 0u   /* at least one record */
#define DNS_NOTHING 1u /* no such name, or nothing of that type; ttl_s says how long (RFC 2308 5) */
#define DNS_FAILED 2u  /* the server could not or would not say */
#define DNS_BROKEN 3u  /* not an answer */

struct dns_answer {
	uint32_t outcome; /* DNS_… */
	uint32_t ttl_s;   /* the shortest on the way, with aliases */
	uint32_t count;
	struct dns_record records[DNS_MOST_RECORDS];
};

/* Reads the answer to a question for name (lower case, no dot at its end) and type: A, AAAA, SRV or NAPTR. Records that nobody asked for
 * are passed over, and those with names that no host can have. */
void dns_answer_read(const uint8_t *bytes, size_t size, const char *name, uint16_t type, struct dns_answer *ret_answer);

/* A host's name: letters, digits, - and _ in labels of 1 to 63, at most 253 in all. ret_name gets it in lower case without a dot at the end. */
bool dns_name_check(const char *text, char ret_name[DNS_NAME]);
