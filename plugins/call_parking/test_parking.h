/* plugins/call_parking/test_parking.h - three phones, and a call that one of them has put away */
#pragma once
#include "../../tests/check_main.h"
#include "calls.h"
#include "fake.h"
#include <string.h>

struct parked {
	pbx_leg caller, parker; /* 1003 called 1001, who parked */
};

static inline struct fake_pbx *house_with(const char *plugins, const char *yaml)
{
	struct fake_pbx *pbx = fake_pbx_with_settings(plugins, yaml);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
	return pbx;
}

static inline struct fake_pbx *house(const char *yaml)
{
	return house_with("call_parking", yaml);
}

static inline struct parked talk(struct fake_pbx *pbx, const char *caller, const char *callee)
{
	struct parked both = { .caller = fake_dial(pbx, caller, callee) };

	both.parker = fake_leg(pbx, callee);
	fake_answer(pbx, both.parker);
	ck_assert(fake_talk(pbx, both.caller, both.parker));
	return both;
}

/* 1001 transfers 1003 to *74 and hangs up, as a phone does after a blind transfer. */
static inline struct parked park(struct fake_pbx *pbx)
{
	struct parked both = talk(pbx, "1003", "1001");

	ck_assert_int_eq(fake_transfer(pbx, both.parker, "*74"), PBX_OK);
	ck_assert_uint_eq(fake_transfer_code(pbx, both.parker), 200);
	if (fake_state(pbx, both.parker) != PBX_LEG_ENDED)
		fake_hangup(pbx, both.parker);
	ck_assert_uint_eq(fake_state(pbx, both.caller), PBX_LEG_ANSWERED);
	return both;
}

static inline const char *slot(struct fake_pbx *pbx, const char *path)
{
	return fake_json(pbx, fake_command(pbx, "parking list"), path);
}

static inline uint32_t occupied(struct fake_pbx *pbx)
{
	const char *list = fake_command(pbx, "parking list");
	char path[24];
	uint32_t count = 0;

	for (;; count++) {
		(void)snprintf(path, sizeof path, "items.%u.slot", count);
		if (!fake_json(pbx, list, path))
			return count;
	}
}

static inline const char *lamp(struct fake_pbx *pbx)
{
	return fake_json(pbx, fake_event(pbx, "parking.slot"), "state");
}
