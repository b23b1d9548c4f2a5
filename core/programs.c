/* core/programs.c - programs for plugins: each is waited for by a thread, charged to who started it, and told on the loop
 *
 * The pool is for what takes milliseconds: four ghostscripts there, and no file would be read for half a minute. When the owner stops, its
 * programs are killed, and it is not unloaded until it has been told of each (core_owner_when_idle). */
#include "program.h"
#include "handle.h"
#include "loop.h"
#include "overlap.h"
#include "owner_internal.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct run {
	struct core_charge charge; /* first: a charge is its run */
	pbx_program handle;
	struct core_owner *owner; /* stays when the charge is revoked */
	void (*done)(void *self, pbx_program program, const struct pbx_program_result *result);
	void *self;
	struct pbx_program_spec spec; /* its texts and input are owned */
	struct core_program_end end;  /* the thread's, until it posts the node below */
	struct core_post_node ended;
	pthread_t thread;
	int cancel_fd;
	bool is_cancelled;
};

static struct core_handles runs;

/* ---- what is copied ---- */

static void texts_free(const char *const *texts)
{
	for (const char *const *text = texts; text && *text; text++)
		free((void *)(uintptr_t)*text);
	free((void *)(uintptr_t)texts);
}

/* PBX_OK, PBX_ENOMEM; NULL stays NULL. */
static int copy_texts(const char *const *texts, const char *const **ret_copy)
{
	size_t count = 0;

	*ret_copy = NULL;
	if (!texts)
		return PBX_OK;
	while (texts[count])
		count++;
	const char **copy = calloc(count + 1, sizeof *copy);
	*ret_copy = (const char *const *)copy;
	for (size_t i = 0; copy && i < count; i++)
		if (!(copy[i] = strdup(texts[i])))
			return PBX_ENOMEM;
	return copy ? PBX_OK : PBX_ENOMEM;
}

static int copy_spec(struct pbx_program_spec *ret_copy, const struct pbx_program_spec *spec)
{
	void *input = spec->input_size ? malloc(spec->input_size) : NULL;
	char *folder = spec->folder ? strdup(spec->folder) : NULL;

	*ret_copy = *spec;
	ret_copy->input = input;
	ret_copy->folder = folder;
	if (input)
		memcpy(input, spec->input, spec->input_size);
	int err = copy_texts(spec->argv, &ret_copy->argv), more = copy_texts(spec->environment, &ret_copy->environment);

	if ((spec->input_size && !input) || (spec->folder && !folder))
		return PBX_ENOMEM;
	return err != PBX_OK ? err : more;
}

static void spec_fini(struct pbx_program_spec *spec)
{
	texts_free(spec->argv);
	texts_free(spec->environment);
	free((void *)(uintptr_t)spec->folder);
	free((void *)(uintptr_t)spec->input);
}

/* ---- a run's life ---- */

static void run_free(struct run *run)
{
	if (!run)
		return;
	core_charge_remove(&run->charge);
	core_handle_free(&runs, run->handle.id);
	if (run->cancel_fd >= 0)
		(void)close(run->cancel_fd);
	core_program_end_fini(&run->end);
	spec_fini(&run->spec);
	free(run);
}

static void kill_run(struct run *run)
{
	run->is_cancelled = true;
	(void)eventfd_write(run->cancel_fd, 1); /* cannot fail before 2^64 of them */
}

static void on_revoked(struct core_charge *charge)
{
	struct run *run = (struct run *)charge;

	core_charge_remove(charge);
	kill_run(run);
}

static void on_ended(void *context)
{
	struct run *run = context;
	struct core_owner *owner = run->owner;
	const struct core_program_end *end = &run->end;
	const struct pbx_program_result result = {
		.size = sizeof result,
		.status = run->is_cancelled ? PBX_ECANCELLED : end->status, /* also when it was quicker */
		.exit_status = end->exit_status,
		.signal = end->signal,
		.error = run->is_cancelled ? "cancelled" : end->error,
		.output = end->output ? end->output : "",
		.output_size = end->output_size,
		.took_ms = end->took_ms,
	};
	pbx_program handle = run->handle;

	(void)pthread_join(run->thread, NULL); /* has said its last word */
	core_charge_remove(&run->charge);
	core_handle_free(&runs, handle.id);
	CORE_INTO(&owner->host, run->done(run->self, handle, &result));
	run_free(run);
	core_busy(-1);
	core_owner_job_done(owner);
}

static void *wait_for_it(void *context)
{
	struct run *run = context;

	core_program_run(&run->spec, 0, run->cancel_fd, &run->end);
	core_post_node(core_self(), &run->ended, on_ended, run);
	return NULL;
}

/* ---- the service ---- */

static int begin(struct run *run)
{
	run->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	run->handle.id = core_handle_new(&runs, run);
	if (run->cancel_fd < 0 || !run->handle.id || pthread_create(&run->thread, NULL, wait_for_it, run) != 0)
		return PBX_ENOMEM;
	core_charge_add(&run->owner->host, &run->charge, "program", false, on_revoked);
	core_owner_job_begin(run->owner);
	core_busy(1);
	if (run->owner->stopped)
		kill_run(run);
	return PBX_OK;
}

static int programs_start(struct pbx_host *host, const struct pbx_program_spec *given,
			  void (*done)(void *self, pbx_program program, const struct pbx_program_result *result), void *self,
			  pbx_program *ret_program)
{
	struct pbx_program_spec spec;

	core_assert_loop();
	assert(given && done);
	core_copy_overlap(&spec, sizeof spec, given, given->size);
	if (!core_program_check(&spec))
		return PBX_EINVAL;
	if (core_handles_count(&runs) >= CORE_MOST_PROGRAMS)
		return PBX_ENOSPC;
	struct run *run = calloc(1, sizeof *run);
	if (!run)
		return PBX_ENOMEM;
	*run = (struct run){ .owner = core_owner_of(host), .done = done, .self = self, .cancel_fd = -1 };
	int err = copy_spec(&run->spec, &spec);
	if (err == PBX_OK)
		err = begin(run);
	if (err != PBX_OK)
		run_free(run);
	else if (ret_program)
		*ret_program = run->handle;
	return err;
}

static int programs_cancel(pbx_program program)
{
	struct run *run = core_handle_find(&runs, program.id);

	core_assert_loop();
	if (!run || run->is_cancelled)
		return PBX_ENOENT;
	kill_run(run);
	return PBX_OK;
}

static int programs_find(const char *name)
{
	char path[512];

	return core_program_find(name, path, sizeof path);
}

void core_programs_init(void)
{
	core_handles_init(&runs, 'P');
}

void core_programs_fini(void)
{
	struct run *run;
	uint32_t at = 0;

	for (uint32_t first = 0; (run = core_handles_next(&runs, &first));)
		kill_run(run);
	while ((run = core_handles_next(&runs, &at))) {
		(void)pthread_join(run->thread, NULL);
		core_unpost(&run->ended);
		core_owner_job_done(run->owner);
		core_busy(-1);
		run_free(run);
	}
	core_handles_fini(&runs);
}

uint32_t core_programs_count(void)
{
	return core_handles_count(&runs);
}

const struct pbx_programs core_programs_service = {
	.header = PBX_HEADER(struct pbx_programs),
	.start = programs_start,
	.cancel = programs_cancel,
	.find = programs_find,
};
