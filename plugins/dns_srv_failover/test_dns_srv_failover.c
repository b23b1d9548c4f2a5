/* plugins/dns_srv_failover/test_dns_srv_failover.c - a DNS server on the test's own loop, and what the plugin makes of its answers */
#include "../../tests/check_main.h"
#include "answer.h"
#include "enum_rule.h"
#include "fake.h"
#include "host.h"
#include "io.h"
#include "owner.h"
#include <arpa/inet.h>
#include <pbx/sip_resolver.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a DNS server ------------------------------------------------------------------------------------------------------ */

struct row {
	const char *name;
	uint16_t type;
	uint32_t ttl_s;
	uint16_t numbers[3];     /* SRV: priority, weight, port; NAPTR: order, preference */
	const char *text, *more; /* address, target; NAPTR: replacement, and "s SIP+D2U", "u E2U+sip !^.*$!sip:…!"; a space: no flag */
};

static struct {
	const struct row *rows; /* ends with a NULL name */
	int socket;
	uint16_t port;
	uint32_t asked;      /* questions so far */
	char last[DNS_NAME]; /* the newest question's name */
	uint16_t rcode;      /* answers nothing else when not 0 */
	bool silent;
	pbx_io_watch watch;
} server;

struct message {
	uint8_t bytes[4096];
	size_t size;
};

static void put(struct message *message, const void *bytes, size_t size)
{
	memcpy(message->bytes + message->size, bytes, size);
	message->size += size;
}

static void put_16(struct message *message, uint32_t value)
{
	const uint8_t bytes[] = { (uint8_t)(value >> 8), (uint8_t)value };

	put(message, bytes, 2);
}

static void put_text(struct message *message, const char *text, size_t length)
{
	const uint8_t octet = (uint8_t)length;

	put(message, &octet, 1);
	put(message, text, length);
}

static void put_name(struct message *message, const char *name)
{
	while (*name) {
		size_t length = strcspn(name, ".");

		put_text(message, name, length);
		name += length + (name[length] == '.');
	}
	put_text(message, "", 0);
}

static void put_data(struct message *message, const struct row *row)
{
	uint8_t address[16];

	if (row->type == DNS_A || row->type == DNS_AAAA) {
		ck_assert_int_eq(inet_pton(row->type == DNS_A ? AF_INET : AF_INET6, row->text, address), 1);
		put(message, address, row->type == DNS_A ? 4 : 16);
		return;
	}
	for (int i = 0; i < (row->type == DNS_SRV ? 3 : row->type == DNS_NAPTR ? 2 : 0); i++)
		put_16(message, row->numbers[i]);
	if (row->type == DNS_NAPTR) {
		put_text(message, row->more, row->more[0] != ' ');
		const char *service = row->more + 2, *rule = strchr(service, ' ');

		put_text(message, service, rule ? (size_t)(rule - service) : strlen(service));
		put_text(message, rule ? rule + 1 : "", rule ? strlen(rule + 1) : 0);
	}
	put_name(message, row->text);
	if (row->type == DNS_SOA) {
		put_name(message, "hostmaster.example.net");
		for (int i = 0; i < 4; i++)
			put_16(message, 0), put_16(message, 1);
		put_16(message, 0), put_16(message, row->ttl_s);
	}
}

static void put_row(struct message *message, const struct row *row)
{
	struct message data = { .size = 0 };

	put_data(&data, row);
	put_name(message, row->name);
	put_16(message, row->type), put_16(message, 1);
	put_16(message, row->ttl_s >> 16), put_16(message, row->ttl_s & 0xffff);
	put_16(message, (uint32_t)data.size);
	put(message, data.bytes, data.size);
}

/* Answers and authorities for a name and type; aliases are followed as far as the zone has them. */
static void put_answers(struct message *message, const char *name, uint16_t type)
{
	const struct row *soa = NULL;
	uint32_t found = 0;
	size_t counts_at = 6;

	for (const struct row *row = server.rows; row && row->name; row++) {
		if (row->type == DNS_SOA)
			soa = row;
		if (strcmp(row->name, name) != 0 || (row->type != type && row->type != DNS_CNAME))
			continue;
		put_row(message, row);
		found++;
		if (row->type == DNS_CNAME)
			name = row->text;
	}
	message->bytes[counts_at + 1] = (uint8_t)found;
	if (!found && soa) {
		put_row(message, soa);
		message->bytes[9] = 1;
	}
}

