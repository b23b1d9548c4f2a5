/* test_place - whom the guards count: one address of IPv4, one /64 of IPv6, however it is written */
#include "../check_main.h"
#include "address_text.h"
#include "place.h"
#include <arpa/inet.h>
#include <string.h>

static struct core_addr address(const char *text)
{
	struct core_addr addr = { 0 };

	if (inet_pton(AF_INET, text, &addr.in4.sin_addr) == 1)
		addr.in4.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &addr.in6.sin6_addr) == 1)
		addr.in6.sin6_family = AF_INET6;
	else
		ck_abort_msg("%s is no address", text);
	addr.in4.sin_port = htons(5060); /* the same place in both families */
	return addr;
}

static bool are_one(const char *a, const char *b)
{
	struct core_addr first = address(a), second = address(b);

	second.in4.sin_port = htons(1024);
	second.transport = CORE_BY_TCP;
	return core_place_same(&first, &second);
}

START_TEST(an_address_of_ipv4_is_one_and_a_network_of_ipv6_is)
{
	ck_assert(are_one("192.0.2.7", "192.0.2.7"));
	ck_assert(!are_one("192.0.2.7", "192.0.2.8"));
	ck_assert(are_one("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"));
	ck_assert(!are_one("2001:db8::1", "2001:db8:0:1::1"));
	ck_assert(are_one("::ffff:192.0.2.7", "192.0.2.7"));
	ck_assert(!are_one("::ffff:192.0.2.7", "::ffff:192.0.2.8"));
	ck_assert(!are_one("::1", "::ffff:0.0.0.1"));
	ck_assert(!are_one("0.0.0.0", "::"));
}
END_TEST

START_TEST(a_place_is_told_in_words)
{
	static const struct {
		const char *address, *place;
	} rows[] = {
		{ "192.0.2.7", "192.0.2.7" },
		{ "192.0.2.7:5060", "192.0.2.7" },
		{ "2001:db8::7", "2001:db8::/64" },
		{ "[2001:db8::7]", "2001:db8::/64" },
		{ "[2001:db8:1:2:3:4:5:6]:5060", "2001:db8:1:2::/64" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff::/64" },
		{ "[::ffff:192.0.2.7]:5060", "192.0.2.7" },
		{ "::1", "::/64" },
		{ "", "" },
		{ "a name", "a name" },
		{ "[", "[" },
		{ "[2001:db8::g]:1", "[2001:db8::g]:1" },
	};
	char place[CORE_PLACE_TEXT];
	struct core_addr none = { 0 };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		core_place_print_of(rows[i].address, place);
		ck_assert_str_eq(place, rows[i].place);
	}
	core_place_print(&none, place);
	ck_assert_str_eq(place, "");
}
END_TEST

START_TEST(what_is_no_address_is_cut_where_it_ends)
{
	char place[CORE_PLACE_TEXT], text[200];

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	core_place_print_of(text, place);
	ck_assert_uint_eq(strlen(place), CORE_PLACE_TEXT - 1);
}
END_TEST

CHECK_MAIN("place", an_address_of_ipv4_is_one_and_a_network_of_ipv6_is, a_place_is_told_in_words, what_is_no_address_is_cut_where_it_ends)
