/*
 * token - access tokens by OAuth2 client credentials (RFC 6749 section 4.4)
 *
 * One token serves all requests of a subscription until shortly before it expires, or until the endpoint answers 401. Who needs one while it is
 * being asked for waits for the same answer. Tokens are in memory only; the client's secret is opened for the one request.
 */
#include "webhooks.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_TOKEN 8192u
#define UNTOLD_LIFE_S 300
#define MARGIN_S 30

struct token_waiter {
	struct token_waiter *next;
	token_fn fn;
	void *self;
};

bool token_is_wanted(const struct subscription *subscription)
{
	return subscription->config.oauth_token_url != NULL;
}

bool token_is_good(const struct subscription *subscription)
{
	return subscription->token.value && webhooks_now_us(subscription->webhooks) < subscription->token.expires_us;
}

void token_drop(struct subscription *subscription)
{
	if (subscription->token.value)
		explicit_bzero(subscription->token.value, strlen(subscription->token.value));
	free(subscription->token.value);
	subscription->token.value = NULL;
}

void token_cancel(struct subscription *subscription)
{
	if (subscription->token.asking.id)
		(void)subscription->webhooks->fetch->cancel(subscription->token.asking);
}

void token_free(struct subscription *subscription)
{
	token_drop(subscription);
	while (subscription->token.waiters) {
		struct token_waiter *waiter = subscription->token.waiters;

		subscription->token.waiters = waiter->next;
		free(waiter);
	}
}

/* ---- the answer ----------------------------------------------------------------------- */

/* Only what may stand in a header (RFC 6750 section 2.1, and all that is visible besides). */
static bool is_token(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return length > 0 && length <= MOST_TOKEN;
}

static int take_token(struct subscription *subscription, const struct pbx_json *answer)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	const char *value = json->text(json->get(answer, "access_token")), *type = json->text(json->get(answer, "token_type"));
	int64_t life_s = json->integer(json->get(answer, "expires_in"), UNTOLD_LIFE_S);

	if (!is_token(value) || (type && strcasecmp(type, "bearer") != 0))
		return PBX_EINVAL;
	life_s = life_s < 1 ? 1 : life_s > 86400 ? 86400 : life_s;
	token_drop(subscription);
	subscription->token.value = strdup(value);
	subscription->token.expires_us =
		webhooks_now_us(subscription->webhooks) + (life_s - (life_s > 4 * MARGIN_S ? MARGIN_S : life_s / 4)) * 1000000;
	return subscription->token.value ? PBX_OK : PBX_ENOMEM;
}

/* PBX_OK, or why there is none, in words for the log of deliveries; nothing of the answer but its error code is repeated. */
static int judge(struct subscription *subscription, const struct pbx_fetch_result *result, char *ret_error, size_t size)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	struct pbx_json *answer = result->status == PBX_OK ? json->parse(result->body, result->body_size, NULL) : NULL;
	const char *code = json->text(json->get(answer, "error"));
	int status = PBX_EIO;

	if (result->status != PBX_OK)
		(void)snprintf(ret_error, size, "no access token: %.150s",
			       result->status == PBX_EPERM ? "address_not_allowed" : result->error);
	else if (result->http_code != 200)
		(void)snprintf(ret_error, size, "no access token: %u %.60s", result->http_code, is_token(code) ? code : "");
	else if ((status = take_token(subscription, answer)) != PBX_OK)
		(void)snprintf(ret_error, size, "no access token: the answer has no bearer token in access_token");
	json->free(answer);
	return result->status == PBX_EPERM || result->status == PBX_ECANCELLED ? result->status : status;
}

static void on_answer(void *self, pbx_transfer transfer, const struct pbx_fetch_result *result)
{
	struct subscription *subscription = self;
	struct webhooks *webhooks = subscription->webhooks;
	struct token_waiter *waiters = subscription->token.waiters;
	char error[256] = "";

	(void)transfer;
	subscription->token.asking = (pbx_transfer){ 0 };
	subscription->token.waiters = NULL;
	int status = judge(subscription, result, error, sizeof error);
	(void)webhooks->metrics->add(webhooks->host, METRIC_TOKENS, status == PBX_OK ? "granted" : "refused", 1);
	if (status != PBX_OK && status != PBX_ECANCELLED)
		pbx_warn(webhooks->host, "no_access_token", "webhook=%s reason=\"%s\"", subscription->id, error);
	subscription->under_way++; /* whoever waits may be the last to hold it */
	while (waiters) {
		struct token_waiter *waiter = waiters;

		waiters = waiter->next;
		waiter->fn(waiter->self, status, error);
		free(waiter);
	}
	subscription->under_way--;
	deliver_wake(subscription);
	subscription_release(subscription);
}

