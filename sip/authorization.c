/*
 * authorization.c - what an Authorization or Proxy-Authorization header says
 *
 * The first thing a stranger's words meet here: values longer than we keep are as if they were not there.
 */
#include "authorization.h"
#include <sofia-sip/msg_header.h>
#include <string.h>
#include <strings.h>

/* One parameter of an Authorization header without its quotes; "" when absent or too long for ret_value. */
static void param(const sip_auth_t *auth, const char *name, char *ret_value, size_t size)
{
	const char *value = msg_header_find_param(auth->au_common, name);
	size_t used = 0;

	if (value && *value == '"') {
		for (value++; *value && *value != '"' && used + 1 < size; value++) {
			if (*value == '\\' && value[1])
				value++;
			ret_value[used++] = *value;
		}
	} else if (value && strlen(value) < size) {
		used = strlen(value);
		memcpy(ret_value, value, used);
	}
	ret_value[used] = '\0';
}

bool ua_credentials_read(const sip_auth_t *auth, const char *realm, struct ua_credentials *ret)
{
	char algorithm[16];

	if (!auth->au_scheme || strcasecmp(auth->au_scheme, "Digest") != 0)
		return false;
	param(auth, "realm=", ret->realm, sizeof ret->realm);
	param(auth, "username=", ret->username, sizeof ret->username);
	param(auth, "nonce=", ret->nonce, sizeof ret->nonce);
	param(auth, "uri=", ret->uri, sizeof ret->uri);
	param(auth, "qop=", ret->qop, sizeof ret->qop);
	param(auth, "nc=", ret->nc, sizeof ret->nc);
	param(auth, "cnonce=", ret->cnonce, sizeof ret->cnonce);
	param(auth, "response=", ret->response, sizeof ret->response);
	param(auth, "algorithm=", algorithm, sizeof algorithm);
	for (char *digit = ret->response; *digit; digit++)
		*digit = (char)(*digit >= 'A' && *digit <= 'F' ? *digit + 32 : *digit);
	ret->digest = (struct ua_digest){ .algorithm = strcasecmp(algorithm, "SHA-256") == 0 ? PBX_DIGEST_SHA256 : PBX_DIGEST_MD5,
					  .username = ret->username,
					  .realm = ret->realm,
					  .nonce = ret->nonce,
					  .uri = ret->uri,
					  .qop = ret->qop,
					  .nc = ret->nc,
					  .cnonce = ret->cnonce,
					  .response = ret->response };
	bool known = !algorithm[0] || strcasecmp(algorithm, "MD5") == 0 || strcasecmp(algorithm, "SHA-256") == 0;
	return known && strcmp(ret->realm, realm) == 0 && (!ret->qop[0] || strcasecmp(ret->qop, "auth") == 0);
}
