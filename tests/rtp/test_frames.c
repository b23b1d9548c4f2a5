/* tests/rtp/test_frames.c - datagrams in a stream of octets, however it is cut, and a peer that reads when it likes */
#include "../check_main.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <rtp/frames.h>
#include <rtp/octets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- reading ---- */

static uint8_t stream[80000];
static size_t stream_bytes;
static uint32_t taken[64][2]; /* what came of each: RTP_FRAME_…, octets */
static uint32_t taken_count;

/* Octets of frame n are n + 1 and rising, so that one that is cut or moved shows. */
static void add_frame(size_t bytes, uint8_t number)
{
	uint8_t *at = rtp_put16(stream + stream_bytes, (uint16_t)bytes);

	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(number + 1u + i);
	stream_bytes += 2 + bytes;
}

static void take_all(struct rtp_frames *frames)
{
	const uint8_t *data;
	size_t bytes;
	uint32_t what;

	while ((what = rtp_frames_take(frames, &data, &bytes)) != RTP_FRAME_NONE) {
		bytes = what == RTP_FRAME_WHOLE ? bytes : 0;
		bool is_same = true;
		for (size_t i = 0; i < bytes; i++)
			is_same = is_same && data[i] == (uint8_t)(taken_count + 1u + i);
		ck_assert(is_same); /* one for each octet would take Check a minute */
		taken[taken_count][0] = what;
		taken[taken_count++][1] = (uint32_t)bytes;
	}
}

static void feed(struct rtp_frames *frames, const uint8_t *data, size_t bytes)
{
	while (bytes > 0) {
		size_t room;
		uint8_t *at = rtp_frames_room(frames, &room);
		size_t part = bytes < room ? bytes : room;

		ck_assert_uint_gt(room, 0);
		memcpy(at, data, part);
		rtp_frames_put(frames, part);
		take_all(frames);
		data += part;
		bytes -= part;
	}
}

static void check_taken(const size_t *sizes, uint32_t count)
{
	ck_assert_uint_eq(taken_count, count);
	for (uint32_t i = 0; i < count; i++) {
		bool fits = sizes[i] <= RTP_FRAME_MOST_BYTES;

		ck_assert_uint_eq(taken[i][0], fits ? RTP_FRAME_WHOLE : RTP_FRAME_TOO_LONG);
		ck_assert_uint_eq(taken[i][1], fits ? sizes[i] : 0);
	}
}

static void make_stream(const size_t *sizes, uint8_t count)
{
	stream_bytes = 0;
	for (uint8_t i = 0; i < count; i++)
		add_frame(sizes[i], i);
}

START_TEST(frames_are_the_same_wherever_the_stream_is_cut)
{
	static const size_t sizes[] = { 0, 1, 172, 0, RTP_FRAME_MOST_BYTES, RTP_FRAME_MOST_BYTES + 1, 20 };

	make_stream(sizes, 7);
	for (size_t cut = 0; cut <= stream_bytes; cut++) {
		struct rtp_frames frames = { 0 };

		taken_count = 0;
		feed(&frames, stream, cut);
		feed(&frames, stream + cut, stream_bytes - cut);
		check_taken(sizes, 7);
	}
}
END_TEST

START_TEST(they_come_an_octet_at_a_time_or_all_at_once)
{
	static const size_t sizes[] = { 100, 65535 };
	struct rtp_frames frames = { 0 };

	make_stream(sizes, 2);
	taken_count = 0;
	for (size_t i = 0; i < stream_bytes; i++)
		feed(&frames, stream + i, 1);
	check_taken(sizes, 2);
	stream_bytes = 0;
	add_frame(0, 2);
	add_frame(3, 3);
	feed(&frames, stream, stream_bytes); /* what follows the long one is where it should be */
	ck_assert_uint_eq(taken_count, 4);
	ck_assert_uint_eq(taken[3][1], 3);
}
END_TEST

START_TEST(two_in_one_read_are_two)
{
	static const size_t sizes[] = { 172, 172 };
	struct rtp_frames frames = { 0 };
	size_t room;

	make_stream(sizes, 2);
	taken_count = 0;
	memcpy(rtp_frames_room(&frames, &room), stream, stream_bytes);
	rtp_frames_put(&frames, stream_bytes);
	take_all(&frames);
	check_taken(sizes, 2);
}
END_TEST

