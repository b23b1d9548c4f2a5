/* tests/fuzz/fuzz_rtcp.c - one compound of anything, then our own report about it */
#include "fuzz_media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_media media;

	fuzz_media_init(&media);
	media.plans[0].xr = CORE_XR_OURS;
	rtp_rtcp_receive(&media.sessions[0], data, size);
	media.sessions[0].receiver.started = true;
	fuzz_media_pass_ms(&media, 100);
	fuzz_media_pass_ms(&media, 10000); /* a report is due */
	return 0;
}
