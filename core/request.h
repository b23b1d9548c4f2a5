/* core/request.h - the tables of routes and commands, and the requests that run through them; serves "pbx.requests/1".
 *
 * The gateway (api/) and the control socket bring requests; handlers of any owner answer. All of it: [loop]. */
#pragma once
#include <pbx/requests.h>

int core_requests_init(void);
void core_requests_fini(void);
/* The host calls these with each descriptor's tables. PBX_OK, PBX_EEXIST (route or command is taken: the log names both). */
/* All or none. PBX_OK, PBX_EINVAL, PBX_EEXIST (diag names who has it), PBX_ENOMEM. */
int core_requests_declare(struct pbx_host *owner, const struct pbx_table *routes, const struct pbx_table *commands, struct pbx_diag *diag);
void core_requests_undeclare(struct pbx_host *owner);

/* Who asks. Copied. */
struct core_asker {
	const char *actor, *own_account; /* "" for none */
	const char *scopes;              /* separated by spaces; "*" for all; NULL: not logged in */
	const char *address;             /* "192.0.2.7" or "local" */
	const char *request_id;
};

/* How an answer gets back. Each is called on the loop. body is borrowed JSON text or raw bytes. */
struct core_answer_sink {
	/* The whole answer. location may be NULL. */
	void (*answer)(void *context, uint32_t status, const char *content_type, const char *location, const char *body, size_t size);
	/* A long one. write: PBX_OK, PBX_EBUSY (call core_request_drained later). */
	void (*begin)(void *context, const char *content_type);
	int (*write)(void *context, const char *data, size_t size);
	void (*end)(void *context);
	/* A further header of the answer that follows (Allow, Retry-After, WWW-Authenticate). May be NULL: nobody wants them. */
	void (*header)(void *context, const char *name, const char *value);
};

struct core_http_request {
	const char *method, *path, *query; /* path below /api/v1 */
	const char *const *header_names, *const *header_values;
	uint32_t header_count;
	const char *body;
	size_t body_size;
	uint32_t most_json;   /* octets of a body that is JSON; 0: no limit */
	bool needs_condition; /* what changes a resource that can be read must come with If-Match: 428 */
};

/* Finds the route, checks scope and arguments, calls the handler; the sink hears the answer, maybe before this returns. Errors are
 * application/problem+json (RFC 9457): type, title, status, detail, code, request_id, errors[{pointer, detail}]. */
void core_request_http(const struct core_asker *asker, const struct core_http_request *http, const struct core_answer_sink *sink,
		       void *context, pbx_request *ret_request);
/* words: as typed, without "pbxctl". Finds the longest command that fits. */
void core_request_command(const struct core_asker *asker, const char *const *words, uint32_t count, const struct core_answer_sink *sink,
			  void *context, pbx_request *ret_request);
void core_request_gone(pbx_request request);    /* the asker has left */
void core_request_drained(pbx_request request); /* the sink can take more */

struct pbx_json *core_requests_openapi(void);  /* OpenAPI 3.1 of every route */
struct pbx_json *core_requests_commands(void); /* [{words, help, args, columns, owner}]: for pbxctl's help and completion */

extern const struct pbx_requests core_requests_service;
