/* tests/fuzz/fuzz_sdp.c - an offer of anything; what we accept we must be able to answer, and to read our answer again */
#include "sdp.h"
#include <assert.h>
#include <pbx/abi.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct core_media_desc offer, again;
	struct ua_sdp session, reader;
	char body[UA_SDP_SIZE];

	ua_sdp_init(&session, 1);
	memset(&offer, 0, sizeof offer);
	if (ua_sdp_read(&session, (const char *)data, size, false, &offer) != PBX_OK)
		return 0;
	assert(session.audio < session.line_count && session.line_count <= UA_MOST_LINES);
	assert(offer.codec_count <= CORE_MOST_CODECS && offer.direction <= 3);
	if (ua_sdp_write(&session, &offer, body) != PBX_OK)
		return 0;
	ua_sdp_init(&reader, 1);
	reader.line_count = session.line_count;
	reader.audio = session.audio;
	memset(&again, 0, sizeof again);
	int result = ua_sdp_read(&reader, body, strlen(body), true, &again);
	assert(result == PBX_OK);
	assert(again.present == (offer.present && offer.codec_count > 0));
	assert(!again.present || again.codec_count == offer.codec_count);
	return 0;
}
