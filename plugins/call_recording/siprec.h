/* call_recording/siprec.h - a recording session (RFC 7866): what siprec.c, which keeps it, and parties.c, who knows who speaks in it, share. [loop] */
#pragma once
#include "call_recording.h"
#include "metadata.h"
#include "session_sdp.h"

#define MOST_GONE 4u /* parties who have left and of whom the recorder has not been told; more: it is told all anew */

/* Who is heard in one stream. */
struct party {
	struct siprec *siprec;
	pbx_leg leg;
	uint32_t what;          /* PBX_FORK_… of that leg */
	bool is_there, is_news; /* is_news: the recorder has not been told of it */
	pbx_fork fork;          /* id 0: none */
	struct metadata_party about;
	struct session_line line; /* as it was last; stays when the party has gone */
	struct session_wish wish; /* what the recorder says to it */
};

/* Without pointers to anything of its own: a successor takes a copy. */
struct siprec {
	struct active *active;
	struct recorder_way ways[MOST_RECORDERS];
	uint32_t way_count, at, left; /* at: the one in use or next; left: to be tried in this round */
	uint32_t waits, drops;        /* rounds in vain; sessions that did not last */
	bool encrypts, is_required;
	bool is_up, updates, is_stale,
		tells_all; /* updates: one is under way; is_stale: another one is due; tells_all: by a complete snapshot */
	bool paused;
	pbx_session session;                               /* id 0: none */
	pbx_timer timer;                                   /* of the next round; id 0: none */
	pbx_timer deadline;                                /* of the update that is under way; id 0: none */
	uint32_t aimed;                                    /* streams that are sent */
	uint64_t due_at_ms, up_at_ms, asked_at_ms, sdp_id; /* asked_at_ms: for the last snapshot; 0: never */
	uint32_t sdp_version, own;                         /* own: which party's leg the recording belongs to */
	struct party parties[SESSION_STREAMS];
	struct metadata_party gone[MOST_GONE];
	uint32_t gone_count;
	char group_id[METADATA_ID_SIZE], session_id[METADATA_ID_SIZE], stream_id[SESSION_STREAMS][METADATA_ID_SIZE];
	char call_ids[SESSION_STREAMS][128];
	int64_t since_us;
};

/* ---- parties.c ---- */

void parties_begin(struct siprec *siprec, const struct conversation *conversation);
/* Somebody is heard in this stream from now on: a leg's party, or what the leg hears of a room. */
void party_come(struct siprec *siprec, uint32_t at, pbx_leg leg, const char *room);
void party_go(struct siprec *siprec, uint32_t at);
/* Forks of whoever is there, for the recorder that is to be tried (a fork is for one). PBX_OK, or why there is none at all. */
int forks_open(struct siprec *siprec);
int party_open(struct siprec *siprec, uint32_t at); /* of one. Results of pbx_forks.open */
void forks_close(struct siprec *siprec);
void forks_adopt(struct siprec *siprec);
/* Sends where the recorder wants it, and nothing where it does not or while it is paused. */
void forks_aim(struct siprec *siprec);
void party_read_line(struct party *party); /* its codecs have changed */
uint64_t forks_packets(const struct siprec *siprec);
/* Texts of the next offer: the SDP, which is `answers` limited to what the recorder wants; metadata owned, NULL when there is nothing to tell or no memory. */
void session_write_sdp(struct siprec *siprec, bool answers, char ret_text[SESSION_SDP_SIZE]);
char *session_write_metadata(const struct siprec *siprec, bool is_complete);
bool session_has_news(const struct siprec *siprec);
void session_told(struct siprec *siprec); /* the recorder knows it all */

/* ---- siprec.c ---- */

void siprec_changed(struct siprec *siprec);               /* an offer is due */
void siprec_lost_leg(struct siprec *siprec, uint32_t at); /* siprec may be gone when this returns */
