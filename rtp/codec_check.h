/* rtp/codec_check.h - whether a codec does what it should, on this machine with this library: sounds through its encoder and decoder
 *
 * Begun on the loop, run in the pool (it takes a while), looked at and freed on the loop. */
#pragma once
#include "codecs.h"

/* What came of it. Levels in dBFS of a full-scale sine. */
struct rtp_codec_figures {
	uint32_t ptime_ms, bytes;    /* of a packet; bytes: on average */
	double snr_db, gain_db;      /* 1004 Hz at -12 dBFS: what is not the tone, and how much louder it is */
	double loud_db;              /* 400 Hz at full scale: its SNR. Samples that wrap around are heard here */
	double silence_dbfs;         /* what is heard of silence; -120: nothing */
	double encode_ms, decode_ms; /* CPU for a second of sound */
	bool passed;
	char reason[80]; /* why it has not; "" */
};

struct rtp_codec_check;

/* For a codec of the list. PBX_OK, PBX_ENOMEM, PBX_ENOENT (it has gone), PBX_ENOTSUP. [loop] */
int rtp_codec_check_new(const struct core_codec *codec, struct rtp_codec_check **ret_check);
void rtp_codec_check_free(struct rtp_codec_check *check); /* NULL is fine. [loop] */
void rtp_codec_check_run(void *check);                    /* [work] */
const struct rtp_codec_figures *rtp_codec_check_figures(const struct rtp_codec_check *check);
