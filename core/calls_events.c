/* calls_events.c - what call control tells the bus, exactly as the table "Events of the core" in CONTRIBUTING.md says
 *
 * Records of calls are made from these events and nothing else. Durations come from the monotonic clock. A bridge says bridge.entered
 * once for each of its legs, under that leg's call, and bridge.left likewise. The legs of an unanswered call have no talk_ms. */
#include "address_text.h"
#include "bus.h"
#include "calls_inner.h"
#include "calls_part.h"
#include "json.h"

static const struct pbx_jsons *const json = &core_json_service;

/* A member that does not fit into memory is missing; the event itself is refused by publish when there is no object at all. */
static void text(struct pbx_json *object, const char *name, const char *value)
{
	if (object)
		(void)json->set_text(object, name, value ? value : "");
}

static void integer(struct pbx_json *object, const char *name, uint64_t value)
{
	if (object)
		(void)json->set_integer(object, name, (int64_t)value);
}

static void boolean(struct pbx_json *object, const char *name, bool value)
{
	if (object)
		(void)json->set_boolean(object, name, value);
}

static void child(struct pbx_json *object, const char *name, struct pbx_json *taken)
{
	if (object && taken)
		(void)json->set(object, name, taken);
	else
		json->free(taken);
}

static int told(const struct core_call *call, const char *type, struct pbx_json *taken)
{
	return core_bus_publish(core_calls_host(), type, call->id, call->linked_id, taken);
}

static void publish(const struct core_call *call, const char *type, struct pbx_json *taken)
{
	int err = told(call, type, taken);

	if (err != PBX_OK)
		core_log(PBX_LOG_ERROR, "calls", call->id, "event_lost", "type=%s result=%d", type, err);
}

static struct pbx_json *party(const char *number, const char *name, const char *extension)
{
	struct pbx_json *object = json->new_object();

	text(object, "number", number);
	if (name)
		text(object, "name", name);
	if (extension)
		text(object, "extension", extension);
	return object;
}

/* ---- verdicts about a call ---- */

const char *core_call_disposition(const struct core_call *call)
{
	if (call->answered_at_ms)
		return "answered";
	if (call->hangup_by && strcmp(call->hangup_by, "caller") == 0)
		return "cancelled";
	switch (call->sip_code) {
	case 486:
	case 600:
		return "busy";
	case 408:
	case 480:
		return "no_answer";
	case 487:
		return "cancelled";
	case 603:
		return "declined";
	case 403:
		return call->callee_said ? "declined" : "failed";
	}
	return "failed";
}

const char *core_call_reason(const struct core_call *call)
{
	static const struct {
		uint32_t sip_code;
		const char *reason;
	} reasons[] = {
		{ 404, "not_found" },
		{ 410, "not_found" },
		{ 604, "not_found" },
		{ 484, "invalid_number" },
		{ 482, "forwarded_too_often" },
		{ 483, "forwarded_too_often" },
		{ 486, "busy" },
		{ 600, "busy" },
		{ 408, "no_response" },
		{ 480, "no_answer" },
		{ 487, "cancelled" },
		{ 488, "no_common_codec" },
		{ 606, "no_common_codec" },
		{ 603, "declined" },
		{ 401, "auth_failed" },
		{ 407, "auth_failed" },
		{ 503, "congestion" },
	};

	if (call->reason)
		return call->reason;
	if (call->answered_at_ms)
		return call->cause == PBX_CAUSE_TIMER ? "timer" : "normal_clearing";
	if (call->hangup_by && strcmp(call->hangup_by, "caller") == 0)
		return "cancelled";
	if (call->sip_code == 480 && call->cause == PBX_CAUSE_OFFLINE)
		return "offline";
	if (call->sip_code == 403)
		return call->callee_said ? "declined" : "not_permitted";
	if (call->sip_code == 404 && call->cause == 3)
		return "no_route";
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].sip_code == call->sip_code)
			return reasons[i].reason;
	return "failure";
}

