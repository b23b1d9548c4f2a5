/* prompts.c - which file says a prompt: first by language, then by folder
 *
 * Files are looked for when they are needed, so that one that a site puts there is heard at the next call; rules are read once. */
#include "prompts.h"
#include "log.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MOST_FOLDERS 16u
#define NARROW_HZ 8000u

static char *folders[MOST_FOLDERS];
static uint32_t folder_count;
static char default_language[CORE_MOST_LANGUAGE] = "en";

/* ---- languages ---- */

bool core_prompts_languages(const char *language, bool (*use)(void *context, const char *language), void *context)
{
	char wanted[CORE_MOST_LANGUAGE], general[CORE_MOST_LANGUAGE];
	const char *const chain[] = { wanted, general, default_language, "en" };

	(void)snprintf(wanted, sizeof wanted, "%s", language && *language ? language : default_language);
	(void)snprintf(general, sizeof general, "%.*s", (int)strcspn(wanted, "-_"), wanted);
	for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++) {
		bool known = false;

		for (size_t j = 0; j < i; j++)
			known = known || strcasecmp(chain[i], chain[j]) == 0;
		if (!known && use(context, chain[i]))
			return true;
	}
	return false;
}

/* ---- files ---- */

static const char *const endings[] = { ".wav", ".flac", ".ogg", ".mp3" };

struct search {
	const char *id;
	uint32_t rate_hz;
	char *path;
	uint32_t size;
	bool too_long;
};

bool core_prompts_is_id(const char *text)
{
	return *text && strlen(text) < CORE_MOST_PROMPT_ID && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_")] == '\0';
}

bool core_prompts_is_language(const char *text)
{
	size_t length = strlen(text);

	return length >= 2 && length < CORE_MOST_LANGUAGE && text[strcspn(text, "/.")] == '\0' && text[0] != '-';
}

const char *core_prompts_default_language(void)
{
	return default_language;
}

const char *core_prompts_own_folder(void)
{
	return folder_count > 0 ? folders[0] : NULL;
}

static bool is_there(struct search *search, const char *folder, const char *language, const char *ending)
{
	int length = snprintf(search->path, search->size, "%s/%s/%s%s", folder, language, search->id, ending);

	search->too_long = search->too_long || length < 0 || (uint32_t)length >= search->size;
	return length > 0 && (uint32_t)length < search->size && access(search->path, R_OK) == 0;
}

static bool look_in(void *context, const char *language)
{
	struct search *search = context;
	char narrow[CORE_MOST_LANGUAGE + 4];

	if (language[strcspn(language, "/.")] != '\0')
		return false; /* no folder of ours */
	(void)snprintf(narrow, sizeof narrow, "%s/8k", language);
	for (uint32_t f = 0; f < folder_count; f++) {
		if (search->rate_hz <= NARROW_HZ && is_there(search, folders[f], narrow, ".wav"))
			return true;
		for (size_t e = 0; e < sizeof endings / sizeof endings[0]; e++)
			if (is_there(search, folders[f], language, endings[e]))
				return true;
	}
	return false;
}

int core_prompts_find(const char *language, const char *text, uint32_t rate_hz, char *ret_path, uint32_t size)
{
	char path[4096];
	struct search search = { .id = text, .rate_hz = rate_hz, .path = path, .size = sizeof path };

	if (*text == '/')
		(void)snprintf(path, sizeof path, "%s", text);
	else if (!core_prompts_is_id(text))
		return PBX_EINVAL;
	else if (!core_prompts_languages(language, look_in, &search))
		return search.too_long ? PBX_ENOSPC : PBX_ENOENT;
	if (*text == '/' && access(text, R_OK) != 0)
		return PBX_ENOENT;
	if (strlen(path) >= size)
		return PBX_ENOSPC;
	memcpy(ret_path, path, strlen(path) + 1);
	return PBX_OK;
}

/* ---- all of them ---- */

struct listed {
	char id[CORE_MOST_PROMPT_ID];
};

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct listed *)a)->id, ((const struct listed *)b)->id);
}

