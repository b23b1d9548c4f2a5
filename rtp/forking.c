/*
 * forking - the loop's side of forks: sockets, keys, what SDP is to say of them
 *
 * A fork is given to its stream's worker by one command and taken back by another, which is there beforehand, so that ending cannot fail. When that has
 * come back its ports rest; its memory goes when the owner has closed it, too. Codecs that a stream agrees on anew are told once the
 * worker goes by them.
 */
#include "forking.h"
#include "engine_inner.h"
#include "fork.h"
#include "tap.h"

#include <arpa/inet.h>
#include <core/owner.h>
#include <core/random.h>
#include <core/srtp_suites.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SUITE CORE_SRTP_AES_CM_128_80     /* which all that know RFC 4568 have (6.2.1) */
#define CRYPTO_SIZE 100u                  /* of "1 SUITE inline:KEY" */
#define MOST_TOLD (CORE_MOST_CODECS + 1u) /* and telephone-event */
#define RECEIVE_BYTES 4096                /* a handful of reports: they are read once a second */
#define MOST_DSCP 63u

struct forking {
	struct rtp_fork fork; /* first; the worker's */
	uint64_t id;
	pbx_leg leg;
	struct rtp_stream *stream; /* NULL: it has been left */
	struct forking *next;      /* of the stream */
	struct core_charge charge;
	struct pbx_host *owner;
	struct pbx_fork_watcher watcher;
	void *self;
	int family;
	struct rtp_pair pair;
	char crypto[CRYPTO_SIZE]; /* "": plain RTP */
	bool aimed, away, closed; /* away: the worker has let go of it */

	struct rtp_command unfork, news;
	bool news_out; /* news is on its way */

	/* What local() has told. */
	bool told;
	char address[INET6_ADDRSTRLEN];
	struct core_codec codecs[MOST_TOLD];
	struct pbx_fork_codec rows[MOST_TOLD];
	uint32_t codec_count;
};

static struct core_handles forkings;

void rtp_forkings_init(void)
{
	core_handles_init(&forkings, 'K');
}

void rtp_forkings_fini(void)
{
	core_handles_fini(&forkings);
}

static struct forking *find(pbx_fork name)
{
	struct forking *forking = core_handle_find(&forkings, name.id);

	return forking && !forking->closed ? forking : NULL;
}

static struct forking *forking_of(struct rtp_fork *fork)
{
	return (struct forking *)fork; /* its first member */
}

static void count(struct rtp_totals *totals, const struct forking *forking)
{
	totals->fork_packets += rtp_read(&forking->fork.packets);
	totals->fork_failed += rtp_read(&forking->fork.failed);
}

void rtp_forkings_add(struct rtp_totals *totals)
{
	uint32_t at = 0;
	const struct forking *forking;

	while ((forking = core_handles_next(&forkings, &at))) {
		totals->forks += forking->stream != NULL;
		count(totals, forking);
	}
}

/* ---- what it may send ---- */

static void add_events(struct core_codec *ret_codec, const struct core_stream_config *config, uint8_t type)
{
	*ret_codec = (struct core_codec){ .name = "telephone-event",
					  .clock_hz = config->codec_count ? config->codecs[0].clock_hz : 8000,
					  .channels = 1,
					  .payload_type = type };
	(void)snprintf(ret_codec->fmtp, sizeof ret_codec->fmtp, "%s", config->flashes ? "0-16" : "0-15");
}

static uint32_t list_codecs(const struct forking *forking, struct core_codec ret_codecs[MOST_TOLD])
{
	const struct core_stream_config *config = rtp_stream_config(forking->stream);
	bool says = forking->fork.direction == RTP_SAYS;
	uint32_t listed = 0;

	if (!config || config->t38.on)
		return 0;
	for (; listed < config->codec_count; listed++) {
		ret_codecs[listed] = config->codecs[listed];
		if (says)
			ret_codecs[listed].payload_type = config->receive_types[listed];
	}
	uint8_t events = says ? config->dtmf_receive_type : config->digits == CORE_DIGITS_EVENTS ? config->dtmf_type : 0;

	if (events)
		add_events(&ret_codecs[listed++], config, events);
	return listed;
}

