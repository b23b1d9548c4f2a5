/* tests/fuzz/fuzz_tcp.c - what anybody may send to the port of connections (RFC 4571): octets as they are cut on the way, and the first frame of them
 *
 * Input: one octet (bit 0: the frames are checks, signed by who knows the password), then pieces, each one octet of length before it. A
 * stream comes to the same frames however it is cut. */
#include <assert.h>
#include <pbx/abi.h>
#include <rtp/frames.h>
#include <rtp/ice_names.h>
#include <rtp/octets.h>
#include <rtp/stun.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_BYTES 70000u

static const struct core_ice_name name = { "oursours", "oursoursoursoursoursours" };

struct sum {
	uint32_t frames, too_long, octets, hash;
};

static void take_all(struct rtp_frames *frames, struct sum *sum)
{
	const uint8_t *frame;
	size_t bytes;
	uint32_t what;

	while ((what = rtp_frames_take(frames, &frame, &bytes)) != RTP_FRAME_NONE) {
		sum->frames++;
		sum->too_long += what == RTP_FRAME_TOO_LONG;
		for (size_t i = 0; what == RTP_FRAME_WHOLE && i < bytes; i++)
			sum->hash = (sum->hash ^ frame[i]) * 16777619u;
		sum->octets += what == RTP_FRAME_WHOLE ? (uint32_t)bytes : 0;
	}
}

static void feed(struct rtp_frames *frames, const uint8_t *data, size_t size, struct sum *sum)
{
	while (size > 0) {
		size_t room;
		uint8_t *at = rtp_frames_room(frames, &room);
		size_t part = size < room ? size : room;

		assert(room > 0);
		memcpy(at, data, part);
		rtp_frames_put(frames, part);
		take_all(frames, sum);
		data += part;
		size -= part;
	}
}

/* The first frame as the door judges it, whole or refused before. */
static void greet(const uint8_t *frame, size_t bytes)
{
	const struct rtp_ice_label *whose = NULL;
	int err = rtp_ice_label_of(frame, bytes, &whose);

	assert((err == PBX_OK) == (whose != NULL));
	assert(!whose || whose->stream == 7);
}

static void greet_signed(const uint8_t *attributes, size_t bytes)
{
	static const uint8_t id[RTP_STUN_ID_BYTES];
	struct rtp_stun_key *key = rtp_stun_key_new(name.pwd);
	struct rtp_stun_text text;

	rtp_stun_begin(&text, RTP_STUN_REQUEST, id);
	if (bytes > 200)
		bytes = 200;
	memcpy(text.data + text.used, attributes, bytes & ~(size_t)3);
	text.used += bytes & ~(size_t)3;
	size_t signed_bytes = rtp_stun_finish(&text, key);

	rtp_stun_key_free(key);
	greet(text.data, signed_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t stream[MOST_BYTES];
	static struct rtp_frames cut, whole;
	struct sum cut_sum = { 0 }, whole_sum = { 0 };
	struct rtp_ice_label *label;
	size_t bytes = 0;

	if (size < 1 || size > MOST_BYTES)
		return 0;
	label = rtp_ice_label_new(7, &name);
	assert(label);
	memset(&cut, 0, sizeof cut);
	memset(&whole, 0, sizeof whole);
	for (size_t at = 1; at < size;) {
		size_t piece = data[at] < size - at - 1 ? data[at] : size - at - 1;

		feed(&cut, data + at + 1, piece, &cut_sum);
		memcpy(stream + bytes, data + at + 1, piece);
		bytes += piece;
		at += 1 + piece;
	}
	feed(&whole, stream, bytes, &whole_sum);
	assert(memcmp(&cut_sum, &whole_sum, sizeof cut_sum) == 0);
	if (data[0] & 1)
		greet_signed(stream, bytes);
	else if (bytes >= 2)
		greet(stream + 2, rtp_get16(stream) < bytes - 2 ? rtp_get16(stream) : bytes - 2);
	rtp_ice_label_free(label);
	return 0;
}
