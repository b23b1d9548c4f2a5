/*
 * lockout_told.c - who is locked out, told
 *
 * A lockout is a line in the log (packaging/fail2ban reads it) and an event when it begins and when it ends. One timer waits for the end of whichever
 * is over first.
 */
#include "lockout_told.h"
#include "bus.h"
#include "json.h"
#include "loop.h"
#include "request.h"
#include "timer.h"
#include <string.h>

static pbx_timer next_end;

/* ---- begun and over ------------------------------------------------------------------- */

static const char *reason_of(uint32_t kind)
{
	return kind == UA_LOCKED_USER_HERE ? "wrong_passwords" : kind == UA_LOCKED_ADDRESS ? "many_users" : "guessed_elsewhere";
}

static struct pbx_json *lockout_data(const char *address, const char *user, uint32_t kind)
{
	struct pbx_json *data = core_json_object();

	(void)core_json_set_text(data, "address", address); /* no memory shows as a member missing, here and below */
	(void)core_json_set_text(data, "user", user);
	(void)core_json_set_text(data, "reason", reason_of(kind));
	return data;
}

static void publish_end(struct ua *ua, const struct ua_lockout *lockout, const char *by)
{
	struct pbx_json *data = lockout_data(lockout->address, lockout->user, lockout->kind);

	(void)core_json_set_text(data, "by", by);
	(void)core_bus_publish(ua->host, "registration.unblocked", "", "", data); /* no memory: it is over all the same */
}

static void on_over(void *context, const struct ua_lockout *lockout)
{
	publish_end(context, lockout, "");
}

static void await_next_end(struct ua *ua);

static void on_end(void *self, pbx_timer timer)
{
	(void)timer;
	next_end = (pbx_timer){ 0 };
	await_next_end(self);
}

static void await_next_end(struct ua *ua)
{
	const uint64_t now_ms = core_now_ms(), end_ms = ua_lockouts_expire(now_ms, on_over, ua);

	ua_lockouts_stop();
	if (end_ms) /* without memory for a timer the next lockout tells of the end of this one */
		(void)core_timers_service.start(ua->host, end_ms - now_ms, 0, on_end, ua, &next_end);
}

void ua_lockouts_stop(void)
{
	(void)core_timers_service.stop(next_end); /* or none waits */
	next_end = (pbx_timer){ 0 };
}

static void tell(struct ua *ua, const char *address, const char *user, uint32_t kind)
{
	struct pbx_json *data = lockout_data(address, user, kind);

	(void)core_json_set_integer(data, "for_s", ua->settings->auth_block_s);
	(void)core_bus_publish(ua->host, "registration.blocked", "", "", data); /* no memory: it holds all the same */
}

void ua_lockouts_tell(struct ua *ua, uint32_t begun, const struct ua_try *asked, const char *host)
{
	const uint32_t for_s = ua->settings->auth_block_s;

	if (begun & UA_LOCKED_USER_HERE) {
		pbx_warn(ua->host, "auth_blocked", "address=%s user=%.64s for_s=%u", host, asked->user, for_s);
		tell(ua, asked->device ? asked->device : asked->place, asked->user, UA_LOCKED_USER_HERE);
	}
	if (begun & UA_LOCKED_ADDRESS) {
		pbx_warn(ua->host, "auth_blocked", "address=%s for_s=%u", host, for_s);
		tell(ua, asked->place, "", UA_LOCKED_ADDRESS);
	}
	if (begun & UA_LOCKED_USER) {
		pbx_warn(ua->host, "auth_blocked", "user=%.64s for_s=%u", asked->user, for_s);
		tell(ua, "", asked->user, UA_LOCKED_USER);
	}
	if (begun)
		await_next_end(ua);
}

/* ---- asked for ------------------------------------------------------------------------ */

struct listing {
	struct pbx_json *list;
	const char *own; /* NULL: everybody's */
	uint64_t now_ms;
	int64_t wall_us;
};

static void list_lockout(void *context, const struct ua_lockout *lockout)
{
	const struct listing *listing = context;

	if (listing->own && strcmp(lockout->user, listing->own) != 0)
		return;
	struct pbx_json *item = lockout_data(lockout->address, lockout->user, lockout->kind);

	(void)core_json_set_integer(item, "failures", lockout->failures);
	(void)core_json_set_time(item, "until", listing->wall_us + (int64_t)(lockout->until_ms - listing->now_ms) * 1000);
	(void)core_json_append(listing->list, item);
}

/* A user sees and lifts what is about them. */
static const char *own_of(pbx_request request)
{
	const char *own = core_requests_service.own_account(request);

	return own[0] ? own : NULL;
}

void ua_show_lockouts(void *self, pbx_request request)
{
	struct listing listing = { .list = core_json_array(), .own = own_of(request), .now_ms = core_now_ms(), .wall_us = core_wall_us() };

	(void)self;
	ua_lockouts_each(listing.now_ms, list_lockout, &listing);
	(void)core_requests_service.reply(request, 200, listing.list); /* the asker may have left */
}

struct lifting {
	struct ua *ua;
	const char *by;
};

static void on_lifted(void *context, const struct ua_lockout *lockout)
{
	const struct lifting *lifting = context;

	pbx_notice(lifting->ua->host, "auth_unblocked", "address=%s user=%.64s by=%s", lockout->address, lockout->user, lifting->by);
	publish_end(lifting->ua, lockout, lifting->by);
}

void ua_lift_lockouts(void *self, pbx_request request)
{
	const char *who = core_requests_service.text(request, "who");
	struct lifting lifting = { .ua = self, .by = core_requests_service.actor(request) };

	if (ua_lockouts_lift(who, own_of(request), core_now_ms(), on_lifted, &lifting) == 0) {
		(void)core_requests_service.fail(request, 404, "not_blocked", "who",
						 "%.80s is not locked out, `pbxctl registrations blocked` shows who is", who);
		return;
	}
	await_next_end(lifting.ua);
	(void)core_requests_service.reply(request, 204, NULL); /* the asker may have left */
}
