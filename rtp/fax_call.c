/*
 * fax_call - a fax machine, or a gateway between one with a modem and one with T.38: spandsp's state machines, fed every 20 ms
 *
 * A machine begins with a modem and goes on with T.38 when the leg has turned to it, from the beginning of T.30, as both sides do. Audio is put in
 * order by its timestamps: what is missing is told to the demodulators as such, which keeps their clocks right. Nothing waits for the network:
 * the modem's own buffers are what T.30 is built for.
 */
#include "fax_call.h"

#include <string.h>

#define QUIET_TICKS 4u /* without packets for so long, the line is silent */
#define MOST_MISSING 8000u
#define SPEED_SAMPLES 40 /* how often spandsp's T.38 timers look: each call of it counts them */

/* ---- T.38 ---- */

static int on_ifp(t38_core_state_t *core, void *context, const uint8_t *ifp, int bytes, int count)
{
	struct rtp_fax *fax = context;
	uint8_t datagram[RTP_UDPTL_BYTES];
	size_t size = bytes > 0 ? rtp_udptl_write(&fax->udptl, ifp, (size_t)bytes, datagram) : 0;

	(void)core;
	(void)count; /* how often it would be sent without redundancy */
	if (size > 0)
		rtp_line_give(&fax->lines[0], RTP_LINE_UDPTL, datagram, size);
	return 0;
}

static t38_core_state_t *core_of(struct rtp_fax *fax)
{
	return fax->gateway ? t38_gateway_get_t38_core_state(fax->gateway) : t38_terminal_get_t38_core_state(fax->t38);
}

static void hear_ifp(void *context, const uint8_t *ifp, uint32_t bytes, uint16_t sequence)
{
	(void)t38_core_rx_ifp_packet(core_of(context), ifp, (int)bytes, sequence); /* what it does not understand it leaves out */
}

static void set_up_t38(struct rtp_fax *fax)
{
	t38_core_state_t *core = core_of(fax);

	t38_set_t38_version(core, 0);
	t38_set_data_rate_management_method(core, T38_DATA_RATE_MANAGEMENT_TRANSFERRED_TCF);
	t38_set_data_transport_protocol(core, T38_TRANSPORT_UDPTL);
	t38_set_max_datagram_size(core, RTP_UDPTL_IFP);
	rtp_udptl_init(&fax->udptl, rtp_read(&fax->lines[0].most_datagram));
}

/* ---- T.30 ---- */

static void on_page(struct rtp_fax *fax, t30_state_t *t30)
{
	t30_stats_t stats;

	t30_get_transfer_statistics(t30, &stats);
	uint32_t pages = (uint32_t)(fax->spec.what == PBX_FAX_SEND ? stats.pages_tx : stats.pages_rx), before = rtp_read(&fax->pages);

	rtp_write(&fax->pages, pages);
	if (pages > before)
		rtp_fax_tell_page(fax);
}

static int on_phase_d(t30_state_t *t30, void *context, int result)
{
	(void)result;
	on_page(context, t30);
	return T30_ERR_OK;
}

/* The last page was confirmed, or there is no hope. */
static void on_phase_e(t30_state_t *t30, void *context, int code)
{
	struct rtp_fax *fax = context;
	const char *remote = t30_get_rx_ident(t30);
	t30_stats_t stats;

	t30_get_transfer_statistics(t30, &stats);
	on_page(fax, t30);
	(void)snprintf(fax->remote, sizeof fax->remote, "%s", remote ? remote : "");
	(void)snprintf(fax->reason, sizeof fax->reason, "%s", code == T30_ERR_OK ? "" : t30_completion_code_to_str(code));
	fax->result.error = code == T30_ERR_OK ? PBX_OK : PBX_EIO;
	fax->result.pages = rtp_read(&fax->pages);
	fax->result.bit_rate = (uint32_t)stats.bit_rate;
	fax->result.ecm = stats.error_correcting_mode;
	fax->result.t38 = fax->t38 != NULL;
	fax->finished = true;
}

static int modems(const struct rtp_fax *fax)
{
	uint32_t rate = fax->spec.most_bit_rate ? fax->spec.most_bit_rate : 14400;

	return T30_SUPPORT_V27TER | (rate >= 7200 ? T30_SUPPORT_V29 : 0) | (rate >= 14400 ? T30_SUPPORT_V17 : 0);
}

