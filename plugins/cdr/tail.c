/*
 * tail - records for who watches, as calls end
 *
 * A line of JSON each, when the record is safe. Who reads slower than records come misses some, and is told how many.
 */
#include "cdr.h"
#include <stdlib.h>
#include <string.h>

struct tail {
	struct tail *next;
	struct cdr *cdr;
	pbx_request request;
	uint64_t missed;
};

static void tail_free(struct tail *tail)
{
	struct tail **at = &tail->cdr->tails;

	while (*at && *at != tail)
		at = &(*at)->next;
	if (*at)
		*at = tail->next;
	free(tail);
}

static void on_gone(void *self, pbx_request request)
{
	(void)request;
	tail_free(self);
}

void cdr_on_tail(void *self, pbx_request request)
{
	struct cdr *cdr = self;
	struct tail *tail = calloc(1, sizeof *tail);

	if (!tail) {
		(void)cdr->requests->fail(request, 503, "no_memory", NULL, "out of memory, try again later");
		return;
	}
	*tail = (struct tail){ .next = cdr->tails, .cdr = cdr, .request = request };
	cdr->tails = tail;
	if (cdr->requests->begin(request, "application/x-ndjson", NULL, on_gone, tail) != PBX_OK)
		tail_free(tail);
}

static void write_line(struct tail *tail, const char *text)
{
	const struct pbx_requests *requests = tail->cdr->requests;
	char *line = NULL;
	int length = tail->missed ? asprintf(&line, "{\"missed\":%llu}\n%s\n", (unsigned long long)tail->missed, text)
				  : asprintf(&line, "%s\n", text);

	if (length >= 0 && requests->write(tail->request, line, (size_t)length) == PBX_OK)
		tail->missed = 0;
	else
		tail->missed++;
	if (length >= 0)
		free(line);
}

void tails_tell(struct cdr *cdr, const struct pbx_json *record)
{
	char *text = cdr->tails ? cdr->json->print(record) : NULL;

	for (struct tail *tail = cdr->tails, *next; tail; tail = next) {
		next = tail->next;
		if (text)
			write_line(tail, text);
		else
			tail->missed++;
	}
	if (text)
		cdr->json->free_text(text);
}

void tails_end(struct cdr *cdr)
{
	while (cdr->tails) {
		pbx_request request = cdr->tails->request;

		tail_free(cdr->tails);
		(void)cdr->requests->end(request); /* unless it has gone */
	}
}
