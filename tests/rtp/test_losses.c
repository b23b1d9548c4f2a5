/* tests/rtp/test_losses.c - bursts and gaps as RFC 3611 4.7.2 defines them: '.' arrived, 'x' lost */
#include "../check_main.h"
#include <rtp/losses.h>
#include <string.h>

static struct rtp_loss_picture picture_of(const char *packets)
{
	struct rtp_losses losses = { 0 };
	struct rtp_loss_picture picture;

	for (; *packets; packets++)
		rtp_losses_judge(&losses, *packets == '.');
	rtp_losses_look(&losses, &picture);
	return picture;
}

#define SIXTEEN "................"
#define FIFTEEN "..............."

static void check(const char *packets, uint32_t bursts, uint32_t burst_lost, uint32_t burst_packets, uint32_t runs)
{
	struct rtp_loss_picture picture = picture_of(packets);

	ck_assert_msg(picture.bursts == bursts && picture.burst_lost == burst_lost && picture.burst_packets == burst_packets,
		      "%s has %u bursts with %u of %u lost", packets, picture.bursts, picture.burst_lost, picture.burst_packets);
	ck_assert_uint_eq(picture.runs, runs);
	ck_assert_uint_eq(picture.gap_lost + picture.burst_lost, picture.lost);
	ck_assert_uint_eq(picture.gap_packets + picture.burst_packets, strlen(packets));
	ck_assert_uint_eq(picture.gaps, bursts + 1);
}

START_TEST(a_burst_has_fewer_than_sixteen_arrivals_between_its_losses)
{
	check("", 0, 0, 0, 0);
	check(SIXTEEN, 0, 0, 0, 0);
	check(SIXTEEN "x" SIXTEEN, 0, 0, 0, 1);
	check("x" SIXTEEN "x" SIXTEEN "x", 0, 0, 0, 3);
	check("x" FIFTEEN "x", 1, 2, 17, 2);
	check(SIXTEEN "xxx" SIXTEEN, 1, 3, 3, 1);
	check(SIXTEEN "x.x..x" SIXTEEN "x" SIXTEEN "xx", 2, 5, 8, 5);
	check("xx", 1, 2, 2, 1);
}
END_TEST

CHECK_MAIN("losses", a_burst_has_fewer_than_sixteen_arrivals_between_its_losses)
