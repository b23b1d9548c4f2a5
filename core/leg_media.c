/* leg_media.c - a leg and its stream: what is offered and answered, and what the media workers tell of it (leg_update.c: another offer amid a call)
 *
 * Here the pure decisions of negotiate.c meet the leg they are for: whose codecs are preferred, which direction the hold flags ask for. */
#include "accounts.h"
#include "calls_inner.h"
#include "random.h"
#include "srtp_suites.h"
#include <stdlib.h>

#define STREAM_BUCKETS 4096u

const struct core_media_driver *core_media;
static struct core_leg *by_stream[STREAM_BUCKETS];

void core_media_set_driver(const struct core_media_driver *driver)
{
	core_media = driver;
}

/* ---- the stream itself ---- */

static struct core_leg **bucket_of(core_stream stream)
{
	return &by_stream[(stream.id * 0x9E3779B97F4A7C15u) >> 52];
}

struct core_leg *core_leg_of_stream(core_stream stream)
{
	struct core_leg *leg = *bucket_of(stream);

	while (leg && leg->stream.id != stream.id)
		leg = leg->next_by_stream;
	return leg;
}

int core_leg_open_stream(struct core_leg *leg, int family)
{
	if (leg->has_stream)
		return PBX_OK;
	if (!core_media)
		return PBX_ESTATE;

	int err = core_media->open(leg->call->handle.id, family == AF_INET6 ? AF_INET6 : AF_INET, &leg->stream, &leg->local_addr);
	if (err != PBX_OK)
		return err;
	leg->has_stream = true;
	leg->next_by_stream = *bucket_of(leg->stream);
	*bucket_of(leg->stream) = leg;
	return PBX_OK;
}

void core_leg_close_stream(struct core_leg *leg)
{
	if (!leg->has_stream)
		return;
	core_audio_leg_ends(leg);
	struct core_stream_stats stats;
	if (core_media->stats(leg->stream, &stats) == PBX_OK)
		(void)core_rest_keep(&leg->stats, &stats, sizeof stats); /* no memory: its end tells no figures */

	struct core_leg **at = bucket_of(leg->stream);
	while (*at != leg)
		at = &(*at)->next_by_stream;
	*at = leg->next_by_stream;
	leg->has_stream = false;
	leg->play_tag = 0;
	(void)core_media->close(leg->stream);
}

bool core_media_bound(int family, struct core_addr *ret_bound)
{
	memset(ret_bound, 0, sizeof *ret_bound);
	return core_media && core_media->bound && core_media->bound(family, ret_bound);
}

bool core_media_outside(int family, struct core_addr *ret_address)
{
	return core_media && core_media->outside && core_media->outside(family, ret_address);
}

/* ---- lists of codecs ---- */

static void list_add(struct core_media_desc *list, const struct core_codec *codec)
{
	for (uint8_t i = 0; i < list->codec_count; i++)
		if (core_codec_same(&list->codecs[i], codec))
			return;
	if (list->codec_count < CORE_MOST_CODECS)
		list->codecs[list->codec_count++] = *codec;
}

/* What a leg has agreed to speak, with its keys. */
static void list_add_agreed(struct core_media_desc *list, const struct core_leg *leg)
{
	const struct core_stream_config config = core_leg_config(leg);

	for (uint8_t i = 0; i < config.codec_count; i++)
		list_add(list, &config.codecs[i]);
	if (config.dtmf_type) {
		struct core_codec events = {
			.name = "telephone-event", .clock_hz = 8000, .channels = 1, .payload_type = config.dtmf_type, .fmtp = "0-16"
		};
		list_add(list, &events);
	}
}

static uint8_t codecs_taken(struct core_codec ret_codecs[CORE_MOST_CODECS])
{
	return core_media->codecs_taken ? core_media->codecs_taken(ret_codecs, CORE_MOST_CODECS)
					: core_media->codecs(ret_codecs, CORE_MOST_CODECS);
}

bool core_codec_is_ours(const struct core_codec *codec)
{
	struct core_codec own[CORE_MOST_CODECS];
	uint8_t count = core_media ? codecs_taken(own) : 0;

	for (uint8_t i = 0; i < count; i++)
		if (core_codec_same(&own[i], codec))
			return true;
	return false;
}

