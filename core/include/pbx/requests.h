/* pbx/requests.h - what a person or program asks by REST or pbxctl, and the answer
 * Served by the core as "pbx.requests/1". All of it: [loop].
 *
 * A handler gets a request whose arguments are checked already. It answers once, in the callback or later; a request
 * whose asker has gone answers PBX_ENOENT and nothing is lost by it. Unanswered after 30 s it gets 504.
 *
 * Answer with the whole resource, or with {"items": [...]} for a list: ETag and If-None-Match, If-Match (by the GET route of the same path),
 * Idempotency-Key, fields, sort, limit and cursor are done with it by the core, for every route. */
#pragma once
#include <pbx/json.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pbx_requests {
	struct pbx_header header;

	/* Arguments by name, wherever they came from. Texts are borrowed until the request is answered. */
	bool (*has)(pbx_request request, const char *name);
	const char *(*text)(pbx_request request, const char *name); /* NULL when not given */
	int64_t (*integer)(pbx_request request, const char *name, int64_t otherwise);
	bool (*boolean)(pbx_request request, const char *name, bool otherwise);
	const struct pbx_json *(*json)(pbx_request request, const char *name); /* LIST, OBJECT, OBJECTS; NULL when not given */
	const struct pbx_json *(*body)(pbx_request request);                   /* the whole JSON body, or NULL */
	const char *(*raw)(pbx_request request, size_t *ret_size);             /* PBX_ROUTE_RAW_BODY */
	const char *(*http_header)(pbx_request request, const char *name);     /* HTTP; NULL when absent or not HTTP */

	/* Who asks: a user's name, "root@local" for the control socket; "" for a public route. */
	const char *(*actor)(pbx_request request);
	/* The account ("1001") a user is limited to; "" for those who may see everything. */
	const char *(*own_account)(pbx_request request);
	bool (*may)(pbx_request request, const char *scope);

	/* Answers with status (200, 201, 202, 204) and a body, which is taken; NULL for none. PBX_OK, PBX_ENOENT. */
	int (*reply)(pbx_request request, uint32_t status, struct pbx_json *taken);
	/* As reply with 201 and a Location header below /api/v1. */
	int (*created)(pbx_request request, const char *location, struct pbx_json *taken);
	/* Refuses: 400 malformed, 403, 404, 409 conflict, 422 a value that only you can judge and that cannot be (what the route's table
	 * rules out has been answered with 400 before you are asked), 503. code is a word for programs
	 * ("slot_taken"), field the argument that is wrong or NULL, then a sentence for people. PBX_OK, PBX_ENOENT. */
	int (*fail)(pbx_request request, uint32_t status, const char *code, const char *field, const char *format, ...) PBX_PRINTF(5, 6);

	/* A long answer in pieces: begin, write as often as wanted, end. write returns PBX_EBUSY when the asker is slower than us:
	 * wait for drained. gone, when given, tells that the asker has left (log follow). PBX_OK, PBX_ENOENT, PBX_ENOMEM. */
	int (*begin)(pbx_request request, const char *content_type, void (*drained)(void *self, pbx_request request),
		     void (*gone)(void *self, pbx_request request), void *self);
	int (*write)(pbx_request request, const char *data, size_t size);
	int (*end)(pbx_request request);

	/* A header of the answer that follows (HTTP; others do not see it). With Content-Range, begin answers 206: it is a part (RFC 9110
	 * 15.3.7). PBX_OK, PBX_ENOENT. */
	int (*add_header)(pbx_request request, const char *name, const char *value);

	/* From now on asked(self, account) with each HTTP request of somebody who is limited to an account (own_account), before it is handled:
	 * they are at their desk. Charged to host. PBX_OK, PBX_ENOMEM. */
	int (*on_asked)(struct pbx_host *host, void (*asked)(void *self, const char *account), void *self);
};

static inline const struct pbx_requests *pbx_requests(struct pbx_host *host)
{
	return (const struct pbx_requests *)host->service(host, "pbx.requests/1", (uint32_t)sizeof(struct pbx_requests));
}

#ifdef __cplusplus
}
#endif
