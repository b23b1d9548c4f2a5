/* core/host_life.c - the life of an instance: settings, migrations, load, start, and back again
 *
 * Coming up is a row of steps; migrations and a plugin's load may answer later. Whatever fails takes the instance down again, step by
 * step, and the PBX goes on.
 *
 * An upgrade: the successor comes up beside its predecessor and starts while the predecessor is still in full service. Every registry
 * lets an owner claim what an owner of the same name has, and asks the newer one (core/request.c, the number plan, the bus), so the
 * successor's start meets no conflict. If it succeeds, what brings the predecessor new work is revoked in the same callback, and what it needs to
 * finish (legs, dials, sources, holds, timers, queries) stays: no call sees both or neither. If it fails, only the successor's
 * registrations are revoked; the predecessor has never stopped and needs no second start. */
#include "host_internal.h"
#include "bus.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "request.h"
#include "settings.h"
#include "store.h"
#include "timer.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define READY_WITHIN_MS 10000u
#define DRAINED_EVERY_MS 100u

static struct core_instance *predecessor_of(const struct core_instance *instance)
{
	return instance->plugin->current != instance ? instance->plugin->current : NULL;
}

/* ---- settings ------------------------------------------------------------------------- */

static int offer_settings(struct core_instance *instance, const void *block, struct pbx_diag *diag)
{
	int err = PBX_OK;

	if (instance->is_loaded && instance->card.reload)
		CORE_INTO(&instance->owner.host, err = instance->card.reload(instance->self, block, diag));
	if (err == PBX_OK)
		instance->self->settings = block;
	return err;
}

int core_owner_apply_settings(const char *section, const void *block, struct pbx_diag *diag)
{
	const struct core_plugin *plugin = core_plugin_find(section);

	for (struct core_instance *instance = plugin ? plugin->instances : NULL; instance; instance = instance->next)
		if (instance->has_section)
			return offer_settings(instance, block, diag);
	return PBX_OK;
}

/* The section is ours from here; a predecessor goes on reading the block it has. */
static int take_section(struct core_instance *instance, struct pbx_diag *diag)
{
	struct core_instance *predecessor = predecessor_of(instance);
	const char *name = instance->owner.name;
	const struct pbx_plugin *card = &instance->card;
	bool replaces = predecessor && predecessor->has_section;

	if (!card->settings.count)
		return PBX_OK;
	if (replaces)
		predecessor->settings_held = core_settings_ref(predecessor->self->settings);
	int err = core_settings_on_check(name, card->settings_check);
	if (err == PBX_OK)
		err = replaces ? core_settings_redeclare(name, &card->settings, card->settings_size, diag)
		      : !instance->library && core_settings_get(name)
			      ? PBX_OK /* main has declared it for a part */
			      : core_settings_declare(name, &card->settings, card->settings_size, diag);
	if (err != PBX_OK) {
		(void)core_settings_on_check(name, replaces ? predecessor->card.settings_check : NULL); /* it was there before */
		if (replaces) {
			core_settings_unref(predecessor->settings_held);
			predecessor->settings_held = NULL;
		}
		return err;
	}
	if (replaces)
		predecessor->has_section = false;
	instance->has_section = true;
	instance->self->settings = core_settings_get(name);
	return PBX_OK;
}

/* Gives the section back to whom we would have replaced, or to nobody. */
static void leave_section(struct core_instance *instance)
{
	struct core_instance *predecessor = predecessor_of(instance);
	const char *name = instance->owner.name;
	struct pbx_diag diag = { 0 };

	if (!instance->has_section)
		return;
	instance->has_section = false;
	if (!predecessor || !predecessor->settings_held || predecessor->is_retiring) {
		core_settings_undeclare(name);
		(void)core_settings_on_check(name, NULL);
		return;
	}
	(void)core_settings_on_check(name, predecessor->card.settings_check); /* no memory: what it accepted is not asked about again */
	int err = core_settings_redeclare(name, &predecessor->card.settings, predecessor->card.settings_size, &diag);
	if (err == PBX_OK) {
		predecessor->has_section = true;
		err = offer_settings(predecessor, core_settings_get(name), &diag);
	}
	if (err != PBX_OK) { /* it keeps the block it holds */
		core_log(PBX_LOG_WARN, name, NULL, "settings_kept", "reason=\"%s\"", diag.text);
		return;
	}
	core_settings_unref(predecessor->settings_held);
	predecessor->settings_held = NULL;
}

