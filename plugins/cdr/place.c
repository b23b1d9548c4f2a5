/*
 * place - how far into the event log we are done
 *
 * An event is done with when its row is safe and, if it closed a record, when the cdr.created that tells of it is in the log too: else a
 * crash between the two would leave a record of which no output ever hears. A second follower watches for our own events, for it must
 * not wait behind the ones that wait for it.
 */
#include "cdr.h"
#include <string.h>

#define ACKNOWLEDGE_EVERY 64u /* an event that comes again finds nobody waiting, so that its place needs no care */

static void acknowledge(struct cdr *cdr)
{
	struct place *place = &cdr->place;
	int64_t done = place->safe_seq;

	while (place->count > 0 && place->awaited[place->first].is_told) {
		place->first = (place->first + 1) % PLACE_AWAITED;
		place->count--;
	}
	if (place->count > 0 && done >= place->awaited[place->first].seq)
		done = place->awaited[place->first].seq - 1;
	(void)cdr->bus->acknowledge(cdr->follower, done);
}

void place_safe(struct cdr *cdr, int64_t seq)
{
	if (seq > cdr->place.safe_seq)
		cdr->place.safe_seq = seq;
	acknowledge(cdr);
}

void place_await(struct cdr *cdr, int64_t seq, const char *call_id)
{
	struct place *place = &cdr->place;
	struct awaited *awaited = &place->awaited[(place->first + place->count) % PLACE_AWAITED];

	if (place->count == PLACE_AWAITED)
		return; /* more than the bus shows unacknowledged: cannot be */
	place->count++;
	*awaited = (struct awaited){ .seq = seq };
	(void)snprintf(awaited->call_id, sizeof awaited->call_id, "%s", call_id);
}

void place_told(struct cdr *cdr, const char *call_id)
{
	struct place *place = &cdr->place;

	for (uint32_t i = 0; i < place->count; i++) {
		struct awaited *awaited = &place->awaited[(place->first + i) % PLACE_AWAITED];

		if (awaited->is_told || strcmp(awaited->call_id, call_id) != 0)
			continue;
		awaited->is_told = true;
		break;
	}
	acknowledge(cdr);
}

static void on_created(void *self, const struct pbx_event *event)
{
	struct cdr *cdr = self;
	const char *call_id = cdr->json->text(cdr->json->get(event->data, "call_id"));

	place_told(cdr, call_id ? call_id : "");
	tails_tell(cdr, event->data);
	if (++cdr->place.shown % ACKNOWLEDGE_EVERY == 0)
		(void)cdr->bus->acknowledge(cdr->place.follower, event->seq);
}

int place_start(struct cdr *cdr)
{
	return cdr->bus->follow(cdr->host, "told", "cdr.created", on_created, cdr, &cdr->place.follower);
}
