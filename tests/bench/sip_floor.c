/* tests/bench/sip_floor.c - the least a call can cost with this SIP stack: an nta server that answers it, and nothing else
 *
 * sip_floor PORT: on 127.0.0.1 each INVITE gets 180 and 200 with a fixed description, each BYE 200. One leg, one dialog, no second side, no media, no
 * record, no event. A call through the PBX is told as a ratio to it, for what both share (stack, kernel, caches of this machine) is most of how
 * figures of machines differ. Ends with the signal that ends it. */
#define NTA_LEG_MAGIC_T struct nta_leg_s /* unused */
#define NTA_INCOMING_MAGIC_T nta_incoming_t

#include <sofia-sip/nta.h>
#include <sofia-sip/nta_tport.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/su_wait.h>
#include <stdio.h>
#include <stdlib.h>

static const char description[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 101\r\n"
				  "a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n";
static nta_agent_t *agent;

/* In the dialog: ACK and CANCEL are the stack's, all else is answered. */
static int on_dialog_request(nta_leg_t *leg, nta_leg_t *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	(void)dialog;
	if (sip->sip_request->rq_method == sip_method_ack)
		return 0;
	(void)nta_incoming_treply(irq, SIP_200_OK, TAG_END());
	if (sip->sip_request->rq_method == sip_method_bye)
		nta_leg_destroy(leg);
	nta_incoming_destroy(irq);
	return 0;
}

/* Until the ACK the INVITE's transaction is needed; then it is let go. */
static int on_ack(nta_incoming_t *invite, nta_incoming_t *irq, const sip_t *sip)
{
	(void)irq, (void)sip;
	nta_incoming_destroy(invite);
	return 0;
}

static int on_request(nta_leg_t *outside, nta_leg_t *dialog, nta_incoming_t *irq, const sip_t *sip)
{
	nta_leg_t *leg;
	const char *tag;

	(void)outside, (void)dialog;
	if (sip->sip_request->rq_method != sip_method_invite)
		return sip->sip_request->rq_method == sip_method_ack ? 0 : 481;
	leg = nta_leg_tcreate(agent, on_dialog_request, NULL, SIPTAG_CALL_ID(sip->sip_call_id), SIPTAG_FROM(sip->sip_to),
			      SIPTAG_TO(sip->sip_from), TAG_END());
	tag = leg ? nta_leg_tag(leg, NULL) : NULL;
	if (!tag || !nta_incoming_tag(irq, tag) || nta_leg_server_route(leg, sip->sip_record_route, sip->sip_contact) < 0)
		return 500;
	nta_incoming_bind(irq, on_ack, irq);
	(void)nta_incoming_treply(irq, SIP_180_RINGING, TAG_END());
	(void)nta_incoming_treply(irq, SIP_200_OK, SIPTAG_CONTACT(nta_agent_contact(agent)), SIPTAG_CONTENT_TYPE_STR("application/sdp"),
				  SIPTAG_PAYLOAD_STR(description), TAG_END());
	return 0;
}

int main(int argc, char **argv)
{
	char contact[64];
	su_root_t *root;

	if (argc != 2) {
		fprintf(stderr, "usage: sip_floor PORT\n");
		return 64;
	}
	snprintf(contact, sizeof contact, "sip:127.0.0.1:%d;transport=udp", atoi(argv[1]));
	su_init();
	root = su_root_create(NULL);
	agent = nta_agent_create(root, (url_string_t *)contact, NULL, NULL, NTATAG_UA(1), TAG_END());
	if (!agent || !nta_leg_tcreate(agent, on_request, NULL, NTATAG_NO_DIALOG(1), TAG_END())) {
		fprintf(stderr, "sip_floor: cannot listen at %s\n", contact);
		return 1;
	}
	su_root_run(root);
	return 0;
}
