/*
 * store_postgres.c - PostgreSQL: a pool of connections on the loop
 *
 * Every connection is kept open and tried again, more and more patiently, when it is lost. A job goes to the connection
 * its owner's jobs are on, so that they stay in order, else to the one with the least to do. While at least one is ready
 * the engine is up. A server that has stopped answering without closing is found out by a timer. Names of hosts are looked
 * up in the work pool, because libpq would wait for them here.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <string.h>
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "store_postgres.h"

#define POOL_MOST 32u
#define POOL_USUAL 4u
#define TICK_MS 250u
#define RETRY_MS 250u
#define RETRY_MOST_MS 10000u
#define CONNECT_US 10000000u
#define SILENCE_US 5000000u /* beyond the statement's own limit */
#define STATEMENT_MS 30000u

static struct {
	bool open;
	uint32_t size, round; /* round: of this opening; what an older one had in the work pool is ignored */
	char *url, *host;     /* host: to be looked up, or NULL */
	uint32_t statement_timeout_ms;
	struct pg_connection connections[POOL_MOST];
	struct core_post_node flush;
	uv_timer_t *ticks;
	uint32_t random;
} pool;

static uint32_t ready_count(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < pool.size; i++)
		count += pool.connections[i].state == PG_READY;
	return count;
}

/* ---- connecting ---- */

struct looking_up {
	uint32_t round, connection, attempt;
	char host[256], address[INET6_ADDRSTRLEN];
};

/* [work] The first address, and at each further attempt the next. */
static void look_up(void *job)
{
	struct looking_up *looking = job;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	uint32_t count = 0, at = 0;

	if (getaddrinfo(looking->host, NULL, &hints, &found) != 0)
		return;
	for (const struct addrinfo *info = found; info; info = info->ai_next)
		count++;
	for (const struct addrinfo *info = found; info; info = info->ai_next)
		if (at++ == looking->attempt % count)
			(void)getnameinfo(info->ai_addr, info->ai_addrlen, looking->address, sizeof looking->address, NULL, 0,
					  NI_NUMERICHOST);
	freeaddrinfo(found);
}

static void on_looked_up(void *context, void *job, int status)
{
	struct looking_up *looking = job;
	struct pg_connection *connection = &pool.connections[looking->connection];

	(void)context;
	if (pool.open && looking->round == pool.round && connection->state == PG_CONNECTING && !connection->pg) {
		if (status == PBX_OK && *looking->address)
			pg_connection_open(connection, pool.url, looking->address, pool.statement_timeout_ms);
		else
			pg_connection_lose(connection, "the host's name has no address");
	}
	free(looking);
}

static void connect_by_name(uint32_t at)
{
	struct pg_connection *connection = &pool.connections[at];
	struct looking_up *looking = calloc(1, sizeof *looking);

	connection->state = PG_CONNECTING;
	connection->heard_us = core_now_us();
	if (looking) {
		*looking = (struct looking_up){ .round = pool.round, .connection = at, .attempt = connection->failures };
		(void)snprintf(looking->host, sizeof looking->host, "%s", pool.host);
	}
	if (!looking || core_work(core_self(), look_up, on_looked_up, NULL, looking) != PBX_OK) {
		free(looking);
		pg_connection_lose(connection, "no memory");
	}
}

static void connect_one(uint32_t at)
{
	if (pool.host)
		connect_by_name(at);
	else
		pg_connection_open(&pool.connections[at], pool.url, NULL, pool.statement_timeout_ms);
}

/* ---- watching over them ---- */

/* xorshift: only to keep many nodes from coming back in the same instant */
static uint32_t jitter(uint32_t below)
{
	pool.random ^= pool.random << 13;
	pool.random ^= pool.random >> 17;
	pool.random ^= pool.random << 5;
	return pool.random % below;
}