static void on_question(void *self, pbx_io_watch watch, uint32_t what)
{
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	uint8_t question[512];
	ssize_t length = recvfrom(server.socket, question, sizeof question, 0, (struct sockaddr *)&from, &size);
	struct message message = { .size = 0 };
	size_t at = 12, used = 0;

	(void)self, (void)watch, (void)what;
	if (length < 17)
		return;
	server.asked++;
	for (; question[at]; at += question[at] + 1u) {
		memcpy(server.last + used, question + at + 1, question[at]);
		used += question[at];
		server.last[used++] = '.';
	}
	server.last[used - 1] = '\0';
	if (server.silent)
		return;
	put(&message, question, 2);
	put_16(&message, 0x8180u | server.rcode);
	put_16(&message, 1), put_16(&message, 0), put_16(&message, 0), put_16(&message, 0);
	put(&message, question + 12, at + 5 - 12);
	if (!server.rcode)
		put_answers(&message, server.last, (uint16_t)(question[at + 1] << 8 | question[at + 2]));
	(void)sendto(server.socket, message.bytes, message.size, 0, (struct sockaddr *)&from, size);
}

/* ---- a house that asks it ------------------------------------------------------------------------------------------------ */

static struct {
	uint32_t asked, answers; /* what the next probes are told: a SIP code, 0 for silence */
	struct pbx_host *host;
	char address[46];
} prober;

static int probe_ask_named(struct pbx_host *host, const char *address, uint32_t port, const char *transport, const char *tls_name,
			   uint32_t timeout_ms, void (*done)(void *self, uint32_t sip_code, uint32_t took_ms), void *self)
{
	(void)port, (void)transport, (void)timeout_ms;
	ck_assert_str_eq(tls_name, "example.net"); /* the domain that was asked for, whatever the server's own name */
	prober.asked++;
	(void)snprintf(prober.address, sizeof prober.address, "%s", address);
	CORE_INTO(host, done(self, prober.answers, 10));
	return PBX_OK;
}

static const struct pbx_sip_probe probe_service = { .header = PBX_HEADER(struct pbx_sip_probe), .ask_named = probe_ask_named };

static struct fake_pbx *house(const struct row *rows, const char *more)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof here;
	char yaml[512];

	memset(&server, 0, sizeof server);
	memset(&prober, 0, sizeof prober);
	server.rows = rows;
	server.socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(server.socket, (struct sockaddr *)&here, size), 0);
	ck_assert_int_eq(getsockname(server.socket, (struct sockaddr *)&here, &size), 0);
	server.port = ntohs(here.sin_port);
	(void)snprintf(yaml, sizeof yaml, "dns_srv_failover:\n  servers: [\"127.0.0.1:%u\"]\n  timeout_ms: 100\n  tries: 1\n%s",
		       server.port, more);
	struct fake_pbx *pbx = fake_pbx_with_settings("dns_srv_failover", yaml);
	ck_assert_int_eq(core_io_service.watch(fake_host(pbx), server.socket, PBX_IO_READ, on_question, NULL, &server.watch), PBX_OK);
	ck_assert_int_eq(core_host_offer("pbx.sip_probe/1", &probe_service), PBX_OK);
	return pbx;
}

static void leave(struct fake_pbx *pbx)
{
	ck_assert_int_eq(core_io_service.stop(server.watch), PBX_OK);
	(void)close(server.socket);
	fake_pbx_free(pbx);
}

/* The order for a domain, as "address:port/transport …"; how it was answered when not with 200. */
static const char *order(struct fake_pbx *pbx, const char *words)
{
	static char text[1024];
	char line[200], path[40];
	size_t used = 0;

	(void)snprintf(line, sizeof line, "dns lookup %s", words);
	const char *answer = fake_command(pbx, line);
	text[0] = '\0';
	if (fake_status(pbx) != 200)
		(void)snprintf(text, sizeof text, "%u", fake_status(pbx));
	for (int i = 0; fake_status(pbx) == 200 && used < sizeof text; i++) {
		(void)snprintf(path, sizeof path, "items.%d.address", i);
		const char *address = fake_json(pbx, answer, path);
		if (!address)
			break;
		(void)snprintf(path, sizeof path, "items.%d.port", i);
		const char *port = fake_json(pbx, answer, path);
		(void)snprintf(path, sizeof path, "items.%d.transport", i);
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s:%s/%s", used ? " " : "", address, port,
					 fake_json(pbx, answer, path));
	}
	return text;
}

static struct {
	int result;
	uint32_t told, count;
	char tls_name[DNS_NAME], target[DNS_NAME];
} heard;

static void on_resolved(void *context, int result, const struct pbx_table *candidates)
{
	const struct pbx_sip_candidate *rows = candidates->rows;

	(void)context;
	heard.told++;
	heard.result = result;
	heard.count = candidates->count;
	if (!candidates->count)
		return;
	(void)snprintf(heard.tls_name, sizeof heard.tls_name, "%s", rows->tls_name);
	(void)snprintf(heard.target, sizeof heard.target, "%s", rows->target);
}

static const struct pbx_sip_resolver *resolver(void)
{
	return core_host_service("pbx.sip_resolver/1", sizeof(struct pbx_sip_resolver));
}

static void report(struct fake_pbx *pbx, const char *address, uint32_t outcome)
{
	resolver()->report(resolver()->self, address, 5060, "udp", outcome);
	fake_settle(pbx);
}

