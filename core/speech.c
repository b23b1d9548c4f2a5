/* speech.c - a text is spoken by a program: no shell (core/program.c), the text by its standard input, a time limit
 *
 * Engines differ in voices and languages: flite speaks English better, espeak-ng speaks a hundred languages. Those are the ones that speak our prompts
 * when they are built (etc/make-prompts.py), so a text and a prompt have one voice. A site may name another program. */
#include "speech.h"
#include "auto.h"
#include "program.h"
#include "prompts.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 24u
#define MOST_RUN_MS 15000
#define MOST_FILE_MIB 64u /* half an hour */

/* In order of liking. languages: those it is taken for, separated by blanks; "": any. */
static const struct {
	const char *languages, *command;
} known_engines[] = {
	{ "en", "flite -voice slt -f /dev/stdin -o {file}" },
	{ "", "espeak-ng -v {language} -s 150 --stdin -w {file}" },
};

struct core_speech {
	char *command, *text;
	char language[CORE_MOST_LANGUAGE];
	char folder[2048], path[2176];
	uint64_t most_bytes;
};

static struct {
	char *command; /* NULL: those we know */
	char *folder;  /* NULL: off */
	uint64_t most_bytes;
} settings;

static core_speak_fn maker;
static core_shape_fn shaper;

void core_speech_set_maker(core_speak_fn speak)
{
	maker = speak;
}

void core_speech_set_shaper(core_shape_fn shape)
{
	shaper = shape;
}

core_shape_fn core_speech_shaper(void)
{
	return shaper;
}

core_speak_fn core_speech_maker(void)
{
	return maker;
}

/* ---- settings ---- */

void core_speech_fini(void)
{
	free(settings.command);
	free(settings.folder);
	settings.command = settings.folder = NULL;
}

int core_speech_check(const char *engine, struct pbx_diag *diag)
{
	if (strcmp(engine, "auto") == 0 || strcmp(engine, "off") == 0 || strstr(engine, "{file}"))
		return PBX_OK;
	pbx_diag_set(diag, "speech",
		     "is auto, off, or a command with {file} where it shall write the sound: my-engine -l {language} -o {file}");
	return PBX_EINVAL;
}

int core_speech_set(const char *engine, const char *folder, uint32_t most_mib)
{
	bool is_known = strcmp(engine, "auto") == 0, is_off = strcmp(engine, "off") == 0 || !folder;

	AUTO(text) char *command = is_known || is_off ? NULL : strdup(engine);
	AUTO(text) char *kept = is_off ? NULL : strdup(folder);
	if ((!is_known && !is_off && !command) || (!is_off && !kept))
		return PBX_ENOMEM;
	core_speech_fini();
	settings.command = TAKE(command);
	settings.folder = TAKE(kept);
	settings.most_bytes = (uint64_t)most_mib << 20;
	return PBX_OK;
}

/* ---- which engine ---- */

static bool is_installed(const char *command)
{
	char name[512], path[512];

	(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(command, " "), command);
	return core_program_find(name, path, sizeof path) == PBX_OK;
}

/* NULL: there is none. */
static const char *find_command(const char *language)
{
	if (settings.command || !settings.folder)
		return settings.folder && is_installed(settings.command) ? settings.command : NULL;
	for (size_t i = 0; i < sizeof known_engines / sizeof known_engines[0]; i++)
		if ((!known_engines[i].languages[0] || strcmp(known_engines[i].languages, language) == 0) &&
		    is_installed(known_engines[i].command))
			return known_engines[i].command;
	return NULL;
}

/* "de" of "de-AT": engines have fewer languages than there are countries. */
static bool take_language(void *context, const char *language)
{
	(void)snprintf(context, CORE_MOST_LANGUAGE, "%.*s", (int)strcspn(language, "-_"), language);
	return true;
}

static void plain_language(const char *language, char ret_language[CORE_MOST_LANGUAGE])
{
	(void)core_prompts_languages(language, take_language, ret_language);
}

bool core_speech_can(const char *language)
{
	char plain[CORE_MOST_LANGUAGE];

	plain_language(language, plain);
	return find_command(plain) != NULL;
}

/* ---- one text ---- */

void core_speech_free(struct core_speech *speech)
{
	if (!speech)
		return;
	free(speech->command);
	free(speech->text);
	free(speech);
}
AUTO_FREES(core_speech)

/* The file's name: what is said, in which language, by which command. */
static bool name_file(struct core_speech *speech)
{
	char *all = NULL;
	size_t size;
	FILE *out = open_memstream(&all, &size);
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_size = 0;

	if (!out)
		return false;
	(void)fprintf(out, "%s\n%s\n%s", speech->command, speech->language, speech->text);
	bool done = fclose(out) == 0 && EVP_Digest(all, size, hash, &hash_size, EVP_sha256(), NULL) == 1;
	free(all);
	int length = snprintf(speech->path, sizeof speech->path, "%s/", speech->folder);
	for (unsigned i = 0; i < hash_size; i++)
		length += snprintf(speech->path + length, sizeof speech->path - (size_t)length, "%02x", hash[i]);
	(void)snprintf(speech->path + length, sizeof speech->path - (size_t)length, ".wav");
	return done;
}

