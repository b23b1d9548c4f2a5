/* tests/core/test_rooms.c - rooms of many, and guests in a conversation of two: who hears whom, and what ends it */
#include "calls_helpers.h"

static const struct pbx_rooms *const rooms = &core_rooms_service;

static pbx_room room;
static const struct pbx_room_part both = { .size = sizeof both, .role = PBX_ROOM_BOTH };

static void on_speaker(void *self, pbx_room which, pbx_leg leg)
{
	(void)leg;
	hear("%s:speaker%s ", (const char *)self, which.id == room.id ? "" : "?");
}

static void on_talking(void *self, pbx_room which, pbx_leg leg, bool on)
{
	(void)which;
	(void)leg;
	hear("%s:%s ", (const char *)self, on ? "talks" : "silent");
}

static void on_left(void *self, pbx_room which, pbx_leg leg)
{
	(void)which;
	(void)leg;
	hear("%s:left ", (const char *)self);
}

static void on_played(void *self, pbx_room which)
{
	(void)which;
	hear("%s:played ", (const char *)self);
}

static const struct pbx_room_watch watch = {
	.size = sizeof watch, .speaker = on_speaker, .talking = on_talking, .left = on_left, .played = on_played
};
static char name_room[] = "room";

static void open_room(struct fake_pbx *pbx)
{
	static const struct pbx_room_spec spec = { .size = sizeof spec, .name = "2000" };

	heard.text[0] = '\0';
	ck_assert_int_eq(rooms->open(fake_host(pbx), &spec, &watch, name_room, &room), PBX_OK);
	ck_assert_int_eq(claim(pbx, "2000", take), PBX_OK);
}

static pbx_leg joins(struct fake_pbx *pbx, const char *who)
{
	pbx_leg leg = fake_dial(pbx, who, "2000");

	ck_assert_int_eq(rooms->add(room, leg, &both), PBX_OK);
	fake_settle(pbx);
	return leg;
}

static void part(pbx_leg leg, uint32_t role, pbx_leg to)
{
	const struct pbx_room_part wanted = { .size = sizeof wanted, .role = role, .to = to };

	ck_assert_int_eq(rooms->change(leg, &wanted), PBX_OK);
}

static void count_member(void *context, const struct pbx_room_member *member)
{
	(void)member;
	++*(int *)context;
}

static int members(void)
{
	int count = 0;

	ck_assert_int_eq(rooms->members(room, count_member, &count), PBX_OK);
	return count;
}

START_TEST(three_hear_each_other_and_not_themselves)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	open_room(pbx);
	pbx_leg a = joins(pbx, "1001"), b = joins(pbx, "1002"), c = joins(pbx, "1003");

	ck_assert(fake_talk(pbx, a, b) && fake_talk(pbx, b, c) && fake_talk(pbx, c, a));
	ck_assert(!fake_hears_leg(pbx, a, a));
	ck_assert_int_eq(members(), 3);
	ck_assert_uint_eq(fake_event_count(pbx, "room.entered"), 3);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "room.entered"), "room"), "2000");
	fake_hangup(pbx, b);
	ck_assert(fake_talk(pbx, a, c));
	ck_assert_int_eq(members(), 2);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "room.left"), "number"), "1002");
	ck_assert_str_eq(ended(pbx, "disposition"), "answered");
	ck_assert_ptr_nonnull(strstr(heard.text, "room:left a:ended(16)"));
	ck_assert_int_eq(rooms->close(room), PBX_OK);
	ck_assert(!fake_hears_leg(pbx, a, c));
	ck_assert_uint_eq(fake_state(pbx, a), PBX_LEG_ANSWERED);
	ck_assert_int_eq(rooms->close(room), PBX_ENOENT);
}
END_TEST

START_TEST(roles_decide_who_hears_whom)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	open_room(pbx);
	pbx_leg a = joins(pbx, "1001"), b = joins(pbx, "1002"), c = joins(pbx, "1003");

	part(a, PBX_ROOM_HEARS, (pbx_leg){ 0 });
	ck_assert(!fake_hears_leg(pbx, b, a) && fake_hears_leg(pbx, a, b));
	part(b, PBX_ROOM_TALKS, (pbx_leg){ 0 });
	ck_assert(fake_hears_leg(pbx, a, b) && !fake_hears_leg(pbx, b, c));
	part(a, PBX_ROOM_HEARS, c); /* coaches c */
	ck_assert(fake_hears_leg(pbx, c, a) && !fake_hears_leg(pbx, b, a) && fake_hears_leg(pbx, a, c));
	fake_hangup(pbx, c);
	struct pbx_room_member member = { .size = sizeof member };
	ck_assert_int_eq(rooms->member(a, &member), PBX_OK);
	ck_assert_uint_eq(member.role, PBX_ROOM_HEARS);
	const struct pbx_room_part wrong = { .size = sizeof wrong, .role = 4 }, loud = { .size = sizeof loud, .talk_gain_cdb = 2001 };
	ck_assert_int_eq(rooms->change(a, &wrong), PBX_EINVAL);
	ck_assert_int_eq(rooms->change(a, &loud), PBX_EINVAL);
	ck_assert_int_eq(rooms->change(c, &both), PBX_ENOENT);
}
END_TEST

