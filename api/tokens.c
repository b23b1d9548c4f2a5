/*
 * tokens.c - bearer tokens
 *
 * A token is 32 random bytes, shown once and kept as SHA-256, so that who reads the database cannot use it. The store is asked for every
 * request: what was revoked, on whichever node, is refused from then on. A token has at most the scopes of who made it.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include "accounts.h"

#include "api.h"
#include "host.h"

#define US_PER_S 1000000ll
#define USED_GRAIN_US (300 * US_PER_S) /* how exactly last_used_at is kept */
#define SWEEP_EVERY_MS (3600u * 1000)
#define TOKENS_MOST_TEXT "500"

static int64_t wall_us(const struct api *api)
{
	return api->host->wall_us(api->host);
}

static bool hash_text(const struct api *api, const char *token, char ret_hash[65])
{
	return api->secrets->digest(PBX_DIGEST_SHA256, token, strlen(token), ret_hash) == PBX_OK;
}

/* ---- finding ---------------------------------------------------------------------------- */

struct search {
	struct api *api;
	api_bearer_fn done;
	void *context;
	char key[65]; /* the token's hash, or its id */
};

static void note_use(const struct api *api, const char *token_id, int64_t last_used_us)
{
	const struct pbx_value values[] = { PBX_V_INT(wall_us(api)), pbx_v_text(token_id) };

	if (wall_us(api) - last_used_us > USED_GRAIN_US) /* it may get lost: nobody decides by it */
		(void)api->store->run(api->host, "UPDATE tokens SET last_used_at = $1 WHERE id = $2", values, 2, NULL, NULL);
}

static void on_found(void *context, const struct pbx_rows *rows)
{
	AUTO(text) char *memory = context;
	const struct search *search = (const struct search *)(void *)memory;

	if (rows->status != PBX_OK) {
		search->done(search->context, PBX_EIO, NULL);
		return;
	}
	if (rows->count == 0) {
		search->done(search->context, PBX_ENOENT, NULL);
		return;
	}
	const struct api_bearer bearer = {
		.token_id = pbx_cell_text(rows, 0, 0),
		.user = pbx_cell_text(rows, 0, 1),
		.account = pbx_cell_text(rows, 0, 2),
		.scopes = pbx_cell_text(rows, 0, 3),
	};
	int64_t expires_us = pbx_cell_int(rows, 0, 4);
	bool expired = expires_us != 0 && expires_us <= wall_us(search->api);

	/* An account that was removed takes its tokens with it. */
	if (expired || (*bearer.account && !core_account_exists(bearer.account))) {
		search->done(search->context, PBX_ENOENT, NULL);
		return;
	}
	note_use(search->api, bearer.token_id, pbx_cell_int(rows, 0, 5));
	search->done(search->context, PBX_OK, &bearer);
}

static void find(struct api *api, const char *sql, const char *key, api_bearer_fn done, void *context)
{
	AUTO(text) char *memory = calloc(1, sizeof(struct search));
	struct search *search = (struct search *)(void *)memory;

	if (!search) {
		done(context, PBX_EIO, NULL);
		return;
	}
	search->api = api;
	search->done = done;
	search->context = context;
	(void)snprintf(search->key, sizeof search->key, "%s", key);

	const struct pbx_value values[] = { pbx_v_text(search->key) };
	if (api->store->run(api->host, sql, values, 1, on_found, search) == PBX_OK)
		(void)TAKE(memory);
	else
		done(context, PBX_EIO, NULL);
}

#define BEARER_COLUMNS "id, user_name, account, scopes, expires_at, last_used_at"

void api_token_find(struct api *api, const char *token, api_bearer_fn done, void *context)
{
	char hash[65];

	if (hash_text(api, token, hash))
		find(api, "SELECT " BEARER_COLUMNS " FROM tokens WHERE hash = $1", hash, done, context);
	else
		done(context, PBX_EIO, NULL);
}

void api_token_look(struct api *api, const char *token_id, api_bearer_fn done, void *context)
{
	find(api, "SELECT " BEARER_COLUMNS " FROM tokens WHERE id = $1", token_id, done, context);
}