START_TEST(what_the_first_frame_needs_is_told)
{
	struct rtp_frames frames = { 0 };
	size_t room;

	ck_assert_uint_eq(rtp_frames_missing(&frames), 2);
	*rtp_frames_room(&frames, &room) = 0;
	rtp_frames_put(&frames, 1);
	ck_assert_uint_eq(rtp_frames_missing(&frames), 1);
	*rtp_frames_room(&frames, &room) = 5;
	rtp_frames_put(&frames, 1);
	ck_assert_uint_eq(rtp_frames_missing(&frames), 5);
	memset(rtp_frames_room(&frames, &room), 7, 5);
	rtp_frames_put(&frames, 5);
	ck_assert_uint_eq(rtp_frames_missing(&frames), 0);
}
END_TEST

/* ---- writing ---- */

static int writer, reader;

/* A connection whose kernel buffers are small, so that a frame is cut. */
static void connect_two(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof addr;
	int listener = socket(AF_INET, SOCK_STREAM, 0), least = 1, unsent = 4096;

	ck_assert_int_eq(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &least, sizeof least), 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &size), 0);
	writer = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(setsockopt(writer, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent), 0);
	ck_assert_int_eq(connect(writer, (struct sockaddr *)&addr, sizeof addr), 0);
	reader = accept(listener, NULL, NULL);
	ck_assert_int_ge(reader, 0);
	(void)close(listener);
}

static void read_what_is_there(struct rtp_frames *frames)
{
	for (;;) {
		size_t room;
		uint8_t *at = rtp_frames_room(frames, &room);
		ssize_t got = recv(reader, at, room, MSG_DONTWAIT);

		if (got <= 0)
			return;
		rtp_frames_put(frames, (size_t)got);
		take_all(frames);
	}
}

/* A frame whose octets are as those who read it expect: numbers are of those that were sent. */
static bool send_frame(struct rtp_frame_rest *rest, size_t bytes, uint32_t number)
{
	uint8_t data[RTP_FRAME_MOST_BYTES];

	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(number + 1u + i);
	return rtp_frame_send(writer, rest, data, bytes);
}

START_TEST(a_peer_that_does_not_read_gets_whole_frames_when_it_does)
{
	struct rtp_frame_rest rest = { 0 };
	struct rtp_frames frames = { 0 };
	uint32_t sent = 0, dropped = 0, cut = 0;

	connect_two();
	taken_count = 0;
	for (uint32_t round = 0; round < 40; round++) {
		for (uint32_t i = 0; i < 40 && sent < 60; i++) { /* more than fits: the rest of the round is dropped */
			if (send_frame(&rest, 1999, sent))
				sent++;
			else
				dropped++;
			cut += rest.ends > 0;
		}
		read_what_is_there(&frames);
		while (!rtp_frame_finish(writer, &rest))
			read_what_is_there(&frames);
	}
	(void)shutdown(writer, SHUT_WR);
	for (uint32_t i = 0; taken_count < sent && i < 100000; i++)
		read_what_is_there(&frames);
	ck_assert_uint_eq(sent, 60);
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_gt(cut, 0);
	ck_assert_uint_eq(taken_count, sent); /* each as it was sent, in their order: take_all looks */
	(void)close(writer);
	(void)close(reader);
}
END_TEST

START_TEST(a_frame_that_is_too_long_or_nobody_hears_is_not_sent)
{
	static const uint8_t data[RTP_FRAME_MOST_BYTES + 1];
	struct rtp_frame_rest rest = { 0 };

	connect_two();
	ck_assert(!rtp_frame_send(writer, &rest, data, sizeof data));
	ck_assert(rtp_frame_send(writer, &rest, data, 0));
	(void)close(reader);
	struct pollfd told = { .fd = writer, .events = 0 };

	(void)rtp_frame_send(writer, &rest, data, 100); /* the answer to it tells that nobody is there, unless that is known by now */
	while (!(told.revents & (POLLERR | POLLHUP)))
		ck_assert_int_eq(poll(&told, 1, 30000), 1);
	ck_assert(!rtp_frame_send(writer, &rest, data, 100));
	(void)close(writer);
}
END_TEST

CHECK_MAIN("frames", frames_are_the_same_wherever_the_stream_is_cut, they_come_an_octet_at_a_time_or_all_at_once, two_in_one_read_are_two,
	   what_the_first_frame_needs_is_told, a_peer_that_does_not_read_gets_whole_frames_when_it_does,
	   a_frame_that_is_too_long_or_nobody_hears_is_not_sent)
