/*
 * settings_text - what a scalar says once ${env:NAME}, ${NAME}, ${file:PATH} and secret://name are put in
 *
 * Only what stands in a file is replaced: a value typed over REST must not be able to read the daemon's files or environment.
 * Whatever passes through here may be a secret, so buffers are overwritten before they are freed.
 */
#include "settings_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool core_grown_add(struct core_grown *text, const char *bytes, size_t length)
{
	if (text->used + length + 1 > text->size) {
		size_t size = (text->used + length + 1) * 2;
		char *grown = malloc(size); /* not realloc: what is left behind may be a secret */

		if (!grown)
			return false;
		if (text->bytes) {
			memcpy(grown, text->bytes, text->used);
			explicit_bzero(text->bytes, text->size);
			free(text->bytes);
		}
		text->bytes = grown;
		text->size = size;
	}
	memcpy(text->bytes + text->used, bytes, length);
	text->used += length;
	text->bytes[text->used] = '\0';
	return true;
}

void core_grown_fini(struct core_grown *text)
{
	if (text->bytes)
		explicit_bzero(text->bytes, text->size);
	free(text->bytes);
}

/* A small text file, without the line end that every editor adds. NULL and *ret_why. */
static char *load_text(const char *path, const char **ret_why)
{
	FILE *in = fopen(path, "re");
	char *text = in ? calloc(1, CORE_MOST_TEXT_BYTES + 2) : NULL;
	struct stat info;
	size_t length;

	if (!text) {
		*ret_why = strerror(errno);
	} else if (fstat(fileno(in), &info) != 0 || !S_ISREG(info.st_mode)) {
		*ret_why = "it is not a file";
	} else if ((length = fread(text, 1, CORE_MOST_TEXT_BYTES + 1, in)) > CORE_MOST_TEXT_BYTES) {
		*ret_why = "it is larger than 64 KiB";
	} else if (ferror(in)) {
		*ret_why = strerror(errno);
	} else if (strlen(text) != length) {
		*ret_why = "it is not text";
	} else {
		while (length && (text[length - 1] == '\n' || text[length - 1] == '\r'))
			text[--length] = '\0';
		(void)fclose(in);
		return text;
	}
	if (in)
		(void)fclose(in);
	if (text)
		explicit_bzero(text, CORE_MOST_TEXT_BYTES);
	free(text);
	return NULL;
}

struct resolving {
	const struct core_reading *reading;
	const struct core_node *node;
	const char *path;
	struct core_grown *into;
};

static bool add_environment(const struct resolving *now, const char *name)
{
	const char *value = getenv(name);

	if (!value) {
		core_problem(now->reading->problems, &now->node->place, now->path, "the environment variable %s is not set", name);
		return false;
	}
	if (core_grown_add(now->into, value, strlen(value)))
		return true;
	now->reading->problems->no_memory = true;
	return false;
}

/* Puts in what was read from a file, and leaves nothing of it behind: it may be secret. */
static bool add_loaded(const struct resolving *now, char *taken_text)
{
	bool fine = core_grown_add(now->into, taken_text, strlen(taken_text));

	now->reading->problems->no_memory |= !fine;
	explicit_bzero(taken_text, strlen(taken_text));
	free(taken_text);
	return fine;
}

static bool add_file(const struct resolving *now, const char *name)
{
	const char *why = "";
	char path[4096];
	char *text;

	(void)snprintf(path, sizeof path, "%s%s%s", *name == '/' ? "" : now->reading->directory, *name == '/' ? "" : "/", name);
	text = load_text(path, &why);
	if (!text) {
		core_problem(now->reading->problems, &now->node->place, now->path, "the file %s cannot be read: %s", path, why);
		return false;
	}
	return add_loaded(now, text);
}

static bool add_secret(const struct resolving *now, const char *name)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY"), *why = "";
	char given[4096] = "", own[4096];
	char *text = NULL;

	if (!*name || strchr(name, '/') || *name == '.') {
		core_problem(now->reading->problems, &now->node->place, now->path, "secret:// takes the name of a file, without a path");
		return false;
	}
	(void)snprintf(own, sizeof own, "%s/secrets.d/%s", now->reading->directory, name);
	if (credentials) {
		(void)snprintf(given, sizeof given, "%s/%s", credentials, name);
		text = load_text(given, &why);
	}
	if (!text)
		text = load_text(own, &why);
	if (!text) {
		core_problem(now->reading->problems, &now->node->place, now->path, "the secret %s is in %s%s%s, or cannot be read: %s",
			     name, credentials ? "neither " : "not in ", credentials ? "$CREDENTIALS_DIRECTORY nor " : "", own, why);
		return false;
	}
	return add_loaded(now, text);
}

/* What stands between ${ and }. */
static bool add_reference(const struct resolving *now, const char *inside, size_t length)
{
	char name[1024];

	if (length >= sizeof name || !length) {
		core_problem(now->reading->problems, &now->node->place, now->path,
			     "${} needs a name: ${env:NAME} or ${file:PATH}; a plain ${ is written $${");
		return false;
	}
	memcpy(name, inside, length);
	name[length] = '\0';
	if (strncmp(name, "file:", 5) == 0)
		return add_file(now, name + 5);
	if (strncmp(name, "env:", 4) == 0)
		return add_environment(now, name + 4);
	return add_environment(now, name);
}

static bool add_all(const struct resolving *now, const char *text)
{
	while (*text) {
		const char *dollar = strstr(text, "${");
		size_t plain = dollar ? (size_t)(dollar - text) : strlen(text);
		const bool escaped = dollar && dollar > text && dollar[-1] == '$';
		const char *end;

		if (!core_grown_add(now->into, text, escaped ? plain - 1 : plain)) {
			now->reading->problems->no_memory = true;
			return false;
		}
		if (!dollar)
			return true;
		if (escaped) {
			if (!core_grown_add(now->into, "${", 2)) {
				now->reading->problems->no_memory = true;
				return false;
			}
			text = dollar + 2;
			continue;
		}
		end = strchr(dollar, '}');
		if (!end) {
			core_problem(now->reading->problems, &now->node->place, now->path, "${ without its }; a plain ${ is written $${");
			return false;
		}
		if (!add_reference(now, dollar + 2, (size_t)(end - dollar) - 2))
			return false;
		text = end + 1;
	}
	return true;
}

bool core_text_resolve(const struct core_reading *reading, const struct pbx_setting *row, const struct core_node *node, const char *path,
		       struct core_grown *into)
{
	const struct resolving now = { reading, node, path, into };
	const char *text = node->text;

	if (!core_grown_add(into, "", 0)) {
		reading->problems->no_memory = true;
		return false;
	}
	if (strncmp(text, "secret://", 9) == 0) {
		if (row->type == PBX_TYPE_SECRET)
			return add_secret(&now, text + 9);
		core_problem(reading->problems, &node->place, path,
			     "secret:// is for settings that are secrets; this one is shown to people, ${file:PATH} will do");
		return false;
	}
	if (node->place.file)
		return add_all(&now, text);
	if (core_grown_add(into, text, strlen(text)))
		return true;
	reading->problems->no_memory = true;
	return false;
}
