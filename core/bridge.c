/* bridge.c - two answered legs talk; hold, the music meanwhile, and keys typed during a conversation
 *
 * A bridge is symmetric: a.bridge == b.bridge, and it ends for both at once. Hold belongs to legs, media to the bridge: after any change
 * core_bridge_settle compares what the flags of both legs ask for with what the workers were told.
 *
 *    neither holds    the streams are connected
 *    one holds        disconnected; the other one hears music, the holder nothing. Connected when the holder brings music of its own:
 *                     it has said that it only sends, so it hears nothing all the same
 *    both hold        disconnected, silence
 *
 * While somebody attends the two (pbx/rooms.h) they are not connected but mixed, which rooms.c sees to. */
#include "accounts.h"
#include "calls_inner.h"
#include <stdlib.h>

static struct core_handles bridge_table;

void core_bridges_init(void)
{
	core_handles_init(&bridge_table, 'B');
}

uint32_t core_bridge_count(void)
{
	return core_handles_count(&bridge_table);
}

static struct core_leg *other_of(const struct core_bridge *bridge, const struct core_leg *leg)
{
	return bridge->legs[0] == leg ? bridge->legs[1] : bridge->legs[0];
}

struct core_leg *core_bridge_peer(const struct core_leg *leg)
{
	return leg->bridge ? other_of(leg->bridge, leg) : NULL;
}

/* ---- hold ---- */

static bool is_away(const struct core_leg *leg)
{
	return leg->holds_us || leg->held_by_us;
}

/* What the held party hears: the choice made for the holder, the holder's account's, or the default class (""). */
static void music_class_of(const struct core_leg *holder, char ret_class[64])
{
	if (holder->music_class[0])
		core_text_copy(ret_class, 64, holder->music_class);
	else
		core_account_text(holder->account, offsetof(struct pbx_account, music_class), ret_class, 64);
}

static bool brings_music(const struct core_leg *holder)
{
	return holder->brings_music && !holder->held_by_us;
}

static void settle_music(struct core_leg *leg, const struct core_leg *holder)
{
	bool is_off = strcmp(core_calls_settings()->moh_mode, "off") == 0;
	bool wanted = is_away(holder) && !is_away(leg) && !brings_music(holder) && !is_off;
	bool playing = leg->play_tag && leg->play_for == CORE_PLAY_FOR_HOLD;
	char music_class[64];

	if (wanted && !playing) {
		music_class_of(holder, music_class);
		(void)core_leg_play_music(leg, music_class, CORE_PLAY_FOR_HOLD); /* nobody offers music: silence */
	} else if (!wanted && playing) {
		core_leg_stop_play(leg);
	}
}

struct keys {
	struct keys *next;
	struct core_charge charge;
	char keys[CORE_MOST_KEYS + 1];
	pbx_dialled_fn typed;
	void *self;
};

static struct keys *all_keys;

/* Whoever controls a leg may want its keys. In a conversation nobody does but who has in-call keys; a leg whose keys are tones that nobody wants is
 * relayed like any other. */
static void settle_keys(struct core_leg *leg)
{
	bool on = !leg->bridge || all_keys;

	if (!leg->has_stream || !core_media->heed_keys || on == !leg->keys_unheeded)
		return;
	if (core_media->heed_keys(leg->stream, on) == PBX_OK)
		leg->keys_unheeded = !on;
}

/* No codec in common, and none we could turn into another: offer b what a speaks. */
static void unify_codecs(const struct core_leg *a, struct core_leg *b)
{
	struct core_media_desc offer;

	if (b->updating || b->late_offer || core_leg_make_offer(b, a, CORE_SEND | CORE_RECV, &offer) != PBX_OK)
		return;
	if (b->driver->update(b->dialog, &offer) == PBX_OK)
		b->updating = true;
}

