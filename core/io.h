/* core/io.h - descriptors that owners watch; serves "pbx.io/1" (pbx/io.h). All of it: [loop]. */
#pragma once
#include <pbx/io.h>

void core_io_drop(void); /* at the end of the loop, when nothing is watched */

extern const struct pbx_io core_io_service;
