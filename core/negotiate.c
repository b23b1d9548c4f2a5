/* negotiate.c - offer and answer (RFC 3264, RFC 3551): which codecs two sides share, under which numbers, in which direction
 *
 * Pure functions over core/media_desc.h. A codec is its name, clock and channels; its payload type only says how one side numbers it.
 * Codecs unknown to us pass through as long as both ends have them. telephone-event and CN accompany the speech, they never lead.
 * Keys are negotiate_keys.c's, ICE is negotiate_ice.c's. */
#include "calls.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FLASH_EVENT 16u
#define DYNAMIC_LEAST 96u
#define DYNAMIC_MOST 127u
#define PTIME_DEFAULT_MS 20u

static uint8_t channels_of(const struct core_codec *codec)
{
	return codec->channels ? codec->channels : 1;
}

bool core_codec_same(const struct core_codec *a, const struct core_codec *b)
{
	return strcasecmp(a->name, b->name) == 0 && a->clock_hz == b->clock_hz && channels_of(a) == channels_of(b);
}

bool core_codec_is_noise(const struct core_codec *codec)
{
	return strcasecmp(codec->name, "CN") == 0;
}

static bool is_events(const struct core_codec *codec)
{
	return strcasecmp(codec->name, "telephone-event") == 0;
}

static bool is_companion(const struct core_codec *codec)
{
	return is_events(codec) || core_codec_is_noise(codec);
}

static const struct core_codec *find_codec(const struct core_codec *codecs, uint8_t count, const struct core_codec *wanted)
{
	for (uint8_t i = 0; i < count; i++)
		if (core_codec_same(&codecs[i], wanted))
			return &codecs[i];
	return NULL;
}

static bool is_nowhere(const struct core_addr *addr)
{
	if (addr->sa.sa_family == AF_INET)
		return addr->in4.sin_port == 0 || addr->in4.sin_addr.s_addr == INADDR_ANY;
	if (addr->sa.sa_family == AF_INET6)
		return addr->in6.sin6_port == 0 || IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
	return true;
}

bool core_desc_is_nowhere(const struct core_media_desc *desc)
{
	return is_nowhere(&desc->rtp) && !core_ice_is_on(&desc->ice.name);
}

static uint8_t mirrored(uint8_t direction)
{
	return (uint8_t)((direction & CORE_SEND ? CORE_RECV : 0u) | (direction & CORE_RECV ? CORE_SEND : 0u));
}

/* What the describer means: nowhere to send to is as good as not receiving (RFC 2543's hold). */
static uint8_t meant_direction(const struct core_media_desc *desc)
{
	return (uint8_t)(core_desc_is_nowhere(desc) ? desc->direction & ~CORE_RECV : desc->direction);
}

/* ---- offering ---- */

struct numbers {
	bool used[128];
};

static uint8_t number_take(struct numbers *numbers, uint8_t wanted)
{
	if (wanted < 128 && !numbers->used[wanted]) {
		numbers->used[wanted] = true;
		return wanted;
	}
	for (uint32_t type = DYNAMIC_LEAST; type <= DYNAMIC_MOST; type++)
		if (!numbers->used[type]) {
			numbers->used[type] = true;
			return (uint8_t)type;
		}
	return 0; /* 32 dynamic codecs do not fit into CORE_MOST_CODECS */
}

static void offer_add(struct core_media_desc *offer, struct numbers *numbers, const struct core_codec *codec)
{
	if (offer->codec_count == CORE_MOST_CODECS || find_codec(offer->codecs, offer->codec_count, codec))
		return;

	struct core_codec *added = &offer->codecs[offer->codec_count++];
	*added = *codec;
	added->channels = channels_of(codec);
	added->payload_type = number_take(numbers, codec->payload_type);
}

static uint8_t count_speech(const struct core_codec *codecs, uint8_t count)
{
	uint8_t speech = 0;

	for (uint8_t i = 0; i < count; i++)
		if (!is_companion(&codecs[i]))
			speech++;
	return speech;
}

