/* core/program.h - programs of others, run within limits: program.c runs one and waits, programs.c serves plugins (pbx/programs.h) */
#pragma once
#include <pbx/programs.h>

#define CORE_MOST_PROGRAMS 16u

/* How it ended, as in struct pbx_program_result. output is owned: core_program_end_fini. */
struct core_program_end {
	int32_t status;
	uint32_t exit_status, signal, took_ms;
	char error[256];
	char *output; /* never NULL, but when status is PBX_ENOMEM */
	size_t output_size;
};

#define CORE_PROGRAM_OURS 1u /* one of this package: it has our environment and our standard error */

/* Runs it, waits until it has ended, and tells how; ended for good when this returns. cancel_fd: it is killed as soon as that can be read; -1:
 * nobody cancels. May block for spec->run_ms. [work], and threads of their own */
void core_program_run(const struct pbx_program_spec *spec, uint32_t flags, int cancel_fd, struct core_program_end *ret_end);
void core_program_end_fini(struct core_program_end *end);
bool core_program_check(const struct pbx_program_spec *spec); /* [any] */

/* Where the program `name` is. PBX_OK, PBX_ENOENT. [any] */
int core_program_find(const char *name, char *ret_path, size_t size);

/* The service. fini kills what still runs, and done is not called. [loop] */
void core_programs_init(void);
void core_programs_fini(void);
uint32_t core_programs_count(void); /* under way */
extern const struct pbx_programs core_programs_service;
