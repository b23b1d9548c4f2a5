/* core/json_auto.h - AUTO(json) frees a tree at the end of the scope */
#pragma once
#include "auto.h"
#include "json.h"

static inline void json_auto_(struct pbx_json **at)
{
	core_json_free(*at);
}
