/*
 * ice - an agent: asks every address the peer may have, answers who asks, and agrees with the peer on one way
 *
 * Our sockets leave the choice of the source to the kernel, so a way is an address of the peer, with its transport, and a component. The full agent checks all of
 * them, at once when the peer's own check comes from there (7.3.1.4), and nominates the best that works when it controls (8.1.1); the lite
 * one only answers (2.5). Whoever the peer nominates is followed, but from a way that is alive only to a better one: peers of RFC 5245 nominate
 * all ways that work. Then the peer is asked every few seconds whether it still wants to hear us (RFC 7675). A way that has fallen silent is left for one
 * that the peer has nominated meanwhile, or that we try in its place, so that a firewall that closes UDP amid a call leaves it TCP.
 *
 * Kept simple: checks of all ways wait in one list, most promising first, without the frozen state (there is one stream); a retransmission
 * counts from 500 ms whatever the number of ways. Ways by TCP are connections that the peer has opened and its check came by: none is ever waiting.
 */
#include "ice.h"

#include "session.h"
#include <stdlib.h>
#include <string.h>

#define MOST_WAYS 16u
#define CHECKS_A_ROUND 2u /* of new ways in 100 ms: Ta is 50 ms (14.2) */
#define FIRST_RETRY_MS 500u
#define REPEAT_MS 100u
#define MOST_SENT 7u       /* RFC 8489 6.2.1, Rc */
#define RELIABLE_MS 39500u /* 6.2.2: how long an answer by TCP may take; it is asked once */
#define NOMINATE_MS 300u   /* a better way may follow the first that works */
#define GIVE_UP_MS 30000u
#define CONSENT_PARTS 5u /* questions in the time that one answer is good for */
#define ALIVE_MS 6000u   /* a way that was heard of since is not given up for a worse one, even if the peer says so */
#define SILENT_PARTS 2u  /* of the time of consent: so long without a word, two questions at least, and another way is tried or followed */

#define WAITING 0u
#define ASKED 1u
#define WORKS 2u
#define FAILS 3u

struct way { /* component 0: a free place */
	struct core_addr to;
	uint32_t peer_priority;
	uint64_t priority; /* of the pair, 6.1.2.3 */
	uint8_t component, state, sent;
	bool nominating; /* the check that is under way says USE-CANDIDATE */
	bool nominated;  /* the peer did: chosen as soon as it works */
	bool wanted;     /* it did, while a better one was alive: chosen when that falls silent */
	uint8_t id[RTP_STUN_ID_BYTES];
	uint64_t asked_at_ms, due_at_ms, heard_at_ms;
};

struct component {
	int8_t chosen;        /* a way; -1: none */
	uint64_t works_at_ms; /* the first way; 0: none does */
	uint64_t agreed_at_ms, ask_at_ms;
};

struct rtp_ice {
	struct core_ice_name own, peer;
	struct rtp_stun_key *own_key, *peer_key;
	bool lite, controlling;
	uint64_t tie_breaker;
	uint8_t component_count, way_count;
	uint32_t state, consent_ms;
	uint64_t started_at_ms;
	rtp_ice_send_fn send;
	void *context;
	struct component components[RTP_ICE_COMPONENTS];
	struct way ways[MOST_WAYS];
};

/* ---- priorities ---- */

#define TCP_OTHER_PREFERENCE 0x1fffu /* RFC 6544 4.2 */

uint32_t rtp_ice_priority(uint8_t kind, uint32_t transport, uint8_t component)
{
	static const uint32_t by_udp[] = {
		[CORE_CANDIDATE_HOST] = 126, [CORE_CANDIDATE_PEER_REFLEXIVE] = 110, [CORE_CANDIDATE_SERVER_REFLEXIVE] = 100
	};
	static const uint32_t by_tcp[] = {
		[CORE_CANDIDATE_HOST] = 90, [CORE_CANDIDATE_PEER_REFLEXIVE] = 80, [CORE_CANDIDATE_SERVER_REFLEXIVE] = 70
	};
	uint32_t passive = kind == CORE_CANDIDATE_SERVER_REFLEXIVE ? 2u : 4u;

	if (transport == CORE_BY_TCP)
		return by_tcp[kind] << 24 | (passive << 13 | TCP_OTHER_PREFERENCE) << 8 | (256u - component);
	return by_udp[kind] << 24 | 0xffffu << 8 | (256u - component);
}

