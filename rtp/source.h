/* rtp/source.h - a programme that many legs hear: decoded once, encoded once for all whose codec has no state (G.711), however many listen
 *
 * One reader thread for all sources decodes a little ahead of time into a ring of frames; players on any worker copy out of
 * it without asking anybody. A source's time goes on only while somebody listens, unless it always runs. */
#pragma once
#include "worker.h"

#define RTP_SOURCE_HZ 16000u
#define RTP_SOURCE_FRAME_SAMPLES (RTP_SOURCE_HZ / 50u) /* 20 ms */
#define RTP_SOURCE_FRAME_CODES 160u                    /* the same in G.711 */

/* ---- [media] ---- */

/* The next octets in a law; silence while the reader is behind. False: the source has been closed. */
bool rtp_source_take_codes(struct rtp_play *play, uint32_t law, uint8_t *ret_codes, uint32_t count);
/* The same as samples at RTP_SOURCE_HZ, an even number of them. */
bool rtp_source_take(struct rtp_play *play, int16_t *ret_samples, uint32_t count);

/* ---- [loop] ---- */

int rtp_sources_start(struct rtp_common *common);      /* PBX_OK, PBX_ENOMEM, PBX_EIO */
void rtp_sources_stop(void);                           /* nobody listens any more */
void rtp_source_returned(struct rtp_command *command); /* a command of the reader's has come back */

int rtp_source_open(struct pbx_host *owner, const struct pbx_source_spec *spec, pbx_source *ret_source);
int rtp_source_update(pbx_source source, const struct pbx_source_spec *spec);
int rtp_source_close(pbx_source source);
int rtp_source_listeners(pbx_source source, uint32_t *ret_listeners);
int rtp_source_state(pbx_source source, struct pbx_source_state *ret_state);

/* One who listens, from now on until play is over. revoke: the source's owner is leaving. PBX_OK, PBX_ENOENT. */
int rtp_source_join(pbx_source source, struct rtp_play *play, void (*revoke)(struct core_charge *charge));
void rtp_source_part(struct rtp_play *play);

struct rtp_source_totals {
	uint32_t sources, listeners, running;
	uint64_t frames; /* decoded, of all sources ever */
};
void rtp_sources_totals(struct rtp_source_totals *ret_totals);
