/*
 * login.c - from a password to a token
 *
 * Users and accounts log in by the same route; a user is somebody of ours (users.c), an account belongs to a directory, which checks its
 * password itself. Whoever does not exist takes as long to refuse as whoever is wrong, and is refused in the same words.
 *
 * A password that somebody else has chosen (the first one, one that was reset) must be changed: until then the token it gives can do
 * nothing but that.
 */
#include <string.h>

#include <pbx/directory.h>

#include "api.h"
#include "host.h"
#include "log.h"

#define PAIR_SIZE 80u

struct login {
	struct api *api;
	pbx_request request;
	char name[PAIR_SIZE], scopes[API_SCOPES_MOST];
	bool is_account, must_change, changes; /* changes: a new password is asked for */
	bool is_change_only;                   /* POST /auth/password, not a log-in */
};

static struct login *login_new(struct api *api, pbx_request request, const char *name)
{
	struct login *login = calloc(1, sizeof *login);

	if (!login)
		return NULL;
	login->api = api;
	login->request = request;
	(void)snprintf(login->name, sizeof login->name, "%s", name);
	return login;
}

static void login_free(struct login *login)
{
	free(login);
}
AUTO_FREES(login)

/* ---- the right password ----------------------------------------------------------------- */

static void issue(const struct login *login, bool must_change)
{
	const struct api_token_wish wish = {
		.kind = "session",
		.name = "",
		.user = login->is_account ? "" : login->name,
		.account = login->is_account ? login->name : "",
		.scopes = must_change ? "" : login->scopes,
		.life_s = login->api->settings->session_s,
	};

	api_token_issue(login->api, login->request, &wish, must_change);
}

static void on_changed(void *context, int result)
{
	AUTO(login) struct login *login = context;

	if (result == PBX_OK)
		issue(login, false);
	else
		api_fail_later(login->api, login->request, 503, "store_away", 5, "the database does not answer, the password is as before");
}

static void note_login(const struct login *login)
{
	struct api *api = login->api;
	const struct pbx_value values[] = { PBX_V_INT(api->host->wall_us(api->host)), pbx_v_text(login->name) };

	core_log(PBX_LOG_NOTICE, "api", NULL, "logged_in", "user=%s address=%s", login->name, api_address_of(api, login->request));
	if (login->is_account)
		return;
	api_first_login_forget(api);
	(void)api->store->run(api->host, "UPDATE users SET last_login_at = $1 WHERE name = $2", values, 2, NULL,
			      NULL); /* for people to look at */
}

static void on_right(struct login *taken)
{
	AUTO(login) struct login *login = taken;
	struct api *api = login->api;
	const char *password = api->requests->text(login->request, "new_password");

	if (!api->requests->has(login->request, "password"))
		return; /* the asker has left */
	api_lockouts_logged_in(api, api_address_of(api, login->request), login->name);
	note_login(login);
	if (!login->changes || !password) {
		issue(login, login->must_change);
		return;
	}
	struct login *waiting = TAKE(login);
	api_password_set(api, waiting->name, password, false, on_changed, waiting);
}

#define SHOWN_SIZE 65

/* A name that a stranger typed, as a log line may show it: nothing in it can look like another fact of the line. */
static const char *shown(const char *name, char ret_text[SHOWN_SIZE])
{
	size_t at = 0;

	for (; name[at] && at + 1 < SHOWN_SIZE; at++)
		ret_text[at] = strchr("\"\\ =", name[at]) || (unsigned char)name[at] < 0x21 || name[at] == 0x7f ? '?' : name[at];
	ret_text[at] = '\0';
	return ret_text;
}

/* In one's own password change a wrong word is a wrong field; at the door it is 401. */
static void on_checked(void *context, int result)
{
	AUTO(login) struct login *login = context;
	const struct pbx_requests *requests = login->api->requests;

	if (result == PBX_OK) {
		on_right(TAKE(login));
	} else if (result != PBX_EPERM && result != PBX_ENOENT) {
		api_fail_later(login->api, login->request, 503, "not_checked", 5, "passwords cannot be checked now");
	} else {
		char name[SHOWN_SIZE];

		core_log(PBX_LOG_WARN, "api", NULL, "login_refused", "user=\"%s\" address=%s", shown(login->name, name),
			 api_address_of(login->api, login->request));
		(void)requests->fail(login->request, login->is_change_only ? 422 : 401, "wrong_password",
				     login->is_change_only ? "password" : NULL,
				     login->is_change_only ? "this is not your password" : "unknown user or wrong password");
	}
}

