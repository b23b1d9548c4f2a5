/* pbx/fetch.h - HTTP as a client
 * Served by the core as "pbx.fetch/1". All of it: [loop].
 *
 * One libcurl multi handle on the loop: HTTP/1.1 and 2, TLS verified, no redirects, no address that is loopback, private, link-local or
 * multicast unless fetch.allow names it (checked on the resolved address, at connect time). */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pbx_fetch_spec {
	uint32_t size;
	const char *method, *url;
	const char *const *headers; /* "Name: value" */
	uint32_t header_count;
	const char *body;
	size_t body_size;
	uint32_t connect_ms, total_ms; /* 0: 5,000 and 10,000 */
	size_t most_bytes;             /* of the answer's body kept; 0: 64 KiB. Longer ones are cut, not failed */
	/* For https, as PEM text; NULL: none. A certificate (its issuers may follow it) and its key prove who we are; ca says whom to
	 * believe about who they are, instead of the system's authorities. A connection is shared only by requests that agree in them. */
	const char *client_certificate, *client_key, *ca;
};

/* Borrowed until the callback returns. */
struct pbx_fetch_result {
	uint32_t size;
	int32_t status;    /* PBX_OK: an HTTP answer came; PBX_EPERM (address_not_allowed), PBX_ETIMEOUT, PBX_EIO, PBX_ECANCELLED */
	const char *error; /* in words, "" when PBX_OK */
	uint32_t http_code;
	const char *body; /* a zero follows */
	size_t body_size;
	const char *retry_after; /* header, "" when absent */
	uint32_t took_ms;
};

struct pbx_fetch {
	struct pbx_header header;

	/* done(self, transfer, result) always follows, exactly once. PBX_OK, PBX_EINVAL (URL), PBX_ENOMEM, PBX_ENOSPC (1,000 are under way). */
	int (*start)(struct pbx_host *host, const struct pbx_fetch_spec *spec,
		     void (*done)(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result), void *self,
		     pbx_transfer *ret_transfer);
	int (*cancel)(pbx_transfer transfer); /* done follows. PBX_OK, PBX_ENOENT */
	/* Would this URL be allowed, as far as one can tell without resolving? PBX_OK, PBX_EINVAL, PBX_EPERM and diag. */
	int (*check)(const char *url, struct pbx_diag *diag);
};

static inline const struct pbx_fetch *pbx_fetcher(struct pbx_host *host)
{
	return (const struct pbx_fetch *)host->service(host, "pbx.fetch/1", (uint32_t)sizeof(struct pbx_fetch));
}

#ifdef __cplusplus
}
#endif
