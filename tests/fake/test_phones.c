/* tests/fake/test_phones.c - the fake's own promises: phones do as told, ears hear, and what is left behind is found */
#include "../check_main.h"
#include "fake.h"
#include "timer.h"
#include <ftw.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fake_pbx *with_alice_talking_to_bob(pbx_leg *ret_alice, pbx_leg *ret_bob)
{
	struct fake_pbx *pbx = fake_pbx_with("echo_test");

	fake_registered(pbx, "bob");
	*ret_alice = fake_dial(pbx, "alice", "bob");
	*ret_bob = fake_leg(pbx, "bob");
	fake_answer(pbx, *ret_bob);
	ck_assert_msg(fake_talk(pbx, *ret_alice, *ret_bob), "alice hears %s", fake_hearing(pbx, *ret_alice));
	return pbx;
}

START_TEST(a_phone_that_refuses_is_told_to_the_caller)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");

	fake_registered(pbx, "bob");
	pbx_leg alice = fake_dial(pbx, "alice", "bob");
	fake_refuse(pbx, fake_leg(pbx, "bob"), 486);
	ck_assert_uint_eq(fake_sip_code(pbx, alice), 486);
	ck_assert(!fake_has_leg(pbx, "bob"));
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.ended"), "disposition"), "busy");
}
END_TEST

START_TEST(a_caller_who_gives_up_stops_the_ringing)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");

	fake_registered(pbx, "bob");
	pbx_leg alice = fake_dial(pbx, "alice", "bob");
	pbx_leg bob = fake_leg(pbx, "bob");
	fake_ring(pbx, bob);
	fake_hangup(pbx, alice);
	ck_assert_uint_eq(fake_state(pbx, bob), PBX_LEG_ENDED);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "call.ended"), "disposition"), "cancelled");
}
END_TEST

START_TEST(every_phone_of_an_account_rings_and_the_first_answer_wins)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");

	fake_registered(pbx, "bob");
	fake_registered(pbx, "bob");
	pbx_leg alice = fake_dial(pbx, "alice", "bob");
	pbx_leg first = fake_leg(pbx, "bob");
	fake_answer(pbx, first);
	ck_assert(fake_talk(pbx, alice, first));
	ck_assert_str_eq(fake_json(pbx, fake_command(pbx, "calls list"), "0.state"), "answered");
	fake_hangup(pbx, alice);
	ck_assert(!fake_has_leg(pbx, "bob"));
}
END_TEST

START_TEST(nobody_is_reached_who_is_not_registered)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");

	fake_registered(pbx, "bob");
	fake_unregistered(pbx, "bob");
	pbx_leg alice = fake_dial(pbx, "alice", "bob");
	ck_assert_uint_eq(fake_sip_code(pbx, alice), 480);
	ck_assert_uint_eq(fake_event_count(pbx, "registration.*"), 2);
}
END_TEST

START_TEST(a_held_party_does_not_hear_the_other)
{
	pbx_leg alice, bob;
	AUTO(fake_pbx) struct fake_pbx *pbx = with_alice_talking_to_bob(&alice, &bob);

	fake_hold(pbx, bob, true);
	ck_assert(!fake_hears_leg(pbx, alice, bob));
	ck_assert_uint_eq(fake_event_count(pbx, "call.hold"), 1);
	fake_hold(pbx, bob, false);
	ck_assert_msg(fake_talk(pbx, alice, bob), "alice hears %s, bob hears %s", fake_hearing(pbx, alice), fake_hearing(pbx, bob));
}
END_TEST

START_TEST(a_party_that_is_transferred_talks_to_somebody_else)
{
	pbx_leg alice, bob;
	AUTO(fake_pbx) struct fake_pbx *pbx = with_alice_talking_to_bob(&alice, &bob);

	fake_registered(pbx, "carol");
	ck_assert_int_eq(fake_transfer(pbx, bob, "carol"), PBX_OK);
	pbx_leg carol = fake_leg(pbx, "carol");
	fake_answer(pbx, carol);
	ck_assert_msg(fake_talk(pbx, alice, carol), "alice hears %s", fake_hearing(pbx, alice));
	ck_assert_uint_eq(fake_transfer_code(pbx, bob), 200);
}
END_TEST

START_TEST(digits_in_a_bridge_leave_the_two_talking)
{
	pbx_leg alice, bob;
	AUTO(fake_pbx) struct fake_pbx *pbx = with_alice_talking_to_bob(&alice, &bob);

	fake_digits(pbx, alice, "1");
	ck_assert(fake_talk(pbx, alice, bob));
	ck_assert_str_eq(fake_digits_heard(pbx, alice), "");
}
END_TEST

START_TEST(the_database_is_the_same_after_a_restart)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = fake_pbx_with("echo_test");
	pbx_leg alice = fake_dial(pbx, "alice", "*43");

	fake_hangup(pbx, alice);
	const char *before = fake_json(pbx, fake_events(pbx, "call.ended"), "0.seq");
	fake_restart(pbx);
	fake_hangup(pbx, fake_dial(pbx, "alice", "*43"));
	const char *after = fake_json(pbx, fake_events(pbx, "call.ended"), "1.seq");
	ck_assert_int_gt(atoll(after), atoll(before));
}
END_TEST

/* ---- what is left behind ---- */

static void on_never(void *self, pbx_timer timer)
{
	(void)self, (void)timer;
}

static void leave_a_timer(struct fake_pbx *pbx)
{
	pbx_timer timer;

	(void)pbx;
	ck_assert_int_eq(core_timer_start(NULL, 1000, 0, on_never, NULL, &timer), PBX_OK);
}

static void leave_a_hold(struct fake_pbx *pbx)
{
	struct pbx_host *host = fake_host(pbx);

	ck_assert_int_eq(host->hold(host, "forgotten thing"), PBX_OK);
}

static void leave_nothing(struct fake_pbx *pbx)
{
	(void)pbx;
}

/* Runs a test in a process of its own as Check does: does it pass? */
static bool passes(void (*leave)(struct fake_pbx *pbx))
{
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct fake_pbx *pbx = fake_pbx_with("echo_test");

		leave(pbx);
		fake_pbx_free(pbx);
		_exit(42);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
	(void)info, (void)kind, (void)at;
	return remove(path);
}

START_TEST(the_end_finds_what_is_left)
{
	char dir[] = "/tmp/pbx-fake-parent-XXXXXX"; /* for the folders that failing tests leave */

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(setenv("TMPDIR", dir, 1), 0);
	ck_assert(passes(leave_nothing));
	ck_assert(!passes(leave_a_timer));
	ck_assert(!passes(leave_a_hold));
	ck_assert_int_eq(nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}
END_TEST

CHECK_MAIN("fake", a_phone_that_refuses_is_told_to_the_caller, a_caller_who_gives_up_stops_the_ringing,
	   every_phone_of_an_account_rings_and_the_first_answer_wins, nobody_is_reached_who_is_not_registered,
	   a_held_party_does_not_hear_the_other, a_party_that_is_transferred_talks_to_somebody_else,
	   digits_in_a_bridge_leave_the_two_talking, the_database_is_the_same_after_a_restart, the_end_finds_what_is_left)
