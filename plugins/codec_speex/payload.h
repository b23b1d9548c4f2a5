/* plugins/codec_speex/payload.h - what is in a payload of Speex, seen before libspeex sees it. [any]
 *
 * libspeex complains about broken streams on standard error, and tells no lengths; so the frames are counted here first. */
#pragma once
#include <stdint.h>

/* Frames of 20 ms in a payload; -1: it breaks off, or has what no encoder writes, or what libspeex cannot read. layers: how many above narrowband the
 * decoder has: 0, 1 in wideband, 2 in ultra-wideband. */
int32_t speex_payload_frames(const uint8_t *payload, uint32_t bytes, uint32_t layers);
/* The narrowband sub-mode of its first frame: the four bits behind the first one. */
uint32_t speex_payload_mode(const uint8_t *payload);
