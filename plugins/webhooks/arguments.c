/*
 * arguments - what a request says about a subscription, refused with a cure or taken over into a configuration that nobody uses yet
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What the takers share. Each of them answers PBX_OK, or refuses the request and answers PBX_EINVAL. */
struct taking {
	struct webhooks *webhooks;
	const struct pbx_requests *requests;
	const char *id;
	pbx_request request;
	struct config *config;
};

static int refuse(const struct taking *taking, uint32_t status, const char *code, const char *field, const char *text)
{
	(void)taking->requests->fail(taking->request, status, code, field, "%s", text);
	return PBX_EINVAL;
}

static int no_memory(const struct taking *taking)
{
	return refuse(taking, 503, "no_memory", NULL, "there is no memory");
}

static int take_text(const struct taking *taking, const char *name, char **text_member)
{
	const char *text = taking->requests->text(taking->request, name);

	return !text || config_set(text_member, text) == PBX_OK ? PBX_OK : no_memory(taking);
}

/* The same, sealed. */
static int take_sealed(const struct taking *taking, const char *name, char **sealed_member)
{
	const char *text = taking->requests->text(taking->request, name);
	char *sealed = text && text[0] ? keys_seal(taking->webhooks, taking->id, text) : NULL;

	if (!text)
		return PBX_OK;
	if (text[0] && !sealed)
		return no_memory(taking);
	free(*sealed_member);
	*sealed_member = sealed;
	return PBX_OK;
}

/* ---- the endpoint --------------------------------------------------------------------- */

/* Its host is one of webhooks.http_hosts. */
static bool is_http_host(const struct webhook_settings *settings, const char *url)
{
	const char *host = url + strlen("http://");
	size_t length = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");

	for (uint32_t i = 0; i < settings->http_hosts.count; i++)
		if (strlen(settings->http_hosts.items[i]) == length && strncasecmp(settings->http_hosts.items[i], host, length) == 0)
			return true;
	return false;
}

const char *arguments_url_wrong(const struct webhook_settings *settings, const char *url, const char **ret_code)
{
	const char *authority = strstr(url, "://");

	if (authority && memchr(authority + 3, '@', strcspn(authority + 3, "/?#"))) {
		*ret_code = "password_in_url";
		return "a URL is shown to many; name and password go into headers";
	}
	if (strncasecmp(url, "https://", 8) == 0 ||
	    (strncasecmp(url, "http://", 7) == 0 && (settings->allow_http || is_http_host(settings, url))))
		return NULL;
	*ret_code = "not_https";
	return "the URL must begin with https:// (webhooks.http_hosts and webhooks.allow_http permit http://)";
}

static int take_url(const struct taking *taking, const char *name, char **url_member)
{
	const struct webhooks *webhooks = taking->webhooks;
	const char *url = taking->requests->text(taking->request, name);
	struct pbx_diag diag = { .text = "" };

	if (!url || !url[0])
		return take_text(taking, name, url_member);
	const char *code, *wrong = arguments_url_wrong(webhooks->settings, url, &code);
	if (wrong)
		return refuse(taking, 422, code, name, wrong);
	if (webhooks->fetch->check(url, &diag) != PBX_OK)
		return refuse(taking, 422, "address_not_allowed", name, diag.text);
	return take_text(taking, name, url_member);
}

/* Values of null stay as they are, since private ones are shown as null. */
static struct pbx_json *merge_headers(const struct taking *taking, const struct pbx_json *given)
{
	const struct pbx_jsons *json = taking->webhooks->json;
	struct pbx_json *merged = json->new_object();

	for (uint32_t i = 0; i < json->count(given); i++) {
		const struct pbx_json *header = json->at(given, i);
		const char *name = json->name(header), *text = json->text(header);

		if (!text)
			text = json->text(json->get(taking->config->headers, name));
		if (text)
			(void)json->set_text(merged, name, text);
	}
	return merged;
}

static int take_headers(const struct taking *taking)
{
	const struct pbx_jsons *json = taking->webhooks->json;
	const struct pbx_json *given = taking->requests->json(taking->request, "headers");
	struct pbx_diag diag = { .text = "" };

	if (!given)
		return PBX_OK;
	if (filter_check_headers(taking->webhooks, given, &diag) != PBX_OK)
		return refuse(taking, 400, "invalid", "headers", diag.text);
	struct pbx_json *merged = merge_headers(taking, given);
	if (!merged)
		return no_memory(taking);
	json->free(taking->config->headers);
	taking->config->headers = merged;
	return PBX_OK;
}

/* ---- which events, how many together -------------------------------------------------- */

/* ["call.*", "queue.*"] to "call.*,queue.*" */
static int take_events(const struct taking *taking)
{
	const struct pbx_jsons *json = taking->webhooks->json;
	const struct pbx_json *list = taking->requests->json(taking->request, "events");
	char text[2048] = "";
	size_t at = 0;

	if (!list)
		return PBX_OK;
	for (uint32_t i = 0; i < json->count(list); i++) {
		const char *pattern = json->text(json->at(list, i));

		if (!pattern || !filter_is_pattern(pattern) || at + strlen(pattern) + 2 > sizeof text)
			return refuse(taking, 400, "invalid", "events", "events are names as call.ended, or patterns as call.* and *");
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? "," : "", pattern);
	}
	return config_set(&taking->config->events, text[0] ? text : "*") == PBX_OK ? PBX_OK : no_memory(taking);
}

