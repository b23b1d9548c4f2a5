/* leg_digits.c - the keys that a party presses: told at their beginning and at their end, once each, and passed on in conversations
 *
 * A key comes by RFC 4733, in the sound, or by INFO, which is told when it is over; some phones press in two ways at once. Whoever hears of an end has
 * heard of the beginning before. A beginning may be wrong: in the sound a key is one only when it has lasted. So what counts is the end, and a beginning
 * is for who wants to be quick: a prompt falls silent with it. */
#include "calls_inner.h"

/* Some phones press a key in two ways at once. What comes second in another way than the first is the same key. */
static bool is_other_way(const struct core_leg *leg, char digit, uint32_t way)
{
	return leg->key == digit && leg->key_way != way && core_now_ms() - leg->key_at_ms < CORE_SAME_KEY_MS;
}

static bool is_again(struct core_leg *leg, char digit, uint32_t way)
{
	if (is_other_way(leg, digit, way))
		return true;
	leg->key = digit;
	leg->key_way = (uint8_t)way;
	leg->key_at_ms = core_now_ms();
	return false;
}

/* ---- the beginning ---- */

/* In a conversation keys are its parties' own; what a secret is asked for is nobody's, and what is collected belongs to the collection. */
static void tell_down(struct core_leg *leg, char digit, uint32_t way)
{
	leg->key_down = digit;
	if (leg->bridge)
		return;
	if (core_calls_settings()->digit_starts && !core_collect_is_secret(leg))
		core_event_digit_down(leg, digit, way);
	if (!leg->collect && leg->charge.owner && leg->controller.digit_down)
		CORE_INTO(leg->charge.owner, leg->controller.digit_down(leg->self, leg->handle, digit));
}

void core_leg_key_down(struct core_leg *leg, char digit, uint32_t way)
{
	core_collect_key_down(leg);
	if (leg->state != PBX_LEG_ENDED && leg->key_down != digit && !is_other_way(leg, digit, way))
		tell_down(leg, digit, way);
}

/* ---- the end ---- */

static void tell_digit(const struct core_leg *leg, char digit, uint32_t duration_ms, uint32_t way)
{
	if (!leg->bridge && !core_collect_is_secret(leg))
		core_event_digit(leg, digit, duration_ms, way);
}

static void leg_digit(struct core_leg *leg, char digit, uint32_t duration_ms, uint32_t way)
{
	if (leg->key_down != digit)
		tell_down(leg, digit, way);
	leg->key_down = '\0';
	if (leg->state == PBX_LEG_ENDED)
		return; /* who heard of it has hung up */
	tell_digit(leg, digit, duration_ms, way);
	if (leg->has_stream && core_media->record_key)
		core_media->record_key(leg->stream, digit);
	if (leg->bridge && core_bridge_digit(leg, digit))
		return;
	if (!core_collect_digit(leg, digit) && leg->charge.owner && leg->controller.digit)
		CORE_INTO(leg->charge.owner, leg->controller.digit(leg->self, leg->handle, digit, duration_ms));
}

/* A hook flash is for whoever decides about the leg; in a conversation for the other side, if that takes any. It is no key: nobody collects it. */
static void leg_flash(struct core_leg *leg, uint32_t way, bool is_relayed)
{
	struct core_leg *peer = core_bridge_peer(leg);

	core_event_flash(leg, way);
	if (peer && !is_relayed)
		(void)core_leg_send_flash(peer); /* it has no word for that: as with most phones */
	if (!leg->bridge && leg->charge.owner && leg->controller.flash)
		CORE_INTO(leg->charge.owner, leg->controller.flash(leg->self, leg->handle));
}

/* A digit by INFO does not travel with the media: the other side of a bridge gets it from here. */
void core_leg_on_digit(pbx_leg handle, char digit, uint32_t duration_ms)
{
	struct core_leg *leg = core_leg_alive(handle);

	if (!leg || !strchr("0123456789*#ABCD!", digit) || digit == '\0')
		return;

	if (is_again(leg, digit, CORE_DIGITS_INFO))
		return;
	if (digit == CORE_FLASH) {
		leg_flash(leg, CORE_DIGITS_INFO, false);
		return;
	}

	struct core_leg *peer = core_bridge_peer(leg);
	if (peer)
		(void)core_leg_send_digits(peer, (char[]){ digit, '\0' }, duration_ms);
	leg_digit(leg, digit, duration_ms, CORE_DIGITS_INFO);
}

/* What one presses the other gets in the sound, or in the packets that are relayed to it. Nobody relays them while there are guests. */
static bool is_carried(const struct core_leg *leg, const struct core_leg *peer, uint32_t way)
{
	const struct core_stream_config config = core_leg_config(peer);

	return !leg->bridge->room && config.digits == way && (way == CORE_DIGITS_TONES || config.dtmf_type);
}

void core_leg_media_digit(struct core_leg *leg, char digit, uint32_t duration_ms, uint32_t way)
{
	struct core_leg *peer = core_bridge_peer(leg);

	if (is_again(leg, digit, way))
		return;
	if (digit == CORE_FLASH) {
		leg_flash(leg, way, peer && peer->configured && is_carried(leg, peer, way));
		return;
	}
	if (peer && peer->configured && !is_carried(leg, peer, way))
		(void)core_leg_send_digits(peer, (char[]){ digit, '\0' }, duration_ms ? duration_ms : CORE_KEY_MS);
	leg_digit(leg, digit, duration_ms, way);
}