static bool same_codec(const struct core_codec *a, const struct core_codec *b)
{
	return strcasecmp(a->name, b->name) == 0 && a->clock_hz == b->clock_hz && a->channels == b->channels &&
	       a->payload_type == b->payload_type && strcmp(a->fmtp, b->fmtp) == 0;
}

static bool has_others(const struct forking *forking)
{
	struct core_codec codecs[MOST_TOLD];
	uint32_t listed = list_codecs(forking, codecs), same = 0;

	while (same < listed && same < forking->codec_count && same_codec(&codecs[same], &forking->codecs[same]))
		same++;
	return listed != forking->codec_count || same != listed;
}

void rtp_forkings_learn(struct rtp_stream *stream)
{
	for (struct forking *forking = stream->forkings; forking; forking = forking->next) {
		if (!forking->told || forking->news_out || !has_others(forking))
			continue;
		forking->news_out = true;
		forking->news = (struct rtp_command){
			.kind = RTP_FORK_NEWS, .settles = true, .session = &stream->session, .stream = stream->id, .fork = &forking->fork
		};
		rtp_engine_send(&forking->news);
	}
}

/* ---- its end ---- */

static void forking_free(struct forking *forking)
{
	if (!forking)
		return;
	count(&rtp_engine.gone, forking);
	rtp_pair_close(&forking->pair);
	rtp_guard_free(forking->fork.guard);
	core_handle_free(&forkings, forking->id);
	core_charge_remove(&forking->charge);
	explicit_bzero(forking->crypto, sizeof forking->crypto);
	free(forking);
}

static void leave_stream(struct forking *forking)
{
	struct rtp_stream *stream = forking->stream;
	struct forking **at = &stream->forkings;

	while (*at != forking)
		at = &(*at)->next;
	*at = forking->next;
	forking->stream = NULL;
	forking->unfork = (struct rtp_command){
		.kind = RTP_UNFORK, .settles = true, .session = &stream->session, .stream = stream->id, .fork = &forking->fork
	};
	rtp_engine_send(&forking->unfork);
}

void rtp_forkings_leave(struct rtp_stream *stream)
{
	while (stream->forkings)
		leave_stream(stream->forkings);
}

/* Nobody hears of it any more. */
static void finish(struct forking *forking)
{
	forking->closed = true;
	core_charge_remove(&forking->charge);
	if (forking->stream)
		leave_stream(forking);
	else if (forking->away)
		forking_free(forking);
}

static void on_owner_stopped(struct core_charge *charge)
{
	finish((struct forking *)((char *)charge - offsetof(struct forking, charge)));
}

static void tell_news(struct forking *forking)
{
	forking->news_out = false;
	if (forking->closed || !forking->stream || !forking->watcher.changed || !has_others(forking))
		return;
	CORE_INTO(forking->owner, forking->watcher.changed(forking->self, (pbx_fork){ forking->id }));
}

static void came_away(struct forking *forking)
{
	forking->away = true;
	if (forking->closed) {
		forking_free(forking);
		return;
	}
	rtp_pair_close(&forking->pair);
	if (forking->watcher.ended)
		CORE_INTO(forking->owner, forking->watcher.ended(forking->self, (pbx_fork){ forking->id }));
}

void rtp_forking_returned(struct rtp_command *command)
{
	struct forking *forking = forking_of(command->fork);

	if (command->kind == RTP_FORK_NEWS)
		tell_news(forking);
	else
		came_away(forking);
}

/* ---- its beginning ---- */

/* Keys of its own, once: they stay as long as its sequence goes on. */
static int make_keys(struct forking *forking)
{
	struct core_crypto crypto = { .tag = 1, .suite = SUITE };
	unsigned char text[4 * (CORE_SRTP_KEY_BYTES + 2) / 3 + 1];

	core_random(crypto.key, core_srtp_key_bytes(SUITE));
	(void)EVP_EncodeBlock(text, crypto.key, (int)core_srtp_key_bytes(SUITE));
	(void)snprintf(forking->crypto, sizeof forking->crypto, "1 %s inline:%s", core_srtp_name(SUITE), (const char *)text);
	int err = rtp_guard_new(&crypto, forking->fork.sender.ssrc, &forking->fork.guard);

	explicit_bzero(text, sizeof text);
	explicit_bzero(&crypto, sizeof crypto);
	return err;
}

