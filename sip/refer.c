/*
 * refer.c - the party asks to be replaced by somebody else
 *
 * 202 says that we try, NOTIFY with a piece of SIP (RFC 3515, RFC 3420) how far it has come; a final status ends the implicit
 * subscription. A Replaces in Refer-To names one of our own dialogs: an attended transfer, which the core joins without a new call.
 * Other systems may transfer whom they talk with as far as sip.refer_from_outside lets them, and nobody is sent to another host: a number there
 * is taken for the one we know, or refused. Who refers is said by us (Referred-By, RFC 3892), since nobody else can prove it.
 */
#include "dialog_internal.h"
#include "gruu.h"
#include "identity.h"
#include "transport.h"
#include <stdlib.h>
#include <string.h>

bool ua_refer_replaces(const url_t *target, char ret_replaces[UA_MOST_REPLACES])
{
	return ua_param(target->url_headers, "&", "Replaces", ret_replaces, UA_MOST_REPLACES);
}

/* The leg of ours that Replaces names; none when it is another's, or the one that asks. */
static pbx_leg find_replaced(const struct ua_dialog *dialog, const char *text)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const sip_replaces_t *replaces;
	struct ua_dialog *other = NULL;
	nta_leg_t *leg;

	(void)su_home_init(home);
	replaces = sip_replaces_make(home, text);
	leg = replaces ? nta_leg_by_replaces(dialog->ua->agent, replaces) : NULL;
	if (leg)
		other = nta_leg_magic(leg, ua_dialog_on_request);
	su_home_deinit(home);
	return other && other != dialog ? other->leg : (pbx_leg){ 0 };
}

/* Whether a transfer to that host stays with us: our domain, our address as its sender sees it, or as others do. */
static bool is_ours(const struct ua_dialog *dialog, const url_t *target)
{
	struct ua_manners manners;
	char learnt[64];

	ua_listener_manners(dialog->ua, dialog->listener, &manners);
	const char *host = target->url_host, *external = ua_transport_outside(&manners, dialog->peer.sa.sa_family, learnt);
	const char *contact = strchr(dialog->contact, '@');
	size_t length = host ? strlen(host) : 0;

	if (length == 0 || strcasecmp(host, dialog->ua->settings->domain) == 0 || (external[0] && strcasecmp(host, external) == 0))
		return true;
	contact = contact ? contact + 1 : strchr(dialog->contact, ':') + 1; /* "<sip:HOST:5060;…>" */
	return strncasecmp(contact, host, length) == 0 && contact[length] && strchr(":;>", contact[length]);
}

/* The policy of other systems. */
static bool may_refer(const struct ua_dialog *dialog)
{
	const char *policy = dialog->ua->settings->refer_from_outside;

	return !dialog->is_outside || strcmp(policy, "allow") == 0 || (strcmp(policy, "trusted") == 0 && dialog->is_trusted);
}

/* 0, or the status that refuses it. */
static int refuse_target(const struct ua_dialog *dialog, const sip_t *sip)
{
	const sip_refer_to_t *refer_to = sip->sip_refer_to;

	if (!refer_to || refer_to->r_url->url_type == url_invalid)
		return 400;
	if (!may_refer(dialog))
		return 403;
	if (refer_to->r_url->url_type == url_tel)
		return 0;
	if (refer_to->r_url->url_type != url_sip && refer_to->r_url->url_type != url_sips)
		return 416;
	return !is_ours(dialog, refer_to->r_url) && strcmp(dialog->ua->settings->refer_elsewhere, "refuse") == 0 ? 403 : 0;
}

int ua_on_refer(struct ua_dialog *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	char target[64], instance[UA_MOST_INSTANCE], replaces[UA_MOST_REPLACES];

	if (dialog->state != UA_ANSWERED || dialog->refer_cseq) {
		ua_reply(dialog->ua, irq, SIP_491_REQUEST_PENDING, NULL);
		return 0;
	}
	int status = refuse_target(dialog, sip);
	if (status) {
		ua_reply(dialog->ua, irq, status, sip_status_phrase(status), NULL);
		return 0;
	}
	if (ua_gruu_read(sip->sip_refer_to->r_url, target, instance) != UA_GRUU_FOUND)
		ua_identity_user(sip->sip_refer_to->r_url, target, sizeof target);
	bool attended = ua_refer_replaces(sip->sip_refer_to->r_url, replaces);
	pbx_leg replaced = attended ? find_replaced(dialog, replaces) : (pbx_leg){ 0 };
	if (!target[0] || (attended && !replaced.id)) {
		ua_reply(dialog->ua, irq, SIP_404_NOT_FOUND, NULL);
		return 0;
	}

	dialog->refer_cseq = sip->sip_cseq->cs_seq;
	ua_reply(dialog->ua, irq, SIP_202_ACCEPTED, NULL);
	dialog->busy = true;
	int err = core_leg_on_transfer(dialog->leg, target, replaced);
	if (err != PBX_OK)
		ua_transfer_progress(dialog, err == PBX_ENOENT ? 404 : 403);
	dialog->busy = false;
	ua_dialog_free_when_done(dialog);
	return 0;
}

void ua_transfer_progress(void *object, uint32_t sip_code)
{
	struct ua_dialog *dialog = object;
	bool is_final = sip_code >= 200;
	char body[96], headers[160];

	if (!dialog->refer_cseq || dialog->state != UA_ANSWERED)
		return;
	(void)snprintf(body, sizeof body, "SIP/2.0 %u %s\r\n", sip_code, sip_status_phrase((int)sip_code));
	(void)snprintf(headers, sizeof headers, "Event: refer;id=%u\nSubscription-State: %s\n", dialog->refer_cseq,
		       is_final ? "terminated;reason=noresource" : "active;expires=60");
	if (is_final)
		dialog->refer_cseq = 0;
	(void)ua_dialog_send(dialog, NULL, SIP_METHOD_NOTIFY, "message/sipfrag;version=2.0", body,
			     headers); /* lost: the phone gives up waiting by itself */
}
