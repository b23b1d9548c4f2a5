/*
 * trace_live.c - messages as they come: `pbxctl trace`
 *
 * A capture only posts one function for the end of the round; that one reads what is new in the ring, once, and gives it to every watcher
 * who wants it. Who asks for a number sees the whole of the calls it is in, the other party's messages too. Whoever reads slower than
 * messages come misses some, and is told how many.
 */
#include "accounts.h"
#include "json_auto.h"
#include "loop.h"
#include "owner.h"
#include "trace_inner.h"
#include "trace_rung.h"
#include <stdlib.h>
#include <string.h>

#define MOST_CALLS 32u /* that a watcher follows at once; the oldest is let go */

static const struct pbx_requests *const requests = &core_requests_service;

struct watcher {
	struct core_charge charge; /* first: it ends with the part */
	struct watcher *next, **at;
	pbx_request request;
	struct core_trace_filter filter;
	bool whole; /* with each message's text */
	uint64_t missed;
	int64_t first_us;
	char calls[MOST_CALLS][27]; /* that have been wanted */
	uint32_t call_at;
};

static struct {
	struct watcher *watchers;
	core_trace_fn tap;
	void *tap_context;
	uint64_t cursor;
	bool running;
	struct core_post_node round;
} live;

static void watcher_free(struct watcher *watcher)
{
	*watcher->at = watcher->next;
	if (watcher->next)
		watcher->next->at = watcher->at;
	core_charge_remove(&watcher->charge);
	free(watcher);
}

static void on_watcher_revoked(struct core_charge *charge)
{
	struct watcher *watcher = (struct watcher *)charge;
	pbx_request request = watcher->request;

	watcher_free(watcher);
	(void)requests->end(request); /* unless it has gone */
}

static void on_watcher_gone(void *self, pbx_request request)
{
	(void)request;
	watcher_free(self);
}

/* ---- what it wants -------------------------------------------------------------------- */

static bool follows(const struct watcher *watcher, const char *call_id)
{
	for (uint32_t i = 0; call_id[0] && i < MOST_CALLS; i++)
		if (strcmp(watcher->calls[i], call_id) == 0)
			return true;
	return false;
}

static bool wants(struct watcher *watcher, const struct core_trace_message *message, const struct core_sip_text *text)
{
	bool by_call = watcher->filter.who[0] && !watcher->filter.method[0] && !watcher->filter.call_id[0];

	if (by_call && follows(watcher, message->call_id))
		return true;
	if (!core_trace_wanted(&watcher->filter, message, text))
		return false;
	if (by_call && message->call_id[0])
		memcpy(watcher->calls[watcher->call_at++ % MOST_CALLS], message->call_id, strlen(message->call_id) + 1);
	return true;
}

static void write_line(struct watcher *watcher, const char *text)
{
	char line[64];

	if (watcher->missed) {
		(void)snprintf(line, sizeof line, "{\"missed\":%llu}\n", (unsigned long long)watcher->missed);
		if (requests->write(watcher->request, line, strlen(line)) != PBX_OK) {
			watcher->missed++;
			return;
		}
		watcher->missed = 0;
	}
	AUTO(text) char *whole = NULL;
	if (asprintf(&whole, "%s\n", text) < 0 || requests->write(watcher->request, whole, strlen(whole)) != PBX_OK)
		watcher->missed++;
}

static void show(struct watcher *watcher, const struct core_trace_message *message, const struct core_sip_text *text)
{
	if (!watcher->first_us)
		watcher->first_us = message->wall_us;

	AUTO(json)
	struct pbx_json *rung =
		core_trace_rung(message, text, watcher->first_us, core_trace_is_repeat(message), watcher->whole ? CORE_RUNG_TEXT : 0);
	char *line = rung ? core_json_print(rung) : NULL;
	if (line)
		write_line(watcher, line);
	else
		watcher->missed++;
	core_json_free_text(line);
}

/* ---- the round ------------------------------------------------------------------------ */

static void on_round(void *context)
{
	struct core_trace_message message;
	struct core_sip_text text;

	(void)context;
	while (live.running && core_trace_next(&live.cursor, &message)) {
		if (live.tap)
			live.tap(live.tap_context, &message);
		if (live.watchers)
			core_sip_text_read(message.text, message.size, &text);
		for (struct watcher *watcher = live.watchers, *next; watcher; watcher = next) {
			next = watcher->next;
			if (wants(watcher, &message, &text))
				show(watcher, &message, &text);
		}
	}
}