const char *core_forward_name(uint32_t reason)
{
	static const char *const names[] = { "unconditional", "unconditional", "busy", "no_answer", "offline", "dnd" };

	return reason < sizeof names / sizeof names[0] ? names[reason] : "unconditional";
}

/* ---- calls ---- */

static struct pbx_json *beginning(const struct core_call *call, const char *leg_id, const char *device, const char *address)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg_id);
	text(data, "direction", call->direction);
	child(data, "from", party(call->from_number, call->from_name, call->from_account));
	child(data, "to", party(call->to_number, NULL, NULL));
	text(data, "dialled", call->dialled);
	text(data, "device", device);
	text(data, "address", address);
	return data;
}

void core_event_call_unproven(const struct core_call *call, const char *device, const char *address)
{
	publish(call, "call.started", beginning(call, "", device, address));
}

void core_event_call_started(const struct core_call *call, const struct core_leg *leg)
{
	struct pbx_json *data = leg ? beginning(call, leg->id, leg->device, leg->address) : beginning(call, "", "", "");

	if (leg && leg->peer[0])
		text(data, "trunk_id", leg->peer);
	if (leg && leg->withheld)
		boolean(data, "withheld", true);
	publish(call, "call.started", data);
}

void core_event_call_ringing(const struct core_call *call, const struct core_leg *leg, bool early_media)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg->id);
	text(data, "number", leg->number);
	boolean(data, "early_media", early_media);
	core_metric_post_dial(call->ringing_at_ms - call->started_at_ms);
	publish(call, "call.ringing", data);
}

static uint64_t ring_ms_of(const struct core_call *call)
{
	uint64_t until_ms = call->answered_at_ms ? call->answered_at_ms : core_now_ms();

	return call->ringing_at_ms ? until_ms - call->ringing_at_ms : 0;
}

void core_event_call_answered(const struct core_call *call, const struct core_leg *leg, const char *number, const char *name)
{
	struct pbx_json *data = json->new_object();
	uint64_t first_sign_at_ms = call->ringing_at_ms ? call->ringing_at_ms : call->answered_at_ms;

	text(data, "leg_id", leg->id);
	child(data, "answered_by", party(number, name ? name : "", NULL));
	integer(data, "ring_ms", ring_ms_of(call));
	integer(data, "pdd_ms", first_sign_at_ms - call->started_at_ms);
	core_metric_answered(call->answered_at_ms - call->started_at_ms);
	publish(call, "call.answered", data);
}

void core_event_call_forwarded(const struct core_call *call, const char *from, const char *to, const char *reason)
{
	struct pbx_json *data = json->new_object();

	text(data, "from", from);
	text(data, "to", to);
	text(data, "reason", reason);
	publish(call, "call.forwarded", data);
}

void core_event_call_refused(const struct core_call *call, const char *number, const char *owner, uint32_t sip_code, const char *why)
{
	struct pbx_json *data = json->new_object();

	text(data, "number", number);
	text(data, "refused_by", owner);
	integer(data, "sip_code", sip_code);
	text(data, "reason", why);
	publish(call, "call.refused", data);
}

void core_event_hold(const struct core_leg *by, const struct core_leg *held, bool on, uint64_t hold_ms)
{
	struct pbx_json *data = json->new_object();

	text(data, "by", by->id);
	text(data, "held", held ? held->id : "");
	if (!on)
		integer(data, "hold_ms", hold_ms);
	publish(by->call, on ? "call.hold" : "call.resume", data);
}

void core_event_record_wish(const struct core_leg *leg)
{
	static const char *const words[] = { [CORE_RECORD_OFF] = "off",
					     [CORE_RECORD_ON] = "on",
					     [CORE_RECORD_PAUSED] = "pause",
					     [CORE_RECORD_AS_YOU_LIKE] = "nopreference" };
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg->id);
	text(data, "wish", words[leg->record_wish]);
	publish(leg->call, "call.record_wish", data);
}

