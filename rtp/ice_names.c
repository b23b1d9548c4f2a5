/*
 * ice_names - labels in a table, by the names on them
 *
 * They are random texts of ours, so nobody can have them fall into one bucket. A check is "ours:theirs", signed with the password beside our name
 * (RFC 8445 7.2.2), so that it can be judged before anything is known of the peer.
 */
#include "ice_names.h"
#include "stun.h"

#include <pbx/abi.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 256u

static struct rtp_ice_label *labels[BUCKETS];

static struct rtp_ice_label **bucket_of(const char *ufrag, size_t length)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)ufrag[i]) * 16777619u;
	return &labels[hash % BUCKETS];
}

struct rtp_ice_label *rtp_ice_label_new(uint64_t stream, const struct core_ice_name *name)
{
	struct rtp_ice_label *label = malloc(sizeof *label), **bucket = bucket_of(name->ufrag, strlen(name->ufrag));

	if (!label)
		return NULL;
	*label = (struct rtp_ice_label){ .next = *bucket, .stream = stream, .name = *name };
	*bucket = label;
	return label;
}

void rtp_ice_label_free(struct rtp_ice_label *label)
{
	if (!label)
		return;
	struct rtp_ice_label **at = bucket_of(label->name.ufrag, strlen(label->name.ufrag));

	while (*at != label)
		at = &(*at)->next;
	*at = label->next;
	explicit_bzero(label, sizeof *label);
	free(label);
}

static const struct rtp_ice_label *find(const char *ufrag, size_t length)
{
	const struct rtp_ice_label *label = *bucket_of(ufrag, length);

	while (label && (strlen(label->name.ufrag) != length || memcmp(label->name.ufrag, ufrag, length) != 0))
		label = label->next;
	return label;
}

int rtp_ice_label_of(const uint8_t *check, size_t bytes, const struct rtp_ice_label **ret_label)
{
	struct rtp_stun message;

	if (!rtp_stun_parse(check, bytes, &message) || message.type != RTP_STUN_REQUEST || !message.username)
		return PBX_EINVAL;
	const char *colon = memchr(message.username, ':', message.username_bytes);
	const struct rtp_ice_label *label = colon ? find(message.username, (size_t)(colon - message.username)) : NULL;

	if (!label)
		return PBX_ENOENT;
	struct rtp_stun_key *key = rtp_stun_key_new(label->name.pwd);
	int err = !key ? PBX_ENOMEM : rtp_stun_is_authentic(&message, key) ? PBX_OK : PBX_EPERM;

	rtp_stun_key_free(key);
	if (err == PBX_OK)
		*ret_label = label;
	return err;
}