#define SRV(name, ttl, priority, weight, port, target)                                                                                     \
	{                                                                                                                                  \
		name, DNS_SRV, ttl, { priority, weight, port }, target, NULL                                                               \
	}
#define A(name, ttl, address)                                                                                                              \
	{                                                                                                                                  \
		name, DNS_A, ttl, { 0 }, address, NULL                                                                                     \
	}
#define NAPTR(name, ttl, order, preference, what, target)                                                                                  \
	{                                                                                                                                  \
		name, DNS_NAPTR, ttl, { order, preference }, target, what                                                                  \
	}
#define SOA(ttl)                                                                                                                           \
	{                                                                                                                                  \
		"example.net", DNS_SOA, ttl, { 0 }, "ns.example.net", NULL                                                                 \
	}
#define END                                                                                                                                \
	{                                                                                                                                  \
		NULL, 0, 0, { 0 }, NULL, NULL                                                                                              \
	}

static const struct row two_servers[] = {
	SRV("_sip._udp.example.net", 60, 20, 0, 5060, "two.example.net"),
	SRV("_sip._udp.example.net", 60, 10, 0, 5060, "one.example.net"),
	A("one.example.net", 60, "192.0.2.1"),
	A("two.example.net", 60, "192.0.2.2"),
	A("example.net", 60, "192.0.2.9"),
	SOA(30),
	END,
};

/* ---- where a domain leads (RFC 3263) -------------------------------------------------------------------------------------------- */

START_TEST(servers_come_by_priority)
{
	struct fake_pbx *pbx = house(two_servers, "");

	ck_assert_str_eq(order(pbx, "example.net udp"), "192.0.2.1:5060/udp 192.0.2.2:5060/udp");
	ck_assert_str_eq(order(pbx, "Example.NET. udp"), "192.0.2.1:5060/udp 192.0.2.2:5060/udp");
	leave(pbx);
}
END_TEST

START_TEST(a_port_or_no_service_means_the_host_itself)
{
	struct fake_pbx *pbx = house(two_servers, "");

	ck_assert_str_eq(order(pbx, "example.net udp 5070"), "192.0.2.9:5070/udp");
	ck_assert_str_eq(order(pbx, "one.example.net"), "192.0.2.1:5060/udp");
	ck_assert_str_eq(order(pbx, "one.example.net tls"), "192.0.2.1:5061/tls");
	ck_assert_str_eq(order(pbx, "one.example.net secure=true"), "192.0.2.1:5061/tls");
	ck_assert_str_eq(order(pbx, "one.example.net udp secure=true"), "404");
	ck_assert_str_eq(order(pbx, "nobody.example.net"), "404");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "dns.resolve_failed"), "reason"), "not_found");
	ck_assert_str_eq(order(pbx, "not..a.name"), "422");
	leave(pbx);
}
END_TEST

START_TEST(the_domain_chooses_the_transport_by_naptr)
{
	static const struct row rows[] = {
		NAPTR("example.net", 60, 20, 1, "s SIP+D2U", "_sip._udp.example.net"),
		NAPTR("example.net", 60, 10, 20, "s SIP+D2T", "_other._tcp.example.net"),
		NAPTR("example.net", 60, 10, 10, "S SIPS+D2T", "_sips._tcp.example.net"),
		NAPTR("example.net", 60, 5, 1, "u E2U+sip", "example.net"), /* nothing to us */
		SRV("_other._tcp.example.net", 60, 1, 1, 5070, "one.example.net"),
		SRV("_sips._tcp.example.net", 60, 1, 1, 5071, "one.example.net"),
		SRV("_sip._udp.example.net", 60, 1, 1, 5072, "one.example.net"),
		A("one.example.net", 60, "192.0.2.1"),
		END,
	};
	struct fake_pbx *pbx = house(rows, "");

	ck_assert_str_eq(order(pbx, "example.net"), "192.0.2.1:5071/tls 192.0.2.1:5070/tcp");
	ck_assert_str_eq(order(pbx, "example.net secure=true"), "192.0.2.1:5071/tls");
	(void)fake_command(pbx, "config set dns_srv_failover.use_naptr false");
	ck_assert_str_eq(order(pbx, "example.net"), "192.0.2.1:5071/tls 192.0.2.1:5072/udp");
	(void)fake_command(pbx, "config set dns_srv_failover.transports '[udp]'");
	ck_assert_str_eq(order(pbx, "example.net"), "192.0.2.1:5072/udp");
	leave(pbx);
}
END_TEST

START_TEST(a_dot_for_a_target_means_no_such_service)
{
	static const struct row rows[] = {
		SRV("_sip._udp.example.net", 60, 0, 0, 0, ""),
		A("example.net", 60, "192.0.2.9"),
		END,
	};
	struct fake_pbx *pbx = house(rows, "");

	ck_assert_str_eq(order(pbx, "example.net udp"), "404");
	leave(pbx);
}
END_TEST

