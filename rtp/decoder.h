/* rtp/decoder.h - a sound file as mono samples at the rate that is asked for. [work]: one thread at a time, it reads a disk. */
#pragma once
#include <pbx/media.h>
#include "pcm.h"

#define RTP_DECODED_HZ 16000u /* what sources are decoded to */

struct rtp_decoder;

/* PBX_OK, PBX_ENOENT, PBX_EINVAL (cannot be decoded), PBX_ENOMEM. */
int rtp_decoder_open(const char *path, uint32_t rate_hz, struct rtp_decoder **ret_decoder);
/* Of a sound that is borrowed until the decoder is closed. PBX_OK, PBX_EINVAL (rate or channels are not possible), PBX_ENOMEM. */
int rtp_decoder_open_pcm(struct rtp_pcm *pcm, uint32_t rate_hz, struct rtp_decoder **ret_decoder);
void rtp_decoder_close(struct rtp_decoder *decoder);
void rtp_decoder_info(const struct rtp_decoder *decoder, struct pbx_file_info *ret_info);
/* Up to count samples; fewer only at the end. What cannot be read any further is the end: a file plays as far as it goes. */
size_t rtp_decoder_read(struct rtp_decoder *decoder, int16_t *ret_samples, size_t count);
