/* test_control.c - the control socket as a client meets it: real sockets, real peers, commands of the test's own */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_main.h"
#include "control.h"
#include "json_auto.h"
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "request.h"

#undef fail /* a macro of check.h, and a member of struct pbx_requests */

static char path[108];
static pbx_request late, flooding;
static uint32_t flood_left, gone_count;

/* ---- the test's commands ---------------------------------------------------------------- */

static void on_echo(void *self, pbx_request request)
{
	struct pbx_json *body = core_json_object();

	(void)self;
	(void)core_json_set_text(body, "actor", core_requests_service.actor(request));
	(void)core_json_set_text(body, "text", core_requests_service.text(request, "text"));
	(void)core_requests_service.reply(request, 200, body);
}

static void on_late(void *self, pbx_request request)
{
	(void)self;
	late = request;
}

static void flood(void *self, pbx_request request)
{
	static char piece[8192];

	(void)self;
	memset(piece, 'x', sizeof piece);
	while (flood_left > 0 && core_requests_service.write(request, piece, sizeof piece) == PBX_OK)
		flood_left--;
	if (flood_left == 0)
		(void)core_requests_service.end(request);
}

static void on_gone(void *self, pbx_request request)
{
	(void)self, (void)request;
	gone_count++;
}

static void on_flood(void *self, pbx_request request)
{
	flooding = request;
	flood_left = 500;
	(void)core_requests_service.begin(request, "text/plain", flood, on_gone, NULL);
	flood(self, request);
}

static void on_quiet(void *self, pbx_request request)
{
	(void)self;
	(void)core_requests_service.begin(request, "application/x-ndjson", NULL, on_gone, NULL);
	(void)core_requests_service.write(request, "{}\n", 3);
}

static const struct pbx_arg echo_args[] = { { .name = "text", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED | PBX_ARG_LINES } };
static const struct pbx_command commands[] = {
	{ .words = "test echo", .handle = on_echo, .help = "Says it again", .args = PBX_TABLE(echo_args) },
	{ .words = "test late", .handle = on_late, .help = "Answers when the test wants" },
	{ .words = "test flood", .handle = on_flood, .help = "More than anybody reads" },
	{ .words = "test quiet", .handle = on_quiet, .help = "Begins and says no more" },
};

/* ---- a daemon and its clients ----------------------------------------------------------- */

static void setup(void)
{
	const struct pbx_table no_routes = { 0 }, table = PBX_TABLE(commands);
	struct pbx_diag diag = { 0 };

	late = flooding = (pbx_request){ 0 };
	gone_count = 0;
	ck_assert_int_eq(core_loop_init(false), PBX_OK);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	ck_assert_int_eq(core_requests_init(), PBX_OK);
	ck_assert_int_eq(core_requests_declare(core_self(), &no_routes, &table, NULL), PBX_OK);
	(void)snprintf(path, sizeof path, "/tmp/test-control-%d.sock", (int)getpid());
	ck_assert_msg(core_control_start(path, &diag) == PBX_OK, "%s", diag.text);
}

static void teardown(void)
{
	core_control_stop();
	ck_assert_int_ne(access(path, F_OK), 0);
	core_requests_fini();
	core_loop_fini();
	core_log_fini();
}

static int client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The next line, while the loop runs; "" when the daemon has hung up. */
static const char *hear(int fd)
{
	static char line[65536];
	size_t used = 0;

	for (;;) {
		ssize_t got = recv(fd, line + used, 1, 0);
		if (got == 1 && line[used] == '\n')
			break;
		if (got == 1 && used + 2 < sizeof line) {
			used++;
			continue;
		}
		if (got == 0 || (got < 0 && errno != EAGAIN))
			break;
		core_loop_step();
		(void)poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 1);
	}
	line[used] = '\0';
	return line;
}

/* The status of the next answer; 0: the daemon has hung up. */
static int64_t status_of(int fd)
{
	const char *line = hear(fd);
	AUTO(json) struct pbx_json *json = core_json_parse(line, strlen(line), NULL);

	ck_assert_msg(!*line || json, "not JSON: %s", line);
	return core_json_integer(core_json_get(json, "status"), 0);
}

static void settle(void)
{
	for (int i = 0; i < 20; i++)
		core_loop_step();
}