/* Ours, of which we would take any: without speech what accompanies it, keys and comfort noise. */
static void list_add_own(struct core_media_desc *list, bool speech)
{
	struct core_codec own[CORE_MOST_CODECS];
	uint8_t count = codecs_taken(own);

	for (uint8_t i = 0; i < count; i++)
		if (speech || strcasecmp(own[i].name, "telephone-event") == 0 || core_codec_is_noise(&own[i]))
			list_add(list, &own[i]);
}

struct core_codec_policy core_media_policy(void)
{
	struct core_codec_policy policy = { .transcode = CORE_TRANSCODE_AUTO, .t38 = CORE_FAX_GATEWAY };

	if (core_media->codec_policy)
		core_media->codec_policy(&policy);
	return policy;
}

static const struct core_codec *list_find(const struct core_media_desc *list, const struct core_codec *wanted)
{
	for (uint8_t i = 0; i < list->codec_count; i++)
		if (core_codec_same(&list->codecs[i], wanted))
			return &list->codecs[i];
	return NULL;
}

/* Our own parameters for what is offered, without what we could speak only with others. */
static void list_fit(struct core_media_desc *may, const struct core_media_desc *offer)
{
	uint8_t kept = 0;

	for (uint8_t i = 0; core_media->codec_answer && i < may->codec_count; i++) {
		const struct core_codec *offered = list_find(offer, &may->codecs[i]);
		char fmtp[sizeof may->codecs[i].fmtp] = "";
		int err = offered ? core_media->codec_answer(offered, fmtp, sizeof fmtp) : PBX_ENOENT;

		if (err == PBX_OK)
			CORE_TEXT(may->codecs[i].fmtp, fmtp);
		if (err == PBX_OK || err == PBX_ENOENT)
			may->codecs[kept++] = may->codecs[i];
	}
	if (core_media->codec_answer)
		may->codec_count = kept;
}

/* The offer in the order of what may be answered. */
static void list_order(struct core_media_desc *offer, const struct core_media_desc *may)
{
	struct core_media_desc ordered = *offer;

	ordered.codec_count = 0;
	for (uint8_t i = 0; i < may->codec_count; i++) {
		const struct core_codec *offered = list_find(offer, &may->codecs[i]);

		if (offered)
			list_add(&ordered, offered);
	}
	for (uint8_t i = 0; i < offer->codec_count; i++)
		list_add(&ordered, &offer->codecs[i]);
	*offer = ordered;
}

/* ---- SRTP ---- */

/* The account's word or the peer's; "" when neither has one. */
static void find_policy(const struct core_leg_driver *driver, const char *account, const char *peer, char ret_policy[12])
{
	if (peer && peer[0] && driver && driver->peer_srtp)
		core_text_copy(ret_policy, 12, driver->peer_srtp(peer));
	else
		core_account_text(account, offsetof(struct pbx_account, srtp), ret_policy, 12);
}

void core_keys_make(const struct core_leg_driver *driver, const char *account, const char *peer, bool is_web, struct core_keys *ret_keys)
{
	struct core_keys keys = { 0 };
	uint8_t suites[CORE_MOST_CRYPTOS], random[CORE_MOST_CRYPTOS][CORE_SRTP_KEY_BYTES];
	const char *usual = "off";
	uint8_t count = core_media && core_media->suites ? core_media->suites(suites, CORE_MOST_CRYPTOS, &usual) : 0;
	char policy[12];

	find_policy(driver, account, peer, policy);
	if (!policy[0])
		core_text_copy(policy, sizeof policy, usual);
	bool by_dtls = strcmp(policy, "dtls") == 0;

	keys.required = by_dtls || strcmp(policy, "required") == 0;
	if (keys.required || strcmp(policy, "optional") == 0)
		keys.count = count;
	if (keys.count > 0 && core_media->fingerprint && core_media->fingerprint(&keys.dtls))
		keys.offers_dtls = by_dtls || is_web;
	core_random(random, keys.count * sizeof random[0]);
	for (uint8_t i = 0; i < keys.count; i++) {
		keys.own[i].suite = suites[i];
		memcpy(keys.own[i].key, random[i], core_srtp_key_bytes(suites[i]));
	}
	explicit_bzero(random, sizeof random);
	*ret_keys = keys;
}