static void offer_add_companions(struct core_media_desc *offer, struct numbers *numbers, const struct core_codec *codecs, uint8_t count)
{
	for (uint8_t i = 0; i < count; i++)
		if (is_companion(&codecs[i]))
			offer_add(offer, numbers, &codecs[i]);
}

/* One place is kept for telephone-event and one for each codec of ours: a caller with a long list must not lose its keys, nor who could speak with it. */
static void offer_add_speech(struct core_media_desc *offer, struct numbers *numbers, const struct core_media_desc *wanted,
			     const struct core_codec *own, uint8_t own_count)
{
	uint8_t ours = count_speech(own, own_count), strangers = ours < CORE_MOST_CODECS ? (uint8_t)(CORE_MOST_CODECS - 1 - ours) : 0;

	for (uint8_t i = 0; wanted && i < wanted->codec_count && offer->codec_count < CORE_MOST_CODECS - 1; i++) {
		const struct core_codec *codec = &wanted->codecs[i];
		bool is_stranger = !find_codec(own, own_count, codec);
		uint8_t before = offer->codec_count;

		if (is_companion(codec) || (is_stranger && strangers == 0))
			continue;
		offer_add(offer, numbers, codec);
		if (is_stranger && offer->codec_count > before)
			strangers--;
	}
	for (uint8_t i = 0; i < own_count && offer->codec_count < CORE_MOST_CODECS - 1; i++)
		if (!is_companion(&own[i]))
			offer_add(offer, numbers, &own[i]);
}

void core_offer_make(const struct core_media_desc *wanted, const struct core_codec *own, uint8_t own_count, const struct core_addr *local,
		     uint8_t direction, struct core_media_desc *ret_offer)
{
	struct core_media_desc offer = { .present = true, .rtp = *local, .direction = direction, .xr = CORE_XR_OURS };
	struct numbers numbers = { { false } };
	bool has_wanted = wanted && wanted->present;

	offer_add_speech(&offer, &numbers, has_wanted ? wanted : NULL, own, own_count);
	if (has_wanted)
		offer_add_companions(&offer, &numbers, wanted->codecs, wanted->codec_count);
	offer_add_companions(&offer, &numbers, own, own_count);
	if (has_wanted) {
		offer.ptime_ms = wanted->ptime_ms;
		offer.maxptime_ms = wanted->maxptime_ms;
	}
	*ret_offer = offer;
}

/* ---- what a stream is told ---- */

/* Where SDP does not say, it is the port after that of RTP (RFC 3550 11). */
static struct core_addr rtcp_of(const struct core_media_desc *peer)
{
	struct core_addr addr = peer->rtp;
	uint16_t port = ntohs(addr.in4.sin_port); /* the same place in both families */

	if (peer->rtcp.sa.sa_family != AF_UNSPEC || port == UINT16_MAX)
		return peer->rtcp;
	addr.in4.sin_port = htons((uint16_t)(port + 1));
	return addr;
}

static void config_begin(struct core_stream_config *config, const struct core_media_desc *peer, uint8_t direction)
{
	memset(config, 0, sizeof *config);
	if (!is_nowhere(&peer->rtp)) {
		config->rtp = peer->rtp;
		config->rtcp = rtcp_of(peer);
	}
	config->rtcp_mux = peer->rtcp_mux;
	config->xr = peer->xr;
	config->direction = direction;
	config->ptime_ms = peer->ptime_ms ? peer->ptime_ms : PTIME_DEFAULT_MS;
	if (peer->maxptime_ms && config->ptime_ms > peer->maxptime_ms)
		config->ptime_ms = peer->maxptime_ms;
}

/* "0-15,16": whether the peer's list of events has the hook flash. None: the sixteen keys alone (RFC 4733 2.4.1). */
static bool takes_flash(const char *events)
{
	while (*events) {
		char *end;
		unsigned long first = strtoul(events, &end, 10), last = *end == '-' ? strtoul(end + 1, &end, 10) : first;

		if (first <= FLASH_EVENT && FLASH_EVENT <= last && end != events)
			return true;
		events = *end ? end + 1 : end;
	}
	return false;
}