bool api_token_hash_of(const struct api *api, pbx_request request, char ret_hash[65])
{
	const char *header = api->requests->http_header(request, "Authorization");
	const char *token = header ? strchr(header, ' ') : NULL;

	return token && hash_text(api, token + strspn(token, " "), ret_hash);
}

/* ---- scopes ----------------------------------------------------------------------------- */

static bool is_scope(const char *scope, size_t length)
{
	return length > 0 && length <= 64 && strspn(scope, "abcdefghijklmnopqrstuvwxyz0123456789_-:.*") >= length;
}

static int add_scope(const struct api *api, pbx_request request, const char *scope, size_t length, char ret_scopes[API_SCOPES_MOST])
{
	char one[72];
	size_t used = strlen(ret_scopes);

	if (!is_scope(scope, length)) {
		(void)api->requests->fail(request, 422, "not_a_scope", "scopes", "%.*s: expected a scope as calls:read, or admin for all",
					  (int)(length < 64 ? length : 64), scope);
		return PBX_EINVAL;
	}
	if (used + length + 2 > API_SCOPES_MOST) {
		(void)api->requests->fail(request, 422, "too_many_scopes", "scopes", "at most %u characters", API_SCOPES_MOST);
		return PBX_ENOSPC;
	}
	(void)snprintf(one, sizeof one, "%.*s", (int)length, scope);
	if (strcmp(one, "admin") == 0)
		(void)snprintf(one, sizeof one, "*");
	if (!api->requests->may(request, one)) {
		(void)api->requests->fail(request, 403, "not_permitted", NULL, "you have not got the scope %s, so you cannot give it", one);
		return PBX_EPERM;
	}
	(void)snprintf(ret_scopes + used, API_SCOPES_MOST - used, "%s%s", used ? " " : "", one);
	return PBX_OK;
}

/* A refusal ends the request, and with it list and text. */
int api_scopes_read(const struct api *api, pbx_request request, const struct pbx_json *list, const char *text,
		    char ret_scopes[API_SCOPES_MOST])
{
	ret_scopes[0] = '\0';
	for (const struct pbx_json *item = core_json_first(list); item; item = core_json_next(item)) {
		const char *scope = core_json_text(item);
		int err = add_scope(api, request, scope ? scope : "", scope ? strlen(scope) : 0, ret_scopes);
		if (err != PBX_OK)
			return err;
	}
	while (!list && text && *text) {
		size_t length = strcspn(text, " ,");
		int err = length > 0 ? add_scope(api, request, text, length, ret_scopes) : PBX_OK;
		if (err != PBX_OK)
			return err;
		text += length + (text[length] != '\0');
	}
	return PBX_OK;
}

/* ---- making ----------------------------------------------------------------------------- */

struct issue {
	struct api *api;
	pbx_request request;
	char token[API_TOKEN_SIZE], hash[65], id[27], scopes[API_SCOPES_MOST];
	int64_t expires_us;
	bool is_session, must_change;
};

static int make_token(char ret_token[API_TOKEN_SIZE])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t bytes[33] = { 0 };

	if (RAND_bytes(bytes, 32) != 1)
		return PBX_EIO;
	char *at = ret_token + snprintf(ret_token, API_TOKEN_SIZE, "pbx_");
	for (size_t i = 0; i < 33; i += 3) { /* base64url; the last digit holds nothing and is left out */
		uint32_t three = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
		for (int shift = 18; shift >= 0; shift -= 6)
			*at++ = digits[three >> shift & 63];
	}
	ret_token[API_TOKEN_SIZE - 1] = '\0';
	OPENSSL_cleanse(bytes, sizeof bytes);
	return PBX_OK;
}

static struct pbx_json *issued_json(const struct issue *issue)
{
	struct pbx_json *body = core_json_object();

