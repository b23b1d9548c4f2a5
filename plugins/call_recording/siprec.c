/*
 * siprec - a recording session (RFC 7866): opened with the first recorder that takes it, kept while the call lasts, moved to the next recorder when this one leaves
 *
 * A round tries each recorder once, the preferred one first. After a round in vain we wait 10, 30, then 60 s each time; the call goes on meanwhile, unless it must not be
 * without a recorder. One that leaves has all others tried at once; recorders that leave within ten seconds only so often as there are recorders, or two that take a
 * session and drop it would keep us busy. What changes (who speaks, their codecs, a pause) is one more offer; what changes while that is under way is told by the next.
 */
#include "siprec.h"
#include <stdlib.h>
#include <string.h>

#define SETTLED_MS 10000u
#define ANSWER_MS                                                                                                                          \
	10000u /* to the first offer and to each later one: what is said until a silent recorder is given up is recorded nowhere */
#define SNAPSHOT_MS 1000u /* between two that are asked for: one that asks whenever it is told would have us do nothing else */
#define OPTION "siprec"   /* of SIP: RFC 7866 */
#define ACCEPT "Accept: application/sdp, " METADATA_REQUEST_TYPE "\n"

static const uint32_t waits_ms[] = { 10000, 30000, 60000 };

/* ---- telling ---- */

static const struct recorder_way *way_of(const struct siprec *siprec)
{
	return &siprec->ways[siprec->at];
}

static struct pbx_json *event_data(const struct siprec *siprec)
{
	const struct active *active = siprec->active;
	const struct pbx_jsons *json = active->plugin->json;
	struct pbx_json *data = json->new_object();

	(void)json->set_text(data, "recording_id", active->id);
	(void)json->set_text(data, "recorded_call_id", active->call_id);
	(void)json->set_text(data, "group_id", active->group_id);
	(void)json->set_text(data, "recorder", way_of(siprec)->shown);
	return data;
}

static void publish(const struct siprec *siprec, const char *type, struct pbx_json *data)
{
	const struct plugin *plugin = siprec->active->plugin;
	pbx_call call = { 0 };

	(void)plugin->calls->find_call(siprec->active->call_id, &call); /* it may be over */
	(void)plugin->bus->publish(plugin->host, type, call, data);     /* the event log says itself what it cannot store */
}

static void tell_started(const struct siprec *siprec)
{
	const struct plugin *plugin = siprec->active->plugin;

	pbx_notice(plugin->host, "recording_session_started", "recording_id=%s recorder=\"%s\"", siprec->active->id, way_of(siprec)->shown);
	publish(siprec, "recording.session_started", event_data(siprec));
}

static void tell_failed(const struct siprec *siprec, uint32_t sip_code, const char *why)
{
	const struct plugin *plugin = siprec->active->plugin;
	struct pbx_json *data = event_data(siprec);

	pbx_warn(plugin->host, "recording_session_failed", "recording_id=%s recorder=\"%s\" sip_code=%u why=\"%s\"", siprec->active->id,
		 way_of(siprec)->shown, sip_code, why);
	(void)plugin->json->set_integer(data, "sip_code", sip_code);
	(void)plugin->json->set_text(data, "why", why);
	(void)plugin->json->set_boolean(data, "lasted", siprec->is_up);
	(void)plugin->metrics->add(plugin->host, METRIC_SESSIONS_FAILED, way_of(siprec)->peer, 1);
	publish(siprec, "recording.session_failed", data);
}

/* ---- offers ---- */

#define MOST_BODIES 2u

struct bodies {
	char sdp[SESSION_SDP_SIZE];
	char *metadata; /* owned */
	struct pbx_session_part parts[MOST_BODIES];
	struct pbx_session_parts are;
};

/* The SDP, and what is to be told in the metadata: all of it, or what has changed. PBX_OK, PBX_ENOMEM. */
static int make_bodies(struct siprec *siprec, bool is_complete, struct bodies *bodies)
{
	bool tells = is_complete || session_has_news(siprec);

	session_write_sdp(siprec, false, bodies->sdp);
	bodies->metadata = tells ? session_write_metadata(siprec, is_complete || siprec->tells_all) : NULL;
	bodies->parts[0] = (struct pbx_session_part){ .size = sizeof bodies->parts[0], .type = "application/sdp", .body = bodies->sdp };
	bodies->parts[1] = (struct pbx_session_part){
		.size = sizeof bodies->parts[1], .type = METADATA_TYPE, .disposition = METADATA_DISPOSITION, .body = bodies->metadata
	};
	bodies->are = (struct pbx_session_parts){ bodies->parts, bodies->metadata ? 2 : 1 };
	return tells && !bodies->metadata ? PBX_ENOMEM : PBX_OK;
}

