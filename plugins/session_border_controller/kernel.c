/*
 * kernel - has the kernel drop who is banned, by a helper that may tell it to
 *
 * pbxd must not change the kernel's rules; pbx-bans (helper/pbx-bans.c) may, and does nothing else. We are its client: when the connection stands it
 * hears of everybody who is kept out, then of each change. It keeps single addresses and /64s of IPv6; larger networks stay with us, and so does everything
 * while there is no helper: nobody is let in for want of it.
 */
#include "sbc.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define AGAIN_MS 3000u
#define MOST_WAITING (4u << 20) /* bytes: more than all there can be */

/* ---- the connection ------------------------------------------------------------------- */

static void let_go(struct sbc *sbc)
{
	struct kernel *kernel = &sbc->kernel;

	if (kernel->descriptor > 0) {
		(void)sbc->io->stop(kernel->watch);
		(void)close(kernel->descriptor);
	}
	free(kernel->text);
	*kernel = (struct kernel){ .again_at_ms = kernel->again_at_ms };
}

/* Said once for each reason, not with each try. */
static void give_up(struct sbc *sbc, const char *reason)
{
	struct kernel *kernel = &sbc->kernel;

	let_go(sbc);
	kernel->again_at_ms = sbc->host->now_ms(sbc->host) + AGAIN_MS;
	if (strcmp(sbc->kernel_state, reason) == 0)
		return;
	(void)snprintf(sbc->kernel_state, sizeof sbc->kernel_state, "%s", reason);
	pbx_warn(sbc->host, "kernel_bans_failed",
		 "socket=%s reason=\"%s\" meaning=\"bans are kept by pbxd alone; it tries again every %u s\"", sbc->kernel_path, reason,
		 AGAIN_MS / 1000);
}

static void flush(struct sbc *sbc)
{
	struct kernel *kernel = &sbc->kernel;

	if (kernel->descriptor <= 0)
		return;
	ssize_t sent = kernel->used > 0 ? send(kernel->descriptor, kernel->text, kernel->used, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (sent < 0 && errno != EAGAIN) {
		give_up(sbc, strerror(errno));
		return;
	}
	if (sent > 0) {
		kernel->used -= (size_t)sent;
		memmove(kernel->text, kernel->text + sent, kernel->used);
	}
	(void)sbc->io->change(kernel->watch, kernel->used > 0 ? PBX_IO_READ | PBX_IO_WRITE : PBX_IO_READ); /* it is ours, and open */
}

static void say(struct sbc *sbc, const char *line)
{
	struct kernel *kernel = &sbc->kernel;
	size_t length = strlen(line);

	if (kernel->used + length > kernel->size) {
		size_t size = (kernel->used + length) * 2;
		char *text = size <= MOST_WAITING ? realloc(kernel->text, size) : NULL;
		if (!text) {
			give_up(sbc, size <= MOST_WAITING ? "no memory" : "pbx-bans reads too slowly");
			return;
		}
		kernel->text = text;
		kernel->size = size;
	}
	memcpy(kernel->text + kernel->used, line, length);
	kernel->used += length;
}

/* ---- what it is told ------------------------------------------------------------------ */

static bool is_for_kernel(const struct sbc *sbc, const struct entry *entry)
{
	return sbc->kernel.descriptor > 0 && entry->list == LIST_DENY && entry->network.bits == network_of_host(entry->network.bytes).bits;
}

static void say_ban(struct sbc *sbc, const struct entry *entry)
{
	int64_t left_us = entry->expires_us - sbc->host->wall_us(sbc->host);
	char host[NETWORK_TEXT], line[NETWORK_TEXT + 32];

	if (!is_for_kernel(sbc, entry) || lists_find(sbc, entry->network.bytes)->list == LIST_ALLOW)
		return;
	network_print_host(entry->network.bytes, host);
	if (entry->expires_us)
		(void)snprintf(line, sizeof line, "ban %s %lld\n", host, (long long)(left_us > 0 ? left_us / 1000000 + 1 : 1));
	else
		(void)snprintf(line, sizeof line, "ban %s 0\n", host);
	say(sbc, line);
}

void kernel_ban(struct sbc *sbc, const struct entry *entry)
{
	say_ban(sbc, entry);
	flush(sbc);
}

void kernel_forgive(struct sbc *sbc, const struct entry *entry)
{
	char host[NETWORK_TEXT], line[NETWORK_TEXT + 16];

	if (!is_for_kernel(sbc, entry))
		return;
	network_print_host(entry->network.bytes, host);
	(void)snprintf(line, sizeof line, "forgive %s\n", host);
	say(sbc, line);
	flush(sbc);
}

void kernel_tell_all(struct sbc *sbc)
{
	if (sbc->kernel.descriptor <= 0)
		return;
	say(sbc, "forget\n");
	for (const struct entry *entry = sbc->lists.entries; entry; entry = entry->next)
		say_ban(sbc, entry);
	flush(sbc);
}

/* ---- what it says --------------------------------------------------------------------- */

static void on_line(struct sbc *sbc, const char *line)
{
	if (strcmp(line, "ready") == 0) {
		(void)snprintf(sbc->kernel_state, sizeof sbc->kernel_state, "on");
		pbx_notice(sbc->host, "kernel_bans_ready", "socket=%s", sbc->kernel_path);
		return;
	}
	pbx_warn(sbc->host, "kernel_ban_refused", "socket=%s reason=\"%.200s\"", sbc->kernel_path, line);
}

static void on_io(void *self, pbx_io_watch watch, uint32_t what)
{
	struct sbc *sbc = self;
	char text[512], *line = text, *end;

	(void)watch;
	if (what & (PBX_IO_READ | PBX_IO_FAILED)) {
		ssize_t got = recv(sbc->kernel.descriptor, text, sizeof text - 1, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN)) {
			give_up(sbc, got == 0 ? "pbx-bans has closed the connection: its journal says why" : strerror(errno));
			return;
		}
		text[got > 0 ? got : 0] = '\0';
		for (; (end = strchr(line, '\n')); line = end + 1) { /* half a line is cut off: it is for the log only */
			*end = '\0';
			on_line(sbc, line);
		}
	}
	if (what & PBX_IO_WRITE)
		flush(sbc);
}

