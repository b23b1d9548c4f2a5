/* tests/core/test_negotiate.c - offer and answer by table
 *
 * A description is written "PCMU/8000@0 opus/48000/2@111" with its direction behind a bar: "… | sendrecv". Results are written the same way,
 * so that a row reads like the SDP it stands for. */
#include "../check_main.h"
#include "calls.h"
#include <arpa/inet.h>
#include <string.h>

static const char *const directions[] = { "inactive", "sendonly", "recvonly", "sendrecv" };

static struct core_addr addr(const char *text, uint16_t port)
{
	struct core_addr addr = { .in4 = { .sin_family = AF_INET, .sin_port = htons(port) } };

	if (strchr(text, ':')) {
		addr.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		ck_assert_int_eq(inet_pton(AF_INET6, text, &addr.in6.sin6_addr), 1);
	} else {
		ck_assert_int_eq(inet_pton(AF_INET, text, &addr.in4.sin_addr), 1);
	}
	return addr;
}

static void read_codec(char *word, struct core_codec *codec)
{
	char *number = strchr(word, '@'), *clock = strchr(word, '/'), *fmtp = strchr(word, ';');
	unsigned hz, channels = 1;

	ck_assert_msg(number && clock, "codec %s", word);
	if (fmtp) {
		*fmtp = '\0';
		(void)snprintf(codec->fmtp, sizeof codec->fmtp, "%s", fmtp + 1);
	}
	codec->payload_type = (uint8_t)atoi(number + 1);
	*number = '\0';
	*clock = '\0';
	(void)snprintf(codec->name, sizeof codec->name, "%.19s", word);
	ck_assert_int_ge(sscanf(clock + 1, "%u/%u", &hz, &channels), 1);
	codec->clock_hz = hz;
	codec->channels = (uint8_t)channels;
}

static uint8_t read_direction(const char *text)
{
	for (uint8_t i = 0; i < 4; i++)
		if (strcmp(text, directions[i]) == 0)
			return i;
	ck_abort_msg("direction %s", text);
}

/* "" is no description at all: an INVITE without SDP. */
static struct core_media_desc desc(const char *text)
{
	struct core_media_desc desc = { .present = text[0] != '\0', .rtp = addr("192.0.2.1", 4000), .direction = CORE_SEND | CORE_RECV };
	char copy[1024], *words = copy, *word;
	bool bar = false;

	(void)snprintf(copy, sizeof copy, "%s", text);
	while ((word = strsep(&words, " "))) {
		if (strcmp(word, "|") == 0)
			bar = true;
		else if (bar)
			desc.direction = read_direction(word);
		else if (word[0])
			read_codec(word, &desc.codecs[desc.codec_count++]);
	}
	return desc;
}

static const char *write_codecs(const struct core_codec *codecs, uint8_t count)
{
	static char text[4][1024];
	static unsigned turn;
	char *at = text[turn++ % 4], *begin = at;

	*at = '\0';
	for (uint8_t i = 0; i < count; i++) {
		at += sprintf(at, "%s%s/%u", i ? " " : "", codecs[i].name, codecs[i].clock_hz);
		if (codecs[i].channels > 1)
			at += sprintf(at, "/%u", codecs[i].channels);
		at += sprintf(at, "@%u", codecs[i].payload_type);
		if (codecs[i].fmtp[0])
			at += sprintf(at, ";%s", codecs[i].fmtp);
	}
	return begin;
}

static const char own[] = "PCMU/8000@0 PCMA/8000@8 telephone-event/8000@101;0-16";

/* ---- our offer ---- */

START_TEST(an_offer_has_the_callers_codecs_first_then_ours_without_doubles)
{
	static const struct {
		const char *caller, *offer;
	} rows[] = {
		{ "", "PCMU/8000@0 PCMA/8000@8 telephone-event/8000@101;0-16" },
		{ "PCMA/8000@8", "PCMA/8000@8 PCMU/8000@0 telephone-event/8000@101;0-16" },
		{ "pcma/8000@8 PCMU/8000@0", "pcma/8000@8 PCMU/8000@0 telephone-event/8000@101;0-16" },
		/* what we cannot do ourselves passes through, with its number and parameters */
		{ "opus/48000/2@111;useinbandfec=1 PCMU/8000@0",
		  "opus/48000/2@111;useinbandfec=1 PCMU/8000@0 PCMA/8000@8 telephone-event/8000@101;0-16" },
		/* the caller's 101 is Opus: our telephone-event gets another number */
		{ "opus/48000/2@101", "opus/48000/2@101 PCMU/8000@0 PCMA/8000@8 telephone-event/8000@96;0-16" },
		/* keys keep the caller's number, and stand behind speech wherever they stood before */
		{ "telephone-event/8000@97 G729/8000@18", "G729/8000@18 PCMU/8000@0 PCMA/8000@8 telephone-event/8000@97" },
		/* the same name at another clock is another codec */
		{ "speex/16000@98 speex/8000@97", "speex/16000@98 speex/8000@97 PCMU/8000@0 PCMA/8000@8 telephone-event/8000@101;0-16" },
		{ "CN/8000@13 PCMU/8000@0", "PCMU/8000@0 PCMA/8000@8 CN/8000@13 telephone-event/8000@101;0-16" },
		{ "PCMU/8000@0 PCMU/8000@0", "PCMU/8000@0 PCMA/8000@8 telephone-event/8000@101;0-16" },
	};
	const struct core_media_desc ours = desc(own);
	const struct core_addr local = addr("198.51.100.1", 20000);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct core_media_desc caller = desc(rows[i].caller), offer;

		core_offer_make(&caller, ours.codecs, ours.codec_count, &local, CORE_SEND | CORE_RECV, &offer);
		ck_assert_str_eq(write_codecs(offer.codecs, offer.codec_count), rows[i].offer);
		ck_assert(offer.present && offer.direction == (CORE_SEND | CORE_RECV));
		ck_assert_uint_eq(ntohs(offer.rtp.in4.sin_port), 20000);
	}
}
END_TEST

