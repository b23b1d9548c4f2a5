/*
 * sources - what the media engine is told to play for a class
 *
 * A source is opened when a class is first to be heard and follows its folder from then on: a file that comes or goes changes the
 * programme at the end of the present tune, without a gap for those who listen. All who hear a class share one source and are in the same
 * place of it, unless the class says that every caller begins at the beginning: then each has a source of its own until it leaves.
 */
#include "music.h"
#include <stdlib.h>
#include <string.h>

/* A spec and what it points to. */
struct wish {
	struct pbx_source_spec spec;
	char label[80];
	const char **files, **announcements;
};

static const char *base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static bool is_announcement(const char *path)
{
	return strncmp(base_name(path), MUSIC_ANNOUNCE, strlen(MUSIC_ANNOUNCE)) == 0;
}

static uint32_t order_of(const struct music_plan *plan)
{
	if (strcmp(plan->mode, "playlist") == 0)
		return PBX_SOURCE_IN_ORDER;
	if (strcmp(plan->sort, "random") == 0)
		return PBX_SOURCE_SHUFFLED;
	return strcmp(plan->sort, "randstart") == 0 ? PBX_SOURCE_RANDOM_START : PBX_SOURCE_IN_ORDER;
}

static const char *path_named(const struct music_class *class, const char *name)
{
	for (uint32_t i = 0; i < class->files.count; i++)
		if (strcmp(base_name(class->files.paths[i]), name) == 0)
			return class->files.paths[i];
	return NULL;
}

/* The files that a list names, in its order; one that is gone is left out. */
static void add_playlist(const struct music *music, const struct music_class *class, struct wish *wish)
{
	const char *text = class->plan.playlist;
	struct pbx_diag diag;
	struct pbx_json *list = *text ? music->json->parse(text, strlen(text), &diag) : NULL;
	uint32_t count = list ? music->json->count(list) : 0;

	for (uint32_t i = 0; i < count && i < MUSIC_MOST_PLAYLIST; i++) {
		const char *name = music->json->text(music->json->at(list, i)), *path = name ? path_named(class, name) : NULL;

		if (path)
			wish->files[wish->spec.file_count++] = path;
	}
	music->json->free(list);
}

static void add_tunes(const struct music_class *class, struct wish *wish)
{
	for (uint32_t i = 0; i < class->files.count; i++)
		if (!is_announcement(class->files.paths[i]))
			wish->files[wish->spec.file_count++] = class->files.paths[i];
}

static void add_announcements(const struct music_class *class, struct wish *wish)
{
	if (class->plan.announcement[0])
		wish->announcements[wish->spec.announcement_count++] = class->plan.announcement;
	for (uint32_t i = 0; i < class->files.count; i++)
		if (is_announcement(class->files.paths[i]))
			wish->announcements[wish->spec.announcement_count++] = class->files.paths[i];
}

static void wish_fini(struct wish *wish)
{
	free(wish->files);
	free(wish->announcements);
}

/* What the class shall play now. False: nothing, or no memory. The wish is to be finished either way. */
static bool wish_make(struct music *music, const struct music_class *class, struct wish *wish)
{
	const struct music_plan *plan = &class->plan;
	const bool streams = strcmp(plan->mode, "stream") == 0;

	*wish = (struct wish){
		.spec = { .size = sizeof wish->spec,
			  .order = order_of(plan),
			  .gain_cdb = plan->gain_cdb,
			  .levels = plan->levels,
			  .trims_silence = music->settings->trim_silence,
			  .url = streams ? plan->url : NULL,
			  .announce_every_s = plan->announce_every_s },
		.files = calloc(MUSIC_MOST_FILES, sizeof *wish->files),
		.announcements = calloc(MUSIC_MOST_FILES + 1, sizeof *wish->announcements),
	};
	if (!wish->files || !wish->announcements)
		return false;
	(void)snprintf(wish->label, sizeof wish->label, "music %s", class->name);
	wish->spec.name = wish->label;
	wish->spec.files = wish->files;
	wish->spec.announcements = wish->announcements;
	if (strcmp(plan->mode, "playlist") == 0)
		add_playlist(music, class, wish);
	else
		add_tunes(class, wish);
	add_announcements(class, wish);

	/* A stream without files of its own has those of the default class for when it cannot be heard. */
	const struct music_class *fallback = music_find(music, music->settings->default_class);
	if (streams && wish->spec.file_count == 0 && fallback && fallback != class)
		add_tunes(fallback, wish);
	return wish->spec.file_count > 0 || (streams && plan->url[0]);
}

