/* tests/fuzz/fuzz_dtls.c - a handshake that is told anything
 *
 * Input: one octet (bit 0: who begins), then records of two octets of length and a datagram. */
#include <rtp/dtls.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_nothing(void *context, const uint8_t *data, size_t size)
{
	(void)context, (void)data, (void)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t suites[] = { CORE_SRTP_AES_CM_128_80, CORE_SRTP_AES_GCM_128 };
	static struct core_dtls own;
	struct core_crypto send, receive;
	struct rtp_dtls *dtls;

	if (own.hash == CORE_HASH_NONE) {
		(void)rtp_dtls_init();
		rtp_dtls_fingerprint(&own);
	}
	if (size == 0)
		return 0;
	own.setup = data[0] & 1 ? CORE_SETUP_ACTIVE : CORE_SETUP_PASSIVE;
	if (rtp_dtls_new(&own, &own, suites, 2, &dtls) != 0)
		return 0;
	rtp_dtls_start(dtls, send_nothing, NULL);
	for (data++, size--; size >= 2;) {
		size_t bytes = (size_t)(data[0] << 8 | data[1]);

		if (bytes > size - 2)
			bytes = size - 2;
		if (rtp_dtls_take(dtls, data + 2, bytes) == RTP_DTLS_DONE)
			(void)rtp_dtls_keys(dtls, &send, &receive);
		data += 2 + bytes;
		size -= 2 + bytes;
	}
	rtp_dtls_free(dtls);
	return 0;
}
