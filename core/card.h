/* core/card.h - what a plugin's file and its descriptor must be before any of its code is run, and why they are not. [any] */
#pragma once
#include <pbx/plugin.h>

/* What PBX_INSTANCE puts at the beginning of every instance's memory. */
struct core_instance_head {
	struct pbx_host *host;
	const void *settings;
};

/* Why a plugin cannot be, in one sentence, and what to do about it. */
struct core_refusal {
	int result; /* PBX_E… */
	char reason[416];
	char cure[160];
};

void core_refuse(struct core_refusal *refusal, int result, const char *cure, const char *format, ...) PBX_PRINTF(4, 5);

/* "PBX_EBUSY", for a sentence. */
const char *core_result_name(int result);

/* Whether a header fits a reader of ABI major.minor; refusal says why not. */
bool core_abi_fits(const struct pbx_header *header, uint16_t major, uint16_t minor, struct core_refusal *refusal);
/* Whether it is a shared object for this machine. PBX_OK; PBX_EINVAL, PBX_EVERSION and refusal. */
int core_card_check_file(const char *path, struct core_refusal *refusal);
/* Loads a file, whose constructors run, and looks at its card: of this ABI, and of the plugin `name`. The library is owned, dlclose() it; the
 * descriptor lies in it. NULL: refusal says why. */
void *core_card_open(const char *path, const char *name, const struct pbx_plugin **ret_descriptor, struct core_refusal *refusal);
/* card_tables.c: whether what the tables declare can ever work. PBX_OK, or PBX_EINVAL and refusal, which names the row. */
int core_card_check_tables(const struct pbx_plugin *card, struct core_refusal *refusal);
/* As much of a descriptor as we know; the rest is zero. */
struct pbx_plugin core_card_of(const struct pbx_plugin *descriptor);
