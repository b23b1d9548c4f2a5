/*
 * filter - which events a subscription wants, and what of them it is shown
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- JSON pointer (RFC 6901) ---------------------------------------------------------- */

static void unescape(char *token)
{
	char *to = token;

	for (const char *from = token; *from; from++) {
		if (from[0] == '~' && (from[1] == '0' || from[1] == '1'))
			*to++ = *++from == '1' ? '/' : '~';
		else
			*to++ = *from;
	}
	*to = '\0';
}

const struct pbx_json *filter_pointer(const struct webhooks *webhooks, const struct pbx_json *json, const char *pointer)
{
	char token[128];

	while (json && *pointer == '/') {
		size_t length = strcspn(++pointer, "/");

		if (length >= sizeof token)
			return NULL;
		memcpy(token, pointer, length);
		token[length] = '\0';
		pointer += length;
		unescape(token);
		if (webhooks->json->type(json) == PBX_JSON_ARRAY)
			json = webhooks->json->at(json, (uint32_t)strtoul(token, NULL, 10));
		else
			json = webhooks->json->get(json, token);
	}
	return *pointer ? NULL : json;
}

/* A number or true may be wanted as text, too: settings and command lines have nothing else. */
static bool same(const struct pbx_jsons *json, const struct pbx_json *is, const struct pbx_json *wanted)
{
	char *left = is ? json->print(is) : NULL, *right = wanted ? json->print(wanted) : NULL;
	const char *text = json->text(is) ? NULL : json->text(wanted);
	bool is_same = left && right && (strcmp(left, right) == 0 || (text && strcmp(left, text) == 0));

	json->free_text(left);
	json->free_text(right);
	return is_same;
}

/* ---- wants ---------------------------------------------------------------------------- */

/* Where events say whom they are about. */
static const char *const extension_places[] = { "/extension",
						"/from/number",
						"/from/extension",
						"/to/number",
						"/to/extension",
						"/answered_by/number",
						"/parked_by",
						"/retrieved_by",
						"/number",
						"/account",
						"/aor",
						"/from_number",
						"/to_number",
						"/mailbox",
						"/agent",
						"/transferor",
						"/target",
						"/participant",
						"/initiator",
						NULL };
static const char *const queue_places[] = { "/queue", "/queue_id", "/to/queue", NULL };
static const char *const trunk_places[] = { "/trunk", "/trunk_id", "/from/trunk", "/to/trunk", NULL };

static bool is_about(const struct webhooks *webhooks, const struct pbx_json *data, const char *const *places, const char *wanted)
{
	for (; *places; places++) {
		const char *text = webhooks->json->text(filter_pointer(webhooks, data, *places));

		if (text && strcmp(text, wanted) == 0)
			return true;
	}
	return false;
}

bool filter_wants(const struct subscription *subscription, const struct pbx_event *event)
{
	const struct webhooks *webhooks = subscription->webhooks;
	const struct config *config = &subscription->config;
	const struct pbx_jsons *json = webhooks->json;
	bool wanted = true;

	/* Telling an endpoint of its own deliveries would never end. */
	if (strncmp(event->type, "webhook.", 8) == 0)
		return false;
	if ((config->extension && !is_about(webhooks, event->data, extension_places, config->extension)) ||
	    (config->queue && !is_about(webhooks, event->data, queue_places, config->queue)) ||
	    (config->trunk && !is_about(webhooks, event->data, trunk_places, config->trunk)))
		return false;
	for (uint32_t i = 0; wanted && i < json->count(config->match); i++) {
		const struct pbx_json *value = json->at(config->match, i);

		wanted = same(json, filter_pointer(webhooks, event->data, json->name(value)), value);
	}
	return wanted;
}

/* ---- what is sent --------------------------------------------------------------------- */

static bool is_omitted(const struct subscription *subscription, const char *name)
{
	const struct pbx_jsons *json = subscription->webhooks->json;

	for (uint32_t i = 0; i < json->count(subscription->config.omit); i++) {
		const char *omitted = json->text(json->at(subscription->config.omit, i));

		if (omitted && strcmp(omitted, name) == 0)
			return true;
	}
	return false;
}

