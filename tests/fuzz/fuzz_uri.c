/* tests/fuzz/fuzz_uri.c - addresses of anything: as URI, as Contact, as numeric host; and any user part we write is read again as it was */
#include "address.h"
#include "as_written.h"
#include "contact.h"
#include "identity.h"
#include <assert.h>
#include <sofia-sip/sip_header.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_uri(su_home_t *home, const char *text)
{
	const url_t *url = url_make(home, text);
	char user[64], value[128];

	if (!url)
		return;
	ua_identity_user(url, user, sizeof user);
	assert(memchr(user, '\0', sizeof user));
	const url_string_t *kept = ua_uri_as_written(home, text);
	if ((const char *)kept != text) {
		char printed[1024];

		assert(url_e(printed, sizeof printed, (const url_t *)kept) < (isize_t)sizeof printed && strcmp(printed, text) == 0);
	}
	if (ua_uri_param(text, "gr", value, sizeof value))
		assert(memchr(value, '\0', sizeof value));
}

static void read_contact(su_home_t *home, const char *text)
{
	const sip_contact_t *list = sip_contact_make(home, text);

	for (const sip_contact_t *contact = list; contact; contact = contact->m_next) {
		struct ua_contact read;

		if (ua_contact_read(list, contact, &read) != PBX_OK)
			continue;
		assert(memchr(read.uri, '\0', sizeof read.uri) && memchr(read.instance, '\0', sizeof read.instance));
		assert(read.q_milli <= 1000 && read.uri[0]);
	}
}

static void read_path(su_home_t *home, const char *text)
{
	const sip_path_t *path = sip_path_make(home, text);
	char line[UA_MOST_PATH];

	if (path && ua_path_read(path, line) == PBX_OK)
		assert(memchr(line, '\0', sizeof line));
	(void)ua_path_has_flow(path); /* either is fine */
}

static void read_address(const char *text)
{
	struct core_addr addr, again;
	char printed[64];

	if (!ua_address_parse(text, &addr))
		return;
	core_address_print(&addr, printed, sizeof printed);
	assert(ua_address_parse(printed, &again) && ua_address_port(&again) == ua_address_port(&addr));
	(void)ua_address_in(&addr, text); /* a port is no network */
}

/* What we escape comes back; a semicolon begins parameters, escaped or not, since Sofia takes the one for the other (RFC 3261 19.1.4). */
static void write_user(su_home_t *home, const char *text)
{
	char escaped[512], uri[600], user[200];

	if (strlen(text) >= 64 || !text[0] || strchr(text, ';'))
		return;
	ua_identity_escape(text, escaped, sizeof escaped);
	(void)snprintf(uri, sizeof uri, "sip:%s@pbx.test", escaped);
	const url_t *url = url_make(home, uri);
	assert(url);
	ua_identity_user(url, user, sizeof user);
	assert(strcmp(user, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	char *text = su_strndup(home, (const char *)data, (isize_t)size);

	if (text) {
		read_uri(home, text);
		read_contact(home, text);
		read_path(home, text);
		read_address(text);
		write_user(home, text);
	}
	su_home_deinit(home);
	return 0;
}
