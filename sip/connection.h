/* sip/connection.h - connections of TCP and TLS, those that others have opened and ours. [loop] */
#pragma once
#include "transport.h"
#include <openssl/types.h>

struct ua_connection {
	struct ua_connection *next;      /* in its bucket */
	struct ua_connection *next_ours; /* of those that we have opened */
	tport_t *tport;
	int socket;
	SSL *ssl; /* there until the tport is closed; NULL: TCP */
	bool is_ours;
	struct core_addr end;  /* who is there: for the gateway's its client; AF_UNSPEC: it is not connected yet */
	const char *transport; /* one of ua_transport_name() */
	/* flow.c */
	uint64_t ping_at_ms;   /* 0: it is not kept alive */
	uint64_t pinged_at_ms; /* 0: no answer is awaited */
};

/* The first of those that we have opened; next_ours goes on. Borrowed: any of them may be gone after the callback. */
struct ua_connection *ua_connections_ours(void);

/* Puts those that come from a network (pbx/border.h) to the border's guard again, and ends those that it does not want. */
void ua_connections_review(const uint8_t address[16], uint32_t bits);