/* Made once and kept as long as the leg lasts: who hears the same key again goes on without a gap. */
static int need_keys(struct core_leg *leg, struct core_keys *ret_keys)
{
	if (leg->has_keys) {
		core_rest_read(leg->keys, ret_keys, sizeof *ret_keys);
		return PBX_OK;
	}
	core_keys_make(core_leg_driver(), leg->account, leg->peer, leg->is_web, ret_keys);
	int err = core_rest_keep(&leg->keys, ret_keys, sizeof *ret_keys);
	leg->has_keys = err == PBX_OK;
	return err;
}

/* What a later offer says about SRTP: what has been agreed on. */
static struct core_keys keys_agreed(const struct core_leg *leg, const struct core_stream_config *config)
{
	return (struct core_keys){ .required = core_leg_remote(leg).secure,
				   .offers_dtls = config->own_dtls.hash != CORE_HASH_NONE,
				   .count = config->send_crypto.suite != CORE_SRTP_NONE,
				   .dtls = config->own_dtls,
				   .own = { config->send_crypto } };
}

/* ---- ICE ---- */

/* Our name and where we may be reached. A peer with a new name has begun ICE anew, and so do we (RFC 8445 9). */
static int need_ice(struct core_leg *leg, const struct core_stream_config *config, const struct core_media_desc *remote,
		    struct core_ice *ret_ice)
{
	bool restarts = core_ice_is_on(&config->peer_ice.name) && !core_ice_same(&config->peer_ice.name, &remote->ice.name);

	core_rest_read(leg->ice, ret_ice, sizeof *ret_ice);
	if (core_ice_is_on(&ret_ice->name) && !restarts)
		return PBX_OK;
	memset(ret_ice, 0, sizeof *ret_ice);
	if (core_media->ice) {
		uint32_t role = core_media->ice(leg->stream, ret_ice);

		ret_ice->lite = role == CORE_ICE_LITE;
		ret_ice->trickle = role == CORE_ICE_FULL;
		if (role != CORE_ICE_OFF)
			core_ice_name_make(&ret_ice->name);
	}
	if (core_ice_is_on(&ret_ice->name) && core_media->ice_named)
		(void)core_media->ice_named(leg->stream, &ret_ice->name); /* without memory who connects is a stranger, and comes by UDP */
	return core_rest_keep(&leg->ice, ret_ice, sizeof *ret_ice);
}

/* At first to who wants DTLS, and then as it was agreed on. One port is enough for them. */
static int offer_ice(struct core_leg *leg, const struct core_stream_config *config, bool wants_dtls, struct core_media_desc *offer)
{
	struct core_ice ice;

	offer->rtcp_mux = leg->configured ? config->rtcp_mux : wants_dtls;
	if (leg->configured ? !core_ice_is_on(&config->own_ice) : !wants_dtls)
		return PBX_OK;
	if (leg->configured) {
		core_rest_read(leg->ice, &ice, sizeof ice);
	} else {
		const struct core_media_desc remote = core_leg_remote(leg);
		int err = need_ice(leg, config, &remote, &ice);

		if (err != PBX_OK)
			return err;
	}
	core_ice_offer(&ice, leg->is_web || (leg->configured && config->rtcp_mux), offer);
	return PBX_OK;
}

/* ---- offer and answer ---- */

/* What goes with the codecs: keys, and where else we may be reached. */
static int offer_rest(struct core_leg *leg, struct core_media_desc *offer)
{
	const struct core_stream_config config = core_leg_config(leg);
	struct core_keys keys;
	int err = need_keys(leg, &keys);

	if (err != PBX_OK)
		return err;
	bool wants_dtls = keys.offers_dtls;
	if (leg->configured)
		keys = keys_agreed(leg, &config);
	core_keys_offer(&keys, offer);
	if (offer->level_id && config.level_id)
		offer->level_id = config.level_id; /* a number keeps its meaning for the session (RFC 8285 6) */
	return offer_ice(leg, &config, wants_dtls, offer);
}

