/* tests/rtp/test_beside.c - two phones talk; somebody listens beside them, and somebody speaks */
#include "../check_main.h"
#include "rig.h"

#include <core/inject_writer.h>
#include <core/owner.h>
#include <core/tap_reader.h>
#include <math.h>
#include <pthread.h>
#include <rtp/g711.h>
#include <stdlib.h>

#define MOST_SAMPLES (2 * 10 * 48000)

static struct phone alice, bob;
static uint32_t spoken[2]; /* samples of each phone's tone */
static int ready, ended, drained;
static pbx_tap tap;
static struct pbx_tap_reader *reader;
static pbx_injection injection;
static struct pbx_inject_writer *writer;
static int16_t taken[MOST_SAMPLES], one[MOST_SAMPLES], other[MOST_SAMPLES];
static size_t taken_count;
static uint64_t first_at_us, next_at_us;

static void on_ready(void *self, pbx_tap which)
{
	ck_assert_ptr_eq(self, &tap);
	ck_assert_uint_eq(which.id, tap.id);
	ready++;
}

static void on_tap_ended(void *self, pbx_tap which)
{
	ck_assert_ptr_eq(self, &tap);
	ck_assert_uint_eq(which.id, tap.id);
	ended++;
}

static void on_drained(void *self, pbx_injection which)
{
	(void)self;
	ck_assert_uint_eq(which.id, injection.id);
	drained++;
}

static void on_injection_ended(void *self, pbx_injection which)
{
	(void)self;
	ck_assert_uint_eq(which.id, injection.id);
	ended++;
}

static const struct pbx_tap_watcher watcher = { .size = sizeof watcher, .ready = on_ready, .ended = on_tap_ended };
static const struct pbx_inject_watcher voice_watcher = { .size = sizeof voice_watcher, .drained = on_drained, .ended = on_injection_ended };

static void call(const char *codecs_of_bob)
{
	rig_start();
	phone_init(&alice, AF_INET);
	phone_init(&bob, AF_INET);
	phone_call(&alice, 1, "PCMU PCMA");
	phone_call(&bob, 1, codecs_of_bob);
	ck_assert_int_eq(rtp_driver.connect(alice.stream, bob.stream), PBX_OK);
}

static void end_alice(void)
{
	ck_assert_int_eq(rtp_driver.close(alice.stream), PBX_OK);
	alice.stream.id = 0;
}

static void hang_up(void)
{
	phone_fini(&alice);
	phone_fini(&bob);
	rig_stop();
}

static void say(struct phone *phone, double hz, uint32_t *at)
{
	uint8_t payload[160];

	for (uint32_t i = 0; i < 160; i++, (*at)++)
		payload[i] =
			rtp_g711_encode(phone->type == 8 ? RTP_LAW_A : RTP_LAW_MU, (int16_t)lround(8000 * sin(2 * M_PI * hz * *at / 8000)));
	phone_send(phone, payload, sizeof payload);
}

/* Both talk, by the clock: 440 Hz and 660 Hz. */
static void talk(uint32_t ms)
{
	uint64_t begun = rig_now_ms();

	for (uint32_t at = 0; at < ms; at += 20) {
		rig_until(rig_now_ms() >= begun + at);
		say(&alice, 440, &spoken[0]);
		say(&bob, 660, &spoken[1]);
	}
}

static int listen_to(core_stream stream, const struct pbx_tap_spec *spec, const struct pbx_tap_watcher *by)
{
	int err = rtp_driver.tap_open(core_self(), stream, (pbx_leg){ 7 }, spec, by, &tap, &tap);

	ready = ended = 0;
	taken_count = 0;
	next_at_us = 0;
	if (err == PBX_OK)
		ck_assert_int_eq(rtp_driver.tap_reader(tap, &reader), PBX_OK);
	return err;
}