START_TEST(aliases_are_followed_and_circles_end)
{
	static const struct row rows[] = {
		{ "www.example.net", DNS_CNAME, 60, { 0 }, "host.example.net", NULL },
		A("host.example.net", 60, "192.0.2.1"),
		{ "round.example.net", DNS_CNAME, 60, { 0 }, "round.example.net", NULL },
		END,
	};
	struct fake_pbx *pbx = house(rows, "");

	ck_assert_str_eq(order(pbx, "www.example.net udp"), "192.0.2.1:5060/udp");
	ck_assert_str_eq(order(pbx, "round.example.net udp"), "404");
	leave(pbx);
}
END_TEST

START_TEST(the_names_of_this_machine_need_no_server)
{
	struct fake_pbx *pbx = house(NULL, "  ipv6: false\n");

	ck_assert_str_eq(order(pbx, "localhost udp 5060"), "127.0.0.1:5060/udp");
	ck_assert_uint_eq(server.asked, 0);
	leave(pbx);
}
END_TEST

START_TEST(weights_share_the_calls)
{
	static const struct row rows[] = {
		SRV("_sip._udp.example.net", 60, 10, 75, 5060, "one.example.net"),
		SRV("_sip._udp.example.net", 60, 10, 25, 5060, "two.example.net"),
		A("one.example.net", 60, "192.0.2.1"),
		A("two.example.net", 60, "192.0.2.2"),
		END,
	};
	struct fake_pbx *pbx = house(rows, "");
	uint32_t heavy = 0;

	for (int i = 0; i < 1000; i++)
		heavy += strncmp(order(pbx, "example.net udp"), "192.0.2.1:", 10) == 0;
	ck_assert_uint_ge(heavy, 700);
	ck_assert_uint_le(heavy, 800);
	leave(pbx);
}
END_TEST

/* ---- for how long ------------------------------------------------------------------------------------------------------------------- */

START_TEST(answers_are_kept_as_long_as_they_hold_and_no_longer)
{
	static const struct row before[] = { A("a.example.net", 10, "192.0.2.1"), END },
				after[] = { A("a.example.net", 10, "192.0.2.2"), END };
	struct fake_pbx *pbx = house(before, "  ipv6: false\n");

	ck_assert_str_eq(order(pbx, "a.example.net port=5060"), "192.0.2.1:5060/udp");
	server.rows = after;
	uint32_t asked = server.asked;
	fake_pass_ms(pbx, 9000);
	ck_assert_str_eq(order(pbx, "a.example.net port=5060"), "192.0.2.1:5060/udp");
	ck_assert_uint_eq(server.asked, asked);
	fake_pass_ms(pbx, 2000);
	ck_assert_str_eq(order(pbx, "a.example.net port=5060"), "192.0.2.2:5060/udp");
	server.rows = before;
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "dns flush a.example.net"), "flushed"), "1");
	ck_assert_str_eq(order(pbx, "a.example.net port=5060"), "192.0.2.1:5060/udp");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "dns show"), "items.0.records.0"), "192.0.2.1");
	leave(pbx);
}
END_TEST

START_TEST(nothing_is_nothing_for_as_long_as_the_soa_says)
{
	struct fake_pbx *pbx = house(two_servers, "");

	ck_assert_str_eq(order(pbx, "none.example.net port=5060"), "404");
	uint32_t asked = server.asked;
	fake_pass_ms(pbx, 29000);
	ck_assert_str_eq(order(pbx, "none.example.net port=5060"), "404");
	ck_assert_uint_eq(server.asked, asked);
	fake_pass_ms(pbx, 2000);
	ck_assert_str_eq(order(pbx, "none.example.net port=5060"), "404");
	ck_assert_uint_gt(server.asked, asked);
	leave(pbx);
}
END_TEST

START_TEST(old_answers_serve_on_while_servers_are_dead)
{
	struct fake_pbx *pbx = house(two_servers, "  serve_stale_s: 600\n");

	ck_assert_str_eq(order(pbx, "example.net udp"), "192.0.2.1:5060/udp 192.0.2.2:5060/udp");
	fake_pass_ms(pbx, 61000);
	server.rcode = 2; /* SERVFAIL */
	ck_assert_str_eq(order(pbx, "example.net udp"), "192.0.2.1:5060/udp 192.0.2.2:5060/udp");
	uint32_t asked = server.asked;
	ck_assert_str_eq(order(pbx, "example.net udp"), "192.0.2.1:5060/udp 192.0.2.2:5060/udp");
	ck_assert_uint_eq(server.asked, asked); /* left alone for 30 s */
	fake_pass_ms(pbx, 31000);
	ck_assert_str_eq(order(pbx, "example.net udp"), "192.0.2.1:5060/udp 192.0.2.2:5060/udp");
	ck_assert_uint_gt(server.asked, asked);
	fake_pass_ms(pbx, 600000);
	ck_assert_str_eq(order(pbx, "example.net udp"), "503");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "dns.resolve_failed"), "reason"), "no_answer");
	leave(pbx);
}
END_TEST

