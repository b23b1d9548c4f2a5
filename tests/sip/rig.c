/* rig.c - the SIP part on a real loop, store and sockets, and a phone made of one UDP socket */
#include "rig.h"
#include "bus.h"
#include "digest.h"
#include "host.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "parts.h"
#include "request.h"
#include "schema.h"
#include "settings.h"
#include "sip.h"
#include "store.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct rig_core rig_core;

/* ---- where call control stands -------------------------------------------------------- */

/* The linker leads the calls of sip/ here (--wrap in meson.build). */
int __wrap_core_leg_on_incoming(const struct core_leg_driver *driver, void *dialog, const struct core_incoming *incoming, pbx_leg *ret_leg);
void __wrap_core_leg_on_ringing(pbx_leg leg, uint32_t sip_code, const struct core_media_desc *early);
void __wrap_core_leg_on_answered(pbx_leg leg, const struct core_media_desc *answer);
void __wrap_core_leg_on_redirected(pbx_leg leg, const char *const *targets, uint32_t count, uint32_t reason);
void __wrap_core_leg_on_offer(pbx_leg leg, const struct core_media_desc *offer);
void __wrap_core_leg_on_update_done(pbx_leg leg, int result, const struct core_media_desc *answer);
void __wrap_core_leg_on_digit(pbx_leg leg, char digit, uint32_t duration_ms);
int __wrap_core_leg_on_transfer(pbx_leg leg, const char *target, pbx_leg replaces);
void __wrap_core_leg_on_ended(pbx_leg leg, uint32_t sip_code, uint32_t cause, bool by_peer, const char *text);
void __wrap_core_legs_set_driver(const struct core_leg_driver *driver);

int __wrap_core_leg_on_incoming(const struct core_leg_driver *driver, void *dialog, const struct core_incoming *incoming, pbx_leg *ret_leg)
{
	(void)driver;
	int err = rig_core.incoming ? rig_core.incoming(dialog, incoming) : PBX_ENOSPC;
	if (err == PBX_OK)
		*ret_leg = (pbx_leg){ 1 };
	return err;
}

void __wrap_core_leg_on_ringing(pbx_leg leg, uint32_t sip_code, const struct core_media_desc *early)
{
	ck_assert_uint_ne(leg.id, 0);
	if (rig_core.ringing)
		rig_core.ringing(sip_code, early);
}

void __wrap_core_leg_on_answered(pbx_leg leg, const struct core_media_desc *answer)
{
	ck_assert_uint_ne(leg.id, 0);
	if (rig_core.answered)
		rig_core.answered(answer);
}

void __wrap_core_leg_on_redirected(pbx_leg leg, const char *const *targets, uint32_t count, uint32_t reason)
{
	ck_assert_uint_ne(leg.id, 0);
	if (rig_core.redirected)
		rig_core.redirected(targets, count, reason);
}

void __wrap_core_leg_on_offer(pbx_leg leg, const struct core_media_desc *offer)
{
	ck_assert_uint_ne(leg.id, 0);
	if (rig_core.offer)
		rig_core.offer(offer);
}

void __wrap_core_leg_on_update_done(pbx_leg leg, int result, const struct core_media_desc *answer)
{
	(void)leg;
	if (rig_core.update_done)
		rig_core.update_done(result, answer);
}

void __wrap_core_leg_on_digit(pbx_leg leg, char digit, uint32_t duration_ms)
{
	(void)leg;
	if (rig_core.digit)
		rig_core.digit(digit, duration_ms);
}

int __wrap_core_leg_on_transfer(pbx_leg leg, const char *target, pbx_leg replaces)
{
	(void)leg;
	return rig_core.transfer ? rig_core.transfer(target, replaces) : PBX_ENOENT;
}

void __wrap_core_leg_on_ended(pbx_leg leg, uint32_t sip_code, uint32_t cause, bool by_peer, const char *text)
{
	ck_assert_uint_ne(leg.id, 0);
	if (rig_core.ended)
		rig_core.ended(sip_code, cause, by_peer, text);
}

