/*
 * stream.c - each message of a connection is limited, not only its first
 *
 * Sofia gives the limit (NTATAG_MAXSIZE) to the message that a connection begins with. When bytes of a further one have come along, msg_next() makes that out
 * of the class alone, without the limit: it may grow as long as somebody sends, and a Content-Length near 2^32 makes its 32 bits of length wrap, so that the
 * zero behind the body is written four gigabytes away. Two messages in one segment ended the process. The function is exported by the library and called
 * through the procedure linkage table, so ours stands in its place (as in tap.c) and hands the limit on.
 */
#include "stream.h"
#include <dlfcn.h>
#include <pbx/abi.h>
#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <string.h>

PBX_EXPORT msg_t *msg_next(msg_t *msg);

static msg_t *(*sofia_next)(msg_t *);

static void find(void)
{
	void *theirs = dlsym(RTLD_NEXT, "msg_next");

	memcpy(&sofia_next, &theirs, sizeof sofia_next);
}

msg_t *msg_next(msg_t *msg)
{
	if (!sofia_next)
		find();
	msg_t *next = sofia_next ? sofia_next(msg) : NULL;
	if (next) {
		usize_t most = msg_maxsize(msg, 0); /* there is no way to ask but to set */

		(void)msg_maxsize(msg, most);
		(void)msg_maxsize(next, most);
	}
	return next;
}

bool ua_stream_is_limited(void)
{
	void *named = dlsym(RTLD_DEFAULT, "msg_next");
	msg_t *(*ours)(msg_t *) = msg_next;
	void *own;

	memcpy(&own, &ours, sizeof own);
	return named == own && dlsym(RTLD_NEXT, "msg_next");
}