START_TEST(who_waits_for_a_slow_server_gets_the_old_answer)
{
	struct fake_pbx *pbx = house(two_servers, "");
	const struct pbx_sip_where where = { .size = sizeof where, .host = "example.net", .transport = "udp" };

	ck_assert_int_eq(resolver()->resolve(resolver()->self, &where, on_resolved, NULL), PBX_OK);
	fake_settle(pbx);
	ck_assert_uint_eq(heard.told, 1);
	ck_assert_str_eq(heard.tls_name, "example.net");
	ck_assert_str_eq(heard.target, "one.example.net");
	fake_pass_ms(pbx, 61000);
	server.silent = true;
	ck_assert_int_eq(resolver()->resolve(resolver()->self, &where, on_resolved, NULL), PBX_OK);
	fake_settle(pbx);
	ck_assert_uint_eq(heard.told, 1);
	fake_pass_ms(pbx, 6000); /* SRV, then addresses: 1.8 s each */
	ck_assert_uint_eq(heard.told, 2);
	ck_assert_int_eq(heard.result, PBX_OK);
	ck_assert_uint_eq(heard.count, 2);
	leave(pbx);
}
END_TEST

START_TEST(who_waits_when_the_plugin_goes_is_told_so)
{
	struct fake_pbx *pbx = house(two_servers, "");
	const struct pbx_sip_where where = { .size = sizeof where, .host = "example.net", .transport = "udp" };

	server.silent = true;
	ck_assert_int_eq(resolver()->resolve(resolver()->self, &where, on_resolved, NULL), PBX_OK);
	ck_assert_int_eq(fake_unload_plugin(pbx, "dns_srv_failover"), PBX_OK);
	ck_assert_uint_eq(heard.told, 1);
	ck_assert_int_eq(heard.result, PBX_ECANCELLED);
	ck_assert_ptr_null((void *)(uintptr_t)resolver()->resolve);
	leave(pbx);
}
END_TEST

/* ---- who answers -------------------------------------------------------------------------------------------------------------------------- */

#define FIRST "192.0.2.1:5060/udp 192.0.2.2:5060/udp"
#define SECOND "192.0.2.2:5060/udp 192.0.2.1:5060/udp"

START_TEST(who_was_silent_comes_last_until_it_answers_a_probe)
{
	struct fake_pbx *pbx = house(two_servers, "  check_interval_s: 60\n");

	ck_assert_str_eq(order(pbx, "example.net udp"), FIRST);
	report(pbx, "192.0.2.1", PBX_SIP_TRIED_SILENT);
	ck_assert_str_eq(order(pbx, "example.net udp"), SECOND);
	ck_assert_uint_eq(fake_event_count(pbx, "dns.target_down"), 0);
	fake_pass_ms(pbx, 10000);
	ck_assert_uint_eq(prober.asked, 2); /* with the call, three */
	ck_assert_str_eq(prober.address, "192.0.2.1");
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "dns.target_down"), "failures"), "3");
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "dns statistics"), "targets_down"), "1");
	ck_assert_str_eq(order(pbx, "example.net udp"), SECOND);
	prober.answers = 503;
	fake_pass_ms(pbx, 60000);
	ck_assert_str_eq(order(pbx, "example.net udp"), SECOND);
	prober.answers = 405;
	fake_pass_ms(pbx, 60000);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "dns.target_up"), "seen_by"), "probe");
	ck_assert_str_eq(order(pbx, "example.net udp"), FIRST);
	uint32_t asked = prober.asked;
	fake_pass_ms(pbx, 600000);
	ck_assert_uint_eq(prober.asked, asked);
	leave(pbx);
}
END_TEST

START_TEST(who_is_busy_keeps_its_place_until_it_is_so_three_times)
{
	struct fake_pbx *pbx = house(two_servers, "");

	ck_assert_str_eq(order(pbx, "example.net udp"), FIRST);
	for (int i = 0; i < 2; i++)
		report(pbx, "192.0.2.1", PBX_SIP_TRIED_REFUSED);
	ck_assert_str_eq(order(pbx, "example.net udp"), FIRST);
	report(pbx, "192.0.2.1", PBX_SIP_TRIED_OK);
	for (int i = 0; i < 3; i++)
		report(pbx, "192.0.2.1", PBX_SIP_TRIED_REFUSED);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "dns.target_down"), "reason"), "unavailable");
	ck_assert_str_eq(order(pbx, "example.net udp"), SECOND);
	report(pbx, "192.0.2.1", PBX_SIP_TRIED_OK);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "dns.target_up"), "seen_by"), "request");
	ck_assert_str_eq(order(pbx, "example.net udp"), FIRST);
	report(pbx, "198.51.100.1", PBX_SIP_TRIED_SILENT); /* not one of ours */
	leave(pbx);
}
END_TEST

