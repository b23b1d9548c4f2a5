/* tests/fake/test_beside.c - the services for those who listen and speak beside a call, and what the fake lets a plugin's test do with them */
#include "../check_main.h"
#include "calls.h"
#include "fake_internal.h"
#include <pbx/detect.h>
#include <pbx/inject.h>
#include <pbx/tap.h>
#include <string.h>

static const struct pbx_taps *const taps = &core_taps_service;
static const struct pbx_injections *const injections = &core_injections_service;
static const struct pbx_detector *const detector = &core_detector_service;

static int ready, ended, drained, found_count;
static char found_name[20];
static uint32_t over_how;

static void on_ready(void *self, pbx_tap tap)
{
	(void)self, (void)tap;
	ready++;
}

static void on_tap_ended(void *self, pbx_tap tap)
{
	(void)self, (void)tap;
	ended++;
}

static void on_drained(void *self, pbx_injection injection)
{
	(void)self, (void)injection;
	drained++;
}

static void on_injection_ended(void *self, pbx_injection injection)
{
	(void)self, (void)injection;
	ended++;
}

static void on_found(void *self, pbx_detection detection, const struct pbx_detected *found)
{
	(void)self, (void)detection;
	found_count++;
	(void)snprintf(found_name, sizeof found_name, "%s", found->name);
}

static void on_over(void *self, pbx_detection detection, uint32_t how)
{
	(void)self, (void)detection;
	over_how = how;
}

static struct fake_pbx *talking(pbx_leg *ret_alice)
{
	struct fake_pbx *pbx = fake_pbx_with("echo_test");

	fake_registered(pbx, "bob");
	*ret_alice = fake_dial(pbx, "alice", "bob");
	fake_answer(pbx, fake_leg(pbx, "bob"));
	return pbx;
}

START_TEST(a_tap_gives_blocks_in_turn_and_stays_until_it_is_closed)
{
	const struct pbx_tap_watcher watcher = { .size = sizeof watcher, .ready = on_ready, .ended = on_tap_ended };
	const struct pbx_tap_spec spec = { .size = sizeof spec, .what = PBX_TAP_SAYS, .rate_hz = 16000, .block_ms = 10, .room_ms = 40 };
	struct pbx_tap_state state = { .size = sizeof state };
	struct pbx_tap_reader *reader;
	int16_t said[960], block[160];
	uint64_t at_us = 0, before_us = 0;
	pbx_leg alice;
	pbx_tap tap;
	AUTO(fake_pbx) struct fake_pbx *pbx = talking(&alice);

	ck_assert_int_eq(taps->open(fake_part_host(), alice, &spec, &watcher, NULL, &tap), PBX_OK);
	ck_assert_int_eq(taps->reader(tap, &reader), PBX_OK);
	ck_assert_int_eq(taps->read(reader, block, &at_us), PBX_ELATER);
	ck_assert_int_eq(taps->wait(reader, 1), PBX_ELATER);
	for (int i = 0; i < 960; i++)
		said[i] = (int16_t)i;
	fake_tapped(pbx, alice, said, 960); /* six blocks, and there is room for four */
	ck_assert_int_eq(ready, 1);
	ck_assert_int_eq(taps->state(tap, &state), PBX_OK);
	ck_assert_uint_eq(state.waiting_ms, 40);
	ck_assert_uint_eq(state.dropped_ms, 20);
	ck_assert_uint_eq(state.made_ms, 60);
	ck_assert_uint_eq(state.leg, alice.id);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(taps->read(reader, block, &at_us), PBX_OK);
		ck_assert_int_eq(block[0], i * 160);
		ck_assert(i == 0 || at_us == before_us + 10000);
		before_us = at_us;
	}
	fake_hangup(pbx, alice);
	ck_assert_int_eq(ended, 1);
	ck_assert_int_eq(taps->read(reader, block, &at_us), PBX_ENOENT);
	ck_assert_int_eq(taps->wait(reader, 1000), PBX_ENOENT);
	ck_assert_int_eq(taps->close(tap), PBX_OK);
	ck_assert_int_eq(taps->close(tap), PBX_ENOENT);
	ck_assert_int_eq(taps->open(fake_part_host(), alice, &spec, &watcher, NULL, &tap), PBX_ENOENT);
}
END_TEST

