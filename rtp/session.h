/* rtp/session.h - one leg's RTP as its worker sees it
 *
 * The loop allocates a session, opens its sockets and gives it to a worker by a command; from then on the worker owns every
 * member but `counters` (which anybody may read) until the CLOSE command has come back. What the loop knows about codecs
 * reaches the worker as a plan: numbers to look up, no names to compare. Unless marked otherwise: [media]. */
#pragma once
#include "g711.h"
#include "handover.h"
#include "losses.h"
#include "queue.h"
#include "srtp.h"

#define RTP_HEADER_BYTES 12u
#define RTP_MOST_BYTES 2048u /* of a datagram; longer ones are cut by the kernel and refused by us */
#define RTP_LATCH_PACKETS 4u /* from another source than SDP names, before we believe it */
#define RTP_LATCH_WINDOW_MS 5000u
#define RTP_FIFO_BYTES 1280u /* G.711 waiting to be cut to another ptime */
#define RTP_TICK_MS 5u       /* what the clock of a worker counts */
#define RTP_WHEEL_SLOTS 64u

/* What arrives with a payload type. */
#define RTP_KIND_NONE 0u   /* not negotiated */
#define RTP_KIND_OPAQUE 1u /* some codec we pass on unopened */
#define RTP_KIND_MU 2u
#define RTP_KIND_A 3u
#define RTP_KIND_EVENT 4u /* RFC 4733 */
#define RTP_KIND_NOISE                                                                                                                     \
	5u /* CN (RFC 3389), agreed on, or by its static number, which many send unasked: for the ear; relayed where speech is */
#define RTP_TYPE_UDPTL 0u /* a datagram of T.38 counts as a packet of this type, which its plan knows */

static inline bool rtp_kind_is_g711(uint8_t kind)
{
	return kind == RTP_KIND_MU || kind == RTP_KIND_A;
}

static inline uint32_t rtp_kind_law(uint8_t kind)
{
	return kind == RTP_KIND_A ? RTP_LAW_A : RTP_LAW_MU;
}

#define RTP_NAT_AUTO 0u   /* another address may be learned after each offer and answer */
#define RTP_NAT_STRICT 1u /* another port of SDP's address only */
#define RTP_NAT_OFF 2u    /* SDP's address and port, nothing else */

/* What was negotiated, as lookups. Made on the loop, never changed afterwards. */
struct rtp_plan {
	struct core_addr rtp, rtcp; /* SDP's; AF_UNSPEC: not told */
	bool rtcp_mux, renegotiated;
	bool t38;                /* datagrams are UDPTL, there is no RTP and no RTCP */
	uint8_t xr;              /* CORE_XR_… that the peer wants to be told */
	uint8_t level_id;        /* header extension of levels (level.h), both ways; 0: none */
	uint8_t direction;       /* CORE_SEND | CORE_RECV */
	uint8_t nat;             /* RTP_NAT_… */
	uint8_t dscp;            /* of what we send; 0: as media.dscp says */
	uint8_t receive[128];    /* RTP_KIND_… of a payload type that arrives */
	uint16_t clock_khz[128]; /* of the same */
	bool takes_noise;        /* CN of its static number, on which nobody has agreed */
	uint8_t dtmf_type;       /* 0: not agreed */
	uint16_t send_khz;       /* clock of the first codec, which our timestamps count */
	uint16_t ptime_ms;
	const struct rtp_cost *cost;                  /* what the E-model knows of the first codec */
	uint32_t number;                              /* of the stream's plans: what a tap's packets are named after */
	struct rtp_guard *send_guard, *receive_guard; /* owned; NULL: plain RTP */
	bool keeps_ice, keeps_dtls;                   /* the same names, the same certificates as in the plan before */
	bool keeps_send, keeps_receive; /* its keys are the plan's before: the guards come from there, with all they remember */
	bool protects, proved;          /* by DTLS: no packet without guards, which come when the handshake is done (proved) */
	struct rtp_ice *ice;            /* owned; NULL: the peer is where SDP says */
	struct rtp_dtls *dtls;          /* owned; NULL: no DTLS, or the plan's before goes on */
};

#define RTP_OUT_NONE 0xffu      /* the receiver cannot take it */
#define RTP_OUT_TRANSCODE 0x80u /* set beside the payload type: other law of G.711 */