void core_event_transfer(const struct core_leg *moved, const char *type, const char *transferor, const char *target, const char *result)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", moved->id);
	text(data, "transfer_type", type);
	text(data, "transferor", transferor);
	text(data, "target", target);
	text(data, "result", result);
	publish(moved->call, "call.transfer", data);
}

void core_event_call_linked(const struct core_call *call, const struct core_call *other)
{
	struct pbx_json *data = json->new_object();

	text(data, "other_call_id", other->id);
	publish(call, "call.linked", data);
}

/* What others say (calls_notes.c): whole or not at all, and they hear when it could not be told. */
static int tell_whole(const struct core_call *call, const char *type, struct pbx_json *data, const char *by, const char *name,
		      struct pbx_json *taken)
{
	int err = json->set_text(data, "by", by), put = json->set(data, name, taken);

	if (err == PBX_OK && put == PBX_OK)
		return told(call, type, data);
	json->free(data);
	return PBX_ENOMEM;
}

int core_event_fields_set(const struct core_call *call, const char *by, struct pbx_json *taken)
{
	return tell_whole(call, "call.fields_set", json->new_object(), by, "fields", taken);
}

int core_event_user(const struct core_call *call, const char *by, const char *name, struct pbx_json *taken)
{
	struct pbx_json *data = json->new_object();

	if (json->set_text(data, "name", name) != PBX_OK) {
		json->free(data);
		data = NULL;
	}
	return tell_whole(call, "call.user_event", data, by, "data", taken);
}

void core_event_picked_up(const struct core_leg *caller, const struct core_leg *by, const struct core_leg *ringing)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", ringing->id);
	text(data, "number", ringing->number);
	text(data, "by_leg_id", by->id);
	text(data, "by", by->number);
	publish(caller->call, "call.picked_up", data);
}

void core_event_call_ended(const struct core_call *call)
{
	struct pbx_json *data = json->new_object();
	uint64_t now_ms = core_now_ms();
	uint64_t duration_ms = now_ms - call->started_at_ms, billsec_ms = call->answered_at_ms ? now_ms - call->answered_at_ms : 0;

	text(data, "disposition", core_call_disposition(call));
	integer(data, "sip_code", call->sip_code);
	integer(data, "q850_cause", call->cause);
	text(data, "hangup_by", call->hangup_by ? call->hangup_by : "system");
	text(data, "cause", core_call_reason(call));
	text(data, "direction", call->direction);
	integer(data, "duration_ms", duration_ms);
	integer(data, "billsec_ms", billsec_ms);
	integer(data, "ring_ms", ring_ms_of(call));
	integer(data, "hold_ms", call->hold_ms);
	child(data, "from", party(call->from_number, call->from_name, call->from_account));
	child(data, "to", party(call->to_number, NULL, NULL));
	text(data, "dialled", call->dialled);
	core_metric_ended(core_call_disposition(call), call->direction, call->answered_at_ms ? billsec_ms : 0);
	publish(call, "call.ended", data);
}

/* ---- legs ---- */

void core_event_leg(const char *type, const struct core_leg *leg)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg->id);
	if (strcmp(type, "leg.started") == 0) {
		text(data, "direction", leg->direction == PBX_INBOUND ? "inbound" : "outbound");
		text(data, "number", leg->number);
		text(data, "name", leg->name);
		text(data, "endpoint", leg->endpoint ? leg->endpoint : "");
		if (leg->direction == PBX_OUTBOUND)
			text(data, "shown", leg->shown);
		text(data, "account", leg->account);
		text(data, "device", leg->device);
		if (leg->peer[0])
			text(data, "trunk_id", leg->peer);
	}
	publish(leg->call, type, data);
}

static const char *const key_methods[] = { [CORE_DIGITS_EVENTS] = "rfc4733", [CORE_DIGITS_TONES] = "inband", [CORE_DIGITS_INFO] = "info" };

static struct pbx_json *key(const struct core_leg *leg, char digit, uint32_t way)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg->id);
	text(data, "digit", (char[]){ digit, '\0' });
	text(data, "method", key_methods[way]);
	return data;
}

