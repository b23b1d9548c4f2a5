/* rtp/stream_stats.c - what a stream has counted, as call control asks for it */
#include "engine_inner.h"
#include "level.h"
#include "octets.h"
#include "plan.h"

#include <string.h>

/* As they lie in the block: RFC 3611 4.7 from its third word on. */
static void read_voip(const struct rtp_counters *counters, struct core_voip *ret_voip)
{
	uint64_t words[RTP_VOIP_WORDS];
	uint8_t block[sizeof words];

	for (size_t i = 0; i < RTP_VOIP_WORDS; i++)
		words[i] = rtp_read(&counters->voip[i]);
	memcpy(block, words, sizeof block);
	*ret_voip = (struct core_voip){ .told = rtp_read(&counters->voip_told),
					.lost_256 = block[0],
					.discarded_256 = block[1],
					.burst_density_256 = block[2],
					.gap_density_256 = block[3],
					.burst_ms = rtp_get16(block + 4),
					.gap_ms = rtp_get16(block + 6),
					.round_trip_ms = rtp_get16(block + 8),
					.end_delay_ms = rtp_get16(block + 10),
					.r = block[16],
					.mos_lq_tenths = block[18],
					.mos_cq_tenths = block[19],
					.buffer_ms = rtp_get16(block + 22) };
}

int rtp_stream_stats(core_stream name, struct core_stream_stats *ret_stats)
{
	const struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	const struct rtp_counters *counters = &stream->session.counters;

	*ret_stats = (struct core_stream_stats){
		.packets_in = rtp_read(&counters->packets_in),
		.bytes_in = rtp_read(&counters->bytes_in),
		.packets_out = rtp_read(&counters->packets_out),
		.bytes_out = rtp_read(&counters->bytes_out),
		.lost = rtp_read(&counters->lost),
		.foreign = rtp_read(&counters->foreign),
		.malformed = rtp_read(&counters->malformed),
		.forged = rtp_read(&counters->forged),
		.suite = (uint8_t)(stream->config->peer_dtls.hash ? rtp_read(&counters->suite) : stream->config->send_crypto.suite),
		.transcoded = stream->transcoded,
		.late = rtp_read(&counters->late),
		.dropped = rtp_session_dropped(&stream->session),
		.unsent = rtp_read(&counters->unsent),
		.by_kernel = rtp_read(&counters->by_kernel),
		.in_kernel = rtp_read(&counters->in_kernel),
		.jitter_us = rtp_read(&counters->jitter_us),
		.concealed_ms = rtp_read(&counters->concealed_ms),
		.buffer_target_us = rtp_read(&counters->buffer_target_us),
		.most_buffer_us = rtp_read(&counters->most_buffer_us),
		.round_trip_us = rtp_read(&counters->round_trip_us),
		.tells_level = rtp_read(&counters->level) != 0,
		.level_dbov = -(int32_t)(rtp_read(&counters->level) & RTP_LEVEL_SILENCE),
		.local = stream->local,
		.worker = stream->worker,
		.remote = stream->learned.sa.sa_family != AF_UNSPEC ? stream->learned : stream->config->rtp,
		.receive_ssrc = rtp_read(&counters->receive_ssrc),
		.send_ssrc = stream->session.sender.ssrc,
		.last_packet_at_ms = rtp_read(&counters->last_packet_at_ms),
		.duplicates = rtp_read(&counters->duplicates),
		.discarded = rtp_read(&counters->discarded),
		.buffer_us = rtp_read(&counters->buffer_us),
		.judged = rtp_read(&counters->judged),
		.judged_lost = rtp_read(&counters->judged_lost),
		.runs = rtp_read(&counters->runs),
		.bursts = rtp_read(&counters->bursts),
		.burst_lost = rtp_read(&counters->burst_lost),
		.burst_packets = rtp_read(&counters->burst_packets),
		.clock_hz = stream->config->codec_count ? stream->config->codecs[0].clock_hz : 0,
		.ptime_ms = stream->config->ptime_ms,
		.reports_in = rtp_read(&counters->reports_in),
		.reports_out = rtp_read(&counters->reports_out),
		.reported_at_ms = rtp_read(&counters->reported_at_ms),
		.reported_packets = rtp_read(&counters->reported_packets),
		.peer_lost = rtp_read(&counters->peer_lost),
		.peer_highest = rtp_read(&counters->peer_highest),
		.peer_jitter_us = rtp_read(&counters->peer_jitter_us),
		.peer_deaf = rtp_read(&counters->peer_deaf),
	};
	read_voip(counters, &ret_stats->peer_voip);
	(void)snprintf(ret_stats->codec, sizeof ret_stats->codec, "%s", rtp_config_codec(stream->config));
	return PBX_OK;
}
