/* exchange.h - one HTTP request between the thread that reads and writes it and the loop that answers it
 *
 * An exchange has two holders, each with a reference: the HTTP thread, and the loop from the moment it was posted. What was asked is
 * constant. What is answered goes through a small box under a lock: one whole answer, or pieces in a queue of limited size. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pbx/abi.h>

#define EXCHANGE_HEADERS 64u
#define EXCHANGE_QUEUE_BYTES (256u * 1024u) /* of a stream that were not written yet */
#define EXCHANGE_EXTRA_HEADERS 4096u        /* characters of Allow, Retry-After, Link… */
#define EXCHANGE_WHY_SIZE 124u              /* what a WebSocket's last frame has room for, and a zero (RFC 6455 5.5) */

struct api;

struct api_exchange {
	/* What was asked; constant once posted. Owned. */
	struct api *api;
	char *method, *path, *query; /* path as sent, not decoded */
	char *names[EXCHANGE_HEADERS + 1], *values[EXCHANGE_HEADERS + 1];
	uint32_t header_count;
	char *body;
	size_t body_size;
	char address[48], request_id[33];

	/* The loop's. */
	struct api_exchange *next_open, **at_open; /* in api->open while its request runs */
	pbx_request request;
	char token_id[27];
	bool streams;
};

/* One reference, the caller's. NULL: no memory. [any] */
struct api_exchange *exchange_new(void);
struct api_exchange *exchange_ref(struct api_exchange *exchange); /* [any] */
void exchange_unref(struct api_exchange *exchange);               /* [any] */
/* [any] before it is posted; a 65th is dropped. PBX_OK, PBX_ENOMEM */
int exchange_add_header(struct api_exchange *exchange, const char *name, const char *value);
const char *exchange_header(const struct api_exchange *exchange, const char *name); /* NULL: not there */

/* ---- the loop answers; after the HTTP thread has left, or the first answer, nothing happens ---- */

void exchange_set_header(struct api_exchange *exchange, const char *name, const char *value); /* before answer or begin */
void exchange_answer(struct api_exchange *exchange, uint32_t status, const char *content_type, const char *body, size_t size);
void exchange_problem(struct api_exchange *exchange, uint32_t status, const char *code, const char *detail); /* [any] */
void exchange_begin(struct api_exchange *exchange, const char *content_type);
/* PBX_OK; PBX_EBUSY: not taken, the HTTP thread will say drained; PBX_ENOENT: it has left; PBX_ENOMEM: the piece is lost, and so the stream ends
 * before it: the HTTP thread breaks the connection off and says gone. */
int exchange_write(struct api_exchange *exchange, const char *data, size_t size);
void exchange_end(struct api_exchange *exchange); /* of a stream; an exchange without an answer gets 503 */
/* The same of a stream that is a WebSocket, which is told why: a status of RFC 6455 7.4.1 and a few words. The first reason counts; exchange_end
 * alone means that the PBX stops. [any] */
void exchange_end_because(struct api_exchange *exchange, uint32_t status, const char *why);
/* What its client has said, *ret_size octets and a zero; owned, to be freed. NULL: nothing. */
char *exchange_hear(struct api_exchange *exchange, size_t *ret_size);

/* ---- the HTTP thread waits and writes ---- */

/* A look at the answer. Texts are borrowed until the exchange is unreferenced: they do not change once there. */
struct exchange_answer {
	uint32_t status;
	const char *content_type, *headers, *body; /* headers: lines */
	size_t size;
	bool streams;
};
/* PBX_OK, PBX_ETIMEOUT. */
int exchange_wait(struct api_exchange *exchange, uint32_t within_ms, struct exchange_answer *ret_answer);
/* The pieces so far; free *ret_data. *ret_drained: the loop waits to hear of it. PBX_OK; PBX_ENOENT: the stream has ended and all was taken, or we
 * have left it; PBX_ENOMEM: what comes next was lost, the stream is not whole. */
int exchange_take(struct api_exchange *exchange, char **ret_data, size_t *ret_size, bool *ret_drained);
/* A WebSocket's client says something, which is copied; the loop has to be told. Waits until the loop has heard what was said before, so that
 * a client is never more than a message ahead. PBX_OK, PBX_ENOMEM, PBX_ENOENT (the stream has ended, or we have left it). */
int exchange_say(struct api_exchange *exchange, const char *text, size_t size);
/* Why the stream has ended: the status. */
uint32_t exchange_end_reason(struct api_exchange *exchange, char ret_why[EXCHANGE_WHY_SIZE]);
/* We do not care for the answer any more. True: the loop has to be told (it was not complete). */
bool exchange_leave(struct api_exchange *exchange);
