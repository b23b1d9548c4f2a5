/*
 * keepalive.c - asks phones behind NAT whether they are still there
 *
 * A router forgets a way that nobody uses; sip.keepalive_s is shorter than what they commonly grant UDP. Once a second a share of all
 * bindings is looked at, so that ten thousand phones are not asked at once. Any answer is a sign of life, also a refusal; the time it took
 * is the round trip that lists show. One question at a time: Sofia repeats it for as long as RFC 3261 says, 32 s, but whoever has had no answer when
 * it would be asked again (and has had a few seconds for it) is taken for silent and asked anew.
 */
#include "keepalive.h"
#include "address.h"
#include "agent.h"
#include "as_written.h"
#include "location.h"
#include "loop.h"
#include "timer.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 1000u
#define PATIENCE_S 4u /* at least; three repetitions by UDP */
#define MISSES 2u     /* in a row, before the log tells */

struct ua_question {
	struct ua_question *next, **at;
	nta_leg_t *leg; /* Sofia wants one, and one without a dialog would take what others ask us */
	nta_outgoing_t *out;
	uint64_t asked_at_us;
	char id[27];
};

static struct {
	struct ua *ua;
	pbx_timer tick;
	uint32_t at; /* how far the present round has come */
	struct ua_question *questions;
} keepalive;

static void question_free(struct ua_question *question)
{
	*question->at = question->next;
	if (question->next)
		question->next->at = question->at;
	if (question->out)
		nta_outgoing_destroy(question->out);
	if (question->leg)
		nta_leg_destroy(question->leg);
	free(question);
}

/* ---- the answer ----------------------------------------------------------------------- */

static void take_answer(struct ua_binding *binding, uint64_t took_us)
{
	if (binding->unanswered >= MISSES)
		pbx_notice(keepalive.ua->host, "phone_answers_again", "aor=%s contact=%s", ua_location_aor(binding), binding->uri);
	binding->unanswered = 0;
	binding->round_trip_us = took_us > 0 && took_us < UINT32_MAX ? (uint32_t)took_us : 1;
}

static void take_silence(struct ua_binding *binding)
{
	if (++binding->unanswered == MISSES)
		pbx_notice(keepalive.ua->host, "phone_does_not_answer", "aor=%s contact=%s received=%s", ua_location_aor(binding),
			   binding->uri, binding->received);
}

/* Sofia's type for what it hands back is a dialog's; here it is a question. */
static int on_answer(struct ua_dialog *self, nta_outgoing_t *out, const sip_t *sip)
{
	struct ua_question *question = (struct ua_question *)self;
	struct ua_binding *binding = ua_location_by_id(question->id);

	(void)sip;
	if (nta_outgoing_status(out) < 200)
		return 0;
	if (binding)
		binding->asked = NULL;
	/* Without a delay there was no answer: the 408 or 503 is Sofia's own. */
	if (binding && nta_outgoing_delay(out) != UINT_MAX)
		take_answer(binding, core_now_us() - question->asked_at_us);
	else if (binding)
		take_silence(binding);
	question_free(question);
	return 0;
}

/* ---- the question --------------------------------------------------------------------- */

/* Its packets do not come from where it says it is. */
static bool is_behind_nat(const struct ua_binding *binding)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	struct core_addr said, received;
	char hostport[160], from[80];
	struct ua_manners manners;
	bool behind = true;

	ua_listener_manners(keepalive.ua, binding->listener, &manners);
	if (strcmp(manners.nat, "auto") != 0)
		return strcmp(manners.nat, "always") == 0;
	if (!binding->received[0] || !ua_address_parse(binding->received, &received))
		return false;
	(void)su_home_init(home);
	const url_t *uri = url_make(home, binding->uri);

	if (uri && uri->url_host) {
		(void)snprintf(hostport, sizeof hostport, "%s%s%s", uri->url_host, uri->url_port ? ":" : "",
			       uri->url_port ? uri->url_port : "");
		if (ua_address_parse(hostport, &said)) {
			core_address_print_host(&said, hostport, sizeof hostport);
			core_address_print_host(&received, from, sizeof from);
			behind = strcmp(hostport, from) != 0;
		}
	}
	su_home_deinit(home);
	return behind;
}

