/*
 * post - one signed request: whose certificate, which headers, how long
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

#define MOST_ANSWER 4096u

int post_identity(const struct subscription *subscription, struct pbx_fetch_spec *spec, char **ret_key)
{
	const struct config *config = &subscription->config;

	spec->ca = config->ca;
	if (!config->client_certificate)
		return PBX_OK;
	*ret_key = keys_open(subscription->webhooks, subscription->id, config->client_key);
	if (!*ret_key)
		return PBX_EIO;
	spec->client_certificate = config->client_certificate;
	spec->client_key = *ret_key;
	return PBX_OK;
}

int post_start(struct webhooks *webhooks, const struct shipment *shipment, post_fn done, void *self, pbx_transfer *ret_transfer)
{
	const struct subscription *subscription = shipment->subscription;
	const char *type = shipment->count ? shipment_type(shipment) : "webhook.test";
	struct signed_headers headers = { .count = 0 };
	char *key = NULL;
	struct pbx_fetch_spec spec = {
		.size = sizeof spec,
		.method = "POST",
		.url = subscription->config.url,
		.body = shipment->body,
		.body_size = shipment->body_size,
		.connect_ms = webhooks->settings->connect_timeout_s * 1000,
		.total_ms = webhooks->settings->timeout_s * 1000,
		.most_bytes = MOST_ANSWER,
	};
	int err = sign_headers(shipment, type, &headers);

	spec.headers = headers.list;
	spec.header_count = headers.count;
	if (err == PBX_OK)
		err = post_identity(subscription, &spec, &key);
	if (err == PBX_OK)
		err = webhooks->fetch->start(webhooks->host, &spec, done, self, ret_transfer);
	webhooks->secrets->wipe(key);
	sign_done(&headers);
	return err;
}

const char *post_words(const struct pbx_fetch_result *result, char *ret_text, size_t size)
{
	if (result->status == PBX_OK)
		(void)snprintf(ret_text, size, "the endpoint answered %u", result->http_code);
	else
		(void)snprintf(ret_text, size, "%.150s", result->status == PBX_EPERM ? "address_not_allowed" : result->error);
	return ret_text;
}
