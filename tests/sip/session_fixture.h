/* tests/sip/session_fixture.h - a plugin that has opened a session (pbx/session.h), and the phone of the rig as the other system */
#pragma once
#include "../check_main.h"
#include "rig.h"
#include "owner_internal.h"
#include <pbx/session.h>

#define XML "<recording/>"
#define SRC_SDP                                                                                                                            \
	"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8\r\na=label:1\r\na=sendonly\r\n"
#define SRS_SDP "v=0~o=srs 7 7 IN IP4 127.0.0.1~s=-~c=IN IP4 127.0.0.1~t=0 0~m=audio 4000 RTP/AVP 8~a=recvonly~"

extern struct rig *rig;

/* ---- the plugin ---- */

extern struct core_owner one, other;
extern const struct pbx_sessions *const service;
extern const struct pbx_session_watcher watcher;
extern const struct pbx_session_part both[2]; /* SDP and metadata */
extern pbx_session session;
extern char answer_body[2048], answer_address[80]; /* of the last answer */
extern uint32_t reply_with;                        /* in asked(); 0 leaves it for later */
extern bool close_when_told, close_when_tried;

struct pbx_session_spec recording(void);
int open_spec(const struct pbx_session_spec *spec);
void open_session(void);
/* The next thing that it hears must be this: "one answered 200", "one asked INVITE application/sdp", "one ended 481 …". What nobody asked for fails the test. */
void hears(const char *what);

/* ---- the other system ---- */

extern const char *contact;                                /* of its responses */
extern const char *proxy;                                  /* of the peer; NULL: none */
extern char our_from[256], our_contact[256], call_id[128]; /* as it knows us: keep_names() */
extern uint32_t addresses;                                 /* how often the phone's address is named */
extern bool begins_broken;                                 /* and before it one where nobody listens */
extern char tries[64]; /* what the owner of the peer was told of each: " 503 200", "!" where it was not the peer who said so */

void set_peer(const char *host, uint32_t port, const char *transport);
void by_name(void); /* the peer's addresses come from the resolver */
/* The response to what came last: with a body of that type, "": none. */
void respond(unsigned status, const char *headers, const char *type, const char *body);
void keep_names(void);              /* of the INVITE that came last */
void standing(const char *headers); /* a session that was answered with these */
void ask(const char *method, unsigned cseq, const char *headers, const char *type, const char *body);
void ack(unsigned cseq, const char *type, const char *body);
void ack_refusal(unsigned cseq);
void ends_with_bye(void);

/* main() of both programs: plain tests have a clock that runs, still ones move it. */
int session_tests(const char *name, const TTest *const *plain, size_t plain_count, const TTest *const *still, size_t still_count);
