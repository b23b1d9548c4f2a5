/*
 * server.c - CivetWeb: where it listens, its certificate and options, its start and stop
 *
 * Of Debian's CivetWeb it was measured: no IPv6; TLS only with the objects in shim/; directory listing, CGI, SSI and CORS are on unless
 * switched off; its access log uses localtime() in every thread, so it has none (what changes something is audited by core/request.h).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "certificate.h"
#include "event_door.h"
#include "gateway.h"
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "shim/shim.h"
#include "sip_door.h"

#define KEEP_ALIVE_MS 5000u
#define MOST_OPTIONS 38
#define PARTING_S 2

/* ---- where to listen -------------------------------------------------------------------- */

struct listen {
	char host[64];
	uint32_t port;
};

static int parse_listen(const char *text, struct listen *ret_listen)
{
	const char *colon = strrchr(text, ':');
	struct in_addr address;
	char *end;

	if (!colon || (size_t)(colon - text) >= sizeof ret_listen->host || colon[1] < '0' || colon[1] > '9')
		return PBX_EINVAL;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end || port > 65535)
		return PBX_EINVAL;

	struct listen listen = { .port = (uint32_t)port };
	memcpy(listen.host, text, (size_t)(colon - text));
	if (strcmp(listen.host, "localhost") == 0)
		(void)strcpy(listen.host, "127.0.0.1");
	if (listen.host[0] == '\0' || strcmp(listen.host, "*") == 0)
		(void)strcpy(listen.host, "0.0.0.0");
	if (inet_pton(AF_INET, listen.host, &address) != 1)
		return PBX_EINVAL;
	*ret_listen = listen;
	return PBX_OK;
}

int api_server_check(const struct api_settings *settings, struct pbx_diag *diag)
{
	struct listen listen;

	if (parse_listen(settings->listen, &listen) != PBX_OK) {
		pbx_diag_set(diag, "api.listen", "%s: expected an IPv4 address and a port, as 127.0.0.1:9000", settings->listen);
		return PBX_EINVAL;
	}
	if (settings->plain_http && strncmp(listen.host, "127.", 4) != 0) {
		pbx_diag_set(diag, "api.plain_http",
			     "passwords would travel in the clear: with plain_http listen on 127.0.0.1 and put a TLS proxy in front");
		return PBX_EINVAL;
	}
	if (!*settings->certificate != !*settings->key) {
		pbx_diag_set(diag, "api.key", "certificate and key go together: set both, or none for one of our own making");
		return PBX_EINVAL;
	}
	return PBX_OK;
}

/* ---- what CivetWeb asks and tells ------------------------------------------------------- */

/* CivetWeb says "cannot bind to 127.0.0.1:9000s: 98 (…)": its own way to write a port, and a number for what happened. */
static void tell_failure(struct api_server *server, const char *message)
{
	static const char words[] = "cannot bind to ";
	const char *at = strstr(message, words), *number = at ? strstr(at + sizeof words - 1, ": ") : NULL;
	int error = number ? atoi(number + 2) : 0;

	if (error > 0)
		pbx_diag_set(&server->diag, "api.listen", "cannot listen on %.100s: %s", server->api->settings->listen, strerror(error));
	else
		pbx_diag_set(&server->diag, "api.listen", "%s", message);
}

static int on_message(const struct mg_connection *connection, const char *message)
{
	struct api_server *server = mg_get_user_data(mg_get_context(connection));

	core_log(PBX_LOG_DEBUG, "api", NULL, "http", "text=\"%.200s\"", message);
	if (server && pthread_equal(pthread_self(), server->starter) && !*server->diag.text) /* the first is the cause */
		tell_failure(server, message);
	return 1;
}

