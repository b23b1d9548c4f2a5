/* rtp/worker.h - a thread with sockets of its own, a clock of its own, and two ways to the loop
 *
 * Commands come in by a queue, are done in order, and go back to the loop the same way, which frees them: a worker allocates
 * and frees nothing. A PLAY or DIGITS command stays with its session until it is over; it coming back is how the loop learns. */
#pragma once
#include "session.h"
#include <core/media_driver.h>
#include <core/owner.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/epoll.h>

#define RTP_JOIN 1u      /* session: becomes the worker's */
#define RTP_LEAVE 2u     /* session: stops being the worker's, goes to another with all it has */
#define RTP_CONFIGURE 3u /* plan; comes back with the old one */
#define RTP_CONNECT 4u   /* session, peer, route, route_back; come back with the old ones */
#define RTP_ROUTE 5u     /* new routes between those that are connected */
#define RTP_DISCONNECT 6u
#define RTP_PLAY 7u /* play */
#define RTP_STOP 8u /* what plays */
#define RTP_DIGITS 9u
#define RTP_HOLD 10u            /* held */
#define RTP_CLOSE 11u           /* says goodbye, lets go of everything */
#define RTP_QUIT 12u            /* the thread ends */
#define RTP_CODE 13u            /* another ear, another mouth, or none; the old ones come back */
#define RTP_MIX_BEGIN 14u       /* mix */
#define RTP_MIX_END 15u         /* mix: comes back to be freed */
#define RTP_MIX_RATE 16u        /* mix, rate_hz */
#define RTP_MIX_ENTER 17u       /* session, mix, member, wish */
#define RTP_MIX_CHANGE 18u      /* session, member, wish */
#define RTP_MIX_LEAVE 19u       /* session, member: comes back to be freed */
#define RTP_MIX_PLAY 20u        /* mix: a play, which stays with it */
#define RTP_MIX_STOP 21u        /* mix: what plays there */
#define RTP_FORK 22u            /* fork: gets copies from now on */
#define RTP_UNFORK 23u          /* the same fork: no more */
#define RTP_TAP 24u             /* tap: gets copies from now on */
#define RTP_UNTAP 25u           /* the same tap: no more */
#define RTP_INJECT 26u          /* injection; comes back with the old one */
#define RTP_LINE_ENTER 27u      /* session, line */
#define RTP_LINE_LEAVE 28u      /* the same */
#define RTP_STEER 29u           /* session: what plays, if it is the one that steer names */
#define RTP_TCP 30u             /* session: a connection of its peer's (tcp.h), which stays until it is closed */
#define RTP_AIM 31u             /* an rtp_aim */
#define RTP_FORK_NEWS 32u       /* fork: nothing is done; comes back when all before it has been */
#define RTP_SOURCE_COMMANDS 40u /* and above: to the reader of sources (source.c), back the same way */
#define RTP_RECORD_COMMANDS 64u /* and above: to the recorder (recorder.c) */
#define RTP_LISTEN_COMMANDS 96u /* and above: to the listener (listener.c) */
#define RTP_FAX_COMMANDS 128u   /* and above: to the thread of faxes (fax.c) */

struct rtp_mix;
struct rtp_mix_member;
struct rtp_tcp;

/* What a member is to do in its mix. */
struct rtp_mix_wish {
	bool talks, hears;
	struct rtp_mix_member *to;    /* without talks: who hears it; NULL: nobody */
	int32_t talk_gain, hear_gain; /* Q12 */
};

/* What is to be done to a play. */
struct rtp_steer {
	uint64_t tag;
	uint32_t how; /* CORE_STEER_… */
	int32_t amount;
};

struct rtp_command {
	struct rtp_node node; /* first: a node is its command */
	uint32_t kind;
	bool settles; /* the loop is busy until it comes back */
	bool held;
	bool brings_ear, brings_mouth, brings_filter, brings_inband; /* CODE, CONFIGURE */
	struct rtp_session *session, *peer;
	uint64_t stream; /* of the session: still a name when that is gone */
	uint32_t worker; /* where it was done */
	struct rtp_plan *plan;
	struct rtp_route *route, *route_back;
	struct rtp_ear *ear;
	struct rtp_mouth *mouth;
	struct rtp_tap *tap;
	struct rtp_fork *fork;
	struct rtp_mix *mix;
	struct rtp_mix_member *member;
	struct rtp_mix_wish wish;
	uint32_t rate_hz;
	struct rtp_filter *filter;
	struct rtp_inband *inband;
	struct rtp_injection *injection;
	struct rtp_line *line;
	struct rtp_steer steer;
};

