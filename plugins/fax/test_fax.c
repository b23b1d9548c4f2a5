/* plugins/fax/test_fax.c - what becomes of faxes whichever way they end, who may see them, and which pages may be sent */
#include "../../tests/check_main.h"
#include "fake.h"
#include "fax.h"
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>
#include <unistd.h>

#define INBOX "fax:\n  station: '555 0199'\n  attempts: 2\n  retry_s: 30\n  inboxes:\n    - {number: '7100', name: Accounts}\n"

static struct fake_pbx *house(void)
{
	struct fake_pbx *pbx = fake_pbx_with_settings("fax", INBOX);

	fake_registered(pbx, "1001");
	fake_registered(pbx, "1002");
	return pbx;
}

static const char *listed(struct fake_pbx *pbx, const char *what)
{
	return fake_json(pbx, fake_http(pbx, "GET", "/faxes", NULL), what);
}

/* A TIFF of one page, rows of stripes, in T.6 as a fax machine writes it, or not. */
static void write_page(const char *path, uint32_t width, uint16_t bits, uint16_t compression)
{
	uint8_t row[4000];
	TIFF *tiff = TIFFOpen(path, "w");

	ck_assert_ptr_nonnull(tiff);
	memset(row, 0x3c, sizeof row);
	TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, width);
	TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 20);
	TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bits);
	TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
	TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
	TIFFSetField(tiff, TIFFTAG_COMPRESSION, compression);
	TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 20);
	TIFFSetField(tiff, TIFFTAG_XRESOLUTION, 204.0);
	TIFFSetField(tiff, TIFFTAG_YRESOLUTION, 196.0);
	for (uint32_t at = 0; at < 20; at++)
		ck_assert_int_ge(TIFFWriteScanline(tiff, row, at, 0), 0);
	TIFFClose(tiff);
}

/* The id of a fax to 1002 of one good page. */
static const char *send_page(struct fake_pbx *pbx)
{
	char path[512], line[640];

	(void)snprintf(path, sizeof path, "%s/page.tif", fake_dir(pbx));
	write_page(path, 1728, 1, COMPRESSION_CCITT_T6);
	(void)snprintf(line, sizeof line, "fax send 1002 %s 7100", path);
	const char *answer = fake_command(pbx, line);

	ck_assert_uint_eq(fake_status(pbx), 201);
	return fake_json(pbx, answer, "id");
}

START_TEST(an_inbox_keeps_what_comes)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	pbx_leg caller = fake_dial(pbx, "1001", "7100");

	ck_assert_uint_eq(fake_state(pbx, caller), PBX_LEG_ANSWERED);
	ck_assert_str_eq(listed(pbx, "0.state"), "receiving");
	fake_finish_fax(pbx, caller, PBX_OK, "", 3);
	ck_assert_uint_eq(fake_cause(pbx, caller), PBX_CAUSE_NORMAL);
	const char *data = fake_event(pbx, "fax.received");

	ck_assert_str_eq(fake_json(pbx, data, "inbox"), "7100");
	ck_assert_str_eq(fake_json(pbx, data, "from"), "1001");
	ck_assert_str_eq(fake_json(pbx, data, "station"), "555 0100");
	ck_assert_str_eq(listed(pbx, "0.state"), "received");
	ck_assert_str_eq(listed(pbx, "0.pages"), "3");
}
END_TEST

START_TEST(pages_that_came_are_kept_when_the_rest_did_not)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	pbx_leg caller = fake_dial(pbx, "1001", "7100");

	fake_finish_fax(pbx, caller, PBX_EIO, "The call dropped prematurely", 2);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "fax.received"), "reason"), "The call dropped prematurely");
	ck_assert_str_eq(listed(pbx, "0.state"), "incomplete");
}
END_TEST

START_TEST(who_hangs_up_at_once_has_sent_nothing)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	pbx_leg caller = fake_dial(pbx, "1001", "7100");

	fake_hangup(pbx, caller);
	ck_assert_uint_eq(fake_event_count(pbx, "fax.failed"), 1);
	ck_assert_str_eq(listed(pbx, "0.state"), "failed");
}
END_TEST

START_TEST(a_fax_is_sent)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id = send_page(pbx);
	pbx_leg called = fake_leg(pbx, "1002");

	ck_assert_str_eq(listed(pbx, "0.state"), "sending");
	fake_answer(pbx, called);
	fake_finish_fax(pbx, called, PBX_OK, "", 1);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "fax.sent"), "fax_id"), id);
	ck_assert_uint_eq(fake_cause(pbx, called), PBX_CAUSE_NORMAL);
	ck_assert_str_eq(listed(pbx, "0.state"), "sent");
}
END_TEST

/* Ghostscript reads it, not we. */
START_TEST(a_pdf_that_cannot_be_read_is_refused_and_nothing_is_left_of_it)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	char path[512], line[640];
	glob_t left;

	(void)snprintf(path, sizeof path, "%s/broken.pdf", fake_dir(pbx));
	FILE *file = fopen(path, "we");
	ck_assert(file && fputs("%PDF-1.4 and nothing", file) >= 0 && fclose(file) == 0);
	(void)snprintf(line, sizeof line, "fax send 1002 %s 7100", path);
	const char *answer = fake_command(pbx, line);

	ck_assert_uint_eq(fake_status(pbx), 422);
	ck_assert_ptr_nonnull(strstr(answer, "it is a PDF that cannot be read"));
	(void)snprintf(path, sizeof path, "%s/plugins/fax/*", fake_dir(pbx));
	ck_assert_int_eq(glob(path, GLOB_ERR, NULL, &left), GLOB_NOMATCH); /* and not GLOB_ABORTED: the folder is there */
	ck_assert_str_eq(fake_http(pbx, "GET", "/faxes", NULL), "[]");
}
END_TEST