static int on_ssl(void *context, void *user)
{
	struct api_server *server = user;
	SSL_CTX *ssl = context;

	(void)SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	if (SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
		return -1;

	const struct api_settings *settings = server->api->settings;
	struct core_certificate files;
	int err = core_certificate_find("api", settings->certificate, settings->key, server->api->data_dir, settings->listen, &files,
					&server->diag);
	if (err == PBX_OK)
		err = core_certificate_load(&files, ssl, &server->diag);
	return err == PBX_OK ? 1 : -1;
}

static void *on_thread(const struct mg_context *context, int type)
{
	const struct api_server *server = mg_get_user_data(context);

	if (type == 0) /* the master */
		crowd_receive(server->crowd);
	return NULL;
}

static const struct api_server *server_of(const struct mg_connection *connection)
{
	return mg_get_user_data(mg_get_context(connection));
}

static int on_request(struct mg_connection *connection)
{
	crowd_tell(server_of(connection)->crowd, connection, CROWD_SERVED);
	return 0; /* CivetWeb goes on */
}

static void on_answered(const struct mg_connection *connection, int status)
{
	(void)status;
	crowd_tell(server_of(connection)->crowd, connection, CROWD_RESTS);
}

static void on_close(const struct mg_connection *connection)
{
	crowd_leave(server_of(connection)->crowd, connection);
}

/* ---- start and stop --------------------------------------------------------------------- */

static void server_free(struct api_server *server)
{
	crowd_free(server->crowd);
	(void)pthread_mutex_destroy(&server->lock);
	(void)pthread_cond_destroy(&server->parted);
	free(server);
}

static struct mg_context *civetweb_start(struct api_server *server, const struct api_settings *settings, const struct listen *listen)
{
	const struct mg_callbacks callbacks = { .log_message = on_message,
						.init_ssl = on_ssl,
						.init_thread = on_thread,
						.begin_request = on_request,
						.end_request = on_answered,
						.connection_close = on_close };
	char port[96], threads[16], timeout[16], keep_alive[16];
	const char *options[MOST_OPTIONS] = {
		"listening_ports",
		port,
		"num_threads",
		threads,
		"request_timeout_ms",
		timeout,
		"keep_alive_timeout_ms",
		keep_alive,
		"enable_keep_alive",
		"yes",
		"tcp_nodelay",
		"1",
		"decode_url",
		"no",
		"enable_auth_domain_check",
		"no",
		"enable_directory_listing",
		"no",
		"cgi_pattern",
		"",
		"ssi_pattern",
		"",
		"access_control_allow_origin",
		"",
		"access_control_allow_methods",
		"",
		"access_control_allow_headers",
		"",
		"enable_websocket_ping_pong",
		"yes",
		"websocket_timeout_ms",
		"30000",
	};
	size_t count = 32;

	(void)snprintf(port, sizeof port, "%s:%u%s", listen->host, listen->port, settings->plain_http ? "" : "s");
	(void)snprintf(threads, sizeof threads, "%u", settings->threads + settings->sip_clients);
	(void)snprintf(timeout, sizeof timeout, "%u", READ_TIMEOUT_MS);
	(void)snprintf(keep_alive, sizeof keep_alive, "%u", KEEP_ALIVE_MS);
	if (server->serves_files) {
		options[count++] = "document_root";
		options[count++] = settings->static_dir;
		options[count++] = "additional_header";
		options[count++] =
			"Content-Security-Policy: default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'\r\n"
			"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer";
	}
	(void)mg_init_library(settings->plain_http ? 0 : MG_FEATURES_TLS);
	return mg_start(&callbacks, server, options);
}

/* For the HTTP threads, which do not see settings. */
static void write_origins(const struct pbx_list *origins, char *ret_text, size_t room)
{
	for (size_t i = 0, used = 0; i < origins->count && used < room; i++)
		used += (size_t)snprintf(ret_text + used, room - used, "%s%s", i ? " " : "", origins->items[i]);
}

int api_server_start(struct api *api, struct pbx_diag *diag)
{
	struct api_server *server = calloc(1, sizeof *server);
	pthread_condattr_t monotonic;
	struct listen listen;

	if (!server)
		return PBX_ENOMEM;
	if (api_server_check(api->settings, diag) != PBX_OK || parse_listen(api->settings->listen, &listen) != PBX_OK) {
		free(server);
		return PBX_EINVAL;
	}
	server->api = api;
	server->starter = pthread_self();
	server->shims[0] = api_shim_ssl;
	server->shims[1] = api_shim_crypto;
	server->max_body_bytes = api->settings->max_body_bytes;
	server->serves_files = *api->settings->static_dir != '\0';
	server->most_sip_clients = api->settings->sip_clients;
	server->sip_greeting_s = api->settings->sip_greeting_s;
	write_origins(&api->settings->sip_origins, server->sip_origins, sizeof server->sip_origins);
	write_origins(&api->settings->event_origins, server->event_origins, sizeof server->event_origins);
	(void)pthread_mutex_init(&server->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&server->parted, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);

	server->crowd = crowd_new(api->settings->threads + api->settings->sip_clients, !api->settings->plain_http);
	if (!server->crowd) {
		server_free(server);
		return PBX_ENOMEM;
	}
	server->civetweb = civetweb_start(server, api->settings, &listen);
	if (!server->civetweb) {
		*diag = server->diag;
		server_free(server);
		return PBX_EIO;
	}
	mg_set_request_handler(server->civetweb, "/", api_gateway_serve, server);
	sip_door_open(server);
	event_door_open(server);
	struct mg_server_port port = { 0 };
	if (listen.port == 0 && mg_get_server_ports(server->civetweb, 1, &port) == 1)
		listen.port = (uint32_t)port.port;
	(void)snprintf(api->listening, sizeof api->listening, "%s:%u", listen.host, listen.port);
	server->address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)listen.port) };
	(void)inet_pton(AF_INET, listen.host, &server->address.sin_addr); /* it was read before */
	api->server = server;
	return PBX_OK;
}

