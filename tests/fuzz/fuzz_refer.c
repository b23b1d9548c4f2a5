/* tests/fuzz/fuzz_refer.c - where a phone wants somebody sent: Refer-To with Replaces in its URI, Replaces itself, and which device it says it is */
#include "dialog_internal.h"
#include "identity.h"
#include "passing.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_replaces(su_home_t *home, const char *text)
{
	const sip_replaces_t *replaces = sip_replaces_make(home, text);

	assert(!replaces || replaces->rp_call_id);
}

static void read_refer_to(su_home_t *home, const char *text)
{
	const sip_refer_to_t *refer_to = sip_refer_to_make(home, text);
	char user[64], replaces[UA_MOST_REPLACES];

	if (!refer_to || refer_to->r_url->url_type == url_invalid)
		return;
	ua_identity_user(refer_to->r_url, user, sizeof user);
	assert(memchr(user, '\0', sizeof user));
	bool attended = ua_refer_replaces(refer_to->r_url, replaces);
	assert(memchr(replaces, '\0', sizeof replaces) && (attended || !replaces[0]));
	read_replaces(home, replaces);
}

static void read_mac(const char *text)
{
	char mac[UA_MAC_SIZE];

	if (ua_mac_of(text, "", "", mac) || ua_mac_of("sip:a@b", text, "", mac) || ua_mac_of("sip:a@b", "", text, mac))
		assert(strlen(mac) == UA_MAC_SIZE - 1 && strspn(mac, "0123456789abcdef:") == UA_MAC_SIZE - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	char *text = su_strndup(home, (const char *)data, (isize_t)size);

	if (text) {
		read_refer_to(home, text);
		read_replaces(home, text);
		read_mac(text);
	}
	su_home_deinit(home);
	return 0;
}
