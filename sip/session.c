/*
 * session.c - "pbx.session/1": a dialog of ours with another system that is no call
 *
 *    open ──► session_invite.c: the way, one address after the other ──► it stands ──► session_inside.c: update, questions, refreshes
 *                    └──► nobody takes it: answered(300 and above)                        └──► BYE of theirs, 481, silence: ended()
 *
 * Whoever is told something may close the session there and then: after a callback it is looked up again, or not touched any more.
 */
#include "session_internal.h"
#include "dialog_internal.h"
#include "handle.h"
#include "loop.h"
#include "overlap.h"
#include "timer.h"
#include "tls.h"
#include "trace.h"
#include <stdlib.h>
#include <string.h>

#define MOST_SESSIONS 10000u
#define ANSWER_MS 32000u
#define MOST_URI 512u
#define MOST_PARAMS 300u

static struct core_handles sessions;

bool ua_session_lives(pbx_session handle)
{
	return core_handle_find(&sessions, handle.id) != NULL;
}

uint32_t ua_sessions_count(void)
{
	return core_handles_count(&sessions);
}

/* ---- life ----------------------------------------------------------------------------- */

/* BYE, CANCEL or nothing, as it stands; without says_bye the other side has it no more, or has never had it. */
static void session_free(struct ua_session *session, bool says_bye)
{
	core_charge_remove(&session->charge);
	core_handle_free(&sessions, session->handle.id);
	ua_way_cancel(session->search);
	(void)core_timer_stop(session->silence); /* most run no more */
	(void)core_timer_stop(session->deadline);
	(void)core_timer_stop(session->glare);
	ua_refresh_end(&session->refresh);
	if (session->asked)
		ua_reply(ua_part, session->asked, SIP_487_REQUEST_CANCELLED, NULL);
	nta_outgoing_destroy(session->out);
	if (session->invitation)
		ua_invitation_give_up(session->invitation, says_bye);
	ua_peer_unref(session->peer);
	ua_body_fini(&session->body);
	free(session->sdp);
	free(session->way);
	if (session->home)
		su_home_unref(session->home);
	free(session);
}

static void on_revoked(struct core_charge *charge)
{
	session_free((struct ua_session *)((char *)charge - offsetof(struct ua_session, charge)), true);
}

/* ---- what the plugin is told ---------------------------------------------------------- */

static struct pbx_session_parts parts_of(const struct ua_parts *parts)
{
	return (struct pbx_session_parts){ .items = parts ? parts->items : NULL, .count = parts ? parts->count : 0 };
}

/* In words. Where nobody answered because we did not believe a certificate, that is why. */
static const char *phrase_of(const struct ua_session *session, uint32_t sip_code, const sip_t *sip)
{
	const struct ua_way *way = session->way;
	uint32_t last = way && session->at < way->count ? session->at : way && way->count ? way->count - 1 : 0;
	const char *refusal = !sip && way && way->count && strcmp(way->candidates[last].transport, "tls") == 0 ? ua_tls_refusal() : "";

	if (sip && sip->sip_status->st_phrase)
		return sip->sip_status->st_phrase;
	return refusal[0] ? refusal : sip_status_phrase((int)sip_code);
}

void ua_session_answered(struct ua_session *session, uint32_t sip_code, const sip_t *sip, const struct ua_parts *parts)
{
	const struct pbx_session_watcher watcher = session->watcher;
	const bool is_over = !session->updating && sip_code >= 300;
	struct pbx_host *host = session->charge.owner;
	pbx_session handle = session->handle;
	void *self = session->self;
	char address[sizeof session->address], phrase[128];

	memcpy(address, session->address, sizeof address);
	(void)snprintf(phrase, sizeof phrase, "%s", phrase_of(session, sip_code, sip));
	const struct pbx_session_answer answer = {
		.size = sizeof answer,
		.sip_code = sip_code,
		.from_peer = sip != NULL,
		.phrase = phrase,
		.address = address,
		.parts = parts_of(parts),
	};
	session->updating = false;
	ua_body_fini(&session->body);
	if (is_over)
		session_free(session, true);
	CORE_INTO(host, watcher.answered(self, handle, &answer));
}

