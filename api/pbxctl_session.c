/*
 * pbxctl_session.c - the daemon's control socket, as pbxctl sees it
 *
 * One JSON line with the words goes there, one line comes back, or a stream of them (core/control.h tells the protocol).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "pbxctl.h"
#include "pbxctl_print.h"

static void complain_unreachable(const struct session *session, int reason)
{
	if (session->quiet)
		return;
	(void)fprintf(stderr, "pbxctl: the PBX cannot be reached at %s: %s\n", session->path, strerror(reason));
	if (reason == EACCES)
		(void)fputs("Run it as root, as the user pbxd runs as, or as a member of its group.\n", stderr);
	else if (strcmp(session->path, DEFAULT_SOCKET) == 0)
		(void)fputs("Start it with: systemctl start pbxd\nIf it listens elsewhere, tell with --socket PATH or PBX_SOCKET.\n",
			    stderr);
	else
		(void)fprintf(stderr, "%s was asked for (--socket or PBX_SOCKET): is this the PBX's server.run_dir, and does it run?\n",
			      session->path);
}

int session_open(struct session *session)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(session->path) >= sizeof address.sun_path) {
		complain_unreachable(session, ENAMETOOLONG);
		return EX_UNAVAILABLE;
	}
	memcpy(address.sun_path, session->path, strlen(session->path) + 1);

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		complain_unreachable(session, errno);
		if (fd >= 0)
			(void)close(fd);
		return EX_UNAVAILABLE;
	}
	session->in = fdopen(fd, "r");
	return session->in ? EX_OK : EX_UNAVAILABLE;
}

void session_close(struct session *session)
{
	if (session->in)
		(void)fclose(session->in);
	free(session->line);
	cJSON_Delete(session->commands);
}

/* A daemon that has hung up has said why: that shows when the answer is read. */
void ask(const struct session *session, const char *const *words, int count)
{
	cJSON *request = cJSON_CreateObject();
	char *text =
		cJSON_AddItemToObject(request, "words", cJSON_CreateStringArray(words, count)) ? cJSON_PrintUnformatted(request) : NULL;
	size_t left = text ? strlen(text) + 1 : 0;

	if (text)
		text[left - 1] = '\n'; /* in the place of the final zero */
	for (const char *at = text; left > 0;) {
		ssize_t sent = send(fileno(session->in), at, left, MSG_NOSIGNAL);
		if (sent <= 0)
			break;
		at += sent;
		left -= (size_t)sent;
	}
	cJSON_free(text);
	cJSON_Delete(request);
}

/* The next line of the daemon; cJSON_Delete it. NULL: it has hung up, or speaks something else. */
cJSON *hear(struct session *session)
{
	ssize_t length = getline(&session->line, &session->line_size, session->in);

	return length > 0 ? cJSON_ParseWithLength(session->line, (size_t)length) : NULL;
}

int status_of(const cJSON *answer)
{
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(answer, "status");

	return cJSON_IsNumber(status) ? status->valueint : 0;
}

const char *text_in(const cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

	return text ? text : "";
}

/* Refusals come as problems (RFC 9457). */
int complain(const struct session *session, const cJSON *answer)
{
	const cJSON *body = cJSON_GetObjectItemCaseSensitive(answer, "body"), *error;
	int status = status_of(answer);

	if (!session->quiet) {
		const char *detail = *text_in(body, "detail") ? text_in(body, "detail") : text_in(body, "title");
		(void)fputs("pbxctl: ", stderr);
		print_plain(stderr, *detail ? detail : "the daemon hung up without an answer");
		(void)fputc('\n', stderr);
		cJSON_ArrayForEach(error, cJSON_GetObjectItemCaseSensitive(body, "errors"))
		{
			if (strncmp(text_in(error, "detail"), detail, strlen(text_in(error, "detail"))) == 0) /* said above */
				continue;
			(void)fputs("        ", stderr);
			print_plain(stderr, text_in(error, "detail"));
			(void)fputc('\n', stderr);
		}
	}
	return status == 400 || strcmp(text_in(body, "code"), "unknown_command") == 0 ? EX_USAGE : EXIT_FAILURE;
}
