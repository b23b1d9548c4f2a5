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
	char sip_origins[1024]; /* separated by blanks */
	uint32_t most_sip_clients, sip_greeting_s;
	uint32_t sip_clients;             /* under the lock */
	struct sip_client *sip_strangers; /* likewise: those of them that have not registered or called yet */
	struct sockaddr_in address;       /* where it listens */
	pthread_mutex_t lock;
	struct visit *visits; /* under the lock */
	bool stopping;        /* under the lock */
};

/* One request, on its connection's thread: CivetWeb's handler; context is the server. [http] */
int api_gateway_serve(struct mg_connection *connection, void *context);
