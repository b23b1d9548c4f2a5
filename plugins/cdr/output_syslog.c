/*
 * output_syslog - records to a syslog server, a message of JSON each
 *
 * UDP and TCP carry RFC 5424 messages, TCP with octet counts (RFC 6587 3.4.1); a local socket gets the form that syslog(3) writes, which is what
 * local daemons read. Over TCP a record is acknowledged when the other side's system has confirmed every byte; syslog has no
 * answer of its own. UDP tells nothing but "nobody listens", and not always that: who must not lose one takes TCP.
 */
#include "output.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/sockios.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 5000
#define SEVERITY_INFO 6u
#define FIRST_LOCAL_FACILITY 16u

int syslog_parse(const char *text, struct syslog_target *ret_target)
{
	struct syslog_target target = { .host = "/dev/log" };
	const char *rest = strchr(text, ':'), *port = rest ? strrchr(text, ':') : NULL;
	size_t scheme = rest ? (size_t)(rest - text) : strlen(text);

	if (scheme >= sizeof target.scheme)
		return PBX_EINVAL;
	memcpy(target.scheme, text, scheme);
	if (strcmp(target.scheme, "local") == 0) {
		if (rest && (rest[1] != '/' || strlen(rest + 1) >= sizeof((struct sockaddr_un *)0)->sun_path))
			return PBX_EINVAL;
		if (rest)
			(void)snprintf(target.host, sizeof target.host, "%s", rest + 1);
		*ret_target = target;
		return PBX_OK;
	}
	if ((strcmp(target.scheme, "udp") != 0 && strcmp(target.scheme, "tcp") != 0) || !rest || port == rest)
		return PBX_EINVAL;
	size_t host = (size_t)(port - rest - 1);
	bool bracketed = host > 2 && rest[1] == '[' && port[-1] == ']';
	size_t digits = strspn(port + 1, "0123456789");

	if (host == 0 || host >= sizeof target.host || digits == 0 || digits > 5 || port[1 + digits] || strtoul(port + 1, NULL, 10) > 65535)
		return PBX_EINVAL;
	(void)snprintf(target.host, sizeof target.host, "%.*s", (int)(bracketed ? host - 2 : host), rest + (bracketed ? 2 : 1));
	(void)snprintf(target.port, sizeof target.port, "%s", port + 1);
	*ret_target = target;
	return PBX_OK;
}

struct syslog_job {
	struct output *output;
	struct outgoing *records;
	uint32_t count, sent;
	uint32_t priority;
	struct syslog_target target;
	int fd; /* kept from job to job; -1: none */
	char reason[200];
};

static void job_free(struct syslog_job *job)
{
	if (job)
		outgoing_free_all(job->records);
	free(job);
}

/* ---- [work]: connection ---------------------------------------------------------------- */

static int failed(struct syslog_job *job, const char *what, int err)
{
	(void)snprintf(job->reason, sizeof job->reason, "%s %s%s%.60s%s%.60s", what, job->target.port[0] ? job->target.scheme : "",
		       job->target.port[0] ? ":" : "", job->target.host, ": ", strerror(err));
	if (job->fd >= 0)
		(void)close(job->fd);
	job->fd = -1;
	return PBX_EIO;
}

static void set_timeouts(int fd)
{
	const struct timeval wait = { .tv_sec = WAIT_MS / 1000 };

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait); /* connect() too (socket(7)) */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

static int connect_local(struct syslog_job *job)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	int err = 0;

	(void)snprintf(to.sun_path, sizeof to.sun_path, "%.107s", job->target.host);
	for (size_t i = 0; i < 2; i++) {
		job->fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);
		if (job->fd < 0)
			return failed(job, "cannot reach", errno);
		set_timeouts(job->fd);
		if (connect(job->fd, (const struct sockaddr *)&to, sizeof to) == 0)
			return PBX_OK;
		err = errno;
		(void)close(job->fd);
		job->fd = -1;
		if (err != EPROTOTYPE)
			break;
	}
	return failed(job, "cannot reach", err);
}