struct rtp_sound;
struct rtp_sound_block;
struct rtp_source;

/* A place in the sounds of a play. */
struct rtp_place {
	uint32_t sound_at;       /* which one */
	struct rtp_sound *sound; /* that one; NULL: nowhere */
	const struct rtp_sound_block *block;
	uint32_t block_at;
};

#define RTP_PLAY_FULL 65536 /* gain: as loud as it is */

/* PLAY. Kept by the session while it plays. */
struct rtp_play {
	struct rtp_command command;
	uint32_t kind; /* CORE_PLAY_… */
	uint64_t tag;
	uint32_t how;              /* PBX_MEDIA_…, written when over */
	struct rtp_sound **sounds; /* FILE, TONE: shared, the loop holds a reference to each for us */
	uint32_t sound_count;
	uint32_t awaits_at; /* the loop's: which one it waits for */
	bool repeats;
	struct rtp_place place, left; /* where we are; where we were when we were sent elsewhere, to fade from */
	uint32_t skips;               /* narrow samples that are passed over as soon as they are there */
	bool paused;                  /* goes on where it stands */
	int32_t volume, gain;         /* wanted, and as it approaches that; RTP_PLAY_FULL is 1 */
	_Atomic uint32_t at;          /* narrow samples from the beginning of the first sound to here */
	bool told_paused;             /* the loop's: what was asked for last */
	int32_t told_gain_cdb;        /* likewise */
	struct rtp_source *source;    /* SOURCE, likewise */
	bool source_begun;
	uint64_t source_frame;     /* the one we are in */
	uint32_t source_at;        /* codes of G.711 of it that we have had, or pairs of samples */
	struct rtp_route *echo;    /* ECHO: of what we receive, back to its sender */
	struct core_charge charge; /* the loop's: a listener holds the source's owner */
	struct rtp_play *after;    /* the loop's: what waits for the same sound */
	uint64_t room;             /* MIX_PLAY: core_mix.id; 0: it plays to a session */
};

/* DIGITS. */
struct rtp_digits {
	struct rtp_command command;
	struct rtp_digits *after;
	uint32_t each_ms, gap_ms;
	struct dtmf_tx_state_s *tones; /* as tones, by the mouth; NULL: as events */
	uint32_t at;                   /* which digit */
	uint32_t timestamp;            /* of the event */
	uint32_t sent_ms;              /* how long it has lasted */
	uint32_t segments;             /* of it that are over: timestamp is the present one's */
	uint8_t ends;                  /* end packets sent */
	bool begun;
	char text[];
};

/* What all workers read and the loop may change at any time. */
struct rtp_common {
	_Atomic uint32_t timeout_ms, hold_timeout_ms, traffic_class, consent_ms;
	struct rtp_queue returns; /* commands, back to the loop */
	void (*wake)(void);       /* the loop: there is something in returns or in a ring. Any thread, any time */
	char cname[40];           /* RFC 3550 6.5.1: the same for all our streams, and says nothing about us */
};

/* RTCP by type, for metrics. */
#define RTP_RTCP_SR 0u
#define RTP_RTCP_RR 1u
#define RTP_RTCP_SDES 2u
#define RTP_RTCP_BYE 3u
#define RTP_RTCP_APP 4u
#define RTP_RTCP_FEEDBACK 5u /* RFC 4585 */
#define RTP_RTCP_XR 6u
#define RTP_RTCP_OTHER 7u
#define RTP_RTCP_TYPES 8u

#define RTP_READY_AT_ONCE 128
#define RTP_SHAKES_AT_ONCE 4u /* pieces of DTLS handshakes in a round */

