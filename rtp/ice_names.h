/* rtp/ice_names.h - whom of us a check of ICE is for: the names that descriptions of our streams have. All of it: [loop]. */
#pragma once
#include <core/media_desc.h>
#include <stddef.h>

struct rtp_ice_label {
	struct rtp_ice_label *next;
	uint64_t stream;
	struct core_ice_name name;
};

/* NULL: no memory. */
struct rtp_ice_label *rtp_ice_label_new(uint64_t stream, const struct core_ice_name *name);
void rtp_ice_label_free(struct rtp_ice_label *label); /* it is found no more; NULL is fine */
/* Whom a check is for whose sender knows the password. PBX_OK, PBX_EINVAL (it is no check of ICE), PBX_ENOENT (nobody is called so), PBX_EPERM (without the
 * password), PBX_ENOMEM. */
int rtp_ice_label_of(const uint8_t *check, size_t bytes, const struct rtp_ice_label **ret_label);
