/* plugins/cdr/test_cdr.h - a house with three phones, and what its records say; included once by each test of the plugin */
#pragma once
#include "../../tests/check_main.h"
#include "calls.h"
#include "fake.h"
#include <string.h>

static inline struct fake_pbx *house(const char *plugins)
{
	struct fake_pbx *pbx = fake_pbx_with(plugins);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	fake_registered(pbx, "1003");
	return pbx;
}

/* Of the records, oldest first: "0.billsec_ms". Empty: the record is not there. */
static inline const char *record(struct fake_pbx *pbx, const char *path)
{
	const char *list = fake_command(pbx, "cdr list"), *value;
	char newest_first[96], index[24];
	uint32_t count = 0;

	ck_assert_msg(fake_status(pbx) == 200, "%s", list);
	do
		(void)snprintf(index, sizeof index, "items.%u.id", count);
	while (fake_json(pbx, list, index) && ++count);
	uint32_t wanted = (uint32_t)strtoul(path, NULL, 10);
	if (wanted >= count)
		return "";
	(void)snprintf(newest_first, sizeof newest_first, "items.%u%s", count - 1 - wanted, strchr(path, '.'));
	value = fake_json(pbx, list, newest_first);
	return value ? value : "(none)";
}

static inline uint32_t records(struct fake_pbx *pbx)
{
	char path[16];
	uint32_t count = 0;

	do
		(void)snprintf(path, sizeof path, "%u.id", count);
	while (record(pbx, path)[0] && ++count);
	return count;
}

static inline void expect(struct fake_pbx *pbx, const char *path, const char *value)
{
	const char *is = record(pbx, path);

	ck_assert_msg(strcmp(is, value) == 0, "%s is %s, not %s: %s", path, is, value, fake_command(pbx, "cdr list"));
}

static inline pbx_leg talk(struct fake_pbx *pbx, const char *from, const char *to)
{
	pbx_leg caller = fake_dial(pbx, from, to);

	fake_ring(pbx, fake_leg(pbx, to));
	fake_pass_ms(pbx, 2000);
	fake_answer(pbx, fake_leg(pbx, to));
	return caller;
}

static inline pbx_leg park(struct fake_pbx *pbx)
{
	pbx_leg caller = talk(pbx, "1003", "1001"), parker = fake_leg(pbx, "1001");

	fake_pass_ms(pbx, 3000);
	ck_assert_int_eq(fake_transfer(pbx, parker, "*74"), PBX_OK);
	fake_hangup(pbx, parker); /* as a phone does that is told of success, though the slot is being spoken to it */
	fake_pass_ms(pbx, 10000);
	return caller;
}
