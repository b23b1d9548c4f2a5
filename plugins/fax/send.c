/*
 * send - a fax waits, calls, is sent, and tries again where the other side was busy, silent or did not understand
 */
#include "fax.h"
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LOOK_MS 60000u

static void on_retry(void *self, pbx_timer timer)
{
	struct job *job = self;

	(void)timer;
	job->timer = (pbx_timer){ 0 };
	send_begin(job);
}

static void fail(struct job *job, const struct pbx_fax_result *result)
{
	struct plugin *plugin = job->plugin;

	row_end(job, job->cancelled ? "cancelled" : "failed", result);
	row_tell(job, "fax.failed", result);
	plugin->metrics->add(plugin->host, METRIC_FAXES, "not_sent", 1);
	job_finish(job);
}

/* Not this time. */
static void try_again(struct job *job, const struct pbx_fax_result *result)
{
	struct plugin *plugin = job->plugin;

	job_hang_up(job);
	if (plugin->draining && !job->cancelled && job->attempts < plugin->settings->attempts) {
		row_wait(job, result->reason); /* for another version of us */
		job_finish(job);
		return;
	}
	if (!job->cancelled && job->attempts < plugin->settings->attempts &&
	    plugin->timers->start(plugin->host, (uint64_t)plugin->settings->retry_s * 1000, 0, on_retry, job, &job->timer) == PBX_OK)
		row_wait(job, result->reason);
	else
		fail(job, result);
}

static void not_sent(struct job *job, const char *reason)
{
	const struct pbx_fax_result result = { .size = sizeof result, .error = PBX_EIO, .reason = reason, .station = "" };

	try_again(job, &result);
}

static void on_done(void *self, pbx_fax fax, const struct pbx_fax_result *result)
{
	struct job *job = self;
	struct plugin *plugin = job->plugin;

	(void)fax;
	job->fax = (pbx_fax){ 0 };
	plugin->metrics->add(plugin->host, METRIC_PAGES, "sent", result->pages);
	if (result->error != PBX_OK) {
		try_again(job, result);
		return;
	}
	row_end(job, "sent", result);
	row_tell(job, "fax.sent", result);
	plugin->metrics->add(plugin->host, METRIC_FAXES, "sent", 1);
	job_hang_up(job);
	job_finish(job);
}

static const struct pbx_fax_watcher watcher = { .size = sizeof watcher, .done = on_done, .page = job_on_page };

static void on_ended(void *self, pbx_leg leg, uint32_t cause)
{
	(void)cause;
	(void)job_leg_gone(self, leg); /* on_done follows, or was here before */
}

static void on_lost(void *self, pbx_leg leg)
{
	struct job *job = self;

	if (job_leg_gone(job, leg) && job->fax.id)
		(void)job->plugin->faxes->stop(job->fax); /* on_done follows */
}

static const struct pbx_controller controller = { .size = sizeof controller, .ended = on_ended, .lost = on_lost };

static const char *why_not(uint32_t outcome)
{
	static const char *const reasons[] = {
		[PBX_DIALLED_BUSY] = "busy",          [PBX_DIALLED_NO_ANSWER] = "no answer",      [PBX_DIALLED_DECLINED] = "declined",
		[PBX_DIALLED_OFFLINE] = "offline",    [PBX_DIALLED_NOT_FOUND] = "no such number", [PBX_DIALLED_FAILED] = "the call failed",
		[PBX_DIALLED_CANCELLED] = "cancelled"
	};

	return outcome < sizeof reasons / sizeof reasons[0] && reasons[outcome] ? reasons[outcome] : "the call failed";
}

static void on_dialled(void *self, pbx_dial dial, const struct pbx_dial_result *result)
{
	struct job *job = self;

	(void)dial;
	job->dial = (pbx_dial){ 0 };
	if (result->outcome != PBX_DIALLED_ANSWERED) {
		not_sent(job, why_not(result->outcome));
		return;
	}
	int err = job_control(job, result->winner, &controller);

	if (err == PBX_OK)
		err = job_begin(job, &watcher);
	if (err != PBX_OK)
		not_sent(job, err == PBX_ENOTSUP ? "neither G.711 nor T.38 was agreed on" : "the call ended at once");
}

static const struct pbx_dialler dialler = { .size = sizeof dialler, .done = on_dialled };

void send_begin(struct job *job)
{
	struct plugin *plugin = job->plugin;
	const struct pbx_dial_target target = { .text = job->to };
	const struct pbx_dial_plan plan = {
		.size = sizeof plan,
		.strategy = PBX_DIAL_ALL,
		PBX_TARGETS(&target, 1),
		.ring_ms = plugin->settings->ring_s * 1000,
		.caller_number = job->from,
		.caller_name = "Fax",
	};

	job->attempts++;
	row_begin(job, "sending");
	if (plugin->calls->dial(plugin->host, (pbx_leg){ 0 }, &plan, &dialler, job, &job->dial) != PBX_OK)
		not_sent(job, "too many calls");
}

/* ---- whose it is ---- */

int send_claim(struct job *job)
{
	int fd = open(job->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return PBX_EIO;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)close(fd);
		return PBX_EBUSY;
	}
	job->lock_fd = fd;
	return PBX_OK;
}

static void take_up(struct plugin *plugin, const struct pbx_rows *rows, uint32_t at)
{
	struct job *job = job_find(plugin, pbx_cell_text(rows, at, 0)) ? NULL : job_new(plugin, true, pbx_cell_text(rows, at, 0));

	if (!job)
		return; /* it is ours already, or there is no memory now */
	(void)snprintf(job->from, sizeof job->from, "%s", pbx_cell_text(rows, at, 1));
	(void)snprintf(job->to, sizeof job->to, "%s", pbx_cell_text(rows, at, 2));
	job->attempts = (uint32_t)pbx_cell_int(rows, at, 3);
	int err = send_claim(job);

	if (err == PBX_OK)
		send_begin(job);
	else if (err == PBX_EBUSY)
		job_finish(job);
	else
		fail(job, &(struct pbx_fax_result){
				  .size = sizeof(struct pbx_fax_result), .error = PBX_EIO, .reason = "its file is gone", .station = "" });
}

static void on_unsent(void *self, const struct pbx_rows *rows)
{
	struct plugin *plugin = self;

	for (uint32_t at = 0; rows->status == PBX_OK && at < rows->count && !plugin->draining; at++)
		take_up(plugin, rows, at);
}

static void look(struct plugin *plugin)
{
	(void)plugin->store->run(plugin->host,
				 "SELECT id, from_number, to_number, attempts FROM fax_faxes WHERE state IN ('sending', 'waiting')", NULL,
				 0, on_unsent, plugin); /* not now: the next time */
}

static void on_look(void *self, pbx_timer timer)
{
	struct plugin *plugin = self;

	(void)timer;
	if (!plugin->draining)
		look(plugin);
}

int send_start(struct plugin *plugin)
{
	pbx_timer timer;

	look(plugin);
	return plugin->timers->start(plugin->host, LOOK_MS, LOOK_MS, on_look, plugin, &timer);
}

void send_drain(struct plugin *plugin)
{
	plugin->draining = true;
	for (struct job *job = plugin->jobs, *next; job; job = next) {
		next = job->next;
		if (job->timer.id)
			job_finish(job);
	}
}
