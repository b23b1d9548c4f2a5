/*
 * leg_quality - how a leg's audio arrives, and that it does not arrive at all
 *
 * Serves pbx.quality/1 from the stream's statistics. A leg that is answered is looked at every second: who should be heard and is not for calls.no_audio_s, or
 * reports that it hears nothing of us, is told of by leg.audio_missing, and by leg.audio_back when that is over. A codec that may fall silent (DTX)
 * counts as missing only until it was heard first.
 */
#include "address_text.h"
#include "calls_inner.h"
#include "overlap.h"
#include "srtp_suites.h"
#include <pbx/quality.h>
#include <strings.h>

#define WATCH_EVERY_MS 1000u
#define LEAST_BUFFER_MS 20.0 /* that a phone keeps back; it adapts to twice the jitter */

/* ---- a look ---- */

static const char *address_text(const struct core_addr *addr, char text[64])
{
	text[0] = '\0';
	if (addr->sa.sa_family != AF_UNSPEC)
		core_address_print(addr, text, 64);
	return text;
}

static bool is_expected(const struct core_leg *leg, uint32_t way)
{
	uint8_t direction = way == PBX_FROM_PARTY ? CORE_RECV : CORE_SEND;

	if (leg->state != PBX_LEG_ANSWERED || !leg->configured || leg->holds_us || leg->held_by_us)
		return false;
	const struct core_stream_config config = core_leg_config(leg);
	return !config.t38.on && config.direction & direction;
}

static uint64_t since(uint64_t at_ms)
{
	uint64_t now_ms = core_now_ms();

	if (at_ms == 0)
		return PBX_NEVER_MS;
	return now_ms > at_ms ? now_ms - at_ms : 0; /* a worker's clock may be a moment ahead */
}

static void look_from(const struct core_stream_stats *stats, struct pbx_leg_way *way)
{
	way->known = stats->packets_in > 0;
	way->quiet_ms = since(stats->last_packet_at_ms);
	way->packets = stats->packets_in;
	way->bytes = stats->bytes_in;
	way->lost = stats->lost;
	way->duplicates = stats->duplicates;
	way->discarded = stats->discarded;
	way->buffer_ms = stats->buffer_us / 1000.0;
	way->reordered = stats->late;
	way->jitter_ms = stats->jitter_us / 1000.0;
	way->judged = stats->judged;
	way->judged_lost = stats->judged_lost;
	way->runs = stats->runs;
	way->bursts = stats->bursts;
	way->burst_lost = stats->burst_lost;
	way->burst_packets = stats->burst_packets;
}

/* Of a figure in tenths; 127: not known (RFC 3611 4.7.5). */
static double tenths(uint8_t figure)
{
	return figure >= 10 && figure <= 50 ? figure / 10.0 : 0;
}

static void look_to(const struct core_stream_stats *stats, struct pbx_leg_way *way)
{
	const struct core_voip *voip = &stats->peer_voip;

	way->known = stats->reported_at_ms != 0;
	way->quiet_ms = since(stats->reported_at_ms);
	way->packets = way->known ? stats->reported_packets : stats->packets_out;
	way->bytes = stats->bytes_out;
	way->lost = stats->peer_lost;
	way->jitter_ms = stats->peer_jitter_us / 1000.0;
	way->deaf = stats->peer_deaf;
	if (!voip->told)
		return;
	way->discarded = way->packets * voip->discarded_256 / 256;
	way->party_mos_lq = tenths(voip->mos_lq_tenths);
	way->party_mos_cq = tenths(voip->mos_cq_tenths);
	way->party_r = voip->r <= 100 ? voip->r : 0;
	way->party_delay_ms = voip->end_delay_ms;
	way->party_buffer_ms = voip->buffer_ms;
}