void core_event_digit_down(const struct core_leg *leg, char digit, uint32_t way)
{
	publish(leg->call, "dtmf.start", key(leg, digit, way));
}

void core_event_digit(const struct core_leg *leg, char digit, uint32_t duration_ms, uint32_t way)
{
	struct pbx_json *data = key(leg, digit, way);

	integer(data, "duration_ms", duration_ms);
	publish(leg->call, "dtmf.received", data);
}

void core_event_flash(const struct core_leg *leg, uint32_t way)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg->id);
	text(data, "method", key_methods[way]);
	publish(leg->call, "dtmf.flash", data);
}

static void address(struct pbx_json *object, const char *name, const struct core_addr *addr)
{
	char said[64] = "";

	if (addr && addr->sa.sa_family != AF_UNSPEC)
		core_address_print(addr, said, sizeof said);
	text(object, name, said);
}

void core_event_media(const struct core_leg *leg, const struct core_stream_stats *stats)
{
	const struct core_media_desc remote = core_leg_remote(leg);
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg->id);
	text(data, "number", leg->number);
	text(data, "codec", core_leg_config(leg).codecs[0].name);
	integer(data, "after_ms", leg->answered_at_ms ? core_now_ms() - leg->answered_at_ms : 0);
	address(data, "media_local", leg->local_addr.sa.sa_family ? &leg->local_addr : NULL);
	address(data, "media_told", remote.present ? &remote.rtp : NULL);
	address(data, "media_from", &stats->remote);
	publish(leg->call, "media.started", data);
}

static struct pbx_json *about_media(const struct core_leg *leg)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg->id);
	text(data, "number", leg->number);
	return data;
}

void core_event_media_moved(const struct core_leg *leg, const struct core_addr *from)
{
	struct pbx_json *data = about_media(leg);

	address(data, "address", from);
	publish(leg->call, "media.source_changed", data);
}

void core_event_media_timeout(const struct core_leg *leg, uint32_t for_ms)
{
	struct pbx_json *data = about_media(leg);

	integer(data, "for_ms", for_ms);
	publish(leg->call, "media.timeout", data);
}

void core_event_media_failed(const struct core_leg *leg, const char *reason)
{
	struct pbx_json *data = about_media(leg);

	text(data, "reason", reason);
	publish(leg->call, "media.failed", data);
}

/* What became of its audio: how much, how well, and where it came from beside where its SDP said. */
static void media(struct pbx_json *data, const struct core_leg *leg, const struct core_stream_stats *stats)
{
	const struct core_media_desc remote = core_leg_remote(leg);

	text(data, "codec", core_leg_config(leg).codecs[0].name);
	boolean(data, "transcoded", stats->transcoded);
	integer(data, "packets_in", stats->packets_in);
	integer(data, "packets_out", stats->packets_out);
	integer(data, "lost", stats->lost);
	if (data)
		(void)json->set_number(data, "jitter_ms", stats->jitter_us / 1000.0);
	integer(data, "foreign", stats->foreign);
	address(data, "media_local", leg->local_addr.sa.sa_family ? &leg->local_addr : NULL);
	address(data, "media_told", remote.present ? &remote.rtp : NULL);
	address(data, "media_from", stats->packets_in ? &stats->remote : NULL);
}

static void number(struct pbx_json *object, const char *name, double value)
{
	if (object)
		(void)json->set_number(object, name, (double)(int64_t)(value * 100 + 0.5) / 100);
}

