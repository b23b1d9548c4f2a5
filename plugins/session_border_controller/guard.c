/*
 * guard - signalling's questions (pbx/border.h), answered
 *
 * Who is on the list of those let in has no limits, who is on the other one is not heard. Other SIP systems that are set up may send as much
 * as they like, and are told what is wrong with their messages; of calls they may have only so many.
 */
#include "sbc.h"
#include <string.h>

const char *const drop_names[DROPS] = { "denied", "rate", "scanner", "malformed", "country" };

static uint32_t drop(struct sbc *sbc, uint32_t why)
{
	sbc->dropped[why]++;
	return PBX_BORDER_DROP;
}

static bool is_trusted(const struct sbc *sbc, const struct pbx_border_source *source)
{
	const struct entry *entry = lists_find(sbc, source->address);

	return source->is_peer || (entry && entry->list == LIST_ALLOW);
}

/* An event about an address with one more fact; NULL value: without. */
static void tell_of(struct sbc *sbc, const char *type, const struct pbx_border_source *source, const char *name, const char *value)
{
	struct pbx_json *data = sbc->json->new_object();
	char host[NETWORK_TEXT];

	network_print_host(source->address, host);
	(void)sbc->json->set_text(data, "address", host); /* no memory shows as a member missing */
	(void)sbc->json->set_text(data, "transport", source->transport);
	if (value)
		(void)sbc->json->set_text(data, name, value);
	sbc_tell(sbc, type, data);
}

/* ---- packets and requests ------------------------------------------------------------- */

static uint32_t on_packet(void *self, const struct pbx_border_source *source)
{
	struct sbc *sbc = self;

	const struct entry *entry = lists_find(sbc, source->address);
	if (!entry)
		return PBX_BORDER_PASS;
	return entry->list == LIST_ALLOW ? PBX_BORDER_ALLOW : drop(sbc, DROP_DENIED);
}

static uint32_t refuse_malformed(struct sbc *sbc, const struct pbx_border_source *source, const char *why)
{
	if (sources_is_news(sbc, source->address))
		tell_of(sbc, "sbc.malformed", source, "why", why);
	sources_offend(sbc, source->address, "malformed", 1);
	return strcmp(sbc->settings->malformed, "answer") == 0 ? PBX_BORDER_PASS : drop(sbc, DROP_MALFORMED);
}

static uint32_t on_malformed(void *self, const struct pbx_border_source *source, const char *why)
{
	struct sbc *sbc = self;

	if (is_trusted(sbc, source))
		return PBX_BORDER_PASS;
	return refuse_malformed(sbc, source, why);
}

static bool contains(const char *text, const char *word)
{
	return strcasestr(text, word) != NULL;
}

/* Scanners say who they are more often than one would think, in User-Agent or as the caller's name. */
static bool is_scanner(const struct sbc_settings *settings, const struct pbx_border_request *request)
{
	for (uint32_t i = 0; i < settings->scanners.count; i++)
		if (contains(request->user_agent, settings->scanners.items[i]) || contains(request->from_name, settings->scanners.items[i]))
			return true;
	return false;
}

static uint32_t refuse_country(struct sbc *sbc, const struct pbx_border_source *source, const char *method, const char *country)
{
	char host[NETWORK_TEXT];

	(void)drop(sbc, DROP_COUNTRY);
	if (sources_is_news(sbc, source->address)) {
		network_print_host(source->address, host);
		pbx_notice(sbc->host, "country_refused", "address=%s country=%s method=%.20s", host, country[0] ? country : "unknown",
			   method);
		tell_of(sbc, "sbc.country_refused", source, "country", country);
	}
	sources_offend(sbc, source->address, "country", 1);
	return sbc->settings->drop_silently ? PBX_BORDER_DROP : PBX_BORDER_REFUSE;
}

