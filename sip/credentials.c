/*
 * credentials.c - answering the challenges of others
 *
 * The strongest algorithm that both know is taken, SHA-256 before MD5. A nonce that has served is used again with the next count, which
 * saves a round trip; when it has grown stale the server says so and the request is sent once more. The same nonce refused twice means
 * that the password is wrong: trying on would only lock us out.
 */
#include "credentials.h"
#include <stdlib.h>
#include <string.h>

#define MOST_TRIES 3u /* a challenge of server and proxy each, and one that was stale */

/* A parameter without its quotes; "" when absent or too long. */
static void param(const msg_auth_t *auth, const char *name, char *ret_value, size_t size)
{
	const char *value = msg_header_find_param(auth->au_common, name);
	size_t used = 0;

	if (value && *value == '"') {
		for (value++; *value && *value != '"' && used < size; value++) {
			if (*value == '\\' && value[1])
				value++;
			ret_value[used++] = *value;
		}
	} else {
		for (; value && *value && used < size; value++)
			ret_value[used++] = *value;
	}
	ret_value[used < size ? used : 0] = '\0';
}

static uint32_t algorithm_of(const msg_auth_t *auth)
{
	char name[32];

	param(auth, "algorithm=", name, sizeof name);
	if (!name[0] || strcasecmp(name, "MD5") == 0)
		return PBX_DIGEST_MD5;
	return strcasecmp(name, "SHA-256") == 0 ? PBX_DIGEST_SHA256 : 0;
}

/* "auth" among the words of qop. */
static bool offers_auth(const char *qop)
{
	while (*qop) {
		size_t length = strcspn(qop, ", \t");

		if (length == 4 && strncasecmp(qop, "auth", 4) == 0)
			return true;
		qop += length;
		qop += strspn(qop, ", \t");
	}
	return false;
}

/* False: not one that we can answer. */
static bool read_challenge(const msg_auth_t *auth, const struct ua_peer *peer, struct ua_challenge *ret, bool *ret_stale)
{
	char qop[64], stale[8];

	memset(ret, 0, sizeof *ret);
	ret->algorithm = algorithm_of(auth);
	if (strcasecmp(auth->au_scheme, "Digest") != 0 || !ret->algorithm)
		return false;
	param(auth, "realm=", ret->realm, sizeof ret->realm);
	param(auth, "nonce=", ret->nonce, sizeof ret->nonce);
	param(auth, "opaque=", ret->opaque, sizeof ret->opaque);
	param(auth, "qop=", qop, sizeof qop);
	param(auth, "stale=", stale, sizeof stale);
	*ret_stale = strcasecmp(stale, "true") == 0;
	ret->with_qop = offers_auth(qop);
	ret->known = ret->nonce[0] && (!qop[0] || ret->with_qop) && (!peer->is.realm[0] || strcmp(peer->is.realm, ret->realm) == 0);
	return ret->known;
}

bool ua_credentials_take(struct ua_credentials *credentials, const struct ua_peer *peer, const sip_t *response)
{
	bool by_proxy = response->sip_status->st_status == 407;
	struct ua_challenge *kept = by_proxy ? &credentials->proxy : &credentials->server, best = { .known = false };
	const msg_auth_t *auth = by_proxy ? response->sip_proxy_authenticate : response->sip_www_authenticate;
	bool best_stale = false;

	for (; auth && peer->is.user[0]; auth = auth->au_next) {
		struct ua_challenge challenge;
		bool stale = false;

		if (!read_challenge(auth, peer, &challenge, &stale) || (best.known && challenge.algorithm <= best.algorithm))
			continue;
		best = challenge;
		best_stale = stale;
	}
	bool is_answered = kept->known && kept->count > 0 && credentials->tries > 0; /* by this very request */
	bool is_worth = best.known && credentials->tries < MOST_TRIES && (!is_answered || best_stale);

	if (!is_worth) {
		kept->known = false;
		return false;
	}
	credentials->tries++;
	*kept = best;
	return true;
}

static size_t write_one(struct ua_challenge *challenge, const struct ua_peer *peer, const char *name, const char *method, const char *uri,
			char *ret_line, size_t size)
{
	char ha1[UA_HEX_SIZE], response[UA_HEX_SIZE], nc[9], cnonce[17], tail[128] = "", opaque[300] = "";
	int length;

	if (!challenge->known)
		return 0;
	(void)snprintf(nc, sizeof nc, "%08x", ++challenge->count);
	(void)snprintf(cnonce, sizeof cnonce, "%08x%08x", arc4random(), arc4random());
	ua_hash(challenge->algorithm, ha1, peer->is.user, challenge->realm, peer->is.secret, NULL);
	const struct ua_digest digest = { .algorithm = challenge->algorithm,
					  .username = peer->is.user,
					  .realm = challenge->realm,
					  .nonce = challenge->nonce,
					  .uri = uri,
					  .qop = challenge->with_qop ? "auth" : "",
					  .nc = nc,
					  .cnonce = cnonce,
					  .response = "" };
	ua_digest_response(&digest, ha1, method, response);
	explicit_bzero(ha1, sizeof ha1);
	if (challenge->with_qop)
		(void)snprintf(tail, sizeof tail, ", qop=auth, nc=%s, cnonce=\"%s\"", nc, cnonce);
	if (challenge->opaque[0])
		(void)snprintf(opaque, sizeof opaque, ", opaque=\"%s\"", challenge->opaque);
	length = snprintf(ret_line, size,
			  "%s: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\", algorithm=%s%s%s\n", name,
			  peer->is.user, challenge->realm, challenge->nonce, uri, response,
			  challenge->algorithm == PBX_DIGEST_SHA256 ? "SHA-256" : "MD5", opaque, tail);
	if (length >= 0 && (size_t)length < size)
		return (size_t)length;
	ret_line[0] = '\0';
	return 0;
}

void ua_credentials_write(struct ua_credentials *credentials, const struct ua_peer *peer, const char *method, const char *uri,
			  char *ret_lines, size_t size)
{
	ret_lines[0] = '\0';
	size_t used = write_one(&credentials->server, peer, "Authorization", method, uri, ret_lines, size);
	(void)write_one(&credentials->proxy, peer, "Proxy-Authorization", method, uri, ret_lines + used, size - used);
}