static uint64_t pair_priority(const struct rtp_ice *ice, const struct way *way)
{
	uint64_t ours = rtp_ice_priority(CORE_CANDIDATE_HOST, way->to.transport, way->component), theirs = way->peer_priority;
	uint64_t controlling = ice->controlling ? ours : theirs, controlled = ice->controlling ? theirs : ours;
	uint64_t least = controlling < controlled ? controlling : controlled, most = controlling < controlled ? controlled : controlling;

	return (least << 32) + 2 * most + (controlling > controlled);
}

static void change_role(struct rtp_ice *ice, bool controlling)
{
	ice->controlling = controlling;
	for (uint8_t i = 0; i < ice->way_count; i++)
		ice->ways[i].priority = pair_priority(ice, &ice->ways[i]);
}

/* ---- ways ---- */

static struct way *find_way(struct rtp_ice *ice, uint8_t component, const struct core_addr *to)
{
	for (uint8_t i = 0; i < ice->way_count; i++)
		if (ice->ways[i].component == component && rtp_addr_same(&ice->ways[i].to, to))
			return &ice->ways[i];
	return NULL;
}

static struct way *free_place(struct rtp_ice *ice)
{
	for (uint8_t i = 0; i < ice->way_count; i++)
		if (ice->ways[i].component == 0)
			return &ice->ways[i];
	return ice->way_count < MOST_WAYS ? &ice->ways[ice->way_count++] : NULL;
}

/* NULL: there are too many, and each may still be the right one. */
static struct way *add_way(struct rtp_ice *ice, uint8_t component, const struct core_addr *to, uint32_t priority)
{
	struct way *way = free_place(ice);

	if (!way)
		return NULL;
	*way = (struct way){ .to = *to, .peer_priority = priority, .component = component };
	way->priority = pair_priority(ice, way);
	return way;
}

static void add_candidate(struct rtp_ice *ice, uint8_t component, const struct core_addr *to, uint32_t priority)
{
	if (component >= 1 && component <= ice->component_count && !find_way(ice, component, to))
		(void)add_way(ice, component, to, priority); /* no room: the peer's own checks tell */
}

static struct way *chosen(const struct rtp_ice *ice, uint8_t component)
{
	int8_t at = ice->components[component - 1].chosen;

	return at < 0 ? NULL : (struct way *)&ice->ways[at];
}

/* but: not this one; NULL: any. */
static struct way *best_but(const struct rtp_ice *ice, uint8_t component, uint8_t state, const struct way *but)
{
	const struct way *found = NULL;

	for (uint8_t i = 0; i < ice->way_count; i++) {
		const struct way *way = &ice->ways[i];

		if (way->component == component && way->state == state && way != but && (!found || way->priority > found->priority))
			found = way;
	}
	return (struct way *)found;
}

static struct way *best(const struct rtp_ice *ice, uint8_t component, uint8_t state)
{
	return best_but(ice, component, state, NULL);
}

static bool is_silent(const struct rtp_ice *ice, const struct way *way, uint64_t now_ms)
{
	return now_ms - way->heard_at_ms >= ice->consent_ms / SILENT_PARTS;
}

static bool is_alive(const struct rtp_ice *ice, const struct way *way, uint64_t now_ms)
{
	return now_ms - way->heard_at_ms < ALIVE_MS && !is_silent(ice, way, now_ms);
}

/* ---- life ---- */

struct rtp_ice *rtp_ice_new(const struct core_stream_config *config)
{
	struct rtp_ice *ice = calloc(1, sizeof *ice);