START_TEST(when_all_are_down_all_are_tried_all_the_same)
{
	struct fake_pbx *pbx = house(two_servers, "  max_failures: 1\n");

	(void)order(pbx, "example.net udp");
	report(pbx, "192.0.2.1", PBX_SIP_TRIED_BROKEN);
	report(pbx, "192.0.2.2", PBX_SIP_TRIED_BROKEN);
	ck_assert_uint_eq(fake_event_count(pbx, "dns.target_down"), 2);
	ck_assert_str_eq(order(pbx, "example.net udp"), FIRST);
	leave(pbx);
}
END_TEST

/* ---- settings and bad bytes ------------------------------------------------------------------------------------------------------------- */

START_TEST(settings_that_cannot_be_are_refused_with_the_cure)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("dns_srv_failover"); /* a setting of the file cannot be changed */

	ck_assert_ptr_nonnull(strstr(fake_command(pbx, "config set dns_srv_failover.servers '[nonsense]'"), "right would be"));
	ck_assert_ptr_nonnull(strstr(fake_command(pbx, "config set dns_srv_failover.transports '[sctp]'"), "right would be"));
	ck_assert_ptr_nonnull(strstr(fake_command(pbx, "config set dns_srv_failover.min_ttl_s 3600"), "revision"));
	ck_assert_ptr_nonnull(strstr(fake_command(pbx, "config set dns_srv_failover.max_ttl_s 60"), "must not be above"));
	(void)fake_http_as(pbx, "alice", "dns:read", "", "POST", "/dns/lookup", "{\"domain\": \"example.net\"}");
	ck_assert_uint_eq(fake_status(pbx), 403);
}
END_TEST

START_TEST(broken_answers_are_no_answers)
{
	static const uint8_t circle[] = { 0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1 };
	static const uint8_t cut[] = { 0, 1, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0 };
	static const uint8_t whole[] = { 0, 1, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 1, 'A', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1 };
	struct dns_answer answer;

	dns_answer_read(circle, sizeof circle, "a", DNS_A, &answer);
	ck_assert_uint_eq(answer.outcome, DNS_BROKEN);
	dns_answer_read(cut, sizeof cut, "a", DNS_A, &answer);
	ck_assert_uint_eq(answer.outcome, DNS_BROKEN);
	dns_answer_read(whole, sizeof whole, "a", DNS_A, &answer);
	ck_assert_uint_eq(answer.outcome, DNS_FOUND);
	ck_assert_uint_eq(answer.ttl_s, 9);
	dns_answer_read(whole, sizeof whole, "b", DNS_A, &answer); /* an answer to what nobody asked */
	ck_assert_uint_eq(answer.outcome, DNS_NOTHING);
	for (size_t size = 0; size < sizeof whole; size++) {
		dns_answer_read(whole, size, "a", DNS_A, &answer);
		ck_assert_uint_eq(answer.outcome, DNS_BROKEN);
	}
}
END_TEST

/* ---- numbers (RFC 6116) --------------------------------------------------------------------------------------------------------- */

START_TEST(a_rule_makes_an_address_of_a_number)
{
	static const struct {
		const char *rule, *uri;
	} rules[] = {
		{ "!^.*$!sip:info@example.net!", "sip:info@example.net" },
		{ "!^\\+49(.*)$!sip:\\1@example.net!", "sip:30123@example.net" },
		{ "!^\\+4930([0-9]+)$!sip:\\1@pbx.example.net:5070;transport=tcp!", "sip:123@pbx.example.net:5070;transport=tcp" },
		{ "!^(.*)$!sips:\\1@example.net;user=phone!", "sips:+4930123@example.net;user=phone" },
		{ "/^(\\+49)(..)(.*)$/SIP:\\3.\\2@192.0.2.7/i", "SIP:123.30@192.0.2.7" },
		{ "!30!sip:a\\!b@example.net!", "sip:a!b@example.net" }, /* a delimiter that is meant */
		{ "!^.*$!sip:x@[2001:db8::1]:5060!", "sip:x@[2001:db8::1]:5060" },
		{ "!^\\+?49([0-9]*)$!sip:\\1@example.net!", NULL }, /* see below: it is taken */
	};
	char uri[ENUM_URI];

	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		ck_assert_msg(enum_rule_apply(rules[i].rule, "+4930123", uri), "%s", rules[i].rule);
		ck_assert_str_eq(uri, rules[i].uri ? rules[i].uri : "sip:30123@example.net");
	}
}
END_TEST

