/* tests/fuzz/fuzz_session_sdp.c - a recorder's answer of anything; what is wanted has an address and ports that can be */
#include "session_sdp.h"
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct session_wish *wish)
{
	uint8_t octets[16];

	assert(wish->rtp_port <= 65535 && wish->rtcp_port <= 65535 && memchr(wish->address, 0, sizeof wish->address));
	assert(!wish->is_wanted ||
	       (wish->rtp_port && (inet_pton(AF_INET, wish->address, octets) == 1 || inet_pton(AF_INET6, wish->address, octets) == 1)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session_wish wishes[SESSION_STREAMS];
	const char *why;

	for (int encrypted = 0; encrypted < 2; encrypted++) {
		int result = session_sdp_read((const char *)data, size, encrypted, wishes, &why);

		assert((result == PBX_OK) == (why == NULL));
		for (uint32_t at = 0; result == PBX_OK && at < SESSION_STREAMS; at++)
			check(&wishes[at]);
	}
	return 0;
}
