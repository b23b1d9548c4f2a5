/*
 * publish.c - PUBLISH (RFC 3903): a phone says how its user is
 *
 * Each accepted request gets a new entity tag on the wire; the package sees one name for a publication from its beginning to its end. They are kept in
 * memory: after a restart a phone hears 412 and publishes again, as the RFC has it. Reports of calls (RFC 6035) come by NOTIFY, too, from phones that
 * send them without having been subscribed to.
 */
#include "notifier_internal.h"
#include "identity.h"
#include "loop.h"
#include "timer.h"
#include <stdlib.h>
#include <string.h>

struct published {
	struct published *next;
	struct ua_package *package;
	char account[64], tag[27], name[27];
	pbx_timer expiry;
};

static struct published *published_first;

static struct published *find(const struct ua_package *package, const char *account, const char *tag)
{
	struct published *published = published_first;

	while (published && (published->package != package || strcmp(published->account, account) != 0 || strcmp(published->tag, tag) != 0))
		published = published->next;
	return published;
}

static uint32_t count_of(const char *account)
{
	uint32_t count = 0;

	for (const struct published *published = published_first; published; published = published->next)
		count += strcmp(published->account, account) == 0;
	return count;
}

static int tell(const struct published *published, uint32_t what, const char *type, const char *body, uint32_t expires_s)
{
	const struct ua_package *package = published->package;
	const struct pbx_publication publication = {
		.size = sizeof publication,
		.what = what,
		.resource = published->account,
		.tag = published->name,
		.content_type = type,
		.body = body,
		.expires_s = expires_s,
	};
	int err = PBX_ENOTSUP;

	if (package->charge.owner && package->offer.published)
		CORE_INTO(package->charge.owner, err = package->offer.published(package->self, &publication));
	return err;
}

static void drop(struct published *published)
{
	struct published **at = &published_first;

	while (*at != published)
		at = &(*at)->next;
	*at = published->next;
	(void)core_timer_stop(published->expiry); /* it may be what called us */
	free(published);
}

static void on_expiry(void *self, pbx_timer timer)
{
	(void)timer;
	(void)tell(self, PBX_PUBLISH_REMOVED, "", "", 0); /* it is gone, whatever the package says */
	drop(self);
}

void ua_publications_drop(const struct ua_package *package)
{
	struct published *next;

	for (struct published *published = published_first; published; published = next) {
		next = published->next;
		if (!package || published->package == package)
			drop(published);
	}
}

/* ---- the request ---------------------------------------------------------------------- */

struct publishing {
	struct ua_request *request;
	nta_incoming_t *irq;
	struct ua_package *package;
	struct published *old; /* named by SIP-If-Match */
	uint32_t expires_s;
	char type[80], body[UA_MOST_PUBLISHED + 1];
};

static void answer(const struct publishing *publishing, int status, const char *phrase, const char *headers)
{
	ua_reply(publishing->request->ua, publishing->irq, status, phrase, headers);
}

static bool read_package(struct publishing *publishing)
{
	const sip_event_t *event = publishing->request->sip->sip_event;
	char headers[512];

	publishing->package = event && event->o_type ? ua_package_find(event->o_type) : NULL;
	if (publishing->package && publishing->package->charge.owner && publishing->package->offer.published)
		return true;
	answer(publishing, SIP_489_BAD_EVENT, ua_packages_header(true, headers, sizeof headers) ? headers : NULL);
	return false;
}

/* One publishes one's own state. */
static bool is_own(const struct publishing *publishing)
{
	const struct ua_request *request = publishing->request;
	char resource[64];

	if (publishing->package->offer.takes_reports)
		return true; /* it is about a call, and goes to who collects reports */
	ua_identity_user(request->sip->sip_request->rq_url, resource, sizeof resource);
	if (resource[0] && strcmp(resource, request->account) == 0)
		return true;
	answer(publishing, SIP_403_FORBIDDEN, NULL);
	return false;
}

static bool read_expires(struct publishing *publishing)
{
	const struct ua_settings *settings = publishing->request->ua->settings;
	const sip_t *sip = publishing->request->sip;
	unsigned long seconds = sip->sip_expires ? sip->sip_expires->ex_delta : 3600;
	char headers[64];

	if (seconds > 0 && seconds < settings->min_expires_s && !publishing->package->offer.takes_reports) {
		(void)snprintf(headers, sizeof headers, "Min-Expires: %u\n", settings->min_expires_s);
		answer(publishing, SIP_423_INTERVAL_TOO_BRIEF, headers);
		return false;
	}
	publishing->expires_s = seconds > settings->max_expires_s ? settings->max_expires_s : (uint32_t)seconds;
	return true;
}

static bool find_old(struct publishing *publishing)
{
	const sip_if_match_t *match = publishing->request->sip->sip_if_match;

	if (!match || publishing->package->offer.takes_reports)
		return true;
	publishing->old = find(publishing->package, publishing->request->account, match->g_string);
	if (!publishing->old)
		answer(publishing, SIP_412_PRECONDITION_FAILED, NULL);
	return publishing->old;
}

