/*
 * users.c - people who may use the API
 *
 * A user has a name, a password and scopes, and is nobody's extension. Nobody can give, or touch the password of somebody who has, a scope
 * they have not got themselves, and the last administrator can be neither removed nor made less. A password chosen for somebody else is a
 * one-time password.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "api.h"
#include "log.h"

#define FIRST_USER "admin"
#define USER_COLUMNS "name, scopes, must_change, created_at, last_login_at"

/* A change of a user under way. */
struct change {
	struct api *api;
	pbx_request request;
	void (*act)(struct change *taken); /* once the asker may */
	char name[API_NAME_MOST + 1], scopes[API_SCOPES_MOST];
	char one_time[API_ONE_TIME_LENGTH + 1]; /* "" when the asker chose the password */
};

static void change_free(struct change *change)
{
	if (change)
		OPENSSL_cleanse(change->one_time, sizeof change->one_time);
	free(change);
}
AUTO_FREES(change)

static struct change *change_new(struct api *api, pbx_request request, const char *name)
{
	struct change *change = calloc(1, sizeof *change);

	if (!change) {
		api_fail_later(api, request, 503, "no_memory", 5, "out of memory, try again later");
		return NULL;
	}
	change->api = api;
	change->request = request;
	(void)snprintf(change->name, sizeof change->name, "%s", name);
	return change;
}

static void store_away(const struct change *change)
{
	api_fail_later(change->api, change->request, 503, "store_away", 5, "the database does not answer");
}

/* Runs a statement for a change, which is taken. */
static void ask_store(struct change *taken, const char *sql, const struct pbx_value *values, uint32_t count, pbx_rows_fn done)
{
	AUTO(change) struct change *change = taken;

	if (change->api->store->run(change->api->host, sql, values, count, done, change) == PBX_OK)
		(void)TAKE(change);
	else
		api_fail_later(change->api, change->request, 503, "store_busy", 5, "the database has too much to do");
}

/* ---- showing ---------------------------------------------------------------------------- */

static struct pbx_json *user_json(const struct pbx_rows *rows, uint32_t row)
{
	struct pbx_json *user = core_json_object();

	(void)core_json_set_text(user, "name", pbx_cell_text(rows, row, 0)); /* without memory the answer is shorter */
	(void)core_json_set_text(user, "scopes", pbx_cell_text(rows, row, 1));
	(void)core_json_set_boolean(user, "must_change", pbx_cell_int(rows, row, 2) != 0);
	(void)core_json_set_time(user, "created_at", pbx_cell_int(rows, row, 3));
	(void)core_json_set_time(user, "last_login_at", pbx_cell_int(rows, row, 4));
	return user;
}

static void on_users(void *context, const struct pbx_rows *rows)
{
	AUTO(change) struct change *change = context;
	struct pbx_json *items = core_json_array(), *body = core_json_object();

	if (rows->status != PBX_OK) {
		core_json_free(items);
		core_json_free(body);
		store_away(change);
		return;
	}
	for (uint32_t row = 0; row < rows->count; row++)
		(void)core_json_append(items, user_json(rows, row));
	(void)core_json_set(body, "items", items);
	(void)change->api->requests->reply(change->request, 200, body);
}

void api_on_users(void *self, pbx_request request)
{
	struct change *change = change_new(self, request, "");

	if (change)
		ask_store(change, "SELECT " USER_COLUMNS " FROM users ORDER BY name LIMIT 500", NULL, 0, on_users);
}

/* Whether the user who is asked about is there; else that has been said. */
static bool is_found(const struct change *change, const struct pbx_rows *rows)
{
	if (rows->status != PBX_OK)
		store_away(change);
	else if (rows->count == 0)
		(void)change->api->requests->fail(change->request, 404, "not_found", "name", "there is no user %s", change->name);
	return rows->status == PBX_OK && rows->count > 0;
}

static void on_user(void *context, const struct pbx_rows *rows)
{
	AUTO(change) struct change *change = context;

	if (is_found(change, rows))
		(void)change->api->requests->reply(change->request, 200, user_json(rows, 0));
}

void api_on_user(void *self, pbx_request request)
{
	struct api *api = self;
	struct change *change = change_new(api, request, api->requests->text(request, "name"));
	const struct pbx_value values[] = { pbx_v_text(change ? change->name : "") };

	if (change)
		ask_store(change, "SELECT " USER_COLUMNS " FROM users WHERE name = $1", values, 1, on_user);
}

/* ---- passwords -------------------------------------------------------------------------- */