/* ---- going ---------------------------------------------------------------------------- */

static void on_idle(void *context)
{
	struct core_instance *instance = context;
	void (*gone)(void *context) = instance->gone;
	void *gone_context = instance->gone_context;

	if (instance->is_loaded && instance->card.unload)
		CORE_INTO(&instance->owner.host, instance->card.unload(instance->self));
	leave_section(instance);
	core_part_report_time(instance);
	core_instance_free(instance);
	if (gone)
		gone(gone_context);
}

static void undeclare(struct core_instance *instance)
{
	struct pbx_host *host = &instance->owner.host;

	core_services_withdraw(instance);
	core_requests_undeclare(host);
	core_owner_revoke_all(&instance->owner);
	core_bus_undeclare(host);
	core_metrics_undeclare(host);
}

void core_life_end(struct core_instance *instance, void (*gone)(void *context), void *context)
{
	assert(!instance->is_retiring);
	instance->is_retiring = true;
	instance->gone = gone;
	instance->gone_context = context;
	(void)core_timer_stop(instance->timer); /* there may be none */
	if (instance->is_started && instance->card.stop)
		CORE_INTO(&instance->owner.host, instance->card.stop(instance->self));
	undeclare(instance);
	core_owner_when_idle(&instance->owner, on_idle, instance);
}

/* ---- coming up: what goes wrong ------------------------------------------------------- */

struct farewell {
	struct core_plugin *plugin;
	struct core_refusal refusal;
	core_life_fn then;
	void *context;
};

static void on_refused_gone(void *context)
{
	struct farewell *farewell = context;

	farewell->then(farewell->context, farewell->plugin, NULL, &farewell->refusal);
	free(farewell);
}

static void refuse(struct core_instance *instance, const struct core_refusal *refusal)
{
	struct farewell *farewell = malloc(sizeof *farewell);

	instance->waits_for_ready = false;
	if (!farewell) {
		instance->then(instance->then_context, instance->plugin, NULL, refusal);
		core_life_end(instance, NULL, NULL);
		return;
	}
	*farewell = (struct farewell){
		.plugin = instance->plugin, .refusal = *refusal, .then = instance->then, .context = instance->then_context
	};
	core_life_end(instance, on_refused_gone, farewell);
}

static void refuse_result(struct core_instance *instance, int result, const char *what, const char *text)
{
	struct core_refusal refusal = { 0 };

	core_refuse(&refusal, result, "see what it logged before", "%s%s%s", what, text && *text ? ": " : "", text ? text : "");
	refuse(instance, &refusal);
}

/* ---- draining ------------------------------------------------------------------------- */

static void on_drain_timer(void *self, pbx_timer timer)
{
	struct core_instance *instance = self;
	char holds[160];

	(void)timer;
	if (core_owner_holds(&instance->owner, holds, sizeof holds) > 0)
		return;
	core_log(PBX_LOG_NOTICE, instance->owner.name, NULL, "predecessor_left", "version=%s", instance->card.version);
	core_life_end(instance, NULL, NULL);
}

/* What brings an owner new work, by the kinds that registries charge. All else it needs to finish what it has. */
static bool brings_work(const char *kind)
{
	static const char *const kinds[] = { "claim", "number", "route hook", "in-call keys", "subscription" };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (!strcmp(kinds[i], kind))
			return true;
	return false;
}

