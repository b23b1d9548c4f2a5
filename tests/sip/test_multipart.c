/* tests/sip/test_multipart.c - bodies of several parts: written, read, and what is none of them */
#include "../check_main.h"
#include "../failing_memory.h"
#include "multipart.h"
#include <limits.h>
#include <string.h>

static struct ua_parts parts;
static unsigned granted = UINT_MAX; /* so many allocations more */

static bool is_granted(void)
{
	if (granted == UINT_MAX)
		return true;
	return granted > 0 && granted-- > 0;
}

static int read_text(const char *boundary, const char *text)
{
	return ua_parts_read_body("multipart/mixed", boundary, NULL, text, strlen(text), &parts);
}

static void is_part(uint32_t at, const char *type, const char *disposition, const char *body)
{
	const struct pbx_session_parts all = { parts.items, parts.count };
	const struct pbx_session_part *part = pbx_session_part_at(&all, at);

	ck_assert_uint_lt(at, parts.count);
	ck_assert_str_eq(part->type, type);
	ck_assert_str_eq(part->disposition, disposition);
	ck_assert_uint_eq(part->length, strlen(body));
	ck_assert_str_eq(part->body, body);
}

START_TEST(parts_have_types_dispositions_and_bodies)
{
	ck_assert_int_eq(read_text("x",
				   "preamble\r\n--x\r\nContent-Type: application/sdp;a=b\r\n\r\nv=0\r\ns=-\r\n\r\n--x  \r\n"
				   "content-disposition : render ; handling=optional\r\nX-Other: y\r\n\r\n\r\n--x--\r\nepilogue --x\r\n"),
			 PBX_OK);
	ck_assert_uint_eq(parts.count, 2);
	is_part(0, "application/sdp", "", "v=0\r\ns=-\r\n");
	is_part(1, "text/plain", "render", "");
	ck_assert_ptr_eq(ua_sdp_part(&(struct pbx_session_parts){ parts.items, parts.count }), &parts.items[0]);
	ua_parts_fini(&parts);
}
END_TEST

START_TEST(line_ends_may_be_bare_and_headers_continued)
{
	ck_assert_int_eq(read_text("\"a b\"", "--a b\nContent-Type:\n\ttext/xml;\n charset=utf-8\n\n <a/>\n--a bc\n--a b--"), PBX_OK);
	ck_assert_uint_eq(parts.count, 1);
	is_part(0, "text/xml", "", " <a/>\n--a bc");
	ua_parts_fini(&parts);
}
END_TEST

START_TEST(a_part_may_be_empty)
{
	ck_assert_int_eq(read_text("x", "--x\r\n--x\r\nContent-Type: a/b\r\n--x--"), PBX_OK);
	ck_assert_uint_eq(parts.count, 2);
	is_part(0, "text/plain", "", "");
	is_part(1, "a/b", "", "");
	ua_parts_fini(&parts);
}
END_TEST

