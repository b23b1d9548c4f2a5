/* core/request_once.c - Idempotency-Key: a POST that is sent twice is done once
 *
 * Before its handler runs, a request with a key puts a row into idempotency_keys; its answer goes into the row, sealed, since it may show a
 * secret that is shown once. Who comes with the same key within a day gets that answer again; with another question, 422; while the first is
 * still being answered, 409. A request that was refused before its handler was asked, and one that ended with 503, has done nothing: its
 * key is free again. The answer is kept even when its asker has left, which is when it is needed most. A key belongs to who sent it. */
#include "request_internal.h"
#include "log.h"
#include "loop.h"
#include "secrets.h"
#include "store.h"
#include <stdlib.h>
#include <string.h>

#define KEPT_US (INT64_C(24) * 3600 * 1000000)
#define MOST_KEY 255u

static char run_id[27]; /* of this daemon: rows of another that have no answer never get one */
static bool closed;     /* the store is no longer asked */

void core_once_init(void)
{
	core_ulid(run_id);
	closed = false;
}

void core_once_fini(void)
{
	closed = true;
}

static void refuse(struct core_request *request, uint32_t status, const char *code, const char *text)
{
	struct core_problem problem = { 0 };

	core_problem_set(&problem, status, code, "%s", text);
	core_request_refuse(request, &problem);
}

/* What binds a sealed answer to its row. */
static void seal_context(const struct core_request *request, char *ret_text, size_t size)
{
	(void)snprintf(ret_text, size, "idempotency.%s.%s", request->once_principal, request->once_key);
}

/* ---- the answer again ----------------------------------------------------------------- */

static struct core_request *asking(void *context)
{
	return core_request_find((pbx_request){ .id = (uint64_t)(uintptr_t)context });
}

static void replay(struct core_request *request, const struct pbx_rows *rows)
{
	const char *sealed = pbx_cell_text(rows, 0, 5);
	char context[512];

	seal_context(request, context, sizeof context);
	char *body = *sealed ? core_secrets_open(sealed, context) : NULL;
	if (*sealed && !body) {
		refuse(request, 409, "outcome_unknown",
		       "the first answer under this key cannot be read any more: look whether it was done");
		return;
	}
	request->is_audited = false; /* nothing is done this time */
	core_request_header(request, "Idempotency-Replayed", "true");
	core_request_answer(request, (uint32_t)pbx_cell_int(rows, 0, 2), pbx_cell_text(rows, 0, 3), pbx_cell_text(rows, 0, 4), body,
			    body ? strlen(body) : 0);
	core_secrets_wipe(body);
}

static void on_found(void *context, const struct pbx_rows *rows)
{
	struct core_request *request = asking(context);

	if (!request)
		return;
	request->once_is_ours = false; /* the row is another's: leave it alone */
	if (rows->status != PBX_OK) {
		refuse(request, 503, "store_away", "the database does not answer, so the key cannot be checked");
	} else if (rows->count == 0) {
		core_request_header(request, "Retry-After", "1");
		refuse(request, 409, "in_progress", "the key has just been freed, try again");
	} else if (strcmp(pbx_cell_text(rows, 0, 0), request->once_fingerprint) != 0) {
		refuse(request, 422, "key_reused", "this Idempotency-Key came with another request before: use a new one");
	} else if (pbx_cell_int(rows, 0, 2) != 0) {
		replay(request, rows);
	} else if (strncmp(pbx_cell_text(rows, 0, 1), run_id, strlen(run_id)) == 0) {
		core_request_header(request, "Retry-After", "1");
		refuse(request, 409, "in_progress", "the first request with this key is still being answered");
	} else {
		refuse(request, 409, "outcome_unknown", "the first request with this key was interrupted: look whether it was done");
	}
}

/* ---- a key is taken ------------------------------------------------------------------- */

static void on_claimed(void *context, const struct pbx_rows *rows)
{
	struct core_request *request = asking(context);

	if (!request)
		return;
	if (rows->status != PBX_OK) {
		core_request_header(request, "Retry-After", "5");
		refuse(request, 503, "store_away", "the database does not answer, so the key cannot be kept");
		return;
	}
	if (rows->count > 0) {
		core_request_go(request);
		return;
	}
	const struct pbx_value values[] = { pbx_v_text(request->once_principal), pbx_v_text(request->once_key) };
	if (core_store_run(
		    core_self(),
		    "SELECT fingerprint, run, status, content_type, location, body FROM idempotency_keys WHERE principal = $1 AND key = $2",
		    values, 2, on_found, context) != PBX_OK)
		refuse(request, 503, "store_busy", "the database has too much to do, try again later");
}