static void revoke_new_work(struct core_instance *instance)
{
	struct core_charge *charge = instance->owner.charges;

	while (charge) {
		if (charge->holds || !brings_work(charge->kind)) {
			charge = charge->next;
			continue;
		}
		charge->revoke(charge);
		charge = instance->owner.charges; /* a revoke may have taken others with it */
	}
}

static void drain(struct core_instance *instance)
{
	core_services_withdraw(instance);
	core_requests_undeclare(&instance->owner.host);
	revoke_new_work(instance);
	instance->state = CORE_PLUGIN_DRAINING;
	if (instance->card.drain)
		CORE_INTO(&instance->owner.host, instance->card.drain(instance->self));
	if (core_timer_start(core_self(), 0, DRAINED_EVERY_MS, on_drain_timer, instance, &instance->timer) != PBX_OK)
		core_log(PBX_LOG_ERROR, instance->owner.name, NULL, "predecessor_stays", "reason=\"out of memory\"");
}

/* ---- coming up: the steps, last one first --------------------------------------------- */

static int declare(struct core_instance *instance, struct core_refusal *refusal)
{
	const struct pbx_plugin *card = &instance->card;
	struct pbx_host *host = &instance->owner.host;
	struct pbx_diag diag = { .text = "there is no memory for its tables" };
	int err = core_requests_declare(host, &card->routes, &card->commands, &diag);

	if (err == PBX_OK)
		err = core_metrics_declare(host, &card->metrics, &diag);
	if (err == PBX_OK)
		err = core_bus_declare(host, &card->events, &diag);
	if (err != PBX_OK)
		core_refuse(refusal, err, err == PBX_EEXIST ? "unload who has it, or have it renamed" : "correct it, or report it", "%s",
			    diag.text);
	return err;
}

/* The one mistake that would show as a crash in the middle of a call: the table of a service is NULL. */
static int check_services(const struct core_instance *instance, struct core_refusal *refusal)
{
	if (!instance->unnamed[0])
		return PBX_OK;
	core_refuse(refusal, PBX_EINVAL, "name it there, with a ? when it can do without", "it asks for %s, which its .needs does not name",
		    instance->unnamed);
	return PBX_EINVAL;
}

static int take_place(struct core_instance *instance, struct core_refusal *refusal)
{
	int err = declare(instance, refusal);

	if (err != PBX_OK)
		return err;
	if (instance->card.start)
		CORE_INTO(&instance->owner.host, err = instance->card.start(instance->self));
	instance->is_started = err == PBX_OK;
	int service_err = check_services(instance, refusal);
	if (service_err != PBX_OK)
		return service_err;
	if (err != PBX_OK) {
		core_refuse(refusal, err, "see what it logged before", "its start failed: %s", core_result_name(err));
		return err;
	}
	return core_services_offer(instance, refusal);
}

static void step_start(struct core_instance *instance)
{
	static uint64_t order;
	struct core_instance *predecessor = predecessor_of(instance);
	struct core_refusal refusal = { 0 };

	if (take_place(instance, &refusal) != PBX_OK) {
		refuse(instance, &refusal);
		return;
	}
	instance->plugin->current = instance;
	instance->plugin->state = instance->state = CORE_PLUGIN_RUNNING;
	instance->plugin->refusal = (struct core_refusal){ 0 };
	instance->order = ++order;
	if (predecessor)
		drain(predecessor);
	core_log(PBX_LOG_NOTICE, instance->owner.name, NULL, "plugin_started", "version=%s%s", instance->card.version,
		 predecessor ? " replaces=1" : "");
	core_part_tell("plugin.started", instance->plugin, instance->card.version, "");
	instance->then(instance->then_context, instance->plugin, instance, NULL);
}

static void on_ready_timeout(void *self, pbx_timer timer)
{
	(void)timer;
	refuse_result(self, PBX_ETIMEOUT, "its load was not ready within 10 seconds", NULL);
}

struct readiness {
	uint64_t number;
	int result;
	char reason[256];
};

