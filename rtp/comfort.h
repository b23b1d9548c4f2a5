/* rtp/comfort.h - the noise behind a voice: told (RFC 3389), made again, and told from speech
 *
 * Pure arithmetic, nothing is allocated. [media], init [any]. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define RTP_COMFORT_ORDER 10u /* reflection coefficients that we tell and understand; more are passed over */
#define RTP_COMFORT_MOST_BYTES (1u + RTP_COMFORT_ORDER)

/* Makes noise. */
struct rtp_comfort {
	float reflection[RTP_COMFORT_ORDER], memory[RTP_COMFORT_ORDER];
	float rms, aims_rms; /* now, and where it is going: never from one moment to the next */
	uint32_t chance;
};

void rtp_comfort_init(struct rtp_comfort *comfort);
/* A payload of type CN: level in -dBov, then reflection coefficients. */
void rtp_comfort_read(struct rtp_comfort *comfort, const uint8_t *payload, uint32_t bytes);
/* White noise of that loudness, where nobody has told how it sounds. */
void rtp_comfort_level(struct rtp_comfort *comfort, float rms);
void rtp_comfort_make(struct rtp_comfort *comfort, int16_t *ret_samples, uint32_t count);
/* Octets of the payload that says how these samples sound. */
uint32_t rtp_comfort_describe(const int16_t *samples, uint32_t count, uint8_t ret_payload[RTP_COMFORT_MOST_BYTES]);

/* Tells speech from the noise behind it. */
struct rtp_quiet {
	uint32_t rate_hz;
	float floor_rms;    /* of the noise */
	float rms;          /* of the newest frame */
	uint32_t hang_left; /* samples: words end softly */
	bool heard;
};

void rtp_quiet_init(struct rtp_quiet *quiet, uint32_t rate_hz);
/* A frame of 10 to 60 ms. True: somebody speaks, or spoke a moment ago. */
bool rtp_quiet_note(struct rtp_quiet *quiet, const int16_t *samples, uint32_t count);

/* What a sender that may fall silent does with each frame. */
#define RTP_HUSH_SPEECH 0u /* sends it */
#define RTP_HUSH_TELL 1u   /* sends how it sounds instead: silence begins, sounds otherwise than before, or has lasted another while */
#define RTP_HUSH_NOTHING 2u

struct rtp_hush {
	struct rtp_quiet quiet;
	bool silent;
	float told_rms;
	uint32_t since_told; /* samples */
};

void rtp_hush_init(struct rtp_hush *hush, uint32_t rate_hz);
uint32_t rtp_hush_note(struct rtp_hush *hush, const int16_t *samples, uint32_t count); /* RTP_HUSH_… */