/* All blocks that are there; their times follow each other unless one was dropped. */
static int read_all(const struct pbx_tap_spec *spec)
{
	uint32_t block = spec->rate_hz / 1000 * spec->block_ms * (spec->what == PBX_TAP_APART ? 2 : 1);
	uint64_t at_us;
	int err;

	while ((err = core_tap_reader_read(reader, taken + taken_count, &at_us)) == PBX_OK) {
		if (next_at_us)
			ck_assert_uint_le(at_us - next_at_us, 1);
		else
			first_at_us = at_us;
		next_at_us = at_us + spec->block_ms * UINT64_C(1000);
		taken_count += block;
		ck_assert_uint_lt(taken_count + block, MOST_SAMPLES);
	}
	return err;
}

static struct pbx_tap_spec spec_of(uint32_t what, uint32_t rate_hz)
{
	return (struct pbx_tap_spec){
		.size = sizeof(struct pbx_tap_spec), .what = what, .rate_hz = rate_hz, .block_ms = 20, .room_ms = 5000, .late_ms = 400
	};
}

static void split(void)
{
	for (size_t i = 0; i < taken_count / 2; i++) {
		one[i] = taken[2 * i];
		other[i] = taken[2 * i + 1];
	}
}

static struct pbx_tap_state look(void)
{
	struct pbx_tap_state state = { .size = sizeof state };

	ck_assert_int_eq(rtp_driver.tap_state(tap, &state), PBX_OK);
	return state;
}

START_TEST(a_tap_hears_both_apart_at_its_own_rate_and_the_relay_loses_nothing)
{
	const struct pbx_tap_spec spec = spec_of(PBX_TAP_APART, 16000);

	call("PCMU");
	talk(100);
	uint64_t asked_at_us = core_now_us();

	ck_assert_int_eq(listen_to(alice.stream, &spec, &watcher), PBX_OK);
	uint64_t opened_at_us = core_now_us();

	talk(1000);
	rig_until(ready > 0 && (read_all(&spec), taken_count >= 2 * 16 * 900));
	ck_assert_uint_ge(first_at_us + 20000, asked_at_us);
	ck_assert_uint_le(first_at_us, opened_at_us + 20000);
	split();
	ck_assert(share_of(one + 3200, 8000, 440 / 2.0) > 0.99); /* as at 8 kHz */
	ck_assert(share_of(one + 3200, 8000, 660 / 2.0) < 0.00001);
	ck_assert(share_of(other + 3200, 8000, 660 / 2.0) > 0.99);
	ck_assert(share_of(other + 3200, 8000, 440 / 2.0) < 0.00001);
	ck_assert_int_eq(phone_forget(&bob), (int)(spoken[0] / 160));
	ck_assert_int_eq(phone_forget(&alice), (int)(spoken[1] / 160));
	ck_assert_uint_eq(rig_stats(alice.stream).transcoded, false);
	ck_assert_uint_eq(look().dropped_ms, 0);
	ck_assert_uint_eq(look().leg, 7);
	ck_assert_int_eq(rtp_driver.tap_close(tap), PBX_OK);
	ck_assert_int_eq(rtp_driver.tap_close(tap), PBX_ENOENT);
	ck_assert_int_eq(ended, 0);
	hang_up();
}
END_TEST

START_TEST(a_tap_hears_one_side_or_the_sum)
{
	static const struct {
		uint32_t what;
		bool hears_440, hears_660;
	} kinds[] = { { PBX_TAP_SAYS, true, false }, { PBX_TAP_HEARS, false, true }, { PBX_TAP_MIXED, true, true } };

	call("PCMA");
	for (size_t i = 0; i < 3; i++) {
		const struct pbx_tap_spec spec = spec_of(kinds[i].what, 48000);

		ck_assert_int_eq(listen_to(alice.stream, &spec, &watcher), PBX_OK);
		talk(900);
		rig_until((read_all(&spec), taken_count >= 48 * 400));
		ck_assert_int_eq(share_of(taken + 9600, 9600, 440 / 6.0) > 0.4, kinds[i].hears_440);
		ck_assert_int_eq(share_of(taken + 9600, 9600, 660 / 6.0) > 0.4, kinds[i].hears_660);
		ck_assert_int_eq(rtp_driver.tap_close(tap), PBX_OK);
	}
	hang_up();
}
END_TEST

