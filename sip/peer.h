/* sip/peer.h - other SIP systems by name: what was said about them, how many calls they have, which requests are theirs. All of it: [loop].
 *
 * A peer is replaced as a whole when something about it changes; dialogs and clients hold on to the one they began with. How many calls
 * there are, and which addresses its name turned out to have, goes on from one to the next. */
#pragma once
#include "ua.h"
#include "owner.h"
#include <pbx/sip.h>

#define UA_PEER_NAME 64u
#define UA_MOST_LEARNED 16u

/* What outlives a change of the peer. */
struct ua_peer_traffic {
	uint32_t refs;
	uint32_t calls_in, calls_out;
	uint64_t second_at_ms; /* the second that is counted, and how many calls began in it */
	uint32_t in_second;
	struct core_addr learned[UA_MOST_LEARNED]; /* what its host's name stands for */
	uint32_t learned_count;
};

struct ua_peer {
	su_home_t home[1]; /* all texts and lists below are in it, and the peer itself */
	struct ua_peer *next;
	struct core_charge charge; /* whose it is; none once it was replaced or removed */
	uint32_t refs;
	struct pbx_sip_peer is; /* texts never NULL */
	struct ua_peer_traffic *traffic;
};

int ua_peer_set(struct pbx_host *host, const struct pbx_sip_peer *peer, struct pbx_diag *diag); /* as pbx_sip.set_peer */
int ua_peer_remove(struct pbx_host *host, const char *name);
int ua_peer_state(const char *name, struct pbx_sip_peer_state *ret_state);

/* "sip:host:port" of it, and who we are there: "sip:user@domain". In home; NULL: no memory. */
char *ua_peer_uri(const struct pbx_sip_peer *peer, su_home_t *home);
char *ua_peer_own_uri(const struct pbx_sip_peer *peer, su_home_t *home);

const struct pbx_sip_peer *ua_peer_says(const struct ua_peer *peer); /* NULL: of NULL, a device */
const char *ua_peer_srtp(const char *name);                          /* its word about SRTP; "" */
const char *ua_peer_dtmf(const char *name);                          /* and about keys */
uint8_t ua_peer_media_dscp(const char *name);                        /* and about the DSCP of media; 0 */
const char *ua_peer_t38(const char *name);                           /* and about fax */
struct ua_peer *ua_peer_find(const char *name);                      /* borrowed; NULL */
struct ua_peer *ua_peer_ref(struct ua_peer *peer);
void ua_peer_unref(struct ua_peer *peer); /* NULL is fine */

/* Whose request it is: by the token we registered with, by source address, by the name in the certificate it came with ("" for none).
 * Borrowed; NULL: nobody's. */
struct ua_peer *ua_peer_of(const sip_t *sip, const struct core_addr *source, const char *certificate);
/* By source address alone. Borrowed; NULL: nobody's. */
struct ua_peer *ua_peer_at(const struct core_addr *source);
/* Whether there is a peer of that name, and with remote whether the address is its. */
bool ua_peer_is_at(const char *name, const struct core_addr *remote);
/* DSCP of signalling that goes to this address; 0: as sip.dscp says. */
uint8_t ua_peer_dscp_towards(const struct core_addr *end);
/* How often a connection to this address is to be kept alive, in milliseconds; 0: it is not. */
uint32_t ua_peer_keepalive_towards(const struct core_addr *end);
/* Tells those whose it was of such a connection that is over. */
void ua_peer_flow_failed(const struct core_addr *end);
/* Its host's name stands for these addresses now. */
void ua_peer_learn(struct ua_peer *peer, const struct core_addr *addresses, uint32_t count);

/* One call more. False: it has as many as it may have. leave() follows for each that was let in. */
bool ua_peer_enter(struct ua_peer *peer, bool inbound, bool is_emergency);
void ua_peer_leave(struct ua_peer *peer, bool inbound);

/* Keeps the codecs that the peer is to be offered, in its order; keys and comfort noise stay. False: none is left. */
bool ua_peer_pick_codecs(const struct ua_peer *peer, struct core_media_desc *desc);
/* The same for any list of codecs; an empty one keeps them all. */
bool ua_codecs_pick(const struct pbx_list *wanted, struct core_media_desc *desc);
/* The same, but they stay in their order. */
bool ua_codecs_keep(const struct pbx_list *wanted, struct core_media_desc *desc);
/* Says what became of a try, when somebody wants to know. */
void ua_peer_attempted(const struct ua_peer *peer, const struct pbx_sip_attempt *attempt);
