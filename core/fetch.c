/*
 * fetch - HTTP transfers of libcurl on the loop
 *
 * libcurl tells which sockets and which timer it waits for; they become uv_poll_t and one uv_timer_t. The address of a connection is
 * asked about twice: when its socket is opened, and before each request, since a kept connection opens no socket and fetch.allow
 * may have changed. A transfer is charged to its owner; when the owner stops, it is dropped without a word.
 */
#include "fetch.h"
#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include "fetch_guard.h"
#include "handle.h"
#include "log.h"
#include "loop.h"
#include "overlap.h"
#include "owner.h"
#include "settings.h"

#define MOST_TRANSFERS 1000u
#define CONNECT_MS 5000u
#define TOTAL_MS 10000u
#define MOST_BYTES 65536u

struct transfer {
	struct core_charge charge; /* first: a charge is its transfer */
	pbx_transfer handle;
	struct pbx_host *owner;
	void (*done)(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result);
	void *self;
	CURL *easy;
	struct curl_slist *headers;
	char *host;
	uint16_t port;
	char *body;
	size_t body_size, most_bytes;
	uint64_t started_us;
	bool opened, cut;
	struct core_post_node end_early;
	bool cancelled;
	char refused[INET6_ADDRSTRLEN]; /* the last address that was, "" for none */
	char error[CURL_ERROR_SIZE];
};

struct watched {
	uv_poll_t poll;
	curl_socket_t socket;
};

struct fetch_settings {
	struct pbx_list allow;
};

static const struct pbx_setting rows[] = {
	PBX_LIST(struct fetch_settings, allow, .initial_text = "",
		 .help = "Addresses that HTTP requests of ours may go to although they are not public, as host:port, CIDR:port or "
			 "[CIDR]:port"),
};

static CURLM *multi;
static uv_timer_t timer;
static struct core_handles transfers;

/* ---- the guard ---------------------------------------------------------------------------------- */

static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *transfer = context;
	const void *ip = address->family == AF_INET ? (const void *)&((struct sockaddr_in *)(void *)&address->addr)->sin_addr
						    : (const void *)&((struct sockaddr_in6 *)(void *)&address->addr)->sin6_addr;

	(void)purpose;
	if (!core_fetch_guard_permits(transfer->host, transfer->port, &address->addr)) {
		if (!inet_ntop(address->family, ip, transfer->refused, sizeof transfer->refused))
			(void)snprintf(transfer->refused, sizeof transfer->refused, "?");
		return CURL_SOCKET_BAD;
	}
	transfer->opened = true;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* A connection, new or kept, is about to carry this request. */
static int on_request(void *context, char *ip, char *local_ip, int port, int local_port)
{
	struct transfer *transfer = context;
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	const struct sockaddr *address = NULL;

	(void)local_ip, (void)local_port, (void)port;
	if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
		address = (const struct sockaddr *)&v4;
	else if (inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1)
		address = (const struct sockaddr *)&v6;
	if (address && core_fetch_guard_permits(transfer->host, transfer->port, address))
		return CURL_PREREQFUNC_OK;
	(void)snprintf(transfer->refused, sizeof transfer->refused, "%s", ip);
	transfer->opened = false;
	return CURL_PREREQFUNC_ABORT;
}

/* ---- a transfer's life ------------------------------------------------------------------------------ */

static void transfer_free(struct transfer *transfer)
{
	if (!transfer)
		return;
	core_charge_remove(&transfer->charge);
	core_unpost(&transfer->end_early);
	if (transfer->handle.id) {
		core_handle_free(&transfers, transfer->handle.id);
		(void)curl_multi_remove_handle(multi, transfer->easy);
		core_busy(-1);
	}
	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	free(transfer->host);
	free(transfer->body);
	free(transfer);
}

static void on_revoked(struct core_charge *charge)
{
	transfer_free((struct transfer *)charge);
}

static size_t on_body(char *bytes, size_t one, size_t size, void *context)
{
	struct transfer *transfer = context;
	const size_t left = transfer->most_bytes - transfer->body_size, kept = size < left ? size : left;
	char *body = realloc(transfer->body, transfer->body_size + kept + 1);

	(void)one; /* always 1 */
	if (!body)
		return 0;
	memcpy(body + transfer->body_size, bytes, kept);
	transfer->body = body;
	transfer->body_size += kept;
	body[transfer->body_size] = '\0';
	transfer->cut = kept < size;
	return kept; /* less than size ends the transfer: nobody waits for what nobody keeps */
}

