/* negotiate_keys.c - offer and answer of SRTP: keys in SDP (RFC 4568 5.1, RFC 8643), or certificates for DTLS (RFC 5763, 8842)
 *
 * Each side says the key it will send under; the answerer names one of the offerer's by its tag. Or each side says what its certificate looks
 * like and who begins the handshake. A key is of one leg: it is never told to another, and what one leg agreed on says nothing about the
 * other. */
#include "calls.h"
#include <string.h>

#define LEVEL_ID 1u /* what browsers say */

static void offer_dtls(const struct core_keys *keys, struct core_media_desc *offer)
{
	offer->secure = offer->tls = offer->feedback = true;
	offer->level_id = LEVEL_ID;
	offer->crypto_count = 0;
	offer->dtls = keys->dtls;
	offer->dtls.setup = CORE_SETUP_ACTPASS;
}

void core_keys_offer(const struct core_keys *keys, struct core_media_desc *offer)
{
	if (keys->offers_dtls) {
		offer_dtls(keys, offer);
		return;
	}
	offer->secure = keys->required && keys->count > 0;
	offer->crypto_count = keys->count;
	memcpy(offer->cryptos, keys->own, sizeof offer->cryptos);
	for (uint8_t i = 0; i < keys->count; i++)
		offer->cryptos[i].tag = i + 1u;
}

static const struct core_crypto *find_suite(const struct core_crypto *cryptos, uint8_t count, uint8_t suite)
{
	for (uint8_t i = 0; i < count; i++)
		if (cryptos[i].suite == suite)
			return &cryptos[i];
	return NULL;
}

/* The offerer's order counts (RFC 4568 5.1.2). */
static const struct core_crypto *choose(const struct core_keys *keys, const struct core_media_desc *offer)
{
	for (uint8_t i = 0; i < offer->crypto_count; i++)
		if (find_suite(keys->own, keys->count, offer->cryptos[i].suite))
			return &offer->cryptos[i];
	return NULL;
}

/* A fingerprint counts where the profile says so, and where the only other way would be no protection. */
static bool can_dtls(const struct core_keys *keys, const struct core_media_desc *offer)
{
	return keys->count > 0 && keys->dtls.hash != CORE_HASH_NONE && offer->dtls.hash != CORE_HASH_NONE;
}

bool core_keys_suffice(const struct core_keys *keys, const struct core_media_desc *offer)
{
	if (offer->tls)
		return can_dtls(keys, offer);
	return choose(keys, offer) || can_dtls(keys, offer) || !(offer->secure || keys->required);
}

static bool same_certificate(const struct core_dtls *a, const struct core_dtls *b)
{
	return a->hash == b->hash && memcmp(a->fingerprint, b->fingerprint, sizeof a->fingerprint) == 0;
}

/* Who is asked begins, unless the offerer wants to (RFC 5763 5); a handshake that has been goes on (RFC 8842 5.5). */
static uint8_t answer_setup(const struct core_stream_config *before, const struct core_dtls *offered)
{
	if (offered->setup != CORE_SETUP_ACTPASS)
		return offered->setup == CORE_SETUP_ACTIVE ? CORE_SETUP_PASSIVE : CORE_SETUP_ACTIVE;
	if (before && same_certificate(&before->peer_dtls, offered))
		return before->own_dtls.setup;
	return CORE_SETUP_ACTIVE;
}

static int answer_dtls(const struct core_keys *keys, const struct core_stream_config *before, const struct core_media_desc *offer,
		       struct core_media_desc *answer, struct core_stream_config *config)
{
	answer->secure = offer->secure;
	answer->tls = offer->tls;
	answer->feedback = offer->feedback;
	answer->dtls = keys->dtls;
	answer->dtls.setup = answer_setup(before, &offer->dtls);
	config->own_dtls = answer->dtls;
	config->peer_dtls = offer->dtls;
	return PBX_OK;
}

int core_keys_answer(const struct core_keys *keys, const struct core_stream_config *before, const struct core_media_desc *offer,
		     struct core_media_desc *answer, struct core_stream_config *config)
{
	const struct core_crypto *theirs = choose(keys, offer);

	if (can_dtls(keys, offer) && (offer->tls || !theirs))
		return answer_dtls(keys, before, offer, answer, config);
	if (offer->tls)
		return PBX_ENOTSUP;
	if (!theirs)
		return core_keys_suffice(keys, offer) ? PBX_OK : PBX_ENOTSUP;
	answer->secure = offer->secure;
	answer->crypto_count = 1;
	answer->cryptos[0] = *find_suite(keys->own, keys->count, theirs->suite);
	answer->cryptos[0].tag = theirs->tag;
	config->send_crypto = answer->cryptos[0];
	config->receive_crypto = *theirs;
	return PBX_OK;
}

static const struct core_crypto *find_tag(const struct core_media_desc *desc, uint32_t tag)
{
	for (uint8_t i = 0; i < desc->crypto_count; i++)
		if (desc->cryptos[i].tag == tag)
			return &desc->cryptos[i];
	return NULL;
}

static int agree_on_dtls(const struct core_media_desc *offer, const struct core_media_desc *answer, struct core_stream_config *config)
{
	if (answer->dtls.hash == CORE_HASH_NONE || answer->dtls.setup == CORE_SETUP_ACTPASS)
		return PBX_EPERM;
	config->own_dtls = offer->dtls;
	config->own_dtls.setup = answer->dtls.setup == CORE_SETUP_ACTIVE ? CORE_SETUP_PASSIVE : CORE_SETUP_ACTIVE;
	config->peer_dtls = answer->dtls;
	return PBX_OK;
}

int core_keys_agree(const struct core_media_desc *offer, const struct core_media_desc *answer, struct core_stream_config *config)
{
	if (offer->dtls.hash != CORE_HASH_NONE)
		return agree_on_dtls(offer, answer, config);
	if (answer->crypto_count == 0)
		return offer->secure || answer->secure ? PBX_EPERM : PBX_OK;

	const struct core_crypto *theirs = &answer->cryptos[0], *ours = find_tag(offer, theirs->tag);

	if (!ours || ours->suite != theirs->suite)
		return PBX_EPERM;
	config->send_crypto = *ours;
	config->receive_crypto = *theirs;
	return PBX_OK;
}
