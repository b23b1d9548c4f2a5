/*
 * control.c - the Unix socket of pbxctl
 *
 * A client is asked the kernel's question first: who are you? Then each line it sends is one command, run through core_request_command like
 * any REST request. One command at a time and client; lines that come meanwhile wait in its buffer. What a client can make us hold is
 * bounded: its line, its words, and what it does not read (then the command's writer hears PBX_EBUSY).
 */
#include <errno.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "request.h"

#define UNREAD_HIGH_BYTES (256u * 1024u) /* of a stream: beyond it the writer waits, */
#define UNREAD_LOW_BYTES (64u * 1024u)   /* until the client has read down to this */
#define PEER_GROUPS 256u

struct client {
	uv_pipe_t pipe;
	struct client *next;
	char actor[64]; /* "root@local" */
	char *input;    /* CORE_CONTROL_LINE_BYTES, what has come and is not a line yet */
	size_t input_used;
	pbx_request request; /* the command under way, when busy */
	bool busy, streaming, waits_for_reader, serving, closing;
	bool binary;    /* what streams is no text: base64, in "base64" instead of "data" */
	bool said_all;  /* nothing more comes from it */
	bool dismissed; /* nothing more is taken from it */
};

/* A piece of output on its way. */
struct output {
	uv_write_t write;
	char text[];
};

static struct {
	uv_pipe_t *listener; /* owned until its close callback */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct client *clients;
	uint32_t client_count;
} control;

static void client_serve(struct client *client);

/* ---- who is it -------------------------------------------------------------------------- */

static bool is_in_our_group(int fd, const struct ucred *peer)
{
	gid_t groups[PEER_GROUPS], ours = getegid();
	socklen_t size = sizeof groups;

	if (peer->gid == ours)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0)
		return false;
	for (size_t i = 0; i < size / sizeof groups[0]; i++) {
		if (groups[i] == ours)
			return true;
	}
	return false;
}

/* From the local file only: other sources of names may wait for a server, and the loop may not. */
static void name_of(uid_t uid, char *ret_name, size_t size)
{
	struct passwd *entry = NULL;
	FILE *file = fopen("/etc/passwd", "re");

	while (file && (entry = fgetpwent(file)) && entry->pw_uid != uid)
		;
	if (entry)
		(void)snprintf(ret_name, size, "%.48s@local", entry->pw_name);
	else
		(void)snprintf(ret_name, size, "uid-%u@local", (unsigned)uid);
	if (file)
		(void)fclose(file);
}

static int client_identify(struct client *client)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&client->pipe, &fd) != 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return PBX_EIO;

	name_of(peer.uid, client->actor, sizeof client->actor);
	return peer.uid == 0 || peer.uid == geteuid() || is_in_our_group(fd, &peer) ? PBX_OK : PBX_EPERM;
}

/* ---- the end of a client ---------------------------------------------------------------- */

static void on_client_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;

	free(client->input);
	free(client);
}

static void client_close(struct client *client)
{
	if (client->closing)
		return;
	client->closing = true;

	struct client **at = &control.clients;
	while (*at && *at != client)
		at = &(*at)->next;
	if (*at) {
		*at = client->next;
		control.client_count--;
	}

	if (client->busy) {
		client->busy = false;
		core_request_gone(client->request);
	}
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

/* ---- what goes out ---------------------------------------------------------------------- */

static void on_written(uv_write_t *write, int status)
{
	struct client *client = write->data;

	free((char *)write - offsetof(struct output, write));
	if (client->closing)
		return;
	if (status != 0) {
		client_close(client);
		return;
	}

	size_t unread_bytes = uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe);
	if (client->waits_for_reader && unread_bytes <= UNREAD_LOW_BYTES) {
		client->waits_for_reader = false;
		core_request_drained(client->request);
	} else if ((client->said_all || client->dismissed) && !client->busy && unread_bytes == 0) {
		client_close(client);
	}
}

