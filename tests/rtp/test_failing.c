/* tests/rtp/test_failing.c - a codec that fails amid a call: another takes its place, and who is told of it */
#include "../check_main.h"
#include "rig.h"

#include <rtp/g711.h>

#define WORKS 10 /* frames that an encoder makes before it fails for good */
#define FRAIL 98
#define A_LAW 8

struct frail {
	uint32_t made;
};

static uint32_t opened, refuses; /* encoders; the next so many cannot be opened */

static int encoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_encoder)
{
	(void)self, (void)codec, (void)wish;
	if (refuses > 0) {
		refuses--;
		return PBX_ENOTSUP;
	}
	opened++;
	*ret_encoder = calloc(1, sizeof(struct frail));
	return *ret_encoder ? PBX_OK : PBX_ENOMEM;
}

static int decoder_open(void *self, const struct pbx_codec *codec, const struct pbx_codec_wish *wish, void **ret_decoder)
{
	(void)self, (void)codec, (void)wish;
	*ret_decoder = calloc(1, sizeof(struct frail));
	return *ret_decoder ? PBX_OK : PBX_ENOMEM;
}

static int32_t encode(void *encoder, const int16_t *samples, uint32_t count, uint8_t *ret_payload, uint32_t size)
{
	struct frail *frail = encoder;

	if (frail->made++ >= WORKS)
		return PBX_EIO;
	ck_assert_uint_le(count, size);
	for (uint32_t i = 0; i < count; i++)
		ret_payload[i] = rtp_g711_encode(RTP_LAW_MU, samples[i]);
	return (int32_t)count;
}

/* A payload of 0xee is beyond it. */
static int32_t decode(void *decoder, const uint8_t *payload, uint32_t bytes, int16_t *ret_samples, uint32_t size)
{
	(void)decoder, (void)size;
	if (payload[0] == 0xee)
		return PBX_EINVAL;
	for (uint32_t i = 0; i < bytes; i++)
		ret_samples[i] = rtp_g711_decode(RTP_LAW_MU, payload[i]);
	return (int32_t)bytes;
}

static const struct pbx_codec rows[] = {
	{ .name = "FRAIL",
	  .clock_hz = 8000,
	  .rate_hz = 8000,
	  .channels = 1,
	  .payload_type = FRAIL,
	  .least_ptime_ms = 10,
	  .usual_ptime_ms = 20,
	  .most_ptime_ms = 60,
	  .bits_per_s = 64000,
	  .encoder_open = encoder_open,
	  .decoder_open = decoder_open,
	  .encoder_close = free,
	  .decoder_close = free,
	  .encode = encode,
	  .decode = decode },
};
static const struct pbx_codecs offered = { .header = PBX_HEADER(struct pbx_codecs), .codecs = PBX_TABLE(rows) };

static struct phone alice, bob; /* L16, and bob's codecs: what she says is encoded for him */

static void call(const char *bobs)
{
	rig_codecs = &offered;
	opened = 0;
	rig_call(&alice, "L16", &bob, bobs);
}

static void hang_up(void)
{
	rig_hang_up(&alice, &bob);
	rig_codecs = NULL;
}

/* Alice speaks by the clock until bob has heard `count` packets of a type, as they come. */
static struct heard_packet talk_until(uint8_t type, uint32_t count)
{
	static const uint8_t loud[640] = { 0x20 };
	struct heard_packet packet = { 0 };
	uint64_t due_us = core_now_us();

	for (uint32_t i = 0, heard = 0; heard < count; i++) {
		ck_assert_msg(i < 500, "%u packets of type %u are not heard, but %u", count, type, heard);
		phone_send_type(&alice, alice.type, false, loud, sizeof loud);
		alice.timestamp += 320;
		due_us += 20000;
		while (core_now_us() < due_us) {
			struct heard_packet next;

			if (phone_hear(&bob, &next, 1)) {
				packet = next;
				heard += packet.type == type;
			}
		}
	}
	return packet;
}

START_TEST(an_encoder_that_fails_is_replaced_by_the_next_codec)
{
	call("FRAIL PCMA");
	struct heard_packet before = talk_until(FRAIL, WORKS), after = talk_until(A_LAW, 5);

	ck_assert_uint_eq(after.ssrc, before.ssrc); /* one stream, whatever it speaks */
	ck_assert_uint_lt((uint16_t)(after.sequence - before.sequence), 30);
	ck_assert_uint_lt(after.timestamp - before.timestamp, 8000);
	ck_assert_int_eq(rig_heard.codecs_failed, 1);
	ck_assert(rig_heard.failed_encodes);
	ck_assert_str_eq(rig_heard.failed_codec, "FRAIL");
	ck_assert_uint_eq(opened, 1);
	hang_up();
}
END_TEST

START_TEST(where_there_is_no_other_it_gets_a_fresh_encoder)
{
	call("FRAIL");
	(void)talk_until(FRAIL, 2 * WORKS + 1);
	ck_assert_uint_ge(opened, 3);
	ck_assert_int_ge(rig_heard.codecs_failed, 2);
	hang_up();
}
END_TEST

START_TEST(one_that_cannot_be_opened_is_passed_over)
{
	refuses = 1;
	call("FRAIL PCMA");
	(void)talk_until(A_LAW, 5);
	ck_assert_uint_eq(opened, 0);
	hang_up();
}
END_TEST

START_TEST(a_new_offer_begins_anew)
{
	struct core_stream_config config;

	call("FRAIL PCMA");
	(void)talk_until(A_LAW, 1);
	phone_config(&bob, "FRAIL PCMU", &config);
	ck_assert_int_eq(rtp_driver.configure(bob.stream, &config), PBX_OK);
	(void)talk_until(FRAIL, WORKS);
	(void)talk_until(0, 5);
	ck_assert_uint_eq(opened, 2);
	hang_up();
}
END_TEST

START_TEST(a_decoder_that_fails_for_a_second_is_told_of)
{
	uint8_t payload[160] = { 0xee };
	uint64_t due_us = core_now_us(), began_us = due_us;

	call("FRAIL PCMA");
	ck_assert_int_eq(phone_forget(&alice), 0);
	while (rig_heard.codecs_failed == 0) {
		ck_assert_uint_lt(core_now_us() - began_us, 20000000);
		phone_send_type(&bob, FRAIL, false, payload, sizeof payload);
		bob.timestamp += 160;
		due_us += 20000;
		while (core_now_us() < due_us)
			rig_round();
	}
	ck_assert_uint_ge(core_now_us() - began_us, 1000000);
	ck_assert(!rig_heard.failed_encodes);
	ck_assert_str_eq(rig_heard.failed_codec, "FRAIL");
	hang_up();
}
END_TEST

CHECK_MAIN("failing", an_encoder_that_fails_is_replaced_by_the_next_codec, where_there_is_no_other_it_gets_a_fresh_encoder,
	   one_that_cannot_be_opened_is_passed_over, a_new_offer_begins_anew, a_decoder_that_fails_for_a_second_is_told_of)