struct password_change {
	struct api *api;
	char user[API_NAME_MOST + 16];
	bool must_change;
	void (*done)(void *context, int result);
	void *context;
};

static void on_password_stored(void *self, const struct pbx_rows *rows)
{
	AUTO(text) char *memory = self;
	const struct password_change *change = (const struct password_change *)(void *)memory;

	if (rows->status == PBX_OK)
		api_dispatch_review(change->api); /* the user's sessions have ended */
	change->done(change->context, rows->status == PBX_OK ? PBX_OK : PBX_EIO);
}

static void on_password_hashed(void *self, const char *hash)
{
	AUTO(text) char *memory = self;
	const struct password_change *change = (const struct password_change *)(void *)memory;
	const struct pbx_value values[] = { pbx_v_text(hash), PBX_V_INT(change->must_change), pbx_v_text(change->user) };
	const struct pbx_statement both[] = {
		{ "DELETE FROM tokens WHERE user_name = $1 AND kind = 'session'", &values[2], 1 },
		{ "UPDATE users SET password_hash = $1, must_change = $2 WHERE name = $3", values, 3 },
	};

	if (hash && change->api->store->batch(change->api->host, both, 2, on_password_stored, memory) == PBX_OK)
		(void)TAKE(memory);
	else
		change->done(change->context, PBX_EIO);
}

void api_password_set(struct api *api, const char *user, const char *password, bool must_change, void (*done)(void *context, int result),
		      void *context)
{
	AUTO(text) char *memory = calloc(1, sizeof(struct password_change));
	struct password_change *change = (struct password_change *)(void *)memory;

	if (!change) {
		done(context, PBX_EIO);
		return;
	}
	*change = (struct password_change){ .api = api, .must_change = must_change, .done = done, .context = context };
	(void)snprintf(change->user, sizeof change->user, "%s", user);
	if (api->secrets->hash_password(api->host, password, on_password_hashed, change) == PBX_OK)
		(void)TAKE(memory);
	else
		done(context, PBX_EIO);
}

/* The password asked for, or a one-time password. NULL: no randomness to be had. */
static const char *choose_password(struct change *change)
{
	const char *asked = change->api->requests->text(change->request, "password");

	if (asked)
		return asked;
	return change->api->secrets->random_text(change->one_time, API_ONE_TIME_LENGTH) == PBX_OK ? change->one_time : NULL;
}

static struct pbx_json *changed_json(const struct change *change)
{
	struct pbx_json *body = core_json_object();

	(void)core_json_set_text(body, "name", change->name); /* without memory the answer is shorter */
	if (*change->scopes)
		(void)core_json_set_text(body, "scopes", change->scopes);
	if (*change->one_time)
		(void)core_json_set_text(body, "one_time_password", change->one_time);
	(void)core_json_set_boolean(body, "must_change", true);
	return body;
}

/* ---- adding ----------------------------------------------------------------------------- */

static void on_added(void *context, const struct pbx_rows *rows)
{
	AUTO(change) struct change *change = context;
	const struct pbx_requests *requests = change->api->requests;
	char location[API_NAME_MOST + 16];

	(void)snprintf(location, sizeof location, "/users/%s", change->name);
	if (rows->status == PBX_EEXIST)
		(void)requests->fail(change->request, 409, "exists", "name", "there is a user %s already", change->name);
	else if (rows->status != PBX_OK)
		store_away(change);
	else
		(void)requests->created(change->request, location, changed_json(change));
}

static void insert_user(struct change *taken, const char *hash, pbx_rows_fn done)
{
	struct api *api = taken->api;
	char id[27];

	api->host->ulid(api->host, id);
	const struct pbx_value values[] = {
		pbx_v_text(id),   pbx_v_text(taken->name),
		pbx_v_text(hash), pbx_v_text(taken->scopes),
		PBX_V_INT(1),     PBX_V_INT(api->host->wall_us(api->host)),
		PBX_V_INT(0),
	};
	ask_store(taken,
		  "INSERT INTO users (id, name, password_hash, scopes, must_change, created_at, last_login_at) VALUES ($1, $2, $3, $4, $5, "
		  "$6, $7)",
		  values, 7, done);
}

static void on_hashed(void *self, const char *hash)
{
	AUTO(change) struct change *change = self;

	if (hash)
		insert_user(TAKE(change), hash, on_added);
	else
		api_fail_later(change->api, change->request, 503, "no_memory", 5, "the password cannot be hashed now");
}

static bool name_is_good(const char *name)
{
	return *name && strlen(name) <= API_NAME_MOST &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(name);
}

