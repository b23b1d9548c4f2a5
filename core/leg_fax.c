/* leg_fax.c - a conversation of two becomes a fax by T.38, and a conversation again (ITU-T T.38 Annex D)
 *
 * A party asks for T.38 by a re-INVITE, usually the one that hears the other's fax machine:
 *
 *    somebody here sends or receives a fax (pbx/fax.h)    it is agreed to
 *    the party it talks to may have T.38                  is asked for it with the same parameters; what it answers is the answer, and datagrams pass
 *                                                         from one to the other as they come
 *    that one may not, or says no, and speaks G.711       a gateway stands between them, where the settings want one
 *    else                                                 488, and both stay with audio
 *
 * A machine that never asks is heard, where media.fax_detect wants that: then we ask who may have a gateway. A call may also begin with T.38 and nothing
 * else: what does not end here is translated.
 *
 * The way back is an ordinary offer of audio, after which the other leg is offered audio, too. Nobody knows T.38 with encryption: an encrypted leg
 * stays with audio. */
#include "calls_inner.h"
#include <pbx/directory.h>

#define MOST_BIT_RATE 14400u
#define OUR_DATAGRAM 1400u
#define OUR_BUFFER 2000u
#define ASK_AGAIN_MS 100u

/* ---- who may ---- */

static uint32_t policy_of(const struct core_leg *leg)
{
	char says[12];

	core_leg_fax_policy(leg, says);
	return strcmp(says, "off") == 0       ? CORE_FAX_OFF
	       : strcmp(says, "pass") == 0    ? CORE_FAX_PASS
	       : strcmp(says, "gateway") == 0 ? CORE_FAX_GATEWAY
					      : core_media_policy().t38;
}

static bool is_encrypted(const struct core_stream_config *config)
{
	return config->send_crypto.suite != CORE_SRTP_NONE || config->own_dtls.hash != CORE_HASH_NONE;
}

static bool may_have_t38(const struct core_leg *leg)
{
	const struct core_stream_config config = core_leg_config(leg);

	return leg->state == PBX_LEG_ANSWERED && leg->configured && !is_encrypted(&config) && !core_ice_is_on(&config.own_ice) &&
	       policy_of(leg) != CORE_FAX_OFF;
}

static bool speaks_g711(const struct core_leg *leg)
{
	const struct core_stream_config config = core_leg_config(leg);

	for (uint8_t i = 0; i < config.codec_count; i++)
		if (strcasecmp(config.codecs[i].name, "PCMU") == 0 || strcasecmp(config.codecs[i].name, "PCMA") == 0)
			return true;
	return false;
}

/* Somebody here sends or receives a fax. */
static bool ends_here(const struct core_leg *leg)
{
	return core_media->fax_ends_at && core_media->fax_ends_at(leg->stream);
}

/* ---- turning ---- */

/* What we can do ourselves, no more than the other side asks for. NULL: what we ask for. */
static struct core_t38 our_t38(const struct core_t38 *theirs)
{
	uint32_t rate = theirs && theirs->max_bit_rate && theirs->max_bit_rate < MOST_BIT_RATE ? theirs->max_bit_rate : MOST_BIT_RATE;

	return (struct core_t38){ .on = true,
				  .recovery = theirs ? theirs->recovery : CORE_T38_REDUNDANCY,
				  .max_bit_rate = rate,
				  .max_buffer = OUR_BUFFER,
				  .max_datagram = OUR_DATAGRAM };
}

static struct core_media_desc describe(const struct core_leg *leg, const struct core_t38 *t38)
{
	return (struct core_media_desc){ .present = true, .rtp = leg->local_addr, .direction = CORE_SEND | CORE_RECV, .t38 = *t38 };
}

/* The leg's stream is one of T.38 from here on, with a party that is where and takes what `said` says. */
static int turn(struct core_leg *leg, const struct core_media_desc *said, bool translates)
{
	struct core_stream_config config = { .rtp = said->rtp,
					     .direction = CORE_SEND | CORE_RECV,
					     .ptime_ms = 20,
					     .renegotiated = true,
					     .t38 = said->t38,
					     .translates = translates };
	const struct core_media_desc before = core_leg_remote(leg);
	int err = core_rest_keep(&leg->remote, said, sizeof *said);

	if (err != PBX_OK)
		return err;
	err = core_leg_configure(leg, &config);
	if (err == PBX_OK)
		core_log(PBX_LOG_INFO, "calls", leg->call->id, "fax_t38", "leg=%s gateway=%d", leg->id, translates);
	else
		(void)core_rest_keep(&leg->remote, &before, sizeof before); /* it had its place there */
	return err;
}

