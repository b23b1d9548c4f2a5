/* sip/connection.h - connections of TCP and TLS, those that others have opened and ours. [loop] */
#pragma once
#include "transport.h"
#include <openssl/types.h>

struct ua_connection {
	struct ua_connection *next;                 /* in its bucket */
	struct ua_connection *next_kept, **at_kept; /* of those that flow.c looks after; NULL: it does not */
	tport_t *tport;
	int socket;
	SSL *ssl; /* there until the tport is closed; NULL: TCP */
	bool is_ours, is_closing;
	struct core_addr end;  /* who is there: for the gateway's its client; AF_UNSPEC: it is not connected yet */
	const char *transport; /* one of ua_transport_name() */
	/* flow.c */
	uint64_t ping_at_ms;   /* 0: it is not kept alive */
	uint64_t pinged_at_ms; /* 0: no answer is awaited */
	uint64_t look_at_ms;   /* no sooner has it been silent for too long */
	uint32_t promised_s;   /* how often who is there has been told to send something (Flow-Timer); 0: not at all */
	char account[64];      /* whose registration it was told with */
	/* lingering.c */
	uint64_t opened_at_ms, halved_at_ms; /* halved: Sofia has done with one of its directions; 0: with none */
	bool has_spoken;                     /* a whole message has come */
};

/* The first of those that we have opened, or whose other end has promised to keep them alive; next_kept goes on. Borrowed: any of them may be gone
 * after the callback. */
struct ua_connection *ua_connections_kept(void);
/* An account has registered over a connection and been told to keep it alive. Not for the gateway's: keep-alives of WebSockets end there. */
void ua_connection_promised(const tport_t *tport, const char *account, uint32_t every_s);

/* Whom others have opened: fn decides about each in one part of so many; true: it is closed. For whoever has just been closed nothing is called. */
void ua_connections_close(uint32_t part, uint32_t parts, bool (*fn)(const struct ua_connection *connection));
struct ua_connection *ua_connection_find(const tport_t *tport); /* NULL: a datagram socket, a listener, or one that is over */

/* Puts those that come from a network (pbx/border.h) to the border's guard again, and ends those that it does not want. */
void ua_connections_review(const uint8_t address[16], uint32_t bits);
