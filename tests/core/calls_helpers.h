/* tests/core/calls_helpers.h - what the tests of call control share: a house with three phones, a controller and a dialler that write down
 * what they hear. Included once by each test program. */
#pragma once
#include "../check_main.h"
#include "calls_inner.h"
#include "fake.h"
#include "fake_internal.h"
#include <string.h>

static const struct pbx_calls *const calls = &core_calls_service;

/* ---- helpers ---- */

static struct fake_pbx *house(const char *yaml)
{
	struct fake_pbx *pbx = fake_pbx_with_settings("", yaml);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
	return pbx;
}

static const char *ended(struct fake_pbx *pbx, const char *member)
{
	return fake_json(pbx, fake_event(pbx, "call.ended"), member);
}

/* 1001 and 1002 talk. */
static void talk(struct fake_pbx *pbx, pbx_leg *ret_caller, pbx_leg *ret_callee)
{
	*ret_caller = fake_dial(pbx, "1001", "1002");
	*ret_callee = fake_leg(pbx, "1002");
	fake_ring(pbx, *ret_callee);
	fake_answer(pbx, *ret_callee);
	ck_assert(fake_talk(pbx, *ret_caller, *ret_callee));
}

/* ---- a controller that writes down what it hears ---- */

static struct {
	char text[1024];
	pbx_leg winner;
	uint32_t outcome, sip_code, done, ringing;
} heard;

static void hear(const char *format, ...) PBX_PRINTF(1, 2);
static void hear(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(heard.text + strlen(heard.text), sizeof heard.text - strlen(heard.text), format, args);
	va_end(args);
}

static void on_answered(void *self, pbx_leg leg)
{
	(void)leg;
	hear("%s:answered ", (const char *)self);
}
static void on_lost(void *self, pbx_leg leg)
{
	(void)leg;
	hear("%s:lost ", (const char *)self);
}
static void on_timeout(void *self, pbx_leg leg)
{
	(void)leg;
	hear("%s:timeout ", (const char *)self);
}
static void on_media_done(void *self, pbx_leg leg)
{
	(void)leg;
	hear("%s:media_done ", (const char *)self);
}
static void on_media_lost(void *self, pbx_leg leg)
{
	(void)leg;
	hear("%s:media_lost ", (const char *)self);
}
static void on_ended(void *self, pbx_leg leg, uint32_t cause)
{
	(void)leg;
	hear("%s:ended(%u) ", (const char *)self, cause);
}
static void on_hold(void *self, pbx_leg leg, bool on)
{
	(void)leg;
	hear("%s:%s ", (const char *)self, on ? "held" : "resumed");
}
static void on_transfer(void *self, pbx_leg leg, const char *target)
{
	(void)leg;
	hear("%s:transfer(%s) ", (const char *)self, target);
}
static void on_digit(void *self, pbx_leg leg, char digit, uint32_t duration_ms)
{
	(void)leg;
	(void)duration_ms;
	hear("%s:%c ", (const char *)self, digit);
}

static const struct pbx_controller controller = { .size = sizeof controller,
						  .answered = on_answered,
						  .digit = on_digit,
						  .media_done = on_media_done,
						  .timeout = on_timeout,
						  .hold = on_hold,
						  .lost = on_lost,
						  .ended = on_ended };
static const struct pbx_controller knowing = {
	.size = sizeof knowing, .lost = on_lost, .ended = on_ended, .transfer = on_transfer, .media_lost = on_media_lost
};

static char name_a[] = "a", name_b[] = "b";

static void take(void *self, pbx_leg leg)
{
	struct fake_pbx *pbx = self;

	ck_assert_int_eq(calls->control(fake_host(pbx), leg, &controller, name_a), PBX_OK);
	ck_assert_int_eq(calls->answer(leg), PBX_OK);
}

static int claim(struct fake_pbx *pbx, const char *pattern, pbx_dialled_fn dialled)
{
	return calls->claim(fake_host(pbx), pattern, dialled, pbx);
}