/* One has found out that nobody answers: those that have not asked lately would find out one after the other. */
static void lose_silent(struct pg_connection *silent)
{
	pg_connection_lose(silent, "the server has stopped answering");
	for (uint32_t i = 0; i < pool.size; i++)
		if (pool.connections[i].state == PG_READY && !pool.connections[i].first)
			pg_connection_lose(&pool.connections[i], "the server has stopped answering");
}

static void check(uint32_t at, uint64_t now_us)
{
	struct pg_connection *connection = &pool.connections[at];
	uint64_t silent_us = now_us - connection->heard_us;

	if (connection->state == PG_DOWN && now_us >= connection->retry_at_us)
		connect_one(at);
	else if ((connection->state == PG_CONNECTING || connection->state == PG_SETTING_UP) && silent_us > CONNECT_US)
		pg_connection_lose(connection, "the server does not answer");
	else if (connection->state == PG_READY && connection->first && silent_us > pool.statement_timeout_ms * 1000ull + SILENCE_US)
		lose_silent(connection);
}

static void on_tick(uv_timer_t *ticks);

/* Ticks only while there is something to watch. */
static void tick_on(void)
{
	if (pool.ticks && !uv_is_active((uv_handle_t *)pool.ticks))
		(void)uv_timer_start(pool.ticks, on_tick, TICK_MS, 0); /* fails only without a callback */
}

static void on_tick(uv_timer_t *ticks)
{
	uint64_t now_us = core_now_us();
	bool again = false;

	(void)ticks;
	for (uint32_t i = 0; i < pool.size; i++) {
		check(i, now_us);
		again = again || pool.connections[i].state != PG_READY || pool.connections[i].first;
	}
	if (again)
		tick_on();
}

void pg_pool_ready(struct pg_connection *connection)
{
	if (connection->failures > 0)
		store_reconnected();
	connection->failures = 0;
	store_is_up();
}

/* Records first: they must be in the journal before whatever a callback may record next. */
static void give_back(struct pg_connection *connection, int status, const char *reason)
{
	struct store_queue lost = connection->under_way, others = { 0 };

	connection->under_way = (struct store_queue){ 0 };
	for (struct store_job *job; (job = store_queue_take(&lost));) {
		store_rows_fail(&job->result, status, reason);
		if (job->record)
			store_finish(job);
		else
			store_queue_put(&others, job);
	}
	for (struct store_job *job; (job = store_queue_take(&others));)
		store_finish(job);
}

void pg_pool_lost(struct pg_connection *connection)
{
	uint32_t delay_ms = RETRY_MS << (connection->failures < 6 ? connection->failures : 6);

	if (delay_ms > RETRY_MOST_MS)
		delay_ms = RETRY_MOST_MS;
	connection->retry_at_us = core_now_us() + (delay_ms / 2 + jitter(delay_ms / 2 + 1)) * 1000ull;
	if (connection->failures == 0 || delay_ms == RETRY_MOST_MS)
		core_log(PBX_LOG_WARN, "core", NULL, "store_connection_lost", "number=%u reason=\"%s\"",
			 (unsigned)(connection - pool.connections), connection->reason);
	connection->failures++;
	tick_on();

	bool away = ready_count() == 0;
	give_back(connection, PBX_EIO, connection->reason);
	if (away && ready_count() == 0)
		store_is_away(connection->reason);
}

/* ---- jobs ---- */

static struct pg_connection *connection_for(struct store_job *job)
{
	void **lane = store_job_lane(job);
	struct pg_connection *best = *lane;

	if (best && best->state == PG_READY && !best->broken)
		return best;
	best = NULL;
	for (uint32_t i = 0; i < pool.size; i++) {
		struct pg_connection *connection = &pool.connections[i];

		if (connection->state == PG_READY && !connection->broken && (!best || connection->under_way.count < best->under_way.count))
			best = connection;
	}
	*lane = best;
	return best;
}

static void pg_submit(struct store_job *job)
{
	struct pg_connection *connection = connection_for(job);

	if (connection) {
		pg_connection_send(connection, job);
		tick_on();
	} else {
		store_rows_fail(&job->result, PBX_EIO, "the database is away");
		store_finish_soon(job);
	}
}