static void on_captured(void)
{
	if (live.watchers || live.tap)
		core_post_node(core_trace_host(), &live.round, on_round, NULL);
}

/* Nobody has read for a while: what came meanwhile is nobody's. */
static void catch_up(void)
{
	if (!live.watchers && !live.tap)
		live.cursor = core_trace_end();
}

int core_trace_live_start(void)
{
	live.running = true;
	live.cursor = core_trace_end();
	core_trace_set_listener(on_captured);
	return PBX_OK;
}

void core_trace_live_stop(void)
{
	core_trace_set_listener(NULL);
	core_unpost(&live.round);
	memset(&live, 0, sizeof live);
}

void core_trace_live_tap(core_trace_fn fn, void *context)
{
	catch_up();
	live.tap = fn;
	live.tap_context = context;
}

/* ---- the command ---------------------------------------------------------------------- */

static void copy_argument(pbx_request request, const char *name, char *ret_text, size_t size)
{
	const char *text = requests->text(request, name);

	(void)snprintf(ret_text, size, "%s", text ? text : "");
}

/* "sip:bob" is a name however it looks. */
static void leave_out_scheme(char *who)
{
	if (strncmp(who, "sip:", 4) == 0)
		memmove(who, who + 4, strlen(who + 4) + 1);
}

/* The last messages that are wanted, of those in the ring. */
static void show_recent(struct watcher *watcher, uint32_t count)
{
	struct core_trace_message message;
	struct core_sip_text text;
	uint32_t found = 0, at = 0;

	for (int round = 0; round < 2; round++)
		for (uint64_t cursor = 0; core_trace_next(&cursor, &message) && cursor <= live.cursor;) {
			core_sip_text_read(message.text, message.size, &text);
			if (!wants(watcher, &message, &text))
				continue;
			if (round == 0)
				found++;
			else if (found - at++ <= count)
				show(watcher, &message, &text);
		}
}

/* Whoever types `trace list` waits for a person of that name: a plain word must be an account or a peer. Numbers and addresses have digits or dots. */
static bool is_somebody(const char *who)
{
	if (!who[0] || strpbrk(who, "0123456789.:*#+") || core_trace_knows_system(who))
		return true;
	return core_account_exists(who);
}

void core_trace_stream(void *self, pbx_request request)
{
	int64_t recent = requests->integer(request, "recent", 0);
	const char *who = requests->text(request, "who");
	char asked[64], call_id[CORE_ULID_SIZE];

	(void)self;
	if (who && !is_somebody(who)) {
		(void)requests->fail(request, 404, "no_such_account", "who",
				     "there is no account and no peer %s; a trace is of an account, a number, a peer (a trunk's name), an "
				     "address, or sip:NAME for somebody "
				     "outside: "
				     "`calls show ID` has that of a call, also of one that is over",
				     who);
		return;
	}

	struct watcher *watcher = calloc(1, sizeof *watcher);
	if (!watcher) {
		(void)requests->fail(request, 503, "no_memory", NULL, "out of memory");
		return;
	}
	watcher->request = request;
	watcher->whole = requests->boolean(request, "full", false);
	copy_argument(request, "who", watcher->filter.who, sizeof watcher->filter.who);
	copy_argument(request, "method", watcher->filter.method, sizeof watcher->filter.method);
	copy_argument(request, "call", asked, sizeof asked);
	(void)snprintf(watcher->filter.call_id, sizeof watcher->filter.call_id, "%s", core_ulid_of(asked, call_id));
	leave_out_scheme(watcher->filter.who);
	catch_up();
	watcher->next = live.watchers;
	watcher->at = &live.watchers;
	if (live.watchers)
		live.watchers->at = &watcher->next;
	live.watchers = watcher;
	core_charge_add(core_trace_host(), &watcher->charge, "trace", false, on_watcher_revoked);
	if (requests->begin(request, "application/x-ladder", NULL, on_watcher_gone, watcher) != PBX_OK) {
		watcher_free(watcher);
		return;
	}
	if (recent > 0)
		show_recent(watcher, (uint32_t)recent);
}
