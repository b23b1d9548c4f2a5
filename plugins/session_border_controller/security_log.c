/*
 * security_log - offences in the words of other systems, for watchers that know those
 *
 * fail2ban's own filter for Asterisk reads security events; who comes from there keeps filter and jail and names another file. Lines are
 * gathered on the loop and appended in the pool, one job at a time. The file is opened for each, so that it may be moved away.
 */
#include "sbc.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_WAITING 65536u /* bytes; what is more is lost, and said to be */

struct job {
	int error; /* errno, 0: it is written */
	char *path, *text;
	size_t size;
};

static void job_free(struct job *job)
{
	if (!job)
		return;
	free(job->path);
	free(job->text);
	free(job);
}

/* ---- the line ------------------------------------------------------------------------- */

/* Nothing a stranger chooses can end a value or a line. */
static void copy_harmless(const char *text, char *ret_text, size_t size)
{
	size_t used = 0;

	for (; *text && used + 1 < size; text++)
		ret_text[used++] = isalnum((unsigned char)*text) || strchr("._+@-", *text) ? *text : '_';
	ret_text[used] = '\0';
}

static size_t write_line(struct sbc *sbc, const uint8_t address[16], uint32_t port, const char *transport, const char *event,
			 const char *user, char *ret_line, size_t size)
{
	time_t now_s = (time_t)(sbc->host->wall_us(sbc->host) / 1000000);
	char when[32], host[NETWORK_TEXT], account[80], over[8] = "";
	struct tm local;

	(void)localtime_r(&now_s, &local);
	(void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
	network_print_host(address, host);
	copy_harmless(user, account, sizeof account);
	for (size_t i = 0; transport[i] && i + 1 < sizeof over; i++)
		over[i] = (char)toupper((unsigned char)transport[i]);
	int length =
		snprintf(ret_line, size,
			 "[%s] SECURITY[%d] pbxd: SecurityEvent=\"%s\",Severity=\"Error\",Service=\"SIP\",AccountID=\"%s\",RemoteAddress="
			 "\"%s/%s/%s/%u\"\n",
			 when, (int)getpid(), event, account, network_is_ipv4(address) ? "IPV4" : "IPV6", over, host, port);
	return (size_t)length < size ? (size_t)length : 0;
}

/* ---- the file ------------------------------------------------------------------------- */

static void append(void *data)
{
	struct job *job = data;
	int fd = open(job->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	ssize_t written = fd < 0 ? -1 : write(fd, job->text, job->size);

	job->error = written < 0 ? errno : (size_t)written < job->size ? ENOSPC : 0;
	if (fd >= 0)
		close(fd);
}

static void send_off(struct sbc *sbc);

static void on_appended(void *self, void *data, int status)
{
	struct sbc *sbc = self;
	struct job *job = data;

	sbc->log_at_work = false;
	if (status == PBX_OK && job->error)
		pbx_error(sbc->host, "security_log_failed", "file=%s reason=\"%s\"", job->path, strerror(job->error));
	job_free(job);
	if (status == PBX_OK)
		send_off(sbc);
}

static void send_off(struct sbc *sbc)
{
	struct job *job;

	if (sbc->log_at_work || sbc->log_size == 0)
		return;
	job = calloc(1, sizeof *job);
	if (job)
		job->path = strdup(sbc->settings->security_log);
	if (!job || !job->path) {
		job_free(job); /* with the next line there may be memory */
		return;
	}
	job->text = sbc->log_text;
	job->size = sbc->log_size;
	sbc->log_text = NULL;
	sbc->log_size = 0;
	if (sbc->host->work(sbc->host, append, on_appended, job) == PBX_OK)
		sbc->log_at_work = true;
	else
		job_free(job);
}

void security_log_add(struct sbc *sbc, const uint8_t address[16], uint32_t port, const char *transport, const char *event, const char *user)
{
	char line[512];

	if (!sbc->settings->security_log[0])
		return;
	size_t size = write_line(sbc, address, port, transport, event, user, line, sizeof line);
	char *text = sbc->log_size + size <= MOST_WAITING ? realloc(sbc->log_text, sbc->log_size + size) : NULL;
	if (!text) {
		pbx_warn(sbc->host, "security_log_lost", "file=%s reason=\"the disk is too slow\"", sbc->settings->security_log);
		return;
	}
	memcpy(text + sbc->log_size, line, size);
	sbc->log_text = text;
	sbc->log_size += size;
	send_off(sbc);
}

void security_log_free(struct sbc *sbc)
{
	free(sbc->log_text);
	sbc->log_text = NULL;
	sbc->log_size = 0;
}
