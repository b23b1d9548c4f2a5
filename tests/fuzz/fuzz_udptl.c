/* tests/fuzz/fuzz_udptl.c - what anybody may send to a port where fax by T.38 was agreed on
 *
 * Input: records of one octet of length and a datagram. What is read goes to spandsp, as a gateway would hand it on. */
#include <rtp/udptl.h>
#include <spandsp.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int send_nothing(t38_core_state_t *core, void *context, const uint8_t *ifp, int bytes, int count)
{
	(void)core, (void)context, (void)ifp, (void)bytes, (void)count;
	return 0;
}

static void hand_on(void *context, const uint8_t *ifp, uint32_t bytes, uint16_t sequence)
{
	(void)t38_core_rx_ifp_packet(context, ifp, (int)bytes, sequence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	t38_gateway_state_t *gateway = t38_gateway_init(NULL, send_nothing, NULL);
	struct rtp_udptl udptl;
	int16_t samples[160];
	uint16_t sequence;

	rtp_udptl_init(&udptl, size > 0 ? data[0] : 0);
	while (size > 0) {
		size_t bytes = data[0] < size - 1 ? data[0] : size - 1;
		bool sane = rtp_udptl_check(data + 1, bytes, &sequence);

		if (rtp_udptl_read(&udptl, data + 1, bytes, hand_on, t38_gateway_get_t38_core_state(gateway)) && !sane)
			__builtin_trap();
		(void)t38_gateway_tx(gateway, samples, 160);
		data += 1 + bytes;
		size -= 1 + bytes;
	}
	(void)t38_gateway_free(gateway);
	return 0;
}