int core_leg_make_offer(struct core_leg *leg, const struct core_leg *other, uint8_t direction, struct core_media_desc *ret_offer)
{
	int err = core_leg_open_stream(leg, core_leg_remote(leg).rtp.sa.sa_family);

	if (err != PBX_OK)
		return err;

	struct core_media_desc wanted = { .present = true };
	struct core_codec own[CORE_MOST_CODECS];
	uint8_t own_count = core_media->codecs(own, CORE_MOST_CODECS);
	uint32_t transcode = other == leg ? CORE_TRANSCODE_AUTO : core_media_policy().transcode;

	if (transcode == CORE_TRANSCODE_ALWAYS)
		wanted.present = false;
	else if (other && other->configured)
		list_add_agreed(&wanted, other);
	else if (other && core_leg_remote(other).present)
		wanted = core_leg_remote(other);
	if (transcode == CORE_TRANSCODE_NEVER && wanted.codec_count > 0)
		own_count = 0; /* keys are among what is wanted */
	core_offer_make(&wanted, own, own_count, &leg->local_addr, direction, ret_offer);
	(void)core_leg_leave_out_failed(leg, ret_offer); /* nothing else: it is offered all the same */
	err = offer_rest(leg, ret_offer);
	return err == PBX_OK ? core_rest_keep(&leg->local, ret_offer, sizeof *ret_offer) : err;
}

/* ---- keys ---- */

/* The account's word or the peer's; "" when neither has one. */
static void find_key_way(const struct core_leg *leg, char ret_way[12])
{
	if (leg->peer[0] && leg->driver->peer_dtmf)
		core_text_copy(ret_way, 12, leg->driver->peer_dtmf(leg->peer));
	else
		core_account_text(leg->account, offsetof(struct pbx_account, dtmf), ret_way, 12);
}

/* What an account wants where it can be done; else events when they are agreed, else tones where they survive, else INFO. */
static uint8_t choose_key_way(const struct core_leg *leg, const struct core_stream_config *config)
{
	bool carries_tones = config->codec_count && strncasecmp(config->codecs[0].name, "PCM", 3) == 0;
	char wanted[12];

	find_key_way(leg, wanted);
	if (strcmp(wanted, "info") == 0)
		return CORE_DIGITS_INFO;
	if (strcmp(wanted, "inband") == 0 && carries_tones)
		return CORE_DIGITS_TONES;
	if (config->dtmf_type)
		return CORE_DIGITS_EVENTS;
	return carries_tones && strcmp(wanted, "rfc4733") != 0 ? CORE_DIGITS_TONES : CORE_DIGITS_INFO;
}

void core_leg_fax_policy(const struct core_leg *leg, char ret_says[12])
{
	if (leg->peer[0] && leg->driver->peer_t38)
		core_text_copy(ret_says, 12, leg->driver->peer_t38(leg->peer));
	else
		core_account_text(leg->account, offsetof(struct pbx_account, t38), ret_says, 12);
}

int core_leg_configure(struct core_leg *leg, struct core_stream_config *config)
{
	config->digits = choose_key_way(leg, config);
	config->dscp = leg->peer[0] && leg->driver->peer_dscp ? leg->driver->peer_dscp(leg->peer) : 0;
	const struct core_stream_config before = core_leg_config(leg);
	int err = core_rest_keep(&leg->config, config, sizeof *config);

	if (err != PBX_OK)
		return err;
	err = core_media->configure(leg->stream, config);
	if (err != PBX_OK) {
		(void)core_rest_keep(&leg->config, &before, sizeof before); /* it had its place there */
		return err;
	}
	leg->configured = true;
	if (leg->dialog && leg->driver->media_address) /* for the record */
		leg->driver->media_address(leg->dialog, &leg->local_addr);
	return PBX_OK;
}

