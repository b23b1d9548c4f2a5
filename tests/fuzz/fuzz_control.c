/* fuzz_control.c - what anybody who may open the control socket can send: cut into lines, parsed, run, answered one line each */
#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "request.h"

static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void on_echo(void *self, pbx_request request)
{
	const char *text = core_requests_service.text(request, "text");
	struct pbx_json *body = core_json_object();

	(void)self;
	(void)core_json_set_text(body, "text", text);
	(void)core_requests_service.reply(request, 200, body);
}

static void on_stream(void *self, pbx_request request)
{
	(void)self;
	(void)core_requests_service.begin(request, "text/plain", NULL, NULL, NULL);
	(void)core_requests_service.write(request, "a\nb\xff", 4);
	(void)core_requests_service.end(request);
}

static const struct pbx_arg args[] = { { .name = "text", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REST } };
static const struct pbx_command commands[] = {
	{ .words = "e", .handle = on_echo, .help = "", .args = PBX_TABLE(args) },
	{ .words = "s", .handle = on_stream, .help = "" },
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct pbx_table routes = { 0 }, table = PBX_TABLE(commands);
	struct pbx_diag diag;

	(void)argc, (void)argv;
	(void)snprintf(address.sun_path, sizeof address.sun_path, "/tmp/fuzz-control-%d.sock", (int)getpid());
	if (core_loop_init(false) != PBX_OK || core_log_init() != PBX_OK || core_requests_init() != PBX_OK ||
	    core_requests_declare(core_self(), &routes, &table, NULL) != PBX_OK || core_control_start(address.sun_path, &diag) != PBX_OK)
		_exit(1);
	(void)core_log_set_level(NULL, PBX_LOG_ERROR, 0);
	return 0;
}

/* Every line of an answer is JSON with a member that says what it is. */
static void check_line(const char *line, size_t size)
{
	struct pbx_json *json = core_json_parse(line, size, NULL);

	assert(core_json_get(json, "status") || core_json_get(json, "data") || core_json_get(json, "end"));
	core_json_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char answers[1u << 20];
	size_t used = 0, sent = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), idle = 0;

	if (size > CORE_CONTROL_LINE_BYTES + 16 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		(void)close(fd);
		return 0;
	}
	while (idle < 6 && used < sizeof answers) {
		ssize_t out = sent < size ? send(fd, data + sent, size - sent, MSG_NOSIGNAL) : 0;
		core_loop_step();
		ssize_t in = recv(fd, answers + used, sizeof answers - used, 0);
		sent += out > 0 ? (size_t)out : 0;
		used += in > 0 ? (size_t)in : 0;
		idle = out > 0 || in > 0 ? 0 : idle + 1;
	}
	(void)close(fd);
	for (int i = 0; i < 3; i++)
		core_loop_step();

	const char *line = answers;
	for (const char *end; used && (end = memchr(line, '\n', used - (size_t)(line - answers))) != NULL; line = end + 1)
		check_line(line, (size_t)(end - line));
	return 0;
}
