/* tests/fuzz/fuzz_stun.c - what anybody may send where ICE was agreed on, and what somebody with the passwords may
 *
 * Input: records of one octet (bit 0: signed by us with the peer's or our password, bit 1 which of them, bit 2 the peer's address or a
 * stranger's, bits 4-7 how much time passes) and one of length. Unsigned records are datagrams as they are; signed ones are message types of
 * one octet and attributes, which get a header, MESSAGE-INTEGRITY and FINGERPRINT. */
#include <arpa/inet.h>
#include <rtp/ice.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool send_nothing(void *context, uint8_t component, const struct core_addr *to, const uint8_t *data, size_t size)
{
	(void)context, (void)component, (void)to, (void)data;
	return size % 3;
}

static struct core_addr addr_of(uint16_t port)
{
	return (struct core_addr){ .in4 = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
}

/* What a peer with the password would send. */
static size_t sign(struct rtp_stun_text *text, const uint8_t *data, size_t size, struct rtp_stun_key *key)
{
	static const uint16_t types[] = { RTP_STUN_REQUEST, RTP_STUN_INDICATION, RTP_STUN_SUCCESS, RTP_STUN_ERROR };
	static const uint8_t id[RTP_STUN_ID_BYTES];
	size_t bytes = size > 0 ? size - 1 : 0;

	rtp_stun_begin(text, types[size > 0 ? data[0] & 3 : 0], id);
	if (bytes > sizeof text->data / 2)
		bytes = sizeof text->data / 2;
	if (bytes > 0)
		memcpy(text->data + text->used, data + 1, bytes & ~(size_t)3);
	text->used += bytes & ~(size_t)3;
	return rtp_stun_finish(text, key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct core_stream_config config = {
		.own_ice = { "ours", "oursoursoursoursoursours" },
		.peer_ice = { .name = { "them", "themthemthemthemthemthem" },
			      .candidate_count = 1,
			      .candidates = { { .addr = addr_of(4000), .priority = 1000, .component = 1 } } },
		.rtcp_mux = size % 2,
		.ice_lite = size % 5 == 0,
		.ice_controlling = size % 3 == 0,
	};
	const struct core_addr peer = addr_of(4000), stranger = addr_of(5000);
	struct rtp_stun_key *keys[] = { rtp_stun_key_new(config.own_ice.pwd), rtp_stun_key_new(config.peer_ice.name.pwd) };
	struct rtp_ice *ice = rtp_ice_new(&config);
	struct rtp_stun_text text;
	uint64_t now_ms = 1000;

	rtp_ice_start(ice, send_nothing, NULL, now_ms);
	while (size >= 2) {
		size_t bytes = data[1] < size - 2 ? data[1] : size - 2, sent = bytes;
		const uint8_t *datagram = data + 2;

		if (data[0] & 1) {
			sent = sign(&text, datagram, bytes, keys[data[0] >> 1 & 1]);
			datagram = text.data;
		}
		struct rtp_stun plain; /* what a STUN server may say, or somebody in its name */
		(void)rtp_stun_parse_plain(datagram, sent, &plain);
		(void)rtp_ice_take(ice, 1, datagram, sent, data[0] & 4 ? &stranger : &peer, now_ms);
		now_ms += (uint64_t)(data[0] >> 4) * 100;
		rtp_ice_look_after(ice, 25000, now_ms);
		data += 2 + bytes;
		size -= 2 + bytes;
	}
	rtp_ice_free(ice);
	rtp_stun_key_free(keys[0]);
	rtp_stun_key_free(keys[1]);
	return 0;
}