static struct pbx_json *data_to_send(const struct subscription *subscription, const struct pbx_event *event)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	struct pbx_json *data = json->new_object();

	for (uint32_t i = 0; data && i < json->count(event->data); i++) {
		const struct pbx_json *member = json->at(event->data, i);

		if (!is_omitted(subscription, json->name(member)) && json->set(data, json->name(member), json->copy(member)) != PBX_OK) {
			json->free(data);
			return NULL;
		}
	}
	return data;
}

struct pbx_json *filter_envelope(const struct subscription *subscription, const struct pbx_event *event, int64_t number)
{
	const struct pbx_jsons *json = subscription->webhooks->json;
	struct pbx_json *envelope = json->new_object(), *data = data_to_send(subscription, event);

	if (!envelope || !data) {
		json->free(envelope);
		json->free(data);
		return NULL;
	}
	(void)json->set_text(envelope, "id", event->id);
	(void)json->set_integer(envelope, "seq", event->seq);
	(void)json->set_integer(envelope, "sequence", number);
	(void)json->set_text(envelope, "type", event->type);
	(void)json->set_time(envelope, "time", event->wall_us);
	(void)json->set_text(envelope, "call_id", event->call_id[0] ? event->call_id : NULL);
	(void)json->set_text(envelope, "linked_id", event->linked_id[0] ? event->linked_id : NULL);
	(void)json->set(envelope, "data", data);
	return envelope;
}

/* ---- headers of one's own ------------------------------------------------------------- */

/* Those that belong to the connection (RFC 9110 7.6.1) or to us. */
static const char *const reserved[] = { "Connection",
					"Keep-Alive",
					"Proxy-Authenticate",
					"Proxy-Authorization",
					"Proxy-Connection",
					"TE",
					"Trailer",
					"Transfer-Encoding",
					"Upgrade",
					"Host",
					"Content-Length",
					"Content-Type",
					"webhook-id",
					"webhook-timestamp",
					"webhook-signature" };

bool filter_is_private_header(const char *name)
{
	static const char *const words[] = { "auth", "cookie", "key", "token", "secret", "password", "signature" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

static bool is_token(const char *text)
{
	size_t length = strlen(text);

	return length > 0 && length < 64 &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") == length;
}

bool filter_is_pattern(const char *pattern)
{
	return pattern[0] && strlen(pattern) <= 64 && pattern[strspn(pattern, "abcdefghijklmnopqrstuvwxyz0123456789_.*-")] == '\0';
}

int filter_check_header(const char *name, const char *value, struct pbx_diag *diag)
{
	if (!name || !is_token(name) || !value || strlen(value) > 900 || strpbrk(value, "\r\n")) {
		pbx_diag_set(diag, "headers", "\"%.60s\" is no header name with a text of one line", name ? name : "");
		return PBX_EINVAL;
	}
	for (size_t at = 0; at < sizeof reserved / sizeof reserved[0]; at++)
		if (strcasecmp(name, reserved[at]) == 0) {
			pbx_diag_set(diag, "headers", "%s cannot be set", name);
			return PBX_EINVAL;
		}
	return PBX_OK;
}

int filter_check_headers(const struct webhooks *webhooks, const struct pbx_json *headers, struct pbx_diag *diag)
{
	const struct pbx_jsons *json = webhooks->json;

	if (json->count(headers) > MOST_HEADERS) {
		pbx_diag_set(diag, "headers", "at most %u headers", MOST_HEADERS);
		return PBX_EINVAL;
	}
	for (uint32_t i = 0; i < json->count(headers); i++) {
		const struct pbx_json *header = json->at(headers, i);

		if (json->name(header) && json->type(header) == PBX_JSON_NULL)
			continue; /* as it is */
		if (filter_check_header(json->name(header), json->text(header), diag) != PBX_OK)
			return PBX_EINVAL;
	}
	return PBX_OK;
}