/* What becomes of a payload type of the sender on its way to the receiver. Made on the loop from both plans. */
struct rtp_route {
	uint8_t out[128];
	bool silences_keys; /* tones of keys: the receiver gets them another way */
};

#define RTP_VOIP_WORDS 3u /* of 8 octets: what is told by a block of VoIP metrics */

/* Written by the worker only, so that a plain load and store will do; read by the loop at any time. */
struct rtp_counters {
	_Atomic uint64_t packets_in, bytes_in, packets_out, bytes_out, lost, foreign, malformed, forged, late, last_packet_at_ms;
	_Atomic uint64_t duplicates, reports_in, reports_out, reported_at_ms, reported_packets;
	_Atomic uint64_t voip[RTP_VOIP_WORDS]; /* the peer's VoIP metrics, as they came */
	_Atomic uint32_t jitter_us, round_trip_us, receive_ssrc, peer_jitter_us, peer_lost, peer_highest, peer_deaf;
	_Atomic uint32_t judged, judged_lost, runs, bursts, burst_lost, burst_packets; /* as of the newest loss, or report */
	_Atomic uint32_t voip_told;
	_Atomic uint64_t discarded; /* by our jitter buffer: came when their time was over */
	_Atomic uint32_t buffer_us; /* what that keeps back now; 0: there is none */
	_Atomic uint64_t by_kernel; /* of packets_in: relayed by the program in the kernel */
	_Atomic uint32_t in_kernel;
	_Atomic uint32_t suite;        /* of DTLS */
	_Atomic uint64_t concealed_ms; /* of the ear: sound made up */
	_Atomic uint32_t buffer_target_us, most_buffer_us;
	_Atomic uint32_t level;  /* level.h */
	_Atomic uint64_t unsent; /* a connection had no room for them */
};

static inline void rtp_count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

#define rtp_read(counter) atomic_load_explicit((counter), memory_order_relaxed)
#define rtp_write(counter, value) atomic_store_explicit((counter), (value), memory_order_relaxed)

/* A valid packet, pointing into the worker's buffer. payload has at least RTP_HEADER_BYTES before it. */
struct rtp_packet {
	uint8_t *payload;
	uint32_t payload_bytes;
	uint32_t ssrc, timestamp;
	uint16_t sequence;
	uint8_t type;
	bool marker;
	uint16_t level; /* level.h */
};

/* Where we send from: one SSRC and one rising sequence for the whole life of a stream, whoever feeds it. */
struct rtp_sender {
	uint32_t ssrc;
	uint32_t timestamp; /* of the newest packet */
	uint16_t sequence;
	uint16_t khz; /* of the newest packet */
	bool started;
	uint16_t level;           /* of the next one, if whoever makes it knows (level.h) */
	uint64_t sent_at_us;      /* when the first packet with this timestamp was */
	uint32_t packets, octets; /* for sender reports, modulo 2^32 as RFC 3550 has it */
};

/* How what a peer sends is renumbered into our own sequence and timestamps. */
struct rtp_map {
	bool synced;  /* false: begin anew with the next packet */
	bool counted; /* our sequence is our own (cut anew), not the peer's shifted */
	uint32_t source_ssrc;
	uint16_t sequence_shift, newest; /* newest: of the source's own */
	uint8_t type;                    /* payload type of its newest sound */
	uint32_t timestamp_shift;
	uint32_t since_sync; /* how far newest has moved */
};

/* How unevenly packets came since the last summary (RFC 3611 4.6): differences of transit in clock units. */
struct rtp_spread {
	uint32_t count, least, most;
	uint64_t sum, squares;
};

/* RFC 3550 appendix A: what we know of what arrives. */
struct rtp_receiver {
	bool started;
	uint32_t ssrc;
	uint16_t first_sequence, newest;
	uint32_t cycles, received, expected_before, received_before;
	uint32_t duplicates;
	uint64_t window;   /* bit n: the packet n before the newest has arrived */
	uint32_t unjudged; /* bits of the window that are from before the beginning */
	uint64_t publish_at_ms;
	uint32_t transit, jitter16; /* jitter in clock units, times 16 */
	uint16_t khz;
	uint64_t lost_before;     /* of earlier SSRCs */
	struct rtp_losses losses; /* of all of them */
	struct rtp_spread spread;
};

