/*
 * sign - the headers by which an endpoint knows that a delivery is ours and whole
 *
 * As Standard Webhooks describes: webhook-id, webhook-timestamp, webhook-signature over "id.timestamp.body". For a day after a rotation both
 * secrets sign. With legacy_signature the headers of the earlier product come along, X-Webhook-Signature over the raw body among them.
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

/* Appends "v1,BASE64" to the signatures. */
static int sign_with(const struct delivery *delivery, const char *sealed, int64_t timestamp_s, char *signatures, size_t size,
		     uint8_t ret_plain[32])
{
	const struct webhooks *webhooks = delivery->subscription->webhooks;
	size_t at = strlen(signatures), length = strlen(delivery->body) + 64;
	char context[64], base64[64];
	uint8_t mac[32];

	(void)snprintf(context, sizeof context, "webhooks.%s", delivery->subscription->id);
	char *secret = webhooks->secrets->open(sealed, context), *signed_text = malloc(length);
	int err = secret && signed_text ? PBX_OK : PBX_EIO;
	if (err == PBX_OK) {
		int wrote = snprintf(signed_text, length, "%s.%lld.%s", delivery->event_id, (long long)timestamp_s, delivery->body);

		err = webhooks->secrets->hmac_sha256(secret, strlen(secret), signed_text, (size_t)wrote, mac);
	}
	if (err == PBX_OK)
		err = webhooks->secrets->hmac_sha256(secret, strlen(secret), delivery->body, strlen(delivery->body), ret_plain);
	if (err == PBX_OK) {
		(void)EVP_EncodeBlock((unsigned char *)base64, mac, sizeof mac);
		(void)snprintf(signatures + at, size - at, "%sv1,%s", at ? " " : "", base64);
	}
	webhooks->secrets->wipe(secret);
	free(signed_text);
	return err;
}

static void add_own(const struct subscription *subscription, struct signed_headers *headers)
{
	const struct pbx_jsons *json = subscription->webhooks->json;

	for (uint32_t i = 0; i < json->count(subscription->headers) && i < MOST_HEADERS; i++) {
		const struct pbx_json *header = json->at(subscription->headers, i);

		(void)snprintf(headers->own[i], sizeof headers->own[0], "%s: %s", json->name(header), json->text(header));
		headers->list[headers->count++] = headers->own[i];
	}
}

int sign_headers(const struct delivery *delivery, struct signed_headers *ret_headers)
{
	const struct subscription *subscription = delivery->subscription;
	struct pbx_host *host = subscription->webhooks->host;
	int64_t now_us = host->wall_us(host);
	char signatures[160] = "", hex[65];
	uint8_t plain[32], before[32];

	ret_headers->count = 0;
	int err = sign_with(delivery, subscription->sealed, now_us / 1000000, signatures, sizeof signatures, plain);
	if (err == PBX_OK && subscription->sealed_before && now_us - subscription->rotated_us < ROTATION_US)
		err = sign_with(delivery, subscription->sealed_before, now_us / 1000000, signatures, sizeof signatures, before);
	if (err != PBX_OK)
		return err;

	add(ret_headers, "Content-Type: application/json");
	add(ret_headers, "webhook-id: %s", delivery->event_id);
	add(ret_headers, "webhook-timestamp: %lld", (long long)(now_us / 1000000));
	add(ret_headers, "webhook-signature: %s", signatures);
	if (subscription->legacy_signature) {
		for (size_t i = 0; i < sizeof plain; i++)
			(void)snprintf(hex + 2 * i, 3, "%02x", plain[i]);
		add(ret_headers, "User-Agent: PBX-Webhook/1.0");
		add(ret_headers, "X-Webhook-Event: %s", delivery->type);
		add(ret_headers, "X-Webhook-ID: %s", delivery->event_id);
		add(ret_headers, "X-Webhook-Signature: sha256=%s", hex);
	}
	add_own(subscription, ret_headers);
	return PBX_OK;
}