int core_leg_take_answer(struct core_leg *leg, const struct core_media_desc *answer)
{
	const struct core_media_desc offer = core_leg_local(leg);
	const struct core_stream_config before = core_leg_config(leg);
	struct core_stream_config config;
	int err = core_answer_apply(&offer, answer, &config);

	if (err == PBX_OK)
		err = core_keys_agree(&offer, answer, &config);
	if (err == PBX_OK)
		err = core_rest_keep(&leg->remote, answer, sizeof *answer);
	if (err != PBX_OK)
		return err;
	core_ice_agree(leg->configured ? &before : NULL, &offer, answer, &config);
	config.renegotiated = leg->configured;
	return core_leg_configure(leg, &config);
}

static int answer_from_list(const struct core_leg *leg, struct core_media_desc *may, bool with_failed, uint8_t direction,
			    struct core_media_desc *ret_answer, struct core_stream_config *ret_config)
{
	struct core_media_desc offer = core_leg_remote(leg);

	list_fit(may, &offer);
	if (!with_failed && !core_leg_leave_out_failed(leg, may))
		return PBX_ENOTSUP;
	if (core_media_policy().prefers_own)
		list_order(&offer, may);
	return core_answer_make(&offer, may->codecs, may->codec_count, &leg->local_addr, direction, ret_answer, ret_config);
}

/* Tries lists of what we may answer, the one that avoids transcoding first; with_failed: codecs that have failed on this leg, too. */
static int answer_from_lists(const struct core_leg *leg, const struct core_leg *other, bool with_failed, uint8_t direction,
			     struct core_media_desc *ret_answer, struct core_stream_config *ret_config)
{
	const struct core_leg *preferred[] = { leg, other, core_bridge_peer(leg) };
	uint32_t transcode = core_media_policy().transcode;

	for (size_t i = 0; transcode != CORE_TRANSCODE_ALWAYS && i < sizeof preferred / sizeof preferred[0]; i++) {
		struct core_media_desc may = { 0 };

		if (!preferred[i] || !preferred[i]->configured)
			continue;
		list_add_agreed(&may, preferred[i]);
		list_add_own(&may, false); /* keys work even when the other side has none */
		int err = answer_from_list(leg, &may, with_failed, direction, ret_answer, ret_config);

		if (err == PBX_OK || (transcode == CORE_TRANSCODE_NEVER && preferred[i] != leg))
			return err;
	}

	struct core_media_desc may = { 0 };
	list_add_own(&may, true);
	return answer_from_list(leg, &may, with_failed, direction, ret_answer, ret_config);
}

/* What goes with the codecs of our answer, as in an offer. */
static int answer_rest(struct core_leg *leg, const struct core_media_desc *remote, struct core_media_desc *answer,
		       struct core_stream_config *config)
{
	const struct core_stream_config was = core_leg_config(leg), *before = leg->configured ? &was : NULL;
	struct core_keys keys;
	struct core_ice ice;
	int err = need_keys(leg, &keys);

	if (err == PBX_OK)
		err = core_keys_answer(&keys, before, remote, answer, config);
	if (err != PBX_OK || !core_ice_is_on(&remote->ice.name))
		return err;
	err = need_ice(leg, &was, remote, &ice);
	if (err == PBX_OK)
		core_ice_answer(&ice, before, remote, answer, config);
	return err;
}

int core_leg_make_answer(struct core_leg *leg, const struct core_leg *other, uint8_t direction, bool renegotiated,
			 struct core_media_desc *ret_answer)
{
	if (leg->answer_said && !renegotiated) {
		*ret_answer = core_leg_local(leg); /* the 200 repeats what the 183 said */
		return PBX_OK;
	}

	const struct core_media_desc remote = core_leg_remote(leg);
	int err = core_leg_open_stream(leg, remote.rtp.sa.sa_family);
	if (err != PBX_OK)
		return err;
	if (!remote.present) {
		leg->late_offer = true;
		return core_leg_make_offer(leg, other, direction, ret_answer);
	}
	if (remote.t38.on)
		return core_fax_answer_first(leg, other, ret_answer);

	struct core_stream_config config;
	err = answer_from_lists(leg, other, false, direction, ret_answer, &config);
	if (err != PBX_OK && leg->failed_count > 0)
		err = answer_from_lists(leg, other, true, direction, ret_answer, &config); /* it is that or nothing */
	if (err == PBX_OK)
		err = answer_rest(leg, &remote, ret_answer, &config);
	if (err == PBX_OK)
		err = core_rest_keep(&leg->local, ret_answer, sizeof *ret_answer);
	if (err != PBX_OK)
		return err;
	config.renegotiated = renegotiated;
	return core_leg_configure(leg, &config);
}

