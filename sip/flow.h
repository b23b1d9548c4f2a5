/* sip/flow.h - connections that are kept alive (RFC 5626): ours to peers by us, phones' by the phones. [loop] */
#pragma once
#include "connection.h"

int ua_flows_start(struct ua *ua); /* PBX_OK, PBX_ENOMEM */
void ua_flows_stop(void);
/* A connection is about to go: whoever wanted it kept alive is told. */
void ua_flow_over(const struct ua_connection *connection);
