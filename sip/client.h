/* sip/client.h - requests of ours to a peer outside any dialog, and the service "pbx.sip/1". [loop] */
#pragma once
#include <pbx/sip.h>

struct ua;
void ua_clients_init(void);
void ua_clients_open(void); /* our sockets are open: requests that were made before begin */
void ua_clients_fini(void); /* the agent is still there; nobody is told */

extern const struct pbx_sip ua_sip_service;