void core_leg_forget_media(struct core_leg *leg)
{
	core_rest_drop(&leg->remote);
	core_rest_drop(&leg->local);
	core_rest_drop(&leg->config);
	core_rest_drop(&leg->keys);
	core_rest_drop(&leg->ice);
	core_rest_drop(&leg->stats);
}

void core_leg_on_candidates(pbx_leg handle, const struct core_ice *more)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg || !leg->configured)
		return;
	struct core_stream_config config = core_leg_config(leg);
	if (!core_ice_is_on(&config.own_ice) || !core_ice_add(&config.peer_ice, more))
		return;
	config.renegotiated = false;
	if (core_rest_keep(&leg->config, &config, sizeof config) == PBX_OK)
		(void)core_media->configure(leg->stream, &config); /* no memory here or there: it is one way less */
}

/* ---- what the workers tell ---- */

void core_media_on_silence(core_stream stream, uint32_t for_ms)
{
	struct core_leg *leg = core_leg_of_stream(stream);

	if (!leg || leg->state != PBX_LEG_ANSWERED)
		return;
	core_event_media_timeout(leg, for_ms);
	if (leg->charge.owner && leg->controller.media_lost) {
		CORE_INTO(leg->charge.owner, leg->controller.media_lost(leg->self, leg->handle));
		return;
	}
	core_log(PBX_LOG_NOTICE, "calls", leg->call->id, "media_lost", "leg=%s for_ms=%u", leg->id, for_ms);
	leg->call->reason = "media_timeout";
	core_leg_end(leg, 0, PBX_CAUSE_TIMER, false, "media_timeout");
}

void core_media_on_failed(core_stream stream, uint32_t why)
{
	static const char *const reasons[] = { [CORE_MEDIA_ICE_FAILED] = "ice_failed",
					       [CORE_MEDIA_CONSENT_LOST] = "consent_lost",
					       [CORE_MEDIA_DTLS_FAILED] = "dtls_failed",
					       [CORE_MEDIA_WRONG_PEER] = "dtls_wrong_certificate" };
	struct core_leg *leg = core_leg_of_stream(stream);

	if (!leg || leg->state == PBX_LEG_ENDED)
		return;
	core_log(PBX_LOG_NOTICE, "calls", leg->call->id, "media_failed", "leg=%s reason=%s", leg->id, reasons[why]);
	core_event_media_failed(leg, reasons[why]);
	leg->call->reason = reasons[why];
	core_leg_end(leg, 0, why == CORE_MEDIA_CONSENT_LOST ? PBX_CAUSE_TIMER : PBX_CAUSE_FAILURE, false, reasons[why]);
}

void core_media_on_first_packet(core_stream stream)
{
	const struct core_leg *leg = core_leg_of_stream(stream);
	struct core_stream_stats stats;

	if (!leg)
		return;
	core_log(PBX_LOG_DEBUG, "calls", leg->call->id, "first_packet", "leg=%s", leg->id);
	if (leg->state != PBX_LEG_ENDED && core_calls_settings()->media_started && core_media->stats(stream, &stats) == PBX_OK)
		core_event_media(leg, &stats);
}

void core_media_on_source_changed(core_stream stream, const struct core_addr *remote)
{
	const struct core_leg *leg = core_leg_of_stream(stream);

	if (!leg)
		return;
	core_log(PBX_LOG_INFO, "calls", leg->call->id, "media_source_changed", "leg=%s", leg->id);
	core_event_media_moved(leg, remote);
}

void core_media_find_owner(core_stream stream, struct core_media_owner *ret_owner)
{
	const struct core_leg *leg = core_leg_of_stream(stream);

	*ret_owner = leg ? (struct core_media_owner){ leg->id, leg->call->id, leg->number } : (struct core_media_owner){ "", "", "" };
}

void core_leg_media_fini(void)
{
	memset(by_stream, 0, sizeof by_stream);
	core_media = NULL;
}
