/* tests/bench/codec_set.h - the codecs of a build's plugins with their settings as shipped, without the plugin host
 *
 * What rtp/ asks the host about codecs is answered here; until one is loaded there are the core's own alone. */
#pragma once
#include "coded.h"

/* plugins: the folder with a folder for each. Exits when there is none, or one cannot be loaded. */
void codec_set_load(const char *plugins);
/* A codec by its name in settings, "opus" or "L16/16000", as somebody would describe it who offers what we do. Exits when there is none. */
struct core_codec codec_set_find(const char *name);
