/* sip/location_nodes.h - registrations of other nodes on the same database. [loop] */
#pragma once
#include "location.h"

#define UA_LOCATION_COLUMNS                                                                                                                \
	"id, aor, uri, received, transport, user_agent, instance, path, call_id, cseq, reg_id, q_milli, registered_at, expires_at, node, " \
	"written_at, listener"

/* Looks for them once a second; nothing to do when sip.node is empty. PBX_OK, PBX_ENOMEM. */
int ua_location_nodes_start(struct pbx_host *host, const char *node);
void ua_location_nodes_stop(void);
