/* negotiate_keys.c - offer and answer of SRTP keys in SDP (RFC 4568 5.1, RFC 8643)
 *
 * Each side says the key it will send under; the answerer names one of the offerer's by its tag. A key is of one leg: it is never told to
 * another, and what one leg agreed on says nothing about the other. */
#include "calls.h"
#include <string.h>

void core_keys_offer(const struct core_keys *keys, struct core_media_desc *offer)
{
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

bool core_keys_suffice(const struct core_keys *keys, const struct core_media_desc *offer)
{
	return choose(keys, offer) || !(offer->secure || keys->required);
}

int core_keys_answer(const struct core_keys *keys, const struct core_media_desc *offer, struct core_media_desc *answer,
		     struct core_stream_config *config)
{
	const struct core_crypto *theirs = choose(keys, offer);

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

int core_keys_agree(const struct core_media_desc *offer, const struct core_media_desc *answer, struct core_stream_config *config)
{
	if (answer->crypto_count == 0)
		return offer->secure || answer->secure ? PBX_ENOTSUP : PBX_OK;

	const struct core_crypto *theirs = &answer->cryptos[0], *ours = find_tag(offer, theirs->tag);

	if (!ours || ours->suite != theirs->suite)
		return PBX_ENOTSUP;
	config->send_crypto = *ours;
	config->receive_crypto = *theirs;
	return PBX_OK;
}