void ua_session_over(struct ua_session *session, uint32_t sip_code, const char *why, bool says_bye)
{
	const struct pbx_session_watcher watcher = session->watcher;
	struct pbx_host *host = session->charge.owner;
	pbx_session handle = session->handle;
	void *self = session->self;

	session_free(session, says_bye);
	if (watcher.ended)
		CORE_INTO(host, watcher.ended(self, handle, sip_code, why));
}

void ua_session_changed(struct ua_session *session, const struct ua_parts *parts)
{
	const struct pbx_session_parts said = parts_of(parts);

	if (session->watcher.changed && said.count)
		CORE_INTO(session->charge.owner, session->watcher.changed(session->self, session->handle, &said));
}

void ua_session_ask(struct ua_session *session, const char *method, const struct ua_parts *parts)
{
	const struct pbx_session_question question = { .size = sizeof question, .method = method, .parts = parts_of(parts) };

	CORE_INTO(session->charge.owner, session->watcher.asked(session->self, session->handle, &question));
}

/* ---- what is said of it --------------------------------------------------------------- */

static bool has_only(const char *text, const char *never, size_t most)
{
	return !text || (strlen(text) <= most && !strpbrk(text, never));
}

static bool is_address(const char *uri)
{
	return !uri || !uri[0] ||
	       ((strncasecmp(uri, "sip:", 4) == 0 || strncasecmp(uri, "sips:", 5) == 0) && has_only(uri, "<>\r\n \"", MOST_URI));
}

static bool is_good(const struct pbx_session_spec *spec)
{
	const char *headers = spec->headers;

	return is_address(spec->uri) && is_address(spec->from) && has_only(spec->contact_params, "\r\n<>", MOST_PARAMS) &&
	       has_only(spec->require, "\r\n", MOST_PARAMS) && has_only(spec->call_id, "\r\n", 26) &&
	       (!headers || !headers[0] || headers[strlen(headers) - 1] == '\n');
}

static const char *keep(struct ua_session *session, const char *text, const char *otherwise)
{
	return su_strdup(session->home, text && text[0] ? text : otherwise);
}

static const char *keep_headers(struct ua_session *session, const char *own)
{
	const struct pbx_list *theirs = &session->peer->is.headers;
	const char *all = keep(session, own, "");

	for (uint32_t i = 0; all && i < theirs->count; i++)
		all = su_sprintf(session->home, "%s%s\n", all, theirs->items[i]);
	return all;
}

/* Texts of its own in place of the plugin's, and what it leaves out. False: no memory. */
static bool keep_spec(struct ua_session *session, const struct pbx_session_spec *said)
{
	const struct pbx_sip_peer *is = &session->peer->is;
	struct pbx_session_spec *spec = &session->spec;

	session->home = su_home_new(sizeof *session->home);
	if (!session->home)
		return false;
	*spec = (struct pbx_session_spec){
		.size = sizeof *spec,
		.answer_ms = said->answer_ms ? said->answer_ms : ANSWER_MS,
		.uri = keep(session, said->uri, ua_peer_uri(is, session->home)),
		.from = keep(session, said->from, ua_peer_own_uri(is, session->home)),
		.contact_params = keep(session, said->contact_params, ""),
		.require = keep(session, said->require, ""),
		.call_id = keep(session, said->call_id, ""),
	};
	session->headers = keep_headers(session, said->headers);
	return spec->uri && spec->from && spec->contact_params && spec->require && spec->call_id && session->headers;
}

/* ---- the service ---------------------------------------------------------------------- */

static void use_watcher(struct ua_session *session, struct pbx_host *host, const struct pbx_session_watcher *watcher, void *self)
{
	core_copy_overlap(&session->watcher, sizeof session->watcher, watcher, watcher->size);
	session->self = self;
	core_charge_add(host, &session->charge, "SIP session", true, on_revoked);
}

static void on_deadline(void *self, pbx_timer timer)
{
	struct ua_session *session = self;

	(void)timer;
	session->deadline = (pbx_timer){ 0 };
	ua_session_answered(session, 408, NULL, NULL);
}

static void begin(void *context, void *data)
{
	struct ua_session *session = core_handle_find(&sessions, (uint64_t)(uintptr_t)data);

	(void)context;
	if (session)
		ua_session_invite(session);
}