/* Three texts on one line, without a copy in between. */
static void client_send(struct client *client, const char *head, const char *body, size_t body_size, const char *tail)
{
	size_t head_size = strlen(head), tail_size = strlen(tail);
	struct output *output = client->closing ? NULL : malloc(sizeof *output + head_size + body_size + tail_size + 1);

	if (!output) {
		client_close(client);
		return;
	}
	memcpy(output->text, head, head_size);
	memcpy(output->text + head_size, body, body_size);
	memcpy(output->text + head_size + body_size, tail, tail_size);
	output->text[head_size + body_size + tail_size] = '\n';
	output->write.data = client;

	uv_buf_t buffer = uv_buf_init(output->text, (unsigned)(head_size + body_size + tail_size + 1));
	if (uv_write(&output->write, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) != 0) {
		free(output);
		client_close(client);
	}
}

/* A head that leaves the object open, then a text; what is not UTF-8 in it is replaced. */
static void client_send_text(struct client *client, const char *head, const char *text, size_t size)
{
	char *copy = strndup(text, size);
	struct pbx_json *json = copy ? core_json_new_text(copy) : NULL;
	char *quoted = json ? core_json_print(json) : NULL;

	if (quoted)
		client_send(client, head, quoted, strlen(quoted), "}");
	else
		client_close(client);
	core_json_free_text(quoted);
	core_json_free(json);
	free(copy);
}

static void client_send_binary(struct client *client, const char *data, size_t size)
{
	char *text = malloc((size + 2) / 3 * 4 + 1);

	if (text) {
		int length = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)data, (int)size);
		client_send(client, "{\"base64\":\"", text, (size_t)length, "\"}");
	} else {
		client_close(client);
	}
	free(text);
}

static void client_refuse(struct client *client, uint32_t status, const char *code, const char *detail)
{
	char line[512];

	(void)snprintf(line, sizeof line,
		       "{\"status\":%u,\"body\":{\"type\":\"/problems/%s\",\"title\":\"Request "
		       "refused\",\"status\":%u,\"code\":\"%s\",\"detail\":\"%s\"}}",
		       status, code, status, code, detail);
	client_send(client, line, "", 0, "");
}

/* Refuses, and hangs up once that has been read. */
static void client_dismiss(struct client *client, uint32_t status, const char *code, const char *detail)
{
	if (client->busy) { /* it would come in the middle of an answer */
		client_close(client);
		return;
	}
	client->dismissed = true;
	(void)uv_read_stop((uv_stream_t *)&client->pipe);
	client_refuse(client, status, code, detail);
}

/* ---- the answers of commands ------------------------------------------------------------ */

static void client_answered(struct client *client)
{
	client->busy = client->streaming = client->waits_for_reader = false;
	client->request = (pbx_request){ 0 };
	client_serve(client);
}

static void on_answer(void *context, uint32_t status, const char *content_type, const char *location, const char *body, size_t size)
{
	struct client *client = context;
	char head[192];

	(void)location;
	if (!body || size == 0) {
		(void)snprintf(head, sizeof head, "{\"status\":%u,\"body\":null}", status);
		client_send(client, head, "", 0, "");
	} else if (content_type && strstr(content_type, "json") && !memchr(body, '\n', size)) {
		(void)snprintf(head, sizeof head, "{\"status\":%u,\"body\":", status);
		client_send(client, head, body, size, "}");
	} else {
		(void)snprintf(head, sizeof head, "{\"status\":%u,\"content_type\":\"%.64s\",\"text\":", status,
			       content_type ? content_type : "text/plain");
		client_send_text(client, head, body, size);
	}
	client_answered(client);
}

static void on_begin(void *context, const char *content_type)
{
	struct client *client = context;
	char line[128];

	client->streaming = true;
	client->binary = strstr(content_type, "pcap") || strncmp(content_type, "application/octet-stream", 24) == 0 ||
			 strncmp(content_type, "application/zip", 15) == 0 || strncmp(content_type, "audio/", 6) == 0;
	(void)snprintf(line, sizeof line, "{\"status\":200,\"stream\":\"%.64s\"}", content_type);
	client_send(client, line, "", 0, "");
}

/* A piece that meets PBX_EBUSY was not taken: it comes again after drained. */
static int on_write(void *context, const char *data, size_t size)
{
	struct client *client = context;

	if (client->waits_for_reader || uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) > UNREAD_HIGH_BYTES) {
		client->waits_for_reader = true;
		return PBX_EBUSY;
	}
	if (client->binary)
		client_send_binary(client, data, size);
	else
		client_send_text(client, "{\"data\":", data, size);
	return PBX_OK;
}

static void on_end(void *context)
{
	struct client *client = context;

	client_send(client, "{\"end\":true}", "", 0, "");
	client_answered(client);
}

