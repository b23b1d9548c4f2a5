/* call_recording/session_sdp.h - what a recording session says in SDP (RFC 7866 7.1.1), and what a recorder answers. Knows no other file of the plugin. [any] */
#pragma once
#include <pbx/fork.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_STREAMS 2u
#define SESSION_LINE_SIZE 2048u /* of one stream's part: codecs that find no room are left out, the least likely first */
#define SESSION_SDP_SIZE (SESSION_STREAMS * SESSION_LINE_SIZE + 256u)

/* One stream of ours. */
struct session_line {
	char address[48];
	char text[SESSION_LINE_SIZE]; /* without its direction; "" has never had media */
	uint64_t types[2];            /* which payload types are a voice's, a bit each */
};

/* Fills it in from what a fork says. label: as the metadata has it. */
void session_line_set(struct session_line *line, const struct pbx_fork_local *local, const char *label);
/* lines: streams; sends: whether something is sent now. */
void session_sdp_write(uint64_t id, uint32_t version, const struct session_line *const lines[SESSION_STREAMS],
		       const bool sends[SESSION_STREAMS], char ret_text[SESSION_SDP_SIZE]);

/* What the recorder says of one stream. */
struct session_wish {
	bool is_wanted; /* it has a port, and listens */
	char address[48];
	uint32_t rtp_port, rtcp_port; /* rtcp_port 0: the next one */
	uint64_t types[2];            /* payload types that it takes */
};

/* Reads an answer, or an offer of its own, to SDP of ours with these lines. PBX_OK, PBX_EINVAL: it is none; ret_why says so in words. */
int session_sdp_read(const char *text, size_t length, bool is_encrypted, struct session_wish ret_wishes[SESSION_STREAMS],
		     const char **ret_why);
/* Whether a voice of ours can be understood there. */
bool session_wish_fits(const struct session_wish *wish, const struct session_line *line);