/* The key in it is not to stay behind on the stack. */
static void bodies_free(struct bodies *bodies)
{
	explicit_bzero(bodies->sdp, sizeof bodies->sdp);
	free(bodies->metadata);
}

static void lose(struct siprec *siprec, uint32_t sip_code, const char *why);

/* It is silent, or says again and again that it is busy with offers of its own (491). */
static void on_deadline(void *self, pbx_timer timer)
{
	struct siprec *siprec = self;

	(void)timer;
	siprec->deadline = (pbx_timer){ 0 };
	lose(siprec, 408, "it has not answered an offer");
}

static void begin_deadline(struct siprec *siprec)
{
	struct plugin *plugin = siprec->active->plugin;

	if (plugin->timers->start(plugin->host, ANSWER_MS, 0, on_deadline, siprec, &siprec->deadline) != PBX_OK)
		pbx_error(plugin->host, "recording_session_unwatched", "recording_id=%s reason=memory", siprec->active->id);
}

static void end_deadline(struct siprec *siprec)
{
	if (siprec->deadline.id)
		(void)siprec->active->plugin->timers->stop(siprec->deadline);
	siprec->deadline = (pbx_timer){ 0 };
}

void siprec_changed(struct siprec *siprec)
{
	const struct plugin *plugin = siprec->active->plugin;
	struct bodies bodies;

	siprec->is_stale = siprec->session.id != 0; /* who is still to be found is told all */
	if (!siprec->is_up || siprec->updates)
		return;
	int err = make_bodies(siprec, false, &bodies);

	if (err == PBX_OK)
		err = plugin->sessions->update(siprec->session, &bodies.are);
	bodies_free(&bodies);
	if (err == PBX_OK) {
		siprec->updates = true;
		siprec->is_stale = false;
		begin_deadline(siprec);
		session_told(siprec);
	} else {
		lose(siprec, 0, "it could not be told of a change");
	}
}

/* ---- what the recorder says ---- */

static const struct pbx_session_part *find_part(const struct pbx_session_parts *parts, const char *type)
{
	for (uint32_t at = 0; at < parts->count; at++)
		if (strcasecmp(pbx_session_part_at(parts, at)->type, type) == 0)
			return pbx_session_part_at(parts, at);
	return NULL;
}

/* Why it cannot be; NULL: it can, and what is sent goes there. */
static const char *heed(struct siprec *siprec, const struct pbx_session_parts *parts)
{
	const struct pbx_session_part *sdp = find_part(parts, "application/sdp");
	struct session_wish wishes[SESSION_STREAMS];
	const char *why;

	if (session_sdp_read(sdp ? sdp->body : "", sdp ? sdp->length : 0, siprec->encrypts, wishes, &why) != PBX_OK)
		return why;
	for (uint32_t at = 0; at < SESSION_STREAMS; at++) {
		const struct party *party = &siprec->parties[at];

		if (!siprec->is_stale && wishes[at].is_wanted && party->fork.id && !session_wish_fits(&wishes[at], &party->line))
			return "it takes none of the codecs"; /* else it may be about others than those now */
	}
	for (uint32_t at = 0; at < SESSION_STREAMS; at++)
		siprec->parties[at].wish = wishes[at];
	forks_aim(siprec);
	return NULL;
}