void core_leg_way(const struct core_leg *leg, const struct core_stream_stats *stats, uint32_t direction, struct pbx_leg_way *ret_way)
{
	static char local[64], remote[64], codec[20];

	*ret_way = (struct pbx_leg_way){ .size = sizeof *ret_way,
					 .way = direction,
					 .expected = is_expected(leg, direction),
					 .round_trip_ms = stats->round_trip_us / 1000.0,
					 .codec = codec,
					 .clock_hz = stats->clock_hz,
					 .ptime_ms = stats->ptime_ms,
					 .srtp = core_srtp_name(stats->suite),
					 .local = address_text(&stats->local, local),
					 .remote = address_text(&stats->remote, remote),
					 .transport = stats->remote.transport == CORE_BY_TCP ? "tcp" : "udp" };
	CORE_TEXT(codec, stats->codec);
	if (direction == PBX_FROM_PARTY)
		look_from(stats, ret_way);
	else
		look_to(stats, ret_way);
}

static int quality_look(pbx_leg handle, uint32_t direction, struct pbx_leg_way *ret_way)
{
	const struct core_leg *leg = core_leg_alive(handle);
	uint32_t size = ret_way->size;
	struct core_stream_stats stats;
	struct pbx_leg_way way;

	if (!leg)
		return PBX_ENOENT;
	if (!leg->has_stream || core_media->stats(leg->stream, &stats) != PBX_OK)
		return PBX_ESTATE;
	core_leg_way(leg, &stats, direction, &way);
	way.size = (uint32_t)core_overlap(size, sizeof way);
	memcpy(ret_way, &way, way.size);
	return PBX_OK;
}

/* ---- a score ---- */

static double more(uint64_t now, uint64_t before)
{
	return now > before ? (double)(now - before) : 0; /* what was lost may turn up later */
}

/* Packets that should have come between two looks. */
static double expected_between(const struct pbx_leg_way *before, const struct pbx_leg_way *now, double lost)
{
	double packets = more(now->packets, before->packets);

	if (now->way == PBX_TO_PARTY)
		return packets; /* all that were sent */
	return packets - more(now->duplicates, before->duplicates) + lost;
}

static double one_way_ms(const struct pbx_leg_way *way)
{
	double buffer_ms = way->jitter_ms * 2 > LEAST_BUFFER_MS ? way->jitter_ms * 2 : LEAST_BUFFER_MS;
	double kept_ms = way->buffer_ms > 0 ? way->buffer_ms : buffer_ms;
	double end_ms = way->party_delay_ms > 0 ? way->party_delay_ms : kept_ms + way->ptime_ms;

	return way->round_trip_ms / 2 + end_ms;
}

static double burst_ratio(const struct pbx_leg_way *before, const struct pbx_leg_way *now, double lost_percent)
{
	double runs = more(now->runs, before->runs), lost = more(now->judged_lost, before->judged_lost);
	double ratio = runs > 0 ? lost / runs * (1 - lost_percent / 100) : 1;

	return ratio < 1 ? 1 : ratio;
}

static int quality_estimate(const struct pbx_way_figures *figures, struct pbx_way_score *ret_score)
{
	struct pbx_way_figures asked = { 0 };
	struct pbx_way_score score = { 0 };
	uint32_t size = (uint32_t)core_overlap(ret_score->size, sizeof score);

	if (!core_media || !core_media->estimate)
		return PBX_ENOTSUP;
	core_copy_overlap(&asked, sizeof asked, figures, figures->size);
	core_media->estimate(&asked, &score);
	score.size = size;
	memcpy(ret_score, &score, size);
	return PBX_OK;
}

int core_quality_score(const struct pbx_leg_way *before, const struct pbx_leg_way *now, struct pbx_way_score *ret_score)
{
	static const struct pbx_leg_way nothing = { 0 };
	const struct pbx_leg_way *from = before ? before : &nothing;
	double lost = more(now->lost, from->lost), expected = expected_between(from, now, lost);

	if (!now->known || expected <= 0)
		return PBX_ENOENT;
	double lost_percent = 100 * (lost + more(now->discarded, from->discarded)) / expected;
	const struct pbx_way_figures figures = { .size = sizeof figures,
						 .codec = now->codec,
						 .clock_hz = now->clock_hz,
						 .lost_percent = lost_percent > 100 ? 100 : lost_percent,
						 .burst_ratio = burst_ratio(from, now, lost_percent),
						 .delay_ms = one_way_ms(now) };
	return quality_estimate(&figures, ret_score);
}

