/* api.h - what the files of the gateway know of each other
 *
 * server.c       CivetWeb: where it listens, its certificate, start and stop
 * websocket.c    what our WebSockets share; websocket_frames.c the part of it that is pure text
 * sip_door.c     SIP over WebSocket; sip_frames.c what its messages need on the way
 * event_door.c   the stream of events as a WebSocket; event_wish.c what its clients may say
 * gateway.c      reading requests, writing answers [http]; gateway.h  what the two share
 * exchange.c     one request between an HTTP thread and the loop, the only place where the two meet
 * dispatch.c     a request's way on the loop: limits, who asks, core/request.h
 * health.c       /healthz, /readyz, /metrics, the API document
 * events.c       the events of the bus as a stream: SSE, or a WebSocket's frames
 * limits.c       how often somebody may try;  lockouts.c  failed log-ins outlive a restart
 * tokens.c       bearer tokens;  login.c  log-in, password;  users.c  people who may use the API
 * api.c          settings, tables, start and stop
 *
 * All of it: [loop], unless a comment says otherwise. */
#pragma once
#include <pbx/requests.h>
#include <pbx/secrets.h>
#include <pbx/store.h>
#include <pbx/timers.h>
#include <pbx/bus.h>

#include "auto.h"
#include "json.h"

#define API_BASE "/api/v1"
#define API_NAME_MOST 64u     /* characters of a user's name */
#define API_PASSWORD_LEAST 10 /* characters */
#define API_PASSWORD_MOST 256
#define API_SCOPES_MOST 1024u
#define API_TOKEN_SIZE 48u /* "pbx_", 43 characters, a zero */

struct api_settings {
	const char *listen, *certificate, *key, *static_dir;
	bool plain_http, require_if_match;
	uint32_t threads, sip_clients, sip_greeting_s, max_body_bytes, max_json_bytes, requests_per_minute, requests_burst, session_s;
	struct pbx_list user_scopes, sip_origins, event_origins;
};

struct api {
	PBX_INSTANCE(struct api_settings);
	const struct pbx_requests *requests;
	const struct pbx_secrets *secrets;
	const struct pbx_store *store;
	const struct pbx_bus *bus;
	const struct pbx_timers *timers;
	char *data_dir;            /* server.data_dir */
	struct api_server *server; /* gateway.h */
	char listening[72];        /* "127.0.0.1:9000", with the port that port 0 has become */
	struct api_exchange *open; /* those whose request runs; dispatch.c */
	struct api_limits *limits;
	struct api_stream *streams; /* events.c */
	uint32_t stream_count;
	pbx_timer review; /* while there are streams; dispatch.c */
	bool reviews;
	bool users_ready;                /* the first user has been made, or was there */
	void (*on_ready)(void *context); /* who waits for that: parts.h, api_when_ready(); NULL: nobody, or told */
	void *on_ready_context;
};

/* ---- the server (server.c) -------------------------------------------------------------- */

/* Whether the settings can be served. PBX_OK, or PBX_EINVAL and diag. */
int api_server_check(const struct api_settings *settings, struct pbx_diag *diag);
/* PBX_OK, PBX_ENOMEM, PBX_EIO; diag tells why. */
int api_server_start(struct api *api, struct pbx_diag *diag);
/* How many are connected. */
struct crowd_counts;
void api_server_count(const struct api *api, struct crowd_counts *ret_counts);
/* Answers 503 to whoever waits; the HTTP threads end without us, in the pool. */
void api_server_stop(struct api *api);

/* ---- limits (limits.c) ------------------------------------------------------------------ */

struct api_limits *api_limits_new(void);
void api_limits_free(struct api_limits *limits);
/* One request of a bucket that fills with per_minute and holds burst. False: wait for *ret_wait_s. */
bool api_limits_take(struct api_limits *limits, const char *key, uint64_t now_ms, uint32_t per_minute, uint32_t burst,
		     uint32_t *ret_wait_s);
/* What is left in a bucket, and how long it takes to fill. Nothing was taken yet: it is full. */
void api_limits_left(const struct api_limits *limits, const char *key, uint32_t per_minute, uint32_t burst, uint32_t *ret_left,
		     uint32_t *ret_full_in_s);
/* Counts a try to log in before it is judged. False: too many have failed, *ret_wait_s until the next may be made. */
bool api_limits_try_login(struct api_limits *limits, const char *address, const char *user, uint64_t now_ms, uint32_t *ret_wait_s);
/* The try was right: what this user failed from this address is forgotten. */
void api_limits_logged_in(struct api_limits *limits, const char *address, const char *user);

/* The counts that concern an address and a user: the pair's, the address's, the user's. */
#define API_TRIES_KINDS 3u
#define API_TRIES_WITHIN_MS (5u * 60 * 1000)
#define API_KEY_SIZE 128u
struct api_tries {
	char key[API_KEY_SIZE];
	uint32_t tries;
	uint64_t since_ms, locked_until_ms; /* 0: not locked */
};
void api_limits_tries(const struct api_limits *limits, const char *address, const char *user, struct api_tries ret_tries[API_TRIES_KINDS]);
void api_limits_restore(struct api_limits *limits, const struct api_tries *tries);

