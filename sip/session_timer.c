/*
 * session_timer.c - a phone that has vanished does not keep its call (RFC 4028)
 *
 *    agreed in INVITE, UPDATE and their 200     Session-Expires, who refreshes, and no less than Min-SE
 *    the refresher is us                        after half the interval: UPDATE without media, or a re-INVITE when the peer has none
 *    nobody has refreshed                       BYE a third of the interval, at most 32 s, before its end
 *
 * With sip.session_timers `always` a call with a phone that knows nothing of this is refreshed too, by us: it has to answer. Another SIP system
 * may be treated by words of its own (pbx/sip.h).
 */
#include "dialog_internal.h"
#include "loop.h"
#include "peering.h"
#include "timer.h"
#include <stdlib.h>
#include <string.h>

#define LEAST_S 90u   /* RFC 4028 section 5: nobody may ask for less */
#define MOST_S 86400u /* a Min-SE above is nonsense */
#define MOST_REFUSALS 3u
#define BUSY_MS 2000u /* another request is under way: the refresh waits so long */

static const char *mode_of(const struct ua *ua, const struct pbx_sip_peer *peer)
{
	return peer && peer->session_timers[0] ? peer->session_timers : ua->settings->session_timers;
}

bool ua_session_is_on(const struct ua *ua, const struct pbx_sip_peer *peer)
{
	return strcmp(mode_of(ua, peer), "off") != 0;
}

static bool is_on(const struct ua_dialog *dialog)
{
	return ua_session_is_on(dialog->ua, ua_peering_peer(dialog));
}

static bool is_asked_for_by_us(const struct ua_dialog *dialog)
{
	return strcmp(mode_of(dialog->ua, ua_peering_peer(dialog)), "always") == 0;
}

