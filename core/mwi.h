/* core/mwi.h - message counts of mailboxes; serves "pbx.mwi/1". [loop] */
#pragma once
#include <pbx/mwi.h>

extern const struct pbx_mwi core_mwi_service;
