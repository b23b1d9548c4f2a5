/*
 * scan - which music is there: folders are classes, files in them are tunes. Runs in the pool, sees only its own job.
 */
#include "music.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const char *const suffixes[] = { ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", NULL };

bool music_is_name(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	return length > 0 && length <= MUSIC_NAME_LENGTH &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

bool music_is_file_name(const char *text)
{
	const char *dot = text ? strrchr(text, '.') : NULL;

	if (!dot || text[0] == '.' || strlen(text) > 200 || strpbrk(text, "/\\\n\r"))
		return false;
	for (const char *const *suffix = suffixes; *suffix; suffix++)
		if (strcasecmp(dot, *suffix) == 0)
			return true;
	return false;
}

void music_files_clear(struct music_files *files)
{
	for (uint32_t i = 0; i < files->count; i++)
		free(files->paths[i]);
	free(files->paths);
	*files = (struct music_files){ 0 };
}

struct scan *scan_new(const char *directory, const char *uploads)
{
	struct scan *scan = calloc(1, sizeof *scan);

	if (!scan)
		return NULL;
	scan->roots[0] = strdup(directory);
	scan->roots[1] = uploads ? strdup(uploads) : NULL;
	return scan;
}

void scan_free(struct scan *scan)
{
	if (!scan)
		return;
	for (uint32_t i = 0; i < scan->count; i++)
		music_files_clear(&scan->found[i].files);
	free(scan->roots[0]);
	free(scan->roots[1]);
	free(scan);
}

static struct scan_found *find_or_add(struct scan *scan, const char *name)
{
	for (uint32_t i = 0; i < scan->count; i++)
		if (strcmp(scan->found[i].name, name) == 0)
			return &scan->found[i];
	if (scan->count == MUSIC_MOST_CLASSES)
		return NULL;
	(void)snprintf(scan->found[scan->count].name, sizeof scan->found[0].name, "%s", name);
	return &scan->found[scan->count++];
}

/* FNV-1a over what makes a file another file. */
static uint64_t mix(uint64_t print, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		print = (print ^ bytes[i]) * 0x100000001b3u;
	return print;
}

static void add_file(struct music_files *files, const char *path, const struct stat *info)
{
	char **paths = realloc(files->paths, (files->count + 1) * sizeof *paths);

	if (!paths)
		return;
	files->paths = paths;
	files->paths[files->count] = strdup(path);
	if (!files->paths[files->count])
		return;
	files->count++;
	files->print = mix(files->print, path, strlen(path));
	files->print = mix(files->print, &info->st_mtim, sizeof info->st_mtim);
	files->print = mix(files->print, &info->st_size, sizeof info->st_size);
}

/* scandir keeps the order of names that people expect. */
static void scan_class(struct scan *scan, const char *root, const char *name)
{
	struct dirent **entries = NULL;
	char folder[4096], path[8192];
	struct stat info;

	(void)snprintf(folder, sizeof folder, "%s/%s", root, name);
	if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode))
		return;

	struct scan_found *found = find_or_add(scan, name);
	int count = found ? scandir(folder, &entries, NULL, alphasort) : 0;
	for (int i = 0; i < count; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		if (found->files.count < MUSIC_MOST_FILES && music_is_file_name(entries[i]->d_name) && stat(path, &info) == 0 &&
		    S_ISREG(info.st_mode))
			add_file(&found->files, path, &info);
		free(entries[i]);
	}
	free(entries);
}

void scan_run(void *job)
{
	struct scan *scan = job;

	for (int root = 0; root < 2; root++) {
		struct dirent **entries = NULL;
		int count = scan->roots[root] ? scandir(scan->roots[root], &entries, NULL, alphasort) : 0;

		for (int i = 0; i < count; i++) {
			if (music_is_name(entries[i]->d_name))
				scan_class(scan, scan->roots[root], entries[i]->d_name);
			free(entries[i]);
		}
		free(entries);
	}
}