static void set_up_t30(struct rtp_fax *fax, t30_state_t *t30)
{
	(void)t30_set_tx_ident(t30, fax->station);
	(void)t30_set_tx_page_header_info(t30, fax->header);
	(void)t30_set_ecm_capability(t30, !fax->spec.no_ecm);
	(void)t30_set_supported_modems(t30, modems(fax));
	(void)t30_set_supported_compressions(t30,
					     T30_SUPPORT_T4_1D_COMPRESSION | T30_SUPPORT_T4_2D_COMPRESSION | T30_SUPPORT_T6_COMPRESSION);
	(void)t30_set_supported_resolutions(t30, T30_SUPPORT_STANDARD_RESOLUTION | T30_SUPPORT_FINE_RESOLUTION |
							 T30_SUPPORT_SUPERFINE_RESOLUTION);
	(void)t30_set_supported_image_sizes(t30, T30_SUPPORT_US_LETTER_LENGTH | T30_SUPPORT_US_LEGAL_LENGTH | T30_SUPPORT_UNLIMITED_LENGTH |
							 T30_SUPPORT_215MM_WIDTH | T30_SUPPORT_255MM_WIDTH | T30_SUPPORT_303MM_WIDTH);
	t30_set_phase_d_handler(t30, on_phase_d, fax);
	t30_set_phase_e_handler(t30, on_phase_e, fax);
	if (fax->spec.what == PBX_FAX_SEND)
		t30_set_tx_file(t30, fax->path, -1, -1);
	else
		t30_set_rx_file(t30, fax->path, -1);
	(void)t30_set_rx_encoding(t30, T4_COMPRESSION_ITU_T6);
}

/* ---- the machine, as what it is now ---- */

static void let_go(struct rtp_fax *fax)
{
	if (fax->audio)
		(void)fax_free(fax->audio);
	if (fax->t38)
		(void)t38_terminal_free(fax->t38);
	if (fax->gateway)
		(void)t38_gateway_free(fax->gateway);
	fax->audio = NULL;
	fax->t38 = NULL;
	fax->gateway = NULL;
}

static bool be_machine(struct rtp_fax *fax)
{
	int calls = fax->spec.what == PBX_FAX_SEND;

	let_go(fax);
	if (fax->kind == RTP_LINE_UDPTL) {
		fax->t38 = t38_terminal_init(NULL, calls, on_ifp, fax);
		if (!fax->t38)
			return false;
		set_up_t38(fax);
		set_up_t30(fax, t38_terminal_get_t30_state(fax->t38));
		return true;
	}
	fax->audio = fax_init(NULL, calls);
	if (!fax->audio)
		return false;
	fax_set_transmit_on_idle(fax->audio, true);
	set_up_t30(fax, fax_get_t30_state(fax->audio));
	return true;
}

static bool be_gateway(struct rtp_fax *fax)
{
	fax->gateway = t38_gateway_init(NULL, on_ifp, fax);
	if (!fax->gateway)
		return false;
	set_up_t38(fax);
	t38_gateway_set_transmit_on_idle(fax->gateway, true);
	t38_gateway_set_supported_modems(fax->gateway, T30_SUPPORT_V27TER | T30_SUPPORT_V29 | T30_SUPPORT_V17);
	t38_gateway_set_ecm_capability(fax->gateway, true);
	return true;
}

static bool is_audio(uint32_t kind)
{
	return kind == RTP_KIND_MU || kind == RTP_KIND_A;
}

static struct rtp_line *audio_line(struct rtp_fax *fax)
{
	return &fax->lines[fax->line_count - 1];
}

static void say_samples(struct rtp_line *line, const int16_t *samples)
{
	uint32_t kind = rtp_read(&line->kind), law = rtp_kind_law((uint8_t)kind);
	uint8_t payload[RTP_LINE_FRAME_BYTES];

	if (!is_audio(kind))
		return;
	for (uint32_t i = 0; i < RTP_LINE_FRAME_BYTES; i++)
		payload[i] = rtp_g711_encode(law, samples[i]);
	rtp_line_give(line, (uint8_t)kind, payload, sizeof payload);
}

bool rtp_fax_open(struct rtp_fax *fax)
{
	static const int16_t silence[RTP_FAX_TICK_SAMPLES];

	fax->kind = rtp_read(&fax->lines[0].kind);
	for (uint32_t i = 0; i < RTP_FAX_AHEAD; i++)
		say_samples(audio_line(fax), silence);
	return rtp_fax_is_gateway(fax) ? be_gateway(fax) : be_machine(fax);
}