START_TEST(a_busy_line_is_tried_again_and_then_given_up)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	(void)send_page(pbx);
	fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	ck_assert_str_eq(listed(pbx, "0.state"), "waiting");
	ck_assert_str_eq(listed(pbx, "0.reason"), "busy");
	ck_assert(!fake_has_leg(pbx, "1002"));
	fake_pass_ms(pbx, 30000);
	fake_answer(pbx, fake_leg(pbx, "1002"));
	fake_finish_fax(pbx, fake_leg(pbx, "1002"), PBX_EIO, "Far end cannot receive", 0);
	ck_assert_str_eq(fake_json(pbx, fake_event(pbx, "fax.failed"), "reason"), "Far end cannot receive");
	ck_assert_str_eq(listed(pbx, "0.state"), "failed");
	ck_assert_str_eq(listed(pbx, "0.attempts"), "2");
}
END_TEST

START_TEST(what_waits_survives_a_restart)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	(void)send_page(pbx);
	fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	fake_restart(pbx);
	fake_registered(pbx, "1002");
	fake_pass_ms(pbx, 120000);
	ck_assert_str_eq(listed(pbx, "0.to"), "1002");
	ck_assert_str_ne(listed(pbx, "0.attempts"), "1");
}
END_TEST

START_TEST(an_upgrade_leaves_what_is_under_way_to_the_old_version)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();

	(void)send_page(pbx);
	pbx_leg called = fake_leg(pbx, "1002");

	fake_answer(pbx, called);
	ck_assert_int_eq(fake_reload_plugin(pbx, "fax"), PBX_OK);
	fake_pass_ms(pbx, 61000);
	fake_finish_fax(pbx, called, PBX_OK, "", 1);
	ck_assert_uint_eq(fake_event_count(pbx, "fax.sent"), 1);
	ck_assert(!fake_has_leg(pbx, "1002"));
}
END_TEST

START_TEST(deleting_gives_up_what_waits)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	const char *id = send_page(pbx);
	char path[64];

	fake_refuse(pbx, fake_leg(pbx, "1002"), 486);
	(void)snprintf(path, sizeof path, "/faxes/%s", id);
	(void)fake_http(pbx, "DELETE", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 204);
	fake_pass_ms(pbx, 120000);
	ck_assert(!fake_has_leg(pbx, "1002"));
	(void)fake_http(pbx, "GET", path, NULL);
	ck_assert_uint_eq(fake_status(pbx), 404);
}
END_TEST

START_TEST(users_see_their_own)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	pbx_leg caller = fake_dial(pbx, "1001", "7100");

	fake_finish_fax(pbx, caller, PBX_OK, "", 1);
	ck_assert_str_eq(fake_json(pbx, fake_http_as(pbx, "ada", "fax:read", "1001", "GET", "/faxes", NULL), "0.from"), "1001");
	ck_assert_ptr_null(fake_json(pbx, fake_http_as(pbx, "bob", "fax:read", "1002", "GET", "/faxes", NULL), "0.from"));
}
END_TEST

START_TEST(what_is_no_fax_page_is_refused_with_a_remedy)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	static const struct {
		uint32_t width;
		uint16_t bits;
		const char *says;
	} cases[] = { { 1728, 8, "black and white" }, { 1000, 1, "1728" } };
	char path[512], reason[REASON_SIZE];

	(void)snprintf(path, sizeof path, "%s/odd.tif", fake_dir(pbx));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		write_page(path, cases[i].width, cases[i].bits, COMPRESSION_NONE);
		ck_assert_int_eq(pages_check(path, reason), PBX_EINVAL);
		ck_assert_ptr_nonnull(strstr(reason, cases[i].says));
	}
	write_page(path, 1728, 1, COMPRESSION_NONE);
	ck_assert_int_eq(pages_check(path, reason), PBX_OK);
}
END_TEST

START_TEST(a_pdf_has_the_pages_as_they_came)
{
	AUTO(fake_pbx) struct fake_pbx *pbx = house();
	char path[512], *pdf = NULL;
	size_t size = 0;

	(void)snprintf(path, sizeof path, "%s/page.tif", fake_dir(pbx));
	write_page(path, 1728, 1, COMPRESSION_CCITT_T6);
	ck_assert_int_eq(pages_to_pdf(path, &pdf, &size), PBX_OK);
	ck_assert_int_eq(strncmp(pdf, "%PDF-1.4\n", 9), 0);
	ck_assert_ptr_nonnull(memmem(pdf, size, "/Columns 1728 /Rows 20", 22));
	ck_assert_ptr_nonnull(memmem(pdf, size, "/MediaBox [0 0 609.88 7.35]", 27));
	const char *end = memmem(pdf, size, "startxref\n", 10);

	ck_assert_ptr_nonnull(end);
	ck_assert_int_eq(strncmp(pdf + atol(end + 10), "xref\n", 5), 0);
	free(pdf);
	write_page(path, 1728, 1, COMPRESSION_NONE);
	ck_assert_int_eq(pages_to_pdf(path, &pdf, &size), PBX_ENOTSUP);
}
END_TEST

CHECK_MAIN("fax", an_inbox_keeps_what_comes, pages_that_came_are_kept_when_the_rest_did_not, who_hangs_up_at_once_has_sent_nothing,
	   a_fax_is_sent, a_pdf_that_cannot_be_read_is_refused_and_nothing_is_left_of_it, a_busy_line_is_tried_again_and_then_given_up,
	   what_waits_survives_a_restart, an_upgrade_leaves_what_is_under_way_to_the_old_version, deleting_gives_up_what_waits,
	   users_see_their_own, what_is_no_fax_page_is_refused_with_a_remedy, a_pdf_has_the_pages_as_they_came)
