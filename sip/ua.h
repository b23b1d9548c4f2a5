/* sip/ua.h - what the files of sip/ share: the part's instance, its settings, and a request that has come in. All of it: [loop]. */
#pragma once
#include "media_desc.h"
#include "leg_driver.h"
#include <pbx/json.h>
#include <pbx/location.h>

struct pbx_sip_peer;

/* What Sofia hands back to our callbacks. */
struct ua;
struct ua_dialog;
struct ua_peer;
#define NTA_AGENT_MAGIC_T struct ua
#define NTA_LEG_MAGIC_T struct ua_dialog
#define NTA_OUTGOING_MAGIC_T struct ua_dialog
#define NTA_INCOMING_MAGIC_T struct ua_dialog
#define NTA_RELIABLE_MAGIC_T struct ua_dialog
#include <sofia-sip/nta.h>
#include <sofia-sip/nta_stateless.h>
#include <sofia-sip/nta_tport.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/tport.h>

struct ua_settings {
	struct pbx_list listen, local_networks, peers, trusted, md5_only_agents;
	struct pbx_objects listeners;    /* struct ua_listener_settings */
	struct pbx_objects phone_quirks; /* struct ua_quirk */
	struct pbx_list pass_headers, field_headers, websocket_allow;
	bool send_p_asserted_identity, send_remote_party_id, send_mac_address, accept_mac_in_invite;
	const char *refer_from_outside, *refer_elsewhere;
	const char *domain, *external_address, *user_agent, *session_timers, *reliable;
	const char *certificate, *key, *tls_authorities, *tls_clients;
	bool tls_verify, tls_accounts;
	uint32_t idle_s;
	uint32_t min_expires_s, max_expires_s, default_expires_s, max_contacts, keepalive_s;
	struct pbx_list service_route, push_services;
	const char *node;
	uint32_t flow_timer_s, flow_answer_s, first_message_s;
	uint32_t flood_rate, flood_burst, packet_rate, packet_burst, dscp, udp_mtu;
	uint32_t session_expires_s, min_se_s;
	uint32_t max_subscriptions;
	uint32_t auth_failures, auth_window_s, auth_block_s;
};

/* One of sip.listeners: what is empty is as sip says. */
struct ua_listener_settings {
	const char *name, *realm, *external_address, *media_address, *nat, *tls_clients, *certificate, *key;
	struct pbx_list listen, allow, local_networks, codecs;
};

/* Rows of the metrics table. */
#define UA_METRIC_REQUESTS 0u
#define UA_METRIC_RESPONSES 1u
#define UA_METRIC_EXTENSIONS 2u
#define UA_METRIC_REGISTRATIONS 3u
#define UA_METRIC_AUTH 4u
#define UA_METRIC_FLOOD 5u
#define UA_METRIC_DIALOGS 6u
#define UA_METRIC_SUBSCRIPTIONS 7u
#define UA_METRIC_MALFORMED 8u
#define UA_METRIC_NOT_ALLOWED 9u
#define UA_METRIC_SESSIONS 10u

/* The part itself. */
struct ua {
	PBX_INSTANCE(struct ua_settings);
	su_root_t *root;
	nta_agent_t *agent;
	struct ua_dialog *dialogs; /* every one that still has memory */
	uint32_t dialog_count;
	const tport_t *door; /* transport.c: where the gateway connects for its WebSocket clients */
	bool uv_ready;       /* agent.c: the root's wait saw libuv's descriptor ready */
};

/* An out-of-dialog request on its way through flood guard, authentication and its method. Borrowed until the callback returns. */
struct ua_request {
	struct ua *ua;
	msg_t *msg; /* owned until a reply or a transaction has taken it */
	sip_t *sip;
	struct core_addr source;
	char address[80];      /* "192.0.2.7:5060", "[2001:db8::1]:5060" */
	const char *transport; /* "udp", "tcp", "tls", "ws", "wss" */
	const char *listener;  /* by which it came, listener.h; NULL: by the gateway */
	bool from_peer;
	struct ua_peer *peer; /* borrowed; NULL: none of pbx.sip/1 */
	char certified[64];   /* the account that its TLS certificate names, "" for none */
	char account[64];     /* whom the credentials proved, "" for none */
	uint64_t proof;       /* of a REGISTER with credentials: it has the same when it comes again */
	bool repeated;        /* it has been accepted and answered before */
	pbx_leg came_from;    /* an INVITE of this leg of ours, which a proxy has sent back to us */
};

/* An accepted REGISTER that is answered when what it changed is safe. */
struct ua_answer {
	struct ua *ua;
	msg_t *msg;
	const sip_t *sip;
	tport_t *tport; /* whence it came */
	uint64_t proof;
	char account[64];
};

extern struct ua *ua_part; /* the running one: there is one core in a process, and one of us. NULL before start and after stop */

void ua_count(struct ua *ua, uint32_t metric, const char *labels);

/* Answers without a transaction and gives the message back: nothing remains of a request that proved nothing. */
void ua_refuse(struct ua_request *request, int status, const char *phrase, const char *headers);
/* Takes the request's message, to be answered later without a transaction. NULL: no memory. */
struct ua_answer *ua_answer_new(struct ua_request *request);
/* 200 with these headers, complete lines separated by newlines; frees the answer. */
void ua_answer_send(struct ua_answer *answer, const char *headers);
/* Makes a server transaction of it. The request's message belongs to it. NULL: no memory. */
nta_incoming_t *ua_take_transaction(struct ua_request *request);
/* A final answer of a transaction that nobody wants to hear about again. headers: complete lines separated by newlines, or NULL. */
void ua_reply(struct ua *ua, nta_incoming_t *irq, int status, const char *phrase, const char *headers);

/* The extensions we know, for Supported: "replaces, timer, 100rel" as the settings are. */
#define UA_SUPPORTED_SIZE 32u
void ua_supported(const struct ua *ua, const struct pbx_sip_peer *peer, char ret_text[UA_SUPPORTED_SIZE]);
/* Which of the extensions a request requires we do not have, as an Unsupported header line. False: we have them all. */
bool ua_requires_unknown(const struct ua *ua, const struct pbx_sip_peer *peer, const sip_t *sip, char *ret_header, size_t size);

/* Sofia takes a URI as text through a pointer of another name. */
static inline const url_string_t *ua_url(const char *text)
{
	return (const url_string_t *)text;
}

/* What every listener is opened with. Sofia's built-in STUN server is left out: it loses memory with every malformed request and prints about
 * it. */
#define UA_LISTENER_TAGS(settings)                                                                                                         \
	TPTAG_QUEUESIZE(64), TPTAG_IDLE((settings)->idle_s * 1000), TPTAG_TIMEOUT(60000), TPTAG_UDP_RMEM(4194304), TPTAG_PONG2PING(1),     \
		TPTAG_STUN_SERVER(0), TPTAG_LOG(1)

/* For requests that stay with UDP whatever their size: the way through a NAT is of one transport (RFC 3261 18.1.1 has others in mind). */
#define UA_ANY_SIZE 65535

#define UA_ALLOW "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, INFO, UPDATE, REFER, REGISTER, SUBSCRIBE, NOTIFY, PUBLISH"
#define UA_ALLOW_LINE "Allow: " UA_ALLOW      /* for SIPTAG_UNKNOWN_STR: Sofia need not take the list apart to print it again */
#define UA_ALLOW_OUTSIDE UA_ALLOW ", MESSAGE" /* outside of dialogs */