START_TEST(who_holds_neither_speaks_nor_hears)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	open_room(pbx);
	pbx_leg a = joins(pbx, "1001"), b = joins(pbx, "1002");

	fake_hold(pbx, a, true);
	ck_assert(!fake_hears_leg(pbx, b, a) && !fake_hears_leg(pbx, a, b));
	fake_hold(pbx, a, false);
	ck_assert(fake_talk(pbx, a, b));
	ck_assert_ptr_nonnull(strstr(heard.text, "a:held a:resumed"));
}
END_TEST

START_TEST(what_plays_to_one_or_to_all_is_heard_instead)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	open_room(pbx);
	pbx_leg a = joins(pbx, "1001"), b = joins(pbx, "1002");

	ck_assert_int_eq(calls->play(a, "muted"), PBX_OK);
	ck_assert(fake_hears(pbx, a, "prompt:muted") && !fake_hears_leg(pbx, a, b) && fake_hears_leg(pbx, b, a));
	fake_finish_prompt(pbx, a);
	ck_assert(fake_talk(pbx, a, b));
	ck_assert_int_eq(rooms->play(room, "joined"), PBX_OK);
	ck_assert(fake_hears(pbx, a, "prompt:joined") && fake_hears(pbx, b, "prompt:joined"));
	fake_finish_in_room(pbx, a);
	ck_assert_ptr_nonnull(strstr(heard.text, "room:played"));
	ck_assert_int_eq(rooms->tone(room, "beep"), PBX_OK);
	ck_assert_int_eq(rooms->stop_media(room), PBX_OK);
	ck_assert(!fake_hears(pbx, a, "tone:beep"));
	const struct pbx_say words[] = { { .kind = PBX_SAY_NUMBER, .number = 3 } };
	ck_assert_int_eq(rooms->say(room, words, 1), PBX_OK);
	ck_assert(fake_hears(pbx, b, "prompt:3"));
}
END_TEST

START_TEST(speakers_and_talkers_are_told)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	open_room(pbx);
	pbx_leg a = joins(pbx, "1001");

	heard.text[0] = '\0';
	fake_speak(pbx, a, true);
	struct pbx_room_member member = { .size = sizeof member };
	ck_assert_int_eq(rooms->member(a, &member), PBX_OK);
	ck_assert(member.talking);
	fake_speak(pbx, a, false);
	ck_assert_str_eq(heard.text, "room:talks room:speaker room:silent ");
}
END_TEST

START_TEST(only_answered_legs_of_the_rooms_owner_come_in_and_once)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	open_room(pbx);
	pbx_leg caller, callee, a = joins(pbx, "1003");

	talk(pbx, &caller, &callee);
	ck_assert_int_eq(rooms->add(room, caller, &both), PBX_ESTATE); /* the bridge's */
	ck_assert_int_eq(rooms->add(room, a, &both), PBX_EBUSY);
	ck_assert_int_eq(rooms->remove(a), PBX_OK);
	ck_assert_int_eq(rooms->remove(a), PBX_ENOENT);
	ck_assert_int_eq(rooms->add(room, a, &both), PBX_OK);
	ck_assert_int_eq(rooms->add((pbx_room){ 77 }, a, &both), PBX_ENOENT);
	ck_assert_ptr_null(strstr(heard.text, "left"));
}
END_TEST

START_TEST(a_member_that_is_sent_elsewhere_has_left)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	open_room(pbx);
	pbx_leg a = joins(pbx, "1001"), b = joins(pbx, "1003"), c;

	ck_assert_int_eq(calls->route(a, "1002"), PBX_OK);
	fake_settle(pbx);
	ck_assert_int_eq(members(), 1);
	c = fake_leg(pbx, "1002");
	fake_answer(pbx, c);
	ck_assert(fake_talk(pbx, a, c) && !fake_hears_leg(pbx, b, a));
	ck_assert_ptr_nonnull(strstr(heard.text, "room:left a:lost"));
	/* and bridged with another member, both have */
	pbx_bridge bridge;
	ck_assert_int_eq(calls->bridge(fake_host(pbx), a, b, &bridge), PBX_OK);
	fake_settle(pbx);
	ck_assert(fake_talk(pbx, a, b));
	ck_assert_int_eq(members(), 0);
}
END_TEST

/* ---- guests ---- */

static void take_guest(void *self, pbx_leg leg)
{
	ck_assert_int_eq(calls->control(fake_host(self), leg, &controller, name_b), PBX_OK);
	ck_assert_int_eq(calls->answer(leg), PBX_OK);
}

static char name_guest[] = "guest";