struct rtp_worker {
	uint32_t index;
	struct rtp_common *common;
	pthread_t thread;
	int epoll_fd, command_fd, timer_fd;
	int road_fd; /* the thread's own; -1: not needed yet, or not permitted */
	bool sent;   /* [loop] commands that it has not been called for */
	struct rtp_queue commands;
	struct rtp_ring events;
	_Atomic uint64_t rtcp_in[RTP_RTCP_TYPES], rtcp_out[RTP_RTCP_TYPES];
	_Atomic uint64_t ticks_missed; /* left out after a stall: what plays or is mixed stood still */
	_Atomic uint64_t events_lost;  /* the ring was full: digits only, all else is told again */

	/* The thread's own. */
	uint64_t now_us, now_ms;
	struct epoll_event ready[RTP_READY_AT_ONCE]; /* what this round is about */
	int ready_count;                             /* -1: interrupted */
	struct rtp_session *sessions;
	struct rtp_session *wheel[RTP_WHEEL_SLOTS];
	struct rtp_mix *mixes;
	uint32_t wheel_count;
	uint64_t tick; /* how often the clock has ticked */
	bool ticking, quit;
	uint64_t look_after_at_ms;
	uint32_t shakes;                           /* pieces of handshakes, in this round */
	uint32_t reads;                            /* of datagrams, since it looked after its sessions */
	bool crowded;                              /* there were many: it rests between rounds */
	_Alignas(16) uint8_t data[RTP_MOST_BYTES]; /* libsrtp2 reads headers as words */
};

/* [loop] worker: zeroed memory, kept until it is stopped. PBX_OK, PBX_ENOMEM, PBX_EIO. */
int rtp_worker_start(struct rtp_worker *worker, uint32_t index, struct rtp_common *common);
/* [loop] Waits for the thread; what it still has is the caller's again. */
void rtp_worker_stop(struct rtp_worker *worker);
/* [loop] Commands are obeyed before the packets of a worker's round, and it has a round at the latest when it is called: all of a
 * callback cost one wake-up. */
void rtp_worker_send(struct rtp_worker *worker, struct rtp_command *command);
void rtp_worker_call(struct rtp_worker *worker);
uint64_t rtp_worker_cpu_us(const struct rtp_worker *worker); /* [loop] what the thread has used */

/* The rest: [media]. */
bool rtp_worker_tell(struct rtp_worker *worker, const struct rtp_event *event);
void rtp_worker_return(struct rtp_worker *worker, struct rtp_command *command);
uint64_t rtp_worker_now_us(void);                  /* exact; worker->now_us is as of this round */
int rtp_worker_road_fd(struct rtp_worker *worker); /* for rtp_road_ask */
/* Has the session's clock come round at the next tick, unless it is wound up already. */
void rtp_worker_wind(struct rtp_session *session);
/* A connection's socket in the worker's set (EPOLL_CTL_ADD, _MOD). False: no memory. What it is ready for comes to rtp_tcp_ready, until it is taken out. */
bool rtp_worker_watch_tcp(struct rtp_worker *worker, int operation, struct rtp_tcp *tcp, uint32_t events);
void rtp_worker_unwatch_tcp(struct rtp_worker *worker, const struct rtp_tcp *tcp);
/* The clock goes as long as rtp_mixes_are_busy. */
void rtp_worker_keep_time(struct rtp_worker *worker);

/* ---- player.c ---- [media] */

/* Sends one frame of what is due. False: nothing more to send by the clock. */
bool rtp_player_step(struct rtp_session *session);
void rtp_player_start(struct rtp_session *session, struct rtp_play *play); /* replaces what plays */
void rtp_player_end(struct rtp_session *session, uint32_t how);            /* it goes back to the loop */

/* ---- playing.c ---- [media] */

/* The sounds of a play, whoever hears them: from their beginning, and the next samples at 8 or 16 kHz, silent where there are none yet or while
 * it is paused. False: they were over already. */
void rtp_play_begin(struct rtp_play *play);
bool rtp_play_take(struct rtp_play *play, uint32_t rate_hz, int16_t *ret_samples, uint32_t count);
/* Pauses it, and so on, without a click. Before it has begun: the loop's. */
void rtp_play_steer(struct rtp_play *play, const struct rtp_steer *steer);
