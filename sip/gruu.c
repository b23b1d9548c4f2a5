/*
 * gruu.c - addresses that reach one device of an account from anywhere
 *
 *    public       sip:1001@pbx.example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6
 *    temporary    sip:tgruu.5f2a…@pbx.example.com;gr
 *
 * The temporary one holds the id of a binding and what its REGISTERs have for Call-ID: a device that begins anew has ended the old ones.
 */
#include "gruu.h"
#include "as_written.h"
#include "identity.h"
#include "secrets.h"
#include <stdlib.h>
#include <string.h>

#define PREFIX "tgruu."
#define SEALED_VERSION "v1:" /* what core_secrets_seal() begins with; a ':' has no place in a user part */
#define CONTEXT "sip.gruu"

/* "<urn:…>" without its brackets, escaped for a parameter. */
static void instance_param(const char *instance, char *ret_text, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()[]/:&+$";
	size_t used = 0;

	for (; *instance && used + 4 < size; instance++)
		if (*instance == '<' || *instance == '>')
			continue;
		else if (strchr(plain, *instance))
			ret_text[used++] = *instance;
		else
			used += (size_t)snprintf(ret_text + used, size - used, "%%%02X", (uint8_t)*instance);
	ret_text[used] = '\0';
}

bool ua_gruu_public(const struct ua *ua, const struct ua_binding *binding, char ret_uri[UA_MOST_GRUU])
{
	char instance[200];

	if (!binding->instance[0])
		return false;
	instance_param(binding->instance, instance, sizeof instance);
	return snprintf(ret_uri, UA_MOST_GRUU, "sip:%s@%s;gr=%s", ua_location_aor(binding), ua->settings->domain, instance) <
	       (int)UA_MOST_GRUU;
}

/* What a binding is called in the sealed text. */
static void describe(const struct ua_binding *binding, char ret_text[48])
{
	uint32_t hash = 2166136261u;

	for (const char *at = binding->call_id; *at; at++)
		hash = (hash ^ (uint8_t)*at) * 16777619u;
	(void)snprintf(ret_text, 48, "%s.%08x", binding->id, hash);
}

/* Base64's two characters with a meaning in URIs, and those without. */
static void swap_characters(char *text, const char *from, const char *to)
{
	for (; *text; text++) {
		const char *at = strchr(from, *text);

		if (at)
			*text = to[at - from];
	}
}

bool ua_gruu_temporary(const struct ua *ua, const struct ua_binding *binding, char ret_uri[UA_MOST_GRUU])
{
	char text[48];

	if (!binding->instance[0])
		return false;
	describe(binding, text);
	char *sealed = core_secrets_seal(text, CONTEXT);
	if (!sealed)
		return false;
	bool good = strncmp(sealed, SEALED_VERSION, strlen(SEALED_VERSION)) == 0;
	swap_characters(sealed, "+/=", "-_~");
	good = good && snprintf(ret_uri, UA_MOST_GRUU, "sip:" PREFIX "%s@%s;gr", sealed + strlen(SEALED_VERSION), ua->settings->domain) <
			       (int)UA_MOST_GRUU;
	core_secrets_wipe(sealed);
	return good;
}

/* ---- reading -------------------------------------------------------------------------- */

static const struct ua_binding *open_temporary(const char *user)
{
	char sealed[UA_MOST_GRUU], text[48], *opened;
	const struct ua_binding *binding;

	if (snprintf(sealed, sizeof sealed, SEALED_VERSION "%s", user) >= (int)sizeof sealed)
		return NULL;
	swap_characters(sealed, "-_~", "+/=");
	opened = core_secrets_open(sealed, CONTEXT);
	if (!opened)
		return NULL;
	char id[27] = "";
	if (strlen(opened) > 26)
		memcpy(id, opened, 26);
	binding = ua_location_by_id(id);
	if (binding) {
		describe(binding, text);
		if (strcmp(text, opened) != 0)
			binding = NULL;
	}
	core_secrets_wipe(opened);
	return binding;
}

static bool is_temporary(const url_t *url)
{
	return url->url_user && strncmp(url->url_user, PREFIX, strlen(PREFIX)) == 0;
}

uint32_t ua_gruu_read(const url_t *url, char ret_aor[64], char ret_instance[UA_MOST_INSTANCE])
{
	char instance[UA_MOST_INSTANCE - 2] = "";

	if (!ua_param(url->url_params, ";", "gr", instance, sizeof instance))
		return UA_GRUU_NONE;
	if (is_temporary(url)) {
		const struct ua_binding *binding = open_temporary(url->url_user + strlen(PREFIX));

		if (!binding)
			return UA_GRUU_DEAD;
		(void)snprintf(ret_aor, 64, "%s", ua_location_aor(binding));
		(void)snprintf(ret_instance, UA_MOST_INSTANCE, "%s", binding->instance);
		return UA_GRUU_FOUND;
	}
	if (!instance[0])
		return UA_GRUU_NONE;
	ua_identity_user(url, ret_aor, 64);
	(void)snprintf(ret_instance, UA_MOST_INSTANCE, "<%s>", instance);
	return UA_GRUU_FOUND;
}

/* ---- targets of dialogs --------------------------------------------------------------- */

static const struct ua_binding *find_device(const url_t *url)
{
	char aor[64], instance[UA_MOST_INSTANCE];

	if (ua_gruu_read(url, aor, instance) != UA_GRUU_FOUND)
		return NULL;
	const struct ua_binding *binding = ua_location_find(aor);

	while (binding && strcmp(binding->instance, instance) != 0)
		binding = binding->next_of_aor;
	return binding;
}

/* NULL: it may stay as it is. */
static const sip_contact_t *replace(su_home_t *home, const sip_contact_t *contact)
{
	const struct ua_binding *binding = contact ? find_device(contact->m_url) : NULL;

	if (binding)
		return ua_contact_to(home, binding->uri);
	return contact ? ua_target_as_written(home, contact) : NULL;
}

int ua_gruu_server_route(nta_leg_t *leg, const sip_record_route_t *route, const sip_contact_t *contact)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };

	(void)su_home_init(home);
	const sip_contact_t *real = replace(home, contact);
	int result = nta_leg_server_route(leg, route, real ? real : contact);
	su_home_deinit(home);
	return result;
}

int ua_gruu_client_reroute(nta_leg_t *leg, const sip_record_route_t *route, const sip_contact_t *contact, bool initial)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };

	(void)su_home_init(home);
	const sip_contact_t *real = replace(home, contact);
	int result = nta_leg_client_reroute(leg, route, real ? real : contact, initial);
	su_home_deinit(home);
	return result;
}
