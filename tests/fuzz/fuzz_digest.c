/* tests/fuzz/fuzz_digest.c - an Authorization header of anything: what we make of it is whole, and no password's */
#include "authorization.h"
#include <assert.h>
#include <sofia-sip/sip_header.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENDS(text) assert(memchr(text, '\0', sizeof(text)))

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	return ua_nonces_init();
}

static void use(const struct ua_credentials *credentials)
{
	static const char ha1[] = "939e7578ed9e3c518a452acee763bce9";
	char response[UA_HEX_SIZE];

	ENDS(credentials->username);
	ENDS(credentials->realm);
	ENDS(credentials->nonce);
	ENDS(credentials->uri);
	ENDS(credentials->qop);
	ENDS(credentials->nc);
	ENDS(credentials->cnonce);
	ENDS(credentials->response);
	assert(strcmp(credentials->realm, "pbx.test") == 0);
	ua_digest_response(&credentials->digest, ha1, "REGISTER", response);
	assert(ua_digest_matches(&credentials->digest, ha1, "REGISTER") == (strcmp(response, credentials->response) == 0));
	assert(ua_nonce_check(credentials->nonce, "192.0.2.7", 1700000000000000) != UA_NONCE_FRESH); /* we have made none */
	(void)ua_nonce_use(credentials->nonce, (uint32_t)strtoul(credentials->nc, NULL, 16));        /* what it has used is nobody's */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	char *text = su_strndup(home, (const char *)data, (isize_t)size);
	struct ua_credentials credentials;

	for (const sip_auth_t *auth = text ? sip_authorization_make(home, text) : NULL; auth; auth = auth->au_next)
		if (ua_credentials_read(auth, "pbx.test", &credentials))
			use(&credentials);
	su_home_deinit(home);
	return 0;
}
