/* test_websocket_frames.c - messages of a WebSocket from its frames, and the texts around them */
#include <string.h>

#include "check_main.h"
#include "websocket_frames.h"

static char bytes[16];
static struct websocket_message message;

static void begin(void)
{
	message = (struct websocket_message){ .bytes = bytes, .room = sizeof bytes };
}

static uint32_t take(unsigned bits, const char *text)
{
	return websocket_gather(&message, bits, text, strlen(text));
}

static void is_whole(const char *text)
{
	ck_assert(message.is_whole);
	ck_assert_uint_eq(message.size, strlen(text));
	ck_assert_mem_eq(bytes, text, message.size);
}

START_TEST(frames_become_messages)
{
	begin();
	ck_assert_uint_eq(take(0x81, "hello"), 0);
	is_whole("hello");
	ck_assert(message.is_text);
	ck_assert_uint_eq(take(0x02, "in "), 0);
	ck_assert(!message.is_whole);
	ck_assert_uint_eq(take(0x00, ""), 0);
	ck_assert_uint_eq(take(0x80, "pieces"), 0);
	is_whole("in pieces");
	ck_assert(!message.is_text);
	ck_assert_uint_eq(take(0x81, ""), 0);
	is_whole("");
}
END_TEST

START_TEST(frames_that_cannot_follow_are_refused)
{
	begin();
	ck_assert_uint_eq(take(0x80, "the rest of nothing"), WEBSOCKET_PROTOCOL);
	ck_assert_uint_eq(take(0x01, "one"), 0);
	ck_assert_uint_eq(take(0x81, "two"), WEBSOCKET_PROTOCOL);
	begin();
	ck_assert_uint_eq(take(0xc1, "compressed"), WEBSOCKET_PROTOCOL);
	ck_assert_uint_eq(take(0x83, "a kind that is none"), WEBSOCKET_PROTOCOL);
}
END_TEST

START_TEST(a_message_has_room_and_no_more)
{
	begin();
	ck_assert_uint_eq(take(0x81, "0123456789abcdef"), 0);
	is_whole("0123456789abcdef");
	ck_assert_uint_eq(take(0x01, "0123456789abcdef"), 0);
	ck_assert_uint_eq(take(0x80, "g"), WEBSOCKET_TOO_LARGE);
	begin();
	ck_assert_uint_eq(take(0x81, "0123456789abcdefg"), WEBSOCKET_TOO_LARGE);
}
END_TEST

START_TEST(closing_says_why_and_is_answered_in_kind)
{
	char text[WEBSOCKET_CLOSE_MOST], why[200];

	ck_assert_uint_eq(websocket_close_text(WEBSOCKET_REFUSED, "no", text), 4);
	ck_assert_mem_eq(text, "\x03\xf0no", 4);
	ck_assert_uint_eq(websocket_close_status(text, 4), WEBSOCKET_REFUSED);
	memset(why, 'x', sizeof why);
	why[sizeof why - 1] = '\0';
	ck_assert_uint_eq(websocket_close_text(WEBSOCKET_LATER, why, text), WEBSOCKET_CLOSE_MOST);

	ck_assert_uint_eq(websocket_close_status("", 0), WEBSOCKET_DONE);
	ck_assert_uint_eq(websocket_close_status("\x03", 1), WEBSOCKET_PROTOCOL);
	ck_assert_uint_eq(websocket_close_status("\x12\x67", 2), 4711);
	ck_assert_uint_eq(websocket_close_status("\x03\xed", 2), WEBSOCKET_PROTOCOL); /* 1005 stands for a frame that says nothing */
	ck_assert_uint_eq(websocket_close_status("\x00\x00", 2), WEBSOCKET_PROTOCOL);
}
END_TEST

START_TEST(pages_of_ours_and_of_those_named_come_in)
{
	ck_assert(websocket_is_welcome("", NULL, "pbx:9000")); /* no browser */
	ck_assert(websocket_is_welcome("", "https://pbx:9000", "pbx:9000"));
	ck_assert(!websocket_is_welcome("", "https://pbx:9001", "pbx:9000"));
	ck_assert(!websocket_is_welcome("", "null", "pbx:9000"));
	ck_assert(websocket_is_welcome("https://a https://wall", "https://WALL", "pbx:9000"));
	ck_assert(!websocket_is_welcome("https://a https://wall", "https://wal", "pbx:9000"));
	ck_assert(!websocket_is_welcome("https://a https://wall", "https://wall.evil", NULL));
}
END_TEST

START_TEST(a_token_is_found_among_what_is_offered)
{
	size_t size = 0;
	const char *found = websocket_offer("pbx.events,  pbx.bearer.pbx_1 , pbx.bearer.pbx_2", "pbx.bearer.", &size);

	ck_assert_uint_eq(size, 5);
	ck_assert_mem_eq(found, "pbx_1", 5);
	ck_assert_ptr_null(websocket_offer("pbx.events", "pbx.bearer.", &size));
	ck_assert_ptr_null(websocket_offer("pbx.bearer., xpbx.bearer.a", "pbx.bearer.", &size));
	ck_assert_ptr_null(websocket_offer(" ,, ", "pbx.bearer.", &size));
	ck_assert_ptr_null(websocket_offer("", "pbx.bearer.", &size));
}
END_TEST

CHECK_MAIN("websocket_frames", frames_become_messages, frames_that_cannot_follow_are_refused, a_message_has_room_and_no_more,
	   closing_says_why_and_is_answered_in_kind, pages_of_ours_and_of_those_named_come_in, a_token_is_found_among_what_is_offered)