/* False: it still has time to answer what it was asked. */
static bool give_up(struct ua_binding *binding)
{
	uint32_t every_s = keepalive.ua->settings->keepalive_s, patience_s = every_s > PATIENCE_S ? every_s : PATIENCE_S;

	if (core_now_us() - binding->asked->asked_at_us < patience_s * UINT64_C(1000000))
		return false;
	question_free(binding->asked);
	binding->asked = NULL;
	take_silence(binding);
	return true;
}

static void ask(struct ua_binding *binding)
{
	struct ua *ua = keepalive.ua;
	struct ua_question *question;
	char route[UA_ROUTE_SIZE], contact[100], from[160], to[600];
	struct core_addr peer;
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const char *listener = ua_listener_find(binding->listener), *ident = ua_transport_ident(listener, binding->transport);

	if (binding->asked && !give_up(binding))
		return;
	if (binding->node || binding->path[0] || !is_behind_nat(binding) || !ua_address_parse(binding->received, &peer))
		return; /* with a Path the way is a proxy's matter */
	if (ua_transport_route(ua, binding->transport, binding->received, route) != PBX_OK)
		return; /* its connection has gone: the next call removes it */
	question = calloc(1, sizeof *question);
	if (!question)
		return; /* the next round asks */
	(void)snprintf(question->id, sizeof question->id, "%s", binding->id);
	ua_transport_contact(ua, listener, &peer, binding->transport, contact, sizeof contact);
	(void)snprintf(from, sizeof from, "<sip:%s>", ua->settings->domain);
	(void)snprintf(to, sizeof to, "<%s>", binding->uri);
	question->asked_at_us = core_now_us();
	question->next = keepalive.questions;
	question->at = &keepalive.questions;
	if (question->next)
		question->next->at = &question->next;
	keepalive.questions = question;
	binding->asked = question;
	ua_count(ua, UA_METRIC_REQUESTS, "OPTIONS,out");
	question->leg = nta_leg_tcreate(ua->agent, NULL, NULL, SIPTAG_FROM_STR(from), SIPTAG_TO_STR(to), TAG_END());
	(void)su_home_init(home);
	if (question->leg && nta_leg_tag(question->leg, NULL))
		question->out = nta_outgoing_tcreate(question->leg, on_answer, (struct ua_dialog *)question, ua_url(route),
						     SIP_METHOD_OPTIONS, ua_uri_as_written(home, binding->uri), SIPTAG_CONTACT_STR(contact),
						     SIPTAG_MAX_FORWARDS_STR("70"), SIPTAG_USER_AGENT_STR(ua->settings->user_agent),
						     TAG_IF(ident, TPTAG_IDENT(ident)), TAG_END());
	su_home_deinit(home);
	if (question->out)
		return;
	binding->asked = NULL;
	question_free(question);
}

static void on_tick(void *self, pbx_timer timer)
{
	const struct ua *ua = self;
	uint32_t every_s = ua->settings->keepalive_s;

	(void)timer;
	if (every_s > 0)
		keepalive.at = ua_location_walk(keepalive.at, every_s, ask);
}

/* ---- life ----------------------------------------------------------------------------- */

int ua_keepalive_start(struct ua *ua)
{
	memset(&keepalive, 0, sizeof keepalive);
	keepalive.ua = ua;
	return core_timer_start(ua->host, TICK_MS, TICK_MS, on_tick, ua, &keepalive.tick);
}

void ua_keepalive_stop(struct ua *ua)
{
	(void)ua;
	(void)core_timer_stop(keepalive.tick); /* or it has gone with its owner */
	while (keepalive.questions)
		question_free(keepalive.questions);
	memset(&keepalive, 0, sizeof keepalive);
}
