/*
 * sign - the headers by which an endpoint knows that a request is ours and whole
 *
 * As Standard Webhooks describes: webhook-id, webhook-timestamp, webhook-signature over "id.timestamp.body": v1 is HMAC-SHA256, v1a Ed25519
 * for a subscription that wants it. For a day after a rotation the keys of before sign too. With legacy_signature the headers of the earlier
 * product come along, X-Webhook-Signature over the raw body among them, for which the whole text of the secret is the key.
 */
#include "webhooks.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static void PBX_PRINTF(2, 3) add(struct signed_headers *headers, const char *format, ...)
{
	va_list args;

	if (headers->count >= SIGNATURE_HEADERS)
		return;
	va_start(args, format);
	(void)vsnprintf(headers->lines[headers->count], sizeof headers->lines[0], format, args);
	va_end(args);
	headers->list[headers->count] = headers->lines[headers->count];
	headers->count++;
}

/* What is signed, and the signatures so far: "v1,BASE64 v1,BASE64 v1a,BASE64". */
struct signing {
	const struct webhooks *webhooks;
	const char *id;
	char *text;
	size_t size;
	char signatures[400];
};

static void append(struct signing *signing, const char *version, const uint8_t *bytes, size_t size)
{
	size_t at = strlen(signing->signatures);
	char base64[96];

	(void)EVP_EncodeBlock((unsigned char *)base64, bytes, (int)size);
	(void)snprintf(signing->signatures + at, sizeof signing->signatures - at, "%s%s,%s", at ? " " : "", version, base64);
}

static int sign_hmac(struct signing *signing, const char *sealed)
{
	const struct pbx_secrets *secrets = signing->webhooks->secrets;
	char *secret = keys_open(signing->webhooks, signing->id, sealed);
	uint8_t key[256], mac[32];

	if (!secret)
		return PBX_EIO;
	size_t size = keys_bytes(secret, key, sizeof key);
	int err = secrets->hmac_sha256(key, size, signing->text, signing->size, mac);
	if (err == PBX_OK)
		append(signing, "v1", mac, sizeof mac);
	explicit_bzero(key, sizeof key);
	secrets->wipe(secret);
	return err;
}

static int sign_ed25519(struct signing *signing, const char *sealed)
{
	uint8_t signature[64];
	int err = keys_sign(signing->webhooks, signing->id, sealed, signing->text, signing->size, signature);

	if (err == PBX_OK)
		append(signing, "v1a", signature, sizeof signature);
	return err;
}

static int sign_all(struct signing *signing, const struct config *config, bool rotated_lately)
{
	int err = sign_hmac(signing, config->secret);

	if (err == PBX_OK && rotated_lately && config->secret_before)
		err = sign_hmac(signing, config->secret_before);
	if (err == PBX_OK && config->ed25519)
		err = sign_ed25519(signing, config->key);
	if (err == PBX_OK && config->ed25519 && rotated_lately && config->key_before)
		err = sign_ed25519(signing, config->key_before);
	return err;
}

static int add_legacy(const struct shipment *shipment, const char *type, struct signed_headers *headers)
{
	const struct subscription *subscription = shipment->subscription;
	const struct pbx_secrets *secrets = subscription->webhooks->secrets;
	char *secret = keys_open(subscription->webhooks, subscription->id, subscription->config.secret), hex[65];
	uint8_t mac[32];
	int err = secret ? secrets->hmac_sha256(secret, strlen(secret), shipment->body, shipment->body_size, mac) : PBX_EIO;

	secrets->wipe(secret);
	if (err != PBX_OK)
		return err;
	for (size_t i = 0; i < sizeof mac; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", mac[i]);
	add(headers, "User-Agent: PBX-Webhook/1.0");
	add(headers, "X-Webhook-Event: %s", type);
	add(headers, "X-Webhook-ID: %s", shipment->id);
	add(headers, "X-Webhook-Signature: sha256=%s", hex);
	return PBX_OK;
}

static void add_own(const struct subscription *subscription, struct signed_headers *headers)
{
	const struct pbx_jsons *json = subscription->webhooks->json;

	for (uint32_t i = 0; i < json->count(subscription->config.headers) && i < MOST_HEADERS; i++) {
		const struct pbx_json *header = json->at(subscription->config.headers, i);

		(void)snprintf(headers->own[i], sizeof headers->own[0], "%s: %s", json->name(header), json->text(header));
		headers->list[headers->count++] = headers->own[i];
	}
}

static int add_token(const struct subscription *subscription, struct signed_headers *headers)
{
	const char *token = subscription->token.value;
	size_t size = token ? strlen(token) + 32 : 0;

	if (!token || !token_is_wanted(subscription))
		return PBX_OK;
	headers->authorization = malloc(size);
	if (!headers->authorization)
		return PBX_ENOMEM;
	(void)snprintf(headers->authorization, size, "Authorization: Bearer %s", token);
	headers->list[headers->count++] = headers->authorization;
	return PBX_OK;
}

int sign_headers(const struct shipment *shipment, const char *type, struct signed_headers *ret_headers)
{
	const struct subscription *subscription = shipment->subscription;
	const struct config *config = &subscription->config;
	int64_t now_us = webhooks_now_us(subscription->webhooks);
	struct signing signing = { .webhooks = subscription->webhooks, .id = subscription->id, .size = shipment->body_size + 64 };

	ret_headers->count = 0;
	ret_headers->authorization = NULL;
	signing.text = malloc(signing.size);
	if (!signing.text)
		return PBX_ENOMEM;
	signing.size =
		(size_t)snprintf(signing.text, signing.size, "%s.%lld.%s", shipment->id, (long long)(now_us / 1000000), shipment->body);
	int err = sign_all(&signing, config, now_us - config->rotated_us < ROTATION_US);
	free(signing.text);
	if (err != PBX_OK)
		return err;

	add(ret_headers, "Content-Type: application/json");
	add(ret_headers, "webhook-id: %s", shipment->id);
	add(ret_headers, "webhook-timestamp: %lld", (long long)(now_us / 1000000));
	add(ret_headers, "webhook-signature: %s", signing.signatures);
	if (config->legacy_signature)
		err = add_legacy(shipment, type, ret_headers);
	add_own(subscription, ret_headers);
	return err == PBX_OK ? add_token(subscription, ret_headers) : err;
}

void sign_done(struct signed_headers *headers)
{
	if (headers->authorization)
		explicit_bzero(headers->authorization, strlen(headers->authorization));
	free(headers->authorization);
	explicit_bzero(headers, sizeof *headers);
}