	(void)core_json_set_text(body, "token", issue->token); /* without memory the answer is shorter */
	(void)core_json_set_text(body, "id", issue->id);
	(void)core_json_set_time(body, "expires_at", issue->expires_us);
	(void)core_json_set_text(body, "scopes", issue->scopes);
	if (issue->is_session)
		(void)core_json_set_boolean(body, "must_change", issue->must_change);
	return body;
}

static void on_issued(void *context, const struct pbx_rows *rows)
{
	AUTO(text) char *memory = context;
	struct issue *issue = (struct issue *)(void *)memory;
	char location[64];

	(void)snprintf(location, sizeof location, "/tokens/%s", issue->id);
	if (rows->status != PBX_OK)
		api_fail_later(issue->api, issue->request, 503, "store_away", 5, "the database does not answer");
	else if (issue->is_session)
		(void)issue->api->requests->reply(issue->request, 200, issued_json(issue)); /* or the asker has left */
	else
		(void)issue->api->requests->created(issue->request, location, issued_json(issue));
	OPENSSL_cleanse(issue->token, sizeof issue->token);
}

void api_token_issue(struct api *api, pbx_request request, const struct api_token_wish *wish, bool must_change)
{
	AUTO(text) char *memory = calloc(1, sizeof(struct issue));
	struct issue *issue = (struct issue *)(void *)memory;

	if (!issue || make_token(issue->token) != PBX_OK || !hash_text(api, issue->token, issue->hash)) {
		api_fail_later(api, request, 503, "no_memory", 5, "no token can be made now");
		return;
	}
	issue->api = api;
	issue->request = request;
	issue->is_session = strcmp(wish->kind, "session") == 0;
	issue->must_change = must_change;
	issue->expires_us = wish->life_s ? wall_us(api) + wish->life_s * US_PER_S : 0;
	(void)snprintf(issue->scopes, sizeof issue->scopes, "%s", wish->scopes);
	api->host->ulid(api->host, issue->id);

	const struct pbx_value values[] = {
		pbx_v_text(issue->id),        pbx_v_text(issue->hash),
		pbx_v_text(wish->kind),       pbx_v_text(wish->name),
		pbx_v_text(wish->user),       pbx_v_text(wish->account),
		pbx_v_text(wish->scopes),     PBX_V_INT(wall_us(api)),
		PBX_V_INT(issue->expires_us), PBX_V_INT(0),
	};
	if (api->store->run(api->host,
			    "INSERT INTO tokens (id, hash, kind, name, user_name, account, scopes, created_at, expires_at, last_used_at) "
			    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
			    values, 10, on_issued, issue) == PBX_OK)
		(void)TAKE(memory);
	else
		api_fail_later(api, request, 503, "store_busy", 5, "the database has too much to do");
}

void api_on_token_create(void *self, pbx_request request)
{
	struct api *api = self;
	const struct pbx_requests *requests = api->requests;
	const char *actor = requests->actor(request), *own = requests->own_account(request);
	char scopes[API_SCOPES_MOST];

	if (api_scopes_read(api, request, requests->json(request, "scopes"), requests->text(request, "scopes"), scopes) != PBX_OK)
		return; /* answered */
	const struct api_token_wish wish = {
		.kind = "named",
		.name = requests->text(request, "name"),
		.user = *own ? "" : actor,
		.account = own,
		.scopes = scopes,
		.life_s = (uint32_t)requests->integer(request, "expires_in_s", 0),
	};
	api_token_issue(api, request, &wish, false);
}

/* ---- listing and revoking --------------------------------------------------------------- */

struct question {
	struct api *api;
	pbx_request request;
	char token_id[27];
};

static struct question *question_new(struct api *api, pbx_request request)
{
	struct question *question = calloc(1, sizeof *question);

	if (question) {
		question->api = api;
		question->request = request;
	}
	return question;
}

static struct pbx_json *token_json(const struct pbx_rows *rows, uint32_t row)
{
	struct pbx_json *item = core_json_object();

	for (uint32_t column = 0; column < rows->columns; column++) {
		const char *name = rows->names[column];
		size_t length = strlen(name);
		if (length > 3 && strcmp(name + length - 3, "_at") == 0)
			(void)core_json_set_time(item, name, pbx_cell_int(rows, row, column)); /* without memory the list is shorter */
		else
			(void)core_json_set_text(item, name, pbx_cell_text(rows, row, column));
	}
	return item;
}

