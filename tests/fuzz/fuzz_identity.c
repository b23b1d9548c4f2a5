/* tests/fuzz/fuzz_identity.c - what an INVITE of ours says of its caller, whatever the names and numbers are: Diversion, History-Info, P-Asserted-Identity,
 * Remote-Party-ID, Referred-By. No text becomes a line of its own, and Sofia reads each line again. And what others say of those who sent a call on */
#include "caller.h"
#include "history.h"
#include "identity.h"
#include "passing.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ua_settings settings = { .domain = "pbx.test", .send_p_asserted_identity = true, .send_remote_party_id = true };
static const struct ua part = { .settings = &settings };

/* Complete lines of headers that we write, and nothing else. */
static void check_lines(const char *lines)
{
	static const char *const ours[] = { "P-Asserted-Identity: ", "P-Preferred-Identity: ", "Remote-Party-ID: ", "Privacy: ",
					    "Diversion: ",           "History-Info: ",         "Referred-By: ",     "X-Passed: " };

	for (const char *line = lines; line && *line; line += strcspn(line, "\n") + 1) {
		size_t length = strcspn(line, "\n"), at = 0;

		while (at < sizeof ours / sizeof ours[0] && strncmp(line, ours[at], strlen(ours[at])) != 0)
			at++;
		assert(at < sizeof ours / sizeof ours[0]);
		assert(line[length] == '\n' && !memchr(line, '\r', length));
	}
}

static void check_address(su_home_t *home, const char *address)
{
	const sip_from_t *read = sip_from_make(home, address);

	assert(read && read->a_url->url_host && !read->a_next);
}

/* What others say of those who sent a call on: numbers that fit, reasons that there are. */
static void read_history(const char *name, const char *value)
{
	sip_unknown_t header[1];
	sip_t sip[1] = { 0 };
	struct ua_history history;

	sip_unknown_init(header);
	header->un_name = name;
	header->un_value = value;
	sip->sip_unknown = header;
	ua_history_read(sip, &history);
	for (uint32_t i = 0; i < history.count; i++)
		assert(history.entries[i].number[0] && history.entries[i].reason >= PBX_FORWARD_UNCONDITIONAL &&
		       history.entries[i].reason <= PBX_FORWARD_DND);
	assert(ua_history_reason(sip) <= PBX_FORWARD_DND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	char number[64], name[128], address[600], from[700], lines[8192], text[2048];
	size_t split = size > 1 ? data[0] % size : 0;

	(void)snprintf(number, sizeof number, "%.*s", (int)split, (const char *)data);
	(void)snprintf(name, sizeof name, "%.*s", (int)(size - split), (const char *)data + split);
	const struct core_diversion diversions[] = { { number, 1 }, { name, 3 } };
	struct core_invite invite = { .from_number = number,
				      .from_name = name,
				      .asserted_number = name,
				      .asserted_name = number,
				      .referred_by = number,
				      .headers = "X-Passed: 1\nX-MAC-Address: 00:15:65:ab:cd:ef\n",
				      .diversions = diversions,
				      .diversion_count = 2 };
	struct pbx_sip_peer peer = { .host = "carrier.test", .from_domain = "", .from_user = "", .user = "user", .show = UINT32_MAX };

	ua_identity_address(&part, number, name, address, sizeof address);
	check_address(home, address);
	ua_identity_diversions(&part, &invite, text, sizeof text);
	check_lines(text);
	ua_identity_referred_by(&part, &invite, text, sizeof text);
	check_lines(text);
	for (uint32_t withheld = 0; withheld < 2; withheld++) {
		char *said = ua_identity_headers(&part, number, name, withheld);

		check_lines(said);
		free(said);
		invite.flags = withheld ? PBX_TARGET_WITHHELD : 0;
		peer.flags = size & 1 ? PBX_SIP_TRUSTED : 0;
		ua_identity_for_peer(&peer, &invite, from, sizeof from, lines, sizeof lines);
		check_address(home, from);
		check_lines(lines);
	}
	(void)snprintf(text, sizeof text, "%.*s", (int)size, (const char *)data);
	read_history("Diversion", text);
	read_history("History-Info", text);
	su_home_deinit(home);
	return 0;
}