/* ---- the question --------------------------------------------------------------------- */

/* application/x-www-form-urlencoded; what does not fit makes *at reach size. */
static void put(char *text, size_t size, size_t *at, const char *value, bool encode)
{
	for (const unsigned char *byte = (const unsigned char *)value; *byte; byte++) {
		bool plain =
			!encode || (*byte >= '0' && *byte <= '9') || ((*byte | 32) >= 'a' && (*byte | 32) <= 'z') || strchr("-._~", *byte);
		int wrote = *at < size ? snprintf(text + *at, size - *at, plain ? "%c" : "%%%02X", *byte) : 0;

		*at += (size_t)wrote;
	}
}

static void put_pair(char *text, size_t size, size_t *at, const char *name, const char *value)
{
	if (!value)
		return;
	put(text, size, at, *at ? "&" : "", false);
	put(text, size, at, name, false);
	put(text, size, at, "=", false);
	put(text, size, at, value, true);
}

struct question {
	char body[4096], basic[2048], header[3000];
};

/* PBX_OK, PBX_EINVAL (too long). */
static int write_question(const struct config *config, const char *secret, struct question *ret_question)
{
	const bool in_body = config->oauth_auth && strcmp(config->oauth_auth, "body") == 0;
	size_t at = 0, basic = 0;

	put_pair(ret_question->body, sizeof ret_question->body, &at, "grant_type", "client_credentials");
	put_pair(ret_question->body, sizeof ret_question->body, &at, "scope", config->oauth_scope);
	put_pair(ret_question->body, sizeof ret_question->body, &at, "audience", config->oauth_audience);
	put_pair(ret_question->body, sizeof ret_question->body, &at, "client_id", in_body ? config->oauth_client_id : NULL);
	put_pair(ret_question->body, sizeof ret_question->body, &at, "client_secret", in_body ? secret : NULL);
	put(ret_question->basic, sizeof ret_question->basic, &basic, config->oauth_client_id, true);
	put(ret_question->basic, sizeof ret_question->basic, &basic, ":", false);
	put(ret_question->basic, sizeof ret_question->basic, &basic, secret, true);
	if (at >= sizeof ret_question->body || basic >= sizeof ret_question->basic)
		return PBX_EINVAL;
	size_t length = (size_t)snprintf(ret_question->header, sizeof ret_question->header, "Authorization: Basic ");
	(void)EVP_EncodeBlock((unsigned char *)ret_question->header + length, (const unsigned char *)ret_question->basic, (int)basic);
	return PBX_OK;
}

static int ask(struct subscription *subscription)
{
	struct webhooks *webhooks = subscription->webhooks;
	const struct config *config = &subscription->config;
	struct question *question = calloc(1, sizeof *question);
	char *secret = keys_open(webhooks, subscription->id, config->oauth_client_secret), *key = NULL;
	int err = !question ? PBX_ENOMEM : secret ? write_question(config, secret, question) : PBX_EIO;

	if (err == PBX_OK) {
		const bool in_body = config->oauth_auth && strcmp(config->oauth_auth, "body") == 0;
		const char *const headers[] = { "Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
						question->header };
		struct pbx_fetch_spec spec = { .size = sizeof spec,
					       .method = "POST",
					       .url = config->oauth_token_url,
					       .headers = headers,
					       .header_count = in_body ? 2 : 3,
					       .body = question->body,
					       .body_size = strlen(question->body),
					       .connect_ms = webhooks->settings->connect_timeout_s * 1000,
					       .total_ms = webhooks->settings->timeout_s * 1000 };

		err = post_identity(subscription, &spec, &key);
		if (err == PBX_OK)
			err = webhooks->fetch->start(webhooks->host, &spec, on_answer, subscription, &subscription->token.asking);
	}
	webhooks->secrets->wipe(key);
	webhooks->secrets->wipe(secret);
	if (question)
		explicit_bzero(question, sizeof *question);
	free(question);
	return err;
}

int token_want(struct subscription *subscription, token_fn fn, void *self)
{
	struct token_waiter *waiter = malloc(sizeof *waiter);
	int err = !waiter ? PBX_ENOMEM : subscription->token.asking.id ? PBX_OK : ask(subscription);

	if (err != PBX_OK) {
		free(waiter);
		return err;
	}
	*waiter = (struct token_waiter){ .next = subscription->token.waiters, .fn = fn, .self = self };
	subscription->token.waiters = waiter;
	return PBX_OK;
}