START_TEST(it_goes_on_over_another_codec_and_ends_with_the_leg)
{
	const struct pbx_tap_spec spec = spec_of(PBX_TAP_SAYS, 8000);
	struct core_stream_config config;

	call("PCMU");
	ck_assert_int_eq(listen_to(alice.stream, &spec, &watcher), PBX_OK);
	talk(300);
	phone_config(&alice, "PCMA", &config);
	ck_assert_int_eq(rtp_driver.configure(alice.stream, &config), PBX_OK);
	alice.type = 8;
	talk(300);
	end_alice();
	rig_until(ended);
	ck_assert_int_eq(read_all(&spec), PBX_ENOENT);
	ck_assert_uint_ge(taken_count, 8 * 520); /* its last blocks are there */
	ck_assert(share_of(taken + 8 * 60, 8 * 440, 440) > 0.95);
	ck_assert(look().ended);
	ck_assert_int_eq(rtp_driver.tap_close(tap), PBX_OK);
	ck_assert_int_eq(listen_to(alice.stream, &spec, &watcher), PBX_ENOENT);
	hang_up();
}
END_TEST

START_TEST(who_reads_late_misses_whole_blocks_and_the_call_none)
{
	struct pbx_tap_spec spec = spec_of(PBX_TAP_SAYS, 8000);
	uint64_t at_us, before_us = 0, blocks = 0;
	int16_t block[160];

	call("PCMU");
	spec.room_ms = 200;
	ck_assert_int_eq(listen_to(alice.stream, &spec, &watcher), PBX_OK);
	talk(600);
	rig_until(look().dropped_ms >= 200);
	ck_assert_uint_eq(look().waiting_ms, 200);
	for (int err = PBX_OK; err == PBX_OK; before_us = at_us) {
		err = core_tap_reader_read(reader, block, &at_us);
		if (err == PBX_OK && blocks++)
			ck_assert_uint_le(at_us - before_us, 20001);
	}
	ck_assert_uint_eq(blocks, 10);
	rig_until(core_tap_reader_read(reader, block, &at_us) == PBX_OK);
	ck_assert_uint_ge(at_us - before_us, 200000); /* the hole shows */
	ck_assert_int_eq(phone_forget(&bob), (int)(spoken[0] / 160));
	ck_assert_int_eq(rtp_driver.tap_close(tap), PBX_OK);
	hang_up();
}
END_TEST

static void *read_until_over(void *result)
{
	uint64_t at_us;
	int err;

	while ((err = core_tap_reader_wait(reader, 5000)) != PBX_ENOENT) {
		if (err == PBX_OK && core_tap_reader_read(reader, taken + taken_count, &at_us) == PBX_OK)
			taken_count += 160;
	}
	*(int *)result = err;
	return NULL;
}

START_TEST(a_thread_of_the_readers_own_is_woken_and_hears_the_end)
{
	static const struct pbx_tap_watcher nothing = { .size = sizeof nothing };
	const struct pbx_tap_spec spec = spec_of(PBX_TAP_SAYS, 8000);
	pthread_t thread;
	int result = 0;

	call("PCMU");
	ck_assert_int_eq(listen_to(alice.stream, &spec, &nothing), PBX_OK);
	ck_assert_int_eq(core_tap_reader_wait(reader, 1), PBX_ELATER);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_until_over, &result), 0);
	talk(400);
	end_alice();
	rig_until(look().ended);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(result, PBX_ENOENT);
	ck_assert_int_eq(ready, 0);
	ck_assert_uint_ge(taken_count, 8 * 320);
	ck_assert(share_of(taken + 800, 1600, 440) > 0.99);
	ck_assert_int_eq(rtp_driver.tap_close(tap), PBX_OK);
	hang_up();
}
END_TEST