/* What we would like, whatever the other side takes. */
static uint32_t expires_s_of(const struct ua_dialog *dialog)
{
	const struct pbx_sip_peer *peer = ua_peering_peer(dialog);

	return peer && peer->session_expires_s ? peer->session_expires_s : dialog->ua->settings->session_expires_s;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static bool knows_timers(const sip_t *sip)
{
	return sip_has_feature(sip->sip_supported, "timer") || sip_has_feature(sip->sip_require, "timer");
}

/* ---- requests of the peer ------------------------------------------------------------- */

bool ua_session_is_too_short(const struct ua *ua, const struct pbx_sip_peer *peer, const sip_t *request, char *ret_headers, size_t size)
{
	const sip_session_expires_t *asked = request->sip_session_expires;

	if (!ua_session_is_on(ua, peer) || !asked || asked->x_delta >= ua->settings->min_se_s || !knows_timers(request))
		return false;
	(void)snprintf(ret_headers, size, "Min-SE: %u\n", ua->settings->min_se_s);
	return true;
}

void ua_session_asked(struct ua_dialog *dialog, const sip_t *request)
{
	struct ua_session *session = &dialog->session;
	const sip_session_expires_t *asked = request->sip_session_expires;
	const char *refresher = asked ? asked->x_refresher : NULL;
	uint32_t wanted_s = larger(expires_s_of(dialog), dialog->ua->settings->min_se_s);

	session->interval_s = 0;
	if (!is_on(dialog) || (!asked && !is_asked_for_by_us(dialog)))
		return;
	if (request->sip_min_se && request->sip_min_se->min_delta <= MOST_S)
		session->least_s = larger(session->least_s, (uint32_t)request->sip_min_se->min_delta);
	session->interval_s = asked && asked->x_delta < wanted_s ? (uint32_t)asked->x_delta : larger(wanted_s, session->least_s);
	session->interval_s = larger(session->interval_s, LEAST_S);
	session->ours = !knows_timers(request) || (refresher && strcasecmp(refresher, "uas") == 0);
}

void ua_session_confirm(const struct ua_dialog *dialog, char *ret_headers, size_t size)
{
	const struct ua_session *session = &dialog->session;

	ret_headers[0] = '\0';
	if (session->interval_s)
		(void)snprintf(ret_headers, size, "Session-Expires: %u;refresher=%s\n%s", session->interval_s,
			       session->ours ? "uas" : "uac", session->ours ? "" : "Require: timer\n");
}

/* ---- requests of ours ----------------------------------------------------------------- */

void ua_session_wish(const struct ua_dialog *dialog, char *ret_headers, size_t size)
{
	const struct ua_session *session = &dialog->session;
	const struct ua_settings *settings = dialog->ua->settings;
	uint32_t least_s = larger(settings->min_se_s, session->least_s);
	bool is_first = dialog->state != UA_ANSWERED;

	ret_headers[0] = '\0';
	if (is_first && is_asked_for_by_us(dialog))
		(void)snprintf(ret_headers, size, "Session-Expires: %u\nMin-SE: %u\n", larger(expires_s_of(dialog), least_s), least_s);
	else if (!is_first && session->interval_s)
		(void)snprintf(ret_headers, size, "Session-Expires: %u;refresher=%s\nMin-SE: %u\n", larger(session->interval_s, least_s),
			       session->ours ? "uac" : "uas", least_s);
}

void ua_session_answered(struct ua_dialog *dialog, const sip_t *response)
{
	struct ua_session *session = &dialog->session;
	const sip_session_expires_t *agreed = response->sip_session_expires;
	const struct ua_settings *settings = dialog->ua->settings;

	session->refusals = 0;
	session->ours = true;
	if (!is_on(dialog)) {
		session->interval_s = 0;
	} else if (agreed) {
		session->interval_s = larger((uint32_t)(agreed->x_delta <= MOST_S ? agreed->x_delta : MOST_S), LEAST_S);
		session->ours = !agreed->x_refresher || strcasecmp(agreed->x_refresher, "uas") != 0;
	} else {
		session->interval_s =
			is_asked_for_by_us(dialog) ? larger(expires_s_of(dialog), larger(settings->min_se_s, session->least_s)) : 0;
	}
	ua_session_begin(dialog);
}

bool ua_session_may_retry(struct ua_dialog *dialog, const sip_t *response)
{
	struct ua_session *session = &dialog->session;
	const sip_min_se_t *least = response->sip_min_se;

	if (!is_on(dialog) || !least || least->min_delta > MOST_S || ++session->refusals > MOST_REFUSALS)
		return false;
	session->least_s = larger(session->least_s, (uint32_t)least->min_delta);
	return true;
}

/* ---- time passes ---------------------------------------------------------------------- */

static void on_timer(void *self, pbx_timer timer);

static void wait_ms(struct ua_dialog *dialog, uint64_t after_ms)
{
	struct ua_session *session = &dialog->session;

	(void)core_timer_stop(session->timer);
	session->timer = (pbx_timer){ 0 };
	(void)core_timer_start(dialog->ua->host, after_ms, 0, on_timer, dialog,
			       &session->timer); /* no memory: the media time-out ends the call of a phone that has vanished */
}

/* Whether another request of either side is under way that says how the session goes on. */
static bool is_busy(const struct ua_dialog *dialog)
{
	return dialog->out || dialog->update_body || dialog->offer || dialog->awaits_ack || dialog->update;
}

static void on_timer(void *self, pbx_timer timer)
{
	struct ua_dialog *dialog = self;
	struct ua_session *session = &dialog->session;
	uint64_t now_ms = core_now_ms();

	(void)timer;
	session->timer = (pbx_timer){ 0 };
	if (dialog->state != UA_ANSWERED)
		return;
	if (now_ms >= session->ends_at_ms) {
		ua_dialog_bye(dialog, PBX_CAUSE_TIMER);
		ua_dialog_end(dialog, 0, PBX_CAUSE_TIMER, false, "session_timeout");
		return;
	}
	if (is_busy(dialog)) {
		wait_ms(dialog, now_ms + BUSY_MS < session->ends_at_ms ? BUSY_MS : session->ends_at_ms - now_ms);
		return;
	}
	wait_ms(dialog, session->ends_at_ms - now_ms);
	if (session->ours)
		ua_dialog_refresh(dialog);
}

void ua_session_begin(struct ua_dialog *dialog)
{
	struct ua_session *session = &dialog->session;
	uint32_t grace_s = session->interval_s / 3 < 32 ? session->interval_s / 3 : 32;
	uint64_t lasts_ms = (session->interval_s - grace_s) * 1000ull;

	ua_session_end(dialog);
	if (!session->interval_s || dialog->state != UA_ANSWERED)
		return;
	session->ends_at_ms = core_now_ms() + lasts_ms;
	wait_ms(dialog, session->ours ? session->interval_s * 500ull : lasts_ms);
}

void ua_session_end(struct ua_dialog *dialog)
{
	(void)core_timer_stop(dialog->session.timer); /* none is running in most */
	dialog->session.timer = (pbx_timer){ 0 };
}
