/* rtp/engine.h - the loop's side of the media: streams, the workers they are on, sounds and sources. All of it: [loop]. */
#pragma once
#include <core/media_driver.h>
#include "jitter.h"
#include "ports.h"
#include "worker.h"

/* Settings section "media". */
struct rtp_settings {
	const char *bind, *external_ip, *bind6, *external_ip6;
	uint32_t port_min, port_max, quarantine_s, workers;
	const char *nat;
	uint32_t timeout_s, hold_timeout_s, dscp;
	const char *srtp;
	struct pbx_list srtp_suites;
	struct pbx_list codecs;
	const char *transcode, *prefer, *t38;
	bool fax_detect;
	bool dtx;
	const char *ice;
	uint32_t consent_s;
	uint32_t ice_tcp_port, ice_tcp_connections, ice_tcp_per_address;
	struct rtp_jitter_settings jitter_buffer;
	const char *country;
	struct pbx_list tones;
	const char *kernel_relay;
	const char *stun_server;
	uint32_t stun_interval_s;
};

/* What the part counts and publishes; what is about a leg is call control's to tell. Any function may be NULL. */
struct rtp_observer {
	void (*failed)(uint32_t why); /* CORE_MEDIA_… */
	void (*ports_low)(const struct rtp_ports_count *count);
};

/* settings is kept until the engine is stopped or configured again. PBX_OK, PBX_EINVAL and diag, PBX_ENOMEM, PBX_EIO. */
int rtp_engine_start(const struct rtp_settings *settings, const struct rtp_observer *observer, struct pbx_diag *diag);
/* Takes what may change while calls run; bind addresses, ports and workers stay. PBX_OK, PBX_EINVAL and diag. */
int rtp_engine_configure(const struct rtp_settings *settings, struct pbx_diag *diag);
/* Closes what is open, waits for the workers. */
void rtp_engine_stop(void);

extern const struct core_media_driver rtp_driver;

struct rtp_totals {
	uint64_t packets_in, packets_out, lost, foreign, malformed, forged, dropped, by_kernel, ticks_missed;
	uint64_t rtcp_in[RTP_RTCP_TYPES], rtcp_out[RTP_RTCP_TYPES];
	uint64_t discarded, concealed_ms, unsent;
	uint32_t in_kernel, kernel_interfaces; /* streams whose packets the kernel relays now; interfaces it does so on */
	uint64_t fork_packets, fork_failed;
	uint32_t streams, sources, decoders, listeners, workers, forks;
};
void rtp_engine_totals(struct rtp_totals *ret_totals);
void rtp_engine_ports(struct rtp_ports_count *ret_count);
/* The share of a core that a worker has used since this was last asked. */
double rtp_engine_take_busy(uint32_t worker);
/* each for every open stream. */
struct rtp_stream_info {
	uint64_t stream, group, peer;
	bool playing, held;
	struct core_stream_stats stats;
};
void rtp_engine_each(void (*each)(void *context, const struct rtp_stream_info *info), void *context);

/* "192.0.2.7:10000", "[2001:db8::7]:10000", "" when not known. */
void rtp_addr_text(const struct core_addr *addr, char *ret_text, size_t size);