static uint32_t on_request(void *self, const struct pbx_border_source *source, const struct pbx_border_request *request)
{
	struct sbc *sbc = self;
	const struct sbc_settings *settings = sbc->settings;
	char country[COUNTRY_TEXT];

	if (is_trusted(sbc, source))
		return PBX_BORDER_PASS;
	if (!country_allows(sbc, source->address, request->method, country))
		return refuse_country(sbc, source, request->method, country);
	if (is_scanner(settings, request)) {
		sources_offend(sbc, source->address, "scanner", settings->ban_after);
		(void)drop(sbc, DROP_SCANNER);
		return settings->drop_silently ? PBX_BORDER_DROP : PBX_BORDER_REFUSE;
	}
	if (!sources_allow(sbc, source->address)) {
		if (sources_is_news(sbc, source->address))
			tell_of(sbc, "sbc.rate_limited", source, NULL, NULL);
		return drop(sbc, DROP_RATE); /* an answer to each would be the flood's second half */
	}
	if (request->bytes > settings->max_bytes || request->headers > settings->max_headers) {
		uint32_t verdict = refuse_malformed(sbc, source, request->bytes > settings->max_bytes ? "too long" : "too many headers");

		return verdict == PBX_BORDER_PASS ? PBX_BORDER_REFUSE : verdict;
	}
	return PBX_BORDER_PASS;
}

static void on_failed(void *self, const struct pbx_border_source *source, const char *user)
{
	struct sbc *sbc = self;

	if (is_trusted(sbc, source))
		return;
	security_log_add(sbc, source->address, source->port, source->transport, "InvalidPassword", user);
	sources_offend(sbc, source->address, "password", 1);
}

/* ---- calls ---------------------------------------------------------------------------- */

static int on_admit(void *self, const struct pbx_border_source *source, const struct pbx_border_call *call, uint32_t *ret_retry_s)
{
	struct sbc *sbc = self;
	const char *limit = "memory";
	char host[NETWORK_TEXT];

	int err = admission_enter(sbc, source, call, &limit);
	if (err == PBX_OK)
		return PBX_OK;

	*ret_retry_s = sbc->settings->retry_after_s;
	network_print_host(source->address, host);
	pbx_notice(sbc->host, "call_rejected", "limit=%s address=%s account=%.40s peer=%.40s", limit, host, call->account, call->peer);
	(void)sbc->metrics->add(sbc->host, METRIC_REJECTED, limit, 1); /* a lost count is no reason to stop */

	struct pbx_json *data = sbc->json->new_object();
	(void)sbc->json->set_text(data, "limit", limit); /* no memory shows as a member missing */
	(void)sbc->json->set_text(data, "address", host);
	(void)sbc->json->set_text(data, "account", call->account);
	(void)sbc->json->set_text(data, "peer", call->peer);
	(void)sbc->json->set_text(data, "dialled", call->dialled);
	sbc_tell(sbc, "sbc.cac_rejected", data);
	return PBX_ENOSPC;
}

static void on_call_over(void *self, uint64_t id)
{
	admission_leave(self, id);
}

void sbc_review(struct sbc *sbc, const struct network *network)
{
	if (sbc->border->review) /* an older PBX goes on dropping what comes over them */
		(void)sbc->border->review(sbc->host, network->bytes, network->bits); /* before we guard there is nobody to be reviewed */
}

int sbc_guard(struct sbc *sbc, bool enabled)
{
	static const struct network everybody = { .bits = 0 };
	const struct pbx_border_guard guard = {
		.size = sizeof guard,
		.packet = enabled ? on_packet : NULL,
		.malformed = enabled ? on_malformed : NULL,
		.request = enabled ? on_request : NULL,
		.failed = enabled ? on_failed : NULL,
		.admit = enabled ? on_admit : NULL,
		.call_over = on_call_over,
		.self = sbc,
	};

	int err = sbc->border->guard(sbc->host, &guard);
	if (err == PBX_OK && enabled)
		sbc_review(sbc, &everybody);
	return err;
}
