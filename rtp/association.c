/*
 * association - from a negotiated plan to a peer that is found (ICE) and proved (DTLS)
 *
 * ICE says where the peer is: SDP's address and latching have no say any more. On the first way that works DTLS shakes hands, and its keys
 * become the guards of the plan; until then no packet of media is sent or believed. A new plan with the same names and certificates goes on
 * with what is there; a restart or another certificate begins anew, while the old way and the old keys serve on.
 *
 * A stranger's STUN costs a checksum and a comparison of names, a stranger's DTLS a comparison of addresses.
 */
#include "association.h"
#include "dtls.h"
#include "ice.h"
#include "worker.h"
#include <string.h>

#define SHAKE_MS 30000u /* DTLS: the peer may answer late, but not never */

static bool send_check(void *context, uint8_t component, const struct core_addr *to, const uint8_t *data, size_t size)
{
	return rtp_session_send(context, component == 2, to, data, size);
}

/* What is not taken is lost, and sent again in time. */
static void send_flight(void *context, const uint8_t *data, size_t size)
{
	struct rtp_session *session = context;

	if (session->remote_size > 0)
		(void)rtp_session_send(session, false, &session->remote, data, size);
}

/* ---- what the loop is told ---- */

static void fail(struct rtp_session *session, uint8_t why)
{
	if (session->failed == 0)
		session->failed = why;
	if (!session->told_failed)
		session->told_failed = rtp_worker_tell(
			session->worker,
			&(struct rtp_event){ .stream = session->stream, .kind = RTP_EVENT_FAILED, .for_ms = session->failed });
}

static void tell_way(struct rtp_session *session)
{
	/* Not told: the next change is; until then only a display is wrong. */
	(void)rtp_worker_tell(session->worker,
			      &(struct rtp_event){ .stream = session->stream, .kind = RTP_EVENT_CONNECTED, .remote = session->remote });
}

/* ---- DTLS ---- */

/* The keys are there: from here on packets are protected. */
static void use_keys(struct rtp_session *session)
{
	struct rtp_plan *plan = session->plan;
	struct core_crypto send, receive;
	struct rtp_guard *send_guard = NULL, *receive_guard = NULL;
	bool good = rtp_dtls_keys(plan->dtls, &send, &receive) && rtp_guard_new(&send, session->sender.ssrc, &send_guard) == PBX_OK &&
		    rtp_guard_new(&receive, 0, &receive_guard) == PBX_OK;

	if (good) {
		rtp_guard_free(plan->send_guard);
		rtp_guard_free(plan->receive_guard);
		plan->send_guard = send_guard;
		plan->receive_guard = receive_guard;
		plan->proved = true;
		rtp_write(&session->counters.suite, send.suite);
	} else {
		rtp_guard_free(send_guard);
		fail(session, CORE_MEDIA_DTLS_FAILED);
	}
	explicit_bzero(&send, sizeof send);
	explicit_bzero(&receive, sizeof receive);
}

static void follow_dtls(struct rtp_session *session, uint32_t state)
{
	if (session->plan->proved)
		return;
	if (state == RTP_DTLS_DONE)
		use_keys(session);
	else if (state != RTP_DTLS_SHAKING)
		fail(session, state == RTP_DTLS_WRONG_PEER ? CORE_MEDIA_WRONG_PEER : CORE_MEDIA_DTLS_FAILED);
}

static void start_dtls(struct rtp_session *session)
{
	struct rtp_plan *plan = session->plan;

	if (!plan->dtls || rtp_dtls_has_started(plan->dtls) || session->remote_size == 0)
		return;
	session->shaking_since_ms = session->worker->now_ms;
	rtp_dtls_start(plan->dtls, send_flight, session);
}

/* Without ICE: from the host that SDP names (a phone behind NAT needs ICE for this). */
static bool is_dtls_peer(const struct rtp_session *session, const struct core_addr *from)
{
	const struct rtp_plan *plan = session->plan;

	return plan->ice ? rtp_association_knows(session, false, from) : rtp_addr_same_host(from, &plan->rtp);
}

static bool take_dtls(struct rtp_session *session, const uint8_t *data, size_t size, const struct core_addr *from)
{
	if (!session->plan->dtls || !is_dtls_peer(session, from))
		return false;
	if (session->remote_size == 0) {
		rtp_session_set_remote(session, from); /* so that our flight has somewhere to go */
		tell_way(session);
	}
	start_dtls(session);
	session->worker->shakes += !session->plan->proved;
	follow_dtls(session, rtp_dtls_take(session->plan->dtls, data, size));
	return true;
}

/* ---- ICE ---- */