/* ---- users ------------------------------------------------------------------------------ */

static void on_user(void *context, const struct pbx_rows *rows)
{
	AUTO(login) struct login *login = context;
	struct api *api = login->api;
	const char *password = api->requests->text(login->request, "password");
	const char *hash = NULL;

	if (!password)
		return; /* the asker has left */
	if (rows->status != PBX_OK) {
		api_fail_later(api, login->request, 503, "store_away", 5, "the database does not answer");
		return;
	}
	if (rows->count > 0) {
		hash = pbx_cell_text(rows, 0, 0);
		(void)snprintf(login->scopes, sizeof login->scopes, "%s", pbx_cell_text(rows, 0, 1));
		login->must_change = pbx_cell_int(rows, 0, 2) != 0;
	}
	if (api->secrets->check_password(api->host, password, hash, on_checked, login) == PBX_OK)
		(void)TAKE(login);
	else
		api_fail_later(api, login->request, 503, "no_memory", 5, "passwords cannot be checked now");
}

static void check_user(struct login *taken)
{
	AUTO(login) struct login *login = taken;
	struct api *api = login->api;
	const struct pbx_value values[] = { pbx_v_text(login->name) };

	if (api->store->run(api->host, "SELECT password_hash, scopes, must_change FROM users WHERE name = $1", values, 1, on_user, login) ==
	    PBX_OK)
		(void)TAKE(login);
	else
		api_fail_later(api, login->request, 503, "store_busy", 5, "the database has too much to do");
}

/* ---- accounts --------------------------------------------------------------------------- */

struct directory_search {
	const char *name;
	const struct pbx_directory *found;
};

static void look_in(void *context, const void *table)
{
	struct directory_search *search = context;
	const struct pbx_directory *directory = table;
	struct pbx_account account = { .size = sizeof account };

	if (!search->found && directory->find && directory->check_password &&
	    directory->find(directory->self, search->name, &account) == PBX_OK)
		search->found = directory;
}

static void user_role(const struct api_settings *settings, char ret_scopes[API_SCOPES_MOST])
{
	size_t used = 0;

	ret_scopes[0] = '\0';
	for (uint32_t i = 0; i < settings->user_scopes.count && used < API_SCOPES_MOST; i++)
		used += (size_t)snprintf(ret_scopes + used, API_SCOPES_MOST - used, "%s%s", i ? " " : "", settings->user_scopes.items[i]);
}

static void check_account(struct login *taken)
{
	AUTO(login) struct login *login = taken;
	struct api *api = login->api;
	struct directory_search search = { .name = login->name };
	const char *password = api->requests->text(login->request, "password");

	core_host_each_service("pbx.directory/1", sizeof(struct pbx_directory), look_in, &search);
	user_role(api->settings, login->scopes);
	login->is_account = true;

	int err = search.found ? search.found->check_password(search.found->self, login->name, password, on_checked, login)
			       : api->secrets->check_password(api->host, password, NULL, on_checked, login);
	if (err == PBX_OK)
		(void)TAKE(login);
	else
		api_fail_later(api, login->request, 503, "not_checked", 5, "passwords cannot be checked now");
}

/* ---- routes ----------------------------------------------------------------------------- */

/* False: answered with 429. */
static bool may_try(struct api *api, pbx_request request, const char *name)
{
	const char *address = api_address_of(api, request);
	char text[SHOWN_SIZE];
	uint32_t wait_s;

	if (api_lockouts_try(api, address, name, &wait_s))
		return true;
	core_log(PBX_LOG_WARN, "api", NULL, "login_locked", "user=\"%s\" address=%s wait_s=%u", shown(name, text), address, wait_s);
	api_fail_later(api, request, 429, "too_many_logins", wait_s, "too many failed log-ins, try again later");
	return false;
}

