/* rtp/codec_vectors.h - a codec beside files that say what it should do: test sequences of its standard, or another implementation's work
 *
 * A folder has files that belong together by name, without case: NAME.in are samples (16 bit, little-endian, one channel, at the codec's rate), NAME.bit what
 * they are encoded to, NAME.out (or NAME.pst, as the ITU has it) what that is decoded to. Two of them make a vector. NAME.bit has octets as in RTP, or words
 * of ITU-T G.192, which G.729's sequences come as. Found and run in the pool, opened and closed on the loop. */
#pragma once
#include "codecs.h"

#define RTP_MOST_VECTORS 256u
#define RTP_VECTOR_PATH 512u

struct rtp_vector {
	bool encodes;
	char name[64];                                         /* of the file that is expected */
	char from[RTP_VECTOR_PATH], expected[RTP_VECTOR_PATH]; /* paths */
};

/* What is in a folder, in the order of names; free() it. PBX_OK, PBX_ENOENT (no such folder, or no vectors in it), PBX_ENOMEM. [work] */
int rtp_vectors_find(const char *folder, struct rtp_vector **ret_vectors, uint32_t *ret_count);

struct rtp_vector_check;

/* codec: as the other side describes it; a fresh coder for each vector. vector is borrowed until it is freed. PBX_OK, PBX_ENOENT, PBX_ENOMEM, PBX_ENOTSUP. [loop] */
int rtp_vector_check_new(const struct core_codec *codec, const struct rtp_vector *vector, struct rtp_vector_check **ret_check);
void rtp_vector_check_free(struct rtp_vector_check *check); /* NULL is fine. [loop] */
void rtp_vector_check_run(struct rtp_vector_check *check);  /* [work] */
/* "": it does what the file says; else how it does not. */
const char *rtp_vector_check_reason(const struct rtp_vector_check *check);
