/*
 * card - a plugin's file and what it says of itself, believed in nothing
 *
 * Read twice: by the program that tries a file (probe.c), where a crash harms nobody, and by the daemon when that came back (host_load.c).
 */
#include "card.h"
#include "overlap.h"
#include <pbx/build.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined __x86_64__
#define OUR_MACHINE EM_X86_64
#elif defined __aarch64__
#define OUR_MACHINE EM_AARCH64
#else
#define OUR_MACHINE 0 /* not checked: dlopen says it in its own words */
#endif

#define LEAST_CARD_SIZE offsetof(struct pbx_plugin, settings)

void core_refuse(struct core_refusal *refusal, int result, const char *cure, const char *format, ...)
{
	va_list args;

	refusal->result = result;
	va_start(args, format);
	(void)vsnprintf(refusal->reason, sizeof refusal->reason, format, args);
	va_end(args);
	(void)snprintf(refusal->cure, sizeof refusal->cure, "%s", cure);
	for (char *c = refusal->reason; *c; c++)
		if (*c == '\n' || *c == '"')
			*c = *c == '"' ? '\'' : ' '; /* it stands quoted, on one line of the log */
}

const char *core_result_name(int result)
{
	static const char *const names[] = { "PBX_OK",       "PBX_EINVAL", "PBX_ENOMEM", "PBX_ENOENT",   "PBX_EEXIST",
					     "PBX_ENOSPC",   "PBX_EBUSY",  "PBX_EPERM",  "PBX_ESTATE",   "PBX_ENOTSUP",
					     "PBX_ETIMEOUT", "PBX_EIO",    "PBX_ELATER", "PBX_EVERSION", "PBX_ECANCELLED" };

	return result <= 0 && (size_t) - (int64_t)result < sizeof names / sizeof names[0] ? names[-result] : "a number that is no PBX_E…";
}

/* ---- the file ------------------------------------------------------------------------- */

int core_card_check_file(const char *path, struct core_refusal *refusal)
{
	Elf64_Ehdr head = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, &head, sizeof head) : -1;

	if (fd >= 0)
		(void)close(fd);
	if (got != (ssize_t)sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_type != ET_DYN) {
		core_refuse(refusal, PBX_EINVAL, "remove it from the plugin folder", "it is not a shared object");
		return PBX_EINVAL;
	}
	if (head.e_ident[EI_CLASS] != ELFCLASS64 || (OUR_MACHINE && head.e_machine != OUR_MACHINE)) {
		core_refuse(refusal, PBX_EVERSION, "install the build for this machine", "it is built for another machine");
		return PBX_EVERSION;
	}
	return PBX_OK;
}

/* ---- the descriptor ------------------------------------------------------------------- */

bool core_abi_fits(const struct pbx_header *header, uint16_t major, uint16_t minor, struct core_refusal *refusal)
{
	bool fits = header->abi_major == major && (major ? header->abi_minor <= minor : header->abi_minor == minor);
	bool is_newer = header->abi_major > major || (header->abi_major == major && header->abi_minor > minor);

	if (header->magic != PBX_MAGIC) {
		core_refuse(refusal, PBX_EINVAL, "remove it from the plugin folder", "its pbx_plugin is not a descriptor");
		return false;
	}
	if (!fits) {
		core_refuse(refusal, PBX_EVERSION,
			    is_newer ? "install a newer pbxd, or an older plugin" : "install a newer plugin, or build it again",
			    "it is made for ABI %u.%u, this is %u.%u", header->abi_major, header->abi_minor, major, minor);
		return false;
	}
	if (header->size < LEAST_CARD_SIZE) {
		core_refuse(refusal, PBX_EINVAL, "build it again", "its descriptor has %u bytes, fewer than any version", header->size);
		return false;
	}
	return true;
}

struct pbx_plugin core_card_of(const struct pbx_plugin *descriptor)
{
	struct pbx_plugin card = { 0 };

	core_copy_overlap(&card, sizeof card, descriptor, descriptor->header.size);
	return card;
}

static bool is_table(const struct pbx_table *table, size_t least_row)
{
	return !table->count || (table->rows && table->row_size >= least_row);
}