/* ---- tests ------------------------------------------------------------------------------ */

START_TEST(a_command_is_answered_on_one_line)
{
	int fd = client();

	say(fd, "{\"words\":[\"test\",\"echo\",\"two\\nlines \\\"quoted\\\"\"]}\n");
	const char *line = hear(fd);
	AUTO(json) struct pbx_json *json = core_json_parse(line, strlen(line), NULL);
	ck_assert_int_eq(core_json_integer(core_json_get(json, "status"), 0), 200);
	ck_assert_str_eq(core_json_text(core_json_get(core_json_get(json, "body"), "text")), "two\nlines \"quoted\"");
	if (getuid() == 0)
		ck_assert_str_eq(core_json_text(core_json_get(core_json_get(json, "body"), "actor")), "root@local");
	(void)close(fd);
}
END_TEST

START_TEST(the_table_of_commands_can_be_asked_for)
{
	int fd = client();

	say(fd, "{\"words\":[\"__commands\"]}\n");
	ck_assert_ptr_nonnull(strstr(hear(fd), "Says it again"));
	(void)close(fd);
}
END_TEST

START_TEST(a_line_that_is_wrong_is_refused_and_the_next_one_served)
{
	static const char *const wrong[] = {
		"\n",
		"x\n",
		"{\n",
		"[]\n",
		"{}\n",
		"{\"words\":[]}\n",
		"{\"words\":\"test\"}\n",
		"{\"words\":[1]}\n",
		"{\"words\":[\"test\",null]}\n",
		"{\"words\":{\"a\":\"test\"}}\n",
		"\x80\xff\n",
		"{\"words\":[\"test echo\"]} {\n",
	};
	int fd = client();

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		say(fd, wrong[i]);
		int64_t status = status_of(fd);
		ck_assert_msg(status == 400 || status == 404, "%s: %lld", wrong[i], (long long)status);
	}
	say(fd, "{\"words\":[\"test\",\"echo\",\"x\"]}\n");
	ck_assert_int_eq(status_of(fd), 200);
	(void)close(fd);
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
	int fd = client();
	char *line = malloc(40002);

	memset(line, '[', 40000);
	(void)strcpy(line + 40000, "\n");
	say(fd, line);
	ck_assert_int_eq(status_of(fd), 400);
	free(line);
	(void)close(fd);
}
END_TEST

START_TEST(sixty_five_words_are_too_many)
{
	char line[1024] = "{\"words\":[\"test\",\"echo\"";
	int fd = client();

	for (int i = 2; i < 65; i++)
		(void)strcat(line, ",\"x\"");
	say(fd, strcat(line, "]}\n"));
	ck_assert_int_eq(status_of(fd), 400);
	(void)close(fd);
}
END_TEST

START_TEST(a_line_that_never_ends_is_told_so_and_hung_up)
{
	int fd = client();
	char *text = malloc(CORE_CONTROL_LINE_BYTES + 1);

	memset(text, 'x', CORE_CONTROL_LINE_BYTES);
	text[CORE_CONTROL_LINE_BYTES] = '\0';
	say(fd, text);
	ck_assert_int_eq(status_of(fd), 413);
	ck_assert_str_eq(hear(fd), "");
	free(text);
	(void)close(fd);
}
END_TEST

START_TEST(commands_sent_together_are_answered_in_order)
{
	int fd = client();

	say(fd, "{\"words\":[\"test\",\"late\"]}\n{\"words\":[\"test\",\"echo\",\"second\"]}\n{\"words\":[\"test\",\"echo\",\"third\"]}\n");
	settle();
	ck_assert_uint_ne(late.id, 0);
	ck_assert_int_eq(recv(fd, (char[1]){ 0 }, 1, MSG_PEEK), -1); /* nobody overtakes */
	ck_assert_int_eq(core_requests_service.reply(late, 202, NULL), PBX_OK);
	ck_assert_int_eq(status_of(fd), 202);
	ck_assert_ptr_nonnull(strstr(hear(fd), "second"));
	ck_assert_ptr_nonnull(strstr(hear(fd), "third"));
	(void)close(fd);
}
END_TEST