int core_speech_new(const char *language, const char *text, struct core_speech **ret_speech, struct pbx_diag *diag)
{
	char plain[CORE_MOST_LANGUAGE];

	plain_language(language, plain);
	const char *command = find_command(plain);
	if (!text[strspn(text, " \t\r\n")] || strlen(text) > PBX_MOST_TEXT) {
		pbx_diag_set(diag, "text", "has to be 1 to %u octets", PBX_MOST_TEXT);
		return PBX_EINVAL;
	}
	if (!command) {
		pbx_diag_set(diag, "prompts.speech", "nobody speaks %s here: %s", plain,
			     settings.folder ? "install espeak-ng (or flite for English), or name another program in prompts.speech"
					     : "prompts.speech is off");
		return PBX_ENOTSUP;
	}

	AUTO(core_speech) struct core_speech *speech = calloc(1, sizeof *speech);
	if (!speech || !(speech->command = strdup(command)) || !(speech->text = strdup(text)))
		return PBX_ENOMEM;
	memcpy(speech->language, plain, sizeof speech->language);
	(void)snprintf(speech->folder, sizeof speech->folder, "%s", settings.folder);
	speech->most_bytes = settings.most_bytes;
	if (!name_file(speech))
		return PBX_ENOMEM;
	*ret_speech = TAKE(speech);
	return PBX_OK;
}

const char *core_speech_path(const struct core_speech *speech)
{
	return speech->path;
}

const char *core_speech_folder(const struct core_speech *speech)
{
	return speech->folder;
}

uint64_t core_speech_most_bytes(const struct core_speech *speech)
{
	return speech->most_bytes;
}

/* ---- running it ---- [work] */

struct arguments {
	char *words[MOST_WORDS + 1];
	char text[4096];
	size_t used;
};

static bool put(struct arguments *arguments, const char *part, size_t length)
{
	if (length >= sizeof arguments->text - arguments->used)
		return false;
	memcpy(arguments->text + arguments->used, part, length);
	arguments->used += length;
	return true;
}

/* A word of the command, with what its braces stand for. */
static bool put_word(struct arguments *arguments, const struct core_speech *speech, const char *file, const char *word, size_t length)
{
	static const char at_language[] = "{language}", at_file[] = "{file}";
	bool fits = true;

	for (const char *end = word + length; word < end && fits;) {
		size_t left = (size_t)(end - word), literal = strcspn(word + 1, "{") + 1;

		if (left >= sizeof at_language - 1 && memcmp(word, at_language, sizeof at_language - 1) == 0) {
			fits = put(arguments, speech->language, strlen(speech->language));
			word += sizeof at_language - 1;
		} else if (left >= sizeof at_file - 1 && memcmp(word, at_file, sizeof at_file - 1) == 0) {
			fits = put(arguments, file, strlen(file));
			word += sizeof at_file - 1;
		} else {
			literal = literal < left ? literal : left;
			fits = put(arguments, word, literal);
			word += literal;
		}
	}
	return fits && put(arguments, "", 1);
}

static bool make_arguments(struct arguments *arguments, const struct core_speech *speech, const char *file)
{
	uint32_t count = 0;

	for (const char *at = speech->command + strspn(speech->command, " "); *at && count < MOST_WORDS; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");

		arguments->words[count++] = arguments->text + arguments->used;
		if (!put_word(arguments, speech, file, at, length))
			return false;
		at += length;
	}
	arguments->words[count] = NULL;
	return count > 0;
}

int core_speech_run(const struct core_speech *speech, const char *file, struct pbx_diag *diag)
{
	struct arguments arguments = { .used = 0 };
	struct core_program_end end;
	char text[PBX_MOST_TEXT + 2]; /* with an end of line: flite reads lines */

	if (!make_arguments(&arguments, speech, file)) {
		pbx_diag_set(diag, "prompts.speech", "the command is too long");
		return PBX_EIO;
	}
	int length = snprintf(text, sizeof text, "%s\n", speech->text);
	const struct pbx_program_spec spec = {
		.size = sizeof spec,
		.run_ms = MOST_RUN_MS,
		.argv = (const char *const *)arguments.words,
		.input = text,
		.input_size = (size_t)length,
		.most_file_mib = MOST_FILE_MIB,
	};

	core_program_run(&spec, 0, -1, &end);
	core_program_end_fini(&end);
	if (end.status == PBX_OK && end.exit_status == 0)
		return PBX_OK;
	if (end.status == PBX_OK)
		pbx_diag_set(diag, "prompts.speech", "%s failed with exit status %u (language %s)", spec.argv[0], end.exit_status,
			     speech->language);
	else
		pbx_diag_set(diag, "prompts.speech", "%s", end.error);
	return end.status == PBX_ETIMEOUT || end.status == PBX_ENOMEM ? end.status : PBX_EIO;
}