static void take_spec(struct forking *forking, const struct pbx_fork_spec *spec)
{
	struct rtp_fork *fork = &forking->fork;
	uint32_t random[2];

	core_random(random, sizeof random);
	fork->sender.ssrc = random[0] ? random[0] : 1;
	fork->sender.sequence = (uint16_t)(random[1] & 0x7fff); /* lower half: RFC 3711 3.3.1 */
	fork->direction = (uint8_t)(spec->what == PBX_FORK_SAYS ? RTP_SAYS : RTP_HEARS);
	fork->music = spec->music;
	fork->beep_s = spec->beep_s;
	if (spec->cname[0])
		(void)snprintf(fork->cname, sizeof fork->cname, "%s", spec->cname);
	else
		rtp_cname_make(fork->cname);
}

/* Nothing but reports is ever read, so nothing else shall wait for it. */
static void bound_memory(const struct rtp_pair *pair)
{
	const int few = RECEIVE_BYTES, none = 0;

	(void)setsockopt(pair->rtp_fd, SOL_SOCKET, SO_RCVBUF, &none, sizeof none);
	(void)setsockopt(pair->rtcp_fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
}

static int open_sockets(struct forking *forking)
{
	struct rtp_ports_count ports;
	int err = rtp_pair_open(forking->family, RTP_PORTS_FORK, &forking->pair);

	if (err != PBX_OK)
		return err;
	rtp_engine_ports(&ports); /* says so when they run low */
	bound_memory(&forking->pair);
	forking->fork.rtp_fd = forking->pair.rtp_fd;
	forking->fork.rtcp_fd = forking->pair.rtcp_fd;
	struct core_addr local = rtp_sockets_advertised(forking->family, forking->pair.port);

	(void)inet_ntop(forking->family, forking->family == AF_INET ? (void *)&local.in4.sin_addr : (void *)&local.in6.sin6_addr,
			forking->address, sizeof forking->address);
	return PBX_OK;
}

static int forking_new(const struct rtp_stream *stream, const struct pbx_fork_spec *spec, struct forking **ret_forking)
{
	struct forking *forking = calloc(1, sizeof *forking);

	if (!forking)
		return PBX_ENOMEM;
	take_spec(forking, spec);
	forking->family = spec->ip_version == 6 ? AF_INET6 : spec->ip_version == 4 ? AF_INET : stream->local.sa.sa_family;
	forking->id = core_handle_new(&forkings, forking);
	int err = forking->id ? open_sockets(forking) : PBX_ENOMEM;

	if (err == PBX_OK && spec->srtp)
		err = make_keys(forking);
	if (err != PBX_OK) {
		forking_free(forking);
		return err;
	}
	*ret_forking = forking;
	return PBX_OK;
}

static void use_watcher(struct forking *forking, struct pbx_host *owner, const struct pbx_fork_watcher *watcher, void *self)
{
	forking->owner = owner;
	forking->watcher = *watcher;
	forking->self = self;
	core_charge_add(owner, &forking->charge, "fork", true, on_owner_stopped);
}

int rtp_forking_open(struct pbx_host *owner, core_stream name, pbx_leg leg, const struct pbx_fork_spec *spec,
		     const struct pbx_fork_watcher *watcher, void *self, pbx_fork *ret_fork)
{
	struct rtp_stream *stream = rtp_stream_find(name);
	struct forking *forking;

	if (!stream)
		return PBX_ENOENT;
	int err = forking_new(stream, spec, &forking);

	if (err != PBX_OK)
		return err;
	struct rtp_command *begin = rtp_command_new(RTP_FORK, stream);

	if (!begin) {
		forking_free(forking);
		return PBX_ENOMEM;
	}
	begin->fork = &forking->fork;
	rtp_engine_send(begin);
	forking->leg = leg;
	forking->stream = stream;
	forking->next = stream->forkings;
	stream->forkings = forking;
	use_watcher(forking, owner, watcher, self);
	*ret_fork = (pbx_fork){ forking->id };
	return PBX_OK;
}

/* ---- while it lasts ---- */

int rtp_forking_local(pbx_fork name, struct pbx_fork_local *ret_local)
{
	struct forking *forking = find(name);

	if (!forking || !forking->stream)
		return PBX_ENOENT;
	forking->told = true;
	forking->codec_count = list_codecs(forking, forking->codecs);
	for (uint32_t i = 0; i < forking->codec_count; i++) {
		const struct core_codec *codec = &forking->codecs[i];

		forking->rows[i] = (struct pbx_fork_codec){ .name = codec->name,
							    .fmtp = codec->fmtp,
							    .clock_hz = codec->clock_hz,
							    .channels = codec->channels ? codec->channels : 1,
							    .payload_type = codec->payload_type };
	}
	ret_local->rtp_port = forking->pair.port;
	ret_local->rtcp_port = forking->pair.port + 1u;
	ret_local->ptime_ms = forking->stream->config->ptime_ms;
	ret_local->address = forking->address;
	ret_local->codecs = forking->rows;
	ret_local->codec_count = forking->codec_count;
	ret_local->crypto = forking->crypto[0] ? forking->crypto : NULL;
	return PBX_OK;
}

static bool read_target(const struct forking *forking, const struct pbx_fork_target *target, struct rtp_aim *aim)
{
	return target->dscp <= MOST_DSCP && rtp_addr_read(forking->family, target->address, target->rtp_port, &aim->rtp) &&
	       rtp_addr_read(forking->family, target->address, target->rtcp_port ? target->rtcp_port : target->rtp_port + 1, &aim->rtcp);
}

int rtp_forking_aim(pbx_fork name, const struct pbx_fork_target *target)
{
	struct forking *forking = find(name);

	if (!forking || !forking->stream)
		return PBX_ENOENT;
	struct rtp_aim *aim = calloc(1, sizeof *aim);

	if (!aim)
		return PBX_ENOMEM;
	if (target && !read_target(forking, target, aim)) {
		free(aim);
		return PBX_EINVAL;
	}
	aim->command = (struct rtp_command){ .kind = RTP_AIM,
					     .settles = true,
					     .session = &forking->stream->session,
					     .stream = forking->stream->id,
					     .fork = &forking->fork };
	if (target)
		rtp_pair_mark(&forking->pair, forking->family, target->dscp);
	forking->aimed = target;
	rtp_engine_send(&aim->command);
	return PBX_OK;
}

int rtp_forking_state(pbx_fork name, struct pbx_fork_state *ret_state)
{
	const struct forking *forking = find(name);

	if (!forking)
		return PBX_ENOENT;
	ret_state->ssrc = forking->fork.sender.ssrc;
	ret_state->ended = !forking->stream;
	ret_state->aimed = forking->stream && forking->aimed;
	ret_state->leg = forking->leg.id;
	ret_state->packets = rtp_read(&forking->fork.packets);
	ret_state->octets = rtp_read(&forking->fork.octets);
	ret_state->failed = rtp_read(&forking->fork.failed);
	ret_state->reports = rtp_read(&forking->fork.reports);
	ret_state->junk = rtp_read(&forking->fork.junk);
	return PBX_OK;
}

int rtp_forking_adopt(struct pbx_host *owner, pbx_fork name, const struct pbx_fork_watcher *watcher, void *self)
{
	struct forking *forking = find(name);

	if (!forking)
		return PBX_ENOENT;
	core_charge_remove(&forking->charge);
	use_watcher(forking, owner, watcher, self);
	return PBX_OK;
}

int rtp_forking_close(pbx_fork name)
{
	struct forking *forking = find(name);

	if (!forking)
		return PBX_ENOENT;
	finish(forking);
	return PBX_OK;
}