START_TEST(a_rule_that_could_hurt_or_leads_astray_is_none)
{
	static const char *const rules[] = {
		"",
		"!",
		"!^.*$",
		"!^.*$!sip:a@example.net", /* no rule at all */
		"1^.*$1sip:a@example.net1",
		"\\^.*$\\sip:a@example.net\\",
		"!^.*$!sip:a@example.net!x",
		"!^\\+44!sip:a@example.net!", /* another's number */
		"!^(!sip:a@example.net!",
		"![!sip:a@example.net!",
		"!a\\!sip:a@example.net!",
		"!^(.){100}{100}{100}{100}$!sip:a@example.net!", /* eats memory in glibc */
		"!^.{3}!sip:a@example.net!",
		"!^(.*)*$!sip:a@example.net!",
		"!^((.+)+)+$!sip:a@example.net!",
		"!^(.|.)*$!sip:a@example.net!",
		"!^.**$!sip:a@example.net!",
		"!^(.*)\\1(.*)\\2$!sip:a@example.net!", /* exponential */
		"!.*.*.*.*.*.*.*!sip:a@example.net!",
		"!^[[:digit:]+]*$!sip:a@example.net!",
		"!^\\w*$!sip:a@example.net!",
		"!^.*$!tel:+4930123!",
		"!^.*$!mailto:a@example.net!",
		"!^.*$!http://a@example.net/!",
		"!^.*$!\\0!",
		"!^.*$!sip:example.net!",
		"!^.*$!sip:@example.net!",
		"!^.*$!sip:a@b@example.net!",
		"!^.*$!sip:a@!",
		"!^.*$!sip:a@example.net?Route=x!",
		"!^.*$!sip:a@example.net;maddr=127.0.0.1!",
		"!^.*$!sip:a@example.net;lr!",
		"!^.*$!sip:a@example.net;method=BYE!",
		"!^.*$!sip:a@example.net;transport!",
		"!^.*$!sip:a@exa mple.net!",
		"!^.*$!sip:a@example.net\r\nX: y!",
		"!^.*$!sip:<a@example.net>!",
		"!^.*$!sip:\"a\"@example.net!",
		"!^.*$!sip:a@-.example..net!",
		"!^.*$!sip:a@1.2.3.4.5!",
		"!^.*$!sip:a@2130706433!",
		"!^.*$!sip:a@[::1!",
		"!^.*$!sip:a@[localhost]!",
		"!^.*$!sip:a@example.net:0!",
		"!^.*$!sip:a@example.net:65536!",
		"!^.*$!sip:a@example.net:50a!",
		"!^.*$!sip:a@example.net:!",
	};
	char uri[ENUM_URI] = "untouched", longest[DNS_NAPTR_REGEXP];

	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		ck_assert_msg(!enum_rule_apply(rules[i], "+4930123", uri), "%s", rules[i]);
	memset(longest, '.', sizeof longest - 1); /* a pattern that is too long */
	longest[0] = longest[sizeof longest - 2] = '!';
	longest[sizeof longest - 1] = '\0';
	ck_assert(!enum_rule_apply(longest, "+4930123", uri));
	/* What grows: each \0 is the number. */
	(void)snprintf(longest, sizeof longest, "!^.*$!sip:%s@a.example!",
		       "\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0");
	ck_assert(!enum_rule_apply(longest, "+49301234567890", uri));
	ck_assert_str_eq(uri, "untouched");
}
END_TEST

START_TEST(numbers_names_and_services_of_enum)
{
	char number[ENUM_NUMBER], name[DNS_NAME];

	ck_assert(enum_number_read("+49 (30) 1-23", number));
	ck_assert_str_eq(number, "+4930123");
	ck_assert(enum_name(number, "e164.arpa", name, sizeof name));
	ck_assert_str_eq(name, "3.2.1.0.3.9.4.e164.arpa");
	ck_assert(!enum_name(number, "e164.arpa", name, 20));
	ck_assert(enum_number_read("+123456789012345", number));
	ck_assert(!enum_number_read("+1234567890123456", number));
	ck_assert(!enum_number_read("4930123", number) && !enum_number_read("+49x", number) && !enum_number_read("+0123", number));
	ck_assert(!enum_number_read("", number) && !enum_number_read("+", number) && !enum_number_read("+12", number));
	ck_assert(enum_service_is_sip("E2U+SIP") && enum_service_is_sip("E2U+VOICE:TEL+SIP") && enum_service_is_sip("E2U+SIP:X"));
	ck_assert(!enum_service_is_sip("E2U+TEL") && !enum_service_is_sip("E2U+SIPX") && !enum_service_is_sip("SIP+D2U"));
	ck_assert(!enum_service_is_sip("E2U") && !enum_service_is_sip("E2U+") && !enum_service_is_sip(""));
}
END_TEST

#define ENUM_SETTINGS "  enum_domains: [first.example.net, second.example.net]\n"