static int session_begin(struct ua_session *session, const struct pbx_session_spec *spec)
{
	int err = ua_body_write(&spec->parts, &session->body);

	if (err == PBX_OK && !keep_spec(session, spec))
		err = PBX_ENOMEM;
	if (err != PBX_OK)
		return err;
	ua_dialog_make_call_id(session->call_id);
	core_trace_bind(session->call_id, session->spec.call_id);
	err = core_timer_start(ua_part->host, session->spec.answer_ms, 0, on_deadline, session, &session->deadline);
	/* answered() never comes before we return */
	return err == PBX_OK ? core_post(core_self(), begin, NULL, (void *)(uintptr_t)session->handle.id, NULL) : err;
}

static int session_open(struct pbx_host *host, const char *peer_name, const struct pbx_session_spec *said,
			const struct pbx_session_watcher *watcher, void *self, pbx_session *ret_session)
{
	struct ua_peer *peer = ua_part ? ua_peer_find(peer_name) : NULL;
	struct pbx_session_spec spec;

	core_copy_overlap(&spec, sizeof spec, said, said->size);
	if (!peer || peer->is.flags & PBX_SIP_DISABLED)
		return PBX_ENOENT;
	if (!watcher->answered || !is_good(&spec))
		return PBX_EINVAL;
	if (ua_sessions_count() >= MOST_SESSIONS)
		return PBX_ENOSPC;
	struct ua_session *session = calloc(1, sizeof *session);
	if (!session)
		return PBX_ENOMEM;
	session->handle.id = core_handle_new(&sessions, session);
	session->peer = ua_peer_ref(peer);
	ua_refresh_init(&session->refresh, &ua_session_refreshed, session);
	int err = session->handle.id ? session_begin(session, &spec) : PBX_ENOMEM;
	if (err != PBX_OK) {
		session_free(session, false);
		return err;
	}
	use_watcher(session, host, watcher, self);
	*ret_session = session->handle;
	return PBX_OK;
}

static int session_update(pbx_session handle, const struct pbx_session_parts *parts)
{
	struct ua_session *session = core_handle_find(&sessions, handle.id);

	if (!session)
		return PBX_ENOENT;
	if (!session->invitation || !session->invitation->stands)
		return PBX_ESTATE;
	if (session->updating)
		return PBX_EBUSY;
	int err = ua_body_write(parts, &session->body);
	if (err == PBX_OK)
		err = ua_session_say(session, UA_SAY_UPDATE);
	session->updating = err == PBX_OK;
	if (err != PBX_OK)
		ua_body_fini(&session->body);
	return err;
}

static int session_answer(pbx_session handle, uint32_t sip_code, const struct pbx_session_parts *parts)
{
	struct ua_session *session = core_handle_find(&sessions, handle.id);

	return session ? ua_session_reply(session, sip_code, parts) : PBX_ENOENT;
}

static int session_adopt(struct pbx_host *host, pbx_session handle, const struct pbx_session_watcher *watcher, void *self)
{
	struct ua_session *session = core_handle_find(&sessions, handle.id);

	if (!session)
		return PBX_ENOENT;
	if (!watcher->answered)
		return PBX_EINVAL;
	core_charge_remove(&session->charge);
	use_watcher(session, host, watcher, self);
	return PBX_OK;
}

static int session_close(pbx_session handle)
{
	struct ua_session *session = core_handle_find(&sessions, handle.id);

	if (!session)
		return PBX_ENOENT;
	session_free(session, true);
	return PBX_OK;
}

void ua_sessions_init(void)
{
	core_handles_init(&sessions, 'N');
}

void ua_sessions_fini(void)
{
	struct ua_session *session;
	uint32_t at = 0;

	while ((session = core_handles_next(&sessions, &at)))
		session_free(session, true);
	core_handles_fini(&sessions);
	ua_invitations_fini();
}

const struct pbx_sessions ua_sessions_service = {
	.header = PBX_HEADER(struct pbx_sessions),
	.open = session_open,
	.update = session_update,
	.answer = session_answer,
	.adopt = session_adopt,
	.close = session_close,
};