/* ---- a party asks ---- */

static void refuse(struct core_leg *leg)
{
	leg->fax_asks = false;
	(void)leg->driver->refuse_offer(leg->dialog, 488); /* a dialog that is gone tells so by on_ended */
}

/* What it was told, for the next time that it asks. */
static void remember(struct core_leg *leg, const struct core_media_desc *said)
{
	(void)core_rest_keep(&leg->local, said, sizeof *said); /* no memory: it will be told what we can */
}

/* offer: the party's; says: what it is told. */
static void agree(struct core_leg *leg, const struct core_media_desc *offer, const struct core_t38 *says, bool translates)
{
	leg->fax_asks = false;
	if (turn(leg, offer, translates) != PBX_OK) {
		refuse(leg);
		return;
	}
	const struct core_media_desc answer = describe(leg, says);
	remember(leg, &answer);
	(void)leg->driver->accept_offer(leg->dialog, &answer);
}

static void agree_alone(struct core_leg *leg, const struct core_media_desc *offer, bool translates)
{
	const struct core_t38 says = our_t38(&offer->t38);

	agree(leg, offer, &says, translates);
}

/* Its partner stays with audio. */
static void translate(struct core_leg *leg, const struct core_leg *partner, const struct core_media_desc *offer)
{
	if (policy_of(leg) == CORE_FAX_GATEWAY && partner && speaks_g711(partner))
		agree_alone(leg, offer, true);
	else
		refuse(leg);
}

static int ask(struct core_leg *leg, const struct core_t38 *t38)
{
	const struct core_media_desc offer = describe(leg, t38);

	if (leg->updating || leg->late_offer)
		return PBX_EBUSY;
	int err = leg->driver->update(leg->dialog, &offer);

	if (err == PBX_OK)
		leg->updating = leg->fax_asked = true;
	return err;
}

static struct core_media_desc offer_of(const struct core_leg *leg)
{
	return (struct core_media_desc){ .present = true, .rtp = leg->fax_from, .direction = CORE_SEND | CORE_RECV, .t38 = leg->fax_wish };
}

void core_fax_on_offer(struct core_leg *leg, const struct core_media_desc *offer)
{
	struct core_leg *partner = core_bridge_peer(leg);

	if (core_leg_config(leg).t38.on) { /* once more, or with another address */
		const struct core_t38 said = core_leg_local(leg).t38, says = said.on ? said : our_t38(&offer->t38);

		agree(leg, offer, &says, core_leg_config(leg).translates);
		return;
	}
	if (leg->fax_asks || !may_have_t38(leg) || (!partner && !ends_here(leg))) {
		refuse(leg);
		return;
	}
	if (ends_here(leg)) {
		agree_alone(leg, offer, false);
		return;
	}
	if (may_have_t38(partner) && ask(partner, &offer->t38) == PBX_OK) {
		leg->fax_asks = true;
		leg->fax_from = offer->rtp;
		leg->fax_wish = offer->t38;
		return;
	}
	translate(leg, partner, offer);
}

/* ---- a party answers ---- */

void core_fax_on_answer(struct core_leg *leg, int result, const struct core_media_desc *answer)
{
	struct core_leg *partner = core_bridge_peer(leg);
	bool translates = partner && !partner->fax_asks && !core_leg_config(partner).t38.on; /* we asked because a machine was heard */
	bool agreed = result == PBX_OK && answer && answer->present && answer->t38.on && turn(leg, answer, translates) == PBX_OK;

	leg->fax_asked = false;
	if (agreed) {
		const struct core_media_desc said = describe(leg, partner && partner->fax_asks ? &partner->fax_wish : &answer->t38);

		remember(leg, &said);
	}
	if (!partner || !partner->fax_asks)
		return;
	const struct core_media_desc offer = offer_of(partner);

	if (agreed)
		agree(partner, &offer, &answer->t38, false);
	else
		translate(partner, leg, &offer);
}

/* ---- a leg begins with T.38 ---- */