void core_bridge_settle(struct core_bridge *bridge)
{
	struct core_leg *a = bridge->legs[0], *b = bridge->legs[1];
	bool heard = is_away(a) ? brings_music(a) && !is_away(b) : !is_away(b) || brings_music(b);
	bool wanted = heard && a->configured && b->configured && a->has_stream && b->has_stream;

	if (bridge->room) {
		core_room_settle_bridge(bridge);
		bridge->connected = false; /* the mix has taken them out of it */
	} else if (wanted && !bridge->connected) {
		int err = core_media->connect(a->stream, b->stream);
		bridge->connected = err == PBX_OK;
		if (err == PBX_ENOTSUP)
			unify_codecs(a, b);
	} else if (!wanted && bridge->connected) {
		(void)core_media->disconnect(a->stream);
		bridge->connected = false;
	}
	if (bridge->connected)
		core_fax_listen(bridge);
	settle_music(a, b);
	settle_music(b, a);
	settle_keys(a);
	settle_keys(b);
}

void core_hold_changed(struct core_leg *leg, bool was)
{
	bool on = is_away(leg);
	const struct core_leg *other = core_bridge_peer(leg);

	if (on != was) {
		uint64_t hold_ms = was ? core_now_ms() - leg->hold_since_ms : 0;

		leg->hold_since_ms = on ? core_now_ms() : 0;
		leg->call->hold_ms += hold_ms;
		if (leg->has_stream)
			(void)core_media->set_held(leg->stream, on);
		core_event_hold(leg, other, on, hold_ms);
	}
	if (leg->room)
		core_room_settle(leg);
	if (leg->bridge)
		core_bridge_settle(leg->bridge);
	else if (on != was && leg->charge.owner && leg->controller.hold)
		CORE_INTO(leg->charge.owner, leg->controller.hold(leg->self, leg->handle, on));
}

/* ---- making and ending ---- */

static bool is_talkable(const struct core_leg *leg)
{
	return leg->state == PBX_LEG_ANSWERED && leg->has_stream;
}

int core_bridge_make(struct core_leg *a, struct core_leg *b, pbx_bridge *ret_bridge)
{
	if (a == b || !is_talkable(a) || !is_talkable(b))
		return PBX_ESTATE;
	if (a->bridge && a->bridge == b->bridge) {
		*ret_bridge = a->bridge->handle;
		return PBX_OK;
	}

	struct core_bridge *bridge = calloc(1, sizeof *bridge);
	if (!bridge)
		return PBX_ENOMEM;
	bridge->handle.id = core_handle_new(&bridge_table, bridge);
	if (!bridge->handle.id) {
		free(bridge);
		return PBX_ENOMEM;
	}

	struct core_leg *left[] = { core_leg_let_go(a), core_leg_let_go(b) };
	for (int i = 0; i < 2; i++)
		if (left[i])
			core_leg_watch(left[i]);
	if (!is_talkable(a) || !is_talkable(b) || !core_leg_is_free(a) || !core_leg_is_free(b)) {
		core_handle_free(&bridge_table, bridge->handle.id);
		free(bridge);
		core_leg_watch(a);
		core_leg_watch(b);
		return PBX_ESTATE;
	}

	core_ulid(bridge->id);
	bridge->legs[0] = a;
	bridge->legs[1] = b;
	a->bridge = b->bridge = bridge;
	a->call->hangup_by = b->call->hangup_by = NULL;
	core_leg_stop_play(a);
	core_leg_stop_play(b);
	if (a->call != b->call)
		core_call_link(a->call, b->call);
	core_event_bridge("bridge.entered", bridge);
	core_leg_tell_identity(a, b);
	core_leg_tell_identity(b, a);
	core_bridge_settle(bridge);
	if (!bridge->connected)
		(void)core_media->disconnect(a->stream); /* early media had connected them, and one holds already */
	*ret_bridge = bridge->handle;
	return PBX_OK;
}

struct core_leg *core_bridge_dissolve(struct core_leg *leg)
{
	struct core_bridge *bridge = leg->bridge;

	if (!bridge)
		return NULL;

	struct core_leg *other = other_of(bridge, leg);
	struct core_room *guests = core_room_cut_off(bridge);

