/* rtp/live.h - the codecs of programmes that come as a stream of octets: MP3, Ogg Vorbis, Ogg Opus. One thread at a time. */
#pragma once
#include "pcm.h"

/* The next octets, waiting until there are some. 0: there will be no more. */
typedef size_t (*rtp_octets_fn)(void *context, void *ret_octets, size_t size);

/* Looks at the first octets and opens the codec they belong to. PBX_OK, PBX_EINVAL (none of ours, or the stream has ended), PBX_ENOMEM. */
int rtp_live_open(rtp_octets_fn octets, void *context, struct rtp_pcm **ret_pcm);