START_TEST(a_very_long_list_keeps_room_for_keys_and_never_doubles_a_number)
{
	const struct core_media_desc ours = desc(own);
	const struct core_addr local = addr("198.51.100.1", 20000);
	struct core_media_desc caller = { .present = true }, offer;
	bool used[128] = { false };

	for (uint8_t i = 0; i < CORE_MOST_CODECS; i++) {
		(void)snprintf(caller.codecs[i].name, sizeof caller.codecs[i].name, "strange-%u", i);
		caller.codecs[i].clock_hz = 8000;
		caller.codecs[i].payload_type = 96; /* a careless caller: all the same */
	}
	caller.codec_count = CORE_MOST_CODECS;
	core_offer_make(&caller, ours.codecs, ours.codec_count, &local, CORE_SEND | CORE_RECV, &offer);
	ck_assert_uint_eq(offer.codec_count, CORE_MOST_CODECS);
	ck_assert_str_eq(offer.codecs[CORE_MOST_CODECS - 1].name, "telephone-event");
	for (uint8_t i = 0; i < offer.codec_count; i++) {
		ck_assert(!used[offer.codecs[i].payload_type]);
		used[offer.codecs[i].payload_type] = true;
	}
}
END_TEST

START_TEST(a_caller_with_a_long_list_is_offered_to_those_who_speak_only_ours)
{
	const struct core_media_desc ours = desc(own), knows = desc("PCMA/8000@8");
	const struct core_addr local = addr("198.51.100.1", 20000);
	struct core_media_desc caller = { .present = true }, offer;

	for (uint8_t i = 0; i < CORE_MOST_CODECS; i++)
		caller.codecs[i] =
			(struct core_codec){ .name = "strange", .clock_hz = 1000u + i, .channels = 1, .payload_type = (uint8_t)(30 + i) };
	caller.codecs[CORE_MOST_CODECS - 1] = ours.codecs[0];
	caller.codec_count = CORE_MOST_CODECS;
	core_offer_make(&caller, ours.codecs, ours.codec_count, &local, CORE_SEND | CORE_RECV, &offer);
	ck_assert_uint_eq(offer.codec_count, CORE_MOST_CODECS);
	ck_assert_str_eq(offer.codecs[0].name, "strange"); /* as many of them as there is room for, in the caller's order */
	ck_assert_uint_eq(offer.codecs[20].clock_hz, 1020);
	ck_assert_str_eq(write_codecs(offer.codecs + 21, 3), "PCMU/8000@0 PCMA/8000@8 telephone-event/8000@101;0-16");

	struct core_media_desc answer;
	struct core_stream_config config;
	ck_assert_int_eq(core_answer_make(&offer, knows.codecs, knows.codec_count, &local, CORE_SEND | CORE_RECV, &answer, &config),
			 PBX_OK);
}
END_TEST

/* ---- our answer ---- */