/* A figure that nobody knows is not there. */
static void quality(struct pbx_json *data, const struct core_leg *leg, const struct core_stream_stats *stats)
{
	struct pbx_leg_way from, to;
	struct pbx_way_score score = { .size = sizeof score };

	core_leg_way(leg, stats, PBX_FROM_PARTY, &from);
	core_leg_way(leg, stats, PBX_TO_PARTY, &to);
	integer(data, "duplicates", from.duplicates);
	integer(data, "reordered", from.reordered);
	integer(data, "bursts", from.bursts);
	integer(data, "burst_lost", from.burst_lost);
	if (from.round_trip_ms > 0)
		number(data, "round_trip_ms", from.round_trip_ms);
	if (core_quality_score(NULL, &from, &score) == PBX_OK) {
		number(data, "loss_percent", score.lost_percent);
		number(data, "mos", score.mos_lq);
		number(data, "mos_cq", score.mos_cq);
		text(data, "model", score.model);
	}
	if (core_quality_score(NULL, &to, &score) != PBX_OK)
		return;
	integer(data, "heard_lost", to.lost);
	number(data, "heard_loss_percent", score.lost_percent);
	number(data, "heard_jitter_ms", to.jitter_ms);
	number(data, "heard_mos", to.party_mos_lq > 0 ? to.party_mos_lq : score.mos_lq);
}

struct pbx_json *core_leg_audio_json(const struct core_leg *leg)
{
	struct core_stream_stats stats;
	struct pbx_json *object;

	if (!leg->has_stream || core_media->stats(leg->stream, &stats) != PBX_OK)
		return NULL;
	object = json->new_object();
	media(object, leg, &stats);
	quality(object, leg, &stats);
	return object;
}

static struct pbx_json *leg_so_far(const struct core_leg *leg, const struct core_stream_stats *stats)
{
	struct pbx_json *data = json->new_object();
	uint64_t now_ms = core_now_ms();

	text(data, "leg_id", leg->id);
	if (leg->peer[0])
		text(data, "trunk_id", leg->peer);
	boolean(data, "answered", leg->answered_at_ms != 0);
	integer(data, "duration_ms", now_ms - leg->started_at_ms);
	integer(data, "talk_ms", leg->answered_at_ms ? now_ms - leg->answered_at_ms : 0);
	media(data, leg, stats);
	quality(data, leg, stats);
	return data;
}

void core_event_leg_ended(const struct core_leg *leg)
{
	struct core_stream_stats stats;
	core_rest_read(leg->stats, &stats, sizeof stats);
	struct pbx_json *data = leg_so_far(leg, &stats);

	integer(data, "sip_code", leg->end_sip_code);
	integer(data, "q850_cause", leg->end_cause);
	text(data, "hangup_by", leg->ended_by_peer ? "peer" : "us");
	text(data, "reason", leg->end_text);
	publish(leg->call, "leg.ended", data);
}

struct pbx_json *core_calls_legs_so_far(const char *call_id)
{
	struct pbx_json *list = json->new_array();
	uint32_t at = 0;
	const struct core_leg *leg;

	while (list && (leg = core_handles_next(&core_leg_table, &at))) {
		struct core_stream_stats stats = { 0 };

		if (strcmp(leg->call->id, call_id) != 0 || leg->state == PBX_LEG_ENDED)
			continue;
		if (leg->has_stream)
			(void)core_media->stats(leg->stream, &stats); /* a stream that is gone has counted nothing */
		(void)json->append(list, leg_so_far(leg, &stats));
	}
	return list;
}

void core_event_audio(const struct core_leg *leg, const char *type, const char *way, uint64_t for_ms, const struct core_stream_stats *stats)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg->id);
	text(data, "number", leg->number);
	text(data, "way", way);
	integer(data, "for_ms", for_ms);
	media(data, leg, stats);
	publish(leg->call, type, data);
}

void core_event_codec_failed(const struct core_leg *leg, const struct core_codec *codec, bool encodes)
{
	struct pbx_json *data = json->new_object();

	text(data, "leg_id", leg->id);
	text(data, "number", leg->number);
	text(data, "codec", codec->name);
	text(data, "way", encodes ? "to_party" : "from_party");
	publish(leg->call, "leg.codec_failed", data);
}

/* ---- bridges ---- */