int core_fax_answer_first(struct core_leg *leg, const struct core_leg *other, struct core_media_desc *ret_answer)
{
	uint32_t policy = policy_of(leg);
	const struct core_media_desc offer = core_leg_remote(leg);
	const struct core_t38 says = our_t38(&offer.t38);

	if (policy == CORE_FAX_OFF || (other && (policy != CORE_FAX_GATEWAY || !speaks_g711(other))))
		return PBX_ENOTSUP;
	int err = turn(leg, &offer, other != NULL);

	if (err != PBX_OK)
		return err;
	*ret_answer = describe(leg, &says);
	return core_rest_keep(&leg->local, ret_answer, sizeof *ret_answer);
}

/* ---- a machine is heard ---- */

static bool wants_gateway(const struct core_leg *leg)
{
	const struct core_leg *partner = core_bridge_peer(leg);

	return partner && may_have_t38(leg) && policy_of(leg) == CORE_FAX_GATEWAY && !core_leg_config(leg).t38.on && speaks_g711(partner);
}

/* CED alone may be a modem's: a machine that called was heard before, or T.30 begins (preamble). */
static void on_heard(void *self, pbx_detection detection, const struct pbx_detected *found)
{
	struct core_leg *leg = self, *partner = core_bridge_peer(leg);

	(void)detection;
	if (!partner)
		return;
	if (strcmp(found->name, "cng") == 0) {
		leg->fax_calls = true;
		return;
	}
	if (strcmp(found->name, "ced") == 0 && !partner->fax_calls)
		return;
	core_log(PBX_LOG_INFO, "calls", leg->call->id, "fax_heard", "leg=%s sound=%s", leg->id, found->name);
	if (wants_gateway(partner))
		(void)core_fax_ask(partner); /* refused: it stays with audio */
	else if (wants_gateway(leg))
		(void)core_fax_ask(leg);
}

static void on_heard_no_more(void *self, pbx_detection detection, uint32_t how)
{
	struct core_leg *leg = self;

	(void)detection, (void)how;
	leg->fax_detection.id = 0;
}

static void listen_to(struct core_leg *leg)
{
	const struct pbx_detect_spec spec = { .size = sizeof spec, .what = PBX_DETECT_FAX };
	const struct pbx_detect_watcher watcher = { .size = sizeof watcher, .found = on_heard, .over = on_heard_no_more };

	if (!leg->fax_detection.id &&
	    core_media->detect_start(core_self(), leg->stream, &spec, &watcher, leg, &leg->fax_detection) != PBX_OK)
		core_log(PBX_LOG_WARN, "calls", leg->call->id, "fax_not_heard", "leg=%s", leg->id); /* no memory */
}

void core_fax_listen(struct core_bridge *bridge)
{
	struct core_leg *a = bridge->legs[0], *b = bridge->legs[1];

	if (!core_media_policy().hears_faxes || !core_media->detect_start || (!wants_gateway(a) && !wants_gateway(b)))
		return;
	listen_to(a);
	listen_to(b);
}

void core_fax_alone(struct core_leg *leg)
{
	if (leg->fax_detection.id)
		(void)core_media->detect_stop(leg->fax_detection);
	leg->fax_detection.id = 0;
	leg->fax_calls = false;
	if (leg->fax_asks)
		refuse(leg);
}

void core_fax_back(struct core_leg *leg)
{
	struct core_leg *partner = core_bridge_peer(leg);

	if (!partner || partner->fax_asks || core_leg_config(leg).t38.on)
		return;
	const struct core_stream_config config = core_leg_config(partner);
	if (config.t38.on && !config.translates)
		(void)core_leg_update(partner); /* refused: it hears nothing, and hangs up */
}

/* Its ACK may not be here yet. */
static void ask_later(struct core_leg *leg)
{
	leg->fax_due = true;
	(void)core_timer_stop(leg->update_timer);
	(void)core_timer_start(core_self(), ASK_AGAIN_MS, 0, core_leg_on_update_timer, leg,
			       &leg->update_timer); /* no memory: it stays with audio */
}

int core_fax_ask(struct core_leg *leg)
{
	const struct core_t38 wish = our_t38(NULL);

	leg->fax_due = false;
	if (core_leg_config(leg).t38.on)
		return PBX_OK;
	int err = may_have_t38(leg) ? ask(leg, &wish) : PBX_ENOTSUP;

	if (err != PBX_EBUSY)
		return err;
	ask_later(leg);
	return PBX_OK;
}
