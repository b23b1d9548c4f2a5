/*
 * pbx-bans - has the kernel drop who is banned
 *
 *   pbx-bans [--ports 5060,5061 | --ports all] [--socket PATH]
 *
 * A program of its own: whoever changes the kernel's rules needs CAP_NET_ADMIN, and pbxd, which reads what strangers send, shall not have it. This one
 * reads nothing but lines of pbxd, and all it can be told is whose packets to these ports are dropped. It keeps a table of nftables of its own, inet
 * pbx_bans, which is there while it runs; the kernel ends a ban by itself.
 *
 * Lines come over a Unix socket, systemd's (sd_listen_fds(3)) or PATH, from one client at a time:
 *
 *   ban ADDRESS SECONDS   IPv4, or any address of an IPv6 /64; 0: until forgiven. A second one counts from now
 *   forgive ADDRESS
 *   forget                everybody
 *
 * It says "ready" at first, and "failed REASON" when the kernel takes something not. Bans outlive their client, which may be restarting.
 */
#include <arpa/inet.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST_BANS "65536"
#define MOST_SECONDS 315360000u /* ten years */
#define LINE_BYTES 128u
#define ADDED "add element inet pbx_bans %s { %s }\n"
#define DELETED "delete element inet pbx_bans %s { %s }\n"

static volatile sig_atomic_t is_over;

static void on_signal(int number)
{
	(void)number;
	is_over = 1;
}

/* ---- the kernel's table --------------------------------------------------------------- */

/* Empty: the kernel has taken it; else its first complaint. */
static const char *tell_kernel(struct nft_ctx *nft, const char *commands)
{
	static char reason[200];

	reason[0] = '\0';
	if (nft_run_cmd_from_buffer(nft, commands) == 0)
		return reason;
	const char *error = nft_ctx_get_error_buffer(nft);
	(void)snprintf(reason, sizeof reason, "%s", error && error[0] ? error : "nftables says no more");
	reason[strcspn(reason, "\n")] = '\0';
	return reason;
}

/* Before connections are tracked, so that a flood fills no table either; what is only passed on by this machine is none of our business. */
static const char *make_table(struct nft_ctx *nft, const char *ports)
{
	bool all = strcmp(ports, "all") == 0;
	char commands[2048], match[256] = "";

	if (!all)
		(void)snprintf(match, sizeof match, "meta l4proto { tcp, udp } th dport { %s }", ports);
	(void)snprintf(commands, sizeof commands,
		       "add table inet pbx_bans\ndelete table inet pbx_bans\ntable inet pbx_bans {\n"
		       "set ipv4 { type ipv4_addr; flags timeout; size " MOST_BANS "; }\n"
		       "set ipv6 { type ipv6_addr; flags timeout; size " MOST_BANS "; }\n"
		       "chain guard {\ntype filter hook prerouting priority raw; policy accept;\n"
		       "%s ip saddr @ipv4 fib daddr type local counter drop\n"
		       "%s ip6 saddr & ffff:ffff:ffff:ffff:: @ipv6 fib daddr type local counter drop\n}\n}\n",
		       match, match);
	return tell_kernel(nft, commands);
}

/* ---- lines ---------------------------------------------------------------------------- */

/* The set an address belongs to, and how its element is written. NULL: it is no address. */
static const char *set_of(const char *text, char ret_element[INET6_ADDRSTRLEN])
{
	struct in6_addr ipv6;
	struct in_addr ipv4;

	if (inet_pton(AF_INET, text, &ipv4) == 1)
		return inet_ntop(AF_INET, &ipv4, ret_element, INET6_ADDRSTRLEN) ? "ipv4" : NULL;
	if (inet_pton(AF_INET6, text, &ipv6) != 1)
		return NULL;
	memset(ipv6.s6_addr + 8, 0, 8);
	return inet_ntop(AF_INET6, &ipv6, ret_element, INET6_ADDRSTRLEN) ? "ipv6" : NULL;
}

/* One line as commands of nftables: what is there already is no error, nor is what is not. False: it is none of ours. */
static bool translate(const char *line, FILE *commands)
{
	char address[INET6_ADDRSTRLEN], element[INET6_ADDRSTRLEN], more;
	unsigned seconds = 0;

	if (strcmp(line, "forget") == 0)
		return fputs("flush set inet pbx_bans ipv4\nflush set inet pbx_bans ipv6\n", commands) >= 0;
	bool bans = sscanf(line, "ban %45s %9u%c", address, &seconds, &more) == 2;
	if (!bans && sscanf(line, "forgive %45s%c", address, &more) != 1)
		return false;
	const char *set = set_of(address, element);
	if (!set || seconds > MOST_SECONDS)
		return false;
	(void)fprintf(commands, ADDED DELETED, set, element, set, element); /* so that an older end goes */
	if (bans && seconds > 0)
		(void)fprintf(commands, "add element inet pbx_bans %s { %s timeout %us }\n", set, element, seconds);
	else if (bans)
		(void)fprintf(commands, ADDED, set, element);
	return true; /* what a full memory lost is missed by fclose */
}

