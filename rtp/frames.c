/*
 * frames - a stream of octets cut into datagrams, and datagrams put into one
 *
 * A reader has room for two of the longest frames that anybody wants, so that one read may bring several. A frame that is longer is passed over
 * without being kept: its length may be anything up to 65535. A writer never has more than the rest of one frame: what is late is
 * worth nothing to who listens, so the next one is dropped as long as the kernel does not take this one.
 */
#include "frames.h"
#include "octets.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

uint8_t *rtp_frames_room(struct rtp_frames *frames, size_t *ret_bytes)
{
	uint32_t held = frames->ends - frames->begins;

	if (frames->begins > 0)
		memmove(frames->data, frames->data + frames->begins, held);
	frames->begins = 0;
	frames->ends = held;
	*ret_bytes = sizeof frames->data - held;
	return frames->data + held;
}

void rtp_frames_put(struct rtp_frames *frames, size_t bytes)
{
	frames->ends += (uint32_t)bytes;
}

static void pass_over(struct rtp_frames *frames)
{
	uint32_t held = frames->ends - frames->begins, passed = held < frames->to_pass_over ? held : frames->to_pass_over;

	frames->begins += passed;
	frames->to_pass_over -= passed;
}

uint32_t rtp_frames_take(struct rtp_frames *frames, const uint8_t **ret_data, size_t *ret_bytes)
{
	pass_over(frames);
	const uint8_t *head = frames->data + frames->begins;
	uint32_t held = frames->ends - frames->begins;

	if (held < RTP_FRAME_HEAD_BYTES)
		return RTP_FRAME_NONE;
	uint32_t bytes = rtp_get16(head);

	if (bytes > RTP_FRAME_MOST_BYTES) {
		frames->begins += RTP_FRAME_HEAD_BYTES;
		frames->to_pass_over = bytes;
		return RTP_FRAME_TOO_LONG;
	}
	if (held - RTP_FRAME_HEAD_BYTES < bytes)
		return RTP_FRAME_NONE;
	frames->begins += RTP_FRAME_HEAD_BYTES + bytes;
	*ret_data = head + RTP_FRAME_HEAD_BYTES;
	*ret_bytes = bytes;
	return RTP_FRAME_WHOLE;
}

size_t rtp_frames_missing(const struct rtp_frames *frames)
{
	uint32_t held = frames->ends - frames->begins;

	if (held < RTP_FRAME_HEAD_BYTES)
		return RTP_FRAME_HEAD_BYTES - held;
	uint32_t whole = RTP_FRAME_HEAD_BYTES + rtp_get16(frames->data + frames->begins);

	return held < whole ? whole - held : 0;
}

bool rtp_frame_finish(int fd, struct rtp_frame_rest *rest)
{
	while (rest->begins < rest->ends) {
		ssize_t sent = send(fd, rest->data + rest->begins, rest->ends - rest->begins, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		rest->begins += (uint32_t)sent;
	}
	rest->begins = rest->ends = 0;
	return true;
}

/* sent: octets of head and data together, at least one. */
static void keep_rest(struct rtp_frame_rest *rest, const uint8_t *head, const uint8_t *data, size_t bytes, size_t sent)
{
	memcpy(rest->data, head, RTP_FRAME_HEAD_BYTES);
	memcpy(rest->data + RTP_FRAME_HEAD_BYTES, data, bytes);
	rest->begins = (uint32_t)sent;
	rest->ends = (uint32_t)(RTP_FRAME_HEAD_BYTES + bytes);
}

bool rtp_frame_send(int fd, struct rtp_frame_rest *rest, const uint8_t *data, size_t bytes)
{
	uint8_t head[RTP_FRAME_HEAD_BYTES];
	struct iovec parts[] = { { head, sizeof head }, { (void *)(uintptr_t)data, bytes } };
	const struct msghdr frame = { .msg_iov = parts, .msg_iovlen = 2 };

	if (bytes > RTP_FRAME_MOST_BYTES || !rtp_frame_finish(fd, rest))
		return false;
	(void)rtp_put16(head, (uint16_t)bytes);
	ssize_t sent = sendmsg(fd, &frame, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent <= 0)
		return false;
	if ((size_t)sent < sizeof head + bytes)
		keep_rest(rest, head, data, bytes, (size_t)sent);
	return true;
}