static void follow_ice(struct rtp_session *session)
{
	struct rtp_plan *plan = session->plan;
	const struct core_addr *remote = rtp_ice_remote(plan->ice, 1), *rtcp = rtp_ice_remote(plan->ice, plan->rtcp_mux ? 1 : 2);

	if (rtcp)
		session->remote_rtcp = *rtcp;
	if (remote && !rtp_addr_same(remote, &session->remote)) {
		rtp_session_set_remote(session, remote);
		tell_way(session);
	}
	if (remote)
		start_dtls(session);
	if (rtp_ice_state(plan->ice) == RTP_ICE_FAILED)
		fail(session, CORE_MEDIA_ICE_FAILED);
	if (rtp_ice_state(plan->ice) == RTP_ICE_LOST) {
		session->remote_size = 0; /* RFC 7675 5.1: nothing more goes there */
		fail(session, CORE_MEDIA_CONSENT_LOST);
	}
}

static bool take_stun(struct rtp_session *session, bool rtcp_socket, const uint8_t *data, size_t size, const struct core_addr *from)
{
	struct rtp_ice *ice = session->plan->ice;

	if (!ice || !rtp_ice_take(ice, rtcp_socket ? 2 : 1, data, size, from, session->worker->now_ms))
		return false;
	follow_ice(session);
	return true;
}

bool rtp_association_knows(const struct rtp_session *session, bool rtcp_socket, const struct core_addr *from)
{
	return rtp_ice_knows(session->plan->ice, rtcp_socket ? 2 : 1, from);
}

/* Where nothing can go any more nothing is sent: another way takes its place, at once or when the peer comes again. */
void rtp_association_lost(struct rtp_session *session, const struct core_addr *peer)
{
	static const struct core_addr nowhere;

	if (rtp_addr_same(&session->remote, peer)) {
		rtp_session_set_remote(session, &nowhere);
		session->remote_rtcp = nowhere;
	}
	if (!session->plan || !session->plan->ice)
		return;
	rtp_ice_forget(session->plan->ice, peer, session->worker->now_ms);
	follow_ice(session);
	if (session->remote_size == 0)
		tell_way(session);
}

/* ---- all of it ---- */

static void keep_ice(struct rtp_plan *plan, struct rtp_plan *old)
{
	struct rtp_ice *offered = plan->ice;

	plan->ice = old->ice;
	old->ice = offered;
	rtp_ice_add(plan->ice, offered); /* it may have told of new candidates */
}

static void keep_dtls(struct rtp_plan *plan, struct rtp_plan *old)
{
	plan->dtls = old->dtls;
	plan->proved = old->proved;
	old->dtls = NULL;
}

/* The old keys are good until the new handshake is done. */
static void keep_guards(struct rtp_plan *plan, struct rtp_plan *old)
{
	plan->send_guard = old->send_guard;
	plan->receive_guard = old->receive_guard;
	old->send_guard = old->receive_guard = NULL;
}

void rtp_association_begin(struct rtp_session *session, struct rtp_plan *old)
{
	struct rtp_plan *plan = session->plan;

	session->failed = 0;
	session->told_failed = false;
	if (plan->protects && old)
		keep_guards(plan, old);
	if (plan->keeps_dtls && old)
		keep_dtls(plan, old);
	if (plan->ice && plan->keeps_ice && old && old->ice)
		keep_ice(plan, old);
	else if (plan->ice)
		rtp_ice_start(plan->ice, send_check, session, session->worker->now_ms);
	rtp_association_look_after(session);
}

bool rtp_association_take(struct rtp_session *session, bool rtcp_socket, const uint8_t *data, size_t size, const struct core_addr *from)
{
	if (data[0] <= 3)
		return take_stun(session, rtcp_socket, data, size, from);
	return data[0] >= 20 && data[0] <= 63 && !rtcp_socket && take_dtls(session, data, size, from);
}

void rtp_association_look_after(struct rtp_session *session)
{
	struct rtp_plan *plan = session->plan;
	uint64_t now_ms = session->worker->now_ms;

	if (session->failed && !session->told_failed)
		fail(session, session->failed);
	if (plan->ice) {
		rtp_ice_look_after(plan->ice, rtp_read(&session->worker->common->consent_ms), now_ms);
		follow_ice(session);
	}
	start_dtls(session);
	if (!plan->dtls || plan->proved || !rtp_dtls_has_started(plan->dtls))
		return;
	follow_dtls(session, rtp_dtls_look_after(plan->dtls));
	if (!plan->proved && now_ms - session->shaking_since_ms >= SHAKE_MS)
		fail(session, CORE_MEDIA_DTLS_FAILED);
}
