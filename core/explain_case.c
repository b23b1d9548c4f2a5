/*
 * explain_case.c - a call as its events and its messages tell it
 *
 * Events say what the PBX decided and counted; messages say who answered what from where. They meet at the legs: a leg's dialog is the one whose
 * INVITE went to the leg's endpoint, or, for who called us, the one whose INVITE came in.
 */
#include "explain.h"
#include "address_text.h"
#include "json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP(array, text) ((void)snprintf((array), sizeof(array), "%s", (text)))

struct core_case *core_case_new(const char *call_id)
{
	struct core_case *about = calloc(1, sizeof *about);

	if (about)
		KEEP(about->call_id, call_id);
	return about;
}

void core_case_free(struct core_case *about)
{
	free(about);
}

static const char *text_of(const struct pbx_json *data, const char *name)
{
	const char *text = core_json_text(core_json_get(data, name));

	return text ? text : "";
}

static int64_t number_of(const struct pbx_json *data, const char *name)
{
	return core_json_integer(core_json_get(data, name), 0);
}

/* ---- events of the call --------------------------------------------------------------- */

static void call_started(struct core_case *about, int64_t wall_us, const struct pbx_json *data)
{
	about->known = true;
	about->started_us = wall_us;
	KEEP(about->from, text_of(core_json_get(data, "from"), "number"));
	KEEP(about->to, text_of(core_json_get(data, "to"), "number"));
	KEEP(about->dialled, text_of(data, "dialled"));
	KEEP(about->direction, text_of(data, "direction"));
	KEEP(about->device, text_of(data, "device"));
	KEEP(about->address, text_of(data, "address"));
	KEEP(about->trunk, text_of(data, "trunk_id"));
}

static void call_ended(struct core_case *about, int64_t wall_us, const struct pbx_json *data)
{
	about->ended = true;
	about->ended_us = wall_us;
	about->sip_code = (uint32_t)number_of(data, "sip_code");
	about->duration_ms = number_of(data, "duration_ms");
	about->billsec_ms = number_of(data, "billsec_ms");
	about->ring_ms = number_of(data, "ring_ms");
	KEEP(about->direction, text_of(data, "direction"));
	KEEP(about->disposition, text_of(data, "disposition"));
	KEEP(about->cause, text_of(data, "cause"));
	KEEP(about->hangup_by, text_of(data, "hangup_by"));
	about->answered = about->answered || strcmp(about->disposition, "answered") == 0;
}

static void call_refused(struct core_case *about, const struct pbx_json *data)
{
	about->refused.sip_code = (uint32_t)number_of(data, "sip_code");
	KEEP(about->refused.number, text_of(data, "number"));
	KEEP(about->refused.by, text_of(data, "refused_by"));
	KEEP(about->refused.reason, text_of(data, "reason"));
}

static void call_forwarded(struct core_case *about, const struct pbx_json *data)
{
	size_t used = strlen(about->forwards);

	(void)snprintf(about->forwards + used, sizeof about->forwards - used, "%s%s to %s (%s)", used ? ", " : "", text_of(data, "from"),
		       text_of(data, "to"), text_of(data, "reason"));
	KEEP(about->forwarded_to, text_of(data, "to"));
	about->forward_count++;
	about->refused.sip_code = 0; /* of where it came from */
}

static void call_transfer(struct core_case *about, const struct pbx_json *data)
{
	about->transfer.failed = strcmp(text_of(data, "result"), "ok") != 0;
	KEEP(about->transfer.by, text_of(data, "transferor"));
	KEEP(about->transfer.to, text_of(data, "target"));
	KEEP(about->transfer.type, text_of(data, "transfer_type"));
}

/* ---- events of a leg ------------------------------------------------------------------ */

static struct core_case_leg *leg_of(struct core_case *about, const char *id)
{
	for (uint32_t i = 0; i < about->leg_count; i++)
		if (strcmp(about->legs[i].id, id) == 0)
			return &about->legs[i];
	return NULL;
}

static void leg_started(struct core_case *about, const struct pbx_json *data)
{
	struct core_case_leg *leg;

	if (about->leg_count == CORE_CASE_LEGS)
		return; /* who rings that many phones is told about the first ones */
	leg = &about->legs[about->leg_count++];
	KEEP(leg->id, text_of(data, "leg_id"));
	KEEP(leg->number, text_of(data, "number"));
	KEEP(leg->trunk, text_of(data, "trunk_id"));
	KEEP(leg->endpoint, text_of(data, "endpoint"));
	KEEP(leg->device, text_of(data, "device"));
	leg->inbound = strcmp(text_of(data, "direction"), "inbound") == 0;
	if (leg->inbound)
		KEEP(leg->address, about->address);
}

/* As leg.ended tells it, and core_calls_legs_so_far() before that. */
static void leg_counted(struct core_case_leg *leg, const struct pbx_json *data)
{
	leg->answered = core_json_boolean(core_json_get(data, "answered"), leg->answered);
	leg->has_media = core_json_get(data, "packets_in") != NULL; /* after a crash nobody knows */
	leg->talk_ms = number_of(data, "talk_ms");
	leg->packets_in = number_of(data, "packets_in");
	leg->packets_out = number_of(data, "packets_out");
	leg->lost = number_of(data, "lost");
	leg->foreign = number_of(data, "foreign");
	leg->jitter_ms = core_json_number(core_json_get(data, "jitter_ms"), 0);
	leg->heard_lost = number_of(data, "heard_lost");
	leg->heard_percent = core_json_number(core_json_get(data, "heard_loss_percent"), 0);
	KEEP(leg->codec, text_of(data, "codec"));
	KEEP(leg->told, text_of(data, "media_told"));
	KEEP(leg->came, text_of(data, "media_from"));
	KEEP(leg->local, text_of(data, "media_local"));
}