static const struct core_answer_sink sink = { .answer = on_answer, .begin = on_begin, .write = on_write, .end = on_end };

/* ---- what comes in ---------------------------------------------------------------------- */

static void answer_commands(struct client *client)
{
	struct pbx_json *commands = core_requests_commands();
	char *text = commands ? core_json_print(commands) : NULL;

	if (text)
		client_send(client, "{\"status\":200,\"body\":", text, strlen(text), "}");
	else
		client_refuse(client, 503, "no_memory", "out of memory");
	core_json_free_text(text);
	core_json_free(commands);
}

static void run_words(struct client *client, const char *const *words, uint32_t count)
{
	if (strcmp(words[0], "__commands") == 0) {
		answer_commands(client);
		return;
	}

	char request_id[27];
	core_ulid(request_id);
	const struct core_asker asker = {
		.actor = client->actor, .own_account = "", .scopes = "*", .address = "local", .request_id = request_id
	};

	client->busy = true;
	pbx_request request = { 0 };
	core_request_command(&asker, words, count, &sink, client, &request);
	if (client->busy)
		client->request = request;
}

/* The words of a request, pointing into json. Their number, or 0 when it is no such thing. */
static uint32_t words_of(const struct pbx_json *json, const char *ret_words[CORE_CONTROL_WORDS])
{
	const struct pbx_json *list = core_json_get(json, "words");
	uint32_t count = 0;

	if (core_json_type(list) != PBX_JSON_ARRAY)
		return 0;
	for (const struct pbx_json *word = core_json_first(list); word; word = core_json_next(word)) {
		if (!core_json_text(word) || count == CORE_CONTROL_WORDS)
			return 0;
		ret_words[count++] = core_json_text(word);
	}
	return count;
}

static void client_run(struct client *client, const char *line, size_t size)
{
	const char *words[CORE_CONTROL_WORDS];
	struct pbx_json *json = core_json_parse(line, size, NULL);
	uint32_t count = words_of(json, words);

	if (count > 0)
		run_words(client, words, count);
	else
		client_refuse(client, 400, "malformed",
			      json ? "expected {\\\"words\\\": [\\\"word\\\", …]}, at most 64 words" : "this line is not JSON");
	core_json_free(json);
}

/* Runs line after line until one is not answered at once. An answer given inside returns here, it does not nest. */
static void client_serve(struct client *client)
{
	if (client->serving)
		return;

	client->serving = true;
	while (!client->busy && !client->closing && !client->dismissed) {
		char *end = memchr(client->input, '\n', client->input_used);
		if (!end)
			break;

		size_t size = (size_t)(end - client->input);
		char *line = strndup(client->input, size); /* the buffer moves on before the command may answer */
		client->input_used -= size + 1;
		memmove(client->input, end + 1, client->input_used);
		if (line)
			client_run(client, line, strlen(line));
		else
			client_refuse(client, 503, "no_memory", "out of memory");
		free(line);
	}
	client->serving = false;
}

static void on_room_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
	struct client *client = handle->data;

	(void)suggested;
	*ret_buffer = uv_buf_init(client->input + client->input_used, (unsigned)(CORE_CONTROL_LINE_BYTES - client->input_used));
}

/* The client has said all it will. What it asked is still answered, so `printf … | socat` works; a stream is not, who would stop it? */
static void client_ended(struct client *client)
{
	bool all_read = uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) == 0;

	client->said_all = true;
	if (client->streaming || (!client->busy && all_read))
		client_close(client);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
	struct client *client = stream->data;

	(void)buffer;
	if (size == UV_EOF) {
		(void)uv_read_stop(stream);
		client_ended(client);
		return;
	}
	if (size == UV_ENOBUFS) {
		client_dismiss(client, 413, "too_long", "a request has at most 65536 bytes");
		return;
	}
	if (size < 0) {
		client_close(client);
		return;
	}
	client->input_used += (size_t)size;
	client_serve(client);
	if (client->input_used == CORE_CONTROL_LINE_BYTES && !client->closing)
		client_dismiss(client, 413, "too_long", "a request has at most 65536 bytes");
}

/* ---- the door --------------------------------------------------------------------------- */

static struct client *client_new(void)
{
	struct client *client = calloc(1, sizeof *client);
	char *input = client ? malloc(CORE_CONTROL_LINE_BYTES) : NULL;