START_TEST(what_has_no_parts_is_refused)
{
	static const char *const bad[] = {
		"",
		"--x",
		"--x\r\n\r\nbody\r\n",
		"--x--\r\n",
		"--y\r\n\r\nbody\r\n--y--\r\n",
		"a--x\r\n\r\nbody\r\n--x--\r\n",
		"--x\r\nno header\r\n\r\nbody\r\n--x--\r\n",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(read_text("x", bad[i]) == PBX_EINVAL, "'%s'", bad[i]);
	ck_assert_int_eq(read_text(NULL, "--x\r\n\r\n\r\n--x--"), PBX_EINVAL);
	ck_assert_int_eq(read_text("\"\"", "--\r\n\r\n\r\n----"), PBX_EINVAL);
	ck_assert_int_eq(read_text("seventy-one-characters-are-one-more-than-a-boundary-may-have-so-it-is-not", "x"), PBX_EINVAL);
	ck_assert_int_eq(read_text("x", "--x\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--x--"), PBX_ENOTSUP);
	ck_assert_int_eq(
		read_text("x", "--x\r\n\r\n--x\r\n\r\n--x\r\n\r\n--x\r\n\r\n--x\r\n\r\n--x\r\n\r\n--x\r\n\r\n--x\r\n\r\n--x\r\n\r\n--x--"),
		PBX_ENOSPC);
}
END_TEST

START_TEST(a_zero_byte_in_a_header_harms_nobody)
{
	static const char text[] =
		"--x\r\nContent-Type: application/sdp\r\0\0\0--x\r\nContent-Disposition: a\0b;c\r\n\r\nw\0w\r\n--x--\r\n";

	ck_assert_int_eq(ua_parts_read_body("multipart/mixed", "x", NULL, text, sizeof text - 1, &parts), PBX_OK);
	ck_assert_uint_eq(parts.count, 1);
	ck_assert_str_eq(parts.items[0].type, "application/sdp");
	ck_assert_str_eq(parts.items[0].disposition, "a");
	ck_assert_uint_eq(parts.items[0].length, 3);
	ck_assert_mem_eq(parts.items[0].body, "w\0w", 4);
	ua_parts_fini(&parts);
}
END_TEST

START_TEST(one_body_is_none_of_several)
{
	ck_assert_int_eq(ua_parts_read_body("application/sdp", NULL, "session", "v=0\r\n", 5, &parts), PBX_OK);
	ck_assert_uint_eq(parts.count, 1);
	is_part(0, "application/sdp", "session", "v=0\r\n");
	ua_parts_fini(&parts);
}
END_TEST

START_TEST(what_is_written_can_be_read)
{
	const struct pbx_session_part rows[] = {
		{ .size = sizeof rows[0], .type = "Application/SDP ;x=y", .body = "v=0\r\n" },
		{ .size = sizeof rows[0], .type = "a/b", .disposition = "render", .body = "\r\n--", .length = 4 },
		{ .size = sizeof rows[0], .type = "c/d" },
	};
	struct ua_body body;

	ck_assert_int_eq(ua_body_write(&(struct pbx_session_parts){ rows, 3 }, &body), PBX_OK);
	ck_assert_str_eq(body.sdp, "v=0\r\n");
	ck_assert_uint_eq(body.length, strlen(body.text));
	ck_assert_int_eq(read_text(strstr(body.type, "boundary=") + 9, body.text), PBX_OK);
	ck_assert_uint_eq(parts.count, 3);
	is_part(0, "Application/SDP", "", "v=0\r\n");
	is_part(1, "a/b", "render", "\r\n--");
	is_part(2, "c/d", "", "");
	ua_parts_fini(&parts);
	ua_body_fini(&body);

	ck_assert_int_eq(ua_body_write(&(struct pbx_session_parts){ rows + 1, 1 }, &body), PBX_OK);
	ck_assert_str_eq(body.type, "a/b");
	ck_assert_str_eq(body.disposition, "render");
	ck_assert_ptr_null(body.sdp);
	ua_body_fini(&body);
	ck_assert_int_eq(ua_body_write(&(struct pbx_session_parts){ 0 }, &body), PBX_OK);
	ck_assert_ptr_null(body.type);
	ua_body_fini(&body);
}
END_TEST

START_TEST(without_memory_nothing_is_written_or_read)
{
	const struct pbx_session_part rows[] = {
		{ .size = sizeof rows[0], .type = "application/sdp", .disposition = "session", .body = "v=0\r\n" },
		{ .size = sizeof rows[0], .type = "a/b", .body = "c" },
	};
	struct ua_body body;

	for (uint32_t count = 1; count <= 2; count++) {
		unsigned needed = 0;
		int err = PBX_ENOMEM;

		for (; err == PBX_ENOMEM && needed < 10; needed++) {
			granted = needed;
			err = ua_body_write(&(struct pbx_session_parts){ rows, count }, &body);
			granted = UINT_MAX;
		}
		ck_assert_int_eq(err, PBX_OK);
		ck_assert_uint_gt(needed, 1);
		ua_body_fini(&body);
	}
	granted = 0;
	int err = read_text("x", "--x\r\n\r\n\r\n--x--");
	granted = UINT_MAX;
	ck_assert_int_eq(err, PBX_ENOMEM);
}
END_TEST

/* A plugin that was built when a row had more members: its rows are further apart. */
START_TEST(rows_of_a_newer_plugin_are_read)
{
	struct newer {
		struct pbx_session_part is;
		const char *more;
	} rows[] = {
		{ { .size = sizeof rows[0], .type = "application/sdp", .body = "v=0\r\n" }, "" },
		{ { .size = sizeof rows[0], .type = "a/b", .body = "c" }, "" },
	};
	struct ua_body body;

	ck_assert_int_eq(ua_body_write(&(struct pbx_session_parts){ &rows[0].is, 2 }, &body), PBX_OK);
	ck_assert_ptr_nonnull(strstr(body.text, "Content-Type: a/b\r\n\r\nc\r\n"));
	ua_body_fini(&body);
}
END_TEST

CHECK_MAIN("multipart", parts_have_types_dispositions_and_bodies, line_ends_may_be_bare_and_headers_continued, a_part_may_be_empty,
	   what_has_no_parts_is_refused, a_zero_byte_in_a_header_harms_nobody, one_body_is_none_of_several, what_is_written_can_be_read,
	   without_memory_nothing_is_written_or_read, rows_of_a_newer_plugin_are_read)