	for (int i = 0; i < 2; i++) {
		struct core_leg *member = bridge->legs[i];

		if (bridge->connected && member->has_stream)
			(void)core_media->disconnect(member->stream);
		bridge->connected = false;
		member->may_not_transfer = false;
		core_fax_alone(member);
		if (member->play_for == CORE_PLAY_FOR_HOLD)
			core_leg_stop_play(member);
	}
	core_event_bridge("bridge.left", bridge);
	leg->bridge = other->bridge = NULL;
	settle_keys(leg);
	settle_keys(other);
	core_handle_free(&bridge_table, bridge->handle.id);
	free(bridge);
	core_room_send_home(guests);
	return other;
}

/* ---- keys ---- */

/* The first in-call keys are there, or the last are gone. */
static void settle_all_keys(void)
{
	uint32_t at = 0;
	const struct core_bridge *bridge;

	while ((bridge = core_handles_next(&bridge_table, &at))) {
		settle_keys(bridge->legs[0]);
		settle_keys(bridge->legs[1]);
	}
}

static void revoke_keys(struct core_charge *charge)
{
	struct keys *keys = (struct keys *)((char *)charge - offsetof(struct keys, charge));
	struct keys **at = &all_keys;

	core_charge_remove(charge);
	while (*at != keys)
		at = &(*at)->next;
	*at = keys->next;
	free(keys);
	if (!all_keys)
		settle_all_keys();
}

static bool begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* An upgraded plugin's new instance takes the keys of the old one, which gets them back should the new one go. */
static bool is_successor(const struct pbx_host *host, const struct pbx_host *owner)
{
	return host != owner && strcmp(core_owner_name(host), core_owner_name(owner)) == 0;
}

int core_keys_add(struct pbx_host *host, const char *keys, pbx_dialled_fn typed, void *self)
{
	size_t length = strlen(keys);

	if (length == 0 || length > CORE_MOST_KEYS || keys[strspn(keys, "0123456789*#ABCD")] != '\0' || !typed)
		return PBX_EINVAL;
	/* "#" beside "##" would never let the longer one be typed. */
	for (const struct keys *other = all_keys; other; other = other->next)
		if ((begins_with(other->keys, keys) || begins_with(keys, other->keys)) && !is_successor(host, other->charge.owner))
			return PBX_EEXIST;

	struct keys *added = calloc(1, sizeof *added);
	if (!added)
		return PBX_ENOMEM;
	CORE_TEXT(added->keys, keys);
	added->typed = typed;
	added->self = self;
	added->next = all_keys;
	all_keys = added;
	core_charge_add(host, &added->charge, "in-call keys", false, revoke_keys);
	if (!added->next)
		settle_all_keys();
	return PBX_OK;
}

/* The sequence that typed begins, or completes; NULL: none. */
static const struct keys *find_keys(const char *typed)
{
	for (const struct keys *keys = all_keys; keys; keys = keys->next)
		if (begins_with(keys->keys, typed))
			return keys;
	return NULL;
}

bool core_bridge_digit(struct core_leg *leg, char digit)
{
	size_t length = strlen(leg->typed);

	if (core_now_ms() - leg->typed_at_ms > CORE_KEYS_GAP_MS || length == CORE_MOST_KEYS)
		length = 0;
	leg->typed_at_ms = core_now_ms();
	leg->typed[length++] = digit;
	leg->typed[length] = '\0';

	/* "#*#" after "#" "*": forget the oldest keys until what is left may still become something. */
	const struct keys *keys;
	while (!(keys = find_keys(leg->typed)) && leg->typed[0])
		memmove(leg->typed, leg->typed + 1, strlen(leg->typed));
	if (!leg->typed[0] || strcmp(keys->keys, leg->typed) != 0)
		return false;

	leg->typed[0] = '\0';
	CORE_INTO(keys->charge.owner, keys->typed(keys->self, leg->handle));
	return true;
}

void core_bridges_fini(void)
{
	uint32_t at = 0;
	struct core_bridge *bridge;

	while (all_keys)
		revoke_keys(&all_keys->charge);
	while ((bridge = core_handles_next(&bridge_table, &at))) {
		bridge->legs[0]->bridge = bridge->legs[1]->bridge = NULL;
		core_handle_free(&bridge_table, bridge->handle.id);
		free(bridge);
	}
	core_handles_fini(&bridge_table);
}
