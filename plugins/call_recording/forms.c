/*
 * forms - recordings in another form, made when somebody asks and kept for a while
 *
 * A player that jumps about asks for one part after the other, so what was made stays for some minutes; who asks meanwhile waits with the others. Of a recording that
 * is encrypted nothing is kept: it goes with the last one who hears it.
 */
#include "call_recording.h"
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 2u
#define MOST_KEPT 16u
#define KEPT_MS (5 * 60 * 1000u)

struct made {
	struct made *next;
	struct plugin *plugin;
	char id[ID_SIZE], tag[ID_SIZE], path[2 * PATH_SIZE], sha256[65];
	struct form form;
	struct convert_spec spec;
	struct convert *convert; /* while it is made */
	struct stored sound;
	int result;
	bool is_made, is_secret, is_stale; /* stale: for those who have it, and nobody else */
	uint32_t users;
	uint64_t used_at_ms;
	struct form_waiter *waiting;
};

static void made_free(struct made *made)
{
	struct made **at = &made->plugin->made;

	while (*at && *at != made)
		at = &(*at)->next;
	if (*at)
		*at = made->next;
	convert_free(made->convert);
	stored_close(&made->spec.stored);
	stored_close(&made->sound);
	free(made);
}

void forms_free_all(struct plugin *plugin)
{
	while (plugin->made)
		made_free(plugin->made);
}

/* ---- how long ---- */

static void forget_old(struct plugin *plugin)
{
	uint64_t now_ms = plugin->host->now_ms(plugin->host);
	struct made *next;

	for (struct made *made = plugin->made; made; made = next) {
		next = made->next;
		if (made->is_made && made->users == 0 && (made->is_secret || made->is_stale || now_ms - made->used_at_ms >= KEPT_MS))
			made_free(made);
	}
}

static void on_time(void *self, pbx_timer timer)
{
	struct plugin *plugin = self;

	(void)timer;
	plugin->forms_timed = false;
	forget_old(plugin);
	forms_keep_time(plugin);
}

void forms_keep_time(struct plugin *plugin)
{
	pbx_timer timer;

	if (plugin->made && !plugin->forms_timed)
		plugin->forms_timed =
			plugin->timers->start(plugin->host, KEPT_MS, 0, on_time, plugin, &timer) == PBX_OK; /* else the next one */
}

void forms_forget(struct plugin *plugin, const char *id)
{
	for (struct made *made = plugin->made; made; made = made->next)
		made->is_stale |= strcmp(made->id, id) == 0;
	forget_old(plugin);
}

/* Room for one more: the one that was not asked for longest goes. False: all of them are in use. */
static bool make_room(struct plugin *plugin)
{
	struct made *oldest = NULL;
	uint32_t count = 0;

	for (struct made *made = plugin->made; made; made = made->next) {
		count++;
		if (made->is_made && made->users == 0 && (!oldest || made->used_at_ms < oldest->used_at_ms))
			oldest = made;
	}
	if (count >= MOST_KEPT && oldest)
		made_free(oldest);
	return count < MOST_KEPT || oldest;
}

/* ---- making ---- */

static void make(void *job)
{
	struct made *made = job;

	made->result = PBX_OK;
	if (!made->convert) {
		made->result = stored_open(&made->spec.stored, made->path, made->sha256);
		if (made->result == PBX_OK && (made->result = convert_begin(&made->spec, &made->convert)) == PBX_EINVAL)
			made->result = PBX_ENOTSUP; /* it is what was recorded, and no sound */
	}
	if (made->result == PBX_OK)
		made->result = convert_step(made->convert);
}

static void tell_waiters(struct made *made, int result)
{
	struct form_waiter *waiter;

	made->users++; /* it stays while they are told */
	while ((waiter = made->waiting) != NULL) {
		made->waiting = waiter->next;
		made->users += result == PBX_OK;
		waiter->ready(waiter, result, result == PBX_OK ? made : NULL);
	}
	form_release(made);
}

static void on_made(void *self, void *job, int status)
{
	struct plugin *plugin = self;
	struct made *made = job;
	int result = status == PBX_OK ? made->result : status;

	if (result == PBX_ELATER && (result = plugin->host->work(plugin->host, make, on_made, made)) == PBX_OK)
		return;
	if (result == PBX_OK)
		convert_take(made->convert, &made->sound);
	convert_free(made->convert);
	made->convert = NULL;
	made->is_made = true;
	made->is_stale |= result != PBX_OK;
	tell_waiters(made, result);
}

static struct made *made_new(struct plugin *plugin, const struct row *row, struct form form)
{
	struct made *made = calloc(1, sizeof *made);

	if (!made)
		return NULL;
	*made = (struct made){ .plugin = plugin, .form = form, .is_secret = row->file_key[0], .sound = { .fd = -1 } };
	made->spec = (struct convert_spec){ .form = form, .folder = plugin->storage, .least_free_mb = plugin->settings->min_free_mb };
	made->spec.stored.fd = -1;
	made->spec.mark_count = row_marks(row, made->spec.marks);
	memcpy(made->id, row->id, ID_SIZE);
	memcpy(made->sha256, row->sha256, sizeof made->sha256);
	plugin->host->ulid(plugin->host, made->tag);
	(void)snprintf(made->path, sizeof made->path, "%s/%s", plugin->storage, row->path);
	made->next = plugin->made;
	plugin->made = made;
	return made;
}

static int begin(struct plugin *plugin, const struct row *row, struct form form, struct made **ret_made)
{
	uint32_t busy = 0;

	for (const struct made *made = plugin->made; made; made = made->next)
		busy += !made->is_made;
	if (busy >= AT_ONCE || !make_room(plugin))
		return PBX_EBUSY;
	struct made *made = made_new(plugin, row, form);
	int err = made ? row_open(plugin, row, &made->spec.stored) : PBX_ENOMEM;

	if (err == PBX_OK)
		err = plugin->host->work(plugin->host, make, on_made, made);
	if (err != PBX_OK) {
		if (made)
			made_free(made);
		return err;
	}
	forms_keep_time(plugin);
	*ret_made = made;
	return PBX_OK;
}

/* ---- asking ---- */

void form_ask(struct plugin *plugin, const struct row *row, struct form form, struct form_waiter *waiter)
{
	struct made *made = plugin->made;
	int err = PBX_OK;

	while (made &&
	       (made->is_stale || strcmp(made->id, row->id) != 0 || made->form.format != form.format || made->form.side != form.side))
		made = made->next;
	if (!made)
		err = begin(plugin, row, form, &made);
	if (err != PBX_OK) {
		waiter->ready(waiter, err, NULL);
	} else if (made->is_made) {
		made->users++;
		waiter->ready(waiter, PBX_OK, made);
	} else {
		waiter->next = made->waiting;
		made->waiting = waiter;
	}
}

const struct stored *form_sound(const struct made *made, const char **ret_tag)
{
	*ret_tag = made->tag;
	return &made->sound;
}

void form_release(struct made *made)
{
	made->used_at_ms = made->plugin->host->now_ms(made->plugin->host);
	if (--made->users == 0 && (made->is_secret || made->is_stale))
		made_free(made);
}
