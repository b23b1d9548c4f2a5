/* tests/fuzz/fuzz_media.h - two connected sessions on a worker that has no thread and no sockets: what it sends is refused by the kernel */
#pragma once
#include <arpa/inet.h>
#include <core/host.h>
#include <core/media_driver.h>
#include <rtp/plan.h>
#include <rtp/worker.h>
#include <stdlib.h>
#include <string.h>

struct fuzz_media {
	struct rtp_common common;
	struct rtp_worker worker;
	struct rtp_session sessions[2];
	struct rtp_plan plans[2];
	struct rtp_route routes[2];
	struct core_addr addrs[3]; /* the two peers, and a stranger */
};

/* No plugins: the codecs are the core's own. */
void core_host_each_provider(const char *id, uint32_t size, void (*each)(void *context, struct pbx_host *owner, const void *table),
			     void *context)
{
	(void)id, (void)size, (void)each, (void)context;
}

uint64_t core_host_offers(void)
{
	return 1;
}

static void fuzz_no_wake(void)
{
}

static void fuzz_add_codec(struct core_stream_config *config, const char *name, uint32_t clock_hz, uint8_t type, uint8_t receive_type)
{
	struct core_codec *codec = &config->codecs[config->codec_count];

	*codec = (struct core_codec){ .clock_hz = clock_hz, .channels = 1, .payload_type = type };
	(void)snprintf(codec->name, sizeof codec->name, "%s", name);
	config->receive_types[config->codec_count++] = receive_type;
}

/* A speaks PCMU and Opus in frames of 20 ms, B PCMA and Opus in frames of 30: every way through the relay is there. */
static void fuzz_media_init(struct fuzz_media *media)
{
	struct core_stream_config configs[2] = { 0 };

	memset(media, 0, sizeof *media);
	rtp_g711_init();
	media->common.wake = fuzz_no_wake;
	(void)snprintf(media->common.cname, sizeof media->common.cname, "fuzz");
	rtp_queue_init(&media->common.returns);
	media->worker.common = &media->common;
	media->worker.epoll_fd = media->worker.command_fd = media->worker.timer_fd = -1;
	media->worker.now_us = 1000000;
	media->worker.now_ms = 1000;
	fuzz_add_codec(&configs[0], "PCMU", 8000, 0, 0);
	fuzz_add_codec(&configs[0], "opus", 48000, 107, 108);
	fuzz_add_codec(&configs[1], "PCMA", 8000, 8, 8);
	fuzz_add_codec(&configs[1], "opus", 48000, 111, 111);
	for (int i = 0; i < 3; i++)
		media->addrs[i].in4 = (struct sockaddr_in){ .sin_family = AF_INET,
							    .sin_port = htons((uint16_t)(4000 + 2 * i)),
							    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	for (int i = 0; i < 2; i++) {
		struct rtp_session *session = &media->sessions[i];

		configs[i].rtp = configs[i].rtcp = media->addrs[i];
		configs[i].direction = CORE_SEND | CORE_RECV;
		configs[i].rtcp_mux = true;
		configs[i].dtmf_type = configs[i].dtmf_receive_type = 101;
		configs[i].ptime_ms = (uint16_t)(20 + 10 * i);
		configs[i].level_id = (uint8_t)(1 + i);
		rtp_plan_make(&configs[i], RTP_NAT_AUTO, &media->plans[i]);
		rtp_route_make(&configs[i], &configs[!i], &media->routes[i]);
		session->worker = &media->worker;
		session->rtp_fd = session->rtcp_fd = -1;
		session->stream = (uint64_t)i + 1;
		session->sender.ssrc = 0x01020304;
		session->peer = &media->sessions[!i];
		session->route = &media->routes[i];
		(void)rtp_session_configure(session, &media->plans[i]);
	}
}

static inline void fuzz_media_pass_ms(struct fuzz_media *media, uint32_t ms)
{
	struct rtp_event event;

	media->worker.now_us += (uint64_t)ms * 1000;
	media->worker.now_ms += ms;
	for (int i = 0; i < 2; i++) {
		(void)rtp_player_step(&media->sessions[i]);
		rtp_session_look_after(&media->sessions[i]);
	}
	while (rtp_ring_take(&media->worker.events, &event)) {
	}
}
