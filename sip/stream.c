/*
 * stream.c - each message of a connection is limited, not only its first, and none is lost when one is over
 *
 * Sofia gives the limit (NTATAG_MAXSIZE) to the message that a connection begins with. When bytes of a further one have come along, msg_next() makes that out
 * of the class alone, without the limit: it may grow as long as somebody sends, and a Content-Length near 2^32 makes its 32 bits of length wrap, so that the
 * zero behind the body is written four gigabytes away. Two messages in one segment ended the process.
 *
 * What comes behind the end of a body goes into a message of its own before it is read. When more comes at once than that may hold, tport_recv_iovec()
 * fails, the connection ends, and the message is forgotten: a kilobyte of memory each time.
 *
 * Both functions are exported by the library and called through the procedure linkage table, so ours stand in their place (as in tap.c).
 */
#include "stream.h"
#include <dlfcn.h>
#include <pbx/abi.h>
#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/tport.h>
#include <string.h>

typedef msg_t *(*next_fn)(msg_t *);
typedef ssize_t (*receive_fn)(const tport_t *, msg_t **, msg_iovec_t *, size_t, int);

PBX_EXPORT msg_t *msg_next(msg_t *msg);
PBX_EXPORT ssize_t tport_recv_iovec(const tport_t *tport, msg_t **in_out_msg, msg_iovec_t *parts, size_t size, int exact);

PBX_EXPORT msg_t *msg_next(msg_t *msg)
{
	static next_fn real;

	if (!real)
		real = (next_fn)dlsym(RTLD_NEXT, "msg_next");
	msg_t *next = real(msg);
	if (next)
		(void)msg_maxsize(next, msg_maxsize(msg, 0)); /* 0 asks */
	return next;
}

PBX_EXPORT ssize_t tport_recv_iovec(const tport_t *tport, msg_t **in_out_msg, msg_iovec_t *parts, size_t size, int exact)
{
	static receive_fn real;

	if (!real)
		real = (receive_fn)dlsym(RTLD_NEXT, "tport_recv_iovec");
	ssize_t count = real(tport, in_out_msg, parts, size, exact);
	if (count < 0 && *in_out_msg)
		msg_destroy(msg_next(*in_out_msg)); /* nobody else knows it any more */
	return count;
}

bool ua_stream_is_limited(void)
{
	void *named = dlsym(RTLD_DEFAULT, "msg_next");
	next_fn ours = msg_next;
	void *own;

	memcpy(&own, &ours, sizeof own);
	return named == own && dlsym(RTLD_NEXT, "msg_next");
}