START_TEST(an_answer_keeps_the_offerers_numbers_and_order)
{
	static const struct {
		const char *offer, *may, *answer;
	} rows[] = {
		{ "PCMU/8000@0 PCMA/8000@8 telephone-event/8000@101", own, "PCMU/8000@0 PCMA/8000@8 telephone-event/8000@101;0-16" },
		{ "PCMA/8000@8 PCMU/8000@0", own, "PCMA/8000@8 PCMU/8000@0" },
		/* dynamic numbers are the offerer's, whatever ours are */
		{ "PCMU/8000@118 telephone-event/8000@96", own, "PCMU/8000@118 telephone-event/8000@96;0-16" },
		/* what the callee chose is all the caller gets: no transcoding */
		{ "PCMU/8000@0 PCMA/8000@8 telephone-event/8000@101", "PCMA/8000@8", "PCMA/8000@8" },
		/* Opus passes through under the caller's number with the callee's parameters */
		{ "opus/48000/2@107 PCMU/8000@0 telephone-event/8000@96", "opus/48000/2@111;usedtx=1 telephone-event/8000@101",
		  "opus/48000/2@107;usedtx=1 telephone-event/8000@96" },
		/* mono Opus is not the Opus of RFC 7587 */
		{ "opus/48000@107 PCMA/8000@8", "opus/48000/2@111 PCMA/8000@8", "PCMA/8000@8" },
		{ "pcmu/8000@0", own, "pcmu/8000@0" },
		{ "PCMU/16000@97 PCMA/8000@8", own, "PCMA/8000@8" },
		{ "G729/8000@18", own, NULL },
		{ "telephone-event/8000@101", own, NULL }, /* keys without speech are no conversation */
		{ "CN/8000@13", "CN/8000@13", NULL },
		{ "", own, NULL },
	};
	const struct core_addr local = addr("198.51.100.1", 20000);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct core_media_desc offer = desc(rows[i].offer), may = desc(rows[i].may);
		struct core_media_desc answer;
		struct core_stream_config config;
		int result = core_answer_make(&offer, may.codecs, may.codec_count, &local, CORE_SEND | CORE_RECV, &answer, &config);

		if (!rows[i].answer) {
			ck_assert_int_eq(result, PBX_ENOTSUP);
			continue;
		}
		ck_assert_int_eq(result, PBX_OK);
		ck_assert_str_eq(write_codecs(answer.codecs, answer.codec_count), rows[i].answer);
	}
}
END_TEST

START_TEST(an_answers_direction_mirrors_the_offers_and_a_hold_by_address_is_a_hold)
{
	static const struct {
		const char *address;
		uint16_t port;
		const char *offered, *ours, *answered;
	} rows[] = {
		{ "192.0.2.1", 4000, "sendrecv", "sendrecv", "sendrecv" },   { "192.0.2.1", 4000, "sendonly", "sendrecv", "recvonly" },
		{ "192.0.2.1", 4000, "recvonly", "sendrecv", "sendonly" },   { "192.0.2.1", 4000, "inactive", "sendrecv", "inactive" },
		{ "192.0.2.1", 4000, "sendrecv", "inactive", "inactive" },   { "192.0.2.1", 4000, "sendonly", "sendonly", "inactive" },
		{ "0.0.0.0", 4000, "sendrecv", "sendrecv", "recvonly" },     { "192.0.2.1", 0, "sendrecv", "sendrecv", "recvonly" },
		{ "0.0.0.0", 4000, "sendonly", "sendrecv", "recvonly" },     { "::", 4000, "sendrecv", "sendrecv", "recvonly" },
		{ "2001:db8::1", 4000, "sendrecv", "sendrecv", "sendrecv" },
	};
	const struct core_media_desc may = desc(own);
	const struct core_addr local = addr("198.51.100.1", 20000);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct core_media_desc offer = desc("PCMU/8000@0"), answer;
		struct core_stream_config config;

		offer.rtp = addr(rows[i].address, rows[i].port);
		offer.direction = read_direction(rows[i].offered);
		ck_assert_int_eq(
			core_answer_make(&offer, may.codecs, may.codec_count, &local, read_direction(rows[i].ours), &answer, &config),
			PBX_OK);
		ck_assert_msg(answer.direction == read_direction(rows[i].answered), "row %zu: %s", i, directions[answer.direction]);
		ck_assert_uint_eq(config.direction, answer.direction);
		bool nowhere = strcmp(rows[i].address, "0.0.0.0") == 0 || strcmp(rows[i].address, "::") == 0 || rows[i].port == 0;
		ck_assert_msg((config.rtp.sa.sa_family == AF_UNSPEC) == nowhere, "row %zu: packets are sent to nowhere", i);
	}
}
END_TEST

START_TEST(the_stream_learns_codecs_keys_and_packet_time_from_an_answer_made)
{
	struct core_media_desc offer = desc("telephone-event/8000@96 PCMA/8000@8 PCMU/8000@0"), answer;
	const struct core_media_desc may = desc(own);
	const struct core_addr local = addr("198.51.100.1", 20000);
	struct core_stream_config config;

	offer.ptime_ms = 40;
	offer.maxptime_ms = 30;
	offer.rtcp_mux = offer.rtcp_rsize = true;
	offer.xr = CORE_XR_VOIP;
	ck_assert_int_eq(core_answer_make(&offer, may.codecs, may.codec_count, &local, CORE_SEND | CORE_RECV, &answer, &config), PBX_OK);
	ck_assert_str_eq(write_codecs(config.codecs, config.codec_count), "PCMA/8000@8 PCMU/8000@0");
	ck_assert_uint_eq(config.dtmf_type, 96);
	ck_assert_uint_eq(config.dtmf_receive_type, 96);
	ck_assert_uint_eq(config.ptime_ms, 30);
	ck_assert(config.rtcp_mux && answer.rtcp_mux && answer.rtcp_rsize);
	ck_assert_uint_eq(config.xr, CORE_XR_VOIP); /* what it wants to be told */
	ck_assert_uint_eq(answer.xr, CORE_XR_OURS); /* and what we do */
	ck_assert_uint_eq(ntohs(config.rtp.in4.sin_port), 4000);
}
END_TEST

