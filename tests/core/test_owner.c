/* tests/core/test_owner.c - charges are taken back, callbacks are measured, crashes name who ran */
#include "../check_main.h"
#include "crash.h"
#include "loop.h"
#include "owner_internal.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct core_owner owner, other;
static char story[64];

struct thing {
	struct core_charge charge; /* first */
	char letter;
};

static void setup(void)
{
	ck_assert_int_eq(core_loop_init(true), PBX_OK);
	core_owner_init(&owner, "call_parking", NULL);
	core_owner_init(&other, "extensions", NULL);
}

static void teardown(void)
{
	core_owner_fini(&owner);
	core_owner_fini(&other);
	core_loop_fini();
}

static void take_back(struct core_charge *charge)
{
	const struct thing *thing = (const struct thing *)charge;

	(void)snprintf(story + strlen(story), sizeof story - strlen(story), "%c", thing->letter);
	core_charge_remove(charge);
}

START_TEST(stopping_takes_everything_back_newest_first)
{
	struct thing a = { .letter = 'a' }, b = { .letter = 'b' }, c = { .letter = 'c' }, d = { .letter = 'd' };

	setup();
	core_charge_add(&owner.host, &a.charge, "timer", false, take_back);
	core_charge_add(&owner.host, &b.charge, "leg", true, take_back);
	core_charge_add(&other.host, &c.charge, "leg", true, take_back);
	core_charge_add(&owner.host, &d.charge, "timer", false, take_back);
	core_charge_remove(&b.charge);
	core_charge_remove(&b.charge); /* does nothing: it is not charged */
	core_owner_revoke_all(&owner);
	ck_assert_str_eq(story, "da");
	ck_assert_ptr_null(a.charge.owner);
	ck_assert_ptr_eq(c.charge.owner, &other.host);
	teardown();
}
END_TEST

static struct thing *companion;

static void revoke_with_companion(struct core_charge *charge)
{
	core_charge_remove(&companion->charge);
	take_back(charge);
}

START_TEST(taking_one_back_may_take_another_with_it)
{
	struct thing a = { .letter = 'a' }, b = { .letter = 'b' }, c = { .letter = 'c' };

	setup();
	core_charge_add(&owner.host, &a.charge, "leg", true, take_back);
	core_charge_add(&owner.host, &b.charge, "leg", true, take_back);
	companion = &b;
	core_charge_add(&owner.host, &c.charge, "dial", true, revoke_with_companion);
	core_owner_revoke_all(&owner);
	ck_assert_str_eq(story, "ca");
	teardown();
}
END_TEST

START_TEST(a_refusal_counts_holds_by_kind)
{
	struct thing things[4] = { 0 };
	char text[64];

	setup();
	core_charge_add(&owner.host, &things[0].charge, "leg", true, take_back);
	core_charge_add(&owner.host, &things[1].charge, "timer", false, take_back);
	core_charge_add(&owner.host, &things[2].charge, "source", true, take_back);
	core_charge_add(&owner.host, &things[3].charge, "leg", true, take_back);
	ck_assert_uint_eq(core_owner_holds(&owner, text, sizeof text), 3);
	ck_assert_str_eq(text, "2 legs, 1 source");
	ck_assert_uint_eq(core_owner_charges(&owner, text, sizeof text), 4);
	ck_assert_uint_eq(core_owner_holds(&other, text, sizeof text), 0);
	ck_assert_str_eq(text, "");
	core_owner_revoke_all(&owner);
	teardown();
}
END_TEST

START_TEST(holds_are_given_back_one_by_one_and_by_their_reason)
{
	struct pbx_host *host = &owner.host;
	char text[64];

	setup();
	ck_assert_int_eq(host->hold(host, "parked call"), PBX_OK);
	ck_assert_int_eq(host->hold(host, "parked call"), PBX_OK);
	ck_assert_int_eq(host->release(host, "other reason"), PBX_ENOENT);
	ck_assert_int_eq(host->release(host, "parked call"), PBX_OK);
	ck_assert_uint_eq(core_owner_holds(&owner, text, sizeof text), 1);
	ck_assert_str_eq(text, "1 parked call");
	ck_assert_int_eq(host->release(host, "parked call"), PBX_OK);
	ck_assert_int_eq(host->release(host, "parked call"), PBX_ENOENT);
	ck_assert_int_eq(host->hold(host, "left behind"), PBX_OK); /* freed with the owner */
	teardown();
}
END_TEST

START_TEST(callbacks_nest_and_each_pays_for_itself)
{
	setup();
	ck_assert(core_current_owner() == core_self());
	core_enter(&owner.host);
	core_enter(&other.host);
	ck_assert(core_current_owner() == &other.host);
	(void)usleep(20000);
	core_leave();
	ck_assert(core_current_owner() == &owner.host);
	core_leave();
	ck_assert(core_current_owner() == core_self());
	ck_assert_uint_ge(other.self_us, 20000);
	ck_assert_uint_lt(owner.self_us, 20000);
	ck_assert_uint_eq(owner.callbacks, 1);
	teardown();
}
END_TEST

START_TEST(names_outlive_their_owners)
{
	setup();
	const char *name = core_owner_name(&owner.host);
	struct core_owner *short_lived = calloc(1, sizeof *short_lived);
	core_owner_init(short_lived, "upgraded", NULL);
	const char *kept = core_owner_name(&short_lived->host);
	core_owner_fini(short_lived);
	free(short_lived);
	ck_assert_str_eq(kept, "upgraded");
	ck_assert_str_eq(name, "call_parking");
	ck_assert_str_eq(core_owner_name(core_self()), "core");
	teardown();
}
END_TEST

static _Noreturn void crash_in_plugin(int to)
{
	(void)dup2(to, STDERR_FILENO);
	(void)core_crash_install();
	core_enter(&owner.host);
	(void)raise(SIGSEGV);
	_exit(0);
}

START_TEST(a_crash_names_whose_code_ran)
{
	char text[256] = "";
	int ends[2], status;

	setup();
	ck_assert_int_eq(pipe(ends), 0);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		crash_in_plugin(ends[1]);
	ck_assert_int_eq(close(ends[1]), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_ge(read(ends[0], text, sizeof text - 1), 1);
	ck_assert_str_eq(text, "crashed signal=11 owner=call_parking\n");
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	ck_assert_int_eq(close(ends[0]), 0);
	teardown();
}
END_TEST

CHECK_MAIN("owner", stopping_takes_everything_back_newest_first, taking_one_back_may_take_another_with_it, a_refusal_counts_holds_by_kind,
	   holds_are_given_back_one_by_one_and_by_their_reason, callbacks_nest_and_each_pays_for_itself, names_outlive_their_owners,
	   a_crash_names_whose_code_ran)
