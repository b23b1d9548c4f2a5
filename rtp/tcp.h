/* rtp/tcp.h - media by connections that peers open to us, where no datagram of theirs gets out (RFC 6544, RFC 4571)
 *
 * A connection begins at the door (tcp_door.c), which is the loop's. Who has proved there to be a stream's peer is sent to the stream's worker by a command that
 * stays there while the connection is open, as a play does (tcp.c); it coming back is how the loop learns that it is to be closed. */
#pragma once
#include "engine.h"
#include "frames.h"

#define RTP_TCP_MOST 8u /* connections of one stream: some ways in, and twice while ICE begins anew */

struct rtp_stream;

struct rtp_tcp {
	struct rtp_command command; /* first */
	int fd;
	struct core_addr from;

	/* [loop] */
	struct rtp_tcp *seat_next;             /* of all, by where they are from */
	struct rtp_tcp *door_next, *door_prev; /* of those that are not let in yet */
	bool proved;
	uint64_t leaves_at_ms;

	/* The loop's at the door, then [media] */
	struct rtp_frames in;
	struct rtp_frame_rest out;
	struct rtp_tcp *next; /* of the session's */
	bool waits_to_send;
	uint64_t heard_at_ms;
};

/* ---- tcp.c: [media] ---- */

/* A command has brought it: reads what has come so far. */
void rtp_tcp_enter(struct rtp_tcp *tcp);
/* Its socket is ready. */
void rtp_tcp_ready(struct rtp_tcp *tcp, uint32_t events);
/* A frame to who is there, if somebody is. False: it has not gone and will not. */
bool rtp_tcp_send(struct rtp_session *session, const struct core_addr *to, const uint8_t *data, size_t bytes);
void rtp_tcp_look_after(struct rtp_session *session); /* every 100 ms */
void rtp_tcp_close_all(struct rtp_session *session);
/* The session comes to its worker, or leaves it. */
void rtp_tcp_join(struct rtp_session *session);
void rtp_tcp_part(struct rtp_session *session);

/* ---- tcp_door.c: [loop] ---- */

/* Why somebody was not let in, or was shown out again. */
#define RTP_DOOR_CROWDED 0u  /* too many, of an address or in all */
#define RTP_DOOR_LATE 1u     /* no first frame in time, or the stream's answer never came */
#define RTP_DOOR_NO_CHECK 2u /* the first frame is no check of ICE, or the connection was closed before it */
#define RTP_DOOR_STRANGER 3u /* it names no stream of ours */
#define RTP_DOOR_FORGED 4u   /* it does, without the password */
#define RTP_DOOR_UNWANTED 5u /* whoever guards the border does not want it (core/gate.h), or no more */
#define RTP_DOOR_REASONS 6u

struct rtp_door_totals {
	uint64_t let_in, refused[RTP_DOOR_REASONS];
	uint32_t waiting, open; /* now: at the door; in use */
};

/* Opens the door where settings have a port for it. PBX_OK; PBX_EIO and diag. */
int rtp_door_open(const struct rtp_settings *settings, struct pbx_diag *diag);
/* Shuts it; those who are let in already stay. */
void rtp_door_close(void);
/* Where the door of an address family is; 0: there is none. */
uint16_t rtp_door_port(int family);
/* As core_media_driver.ice_named. */
int rtp_door_named(core_stream stream, const struct core_ice_name *name);
void rtp_door_forget(struct rtp_stream *stream); /* it is closed */
/* It knows its peer now: who waits for that is let in. */
void rtp_door_configured(struct rtp_stream *stream);
void rtp_door_returned(struct rtp_command *command); /* the connection is over */
void rtp_door_totals(struct rtp_door_totals *ret_totals);