static bool read_body(struct publishing *publishing)
{
	const sip_t *sip = publishing->request->sip;
	const sip_payload_t *payload = sip->sip_payload;

	if (!payload || !payload->pl_len) {
		if (publishing->old)
			return true;
		answer(publishing, 400, "There is nothing to publish", NULL);
		return false;
	}
	if (payload->pl_len > UA_MOST_PUBLISHED || memchr(payload->pl_data, '\0', payload->pl_len)) {
		answer(publishing, SIP_413_REQUEST_TOO_LARGE, NULL);
		return false;
	}
	memcpy(publishing->body, payload->pl_data, payload->pl_len);
	(void)snprintf(publishing->type, sizeof publishing->type, "%s",
		       sip->sip_content_type && sip->sip_content_type->c_type ? sip->sip_content_type->c_type : "");
	return true;
}

static bool is_taken(const struct publishing *publishing, int err)
{
	char headers[160];

	if (err == PBX_OK)
		return true;
	(void)snprintf(headers, sizeof headers, "Accept: %s\n", publishing->package->offer.content_types.items[0]);
	if (err == PBX_ENOTSUP)
		answer(publishing, SIP_415_UNSUPPORTED_MEDIA, headers);
	else if (err == PBX_EPERM)
		answer(publishing, SIP_403_FORBIDDEN, NULL);
	else
		answer(publishing, 400, "The document cannot be read", NULL);
	return false;
}

static void confirm(const struct publishing *publishing, struct published *published)
{
	char headers[96];

	core_ulid(published->tag);
	(void)snprintf(headers, sizeof headers, "SIP-ETag: %s\nExpires: %u\n", published->tag, publishing->expires_s);
	(void)core_timer_stop(published->expiry); /* a first one has none */
	published->expiry = (pbx_timer){ 0 };
	if (core_timer_start(publishing->request->ua->host, (uint64_t)publishing->expires_s * 1000, 0, on_expiry, published,
			     &published->expiry) != PBX_OK)
		pbx_warn(publishing->request->ua->host, "publication_without_end", "account=%s reason=no_memory", published->account);
	answer(publishing, SIP_200_OK, headers);
}

static void publish_first(const struct publishing *publishing)
{
	struct published *published;

	if (count_of(publishing->request->account) >= UA_MOST_PUBLICATIONS) {
		answer(publishing, 403, "Too many publications", NULL);
		return;
	}
	published = calloc(1, sizeof *published);
	if (!published) {
		answer(publishing, SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 60\n");
		return;
	}
	published->package = publishing->package;
	memcpy(published->account, publishing->request->account, sizeof published->account);
	core_ulid(published->name);
	published->next = published_first;
	published_first = published;
	if (is_taken(publishing, tell(published, PBX_PUBLISHED, publishing->type, publishing->body, publishing->expires_s)))
		confirm(publishing, published);
	else
		drop(published);
}

/* It is taken or not, and nothing of it is kept here. */
static void publish_report(const struct publishing *publishing)
{
	struct published report = { .package = publishing->package };
	char headers[96];

	memcpy(report.account, publishing->request->account, sizeof report.account);
	core_ulid(report.name);
	if (!is_taken(publishing, tell(&report, PBX_PUBLISHED, publishing->type, publishing->body, 0)))
		return;
	(void)snprintf(headers, sizeof headers, "SIP-ETag: %s\nExpires: 0\n", report.name);
	answer(publishing, SIP_200_OK, publishing->request->sip->sip_request->rq_method == sip_method_publish ? headers : NULL);
}

static void publish_again(const struct publishing *publishing)
{
	uint32_t what = publishing->expires_s == 0 ? PBX_PUBLISH_REMOVED : publishing->body[0] ? PBX_PUBLISHED : PBX_PUBLISH_REFRESHED;

	if (!is_taken(publishing, tell(publishing->old, what, publishing->type, publishing->body, publishing->expires_s)))
		return;
	if (what != PBX_PUBLISH_REMOVED) {
		confirm(publishing, publishing->old);
		return;
	}
	drop(publishing->old);
	answer(publishing, SIP_200_OK, "Expires: 0\n");
}

void ua_publish(struct ua_request *request)
{
	struct publishing *publishing = calloc(1, sizeof *publishing);

	if (!publishing)
		return; /* no memory: the phone asks again */
	publishing->request = request;
	publishing->irq = ua_take_transaction(request);
	if (publishing->irq && read_package(publishing) && is_own(publishing) && read_expires(publishing) && find_old(publishing) &&
	    read_body(publishing)) {
		if (publishing->package->offer.takes_reports)
			publish_report(publishing);
		else if (publishing->old)
			publish_again(publishing);
		else
			publish_first(publishing);
	}
	free(publishing);
}

/* We subscribe to nothing, so no other NOTIFY is expected here (RFC 6665 4.1.3). */
void ua_notice(struct ua_request *request)
{
	const sip_event_t *event = request->sip->sip_event;
	const struct ua_package *package = event && event->o_type ? ua_package_find(event->o_type) : NULL;

	if (package && package->offer.takes_reports)
		ua_publish(request);
	else
		ua_refuse(request, SIP_481_NO_TRANSACTION, NULL);
}
