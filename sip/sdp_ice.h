/* sip/sdp_ice.h - ICE and DTLS as SDP spells them: a=candidate, a=fingerprint, a=setup (RFC 8839, RFC 8122, RFC 4145). Pure functions. */
#pragma once
#include "media_desc.h"
#include <stddef.h>

/* "1 1 udp 2130706431 192.0.2.1 4000 typ host", what stands after "a=candidate:". False: not as it should be, or nothing for us (TCP, where who has active
 * ones comes by itself; a name instead of an address; a component that audio has not). */
bool ua_sdp_candidate_read(const char *value, struct core_candidate *ret_candidate);
#define UA_SDP_CANDIDATE_SIZE 160u
/* The same text for one of ours; by TCP it is passive. */
void ua_sdp_candidate_write(const struct core_candidate *candidate, char ret_value[UA_SDP_CANDIDATE_SIZE]);

/* "sha-256 AB:CD:…" into hash and fingerprint; setup stays. False: not as it should be, or a hash that proves nothing any more. */
bool ua_sdp_fingerprint_read(const char *value, struct core_dtls *dtls);
#define UA_SDP_FINGERPRINT_SIZE 208u
void ua_sdp_fingerprint_write(const struct core_dtls *dtls, char ret_value[UA_SDP_FINGERPRINT_SIZE]);

/* CORE_SETUP_…; value NULL: what is meant where nothing is said (RFC 4145 4). */
uint8_t ua_sdp_setup_read(const char *value, bool is_answer);
const char *ua_sdp_setup_name(uint8_t setup);

/* What comes late, a piece of SDP (RFC 8840 9): the name, where it stands there, and candidates for audio. False: there is none. */
bool ua_sdp_fragment_read(const char *body, size_t size, struct core_ice *ret_more);

/* A name as the grammar has it. False: no ICE, for us. */
bool ua_sdp_ice_name_read(const char *ufrag, const char *pwd, struct core_ice_name *ret_name);
