/*
 * receive - a number of an inbox is dialled: we answer, and take the pages
 */
#include "fax.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void over(struct job *job, const struct pbx_fax_result *result)
{
	struct plugin *plugin = job->plugin;
	bool came = result->pages > 0;

	job->fax = (pbx_fax){ 0 };
	row_end(job, result->error == PBX_OK ? "received" : came ? "incomplete" : "failed", result);
	row_tell(job, came ? "fax.received" : "fax.failed", result);
	plugin->metrics->add(plugin->host, METRIC_FAXES, came ? "received" : "not_received", 1);
	plugin->metrics->add(plugin->host, METRIC_PAGES, "received", result->pages);
	if (!came)
		(void)unlink(job->path); /* there may be none */
	job_hang_up(job);
	job_finish(job);
}

static void on_done(void *self, pbx_fax fax, const struct pbx_fax_result *result)
{
	(void)fax;
	over(self, result);
}

static const struct pbx_fax_watcher watcher = { .size = sizeof watcher, .done = on_done, .page = job_on_page };

static void not_begun(struct job *job, const char *reason)
{
	const struct pbx_fax_result result = { .size = sizeof result, .error = PBX_EIO, .reason = reason, .station = "" };

	over(job, &result);
}

static void on_answered(void *self, pbx_leg leg)
{
	struct job *job = self;
	int err = job_begin(job, &watcher);

	(void)leg;
	if (err != PBX_OK)
		not_begun(job, err == PBX_ENOTSUP ? "neither G.711 nor T.38 was agreed on" : "there is no memory");
}

static void on_ended(void *self, pbx_leg leg, uint32_t cause)
{
	struct job *job = self;

	(void)cause;
	if (job_leg_gone(job, leg) && !job->fax.id)
		not_begun(job, "the caller hung up before the first tone");
}

static void on_lost(void *self, pbx_leg leg)
{
	struct job *job = self;

	if (!job_leg_gone(job, leg))
		return;
	if (job->fax.id)
		(void)job->plugin->faxes->stop(job->fax); /* on_done follows */
	else
		not_begun(job, "the call was taken by somebody else");
}

static const struct pbx_controller controller = { .size = sizeof controller, .answered = on_answered, .ended = on_ended, .lost = on_lost };

static const struct inbox_row *inbox_of(const struct plugin *plugin, const char *number)
{
	const struct pbx_objects *inboxes = &plugin->settings->inboxes;

	for (uint32_t at = 0; at < inboxes->count; at++) {
		const struct inbox_row *inbox = (const struct inbox_row *)((const char *)inboxes->rows + (size_t)at * inboxes->row_size);

		if (strcmp(inbox->number, number) == 0)
			return inbox;
	}
	return NULL;
}

static bool is_claimed(const struct plugin *plugin, const char *number)
{
	const struct claimed *claimed = plugin->claimed;

	while (claimed && strcmp(claimed->number, number) != 0)
		claimed = claimed->next;
	return claimed;
}

static int claim(struct plugin *plugin, const char *number)
{
	struct claimed *claimed = calloc(1, sizeof *claimed);
	int err = claimed ? plugin->calls->claim(plugin->host, number, fax_on_dialled, plugin) : PBX_ENOMEM;

	if (err != PBX_OK) {
		free(claimed);
		return err;
	}
	(void)snprintf(claimed->number, sizeof claimed->number, "%s", number);
	claimed->next = plugin->claimed;
	plugin->claimed = claimed;
	return PBX_OK;
}

int inboxes_claim(struct plugin *plugin, const struct pbx_objects *inboxes, struct pbx_diag *diag)
{
	for (uint32_t at = 0; at < inboxes->count; at++) {
		const struct inbox_row *inbox = (const struct inbox_row *)((const char *)inboxes->rows + (size_t)at * inboxes->row_size);
		int err = is_claimed(plugin, inbox->number) ? PBX_OK : claim(plugin, inbox->number);

		if (err == PBX_OK)
			continue;
		pbx_diag_set(diag, "inboxes", "%s cannot be an inbox: %s", inbox->number,
			     err == PBX_ENOMEM ? "there is no memory" : "another feature answers that number");
		return err;
	}
	return PBX_OK;
}

void inboxes_give_back(void *self, void *data)
{
	struct plugin *plugin = self;

	(void)data;
	for (struct claimed **place = &plugin->claimed, *claimed; (claimed = *place);) {
		if (inbox_of(plugin, claimed->number)) {
			place = &claimed->next;
			continue;
		}
		(void)plugin->routing->unclaim(plugin->host, claimed->number);
		*place = claimed->next;
		free(claimed);
	}
}

void fax_on_dialled(void *self, pbx_leg leg)
{
	struct plugin *plugin = self;
	struct pbx_leg_info info = { .size = sizeof info };
	struct job *job = plugin->calls->info(leg, &info) == PBX_OK ? job_new(plugin, false, NULL) : NULL;

	if (!job)
		return; /* it gets 500 */
	const struct inbox_row *inbox = inbox_of(plugin, info.dialled);

	if (!inbox) { /* taken out of the settings since we began */
		job_finish(job);
		(void)plugin->calls->hangup(leg, PBX_CAUSE_NOT_FOUND);
		return;
	}
	(void)snprintf(job->inbox, sizeof job->inbox, "%s", info.dialled);
	(void)snprintf(job->from, sizeof job->from, "%s", info.number);
	(void)snprintf(job->to, sizeof job->to, "%s", info.dialled);
	if (inbox->station[0])
		(void)snprintf(job->station, sizeof job->station, "%s", inbox->station);
	if (job_control(job, leg, &controller) != PBX_OK) {
		job_finish(job);
		return;
	}
	row_begin(job, "receiving");
	if (plugin->calls->answer(leg) != PBX_OK)
		(void)plugin->calls->hangup(leg, PBX_CAUSE_NOT_ACCEPTABLE); /* on_ended follows */
}
