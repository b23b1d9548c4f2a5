/* tests/fuzz/fuzz_rtp.c - datagrams of anything, from anybody, between two sessions that talk
 *
 * Input: records of one octet (bit 0 which session, bits 1-2 who sends, bit 3 on the RTCP socket, bits 4-7 how much time passes) and
 * two of length, then the datagram. */
#include "fuzz_media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_media media;
	uint8_t datagram[RTP_MOST_BYTES];

	fuzz_media_init(&media);
	while (size >= 3) {
		size_t bytes = (size_t)(data[1] << 8 | data[2]) % RTP_MOST_BYTES;

		if (bytes > size - 3)
			bytes = size - 3;
		memcpy(datagram, data + 3, bytes);
		rtp_session_take(&media.sessions[data[0] & 1], data[0] & 8, datagram, bytes, &media.addrs[(data[0] >> 1 & 3) % 3]);
		fuzz_media_pass_ms(&media, (uint32_t)(data[0] >> 4) * 10);
		data += 3 + bytes;
		size -= 3 + bytes;
	}
	return 0;
}