static int open_source(struct music *music, const struct music_class *class, pbx_source *ret_source)
{
	struct wish wish;
	int err = PBX_ENOENT;

	if (wish_make(music, class, &wish))
		err = music->media->source_open(music->host, &wish.spec, ret_source);
	wish_fini(&wish);
	return err;
}

/* ---- a source for every caller -------------------------------------------------------- */

static void close_if_idle(struct music *music, pbx_source *source)
{
	uint32_t listeners = 0;

	if (source->id && music->media->source_listeners(*source, &listeners) == PBX_OK && listeners > 0)
		return;
	if (source->id)
		(void)music->media->source_close(*source); /* or it is gone: as good */
	source->id = 0;
}

/* PBX_ENOSPC: all are taken. */
static int callers_source(struct music *music, struct music_class *class, pbx_source *ret_source)
{
	if (!class->caller)
		class->caller = calloc(MUSIC_MOST_CALLERS, sizeof *class->caller);
	for (uint32_t i = 0; class->caller && i < MUSIC_MOST_CALLERS; i++) {
		close_if_idle(music, &class->caller[i]);
		if (class->caller[i].id)
			continue;
		int err = open_source(music, class, &class->caller[i]);
		if (err == PBX_OK)
			*ret_source = class->caller[i];
		return err;
	}
	return PBX_ENOSPC;
}

void music_close_idle(struct music *music)
{
	for (struct music_class *class = music->classes; class; class = class->next)
		for (uint32_t i = 0; class->caller && i < MUSIC_MOST_CALLERS; i++)
			close_if_idle(music, &class->caller[i]);
}

/* ---- all of them ---------------------------------------------------------------------- */

int music_source(struct music *music, struct music_class *class, pbx_source *ret_source)
{
	if (strcmp(class->plan.position, "caller") == 0) {
		int err = callers_source(music, class, ret_source);

		if (err != PBX_ENOSPC)
			return err;
	}
	if (!class->source.id) {
		int err = open_source(music, class, &class->source);

		if (err != PBX_OK)
			return err;
	}
	*ret_source = class->source;
	return PBX_OK;
}

static void update(struct music *music, const struct music_class *class, pbx_source *source, const struct pbx_source_spec *spec)
{
	if (source->id && music->media->source_update(*source, spec) != PBX_OK)
		pbx_warn(music->host, "class_not_updated", "class=%s", class->name);
}

void music_refresh(struct music *music, struct music_class *class)
{
	struct wish wish;

	if (wish_make(music, class, &wish)) {
		update(music, class, &class->source, &wish.spec);
		for (uint32_t i = 0; class->caller && i < MUSIC_MOST_CALLERS; i++)
			update(music, class, &class->caller[i], &wish.spec);
	} else {
		music_close(music, class);
	}
	wish_fini(&wish);
}

void music_close(struct music *music, struct music_class *class)
{
	if (class->source.id)
		(void)music->media->source_close(class->source);
	class->source.id = 0;
	for (uint32_t i = 0; class->caller && i < MUSIC_MOST_CALLERS; i++) {
		if (class->caller[i].id)
			(void)music->media->source_close(class->caller[i]);
		class->caller[i].id = 0;
	}
}

void music_state(const struct music *music, const struct music_class *class, struct pbx_source_state *ret_state)
{
	struct pbx_source_state one = { .size = sizeof one };

	*ret_state = (struct pbx_source_state){ .size = sizeof *ret_state };
	if (class->source.id)
		(void)music->media->source_state(class->source, ret_state); /* gone: nobody listens */
	for (uint32_t i = 0; class->caller && i < MUSIC_MOST_CALLERS; i++) {
		if (!class->caller[i].id || music->media->source_state(class->caller[i], &one) != PBX_OK)
			continue;
		ret_state->listeners += one.listeners;
		ret_state->running = ret_state->running || one.running;
		ret_state->streaming = ret_state->streaming || one.streaming;
	}
}
