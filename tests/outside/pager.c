/*
 * pager - tells a paging server what to announce, in a SIP session that is no call
 *
 *    pager call TEXT     an INVITE with two parts: which zone (SDP, for that is what a session is about), and the text
 *    pager say TEXT      another text, by a re-INVITE
 *    pager end           BYE
 *
 * What the server answers, asks and ends is an event each. Its questions are answered with 200. The shortest example of pbx.session/1, written
 * against the installed headers alone.
 */
#include <pbx/bus.h>
#include <pbx/requests.h>
#include <pbx/session.h>

struct settings {
	uint32_t port;
};

struct pager {
	PBX_INSTANCE(struct settings);
	const struct pbx_sessions *sessions;
	const struct pbx_requests *requests;
	const struct pbx_bus *bus;
	const struct pbx_jsons *json;
	pbx_session session;
};

#define SDP "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=zone 1\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=inactive\r\n"

static void tell(const struct pager *pager, const char *event, uint32_t sip_code, const char *method, const struct pbx_session_parts *parts)
{
	struct pbx_json *data = pager->json->new_object();
	const struct pbx_session_part *first = parts && parts->count ? pbx_session_part_at(parts, 0) : NULL;

	(void)pager->json->set_integer(data, "sip_code", sip_code);
	(void)pager->json->set_text(data, "method", method);
	(void)pager->json->set_text(data, "type", first ? first->type : "");
	(void)pager->json->set_text(data, "body", first ? first->body : "");
	(void)pager->bus->publish(pager->host, event, (pbx_call){ 0 }, data); /* without memory the log has it */
}

/* ---- the session ---- */

static void on_answered(void *self, pbx_session session, const struct pbx_session_answer *answer)
{
	(void)session;
	tell(self, "pager.answered", answer->sip_code, "", &answer->parts);
}

static void on_asked(void *self, pbx_session session, const struct pbx_session_question *question)
{
	const struct pager *pager = self;

	tell(pager, "pager.asked", 0, question->method, &question->parts);
	(void)pager->sessions->answer(session, 200, NULL); /* or it is gone: as good */
}

static void on_ended(void *self, pbx_session session, uint32_t sip_code, const char *why)
{
	(void)session, (void)why;
	tell(self, "pager.ended", sip_code, "", NULL);
}

static const struct pbx_session_watcher watcher = {
	.size = sizeof watcher,
	.answered = on_answered,
	.asked = on_asked,
	.ended = on_ended,
};

/* ---- commands ---- */

static void reply(const struct pager *pager, pbx_request request, int err)
{
	if (err == PBX_OK)
		(void)pager->requests->reply(request, 204, NULL);
	else
		(void)pager->requests->fail(request, 409, "not_paged", NULL, "it cannot be done: error %d", err);
}

static void on_call(void *self, pbx_request request)
{
	struct pager *pager = self;
	const struct pbx_session_part parts[] = {
		{ .size = sizeof parts[0], .type = "application/sdp", .body = SDP },
		{ .size = sizeof parts[0],
		  .type = "text/plain;charset=utf-8",
		  .disposition = "render",
		  .body = pager->requests->text(request, "text") },
	};
	const struct pbx_session_spec spec = { .size = sizeof spec, .contact_params = ";+sip.pager", .parts = { parts, 2 } };

	reply(pager, request, pager->sessions->open(pager->host, "pager", &spec, &watcher, pager, &pager->session));
}

static void on_say(void *self, pbx_request request)
{
	const struct pager *pager = self;
	const struct pbx_session_part part = { .size = sizeof part,
					       .type = "text/plain;charset=utf-8",
					       .body = pager->requests->text(request, "text") };

	reply(pager, request, pager->sessions->update(pager->session, &(struct pbx_session_parts){ &part, 1 }));
}

static void on_end(void *self, pbx_request request)
{
	const struct pager *pager = self;

	reply(pager, request, pager->sessions->close(pager->session));
}

/* ---- the card ---- */

static int pager_start(void *self)
{
	struct pager *pager = self;
	const struct pbx_sip_peer server = {
		.size = sizeof server, .name = "pager", .host = "127.0.0.1", .port = pager->settings->port, .transport = "udp"
	};

	pager->sessions = pbx_sessions(pager->host);
	pager->requests = pbx_requests(pager->host);
	pager->bus = pbx_bus(pager->host);
	pager->json = pbx_jsons(pager->host);
	return pbx_sip(pager->host)->set_peer(pager->host, &server, NULL);
}

static const struct pbx_setting settings[] = {
	PBX_UINT(struct settings, port, .initial = 5070, .least = 1, .most = 65535, .flags = PBX_SETTING_RESTART,
		 .help = "Port of the paging server on this machine"),
};

static const struct pbx_field fields[] = {
	{ "sip_code", PBX_TYPE_INT, "Of an answer or of the end" },
	{ "method", PBX_TYPE_TEXT, "Of a question" },
	{ "type", PBX_TYPE_TEXT, "Of the first body; empty: there is none" },
	{ "body", PBX_TYPE_TEXT, "And the body" },
};

static const struct pbx_event_type events[] = {
	{ "pager.answered", "The paging server has answered", PBX_TABLE(fields) },
	{ "pager.asked", "The paging server wants something", PBX_TABLE(fields) },
	{ "pager.ended", "The paging server has ended it", PBX_TABLE(fields) },
};

static const struct pbx_arg text[] = {
	{ .name = "text", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED | PBX_ARG_REST | PBX_ARG_LINES, .help = "What to say" }
};

static const struct pbx_command commands[] = {
	{ .words = "pager call", .handle = on_call, .help = "Call the paging server", .args = PBX_TABLE(text) },
	{ .words = "pager say", .handle = on_say, .help = "Say something else", .args = PBX_TABLE(text) },
	{ .words = "pager end", .handle = on_end, .help = "Hang up" },
};

PBX_PLUGIN(pager)
= {
	PBX_PLUGIN_HEADER,
	.name = "pager",
	.version = "1.0.0",
	.summary = "Tell a paging server what to announce",
	.needs = PBX_NEEDS("pbx.bus/1", "pbx.json/1", "pbx.requests/1", "pbx.session/1", "pbx.sip/1"),
	.instance_size = sizeof(struct pager),
	PBX_SETTINGS(struct settings, settings),
	.commands = PBX_TABLE(commands),
	.events = PBX_TABLE(events),
	.start = pager_start,
};