/* What comes late finds its instance by number: it may be gone. */
static struct core_instance *find_instance(uint64_t number)
{
	for (struct core_plugin *plugin = core_plugins(); plugin; plugin = plugin->next)
		for (struct core_instance *instance = plugin->instances; instance; instance = instance->next)
			if (instance->number == number)
				return instance;
	return NULL;
}

static void on_ready(void *context, void *data)
{
	const struct readiness *readiness = data;
	struct core_instance *instance = find_instance(readiness->number);

	(void)context;
	if (instance && !instance->is_retiring && instance->waits_for_ready) {
		instance->waits_for_ready = false;
		(void)core_timer_stop(instance->timer); /* it runs */
		if (readiness->result == PBX_OK)
			step_start(instance);
		else
			refuse_result(instance, readiness->result, "its load failed", readiness->reason);
	}
	free(data);
}

/* Posted to ourselves: we may be inside the plugin's code, which is about to be started or unloaded. */
void core_life_ready(struct pbx_host *host, int result, const char *reason)
{
	struct readiness *readiness = calloc(1, sizeof *readiness);

	if (!readiness)
		return; /* the 10 s pass */
	readiness->number = core_instance_of(host)->number;
	readiness->result = result;
	(void)snprintf(readiness->reason, sizeof readiness->reason, "%s", reason ? reason : "");
	if (core_post(core_self(), on_ready, NULL, readiness, free) != PBX_OK)
		free(readiness);
}

static void step_load(struct core_instance *instance)
{
	int err = PBX_OK;

	instance->waits_for_ready = true;
	if (instance->card.load)
		CORE_INTO(&instance->owner.host, err = instance->card.load(instance->self));
	instance->is_loaded = err == PBX_OK || err == PBX_ELATER;
	if (err == PBX_ELATER)
		err = core_timer_start(core_self(), READY_WITHIN_MS, 0, on_ready_timeout, instance, &instance->timer);
	else if (err == PBX_OK)
		instance->waits_for_ready = false;
	struct core_refusal refusal = { 0 };
	if (check_services(instance, &refusal) != PBX_OK)
		refuse(instance, &refusal);
	else if (err != PBX_OK)
		refuse_result(instance, err, "its load failed", core_result_name(err));
	else if (!instance->waits_for_ready)
		step_start(instance);
}

static void on_migrated(void *context, int result, const struct pbx_diag *diag)
{
	struct core_instance *instance = find_instance((uintptr_t)context);

	if (!instance)
		return;
	bool is_retiring = instance->is_retiring; /* stopped meanwhile: it was kept for the sake of its tables */
	core_owner_job_done(&instance->owner);
	if (is_retiring)
		return;
	if (result == PBX_OK)
		step_load(instance);
	else
		refuse_result(instance, result, "its tables could not be migrated", diag ? diag->text : NULL);
}

void core_life_cancel(struct core_instance *instance)
{
	refuse_result(instance, PBX_ECANCELLED, "the daemon is being stopped", NULL);
}

void core_life_begin(struct core_instance *instance, core_life_fn then, void *context)
{
	struct core_refusal refusal = { 0 };
	struct pbx_diag diag = { 0 };

	instance->then = then;
	instance->then_context = context;

	const char *missing = core_need_missing(&instance->card);
	if (missing) {
		core_refuse(&refusal, PBX_ENOENT, "load what offers it first", "it needs %s, which is not there", missing);
		refuse(instance, &refusal);
		return;
	}
	int err = take_section(instance, &diag);
	if (err != PBX_OK) {
		core_refuse(&refusal, err, "correct its settings", "%s", diag.text);
		refuse(instance, &refusal);
		return;
	}
	if (!instance->card.migrations.count) {
		step_load(instance);
		return;
	}
	core_owner_job_begin(&instance->owner); /* the tables are in the plugin's file */
	core_store_migrate(instance->owner.name, &instance->card.migrations, on_migrated, (void *)(uintptr_t)instance->number);
}
