/*
 * plan - names of codecs become numbers to look up
 *
 * Codecs are matched by name, clock and channels, never by number. What both sides speak passes as it is, whatever it is;
 * between the two laws of G.711 we translate; everything else has no way and is dropped.
 */
#include "codecs.h"
#include "plan.h"
#include "dtls.h"
#include "emodel.h"
#include "ice.h"

#include <pbx/abi.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint32_t channels(const struct core_codec *codec)
{
	return codec->channels ? codec->channels : 1;
}

static bool same_codec(const struct core_codec *a, const struct core_codec *b)
{
	return strcasecmp(a->name, b->name) == 0 && a->clock_hz == b->clock_hz && channels(a) == channels(b);
}

uint8_t rtp_codec_kind(const struct core_codec *codec)
{
	if (strcasecmp(codec->name, "telephone-event") == 0)
		return RTP_KIND_EVENT;
	if (strcasecmp(codec->name, "CN") == 0)
		return RTP_KIND_NOISE;
	if (codec->clock_hz != 8000 || channels(codec) != 1)
		return RTP_KIND_OPAQUE;
	if (strcasecmp(codec->name, "PCMU") == 0)
		return RTP_KIND_MU;
	return strcasecmp(codec->name, "PCMA") == 0 ? RTP_KIND_A : RTP_KIND_OPAQUE;
}

static uint16_t khz_of(const struct core_codec *codec)
{
	uint32_t khz = codec->clock_hz / 1000;

	return (uint16_t)(khz == 0 ? 8 : khz > 192 ? 192 : khz);
}

const char *rtp_config_codec(const struct core_stream_config *config)
{
	return config->t38.on ? "T38" : config->codec_count > 0 ? config->codecs[0].name : "";
}

const struct core_codec *rtp_config_g711(const struct core_stream_config *config)
{
	for (uint8_t i = 0; i < config->codec_count; i++) {
		if (rtp_kind_is_g711(rtp_codec_kind(&config->codecs[i])))
			return &config->codecs[i];
	}
	return NULL;
}

/* What keys are sent to it as; 0: not as events. */
static uint8_t event_type(const struct core_stream_config *config)
{
	return config->digits == CORE_DIGITS_EVENTS ? config->dtmf_type & 0x7f : 0;
}

uint32_t rtp_plan_ptime_ms(const struct core_stream_config *config)
{
	uint32_t ptime_ms = config->ptime_ms ? config->ptime_ms : 20;
	uint32_t made_ms = 0;

	ptime_ms = ptime_ms < RTP_LEAST_PTIME_MS  ? RTP_LEAST_PTIME_MS
		   : ptime_ms > RTP_MOST_PTIME_MS ? RTP_MOST_PTIME_MS
						  : ptime_ms - ptime_ms % 10u;
	for (uint8_t i = 0; !made_ms && i < config->codec_count; i++)
		made_ms = rtp_codec_ptime(&config->codecs[i], ptime_ms);
	return made_ms ? made_ms : ptime_ms;
}

void rtp_plan_make(const struct core_stream_config *config, uint8_t nat, struct rtp_plan *ret_plan)
{
	*ret_plan = (struct rtp_plan){ .rtp = config->rtp,
				       .rtcp = config->rtcp,
				       .rtcp_mux = config->rtcp_mux,
				       .xr = config->xr,
				       .level_id = config->level_id,
				       .renegotiated = config->renegotiated,
				       .direction = config->direction,
				       .nat = nat,
				       .dscp = config->dscp,
				       .dtmf_type = event_type(config),
				       .ptime_ms = (uint16_t)rtp_plan_ptime_ms(config),
				       .send_khz = 8 };
	ret_plan->t38 = config->t38.on;
	if (config->t38.on)
		ret_plan->receive[RTP_TYPE_UDPTL] = RTP_KIND_OPAQUE;
	if (config->codec_count > 0)
		ret_plan->send_khz = khz_of(&config->codecs[0]);
	ret_plan->cost = rtp_cost_find(rtp_config_codec(config), config->codec_count ? config->codecs[0].clock_hz : 0);
	for (int type = 0; type < 128; type++)
		ret_plan->clock_khz[type] = 8;
	for (uint8_t i = 0; i < config->codec_count; i++) {
		uint8_t type = config->receive_types[i] & 0x7f;

		ret_plan->receive[type] = rtp_codec_kind(&config->codecs[i]);
		ret_plan->clock_khz[type] = khz_of(&config->codecs[i]);
	}
	ret_plan->takes_noise = ret_plan->receive[RTP_TYPE_NOISE] == RTP_KIND_NONE;
	if (ret_plan->takes_noise)
		ret_plan->receive[RTP_TYPE_NOISE] = RTP_KIND_NOISE;
	uint8_t event = config->dtmf_receive_type & 0x7f;

	if (event != 0 && ret_plan->receive[event] != RTP_KIND_EVENT) {
		ret_plan->receive[event] = RTP_KIND_EVENT;
		ret_plan->clock_khz[event] = ret_plan->send_khz;
	}
}

static bool same_key(const struct core_crypto *a, const struct core_crypto *b)
{
	return a->suite == b->suite && memcmp(a->key, b->key, sizeof a->key) == 0;
}

static int add_guard(const struct core_crypto *crypto, const struct core_crypto *before, uint32_t ssrc, struct rtp_guard **guard,
		     bool *keeps)
{
	*keeps = crypto->suite != CORE_SRTP_NONE && before && same_key(crypto, before);
	return crypto->suite == CORE_SRTP_NONE || *keeps ? PBX_OK : rtp_guard_new(crypto, ssrc, guard);
}

