/* core/lamps.h - lamps that are no telephone line; serves "pbx.lamps/1". [loop] */
#pragma once
#include <pbx/lamps.h>

extern const struct pbx_lamps core_lamps_service;