void __wrap_core_legs_set_driver(const struct core_leg_driver *driver)
{
	(void)driver; /* the test calls ua_leg_driver by name */
}

/* ---- accounts ------------------------------------------------------------------------- */

static bool has_account(const char *user)
{
	return strlen(user) == 4 && strncmp(user, "100", 3) == 0 && user[3] >= '1' && user[3] <= '9';
}

static int find(void *self, const char *user, struct pbx_account *ret_account)
{
	(void)self;
	if (!has_account(user))
		return PBX_ENOENT;
	ret_account->number = user;
	ret_account->max_contacts = strcmp(user, "1009") == 0 ? 2 : 0;
	ret_account->trusted = strcmp(user, "1008") == 0;
	ret_account->name = strcmp(user, "1006") == 0 ? "Phone \"Six\"" : "";
	ret_account->outbound_caller_id = strcmp(user, "1007") == 0 ? "5551007" : "";
	return PBX_OK;
}

static int digest(void *self, const char *user, const char *realm, uint32_t algorithm, char ret_ha1[65])
{
	(void)self;
	if (!has_account(user))
		return PBX_ENOENT;
	ua_hash(algorithm, ret_ha1, user, realm, "secret", NULL);
	return PBX_OK;
}

static const struct pbx_directory directory = { .header = PBX_HEADER(struct pbx_directory), .find = find, .digest = digest };

/* ---- life ----------------------------------------------------------------------------- */

static bool store_up, migrated, attached, stands_still;

static void on_store_up(void *context, int result, const char *reason)
{
	(void)context;
	ck_assert_msg(result == PBX_OK, "%s", reason);
	store_up = true;
}

static void on_migrated(void *context, int result, const struct pbx_diag *diag)
{
	(void)context;
	ck_assert_msg(result == PBX_OK, "%s", diag ? diag->text : "");
	migrated = true;
}

static void on_attached(void *context, int result)
{
	(void)context;
	ck_assert_int_eq(result, PBX_OK);
	attached = true;
}

/* A clock that stands still moves a little with each round, so that what waits for the store goes on. */
static void step(void)
{
	if (stands_still)
		core_loop_pass_ms(1);
	else
		core_loop_step();
}

/* By the world's clock: the store's threads know no other. */
void rig_until(const bool *flag)
{
	time_t end_s = time(NULL) + 20;

	while (!*flag) {
		step();
		ck_assert_msg(time(NULL) < end_s, "what was waited for has not happened");
	}
}

static bool is_free(int family, int kind, uint16_t port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} addr = { .v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT } };
	socklen_t size = sizeof addr.v6;

	if (family == AF_INET) {
		addr.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		size = sizeof addr.v4;
	}
	int fd = socket(family, kind, 0);
	bool bound = bind(fd, &addr.any, size) == 0;

	close(fd);
	return bound;
}

/* Below what the kernel hands out by itself, and another one in each process: between our look and the part's bind() nobody takes it. */
static uint16_t free_port(void)
{
	for (unsigned tries = 0; tries < 100; tries++) {
		uint16_t port = (uint16_t)(21000 + ((unsigned)getpid() + tries * 997) % 9000);

		if (is_free(AF_INET, SOCK_DGRAM, port) && is_free(AF_INET, SOCK_STREAM, port) && is_free(AF_INET6, SOCK_DGRAM, port) &&
		    is_free(AF_INET6, SOCK_STREAM, port))
			return port;
	}
	ck_abort_msg("no free port");
}

