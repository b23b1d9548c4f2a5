/* core/status.h - what a part of the daemon adds to `pbxctl status`. [loop] */
#pragma once
#include <pbx/json.h>

/* tell(self) returns an owned object, shown as the group `name` (a literal); NULL: no memory. PBX_OK, PBX_ENOMEM. */
int core_status_add(const char *name, struct pbx_json *(*tell)(void *self), void *self);
void core_status_remove(const char *name); /* nothing happens when it is not there */