void api_on_user_add(void *self, pbx_request request)
{
	struct api *api = self;
	const struct pbx_requests *requests = api->requests;
	AUTO(change) struct change *change = change_new(api, request, requests->text(request, "name"));

	if (!change)
		return;
	if (!name_is_good(change->name)) {
		(void)requests->fail(request, 422, "not_a_name", "name", "a user's name has letters, digits, dots, dashes and underscores");
		return;
	}
	if (api_scopes_read(api, request, requests->json(request, "scopes"), requests->text(request, "scopes"), change->scopes) != PBX_OK)
		return; /* answered */
	const char *password = choose_password(change);
	if (password && api->secrets->hash_password(api->host, password, on_hashed, change) == PBX_OK)
		(void)TAKE(change);
	else
		api_fail_later(api, request, 503, "no_memory", 5, "the password cannot be hashed now");
}

/* ---- changing what is there ------------------------------------------------------------- */

/* Whether the asker has every scope the user has. */
static bool outranks(const struct change *change, const char *scopes)
{
	char scope[72];

	while (*scopes) {
		size_t length = strcspn(scopes, " ");
		(void)snprintf(scope, sizeof scope, "%.*s", (int)length, scopes);
		if (!change->api->requests->may(change->request, scope))
			return false;
		scopes += length;
		scopes += strspn(scopes, " ");
	}
	return true;
}

static void on_target(void *context, const struct pbx_rows *rows)
{
	AUTO(change) struct change *change = context;

	if (!is_found(change, rows))
		return;
	if (!outranks(change, pbx_cell_text(rows, 0, 0)))
		(void)change->api->requests->fail(change->request, 403, "not_permitted", NULL, "%s has scopes that you have not got",
						  change->name);
	else
		change->act(TAKE(change));
}

/* Looks the user up and, if the asker may, goes on with act. */
static void change_user(struct change *taken, void (*act)(struct change *taken))
{
	const struct pbx_value values[] = { pbx_v_text(taken->name) };

	taken->act = act;
	ask_store(taken, "SELECT scopes FROM users WHERE name = $1", values, 1, on_target);
}

#define NOT_THE_LAST_ADMIN "(scopes <> '*' OR (SELECT COUNT(*) FROM users WHERE scopes = '*') > 1)"

/* The user was there a moment ago: no change means the last administrator. */
static void on_done(void *context, const struct pbx_rows *rows)
{
	AUTO(change) struct change *change = context;
	const struct pbx_requests *requests = change->api->requests;

	if (rows->status != PBX_OK)
		store_away(change);
	else if (rows->changed == 0)
		(void)requests->fail(change->request, 409, "last_admin", "name", "%s is the last administrator", change->name);
	else if (*change->scopes)
		(void)requests->reply(change->request, 200, changed_json(change));
	else
		(void)requests->reply(change->request, 204, NULL);
	if (rows->status == PBX_OK)
		api_dispatch_review(change->api); /* tokens have gone with it */
}

static void run_both(struct change *taken, const char *first, const char *second, const struct pbx_value *values, uint32_t count)
{
	AUTO(change) struct change *change = taken;
	const struct pbx_statement both[] = { { first, values, count }, { second, values, count } };

	if (change->api->store->batch(change->api->host, both, 2, on_done, change) == PBX_OK)
		(void)TAKE(change);
	else
		api_fail_later(change->api, change->request, 503, "store_busy", 5, "the database has too much to do");
}

static void remove_user(struct change *change)
{
	const struct pbx_value values[] = { pbx_v_text(change->name) };

	run_both(change,
		 "DELETE FROM tokens WHERE user_name = $1 AND EXISTS (SELECT 1 FROM users WHERE name = $1 AND " NOT_THE_LAST_ADMIN ")",
		 "DELETE FROM users WHERE name = $1 AND " NOT_THE_LAST_ADMIN, values, 1);
}

void api_on_user_remove(void *self, pbx_request request)
{
	struct api *api = self;
	struct change *change = change_new(api, request, api->requests->text(request, "name"));

	if (change)
		change_user(change, remove_user);
}

/* Tokens carry scopes of their own, so those of a user whose scopes change end. */
static void set_scopes(struct change *change)
{
	const struct pbx_value values[] = { pbx_v_text(change->name), pbx_v_text(change->scopes) };

	run_both(change,
		 "DELETE FROM tokens WHERE user_name = $1 AND EXISTS (SELECT 1 FROM users WHERE name = $1 AND ($2 = '*' "
		 "OR " NOT_THE_LAST_ADMIN "))",
		 "UPDATE users SET scopes = $2 WHERE name = $1 AND ($2 = '*' OR " NOT_THE_LAST_ADMIN ")", values, 2);
}

