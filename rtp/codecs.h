/* rtp/codecs.h - the codecs there are: the core's own and plugins', in the order of the settings
 *
 * Negotiation and streams ask here by what SDP says (name, clock, channels); what they get is good until plugins or settings
 * change, so until the callback returns. A coder is an encoder or a decoder made of one of them, which keeps the plugin loaded. */
#pragma once
#include <core/media_desc.h>
#include <core/owner.h>
#include <pbx/codec.h>

#define RTP_TYPE_PCMU 0u    /* RFC 3551 */
#define RTP_TYPE_PCMA 8u    /* RFC 3551 */
#define RTP_TYPE_NOISE 13u  /* CN/8000 (RFC 3551) */
#define RTP_MOST_CODECS 64u /* all together; what plugins offer beyond that is not used */

struct rtp_codec {
	struct pbx_codec row;             /* today's size: what an older plugin does not know is zero */
	const struct pbx_codec *original; /* what its functions are given */
	void *self;
	struct pbx_host *owner; /* NULL: the core */
	bool offered;           /* by us; else taken when others offer it */
	const char *licence;    /* as in struct pbx_codecs; NULL: the daemon's own, or freer */
};

/* ---- [loop] ---- */

/* media.codecs: names in the order in which we like them, "G722" or, where clocks or channels differ, "L16/16000"; "-NAME" leaves one
 * out. Those that are not named are taken when offered, not offered. The list is borrowed until the next one. */
void rtp_codecs_order(const struct pbx_list *order);
/* PBX_OK, PBX_EINVAL and diag: an entry is no name. */
int rtp_codecs_check(const struct pbx_list *order, struct pbx_diag *diag);
void rtp_codecs_fini(void);
/* Whether comfort noise (CN, RFC 3389) is among them, for those that do not describe silence by themselves: off at first. */
void rtp_codecs_add_noise(bool on);

const struct rtp_codec *rtp_codec_find(const struct core_codec *codec); /* NULL: none of ours */
/* Best first with what we say in an offer; comfort noise and telephone-event last. offered: only those. How many were written. */
uint8_t rtp_codecs_list(struct core_codec *ret_codecs, uint8_t size, bool offered);
/* All of them, in our order. */
void rtp_codecs_each(void (*each)(void *context, const struct rtp_codec *codec), void *context);
/* As media.codecs takes it: "opus", "L16/16000" where there are others of that name. */
void rtp_codec_name(const struct pbx_codec *row, char *ret_name, size_t size);
/* Our parameters in answer to an offered codec's. PBX_OK, PBX_ENOENT (none of ours), PBX_ENOTSUP (not with these parameters). */
int rtp_codec_answer(const struct core_codec *offered, char *ret_fmtp, uint32_t size);
/* Whether packets for one who described itself as `from` suit one who described itself as `to`, unopened. */
bool rtp_codec_passes(const struct core_codec *from, const struct core_codec *to);
/* Bits (rtp_rate_bit) of the rates of those that are ours. */
uint32_t rtp_codecs_rates(const struct core_codec *codecs, uint32_t count);
/* The nearest length of packets that a codec can make for one who described it as `remote`, not longer than wanted where there is one.
 * 0: it is none of ours. */
uint32_t rtp_codec_ptime(const struct core_codec *remote, uint32_t wanted_ms);

/* An encoder or decoder. */
struct rtp_coder {
	struct pbx_codec row; /* a copy: what it came from may be gone from the list */
	const struct pbx_codec *original;
	void *state;
	bool encodes;
	struct core_charge charge;
	struct pbx_host *leaving; /* its plugin is being taken away, and waits for it to be closed */
	void (*on_leaving)(void *context);
	void *context;
};

/* remote: as the other side described it; ptime_ms: of encoders. on_leaving(context): the plugin is being taken away, so the coder
 * must be closed soon; it may be used until then. The coder must not move afterwards. PBX_OK, PBX_ENOENT, PBX_ENOMEM, PBX_ENOTSUP. */
int rtp_coder_open(const struct core_codec *remote, bool encodes, uint32_t ptime_ms, void (*on_leaving)(void *context), void *context,
		   struct rtp_coder *ret_coder);
void rtp_coder_close(struct rtp_coder *coder); /* one that is zero or closed: nothing */

/* ---- [any] ---- */

/* Samples in a payload, at the codec's rate; 0: not known. */
uint32_t rtp_codec_duration(const struct pbx_codec *row, const struct pbx_codec *original, const uint8_t *payload, uint32_t bytes);

extern const struct pbx_codecs rtp_own_codecs; /* codecs_own.c */