static int take_json(const struct taking *taking, const char *name, struct pbx_json **json_member)
{
	const struct pbx_jsons *json = taking->webhooks->json;
	const struct pbx_json *given = taking->requests->json(taking->request, name);
	struct pbx_json *copy = given && json->count(given) > 0 ? json->copy(given) : NULL;

	if (!given)
		return PBX_OK;
	if (json->count(given) > 0 && !copy)
		return no_memory(taking);
	json->free(*json_member);
	*json_member = copy;
	return PBX_OK;
}

static void take_numbers(const struct taking *taking)
{
	struct config *config = taking->config;
	const struct pbx_requests *requests = taking->requests;

	config->batch_events = (uint32_t)requests->integer(taking->request, "batch_events", config->batch_events);
	config->batch_ms = (uint32_t)requests->integer(taking->request, "batch_ms", config->batch_ms);
	config->batch_bytes = (uint32_t)requests->integer(taking->request, "batch_bytes", config->batch_bytes);
	config->legacy_signature = requests->boolean(taking->request, "legacy_signature", config->legacy_signature);
	config->ed25519 = requests->boolean(taking->request, "ed25519", config->ed25519);
}

/* ---- who we are ----------------------------------------------------------------------- */

static int take_identity(const struct taking *taking)
{
	struct config *config = taking->config;
	const char *certificate = taking->requests->text(taking->request, "client_certificate");
	const bool given = certificate || taking->requests->has(taking->request, "client_key");
	struct pbx_diag diag = { .text = "" };

	if (take_text(taking, "client_certificate", &config->client_certificate) != PBX_OK ||
	    take_sealed(taking, "client_key", &config->client_key) != PBX_OK)
		return PBX_EINVAL;
	if (!given)
		return PBX_OK;
	if (!config->client_certificate) { /* taken away: its key goes with it */
		if (certificate)
			return config_set(&config->client_key, NULL);
		return refuse(taking, 400, "invalid", "client_certificate", "a key needs its certificate: give client_certificate too");
	}
	if (!config->client_key)
		return refuse(taking, 400, "invalid", "client_key", "a certificate needs its key: give client_key too");
	char *key = keys_open(taking->webhooks, taking->id, config->client_key);
	int err = key ? keys_check_identity(config->client_certificate, key, &diag) : PBX_EIO;
	taking->webhooks->secrets->wipe(key);
	return err == PBX_OK ? PBX_OK : refuse(taking, 422, "bad_certificate", diag.field, diag.text);
}

static int take_authorities(const struct taking *taking)
{
	const char *pem = taking->requests->text(taking->request, "ca");
	struct pbx_diag diag = { .text = "" };

	if (pem && pem[0] && keys_check_authorities(pem, &diag) != PBX_OK)
		return refuse(taking, 422, "bad_certificate", "ca", diag.text);
	return take_text(taking, "ca", &taking->config->ca);
}

static int take_oauth(const struct taking *taking)
{
	struct config *config = taking->config;

	if (take_url(taking, "oauth_token_url", &config->oauth_token_url) != PBX_OK ||
	    take_text(taking, "oauth_client_id", &config->oauth_client_id) != PBX_OK ||
	    take_sealed(taking, "oauth_client_secret", &config->oauth_client_secret) != PBX_OK ||
	    take_text(taking, "oauth_scope", &config->oauth_scope) != PBX_OK ||
	    take_text(taking, "oauth_audience", &config->oauth_audience) != PBX_OK ||
	    take_text(taking, "oauth_auth", &config->oauth_auth) != PBX_OK)
		return PBX_EINVAL;
	if (!config->oauth_token_url) {
		(void)config_set(&config->oauth_client_secret, NULL); /* frees only */
		return PBX_OK;
	}
	if (!config->oauth_client_id)
		return refuse(taking, 400, "invalid", "oauth_client_id", "oauth_token_url needs oauth_client_id and oauth_client_secret");
	if (!config->oauth_client_secret)
		return refuse(taking, 400, "invalid", "oauth_client_secret",
			      "oauth_token_url needs oauth_client_id and oauth_client_secret");
	for (uint32_t i = 0; i < taking->webhooks->json->count(config->headers); i++)
		if (strcasecmp(taking->webhooks->json->name(taking->webhooks->json->at(config->headers, i)), "Authorization") == 0)
			return refuse(taking, 422, "two_authorizations", "headers",
				      "the access token goes into Authorization: take that header or oauth_token_url away");
	return PBX_OK;
}

static int take_signing_key(const struct taking *taking)
{
	struct config *config = taking->config;

	if (!config->ed25519 || config->key || keys_new_ed25519(taking->webhooks, taking->id, &config->key) == PBX_OK)
		return PBX_OK;
	return refuse(taking, 503, "no_key", "ed25519", "a signing key could not be made or sealed");
}

int arguments_take(struct webhooks *webhooks, const char *id, pbx_request request, struct config *config)
{
	const struct taking taking = { webhooks, webhooks->requests, id, request, config };

	take_numbers(&taking);
	if (take_url(&taking, "url", &config->url) != PBX_OK || take_events(&taking) != PBX_OK || take_headers(&taking) != PBX_OK ||
	    take_json(&taking, "match", &config->match) != PBX_OK || take_json(&taking, "omit", &config->omit) != PBX_OK ||
	    take_text(&taking, "description", &config->description) != PBX_OK ||
	    take_text(&taking, "extension", &config->extension) != PBX_OK || take_text(&taking, "queue", &config->queue) != PBX_OK ||
	    take_text(&taking, "trunk", &config->trunk) != PBX_OK || take_identity(&taking) != PBX_OK ||
	    take_authorities(&taking) != PBX_OK || take_oauth(&taking) != PBX_OK || take_signing_key(&taking) != PBX_OK)
		return PBX_EINVAL;
	return PBX_OK;
}