int rtp_plan_protect(struct rtp_plan *plan, const struct core_stream_config *config, const struct core_stream_config *before, uint32_t ssrc)
{
	int err = add_guard(&config->send_crypto, before ? &before->send_crypto : NULL, ssrc, &plan->send_guard, &plan->keeps_send);

	if (err != PBX_OK)
		return err;
	return add_guard(&config->receive_crypto, before ? &before->receive_crypto : NULL, 0, &plan->receive_guard, &plan->keeps_receive);
}

/* ---- ICE and DTLS ---- */

static bool has_ice(const struct core_stream_config *config)
{
	return config && config->own_ice.ufrag[0] != '\0';
}

static bool same_name(const struct core_ice_name *a, const struct core_ice_name *b)
{
	return strcmp(a->ufrag, b->ufrag) == 0 && strcmp(a->pwd, b->pwd) == 0;
}

static bool keeps_ice(const struct core_stream_config *config, const struct core_stream_config *before)
{
	return has_ice(before) && same_name(&config->own_ice, &before->own_ice) &&
	       same_name(&config->peer_ice.name, &before->peer_ice.name) && config->rtcp_mux == before->rtcp_mux &&
	       config->ice_lite == before->ice_lite;
}

static bool same_certificate(const struct core_dtls *a, const struct core_dtls *b)
{
	return a->hash == b->hash && memcmp(a->fingerprint, b->fingerprint, sizeof a->fingerprint) == 0;
}

/* The same certificates in the same roles are the same association (RFC 8842 4). */
static bool keeps_dtls(const struct core_stream_config *config, const struct core_stream_config *before)
{
	return before && same_certificate(&config->peer_dtls, &before->peer_dtls) &&
	       same_certificate(&config->own_dtls, &before->own_dtls) && config->own_dtls.setup == before->own_dtls.setup;
}

int rtp_plan_associate(struct rtp_plan *plan, const struct core_stream_config *config, const struct core_stream_config *before,
		       const uint8_t *suites, uint8_t suite_count)
{
	if (has_ice(config)) {
		plan->ice = rtp_ice_new(config);
		plan->keeps_ice = keeps_ice(config, before);
		if (!plan->ice)
			return PBX_ENOMEM;
	}
	plan->protects = config->peer_dtls.hash != CORE_HASH_NONE;
	plan->keeps_dtls = plan->protects && keeps_dtls(config, before);
	if (!plan->protects || plan->keeps_dtls)
		return PBX_OK;
	return rtp_dtls_new(&config->own_dtls, &config->peer_dtls, suites, suite_count, &plan->dtls);
}

void rtp_plan_free(struct rtp_plan *plan)
{
	if (!plan)
		return;
	rtp_guard_free(plan->send_guard);
	rtp_guard_free(plan->receive_guard);
	rtp_ice_free(plan->ice);
	rtp_dtls_free(plan->dtls);
	free(plan);
}

static uint8_t way_of(const struct core_codec *codec, const struct core_stream_config *to)
{
	const struct core_codec *g711 = rtp_config_g711(to);

	if (rtp_codec_kind(codec) == RTP_KIND_EVENT)
		return event_type(to) ? event_type(to) : RTP_OUT_NONE;
	for (uint8_t i = 0; i < to->codec_count; i++) {
		if (same_codec(codec, &to->codecs[i]) && rtp_codec_passes(codec, &to->codecs[i]))
			return to->codecs[i].payload_type & 0x7f;
	}
	if (g711 && rtp_kind_is_g711(rtp_codec_kind(codec)))
		return RTP_OUT_TRANSCODE | (g711->payload_type & 0x7f);
	return RTP_OUT_NONE;
}

void rtp_route_make(const struct core_stream_config *from, const struct core_stream_config *to, struct rtp_route *ret_route)
{
	memset(ret_route->out, RTP_OUT_NONE, sizeof ret_route->out);
	ret_route->silences_keys = false;
	if (!from || !to)
		return;
	for (uint8_t i = 0; i < from->codec_count; i++)
		ret_route->out[from->receive_types[i] & 0x7f] = way_of(&from->codecs[i], to);
	if (from->dtmf_receive_type != 0 && event_type(to) != 0)
		ret_route->out[from->dtmf_receive_type & 0x7f] = event_type(to);
	ret_route->silences_keys = from->digits == CORE_DIGITS_TONES && to->digits != CORE_DIGITS_TONES;
}

/* Speech that we can decode, and silence that we can fill. */
static bool is_ours(const struct core_codec *codec)
{
	return rtp_codec_kind(codec) == RTP_KIND_NOISE || (rtp_codec_kind(codec) != RTP_KIND_EVENT && rtp_codec_find(codec));
}

bool rtp_route_lacks(const struct core_stream_config *from, const struct core_stream_config *to, bool first)
{
	for (uint8_t i = 0; i < from->codec_count; i++) {
		if (way_of(&from->codecs[i], to) == RTP_OUT_NONE && rtp_codec_kind(&from->codecs[i]) != RTP_KIND_NOISE &&
		    is_ours(&from->codecs[i]))
			return true;
		if (first)
			return false;
	}
	return false;
}

bool rtp_route_lacks_noise(const struct core_stream_config *from, const struct core_stream_config *to)
{
	for (uint8_t i = 0; i < from->codec_count; i++) {
		if (rtp_codec_kind(&from->codecs[i]) == RTP_KIND_NOISE && way_of(&from->codecs[i], to) == RTP_OUT_NONE)
			return true;
	}
	return false;
}

void rtp_route_close(const struct core_stream_config *from, struct rtp_route *route)
{
	for (uint8_t i = 0; from && i < from->codec_count; i++) {
		if (is_ours(&from->codecs[i]))
			route->out[from->receive_types[i] & 0x7f] = RTP_OUT_NONE;
	}
}
