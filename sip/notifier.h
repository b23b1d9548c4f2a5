/* sip/notifier.h - who watches what, and who is told (RFC 6665); serves "pbx.notifier/1". All of it: [loop]. */
#pragma once
#include "ua.h"
#include <pbx/notifier.h>

extern const struct pbx_notifier ua_notifier_service;

int ua_notifier_start(struct ua *ua); /* PBX_OK, PBX_ENOMEM */
/* Reads the subscriptions that a crash has left; done(context) whatever came of it. */
void ua_notifier_load(void (*done)(void *context), void *context);
void ua_notifier_open(void); /* there are listeners now: NOTIFYs can leave */
void ua_notifier_stop(void); /* before the agent goes; who still watches keeps the subscription for our next start */

void ua_subscribe(struct ua_request *request); /* SUBSCRIBE, also inside its dialog: answers it in any case */
void ua_publish(struct ua_request *request);   /* PUBLISH (RFC 3903) */
void ua_notice(struct ua_request *request);    /* NOTIFY outside of dialogs: a report of a call (RFC 6035), or nothing for us */

uint32_t ua_notifier_count(void);
