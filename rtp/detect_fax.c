/* detect_fax - the tones by which fax machines make themselves known (ITU-T T.30 4.2, V.21), by spandsp's receivers */
#include "detect.h"

#include <spandsp.h>
#include <stdlib.h>

#define CNG_HZ 1100u
#define CED_HZ 2100u
#define PREAMBLE_HZ 1750u /* channel 2 of V.21, its middle */

struct rtp_fax_ear {
	modem_connect_tones_rx_state_t *calling, *answering;
	int heard; /* by one of them, in this frame */
	bool told[3];
};

static const struct {
	const char *name;
	uint32_t hz;
} signs[3] = { { "cng", CNG_HZ }, { "ced", CED_HZ }, { "preamble", PREAMBLE_HZ } };

static void on_tone(void *context, int code, int level, int delay)
{
	struct rtp_fax_ear *ear = context;

	(void)level, (void)delay;
	if (code != MODEM_CONNECT_TONES_NONE)
		ear->heard = code;
}

int rtp_fax_ear_new(struct rtp_fax_ear **ret_ear)
{
	struct rtp_fax_ear *ear = calloc(1, sizeof *ear);

	if (!ear)
		return PBX_ENOMEM;
	ear->calling = modem_connect_tones_rx_init(NULL, MODEM_CONNECT_TONES_FAX_CNG, on_tone, ear);
	ear->answering = modem_connect_tones_rx_init(NULL, MODEM_CONNECT_TONES_FAX_CED_OR_PREAMBLE, on_tone, ear);
	if (!ear->calling || !ear->answering) {
		rtp_fax_ear_free(ear);
		return PBX_ENOMEM;
	}
	*ret_ear = ear;
	return PBX_OK;
}

void rtp_fax_ear_free(struct rtp_fax_ear *ear)
{
	if (!ear)
		return;
	if (ear->calling)
		(void)modem_connect_tones_rx_free(ear->calling);
	if (ear->answering)
		(void)modem_connect_tones_rx_free(ear->answering);
	free(ear);
}

static void tell(struct rtp_fax_ear *ear, uint64_t now_ms, rtp_found_fn found, void *context)
{
	uint32_t which = ear->heard == MODEM_CONNECT_TONES_FAX_CNG ? 0 : ear->heard == MODEM_CONNECT_TONES_FAX_PREAMBLE ? 2 : 1;

	ear->heard = MODEM_CONNECT_TONES_NONE;
	if (ear->told[which])
		return;
	ear->told[which] = true;
	found(context,
	      &(struct pbx_detected){ .what = PBX_DETECT_FAX, .name = signs[which].name, .began_ms = now_ms, .hz = signs[which].hz });
}

void rtp_fax_ear_step(struct rtp_fax_ear *ear, const int16_t *frame, uint64_t now_ms, rtp_found_fn found, void *context)
{
	(void)modem_connect_tones_rx(ear->calling, frame, RTP_DETECT_FRAME);
	if (ear->heard)
		tell(ear, now_ms, found, context);
	(void)modem_connect_tones_rx(ear->answering, frame, RTP_DETECT_FRAME);
	if (ear->heard)
		tell(ear, now_ms, found, context);
}