static void on_opened(struct siprec *siprec, const struct pbx_session_answer *answer)
{
	struct active *active = siprec->active;

	if (answer->sip_code >= 300) {
		siprec->session = (pbx_session){ 0 };
		lose(siprec, answer->sip_code, answer->phrase);
		return;
	}
	siprec->is_up = true;
	const char *why = heed(siprec, &answer->parts);

	if (!why && siprec->aimed == 0 && !siprec->paused && !siprec->is_stale)
		why = "it takes none of the streams";
	if (why) {
		siprec->is_up = false;
		lose(siprec, 488, why);
		return;
	}
	siprec->up_at_ms = active->plugin->host->now_ms(active->plugin->host);
	(void)snprintf(active->recorder, sizeof active->recorder, "%s", way_of(siprec)->shown);
	row_recorder(active);
	tell_started(siprec);
	record_show(active);
	record_count(active->plugin);
	if (siprec->is_stale)
		siprec_changed(siprec);
}

static void on_updated(struct siprec *siprec, const struct pbx_session_answer *answer)
{
	siprec->updates = false;
	end_deadline(siprec);
	if (answer->sip_code == 408 || answer->sip_code == 481)
		return; /* ended follows */
	const char *why = answer->sip_code >= 300 ? answer->phrase : heed(siprec, &answer->parts);

	if (why)
		lose(siprec, answer->sip_code >= 300 ? answer->sip_code : 488, why);
	else if (siprec->is_stale)
		siprec_changed(siprec);
}

static void on_answered(void *self, pbx_session session, const struct pbx_session_answer *answer)
{
	struct siprec *siprec = self;

	(void)session;
	if (siprec->is_up)
		on_updated(siprec, answer);
	else
		on_opened(siprec, answer);
}

/* An offer of its own, or the wish to be told all metadata once more (RFC 7866 8.2), which a new offer of ours does. */
static void on_asked(void *self, pbx_session session, const struct pbx_session_question *question)
{
	struct siprec *siprec = self;
	const struct pbx_sessions *sessions = siprec->active->plugin->sessions;
	bool offers = find_part(&question->parts, "application/sdp"), asks = find_part(&question->parts, METADATA_REQUEST_TYPE);
	uint64_t now_ms = siprec->active->plugin->host->now_ms(siprec->active->plugin->host);
	char sdp[SESSION_SDP_SIZE];

	if ((!offers && !asks) || strcmp(question->method, "INFO") == 0) {
		(void)sessions->answer(session, 415, NULL); /* or it has gone: as good */
	} else if (asks && siprec->asked_at_ms && now_ms < siprec->asked_at_ms + SNAPSHOT_MS) {
		(void)sessions->answer(session, 500, NULL); /* what it has been told a moment ago is still so */
	} else if (offers && heed(siprec, &question->parts)) {
		(void)sessions->answer(session, 488, NULL);
	} else {
		session_write_sdp(siprec, true, sdp);
		const struct pbx_session_part part = { .size = sizeof part, .type = "application/sdp", .body = sdp };
		const struct pbx_session_parts parts = { &part, 1 };

		(void)sessions->answer(session, 200, offers ? &parts : NULL);
		explicit_bzero(sdp, sizeof sdp);
		siprec->tells_all |= asks;
		if (asks) {
			siprec->asked_at_ms = now_ms;
			siprec_changed(siprec);
		}
	}
}

static void on_changed(void *self, pbx_session session, const struct pbx_session_parts *parts)
{
	struct siprec *siprec = self;
	const char *why = heed(siprec, parts);

	(void)session;
	if (why)
		lose(siprec, 488, why);
}

static void on_ended(void *self, pbx_session session, uint32_t sip_code, const char *why)
{
	struct siprec *siprec = self;

	(void)session;
	siprec->session = (pbx_session){ 0 };
	lose(siprec, sip_code, why);
}

static const struct pbx_session_watcher watcher = {
	.size = sizeof watcher, .answered = on_answered, .asked = on_asked, .changed = on_changed, .ended = on_ended
};

/* ---- from one recorder to the next ---- */

/* PBX_OK: its answer follows. */
static int open_session(struct siprec *siprec)
{
	struct plugin *plugin = siprec->active->plugin;
	struct bodies bodies;
	int err = forks_open(siprec);

	if (err != PBX_OK)
		return err;
	err = make_bodies(siprec, true, &bodies);
	const struct pbx_session_spec spec = {
		.size = sizeof spec,
		.answer_ms = ANSWER_MS,
		.uri = way_of(siprec)->uri,
		.contact_params = ";+sip.src",
		.require = OPTION,
		.headers = ACCEPT,
		.call_id = siprec->active->call_id,
		.parts = bodies.are,
	};

	if (err == PBX_OK)
		err = plugin->sessions->open(plugin->host, way_of(siprec)->peer, &spec, &watcher, siprec, &siprec->session);
	bodies_free(&bodies);
	if (err == PBX_OK)
		session_told(siprec);
	return err;
}