void core_event_bridge(const char *type, const struct core_bridge *bridge)
{
	for (int i = 0; i < 2; i++) {
		const struct core_leg *leg = bridge->legs[i], *peer = bridge->legs[1 - i];
		struct pbx_json *data = json->new_object();

		text(data, "bridge_id", bridge->id);
		text(data, "leg_id", leg->id);
		text(data, "peer_leg_id", peer->id);
		text(data, "number", leg->number);
		text(data, "peer_number", peer->number);
		publish(leg->call, type, data);
	}
}

void core_event_room(const char *type, const struct core_room *room, const struct core_leg *leg)
{
	struct pbx_json *data = json->new_object();

	text(data, "room_id", room->id);
	text(data, "room", room->name);
	text(data, "leg_id", leg->id);
	text(data, "number", leg->number);
	publish(leg->call, type, data);
}

/* ---- declared types ---- */

#define FIELDS(...) PBX_TABLE(((const struct pbx_field[]){ __VA_ARGS__ }))
#define T(name, help)                                                                                                                      \
	{                                                                                                                                  \
		name, PBX_TYPE_TEXT, help                                                                                                  \
	}
#define I(name, help)                                                                                                                      \
	{                                                                                                                                  \
		name, PBX_TYPE_INT, help                                                                                                   \
	}

#define N(name, help)                                                                                                                      \
	{                                                                                                                                  \
		name, PBX_TYPE_NUMBER, help                                                                                                \
	}
#define AUDIO                                                                                                                              \
	FIELDS(T("leg_id", "Whose"), T("number", "The party"), T("way", "from_party or to_party"), I("for_ms", "For how long so far"),     \
	       T("codec", "What we send"), I("packets_in", "RTP received so far"), I("packets_out", "RTP sent"), I("lost", "Lost so far"), \
	       N("jitter_ms", "RFC 3550"), I("foreign", "RTP from addresses that may not send here, dropped"),                             \
	       T("media_local", "Our address for its RTP"), T("media_told", "Where its SDP asked for RTP"),                                \
	       T("media_from", "Where its RTP came from; empty: none came"))