static void on_flush(void *context)
{
	(void)context;
	for (uint32_t i = 0; i < pool.size && pool.open; i++)
		if (pool.connections[i].pg && (pool.connections[i].wants_flush || pool.connections[i].broken))
			pg_connection_flush(&pool.connections[i]);
}

/* What the current callback asks for leaves in one piece. */
void pg_pool_flush_soon(void)
{
	core_post_node(core_self(), &pool.flush, on_flush, NULL);
}

/* ---- life ---- */

static bool is_numeric(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

/* One name that would have to be looked up. Several are left to libpq, and so is a socket's folder. */
static int find_host(const char *url, char **ret_host, char *reason, size_t reason_size)
{
	char *error = NULL;
	const char *host = NULL, *hostaddr = NULL;
	PQconninfoOption *options = PQconninfoParse(url, &error);

	*ret_host = NULL;
	if (!options) {
		(void)snprintf(reason, reason_size, "store.url: %s", error ? error : "no memory");
		PQfreemem(error);
		return PBX_EINVAL;
	}
	for (const PQconninfoOption *option = options; option->keyword; option++) {
		if (strcmp(option->keyword, "host") == 0)
			host = option->val;
		else if (strcmp(option->keyword, "hostaddr") == 0)
			hostaddr = option->val;
	}
	if (host && *host && *host != '/' && *host != '@' && !strchr(host, ',') && !hostaddr && !is_numeric(host))
		*ret_host = strdup(host);
	PQconninfoFree(options);
	return PBX_OK;
}

static int open_ticks(void)
{
	pool.ticks = calloc(1, sizeof *pool.ticks);
	if (!pool.ticks)
		return PBX_ENOMEM;
	(void)uv_timer_init(core_loop_uv(), pool.ticks); /* always succeeds */
	return PBX_OK;
}

static int pg_open(const struct core_store_config *config, char *reason, size_t reason_size)
{
	uint32_t round = pool.round + 1;
	char *host;

	if (!config->url || !*config->url) {
		(void)snprintf(reason, reason_size, "no url is set");
		return PBX_EINVAL;
	}
	int err = find_host(config->url, &host, reason, reason_size);
	if (err != PBX_OK)
		return err;

	memset(&pool, 0, sizeof pool);
	pool.round = round;
	pool.random = (uint32_t)core_now_us() | 1u;
	pool.host = host;
	pool.url = strdup(config->url);
	pool.size = config->pool == 0 ? POOL_USUAL : config->pool < POOL_MOST ? config->pool : POOL_MOST;
	pool.statement_timeout_ms = config->statement_timeout_ms ? config->statement_timeout_ms : STATEMENT_MS;
	if (!pool.url || open_ticks() != PBX_OK) {
		free(pool.url);
		free(pool.host);
		return PBX_ENOMEM;
	}
	pool.open = true;
	(void)uv_timer_start(pool.ticks, on_tick, 0, 0); /* connects in the first round, so that the caller has returned */
	return PBX_OK;
}

static void on_ticks_closed(uv_handle_t *handle)
{
	free(handle);
}

static void pg_close(void)
{
	pool.open = false;
	core_unpost(&pool.flush);
	uv_close((uv_handle_t *)pool.ticks, on_ticks_closed);
	pool.ticks = NULL;
	for (uint32_t i = 0; i < pool.size; i++)
		pg_connection_close(&pool.connections[i]);
	for (uint32_t i = 0; i < pool.size; i++)
		give_back(&pool.connections[i], PBX_ECANCELLED, "the store is closing");
	free(pool.url);
	free(pool.host);
	pool.url = pool.host = NULL;
}

const struct store_engine store_postgres = {
	.name = "postgresql",
	.has_types = true,
	.open = pg_open,
	.submit = pg_submit,
	.close = pg_close,
};