static void try_next(struct siprec *siprec);

static void on_time(void *self, pbx_timer timer)
{
	struct siprec *siprec = self;

	(void)timer;
	siprec->timer = (pbx_timer){ 0 };
	siprec->left = siprec->way_count;
	siprec->at = 0;
	try_next(siprec);
}

static void wait_ms(struct siprec *siprec, uint64_t ms)
{
	struct plugin *plugin = siprec->active->plugin;

	siprec->due_at_ms = plugin->host->now_ms(plugin->host) + ms;
	if (plugin->timers->start(plugin->host, ms, 0, on_time, siprec, &siprec->timer) != PBX_OK)
		pbx_error(plugin->host, "recording_not_tried_again", "recording_id=%s reason=memory", siprec->active->id);
}

/* No recorder takes it now. */
static void rest(struct siprec *siprec)
{
	struct plugin *plugin = siprec->active->plugin;
	uint32_t last = (uint32_t)(sizeof waits_ms / sizeof waits_ms[0]) - 1;

	if (siprec->is_required) {
		unrecorded_end(plugin, siprec->parties[0].leg, siprec->parties[1].leg);
		return; /* the recording ends with its leg */
	}
	wait_ms(siprec, waits_ms[siprec->waits < last ? siprec->waits : last]);
	siprec->waits++;
}

static void pass_on(struct siprec *siprec)
{
	forks_close(siprec);
	siprec->left--;
	siprec->at = (siprec->at + 1) % siprec->way_count;
}

static void try_next(struct siprec *siprec)
{
	while (siprec->left > 0) {
		int err = open_session(siprec);

		if (err == PBX_OK)
			return;
		tell_failed(siprec, 0,
			    err == PBX_ESTATE || err == PBX_ENOENT ? "nobody speaks"
			    : err == PBX_ENOSPC                    ? "no port is free"
								   : "it cannot be asked");
		pass_on(siprec);
	}
	rest(siprec);
}

static void leave_session(struct siprec *siprec)
{
	const struct plugin *plugin = siprec->active->plugin;

	if (siprec->session.id)
		(void)plugin->sessions->close(siprec->session); /* it may be gone */
	siprec->session = (pbx_session){ 0 };
	end_deadline(siprec);
	siprec->is_up = siprec->updates = siprec->is_stale = false;
}

/* This recorder has it no more, or never had. */
static void lose(struct siprec *siprec, uint32_t sip_code, const char *why)
{
	struct plugin *plugin = siprec->active->plugin;
	bool was_up = siprec->is_up;
	bool has_settled = was_up && plugin->host->now_ms(plugin->host) - siprec->up_at_ms >= SETTLED_MS;

	tell_failed(siprec, sip_code, why);
	leave_session(siprec);
	if (has_settled)
		siprec->waits = siprec->drops = 0;
	if (was_up && siprec->drops++ < siprec->way_count - 1)
		siprec->left = siprec->way_count;
	pass_on(siprec);
	record_show(siprec->active);
	record_count(plugin);
	try_next(siprec);
}

/* ---- who speaks ---- */

static void come(struct siprec *siprec, uint32_t at, pbx_leg leg, const char *room)
{
	if (siprec->parties[at].is_there)
		party_go(siprec, at);
	party_come(siprec, at, leg, room);
	if (siprec->session.id)
		(void)party_open(siprec, at); /* an error has been logged, and the line is inactive */
	siprec_changed(siprec);
}

static void go(struct siprec *siprec, uint32_t at)
{
	party_go(siprec, at);
	siprec_changed(siprec);
}

void siprec_meet(struct siprec *siprec, pbx_leg peer)
{
	uint32_t other = 1 - siprec->own;
	const struct party *party = &siprec->parties[other];

	if (!party->is_there || party->leg.id != peer.id || party->what != PBX_FORK_SAYS)
		come(siprec, other, peer, NULL);
}