/* ---- the peer's answer ---- */

START_TEST(reports_go_where_sdp_says_or_to_the_next_port)
{
	struct core_media_desc offer = desc("PCMU/8000@0"), answer;
	const struct core_media_desc may = desc(own);
	const struct core_addr local = addr("198.51.100.1", 20000);
	struct core_stream_config config;

	ck_assert_int_eq(core_answer_make(&offer, may.codecs, may.codec_count, &local, CORE_SEND | CORE_RECV, &answer, &config), PBX_OK);
	ck_assert_uint_eq(config.rtcp.in4.sin_addr.s_addr, offer.rtp.in4.sin_addr.s_addr);
	ck_assert_uint_eq(ntohs(config.rtcp.in4.sin_port), 4001);
	offer.rtcp = addr("192.0.2.77", 5000);
	ck_assert_int_eq(core_answer_make(&offer, may.codecs, may.codec_count, &local, CORE_SEND | CORE_RECV, &answer, &config), PBX_OK);
	ck_assert_mem_eq(&config.rtcp.in4, &offer.rtcp.in4, sizeof config.rtcp.in4);
	offer.rtcp = (struct core_addr){ 0 };
	offer.rtp.in4.sin_port = htons(65535); /* there is no next one */
	ck_assert_int_eq(core_answer_make(&offer, may.codecs, may.codec_count, &local, CORE_SEND | CORE_RECV, &answer, &config), PBX_OK);
	ck_assert_uint_eq(config.rtcp.sa.sa_family, AF_UNSPEC);
	offer.rtp = addr("0.0.0.0", 4000);
	ck_assert_int_eq(core_answer_make(&offer, may.codecs, may.codec_count, &local, CORE_SEND | CORE_RECV, &answer, &config), PBX_OK);
	ck_assert_uint_eq(config.rtcp.sa.sa_family, AF_UNSPEC);
}
END_TEST