static int connect_inet(struct syslog_job *job)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
					.ai_socktype = strcmp(job->target.scheme, "tcp") == 0 ? SOCK_STREAM : SOCK_DGRAM };
	struct addrinfo *found = NULL;
	int err = getaddrinfo(job->target.host, job->target.port, &hints, &found);

	if (err != 0) {
		(void)snprintf(job->reason, sizeof job->reason, "%.100s is not found: %s", job->target.host, gai_strerror(err));
		return PBX_EIO;
	}
	for (const struct addrinfo *at = found; at && job->fd < 0; at = at->ai_next) {
		int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);

		if (fd >= 0)
			set_timeouts(fd);
		if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
			job->fd = fd;
			break;
		}
		err = errno;
		if (fd >= 0)
			(void)close(fd);
	}
	freeaddrinfo(found);
	return job->fd >= 0 ? PBX_OK : failed(job, "cannot reach", err);
}

/* A server that has gone since the last job has closed its side, which a write would find out only after the first loss. */
static bool is_closed(int fd)
{
	struct pollfd look = { .fd = fd, .events = POLLIN | POLLRDHUP };

	return poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static int reach(struct syslog_job *job)
{
	bool is_local = strcmp(job->target.scheme, "local") == 0;

	if (job->fd >= 0 && is_closed(job->fd)) {
		(void)close(job->fd);
		job->fd = -1;
	}
	if (job->fd >= 0)
		return PBX_OK;
	return is_local ? connect_local(job) : connect_inet(job);
}

/* ---- [work]: messages ------------------------------------------------------------------ */

/* RFC 5424 6; the local form is syslog(3)'s, which has no host. */
static size_t head_of(const struct syslog_job *job, const struct outgoing *record, const char *host, char *out, size_t size)
{
	time_t second = (time_t)(record->ended_us / 1000000);
	char when[32] = "";
	struct tm tm;

	if (strcmp(job->target.scheme, "local") == 0) {
		if (localtime_r(&second, &tm))
			(void)strftime(when, sizeof when, "%b %e %H:%M:%S", &tm);
		return (size_t)snprintf(out, size, "<%u>%s pbx-cdr[%d]: ", job->priority, when, (int)getpid());
	}
	if (gmtime_r(&second, &tm))
		(void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
	return (size_t)snprintf(out, size, "<%u>1 %s.%03dZ %s pbx-cdr %d cdr - ", job->priority, when,
				(int)(record->ended_us / 1000 % 1000), host, (int)getpid());
}

static bool is_local_stream(const struct syslog_job *job)
{
	int type = 0;
	socklen_t size = sizeof type;

	return strcmp(job->target.scheme, "local") == 0 && getsockopt(job->fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_STREAM;
}

static int send_one(struct syslog_job *job, const struct outgoing *record, const char *host)
{
	bool is_tcp = strcmp(job->target.scheme, "tcp") == 0, ends_with_zero = is_local_stream(job);
	char head[512], *message = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&message, &size);
	size_t head_size = head_of(job, record, host, head, sizeof head);

	if (!out)
		return failed(job, "cannot prepare a message for", errno);
	if (is_tcp)
		(void)fprintf(out, "%zu ", head_size + strlen(record->text));
	(void)fprintf(out, "%s%s", head, record->text);
	if (ends_with_zero)
		(void)fputc('\0', out);
	(void)fclose(out);
	int err = message ? output_write(job->fd, message, size) : PBX_ENOMEM;
	free(message);
	return err == PBX_OK ? PBX_OK : failed(job, "cannot write to", errno);
}

/* Until the other side's system has confirmed all bytes: TCP. */
static int await_confirmed(struct syslog_job *job)
{
	const struct timespec pause = { .tv_nsec = 2000000 };

	for (int waited_ms = 0; waited_ms < WAIT_MS; waited_ms += 2) {
		int unconfirmed = 0;

		if (is_closed(job->fd))
			return failed(job, "no confirmation from", ECONNRESET);
		if (ioctl(job->fd, SIOCOUTQ, &unconfirmed) != 0)
			return failed(job, "no confirmation from", errno);
		if (unconfirmed == 0)
			return PBX_OK;
		(void)nanosleep(&pause, NULL);
	}
	return failed(job, "no confirmation from", ETIMEDOUT);
}

/* "Nobody listens" comes back to the socket, for the datagram before. */
static int socket_error(struct syslog_job *job)
{
	int err = 0;
	socklen_t size = sizeof err;

	if (getsockopt(job->fd, SOL_SOCKET, SO_ERROR, &err, &size) == 0 && err)
		return failed(job, "cannot write to", err);
	return PBX_OK;
}

static void work(void *data)
{
	struct syslog_job *job = data;
	char host[256] = "-";
	int err = reach(job);

	if (gethostname(host, sizeof host - 1) != 0 || !host[0])
		(void)snprintf(host, sizeof host, "-");
	for (const struct outgoing *record = job->records; record && err == PBX_OK; record = record->next)
		err = send_one(job, record, host);
	if (err == PBX_OK)
		err = strcmp(job->target.scheme, "tcp") == 0 ? await_confirmed(job) : socket_error(job);
	if (err == PBX_OK)
		job->sent = job->count;
}

/* ---- [loop] ---------------------------------------------------------------------------- */

static bool is_still_meant(const struct syslog_job *job)
{
	struct syslog_target now = { .port = "" };

	return syslog_parse(job->output->cdr->settings->syslog, &now) == PBX_OK && strcmp(now.scheme, job->target.scheme) == 0 &&
	       strcmp(now.host, job->target.host) == 0 && strcmp(now.port, job->target.port) == 0;
}

static void on_sent(void *self, void *data, int status)
{
	struct syslog_job *job = data;
	struct output *output = job->output;

	(void)self;
	output->away = 0;
	if (is_still_meant(job)) {
		output->fd = job->fd;
	} else if (job->fd >= 0) {
		(void)close(job->fd);
		output->fd = -1;
	}
	if (status == PBX_OK && output->follower.id && job->sent) {
		const struct outgoing *last = job->records;

		while (last->next)
			last = last->next;
		(void)output->cdr->bus->acknowledge(output->follower, last->seq);
		output_arrived(output, job->sent);
	} else if (status == PBX_OK && output->follower.id) {
		struct outgoing *records = job->records;

		job->records = NULL;
		output_give_back(output, records);
		output_failed(output, job->reason);
	}
	if (status == PBX_OK)
		output_wake(output);
	job_free(job);
}

static uint32_t priority_of(const struct cdr_settings *settings)
{
	return (FIRST_LOCAL_FACILITY + (uint32_t)(settings->syslog_facility[5] - '0')) * 8u + SEVERITY_INFO;
}

static void give(struct output *output)
{
	const struct cdr *cdr = output->cdr;
	struct syslog_job *job;
	int err = PBX_ENOMEM;

	if (output->away)
		return;
	job = calloc(1, sizeof *job);
	if (job) {
		job->output = output;
		job->priority = priority_of(cdr->settings);
		job->fd = output->fd;
		(void)syslog_parse(cdr->settings->syslog, &job->target); /* checked when it was set */
		job->records = output_take(output, &job->count);
		err = cdr->host->work(cdr->host, work, on_sent, job);
	}
	if (err == PBX_OK) {
		output->away = 1;
		return;
	}
	if (job) {
		output_give_back(output, job->records);
		free(job);
	}
	output_failed(output, "there is no memory");
}

static bool is_on(const struct cdr_settings *settings)
{
	return settings->syslog[0] != '\0';
}

const struct output_kind output_syslog = { .name = "syslog", .is_on = is_on, .send = give };