/* ---- 20 ms ---- */

static void hear_samples(struct rtp_fax *fax, int16_t *samples, int count)
{
	if (fax->gateway)
		(void)t38_gateway_rx(fax->gateway, samples, count);
	else if (fax->audio)
		(void)fax_rx(fax->audio, samples, count);
}

static void hear_nothing(struct rtp_fax *fax, int count)
{
	if (fax->gateway)
		(void)t38_gateway_rx_fillin(fax->gateway, count);
	else if (fax->audio)
		(void)fax_rx_fillin(fax->audio, count);
}

static void hear_audio(struct rtp_fax *fax, const struct rtp_tap_packet *packet, const uint8_t *payload)
{
	int16_t samples[RTP_TAP_PAYLOAD];
	uint32_t law = rtp_kind_law(packet->type);
	int32_t missing = (int32_t)(packet->timestamp - fax->expected);

	if (fax->hears && missing < 0 && missing > -(int32_t)MOST_MISSING)
		return; /* overtaken: it has been given up */
	if (fax->hears && missing > 0 && missing < (int32_t)MOST_MISSING && fax->quiet < QUIET_TICKS)
		hear_nothing(fax, missing);
	for (uint32_t i = 0; i < packet->bytes; i++)
		samples[i] = rtp_g711_decode(law, payload[i]);
	hear_samples(fax, samples, packet->bytes);
	fax->hears = true;
	fax->expected = packet->timestamp + packet->bytes;
	fax->quiet = 0;
}

static void hear_lines(struct rtp_fax *fax)
{
	uint8_t payload[RTP_TAP_PAYLOAD];
	struct rtp_tap_packet packet;

	for (uint32_t i = 0; i < fax->line_count; i++) {
		while (rtp_line_take(&fax->lines[i], &packet, payload)) {
			if (packet.type == RTP_LINE_UDPTL && (fax->t38 || fax->gateway))
				(void)rtp_udptl_read(&fax->udptl, payload, packet.bytes, hear_ifp, fax); /* checked by the worker */
			else if (is_audio(packet.type) && (fax->audio || fax->gateway))
				hear_audio(fax, &packet, payload);
		}
	}
	if (++fax->quiet > QUIET_TICKS)
		hear_nothing(fax, RTP_FAX_TICK_SAMPLES);
}

static void say_something(struct rtp_fax *fax)
{
	int16_t samples[RTP_FAX_TICK_SAMPLES] = { 0 };

	if (fax->t38) {
		for (int done = 0; done < RTP_FAX_TICK_SAMPLES && !fax->finished; done += SPEED_SAMPLES)
			(void)t38_terminal_send_timeout(fax->t38, SPEED_SAMPLES);
		return;
	}
	if (fax->gateway)
		(void)t38_gateway_tx(fax->gateway, samples, RTP_FAX_TICK_SAMPLES);
	else
		(void)fax_tx(fax->audio, samples, RTP_FAX_TICK_SAMPLES);
	say_samples(audio_line(fax), samples);
}

/* The leg has turned from audio to T.38, or back. */
static bool follow(struct rtp_fax *fax)
{
	uint32_t kind = rtp_read(&fax->lines[0].kind);
	bool turns = (kind == RTP_LINE_UDPTL) != (fax->kind == RTP_LINE_UDPTL);

	fax->kind = kind;
	return fax->gateway || !turns || be_machine(fax);
}

bool rtp_fax_tick(struct rtp_fax *fax)
{
	if (rtp_read(&fax->stops) || !follow(fax))
		return false;
	hear_lines(fax);
	if (!fax->finished)
		say_something(fax);
	return !fax->finished;
}

void rtp_fax_close(struct rtp_fax *fax)
{
	if (!fax->finished) {
		fax->result.error = PBX_ESTATE;
		fax->result.pages = rtp_read(&fax->pages);
		fax->result.t38 = fax->t38 != NULL;
		(void)snprintf(fax->reason, sizeof fax->reason, "ended before all pages had arrived");
	}
	let_go(fax); /* closes the file */
	fax->result.size = sizeof fax->result;
	fax->result.reason = fax->reason;
	fax->result.station = fax->remote;
}