/* ---- speaking ---- */

static int speak_to(core_stream stream, const struct pbx_inject_spec *spec)
{
	int err = rtp_driver.inject_open(core_self(), stream, (pbx_leg){ 8 }, spec, &voice_watcher, NULL, &injection);

	drained = ended = 0;
	if (err == PBX_OK)
		ck_assert_int_eq(rtp_driver.inject_writer(injection, &writer), PBX_OK);
	return err;
}

static void write_tone(double hz, uint32_t rate_hz, uint32_t ms)
{
	uint32_t count = rate_hz / 1000 * ms;
	int16_t *samples = malloc(count * sizeof *samples);

	ck_assert_ptr_nonnull(samples);
	for (uint32_t i = 0; i < count; i++)
		samples[i] = (int16_t)lround(8000 * sin(2 * M_PI * hz * i / rate_hz));
	ck_assert_uint_eq(core_inject_writer_write(writer, samples, count), count);
	free(samples);
}

static struct pbx_inject_state voice(void)
{
	struct pbx_inject_state state = { .size = sizeof state };

	ck_assert_int_eq(rtp_driver.inject_state(injection, &state), PBX_OK);
	return state;
}

/* What has come to a phone since it was asked last, decoded. */
static size_t heard_by(const struct phone *phone, int16_t *ret_samples)
{
	struct heard_packet packet;
	size_t count = 0;

	while (phone_hear(phone, &packet, 30)) {
		for (size_t i = 0; i < packet.bytes; i++)
			ret_samples[count++] = rtp_g711_decode(packet.type == 8 ? RTP_LAW_A : RTP_LAW_MU, packet.payload[i]);
		if (count > 8000)
			break;
	}
	return count;
}

START_TEST(a_voice_over_a_call_is_heard_by_one_party_only)
{
	const struct pbx_inject_spec spec = {
		.size = sizeof spec, .how = PBX_INJECT_OVER, .rate_hz = 16000, .room_ms = 2000, .under_gain_cdb = -2000
	};

	call("PCMA");
	talk(200);
	ck_assert_int_eq(speak_to(bob.stream, &spec), PBX_OK);
	ck_assert_int_eq(speak_to(bob.stream, &spec), PBX_EBUSY);
	ck_assert(!rig_stats(bob.stream).transcoded);
	write_tone(1000, 16000, 1000);
	talk(400);
	(void)phone_forget(&bob);
	(void)phone_forget(&alice);
	talk(400);
	size_t of_bob = heard_by(&bob, one), of_alice = heard_by(&alice, other);

	ck_assert_uint_ge(of_bob, 2400);
	ck_assert_uint_ge(of_alice, 2400);
	ck_assert(share_of(one + 160, 1600, 1000) > 0.9);
	ck_assert(share_of(one + 160, 1600, 440) > 0.005); /* 20 dB under it */
	ck_assert(share_of(other + 160, 1600, 660) > 0.98);
	ck_assert(share_of(other + 160, 1600, 1000) < 0.0001);

	talk(600); /* and when it is over, as before */
	rig_until(drained);
	do {
		(void)phone_forget(&bob);
		talk(300);
		of_bob = heard_by(&bob, one);
		ck_assert_uint_ge(of_bob, 1600);
	} while (share_of(one + 320, 1280, 440) < 0.98); /* a machine that stumbles is concealed */
	ck_assert_uint_ge(voice().said_ms, 1000);
	ck_assert_uint_eq(voice().drained, 1);

	ck_assert_int_eq(rtp_driver.inject_close(injection), PBX_OK);
	ck_assert_int_eq(rtp_driver.inject_close(injection), PBX_ENOENT);
	rig_obeyed(1);
	uint64_t before = rig_stats(bob.stream).packets_out, mine = spoken[0] / 160;

	talk(400); /* relayed, packet by packet */
	rig_until(rig_stats(bob.stream).packets_out - before >= spoken[0] / 160 - mine);
	hang_up();
}
END_TEST