static void config_add(struct core_stream_config *config, const struct core_codec *codec, uint8_t send_type, uint8_t receive_type)
{
	if (is_events(codec)) {
		if (!config->dtmf_type) {
			config->dtmf_type = send_type;
			config->dtmf_receive_type = receive_type;
			config->flashes = takes_flash(codec->fmtp);
		}
		return;
	}
	config->codecs[config->codec_count] = *codec;
	config->codecs[config->codec_count].payload_type = send_type;
	config->receive_types[config->codec_count++] = receive_type;
}

/* ---- answering ---- */

static void answer_add(struct core_media_desc *answer, struct core_stream_config *config, const struct core_codec *offered,
		       const struct core_codec *ours)
{
	struct core_codec *added = &answer->codecs[answer->codec_count++];

	*added = *offered;
	added->channels = channels_of(offered);
	memcpy(added->fmtp, ours->fmtp, sizeof added->fmtp);
	config_add(config, offered, offered->payload_type, offered->payload_type);
}

static void answer_add_all(struct core_media_desc *answer, struct core_stream_config *config, const struct core_media_desc *offer,
			   const struct core_codec *may, uint8_t may_count, bool companions)
{
	for (uint8_t i = 0; i < offer->codec_count; i++) {
		const struct core_codec *offered = &offer->codecs[i];
		const struct core_codec *ours = find_codec(may, may_count, offered);

		if (ours && is_companion(offered) == companions && !find_codec(answer->codecs, answer->codec_count, offered))
			answer_add(answer, config, offered, ours);
	}
}

int core_answer_make(const struct core_media_desc *offer, const struct core_codec *may, uint8_t may_count, const struct core_addr *local,
		     uint8_t direction, struct core_media_desc *ret_answer, struct core_stream_config *ret_config)
{
	if (!offer->present)
		return PBX_ENOTSUP;

	struct core_media_desc answer = { .present = true,
					  .rtp = *local,
					  .rtcp_mux = offer->rtcp_mux,
					  .rtcp_rsize = offer->rtcp_rsize,
					  .xr = offer->xr ? CORE_XR_OURS : 0,
					  .direction = (uint8_t)(mirrored(meant_direction(offer)) & direction),
					  .ptime_ms = offer->ptime_ms,
					  .maxptime_ms = offer->maxptime_ms };
	struct core_stream_config config;

	config_begin(&config, offer, answer.direction);
	answer_add_all(&answer, &config, offer, may, may_count, false);
	if (answer.codec_count == 0)
		return PBX_ENOTSUP;

	answer_add_all(&answer, &config, offer, may, may_count, true);
	answer.level_id = config.level_id = offer->tls ? offer->level_id : 0;
	*ret_answer = answer;
	*ret_config = config;
	return PBX_OK;
}

int core_answer_apply(const struct core_media_desc *offer, const struct core_media_desc *answer, struct core_stream_config *ret_config)
{
	if (!answer->present)
		return PBX_ENOTSUP;

	struct core_stream_config config;
	config_begin(&config, answer, (uint8_t)(mirrored(meant_direction(answer)) & offer->direction));
	config.rtcp_mux = config.rtcp_mux && offer->rtcp_mux;

	bool has_speech = false;
	for (uint32_t pass = 0; pass < 2; pass++)
		for (uint8_t i = 0; i < answer->codec_count; i++) {
			const struct core_codec *agreed = &answer->codecs[i];
			const struct core_codec *offered = find_codec(offer->codecs, offer->codec_count, agreed);

			if (!offered || is_companion(agreed) != (pass == 1) || find_codec(config.codecs, config.codec_count, agreed))
				continue;
			config_add(&config, agreed, agreed->payload_type, offered->payload_type);
			has_speech = has_speech || pass == 0;
		}
	if (!has_speech)
		return PBX_ENOTSUP;

	config.level_id = answer->level_id == offer->level_id ? answer->level_id : 0; /* an answer keeps the number (RFC 8285 6) */
	*ret_config = config;
	return PBX_OK;
}
