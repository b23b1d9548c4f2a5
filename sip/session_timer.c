/*
 * session_timer.c - a phone that has vanished does not keep its call (RFC 4028), nor another system a dialog
 *
 *    agreed in INVITE, UPDATE and their 200     Session-Expires, who refreshes, and no less than Min-SE
 *    the refresher is us                        after half the interval: UPDATE without media, or a re-INVITE when the peer has none
 *    nobody has refreshed                       BYE a third of the interval, at most 32 s, before its end
 *
 * With sip.session_timers `always` a call with a phone that knows nothing of this is refreshed too, by us: it has to answer. Another SIP system
 * may be treated by words of its own (pbx/sip.h).
 */
#include "session_timer.h"
#include "loop.h"
#include "timer.h"
#include <pbx/sip.h>
#include <string.h>

#define LEAST_S 90u   /* RFC 4028 section 5: nobody may ask for less */
#define MOST_S 86400u /* a Min-SE above is nonsense */
#define MOST_REFUSALS 3u
#define BUSY_MS 2000u /* another request is under way: the refresh waits so long */

static const char *mode_of(const struct ua *ua, const struct pbx_sip_peer *peer)
{
	return peer && peer->session_timers[0] ? peer->session_timers : ua->settings->session_timers;
}

bool ua_refresh_is_on(const struct ua *ua, const struct pbx_sip_peer *peer)
{
	return strcmp(mode_of(ua, peer), "off") != 0;
}

static bool is_on(const struct ua_refresh *refresh)
{
	return ua_refresh_is_on(ua_part, refresh->dialog->peer(refresh->self));
}

static bool is_asked_for_by_us(const struct ua_refresh *refresh)
{
	return strcmp(mode_of(ua_part, refresh->dialog->peer(refresh->self)), "always") == 0;
}

/* What we would like, whatever the other side takes. */
static uint32_t expires_s_of(const struct ua_refresh *refresh)
{
	const struct pbx_sip_peer *peer = refresh->dialog->peer(refresh->self);

	return peer && peer->session_expires_s ? peer->session_expires_s : ua_part->settings->session_expires_s;
}