static void leg_ended(struct core_case_leg *leg, const struct pbx_json *data)
{
	leg_counted(leg, data);
	leg->ended = true;
	leg->sip_code = (uint32_t)number_of(data, "sip_code");
	leg->by_peer = strcmp(text_of(data, "hangup_by"), "peer") == 0;
	KEEP(leg->reason, text_of(data, "reason"));
}

/* How long a silence was is told at its end, and meanwhile by its beginning. */
static void leg_audio(struct core_case_leg *leg, const struct pbx_json *data)
{
	int64_t for_ms = number_of(data, "for_ms");

	if (strcmp(text_of(data, "way"), "to_party") == 0)
		leg->deaf = true;
	else if (for_ms > leg->fell_silent_ms)
		leg->fell_silent_ms = for_ms;
}

static void leg_event(struct core_case *about, const char *type, const struct pbx_json *data)
{
	struct core_case_leg *leg = leg_of(about, text_of(data, "leg_id"));

	if (!leg && strcmp(type, "leg.started") == 0)
		leg_started(about, data);
	else if (leg && strcmp(type, "leg.ringing") == 0)
		leg->rang = true;
	else if (leg && strcmp(type, "leg.answered") == 0)
		leg->answered = true;
	else if (leg && (strcmp(type, "leg.audio_missing") == 0 || strcmp(type, "leg.audio_back") == 0))
		leg_audio(leg, data);
	else if (leg && strcmp(type, "leg.so_far") == 0)
		leg_counted(leg, data);
	else if (leg && strcmp(type, "leg.ended") == 0)
		leg_ended(leg, data);
}

static void was_held(struct core_case *about, const char *id)
{
	struct core_case_leg *leg = leg_of(about, id);

	if (leg)
		leg->was_held = true;
}

void core_case_add_event(struct core_case *about, const char *type, int64_t wall_us, const struct pbx_json *data)
{
	if (strncmp(type, "leg.", 4) == 0)
		leg_event(about, type, data);
	else if (strcmp(type, "call.started") == 0)
		call_started(about, wall_us, data);
	else if (strcmp(type, "call.answered") == 0)
		about->answered = true;
	else if (strcmp(type, "call.ended") == 0)
		call_ended(about, wall_us, data);
	else if (strcmp(type, "call.refused") == 0)
		call_refused(about, data);
	else if (strcmp(type, "call.forwarded") == 0)
		call_forwarded(about, data);
	else if (strcmp(type, "call.transfer") == 0)
		call_transfer(about, data);
	else if (strcmp(type, "call.hold") == 0)
		was_held(about, text_of(data, "by")), was_held(about, text_of(data, "held"));
}

/* ---- messages ------------------------------------------------------------------------- */

static bool is_invite(const struct core_ladder_item *item)
{
	return item->text.status == 0 && strcmp(item->text.method, "INVITE") == 0;
}

static bool same_dialog(const struct core_ladder_item *a, const struct core_ladder_item *b)
{
	return strcmp(a->text.call_id, b->text.call_id) == 0;
}

static bool is_taken(const struct core_case *about, const struct core_ladder_item *invite)
{
	for (uint32_t i = 0; i < about->leg_count; i++)
		if (about->legs[i].invite && same_dialog(about->legs[i].invite, invite))
			return true;
	return false;
}

/* "INVITE sip:1002@192.0.2.7:5060 SIP/2.0" goes to that endpoint; a trunk's endpoint is the number alone. */
static bool goes_to(const struct core_ladder_item *invite, const char *endpoint)
{
	const char *uri = invite->text.line + sizeof "INVITE " - 1;
	size_t length = strlen(endpoint);

	return (strncmp(uri, endpoint, length) == 0 && (uri[length] == ' ' || uri[length] == '\0')) ||
	       strcmp(invite->text.request_user, endpoint) == 0;
}

static const struct core_ladder_item *invite_of(const struct core_case *about, const struct core_case_leg *leg)
{
	for (uint32_t i = 0; i < about->ladder->count; i++) {
		const struct core_ladder_item *item = &about->ladder->items[i];

		if (is_invite(item) && item->message.sent != leg->inbound && !item->text.to_tag[0] &&
		    (leg->inbound || goes_to(item, leg->endpoint)) && !is_taken(about, item))
			return item;
	}
	return NULL;
}

/* What the messages of its dialog add to a leg. */
static void read_dialog(const struct core_case *about, struct core_case_leg *leg)
{
	for (uint32_t i = 0; i < about->ladder->count; i++) {
		const struct core_ladder_item *item = &about->ladder->items[i];
		bool theirs = !item->message.sent;

		if (!same_dialog(item, leg->invite))
			continue;
		leg->invites += is_invite(item) && !item->text.to_tag[0];
		if (item->text.status >= 200 && strcmp(item->text.method, "INVITE") == 0 && theirs != leg->inbound &&
		    !(leg->reply && leg->reply->text.status < 300)) /* of a later INVITE */
			leg->reply = item;
		if (theirs && item->text.sdp.present)
			leg->described = item;
		if (theirs && item->text.agent[0])
			KEEP(leg->agent, item->text.agent);
		core_address_print(&item->message.remote, leg->address, sizeof leg->address);
	}
}

void core_case_set_ladder(struct core_case *about, const struct core_ladder *ladder)
{
	about->ladder = ladder;
	for (uint32_t i = 0; ladder && i < about->leg_count; i++) {
		struct core_case_leg *leg = &about->legs[i];

		leg->invite = invite_of(about, leg);
		if (leg->invite)
			read_dialog(about, leg);
	}
}
