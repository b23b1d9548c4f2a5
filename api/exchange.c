/*
 * exchange.c - one HTTP request between the thread that reads and writes it and the loop that answers it
 *
 * The only lock of the gateway that both sides take, held for a few copies and never over a callback. The loop never waits here: a stream
 * whose queue is full is told so (PBX_EBUSY), the HTTP thread waits on a condition.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "exchange.h"

struct box {
	struct api_exchange exchange; /* first: the rest is for this file */
	atomic_uint refs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock from here on. */
	uint32_t status; /* 0: no answer yet */
	char content_type[96], headers[EXCHANGE_EXTRA_HEADERS];
	char *data; /* the answer's body, or the pieces not written yet */
	size_t size, room;
	bool streams, ended, wants_room, left;
	bool is_torn; /* a piece had no memory: nothing comes after what is here */
	char *said;   /* by the client, not heard yet; NULL: nothing */
	size_t said_size;
	uint32_t end_status; /* 0: no reason was given */
	char why[EXCHANGE_WHY_SIZE];
};

static struct box *box_of(struct api_exchange *exchange)
{
	return (struct box *)exchange;
}

struct api_exchange *exchange_new(void)
{
	struct box *box = calloc(1, sizeof *box);
	pthread_condattr_t monotonic;

	if (!box)
		return NULL;
	atomic_init(&box->refs, 1);
	(void)pthread_mutex_init(&box->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&box->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	return &box->exchange;
}

struct api_exchange *exchange_ref(struct api_exchange *exchange)
{
	(void)atomic_fetch_add(&box_of(exchange)->refs, 1);
	return exchange;
}

void exchange_unref(struct api_exchange *exchange)
{
	struct box *box = box_of(exchange);

	if (atomic_fetch_sub(&box->refs, 1) != 1)
		return;
	(void)pthread_mutex_destroy(&box->lock);
	(void)pthread_cond_destroy(&box->changed);
	for (uint32_t i = 0; i < exchange->header_count; i++) {
		free(exchange->names[i]);
		free(exchange->values[i]);
	}
	free(exchange->method);
	free(exchange->path);
	free(exchange->query);
	free(exchange->body);
	free(box->data);
	free(box->said);
	free(box);
}

int exchange_add_header(struct api_exchange *exchange, const char *name, const char *value)
{
	uint32_t at = exchange->header_count;

	if (at == EXCHANGE_HEADERS)
		return PBX_OK;
	exchange->names[at] = strdup(name);
	exchange->values[at] = strdup(value);
	exchange->header_count++;
	return exchange->names[at] && exchange->values[at] ? PBX_OK : PBX_ENOMEM;
}

const char *exchange_header(const struct api_exchange *exchange, const char *name)
{
	for (uint32_t i = 0; i < exchange->header_count; i++) {
		if (strcasecmp(exchange->names[i], name) == 0)
			return exchange->values[i];
	}
	return NULL;
}

/* ---- the loop answers ------------------------------------------------------------------- */

/* What goes into a header stays on its line. */
static bool is_one_line(const char *text)
{
	return !strpbrk(text, "\r\n");
}

void exchange_set_header(struct api_exchange *exchange, const char *name, const char *value)
{
	struct box *box = box_of(exchange);

	(void)pthread_mutex_lock(&box->lock);
	size_t used = strlen(box->headers);
	int length = snprintf(NULL, 0, "%s: %s\r\n", name, value);
	if (box->status == 0 && is_one_line(name) && is_one_line(value) && length > 0 && used + (size_t)length < sizeof box->headers)
		(void)snprintf(box->headers + used, sizeof box->headers - used, "%s: %s\r\n", name, value);
	(void)pthread_mutex_unlock(&box->lock);
}

/* Adds to the data; false: no memory. */
static bool box_append(struct box *box, const char *data, size_t size)
{
	if (box->size + size > box->room) {
		size_t room = box->size + size + (box->streams ? box->size : 0);
		char *grown = realloc(box->data, room);
		if (!grown)
			return false;
		box->data = grown;
		box->room = room;
	}
	if (size > 0)
		memcpy(box->data + box->size, data, size);
	box->size += size;
	return true;
}

void exchange_answer(struct api_exchange *exchange, uint32_t status, const char *content_type, const char *body, size_t size)
{
	struct box *box = box_of(exchange);

	(void)pthread_mutex_lock(&box->lock);
	if (box->status == 0) {
		bool kept = box_append(box, body, size);
		box->status = kept ? status : 503;
		(void)snprintf(box->content_type, sizeof box->content_type, "%s", content_type ? content_type : "");
		box->ended = true;
		(void)pthread_cond_broadcast(&box->changed);
	}
	(void)pthread_mutex_unlock(&box->lock);
}

void exchange_problem(struct api_exchange *exchange, uint32_t status, const char *code, const char *detail)
{
	char type[80];
	cJSON *problem = cJSON_CreateObject();

	(void)snprintf(type, sizeof type, "/problems/%s", code);
	(void)cJSON_AddStringToObject(problem, "type", type); /* what there is no memory for is left out */
	(void)cJSON_AddStringToObject(problem, "title", "Request refused");
	(void)cJSON_AddNumberToObject(problem, "status", status);
	(void)cJSON_AddStringToObject(problem, "detail", detail);
	(void)cJSON_AddStringToObject(problem, "code", code);
	(void)cJSON_AddStringToObject(problem, "request_id", exchange->request_id);

	char *text = cJSON_PrintUnformatted(problem);
	exchange_answer(exchange, status, "application/problem+json", text, text ? strlen(text) : 0);
	cJSON_free(text);
	cJSON_Delete(problem);
}

void exchange_begin(struct api_exchange *exchange, const char *content_type)
{
	struct box *box = box_of(exchange);

	(void)pthread_mutex_lock(&box->lock);
	if (box->status == 0) {
		box->status = strstr(box->headers, "Content-Range: ") ? 206 : 200; /* RFC 9110 15.3.7 */
		box->streams = true;
		(void)snprintf(box->content_type, sizeof box->content_type, "%s", content_type);
		(void)pthread_cond_broadcast(&box->changed);
	}
	(void)pthread_mutex_unlock(&box->lock);
}

int exchange_write(struct api_exchange *exchange, const char *data, size_t size)
{
	struct box *box = box_of(exchange);
	int err = PBX_OK;

	(void)pthread_mutex_lock(&box->lock);
	if (box->left || box->ended || box->is_torn || !box->streams)
		err = PBX_ENOENT;
	else if (box->size > 0 && box->size + size > EXCHANGE_QUEUE_BYTES)
		err = PBX_EBUSY;
	else if (!box_append(box, data, size))
		err = PBX_ENOMEM;
	box->is_torn |= err == PBX_ENOMEM;
	box->wants_room |= err == PBX_EBUSY;
	(void)pthread_cond_broadcast(&box->changed);
	(void)pthread_mutex_unlock(&box->lock);
	return err;
}

void exchange_end(struct api_exchange *exchange)
{
	struct box *box = box_of(exchange);

	(void)pthread_mutex_lock(&box->lock);
	bool unanswered = box->status == 0;
	box->ended |= box->streams;
	(void)pthread_cond_broadcast(&box->changed);
	(void)pthread_mutex_unlock(&box->lock);
	if (unanswered)
		exchange_problem(exchange, 503, "stopping", "the PBX is being stopped");
}

void exchange_end_because(struct api_exchange *exchange, uint32_t status, const char *why)
{
	struct box *box = box_of(exchange);

	(void)pthread_mutex_lock(&box->lock);
	if (box->end_status == 0 && !box->ended) {
		box->end_status = status;
		(void)snprintf(box->why, sizeof box->why, "%s", why);
	}
	(void)pthread_mutex_unlock(&box->lock);
	exchange_end(exchange);
}

char *exchange_hear(struct api_exchange *exchange, size_t *ret_size)
{
	struct box *box = box_of(exchange);

	(void)pthread_mutex_lock(&box->lock);
	char *said = box->said;
	*ret_size = box->said_size;
	box->said = NULL;
	(void)pthread_cond_broadcast(&box->changed);
	(void)pthread_mutex_unlock(&box->lock);
	return said;
}

/* ---- the HTTP thread waits -------------------------------------------------------------- */

static struct timespec instant_after(uint32_t ms)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(ms / 1000);
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

int exchange_wait(struct api_exchange *exchange, uint32_t within_ms, struct exchange_answer *ret_answer)
{
	struct box *box = box_of(exchange);
	struct timespec deadline = instant_after(within_ms);
	int waited = 0;

	(void)pthread_mutex_lock(&box->lock);
	while (box->status == 0 && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&box->changed, &box->lock, &deadline);
	bool answered = box->status != 0;
	if (answered)
		*ret_answer = (struct exchange_answer){
			.status = box->status,
			.content_type = box->content_type,
			.headers = box->headers,
			.streams = box->streams,
			.body = box->streams ? NULL : box->data,
			.size = box->streams ? 0 : box->size,
		};
	(void)pthread_mutex_unlock(&box->lock);
	return answered ? PBX_OK : PBX_ETIMEOUT;
}

int exchange_take(struct api_exchange *exchange, char **ret_data, size_t *ret_size, bool *ret_drained)
{
	struct box *box = box_of(exchange);

	(void)pthread_mutex_lock(&box->lock);
	while (box->size == 0 && !box->ended && !box->is_torn && !box->left)
		(void)pthread_cond_wait(&box->changed, &box->lock);
	bool some = box->size > 0 && !box->left;
	if (some) {
		*ret_data = box->data;
		*ret_size = box->size;
		*ret_drained = box->wants_room;
		box->data = NULL;
		box->size = box->room = 0;
		box->wants_room = false;
	}
	int nothing = box->is_torn ? PBX_ENOMEM : PBX_ENOENT;
	(void)pthread_mutex_unlock(&box->lock);
	return some ? PBX_OK : nothing;
}

bool exchange_leave(struct api_exchange *exchange)
{
	struct box *box = box_of(exchange);

	(void)pthread_mutex_lock(&box->lock);
	bool incomplete = !box->ended;
	box->left = true;
	(void)pthread_cond_broadcast(&box->changed);
	(void)pthread_mutex_unlock(&box->lock);
	return incomplete;
}

int exchange_say(struct api_exchange *exchange, const char *text, size_t size)
{
	struct box *box = box_of(exchange);
	char *copy = malloc(size + 1);

	if (!copy)
		return PBX_ENOMEM;
	if (size > 0)
		memcpy(copy, text, size);
	copy[size] = '\0';

	(void)pthread_mutex_lock(&box->lock);
	while (box->said && !box->ended && !box->left)
		(void)pthread_cond_wait(&box->changed, &box->lock);
	bool heard = !box->ended && !box->left;
	if (heard) {
		box->said = copy;
		box->said_size = size;
	}
	(void)pthread_mutex_unlock(&box->lock);
	if (!heard)
		free(copy);
	return heard ? PBX_OK : PBX_ENOENT;
}

uint32_t exchange_end_reason(struct api_exchange *exchange, char ret_why[EXCHANGE_WHY_SIZE])
{
	struct box *box = box_of(exchange);

	(void)pthread_mutex_lock(&box->lock);
	uint32_t status = box->end_status ? box->end_status : 1001;
	(void)snprintf(ret_why, EXCHANGE_WHY_SIZE, "%s", box->end_status ? box->why : "the PBX is being stopped");
	(void)pthread_mutex_unlock(&box->lock);
	return status;
}