static void open_part(struct rig *rig, const char *yaml)
{
	char path[128], file[128];
	struct pbx_diag diag = { 0 };

	(void)snprintf(path, sizeof path, "%s/pbx.yml", rig->dir);
	FILE *out = fopen(path, "w");
	ck_assert_ptr_nonnull(out);
	(void)fprintf(out, "sip:\n  listen: [\"udp:127.0.0.1:%u\", \"tcp:127.0.0.1:%u\", \"udp:[::1]:%u\", \"tcp:[::1]:%u\"]\n%s",
		      rig->port, rig->port, rig->port, rig->port, yaml ? yaml : "");
	(void)fclose(out);

	ck_assert_int_eq(core_loop_init(stands_still), PBX_OK);
	ck_assert_int_eq(core_log_init(), PBX_OK);
	(void)core_log_set_level(NULL, getenv("RIG_LOG") ? PBX_LOG_DEBUG : 2, 0);
	ck_assert_int_eq(core_settings_init(path), PBX_OK);
	ck_assert_int_eq(core_requests_init(), PBX_OK);
	ck_assert_int_eq(core_metrics_init(), PBX_OK);
	ck_assert_int_eq(core_bus_init(), PBX_OK);
	ck_assert_int_eq(core_host_init(), PBX_OK);
	(void)snprintf(file, sizeof file, "%s/pbx.db", rig->dir);
	const struct core_store_config config = {
		.engine = "sqlite", .file = file, .url = "", .journal_dir = rig->dir, .readers = 1, .pool = 1, .statement_timeout_ms = 5000
	};
	store_up = migrated = attached = false;
	ck_assert_int_eq(core_store_init(&config, on_store_up, NULL), PBX_OK);
	rig_until(&store_up);
	core_store_migrate("core", &CORE_SCHEMA_TABLE, on_migrated, NULL);
	rig_until(&migrated);
	core_bus_attach_store(on_attached, NULL);
	rig_until(&attached);
	ck_assert_int_eq(core_host_offer("pbx.directory/1", &directory), PBX_OK);
	ck_assert_int_eq(core_host_add_part(&sip_part, NULL), PBX_OK);
	ck_assert_msg(sip_open(&diag) == PBX_OK, "%s", diag.text);
	core_loop_settle();
}

static bool stopped;

static void on_stopped(void *context)
{
	(void)context;
	stopped = true;
}

static void close_part(void)
{
	stopped = false;
	core_host_stop_all(on_stopped, NULL);
	rig_until(&stopped);
	core_loop_settle();
	core_host_fini();
	core_bus_fini();
	core_store_fini(5000);
	core_metrics_fini();
	core_requests_fini();
	core_settings_fini();
	core_loop_fini();
	core_log_fini();
}

struct rig *rig_start_still(const char *yaml)
{
	stands_still = true;
	return rig_start(yaml);
}

struct rig *rig_start(const char *yaml)
{
	struct rig *rig = calloc(1, sizeof *rig);
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof addr;

	ck_assert_ptr_nonnull(rig);
	(void)snprintf(rig->dir, sizeof rig->dir, "/tmp/pbx-sip-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig->dir));
	rig->phone = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(rig->phone, (struct sockaddr *)&addr, sizeof addr), 0);
	ck_assert_int_eq(getsockname(rig->phone, (struct sockaddr *)&addr, &size), 0);
	rig->phone_port = ntohs(addr.sin_port);
	rig->port = free_port();
	memset(&rig_core, 0, sizeof rig_core);
	open_part(rig, yaml);
	return rig;
}

void rig_stop(struct rig *rig)
{
	char command[128];

	close_part();
	stands_still = false;
	close(rig->phone);
	(void)snprintf(command, sizeof command, "rm -rf %s", rig->dir);
	ck_assert_int_eq(system(command), 0);
	free(rig);
}

void rig_restart(struct rig *rig, const char *yaml)
{
	close_part();
	open_part(rig, yaml);
}

/* ---- the phone ------------------------------------------------------------------------ */

static size_t replace(const char *text, const struct rig *rig, char *ret_text, size_t size)
{
	size_t used = 0;

	for (; *text && used + 8 < size; text++) {
		if (*text == '~') {
			ret_text[used++] = '\r';
			ret_text[used++] = '\n';
		} else if (text[0] == '{' && (text[1] == 'P' || text[1] == 'S') && text[2] == '}') {
			used += (size_t)snprintf(ret_text + used, size - used, "%u", text[1] == 'P' ? rig->phone_port : rig->port);
			text += 2;
		} else {
			ret_text[used++] = *text;
		}
	}
	ret_text[used] = '\0';
	return used;
}

