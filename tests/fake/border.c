/* tests/fake/border.c - stands in for sip/ where a plugin guards the border: a test asks the guard itself */
#include "fake_internal.h"
#include "owner.h"
#include <string.h>

static struct {
	struct pbx_border_guard asked;
	struct core_charge charge;
	bool set;
	uint32_t reviews, reviewed_bits;
	uint8_t reviewed[16];
} border;

static void revoke(struct core_charge *charge)
{
	core_charge_remove(charge);
	border.set = false;
}

static int guard(struct pbx_host *host, const struct pbx_border_guard *asked)
{
	if (border.set && border.charge.owner != host) /* an upgrade: the younger one is asked */
		revoke(&border.charge);
	if (!border.set)
		core_charge_add(host, &border.charge, "border guard", false, revoke);
	border.set = true;
	memset(&border.asked, 0, sizeof border.asked);
	memcpy(&border.asked, asked, asked->size < sizeof border.asked ? asked->size : sizeof border.asked);
	return PBX_OK;
}

static int unguard(struct pbx_host *host)
{
	if (!border.set || border.charge.owner != host)
		return PBX_ENOENT;
	revoke(&border.charge);
	return PBX_OK;
}

static int review(struct pbx_host *host, const uint8_t address[16], uint32_t bits)
{
	ck_assert_ptr_eq(border.charge.owner, host);
	memcpy(border.reviewed, address, sizeof border.reviewed);
	border.reviewed_bits = bits;
	border.reviews++;
	return PBX_OK;
}

const struct pbx_border fake_border_service = {
	.header = PBX_HEADER(struct pbx_border), .guard = guard, .unguard = unguard, .review = review
};

uint32_t fake_reviews(struct fake_pbx *pbx, uint8_t ret_address[16], uint32_t *ret_bits)
{
	(void)pbx;
	memcpy(ret_address, border.reviewed, sizeof border.reviewed);
	*ret_bits = border.reviewed_bits;
	return border.reviews;
}

const struct pbx_border_guard *fake_border(struct fake_pbx *pbx)
{
	(void)pbx;
	ck_assert_msg(border.set, "nobody guards the border");
	return &border.asked;
}
