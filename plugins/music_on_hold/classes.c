/*
 * classes - the music classes there are: those with a folder, and those somebody has made
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
	plan_default(music, &class->plan);
	while (*at && strcmp((*at)->name, name) < 0)
		at = &(*at)->next;
	class->next = *at;
	*at = class;
	return class;
}

static void class_free(struct music_class *class)
{
	music_files_clear(&class->files);
	free(class->caller);
	free(class);
}

void music_remove(struct music *music, struct music_class *class)
{
	struct music_class **at = &music->classes;

	while (*at && *at != class)
		at = &(*at)->next;
	if (*at)
		*at = class->next;
	music_close(music, class);
	class_free(class);
}

void music_clear(struct music *music)
{
	while (music->classes) {
		struct music_class *class = music->classes;

		music->classes = class->next;
		class_free(class);
	}
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