/* ---- once a second -------------------------------------------------------------------- */

static const char *reason_of(int error)
{
	return error == ENOENT || error == ECONNREFUSED ? "pbx-bans is not there: install warden-pbx-nftables, or start pbx-bans.socket"
	       : error == EACCES                        ? "the socket is not for this user: its group has to be pbx"
							: strerror(error);
}

static void reach(struct sbc *sbc)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct kernel *kernel = &sbc->kernel;

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", sbc->kernel_path);
	int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (descriptor < 0 || connect(descriptor, (const struct sockaddr *)&address, sizeof address) != 0) {
		int error = errno;
		if (descriptor >= 0)
			(void)close(descriptor);
		give_up(sbc, reason_of(error));
		return;
	}
	if (sbc->io->watch(sbc->host, descriptor, PBX_IO_READ, on_io, sbc, &kernel->watch) != PBX_OK) {
		(void)close(descriptor);
		give_up(sbc, "no memory");
		return;
	}
	kernel->descriptor = descriptor;
	kernel_tell_all(sbc);
}

void kernel_second(struct sbc *sbc)
{
	const char *wanted = sbc->settings->enabled ? sbc->settings->kernel_bans : "";
	struct kernel *kernel = &sbc->kernel;

	if (strcmp(wanted, sbc->kernel_path) != 0) {
		if (kernel->descriptor > 0)
			say(sbc, "forget\n"); /* nobody would keep them up to date */
		flush(sbc);
		let_go(sbc);
		kernel->again_at_ms = 0;
		(void)snprintf(sbc->kernel_path, sizeof sbc->kernel_path, "%s", wanted);
		(void)snprintf(sbc->kernel_state, sizeof sbc->kernel_state, "off");
	}
	if (sbc->kernel_path[0] && kernel->descriptor <= 0 && sbc->host->now_ms(sbc->host) >= kernel->again_at_ms)
		reach(sbc);
}

void kernel_free(struct sbc *sbc)
{
	let_go(sbc);
}
