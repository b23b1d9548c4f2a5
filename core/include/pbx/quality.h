/* pbx/quality.h - how a leg's audio arrives, both ways, and what that means to an ear
 * Served by the core as "pbx.quality/1". All of it: [loop].
 *
 * A leg has two ways: what its party says, counted as it reaches us, and what its party hears, as its RTCP reports it. A look is a copy of the counts as of now
 * (at most a second old); two looks make the figures of the time between them. Scores are the E-model's (ITU-T G.107, G.107.1, G.107.2). */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_FROM_PARTY 1u
#define PBX_TO_PARTY 2u

#define PBX_NEVER_MS UINT64_MAX

struct pbx_leg_way {
	uint32_t size;
	uint32_t way;            /* PBX_FROM_PARTY, PBX_TO_PARTY */
	bool expected;           /* there should be audio this way now: answered, agreed on, nobody on hold */
	bool known;              /* packets have come; the other way: its reports tell of them */
	bool deaf;               /* TO: it reports that nothing of ours arrives */
	uint64_t quiet_ms;       /* since the newest packet; TO: the newest report about ours. PBX_NEVER_MS */
	uint64_t packets, bytes; /* that came; TO: that were sent */
	uint64_t lost, duplicates, reordered, discarded;
	double jitter_ms, round_trip_ms; /* 0: not known */
	/* FROM, bursts of loss by RFC 3611 4.7.2, of packets that have been judged (64 newer ones have come); runs are of packets lost one directly
	 * behind the other */
	uint32_t judged, judged_lost, runs, bursts, burst_lost, burst_packets;
	/* TO, by its RTCP XR; 0: it has not said so */
	double party_mos_lq, party_mos_cq, party_r, party_delay_ms, party_buffer_ms;
	/* borrowed until the next look */
	const char *codec;
	uint32_t clock_hz, ptime_ms;
	const char *srtp;           /* crypto suite; "": plain RTP */
	const char *local, *remote; /* "192.0.2.7:10000": ours; where it comes from, else where its SDP wants it */
	double buffer_ms;           /* FROM: what our jitter buffer keeps back; 0: there is none, packets are relayed */
	const char *transport;      /* "udp"; "tcp": a connection that the party has opened, whose losses are delays. For ever */
};

/* What the model is asked. */
struct pbx_way_figures {
	uint32_t size;
	const char *codec;
	uint32_t clock_hz;
	double lost_percent; /* lost, and discarded for coming late */
	double burst_ratio;  /* mean length of a run of losses against chance's; 1 for loss at random */
	double delay_ms;     /* one way: network, packets and buffer; the codec's own is added. 0: not known */
};

struct pbx_way_score {
	uint32_t size;
	double lost_percent, burst_ratio, delay_ms; /* that it was made of */
	double r;                                   /* conversational, 0 to 100 */
	double mos_lq, mos_cq;                      /* for who only listens; with delay */
	const char *model;                          /* "G.107"; for ever */
};

struct pbx_quality {
	struct pbx_header header;

	/* Set size before. PBX_OK, PBX_ENOENT (no such leg), PBX_ESTATE (it has no audio). */
	int (*look)(pbx_leg leg, uint32_t way, struct pbx_leg_way *ret_way);
	/* Of the time between two looks; before NULL: since the beginning. Set ret_score->size. PBX_OK, PBX_ENOENT (nothing came between
	 * them: there is nothing to judge), PBX_ENOTSUP (there is no media engine). */
	int (*score)(const struct pbx_leg_way *before, const struct pbx_leg_way *now, struct pbx_way_score *ret_score);
	/* What such figures would sound like. PBX_OK, PBX_ENOTSUP. */
	int (*estimate)(const struct pbx_way_figures *figures, struct pbx_way_score *ret_score);
};

PBX_SERVICE(pbx_quality, "pbx.quality/1")

#ifdef __cplusplus
}
#endif