void rig_send(struct rig *rig, const char *format, ...)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(rig->port) };
	char raw[32768], text[34000];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(raw, sizeof raw, format, args);
	va_end(args);
	size_t size = replace(raw, rig, text, sizeof text);
	ck_assert_int_eq(sendto(rig->phone, text, size, 0, (struct sockaddr *)&to, sizeof to), (ssize_t)size);
}

static bool receive(struct rig *rig)
{
	ssize_t got = recv(rig->phone, rig->last, sizeof rig->last - 1, 0);

	if (got < 0)
		return false;
	rig->last[got] = '\0';
	if (getenv("RIG_LOG"))
		(void)fprintf(stderr, "<<< %s\n", rig->last);
	return true;
}

const char *rig_find(struct rig *rig, const char *start, uint32_t within_ms)
{
	uint64_t end_us = core_now_us() + within_ms * 1000ull;

	while (core_now_us() < end_us) {
		step();
		if (receive(rig) && strncmp(rig->last, start, strlen(start)) == 0)
			return rig->last;
	}
	return NULL;
}

const char *rig_expect(struct rig *rig, const char *start)
{
	const char *message = rig_find(rig, start, 30000);

	ck_assert_msg(message != NULL, "waited for '%s', the last was: %.200s", start, rig->last);
	return message;
}

void rig_expect_nothing(struct rig *rig)
{
	for (unsigned i = 0; i < 50; i++) {
		core_loop_step();
		ck_assert_msg(!receive(rig), "unexpected: %.200s", rig->last);
	}
}

const char *rig_header(struct rig *rig, const char *name)
{
	static char value[4096];
	char pattern[64];
	const char *at;

	(void)snprintf(pattern, sizeof pattern, "\n%s: ", name);
	at = strcasestr(rig->last, pattern);
	value[0] = '\0';
	if (at)
		(void)snprintf(value, sizeof value, "%.*s", (int)strcspn(at + strlen(pattern), "\r\n"), at + strlen(pattern));
	return value;
}

void rig_challenged(struct rig *rig)
{
	const char *at = strstr(rig->last, "nonce=\"");

	ck_assert_ptr_nonnull(at);
	(void)snprintf(rig->nonce, sizeof rig->nonce, "%.*s", (int)strcspn(at + 7, "\""), at + 7);
	rig->nc = 0;
}

const char *rig_authorize(struct rig *rig, const char *header, const char *user, const char *password, const char *method, const char *uri,
			  bool sha256)
{
	static char text[1024];
	char ha1[UA_HEX_SIZE], response[UA_HEX_SIZE], nc[9];
	uint32_t algorithm = sha256 ? PBX_DIGEST_SHA256 : PBX_DIGEST_MD5;

	(void)snprintf(nc, sizeof nc, "%08x", ++rig->nc);
	const struct ua_digest said = { .algorithm = algorithm,
					.username = user,
					.realm = "pbx.local",
					.nonce = rig->nonce,
					.uri = uri,
					.qop = "auth",
					.nc = nc,
					.cnonce = "0a4f113b" };
	ua_hash(algorithm, ha1, user, "pbx.local", password, NULL);
	ua_digest_response(&said, ha1, method, response);
	(void)snprintf(text, sizeof text,
		       "%s: Digest username=\"%s\", realm=\"pbx.local\", nonce=\"%s\", uri=\"%s\", algorithm=%s, qop=auth, nc=%s, "
		       "cnonce=\"0a4f113b\", response=\"%s\"~",
		       header, user, rig->nonce, uri, sha256 ? "SHA-256" : "MD5", nc, response);
	return text;
}

uint32_t rig_dialogs(void)
{
	return ua_part->dialog_count;
}
