/* tests/fake/sessions.c - dialogs that are no calls (pbx/session.h), without SIP: what a plugin says in them is kept, and a test answers as the other side */
#include "fake_internal.h"
#include "loop.h"
#include "overlap.h"
#include "owner.h"
#include <stdlib.h>
#include <string.h>

#define MOST_PARTS 8u

struct said {
	char *type, *disposition, *body;
};

struct session {
	struct core_charge charge; /* first: a charge is its session */
	struct session *next;
	pbx_session handle;
	char peer[64];
	struct said parts[MOST_PARTS];
	uint32_t count, offers, answered; /* offers so far; the code of our last answer to what was asked */
	bool waits, stands;
	struct pbx_session_watcher watcher;
	void *self;
};

static struct session *sessions; /* newest first */
static uint64_t sessions_made;

static struct session *find(pbx_session handle)
{
	struct session *session = sessions;

	while (session && session->handle.id != handle.id)
		session = session->next;
	return session;
}

static struct session *with(const char *peer)
{
	struct session *session = sessions;

	while (session && strcmp(session->peer, peer) != 0)
		session = session->next;
	return session;
}

static void forget_parts(struct session *session)
{
	for (uint32_t i = 0; i < session->count; i++) {
		free(session->parts[i].type);
		free(session->parts[i].disposition);
		free(session->parts[i].body);
	}
	session->count = 0;
}

static void keep_parts(struct session *session, const struct pbx_session_parts *parts)
{
	forget_parts(session);
	for (uint32_t i = 0; parts && i < parts->count && i < MOST_PARTS; i++) {
		const struct pbx_session_part *part = pbx_session_part_at(parts, i);

		session->parts[session->count++] =
			(struct said){ strdup(part->type), strdup(part->disposition ? part->disposition : ""), strdup(part->body) };
	}
}

static void session_free(struct session *session)
{
	struct session **at = &sessions;

	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	core_charge_remove(&session->charge);
	forget_parts(session);
	free(session);
}

static void on_revoked(struct core_charge *charge)
{
	session_free((struct session *)charge);
}

/* ---- the service ---- */

static int session_open(struct pbx_host *host, const char *peer, const struct pbx_session_spec *spec,
			const struct pbx_session_watcher *watcher, void *self, pbx_session *ret_session)
{
	if (fake_peer_enter(peer, 0) == PBX_ENOENT)
		return PBX_ENOENT;
	struct session *session = calloc(1, sizeof *session);

	ck_assert_ptr_nonnull(session);
	session->handle.id = ++sessions_made;
	(void)snprintf(session->peer, sizeof session->peer, "%s", peer);
	core_copy_overlap(&session->watcher, sizeof session->watcher, watcher, watcher->size);
	session->self = self;
	keep_parts(session, &spec->parts);
	session->waits = true;
	session->offers = 1;
	session->next = sessions;
	sessions = session;
	core_charge_add(host, &session->charge, "session", true, on_revoked);
	*ret_session = session->handle;
	return PBX_OK;
}

static int session_update(pbx_session handle, const struct pbx_session_parts *parts)
{
	struct session *session = find(handle);

	if (!session)
		return PBX_ENOENT;
	if (session->waits)
		return session->stands ? PBX_EBUSY : PBX_ESTATE;
	keep_parts(session, parts);
	session->waits = true;
	session->offers++;
	return PBX_OK;
}

static int session_answer(pbx_session handle, uint32_t sip_code, const struct pbx_session_parts *parts)
{
	struct session *session = find(handle);

	if (!session)
		return PBX_ENOENT;
	if (parts)
		keep_parts(session, parts);
	session->answered = sip_code;
	return PBX_OK;
}

static int session_adopt(struct pbx_host *host, pbx_session handle, const struct pbx_session_watcher *watcher, void *self)
{
	struct session *session = find(handle);

	if (!session)
		return PBX_ENOENT;
	core_charge_remove(&session->charge);
	core_charge_add(host, &session->charge, "session", true, on_revoked);
	core_copy_overlap(&session->watcher, sizeof session->watcher, watcher, watcher->size);
	session->self = self;
	return PBX_OK;
}

static int session_close(pbx_session handle)
{
	struct session *session = find(handle);

	if (!session)
		return PBX_ENOENT;
	session_free(session);
	return PBX_OK;
}

const struct pbx_sessions fake_sessions_service = {
	.header = PBX_HEADER(struct pbx_sessions),
	.open = session_open,
	.update = session_update,
	.answer = session_answer,
	.adopt = session_adopt,
	.close = session_close,
};

/* ---- as the other side ---- */

const char *fake_session_says(struct fake_pbx *pbx, const char *peer, const char *type)
{
	const struct session *session = with(peer);

	(void)pbx;
	for (uint32_t i = 0; session && i < session->count; i++)
		if (strcmp(session->parts[i].type, type) == 0)
			return fake_format("%s", session->parts[i].body);
	return NULL;
}

uint32_t fake_session_offers(struct fake_pbx *pbx, const char *peer)
{
	const struct session *session = with(peer);

	(void)pbx;
	return session ? session->offers : 0;
}

/* SDP as a list of one; NULL: none. */
static struct pbx_session_parts one_part(struct pbx_session_part *part, const char *type, const char *body)
{
	*part = (struct pbx_session_part){
		.size = sizeof *part, .type = type, .disposition = "", .body = body, .length = body ? (uint32_t)strlen(body) : 0
	};
	return (struct pbx_session_parts){ part, body ? 1 : 0 };
}

void fake_session_answer(struct fake_pbx *pbx, const char *peer, uint32_t sip_code, const char *sdp)
{
	struct session *session = with(peer);
	struct pbx_session_part part;

	ck_assert_msg(session && session->waits, "nothing was said to %s that waits for an answer", peer);
	const struct pbx_session_answer answer = { .size = sizeof answer,
						   .sip_code = sip_code,
						   .from_peer = true,
						   .phrase = "Said",
						   .address = "192.0.2.1:5060",
						   .parts = one_part(&part, "application/sdp", sdp) };
	struct pbx_session_watcher watcher = session->watcher;
	struct pbx_host *owner = session->charge.owner;
	pbx_session handle = session->handle;
	void *self = session->self;

	session->waits = false;
	if (sip_code < 300)
		session->stands = true;
	else if (!session->stands)
		session_free(session);
	CORE_INTO(owner, watcher.answered(self, handle, &answer));
	fake_settle(pbx);
}

uint32_t fake_session_ask(struct fake_pbx *pbx, const char *peer, const char *method, const char *type, const char *body)
{
	struct session *session = with(peer);
	struct pbx_session_part part;

	ck_assert_msg(session && session->stands, "there is no session with %s", peer);
	const struct pbx_session_question question = { .size = sizeof question, .method = method, .parts = one_part(&part, type, body) };

	session->answered = 0;
	CORE_INTO(session->charge.owner, session->watcher.asked(session->self, session->handle, &question));
	session = with(peer);
	uint32_t answered = session ? session->answered : 0;

	fake_settle(pbx);
	return answered;
}

void fake_session_end(struct fake_pbx *pbx, const char *peer, uint32_t sip_code)
{
	struct session *session = with(peer);

	ck_assert_msg(session != NULL, "there is no session with %s", peer);
	struct pbx_session_watcher watcher = session->watcher;
	struct pbx_host *owner = session->charge.owner;
	pbx_session handle = session->handle;
	void *self = session->self;

	session_free(session);
	CORE_INTO(owner, watcher.ended(self, handle, sip_code, "it has hung up"));
	fake_settle(pbx);
}
