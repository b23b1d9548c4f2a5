/* core/request_internal.h - what request.c, request_args.c, request_command.c, request_reply.c and openapi.c know of each other. [loop] */
#pragma once
#include "json_auto.h"
#include "loop.h"
#include "owner.h"
#include "request.h"

/* ---- declared tables (request.c) ------------------------------------------------------ */

struct core_route {
	struct core_route *next;
	struct pbx_host *owner;
	struct pbx_route row; /* as much of the owner's row as we know; the rest is zero */
};

struct core_command {
	struct core_command *next;
	struct pbx_host *owner;
	struct pbx_command row;
};

const struct core_route *core_routes(void); /* newest first: a successor's stand before those of whom it replaces */
const struct core_command *core_commands(void);

#define CORE_PATH_VALUES 8u

/* A route that fits a path, and what stands in the path's places. Points into both. */
struct core_match {
	const struct core_route *route;
	struct {
		const char *name, *value;
		size_t name_length, value_length;
	} values[CORE_PATH_VALUES];
	uint32_t value_count;
	uint64_t literal; /* two bits a segment from the left: 3 literal, 2 with an action, 1 {name} */
};

/* ---- arguments (request_args.c) ------------------------------------------------------- */

/* An argument as the handler reads it. */
struct core_bound {
	const char *name; /* the declarer's text, or owned_name */
	char *owned_name;
	bool given;
	char *text; /* owned; scalars in their canonical form, NULL for the others and for null */
	int64_t integer;
	bool boolean;
	const struct pbx_json *json; /* in the request's body, or owned_json */
	struct pbx_json *owned_json;
};

/* What is wrong with a request: the first fault decides status and detail, errors has them all. */
struct core_problem {
	uint32_t status; /* 0: nothing is wrong */
	char code[48];
	char detail[416];
	struct pbx_json *errors; /* [{pointer, in, code, detail}], owned */
};

#define CORE_ARG_NOT_FOUND UINT32_MAX

/* Rows may be shorter or longer than ours: the overlap is copied, the rest is zero. */
void core_row_copy(const struct pbx_table *table, uint32_t index, void *ret_row, size_t size);
struct pbx_arg core_arg_at(const struct pbx_table *args, uint32_t index);
struct pbx_field core_field_at(const struct pbx_table *fields, uint32_t index);
uint32_t core_arg_find(const struct pbx_table *args, const char *name);
const char *core_arg_type_name(uint32_t type); /* "integer", "text": for people */

/* Notes a fault at an argument. in: "path", "query", "body", "command". */
void core_problem_add(struct core_problem *problem, uint32_t status, const char *code, const char *in, const char *field,
		      const char *format, ...) PBX_PRINTF(6, 7);
/* Checks a value and keeps it in bound. What is wrong is noted in problem; PBX_ENOMEM is the only error returned. */
int core_arg_from_text(struct core_bound *bound, const struct pbx_arg *arg, const char *in, const char *text, struct core_problem *problem);
int core_arg_from_json(struct core_bound *bound, const struct pbx_arg *arg, const struct pbx_json *json, struct core_problem *problem);
void core_bound_fini(struct core_bound *bound);

/* Of the words considered, the one that looks most like text. */
struct core_nearest {
	const char *text;
	uint32_t distance;
	char word[96]; /* "" when nothing is near enough */
};
void core_nearest_consider(struct core_nearest *nearest, const char *word);

/* RFC 3339 ("2026-03-01T08:00:00Z", seconds and fraction optional, no zone: UTC) to microseconds. PBX_OK, PBX_EINVAL. */
int core_time_parse(const char *text, int64_t *ret_wall_us);

/* ---- how an answer to GET is shown (request_view.c) --------------------------------------------------- */

#define CORE_PAGE_ITEMS 50u /* of a page whose limit nobody said */
#define CORE_ETAG_SIZE 40u

struct core_request;

struct core_view {
	uint32_t limit;               /* 0: not asked for */
	char *cursor, *sort, *fields; /* owned; NULL: not asked for */
	bool wants_total;
};

/* Whether this part of a query is ours although the route does not declare it. */
bool core_view_knows(const struct pbx_route *route, const char *name);
/* Keeps it; what is wrong is noted in problem. PBX_OK, PBX_ENOMEM. */
int core_view_take(struct core_view *view, const char *name, const char *value, struct core_problem *problem);
void core_view_fini(struct core_view *view);
/* The answer as it was asked for, owned. NULL: as it is, or problem says why it cannot be. */
struct pbx_json *core_view_apply(const struct core_request *request, const struct pbx_json *json, struct core_problem *problem);
/* Sets ETag (of the whole answer, printed) and Link. False: the asker has that already, 304. */
bool core_view_tell(const struct core_request *request, const struct pbx_json *shown, const char *whole);
bool core_view_refuses_stream(const struct core_request *request);
/* Whether an If-Match or If-None-Match names it. */
bool core_etag_is_listed(const char *list, const char *etag);
/* SHA-256 of all pieces; "" when there is no memory. */
void core_hash_hex(const char *const *pieces, const size_t *sizes, size_t count, char ret_hex[65]);

