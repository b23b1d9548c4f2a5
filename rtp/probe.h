/* rtp/probe.h - can this file be played? [loop]; the file is opened in the pool. */
#pragma once
#include <pbx/media.h>

int rtp_probe(struct pbx_host *host, const char *path, void (*done)(void *self, int result, const struct pbx_file_info *info), void *self);
