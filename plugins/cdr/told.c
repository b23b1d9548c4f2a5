/*
 * told - each closed record is told of by one cdr.created
 *
 * A crash may come when the cdr.created is in the log and the place behind the event that closed the record is not: that event comes again. So of what
 * happened before our start only that is told which the log does not tell of; it is looked through once, from the first such event on.
 */
#include "cdr.h"
#include <stdlib.h>
#include <string.h>

/* A record that is told of unless the log does. */
struct untold {
	struct untold *next;
	char id[48], call_id[32], disposition[16];
	struct pbx_json *record;
};

#define MOST_LOOKED_AT                                                                                                                     \
	4096u /* records told of behind the first event that came again: at most a few hundred events are out unacknowledged */

static void publish(struct cdr *cdr, const char *id, const char *call_id, const char *disposition, struct pbx_json *taken)
{
	int err = cdr->bus->publish(cdr->host, "cdr.created", (pbx_call){ 0 }, taken);

	if (err != PBX_OK) {
		pbx_error(cdr->host, "record_not_told", "id=%s error=%d", id, err);
		place_told(cdr, call_id); /* nobody is to wait for it */
	}
	(void)cdr->metrics->add(cdr->host, METRIC_RECORDS, disposition, 1);
}

static bool is_told(const struct told *told, const char *id)
{
	for (uint32_t i = 0; i < told->count; i++)
		if (strcmp(told->ids[i], id) == 0)
			return true;
	return false;
}

static void settle(struct cdr *cdr)
{
	for (struct untold *untold; (untold = cdr->told.waiting);) {
		cdr->told.waiting = untold->next;
		if (is_told(&cdr->told, untold->id)) {
			cdr->json->free(untold->record);
			place_told(cdr, untold->call_id);
		} else {
			publish(cdr, untold->id, untold->call_id, untold->disposition, untold->record);
		}
		free(untold);
	}
}

static void on_created(void *self, const struct pbx_event *event)
{
	struct cdr *cdr = self;
	struct told *told = &cdr->told;
	const char *id = cdr->json->text(cdr->json->get(event->data, "id"));

	if (told->count == told->room) {
		uint32_t room = told->room ? 2 * told->room : 64;
		void *ids = realloc(told->ids, room * sizeof *told->ids);

		if (!ids)
			return; /* rather twice than never */
		told->ids = ids;
		told->room = room;
	}
	(void)snprintf(told->ids[told->count++], sizeof *told->ids, "%s", id ? id : "");
}

static void on_looked_through(void *self, int result, int64_t last_seq)
{
	struct cdr *cdr = self;

	(void)last_seq;
	if (result != PBX_OK)
		pbx_warn(cdr->host, "log_not_read", "hint=\"records of calls that ended just before the start may be told of twice\"");
	cdr->told.is_known = true;
	settle(cdr);
}

static void look_through(struct cdr *cdr)
{
	cdr->told.is_asked = true;
	if (cdr->bus->replay(cdr->host, cdr->told.from_seq, 0, "cdr.created", MOST_LOOKED_AT, on_created, on_looked_through, cdr) != PBX_OK)
		on_looked_through(cdr, PBX_EIO, 0);
}

void told_look_at(struct cdr *cdr, const struct pbx_event *event)
{
	if (cdr->told.from_seq == 0 && event->wall_us < cdr->told.before_us)
		cdr->told.from_seq = event->seq;
}

void told_or_tell(struct cdr *cdr, const struct segment *segment)
{
	struct untold *untold = calloc(1, sizeof *untold), **end = &cdr->told.waiting;

	if (!untold) {
		publish(cdr, segment->id, segment->call_id, segment->disposition, segment_json(cdr, segment));
		return;
	}
	memcpy(untold->id, segment->id, sizeof untold->id);
	memcpy(untold->call_id, segment->call_id, sizeof untold->call_id);
	memcpy(untold->disposition, segment->disposition, sizeof untold->disposition);
	untold->record = segment_json(cdr, segment);
	while (*end)
		end = &(*end)->next;
	*end = untold;
	if (cdr->told.is_known)
		settle(cdr);
	else if (!cdr->told.is_asked)
		look_through(cdr);
}

void segment_tell(struct cdr *cdr, const struct segment *segment, const struct pbx_event *event)
{
	place_await(cdr, event->seq, segment->call_id);
	if (event->wall_us < cdr->told.before_us)
		told_or_tell(cdr, segment);
	else
		publish(cdr, segment->id, segment->call_id, segment->disposition, segment_json(cdr, segment));
}

void told_end(struct cdr *cdr)
{
	settle(cdr);
}

void told_fini(struct cdr *cdr)
{
	free(cdr->told.ids);
	cdr->told.ids = NULL;
	cdr->told.count = cdr->told.room = 0;
}
