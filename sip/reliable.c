/*
 * reliable.c - provisional responses that must not be lost (RFC 3262)
 *
 * Ours: an 18x with media is sent reliably to a phone that knows PRACK, every one to a phone that demands it. nta repeats it until the
 * PRACK is there, and keeps back a 200 as long as an 18x with media is on its way.
 * Theirs: an 18x with Require: 100rel is acknowledged at once. It begins a dialog before the 200; of a forked INVITE the first branch is
 * followed, the others are acknowledged too, and one of them is followed when it answers.
 */
#include "dialog_internal.h"
#include "gruu.h"
#include "peering.h"
#include <string.h>

/* ---- ours ----------------------------------------------------------------------------- */

/* prack NULL: a final response has been sent, or nobody acknowledges. */
static int on_prack(struct ua_dialog *dialog, nta_reliable_t *reliable, nta_incoming_t *prack, const sip_t *sip)
{
	nta_reliable_destroy(reliable);
	dialog->reliable = NULL;
	if (!prack)
		return 0;
	ua_count(dialog->ua, UA_METRIC_REQUESTS, "PRACK,in");
	dialog->early_agreed = dialog->body != NULL;
	if (sip->sip_payload)
		ua_dialog_on_offer(dialog, prack, sip);
	else
		ua_reply(dialog->ua, prack, SIP_200_OK, NULL);
	return 0;
}

/* What is sent reliably without an offer to an INVITE without one would break the rule that the first such message has it (RFC 3261 13.2.1):
 * such a caller waits for our 200. */
int ua_reliable_reply(struct ua_dialog *dialog, int status, const char *phrase, const char *body)
{
	bool is_reliable = body && dialog->peer_acknowledges && !dialog->reliable && !dialog->early_agreed;
	char supported[UA_SUPPORTED_SIZE];

	if (dialog->owes_offer && dialog->peer_demands)
		return PBX_OK;
	if (!is_reliable)
		return ua_dialog_reply(dialog, dialog->in, status, phrase, body);

	ua_supported(dialog->ua, ua_peering_peer(dialog), supported);
	ua_count_response_in(dialog->ua, sip_method_invite, status);
	dialog->reliable =
		nta_reliable_treply(dialog->in, on_prack, dialog, status, phrase, SIPTAG_SERVER_STR(dialog->ua->settings->user_agent),
				    SIPTAG_CONTACT_STR(dialog->contact), SIPTAG_UNKNOWN_STR(UA_ALLOW_LINE), SIPTAG_SUPPORTED_STR(supported),
				    TAG_IF(dialog->identity, SIPTAG_HEADER_STR(dialog->identity)),
				    SIPTAG_CONTENT_TYPE_STR("application/sdp"), SIPTAG_PAYLOAD_STR(body), TAG_END());
	return dialog->reliable ? PBX_OK : PBX_EIO;
}

/* ---- theirs --------------------------------------------------------------------------- */

/* The tag of the peer that the dialog has with it so far; NULL: none. */
static const char *remote_tag(const struct ua_dialog *dialog)
{
	return nta_leg_get_rtag(dialog->nta);
}

/* Another branch of a forked INVITE: the same dialog but for the peer's tag. */
static nta_leg_t *open_branch(struct ua_dialog *dialog, const sip_t *sip, bool is_followed)
{
	nta_leg_t *leg = nta_leg_tcreate(dialog->ua->agent, is_followed ? ua_dialog_on_request : NULL, is_followed ? dialog : NULL,
					 SIPTAG_CALL_ID(sip->sip_call_id), SIPTAG_FROM(sip->sip_from), SIPTAG_TO(sip->sip_to),
					 SIPTAG_CSEQ(sip->sip_cseq), TAG_END());

	if (leg)
		(void)ua_gruu_client_reroute(leg, sip->sip_record_route, sip->sip_contact, true); /* no memory: To's URI is used */
	return leg;
}

static void send_prack(struct ua_dialog *dialog, nta_leg_t *leg, const sip_t *response)
{
	const char *ident = ua_dialog_ident(dialog);
	const sip_route_t *route = NULL;
	sip_rack_t rack[1];

	sip_rack_init(rack);
	rack->ra_response = (uint32_t)response->sip_rseq->rs_response;
	rack->ra_cseq = response->sip_cseq->cs_seq;
	rack->ra_method = response->sip_cseq->cs_method;
	rack->ra_method_name = response->sip_cseq->cs_method_name;
	(void)nta_leg_get_route(leg, &route, NULL); /* fails for a leg without one */
	ua_count(dialog->ua, UA_METRIC_REQUESTS, "PRACK,out");
	(void)nta_outgoing_tcreate(leg, NULL, NULL, !route && dialog->route ? ua_url(dialog->route) : NULL, SIP_METHOD_PRACK, NULL,
				   SIPTAG_RACK(rack), SIPTAG_USER_AGENT_STR(dialog->ua->settings->user_agent),
				   TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END()); /* lost: the 18x comes again */
}

bool ua_reliable_take(struct ua_dialog *dialog, const sip_t *response)
{
	const char *tag = response->sip_to->a_tag;
	uint32_t rseq;

	if (!response->sip_rseq || !tag || !sip_has_feature(response->sip_require, "100rel"))
		return true;
	if (remote_tag(dialog) && strcmp(remote_tag(dialog), tag) != 0) {
		nta_leg_t *branch = open_branch(dialog, response, false);

		if (branch)
			send_prack(dialog, branch, response);
		nta_leg_destroy(branch);
		return true;
	}
	rseq = (uint32_t)response->sip_rseq->rs_response;
	if (dialog->rseq && rseq != dialog->rseq + 1)
		return false;
	dialog->rseq = rseq;
	(void)nta_leg_rtag(dialog->nta, tag); /* no memory: found without one */
	(void)ua_gruu_client_reroute(dialog->nta, response->sip_record_route, response->sip_contact,
				     true); /* no memory: To's URI is used */
	send_prack(dialog, dialog->nta, response);
	return true;
}

int ua_reliable_follow(struct ua_dialog *dialog, const sip_t *response)
{
	const char *tag = response->sip_to->a_tag, *known = remote_tag(dialog);
	nta_leg_t *branch;

	if (!known || !tag || strcmp(known, tag) == 0) {
		(void)nta_leg_rtag(dialog->nta, tag); /* a 200 without tag is RFC 2543's: matched without one */
		return PBX_OK;
	}
	branch = open_branch(dialog, response, true);
	if (!branch)
		return PBX_ENOMEM;
	nta_leg_destroy(dialog->nta);
	dialog->nta = branch;
	dialog->early_agreed = dialog->heard_early = false;
	return PBX_OK;
}
