/*
 * door.c - poll() and accept() of CivetWeb's master thread
 *
 * CivetWeb asks poll() whether somebody knocks, accept() who it is, and gives whoever that is a thread of its own. There is nothing to say in between. So a
 * thread may have a doorkeeper, who answers both; every other thread of the process has the real functions.
 */
#include "shim.h"
#include <dlfcn.h>
#include <poll.h>

/* Under names of their own: the library's poll() only writes where it points, says its header. */
API_SHIM_EXPORT int answer_poll(struct pollfd *fds, nfds_t count, int timeout_ms) __asm__("poll");
API_SHIM_EXPORT int answer_accept(int socket, struct sockaddr *ret_from, socklen_t *size) __asm__("accept");

static int (*real_poll)(struct pollfd *fds, nfds_t count, int timeout_ms);
static int (*real_accept)(int socket, struct sockaddr *ret_from, socklen_t *size);
static _Thread_local const struct api_shim_door *door; /* NULL: the real functions */
static _Thread_local void *keeper;

__attribute__((constructor)) static void find_real_ones(void)
{
	real_poll = (int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll");
	real_accept = (int (*)(int, struct sockaddr *, socklen_t *))dlsym(RTLD_NEXT, "accept");
}

void api_shim_keep_door(const struct api_shim_door *kept, void *context)
{
	door = kept;
	keeper = context;
}

int answer_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	if (!door || count != 1)
		return real_poll(fds, count, timeout_ms);
	int called = door->wait(keeper, fds[0].fd, timeout_ms);
	fds[0].revents = called > 0 ? POLLIN : 0;
	return called;
}

int answer_accept(int socket, struct sockaddr *ret_from, socklen_t *size)
{
	return door ? door->accept(keeper, ret_from, size) : real_accept(socket, ret_from, size);
}
