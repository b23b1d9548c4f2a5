/* test_exchange.c - the loop's side and the HTTP thread's side of a request, each in a thread of its own */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "exchange.h"
#include "failing_memory.h"

static bool is_full; /* the memory */

static bool is_granted(void)
{
	return !is_full;
}

static struct api_exchange *asked(void)
{
	struct api_exchange *exchange = exchange_new();

	ck_assert_ptr_nonnull(exchange);
	(void)snprintf(exchange->request_id, sizeof exchange->request_id, "id");
	return exchange;
}

static void *answer_later(void *context)
{
	struct api_exchange *exchange = context;

	exchange_set_header(exchange, "Allow", "GET");
	exchange_answer(exchange, 405, "text/plain", "no", 2);
	exchange_unref(exchange);
	return NULL;
}

START_TEST(the_http_thread_waits_for_the_answer)
{
	struct api_exchange *exchange = asked();
	struct exchange_answer answer;
	pthread_t loop;

	ck_assert_int_eq(pthread_create(&loop, NULL, answer_later, exchange_ref(exchange)), 0);
	ck_assert_int_eq(exchange_wait(exchange, 10000, &answer), PBX_OK);
	ck_assert_uint_eq(answer.status, 405);
	ck_assert_str_eq(answer.headers, "Allow: GET\r\n");
	ck_assert_mem_eq(answer.body, "no", 2);
	ck_assert(!answer.streams && !exchange_leave(exchange)); /* nothing to tell the loop */
	(void)pthread_join(loop, NULL);
	exchange_unref(exchange);
}
END_TEST

START_TEST(without_an_answer_the_wait_ends_and_the_loop_has_to_be_told)
{
	struct api_exchange *exchange = asked();
	struct exchange_answer answer;

	ck_assert_int_eq(exchange_wait(exchange, 10, &answer), PBX_ETIMEOUT);
	ck_assert(exchange_leave(exchange));
	exchange_unref(exchange);
}
END_TEST

START_TEST(only_the_first_answer_counts)
{
	struct api_exchange *exchange = asked();
	struct exchange_answer answer;

	exchange_answer(exchange, 200, "text/plain", "first", 5);
	exchange_answer(exchange, 500, "text/plain", "second", 6);
	exchange_begin(exchange, "text/event-stream");
	exchange_set_header(exchange, "Late", "yes");
	ck_assert_int_eq(exchange_wait(exchange, 0, &answer), PBX_OK);
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_uint_eq(answer.size, 5);
	ck_assert(!answer.streams);
	ck_assert_str_eq(answer.headers, "");
	exchange_unref(exchange);
}
END_TEST

START_TEST(an_end_without_an_answer_is_a_503)
{
	struct api_exchange *exchange = asked();
	struct exchange_answer answer;

	exchange_end(exchange);
	ck_assert_int_eq(exchange_wait(exchange, 0, &answer), PBX_OK);
	ck_assert_uint_eq(answer.status, 503);
	ck_assert_str_eq(answer.content_type, "application/problem+json");
	exchange_unref(exchange);
}
END_TEST

START_TEST(a_header_with_a_line_break_does_not_become_two)
{
	struct api_exchange *exchange = asked();
	struct exchange_answer answer;

	exchange_set_header(exchange, "Location", "/x\r\nSet-Cookie: evil=1");
	exchange_answer(exchange, 201, "", "", 0);
	ck_assert_int_eq(exchange_wait(exchange, 0, &answer), PBX_OK);
	ck_assert_str_eq(answer.headers, "");
	exchange_unref(exchange);
}
END_TEST