static int quality_score(const struct pbx_leg_way *before, const struct pbx_leg_way *now, struct pbx_way_score *ret_score)
{
	struct pbx_leg_way first = { 0 }, last = { 0 };

	if (before)
		core_copy_overlap(&first, sizeof first, before, before->size);
	core_copy_overlap(&last, sizeof last, now, now->size);
	return core_quality_score(before ? &first : NULL, &last, ret_score);
}

const struct pbx_quality core_quality_service = {
	.header = PBX_HEADER(struct pbx_quality),
	.look = quality_look,
	.score = quality_score,
	.estimate = quality_estimate,
};

/* ---- the watch ---- */

/* Codecs whose senders may stop while nobody speaks. */
static bool may_fall_silent(const struct core_leg *leg)
{
	const struct core_stream_config config = core_leg_config(leg);

	for (uint8_t i = 0; i < config.codec_count; i++)
		if (core_codec_is_noise(&config.codecs[i]))
			return true;
	return strcasecmp(config.codecs[0].name, "G729") == 0 || strcasecmp(config.codecs[0].name, "speex") == 0;
}

static void tell(struct core_leg *leg, struct core_audio_watch *watch, const char *way, bool is_missing,
		 const struct core_stream_stats *stats, uint64_t for_ms)
{
	if (watch->missing == is_missing)
		return;
	watch->missing = is_missing;
	core_event_audio(leg, is_missing ? "leg.audio_missing" : "leg.audio_back", way, for_ms, stats);
}

static void watch_from(struct core_leg *leg, const struct core_stream_stats *stats)
{
	struct core_audio_watch *watch = &leg->audio_from;
	uint64_t now_ms = core_now_ms(), least_ms = (uint64_t)core_calls_settings()->no_audio_s * 1000;
	bool is_new = stats->last_packet_at_ms != watch->last_at_ms;

	if (!is_expected(leg, PBX_FROM_PARTY)) {
		watch->since_ms = 0;
		return;
	}
	if (watch->since_ms == 0 || is_new) {
		tell(leg, watch, "from_party", false, stats, watch->since_ms ? now_ms - watch->since_ms : 0);
		watch->since_ms = now_ms;
		watch->last_at_ms = stats->last_packet_at_ms;
	} else if (least_ms && now_ms - watch->since_ms >= least_ms && (stats->packets_in == 0 || !may_fall_silent(leg))) {
		tell(leg, watch, "from_party", true, stats, now_ms - watch->since_ms);
	}
}

static void watch_to(struct core_leg *leg, const struct core_stream_stats *stats)
{
	struct core_audio_watch *watch = &leg->audio_to;
	bool is_deaf = stats->peer_deaf && core_calls_settings()->no_audio_s && is_expected(leg, PBX_TO_PARTY);

	if (is_deaf && !watch->missing)
		watch->since_ms = core_now_ms();
	tell(leg, watch, "to_party", is_deaf, stats, watch->since_ms ? core_now_ms() - watch->since_ms : 0);
}

static void on_watch(void *self, pbx_timer timer)
{
	struct core_leg *leg = self;
	struct core_stream_stats stats;

	(void)timer;
	if (!leg->has_stream || core_media->stats(leg->stream, &stats) != PBX_OK)
		return;
	watch_from(leg, &stats);
	watch_to(leg, &stats);
}

void core_leg_watch_audio(struct core_leg *leg)
{
	leg->audio_from.since_ms = core_now_ms();
	if (core_timer_start(core_self(), WATCH_EVERY_MS, WATCH_EVERY_MS, on_watch, leg, &leg->audio_timer) != PBX_OK)
		core_log(PBX_LOG_WARN, "calls", leg->call->id, "audio_not_watched", "leg=%s reason=memory", leg->id);
}