START_TEST(a_command_in_pieces_is_put_together)
{
	static const char command[] = "{\"words\":[\"test\",\"echo\",\"slowly\"]}\n";
	int fd = client();

	for (size_t i = 0; i + 1 < sizeof command; i++) {
		ck_assert_int_eq(send(fd, command + i, 1, MSG_NOSIGNAL), 1);
		core_loop_step();
	}
	ck_assert_ptr_nonnull(strstr(hear(fd), "slowly"));
	(void)close(fd);
}
END_TEST

START_TEST(who_has_said_all_still_gets_the_answer)
{
	int fd = client();

	say(fd, "{\"words\":[\"test\",\"late\"]}\n{\"words\":[\"test\",\"echo\",\"x\"]}\n");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	settle();
	ck_assert_int_eq(core_requests_service.reply(late, 200, NULL), PBX_OK);
	ck_assert_int_eq(status_of(fd), 200);
	ck_assert_int_eq(status_of(fd), 200);
	ck_assert_str_eq(hear(fd), "");
	(void)close(fd);
}
END_TEST

START_TEST(a_slow_reader_holds_the_writer_back_and_gets_everything)
{
	int fd = client();
	size_t heard = 0;

	say(fd, "{\"words\":[\"test\",\"flood\"]}\n");
	settle();
	ck_assert_uint_gt(flood_left, 300); /* 4 MB are not in our memory */
	ck_assert_ptr_nonnull(strstr(hear(fd), "\"stream\":\"text/plain\""));
	for (const char *line = hear(fd); !strstr(line, "\"end\":true"); line = hear(fd)) {
		ck_assert_ptr_nonnull(strstr(line, "{\"data\":\"xxx"));
		heard += strlen(line) - strlen("{\"data\":\"\"}");
	}
	ck_assert_uint_eq(heard, 500u * 8192);
	say(fd, "{\"words\":[\"test\",\"echo\",\"x\"]}\n");
	ck_assert_int_eq(status_of(fd), 200);
	(void)close(fd);
}
END_TEST

START_TEST(who_leaves_ends_the_stream)
{
	int fd = client();

	say(fd, "{\"words\":[\"test\",\"quiet\"]}\n");
	ck_assert_ptr_nonnull(strstr(hear(fd), "ndjson"));
	(void)close(fd);
	settle();
	ck_assert_uint_eq(gone_count, 1);
}
END_TEST

START_TEST(who_leaves_before_the_answer_costs_nothing)
{
	int fd = client();

	say(fd, "{\"words\":[\"test\",\"late\"]}\n");
	settle();
	(void)close(fd);
	settle();
	(void)core_requests_service.reply(late, 200, NULL); /* heard by nobody */
	settle();
}
END_TEST

START_TEST(a_stop_hangs_up_on_everybody)
{
	int fd = client();

	say(fd, "{\"words\":[\"test\",\"quiet\"]}\n");
	(void)hear(fd);
	core_control_stop();
	ck_assert_uint_eq(gone_count, 1);
	struct pbx_diag diag;
	ck_assert_int_eq(core_control_start(path, &diag), PBX_OK);
	while (*hear(fd)) /* what it had been told */
		;
	(void)close(fd);
}
END_TEST

START_TEST(the_sixty_fifth_client_is_told_to_come_back)
{
	int fds[CORE_CONTROL_CLIENTS], late_comer;

	for (uint32_t i = 0; i < CORE_CONTROL_CLIENTS; i++) {
		fds[i] = client();
		core_loop_step();
	}
	settle();
	late_comer = client();
	ck_assert_int_eq(status_of(late_comer), 503);
	ck_assert_str_eq(hear(late_comer), "");
	(void)close(late_comer);
	(void)close(fds[0]);
	settle();
	fds[0] = client();
	say(fds[0], "{\"words\":[\"test\",\"echo\",\"x\"]}\n");
	ck_assert_int_eq(status_of(fds[0]), 200);
	for (uint32_t i = 0; i < CORE_CONTROL_CLIENTS; i++)
		(void)close(fds[i]);
}
END_TEST

START_TEST(only_owner_and_group_can_open_it)
{
	struct stat status;

	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0660);
}
END_TEST

