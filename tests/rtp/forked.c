/* tests/rtp/forked.c - see forked.h */
#include "forked.h"

#include <arpa/inet.h>

struct phone alice, bob, recorder;

static void on_changed(void *self, pbx_fork fork)
{
	struct forked *forked = self;

	ck_assert_uint_eq(fork.id, forked->fork.id);
	forked->changed++;
}

static void on_ended(void *self, pbx_fork fork)
{
	struct forked *forked = self;

	ck_assert_uint_eq(fork.id, forked->fork.id);
	forked->ended++;
}

void forked_call(const char *alice_codecs, const char *bob_codecs)
{
	rig_call(&alice, alice_codecs, &bob, bob_codecs);
	phone_init(&recorder, AF_INET);
}

void forked_hang_up(void)
{
	phone_fini(&recorder);
	rig_hang_up(&alice, &bob);
}

void forked_open(struct forked *forked, struct pbx_fork_spec spec)
{
	static const struct pbx_fork_watcher watcher = { .size = sizeof watcher, .changed = on_changed, .ended = on_ended };

	*forked = (struct forked){ 0 };
	spec.size = sizeof spec;
	spec.cname = spec.cname ? spec.cname : "";
	ck_assert_int_eq(rtp_driver.fork_open(core_self(), alice.stream, (pbx_leg){ 7 }, &spec, &watcher, forked, &forked->fork), PBX_OK);
}

void forked_aim(const struct forked *forked)
{
	const struct pbx_fork_target target = { .size = sizeof target,
						.address = "127.0.0.1",
						.rtp_port = ntohs(recorder.rtp.in4.sin_port) };

	ck_assert_int_eq(rtp_driver.fork_aim(forked->fork, &target), PBX_OK);
	core_loop_settle();
}

struct pbx_fork_state forked_state(const struct forked *forked)
{
	struct pbx_fork_state state = { .size = sizeof state };

	ck_assert_int_eq(rtp_driver.fork_state(forked->fork, &state), PBX_OK);
	return state;
}

struct pbx_fork_local forked_local(const struct forked *forked)
{
	struct pbx_fork_local local = { .size = sizeof local };

	ck_assert_int_eq(rtp_driver.fork_local(forked->fork, &local), PBX_OK);
	return local;
}

void forked_close(const struct forked *forked)
{
	ck_assert_int_eq(rtp_driver.fork_close(forked->fork), PBX_OK);
	core_loop_settle();
}

struct heard_packet forked_next(const struct forked *forked, struct heard_packet *last)
{
	struct heard_packet packet = phone_must_hear(&recorder);

	ck_assert_uint_eq(packet.ssrc, forked_state(forked).ssrc);
	if (last->at_us)
		ck_assert_uint_eq(packet.sequence, (uint16_t)(last->sequence + 1));
	*last = packet;
	return packet;
}
