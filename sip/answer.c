/*
 * answer.c - answers without a transaction
 *
 * Who has proved nothing leaves nothing behind, and a REGISTER needs no transaction either (repeats.h). Such an answer is written as text,
 * its head made of the request's own headers, and handed to Sofia as one header that is encoded already: headers that are parsed, copied and
 * printed again by Sofia cost five times as much.
 */
#include "ua.h"
#include "dialog_internal.h"
#include "digest.h"
#include <sofia-sip/msg_header.h>
#include <stdlib.h>
#include <string.h>

#define MOST_HEAD 32768u

struct head {
	size_t used; /* MOST_HEAD: it has not found room */
	char text[MOST_HEAD];
};

/* ---- the text ------------------------------------------------------------------------- */

static void took(struct head *head, ssize_t length)
{
	bool fits = length >= 0 && (size_t)length < MOST_HEAD - head->used;

	head->used = fits ? head->used + (size_t)length : MOST_HEAD;
}

static void put_bytes(struct head *head, const char *bytes, size_t length)
{
	if (length < MOST_HEAD - head->used)
		memcpy(head->text + head->used, bytes, length);
	took(head, (ssize_t)length);
}

static void put(struct head *head, const char *text)
{
	put_bytes(head, text, strlen(text));
}

/* One of the request's, as Sofia writes it. */
static void put_header(struct head *head, const void *header)
{
	took(head, msg_header_e(head->text + head->used, (isize_t)(MOST_HEAD - head->used), header, 0));
}

/* Lines separated by newlines. */
static void put_lines(struct head *head, const char *lines)
{
	while (*lines) {
		size_t length = strcspn(lines, "\n");

		put_bytes(head, lines, length);
		put(head, "\r\n");
		lines += length + (lines[length] == '\n');
	}
}

/* A request that comes again gets the same tag again (RFC 3261 8.2.7). */
static void put_to(struct head *head, const sip_to_t *to, uint64_t tag)
{
	char text[32];

	put_header(head, to);
	if (to->a_tag || head->used == MOST_HEAD)
		return;
	(void)snprintf(text, sizeof text, ";tag=%llx\r\n", (unsigned long long)tag);
	head->used -= strlen("\r\n");
	put(head, text);
}

static void write_head(struct head *head, const struct ua *ua, const sip_t *asked, int status, const char *phrase, uint64_t tag,
		       const char *headers)
{
	head->used = 0;
	took(head, snprintf(head->text, MOST_HEAD, "SIP/2.0 %d %s\r\n", status, phrase));
	for (const sip_via_t *via = asked->sip_via; via; via = via->v_next)
		put_header(head, via);
	put_header(head, asked->sip_from);
	put_to(head, asked->sip_to, tag);
	put_header(head, asked->sip_call_id);
	put_header(head, asked->sip_cseq);
	if (ua->settings->user_agent[0]) {
		put(head, "Server: ");
		put(head, ua->settings->user_agent);
		put(head, "\r\n");
	}
	put_lines(head, headers);
	put(head, "Content-Length: 0\r\n\r\n");
}

/* ---- the way back --------------------------------------------------------------------- */

/* Where the first Via says (RFC 3261 18.2.2, RFC 3581 4), should the connection that it came by be closed, or none. */
static tp_name_t way_back(const sip_via_t *via)
{
	int by_rport = 0; /* only over UDP */

	return (tp_name_t){ .tpn_proto = sip_via_transport(via),
			    .tpn_canon = via->v_host,
			    .tpn_host = via->v_maddr      ? via->v_maddr
					: via->v_received ? via->v_received
							  : via->v_host,
			    .tpn_port = sip_via_port(via, &by_rport) };
}

/* A message whose only header is all of the text. */
static bool fill(msg_t *msg, const struct head *head)
{
	sip_t *sip = sip_object(msg);
	sip_status_t *status = sip ? sip_status_create(msg_home(msg), SIP_200_OK, NULL) : NULL;
	char *text = status ? su_alloc(msg_home(msg), (isize_t)head->used) : NULL;

	if (!text)
		return false;
	memcpy(text, head->text, head->used);
	status->st_common->h_data = text;
	status->st_common->h_len = (uint32_t)head->used;
	sip->sip_status = status;
	return msg_serialize(msg, (msg_pub_t *)sip) == 0;
}

/* What is lost, for want of memory too, the peer asks for again. */
static void answer(struct ua *ua, const sip_t *asked, tport_t *tport, int status, const char *phrase, uint64_t tag, const char *headers)
{
	struct head head;
	const tp_name_t back = way_back(asked->sip_via);
	msg_t *msg = nta_msg_create(ua->agent, 0);

	ua_count_response_in(ua, asked->sip_request->rq_method, status);
	write_head(&head, ua, asked, status, phrase, tag, headers);
	if (head.used < MOST_HEAD && fill(msg, &head))
		(void)tport_tsend(tport, msg, &back, TPTAG_MTU(UA_ANY_SIZE), TAG_END());
	msg_destroy(msg);
}

void ua_refuse(struct ua_request *request, int status, const char *phrase, const char *headers)
{
	const sip_t *asked = request->sip;
	const char *branch = asked->sip_via->v_branch ? asked->sip_via->v_branch : "";

	answer(request->ua, asked, tport_delivered_by(nta_agent_tports(request->ua->agent), request->msg), status, phrase,
	       ua_proof(asked->sip_call_id->i_id, branch, NULL), headers ? headers : "");
	msg_destroy(request->msg);
	request->msg = NULL;
	request->sip = NULL;
}

/* ---- later ---------------------------------------------------------------------------- */

struct ua_answer *ua_answer_new(struct ua_request *request)
{
	struct ua_answer *answer = malloc(sizeof *answer);

	if (!answer)
		return NULL;
	*answer = (struct ua_answer){
		.ua = request->ua,
		.msg = request->msg,
		.sip = request->sip,
		.tport = tport_ref(tport_delivered_by(nta_agent_tports(request->ua->agent), request->msg)),
		.proof = request->proof,
	};
	memcpy(answer->account, request->account, sizeof answer->account);
	request->msg = NULL;
	return answer;
}

void ua_answer_send(struct ua_answer *taken, const char *headers)
{
	answer(taken->ua, taken->sip, taken->tport, SIP_200_OK, taken->proof, headers);
	tport_unref(taken->tport);
	msg_destroy(taken->msg);
	free(taken);
}
