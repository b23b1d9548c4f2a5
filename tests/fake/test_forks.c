/* tests/fake/test_forks.c - the service for what is sent on to a recorder elsewhere: what it refuses, and how long a fork lives */
#include "../check_main.h"
#include "calls.h"
#include "fake_internal.h"
#include <pbx/fork.h>
#include <string.h>

static const struct pbx_forks *const forks = &core_forks_service;
static int changed, ended;

static void on_changed(void *self, pbx_fork fork)
{
	(void)self, (void)fork;
	changed++;
}

static void on_ended(void *self, pbx_fork fork)
{
	(void)self;
	ended++;
	ck_assert_int_eq(forks->close(fork), PBX_OK); /* from within */
}

static const struct pbx_fork_watcher watcher = { .size = sizeof watcher, .changed = on_changed, .ended = on_ended };
static const struct pbx_fork_target recorder = { .size = sizeof recorder, .address = "192.0.2.7", .rtp_port = 4000 };

static struct fake_pbx *talking(pbx_leg *ret_alice)
{
	struct fake_pbx *pbx = fake_pbx_with("echo_test");

	fake_registered(pbx, "bob");
	*ret_alice = fake_dial(pbx, "alice", "bob");
	fake_answer(pbx, fake_leg(pbx, "bob"));
	changed = ended = 0;
	return pbx;
}

START_TEST(a_fork_is_aimed_paused_and_ends_with_its_leg)
{
	const struct pbx_fork_spec spec = { .size = sizeof spec, .what = PBX_FORK_SAYS, .srtp = true, .cname = "alice" };
	struct pbx_fork_local local = { .size = sizeof local };
	struct pbx_fork_state state = { .size = sizeof state };
	pbx_leg alice;
	pbx_fork fork;
	AUTO(fake_pbx) struct fake_pbx *pbx = talking(&alice);

	ck_assert_ptr_null(fake_fork_aim(alice, PBX_FORK_SAYS));
	ck_assert_int_eq(forks->open(fake_part_host(), alice, &spec, &watcher, NULL, &fork), PBX_OK);
	ck_assert_str_eq(fake_fork_aim(alice, PBX_FORK_SAYS), "");
	ck_assert_int_eq(forks->local(fork, &local), PBX_OK);
	ck_assert_str_eq(local.address, "192.0.2.1");
	ck_assert_str_eq(local.codecs[0].name, "PCMU");
	ck_assert_ptr_nonnull(strstr(local.crypto, "inline:"));
	ck_assert_int_eq(forks->aim(fork, &recorder), PBX_OK);
	ck_assert_str_eq(fake_fork_aim(alice, PBX_FORK_SAYS), "192.0.2.7:4000/4001");
	ck_assert_int_eq(forks->state(fork, &state), PBX_OK);
	ck_assert(state.aimed && !state.ended);
	ck_assert_uint_eq(state.leg, alice.id);
	ck_assert_int_eq(forks->aim(fork, NULL), PBX_OK);
	ck_assert_str_eq(fake_fork_aim(alice, PBX_FORK_SAYS), "");
	fake_hangup(pbx, alice);
	ck_assert_int_eq(ended, 1);
	ck_assert_int_eq(forks->aim(fork, &recorder), PBX_ENOENT);
	ck_assert_int_eq(forks->local(fork, &local), PBX_ENOENT);
	ck_assert_int_eq(forks->state(fork, &state), PBX_ENOENT);
	ck_assert_int_eq(forks->adopt(fake_part_host(), fork, &watcher, NULL), PBX_ENOENT);
	ck_assert_int_eq(forks->close(fork), PBX_ENOENT);
	ck_assert_int_eq(forks->open(fake_part_host(), alice, &spec, &watcher, NULL, &fork), PBX_ENOENT);
}
END_TEST