START_TEST(a_full_queue_refuses_until_it_was_taken)
{
	struct api_exchange *exchange = asked();
	char *piece = calloc(1, 100000), *data;
	size_t size, taken = 0;
	bool drained = false;

	exchange_begin(exchange, "text/plain");
	ck_assert_int_eq(exchange_write(exchange, piece, 100000), PBX_OK);
	ck_assert_int_eq(exchange_write(exchange, piece, 100000), PBX_OK);
	ck_assert_int_eq(exchange_write(exchange, piece, 100000), PBX_EBUSY);
	ck_assert_int_eq(exchange_take(exchange, &data, &size, &drained), PBX_OK);
	ck_assert_uint_eq(size, 200000);
	ck_assert(drained); /* the loop waits to hear of it */
	free(data);
	ck_assert_int_eq(exchange_write(exchange, piece, 100000), PBX_OK);
	exchange_end(exchange);
	while (exchange_take(exchange, &data, &size, &drained) == PBX_OK) {
		ck_assert(!drained);
		taken += size;
		free(data);
	}
	ck_assert_uint_eq(taken, 100000); /* what was written before the end is not lost, and what was refused was not taken */
	free(piece);
	exchange_unref(exchange);
}
END_TEST

START_TEST(a_stream_that_lost_a_piece_does_not_end_as_if_it_were_whole)
{
	struct api_exchange *exchange = asked();
	bool drained;
	size_t size;
	char *data;

	exchange_begin(exchange, "text/plain");
	ck_assert_int_eq(exchange_write(exchange, "one", 3), PBX_OK);
	is_full = true;
	ck_assert_int_eq(exchange_write(exchange, "two", 3), PBX_ENOMEM);
	is_full = false;
	ck_assert_int_eq(exchange_write(exchange, "three", 5), PBX_ENOENT); /* nothing comes after a hole */
	exchange_end(exchange);
	ck_assert_int_eq(exchange_take(exchange, &data, &size, &drained), PBX_OK);
	ck_assert_uint_eq(size, 3);
	free(data);
	ck_assert_int_eq(exchange_take(exchange, &data, &size, &drained), PBX_ENOMEM);
	exchange_unref(exchange);
}
END_TEST

START_TEST(a_piece_larger_than_the_queue_passes_alone)
{
	struct api_exchange *exchange = asked();
	size_t huge = 2 * EXCHANGE_QUEUE_BYTES;
	char *piece = calloc(1, huge);

	exchange_begin(exchange, "text/plain");
	ck_assert_int_eq(exchange_write(exchange, piece, huge), PBX_OK);
	ck_assert_int_eq(exchange_write(exchange, piece, 1), PBX_EBUSY);
	free(piece);
	exchange_unref(exchange);
}
END_TEST

START_TEST(who_has_left_gets_nothing_more)
{
	struct api_exchange *exchange = asked();

	exchange_begin(exchange, "text/plain");
	ck_assert(exchange_leave(exchange));
	ck_assert_int_eq(exchange_write(exchange, "x", 1), PBX_ENOENT);
	exchange_unref(exchange);
}
END_TEST

/* Numbers, one a line, as fast as they go; waits for room as the loop would for drained. */
static void *write_numbers(void *context)
{
	struct api_exchange *exchange = context;
	char line[16];

	exchange_begin(exchange, "text/plain");
	for (int i = 0; i < 200000; i++) {
		int length = snprintf(line, sizeof line, "%d\n", i);
		while (exchange_write(exchange, line, (size_t)length) == PBX_EBUSY)
			sched_yield();
	}
	exchange_end(exchange);
	exchange_unref(exchange);
	return NULL;
}

START_TEST(a_fast_writer_and_a_reader_lose_nothing_between_them)
{
	struct api_exchange *exchange = asked();
	struct exchange_answer answer;
	pthread_t loop;
	char *data;
	size_t size, used = 0;
	bool drained;
	int next = 0;
	char line[16];

	ck_assert_int_eq(pthread_create(&loop, NULL, write_numbers, exchange_ref(exchange)), 0);
	ck_assert_int_eq(exchange_wait(exchange, 10000, &answer), PBX_OK);
	ck_assert(answer.streams);
	while (exchange_take(exchange, &data, &size, &drained) == PBX_OK) {
		for (size_t i = 0; i < size; i++) {
			line[used++] = data[i];
			if (data[i] != '\n')
				continue;
			line[used] = '\0';
			used = 0;
			ck_assert_int_eq(atoi(line), next++);
		}
		free(data);
	}
	ck_assert_int_eq(next, 200000);
	(void)pthread_join(loop, NULL);
	exchange_unref(exchange);
}
END_TEST