/* What `dns enum` tells of a number: an address, or the status. */
static const char *enum_of(struct fake_pbx *pbx, const char *number)
{
	static char text[ENUM_URI];
	char line[80];

	(void)snprintf(line, sizeof line, "dns enum %s", number);
	const char *answer = fake_command(pbx, line), *uri = fake_status(pbx) == 200 ? fake_json(pbx, answer, "uri") : NULL;
	(void)snprintf(text, sizeof text, "%s", uri ? uri : "");
	if (!uri)
		(void)snprintf(text, sizeof text, "%u", fake_status(pbx));
	return text;
}

START_TEST(a_number_is_looked_up_by_order_preference_and_domain)
{
	static const struct row rows[] = {
		/* 111: by order, then by preference; what is not SIP or no good is passed over */
		NAPTR("1.1.1.first.example.net", 60, 20, 1, "u E2U+sip !^.*$!sip:late@example.net!", ""),
		NAPTR("1.1.1.first.example.net", 60, 10, 5, "u E2U+sip !^.*$!sip:third@example.net!", ""),
		NAPTR("1.1.1.first.example.net", 60, 10, 1, "u E2U+email !^.*$!mailto:a@example.net!", ""),
		NAPTR("1.1.1.first.example.net", 60, 10, 2, "u E2U+sip !^(.*)*$!sip:bad@example.net!", ""),
		NAPTR("1.1.1.first.example.net", 60, 10, 3, "U e2u+voice:tel+sip !^\\+(.*)$!sip:\\1@example.net!", ""),
		/* 222: under the second domain alone */
		NAPTR("2.2.2.second.example.net", 60, 1, 1, "u E2U+sip !^.*$!sip:two@example.net!", ""),
		/* 333: leads to another name, which leads on for ever */
		NAPTR("3.3.3.first.example.net", 60, 1, 1, "  ", "loop.example.net"),
		NAPTR("loop.example.net", 60, 1, 1, "  ", "loop.example.net"),
		/* 444: leads to another name, where there is an address */
		NAPTR("4.4.4.first.example.net", 60, 1, 1, "  ", "there.example.net"),
		NAPTR("there.example.net", 60, 1, 1, "u E2U+sip !^.*$!sip:there@example.net!", ""),
		SOA(30),
		END,
	};
	struct fake_pbx *pbx = house(rows, ENUM_SETTINGS);

	ck_assert_str_eq(enum_of(pbx, "+111"), "sip:111@example.net");
	ck_assert_str_eq(server.last, "1.1.1.first.example.net");
	uint32_t asked = server.asked;
	ck_assert_str_eq(enum_of(pbx, "+111"), "sip:111@example.net");
	ck_assert_uint_eq(server.asked, asked); /* from the cache */
	fake_pass_ms(pbx, 61000);
	ck_assert_str_eq(enum_of(pbx, "+111"), "sip:111@example.net");
	ck_assert_uint_eq(server.asked, asked + 1); /* past its time */
	ck_assert_str_eq(enum_of(pbx, "+222"), "sip:two@example.net");
	ck_assert_str_eq(enum_of(pbx, "+333"), "404");
	ck_assert_str_eq(enum_of(pbx, "+444"), "sip:there@example.net");
	ck_assert_str_eq(enum_of(pbx, "+555"), "404");
	ck_assert_str_eq(enum_of(pbx, "1001"), "422");
	server.rcode = 2;
	ck_assert_str_eq(enum_of(pbx, "+666"), "503");
	leave(pbx);
}
END_TEST

START_TEST(without_domains_nobody_is_asked_and_who_waits_at_the_end_is_told)
{
	static const struct row rows[] = { SOA(30), END };
	struct fake_pbx *pbx = house(rows, "");

	ck_assert_str_eq(enum_of(pbx, "+111"), "422");
	ck_assert_uint_eq(server.asked, 0);
	leave(pbx);
}
END_TEST

CHECK_MAIN("dns_srv_failover", servers_come_by_priority, a_port_or_no_service_means_the_host_itself,
	   the_domain_chooses_the_transport_by_naptr, a_dot_for_a_target_means_no_such_service, aliases_are_followed_and_circles_end,
	   the_names_of_this_machine_need_no_server, weights_share_the_calls, answers_are_kept_as_long_as_they_hold_and_no_longer,
	   nothing_is_nothing_for_as_long_as_the_soa_says, old_answers_serve_on_while_servers_are_dead,
	   who_waits_for_a_slow_server_gets_the_old_answer, who_waits_when_the_plugin_goes_is_told_so,
	   who_was_silent_comes_last_until_it_answers_a_probe, who_is_busy_keeps_its_place_until_it_is_so_three_times,
	   when_all_are_down_all_are_tried_all_the_same, settings_that_cannot_be_are_refused_with_the_cure, broken_answers_are_no_answers,
	   a_rule_makes_an_address_of_a_number, a_rule_that_could_hurt_or_leads_astray_is_none, numbers_names_and_services_of_enum,
	   a_number_is_looked_up_by_order_preference_and_domain, without_domains_nobody_is_asked_and_who_waits_at_the_end_is_told)