	if (!ice)
		return NULL;
	ice->own = config->own_ice;
	ice->peer = config->peer_ice.name;
	ice->own_key = rtp_stun_key_new(ice->own.pwd);
	ice->peer_key = rtp_stun_key_new(ice->peer.pwd);
	if (!ice->own_key || !ice->peer_key) {
		rtp_ice_free(ice);
		return NULL;
	}
	ice->consent_ms = 2 * ALIVE_MS; /* until it is told */
	ice->lite = config->ice_lite;
	ice->controlling = config->ice_controlling;
	ice->component_count = config->rtcp_mux ? 1 : 2;
	arc4random_buf(&ice->tie_breaker, sizeof ice->tie_breaker);
	for (uint8_t i = 0; i < RTP_ICE_COMPONENTS; i++)
		ice->components[i].chosen = -1;
	for (uint8_t i = 0; i < config->peer_ice.candidate_count; i++) {
		const struct core_candidate *candidate = &config->peer_ice.candidates[i];

		add_candidate(ice, candidate->component, &candidate->addr, candidate->priority);
	}
	return ice;
}

void rtp_ice_free(struct rtp_ice *ice)
{
	if (!ice)
		return;
	rtp_stun_key_free(ice->own_key);
	rtp_stun_key_free(ice->peer_key);
	explicit_bzero(ice, sizeof *ice);
	free(ice);
}

void rtp_ice_start(struct rtp_ice *ice, rtp_ice_send_fn send, void *context, uint64_t now_ms)
{
	ice->send = send;
	ice->context = context;
	ice->started_at_ms = now_ms;
}

void rtp_ice_add(struct rtp_ice *ice, const struct rtp_ice *more)
{
	for (uint8_t i = 0; i < more->way_count; i++)
		add_candidate(ice, more->ways[i].component, &more->ways[i].to, more->ways[i].peer_priority);
}

/* ---- asking ---- */

/* When it is to be sent again, or given up. */
static uint64_t due_ms(const struct way *way, bool sent, uint64_t now_ms)
{
	return now_ms + (sent && way->to.transport == CORE_BY_TCP ? RELIABLE_MS : (uint64_t)FIRST_RETRY_MS << (way->sent - 1));
}

static bool send_request(struct rtp_ice *ice, struct way *way, uint64_t now_ms)
{
	struct rtp_stun_text text;

	rtp_stun_begin(&text, RTP_STUN_REQUEST, way->id);
	rtp_stun_add_username(&text, ice->peer.ufrag, ice->own.ufrag);
	rtp_stun_add_priority(&text, rtp_ice_priority(CORE_CANDIDATE_PEER_REFLEXIVE, way->to.transport, way->component));
	rtp_stun_add_role(&text, ice->controlling, ice->tie_breaker);
	if (way->nominating)
		rtp_stun_add_use_candidate(&text);
	size_t size = rtp_stun_finish(&text, ice->peer_key);

	way->asked_at_ms = now_ms;
	return size > 0 && ice->send(ice->context, way->component, &way->to, text.data, size);
}

static void check(struct rtp_ice *ice, struct way *way, bool nominating, uint64_t now_ms)
{
	arc4random_buf(way->id, sizeof way->id);
	way->nominating = nominating;
	way->state = nominating ? way->state : ASKED; /* a way that works goes on to while it is nominated */
	way->sent = 1;
	way->due_at_ms = due_ms(way, send_request(ice, way, now_ms), now_ms);
}

static void check_again(struct rtp_ice *ice, struct way *way, uint64_t now_ms)
{
	if (way->sent == MOST_SENT || way->due_at_ms - way->asked_at_ms >= RELIABLE_MS) {
		way->state = FAILS;
		way->nominating = false;
		return;
	}
	way->sent++;
	way->due_at_ms = due_ms(way, send_request(ice, way, now_ms), now_ms);
}

static void choose(struct rtp_ice *ice, struct way *way, uint64_t now_ms)
{
	struct component *component = &ice->components[way->component - 1];
	const struct way *before = chosen(ice, way->component);

	way->nominating = false;
	if (before == way)
		return;
	if (before && before->priority > way->priority && is_alive(ice, before, now_ms)) {
		way->wanted = true;
		return;
	}
	for (uint8_t i = 0; i < ice->way_count; i++)
		if (ice->ways[i].component == way->component)
			ice->ways[i].wanted = false;
	component->chosen = (int8_t)(way - ice->ways);
	component->agreed_at_ms = now_ms;
	component->ask_at_ms = now_ms;
	for (uint8_t i = 1; i <= ice->component_count; i++)
		if (!chosen(ice, i))
			return;
	if (ice->state == RTP_ICE_CHECKING)
		ice->state = RTP_ICE_CONNECTED;
}