void api_on_login(void *self, pbx_request request)
{
	struct api *api = self;
	const char *user = api->requests->text(request, "user"), *account = api->requests->text(request, "extension");
	const char *name = user ? user : account;

	if (!name || (user && account)) {
		(void)api->requests->fail(request, 400, "missing", "user", "who are you? give either user or extension");
		return;
	}
	if (!api->users_ready) {
		api_fail_later(api, request, 503, "starting", 1, "the first user is being made, try again in a second");
		return;
	}
	if (!may_try(api, request, name))
		return;

	struct login *login = login_new(api, request, name);
	if (!login) {
		api_fail_later(api, request, 503, "no_memory", 5, "out of memory, try again later");
		return;
	}
	login->changes = user && api->requests->has(request, "new_password");
	if (user)
		check_user(login);
	else
		check_account(login);
}

void api_on_password(void *self, pbx_request request)
{
	struct api *api = self;
	const char *actor = api->requests->actor(request);

	if (*api->requests->own_account(request)) {
		(void)api->requests->fail(request, 403, "not_permitted", NULL, "this password belongs to the directory of the account");
		return;
	}
	if (!may_try(api, request, actor))
		return;
	struct login *login = login_new(api, request, actor);
	if (!login) {
		api_fail_later(api, request, 503, "no_memory", 5, "out of memory, try again later");
		return;
	}
	login->changes = login->is_change_only = true;
	check_user(login);
}

/* ---- log-out and who am I --------------------------------------------------------------- */

struct asked {
	struct api *api;
	pbx_request request;
};

static void asked_free(struct asked *asked)
{
	free(asked);
}
AUTO_FREES(asked)

static struct asked *asked_new(struct api *api, pbx_request request)
{
	struct asked *asked = calloc(1, sizeof *asked);

	if (asked) {
		asked->api = api;
		asked->request = request;
	}
	return asked;
}

/* The token's row is gone, so its streams go too. */
static void on_logged_out(void *context, const struct pbx_rows *rows)
{
	AUTO(asked) struct asked *asked = context;

	if (rows->status != PBX_OK) {
		api_fail_later(asked->api, asked->request, 503, "store_away", 5, "the database does not answer");
		return;
	}
	(void)asked->api->requests->reply(asked->request, 204, NULL);
	if (rows->count > 0)
		api_dispatch_revoke(asked->api, pbx_cell_text(rows, 0, 0));
}

void api_on_logout(void *self, pbx_request request)
{
	struct api *api = self;
	AUTO(asked) struct asked *asked = asked_new(api, request);
	char hash[65];

	if (!api_token_hash_of(api, request, hash)) {
		(void)api->requests->fail(request, 400, "no_token", NULL, "there is no token to end");
		return;
	}
	const struct pbx_value values[] = { pbx_v_text(hash) };
	if (asked &&
	    api->store->run(api->host, "DELETE FROM tokens WHERE hash = $1 RETURNING id", values, 1, on_logged_out, asked) == PBX_OK)
		(void)TAKE(asked);
	else
		api_fail_later(api, request, 503, "store_busy", 5, "the database has too much to do");
}

static void on_me(void *context, const struct pbx_rows *rows)
{
	AUTO(asked) struct asked *asked = context;
	struct api *api = asked->api;

	if (rows->status != PBX_OK || rows->count == 0) {
		api_fail_later(api, asked->request, 503, "store_away", 5, "the database does not answer");
		return;
	}
	struct pbx_json *body = core_json_object();
	(void)core_json_set_text(body, "user", pbx_cell_text(rows, 0, 0)); /* without memory the answer is shorter */
	(void)core_json_set_text(body, "extension", pbx_cell_text(rows, 0, 1));
	(void)core_json_set_text(body, "scopes", pbx_cell_text(rows, 0, 2));
	(void)core_json_set_time(body, "expires_at", pbx_cell_int(rows, 0, 3));
	(void)core_json_set_text(body, "token", pbx_cell_text(rows, 0, 4));
	(void)api->requests->reply(asked->request, 200, body);
}

void api_on_me(void *self, pbx_request request)
{
	struct api *api = self;
	AUTO(asked) struct asked *asked = asked_new(api, request);
	char hash[65];

	if (!api_token_hash_of(api, request, hash)) {
		(void)api->requests->fail(request, 400, "no_token", NULL, "there is no token to tell about");
		return;
	}
	const struct pbx_value values[] = { pbx_v_text(hash) };
	if (asked && api->store->run(api->host, "SELECT user_name, account, scopes, expires_at, id FROM tokens WHERE hash = $1", values, 1,
				     on_me, asked) == PBX_OK)
		(void)TAKE(asked);
	else
		api_fail_later(api, request, 503, "store_busy", 5, "the database has too much to do");
}