void api_server_count(const struct api *api, struct crowd_counts *ret_counts)
{
	crowd_count(api->server->crowd, ret_counts);
}

/* CivetWeb's acceptor looks at its stop flag when somebody knocks, or every two seconds. */
static void *knock(void *context)
{
	const struct api_server *server = context;
	const struct timespec pause = { .tv_nsec = 20000000 }; /* until mg_stop has raised the flag */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)nanosleep(&pause, NULL);
	if (fd >= 0) {
		(void)connect(fd, (const struct sockaddr *)&server->address, sizeof server->address);
		(void)close(fd);
	}
	return NULL;
}

/* CivetWeb that is told to stop cuts off in the middle whatever is being written: those who were just told why they have to leave hear the
 * end of it first, unless they take too long. */
static void let_them_part(struct api_server *server)
{
	struct timespec until;
	int waited = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PARTING_S;
	(void)pthread_mutex_lock(&server->lock);
	while (server->visits && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&server->parted, &server->lock, &until);
	(void)pthread_mutex_unlock(&server->lock);
}

static void end_threads(void *job)
{
	struct api_server *server = job;
	pthread_t knocker;

	let_them_part(server);
	bool knocks = pthread_create(&knocker, NULL, knock, server) == 0; /* without it, it takes two seconds */

	mg_stop(server->civetweb); /* waits for threads that have nothing left to wait for */
	if (knocks)
		(void)pthread_join(knocker, NULL);
	(void)mg_exit_library();
}

static void on_threads_ended(void *context, void *job, int status)
{
	(void)context;
	if (status != PBX_OK) /* the pool would not */
		end_threads(job);
	server_free(job);
}

/* An idle connection may hold its thread for two seconds, so the loop does not wait: from here on the server needs nobody. */
void api_server_stop(struct api *api)
{
	struct api_server *server = api->server;

	if (!server)
		return;
	(void)pthread_mutex_lock(&server->lock);
	server->stopping = true;
	for (struct visit *visit = server->visits; visit; visit = visit->next)
		exchange_end(visit->exchange);
	(void)pthread_mutex_unlock(&server->lock);

	api->server = NULL;
	if (core_work(core_self(), end_threads, on_threads_ended, NULL, server) != PBX_OK)
		on_threads_ended(NULL, server, PBX_ENOMEM);
}
