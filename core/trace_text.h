/* core/trace_text.h - what a SIP message says, as far as people and rules ask: first line, parties, SDP. [any]
 *
 * Signalling itself is sip/'s business, with a real parser; this reads text that was captured, of which half may be wrong, and never fails. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct core_sip_sdp {
	bool present, secure;
	char address[64];   /* of the audio, "192.0.2.7" */
	uint16_t port;      /* 0: refused, or not there */
	char codecs[160];   /* "PCMU PCMA G722", without telephone-event and CN */
	char direction[10]; /* "sendrecv"… */
};

struct core_sip_text {
	char line[200];  /* the first */
	char method[16]; /* of the request, or of the one that is answered (CSeq) */
	uint32_t status; /* 0: a request */
	char phrase[80]; /* of the status */
	uint32_t cseq;
	char request_user[64], request_host[80];         /* of the Request-URI */
	char from_user[64], from_host[80], from_tag[64]; /* unescaped as they stand */
	char to_user[64], to_host[80], to_tag[64];
	char call_id[128], agent[96];                 /* User-Agent or Server */
	char reason[128], warning[128], contact[128]; /* first of each */
	char auth_user[64];                           /* whose credentials it carries; "" for none */
	int64_t expires_s;                            /* of the first Contact, else of Expires; -1: not said */
	bool has_credentials, is_challenge, is_stale;
	struct core_sip_sdp sdp;
};

void core_sip_text_read(const char *text, uint32_t size, struct core_sip_text *ret_text);
/* 10/8, 172.16/12, 192.168/16, 100.64/10, 169.254/16, fc00::/7, fe80::/10: nobody outside can send there. Loopback is none of them. */
bool core_address_is_private(const char *address);