START_TEST(alone_it_takes_the_place_of_all_else_and_can_be_cut_short)
{
	const struct pbx_inject_spec spec = { .size = sizeof spec, .how = PBX_INJECT_ALONE, .rate_hz = 24000, .room_ms = 3000 };

	call("PCMU");
	ck_assert_int_eq(speak_to(bob.stream, &spec), PBX_OK);
	write_tone(1000, 24000, 3000);
	talk(200);
	(void)phone_forget(&bob);
	talk(300);
	ck_assert_uint_ge(heard_by(&bob, one), 1600);
	ck_assert(share_of(one + 160, 1280, 1000) > 0.99);
	ck_assert(share_of(one + 160, 1280, 440) < 0.0001);

	core_inject_writer_flush(writer);
	rig_until(drained);
	ck_assert_uint_ge(voice().flushed_ms, 1500);
	ck_assert_uint_eq(voice().waiting_ms, 0);
	(void)phone_forget(&bob);
	talk(200);
	ck_assert_uint_ge(heard_by(&bob, one), 800);
	ck_assert(level_dbfs(one + 160, 640) < -60); /* and silence behind it, whatever alice says */
	hang_up();
}
END_TEST

START_TEST(it_is_heard_where_nobody_else_speaks_and_ends_with_the_leg)
{
	const struct pbx_inject_spec spec = { .size = sizeof spec, .how = PBX_INJECT_OVER, .rate_hz = 8000, .room_ms = 2000 };

	rig_start();
	phone_init(&alice, AF_INET);
	phone_call(&alice, 1, "PCMA");
	ck_assert_int_eq(speak_to(alice.stream, &spec), PBX_OK);
	write_tone(1000, 8000, 200);
	phone_record(&alice, RTP_LAW_A, one, 3200);
	size_t begin = 0;

	while (begin < 3000 && abs(one[begin]) < 1000)
		begin++;
	ck_assert_uint_lt(begin, 1600);
	ck_assert(share_of(one + begin, 1440, 1000) > 0.99);
	rig_until(drained);
	ck_assert_uint_eq(voice().said_ms, 200);
	end_alice();
	rig_until(ended);
	ck_assert(voice().ended);
	ck_assert_int_eq(rtp_driver.inject_close(injection), PBX_OK);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

START_TEST(over_music_and_prompts_it_is_heard_too)
{
	const struct pbx_inject_spec spec = { .size = sizeof spec, .how = PBX_INJECT_OVER, .rate_hz = 8000, .room_ms = 2000 };

	rig_start();
	phone_init(&alice, AF_INET);
	phone_call(&alice, 1, "PCMU");
	rig_play(alice.stream, CORE_PLAY_TONE, "dial", 5);
	ck_assert_int_eq(speak_to(alice.stream, &spec), PBX_OK);
	write_tone(1000, 8000, 1500);
	phone_record(&alice, RTP_LAW_MU, one, 8000);
	ck_assert(share_of(one + 4000, 4000, 1000) > 0.3);
	ck_assert(share_of(one + 4000, 4000, 350) > 0.1);
	ck_assert(share_of(one + 4000, 4000, 440) > 0.1);
	ck_assert_int_eq(rtp_driver.inject_close(injection), PBX_OK);
	phone_fini(&alice);
	rig_stop();
}
END_TEST

CHECK_MAIN("beside", a_tap_hears_both_apart_at_its_own_rate_and_the_relay_loses_nothing, a_tap_hears_one_side_or_the_sum,
	   it_goes_on_over_another_codec_and_ends_with_the_leg, who_reads_late_misses_whole_blocks_and_the_call_none,
	   a_thread_of_the_readers_own_is_woken_and_hears_the_end, a_voice_over_a_call_is_heard_by_one_party_only,
	   alone_it_takes_the_place_of_all_else_and_can_be_cut_short, it_is_heard_where_nobody_else_speaks_and_ends_with_the_leg,
	   over_music_and_prompts_it_is_heard_too)