void api_on_user_change(void *self, pbx_request request)
{
	struct api *api = self;
	const struct pbx_requests *requests = api->requests;
	AUTO(change) struct change *change = change_new(api, request, requests->text(request, "name"));

	if (change &&
	    api_scopes_read(api, request, requests->json(request, "scopes"), requests->text(request, "scopes"), change->scopes) == PBX_OK)
		change_user(TAKE(change), set_scopes);
}

static void on_passwd(void *context, int result)
{
	AUTO(change) struct change *change = context;

	if (result == PBX_OK)
		(void)change->api->requests->reply(change->request, 200, changed_json(change));
	else
		store_away(change);
}

static void set_password(struct change *change)
{
	const char *password = choose_password(change);

	if (password)
		api_password_set(change->api, change->name, password, true, on_passwd, change);
	else
		on_passwd(change, PBX_EIO);
}

void api_on_user_passwd(void *self, pbx_request request)
{
	struct api *api = self;
	struct change *change = change_new(api, request, api->requests->text(request, "name"));

	if (change)
		change_user(change, set_password);
}

/* ---- the first user --------------------------------------------------------------------- */

static void first_login_path(const struct api *api, char ret_path[PATH_MAX])
{
	(void)snprintf(ret_path, PATH_MAX, "%.4000s/first-login", api->data_dir);
}

void api_first_login_forget(const struct api *api)
{
	char path[PATH_MAX];

	first_login_path(api, path);
	if (unlink(path) != 0 && errno != ENOENT)
		core_log(PBX_LOG_WARN, "api", NULL, "first_login_kept", "file=%s reason=\"%s\"", path, strerror(errno));
}

/* The password goes into a file that only the daemon's user can read, never into a log. */
static int write_first_login(const struct api *api, const char *password)
{
	char path[PATH_MAX];

	api_first_login_forget(api);
	first_login_path(api, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return PBX_EIO;
	bool written = dprintf(fd, "%s\n", password) > 0 && fsync(fd) == 0;
	return close(fd) == 0 && written ? PBX_OK : PBX_EIO;
}

/* Without a first user log-in refuses everybody; the operator is told how to go on. */
static void give_up(struct api *api, const char *reason)
{
	core_log(PBX_LOG_ERROR, "api", NULL, "first_user_not_made", "reason=\"%s\" cure=\"pbxctl user add NAME admin\"", reason);
	api_users_ready(api);
}

static void on_first_made(void *context, const struct pbx_rows *rows)
{
	AUTO(change) struct change *change = context;

	if (rows->status != PBX_OK && rows->status != PBX_EEXIST) {
		give_up(change->api, rows->error);
		return;
	}
	if (rows->status == PBX_OK)
		core_log(PBX_LOG_NOTICE, "api", NULL, "first_user_made", "user=%s password=\"in first-login of the data directory\"",
			 change->name);
	api_users_ready(change->api);
}

static void on_first_hashed(void *self, const char *hash)
{
	AUTO(change) struct change *change = self;

	if (hash)
		insert_user(TAKE(change), hash, on_first_made);
	else
		give_up(change->api, "stopped, or out of memory, while the password was hashed; the next start tries again");
}

static void on_counted(void *context, const struct pbx_rows *rows)
{
	AUTO(change) struct change *change = context;
	struct api *api = change->api;

	if (rows->status != PBX_OK) {
		give_up(api, rows->error);
		return;
	}
	if (rows->count > 0 && pbx_cell_int(rows, 0, 0) > 0) {
		api_users_ready(api);
		return;
	}
	const char *password = api->secrets->random_text(change->one_time, API_ONE_TIME_LENGTH) == PBX_OK ? change->one_time : NULL;
	if (password && write_first_login(api, password) == PBX_OK &&
	    api->secrets->hash_password(api->host, password, on_first_hashed, change) == PBX_OK)
		(void)TAKE(change);
	else
		give_up(api, strerror(errno));
}

void api_first_user(struct api *api)
{
	AUTO(change) struct change *change = calloc(1, sizeof *change);

	if (!change) {
		give_up(api, "out of memory");
		return;
	}
	change->api = api;
	(void)snprintf(change->name, sizeof change->name, FIRST_USER);
	(void)snprintf(change->scopes, sizeof change->scopes, "*");
	if (api->store->run(api->host, "SELECT COUNT(*) FROM users", NULL, 0, on_counted, change) == PBX_OK)
		(void)TAKE(change);
	else
		give_up(api, "the database has too much to do");
}