/* The id of a file that is a prompt's; false: it is none. */
static bool id_of(const char *file, struct listed *ret_listed)
{
	const char *ending = strrchr(file, '.');
	size_t length = ending ? (size_t)(ending - file) : 0;

	for (size_t e = 0; ending && e < sizeof endings / sizeof endings[0]; e++) {
		if (strcmp(ending, endings[e]) != 0 || length >= sizeof ret_listed->id)
			continue;
		memcpy(ret_listed->id, file, length);
		ret_listed->id[length] = '\0';
		return core_prompts_is_id(ret_listed->id);
	}
	return false;
}

static void list_folder(const char *folder, const char *language, struct listed **list, size_t *count)
{
	char path[4096];
	int length = snprintf(path, sizeof path, "%s/%s", folder, language);
	DIR *dir = length > 0 && (size_t)length < sizeof path ? opendir(path) : NULL;
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct listed one, *more = id_of(entry->d_name, &one) ? realloc(*list, (*count + 1) * sizeof one) : NULL;

		if (!more)
			continue;
		*list = more;
		more[(*count)++] = one;
	}
	if (dir)
		(void)closedir(dir);
}

void core_prompts_each(const char *language, void (*each)(void *context, const char *id, const char *path, bool is_own), void *context)
{
	struct listed *list = NULL;
	size_t count = 0;

	for (uint32_t f = 0; core_prompts_is_language(language) && f < folder_count; f++)
		list_folder(folders[f], language, &list, &count);
	if (list)
		qsort(list, count, sizeof *list, by_id);
	for (size_t i = 0; i < count; i++) {
		char path[4096];
		struct search search = { .id = list[i].id, .rate_hz = UINT32_MAX, .path = path, .size = sizeof path };

		if ((i == 0 || strcmp(list[i].id, list[i - 1].id) != 0) && look_in(&search, language))
			each(context, list[i].id, path, strncmp(path, folders[0], strlen(folders[0])) == 0);
	}
	free(list);
}

/* ---- settings ---- */

static void read_rules_of(const char *folder, const char *language)
{
	struct pbx_diag diag = { 0 };
	char path[4096];
	int length = snprintf(path, sizeof path, "%s/%s/say.rules", folder, language);

	if (length > 0 && (size_t)length < sizeof path && core_say_rules_read(language, path, &diag) == PBX_EINVAL)
		core_log(PBX_LOG_ERROR, "prompts", NULL, "rules_refused", "file=%s reason=\"%s\"", path, diag.text);
}

/* The last one read counts: folders are read from the last to the first. */
static void read_rules_in(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (!dir)
		return; /* a site has none until it makes one */
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < CORE_MOST_LANGUAGE)
			read_rules_of(folder, entry->d_name);
	(void)closedir(dir);
}

int core_prompts_set(const char *const *paths, uint32_t count, const char *language)
{
	core_prompts_fini();
	for (; folder_count < count && folder_count < MOST_FOLDERS; folder_count++) {
		folders[folder_count] = strdup(paths[folder_count]);
		if (!folders[folder_count])
			return PBX_ENOMEM;
	}
	(void)snprintf(default_language, sizeof default_language, "%s", language);
	for (uint32_t f = folder_count; f > 0; f--)
		read_rules_in(folders[f - 1]);
	return PBX_OK;
}

void core_prompts_fini(void)
{
	core_say_rules_fini();
	while (folder_count > 0)
		free(folders[--folder_count]);
}

/* ---- "pbx.prompts/1" ---- */

static int find(const char *language, const char *id, uint32_t rate_hz, char *ret_path, uint32_t size)
{
	return core_prompts_is_id(id) ? core_prompts_find(language, id, rate_hz, ret_path, size) : PBX_EINVAL;
}

const struct pbx_prompts core_prompts_service = {
	.header = PBX_HEADER(struct pbx_prompts),
	.find = find,
	.compose = core_prompts_compose,
};
