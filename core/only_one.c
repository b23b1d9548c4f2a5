/*
 * only_one - a lock on a place that bears one daemon only
 *
 * A second daemon on the same data would take the event numbers of the first, end its calls in the records and replay its journal. So each
 * locks a file there before it reads anything. It is the lock that counts, flock(2), which goes with the process; the number written in the
 * file is for the person who is told that the place is taken.
 */
#include "only_one.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Who has written its number there; 0: nobody has yet. */
static long holder_of(int fd)
{
	char text[24] = "";
	ssize_t length = pread(fd, text, sizeof text - 1, 0);

	return length > 0 ? strtol(text, NULL, 10) : 0;
}

static void tell_holder(int fd, const char *what, const char *setting, struct pbx_diag *diag)
{
	long holder = holder_of(fd);

	if (holder > 0)
		pbx_diag_set(diag, setting,
			     "%s: another pbxd runs on it, process %ld: stop that one first (kill %ld, or systemctl stop pbxd), "
			     "or give this one its own %s",
			     what, holder, holder, setting);
	else
		pbx_diag_set(diag, setting, "%s: another pbxd runs on it: stop that one first, or give this one its own %s", what, setting);
}

/* A number that is not written costs a word in somebody's message, nothing else. */
static void sign(int fd)
{
	char text[24];
	int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, text, (size_t)length, 0);
}

int core_only_one(const char *path, const char *what, const char *setting, int *ret_fd, struct pbx_diag *diag)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640), locked = -1;

	if (fd >= 0)
		do
			locked = flock(fd, LOCK_EX | LOCK_NB);
		while (locked != 0 && errno == EINTR);
	if (locked == 0) {
		sign(fd);
		*ret_fd = fd;
		return PBX_OK;
	}

	bool taken = fd >= 0 && errno == EWOULDBLOCK;
	if (taken)
		tell_holder(fd, what, setting, diag);
	else
		pbx_diag_set(diag, setting, "%s: cannot be %s: %s", path, fd < 0 ? "opened" : "locked", strerror(errno));
	core_only_one_end(fd);
	return taken ? PBX_EEXIST : PBX_EIO;
}

void core_only_one_end(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}
