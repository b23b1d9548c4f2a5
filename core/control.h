/* core/control.h - the Unix socket on which the machine's administrators give commands. All of it: [loop].
 *
 * Whoever may open it is told by the kernel (SO_PEERCRED): root, the daemon's own user and the members of its group administer; others
 * are refused with a line that says so. Requests and answers are JSON, one a line, answered in the order asked:
 *
 *   {"words": ["parking", "list"]}        a command as typed after pbxctl
 *   {"words": ["__commands"]}             the table of all commands
 *
 *   {"status": 200, "body": …}            the answer; from 400 on body is a problem (RFC 9457)
 *   {"status": 200, "content_type": "text/markdown", "text": "…"}    an answer that is not JSON
 *   {"status": 200, "stream": "application/x-ndjson"}, {"data": "…"}…, {"end": true}    a long one, in pieces */
#pragma once
#include <pbx/abi.h>

#define CORE_CONTROL_LINE_BYTES 65536u /* the longest request */
#define CORE_CONTROL_WORDS 64u         /* in one request */
#define CORE_CONTROL_CLIENTS 64u       /* at a time */

/* Listens at path; a socket left behind by a dead daemon is replaced. PBX_OK, PBX_EINVAL (path too long), PBX_EEXIST (a daemon listens there),
 * PBX_EIO; diag tells what to do. */
int core_control_start(const char *path, struct pbx_diag *diag);
void core_control_stop(void);
/* Whether core_control_start would find the path free; nothing is changed. PBX_OK, PBX_EINVAL and PBX_EEXIST as there. */
int core_control_is_free(const char *path, struct pbx_diag *diag);