const struct pbx_event_type core_calls_event_types[] = {
	{ "call.started", "A call came in, or we began one",
	  FIELDS(T("leg_id", "The caller's leg"), T("direction", "internal, inbound or outbound"),
		 { "from", PBX_TYPE_OBJECT, "number, name, extension" }, { "to", PBX_TYPE_OBJECT, "number" }, T("dialled", "As dialled"),
		 T("device", "The caller's user agent"), T("address", "Where it came from"),
		 T("trunk_id", "The SIP system it came from, when it came from one"),
		 { "withheld", PBX_TYPE_BOOL, "The caller does not want to be shown: from says nothing" }) },
	{ "call.ringing", "The first device rings",
	  FIELDS(T("leg_id", "Its leg"), T("number", "Whose it is"),
		 { "early_media", PBX_TYPE_BOOL, "The caller hears it before the answer" }) },
	{ "call.answered", "Somebody, or a service, has answered",
	  FIELDS(T("leg_id", "Who answered"), { "answered_by", PBX_TYPE_OBJECT, "number, name" }, I("ring_ms", "Ringing until the answer"),
		 I("pdd_ms", "From the start to the first ring")) },
	{ "call.forwarded", "The called party, or its rules, sent the call elsewhere",
	  FIELDS(T("from", "Who forwarded"), T("to", "Where to"), T("reason", "unconditional, busy, no_answer, offline, dnd, 302")) },
	{ "call.refused", "Routing has refused a number: the call ends, or tries another",
	  FIELDS(T("number", "Where the call should have gone"), T("refused_by", "Whose rule it was: a plugin, calls or core"),
		 I("sip_code", "With what"), T("reason", "In words, when known")) },
	{ "call.hold", "A party is put on hold", FIELDS(T("by", "Leg that holds"), T("held", "Leg that is held")) },
	{ "call.resume", "A party is taken off hold",
	  FIELDS(T("by", "Leg that held"), T("held", "Leg that was held"), I("hold_ms", "For how long")) },
	{ "call.record_wish", "A phone has changed its mind about being recorded (RFC 7866 a=recordpref)",
	  FIELDS(T("leg_id", "Its leg"), T("wish", "on, off, pause, nopreference")) },
	{ "call.transfer", "A transfer has ended well or not",
	  FIELDS(T("leg_id", "The leg that was moved"), T("transfer_type", "blind or attended"),
		 T("transferor", "Number of who asked for it"), T("target", "Number it went to"), T("result", "ok or failed")) },
	{ "call.picked_up", "Somebody else has taken a call that rang",
	  FIELDS(T("leg_id", "The leg that rang"), T("number", "Where it rang"), T("by_leg_id", "Who took it, a leg of another call"),
		 T("by", "Number of who took it")) },
	{ "call.user_event", "Somebody has written an event of their own into the call's history",
	  FIELDS(T("name", "Theirs"), T("by", "Who: a plugin, a user, root@local"), { "data", PBX_TYPE_OBJECT, "Theirs" }) },
	{ "call.fields_set", "Fields of the call's record have been set or taken away",
	  FIELDS({ "fields", PBX_TYPE_OBJECT, "Those that changed: the text, null when it was taken away" },
		 T("by", "Who: a plugin, a user, root@local, the trusted system that called")) },
	{ "call.linked", "Calls have met: from now on this one has the other's linked_id", FIELDS(T("other_call_id", "The older call")) },
	{ "call.ended", "A call is over",
	  FIELDS(T("disposition", "answered, busy, no_answer, cancelled, declined, failed"), I("sip_code", "The caller's final response"),
		 I("q850_cause", "ITU-T Q.850"), T("hangup_by", "caller, callee or system"),
		 T("cause", "In a word: normal_clearing, not_found, …"), T("direction", "internal, inbound or outbound"),
		 I("duration_ms", "From start to end"), I("billsec_ms", "From answer to end"), I("ring_ms", "Ringing"),
		 I("hold_ms", "On hold"), { "from", PBX_TYPE_OBJECT, "number, name, extension" }, { "to", PBX_TYPE_OBJECT, "number" },
		 T("dialled", "As dialled")) },
	{ "leg.started", "A party's dialog begins",
	  FIELDS(T("leg_id", "The leg"), T("direction", "inbound or outbound"), T("number", "The party"), T("name", "Its name"),
		 T("endpoint", "Where we called: a URI, or the number as a SIP system was sent it"),
		 T("shown", "Outbound: the calling number it is shown"), T("account", "Whose device it is"), T("device", "User agent"),
		 T("trunk_id", "The SIP system it belongs to, when it belongs to one")) },
	{ "leg.ringing", "The party's phone rings, or its caller hears ringing", FIELDS(T("leg_id", "The leg")) },
	{ "leg.answered", "The dialog is answered", FIELDS(T("leg_id", "The leg")) },
	{ "leg.ended", "A party's dialog is over",
	  FIELDS(T("leg_id", "The leg"), T("trunk_id", "The SIP system it belonged to, when it belonged to one"),
		 I("sip_code", "Final response to the INVITE"), I("q850_cause", "ITU-T Q.850"), T("hangup_by", "peer or us"),
		 T("reason", "In words, when known"), { "answered", PBX_TYPE_BOOL, "It was answered" },
		 I("duration_ms", "From start to end"), I("talk_ms", "From answer to end"), T("codec", "What we sent"),
		 { "transcoded", PBX_TYPE_BOOL, "Its peer had another codec" }, I("packets_in", "RTP received"),
		 I("packets_out", "RTP sent"), I("lost", "Packets that did not arrive"), { "jitter_ms", PBX_TYPE_NUMBER, "RFC 3550" },
		 I("foreign", "RTP from addresses that may not send here, dropped"), T("media_local", "Our address for its RTP"),
		 T("media_told", "Where its SDP asked for RTP"), T("media_from", "Where its RTP came from; empty: none came"),
		 I("duplicates", "Packets that came twice"), I("reordered", "Packets that were overtaken"),
		 I("bursts", "Bursts of loss, RFC 3611"), I("burst_lost", "Lost in bursts"),
		 N("round_trip_ms", "From us to the party and back, when known"), N("loss_percent", "Of what it sent"),
		 N("mos", "How it sounded by the E-model, to a listener"), N("mos_cq", "The same, with delay"),
		 T("model", "G.107, G.107.1, G.107.2"), I("heard_lost", "Lost of what we sent, as it reports by RTCP"),
		 N("heard_loss_percent", "The same as a share"), N("heard_jitter_ms", "As it reports"),
		 N("heard_mos", "What it heard: by its own account (RTCP XR), else by the E-model")) },
	{ "leg.audio_missing", "An answered party is not heard, or reports by RTCP that it hears nothing of us", AUDIO },
	{ "leg.audio_back", "And that is over", AUDIO },
	{ "leg.codec_failed", "A codec did nothing but fail: another stands in its place, and the party is offered those that are left",
	  FIELDS(T("leg_id", "Whose"), T("number", "The party"), T("codec", "Which"),
		 T("way", "from_party: what it sends cannot be decoded; to_party: what it is to hear cannot be encoded")) },
	{ "dtmf.start", "A party presses a key; dtmf.received follows at its end. Where calls.digit_starts is set",
	  FIELDS(T("leg_id", "The leg"), T("digit", "0 to 9, *, #, A to D"), T("method", "rfc4733, info or inband")) },
	{ "dtmf.received", "A party has pressed a key outside of a conversation, and not in answer to a question for a PIN",
	  FIELDS(T("leg_id", "The leg"), T("digit", "0 to 9, *, #, A to D"), I("duration_ms", "How long; 0: nobody knows yet"),
		 T("method", "rfc4733, info or inband")) },
	{ "dtmf.flash", "A party has pressed its hook for a moment, in a conversation or not",
	  FIELDS(T("leg_id", "The leg"), T("method", "rfc4733 or info")) },
	{ "media.started", "The first packet of a party has come; where calls.media_started is set",
	  FIELDS(T("leg_id", "The leg"), T("number", "The party"), T("codec", "What we send"),
		 I("after_ms", "Since the answer; 0: before it"), T("media_local", "Our address for its RTP"),
		 T("media_told", "Where its SDP asked for RTP"), T("media_from", "Where the packet came from")) },
	{ "media.source_changed", "A party's packets come from another address than SDP said, and were believed",
	  FIELDS(T("leg_id", "The leg"), T("number", "The party"), T("address", "Where they come from now")) },
	{ "media.timeout", "No packet of an answered party has come for media.timeout_s",
	  FIELDS(T("leg_id", "The leg"), T("number", "The party"), I("for_ms", "How long")) },
	{ "media.failed", "A party was not found by ICE, does not answer any more, or is not who SDP said",
	  FIELDS(T("leg_id", "The leg"), T("number", "The party"),
		 T("reason", "ice_failed, consent_lost, dtls_failed, dtls_wrong_certificate")) },
	{ "bridge.entered", "Two legs talk; said for each of them",
	  FIELDS(T("bridge_id", "The bridge"), T("leg_id", "The leg"), T("peer_leg_id", "The other one"), T("number", "The party"),
		 T("peer_number", "The other party")) },
	{ "bridge.left", "Two legs talk no more; said for each of them",
	  FIELDS(T("bridge_id", "The bridge"), T("leg_id", "The leg"), T("peer_leg_id", "The other one"), T("number", "The party"),
		 T("peer_number", "The other party")) },
	{ "room.entered", "A leg hears a room of many, or attends a conversation of two",
	  FIELDS(T("room_id", "The room"), T("room", "Its name"), T("leg_id", "The leg"), T("number", "The party")) },
	{ "room.left", "A leg has left a room, or a conversation that it attended",
	  FIELDS(T("room_id", "The room"), T("room", "Its name"), T("leg_id", "The leg"), T("number", "The party")) },
};

_Static_assert(sizeof core_calls_event_types / sizeof core_calls_event_types[0] == CORE_CALLS_EVENT_TYPES, "calls_part.h counts them");
