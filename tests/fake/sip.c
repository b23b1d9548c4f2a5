/* tests/fake/sip.c - other SIP systems without SIP: peers as plugins set them, and their requests until a test answers */
#include "fake_internal.h"
#include "loop.h"
#include "owner.h"
#include <stdlib.h>
#include <string.h>

#define MOST_TEXTS 13u

struct peer {
	struct core_charge charge; /* first: a charge is its peer */
	struct peer *next;
	struct pbx_sip_peer is;
	char *texts[MOST_TEXTS], *lists[3];
};

struct client {
	struct core_charge charge; /* first, likewise */
	struct client *next;
	pbx_sip_client handle;
	char peer[64];
	bool busy;
	struct pbx_sip_request request;
	char *texts[8];
	void (*done)(void *self, pbx_sip_client client, const struct pbx_sip_response *response);
	void *self;
};

static struct peer *peers;
static struct client *clients; /* oldest first */
static uint64_t clients_made;

/* ---- peers ---- */

static struct peer *find_peer(const char *name)
{
	struct peer *peer = peers;

	while (peer && strcmp(peer->is.name, name) != 0)
		peer = peer->next;
	return peer;
}

static void peer_free(struct peer *peer)
{
	struct peer **at = &peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	core_charge_remove(&peer->charge);
	for (uint32_t i = 0; i < MOST_TEXTS; i++)
		free(peer->texts[i]);
	for (uint32_t i = 0; i < 3; i++)
		free(peer->lists[i]);
	free(peer);
}

static void on_peer_revoked(struct core_charge *charge)
{
	peer_free((struct peer *)charge);
}

static char *copy(const char *text)
{
	char *copied = strdup(text ? text : "");

	ck_assert_ptr_nonnull(copied);
	return copied;
}

/* "PCMA,PCMU": tests read lists as texts. */
static char *joined(const struct pbx_list *list)
{
	size_t size = 1;

	for (uint32_t i = 0; i < list->count; i++)
		size += strlen(list->items[i]) + 1;
	char *text = calloc(1, size);
	ck_assert_ptr_nonnull(text);
	for (uint32_t i = 0; i < list->count; i++)
		(void)strcat(strcat(text, i ? "," : ""), list->items[i]);
	return text;
}

static int set_peer(struct pbx_host *host, const struct pbx_sip_peer *said, struct pbx_diag *diag)
{
	struct peer *peer = find_peer(said->name), **at = &peers;

	if (strpbrk(said->host, " /")) {
		pbx_diag_set(diag, "host", "'%s' is no host", said->host);
		return PBX_EINVAL;
	}
	if (said->transport && strcmp(said->transport, "sctp") == 0) {
		pbx_diag_set(diag, "transport", "we have no listener for '%s'", said->transport);
		return PBX_EINVAL;
	}
	if (peer)
		peer_free(peer);
	peer = calloc(1, sizeof *peer);
	ck_assert_ptr_nonnull(peer);
	peer->is = *said;
	const char **const texts[MOST_TEXTS] = { &peer->is.name,        &peer->is.host,         &peer->is.transport,   &peer->is.proxy,
						 &peer->is.user,        &peer->is.realm,        &peer->is.secret,      &peer->is.from_user,
						 &peer->is.from_domain, &peer->is.contact_user, &peer->is.certificate, &peer->is.routes,
						 &peer->is.srtp };
	for (uint32_t i = 0; i < MOST_TEXTS; i++)
		*texts[i] = peer->texts[i] = copy(*texts[i]);
	const struct pbx_list *const lists[] = { &peer->is.codecs, &peer->is.addresses, &peer->is.headers };
	for (uint32_t i = 0; i < 3; i++)
		peer->lists[i] = joined(lists[i]);
	peer->is.codecs = peer->is.addresses = peer->is.headers = (struct pbx_list){ NULL, 0 };
	while (*at)
		at = &(*at)->next;
	*at = peer;
	core_charge_add(host, &peer->charge, "SIP peer", false, on_peer_revoked);
	return PBX_OK;
}

static int remove_peer(struct pbx_host *host, const char *name)
{
	struct peer *peer = find_peer(name);

	if (!peer || peer->charge.owner != host)
		return PBX_ENOENT;
	peer_free(peer);
	return PBX_OK;
}

static int peer_state(const char *name, struct pbx_sip_peer_state *ret_state)
{
	if (!find_peer(name))
		return PBX_ENOENT;
	ret_state->calls_in = fake_phones_of(name, PBX_INBOUND);
	ret_state->calls_out = fake_phones_of(name, PBX_OUTBOUND);
	return PBX_OK;
}

int fake_peer_enter(const char *name, uint32_t flags)
{
	const struct peer *peer = find_peer(name);

	if (!peer || peer->is.flags & PBX_SIP_DISABLED)
		return PBX_ENOENT;
	uint32_t calls = fake_phones_of(name, PBX_INBOUND) + fake_phones_of(name, PBX_OUTBOUND);
	return peer->is.max_calls && calls >= peer->is.max_calls && !(flags & PBX_TARGET_EMERGENCY) ? PBX_ENOSPC : PBX_OK;
}

