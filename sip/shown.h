/* sip/shown.h - what commands and REST tell of listeners and of the quirks of phones. [loop] */
#pragma once
#include "ua.h"
#include <pbx/requests.h>

void ua_show_listeners(void *ua, pbx_request request);
void ua_show_quirks(void *ua, pbx_request request);
