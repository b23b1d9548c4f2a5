/* core/work.c - jobs for the pool: what may block runs there and comes back to the loop
 *
 * A job is charged to its owner. When the owner stops, a job that has not begun never does, and one that runs is waited for: its code
 * must stay loaded until done() has returned (core_owner_when_idle). */
#include "loop.h"
#include "loop_internal.h"
#include "owner_internal.h"
#include <assert.h>
#include <stdlib.h>

struct job {
	struct core_charge charge; /* first: a job's charge is its job */
	uv_work_t request;
	struct core_owner *owner; /* stays when the charge is revoked */
	pbx_work_fn work;
	void (*done)(void *context, void *job, int status);
	void *context, *job;
	bool cancelled;
};

static uint32_t jobs;

uint32_t core_jobs(void)
{
	return jobs;
}

static void on_work(uv_work_t *request)
{
	const struct job *job = request->data;

	job->work(job->job);
}

static void on_worked(uv_work_t *request, int status)
{
	struct job *job = request->data;
	struct core_owner *owner = job->owner;

	core_charge_remove(&job->charge);
	if (job->done)
		CORE_INTO(&owner->host, job->done(job->context, job->job, status || job->cancelled ? PBX_ECANCELLED : PBX_OK));
	free(job);
	jobs--;
	core_owner_job_done(owner);
}

static void job_revoke(struct core_charge *charge)
{
	struct job *job = (struct job *)charge;

	core_charge_remove(charge);
	job->cancelled = true;
	(void)uv_cancel((uv_req_t *)&job->request); /* refused when it runs already: then it is only told */
}

int core_work(struct pbx_host *host, pbx_work_fn work, void (*done)(void *context, void *job, int status), void *context, void *job_data)
{
	core_assert_loop();
	assert(work);
	struct core_owner *owner = core_owner_of(host ? host : core_self());
	struct job *job = calloc(1, sizeof *job);

	if (!job)
		return PBX_ENOMEM;
	*job = (struct job){ .request.data = job,
			     .owner = owner,
			     .work = work,
			     .done = done,
			     .context = context,
			     .job = job_data,
			     .cancelled = owner->stopped };
	if (uv_queue_work(core_loop_uv(), &job->request, on_work, on_worked)) {
		free(job);
		return PBX_ENOMEM;
	}
	core_charge_add(&owner->host, &job->charge, "job", false, job_revoke);
	core_owner_job_begin(owner);
	jobs++;
	return PBX_OK;
}