/* All whole lines at once: the kernel takes them as one change. How many bytes they were; negative: not understood, or no memory. */
static ssize_t take_lines(struct nft_ctx *nft, char *text, int client)
{
	char *commands = NULL, *line = text, *end, answer[256];
	size_t size = 0;
	bool understood = true;

	FILE *file = open_memstream(&commands, &size);
	if (!file)
		return -1;
	for (; understood && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		understood = translate(line, file);
	}
	bool whole = fclose(file) == 0;
	const char *reason = !understood ? "that line is none of ban, forgive, forget" : !whole ? "no memory" : "";
	if (!reason[0] && size > 0)
		reason = tell_kernel(nft, commands);
	free(commands);
	if (reason[0]) {
		int length = snprintf(answer, sizeof answer, "failed %s\n", reason);
		(void)fprintf(stderr, "pbx-bans: %s\n", reason);
		(void)send(client, answer, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT); /* who does not read it has the journal */
	}
	return understood && whole ? line - text : -1;
}

/* ---- the socket ----------------------------------------------------------------------- */

/* Waits until there is something to read; false: it is time to end. Signals come here and nowhere else. */
static bool await(int descriptor)
{
	struct pollfd wanted = { .fd = descriptor, .events = POLLIN };
	sigset_t none;

	sigemptyset(&none);
	while (!is_over)
		if (ppoll(&wanted, 1, NULL, &none) > 0)
			return true;
	return false;
}

static void serve(struct nft_ctx *nft, int client)
{
	static char text[65536];
	size_t used = 0;

	(void)send(client, "ready\n", 6, MSG_NOSIGNAL); /* if it has gone, read tells */
	while (await(client)) {
		ssize_t got = read(client, text + used, sizeof text - 1 - used);
		if (got <= 0)
			return;
		used += (size_t)got;
		text[used] = '\0';
		ssize_t done = strlen(text) == used ? take_lines(nft, text, client) : -1;
		if (done < 0 || used - (size_t)done > LINE_BYTES)
			return;
		used -= (size_t)done;
		memmove(text, text + done, used);
	}
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

	if (!path)
		return pid && count && atol(pid) == (long)getpid() && atol(count) == 1 ? 3 : -1;
	if (strlen(path) >= sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path, path, strlen(path));
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)unlink(path);
	mode_t before = umask(0117); /* owner and group */
	bool fine = bind(listener, (const struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 4) == 0;
	(void)umask(before);
	return fine ? listener : -1;
}

/* ---- the program ---------------------------------------------------------------------- */

static bool are_ports(const char *text)
{
	return strcmp(text, "all") == 0 || (text[0] && strlen(text) < 200 && strspn(text, "0123456789,-") == strlen(text));
}

static int run(struct nft_ctx *nft, int listener, const char *ports)
{
	const char *reason = make_table(nft, ports);

	if (reason[0]) {
		(void)fprintf(stderr, "pbx-bans: the kernel takes no table (%s); this wants CAP_NET_ADMIN and nf_tables\n", reason);
		return 1;
	}
	while (await(listener)) {
		int client = accept(listener, NULL, NULL);
		if (client < 0)
			continue;
		serve(nft, client);
		(void)close(client);
	}
	(void)tell_kernel(nft, "delete table inet pbx_bans\n"); /* or it has gone with its namespace */
	return 0;
}

static int give_up(const char *text)
{
	(void)fprintf(stderr, "pbx-bans: %s\n", text);
	return 64;
}

int main(int argc, char **argv)
{
	const struct sigaction ends = { .sa_handler = on_signal };
	const char *ports = "5060,5061", *path = NULL;
	sigset_t ending;

	for (int i = 1; i < argc; i += 2)
		if (i + 1 < argc && strcmp(argv[i], "--ports") == 0 && are_ports(argv[i + 1]))
			ports = argv[i + 1];
		else if (i + 1 < argc && strcmp(argv[i], "--socket") == 0)
			path = argv[i + 1];
		else
			return give_up("pbx-bans [--ports 5060,5061 | --ports all] [--socket PATH]");
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &ending, NULL); /* open only while we wait */
	(void)sigaction(SIGTERM, &ends, NULL);
	(void)sigaction(SIGINT, &ends, NULL);

	int listener = listen_at(path);
	if (listener < 0)
		return give_up("no socket: --socket wants a path that can be made, else systemd has to hand one over (pbx-bans.socket)");
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft || nft_ctx_buffer_error(nft) != 0 || nft_ctx_buffer_output(nft) != 0)
		return give_up("no memory");
	int code = run(nft, listener, ports);
	nft_ctx_free(nft);
	if (path)
		(void)unlink(path);
	return code;
}
