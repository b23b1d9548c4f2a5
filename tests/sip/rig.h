/* rig.h - the SIP part on a real loop, store and sockets, and a phone made of one UDP socket
 *
 * The test stands where the core's call control stands: test programs define the core_leg_on_ functions they care about in rig_core.
 * What is sent is text with ~ for a line end; what comes back is waited for by stepping the loop, never by sleeping. */
#pragma once
#include "leg_driver.h"
#include "ua.h"
#include <check.h>

struct rig {
	char dir[64];
	uint16_t port; /* where we listen, UDP and TCP on 127.0.0.1 and ::1 */
	int phone;     /* a UDP socket on 127.0.0.1 */
	uint16_t phone_port;
	char last[65536]; /* what came last */
	char kept[65536]; /* see rig_keep_last() */
	char nonce[128];  /* of the last challenge */
	uint32_t nc;
};

/* What the stand-in for call control hears. Any may be NULL. */
struct rig_core {
	int (*incoming)(void *dialog, const struct core_incoming *incoming);
	void (*ringing)(uint32_t sip_code, const struct core_media_desc *early);
	void (*answered)(const struct core_media_desc *answer);
	void (*redirected)(const char *const *targets, uint32_t count, uint32_t reason);
	void (*offer)(const struct core_media_desc *offer);
	void (*update_done)(int result, const struct core_media_desc *answer);
	void (*digit)(char digit, uint32_t duration_ms);
	int (*transfer)(const char *target, pbx_leg replaces);
	void (*ended)(uint32_t sip_code, uint32_t cause, bool by_peer, const char *text);
};
extern struct rig_core rig_core;

/* yaml: further lines of the section sip, each indented by two spaces. Accounts 1001 to 1009 have the password "secret"; 1008 is trusted, 1007
 * is 5551007 outside. */
struct rig *rig_start(const char *yaml);
/* The same with a clock that is moved by core_loop_pass_ms() and, a little, by waiting. What nta repeats follows the real one. */
struct rig *rig_start_still(const char *yaml);
void rig_stop(struct rig *rig);
/* Stops and starts again over the same store. */
void rig_restart(struct rig *rig, const char *yaml);

/* As printf; in what comes of it {P} is the phone's port, {S} ours, ~ a line end. */
void rig_send(struct rig *rig, const char *format, ...) PBX_PRINTF(2, 3);
/* Steps until a message comes whose first line begins so; others are skipped. Fails the test after five seconds. */
const char *rig_expect(struct rig *rig, const char *start);
/* The same, but NULL when nothing has come in time: for those who then send again. */
const char *rig_find(struct rig *rig, const char *start, uint32_t within_ms);
/* A header's value in the last message, in a buffer that the next call overwrites; "" when absent. */
const char *rig_header(struct rig *rig, const char *name);
/* Keeps the last message, and puts it back as the last, so that it is looked at or replied to once more. */
void rig_keep_last(struct rig *rig);
void rig_back_to_kept(struct rig *rig);
/* Steps until *flag is true. */
void rig_until(const bool *flag);
/* Some rounds, and then checks that nothing has come. */
void rig_expect_nothing(struct rig *rig);

/* Reads the nonce of the last message's challenge, and writes the header that answers it. */
void rig_challenged(struct rig *rig);
const char *rig_authorize(struct rig *rig, const char *header, const char *user, const char *password, const char *method, const char *uri,
			  bool sha256);
uint32_t rig_dialogs(void);

/* ---- what both sides of a call say: rig_talk.c ---- */

#define RIG_SDP "v=0~o=- 1 1 IN IP4 127.0.0.1~s=-~c=IN IP4 127.0.0.1~t=0 0~m=audio 4000 RTP/AVP 8~"

struct core_media_desc rig_media(uint8_t direction); /* ours: PCMA at 127.0.0.1:20000 */
unsigned rig_length(const char *body);               /* of what is sent for it: each ~ is two octets */
/* The phone's response to the request that came last. tag: of the phone, where the request has none for it and status is not 100. type: of the
 * body, "" where there is none. */
void rig_respond(struct rig *rig, unsigned status, const char *tag, const char *contact, const char *headers, const char *type,
		 const char *body);
/* The same by Bob, whose bodies are SDP. */
void rig_reply(struct rig *rig, unsigned status, const char *tag, const char *headers, const char *body);
void rig_keep_tag(struct rig *rig, char *ret_tag, size_t size); /* of To in the last message, which must have one */
