/*
 * fax - the loop's side of faxes and gateways, and the thread that runs their modems
 *
 * The thread looks after all of them every 20 ms and is there from the first one on. A fax is known to its streams' workers, which fill and empty
 * its lines, and to the thread; both are told to let go, and when both have, it is freed. It ends when T.30 is through, when its owner says so,
 * when a stream is closed; a gateway when its legs part, or one of them speaks otherwise.
 */
#include "fax.h"
#include "engine_inner.h"
#include "fax_call.h"
#include "plan.h"
#include "thread.h"

#include <core/log.h>
#include <core/loop.h>
#include <core/overlap.h>
#include <stdlib.h>
#include <string.h>

#define TICK_US 20000u
#define MOST_LATE_US 400000u /* what was missed in a longer stall is not caught up with */

static struct {
	struct rtp_common *common;
	struct rtp_thread thread;
	/* The thread's own. */
	struct rtp_fax *running;
	uint64_t tick_at_us;
} faxes;

static struct core_handles table;

/* ---- the thread ---- */

static void give_back(struct rtp_fax *fax)
{
	rtp_fax_close(fax);
	rtp_queue_push(&faxes.common->returns, &fax->over.command.node);
	faxes.common->wake();
}

void rtp_fax_tell_page(struct rtp_fax *fax)
{
	if (atomic_exchange(&fax->page_told, true))
		return; /* it sees this one, too */
	rtp_queue_push(&faxes.common->returns, &fax->page.command.node);
	faxes.common->wake();
}

static void obey(struct rtp_fax_order *order)
{
	if (!rtp_fax_open(order->fax)) {
		give_back(order->fax);
		return;
	}
	if (!faxes.running)
		faxes.tick_at_us = core_now_us() + TICK_US;
	order->fax->next = faxes.running;
	faxes.running = order->fax;
}

static void tick(void)
{
	struct rtp_fax **at = &faxes.running;

	while (*at) {
		struct rtp_fax *fax = *at;

		if (rtp_fax_tick(fax)) {
			at = &fax->next;
			continue;
		}
		*at = fax->next;
		give_back(fax);
	}
}

static void tick_when_due(void)
{
	uint64_t now_us = core_now_us();

	if (now_us > faxes.tick_at_us + MOST_LATE_US)
		faxes.tick_at_us = now_us;
	for (; faxes.running && faxes.tick_at_us <= now_us; faxes.tick_at_us += TICK_US)
		tick();
}

static int wait_ms(void)
{
	uint64_t now_us = core_now_us();

	if (!faxes.running)
		return -1;
	return faxes.tick_at_us > now_us ? (int)((faxes.tick_at_us - now_us + 999) / 1000) : 0;
}

static int one_round(void)
{
	struct rtp_node *node;

	while ((node = rtp_thread_take(&faxes.thread)))
		obey((struct rtp_fax_order *)node);
	tick_when_due();
	return wait_ms();
}

static void to_thread(struct rtp_fax_order *order, uint32_t kind)
{
	order->command.kind = kind;
	rtp_thread_send(&faxes.thread, &order->command.node);
}

/* ---- the thread begins and ends ---- [loop] */

void rtp_faxes_start(struct rtp_common *common)
{
	faxes.common = common;
	faxes.running = NULL;
	core_handles_init(&table, 'F');
}

static int need_thread(void)
{
	return faxes.thread.runs ? PBX_OK : rtp_thread_start(&faxes.thread, "fax", one_round);
}

void rtp_faxes_stop(void)
{
	rtp_thread_stop(&faxes.thread);
	for (struct rtp_fax *fax = faxes.running, *next; fax; fax = next) {
		next = fax->next;
		give_back(fax);
	}
	faxes.running = NULL;
}

/* ---- one of them ---- [loop] */

/* What a line goes by, as its stream is configured now. */
static void set_line(struct rtp_line *line, const struct core_stream_config *config)
{
	const struct core_codec *codec = rtp_config_g711(config);

	rtp_write(&line->most_datagram, config->t38.max_datagram);
	rtp_write(&line->type, codec ? codec->payload_type & 0x7fu : 0u);
	rtp_write(&line->kind, config->t38.on ? RTP_LINE_UDPTL : codec ? rtp_codec_kind(codec) : RTP_KIND_NONE);
}

