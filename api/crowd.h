/* crowd.h - who of those that connect gets one of CivetWeb's threads, and for how long; see crowd.c */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include <civetweb.h>

/* What somebody who has a thread does with it. */
enum crowd_phase {
	CROWD_GREETS, /* shakes hands, or has begun the head of a first request */
	CROWD_SENDS,  /* a body */
	CROWD_SERVED, /* we work for them, or they are a WebSocket, of which there is a limit of its own */
	CROWD_RESTS,  /* between two requests */
};

struct crowd_counts {
	uint32_t threads, waiting; /* threads in use; connections that wait for one */
	uint64_t sent_away;        /* who had to give up a thread, or a place to wait */
};

struct crowd;

/* NULL: no memory, or no descriptors. [any] */
struct crowd *crowd_new(uint32_t threads, bool tls);
/* Once CivetWeb's threads have ended. Accepts NULL. [any] */
void crowd_free(struct crowd *crowd);
/* The calling thread, CivetWeb's master, hears from here on who is to be served. [http] */
void crowd_receive(struct crowd *crowd);
/* What a connection does from now on. [http] */
void crowd_tell(struct crowd *crowd, const struct mg_connection *connection, enum crowd_phase phase);
/* It has to go: its thread finds the end of the connection. [any] */
void crowd_dismiss(struct crowd *crowd, const struct mg_connection *connection);
/* Its socket, to look at while it has not ended; -1: it has. [any] */
int crowd_socket(struct crowd *crowd, const struct mg_connection *connection);
/* A connection ends: its thread is for another. Its socket is still open. [http] */
void crowd_leave(struct crowd *crowd, const struct mg_connection *connection);
void crowd_count(struct crowd *crowd, struct crowd_counts *ret_counts); /* [any] */