START_TEST(an_injection_takes_what_has_room_and_forgets_what_is_flushed)
{
	const struct pbx_inject_watcher watcher = { .size = sizeof watcher, .drained = on_drained, .ended = on_injection_ended };
	const struct pbx_inject_spec spec = { .size = sizeof spec, .how = PBX_INJECT_ALONE, .rate_hz = 8000, .room_ms = 100 };
	struct pbx_inject_state state = { .size = sizeof state };
	struct pbx_inject_writer *writer;
	int16_t samples[1000], heard[500];
	pbx_injection injection, second;
	pbx_leg alice;
	AUTO(fake_pbx) struct fake_pbx *pbx = talking(&alice);

	ck_assert_int_eq(injections->open(fake_part_host(), alice, &spec, &watcher, NULL, &injection), PBX_OK);
	ck_assert_int_eq(injections->open(fake_part_host(), alice, &spec, &watcher, NULL, &second), PBX_EBUSY);
	ck_assert_int_eq(injections->writer(injection, &writer), PBX_OK);
	for (int i = 0; i < 1000; i++)
		samples[i] = (int16_t)i;
	ck_assert_uint_eq(injections->write(writer, samples, 1000), 800);
	ck_assert_uint_eq(fake_injected(pbx, alice, heard, 500), 500);
	ck_assert_int_eq(heard[499], 499);
	ck_assert_uint_eq(injections->write(writer, samples + 800, 200), 200); /* round the end of the ring */
	ck_assert_uint_eq(fake_injected(pbx, alice, heard, 400), 400);
	ck_assert_int_eq(heard[399], 899);
	injections->flush(writer);
	ck_assert_int_eq(injections->state(injection, &state), PBX_OK);
	ck_assert_uint_eq(state.waiting_ms, 0);
	ck_assert_uint_eq(injections->write(writer, samples, 80), 80);
	ck_assert_uint_eq(fake_injected(pbx, alice, heard, 160), 80);
	ck_assert_int_eq(heard[79], 79);
	ck_assert_int_eq(drained, 1);
	ck_assert_int_eq(injections->state(injection, &state), PBX_OK);
	ck_assert_uint_eq(state.flushed_ms, 12);
	fake_hangup(pbx, alice);
	ck_assert_int_eq(ended, 1);
	ck_assert_int_eq(injections->close(injection), PBX_OK);
}
END_TEST

START_TEST(a_detection_hears_of_its_own_kinds_only_and_ends_with_the_leg)
{
	const struct pbx_detect_watcher watcher = { .size = sizeof watcher, .found = on_found, .over = on_over };
	const struct pbx_detect_spec spec = { .size = sizeof spec, .what = PBX_DETECT_MACHINE | PBX_DETECT_BEEP };
	const struct pbx_detected beep = { .size = sizeof beep, .what = PBX_DETECT_BEEP, .name = "beep", .cause = "" };
	const struct pbx_detected fax = { .size = sizeof fax, .what = PBX_DETECT_FAX, .name = "cng", .cause = "" };
	pbx_detection detection, second;
	pbx_leg alice;
	AUTO(fake_pbx) struct fake_pbx *pbx = talking(&alice);

	ck_assert_int_eq(detector->start(fake_part_host(), alice, &spec, &watcher, NULL, &detection), PBX_OK);
	ck_assert(!fake_detects(pbx, alice, &fax));
	ck_assert(fake_detects(pbx, alice, &beep));
	ck_assert_int_eq(found_count, 1);
	ck_assert_str_eq(found_name, "beep");
	ck_assert_int_eq(detector->start(fake_part_host(), alice, &spec, &watcher, NULL, &second), PBX_OK);
	ck_assert_int_eq(detector->stop(second), PBX_OK);
	ck_assert_int_eq(detector->stop(second), PBX_ENOENT);
	fake_hangup(pbx, alice);
	ck_assert_uint_eq(over_how, PBX_DETECTION_LEG_ENDED);
	ck_assert_int_eq(detector->stop(detection), PBX_ENOENT);
}
END_TEST

START_TEST(bad_wishes_are_refused)
{
	const struct pbx_tap_watcher tap_watcher = { .size = sizeof tap_watcher };
	const struct pbx_inject_watcher voice_watcher = { .size = sizeof voice_watcher };
	const struct pbx_detect_watcher found_nowhere = { .size = sizeof found_nowhere };
	struct pbx_tap_spec tap_spec = { .size = sizeof tap_spec };
	struct pbx_inject_spec voice_spec = { .size = sizeof voice_spec, .how = PBX_INJECT_OVER, .rate_hz = 11025 };
	const struct pbx_detect_spec detect_spec = { .size = sizeof detect_spec, .what = PBX_DETECT_FAX };
	pbx_injection injection;
	pbx_detection detection;
	pbx_leg alice;
	pbx_tap tap;
	AUTO(fake_pbx) struct fake_pbx *pbx = talking(&alice);

	(void)pbx;
	ck_assert_int_eq(taps->open(fake_part_host(), alice, &tap_spec, &tap_watcher, NULL, &tap), PBX_EINVAL);
	tap_spec.what = PBX_TAP_MIXED;
	tap_spec.rate_hz = 44100;
	ck_assert_int_eq(taps->open(fake_part_host(), alice, &tap_spec, &tap_watcher, NULL, &tap), PBX_EINVAL);
	ck_assert_int_eq(injections->open(fake_part_host(), alice, &voice_spec, &voice_watcher, NULL, &injection), PBX_EINVAL);
	voice_spec.rate_hz = 8000;
	voice_spec.under_gain_cdb = 100;
	ck_assert_int_eq(injections->open(fake_part_host(), alice, &voice_spec, &voice_watcher, NULL, &injection), PBX_EINVAL);
	ck_assert_int_eq(detector->start(fake_part_host(), alice, &detect_spec, &found_nowhere, NULL, &detection), PBX_EINVAL);
}
END_TEST

CHECK_MAIN("beside", a_tap_gives_blocks_in_turn_and_stays_until_it_is_closed, an_injection_takes_what_has_room_and_forgets_what_is_flushed,
	   a_detection_hears_of_its_own_kinds_only_and_ends_with_the_leg, bad_wishes_are_refused)
