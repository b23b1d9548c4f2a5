/* rtp/engine_inner.h - what the files of the loop's side share: one engine in a process. All of it: [loop]. */
#pragma once
#include "engine.h"
#include "mix.h"
#include "ports.h"
#include "sound.h"
#include <core/handle.h>

#define RTP_GROUP_BUCKETS 1024u
#define RTP_OWNER "media" /* in log lines */

/* A stream: the session that its worker owns, and what the loop knows about it. */
struct rtp_stream {
	struct rtp_session session; /* first; counters apart, the worker's */
	uint64_t id, group;
	struct rtp_stream *group_next; /* of the same bucket */
	uint32_t worker;
	uint16_t port;
	bool configured, held;
	struct core_addr local, learned; /* learned: AF_UNSPEC while SDP's is good */
	const struct core_stream_config
		*config; /* as long as its list of codecs: config_copy() in stream.c; all zero before it is configured */
	struct rtp_stream *peer;
	struct rtp_play *playing;  /* the newest that was sent to the worker and has not come back */
	struct rtp_play *awaiting; /* waits for its sound to be read */

	/* coding.c: the newest that were given to the worker, and what they are for. */
	struct rtp_ear *ear;
	struct rtp_mouth *mouth;
	uint32_t ear_users;         /* who listens besides the peer (recorders, mixers, detectors): call rtp_coding_settle after a change */
	uint32_t ear_rates_asked;   /* bits of the rates that they take at */
	bool transcoded;            /* as core_stream_stats has it */
	bool speaks;                /* something is played to it, or was */
	uint32_t mouth_rates_asked; /* bits of the rates that it is given by others than players and its peer */
	uint32_t ear_rates, mouth_rates; /* that they were made for */
	struct rtp_ice_label *label;     /* what its descriptions call it where peers may connect; NULL: they may not */
	struct rtp_recording *recordings;
	bool masked;              /* they do not hear what the party says */
	uint64_t masked_until_us; /* nor do they before this */
	struct rtp_listening *listenings;
	struct rtp_injection *injection;  /* a plugin speaks to it */
	struct forking *forkings;         /* forking.c */
	uint32_t plans;                   /* so far */
	uint32_t failed;                  /* bits: codecs of config whose encoder failed */
	struct core_filter filter_wanted; /* .owner NULL: none */
	struct rtp_filter *filter;        /* the newest that was given to the worker */

	struct rtp_inband *inband; /* likewise */
	bool keys_unheeded;        /* call control does not want to hear of tones */
	struct rtp_fax *fax;       /* that it is a line of; NULL: none */

	/* mixes.c: the room that it is in. */
	struct rtp_room *room;
	struct rtp_stream *room_next;
	struct rtp_mix_member *member;
	struct rtp_command *leave; /* there beforehand, so that leaving cannot fail */
};

struct rtp_engine {
	struct core_handles rooms; /* mixes.c */
	bool running, was_low;
	const struct rtp_settings *settings;
	struct rtp_observer observer;
	struct rtp_ports *ports;
	struct rtp_worker *workers;
	uint32_t worker_count;
	uint32_t *worker_streams; /* how many each has */
	struct rtp_common common;
	struct core_handles streams;
	struct rtp_stream *groups[RTP_GROUP_BUCKETS];
	uint8_t nat;
	struct rtp_command *moving; /* a CONNECT whose peer is on its way from one worker to another */
	struct rtp_queue held;      /* commands that wait until it has arrived */
	struct rtp_totals gone;     /* of closed streams */
	uint32_t closing;           /* streams whose CLOSE is not back */
};

extern struct rtp_engine rtp_engine;

#define RTP_CNAME_SIZE 25u
void rtp_cname_make(char ret_cname[RTP_CNAME_SIZE]); /* says nothing about us (RFC 7022 4.2) */

struct rtp_stream *rtp_stream_find(core_stream stream);                        /* NULL: stale */
struct rtp_command *rtp_command_new(uint32_t kind, struct rtp_stream *stream); /* NULL: no memory */
void rtp_command_free(struct rtp_command *command);
/* To the stream's worker, behind what was sent before. command is taken. */
void rtp_engine_send(struct rtp_command *command);

/* ---- stream.c ---- */

uint32_t rtp_engine_choose_worker(uint64_t group);                                   /* where its streams are, or who has fewest */
const struct core_stream_config *rtp_stream_config(const struct rtp_stream *stream); /* NULL: not configured yet */
int rtp_stream_tell(struct rtp_stream *stream, uint32_t kind, bool held);            /* a command of nothing more. PBX_OK, PBX_ENOMEM */
int rtp_stream_reroute(struct rtp_stream *stream); /* between it and its peer, as they are coded now. PBX_OK, PBX_ENOMEM */
void rtp_stream_unlink(struct rtp_stream *stream); /* its peer and it know nothing of each other any more */
void rtp_stream_closed(struct rtp_stream *stream); /* its CLOSE has come back */

/* ---- stream_play.c ---- */