	if (!input) {
		free(client);
		return NULL;
	}
	client->input = input;
	(void)uv_pipe_init(core_loop_uv(), &client->pipe, 0);
	client->pipe.data = client;
	client->next = control.clients;
	control.clients = client;
	control.client_count++;
	return client;
}

static void client_welcome(struct client *client)
{
	int err = client_identify(client);

	if (err != PBX_OK) {
		core_log(PBX_LOG_WARN, "core", NULL, "control_refused", "actor=%s", client->actor);
		client_dismiss(client, 403, "forbidden", "only root, the user pbxd runs as and members of its group may give commands");
	} else if (control.client_count > CORE_CONTROL_CLIENTS) {
		client_dismiss(client, 503, "too_many", "64 clients are connected, try again later");
	} else if (uv_read_start((uv_stream_t *)&client->pipe, on_room_wanted, on_read) != 0) {
		client_close(client);
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct client *client = status == 0 ? client_new() : NULL;

	if (!client) {
		core_log(PBX_LOG_WARN, "core", NULL, "control_accept_failed", "reason=%s", status ? uv_strerror(status) : "no memory");
		return;
	}
	if (uv_accept(listener, (uv_stream_t *)&client->pipe) == 0)
		client_welcome(client);
	else
		client_close(client);
}

static bool is_answered(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answered = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN);

	if (fd >= 0)
		(void)close(fd);
	return answered;
}

/* A bound socket that nobody but owner and group can open, at any moment of its life. */
static int bind_at(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (fchmod(fd, 0660) == 0 && bind(fd, (const struct sockaddr *)address, sizeof *address) == 0 &&
	    chmod(address->sun_path, 0660) == 0)
		return fd;

	int reason = errno;
	(void)close(fd);
	errno = reason;
	return -1;
}

static void on_listener_closed(uv_handle_t *handle)
{
	free(handle);
}

static int listen_on(int fd)
{
	uv_pipe_t *listener = calloc(1, sizeof *listener);

	if (!listener) {
		(void)close(fd);
		return UV_ENOMEM;
	}
	(void)uv_pipe_init(core_loop_uv(), listener, 0);

	int err = uv_pipe_open(listener, fd);
	if (err != 0)
		(void)close(fd);
	else
		err = uv_listen((uv_stream_t *)listener, (int)CORE_CONTROL_CLIENTS, on_connection);
	if (err != 0) {
		uv_close((uv_handle_t *)listener, on_listener_closed);
		return err;
	}
	control.listener = listener;
	return 0;
}

static int free_address(const char *path, struct sockaddr_un *ret_address, struct pbx_diag *diag)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof address.sun_path) {
		pbx_diag_set(diag, "server.run_dir", "%s: a socket's path has at most %zu characters", path, sizeof address.sun_path - 1);
		return PBX_EINVAL;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (is_answered(&address)) {
		pbx_diag_set(diag, "server.run_dir", "%s: another pbxd answers there, stop it first or give this one its own run_dir",
			     path);
		return PBX_EEXIST;
	}
	*ret_address = address;
	return PBX_OK;
}

int core_control_is_free(const char *path, struct pbx_diag *diag)
{
	struct sockaddr_un address;

	return free_address(path, &address, diag);
}

int core_control_start(const char *path, struct pbx_diag *diag)
{
	struct sockaddr_un address;
	int refused = free_address(path, &address, diag);

	if (refused != PBX_OK)
		return refused;
	(void)unlink(path); /* what a dead daemon left behind; if it cannot go, bind says so */
	int fd = bind_at(&address);
	if (fd < 0) {
		pbx_diag_set(diag, "server.run_dir", "%s: cannot listen: %s", path, strerror(errno));
		return PBX_EIO;
	}

	int err = listen_on(fd);
	if (err != 0) {
		(void)unlink(path);
		pbx_diag_set(diag, "server.run_dir", "%s: cannot listen: %s", path, uv_strerror(err));
		return PBX_EIO;
	}
	memcpy(control.path, path, strlen(path) + 1);
	return PBX_OK;
}

void core_control_stop(void)
{
	if (!control.listener)
		return;

	(void)unlink(control.path);
	uv_close((uv_handle_t *)control.listener, on_listener_closed);
	control.listener = NULL;
	while (control.clients)
		client_close(control.clients);
}
