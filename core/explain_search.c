/*
 * explain_search.c - `registrations explain`: the REGISTERs of an account are looked for in the ring
 *
 * The ring may hold many thousands of messages: they are looked at a slice at a time, so that calls do not wait.
 */
#include "accounts.h"
#include "explain_part.h"
#include "explain_registration.h"
#include "host.h"
#include "loop.h"
#include <pbx/location.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct pbx_requests *const requests = &core_requests_service;

#define SLICE 2000u /* messages of the ring that are looked at in one go */

struct searching {
	pbx_request request;
	uint64_t cursor, end;
	struct core_registering about;
};

static void find_contact(void *context, const struct pbx_contact *contact)
{
	struct core_registering *about = context;
	time_t until = contact->expires_wall_us / 1000000;
	char time[32];
	struct tm parts;

	if (about->contacts++)
		return;
	(void)strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&until, &parts));
	(void)snprintf(about->contact, sizeof about->contact, "%.90s%s%.60s by %s until %s", contact->user_agent,
		       contact->user_agent[0] ? " at " : "", contact->received[0] ? contact->received : contact->uri, contact->transport,
		       time);
}

static void tell_registration(struct searching *searching)
{
	const struct pbx_location *location = core_host_service("pbx.location/1", (uint32_t)sizeof *location);
	struct pbx_json *json;

	searching->about.exists = core_account_exists(searching->about.aor);
	if (location->each)
		(void)location->each(searching->about.aor, find_contact, &searching->about);
	json = core_explain_registration(&searching->about, core_wall_us());
	if (json)
		(void)requests->reply(searching->request, 200, json);
	else
		(void)requests->fail(searching->request, 503, "no_memory", NULL, "out of memory");
}

static void search_on(void *context, void *data)
{
	struct searching *searching = data;
	struct core_trace_message message;
	struct core_sip_text text;

	(void)context;
	for (uint32_t seen = 0; searching->cursor < searching->end && seen < SLICE; seen++) {
		if (!core_trace_next(&searching->cursor, &message)) {
			searching->cursor = searching->end;
			break;
		}
		if (message.wall_us < searching->about.since_us)
			searching->about.since_us = message.wall_us;
		if (!memmem(message.text, message.size, "REGISTER", 8))
			continue;
		core_sip_text_read(message.text, message.size, &text);
		core_registering_add(&searching->about, &message, &text);
	}
	if (searching->cursor < searching->end && core_post(core_explain_host(), search_on, NULL, searching, free) == PBX_OK)
		return;
	tell_registration(searching);
	free(searching);
}

void core_explain_phone(void *self, pbx_request request)
{
	struct searching *searching = calloc(1, sizeof *searching);
	const char *own = requests->own_account(request), *aor = requests->text(request, "aor");

	(void)self;
	if (!searching || (own[0] && strcmp(own, aor) != 0)) {
		(void)requests->fail(request, searching ? 403 : 503, searching ? "not_yours" : "no_memory", searching ? "aor" : NULL, "%s",
				     searching ? "you may ask about your own phones" : "out of memory");
		free(searching);
		return;
	}
	searching->request = request;
	searching->end = core_trace_end();
	searching->about.since_us = core_wall_us();
	(void)snprintf(searching->about.aor, sizeof searching->about.aor, "%s", aor);
	search_on(NULL, searching);
}
