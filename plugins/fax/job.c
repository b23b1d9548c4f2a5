/*
 * job - a fax from its beginning to its end, whichever way it goes
 */
#include "fax.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job *job_new(struct plugin *plugin, bool sends, const char *id)
{
	struct job *job = calloc(1, sizeof *job);

	if (!job)
		return NULL;
	job->plugin = plugin;
	job->sends = sends;
	job->lock_fd = -1;
	if (id)
		(void)snprintf(job->id, sizeof job->id, "%s", id);
	else
		plugin->host->ulid(plugin->host, job->id);
	(void)snprintf(job->path, sizeof job->path, "%s/%s.tif", plugin->folder, job->id);
	(void)snprintf(job->station, sizeof job->station, "%s", plugin->settings->station);
	job->next = plugin->jobs;
	plugin->jobs = job;
	return job;
}

static void job_free(struct job *job)
{
	struct job **at = &job->plugin->jobs;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	(void)job->plugin->timers->stop(job->timer); /* most have none */
	if (job->lock_fd >= 0)
		(void)close(job->lock_fd);
	free(job);
}

void job_finish(struct job *job)
{
	job->over = true;
	if (job->legs == 0)
		job_free(job);
}

int job_control(struct job *job, pbx_leg leg, const struct pbx_controller *controller)
{
	int err = job->plugin->calls->control(job->plugin->host, leg, controller, job);

	job->leg = err == PBX_OK ? leg : (pbx_leg){ 0 };
	job->legs += err == PBX_OK;
	return err;
}

bool job_leg_gone(struct job *job, pbx_leg leg)
{
	if (job->leg.id == leg.id)
		job->leg = (pbx_leg){ 0 };
	job->legs--;
	if (!job->over || job->legs > 0)
		return !job->over;
	job_free(job);
	return false;
}

struct job *job_find(struct plugin *plugin, const char *id)
{
	struct job *job = plugin->jobs;

	while (job && (job->over || strcmp(job->id, id) != 0))
		job = job->next;
	return job;
}

void jobs_free(struct plugin *plugin)
{
	while (plugin->jobs) {
		struct job *job = plugin->jobs;

		plugin->jobs = job->next;
		if (job->lock_fd >= 0)
			(void)close(job->lock_fd);
		free(job);
	}
}

int job_begin(struct job *job, const struct pbx_fax_watcher *watcher)
{
	struct plugin *plugin = job->plugin;
	const struct fax_settings *settings = plugin->settings;
	const struct pbx_fax_spec spec = { .size = sizeof spec,
					   .what = job->sends ? PBX_FAX_SEND : PBX_FAX_RECEIVE,
					   .path = job->path,
					   .station = job->station,
					   .header = settings->header,
					   .no_ecm = !settings->ecm,
					   .no_t38 = !settings->t38,
					   .most_bit_rate = settings->bit_rate };

	return plugin->faxes->begin(plugin->host, job->leg, &spec, watcher, job, &job->fax);
}

void job_on_page(void *self, pbx_fax fax, uint32_t pages)
{
	(void)fax;
	row_page(self, pages);
}

void job_hang_up(struct job *job)
{
	if (job->leg.id)
		(void)job->plugin->calls->hangup(job->leg, PBX_CAUSE_NORMAL); /* or it is gone: as good */
	job->leg = (pbx_leg){ 0 };
}