static int32_t status_of(const struct transfer *transfer, CURLcode code)
{
	if (transfer->cancelled)
		return PBX_ECANCELLED;
	if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && transfer->cut))
		return PBX_OK;
	if (transfer->refused[0] && !transfer->opened)
		return PBX_EPERM;
	return code == CURLE_OPERATION_TIMEDOUT ? PBX_ETIMEOUT : PBX_EIO;
}

static void describe(const struct transfer *transfer, int32_t status, CURLcode code, char *ret_text, size_t size)
{
	ret_text[0] = '\0';
	if (status == PBX_EPERM)
		(void)snprintf(ret_text, size, "address_not_allowed: %s (fetch.allow names exceptions)", transfer->refused);
	else if (status == PBX_ECANCELLED)
		(void)snprintf(ret_text, size, "cancelled");
	else if (status != PBX_OK)
		(void)snprintf(ret_text, size, "%s", transfer->error[0] ? transfer->error : curl_easy_strerror(code));
}

static void finish(struct transfer *transfer, CURLcode code)
{
	struct pbx_fetch_result result = { .size = sizeof result,
					   .status = status_of(transfer, code),
					   .body = transfer->body ? transfer->body : "",
					   .body_size = transfer->body_size,
					   .retry_after = "" };
	struct curl_header *header;
	char error[CURL_ERROR_SIZE + 64];
	long http_code = 0;

	describe(transfer, result.status, code, error, sizeof error);
	result.error = error;
	result.took_ms = (uint32_t)((core_now_us() - transfer->started_us) / 1000);
	if (result.status == PBX_OK) {
		(void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &http_code);
		result.http_code = (uint32_t)http_code;
		if (curl_easy_header(transfer->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
			result.retry_after = header->value;
	}
	core_charge_remove(&transfer->charge);
	CORE_INTO(transfer->owner, transfer->done(transfer->self, transfer->handle, &result));
	transfer_free(transfer);
}

static void finish_those_done(void)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(multi, &left))) {
		struct transfer *transfer = NULL;
		const CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		finish(transfer, code);
	}
}

/* ---- libcurl on libuv ------------------------------------------------------------------------------------ */

static void on_ready(uv_poll_t *poll, int status, int events)
{
	const struct watched *watched = poll->data;
	int running, what = 0;

	if (status < 0)
		what = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		what |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		what |= CURL_CSELECT_OUT;
	(void)curl_multi_socket_action(multi, watched->socket, what, &running);
	finish_those_done();
}

static void on_due(uv_timer_t *handle)
{
	int running;

	(void)handle;
	(void)curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	finish_those_done();
}