static void on_listed(void *context, const struct pbx_rows *rows)
{
	AUTO(text) char *memory = context;
	const struct question *question = (const struct question *)(void *)memory;

	if (rows->status != PBX_OK) {
		api_fail_later(question->api, question->request, 503, "store_away", 5, "the database does not answer");
		return;
	}
	struct pbx_json *items = core_json_array(), *body = core_json_object();
	for (uint32_t row = 0; row < rows->count; row++)
		(void)core_json_append(items, token_json(rows, row));
	(void)core_json_set(body, "items", items);
	(void)question->api->requests->reply(question->request, 200, body);
}

/* Everybody sees their own; who may read users sees all ($1 is 1). */
void api_on_tokens(void *self, pbx_request request)
{
	static const char sql[] = "SELECT id, name, kind, user_name, account, scopes, created_at, expires_at, last_used_at FROM tokens "
				  "WHERE ($1 = 1 OR (user_name = $2 AND account = $3)) AND (expires_at = 0 OR expires_at > $4) ORDER BY id "
				  "LIMIT " TOKENS_MOST_TEXT;
	struct api *api = self;
	const char *own = api->requests->own_account(request);
	const struct pbx_value values[] = { PBX_V_INT(api->requests->may(request, "users:read")),
					    pbx_v_text(*own ? "" : api->requests->actor(request)), pbx_v_text(own),
					    PBX_V_INT(wall_us(api)) };
	struct question *question = question_new(api, request);

	if (question && api->store->run(api->host, sql, values, 4, on_listed, question) == PBX_OK)
		return;
	free(question);
	api_fail_later(api, request, 503, "store_busy", 5, "the database has too much to do");
}

static void on_revoked(void *context, const struct pbx_rows *rows)
{
	AUTO(text) char *memory = context;
	const struct question *question = (const struct question *)(void *)memory;
	const struct pbx_requests *requests = question->api->requests;

	if (rows->status != PBX_OK) {
		api_fail_later(question->api, question->request, 503, "store_away", 5, "the database does not answer");
	} else if (rows->changed == 0) {
		(void)requests->fail(question->request, 404, "not_found", "id", "there is no such token");
	} else {
		(void)requests->reply(question->request, 204, NULL);
		api_dispatch_revoke(question->api, question->token_id);
	}
}

void api_on_token_revoke(void *self, pbx_request request)
{
	struct api *api = self;
	const char *id = api->requests->text(request, "id");
	const char *own = api->requests->own_account(request);
	const struct pbx_value values[] = { pbx_v_text(id), PBX_V_INT(api->requests->may(request, "users:write")),
					    pbx_v_text(*own ? "" : api->requests->actor(request)), pbx_v_text(own) };
	struct question *question = question_new(api, request);

	if (question)
		(void)snprintf(question->token_id, sizeof question->token_id, "%s", id);
	if (question && api->store->run(api->host, "DELETE FROM tokens WHERE id = $1 AND ($2 = 1 OR (user_name = $3 AND account = $4))",
					values, 4, on_revoked, question) == PBX_OK)
		return;
	free(question);
	api_fail_later(api, request, 503, "store_busy", 5, "the database has too much to do");
}

/* ---- sweeping --------------------------------------------------------------------------- */

static void sweep(void *self, pbx_timer timer)
{
	const struct api *api = self;
	const struct pbx_value values[] = { PBX_V_INT(wall_us(api)) };

	(void)timer;
	/* What is not swept now is an hour later; expired tokens are refused anyway. */
	(void)api->store->run(api->host, "DELETE FROM tokens WHERE expires_at <> 0 AND expires_at < $1", values, 1, NULL, NULL);
}

int api_tokens_start(struct api *api)
{
	pbx_timer timer;

	return api->timers->start(api->host, SWEEP_EVERY_MS, SWEEP_EVERY_MS, sweep, api, &timer);
}