START_TEST(an_answer_taken_says_what_each_side_may_send)
{
	static const struct {
		const char *offer, *answer, *codecs;
		uint8_t receive[3], dtmf, dtmf_receive;
	} rows[] = {
		{ own, "PCMA/8000@8 telephone-event/8000@101", "PCMA/8000@8", { 8 }, 101, 101 },
		{ own, "PCMA/8000@8 PCMU/8000@0", "PCMA/8000@8 PCMU/8000@0", { 8, 0 }, 0, 0 },
		/* a peer that renumbers: its number for what we send, ours for what it sends */
		{ "opus/48000/2@111 PCMU/8000@0 telephone-event/8000@101",
		  "opus/48000/2@96 telephone-event/8000@97",
		  "opus/48000/2@96",
		  { 111 },
		  97,
		  101 },
		/* what we did not offer is not agreed */
		{ own, "G722/8000@9 PCMU/8000@0", "PCMU/8000@0", { 0 }, 0, 0 },
		{ own, "G722/8000@9", NULL, { 0 }, 0, 0 },
		{ own, "telephone-event/8000@101", NULL, { 0 }, 0, 0 },
		{ own, "", NULL, { 0 }, 0, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct core_media_desc offer = desc(rows[i].offer), answer = desc(rows[i].answer);
		struct core_stream_config config;
		int result = core_answer_apply(&offer, &answer, &config);

		ck_assert_int_eq(result, rows[i].codecs ? PBX_OK : PBX_ENOTSUP);
		if (result != PBX_OK)
			continue;
		ck_assert_str_eq(write_codecs(config.codecs, config.codec_count), rows[i].codecs);
		for (uint8_t j = 0; j < config.codec_count; j++)
			ck_assert_uint_eq(config.receive_types[j], rows[i].receive[j]);
		ck_assert_uint_eq(config.dtmf_type, rows[i].dtmf);
		ck_assert_uint_eq(config.dtmf_receive_type, rows[i].dtmf_receive);
	}
}
END_TEST

START_TEST(a_hook_flash_is_for_who_lists_it)
{
	static const struct {
		const char *events;
		bool flashes;
	} rows[] = { { "0-16", true }, { "0-15,16", true },  { "16", true },    { "0-11,15-17", true }, { "0-15", false },
		     { "", false },    { "0-15,32", false }, { "junk", false }, { "0-", false },        { "17-", false } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct core_media_desc offer = desc("PCMU/8000@0 telephone-event/8000@101"), answer;
		const struct core_media_desc may = desc(own);
		const struct core_addr local = addr("198.51.100.1", 20000);
		struct core_stream_config config;

		(void)snprintf(offer.codecs[1].fmtp, sizeof offer.codecs[1].fmtp, "%s", rows[i].events);
		ck_assert_int_eq(core_answer_make(&offer, may.codecs, may.codec_count, &local, CORE_SEND | CORE_RECV, &answer, &config),
				 PBX_OK);
		ck_assert_msg(config.flashes == rows[i].flashes, "%s", rows[i].events);
	}
}
END_TEST

START_TEST(an_answer_taken_cannot_widen_the_direction_we_offered)
{
	struct core_media_desc offer = desc(own), answer = desc("PCMU/8000@0");
	struct core_stream_config config;

	offer.direction = 0;
	ck_assert_int_eq(core_answer_apply(&offer, &answer, &config), PBX_OK);
	ck_assert_uint_eq(config.direction, 0);

	offer.direction = CORE_SEND | CORE_RECV;
	answer.direction = CORE_RECV;
	ck_assert_int_eq(core_answer_apply(&offer, &answer, &config), PBX_OK);
	ck_assert_uint_eq(config.direction, CORE_SEND);
}
END_TEST

/* ---- both together: a caller, us, a callee ---- */

START_TEST(caller_and_callee_end_up_with_one_codec_when_they_have_one)
{
	const struct core_media_desc caller = desc("opus/48000/2@107 PCMU/8000@0 PCMA/8000@8 telephone-event/8000@96"), ours = desc(own);
	const struct core_media_desc callee = desc("PCMA/8000@8 telephone-event/8000@96");
	const struct core_addr local = addr("198.51.100.1", 20000);
	struct core_media_desc offer, answer;
	struct core_stream_config to_callee, to_caller;

	core_offer_make(&caller, ours.codecs, ours.codec_count, &local, CORE_SEND | CORE_RECV, &offer);
	ck_assert_int_eq(core_answer_apply(&offer, &callee, &to_callee), PBX_OK);
	ck_assert_int_eq(
		core_answer_make(&caller, to_callee.codecs, to_callee.codec_count, &local, CORE_SEND | CORE_RECV, &answer, &to_caller),
		PBX_OK);
	ck_assert(core_codec_same(&to_caller.codecs[0], &to_callee.codecs[0]));
	ck_assert_str_eq(write_codecs(answer.codecs, answer.codec_count), "PCMA/8000@8");
}
END_TEST

/* ---- keys ---- */

/* Suites in order: "1 2"; each key is told apart by its first octet, tags count from 1. */
static struct core_keys keys_of(const char *suites, uint8_t first, bool required)
{
	struct core_keys keys = { .required = required };

	for (; *suites; suites += strspn(suites, " ")) {
		keys.own[keys.count] = (struct core_crypto){ .suite = (uint8_t)(*suites++ - '0') };
		keys.own[keys.count].key[0] = (uint8_t)(first + keys.count);
		keys.count++;
	}
	return keys;
}

static const struct {
	const char *what, *offered, *ours;
	bool must_offer, must_answer;
	int result;
	uint8_t suite; /* agreed on; 0: plain */
} key_rows[] = {
	{ "nobody wants", "", "", false, false, PBX_OK, 0 },
	{ "both may, the offerer's order counts", "2 1", "1 2", false, false, PBX_OK, 2 },
	{ "one suite in common", "5 3 1", "1 6", false, false, PBX_OK, 1 },
	{ "offered, not to be had", "1", "", false, false, PBX_OK, 0 },
	{ "demanded, not to be had", "1", "", true, false, PBX_ENOTSUP, 0 },
	{ "demanded, no suite in common", "1", "2", true, false, PBX_ENOTSUP, 0 },
	{ "demanded, and had", "1", "1", true, false, PBX_OK, 1 },
	{ "mentioned, and demanded by us", "1", "1", false, true, PBX_OK, 1 },
	{ "plain, where we demand it", "", "1", false, true, PBX_ENOTSUP, 0 },
};

START_TEST(keys_are_agreed_on_by_suite_and_each_side_sends_under_its_own)
{
	for (size_t i = 0; i < sizeof key_rows / sizeof key_rows[0]; i++) {
		const struct core_keys theirs = keys_of(key_rows[i].offered, 10, key_rows[i].must_offer);
		const struct core_keys ours = keys_of(key_rows[i].ours, 50, key_rows[i].must_answer);
		struct core_media_desc offer = { .present = true }, answer = { .present = true };
		struct core_stream_config answerer = { 0 }, offerer = { 0 };

		core_keys_offer(&theirs, &offer);
		ck_assert_msg(offer.secure == (theirs.required && theirs.count), "%s: profile", key_rows[i].what);
		ck_assert_msg(core_keys_suffice(&ours, &offer) == (key_rows[i].result == PBX_OK), "%s: at the door", key_rows[i].what);
		ck_assert_msg(core_keys_answer(&ours, NULL, &offer, &answer, &answerer) == key_rows[i].result, "%s", key_rows[i].what);
		if (key_rows[i].result != PBX_OK)
			continue;
		ck_assert_msg(core_keys_agree(&offer, &answer, &offerer) == PBX_OK, "%s: agreed", key_rows[i].what);
		ck_assert_msg(answerer.send_crypto.suite == key_rows[i].suite && offerer.send_crypto.suite == key_rows[i].suite,
			      "%s: suite", key_rows[i].what);
		ck_assert_mem_eq(answerer.send_crypto.key, offerer.receive_crypto.key, CORE_SRTP_KEY_BYTES);
		ck_assert_mem_eq(offerer.send_crypto.key, answerer.receive_crypto.key, CORE_SRTP_KEY_BYTES);
		ck_assert_msg(key_rows[i].suite == 0 || answerer.send_crypto.key[0] != offerer.send_crypto.key[0], "%s: keys",
			      key_rows[i].what);
	}
}
END_TEST

START_TEST(an_answer_with_a_key_we_did_not_offer_is_none)
{
	const struct core_keys ours = keys_of("1 2", 10, true);
	struct core_media_desc offer = { .present = true }, answer = { .present = true, .secure = true };
	struct core_stream_config config = { 0 };

	core_keys_offer(&ours, &offer);
	ck_assert_int_eq(core_keys_agree(&offer, &answer, &config), PBX_EPERM); /* no key */
	answer.crypto_count = 1;
	answer.cryptos[0] = (struct core_crypto){ .tag = 3, .suite = 1 };
	ck_assert_int_eq(core_keys_agree(&offer, &answer, &config), PBX_EPERM); /* a tag of their own */
	answer.cryptos[0] = (struct core_crypto){ .tag = 2, .suite = 1 };
	ck_assert_int_eq(core_keys_agree(&offer, &answer, &config), PBX_EPERM); /* the tag of another suite */
	ck_assert_uint_eq(config.send_crypto.suite, CORE_SRTP_NONE);
}
END_TEST

/* ---- DTLS ---- */

static struct core_keys keys_with_dtls(uint8_t first, bool offers_dtls)
{
	struct core_keys keys = keys_of("1", first, false);

	keys.dtls = (struct core_dtls){ .hash = CORE_HASH_SHA256, .fingerprint = { first } };
	keys.offers_dtls = offers_dtls;
	return keys;
}

START_TEST(who_is_asked_begins_the_handshake_and_goes_on_with_it)
{
	const struct core_keys browser = keys_with_dtls(1, true), ours = keys_with_dtls(2, false);
	struct core_media_desc offer = { .present = true }, answer = { .present = true };
	struct core_stream_config answerer = { 0 }, offerer = { 0 }, again = { 0 };

	core_keys_offer(&browser, &offer);
	ck_assert(offer.secure && offer.tls && offer.feedback && offer.crypto_count == 0 && offer.dtls.setup == CORE_SETUP_ACTPASS);
	ck_assert(core_keys_suffice(&ours, &offer));
	ck_assert_int_eq(core_keys_answer(&ours, NULL, &offer, &answer, &answerer), PBX_OK);
	ck_assert_uint_eq(answer.dtls.setup, CORE_SETUP_ACTIVE);
	ck_assert_uint_eq(answerer.own_dtls.setup, CORE_SETUP_ACTIVE);
	ck_assert_mem_eq(answerer.peer_dtls.fingerprint, browser.dtls.fingerprint, 32);
	ck_assert_uint_eq(answerer.send_crypto.suite, CORE_SRTP_NONE);
	ck_assert_int_eq(core_keys_agree(&offer, &answer, &offerer), PBX_OK);
	ck_assert_uint_eq(offerer.own_dtls.setup, CORE_SETUP_PASSIVE);
	ck_assert_mem_eq(offerer.peer_dtls.fingerprint, ours.dtls.fingerprint, 32);

	answerer.own_dtls.setup = CORE_SETUP_PASSIVE; /* we had offered first */
	ck_assert_int_eq(core_keys_answer(&ours, &answerer, &offer, &answer, &again), PBX_OK);
	ck_assert_uint_eq(again.own_dtls.setup, CORE_SETUP_PASSIVE);
	offer.dtls.fingerprint[0] ^= 1; /* another certificate is another handshake */
	ck_assert_int_eq(core_keys_answer(&ours, &answerer, &offer, &answer, &again), PBX_OK);
	ck_assert_uint_eq(again.own_dtls.setup, CORE_SETUP_ACTIVE);
	offer.dtls.setup = CORE_SETUP_ACTIVE;
	ck_assert_int_eq(core_keys_answer(&ours, NULL, &offer, &answer, &again), PBX_OK);
	ck_assert_uint_eq(again.own_dtls.setup, CORE_SETUP_PASSIVE);
}
END_TEST

START_TEST(dtls_is_for_who_may_protect_and_keys_come_first_where_the_profile_allows_them)
{
	const struct core_keys browser = keys_with_dtls(1, true), off = keys_of("", 9, false), ours = keys_with_dtls(2, false);
	struct core_media_desc offer = { .present = true }, answer = { .present = true };
	struct core_stream_config config = { 0 };

	core_keys_offer(&browser, &offer);
	ck_assert(!core_keys_suffice(&off, &offer));
	ck_assert_int_eq(core_keys_answer(&off, NULL, &offer, &answer, &config), PBX_ENOTSUP);
	ck_assert_int_eq(core_keys_agree(&offer, &answer, &config), PBX_EPERM); /* an answer without a fingerprint */
	offer.tls = false;                                                      /* RTP/SAVPF with both */
	offer.crypto_count = 1;
	offer.cryptos[0] = (struct core_crypto){ .tag = 1, .suite = 1 };
	ck_assert_int_eq(core_keys_answer(&ours, NULL, &offer, &answer, &config), PBX_OK);
	ck_assert_uint_eq(config.send_crypto.suite, 1);
	ck_assert_uint_eq(config.peer_dtls.hash, CORE_HASH_NONE);
}
END_TEST

START_TEST(levels_are_agreed_on_with_who_comes_by_dtls_under_the_offerers_number)
{
	const struct core_keys browser = keys_with_dtls(1, true);
	struct core_media_desc offer = { .present = true, .level_id = 7, .direction = CORE_SEND | CORE_RECV }, answer;
	struct core_stream_config config;
	struct core_addr local = addr("192.0.2.1", 4000);
	struct core_codec pcmu = { .name = "PCMU", .clock_hz = 8000, .channels = 1 };

	offer.codecs[offer.codec_count++] = pcmu;
	offer.rtp = addr("192.0.2.7", 4000);
	ck_assert_int_eq(core_answer_make(&offer, &pcmu, 1, &local, offer.direction, &answer, &config), PBX_OK);
	ck_assert(answer.level_id == 0 && config.level_id == 0); /* its packets may go by the kernel */
	offer.tls = true;
	ck_assert_int_eq(core_answer_make(&offer, &pcmu, 1, &local, offer.direction, &answer, &config), PBX_OK);
	ck_assert(answer.level_id == 7 && config.level_id == 7);

	ck_assert_int_eq(core_answer_apply(&offer, &answer, &config), PBX_OK);
	ck_assert_uint_eq(config.level_id, 7);
	answer.level_id = 8;
	ck_assert_int_eq(core_answer_apply(&offer, &answer, &config), PBX_OK);
	ck_assert_uint_eq(config.level_id, 0);
	core_keys_offer(&browser, &offer);
	ck_assert_uint_eq(offer.level_id, 1);
}
END_TEST

/* ---- ICE ---- */

static struct core_ice ice_of(const char *ufrag, bool lite)
{
	struct core_ice ice = { .lite = lite, .candidate_count = 2 };

	(void)snprintf(ice.name.ufrag, sizeof ice.name.ufrag, "%s", ufrag);
	(void)snprintf(ice.name.pwd, sizeof ice.name.pwd, "%.4s0123456789012345678901", ufrag);
	ice.candidates[0] = (struct core_candidate){ .addr = addr("192.0.2.7", 4000), .priority = 10, .component = 1 };
	ice.candidates[1] = (struct core_candidate){ .addr = addr("192.0.2.7", 4001), .priority = 9, .component = 2 };
	return ice;
}

static const struct {
	const char *what;
	bool we_lite, peer_lite, peer_has, agreed, answerer_controls, offerer_controls;
} ice_rows[] = {
	{ "both full: the offerer controls", false, false, true, true, false, true },
	{ "the offerer is lite", false, true, true, true, true, true },
	{ "we are lite", true, false, true, true, false, false },
	{ "both lite: nobody would ask", true, true, true, false, false, false },
	{ "a peer without", false, false, false, false, false, false },
};

START_TEST(ice_needs_both_and_one_that_controls)
{
	for (size_t i = 0; i < sizeof ice_rows / sizeof ice_rows[0]; i++) {
		const struct core_ice ours = ice_of("ours", ice_rows[i].we_lite), theirs = ice_of("them", ice_rows[i].peer_lite);
		struct core_media_desc offer = { .present = true }, answer = { .present = true, .rtcp_mux = true };
		struct core_stream_config answerer = { 0 }, offerer = { 0 };

		if (ice_rows[i].peer_has)
			core_ice_offer(&theirs, false, &offer);
		core_ice_answer(&ours, NULL, &offer, &answer, &answerer);
		ck_assert_msg(core_ice_is_on(&answer.ice.name) == ice_rows[i].agreed, "%s: agreed", ice_rows[i].what);
		ck_assert_msg(core_ice_is_on(&answerer.own_ice) == ice_rows[i].agreed, "%s: configured", ice_rows[i].what);
		ck_assert_msg(answerer.ice_controlling == ice_rows[i].answerer_controls, "%s: answering", ice_rows[i].what);
		ck_assert_msg(answer.ice.candidate_count == (ice_rows[i].agreed ? 1 : 0), "%s: one component", ice_rows[i].what);
		memset(&offer, 0, sizeof offer);
		memset(&answer, 0, sizeof answer);
		core_ice_offer(&ours, true, &offer);
		ck_assert_uint_eq(offer.ice.candidate_count, 1);
		if (ice_rows[i].peer_has)
			answer.ice = theirs;
		core_ice_agree(NULL, &offer, &answer, &offerer);
		if (ice_rows[i].agreed)
			ck_assert_msg(offerer.ice_controlling == !ice_rows[i].we_lite, "%s: offering", ice_rows[i].what);
		ck_assert_msg(core_ice_is_on(&offerer.own_ice) == ice_rows[i].agreed, "%s: taken", ice_rows[i].what);
	}
}
END_TEST

START_TEST(connections_are_for_who_shares_a_port)
{
	struct core_ice ours = ice_of("ours", false);
	const struct core_ice theirs = ice_of("them", false);
	struct core_stream_config config = { 0 };

	ours.candidates[ours.candidate_count++] = (struct core_candidate){ .addr = addr("192.0.2.7", 443), .priority = 5, .component = 1 };
	ours.candidates[2].addr.transport = CORE_BY_TCP;
	for (uint32_t shares = 0; shares < 2; shares++) {
		struct core_media_desc offer = { .present = true }, answer = { .present = true, .rtcp_mux = shares };
		uint32_t by_tcp = 0;

		core_ice_offer(&ours, shares, &offer);
		ck_assert_uint_eq(offer.ice.candidate_count, 2);
		offer.ice = theirs;
		core_ice_answer(&ours, NULL, &offer, &answer, &config);
		ck_assert_uint_eq(answer.ice.candidate_count, 2);
		for (uint8_t i = 0; i < answer.ice.candidate_count; i++)
			by_tcp += answer.ice.candidates[i].addr.transport == CORE_BY_TCP;
		ck_assert_uint_eq(by_tcp, shares);
	}
}
END_TEST

START_TEST(late_candidates_are_of_the_generation_that_was_agreed_on)
{
	struct core_ice known = ice_of("them", false), more = ice_of("them", false);

	ck_assert(!core_ice_add(&known, &more)); /* all known */
	more.candidates[1].addr = addr("198.51.100.4", 5000);
	ck_assert(core_ice_add(&known, &more));
	ck_assert_uint_eq(known.candidate_count, 3);
	more = ice_of("last", false);
	more.candidates[0].addr = addr("198.51.100.5", 5000);
	ck_assert(!core_ice_add(&known, &more));
	more.name.ufrag[0] = '\0'; /* it does not say */
	for (uint16_t i = 0; i < 2 * CORE_MOST_CANDIDATES; i++) {
		more.candidates[0].addr = addr("198.51.100.5", (uint16_t)(6000 + i));
		(void)core_ice_add(&known, &more);
	}
	ck_assert_uint_eq(known.candidate_count, CORE_MOST_CANDIDATES);
}
END_TEST

START_TEST(a_name_is_new_each_time_and_as_the_grammar_has_it)
{
	struct core_ice_name one, other;

	core_ice_name_make(&one);
	core_ice_name_make(&other);
	ck_assert(!core_ice_same(&one, &other) && core_ice_same(&one, &one));
	ck_assert_uint_ge(strlen(one.ufrag), 4);
	ck_assert_uint_ge(strlen(one.pwd), 22);
}
END_TEST

START_TEST(nowhere_is_a_hold_unless_ice_looks_for_the_way)
{
	struct core_media_desc browser = { .present = true, .rtp = addr("0.0.0.0", 9), .direction = CORE_SEND | CORE_RECV };

	ck_assert(core_desc_is_nowhere(&browser));
	browser.ice = ice_of("them", false);
	ck_assert(!core_desc_is_nowhere(&browser));
}
END_TEST

CHECK_MAIN("negotiate", keys_are_agreed_on_by_suite_and_each_side_sends_under_its_own, an_answer_with_a_key_we_did_not_offer_is_none,
	   an_offer_has_the_callers_codecs_first_then_ours_without_doubles, a_very_long_list_keeps_room_for_keys_and_never_doubles_a_number,
	   a_caller_with_a_long_list_is_offered_to_those_who_speak_only_ours, an_answer_keeps_the_offerers_numbers_and_order,
	   an_answers_direction_mirrors_the_offers_and_a_hold_by_address_is_a_hold,
	   the_stream_learns_codecs_keys_and_packet_time_from_an_answer_made, reports_go_where_sdp_says_or_to_the_next_port,
	   an_answer_taken_says_what_each_side_may_send, a_hook_flash_is_for_who_lists_it,
	   an_answer_taken_cannot_widen_the_direction_we_offered, caller_and_callee_end_up_with_one_codec_when_they_have_one,
	   who_is_asked_begins_the_handshake_and_goes_on_with_it,
	   dtls_is_for_who_may_protect_and_keys_come_first_where_the_profile_allows_them,
	   levels_are_agreed_on_with_who_comes_by_dtls_under_the_offerers_number, ice_needs_both_and_one_that_controls,
	   connections_are_for_who_shares_a_port, late_candidates_are_of_the_generation_that_was_agreed_on,
	   a_name_is_new_each_time_and_as_the_grammar_has_it, nowhere_is_a_hold_unless_ice_looks_for_the_way)
