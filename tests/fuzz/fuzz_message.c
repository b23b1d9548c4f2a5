/* tests/fuzz/fuzz_message.c - a datagram on its way in: its first line, Sofia's reading, and what of ours looks at it before anybody has proved
 * anything */
#include "agent.h"
#include "authorization.h"
#include "caller.h"
#include "contact.h"
#include "identity.h"
#include "screen.h"
#include <assert.h>
#include <sofia-sip/msg_buffer.h>
#include <sofia-sip/sip_util.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ua_settings settings = { .domain = "pbx.test", .session_timers = "on", .reliable = "on" };
static struct ua part = { .settings = &settings };

/* An answer is made of whole lines of the request, and has all that an answer needs. */
static void answer(const char *bytes, size_t size)
{
	char text[4096];
	const char *why = NULL;
	int status = ua_screen(bytes, size, &why);

	assert(status == UA_SCREEN_PASS || (why && *why));
	if (status <= 0)
		return;
	size_t length = ua_screen_answer(bytes, size, status, text, sizeof text);
	assert(length < sizeof text);
	assert(length == 0 || (memcmp(text, "SIP/2.0 ", 8) == 0 && memcmp(text + length - 4, "\r\n\r\n", 4) == 0));
}

static void read_request(msg_t *msg, sip_t *sip)
{
	struct ua_request request = { .ua = &part, .msg = msg, .sip = sip, .transport = "udp" };
	char user[64], unsupported[512];
	struct ua_caller caller;
	struct ua_credentials credentials;
	struct ua_contact contact;

	for (uint32_t is_peer = 0; is_peer < 2; is_peer++) {
		request.from_peer = is_peer;
		ua_caller_read(&request, &caller);
		assert(memchr(caller.number, '\0', sizeof caller.number) && memchr(caller.name, '\0', sizeof caller.name));
		assert(!caller.withheld || !caller.number[0]);
	}
	(void)ua_caller_is_own(sip, "1001"); /* either is fine */
	ua_identity_user(sip->sip_request->rq_url, user, sizeof user);
	assert(memchr(user, '\0', sizeof user));
	(void)ua_identity_forwarded(sip);
	if (ua_requires_unknown(&part, NULL, sip, unsupported, sizeof unsupported))
		assert(memchr(unsupported, '\n', sizeof unsupported));
	for (const sip_auth_t *each = sip->sip_authorization; each; each = each->au_next)
		(void)ua_credentials_read(each, "pbx.test", &credentials); /* either is fine */
	for (const sip_contact_t *each = sip->sip_contact; each; each = each->m_next)
		(void)ua_contact_read(sip->sip_contact, each, &contact); /* either is fine */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1);

	assert(copy);
	memcpy(copy, data, size);
	copy[size] = '\0';
	answer(copy, size);
	free(copy);

	msg_t *msg = msg_make(sip_default_mclass(), 0, data, (ssize_t)size);
	sip_t *sip = sip_object(msg);
	/* As nta does before it shows a request to anybody. */
	if (sip && sip->sip_request && sip_sanity_check(sip) == 0 && !(sip->sip_flags & MSG_FLG_ERROR))
		read_request(msg, sip);
	msg_destroy(msg);
	return 0;
}
