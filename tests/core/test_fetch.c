/* tests/core/test_fetch.c - HTTP against a server on the same loop, and addresses that are not spoken to */
#include <arpa/inet.h>
#include <string.h>
#include "../check_main.h"
#include "fetch.h"
#include "fetch_guard.h"
#include "log.h"
#include "loop.h"
#include "owner_internal.h"
#include "settings.h"

/* ---- a small web server -------------------------------------------------------------------------- */

static uv_tcp_t server;
static uint16_t port;
static uint32_t connections, open_connections;
static char request[8192]; /* the last one */

struct peer {
	uv_tcp_t tcp;
	char bytes[8192];
	size_t used;
};

static struct peer *peers[16];

static void on_peer_closed(uv_handle_t *handle)
{
	for (size_t i = 0; i < 16; i++)
		if (peers[i] == handle->data)
			peers[i] = NULL;
	open_connections--;
	free(handle->data);
}

static void drop(struct peer *peer)
{
	if (!uv_is_closing((uv_handle_t *)&peer->tcp))
		uv_close((uv_handle_t *)&peer->tcp, on_peer_closed);
}

static void on_sent(uv_write_t *write, int status)
{
	(void)status;
	free(write->data);
	free(write);
}

static void send_text(struct peer *peer, const char *text)
{
	uv_write_t *write = calloc(1, sizeof *write);
	uv_buf_t part;

	write->data = strdup(text);
	part = uv_buf_init(write->data, (unsigned)strlen(text));
	ck_assert_int_eq(uv_write(write, (uv_stream_t *)&peer->tcp, &part, 1, on_sent), 0);
}