/* As another user: the first line it hears. */
static void hear_as(uid_t uid, gid_t gid, const gid_t *more, size_t more_count, char ret_line[512])
{
	int pipe_fds[2], status;

	ck_assert_int_eq(chmod(path, 0666), 0); /* past the door: it is the kernel's word that counts */
	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		char line[512];
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
		if (setgroups(more_count, more) || setgid(gid) || setuid(uid) ||
		    connect(fd, (const struct sockaddr *)&address, sizeof address))
			_exit(1);
		if (send(fd, "{\"words\":[\"test\",\"echo\",\"x\"]}\n", 31, MSG_NOSIGNAL) < 0)
			_exit(2);
		ssize_t got = recv(fd, line, sizeof line, 0);
		_exit(got > 0 && write(pipe_fds[1], line, (size_t)got) == got ? 0 : 3);
	}
	while (waitpid(child, &status, WNOHANG) == 0)
		core_loop_step();
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ssize_t got = read(pipe_fds[0], ret_line, 511);
	ret_line[got > 0 ? got : 0] = '\0';
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

START_TEST(a_stranger_is_refused_and_a_member_of_our_group_is_not)
{
	const gid_t ours = getegid();
	char line[512];

	if (getuid() != 0)
		return; /* only root can be somebody else */
	hear_as(65534, 65534, NULL, 0, line);
	ck_assert_ptr_nonnull(strstr(line, "\"status\":403"));
	ck_assert_ptr_nonnull(strstr(line, "members of its group"));
	hear_as(65534, 65534, &ours, 1, line);
	ck_assert_ptr_nonnull(strstr(line, "\"status\":200"));
	hear_as(65534, ours, NULL, 0, line);
	ck_assert_ptr_nonnull(strstr(line, "\"status\":200"));
}
END_TEST

START_TEST(a_second_daemon_is_refused_and_a_dead_ones_socket_replaced)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct pbx_diag diag = { 0 };
	char dead[108];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_int_eq(core_control_start(path, &diag), PBX_EEXIST);
	ck_assert_ptr_nonnull(strstr(diag.text, "another pbxd"));

	(void)snprintf(dead, sizeof dead, "/tmp/test-control-dead-%d.sock", (int)getpid());
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", dead);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	(void)close(fd);
	core_control_stop();
	ck_assert_int_eq(core_control_start(dead, &diag), PBX_OK);
	core_control_stop();
	ck_assert_int_eq(core_control_start(path, &diag), PBX_OK);
}
END_TEST

START_TEST(a_path_that_cannot_be_is_explained)
{
	struct pbx_diag diag = { 0 };
	char too_long[200];

	memset(too_long, 'x', sizeof too_long - 1);
	too_long[sizeof too_long - 1] = '\0';
	core_control_stop();
	ck_assert_int_eq(core_control_start(too_long, &diag), PBX_EINVAL);
	ck_assert_int_eq(core_control_start("/nowhere/at/all.sock", &diag), PBX_EIO);
	ck_assert_ptr_nonnull(strstr(diag.text, "/nowhere/at/all.sock"));
	ck_assert_int_eq(core_control_start(path, &diag), PBX_OK);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_command_is_answered_on_one_line,
		the_table_of_commands_can_be_asked_for,
		a_line_that_is_wrong_is_refused_and_the_next_one_served,
		deep_nesting_is_refused,
		sixty_five_words_are_too_many,
		a_line_that_never_ends_is_told_so_and_hung_up,
		commands_sent_together_are_answered_in_order,
		a_command_in_pieces_is_put_together,
		who_has_said_all_still_gets_the_answer,
		a_slow_reader_holds_the_writer_back_and_gets_everything,
		who_leaves_ends_the_stream,
		who_leaves_before_the_answer_costs_nothing,
		a_stop_hangs_up_on_everybody,
		the_sixty_fifth_client_is_told_to_come_back,
		only_owner_and_group_can_open_it,
		a_stranger_is_refused_and_a_member_of_our_group_is_not,
		a_second_daemon_is_refused_and_a_dead_ones_socket_replaced,
		a_path_that_cannot_be_is_explained,
	};
	Suite *suite = suite_create("control");
	TCase *all = tcase_create("control");

	tcase_add_checked_fixture(all, setup, teardown);
	for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
		tcase_add_test(all, tests[i]);
	tcase_set_timeout(all, 60);
	suite_add_tcase(suite, all);
	return check_run(suite);
}