static pbx_leg attends(struct fake_pbx *pbx, pbx_leg target, uint32_t role, pbx_leg to)
{
	const struct pbx_room_part wanted = { .size = sizeof wanted, .role = role, .to = to };

	(void)claim(pbx, "*81", take_guest);
	pbx_leg guest = fake_dial(pbx, "1003", "*81");

	ck_assert_int_eq(rooms->attend(fake_host(pbx), guest, target, &wanted, &watch, name_guest), PBX_OK);
	fake_settle(pbx);
	heard.text[0] = '\0';
	return guest;
}

START_TEST(a_guest_listens_whispers_and_barges_in_and_leaves_no_trace)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg customer, agent;

	talk(pbx, &customer, &agent);
	pbx_leg guest = attends(pbx, agent, PBX_ROOM_HEARS, (pbx_leg){ 0 });
	ck_assert(fake_hears_leg(pbx, guest, agent) && fake_hears_leg(pbx, guest, customer) && fake_talk(pbx, customer, agent));
	ck_assert(!fake_hears_leg(pbx, agent, guest) && !fake_hears_leg(pbx, customer, guest));
	part(guest, PBX_ROOM_HEARS, agent);
	ck_assert(fake_hears_leg(pbx, agent, guest) && !fake_hears_leg(pbx, customer, guest));
	part(guest, PBX_ROOM_BOTH, (pbx_leg){ 0 });
	ck_assert(fake_talk(pbx, agent, guest) && fake_talk(pbx, customer, guest) && fake_talk(pbx, customer, agent));
	fake_digits(pbx, customer, "5");
	ck_assert_str_eq(fake_digits_heard(pbx, agent), "5"); /* nobody relays it, we do */
	ck_assert_int_eq(rooms->remove(guest), PBX_OK);
	ck_assert(fake_talk(pbx, customer, agent) && !fake_hears_leg(pbx, guest, agent));
	ck_assert_ptr_null(core_leg_find(agent)->bridge->room);
	ck_assert_str_eq(heard.text, "");
	ck_assert_uint_eq(fake_event_count(pbx, "call.hold"), 0);
}
END_TEST

START_TEST(a_conversations_end_is_told_to_its_guests)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg customer, agent;

	talk(pbx, &customer, &agent);
	pbx_leg guest = attends(pbx, agent, PBX_ROOM_HEARS, (pbx_leg){ 0 });
	fake_hangup(pbx, customer);
	ck_assert_str_eq(heard.text, "guest:left ");
	ck_assert_uint_eq(fake_state(pbx, guest), PBX_LEG_ANSWERED);
	ck_assert_int_eq(rooms->attend(fake_host(pbx), guest, agent, &both, &watch, name_guest), PBX_ENOENT);
}
END_TEST

START_TEST(a_guest_that_hangs_up_leaves_two_relayed)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg customer, agent;

	talk(pbx, &customer, &agent);
	pbx_leg guest = attends(pbx, agent, PBX_ROOM_BOTH, (pbx_leg){ 0 });
	fake_hangup(pbx, guest);
	ck_assert(fake_talk(pbx, customer, agent));
	ck_assert_ptr_null(core_leg_find(agent)->bridge->room);
	ck_assert_ptr_nonnull(strstr(heard.text, "guest:left"));
}
END_TEST

START_TEST(a_guest_hears_the_one_whose_partner_is_on_hold)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg customer, agent;

	talk(pbx, &customer, &agent);
	pbx_leg guest = attends(pbx, agent, PBX_ROOM_HEARS, (pbx_leg){ 0 });
	fake_hold(pbx, agent, true);
	ck_assert(!fake_hears_leg(pbx, customer, agent) && !fake_hears_leg(pbx, agent, customer) && !fake_hears_leg(pbx, guest, agent));
	ck_assert(fake_hears_leg(pbx, guest, customer));
	fake_hold(pbx, agent, false);
	ck_assert(fake_talk(pbx, customer, agent) && fake_hears_leg(pbx, guest, agent) && fake_hears_leg(pbx, guest, customer));
}
END_TEST

START_TEST(a_transfer_ends_a_visit)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house("");
	pbx_leg customer, agent;

	fake_registered(pbx, "1004");
	talk(pbx, &customer, &agent);
	(void)attends(pbx, customer, PBX_ROOM_HEARS, (pbx_leg){ 0 });
	ck_assert_int_eq(fake_transfer(pbx, agent, "1004"), PBX_OK);
	fake_settle(pbx);
	ck_assert_str_eq(heard.text, "guest:left ");
}
END_TEST

CHECK_MAIN("rooms", three_hear_each_other_and_not_themselves, roles_decide_who_hears_whom, who_holds_neither_speaks_nor_hears,
	   what_plays_to_one_or_to_all_is_heard_instead, speakers_and_talkers_are_told,
	   only_answered_legs_of_the_rooms_owner_come_in_and_once, a_member_that_is_sent_elsewhere_has_left,
	   a_guest_listens_whispers_and_barges_in_and_leaves_no_trace, a_conversations_end_is_told_to_its_guests,
	   a_guest_that_hangs_up_leaves_two_relayed, a_guest_hears_the_one_whose_partner_is_on_hold, a_transfer_ends_a_visit)