int core_requests_on_asked(struct pbx_host *host, void (*asked)(void *self, const char *account), void *self); /* of pbx_requests */

/* ---- requests under way (request_reply.c, request_bind.c) --------------------------------------------- */

struct core_request {
	struct core_charge charge; /* first: a request's charge is its request */
	pbx_request handle;
	pbx_timer timer;
	struct pbx_host *owner; /* whose handler answers */
	const struct core_answer_sink *sink;
	void *context;
	char *actor, *own_account, *scopes, *address, *request_id;
	bool is_logged_in, is_audited, is_streaming;
	char *did; /* "POST /calls", "plugin reload" */
	struct core_bound *bound;
	uint32_t bound_count;
	struct pbx_json *body;
	char *raw;
	size_t raw_size;
	char **headers; /* name, value, name, value… */
	uint32_t header_count;
	void (*drained)(void *self, pbx_request request);
	void (*gone)(void *self, pbx_request request);
	void *stream_self;
	pbx_request_fn handle_it; /* the owner's, once it may */
	bool runs;                /* it has been asked */

	/* HTTP: */
	char *path, *query; /* below /api/v1, and what follows the '?'; "" for commands */
	bool is_get;        /* or HEAD */
	struct core_view view;

	/* request_turns.c: changes of one resource come one after the other. */
	struct core_request *next_turn;
	struct core_post_node turn; /* has come */
	bool takes_turn, has_begun, needs_condition;
	char etag[CORE_ETAG_SIZE]; /* of what is there now */

	/* request_once.c: POST with an Idempotency-Key. */
	char *once_key, *once_principal, *once_claim; /* NULL: without one */
	char once_fingerprint[65];
	bool once_is_ours; /* the row of this key waits for our answer */
};

int core_replies_init(void);
void core_replies_fini(void);

struct core_request *core_request_new(const struct core_asker *asker, const struct core_answer_sink *sink, void *context, const char *did);
void core_request_free(struct core_request *request);
AUTO_FREES(core_request)

/* Makes room for count arguments. PBX_OK, PBX_ENOMEM. */
int core_request_reserve(struct core_request *request, uint32_t count);
/* Fills in the arguments of a matched HTTP request; what is wrong with them is noted in problem. PBX_OK, PBX_ENOMEM. */
int core_request_bind(struct core_request *request, const struct core_match *match, const struct core_http_request *http,
		      struct core_problem *problem);
/* What writes is refused while the PBX is being stopped. */
void core_check_draining(const struct core_request *request, uint32_t flags, struct core_problem *problem);
bool core_request_may(const struct core_request *request, const char *scope);

struct core_request *core_request_find(pbx_request request);                              /* NULL: answered, or its asker has gone */
const char *core_request_header_of(const struct core_request *request, const char *name); /* as it was sent; NULL */
bool core_route_exists(const char *method, const char *path);

/* Puts the request on its owner's account; from here on it lives until it is answered, within 30 s. False: refused. */
bool core_request_hold(struct core_request *taken, struct pbx_host *owner, pbx_request_fn handle);
/* Its handler's turn. */
void core_request_go(struct core_request *request);
/* The whole answer; takes the request. location and body may be NULL. */
void core_request_answer(struct core_request *taken, uint32_t status, const char *content_type, const char *location, const char *body,
			 size_t size);

/* request_turns.c: go, when those before it have changed the same path, and If-Match agrees. */
void core_turn_take(struct core_request *request);
void core_turn_over(struct core_request *request); /* it is being freed */

/* request_once.c: go, unless the key was used before. */
void core_once_init(void);
void core_once_fini(void);
void core_once_take(struct core_request *request, const char *key, const struct core_http_request *http);
void core_once_answered(struct core_request *request, uint32_t status, const char *content_type, const char *location, const char *body);
void core_once_forget(struct core_request *request); /* it is being freed */

/* Answers with a problem instead; takes the request and what problem owns. */
void core_request_refuse(struct core_request *taken, struct core_problem *problem);
void core_request_header(const struct core_request *request, const char *name, const char *value);
const char *core_status_title(uint32_t status);
void core_problem_set(struct core_problem *problem, uint32_t status, const char *code, const char *format, ...) PBX_PRINTF(4, 5);