struct rtp_rtcp {
	uint64_t due_at_ms; /* our next report; 0: not scheduled */
	uint32_t heard_ntp; /* middle 32 bits of the peer's last SR */
	uint64_t heard_at_us;
	uint32_t heard_ssrc;    /* whose SR that was */
	uint32_t reference_ntp; /* middle 32 bits of the peer's receiver reference time (RFC 3611 4.4), not answered yet; 0: none */
	uint32_t reference_ssrc;
	uint64_t reference_at_us;
	uint32_t packets_at_report, packets_before_report; /* of the sender: have we sent since the last one, or the one before it? */
	uint32_t told_highest;                             /* of our sequence, by its last block about us */
	uint32_t packets_when_told;                        /* what we had sent when that last rose */
	uint32_t summary_ssrc;                             /* what the last summary was about, and what comes next */
	uint16_t summary_begins;
	uint32_t lost_at_summary, duplicates_at_summary;
};

/* The event (key press) that arrives now. */
struct rtp_event_receiver {
	bool open, known;
	uint32_t timestamp, ssrc; /* known: of the last one, open or not */
	char digit;
	uint32_t before; /* timestamp units of segments before this one */
	uint32_t duration_ms;
	uint64_t updated_at_ms;
};

/* Somebody else than SDP named sends to us. */
struct rtp_candidate {
	struct core_addr from;
	uint32_t ssrc;
	uint16_t sequence;
	uint8_t packets;
};

struct rtp_ice;
struct rtp_dtls;
struct rtp_play;
struct rtp_tap;
struct rtp_digits;
struct rtp_ear;
struct rtp_filter;
struct rtp_fork;
struct rtp_inband;
struct rtp_line;
struct rtp_mouth;
struct rtp_mix_member;
struct rtp_tcp;
struct rtp_worker;

struct rtp_session {
	struct rtp_session *next, *prev; /* of the worker's sessions */
	struct rtp_worker *worker;
	uint64_t stream; /* core_stream.id */
	int rtp_fd, rtcp_fd;
	uint16_t port;         /* of rtp_fd */
	struct rtp_plan *plan; /* NULL until configured */

	struct core_addr remote; /* where we send; AF_UNSPEC: nowhere yet */
	struct core_addr remote_rtcp;
	socklen_t remote_size;
	bool locked;            /* the source is decided until the next offer and answer */
	bool heard, told_heard; /* since the beginning: for first_packet */
	bool changed_source;    /* and could not tell yet */
	uint64_t learn_until_ms;
	struct rtp_candidate candidate;
	struct rtp_tcp *connections; /* that its peer has opened, newest first */

	uint8_t failed; /* CORE_MEDIA_…, when the association cannot go on */
	bool told_failed;
	uint64_t shaking_since_ms; /* DTLS */

	bool held, told_silence;
	uint64_t quiet_since_ms; /* the newest packet, or the change that started the wait for one */

	struct rtp_session *peer;
	struct rtp_route *route;      /* of what we receive, towards the peer */
	struct rtp_map map;           /* of what the peer sends, into our sender */
	struct rtp_handover handover; /* of what we receive */
	struct rtp_sender sender;
	struct rtp_receiver receiver;
	struct rtp_rtcp rtcp;
	struct rtp_event_receiver event;
	struct {
		uint8_t loudest; /* -dBov, since it was told last */
		uint64_t publish_at_ms;
	} level;

	struct rtp_mix_member *member;   /* of a mix, instead of a peer */
	struct rtp_ear *ear;             /* what the party says, as samples; NULL: nobody asks */
	uint64_t ear_left_out;           /* what its jitter buffer had thrown away when that was counted last */
	struct rtp_mouth *mouth;         /* what we say to it as samples; NULL: the relay does all */
	struct rtp_filter *filter;       /* changes both; NULL: none */
	struct rtp_inband *inband;       /* listens for keys that are pressed as tones; NULL: there is a better way */
	struct rtp_line *line;           /* of a fax, which takes what arrives and makes what is sent; NULL: none */
	struct rtp_injection *injection; /* a plugin speaks into what the mouth says; NULL: none does */
	uint64_t event_until_us;         /* an event is being relayed to it: the mouth is silent */