static void *hear_all(void *context)
{
	struct api_exchange *exchange = context;
	size_t size = 0;

	for (int heard = 0; heard < 1000; sched_yield()) {
		char *said = exchange_hear(exchange, &size);
		if (!said)
			continue;
		ck_assert_uint_eq(size, strlen(said));
		ck_assert_int_eq(atoi(said), heard++);
		free(said);
	}
	exchange_unref(exchange);
	return NULL;
}

START_TEST(a_client_is_heard_word_for_word_and_never_more_than_one_ahead)
{
	struct api_exchange *exchange = asked();
	pthread_t loop;
	char text[16];

	exchange_begin(exchange, "text/plain");
	ck_assert_int_eq(pthread_create(&loop, NULL, hear_all, exchange_ref(exchange)), 0);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(exchange_say(exchange, text, (size_t)snprintf(text, sizeof text, "%d", i)), PBX_OK);
	(void)pthread_join(loop, NULL);
	exchange_unref(exchange);
}
END_TEST

static void *end_soon(void *context)
{
	struct api_exchange *exchange = context;

	exchange_end_because(exchange, 1008, "enough");
	exchange_end_because(exchange, 1013, "later");
	exchange_unref(exchange);
	return NULL;
}

START_TEST(who_waits_to_be_heard_is_let_go_by_the_end_which_says_why)
{
	struct api_exchange *exchange = asked();
	char why[EXCHANGE_WHY_SIZE], *data;
	size_t size;
	bool drained;
	pthread_t loop;

	exchange_begin(exchange, "text/plain");
	ck_assert_uint_eq(exchange_end_reason(exchange, why), 1001); /* what it is until somebody says more */
	ck_assert_int_eq(exchange_say(exchange, "one", 3), PBX_OK);
	ck_assert_int_eq(pthread_create(&loop, NULL, end_soon, exchange_ref(exchange)), 0);
	ck_assert_int_eq(exchange_say(exchange, "two", 3), PBX_ENOENT);
	ck_assert_int_eq(exchange_take(exchange, &data, &size, &drained), PBX_ENOENT);
	ck_assert_uint_eq(exchange_end_reason(exchange, why), 1008);
	ck_assert_str_eq(why, "enough");
	(void)pthread_join(loop, NULL);
	exchange_unref(exchange); /* with what nobody has heard */
}
END_TEST

static void *leave_soon(void *context)
{
	struct api_exchange *exchange = context;

	ck_assert(exchange_leave(exchange));
	exchange_unref(exchange);
	return NULL;
}

START_TEST(who_waits_for_pieces_is_let_go_when_the_other_thread_leaves)
{
	struct api_exchange *exchange = asked();
	size_t size;
	bool drained;
	pthread_t reader;
	char *data;

	exchange_begin(exchange, "text/plain");
	ck_assert_int_eq(pthread_create(&reader, NULL, leave_soon, exchange_ref(exchange)), 0);
	ck_assert_int_eq(exchange_take(exchange, &data, &size, &drained), PBX_ENOENT);
	(void)pthread_join(reader, NULL);
	exchange_unref(exchange);
}
END_TEST

CHECK_MAIN("exchange", the_http_thread_waits_for_the_answer, without_an_answer_the_wait_ends_and_the_loop_has_to_be_told,
	   only_the_first_answer_counts, an_end_without_an_answer_is_a_503, a_header_with_a_line_break_does_not_become_two,
	   a_full_queue_refuses_until_it_was_taken, a_stream_that_lost_a_piece_does_not_end_as_if_it_were_whole,
	   a_piece_larger_than_the_queue_passes_alone, who_has_left_gets_nothing_more, a_fast_writer_and_a_reader_lose_nothing_between_them,
	   a_client_is_heard_word_for_word_and_never_more_than_one_ahead, who_waits_to_be_heard_is_let_go_by_the_end_which_says_why,
	   who_waits_for_pieces_is_let_go_when_the_other_thread_leaves)
