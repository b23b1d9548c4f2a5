/*
 * try - a test event at once, and what came back told to the one who asked
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

struct trial {
	struct trial *next;
	struct webhooks *webhooks;
	struct shipment shipment; /* carries no delivery */
	pbx_request request;
};

static void trial_free(struct trial *trial)
{
	struct trial **at = &trial->webhooks->trials;

	while (*at && *at != trial)
		at = &(*at)->next;
	if (*at)
		*at = trial->next;
	free(trial->shipment.body);
	free(trial);
}

void try_free_all(struct webhooks *webhooks)
{
	while (webhooks->trials)
		trial_free(webhooks->trials);
}

static void answer(struct trial *trial, const struct pbx_fetch_result *result)
{
	const struct webhooks *webhooks = trial->webhooks;
	struct pbx_json *object = webhooks->json->new_object();
	const bool answered = result->status == PBX_OK;

	(void)webhooks->json->set_boolean(object, "delivered", answered && result->http_code >= 200 && result->http_code < 300);
	(void)webhooks->json->set_integer(object, "http_code", result->http_code);
	(void)webhooks->json->set_text(object, "error",
				       answered                      ? NULL
				       : result->status == PBX_EPERM ? "address_not_allowed"
								     : result->error);
	(void)webhooks->json->set_text(object, "answer", answered ? result->body : NULL);
	(void)webhooks->json->set_integer(object, "took_ms", result->took_ms);
	(void)webhooks->requests->reply(trial->request, 200, object);
	trial_free(trial);
}

static void answer_error(struct trial *trial, int status, const char *error)
{
	const struct pbx_fetch_result failed = { .size = sizeof failed, .status = status, .error = error, .body = "", .retry_after = "" };

	answer(trial, &failed);
}

static void on_answer(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result)
{
	(void)transfer;
	answer(self, result);
}

static void on_token(void *self, int status, const char *error)
{
	struct trial *trial = self;
	pbx_transfer transfer;

	if (status == PBX_OK) {
		status = post_start(trial->webhooks, &trial->shipment, on_answer, trial, &transfer);
		error = "the request could not be made";
	}
	if (status != PBX_OK)
		answer_error(trial, status, error);
}

static char *write_body(const char *id, const char *webhook_id)
{
	char body[256];

	(void)snprintf(body, sizeof body, "{\"id\":\"%s\",\"type\":\"webhook.test\",\"data\":{\"webhook_id\":\"%s\"}}", id, webhook_id);
	return strdup(body);
}

int try_now(struct subscription *subscription, pbx_request request)
{
	struct webhooks *webhooks = subscription->webhooks;
	struct trial *trial = calloc(1, sizeof *trial);
	pbx_transfer transfer;

	if (!trial)
		return PBX_ENOMEM;
	trial->webhooks = webhooks;
	trial->request = request;
	trial->shipment.subscription = subscription;
	webhooks->host->ulid(webhooks->host, trial->shipment.id);
	trial->shipment.body = write_body(trial->shipment.id, subscription->id);
	trial->shipment.body_size = trial->shipment.body ? strlen(trial->shipment.body) : 0;
	int err = !trial->shipment.body ? PBX_ENOMEM
		  : token_is_wanted(subscription) && !token_is_good(subscription)
			  ? token_want(subscription, on_token, trial)
			  : post_start(webhooks, &trial->shipment, on_answer, trial, &transfer);
	trial->next = webhooks->trials;
	webhooks->trials = trial;
	if (err != PBX_OK)
		trial_free(trial);
	return err;
}