/* lockouts.c: api_limits_try_login and api_limits_logged_in, kept in the store. */
bool api_lockouts_try(struct api *api, const char *address, const char *user, uint32_t *ret_wait_s);
void api_lockouts_logged_in(struct api *api, const char *address, const char *user);
void api_lockouts_load(struct api *api); /* then api_first_user() */

/* ---- tokens (tokens.c) ------------------------------------------------------------------ */

/* Whom a token stands for. Borrowed. */
struct api_bearer {
	const char *token_id, *user, *account, *scopes; /* user or account is "" */
};
typedef void (*api_bearer_fn)(void *context, int result, const struct api_bearer *bearer);
/* Finds who a token belongs to; done(context, PBX_OK, bearer), PBX_ENOENT (unknown, expired, its owner has gone) or PBX_EIO. It may be
 * called before this returns. */
void api_token_find(struct api *api, const char *token, api_bearer_fn done, void *context);
/* The same by the token's id: is it still good? */
void api_token_look(struct api *api, const char *token_id, api_bearer_fn done, void *context);

struct api_token_wish {
	const char *kind, *name, *user, *account, *scopes;
	uint32_t life_s; /* 0: for ever */
};
/* Answers request with the new token: {token, id, expires_at, scopes, must_change}, 200 for a session, else 201. */
void api_token_issue(struct api *api, pbx_request request, const struct api_token_wish *wish, bool must_change);
/* The token a request came with, as its hash. False: it came without. */
bool api_token_hash_of(const struct api *api, pbx_request request, char ret_hash[65]);
/* A list of scopes as asked for ("admin" is all) to one text. PBX_OK, PBX_EINVAL (not a scope), PBX_EPERM (asker has not got it), PBX_ENOSPC; answered then. */
int api_scopes_read(const struct api *api, pbx_request request, const struct pbx_json *list, const char *text,
		    char ret_scopes[API_SCOPES_MOST]);
int api_tokens_start(struct api *api);

/* ---- users (users.c, login.c) ----------------------------------------------------------- */

#define API_ONE_TIME_LENGTH 20u

/* Hashes and stores a user's password and ends the user's sessions; done(context, PBX_OK), PBX_ENOENT (no such user), PBX_EIO. */
void api_password_set(struct api *api, const char *user, const char *password, bool must_change, void (*done)(void *context, int result),
		      void *context);
/* Makes "admin" with a one-time password when there is no user yet; api_users_ready() follows, whatever comes of it. */
void api_first_user(struct api *api);
void api_users_ready(struct api *api);              /* from here on people can log in */
void api_first_login_forget(const struct api *api); /* the file with the one-time password has served */

/* ---- answering (dispatch.c) ------------------------------------------------------------- */

struct api_exchange;
/* A new request, from its HTTP thread by core_post. Takes a reference. */
void api_dispatch(void *api, void *exchange);
/* Its HTTP thread has left. */
void api_dispatch_gone(void *api, void *exchange);
/* Its HTTP thread has written what it had. */
void api_dispatch_drained(void *api, void *exchange);
void api_dispatch_stop(struct api *api);
/* Ends the streams that were begun with this token. */
void api_dispatch_revoke(struct api *api, const char *token_id);
/* Asks the store whose streams may go on: those end whose token has expired, was revoked elsewhere, or has lost its owner. */
void api_dispatch_review(struct api *api);
/* The client of a WebSocket has said something, from its HTTP thread by core_post. Takes a reference. */
void api_dispatch_said(void *api, void *exchange);
/* Before a stream's handler ends it: what a WebSocket's client is told, exchange_end_because(). */
void api_end_because(const struct api *api, pbx_request request, uint32_t status, const char *why);
/* As pbx_requests.fail, with Retry-After. */
void api_fail_later(struct api *api, pbx_request request, uint32_t status, const char *code, uint32_t wait_s, const char *text);
/* The address a request came from. */
const char *api_address_of(const struct api *api, pbx_request request);

void api_health(struct api_exchange *exchange);
void api_ready(struct api *api, struct api_exchange *exchange);

/* ---- tables ----------------------------------------------------------------------------- */

void api_on_metrics(void *self, pbx_request request);
void api_on_openapi(void *self, pbx_request request);
void api_on_events(void *self, pbx_request request);
/* The client of an event stream that is a WebSocket wishes something. 0, or a status of RFC 6455 7.4.1 to end it with, and *ret_why. */
uint32_t api_events_wish(const struct api *api, pbx_request request, const char *text, size_t size, const char **ret_why);
void api_on_login(void *self, pbx_request request);
void api_on_logout(void *self, pbx_request request);
void api_on_me(void *self, pbx_request request);
void api_on_password(void *self, pbx_request request);
void api_on_tokens(void *self, pbx_request request);
void api_on_token_create(void *self, pbx_request request);
void api_on_token_revoke(void *self, pbx_request request);
void api_on_users(void *self, pbx_request request);
void api_on_user(void *self, pbx_request request);
void api_on_user_add(void *self, pbx_request request);
void api_on_user_change(void *self, pbx_request request);
void api_on_user_remove(void *self, pbx_request request);
void api_on_user_passwd(void *self, pbx_request request);