static void note_works(struct rtp_ice *ice, struct way *way, uint64_t now_ms)
{
	struct component *component = &ice->components[way->component - 1];

	way->state = WORKS;
	way->heard_at_ms = now_ms;
	if (component->works_at_ms == 0)
		component->works_at_ms = now_ms ? now_ms : 1;
}

/* ---- answering ---- */

static void answer(struct rtp_ice *ice, uint8_t component, const struct rtp_stun *request, const struct core_addr *to, uint16_t error)
{
	struct rtp_stun_text text;

	rtp_stun_begin(&text, error ? RTP_STUN_ERROR : RTP_STUN_SUCCESS, request->id);
	if (error)
		rtp_stun_add_error(&text, error, error == RTP_STUN_UNKNOWN_ATTRIBUTE ? request->unknown : 0);
	else
		rtp_stun_add_mapped(&text, to);
	size_t size = rtp_stun_finish(&text, ice->own_key);

	if (size > 0)
		(void)ice->send(ice->context, component, to, text.data, size); /* lost: the peer asks again */
}

/* "ours:theirs": the peer says our name first. */
static bool is_for_us(const struct rtp_ice *ice, const struct rtp_stun *request)
{
	size_t length = strlen(ice->own.ufrag);

	return request->username && request->username_bytes > length && request->username[length] == ':' &&
	       memcmp(request->username, ice->own.ufrag, length) == 0;
}

/* Both think that they control, or that the other does (7.3.1.1). True: the peer is to change. */
static bool is_peers_conflict(struct rtp_ice *ice, const struct rtp_stun *request)
{
	bool ours_wins = ice->tie_breaker >= request->tie_breaker;

	if (!(ice->controlling ? request->says_controlling : request->says_controlled) || ice->lite)
		return false;
	if (ours_wins == ice->controlling)
		return true;
	change_role(ice, !ice->controlling);
	return false;
}

/* The peer has asked from there, so we may ask there, and it may have decided. */
static void on_asked(struct rtp_ice *ice, struct way *way, const struct rtp_stun *request, uint64_t now_ms)
{
	bool nominates = request->use_candidate && !ice->controlling;

	way->heard_at_ms = now_ms;
	if (ice->lite)
		note_works(ice, way, now_ms);
	if (way->state == WORKS) {
		if (nominates)
			choose(ice, way, now_ms);
		return;
	}
	way->nominated = way->nominated || nominates;
	if (way->state != ASKED)
		check(ice, way, false, now_ms);
	else if (way->to.transport == CORE_BY_UDP && now_ms - way->asked_at_ms >= REPEAT_MS)
		(void)send_request(ice, way, now_ms); /* ours may have been stopped by what the peer's has opened */
}

static bool take_request(struct rtp_ice *ice, uint8_t component, const struct rtp_stun *request, const struct core_addr *from,
			 uint64_t now_ms)
{
	if (!is_for_us(ice, request) || !rtp_stun_is_authentic(request, ice->own_key))
		return false;
	if (request->unknown) {
		answer(ice, component, request, from, RTP_STUN_UNKNOWN_ATTRIBUTE);
		return true;
	}
	if (request->priority == 0) {
		answer(ice, component, request, from, RTP_STUN_BAD_REQUEST);
		return true;
	}
	if (is_peers_conflict(ice, request)) {
		answer(ice, component, request, from, RTP_STUN_ROLE_CONFLICT);
		return true;
	}
	struct way *way = find_way(ice, component, from);

	answer(ice, component, request, from, 0);
	if (!way)
		way = add_way(ice, component, from, request->priority); /* peer-reflexive, 7.3.1.3 */
	if (way)
		on_asked(ice, way, request, now_ms);
	return true;
}

/* ---- answers to us ---- */