static void answer(struct peer *peer)
{
	static char big[200000];

	memcpy(request, peer->bytes, peer->used + 1);
	if (strstr(peer->bytes, " /big ")) {
		memset(big, 'x', sizeof big - 1);
		send_text(peer, "HTTP/1.1 200 OK\r\nContent-Length: 199999\r\n\r\n");
		send_text(peer, big);
	} else if (strstr(peer->bytes, " /redirect ")) {
		send_text(peer, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
	} else if (strstr(peer->bytes, " /retry ")) {
		send_text(peer, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy");
	} else if (strstr(peer->bytes, " /close ")) {
		drop(peer);
	} else if (!strstr(peer->bytes, " /silent ")) {
		send_text(peer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	}
	peer->used = 0;
}

static bool is_whole(const struct peer *peer)
{
	const char *end = strstr(peer->bytes, "\r\n\r\n"), *length = strstr(peer->bytes, "Content-Length: ");

	return end && (!length || strlen(end + 4) >= strtoul(length + 16, NULL, 10));
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *part)
{
	struct peer *peer = handle->data;

	(void)wanted;
	*part = uv_buf_init(peer->bytes + peer->used, (unsigned)(sizeof peer->bytes - 1 - peer->used));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *part)
{
	struct peer *peer = stream->data;

	(void)part;
	if (size < 0) {
		drop(peer);
		return;
	}
	peer->used += (size_t)size;
	peer->bytes[peer->used] = '\0';
	if (is_whole(peer))
		answer(peer);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct peer *peer = calloc(1, sizeof *peer);

	ck_assert_int_eq(status, 0);
	peer->tcp.data = peer;
	peers[connections++ % 16] = peer;
	open_connections++;
	ck_assert_int_eq(uv_tcp_init(core_loop_uv(), &peer->tcp), 0);
	ck_assert_int_eq(uv_accept(stream, (uv_stream_t *)&peer->tcp), 0);
	ck_assert_int_eq(uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read), 0);
}

static void serve(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int size = sizeof address;

	ck_assert_int_eq(uv_tcp_init(core_loop_uv(), &server), 0);
	ck_assert_int_eq(uv_tcp_bind(&server, (struct sockaddr *)&address, 0), 0);
	ck_assert_int_eq(uv_listen((uv_stream_t *)&server, 16, on_connection), 0);
	ck_assert_int_eq(uv_tcp_getsockname(&server, (struct sockaddr *)&address, &size), 0);
	port = ntohs(address.sin_port);
}

/* ---- asking it --------------------------------------------------------------------------------------- */

static struct core_owner owner;

static struct {
	uint32_t calls;
	int32_t status;
	uint32_t http_code;
	char error[512], body[512], retry_after[64];
	size_t body_size;
} got;

static void on_done(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result)
{
	(void)transfer;
	ck_assert_ptr_eq(self, &got);
	got.calls++;
	got.status = result->status;
	got.http_code = result->http_code;
	got.body_size = result->body_size;
	(void)snprintf(got.error, sizeof got.error, "%s", result->error);
	(void)snprintf(got.body, sizeof got.body, "%s", result->body);
	(void)snprintf(got.retry_after, sizeof got.retry_after, "%s", result->retry_after);
	ck_assert_uint_eq(strlen(result->body), result->body_size);
	core_loop_stop();
}

static void allow(const char *pattern)
{
	char text[256];
	const char *const items[] = { text };
	const struct pbx_list list = { items, *pattern ? 1 : 0 };

	(void)snprintf(text, sizeof text, pattern, port);
	ck_assert_int_eq(core_fetch_guard_allow(&list, NULL), PBX_OK);
}

static void setup(void)
{
	memset(&got, 0, sizeof got);
	connections = 0;
	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_int_eq(core_loop_init(false), PBX_OK);
	ck_assert_int_eq(core_settings_init(NULL), PBX_OK);
	ck_assert_int_eq(core_fetch_init(), PBX_OK);
	core_owner_init(&owner, "webhooks", NULL);
	serve();
	allow("127.0.0.0/8:%u");
}

static void teardown(void)
{
	core_fetch_fini();
	uv_close((uv_handle_t *)&server, NULL);
	for (size_t i = 0; i < 16; i++)
		if (peers[i])
			drop(peers[i]);
	core_owner_fini(&owner);
	core_settings_fini();
	core_loop_fini();
	core_log_fini();
}

static int start(struct pbx_fetch_spec spec, const char *path, pbx_transfer *ret_transfer)
{
	char url[256];

	(void)snprintf(url, sizeof url, *path == '/' ? "http://127.0.0.1:%u%s" : "%.0u%s", *path == '/' ? port : 0, path);
	spec.size = sizeof spec;
	spec.url = url;
	return core_fetch_service.start(&owner.host, &spec, on_done, &got, ret_transfer);
}

/* Asks and waits for the answer. path: below our server, or a whole URL. */
static int32_t ask(struct pbx_fetch_spec spec, const char *path)
{
	const uint32_t before = got.calls;

	ck_assert_int_eq(start(spec, path, NULL), PBX_OK);
	ck_assert_int_eq(core_loop_run(), 0);
	ck_assert_uint_eq(got.calls, before + 1);
	return got.status;
}

#define GET ((struct pbx_fetch_spec){ 0 })

/* ---- tests --------------------------------------------------------------------------------------------- */

START_TEST(a_request_arrives_whole_and_its_answer_comes_back)
{
	const char *const headers[] = { "X-Signature: abc", "Content-Type: application/json" };

	setup();
	ck_assert_int_eq(
		ask((struct pbx_fetch_spec){ .method = "PUT", .headers = headers, .header_count = 2, .body = "{\"a\":1}", .body_size = 7 },
		    "/x?y=z"),
		PBX_OK);
	ck_assert_uint_eq(got.http_code, 200);
	ck_assert_str_eq(got.body, "hello");
	ck_assert_str_eq(got.error, "");
	ck_assert_int_eq(strncmp(request, "PUT /x?y=z HTTP/1.1\r\n", 21), 0);
	ck_assert_ptr_nonnull(strstr(request, "\r\nX-Signature: abc\r\n"));
	ck_assert_ptr_nonnull(strstr(request, "\r\nContent-Type: application/json\r\n"));
	ck_assert_ptr_null(strstr(request, "Expect:"));
	ck_assert_ptr_nonnull(strstr(request, "\r\n\r\n{\"a\":1}"));
	ck_assert_uint_eq(core_fetch_count(), 0);
	teardown();
}
END_TEST

START_TEST(methods_have_the_body_that_suits_them)
{
	setup();
	ck_assert_int_eq(ask(GET, "/a"), PBX_OK);
	ck_assert_int_eq(strncmp(request, "GET /a", 6), 0);
	ck_assert_ptr_null(strstr(request, "Content-Length"));
	ck_assert_int_eq(ask((struct pbx_fetch_spec){ .method = "POST" }, "/b"), PBX_OK);
	ck_assert_int_eq(strncmp(request, "POST /b", 7), 0);
	ck_assert_ptr_nonnull(strstr(request, "\r\nContent-Length: 0\r\n"));
	ck_assert_int_eq(ask((struct pbx_fetch_spec){ .method = "DELETE" }, "/c"), PBX_OK);
	ck_assert_int_eq(strncmp(request, "DELETE /c", 9), 0);
	teardown();
}
END_TEST

START_TEST(a_refusal_of_the_server_is_an_answer)
{
	setup();
	ck_assert_int_eq(ask(GET, "/retry"), PBX_OK);
	ck_assert_uint_eq(got.http_code, 503);
	ck_assert_str_eq(got.retry_after, "7");
	ck_assert_int_eq(ask(GET, "/ok"), PBX_OK);
	ck_assert_str_eq(got.retry_after, "");
	teardown();
}
END_TEST

START_TEST(a_redirect_is_told_and_not_followed)
{
	setup();
	ck_assert_int_eq(ask(GET, "/redirect"), PBX_OK);
	ck_assert_uint_eq(got.http_code, 302);
	ck_assert_int_eq(strncmp(request, "GET /redirect ", 14), 0);
	teardown();
}
END_TEST

START_TEST(a_long_answer_is_cut_and_not_failed)
{
	setup();
	ck_assert_int_eq(ask((struct pbx_fetch_spec){ .most_bytes = 100 }, "/big"), PBX_OK);
	ck_assert_uint_eq(got.http_code, 200);
	ck_assert_uint_eq(got.body_size, 100);
	ck_assert_int_eq(ask(GET, "/big"), PBX_OK);
	ck_assert_uint_eq(got.body_size, 65536);
	ck_assert_int_eq(ask((struct pbx_fetch_spec){ .most_bytes = 1000000 }, "/big"), PBX_OK);
	ck_assert_uint_eq(got.body_size, 199999);
	teardown();
}
END_TEST

START_TEST(a_server_that_is_silent_or_gone_is_told_apart)
{
	setup();
	ck_assert_int_eq(ask((struct pbx_fetch_spec){ .total_ms = 50 }, "/silent"), PBX_ETIMEOUT);
	ck_assert_int_eq(ask(GET, "/close"), PBX_EIO);
	ck_assert_str_ne(got.error, "");
	teardown();
}
END_TEST

START_TEST(an_address_that_is_not_public_is_not_even_connected_to)
{
	setup();
	allow("");
	ck_assert_int_eq(ask(GET, "/ok"), PBX_EPERM);
	ck_assert_str_eq(got.error, "address_not_allowed: 127.0.0.1 (fetch.allow names exceptions)");
	allow("127.0.0.1:1");
	ck_assert_int_eq(ask(GET, "/ok"), PBX_EPERM);
	allow("otherhost:%u");
	ck_assert_int_eq(ask(GET, "/ok"), PBX_EPERM);
	ck_assert_int_eq(ask(GET, "http://10.255.255.1/"), PBX_EPERM);
	ck_assert_int_eq(ask(GET, "http://[::ffff:169.254.169.254]/latest/meta-data/"), PBX_EPERM);
	ck_assert_int_eq(ask(GET, "http://2130706433/"), PBX_EPERM);
	ck_assert_int_eq(ask(GET, "http://0x7f.1/"), PBX_EPERM);
	ck_assert_int_eq(ask(GET, "http://localhost/"), PBX_EPERM);
	ck_assert_uint_eq(connections, 0);
	allow("127.0.0.1:%u");
	ck_assert_int_eq(ask(GET, "/ok"), PBX_OK);
	teardown();
}
END_TEST

START_TEST(a_name_that_is_allowed_may_resolve_to_anything)
{
	char url[64];

	setup();
	(void)snprintf(url, sizeof url, "http://localhost:%u/ok", port);
	allow("LocalHost:%u");
	ck_assert_int_eq(ask(GET, url), PBX_OK);
	ck_assert_int_eq(ask(GET, "/ok"), PBX_EPERM); /* by its address it is not */
	teardown();
}
END_TEST

START_TEST(a_kept_connection_is_no_way_around_a_permission_that_was_withdrawn)
{
	setup();
	ck_assert_int_eq(ask(GET, "/ok"), PBX_OK);
	ck_assert_int_eq(ask(GET, "/ok"), PBX_OK);
	ck_assert_uint_eq(connections, 1);
	allow("");
	request[0] = '\0';
	ck_assert_int_eq(ask(GET, "/ok"), PBX_EPERM);
	ck_assert_str_eq(request, "");
	teardown();
}
END_TEST

/* With real servers and certificates: tests/e2e/test_webhooks_access.py. */
START_TEST(a_certificate_that_cannot_be_read_is_told)
{
	char url[64];

	setup();
	(void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", port);
	ck_assert_int_eq(ask((struct pbx_fetch_spec){ .client_certificate = "no PEM", .client_key = "nor this" }, url), PBX_EIO);
	ck_assert_ptr_nonnull(strstr(got.error, "certificate"));
	ck_assert_ptr_null(strstr(got.error, "nor this"));
	ck_assert_int_eq(ask((struct pbx_fetch_spec){ .ca = "no PEM" }, url), PBX_EIO);
	teardown();
}
END_TEST

START_TEST(a_proxy_of_the_environment_is_not_asked)
{
	char proxy[64];

	setup();
	(void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", port);
	ck_assert_int_eq(setenv("http_proxy", proxy, 1), 0);
	ck_assert_int_eq(ask(GET, "http://10.255.255.1/"), PBX_EPERM);
	ck_assert_uint_eq(connections, 0);
	teardown();
}
END_TEST

START_TEST(a_cancelled_transfer_is_told_once_and_later)
{
	pbx_transfer transfer = { 0 };

	setup();
	ck_assert_int_eq(start(GET, "/silent", &transfer), PBX_OK);
	ck_assert_uint_eq(core_fetch_count(), 1);
	ck_assert_int_eq(core_fetch_service.cancel(transfer), PBX_OK);
	ck_assert_int_eq(core_fetch_service.cancel(transfer), PBX_ENOENT);
	ck_assert_uint_eq(got.calls, 0);
	ck_assert_int_eq(core_loop_run(), 0);
	ck_assert_uint_eq(got.calls, 1);
	ck_assert_int_eq(got.status, PBX_ECANCELLED);
	ck_assert_int_eq(core_fetch_service.cancel(transfer), PBX_ENOENT);
	teardown();
}
END_TEST

START_TEST(an_owner_that_stops_hears_nothing_more)
{
	setup();
	ck_assert_int_eq(start(GET, "/silent", NULL), PBX_OK);
	ck_assert_int_eq(start(GET, "/ok", NULL), PBX_OK);
	core_owner_revoke_all(&owner);
	ck_assert_uint_eq(core_fetch_count(), 0);
	core_loop_settle();
	ck_assert_uint_eq(got.calls, 0);
	teardown();
}
END_TEST

START_TEST(what_is_under_way_at_the_end_is_dropped)
{
	setup();
	ck_assert_int_eq(start(GET, "/silent", NULL), PBX_OK);
	core_loop_step();
	teardown();
	ck_assert_uint_eq(got.calls, 0);
}
END_TEST

START_TEST(a_bad_request_is_refused_at_once)
{
	static const char *const bad_urls[] = {
		"", "x y", "ftp://example.org/", "file:///etc/passwd", "http://", "gopher://127.0.0.1:6379/_x"
	};
	const char *const split[] = { "X: a\r\nHost: b" }, *const nameless[] = { "abc" };

	setup();
	for (size_t i = 0; i < sizeof bad_urls / sizeof bad_urls[0]; i++) {
		struct pbx_fetch_spec spec = { .size = sizeof spec, .url = bad_urls[i] };

		ck_assert_int_eq(core_fetch_service.start(&owner.host, &spec, on_done, &got, NULL), PBX_EINVAL);
	}
	ck_assert_int_eq(start((struct pbx_fetch_spec){ .method = "GET /x HTTP/1.1\r\nX:" }, "/", NULL), PBX_EINVAL);
	ck_assert_int_eq(start((struct pbx_fetch_spec){ .headers = split, .header_count = 1 }, "/", NULL), PBX_EINVAL);
	ck_assert_int_eq(start((struct pbx_fetch_spec){ .headers = nameless, .header_count = 1 }, "/", NULL), PBX_EINVAL);
	ck_assert_uint_eq(core_fetch_count(), 0);
	teardown();
}
END_TEST

START_TEST(a_url_can_be_checked_before_it_is_kept)
{
	static const struct {
		const char *url;
		int result;
	} cases[] = {
		{ "https://example.org/hook", PBX_OK },
		{ "http://8.8.8.8/", PBX_OK },
		{ "https://[2606:4700::1111]/", PBX_OK },
		{ "http://127.0.0.1/", PBX_EPERM },
		{ "http://localhost:80/", PBX_EPERM },
		{ "http://a.localhost/", PBX_EPERM },
		{ "http://localhost./", PBX_EPERM },
		{ "http://[::1]/", PBX_EPERM },
		{ "http://[fe80::1]/", PBX_EPERM },
		{ "http://[::ffff:10.0.0.1]/", PBX_EPERM },
		{ "http://0/", PBX_EPERM },
		{ "http://017700000001/", PBX_EPERM },
		{ "http://169.254.169.254/", PBX_EPERM },
		{ "ftp://example.org/", PBX_EINVAL },
		{ "nonsense url", PBX_EINVAL },
		{ "http://192.168.7.9:81/", PBX_OK },
		{ "http://192.168.7.9/", PBX_EPERM },
	};

	setup();
	allow("192.168.7.0/24:81");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pbx_diag diag = { 0 };

		ck_assert_msg(core_fetch_service.check(cases[i].url, &diag) == cases[i].result, "%s: %s", cases[i].url, diag.text);
		ck_assert_int_eq(diag.text[0] != 0, cases[i].result != PBX_OK);
	}
	teardown();
}
END_TEST

START_TEST(the_guard_knows_what_is_not_the_internet)
{
	static const char *const closed[] = {
		"0.0.0.0",
		"0.1.2.3",
		"10.0.0.1",
		"100.64.0.1",
		"100.127.255.255",
		"127.0.0.1",
		"127.255.255.255",
		"169.254.169.254",
		"172.16.0.1",
		"172.31.255.255",
		"192.0.0.1",
		"192.168.255.255",
		"198.18.0.1",
		"198.19.255.255",
		"224.0.0.1",
		"239.255.255.255",
		"240.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"::127.0.0.1",
		"::ffff:127.0.0.1",
		"::ffff:192.168.0.1",
		"64:ff9b::7f00:1",
		"2001::1",
		"2002:7f00:1::",
		"fc00::1",
		"fdff::1",
		"fe80::1",
		"febf::1",
		"fec0::1",
		"ff02::1",
	};
	static const char *const open[] = { "1.1.1.1",
					    "9.255.255.255",
					    "11.0.0.0",
					    "100.63.255.255",
					    "100.128.0.0",
					    "126.255.255.255",
					    "128.0.0.1",
					    "172.15.255.255",
					    "172.32.0.0",
					    "192.167.255.255",
					    "223.255.255.255",
					    "::ffff:8.8.8.8",
					    "2001:4860:4860::8888",
					    "2a00::1",
					    "2606:4700::1" };

	for (int want = 0; want < 2; want++) {
		const char *const *list = want ? open : closed;

		for (size_t i = 0; i < (want ? sizeof open : sizeof closed) / sizeof(char *); i++) {
			struct sockaddr_in v4 = { .sin_family = AF_INET };
			struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
			const bool is_v4 = inet_pton(AF_INET, list[i], &v4.sin_addr) == 1;

			ck_assert(is_v4 || inet_pton(AF_INET6, list[i], &v6.sin6_addr) == 1);
			ck_assert_msg(core_fetch_guard_permits("h", 80, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6) == want,
				      "%s", list[i]);
		}
	}
}
END_TEST

START_TEST(exceptions_are_read_or_refused_as_a_whole)
{
	static const char *const good[] = { "host:80", "host.example:*", "10.0.0.0/8:443", "10.0.0.1:80", "[fd00::/8]:8080", "[::1]:1" };
	static const char *const bad[] = { "host",           "host:",          ":80",          "host:0",     "host:65536",
					   "host:8x",        "10.0.0.0/33:80", "10.0.0.0/:80", "fd00::1:80", "[fd00::/129]:80",
					   "10.0.0.0/-1:80", "[]:80",          "host/8:80" };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ck_assert_msg(core_fetch_guard_allow(&(struct pbx_list){ &good[i], 1 }, NULL) == PBX_OK, "%s", good[i]);
	ck_assert_int_eq(core_fetch_guard_allow(&(struct pbx_list){ good, 6 }, NULL), PBX_OK);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct pbx_diag diag = { 0 };

		ck_assert_msg(core_fetch_guard_allow(&(struct pbx_list){ &bad[i], 1 }, &diag) == PBX_EINVAL, "%s", bad[i]);
		ck_assert_ptr_nonnull(strstr(diag.text, bad[i]));
	}
	/* The good ones still hold. */
	ck_assert_int_eq(inet_pton(AF_INET6, "fd12::1", &v6.sin6_addr), 1);
	ck_assert(core_fetch_guard_permits("h", 8080, (struct sockaddr *)&v6));
	ck_assert(!core_fetch_guard_permits("h", 8081, (struct sockaddr *)&v6));
	core_fetch_guard_fini();
}
END_TEST

CHECK_MAIN("fetch", a_request_arrives_whole_and_its_answer_comes_back, methods_have_the_body_that_suits_them,
	   a_refusal_of_the_server_is_an_answer, a_redirect_is_told_and_not_followed, a_long_answer_is_cut_and_not_failed,
	   a_server_that_is_silent_or_gone_is_told_apart, an_address_that_is_not_public_is_not_even_connected_to,
	   a_name_that_is_allowed_may_resolve_to_anything, a_kept_connection_is_no_way_around_a_permission_that_was_withdrawn,
	   a_certificate_that_cannot_be_read_is_told, a_proxy_of_the_environment_is_not_asked, a_cancelled_transfer_is_told_once_and_later,
	   an_owner_that_stops_hears_nothing_more, what_is_under_way_at_the_end_is_dropped, a_bad_request_is_refused_at_once,
	   a_url_can_be_checked_before_it_is_kept, the_guard_knows_what_is_not_the_internet, exceptions_are_read_or_refused_as_a_whole)