/* A play of sounds: finds them, with references. PBX_OK, PBX_EINVAL, PBX_ENOMEM: free what there is all the same. */
int rtp_play_prepare(struct rtp_play *play, const struct core_play *wanted);
void rtp_play_free(struct rtp_play *play);
void rtp_play_cancel_awaiting(struct rtp_stream *stream); /* what waits for its sound, if anything does */
void rtp_stream_played(struct rtp_play *play);            /* it has come back */
/* Of core_media_driver. */
int rtp_stream_play(core_stream stream, const struct core_play *wanted);
int rtp_stream_stop(core_stream stream);
int rtp_stream_steer(core_stream stream, uint64_t tag, uint32_t how, int32_t amount);
int rtp_stream_played_so_far(core_stream stream, uint64_t tag, struct pbx_media_state *ret_state);
int rtp_stream_send_digits(core_stream stream, const char *digits, uint32_t each_ms, uint32_t gap_ms);

/* ---- stream_stats.c: of core_media_driver ---- */

int rtp_stream_stats(core_stream stream, struct core_stream_stats *ret_stats);

/* ---- sockets.c ---- */

/* Sockets on a pair of ports, not blocking, marked as media.dscp says. */
struct rtp_pair {
	int rtp_fd, rtcp_fd;
	uint32_t use;  /* RTP_PORTS_… */
	uint16_t port; /* of rtp_fd, rtcp_fd's is one higher; 0: not open */
};

/* A pair of ports that is free with us and with the kernel. PBX_OK, PBX_ENOSPC; PBX_EIO: the kernel will not. */
int rtp_pair_open(int family, uint32_t use, struct rtp_pair *ret_pair);
void rtp_pair_mark(const struct rtp_pair *pair, int family, uint32_t dscp); /* from now on; 0: as media.dscp says */
void rtp_pair_close(struct rtp_pair *pair);                                 /* into quarantine; one that is not open is fine */

int rtp_sockets_open(struct rtp_stream *stream, int family);                         /* as rtp_pair_open */
void rtp_sockets_close(struct rtp_session *session);                                 /* its port is its stream's to give back */
void rtp_sockets_mark(const struct rtp_session *session, int family, uint32_t dscp); /* as rtp_pair_mark */
/* "192.0.2.7", "2001:db8::7" of that family. False: it is none, or the port is none. */
bool rtp_addr_read(int family, const char *host, uint32_t port, struct core_addr *ret_addr);
/* One socket by itself. host: checked with the settings; "": any address. */
struct core_addr rtp_socket_addr(int family, const char *host, uint16_t port);
void rtp_socket_mark(int fd, int family, uint32_t dscp);
/* What SDP shall say: the external address, else the bound one, else the default route's. */
struct core_addr rtp_sockets_advertised(int family, uint16_t port);
bool rtp_sockets_bound(int family, struct core_addr *ret_bound);        /* of core_media_driver */
uint32_t rtp_sockets_ice(core_stream stream, struct core_ice *ret_ice); /* of core_media_driver */

/* ---- mixes.c ---- */

/* A mix, as the loop knows it. */
struct rtp_room {
	struct rtp_mix mix; /* first; the worker's */
	uint32_t worker, rate_hz;
	struct rtp_stream *first;  /* by room_next */
	struct rtp_play *awaiting; /* waits for its sound to be read */
	struct rtp_command *end;   /* there beforehand */
};

uint32_t rtp_mix_worker(const struct rtp_mix *mix);
void rtp_mix_take_out(struct rtp_stream *stream);    /* of its room, if any */
int rtp_mix_reconfigured(struct rtp_stream *stream); /* it may speak a wider codec now. PBX_OK, PBX_ENOMEM */
void rtp_mixes_close(void);
/* What has come back. */
void rtp_mix_ended(struct rtp_mix *mix);
void rtp_mix_played(struct rtp_play *play);
void rtp_mix_sound_ready(struct rtp_play *play);
/* Of core_media_driver. */
int rtp_mix_driver_open(uint64_t group, bool gated, core_mix *ret_mix);
int rtp_mix_driver_close(core_mix mix);
int rtp_mix_driver_enter(core_mix mix, core_stream stream, const struct core_mix_part *part);
int rtp_mix_driver_leave(core_stream stream);
int rtp_mix_driver_play(core_mix mix, const struct core_play *wanted);
int rtp_mix_driver_stop(core_mix mix);
int rtp_mix_driver_voice(core_stream stream, struct core_mix_voice *ret_voice);

/* ---- coding.c ---- */

/* Gives the stream the ear and the mouth that it needs now and has not, takes away what it does not need any more. command: takes them along
 * (CONFIGURE); NULL: one of its own. renews: codecs are others than before. PBX_OK, PBX_ENOMEM: it stays as it is. */
int rtp_coding_settle(struct rtp_stream *stream, struct rtp_command *command, bool renews);
/* Whether one configuration makes other coders than the other. */
bool rtp_coding_differs(const struct core_stream_config *a, const struct core_stream_config *b);
/* A worker tells of an encoder or decoder that fails: another takes its place, of another codec where there is one, and call control hears of it. */
void rtp_coding_fails(struct rtp_stream *stream, const struct rtp_event *event);
/* Another filter is wanted: with all that it needs. PBX_OK, PBX_ENOMEM. */
int rtp_coding_refilter(struct rtp_stream *stream);
/* What passes between two streams goes by ear and mouth, whether they agree on a codec or not: one of them has a filter, a plugin speaks to one of them, or the settings say
 * so. */
bool rtp_coding_carries(const struct rtp_stream *a, const struct rtp_stream *b);
/* What the stream's party says, or hears, is decoded and encoded anew. */
bool rtp_coding_is_transcoded(const struct rtp_stream *stream);

/* Adds a session's counters. */
void rtp_totals_add(struct rtp_totals *totals, const struct rtp_session *session);