static bool is_key(const char *key)
{
	size_t length = strlen(key);

	for (const char *c = key; *c; c++)
		if (*c < 0x21 || *c > 0x7e)
			return false;
	return length > 0 && length <= MOST_KEY;
}

static bool describe(struct core_request *request, const char *key, const struct core_http_request *http)
{
	const char *const pieces[] = { request->did, "?", request->query, "\n", http->body ? http->body : "" };
	const size_t sizes[] = { strlen(request->did), 1, strlen(request->query), 1, http->body ? http->body_size : 0 };

	core_hash_hex(pieces, sizes, sizeof pieces / sizeof pieces[0], request->once_fingerprint);
	request->once_key = strdup(key);
	if (asprintf(&request->once_principal, "%s %s", request->actor, request->own_account) < 0)
		request->once_principal = NULL;
	if (asprintf(&request->once_claim, "%s.%s", run_id, request->request_id) < 0)
		request->once_claim = NULL;
	return request->once_fingerprint[0] && request->once_key && request->once_principal && request->once_claim;
}

void core_once_take(struct core_request *request, const char *key, const struct core_http_request *http)
{
	if (!is_key(key)) {
		refuse(request, 400, "bad_key", "Idempotency-Key: expected 1 to 255 printable characters without spaces");
		return;
	}
	if (!describe(request, key, http)) {
		refuse(request, 503, "no_memory", "out of memory, try again later");
		return;
	}
	int64_t now_us = core_wall_us();
	const struct pbx_value oldest = PBX_V_INT(now_us - KEPT_US);
	const struct pbx_value row[] = { pbx_v_text(request->once_principal), pbx_v_text(request->once_key),
					 pbx_v_text(request->once_fingerprint), pbx_v_text(request->once_claim), PBX_V_INT(now_us) };
	const struct pbx_statement statements[] = {
		{ "DELETE FROM idempotency_keys WHERE created_at < $1", &oldest, 1 },
		{ "INSERT INTO idempotency_keys (principal, key, fingerprint, run, status, content_type, location, body, created_at) "
		  "VALUES ($1, $2, $3, $4, 0, '', '', '', $5) ON CONFLICT (principal, key) DO NOTHING RETURNING key",
		  row, 5 },
	};
	void *context = (void *)(uintptr_t)request->handle.id;

	request->once_is_ours = true;
	if (core_store_batch(core_self(), statements, 2, on_claimed, context) == PBX_OK)
		return;
	request->once_is_ours = false;
	refuse(request, 503, "store_busy", "the database has too much to do, try again later");
}

/* ---- the row gets its answer, or goes ------------------------------------------------- */

/* Only our own row: what another request has put there stays. */
static void free_key(const struct core_request *request)
{
	const struct pbx_value values[] = { pbx_v_text(request->once_principal), pbx_v_text(request->once_key),
					    pbx_v_text(request->once_claim) };

	(void)core_store_run(core_self(), "DELETE FROM idempotency_keys WHERE principal = $1 AND key = $2 AND run = $3", values, 3, NULL,
			     NULL); /* it goes tomorrow then */
}

void core_once_answered(struct core_request *request, uint32_t status, const char *content_type, const char *location, const char *body)
{
	char context[512];

	if (!request->once_is_ours || closed)
		return;
	request->once_is_ours = false;
	seal_context(request, context, sizeof context);
	char *sealed = body && *body ? core_secrets_seal(body, context) : NULL;
	if (status == 503 || (body && *body && !sealed)) {
		free_key(request);
		return;
	}
	const struct pbx_value values[] = { pbx_v_text(request->once_principal),
					    pbx_v_text(request->once_key),
					    PBX_V_INT(status),
					    pbx_v_text(content_type ? content_type : ""),
					    pbx_v_text(location ? location : ""),
					    pbx_v_text(sealed ? sealed : ""),
					    pbx_v_text(request->once_claim) };
	if (core_store_run(core_self(),
			   "UPDATE idempotency_keys SET status = $3, content_type = $4, location = $5, body = $6 WHERE principal = $1 AND "
			   "key = $2 AND run = $7",
			   values, 7, NULL, NULL) != PBX_OK)
		core_log(PBX_LOG_WARN, "core", NULL, "answer_not_kept", "did=\"%s\" request_id=%s", request->did, request->request_id);
	core_secrets_wipe(sealed);
}

/* Nobody has answered it. Its handler may have done something, or not: then the row says "unknown"; else it goes. */
void core_once_forget(struct core_request *request)
{
	if (request->once_is_ours && !request->runs && !closed)
		free_key(request);
	free(request->once_key);
	free(request->once_principal);
	free(request->once_claim);
}