static struct way *find_asked(struct rtp_ice *ice, uint8_t component, const struct rtp_stun *message, const struct core_addr *from)
{
	struct way *way = find_way(ice, component, from); /* an answer from elsewhere proves nothing (7.2.5.2.1) */

	return way && way->sent > 0 && memcmp(way->id, message->id, sizeof way->id) == 0 ? way : NULL;
}

static void on_success(struct rtp_ice *ice, struct way *way, uint64_t now_ms)
{
	bool was_nominating = way->nominating;

	way->sent = 0;
	note_works(ice, way, now_ms);
	if (chosen(ice, way->component) == way)
		ice->components[way->component - 1].agreed_at_ms = now_ms;
	if (was_nominating || way->nominated)
		choose(ice, way, now_ms);
	way->nominated = false;
}

static void on_error(struct rtp_ice *ice, struct way *way, uint16_t error)
{
	way->sent = 0;
	if (error == RTP_STUN_ROLE_CONFLICT) {
		change_role(ice, !ice->controlling); /* 7.2.5.1 */
		way->state = way->state == WORKS ? WORKS : WAITING;
	} else if (way->state != WORKS) {
		way->state = FAILS;
	}
	way->nominating = false;
}

static bool take_response(struct rtp_ice *ice, uint8_t component, const struct rtp_stun *message, const struct core_addr *from,
			  uint64_t now_ms)
{
	struct way *way = find_asked(ice, component, message, from);

	if (!way || !rtp_stun_is_authentic(message, ice->peer_key))
		return false;
	if (message->type == RTP_STUN_SUCCESS)
		on_success(ice, way, now_ms);
	else
		on_error(ice, way, message->error);
	return true;
}

bool rtp_ice_take(struct rtp_ice *ice, uint8_t component, const uint8_t *data, size_t size, const struct core_addr *from, uint64_t now_ms)
{
	struct rtp_stun message;

	if (component > ice->component_count || ice->state >= RTP_ICE_FAILED || !rtp_stun_parse(data, size, &message))
		return false;
	switch (message.type) {
	case RTP_STUN_REQUEST:
		return take_request(ice, component, &message, from, now_ms);
	case RTP_STUN_SUCCESS:
	case RTP_STUN_ERROR:
		return take_response(ice, component, &message, from, now_ms);
	case RTP_STUN_INDICATION: /* a keepalive (RFC 8445 11) says nothing and may be from anybody */
		return rtp_ice_knows(ice, component, from);
	default:
		return false;
	}
}

/* ---- the clock ---- */

static void go_on_checking(struct rtp_ice *ice, uint64_t now_ms)
{
	for (uint8_t i = 0; i < ice->way_count; i++) {
		struct way *way = &ice->ways[i];

		if ((way->state == ASKED || way->nominating) && now_ms >= way->due_at_ms)
			check_again(ice, way, now_ms);
	}
	for (uint32_t i = 0; i < CHECKS_A_ROUND; i++) {
		struct way *next = NULL;

		for (uint8_t component = 1; component <= ice->component_count; component++) {
			struct way *found = best(ice, component, WAITING);

			next = found && (!next || found->priority > next->priority) ? found : next;
		}
		if (next)
			check(ice, next, false, now_ms);
	}
}

static bool may_improve(const struct rtp_ice *ice, const struct way *way)
{
	const struct way *waiting = best(ice, way->component, WAITING), *asked = best(ice, way->component, ASKED);

	return (waiting && waiting->priority > way->priority) || (asked && asked->priority > way->priority);
}

/* The best that works, and when that has fallen silent the next. */
static void nominate(struct rtp_ice *ice, uint8_t component, uint64_t now_ms)
{
	const struct way *before = chosen(ice, component);
	struct way *way = best_but(ice, component, WORKS, before);

	if (!way || way->nominating || (before && !is_silent(ice, before, now_ms)))
		return;
	if (!before && may_improve(ice, way) && now_ms - ice->components[component - 1].works_at_ms < NOMINATE_MS)
		return;
	check(ice, way, true, now_ms);
}

