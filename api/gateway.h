/* gateway.h - what the server (server.c) and the threads of its requests (gateway.c) know of each other */
#pragma once
#include <netinet/in.h>
#include <pthread.h>

#include <civetweb.h>

#include "api.h"
#include "crowd.h"
#include "exchange.h"

#define READ_TIMEOUT_MS 10000u /* for a request's head, and for each further piece of its body */

/* A request that an HTTP thread waits for. On its stack. */
struct visit {
	struct api_exchange *exchange;
	struct visit *next, **at;
};

struct api_server {
	struct api *api;
	struct mg_context *civetweb;
	struct crowd *crowd;
	const char *shims[2]; /* holds on to the objects that CivetWeb will look for */
	pthread_t starter;    /* the loop's thread, */
	struct pbx_diag diag; /* and what went wrong while it started us */
	uint32_t max_body_bytes;
	bool serves_files;
	char sip_origins[1024], event_origins[1024]; /* separated by blanks */
	uint32_t most_sip_clients, sip_greeting_s;
	uint32_t sip_clients;             /* under the lock */
	struct sip_client *sip_strangers; /* likewise: those of them that have not registered or called yet */
	struct sockaddr_in address;       /* where it listens */
	pthread_mutex_t lock;
	pthread_cond_t parted; /* a visit has ended */
	struct visit *visits;  /* under the lock */
	bool stopping;         /* under the lock */
};

/* What was asked, with one reference, the caller's. websocket: NULL, or what it brings as Authorization besides its headers, "" for nothing;
 * handlers find one as the header ":websocket". NULL: no memory. [http] */
struct api_exchange *api_gateway_read(const struct api_server *server, const struct mg_request_info *info, const char *websocket);
/* Has fn run on the loop with the api and a reference; a server that is being stopped ends the exchange instead. [http] */
void api_gateway_tell(struct api_server *server, void (*fn)(void *api, void *exchange), struct api_exchange *exchange);
/* Waits for the answer; when the loop hangs, that is the answer. [http] */
void api_gateway_await(struct api_exchange *exchange, struct exchange_answer *ret_answer);
/* Puts the visit where a stop finds it. False: we are being stopped. [http] */
bool api_gateway_begin(struct api_server *server, struct visit *visit);
void api_gateway_end(struct api_server *server, struct visit *visit); /* [http] */
/* One request, on its connection's thread: CivetWeb's handler; context is the server. [http] */
int api_gateway_serve(struct mg_connection *connection, void *context);