START_TEST(other_codecs_are_told)
{
	const struct pbx_fork_spec spec = { .size = sizeof spec, .what = PBX_FORK_HEARS };
	pbx_leg alice;
	pbx_fork fork;
	AUTO(fake_pbx) struct fake_pbx *pbx = talking(&alice);

	ck_assert_int_eq(forks->open(fake_part_host(), alice, &spec, &watcher, NULL, &fork), PBX_OK);
	fake_hold(pbx, alice, true);
	fake_hold(pbx, alice, false);
	ck_assert_int_eq(changed, 0);
	fake_change_codec(pbx, alice, "PCMA");
	ck_assert_int_eq(changed, 1);
	ck_assert_int_eq(forks->close(fork), PBX_OK);
}
END_TEST

/* As an older plugin would, whose structures end earlier. */
START_TEST(what_a_plugin_does_not_know_is_left_alone)
{
	struct pbx_fork_spec spec = { .size = offsetof(struct pbx_fork_spec, ip_version), .what = PBX_FORK_SAYS, .ip_version = 99 };
	const struct pbx_fork_watcher mute = { .size = offsetof(struct pbx_fork_watcher, ended), .changed = on_changed, .ended = on_ended };
	struct pbx_fork_state state = { .size = offsetof(struct pbx_fork_state, leg), .leg = 77 };
	struct pbx_fork_local local = { .size = offsetof(struct pbx_fork_local, crypto), .crypto = "mine" };
	pbx_leg alice;
	pbx_fork fork;
	AUTO(fake_pbx) struct fake_pbx *pbx = talking(&alice);

	ck_assert_int_eq(forks->open(fake_part_host(), alice, &spec, &mute, NULL, &fork), PBX_OK);
	ck_assert_int_eq(forks->state(fork, &state), PBX_OK);
	ck_assert_uint_eq(state.leg, 77);
	ck_assert_int_eq(forks->local(fork, &local), PBX_OK);
	ck_assert_str_eq(local.crypto, "mine");
	fake_hangup(pbx, alice);
	ck_assert_int_eq(ended, 0);
	ck_assert_int_eq(forks->close(fork), PBX_OK);
}
END_TEST

START_TEST(bad_wishes_are_refused)
{
	char name[257];
	struct pbx_fork_spec spec = { .size = sizeof spec };
	pbx_leg alice;
	pbx_fork fork;
	AUTO(fake_pbx) struct fake_pbx *pbx = talking(&alice);

	(void)pbx;
	ck_assert_int_eq(forks->open(fake_part_host(), alice, &spec, &watcher, NULL, &fork), PBX_EINVAL);
	spec.what = PBX_FORK_SAYS | PBX_FORK_HEARS;
	ck_assert_int_eq(forks->open(fake_part_host(), alice, &spec, &watcher, NULL, &fork), PBX_EINVAL);
	spec.what = PBX_FORK_SAYS;
	spec.ip_version = 5;
	ck_assert_int_eq(forks->open(fake_part_host(), alice, &spec, &watcher, NULL, &fork), PBX_EINVAL);
	spec.ip_version = 0;
	memset(name, 'n', 256);
	name[256] = '\0';
	spec.cname = name;
	ck_assert_int_eq(forks->open(fake_part_host(), alice, &spec, &watcher, NULL, &fork), PBX_EINVAL);
	name[255] = '\0';
	ck_assert_int_eq(forks->open(fake_part_host(), alice, &spec, &watcher, NULL, &fork), PBX_OK);
	ck_assert_int_eq(forks->aim(fork, &(struct pbx_fork_target){ .size = sizeof(struct pbx_fork_target) }), PBX_EINVAL);
	ck_assert_int_eq(forks->close(fork), PBX_OK);
}
END_TEST

CHECK_MAIN("forks", a_fork_is_aimed_paused_and_ends_with_its_leg, other_codecs_are_told, what_a_plugin_does_not_know_is_left_alone,
	   bad_wishes_are_refused)