static int on_timer(CURLM *from, long timeout_ms, void *context)
{
	(void)from, (void)context;
	if (timeout_ms < 0) {
		(void)uv_timer_stop(&timer);
	} else {
		uv_update_time(core_loop_uv());
		(void)uv_timer_start(&timer, on_due, (uint64_t)timeout_ms, 0);
	}
	return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void unwatch(struct watched *watched)
{
	(void)uv_poll_stop(&watched->poll);
	uv_close((uv_handle_t *)&watched->poll, on_poll_closed);
}

static struct watched *watch(curl_socket_t socket)
{
	struct watched *watched = calloc(1, sizeof *watched);

	if (!watched)
		return NULL;
	watched->socket = socket;
	watched->poll.data = watched;
	if (uv_poll_init_socket(core_loop_uv(), &watched->poll, socket) == 0)
		return watched;
	free(watched);
	return NULL;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *of_socket)
{
	struct watched *watched = of_socket;
	int events = 0;

	(void)easy, (void)context;
	if (what == CURL_POLL_REMOVE) {
		if (watched)
			unwatch(watched);
		(void)curl_multi_assign(multi, socket, NULL);
		return 0;
	}
	if (!watched) {
		watched = watch(socket);
		if (!watched)
			return -1;
		(void)curl_multi_assign(multi, socket, watched);
	}
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	(void)uv_poll_start(&watched->poll, events, on_ready);
	return 0;
}

/* ---- starting ------------------------------------------------------------------------------------------------ */

/* Scheme, host and port of a URL; *ret_host is owned. PBX_OK, PBX_EINVAL and diag. */
static int read_url(const char *text, char **ret_host, uint16_t *ret_port, struct pbx_diag *diag)
{
	CURLU *url = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL;
	int err = PBX_EINVAL;

	if (!text || !url || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK) {
		pbx_diag_set(diag, "url", "not a URL; right would be https://host/path");
	} else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0) {
		pbx_diag_set(diag, "url", "%.20s is not spoken here, http and https are", scheme);
	} else if (!(*ret_host = strdup(host))) {
		err = PBX_ENOMEM;
	} else {
		*ret_port = (uint16_t)strtoul(port, NULL, 10);
		err = PBX_OK;
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(url);
	return err;
}

static bool is_method(const char *method)
{
	const size_t length = strlen(method);

	return length && length < 16 && strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == length;
}

static int add_headers(struct transfer *transfer, const struct pbx_fetch_spec *spec)
{
	/* Without "Expect: 100-continue", for which some servers never answer. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	transfer->headers = list;
	for (uint32_t i = 0; list && i < spec->header_count; i++) {
		if (strpbrk(spec->headers[i], "\r\n") || !strchr(spec->headers[i], ':'))
			return PBX_EINVAL;
		list = curl_slist_append(transfer->headers, spec->headers[i]);
	}
	return list && curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK ? PBX_OK : PBX_ENOMEM;
}

static bool add_body(CURL *easy, const char *method, const struct pbx_fetch_spec *spec)
{
	if (strcmp(method, "HEAD") == 0)
		return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
	if (strcmp(method, "GET") == 0 && !spec->body_size)
		return true;
	return curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)spec->body_size) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, spec->body_size ? spec->body : "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
}

/* PEM from memory; NULL leaves the default. */
static bool add_pem(CURL *easy, CURLoption option, const char *pem)
{
	struct curl_blob blob = { .data = (void *)(uintptr_t)pem, .len = pem ? strlen(pem) : 0, .flags = CURL_BLOB_COPY };

	return !pem || curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

static bool add_identity(CURL *easy, const struct pbx_fetch_spec *spec)
{
	return add_pem(easy, CURLOPT_SSLCERT_BLOB, spec->client_certificate) && add_pem(easy, CURLOPT_SSLKEY_BLOB, spec->client_key) &&
	       add_pem(easy, CURLOPT_CAINFO_BLOB, spec->ca);
}

static bool configure(struct transfer *transfer, const struct pbx_fetch_spec *spec, const char *method)
{
	CURL *easy = transfer->easy;
	const long connect_ms = spec->connect_ms ? (long)spec->connect_ms : (long)CONNECT_MS;
	const long total_ms = spec->total_ms ? (long)spec->total_ms : (long)TOTAL_MS;

	return curl_easy_setopt(easy, CURLOPT_URL, spec->url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, "") ==
		       CURLE_OK && /* http_proxy of the environment would hide the address from the guard */
	       curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USERAGENT, "Warden-PBX/" PBX_VERSION) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, total_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK && add_identity(easy, spec) && add_body(easy, method, spec);
}

static int prepare(struct transfer *transfer, const struct pbx_fetch_spec *spec)
{
	const char *method = spec->method ? spec->method : spec->body_size ? "POST" : "GET";
	int err = read_url(spec->url, &transfer->host, &transfer->port, NULL);

	if (err != PBX_OK)
		return err;
	if (!is_method(method))
		return PBX_EINVAL;
	transfer->easy = curl_easy_init();
	transfer->most_bytes = spec->most_bytes ? spec->most_bytes : MOST_BYTES;
	if (!transfer->easy || !configure(transfer, spec, method))
		return PBX_ENOMEM;
	return add_headers(transfer, spec);
}

static int begin(struct transfer *transfer, struct pbx_host *owner)
{
	transfer->handle.id = core_handle_new(&transfers, transfer);
	if (!transfer->handle.id)
		return PBX_ENOMEM;
	core_busy(1);
	core_charge_add(owner, &transfer->charge, "HTTP transfer", false, on_revoked);
	return curl_multi_add_handle(multi, transfer->easy) == CURLM_OK ? PBX_OK : PBX_ENOMEM;
}

static int fetch_start(struct pbx_host *host, const struct pbx_fetch_spec *given,
		       void (*done)(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result), void *self,
		       pbx_transfer *ret_transfer)
{
	struct pbx_fetch_spec spec = { 0 };
	struct transfer *transfer;
	int err;

	core_assert_loop();
	assert(given && done);
	if (core_handles_count(&transfers) >= MOST_TRANSFERS)
		return PBX_ENOSPC;
	core_copy_overlap(&spec, sizeof spec, given, given->size);
	transfer = calloc(1, sizeof *transfer);
	if (!transfer)
		return PBX_ENOMEM;
	transfer->owner = host;
	transfer->done = done;
	transfer->self = self;
	transfer->started_us = core_now_us();
	err = prepare(transfer, &spec);
	if (err == PBX_OK)
		err = begin(transfer, host);
	if (err != PBX_OK) {
		transfer_free(transfer);
		return err;
	}
	if (ret_transfer)
		*ret_transfer = transfer->handle;
	return PBX_OK;
}

static void on_cancelled(void *context)
{
	finish(context, CURLE_ABORTED_BY_CALLBACK);
}

static int fetch_cancel(pbx_transfer handle)
{
	struct transfer *transfer = core_handle_find(&transfers, handle.id);

	core_assert_loop();
	if (!transfer || transfer->cancelled)
		return PBX_ENOENT;
	transfer->cancelled = true;
	core_post_node(core_self(), &transfer->end_early, on_cancelled, transfer);
	return PBX_OK;
}

static int fetch_check(const char *url, struct pbx_diag *diag)
{
	char *host = NULL;
	uint16_t port = 0;
	int err = read_url(url, &host, &port, diag);

	if (err == PBX_OK && !core_fetch_guard_permits_name(host, port)) {
		pbx_diag_set(diag, "url", "%.200s:%u is not a public address; fetch.allow names exceptions", host, port);
		err = PBX_EPERM;
	}
	free(host);
	return err;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

static int accept_settings(void *context, const void *proposed, struct pbx_diag *diag)
{
	const struct fetch_settings *settings = proposed;

	(void)context;
	return core_fetch_guard_allow(&settings->allow, diag);
}

static int read_settings(void)
{
	const struct pbx_table table = PBX_TABLE(rows);
	struct pbx_diag diag = { 0 };
	int err = core_settings_declare("fetch", &table, sizeof(struct fetch_settings), &diag);

	if (err == PBX_OK)
		err = accept_settings(NULL, core_settings_get("fetch"), &diag);
	if (err == PBX_OK)
		err = core_settings_on_change("fetch", accept_settings, NULL);
	if (err != PBX_OK)
		core_log(PBX_LOG_ERROR, "core", NULL, "settings_refused", "%s", diag.text);
	return err;
}

int core_fetch_init(void)
{
	int err = read_settings();

	if (err != PBX_OK)
		return err;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(multi = curl_multi_init()))
		return PBX_ENOMEM;
	core_handles_init(&transfers, 'X');
	(void)uv_timer_init(core_loop_uv(), &timer); /* cannot fail */
	(void)curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	(void)curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
				(long)MOST_TRANSFERS); /* those to a dead server hold up nobody else's */
	(void)curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, 16L);
	(void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 32L);
	return PBX_OK;
}

void core_fetch_fini(void)
{
	struct transfer *transfer;
	uint32_t at = 0;

	if (!multi)
		return;
	while ((transfer = core_handles_next(&transfers, &at)))
		transfer_free(transfer);
	(void)curl_multi_cleanup(multi);
	multi = NULL;
	uv_close((uv_handle_t *)&timer, NULL);
	core_handles_fini(&transfers);
	core_fetch_guard_fini();
	(void)core_settings_on_change("fetch", NULL, NULL);
	core_settings_undeclare("fetch");
	curl_global_cleanup();
}

uint32_t core_fetch_count(void)
{
	return core_handles_count(&transfers);
}

const struct pbx_fetch core_fetch_service = {
	.header = PBX_HEADER(struct pbx_fetch),
	.start = fetch_start,
	.cancel = fetch_cancel,
	.check = fetch_check,
};