void fake_peer_attempted(const char *name, uint32_t sip_code, bool rang)
{
	const struct peer *peer = find_peer(name);
	const struct pbx_sip_attempt attempt = { .size = sizeof attempt,
						 .peer = name,
						 .method = "INVITE",
						 .address = "192.0.2.1:5060",
						 .sip_code = sip_code ? sip_code : 408,
						 .ring_ms = rang ? 100 : 0,
						 .took_ms = 200,
						 .answered_by_peer = sip_code != 0 };

	if (peer && peer->is.attempted)
		CORE_INTO(peer->charge.owner, peer->is.attempted(peer->is.self, &attempt));
}

const struct pbx_sip_peer *fake_peer(struct fake_pbx *pbx, const char *name)
{
	const struct peer *peer = find_peer(name);

	(void)pbx;
	return peer ? &peer->is : NULL;
}

const char *fake_peer_list(struct fake_pbx *pbx, const char *name, const char *what)
{
	const struct peer *peer = find_peer(name);

	(void)pbx;
	ck_assert_msg(peer != NULL, "there is no peer %s", name);
	return peer->lists[strcmp(what, "codecs") == 0 ? 0 : strcmp(what, "addresses") == 0 ? 1 : 2];
}

/* ---- requests ---- */

static struct client *find_client(pbx_sip_client handle)
{
	struct client *client = clients;

	while (client && client->handle.id != handle.id)
		client = client->next;
	return client;
}

static void forget_request(struct client *client)
{
	for (uint32_t i = 0; i < 8; i++) {
		free(client->texts[i]);
		client->texts[i] = NULL;
	}
	client->busy = false;
}

static void client_free(struct client *client)
{
	struct client **at = &clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	core_charge_remove(&client->charge);
	forget_request(client);
	free(client);
}

static void on_client_revoked(struct core_charge *charge)
{
	client_free((struct client *)charge);
}

static int client_open(struct pbx_host *host, const char *peer, pbx_sip_client *ret_client)
{
	struct client *client, **at = &clients;

	if (!find_peer(peer))
		return PBX_ENOENT;
	client = calloc(1, sizeof *client);
	ck_assert_ptr_nonnull(client);
	client->handle.id = ++clients_made;
	(void)snprintf(client->peer, sizeof client->peer, "%s", peer);
	while (*at)
		at = &(*at)->next;
	*at = client;
	core_charge_add(host, &client->charge, "SIP client", false, on_client_revoked);
	*ret_client = client->handle;
	return PBX_OK;
}

static int client_send(pbx_sip_client handle, const struct pbx_sip_request *request,
		       void (*done)(void *self, pbx_sip_client client, const struct pbx_sip_response *response), void *self)
{
	struct client *client = find_client(handle);

	if (!client || !find_peer(client->peer))
		return PBX_ENOENT;
	if (client->busy)
		return PBX_EBUSY;
	client->request = *request;
	const char **const texts[8] = { &client->request.method,         &client->request.uri,
					&client->request.from,           &client->request.to,
					&client->request.contact_params, &client->request.headers,
					&client->request.body,           &client->request.content_type };
	for (uint32_t i = 0; i < 8; i++)
		*texts[i] = client->texts[i] = copy(*texts[i]);
	client->busy = true;
	client->done = done;
	client->self = self;
	return PBX_OK;
}

static int client_close(pbx_sip_client handle)
{
	struct client *client = find_client(handle);

	if (!client)
		return PBX_ENOENT;
	client_free(client);
	return PBX_OK;
}

static struct client *asked_by(const char *peer, const char *method)
{
	struct client *client = clients;

	while (client && !(client->busy && strcmp(client->peer, peer) == 0 && strcmp(client->request.method, method) == 0))
		client = client->next;
	return client;
}

const struct pbx_sip_request *fake_request(struct fake_pbx *pbx, const char *peer, const char *method)
{
	const struct client *client = asked_by(peer, method);

	(void)pbx;
	return client ? &client->request : NULL;
}

struct heard {
	struct pbx_sip_response is;
	const char *headers; /* "Name: value\n" each */
};

static const char *find_header(const struct pbx_sip_response *response, const char *name, uint32_t index)
{
	const struct heard *heard = (const struct heard *)response;
	size_t length = strlen(name);

	for (const char *line = heard->headers; *line; line += strcspn(line, "\n") + 1)
		if (strncasecmp(line, name, length) == 0 && line[length] == ':' && index-- == 0)
			return fake_format("%.*s", (int)strcspn(line + length + 2, "\n"), line + length + 2);
	return NULL;
}

void fake_respond(struct fake_pbx *pbx, const char *peer, const char *method, uint32_t sip_code, int64_t expires_s, const char *headers)
{
	struct client *client = asked_by(peer, method);

	ck_assert_msg(client != NULL, "no %s to %s is under way", method, peer);
	const struct heard heard = { .is = { .size = sizeof heard.is,
					     .sip_code = sip_code ? sip_code : 408,
					     .from_peer = sip_code != 0,
					     .phrase = "Said",
					     .address = "192.0.2.1:5060",
					     .took_ms = 20,
					     .header = find_header,
					     .expires_s = expires_s,
					     .content_type = "",
					     .body = "" },
				     .headers = headers };
	forget_request(client);
	CORE_INTO(client->charge.owner, client->done(client->self, client->handle, &heard.is));
	fake_settle(pbx);
}

static const char *domain(void)
{
	return "pbx.test";
}

const struct pbx_sip fake_sip_service = {
	.header = PBX_HEADER(struct pbx_sip),
	.set_peer = set_peer,
	.remove_peer = remove_peer,
	.peer_state = peer_state,
	.open = client_open,
	.send = client_send,
	.close = client_close,
	.domain = domain,
};
