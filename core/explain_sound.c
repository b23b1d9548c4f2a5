/*
 * explain_sound.c - the rules about audio, asked of each leg that was answered
 *
 * The workers count what came, and note where it came from; SDP says where it should have. The first rule of the table that holds for a leg is
 * said about it. Calls that talked for less than LEAST_MS are left alone: a phone may take that long to send its first packet.
 */
#include "explain.h"
#include <stdio.h>
#include <string.h>

#define LEAST_MS 1500
#define LOSS_PERCENT 2.0
#define JITTER_MS 30.0
#define LEAST_PACKETS 100

static bool is_silent(const struct core_case *about)
{
	const struct core_case_leg *leg = about->leg;

	return leg->answered && leg->has_media && leg->talk_ms >= LEAST_MS && leg->packets_in == 0;
}

static bool host_of(const char *address, char ret_host[64])
{
	const char *colon = strrchr(address, ':');
	size_t bracket = address[0] == '[', length = colon ? (size_t)(colon - address) : 0;

	if (length < 2 * bracket + 1 || length >= 64)
		return false;
	(void)snprintf(ret_host, 64, "%.*s", (int)(length - 2 * bracket), address + bracket);
	return true;
}

/* Both sides were answered and neither was heard. */
static bool nobody_heard(struct core_case *about)
{
	uint32_t silent = 0, legs = 0;
	const struct core_case_leg *leg = about->leg;

	for (uint32_t i = 0; i < about->leg_count; i++) {
		about->leg = &about->legs[i];
		legs += about->legs[i].answered;
		silent += is_silent(about);
	}
	about->leg = leg;
	return legs > 1 && silent == legs;
}

static bool says_it_is_mute(struct core_case *about)
{
	const struct core_ladder_item *said = about->leg->described;
	bool is_mute = said && (strcmp(said->text.sdp.direction, "recvonly") == 0 || strcmp(said->text.sdp.direction, "inactive") == 0);

	if (!is_silent(about) || !is_mute)
		return false;
	about->message = said;
	core_word(&about->words, "direction", "%s", said->text.sdp.direction);
	return true;
}

static bool dropped_as_foreign(struct core_case *about)
{
	core_word(&about->words, "foreign", "%lld", (long long)about->leg->foreign);
	return is_silent(about) && about->leg->foreign > 0;
}

/* It gave an address that only its own network knows, and is not in it with us. */
static bool told_private(struct core_case *about)
{
	char told[64], seen[64];

	return is_silent(about) && host_of(about->leg->told, told) && host_of(about->leg->address, seen) && strcmp(told, seen) != 0 &&
	       core_address_is_private(told) && !core_address_is_private(seen);
}

static bool no_packet(struct core_case *about)
{
	return is_silent(about);
}

/* It has reported by RTCP that nothing of ours came. */
static bool heard_nothing(struct core_case *about)
{
	core_word(&about->words, "sent", "%lld", (long long)about->leg->packets_out);
	return about->leg->deaf;
}

static bool fell_silent(struct core_case *about)
{
	char gap[32];

	core_say_duration(about->leg->fell_silent_ms, gap);
	core_word(&about->words, "gap", "%s", gap);
	return about->leg->fell_silent_ms > 0 && about->leg->packets_in > 0;
}

static bool heard_badly(struct core_case *about)
{
	const struct core_case_leg *leg = about->leg;

	core_word(&about->words, "lost", "%lld", (long long)leg->heard_lost);
	core_word(&about->words, "percent", "%.1f", leg->heard_percent);
	return leg->packets_out >= LEAST_PACKETS && leg->heard_percent >= LOSS_PERCENT;
}

static bool was_lost(struct core_case *about)
{
	const struct core_case_leg *leg = about->leg;
	double sent = (double)(leg->lost + leg->packets_in), percent = sent > 0 ? 100.0 * (double)leg->lost / sent : 0;

	core_word(&about->words, "lost", "%lld", (long long)leg->lost);
	core_word(&about->words, "sent", "%lld", (long long)(leg->lost + leg->packets_in));
	core_word(&about->words, "percent", "%.1f", percent);
	return leg->lost + leg->packets_in >= LEAST_PACKETS && percent >= LOSS_PERCENT;
}

static bool was_jittery(struct core_case *about)
{
	core_word(&about->words, "jitter", "%.0f", about->leg->jitter_ms);
	return about->leg->packets_in >= LEAST_PACKETS && about->leg->jitter_ms >= JITTER_MS;
}

static bool came_from_elsewhere(struct core_case *about)
{
	return about->leg->came[0] && about->leg->told[0] && strcmp(about->leg->came, about->leg->told) != 0;
}

const struct core_rule core_sound_rules[] = {
	{ "nobody_heard", CORE_ONE_WAY, nobody_heard,
	  "Neither side was heard: no packet of {who} came from {told}, the address in its SDP, to {local}, nor any of the other side's" },
	{ "says_it_is_mute", CORE_ONE_WAY, says_it_is_mute, "{who} was not heard because it said so: its last SDP has a={direction}" },
	{ "dropped_as_foreign", CORE_ONE_WAY, dropped_as_foreign,
	  "{who} was not heard: {foreign} packets came from another address than {told}, which its SDP names, and were dropped as "
	  "media.nat says" },
	{ "told_private", CORE_ONE_WAY, told_private,
	  "{who} was not heard, and heard nothing: its SDP names {told}, an address of its own network, and no packet came from anywhere; "
	  "it is behind NAT "
	  "and does not send" },
	{ "no_packet", CORE_ONE_WAY, no_packet,
	  "{who} was not heard: in {talked} no packet came from {told}, the address in its SDP, to {local}; a firewall drops them, or the "
	  "phone has no voice" },
	{ "heard_nothing", CORE_ONE_WAY, heard_nothing,
	  "{who} heard nothing: we sent {sent} packets to {told}, the address in its SDP, and its own reports (RTCP) say that none of them "
	  "arrive; a firewall "
	  "drops them, or it does not listen there" },
	{ "fell_silent", CORE_ONE_WAY, fell_silent,
	  "{who} fell silent in the middle of the call: for {gap} no packet came from {came}; its network or the phone failed meanwhile" },
	{ "packets_lost", CORE_BAD_SOUND, was_lost,
	  "{who} sounded bad: {lost} of its {sent} packets from {came} were lost on the way ({percent} %)" },
	{ "jitter", CORE_BAD_SOUND, was_jittery, "{who} sounded bad: its packets from {came} came unevenly, with {jitter} ms of jitter" },
	{ "heard_badly", CORE_BAD_SOUND, heard_badly,
	  "{who} heard badly: {lost} of the packets we sent to {told} were lost on the way, as its own reports (RTCP) say ({percent} %)" },
	{ "came_from_elsewhere", CORE_GOOD, came_from_elsewhere,
	  "The audio of {who} came from {came} and not from {told}, as its SDP says: it is behind NAT, and was followed there" },
	{ NULL, NULL, NULL, NULL },
};