	struct rtp_tap *taps;             /* who gets a copy of what arrives and of what we send; NULL as a rule */
	struct rtp_fork *forks;           /* where such a copy is sent on to; likewise */
	_Atomic uint64_t masked_until_us; /* the loop's: what arrives until then is a secret (fork.h) */
	struct rtp_play *play;            /* what we play to the peer; wins over the relay */
	struct rtp_digits *digits;        /* waiting to be sent, oldest first; wins over both */
	bool talking;                     /* the newest packet was the mouth's: the next needs no marker */

	struct rtp_session *wheel_next, *wheel_prev;
	bool on_wheel;
	uint64_t due_tick;

	uint32_t fifo_bytes;     /* G.711 in our sending law that waits for the clock */
	uint32_t fifo_timestamp; /* of its first octet */
	uint8_t fifo_type;
	bool fifo_marker;
	uint8_t fifo[RTP_FIFO_BYTES];

	struct rtp_counters counters;
};

_Static_assert(sizeof(struct rtp_session) < 4096, "two of these are in every bridged call");

/* ---- session.c: what arrives ---- */

/* Reads one datagram of a ready socket and does what it asks for. */
void rtp_session_read(struct rtp_session *session, bool rtcp_socket);
/* The same for a datagram that is here already (fuzzing). data has RTP_MOST_BYTES of room. */
void rtp_session_take(struct rtp_session *session, bool rtcp_socket, uint8_t *data, size_t size, const struct core_addr *from);
/* A datagram from the socket of RTP or RTCP, or a frame where `to` is somebody by TCP. What is not taken now is lost, as it may be on any later stretch of the way;
 * false: that is known. */
bool rtp_session_send(struct rtp_session *session, bool rtcp_socket, const struct core_addr *to, const uint8_t *data, size_t size);
/* Where we send from now on. */
void rtp_session_set_remote(struct rtp_session *session, const struct core_addr *remote);
/* Version, CSRCs, extension, padding. False: not RTP as RFC 3550 has it. */
bool rtp_packet_parse(uint8_t *data, size_t size, struct rtp_packet *ret_packet);
/* plan is taken; the one before is returned. */
struct rtp_plan *rtp_session_configure(struct rtp_session *session, struct rtp_plan *plan);
/* [any] Datagrams that the kernel dropped because nobody had read those before them. */
uint64_t rtp_session_dropped(const struct rtp_session *session);
/* Every 100 ms: silence, lost ends of digits, reports. */
void rtp_session_look_after(struct rtp_session *session);

/* ---- addr.c ---- */

bool rtp_addr_same(const struct core_addr *a, const struct core_addr *b);      /* address, port, transport */
bool rtp_addr_same_host(const struct core_addr *a, const struct core_addr *b); /* address alone */
socklen_t rtp_addr_size(const struct core_addr *addr);

/* ---- receiver.c: RFC 3550 A.1, A.3, A.8 ---- */

void rtp_receiver_note(struct rtp_session *session, const struct rtp_packet *packet, uint16_t khz);
uint64_t rtp_receiver_lost(const struct rtp_receiver *receiver);
/* What somebody else has received in our place (handover.c), all of one SSRC that we know: counts since the last time, the rest as it is now. */
struct rtp_arrivals {
	uint32_t packets, late, duplicates;
	uint16_t newest;
	uint64_t window;
	uint32_t transit, jitter16;
	struct rtp_spread spread;
};
void rtp_receiver_catch_up(struct rtp_session *session, const struct rtp_arrivals *arrivals);

/* ---- sender.c: numbers of what goes out ---- */

/* Newest of what was sent, for the next one's sake; one that overtakes does not take us back. */
void rtp_sender_note(struct rtp_sender *sender, uint16_t sequence, uint32_t timestamp, uint32_t bytes, uint16_t khz, uint64_t now_us);
/* The timestamp of a packet that begins something new now: as much later than the newest as time has passed, one frame at least. */
uint32_t rtp_sender_next(const struct rtp_sender *sender, uint32_t frame, uint16_t khz, uint64_t now_us);
/* That of this instant, on the line that our packets are on. */
uint32_t rtp_sender_timestamp(const struct rtp_sender *sender, uint64_t now_us);
/* The source begins, or begins anew, with this packet: the map is to be made anew. */
bool rtp_map_begins(const struct rtp_map *map, const struct rtp_packet *packet);
/* One of a source that goes on. False: older than the beginning of this talkspurt, it has no place in ours. */
bool rtp_map_move(struct rtp_map *map, const struct rtp_packet *packet);

