/* pbx/codec.h - a way to turn samples into the payload of RTP packets and back
 * Offered as "pbx.codec/1" by every plugin that has codecs; several may. The core has G.711, L16 and telephone-event of its own.
 *
 * A provider hands in a table of codecs. Negotiation asks a row about its parameters on the loop; encoders and decoders are opened and
 * closed there, too, and run on a media worker: whatever is marked [media] allocates nothing, locks nothing, waits for nothing. One
 * state is used by one thread at a time. Samples are signed 16 bit mono, one channel, at rate_hz, also where SDP says two channels.
 *
 * A state keeps the instance that opened it loaded: when the plugin is upgraded, calls go on with the old code. When the plugin is taken
 * away, its states are closed after stop() and before unload(). A state belongs to one stream of packets. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_CODEC_FMTP_BYTES 100u    /* of a format parameter line, with its zero */
#define PBX_CODEC_MOST_BYTES 1900u   /* of a payload */
#define PBX_CODEC_MOST_PTIME_MS 120u /* of speech in a payload */

/* flags */
#define PBX_CODEC_STATELESS 1u /* a payload depends on its samples alone: one encoding serves all who hear the same */
#define PBX_CODEC_SILENCE 2u   /* it describes silence by itself (DTX): no comfort noise of RFC 3389 is sent in its place */

/* What an encoder or decoder is opened for. Borrowed. */
struct pbx_codec_wish {
	uint32_t size;
	const char *local_fmtp;  /* what we have said we want to receive; "" none */
	const char *remote_fmtp; /* what the other side says it wants to receive; "" none */
	uint32_t ptime_ms;       /* encoders: each call of encode brings as much */
	uint32_t loss_percent;   /* encoders: packets that are expected to get lost; loss() tells later */
};

struct pbx_codec {
	const char *name;      /* encoding name of RFC 4855: "G722". Compared without case */
	uint32_t clock_hz;     /* of RTP timestamps, as in a=rtpmap */
	uint32_t rate_hz;      /* of samples: 8000, 16000, 24000, 32000 or 48000 */
	uint32_t channels;     /* as in a=rtpmap: 1, or 2 for Opus */
	uint32_t payload_type; /* static (RFC 3551), or the dynamic number we like best */
	uint32_t flags;        /* PBX_CODEC_… */
	uint32_t frame_us;     /* payloads are made of whole frames of this length; 0: of any number of samples */
	/* Of payloads that encode makes; decode takes up to PBX_CODEC_MOST_PTIME_MS. */
	uint32_t least_ptime_ms, usual_ptime_ms, most_ptime_ms;
	uint32_t bits_per_s; /* usual, without headers */
	uint32_t ie_tenths;  /* E-model (G.113 appendix I): equipment impairment, 0.1 */
	uint32_t bpl_tenths; /* robustness against loss with the concealment below, 0.1 */
	const void *context; /* the provider's, for rows that share functions */

	/* What we say in an offer: the line behind a=fmtp:NN, "" for none. NULL: none. PBX_OK, or an error: it is not offered now. [loop] */
	int (*offer)(void *self, const struct pbx_codec *codec, char *ret_fmtp, uint32_t size);
	/* What we say in answer to an offer with remote_fmtp ("" none). NULL: as offer. PBX_OK; PBX_ENOTSUP: we cannot speak it with these
	 * parameters. [loop] */
	int (*answer)(void *self, const struct pbx_codec *codec, const char *remote_fmtp, char *ret_fmtp, uint32_t size);
	/* Whether what one sends who has described himself by sender_fmtp may be handed on unopened to one who has by receiver_fmtp. NULL:
	 * always. [loop] */
	bool (*passes)(void *self, const struct pbx_codec *codec, const char *sender_fmtp, const char *receiver_fmtp);

	/* A state for one stream. PBX_OK, PBX_ENOMEM, PBX_ENOTSUP (ptime or parameters). [loop] */
	int (*encoder_open)(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder);
	int (*decoder_open)(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder);
	void (*encoder_close)(void *encoder); /* [loop] */
	void (*decoder_close)(void *decoder); /* [loop] */

	/* One payload out of ptime_ms of samples. Octets written, at most size; 0: silence that need not be sent (DTX); negative: an
	 * error, nothing is sent. size is PBX_CODEC_MOST_BYTES. [media] */
	int32_t (*encode)(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size);
	/* The samples of one payload: how many; 0: it describes silence; negative: it cannot be decoded (counted, and concealed as if it
	 * had been lost). size has room for PBX_CODEC_MOST_PTIME_MS. Bytes from the network: nothing about them is certain. [media] */
	int32_t (*decode)(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size);
	/* count samples in place of what was lost. NULL: the last samples are repeated and faded. [media] */
	void (*conceal)(void *decoder, int16_t *ret_samples, uint32_t count);
	/* The same out of the payload behind the gap (forward error correction). Samples written, at most count; 0: it has nothing of
	 * the kind, then conceal is asked. NULL: there is none. [media] */
	int32_t (*recover)(void *decoder, const uint8_t *next_payload, uint32_t bytes, int16_t *ret_samples, uint32_t count);
	/* Samples at rate_hz in a payload, without decoding it; 0: none, or not known. NULL: bits_per_s and the length tell. [any] */
	uint32_t (*duration)(const struct pbx_codec *codec, const uint8_t *payload, uint32_t bytes);
	/* The far side reports so much loss; called when it has changed. NULL: of no interest. [media] */
	void (*loss)(void *encoder, uint32_t percent);
	/* Another stream begins where this one has been (another SSRC): the decoder is to be as if it were fresh. NULL: it goes on as it is.
	 * [media] */
	void (*restart)(void *decoder);
	/* The length of payloads to make where the other side likes wanted_ms, when parameters or more than whole frames decide it. NULL: as many
	 * whole frames as fit into wanted_ms, between least and most. [loop] */
	uint32_t (*ptime)(void *self, const struct pbx_codec *codec, const char *local_fmtp, const char *remote_fmtp, uint32_t wanted_ms);
	/* 1.1 and later append here. */
};

struct pbx_codecs {
	struct pbx_header header;
	void *self;
	struct pbx_table codecs; /* struct pbx_codec; rows and texts live as long as the instance, and do not change */
	const char
		*licence; /* of the library behind them, where it asks more than the daemon's own: "GPL-3.0-or-later"; NULL: it does not */
};

#ifdef __cplusplus
}
#endif
