/*
 * requests - classes as people see and change them, by REST and by pbxctl
 */
#include "music.h"
#include <stdlib.h>
#include <string.h>

/* A question about an existing class: NULL when it has been refused. */
static struct music_class *asked_class(struct music *music, pbx_request request)
{
	const char *name = music->requests->text(request, "class");
	struct music_class *class = music_find(music, name);

	if (!class)
		(void)music->requests->fail(request, 404, "not_found", "class", "there is no music class %s", name);
	return class;
}

static struct pbx_json *describe(struct music *music, const struct music_class *class, bool with_files)
{
	const struct pbx_jsons *json = music->json;
	struct pbx_json *object = json->new_object(), *files;
	struct pbx_source_state state;

	music_state(music, class, &state);
	(void)json->set_text(object, "name", class->name);
	plan_describe(music, &class->plan, object);
	(void)json->set_integer(object, "file_count", class->files.count);
	(void)json->set_integer(object, "listeners", state.listeners);
	(void)json->set_boolean(object, "streaming", state.streaming);
	(void)json->set_boolean(object, "is_default", strcmp(class->name, music->settings->default_class) == 0);
	if (!with_files)
		return object;

	files = json->new_array();
	for (uint32_t i = 0; i < class->files.count; i++)
		(void)json->append_text(files, strrchr(class->files.paths[i], '/') + 1);
	(void)json->set(object, "files", files);
	return object;
}

void music_on_list(void *self, pbx_request request)
{
	struct music *music = self;
	struct pbx_json *answer = music->json->new_object(), *items = music->json->new_array();

	for (const struct music_class *class = music->classes; class; class = class->next)
		(void)music->json->append(items, describe(music, class, false));
	(void)music->json->set(answer, "items", items);
	(void)music->requests->reply(request, 200, answer);
}

void music_on_show(void *self, pbx_request request)
{
	struct music *music = self;
	struct music_class *class = asked_class(music, request);

	if (class)
		(void)music->requests->reply(request, 200, describe(music, class, true));
}

void music_on_rescan(void *self, pbx_request request)
{
	struct music *music = self;

	music_rescan(music);
	(void)music->requests->reply(request, 202, NULL);
}

/* ---- changes: the row first, then what we know of it ---------------------------------- */

struct change {
	struct music *music;
	pbx_request request;
	char name[MUSIC_NAME_LENGTH + 1];
	bool creates;
	struct music_plan plan;
};

static void on_stored(void *self, const struct pbx_rows *rows)
{
	struct change *change = self;
	struct music *music = change->music;
	struct music_class *class = rows->status == PBX_OK ? music_add(music, change->name) : NULL;
	char location[64];

	if (class) {
		class->stored = true;
		class->plan = change->plan;
		music_refresh(music, class);
		(void)snprintf(location, sizeof location, "/moh/classes/%s", class->name);
		if (change->creates)
			(void)music->requests->created(change->request, location, describe(music, class, true));
		else
			(void)music->requests->reply(change->request, 200, describe(music, class, true));
	} else {
		(void)music->requests->fail(change->request, 503, "store_unavailable", NULL, "the class could not be stored: %s",
					    rows->error);
	}
	free(change);
}

static void store(struct change *change)
{
	struct music *music = change->music;
	struct pbx_value values[PLAN_COLUMNS + 1] = { pbx_v_text(change->name) };

	plan_values(&change->plan, values + 1);
	values[PLAN_COLUMNS] = PBX_V_INT(music->host->wall_us(music->host));
	int err = music->store->run(music->host,
				    "INSERT INTO music_on_hold_classes (name, mode, sort, position, url, announcement, announce_every_s,"
				    " gain_cdb, levels, playlist, created_at, updated_at)"
				    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)"
				    " ON CONFLICT (name) DO UPDATE SET mode = $2, sort = $3, position = $4, url = $5, announcement = $6,"
				    " announce_every_s = $7, gain_cdb = $8, levels = $9, playlist = $10, updated_at = $11",
				    values, PLAN_COLUMNS + 1, on_stored, change);
	if (err != PBX_OK) {
		(void)music->requests->fail(change->request, 503, "store_unavailable", NULL, "the store takes nothing now");
		free(change);
	}
}

static void change_class(struct music *music, pbx_request request, bool creates)
{
	const struct pbx_requests *requests = music->requests;
	const char *name = requests->text(request, "class");
	const struct music_class *class = music_find(music, name);

	if (!music_is_name(name)) {
		(void)requests->fail(request, 422, "bad_name", "class", "a class name has up to %u letters, digits, - and _",
				     MUSIC_NAME_LENGTH);
		return;
	}
	if (creates && class) {
		(void)requests->fail(request, 409, "exists", "class", "there is a class %s; PUT /moh/classes/%s changes it", name, name);
		return;
	}
	struct change *change = calloc(1, sizeof *change);
	if (!change) {
		(void)requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return;
	}
	*change = (struct change){ .music = music, .request = request, .creates = creates };
	(void)snprintf(change->name, sizeof change->name, "%s", name);
	if (class)
		change->plan = class->plan;
	else
		plan_default(music, &change->plan);
	if (plan_from_request(music, request, &change->plan))
		store(change);
	else
		free(change);
}

void music_on_set(void *self, pbx_request request)
{
	change_class(self, request, false);
}

void music_on_create(void *self, pbx_request request)
{
	change_class(self, request, true);
}

static void on_removed(void *self, const struct pbx_rows *rows)
{
	struct change *change = self;
	struct music *music = change->music;
	struct music_class *class = music_find(music, change->name);

	if (rows->status == PBX_OK) {
		if (class)
			class->stored = false; /* the next look at the folders forgets it, or finds that shipped files are left */
		music_rescan(music);
		(void)music->requests->reply(change->request, 204, NULL);
	} else {
		(void)music->requests->fail(change->request, 503, "store_unavailable", NULL, "the class could not be removed: %s",
					    rows->error);
	}
	free(change);
}

void music_on_remove(void *self, pbx_request request)
{
	struct music *music = self;
	const struct music_class *class = asked_class(music, request);

	if (!class)
		return;
	if (strcmp(class->name, music->settings->default_class) == 0) {
		(void)music->requests->fail(request, 409, "is_default", "class",
					    "%s is the default class; set music_on_hold.default_class first", class->name);
		return;
	}
	if (class->files.count > 0) {
		(void)music->requests->fail(request, 409, "has_files", "class", "%s still has %u files; remove them first", class->name,
					    class->files.count);
		return;
	}
	struct change *change = calloc(1, sizeof *change);
	const struct pbx_value params[] = { pbx_v_text(class->name) };
	if (change) {
		*change = (struct change){ .music = music, .request = request };
		(void)snprintf(change->name, sizeof change->name, "%s", class->name);
		if (music->store->run(music->host, "DELETE FROM music_on_hold_classes WHERE name = $1", params, 1, on_removed, change) ==
		    PBX_OK)
			return;
	}
	free(change);
	(void)music->requests->fail(request, 503, "store_unavailable", NULL, "the store takes nothing now");
}