/* ---- relay.c: what goes out ---- */

/* A packet of `from` on its way to `to` (which may be `from` itself: echo). route: of from's payload types. */
void rtp_relay(const struct rtp_session *from, struct rtp_session *to, const struct rtp_route *route, const struct rtp_packet *packet);
/* Sends payload, which has RTP_HEADER_BYTES of room before it, with our own header. */
void rtp_send(struct rtp_session *session, uint8_t *payload, uint32_t bytes, uint8_t type, bool marker, uint16_t sequence,
	      uint32_t timestamp);
/* As rtp_sender_next. */
uint32_t rtp_next_timestamp(const struct rtp_session *session, uint16_t khz);
/* Sends a datagram that is no RTP as it is. */
void rtp_send_datagram(struct rtp_session *session, const uint8_t *data, size_t size);
/* Sends a frame of what waits in the FIFO. False: there is no whole frame. */
bool rtp_relay_frame(struct rtp_session *session);
bool rtp_can_send(const struct rtp_session *session);
/* Somebody else feeds the sender from now on: the next relayed packet begins a new talkspurt. */
void rtp_relay_interrupted(struct rtp_session *session);

/* All that has come, as though nothing that was overtaken were still to come. */
void rtp_receiver_picture(const struct rtp_receiver *receiver, struct rtp_loss_picture *ret_picture);
/* Lost of this SSRC alone. */
uint32_t rtp_receiver_lost_now(const struct rtp_receiver *receiver);
/* Puts what the loop may read of it, and of the jitter buffer, into the counters, once a second. */
void rtp_receiver_look_after(struct rtp_session *session);

/* ---- xr.c: RFC 3611 ---- */

/* An XR packet whose lengths have been checked from outside. False: its blocks are not as they should be. */
bool rtp_xr_receive(struct rtp_session *session, const uint8_t *packet, size_t size);
/* What the peer wants to be told, and an answer to what it asked. Returns the end: at most RTP_XR_BYTES further. */
uint8_t *rtp_xr_put(struct rtp_session *session, uint8_t *at);
#define RTP_XR_BYTES 112u
#define RTP_SENDER_REPORT_BYTES 312u /* SR, SDES with the longest CNAME, BYE */

/* ---- rtcp.c ---- */

/* NTP time, 32.32 bits. */
uint64_t rtp_ntp_now(void);
/* What a last report and its delay say of the round trip (RFC 3550 6.4.1). */
void rtp_note_round_trip(struct rtp_session *session, uint32_t last_report, uint32_t delay);

void rtp_rtcp_receive(struct rtp_session *session, const uint8_t *data, size_t size);
void rtp_rtcp_look_after(struct rtp_session *session); /* sends a report when one is due */
void rtp_rtcp_bye(struct rtp_session *session);
/* How long until the next report; the first of a stream comes sooner. */
uint64_t rtp_rtcp_next_in_ms(bool first);
/* A report of who only sends, with its CNAME: SR when it has sent lately (sends), else RR; bye: and a goodbye. Returns its size. */
size_t rtp_rtcp_of_sender(struct rtp_worker *worker, const struct rtp_sender *sender, bool sends, const char *cname, bool bye,
			  uint8_t ret_data[RTP_SENDER_REPORT_BYTES]);
#define RTP_MOST_CNAME 255u

/* ---- dtmf.c ---- */

void rtp_dtmf_receive(struct rtp_session *session, const struct rtp_packet *packet);
void rtp_dtmf_look_after(struct rtp_session *session);                         /* closes what has lost its end */
void rtp_dtmf_key_down(struct rtp_session *session, char digit, bool by_tone); /* tells so */
/* The clock has come round: sends the next packet of the digits. False: nothing left to send. */
bool rtp_dtmf_send_next(struct rtp_session *session);
/* They are to be sent as tones. PBX_OK, PBX_ENOMEM. [loop] */
int rtp_dtmf_prepare_tones(struct rtp_digits *digits);
void rtp_dtmf_release(struct rtp_digits *digits); /* what it needed for that. [loop] */