static struct rtp_fax *fax_new(struct rtp_stream *first, struct rtp_stream *second)
{
	struct rtp_fax *fax = calloc(1, sizeof *fax);

	if (!fax)
		return NULL;
	fax->line_count = second ? 2 : 1;
	fax->streams[0] = first;
	fax->streams[1] = second;
	fax->start.fax = fax->over.fax = fax->page.fax = fax;
	fax->over.command.kind = RTP_FAX_OVER;
	fax->page.command.kind = RTP_FAX_PAGE;
	for (uint32_t i = 0; i < fax->line_count; i++) {
		rtp_line_init(&fax->lines[i], fax);
		set_line(&fax->lines[i], fax->streams[i]->config);
	}
	return fax;
}

static void send_line(struct rtp_fax *fax, uint32_t at, uint32_t kind, struct rtp_command *command)
{
	struct rtp_stream *stream = fax->streams[at];

	*command = (struct rtp_command){ .kind = kind, .session = &stream->session, .stream = stream->id, .line = &fax->lines[at] };
	fax->awaited++;
	rtp_engine_send(command);
}

static void set_out(struct rtp_fax *fax)
{
	for (uint32_t i = 0; i < fax->line_count; i++) {
		fax->streams[i]->fax = fax;
		send_line(fax, i, RTP_LINE_ENTER, &fax->enter[i]);
	}
	fax->awaited++;
	to_thread(&fax->start, RTP_FAX_START);
}

/* Its streams know it no more; the thread is told. */
static void end(struct rtp_fax *fax)
{
	rtp_write(&fax->stops, true);
	for (uint32_t i = 0; i < fax->line_count; i++) {
		if (!fax->streams[i])
			continue;
		send_line(fax, i, RTP_LINE_LEAVE, &fax->leave[i]);
		fax->streams[i]->fax = NULL;
		fax->streams[i] = NULL;
	}
}

static void free_when_done(struct rtp_fax *fax)
{
	if (fax->is_over && fax->awaited == 0)
		free(fax);
}

void rtp_fax_line_returned(struct rtp_command *command)
{
	struct rtp_fax *fax = command->line->fax;

	fax->awaited--;
	free_when_done(fax);
}

static void tell_done(struct rtp_fax *fax)
{
	struct pbx_host *owner = fax->owner;

	if (fax->id)
		core_handle_free(&table, fax->id);
	core_charge_remove(&fax->charge);
	fax->owner = NULL;
	if (owner && fax->watcher.done)
		CORE_INTO(owner, fax->watcher.done(fax->self, (pbx_fax){ fax->id }, &fax->result));
}

static void tell_page(struct rtp_fax *fax)
{
	atomic_store(&fax->page_told, false);
	if (fax->owner && fax->watcher.page)
		CORE_INTO(fax->owner, fax->watcher.page(fax->self, (pbx_fax){ fax->id }, rtp_read(&fax->pages)));
}

void rtp_fax_returned(struct rtp_command *command)
{
	struct rtp_fax *fax = ((struct rtp_fax_order *)command)->fax;

	if (command->kind == RTP_FAX_PAGE) {
		tell_page(fax);
		return;
	}
	fax->is_over = true;
	end(fax);
	tell_done(fax);
	fax->awaited--;
	free_when_done(fax);
}

void rtp_fax_leave(struct rtp_stream *stream)
{
	if (stream->fax)
		end(stream->fax);
}

void rtp_fax_part(struct rtp_stream *stream)
{
	if (stream->fax && rtp_fax_is_gateway(stream->fax))
		end(stream->fax);
}

/* ---- gateways ---- [loop] */

static bool wants_gateway(const struct rtp_stream *stream)
{
	const struct rtp_stream *peer = stream->peer;

	return peer && stream->configured && peer->configured && stream->config->t38.on && stream->config->translates &&
	       rtp_config_g711(peer->config);
}

