/* rtp/codec_file.h - a sound file as a codec would send it: for who wants to hear, or have another program read, what a library on this machine makes
 *
 * Opened and closed on the loop, written in the pool. */
#pragma once
#include "codecs.h"

#define RTP_CODEC_FILE_PATH 512u

struct rtp_codec_file;

struct rtp_codec_file_result {
	int error; /* PBX_OK; PBX_ENOENT, PBX_EINVAL (from: not there, no sound); PBX_EEXIST, PBX_EIO (to: is there already, cannot be written); PBX_ENOTSUP (the
		    * codec fails) */
	uint64_t packets, octets, ms;
};

/* The sound of `from` in packets as usual, their octets one behind the other in `to`. PBX_OK, PBX_ENOENT (no such codec), PBX_ENOMEM, PBX_ENOTSUP. [loop] */
int rtp_codec_file_new(const struct core_codec *codec, const char *from, const char *to, struct rtp_codec_file **ret_file);
void rtp_codec_file_free(struct rtp_codec_file *file); /* NULL is fine. [loop] */
void rtp_codec_file_run(void *file);                   /* [work] */
const struct rtp_codec_file_result *rtp_codec_file_result(const struct rtp_codec_file *file);