void siprec_enter(struct siprec *siprec, const char *room)
{
	uint32_t other = 1 - siprec->own;
	const struct party *party = &siprec->parties[other];

	if (!party->is_there || party->what != PBX_FORK_HEARS)
		come(siprec, other, siprec->active->leg, room);
}

void siprec_part(struct siprec *siprec, pbx_leg peer)
{
	uint32_t other = 1 - siprec->own;

	if (siprec->parties[other].is_there && siprec->parties[other].leg.id == peer.id)
		go(siprec, other);
}

void siprec_lost_leg(struct siprec *siprec, uint32_t at)
{
	struct active *active = siprec->active;
	bool is_over = siprec->parties[at].leg.id == active->leg.id;

	if (!is_over)
		go(siprec, at);
	else if (!active->has_file) /* else the file's end is the end of both */
		record_over(active);
}

void siprec_pause(struct siprec *siprec, bool on)
{
	siprec->paused = on;
	if (on)
		forks_aim(siprec); /* at once; back when the recorder has answered */
	siprec_changed(siprec);
}

/* ---- looking ---- */

bool siprec_is_up(const struct siprec *siprec)
{
	return siprec && siprec->is_up;
}

void siprec_state(const struct siprec *siprec, struct siprec_state *ret_state)
{
	*ret_state = (struct siprec_state){ .recorder = way_of(siprec)->shown,
					    .state = siprec->is_up        ? "connected"
						     : siprec->session.id ? "connecting"
									  : "waiting",
					    .packets = forks_packets(siprec) };
}

/* ---- life ---- */

int siprec_begin(struct active *active, const struct conversation *conversation)
{
	struct plugin *plugin = active->plugin;
	const struct ways *ways = &conversation->ways;
	struct siprec *siprec = calloc(1, sizeof *siprec);

	if (!siprec)
		return PBX_ENOMEM;
	siprec->active = active;
	siprec->encrypts = ways->encrypts;
	siprec->is_required = ways->is_required;
	siprec->since_us = active->started_us;
	siprec->sdp_id = (uint64_t)active->started_us / 1000000;
	for (uint32_t i = 0; i < ways->recorders->count && siprec->way_count < MOST_RECORDERS; i++)
		siprec->way_count +=
			recorder_find(plugin->settings, ways->recorders->items[i], &siprec->ways[siprec->way_count], NULL) == PBX_OK;
	siprec->left = siprec->way_count;
	active->siprec = siprec;
	parties_begin(siprec, conversation);
	try_next(siprec);
	return PBX_OK;
}

void siprec_move(struct siprec *siprec, struct active *active)
{
	siprec->active = active;
}

static void stop_waiting(struct siprec *siprec)
{
	if (siprec->timer.id)
		(void)siprec->active->plugin->timers->stop(siprec->timer);
	siprec->timer = (pbx_timer){ 0 };
}

void siprec_free(struct siprec *siprec)
{
	if (!siprec)
		return;
	stop_waiting(siprec);
	leave_session(siprec);
	forks_close(siprec);
	siprec_let_go(siprec);
}

/* ---- an upgrade ---- */

struct siprec *siprec_take(struct active *active, const struct siprec *given)
{
	struct plugin *plugin = active->plugin;
	struct siprec *siprec = malloc(sizeof *siprec);

	if (!siprec)
		return NULL;
	*siprec = *given;
	siprec->active = active;
	siprec->deadline = (pbx_timer){ 0 }; /* that one is its predecessor's */
	if (given->updates)
		begin_deadline(siprec);
	forks_adopt(siprec);
	if (given->timer.id) {
		uint64_t now_ms = plugin->host->now_ms(plugin->host);

		wait_ms(siprec, given->due_at_ms > now_ms ? given->due_at_ms - now_ms : 0);
	} else if (given->session.id && /* else the call is being ended, for nobody records it */
		   plugin->sessions->adopt(plugin->host, siprec->session, &watcher, siprec) != PBX_OK) {
		siprec->session = (pbx_session){ 0 };
		leave_session(siprec);
		wait_ms(siprec, 0);
	}
	return siprec;
}

/* Keys are not to stay behind. */
void siprec_let_go(struct siprec *siprec)
{
	stop_waiting(siprec);
	end_deadline(siprec);
	explicit_bzero(siprec, sizeof *siprec);
	free(siprec);
}