static void begin_gateway(struct rtp_stream *stream)
{
	struct rtp_fax *fax = need_thread() == PBX_OK ? fax_new(stream, stream->peer) : NULL;

	if (!fax) {
		core_log(PBX_LOG_WARN, RTP_OWNER, NULL, "fax_gateway_not_started", "reason=memory");
		return; /* the two do not understand each other, and hang up */
	}
	set_out(fax);
}

void rtp_fax_settle(struct rtp_stream *stream)
{
	struct rtp_stream *peer = stream->peer, *by_t38 = wants_gateway(stream) ? stream : peer && wants_gateway(peer) ? peer : NULL;
	struct rtp_fax *fax = stream->fax;

	if (fax && rtp_fax_is_gateway(fax) && fax->streams[0] != by_t38) {
		end(fax);
		fax = NULL;
	}
	for (uint32_t i = 0; fax && i < fax->line_count; i++)
		set_line(&fax->lines[i], fax->streams[i]->config);
	if (by_t38 && !by_t38->fax && !by_t38->peer->fax)
		begin_gateway(by_t38);
}

/* ---- of the driver ---- [loop] */

static void on_revoked(struct core_charge *charge)
{
	struct rtp_fax *fax = (struct rtp_fax *)((char *)charge - offsetof(struct rtp_fax, charge));

	core_charge_remove(charge);
	fax->owner = NULL;
	end(fax);
}

static bool copy_text(char *to, size_t size, const char *from)
{
	int length = snprintf(to, size, "%s", from ? from : "");

	return length >= 0 && (size_t)length < size;
}

static bool take_spec(struct rtp_fax *fax, const struct pbx_fax_spec *spec)
{
	bool fits = copy_text(fax->path, sizeof fax->path, spec->path) && copy_text(fax->station, sizeof fax->station, spec->station) &&
		    copy_text(fax->header, sizeof fax->header, spec->header);

	fax->spec = *spec;
	return fits && fax->path[0] == '/' && (spec->what == PBX_FAX_SEND || spec->what == PBX_FAX_RECEIVE) &&
	       (spec->most_bit_rate == 0 || (spec->most_bit_rate >= 4800 && spec->most_bit_rate <= 14400));
}

int rtp_fax_begin(struct pbx_host *owner, core_stream name, const struct pbx_fax_spec *spec, const struct pbx_fax_watcher *watcher,
		  void *self, pbx_fax *ret_fax)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	if (stream->fax)
		return PBX_ESTATE;
	if (!stream->configured || (!stream->config->t38.on && !rtp_config_g711(stream->config)))
		return PBX_ENOTSUP;
	int err = need_thread();

	if (err != PBX_OK)
		return err;
	struct rtp_fax *fax = fax_new(stream, NULL);

	if (!fax)
		return PBX_ENOMEM;
	if (!take_spec(fax, spec)) {
		free(fax);
		return PBX_EINVAL;
	}
	fax->id = core_handle_new(&table, fax);
	if (!fax->id) {
		free(fax);
		return PBX_ENOMEM;
	}
	fax->owner = owner;
	fax->self = self;
	core_copy_overlap(&fax->watcher, sizeof fax->watcher, watcher, watcher->size);
	core_charge_add(owner, &fax->charge, "fax", false, on_revoked);
	*ret_fax = (pbx_fax){ fax->id };
	set_out(fax);
	return PBX_OK;
}

int rtp_fax_stop(pbx_fax name)
{
	struct rtp_fax *fax = core_handle_find(&table, name.id);

	if (!fax)
		return PBX_ENOENT;
	end(fax);
	return PBX_OK;
}

int rtp_fax_pages(pbx_fax name, uint32_t *ret_pages)
{
	const struct rtp_fax *fax = core_handle_find(&table, name.id);

	if (!fax)
		return PBX_ENOENT;
	*ret_pages = rtp_read(&fax->pages);
	return PBX_OK;
}

bool rtp_fax_ends_at(core_stream name)
{
	const struct rtp_stream *stream = rtp_stream_find(name);

	return stream && stream->fax && !rtp_fax_is_gateway(stream->fax);
}