/* The peer has wanted another one before the one it chose fell silent, and need not say so twice. */
static void follow_wish(struct rtp_ice *ice, uint8_t component, uint64_t now_ms)
{
	const struct way *before = chosen(ice, component);

	if (!before || !is_silent(ice, before, now_ms))
		return;
	for (uint8_t i = 0; i < ice->way_count; i++) {
		struct way *way = &ice->ways[i];

		if (way->component == component && way->wanted && way->state == WORKS) {
			choose(ice, way, now_ms);
			return;
		}
	}
}

/* At random from 0.8 to 1.2 of the time (RFC 7675 5.1), and never the same question twice. */
static void ask_for_consent(struct rtp_ice *ice, struct component *component, struct way *way, uint32_t consent_ms, uint64_t now_ms)
{
	uint32_t every_ms = consent_ms / CONSENT_PARTS;

	if (now_ms < component->ask_at_ms || way->nominating)
		return;
	component->ask_at_ms = now_ms + every_ms * 4 / 5 + arc4random_uniform(every_ms * 2 / 5 + 1);
	arc4random_buf(way->id, sizeof way->id);
	way->sent = 1;
	(void)send_request(ice, way, now_ms); /* lost: the next one asks the same */
}

static void keep_consent(struct rtp_ice *ice, uint8_t number, uint32_t consent_ms, uint64_t now_ms)
{
	struct component *component = &ice->components[number - 1];
	struct way *way = chosen(ice, number);

	if (!way && ice->state == RTP_ICE_CHECKING)
		return;
	/* Who only answers is asked by the peer, which proves as much. */
	if (now_ms - (ice->lite && way ? way->heard_at_ms : component->agreed_at_ms) >= consent_ms)
		ice->state = RTP_ICE_LOST;
	else if (way && !ice->lite)
		ask_for_consent(ice, component, way, consent_ms, now_ms);
}

void rtp_ice_look_after(struct rtp_ice *ice, uint32_t consent_ms, uint64_t now_ms)
{
	if (ice->state >= RTP_ICE_FAILED)
		return;
	ice->consent_ms = consent_ms;
	if (!ice->lite)
		go_on_checking(ice, now_ms);
	for (uint8_t component = 1; component <= ice->component_count; component++) {
		if (ice->controlling)
			nominate(ice, component, now_ms);
		else
			follow_wish(ice, component, now_ms);
		keep_consent(ice, component, consent_ms, now_ms);
	}
	if (ice->state == RTP_ICE_CHECKING && now_ms - ice->started_at_ms >= GIVE_UP_MS)
		ice->state = RTP_ICE_FAILED;
}

void rtp_ice_forget(struct rtp_ice *ice, const struct core_addr *gone, uint64_t now_ms)
{
	struct way *way = find_way(ice, 1, gone); /* by TCP there is no other component */

	if (!way || ice->state >= RTP_ICE_FAILED)
		return;
	bool was_chosen = chosen(ice, 1) == way;

	*way = (struct way){ 0 };
	if (!was_chosen)
		return;
	struct way *next = best(ice, 1, WORKS);

	ice->components[0].chosen = -1;
	ice->components[0].agreed_at_ms = now_ms;
	if (next && !ice->controlling) /* else it is nominated */
		choose(ice, next, now_ms);
}

/* ---- what others ask ---- */

uint32_t rtp_ice_state(const struct rtp_ice *ice)
{
	return ice->state;
}

bool rtp_ice_is_controlling(const struct rtp_ice *ice)
{
	return ice->controlling;
}

const struct core_addr *rtp_ice_remote(const struct rtp_ice *ice, uint8_t component)
{
	if (component > ice->component_count || ice->state >= RTP_ICE_FAILED)
		return NULL;
	const struct way *way = chosen(ice, component);

	if (!way)
		way = best(ice, component, WORKS);
	return way ? &way->to : NULL;
}

bool rtp_ice_knows(const struct rtp_ice *ice, uint8_t component, const struct core_addr *from)
{
	for (uint8_t i = 0; i < ice->way_count; i++) {
		const struct way *way = &ice->ways[i];

		if (way->component == component && way->heard_at_ms > 0 && rtp_addr_same(&way->to, from))
			return true;
	}
	return false;
}
