/* negotiate_ice.c - offer and answer of ICE (RFC 8839): who may be reached where, and who decides between the ways
 *
 * Both sides have to speak ICE, or the stream goes where the media line says. Two sides that only answer checks would wait for each other:
 * they do without, too. The ways themselves are found by the media workers. */
#include "calls.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>

#define UFRAG_CHARACTERS 8u
#define PWD_CHARACTERS 24u

bool core_ice_is_on(const struct core_ice_name *name)
{
	return name->ufrag[0] != '\0';
}

static void random_text(char *ret_text, size_t characters)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"; /* ice-char, RFC 8839 5.4 */
	uint8_t random[PWD_CHARACTERS];

	core_random(random, characters);
	for (size_t i = 0; i < characters; i++)
		ret_text[i] = alphabet[random[i] & 63];
	ret_text[characters] = '\0';
}

void core_ice_name_make(struct core_ice_name *ret_name)
{
	random_text(ret_name->ufrag, UFRAG_CHARACTERS);
	random_text(ret_name->pwd, PWD_CHARACTERS);
}

bool core_ice_same(const struct core_ice_name *a, const struct core_ice_name *b)
{
	return strcmp(a->ufrag, b->ufrag) == 0 && strcmp(a->pwd, b->pwd) == 0;
}

/* Where RTP and RTCP share a port, there is one component (RFC 5761 5.1.3). Where they do not, connections are left out: all of them come to one port, and
 * nothing in a check tells which component it is about. */
static void keep_what_fits(struct core_ice *ice, bool shares)
{
	uint8_t kept = 0;

	for (uint8_t i = 0; i < ice->candidate_count; i++) {
		const struct core_candidate *candidate = &ice->candidates[i];

		if (shares ? candidate->component == 1 : candidate->addr.transport == CORE_BY_UDP)
			ice->candidates[kept++] = *candidate;
	}
	ice->candidate_count = kept;
}

void core_ice_offer(const struct core_ice *own, bool must_share, struct core_media_desc *offer)
{
	offer->ice = *own;
	keep_what_fits(&offer->ice, must_share);
}

static void agree(const struct core_ice *own, const struct core_ice *peer, bool we_offered, const struct core_stream_config *before,
		  struct core_stream_config *config)
{
	config->own_ice = own->name;
	config->peer_ice = *peer;
	config->ice_lite = own->lite;
	if (before && core_ice_is_on(&before->own_ice))
		config->ice_controlling = before->ice_controlling; /* whoever offers next */
	else
		config->ice_controlling = !own->lite && (we_offered || peer->lite);
}

static bool can_agree(const struct core_ice *own, const struct core_ice *peer)
{
	return core_ice_is_on(&own->name) && core_ice_is_on(&peer->name) && !(own->lite && peer->lite);
}

void core_ice_answer(const struct core_ice *own, const struct core_stream_config *before, const struct core_media_desc *offer,
		     struct core_media_desc *answer, struct core_stream_config *config)
{
	if (!can_agree(own, &offer->ice))
		return;
	answer->ice = *own;
	keep_what_fits(&answer->ice, answer->rtcp_mux);
	agree(own, &offer->ice, false, before, config);
}

void core_ice_agree(const struct core_stream_config *before, const struct core_media_desc *offer, const struct core_media_desc *answer,
		    struct core_stream_config *config)
{
	if (can_agree(&offer->ice, &answer->ice))
		agree(&offer->ice, &answer->ice, true, before, config);
}

static bool has_candidate(const struct core_ice *ice, const struct core_candidate *wanted)
{
	for (uint8_t i = 0; i < ice->candidate_count; i++) {
		const struct core_candidate *known = &ice->candidates[i];

		if (known->component == wanted->component && memcmp(&known->addr, &wanted->addr, sizeof known->addr) == 0)
			return true;
	}
	return false;
}

bool core_ice_add(struct core_ice *ice, const struct core_ice *more)
{
	uint8_t before = ice->candidate_count;

	if (core_ice_is_on(&more->name) && strcmp(more->name.ufrag, ice->name.ufrag) != 0)
		return false; /* of a generation that is over, or not agreed on yet (RFC 8838 8.1) */
	for (uint8_t i = 0; i < more->candidate_count && ice->candidate_count < CORE_MOST_CANDIDATES; i++)
		if (!has_candidate(ice, &more->candidates[i]))
			ice->candidates[ice->candidate_count++] = more->candidates[i];
	return ice->candidate_count > before;
}