static bool is_name(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	return length && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

static const char *find_draft(const char *const *ids)
{
	for (; ids && *ids; ids++)
		if (!strncmp(*ids, "pbx.lab.", 8))
			return *ids;
	return NULL;
}

/* Drafts change from build to build: who uses or offers one must be of ours. */
static int check_drafts(const struct pbx_plugin *card, struct core_refusal *refusal)
{
	const char *draft = find_draft(card->needs);

	if (!draft)
		draft = find_draft(card->offers);
	if (!draft || (card->build && strcmp(card->build, PBX_BUILD) == 0))
		return PBX_OK;
	core_refuse(refusal, PBX_EVERSION, "install the plugin that came with this pbxd, or build it again with its headers",
		    "it uses the draft %.*s and is of build %.64s, this is " PBX_BUILD, (int)strcspn(draft, "?"), draft,
		    card->build ? card->build : "unknown");
	return PBX_EVERSION;
}

/* What a card says of itself. The smallest rows are those of ABI 0.1. */
static int check_card(const struct pbx_plugin *card, const char *name, struct core_refusal *refusal)
{
	const char *wrong = NULL;

	if (!is_name(card->name)) {
		core_refuse(refusal, PBX_EINVAL, "choose a name of small letters, digits and _", "the plugin's name \"%.64s\" is none",
			    card->name ? card->name : "");
		return PBX_EINVAL;
	}
	if (strcmp(card->name, name) != 0) {
		core_refuse(refusal, PBX_EINVAL, "name the file after the plugin", "it is called %.64s.so but is the plugin \"%.64s\"",
			    name, card->name);
		return PBX_EINVAL;
	}
	if (!card->version || !card->summary)
		wrong = "it has no version or summary";
	else if (card->instance_size < sizeof(struct core_instance_head))
		wrong = "its instance does not begin with PBX_INSTANCE";
	else if (!is_table(&card->settings, offsetof(struct pbx_setting, fields)) ||
		 !is_table(&card->migrations, sizeof(struct pbx_migration)) ||
		 !is_table(&card->routes, offsetof(struct pbx_route, reply)) ||
		 !is_table(&card->commands, offsetof(struct pbx_command, columns)) ||
		 !is_table(&card->metrics, offsetof(struct pbx_metric, labels)) || !is_table(&card->events, sizeof(struct pbx_event_type)))
		wrong = "a table of it has rows that are too short";
	else if (card->settings.count && !card->settings_size)
		wrong = "it has settings but no settings_size";
	if (wrong)
		core_refuse(refusal, PBX_EINVAL, "build it again with this version's headers", "%s", wrong);
	if (wrong)
		return PBX_EINVAL;
	int err = check_drafts(card, refusal);
	return err == PBX_OK ? core_card_check_tables(card, refusal) : err;
}

/* dlerror() begins with the path of the copy, which says nothing to anybody. */
static const char *load_error(void)
{
	const char *text = dlerror();
	const char *after = text ? strstr(text, ".so: ") : NULL;

	return after ? after + 5 : text ? text : "unknown";
}

void *core_card_open(const char *path, const char *name, const struct pbx_plugin **ret_descriptor, struct core_refusal *refusal)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		core_refuse(refusal, PBX_EINVAL, "install the library it needs, or build it again", "it cannot be loaded: %s",
			    load_error());
		return NULL;
	}
	const struct pbx_plugin *descriptor = dlsym(library, "pbx_plugin");
	if (!descriptor)
		core_refuse(refusal, PBX_EINVAL, "remove it from the plugin folder, or build it with PBX_PLUGIN in its source",
			    "it exports no symbol pbx_plugin");
	if (descriptor && core_abi_fits(&descriptor->header, PBX_ABI_MAJOR, PBX_ABI_MINOR, refusal)) {
		const struct pbx_plugin card = core_card_of(descriptor);

		if (check_card(&card, name, refusal) == PBX_OK) {
			*ret_descriptor = descriptor;
			return library;
		}
	}
	(void)dlclose(library);
	return NULL;
}
