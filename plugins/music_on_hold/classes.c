/*
 * classes - the music classes there are, and the source that plays each
 *
 * A source is opened when a class is first to be heard and follows its folder from then on: a file that comes or goes changes the
 * programme at the end of the present tune, without a gap for those who listen.
 */
#include "music.h"
#include <stdlib.h>
#include <string.h>

struct music_class *music_find(struct music *music, const char *name)
{
	for (struct music_class *class = music->classes; class; class = class->next)
		if (strcmp(class->name, name) == 0)
			return class;
	return NULL;
}

struct music_class *music_add(struct music *music, const char *name)
{
	struct music_class *class = music_find(music, name), **at = &music->classes;
	uint32_t count = 0;

	if (class)
		return class;
	for (class = music->classes; class; class = class->next)
		count++;
	if (count >= MUSIC_MOST_CLASSES)
		return NULL;

	class = calloc(1, sizeof *class);
	if (!class)
		return NULL;
	(void)snprintf(class->name, sizeof class->name, "%s", name);
	(void)snprintf(class->sort, sizeof class->sort, "%s", music->settings->sort);
	while (*at && strcmp((*at)->name, name) < 0)
		at = &(*at)->next;
	class->next = *at;
	*at = class;
	return class;
}

void music_remove(struct music *music, struct music_class *class)
{
	struct music_class **at = &music->classes;

	while (*at && *at != class)
		at = &(*at)->next;
	if (*at)
		*at = class->next;
	if (class->source.id)
		(void)music->media->source_close(class->source); /* listeners hear silence: their music is gone */
	music_files_clear(&class->files);
	free(class);
}

void music_clear(struct music *music)
{
	while (music->classes) {
		struct music_class *class = music->classes;

		music->classes = class->next;
		music_files_clear(&class->files);
		free(class);
	}
}

static uint32_t order_of(const char *sort)
{
	if (strcmp(sort, "random") == 0)
		return PBX_SOURCE_SHUFFLED;
	return strcmp(sort, "randstart") == 0 ? PBX_SOURCE_RANDOM_START : PBX_SOURCE_IN_ORDER;
}

static struct pbx_source_spec spec_of(const struct music_class *class, char label[80])
{
	(void)snprintf(label, 80, "music %s", class->name);
	return (struct pbx_source_spec){
		.size = sizeof(struct pbx_source_spec),
		.name = label,
		.files = (const char *const *)class->files.paths,
		.file_count = class->files.count,
		.order = order_of(class->sort),
		.gain_cdb = class->gain_cdb,
	};
}

int music_source(struct music *music, struct music_class *class, pbx_source *ret_source)
{
	char label[80];

	if (!class->source.id) {
		if (class->files.count == 0)
			return PBX_ENOENT;

		struct pbx_source_spec spec = spec_of(class, label);
		int err = music->media->source_open(music->host, &spec, &class->source);
		if (err != PBX_OK)
			return err;
	}
	*ret_source = class->source;
	return PBX_OK;
}

void music_refresh(struct music *music, struct music_class *class)
{
	char label[80];

	if (!class->source.id)
		return;
	if (class->files.count == 0) {
		(void)music->media->source_close(class->source);
		class->source = (pbx_source){ 0 };
		return;
	}
	struct pbx_source_spec spec = spec_of(class, label);
	if (music->media->source_update(class->source, &spec) != PBX_OK)
		pbx_warn(music->host, "class_not_updated", "class=%s", class->name);
}

static void take_files(struct music *music, struct music_class *class, struct music_files *found)
{
	if (class->files.print == found->print && class->files.count == found->count)
		return;
	music_files_clear(&class->files);
	class->files = *found;
	*found = (struct music_files){ 0 };
	music_refresh(music, class);
	pbx_info(music->host, "class_changed", "class=%s files=%u", class->name, class->files.count);
}

static struct music_files *found_in(struct scan *scan, const char *name)
{
	for (uint32_t i = 0; i < scan->count; i++)
		if (strcmp(scan->found[i].name, name) == 0)
			return &scan->found[i].files;
	return NULL;
}

void music_take_scan(struct music *music, struct scan *scan)
{
	struct music_class *next;

	for (uint32_t i = 0; i < scan->count; i++)
		(void)music_add(music, scan->found[i].name); /* a full table has been as full before */
	for (struct music_class *class = music->classes; class; class = next) {
		struct music_files none = { 0 }, *found = found_in(scan, class->name);

		next = class->next;
		if (found || class->stored)
			take_files(music, class, found ? found : &none);
		else
			music_remove(music, class); /* its folder is gone */
	}
}