void ua_refresh_init(struct ua_refresh *refresh, const struct ua_refreshed *dialog, void *self)
{
	*refresh = (struct ua_refresh){ .dialog = dialog, .self = self };
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

bool ua_refresh_is_too_short(const struct ua *ua, const struct pbx_sip_peer *peer, const sip_t *request, char *ret_headers, size_t size)
{
	const sip_session_expires_t *asked = request->sip_session_expires;

	if (!ua_refresh_is_on(ua, peer) || !asked || asked->x_delta >= ua->settings->min_se_s || !knows_timers(request))
		return false;
	(void)snprintf(ret_headers, size, "Min-SE: %u\n", ua->settings->min_se_s);
	return true;
}

void ua_refresh_asked(struct ua_refresh *refresh, const sip_t *request)
{
	const sip_session_expires_t *asked = request->sip_session_expires;
	const char *refresher = asked ? asked->x_refresher : NULL;
	uint32_t wanted_s = larger(expires_s_of(refresh), ua_part->settings->min_se_s);

	refresh->interval_s = 0;
	if (!is_on(refresh) || (!asked && !is_asked_for_by_us(refresh)))
		return;
	if (request->sip_min_se && request->sip_min_se->min_delta <= MOST_S)
		refresh->least_s = larger(refresh->least_s, (uint32_t)request->sip_min_se->min_delta);
	refresh->interval_s = asked && asked->x_delta < wanted_s ? (uint32_t)asked->x_delta : larger(wanted_s, refresh->least_s);
	refresh->interval_s = larger(refresh->interval_s, LEAST_S);
	refresh->ours = !knows_timers(request) || (refresher && strcasecmp(refresher, "uas") == 0);
}

void ua_refresh_confirm(const struct ua_refresh *refresh, char *ret_headers, size_t size)
{
	ret_headers[0] = '\0';
	if (refresh->interval_s)
		(void)snprintf(ret_headers, size, "Session-Expires: %u;refresher=%s\n%s", refresh->interval_s,
			       refresh->ours ? "uas" : "uac", refresh->ours ? "" : "Require: timer\n");
}

/* ---- requests of ours ----------------------------------------------------------------- */

void ua_refresh_wish(const struct ua_refresh *refresh, char *ret_headers, size_t size)
{
	const struct ua_settings *settings = ua_part->settings;
	uint32_t least_s = larger(settings->min_se_s, refresh->least_s);
	bool is_first = !refresh->dialog->stands(refresh->self);

	ret_headers[0] = '\0';
	if (is_first && is_asked_for_by_us(refresh))
		(void)snprintf(ret_headers, size, "Session-Expires: %u\nMin-SE: %u\n", larger(expires_s_of(refresh), least_s), least_s);
	else if (!is_first && refresh->interval_s)
		(void)snprintf(ret_headers, size, "Session-Expires: %u;refresher=%s\nMin-SE: %u\n", larger(refresh->interval_s, least_s),
			       refresh->ours ? "uac" : "uas", least_s);
}

void ua_refresh_answered(struct ua_refresh *refresh, const sip_t *response)
{
	const sip_session_expires_t *agreed = response->sip_session_expires;
	const struct ua_settings *settings = ua_part->settings;

	refresh->refusals = 0;
	refresh->ours = true;
	if (!is_on(refresh)) {
		refresh->interval_s = 0;
	} else if (agreed) {
		refresh->interval_s = larger((uint32_t)(agreed->x_delta <= MOST_S ? agreed->x_delta : MOST_S), LEAST_S);
		refresh->ours = !agreed->x_refresher || strcasecmp(agreed->x_refresher, "uas") != 0;
	} else {
		refresh->interval_s =
			is_asked_for_by_us(refresh) ? larger(expires_s_of(refresh), larger(settings->min_se_s, refresh->least_s)) : 0;
	}
	ua_refresh_begin(refresh);
}

bool ua_refresh_may_retry(struct ua_refresh *refresh, const sip_t *response)
{
	const sip_min_se_t *least = response->sip_min_se;

	if (!is_on(refresh) || !least || least->min_delta > MOST_S || ++refresh->refusals > MOST_REFUSALS)
		return false;
	refresh->least_s = larger(refresh->least_s, (uint32_t)least->min_delta);
	return true;
}

/* ---- time passes ---------------------------------------------------------------------- */

static void on_timer(void *self, pbx_timer timer);

static void wait_ms(struct ua_refresh *refresh, uint64_t after_ms)
{
	(void)core_timer_stop(refresh->timer);
	refresh->timer = (pbx_timer){ 0 };
	(void)core_timer_start(ua_part->host, after_ms, 0, on_timer, refresh,
			       &refresh->timer); /* no memory: nothing is said of it, and the other side ends it */
}

static void on_timer(void *self, pbx_timer timer)
{
	struct ua_refresh *refresh = self;
	uint64_t now_ms = core_now_ms();

	(void)timer;
	refresh->timer = (pbx_timer){ 0 };
	if (!refresh->dialog->stands(refresh->self))
		return;
	if (now_ms >= refresh->ends_at_ms) {
		refresh->dialog->expired(refresh->self);
		return;
	}
	if (refresh->dialog->is_busy(refresh->self)) {
		wait_ms(refresh, now_ms + BUSY_MS < refresh->ends_at_ms ? BUSY_MS : refresh->ends_at_ms - now_ms);
		return;
	}
	wait_ms(refresh, refresh->ends_at_ms - now_ms);
	if (refresh->ours)
		refresh->dialog->refresh(refresh->self);
}

void ua_refresh_begin(struct ua_refresh *refresh)
{
	uint32_t grace_s = refresh->interval_s / 3 < 32 ? refresh->interval_s / 3 : 32;
	uint64_t lasts_ms = (refresh->interval_s - grace_s) * 1000ull;

	ua_refresh_end(refresh);
	if (!refresh->interval_s || !refresh->dialog->stands(refresh->self))
		return;
	refresh->ends_at_ms = core_now_ms() + lasts_ms;
	wait_ms(refresh, refresh->ours ? refresh->interval_s * 500ull : lasts_ms);
}

void ua_refresh_end(struct ua_refresh *refresh)
{
	(void)core_timer_stop(refresh->timer); /* none is running in most */
	refresh->timer = (pbx_timer){ 0 };
}
