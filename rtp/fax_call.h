/* rtp/fax_call.h - one fax, or one gateway: what the loop gives to the thread of faxes, and what that makes of it */
#pragma once
#include "fax.h"
#include "line.h"
#include "udptl.h"
#include <core/owner.h>
#include <spandsp.h>

#define RTP_FAX_START (RTP_FAX_COMMANDS + 0u)
#define RTP_FAX_OVER (RTP_FAX_COMMANDS + 1u) /* from the thread, which knows nothing of it any more */
#define RTP_FAX_PAGE (RTP_FAX_COMMANDS + 2u) /* from the thread: there are more pages; before OVER */

#define RTP_FAX_TICK_SAMPLES 160
#define RTP_FAX_AHEAD 3u /* frames that the thread is ahead of the worker */

struct rtp_fax;

struct rtp_fax_order {
	struct rtp_command command; /* first */
	struct rtp_fax *fax;
};

struct rtp_fax {
	struct rtp_line lines[2]; /* a gateway: that of T.38, that of audio; else the first */
	/* Not changed after the start. */
	uint32_t line_count;
	struct pbx_fax_spec spec; /* texts are the copies behind it */
	char path[4096], station[21], header[51];
	_Atomic bool stops; /* the loop wants its end */
	_Atomic uint32_t pages;
	_Atomic bool page_told; /* .page is on its way to the loop */

	/* [loop] */
	uint64_t id;                   /* 0: a gateway */
	struct rtp_stream *streams[2]; /* NULL: it has left them */
	struct rtp_command enter[2], leave[2];
	uint32_t awaited; /* commands that are not back yet */
	bool is_over;
	struct core_charge charge;
	struct pbx_host *owner; /* NULL: nobody wants to know the end */
	struct pbx_fax_watcher watcher;
	void *self;
	struct rtp_fax_order start, over, page;

	/* The thread's. */
	struct rtp_fax *next;
	fax_state_t *audio; /* one of these three */
	t38_terminal_state_t *t38;
	t38_gateway_state_t *gateway;
	struct rtp_udptl udptl;
	uint32_t kind;            /* of the first line, as of the last tick */
	bool hears;               /* G.711: expected is the timestamp of what comes next */
	uint32_t expected, quiet; /* quiet: ticks without a packet */
	bool finished;            /* T.30 has come to its end */
	struct pbx_fax_result result;
	char remote[21], reason[96];
};

static inline bool rtp_fax_is_gateway(const struct rtp_fax *fax)
{
	return fax->line_count == 2;
}

/* ---- fax_call.c: the thread's ---- */

void rtp_fax_tell_page(struct rtp_fax *fax); /* fax.c: the loop is to look at .pages */
bool rtp_fax_open(struct rtp_fax *fax);      /* false: no memory */
/* 20 ms of it. False: it is over. */
bool rtp_fax_tick(struct rtp_fax *fax);
void rtp_fax_close(struct rtp_fax *fax); /* what came of it is in .result */
